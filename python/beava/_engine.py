# SPDX-License-Identifier: Apache-2.0
"""`Engine`: the engine in this process, without a server.

Enters: the same declarations, events and keys as `App`. Leaves: the same dicts and exceptions.
Owner: one caller at a time; a lock sees to it, and the GIL is free while the engine works.
Invariants: every call travels as a wire request through the C interface; what C allocates is freed
here; an exception in the caller's clock is raised by the call that asked it.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _fast, _json
from ._app import Row, batch_request, flag_errors, warn_if_unchanged
from ._errors import BeavaError, error_of_object, refusal
from ._payload import _to_register_json, name_of
from ._push_many import CHUNK_SIZE, Chunk, PushSummary, count_batch, local_refusal, run
from ._wire import (
    CT_JSON,
    CT_MSGPACK,
    MAX_FRAME_BYTES,
    OP_BATCH_GET,
    OP_ERROR_RESPONSE,
    OP_GET,
    OP_PING,
    OP_PUSH,
    OP_PUSH_MANY,
    OP_REGISTER,
    OP_RESET,
    decode_json,
)

if TYPE_CHECKING:
    from ._progress import Progress

API_VERSION = 3
_POLICIES = {"always": 0, "os": 1}
_POLICY_MEMORY = 2


class EngineError(BeavaError):
    """The engine cannot work: its directory is damaged, locked, unreadable, or of another version.

    `code` is "corrupt", "locked", "io", "unsupported_format", "config", "no_memory" or "misuse".
    """


@dataclass(frozen=True)
class Digest:
    """Equal for two engines that applied the same log, whatever the order of their tables."""

    words: tuple[int, int]
    entities: int
    last_lsn: int


@functools.cache
def _load() -> Any:
    """The bindings, checked and with our clock behind the engine's."""
    try:
        from . import _abi
    except ImportError as error:
        raise ImportError(
            f"bv.Engine needs the compiled bindings ({error}); run `make build` in a checkout, or "
            "`pip install beava`"
        ) from error
    version = _abi.lib.bv_api_version()
    if version < API_VERSION:
        raise ImportError(
            f"libbeava has interface version {version}, these bindings were made for "
            f"{API_VERSION}; rebuild both"
        )

    @_abi.ffi.def_extern()  # type: ignore[untyped-decorator,unused-ignore]
    def beava_ask_clock(clock_arg: Any) -> int:
        clock: _Clock = _abi.ffi.from_handle(clock_arg)
        return clock.ask()

    return _abi


class _Clock:
    """The caller's clock, and the exception that it raised, if it did."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self.error: BaseException | None = None
        self._last_ms = 0

    def ask(self) -> int:
        try:
            now_ms = self._read()
            if type(now_ms) is not int or not 0 <= now_ms < 2**63:
                raise TypeError(f"a clock must return milliseconds as an int; got {now_ms!r}")
            self._last_ms = now_ms
        except BaseException as error:
            self.error = error
        return self._last_ms


class Engine:
    """An engine in this process.

    Args:
        data_dir: Where its log is kept; created when missing, recovered when not. One process at a
            time may have it open.
        memory: Keep nothing on disk; the default without `data_dir`.
        clock: Called for the time, in milliseconds since the epoch; the default is the system's.
            A clock that goes back stands still for the engine.
        policy: With `data_dir`, when a push returns: "always" once it is synced, "os" once it is
            written.
        test_mode: Whether `reset` is allowed.

    Raises:
        EngineError: The directory cannot be used.
        ValueError: `data_dir` and `memory` contradict each other, or another policy.

    Example:
        >>> import beava as bv
        >>> @bv.event
        ... class Click:
        ...     user_id: str
        >>> @bv.table(key="user_id")
        ... def Clicks(c: Click):
        ...     return c.group_by("user_id").agg(n=bv.count())
        >>> with bv.Engine() as engine:
        ...     _ = engine.register(Click, Clicks)
        ...     _ = engine.push(Click, {"user_id": "ada"})
        ...     engine.get(Clicks, "ada")
        {'n': 1}
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        memory: bool | None = None,
        clock: Callable[[], int] | None = None,
        policy: str = "always",
        test_mode: bool = False,
    ) -> None:
        self._handle: Any = None
        self._lock = threading.RLock()
        self._pid = os.getpid()
        in_memory = data_dir is None if memory is None else memory
        if in_memory == (data_dir is not None):
            raise ValueError("give a data_dir, or memory=True without one")
        if policy not in _POLICIES:
            raise ValueError(f'policy must be "always" or "os"; got {policy!r}')
        self._where = "in memory" if data_dir is None else os.fspath(data_dir)
        abi = _load()
        self._ffi, self._lib = abi.ffi, abi.lib
        self._clock = None if clock is None else _Clock(clock)
        self._open(_POLICY_MEMORY if in_memory else _POLICIES[policy], data_dir, test_mode)

    @classmethod
    def open(
        cls,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        memory: bool | None = None,
        clock: Callable[[], int] | None = None,
        policy: str = "always",
        test_mode: bool = False,
    ) -> Engine:
        """The same as calling the class."""
        return cls(data_dir, memory=memory, clock=clock, policy=policy, test_mode=test_mode)

    def _open(self, policy: int, data_dir: str | os.PathLike[str] | None, test_mode: bool) -> None:
        ffi, lib = self._ffi, self._lib
        options = ffi.new("bv_engine_options *")
        options.struct_size = ffi.sizeof("bv_engine_options")
        options.policy = policy
        options.is_test_mode = test_mode
        path = None
        if data_dir is not None:
            path = ffi.new("char[]", os.fsencode(data_dir))
            options.data_dir = path
        if self._clock is not None:
            # The engine keeps the pointer: the handle lives as long as `self`.
            self._clock_handle = ffi.new_handle(self._clock)
            options.clock = lib.beava_ask_clock
            options.clock_arg = self._clock_handle
        out = ffi.new("bv_engine **")
        error = ffi.new("bv_error *")
        self._check(lib.bv_engine_open(out, options, error), error)
        self._handle = out[0]

    def _check(self, status: int, error: Any) -> None:
        """Raises what a failed call left behind."""
        if self._clock is not None and self._clock.error is not None:
            raised, self._clock.error = self._clock.error, None
            raise raised
        if status == 0:
            return
        ffi = self._ffi
        path, message, hint = (
            ffi.string(part).decode(errors="replace")
            for part in (error.path, error.message, error.hint)
        )
        code = ffi.string(self._lib.bv_status_name(status)).decode()
        if code:
            raise refusal(code, message, path=path, hint=hint)
        name = ffi.typeof("bv_status").elements.get(status, f"BV_{status}")
        made = EngineError("; ".join(part for part in (message, path, hint) if part))
        made.code = name.removeprefix("BV_").lower()
        made.path = path
        made.hint = hint
        raise made

    def _require(self) -> Any:
        if self._handle is None:
            raise RuntimeError("Engine is closed")
        if self._pid != os.getpid():
            raise RuntimeError("an Engine cannot be used in a fork; open one after forking")
        return self._handle

    def _request(self, opcode: int, content_type: int, payload: bytes) -> Any:
        """Any operation of the wire; its body, or the refusal."""
        ffi, lib = self._ffi, self._lib
        reply_opcode = ffi.new("uint16_t *")
        reply_type = ffi.new("uint8_t *")
        reply = ffi.new("bv_bytes *")
        error = ffi.new("bv_error *")
        with self._lock:
            status = lib.bv_engine_request(
                self._require(),
                opcode,
                content_type,
                ffi.from_buffer(payload),
                len(payload),
                reply_opcode,
                reply_type,
                reply,
                error,
            )
            try:
                self._check(status, error)
                data = ffi.buffer(reply.data, reply.size)[:] if reply.size else b""
            finally:
                lib.bv_bytes_free(reply)
        body = _fast.unpack(data) if reply_type[0] == CT_MSGPACK else decode_json(data)
        if reply_opcode[0] == OP_ERROR_RESPONSE:
            raise error_of_object(body.get("error") if isinstance(body, dict) else None)
        return body

    def register(
        self, *descriptors: Any, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """As `App.register`."""
        payload = _to_register_json(descriptors, force=force, dry_run=dry_run)
        reply: dict[str, Any] = self._request(OP_REGISTER, CT_JSON, payload)
        warn_if_unchanged(reply)
        return reply

    def push(self, event_name: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """As `App.push`; it is durable when this returns."""
        payload = _fast.pack({"event": name_of(event_name), "body": fields})
        reply: dict[str, Any] = self._request(OP_PUSH, CT_MSGPACK, payload)
        return reply

    def push_many(
        self,
        event_name: Any,
        rows: Iterable[dict[str, Any]],
        *,
        chunk_size: int = CHUNK_SIZE,
        progress: bool | Callable[[int], None] | None = None,
    ) -> PushSummary:
        """As `App.push_many`; one wait for the log per chunk."""
        name = name_of(event_name)

        def send(chunks: Iterator[Chunk], summary: PushSummary, shown: Progress) -> None:
            for chunk in chunks:
                self._push_chunk(name, chunk, summary)
                shown.add(len(chunk.rows))

        return run(rows, chunk_size, progress, send)

    def _push_chunk(self, name: str, chunk: Chunk, summary: PushSummary) -> None:
        at = 0
        while at < len(chunk.rows):
            begin = at
            payload, at, errors = _fast.encode_push_many(name, chunk.rows, begin, MAX_FRAME_BYTES)
            for index, error in errors:
                summary.refuse(chunk.first + index, local_refusal(error))
            unsent = {index for index, _ in errors}
            indices = [chunk.first + i for i in range(begin, at) if i not in unsent]
            if indices:
                count_batch(self._request(OP_PUSH_MANY, CT_MSGPACK, payload), indices, summary)

    def get(self, table: Any, key: Any = None, features: Sequence[str] | None = None) -> Row:
        """As `App.get`."""
        request = _json.read_request(name_of(table), key, features)
        row: Row = self._request(OP_GET, CT_MSGPACK, _fast.pack(request))
        return row

    def batch_get(
        self, requests: Iterable[tuple[Any, ...]], *, errors: str = "return"
    ) -> list[Row]:
        """As `App.batch_get`."""
        payload = _fast.pack({"requests": [batch_request(entry) for entry in requests]})
        body = self._request(OP_BATCH_GET, CT_MSGPACK, payload)
        return flag_errors(body["results"], errors)

    def reset(self) -> None:
        """As `App.reset`."""
        self._request(OP_RESET, CT_JSON, b"{}")

    def ping(self) -> dict[str, Any]:
        """As `App.ping`."""
        reply: dict[str, Any] = self._request(OP_PING, CT_JSON, b"{}")
        return reply

    def digest(self) -> Digest:
        """A digest of everything the engine holds."""
        out = self._ffi.new("bv_digest *")
        error = self._ffi.new("bv_error *")
        with self._lock:
            self._check(self._lib.bv_engine_digest(self._require(), out, error), error)
        return Digest((out.words[0], out.words[1]), out.entities, out.last_lsn)

    def snapshot(self) -> dict[str, int]:
        """As `App.snapshot`: {"bytes", "duration_ms", "snapshot_lsn"}."""
        out = self._ffi.new("bv_snapshot_info *")
        out.struct_size = self._ffi.sizeof("bv_snapshot_info")
        error = self._ffi.new("bv_error *")
        with self._lock:
            self._check(self._lib.bv_engine_snapshot(self._require(), out, error), error)
        return {"bytes": out.bytes, "duration_ms": out.duration_ms, "snapshot_lsn": out.lsn}

    def stats(self) -> dict[str, int]:
        """What the engine holds: entities, state_bytes, last_lsn, durable_lsn, recovered_records,
        registry_version, accumulators, recovered_from_snapshot_lsn."""
        ffi = self._ffi
        out = ffi.new("bv_engine_stats *")
        out.struct_size = ffi.sizeof("bv_engine_stats")
        error = ffi.new("bv_error *")
        with self._lock:
            self._check(self._lib.bv_engine_stats_get(self._require(), out, error), error)
        names = [name for name, _ in ffi.typeof("bv_engine_stats").fields]
        return {n: getattr(out, n) for n in names if n not in ("struct_size", "reserved")}

    def close(self) -> None:
        """Closes the engine; what was acknowledged is on disk. Twice is harmless."""
        with self._lock:
            handle, self._handle = self._handle, None
            # In a fork the engine's threads do not exist: closing there would wait for them.
            if handle is not None and self._pid == os.getpid():
                self._lib.bv_engine_close(handle)

    def __enter__(self) -> Engine:
        self._require()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<Engine {self._where}{' (closed)' if self._handle is None else ''}>"
