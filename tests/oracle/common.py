# SPDX-License-Identifier: Apache-2.0
"""What every family's model starts from: the arrivals of an entity, and how values are told apart.

A model is a plain function `op(seen, params, query)`: the arrivals that count (those of the active
panes, in order), the parameters as registered, and the time of the read. Beside the parameters
`params["declared"]` holds the type of the field, because W1 makes numbers of `i64` and `f64`
columns equal by value and those of other columns by type and value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from . import expr as language

Params = Mapping[str, Any]
PANES = 64
NAN = ("NaN",)  # equal to itself where identity counts, never where changes do


class Seen(NamedTuple):
    """One event that reached the entity."""

    now: int
    row: Mapping[str, Any]
    matched: bool = True  # whether `where` was true
    pane: int = 0  # start of its pane (3.3)


def matching(seen: Sequence[Seen]) -> list[Seen]:
    return [one for one in seen if one.matched]


def timed(seen: Sequence[Seen], params: Params) -> list[tuple[int, Any]]:
    """(now, value) of what matched and is not null."""
    name = params.get("field")
    if name is None:
        return []
    pairs = [(one.now, one.row.get(name)) for one in matching(seen)]
    return [(now, value) for now, value in pairs if value is not None]


def values(seen: Sequence[Seen], params: Params) -> list[Any]:
    return [value for _, value in timed(seen, params)]


def doubles(seen: Sequence[Seen], params: Params) -> list[tuple[int, float]]:
    """(now, num(v)): the nearest double of each number; a division may have made it NaN."""
    return [(now, float(value)) for now, value in timed(seen, params) if language.is_number(value)]


def numbers(seen: Sequence[Seen], params: Params) -> list[tuple[int, Fraction]]:
    """The finite ones, exactly."""
    return [(n, Fraction(x)) for n, x in doubles(seen, params) if math.isfinite(x)]


def is_poisoned(seen: Sequence[Seen], params: Params) -> bool:
    """What computes with all values computes with NaN and infinities too, and reads null."""
    return not all(math.isfinite(x) for _, x in doubles(seen, params))


def as_float(value: Fraction | Decimal | None) -> float | None:
    """The nearest double; what no double can hold is null."""
    if value is None:
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


UNIT = 1074  # every double is a multiple of 2^-1074


def scaled(x: float | Fraction) -> int:
    """A finite double in units of 2^-1074: sums of these are exact, and cheap."""
    top, bottom = x.as_integer_ratio()
    return (top << UNIT) // bottom


def total(xs: Sequence[float | Fraction]) -> Fraction:
    return Fraction(sum(map(scaled, xs)), 1 << UNIT)


def root(value: Fraction) -> Decimal:
    """Square root to fifty digits, whatever the magnitude."""
    return (Decimal(value.numerator) / Decimal(value.denominator)).sqrt()


def variance(xs: Sequence[float | Fraction]) -> Fraction | None:
    """Of a sample."""
    if len(xs) < 2:
        return None
    n, whole = len(xs), [scaled(x) for x in xs]
    squares = n * sum(x * x for x in whole) - sum(whole) ** 2
    return Fraction(squares, n * (n - 1) << 2 * UNIT)


# ---- text and identity ------------------------------------------------------------------------


def float_text(value: float) -> str:
    """Canonical float text (8.1): always with a '.' or an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "-0.0" if sign else "0.0"
    assert isinstance(exponent, int)
    position = len(text) + exponent
    text = text.rstrip("0")
    if -4 <= position <= 16:
        if position <= 0:
            body = "0." + "0" * -position + text
        elif position >= len(text):
            body = text + "0" * (position - len(text)) + ".0"
        else:
            body = text[:position] + "." + text[position:]
    else:
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        body = f"{mantissa}e{position - 1:+d}"
    return ("-" if sign else "") + body


def scalar_text(value: Any) -> str | None:
    """A scalar as text (4.6 entropy), None for what is not one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return float_text(value)
    return None


def identity(value: Any, params: Params) -> tuple[str, Any]:
    """What makes two values the same (W1): (type, value), or the number in a column of numbers.

    There int and float compare exactly, so 2^53 + 1 is not the float 2^53.
    """
    if language.is_number(value):
        declared = params.get("declared")
        if not math.isfinite(value):
            return "float", float_text(value) if value == value else NAN
        if declared in ("i64", "f64"):
            return "number", Fraction(value)
        return ("int", value) if isinstance(value, int) else ("float", float_text(value))
    if isinstance(value, (list, dict)):
        return type(value).__name__, json.dumps(value, sort_keys=True, default=repr)
    return type(value).__name__, value
