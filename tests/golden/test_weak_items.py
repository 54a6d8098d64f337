"""The weaknesses W1 to W47 of the published server: what ours answers, through the engine.

One test per item that can be seen from outside; docs/weak_items.json names the others' tests.
Written from operators.md ("Better"), with numbers small enough to check by hand.
"""

from __future__ import annotations

import json
import math
from typing import Any

import beava as bv
import pytest

HOUR = 3_600_000
START = 472_222 * HOUR  # a full hour, in milliseconds since the epoch


def table(
    agg: dict[str, Any],
    ops: list[dict[str, Any]] | None = None,
    keys: list[str] | None = None,
    upstream: str = "E",
    **node: Any,
) -> dict[str, Any]:
    """The node of the table `T`."""
    keys = ["k"] if keys is None else keys
    group = {"op": "group_by", "keys": keys, "agg": agg}
    return {
        "kind": "derivation",
        "name": "T",
        "output_kind": "table",
        "table_primary_key": keys,
        "upstreams": [upstream],
        "ops": [*(ops or []), group],
        **node,
    }


class World:
    """One engine with one event `E` and the table `T`, and a clock that the test moves."""

    def __init__(
        self,
        agg: dict[str, Any],
        schema: dict[str, str],
        ops: list[dict[str, Any]] | None = None,
        keys: list[str] | None = None,
        **node: Any,
    ) -> None:
        self.now = START
        self.engine = bv.Engine(clock=lambda: self.now)
        nodes = [
            {"kind": "event", "name": "E", "schema": {"fields": {"k": "str", **schema}}},
            table(agg, ops, keys, **node),
        ]
        payload = json.dumps({"nodes": nodes}).encode()
        self.reply: dict[str, Any] = self.engine._request(1, 1, payload)
        self.warnings = json.dumps(self.reply.get("warnings", []))

    def push(self, at: int | None = None, **fields: Any) -> None:
        self.now = self.now if at is None else START + at
        self.engine.push("E", {"k": "u", **fields})

    def read(self, at: int | None = None, key: Any = "u") -> dict[str, Any]:
        self.now = self.now if at is None else START + at
        return dict(self.engine.get("T", key))


def one(op: str, values: list[Any], kind: str = "f64", step: int = 1000, **params: Any) -> Any:
    """What `op` reads after these values of field x, `step` ms apart, at the time of the last."""
    params = {"field": "x", **params}
    world = World({"f": {"op": op, "params": params}}, {"x": kind})
    for i, value in enumerate(values):
        world.push(i * step, x=value)
    return world.read()["f"]


def refusal(op: str, kind: str = "f64", **params: Any) -> tuple[str, str]:
    """Code and path of a registration that must be refused."""
    with pytest.raises(bv.RegistrationError) as caught:
        World({"f": {"op": op, "params": {"field": "x", **params}}}, {"x": kind})
    assert caught.value.path is not None
    return caught.value.code, caught.value.path.split(".agg.f")[-1]


def feature(op: str, **params: Any) -> dict[str, Any]:
    return {"op": op, "params": params}


def test_w1_an_int_in_a_float_field_is_the_float() -> None:
    assert one("n_unique", [1, 1.0, 2]) == 2
    assert one("value_change_count", [1, 1.0, 2], window="forever") == 1
    assert one("top_k", [10, 10.0], k=1)[0]["count"] == 2
    assert one("min", [10, 9.5]) == 9.5


def test_w2_keys_and_fields_come_from_the_row_behind_the_chain() -> None:
    ops = [
        {"op": "with_columns", "exprs": {"y": "(x * 2)"}},
        {"op": "rename", "mapping": {"k": "who"}},
    ]
    world = World({"s": feature("sum", field="y")}, {"x": "f64"}, ops, ["who"])
    world.push(x=3.0)
    assert world.read() == {"s": 6.0}


def test_w3_three_hundred_fields_are_kept_apart() -> None:
    names = [f"x{i}" for i in range(300)]
    agg = {f"f_{name}": feature("last", field=name) for name in names}
    world = World(agg, dict.fromkeys(names, "i64"))
    world.push(**{name: i for i, name in enumerate(names)})
    assert world.read() == {f"f_{name}": i for i, name in enumerate(names)}


def test_w4_events_that_match_nothing_take_no_pane() -> None:
    agg = {"c": feature("count", window="64s", where="(x > 5)")}
    quiet, busy = World(agg, {"x": "i64"}), World(agg, {"x": "i64"})
    for i in range(64):
        quiet.push(i * 1000, x=0)
        busy.push(i * 1000, x=9)
    assert quiet.read() == {"c": 0}
    assert busy.read() == {"c": 64}
    assert quiet.engine.stats()["state_bytes"] <= busy.engine.stats()["state_bytes"]


def test_w5_a_parameter_of_another_kind_is_refused() -> None:
    assert refusal("count", window=60000) == ("aggregation_invalid_window", ".params.window")
    assert refusal("count", where=True) == ("aggregation_invalid_where", ".params.where")
    assert refusal("quantile", q="half") == ("invalid_percentile_q", ".params.q")
    assert refusal("top_k", k=2.5) == ("invalid_top_k_k", ".params.k")


def test_w6_first_seen_in_forever_is_has_seen() -> None:
    assert one("first_seen_in_window", [1.0], window="forever") is True


@pytest.mark.parametrize(
    ("op", "params", "inside"),
    [
        ("ewma", {"half_life": "1h"}, 5.0),
        ("ewvar", {"half_life": "1h"}, 0.0),
        ("decayed_count", {"half_life": "1000d"}, pytest.approx(1.0)),
        ("decayed_sum", {"half_life": "1000d"}, pytest.approx(5.0)),
        ("ew_zscore", {"half_life": "1h"}, None),
        ("twa", {}, 5.0),
        ("rate_of_change", {}, None),
        ("inter_arrival_stats", {}, None),
        ("burst_count", {"sub_window": "1s"}, 1),
        ("delta_from_prev", {}, None),
        ("trend", {}, None),
        ("trend_residual", {}, None),
        ("outlier_count", {}, 0),
        ("value_change_count", {}, 0),
        ("z_score", {}, None),
    ],
)
def test_w7_a_window_forgets_what_left_it(op: str, params: dict[str, Any], inside: Any) -> None:
    """Three events long before, one in the window: it reads as after that one alone."""
    world = World({"f": feature(op, field="x", window="64s", **params)}, {"x": "f64"})
    for at, x in ((0, 100.0), (10, 300.0), (20, 900.0), (600_000, 5.0)):
        world.push(at, x=x)
    assert world.read()["f"] == inside


def test_w7_the_baseline_window_is_a_window() -> None:
    world = World({"f": feature("z_score", field="x", baseline_window="64s")}, {"x": "f64"})
    for at, x in ((0, 100.0), (600_000, 1.0), (601_000, 3.0)):
        world.push(at, x=x)
    assert world.read()["f"] == pytest.approx(math.sqrt(0.5))


def test_w8_expired_panes_give_their_memory_back() -> None:
    agg = {"c": feature("count", window="64s")}
    long, short = World(agg, {}), World(agg, {})
    for i in range(64 * 20):
        long.push(i * 1000)
    for i in range(64):
        short.push(i * 1000)
    assert long.engine.stats()["state_bytes"] == short.engine.stats()["state_bytes"]


def test_w9_a_pane_counts_while_its_start_is_in_the_window() -> None:
    world = World({"c": feature("count", window="64s")}, {})
    world.push(0)
    world.push(999)
    assert world.read(63_999) == {"c": 2}
    assert world.read(64_000) == {"c": 0}


def test_w10_batch_get_asks_at_the_time_of_the_read() -> None:
    world = World({"c": feature("count", window="64s"), "a": feature("age")}, {})
    world.push(0)
    world.now = START + 100_000
    [row] = world.engine.batch_get([("T", "u")])
    assert dict(row) == {"c": 0, "a": 100_000}


def test_w11_a_clock_that_goes_back_stands_still() -> None:
    world = World({"s": feature("last_seen")}, {})
    world.push(5000)
    world.push(1000)
    assert world.read() == {"s": START + 5000}


def test_w12_an_operator_without_its_field_registers_with_a_warning() -> None:
    world = World({"f": feature("sum", expr="x")}, {"x": "f64"})
    assert "nodes[1].ops[0].agg.f" in world.warnings
    world.push(x=1.0)
    assert world.read() == {"f": None}


def test_w13_a_field_of_another_type_is_warned_of_and_an_unknown_one_refused() -> None:
    world = World({"f": feature("sum", field="x")}, {"x": "str"})
    assert "nodes[1].ops[0].agg.f" in world.warnings
    with pytest.raises(bv.RegistrationError) as caught:
        World({"f": feature("seasonal_deviation", field="y")}, {"x": "f64"})
    assert caught.value.code == "aggregation_unknown_field"


@pytest.mark.parametrize(
    ("op", "params", "where"),
    [
        ("most_recent_n", {"n": 65_537}, ".params.n"),
        ("reservoir_sample", {"samples": 65_537}, ".params.samples"),
        (
            "distance_from_home",
            {"lat_field": "x", "lon_field": "x", "samples": 65_537},
            ".params.samples",
        ),
        ("histogram", {"buckets": list(range(65_537))}, ".params.buckets"),
        ("event_type_mix", {"max_categories": 65_537}, ".params.max_categories"),
        ("bloom_member", {"expected_n": 2**62}, ".params.expected_n"),
    ],
)
def test_w14_sizes_have_a_bound(op: str, params: dict[str, Any], where: str) -> None:
    kind = "str" if op in ("event_type_mix", "bloom_member") else "f64"
    assert refusal(op, kind, **params) == ("aggregation_unknown_field", where)


def test_w15_a_half_life_is_refused_with_the_generic_code_and_the_cause() -> None:
    assert refusal("ewma", half_life="forever") == ("invalid_registration", ".params.half_life")
    assert refusal("burst_count", sub_window="1x") == (
        "invalid_registration",
        ".params.sub_window",
    )


def test_w16_extremes_compare_numbers_by_value_and_false_before_true() -> None:
    assert one("min", [10, 9.5], "json") == 9.5
    assert one("max", [False, True], "bool") is True


def test_w17_a_sum_keeps_its_low_bits() -> None:
    assert one("sum", [1e16, 1.0, -1e16]) == 1.0
    assert one("sum", [0.1] * 10) == 1.0


def test_w18_a_quantile_does_not_jump_where_the_sketch_begins() -> None:
    values = [float(i) for i in range(1, 257)]
    exact = one("quantile", values, q=0.5, step=0)
    sketched = one("quantile", [*values, 257.0], q=0.5, step=0)
    assert exact == 128.5
    assert sketched == pytest.approx(129.0, rel=0.01)


def test_w19_heavy_hitters_survive_a_restart(tmp_path: Any) -> None:
    """Beyond a thousand values, when the counts have left the exact table."""
    values = [f"v{i}" for i in range(1500)] + ["often"] * 400
    nodes = [
        {"kind": "event", "name": "E", "schema": {"fields": {"k": "str", "x": "str"}}},
        table({"t": feature("top_k", field="x")}),
    ]
    with bv.Engine(tmp_path, clock=lambda: START, policy="os") as engine:
        engine._request(1, 1, json.dumps({"nodes": nodes}).encode())
        engine.push_many("E", [{"k": "u", "x": x} for x in values])
        before, digest = engine.get("T", "u"), engine.digest()
    with bv.Engine(tmp_path, clock=lambda: START, policy="os") as engine:
        assert engine.get("T", "u") == before
        assert engine.digest() == digest
    assert before["t"][0]["value"] == "often"
    assert 400 <= before["t"][0]["count"] <= 400 + 2.718 / 2048 * len(values)


def test_w20_a_windowed_top_k_stays_small() -> None:
    world = World({"t": feature("top_k", field="x", k=5, window="64s")}, {"x": "str"})
    before = world.engine.stats()["state_bytes"]
    for pane in range(64):
        world.now = START + pane * 1000
        rows = [{"k": "u", "x": f"v{pane}-{i}"} for i in range(1200)]
        world.engine.push_many("E", [*rows, *([{"k": "u", "x": "often"}] * 50)])
    top = world.read()["t"]
    assert top[0]["value"] == "often"
    assert world.engine.stats()["state_bytes"] - before < 4 << 20


def test_w21_a_bloom_filter_is_one_flag() -> None:
    world = World({"b": feature("bloom_member", field="x"), "c": feature("count")}, {"x": "json"})
    world.push(x=[1])
    assert world.read() == {"b": False, "c": 1}
    world.push(x="seen")
    assert world.read() == {"b": True, "c": 2}


def test_w22_entropy_honours_max_categories() -> None:
    words = ["a", "b", "c", "d"]
    assert one("entropy", words, "str") == 2.0
    assert one("entropy", words, "str", max_categories=2) == 1.0


@pytest.mark.parametrize("buckets", [[2, 1], [1, 1], ["x"]])
def test_w23_edges_rise(buckets: list[Any]) -> None:
    assert refusal("histogram", buckets=buckets) == (
        "aggregation_unknown_field",
        ".params.buckets",
    )


def test_w24_a_seasonal_variance_keeps_its_digits_beside_a_large_mean() -> None:
    values = [1e9 + 1, 1e9 + 2, 1e9 + 3]
    assert one("seasonal_deviation", values) == pytest.approx(1.0, rel=1e-6)


def test_w25_dropped_categories_stay_below_the_line() -> None:
    mix = one("event_type_mix", ["a", "b", "a", "c"], "str", max_categories=1)
    assert mix == {"a": 0.5}


def test_w26_two_entities_draw_different_samples() -> None:
    world = World({"r": feature("reservoir_sample", field="x", samples=8)}, {"x": "i64"})
    for x in range(500):
        for key in ("u", "v"):
            world.engine.push("E", {"k": key, "x": x})
    assert world.read(key="u") != world.read(key="v")


def test_w27_decayed_values_fade_until_they_are_read() -> None:
    agg = {
        "s": feature("decayed_sum", field="x", half_life="1m"),
        "c": feature("decayed_count", half_life="1m"),
    }
    world = World(agg, {"x": "f64"})
    world.push(0, x=8.0)
    assert world.read(120_000) == {"s": pytest.approx(2.0), "c": pytest.approx(0.25)}


def test_w28_events_of_one_millisecond_are_a_millisecond_apart() -> None:
    a = 1 - 0.5 ** (1 / 60_000)
    assert one("ewma", [0.0, 1.0], step=0, half_life="1m") == pytest.approx(a)
    assert one("ewvar", [0.0, 1.0], step=0, half_life="1m") == pytest.approx(a * (1 - a))


def test_w29_the_last_value_weighs_until_it_is_read() -> None:
    world = World({"f": feature("twa", field="x", window="forever")}, {"x": "f64"})
    world.push(0, x=0.0)
    world.push(1000, x=10.0)
    assert world.read(4000)["f"] == pytest.approx(7.5)


def test_w30_a_trend_of_two_milliseconds_has_a_slope() -> None:
    assert one("trend", [1.0, 3.0], step=1, window="forever") == pytest.approx(2.0)
    assert one("trend_residual", [1.0, 3.0, 5.0], step=1, window="forever") == pytest.approx(0.0)


def test_w31_positions_meet_at_the_antimeridian_and_the_poles() -> None:
    position = {"lat_field": "la", "lon_field": "lo"}
    agg = {
        "path": feature("geo_distance", **position),
        "speed": feature("geo_velocity", **position),
        "home": feature("distance_from_home", **position),
    }
    world = World(agg, {"la": "f64", "lo": "f64"})
    world.push(0, la=0.0, lo=179.5)
    world.push(HOUR, la=0.0, lo=-179.5)
    row = world.read()
    assert row["path"] == pytest.approx(111.19, rel=1e-3)
    assert row["speed"] == pytest.approx(111.19, rel=1e-3)
    world.push(2 * HOUR, la=0.0, lo=0.5)
    far = world.read()
    assert far["path"] is not None and math.isfinite(far["path"])


@pytest.mark.parametrize(
    ("text", "value"),
    [('(s == "it\'s")', "it's"), ("(s == 'größe')", "größe"), ("(s == 'a\\tb')", "a\tb")],
)
def test_w32_literals_mean_what_python_writes(text: str, value: str) -> None:
    world = World({"c": feature("count", where=text)}, {"s": "str"})
    world.push(s=value)
    assert world.read() == {"c": 1}


def test_w32_floats_may_have_an_exponent() -> None:
    assert one("count", [1e-5, 2e-5], where="(x > 1e-05)") == 1


def test_w33_a_chain_of_a_thousand_terms_is_refused_or_right() -> None:
    where = "(" + " and ".join(["(x > 0)"] * 1000) + ")"
    try:
        assert one("count", [1.0, -1.0], where=where) == 1
    except bv.RegistrationError as error:
        assert error.code == "aggregation_invalid_where"


def test_w34_the_quotient_that_does_not_fit_saturates() -> None:
    ops = [{"op": "with_columns", "exprs": {"y": "(x / -1)"}}]
    world = World({"m": feature("max", field="y")}, {"x": "i64"}, ops)
    world.push(x=-(2**63))
    assert world.read() == {"m": 2**63 - 1} or world.read() == {"m": 2.0**63}


def test_w35_a_where_that_cannot_match_is_warned_of() -> None:
    world = World({"c": feature("count", where="nosuch(x)")}, {"x": "f64"})
    assert "nosuch" in world.warnings


def test_w36_a_quadkey_is_an_int_in_a_chain() -> None:
    ops = [{"op": "with_columns", "exprs": {"cell": "quadkey(la, lo, 7)"}}]
    world = World({"n": feature("n_unique", field="cell")}, {"la": "f64", "lo": "f64"}, ops)
    for lo in (13.4, 13.41, 100.0):
        world.push(la=52.5, lo=lo)
    assert world.read() == {"n": 2}


def test_w37_nothing_follows_a_group_by() -> None:
    with pytest.raises(bv.RegistrationError) as caught:
        World(
            {"c": feature("count")},
            {"x": "f64"},
            [{"op": "group_by", "keys": ["k"], "agg": {"d": feature("count")}}],
        )
    assert caught.value.code == "invalid_registration"


def test_w38_fillna_fills_what_is_absent() -> None:
    ops = [{"op": "fillna", "defaults": {"x": 7.0}}]
    nodes = [
        {"kind": "event", "name": "E",
         "schema": {"fields": {"k": "str", "x": "f64"}, "optional_fields": ["x"]}},
        table({"s": feature("sum", field="x")}, ops),
    ]  # fmt: skip
    with bv.Engine(clock=lambda: START) as engine:
        engine._request(1, 1, json.dumps({"nodes": nodes}).encode())
        engine.push("E", {"k": "u"})
        assert engine.get("T", "u") == {"s": 7.0}


def test_w39_two_columns_cannot_get_one_name() -> None:
    with pytest.raises(bv.RegistrationError):
        World(
            {"c": feature("count")},
            {"x": "f64", "y": "f64"},
            [{"op": "rename", "mapping": {"x": "z", "y": "z"}}],
        )


def test_w40_a_filter_that_is_no_boolean_is_warned_of() -> None:
    world = World({"c": feature("count")}, {"x": "f64"}, [{"op": "filter", "expr": "(x + 1)"}])
    assert "nodes[1].ops[0]" in world.warnings


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [("i64", -1, "-1"), ("i64", 2**60 - 1, 2**60 - 1), ("bool", True, True)],
)
def test_w41_a_single_int_or_bool_key_is_read_back(kind: str, value: Any, key: Any) -> None:
    world = World({"c": feature("count")}, {"n": kind}, keys=["n"])
    world.push(n=value)
    assert world.read(key=key) == {"c": 1}


def test_w42_a_bar_in_a_key_is_addressed_by_its_escape() -> None:
    world = World({"c": feature("count")}, {"n": "str"}, keys=["k", "n"])
    world.push(n="a|b")
    assert world.read(key="u|a%7Cb") == {"c": 1}


def test_w43_a_key_may_be_an_array_of_its_parts() -> None:
    world = World({"c": feature("count")}, {"n": "i64"}, keys=["k", "n"])
    world.push(n=7)
    assert world.read(key=["u", 7]) == {"c": 1}


def test_w45_a_primary_key_that_is_not_the_group_key_is_warned_of() -> None:
    world = World({"c": feature("count")}, {"n": "str"}, table_primary_key=["n"])
    assert "table_primary_key" in world.warnings


def test_w47_a_table_on_a_derived_event_is_fed() -> None:
    nodes = [
        {"kind": "event", "name": "E", "schema": {"fields": {"k": "str", "x": "f64"}}},
        {"kind": "derivation", "name": "D", "output_kind": "event", "upstreams": ["E"],
         "ops": [{"op": "filter", "expr": "(x > 1)"}]},
        table({"c": feature("count")}, upstream="D"),
    ]  # fmt: skip
    with bv.Engine(clock=lambda: START) as engine:
        engine._request(1, 1, json.dumps({"nodes": nodes}).encode())
        for x in (0.5, 2.0):
            engine.push("E", {"k": "u", "x": x})
        assert engine.get("T", "u") == {"c": 1}
