# SPDX-License-Identifier: Apache-2.0
import datetime

import beava as bv
import pytest
from beava._events import EventDerivation, GroupBy


@bv.event
class Click:
    user_id: str
    page: str
    amount: float
    n: int


@bv.event
def Big(c: Click):
    return c.filter(bv.col("amount") > 100)


def steps(chain):
    return chain._chain


def test_decorating_returns_the_class_itself():
    class Plain:
        a: int
        b: str = "default"

    decorated = bv.event(Plain)
    assert decorated is Plain
    assert (Plain._name, Plain._kind, Plain._chain) == ("Plain", "event_source", [])
    assert Plain._schema == {"a": int, "b": str}
    assert (Plain._keep_events_for, Plain._cold_after) == (None, None)
    assert Plain().b == "default"


def test_three_spellings():
    assert bv.event(type("A", (), {"__annotations__": {"x": int}}))._name == "A"
    assert bv.event()(type("A", (), {"__annotations__": {"x": int}}))._name == "A"
    b = bv.event(cold_after="1h")(type("B", (), {"__annotations__": {"x": int}}))
    assert b._cold_after == "1h"


def test_a_field_may_share_a_methods_name():
    @bv.event
    class Odd:
        filter: str
        agg: int

    assert list(Odd._schema) == ["filter", "agg"]
    assert callable(Odd.filter)


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (
            lambda c: c.filter(bv.col("n") > 1),
            {"op": "filter", "expr": "(n > 1)"},
        ),
        (lambda c: c.select("a", "b"), {"op": "select", "fields": ["a", "b"]}),
        (lambda c: c.drop("a"), {"op": "drop", "fields": ["a"]}),
        (lambda c: c.rename(n="m"), {"op": "rename", "mapping": {"n": "m"}}),
        (
            lambda c: c.with_columns(k=1, z=bv.col("n") + 1, q=None),
            {"op": "with_columns", "exprs": {"k": "1", "z": "(n + 1)", "q": "null"}},
        ),
        (lambda c: c.map(k=True), {"op": "with_columns", "exprs": {"k": "true"}}),
        (lambda c: c.cast(n="float"), {"op": "cast", "type_map": {"n": "float"}}),
        (lambda c: c.fillna(n=0), {"op": "fillna", "defaults": {"n": 0}}),
        (lambda c: c.named("X"), {"op": "rename_self", "name": "X"}),
    ],
)
@pytest.mark.parametrize("start", [Click, Big])
def test_step_is_appended_to_a_new_chain(start, make, step):
    before = list(steps(start))
    chain = make(start)
    assert isinstance(chain, EventDerivation)
    assert steps(chain) == [*before, step]
    assert steps(start) == before
    assert chain._kind == "event_derivation"
    assert chain._is_bv_event_function is False


def test_names_of_chains():
    one = Click.filter(bv.col("n") > 1)
    assert one._name == "Click__derived_1"
    assert one.drop("n")._name == "Click__derived_1__derived_2"
    assert one.named("X")._name == "X"
    assert Click.agg(n=bv.count())._name == "Click__agg"


def test_group_by_and_agg():
    group = Click.group_by("user_id", "page")
    assert isinstance(group, GroupBy)
    assert group._keys == ("user_id", "page")
    with pytest.warns(UserWarning, match=r"agg\(odd=5\) is not an operator"):
        chain = group.agg(n=bv.count(), raw={"op": "sum", "field": "n"}, odd=5)
    assert chain._kind == "aggregation"
    assert chain._key_cols == ["user_id", "page"]
    assert steps(chain)[-1] == {
        "op": "agg",
        "keys": ["user_id", "page"],
        "aggs": {"n": {"op": "count"}, "raw": {"op": "sum", "field": "n"}, "odd": 5},
    }
    assert steps(Click.agg(n=bv.count())) == steps(Click.group_by().agg(n=bv.count()))


def test_filter_wants_an_expression():
    with pytest.raises(TypeError, match="filter expects an expression"):
        Click.filter("a > 1")


def test_a_bare_string_column_warns():
    with pytest.warns(UserWarning, match=r"bv\.lit\('page'\)"):
        chain = Click.with_columns(s="page")
    assert steps(chain)[-1]["exprs"] == {"s": "page"}


def test_fillna_with_none_is_refused():
    with pytest.raises(TypeError, match=r"fillna\(x=None\)"):
        Click.fillna(x=None)


def test_cast_names_target_and_field():
    with pytest.raises(ValueError, match=r"cast target 'blob' for 'amount' not in"):
        Click.cast(amount="blob")


# ---- settings ----


def decorate(**kwargs):
    return bv.event(**kwargs)(type("S", (), {"__annotations__": {"x": str}}))


@pytest.mark.parametrize("name", ["tolerate_delay", "event_time_field"])
def test_unsupported_keyword_is_refused(name):
    with pytest.raises(TypeError, match=f"'{name}' is not supported"):
        decorate(**{name: "x"})


def test_a_field_called_event_time_is_refused():
    with pytest.raises(TypeError, match="event_time.*not supported"):
        bv.event(type("S", (), {"__annotations__": {"event_time": int}}))
    assert bv.event(type("S", (), {"__annotations__": {"event_time_ms": int}}))


def test_settings_are_kept_raw():
    source = decorate(
        keep_events_for="30d", cold_after="1h", dedupe_key="x", dedupe_window=datetime.timedelta(1)
    )
    assert (source._keep_events_for, source._cold_after) == ("30d", "1h")
    assert (source._dedupe_key, source._dedupe_window) == ("x", datetime.timedelta(1))


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"dedupe_key": "nope", "dedupe_window": "1h"}, "dedupe_key 'nope' is not a field"),
        ({"dedupe_key": "x"}, "must be given together"),
        ({"dedupe_window": "1h"}, "must be given together"),
        ({"cold_after": "soon"}, "invalid duration string"),
        ({"keep_events_for": 5}, "invalid duration string"),
        ({"cold_after": "forever"}, "forever"),
        ({"cold_after": "500ms"}, "cold_after must be ≥ 1s"),
        ({"cold_after": "366d"}, "cold_after must be ≤ 365d in v0"),
        ({"dedupe_key": "x", "dedupe_window": "0s"}, "longer than 0"),
    ],
)
def test_bad_setting_is_refused(kwargs, text):
    with pytest.raises(TypeError, match=text):
        decorate(**kwargs)


def test_unknown_keyword_warns_with_the_nearest():
    with pytest.warns(UserWarning, match="did you mean 'cold_after'"):
        decorate(cold_afterr="1h")


# ---- functions ----


def test_derived_event_has_the_functions_name():
    assert (Big._name, Big._is_bv_event_function) == ("Big", True)
    assert "Click" in repr(Big)


def test_returning_the_parameter_does_not_rename_it():
    @bv.event
    def Same(b: Big):
        return b

    assert (Same._name, Big._name) == ("Same", "Big")
    assert steps(Same) == steps(Big)


def test_function_must_return_a_chain():
    with pytest.raises(TypeError, match="@bv.event function 'F' must return a chain"):

        @bv.event
        def F(c: Click):
            return 5


def test_function_must_take_a_parameter():
    with pytest.raises(TypeError, match="must take at least one parameter"):

        @bv.event
        def F():
            return Big


def test_parameter_must_be_annotated():
    with pytest.raises(TypeError, match="'F' parameter 'c' must be annotated"):

        @bv.event
        def F(c):
            return c


def test_two_events_are_refused():
    with pytest.raises(TypeError, match=r"'F'.*multi-upstream.*\['c', 'b'\].*not supported in v0"):

        @bv.event
        def F(c: Click, b: Big):
            return c.filter(bv.col("n") > 1)


def test_other_parameters_get_their_annotation():
    @bv.event
    def F(c: Click, limit: 5):
        return c.filter(bv.col("n") > limit)

    assert steps(F)[-1]["expr"] == "(n > 5)"


def test_a_raw_chain_is_no_annotation():
    raw = Click.filter(bv.col("n") > 1)
    with pytest.raises(
        TypeError, match=r"(?s)@bv\.event function 'F' parameter 'c'.*EventDerivation.*raw chain"
    ):

        @bv.event
        def F(c: raw):
            return c


@pytest.mark.parametrize("function", [bv.count, sum])
def test_a_feature_that_is_a_function_is_refused(function):
    with pytest.raises(TypeError, match=r"agg\(total=...\): expected an operator.*itself"):
        Click.group_by("user_id").agg(total=function)


@pytest.mark.parametrize("step", ["group_by", "select", "drop"])
def test_steps_take_names_one_by_one(step):
    with pytest.raises(TypeError, match=rf"{step}\('user_id', 'page'\)"):
        getattr(Click, step)(["user_id", "page"])
    with pytest.raises(TypeError, match=f"{step} takes names of fields"):
        getattr(Click, step)(bv.col("user_id"))


def test_an_upstream_that_was_not_decorated_is_named():
    class Plain:
        user_id: str

    class Child(Click):
        more: int

    def f(e: Plain):
        return e.filter(bv.col("n") > 1)

    def g(e: Child):
        return e.filter(bv.col("n") > 1)

    with pytest.raises(TypeError, match=r"'f' parameter 'e': Plain is not an event; decorate it"):
        bv.event(f)
    with pytest.raises(TypeError, match=r"'g' parameter 'e': Child is not an event"):
        bv.table(key="user_id")(g)
