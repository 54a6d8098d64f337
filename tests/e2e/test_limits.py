"""Requests that are larger than the server was first thought of."""

from __future__ import annotations

import json
import pathlib
import socket
import time

from support.server import OP_ERROR, OP_PUSH, OP_PUSH_MANY, Server, frame

NODES = [
    {
        "kind": "event",
        "name": "T",
        "schema": {"fields": {"a": "str"}, "optional_fields": []},
    },
    {
        "kind": "derivation",
        "name": "A",
        "output_kind": "table",
        "upstreams": ["T"],
        "table_primary_key": ["a"],
        "ops": [{"op": "group_by", "keys": ["a"], "agg": {"cnt": {"op": "count"}}}],
    },
]


def test_raised_limits_do_not_stop_the_server(tmp_path: pathlib.Path) -> None:
    """What is read must fit the log's ring; a ring that is too small waited for ever."""
    limit = ["--max-body-bytes", "33554432", "--tcp-max-frame-bytes", "33554432"]
    with Server(tmp_path, *limit) as server:
        server.register(NODES)
        whole = frame(OP_PUSH, json.dumps({"event": "T", "body": {"a": "x" * 12_000_000}}).encode())
        with server.connect() as large:
            large.send(whole[:-1])
            with server.connect() as small:
                assert small.call(OP_PUSH, {"event": "T", "body": {"a": "k"}})[0] == OP_PUSH
            large.send(whole[-1:])
            reply = large.receive()
            assert reply is not None and reply[0] == OP_PUSH
        assert server.request("GET", "/health")[0] == 200
        with socket.create_connection(server.tcp) as unfinished:
            unfinished.sendall(whole[:-1])
            started = time.monotonic()
            server.close()
            assert time.monotonic() - started < 8


def test_a_batch_larger_than_the_ring_is_taken_whole_and_kept(tmp_path: pathlib.Path) -> None:
    bodies = b",".join([b'{"a":"k"}'] * 380_000)
    with Server(tmp_path) as server:
        server.register(NODES)
        with server.connect() as connection:
            op, reply = connection.call(OP_PUSH_MANY, b'{"event":"T","bodies":[' + bodies + b"]}")
        assert op != OP_ERROR and reply["accepted"] == 380_000 and reply["refused"] == []
        server.kill()
    with Server(tmp_path) as server:
        assert server.get("A", "k") == {"cnt": 380_000}


def test_the_ack_of_a_batch_fits_the_smallest_frame(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path, "--tcp-max-frame-bytes", "1024") as server:
        server.register(NODES)
        with server.connect() as connection:
            bodies: list[object] = [{"a": "k"}] * 50 + [1] * 100
            op, reply = connection.call(OP_PUSH_MANY, {"event": "T", "bodies": bodies})
        assert op == OP_PUSH_MANY and reply["accepted"] == 50, reply
        assert len(reply["refused"]) + reply["refused_unlisted"] == 100


def test_switches_may_become_stricter_between_two_lives(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        server.register(NODES)
        assert server.post("/push/T", {"a": "x\ty"})[0] == 200
    strict = {"BEAVA_STRICT_CONTROL_CHARACTERS": "true"}
    with Server(tmp_path, env=strict) as server:
        assert server.get("A", "x\ty") == {"cnt": 1}
        assert server.post("/push/T", {"a": "x\ty"})[0] == 400
