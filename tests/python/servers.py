# SPDX-License-Identifier: Apache-2.0
"""Servers of a few lines, for what a real one does not do on demand."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator

from beava._wire import Frame, IncompleteFrame, encode_frame, read_frame

ACK = b'{"ack_lsn":%d,"idempotent_replay":false,"registry_version":1}'

# Gets each frame and its number on the connection; returns the bytes to answer, None to close.
Answer = Callable[[int, Frame], bytes | None]


class TcpServer:
    """Accepts connections and answers frames until it is closed."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.frames: list[Frame] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        number = 0
        try:
            while True:
                frame = read_frame(conn)
                self.frames.append(frame)
                reply = self.answer(number, frame)
                if reply is None:
                    break
                conn.sendall(reply)
                number += 1
        except (OSError, IncompleteFrame):
            pass
        finally:
            conn.close()

    def close(self) -> None:
        # close() alone does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conn in self._open:
            conn.close()


@contextlib.contextmanager
def tcp_server(answer: Answer) -> Iterator[TcpServer]:
    server = TcpServer(answer)
    try:
        yield server
    finally:
        server.close()


def json_frame(opcode: int, body: object) -> bytes:
    return encode_frame(opcode, 1, json.dumps(body).encode())


class HttpServer(http.server.ThreadingHTTPServer):
    """Records requests; answers each with (status, headers, body) of a function."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes]]) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        recorded = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                recorded.append((self.command, self.path, body))
                status, headers, reply = answer(self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = _handle

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@contextlib.contextmanager
def http_server(
    answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes]],
) -> Iterator[HttpServer]:
    server = HttpServer(answer)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
