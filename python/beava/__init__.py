# SPDX-License-Identifier: Apache-2.0
"""Beava: an event goes in, the next read knows it.

    import beava as bv

    @bv.event
    class Click:
        user_id: str
        amount: float

    @bv.table(key="user_id")
    def Clicks(c: Click):
        return c.group_by("user_id").agg(n=bv.count(window="1h"), total=bv.sum("amount"))

    with bv.App() as app:
        app.register(Click, Clicks)
        app.push("Click", {"user_id": "ada", "amount": 2.5})
        app.get("Clicks", "ada")

The public names are those of `__all__`; importing starts nothing, opens nothing and reads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ._agg import (
    age,
    avg,
    bloom_member,
    burst_count,
    count,
    count_distinct,
    decayed_count,
    decayed_sum,
    delta_from_prev,
    distance_from_home,
    dow_hour_histogram,
    ema,
    entropy,
    event_type_mix,
    ew_zscore,
    ewma,
    ewvar,
    first,
    first_n,
    first_seen,
    first_seen_in_window,
    geo_distance,
    geo_spread,
    geo_velocity,
    has_seen,
    histogram,
    hour_of_day_histogram,
    inter_arrival_stats,
    lag,
    last,
    last_n,
    last_seen,
    max,
    max_streak,
    mean,
    min,
    most_recent_n,
    n_unique,
    negative_streak,
    outlier_count,
    percentile,
    quantile,
    rate_of_change,
    ratio,
    reservoir_sample,
    seasonal_deviation,
    std,
    stddev,
    streak,
    sum,
    time_since,
    time_since_last_n,
    top_k,
    trend,
    trend_residual,
    twa,
    value_change_count,
    var,
    variance,
    z_score,
)
from ._app import App, ErrorRow
from ._col import col, lit
from ._engine import Digest, Engine, EngineError
from ._errors import (
    BeavaError,
    BinaryNotFoundError,
    ForceRequired,
    InvalidEvent,
    InvalidRegistration,
    NotFound,
    ProtocolError,
    RegistrationError,
    ServerError,
    Unavailable,
    ValidationError,
)
from ._events import EventDerivation as _EventDerivation
from ._events import event
from ._push_many import PushRefusal, PushSummary
from ._table import TableDescriptor as _TableDescriptor
from ._table import table

# For annotations: `def Clicks(c: Click) -> bv.Table`.
Event: TypeAlias = _EventDerivation
Table: TypeAlias = _EventDerivation | _TableDescriptor

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        # Not at import: it reads a file.
        if name == "__version__":
            from ._version import version

            return version()
        raise AttributeError(f"module 'beava' has no attribute {name!r}")


__all__ = [
    "App",
    "RegistrationError",
    "BinaryNotFoundError",
    "ValidationError",
    "col",
    "lit",
    "event",
    "table",
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
    "avg",
    "variance",
    "stddev",
    "count_distinct",
    "percentile",
    # Beyond the published names:
    "Engine",
    "Digest",
    "Event",
    "Table",
    "ErrorRow",
    "PushSummary",
    "PushRefusal",
    "BeavaError",
    "EngineError",
    "InvalidEvent",
    "NotFound",
    "InvalidRegistration",
    "ForceRequired",
    "ProtocolError",
    "ServerError",
    "Unavailable",
]
