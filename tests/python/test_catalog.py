# SPDX-License-Identifier: Apache-2.0
"""python/beava/operators.py is what the catalogue and the package's promises make of it."""

import doctest
import importlib.util
from pathlib import Path

import beava as bv
import pytest
from beava import _catalog, operators
from beava._descriptor import OPERATORS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def maker():
    path = ROOT / "bindings" / "build_operators.py"
    spec = importlib.util.spec_from_file_location("build_operators", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_core_has_the_operators_that_the_package_promises():
    assert set(_catalog.rows()) == set(OPERATORS)
    assert _catalog.catalog()["aliases"] == {"ema": "ewma"}


def test_the_module_is_what_is_generated(maker):
    assert maker.TARGET.read_text() == maker.module_text(), "run `make operators`"


def test_every_argument_is_documented_once():
    for name in operators.__all__:
        function = getattr(bv, name)
        lines = function.__doc__.splitlines()
        for argument in function.__annotations__:
            if argument != "return":
                assert sum(line.startswith(f"        {argument}: ") for line in lines) == 1, name


def test_the_examples_run():
    result = doctest.testmod(operators, extraglobs={"bv": bv})
    assert result.failed == 0
    assert result.attempted == len(operators.__all__)


@pytest.mark.parametrize("op", list(OPERATORS))
def test_what_a_function_sends_is_known_to_the_core(op):
    """No parameter that our own functions write draws a warning from the server."""
    row = _catalog.rows()[op]
    known = {param["name"] for param in row["params"]} | {"window", "where", row["window_alias"]}
    assert {param.key for param in OPERATORS[op].params} <= known
