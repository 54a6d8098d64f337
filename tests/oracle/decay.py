# SPDX-License-Identifier: Apache-2.0
"""Decay (operators.md 4.8, with W27, W28 and W29), in sixty digits.

The recurrences are those of the table; sixty digits, so that what differs is the engine's rounding
and not the model's.
"""

from __future__ import annotations

import decimal
import functools
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .common import Params, Seen, as_float, doubles, matching

CONTEXT = decimal.Context(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])


def in_sixty_digits(model: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(model)
    def wrapped(seen: Sequence[Seen], params: Params, query: int) -> Any:
        with decimal.localcontext(CONTEXT):
            return model(seen, params, query)

    return wrapped


@functools.lru_cache(maxsize=100_000)
def kept(dt: int, half_life: int) -> Decimal:
    """exp(-dt * ln 2 / half_life)."""
    with decimal.localcontext(CONTEXT):
        return (Decimal(-dt) * Decimal(2).ln() / half_life).exp()


def _decimals(seen: Sequence[Seen], params: Params) -> list[tuple[int, Decimal]]:
    """A double is a finite decimal, to sixty digits here."""
    return [(now, +Decimal(x)) for now, x in doubles(seen, params)]


@in_sixty_digits
def ewma(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = _decimals(seen, params)
    if not pairs:
        return None
    last, v = pairs[0]
    for now, x in pairs[1:]:
        a = 1 - kept(max(now - last, 1), params["half_life_ms"])
        v = a * x + (1 - a) * v
        last = max(last, now)
    return as_float(v)


def ew_moments(
    seen: Sequence[Seen], params: Params
) -> tuple[Decimal, Decimal, Decimal, int] | None:
    """Mean, variance, latest value and how many."""
    with decimal.localcontext(CONTEXT):
        pairs = _decimals(seen, params)
        if not pairs:
            return None
        last, mean = pairs[0]
        m = Decimal(0)
        for now, x in pairs[1:]:
            a = 1 - kept(max(now - last, 1), params["half_life_ms"])
            d = x - mean
            moved = mean + a * d
            # a*d*(x - moved) of the table is a*(1-a)*d*d; so written, nothing cancels
            m = (1 - a) * m + a * (1 - a) * d * d
            mean = moved
            last = max(last, now)
        return mean, m, pairs[-1][1], len(pairs)


@in_sixty_digits
def ewvar(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    moments = ew_moments(seen, params)
    return None if moments is None else as_float(moments[1])


@in_sixty_digits
def ew_zscore(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    moments = ew_moments(seen, params)
    if moments is None or moments[1].is_nan() or moments[1] <= 0:
        return None
    mean, m, latest, _ = moments
    return as_float((latest - mean) / m.sqrt())


def _decayed(pairs: list[tuple[int, Decimal]], half_life: int, query: int) -> float | None:
    if not pairs:
        return None
    last, total = pairs[0]
    for now, x in pairs[1:]:
        total = total * kept(max(now - last, 0), half_life) + x
        last = max(last, now)
    return as_float(total * kept(max(query - last, 0), half_life))


@in_sixty_digits
def decayed_sum(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    return _decayed(_decimals(seen, params), params["half_life_ms"], query)


@in_sixty_digits
def decayed_count(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = [(one.now, Decimal(1)) for one in matching(seen)]
    return _decayed(pairs, params["half_life_ms"], query)


def twa(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    pairs = doubles(seen, params)
    if not pairs:
        return None
    area, duration = Fraction(0), 0
    for (now, x), (then, _) in zip(pairs, [*pairs[1:], (query, None)], strict=True):
        if then > now:
            if not math.isfinite(x):
                return None
            area += Fraction(x) * (then - now)
            duration += then - now
    return as_float(area / duration) if duration else pairs[-1][1]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    "ewma": ewma,
    "ema": ewma,
    "ewvar": ewvar,
    "ew_zscore": ew_zscore,
    "decayed_sum": decayed_sum,
    "decayed_count": decayed_count,
    "twa": twa,
}
