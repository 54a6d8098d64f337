# SPDX-License-Identifier: Apache-2.0
import warnings

import beava as bv
import numpy
import pytest
from beava import _col


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (
            (bv.col("amount") > 100) & (bv.col("kind") == "fraud"),
            "((amount > 100) and (kind == 'fraud'))",
        ),
        (~((bv.col("x") == 1) & bv.col("y")), "(not ((x == 1) and y))"),
        (100 / bv.col("z"), "(100 / z)"),
        (False | bv.col("f"), "(false or f)"),
        (bv.col("a") != None, "(a != null)"),  # noqa: E711
        (bv.col("count") / bv.lit(60.0), "(count / 60.0)"),
        (bv.col("a").cast("int") + 1, "(cast(a, int) + 1)"),
        (5 - bv.col("x"), "(5 - x)"),
        (5 + bv.col("x"), "(5 + x)"),
        (5 * bv.col("x") - 1, "((5 * x) - 1)"),
        (True & bv.col("f"), "(true and f)"),
        (bv.col("x") > 5, "(x > 5)"),
        (bv.col("x") <= -5, "(x <= -5)"),
        (bv.col("x") >= 1000.0, "(x >= 1000.0)"),
        (bv.col("x").isnull(), "(x == null)"),
        (~~bv.col("x"), "(not (not x))"),
        (bv.col("geo.lat") < 1, "(geo.lat < 1)"),
    ],
)
def test_expression_renders(expr, text):
    assert expr.to_expr_string() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\\b'"),
        ("a\nb\tä", "'a\nb\tä'"),
        (1e-05, "1.0e-05"),
        (1e16, "1.0e+16"),
        (1.5e300, "1.5e+300"),
        (numpy.float64(0.5), "0.5"),
        (numpy.int32(7), "7"),
        (numpy.bool_(True), "true"),
        (None, "null"),
    ],
)
def test_literal_is_written_in_the_grammar(value, text):
    assert bv.lit(value).to_expr_string() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, -(2**63) - 1, [], b"x"])
def test_literal_that_the_grammar_cannot_carry_is_refused(value):
    with pytest.raises(ValueError):
        bv.lit(value)
    with pytest.raises(ValueError):
        bv.col("a") == value  # noqa: B015


def test_literals_are_objects_of_their_own():
    value = "v"
    assert bv.lit(value) is not bv.lit(value)
    assert bv.lit(value).value is value


def test_nodes_hash_by_name_value_or_identity():
    assert hash(bv.col("a")) == hash(bv.col("a"))
    assert hash(bv.lit(1)) == hash(bv.lit(1))
    a, b = bv.col("a"), bv.col("b")
    assert hash(a + b) == hash(a + b)
    assert hash(a.cast("int")) == hash(a.cast("int"))


def test_truth_value_warns_and_is_true():
    with pytest.warns(UserWarning, match="&"):
        assert bv.col("a") > 1


def test_cast_names_its_targets():
    with pytest.raises(ValueError, match=r"cast target must be one of \(.*\); got 'blob'"):
        bv.col("a").cast("blob")


@pytest.mark.parametrize("name", ["", None, 5])
def test_column_name_must_be_a_string(name):
    with pytest.raises(TypeError):
        bv.col(name)


@pytest.mark.parametrize("name", ["and", "null", "a b", "1a", "a-b", "a.", "ä"])
def test_column_name_must_fit_the_grammar(name):
    with pytest.raises(ValueError, match="cannot be written"):
        bv.col(name)


@pytest.mark.parametrize(
    "use", [lambda c: -c, lambda c: c % 2, lambda c: c // 2, lambda c: c**2, abs]
)
def test_operators_without_a_counterpart_are_type_errors(use):
    with pytest.raises(TypeError):
        use(bv.col("a"))


def test_base_and_unknown_unary_do_not_render():
    with pytest.raises(NotImplementedError):
        _col._Expr().to_expr_string()
    with pytest.raises(ValueError, match="unknown unary op"):
        _col._UnaryOp("?", bv.col("a")).to_expr_string()


def test_depth_is_not_limited_here():
    expr = bv.col("a")
    for _ in range(5000):
        expr = expr + 1
    assert expr.to_expr_string().count("(") == 5000


def test_names_that_never_existed_are_absent():
    for name in ("alias", "is_not_null", "isin"):
        assert not hasattr(bv.col("a"), name)


def test_comparing_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (bv.col("a") == bv.col("b")).to_expr_string() == "(a == b)"
