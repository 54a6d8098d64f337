# SPDX-License-Identifier: Apache-2.0
"""The core's catalogue of operators, as data.

Enters: nothing. Leaves: what `bv_catalog_json` says (core/include/beava.h), parsed once.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from ._engine import _load


@functools.cache
def catalog() -> dict[str, Any]:
    """{"operators": [a row each, ascending by name], "aliases": {alias: name}}."""
    _abi = _load()
    out = _abi.ffi.new("bv_bytes *")
    if _abi.lib.bv_catalog_json(out, _abi.ffi.NULL) != _abi.lib.BV_OK:
        raise MemoryError("the catalogue of operators")
    try:
        text = bytes(_abi.ffi.buffer(out.data, out.size))
    finally:
        _abi.lib.bv_bytes_free(out)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@functools.cache
def rows() -> dict[str, dict[str, Any]]:
    """The operators' rows, by name."""
    return {row["name"]: row for row in catalog()["operators"]}
