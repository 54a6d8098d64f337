# SPDX-License-Identifier: Apache-2.0
"""The oracle against the golden vectors of the specification (operators.md 10): a model that is
wrong itself proves nothing about the C."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from oracle import operators as oracle

language = oracle.language

SCHEMA = {"amount": "i64", "f": "f64", "s": "str", "b": "bool", "n": "i64", "x": "i64"}
ROW = {"amount": 150, "f": 2.5, "s": "ok", "b": True, "n": None}

EXPRESSIONS = [
    ("(amount > 100)", True),
    ("(amount / 7)", 21),
    ("(amount / 7.0)", 21.428571428571427),
    ("(amount / 0)", None),
    ("(f / 0)", math.inf),
    ("(9223372036854775807 + 1)", 9223372036854775807),
    ("(s > 'a')", True),
    ("(s == 5)", None),
    ("(b == 1)", None),
    ("(n == null)", True),
    ("(x == null)", True),
    ("(x != null)", False),
    ("(n > 1)", None),
    ("((n > 1) or b)", True),
    ("((n > 1) and (not b))", False),
    ("((n > 1) and b)", None),
    ("(not n)", None),
    ("cast(s, int)", None),
    ("cast(b, int)", 1),
    ("cast(f, int)", 2),
    ("cast(amount, str)", "150"),
    ("(cast(amount, float) == 150)", True),
    ("isnull(x)", True),
    ("(5 and false)", None),
    ("(not b and false)", True),
    ("(1 + 2 * 3)", 7),
    ('(s == "ok")', True),
    ("(quadkey(40.7128, -74.006, 8) == 19411)", True),
    ("quadkey(0,0,1)", 3),
    ("quadkey(51.5074,-0.1278,12)", 8384066),
]


@pytest.mark.parametrize(("text", "value"), EXPRESSIONS)
def test_expressions_have_their_golden_values(text: str, value: Any) -> None:
    got = language.compile_expression(text, SCHEMA, "where")(ROW)
    assert type(got) is type(value)
    assert got == value


@pytest.mark.parametrize("text", ["amount > 5", "(a < b < c)", "not b", "(b and not b)", ""])
def test_expressions_outside_the_grammar_are_refused(text: str) -> None:
    with pytest.raises(language.ExpressionError, match=r"^col \d+: ") as caught:
        language.compile_expression(text, SCHEMA, "where")
    assert caught.value.kind == "parse"


def test_depth_512_is_the_last() -> None:
    language.parse("(" * 511 + "a" + ")" * 511)
    with pytest.raises(language.ExpressionError, match=r"depth.*512"):
        language.parse("(" * 512 + "a" + ")" * 512)


def model(agg: dict[str, Any], ops: Any = (), keys: Any = ("k",), **fields: str) -> oracle.Model:
    schema = {"k": "str", **fields}
    group = {"op": "group_by", "keys": list(keys), "agg": agg}
    return oracle.Model(
        {
            "nodes": [
                {"kind": "event", "name": "E", "schema": {"fields": schema}},
                {"kind": "derivation", "name": "T", "upstreams": ["E"], "ops": [*ops, group]},
            ]
        }
    )


def feature(op: str, **params: Any) -> dict[str, Any]:
    return {"op": op, "params": params}


def test_the_base_sequence() -> None:
    ok = "(status == 'ok')"
    none = "(status == 'none')"
    agg = {
        "count": feature("count"),
        "count_ok": feature("count", where=ok),
        "count_none": feature("count", where="(amount > 100)"),
        "sum": feature("sum", field="amount"),
        "sum_above": feature("sum", field="amount", where="(amount > 8)"),
        "mean": feature("mean", field="amount"),
        "min": feature("min", field="amount"),
        "max": feature("max", field="amount"),
        "min_page": feature("min", field="page"),
        "max_page": feature("max", field="page"),
        "var": feature("var", field="amount"),
        "std": feature("std", field="amount"),
        "ratio_ok": feature("ratio", where=ok),
        "ratio": feature("ratio"),
        "first": feature("first", field="amount"),
        "last": feature("last", field="amount"),
        "sum_none": feature("sum", field="amount", where=none),
        "first_none": feature("first", field="amount", where=none),
    }
    m = model(agg, amount="f64", status="str", page="str")
    for now, amount, status, page in [
        (0, 10.0, "ok", "a"),
        (1000, 20.0, "bad", "b"),
        (2000, 5.0, "ok", "a"),
        (4000, 25.0, "ok", "c"),
    ]:
        m.push("E", {"k": "u", "amount": amount, "status": status, "page": page}, now)
    row = m.get("T", "u", 5000)
    assert row.pop("var") == pytest.approx(83.33333333333333, rel=1e-12)
    assert row.pop("std") == pytest.approx(9.128709291752768, rel=1e-12)
    assert row == {
        "count": 4,
        "count_ok": 3,
        "count_none": 0,
        "sum": 60.0,
        "sum_above": 55.0,
        "mean": 15.0,
        "min": 5.0,
        "max": 25.0,
        "min_page": "a",
        "max_page": "c",
        "ratio_ok": 0.75,
        "ratio": 1.0,
        "first": 10.0,
        "last": 25.0,
        "sum_none": None,
        "first_none": None,
    }


def test_panes_of_a_count_over_a_minute() -> None:
    m = model({"c": feature("count", window="60s")})
    for now in (0, 900, 938):
        m.push("E", {"k": "u"}, now)
    assert [m.get("T", "u", q)["c"] for q in (59999, 60000, 60937, 60938)] == [3, 1, 1, 0]


def test_panes_of_a_millisecond() -> None:
    m = model({"c": feature("count", window="64ms")})
    for now in range(65):
        m.push("E", {"k": "u"}, now)
    assert m.get("T", "u", 64) == {"c": 64}


def test_windowed_variance_ratio_and_mean() -> None:
    m = model(
        {
            "v": feature("var", field="x", window="64s"),
            "r": feature("ratio", where="(x > 4)", window="64s"),
            "s": feature("sum", field="x", window="64s"),
        },
        x="i64",
    )
    for now, values in ((0, (2, 4, 4, 4)), (1000, (5, 5, 7, 9))):
        for x in values:
            m.push("E", {"k": "u", "x": x}, now)
    row = m.get("T", "u", 1999)
    assert row["v"] == pytest.approx(4.571428571428571)
    assert row["r"] == 0.5
    assert row["s"] == 40.0
    assert m.get("T", "u", 200_000) == {"v": None, "r": None, "s": None}


def test_a_clock_that_goes_back_stands_still() -> None:
    m = model({"c": feature("count", window="60s")})
    m.push("E", {"k": "u"}, 50_000)
    m.push("E", {"k": "u"}, 10_000)
    assert [m.get("T", "u", q)["c"] for q in (50_000, 70_500)] == [2, 2]


def test_chain_steps() -> None:
    ops = [
        {"op": "filter", "expr": "(amount >= 10)"},
        {"op": "with_columns", "exprs": {"rate": "(amount / count)", "s": "(rate * 2)"}},
        {"op": "rename", "mapping": {"rate": "s", "s": "rate"}},
    ]
    m = model(
        {"mean": feature("mean", field="s"), "twice": feature("mean", field="rate")},
        ops,
        amount="f64",
        count="i64",
    )
    for amount in (100.0, 200.0, 300.0, 5.0):
        m.push("E", {"k": "u", "amount": amount, "count": 4}, 0)
    m.push("E", {"k": "dropped", "amount": 1.0, "count": 4}, 0)
    assert m.get("T", "u", 0) == {"mean": 50.0, "twice": 100.0}
    assert m.get("T", "dropped", 0) == {}


def test_keys() -> None:
    m = model({"c": feature("count")}, keys=("k", "n"), n="i64")
    m.push("E", {"k": "u1", "n": 7}, 0)
    m.push("E", {"k": None, "n": 7}, 0)
    assert m.get("T", "u1|7", 0) == {"c": 1}
    assert m.get("T", ["u1", 7], 0) == {"c": 1}
    with pytest.raises(KeyError, match="key_parse_failure"):
        m.get("T", "u1", 0)
    world = model({"c": feature("count")}, keys=())
    world.push("E", {"k": "u"}, 0)
    assert world.get("T", "", 0) == {"c": 1}


def test_extremes_and_sums_of_mixed_kinds() -> None:
    assert oracle.op_min([10, 9.5]) == 9.5
    assert oracle.op_max([2**53, 2.0**53, 2**53 + 1]) == 2**53 + 1
    assert oracle.op_min([True, False]) is False
    assert oracle.op_min(["a", 1]) == "a"
    assert oracle.op_sum([True, None]) is None
    assert oracle.op_sum([1.7e308, 1.7e308]) is None
    assert oracle.op_sum([1, 1.5, 2.5]) == 5.0
    assert oracle.op_var([3]) is None
    assert oracle.float_text(1e16) == "1e+16"
    assert oracle.float_text(1e-5) == "0.00001"
    assert oracle.float_text(1e15) == "1000000000000000.0"
