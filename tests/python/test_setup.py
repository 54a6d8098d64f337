# SPDX-License-Identifier: Apache-2.0
"""Building from source where something is not installed."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup_module(monkeypatch):
    import setuptools

    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: None)
    spec = importlib.util.spec_from_file_location("beava_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "beava_setup", module)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_missing_here(setup_module):
    assert setup_module.missing_packages() == []


def test_a_missing_header_is_named_by_its_package(setup_module, monkeypatch, tmp_path):
    monkeypatch.setitem(setup_module.HEADERS, "beava-no-such-header.h", "libnothing-dev")
    with pytest.raises(SystemExit, match="apt-get install libnothing-dev"):
        setup_module.cmake_build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_is_named_by_its_package(setup_module, monkeypatch):
    monkeypatch.setattr(setup_module.shutil, "which", lambda tool: None)
    assert setup_module.missing_packages() == ["cmake", "gcc"]
