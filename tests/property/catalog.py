# SPDX-License-Identifier: Apache-2.0
"""The operators of the specification by family, and random parameters for each of them."""

from __future__ import annotations

import random
from typing import Any

FAMILIES: dict[str, tuple[str, ...]] = {
    "basic": ("count", "sum", "mean", "min", "max", "var", "std", "ratio", "first", "last"),
    "recency": (
        "first_n", "last_n", "lag", "first_seen", "last_seen", "age", "has_seen", "time_since",
        "time_since_last_n", "first_seen_in_window", "streak", "max_streak", "negative_streak",
    ),
    "decay": ("ewma", "ema", "ewvar", "ew_zscore", "decayed_sum", "decayed_count", "twa"),
    "velocity": (
        "rate_of_change", "inter_arrival_stats", "burst_count", "delta_from_prev", "trend",
        "trend_residual", "value_change_count",
    ),
    "shape": ("z_score", "outlier_count", "seasonal_deviation"),
    "distinct": ("n_unique", "quantile", "top_k", "bloom_member", "entropy"),
    "buffer": (
        "histogram", "hour_of_day_histogram", "dow_hour_histogram", "event_type_mix",
        "most_recent_n", "reservoir_sample",
    ),
    "geo": ("geo_velocity", "geo_distance", "geo_spread", "distance_from_home"),
}  # fmt: skip
WINDOWED = (
    "count", "sum", "mean", "min", "max", "var", "std", "ratio", "n_unique", "quantile", "top_k",
    "entropy", *FAMILIES["decay"], *FAMILIES["velocity"], "outlier_count", "z_score",
)  # fmt: skip
FIELDLESS = (
    "count", "ratio", "first_seen", "last_seen", "age", "has_seen", "time_since",
    "time_since_last_n", "first_seen_in_window", "streak", "max_streak", "negative_streak",
    "decayed_count", "inter_arrival_stats", "burst_count", "hour_of_day_histogram",
    "dow_hour_histogram", *FAMILIES["geo"],
)  # fmt: skip
ANY_FIELD = (
    "min", "max", "first", "last", "first_n", "last_n", "lag", "value_change_count", "n_unique",
    "top_k", "bloom_member", "entropy", "event_type_mix", "most_recent_n", "reservoir_sample",
)  # fmt: skip
HALF_LIVES = ("1ms", "100ms", "3s", "1m", "1h", "30d")
SUB_WINDOWS = ("1ms", "10ms", "1s", "1m", "1h", "100d")
EDGES = (
    [0], [10, 20, 50], [-5.5, 0, 0.25, 10], [1e-7, 0.5, 1e9], [-1000, -10, 10, 1000],
    list(range(0, 50, 3)),
)  # fmt: skip


def own_params(op: str, chance: random.Random) -> dict[str, Any]:
    """The parameters that only this operator has."""
    params: dict[str, Any] = {}
    if op in ("first_n", "last_n", "lag", "time_since_last_n", "most_recent_n"):
        params["n"] = chance.choice((1, 2, 3, 5, 16, 64, 100, 1024))
    elif op in ("ewma", "ema", "ewvar", "ew_zscore", "decayed_sum", "decayed_count"):
        params["half_life"] = chance.choice(HALF_LIVES)
    elif op == "burst_count":
        params["sub_window"] = chance.choice(SUB_WINDOWS)
    elif op == "outlier_count" and chance.random() < 0.7:
        params["sigma"] = chance.choice((0.5, 1, 2.0, 3.0))
    elif op == "quantile" and chance.random() < 0.9:
        params["q"] = chance.choice((0.01, 0.1, 0.25, 0.5, 0.9, 0.99, chance.uniform(0.001, 0.999)))
    elif op == "top_k" and chance.random() < 0.9:
        params["k"] = chance.choice((1, 2, 3, 10, 100, 1024))
    elif op == "entropy" and chance.random() < 0.4:
        params["max_categories"] = chance.choice((1, 3, 50, 1024, 2000))
    elif op == "histogram":
        params["buckets"] = chance.choice(EDGES)
    elif op == "event_type_mix":
        if chance.random() < 0.3:
            params["categories"] = chance.sample(["a", "b", "c", "zz", "1", "true", "", "é"], 4)
        if chance.random() < 0.5:
            params["max_categories"] = chance.choice((1, 3, 256, 1000))
    elif op == "reservoir_sample":
        params["samples"] = chance.choice((1, 2, 10, 100))
    elif op in FAMILIES["geo"]:
        params.update(chance.choice(({}, {"lat_field": "y", "lon_field": "x"}, {"lon": "lon"})))
        if op == "distance_from_home" and chance.random() < 0.8:
            params["samples"] = chance.choice((1, 2, 10, 100, 1000))
    return params
