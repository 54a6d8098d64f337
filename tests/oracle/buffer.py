# SPDX-License-Identifier: Apache-2.0
"""Values and cells that are kept (operators.md 4.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from .common import Params, Seen, doubles, matching, values
from .recency import last_n
from .shape import DAY, HOUR

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def edge_text(edge: float) -> str:
    """An integer where there is no fraction, else the shortest decimal without an exponent."""
    value = float(edge)
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")


def histogram(seen: Sequence[Seen], params: Params, query: int) -> dict[str, int]:
    edges = params["buckets"]
    texts = [edge_text(edge) for edge in edges]
    labels = [f"<{texts[0]}"]
    labels += [f"{a}-{b}" for a, b in pairwise(texts)]
    labels += [f">={texts[-1]}"]
    cells = dict.fromkeys(labels, 0)
    for _, x in doubles(seen, params):
        # The first edge above x, else the last cell: there a NaN counts too.
        cells[labels[next((i for i, edge in enumerate(edges) if x < float(edge)), -1)]] += 1
    return cells


def hour_of_day_histogram(seen: Sequence[Seen], params: Params, query: int) -> list[int]:
    hours = Counter(one.now // HOUR % 24 for one in matching(seen))
    return [hours[hour] for hour in range(24)]


def dow_hour_histogram(seen: Sequence[Seen], params: Params, query: int) -> dict[str, int]:
    cells = {f"{day}-{hour:02d}": 0 for day in sorted(DAYS) for hour in range(24)}
    for one in matching(seen):
        cells[f"{DAYS[(one.now // DAY + 3) % 7]}-{one.now // HOUR % 24:02d}"] += 1
    return cells


def event_type_mix(seen: Sequence[Seen], params: Params, query: int) -> dict[str, float]:
    """What is dropped stays in the denominator (W25)."""
    listed, most = params.get("categories"), params.get("max_categories", 256)
    total = 0
    counted: Counter[str] = Counter()
    for value in values(seen, params):
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, (int, str)):
            text = str(value)
        else:
            continue
        total += 1
        if text in listed if listed is not None else text in counted or len(counted) < most:
            counted[text] += 1
    return {text: count / total for text, count in counted.items()}


def reservoir_sample(seen: Sequence[Seen], params: Params, query: int) -> list[Any]:
    """One of many right answers (W26); agreement.py asks for as many, each of them pushed."""
    size = params.get("samples", params.get("k", 10))
    return values(seen, params)[:size]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    "histogram": histogram,
    "hour_of_day_histogram": hour_of_day_histogram,
    "dow_hour_histogram": dow_hour_histogram,
    "event_type_mix": event_type_mix,
    "most_recent_n": last_n,
    "reservoir_sample": reservoir_sample,
}
