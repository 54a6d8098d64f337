# SPDX-License-Identifier: Apache-2.0
"""Any byte sequence on either port gets the specified error or a clean close.

After each test the server still answers, every acknowledged event was counted in every table once
and no other event in any, and random bytes left no memory behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.server import JSON, MSGPACK, OP_ERROR, OP_GET, OP_PUSH, Connection, Server, frame

SEED = int(os.environ.get("SEED", "20260"))


def of(op: str, **params: Any) -> dict[str, Any]:
    return {"op": op, "params": params}


NODES = [
    {
        "kind": "event",
        "name": "E",
        "schema": {
            "fields": {"k": "str", "n": "i64", "f": "f64", "b": "bool", "j": "json"},
            "optional_fields": ["f", "b", "j"],
        },
    },
    *(
        {
            "kind": "derivation",
            "name": name,
            "output_kind": "table",
            "upstreams": ["E"],
            "ops": [{"op": "group_by", "keys": keys, "agg": agg}],
            "table_primary_key": keys,
        }
        for name, keys, agg in (
            ("PerKey", ["k"], {"count": {"op": "count"}, "last": of("last", field="n")}),
            ("PerPair", ["k", "n"], {"pairs": {"op": "count"}}),
            ("All", [], {"all": {"op": "count"}, "all_1h": of("count", window="1h")}),
        )
    ),
]  # fmt: skip
GOOD = {"k": "a", "n": 1}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(None, test_mode=False) as running:  # garbage may well ask for a reset
        running.register(NODES)
        yield running


def total(server: Server) -> int:
    row = server.get("All", "")
    assert row.get("all", 0) == row.get("all_1h", 0)
    return int(row.get("all", 0))


def exchange(
    address: tuple[str, int], data: bytes, *, half_close: bool = True, timeout: float = 10.0
) -> bytes:
    """Everything the server says until it closes. A reset instead of a close fails."""
    with socket.create_connection(address, timeout) as client:
        with contextlib.suppress(BrokenPipeError):  # it may have said its last word already
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        received = bytearray()
        while chunk := client.recv(1 << 16):
            received += chunk
        return bytes(received)


def frames(data: bytes) -> list[tuple[int, Any]]:
    """The opcodes and bodies of a stream of whole frames."""
    found = []
    while data:
        assert len(data) >= 7, data
        (length,) = struct.unpack(">I", data[:4])
        op, content_type = struct.unpack(">HB", data[4:7])
        assert len(data) >= 4 + length, f"the stream ends inside a frame: {data!r}"
        payload, data = data[7 : 4 + length], data[4 + length :]
        found.append((op, json.loads(payload) if content_type == JSON else payload))
    return found


def responses(data: bytes) -> list[tuple[int, Any]]:
    """The statuses and bodies of a stream of whole HTTP responses."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"no response: {head!r}"
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]+\r\n", head)[1])
        length = int(re.search(rb"\r\nContent-Length: (\d+)(\r|$)", head)[1])
        assert len(data) >= length
        found.append((status, json.loads(data[:length]) if length else None))
        data = data[length:]
    return found


def http(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def code(body: Any) -> str:
    error = body["error"]
    assert error["message"], "every error says something"
    return str(error["code"])


# ---- every code of wire.md 8 ---------------------------------------------------------------------


def group(agg: dict[str, Any], *ops: Any, **members: Any) -> dict[str, Any]:
    node = {
        "kind": "derivation",
        "name": "New",
        "output_kind": "table",
        "upstreams": ["E"],
        "ops": [*ops, {"op": "group_by", "keys": ["k"], "agg": agg}],
        "table_primary_key": ["k"],
    }
    return {**node, **members}


COUNT = {"new": {"op": "count"}}


def feature(op: str, **params: Any) -> dict[str, Any]:
    return group({"new": of(op, **params)})


PUSHES = [
    ("invalid_event", {"k": "a"}, "n"),
    ("invalid_event", {"k": None, "n": 1}, "k"),
    ("invalid_event", {"k": "a", "n": "1"}, "n"),
    ("invalid_event", {"k": 5, "n": 1}, "k"),
    ("invalid_event", {**GOOD, "b": 1}, "b"),
    ("unknown_field_v0", {**GOOD, "zz": 1}, "zz"),
    ("unknown_field_event_time_v0", {**GOOD, "event_time": 1}, "event_time"),
    ("control_character_in_string", {"k": "a\x01", "n": 1}, "k"),
    ("control_character_in_string", {**GOOD, "j": {"x": ["\x00"]}}, "j"),
    ("control_character_in_string", {**GOOD, "\x07": 1}, None),
]


@pytest.mark.parametrize(("wanted", "body", "field"), PUSHES)
def test_a_refused_event_names_its_field(
    server: Server, wanted: str, body: dict[str, Any], field: str | None
) -> None:
    status, http_reply, _ = server.post("/push/E", body)
    verb_status, verb_reply, _ = server.post("/push", {"event": "E", "data": body})
    op, tcp_reply = server.call(OP_PUSH, {"event": "E", "body": body})
    assert (status, verb_status, op) == (400, 400, OP_ERROR)
    for reply in (http_reply, verb_reply, tcp_reply):
        assert code(reply) == wanted
        assert reply["registry_version"] == 1
        if field is not None:
            path = reply["error"]["path"]
            assert re.search(rf"(^|\.){field}\b", path), path
    assert total(server) == 0


REGISTRATIONS = [
    ("feature_removed_no_joins_v0", group(COUNT, {"op": "join"}), "ops[0]"),
    ("feature_removed_no_unions_v0", group(COUNT, {"op": "union"}), "ops[0]"),
    ("unknown_field_event_time_v0", group(COUNT, event_time_field="t"), "event_time_field"),
    ("unknown_field_tolerate_delay_v0", group(COUNT, tolerate_delay_ms=1), "tolerate_delay_ms"),
    ("unsupported_node_kind", {"kind": "table", "name": "New"}, "kind"),
    ("unbounded_op_in_lifetime_mode", group({"new": {"op": "nope"}}), "agg.new"),
    ("invalid_registration", {"kind": "event", "name": "New"}, "<body>"),
    ("invalid_registration", {"kind": "event", "name": "a-b", "schema": {"fields": {"x": "i64"}}},
     "nodes[4].name"),
    ("invalid_registration", group(COUNT, upstreams=["Nope"]), "nodes[4].upstreams[0]"),
    ("invalid_expression", group(COUNT, {"op": "filter", "expr": "(n >"}), "nodes[4].ops[0].expr"),
    ("invalid_expression", group(COUNT, {"op": "drop", "fields": ["zz"]}), "nodes[4].ops[0]"),
    ("aggregation_on_table_not_supported", group(COUNT, upstreams=["PerKey"]), "upstreams[0]"),
    ("aggregation_unknown_field", feature("sum", field="zz"), "agg.new.params.field"),
    ("aggregation_unknown_op", feature("nope", window="1h"), "agg.new.op"),
    ("aggregation_invalid_where", feature("count", where="(zz > 1)"), "agg.new.params.where"),
    ("aggregation_invalid_window", feature("count", window="1hour"), "agg.new.params.window"),
    ("aggregation_group_key_collides_with_feature", group({"k": {"op": "count"}}), "agg.k"),
    ("aggregation_feature_name_collision_across_aggregations", group({"count": {"op": "count"}}),
     "features.count"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "node", "path"), REGISTRATIONS)
def test_a_refused_registration_names_its_place(
    server: Server, wanted: str, node: dict[str, Any], path: str
) -> None:
    payload = {"nodes": [*NODES, node]}
    status, http_reply, _ = server.post("/register", payload)
    op, tcp_reply = server.call(0x01, payload)
    assert (status, op) == (400, OP_ERROR)
    assert http_reply == tcp_reply
    assert code(http_reply) == wanted
    assert path in http_reply["error"]["path"]
    assert server.post("/ping", {})[1]["registry_version"] == 1
    assert server.post("/get", {"table": "New", "key": "a"})[0] == 404


def test_a_destructive_registration_needs_force(server: Server) -> None:
    for payload in ({"nodes": NODES[:2]}, {"nodes": []}):
        status, reply, _ = server.post("/register", payload)
        assert (status, code(reply)) == (409, "force_required")
        assert reply["error"]["diff"]["destructive"]
    assert total(server) == 0


READS: list[tuple[str, int, Any]] = [
    ("unknown_table", 404, {"table": "Nope", "key": "a"}),
    ("unknown_table", 404, {"table": "E", "key": "a"}),
    ("key_parse_failure", 404, {"table": "PerPair", "key": "a"}),
    ("key_parse_failure", 404, {"table": "All", "key": "a"}),
    ("key_parse_failure", 404, {"table": "PerPair", "key": ["a"]}),
    ("internal_error", 500, {"table": "PerKey", "key": "a", "features": ["zz"]}),
    ("unsupported_request_shape", 400, {"keys": ["a"], "features": ["count"]}),
    ("unsupported_request_shape", 400, {"feature": "count", "key": "a"}),
    ("internal_error", 400, {"table": 5, "key": "a"}),
    ("internal_error", 400, {"table": "PerKey"}),
    ("internal_error", 400, {"table": "PerKey", "key": {}}),
    ("internal_error", 400, {"table": "PerKey", "key": "a", "features": 1}),
    ("internal_error", 400, b"{"),
    ("internal_error", 400, b""),
    ("internal_error", 400, b"[" * 200),
    ("internal_error", 400, b'{"table":"PerKey","key":"a"} x'),
]


@pytest.mark.parametrize(("wanted", "status", "request_body"), READS)
def test_a_refused_read_has_its_code(
    server: Server, wanted: str, status: int, request_body: Any
) -> None:
    got, reply, _ = server.post("/get", request_body)
    assert (got, code(reply)) == (status, wanted)
    op, reply = server.call(OP_GET, request_body)
    assert (op, code(reply)) == (OP_ERROR, wanted)


def test_routes_and_opcodes_that_are_not_there(server: Server) -> None:
    for method, path, status, wanted in (
        ("GET", "/nope?x=1", 404, "not_found"),
        ("POST", "/push-batch", 404, "not_found"),
        ("GET", "/push", 405, "method_not_allowed"),
        ("DELETE", "/get", 405, "method_not_allowed"),
        ("GET", "/get/count/nobody", 404, "key_not_found"),
        ("GET", "/get/nope/a", 404, "feature_not_found"),
        ("GET", "/get/pairs/a", 404, "key_parse_failure"),
    ):
        got, reply, headers = server.request(method, path)
        assert (got, code(reply)) == (status, wanted), path
        assert (status == 405) == ("allow" in headers)
    got, reply, _ = server.request("POST", "/register", b"{}", "text/plain")
    assert (got, code(reply), reply["registry_version"]) == (415, "unsupported_media_type", 0)
    with server.connect() as connection:
        for op in (0x13, 0x14, 0x23, 0x1234, 0xFFFF):
            assert code(connection.call(op, {})[1]) == "unknown_op"
        for op in (0x11, 0x30, 0x31):
            assert code(connection.call(op, {})[1]) == "op_not_implemented"
        for op in (0x01, 0x10, 0x20, 0x24):
            assert code(connection.call(op, {}, content_type=7)[1]) == "unsupported_content_type"
        assert code(connection.call(0x01, b"\x80", MSGPACK)[1]) == "unsupported_content_type"
        assert connection.call(0x00, b"whatever", 9)[0] == 0, "ping takes anything"


ENVELOPES = [
    (b"", "invalid_json_body"),
    (b"{", "invalid_json_body"),
    (b'{"event":"E","body":{"k":"a","n":1},}', "invalid_json_body"),
    (b'{"event":"E","body":{"k":"a","n":1}} x', "invalid_json_body"),
    (b'{"event":"E","body":{"k":"a","n":1},"z":\xff}', "invalid_json_body"),
    (b'{"body":{"k":"a","n":1}}', "missing_event_name_in_body"),
    (b'{"event":5,"body":{"k":"a","n":1}}', "missing_event_name_in_body"),
    (b'{"event":"E","body":[]}', "invalid_event"),
    (b'{"event":"E","body":{"k":"a","n":1,"n":2}}', "invalid_event"),
    (b'{"event":"Nope","body":{}}', "event_not_found"),
    (b'{"event":"All","body":{}}', "event_not_found"),
    (b'{"event":"E","body":{"k":"a","n":1e400}}', None),
    (b'{"event":"E","body":{"k":"\\ud800","n":1}}', None),
    (b'{"event":"E","body":{"k":"a\x01","n":1}}', None),
    (b'{"event":"E","body":{"k":"a","n":NaN}}', None),
    (b'{"event":"E","body":{"k":"a","n":01}}', None),
    (b'{"event":"E","body":{"k":"a","n":1,"j":' + b"[" * 200 + b"]" * 200 + b"}}", None),
]


@pytest.mark.parametrize(("payload", "wanted"), ENVELOPES)
def test_a_malformed_push_is_refused_whole(
    server: Server, payload: bytes, wanted: str | None
) -> None:
    """None: the text is malformed somewhere inside; either name of that is right."""
    op, reply = server.call(OP_PUSH, payload)
    assert op == OP_ERROR
    assert code(reply) in ((wanted,) if wanted else ("invalid_json_body", "invalid_event"))
    status, reply, _ = server.post("/push", payload)
    assert status == (404 if wanted == "event_not_found" else 400)
    assert total(server) == 0


PACKED = [
    b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03", b"\x82\xa5event\xa1E", b"\xdf\xff\xff\xff\xff",
    b"\x82\xa5event\xa1E\xa4body\xdd\xff\xff\xff\xff", b"\x82\xa5event\xa1E\xa4body\x90",
    b"\x82\xa5event\xa1E\xa4body\x82\xa1k\xa1a\xa1n\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x82\xa5event\xa1E\xa4body\x82\xa1k\xa1a\xa1n\xd4\x01\x00",
    b"\x82\xa5event\xa1E\xa4body\x82\xa1k\xa1\xff\xa1n\x01",
    b"\x82\xa5event\xa1E\xa4body\x82\x01\xa1a\xa1n\x01",
    b"\x82\xa5event\xc4\x01E\xa4body\x82\xa1k\xa1a\xa1n\x01",
    b"\x82\xa5event\xa1E\xa4body\x83\xa1k\xa1a\xa1n\x01\xa1j" + b"\x91" * 2_000_000,
]  # fmt: skip


def test_malformed_messagepack_is_refused_whole(server: Server) -> None:
    """S15 is the last: nesting that overflows a recursive decoder."""
    with server.connect() as connection:
        for payload in PACKED:
            op, reply = connection.call(OP_PUSH, payload, MSGPACK)
            assert op == OP_ERROR, payload[:40]
            assert code(reply) in ("invalid_event", "invalid_json_body",
                                   "missing_event_name_in_body"), payload[:40]  # fmt: skip
        for op in (0x20, 0x21, 0x22, 0x24):
            for payload in PACKED[:6]:
                assert connection.call(op, payload, MSGPACK)[0] == OP_ERROR
    assert total(server) == 0


# ---- streams: the table of wire.md 10 ------------------------------------------------------------


def test_framed_streams_end_as_specified(server: Server) -> None:
    ping, lost = frame(0, b""), frame(OP_GET, b'{"table":"Nope","key":"a"}')
    push = frame(OP_PUSH, json.dumps({"event": "E", "body": GOOD}).encode())
    replies = frames(exchange(server.tcp, ping * 3))  # S1, S14
    assert [op for op, _ in replies] == [0, 0, 0]
    replies = frames(exchange(server.tcp, ping + lost + ping))  # S2
    assert [op for op, _ in replies] == [0, OP_ERROR, 0]
    # S4, S6: the server closes by itself, after the answers to what came before.
    for bad, wanted in (
        (struct.pack(">IHB", 4_194_308, 0, 1), "frame_too_large"),
        (b"\x00\x00\x00\x02\x00\x00", "frame_error"),
        (b"\x00\x00\x00\x00", "frame_error"),
        (b"GET / HTTP/1.1\r\n\r\n", "frame_too_large"),
    ):
        replies = frames(exchange(server.tcp, push + bad + push, half_close=False))
        assert [op for op, _ in replies] == [OP_PUSH, OP_ERROR], bad
        assert code(replies[1][1]) == wanted
        if wanted == "frame_too_large":
            assert replies[1][1]["error"]["limit"] == 4_194_307
    assert total(server) == 4, "what follows a bad frame is not executed"
    with server.connect() as connection:  # S5
        assert connection.call(0, b" " * 4_194_304)[0] == 0
    # An incomplete frame at the end is discarded without a word.
    for cut in range(1, len(push)):
        assert frames(exchange(server.tcp, ping + push[:cut])) == frames(exchange(server.tcp, ping))
    assert total(server) == 4


def test_http_streams_end_as_specified(server: Server) -> None:
    health = http("GET", "/health")

    def ends(data: bytes, *wanted: tuple[int, str | None]) -> None:
        """The replies, and then the server's own close."""
        found = responses(exchange(server.http, data, half_close=False))
        assert [(s, code(b) if "error" in b else None) for s, b in found] == list(wanted), data[:80]

    ok = (200, None)
    bad = (400, "http_protocol_error")
    headers = (431, "http_protocol_error")
    close = "Connection: close"
    found = responses(
        exchange(server.http, http("POST", "/ping") + health + http("POST", "/nope"))
    )  # S8
    assert [status for status, _ in found] == [200, 200, 404]
    ends(http("GET", "/health", b"", close), ok)  # S13
    ends(b"GET /health HTTP/1.0\r\n\r\n", ok)
    ends(health + b"garbage\r\n\r\n" + health, ok, bad)  # S12
    ends(b"GET /health HTTP/2.0\r\n\r\n", bad)
    ends(b"POST /ping HTTP/1.1\r\nContent-Length: x\r\n\r\n", bad)
    ends(b"POST /ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n", bad)
    ends(b"POST /ping HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", bad)
    ends(b"POST /ping HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", bad)
    chunked = b"POST /get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ends(chunked + b"zz\r\n", bad)
    for size in (b"ffffffffffffffff", b"7fffffffffffffff", b"fffffffffffffffff"):  # S16
        ((status, body),) = responses(
            exchange(server.http, chunked + size + b"\r\n", half_close=False)
        )
        assert (status, code(body)) in ((413, "payload_too_large"), bad)
    lines = b"".join(b"x%d: y\r\n" % i for i in range(70))
    ends(b"GET /health HTTP/1.1\r\n" + lines + b"\r\n", headers)  # S10
    ends(b"GET /health HTTP/1.1\r\nx: " + b"y" * 40_000, headers)
    declared = b"POST /push HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n"
    ends(declared, (413, "payload_too_large"))  # S11
    request = b'{"table":"PerKey","key":"zz"}'
    pieces = b"".join(b"%x;a=b\r\n%s\r\n" % (len(p), p) for p in (request[:5], request[5:]))
    ends(chunked + pieces + b"0\r\nTrailer: x\r\n\r\n" + http("GET", "/health", b"", close), ok, ok)
    whole = http("POST", "/push/E", json.dumps(GOOD).encode())
    for cut in range(1, len(whole)):
        assert exchange(server.http, whole[:cut]) == b""
    assert total(server) == 0, "an incomplete request is not executed"


def test_a_chunked_body_has_the_limit_of_any_body(server: Server) -> None:
    """S17: 40 MB in chunks. The refusal arrives although the client is still sending."""
    with socket.create_connection(server.http, 10) as client:
        client.sendall(b"POST /push/E HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(640):
                client.sendall(chunk)
        client.settimeout(5)
        received = b""
        with contextlib.suppress(ConnectionError):  # it stopped reading long ago
            while part := client.recv(1 << 16):
                received += part
    if received:
        ((status, body),) = responses(received)
        assert (status, code(body)) == (413, "payload_too_large")
    assert total(server) == 0


# ---- garbage -------------------------------------------------------------------------------------


def mutated(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(found) + 1)
        pick = chance.random()
        if pick < 0.4 and at < len(found):
            found[at] = chance.randrange(256)
        elif pick < 0.6:
            del found[at : at + chance.randint(1, 8)]
        elif pick < 0.8:
            found[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            found[at:at] = found[at : at + chance.randint(1, 40)]
    return bytes(found)


def seeds() -> tuple[list[bytes], list[bytes]]:
    body = {**GOOD, "f": 1.5, "b": True, "j": {"x": [1, "é", None]}}
    push = json.dumps({"event": "E", "body": body}).encode()
    many = json.dumps({"event": "E", "bodies": [body, GOOD, {}]}).encode()
    get = b'{"table":"PerKey","key":"a","features":["count"]}'
    batch = b'{"requests":[{"table":"PerKey","key":"a"},{"table":"All","key":""}]}'
    packed = b"\x82\xa5event\xa1E\xa4body\x83\xa1k\xa1a\xa1n\x01\xa1j\x81\xa1x\x92\x01\xc0"
    packed_get = b"\x82\xa5table\xa6PerKey\xa3key\xa1a"
    plan = json.dumps({"nodes": NODES, "dry_run": True}).encode()
    tcp = [
        frame(0, b"{}"), frame(1, plan), frame(0x10, push), frame(0x10, packed, 2),
        frame(0x12, many), frame(0x20, get), frame(0x20, packed_get, 2), frame(0x24, batch),
        frame(0x21, b'{"feature":"count","keys":["a"]}'),
        frame(0x22, b'{"features":["count"],"keys":["a"]}'), frame(0x1234, b"x"),
    ]  # fmt: skip
    web = [
        http("GET", "/health"), http("POST", "/ping", b"{}"), http("POST", "/push/E", push),
        http("POST", "/push", push.replace(b"body", b"data")), http("POST", "/get", get),
        http("POST", "/batch_get", batch), http("GET", "/get/count/a"),
        http("POST", "/register", plan, "Content-Type: application/json"),
        b"POST /get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(get), get),
    ]  # fmt: skip
    return tcp, web


def garbage(chance: random.Random, pool: list[bytes]) -> bytes:
    pick = chance.random()
    if pick < 0.1:
        return chance.randbytes(chance.choice((1, 3, 7, 64, 1000, 70_000)))
    parts = [chance.choice(pool) for _ in range(chance.randint(1, 6))]
    at = chance.randrange(len(parts))
    parts[at] = mutated(chance, parts[at])
    data = b"".join(parts)
    return data[: chance.randint(0, len(data))] if pick < 0.3 else data


def resident(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def accepted_by(replies: list[tuple[int, Any]]) -> int:
    """Events that the replies acknowledge, by push and by push_many."""
    acks = [body for _, body in replies if isinstance(body, dict) and "ack_lsn" in body]
    return sum(body.get("accepted", 1) for body in acks)


def test_garbage_is_answered_or_closed_and_leaves_nothing(server: Server) -> None:
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    tcp_pool, http_pool = seeds()
    acked = 0
    begun = resident(server), descriptors(server)
    for turn in range(1500):
        if turn == 500:
            begun = resident(server), descriptors(server)
        if chance.random() < 0.5:
            acked += accepted_by(frames(exchange(server.tcp, garbage(chance, tcp_pool))))
        else:
            acked += accepted_by(responses(exchange(server.http, garbage(chance, http_pool))))
        if turn % 100 == 0:
            assert total(server) == acked, f"turn {turn}"
    print(f"{acked} events acknowledged among the garbage")
    assert acked > 100, "some of it was not broken"
    assert total(server) == acked
    assert server.process.poll() is None
    assert descriptors(server) <= begun[1] + 1
    assert resident(server) < begun[0] + 4096, "kB; keys that events brought are few"


# ---- peers that are slow, silent or gone ---------------------------------------------------------


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    """S3; and nobody else waits meanwhile."""
    push = frame(OP_PUSH, json.dumps({"event": "E", "body": GOOD}).encode())
    with server.connect() as slow, server.connect() as other:
        for at in range(len(push)):
            slow.send(push[at : at + 1])
            assert other.call(0, {})[0] == 0
        reply = slow.receive()
        assert reply is not None
        assert reply[0] == OP_PUSH
    data = http("POST", "/push/E", json.dumps(GOOD).encode(), "Connection: close")
    with socket.create_connection(server.http, 10) as client:
        for at in range(len(data)):
            client.sendall(data[at : at + 1])
        received = b""
        while part := client.recv(4096):
            received += part
    assert responses(received)[0][0] == 200
    assert total(server) == 2


def test_a_request_without_progress_is_dropped() -> None:
    """V5 and D22: an unfinished request costs its own connection, an idle connection stays."""
    with Server(None, "--request-timeout-ms", "300") as server:
        idle = server.connect()
        begun = time.monotonic()
        halves = [
            (server.tcp, b"\x00\x40\x00\x00\x00\x10"),
            (server.http, b"POST /push HTTP/1.1\r\n"),
        ]
        for address, half in halves:
            with socket.create_connection(address, 10) as client:
                client.sendall(half)
                while client.recv(4096):
                    pass
        assert 0.25 < time.monotonic() - begun < 8
        assert idle.call(0, {})[0] == 0
        idle.close()


def test_half_open_peers_cost_nobody_else(server: Server) -> None:
    before = descriptors(server)
    clients = [socket.create_connection(server.tcp if i % 2 else server.http) for i in range(200)]
    for i, client in enumerate(clients):
        client.sendall(b"\x00\x00\x10" if i % 2 else b"POST /push/E HTTP/1.1\r\nContent-Le")
    assert server.call(OP_PUSH, {"event": "E", "body": GOOD})[0] == OP_PUSH
    for i, client in enumerate(clients):
        if i % 3 == 0:  # gone with a reset, data unread or not
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    deadline = time.monotonic() + 10
    while descriptors(server) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors(server) <= before
    assert total(server) == 1


def test_a_client_that_reads_nothing_is_not_read_from(server: Server) -> None:
    """V9: at most some 8 MiB of replies wait for it; when it reads, all of them come, in order."""
    value = "v" * 60_000
    server.call(OP_PUSH, {"event": "E", "body": {**GOOD, "k": "big", "j": value}})
    nodes = json.loads(json.dumps(NODES))
    nodes[1]["ops"][-1]["agg"]["j"] = of("last", field="j")
    server.register(nodes)
    server.call(OP_PUSH, {"event": "E", "body": {**GOOD, "k": "big", "j": value}})
    request = frame(OP_GET, b'{"table":"PerKey","key":"big"}')
    marks = [frame(0x2000 + i, b"") for i in range(1000)]  # refused, each with its own number
    before = resident(server)
    with server.connect() as client:
        client.socket.setblocking(False)
        pending = b"".join(request + mark for mark in marks) * 8
        sent = 0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and sent < len(pending):
            try:
                sent += client.socket.send(pending[sent : sent + 65_536])
            except BlockingIOError:
                time.sleep(0.01)
        time.sleep(0.5)  # it has all the time to fill its memory
        grown = resident(server) - before
        print(f"{sent} bytes of requests taken, {grown} kB more memory")
        assert grown < 40 * 1024, "480 MB of replies are not buffered"
        assert server.call(OP_PUSH, {"event": "E", "body": GOOD})[0] == OP_PUSH, "others are served"
        # Whole requests only: the rest of the one that was cut is sent while reading.
        unit = sum(len(request) + len(mark) for mark in marks) // len(marks)
        wanted = -(-sent // unit)
        client.socket.setblocking(True)
        client.send(pending[sent : wanted * unit])
        for i in range(wanted):
            row = client.receive()
            refused = client.receive()
            assert row is not None
            assert refused is not None
            assert len(row[2]) > 60_000
            assert json.loads(refused[2])["error"]["op"] == 0x2000 + i % 1000
        print(f"{wanted} pairs of replies read")
    assert resident(server) - before < 40 * 1024


def test_a_reply_over_the_frame_limit_is_refused_instead() -> None:
    """V2."""
    with Server(None, "--tcp-max-frame-bytes", "65536") as server:
        nodes = json.loads(json.dumps(NODES))
        nodes[1]["ops"][-1]["agg"]["j"] = of("last", field="j")
        server.register(nodes)
        server.call(OP_PUSH, {"event": "E", "body": {**GOOD, "j": "v" * 60_000}})
        entry = {"table": "PerKey", "key": "a"}
        with server.connect() as connection:
            assert connection.call(0x24, {"requests": [entry]})[0] == 0x23
            op, reply = connection.call(0x24, {"requests": [entry] * 3})
            assert (op, code(reply)) == (OP_ERROR, "response_too_large")
            assert connection.call(0, {})[0] == 0
        status, reply, _ = server.post("/batch_get", {"requests": [entry] * 3})
        assert (status, len(reply["results"])) == (200, 3)


def test_quoted_input_is_cut(server: Server) -> None:
    """V67: a name of a megabyte does not come back."""
    long = "z" * 1_000_000
    for path, body in (
        ("/push/E", {**GOOD, long: 1}),
        ("/get", {"table": long, "key": "a"}),
        ("/get", {"table": "PerKey", "key": "a", "features": [long]}),
        ("/push", {"event": long, "data": {}}),
    ):
        _, reply, _ = server.post(path, body)
        assert "error" in reply
        assert len(json.dumps(reply)) < 2000, path


def test_connections_close_without_leaving_threads_or_descriptors(server: Server) -> None:
    before = descriptors(server)
    for _ in range(300):
        with Connection(server.tcp) as connection:
            connection.send(frame(0, b""))
    assert server.call(0, {})[0] == 0
    # A server that was not scheduled for a while has them all to close in one go.
    deadline = time.monotonic() + 10
    while descriptors(server) > before + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors(server) <= before + 1
