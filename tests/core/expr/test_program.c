/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "expr_fixture.h"

static struct fixture fixture;

static void
expect(const char *text, struct value wanted)
{
    struct value got = fixture_eval(&fixture, text);
    bool is_same = got.kind == wanted.kind;

    if (is_same && wanted.kind == VALUE_STR) {
        is_same = slice_equal(value_slice(&got), value_slice(&wanted));
    } else if (is_same && wanted.kind == VALUE_F64 && isnan(wanted.as.f64)) {
        is_same = isnan(got.as.f64);
    } else if (is_same && wanted.kind != VALUE_NULL) {
        is_same = got.as.bits == wanted.as.bits;
    }
    if (!is_same) {
        fail_msg("%s: kind %d bits %llx, expected kind %d bits %llx", text, got.kind,
                 (unsigned long long)got.as.bits, wanted.kind, (unsigned long long)wanted.as.bits);
    }
}

static struct value
text_value(const char *text)
{
    return value_str(slice_text(text));
}

static void
refuse(const char *text)
{
    struct expr_result result;

    for (int mode = EXPR_WHERE; mode <= EXPR_CHAIN; mode++) {
        assert_int_equal(fixture_compile(&fixture, &result, text, (enum expr_mode)mode),
                         BV_INVALID_EXPRESSION);
        assert_int_equal(fixture.failure, EXPR_FAILURE_PARSE);
        assert_memory_equal(fixture.err.message, "col ", 4);
    }
}

static void
test_every_golden_row_of_the_specification(void **state)
{
    expect("(amount > 100)", value_bool(true));
    expect("(amount / 7.0)", value_f64(21.428571428571427));
    expect("(f / 0)", value_f64(INFINITY));
    expect("(s > 'a')", value_bool(true));
    expect("(b == 1)", value_null());
    expect("(x == null)", value_bool(true));
    expect("(n > 1)", value_null());
    expect("((n > 1) and (not b))", value_bool(false));
    expect("(not n)", value_null());
    expect("cast(b, int)", value_i64(1));
    expect("cast(amount, str)", text_value("150"));
    expect("isnull(x)", value_bool(true));
    expect("(not b and false)", value_bool(true));
    expect("(amount / 7)", value_i64(21));
    expect("(amount / 0)", value_null());
    expect("(9223372036854775807 + 1)", value_i64(INT64_MAX));
    expect("(s == 5)", value_null());
    expect("(n == null)", value_bool(true));
    expect("(x != null)", value_bool(false));
    expect("((n > 1) or b)", value_bool(true));
    expect("((n > 1) and b)", value_null());
    expect("cast(s, int)", value_null());
    expect("cast(f, int)", value_i64(2));
    expect("(cast(amount, float) == 150)", value_bool(true));
    expect("(5 and false)", value_null());
    expect("(1 + 2 * 3)", value_i64(7));
    refuse("amount > 5");
    refuse("(a < b < c)");
    refuse("not b");
    refuse("(b and not b)");
    refuse("");
    expect("(s == \"ok\")", value_bool(true));
}

static void
test_logic_is_kleene_and_other_operands_are_null(void **state)
{
    expect("(false and 5)", value_bool(false));
    expect("(true and 5)", value_null());
    expect("(true or 5)", value_bool(true));
    expect("(5 or true)", value_null());
    expect("(false or 5)", value_null());
    expect("(null and false)", value_bool(false));
    expect("(null or true)", value_bool(true));
    expect("(null and true)", value_null());
    expect("(null or false)", value_null());
    expect("(null and 5)", value_null());
    expect("(true and true)", value_bool(true));
    expect("(false or false)", value_bool(false));
    expect("(not 5)", value_null());
    expect("(not false)", value_bool(true));
}

static void
test_integer_arithmetic_saturates(void **state)
{
    expect("(-9223372036854775807 - 2)", value_i64(INT64_MIN));
    expect("(9223372036854775807 - -1)", value_i64(INT64_MAX));
    expect("(-9223372036854775807 + -2)", value_i64(INT64_MIN));
    expect("(9223372036854775807 * 2)", value_i64(INT64_MAX));
    expect("(9223372036854775807 * -2)", value_i64(INT64_MIN));
    expect("((-9223372036854775807 - 1) * -1)", value_i64(INT64_MAX));
    expect("((-9223372036854775807 - 1) / -1)", value_i64(INT64_MAX));
    expect("(-7 / 2)", value_i64(-3));
    expect("(7 / -1)", value_i64(-7));
}

static void
test_float_arithmetic_is_ieee_and_nonnumbers_are_null(void **state)
{
    expect("(0.0 / 0.0)", value_f64(NAN));
    expect("(-1.5 / 0)", value_f64(-INFINITY));
    expect("(1 - 0.5)", value_f64(0.5));
    expect("(s + s)", value_null());
    expect("(b + 1)", value_null());
    expect("(null + 1)", value_null());
    expect("(bin * 2)", value_null());
}

static void
test_comparisons_pair_like_kinds_only(void **state)
{
    expect("(amount == 150.0)", value_bool(true));
    expect("(amount != 150.0)", value_bool(false));
    expect("(9223372036854775807 == 9223372036854775806)", value_bool(false));
    expect("((0.0 / 0.0) == (0.0 / 0.0))", value_bool(false));
    expect("((0.0 / 0.0) != 1)", value_bool(false));
    expect("((0.0 / 0.0) >= 1)", value_bool(false));
    expect("(1 != 2.0)", value_bool(true));
    expect("(false < true)", value_bool(true));
    expect("(true <= false)", value_bool(false));
    expect("(bin == bin)", value_bool(true));
    expect("(bin < bin)", value_bool(false));
    expect("(bin == 'ab')", value_null());
    expect("('a' < 'ab')", value_bool(true));
    expect("('' == '')", value_bool(true));
    expect("(j == 'caf\xC3\xA9')", value_bool(true));
    expect("(j == 'caf\\xe9')", value_bool(true));
    expect("('\xC3\xA9' > 'z')", value_bool(true));
    expect("(s != 'no')", value_bool(true));
    expect("(s >= 'ok')", value_bool(true));
}

static void
test_comparison_with_null_asks_isnull(void **state)
{
    expect("(null == null)", value_bool(true));
    expect("(null != null)", value_bool(false));
    expect("(null == amount)", value_bool(false));
    expect("(amount != null)", value_bool(true));
    expect("((amount / 0) == null)", value_bool(true));
    expect("isnull((s == 5))", value_bool(true));
    expect("(amount > null)", value_null());
}

static void
test_lenient_mode_evaluates_nonsense_to_null(void **state)
{
    expect("upper(s)", value_null());
    expect("isnull()", value_null());
    expect("isnull(s, s)", value_null());
    expect("cast(s, date)", value_null());
    expect("cast(s, 5)", value_null());
    expect("quadkey(1, 2)", value_null());
    expect("(upper(s) == null)", value_bool(true));
}

static void
test_a_literal_alone_is_a_value(void **state)
{
    expect("5", value_i64(5));
    expect("-5.5", value_f64(-5.5));
    expect("'a\\'b'", text_value("a'b"));
    expect("null", value_null());
    expect("false", value_bool(false));
    expect("1e-05", value_f64(1e-05));
}

static void
test_a_shared_part_is_computed_for_all_roots_at_once(void **state)
{
    struct expr_result results[2];
    uint32_t roots[2];
    struct expr_program *program = NULL;

    assert_int_equal(fixture_compile(&fixture, &results[0], "((amount + 1) > 5)", EXPR_CHAIN),
                     BV_OK);
    assert_int_equal(fixture_compile(&fixture, &results[1], "((amount + 1) * 2)", EXPR_CHAIN),
                     BV_OK);
    roots[0] = results[0].node;
    roots[1] = results[1].node;
    assert_int_equal(expr_program_create(&program, fixture.graph, roots, 2, &fixture.err), BV_OK);
    assert_false(expr_program_is_empty(program));
    fixture_fill(&fixture);
    expr_program_run(program, fixture.values, &fixture.arena);
    assert_int_equal(fixture.values[roots[0]].as.bits, 1);
    assert_int_equal(fixture.values[roots[1]].as.i64, 302);
    expr_program_destroy(program);
}

static void
test_a_program_of_fields_is_empty(void **state)
{
    uint32_t root = FIXTURE_S;
    struct expr_program *program = NULL;

    assert_int_equal(expr_program_create(&program, fixture.graph, &root, 1, &fixture.err), BV_OK);
    assert_true(expr_program_is_empty(program));
    expr_program_destroy(program);
    expr_program_destroy(NULL);
}

static void
test_a_program_outlives_its_graph(void **state)
{
    struct fixture other;
    struct expr_result result;
    struct expr_program *program = NULL;

    fixture_open(&other);
    assert_int_equal(fixture_compile(&other, &result, "(s == '\\x6fk')", EXPR_CHAIN), BV_OK);
    assert_int_equal(expr_program_create(&program, other.graph, &result.node, 1, &other.err),
                     BV_OK);
    fixture_fill(&other);
    expr_graph_destroy(other.graph);
    other.graph = NULL;
    expr_program_run(program, other.values, &other.arena);
    assert_int_equal(other.values[result.node].as.bits, 1);
    expr_program_destroy(program);
    fixture_close(&other);
}

static void
test_a_spent_arena_makes_null_text(void **state)
{
    struct expr_result result;
    struct arena spent;
    struct expr_program *program = NULL;

    assert_int_equal(fixture_compile(&fixture, &result, "cast(amount, str)", EXPR_CHAIN), BV_OK);
    assert_int_equal(expr_program_create(&program, fixture.graph, &result.node, 1, &fixture.err),
                     BV_OK);
    fixture_fill(&fixture);
    arena_init(&spent, 64, 1);
    expr_program_run(program, fixture.values, &spent);
    assert_int_equal(fixture.values[result.node].kind, VALUE_NULL);
    arena_deinit(&spent);
    expr_program_destroy(program);
}

static void
test_a_long_left_chain_evaluates(void **state)
{
    struct buf text;
    struct value value;

    buf_init(&text);
    buf_text(&text, "(amount");
    for (int i = 0; i < 20000; i++) {
        buf_text(&text, " + 1");
    }
    buf_append(&text, ")", 2);
    value = fixture_eval(&fixture, (const char *)text.data);
    assert_int_equal(value.kind, VALUE_I64);
    assert_int_equal(value.as.i64, 20150);
    buf_deinit(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_golden_row_of_the_specification),
        cmocka_unit_test(test_logic_is_kleene_and_other_operands_are_null),
        cmocka_unit_test(test_integer_arithmetic_saturates),
        cmocka_unit_test(test_float_arithmetic_is_ieee_and_nonnumbers_are_null),
        cmocka_unit_test(test_comparisons_pair_like_kinds_only),
        cmocka_unit_test(test_comparison_with_null_asks_isnull),
        cmocka_unit_test(test_lenient_mode_evaluates_nonsense_to_null),
        cmocka_unit_test(test_a_literal_alone_is_a_value),
        cmocka_unit_test(test_a_shared_part_is_computed_for_all_roots_at_once),
        cmocka_unit_test(test_a_program_of_fields_is_empty),
        cmocka_unit_test(test_a_program_outlives_its_graph),
        cmocka_unit_test(test_a_spent_arena_makes_null_text),
        cmocka_unit_test(test_a_long_left_chain_evaluates),
    };
    int failed = 0;

    fixture_open(&fixture);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_close(&fixture);
    return failed;
}
