# SPDX-License-Identifier: Apache-2.0
"""`App`: a connection to a server, or a server of one's own.

Enters: declarations, events, keys. Leaves: dicts, or exceptions. Invariants: constructing opens
nothing; one call is one request (push_many apart); closing twice is harmless.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from . import _json
from ._errors import RegistrationError, error_of_object, with_note
from ._payload import _descriptor_to_node, _to_register_json, check_descriptors, name_of
from ._push_many import CHUNK_SIZE, PushSummary, run
from ._transport import make_transport

__all__ = ["App", "_descriptor_to_node", "_to_register_json", "make_transport"]

_URL_EXAMPLES = '"http://127.0.0.1:8080" or "tcp://127.0.0.1:8081"'
_KINDS = {"http": "http", "https": "http", "tcp": "tcp"}
Row = dict[str, Any]


class ErrorRow(dict[str, Any]):
    """What `batch_get` returns in place of a row that could not be read: {"error": {...}}.

    Attributes:
        error: The same as an exception, not raised.
    """

    @property
    def error(self) -> RegistrationError:
        return error_of_object(self.get("error"))


def flag_errors(results: list[Any], errors: str) -> list[Row]:
    """Marks the elements of a batch that are no rows, or raises the first.

    Raises:
        ValueError: `errors` is neither "return" nor "raise".
        RegistrationError: There is one, and `errors` is "raise".
    """
    if errors not in ("return", "raise"):
        raise ValueError(f'errors must be "return" or "raise"; got {errors!r}')
    rows: list[Row] = []
    for row in results:
        error = row.get("error") if isinstance(row, dict) and len(row) == 1 else None
        if isinstance(error, dict) and "code" in error:
            if errors == "raise":
                raise error_of_object(error)
            row = ErrorRow(row)
        rows.append(row)
    return rows


def batch_request(entry: Any) -> dict[str, Any]:
    """One entry of `batch_get` as it is sent.

    Raises:
        TypeError: It is not a tuple of two or three.
    """
    if not isinstance(entry, tuple):
        raise TypeError(
            "batch_get request entry must be a tuple (table, key) or (table, key, features); "
            f"got {type(entry).__name__}"
        )
    if len(entry) not in (2, 3):
        raise TypeError(f"batch_get request entry must be a 2- or 3-tuple; got {len(entry)}-tuple")
    features = entry[2] if len(entry) == 3 else None
    return _json.read_request(name_of(entry[0]), entry[1], features)


def warn_if_unchanged(reply: dict[str, Any]) -> None:
    """What the server warns of, and names that the published one did nothing about."""
    for found in reply.get("warnings", ()):
        if isinstance(found, dict):
            text = f"{found.get('path', '')}: {found.get('message', '')}"
            warnings.warn(text, UserWarning, stacklevel=3)
    if "added" not in reply or "already_present" not in reply:
        return
    known = {*reply["added"], *reply["already_present"]}
    left = [name for name in reply.get("registered_descriptors", ()) if name not in known]
    if left:
        warnings.warn(
            f"the server did not apply the changes of {left}; register again with force=True",
            UserWarning,
            stacklevel=3,
        )


class App:
    """A client of a server.

    Args:
        url: "http://host:8080" or "tcp://host:8081". None: BEAVA_URL where it is set, otherwise
            a server is started for the time of the `with` block.
        timeout: Seconds to wait for a connection and for each reply.
        test_mode: Whether a server that we start allows `reset`.

    Raises:
        ValueError: The scheme is not supported.

    Example:
        >>> import beava as bv
        >>> app = bv.App("tcp://127.0.0.1:8081")
        >>> app
        <App tcp://127.0.0.1:8081>
    """

    def __init__(
        self, url: str | None = None, *, timeout: float = 30.0, test_mode: bool = False
    ) -> None:
        # First, for __del__ of an app that was refused below.
        self._closed = False
        self._transport: Any = None
        self._entered = False
        self._lock = threading.Lock()
        if url is not None and not isinstance(url, str):
            raise TypeError(f"url must be a str, {_URL_EXAMPLES}; got {url!r}")
        self._url = url or os.environ.get("BEAVA_URL") or None
        self._timeout = timeout
        self._test_mode = test_mode
        if self._url is None:
            self._transport_kind = "embed"
            return
        scheme = urlsplit(self._url).scheme.lower()
        if scheme not in _KINDS:
            raise with_note(
                ValueError(f"unsupported URL scheme: {scheme!r}"),
                f"write it as {_URL_EXAMPLES}; got {self._url!r}",
            )
        self._transport_kind = _KINDS[scheme]
        if test_mode:
            warnings.warn(
                "test_mode=True has no effect on a server that is already running; start it with "
                "--test-mode",
                UserWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<App {self._url or 'embedded'}{state}>"

    @property
    def http_url(self) -> str:
        """Where the server answers HTTP: of a server that we started, or the URL that was given;
        "" where it is not known."""
        if self._transport_kind == "http":
            return self._url or ""
        return getattr(self._transport, "_http_url", "")

    @property
    def tcp_url(self) -> str:
        """Where the server answers framed TCP; "" where it is not known."""
        if self._transport_kind == "tcp":
            return self._url or ""
        tcp = getattr(self._transport, "_tcp", None)
        return "" if tcp is None else f"tcp://{tcp.host}:{tcp.port}"

    # ---- life cycle ----

    def __enter__(self) -> App:
        if self._closed:
            raise RuntimeError("App is closed")
        self._entered = True
        self._require_transport()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            pass

    def close(self) -> None:
        """Closes the connection and stops a server that we started. Never raises."""
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                transport.close()
            except Exception as error:
                from ._log import logger

                logger("beava").debug("closing: %r", error)

    def _require_transport(self) -> Any:
        if self._closed:
            raise RuntimeError("App is closed")
        if self._transport_kind == "embed" and not self._entered:
            raise RuntimeError(
                "Embed mode requires use as a context manager: `with bv.App() as app: ...`"
            )
        if self._transport is None:
            with self._lock:
                if self._transport is None:
                    self._transport = make_transport(
                        self._url, timeout=self._timeout, test_mode=self._test_mode
                    )
        return self._transport

    # ---- calls ----

    def register(
        self, *descriptors: Any, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Installs a pipeline: these descriptors, and nothing else.

        Args:
            *descriptors: Decorated classes and functions; node dicts are taken as they are.
            force: Accept changes that drop state.
            dry_run: Only say what would change.

        Returns:
            {"status", "registry_version", "registered_descriptors", "added", "already_present"};
            of a dry run {"diff", "would_apply"}.

        Raises:
            RegistrationError: A descriptor is wrong, or the server refuses it.
        """
        check_descriptors(descriptors)
        transport = self._require_transport()
        payload = _to_register_json(descriptors, force=force, dry_run=dry_run)
        reply: dict[str, Any] = transport.send_register(payload)
        warn_if_unchanged(reply)
        return reply

    def push(self, event_name: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """Pushes one event; the next read knows it.

        Args:
            event_name: Name of the source, or the decorated class.
            fields: The event.

        Returns:
            {"ack_lsn", "idempotent_replay", "registry_version"}.

        Raises:
            RegistrationError: The server refuses the event.
        """
        transport = self._require_transport()
        reply: dict[str, Any] = transport.send_push(event_name=name_of(event_name), fields=fields)
        return reply

    def push_many(
        self,
        event_name: Any,
        rows: Iterable[dict[str, Any]],
        *,
        chunk_size: int = CHUNK_SIZE,
        progress: bool | Callable[[int], None] | None = None,
    ) -> PushSummary:
        """Pushes many events of one source, in order, without waiting for each.

        A refused event stops nothing; see the summary.

        Args:
            event_name: Name of the source, or the decorated class.
            rows: The events.
            chunk_size: Events sent at a time, 1 to 4096; two chunks are on their way at once.
            progress: True for a bar, or a callable that is given the number of events done.

        Returns:
            How many were accepted, which were refused and why, and the LSN of the last ack.

        Raises:
            ConnectionError, TimeoutError: The connection failed; `error.summary` says how far
                the answers went.
        """
        transport = self._require_transport()
        name = name_of(event_name)
        return run(
            rows,
            chunk_size,
            progress,
            lambda chunks, summary, shown: transport.send_push_many(
                event_name=name, chunks=chunks, summary=summary, shown=shown
            ),
        )

    def get(self, table: Any, key: Any = None, features: Sequence[str] | None = None) -> Row:
        """Reads one row.

        Args:
            table: Name of the table, or its descriptor.
            key: The entity; a list or tuple for a table with several key columns; None for a
                table of one row.
            features: Names of the features to read; None for all.

        Returns:
            Value by feature; {} for an unknown entity.

        Raises:
            RegistrationError: No such table or feature, or the key does not fit.
        """
        transport = self._require_transport()
        row: Row = transport.send_get(table=name_of(table), key=key, features=features)
        return row

    def batch_get(
        self, requests: Iterable[tuple[Any, ...]], *, errors: str = "return"
    ) -> list[Row]:
        """Reads many rows as of one moment.

        Args:
            requests: (table, key) or (table, key, features), tuples.
            errors: "return" puts an `ErrorRow` where a row cannot be read, "raise" raises it.

        Returns:
            One row per request, in order.

        Raises:
            TypeError: An entry is not such a tuple.
            RegistrationError: An unknown feature; or any error, with errors="raise".
        """
        entries = [batch_request(entry) for entry in requests]
        return flag_errors(self._require_transport().send_batch_get(requests=entries), errors)

    def reset(self) -> None:
        """Forgets all state and all declarations; only servers in test mode do.

        Raises:
            RegistrationError: Code "reset_disabled_in_production".
        """
        self._require_transport().send_reset()

    def snapshot(self) -> dict[str, Any]:
        """Has the server save its whole state now, and waits until the file is in place.

        Over http:// and for a server that we started. A large state takes longer than the default
        timeout; the server goes on either way.

        Returns:
            {"bytes", "duration_ms", "snapshot_lsn"}: a restart replays the log from there.

        Raises:
            RegistrationError: Code "snapshot_unavailable": it failed, or the server keeps nothing
                on disk.
            NotImplementedError: The URL is tcp://.
        """
        reply: dict[str, Any] = self._require_transport().send_snapshot()
        return reply

    def ping(self) -> dict[str, Any]:
        """{"pong", "registry_version", "server_version"}."""
        reply: dict[str, Any] = self._require_transport().send_ping()
        return reply
