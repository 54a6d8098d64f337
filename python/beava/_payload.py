# SPDX-License-Identifier: Apache-2.0
"""Descriptors to the registration payload.

Enters: what the decorators made, or dicts taken verbatim. Leaves: JSON. Invariant: the same
declaration gives the same bytes, so that registering it again changes nothing.
"""

from __future__ import annotations

import json
from typing import Any

from ._descriptor import OPERATORS
from ._errors import InvalidRegistration
from ._events import EventDerivation, EventSource, Step, is_event_class, root_of
from ._table import TableDescriptor
from ._types import CAST_TYPES, expr_type


class _Schema:
    """Field types and optional fields, carried along a chain."""

    def __init__(self, source: EventSource) -> None:
        self.fields = dict(source._fields)
        self.optional = set(source._optional_fields)

    def apply(self, step: Step, derived: EventDerivation) -> None:
        op = step["op"]
        if op == "select":
            self.fields = {f: self.fields.get(f, "str") for f in step["fields"]}
        elif op == "drop":
            self.fields = {f: t for f, t in self.fields.items() if f not in step["fields"]}
        elif op == "rename":
            moved = step["mapping"]
            # Removed from their places and put at the end, as in a row.
            kept = {f: t for f, t in self.fields.items() if f not in moved}
            new = {n: self.fields[old] for old, n in moved.items() if old in self.fields}
            self.fields = {**kept, **new}
            self.optional = {moved.get(f, f) for f in self.optional}
        elif op == "with_columns":
            for name in sorted(step["exprs"]):
                expr = derived._exprs.get(name)
                text = step["exprs"][name]
                self.fields[name] = (
                    self.fields.get(text, "str") if expr is None else expr_type(expr, self.fields)
                )
                self.optional.discard(name)
        elif op == "cast":
            for name, target in step["type_map"].items():
                if name in self.fields:
                    self.fields[name] = CAST_TYPES[target]
        elif op == "fillna":
            self.optional -= set(step["defaults"])
        elif op == "agg":
            keys = {key: self.fields.get(key, "str") for key in step["keys"]}
            features = {n: self._feature_type(spec) for n, spec in step["aggs"].items()}
            self.fields = {**keys, **features}
            self.optional = set()

    def _feature_type(self, spec: Any) -> str:
        if not isinstance(spec, dict):
            return "i64"  # it is sent as a count
        operator = OPERATORS.get(spec.get("op", ""))
        output = "str" if operator is None else operator.output
        return self.fields.get(spec.get("field", ""), "str") if output == "field" else output

    def to_dict(self) -> dict[str, Any]:
        optional = [field for field in self.fields if field in self.optional]
        return {"fields": self.fields, "optional_fields": optional}


def _schema_of(derivation: EventDerivation) -> _Schema:
    links: list[EventDerivation] = []
    node: Any = derivation
    while isinstance(node, EventDerivation):
        links.append(node)
        node = node._parent
    schema = _Schema(root_of(node))
    for link in reversed(links):
        schema.apply(link._chain[-1], link)
    return schema


def _feature(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, dict):
        return {"op": "count", "params": {}}
    return {"op": spec["op"], "params": {k: v for k, v in spec.items() if k != "op"}}


def _ops(chain: list[Step]) -> list[Step]:
    ops: list[Step] = []
    for step in chain:
        if step["op"] == "agg":
            aggs = {name: _feature(spec) for name, spec in step["aggs"].items()}
            ops.append({"op": "group_by", "keys": list(step["keys"]), "agg": aggs})
        elif step["op"] != "rename_self":
            ops.append(dict(step))
    return ops


def _event_node(cls: Any) -> dict[str, Any]:
    source: EventSource = cls._source
    return {
        "kind": "event",
        "name": source._name,
        "schema": {
            "fields": dict(source._fields),
            "optional_fields": list(source._optional_fields),
        },
        **cls._settings,
    }


def _derivation_node(derivation: EventDerivation) -> dict[str, Any]:
    schema = _schema_of(derivation)
    is_table = any(step["op"] == "agg" for step in derivation._chain)
    if is_table:
        for key in derivation._key_cols or ():
            schema.fields.pop(key, None)
    return {
        "kind": "derivation",
        "name": derivation._name,
        "output_kind": "table" if is_table else "event",
        "upstreams": [root_of(derivation)._name],
        "ops": _ops(derivation._chain),
        "schema": schema.to_dict(),
    }


def _table_node(table: TableDescriptor) -> dict[str, Any]:
    return {
        "kind": "derivation",
        "name": table._name,
        "output_kind": "table",
        "upstreams": [root_of(table._derivation)._name],
        "ops": _ops(table._chain),
        "schema": _schema_of(table._derivation).to_dict(),
        "table_primary_key": list(table._key_cols),
    }


def _descriptor_to_node(descriptor: Any) -> dict[str, Any] | None:
    """One node of the payload; None for what is not a descriptor."""
    if isinstance(descriptor, dict):
        return descriptor
    if is_event_class(descriptor):
        return _event_node(descriptor)
    if isinstance(descriptor, EventDerivation):
        return _derivation_node(descriptor)
    if isinstance(descriptor, TableDescriptor):
        return _table_node(descriptor)
    return None


def check_descriptors(descriptors: tuple[Any, ...]) -> None:
    """Refuses raw chains and anything that is not a descriptor, before a transport is needed."""
    for index, descriptor in enumerate(descriptors):
        path = f"descriptors[{index}]"
        if isinstance(descriptor, EventDerivation) and not descriptor._is_bv_event_function:
            raise InvalidRegistration(
                code="invalid_descriptor",
                path=path,
                message=(
                    "an EventDerivation that is a raw chain cannot be registered. Wrap the chain "
                    "in @bv.event:\n    @bv.event\n    def Name(e: Source):\n"
                    "        return e.filter(...)"
                ),
            )
        if not isinstance(
            descriptor, (dict, EventDerivation, TableDescriptor)
        ) and not is_event_class(descriptor):
            raise InvalidRegistration(
                code="invalid_descriptor",
                path=path,
                message=(
                    f"{descriptor!r} is not a descriptor; pass classes and functions decorated "
                    "with @bv.event or @bv.table, or node dicts"
                ),
            )


def _to_register_json(
    descriptors: tuple[Any, ...], *, force: bool = False, dry_run: bool = False
) -> bytes:
    """The registration payload, UTF-8."""
    check_descriptors(descriptors)
    payload: dict[str, Any] = {"nodes": [_descriptor_to_node(d) for d in descriptors]}
    if force:
        payload["force"] = True
    if dry_run:
        payload["dry_run"] = True
    return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()


def name_of(target: Any) -> str:
    """The name of an event or table given by name, decorated class or descriptor.

    Raises:
        TypeError: It is none of these.
    """
    if is_event_class(target) or isinstance(target, (EventDerivation, TableDescriptor)):
        name: str = target._name
        return name
    if not isinstance(target, str):
        what = getattr(target, "__name__", None) or repr(target)
        raise TypeError(
            f"expected the name of an event or table, or what @bv.event or @bv.table made; got "
            f"{what:.200}"
        )
    return target
