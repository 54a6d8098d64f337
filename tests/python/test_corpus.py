# SPDX-License-Identifier: Apache-2.0
"""Directories that older releases left (tests/corpus) start, and show what they held."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import beava as bv
import pytest

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus"
CASES = sorted(path.parent for path in CORPUS.glob("*/*/expected.json"))
NAMES = [str(case.relative_to(CORPUS)) for case in CASES]


@pytest.fixture(params=CASES, ids=NAMES)
def case(request, tmp_path):
    """A copy, and what is expected of it."""
    copy = tmp_path / "data"
    shutil.copytree(request.param, copy, ignore=shutil.ignore_patterns("expected.json"))
    for name in ("wal", "snapshots"):
        (copy / name).mkdir(exist_ok=True)
    return copy, json.loads((request.param / "expected.json").read_text())


def check(data, expected):
    """Opens the directory at the time it was written, and compares."""
    with bv.Engine(data, clock=lambda: expected["now_ms"]) as engine:
        digest = engine.digest()
        rows = engine.batch_get([(table, key) for table, key, _ in expected["values"]])
    assert rows == [row for _, _, row in expected["values"]]
    assert (digest.last_lsn, digest.entities) == (expected["last_lsn"], expected["entities"])
    assert [f"{word:016x}" for word in digest.words] == expected["digest"]


def test_it_starts_with_what_it_held(case):
    check(*case)


def test_it_starts_again_from_what_that_start_left(case):
    data, expected = case
    check(data, expected)
    check(data, expected)


def test_verify_calls_it_sound(case, beava_binary):
    data, expected = case
    done = subprocess.run(
        [beava_binary, "verify", str(data), "--json"], capture_output=True, text=True
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert report["log"]["last_lsn"] == expected["last_lsn"]
    assert (report["log"]["torn_tail_bytes"] > 0) == expected.get("torn", False)


def test_a_damaged_newest_snapshot_falls_back_to_the_same(case):
    data, expected = case
    snapshots = sorted((data / "snapshots").glob("*.bvs"))
    if len(snapshots) == 2:
        content = bytearray(snapshots[-1].read_bytes())
        content[len(content) // 2] ^= 1
        snapshots[-1].write_bytes(content)
    check(data, expected)


def test_the_corpus_holds_what_the_page_of_formats_tells_apart():
    names = {case.name for case in CASES}
    assert {
        "log_only",
        "torn_tail",
        "resumed",
        "recycled",
        "snapshot_and_log",
        "two_snapshots",
        "salvaged",
    } <= names
    size = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    assert size < 400_000


def test_what_is_there_is_never_written_again():
    """The script leaves every case alone."""

    def hashes():
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in CORPUS.glob("*/**/*")
            if path.is_file() and path.suffix != ".pyc"
        }

    before = hashes()
    done = subprocess.run(
        [sys.executable, "-B", str(CORPUS / "make.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert all("stays as it is" in line for line in done.stdout.splitlines())
    assert hashes() == before
