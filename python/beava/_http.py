# SPDX-License-Identifier: Apache-2.0
"""The HTTP transport: one pooled httpx client, safe for use from several threads.

Enters: calls of `App`. Leaves: parsed bodies, or exceptions. httpx is imported when the first of
these is made, because it costs more time than the rest of the package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from . import _json
from ._errors import error_of_object, transport_failure
from ._push_many import Chunk, PushSummary, count_batch, local_refusal
from ._transport_base import Transport
from ._wire import decode_json

if TYPE_CHECKING:
    import httpx

    from ._progress import Progress

_PORT_HINT = (
    "http:// means port 80 unless one is given, tcp:// port 8081; a server's are 8080, 8081"
)
# The server refuses bodies over 4 MiB; a chunk is split before it gets there.
_BODY_BYTES_MAX = 4_000_000


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpTransport(Transport):
    """Requests over HTTP/1.1 with JSON bodies."""

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self._pid = os.getpid()
        self._client = self._open()

    def _open(self) -> httpx.Client:
        import httpx

        # A proxy cannot reach our loopback; it would answer for somebody else's.
        is_local = _is_loopback(urlsplit(self.base_url).hostname)
        return httpx.Client(base_url=self.base_url, timeout=self.timeout, trust_env=not is_local)

    def _post(self, path: str, body: bytes) -> httpx.Response:
        import httpx

        if self._pid != os.getpid():
            # After a fork the pool's sockets belong to the parent.
            self._client = self._open()
            self._pid = os.getpid()
        try:
            return self._client.post(
                path, content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError as error:
            is_timeout = isinstance(error, httpx.TimeoutException)
            hint = _PORT_HINT if isinstance(error, httpx.ConnectError) else ""
            raise transport_failure(
                error, is_timeout=is_timeout, where=self.base_url, hint=hint
            ) from error

    def _call(self, path: str, body: bytes) -> tuple[Any, httpx.Response]:
        response = self._post(path, body)
        parsed = decode_json(response.content, status=response.status_code)
        if response.status_code != 200:
            error = parsed.get("error") if isinstance(parsed, dict) else None
            raise error_of_object(error, status=response.status_code)
        return parsed, response

    def send_register(self, payload_json: bytes) -> dict[str, Any]:
        """POST /register."""
        body: dict[str, Any] = self._call("/register", payload_json)[0]
        return body

    def send_push(self, *, event_name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """POST /push; a deduplicated push is marked by a header."""
        body, response = self._call("/push", _json.encode({"event": event_name, "data": fields}))
        if response.headers.get("X-Beava-Idempotent-Replay") == "1":
            body["idempotent_replay"] = True
        return body  # type: ignore[no-any-return]

    def send_push_many(
        self, *, event_name: str, chunks: Iterator[Chunk], summary: PushSummary, shown: Progress
    ) -> None:
        """POST /push-batch/<event>, one array per chunk."""
        path = f"/push-batch/{quote(event_name, safe='')}"
        for chunk in chunks:
            indices: list[int] = []
            bodies: list[bytes] = []
            size = 2
            for index, row in enumerate(chunk.rows, chunk.first):
                try:
                    if not isinstance(row, dict):
                        raise TypeError(f"an event must be a dict, not {type(row).__name__}")
                    body = _json.encode(row)
                except (TypeError, ValueError) as error:
                    summary.refuse(index, local_refusal(error, row))
                    continue
                if bodies and size + len(body) + 1 > _BODY_BYTES_MAX:
                    self._push_batch(path, bodies, indices, summary)
                    indices, bodies, size = [], [], 2
                indices.append(index)
                bodies.append(body)
                size += len(body) + 1
            if bodies:
                self._push_batch(path, bodies, indices, summary)
            shown.add(len(chunk.rows))

    def _push_batch(
        self, path: str, bodies: list[bytes], indices: list[int], summary: PushSummary
    ) -> None:
        reply = self._call(path, b"[" + b",".join(bodies) + b"]")[0]
        count_batch(reply, indices, summary)

    def send_get(self, *, table: str, key: Any, features: Any = None) -> dict[str, Any]:
        """POST /get."""
        request = _json.read_request(table, key, features)
        return self._call("/get", _json.encode(request))[0]  # type: ignore[no-any-return]

    def send_batch_get(self, *, requests: list[dict[str, Any]]) -> list[Any]:
        """POST /batch_get."""
        body = self._call("/batch_get", _json.encode({"requests": requests}))[0]
        return body.get("results", [])  # type: ignore[no-any-return]

    def send_reset(self) -> None:
        """POST /reset."""
        self._call("/reset", b"{}")

    def send_ping(self) -> dict[str, Any]:
        """POST /ping."""
        return self._call("/ping", b"{}")[0]  # type: ignore[no-any-return]

    def send_snapshot(self) -> dict[str, Any]:
        """POST /snapshot."""
        return self._call("/snapshot", b"{}")[0]  # type: ignore[no-any-return]

    def _http_get_single(self, feature: str, key: str) -> Any:
        """GET /get/<feature>/<key>: the value, or httpx.HTTPStatusError."""
        response = self._client.get(f"/get/{quote(feature, safe='')}/{quote(key, safe='')}")
        response.raise_for_status()
        return response.json()["value"]

    def close(self) -> None:
        """Closes the pool."""
        self._client.close()
