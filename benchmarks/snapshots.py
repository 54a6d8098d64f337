"""P8: what a running snapshot does to the traffic beside it.

One server is filled once. Then rounds of pairs: the same load without a snapshot, and with one
snapshot after the other. Beside each pair control S, two bare spin loops: stalls that those see are
the host's. The server has both cores, because a snapshot's writer is a thread of its own; what it
costs when all share core 1 is measured once more for the first load.
"""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType

import contenders as c
import metrics
from bench import Bench, CountsDisagree
from recovery import GB, NEVER, look, take_snapshot
from table import Goal, Series

BYTES_PER_ENTITY = 48  # of one count, with its index
STATE_BYTES = 4.2e9
QUICK_STATE_BYTES = 0.4e9
MEMORY_SHARE = 0.4  # of what is available: the page cache and the driver need some
ENTITIES_MAX = 100_000_000
ROUNDS_MAX = 3
LIMIT_S = 300e-6
SIZES = ("16 x 1024", "16 x 100")
SHAPES = ("uniform", "zipfian")
LONGEST_RUN_S = 20.0
APPLY = "beava-apply"  # its thread
PAUSE = "beava_apply_pause_seconds"
TICK = "beava_apply_duration_seconds"


@dataclass(frozen=True)
class Plan:
    """One server and what it is driven with. `core` None: it may use the driver's core as well."""

    suffix: str
    core: int | None
    sizes: tuple[str, ...]
    shapes: tuple[str, ...]
    has_open_loop: bool


class Snapshots:
    """One after the other, for as long as it is entered."""

    def __init__(self, server: c.Running) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.taken: list[metrics.Snapshot] = []
        self.failure = ""

    def _run(self) -> None:
        while not self._is_over.is_set() and not self.failure:
            try:
                self.taken.append(take_snapshot(self._server))
            except (CountsDisagree, OSError) as error:
                self.failure = str(error)

    def __enter__(self) -> Snapshots:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()


def entities_that_fit(bench: Bench) -> int:
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) << 10 for line in file if "MemAvailable" in line)
    wanted = QUICK_STATE_BYTES if bench.is_quick else STATE_BYTES
    size = min(wanted, available * MEMORY_SHARE)
    if size < wanted:
        bench.series.note(f"P8: {wanted / GB:.1f} GB of state do not fit, {size / GB:.1f} GB taken")
    return min(int(size / BYTES_PER_ENTITY), ENTITIES_MAX)


def spin(bench: Bench, seconds: float) -> None:
    """Control S: the longest that the host held a thread that only looks at the clock."""
    done = subprocess.run(
        [str(bench.found.bench_dir / "beava-load-spin"), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        report = json.loads(line)
        name = f"S spin core {report['core']}"
        bench.series.add("P8 longest pause", name, "us", report["max"])
        bench.series.add("P8 longest pause", name, "above 300 us/s",
                         report["stalls_above_300us"] / seconds)  # fmt: skip


def _phase(
    bench: Bench, server: c.Running, row: str, options: list[str], beside: Snapshots | None
) -> float:
    """One run of the driver; what the server says about its pauses meanwhile. Events per second."""
    what = "snapshot" if beside is not None else "quiet"
    before = look(server)
    spent = server.thread_seconds(APPLY)
    report = bench.drive(server, *options, beside=beside)
    spent = server.thread_seconds(APPLY) - spent
    after = look(server)
    bench.series.add_run(f"P8 {row}", f"beava {what}", report)
    bench.series.add(f"P8 {row}", f"beava {what}", "k/apply-s", report["acked"] / spent / 1e3)
    tick = metrics.longest(before, after, TICK)
    if tick is not None:
        bench.series.add(f"P8 {row}", f"beava {what}", "us longest tick", tick * 1e6)
    if beside is not None:
        if beside.failure:
            raise CountsDisagree(beside.failure)
        end = report["began"] + report["elapsed_secs"]
        rate, share = metrics.written_between(beside.taken, report["began"], end)
        bench.series.add(f"P8 {row}", f"beava {what}", "GB/s", rate / GB)
        bench.series.add(f"P8 {row}", f"beava {what}", "% of the time", share * 100)
        pause = metrics.longest(before, after, PAUSE)
        if pause is not None:
            bench.series.add("P8 longest pause", f"beava {row}", "us", pause * 1e6)
            count = metrics.above(before, after, PAUSE, LIMIT_S)
            bench.series.add("P8 longest pause", f"beava {row}", "above 300 us/s",
                             count / report["elapsed_secs"])  # fmt: skip
    return float(report["events_per_sec"])


def _pair(bench: Bench, server: c.Running, row: str, options: list[str], *, turned: bool) -> float:
    """The same load without and with; which of them comes first alternates. Both in percent."""
    rates = {}
    for is_beside in (turned, not turned):
        beside = Snapshots(server) if is_beside else None
        rates[is_beside] = _phase(bench, server, row, options, beside)
    bench.series.add("P8 with / without", f"beava {row}", "%", 100 * rates[True] / rates[False])
    return rates[False]


def _rounds(bench: Bench, server: c.Running, plan: Plan, load: list[str], seconds: float) -> None:
    base = [*load, "--duration-secs", str(seconds)]
    for number in range(min(bench.rounds, ROUNDS_MAX)):
        turned = number % 2 == 1
        for shape in plan.shapes:
            quiet = 0.0
            for size in plan.sizes:
                spin(bench, bench.seconds)
                parallel, depth = size.split(" x ")
                options = [*base, "--blast-shape", shape, "--parallel", parallel]
                options += ["--pipeline-depth", depth]
                row = f"{size} {shape}{plan.suffix}"
                rate = _pair(bench, server, row, options, turned=turned)
                quiet = quiet or rate
            if plan.has_open_loop:
                options = [*base, "--blast-shape", shape, "--parallel", "16"]
                options += ["--pipeline-depth", "1024", "--rate", str(int(quiet / 2))]
                _pair(bench, server, f"open loop {shape}", options, turned=turned)


def _session(bench: Bench, plan: Plan, entities: int) -> None:
    contender = c.ours(bench.found.server, "always", *NEVER, core=plan.core)
    keys = ["--cardinality", str(entities)]
    with bench.session(contender) as server:
        bench.populate(server, entities)
        bench.drive(
            server, *keys, "--blast-shape", "uniform", "--parallel", "16", "--pipeline-depth",
            "1024", "--duration-secs", str(bench.seconds),
        )  # fmt: skip
        state = metrics.total(look(server), "beava_state_bytes")
        bench.series.add("P8 state", "beava blocks", "GB", state / GB)
        bench.series.add("P8 state", "beava resident", "GB", server.resident_bytes() / GB)
        server.reset_peak()
        resident = server.memory_bytes("VmRSS")
        spent = server.thread_seconds(APPLY)
        idle = take_snapshot(server)
        spent = server.thread_seconds(APPLY) - spent
        took = idle.end - idle.begin
        row = f"beava idle{plan.suffix}"
        bench.series.add("P8 written", row, "GB/s", idle.size / GB / took)
        bench.series.add("P8 written", row, "GB/apply-s", idle.size / GB / spent)
        for is_direct, name in ((True, "bare write"), (False, "bare write, cached")):
            rate = c.write_rate(bench.data_dir, min(idle.size, 1 << 30), is_direct=is_direct)
            bench.series.add("P8 written", name, "GB/s", rate / GB)
        # A run has room for most of a snapshot that gets a tenth of the thread.
        _rounds(bench, server, plan, keys, max(bench.seconds, min(3 * took, LONGEST_RUN_S)))
        grown = server.memory_bytes("VmHWM") - resident
        bench.series.add("P8 extra memory", f"beava{plan.suffix}", "%", 100 * grown / resident)
        bench.series.add("P8 extra memory", f"beava{plan.suffix}", "MB", grown / 1e6)


def bench_p8(bench: Bench) -> None:
    entities = entities_that_fit(bench)
    _session(bench, Plan("", None, SIZES, SHAPES, has_open_loop=True), entities)
    plan = Plan(", 1 core", c.SERVER_CORE, SIZES[:1], SHAPES[:1], has_open_loop=False)
    _session(bench, plan, entities)


def goals_p8(series: Series) -> list[Goal]:
    out = []
    for shape in SHAPES:
        for size in SIZES:
            row = f"{size} {shape}"
            value = series.median("P8 with / without", f"beava {row}", "%")
            out.append(Goal(f"P8 {row}: % of quiet", value, ">=", 90.0))
            value = series.median(f"P8 {row}", "beava snapshot", "GB/s")
            out.append(Goal(f"P8 {row}: GB/s written", value, ">=", 0.6))
            value = series.worst("P8 longest pause", f"beava {row}", "us")
            out.append(Goal(f"P8 {row}: longest pause, us", value, "<=", 300.0))
    value = series.worst("P8 extra memory", "beava", "%")
    out.append(Goal("P8 extra memory: %", value, "<=", 3.0))
    return out
