/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "expr_fixture.h"

#include "expr/graph.h"

static struct fixture fixture;

static char *
text_of(const struct expr_graph *graph, uint32_t node)
{
    struct buf out;

    buf_init(&out);
    expr_graph_text(&out, graph, node);
    buf_byte(&out, 0);
    assert_false(out.failed);
    return (char *)out.data;
}

static void
expect(const char *expression, const char *wanted)
{
    struct expr_result result;
    char *text = NULL;

    assert_int_equal(fixture_compile(&fixture, &result, expression, EXPR_WHERE), BV_OK);
    text = text_of(fixture.graph, result.node);
    assert_string_equal(text, wanted);
    free(text);
}

static void
test_canonical_text_is_prefix_form_and_never_changes(void **state)
{
    expect("amount", "amount");
    expect("geo.lat", "geo.lat");
    expect("(amount > 100)", "(> amount 100)");
    expect("(not amount >= 1.0 and s != 'a\"b')", "(not (and (>= amount 1.0) (!= s \"a\\\"b\")))");
    expect("(n != null)", "(not (isnull n))");
    expect("cast(s, int)", "(int s)");
    expect("cast(cast(cast(s, float), bool), str)", "(str (bool (float s)))");
    expect("quadkey(geo.lat, -1.5, 3)", "(quadkey geo.lat -1.5 3)");
    expect("(b or true)", "(or b true)");
    expect("(1 - 2 + 3 * 4 / 5)", "(+ (- 1 2) (/ (* 3 4) 5))");
    expect("(s < 'x')", "(< s \"x\")");
    expect("(s <= 'x')", "(<= s \"x\")");
    expect("(s == 'x')", "(== s \"x\")");
    expect("null", "null");
    expect("false", "false");
    expect("-0.0", "-0.0");
}

static void
test_a_part_used_twice_is_written_once(void **state)
{
    expect("((amount + 1) * (amount + 1))", "(* (+ amount 1) #1)");
    expect("((s == 'a') or (not (s == 'a')))", "(or (== s \"a\") (not #1))");
}

static void
test_doubling_does_not_double_the_text(void **state)
{
    uint32_t node = FIXTURE_AMOUNT;
    char *text = NULL;

    for (int i = 0; i < 200; i++) {
        node = graph_apply(fixture.graph, EXPR_ADD, (uint32_t[]){node, node}, 2);
    }
    text = text_of(fixture.graph, node);
    assert_true(strlen(text) < 4000);
    free(text);
}

static void
test_text_is_equal_over_graphs_of_different_layout(void **state)
{
    struct expr_graph *other = NULL;
    struct row_field fields[2] = {{slice_text("zzz"), FIELD_STR, false},
                                  {slice_text("amount"), FIELD_I64, false}};
    struct value five = value_i64(5);
    struct bv_error err;

    assert_int_equal(expr_graph_create(&other, fields, 2, &err), BV_OK);

    char *there = text_of(other, expr_graph_fill(other, 1, &five));
    char *here = text_of(fixture.graph, expr_graph_fill(fixture.graph, FIXTURE_AMOUNT, &five));

    assert_string_equal(here, there);
    assert_string_equal(here, "(fill amount 5)");
    free(here);
    free(there);
    expr_graph_destroy(other);
}

static void
test_odd_names_and_literals_cannot_be_mistaken(void **state)
{
    static const char *const names[] = {"a b", "null", "5", "a`b", "", "#1", "true", "(x)", "a.1"};
    static const char *const wanted[] = {"`a b`", "`null`", "`5`",   "`a``b`", "``",
                                         "`#1`",  "`true`", "`(x)`", "`a.1`"};
    struct row_field fields[9];
    struct expr_graph *graph = NULL;
    struct bv_error err;
    struct value infinity = value_f64(INFINITY);
    struct value bytes = value_str(slice_text("\x01z"));
    char *text = NULL;

    bytes.kind = VALUE_BYTES;
    for (size_t i = 0; i < 9; i++) {
        fields[i] = (struct row_field){slice_text(names[i]), FIELD_STR, false};
    }
    assert_int_equal(expr_graph_create(&graph, fields, 9, &err), BV_OK);
    for (uint32_t i = 0; i < 9; i++) {
        text = text_of(graph, i);
        assert_string_equal(text, wanted[i]);
        free(text);
    }
    text = text_of(graph, expr_graph_literal(graph, &infinity));
    assert_string_equal(text, "(f64 \"7ff0000000000000\")");
    free(text);
    text = text_of(graph, expr_graph_literal(graph, &bytes));
    assert_string_equal(text, "(bytes \"017a\")");
    free(text);
    expr_graph_destroy(graph);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_text_is_prefix_form_and_never_changes),
        cmocka_unit_test(test_a_part_used_twice_is_written_once),
        cmocka_unit_test(test_doubling_does_not_double_the_text),
        cmocka_unit_test(test_text_is_equal_over_graphs_of_different_layout),
        cmocka_unit_test(test_odd_names_and_literals_cannot_be_mistaken),
    };
    int failed = 0;

    fixture_open(&fixture);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_close(&fixture);
    return failed;
}
