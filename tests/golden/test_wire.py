"""The conformance examples of the wire contract (wire.md 10), run in order against our server.

Extra members are allowed inside and beside `error` objects, in ping replies, in dry-run bodies and
in diff entries; everything else is exact.
"""

from __future__ import annotations

import json
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from support.server import Connection, Server, frame

LINES = [
    json.loads(line)
    for line in pathlib.Path(__file__).with_name("wire.jsonl").read_text().splitlines()
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(None) as running:
        yield running


class Matcher:
    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}

    def expand(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            name, _, member = value[1:].partition(".")
            if name in self.saved:
                return self.saved[name][member] if member else self.saved[name]
        return value

    def match(self, want: Any, got: Any, path: tuple[str, ...], loose: bool) -> None:
        want = self.expand(want)
        where = ".".join(path) or "reply"
        if isinstance(want, str) and want.startswith("$"):
            self.special(want[1:], got, where)
        elif isinstance(want, dict):
            assert isinstance(got, dict), where
            missing = want.keys() - got.keys()
            assert not missing, f"{where}: missing {missing}"
            extra = got.keys() - want.keys()
            assert loose or "error" in path or "diff" in path or not extra, f"{where}: {extra}"
            for name in want:
                self.match(want[name], got[name], (*path, name), loose and path == ())
        elif isinstance(want, list):
            assert isinstance(got, list) and len(want) == len(got), f"{where}: {want} != {got}"
            for index, (w, g) in enumerate(zip(want, got, strict=True)):
                self.match(w, g, (*path, str(index)), False)
        else:
            assert type(want) is type(got) and want == got, f"{where}: {want!r} != {got!r}"

    def special(self, what: str, got: Any, where: str) -> None:
        if what == "any":
            return
        if what == "int":
            assert isinstance(got, int) and not isinstance(got, bool), where
        elif what == "str":
            assert isinstance(got, str), where
        elif what.startswith("has:"):
            for part in what[4:].split("&"):
                assert part in got, f"{where}: {part!r} not in {got!r}"
        elif what.startswith("set:"):
            assert sorted(got) == sorted(what[4:].split(",")), where
        else:
            raise AssertionError(f"unknown pattern ${what}")


def send_tcp(server: Server, line: dict[str, Any], body: Any) -> tuple[int, int, bytes]:
    if "hex" in line:
        payload = bytes.fromhex(line["hex"])
    elif "mp" in line:
        payload = msgpack.packb(line["mp"])
    else:
        payload = json.dumps(body).encode()
    with server.connect() as connection:
        connection.send(frame(int(line["tcp"], 16), payload, int(line.get("ct", "01"), 16)))
        reply = connection.receive()
        assert reply is not None
        assert connection.call(0, {})[0] == 0, "the connection answers a ping afterwards"
    return reply


def loose_members(line: dict[str, Any]) -> bool:
    """Replies that may carry more than v0 sends: errors, pings, dry runs, warnings of register."""
    return (
        "error" in line["r"]
        or line.get("p") in ("/ping", "/register")
        or line.get("tcp") in ("0000", "0001")
    )


def run_line(server: Server, matcher: Matcher, line: dict[str, Any]) -> None:
    body = matcher.expand(line.get("b"))
    if "save" in line:
        matcher.saved[line["save"]] = body
    if "tcp" in line:
        op, content_type, payload = send_tcp(server, line, body)
        assert op == int(line["op"], 16), payload
        assert content_type == int(line.get("rct", "01"), 16)
        got = msgpack.unpackb(payload) if content_type == 2 else json.loads(payload)
    else:
        data = line["raw_b"].encode() if "raw_b" in line else json.dumps(body).encode()
        if line["m"] == "GET":
            data = b""
        status, got, headers = server.request(
            line["m"], line["p"], data, line.get("ct", "application/json")
        )
        assert status == line["s"], got
        assert headers["x-runtime"] == "hand-rolled"
        for name, value in line.get("h", {}).items():
            assert headers[name] == value
        if "raw" in line:
            assert json.dumps(got, separators=(",", ":")) == line["raw"]
    matcher.match(line["r"], got, (), loose_members(line))
    if "save_r" in line:
        matcher.saved[line["save_r"]] = got


def test_conformance_examples_pass_in_order(server: Server) -> None:
    matcher = Matcher()
    failures = []
    assert len(LINES) == 73
    for line in LINES:
        try:
            run_line(server, matcher, line)
        except AssertionError as error:
            failures.append(f"line {line['id']}: {error}")
    assert not failures, "\n".join(failures)


# The hex dumps of wire.md 2, complete frames.


def frame_hex(op: int, content_type: int, payload: bytes) -> bytes:
    return struct.pack(">IHB", len(payload) + 3, op, content_type) + payload


NODES = [
    {"kind": "event", "name": "Tx", "schema": {"fields": {"u": "str", "n": "i64"}}},
    {
        "kind": "derivation",
        "name": "T",
        "output_kind": "table",
        "upstreams": ["Tx"],
        "ops": [
            {
                "op": "group_by",
                "keys": ["u"],
                "agg": {"c": {"op": "count"}, "s": {"op": "sum", "params": {"field": "n"}}},
            }
        ],
        "table_primary_key": ["u"],
    },
]

EXCHANGES = [
    # request, reply ("" = only the opcode 0xffff matters), in hex
    (
        "000000280010017b226576656e74223a225478222c22626f6479223a7b2275223a2261222c226e223a357d7d",
        "ack",
    ),
    ("0000001a00100282a56576656e74a25478a4626f647982a175a161a16e07", "ack"),
    (
        "0000001a0020017b227461626c65223a2254222c226b6579223a2261227d",
        "000000130023017b2263223a322c2273223a31322e307d",
    ),
    (
        "000000120020 0282a57461626c65a154a36b6579a161",
        "0000001200230282a16302a173cb4028000000000000",
    ),
    (
        "0000001800210282a766656174757265a163a46b65797392a161a162",
        "0000000a00230281a16181a16302",
    ),
    (
        "0000001a00220282a46b65797391a161a8666561747572657392a163a173",
        "0000001500230281a16182a16302a173cb4028000000000000",
    ),
    (
        "0000002900240281a8726571756573747391"
        "83a57461626c65a154a36b6579a161a8666561747572657391a163",
        frame_hex(0x23, 1, b'{"results":[{"c":2}]}').hex(),
    ),
]


def test_hex_dumps_of_the_contract_are_exact() -> None:
    with Server(None) as running, running.connect() as connection:
        op, _ = connection.call(1, {"nodes": NODES})
        assert op == 1
        for request, wanted in EXCHANGES:
            connection.send(bytes.fromhex(request.replace(" ", "")))
            reply = connection.receive()
            assert reply is not None
            if wanted == "ack":
                assert reply[0] == 0x10 and reply[1] == 1
                assert set(json.loads(reply[2])) == {
                    "ack_lsn",
                    "idempotent_replay",
                    "registry_version",
                }
            else:
                assert frame_hex(*reply).hex() == wanted.replace(" ", "")


# The stream examples S1 to S18 and S20 (S19 needs a restart: tests/e2e).


def ping() -> bytes:
    return bytes.fromhex("00000003000001")


def read_all(connection: Connection) -> list[tuple[int, int, bytes]]:
    replies = []
    while (reply := connection.receive()) is not None:
        replies.append(reply)
    return replies


def test_s1_s2_pipelined_replies_keep_their_order(server: Server) -> None:
    with server.connect() as connection:
        connection.send(ping() * 3)
        assert [connection.receive()[0] for _ in range(3)] == [0, 0, 0]  # type: ignore[index]
        connection.send(ping() + frame(0x20, b'{"table":"Nope","key":"a"}') + ping())
        assert [connection.receive()[0] for _ in range(3)] == [0, 0xFFFF, 0]  # type: ignore[index]


def test_s3_a_frame_may_come_in_pieces(server: Server) -> None:
    with server.connect() as connection:
        connection.send(ping()[:5])
        connection.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
        connection.socket.settimeout(10)
        connection.send(ping()[5:])
        assert connection.receive()[0] == 0  # type: ignore[index]


def test_s4_an_oversized_frame_is_named_and_closed(server: Server) -> None:
    with server.connect() as connection:
        connection.send(ping() + struct.pack(">I", 4194308))
        first, second = read_all(connection)
        assert first[0] == 0 and second[0] == 0xFFFF
        error = json.loads(second[2])["error"]
        assert (error["code"], error["declared"], error["limit"]) == (
            "frame_too_large",
            4194308,
            4194307,
        )


def test_s5_the_largest_frame_is_taken(server: Server) -> None:
    with server.connect() as connection:
        connection.send(frame(0, b" " * 4194304))
        assert connection.receive()[0] == 0  # type: ignore[index]


def test_s6_a_short_length_is_an_error_frame(server: Server) -> None:
    with server.connect() as connection:
        connection.send(bytes.fromhex("000000020000"))
        (reply,) = read_all(connection)
        assert json.loads(reply[2])["error"]["code"] == "frame_error"


def test_s14_a_half_closed_client_gets_its_replies(server: Server) -> None:
    with server.connect() as connection:
        connection.send(ping() * 3)
        connection.socket.shutdown(1)
        assert [reply[0] for reply in read_all(connection)] == [0, 0, 0]


def test_s15_deep_messagepack_is_refused_and_the_connection_lives(server: Server) -> None:
    body = b"\x82\xa5event\xa2Tx\xa4body" + b"\x91" * 2_000_000
    with server.connect() as connection:
        connection.send(frame(0x10, body, 2) + ping())
        refused, pong = connection.receive(), connection.receive()
        assert refused is not None and pong is not None
        assert json.loads(refused[2])["error"]["code"] == "invalid_event"
        assert pong[0] == 0


def http_exchange(server: Server, *pieces: bytes) -> bytes:
    """Sends the pieces, half-closes nothing, reads until the server closes or falls silent."""
    import socket

    with socket.create_connection(server.http, 10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.settimeout(1.0)
        data = b""
        try:
            while chunk := connection.recv(65536):
                data += chunk
        except (TimeoutError, ConnectionResetError):
            data += b"<open>"
        return data


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def test_s8_pipelined_http_keeps_its_order(server: Server) -> None:
    data = http_exchange(
        server,
        b"POST /ping HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
        b"GET /health HTTP/1.1\r\n\r\nPOST /nope HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    )
    assert statuses(data) == [200, 200, 404]


def test_s9_a_chunked_body_is_the_same_body(server: Server) -> None:
    data = http_exchange(
        server,
        b"POST /get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'8;ext=1\r\n{"table"\r\n',
        b'7\r\n:"Nope"\r\n',
        b'a\r\n,"key":"a"\r\n1\r\n}\r\n0\r\n\r\n',
        b"GET /health HTTP/1.1\r\n\r\n",
    )
    assert statuses(data) == [404, 200]
    assert b"unknown_table" in data


def test_s10_header_lines_are_counted(server: Server) -> None:
    def request(lines: int) -> bytes:
        return b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * lines + b"\r\n"

    assert statuses(http_exchange(server, request(64))) == [200]
    data = http_exchange(server, request(65))
    assert statuses(data) == [431] and not data.endswith(b"<open>")


def test_s11_the_body_limit_is_exact(server: Server) -> None:
    pad = b" " * (4194304 - 30)
    body = b'{"event":"Nope","data":{}}' + pad
    body = body[:4194304].ljust(4194304)
    head = b"POST /push HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    assert statuses(http_exchange(server, head % 4194304, body)) == [404]
    data = http_exchange(server, head % 4194305)
    assert statuses(data) == [413] and not data.endswith(b"<open>")


def test_s12_garbage_after_a_request_is_answered_and_closed(server: Server) -> None:
    data = http_exchange(server, b"GET /health HTTP/1.1\r\n\r\ngarbage\r\n\r\n")
    assert statuses(data) == [200, 400] and not data.endswith(b"<open>")


def test_s13_connection_close_is_honoured(server: Server) -> None:
    data = http_exchange(server, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert statuses(data) == [200] and not data.endswith(b"<open>")
    assert b"Connection: close" in data


def test_s16_s17_chunk_sizes_are_bounded(server: Server) -> None:
    head = b"POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = http_exchange(server, head + b"ffffffffffffffff\r\n")
    assert statuses(data)[0] in (400, 413) and not data.endswith(b"<open>")
    data = http_exchange(server, head + b"2625a00\r\n" + b"a" * 5_000_000)
    assert statuses(data) == [413]
    assert server.request("GET", "/health")[0] == 200


DEDUPED = [
    {
        "kind": "event",
        "name": "Pay",
        "schema": {"fields": {"u": "str", "id": "str"}},
        "dedupe_key": "id",
    },
    {
        "kind": "derivation",
        "name": "Paid",
        "output_kind": "table",
        "upstreams": ["Pay"],
        "ops": [{"op": "group_by", "keys": ["u"], "agg": {"n": {"op": "count"}}}],
        "table_primary_key": ["u"],
    },
]


def test_s18_a_reset_forgets_dedupe_keys() -> None:
    with Server(None, "--test-mode") as running:
        running.register(DEDUPED)
        _, first, _ = running.post("/push/Pay", {"u": "a", "id": "1"})
        status, again, headers = running.post("/push/Pay", {"u": "b", "id": "1"})
        assert status == 200 and again == first
        assert headers["x-beava-idempotent-replay"] == "1"
        assert running.post("/reset", {})[0] == 200
        running.register(DEDUPED)
        _, anew, headers = running.post("/push/Pay", {"u": "a", "id": "1"})
        assert anew["ack_lsn"] > first["ack_lsn"]
        assert "x-beava-idempotent-replay" not in headers
        assert running.get("Paid", "a") == {"n": 1}
        assert running.get("Paid", "b") == {}


def test_v54_a_killed_server_knows_what_it_accepted(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as running:
        running.register(DEDUPED)
        _, first, _ = running.post("/push/Pay", {"u": "a", "id": "1"})
        running.kill()
    with Server(tmp_path) as running:
        _, again, headers = running.post("/push-sync/Pay", {"u": "a", "id": "1"})
        assert again == first
        assert headers["x-beava-idempotent-replay"] == "1"
        _, reply, _ = running.post("/push-batch/Pay", [{"u": "a", "id": "1"}, {"u": "a"}])
        assert (reply["accepted"], reply["replayed"], len(reply["refused"])) == (0, [0], 1)
        assert running.get("Paid", "a") == {"n": 1}


def test_s20_a_forced_payload_is_judged_against_what_will_be(server: Server) -> None:
    with Server(None) as running:
        running.register(NODES)
        running.post("/push/Tx", {"u": "a", "n": 1})
        status, reply, _ = running.post("/register", {"nodes": [NODES[1]], "force": True})
        assert status == 400 and reply["error"]["code"] == "invalid_registration"
        assert running.get("T", "a") == {"c": 1, "s": 1.0}
