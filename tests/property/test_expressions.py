# SPDX-License-Identifier: Apache-2.0
"""Random expressions over random rows: the compiled ones give what the model of the language gives.

Each row is an entity of its own. A chain expression is seen through `last` of its column, a where
through a count that is 0 or 1.
"""

from __future__ import annotations

import random

import tally
import texts
import worlds
from driver import OP_REGISTER, Driver, packed
from hypothesis import given, note, settings
from hypothesis import strategies as st
from oracle import events
from oracle import expr as language
from oracle.agreement import same, shown
from test_engine import SEEDS

SCHEMA = {
    "n": "i64", "m": "i64", "x": "f64", "y": "f64", "b": "bool", "c": "bool", "s": "str",
    "t": "str", "j": "json", "d": "datetime",
}  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, -1, 7, 100, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.5, 1.5, -2.25,
    1e16, 1e300, -1e300, 5e-324, 1e18, 9.3e18, 0.1, 85.0, -74.006,
)  # fmt: skip
STRINGS = (
    "", "a", "b", "u1", "true", "false", "12", "-5", "+7", "1.5", "1e3", ".5", "1.", "inf", "-Inf",
    "NaN", "infinity", " 1", "9223372036854775807", "9223372036854775808", "é", "0x10", "1_0", "|",
    "\\", "'", '"', "\n", "😀", "00012", "-0", "1e400", "-1e-400",
)  # fmt: skip


def row(chance: random.Random, encoding: str) -> worlds.Node:
    found = {}
    for name, kind in SCHEMA.items():
        if chance.random() < 0.15:
            if chance.random() < 0.5:
                found[name] = None
            continue
        if kind in ("i64", "f64"):
            found[name] = chance.choice(NUMBERS)
        elif kind == "str":
            found[name] = chance.choice(STRINGS)
        else:
            found[name] = worlds.value(chance, kind, encoding == "msgpack")
    return found


def registration(wheres: list[str], columns: list[str]) -> list[worlds.Node]:
    agg: worlds.Node = {
        f"w{i}": {"op": "count", "params": {"where": where}} for i, where in enumerate(wheres)
    }
    agg |= {f"v{i}": {"op": "last", "params": {"field": f"c{i}"}} for i in range(len(columns))}
    return [
        {
            "kind": "event",
            "name": "Row",
            "schema": {"fields": {"k": "i64", **SCHEMA}, "optional_fields": list(SCHEMA)},
        },
        {
            "kind": "derivation",
            "name": "Values",
            "output_kind": "table",
            "upstreams": ["Row"],
            "ops": [
                # Apart: a column would be seen by those after it.
                {"op": "with_columns", "exprs": {f"c{i}": text for i, text in enumerate(columns)}},
                {"op": "group_by", "keys": ["k"], "agg": agg},
            ],
            "table_primary_key": ["k"],
        },
    ]


@given(seed=SEEDS, rows=st.integers(1, 40), count=st.integers(1, 8), depth=st.integers(1, 5))
@settings(max_examples=tally.examples(500))
def test_expressions_have_the_values_of_the_model(
    seed: int, rows: int, count: int, depth: int
) -> None:
    chance = random.Random(seed)
    wheres = [texts.untyped(chance, SCHEMA, depth) for _ in range(count)]
    columns = [
        texts.typed(chance, SCHEMA, chance.choice(texts.COLUMN_TYPES), depth) for _ in range(count)
    ]
    note(f"seed {seed}: wheres {wheres}, columns {columns}")
    trees = [language.parse(text) for text in (*wheres, *columns)]
    driver = Driver()
    try:
        driver.register(registration(wheres, columns))
        for k in range(rows):
            encoding = chance.choice(("json", "msgpack"))
            sent = row(chance, encoding)
            driver.push_body([(encoding, "Row", {"k": k, **sent})])
            arrived = events.as_json(sent) if encoding == "json" else events.as_msgpack(sent)
            got = driver.engine.get("Values", k)
            for i, tree in enumerate(trees):
                value = language.evaluate(tree, arrived)
                is_where = i < count
                name = f"w{i}" if is_where else f"v{i - count}"
                want = int(value is True) if is_where else shown(value)
                text = (*wheres, *columns)[i]
                assert same(got[name], want), f"{text} of {arrived}: {got[name]!r}, not {want!r}"
            tally.COUNTS["expressions evaluated"] += len(trees)
    finally:
        driver.close()


@given(seed=SEEDS)
@settings(max_examples=tally.examples(600))
def test_the_same_texts_are_refused(seed: int) -> None:
    """Damaged texts are refused when the model refuses them; where it finds two faults in one, the
    compiler may name either."""
    chance = random.Random(seed)
    driver = Driver()
    try:
        for _ in range(8):
            damaged = texts.damaged(chance, texts.untyped(chance, SCHEMA, 3))
            note(f"seed {seed}: {damaged!r}")
            check_text(driver, damaged, "where")
            check_text(driver, damaged, "chain")
    finally:
        driver.close()


def check_text(driver: Driver, text: str, mode: str) -> None:
    try:
        language.compile_expression(text, {"k": "i64", **SCHEMA}, mode)
        want, column = None, ""
    except language.ExpressionError as error:
        want = {"where": "aggregation_invalid_where", "chain": "invalid_expression"}[mode]
        column = "col " if error.kind == "parse" else ""
    wheres, columns = ([text], ["1"]) if mode == "where" else (["true"], [text])
    payload = packed("json", {"nodes": registration(wheres, columns), "dry_run": True})
    found = driver.call(OP_REGISTER, "json", payload)["errors"]
    got = found[0]["code"] if found else None
    assert got == want, f"{mode} {text!r}: {found}, expected {want}"
    assert got is None or found[0]["reason"].startswith(column), f"{mode} {text!r}: no column"
    tally.COUNTS[f"texts {'refused' if found else 'accepted'}"] += 1
