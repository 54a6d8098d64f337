# SPDX-License-Identifier: Apache-2.0
"""Cases of test_annotations.py under deferred annotations."""

from __future__ import annotations

from typing import Optional

import beava as bv


@bv.event
class Click:
    user_id: str


@bv.event
def Big(c: Click):
    return c.filter(bv.col("user_id") == "big")


def module_level():
    @bv.event
    def Some(c: Click) -> bv.Event:
        return c.filter(bv.col("user_id") == "a")

    return Some, ["user_id"]


def local_shadows_global():
    @bv.event
    class Click:
        other: int

    @bv.event
    def Some(c: Click) -> Nowhere:  # noqa: F821
        return c.filter(bv.col("other") == 1)

    return Some, ["other"]


def local_class():
    @bv.event
    class Local:
        a: int | None

    @bv.event
    def Some(c: Local):
        return c.filter(bv.col("a") > 1)

    return Some, ["a"]


def captured():
    @bv.event
    class Local:
        a: int

    def inner():
        used = Local

        @bv.event
        def Some(c: Local):
            return c.filter(bv.col("a") > (1 if used else 2))

        return Some

    return inner(), ["a"]


def derived_and_optional():
    @bv.event
    def Some(b: Big | None):
        return b.filter(bv.col("user_id") != "x")

    @bv.event
    def More(s: Optional[Some] = None):  # noqa: UP045
        return s.filter(bv.col("user_id") != "y")

    return More, ["user_id"]


CASES = [module_level, local_shadows_global, local_class, captured, derived_and_optional]
