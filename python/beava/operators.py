# SPDX-License-Identifier: Apache-2.0
"""The aggregation operators, one typed function each.

Every function hands its arguments to the operator's row in `_descriptor.OPERATORS`, which checks
them, and returns an `AggDescriptor`; nothing is sent.

Made by bindings/build_operators.py from the core's catalogue: change that, or the row in the
operator's family file, and run `make operators`.
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

    Every matching event counts, whatever its fields hold.

    Args:
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.count(window="1h")
    """
    return describe("count", window=window, where=where)


def sum(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sum of a numeric field, always a float.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.sum("amount", window="1h")
    """
    return describe("sum", field=field, window=window, where=where)


def mean(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Arithmetic mean of a numeric field.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.mean("amount", window="1h")
    """
    return describe("mean", field=field, window=window, where=where)


def min(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Smallest value of a field, as it was pushed.

    Null and missing are skipped; int and float compare by value, strings by byte, false before
    true; other kinds and NaN keep the value that came first.

    Args:
        field: The column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a value as it was pushed, None before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.min("amount", window="1h")
    """
    return describe("min", field=field, window=window, where=where)


def max(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Largest value of a field, as it was pushed.

    Null and missing are skipped; int and float compare by value, strings by byte, false before
    true; other kinds and NaN keep the value that came first.

    Args:
        field: The column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a value as it was pushed, None before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.max("amount", window="1h")
    """
    return describe("max", field=field, window=window, where=where)


def var(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sample variance (n - 1) of a numeric field, null below two values.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.var("amount", window="1h")
    """
    return describe("var", field=field, window=window, where=where)


def std(field: str, *, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Sample standard deviation of a numeric field, null below two values.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.std("amount", window="1h")
    """
    return describe("std", field=field, window=window, where=where)


def ratio(*, window: Duration | None = None, where: _Expr | None = None) -> AggDescriptor:
    """Share of the events whose where is true; 1.0 without a where.

    Every event counts below the line, those whose where is true above it.

    Args:
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.ratio(window="1h", where=bv.col("amount") > 20)
    """
    return describe("ratio", window=window, where=where)


def n_unique(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Number of different values of a field.

    Null and missing are skipped; every other value counts, NaN and lists as well.

    exact up to 1024 different values, beyond with a standard error of 1.63 %

    Args:
        field: The column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.n_unique("merchant", window="1h")
    """
    return describe("n_unique", field=field, window=window, where=where)


def quantile(
    field: str, *, q: float, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """The value below which a share q of the values lies, interpolated between ranks.

    Null, missing, NaN, infinities and everything that is no int or float is skipped.

    exact up to 256 values; beyond, within 1 % of the value at that rank while the values take no
    more than 2048 buckets (17 decades, or any outliers)

    Args:
        field: The numeric column.
        q: Which share of the values lies below the result, between 0 and 1 but neither of them.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.quantile("amount", q=0.5, window="1h")
    """
    return describe("quantile", field=field, q=q, window=window, where=where)


def top_k(
    field: str, *, k: int, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """The k most frequent values with their counts, most frequent first.

    Strings, numbers and booleans count; everything else is skipped.

    exact up to 1024 different values; beyond, a count is never too low and too high by 1/1024 of
    all values at most

    Args:
        field: The column.
        k: How many values, from 1 to 1024.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list of dicts, [] before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.top_k("merchant", k=2, window="1h")
    """
    return describe("top_k", field=field, k=k, window=window, where=where)


def bloom_member(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Whether the field ever held a value.

    Strings, numbers and booleans count; everything else is skipped.

    Args:
        field: The column.
        window: Only None or nothing: this operator has no window and the server refuses one.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a bool, False before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.bloom_member("merchant")
    """
    return describe("bloom_member", field=field, window=window, where=where)


def entropy(
    field: str, *, window: Duration | None = None, where: _Expr | None = None
) -> AggDescriptor:
    """Shannon entropy of a field's values in bits: 0.0 when all are the same.

    Strings, numbers and booleans count as their text; everything else is skipped.

    Args:
        field: The column of categories.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. None or "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, 0.0 before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.entropy("merchant", window="1h")
    """
    return describe("entropy", field=field, window=window, where=where)


def first(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """The first value of a field, as it was pushed.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a value as it was pushed, None before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.first("amount")
    """
    return describe("first", field=field, where=where)


def last(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """The latest value of a field, as it was pushed.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a value as it was pushed, None before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.last("amount")
    """
    return describe("last", field=field, where=where)


def first_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The first n values of a field, oldest first.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        n: A positive integer, at most 1024: how many values.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, [] before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.first_n("amount", n=2)
    """
    return describe("first_n", field=field, n=n, where=where)


def last_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The latest n values of a field, oldest first.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        n: A positive integer, at most 1024: how many values.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, [] before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.last_n("amount", n=2)
    """
    return describe("last_n", field=field, n=n, where=where)


def lag(field: str, *, n: int = 1, where: _Expr | None = None) -> AggDescriptor:
    """The value n values before the latest one, null before there are n + 1.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        n: A positive integer, at most 1024: how many values back; 1 is the one before the latest.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a value as it was pushed, None before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.lag("amount")
    """
    return describe("lag", field=field, n=n, where=where)


def first_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Time of the first event, in epoch milliseconds.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, milliseconds since the epoch, None before
        anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.first_seen()
    """
    return describe("first_seen", where=where)


def last_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Time of the latest event, in epoch milliseconds.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, milliseconds since the epoch, None before
        anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.last_seen()
    """
    return describe("last_seen", where=where)


def age(*, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the first event.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.age()
    """
    return describe("age", where=where)


def has_seen(*, where: _Expr | None = None) -> AggDescriptor:
    """Whether there was any event.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a bool, False before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.has_seen()
    """
    return describe("has_seen", where=where)


def time_since(*, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the latest event.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.time_since()
    """
    return describe("time_since", where=where)


def time_since_last_n(*, n: int, where: _Expr | None = None) -> AggDescriptor:
    """Milliseconds since the n-th latest event, null before there are n.

    Every matching event counts, whatever its fields hold.

    Args:
        n: A positive integer, at most 1024: which of the latest events, 1 is the latest.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.time_since_last_n(n=2)
    """
    return describe("time_since_last_n", n=n, where=where)


def streak(*, where: _Expr | None = None) -> AggDescriptor:
    """Matching events in a row, up to now.

    Every event that reaches the table counts, as a match or as none; a where that is null is none.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.streak(where=bv.col("amount") > 20)
    """
    return describe("streak", where=where)


def max_streak(*, where: _Expr | None = None) -> AggDescriptor:
    """The most matching events in a row there ever were.

    Every event that reaches the table counts, as a match or as none; a where that is null is none.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.max_streak(where=bv.col("amount") > 20)
    """
    return describe("max_streak", where=where)


def negative_streak(*, where: _Expr | None = None) -> AggDescriptor:
    """Events in a row that do not match, up to now; 0 without a where.

    Every event that reaches the table counts, as a match or as none; a where that is null is none.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.negative_streak(where=bv.col("amount") > 30)
    """
    return describe("negative_streak", where=where)


def first_seen_in_window(*, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Whether the latest event is younger than the window; forever: whether there was any.

    Every matching event counts, whatever its fields hold.

    Args:
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a bool, False before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.first_seen_in_window(window="1h")
    """
    return describe("first_seen_in_window", window=window, where=where)


def ewma(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Exponentially weighted moving average of a numeric field.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.ewma("amount", half_life="10m")
    """
    return describe("ewma", field=field, half_life=half_life, where=where)


def ema(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Another name of `ewma`.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.ema("amount", half_life="10m")
    """
    return describe("ewma", field=field, half_life=half_life, where=where)


def ewvar(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Exponentially weighted variance of a numeric field, 0.0 after one value.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.ewvar("amount", half_life="10m")
    """
    return describe("ewvar", field=field, half_life=half_life, where=where)


def ew_zscore(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Distance of the latest value from the exponentially weighted mean, in its standard
    deviations; null while the variance is zero.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.ew_zscore("amount", half_life="10m")
    """
    return describe("ew_zscore", field=field, half_life=half_life, where=where)


def decayed_sum(field: str, *, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Sum of a numeric field in which a value counts half after each half-life, up to the time of
    the read.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.decayed_sum("amount", half_life="10m")
    """
    return describe("decayed_sum", field=field, half_life=half_life, where=where)


def decayed_count(*, half_life: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Number of events in which an event counts half after each half-life, up to the time of the
    read.

    Every matching event counts, whatever its fields hold.

    Args:
        half_life: The time after which an event counts half, a duration like "5m"; a timedelta will
            do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.decayed_count(half_life="10m")
    """
    return describe("decayed_count", half_life=half_life, where=where)


def twa(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Time-weighted average: each value counts for as long as it stands, the latest up to the time
    of the read.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.twa("amount", window="1h")
    """
    return describe("twa", field=field, window=window, where=where)


def rate_of_change(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Change per millisecond between the latest two values that came at different times.

    Null, missing and everything that is no int or float is skipped; while NaN or an infinity is one
    of the two values the result is null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.rate_of_change("amount", window="1h")
    """
    return describe("rate_of_change", field=field, window=window, where=where)


def inter_arrival_stats(*, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Mean time between consecutive events in milliseconds, null below two events.

    Every matching event counts, whatever its fields hold.

    Args:
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.inter_arrival_stats(window="1h")
    """
    return describe("inter_arrival_stats", window=window, where=where)


def burst_count(
    *, window: Duration, sub_window: Duration, where: _Expr | None = None
) -> AggDescriptor:
    """Most events in any one sub-window; sub-windows follow each other, aligned to the epoch.

    Every matching event counts, whatever its fields hold.

    Args:
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        sub_window: Length of the sub-windows in which events are counted, a duration like "10s"; a
            timedelta will do.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.burst_count(window="1h", sub_window="5m")
    """
    return describe("burst_count", window=window, sub_window=sub_window, where=where)


def delta_from_prev(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """Latest value minus the one before it, always a float.

    Null, missing and everything that is no int or float is skipped; while NaN or an infinity is one
    of the two values the result is null.

    Args:
        field: The numeric column.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.delta_from_prev("amount")
    """
    return describe("delta_from_prev", field=field, where=where)


def trend(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Least-squares slope of a numeric field over time, per millisecond.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.trend("amount", window="1h")
    """
    return describe("trend", field=field, window=window, where=where)


def trend_residual(field: str, *, window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Distance of the latest value from the least-squares line through all values.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.trend_residual("amount", window="1h")
    """
    return describe("trend_residual", field=field, window=window, where=where)


def outlier_count(
    field: str, *, window: Duration, sigma: float = 3.0, where: _Expr | None = None
) -> AggDescriptor:
    """Values more than sigma standard deviations from the mean of those before them, from the sixth
    value on.

    Null, missing and everything that is no int or float is skipped; an infinity is an outlier, and
    after NaN or an infinity nothing is.

    Args:
        field: The numeric column.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        sigma: How many standard deviations from the mean make an outlier.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.outlier_count("amount", window="1h")
    """
    return describe("outlier_count", field=field, window=window, sigma=sigma, where=where)


def value_change_count(
    field: str, *, window: Duration, where: _Expr | None = None
) -> AggDescriptor:
    """How often a value differed from the one before it.

    Null and missing are skipped; int and float compare by value in numeric columns and differ in
    others; NaN differs from itself; members of an object have no order.

    Args:
        field: The column, of any type.
        window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever": all
            time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads an int, 0 before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.value_change_count("merchant", window="1h")
    """
    return describe("value_change_count", field=field, window=window, where=where)


def z_score(field: str, *, baseline_window: Duration, where: _Expr | None = None) -> AggDescriptor:
    """Standard deviations between the latest value and the mean, the latest included; null while
    all values are equal.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result null.

    Args:
        field: The numeric column.
        baseline_window: How far back it looks: "30s", "10m", "24h", "7d" or a timedelta. "forever":
            all time.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.z_score("amount", baseline_window="1h")
    """
    return describe("z_score", field=field, baseline_window=baseline_window, where=where)


def histogram(field: str, *, buckets: list[float], where: _Expr | None = None) -> AggDescriptor:
    """Counts of a numeric field between given edges, an object by label.

    Null, missing and everything that is no int or float is skipped; NaN is below no edge and counts
    in the last cell.

    Args:
        field: The numeric column.
        buckets: Edges in ascending order, at most 65536 numbers: [10, 20] makes <10, 10-20 and
            >=20.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, {'all': 0} before anything has
        contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.histogram("amount", buckets=[10, 50])
    """
    return describe("histogram", field=field, buckets=buckets, where=where)


def hour_of_day_histogram(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events in each hour of the day (UTC), a list of 24.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, every cell 0 before anything has
        contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.hour_of_day_histogram()
    """
    return describe("hour_of_day_histogram", where=where)


def dow_hour_histogram(*, where: _Expr | None = None) -> AggDescriptor:
    """Number of events in each hour of the week (UTC), an object of 168 like Tue-07.

    Every matching event counts, whatever its fields hold.

    Args:
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, every cell 0 before anything has
        contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.dow_hour_histogram()
    """
    return describe("dow_hour_histogram", where=where)


def seasonal_deviation(field: str, *, where: _Expr | None = None) -> AggDescriptor:
    """Standard deviations between the latest value and the mean of its hour of the day (UTC), the
    latest included; null while an hour has one value or equal ones.

    Null, missing and everything that is no int or float is skipped; NaN and infinities make the
    result of their hour null.

    Args:
        field: The numeric column.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.seasonal_deviation("amount")
    """
    return describe("seasonal_deviation", field=field, where=where)


def event_type_mix(
    field: str,
    *,
    categories: list[str] | None = None,
    max_categories: int = 256,
    where: _Expr | None = None,
) -> AggDescriptor:
    """Share of each category among all values, an object by category.

    Strings, ints and bools count by their text; null, missing, floats and everything else is
    skipped.

    Args:
        field: The column of strings, integers or booleans.
        categories: The only categories to count, at most 65536. Without it all that come, up to
            max_categories.
        max_categories: How many categories are counted; those that come later stay in the
            denominator.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, {} before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.event_type_mix("merchant")
    """
    return describe(
        "event_type_mix",
        field=field,
        categories=categories,
        max_categories=max_categories,
        where=where,
    )


def most_recent_n(field: str, *, n: int, where: _Expr | None = None) -> AggDescriptor:
    """The latest n values of a field, oldest first; n may be large.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        n: A positive integer, at most 65536: how many values.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, [] before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.most_recent_n("amount", n=2)
    """
    return describe("most_recent_n", field=field, n=n, where=where)


def reservoir_sample(field: str, *, samples: int, where: _Expr | None = None) -> AggDescriptor:
    """A random sample of all values of a field, each with the same chance.

    Null and missing are skipped; every other value is kept as it is.

    Args:
        field: The column, of any type.
        samples: A positive integer, at most 65536: how many values the sample has; 10 where memory
            governance lets it be left out.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a list or a dict, [] before anything has contributed.

    Raises:
        RegistrationError: `field` is not the name of a field.
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.reservoir_sample("amount", samples=5)
    """
    return describe("reservoir_sample", field=field, samples=samples, where=where)


def geo_velocity(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Highest speed between consecutive points, in km/h; 0.0 after one point.

    An event counts when both coordinates are int or float, of any size; NaN and infinities make no
    speed.

    Args:
        lat: The column of the latitude in degrees, "lat" without it.
        lon: The column of the longitude in degrees, "lon" without it.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.geo_velocity(lat="lat", lon="lon")
    """
    return describe("geo_velocity", lat=lat, lon=lon, where=where)


def geo_distance(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Sum of the distances between consecutive points, in km.

    An event counts when both coordinates are int or float, of any size; NaN and infinities make the
    result null.

    Args:
        lat: The column of the latitude in degrees, "lat" without it.
        lon: The column of the longitude in degrees, "lon" without it.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, 0.0 before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.geo_distance(lat="lat", lon="lon")
    """
    return describe("geo_distance", lat=lat, lon=lon, where=where)


def geo_spread(*, lat: str, lon: str, where: _Expr | None = None) -> AggDescriptor:
    """Standard distance of the points from their mean, in km; null below two points.

    An event counts when both coordinates are int or float, of any size; NaN and infinities make the
    result null.

    Args:
        lat: The column of the latitude in degrees, "lat" without it.
        lon: The column of the longitude in degrees, "lon" without it.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.

    Example:
        >>> feature = bv.geo_spread(lat="lat", lon="lon")
    """
    return describe("geo_spread", lat=lat, lon=lon, where=where)


def distance_from_home(
    *, lat: str, lon: str, samples: int = 100, where: _Expr | None = None
) -> AggDescriptor:
    """Distance of the latest point from the mean of the latest points, in km.

    An event counts when both coordinates are int or float, of any size; NaN and infinities make the
    result null.

    Args:
        lat: The column of the latitude in degrees, "lat" without it.
        lon: The column of the longitude in degrees, "lon" without it.
        samples: How many of the latest points home is the mean of, 1 to 65536.
        where: Predicate; only events for which it is true match. None: all of them.

    Returns:
        What `agg` takes; the feature reads a float, None before anything has contributed.

    Raises:
        TypeError: `where` is not an expression.
        ValueError: A parameter is out of its range.

    Example:
        >>> feature = bv.distance_from_home(lat="lat", lon="lon")
    """
    return describe("distance_from_home", lat=lat, lon=lon, samples=samples, where=where)
