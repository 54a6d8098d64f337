# SPDX-License-Identifier: Apache-2.0
"""The aggregation operators, one typed function each.

Every function hands its arguments to the operator's row in `_descriptor.OPERATORS`, which checks
them, and returns an `AggDescriptor`; nothing is sent. All functions have one shape, so that they
can be generated from the server's catalogue.
"""

from __future__ import annotations

import datetime

from ._col import _Expr
from ._descriptor import AggDescriptor, describe

Duration = str | datetime.timedelta

__all__ = [
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "var",
    "std",
    "ratio",
    "n_unique",
    "quantile",
    "top_k",
    "bloom_member",
    "entropy",
    "first",
    "last",
    "first_n",
    "last_n",
    "lag",
    "first_seen",
    "last_seen",
    "age",
    "has_seen",
    "time_since",
    "time_since_last_n",
    "streak",
    "max_streak",
    "negative_streak",
    "first_seen_in_window",
    "ewma",
    "ema",
    "ewvar",
    "ew_zscore",
    "decayed_sum",
    "decayed_count",
    "twa",
    "rate_of_change",
    "inter_arrival_stats",
    "burst_count",
    "delta_from_prev",
    "trend",
    "trend_residual",
    "outlier_count",
    "value_change_count",
    "z_score",
    "histogram",
    "hour_of_day_histogram",
    "dow_hour_histogram",
    "seasonal_deviation",
    "event_type_mix",
    "most_recent_n",
    "reservoir_sample",
    "geo_velocity",
    "geo_distance",
    "geo_spread",
    "distance_from_home",
]


def count(*, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Number of events.

    Args:
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("count", window=window, where=where)


def sum(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sum of a numeric field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("sum", field=field, window=window, where=where)


def mean(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Arithmetic mean of a numeric field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("mean", field=field, window=window, where=where)


def min(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Smallest value of a field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("min", field=field, window=window, where=where)


def max(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Largest value of a field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("max", field=field, window=window, where=where)


def var(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sample variance of a numeric field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("var", field=field, window=window, where=where)


def std(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sample standard deviation of a numeric field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("std", field=field, window=window, where=where)


def ratio(*, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Share of events for which `where` holds.

    Args:
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("ratio", window=window, where=where)


def n_unique(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Approximate number of different values of a field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("n_unique", field=field, window=window, where=where)


def quantile(
    field: str, *, q: float, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Approximate quantile of a numeric field.

    Args:
        field: Name of the field to read.
        q: Between 0 and 1, both excluded.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("quantile", field=field, q=q, window=window, where=where)


def top_k(
    field: str, *, k: int, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """The k most frequent values of a field.

    Args:
        field: Name of the field to read.
        k: How many values, at least 1.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("top_k", field=field, k=k, window=window, where=where)


def bloom_member(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Whether the value of this event was seen before (approximate).

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("bloom_member", field=field, window=window, where=where)


def entropy(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Shannon entropy of the values of a field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta; None or "forever" for all time.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("entropy", field=field, window=window, where=where)


def first(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """First value of a field.

    Args:
        field: Name of the field to read.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
    """
    return describe("first", field=field, where=where)


def last(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """Last value of a field.

    Args:
        field: Name of the field to read.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
    """
    return describe("last", field=field, where=where)


def first_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The first n values of a field.

    Args:
        field: Name of the field to read.
        n: At least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("first_n", field=field, n=n, where=where)


def last_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The last n values of a field.

    Args:
        field: Name of the field to read.
        n: At least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("last_n", field=field, n=n, where=where)


def lag(field: str, *, n: int = 1, where: _Expr | None = None) -> AggDescriptor:
    """The value of a field n events ago.

    Args:
        field: Name of the field to read.
        n: How many events back, at least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("lag", field=field, n=n, where=where)


def first_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Time of the first event, in milliseconds since the epoch.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("first_seen", where=where)


def last_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Time of the last event, in milliseconds since the epoch.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("last_seen", where=where)


def age(*, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the first event.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("age", where=where)


def has_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Whether any event was seen.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("has_seen", where=where)


def time_since(*, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the last event.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("time_since", where=where)


def time_since_last_n(*, n: int, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the n-th last event.

    Args:
        n: At least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("time_since_last_n", n=n, where=where)


def streak(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events in a row for which `where` holds.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("streak", where=where)


def max_streak(*, where: _Expr | None = None) -> AggDescriptor:
    """Longest run of events for which `where` holds.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("max_streak", where=where)


def negative_streak(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events in a row for which `where` does not hold.

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("negative_streak", where=where)


def first_seen_in_window(*, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Whether the first event lies within the window.

    Args:
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("first_seen_in_window", window=window, where=where)


def ewma(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Exponentially weighted moving average of a numeric field.

    Args:
        field: Name of the field to read.
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("ewma", field=field, half_life=half_life, where=where)


def ema(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Another name of `ewma`.

    Args:
        field: Name of the field to read.
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("ewma", field=field, half_life=half_life, where=where)


def ewvar(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Exponentially weighted variance of a numeric field.

    Args:
        field: Name of the field to read.
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("ewvar", field=field, half_life=half_life, where=where)


def ew_zscore(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Deviation of the last value from its exponentially weighted mean.

    Args:
        field: Name of the field to read.
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("ew_zscore", field=field, half_life=half_life, where=where)


def decayed_sum(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Sum of a numeric field whose terms fade with a half-life.

    Args:
        field: Name of the field to read.
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("decayed_sum", field=field, half_life=half_life, where=where)


def decayed_count(*, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Number of events, each fading with a half-life.

    Args:
        half_life: Time in which a weight halves: "5m" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("decayed_count", half_life=half_life, where=where)


def twa(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Time-weighted average of a numeric field.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("twa", field=field, window=window, where=where)


def rate_of_change(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Change of a numeric field per time.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("rate_of_change", field=field, window=window, where=where)


def inter_arrival_stats(*, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Statistics of the time between events.

    Args:
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("inter_arrival_stats", window=window, where=where)


def burst_count(
    *, window: Duration, sub_window: Duration, where: _Expr | None = None
) -> AggDescriptor:
    """Largest number of events in any sub-window.

    Args:
        window: "30s", "10m", "24h", "7d" or a timedelta.
        sub_window: Length of the shorter window.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("burst_count", window=window, sub_window=sub_window, where=where)


def delta_from_prev(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """Difference between the last two values of a field.

    Args:
        field: Name of the field to read.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
    """
    return describe("delta_from_prev", field=field, where=where)


def trend(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Slope of a numeric field over time.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("trend", field=field, window=window, where=where)


def trend_residual(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Distance of the last value from the trend.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("trend_residual", field=field, window=window, where=where)


def outlier_count(
    field: str, *, window: Duration, sigma: float = 3.0, where: _Expr | None = None
) -> AggDescriptor:
    """Number of values further than sigma deviations from the mean.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        sigma: More than 0.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("outlier_count", field=field, window=window, sigma=sigma, where=where)


def value_change_count(
    field: str, *, window: Duration, where: _Expr | None = None
) -> AggDescriptor:
    """How often the value of a field changed.

    Args:
        field: Name of the field to read.
        window: "30s", "10m", "24h", "7d" or a timedelta.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("value_change_count", field=field, window=window, where=where)


def z_score(field: str, *, baseline_window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Deviation of the last value from a baseline.

    Args:
        field: Name of the field to read.
        baseline_window: Time over which the baseline is kept.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("z_score", field=field, baseline_window=baseline_window, where=where)


def histogram(field: str, *, buckets: list[float], where: _Expr | None = None) -> AggDescriptor:
    """Number of values per bucket.

    Args:
        field: Name of the field to read.
        buckets: Edges, strictly increasing.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("histogram", field=field, buckets=buckets, where=where)


def hour_of_day_histogram(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events per hour of the day (UTC).

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("hour_of_day_histogram", where=where)


def dow_hour_histogram(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events per hour of the week (UTC).

    Args:
        where: Predicate; only events for which it is true are counted.
    """
    return describe("dow_hour_histogram", where=where)


def seasonal_deviation(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """Deviation of the last value from its hour's usual one.

    Args:
        field: Name of the field to read.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
    """
    return describe("seasonal_deviation", field=field, where=where)


def event_type_mix(
    field: str,
    *,
    categories: list[str] | None = None,
    max_categories: int = 256,
    where: _Expr | None = None,
) -> AggDescriptor:
    """Share of each value of a field.

    Args:
        field: Name of the field to read.
        categories: The values to tell apart; None takes them as they come.
        max_categories: At most this many are kept, at least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe(
        "event_type_mix",
        field=field,
        categories=categories,
        max_categories=max_categories,
        where=where,
    )


def most_recent_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The n most recent values of a field, oldest first.

    Args:
        field: Name of the field to read.
        n: At least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("most_recent_n", field=field, n=n, where=where)


def reservoir_sample(field: str, *, samples: int, where: _Expr | None = None) -> AggDescriptor:
    """A uniform sample of the values of a field.

    Args:
        field: Name of the field to read.
        samples: How many values are kept, at least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        RegistrationError: `field` is not the name of a field.
        ValueError: A parameter is out of its range.
    """
    return describe("reservoir_sample", field=field, samples=samples, where=where)


def geo_velocity(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Speed between the last two positions.

    Args:
        lat: Name of the field with the latitude in degrees.
        lon: Name of the field with the longitude in degrees.
        where: Predicate; only events for which it is true are counted.
    """
    return describe("geo_velocity", lat=lat, lon=lon, where=where)


def geo_distance(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Distance travelled between positions.

    Args:
        lat: Name of the field with the latitude in degrees.
        lon: Name of the field with the longitude in degrees.
        where: Predicate; only events for which it is true are counted.
    """
    return describe("geo_distance", lat=lat, lon=lon, where=where)


def geo_spread(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Spread of the positions.

    Args:
        lat: Name of the field with the latitude in degrees.
        lon: Name of the field with the longitude in degrees.
        where: Predicate; only events for which it is true are counted.
    """
    return describe("geo_spread", lat=lat, lon=lon, where=where)


def distance_from_home(
    *, lat: str, lon: str, samples: int = 100, where: _Expr | None = None
) -> AggDescriptor:
    """Distance of the last position from the usual one.

    Args:
        lat: Name of the field with the latitude in degrees.
        lon: Name of the field with the longitude in degrees.
        samples: How many positions are kept, at least 1.
        where: Predicate; only events for which it is true are counted.

    Raises:
        ValueError: A parameter is out of its range.
    """
    return describe("distance_from_home", lat=lat, lon=lon, samples=samples, where=where)
