"""docs/quickstart.ipynb is docs/quickstart.py in cells, and every cell runs."""

from __future__ import annotations

import os
import pathlib
import re
import runpy

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_the_notebook_is_what_the_script_makes() -> None:
    notebook_of = runpy.run_path(str(DOCS / "notebook.py"))["notebook_of"]
    made = notebook_of((DOCS / "quickstart.py").read_text())
    assert (DOCS / "quickstart.ipynb").read_text() == made, "run `python docs/notebook.py`"


def test_every_cell_of_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICKSTART_EVENTS", "6000")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "python"))
    monkeypatch.setenv("BEAVA_BINARY", os.environ.get("BEAVA_BINARY", str(ROOT / "build/beava")))
    notebook = nbformat.read(DOCS / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(DOCS)}})
    client.execute()
    printed = "".join(
        output["text"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "pushed      6,000 events" in printed
    assert len(re.findall(r"values compared with pandas, 0 differences", printed)) == 2
