# SPDX-License-Identifier: Apache-2.0
import datetime
import inspect

import beava as bv
import pytest
from beava import _agg, operators
from beava._descriptor import OPERATORS, AggDescriptor, duration_ms

WHERE = bv.col("a") > 1

# One valid call per operator: arguments, and what is sent beside "op".
CALLS = {
    "count": ({"window": "1h", "where": WHERE}, {"window": "1h", "where": "(a > 1)"}),
    "ratio": ({"where": WHERE}, {"where": "(a > 1)"}),
    "first": ({"field": "x"}, {"field": "x"}),
    "last": ({"field": "x", "where": WHERE}, {"field": "x", "where": "(a > 1)"}),
    "first_n": ({"field": "x", "n": 3}, {"field": "x", "n": 3}),
    "last_n": ({"field": "x", "n": 3}, {"field": "x", "n": 3}),
    "most_recent_n": ({"field": "x", "n": 3}, {"field": "x", "n": 3}),
    "lag": ({"field": "x"}, {"field": "x", "n": 1}),
    "time_since_last_n": ({"n": 2}, {"n": 2}),
    "first_seen_in_window": ({"window": "1d"}, {"window": "1d"}),
    "quantile": ({"field": "x", "q": 0.5}, {"field": "x", "q": 0.5}),
    "top_k": ({"field": "x", "k": 2}, {"field": "x", "k": 2}),
    "decayed_count": ({"half_life": "5m"}, {"half_life": "5m"}),
    "inter_arrival_stats": ({"window": "1h"}, {"window": "1h"}),
    "burst_count": (
        {"window": "1h", "sub_window": "1m"},
        {"window": "1h", "sub_window": "1m"},
    ),
    "outlier_count": ({"field": "x", "window": "1h"}, {"field": "x", "window": "1h", "sigma": 3.0}),
    "z_score": ({"field": "x", "baseline_window": "1h"}, {"field": "x", "baseline_window": "1h"}),
    "histogram": ({"field": "x", "buckets": [1, 2.5]}, {"field": "x", "buckets": [1, 2.5]}),
    "event_type_mix": (
        {"field": "x", "categories": ["a"]},
        {"field": "x", "max_categories": 256, "categories": ["a"]},
    ),
    "reservoir_sample": ({"field": "x", "samples": 9}, {"field": "x", "samples": 9}),
    "distance_from_home": (
        {"lat": "la", "lon": "lo"},
        {"lat_field": "la", "lon_field": "lo", "samples": 100},
    ),
    "ema": ({"field": "x", "half_life": "5m"}, {"field": "x", "half_life": "5m"}),
}
for name in ("sum", "mean", "min", "max", "var", "std", "n_unique", "bloom_member", "entropy"):
    CALLS[name] = ({"field": "x", "window": "forever"}, {"field": "x", "window": "forever"})
for name in ("twa", "rate_of_change", "trend", "trend_residual", "value_change_count"):
    CALLS[name] = ({"field": "x", "window": "7d"}, {"field": "x", "window": "7d"})
for name in ("ewma", "ewvar", "ew_zscore", "decayed_sum"):
    CALLS[name] = ({"field": "x", "half_life": "100ms"}, {"field": "x", "half_life": "100ms"})
for name in ("delta_from_prev", "seasonal_deviation"):
    CALLS[name] = ({"field": "x"}, {"field": "x"})
for name in [
    "first_seen",
    "last_seen",
    "age",
    "has_seen",
    "time_since",
    "streak",
    "max_streak",
    "negative_streak",
    "hour_of_day_histogram",
    "dow_hour_histogram",
]:
    CALLS[name] = ({"where": WHERE}, {"where": "(a > 1)"})
for name in ("geo_velocity", "geo_distance", "geo_spread"):
    CALLS[name] = ({"lat": "la", "lon": ""}, {"lat_field": "la", "lon_field": ""})


@pytest.mark.parametrize("name", operators.__all__)
def test_operator_sends_what_the_catalogue_says(name):
    arguments, sent = CALLS[name]
    op = "ewma" if name == "ema" else name
    descriptor = getattr(bv, name)(**arguments)
    assert descriptor.to_dict() == {"op": op, **sent}
    assert descriptor == getattr(bv, name)(**arguments)
    assert name == "ema" or name in OPERATORS


@pytest.mark.parametrize("name", operators.__all__)
def test_only_the_field_is_positional(name):
    parameters = inspect.signature(getattr(bv, name)).parameters
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == (["field"] if "field" in parameters else [])
    assert getattr(bv, name).__doc__


@pytest.mark.parametrize(
    ("descriptor", "value"),
    [
        (lambda: bv.count(), {"op": "count"}),
        (
            lambda: bv.quantile("x", q=0.5, window="1h", where=bv.col("a") > 1),
            {"op": "quantile", "field": "x", "window": "1h", "where": "(a > 1)", "q": 0.5},
        ),
        (
            lambda: bv.event_type_mix("x", categories=["a"]),
            {"op": "event_type_mix", "field": "x", "max_categories": 256, "categories": ["a"]},
        ),
    ],
)
def test_keys_stand_in_their_order(descriptor, value):
    assert list(descriptor().to_dict().items()) == list(value.items())


FIELD_OPERATORS = [n for n, (arguments, _) in CALLS.items() if "field" in arguments]


@pytest.mark.parametrize("name", FIELD_OPERATORS)
@pytest.mark.parametrize(
    ("field", "text"),
    [(bv.col("a"), "expression.*with_columns"), (5, "int"), ("", "non-empty string")],
)
def test_field_must_be_a_name(name, field, text):
    arguments = {**CALLS[name][0], "field": field}
    with pytest.raises(bv.RegistrationError, match=f"(?s){text}") as caught:
        getattr(bv, name)(**arguments)
    assert caught.value.code == "schema_mismatch"
    assert caught.value.path == ("ewma" if name == "ema" else name)


def test_where_must_be_an_expression():
    with pytest.raises(TypeError, match="where= must be an _Expr or None; got str"):
        bv.count(where="a > 1")


GOOD = ["1ms", "30s", "10m", "24h", "7d", "100ms", "forever"]
BAD = ["1x", "abc", "", "1", "h", "1.5h", "1 h", "FOREVER", "1H", "0s", "1h\n", 5, 1.5]


@pytest.mark.parametrize("window", GOOD)
def test_window_is_accepted(window):
    assert bv.count(window=window).window == window


@pytest.mark.parametrize("window", BAD)
def test_window_is_refused(window):
    with pytest.raises(ValueError, match="count: invalid window"):
        bv.count(window=window)
    with pytest.raises(ValueError, match=r"burst_count\.sub_window: invalid window"):
        bv.burst_count(window="1h", sub_window=window)
    with pytest.raises(ValueError, match=r"z_score\.baseline_window: invalid window"):
        bv.z_score("x", baseline_window=window)
    with pytest.raises(ValueError, match="ewma: invalid half_life"):
        bv.ema("x", half_life=window)


def test_required_durations_are_asked_for():
    with pytest.raises(ValueError, match="twa requires a window= kwarg"):
        bv.twa("x", window=None)
    with pytest.raises(TypeError):
        bv.twa("x")


def test_half_life_must_be_finite():
    with pytest.raises(ValueError, match="half_life 'forever'"):
        bv.ewma("x", half_life="forever")


def test_timedelta_is_a_duration():
    assert bv.count(window=datetime.timedelta(minutes=90)).window == "90m"
    assert bv.ewma("x", half_life=datetime.timedelta(milliseconds=1500)).half_life == "1500ms"
    with pytest.raises(ValueError, match="positive"):
        bv.count(window=datetime.timedelta(0))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda v: bv.top_k("x", k=v), "top_k k must be >= 1"),
        (lambda v: bv.first_n("x", n=v), "first_n n must be >= 1"),
        (lambda v: bv.lag("x", n=v), "lag n must be >= 1"),
        (lambda v: bv.reservoir_sample("x", samples=v), "reservoir_sample samples must be >= 1"),
        (
            lambda v: bv.event_type_mix("x", max_categories=v),
            "event_type_mix max_categories must be >= 1",
        ),
    ],
)
@pytest.mark.parametrize("value", [0, -1, True, 1.0, None, "3"])
def test_counts_are_ints_of_at_least_one(call, text, value):
    with pytest.raises(ValueError) as caught:
        call(value)
    assert str(caught.value) == f"{text}; got {value!r}"


@pytest.mark.parametrize("q", [0, 1, -0.5, 2, None, float("nan"), True])
def test_q_lies_between_zero_and_one(q):
    with pytest.raises(ValueError, match=r"quantile q must be in \(0, 1\); got"):
        bv.quantile("x", q=q)


def test_sigma_is_positive_and_checked_before_the_field():
    with pytest.raises(ValueError, match="outlier_count sigma must be > 0; got 0"):
        bv.outlier_count(5, window="1h", sigma=0)


@pytest.mark.parametrize(
    ("buckets", "text"),
    [
        ([], "must be a non-empty list"),
        ((1, 2), "must be a non-empty list"),
        ([1, "two"], "entries must be numeric; got 'two'"),
        ([1, float("nan")], "entries must not be NaN"),
        ([2, 1], "must be strictly increasing"),
        ([1, 1], "must be strictly increasing"),
    ],
)
def test_buckets_rise(buckets, text):
    with pytest.raises(ValueError, match=f"histogram buckets {text}"):
        bv.histogram("x", buckets=buckets)


def test_categories_are_strings():
    with pytest.raises(ValueError, match=r"event_type_mix categories must be list\[str\] or None"):
        bv.event_type_mix("x", categories=["a", 1])


@pytest.mark.parametrize(
    ("old", "new"),
    [("avg", "mean"), ("variance", "var"), ("stddev", "std"), ("count_distinct", "n_unique")],
)
def test_old_name_warns_at_the_callers_line(old, new):
    with pytest.warns(DeprecationWarning, match=f"bv.{old} is deprecated; use bv.{new}") as caught:
        assert getattr(bv, old)("x", window="1h").op == new
    assert caught[0].filename == __file__


def test_percentile_is_a_quantile():
    with pytest.warns(DeprecationWarning, match=r"use bv.quantile\(q=...\)"):
        assert bv.percentile("x", p=0.9) == bv.quantile("x", q=0.9)


def test_descriptor_is_a_value_without_hash():
    assert AggDescriptor("count") == AggDescriptor("count")
    with pytest.raises(TypeError):
        hash(AggDescriptor("count"))
    with pytest.raises(AttributeError):
        AggDescriptor("count").op = "sum"


def test_agg_module_has_all_helpers():
    assert set(operators.__all__) | {"AggDescriptor", "avg", "percentile"} <= set(_agg.__all__)
    for name in _agg.__all__:
        assert hasattr(_agg, name)


def test_durations_in_milliseconds():
    assert duration_ms("2h") == 7_200_000
    assert duration_ms("forever") is None
    with pytest.raises(ValueError, match="invalid duration string"):
        duration_ms("soon")
