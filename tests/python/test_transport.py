# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import beava as bv
import pytest
from beava import _embed, _transport
from beava._transport import (
    EmbedTransport,
    HttpTransport,
    TcpTransport,
    Transport,
    make_transport,
    parse_url_to_transport,
)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("tcp://", "127.0.0.1", 8081),
        ("tcp://h", "h", 8081),
        ("tcp://h:0", "h", 8081),
        ("tcp://h:9", "h", 9),
        ("tcp://[::1]:9", "::1", 9),
        ("TCP://h:9", "h", 9),
    ],
)
def test_tcp_urls(url, host, port):
    transport = parse_url_to_transport(url)
    assert type(transport) is TcpTransport
    assert (transport.host, transport.port) == (host, port)
    assert transport._socket is None


@pytest.mark.parametrize("url", ["http://h:1/", "https://h", "HTTP://h"])
def test_http_urls(url):
    with make_transport(url, timeout=3) as transport:
        assert type(transport) is HttpTransport
        assert transport.base_url == url.rstrip("/").replace("HTTP", "http")


@pytest.mark.parametrize("url", ["ws://h", "h:80", ""])
def test_other_urls_list_the_schemes(url):
    with pytest.raises(ValueError, match="http.*tcp"):
        make_transport(url)


def test_the_base_refuses_everything():
    base = Transport()
    for call in (
        lambda: base.send_register(b""),
        lambda: base.send_push(event_name="E", fields={}),
        lambda: base.send_push_many(event_name="E", chunks=iter(()), summary=None, shown=None),
        lambda: base.send_get(table="T", key=""),
        lambda: base.send_batch_get(requests=[]),
        base.send_reset,
        base.send_ping,
        base.close,
    ):
        with pytest.raises(NotImplementedError):
            call()


class FakeTcp(Transport):
    def __init__(self, *args, **kwargs):
        self.args = (args, kwargs)
        self.is_closed = False

    def close(self):
        self.is_closed = True

    def send_ping(self):
        raise ConnectionResetError("gone")


def child(code="import sys; sys.stdin.read()"):
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


def test_no_url_starts_a_server_through_module_attributes(monkeypatch):
    asked = []
    proc = child()

    def spawn(*, test_mode):
        asked.append(test_mode)
        return proc, "http://127.0.0.1:1", "tcp://127.0.0.1:2", {"A": "b"}

    monkeypatch.setattr(_embed, "spawn_embedded_server", spawn)
    monkeypatch.setattr(_transport, "TcpTransport", FakeTcp)
    transport = make_transport(None, timeout=7, test_mode=True)
    assert type(transport) is EmbedTransport
    assert asked == [True]
    assert transport._spawn_env == {"A": "b"}
    assert transport._tcp.args == (("127.0.0.1", 2), {"timeout": 7})
    transport.close()
    assert transport._tcp.is_closed
    assert proc.poll() is not None
    proc.stdin.close()


def test_a_dead_server_is_named_in_the_hint():
    proc = child("raise SystemExit(3)")
    proc.wait()
    transport = EmbedTransport(TcpTransport("127.0.0.1", 1), proc)
    assert transport._spawn_env == {}
    for call in (
        transport.send_ping,
        transport.send_reset,
        lambda: transport.send_register(b"{}"),
        lambda: transport.send_push(event_name="E", fields={}),
        lambda: transport.send_get(table="T", key=""),
        lambda: transport.send_batch_get(requests=[]),
    ):
        with pytest.raises(bv.BeavaError) as caught:
            call()
        assert caught.value.hint == "the embedded server ended with status 3"
    proc.stdin.close()
