"""A client that remembers every ack, for tests that kill its server.

It pushes 1, 2, 3, ... into its own key, pipelined, each with an id that the source deduplicates by.
What was not acknowledged is sent again to the next server under the same id, so in the end every
number counts exactly once; and at any restart what the server holds is a prefix of what was sent.
"""

from __future__ import annotations

import json
import threading
import time

from support.server import OP_ERROR, OP_PUSH, Connection, frame

NODES = [
    {
        "kind": "event",
        "name": "Tick",
        "schema": {"fields": {"id": "str", "who": "str", "n": "i64"}},
        "dedupe_key": "id",
        "dedupe_window_ms": 3_600_000,
        "keep_events_for_ms": 3_600_000,
    },
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
                    "ids": {"op": "n_unique", "params": {"field": "id"}},
                    "latest": {"op": "last_n", "params": {"field": "n", "n": 5}},
                },
            }
        ],
        "table_primary_key": ["who"],
    },
]


class Pusher:
    """One client's life over all servers: what it sent and what was acknowledged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = 0
        self.acked = 0
        self.refused = 0
        self.last_lsn = 0
        self.wrong: Exception | None = None

    def start(
        self, address: tuple[str, int], depth: int, stop: threading.Event
    ) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(address, depth, stop))
        thread.start()
        return thread

    def _run(self, address: tuple[str, int], depth: int, stop: threading.Event) -> None:
        try:
            self.push(address, depth, stop)
        except (ConnectionError, TimeoutError):
            pass
        except AssertionError as error:
            if "ends inside a frame" not in str(error):
                self.wrong = error

    def push(
        self,
        address: tuple[str, int],
        depth: int,
        stop: threading.Event,
        last: int | None = None,
    ) -> None:
        """Until the server dies, `stop` is set, or number `last` is acknowledged."""
        with Connection(address) as connection:
            number = self.acked  # sent on this connection
            while last is None or self.acked < last:
                most = self.acked + depth if last is None else min(self.acked + depth, last)
                while number < most and not stop.is_set():
                    number += 1
                    self.sent = max(self.sent, number)  # counted before it leaves: it may arrive
                    body = {"id": f"{self.name}-{number}", "who": self.name, "n": number}
                    request = json.dumps({"event": "Tick", "body": body}).encode()
                    connection.send(frame(OP_PUSH, request))
                if number == self.acked:
                    return
                reply = connection.receive()
                if reply is None:
                    return
                if reply[0] == OP_ERROR:
                    assert depth == 1, reply
                    assert json.loads(reply[2])["error"]["code"] == "wal_unavailable", reply
                    self.refused += 1
                    number -= 1  # it was not applied: once more
                    time.sleep(0.001)
                    continue
                assert reply[0] == OP_PUSH, reply
                ack = json.loads(reply[2])
                if not ack["idempotent_replay"]:
                    assert ack["ack_lsn"] > self.last_lsn, "LSNs grow, over restarts too"
                self.last_lsn = max(self.last_lsn, ack["ack_lsn"])
                self.acked += 1

    def check(self, row: dict[str, float], is_complete: bool = False) -> None:
        if self.wrong is not None:
            raise self.wrong
        seen = row.get("seen", 0)
        assert self.acked <= seen <= self.sent, f"{self.name}: {self.acked=} {seen=} {self.sent=}"
        assert not is_complete or seen == self.sent
        if seen:
            assert row["total"] == float(seen * (seen + 1) // 2), "exactly that prefix, once each"
            assert row["largest"] == seen
            assert row["recent"] == seen
            assert row["latest"] == list(range(max(1, int(seen) - 4), int(seen) + 1)), row
