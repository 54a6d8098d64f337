# SPDX-License-Identifier: Apache-2.0
"""Writes tests/corpus/<version>/: small data directories, and what a start from each must show.

    python tests/corpus/make.py

These files stay for ever: a release that cannot read an older release's directories has broken its
promise, and tests/python/test_corpus.py says so. So a case that exists is never written again; a
release that changes a format, or adds one, runs this once and commits what is new.

The clock is fixed. Salts are random, so two runs differ in bytes, but never in what is expected.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import beava as bv

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from corpus import segments
from support.server import binary

HERE = pathlib.Path(__file__).resolve().parent
START_MS = 1_700_000_000_000


@bv.event(cold_after="30d", dedupe_key="id", dedupe_window="1h")
class Payment:
    id: str
    user: str
    shop: str | None
    amount: float
    declined: int


@bv.table(key="user")
def Spending(payment: Payment):
    return payment.group_by("user").agg(
        payments=bv.count(),
        total=bv.sum("amount"),
        largest=bv.max("amount"),
        spread=bv.std("amount"),
        hour=bv.count(window="1h"),
        day=bv.sum("amount", window="24h"),
        shops=bv.n_unique("shop"),
        favourites=bv.top_k("shop", k=3),
        median=bv.quantile("amount", q=0.5),
        recent=bv.last_n("amount", n=4),
        smooth=bv.ewma("amount", half_life="1h"),
        streak=bv.negative_streak(where=bv.col("declined") == 1),
    )


@bv.table(key=["shop", "declined"])
def ByShop(payment: Payment):
    return payment.group_by("shop", "declined").agg(shop_n=bv.count(), shop_total=bv.sum("amount"))


@bv.table(key="user")
def Later(payment: Payment):
    return payment.group_by("user").agg(week=bv.count(window="7d"), mix=bv.entropy("shop"))


USERS = [f"user{n}" for n in range(6)] + ["ü\n'"]
READS = [("Spending", user) for user in USERS]
READS += [("ByShop", [f"shop{n}", d]) for n in range(4) for d in (0, 1)]
READS += [("Later", user) for user in USERS]


class World:
    """An engine on a directory, its clock, and what was done to it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.data = root / "data"
        self.now_ms = START_MS
        self.pushed = 0
        self.open()

    def open(self) -> None:
        self.engine = bv.Engine(self.data, clock=lambda: self.now_ms)

    def push(self, count: int) -> None:
        """One group of events, a minute apart from the one before."""
        self.now_ms += 61_000
        rows = []
        for n in range(self.pushed, self.pushed + count):
            shop = None if n % 11 == 0 else f"shop{n % 4}"
            user = USERS[n * 3 % len(USERS)]
            rows.append(
                {
                    "id": f"id{n - 3 if n % 17 == 5 else n}",  # some come twice
                    "user": user,
                    "shop": shop,
                    "amount": n * 1.25 - 7,
                    "declined": n % 2,
                }
            )
        summary = self.engine.push_many(Payment, rows)
        assert not summary.refused, summary
        self.pushed += count

    def register(self, *descriptors: Any) -> None:
        self.engine.register(Payment, *descriptors)

    def expected(self) -> dict[str, Any]:
        tables = {"Spending", "ByShop"} | ({"Later"} if self.has_later() else set())
        reads = [read for read in READS if read[0] in tables]
        digest = self.engine.digest()
        return {
            "now_ms": self.now_ms,
            "last_lsn": digest.last_lsn,
            "entities": digest.entities,
            "digest": [f"{word:016x}" for word in digest.words],
            "values": [
                [table, key, row]
                for (table, key), row in zip(reads, self.engine.batch_get(reads), strict=True)
            ],
        }

    def has_later(self) -> bool:
        try:
            self.engine.get("Later", "user0")
        except bv.BeavaError:
            return False
        return True

    def copy(self, target: pathlib.Path) -> None:
        """The files as a killed process leaves them, without the space it had prepared."""
        shutil.copytree(self.data, target, ignore=shutil.ignore_patterns("LOCK"))
        for path in target.rglob("segment-*.log"):
            segments.trim(path)


def log_only(world: World, target: pathlib.Path) -> dict[str, Any]:
    """Registrations in between, stopped in order."""
    world.register(Spending, ByShop)
    world.push(40)
    world.push(1)
    world.register(Spending, ByShop, Later)
    world.push(60)
    expected = world.expected()
    world.engine.close()
    for snapshot in (world.data / "snapshots").glob("snapshot-*.bvs"):
        snapshot.unlink()
    world.copy(target)
    return expected


def torn_tail(world: World, target: pathlib.Path) -> dict[str, Any]:
    """Killed while a group was written."""
    world.register(Spending, ByShop)
    world.push(30)
    expected = world.expected()
    at_ms = world.now_ms
    world.push(20)
    world.copy(target)
    path = segments.paths(target)[-1]
    groups = segments.groups(path)
    segments.cut(path, groups[-1] + 900)
    return {**expected, "now_ms": at_ms, "torn": True}


def resumed(world: World, target: pathlib.Path) -> dict[str, Any]:
    """The log failed, came back above a snapshot of what was in memory, and went on."""
    world.register(Spending, ByShop)
    world.push(30)
    world.push(10)
    world.engine.snapshot()
    world.copy(target)
    path = segments.paths(target)[-1]
    whole_groups = segments.groups(path)
    segments.cut(path, whole_groups[2] + 700)  # the write that failed
    world.engine.close()
    world.open()
    world.push(25)
    expected = world.expected()
    (target / "wal" / path.name).rename(target / "kept")
    shutil.rmtree(target / "wal")
    later = target.with_name(target.name + "-later")
    world.copy(later)
    shutil.move(later / "wal", target / "wal")
    shutil.rmtree(later)
    (target / "kept").replace(target / "wal" / path.name)
    return expected


def recycled(world: World, target: pathlib.Path) -> dict[str, Any]:
    """The open segment had another use before: its bytes stand behind the last group."""
    world.register(Spending, ByShop)
    world.push(30)
    old = segments.paths(world.data)[-1].read_bytes()
    world.engine.close()
    world.open()
    world.push(3)
    world.copy(target)
    segments.recycle(segments.paths(target)[-1], old)
    return world.expected()


def snapshot_and_log(world: World, target: pathlib.Path) -> dict[str, Any]:
    """One snapshot and a little behind it."""
    world.register(Spending, ByShop, Later)
    world.push(80)
    world.engine.snapshot()
    world.push(7)
    world.copy(target)
    return world.expected()


def two_snapshots(world: World, target: pathlib.Path) -> dict[str, Any]:
    """The two that are kept, a registration and a reopening between them, and the log."""
    world.register(Spending, ByShop)
    world.push(40)
    world.engine.snapshot()
    world.push(5)
    world.engine.close()
    world.open()
    world.register(Spending, ByShop, Later)
    world.push(20)
    world.engine.snapshot()
    world.push(6)
    world.copy(target)
    assert len(list((target / "snapshots").glob("*.bvs"))) == 2
    return world.expected()


def salvaged(world: World, target: pathlib.Path) -> dict[str, Any]:
    """A damaged record, and what `beava salvage` made of the rest."""
    world.register(Spending, ByShop)
    world.push(10)
    before = world.engine.digest().last_lsn
    world.push(5)
    world.push(12)
    lost = segments.groups(segments.paths(world.data)[-1])[2]
    damaged = target.with_name(target.name + "-damaged")
    world.copy(damaged)
    last_lsn = world.engine.digest().last_lsn
    segments.flip(segments.paths(damaged)[-1], lost + 300)
    done = subprocess.run(
        [str(binary()), "salvage", str(damaged), "--out", str(target), "--json"],
        capture_output=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["starts"] and report["ranges"], report
    assert report["ranges"][0]["first_lsn"] == before + 1, report
    for lock in target.rglob("LOCK"):
        lock.unlink()
    shutil.rmtree(damaged)
    (target / "salvage.json").unlink()
    world.engine.close()
    shutil.rmtree(world.data)
    shutil.copytree(target, world.data)
    world.open()
    expected = world.expected()
    assert expected["last_lsn"] == last_lsn
    return {**expected, "lost": report["lost"]}


CASES: tuple[Callable[[World, pathlib.Path], dict[str, Any]], ...] = (
    log_only,
    torn_tail,
    resumed,
    recycled,
    snapshot_and_log,
    two_snapshots,
    salvaged,
)


def main() -> int:
    """Writes the cases of this version that do not exist yet."""
    version = HERE / bv.__version__
    for make in CASES:
        target = version / make.__name__
        if target.exists():
            print(f"{target.relative_to(HERE)}: stays as it is")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            world = World(pathlib.Path(scratch))
            made = pathlib.Path(scratch) / "made"
            expected = make(world, made)
            world.engine.close()
            text = json.dumps(expected, indent=1, ensure_ascii=False)
            (made / "expected.json").write_text(text + "\n")
            version.mkdir(exist_ok=True)
            shutil.move(made, target)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        print(f"{target.relative_to(HERE)}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
