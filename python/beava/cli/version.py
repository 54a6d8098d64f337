# SPDX-License-Identifier: Apache-2.0
"""`python -m beava version`: the package's version, which is the server's."""

from __future__ import annotations

import sys

from .._version import version


def main(argv: list[str]) -> int:
    """Prints "beava <version>"."""
    if argv:
        sys.stderr.write("usage: python -m beava version\n")
        return 2
    sys.stdout.write(f"beava {version()}\n")
    return 0
