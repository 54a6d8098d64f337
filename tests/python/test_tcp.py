# SPDX-License-Identifier: Apache-2.0
import os
import socket
import threading

import beava as bv
import pytest
from beava._transport import TcpTransport
from beava._wire import OP_PING, FrameTooLarge, IncompleteFrame, encode_frame
from servers import ACK, json_frame, tcp_server


def ping_reply(number, frame):
    return json_frame(OP_PING, {"registry_version": number, "server_version": "x"})


def test_one_socket_opened_on_first_use_and_kept():
    with tcp_server(ping_reply) as server:
        transport = TcpTransport(server.host, server.port)
        assert transport._socket is None
        assert transport.send_ping()["pong"] is True
        sock = transport._socket
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert transport.send_ping()["registry_version"] == 1
        assert transport._socket is sock
        transport.close()
        transport.close()
        assert transport._socket is None


def test_requests_have_their_published_form():
    replies = {
        0x01: json_frame(0x01, {"status": "ok"}),
        0x10: encode_frame(0x10, 1, ACK % 7),
        0x20: json_frame(0x23, {"n": 1}),
        0x24: json_frame(0x23, {"results": [{}]}),
        0x40: json_frame(0x23, {"reset": True}),
    }
    with tcp_server(lambda number, frame: replies[frame.op]) as server:
        transport = TcpTransport(server.host, server.port)
        assert transport.send_register(b'{"nodes": []}') == {"status": "ok"}
        assert transport.send_push(event_name="E", fields={"a": 1})["ack_lsn"] == 7
        assert transport.send_get(table="T", key="k") == {"n": 1}
        assert transport.send_get(table="T", key=["a", 1], features=["n"]) == {"n": 1}
        assert transport.send_batch_get(requests=[{"table": "T", "key": "k"}]) == [{}]
        assert transport.send_reset() is None
        sent = [(f.op, f.ct, f.payload) for f in server.frames]
        transport.close()
    assert sent == [
        (0x01, 1, b'{"nodes": []}'),
        (0x10, 1, b'{"event": "E", "body": {"a": 1}}'),
        (0x20, 1, b'{"table": "T", "key": "k"}'),
        (0x20, 1, b'{"table": "T", "key": ["a", 1], "features": ["n"]}'),
        (0x24, 1, b'{"requests": [{"table": "T", "key": "k"}]}'),
        (0x40, 1, b"{}"),
    ]


def test_batch_get_without_results_is_unexpected():
    with tcp_server(lambda number, frame: json_frame(0x23, {})) as server:
        transport = TcpTransport(server.host, server.port)
        with pytest.raises(bv.ProtocolError) as caught:
            transport.send_batch_get(requests=[])
        transport.close()
    assert caught.value.code == "unexpected_frame"


def test_a_refusal_keeps_the_socket():
    error = {"error": {"code": "event_not_found"}, "registry_version": 2}
    with tcp_server(lambda number, frame: json_frame(0xFFFF, error)) as server:
        transport = TcpTransport(server.host, server.port)
        with pytest.raises(bv.NotFound):
            transport.send_push(event_name="No", fields={})
        assert transport._socket is not None
        transport.close()


def test_a_late_reply_is_never_taken_for_the_next_ones():
    release = threading.Event()

    def answer(number, frame):
        if server.connections == 1:
            release.wait(5)
            return json_frame(0x23, {"late": True})
        return json_frame(0x23, {"fresh": True})

    with tcp_server(answer) as server:
        transport = TcpTransport(server.host, server.port, timeout=0.05)
        with pytest.raises(TimeoutError) as caught:
            transport.send_get(table="T", key="a")
        assert isinstance(caught.value, bv.BeavaError)
        assert caught.value.code == "timeout"
        assert transport._socket is None
        release.set()
        transport.timeout = 5
        assert transport.send_get(table="T", key="b") == {"fresh": True}
        assert server.connections == 2
        transport.close()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, IncompleteFrame),
        (b"\0\0\0\1\0", IncompleteFrame),
        (b"\xff\xff\xff\xff", FrameTooLarge),
    ],
)
def test_a_broken_reply_drops_the_socket(reply, error):
    with tcp_server(lambda number, frame: reply) as server:
        transport = TcpTransport(server.host, server.port)
        with pytest.raises(error):
            transport.send_ping()
        assert transport._socket is None


def test_a_closed_port_is_refused_at_once_with_a_hint():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match="8081") as caught:
        TcpTransport("127.0.0.1", port).send_ping()
    assert isinstance(caught.value, bv.BeavaError)


def test_an_oversized_request_does_not_touch_the_connection():
    with tcp_server(ping_reply) as server:
        transport = TcpTransport(server.host, server.port, max_frame_bytes=100)
        transport.send_ping()
        sock = transport._socket
        with pytest.raises(bv.RegistrationError) as caught:
            transport.send_push(event_name="E", fields={"a": "x" * 200})
        assert caught.value.code == "frame_too_large"
        assert transport._socket is sock
        transport.send_ping()
        transport.close()


def test_an_unserialisable_event_leaves_the_connection_alone():
    with tcp_server(ping_reply) as server:
        transport = TcpTransport(server.host, server.port)
        with pytest.raises(TypeError):
            transport.send_push(event_name="E", fields={"a": object()})
        with pytest.raises(ValueError):
            transport.send_push(event_name="E", fields={"a": float("nan")})
        assert transport.send_ping()["registry_version"] == 0
        transport.close()


def test_threads_share_a_transport():
    def echo(number, frame):
        return json_frame(0x23, {"table": frame.payload.decode()})

    wrong = []
    with tcp_server(echo) as server:
        transport = TcpTransport(server.host, server.port)

        def work(name):
            for _ in range(100):
                if name not in transport.send_get(table=name, key="k")["table"]:
                    wrong.append(name)

        threads = [threading.Thread(target=work, args=(f"T{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 1
        transport.close()
    assert wrong == []


def test_a_fork_opens_a_connection_of_its_own():
    with tcp_server(ping_reply) as server:
        transport = TcpTransport(server.host, server.port)
        transport.send_ping()
        sock = transport._socket
        pid = os.fork()
        if pid == 0:
            # Number 0 of its connection: not the parent's.
            is_fresh = transport.send_ping()["registry_version"] == 0
            os._exit(0 if is_fresh else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert transport.send_ping()["registry_version"] == 1
        assert transport._socket is sock
        transport.close()


def test_interrupting_a_request_drops_the_socket():
    class Interrupted:
        def sendall(self, data):
            raise KeyboardInterrupt

        def close(self):
            pass

    transport = TcpTransport("127.0.0.1", 1)
    transport._socket = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        transport.send_ping()
    assert transport._socket is None


def test_single_reads_are_answered_like_any_other():
    with tcp_server(lambda number, frame: json_frame(0x23, {"ct": frame.ct})) as server:
        transport = TcpTransport(server.host, server.port)
        assert transport._tcp_get_single("f", "k") == {"ct": 2}
        assert transport._tcp_get_single("f", "k", wire_format="json") == {"ct": 1}
        transport.close()
