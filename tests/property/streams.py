# SPDX-License-Identifier: Apache-2.0
"""Long random streams for the features of one family: parameters, values, keys and times.

A stream draws its events from a pool of bodies that are encoded once, so that a million of them
take seconds; what they are made of is decided for each key, so that one entity sees constants,
another a large offset, a third whatever is hostile.
"""

from __future__ import annotations

import random
from typing import Any

import catalog
import texts
import worlds

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
# ---- features -----------------------------------------------------------------------------------


def feature(op: str, chance: random.Random, pace: int) -> dict[str, Any]:
    params = catalog.own_params(op, chance)
    if op not in catalog.FIELDLESS:
        names = (
            ("f", "i", "s", "j", "j", "b", "lat")
            if op in catalog.ANY_FIELD
            else ("f", "f", "i", "j")
        )
        params["field"] = chance.choice(names)
    # Mostly windows in which something leaves and something stays.
    near = [w for w in WINDOW_MS if pace <= w <= 1000 * pace] or [WINDOW_MS[-1]]
    window = f"{chance.choice(near)}ms" if chance.random() < 0.7 else chance.choice(WINDOWS)
    if op == "first_seen_in_window":
        params["window"] = window
    elif op in catalog.WINDOWED and chance.random() < 0.65:
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
