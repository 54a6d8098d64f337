# SPDX-License-Identifier: Apache-2.0
"""The framed TCP transport: one socket, one request in flight, or a pipeline of pushes.

Enters: calls. Leaves: parsed bodies, or exceptions.
Invariants: one request and its reply are under one lock (replies are matched by order alone); any
exception between sending and a whole reply closes the socket, so that a late reply can never be
taken for the next one's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from . import _fast, _json
from ._errors import RegistrationError, error_of_object, refusal, transport_failure
from ._push_many import Chunk, PushSummary, local_refusal
from ._transport_base import Transport
from ._wire import (
    CT_JSON,
    CT_MSGPACK,
    MAX_FRAME_BYTES,
    OP_BATCH_GET,
    OP_ERROR_RESPONSE,
    OP_GET,
    OP_GET_RESPONSE,
    OP_PING,
    OP_PUSH,
    OP_REGISTER,
    OP_RESET,
    Frame,
    IncompleteFrame,
    check_reply,
    decode_json,
    encode_frame,
    parse_register_response,
    read_frame,
)

if TYPE_CHECKING:
    from ._progress import Progress

_RECEIVE_SIZE = 1 << 18
_SEND_SIZE_MAX = 1 << 20
_PORT_HINT = (
    "tcp:// means port 8081 unless one is given, http:// port 80; a server's are 8081, 8080"
)


class _Stream(Protocol):
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...


class TcpTransport(Transport):
    """Framed TCP over one socket, opened on first use and again after a failure."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        timeout: float = 30.0,
    ) -> None:
        self.host = host
        self.port = port
        self.max_frame_bytes = max_frame_bytes
        self.timeout = timeout
        self._socket: Any = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def _connected(self) -> _Stream:
        if self._socket is None:
            import socket  # the larger half of what importing this module would cost

            sock = socket.create_connection((self.host, self.port), timeout=self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock
        return self._socket  # type: ignore[no-any-return]

    def _check_fork(self) -> None:
        """After a fork the socket is the parent's, and the lock may be held by a thread that the
        child does not have. Closing the child's copy leaves the parent's open."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._drop()

    def _drop(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            try:
                sock.close()
            except OSError:
                pass  # it is gone either way

    def _failed(self, error: Exception) -> Exception:
        """Drops the socket; the exception to raise."""
        self._drop()
        if not isinstance(error, (OSError, EOFError)):
            return error
        is_timeout = isinstance(error, TimeoutError)
        hint = _PORT_HINT if isinstance(error, ConnectionRefusedError) else ""
        where = f"tcp://{self.host}:{self.port}"
        return transport_failure(error, is_timeout=is_timeout, where=where, hint=hint)

    def _request(self, opcode: int, payload: bytes, content_type: int = CT_JSON) -> Frame:
        if len(payload) > self.max_frame_bytes:
            raise refusal(
                "frame_too_large",
                f"request of {len(payload)} bytes exceeds the frame limit {self.max_frame_bytes}",
            )
        self._check_fork()
        with self._lock:
            try:
                sock = self._connected()
                sock.sendall(encode_frame(opcode, content_type, payload))
                frame = read_frame(sock, self.max_frame_bytes)
            except Exception as error:
                raise self._failed(error) from error
            except BaseException:
                self._drop()
                raise
            if frame.op == OP_ERROR_RESPONSE and b'"frame_too_large"' in frame.payload[:64]:
                self._drop()  # the server closes after this one
        return frame

    def send_register(self, payload_json: bytes) -> dict[str, Any]:
        """Opcode 0x0001."""
        return parse_register_response(self._request(OP_REGISTER, payload_json))

    def send_push(self, *, event_name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Opcode 0x0010."""
        payload = _json.encode({"event": event_name, "body": fields})
        return check_reply(self._request(OP_PUSH, payload), OP_PUSH)  # type: ignore[no-any-return]

    def send_get(self, *, table: str, key: Any, features: Any = None) -> dict[str, Any]:
        """Opcode 0x0020."""
        payload = _json.encode(_json.read_request(table, key, features))
        frame = self._request(OP_GET, payload)
        return check_reply(frame, OP_GET_RESPONSE)  # type: ignore[no-any-return]

    def send_batch_get(self, *, requests: list[dict[str, Any]]) -> list[Any]:
        """Opcode 0x0024."""
        payload = _json.encode({"requests": requests})
        body = check_reply(self._request(OP_BATCH_GET, payload), OP_GET_RESPONSE)
        if not isinstance(body, dict) or "results" not in body:
            raise refusal("unexpected_frame", f"the reply has no results: {body!r:.200}")
        return body["results"]  # type: ignore[no-any-return]

    def send_reset(self) -> None:
        """Opcode 0x0040."""
        check_reply(self._request(OP_RESET, b"{}"), OP_GET_RESPONSE)

    def send_ping(self) -> dict[str, Any]:
        """Opcode 0x0000."""
        body = check_reply(self._request(OP_PING, b"{}"), OP_PING)
        body.setdefault("pong", True)
        return body  # type: ignore[no-any-return]

    def send_push_many(
        self, *, event_name: str, chunks: Iterator[Chunk], summary: PushSummary, shown: Progress
    ) -> None:
        """Plain push frames, two chunks in flight: one is encoded while the server works on the
        other."""
        self._check_fork()
        with self._lock:
            try:
                pipeline = _Pipeline(self._connected(), self.max_frame_bytes, summary, shown)
                for chunk in chunks:
                    pipeline.send(event_name, chunk)
                    pipeline.receive(leave=1)
                pipeline.receive(leave=0)
            except Exception as error:
                raise self._failed(error) from error
            except BaseException:
                self._drop()
                raise

    def _tcp_get_single(self, feature: str, key: str, *, wire_format: str = "msgpack") -> Any:
        """The retired one-feature read; servers refuse it."""
        body = {"feature": feature, "key": key}
        is_packed = wire_format == "msgpack"
        payload = _fast.pack(body) if is_packed else _json.encode(body)
        frame = self._request(OP_GET, payload, CT_MSGPACK if is_packed else CT_JSON)
        return check_reply(frame, OP_GET_RESPONSE)

    def close(self) -> None:
        """Closes the socket."""
        self._check_fork()
        with self._lock:
            self._drop()


class _Pipeline:
    """The pushes of one `push_many` that are under way on a socket."""

    def __init__(
        self, sock: _Stream, max_frame_bytes: int, summary: PushSummary, shown: Progress
    ) -> None:
        self._sock = sock
        self._max_frame_bytes = max_frame_bytes
        self._summary = summary
        self._shown = shown
        # Per chunk in flight: rows of the call that wait for their reply, in order; all its rows.
        self._waiting: list[tuple[list[int], int]] = []
        self._answered = 0  # of the first of them
        self._buffer = b""

    def send(self, event_name: str, chunk: Chunk) -> None:
        """Sends a chunk, at most about SEND_SIZE_MAX bytes in memory at a time."""
        unsent: set[int] = set()
        at = 0
        while at < len(chunk.rows):
            frames, at, errors = _fast.encode_push_frames(
                event_name, chunk.rows, at, self._max_frame_bytes, _SEND_SIZE_MAX
            )
            for index, error in errors:
                unsent.add(index)
                self._summary.refuse(chunk.first + index, local_refusal(error, chunk.rows[index]))
            self._sock.sendall(frames)
        rows = [chunk.first + i for i in range(len(chunk.rows)) if i not in unsent]
        self._waiting.append((rows, len(chunk.rows)))

    def receive(self, *, leave: int) -> None:
        """Reads replies until at most `leave` chunks are in flight."""
        self._retire()
        while len(self._waiting) > leave:
            data = self._sock.recv(_RECEIVE_SIZE)
            if not data:
                raise IncompleteFrame("socket closed before every push was answered")
            self._buffer += data
            self._count()

    def _count(self) -> None:
        size, count, last_lsn, others = _fast.decode_acks(self._buffer, self._max_frame_bytes)
        self._buffer = self._buffer[size:]
        if last_lsn:
            self._summary.last_ack_lsn = last_lsn
        self._summary.accepted += count - len(others)
        pending = {index: (opcode, payload) for index, opcode, payload in others}
        done = 0
        while done < count:
            if not self._waiting:
                raise refusal("unexpected_frame", "more replies than pushes")
            rows = self._waiting[0][0]
            take = min(count - done, len(rows) - self._answered)
            if pending:
                for i in range(done, done + take):
                    if i in pending:
                        row = rows[self._answered + i - done]
                        self._summary.refuse(row, self._refusal(*pending[i]))
            done += take
            self._answered += take
            self._retire()

    def _retire(self) -> None:
        while self._waiting and self._answered == len(self._waiting[0][0]):
            self._shown.add(self._waiting.pop(0)[1])
            self._answered = 0

    def _refusal(self, opcode: int, payload: bytes) -> RegistrationError:
        if opcode != OP_ERROR_RESPONSE:
            raise refusal("unexpected_frame", f"expected opcode 0x0010, received 0x{opcode:04x}")
        body = decode_json(payload)
        # The published server wraps envelope errors in nothing: {"code": "unsupported"}.
        error = body.get("error", body) if isinstance(body, dict) else None
        made = error_of_object(error)
        if made.code in ("frame_too_large", "frame_error"):
            raise made
        return made
