# SPDX-License-Identifier: Apache-2.0
import threading

import beava as bv
import httpx
import pytest
from beava import _app
from beava._errors import refusal


@bv.event
class Click:
    user_id: str
    amount: float
    n: int | None


@bv.table(key="user_id")
def Clicks(c: Click):
    return c.group_by("user_id").agg(
        k=bv.count(),
        total=bv.sum("amount"),
        big=bv.count(where=bv.col("amount") > 100),
        mean=bv.mean("amount"),
        hour=bv.count(window="1h"),
    )


@bv.table(key=["user_id", "n"])
def Pairs(c: Click):
    return c.group_by("user_id", "n").agg(pair_count=bv.count())


@bv.table
def Whole(c: Click):
    return c.agg(events=bv.count(), largest=bv.max("amount"))


class FakeTransport:
    def __init__(self):
        self.calls = []
        self.is_closed = False
        self.reply = {}

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            if isinstance(self.reply, Exception):
                raise self.reply
            return self.reply

        return call

    def close(self):
        self.is_closed = True
        raise OSError("close never raises")


@pytest.fixture
def fake(monkeypatch):
    transport = FakeTransport()
    made = []
    monkeypatch.setattr(
        _app, "make_transport", lambda url, **kwargs: made.append((url, kwargs)) or transport
    )
    monkeypatch.delenv("BEAVA_URL", raising=False)
    transport.made = made
    return transport


# ---- life cycle ----


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (None, "embed"),
        ("http://h", "http"),
        ("HTTPS://h", "http"),
        ("tcp://h", "tcp"),
        ("TCP://h", "tcp"),
    ],
)
def test_scheme_picks_the_kind_and_nothing_is_opened(fake, url, kind):
    assert bv.App(url)._transport_kind == kind
    assert fake.made == []


def test_other_schemes_are_refused():
    with pytest.raises(ValueError, match="unsupported URL scheme: 'ws'"):
        bv.App("ws://h")


def test_the_environment_names_the_default_server(fake, monkeypatch):
    monkeypatch.setenv("BEAVA_URL", "tcp://somewhere:1")
    app = bv.App()
    assert app._transport_kind == "tcp"
    app.ping()
    assert fake.made == [("tcp://somewhere:1", {"timeout": 30.0, "test_mode": False})]


def test_test_mode_with_a_url_warns_at_the_callers_line(fake):
    with pytest.warns(UserWarning, match="test_mode") as caught:
        bv.App("tcp://h", test_mode=True)
    assert caught[0].filename == __file__


def test_a_network_app_connects_at_its_first_call(fake):
    app = bv.App("tcp://h", timeout=3)
    app.ping()
    app.ping()
    assert fake.made == [("tcp://h", {"timeout": 3, "test_mode": False})]


def test_an_embedded_app_must_be_entered(fake):
    app = bv.App()
    with pytest.raises(RuntimeError, match="Embed mode requires use as a context manager: "):
        app.ping()
    with app as entered:
        assert entered is app
        app.ping()
    assert fake.is_closed


def test_closing_is_final_and_silent(fake):
    app = bv.App("tcp://h")
    app.ping()
    app.close()
    app.close()
    for call in (
        app.ping,
        app.reset,
        app.register,
        lambda: app.push("E", {}),
        lambda: app.push_many("E", []),
        lambda: app.get("T"),
        lambda: app.batch_get([]),
        app.__enter__,
    ):
        with pytest.raises(RuntimeError, match="App is closed"):
            call()


def test_entering_after_closing_starts_nothing(fake):
    app = bv.App()
    app.close()
    with pytest.raises(RuntimeError, match="App is closed"), app:
        pass
    assert fake.made == []


def test_a_raw_chain_is_refused_before_anything_else(fake):
    app = bv.App()
    app.close()
    with pytest.raises(bv.RegistrationError, match="raw chain"):
        app.register(Click.filter(bv.col("n") > 1))


def test_threads_make_one_transport(fake):
    app = bv.App("tcp://h")
    threads = [threading.Thread(target=app.ping) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.made) == 1


# ---- what is sent ----


def test_names_or_declared_things(fake):
    app = bv.App("tcp://h")
    app.push(Click, {"a": 1})
    app.push("Click", {"a": 1})
    app.get(Clicks, "k", ["a"])
    app.get("Clicks")
    assert fake.calls == [
        ("send_push", (), {"event_name": "Click", "fields": {"a": 1}}),
        ("send_push", (), {"event_name": "Click", "fields": {"a": 1}}),
        ("send_get", (), {"table": "Clicks", "key": "k", "features": ["a"]}),
        ("send_get", (), {"table": "Clicks", "key": None, "features": None}),
    ]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (["T", "k"], "batch_get request entry must be a tuple"),
        ({"table": "T"}, "batch_get request entry must be a tuple"),
        (("T",), r"2- or 3-tuple.*; got 1-tuple"),
        (("T", "k", [], 1), r"2- or 3-tuple.*; got 4-tuple"),
    ],
)
def test_batch_entries_are_tuples(fake, entry, text):
    with pytest.raises(TypeError, match=text):
        bv.App("tcp://h").batch_get([entry])
    assert fake.calls == []


def test_batch_rows_that_failed_are_flagged(fake):
    error = {"error": {"code": "unknown_table", "message": "table 'X' is unknown"}}
    fake.reply = [{"n": 1}, dict(error), {"error": 5, "n": 1}, {}]
    rows = bv.App("tcp://h").batch_get([("T", 1), ("X", "k"), ("T", "k", ["n"]), ("T", None)])
    assert rows == fake.reply
    assert [type(row).__name__ for row in rows] == ["dict", "ErrorRow", "dict", "dict"]
    assert type(rows[1].error) is bv.NotFound
    assert fake.calls[0][2]["requests"] == [
        {"table": "T", "key": "1"},
        {"table": "X", "key": "k"},
        {"table": "T", "key": "k", "features": ["n"]},
        {"table": "T", "key": ""},
    ]
    with pytest.raises(bv.NotFound, match="table 'X' is unknown"):
        bv.App("tcp://h").batch_get([("X", "k")], errors="raise")
    with pytest.raises(ValueError, match="errors must be"):
        bv.App("tcp://h").batch_get([("X", "k")], errors="ignore")


def test_a_change_that_was_not_applied_warns(fake):
    fake.reply = {"registered_descriptors": ["A", "B"], "added": ["A"], "already_present": []}
    with pytest.warns(UserWarning, match=r"\['B'\].*force=True") as caught:
        bv.App("tcp://h").register(Click)
    assert caught[0].filename == __file__


def test_errors_pass_through(fake):
    fake.reply = refusal("unknown_table")
    with pytest.raises(bv.NotFound):
        bv.App("tcp://h").get("T")


# ---- against a server ----


@pytest.fixture(scope="module")
def server(beava_binary):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAVA_BINARY", str(beava_binary))
        patch.delenv("BEAVA_URL", raising=False)
        with bv.App(test_mode=True) as app:
            yield app


@pytest.fixture(params=["embedded", "tcp", "http"])
def app(request, server):
    """A server without state, reached in each way."""
    server.reset()
    if request.param == "embedded":
        yield server
        return
    with bv.App(server.tcp_url if request.param == "tcp" else server.http_url) as made:
        yield made


def test_an_event_goes_in_and_the_next_read_knows_it(app):
    reply = app.register(Click, Clicks, Pairs, Whole)
    assert reply["status"] == "ok"
    assert reply["registered_descriptors"] == ["Click", "Clicks", "Pairs", "Whole"]
    assert sorted(reply["added"]) == ["Click", "Clicks", "Pairs", "Whole"]
    ack = app.push(Click, {"user_id": "ada", "amount": 150.5, "n": 3})
    assert ack["idempotent_replay"] is False
    assert app.push("Click", {"user_id": "ada", "amount": 2, "n": 3})["ack_lsn"] > ack["ack_lsn"]
    assert app.push(Click, {"user_id": "bob", "amount": 1.0})["registry_version"] >= 1
    row = {"k": 2, "total": 152.5, "big": 1, "mean": 76.25, "hour": 2}
    assert app.get(Clicks, "ada") == row
    assert app.get("Clicks", "ada", ["k", "big"]) == {"k": 2, "big": 1}
    assert app.get("Clicks", "ada", []) == {}
    assert app.get("Clicks", "nobody") == {}
    assert app.get(Whole) == {"events": 3, "largest": 150.5}
    assert app.batch_get([(Clicks, "ada"), ("Pairs", "ada|3"), (Whole, None, ["events"])]) == [
        row,
        {"pair_count": 2},
        {"events": 3},
    ]


def test_composite_keys_may_be_sequences(app):
    app.register(Click, Pairs)
    app.push(Click, {"user_id": "a|b", "amount": 1.0, "n": 7})
    for key in (("a|b", 7), ["a|b", "7"]):
        assert app.get(Pairs, key) == {"pair_count": 1}


def test_refusals_have_their_codes(app):
    app.register(Click, Clicks, Whole)
    push = app.push
    for call, cls, code in (
        (lambda: push("Nope", {}), bv.NotFound, "event_not_found"),
        (lambda: push(Click, {"user_id": 5, "amount": 1.0}), bv.InvalidEvent, "invalid_event"),
        (lambda: push(Click, {"user_id": "a"}), bv.InvalidEvent, "invalid_event"),
        (
            lambda: push(Click, {"user_id": "a", "amount": 1.0, "zz": 1}),
            bv.InvalidEvent,
            "unknown_field_v0",
        ),
        (lambda: app.get("Nope", "a"), bv.NotFound, "unknown_table"),
        (lambda: app.get(Whole, "a"), bv.NotFound, "key_parse_failure"),
        (lambda: app.get(Clicks, "a", ["zz"]), bv.NotFound, "internal_error"),
        (lambda: app.register(Clicks), bv.ForceRequired, "force_required"),
    ):
        with pytest.raises(cls) as caught:
            call()
        assert caught.value.code == code
    # The connection survived all of them.
    assert app.ping()["pong"] is True
    assert app.get(Clicks, "a") == {}


def test_a_dry_run_changes_nothing(app):
    reply = app.register(Click, Clicks, dry_run=True)
    assert reply["would_apply"] is False
    with pytest.raises(bv.NotFound):
        app.get(Clicks, "a")


def test_many_events_with_a_refusal_in_between(app):
    app.register(Click, Clicks, Whole)
    rows = [{"user_id": f"u{i % 10}", "amount": float(i)} for i in range(5000)]
    rows[1234] = {"user_id": "u0"}
    summary = app.push_many(Click, rows)
    assert (summary.accepted, summary.refused_count) == (4999, 1)
    assert [refused.index for refused in summary.refused] == [1234]
    assert summary.refused[0].error.code == "invalid_event"
    assert summary.last_ack_lsn >= 4999
    assert app.get(Whole, None, ["events"]) == {"events": 4999}
    assert app.get(Clicks, "u3", ["k"]) == {"k": 500}


def test_registering_again_changes_nothing(app):
    app.register(Click, Clicks)
    app.push(Click, {"user_id": "a", "amount": 1.0})
    reply = app.register(Click, Clicks)
    assert reply["added"] == []
    assert reply["already_present"] == ["Click", "Clicks"]
    assert app.get(Clicks, "a", ["k"]) == {"k": 1}


def test_reset_is_for_servers_in_test_mode(embedded):
    with bv.App() as app, pytest.raises(bv.ServerError) as caught:
        app.reset()
    assert caught.value.code == "reset_disabled_in_production"


def test_a_killed_server_is_an_error_that_says_so(embedded):
    with bv.App() as app:
        app.ping()
        app._transport._proc.kill()
        app._transport._proc.wait()
        with pytest.raises((OSError, EOFError, bv.BeavaError)) as caught:
            app.ping()
        assert "ended with status -9" in caught.value.hint


def test_http_errors_are_httpx_errors():
    with bv.App("http://127.0.0.1:1") as app, pytest.raises(httpx.ConnectError):
        app.ping()


def test_a_url_that_is_none_says_how_to_write_one():
    with pytest.raises(ValueError, match="unsupported URL scheme: 'localhost'") as caught:
        bv.App("localhost:8080")
    assert "http://127.0.0.1:8080" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match="url must be a str"):
        bv.App(8080)


@pytest.mark.parametrize("target", [None, 5, object, {"a": 1}])
def test_what_has_no_name_is_neither_event_nor_table(app, target):
    for call in (
        lambda: app.push(target, {}),
        lambda: app.push_many(target, []),
        lambda: app.get(target, "a"),
        lambda: app.batch_get([(target, "a")]),
    ):
        with pytest.raises(TypeError, match="expected the name of an event or table"):
            call()


def test_warnings_of_the_server_are_issued(app):
    def Odd(c: Click):
        return c.group_by("user_id").agg(nothing=bv.sum("user_id"))

    with pytest.warns(UserWarning, match="agg.nothing.*reads numbers"):
        app.register(Click, bv.table(key="user_id")(Odd))


def test_many_events_of_an_unknown_source_raise(app):
    with pytest.raises(bv.NotFound) as caught:
        app.push_many("Nope", [{"a": 1}, {"a": 2}])
    assert caught.value.code == "event_not_found"
    assert caught.value.summary.accepted == 0


def test_an_embedded_server_is_found_when_logs_are_text(monkeypatch):
    monkeypatch.setenv("BEAVA_LOG_FORMAT", "text")
    with bv.App() as app:
        assert app.ping()["pong"] is True
