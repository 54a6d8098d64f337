# SPDX-License-Identifier: Apache-2.0
"""A server of our own: find the executable, start it on free ports, watch it, stop it.

Enters: nothing. Leaves: a process and its two URLs.
Invariants: the server never outlives the process that started it, however that ends (a small shell
waits at the other end of a pipe); its directory is removed with it.
"""

from __future__ import annotations

import atexit
import collections
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import BinaryNotFoundError
from ._log import logger

__all__ = [
    "BinaryNotFoundError",
    "discover_binary",
    "spawn_embedded_server",
    "teardown_process",
]

_logger = logger("beava.embed")

_STARTUP_TIMEOUT = 5.0
_TAIL_LINES = 20
_BOUND_KINDS = {"server.http_bound": "http", "server.tcp_bound": "tcp"}
_BUILD_DIRS = ("build", "target/release", "target/debug")

# Reads until the pipe's other end is gone, which is when this process has ended. Then: stop the
# server, wait at most 10 s for it, remove its directory. $1 is the pid, $2 the directory.
_WATCHER = """
read -r _
kill -TERM "$1" 2>/dev/null
i=0
while kill -0 "$1" 2>/dev/null && [ "$i" -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
kill -KILL "$1" 2>/dev/null
rm -rf -- "$2"
"""


# ---- find ---------------------------------------------------------------------------------------


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_script(path: Path) -> bool:
    """A `#!` file named beava would be a launcher that comes back here."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def discover_binary() -> Path:
    """The server executable.

    Looks at BEAVA_BINARY, the interpreter's scripts directory, PATH, and build directories from the
    working directory upwards.

    Raises:
        BinaryNotFoundError: It is in none of these.
    """
    named = os.environ.get("BEAVA_BINARY")
    if named:
        path = Path(named)
        if _is_executable(path):
            return path
        raise BinaryNotFoundError(f"BEAVA_BINARY={named!r} is not an executable file")
    path = Path(sysconfig.get_path("scripts")) / "beava"
    if _is_executable(path) and not _is_script(path):
        return path
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("beava", path=directory) if directory else None
        if found is not None and not _is_script(Path(found)):
            return Path(found)
    here = Path.cwd()
    for parent in (here, *here.parents):
        for build in _BUILD_DIRS:
            path = parent / build / "beava"
            if _is_executable(path):
                return path
    raise BinaryNotFoundError(
        "the beava server executable was not found; install it with `pip install beava`, build it "
        "with `make build`, or set BEAVA_BINARY to its path"
    )


# ---- start --------------------------------------------------------------------------------------


@dataclass
class _Running:
    root: Path
    watcher: subprocess.Popen[bytes] | None
    reader: threading.Thread | None
    owner_pid: int


_running: dict[subprocess.Popen[Any], _Running] = {}


def _child_environment(root: Path, test_mode: bool) -> dict[str, str]:
    env = dict(os.environ)
    env.update(
        BEAVA_LISTEN_ADDR="127.0.0.1:0",
        BEAVA_TCP_PORT="0",
        BEAVA_ADMIN_ADDR="127.0.0.1:0",
        BEAVA_DEV_ENDPOINTS="1",
        BEAVA_WAL_DIR=str(root / "wal"),
        BEAVA_SNAPSHOT_DIR=str(root / "snapshots"),
        # Inherited, these would hide the two lines we wait for, or open the port to others.
        BEAVA_LOG_LEVEL="info",
        BEAVA_LOG_FORMAT="json",
        BEAVA_TCP_ENABLED="1",
        BEAVA_TCP_HOST="127.0.0.1",
    )
    if test_mode:
        env["BEAVA_TEST_MODE"] = "1"
    return env


class _Output:
    """Reads the server's output: addresses first, log lines afterwards."""

    def __init__(self, proc: subprocess.Popen[str]) -> None:
        self._proc = proc
        self._changed = threading.Condition()
        self._addresses: dict[str, str] = {}
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._is_over = False
        self.thread = threading.Thread(target=self._read, name="beava-embed", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self._proc.stdout is not None
        try:
            for line in self._proc.stdout:
                self._take(line.rstrip("\n"))
        except ValueError:
            pass  # closed under us by teardown
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
        # The pid is reserved until somebody waits for the child; from then on nobody may signal it.
        self._proc.wait()
        running = _running.get(self._proc)
        if running is not None:
            _retire_watcher(running)

    def _take(self, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        with self._changed:
            self._tail.append(line)
            was_ready = len(self._addresses) == 2
            if isinstance(record, dict):
                transport = _BOUND_KINDS.get(record.get("kind", ""))
                if transport is not None and isinstance(record.get("addr"), str):
                    self._addresses[transport] = record["addr"]
                    self._changed.notify_all()
        if was_ready:
            prefix = "" if isinstance(record, dict) else "non-json stdout: "
            _logger.debug("%s%s", prefix, line)

    def wait_for_addresses(self, timeout: float) -> dict[str, str] | None:
        """Addresses by transport; None if the server ended or said nothing in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._addresses) == 2, timeout)
            return dict(self._addresses) if len(self._addresses) == 2 else None

    def is_over(self) -> bool:
        """Whether the server closed its output, which it does by ending."""
        with self._changed:
            return self._is_over

    def tail(self) -> str:
        with self._changed:
            return "\n".join(self._tail)


def _start_watcher(pid: int, root: Path) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "beava-watcher", str(pid), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None  # no shell here: the server then ends at close() and at exit


def _status_soon(proc: subprocess.Popen[Any]) -> int | None:
    """The exit status of a server whose output ended, which is a moment before it does."""
    try:
        return proc.wait(1.0)
    except subprocess.TimeoutExpired:
        return None


def _startup_timeout(given: float) -> float:
    text = os.environ.get("BEAVA_STARTUP_TIMEOUT", "")
    if given != _STARTUP_TIMEOUT or not text:
        return given
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"BEAVA_STARTUP_TIMEOUT={text!r} is not a number of seconds") from None


def spawn_embedded_server(
    startup_timeout: float = _STARTUP_TIMEOUT, *, test_mode: bool = False
) -> tuple[subprocess.Popen[Any], str, str, dict[str, str]]:
    """Starts a server on free ports of 127.0.0.1, with a directory of its own.

    Args:
        startup_timeout: Seconds to wait for its ports; BEAVA_STARTUP_TIMEOUT replaces the default.
        test_mode: Whether it allows `reset`.

    Returns:
        The process, its HTTP URL, its TCP URL, and the environment it was given.

    Raises:
        BinaryNotFoundError: There is no executable.
        TimeoutError: It ended, or did not bind in time; the text has its last lines.
    """
    binary = discover_binary()
    timeout = _startup_timeout(startup_timeout)
    stamp = f"{os.getpid()}-{time.time_ns() // 1_000_000}-{os.urandom(4).hex()}"
    root = Path(tempfile.gettempdir()) / f"beava-embed-{stamp}"
    for part in ("wal", "snapshots"):
        (root / part).mkdir(parents=True, mode=0o700)
    env = _child_environment(root, test_mode)
    try:
        proc = subprocess.Popen(
            [str(binary), "--config", "/dev/null"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            text=True,
            errors="replace",
            # Ctrl-C at a prompt interrupts the caller, not its server.
            start_new_session=True,
        )
    except OSError:
        shutil.rmtree(root, ignore_errors=True)
        raise
    running = _Running(root, _start_watcher(proc.pid, root), None, os.getpid())
    _running[proc] = running
    output = _Output(proc)
    running.reader = output.thread
    addresses = output.wait_for_addresses(timeout)
    if addresses is None:
        status = _status_soon(proc) if output.is_over() else None
        proc.kill()
        teardown_process(proc)
        ended = "is running" if status is None else f"ended with status {status}"
        raise TimeoutError(
            f"the embedded server {binary} did not bind within {timeout:g} s; it {ended}; "
            f"its last lines:\n{output.tail() or '(none)'}"
        )
    return proc, f"http://{addresses['http']}", f"tcp://{addresses['tcp']}", env


# ---- stop ---------------------------------------------------------------------------------------


def _retire_watcher(running: _Running) -> None:
    """Before its server's pid can become somebody else's, the watcher has to be gone."""
    if running.watcher is not None:
        running.watcher.kill()
        running.watcher.wait()
        if running.watcher.stdin is not None:
            running.watcher.stdin.close()


def teardown_process(proc: subprocess.Popen[Any], timeout: float = 5.0) -> None:
    """Stops a server: SIGTERM, then SIGKILL after `timeout` seconds. Twice is harmless."""
    running = _running.pop(proc, None)
    if running is not None:
        _retire_watcher(running)
    if proc.poll() is None:
        proc.terminate()
        try:
            proc.wait(timeout)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
    if running is None:
        return
    if running.reader is not None and running.reader is not threading.current_thread():
        running.reader.join(timeout)
    if proc.stdout is not None:
        proc.stdout.close()
    shutil.rmtree(running.root, ignore_errors=True)


@atexit.register
def _stop_all() -> None:
    for proc, running in list(_running.items()):
        if running.owner_pid == os.getpid():
            teardown_process(proc)
