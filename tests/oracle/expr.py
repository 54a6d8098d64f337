# SPDX-License-Identifier: Apache-2.0
"""The expression language as the specification has it (operators.md 5), slow and obvious.

Written from the specification alone and not from the C, so that the two can be held against each
other. Values are Python's: None, bool, int (64 bits), float, str, bytes, list, dict.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

sys.setrecursionlimit(1_000_000)  # a long left chain is a deep tree

I64_MIN = -(2**63)
I64_MAX = 2**63 - 1
DEPTH_MAX = 512
TERMS_MAX = 65536


class ExpressionError(Exception):
    """A refusal. `kind` is "parse", "field" or "type"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# ---- text to tokens (5.1) ---------------------------------------------------------------------

_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_FLOAT = re.compile(rb"[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+")
_INT = re.compile(rb"[0-9]+")
_OPERATORS = (">=", "<=", "==", "!=", ">", "<", "+", "-", "*", "/", "(", ")", ",")
_WORDS = {"and", "or", "not", "true", "false", "null"}


@dataclass
class Token:
    kind: str  # name, int, float, str, end, or the operator or reserved word itself
    value: Any
    column: int


def _parse_error(column: int, message: str) -> ExpressionError:
    return ExpressionError("parse", f"col {column}: {message}")


def _string(data: bytes, at: int) -> tuple[str, int]:
    quote = data[at]
    column = at + 1
    out = bytearray()
    at += 1
    simple = {
        ord("\\"): b"\\",
        ord("'"): b"'",
        ord('"'): b'"',
        ord("n"): b"\n",
        ord("r"): b"\r",
        ord("t"): b"\t",
        ord("0"): b"\0",
    }
    while True:
        if at >= len(data):
            raise _parse_error(column, "string is not closed")
        if data[at] == quote:
            return out.decode("utf-8", "surrogateescape"), at + 1
        if data[at] != ord("\\"):
            out.append(data[at])
            at += 1
            continue
        if at + 1 >= len(data):
            raise _parse_error(column, "string is not closed")
        letter = data[at + 1]
        if letter in simple:
            out += simple[letter]
            at += 2
            continue
        width = {ord("x"): 2, ord("u"): 4, ord("U"): 8}.get(letter, 0)
        digits = data[at + 2 : at + 2 + width]
        if width and len(digits) == width and re.fullmatch(rb"[0-9A-Fa-f]+", digits):
            code = int(digits, 16)
            if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
                out += chr(code).encode()
                at += 2 + width
                continue
        out.append(data[at])  # no escape: both characters stay
        at += 1


def tokens(text: str) -> list[Token]:
    """All tokens of a text, the last one of kind "end"."""
    data = text.encode("utf-8", "surrogateescape")
    found = []
    at = 0
    while at < len(data):
        if data[at] in b" \t\r\n":
            at += 1
            continue
        column = at + 1
        if match := _NAME.match(data, at):
            word = match.group().decode()
            found.append(Token(word if word in _WORDS else "name", word, column))
            at = match.end()
        elif match := _FLOAT.match(data, at):
            value = float(match.group())
            if math.isinf(value):
                raise _parse_error(column, "float is out of range")
            found.append(Token("float", value, column))
            at = match.end()
        elif match := _INT.match(data, at):
            number = int(match.group()) if len(match.group().lstrip(b"0")) < 20 else I64_MAX + 1
            if number > I64_MAX:
                raise _parse_error(column, "integer does not fit 64 bits")
            found.append(Token("int", number, column))
            at = match.end()
        elif data[at] in b"'\"":
            value, at = _string(data, at)
            found.append(Token("str", value, column))
        else:
            for operator in _OPERATORS:
                if data.startswith(operator.encode(), at):
                    found.append(Token(operator, operator, column))
                    at += len(operator)
                    break
            else:
                raise _parse_error(column, "unknown character")
    found.append(Token("end", None, len(data) + 1))
    return found


# ---- tokens to a tree (5.2) -------------------------------------------------------------------

# Nodes are tuples: ("literal", v), ("field", name), ("word", name), ("call", name, args),
# ("isnull", x), ("not", x), (operator, left, right).
Node = tuple[Any, ...]

_COMPARISONS = (">", ">=", "<", "<=", "==", "!=")


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.at = 0
        self.groups = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self, kind: str) -> Token:
        token = self.token
        if token.kind != kind:
            raise _parse_error(token.column, f"unexpected {token.kind}, expected {kind}")
        self.at += 1
        return token

    def binary(self, operators: tuple[str, ...], part: Any, depth: int) -> Node:
        left: Node = part(depth)
        while self.groups > 0 and self.token.kind in operators:
            operator = self.take(self.token.kind).kind
            left = _binary(operator, left, part(depth))
        return left

    def either(self, depth: int) -> Node:
        return self.binary(("or",), self.both, depth)

    def both(self, depth: int) -> Node:
        return self.binary(("and",), self.comparison, depth)

    def comparison(self, depth: int) -> Node:
        left = self.addition(depth)
        if self.groups > 0 and self.token.kind in _COMPARISONS:
            operator = self.take(self.token.kind).kind
            left = _binary(operator, left, self.addition(depth))
        return left

    def addition(self, depth: int) -> Node:
        return self.binary(("+", "-"), self.product, depth)

    def product(self, depth: int) -> Node:
        return self.binary(("*", "/"), self.atom, depth)

    def deeper(self, depth: int) -> int:
        if depth == DEPTH_MAX:
            raise _parse_error(self.token.column, f"depth exceeds the limit of {DEPTH_MAX}")
        return depth + 1

    def atom(self, depth: int) -> Node:
        token = self.token
        if token.kind == "(":
            self.take("(")
            inner = self.deeper(depth)
            self.groups += 1
            negated = self.token.kind == "not"
            if negated:
                self.take("not")
            node = self.either(inner)
            self.take(")")
            self.groups -= 1
            return ("not", node) if negated else node
        if token.kind == "name":
            self.take("name")
            if self.token.kind != "(":
                return ("field", token.value)
            return self.call(token.value, depth)
        if token.kind in ("int", "float", "str"):
            return ("literal", self.take(token.kind).value)
        if token.kind in ("true", "false", "null"):
            self.take(token.kind)
            return ("literal", {"true": True, "false": False, "null": None}[token.kind])
        if token.kind == "-":
            self.take("-")
            if self.token.kind not in ("int", "float"):
                raise _parse_error(self.token.column, "expected a number after '-'")
            return ("literal", -self.take(self.token.kind).value)
        raise _parse_error(token.column, f"unexpected {token.kind}, expected a value")

    def call(self, name: str, depth: int) -> Node:
        self.take("(")
        arguments = []
        if self.token.kind != ")":
            inner = self.deeper(depth)
            arguments.append(self.either(inner))
            while self.token.kind == ",":
                self.take(",")
                arguments.append(self.either(inner))
        self.take(")")
        if name == "cast" and len(arguments) == 2 and arguments[1][0] == "field":
            arguments[1] = ("word", arguments[1][1])
        return ("call", name, arguments)


def _binary(operator: str, left: Node, right: Node) -> Node:
    null = ("literal", None)
    if operator in ("==", "!=") and null in (left, right):
        asked = ("isnull", right if left == null else left)
        return asked if operator == "==" else ("not", asked)
    return (operator, left, right)


def parse(text: str) -> Node:
    """The tree of an expression; ExpressionError of kind "parse"."""
    parser = _Parser(text)
    node = parser.either(1)
    parser.take("end")
    if _size(node) > TERMS_MAX:
        raise _parse_error(1, f"expression has more than {TERMS_MAX} terms")
    return node


def _children(node: Node) -> list[Node]:
    if node[0] == "call":
        return list(node[2])
    if node[0] in ("literal", "field", "word"):
        return []
    return list(node[1:])


def _size(node: Node) -> int:
    return 1 + sum(_size(child) for child in _children(node))


def fields(node: Node) -> set[str]:
    """Every field that a tree refers to."""
    found = {node[1]} if node[0] == "field" else set()
    return found.union(*(fields(child) for child in _children(node)))


# ---- types (5.5) ------------------------------------------------------------------------------

NULL = "null"
_TARGETS = {"str": "str", "int": "i64", "float": "f64", "bool": "bool"}


def _target(node: Node) -> str | None:
    """The type word of cast's second argument, None when it is none of the four."""
    if node[0] == "word" or (node[0] == "literal" and isinstance(node[1], str)):
        return node[1] if node[1] in _TARGETS else None
    return None


def _type_error(message: str) -> ExpressionError:
    return ExpressionError("type", message)


def infer(node: Node, schema: Mapping[str, str]) -> str:
    """The static type of a chain expression; ExpressionError of kind "type"."""
    kind = node[0]
    if kind == "literal":
        return _literal_type(node[1])
    if kind == "field":
        return schema[node[1]]
    if kind == "call":
        return _infer_call(node, schema)
    types = [infer(child, schema) for child in _children(node)]
    if kind == "isnull":
        return "bool"
    if kind in ("not", "and", "or"):
        if any(t not in ("bool", NULL) for t in types):
            raise _type_error(f"{kind} takes bool")
        return "bool"
    numeric = [t in ("i64", "f64") for t in types]
    if kind in _COMPARISONS:
        if NULL not in types and types[0] != types[1] and not all(numeric):
            raise _type_error(f"cannot compare {types[0]} with {types[1]}")
        return "bool"
    if any(t not in ("i64", "f64", NULL) for t in types):
        raise _type_error(f"{kind} takes numbers")
    if NULL in types:
        return types[1] if types[0] == NULL else types[0]
    return "f64" if "f64" in types else "i64"


def _literal_type(value: Any) -> str:
    if value is None:
        return NULL
    return {bool: "bool", int: "i64", float: "f64", str: "str"}[type(value)]


def _infer_call(node: Node, schema: Mapping[str, str]) -> str:
    _, name, arguments = node
    types = [NULL if a[0] == "word" else infer(a, schema) for a in arguments]
    arity = {"cast": 2, "isnull": 1, "quadkey": 3}.get(name)
    if arity is None:
        raise _type_error(f"unknown function {name}")
    if len(arguments) != arity:
        raise _type_error(f"{name} takes {arity} arguments")
    if name == "isnull":
        return "bool"
    if name == "cast":
        target = _target(arguments[1])
        if target is None:
            raise _type_error("unknown cast target")
        return _TARGETS[target]
    if any(t not in ("i64", "f64", NULL) for t in types[:2]) or types[2] not in ("i64", NULL):
        raise _type_error("quadkey takes numbers and an integer zoom")
    return "i64"


# ---- evaluation (5.3, 5.4) --------------------------------------------------------------------


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _saturate(value: int) -> int:
    return max(I64_MIN, min(I64_MAX, value))


def _divide_floats(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _arithmetic(operator: str, a: Any, b: Any) -> Any:
    if not is_number(a) or not is_number(b):
        return None
    if isinstance(a, int) and isinstance(b, int):
        if operator == "/":
            if b == 0:
                return None
            quotient = abs(a) // abs(b)
            return _saturate(quotient if (a < 0) == (b < 0) else -quotient)
        return _saturate({"+": a + b, "-": a - b, "*": a * b}[operator])
    x, y = float(a), float(b)
    if operator == "/":
        return _divide_floats(x, y)
    return {"+": x + y, "-": x - y, "*": x * y}[operator]


def _compare(operator: str, a: Any, b: Any) -> bool | None:
    if is_number(a) and is_number(b):
        if type(a) is not type(b):
            a, b = float(a), float(b)
        if math.isnan(a) or math.isnan(b):
            return False
    elif type(a) is not type(b) or not isinstance(a, (bool, str, bytes)):
        return None
    if isinstance(a, str):
        a, b = (v.encode("utf-8", "surrogateescape") for v in (a, b))
    return bool(
        {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b, "==": a == b, "!=": a != b}[operator]
    )


def _logic(operator: str, a: Any, b: Any) -> bool | None:
    decisive = operator == "or"
    if a is decisive:
        return decisive
    if isinstance(a, bool):
        return b if isinstance(b, bool) else None
    return decisive if a is None and b is decisive else None


def float_text(value: float) -> str:
    """Shortest decimal, never an exponent, no ".0"."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def cast(value: Any, target: str) -> Any:
    """Table of 5.3; what does not convert is None."""
    if not isinstance(value, (bool, int, float, str)):
        return None
    if target == "str":
        if isinstance(value, bool):
            return "true" if value else "false"
        return float_text(value) if isinstance(value, float) else str(value)
    if target == "int":
        if isinstance(value, str):
            if not re.fullmatch(r"[+-]?[0-9]+", value):
                return None
            if len(value.lstrip("+-").lstrip("0")) > 19:
                return None
            number = int(value)
            return number if I64_MIN <= number <= I64_MAX else None
        if isinstance(value, float):
            if math.isnan(value):
                return 0
            if math.isinf(value):
                return I64_MAX if value > 0 else I64_MIN
            return _saturate(int(value))
        return int(value)
    if target == "float":
        if isinstance(value, str):
            number_form = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
            word_form = r"[+-]?(inf|infinity|nan)"
            if re.fullmatch(number_form, value) or re.fullmatch(word_form, value.lower()):
                return float(value)
            return None
        return float(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value)
    return value != 0 and not (isinstance(value, float) and math.isnan(value))


def quadkey(lat: Any, lon: Any, zoom: Any) -> int | None:
    if not is_number(lat) or not is_number(lon):
        return None
    if not isinstance(zoom, int) or isinstance(zoom, bool) or not 1 <= zoom <= 24:
        return None
    n = 2**zoom
    lat, lon = float(lat), float(lon)
    clamped = max(-85.05112878, min(85.05112878, lat)) if not math.isnan(lat) else lat
    row = (math.sin(clamped * (math.pi / 180.0)) + 1) / 2 * n
    column = (lon + 180) / 360 * n
    row = 0 if math.isnan(row) else max(0, min(n - 1, math.floor(row)))
    # Longitudes off the globe saturate at 2^38 columns, so that the product fits 64 bits.
    if math.isnan(column):
        column = 0
    else:
        column = math.floor(max(-(2.0**38), min(2.0**38, column)))
    return int(column) * n + row


def evaluate(node: Node, row: Mapping[str, Any]) -> Any:
    """The value of an expression; never fails."""
    kind = node[0]
    if kind == "literal":
        return node[1]
    if kind == "field":
        return row.get(node[1])
    if kind == "word":
        return None
    if kind == "isnull":
        return evaluate(node[1], row) is None
    if kind == "not":
        value = evaluate(node[1], row)
        return not value if isinstance(value, bool) else None
    if kind == "call":
        return _call(node, row)
    a, b = evaluate(node[1], row), evaluate(node[2], row)
    if kind in ("and", "or"):
        return _logic(kind, a, b)
    if kind in _COMPARISONS:
        return _compare(kind, a, b)
    return _arithmetic(kind, a, b)


def _call(node: Node, row: Mapping[str, Any]) -> Any:
    _, name, arguments = node
    if name == "cast" and len(arguments) == 2:
        target = _target(arguments[1])
        return None if target is None else cast(evaluate(arguments[0], row), target)
    values = [evaluate(argument, row) for argument in arguments]
    if name == "isnull" and len(values) == 1:
        return values[0] is None
    if name == "quadkey" and len(values) == 3:
        return quadkey(*values)
    return None


@dataclass
class Expression:
    """A checked expression: `type` is None for a where."""

    node: Node
    type: str | None = None
    names: set[str] = field(default_factory=set)

    def __call__(self, row: Mapping[str, Any]) -> Any:
        return evaluate(self.node, row)


def compile_expression(text: str, schema: Mapping[str, str], mode: str) -> Expression:
    """Parses and checks. `mode` is "where" (lenient) or "chain" (strict)."""
    node = parse(text)
    names = fields(node)
    for name in sorted(names):
        if name not in schema:
            raise ExpressionError("field", f'unknown field "{name}"')
    return Expression(node, infer(node, schema) if mode == "chain" else None, names)
