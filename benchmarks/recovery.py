"""P7: how long a server that was killed needs until it answers again.

Everything is pushed once, the server is killed, and then started again and again: pinned to one
core, and on two. Files are put out of the page cache before each start; the control beside it reads
the same files, as cold, and does nothing with the bytes.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import time
from dataclasses import dataclass

import contenders as c
import metrics
from bench import Bench, CountsDisagree
from table import Goal, Series

GB = 1e9
VERIFIED_KEYS = 1_000_000
SETTLE_S = 1.0  # the published server writes its log this much later than it acknowledges
NEVER = ("--snapshot-interval-ms", "0", "--snapshot-wal-bytes", "0")
CORES = ((1, "beava 1 core"), (None, "beava 2 cores"))


@dataclass(frozen=True)
class Sizes:
    """What is pushed; the small ones are for --quick."""

    events: int
    control_events: int
    one_count: int  # entities of 32 bytes
    mixed: int  # entities of about 1 KB


QUICK = Sizes(4_000_000, 500_000, 4_000_000, 100_000)
FULL = Sizes(40_000_000, 4_000_000, 31_250_000, 1_000_000)
MIXED_SWEEPS = 4


def _start(
    bench: Bench, name: str, core: int | None, data_dir: pathlib.Path
) -> tuple[c.Running, float]:
    """Started on what is there; and the seconds from its start to server.ready."""
    contender = c.ours(bench.found.server, "always", *NEVER, name=name, core=core)
    c.evict(c.files_below(data_dir))
    begin = time.monotonic()
    server = contender.start(data_dir)
    return server, time.monotonic() - begin


def _first_answer(server: c.Running) -> None:
    """Returns once a read is answered with what was pushed."""
    body = json.dumps({"table": "TxnAgg", "key": "k00000000"})
    deadline = time.monotonic() + c.START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.transport == "resp":
            if "PONG" in c.redis_ask(server, "PING"):
                return
        else:
            status, text = server.http("POST", "/get", body)
            if status == 200 and '"cnt"' in text:
                return
        time.sleep(c.POLL_S)
    raise RuntimeError(f"{server.name} does not answer")


def _replay_ours(bench: Bench, events: int) -> None:
    label = f"P7 log replay, {events / 1e6:g} M events"
    data_dir = c.fresh_dir(bench.data_dir)
    try:
        server = c.ours(bench.found.server, "always", *NEVER).start(data_dir)
        bench.preload(server)
        bench.drive(
            server, "--blast-shape", "uniform", "--total-events", str(events), "--parallel", "16",
            "--pipeline-depth", "1024",
        )  # fmt: skip
        acked = server.acked
        server.kill()
        for _ in range(bench.rounds):
            for core, name in CORES:
                server, seconds = _start(bench, name, core, data_dir)
                try:
                    complete = server.record("recovery.complete") or {}
                    server.acked = acked
                    bench.check_counts(server)
                    acked = server.acked
                finally:
                    server.kill()
                bench.series.add(label, name, "M/s", acked / seconds / 1e6)
                bench.series.add(label, name, "s to ready", seconds)
                own = acked / (complete["ms"] / 1e3) if complete.get("ms") else 0.0
                bench.series.add(label, name, "M/s by its log line", own / 1e6)
            files = c.files_below(data_dir / "data/wal")
            seconds = c.read_seconds(files)
            size = c.evict(files)
            bench.series.add(label, "bare read", "M/s", acked / seconds / 1e6)
            bench.series.add(label, "bare read", "GB/s", size / GB / seconds)
            bench.series.add(label, "bare read", "GB", size / GB)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def _replay_control(bench: Bench, contender: c.Contender, events: int, label: str) -> None:
    data_dir = c.fresh_dir(bench.data_dir)
    try:
        server = contender.start(data_dir)
        bench.preload(server)
        bench.drive(
            server, "--blast-shape", "uniform", "--total-events", str(events), "--parallel", "16",
            "--pipeline-depth", "1024",
        )  # fmt: skip
        acked = server.acked
        time.sleep(SETTLE_S)
        server.kill()
        for _ in range(bench.rounds):
            c.evict(c.files_below(data_dir))
            begin = time.monotonic()
            server = contender.start(data_dir)
            try:
                _first_answer(server)
                seconds = time.monotonic() - begin
            finally:
                server.kill()
            bench.series.add(label, server.name, "M/s", acked / seconds / 1e6)
            bench.series.add(label, server.name, "s to ready", seconds)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def take_snapshot(server: c.Running) -> metrics.Snapshot:
    """Asks for one and waits until it is in place."""
    begin = time.monotonic()
    status, text = server.http("POST", "/snapshot", "")
    if status != 200:
        raise CountsDisagree(f"{server.name}: POST /snapshot: {status} {text}")
    return metrics.Snapshot(begin, time.monotonic(), json.loads(text)["bytes"])


def look(server: c.Running) -> metrics.Samples:
    return metrics.parse(server.http("GET", "/metrics", admin=True)[1])


def _check_loaded(bench: Bench, server: c.Running, counts: dict[str, int], *options: str) -> None:
    """It came from the snapshot, all entities are there, and some are counted event by event."""
    if not (server.record("recovery.complete") or {}).get("snapshot_lsn"):
        raise CountsDisagree(f"{server.name}: the snapshot was not loaded")
    report = bench.drive(
        server, "--verify", "--blast-shape", "uniform", "--total-events", "1", "--cardinality",
        str(counts["keys"]), *options,
    )  # fmt: skip
    counts["events"] += 1
    there = int(metrics.total(look(server), "beava_entities"))
    if report["verified_events"] != counts["events"] or there != counts["entities"]:
        raise CountsDisagree(
            f"{server.name}: {report['verified_events']} events of {counts['events']}, "
            f"{there} entities of {counts['entities']} after loading"
        )


def _load_ours(bench: Bench, pipeline: str, entities: int, sweeps: int) -> None:
    label = f"P7 snapshot, {'one count' if pipeline == 'small' else pipeline}"
    options = ("--pipeline", pipeline)
    data_dir = c.fresh_dir(bench.data_dir)
    keys = min(entities, VERIFIED_KEYS)
    counts = {"keys": keys, "events": keys * sweeps, "entities": entities}
    try:
        server = c.ours(bench.found.server, "os", *NEVER).start(data_dir)
        bench.populate(server, entities, *options, sweeps=sweeps)
        snapshot = take_snapshot(server)
        resident = server.resident_bytes()
        # Tables count their blocks; what entities own out of line is in none of them.
        state = metrics.total(look(server), "beava_state_bytes") if sweeps == 1 else resident
        server.kill()
        for _ in range(bench.rounds):
            for core, name in CORES:
                server, seconds = _start(bench, name, core, data_dir)
                spent = server.cpu_seconds()
                try:
                    _check_loaded(bench, server, counts, *options)
                finally:
                    server.kill()
                bench.series.add(label, name, "s/GB", seconds / (state / GB))
                bench.series.add(label, name, "s to ready", seconds)
                bench.series.add(label, name, "ns/entity", seconds * 1e9 / entities)
                bench.series.add(label, name, "cpu-s/GB", spent / (state / GB))
                bench.series.add(label, name, "GB state", state / GB)
                bench.series.add(label, name, "GB file", snapshot.size / GB)
            files = c.files_below(data_dir / "data/snapshots")
            bench.series.add(label, "bare read", "s/GB", c.read_seconds(files) / (state / GB))
            touching = c.first_touch_seconds(resident)
            bench.series.add(label, "first touch", "s/GB", touching / (state / GB))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def _load_redis(bench: Bench, entities: int) -> None:
    """Its own snapshot of the same number of keys, and its own idea of the memory they take."""
    assert bench.found.redis is not None
    label = "P7 snapshot, one count"
    contender = c.redis(bench.found.redis, "no log")
    data_dir = c.fresh_dir(bench.data_dir)
    try:
        server = contender.start(data_dir)
        bench.populate(server, entities)
        state = int(c.redis_info(server, "used_memory"))
        c.redis_ask(server, "SAVE")
        server.kill()
        for _ in range(bench.rounds):
            c.evict(c.files_below(data_dir))
            begin = time.monotonic()
            server = contender.start(data_dir)
            try:
                _first_answer(server)
                seconds = time.monotonic() - begin
                keys = c.redis_ask(server, "DBSIZE").splitlines()[0]
            finally:
                server.kill()
            if keys != f":{entities}":
                raise CountsDisagree(f"{server.name}: DBSIZE {keys}, pushed {entities}")
            bench.series.add(label, "R its RDB file", "s/GB", seconds / (state / GB))
            bench.series.add(label, "R its RDB file", "s to ready", seconds)
            bench.series.add(label, "R its RDB file", "ns/entity", seconds * 1e9 / entities)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def bench_p7(bench: Bench) -> None:
    sizes = QUICK if bench.is_quick else FULL
    found = bench.found
    _replay_ours(bench, sizes.events)
    label = f"P7 log replay, {sizes.events / 1e6:g} M events"
    if found.redis is not None:
        _replay_control(bench, c.redis(found.redis, "everysec"), sizes.control_events, label)
    if found.published is not None:
        _replay_control(bench, c.published(found.published), sizes.control_events, label)
    _load_ours(bench, "small", sizes.one_count, 1)
    if found.redis is not None:
        _load_redis(bench, sizes.one_count // 8)
    _load_ours(bench, "mixed", sizes.mixed, MIXED_SWEEPS)


def goals_p7(series: Series) -> list[Goal]:
    out = []
    for _, name in CORES:
        for label in [text for text in series.labels() if text.startswith("P7 log replay")]:
            out.append(Goal(f"{label}, {name}: M/s", series.median(label, name, "M/s"), ">=", 5.0))
        for what in ("one count", "mixed"):
            value = series.median(f"P7 snapshot, {what}", name, "s/GB")
            out.append(Goal(f"P7 snapshot, {what}, {name}: s/GB", value, "<=", 1.2))
    return out
