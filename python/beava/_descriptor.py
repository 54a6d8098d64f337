# SPDX-License-Identifier: Apache-2.0
"""What an aggregation helper returns, and what the package promises of each: one row per operator.

The rest of what is known about operators is the core's catalogue (`_catalog.py`); of both the
functions in `operators.py` are made.

Enters: arguments of the functions in `operators.py`. Leaves: `AggDescriptor`.
Invariant: a descriptor that exists can be sent; every mistake was raised where it was made.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

from ._col import _Expr
from ._errors import InvalidRegistration

_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)|forever")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class AggDescriptor:
    """One aggregation, as a helper of `beava` returns it. Equality is by value."""

    op: str
    field: str | None = None
    window: str | None = None
    half_life: str | None = None
    extras: dict[str, Any] = dataclass_field(default_factory=dict)
    where: str | None = None

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """The flat form: op, then what is set, then the operator's own parameters."""
        out: dict[str, Any] = {"op": self.op}
        for name in ("field", "window", "half_life", "where"):
            value = getattr(self, name)
            if value is not None:
                out[name] = value
        out.update(self.extras)
        return out


def duration_ms(text: str) -> int | None:
    """Milliseconds of a duration; None for "forever".

    Raises:
        ValueError: `text` is not a duration.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"invalid duration string {text!r}; write e.g. '30s', '10m', '7d'")
    if match[1] is None:
        return None
    return int(match[1]) * _UNIT_MS[match[2]]


def duration_text(value: Any) -> Any:
    """A timedelta in the server's grammar; anything else unchanged, for the checks to see."""
    if not isinstance(value, datetime.timedelta):
        return value
    if value <= datetime.timedelta(0) or value % datetime.timedelta(milliseconds=1):
        raise ValueError(f"a duration must be a positive number of whole milliseconds; got {value}")
    left = value // datetime.timedelta(milliseconds=1)
    unit = next(u for u in ("d", "h", "m", "s", "ms") if left % _UNIT_MS[u] == 0)
    return f"{left // _UNIT_MS[unit]}{unit}"


def _check_field(op: str, field: Any) -> str:
    """The name of the field to read, or InvalidRegistration (code schema_mismatch)."""
    if isinstance(field, _Expr):
        message = (
            f"{op} reads a field by name, not an expression; first "
            "`.with_columns(name=<expression>)`, then aggregate 'name'"
        )
    elif not isinstance(field, str):
        message = f"{op} expects a field name (str); got {type(field).__name__}"
    elif field == "":
        message = f"{op} expects a non-empty string as field name"
    else:
        return field
    raise InvalidRegistration(code="schema_mismatch", path=op, message=message)


def _check_duration(
    op: str, kind: str, value: Any, *, is_required: bool, may_be_forever: bool
) -> str | None:
    value = duration_text(value)
    if value is None:
        if is_required:
            raise ValueError(f"{op} requires a {kind}= kwarg")
        return None
    try:
        ms = duration_ms(value)
    except ValueError:
        ms = 0
        reason = "write e.g. '30s', '10m', '7d'" + (" or 'forever'" if may_be_forever else "")
    else:
        reason = "it must be finite" if ms is None else "it must be longer than 0"
    if ms == 0 or (ms is None and not may_be_forever):
        raise ValueError(f"{op}: invalid {kind} {value!r}; {reason}")
    assert isinstance(value, str)
    return value


def _check_window(op: str, window: Any) -> str | None:
    return _check_duration(op, "window", window, is_required=False, may_be_forever=True)


def _check_required_window(op: str, window: Any) -> str | None:
    return _check_duration(op, "window", window, is_required=True, may_be_forever=True)


def _check_inner_window(param: str) -> Callable[[str, Any], str | None]:
    def check(op: str, window: Any) -> str | None:
        return _check_required_window(f"{op}.{param}", window)

    return check


def _check_half_life(op: str, half_life: Any) -> str | None:
    return _check_duration(op, "half_life", half_life, is_required=True, may_be_forever=False)


def _check_count(param: str) -> Callable[[str, Any], int]:
    def check(op: str, value: Any) -> int:
        if type(value) is not int or value < 1:  # a bool is not a count
            raise ValueError(f"{op} {param} must be >= 1; got {value!r}")
        return value

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_q(op: str, q: Any) -> Any:
    if not _is_number(q) or not 0 < q < 1:
        raise ValueError(f"{op} q must be in (0, 1); got {q!r}")
    return q


def _check_sigma(op: str, sigma: Any) -> Any:
    if not _is_number(sigma) or not sigma > 0:
        raise ValueError(f"{op} sigma must be > 0; got {sigma!r}")
    return sigma


def _check_buckets(op: str, buckets: Any) -> list[float]:
    if not isinstance(buckets, list) or not buckets:
        raise ValueError(f"{op} buckets must be a non-empty list; got {buckets!r}")
    for edge in buckets:
        if not _is_number(edge):
            raise ValueError(f"{op} buckets entries must be numeric; got {edge!r}")
        if math.isnan(edge):
            raise ValueError(f"{op} buckets entries must not be NaN; got {buckets!r}")
    if any(low >= high for low, high in itertools.pairwise(buckets)):
        raise ValueError(f"{op} buckets must be strictly increasing; got {buckets!r}")
    return buckets


def _check_categories(op: str, categories: Any) -> list[str] | None:
    if categories is None:
        return None
    if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
        raise ValueError(f"{op} categories must be list[str] or None; got {categories!r}")
    return categories


def _check_where(op: str, where: Any) -> str | None:
    if where is None:
        return None
    if not isinstance(where, _Expr):
        raise TypeError(f"where= must be an _Expr or None; got {type(where).__name__}")
    return where.to_expr_string()


@dataclass(frozen=True)
class Param:
    """An argument of an operator's function, as its signature has it and as it is checked."""

    name: str
    annotation: str
    check: Callable[[str, Any], Any]
    default: str = ""  # as written in the signature; none when empty
    wire_name: str = ""

    @property
    def key(self) -> str:
        """Its name on the wire."""
        return self.wire_name or self.name


_FIELD = Param("field", "str", _check_field)
_WINDOW = Param("window", "Duration | None", _check_window, "None")
_WINDOW_REQUIRED = Param("window", "Duration", _check_required_window)
_HALF_LIFE = Param("half_life", "Duration", _check_half_life)
_WHERE = Param("where", "_Expr | None", _check_where, "None")
_N = Param("n", "int", _check_count("n"))
_SAMPLES = Param("samples", "int", _check_count("samples"))
_POSITION = (
    Param("lat", "str", lambda op, name: name, wire_name="lat_field"),
    Param("lon", "str", lambda op, name: name, wire_name="lon_field"),
)
_MEASURE = (_FIELD, _WINDOW, _WHERE)
_MEASURE_OVER = (_FIELD, _WINDOW_REQUIRED, _WHERE)
_DECAY = (_FIELD, _HALF_LIFE, _WHERE)


@dataclass(frozen=True)
class Operator:
    """What the package promises of one operator: the type of its feature ("field": that of the
    field it reads) and its parameters, in the order in which they are checked."""

    output: str
    params: tuple[Param, ...]


OPERATORS: dict[str, Operator] = {
    "count": Operator("i64", (_WINDOW, _WHERE)),
    "sum": Operator("f64", _MEASURE),
    "mean": Operator("f64", _MEASURE),
    "min": Operator("field", _MEASURE),
    "max": Operator("field", _MEASURE),
    "var": Operator("f64", _MEASURE),
    "std": Operator("f64", _MEASURE),
    "ratio": Operator("f64", (_WINDOW, _WHERE)),
    "n_unique": Operator("i64", _MEASURE),
    "quantile": Operator("f64", (Param("q", "float", _check_q), *_MEASURE)),
    "top_k": Operator("str", (Param("k", "int", _check_count("k")), *_MEASURE)),
    "bloom_member": Operator("bool", _MEASURE),
    "entropy": Operator("f64", _MEASURE),
    "first": Operator("field", (_FIELD, _WHERE)),
    "last": Operator("field", (_FIELD, _WHERE)),
    "first_n": Operator("str", (_N, _FIELD, _WHERE)),
    "last_n": Operator("str", (_N, _FIELD, _WHERE)),
    "lag": Operator("field", (replace(_N, default="1"), _FIELD, _WHERE)),
    "first_seen": Operator("i64", (_WHERE,)),
    "last_seen": Operator("i64", (_WHERE,)),
    "age": Operator("i64", (_WHERE,)),
    "has_seen": Operator("bool", (_WHERE,)),
    "time_since": Operator("i64", (_WHERE,)),
    "time_since_last_n": Operator("i64", (_N, _WHERE)),
    "streak": Operator("i64", (_WHERE,)),
    "max_streak": Operator("i64", (_WHERE,)),
    "negative_streak": Operator("i64", (_WHERE,)),
    "first_seen_in_window": Operator("bool", (_WINDOW_REQUIRED, _WHERE)),
    "ewma": Operator("f64", _DECAY),
    "ewvar": Operator("f64", _DECAY),
    "ew_zscore": Operator("f64", _DECAY),
    "decayed_sum": Operator("f64", _DECAY),
    "decayed_count": Operator("f64", (_HALF_LIFE, _WHERE)),
    "twa": Operator("f64", _MEASURE_OVER),
    "rate_of_change": Operator("f64", _MEASURE_OVER),
    "inter_arrival_stats": Operator("f64", (_WINDOW_REQUIRED, _WHERE)),
    "burst_count": Operator(
        "i64",
        (
            _WINDOW_REQUIRED,
            Param("sub_window", "Duration", _check_inner_window("sub_window")),
            _WHERE,
        ),
    ),
    "delta_from_prev": Operator("field", (_FIELD, _WHERE)),
    "trend": Operator("f64", _MEASURE_OVER),
    "trend_residual": Operator("f64", _MEASURE_OVER),
    "outlier_count": Operator(
        "i64", (Param("sigma", "float", _check_sigma, "3.0"), *_MEASURE_OVER)
    ),
    "value_change_count": Operator("i64", _MEASURE_OVER),
    "z_score": Operator(
        "f64",
        (
            _FIELD,
            Param("baseline_window", "Duration", _check_inner_window("baseline_window")),
            _WHERE,
        ),
    ),
    "histogram": Operator("str", (Param("buckets", "list[float]", _check_buckets), _FIELD, _WHERE)),
    "hour_of_day_histogram": Operator("str", (_WHERE,)),
    "dow_hour_histogram": Operator("str", (_WHERE,)),
    "seasonal_deviation": Operator("f64", (_FIELD, _WHERE)),
    "event_type_mix": Operator(
        "str",
        (
            Param("max_categories", "int", _check_count("max_categories"), "256"),
            Param("categories", "list[str] | None", _check_categories, "None"),
            _FIELD,
            _WHERE,
        ),
    ),
    "most_recent_n": Operator("str", (_N, _FIELD, _WHERE)),
    "reservoir_sample": Operator("str", (_SAMPLES, _FIELD, _WHERE)),
    "geo_velocity": Operator("f64", (*_POSITION, _WHERE)),
    "geo_distance": Operator("f64", (*_POSITION, _WHERE)),
    "geo_spread": Operator("f64", (*_POSITION, _WHERE)),
    "distance_from_home": Operator("f64", (*_POSITION, replace(_SAMPLES, default="100"), _WHERE)),
}


def describe(op: str, **arguments: Any) -> AggDescriptor:
    """Checks the arguments of an operator, by its row, and makes its descriptor."""
    common: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for param in OPERATORS[op].params:
        value = param.check(op, arguments[param.name])
        if param.key in ("field", "window", "half_life", "where"):
            common[param.key] = value
        elif value is not None:
            extras[param.key] = value
    return AggDescriptor(op, extras=extras, **common)
