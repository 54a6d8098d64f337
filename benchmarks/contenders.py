"""The servers that are measured: ours, and the controls N, R and B beside it.

Every one is a process of its own, pinned to one core, with a data directory of its own that is
removed when it stops. Each says how many pushes it counted, by its own books.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SERVER_CORE = 1
DRIVER_CORE = 0
START_TIMEOUT_S = 30.0


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, on one core where the machine has that many."""
    if (os.cpu_count() or 1) > core and shutil.which("taskset"):
        return ["taskset", "-c", str(core), *command]
    return command


@dataclass
class Running:
    """A started server. `address` is what the driver's --remote-addr takes."""

    name: str
    process: subprocess.Popen[bytes]
    address: str
    transport: str
    data_dir: pathlib.Path
    has_dense_positions: bool = False
    acked: int = 0
    notes: list[str] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        words = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Private resident memory: files and shared libraries do not grow with entities."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.data_dir, ignore_errors=True)


@dataclass(frozen=True)
class Contender:
    """Something that can be started; `start` gets the directory for its data."""

    name: str
    start: Callable[[pathlib.Path], Running]


def _clean_environment() -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BEAVA_")}
    return {**clean, "BEAVA_ADMIN_ADDR": "127.0.0.1:0"}


def _spawn_announcing(
    name: str, command: list[str], data_dir: pathlib.Path, *, dense: bool
) -> Running:
    """Starts a server that prints the two bound records, and waits for both."""
    log = data_dir / "stdout"
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned(SERVER_CORE, command),
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_clean_environment(),
            cwd=data_dir,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        ports = {}
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                record = json.loads(line)
                if record.get("kind") in ("server.http_bound", "server.tcp_bound"):
                    ports[record["kind"]] = record["addr"]
        if len(ports) == 2:
            address = f"{ports['server.http_bound']},{ports['server.tcp_bound']}"
            return Running(name, process, address, "tcp", data_dir, dense)
        time.sleep(0.01)
    process.kill()
    process.wait()
    raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')}")


def ours(binary: pathlib.Path, mode: str) -> Contender:
    """Our server with the sync mode `always` or `os`."""

    def start(data_dir: pathlib.Path) -> Running:
        command = [str(binary), "--config", "/dev/null"]
        command += ["--http-addr", "127.0.0.1:0", "--tcp-addr", "127.0.0.1:0"]
        command += ["--data-dir", str(data_dir / "data"), "--wal-sync-mode", mode]
        return _spawn_announcing(f"beava {mode}", command, data_dir, dense=True)

    return Contender(f"beava {mode}", start)


def null_server(binary: pathlib.Path) -> Contender:
    """N: our reactor, answering without doing anything."""

    def start(data_dir: pathlib.Path) -> Running:
        return _spawn_announcing("N null", [str(binary)], data_dir, dense=True)

    return Contender("N null", start)


def published(binary: pathlib.Path) -> Contender:
    """B: the published server; it acknowledges before anything is durable."""

    def start(data_dir: pathlib.Path) -> Running:
        command = [str(binary), "--config", "/dev/null"]
        command += ["--http-addr", "127.0.0.1:0", "--tcp-addr", "127.0.0.1:0"]
        command += ["--data-dir", str(data_dir / "data")]
        return _spawn_announcing("B 0.0.6", command, data_dir, dense=False)

    return Contender("B 0.0.6", start)


def redis(binary: pathlib.Path, log: str) -> Contender:
    """R: Redis. `log` is its appendfsync policy, or "no log"."""
    name = f"R {log}"

    def start(data_dir: pathlib.Path) -> Running:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(binary), "--port", str(port), "--save", "", "--dir", str(data_dir)]
        command += ["--auto-aof-rewrite-percentage", "0"]
        if log == "no log":
            command += ["--appendonly", "no"]
        else:
            command += ["--appendonly", "yes", "--appendfsync", log]
        with (data_dir / "stdout").open("wb") as out:
            process = subprocess.Popen(pinned(SERVER_CORE, command), stdout=out, stderr=out)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return Running(name, process, f"127.0.0.1:{port}", "resp", data_dir)
        process.kill()
        process.wait()
        raise RuntimeError(f"{name} did not start")

    return Contender(name, start)


def redis_count(server: Running) -> int:
    """How many HINCRBY calls Redis counted."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"INFO commandstats\r\nPING\r\n")
        reply = b""
        while not reply.endswith(b"+PONG\r\n"):
            reply += connection.recv(65536)
    for line in reply.decode().splitlines():
        if line.startswith("cmdstat_hincrby:calls="):
            return int(line.split("=")[1].split(",")[0])
    return 0


@dataclass
class Found:
    """The programs of a run; None where one is missing, which is then named."""

    server: pathlib.Path
    bench_dir: pathlib.Path
    redis: pathlib.Path | None
    published: pathlib.Path | None
    missing: list[str]


def find(root: pathlib.Path, server: pathlib.Path, bench_dir: pathlib.Path) -> Found:
    """Looks for the controls; B by BEAVA_B or in build/published."""
    missing = []
    redis_path = shutil.which("redis-server")
    if redis_path is None:
        missing.append("R: redis-server is not installed (Debian: apt-get install redis-server)")
    published_path = pathlib.Path(
        os.environ.get("BEAVA_B", root / "build/published/bin/beava")
    ).absolute()
    if not published_path.exists():
        missing.append(
            "B: the published beava 0.0.6 was not found; name its binary in BEAVA_B, or\n"
            "   python3 -m venv build/published && build/published/bin/pip install beava==0.0.6"
        )
    return Found(
        server,
        bench_dir,
        pathlib.Path(redis_path) if redis_path else None,
        published_path if published_path.exists() else None,
        missing,
    )


def fresh_dir(parent: pathlib.Path) -> pathlib.Path:
    parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(dir=parent))
