# SPDX-License-Identifier: Apache-2.0
"""JSON as we send it: UTF-8, finite numbers, numpy scalars taken as the values they stand for."""

from __future__ import annotations

import json
from typing import Any


def _default(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        plain = value.item()
        if isinstance(plain, (bool, int, float, str)):
            return plain
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default)


def encode(value: Any) -> bytes:
    """JSON of `value`.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A float that is not finite.
    """
    return _encoder.encode(value).encode()


def key_of(key: Any) -> Any:
    """An entity's key as it is sent: scalars as their canonical text, sequences as arrays."""
    if key is None:
        return ""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str):
        return key
    if isinstance(key, (int, float)):
        return repr(key) if type(key) in (int, float) else str(key)
    if isinstance(key, (list, tuple)):
        return list(key)
    plain = getattr(key, "item", None)
    if type(key).__module__ == "numpy" and plain is not None:
        return key_of(plain())
    return key


def read_request(table: str, key: Any, features: Any) -> dict[str, Any]:
    """The object {"table", "key", "features"?} of a read."""
    request: dict[str, Any] = {"table": table, "key": key_of(key)}
    if features is not None:
        request["features"] = list(features)
    return request
