# SPDX-License-Identifier: Apache-2.0
"""Expressions: Python operators in, the server's expression text out.

Enters: column names and literals. Leaves: immutable trees; `to_expr_string()` is their wire form.
Invariants: nodes are never changed, so they may be shared; rendering is iterative, because depth
is the user's (the server refuses beyond 512, and it is the server that should say so).
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import Any

_CAST_TARGETS = ("str", "int", "float", "bool")
_RESERVED = frozenset({"and", "or", "not", "true", "false", "null"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

Scalar = int | float | str | bool | None


class _Expr:
    """Base of all expression nodes; the operators live here."""

    __slots__ = ()

    def _parts(self) -> list[str | _Expr]:
        """Text and child nodes, in the order in which they are written."""
        raise NotImplementedError

    def to_expr_string(self) -> str:
        """The expression in the server's grammar."""
        out: list[str] = []
        stack: list[str | _Expr] = [self]
        while stack:
            part = stack.pop()
            if isinstance(part, str):
                out.append(part)
            else:
                stack.extend(reversed(part._parts()))
        return "".join(out)

    def __bool__(self) -> bool:
        # Not an exception: sets and dicts call this when hashes collide.
        warnings.warn(
            "the truth value of a beava expression is always True; "
            "write & for and, | for or, ~ for not, and put parentheses around comparisons",
            UserWarning,
            stacklevel=2,
        )
        return True

    def __add__(self, other: Any) -> _BinOp:
        return _BinOp("+", self, _coerce(other))

    def __radd__(self, other: Any) -> _BinOp:
        return _BinOp("+", _coerce(other), self)

    def __sub__(self, other: Any) -> _BinOp:
        return _BinOp("-", self, _coerce(other))

    def __rsub__(self, other: Any) -> _BinOp:
        return _BinOp("-", _coerce(other), self)

    def __mul__(self, other: Any) -> _BinOp:
        return _BinOp("*", self, _coerce(other))

    def __rmul__(self, other: Any) -> _BinOp:
        return _BinOp("*", _coerce(other), self)

    def __truediv__(self, other: Any) -> _BinOp:
        return _BinOp("/", self, _coerce(other))

    def __rtruediv__(self, other: Any) -> _BinOp:
        return _BinOp("/", _coerce(other), self)

    def __gt__(self, other: Any) -> _BinOp:
        return _BinOp(">", self, _coerce(other))

    def __ge__(self, other: Any) -> _BinOp:
        return _BinOp(">=", self, _coerce(other))

    def __lt__(self, other: Any) -> _BinOp:
        return _BinOp("<", self, _coerce(other))

    def __le__(self, other: Any) -> _BinOp:
        return _BinOp("<=", self, _coerce(other))

    def __eq__(self, other: Any) -> _BinOp:  # type: ignore[override]
        return _BinOp("==", self, _coerce(other))

    def __ne__(self, other: Any) -> _BinOp:  # type: ignore[override]
        return _BinOp("!=", self, _coerce(other))

    def __and__(self, other: Any) -> _BinOp:
        return _BinOp("and", self, _coerce(other))

    def __rand__(self, other: Any) -> _BinOp:
        return _BinOp("and", _coerce(other), self)

    def __or__(self, other: Any) -> _BinOp:
        return _BinOp("or", self, _coerce(other))

    def __ror__(self, other: Any) -> _BinOp:
        return _BinOp("or", _coerce(other), self)

    def __invert__(self) -> _UnaryOp:
        return _UnaryOp("~", self)

    def __hash__(self) -> int:
        return object.__hash__(self)

    def isnull(self) -> _UnaryOp:
        """True where the value is null or missing."""
        return _UnaryOp("isnull", self)

    def cast(self, target: str) -> _CastOp:
        """The value as `target`, null where it cannot be converted.

        Args:
            target: "str", "int", "float" or "bool".

        Raises:
            ValueError: `target` is none of these.
        """
        if target not in _CAST_TARGETS:
            raise ValueError(f"cast target must be one of {_CAST_TARGETS}; got {target!r}")
        return _CastOp(self, target)


@dataclass(frozen=True, eq=False)
class _Col(_Expr):
    name: str

    def _parts(self) -> list[str | _Expr]:
        return [self.name]

    def __hash__(self) -> int:
        return hash(("col", self.name))


@dataclass(frozen=True, eq=False)
class _Literal(_Expr):
    value: Any

    def _parts(self) -> list[str | _Expr]:
        return [_render_literal(self.value)]

    def __hash__(self) -> int:
        return hash(("lit", repr(self.value)))


@dataclass(frozen=True, eq=False)
class _BinOp(_Expr):
    op: str
    left: _Expr
    right: _Expr

    def _parts(self) -> list[str | _Expr]:
        return ["(", self.left, f" {self.op} ", self.right, ")"]

    def __hash__(self) -> int:
        return hash((self.op, id(self.left), id(self.right)))

    def __repr__(self) -> str:
        return f"<expr {self.to_expr_string()}>"


@dataclass(frozen=True, eq=False)
class _UnaryOp(_Expr):
    op: str
    operand: _Expr

    def _parts(self) -> list[str | _Expr]:
        if self.op == "~":
            return ["(not ", self.operand, ")"]
        if self.op == "isnull":
            return ["(", self.operand, " == null)"]
        raise ValueError(f"unknown unary op {self.op!r}")

    def __hash__(self) -> int:
        return hash((self.op, id(self.operand)))

    def __repr__(self) -> str:
        return f"<expr {self.op} of {self.operand!r}>"


@dataclass(frozen=True, eq=False)
class _CastOp(_Expr):
    operand: _Expr
    target: str

    def _parts(self) -> list[str | _Expr]:
        return ["cast(", self.operand, f", {self.target})"]

    def __hash__(self) -> int:
        return hash(("cast", self.target, id(self.operand)))

    def __repr__(self) -> str:
        return f"<expr {self.to_expr_string()}>"


def plain_scalar(value: Any) -> Any:
    """A numpy scalar as the Python value it stands for; anything else as it is."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not value.shape:
        return value.item()
    return value


def _render_literal(given: Any) -> str:
    value = plain_scalar(given)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # The grammar has single quotes and two escapes; everything else stands for itself.
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise ValueError(f"integer literal {value} does not fit 64 bits")
        return int.__repr__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"float literal must be finite; got {value!r}")
        text = float.__repr__(value)
        mantissa, exponent_mark, exponent = text.partition("e")
        if exponent_mark and "." not in mantissa:
            # 1e-05 has no point, and the grammar asks for one.
            text = f"{mantissa}.0e{exponent}"
        return text
    raise ValueError(f"a literal must be int, float, str, bool or None; got {type(value).__name__}")


def _coerce(value: Any) -> _Expr:
    if isinstance(value, _Expr):
        return value
    _render_literal(value)  # says no at the line that made the mistake
    return _Literal(value)


def col(name: str) -> _Col:
    """A column of the event, by name.

    Args:
        name: An identifier; dots may join several ("geo.lat").

    Raises:
        TypeError: `name` is not a string, or empty.
        ValueError: `name` cannot be written in an expression.
    """
    if not isinstance(name, str) or name == "":
        raise TypeError(f"bv.col expects a non-empty str; got {name!r}")
    if name in _RESERVED or _NAME.fullmatch(name) is None:
        raise ValueError(
            f"column name {name!r} cannot be written in an expression; rename the field to an "
            "identifier that is not one of and, or, not, true, false, null"
        )
    return _Col(name)


def lit(value: Scalar) -> _Literal:
    """A constant.

    Args:
        value: int (64 bits), finite float, str, bool or None; numpy scalars are taken as these.

    Raises:
        ValueError: The value cannot be written in an expression.
    """
    _render_literal(value)
    return _Literal(value)
