# SPDX-License-Identifier: Apache-2.0
"""`python -m beava snapshot`: has a running server save its state now.

Exit status: 0 the file is in place, 1 it is not, 2 usage.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys

from .._errors import BeavaError
from .._http import HttpTransport

_URL = "http://127.0.0.1:8080"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beava snapshot", description="Has a running server save its whole state now."
    )
    parser.add_argument("--url", help=f"the server; default BEAVA_URL where it is set, or {_URL}")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait; default 600")
    parser.add_argument("--json", action="store_true", help="print the reply as it came")
    return parser


def main(argv: list[str]) -> int:
    """Asks, waits and prints one line."""
    arguments = _parser().parse_args(argv)
    url = arguments.url or os.environ.get("BEAVA_URL") or _URL
    if not url.lower().startswith(("http://", "https://")):
        sys.stderr.write(f"beava: error: snapshot needs an http:// URL; got {url!r}\n")
        return 2
    if importlib.util.find_spec("httpx") is None:
        sys.stderr.write(
            "beava: error: snapshot: needs the Python package with httpx; pip install beava\n"
        )
        return 1
    try:
        with HttpTransport(url, timeout=arguments.timeout) as http:
            reply = http.send_snapshot()
    except (BeavaError, OSError) as error:
        sys.stderr.write(f"beava: error: {error}\n")
        return 1
    if arguments.json:
        print(json.dumps(reply))
    else:
        print(
            f"snapshot at LSN {reply['snapshot_lsn']}: {reply['bytes']:,} bytes in "
            f"{reply['duration_ms']:,} ms"
        )
    return 0
