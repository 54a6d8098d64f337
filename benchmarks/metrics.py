"""What a server's /metrics say, and what of it happened between two looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

Samples = dict[str, float]


def parse(text: str) -> Samples:
    """Every sample by its name with labels, as written."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples


def total(samples: Samples, name: str) -> float:
    """Added up over all labels; 0 where the server does not tell it."""
    return sum(value for series, value in samples.items() if series.split("{", 1)[0] == name)


def _bounds(samples: Samples, name: str) -> dict[float, float]:
    prefix = f'{name}_bucket{{le="'
    return {
        float(series.removeprefix(prefix).removesuffix('"}')): value
        for series, value in samples.items()
        if series.startswith(prefix)
    }


def longest(before: Samples, after: Samples, name: str) -> float | None:
    """Upper bound in seconds of the longest that was counted between the looks.

    It is the bound of the highest bucket that grew; the server's own maximum when that is lower, as
    it covers all of its life. None: nothing was counted, or the server has no such histogram."""
    earlier = _bounds(before, name)
    bounds = _bounds(after, name)
    grown = None
    below = 0.0
    for bound in sorted(bounds):
        count = bounds[bound] - earlier.get(bound, 0.0)
        if count > below:
            grown = bound
        below = count
    if grown is None:
        return None
    return min(grown, after.get(f"{name.removesuffix('_seconds')}_max_seconds", math.inf))


def above(before: Samples, after: Samples, name: str, seconds: float) -> float:
    """How many were surely longer: those in buckets that begin at `seconds` or later."""
    earlier = _bounds(before, name)
    bounds = _bounds(after, name)
    at = min((bound for bound in bounds if bound >= seconds), default=math.inf)
    count = {bound: bounds[bound] - earlier.get(bound, 0.0) for bound in bounds}
    return count.get(math.inf, 0.0) - count.get(at, 0.0)


@dataclass(frozen=True)
class Snapshot:
    """One that was written: when it was asked for, when it was there, its bytes."""

    begin: float
    end: float
    size: int


def written_between(snapshots: list[Snapshot], begin: float, end: float) -> tuple[float, float]:
    """Bytes per second while one was being written, and the share of the time that was.

    A snapshot that reaches over an edge counts with the share of its time that lies within."""
    size = 0.0
    covered = 0.0
    for one in snapshots:
        inside = min(end, one.end) - max(begin, one.begin)
        if inside > 0:
            size += one.size * inside / (one.end - one.begin)
            covered += inside
    rate = size / covered if covered > 0 else 0.0
    return rate, covered / (end - begin)
