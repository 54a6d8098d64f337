# SPDX-License-Identifier: Apache-2.0
"""Segments of the log, read and changed after docs/formats.md alone.

Nothing here comes from the core: that this is enough to find groups, cut them and write a header is
part of what the corpus shows.
"""

from __future__ import annotations

import pathlib
import struct

PAGE = 4096
HEADER = struct.Struct("<II8sIIQQQQII")  # 2.1
RECORD = struct.Struct("<IIQQIHHII")  # 2.2
MARK = 1
RECYCLED = 1


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def paths(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return sorted((data_dir / "wal").glob("segment-*.log"))


def header(data: bytes) -> tuple[int, int, int]:
    """flags, number, salt of a header page that checks."""
    length, crc, magic, version, flags, number, _, salt, _, _, _ = HEADER.unpack_from(data)
    assert (length, magic, version) == (PAGE, b"beavaLOG", 1)
    assert crc == crc32c(data[8:PAGE])
    return flags, number, salt


def groups(path: pathlib.Path) -> list[int]:
    """Where the groups begin: pages that hold a mark with the segment's number and salt."""
    data = path.read_bytes()
    _, number, salt = header(data)
    found = []
    for at in range(PAGE, len(data) - 71, PAGE):
        length, crc, _, _, count, kind, _, _, _ = RECORD.unpack_from(data, at)
        if (length, count, kind) != (72, 0, MARK) or crc != crc32c(data[at + 8 : at + 72]):
            continue
        if struct.unpack_from("<QQ", data, at + 40) == (number, salt):
            found.append(at)
    return found


def trim(path: pathlib.Path) -> None:
    """Prepared space may as well be the end of the file."""
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + bytes(-len(data) % PAGE))


def cut(path: pathlib.Path, size: int) -> None:
    data = path.read_bytes()
    assert size < len(data) and data[size:].strip(b"\0"), "something is cut"
    path.write_bytes(data[:size])


def flip(path: pathlib.Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def recycle(path: pathlib.Path, old: bytes) -> None:
    """As if the segment had been made from a spare that held `old`."""
    data = bytearray(path.read_bytes())
    flags, _, _ = header(bytes(data))
    struct.pack_into("<I", data, 20, flags | RECYCLED)
    struct.pack_into("<I", data, 4, crc32c(bytes(data[8:PAGE])))
    tail = old[len(data) :] if old[len(data) :].strip(b"\0") else old[PAGE:]
    tail = tail.rstrip(b"\0")
    path.write_bytes(bytes(data) + tail + bytes(-len(tail) % PAGE))
    assert header(path.read_bytes())[0] & RECYCLED
