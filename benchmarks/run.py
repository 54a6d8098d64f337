"""`make bench`: one table of ratios to the controls N, D, R and B of docs, in interleaved rounds.

Each round starts every contender anew, one after the other, so that what the machine does to one it
does to all. The server sits on core 1, the driver on core 0. After every run the counts must agree:
the driver's acks, the log positions in them, and the feature `cnt` added up over all keys.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import subprocess
import sys

import contenders as c
from bench import ENTITIES, Bench, CountsDisagree, Refused, in_process
from recovery import bench_p7, goals_p7
from snapshots import bench_p8, goals_p8
from table import Goal, Series, print_goals, print_series

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM_KEYS = 1_000
OPEN_RATE = 40_000
P6_BYTES = {"counters": 105.0, "mixed": 1024.0}


def controls(bench: Bench, *logs: str) -> list[c.Contender]:
    found = bench.found
    out = [c.null_server(found.bench_dir / "beava-load-null")]
    if found.redis is not None:
        out += [c.redis(found.redis, log) for log in logs]
    return out


def bench_p1(bench: Bench) -> None:
    """Pushes of one count over 10^6 entities: two loads, two key shapes, two sync modes."""
    found = bench.found
    for contender in controls(bench, "no log", "everysec"):
        with bench.session(contender) as server:
            bench.preload(server)
            for size in ("16 x 1024", "16 x 100"):
                bench.load(server, f"P1 {size}", size)
            bench.check_counts(server)
    for keys in ("padded", "scattered"):
        shape = ("--key-shape", keys)
        plan: list[tuple[c.Contender, tuple[str, ...]]] = [
            (c.ours(found.server, "always"), ("16 x 1024", "16 x 100")),
            (c.ours(found.server, "os"), ("16 x 1024", "16 x 100")),
        ]
        if found.published is not None:
            plan.append((c.published(found.published), ("16 x 1024", "16 x 100")))
        for contender, sizes in plan:
            with bench.session(contender) as server:
                bench.preload(server, *shape)
                for size in sizes:
                    bench.load(server, f"P1 {size} {keys}", size, *shape)
                bench.check_counts(server, *shape)


def bench_p6(bench: Bench) -> None:
    """Memory per entity: what resident memory grows by, after buffers have had their fill."""
    found = bench.found
    plan = [c.ours(found.server, "always")]
    if found.redis is not None:
        plan.append(c.redis(found.redis, "no log"))
    if found.published is not None:
        plan.append(c.published(found.published))
    for contender in plan:
        with bench.session(contender) as server:
            has_registry = server.transport == "tcp"
            bench.drive(
                server, *(["--register"] if has_registry else []), "--blast-shape", "uniform",
                "--cardinality", str(WARM_KEYS), "--duration-secs", "1", "--parallel", "16",
                "--pipeline-depth", "1024",
            )  # fmt: skip
            before = server.resident_bytes()
            bench.drive(
                server, "--blast-shape", "sweep", "--total-events", str(ENTITIES),
                "--parallel", "16", "--pipeline-depth", "1024",
            )  # fmt: skip
            grown = server.resident_bytes() - before
            bench.check_counts(server)
            bench.series.add("P6 resident", server.name, "B", grown / (ENTITIES - WARM_KEYS))
    for keys in ("padded", "scattered"):
        report = in_process(bench, "small", keys, 10_000_000)
        bench.series.add("P6 own books", f"beava {keys}", "B", report["bytes_per_entity"])
        label = f"engine in process {keys}"
        bench.series.add(label, "beava memory", "M/s", report["events_per_sec"] / 1e6)
    for name in P6_BYTES:
        report = in_process(bench, name, "padded", 100_000, "--cardinality", "200000")
        bench.series.add(f"P6 {name}", "beava padded", "B", report["bytes_per_entity"])


def bench_disk(bench: Bench) -> None:
    """D: one page, durably, in both ways."""
    done = subprocess.run(
        c.pinned(
            c.SERVER_CORE,
            [str(bench.found.bench_dir / "beava-load-disk"), str(bench.data_dir), "4096", "1"],
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        report = json.loads(line)
        bench.series.add("D 4096 bytes", f"D {report['way']}", "us p50", report["p50"])


def bench_p11(bench: Bench) -> None:
    """Durable acks: few in flight per connection, so the disk and the wake-ups are what is paid."""
    found = bench.found
    bench_disk(bench)
    plan = [*controls(bench, "always"), c.ours(found.server, "always")]
    if found.published is not None:
        plan.append(c.published(found.published))
    for contender in plan:
        with bench.session(contender) as server:
            bench.preload(server)
            for size in ("1 x 1", "50 x 1", "1000 x 4"):
                bench.load(server, f"P11 {size}", size)
            if server.name in ("N null", "beava always"):
                bench.load(
                    server, f"P11 open loop, {OPEN_RATE // 1000} k/s", "50 x 64",
                    "--rate", str(OPEN_RATE),
                )  # fmt: skip
            bench.check_counts(server)


def bench_pipelines(bench: Bench) -> None:
    """The other pipelines; one that the server does not take is named."""
    found = bench.found
    plan = [c.ours(found.server, "always")]
    if found.published is not None:
        plan.append(c.published(found.published))
    for name in ("medium", "large", "fraud-team"):
        keys = ("--cardinality", "10000") if name == "fraud-team" else ()
        for contender in plan:
            with bench.session(contender) as server:
                try:
                    bench.drive(
                        server, "--register", "--pipeline", name, "--blast-shape", "sweep",
                        "--total-events", "10000", "--parallel", "16", "--pipeline-depth", "100",
                        *keys,
                    )  # fmt: skip
                except Refused as refusal:
                    bench.series.note(f"{name}: not run on {server.name}: {refusal}")
                    if server.name != "B 0.0.6":
                        break  # nothing to compare with
                    continue
                bench.load(server, f"{name} 16 x 1024", "16 x 1024", "--pipeline", name, *keys)
    report = in_process(bench, "fraud-team", "padded", 200_000, "--cardinality", "10000")
    label = "fraud-team in process"
    bench.series.add(label, "beava memory", "k/s", report["events_per_sec"] / 1e3)


def goals(series: Series) -> list[Goal]:
    """The figures of goals.md that this run can judge."""
    out: list[Goal] = []

    def rate(label: str, who: str) -> float | None:
        value = series.median(label, who, "k/s")
        return None if value is None else value * 1e3

    for keys in ("padded", "scattered"):
        for size, mode, least, times_b in (
            ("16 x 1024", "always", 7e6, 18.0),
            ("16 x 100", "os", 5.5e6, 7.0),
            ("16 x 100", "always", 3e6, 7.0),
        ):
            label = f"P1 {size} {keys}"
            mine, theirs = rate(label, f"beava {mode}"), rate(label, "B 0.0.6")
            out.append(Goal(f"{label}, {mode}: M/s", mine and mine / 1e6, ">=", least / 1e6))
            ratio = mine / theirs if mine and theirs else None
            out.append(Goal(f"{label}, {mode}: times B", ratio, ">=", times_b))
    for label, who in (("P6 own books", "beava padded"), ("P6 own books", "beava scattered"),
                       ("P6 resident", "beava always")):  # fmt: skip
        out.append(Goal(f"{label}, {who}: bytes", series.median(label, who, "B"), "<=", 48.0))
    for name, limit in P6_BYTES.items():
        value = series.median(f"P6 {name}", "beava padded", "B")
        out.append(Goal(f"P6 {name}: bytes", value, "<=", limit))
    label = "fraud-team 16 x 1024"
    mine, theirs = rate(label, "beava always"), rate(label, "B 0.0.6")
    out.append(Goal("P2c fraud-team: k/s", mine and mine / 1e3, ">=", 1000.0))
    ratio = mine / theirs if mine and theirs else None
    out.append(Goal("P2c fraud-team: times B", ratio, ">=", 28.0))
    value = series.median("fraud-team in process", "beava memory", "k/s")
    out.append(Goal("P12 fraud-team in process: k/s", value, ">=", 2000.0))
    mine = series.median("P11 1 x 1", "beava always", "us p50")
    null = series.median("P11 1 x 1", "N null", "us p50")
    for way in ("fdatasync", "direct"):
        disk = series.median("D 4096 bytes", f"D {way}", "us p50")
        ratio = mine / (disk + null) if mine and disk and null else None
        out.append(Goal(f"P11 1 x 1: p50 / (D {way} + N)", ratio, "<=", 1.2))
    for size, least in (("50 x 1", 80e3), ("1000 x 4", 400e3)):
        mine = rate(f"P11 {size}", "beava always")
        out.append(Goal(f"P11 {size}: k/s", mine and mine / 1e3, ">=", least / 1e3))
    return out + goals_p7(series) + goals_p8(series)


GROUPS = {
    "P1": bench_p1,
    "P6": bench_p6,
    "P11": bench_p11,
    "pipelines": bench_pipelines,
    "P7": bench_p7,
    "P8": bench_p8,
}
# They fill a state once and have rounds of their own.
ONCE = {"P7", "P8"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--only", default="", help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--server", type=pathlib.Path, default=ROOT / "build/beava")
    parser.add_argument("--bench-dir", type=pathlib.Path, help="default: benchmarks/ beside it")
    parser.add_argument("--data-dir", type=pathlib.Path, default=ROOT / "build/bench-data",
                        help="on the disk that is to be measured")  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, help="all values, as JSON")
    return parser.parse_args()


def head(bench: Bench) -> None:
    def command(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
        return done.stdout.strip()

    model = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    changed = "+changes" if command("git", "status", "--porcelain", "-uno") else ""
    print(f"commit {command('git', 'rev-parse', '--short', 'HEAD')}{changed}, {model},")
    print(f"{platform.system()} {platform.release()}, server on core {c.SERVER_CORE}, driver on")
    print(f"core {c.DRIVER_CORE}, {bench.rounds} rounds of {bench.seconds:g} s; median min max")
    for text in bench.found.missing:
        print(f"missing control {text}")
    print(flush=True)


def main() -> int:
    args = arguments()
    server = args.server.resolve()
    bench_dir = (args.bench_dir or server.parent / "benchmarks").resolve()
    for needed in (server, bench_dir / "beava-load"):
        if not needed.exists():
            print(f"{needed} is missing: run `make build` first", file=sys.stderr)
            return 2
    bench = Bench(
        c.find(ROOT, server, bench_dir),
        1.0 if args.quick else args.seconds,
        1 if args.quick else args.rounds,
        args.data_dir,
        Series(),
        args.quick,
    )
    bench.data_dir.mkdir(parents=True, exist_ok=True)
    head(bench)
    wanted = args.only.split(",") if args.only else list(GROUPS)
    for number in range(bench.rounds):
        for name in wanted:
            if name in ONCE and number > 0:
                continue
            print(f"round {number + 1} of {bench.rounds}: {name}", file=sys.stderr, flush=True)
            try:
                GROUPS[name](bench)
            except CountsDisagree as error:
                bench.series.note(f"{name}, round {number + 1}: {error}")
    print_series(bench.series)
    judged = goals(bench.series)
    print_goals([goal for goal in judged if goal.value is not None or not args.only])
    if args.json:
        args.json.write_text(json.dumps(bench.series.as_dict(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
