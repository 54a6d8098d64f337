# SPDX-License-Identifier: Apache-2.0
"""Snapshots as an operator sees them: asked for, by time, by bytes, at a stop; restarts from them
(server.md 6.1, 9.1, 9.2)."""

from __future__ import annotations

import json
import pathlib
import signal
import socket
import threading
import time

from support.server import OP_PUSH_MANY, Server
from test_admin import EVENT, TABLE, metrics, until


def files(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return sorted((data_dir / "snapshots").glob("snapshot-*.bvs"))


def manual(data_dir: pathlib.Path, *flags: str) -> Server:
    """A server that takes no snapshot by itself."""
    return Server(data_dir, "--snapshot-interval-ms", "0", "--snapshot-wal-bytes", "0", *flags)


def push(server: Server, *keys: str) -> None:
    with server.connect() as connection:
        body = {"event": "T", "bodies": [{"a": key} for key in keys]}
        assert connection.call(OP_PUSH_MANY, body)[1]["accepted"] == len(keys)


def test_a_snapshot_on_request_is_where_the_next_start_begins(tmp_path: pathlib.Path) -> None:
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])
        push(server, "x", "y", "x")
        status, reply, headers = server.post("/snapshot", b"")
        assert status == 200, reply
        assert headers["content-type"] == "application/json"
        assert sorted(reply) == ["bytes", "duration_ms", "snapshot_lsn"]
        assert reply["snapshot_lsn"] == 4
        (file,) = files(tmp_path)
        assert file.name == f"snapshot-{reply['snapshot_lsn']:016x}.bvs"
        assert file.stat().st_size == reply["bytes"]
        push(server, "x", "z")
        until(lambda: metrics(server)["beava_snapshots_total"] == 1, "counted")
        assert metrics(server)["beava_snapshot_lsn"] == 4
        server.kill()
    with manual(tmp_path) as server:
        assert server.get("A", "x") == {"n": 3}
        assert server.get("A", "y") == {"n": 1}
        assert server.get("A", "z") == {"n": 1}
        until(lambda: metrics(server)["beava_recovery_snapshot_lsn"] == 4, "from the snapshot")
        assert metrics(server)["beava_registry_version"] == 1


def test_only_post_and_only_with_a_log() -> None:
    with Server(None) as server:
        status, _, headers = server.request("GET", "/snapshot")
        assert (status, headers["allow"]) == (405, "POST")
        status, reply, _ = server.post("/snapshot", b"")
        assert status == 503
        assert reply["error"]["code"] == "snapshot_unavailable"
        assert "log" in reply["error"]["message"]
        assert reply["registry_version"] == 0


def test_what_is_pipelined_behind_it_waits_its_turn(tmp_path: pathlib.Path) -> None:
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])
        body = b'{"a":"x"}'
        push_one = b"POST /push/T HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        with socket.create_connection(server.http, 10) as client:
            request = b"POST /snapshot HTTP/1.1\r\n\r\n"
            client.sendall(push_one + request + push_one + request + push_one)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        texts = [part.split(b"\r\n\r\n")[1] for part in received.split(b"HTTP/1.1 ")[1:]]
        replies = [json.loads(text) for text in texts]
        assert [sorted(reply)[0] for reply in replies] == [
            "ack_lsn", "bytes", "ack_lsn", "bytes", "ack_lsn",
        ]  # fmt: skip
        assert replies[0]["ack_lsn"] <= replies[1]["snapshot_lsn"] <= replies[3]["snapshot_lsn"]
        with socket.create_connection(server.http, 10) as gone:
            gone.sendall(request)
        assert server.post("/ping", {})[0] == 200, "a client that leaves is no loss"


def test_a_signal_asks_for_one_too(tmp_path: pathlib.Path) -> None:
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: files(tmp_path), "a file")
        until(lambda: metrics(server)["beava_snapshots_total"] == 1, "counted")
        written = [r for r in server.records() if r.get("kind") == "snapshot.written"]
        assert len(written) == 1
        assert written[0]["snapshot_lsn"] == 1


def test_by_time_only_when_something_was_logged(tmp_path: pathlib.Path) -> None:
    with Server(tmp_path, "--snapshot-interval-ms", "50") as server:
        server.register([EVENT, TABLE])
        until(lambda: metrics(server)["beava_snapshots_total"] == 1, "the first")
        time.sleep(0.3)
        assert metrics(server)["beava_snapshots_total"] == 1, "nothing new, no new one"
        push(server, "x")
        until(lambda: metrics(server)["beava_snapshots_total"] == 2, "the second")
        assert metrics(server)["beava_snapshot_duration_seconds_count"] == 2


def test_few_records_may_not_be_worth_one(tmp_path: pathlib.Path) -> None:
    flags = ("--snapshot-interval-ms", "30", "--snapshot-min-events", "3")
    with Server(tmp_path, *flags) as server:
        server.register([EVENT, TABLE])
        time.sleep(0.2)
        assert files(tmp_path) == []
        for key in "xyz":
            assert server.post("/push/T", {"a": key})[0] == 200
        until(lambda: files(tmp_path), "a file")


def test_by_bytes_logged_and_only_so_many_are_kept(tmp_path: pathlib.Path) -> None:
    flags = ("--snapshot-interval-ms", "0", "--snapshot-wal-bytes", "64KiB")
    with Server(tmp_path, *flags, "--snapshot-retain-count", "3") as server:
        server.register([EVENT, TABLE])
        for count in range(1, 6):
            push(server, *["k" * 60] * 1500)
            until(
                lambda least=count: metrics(server)["beava_snapshots_total"] >= least,
                f"{count} snapshots",
            )
        assert len(files(tmp_path)) == 3


def test_a_stop_answers_who_waits_for_a_snapshot(tmp_path: pathlib.Path) -> None:
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])
        push(server, *[f"k{i}" for i in range(50_000)])
        with socket.create_connection(server.http, 10) as client:
            client.sendall(b"POST /snapshot HTTP/1.1\r\n\r\n")
            time.sleep(0.002)
            server.process.send_signal(signal.SIGTERM)
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        assert server.process.wait(10) == 0
        assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")), received
        assert b"snapshot_lsn" in received or b"snapshot_unavailable" in received


def test_a_long_log_is_closed_with_a_snapshot(tmp_path: pathlib.Path) -> None:
    """As soon as the next start would replay for about a second."""
    bodies = b'{"event":"T","bodies":[' + b",".join([b'{"a":"k"}'] * 350_000) + b"]}"
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])
        with server.connect() as connection:
            for _ in range(12):
                assert connection.call(OP_PUSH_MANY, bodies)[1]["accepted"] == 350_000
        assert files(tmp_path) == []
    (file,) = files(tmp_path)
    assert file.name == f"snapshot-{12 * 350_000 + 1:016x}.bvs"
    with manual(tmp_path) as server:
        assert server.get("A", "k") == {"n": 12 * 350_000}
        until(lambda: metrics(server)["beava_recovery_snapshot_lsn"] > 1, "from the snapshot")
        assert metrics(server)["beava_recovery_records_total"] == 0


def test_under_load_a_stop_takes_less_than_a_second(tmp_path: pathlib.Path) -> None:
    with manual(tmp_path) as server:
        server.register([EVENT, TABLE])

        def load() -> None:
            body = json.dumps({"event": "T", "bodies": [{"a": f"k{i}"} for i in range(200)]})
            with server.connect() as connection:
                try:
                    while True:
                        connection.call(OP_PUSH_MANY, body.encode())
                except (OSError, AssertionError):
                    return

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        took = time.monotonic() - started
        for thread in threads:
            thread.join()
        print(f"the stop took {took:.3f} s")
        assert took < 1
        assert files(tmp_path) == [], "a short log needs no snapshot at the end"
