# SPDX-License-Identifier: Apache-2.0
"""When an answer of the engine is right: the same as the model's, or as near as is promised.

    agrees(op, params, got, want, context)

Integers, texts, times and buffers: equal in type and value. Computed floats: 1e-9 relative, and
beside it what doubles cannot hold where large numbers cancel, as each function below says; `unit`
is that loss, n * |largest| * 2^-50. Null instead of a number is right only where an intermediate
result leaves the range of doubles. Sketches: their stated errors (4.6). A sample: as many as there
are, and all of them pushed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from . import decay, distinct, geo, shape, velocity
from .common import Params, Seen, identity, numbers, values, variance

RELATIVE = 1e-9
HUGE = Fraction(10) ** 307
TINY = Fraction(1, 10**290)


@dataclass
class Context:
    """What the feature was read from: all that counts, in order, and when."""

    seen: Sequence[Seen]
    query: int


def shown(value: Any) -> Any:
    """What a reply can carry of a value (8.1)."""
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, list):
        return [shown(v) for v in value]
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items()}
    return value


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, at every depth."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b)


def near(got: Any, want: Any, slack: float = 0.0, may_be_null: bool = False) -> bool:
    if got is None or want is None:
        return got is want or may_be_null
    return type(got) is float and abs(got - want) <= RELATIVE * abs(want) + slack + 1e-300


class Loss:
    """What doubles lose over these values."""

    def __init__(self, xs: Sequence[Fraction]) -> None:
        self.n = len(xs)
        self.largest = max(map(abs, xs), default=Fraction(0))
        self.unit = float(min(self.n * self.largest / 2**50, HUGE))
        self.sums_leave = self.n * self.largest > HUGE
        self.squares_leave = self.n * self.largest**2 > HUGE
        self.is_constant = len(set(xs)) < 2


def _loss(params: Params, context: Context) -> Loss:
    return Loss([x for _, x in numbers(context.seen, params)])


def sums(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Sums cancel up to the unit; near the end of the range the partial sums leave it."""
    loss = _loss(params, context)
    return near(got, want, loss.unit, loss.sums_leave)


def means(params: Params, got: Any, want: Any, context: Context) -> bool:
    loss = _loss(params, context)
    return near(got, want, loss.unit / max(loss.n, 1), loss.sums_leave)


def weighted(params: Params, got: Any, want: Any, context: Context) -> bool:
    """ewma and twa lie between the values; a windowed one is put together from panes."""
    loss = _loss(params, context)
    return near(got, want, loss.unit, loss.largest * 10**13 > HUGE or loss.sums_leave)


def variances(params: Params, got: Any, want: Any, context: Context) -> bool:
    """The unit is of the values, so a variance of s^2 is off by unit * s, and by its square."""
    loss = _loss(params, context)
    if loss.is_constant and got is not None:
        return same(got, want)
    slack = loss.unit * (math.sqrt(want or 0.0) + loss.unit)
    return near(got, want, slack, loss.squares_leave)


def deviation(params: Params, got: Any, want: Any, context: Context) -> bool:
    loss = _loss(params, context)
    return near(got, want, loss.unit, loss.squares_leave)


def _scores(got: Any, want: Any, loss: Loss, spread: float) -> bool:
    """The distance is off by a unit, the spread too: by a unit over the spread, and by the score
    times that. Where the spread is lost in the unit, any small score or none is right."""
    if loss.is_constant:
        return got is None and want is None
    if loss.squares_leave or spread**2 < TINY:
        return got is None or type(got) is float
    if spread <= 64 * loss.unit:
        return got is None or type(got) is float
    return near(got, want, loss.unit / spread * (1 + abs(want)))


def scores(params: Params, got: Any, want: Any, context: Context) -> bool:
    xs = [x for _, x in numbers(context.seen, params)]
    loss = Loss(xs)
    spread = variance(xs) or Fraction(0)
    return _scores(got, want, loss, 0.0 if loss.squares_leave else math.sqrt(spread))


def seasonal(params: Params, got: Any, want: Any, context: Context) -> bool:
    pairs = numbers(context.seen, params)
    hours = {pairs[-1][0] // shape.HOUR % 24} if pairs else set()
    xs = [x for now, x in pairs if now // shape.HOUR % 24 in hours]
    loss = Loss(xs)
    spread = variance(xs) or Fraction(0)
    return _scores(got, want, loss, 0.0 if loss.squares_leave else math.sqrt(spread))


def ew_scores(params: Params, got: Any, want: Any, context: Context) -> bool:
    moments = decay.ew_moments(context.seen, params)
    loss = _loss(params, context)
    if moments is None or moments[3] == 1:
        return got is None and want is None
    return _scores(got, want, loss, 0.0 if loss.squares_leave else math.sqrt(moments[1]))


def differences(params: Params, got: Any, want: Any, context: Context) -> bool:
    loss = _loss(params, context)
    return near(got, want, 0.0, loss.largest * 4 > HUGE)


def _line_slack(params: Params, context: Context) -> tuple[float, float, bool]:
    pairs = numbers(context.seen, params)
    loss = Loss([x for _, x in pairs])
    found = velocity.line(pairs)
    if found is None:
        return 0.0, 0.0, False
    ts = [now - pairs[0][0] for now, _ in pairs]
    long = max(ts)
    mean_t = Fraction(sum(ts), len(ts))
    about = sum(((t - mean_t) ** 2 for t in ts), Fraction(0))
    raw = sum(t * t for t in ts)
    slope = loss.largest * len(ts) * long / 2**48 / about
    slope += abs(found[0]) * raw * len(ts) / 2**48 / about
    leave = loss.sums_leave or loss.largest * raw * len(ts) > HUGE
    rest = loss.largest * len(ts) / 2**50 + slope * long
    return float(min(slope, HUGE)), float(min(rest, HUGE)), leave


def slopes(params: Params, got: Any, want: Any, context: Context) -> bool:
    """The sum of products of times since the first and values cancels where the values are far
    from 0, and that of squared times where they are far from the first."""
    slope, _, leave = _line_slack(params, context)
    return near(got, want, slope, leave)


def residuals(params: Params, got: Any, want: Any, context: Context) -> bool:
    _, rest, leave = _line_slack(params, context)
    return near(got, want, rest, leave)


def outliers(params: Params, got: Any, want: Any, context: Context) -> bool:
    """A value that lies on the bar to within rounding may be judged either way."""
    least, _, most = shape.outlier_bounds(context.seen, params, context.query)
    loss = _loss(params, context)
    if loss.squares_leave:
        least, most = 0, loss.n
    return type(got) is int and least <= got <= most


DISTINCT_EXACT = 1024
DISTINCT_ERROR = 0.05  # three standard errors of HyperLogLog with 4096 registers


def distinct_counts(params: Params, got: Any, want: Any, context: Context) -> bool:
    if want <= DISTINCT_EXACT:
        return same(got, want)
    return type(got) is int and abs(got - want) <= DISTINCT_ERROR * want


QUANTILE_EXACT = 256
QUANTILE_BUCKETS = 2048


def quantile_error(xs: Sequence[Fraction]) -> float:
    """One percent, and more where the values span more than 2048 buckets of one percent."""
    alpha = 0.01
    while True:
        gamma = math.log((1 + alpha) / (1 - alpha))
        cells = {(x > 0, math.floor(_log(abs(x)) / gamma)) for x in xs if x}
        if len(cells) <= QUANTILE_BUCKETS:
            return alpha
        alpha = 2 * alpha / (1 + alpha * alpha)


def _log(x: Fraction) -> float:
    return math.log(x.numerator) - math.log(x.denominator)


def quantiles(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Exact up to 256 values. Above, each of the two values at the wanted rank is off by the
    sketch's error, and the answer lies between them."""
    xs = sorted(x for _, x in numbers(context.seen, params))
    if not xs:
        return got is None
    position = Fraction(params.get("q", 0.5)) * (len(xs) - 1)
    below, above = xs[math.floor(position)], xs[math.ceil(position)]
    leave = above - below > HUGE
    if len(xs) <= QUANTILE_EXACT:
        return near(got, want, float(min(max(abs(below), abs(above)), HUGE)) * 2.0**-50, leave)
    if got is None:
        return leave or max(abs(below), abs(above)) > HUGE
    error = Fraction(quantile_error(xs)) + Fraction(1, 10**9)
    return type(got) is float and (
        below - abs(below) * error <= Fraction(got) <= above + abs(above) * error
    )


HEAVY_EXACT = 1024
HEAVY_ERROR = 2.718 / 2048


def heavy_hitters(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Exact up to 1024 distinct values; above, each count is off by at most 2.718/2048 of all, and
    nothing that is more than that above the smallest answer is missing. In a column of numbers an
    answer that came as 5 and as 5.0 may be shown as either, so the order of equals is left open.
    """
    found = distinct.counts(context.seen, params)
    if type(got) is not list or any(list(one) != ["count", "value"] for one in got):
        return False
    is_exact = len(found) <= HEAVY_EXACT
    if is_exact and params.get("declared") not in ("i64", "f64"):
        return same(got, want)
    counts = {identity(value, params): count for value, count in found}
    slack = 0 if is_exact else HEAVY_ERROR * sum(counts.values())
    who = [identity(one["value"], params) for one in got]
    if len(got) != min(params.get("k", 10), len(found)) or len(set(who)) != len(who):
        return False
    order = sorted(got, key=lambda one: (-one["count"], distinct.order(one["value"])))
    if not same(order, got) or any(
        type(one["count"]) is not int or abs(one["count"] - counts.get(w, -math.inf)) > slack
        for one, w in zip(got, who, strict=True)
    ):
        return False
    least = got[-1]["count"] + slack if got else 0
    return all(w in set(who) for w, count in counts.items() if count > least)


def samples(params: Params, got: Any, want: Any, context: Context) -> bool:
    """As many as there are, none more often than it was pushed."""
    pushed = Counter(repr(shown(value)) for value in values(context.seen, params))
    return (
        type(got) is list
        and len(got) == len(want)
        and not Counter(repr(value) for value in got) - pushed
    )


def entropies(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Shares of many categories are small; their logarithms are not."""
    if want == 0:
        return same(got, want)
    return near(got, want, 1e-12)


def shares(params: Params, got: Any, want: Any, context: Context) -> bool:
    return list(got) == sorted(want, key=str.encode) and all(near(got[k], want[k]) for k in want)


def _angle(params: Params, context: Context) -> float:
    """By how much the radians of these coordinates are off."""
    found = geo.points(context.seen, params)
    largest = max((min(abs(x), 1e300) for _, point in found for x in point), default=0.0)
    return 2.0**-50 * (1.0 + math.radians(largest))


def _distance_slack(distance: float, angle: float) -> float:
    """Half a turn away the haversine is flat: there an error shows as its square root."""
    if angle > 1e-3:
        return 2 * math.pi * geo.RADIUS
    opposite = max(math.pi - distance / geo.RADIUS, math.sqrt(angle))
    return geo.RADIUS * 8 * angle * (1 + 4 / opposite)


def distances(params: Params, got: Any, want: Any, context: Context) -> bool:
    found = [point for _, point in geo.points(context.seen, params)]
    angle = _angle(params, context)
    slack = sum(_distance_slack(geo.haversine(a, b), angle) for a, b in pairwise(found))
    return near(got, want, slack)


def _largest(found: Sequence[geo.Point]) -> Fraction:
    finite = [abs(x) for point in found for x in point if math.isfinite(x)]
    return Fraction(max(finite, default=0.0))


def speeds(params: Params, got: Any, want: Any, context: Context) -> bool:
    """The largest over the shortest time, at worst."""
    found = geo.points(context.seen, params)
    angle = _angle(params, context)
    slack = 0.0
    for (before, a), (now, b) in pairwise(found):
        if now > before:
            off = _distance_slack(geo.haversine(a, b), angle) / ((now - before) / 3_600_000)
            slack = max(slack, off)
    return near(got, want, slack)


def spreads(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Between two cuts that are equally good either may be taken: they give the same."""
    found = geo.points(context.seen, params)
    largest = max((min(abs(x), 1e300) for _, point in found for x in point), default=0.0)
    leave = largest > 1e150
    loss = 2.0**-48 * len(found) * geo.DEGREE * largest * (1 + math.radians(min(largest, 1e300)))
    return near(got, want, loss, leave)


def homes(params: Params, got: Any, want: Any, context: Context) -> bool:
    """Between two cuts that are equally good rounding may choose: both homes are right."""
    found = [point for _, point in geo.points(context.seen, params)]
    angle = _angle(params, context) * (1 + params.get("samples", 100))
    if _largest(found) * 1000 > HUGE:  # no home can be told
        return got is None or (type(got) is float and 0 <= got <= 3.15 * geo.RADIUS)
    homes = [want, *geo.equal_homes(found[-params.get("samples", 100) :])]
    return any(near(got, shown(home), _distance_slack(home or 0.0, angle)) for home in homes)


Comparison = Callable[[Params, Any, Any, Context], bool]
BY_OPERATOR: dict[str, Comparison] = {
    "sum": sums,
    "mean": means,
    "var": variances,
    "std": deviation,
    "ewma": weighted,
    "ema": weighted,
    "ewvar": variances,
    "ew_zscore": ew_scores,
    "decayed_sum": sums,
    "decayed_count": lambda params, got, want, context: near(got, want),
    "twa": weighted,
    "rate_of_change": differences,
    "inter_arrival_stats": lambda params, got, want, context: near(got, want),
    "delta_from_prev": differences,
    "trend": slopes,
    "trend_residual": residuals,
    "outlier_count": outliers,
    "z_score": scores,
    "seasonal_deviation": seasonal,
    "n_unique": distinct_counts,
    "quantile": quantiles,
    "top_k": heavy_hitters,
    "entropy": entropies,
    "event_type_mix": shares,
    "reservoir_sample": samples,
    "geo_velocity": speeds,
    "geo_distance": distances,
    "geo_spread": spreads,
    "distance_from_home": homes,
}


def agrees(op: str, params: Params, got: Any, want: Any, context: Context) -> bool:
    compare = BY_OPERATOR.get(op)
    if compare is None or (want is None and got is None):
        return same(got, shown(want))
    return compare(params, got, shown(want), context)
