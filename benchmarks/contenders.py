"""The servers that are measured: ours, and the controls N, R and B beside it.

Every one is a process of its own, pinned to one core, with a data directory of its own that is
removed when it stops. Each says how many pushes it counted, by its own books.
"""

from __future__ import annotations

import http.client
import json
import mmap
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SERVER_CORE = 1
DRIVER_CORE = 0
START_TIMEOUT_S = 600.0  # a start may be a recovery
POLL_S = 0.001
PIECE_SIZE = 1 << 20
MADV_POPULATE_WRITE = 23  # Linux 5.14; the mmap module does not name it
KINDS_BOUND = ("server.http_bound", "server.tcp_bound")


def pinned(core: int | None, command: list[str]) -> list[str]:
    """The command, on one core where the machine has that many; None: on all."""
    if core is not None and (os.cpu_count() or 1) > core and shutil.which("taskset"):
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

    def thread_seconds(self, name: str) -> float:
        """Processor time of its threads of this name."""
        spent = 0
        for thread in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if (thread / "comm").read_text().strip() == name:
                spent += int((thread / "schedstat").read_text().split()[0])
        return spent / 1e9

    def resident_bytes(self) -> int:
        """Private resident memory: files and shared libraries do not grow with entities."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        return 0

    def memory_bytes(self, line: str) -> int:
        """VmRSS: resident with everything; VmHWM: its peak since reset_peak."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(
            int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith(line)
        )

    def reset_peak(self) -> None:
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def record(self, kind: str) -> dict[str, Any] | None:
        """The last log record of a kind."""
        records = log_records(self.data_dir / "stdout")
        return next((one for one in reversed(records) if one.get("kind") == kind), None)

    def http(
        self, method: str, path: str, body: str | None = None, *, admin: bool = False
    ) -> tuple[int, str]:
        """One request to the data plane or to the admin port."""
        address = self.address.split(",")[0]
        if admin:
            ready = self.record("server.ready")
            address = ready["admin_addr"] if ready else ""
        connection = http.client.HTTPConnection(address, timeout=START_TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def kill(self) -> None:
        """As a crash would: no goodbye, and its data stays."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Nobody wants its data: it need not be asked politely, which could take a snapshot."""
        self.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)


@dataclass(frozen=True)
class Contender:
    """Something that can be started; `start` gets the directory for its data."""

    name: str
    start: Callable[[pathlib.Path], Running]


def _clean_environment() -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BEAVA_")}
    return {**clean, "BEAVA_ADMIN_ADDR": "127.0.0.1:0"}


def log_records(path: pathlib.Path) -> list[dict[str, Any]]:
    """What a server has logged so far, as JSON; a line being written is left out."""
    lines = path.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _spawn_announcing(
    name: str,
    command: list[str],
    data_dir: pathlib.Path,
    *,
    dense: bool,
    core: int | None = SERVER_CORE,
    kinds: tuple[str, ...] = KINDS_BOUND,
) -> Running:
    """Starts a server that says where it listens, and waits for its records of these kinds."""
    log = data_dir / "stdout"
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned(core, command),
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_clean_environment(),
            cwd=data_dir,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        seen = {record.get("kind"): record for record in log_records(log)}
        if all(kind in seen for kind in kinds):
            address = ",".join(seen[kind]["addr"] for kind in KINDS_BOUND)
            return Running(name, process, address, "tcp", data_dir, dense)
        time.sleep(POLL_S)
    process.kill()
    process.wait()
    raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')}")


def ours(
    binary: pathlib.Path,
    mode: str,
    *options: str,
    name: str | None = None,
    core: int | None = SERVER_CORE,
) -> Contender:
    """Our server with the sync mode `always` or `os`; started when it is ready, so recovered."""

    def start(data_dir: pathlib.Path) -> Running:
        command = [str(binary), "--config", "/dev/null"]
        command += ["--http-addr", "127.0.0.1:0", "--tcp-addr", "127.0.0.1:0"]
        command += ["--data-dir", str(data_dir / "data"), "--wal-sync-mode", mode, *options]
        kinds = (*KINDS_BOUND, "server.ready")
        return _spawn_announcing(
            name or f"beava {mode}", command, data_dir, dense=True, core=core, kinds=kinds
        )

    return Contender(name or f"beava {mode}", start)


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


def redis_ask(server: Running, command: str) -> str:
    """The reply to one inline command."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=START_TIMEOUT_S) as connection:
        connection.sendall(f"{command}\r\nECHO over\r\n".encode())
        reply = b""
        while not reply.endswith(
            (b"$4\r\nover\r\n", b"-LOADING Redis is loading the dataset in memory\r\n")
        ):
            piece = connection.recv(65536)
            if not piece:
                break
            reply += piece
    return reply.decode()


def redis_info(server: Running, name: str) -> str:
    """A value of INFO, "" where it is not told."""
    for line in redis_ask(server, "INFO everything").splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":", 1)[1]
    return ""


def redis_count(server: Running) -> int:
    """How many HINCRBY calls Redis counted."""
    told = redis_info(server, "cmdstat_hincrby")
    return int(told.split("calls=")[1].split(",")[0]) if told else 0


def files_below(*directories: pathlib.Path) -> list[pathlib.Path]:
    found = [path for directory in directories for path in directory.rglob("*")]
    return sorted(path for path in found if path.is_file())


def evict(files: list[pathlib.Path]) -> int:
    """Puts files on the disk and out of the page cache; returns their size."""
    size = 0
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            size += os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    return size


def read_seconds(files: list[pathlib.Path]) -> float:
    """Control: one file after the other, from the disk, in pieces of 1 MiB, and nothing else."""
    evict(files)
    piece = bytearray(PIECE_SIZE)
    begin = time.monotonic()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass
    return time.monotonic() - begin


def first_touch_seconds(size: int) -> float:
    """Control: what the kernel and the host ask for so many bytes of fresh memory."""
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        begin = time.monotonic()
        memory.madvise(MADV_POPULATE_WRITE)
        return time.monotonic() - begin


def write_rate(directory: pathlib.Path, size: int, *, is_direct: bool) -> float:
    """Control: bytes per second of one new file, in pieces of 1 MiB, with its sync."""
    piece = mmap.mmap(-1, PIECE_SIZE)  # on a page, as direct writes want it
    piece.write(os.urandom(PIECE_SIZE))
    path = directory / "bare-write"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_DIRECT if is_direct else 0)
    descriptor = os.open(path, flags, 0o600)
    begin = time.monotonic()
    for _ in range(size // PIECE_SIZE):
        os.writev(descriptor, [piece])
    os.fdatasync(descriptor)
    seconds = time.monotonic() - begin
    os.close(descriptor)
    path.unlink()
    return size // PIECE_SIZE * PIECE_SIZE / seconds


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
