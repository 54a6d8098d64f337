# SPDX-License-Identifier: Apache-2.0
import json

import beava as bv
import pytest
from beava import __main__ as verbs
from servers import http_server

REPLY = {"bytes": 4567, "duration_ms": 12, "snapshot_lsn": 9}
REFUSAL = {"error": {"code": "snapshot_unavailable", "reason": "the disk is full"}}


def answer(body, status=200):
    return lambda path, sent: (status, {}, json.dumps(body).encode())


def test_over_http_it_is_one_request():
    with http_server(answer(REPLY)) as server:
        assert bv.App(server.url).snapshot() == REPLY
        assert server.requests == [("POST", "/snapshot", b"{}")]


def test_a_refusal_is_raised_with_its_code():
    with http_server(answer(REFUSAL, 503)) as server:
        with pytest.raises(bv.Unavailable, match="the disk is full") as caught:
            bv.App(server.url).snapshot()
    assert caught.value.code == "snapshot_unavailable"


def test_over_tcp_the_error_names_the_way():
    with pytest.raises(NotImplementedError, match="http://"):
        bv.App("tcp://127.0.0.1:1").snapshot()


def test_of_a_server_of_our_own():
    @bv.event
    class Click:
        user: str

    @bv.table(key="user")
    def Clicks(c: Click):
        return c.group_by("user").agg(n=bv.count())

    with bv.App() as app:
        app.register(Click, Clicks)
        lsn = app.push(Click, {"user": "ada"})["ack_lsn"]
        reply = app.snapshot()
        assert reply["snapshot_lsn"] == lsn
        assert reply["bytes"] > 4096
        assert app.get(Clicks, "ada") == {"n": 1}


def test_the_verb_prints_a_line_or_the_reply(capsys, monkeypatch):
    with http_server(answer({**REPLY, "bytes": 4567890})) as server:
        assert verbs.main(["snapshot", "--url", server.url]) == 0
        assert capsys.readouterr().out == "snapshot at LSN 9: 4,567,890 bytes in 12 ms\n"
        monkeypatch.setenv("BEAVA_URL", server.url)
        assert verbs.main(["snapshot", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["snapshot_lsn"] == 9


def test_the_verb_fails_with_one_line(capsys):
    with http_server(answer(REFUSAL, 503)) as server:
        assert verbs.main(["snapshot", "--url", server.url]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beava: error: ") and "the disk is full" in err
    assert verbs.main(["snapshot", "--url", "http://127.0.0.1:1"]) == 1
    assert verbs.main(["snapshot", "--url", "tcp://127.0.0.1:8081"]) == 2
    with pytest.raises(SystemExit) as caught:
        verbs.main(["snapshot", "--nonsense"])
    assert caught.value.code == 2


def test_the_verb_without_httpx_names_the_remedy(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert verbs.main(["snapshot"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beava: error: snapshot: needs the Python package")
    assert "pip install beava" in line
