"""kill -9 at every place that matters, and at random instants (goals.md R2).

The server is the one of build-tests, which dies at the place that BEAVA_CRASH_AT names. Clients
remember every ack; no acknowledged event may be lost, none may count twice, and what is recovered
from a snapshot has the digest of an engine that replays the whole log from its first record.

KILLS sets the number of kills (200 in CI); SEED repeats a run.
"""

from __future__ import annotations

import collections
import http.client
import os
import pathlib
import random
import resource
import shutil
import signal
import threading
import time

import beava as bv
from support.pusher import NODES, Pusher
from support.server import ROOT, DidNotStart, Server

CONNECTIONS = 3
ORACLE_EVERY = 25
KILLS_PER_LIFE = 200

# Place -> how often it is passed at most before the server dies there.
POINTS = {
    "apply.after_update": 100,
    "wal.before_write": 50,
    "wal.after_write": 50,
    "wal.after_sync": 50,
    "wal.segment.before_rename": 2,
    "wal.segment.after_rename": 2,
    "before-snapshot": 2,
    "snapshot.mid_write": 6,
    "before-rename": 2,
    "snapshot.after_dirsync": 2,
    "after-rename-before-truncate": 2,
    "retire.mid": 2,
    "recovery.mid": 3,
    "recovery.before_cut": 1,
}
RESUME_POINTS = ("resume.before_segment", "resume.after_segment")


def crash_binary() -> pathlib.Path:
    path = pathlib.Path(os.environ.get("BEAVA_CRASH_BINARY", ROOT / "build-tests/beava"))
    assert path.exists(), f"{path} is missing: run `python .ci/suites.py c` or `make soak`"
    return path


def start(data_dir: pathlib.Path, point: str | None, *flags: str, **options: bool) -> Server | None:
    """None: it died at the point while it started."""
    try:
        return Server(
            data_dir,
            "--snapshot-interval-ms",
            "40",
            "--wal-segment-bytes",
            "1048576",
            *flags,
            env={} if point is None else {"BEAVA_CRASH_AT": point},
            program=crash_binary(),
            **options,
        )
    except DidNotStart as error:
        assert point is not None and error.code == -signal.SIGKILL, error
        return None


def tear_tail(data_dir: pathlib.Path, chance: random.Random) -> None:
    """Half a group at the end of the log, as a power loss leaves it."""
    last = max((data_dir / "wal").glob("segment-*.log"))
    with last.open("ab") as file:
        file.write(chance.randbytes(700))


def check_oracle(data_dir: pathlib.Path, scratch: pathlib.Path) -> int:
    """Snapshot and tail against the whole log, kept by keep_events_for_ms. The LSN of both."""
    recovered, replayed = scratch / "recovered", scratch / "replayed"
    shutil.copytree(data_dir, recovered)
    (replayed / "wal").mkdir(parents=True)
    shutil.copy(data_dir / "wal/FORMAT", replayed / "wal")
    for folder in (data_dir / "wal/history", data_dir / "wal"):
        for segment in folder.glob("segment-*.log"):
            shutil.copy(segment, replayed / "wal")
    digests = []
    for folder in (recovered, replayed):
        with bv.Engine(folder) as engine:
            digests.append(engine.digest())
    assert digests[0] == digests[1]
    shutil.rmtree(scratch)
    return int(digests[0].last_lsn)


class Life:
    """One data directory from its first server to its last, with every kill between."""

    def __init__(self, folder: pathlib.Path, chance: random.Random) -> None:
        self.data_dir = folder / "data"
        self.scratch = folder / "oracle"
        self.chance = chance
        self.pushers = [Pusher(f"client-{index}") for index in range(CONNECTIONS)]
        self.at_points: collections.Counter[str] = collections.Counter()
        self.from_snapshot = self.oracles = self.operations = 0
        self.is_registered = False

    def look(self, server: Server) -> None:
        """After a recovery: every ack is kept, and nothing counts twice."""
        if not self.is_registered:
            server.register(NODES)
            self.is_registered = True
        for pusher in self.pushers:
            pusher.check(server.get("Ticks", pusher.name))
        self.from_snapshot += any(
            record.get("kind") == "recovery.complete" and record.get("snapshot_lsn", 0) > 0
            for record in server.records()
        )

    def die(self, server: Server, name: str | None) -> None:
        """Under load, at the place or at any instant."""
        threads = [
            pusher.start(server.tcp, self.chance.choice((1, 4, 64, 256)), threading.Event())
            for pusher in self.pushers
        ]
        if name is None:
            time.sleep(self.chance.uniform(0.005, 0.1))  # the instant is what is random
        else:
            deadline = time.monotonic() + 0.25
            while server.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            self.at_points[name] += server.process.poll() is not None
        server.kill()
        assert server.process.returncode == -signal.SIGKILL, server.output()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()

    def run_server(self, name: str | None) -> None:
        point = None if name is None else f"{name}:{self.chance.randint(1, POINTS[name])}"
        if name == "recovery.before_cut":
            tear_tail(self.data_dir, self.chance)
        policy = "os" if name == "wal.after_write" or self.chance.random() < 0.2 else "always"
        server = start(self.data_dir, point, "--wal-sync-mode", policy)
        if server is None:
            assert name is not None
            self.at_points[name] += 1
            return
        try:
            self.look(server)
        except (ConnectionError, http.client.HTTPException):
            assert name is not None, server.output()  # it died at the place just now
            self.at_points[name] += 1
            server.kill()
            return
        self.die(server, name)

    def compare(self) -> None:
        self.operations = check_oracle(self.data_dir, self.scratch)
        self.oracles += 1

    def run(self, kills: int) -> None:
        names = list(POINTS)
        plan = [names[i // 2 % len(names)] if i % 2 else None for i in range(kills - 1)]
        self.chance.shuffle(plan)
        for kill, name in enumerate([None, *plan]):
            self.run_server(name)
            if kill % ORACLE_EVERY == ORACLE_EVERY - 1:
                self.compare()
        with Server(self.data_dir, program=crash_binary()) as last:
            self.look(last)
            for pusher in self.pushers:
                pusher.push(last.tcp, 256, threading.Event(), last=pusher.sent)
                pusher.check(last.get("Ticks", pusher.name), is_complete=True)
        self.compare()


def test_no_acknowledged_event_is_lost_and_none_counts_twice(tmp_path: pathlib.Path) -> None:
    kills = int(os.environ.get("KILLS", "200"))
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed} KILLS={kills}")
    chance = random.Random(seed)
    at_points = collections.Counter(dict.fromkeys(POINTS, 0))
    acked = from_snapshot = oracles = operations = 0
    for begin in range(0, kills, KILLS_PER_LIFE):
        folder = tmp_path / f"life-{begin}"
        life = Life(folder, chance)
        life.run(min(KILLS_PER_LIFE, kills - begin))
        at_points.update(life.at_points)
        acked += sum(pusher.acked for pusher in life.pushers)
        from_snapshot += life.from_snapshot
        oracles += life.oracles
        operations += life.operations
        shutil.rmtree(folder)
    print(
        f"{kills} kills ({sum(at_points.values())} at {len(POINTS)} named places), {acked} acks "
        f"kept, 0 lost, 0 twice; {from_snapshot} boots from a snapshot; {oracles} digests equal "
        f"to a replay of the whole log, of {operations} operations at the end\n{dict(at_points)}"
    )
    assert acked > kills, "the clients were busy"
    assert from_snapshot > kills / 10
    if kills >= 200:
        assert all(at_points.values()), at_points


def test_a_log_that_comes_back_survives_kills_on_the_way(tmp_path: pathlib.Path) -> None:
    """The disk refuses writes for a while (a limit on file sizes); kills before and after the log's
    new segment, and none."""
    pusher = Pusher("client")
    kills = 0
    for turn, point in enumerate((None, *RESUME_POINTS, None)):
        server = start(tmp_path, point, restore_signals=False)
        assert server is not None
        if turn == 0:
            server.register(NODES)
        else:
            pusher.check(server.get("Ticks", "client"))
        stop = threading.Event()
        thread = pusher.start(server.tcp, 1, stop)
        time.sleep(0.1)
        refused = pusher.refused
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        wait_for(lambda before=refused: pusher.refused > before)
        status, reply, _ = server.post("/get", {"table": "Ticks", "key": "client"})
        assert status == 200, reply
        infinity = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, infinity)
        if point is None:
            acked = pusher.acked
            wait_for(lambda before=acked: pusher.acked > before + 20)
            stop.set()
            server.kill()
        else:
            server.process.wait(15)
            assert server.process.returncode == -signal.SIGKILL, server.output()
            server.kill()
            kills += 1
        thread.join(20)
        assert not thread.is_alive()
    with Server(tmp_path) as last:
        pusher.check(last.get("Ticks", "client"))
        pusher.push(last.tcp, 8, threading.Event(), last=pusher.sent)
        pusher.check(last.get("Ticks", "client"), is_complete=True)
    print(f"{pusher.acked} acks kept, {pusher.refused} refusals, {kills} kills while resuming")


def wait_for(condition: object, seconds: float = 15.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)
