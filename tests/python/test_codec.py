# SPDX-License-Identifier: Apache-2.0
"""The compiled codec and its twin behind the same tests."""

import gc
import struct
import sys
import tracemalloc

import msgpack
import numpy
import pytest
from beava import _codec, _codec_py
from beava._wire import MAX_FRAME_BYTES
from hypothesis import example, given, settings
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("codec", [_codec, _codec_py], ids=["c", "python"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_both_pack_as_the_library_does(value):
    expected = msgpack.packb(value)
    assert _codec.pack(value) == _codec_py.pack(value) == expected
    assert _codec.unpack(expected) == _codec_py.unpack(expected) == value


@settings(max_examples=300, deadline=None)
@example(b"\x81\xdc")
@given(st.binary(max_size=40))
def test_both_unpack_any_bytes_to_the_same_value_or_error(data):
    results = []
    for codec in (_codec, _codec_py):
        try:
            results.append(repr(codec.unpack(data)))
        except ValueError as error:
            results.append(f"{type(error).__name__}: {error}")
    assert results[0] == results[1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0x10, 0xFFFF]), st.binary(max_size=30))), st.data())
def test_both_cut_replies_alike(frames, data):
    stream = b"".join(_codec.encode_frame(op, 1, payload) for op, payload in frames)
    stream = stream[: data.draw(st.integers(0, len(stream)))]
    assert _codec.decode_acks(stream, 1000) == _codec_py.decode_acks(stream, 1000)


@BOTH
@pytest.mark.parametrize(
    ("number", "hex_bytes"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65536, "ce00010000"),
        (2**32, "cf0000000100000000"),
        (2**64 - 1, "cfffffffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-129, "d1ff7f"),
        (-32769, "d2ffff7fff"),
        (-(2**31) - 1, "d3ffffffff7fffffff"),
        (-(2**63), "d38000000000000000"),
    ],
)
def test_integers_take_their_shortest_form(codec, number, hex_bytes):
    assert codec.pack(number).hex() == hex_bytes
    assert codec.unpack(bytes.fromhex(hex_bytes)) == number


@BOTH
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (float("nan"), ValueError, "float must be finite"),
        (float("-inf"), ValueError, "float must be finite"),
        (2**64, ValueError, "integer does not fit 64 bits"),
        (-(2**63) - 1, ValueError, "integer does not fit 64 bits"),
        ({1: 2}, TypeError, "keys must be str, not int"),
        ({"a": object()}, TypeError, "Object of type object is not serializable"),
        ({"a": numpy.zeros(2)}, (TypeError, ValueError), "."),
        ("\ud800", UnicodeEncodeError, "surrogates"),
    ],
)
def test_what_has_no_encoding_is_named(codec, value, error, text):
    with pytest.raises(error, match=text):
        codec.pack(value)


@BOTH
def test_numpy_scalars_are_packed_as_what_they_stand_for(codec):
    row = {"i": numpy.int64(-5), "f": numpy.float32(0.5), "b": numpy.bool_(True)}
    assert codec.unpack(codec.pack(row)) == {"i": -5, "f": 0.5, "b": True}


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@BOTH
def test_depth_ends_at_its_limit(codec):
    assert codec.DEPTH_MAX == 128
    assert codec.unpack(codec.pack(nested(128))) == nested(128)
    with pytest.raises(ValueError, match="nested deeper than 128"):
        codec.pack(nested(129))
    with pytest.raises(ValueError, match="nested deeper than 128"):
        codec.unpack(b"\x91" * 128 + b"\x90")
    with pytest.raises(ValueError, match="nested deeper than 128"):
        codec.pack({"a": {"b": nested(127)}})


@BOTH
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", "cut short"),
        ("cd01", "cut short"),
        ("dfffffffff", "cut short"),
        ("ddffffffff", "cut short"),
        ("dbffffffff61", "cut short"),
        ("c1", "0xc1 is not supported"),
        ("d40100", "0xd4 is not supported"),
        ("0000", "bytes follow"),
        ("810100", "key must be a string"),
        ("819000", "nested deeper"),
    ],
)
def test_malformed_messagepack_is_refused(codec, data, text):
    with pytest.raises(ValueError, match=text):
        codec.unpack(bytes.fromhex(data))


@BOTH
def test_text_that_is_not_utf8_is_refused(codec):
    with pytest.raises(UnicodeDecodeError):
        codec.unpack(b"\xa1\xff")


@BOTH
def test_float32_is_widened(codec):
    assert codec.unpack(b"\xca" + struct.pack(">f", 0.1)) == 0.10000000149011612


@BOTH
def test_push_frame_is_the_published_example(codec):
    frames, at, errors = codec.encode_push_frames("Tx", [{"u": "a", "n": 7}], 0, 100, 100)
    assert frames.hex() == ("0000001a00100282a56576656e74a25478a4626f647982a175a161a16e07")
    assert (at, errors) == (1, [])


@BOTH
def test_a_row_without_encoding_leaves_no_byte(codec):
    rows = [{"a": 1}, {"a": float("nan")}, 5, {"a": "x" * 200}, {"a": 2}]
    frames, at, errors = codec.encode_push_frames("E", rows, 0, 100, 10_000)
    alone, _, _ = codec.encode_push_frames("E", [{"a": 1}, {"a": 2}], 0, 100, 10_000)
    assert (frames, at) == (alone, 5)
    assert [(i, type(e).__name__, str(e)) for i, e in errors] == [
        (1, "ValueError", "float must be finite"),
        (2, "TypeError", "an event must be a dict, not int"),
        (3, "ValueError", "event of 219 bytes exceeds the limit of 100"),
    ]


@BOTH
def test_frames_stop_when_they_have_their_size(codec):
    rows = [{"a": i} for i in range(10)]
    at, frames = 0, b""
    while at < len(rows):
        piece, at, _ = codec.encode_push_frames("E", rows, at, 100, 50)
        frames += piece
    assert frames == codec.encode_push_frames("E", rows, 0, 100, 10_000)[0]
    assert len(piece) < 100


@BOTH
def test_batch_is_split_where_it_no_longer_fits(codec):
    rows = [{"a": "x" * 30}] * 5 + [{"a": "y" * 200}, {"a": 1}]
    at, bodies, refused = 0, [], []
    while at < len(rows):
        payload, at, errors = codec.encode_push_many("E", rows, at, 100)
        assert len(payload) <= 100
        decoded = msgpack.unpackb(payload)
        assert decoded["event"] == "E"
        bodies += decoded["bodies"]
        refused += [index for index, _ in errors]
    assert bodies == [*rows[:5], {"a": 1}]
    assert refused == [5]


@BOTH
def test_acks_are_counted_and_others_handed_back(codec):
    ack = b'{"ack_lsn":%d,"idempotent_replay":false,"registry_version":2}'
    error = b'{"error":{"code":"event_not_found"}}'
    stream = (
        codec.encode_frame(0x10, 1, ack % 46)
        + codec.encode_frame(0xFFFF, 1, error)
        + codec.encode_frame(0x10, 1, ack % 84)
        + codec.encode_frame(0x10, 1, b"{}")
    )
    whole = (len(stream), 4, 84, [(1, 0xFFFF, error), (3, 0x10, b"{}")])
    assert codec.decode_acks(stream, 1000) == whole
    assert codec.decode_acks(stream + b"\0\0", 1000) == whole
    assert codec.decode_acks(b"", 1000) == (0, 0, 0, [])


@BOTH
@pytest.mark.parametrize("length", [0, 2, 1004, 2**32 - 1])
def test_an_impossible_length_is_refused(codec, length):
    with pytest.raises(ValueError, match="out of bounds"):
        codec.decode_acks(length.to_bytes(4, "big"), 1000)


@BOTH
def test_a_list_that_changes_while_it_is_packed_is_no_crash(codec):
    rows = []

    class Shrinks:
        def item(self):
            rows.clear()
            return 1

    Shrinks.__module__ = "numpy"
    rows += [{"a": Shrinks()}, {"a": 2}, {"a": 3}]
    _, at, errors = codec.encode_push_frames("E", rows, 0, 100, 1000)
    assert (at, errors) == (1, [])


@BOTH
def test_arguments_are_checked(codec):
    with pytest.raises(TypeError):
        codec.pack()
    with pytest.raises((TypeError, AttributeError)):
        codec.encode_push_frames(5, [], 0, 1, 1)
    with pytest.raises(TypeError):
        codec.encode_frame("a", 1, b"")
    with pytest.raises(ValueError, match="out of bounds"):
        codec.encode_frame(0x10000, 1, b"")


def refused(error, function, *arguments):
    with pytest.raises(error):
        function(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _codec.pack({"a": [1, "b", 2.5, None, True, 2**63, b"x"]}),
        lambda: _codec.unpack(_codec.pack({"a": [1, "b", 2.5, None, True, 2**63, b"x"]})),
        lambda: _codec.encode_push_frames("E", [{"a": 1}, 5, {1: 2}], 0, 100, 1000),
        lambda: _codec.encode_push_many("E", [{"a": 1}, 5, {1: 2}], 0, MAX_FRAME_BYTES),
        lambda: _codec.decode_acks(_codec.encode_frame(0xFFFF, 1, b"x"), 100),
        lambda: refused(ValueError, _codec.unpack, b"\x92\x01"),
        lambda: refused(ValueError, _codec.unpack, b"\x82\xa1a\x01"),
        lambda: refused(ValueError, _codec.decode_acks, b"\0\0\0\0", 1),
        lambda: refused(ValueError, _codec.pack, [[1.0], float("nan")]),
    ],
)
def test_nothing_leaks(call):
    for _ in range(50):
        call()
    gc.collect()
    blocks = sys.getallocatedblocks()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(300):
        call()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000
    assert sys.getallocatedblocks() - blocks < 250
