# SPDX-License-Identifier: Apache-2.0
"""Random registrations and random events for them. The same Random gives the same world."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from typing import Any

import catalog
import texts
from oracle import expr as language

Node = dict[str, Any]

TYPES = ("str", "i64", "f64", "bool", "json", "datetime", "bytes")
WINDOWS = (
    None, None, "forever", "1ms", "64ms", "100ms", "1s", "90s", "5m", "1h", "24h", "7d", "05m",
)  # fmt: skip
OPERATORS = catalog.FAMILIES["basic"]
# A sample hangs on the seeds of the log, so two engines draw two samples: see test_families.
BEYOND = [op for ops in catalog.FAMILIES.values() for op in ops if op != "reservoir_sample"]
SHORT_TIMES = (1, 10, 63, 64, 1000, 5000, 60_000, 3_600_000)
KEYS = ("", "u1", "u2", "u3", "a|b", "a", "b", "|", "a%7Cb", "%7c", "é", "12", "true", "k" * 40)
HOSTILE = (
    "", " ", "\\", '"', "'", "\t", "\n\r", "null", "é", "\u2028", "\ufeff", "\ufffd", "😀",
    "x" * 15, "x" * 16, "x" * 17, "y" * 300, "\U0010ffff", "%s%n", "{}", "</script>", "a,b",
)  # fmt: skip
FORBIDDEN = ("\0", "\x01", "a\x07", "\x1b[0m", "\x7f", "é\x85", "x" * 20 + "\x02", "\x9f")


# ---- registrations ------------------------------------------------------------------------------


class Schema:
    """What a chain knows of the columns."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = dict(fields)

    def pick(self, chance: random.Random, most: int = 2) -> list[str]:
        names = sorted(self.fields)
        return chance.sample(names, min(len(names), chance.randint(1, most)))


def source(chance: random.Random, name: str) -> Node:
    count = chance.randint(1, 6)
    fields = {f"f{i}": chance.choice(TYPES[:4] if i < 3 else TYPES) for i in range(count)}
    fields["key"] = chance.choice(("str", "str", "i64", "bool", "json"))
    optional = [n for n in fields if chance.random() < 0.35]
    node = {
        "kind": "event",
        "name": name,
        "schema": {"fields": fields, "optional_fields": optional},
    }
    if chance.random() < 0.4:
        node["cold_after_ms"] = chance.choice(SHORT_TIMES)
    if chance.random() < 0.4:
        node["dedupe_key"] = chance.choice(sorted(fields))
        if chance.random() < 0.8:
            node["dedupe_window_ms"] = chance.choice(SHORT_TIMES)
    return node


def _filter(chance: random.Random, schema: Schema) -> Node:
    # Mostly what lets events pass, or nothing would be left to look at.
    text = texts.typed(chance, schema.fields, "bool", 2)
    if chance.random() < 0.6:
        text = f"({text} or {texts.typed(chance, schema.fields, 'bool', 1)})"
    return {"op": "filter", "expr": text}


def _select(chance: random.Random, schema: Schema) -> Node:
    kept = schema.pick(chance, len(schema.fields))
    if "key" in schema.fields and "key" not in kept and chance.random() < 0.9:
        kept.append("key")
    schema.fields = {name: schema.fields[name] for name in kept}
    return {"op": "select", "fields": kept}


def _drop(chance: random.Random, schema: Schema) -> Node | None:
    names = [name for name in schema.pick(chance) if name != "key"]
    if not names or len(names) == len(schema.fields):
        return None
    for name in names:
        del schema.fields[name]
    return {"op": "drop", "fields": names}


def _rename(chance: random.Random, schema: Schema) -> Node | None:
    old = [name for name in schema.pick(chance) if name != "key"]
    if not old:
        return None
    if len(old) == 2 and chance.random() < 0.5:
        mapping = {old[0]: old[1], old[1]: old[0]}
    else:
        mapping = {name: f"{name}_r" for name in old if f"{name}_r" not in schema.fields}
    if not mapping:
        return None
    renamed = {mapping[name]: schema.fields[name] for name in mapping}
    schema.fields = {n: t for n, t in schema.fields.items() if n not in mapping} | renamed
    return {"op": "rename", "mapping": mapping}


def _with_columns(chance: random.Random, schema: Schema) -> Node:
    names = {f"c{chance.randint(0, 3)}" for _ in range(chance.randint(1, 2))}
    if chance.random() < 0.3:
        names.add(chance.choice(sorted(schema.fields)))
    exprs = {}
    for name in sorted(names):
        kind = chance.choice(texts.COLUMN_TYPES)
        exprs[name] = texts.typed(chance, schema.fields, kind, 3)
        found = language.infer(language.parse(exprs[name]), schema.fields)
        schema.fields[name] = "str" if found == "null" else found
    return {"op": chance.choice(("with_columns", "map")), "exprs": exprs}


def _cast(chance: random.Random, schema: Schema) -> Node | None:
    names = [name for name in schema.pick(chance) if schema.fields[name] != "bytes"]
    if not names:
        return None
    types = {name: chance.choice(("str", "int", "float", "bool")) for name in names}
    if types.get("key") == "float":
        types["key"] = "str"
    for name, word in types.items():
        schema.fields[name] = {"int": "i64", "float": "f64"}.get(word, word)
    return {"op": "cast", "type_map": types}


def _fillna(chance: random.Random, schema: Schema) -> Node:
    defaults = {name: default(chance, schema.fields[name]) for name in schema.pick(chance)}
    return {"op": "fillna", "defaults": defaults}


def default(chance: random.Random, kind: str) -> Any:
    if chance.random() < 0.1:
        return chance.choice(([], {"a": 1}, None))
    return {"i64": 5, "f64": 0.25, "bool": True, "str": "fill|ed"}.get(kind, "other")


STEPS = (_filter, _filter, _select, _drop, _rename, _with_columns, _with_columns, _cast, _fillna)


def feature(chance: random.Random, schema: Schema) -> Node:
    op = chance.choice(OPERATORS if chance.random() < 0.4 else BEYOND)
    params = catalog.own_params(op, chance)
    names = sorted(schema.fields)
    if op not in catalog.FIELDLESS or chance.random() < 0.1:
        numeric = sorted(n for n, t in schema.fields.items() if t in ("i64", "f64"))
        wants_number = op not in catalog.ANY_FIELD and chance.random() < 0.85
        params["field"] = chance.choice(numeric if numeric and wants_number else names)
    if op in catalog.FAMILIES["geo"]:
        params = {name: v for name, v in params.items() if name == "samples"}
        params |= {"lat_field": chance.choice(names), "lon_field": chance.choice(names)}
    window = chance.choice(WINDOWS)
    if op == "first_seen_in_window":
        params["window"] = window or "7d"
    elif op in catalog.WINDOWED and window is not None:
        params["window"] = window
    if chance.random() < (0.6 if op in ("ratio", "streak", "negative_streak") else 0.3):
        lenient = chance.random() < 0.4
        params["where"] = (
            texts.untyped(chance, schema.fields, 3)
            if lenient
            else texts.typed(chance, schema.fields, "bool", 2)
        )
    return {"op": op, "params": params} if params or chance.random() < 0.5 else {"op": op}


def table(chance: random.Random, name: str, node: Node, steps: int, features: int) -> Node:
    schema = Schema(node["schema"]["fields"])
    ops = []
    for _ in range(steps):
        op = chance.choice(STEPS)(chance, schema)
        if op is not None:
            ops.append(op)
    usable = sorted(n for n, t in schema.fields.items() if t != "f64")
    shape = chance.random()
    if not usable or shape < 0.1:
        keys = []
    elif shape < 0.35:
        keys = [chance.choice(usable) for _ in range(chance.randint(1, 3))]
    else:
        keys = ["key"] if "key" in usable else [chance.choice(usable)]
    agg = {}
    while len(agg) < features:
        agg[f"{name}_{len(agg)}"] = feature(chance, schema)
    return {
        "kind": "derivation",
        "name": name,
        "output_kind": "table",
        "upstreams": [node["name"]],
        "ops": [*ops, {"op": "group_by", "keys": keys, "agg": agg}],
        "table_primary_key": sorted(set(keys)),
    }


def schema_of(node: Node, ops: Sequence[Node]) -> Schema:
    """The columns after a chain, by what the steps say."""
    schema = Schema(node["schema"]["fields"])
    for op in ops:
        if op["op"] == "select":
            schema.fields = {name: schema.fields[name] for name in op["fields"]}
        elif op["op"] == "drop":
            schema.fields = {n: t for n, t in schema.fields.items() if n not in op["fields"]}
        elif op["op"] == "rename":
            moved = {op["mapping"][name]: schema.fields[name] for name in op["mapping"]}
            kept = {n: t for n, t in schema.fields.items() if n not in op["mapping"]}
            schema.fields = kept | moved
        elif op["op"] in ("with_columns", "map"):
            for name in sorted(op["exprs"]):
                found = language.infer(language.parse(op["exprs"][name]), schema.fields)
                schema.fields[name] = "str" if found == "null" else found
        elif op["op"] == "cast":
            for name, word in op["type_map"].items():
                schema.fields[name] = {"int": "i64", "float": "f64"}.get(word, word)
    return schema


def world(chance: random.Random, tables: int, steps: int, features: int) -> list[Node]:
    """One or two sources and the tables over them."""
    sources = [source(chance, name) for name in ("Ev", "Other")[: 1 if tables < 2 else 2]]
    return sources + [
        table(
            chance, f"T{i}", chance.choice(sources), chance.randint(0, steps),
            chance.randint(1, features),
        )
        for i in range(tables)
    ]  # fmt: skip


def evolved(chance: random.Random, nodes: Sequence[Node]) -> list[Node]:
    """The same pipeline and something more: a feature, a field, a table, a source."""
    found = copy.deepcopy(list(nodes))
    sources = [node for node in found if node["kind"] == "event"]
    tables = [node for node in found if node["kind"] == "derivation"]
    by_name = {node["name"]: node for node in sources}
    for what in chance.sample(("feature", "feature", "field", "table", "source", "setting"), 2):
        if what == "feature":
            chosen = chance.choice(tables)
            group = chosen["ops"][-1]
            schema = schema_of(by_name[chosen["upstreams"][0]], chosen["ops"][:-1])
            for _ in range(chance.randint(1, 3)):
                group["agg"][f"{chosen['name']}_{len(group['agg'])}"] = feature(chance, schema)
        elif what == "field":
            chosen = chance.choice(sources)
            fields = chosen["schema"]["fields"]
            name = f"g{len(fields)}"
            fields[name] = chance.choice(TYPES)
            if chance.random() < 0.7:
                chosen["schema"]["optional_fields"].append(name)
        elif what == "setting":
            chosen = chance.choice(sources)
            if chance.random() < 0.2:
                chosen.pop("cold_after_ms", None)
            else:
                chosen["cold_after_ms"] = chance.choice(SHORT_TIMES)
            if "dedupe_key" in chosen:
                chosen["dedupe_window_ms"] = chance.choice(SHORT_TIMES)
        elif what == "table":
            name = f"T{len(tables)}"
            tables.append(table(chance, name, chance.choice(sources), 2, 4))
        else:
            sources.append(source(chance, f"Ev{len(sources)}"))
            by_name[sources[-1]["name"]] = sources[-1]
    return sources + tables


# ---- events -------------------------------------------------------------------------------------


def text(chance: random.Random) -> str:
    return chance.choice(HOSTILE) if chance.random() < 0.3 else chance.choice(KEYS)


def number(chance: random.Random, is_int: bool) -> int | float:
    if chance.random() < 0.1:
        is_int = not is_int
    pick = chance.random()
    if is_int:
        if pick < 0.8:
            return chance.randint(-5, 50)
        if pick < 0.95:
            return chance.randint(-(10**9), 10**9)
        return chance.choice((2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**53 + 1, -(2**53)))
    if pick < 0.5:
        return chance.randint(-400, 400) / 4
    if pick < 0.95:
        return chance.gauss(0, 10.0 ** chance.randint(-3, 6))
    return chance.choice((0.1, -0.0, 1e-300, 5e-324, 1e16, 1e15, 123456789.123, 1e22, -1e-7, 1e200))


def value(chance: random.Random, kind: str, with_bytes: bool) -> Any:
    if kind == "str":
        return text(chance)
    if kind in ("i64", "f64"):
        return number(chance, kind == "i64")
    if kind == "bool":
        return chance.random() < 0.5
    pick = chance.random()
    if kind == "bytes" and with_bytes and pick < 0.6:
        return chance.choice((b"", b"a", b"\x00\xff", b"b" * 40))
    if pick < 0.2:
        return text(chance)
    if pick < 0.45:
        return number(chance, pick < 0.35)
    if pick < 0.55:
        return pick < 0.5
    if pick < 0.8:
        return [value(chance, "json", with_bytes) for _ in range(chance.randint(0, 2))]
    return {
        chance.choice(("a", "é", "", "name")): value(chance, "json", with_bytes)
        for _ in range(chance.randint(0, 2))
    }


def key(chance: random.Random, kind: str) -> Any:
    """Few distinct values, so that events meet."""
    if kind == "i64":
        return chance.choice((1, 1, 2, 3, -7, 0, 2**63 - 1, 1.5, 2.0))
    if kind == "bool":
        return chance.random() < 0.5
    if kind == "json" and chance.random() < 0.4:
        return chance.choice((1, "1", 1.5, True, "true", [1], {"a": 1}, 1e16, 1e-7))
    return chance.choice(KEYS)


def event(chance: random.Random, node: Node, encoding: str) -> Node:
    """A body that is accepted."""
    schema = node["schema"]
    body = {}
    for name, kind in schema["fields"].items():
        if name in schema["optional_fields"] and chance.random() < 0.3:
            if chance.random() < 0.5:
                body[name] = None
            continue
        body[name] = (
            key(chance, kind) if name == "key" else value(chance, kind, encoding == "msgpack")
        )
    if chance.random() < 0.2:
        body = dict(chance.sample(list(body.items()), len(body)))
    return body


def spoiled(chance: random.Random, node: Node, body: Node, encoding: str) -> Node:
    """The same with one thing wrong."""
    body = dict(body)
    fields = node["schema"]["fields"]
    name = chance.choice(sorted(fields))
    pick = chance.random()
    if pick < 0.2:
        body.pop(name, None)
    elif pick < 0.35:
        body[name] = None
    elif pick < 0.55:
        body[name] = chance.choice((1, "1", True, 1.5, [1], {"a": None}))
    elif pick < 0.7:
        body[chance.choice(("zzz", "event_time", "event_time_ms", "F0", "f"))] = 1
    elif pick < 0.85:
        wrong = chance.choice(FORBIDDEN)
        body[name] = chance.choice((wrong, [wrong], {wrong: 1}, {"a": {"b": [wrong]}}))
    elif pick < 0.95 and encoding == "msgpack":
        body[name] = chance.choice((math.nan, math.inf, -math.inf, [math.nan]))
    else:
        body["a\tb"] = "\t"
    return body
