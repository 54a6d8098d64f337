# SPDX-License-Identifier: Apache-2.0
"""`python -m beava serve [OPTIONS]`: the server, in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Literal

from .. import _embed
from .._errors import BinaryNotFoundError


def become_binary(argv: list[str]) -> Literal[2]:
    """Replaces this process by the executable with these arguments; returns 2 if there is none."""
    try:
        path = str(_embed.discover_binary())
    except BinaryNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.flush()
    return os.execv(path, [path, *argv])  # it does not come back


def main(argv: list[str]) -> int:
    """Serves; the options are the executable's."""
    # Without a command the executable serves: so did every one that was ever published.
    return become_binary(argv)
