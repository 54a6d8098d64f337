# SPDX-License-Identifier: Apache-2.0
"""How many and which (operators.md 4.6), exactly: no sketch is modelled, agreement.py has their
bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from .common import Params, Seen, as_float, identity, numbers, scalar_text, values


def n_unique(seen: Sequence[Seen], params: Params, query: int) -> int:
    return len({identity(value, params) for value in values(seen, params)})


def quantile(seen: Sequence[Seen], params: Params, query: int) -> float | None:
    xs = sorted(x for _, x in numbers(seen, params))
    if not xs:
        return None
    position = Fraction(params.get("q", 0.5)) * (len(xs) - 1)
    below, above = xs[math.floor(position)], xs[math.ceil(position)]
    return as_float(below + (above - below) * (position - math.floor(position)))


def order(value: Any) -> tuple[int, Any]:
    """str < int < float < bool, and the natural order inside a type."""
    if isinstance(value, str):
        return 0, value.encode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return 3, value
    return (1, value) if isinstance(value, int) else (2, value)


def counts(seen: Sequence[Seen], params: Params) -> list[tuple[Any, int]]:
    """Each scalar with how often it came, in the order of a top_k."""
    shown: dict[Any, Any] = {}
    counted: Counter[Any] = Counter()
    for value in values(seen, params):
        if scalar_text(value) is None:
            continue
        value = 0.0 if isinstance(value, float) and value == 0 else value
        who = identity(value, params)
        shown.setdefault(who, value)
        counted[who] += 1
    pairs = [(shown[who], count) for who, count in counted.items()]
    return sorted(pairs, key=lambda pair: (-pair[1], order(pair[0])))


def top_k(seen: Sequence[Seen], params: Params, query: int) -> list[dict[str, Any]]:
    found = counts(seen, params)[: params.get("k", 10)]
    return [{"count": count, "value": value} for value, count in found]


def bloom_member(seen: Sequence[Seen], params: Params, query: int) -> bool:
    return any(scalar_text(value) is not None for value in values(seen, params))


def categories(seen: Sequence[Seen], params: Params) -> Counter[Any]:
    """By text, numbers of a column of numbers by value (W1); the cap counts for each pane alone
    (4.6, W22)."""
    most = params.get("max_categories", 1024)
    panes: dict[int, Counter[Any]] = {}
    for one in seen:
        for value in values([one], params):
            if scalar_text(value) is None:
                continue
            who = identity(value, params)
            category = who if who[0] == "number" else scalar_text(value)
            pane = panes.setdefault(one.pane, Counter())
            if category in pane or len(pane) < most:
                pane[category] += 1
    return sum(panes.values(), Counter())


def entropy(seen: Sequence[Seen], params: Params, query: int) -> float:
    counted = categories(seen, params)
    total = sum(counted.values())
    shares = [count / total for count in counted.values()]
    return -math.fsum(p * math.log2(p) for p in shares) if len(shares) > 1 else 0.0


OPERATORS: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    f.__name__: f for f in (n_unique, quantile, top_k, bloom_member, entropy)
}
