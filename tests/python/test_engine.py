# SPDX-License-Identifier: Apache-2.0
import inspect
import os
import threading

import beava as bv
import pytest

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000


@bv.event
class Click:
    user_id: str
    amount: float
    n: int | None


@bv.table(key="user_id")
def Clicks(c: Click):
    return c.group_by("user_id").agg(
        k=bv.count(), total=bv.sum("amount"), hour=bv.count(window="1h")
    )


@bv.table(key=["user_id", "n"])
def Pairs(c: Click):
    return c.group_by("user_id", "n").agg(pair_count=bv.count())


@bv.table
def Whole(c: Click):
    return c.agg(events=bv.count())


class Clock:
    def __init__(self):
        self.now_ms = START_MS

    def __call__(self):
        return self.now_ms


@pytest.fixture
def engine():
    with bv.Engine(test_mode=True) as engine:
        engine.register(Click, Clicks, Pairs, Whole)
        yield engine


def test_an_event_goes_in_and_the_next_read_knows_it(engine):
    ack = engine.push(Click, {"user_id": "ada", "amount": 1.5, "n": 3})
    assert ack["idempotent_replay"] is False
    assert engine.push("Click", {"user_id": "ada", "amount": 2})["ack_lsn"] > ack["ack_lsn"]
    row = {"k": 2, "total": 3.5, "hour": 2}
    assert engine.get(Clicks, "ada") == row
    assert engine.get(Clicks, "ada", ["k"]) == {"k": 2}
    assert engine.get(Clicks, "nobody") == {}
    assert engine.get(Pairs, ("ada", 3)) == {"pair_count": 1}
    assert engine.batch_get([(Clicks, "ada"), (Whole, None), ("Nope", "x")])[:2] == [
        row,
        {"events": 2},
    ]
    with pytest.raises(bv.NotFound):
        engine.batch_get([("Nope", "x")], errors="raise")


def test_numbers_keep_their_kind(engine):
    engine.push(Click, {"user_id": "a", "amount": 2})
    row = engine.get(Clicks, "a")
    assert (type(row["k"]), type(row["total"])) == (int, float)


def test_refusals_are_those_of_a_server(engine):
    for call, code in (
        (lambda: engine.push("Nope", {}), "event_not_found"),
        (lambda: engine.push(Click, {"user_id": 5, "amount": 1.0}), "invalid_event"),
        (lambda: engine.get("Nope", "a"), "unknown_table"),
        (lambda: engine.register(Clicks), "force_required"),
        (
            lambda: engine.register({"kind": "odd", "name": "X"}, force=True),
            "unsupported_node_kind",
        ),
    ):
        with pytest.raises(bv.RegistrationError) as caught:
            call()
        assert caught.value.code == code


def test_many_events_with_refusals_in_between(engine):
    rows = [{"user_id": f"u{i % 10}", "amount": float(i)} for i in range(5000)]
    rows[1234] = {"user_id": "u0"}
    rows[1235] = {"user_id": "u0", "amount": float("nan")}
    seen = []
    summary = engine.push_many(Click, rows, chunk_size=1000, progress=seen.append)
    assert (summary.accepted, summary.refused_count) == (4998, 2)
    assert [(r.index, r.error.code) for r in summary.refused] == [
        (1234, "invalid_event"),
        (1235, "invalid_event"),
    ]
    assert seen == [1000, 2000, 3000, 4000, 5000]
    assert engine.get(Whole) == {"events": 4998}
    assert summary.last_ack_lsn == engine.stats()["last_lsn"]


def test_a_chunk_larger_than_a_frame_is_split(engine):
    rows = [{"user_id": str(i) + "x" * 1_500_000, "amount": 1.0} for i in range(4)]
    assert engine.push_many(Click, rows).accepted == 4


def test_an_unknown_event_refuses_the_whole_call(engine):
    with pytest.raises(bv.NotFound) as caught:
        engine.push_many("Nope", [{"a": 1}])
    assert caught.value.summary.accepted == 0


def test_the_callers_clock_moves_windows():
    clock = Clock()
    with bv.Engine.open(memory=True, clock=clock) as engine:
        engine.register(Click, Clicks)
        engine.push(Click, {"user_id": "a", "amount": 1.0})
        assert engine.get(Clicks, "a") == {"k": 1, "total": 1.0, "hour": 1}
        clock.now_ms += 3 * HOUR_MS
        assert engine.get(Clicks, "a") == {"k": 1, "total": 1.0, "hour": 0}


@pytest.mark.parametrize("answer", [1.5, -1, None, "now", 2**63])
def test_a_clock_must_give_milliseconds(answer):
    with pytest.raises(TypeError, match="milliseconds"):
        with bv.Engine(clock=lambda: answer) as engine:
            engine.register(Click, Clicks)
            engine.push(Click, {"user_id": "a", "amount": 1.0})


def test_an_exception_in_the_clock_reaches_the_caller():
    def clock():
        if is_broken:
            raise KeyError("no time")
        return START_MS

    is_broken = False
    with bv.Engine(clock=clock) as engine:
        engine.register(Click, Clicks)
        is_broken = True
        with pytest.raises(KeyError, match="no time"):
            engine.push(Click, {"user_id": "a", "amount": 1.0})
        is_broken = False
        engine.push(Click, {"user_id": "a", "amount": 1.0})


@pytest.mark.parametrize("policy", ["always", "os"])
def test_what_was_acknowledged_is_there_after_opening_again(tmp_path, policy):
    with bv.Engine(tmp_path / "data", policy=policy, clock=Clock()) as engine:
        engine.register(Click, Clicks, Pairs, Whole)
        engine.push_many(Click, [{"user_id": f"u{i % 7}", "amount": i * 0.1} for i in range(500)])
        before = engine.digest()
        rows = [engine.get(Clicks, f"u{i}") for i in range(7)]
    with bv.Engine(tmp_path / "data", clock=Clock()) as engine:
        assert engine.digest() == before
        assert [engine.get(Clicks, f"u{i}") for i in range(7)] == rows
        assert engine.stats()["recovered_records"] > 0
        assert engine.stats()["last_lsn"] == before.last_lsn
        engine.push(Click, {"user_id": "u0", "amount": 1.0})
        assert engine.digest() != before


def test_opening_begins_with_the_snapshot(tmp_path):
    with bv.Engine(tmp_path, policy="os", clock=Clock()) as engine:
        engine.register(Click, Clicks, Pairs, Whole)
        engine.push_many(Click, [{"user_id": f"u{i % 7}", "amount": i * 0.1} for i in range(500)])
        taken = engine.snapshot()
        assert taken["snapshot_lsn"] == 501
        assert taken["bytes"] > 4096
        assert engine.snapshot() == {**taken, "duration_ms": 0}  # nothing new: the same one
        engine.push(Click, {"user_id": "u0", "amount": 1.0})
        before = engine.digest()
    with bv.Engine(tmp_path, clock=Clock()) as engine:
        assert engine.digest() == before
        assert engine.stats()["recovered_from_snapshot_lsn"] == 501
        assert engine.stats()["recovered_records"] == 1


def test_no_snapshot_without_a_log(engine):
    with pytest.raises(bv.RegistrationError) as caught:
        engine.snapshot()
    assert caught.value.code == "snapshot_unavailable"


def test_two_engines_on_one_directory_are_refused(tmp_path):
    with bv.Engine(tmp_path), pytest.raises(bv.EngineError) as caught:
        bv.Engine(tmp_path)
    assert caught.value.code == "locked"
    bv.Engine(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(bv.EngineError) as caught:
        bv.Engine(tmp_path / "file" / "data")
    assert caught.value.code in ("io", "config")
    assert "file" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory": False},
        {"data_dir": "x", "memory": True},
        {"policy": "sometimes"},
    ],
)
def test_contradictions_are_refused(arguments):
    with pytest.raises(ValueError):
        bv.Engine(**arguments)


def test_digests_agree_between_engines():
    def filled():
        engine = bv.Engine(clock=Clock())
        engine.register(Click, Clicks)
        engine.push_many(Click, [{"user_id": f"u{i % 3}", "amount": 1.0} for i in range(30)])
        return engine

    with filled() as first, filled() as second:
        assert first.digest() == second.digest()
        assert first.digest().entities == 3


def test_reset_and_ping(engine):
    assert engine.ping()["server_version"] == bv.__version__
    engine.reset()
    with pytest.raises(bv.NotFound):
        engine.get(Clicks, "a")
    with bv.Engine() as strict, pytest.raises(bv.ServerError) as caught:
        strict.reset()
    assert caught.value.code == "reset_disabled_in_production"


def test_stats_tell_what_it_holds(engine):
    engine.push(Click, {"user_id": "a", "amount": 1.0})
    stats = engine.stats()
    assert set(stats) == {
        "entities",
        "state_bytes",
        "last_lsn",
        "durable_lsn",
        "recovered_records",
        "registry_version",
        "accumulators",
        "recovered_from_snapshot_lsn",
    }
    assert stats["entities"] == 2  # of Clicks and Whole; n is missing for Pairs
    assert stats["registry_version"] == 1


def test_closing_is_final(engine):
    engine.close()
    engine.close()
    for call in (
        engine.ping,
        engine.digest,
        engine.stats,
        engine.__enter__,
        lambda: engine.get(Clicks, "a"),
    ):
        with pytest.raises(RuntimeError, match="Engine is closed"):
            call()
    assert "closed" in repr(engine)


def test_threads_take_turns(engine):
    def work():
        for i in range(200):
            engine.push(Click, {"user_id": f"u{i % 5}", "amount": 1.0})
            engine.get(Clicks, "u0")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.get(Whole) == {"events": 800}


def test_a_fork_is_refused_and_may_end(engine):
    pid = os.fork()
    if pid == 0:
        try:
            engine.ping()
        except RuntimeError:
            engine.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert engine.ping()["pong"] is True


def test_engine_has_the_methods_of_app():
    for name in ("register", "push", "push_many", "get", "batch_get", "reset", "ping", "close"):
        of_engine = inspect.signature(getattr(bv.Engine, name))
        of_app = inspect.signature(getattr(bv.App, name))
        assert list(of_engine.parameters) == list(of_app.parameters)
