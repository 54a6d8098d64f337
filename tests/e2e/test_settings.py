# SPDX-License-Identifier: Apache-2.0
"""Options that bound a server: each, set to something small, shows (server.md 1.2, 5.7, 8)."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from support.server import Server
from test_admin import EVENT, TABLE, metrics, ready, until

DEDUPED = {
    **EVENT, "name": "D", "dedupe_key": "a", "dedupe_window_ms": 60_000,
}  # fmt: skip


def push(server: Server, key: str, event: str = "T") -> tuple[int, str]:
    """Status and error code."""
    status, reply, _ = server.post(f"/push/{event}", {"a": key})
    return status, "" if status == 200 else reply["error"]["code"]


def settings(server: Server) -> dict[str, Any]:
    """What the server says of itself at debug level."""
    return next(record for record in server.records() if record.get("kind") == "server.limits")


def test_a_full_table_refuses_new_entities_and_goes_on_with_old_ones() -> None:
    with Server(None, "--table-max-entities", "3") as server:
        server.register([EVENT, TABLE])
        assert [push(server, key)[0] for key in "abc"] == [200, 200, 200]
        assert push(server, "d") == (503, "memory_limit")
        assert push(server, "a") == (200, "")
        assert server.get("A", "a") == {"n": 2}
        until(lambda: metrics(server)["beava_refusals_total{reason=table_full}"] == 1, "counted")


def test_a_full_table_may_evict_who_was_idle_longest() -> None:
    env = {"BEAVA_TABLE_MAX_ENTITIES": "50", "BEAVA_TABLE_FULL_POLICY": "evict_idle"}
    with Server(None, env=env) as server:
        server.register([EVENT, TABLE])
        assert {push(server, f"k{i}") for i in range(80)} == {(200, "")}
        until(
            lambda: metrics(server)["beava_evictions_total{reason=table_full,table=A}"] >= 30,
            "thirty evicted",
        )
        assert metrics(server)["beava_entities{table=A}"] <= 50


def test_memory_is_bounded() -> None:
    with Server(None, "--memory-limit-bytes", "1MiB", "--log-level", "debug") as server:
        assert settings(server)["memory_limit_bytes"] == 1 << 20
        server.register([EVENT, TABLE])
        assert push(server, "first") == (200, "")
        bodies = [{"a": f"{i:0300}"} for i in range(8000)]
        with server.connect() as connection:
            reply = connection.call(0x12, {"event": "T", "bodies": bodies})[1]
        assert 0 < reply["accepted"] < 8000, reply
        assert push(server, "one more") == (503, "memory_limit")
        assert push(server, "first") == (200, "")
        until(lambda: metrics(server)["beava_refusals_total{reason=memory_limit}"] > 0, "counted")
        assert metrics(server)["beava_memory_limit_bytes"] == 1 << 20


def test_memory_has_a_bound_by_default() -> None:
    with Server(None, "--log-level", "debug") as server:
        limits = settings(server)
        assert limits["memory_limit_bytes"] == limits["memory_bytes"] // 100 * 80 > 1 << 20
        assert metrics(server)["beava_memory_limit_bytes"] == limits["memory_limit_bytes"]


def test_deduplication_remembers_only_so_many() -> None:
    with Server(None, "--dedupe-max-entries", "100") as server:
        server.register([DEDUPED])
        for i in range(150):
            assert push(server, f"k{i}", "D") == (200, "")
        until(lambda: metrics(server)["beava_dedupe_evictions_total"] >= 50, "fifty forgotten")
        assert metrics(server)["beava_dedupe_entries"] <= 100


@pytest.mark.parametrize("flags", [("--wal-max-bytes", "4MiB"), ("--min-free-bytes", "1000000GiB")])
def test_the_log_is_bounded(tmp_path: pathlib.Path, flags: tuple[str, str]) -> None:
    small = ("--wal-segment-bytes", "1MiB", "--snapshot-interval-ms", "0")
    with Server(tmp_path) as server:  # a registration, too, wants room
        server.register([EVENT, TABLE])
    with Server(tmp_path, *small, "--snapshot-wal-bytes", "0", *flags) as server:

        def is_refused() -> bool:
            with server.connect() as connection:
                body = {"event": "T", "bodies": [{"a": "x" * 100}] * 3000}
                connection.call(0x12, body)
            return push(server, "x") == (503, "wal_unavailable")

        until(is_refused, "a refused push")
        if flags[0] == "--wal-max-bytes":  # snapshots make room, though nobody asks for any
            until(lambda: push(server, "x") == (200, ""), "an accepted push")
            until(lambda: metrics(server)["beava_snapshots_total"] >= 2, "two snapshots counted")
        else:
            wanted = (503, {"reasons": ["no_space"], "status": "read_only"})
            until(lambda: ready(server.addresses["admin"]) == wanted, "read only")
            assert ready(server.http) == wanted
            assert metrics(server)["beava_wal_pressure"] == 2
        assert metrics(server)["beava_wal_errors_total"] == 0, "the log is sound"
        kinds = [record.get("kind") for record in server.records()]
        assert "wal.failed" not in kinds


def test_acks_before_the_sync_are_warned_about_and_shown(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path, "--wal-sync-mode", "os", "--wal-fsync-interval-ms", "7") as server:
        warned = [r for r in server.records() if r.get("kind") == "wal.ack_before_sync"]
        assert [record["level"] for record in warned] == ["WARN"]
        assert warned[0]["wal_fsync_interval_ms"] == 7
        assert warned[0]["wal_fsync_bytes"] == 1 << 20
        until(lambda: metrics(server).get("beava_wal_policy{policy=os}") == 1, "the policy")
    with Server(None) as server:
        until(lambda: metrics(server).get("beava_wal_policy{policy=memory}") == 1, "the policy")


def test_what_works_is_not_called_without_effect(tmp_path: pathlib.Path) -> None:
    env = {
        "BEAVA_SNAPSHOT_INTERVAL_MS": "1000", "BEAVA_SNAPSHOT_RETAIN_COUNT": "1",
        "BEAVA_SNAPSHOT_MIN_EVENTS": "1", "BEAVA_SNAPSHOT_FORK": "0",
    }  # fmt: skip
    with Server(tmp_path, env=env) as server:
        idle = [r["option"] for r in server.records() if r.get("kind") == "config.no_effect"]
    assert idle == ["snapshot_fork"]
