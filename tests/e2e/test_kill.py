"""What a stop, a kill or a damaged file leaves behind. Kills in number: test_crash_points.py."""

from __future__ import annotations

import json
import pathlib
import threading
import time

from support import pusher as pushed
from support.server import Server

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


def test_a_clean_stop_keeps_pipelined_pushes(tmp_path: pathlib.Path) -> None:
    """F16: SIGTERM at once after a burst; every reply that came counts, and none is missing."""
    pusher = pushed.Pusher("burst")
    with Server(tmp_path) as server:
        server.register(pushed.NODES)
        thread = pusher.start(server.tcp, 512, threading.Event())
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
