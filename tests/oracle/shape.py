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
    scaled,
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


NEAR = 10**9


def outlier_bounds(seen: Sequence[Seen], params: Params, query: int) -> tuple[int, int, int]:
    """Certain verdicts, verdicts, and verdicts with those that rounding might turn.

    `seen` is all there ever was (W7): each value is judged on arrival, against the values of the
    panes that are active then, and a verdict counts as long as its own pane is active.
    """
    window = params.get("window_ms")
    sigma = Fraction(params.get("sigma", 3.0))
    name = params.get("field")
    found = [
        (one.now, one.pane, _scaled(one.row[name]))
        for one in seen
        if name is not None and one.matched and language.is_number(one.row.get(name))
    ]
    least = sure = most = 0
    oldest, n, s1, s2, poison = 0, 0, 0, 0, 0
    largest = max((abs(x) for _, _, x in found if isinstance(x, int)), default=0)
    for now, pane, x in found:
        while window is not None and oldest < len(found) and now - found[oldest][1] >= window:
            gone = found[oldest][2]
            if isinstance(gone, int):
                n, s1, s2 = n - 1, s1 - gone, s2 - gone * gone
            else:
                poison -= 1
            oldest += 1
        is_counted = window is None or 0 <= query - pane < window
        spread = n * s2 - s1 * s1  # the variance, times n * (n - 1)
        is_judged = is_counted and n >= 5 and not poison and spread > 0
        if not isinstance(x, int):
            if is_judged and math.isinf(x):
                least, sure, most = least + 1, sure + 1, most + 1
            poison += 1
            continue
        if is_judged:
            # Both sides of (x - mean)^2 > sigma^2 * variance, times n^2 * (n - 1) * that of sigma.
            away, scale = abs(n * x - s1), (n - 1) * sigma.denominator**2
            bar = sigma.numerator**2 * n * spread
            # What doubles lose against the largest value that was ever there.
            lost = (largest * n * n) >> 48
            slack = bar // NEAR + (2 * away * lost + lost * lost) * scale
            least += away * away * scale > bar + slack
            sure += away * away * scale > bar
            most += away * away * scale > bar - slack
        n, s1, s2 = n + 1, s1 + x, s2 + x * x
    return least, sure, most


def _scaled(value: float) -> int | float:
    x = float(value)
    return scaled(x) if math.isfinite(x) else x


def outlier_count(seen: Sequence[Seen], params: Params, query: int) -> int:
    return outlier_bounds(seen, params, query)[1]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f for f in (z_score, seasonal_deviation, outlier_count)
}
