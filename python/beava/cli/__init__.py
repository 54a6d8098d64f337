# SPDX-License-Identifier: Apache-2.0
"""The Python verbs, one module each. The shell command `beava` is the native server; this `main`
is the published placeholder, and `python -m beava` is the way in."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """The published stub.

    Raises:
        SystemExit: Always.
    """
    raise SystemExit("beava.cli is not wired to a command; use `beava` or `python -m beava`")
