# SPDX-License-Identifier: Apache-2.0
import datetime

import numpy
import pytest
from beava import _json


def test_text_is_utf8_and_numpy_scalars_are_values():
    row = {"s": "ä", "i": numpy.int64(3), "f": numpy.float32(0.5), "b": numpy.bool_(False)}
    assert _json.encode(row) == '{"s": "ä", "i": 3, "f": 0.5, "b": false}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_must_be_finite(value):
    with pytest.raises(ValueError):
        _json.encode({"x": value})


@pytest.mark.parametrize("value", [object(), b"x", {1, 2}, numpy.zeros(2)])
def test_what_has_no_json_form_is_a_type_error(value):
    with pytest.raises((TypeError, ValueError)):
        _json.encode({"x": value})


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        (None, ""),
        ("a", "a"),
        (5, "5"),
        (-1, "-1"),
        (True, "true"),
        (False, "false"),
        (2.0, "2.0"),
        (1.5, "1.5"),
        (("a", 1), ["a", 1]),
        (["a", "b"], ["a", "b"]),
        (numpy.int64(7), "7"),
    ],
)
def test_keys_are_sent_as_their_canonical_text(key, sent):
    assert _json.key_of(key) == sent


def test_features_are_sent_when_they_are_given():
    assert _json.read_request("T", "k", None) == {"table": "T", "key": "k"}
    assert _json.read_request("T", "k", []) == {"table": "T", "key": "k", "features": []}
    assert _json.read_request("T", "k", ("a",))["features"] == ["a"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ({"a": 1, "at": datetime.datetime(2024, 1, 1)}, TypeError, "at: datetime .*isoformat"),
        ({"a": {"b": [1, b"x"]}}, TypeError, r"a.b\[1\]: bytes cannot be sent"),
        ({"x": float("nan")}, ValueError, "x: nan is not finite"),
        (object(), TypeError, "object cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_named_with_its_field(value, error, text):
    with pytest.raises(error, match=text):
        _json.encode(value)


def test_text_that_is_not_unicode_is_noted_with_its_field():
    with pytest.raises(UnicodeEncodeError) as caught:
        _json.encode({"user": "\ud800"})
    assert caught.value.__notes__ == ["user: not valid Unicode"]


def test_features_are_a_list():
    with pytest.raises(TypeError, match=r"got 'total', write \['total'\]"):
        _json.read_request("T", "a", "total")
