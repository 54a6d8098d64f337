# SPDX-License-Identifier: Apache-2.0
"""The TCP frame: u32 length | u16 opcode | u8 content type | payload, big-endian.

Enters: bytes or a socket. Leaves: frames. Invariant: a frame is whole or it is an exception.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from ._errors import BeavaError, error_of_object, refusal
from ._fast import encode_frame as _encode_frame

OP_PING = 0x0000
OP_REGISTER = 0x0001
OP_PUSH = 0x0010
OP_PUSH_MANY = 0x0012
OP_GET = 0x0020
OP_MGET = 0x0021
OP_GET_MULTI = 0x0022
OP_GET_RESPONSE = 0x0023
OP_BATCH_GET = 0x0024
OP_RESET = 0x0040
OP_ERROR_RESPONSE = 0xFFFF

CT_JSON = 0x01
CT_MSGPACK = 0x02

MAX_FRAME_BYTES = 4_194_304  # of payload

_LENGTH_SIZE = 4
_HEAD_SIZE = 3  # opcode and content type


class FrameTooLarge(BeavaError):
    """A frame declares more than the limit."""

    code = "frame_too_large"


class IncompleteFrame(BeavaError, ConnectionError):
    """The bytes end before the frame does."""

    code = "incomplete_frame"


@dataclass
class Frame:
    """One frame."""

    op: int
    ct: int
    payload: bytes


class Receiver(Protocol):
    """What `read_frame` needs of a socket."""

    def recv(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end of the stream."""


def encode_frame(op: int, ct: int, payload: bytes) -> bytes:
    """A frame's bytes."""
    return _encode_frame(op, ct, payload)


def _check_length(length: int, max_frame_bytes: int) -> None:
    if length < _HEAD_SIZE:
        raise IncompleteFrame(f"frame length {length} < 3, the size of opcode and content type")
    if length > max_frame_bytes + _HEAD_SIZE:
        raise FrameTooLarge(
            f"frame_too_large: declared length {length} exceeds {max_frame_bytes + _HEAD_SIZE}"
        )


def decode_frame(buf: bytes, max_frame_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """The frame at the front of `buf`; what follows it is ignored.

    Raises:
        IncompleteFrame: More bytes are needed, or the length is impossible.
        FrameTooLarge: The declared length exceeds the limit.
    """
    if len(buf) < _LENGTH_SIZE:
        raise IncompleteFrame(f"need >=4 bytes, have {len(buf)}")
    length = int.from_bytes(buf[:_LENGTH_SIZE], "big")
    _check_length(length, max_frame_bytes)
    size = _LENGTH_SIZE + length
    if len(buf) < size:
        raise IncompleteFrame(f"need {size} bytes, have {len(buf)}")
    return Frame(int.from_bytes(buf[4:6], "big"), buf[6], bytes(buf[7:size]))


def _read_exactly(sock: Receiver, size: int) -> bytes:
    pieces: list[bytes] = []
    have = 0
    while have < size:
        piece = sock.recv(size - have)
        if not piece:
            raise IncompleteFrame(f"socket closed after {have}/{size} bytes")
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)


def read_frame(sock: Receiver, max_frame_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """The next frame of a stream.

    Raises:
        IncompleteFrame: The stream ended.
        FrameTooLarge: The declared length exceeds the limit.
    """
    length = int.from_bytes(_read_exactly(sock, _LENGTH_SIZE), "big")
    _check_length(length, max_frame_bytes)
    rest = _read_exactly(sock, length)
    return Frame(int.from_bytes(rest[:2], "big"), rest[2], rest[3:])


def decode_json(payload: bytes, *, status: int | None = None) -> Any:
    """A reply's JSON.

    Raises:
        RegistrationError: It is not JSON (code "unparseable_error").
    """
    try:
        return json.loads(payload)
    except ValueError:
        text = payload[:200].decode(errors="replace")
        raise refusal(
            "unparseable_error", f"the reply is not JSON: {text}", status=status
        ) from None


def check_reply(frame: Frame, expected: int) -> Any:
    """The body of a reply of opcode `expected`.

    Raises:
        RegistrationError: The reply is a refusal, or of another opcode.
    """
    if frame.op == expected:
        return decode_json(frame.payload)
    if frame.op != OP_ERROR_RESPONSE:
        raise refusal(
            "unexpected_frame",
            f"expected opcode 0x{expected:04x}, received 0x{frame.op:04x}: {frame.payload[:200]!r}",
        )
    body = decode_json(frame.payload)
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("code"), str):
        raise error_of_object(error)
    raise refusal(
        "unexpected_frame",
        f"expected opcode 0x{expected:04x}, received 0x{frame.op:04x}: {body!r}",
        details=body if isinstance(body, dict) else None,
    )


def parse_register_response(frame: Frame) -> dict[str, Any]:
    """The body of the reply to a registration.

    Raises:
        RegistrationError: The server refused it, or the reply makes no sense.
    """
    if frame.op not in (OP_REGISTER, OP_ERROR_RESPONSE):
        raise refusal("unexpected_frame", f"unexpected opcode 0x{frame.op:04x}")
    body = decode_json(frame.payload)
    if not isinstance(body, dict):
        raise refusal("unexpected_frame", f"the reply is not an object: {body!r}")
    if frame.op == OP_ERROR_RESPONSE:
        raise error_of_object(body.get("error"))
    return body
