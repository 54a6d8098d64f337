/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "expr_fixture.h"

static uint32_t
compile(struct fixture *fixture, const char *text)
{
    struct expr_result result;

    assert_int_equal(fixture_compile(fixture, &result, text, EXPR_WHERE), BV_OK);
    return result.node;
}

static void
test_equal_parts_are_one_node(void **state)
{
    struct fixture fixture;

    fixture_open(&fixture);
    assert_int_equal(expr_graph_node_count(fixture.graph), FIXTURE_FIELD_COUNT);
    assert_int_equal(compile(&fixture, "amount"), FIXTURE_AMOUNT);

    uint32_t first = compile(&fixture, "((amount + 1) > 5)");
    uint32_t count = expr_graph_node_count(fixture.graph);

    assert_int_equal(compile(&fixture, "(amount+1>5)"), first);
    assert_int_equal(expr_graph_node_count(fixture.graph), count);
    assert_int_not_equal(compile(&fixture, "(amount + 1 > 5.0)"), first);
    assert_int_equal(compile(&fixture, "(s == \"ok\")"), compile(&fixture, "(s == 'o\\x6b')"));
    fixture_close(&fixture);
}

static void
test_literals_are_told_apart_by_kind_and_bits(void **state)
{
    static const char *const texts[] = {"1",   "1.0",  "'1'", "true", "null",
                                        "0.0", "-0.0", "0",   "''",   "'1 '"};
    uint32_t nodes[10];
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < 10; i++) {
        nodes[i] = compile(&fixture, texts[i]);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(nodes[i], nodes[k]);
        }
    }
    fixture_close(&fixture);
}

static void
test_chain_steps_are_nodes(void **state)
{
    struct fixture fixture;
    struct value zero = value_i64(0);
    struct value list = {.kind = VALUE_LIST};

    fixture_open(&fixture);

    uint32_t cast = expr_graph_cast(fixture.graph, FIXTURE_AMOUNT, FIELD_F64);
    uint32_t fill = expr_graph_fill(fixture.graph, FIXTURE_N, &zero);
    uint32_t keep = expr_graph_fill(fixture.graph, FIXTURE_AMOUNT, &zero);
    uint32_t none = expr_graph_fill(fixture.graph, FIXTURE_N, &list);

    assert_int_equal(cast, compile(&fixture, "cast(amount, float)"));
    assert_int_equal(fill, expr_graph_fill(fixture.graph, FIXTURE_N, &zero));
    fixture_fill(&fixture);
    assert_true(fixture_run(&fixture, cast).as.f64 == 150.0);
    assert_int_equal(fixture_run(&fixture, fill).as.i64, 0);
    assert_int_equal(fixture_run(&fixture, fill).kind, VALUE_I64);
    assert_int_equal(fixture_run(&fixture, keep).as.i64, 150);
    assert_int_equal(fixture_run(&fixture, none).kind, VALUE_NULL);
    assert_int_equal(compile(&fixture, "cast(s, str)"),
                     expr_graph_cast(fixture.graph, FIXTURE_S, FIELD_STR));
    assert_int_equal(compile(&fixture, "cast(s, bool)"),
                     expr_graph_cast(fixture.graph, FIXTURE_S, FIELD_BOOL));
    fixture_close(&fixture);
}

static void
test_a_graph_refuses_more_nodes_than_its_limit(void **state)
{
    struct fixture fixture;
    struct expr_result result;

    fixture_open(&fixture);
    for (int64_t i = 0; i < EXPR_NODES_MAX - FIXTURE_FIELD_COUNT; i++) {
        struct value literal = value_i64(i);

        assert_int_not_equal(expr_graph_literal(fixture.graph, &literal), EXPR_NODE_NONE);
    }

    struct value literal = value_i64(-1);

    assert_int_equal(expr_graph_literal(fixture.graph, &literal), EXPR_NODE_NONE);
    assert_int_equal(expr_graph_fill(fixture.graph, FIXTURE_N, &literal), EXPR_NODE_NONE);
    assert_int_equal(fixture_compile(&fixture, &result, "(amount > 5)", EXPR_WHERE),
                     BV_INVALID_EXPRESSION);
    assert_non_null(strstr(fixture.err.message, "65536"));
    /* What is there already is still found. */
    assert_int_equal(fixture_compile(&fixture, &result, "5", EXPR_WHERE), BV_OK);
    fixture_close(&fixture);
}

static void
test_field_names_and_literals_are_copied(void **state)
{
    struct expr_graph *graph = NULL;
    struct bv_error err;
    char name[] = "abc";
    char text[] = "xyz";
    struct row_field field = {slice_text(name), FIELD_STR, false};
    struct value literal = value_str(slice_text(text));
    struct buf out;

    buf_init(&out);
    assert_int_equal(expr_graph_create(&graph, &field, 1, &err), BV_OK);

    uint32_t node = expr_graph_fill(graph, 0, &literal);

    memset(name, '-', 3);
    memset(text, '-', 3);
    expr_graph_text(&out, graph, node);
    buf_byte(&out, 0);
    assert_string_equal((const char *)out.data, "(fill abc \"xyz\")");
    buf_deinit(&out);
    expr_graph_destroy(graph);
    expr_graph_destroy(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_parts_are_one_node),
        cmocka_unit_test(test_literals_are_told_apart_by_kind_and_bits),
        cmocka_unit_test(test_chain_steps_are_nodes),
        cmocka_unit_test(test_a_graph_refuses_more_nodes_than_its_limit),
        cmocka_unit_test(test_field_names_and_literals_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
