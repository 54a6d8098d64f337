# SPDX-License-Identifier: Apache-2.0
"""When, how often in a row, and the first and latest values (operators.md 4.4, 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .common import Params, Seen, matching, values


def first_n(seen: Sequence[Seen], params: Params, query: int) -> list[Any]:
    return values(seen, params)[: params["n"]]


def last_n(seen: Sequence[Seen], params: Params, query: int) -> list[Any]:
    return values(seen, params)[-params["n"] :]


def lag(seen: Sequence[Seen], params: Params, query: int) -> Any:
    found = values(seen, params)
    return found[-params["n"] - 1] if len(found) > params["n"] else None


def _times(seen: Sequence[Seen]) -> list[int]:
    return [one.now for one in matching(seen)]


def first_seen(seen: Sequence[Seen], params: Params, query: int) -> int | None:
    times = _times(seen)
    return times[0] if times else None


def last_seen(seen: Sequence[Seen], params: Params, query: int) -> int | None:
    times = _times(seen)
    return times[-1] if times else None


def age(seen: Sequence[Seen], params: Params, query: int) -> int | None:
    times = _times(seen)
    return max(0, query - times[0]) if times else None


def has_seen(seen: Sequence[Seen], params: Params, query: int) -> bool:
    return bool(matching(seen))


def time_since(seen: Sequence[Seen], params: Params, query: int) -> int | None:
    times = _times(seen)
    return max(0, query - times[-1]) if times else None


def time_since_last_n(seen: Sequence[Seen], params: Params, query: int) -> int | None:
    times = _times(seen)
    return max(0, query - times[-params["n"]]) if len(times) >= params["n"] else None


def first_seen_in_window(seen: Sequence[Seen], params: Params, query: int) -> bool:
    """`seen` is all there ever was: the age of the latest is compared, not its pane (W6)."""
    times = _times(seen)
    if not times:
        return False
    return params["window_ms"] is None or 0 <= query - times[-1] < params["window_ms"]


def _runs(seen: Sequence[Seen], wanted: bool) -> list[int]:
    """The length of the run of `wanted` after each event."""
    lengths, length = [0], 0
    for one in seen:
        length = length + 1 if one.matched is wanted else 0
        lengths.append(length)
    return lengths


def streak(seen: Sequence[Seen], params: Params, query: int) -> int:
    return _runs(seen, True)[-1]


def max_streak(seen: Sequence[Seen], params: Params, query: int) -> int:
    return max(_runs(seen, True))


def negative_streak(seen: Sequence[Seen], params: Params, query: int) -> int:
    return _runs(seen, False)[-1]


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f
    for f in (
        first_n, last_n, lag, first_seen, last_seen, age, has_seen, time_since, time_since_last_n,
        first_seen_in_window, streak, max_streak, negative_streak,
    )
}  # fmt: skip
