"""`beava verify` and `beava salvage` on directories that a real server left, damaged in every way.

What verify says is compared with what a start does; what salvage says, with what a server answers
that starts from its result.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import signal
import subprocess
import threading
from typing import Any

import pytest
from support.server import JSON, OP_PUSH, Server, binary, frame

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
                    "first": {"op": "min", "params": {"field": "n"}},
                },
            }
        ],
        "table_primary_key": ["who"],
    },
]
EVENTS = 60


def push(server: Server, numbers: range) -> int:
    """One event at a time, so that each is a group of its own; the LSN of the last."""
    lsn = 0
    with server.connect() as connection:
        for n in numbers:
            op, reply = connection.call(OP_PUSH, {"event": "Tick", "body": {"who": "a", "n": n}})
            assert op != 0xFFFF, reply
            lsn = reply["ack_lsn"]
    return lsn


def row(n_values: set[int]) -> dict[str, Any]:
    return {"seen": len(n_values), "total": sum(n_values), "first": min(n_values)}


def make(data_dir: pathlib.Path, *snapshots_at: int, kill: bool = False) -> pathlib.Path:
    """LSN 1 registers, LSN 1 + n is the event n. Snapshots are taken after these events."""
    with Server(data_dir, "--snapshot-interval-ms", "0") as server:
        server.register(NODES)
        done = 0
        for at in (*snapshots_at, EVENTS):
            assert push(server, range(done + 1, at + 1)) == at + 1
            done = at
            if at in snapshots_at:
                status, reply, _ = server.post("/snapshot", {})
                assert status == 200, reply
                assert reply["snapshot_lsn"] == at + 1
        if kill:
            server.kill()
    return data_dir


def run(*arguments: object) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [str(binary()), *map(str, arguments), "--json"], capture_output=True, text=True, timeout=60
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def verify(*arguments: object, expect: int) -> dict[str, Any]:
    code, report, errors = run("verify", *arguments)
    assert (code, errors) == (expect, ""), (code, report, errors)
    return report


def starts(data_dir: pathlib.Path) -> dict[str, Any] | None:
    """What the server answers that starts from a copy; None: it refuses."""
    copy = data_dir.with_name(data_dir.name + "-started")
    shutil.copytree(data_dir, copy)
    try:
        with Server(copy, timeout=10) as server:
            return server.get("Ticks", "a")
    except AssertionError:
        return None
    finally:
        shutil.rmtree(copy)


def contents(data_dir: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in sorted(data_dir.rglob("*"))
        if path.is_file()
    }


def segments(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return sorted((data_dir / "wal").glob("segment-*.log"))


def snapshots(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return sorted((data_dir / "snapshots").glob("snapshot-*.bvs"))


def flip_event(data_dir: pathlib.Path, n: int) -> None:
    """Damages the payload of the event n, wherever it lies in the log."""
    wanted = json.dumps({"event": "Tick", "body": {"who": "a", "n": n}}).encode()
    assert frame(OP_PUSH, wanted, JSON)
    for path in segments(data_dir):
        data = bytearray(path.read_bytes())
        at = data.find(wanted)
        if at >= 0:
            data[at + len(wanted) // 2] ^= 1
            path.write_bytes(data)
            return
    raise AssertionError(f"event {n} is in no segment")


def salvage(data_dir: pathlib.Path, *more: object, expect: int) -> tuple[pathlib.Path, Any]:
    before = contents(data_dir)
    out = data_dir.with_name(data_dir.name + "-salvaged")
    code, report, errors = run("salvage", data_dir, "--out", out, *more)
    assert (code, errors) == (expect, ""), (code, report, errors)
    assert contents(data_dir) == before, "the source is never changed"
    kept = json.loads((out / "salvage.json").read_text())
    assert kept == {name: report[name] for name in kept}
    verify(out, expect=0)
    return out, report


def lost_events(report: dict[str, Any]) -> set[int]:
    ranges = [range(r["first_lsn"], r["last_lsn"] + 1) for r in report["ranges"]]
    return {lsn - 1 for one in ranges for lsn in one}


def test_a_sound_directory_is_called_sound(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data", 20, 40)
    before = contents(data)
    report = verify(data, expect=0)
    assert contents(data) == before
    assert report["sound"] is True
    assert report["in_use_by"] is None
    assert report["findings"] == []
    assert [s["start_lsn"] for s in report["snapshots"]][-2:] == sorted(
        (s["start_lsn"] for s in report["snapshots"]), reverse=True
    )[-2:]
    assert report["start"]["possible"] and report["start"]["fallback"]
    assert report["log"]["last_lsn"] == EVENTS + 1
    # Each of the two directories by itself, and both by their options.
    assert verify(data / "wal", expect=0)["snapshots"] == []
    assert verify(data / "snapshots", expect=0)["log"] is None
    by_name = verify("--wal-dir", data / "wal", "--snapshot-dir", data / "snapshots", expect=0)
    assert by_name["start"] == report["start"]


def test_it_may_look_beside_a_server_and_says_who(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path / "data") as server:
        server.register(NODES)
        push(server, range(1, 5))
        report = verify(tmp_path / "data", expect=0)
        assert report["in_use_by"] == f"process {server.process.pid}"
        code, _, errors = run("salvage", tmp_path / "data", "--out", tmp_path / "out")
        assert code == 1
        assert f"is in use by process {server.process.pid}" in errors
        push(server, range(5, 9))
    assert not (tmp_path / "out").exists()


def test_a_torn_tail_is_not_damage(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data", kill=True)
    path = segments(data)[-1]
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole[: len(whole) - 20])
    report = verify(data, expect=0)
    assert [f["kind"] for f in report["findings"]] == ["torn_tail"]
    kept = report["log"]["last_lsn"] - 1
    assert kept < EVENTS or report["log"]["torn_tail_bytes"] > 0
    assert starts(data) == row(set(range(1, kept + 1)))
    out, saved = salvage(data, expect=0)
    assert saved["lost"] == 0
    assert saved["torn_tail_bytes"] == report["log"]["torn_tail_bytes"]
    assert starts(out) == row(set(range(1, kept + 1)))


def test_a_flipped_bit_costs_one_event(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data")
    flip_event(data, 17)
    flip_event(data, 30)
    report = verify(data, expect=1)
    assert [(f["first_lsn"], f["last_lsn"]) for f in report["findings"]] == [(18, 18), (31, 31)]
    assert all(f["damage"] for f in report["findings"])
    assert starts(data) is None, "verify and the server agree"
    out, saved = salvage(data, expect=1)
    assert lost_events(saved) == {17, 30}
    assert {r["registration"] for r in saved["ranges"]} == {"none"}
    assert saved["starts"] is True
    assert starts(out) == row(set(range(1, EVENTS + 1)) - {17, 30})


def test_until_stops_before_the_damage(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data")
    flip_event(data, 17)
    out, saved = salvage(data, "--until", 17, expect=0)
    assert saved["lost"] == 0
    assert (saved["until"], saved["left_out"]) == (17, EVENTS - 17)
    done = subprocess.run(
        [str(binary()), "salvage", str(data), "--out", str(tmp_path / "again"), "--until", "17"],
        capture_output=True,
        text=True,
    )
    assert "everything after LSN 17 was left out" in done.stdout
    assert "0 operations are lost up to LSN 17" in done.stdout
    assert starts(out) == row(set(range(1, 17)))


def test_a_lost_registration_is_said_and_nothing_is_called_good(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data")
    path = segments(data)[0]
    content = bytearray(path.read_bytes())
    at = content.find(b'"fresh"')
    assert at > 0
    content[at] ^= 1
    path.write_bytes(content)
    verify(data, expect=1)
    out, saved = salvage(data, expect=1)
    assert saved["ranges"][0]["registration"] in ("lost", "unknown")
    assert saved["starts"] is False
    assert saved["problem"]
    assert starts(out) is None


def test_a_missing_segment_is_named(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data")
    with Server(data, "--snapshot-interval-ms", "0") as server:
        push(server, range(EVENTS + 1, EVENTS + 11))
    with Server(data, "--snapshot-interval-ms", "0") as server:
        push(server, range(EVENTS + 11, EVENTS + 21))
    for path in snapshots(data):
        path.unlink()  # what a clean stop may have left
    _, *middle, _ = segments(data)
    assert middle
    middle[0].unlink()
    report = verify(data, expect=1)
    assert {"missing_segment", "gap"} <= {f["kind"] for f in report["findings"]}
    assert starts(data) is None
    out, saved = salvage(data, expect=1)
    missing = lost_events(saved)
    assert missing and missing <= set(range(EVENTS + 1, EVENTS + 21))
    assert starts(out) == row(set(range(1, EVENTS + 21)) - missing)


def test_a_damaged_snapshot_falls_back(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data", 20, 40, kill=True)
    newest = snapshots(data)[-1]
    content = bytearray(newest.read_bytes())
    content[5000] ^= 1
    newest.write_bytes(content)
    report = verify(data, expect=1)
    (finding,) = report["findings"]
    assert (finding["kind"], finding["file"]) == ("snapshot", newest.name)
    assert report["start"]["possible"] and report["start"]["snapshot_lsn"] == 21
    everything = row(set(range(1, EVENTS + 1)))
    assert starts(data) == everything
    out, saved = salvage(data, expect=0)
    assert (saved["snapshot_lsn"], saved["damaged_snapshots"]) == (21, 1)
    assert starts(out) == everything


def test_damage_above_the_snapshot_keeps_what_it_holds(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data", 40, kill=True)
    flip_event(data, 50)
    verify(data, expect=1)
    out, saved = salvage(data, expect=1)
    assert saved["snapshot_lsn"] == 41
    assert lost_events(saved) == {50}
    assert starts(out) == row(set(range(1, EVENTS + 1)) - {50})
    flip_event(data, 10)  # below the snapshot: nobody needs it
    shutil.rmtree(out)
    _, saved = salvage(data, expect=1)
    assert lost_events(saved) == {50}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["verify"], "which directory?"),
        (["verify", "/nowhere/at/all"], "not a directory"),
        (["verify", "a", "b"], "unexpected argument b"),
        (["verify", "--until", "3", "a"], "unexpected argument --until"),
        (["salvage", "a"], "--out"),
        (["salvage", "a", "--out", "b", "--until", "many"], "--until wants an LSN"),
        (["salvage", "a", "--out"], "a value is required"),
    ],
)
def test_usage_errors_have_their_own_code(arguments: list[str], text: str) -> None:
    done = subprocess.run([str(binary()), *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


@pytest.mark.parametrize("verb", ["verify", "salvage"])
def test_help_goes_to_stdout(verb: str) -> None:
    done = subprocess.run([str(binary()), verb, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: beava {verb}")


def test_an_older_directory_is_no_damage_but_refused(tmp_path: pathlib.Path) -> None:
    """Text for people ends in one word, whatever is wrong."""
    data = make(tmp_path / "data")
    (data / "wal/FORMAT").write_text("beava-wal 0\n")
    done = subprocess.run([str(binary()), "verify", str(data)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "DAMAGED"
    assert "FORMAT is not the one this release reads" in done.stdout


def test_a_backup_beside_traffic_starts_once_it_verifies(tmp_path: pathlib.Path) -> None:
    """The third way of docs/durability.md: snapshots first, then the log, then verify."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    acked, is_under_way, is_over = [0], threading.Event(), threading.Event()

    def traffic(server: Server) -> None:
        with server.connect() as connection:
            while not is_over.is_set():
                n = acked[0] + 1
                connection.call(OP_PUSH, {"event": "Tick", "body": {"who": "a", "n": n}})
                acked[0] = n
                if n == 100:
                    is_under_way.set()

    with Server(data, "--snapshot-interval-ms", "100") as server:
        server.register(NODES)
        pusher = threading.Thread(target=traffic, args=(server,))
        pusher.start()
        assert is_under_way.wait(30)
        attempts, code = 0, 1
        while code != 0 and attempts < 20:
            attempts += 1
            status, reply, _ = server.post("/snapshot", {})
            assert status == 200, reply
            least = acked[0]
            try:
                shutil.copytree(data / "snapshots", copy / "snapshots")
                shutil.copytree(data / "wal", copy / "wal")
                code, report, _ = run("verify", copy)
            except shutil.Error:  # a file was retired meanwhile
                code = 1
            if code != 0:
                shutil.rmtree(copy)
        is_over.set()
        pusher.join()
        assert code == 0, f"no whole copy in {attempts} attempts"
    events = report["log"]["last_lsn"] - 1
    assert events >= least - 1
    assert starts(copy) == row(set(range(1, events + 1)))
    print(f"whole at attempt {attempts}, {events} events in it, {acked[0]} in all")


def test_sigint_leaves_the_source_alone(tmp_path: pathlib.Path) -> None:
    data = make(tmp_path / "data")
    before = contents(data)
    process = subprocess.Popen(
        [str(binary()), "salvage", str(data), "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
    )
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert contents(data) == before


def refusal(data_dir: pathlib.Path) -> str:
    """What the server says that does not start."""
    ports = ("--http-addr", "127.0.0.1:0", "--tcp-port", "0", "--admin-addr", "127.0.0.1:0")
    done = subprocess.run(
        [str(binary()), "--data-dir", str(data_dir), *ports],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1, done
    return done.stdout + done.stderr


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_missing_log_beside_a_snapshot_is_refused(tmp_path: pathlib.Path, is_gone: bool) -> None:
    """As after a boot that did not mount the volume of the log."""
    data = make(tmp_path / "data", 20, kill=True)
    shutil.rmtree(data / "wal")
    if not is_gone:
        (data / "wal").mkdir()
    report = verify(data, expect=1)
    assert report["start"]["possible"] is False
    assert [f["kind"] for f in report["findings"]] == ["missing_segment"]
    said = refusal(data)
    assert f"{data / 'wal'}: the log is missing" in said
    assert "--accept-data-loss-after 21" in said
    assert refusal(data).count("the log is missing"), "a refusal does not heal it"
    with Server(data, "--accept-data-loss-after", "21") as server:
        assert server.get("Ticks", "a") == row(set(range(1, 21)))
    verify(data, expect=0)
    assert starts(data) == row(set(range(1, 21))), "accepted once is enough"


@pytest.mark.parametrize("is_gone", [True, False])
def test_missing_snapshots_are_named(tmp_path: pathlib.Path, is_gone: bool) -> None:
    data = make(tmp_path / "data", 20, 40, kill=True)
    with Server(data, "--snapshot-retain-count", "1") as server:
        push(server, range(EVENTS + 1, EVENTS + 5))
        status, reply, _ = server.post("/snapshot", {})
        assert status == 200, reply
    assert verify(data, expect=0)["log"]["first_lsn"] > 1
    shutil.rmtree(data / "snapshots")
    if not is_gone:
        (data / "snapshots").mkdir()
    report = verify(data, expect=1)
    assert report["start"]["possible"] is False
    assert any(f["damage"] and f["first_lsn"] == 1 for f in report["findings"])
    assert verify(data / "wal", expect=0)["start"] is None, "the snapshots may be elsewhere"
    said = refusal(data)
    assert f"the log begins at LSN {report['log']['first_lsn']}" in said
    assert f"is the snapshot directory {data / 'snapshots'} the right one" in said
    assert "--accept-data-loss-after 0" not in said
    first, last = segments(data)[0].name, segments(data)[-1].name
    with Server(data, "--accept-data-loss-after", "0") as server:
        (record,) = [r for r in server.records() if r.get("kind") == "recovery.loss_accepted"]
    assert (record["first_file"], record["last_file"]) == (first, last)
    assert record["first_lsn"] == 1


def test_two_empty_directories_are_sound(tmp_path: pathlib.Path) -> None:
    for name in ("wal", "snapshots"):
        (tmp_path / "data" / name).mkdir(parents=True)
    report = verify(tmp_path / "data", expect=0)
    assert report["start"]["possible"] is True
    done = subprocess.run(
        [str(binary()), "verify", str(tmp_path / "data")], capture_output=True, text=True
    )
    assert "empty" in done.stdout
    assert done.stdout.splitlines()[-1] == "sound"


def test_a_verb_in_python_without_the_package_is_one_line(tmp_path: pathlib.Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    program = shutil.copy(binary(), tmp_path / "beava")
    done = subprocess.run([program, "snapshot"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("beava: error: snapshot: needs the Python package; pip install beava\n")
