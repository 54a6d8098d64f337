# SPDX-License-Identifier: Apache-2.0
import json

import beava as bv
import msgpack
import pytest
from beava._push_many import REFUSALS_KEPT_MAX, PushSummary, chunks_of
from beava._wire import encode_frame
from servers import ACK, http_server, json_frame, tcp_server


def ack_all(number, frame):
    return encode_frame(0x10, 1, ACK % (number + 1))


def refuse(code):
    return json_frame(0xFFFF, {"error": {"code": code}})


@pytest.fixture
def app_of(request):
    apps = []

    def make(server):
        app = bv.App(f"tcp://{server.host}:{server.port}", timeout=10)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


def test_every_row_travels_in_order_as_a_plain_push(app_of):
    with tcp_server(ack_all) as server:
        summary = app_of(server).push_many("E", ({"i": i} for i in range(1000)), chunk_size=7)
        sent = [msgpack.unpackb(f.payload) for f in server.frames]
    assert summary == PushSummary(accepted=1000, last_ack_lsn=1000)
    assert sent == [{"event": "E", "body": {"i": i}} for i in range(1000)]
    assert {(f.op, f.ct) for f in server.frames} == {(0x10, 2)}


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 10, 4096])
def test_refusals_have_the_index_of_their_row(app_of, chunk_size):
    def answer(number, frame):
        body = msgpack.unpackb(frame.payload)["body"]
        return refuse("invalid_event") if body["i"] % 3 == 0 else ack_all(number, frame)

    rows = [{"i": i} for i in range(20)]
    rows[7] = {"i": float("nan")}
    rows[8] = "no dict"
    with tcp_server(answer) as server:
        summary = app_of(server).push_many("E", rows, chunk_size=chunk_size)
    assert [r.index for r in summary.refused] == [0, 3, 6, 7, 8, 9, 12, 15, 18]
    assert all(type(r.error) is bv.InvalidEvent for r in summary.refused)
    assert (summary.accepted, summary.refused_count) == (11, 9)
    with pytest.raises(bv.InvalidEvent):
        summary.raise_for_refused()


def test_nothing_to_push(app_of):
    with tcp_server(ack_all) as server:
        app = app_of(server)
        assert app.push_many("E", []) == PushSummary()
        assert app.push_many("E", [5]).refused_count == 1
        assert server.frames == []


def test_only_the_first_refusals_are_kept(app_of):
    with tcp_server(lambda number, frame: refuse("invalid_event")) as server:
        summary = app_of(server).push_many("E", [{"i": 1}] * 1500)
    assert len(summary.refused) == REFUSALS_KEPT_MAX
    assert (summary.refused_count, summary.accepted, summary.last_ack_lsn) == (1500, 0, None)


def test_a_lost_connection_says_how_far_the_answers_went(app_of):
    def answer(number, frame):
        return ack_all(number, frame) if number < 25 else None

    with tcp_server(answer) as server:
        app = app_of(server)
        with pytest.raises(ConnectionError) as caught:
            app.push_many("E", [{"i": i} for i in range(100)], chunk_size=10)
        assert caught.value.summary.accepted <= 25
        assert caught.value.summary.last_ack_lsn == caught.value.summary.accepted or None
        assert isinstance(caught.value, bv.BeavaError)
        assert app._transport._socket is None


def test_an_iterable_that_fails_leaves_no_replies_behind(app_of):
    def rows():
        yield from ({"i": i} for i in range(10))
        raise RuntimeError("source is broken")

    with tcp_server(ack_all) as server:
        app = app_of(server)
        with pytest.raises(RuntimeError, match="source is broken"):
            app.push_many("E", rows(), chunk_size=4)
        # On a new connection: what was in flight cannot be taken for this one's answer.
        assert app.push("E", {"i": 0})["ack_lsn"] == 1
        assert server.connections == 2


def test_a_fatal_refusal_is_raised(app_of):
    with tcp_server(lambda number, frame: refuse("frame_too_large")) as server:
        with pytest.raises(bv.ProtocolError):
            app_of(server).push_many("E", [{"i": 1}])


def test_an_unexpected_reply_is_raised(app_of):
    with tcp_server(lambda number, frame: json_frame(0x23, {})) as server:
        with pytest.raises(bv.ProtocolError, match="0x0023"):
            app_of(server).push_many("E", [{"i": 1}])


@pytest.mark.parametrize("chunk_size", [0, -1, 4097, True, 1.5])
def test_chunk_size_is_checked(app_of, chunk_size):
    with tcp_server(ack_all) as server:
        with pytest.raises(ValueError, match="chunk_size must be between 1 and 4096"):
            app_of(server).push_many("E", [{"i": 1}], chunk_size=chunk_size)


def test_progress_is_told_after_every_chunk(app_of):
    seen = []
    with tcp_server(ack_all) as server:
        app_of(server).push_many("E", [{"i": 1}] * 10, chunk_size=4, progress=seen.append)
    assert seen == [4, 8, 10]


def test_over_http_chunks_travel_as_arrays():
    def answer(path, body):
        rows = json.loads(body)
        refused = [
            {"index": i, "error": {"code": "invalid_event", "path": "data.i"}}
            for i, row in enumerate(rows)
            if row["i"] == 5
        ]
        reply = {"accepted": len(rows) - len(refused), "ack_lsn": 9, "refused": refused}
        return 200, {}, json.dumps(reply).encode()

    rows = [{"i": i} for i in range(8)]
    rows[2] = {"i": float("inf")}
    with http_server(answer) as server, bv.App(server.url) as app:
        summary = app.push_many("My Event", rows, chunk_size=4)
    assert [r.index for r in summary.refused] == [2, 5]
    assert summary.refused[1].error.path == "data.i"
    assert (summary.accepted, summary.last_ack_lsn) == (6, 9)
    assert [path for _, path, _ in server.requests] == ["/push-batch/My%20Event"] * 2
    assert json.loads(server.requests[0][2]) == [{"i": 0}, {"i": 1}, {"i": 3}]


def test_over_http_a_large_chunk_is_split():
    def answer(path, body):
        return 200, {}, json.dumps({"accepted": 0, "ack_lsn": 1, "refused": []}).encode()

    rows = [{"x": "y" * 1_500_000}] * 5
    with http_server(answer) as server, bv.App(server.url) as app:
        assert app.push_many("E", rows).accepted == 5
    assert max(len(body) for _, _, body in server.requests) < 4_194_304
    assert len(server.requests) == 3


def test_over_http_a_server_without_batches_is_named():
    answer = 200, {}, b'{"ack_lsn": 1}'
    with http_server(lambda path, body: answer) as server, bv.App(server.url) as app:
        with pytest.raises(bv.ProtocolError, match="makes no sense"):
            app.push_many("E", [{"i": 1}])


def test_chunks_know_where_they_begin():
    assert [(c.first, c.rows) for c in chunks_of("abcde", 2)] == [
        (0, ["a", "b"]),
        (2, ["c", "d"]),
        (4, ["e"]),
    ]


class Frame:
    """What a pandas frame looks like from outside: iterating it gives names of columns."""

    columns = ("a",)

    def to_dict(self, orient):
        return []

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    ("rows", "text"),
    [({"a": 1}, "which is for push"), ("ab", "got str"), (None, "NoneType"), (Frame(), "records")],
)
def test_rows_that_are_no_events_are_refused_whole(rows, text):
    with bv.Engine() as engine, pytest.raises(TypeError, match=text):
        engine.push_many("E", rows)


def test_a_summary_is_short_to_look_at():
    summary = PushSummary(accepted=2, last_ack_lsn=7)
    assert repr(summary) == "<PushSummary accepted=2, refused_count=0, last_ack_lsn=7>"
    for index in range(5):
        summary.refuse(index + 3, bv.InvalidEvent(code="invalid_event", message="m" * 500))
    assert "first refused: row 3, [invalid_event] mmm" in repr(summary)
    assert len(repr(summary)) < 400


def test_a_row_without_encoding_names_its_field(app_of):
    with tcp_server(ack_all) as server:
        summary = app_of(server).push_many("E", [{"a": 1, "tags": {1, 2}}])
    assert "tags: set cannot be sent" in str(summary.refused[0].error)
