# SPDX-License-Identifier: Apache-2.0
"""Every operator's golden vectors (operators.md 10.1 to 10.3), ours where two values are given."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from oracle import geo
from oracle import operators as oracle

Event = tuple[int, dict[str, Any]]

BASE: list[Event] = [
    (0, {"amount": 10.0, "status": "ok", "page": "a", "ok": True, "lat": 0.0, "lon": 0.0}),
    (1000, {"amount": 20.0, "status": "bad", "page": "b", "ok": False, "lat": 0.0, "lon": 1.0}),
    (2000, {"amount": 5.0, "status": "ok", "page": "a", "ok": True, "lat": 1.0, "lon": 1.0}),
    (4000, {"amount": 25.0, "status": "ok", "page": "c", "ok": True, "lat": 1.0, "lon": 0.0}),
]
BASE_TYPES = {
    "amount": "f64", "status": "str", "page": "str", "ok": "bool", "lat": "f64", "lon": "f64",
}  # fmt: skip


def read(
    op: str, params: dict[str, Any], events: Iterable[Event], query: int, types: dict[str, str]
) -> Any:
    feature = oracle.read_feature({"op": op, "params": params}, types)
    latest, arrivals = 0, []
    for now, row in events:
        latest = max(latest, now)
        arrivals.append(oracle.Arrival(latest, row))
    return feature.read(arrivals, max(latest, query))


def check(got: Any, want: Any) -> None:
    assert type(got) is type(want), (got, want)
    if isinstance(want, float):
        assert math.isclose(got, want, rel_tol=1e-9, abs_tol=0), (got, want)
    elif isinstance(want, dict):
        assert list(got) == list(want) or sorted(got) == sorted(want)
        for name in want:
            check(got[name], want[name])
    elif isinstance(want, list):
        assert len(got) == len(want), (got, want)
        for one, other in zip(got, want, strict=True):
            check(one, other)
    else:
        assert got == want


def over(field: str, **more: Any) -> dict[str, Any]:
    return {"field": field, **more}


NONE = {"field": "amount", "where": "(status == 'none')"}
NEVER = {"where": "(status == 'x')"}

BASE_VECTORS: list[tuple[str, dict[str, Any], Any]] = [
    ("count", {}, 4),
    ("count", {"where": "(status == 'ok')"}, 3),
    ("count", {"where": "(amount > 100)"}, 0),
    ("sum", over("amount"), 60.0),
    ("sum", over("amount", where="(amount > 8)"), 55.0),
    ("mean", over("amount"), 15.0),
    ("min", over("amount"), 5.0),
    ("max", over("amount"), 25.0),
    ("min", over("page"), "a"),
    ("max", over("page"), "c"),
    ("var", over("amount"), 83.33333333333333),
    ("std", over("amount"), 9.128709291752768),
    ("ratio", {"where": "(status == 'ok')"}, 0.75),
    ("ratio", {}, 1.0),
    *[(op, NONE, None) for op in ("sum", "mean", "min", "var", "first")],
    ("first", over("amount"), 10.0),
    ("last", over("amount"), 25.0),
    ("first_n", over("amount", n=2), [10.0, 20.0]),
    ("last_n", over("amount", n=2), [5.0, 25.0]),
    ("lag", over("amount", n=1), 5.0),
    ("lag", over("amount", n=3), 10.0),
    ("lag", over("amount", n=4), None),
    ("most_recent_n", over("page", n=3), ["b", "a", "c"]),
    ("first_seen", {}, 0),
    ("last_seen", {}, 4000),
    ("age", {}, 5000),
    ("time_since", {}, 1000),
    ("time_since", {"where": "(status == 'bad')"}, 4000),
    ("has_seen", {"where": "(status == 'bad')"}, True),
    ("has_seen", NEVER, False),
    ("time_since_last_n", {"n": 2}, 3000),
    ("time_since_last_n", {"n": 5}, None),
    ("first_seen_in_window", {"window": "1s"}, False),
    ("first_seen_in_window", {"window": "2s"}, True),
    ("first_seen_in_window", {"window": "forever"}, True),
    ("streak", {"where": "(ok == true)"}, 2),
    ("max_streak", {"where": "(ok == true)"}, 2),
    ("streak", {"where": "ok"}, 2),
    ("negative_streak", {"where": "(status == 'bad')"}, 2),
    ("negative_streak", {"where": "(ok == true)"}, 0),
    ("ewma", over("amount", half_life="1s"), 21.25),
    ("ema", over("amount", half_life="1s"), 21.25),
    ("ewvar", over("amount", half_life="1s"), 51.5625),
    ("ew_zscore", over("amount", half_life="1s"), 0.5222329678670935),
    ("decayed_sum", over("amount", half_life="1s"), 14.6875),
    ("decayed_count", {"half_life": "1s"}, 0.71875),
    ("twa", over("amount"), 13.0),
    ("rate_of_change", over("amount"), 0.01),
    ("inter_arrival_stats", {}, 1333.3333333333333),
    ("burst_count", {"sub_window": "2s"}, 2),
    ("burst_count", {"sub_window": "10s"}, 4),
    ("delta_from_prev", over("amount"), 20.0),
    ("trend", over("amount"), 0.002857142857142857),
    ("trend_residual", over("amount"), 3.5714285714285694),
    ("value_change_count", over("page"), 3),
    ("value_change_count", over("status"), 2),
    ("z_score", over("amount"), 1.0954451150103321),
    ("outlier_count", over("amount"), 0),
    ("n_unique", over("page"), 3),
    ("quantile", over("amount", q=0.5), 15.0),
    ("quantile", over("amount", q=0.25), 8.75),
    ("quantile", over("amount", q=0.9), 23.5),
    ("quantile", over("amount", q=0.95), 24.25),
    ("top_k", over("page", k=2), [{"count": 2, "value": "a"}, {"count": 1, "value": "b"}]),
    ("bloom_member", over("page"), True),
    ("bloom_member", over("page", where="(status == 'x')"), False),
    ("entropy", over("page"), 1.5),
    ("histogram", over("amount", buckets=[10, 20]), {"10-20": 1, "<10": 1, ">=20": 2}),
    ("hour_of_day_histogram", {}, [4] + [0] * 23),
    ("seasonal_deviation", over("amount"), 1.0954451150103321),
    ("event_type_mix", over("page"), {"a": 0.5, "b": 0.25, "c": 0.25}),
    ("event_type_mix", over("page", categories=["a", "z"]), {"a": 0.5}),
    ("event_type_mix", over("page", max_categories=1), {"a": 0.5}),
    ("reservoir_sample", over("amount", samples=10), [10.0, 20.0, 5.0, 25.0]),
    ("geo_distance", {}, 333.56784397794394),
    ("geo_velocity", {}, 400301.7359204114),
    ("geo_spread", {}, 78.7136282805349),
    ("distance_from_home", {"samples": 100}, 78.62319385157603),
    ("distance_from_home", {"samples": 2}, 55.58899550559681),
]


@pytest.mark.parametrize(("op", "params", "want"), BASE_VECTORS)
def test_the_base_sequence(op: str, params: dict[str, Any], want: Any) -> None:
    check(read(op, params, BASE, 5000, BASE_TYPES), want)


def test_the_base_sequence_by_day_and_hour() -> None:
    cells = read("dow_hour_histogram", {}, BASE, 5000, BASE_TYPES)
    assert cells.pop("Thu-00") == 4
    assert len(cells) == 167 and set(cells.values()) == {0}
    assert (next(iter(cells)), list(cells)[-1]) == ("Fri-00", "Wed-23")


Values = Sequence[Any]


def at(times: Iterable[int], values: Values) -> list[Event]:
    return [(now, {"x": x}) for now, x in zip(times, values, strict=True)]


def every(values: Values, step: int = 1000) -> list[Event]:
    return at(range(0, step * len(values), step), values)


def visits(where: Iterable[tuple[float, float]], step: int = 1000) -> list[Event]:
    return [(i * step, {"lat": lat, "lon": lon}) for i, (lat, lon) in enumerate(where)]


def verdicts(pattern: str) -> list[Event]:
    return every([letter == "T" for letter in pattern])


X = {"field": "x"}
SECOND = {"field": "x", "half_life": "1s"}
MATCHED = {"where": "(x == true)"}
STREAM = [5, 9.99, 10, 15, 19.99, 20, 35, 49.99, 50, 100]
BURSTS = (0, 30, 60, 100, 200, 220, 240, 260, 280)
KINDS = ["1", 1, 1.0, True]
NYC = (40.7128, -74.0060)
SQUARE = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]

# (op, params, events, type of x, expected), read at the last event
SEQUENCES: list[tuple[str, dict[str, Any], list[Event], str, Any]] = [
    ("var", X, every([2, 4, 4, 4, 5, 5, 7, 9]), "i64", 4.571428571428571),
    ("std", X, every([2, 4, 4, 4, 5, 5, 7, 9]), "i64", 2.138089935299395),
    ("var", X, every([1]), "i64", None),
    ("var", X, every([3, 3]), "i64", 0.0),
    ("sum", X, every([1, 1.5, 2.5]), "i64", 5.0),
    ("sum", X, every([True, True]), "bool", None),
    ("min", X, every([3, 1, 5]), "i64", 1),
    ("max", X, every([3, 1, 5]), "i64", 5),
    ("min", X, every([10, 9.5]), "f64", 9.5),
    ("ewma", SECOND, every([0, 100]), "f64", 50.0),
    ("ewma", SECOND, at((0, 0), (10, 20)), "f64", 10.006929070095474),
    ("ewvar", SECOND, every([7] * 5), "f64", 0.0),
    ("ew_zscore", SECOND, every([7] * 5), "f64", None),
    ("decayed_sum", SECOND, every([100, 50]), "f64", 100.0),
    ("decayed_count", {"half_life": "1s"}, every([None, None]), "f64", 1.5),
    ("twa", X, at((0, 100, 300), (10, 20, 30)), "f64", 16.666666666666668),
    ("twa", X, every([5]), "f64", 5.0),
    ("rate_of_change", X, every([10, 20]), "f64", 0.01),
    ("rate_of_change", X, every([10]), "f64", None),
    ("rate_of_change", X, at((0, 0), (10, 20)), "f64", None),
    ("inter_arrival_stats", {}, every([None] * 5, 100), "f64", 100.0),
    ("burst_count", {"sub_window": "100ms"}, at(BURSTS, [0] * 9), "f64", 5),
    ("delta_from_prev", X, every([10, 25]), "i64", 15.0),
    ("trend", X, every([0, 1, 2, 3, 4], 100), "f64", 0.01),
    ("trend", X, every([6, 6, 6]), "f64", 0.0),
    ("trend_residual", X, every([0, 1, 2, 3, 4], 100), "f64", 0.0),
    ("outlier_count", X, every([10, 11, 9, 10, 12, 50, 10, 9, -40]), "f64", 2),
    ("outlier_count", X, every([5, 5, 5, 5, 5, 100]), "f64", 0),
    ("value_change_count", X, every([1, 1, 2, 2, 3]), "i64", 2),
    ("value_change_count", X, every(["A", "B", "A"]), "str", 2),
    ("value_change_count", X, every([1, 1.0]), "f64", 0),
    ("value_change_count", X, every([1, 1.0]), "json", 1),
    ("z_score", X, every([1, 2, 3, 4, 5]), "f64", 1.2649110640673518),
    ("z_score", X, every([3] * 5), "f64", None),
    ("streak", MATCHED, verdicts("TTTFTT"), "bool", 2),
    ("max_streak", MATCHED, verdicts("TTTFTT"), "bool", 3),
    ("negative_streak", MATCHED, verdicts("FFF"), "bool", 3),
    ("negative_streak", MATCHED, verdicts("FFFT"), "bool", 0),
    ("lag", {**X, "n": 1}, every([10.0]), "f64", None),
    ("lag", {**X, "n": 1}, every([10.0, 20.0]), "f64", 10.0),
    ("lag", {**X, "n": 1}, every([10.0, 20.0, 30.0]), "f64", 20.0),
    ("histogram", {**X, "buckets": [10, 20, 50]}, every(STREAM), "f64",
     {"10-20": 3, "20-50": 3, "<10": 2, ">=50": 2}),
    ("histogram", {**X, "buckets": [10, 50, 100, 500]}, every([]), "f64",
     {"10-50": 0, "100-500": 0, "50-100": 0, "<10": 0, ">=500": 0}),
    ("histogram", {**X, "buckets": [1e-7, 0.5]}, every([]), "f64",
     {"0.0000001-0.5": 0, "<0.0000001": 0, ">=0.5": 0}),
    ("n_unique", X, every([f"v{i // 2}" for i in range(2048)]), "str", 1024),
    ("n_unique", X, every(["x", "y", "x", None]), "str", 2),
    ("n_unique", X, every(KINDS[:3]), "json", 3),
    ("n_unique", X, every([1, 1.0, 2]), "f64", 2),
    ("top_k", {**X, "k": 4}, every(KINDS), "json",
     [{"count": 1, "value": value} for value in KINDS]),
    ("top_k", {**X, "k": 3}, every(["d"] * 10 + ["a"] * 100 + ["c"] * 30 + ["b"] * 50), "str",
     [{"count": 100, "value": "a"}, {"count": 50, "value": "b"}, {"count": 30, "value": "c"}]),
    ("entropy", X, every(list("abcdefgh") * 3), "str", 3.0),
    ("entropy", X, every(["a"] * 3), "str", 0.0),
    ("entropy", X, every(["a"] * 4 + ["b"]), "str", 0.7219280948873623),
    ("entropy", {**X, "max_categories": 1}, every(["a", "b", "c"]), "str", 0.0),
    ("geo_velocity", {}, visits([NYC, (41.7128, -74.0060)], 3_600_000), "f64", 111.19492664455873),
    ("geo_spread", {}, visits(SQUARE), "f64", 78.7136282805349),
    ("geo_spread", {}, visits(SQUARE[:1]), "f64", None),
    ("geo_distance", {}, [], "f64", 0.0),
    ("geo_distance", {}, visits(SQUARE[:1]), "f64", 0.0),
    ("geo_velocity", {}, [], "f64", None),
    ("geo_velocity", {}, visits(SQUARE[:1]), "f64", 0.0),
    ("distance_from_home", {"samples": 3}, visits(SQUARE[:1]), "f64", 0.0),
    ("distance_from_home", {"samples": 3}, [], "f64", None),
]  # fmt: skip


@pytest.mark.parametrize(("op", "params", "events", "kind", "want"), SEQUENCES)
def test_sequences(
    op: str, params: dict[str, Any], events: list[Event], kind: str, want: Any
) -> None:
    types = {"x": kind, "lat": "f64", "lon": "f64"}
    query = events[-1][0] if events else 0
    check(read(op, params, events, query, types), want)


def test_the_time_since_the_third_to_last_event() -> None:
    assert read("time_since_last_n", {"n": 3}, at((100, 200, 300), "abc"), 1000, {}) == 900


def test_all_core_operators_over_an_hour() -> None:
    rows = [(10, True), (20, True), (30, True), (40, True), (50, True), (99, False)]
    events = [(i, {"x": float(x), "ok": ok}) for i, (x, ok) in enumerate(rows)]
    for op, want in {
        "count": 6, "sum": 249.0, "mean": 41.5, "min": 10.0, "max": 99.0, "var": 993.5,
        "std": 31.51983502494897, "ratio": 0.8333333333333334,
    }.items():  # fmt: skip
        params = {"window": "1h", "where": "ok"} if op == "ratio" else {"window": "1h", **X}
        check(read(op, params, events, 10, {"x": "f64", "ok": "bool"}), want)


@pytest.mark.parametrize(
    ("q", "values", "want"),
    [
        (0.5, range(1, 301), 149.93727088382204),
        (0.9, range(1, 301), 267.7989057064144),
        (0.99, range(1, 301), 295.9645490852613),
        (0.1, range(-150, 151), -120.3265959482392),
        (0.5, range(-150, 151), 0.0),
        (0.9, range(-150, 151), 120.3265959482392),
    ],
)
def test_quantiles_of_many(q: float, values: range, want: float) -> None:
    """The published sketch is within its error of what is exact."""
    got = read("quantile", {**X, "q": q}, every([float(v) for v in values]), 0, {"x": "f64"})
    assert abs(got - want) <= 0.015 * abs(want)


def test_distinct_counts_and_heavy_hitters_are_exact_at_any_size() -> None:
    many = every([f"v{i}" for i in range(2000)], 1)
    assert read("n_unique", X, many, 0, {"x": "str"}) == 2000
    heavy = every([f"v{i}" for i in range(1500)] + ["winner"] * 2000, 1)
    assert read("top_k", {**X, "k": 3}, heavy, 0, {"x": "str"})[0] == {
        "count": 2000,
        "value": "winner",
    }


def test_a_sample_of_three() -> None:
    got = read("reservoir_sample", {**X, "samples": 3}, every(list(range(1, 11))), 0, {"x": "i64"})
    assert len(got) == 3


def test_the_hour_and_day_of_a_time() -> None:
    events = at([1_700_000_000_000], [1])
    assert read("hour_of_day_histogram", {}, events, 0, {})[22] == 1
    assert read("dow_hour_histogram", {}, events, 0, {})["Tue-22"] == 1


def test_distances() -> None:
    check(geo.haversine(NYC, (51.5074, -0.1278)), 5570.222179737958)
    check(geo.haversine((38.898556, -77.037852), (38.897147, -77.043934)), 0.5491557912038084)
    assert math.isfinite(geo.haversine((0.0, 0.0), (0.0, 180.0)))


LATTER = [{"count": 4, "value": "/home"}, {"count": 1, "value": "/about"}]
PAGES = at((0, 0, 0, 10, 15), ["/home"] * 4 + ["/about"])

# (op, params, events, type of x, {query: expected})
WINDOWS: list[tuple[str, dict[str, Any], list[Event], str, dict[int, Any]]] = [
    ("count", {"window": "60s"}, at((0, 900, 938), "abc"), "str",
     {59999: 3, 60000: 1, 60937: 1, 60938: 0}),
    ("count", {"window": "64ms"}, every([0] * 65, 1), "i64", {64: 64}),
    ("count", {"window": "64s"}, every([0]), "i64", {0: 1}),
    ("count", {"window": "64s"}, at((0, 64001), (0, 0)), "i64", {64001: 1}),
    ("sum", {**X, "window": "64s"}, every([10.0] * 5), "f64", {4999: 50.0, 128000: None}),
    ("mean", {**X, "window": "64s"}, at([0] + [1000] * 9, [10] + [1] * 9), "f64", {1999: 1.9}),
    ("var", {**X, "window": "64s"}, at([0] * 4 + [1000] * 4, [2, 4, 4, 4, 5, 5, 7, 9]), "f64",
     {1999: 4.571428571428571}),
    ("ratio", {"window": "64s", "where": "x"},
     at((0, 0, 1000, 1000, 2000), (True, True, True, False, False)), "bool",
     {2999: 0.6, 200000: None}),
    ("quantile", {**X, "window": "64ms", "q": 0.5},
     at((0, 0, 0, 10, 10, 10), (1, 2, 3, 100, 100, 100)), "f64", {20: 51.5}),
    ("n_unique", {**X, "window": "64ms"}, at((0, 0, 0, 10, 10), "abcde"), "str",
     {20: 5, 70: 2, 100: 0}),
    ("top_k", {**X, "window": "64ms", "k": 2}, PAGES, "str", {20: LATTER, 200: []}),
    ("entropy", {**X, "window": "64ms"}, at((0, 10), "ab"), "str", {20: 1.0, 70: 0.0, 200: 0.0}),
    ("count", {"window": "60s"}, at((50000, 10000), "ab"), "str", {50000: 2, 70500: 2}),
    # W7: what the lifetime operator would have seen of the active panes
    ("ewma", {**SECOND, "window": "64s"}, every([8, 0, 100]), "f64", {64000: 50.0, 66000: None}),
    ("delta_from_prev", {**X, "window": "64s"}, every([1, 5]), "f64", {63999: 4.0, 64000: None}),
    ("z_score", {**X, "baseline_window": "64s"}, every([9, 1, 2, 3, 4, 5]), "f64",
     {64000: 1.2649110640673518}),
    ("outlier_count", {**X, "window": "64s"},
     at((0, 0, 0, 0, 0, 1000, 1000), (10, 11, 9, 10, 12, 50, 10)), "f64",
     {63999: 1, 64000: 1, 65000: 0}),
    ("value_change_count", {**X, "window": "64s"}, every([1, 2, 3]), "i64", {63999: 2, 64000: 1}),
    ("inter_arrival_stats", {"window": "64s"}, at((0, 5000, 6000), "abc"), "str",
     {63999: 3000.0, 64000: 1000.0, 69000: None}),
    ("burst_count", {"window": "64s", "sub_window": "2s"}, at((0, 0, 1000, 2000), "abcd"), "str",
     {5000: 3, 64000: 1, 66000: 0}),
    ("twa", {**X, "window": "64s"}, every([8, 2]), "f64", {2000: 5.0, 64000: 2.0}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "params", "events", "kind", "wanted"), WINDOWS)
def test_windows(
    op: str, params: dict[str, Any], events: list[Event], kind: str, wanted: dict[int, Any]
) -> None:
    for query, want in wanted.items():
        check(read(op, params, events, query, {"x": kind}), want)


@pytest.mark.parametrize(("op", "params", "want"), BASE_VECTORS)
def test_a_window_without_end_is_none(op: str, params: dict[str, Any], want: Any) -> None:
    if op != "first_seen_in_window":
        params = {**params, "window": "forever"}
    check(read(op, params, BASE, 5000, BASE_TYPES), want)


def test_every_operator_of_the_catalogue_has_a_model() -> None:
    known = set(oracle.OPERATORS)
    assert len(known) == 55, "54 and the alias ema"
    tested = {op for op, *_ in [*BASE_VECTORS, *SEQUENCES, *WINDOWS]}
    assert known - tested == {"dow_hour_histogram"}, "which has a test of its own"
