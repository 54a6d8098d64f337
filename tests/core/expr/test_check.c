/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "expr_fixture.h"

struct expectation {
    const char *text;
    int type;
};

static void
test_chain_types_are_inferred(void **state)
{
    static const struct expectation rows[] = {
        {"1", FIELD_I64},
        {"1.0", FIELD_F64},
        {"'a'", FIELD_STR},
        {"true", FIELD_BOOL},
        {"null", EXPR_TYPE_NULL},
        {"j", FIELD_JSON},
        {"(amount + 1)", FIELD_I64},
        {"(amount + f)", FIELD_F64},
        {"(amount / 2)", FIELD_I64},
        {"(amount + null)", FIELD_I64},
        {"(null * f)", FIELD_F64},
        {"(null + null)", EXPR_TYPE_NULL},
        {"(amount > f)", FIELD_BOOL},
        {"(s == null)", FIELD_BOOL},
        {"(s < null)", FIELD_BOOL},
        {"(s > 'a')", FIELD_BOOL},
        {"(j == j)", FIELD_BOOL},
        {"(not null)", FIELD_BOOL},
        {"(b and null)", FIELD_BOOL},
        {"isnull(j)", FIELD_BOOL},
        {"cast(s, int)", FIELD_I64},
        {"cast(s, 'float')", FIELD_F64},
        {"cast(j, str)", FIELD_STR},
        {"cast(s, bool)", FIELD_BOOL},
        {"quadkey(geo.lat, amount, 8)", FIELD_I64},
    };
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expr_result result = {0};

        if (fixture_compile(&fixture, &result, rows[i].text, EXPR_CHAIN) != BV_OK) {
            fail_msg("%s: %s", rows[i].text, fixture.err.message);
        }
        assert_int_equal(fixture.failure, EXPR_FAILURE_NONE);
        if (result.type != rows[i].type) {
            fail_msg("%s: type %d, expected %d", rows[i].text, result.type, rows[i].type);
        }
    }
    fixture_close(&fixture);
}

static const char *const type_errors[] = {
    "(s + 1)",
    "(s == 5)",
    "(b == 1)",
    "(amount and b)",
    "(not s)",
    "(j == 'a')",
    "(s > 1)",
    "(b + b)",
    "nope(s)",
    "cast(s)",
    "cast(s, date)",
    "cast(s, amount, b)",
    "cast(s, 5)",
    "isnull()",
    "isnull(s, s)",
    "quadkey(s, 1, 2)",
    "quadkey(1, s, 2)",
    "quadkey(1,2,f)",
    "cast(s, 'datetime')",
    "cast(s, (s))",
    "quadkey(1, 2)",
    "(j + 1)",
    "(s or b)",
    "cast(s, cast(s, str))",
};

static void
test_chain_refuses_what_does_not_type(void **state)
{
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof type_errors / sizeof type_errors[0]; i++) {
        struct expr_result result;

        if (fixture_compile(&fixture, &result, type_errors[i], EXPR_CHAIN) == BV_OK) {
            fail_msg("accepted: %s", type_errors[i]);
        }
        assert_int_equal(fixture.err.status, BV_INVALID_EXPRESSION);
        assert_int_equal(fixture.failure, EXPR_FAILURE_TYPE);
        assert_true(fixture.err.message[0] != 0);
    }
    assert_int_equal(expr_graph_node_count(fixture.graph), FIXTURE_FIELD_COUNT);
    fixture_close(&fixture);
}

static void
test_where_accepts_the_same_with_a_warning(void **state)
{
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof type_errors / sizeof type_errors[0]; i++) {
        struct expr_result result;

        if (strchr(type_errors[i], 'j') != NULL) {
            continue; /* a json field may hold anything: nothing to warn of */
        }
        if (fixture_compile(&fixture, &result, type_errors[i], EXPR_WHERE) != BV_OK) {
            fail_msg("%s: %s", type_errors[i], fixture.err.message);
        }
        if (fixture.warnings.size == 0) {
            fail_msg("no warning: %s", type_errors[i]);
        }
    }
    fixture_close(&fixture);
}

static void
test_where_does_not_warn_of_what_may_match(void **state)
{
    static const char *const texts[] = {"(j == 'a')",   "(j + 1 > f)",  "(j and b)",  "(bin > j)",
                                        "(amount > f)", "cast(j, int)", "(n == null)"};
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct expr_result result;

        assert_int_equal(fixture_compile(&fixture, &result, texts[i], EXPR_WHERE), BV_OK);
        assert_int_equal(fixture.warnings.size, 0);
    }
    fixture_close(&fixture);
}

static void
test_warnings_stand_one_to_a_line(void **state)
{
    struct fixture fixture;
    struct expr_result result;

    fixture_open(&fixture);
    assert_int_equal(fixture_compile(&fixture, &result, "((s == 5) or upper(s))", EXPR_WHERE),
                     BV_OK);
    buf_byte(&fixture.warnings, 0);
    assert_string_equal((const char *)fixture.warnings.data,
                        "col 5: '==' cannot compare str with i64\n"
                        "col 14: unknown function \"upper\"; there are cast, isnull, quadkey");
    fixture_close(&fixture);
}

static void
test_unknown_fields_are_refused_in_both_modes_and_named(void **state)
{
    static const char *const texts[] = {"missing",           "(s + missing)",
                                        "nope(missing)",     "cast(missing, int)",
                                        "(missing == null)", "isnull(s, missing)"};
    struct fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (int mode = EXPR_WHERE; mode <= EXPR_CHAIN; mode++) {
            struct expr_result result;

            assert_int_equal(fixture_compile(&fixture, &result, texts[i], (enum expr_mode)mode),
                             BV_INVALID_EXPRESSION);
            assert_int_equal(fixture.failure, EXPR_FAILURE_FIELD);
            assert_non_null(strstr(fixture.err.message, "missing"));
        }
    }
    fixture_close(&fixture);
}

static void
test_parse_errors_come_before_unknown_fields(void **state)
{
    struct fixture fixture;
    struct expr_result result;

    fixture_open(&fixture);
    assert_int_equal(fixture_compile(&fixture, &result, "(missing > ", EXPR_WHERE),
                     BV_INVALID_EXPRESSION);
    assert_int_equal(fixture.failure, EXPR_FAILURE_PARSE);
    fixture_close(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_types_are_inferred),
        cmocka_unit_test(test_chain_refuses_what_does_not_type),
        cmocka_unit_test(test_where_accepts_the_same_with_a_warning),
        cmocka_unit_test(test_where_does_not_warn_of_what_may_match),
        cmocka_unit_test(test_warnings_stand_one_to_a_line),
        cmocka_unit_test(test_unknown_fields_are_refused_in_both_modes_and_named),
        cmocka_unit_test(test_parse_errors_come_before_unknown_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
