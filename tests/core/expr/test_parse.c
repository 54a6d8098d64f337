/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "expr/expr.h"
#include "expr/graph.h"
#include "expr/parse.h"
#include "util/buf.h"

static struct bv_error err;

static enum bv_status
parse(const char *text)
{
    struct arena arena;
    struct tree tree;
    enum bv_status status = BV_OK;

    arena_init(&arena, 65536, 0);
    memset(&err, 0, sizeof err);
    status = parse_expression(&tree, slice_text(text), &arena, &err);
    if (status == BV_OK) {
        assert_true(tree.term_count > 0);
        for (uint32_t i = 0; i < tree.term_count; i++) {
            for (uint32_t k = 0; k < tree.terms[i].count; k++) {
                assert_true(tree.arguments[tree.terms[i].first + k] < i);
            }
        }
    } else {
        assert_int_equal(status, BV_INVALID_EXPRESSION);
        assert_memory_equal(err.message, "col ", 4);
    }
    arena_deinit(&arena);
    return status;
}

static void
test_grammar_accepts(void **state)
{
    static const char *const texts[] = {
        "a",
        "(a)",
        "((a))",
        "5",
        "-5",
        "- 5",
        "-5.5",
        "'s'",
        "\"s\"",
        "true",
        "null",
        "f()",
        "f(a)",
        "f(a, 1, 's')",
        "f((a + b))",
        "(f(a + b) > 1)",
        "(not a)",
        "(not a and b)",
        "(not (not a))",
        "(a < b and c < d)",
        "(1 + 2 * 3 - 4 / 5)",
        "(a < (b < c))",
        "cast(a, int)",
        "cast (a, 'int')",
        "(cast(a + 1, str) == 'x')",
        "(-5 - -6)",
        "f(f(f(a)), (b or c))",
        "(a or b and c < d + e * f)",
        "( a\t>\n1 )",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (parse(texts[i]) != BV_OK) {
            fail_msg("%s: %s", texts[i], err.message);
        }
    }
}

static void
test_grammar_refuses(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "(",
        ")",
        "()",
        "a b",
        "(a",
        "a)",
        "(a))",
        "amount > 5",
        "a and b",
        "not b",
        "(b and not b)",
        "(not not a)",
        "(a < b < c)",
        "(a == b != c)",
        "(a +)",
        "(+ a)",
        "(a + + b)",
        "(- a)",
        "-a",
        "--5",
        "f(",
        "f(a",
        "f(,)",
        "f(a,)",
        "f(a b)",
        "f(a + b)",
        "f(not a)",
        "(a, b)",
        "a,",
        "1e5x",
        "1.",
        ".5",
        "(a = 5)",
        "(a ! 5)",
        "5 5",
        "'a' 'b'",
        "(not)",
        "cast(a,",
        "(f)(a)",
        "amount >>> ",
        "(a > )",
        "-",
        "(-)",
        "-'s'",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (parse(texts[i]) == BV_OK) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void
test_messages_carry_the_byte_column(void **state)
{
    parse("amount > 5");
    assert_memory_equal(err.message, "col 8: ", 7);
    parse("(a + )");
    assert_memory_equal(err.message, "col 6: ", 7);
    parse("");
    assert_memory_equal(err.message, "col 1: ", 7);
    parse("('\xC3\xA9' + )");
    assert_memory_equal(err.message, "col 9: ", 7);
}

/* open^count inner close^count */
static char *
nested(const char *open, unsigned count, const char *inner, const char *close)
{
    struct buf buf;

    buf_init(&buf);
    for (unsigned i = 0; i < count; i++) {
        buf_text(&buf, open);
    }
    buf_text(&buf, inner);
    for (unsigned i = 0; i < count; i++) {
        buf_text(&buf, close);
    }
    buf_byte(&buf, 0);
    assert_false(buf.failed);
    return (char *)buf.data;
}

static void
expect_depth(const char *open, const char *close)
{
    char *fits = nested(open, 511, "a", close);
    char *deep = nested(open, 512, "a", close);

    if (parse(fits) != BV_OK) {
        fail_msg("512 levels of %s: %s", open, err.message);
    }
    assert_int_equal(parse(deep), BV_INVALID_EXPRESSION);
    assert_non_null(strstr(err.message, "depth"));
    assert_non_null(strstr(err.message, "512"));
    free(fits);
    free(deep);
}

static void
test_depth_512_is_accepted_and_513_is_refused(void **state)
{
    expect_depth("(", ")");
    expect_depth("(not ", ")");
    expect_depth("f(", ")");
    expect_depth("f(1, ", ")");
    expect_depth("(a or b and c < d + e * ", ")");
}

static void
test_a_call_without_arguments_adds_no_depth(void **state)
{
    char *text = nested("(", 511, "f()", ")");

    assert_int_equal(parse(text), BV_OK);
    free(text);
}

static void
test_unbalanced_million_parentheses_are_refused(void **state)
{
    char *text = nested("(", 1000000, "", "");

    assert_int_equal(parse(text), BV_INVALID_EXPRESSION);
    free(text);
}

static void
test_long_chains_are_fine_up_to_the_limit_of_terms(void **state)
{
    struct buf buf;

    buf_init(&buf);
    buf_text(&buf, "(a");
    for (int i = 0; i < 30000; i++) {
        buf_text(&buf, " and a");
    }
    buf_append(&buf, ")", 2);
    assert_int_equal(parse((const char *)buf.data), BV_OK);
    buf.size -= 2;
    for (int i = 0; i < 10000; i++) {
        buf_text(&buf, " and a");
    }
    buf_append(&buf, ")", 2);
    assert_int_equal(parse((const char *)buf.data), BV_INVALID_EXPRESSION);
    assert_non_null(strstr(err.message, "65536"));
    buf_deinit(&buf);
}

static void
test_parse_reports_memory_instead_of_crashing(void **state)
{
    for (size_t limit = 1; limit < 400000; limit += 9973) {
        struct arena arena;
        struct tree tree;
        enum bv_status status = BV_OK;

        arena_init(&arena, 1024, limit);
        status = parse_expression(
            &tree, slice_text("(f(a,b,c,d,e,f,g,h,'\\n',j,k,l,m,n,o,p,q,r,s,t) == (a + b * c))"),
            &arena, &err);
        assert_true(status == BV_OK || status == BV_NO_MEMORY);
        arena_deinit(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar_accepts),
        cmocka_unit_test(test_grammar_refuses),
        cmocka_unit_test(test_messages_carry_the_byte_column),
        cmocka_unit_test(test_depth_512_is_accepted_and_513_is_refused),
        cmocka_unit_test(test_a_call_without_arguments_adds_no_depth),
        cmocka_unit_test(test_unbalanced_million_parentheses_are_refused),
        cmocka_unit_test(test_long_chains_are_fine_up_to_the_limit_of_terms),
        cmocka_unit_test(test_parse_reports_memory_instead_of_crashing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
