# SPDX-License-Identifier: Apache-2.0
"""Long random streams for the features of one family: parameters, values, keys and times.

A stream draws its events from a pool of bodies that are encoded once, so that a million of them
take seconds; what they are made of is decided for each key, so that one entity sees constants,
another a large offset, a third whatever is hostile.
"""

from __future__ import annotations

import random
from typing import Any

import texts
import worlds

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
TYPES = {
    "k": "str", "f": "f64", "i": "i64", "s": "str", "b": "bool", "j": "json", "lat": "f64",
    "lon": "f64", "y": "f64", "x": "i64",
}  # fmt: skip
SOURCE = {
    "kind": "event",
    "name": "Ev",
    "schema": {"fields": TYPES, "optional_fields": [name for name in TYPES if name != "k"]},
}
WINDOWS = ("forever", "64ms", "100ms", "1s", "90s", "1h", "24h", "7d")
WINDOW_MS = (64, 100, 1_000, 90_000, 3_600_000, 86_400_000, 604_800_000)
WHERES = (
    "b", "(b == true)", "(i > 3)", "(s == 'a')", "isnull(f)", "((f > 0) or b)", "(i / 2)",
    "(not b)", "(f != 0.5)", "false", "((i > 0) and (s != ''))",
)  # fmt: skip
HALF_LIVES = ("1ms", "100ms", "3s", "1m", "1h", "30d")
SUB_WINDOWS = ("1ms", "10ms", "1s", "1m", "1h", "100d")
EDGES = (
    [0], [10, 20, 50], [-5.5, 0, 0.25, 10], [1e-7, 0.5, 1e9], [-1000, -10, 10, 1000],
    list(range(0, 50, 3)),
)  # fmt: skip


# ---- features -----------------------------------------------------------------------------------


def _own(op: str, chance: random.Random) -> dict[str, Any]:
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


def feature(op: str, chance: random.Random, pace: int) -> dict[str, Any]:
    params = _own(op, chance)
    if op not in FIELDLESS:
        names = ("f", "i", "s", "j", "j", "b", "lat") if op in ANY_FIELD else ("f", "f", "i", "j")
        params["field"] = chance.choice(names)
    # Mostly windows in which something leaves and something stays.
    near = [w for w in WINDOW_MS if pace <= w <= 1000 * pace] or [WINDOW_MS[-1]]
    window = f"{chance.choice(near)}ms" if chance.random() < 0.7 else chance.choice(WINDOWS)
    if op == "first_seen_in_window":
        params["window"] = window
    elif op in WINDOWED and chance.random() < 0.65:
        is_baseline = op == "z_score" and chance.random() < 0.5
        params["baseline_window" if is_baseline else "window"] = window
    if chance.random() < (0.7 if op in ("ratio", "streak", "negative_streak") else 0.3):
        params["where"] = chance.choice(WHERES)
        if chance.random() < 0.3:
            params["where"] = texts.typed(chance, TYPES, "bool", 2)
    return {"op": op, "params": params}


def table(name: str, keys: list[str], features: dict[str, Any]) -> worlds.Node:
    return {
        "kind": "derivation",
        "name": name,
        "output_kind": "table",
        "upstreams": ["Ev"],
        "ops": [{"op": "group_by", "keys": keys, "agg": features}],
        "table_primary_key": keys,
    }


# ---- values -------------------------------------------------------------------------------------

HOSTILE_NUMBERS = (
    2**63 - 1, -(2**63), 2**53 + 1, 2.0**53, 5e-324, 1e-300, 1e300, 1.7e308, -1.7e308, 0, 0.0, -1,
    1e16, 0.1,
)  # fmt: skip
NUMBER_STYLES = ("plain", "plain", "offset", "constant", "steps", "wide", "hostile")


def number(chance: random.Random, style: str) -> int | float:
    if style == "offset":
        return 1e9 + chance.gauss(0, 1)
    if style == "constant":
        return 0.1 if chance.random() < 0.999 else 7
    if style == "steps":
        return chance.choice((3, 3, 3, 4, 10.0, 10))
    if style == "wide":
        return chance.gauss(0, 1) * 10.0 ** chance.randint(-6, 9)
    if style == "hostile" and chance.random() < 0.3:
        return chance.choice(HOSTILE_NUMBERS)
    return chance.randint(-5, 50) if chance.random() < 0.6 else chance.randint(-400, 400) / 4


def string(chance: random.Random, style: str) -> str:
    if style == "distinct":
        return f"value {chance.getrandbits(40)}"
    if style == "hostile" and chance.random() < 0.2:
        return chance.choice((*worlds.HOSTILE, "z" * 5000))
    if style == "skewed":
        return f"v{int(chance.paretovariate(0.7)) % 100_000}"
    return chance.choice(("a", "a", "b", "c", "", "é", "x" * 14, "y" * 16))


class Maker:
    """Bodies of one stream; the style of a column is chosen for each key."""

    def __init__(self, chance: random.Random, keys: list[str]) -> None:
        self.chance = chance
        self.numbers = {key: chance.choice(NUMBER_STYLES) for key in keys}
        self.strings = {
            key: chance.choice(("few", "few", "distinct", "skewed", "hostile")) for key in keys
        }
        self.home = {key: (chance.uniform(-60, 60), chance.uniform(-120, 120)) for key in keys}
        self.absent = chance.choice((0.0, 0.02, 0.3))

    def body(self, key: str) -> dict[str, Any]:
        chance, style, text = self.chance, self.numbers[key], self.strings[key]
        lat, lon = self.home[key]
        body: dict[str, Any] = {
            "f": number(chance, style),
            "i": number(chance, style),
            "s": string(chance, text),
            "b": chance.random() < 0.6,
            "lat": lat + chance.gauss(0, 0.1),
            "lon": lon + chance.gauss(0, 0.1),
            "y": number(chance, style) if style == "hostile" else chance.uniform(-90, 90),
            "x": chance.randint(-180, 180),
        }
        pick = chance.random()
        if pick < 0.5:
            body["j"] = number(chance, style) if pick < 0.25 else string(chance, text)
        else:
            body["j"] = worlds.value(chance, "json", False)
        if self.absent:
            for name in list(body):
                if chance.random() < self.absent:
                    body[name] = None
                    if chance.random() < 0.5:
                        del body[name]
        return {"k": key, **body}
