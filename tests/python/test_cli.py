# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import beava as bv
import pytest
from beava import __main__ as verbs
from beava import _cli, _embed, cli


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A server executable that prints how it was called."""
    path = tmp_path / "beava"
    path.write_text('#!/bin/sh\necho "$@"; echo "handed over: ${BEAVA_HANDED_OVER-no}"\n')
    path.chmod(0o755)
    monkeypatch.setenv("BEAVA_BINARY", str(path))
    monkeypatch.delenv("BEAVA_HANDED_OVER", raising=False)
    return path


def run(*arguments, **env):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
    )
    return done.returncode, done.stdout, done.stderr


def test_version_is_the_packages():
    assert run("beava", "version") == (0, f"beava {bv.__version__}\n", "")
    assert run("beava", "version", "x")[0] == 2


@pytest.mark.parametrize("arguments", [["serve", "--memory-only"], ["serve"], []])
def test_serve_becomes_the_executable(echo, arguments):
    out = f"{' '.join(arguments[1:])}\nhanded over: no\n"
    assert run("beava", *arguments) == (0, out, "")


def test_other_verbs_are_handed_over_once(echo):
    assert run("beava", "verify", "x") == (0, "verify x\nhanded over: 1\n", "")
    status, out, err = run("beava", "verify", BEAVA_HANDED_OVER="1")
    assert (status, out) == (2, "")
    assert "no such command: verify" in err


@pytest.mark.parametrize("module", ["beava", "beava._cli"])
def test_no_executable_is_one_line_and_status_2(module):
    status, out, err = run(module, "serve", BEAVA_BINARY="/nowhere/beava")
    assert (status, out) == (2, "")
    assert "BEAVA_BINARY" in err
    assert "Traceback" not in err


def test_cli_module_passes_everything_on(echo):
    assert run("beava._cli", "--version", "a b") == (0, "--version a b\nhanded over: no\n", "")


def test_cli_module_can_be_patched(monkeypatch):
    calls = []
    monkeypatch.setattr(_cli, "discover_binary", lambda: "/x/beava")
    monkeypatch.setattr(_cli.os, "execv", lambda *args: calls.append(args))
    monkeypatch.setattr(sys, "argv", ["beava", "--help"])
    _cli.main()
    assert calls == [("/x/beava", ["/x/beava", "--help"])]


def test_the_published_stub_is_a_stub():
    assert cli.__all__ == ["main"]
    with pytest.raises(SystemExit, match="not wired"):
        cli.main()


def test_verbs_run_in_process(monkeypatch, capsys):
    assert verbs.main(["version"]) == 0
    assert capsys.readouterr().out == f"beava {bv.__version__}\n"
    monkeypatch.setattr(_embed, "discover_binary", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verbs.main(["serve"])


def test_the_server_tells_the_packages_version(beava_binary):
    done = subprocess.run([beava_binary, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"beava {bv.__version__}\n")
