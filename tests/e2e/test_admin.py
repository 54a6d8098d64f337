# SPDX-License-Identifier: Apache-2.0
"""The admin listener and what it says in every state of the process (server.md 3, 10.4 A7)."""

from __future__ import annotations

import json
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.server import OP_PUSH_MANY, Server, ask, binary

EVENT = {"kind": "event", "name": "T", "schema": {"fields": {"a": "str"}, "optional_fields": []}}
TABLE = {
    "kind": "derivation",
    "name": "A",
    "output_kind": "table",
    "upstreams": ["T"],
    "table_primary_key": ["a"],
    "ops": [{"op": "group_by", "keys": ["a"], "agg": {"n": {"op": "count"}}}],
}

PUBLISHED = {
    "beava_registry_version": "gauge",
    "beava_node_count": "gauge",
    "beava_runtime_kind": "gauge",
    "beava_entropy_categories_capped_total": "counter",
    "beava_cold_entity_evictions_total": "counter",
    "beava_lifetime_op_cap_hit_total": "counter",
    "beava_entity_count_resident": "gauge",
    "beava_bucket_reclaim_total": "counter",
    "beava_bytes_per_entity_p99": "gauge",
    "beava_snapshot_last_duration_seconds": "gauge",
    "beava_snapshot_last_bytes": "gauge",
    "beava_snapshot_last_fsync_seconds": "gauge",
}
OURS = {
    "beava_build_info", "beava_requests_total", "beava_apply_duration_seconds",
    "beava_apply_pause_seconds", "beava_events_total", "beava_entities", "beava_state_bytes",
    "beava_evictions_total", "beava_wal_bytes_total", "beava_wal_sync_duration_seconds",
    "beava_wal_durable_lag_seconds", "beava_wal_policy", "beava_wal_appended_lsn",
    "beava_wal_durable_lsn", "beava_wal_errors_total", "beava_snapshot_failures_total",
    "beava_snapshot_duration_seconds", "beava_snapshot_last_success_timestamp_seconds",
    "beava_dedupe_entries", "beava_recovery_records_total", "beava_recovery_skipped_total",
    "beava_recovery_duration_seconds", "beava_connections", "beava_memory_limit_bytes",
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
    "process_max_fds", "process_start_time_seconds",
}  # fmt: skip


def metrics(server: Server) -> dict[str, float]:
    """Samples by name and labels, as Prometheus would keep them."""
    status, text, _ = server.admin("/metrics")
    assert status == 200
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            series = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert series not in samples, f"{series} stands there twice"
            samples[series] = sample.value
    return samples


def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"after {seconds} s still not: {what}"
        time.sleep(0.005)


def ready(address: tuple[str, int]) -> tuple[int, dict[str, object]]:
    status, text, _ = ask(address, "GET", "/ready")
    return status, json.loads(text)


# ---- what is there -------------------------------------------------------------------------------


def test_five_paths_and_their_headers(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        for path, wanted in {
            "/health": {"status": "ok"},
            "/ready": {"status": "ready"},
            "/registry": {
                "node_count": 0, "version": 0, "events": [], "tables": [], "derivations": [],
            },
        }.items():  # fmt: skip
            status, text, headers = server.admin(path)
            assert (status, json.loads(text)) == (200, wanted)
            assert headers["content-type"] == "application/json"
            assert headers["x-runtime"] == "tokio"
            assert headers["content-length"] == str(len(text))
            assert "GMT" in headers["date"]
            status, text, _ = server.admin(path, "HEAD")
            assert (status, text) == (200, "")
        assert json.loads(server.admin("/version")[1])["version"]
        headers = server.admin("/metrics")[2]
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        for path in ("/", "/nope", "/get/x", "/snapshot"):
            assert server.admin(path)[:2] == (404, "")
        status, text, headers = server.admin("/metrics", "POST")
        assert (status, text, headers["allow"]) == (405, "", "GET,HEAD")
        assert server.request("GET", "/metrics")[0] == 404, "the data plane has none"


def test_metrics_parse_and_have_help_and_type(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        server.register([EVENT, TABLE])
        server.post("/push/T", {"a": "x"})
        until(lambda: metrics(server).get("beava_entities{table=A}") == 1, "one entity")
        text = server.admin("/metrics")[1]
    types = dict(
        line.removeprefix("# TYPE ").split() for line in text.splitlines() if "# TYPE" in line
    )
    assert {name: types.get(name) for name in PUBLISHED} == PUBLISHED
    assert types.keys() >= OURS
    helps = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    assert helps == types.keys()
    for name, kind in types.items():
        assert name.endswith("_total") == (kind == "counter"), name
    assert 'beava_runtime_kind{runtime="mio"} 1\n' in text
    if shutil.which("promtool"):
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True
        )
        complaints = [line for line in done.stderr.splitlines() if "beava_node_count" not in line]
        assert complaints == []


def test_numbers_follow_what_happens(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server, server.connect() as connection:
        server.register([EVENT, TABLE])
        for key in ("x", "y", "x"):
            assert server.post("/push/T", {"a": key})[0] == 200
        assert server.post("/push/T", {"a": 5})[0] == 400
        assert connection.call(OP_PUSH_MANY, {"event": "T", "bodies": [{"a": "z"}] * 4})[0]
        assert server.request("GET", "/get/nope/x")[0] == 404

        def all_there() -> bool:
            seen = metrics(server)
            return (
                seen["beava_events_total{outcome=accepted}"] == 7
                and seen["beava_wal_durable_lsn"] == seen["beava_wal_appended_lsn"] == 8
            )

        until(all_there, "seven accepted events, all durable")
        seen = metrics(server)
        assert seen["beava_events_total{outcome=refused}"] == 1
        assert seen["beava_entity_count_resident"] == seen["beava_entities{table=A}"] == 3
        assert seen["beava_bytes_per_entity_p99"] > 0
        assert seen["beava_requests_total{code=ok,op=push,transport=http}"] == 3
        assert seen["beava_requests_total{code=invalid_event,op=push,transport=http}"] == 1
        assert seen["beava_requests_total{code=ok,op=push_many,transport=tcp}"] == 1
        assert seen["beava_connections{transport=tcp}"] == 1
        assert seen["beava_wal_policy{policy=always}"] == 1
        assert seen["beava_wal_bytes_total"] > 0
        assert seen["beava_wal_sync_duration_seconds_count"] > 0
        assert seen["beava_apply_duration_seconds_count"] > 0
        assert seen["beava_memory_limit_bytes"] > 1 << 20
        assert abs(seen["process_start_time_seconds"] - time.time()) < 60
        registry = json.loads(server.admin("/registry")[1])
        assert (registry["version"], registry["node_count"]) == (1, 2)
        assert registry["events"] == [{"fields": ["a"], "name": "T"}]
        assert registry["tables"] == [{"features": ["n"], "keys": ["a"], "name": "A"}]
        server.post("/reset", {})
        until(lambda: metrics(server)["beava_node_count"] == 0, "an empty registry")
        assert json.loads(server.admin("/registry")[1])["tables"] == []
        assert metrics(server)["beava_entity_count_resident"] == 0


def test_what_caps_and_idle_times_leave_out_is_counted() -> None:
    """A8: categories, cold entities."""
    table = json.loads(json.dumps(TABLE))
    table["ops"][0]["agg"]["mix"] = {
        "op": "entropy", "params": {"field": "b", "max_categories": 2},
    }  # fmt: skip
    schema = {"fields": {"a": "str", "b": "str"}, "optional_fields": []}
    event = {**EVENT, "schema": schema, "cold_after_ms": 1000}
    with Server(None) as server:
        server.register([event, table])
        for category in ("p", "q", "r", "p", "s"):
            assert server.post("/push/T", {"a": "x", "b": category})[0] == 200
        until(
            lambda: metrics(server)["beava_entropy_categories_capped_total"] == 2,
            "two categories left out",
        )
        assert metrics(server)["beava_lifetime_op_cap_hit_total"] == 2
        assert metrics(server)["beava_cold_entity_evictions_total"] == 0
        time.sleep(1.1)
        assert server.post("/push/T", {"a": "y", "b": "p"})[0] == 200  # time goes on with events
        until(
            lambda: metrics(server)["beava_cold_entity_evictions_total"] == 1,
            "a cold entity swept away",
        )
        assert metrics(server)["beava_entity_count_resident"] == 1


def test_after_a_restart_the_numbers_are_those_of_the_state(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        server.register([EVENT, TABLE])
        server.post("/push/T", {"a": "x"})
        server.kill()
    with Server(tmp_path) as server:
        until(lambda: metrics(server)["beava_registry_version"] == 1, "the recovered registry")
        seen = metrics(server)
        assert seen["beava_node_count"] == 2
        assert seen["beava_entity_count_resident"] == 1
        assert seen["beava_recovery_records_total"] > 0
        assert json.loads(server.admin("/registry")[1])["version"] == 1


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"])
def test_two_servers_have_admin_ports_of_their_own(address: str) -> None:
    env = {"BEAVA_ADMIN_ADDR": address}
    with Server(None, env=env) as one, Server(None, env=env) as other:
        ports = []
        for server in (one, other):
            bound = next(r for r in server.records() if r.get("kind") == "server.admin_bound")
            host, port = bound["addr"].rsplit(":", 1)
            host = host.strip("[]").replace("0.0.0.0", "127.0.0.1")
            assert ask((host, int(port)), "GET", "/health")[0] == 200
            ports.append(port)
        assert ports[0] != ports[1] and "0" not in ports


def test_it_answers_while_the_data_plane_is_saturated() -> None:
    bodies = b",".join([b'{"a":"k"}'] * 300_000)
    with Server(None) as server:
        server.register([EVENT, TABLE])

        def saturate() -> None:
            with server.connect() as connection:
                for _ in range(2):
                    connection.call(OP_PUSH_MANY, b'{"event":"T","bodies":[' + bodies + b"]}")

        load = threading.Thread(target=saturate)
        load.start()
        slowest = 0.0
        while load.is_alive():
            started = time.monotonic()
            assert server.admin("/ready")[0] == 200
            assert server.admin("/metrics")[0] == 200
            slowest = max(slowest, time.monotonic() - started)
        load.join()
    assert slowest < 1


def test_an_idle_server_sleeps(tmp_path: pathlib.Path) -> None:
    """A13: nothing but what somebody asks for wakes the apply thread."""
    with Server(tmp_path) as server, server.connect() as connection:
        server.register([EVENT, TABLE])
        assert connection.call(OP_PUSH_MANY, {"event": "T", "bodies": [{"a": "x"}]})[0]
        tasks = pathlib.Path(f"/proc/{server.process.pid}/task")
        apply = next(t for t in tasks.iterdir() if (t / "comm").read_text() == "beava-apply\n")

        def wakes() -> int:
            text = (apply / "status").read_text()
            return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])

        time.sleep(0.1)  # what the push left to do
        before = wakes()
        time.sleep(0.5)
        assert wakes() - before <= 3


# ---- 503 -----------------------------------------------------------------------------------------


def start_recovering(data_dir: pathlib.Path) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
    """A server as soon as its admin listener is bound."""
    command = [str(binary()), "--config", "/dev/null", "--data-dir", str(data_dir)]
    command += ["--http-addr", "127.0.0.1:0", "--tcp-addr", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--admin-addr", "127.0.0.1:0"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b"server.admin_bound" in line:
            host, port = json.loads(line)["addr"].rsplit(":", 1)
            return process, (host, int(port))
    raise AssertionError("no admin listener")


def test_while_it_recovers_it_says_so_and_stops_when_told(tmp_path: pathlib.Path) -> None:
    bodies = b",".join([b'{"a":"k"}'] * 300_000)
    with Server(tmp_path, "--snapshot-interval-ms", "0", "--snapshot-wal-bytes", "0") as server:
        server.register([EVENT, TABLE])
        with server.connect() as connection:
            for _ in range(4):
                connection.call(OP_PUSH_MANY, b'{"event":"T","bodies":[' + bodies + b"]}")
        server.kill()
    process, admin = start_recovering(tmp_path)
    status, body = ready(admin)
    assert (status, body["status"]) == (503, "recovering")
    assert "recovery: lsn " in str(body["reasons"])
    assert ask(admin, "GET", "/health")[0] == 200
    assert json.loads(ask(admin, "GET", "/registry")[1])["version"] == 0
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.wait(10) == 0
    print(f"a stop during recovery took {time.monotonic() - started:.3f} s")
    assert time.monotonic() - started < 1
    assert process.stdout is not None
    assert b"server.http_bound" not in process.stdout.read()
    process.stdout.close()
    process, admin = start_recovering(tmp_path)
    assert ready(admin)[0] == 503
    until(lambda: ready(admin) == (200, {"status": "ready"}), "ready", 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stdout is not None
    process.stdout.close()
    with Server(tmp_path) as server:
        assert server.get("A", "k") == {"n": 1_200_000}


def test_a_log_that_cannot_be_written_makes_it_read_only(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        server.register([EVENT, TABLE])
        assert server.post("/push/T", {"a": "x"})[0] == 200
        limit = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, limit[1]))

        def is_refused() -> bool:
            status, reply, _ = server.post("/push/T", {"a": "y" * 4000})
            return status == 503 and reply["error"]["code"] == "wal_unavailable"

        until(is_refused, "a refused push")
        wanted = (503, {"reasons": ["wal_unavailable"], "status": "read_only"})
        until(lambda: ready(server.addresses["admin"]) == wanted, "read only")
        assert ready(server.http) == wanted, "both planes say the same"
        assert ask(server.addresses["admin"], "GET", "/health")[0] == 200
        assert server.get("A", "x") == {"n": 1}, "reads go on"
        until(lambda: metrics(server)["beava_wal_errors_total"] >= 1, "an error counted")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
        until(lambda: ready(server.addresses["admin"])[0] == 200, "it came back", 20)
        assert ready(server.http)[0] == 200
        assert server.post("/push/T", {"a": "z"})[0] == 200
        assert metrics(server)["beava_wal_resumes_total"] == 1


def test_a_stop_says_so_until_its_end() -> None:
    with Server(None) as server:
        with socket.create_connection(server.http) as silent:
            silent.setblocking(False)
            ping = b"POST /ping HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 1000
            end = time.monotonic() + 0.5
            while time.monotonic() < end:  # replies pile up, nobody takes them
                try:
                    silent.send(ping)
                except BlockingIOError:
                    time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            until(
                lambda: (
                    ready(server.addresses["admin"])
                    == (503, {"reasons": ["stopping"], "status": "stopping"})
                ),
                "stopping",
                0.9,
            )
            started = time.monotonic()
            assert server.process.wait(10) == 0
            assert time.monotonic() - started < 3, "who does not read gets a second"
