"""A real server in a subprocess, and clients that speak raw frames and raw HTTP to it.

Nothing here uses the beava package: a bug that client and server share would go unnoticed.
"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]

OP_PING, OP_REGISTER, OP_PUSH, OP_PUSH_MANY = 0x0000, 0x0001, 0x0010, 0x0012
OP_GET, OP_MGET, OP_GET_MULTI, OP_REPLY = 0x0020, 0x0021, 0x0022, 0x0023
OP_BATCH_GET, OP_RESET, OP_ERROR = 0x0024, 0x0040, 0xFFFF
JSON, MSGPACK = 1, 2


def binary() -> pathlib.Path:
    path = pathlib.Path(os.environ.get("BEAVA_BINARY", ROOT / "build/beava"))
    assert path.exists(), f"{path} is missing: run `make build` first"
    return path


def frame(op: int, payload: bytes, content_type: int = JSON) -> bytes:
    return struct.pack(">IHB", len(payload) + 3, op, content_type) + payload


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    data: bytes = b"",
    content_type: str = "application/json",
) -> tuple[int, str, dict[str, str]]:
    """One HTTP request on a connection of its own: status, body, headers in lower case."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, data or None, {"Content-Type": content_type})
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, text, {name.lower(): value for name, value in reply.getheaders()}
    finally:
        connection.close()


class DidNotStart(AssertionError):
    """With the exit code it ended with by itself; None: it was running and not ready."""

    def __init__(self, code: int | None, output: str) -> None:
        super().__init__(f"the server did not start (exit code {code}):\n{output}")
        self.code = code


class Server:
    """Started and ready when the constructor returns; stopped by close()."""

    def __init__(
        self,
        data_dir: pathlib.Path | None,
        *flags: str,
        test_mode: bool = True,
        env: dict[str, str] | None = None,
        timeout: float = 30.0,
        program: pathlib.Path | None = None,
        cwd: pathlib.Path | None = None,
        restore_signals: bool = True,
    ) -> None:
        command = [str(program or binary()), "--config", "/dev/null"]
        command += ["--http-addr", "127.0.0.1:0", "--tcp-addr", "127.0.0.1:0"]
        command += ["--data-dir", str(data_dir)] if data_dir else ["--memory-only"]
        command += ["--test-mode"] if test_mode else []
        clean = {name: text for name, text in os.environ.items() if not name.startswith("BEAVA_")}
        self.process = subprocess.Popen(
            [*command, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            restore_signals=restore_signals,
            env={**clean, "BEAVA_ADMIN_ADDR": "127.0.0.1:0", **(env or {})},
        )
        self.lines: list[str] = []
        self.is_finished = False
        self.addresses: dict[str, tuple[str, int]] = {}
        self.ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self.ready.wait(timeout) or "tcp" not in self.addresses:
            try:
                code = self.process.wait(1)
            except subprocess.TimeoutExpired:
                code = None
                self.process.kill()
                self.process.wait()
            raise DidNotStart(code, self.output())
        self.http = self.addresses["http"]
        self.tcp = self.addresses["tcp"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.lines.append(line)
            try:
                record = json.loads(line)
            except ValueError:
                continue
            kind = record.get("kind", "") if isinstance(record, dict) else ""
            if kind in ("server.http_bound", "server.tcp_bound", "server.admin_bound"):
                host, port = record["addr"].rsplit(":", 1)
                self.addresses[kind[7:].removesuffix("_bound")] = (host, int(port))
            if {"http", "tcp"} <= self.addresses.keys():
                self.ready.set()
        self.ready.set()

    def output(self) -> str:
        errors = b""
        if self.process.poll() is not None and self.process.stderr is not None:
            errors = self.process.stderr.read()
        return "\n".join(self.lines) + "\n" + errors.decode(errors="replace")

    def records(self) -> Iterator[dict[str, Any]]:
        for line in self.lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._finish()

    def close(self, expect: int | None = 0) -> None:
        if self.is_finished:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop:\n{self.output()}") from None
        self._reader.join(5)
        output = self.output()
        self._finish()
        assert expect is None or code == expect, f"exit code {code}:\n{output}"

    def _finish(self) -> None:
        self.is_finished = True
        self._reader.join(5)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Requests of one reply each.

    def connect(self) -> Connection:
        return Connection(self.tcp)

    def call(self, op: int, payload: object) -> tuple[int, Any]:
        with self.connect() as connection:
            return connection.call(op, payload)

    def post(self, path: str, body: object) -> tuple[int, Any, dict[str, str]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data)

    def request(
        self, method: str, path: str, data: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, Any, dict[str, str]]:
        status, text, headers = ask(self.http, method, path, data, content_type)
        return status, json.loads(text) if text else None, headers

    def admin(self, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
        return ask(self.addresses["admin"], method, path)

    def register(self, nodes: list[dict[str, Any]], **extra: object) -> dict[str, Any]:
        status, reply, _ = self.post("/register", {"nodes": nodes, **extra})
        assert status == 200, reply
        return reply

    def get(self, table: str, key: object) -> dict[str, Any]:
        status, reply, _ = self.post("/get", {"table": table, "key": key})
        assert status == 200, reply
        return reply


class Connection:
    """A TCP connection that sends and receives whole frames."""

    def __init__(self, address: tuple[str, int], timeout: float = 30.0) -> None:
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, int, bytes] | None:
        """opcode, content type, payload; None at the end of the stream."""
        while True:
            if len(self.buffer) >= 4:
                (length,) = struct.unpack(">I", self.buffer[:4])
                if len(self.buffer) >= 4 + length:
                    op, content_type = struct.unpack(">HB", self.buffer[4:7])
                    payload = bytes(self.buffer[7 : 4 + length])
                    del self.buffer[: 4 + length]
                    return op, content_type, payload
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                assert not self.buffer, f"the stream ends inside a frame: {bytes(self.buffer)!r}"
                return None
            self.buffer += chunk

    def call(self, op: int, payload: object, content_type: int = JSON) -> tuple[int, Any]:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send(frame(op, data, content_type))
        reply = self.receive()
        assert reply is not None, "the server closed the connection"
        return reply[0], json.loads(reply[2])

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
