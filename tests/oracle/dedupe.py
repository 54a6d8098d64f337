# SPDX-License-Identifier: Apache-2.0
"""What a source remembers of the events it has accepted (wire.md 5.5, with V51, V53, V55)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


def key_of(value: Any) -> Hashable:
    """None: no key. 5, 5.0, "5" and True are four."""
    if value is None:
        return None
    if isinstance(value, (list, dict)):
        return ("tree", repr(value))
    return (type(value).__name__, value)


class Remembered:
    """Keys and until when; `first` is whatever the caller wants back of the first event."""

    def __init__(self) -> None:
        self.entries: dict[Hashable, tuple[int, Any]] = {}

    def find(self, value: Any, now: int) -> tuple[bool, Any]:
        expires, first = self.entries.get(key_of(value), (0, None))
        return expires > now, first

    def remember(self, value: Any, now: int, window: int, first: Any) -> None:
        if key_of(value) is not None:
            self.entries[key_of(value)] = (now + window, first)
