# SPDX-License-Identifier: Apache-2.0
import io

import beava as bv
import pytest
from beava import _wire
from beava._wire import (
    Frame,
    FrameTooLarge,
    IncompleteFrame,
    check_reply,
    decode_frame,
    encode_frame,
    parse_register_response,
    read_frame,
)


class Pieces:
    """A socket that gives `size` bytes at a time."""

    def __init__(self, data, size):
        self._file = io.BytesIO(data)
        self._size = size

    def recv(self, size):
        return self._file.read(min(size, self._size))


def test_golden_frame():
    frame = encode_frame(1, 1, b"hello")
    assert frame.hex(" ") == "00 00 00 08 00 01 01 68 65 6c 6c 6f"
    assert decode_frame(frame + b"more") == Frame(1, 1, b"hello")


def test_constants():
    assert (_wire.OP_PING, _wire.OP_REGISTER, _wire.OP_PUSH) == (0, 1, 0x10)
    assert (_wire.OP_GET, _wire.OP_MGET, _wire.OP_GET_MULTI) == (0x20, 0x21, 0x22)
    assert (_wire.OP_GET_RESPONSE, _wire.OP_BATCH_GET, _wire.OP_RESET) == (0x23, 0x24, 0x40)
    assert (_wire.OP_ERROR_RESPONSE, _wire.CT_JSON, _wire.CT_MSGPACK) == (0xFFFF, 1, 2)
    assert _wire.MAX_FRAME_BYTES == 4_194_304


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"\0\0", IncompleteFrame, "need >=4 bytes"),
        (b"\0\0\0\2\0\0", IncompleteFrame, "< 3"),
        ((4_194_308).to_bytes(4, "big"), FrameTooLarge, "too_large"),
        (b"\0\0\0\5\0\1\1", IncompleteFrame, "need 9 bytes"),
    ],
)
def test_bad_frames_in_their_order(data, error, text):
    with pytest.raises(error, match=text):
        decode_frame(data)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_frames_are_read_from_pieces(size):
    stream = Pieces(encode_frame(1, 2, b"payload") + encode_frame(3, 1, b""), size)
    assert read_frame(stream) == Frame(1, 2, b"payload")
    assert read_frame(stream) == Frame(3, 1, b"")
    with pytest.raises(IncompleteFrame, match="socket closed after 0/4 bytes"):
        read_frame(stream)


def test_a_stream_that_ends_in_a_frame():
    with pytest.raises(IncompleteFrame, match="socket closed after 4/8"):
        read_frame(Pieces(encode_frame(1, 1, b"hello")[:8], 100))
    with pytest.raises(FrameTooLarge):
        read_frame(Pieces(encode_frame(1, 1, b"hello"), 100), max_frame_bytes=4)


def test_register_responses():
    assert parse_register_response(Frame(1, 1, b'{"status":"ok"}')) == {"status": "ok"}
    error = b'{"error":{"code":"invalid_registration","path":"nodes[0].name","reason":"bad"}}'
    with pytest.raises(bv.InvalidRegistration) as caught:
        parse_register_response(Frame(0xFFFF, 1, error))
    assert str(caught.value) == "[invalid_registration] nodes[0].name: bad"
    with pytest.raises(bv.RegistrationError, match="0x1234") as caught:
        parse_register_response(Frame(0x1234, 1, b"{}"))
    assert caught.value.code == "unexpected_frame"
    for body, code in ((b"nope", "unparseable_error"), (b"[]", "unexpected_frame")):
        with pytest.raises(bv.ProtocolError) as caught:
            parse_register_response(Frame(0xFFFF, 1, body))
        assert caught.value.code == code
    with pytest.raises(bv.RegistrationError) as caught:
        parse_register_response(Frame(0xFFFF, 1, b"{}"))
    assert caught.value.code == "unknown"


def test_other_replies():
    assert check_reply(Frame(0x10, 1, b'{"ack_lsn":1}'), 0x10) == {"ack_lsn": 1}
    with pytest.raises(bv.InvalidEvent) as caught:
        body = b'{"error":{"code":"invalid_event","path":"data.n","message":"expected int"}}'
        check_reply(Frame(0xFFFF, 1, body), 0x10)
    assert str(caught.value) == "[invalid_event] data.n: expected int"
    with pytest.raises(bv.ProtocolError, match="0x0010.*0x0023") as caught:
        check_reply(Frame(0x23, 1, b"{}"), 0x10)
    assert caught.value.code == "unexpected_frame"
    with pytest.raises(bv.ProtocolError, match="unsupported") as caught:
        check_reply(Frame(0xFFFF, 1, b'{"code":"unsupported"}'), 0x10)
    assert caught.value.code == "unexpected_frame"
    with pytest.raises(bv.ProtocolError) as caught:
        check_reply(Frame(0xFFFF, 1, b"<html>"), 0x10)
    assert caught.value.code == "unparseable_error"
