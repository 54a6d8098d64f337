# SPDX-License-Identifier: Apache-2.0
"""The wheel, in an empty virtual environment: the package, its bindings and the server.

Takes the wheel of `make wheel` where there is one that is newer than the sources; otherwise makes
one over build/, which only packs what is compiled already.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import beava as bv
import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZE_MAX = 6_000_000

PROGRAM = """
import subprocess, sys, sysconfig
import beava as bv
from beava import _fast
assert "site-packages" in bv.__file__, bv.__file__
assert _fast.IS_COMPILED

@bv.event
class Click:
    user_id: str

@bv.table(key="user_id")
def Clicks(c: Click):
    return c.group_by("user_id").agg(n=bv.count())

def use(app):
    app.register(Click, Clicks)
    app.push_many(Click, [{"user_id": "a"}] * 3)
    assert app.get(Clicks, "a") == {"n": 3}

with bv.App() as app:
    assert app._transport._proc.args[0] == sysconfig.get_path("scripts") + "/beava"
    use(app)
with bv.App() as app, bv.App(app.http_url) as over_http:
    use(over_http)
with bv.Engine() as engine:
    use(engine)
print(bv.__version__)
"""


def newest_source():
    files = [ROOT / "pyproject.toml", ROOT / "setup.py"]
    for folder, patterns in {
        "core": "**/*.[ch]",
        "bindings": "**/*.[chp]*",
        "python": "**/*.py",
    }.items():
        files += (ROOT / folder).glob(patterns)
    return max(path.stat().st_mtime for path in files)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, beava_binary):
    ready = [p for p in (ROOT / "dist").glob("*.whl") if p.stat().st_mtime > newest_source()]
    if ready:
        return ready[0]
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    env = {**os.environ, "BEAVA_BUILD_DIR": str(beava_binary.parent)}
    done = subprocess.run(
        [*command, "--wheel-dir", str(out), str(ROOT)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment that has the wheel and what it asks for."""
    place = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def clean_environment():
    dirty = ("BEAVA_", "PYTHON")
    return {name: text for name, text in os.environ.items() if not name.startswith(dirty)}


def test_it_is_small_and_complete(wheel):
    assert wheel.stat().st_size < SIZE_MAX
    names = zipfile.ZipFile(wheel).namelist()
    for end in ("beava/py.typed", "beava/_codec.pyi", "scripts/beava", "beava/test/__init__.py"):
        assert any(name.endswith(end) for name in names), end


def test_the_package_works_in_an_empty_environment(python, tmp_path):
    done = subprocess.run(
        [python, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{bv.__version__}\n"


def test_the_command_is_the_native_server(python, tmp_path):
    command = python.parent / "beava"
    assert command.read_bytes()[:4] == b"\x7fELF"
    done = subprocess.run(
        [command, "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert (done.returncode, done.stdout) == (0, f"beava {bv.__version__}\n")
    done = subprocess.run(
        [python, "-m", "beava", "version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert done.stdout == f"beava {bv.__version__}\n"
