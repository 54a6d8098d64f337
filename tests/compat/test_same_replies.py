# SPDX-License-Identifier: Apache-2.0
"""The same requests to the published server and to ours: the same replies.

Ours may add members to objects of errors, pings and diffs (wire.md, the "Ours" of V10, V34, V40,
V47 and V66), and texts for people may differ. Everything else is equal, down to int and float.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.server import MSGPACK, Connection, Server, frame

FIELDS = {"user": "str", "amount": "f64", "n": "i64", "ok": "bool", "note": "str"}
EVENT = {
    "kind": "event",
    "name": "Tx",
    "schema": {"fields": FIELDS, "optional_fields": ["ok", "note"]},
}
FREE_TEXT = ("reason", "message", "hint")
COUNTERS = ("ack_lsn", "server_version")


def table(name: str, keys: list[str], agg: dict[str, Any], *ops: Any) -> dict[str, Any]:
    return {
        "kind": "derivation",
        "name": name,
        "output_kind": "table",
        "upstreams": ["Tx"],
        "ops": [*ops, {"op": "group_by", "keys": keys, "agg": agg}],
        "table_primary_key": keys,
    }


def feature(op: str, field: str | None = None, **params: str) -> dict[str, Any]:
    return {"op": op, "params": {**({"field": field} if field else {}), **params}}


OPERATORS = ("sum", "mean", "min", "max", "var", "std")
PER_USER = {
    **{f"{op}_{kind}": feature(op, kind) for op in OPERATORS for kind in ("amount", "n")},
    **{f"{op}_24h": feature(op, "amount", window="24h") for op in OPERATORS},
    "count": feature("count"),
    "count_24h": feature("count", window="24h"),
    "count_ok": feature("count", where="(ok == true)"),
    "ratio_ok": feature("ratio", where="(ok == true)"),
    "ratio_24h": feature("ratio", where="((amount > 1.5) and (n != 3))", window="24h"),
    "first_note": feature("first", "note"),
    "last_note": feature("last", "note"),
    "first_ok": feature("first", "ok"),
    "last_n": feature("last", "n", where="(n > 2)"),
    "min_user": feature("min", "user"),
    "sum_of_text": feature("sum", "user"),
}
NODES = [
    EVENT,
    table("Users", ["user"], PER_USER),
    table("Notes", ["user", "note"], {"per_note": feature("count")}),
    table("Pairs", ["n", "user"], {"per_pair": feature("sum", "amount")}),
    table("All", [], {"everything": feature("count"), "largest": feature("max", "amount")}),
    table(
        "Large",
        ["user"],
        {"large": feature("count"), "large_n": feature("last", "n")},
        {"op": "filter", "expr": "((amount > 2.0) or (n == 7))"},
    ),
]
USERS = ("ann", "bob", "é", "a b", "'", '"\\')


def is_free(path: tuple[str, ...]) -> bool:
    """Where ours may say more."""
    return any(part in ("error", "errors", "diff", "<ping>", "<register>") for part in path)


def difference(want: Any, got: Any, path: tuple[str, ...] = ()) -> str | None:
    where = ".".join(path)
    if path and path[-1] in FREE_TEXT:
        return None if isinstance(got, str) else f"{where}: {got!r} is no text"
    if path and path[-1] in COUNTERS:
        return None if type(got) is type(want) else f"{where}: {got!r} for {want!r}"
    if isinstance(want, dict) and isinstance(got, dict):
        extra = set(got) - set(want)
        if set(want) - set(got) or (extra and not is_free(path)):
            return f"{where}: members {sorted(got)} for {sorted(want)}"
        found = (difference(want[name], got[name], (*path, name)) for name in want)
        return next((text for text in found if text), None)
    if isinstance(want, list) and isinstance(got, list):
        if path == ("<register>", "added"):  # V44: ours in payload order
            want, got = sorted(want), sorted(got)
        if len(want) != len(got):
            return f"{where}: {len(got)} elements for {len(want)}"
        found = (
            difference(w, g, (*path, str(i)))
            for i, (w, g) in enumerate(zip(want, got, strict=True))
        )
        return next((text for text in found if text), None)
    if type(want) is float and type(got) is float:
        return None if got == pytest.approx(want, rel=1e-9) else f"{where}: {got!r} for {want!r}"
    same = type(want) is type(got) and want == got
    return None if same else f"{where}: {got!r} for {want!r}"


def allow_version(want: Any, got: Any) -> None:
    """Beside an error ours may tell the registry's version."""
    is_error = isinstance(want, dict) and isinstance(got, dict) and "error" in want
    if is_error and "registry_version" in got:
        want.setdefault("registry_version", got["registry_version"])


class Pair:
    """Both servers; every request goes to both and the replies are compared."""

    def __init__(self, theirs: Server, ours: Server) -> None:
        self.servers = (theirs, ours)
        self.compared = 0
        self.differences: list[str] = []

    def judge(self, what: str, want: Any, got: Any, kind: str = "") -> Any:
        found = difference(want, got, (kind,) if kind else ())
        if found is not None:
            self.differences.append(f"{what}\ntheirs {want}\nours   {got}\n{found}\n")
        self.compared += 1
        return got

    def post(self, path: str, body: Any, kind: str = "") -> Any:
        replies = [server.post(path, body) for server in self.servers]
        want, got = ((status, reply) for status, reply, _ in replies)
        allow_version(want[1], got[1])
        what = f"POST {path} {body}"
        self.judge(f"{what}: status", want[0], got[0])
        return self.judge(what, want[1], got[1], kind)

    def get(self, path: str) -> Any:
        (want_status, want, _), (status, got, _) = (s.request("GET", path) for s in self.servers)
        allow_version(want, got)
        self.judge(f"GET {path}: status", want_status, status)
        return self.judge(f"GET {path}", want, got)

    def frame(self, op: int, payload: bytes, content_type: int = 1, kind: str = "") -> Any:
        replies = []
        for server in self.servers:
            with Connection(server.tcp) as connection:
                connection.send(frame(op, payload, content_type))
                reply = connection.receive()
                assert reply is not None
                replies.append(reply)
        what = f"0x{op:04x} {payload!r}"
        (want_op, want_type, want_data), (got_op, got_type, got_data) = replies
        self.judge(f"{what}: opcode", [want_op, want_type], [got_op, got_type])
        if want_type == MSGPACK:
            return self.judge(what, want_data, got_data)
        want, got = json.loads(want_data), json.loads(got_data)
        allow_version(want, got)
        return self.judge(what, want, got, kind)


@pytest.fixture
def pair(theirs: Server, ours: Server) -> Iterator[Pair]:
    both = Pair(theirs, ours)
    yield both
    assert not both.differences, "\n".join(both.differences)
    assert both.compared > 0


def random_event(chance: random.Random) -> dict[str, Any]:
    """Within what the published server computes as specified: declared types, no mixtures (W1)."""
    body: dict[str, Any] = {
        "user": chance.choice(USERS),
        "amount": chance.choice((0.5, 1.5, -2.25, 1e-7, 3.0, 1e16, chance.uniform(-10, 10))),
        "n": chance.choice((0, 1, 2, 3, 7, -1, 10**9, -(10**9), chance.randint(-99, 99))),
    }
    if chance.random() < 0.6:
        body["ok"] = chance.choice((True, False, None))
    if chance.random() < 0.6:
        body["note"] = chance.choice(("", "x", "né", "😀", "n" * 50, None))
    return body


def test_random_events_read_the_same(pair: Pair) -> None:
    chance = random.Random(20_260)
    pair.post("/register", {"nodes": NODES}, kind="<register>")
    for _ in range(300):
        body = random_event(chance)
        if chance.random() < 0.5:
            pair.post("/push", {"event": "Tx", "data": body})
        else:
            pair.frame(0x10, json.dumps({"event": "Tx", "body": body}).encode())
    keys = [("Users", user) for user in (*USERS, "nobody", "")]
    keys += [("Large", user) for user in USERS]
    keys += [("Notes", f"{user}|{note}") for user in USERS for note in ("", "x", "né", "zz")]
    keys += [("Pairs", f"{n}|{user}") for user in USERS for n in (0, 7, -1, 10**9)]
    keys += [("All", "")]
    hits = 0
    for name, key in keys:
        request = {"table": name, "key": key}
        hits += bool(pair.post("/get", request))
        pair.frame(0x20, json.dumps(request).encode())
    assert hits > 30
    requests = [{"table": name, "key": key} for name, key in keys]
    assert len(pair.post("/batch_get", {"requests": requests})["results"]) == len(requests)
    pair.frame(0x24, json.dumps({"requests": requests}).encode())
    for user in USERS[:2]:
        for name in ("count", "min_n", "first_note", "sum_of_text", "zzz", "Users"):
            pair.get(f"/get/{name}/{user}")
    assert pair.compared > 450


BAD_BODIES: list[Any] = [
    b"", b"{", b"[]", b"null", b"5", b'{"event":5}', b'{"data":{}}', b'{"event":"Tx"}',
    b'{"event":"Tx","data":[]}', b'{"event":"Tx","data":null}', b"\xff\xfe", b"{} x",
    {"event": "Nope", "data": {}}, {"event": "Users", "data": {"user": "ann"}},
    {"event": "", "data": {}}, {"event": "Tx", "data": {}},
]  # fmt: skip
GOOD = {"user": "ann", "amount": 1.5, "n": 1}
BAD_EVENTS: list[Any] = [
    {**GOOD, "n": "1"}, {**GOOD, "n": True}, {**GOOD, "n": None}, {**GOOD, "n": [1]},
    {**GOOD, "user": 5}, {**GOOD, "user": None}, {**GOOD, "amount": "1.5"}, {**GOOD, "amount": {}},
    {"user": "ann", "n": 1}, {**GOOD, "zz": 1}, {**GOOD, "event_time": 1},
    {**GOOD, "event_time_ms": 1}, {"event_time": 1, "zz": 1}, {"aa": 1, "event_time": 1},
    {**GOOD, "user": "\x00"}, {**GOOD, "user": "a\x07"}, {**GOOD, "note": "\x7f"},
    {**GOOD, "note": "\x9f"}, {**GOOD, "z\x01": 1}, {"zz": "\x01"}, {},
]  # fmt: skip
BAD_READS: list[Any] = [
    {"table": "Nope", "key": "a"}, {"table": "Tx", "key": "a"}, {"table": "Notes", "key": "ann"},
    {"table": "Notes", "key": "a|b|c"}, {"table": "All", "key": "x"}, {"table": "Notes", "key": ""},
    {"table": "Users", "key": "ann", "features": ["zz"]},
    {"table": "Users", "key": "ann", "features": ["count", "zz", "yy"]},
    {"table": "Users", "key": "ann", "features": []},
    {"table": "Users", "key": "ann", "features": None},
    {"table": "Users", "key": "ann", "features": ["count", "count"]},
    {"keys": ["ann"], "features": ["count"]}, {"feature": "count", "key": "ann"},
]  # fmt: skip


def test_refused_pushes_answer_the_same(pair: Pair) -> None:
    pair.post("/register", {"nodes": NODES}, kind="<register>")
    pair.post("/push", {"event": "Tx", "data": GOOD})
    for body in BAD_BODIES:
        pair.post("/push", body)
    for event in BAD_EVENTS:
        pair.post("/push", {"event": "Tx", "data": event})
        pair.post("/push/Tx", event)
        pair.frame(0x10, json.dumps({"event": "Tx", "body": event}).encode())
    for raw in (b"", b"[]", b"5", b'{"user":'):
        pair.post("/push/Tx", raw)
    assert pair.post("/get", {"table": "All", "key": ""})["everything"] == 1


def test_refused_reads_answer_the_same(pair: Pair) -> None:
    pair.post("/register", {"nodes": NODES}, kind="<register>")
    pair.post("/push", {"event": "Tx", "data": GOOD})
    for request in BAD_READS:
        pair.post("/get", request)
        pair.frame(0x20, json.dumps(request).encode())
        if "table" in request and request.get("features", []) is not None:  # V61
            pair.post("/batch_get", {"requests": [request, {"table": "All", "key": ""}]})
    for path in ("/get/count/ann", "/get/count/nobody", "/get/zz/ann", "/get/per_note/ann",
                 "/nope", "/push", "/health", "/ready", "/registry"):  # fmt: skip
        pair.get(path)
    for op in (0x11, 0x13, 0x23, 0x1234, 0xFFFF):
        pair.frame(op, b"{}")
    for op in (0x01, 0x10, 0x20, 0x24):
        pair.frame(op, b"\x80", content_type=7)
    pair.frame(0x01, b"\x80", content_type=2)
    pair.frame(0x00, b"anything", content_type=9, kind="<ping>")


GET_AS_MSGPACK = (
    b"\x82\xa5table\xa5Users\xa3key\xa3ann",
    b"\x83\xa5table\xa5Users\xa3key\xa3ann\xa8features\x92\xa5count\xa5min_n",
    b"\x82\xa5table\xa5Users\xa3key\xa6nobody",
    b"\x82\xa5table\xa3All\xa3key\xa0",
)


def test_messagepack_reads_are_the_same_bytes(pair: Pair) -> None:
    pair.post("/register", {"nodes": NODES}, kind="<register>")
    pair.frame(0x10, b"\x82\xa5event\xa2Tx\xa4body\x83\xa4user\xa3ann\xa6amount"
                     b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa1n\xd1\x80\x00", 2)  # fmt: skip
    for payload in GET_AS_MSGPACK:
        pair.frame(0x20, payload, content_type=2)
    pair.frame(0x21, b'{"feature":"count","keys":["ann","bob"]}')
    pair.frame(0x22, b'{"features":["count","per_note"],"keys":["ann","ann|x"]}')
    pair.frame(0x21, b'{"feature":"zz","keys":["ann"]}')


BOUNDED = [
    {**EVENT, "cold_after_ms": 600},
    {
        "kind": "event",
        "name": "Pay",
        "schema": {"fields": {"user": "str", "id": "str", "n": "i64"}, "optional_fields": ["id"]},
        "dedupe_key": "id",
        "dedupe_window_ms": 600,
    },
    *NODES[1:4],
    {**table("Paid", ["user"], {"paid": feature("sum", "n")}), "upstreams": ["Pay"]},
]


def test_repeated_events_answer_the_same(pair: Pair) -> None:
    def push(**body: Any) -> None:
        pair.post("/push", {"event": "Pay", "data": body})
        pair.post("/push/Pay", body)
        pair.frame(0x10, json.dumps({"event": "Pay", "body": body}).encode())

    pair.post("/register", {"nodes": BOUNDED}, kind="<register>")
    push(user="ann", id="1", n=1)
    push(user="bob", id="1", n=2)  # whatever else it says
    push(user="ann", id="1")  # not valid: refused all the same
    push(user="ann", id="", n=3)
    push(user="ann", n=10)  # without a key each one counts
    for server in pair.servers:
        first, again = (
            server.post("/push/Pay", {"user": "u", "id": "x", "n": 1}) for _ in range(2)
        )
        assert first[:2] == again[:2]
        assert again[2]["x-beava-idempotent-replay"] == "1"
        assert "x-beava-idempotent-replay" not in first[2]
    assert pair.post("/get", {"table": "Paid", "key": "ann"}) == {"paid": 34.0}
    assert pair.post("/get", {"table": "Paid", "key": "bob"}) == {}
    time.sleep(0.7)
    push(user="bob", id="1", n=5)  # the window is over
    assert pair.post("/get", {"table": "Paid", "key": "bob"}) == {"paid": 5.0}


def test_entities_that_were_idle_begin_afresh_on_both(pair: Pair) -> None:
    """A9 of server.md; what reads say before the next event differs (V57)."""
    pair.post("/register", {"nodes": BOUNDED}, kind="<register>")

    def push(user: str, note: str) -> None:
        pair.post("/push/Tx", {**GOOD, "user": user, "note": note})

    def read() -> None:
        for user in ("ann", "bob"):
            pair.post("/get", {"table": "Users", "key": user})
            pair.post("/get", {"table": "Pairs", "key": f"1|{user}"})
            for note in ("x", "y"):
                pair.post("/get", {"table": "Notes", "key": f"{user}|{note}"})

    for note in ("x", "x", "y"):
        push("ann", note)
    push("bob", "x")
    push("bob", "y")
    read()
    time.sleep(0.35)
    push("bob", "x")  # keeps bob, and not what he noted as y
    read()
    time.sleep(0.35)
    for user in ("ann", "bob"):
        for note in ("x", "y"):
            push(user, note)
    read()
    per_user = {"table": "Users", "key": "ann", "features": ["count"]}
    assert pair.post("/get", per_user) == {"count": 2}
    assert pair.post("/get", {"table": "Notes", "key": "bob|x"}) == {"per_note": 3}
    assert pair.post("/get", {"table": "Notes", "key": "bob|y"}) == {"per_note": 1}


def test_registrations_answer_the_same(pair: Pair) -> None:
    def register(nodes: list[Any], **flags: bool) -> Any:
        return pair.post("/register", {"nodes": nodes, **flags}, kind="<register>")

    register(NODES, dry_run=True)
    register(NODES)
    register(NODES)
    register(NODES, dry_run=True)
    register(NODES[:-1])  # force_required
    register(NODES[:-1], dry_run=True)
    register([])
    wider = {**EVENT, "schema": {**EVENT["schema"], "fields": {**FIELDS, "n": "str"}}}
    register([wider, *NODES[1:]], dry_run=True)
    windows = table(
        "All", [], {"everything": feature("count", window="1h"), "more": feature("count")}
    )
    register([*NODES[:4], windows, NODES[5]], dry_run=True)
    keyed = table("Pairs", ["user"], {"per_pair": feature("sum", "amount")})
    register([*NODES[:3], keyed, *NODES[4:]])
    assert pair.post("/ping", {}, kind="<ping>")["registry_version"] == 1
    for bad in bad_tables():
        register([*NODES, bad])
    for node in ({"kind": "event", "name": "a-b", "schema": {"fields": {"x": "i64"}}},
                 {"kind": "event", "name": "_beava_x", "schema": {"fields": {"x": "i64"}}},
                 {"kind": "event", "name": "", "schema": {"fields": {"x": "i64"}}},
                 {"kind": "event", "name": "E", "schema": {"fields": {}}},
                 {"kind": "event", "name": "E", "schema": {"fields": {"x": "int"}}},
                 {"kind": "event", "name": "E"}, {"kind": "table", "name": "E"}, {"name": "E"},
                 {"kind": "event", "name": "Tx", "schema": {"fields": {"x": "i64"}}},
                 {"kind": "event", "name": "E", "event_time_field": "x"}):  # fmt: skip
        register([*NODES, node])
    for raw in (b"", b"{", b"[]", b"{}", b'{"nodes":5}', b'{"nodes":[5]}'):
        pair.post("/register", raw, kind="<register>")


def bad_tables() -> list[dict[str, Any]]:
    def agg(op: str, field: str | None = None, **params: str) -> dict[str, Any]:
        return table("Bad", ["user"], {"x": feature(op, field, **params)})

    counted = {"x": feature("count")}
    return [
        agg("count", window="5seconds"), agg("count", window="0ms"), agg("count", window=""),
        agg("count", where="(zz > 1)"), agg("count", where="amount > 1"), agg("sum", "zz"),
        agg("avg", "n"), agg("avg", "n", window="1h"), agg("first"), agg("last", "n", window="1h"),
        table("Bad", ["zz"], counted), table("Bad", ["amount"], counted),
        table("Bad", ["user"], {"user": feature("count")}),
        table("Bad", ["user"], {"count": feature("count")}),
        table("Bad", ["user"], counted, {"op": "filter", "expr": "(n > )"}),
        table("Bad", ["user"], counted, {"op": "filter", "expr": "(zz > 1)"}),
        table("Bad", ["user"], counted, {"op": "filter", "expr": "(n > 'a')"}),
        table("Bad", ["user"], counted, {"op": "select", "fields": ["zz"]}),
        table("Bad", ["user"], counted, {"op": "drop", "fields": ["zz"]}),
        table("Bad", ["user"], counted, {"op": "rename", "mapping": {"n": "amount"}}),
        table("Bad", ["user"], counted, {"op": "cast", "type_map": {"n": "i64"}}),
        table("Bad", ["user"], counted, {"op": "join"}),
        table("Bad", ["user"], counted, {"op": "union"}),
        table("Bad", ["user"], counted, {"op": "explode"}),
        {**table("Bad", ["user"], counted), "upstreams": ["Nope"]},
        {**table("Bad", ["user"], counted), "upstreams": ["Users"]},
        {**table("Bad", ["user"], counted), "upstreams": []},
        {**table("Bad", ["user"], counted), "table_primary_key": None},
        {**table("Bad", ["user"], counted), "tolerate_delay_ms": 5},
    ]  # fmt: skip
