# SPDX-License-Identifier: Apache-2.0
import json
import os

import beava as bv
import httpx
import pytest
from beava._http import HttpTransport, _is_loopback
from servers import http_server


def reply(body, status=200, headers=None):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda path, sent: (status, headers or {}, text)


def test_requests_have_their_published_form():
    replies = {
        "/register": {"status": "ok"},
        "/push": {"ack_lsn": 3, "idempotent_replay": False},
        "/get": {"n": 1},
        "/batch_get": {"results": [{}]},
        "/reset": {"reset": True},
        "/ping": {"pong": True},
        "/snapshot": {"snapshot_lsn": 9},
    }
    with http_server(lambda path, body: (200, {}, json.dumps(replies[path]).encode())) as server:
        with HttpTransport(server.url + "/") as transport:
            assert transport.base_url == server.url
            assert isinstance(transport._client, httpx.Client)
            assert transport.send_register(b'{"nodes": []}') == {"status": "ok"}
            assert transport.send_push(event_name="E", fields={"a": "ä"})["ack_lsn"] == 3
            assert transport.send_get(table="T", key="k", features=["n"]) == {"n": 1}
            assert transport.send_batch_get(requests=[{"table": "T", "key": ""}]) == [{}]
            assert transport.send_reset() is None
            assert transport.send_ping() == {"pong": True}
            assert transport.send_snapshot() == {"snapshot_lsn": 9}
    assert server.requests == [
        ("POST", "/register", b'{"nodes": []}'),
        ("POST", "/push", '{"event": "E", "data": {"a": "ä"}}'.encode()),
        ("POST", "/get", b'{"table": "T", "key": "k", "features": ["n"]}'),
        ("POST", "/batch_get", b'{"requests": [{"table": "T", "key": ""}]}'),
        ("POST", "/reset", b"{}"),
        ("POST", "/ping", b"{}"),
        ("POST", "/snapshot", b"{}"),
    ]


def test_absent_results_are_an_empty_list():
    with http_server(reply({})) as server, HttpTransport(server.url) as transport:
        assert transport.send_batch_get(requests=[]) == []


def test_a_replay_is_marked_by_its_header():
    body = {"ack_lsn": 1, "idempotent_replay": False}
    answer = reply(body, headers={"X-Beava-Idempotent-Replay": "1"})
    with http_server(answer) as server, HttpTransport(server.url) as transport:
        assert transport.send_push(event_name="E", fields={})["idempotent_replay"] is True


def test_a_refusal_has_code_path_message_and_status():
    body = {"error": {"code": "invalid_registration", "path": "p", "reason": "r", "hint": "h"}}
    with http_server(reply(body, 400)) as server, HttpTransport(server.url) as transport:
        with pytest.raises(bv.InvalidRegistration) as caught:
            transport.send_register(b"{}")
    error = caught.value
    assert (error.code, error.path, error.message) == ("invalid_registration", "p", "r")
    assert (error.status, error.hint) == (400, "h")


def test_force_required_has_its_diff():
    body = {"error": {"code": "force_required", "reason": "r", "diff": {"destructive": [1]}}}
    with http_server(reply(body, 409)) as server, HttpTransport(server.url) as transport:
        with pytest.raises(bv.ForceRequired) as caught:
            transport.send_register(b"{}")
    assert caught.value.diff == {"destructive": [1]}


def test_an_error_without_code_is_unknown():
    with http_server(reply({}, 500)) as server, HttpTransport(server.url) as transport:
        with pytest.raises(bv.RegistrationError) as caught:
            transport.send_ping()
    assert caught.value.code == "unknown"


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.send_register(b"{}"),
        lambda t: t.send_push(event_name="E", fields={}),
        lambda t: t.send_get(table="T", key=""),
        lambda t: t.send_batch_get(requests=[]),
        lambda t: t.send_reset(),
        lambda t: t.send_ping(),
    ],
)
def test_a_body_that_is_not_json_is_unparseable(call):
    page = b"<html>" + b"x" * 500
    with http_server(reply(page, 502)) as server, HttpTransport(server.url) as transport:
        with pytest.raises(bv.RegistrationError, match="<html>x{194}$") as caught:
            call(transport)
    assert (caught.value.code, caught.value.status) == ("unparseable_error", 502)


def test_a_closed_port_is_httpx_and_connection_error():
    with pytest.raises(httpx.ConnectError, match="8080") as caught:
        HttpTransport("http://127.0.0.1:1").send_ping()
    assert isinstance(caught.value, ConnectionError)
    assert isinstance(caught.value, bv.BeavaError)


def test_a_silent_server_is_a_timeout(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with HttpTransport(url, timeout=0.05) as transport:
            with pytest.raises(httpx.TimeoutException) as caught:
                transport.send_ping()
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("example.org", False),
        (None, False),
    ],
)
def test_loopback_hosts(host, is_local):
    assert _is_loopback(host) is is_local


def test_loopback_goes_past_proxies(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with http_server(reply({"pong": True})) as server, HttpTransport(server.url) as transport:
        assert transport.send_ping() == {"pong": True}
    with HttpTransport("http://beava.invalid") as transport:
        assert transport._client.trust_env


def test_a_fork_opens_connections_of_its_own():
    with http_server(reply({"pong": True})) as server, HttpTransport(server.url) as transport:
        transport.send_ping()
        client = transport._client
        pid = os.fork()
        if pid == 0:
            transport.send_ping()
            os._exit(0 if transport._client is not client else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert transport._client is client


def test_single_read():
    with http_server(reply({"value": 5})) as server, HttpTransport(server.url) as transport:
        assert transport._http_get_single("f", "a/b") == 5
    assert server.requests[0][:2] == ("GET", "/get/f/a%2Fb")
