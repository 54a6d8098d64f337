# SPDX-License-Identifier: Apache-2.0
"""The published package, as installed into an environment of its own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from support.server import ROOT, Server

VERSION = "0.0.6"
SCRIPT = pathlib.Path(__file__).with_name("published_client.py")


@dataclass
class Published:
    python: pathlib.Path
    server: pathlib.Path

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """The script in the published environment; fails with everything it said."""
        # Nothing of ours may reach it.
        clean = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("BEAVA_") and name != "PYTHONPATH"
        }
        done = subprocess.run(
            [self.python, SCRIPT, *arguments],
            env={**clean, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


def install() -> Published:
    """Below the ignored build directory, once; a later run finds it."""
    venv = ROOT / "build" / "compat-venv"
    python = venv / "bin" / "python"
    installed = venv / f"installed-{VERSION}"
    if not installed.exists():
        venv.parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, f"beava=={VERSION}"], check=True)
        installed.touch()
    return Published(python, venv / "bin" / "beava")


UrlOf = Callable[[Server], str]
