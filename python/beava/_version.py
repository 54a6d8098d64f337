# SPDX-License-Identifier: Apache-2.0
"""The one version number: that of the checkout we run in, else of the installed package."""

from __future__ import annotations

import re
from pathlib import Path


def version() -> str:
    """The version of this package."""
    # python/beava/_version.py of a checkout; an installation elsewhere may be another version.
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        text = project.read_text()
        found = re.search(r'^version = "([^"]*)"', text, re.MULTILINE)
        if found and re.search(r'^name = "beava"', text, re.MULTILINE):
            return found[1]
    import importlib.metadata

    return importlib.metadata.version("beava")
