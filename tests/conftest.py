# SPDX-License-Identifier: Apache-2.0
"""Fixtures that need what `make build` leaves behind. They fail, and never skip, without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def beava_binary() -> Path:
    """The server executable: BEAVA_BINARY, else build/beava."""
    path = Path(os.environ.get("BEAVA_BINARY") or ROOT / "build" / "beava")
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not an executable; run `make build`, or set BEAVA_BINARY")
    return path


@pytest.fixture
def embedded(beava_binary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`bv.App()` starts this executable and no other."""
    monkeypatch.setenv("BEAVA_BINARY", str(beava_binary))
    monkeypatch.delenv("BEAVA_URL", raising=False)
    return beava_binary
