# SPDX-License-Identifier: Apache-2.0
"""Finding, starting, watching and stopping a server; the servers here are shell scripts."""

import logging
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import beava as bv
import pytest
from beava import _embed

BOUND = """
echo 'beava v0'
echo '{"kind":"other"}'
echo '{"kind":"server.http_bound","addr":"127.0.0.1:40001"}'
echo '{"kind":"server.tcp_bound","addr":"127.0.0.1:40002"}'
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Makes an executable of these shell lines and points BEAVA_BINARY at it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def make(lines):
        path = tmp_path / "fake-beava"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setenv("BEAVA_BINARY", str(path))
        return path

    return make


def wait_until(condition, seconds=10.0):
    """Polls; the only way to watch a process that is not our child."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_running(pid):
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# ---- find ----


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An environment without any beava."""
    monkeypatch.delenv("BEAVA_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path, text="\x7fELF"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_nothing_found_says_what_to_do(nowhere):
    with pytest.raises(bv.BinaryNotFoundError, match="(?s)not found.*pip install.*BEAVA_BINARY"):
        _embed.discover_binary()


def test_the_variable_wins_and_never_falls_through(nowhere, monkeypatch):
    put(nowhere / "scripts" / "beava")
    named = put(nowhere / "x" / "anything", "#!/bin/sh\n")
    monkeypatch.setenv("BEAVA_BINARY", str(named))
    assert _embed.discover_binary() == named
    monkeypatch.setenv("BEAVA_BINARY", str(nowhere / "missing"))
    with pytest.raises(bv.BinaryNotFoundError, match="BEAVA_BINARY"):
        _embed.discover_binary()


def test_scripts_then_path_then_build_directories(nowhere, monkeypatch):
    deep = nowhere / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    debug = put(nowhere / "target" / "debug" / "beava", "#!/bin/sh\n")
    assert _embed.discover_binary() == debug
    release = put(nowhere / "target" / "release" / "beava")
    assert _embed.discover_binary() == release
    build = put(nowhere / "build" / "beava")
    assert _embed.discover_binary() == build
    on_path = put(nowhere / "bin2" / "beava")
    put(nowhere / "bin1" / "beava", "#!/usr/bin/env python\n")
    monkeypatch.setenv("PATH", f"{nowhere / 'bin1'}{os.pathsep}{nowhere / 'bin2'}")
    assert _embed.discover_binary() == on_path
    scripts = put(nowhere / "scripts" / "beava", "#!/usr/bin/env python\n")
    assert _embed.discover_binary() == on_path
    put(scripts)
    assert _embed.discover_binary() == scripts


# ---- start and stop ----


def test_addresses_environment_and_cleaning_up(script, tmp_path, monkeypatch):
    monkeypatch.setenv("BEAVA_LOG_LEVEL", "error")
    monkeypatch.setenv("BEAVA_TCP_HOST", "0.0.0.0")
    monkeypatch.setenv("BEAVA_TCP_ENABLED", "0")
    monkeypatch.delenv("BEAVA_TEST_MODE", raising=False)
    script(f'echo "$@" > {tmp_path}/args; env > {tmp_path}/env\n{BOUND}\nexec sleep 60')
    proc, http_url, tcp_url, env = _embed.spawn_embedded_server()
    try:
        assert (http_url, tcp_url) == ("http://127.0.0.1:40001", "tcp://127.0.0.1:40002")
        assert (tmp_path / "args").read_text() == "--config /dev/null\n"
        child = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        root = Path(env["BEAVA_WAL_DIR"]).parent
        assert root.name.startswith(f"beava-embed-{os.getpid()}-")
        assert Path(env["BEAVA_SNAPSHOT_DIR"]) == root / "snapshots"
        assert (root / "wal").is_dir()
        for name, value in {
            "BEAVA_LISTEN_ADDR": "127.0.0.1:0",
            "BEAVA_TCP_PORT": "0",
            "BEAVA_ADMIN_ADDR": "127.0.0.1:0",
            "BEAVA_DEV_ENDPOINTS": "1",
            "BEAVA_LOG_LEVEL": "info",
            "BEAVA_TCP_HOST": "127.0.0.1",
            "BEAVA_TCP_ENABLED": "1",
        }.items():
            assert child[name] == env[name] == value
        assert "BEAVA_TEST_MODE" not in env
    finally:
        _embed.teardown_process(proc)
    assert proc.returncode == -signal.SIGTERM
    assert proc.stdout.closed
    assert not root.exists()
    _embed.teardown_process(proc)


def test_test_mode_is_passed_on(script):
    script(f"{BOUND}\nexec sleep 60")
    proc, _, _, env = _embed.spawn_embedded_server(test_mode=True)
    _embed.teardown_process(proc)
    assert env["BEAVA_TEST_MODE"] == "1"


def test_a_server_that_ends_at_once_is_explained(script, tmp_path):
    script("echo out; echo 'port is taken' >&2; exit 3")
    with pytest.raises(TimeoutError) as caught:
        _embed.spawn_embedded_server()
    text = str(caught.value)
    for part in ("did not bind", "status 3", "out", "port is taken"):
        assert part in text
    assert list(tmp_path.glob("beava-embed-*")) == []


def test_a_silent_server_is_killed_after_the_limit(script, monkeypatch, tmp_path):
    script(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    monkeypatch.setenv("BEAVA_STARTUP_TIMEOUT", "0.3")
    with pytest.raises(TimeoutError, match=r"did not bind within 0\.3 s; it is running"):
        _embed.spawn_embedded_server()
    assert not is_running(int((tmp_path / "pid").read_text()))
    monkeypatch.setenv("BEAVA_STARTUP_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="BEAVA_STARTUP_TIMEOUT='soon'"):
        _embed.spawn_embedded_server()


def test_one_that_ignores_sigterm_is_killed(script):
    script(f"trap '' TERM\n{BOUND}\nwhile :; do sleep 0.05; done")
    proc, _, _, _ = _embed.spawn_embedded_server()
    _embed.teardown_process(proc, timeout=0.1)
    assert proc.returncode == -signal.SIGKILL


def test_later_output_goes_to_the_log(script, caplog, tmp_path):
    script(f'{BOUND}\necho plain; echo \'{{"kind":"later"}}\'; exec sleep 60')
    with caplog.at_level(logging.DEBUG, logger="beava.embed"):
        proc, _, _, _ = _embed.spawn_embedded_server()
        wait_until(lambda: len(caplog.messages) == 2)
    _embed.teardown_process(proc)
    assert caplog.messages == ["non-json stdout: plain", '{"kind":"later"}']


PARENT = """
import sys, beava._embed as e
proc, _, _, env = e.spawn_embedded_server()
print(proc.pid, env["BEAVA_WAL_DIR"], flush=True)
sys.stdin.read()
"""


def start_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": tempfile.tempdir},
    )
    pid, wal_dir = parent.stdout.readline().split()
    return parent, int(pid), Path(wal_dir).parent


@pytest.mark.parametrize("how", ["kill -9", "exit"])
def test_the_server_and_its_directory_end_with_their_owner(script, how):
    script(f"{BOUND}\nexec sleep 60")
    parent, pid, root = start_parent()
    assert is_running(pid)
    assert root.is_dir()
    if how == "kill -9":
        parent.kill()
    else:
        parent.stdin.close()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    wait_until(lambda: not is_running(pid))
    wait_until(lambda: not root.exists())


def test_the_watcher_ends_with_the_server(script):
    script(f"{BOUND}\nexec sleep 60")
    proc, _, _, _ = _embed.spawn_embedded_server()
    watcher = _embed._running[proc].watcher
    os.kill(proc.pid, signal.SIGKILL)
    wait_until(lambda: watcher.poll() is not None)
    _embed.teardown_process(proc)


def test_importing_is_the_published_names():
    for name in _embed.__all__:
        assert hasattr(_embed, name)
    assert _embed.shutil
