# SPDX-License-Identifier: Apache-2.0
"""Where a value stands among the others (operators.md 4.7, 4.9), in exact fractions."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from .common import (
    Params,
    Seen,
    as_float,
    doubles,
    is_poisoned,
    language,
    numbers,
    root,
    total,
    variance,
)
from .decay import CONTEXT

HOUR = 3_600_000
DAY = 24 * HOUR


def score(x: Fraction, xs: Sequence[Fraction]) -> float | None:
    """How many standard deviations x is above the mean of xs."""
    spread = variance(xs)
    if not spread:
        return None
    with decimal.localcontext(CONTEXT):
        above = x - total(xs) / len(xs)
        return as_float(
            decimal.Decimal(above.numerator) / decimal.Decimal(above.denominator) / root(spread)
        )


def z_score(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    xs = [x for _, x in numbers(seen, params)]
    return score(xs[-1], xs) if xs and not is_poisoned(seen, params) else None


def seasonal_deviation(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = doubles(seen, params)
    if not pairs:
        return None
    latest = pairs[-1][0] // HOUR % 24
    xs = [x for now, x in pairs if now // HOUR % 24 == latest]
    if not all(map(math.isfinite, xs)):
        return None
    return score(Fraction(xs[-1]), [Fraction(x) for x in xs])


NEAR = Fraction(1, 10**9)


def outlier_bounds(seen: Sequence[Seen], params: Params, query: int) -> tuple[int, int, int]:
    """Certain verdicts, verdicts, and verdicts with those that rounding might turn.

    `seen` is all there ever was (W7): each value is judged on arrival, against the values of the
    panes that are active then, and a verdict counts as long as its own pane is active.
    """
    window = params.get("window_ms")
    sigma = Fraction(params.get("sigma", 3.0))
    name = params.get("field")
    found = [
        (one.now, one.pane, float(one.row[name]))
        for one in seen
        if name is not None and one.matched and language.is_number(one.row.get(name))
    ]
    least = sure = most = 0
    oldest, n, s1, s2, poison = 0, 0, Fraction(0), Fraction(0), 0
    largest = max((Fraction(abs(x)) for _, _, x in found if math.isfinite(x)), default=Fraction(0))
    for now, pane, value in found:
        while window is not None and oldest < len(found) and now - found[oldest][1] >= window:
            if math.isfinite(found[oldest][2]):
                gone = Fraction(found[oldest][2])
                n, s1, s2 = n - 1, s1 - gone, s2 - gone * gone
            else:
                poison -= 1
            oldest += 1
        counts = window is None or 0 <= query - pane < window
        if not math.isfinite(value):
            if counts and n >= 5 and not poison and math.isinf(value) and s2 != s1 * s1 / n:
                least, sure, most = least + 1, sure + 1, most + 1
            poison += 1
            continue
        x = Fraction(value)
        if n >= 5 and counts and not poison:
            spread = (s2 - s1 * s1 / n) / (n - 1)
            away = (x - s1 / n) ** 2
            bar = sigma * sigma * spread
            # What doubles lose against the largest value that was ever there.
            slack = NEAR * bar + 2 * abs(x - s1 / n) * largest * n * Fraction(1, 2**48)
            slack += (largest * n * Fraction(1, 2**48)) ** 2
            sure += bool(spread > 0 and away > bar)
            if spread > 0 and s2 != s1 * s1 / n:
                least += away > bar + slack
                most += away > bar - slack
        n, s1, s2 = n + 1, s1 + x, s2 + x * x
    return least, sure, most


def outlier_count(seen: Sequence[Seen], params: Params, query: int) -> int:
    return outlier_bounds(seen, params, query)[1]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f for f in (z_score, seasonal_deviation, outlier_count)
}
