# SPDX-License-Identifier: Apache-2.0
"""Makes docs/quickstart.ipynb from docs/quickstart.py: `python docs/notebook.py`.

A line `# %%` begins a cell of code, `# %% [markdown]` one of text. The notebook carries no outputs,
so it changes only when the script does; tests/docs holds the two to each other.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent


def cell_of(index: int, is_text: bool, source: str) -> dict[str, Any]:
    lines = source.strip().splitlines(keepends=True)
    if is_text:
        lines = [re.sub(r"^# ?", "", line) for line in lines]
    cell: dict[str, Any] = {"cell_type": "markdown" if is_text else "code", "id": f"cell-{index}"}
    if not is_text:
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"metadata": {}, "source": lines}


def notebook_of(script: str) -> str:
    """The notebook, as the text of its file."""
    # What stands before the first mark is the licence line.
    _, *parts = re.split(r"^# %%( \[markdown\])?\n", script, flags=re.M)
    marks, sources = parts[::2], parts[1::2]
    notebook = {
        "cells": [
            cell_of(index, mark is not None, source)
            for index, (mark, source) in enumerate(zip(marks, sources, strict=True))
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (DOCS / "quickstart.ipynb").write_text(notebook_of((DOCS / "quickstart.py").read_text()))
