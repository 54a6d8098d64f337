# SPDX-License-Identifier: Apache-2.0
"""`python -m beava VERB ...`: the verbs of the Python package; others go to the executable.

The executable hands verbs over too. BEAVA_HANDED_OVER=1 marks one that already was, so that a verb
that neither has is a usage error and not a game of ping-pong.
"""

from __future__ import annotations

import os
import sys

from .cli import serve, snapshot, version

VERBS = {"serve": serve.main, "snapshot": snapshot.main, "version": version.main}
_HANDED_OVER = "BEAVA_HANDED_OVER"


def main(argv: list[str]) -> int:
    """Runs one verb; returns the exit status."""
    verb = argv[0] if argv else "serve"
    if verb in VERBS:
        return VERBS[verb](argv[1:])
    if os.environ.get(_HANDED_OVER) == "1":
        sys.stderr.write(f"beava: no such command: {verb}\n")
        return 2
    os.environ[_HANDED_OVER] = "1"
    return serve.become_binary(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
