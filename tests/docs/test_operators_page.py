"""docs/operators.md is what the catalogue says today, and the tests that it names exist."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
from types import ModuleType
from typing import Any

import pytest
from beava import _catalog

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEAK: list[dict[str, Any]] = json.loads((ROOT / "docs/weak_items.json").read_text())


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operators_page", ROOT / "docs/operators.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_catalogue_says(maker: ModuleType) -> None:
    assert maker.TARGET.read_text() == maker.page(), "run `make operators`"


def test_every_operator_has_a_section_and_an_example(maker: ModuleType) -> None:
    page = maker.TARGET.read_text()
    for op in _catalog.rows():
        assert f"\n### {op}\n" in page
        assert re.search(rf"\*\*example\*\*: `bv\.{op}\(", page)


def test_every_operator_of_the_cost_table_exists(maker: ModuleType) -> None:
    measured = set(re.findall(r"^\| \[(\w+)\]\(#", maker.costs(), flags=re.M))
    assert measured == set(_catalog.rows()), "run `make bench-operators`"


def test_an_approximate_operator_states_its_error() -> None:
    for op, row in _catalog.rows().items():
        if any(one["approximate"] for use in row["uses"] for one in use["any_of"]):
            assert re.search(r"\d %|\d/\d", row["error"] or row["summary"]), op
        else:
            assert row["error"] is None, op


def test_every_weak_item_is_listed_once_in_order() -> None:
    assert [item["id"] for item in WEAK] == [f"W{n}" for n in range(1, 48)]


@pytest.mark.parametrize("item", WEAK, ids=lambda item: str(item["id"]))
def test_every_test_named_behind_a_weak_item_exists(item: dict[str, Any]) -> None:
    assert item["ours"] and item["tests"]
    for test in item["tests"]:
        text = (ROOT / test["file"]).read_text()
        assert re.search(rf"^(?:def )?{test['name']}\(", text, flags=re.M), test
