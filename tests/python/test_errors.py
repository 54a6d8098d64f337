# SPDX-License-Identifier: Apache-2.0
import copy
import errno
import pickle

import beava as bv
import httpx
import pytest
from beava import _errors
from beava._errors import error_of_object, refusal, transport_failure


def test_text_has_the_path_only_when_there_is_one():
    assert str(bv.RegistrationError(code="c", path="p", message="m")) == "[c] p: m"
    assert str(bv.RegistrationError(code="c", message="m")) == "[c] m"


def test_every_parameter_is_keyword_only():
    with pytest.raises(TypeError):
        bv.RegistrationError("c")


def test_errors_is_a_list_of_its_own():
    first, second = bv.RegistrationError(code="c"), bv.RegistrationError(code="c")
    first.errors.append(1)
    assert second.errors == []


def test_a_refusal_survives_pickle_and_copy():
    error = error_of_object(
        {"code": "force_required", "reason": "r", "path": "p", "hint": "h", "diff": {"a": []}},
        status=409,
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is bv.ForceRequired
        assert str(again) == str(error) == "[force_required] p: r"
        assert (again.status, again.diff, again.hint) == (409, {"a": []}, "h")
        assert again.details["code"] == "force_required"


def test_all_findings_of_the_server_are_listed():
    error = error_of_object(
        {
            "code": "invalid_registration",
            "errors": [{"code": "a", "path": "p", "reason": "r"}, {"code": "b", "message": "m"}],
        }
    )
    assert error.errors == [bv.ValidationError("a", "p", "r"), bv.ValidationError("b", "", "m")]


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("invalid_event", bv.InvalidEvent),
        ("unknown_table", bv.NotFound),
        ("aggregation_invalid_where", bv.InvalidRegistration),
        ("frame_too_large", bv.ProtocolError),
        ("wal_unavailable", bv.Unavailable),
        ("internal_error", bv.ServerError),
        ("something_new", bv.RegistrationError),
    ],
)
def test_a_code_has_the_class_of_its_family(code, cls):
    error = refusal(code)
    assert type(error) is cls
    assert isinstance(error, bv.RegistrationError)
    assert isinstance(error, bv.BeavaError)


@pytest.mark.parametrize("error", [None, "text", 5, [], {}])
def test_an_error_object_without_code_gets_the_fallback(error):
    assert error_of_object(error).code == "unknown"


def test_validation_error_is_a_hashable_record():
    error = bv.ValidationError("cycle", "p", "m")
    assert str(error) == "[cycle] p: m"
    assert not isinstance(error, Exception)
    assert len({error, bv.ValidationError("cycle", "p", "m")}) == 1
    assert "cycle" in _errors.VALIDATION_ERROR_KINDS
    assert len(_errors.VALIDATION_ERROR_KINDS) == 8


def test_a_refused_connection_keeps_its_type_and_errno():
    cause = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = transport_failure(cause, is_timeout=False, where="tcp://h:1", hint="look")
    assert isinstance(error, ConnectionRefusedError)
    assert isinstance(error, bv.BeavaError)
    assert error.errno == errno.ECONNREFUSED
    assert "tcp://h:1" in str(error)
    assert (error.code, error.hint) == ("connection_failed", "look")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ConnectionRefusedError)
    assert again.errno == errno.ECONNREFUSED


def test_an_httpx_timeout_is_also_a_timeout_error():
    error = transport_failure(httpx.ReadTimeout("slow"), is_timeout=True)
    assert isinstance(error, httpx.TimeoutException)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, bv.BeavaError)
    assert error.code == "timeout"
    assert str(error) == "slow"


def test_an_httpx_connect_error_is_also_a_connection_error():
    error = transport_failure(httpx.ConnectError("no"), is_timeout=False)
    assert isinstance(error, httpx.ConnectError)
    assert isinstance(error, ConnectionError)


def test_a_traceback_shows_the_hint_and_what_would_be_lost():
    error = error_of_object(
        {
            "code": "force_required",
            "reason": "Destructive.",
            "hint": "use dry_run",
            "diff": {"destructive": [{"kind": "agg_removal", "table": "T", "agg": "n"}]},
        }
    )
    assert str(error) == "[force_required] Destructive."
    assert error.__notes__ == ["use dry_run", "would change or drop: T.n (agg_removal)"]
    assert pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__
    assert not hasattr(refusal("invalid_event", "m"), "__notes__")


def test_an_unknown_feature_is_not_found_whatever_its_code():
    error = error_of_object({"code": "internal_error", "message": "feature_not_found: missing=[]"})
    assert type(error) is bv.NotFound
    assert error.code == "internal_error"
