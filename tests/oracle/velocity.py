# SPDX-License-Identifier: Apache-2.0
"""How fast and how regular (operators.md 4.9), in exact fractions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .common import (
    NAN,
    Params,
    Seen,
    as_float,
    doubles,
    identity,
    is_poisoned,
    matching,
    numbers,
    values,
)


def rate_of_change(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    rate = None
    for (before, previous), (now, x) in pairwise(doubles(seen, params)):
        if now > before:
            rate = _over(previous, x, now - before)
    return as_float(rate)


def _over(previous: float, x: float, duration: int) -> Fraction | None:
    if not (math.isfinite(previous) and math.isfinite(x)):
        return None
    return (Fraction(x) - Fraction(previous)) / duration


def inter_arrival_stats(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    times = [one.now for one in matching(seen)]
    gaps = [max(b - a, 0) for a, b in pairwise(times)]
    return as_float(Fraction(sum(gaps), len(gaps))) if gaps else None


def burst_count(seen: Sequence[Seen], params: Params, query: int) -> int:
    """The 64 slots of the spec never show: time does not go back (W11), so none is met again."""
    slots = Counter(one.now // params["sub_window_ms"] for one in matching(seen))
    return max(slots.values(), default=0)


def delta_from_prev(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = doubles(seen, params)
    return as_float(_over(pairs[-2][1], pairs[-1][1], 1)) if len(pairs) > 1 else None


def line(pairs: Sequence[tuple[int, Fraction]]) -> tuple[Fraction, Fraction] | None:
    """Slope and intercept over the time since the first (W30)."""
    if not pairs:
        return None
    n, first = len(pairs), pairs[0][0]
    ts = [Fraction(now - first) for now, _ in pairs]
    xs = [x for _, x in pairs]
    st, sx = sum(ts, Fraction(0)), sum(xs, Fraction(0))
    stt = sum((t * t for t in ts), Fraction(0))
    stx = sum((t * x for t, x in zip(ts, xs, strict=True)), Fraction(0))
    denominator = n * stt - st * st
    if n < 2 or denominator == 0:
        return None
    slope = (n * stx - st * sx) / denominator
    return slope, (sx - slope * st) / n


def trend(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    found = None if is_poisoned(seen, params) else line(numbers(seen, params))
    return None if found is None else as_float(found[0])


def trend_residual(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = numbers(seen, params)
    found = line(pairs)
    if found is None or is_poisoned(seen, params):
        return None
    slope, intercept = found
    return as_float(pairs[-1][1] - (slope * (pairs[-1][0] - pairs[0][0]) + intercept))


def value_change_count(seen: Sequence[Seen], params: Params, query: int) -> int:
    found = [identity(value, params) for value in values(seen, params)]
    return sum(a != b or a[1] == NAN for a, b in pairwise(found))


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f
    for f in (
        rate_of_change, inter_arrival_stats, burst_count, delta_from_prev, trend, trend_residual,
        value_change_count,
    )
}  # fmt: skip
