# SPDX-License-Identifier: Apache-2.0
"""JSON as we send it: UTF-8, finite numbers, numpy scalars taken as the values they stand for."""

from __future__ import annotations

import json
from typing import Any

from ._errors import with_note


def _default(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        plain = value.item()
        if isinstance(plain, (bool, int, float, str)):
            return plain
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default)


_DEPTH_MAX = 128
_INSTEAD = {
    "datetime": ".isoformat(), or milliseconds as an int",
    "Timestamp": ".isoformat(), or milliseconds as an int",
    "date": ".isoformat()",
    "Decimal": "float(...) or str(...)",
    "UUID": "str(...)",
    "bytes": ".decode() or base64",
    "set": "sorted(...)",
    "ndarray": ".tolist()",
    "NaTType": "None",
    "NAType": "None",
}


def culprit(value: Any, path: str = "", depth: int = 0) -> str:
    """Where in `value` the part is that cannot be sent, and what to send; "" if none is found."""
    if depth > _DEPTH_MAX:
        return ""
    if isinstance(value, dict):
        parts = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        try:
            _encoder.encode(value).encode()
        except UnicodeEncodeError:
            return f"{path}: not valid Unicode"
        except ValueError:
            return f"{path}: {value!r} is not finite; send None to an optional field"
        except TypeError:
            kind = type(value).__name__
            instead = f"; send {_INSTEAD[kind]}" if kind in _INSTEAD else ""
            return f"{path}: {kind} cannot be sent{instead}"
        return ""
    found = (culprit(item, where, depth + 1) for where, item in parts)
    return next((text for text in found if text), "")


def encode(value: Any) -> bytes:
    """JSON of `value`.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A float that is not finite.
    """
    try:
        return _encoder.encode(value).encode()
    except UnicodeEncodeError as error:
        with_note(error, culprit(value))
        raise
    except (TypeError, ValueError) as error:
        place = culprit(value)
        if not place:
            raise
        raise type(error)(f"{error} ({place})") from None


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
    if isinstance(features, str):
        raise TypeError(f"features must be a list of names; got {features!r}, write [{features!r}]")
    if features is not None:
        request["features"] = list(features)
    return request
