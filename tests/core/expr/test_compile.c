/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "expr_fixture.h"

static void
test_a_refused_expression_leaves_the_graph_alone(void **state)
{
    static const char *const texts[] = {"(amount + 1 > s)", "((amount + 2) ",
                                        "(amount + 3 > nope)"};
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < 3; i++) {
        struct expr_result result;

        assert_int_equal(fixture_compile(&fixture, &result, texts[i], EXPR_CHAIN),
                         BV_INVALID_EXPRESSION);
        assert_int_equal(expr_graph_node_count(fixture.graph), FIXTURE_FIELD_COUNT);
    }
    fixture_close(&fixture);
}

static void
test_only_needed_terms_become_nodes(void **state)
{
    static const char *const texts[] = {"(n == null)", "cast(amount, 'float')",
                                        "upper((amount + 7))"};
    struct fixture fixture;

    fixture_open(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        struct expr_result result;

        assert_int_equal(fixture_compile(&fixture, &result, texts[i], EXPR_WHERE), BV_OK);
        assert_int_equal(expr_graph_node_count(fixture.graph), FIXTURE_FIELD_COUNT + i + 1);
    }
    fixture_close(&fixture);
}

static void
test_columns_may_stand_for_computed_nodes(void **state)
{
    struct fixture fixture;
    struct expr_result doubled;
    struct expr_result same;

    fixture_open(&fixture);
    assert_int_equal(fixture_compile(&fixture, &doubled, "(amount * 2)", EXPR_CHAIN), BV_OK);
    assert_int_equal(doubled.type, FIELD_I64);
    assert_int_equal(fixture_compile(&fixture, &same, "(amount*2)", EXPR_WHERE), BV_OK);
    assert_int_equal(same.node, doubled.node);
    fixture_close(&fixture);
}

static void
test_optional_out_parameters_may_be_missing(void **state)
{
    struct fixture fixture;
    struct expr_result result;

    fixture_open(&fixture);
    assert_int_equal(expr_compile(&result, fixture.graph, slice_text("upper(s)"), &fixture.scope,
                                  EXPR_WHERE, NULL, NULL, NULL),
                     BV_OK);
    assert_int_equal(expr_compile(&result, fixture.graph, slice_text("upper("), &fixture.scope,
                                  EXPR_WHERE, NULL, NULL, NULL),
                     BV_INVALID_EXPRESSION);
    fixture_close(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refused_expression_leaves_the_graph_alone),
        cmocka_unit_test(test_only_needed_terms_become_nodes),
        cmocka_unit_test(test_columns_may_stand_for_computed_nodes),
        cmocka_unit_test(test_optional_out_parameters_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
