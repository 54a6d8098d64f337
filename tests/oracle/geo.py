# SPDX-License-Identifier: Apache-2.0
"""Distances on a sphere (operators.md 4.10, with W31)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from .common import Params, Seen, language, matching

Point = tuple[float, float]
RADIUS = 6371.0
DEGREE = 111.32


def points(seen: Sequence[Seen], params: Params) -> list[tuple[int, Point]]:
    """(now, (lat, lon)) of what matched with both coordinates."""
    lat = params.get("lat_field") or params.get("lat") or "lat"
    lon = params.get("lon_field") or params.get("lon") or "lon"
    pairs = [(one.now, one.row.get(lat), one.row.get(lon)) for one in matching(seen)]
    return [
        (now, (float(a), float(b)))
        for now, a, b in pairs
        if language.is_number(a) and language.is_number(b)
    ]


def haversine(a: Point, b: Point) -> float:
    if not all(map(math.isfinite, (*a, *b))):
        return math.nan
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2
    h += math.sin((lon2 - lon1) / 2) ** 2 * math.cos(lat1) * math.cos(lat2)
    h = min(max(h, 0.0), 1.0)
    return 2 * RADIUS * math.atan2(math.sqrt(h), math.sqrt(1 - h))


def geo_velocity(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    found = points(seen, params)
    if not found:
        return None
    speeds = [
        haversine(a, b) / ((now - before) / 3_600_000)
        for (before, a), (now, b) in pairwise(found)
        if now > before
    ]
    return max((v for v in speeds if not math.isnan(v)), default=0.0)  # NaN is greater than nothing


def geo_distance(seen: Sequence[Seen], params: Params, query: int) -> float:
    found = [point for _, point in points(seen, params)]
    return math.fsum(haversine(a, b) for a, b in pairwise(found))


def _mean(xs: Sequence[float]) -> float:
    return math.fsum(xs) / len(xs)


def _variance(xs: Sequence[float]) -> float:
    mean = _mean(xs)
    return math.fsum((x - mean) ** 2 for x in xs) / len(xs)


def uncut(lons: Sequence[float]) -> list[float]:
    """W31: as pushed, or with 360 added to the negative ones where that is clearly closer."""
    pushed, east = list(lons), [x + 360 if x < 0 else x for x in lons]
    return east if _variance(east) < _variance(pushed) * (1 - 1e-9) else pushed


def geo_spread(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    found = [point for _, point in points(seen, params)]
    if len(found) < 2:
        return None
    lats, lons = [lat for lat, _ in found], [lon for _, lon in found]
    if not all(map(math.isfinite, lats + lons)) or max(map(abs, lats + lons)) > 1e150:
        return None  # its square is no double
    across = DEGREE * math.cos(math.radians(_mean(lats)))
    return math.sqrt(_variance(lats) * DEGREE**2 + _variance(uncut(lons)) * across**2)


def distance_from_home(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    found = [point for _, point in points(seen, params)][-params.get("samples", 100) :]
    if not found:
        return None
    if max(abs(x) for point in found for x in point) > 1e300:
        return math.nan
    lons = [lon for _, lon in found]
    if max(map(abs, lons)) < 1e150:  # beyond, 360 is nothing
        lons = uncut(lons)
    home = _mean([lat for lat, _ in found]), _mean(lons)
    return haversine(found[-1], home)


def equal_homes(found: Sequence[Point]) -> list[float]:
    """The distance from home on either cut, where they keep the longitudes together alike."""
    lons = [lon for _, lon in found]
    if not found or not max(abs(x) for point in found for x in point) < 1e150:
        return []
    pushed, east = lons, [x + 360 if x < 0 else x for x in lons]
    if not math.isclose(_variance(pushed), _variance(east), rel_tol=1e-8, abs_tol=1e-8):
        return []
    lat = _mean([lat for lat, _ in found])
    return [haversine(found[-1], (lat, _mean(cut))) for cut in (pushed, east)]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f for f in (geo_velocity, geo_distance, geo_spread, distance_from_home)
}
