# SPDX-License-Identifier: Apache-2.0
import datetime
import decimal
import enum
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional, Union

import beava as bv
import pytest
from beava._types import expr_type, fields_of

UserId = NewType("UserId", str)


class Color(str, enum.Enum):
    RED = "red"


class Everything:
    constant: ClassVar[int] = 5
    a: str
    b: int
    c: float
    d: bool
    e: bytes
    f: datetime.datetime
    g: dict
    h: list[int]
    i: Any
    j: Optional[int]  # noqa: UP045
    k: float | None
    m: Annotated[int, "unit"]
    n: UserId
    o: Literal["x", "y"]
    p: Color
    q: Annotated[str | None, "note"]
    r: "dict[str, int] | None"


def test_every_supported_annotation_has_its_wire_type():
    declared, wire, optional = fields_of(Everything)
    assert wire == {
        "a": "str",
        "b": "i64",
        "c": "f64",
        "d": "bool",
        "e": "bytes",
        "f": "datetime",
        "g": "json",
        "h": "json",
        "i": "json",
        "j": "i64",
        "k": "f64",
        "m": "i64",
        "n": "str",
        "o": "str",
        "p": "str",
        "q": "str",
        "r": "json",
    }
    assert optional == ["j", "k", "q", "r"]
    assert declared["j"] == Optional[int]  # noqa: UP045
    assert "constant" not in declared


@pytest.mark.parametrize(
    "annotation",
    [Union[int, str], int | str | None, decimal.Decimal, set, Literal[1, "a"], datetime.date],
)
def test_other_annotations_name_field_and_type(annotation):
    cls = type("Odd", (), {"__annotations__": {"x": annotation}})
    with pytest.raises(TypeError, match=r"field 'x' of Odd: type .* is not supported"):
        fields_of(cls)


def test_inherited_fields_come_first():
    class Base:
        a: int

    class Derived(Base):
        b: str

    assert list(fields_of(Derived)[1]) == ["a", "b"]


def test_an_annotation_that_cannot_be_resolved_is_a_name_error():
    cls = type("Odd", (), {"__annotations__": {"x": "Nowhere"}})
    with pytest.raises(NameError):
        fields_of(cls)


FIELDS = {"i": "i64", "f": "f64", "s": "str", "b": "bool"}


@pytest.mark.parametrize(
    ("expr", "wire"),
    [
        (bv.col("i") > 1, "bool"),
        ((bv.col("i") > 1) & bv.col("b"), "bool"),
        (~bv.col("b"), "bool"),
        (bv.col("s").isnull(), "bool"),
        (bv.col("i") / bv.col("i"), "f64"),
        (bv.col("i") + 1, "i64"),
        (bv.col("i") * bv.col("f"), "f64"),
        (bv.col("i") - None, "i64"),
        (bv.lit(None) + None, "str"),
        (bv.lit(None), "str"),
        (bv.lit(2.5), "f64"),
        (bv.lit("x"), "str"),
        (bv.col("s").cast("float"), "f64"),
        (bv.col("unknown"), "str"),
    ],
)
def test_expression_has_its_type(expr, wire):
    assert expr_type(expr, FIELDS) == wire


def test_a_deep_expression_has_a_type():
    expr = bv.col("i")
    for _ in range(5000):
        expr = expr + 1
    assert expr_type(expr, FIELDS) == "i64"
