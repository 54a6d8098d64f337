"""One session with a contender: start it, drive it, compare what both counted."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import contenders as c
from table import Series

ENTITIES = 1_000_000
SWEEP_PART = 8_000_000  # what fits into one pool of frames


class CountsDisagree(RuntimeError):
    """The server and the driver do not agree on what was pushed."""


class Refused(RuntimeError):
    """The server does not take the pipeline: it needs operators that do not exist yet."""

    def __init__(self, line: str) -> None:
        text = line.split(": ", 1)[1]
        try:
            error = json.loads(text)["error"]
        except ValueError:  # cut off by the driver
            error = {}
        seen = re.findall(r"`(\w+)` requires|unknown variant `(\w+)`", text)
        names = sorted({name for pair in seen for name in pair if name})
        what = ", ".join(names) or error.get("path", text[:80])
        super().__init__(f"it needs operators that do not exist yet ({what}, ...)")


def _watch(
    command: list[str], beside: AbstractContextManager[object] | None
) -> tuple[int, str, str, float]:
    """Exit code, stdout, stderr, and when the driver said that it begins."""
    began = 0.0
    errors = []
    with tempfile.TemporaryFile("w+") as out, ExitStack() as stack:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            errors.append(line)
            if line == "driving\n":
                began = time.monotonic()
                if beside is not None:
                    stack.enter_context(beside)
        status = process.wait()
        stack.close()
        out.seek(0)
        return status, out.read(), "".join(errors), began


@dataclass
class Bench:
    found: c.Found
    seconds: float
    rounds: int
    data_dir: pathlib.Path
    series: Series
    is_quick: bool = False

    @contextmanager
    def session(self, contender: c.Contender) -> Iterator[c.Running]:
        server = contender.start(c.fresh_dir(self.data_dir))
        try:
            yield server
        finally:
            server.stop()

    def drive(
        self,
        server: c.Running,
        *options: str,
        beside: AbstractContextManager[object] | None = None,
    ) -> dict[str, Any]:
        """One run of the driver; adds the server's own processor time to what it reports.

        `beside` is entered when the first push is about to leave, and left after the last ack."""
        command = [str(self.found.bench_dir / "beava-load"), "--remote-addr", server.address]
        command += ["--wire-format", "msgpack", "--transport", server.transport]
        command += ["--get-sample-interval-ms", "0", *options]
        before = server.cpu_seconds()
        status, text, errors, begin = _watch(c.pinned(c.DRIVER_CORE, command), beside)
        spent = server.cpu_seconds() - before
        refusal = [line for line in errors.splitlines() if "refused the pipeline" in line]
        if refusal:
            raise Refused(refusal[0])
        if status != 0:
            raise CountsDisagree(f"{server.name}: {' '.join(command)}\n{errors}")
        report: dict[str, Any] = json.loads(text)
        report["began"] = begin
        report["server_cpu_secs"] = spent
        server.acked += report["acked"]
        span = report["lsn_last"] - report["lsn_first"] + 1
        if server.has_dense_positions and span != report["acked"]:
            raise CountsDisagree(
                f"{server.name}: {report['acked']} acks over {span} log positions\n{errors}"
            )
        return report

    def preload(self, server: c.Running, *options: str) -> dict[str, Any]:
        """Registers where that means something, and creates every entity once."""
        has_registry = server.transport == "tcp" and server.name != "N null"
        return self.drive(
            server, *(["--register"] if has_registry else []), "--blast-shape", "sweep",
            "--total-events", str(ENTITIES), "--parallel", "16", "--pipeline-depth", "1024",
            *options,
        )  # fmt: skip

    def populate(self, server: c.Running, entities: int, *options: str, sweeps: int = 1) -> None:
        """Registers, and touches each of so many entities `sweeps` times; more than a pool holds
        come in parts."""
        register = ["--register"] if server.transport == "tcp" else []
        for _ in range(sweeps):
            for begin in range(0, entities, SWEEP_PART):
                count = min(SWEEP_PART, entities - begin)
                self.drive(
                    server, *register, "--blast-shape", "sweep", "--sweep-from", str(begin),
                    "--total-events", str(count), "--pool-frames", str(count),
                    "--cardinality", str(entities), "--parallel", "16",
                    "--pipeline-depth", "1024", *options,
                )  # fmt: skip
                register = []

    def check_counts(self, server: c.Running, *options: str) -> None:
        """What the server counted by itself."""
        if server.transport == "resp":
            counted = c.redis_count(server)
        elif server.name == "N null":
            return  # its acks number the pushes; drive() has compared them
        else:
            report = self.drive(
                server, "--verify", "--blast-shape", "uniform", "--total-events", "1", *options
            )
            counted = report["verified_events"]
        if counted != server.acked:
            raise CountsDisagree(f"{server.name}: counted {counted}, acknowledged {server.acked}")

    def load(self, server: c.Running, label: str, size: str, *options: str) -> dict[str, Any]:
        """A closed loop of connections x depth; its rate and latency enter the table."""
        parallel, depth = size.split(" x ")
        report = self.drive(
            server, "--blast-shape", "uniform", "--duration-secs", str(self.seconds),
            "--parallel", parallel, "--pipeline-depth", depth, *options,
        )  # fmt: skip
        self.series.add_run(label, server.name, report)
        return report


def in_process(
    bench: Bench, pipeline: str, keys: str, events: int, *options: str
) -> dict[str, Any]:
    """The engine without a socket and without a log: its rate and its own books."""
    command = [str(bench.found.bench_dir / "beava-load-engine"), "--wire-format", "msgpack"]
    command += ["--pipeline", pipeline, "--blast-shape", "uniform", "--key-shape", keys]
    command += ["--total-events", str(events), *options]
    done = subprocess.run(
        c.pinned(c.SERVER_CORE, command), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CountsDisagree(f"{' '.join(command)}\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
