# SPDX-License-Identifier: Apache-2.0
"""Random expressions: typed ones for chains, untyped ones for where, and damaged ones."""

from __future__ import annotations

import random
from collections.abc import Mapping

from oracle import expr as language

COMPARISONS = (">", ">=", "<", "<=", "==", "!=")
INTS = (0, 1, 2, 3, 7, 64, 100, -1, -3, 10**6, 2**53, 2**53 + 1, 2**63 - 1, -(2**63 - 1))
FLOATS = ("0.0", "0.5", "1.5", "-2.25", "3.0", "100.0", "1e-05", "1e+16", "1.7e308", "-0.0", "0.1")
WORDS = ("", "a", "b", "u1", "true", "12", "-5", "1.5", "inf", "é", "|", "\\", "'", '"', "\n", "😀")
COLUMN_TYPES = ("i64", "f64", "bool", "str")
CAST_WORDS = {"i64": "int", "f64": "float", "bool": "bool", "str": "str"}


def quoted(chance: random.Random, text: str) -> str:
    if chance.random() < 0.5:
        return repr(text)  # as the client writes it
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal(chance: random.Random, kind: str) -> str:
    if kind == "i64":
        return str(chance.choice(INTS) if chance.random() < 0.7 else chance.randint(-20, 200))
    if kind == "f64":
        return chance.choice(FLOATS)
    if kind == "bool":
        return chance.choice(("true", "false"))
    return quoted(chance, chance.choice(WORDS))


def names_of(schema: Mapping[str, str], kind: str) -> list[str]:
    return [name for name, declared in schema.items() if declared == kind and name.isidentifier()]


def typed(chance: random.Random, schema: Mapping[str, str], kind: str, depth: int) -> str:
    """An expression of one of COLUMN_TYPES that the checker of a chain accepts."""
    fields = names_of(schema, kind)
    if depth <= 0 or chance.random() < 0.15:
        if fields and chance.random() < 0.75:
            return chance.choice(fields)
        return literal(chance, kind)
    if chance.random() < 0.15:
        inner = typed(chance, schema, chance.choice(COLUMN_TYPES), depth - 1)
        target = CAST_WORDS[kind]
        return f"cast({inner}, {target if chance.random() < 0.7 else repr(target)})"
    if kind == "bool":
        return _typed_bool(chance, schema, depth)
    if kind == "str":
        return chance.choice(fields) if fields else literal(chance, kind)
    if kind == "i64" and chance.random() < 0.08:
        lat, lon = (typed(chance, schema, chance.choice(("i64", "f64")), depth - 1) for _ in "ab")
        return f"quadkey({lat}, {lon}, {typed(chance, schema, 'i64', depth - 1)})"
    right = "i64" if kind == "i64" else chance.choice(("i64", "f64"))
    parts = [typed(chance, schema, kind, depth - 1), typed(chance, schema, right, depth - 1)]
    if chance.random() < 0.05:
        parts[1] = "null"
    chance.shuffle(parts)
    return f"({parts[0]} {chance.choice('+-*/')} {parts[1]})"


def _typed_bool(chance: random.Random, schema: Mapping[str, str], depth: int) -> str:
    pick = chance.random()
    if pick < 0.2:
        some = typed(chance, schema, chance.choice(COLUMN_TYPES), depth - 1)
        return chance.choice((f"isnull({some})", f"({some} == null)", f"(null != {some})"))
    if pick < 0.35:
        return f"(not {typed(chance, schema, 'bool', depth - 1)})"
    if pick < 0.6:
        count = chance.choice((2, 2, 3))
        parts = [typed(chance, schema, "bool", depth - 1) for _ in range(count)]
        return "(" + f" {chance.choice(('and', 'or'))} ".join(parts) + ")"
    left = chance.choice(COLUMN_TYPES)
    right = chance.choice(("i64", "f64")) if left in ("i64", "f64") else left
    a, b = typed(chance, schema, left, depth - 1), typed(chance, schema, right, depth - 1)
    return f"({a} {chance.choice(COMPARISONS)} {b})"


def untyped(chance: random.Random, schema: Mapping[str, str], depth: int) -> str:
    """An expression of the grammar that pays no attention to types, as a where may be."""
    while True:
        text = _untyped(chance, schema, depth)
        try:
            language.parse(text)
        except language.ExpressionError:  # comparisons of comparisons
            continue
        return text


def _untyped(chance: random.Random, schema: Mapping[str, str], depth: int) -> str:
    fields = [name for name in schema if name.isidentifier()]
    if depth <= 0 or chance.random() < 0.15:
        if fields and chance.random() < 0.6:
            return chance.choice(fields)
        return "null" if chance.random() < 0.1 else literal(chance, chance.choice(COLUMN_TYPES))
    parts = [_untyped(chance, schema, depth - 1) for _ in range(3)]
    pick = chance.random()
    if pick < 0.1:
        return f"cast({parts[0]}, {chance.choice(('int', 'float', 'str', 'bool'))})"
    if pick < 0.18:
        return f"isnull({parts[0]})"
    if pick < 0.22:
        return f"quadkey({', '.join(parts)})"
    if pick < 0.26:
        return f"{chance.choice(('upper', 'cast', 'isnull', 'quadkey'))}({', '.join(parts)})"
    if pick < 0.34:
        return f"(not {parts[0]})"
    if pick < 0.42:  # no inner parentheses: precedence decides
        a, b, c = (chance.choice(("and", "or", "+", "-", "*", "/", "==", "<")) for _ in "abc")
        return f"({parts[0]} {a} {parts[1]} {b} {parts[2]} {c} {_untyped(chance, schema, 0)})"
    operator = chance.choice((*COMPARISONS, *COMPARISONS, "and", "or", "+", "-", "*", "/"))
    return f"({parts[0]} {operator} {parts[1]})"


def damaged(chance: random.Random, text: str) -> str:
    """The text with a few bytes of it changed, cut or doubled."""
    letters = list(text)
    for _ in range(chance.choice((1, 1, 1, 2))):
        at = chance.randint(0, len(letters))
        pick = chance.random()
        if pick < 0.35:
            del letters[at : at + chance.randint(1, 3)]
        elif pick < 0.7:
            letters[at:at] = chance.choice(
                (
                    "(",
                    ")",
                    " ",
                    "'",
                    '"',
                    "\\",
                    ",",
                    "=",
                    "!",
                    ".",
                    "-",
                    "not ",
                    "and",
                    "e5",
                    "9" * 19,
                    "#",
                    "é",
                    "true",
                    "_",
                )
            )
        else:
            letters[at:at] = letters[max(0, at - 4) : at]
    return "".join(letters)
