# SPDX-License-Identifier: Apache-2.0
import beava as bv
import pytest


@bv.event
class Click:
    user_id: str
    page: str
    n: int


@bv.event
class Other:
    a: str


def by_user(c: Click):
    return c.group_by("user_id").agg(k=bv.count())


def by_none(c: Click):
    return c.agg(k=bv.count())


@pytest.mark.parametrize(
    ("table", "key_cols"),
    [
        (lambda: bv.table(key="user_id")(by_user), ["user_id"]),
        (lambda: bv.table(key=["user_id"])(by_user), ["user_id"]),
        (lambda: bv.table(key=("user_id",))(by_user), ["user_id"]),
        (lambda: bv.table(by_none), []),
        (lambda: bv.table()(by_none), []),
        (lambda: bv.table(key=[])(by_none), []),
    ],
)
def test_spellings(table, key_cols):
    made = table()
    assert type(made).__name__ == "TableDescriptor"
    assert made._key_cols == key_cols
    assert made._kind == "table"
    assert made._name.startswith("by_")
    assert "Click" in repr(made)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: bv.table(key=5)(by_user), r"key= must be str, list, or tuple; got int"),
        (lambda: bv.table("user_id"), "without parens requires a function below it"),
        (lambda: bv.table(lambda: None), "must take at least one parameter"),
        (lambda: bv.table(type("C", (), {})), "must take at least one parameter"),
        (lambda: bv.table(key="other")(by_user), r"keys \['user_id'\] are not the table's key="),
        (lambda: bv.table(by_user), "are not the table's key="),
    ],
)
def test_wrong_use_is_a_type_error(use, text):
    with pytest.raises(TypeError, match=text):
        use()


def test_parameter_must_be_annotated():
    with pytest.raises(
        TypeError, match=r"@bv\.table function '\w+' parameter '\w+' must be annotated with the up"
    ):

        @bv.table
        def T(c):
            return c


def refuse(body, text, **kwargs):
    def T(c: Click):
        return body(c)

    with pytest.raises(TypeError, match=text):
        bv.table(**kwargs)(T)


def test_bodies_are_checked():
    refuse(lambda c: 5, "@bv.table function 'T' must return a chain")
    refuse(lambda c: c.filter(bv.col("n") > 1), "must end in an aggregation")
    refuse(lambda c: c.agg(k=bv.count()).filter(bv.col("k") > 1), "filter after agg")
    refuse(lambda c: c.agg(k=bv.count()).agg(j=bv.count()), "found two")


def test_two_events_are_refused():
    with pytest.raises(TypeError, match="multi-upstream"):

        @bv.table
        def T(c: Click, o: Other):
            return c.agg(k=bv.count())


def test_raw_chain_is_refused_by_name():
    raw = Click.filter(bv.col("n") > 1)
    with pytest.raises(TypeError, match=r"(?s)@bv\.table function 'T' parameter 'c'.*@bv\.event"):

        @bv.table
        def T(c: raw):
            return c.agg(k=bv.count())


def test_naming_a_chain_inside_changes_nothing():
    @bv.table(key="user_id")
    def T(c: Click):
        return c.named("Foo").group_by("user_id").agg(k=bv.count())

    from beava._payload import _descriptor_to_node

    assert _descriptor_to_node(T)["upstreams"] == ["Click"]
