# SPDX-License-Identifier: Apache-2.0
"""The process as launchers and operators see it: lines, settings, exit codes (server.md 1.5, 2.2,
10.4 A1 to A6 and F15)."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest
from support.server import ROOT, Server, binary

FREE_PORTS = {
    "BEAVA_LISTEN_ADDR": "127.0.0.1:0",
    "BEAVA_TCP_PORT": "0",
    "BEAVA_ADMIN_ADDR": "127.0.0.1:0",
}
VERSION = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]


def run(
    *arguments: str, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BEAVA_")}
    return subprocess.run(
        [str(binary()), *arguments],
        env={**clean, **FREE_PORTS, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=20,
    )


def boot_error(done: subprocess.CompletedProcess[str]) -> str:
    """What a refused boot says: one line on stderr, and the same as a record on stdout (D8, D9)."""
    assert done.returncode == 1, done
    lines = done.stderr.splitlines()
    assert lines[0].startswith("beava: error: ")
    assert len(lines) <= 2, lines
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failed = [record for record in records if record.get("kind") == "server.boot_failed"]
    assert len(failed) == 1, done.stdout
    assert failed[0]["error"] in lines[0]
    return lines[0]


# ---- A1: help, version, usage --------------------------------------------------------------------


def test_help_and_version_are_on_stdout() -> None:
    for flag in ("--help", "-h", "help"):
        done = run(flag)
        assert (done.returncode, done.stderr) == (0, "")
        environment = done.stdout.split("Environment variables:")[1]
        for line in (
            "BEAVA_WAL_DIR=./beava-wal", "BEAVA_WAL_BUFFERS=4", "BEAVA_WAL_BUFFER_SIZE_MB=32",
            "BEAVA_WAL_TICK_MS=20", "BEAVA_SNAPSHOT_DIR=./beava-snapshots",
            "BEAVA_SNAPSHOT_INTERVAL_MS=30000", "BEAVA_SNAPSHOT_RETAIN_COUNT=2",
        ):  # fmt: skip
            assert line in environment
    for flag in ("--version", "-V", "version"):
        done = run(flag)
        assert (done.returncode, done.stdout) == (0, f"beava {VERSION}\n")


@pytest.mark.parametrize("arguments", [("--nope",), ("frobnicate",), ("--config",)])
def test_usage_errors_exit_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


# ---- 1.5 and A2: what refuses the boot -----------------------------------------------------------


def test_a_missing_config_file_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "none.yaml"
    assert f"config file not found: {path}" in boot_error(run("--config", str(path)))


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("{{{", "failed to parse YAML config"),
        ("frob: 1\n", "unknown field `frob`"),
        ("tcp:\n  prot: 1\n", "unknown field `tcp.prot`"),
        ("durability:\n  wal_dri: x\n", "unknown field `durability.wal_dri`"),
        ("tcp:\n  port: many\n", "tcp.port"),
        ("log_level: loud\n", "invalid config field `log_level`"),
        ("- a\n- b\n", "failed to parse YAML config"),
    ],
)
def test_a_bad_config_file_is_explained(tmp_path: pathlib.Path, text: str, core: str) -> None:
    path = tmp_path / "beava.yaml"
    path.write_text(text)
    message = boot_error(run("--memory-only", "--config", str(path)))
    assert core in message
    # Fields are looked at after all sources were read; the file is only named by what is in it.
    assert "invalid config field" in message or str(path) in message


@pytest.mark.parametrize(
    ("name", "text", "core"),
    [
        ("BEAVA_LISTEN_ADDR", "127.0.0.1", "listen_addr"),
        ("BEAVA_TCP_PORT", "99999", "tcp.port"),
        ("BEAVA_TCP_MAX_FRAME_BYTES", "12", "tcp.max_frame_bytes"),
        ("BEAVA_SNAPSHOT_RETAIN_COUNT", "two", "snapshot_retain_count"),
        ("BEAVA_WAL_SYNC_MODE", "sometimes", "wal_sync_mode"),
        ("BEAVA_LOG_LEVEL", "loud", "log_level"),
    ],
)
def test_a_bad_variable_refuses_the_boot(name: str, text: str, core: str) -> None:
    assert core in boot_error(run("--memory-only", env={name: text}))


@pytest.mark.parametrize(
    ("flag", "what"),
    [("--http-addr", "bind"), ("--tcp-addr", "TCP wire"), ("--admin-addr", "bind")],
)
def test_an_address_in_use_refuses_the_boot(flag: str, what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        message = boot_error(run("--memory-only", flag, address))
    assert what in message
    assert address in message


def test_a_log_directory_that_cannot_be_made_refuses_the_boot(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    message = boot_error(run("--data-dir", str(tmp_path / "file")))
    assert str(tmp_path / "file") in message


# ---- A3 to A6: where settings come from ----------------------------------------------------------


def test_a_config_file_in_the_working_directory_is_not_looked_up(tmp_path: pathlib.Path) -> None:
    (tmp_path / "beava.yaml").write_text("this would: [be, refused\n")
    with Server(None, cwd=tmp_path) as server:
        assert server.post("/ping", {})[0] == 200


def test_flags_beat_variables_beat_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("log_level: error\nlisten_addr: 127.0.0.1:1\ntcp:\n  max_frame_bytes: 2048\n")
    # The helper's own --config comes first, its addresses as flags.
    with Server(None, "--config", str(path)) as server:
        assert "Log level     : error" in server.lines
        assert server.addresses["http"][1] != 1
        with server.connect() as connection:
            connection.send(b"\x00\x00\x08\x04")
            reply = connection.receive()
            assert reply is not None
            assert json.loads(reply[2])["error"]["limit"] == 2051
    with Server(None, "--config", str(path), env={"BEAVA_LOG_LEVEL": "warn"}) as server:
        assert "Log level     : warn" in server.lines
    with Server(
        None, "--config", str(path), "--log-level", "debug", env={"BEAVA_LOG_LEVEL": "warn"}
    ) as server:
        assert "Log level     : debug" in server.lines


def test_the_data_directory_beats_its_variables(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    with Server(tmp_path / "data", env={"BEAVA_WAL_DIR": str(other)}) as server:
        assert f"WAL dir       : {tmp_path}/data/wal" in server.lines
    assert not other.exists()


@pytest.mark.parametrize(
    ("given", "allowed"), [(None, False), ("1", True), ("true", False), ("yes", False)]
)
def test_only_1_switches_the_test_mode_on(given: str | None, allowed: bool) -> None:
    env = {} if given is None else {"BEAVA_TEST_MODE": given}
    with Server(None, test_mode=False, env=env) as server:
        status, reply, _ = server.post("/reset", {})
        assert status == (200 if allowed else 403)
        if not allowed:
            assert reply["error"]["code"] == "reset_disabled_in_production"
    with Server(None, test_mode=True, env=env) as server:
        assert server.post("/reset", {})[0] == 200


def test_log_ring_settings_are_clamped_with_a_warning() -> None:
    env = {"BEAVA_WAL_BUFFERS": "99999", "BEAVA_WAL_BUFFER_SIZE_MB": "0", "BEAVA_WAL_TICK_MS": "0"}
    with Server(None, env=env) as server:
        clamped = {
            record["env_var"]: record["clamped"]
            for record in server.records()
            if record.get("kind") == "wal.config.clamp"
        }
    assert clamped == {
        "BEAVA_WAL_BUFFERS": 32, "BEAVA_WAL_BUFFER_SIZE_MB": 4, "BEAVA_WAL_TICK_MS": 1,
    }  # fmt: skip


def test_a_misspelt_variable_is_noticed_once() -> None:
    with Server(None, env={"BEAVA_WAL_DRI": "/x", "BEAVA_DEV_ENDPOINTS": "1"}) as server:
        unknown = [r for r in server.records() if r.get("kind") == "config.unknown_env"]
    assert len(unknown) == 1
    assert "BEAVA_WAL_DRI" in json.dumps(unknown[0])
    assert unknown[0]["level"] == "WARN"


# ---- 2.2 and F15: the lines of a life ------------------------------------------------------------


def test_a_life_has_exactly_the_published_info_records(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path, test_mode=False) as server:
        assert server.post("/ping", {})[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        server.close()  # its last lines have been read only then
    records = [record for record in server.records() if record["level"] == "INFO"]
    assert [record.get("kind") or record["message"] for record in records] == [
        "beava starting", "server.http_bound", "server.tcp_bound", "shutdown initiated",
    ]  # fmt: skip
    for record in server.records():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["timestamp"])
        assert list(record)[:3] == ["timestamp", "level", "message"]
        assert list(record)[-1] == "target"
    assert records[0]["version"] == VERSION
    assert records[3]["signal"] == "SIGTERM"


def test_the_block_says_what_runs(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path) as server:
        at = server.lines.index(f"beava v{VERSION}")
        assert server.lines[at + 1 : at + 8] == [
            "config source : --config /dev/null + CLI [--http-addr, --tcp-addr, --data-dir]",
            "HTTP listen   : 127.0.0.1:0",
            "Admin listen  : 127.0.0.1:0",
            "TCP listen    : 127.0.0.1:0 (enabled=true)",
            f"WAL dir       : {tmp_path}/wal",
            f"Snapshot dir  : {tmp_path}/snapshots",
            "Log level     : info",
        ]
        bound = [i for i, line in enumerate(server.lines) if "_bound" in line]
        assert min(bound) > at + 7, "the real ports follow the requested ones"
        assert "server.admin_bound" in server.lines[bound[0]], "it answers before recovery"
        end = time.monotonic() + 10  # the last line, behind those that the launcher waits for
        while not any(record.get("kind") == "server.ready" for record in server.records()):
            assert time.monotonic() < end
        ready = next(record for record in server.records() if record.get("kind") == "server.ready")
        assert ready["admin_addr"] == "{}:{}".format(*server.addresses["admin"])


@pytest.mark.parametrize("level", ["warn", "error"])
def test_launchers_find_the_ports_at_any_log_level(level: str) -> None:
    with Server(None, test_mode=False, env={"BEAVA_LOG_LEVEL": level}) as server:
        assert server.call(0, {})[0] == 0
    kinds = [record.get("kind") for record in server.records()]
    assert kinds == [
        "server.admin_bound", "server.http_bound", "server.tcp_bound", "server.ready",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_cleanly_with_a_client_connected(number: int) -> None:
    with Server(None) as server, server.connect() as connection:
        assert connection.call(0, {})[0] == 0
        server.process.send_signal(number)
        assert server.process.wait(10) == 0
        assert connection.receive() is None, "the connection is closed, not reset"


def test_memory_only_touches_no_file(tmp_path: pathlib.Path) -> None:
    with Server(None, cwd=tmp_path) as server:
        nodes = [{"kind": "event", "name": "E", "schema": {"fields": {"n": "i64"}}}]
        server.register(nodes)
        assert server.post("/push/E", {"n": 1})[0] == 200
    assert list(tmp_path.iterdir()) == []
