# SPDX-License-Identifier: Apache-2.0
"""Types: annotations of a source's fields to the wire's type names, and types of expressions.

Enters: a class with annotations; expression trees. Leaves: "str", "i64", "f64", "bool", "bytes",
"datetime" or "json" per field. Invariant: the same declaration always gives the same answer.
"""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Mapping
from typing import Any

from ._col import _BinOp, _CastOp, _Col, _Expr, _Literal, plain_scalar

CAST_TYPES = {"str": "str", "int": "i64", "float": "f64", "bool": "bool"}
_UNIONS = (typing.Union, types.UnionType)
# In this order: bool is an int.
_BY_CLASS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "i64"),
    (float, "f64"),
    (str, "str"),
    (bytes, "bytes"),
    (datetime.datetime, "datetime"),
    (dict, "json"),
    (list, "json"),
)


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The type inside Optional, Annotated, NewType and aliases, and whether None may stand there.

    Each turn of the loop takes one wrapper off, so it ends with the annotation's own depth.
    """
    is_optional = False
    while True:
        origin = typing.get_origin(annotation)
        if origin in _UNIONS:
            members = [a for a in typing.get_args(annotation) if a is not type(None)]
            if len(members) != 1:
                return annotation, is_optional
            is_optional = is_optional or len(members) != len(typing.get_args(annotation))
            annotation = members[0]
        elif origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation, is_optional


def _wire_type(annotation: Any) -> str | None:
    if annotation is Any:
        return "json"
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        kinds = {type(choice) for choice in typing.get_args(annotation)}
        return _wire_type(kinds.pop()) if len(kinds) == 1 else None
    if isinstance(origin, type):
        annotation = origin
    if isinstance(annotation, type):
        for cls, name in _BY_CLASS:
            if issubclass(annotation, cls):
                return name
    return CAST_TYPES.get(getattr(annotation, "__name__", ""))


def fields_of(cls: type) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The fields that a class declares.

    Returns:
        Python type by field, as annotated; wire type by field; names of optional fields.

    Raises:
        TypeError: A field's type has no counterpart on the wire.
        NameError: An annotation cannot be resolved.
    """
    declared: dict[str, Any] = {}
    wire: dict[str, str] = {}
    optional: list[str] = []
    for name, annotation in typing.get_type_hints(cls, include_extras=True).items():
        if annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar:
            continue
        inner, is_optional = _unwrap(annotation)
        wire_type = _wire_type(inner)
        if wire_type is None:
            raise TypeError(
                f"field '{name}' of {cls.__name__}: type {annotation!r} is not supported; use str, "
                "int, float, bool, bytes, datetime, dict, list or Any, or Optional of one of them"
            )
        declared[name] = annotation
        wire[name] = wire_type
        if is_optional:
            optional.append(name)
    return declared, wire, optional


def _literal_type(given: Any) -> str | None:
    value = plain_scalar(given)
    if value is None:
        return None
    for cls, name in _BY_CLASS:
        if isinstance(value, cls):
            return name
    return "str"


def expr_type(expr: _Expr, fields: Mapping[str, str]) -> str:
    """The wire type of an expression's result over a row of `fields`; "str" where unknown."""
    known: dict[int, str | None] = {}
    stack: list[tuple[_Expr, bool]] = [(expr, False)]
    while stack:
        node, is_ready = stack.pop()
        if id(node) in known:
            continue
        if isinstance(node, _Col):
            known[id(node)] = fields.get(node.name, "str")
        elif isinstance(node, _Literal):
            known[id(node)] = _literal_type(node.value)
        elif isinstance(node, _CastOp):
            known[id(node)] = CAST_TYPES[node.target]
        elif not isinstance(node, _BinOp) or node.op not in ("+", "-", "*", "/"):
            known[id(node)] = "bool"
        elif node.op == "/":
            known[id(node)] = "f64"
        elif not is_ready:
            stack += [(node, True), (node.left, False), (node.right, False)]
        else:
            # A null literal takes the type of the other side.
            sides = {known[id(node.left)], known[id(node.right)]} - {None}
            known[id(node)] = sides.pop() if len(sides) == 1 else "f64" if sides else None
    return known[id(expr)] or "str"
