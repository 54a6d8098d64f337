"""kill -9 under load, with clients that remember every ack: none may be lost, none applied twice.

Each connection pushes 1, 2, 3, ... into its own key, pipelined, so what the server holds must be a
prefix: at least what was acknowledged, at most what was sent, and the sum of exactly that prefix.
KILLS sets the number of rounds (50 in CI); SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import threading
import time

from support.server import OP_PUSH, OP_REGISTER, Connection, Server, frame

CONNECTIONS = 3
NODES = [
    {"kind": "event", "name": "Tick", "schema": {"fields": {"who": "str", "n": "i64"}}},
    {
        "kind": "derivation",
        "name": "Ticks",
        "output_kind": "table",
        "upstreams": ["Tick"],
        "ops": [
            {
                "op": "group_by",
                "keys": ["who"],
                "agg": {
                    "seen": {"op": "count"},
                    "total": {"op": "sum", "params": {"field": "n"}},
                    "largest": {"op": "max", "params": {"field": "n"}},
                    "recent": {"op": "count", "params": {"window": "1h"}},
                },
            }
        ],
        "table_primary_key": ["who"],
    },
]


class Pusher:
    """One connection's life over all rounds: what it sent and what was acknowledged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = 0
        self.acked = 0
        self.last_lsn = 0

    def push_until_killed(self, address: tuple[str, int], depth: int) -> None:
        try:
            with Connection(address) as connection:
                in_flight = 0
                while True:
                    while in_flight < depth:
                        body = {"event": "Tick", "body": {"who": self.name, "n": self.sent + 1}}
                        self.sent += 1  # counted before it leaves: it may arrive
                        connection.send(frame(OP_PUSH, json.dumps(body).encode()))
                        in_flight += 1
                    reply = connection.receive()
                    if reply is None:
                        return
                    assert reply[0] == OP_PUSH, reply
                    lsn = json.loads(reply[2])["ack_lsn"]
                    assert lsn > self.last_lsn, "LSNs grow, over restarts too"
                    self.last_lsn = lsn
                    self.acked += 1
                    in_flight -= 1
        except (ConnectionError, TimeoutError, AssertionError) as error:
            if isinstance(error, AssertionError) and "ends inside a frame" not in str(error):
                raise

    def check(self, row: dict[str, float]) -> None:
        seen = row.get("seen", 0)
        assert self.acked <= seen <= self.sent, f"{self.name}: {self.acked=} {seen=} {self.sent=}"
        if seen:
            assert row["total"] == float(seen * (seen + 1) // 2), "exactly that prefix, once each"
            assert row["largest"] == seen
            assert row["recent"] == seen
        # What was in flight and did not arrive is sent again by nobody: go on from what is there.
        self.sent = self.acked = int(seen)


def test_no_acknowledged_event_is_lost(tmp_path: pathlib.Path) -> None:
    kills = int(os.environ.get("KILLS", "50"))
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed} KILLS={kills}")
    chance = random.Random(seed)
    pushers = [Pusher(f"client-{index}") for index in range(CONNECTIONS)]
    lost_in_flight = 0
    for kill in range(kills):
        with_server = Server(tmp_path)
        if kill == 0:
            assert with_server.call(OP_REGISTER, {"nodes": NODES})[0] == OP_REGISTER
        for pusher in pushers:
            sent = pusher.sent
            pusher.check(with_server.get("Ticks", pusher.name))
            lost_in_flight += sent - pusher.sent
        threads = [
            threading.Thread(
                target=pusher.push_until_killed,
                args=(with_server.tcp, chance.choice((1, 4, 64, 256))),
            )
            for pusher in pushers
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.005, 0.15))  # the instant of the kill is what is random
        with_server.kill()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    with Server(tmp_path) as last:
        acked = sum(pusher.acked for pusher in pushers)
        for pusher in pushers:
            pusher.check(last.get("Ticks", pusher.name))
    print(f"{kills} kills, {acked} acks kept, 0 lost, {lost_in_flight} unacknowledged dropped")
    assert acked > kills, "the clients were busy"


def test_a_clean_stop_keeps_pipelined_pushes(tmp_path: pathlib.Path) -> None:
    """F16: SIGTERM at once after a burst; every reply that came counts, and none is missing."""
    pusher = Pusher("burst")
    with Server(tmp_path) as server:
        server.call(OP_REGISTER, {"nodes": NODES})
        thread = threading.Thread(target=pusher.push_until_killed, args=(server.tcp, 512))
        thread.start()
        while pusher.acked < 2000:
            assert thread.is_alive()
            time.sleep(0.001)
    thread.join(20)
    assert not thread.is_alive()
    with Server(tmp_path) as again:
        pusher.check(again.get("Ticks", "burst"))


def test_reset_is_not_undone_by_a_restart(tmp_path: pathlib.Path) -> None:
    """S19 and F18."""
    with Server(tmp_path) as server:
        server.register(NODES)
        server.post("/push/Tick", {"who": "a", "n": 1})
        version = server.post("/reset", {})[1]["registry_version"]
        server.kill()
    with Server(tmp_path) as server:
        assert server.post("/get", {"table": "Ticks", "key": "a"})[0] == 404
        reply = server.register(NODES)
        assert reply["registry_version"] == version + 1
        server.post("/push/Tick", {"who": "a", "n": 5})
        server.kill()
    with Server(tmp_path) as server:
        assert server.get("Ticks", "a") == {"largest": 5, "recent": 1, "seen": 1, "total": 5.0}


def test_an_additive_change_keeps_state_over_restarts(tmp_path: pathlib.Path) -> None:
    more = json.loads(json.dumps(NODES))
    more[1]["ops"][0]["agg"]["mean_n"] = {"op": "mean", "params": {"field": "n"}}
    more[1]["ops"][0]["agg"]["spread"] = {"op": "std", "params": {"field": "n", "window": "1h"}}
    with Server(tmp_path) as server:
        server.register(NODES)
        for n in (1, 2):
            server.post("/push/Tick", {"who": "a", "n": n})
        server.post("/push/Tick", {"who": "untouched", "n": 9})
        reply = server.register(more)
        assert reply["added"] == ["Ticks"]
        row = server.get("Ticks", "a")
        assert (row["seen"], row["total"], row["spread"]) == (2, 3.0, None)
        for n in (10, 20):
            server.post("/push/Tick", {"who": "a", "n": n})
        before = {key: server.get("Ticks", key) for key in ("a", "untouched")}
        assert before["a"]["seen"] == 4 and before["untouched"]["seen"] == 1
        assert before["a"]["spread"] is not None
        server.kill()
    with Server(tmp_path) as server:
        assert {key: server.get("Ticks", key) for key in ("a", "untouched")} == before


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        server.register(NODES)
        try:
            Server(tmp_path)
        except AssertionError as error:
            assert str(server.process.pid) in str(error), "the holder is named"
        else:
            raise AssertionError("two servers on one directory")
        assert server.post("/push/Tick", {"who": "a", "n": 1})[0] == 200


def test_damage_before_the_tail_refuses_the_boot_and_names_the_place(
    tmp_path: pathlib.Path,
) -> None:
    with Server(tmp_path) as server:
        server.register(NODES)
        for n in range(50):
            server.post("/push/Tick", {"who": "a", "n": n})
    (segment,) = sorted((tmp_path / "wal").glob("segment-*.log"))
    data = bytearray(segment.read_bytes())
    at = data.find(b'"n": 7')
    assert at > 0
    data[at + 5] ^= 1
    segment.write_bytes(data)
    try:
        Server(tmp_path)
    except AssertionError as error:
        text = str(error)
        assert segment.name in text and "LSN" in text, text
        assert "--accept-data-loss-after" in text
    else:
        raise AssertionError("a damaged byte was served")
    assert segment.read_bytes() == bytes(data), "nothing was changed"
