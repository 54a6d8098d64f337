# SPDX-License-Identifier: Apache-2.0
"""The golden vectors of the registration payload."""

import json

import beava as bv
import pytest
from beava._app import _descriptor_to_node, _to_register_json
from beava._payload import name_of


@bv.event
class Click:
    user_id: str
    page: str
    amount: float
    n: int


@bv.event
def Big(c: Click):
    return c.filter(bv.col("amount") > 100)


@bv.event
def Two(b: Big):
    return b.rename(n="m")


@bv.table(key="user_id")
def A(c: Click):
    return c.group_by("user_id").agg(
        k=bv.count(window="1h"), f=bv.first("n"), x=bv.max("amount"), l=bv.lag("page")
    )


@bv.table(key=["user_id", "page"])
def B(t: Two):
    return t.group_by("user_id", "page").agg(s=bv.sum("m"))


@bv.table
def G(c: Click):
    return c.agg(t=bv.count(window="forever"))


FIELDS = {"user_id": "str", "page": "str", "amount": "f64", "n": "i64"}
FILTER = {"op": "filter", "expr": "(amount > 100)"}
RENAME = {"op": "rename", "mapping": {"n": "m"}}


def schema(**fields):
    return {"fields": fields, "optional_fields": []}


GOLDEN = [
    (Click, {"kind": "event", "name": "Click", "schema": schema(**FIELDS)}),
    (
        Big,
        {
            "kind": "derivation",
            "name": "Big",
            "output_kind": "event",
            "upstreams": ["Click"],
            "ops": [FILTER],
            "schema": schema(**FIELDS),
        },
    ),
    (
        Two,
        {
            "kind": "derivation",
            "name": "Two",
            "output_kind": "event",
            "upstreams": ["Click"],
            "ops": [FILTER, RENAME],
            "schema": schema(user_id="str", page="str", amount="f64", m="i64"),
        },
    ),
    (
        A,
        {
            "kind": "derivation",
            "name": "A",
            "output_kind": "table",
            "upstreams": ["Click"],
            "ops": [
                {
                    "op": "group_by",
                    "keys": ["user_id"],
                    "agg": {
                        "k": {"op": "count", "params": {"window": "1h"}},
                        "f": {"op": "first", "params": {"field": "n"}},
                        "x": {"op": "max", "params": {"field": "amount"}},
                        "l": {"op": "lag", "params": {"field": "page", "n": 1}},
                    },
                }
            ],
            "schema": schema(user_id="str", k="i64", f="i64", x="f64", l="str"),
            "table_primary_key": ["user_id"],
        },
    ),
    (
        B,
        {
            "kind": "derivation",
            "name": "B",
            "output_kind": "table",
            "upstreams": ["Click"],
            "ops": [
                FILTER,
                RENAME,
                {
                    "op": "group_by",
                    "keys": ["user_id", "page"],
                    "agg": {"s": {"op": "sum", "params": {"field": "m"}}},
                },
            ],
            "schema": schema(user_id="str", page="str", s="f64"),
            "table_primary_key": ["user_id", "page"],
        },
    ),
    (
        G,
        {
            "kind": "derivation",
            "name": "G",
            "output_kind": "table",
            "upstreams": ["Click"],
            "ops": [
                {
                    "op": "group_by",
                    "keys": [],
                    "agg": {"t": {"op": "count", "params": {"window": "forever"}}},
                }
            ],
            "schema": schema(t="i64"),
            "table_primary_key": [],
        },
    ),
]


@pytest.mark.parametrize(("descriptor", "node"), GOLDEN, ids=lambda x: getattr(x, "_name", ""))
def test_node_is_the_golden_one(descriptor, node):
    # As text: the order of members is part of "the same bytes".
    assert json.dumps(_descriptor_to_node(descriptor)) == json.dumps(node)


def test_flags_are_present_only_when_true():
    node = _descriptor_to_node(Click)
    plain = json.dumps({"nodes": [node]}, ensure_ascii=False).encode()
    assert _to_register_json((Click,)) == plain
    both = json.loads(_to_register_json((Click,), force=True, dry_run=True))
    assert both == {"nodes": [node], "force": True, "dry_run": True}


def test_text_is_utf8():
    @bv.event
    def Umlaut(c: Click):
        return c.filter(bv.col("page") == "ä")

    assert "ä".encode() in _to_register_json((Umlaut,))


def test_settings_are_sent_only_when_given():
    @bv.event(cold_after="1h", keep_events_for="30d", dedupe_key="a", dedupe_window="5m")
    class Deduped:
        a: str
        b: int | None

    assert _descriptor_to_node(Deduped) == {
        "kind": "event",
        "name": "Deduped",
        "schema": {"fields": {"a": "str", "b": "i64"}, "optional_fields": ["b"]},
        "dedupe_key": "a",
        "dedupe_window_ms": 300_000,
        "keep_events_for_ms": 30 * 86_400_000,
        "cold_after_ms": 3_600_000,
    }


def test_types_follow_the_chain():
    @bv.event
    def Shaped(c: Click):
        return (
            c.with_columns(ratio=bv.col("n") / 2, is_big=bv.col("n") > 5, twice=bv.col("n") * 2)
            .cast(twice="str")
            .drop("page")
        )

    @bv.event
    def Chosen(s: Shaped):
        return s.select("is_big", "user_id")

    @bv.table(key="is_big")
    def T(s: Shaped):
        return s.group_by("is_big").agg(m=bv.max("ratio"), f=bv.first("twice"), u=bv.last("zz"))

    assert _descriptor_to_node(Shaped)["schema"]["fields"] == {
        "user_id": "str",
        "amount": "f64",
        "n": "i64",
        "is_big": "bool",
        "ratio": "f64",
        "twice": "str",
    }
    chosen = _descriptor_to_node(Chosen)["schema"]["fields"]
    assert list(chosen.items()) == [("is_big", "bool"), ("user_id", "str")]
    assert _descriptor_to_node(T)["schema"]["fields"] == {
        "is_big": "bool",
        "m": "f64",
        "f": "str",
        "u": "str",
    }


def test_optional_fields_follow_the_chain():
    @bv.event
    class Maybe:
        a: int | None
        b: str | None

    @bv.event
    def Moved(m: Maybe):
        return m.rename(a="c").fillna(b="none")

    assert _descriptor_to_node(Moved)["schema"]["optional_fields"] == ["c"]


def test_an_aggregating_event_function_is_a_table_without_key():
    @bv.event
    def Agg(c: Click):
        with pytest.warns(UserWarning, match="is not an operator"):
            return c.group_by("user_id").agg(n=bv.count(), odd=5)

    node = _descriptor_to_node(Agg)
    assert node["output_kind"] == "table"
    assert "table_primary_key" not in node
    assert node["schema"]["fields"] == {"n": "i64", "odd": "i64"}
    assert node["ops"][-1]["agg"]["odd"] == {"op": "count", "params": {}}


def test_a_dict_is_taken_verbatim():
    node = {"kind": "event", "anything": 1}
    assert _descriptor_to_node(node) is node
    assert json.loads(_to_register_json((node,)))["nodes"] == [node]


class Undecorated:
    a: int


class Heir(Click):
    b: int


@pytest.mark.parametrize(
    "what", [Undecorated, Heir, lambda: 1, None, "Click", Click.group_by("n"), 5]
)
def test_what_is_no_descriptor_is_refused_by_position(what):
    assert _descriptor_to_node(what) is None
    with pytest.raises(bv.RegistrationError) as caught:
        _to_register_json((Click, what))
    assert (caught.value.code, caught.value.path) == ("invalid_descriptor", "descriptors[1]")


def test_a_raw_chain_is_refused_with_the_way_out():
    with pytest.raises(bv.RegistrationError) as caught:
        _to_register_json((Click.filter(bv.col("n") > 1),))
    assert (caught.value.code, caught.value.path) == ("invalid_descriptor", "descriptors[0]")
    for part in ("EventDerivation", "raw chain", "Wrap the chain in @bv.event", "def "):
        assert part in str(caught.value)


def test_registering_nothing_is_legal():
    assert _to_register_json(()) == b'{"nodes": []}'


def test_expressions_of_600_levels_reach_the_server():
    expr = bv.col("n")
    for _ in range(600):
        expr = expr + 1

    @bv.event
    def Deep(c: Click):
        return c.filter(expr > 1)

    assert _to_register_json((Deep,)).count(b"(") > 600


def test_names_of_declared_things():
    assert [name_of(x) for x in (Click, Big, A, "T")] == ["Click", "Big", "A", "T"]
