# SPDX-License-Identifier: Apache-2.0
"""Transports: how a call of `App` reaches a server, picked by the URL; and the embedded one.

Enters: a URL, or None for a server of our own. Leaves: a `Transport`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ._errors import BeavaError, with_note
from ._http import HttpTransport
from ._push_many import Chunk, PushSummary
from ._tcp import TcpTransport
from ._transport_base import Transport

if TYPE_CHECKING:
    import subprocess

    from ._progress import Progress

__all__ = [
    "EmbedTransport",
    "HttpTransport",
    "TcpTransport",
    "Transport",
    "make_transport",
    "parse_url_to_transport",
]

_TCP_HOST = "127.0.0.1"
_TCP_PORT = 8081


class EmbedTransport(Transport):
    """TCP to a server of our own, which ends with us."""

    def __init__(
        self,
        tcp: TcpTransport,
        proc: subprocess.Popen[Any],
        *,
        spawn_env: dict[str, str] | None = None,
        http_url: str = "",
    ) -> None:
        self._tcp = tcp
        self._http_url = http_url
        self._proc = proc
        self._spawn_env = {} if spawn_env is None else spawn_env
        self._pid = os.getpid()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[TcpTransport]:
        """A connection that failed because the server is gone says so."""
        try:
            yield self._tcp
        except BeavaError as error:
            status = self._proc.poll()
            if status is not None and isinstance(error, ConnectionError):
                error.hint = f"the embedded server ended with status {status}"
                with_note(error, error.hint)
            raise

    def send_register(self, payload_json: bytes) -> dict[str, Any]:
        """As over TCP."""
        with self._explained() as tcp:
            return tcp.send_register(payload_json)

    def send_push(self, *, event_name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """As over TCP."""
        with self._explained() as tcp:
            return tcp.send_push(event_name=event_name, fields=fields)

    def send_push_many(
        self, *, event_name: str, chunks: Iterator[Chunk], summary: PushSummary, shown: Progress
    ) -> None:
        """As over TCP."""
        with self._explained() as tcp:
            tcp.send_push_many(event_name=event_name, chunks=chunks, summary=summary, shown=shown)

    def send_get(self, *, table: str, key: Any, features: Any = None) -> dict[str, Any]:
        """As over TCP."""
        with self._explained() as tcp:
            return tcp.send_get(table=table, key=key, features=features)

    def send_batch_get(self, *, requests: list[dict[str, Any]]) -> list[Any]:
        """As over TCP."""
        with self._explained() as tcp:
            return tcp.send_batch_get(requests=requests)

    def send_reset(self) -> None:
        """As over TCP."""
        with self._explained() as tcp:
            tcp.send_reset()

    def send_ping(self) -> dict[str, Any]:
        """As over TCP."""
        with self._explained() as tcp:
            return tcp.send_ping()

    def send_snapshot(self) -> dict[str, Any]:
        """Over HTTP, which this server answers too."""
        http = HttpTransport(self._http_url, timeout=self._tcp.timeout)
        with http:
            return http.send_snapshot()

    def close(self) -> None:
        """Closes the socket and stops the server, unless this is a fork of the one who owns it."""
        self._tcp.close()
        if self._pid == os.getpid():
            from . import _embed

            _embed.teardown_process(self._proc)


def make_transport(
    url: str | None = None, *, timeout: float = 30.0, test_mode: bool = False
) -> Any:
    """The transport of a URL; for None a server is started.

    Raises:
        ValueError: The scheme is not supported.
    """
    if url is None:
        # Here, because most programs never start a server, and it loads much.
        from . import _embed

        proc, http_url, tcp_url, env = _embed.spawn_embedded_server(test_mode=test_mode)
        address = urlsplit(tcp_url)
        tcp = TcpTransport(address.hostname or _TCP_HOST, address.port or 0, timeout=timeout)
        return EmbedTransport(tcp, proc, spawn_env=env, http_url=http_url)
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme in ("http", "https"):
        # The scheme's case is the user's; what follows it is not ours to change.
        return HttpTransport(scheme + url[len(scheme) :], timeout=timeout)
    if scheme == "tcp":
        return TcpTransport(parts.hostname or _TCP_HOST, parts.port or _TCP_PORT, timeout=timeout)
    raise ValueError(
        f"unsupported URL scheme: {scheme or url!r}; supported are http://, https:// and tcp://"
    )


def parse_url_to_transport(url: str | None) -> Any:
    """`make_transport` without options."""
    return make_transport(url)
