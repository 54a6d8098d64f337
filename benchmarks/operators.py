"""`make bench-operators`: what every operator costs, into docs/operators.md.

`bench_operators` measures accumulators and readers by themselves; the bytes of a window are those
of an engine in this process, by its own books. P15 of the goals is judged at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import platform
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "docs")]

import beava as bv  # noqa: E402
import operators as page  # noqa: E402
from beava import _catalog  # noqa: E402
from contenders import SERVER_CORE, pinned  # noqa: E402
from table import Goal, print_goals  # noqa: E402

WINDOW_ENTITIES = 2_000
WINDOW_EVENTS = 64
WINDOW_MS = 3_600_000
# P15 of goals.md, ns per update of a sketch of numbers that has grown.
LIMITS_NS = {"n_unique": 8.0, "quantile": 12.0}

NOTE = """Made by `make bench-operators` on {machine}. *update* is one event for one of 10 000
entities at random, about a hundred each; *grown* is one entity with a million events; both include
2 ns for drawing entity and value. *read* is one feature. *bytes* is the state of an entity after 16
events, *grown* after a million. *1h window* is all that an engine reserves for an entity whose only
feature has that window ({events} events spread over it, key and index included). Operators share:
two that keep the same accumulator over the same field, window and predicate cost it once.
"""


def descriptor(op: str) -> Any:
    """The example's descriptor."""
    return eval(page.build_operators.example(op, op), {"bv": bv})


def measure(program: pathlib.Path, op: str, kind: str = "") -> dict[str, Any]:
    params = descriptor(op).to_dict()
    params.pop("op")
    params.pop("where", None)
    kind = kind or ("str" if op in page.build_operators.OF_NAMES else "f64")
    command = pinned(SERVER_CORE, [str(program), op, json.dumps(params), kind])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def window_bytes(op: str) -> float:
    """Bytes per entity with a window of an hour, all panes in use."""
    now_ms = page.START_MS
    feature = descriptor(op)
    if _catalog.rows()[op]["window_alias"] not in feature.extras:
        feature = dataclasses.replace(feature, window="1h")

    @bv.event
    class Txn:
        user_id: str
        amount: float
        merchant: str
        lat: float
        lon: float

    @bv.table(key="user_id")
    def Features(txn: Txn) -> Any:
        return txn.group_by("user_id").agg(feature=feature)

    with bv.Engine(clock=lambda: now_ms) as engine:
        engine.register(Txn, Features)
        before = engine.stats()["state_bytes"]
        for i in range(WINDOW_EVENTS):
            now_ms += WINDOW_MS // WINDOW_EVENTS
            engine.push_many(
                "Txn",
                [
                    {"user_id": f"u{n}", "amount": (n * 7 + i * 13) % 997 / 3.0,
                     "merchant": f"m{(n + i * i) % 100}", "lat": 52 + i / 100, "lon": 13 + n / 1e4}
                    for n in range(WINDOW_ENTITIES)
                ],
            )  # fmt: skip
        return (engine.stats()["state_bytes"] - before) / WINDOW_ENTITIES


def size(value: float) -> str:
    return f"{value:.0f}"


def table_row(op: str, report: dict[str, Any], windowed: float | None) -> list[str]:
    return [
        f"[{op}](#{op})",
        f"{report['update_ns']:.1f}",
        f"{report['grown_update_ns']:.1f}",
        f"{report['read_ns']:.0f}",
        size(report["bytes"]),
        size(report["grown_bytes"]),
        "-" if windowed is None else size(windowed),
    ]


def machine() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {platform.system()}"
    return platform.platform()


def write(rows: list[list[str]]) -> None:
    """Puts the table between the markers and leaves the rest of the page."""
    head = ["operator", "update ns", "grown ns", "read ns", "bytes", "grown", "1h window"]
    note = NOTE.format(machine=machine(), events=WINDOW_EVENTS)
    block = f"{page.COST_BEGIN}\n{note}\n{page.table(head, rows)}\n{page.COST_END}"
    text = page.TARGET.read_text()
    page.TARGET.write_text(text.replace(page.costs(), block))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build/benchmarks/bench_operators")  # fmt: skip
    parser.add_argument("--only", default="", help="some operators; prints, and writes nothing")
    args = parser.parse_args()
    if not args.program.exists():
        print(f"{args.program} is missing: run `make build` first", file=sys.stderr)
        return 2
    rows = []
    goals = []
    for op, row in _catalog.rows().items():
        if args.only and op not in args.only.split(","):
            continue
        report = measure(args.program, op)
        windowed = None if row["window"] in ("refused", "parameter") else window_bytes(op)
        rows.append(table_row(op, report, windowed))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        if op in LIMITS_NS:
            numbers = measure(args.program, op, "f64")["grown_update_ns"]
            goals.append(Goal(f"P15 {op}: ns per update", numbers, "<=", LIMITS_NS[op]))
    if not args.only:
        write(rows)
    print_goals(goals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
