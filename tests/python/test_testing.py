# SPDX-License-Identifier: Apache-2.0
"""beava.test: what users test with."""

import inspect

import beava as bv
import beava.test
import pytest
from beava.test import MockApp, assert_features_eq, fixture, replay


@bv.event
class Click:
    user_id: str


@bv.table(key="user_id")
def Clicks(c: Click):
    return c.group_by("user_id").agg(n=bv.count())


def test_names():
    assert sorted(beava.test.__all__) == ["MockApp", "assert_features_eq", "fixture", "replay"]


def test_fixture_is_a_generator_with_a_server_of_its_own(embedded):
    generator = fixture()
    app = next(generator)
    app.register(Click, Clicks)
    replay(app, [{"_event": "Click", "user_id": "a"}] * 3)
    assert_features_eq(app.get(Clicks, "a"), {"n": 3})
    with pytest.raises(StopIteration):
        next(generator)
    assert app._closed


def test_fixture_goes_on_where_reset_is_not_allowed(embedded):
    generator = fixture(test_mode=False)
    assert next(generator).ping()["pong"] is True
    generator.close()


def test_replay_names_what_has_no_source():
    app = MockApp()
    replay(app, [])
    with pytest.raises(ValueError, match=r"events\[1\]: missing '_event' key"):
        replay(app, [{"_event": "E", "a": 1}, {"a": 1}])
    assert app._calls == [("push", "E", {"a": 1})]


@pytest.mark.parametrize(
    ("got", "want"),
    [
        ({}, {}),
        ({"a": 0.1 + 0.2, "b": [1]}, {"a": 0.3, "b": [1]}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {"a": None}),
    ],
)
def test_equal_features(got, want):
    assert_features_eq(got, want)


@pytest.mark.parametrize(
    ("got", "want", "text"),
    [
        ({"a": 1}, {"b": 1}, r"missing keys \['b'\], extra keys \['a'\]"),
        ({"x": 1.0}, {"x": 1.1}, "feature 'x' differs"),
        ({"x": None}, {"x": 1.0}, "feature 'x' differs"),
        ({"x": 0.0}, {"x": None}, "feature 'x' differs"),
        ({"x": "a"}, {"x": "b"}, "feature 'x' differs"),
    ],
)
def test_different_features(got, want, text):
    with pytest.raises(AssertionError, match=text):
        assert_features_eq(got, want)


def test_mock_records_and_answers():
    with MockApp("tcp://h", timeout=1, test_mode=True) as app:
        assert app.register(Click, Clicks, force=True) == {"status": "ok", "registry_version": 2}
        assert app.push(Click, {"a": 1}) == {"ack_lsn": 2, "registry_version": 1}
        app._set_get_response("T", ["a", 1], {"n": 1, "m": 2})
        assert app.get("T", ("a", 1)) == {"n": 1, "m": 2}
        assert app.get("T", ["a", 1], ["n"]) == {"n": 1}
        assert app.get("T") == {}
        assert app.batch_get([("T", ["a", 1]), ("T", "x"), ("T", ("a", 1), ["m"])]) == [
            {"n": 1, "m": 2},
            {},
            {"m": 2},
        ]
        assert app.push_many("E", [{"a": 1}, {"a": 2}]).accepted == 2
        app.reset()
        assert app.get("T", ["a", 1]) == {}
        assert app.ping() == {"server_version": "0.0.0-mock", "registry_version": 2}
    assert app._closed
    assert app._registered == [Click, Clicks]
    assert app._calls[0] == ("register", (Click, Clicks), {"force": True, "dry_run": False})
    assert app._calls[2:5] == [("get", "T", ("a", 1)), ("get", "T", ["a", 1]), ("get", "T", None)]
    assert [call[0] for call in app._calls[6:]] == ["push", "push", "reset", "get", "ping"]


def test_mock_has_the_methods_of_app():
    for name, method in inspect.getmembers(MockApp, inspect.isfunction):
        if not name.startswith("_"):
            parameters = list(inspect.signature(method).parameters)
            assert parameters == list(inspect.signature(getattr(bv.App, name)).parameters)
