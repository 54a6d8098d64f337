"""docs/quickstart.py runs, says what it promised to say, and notices when it is wrong."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "quickstart.py"
PYTHONPATH = {"PYTHONPATH": str(ROOT / "python")}


def run(script: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    binary = os.environ.get("BEAVA_BINARY", str(ROOT / "build" / "beava"))
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, **PYTHONPATH, "BEAVA_BINARY": binary},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_value_agrees_with_pandas_before_and_after_the_kill(tmp_path: pathlib.Path) -> None:
    result = run(SCRIPT, "--quick", "6000", "--data-dir", str(tmp_path / "data"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pushed      6,000 events" in result.stdout
    assert re.search(r"events/s", result.stdout)
    assert len(re.findall(r"p50 \d+ us, p99 \d+ us", result.stdout)) == 2
    compared = re.findall(r"([\d,]+) values compared with pandas, 0 differences", result.stdout)
    assert len(compared) == 2
    assert compared[0] == compared[1]
    assert int(compared[0].replace(",", "")) > 10_000
    assert result.stderr == ""
    assert (tmp_path / "data" / "wal").is_dir()


def test_a_difference_ends_the_quickstart_with_status_one(tmp_path: pathlib.Path) -> None:
    text = SCRIPT.read_text()
    right, wrong = '("speed", "std")', '("speed", "var")'
    assert text.count(right) == 2
    changed = tmp_path / "docs" / "quickstart.py"
    changed.parent.mkdir()
    changed.write_text(text.replace(right, wrong))
    result = run(changed, "--quick", "2000")
    assert result.returncode == 1
    assert "aircraft_speed_std is" in result.stdout
    assert " 0 differences" not in result.stdout


def test_a_used_data_directory_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "something").write_text("old")
    result = run(SCRIPT, "--quick", "10", "--data-dir", str(tmp_path))
    assert result.returncode == 1
    assert "is not empty" in result.stderr
