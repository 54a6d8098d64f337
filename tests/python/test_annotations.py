# SPDX-License-Identifier: Apache-2.0
"""Names in annotations, as written and deferred (this module imports no annotations future; the
other half of the cases lives in deferred_cases.py, which does)."""

import functools
from typing import Optional

import beava as bv
import deferred_cases
import pytest
from beava._payload import _descriptor_to_node


@bv.event
class Click:
    user_id: str


def upstream_fields(descriptor):
    from beava._events import root_of

    return list(root_of(descriptor)._fields)


def test_module_level_class():
    @bv.event
    def Some(c: Click):
        return c.filter(bv.col("user_id") == "a")

    assert upstream_fields(Some) == ["user_id"]


def test_local_class_shadows_the_module_level_one():
    @bv.event
    class Click:
        other: int

    @bv.event
    def Some(c: "Click"):
        return c.filter(bv.col("other") == 1)

    assert upstream_fields(Some) == ["other"]


def make(cls):
    @bv.table(key="user_id")
    def T(c: cls):
        return c.group_by("user_id").agg(n=bv.count())

    return T


def test_class_captured_from_an_enclosing_function():
    assert _descriptor_to_node(make(Click))["upstreams"] == ["Click"]


@functools.lru_cache(maxsize=1)
def cached_factory():
    @bv.event
    class Inner:
        a: int

    @bv.event
    def Some(c: "Inner"):
        return c.filter(bv.col("a") > 1)

    return Some


def test_factory_behind_lru_cache():
    assert upstream_fields(cached_factory()) == ["a"]


class Holder:
    @bv.event
    class Inner:
        b: int

    def method(self):
        @bv.event
        class Local:
            c: int

        @bv.event
        def Some(e: "Local"):
            return e.filter(bv.col("c") > 1)

        return Some


def test_dotted_name_and_class_local_to_a_method():
    @bv.event
    def Some(c: "Holder.Inner"):
        return c.filter(bv.col("b") > 1)

    assert upstream_fields(Some) == ["b"]
    assert upstream_fields(Holder().method()) == ["c"]


def test_optional_and_default_none_mean_the_event():
    @bv.event
    def A(c: Optional[Click] = None):  # noqa: UP045
        return c.filter(bv.col("user_id") == "a")

    @bv.event
    def B(c: "Click | None"):
        return c.filter(bv.col("user_id") == "a")

    @bv.event
    def C(c: A | None):
        return c.filter(bv.col("user_id") == "b")

    for descriptor in (A, B, C):
        assert upstream_fields(descriptor) == ["user_id"]


def test_an_unresolvable_return_annotation_does_not_matter():
    @bv.event
    def Some(c: Click) -> "Nowhere":  # noqa: F821
        return c.filter(bv.col("user_id") == "a")

    assert upstream_fields(Some) == ["user_id"]


def test_an_unresolvable_parameter_is_named():
    with pytest.raises(TypeError, match=r"'Some' parameter 'c'.*'Nowhere'"):

        @bv.event
        def Some(c: "Nowhere"):  # noqa: F821
            return c


@pytest.mark.parametrize("case", deferred_cases.CASES)
def test_deferred_annotations(case):
    descriptor, fields = case()
    assert upstream_fields(descriptor) == fields
