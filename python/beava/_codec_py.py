# SPDX-License-Identifier: Apache-2.0
"""The pure-Python twin of `beava._codec`: frames and MessagePack, the hot paths of a client.

Enters: Python values; bytes of replies. Leaves: frames and payloads; Python values.
Invariants: byte for byte and error for error the same as bindings/cpython; both run behind the same
tests. Nothing recurses deeper than DEPTH_MAX; nothing is allocated from a declared length alone.
"""

from __future__ import annotations

import re
import struct
from math import isfinite
from typing import Any

DEPTH_MAX = 128  # of a value, as the server's
_HEADER = struct.Struct(">IHB")
_OP_PUSH = 0x0010
_CT_MSGPACK = 0x02
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_ACK = re.compile(rb'"ack_lsn":(\d+)')

_PUSH_HEAD = b"\x82\xa5event"
_PUSH_BODY = b"\xa4body"
_MANY_BODIES = b"\xa6bodies"


def encode_frame(opcode: int, content_type: int, payload: bytes) -> bytes:
    """One frame: length, opcode, content type, payload."""
    if not 0 <= opcode <= 0xFFFF or not 0 <= content_type <= 0xFF:
        raise ValueError("opcode, content type or payload size is out of bounds")
    return _HEADER.pack(3 + len(payload), opcode, content_type) + payload


# ---- packing ------------------------------------------------------------------------------------


def _pack_int(out: bytearray, value: int) -> None:
    if value >= 0:
        if value < 0x80:
            out.append(value)
        elif value <= 0xFF:
            out += b"\xcc" + value.to_bytes(1, "big")
        elif value <= 0xFFFF:
            out += b"\xcd" + value.to_bytes(2, "big")
        elif value <= 0xFFFFFFFF:
            out += b"\xce" + value.to_bytes(4, "big")
        elif value <= _INT_MAX:
            out += b"\xcf" + value.to_bytes(8, "big")
        else:
            raise ValueError("integer does not fit 64 bits")
    elif value >= -32:
        out.append(value & 0xFF)
    elif value >= -0x80:
        out += b"\xd0" + value.to_bytes(1, "big", signed=True)
    elif value >= -0x8000:
        out += b"\xd1" + value.to_bytes(2, "big", signed=True)
    elif value >= -0x80000000:
        out += b"\xd2" + value.to_bytes(4, "big", signed=True)
    elif value >= _INT_MIN:
        out += b"\xd3" + value.to_bytes(8, "big", signed=True)
    else:
        raise ValueError("integer does not fit 64 bits")


def _pack_head(out: bytearray, size: int, fix: int, fix_max: int, wide: tuple[int, ...]) -> None:
    """A length: in the type byte, or after one of the type bytes for 1 (0: none), 2 and 4 bytes."""
    if size <= fix_max:
        out.append(fix | size)
    elif wide[0] and size <= 0xFF:
        out += bytes((wide[0], size))
    elif size <= 0xFFFF:
        out.append(wide[1])
        out += size.to_bytes(2, "big")
    elif size <= 0xFFFFFFFF:
        out.append(wide[2])
        out += size.to_bytes(4, "big")
    else:
        raise ValueError("value is too large")


def _pack_str(out: bytearray, value: str) -> None:
    data = value.encode()
    _pack_head(out, len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB))
    out += data


def _pack(out: bytearray, value: Any, depth: int) -> None:
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, str):
        _pack_str(out, value)
    elif isinstance(value, int):
        _pack_int(out, value)
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError("float must be finite")
        out += b"\xcb" + struct.pack(">d", value)
    elif isinstance(value, dict):
        if depth >= DEPTH_MAX:
            raise ValueError(f"value is nested deeper than {DEPTH_MAX} levels")
        _pack_head(out, len(value), 0x80, 15, (0, 0xDE, 0xDF))
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"keys must be str, not {type(key).__name__}")
            _pack_str(out, key)
            _pack(out, item, depth + 1)
    elif isinstance(value, (list, tuple)):
        if depth >= DEPTH_MAX:
            raise ValueError(f"value is nested deeper than {DEPTH_MAX} levels")
        _pack_head(out, len(value), 0x90, 15, (0, 0xDC, 0xDD))
        for item in value:
            _pack(out, item, depth + 1)
    elif isinstance(value, bytes):
        _pack_head(out, len(value), 0, -1, (0xC4, 0xC5, 0xC6))
        out += value
    else:
        _pack(out, _plain(value), depth)


def _plain(value: Any) -> Any:
    """The Python value behind a numpy scalar."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        plain = value.item()
        if isinstance(plain, (bool, int, float, str, bytes)):
            return plain
    raise TypeError(f"Object of type {type(value).__name__} is not serializable")


def pack(value: Any) -> bytes:
    """A value as MessagePack: shortest forms, floats always 64 bits.

    Raises:
        TypeError: A value or key that has no MessagePack form.
        ValueError: A float that is not finite, an integer beyond 64 bits, too deep nesting.
    """
    out = bytearray()
    _pack(out, value, 0)
    return bytes(out)


def _check_row(fields: Any) -> None:
    if not isinstance(fields, dict):
        raise TypeError(f"an event must be a dict, not {type(fields).__name__}")


def encode_push_frames(
    event: str, rows: list[Any], start: int, payload_size_max: int, size_max: int
) -> tuple[bytes, int, list[tuple[int, Exception]]]:
    """One push frame per row, back to back, from `rows[start]` until they have `size_max` bytes.

    Returns:
        The frames; the index after the last row looked at; and (index, error) of each row that has
        no encoding, which has no frame either.
    """
    out = bytearray()
    errors: list[tuple[int, Exception]] = []
    name = bytearray(_PUSH_HEAD)
    _pack_str(name, event)
    name += _PUSH_BODY
    index = start
    while index < len(rows) and len(out) < size_max:
        begin = len(out)
        try:
            _check_row(rows[index])
            out += b"\0\0\0\0\0\x10\x02"
            out += name
            _pack(out, rows[index], 0)
            size = len(out) - begin - _HEADER.size
            if size > payload_size_max:
                raise ValueError(f"event of {size} bytes exceeds the limit of {payload_size_max}")
            _HEADER.pack_into(out, begin, 3 + size, _OP_PUSH, _CT_MSGPACK)
        except MemoryError:
            raise
        except Exception as error:
            del out[begin:]
            errors.append((index, error))
        index += 1
    return bytes(out), index, errors


def encode_push_many(
    event: str, rows: list[Any], start: int, payload_size_max: int
) -> tuple[bytes, int, list[tuple[int, Exception]]]:
    """The payload {"event": event, "bodies": [...]} of the rows from `rows[start]` that fit.

    Returns:
        The payload; the index after the last row looked at; and (index, error) of each row that
        has no encoding, or does not even fit alone.
    """
    out = bytearray(_PUSH_HEAD)
    errors: list[tuple[int, Exception]] = []
    _pack_str(out, event)
    out += _MANY_BODIES
    count_at = len(out) + 1
    out += b"\xdd\0\0\0\0"
    count = 0
    index = start
    while index < len(rows):
        begin = len(out)
        try:
            _check_row(rows[index])
            _pack(out, rows[index], 0)
            size = len(out)
            if size > payload_size_max:
                if count > 0:
                    del out[begin:]
                    break
                raise ValueError(f"event of {size} bytes exceeds the limit of {payload_size_max}")
            count += 1
        except MemoryError:
            raise
        except Exception as error:
            del out[begin:]
            errors.append((index, error))
        index += 1
    out[count_at : count_at + 4] = count.to_bytes(4, "big")
    return bytes(out), index, errors


# ---- replies ------------------------------------------------------------------------------------


def decode_acks(
    data: bytes, payload_size_max: int
) -> tuple[int, int, int, list[tuple[int, int, bytes]]]:
    """Looks through the replies to a run of pushes.

    Returns:
        Bytes of whole frames; number of frames; the last ack's LSN (0: none); and of every frame
        that is not an ack its index in the run, opcode and payload.

    Raises:
        ValueError: A length that no frame can have.
    """
    at = 0
    count = 0
    last_lsn = 0
    others: list[tuple[int, int, bytes]] = []
    end = len(data)
    while end - at >= 4:
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 3 or length > payload_size_max + 3:
            raise ValueError(f"frame length {length} is out of bounds")
        if end - at - 4 < length:
            break
        opcode = int.from_bytes(data[at + 4 : at + 6], "big")
        payload = data[at + 7 : at + 4 + length]
        match = _ACK.search(payload) if opcode == _OP_PUSH else None
        if match is None or int(match[1]) > _INT_MAX:
            others.append((count, opcode, bytes(payload)))
        else:
            last_lsn = int(match[1])
        count += 1
        at += 4 + length
    return at, count, last_lsn, others


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise ValueError("MessagePack value is cut short")
        self.at += size
        return piece

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, size: int) -> str:
        return self.take(size).decode()


_INTS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_SIGNED = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_STRS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BINS = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _unpack(reader: _Reader, depth: int) -> Any:
    tag = reader.uint(1)
    if tag < 0x80:
        return tag
    if tag >= 0xE0:
        return tag - 0x100
    if 0xA0 <= tag <= 0xBF:
        return reader.text(tag & 31)
    if tag in _CONSTANTS:
        return _CONSTANTS[tag]
    if tag in _INTS:
        return reader.uint(_INTS[tag])
    if tag in _SIGNED:
        return int.from_bytes(reader.take(_SIGNED[tag]), "big", signed=True)
    if tag == 0xCB:
        return struct.unpack(">d", reader.take(8))[0]
    if tag == 0xCA:
        return struct.unpack(">f", reader.take(4))[0]
    if tag in _STRS:
        return reader.text(reader.uint(_STRS[tag]))
    if tag in _BINS:
        return reader.take(reader.uint(_BINS[tag]))
    if tag <= 0x9F or tag in _ARRAYS or tag in _MAPS:
        return _unpack_container(reader, tag, depth)
    raise ValueError(f"MessagePack type 0x{tag:02x} is not supported")


def _unpack_container(reader: _Reader, tag: int, depth: int) -> Any:
    is_array = 0x90 <= tag <= 0x9F or tag in _ARRAYS
    wide = _ARRAYS.get(tag) or _MAPS.get(tag)
    # The length first, then the depth: so a document with both faults has the compiled one's error.
    count = tag & 15 if wide is None else reader.uint(wide)
    if depth >= DEPTH_MAX:
        raise ValueError(f"value is nested deeper than {DEPTH_MAX} levels")
    if is_array:
        return [_unpack(reader, depth + 1) for _ in range(count)]
    out: dict[str, Any] = {}
    for _ in range(count):
        key = _unpack(reader, DEPTH_MAX)
        if not isinstance(key, str):
            raise ValueError("MessagePack map key must be a string")
        out[key] = _unpack(reader, depth + 1)
    return out


def unpack(data: bytes) -> Any:
    """The value of one MessagePack document.

    Raises:
        ValueError: Malformed, cut short, trailing bytes, too deep, or not UTF-8.
    """
    reader = _Reader(data)
    value = _unpack(reader, 0)
    if reader.at != len(data):
        raise ValueError("bytes follow the MessagePack value")
    return value
