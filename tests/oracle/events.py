# SPDX-License-Identifier: Apache-2.0
"""Which events are refused and with which code, and what arrives of the others (wire.md 5, 9)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

I64_MIN, I64_MAX = -(2**63), 2**63 - 1


def as_json(value: Any) -> Any:
    """What a value is once it has travelled as JSON (wire.md 9)."""
    if isinstance(value, float) and value == 0:
        return 0.0  # the sign of zero is lost
    return _each(value, as_json)


def as_msgpack(value: Any) -> Any:
    """The same for MessagePack."""
    return _each(value, as_msgpack)


def _each(value: Any, one: Any) -> Any:
    if isinstance(value, list):
        return [one(v) for v in value]
    if isinstance(value, dict):
        return {k: one(v) for k, v in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and not I64_MIN <= value <= I64_MAX:
        return float(value)
    return value


def strings(value: Any) -> Iterator[tuple[bool, str]]:
    """Every string in a value with whether it is a name."""
    if isinstance(value, str):
        yield False, value
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)
    elif isinstance(value, dict):
        for k, v in value.items():
            yield True, k
            yield from strings(v)


def has_control(text: str, is_name: bool) -> bool:
    """V48: TAB, LF and CR pass inside values."""
    spared = "" if is_name else "\t\n\r"
    return any((c < " " or "\x7f" <= c <= "\x9f") and c not in spared for c in text)


def is_compatible(declared: str, value: Any) -> bool:
    """The table of 5.3 for a value that is not null."""
    if declared in ("i64", "f64"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if declared == "str":
        return isinstance(value, str)
    if declared == "bool":
        return isinstance(value, bool)
    return True


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def refusal(node: Mapping[str, Any] | None, event: str, body: Any) -> str | None:
    """The code of 5.2 for a body that parses, None when it is accepted. `node` is the source."""
    if not isinstance(body, dict) or not _is_finite(body):
        return "invalid_event"
    if has_control(event, True) or any(has_control(text, name) for name, text in strings(body)):
        return "control_character_in_string"
    if node is None:
        return "event_not_found"
    declared = node["schema"]["fields"]
    optional = node["schema"].get("optional_fields") or []
    for name in body:
        if name not in declared and name not in optional:
            is_time = name in ("event_time", "event_time_ms")
            return "unknown_field_event_time_v0" if is_time else "unknown_field_v0"
    for name, kind in declared.items():
        value = body.get(name)
        if value is None:
            if name not in optional:
                return "invalid_event"
        elif not is_compatible(kind, value):
            return "invalid_event"
    return None
