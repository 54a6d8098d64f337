# SPDX-License-Identifier: Apache-2.0
"""`python -m beava._cli ARGS...`: becomes the server executable."""

from __future__ import annotations

import os
import sys

from ._embed import discover_binary
from ._errors import BinaryNotFoundError


def main() -> int:
    """Replaces this process by the executable; returns 2 if there is none."""
    try:
        path = discover_binary()
    except BinaryNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.execv(str(path), [str(path), *sys.argv[1:]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
