/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "expr/lex.h"

static struct arena arena;

/* The first token of a text. */
static struct token
first(const char *text, enum bv_status expected)
{
    struct lexer lexer = {.text = slice_text(text), .arena = &arena};
    struct token token = {0};
    struct bv_error err = {0};

    assert_int_equal(lex_next(&token, &lexer, &err), expected);
    if (expected != BV_OK) {
        assert_memory_equal(err.message, "col ", 4);
    }
    return token;
}

static void
expect_text(const char *text, const char *expected, size_t size)
{
    struct token token = first(text, BV_OK);

    assert_int_equal(token.kind, TOKEN_STR);
    assert_int_equal(token.text.size, size);
    assert_memory_equal(token.text.data, expected, size);
}

static void
test_operators_take_the_longest_match(void **state)
{
    assert_int_equal(first(">=", BV_OK).kind, TOKEN_GE);
    assert_int_equal(first("> =", BV_OK).kind, TOKEN_GT);
    assert_int_equal(first("<=", BV_OK).kind, TOKEN_LE);
    assert_int_equal(first("<", BV_OK).kind, TOKEN_LT);
    assert_int_equal(first("==", BV_OK).kind, TOKEN_EQ);
    assert_int_equal(first("!=", BV_OK).kind, TOKEN_NE);
    assert_int_equal(first(" \t\r\n", BV_OK).kind, TOKEN_END);
}

static void
test_lone_equals_bang_and_strangers_are_refused(void **state)
{
    static const char *const texts[] = {"=", "!", "= =", "@", "\x01", "\xC3\xA9", ".5", "&", "|"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        first(texts[i], BV_INVALID_EXPRESSION);
    }
}

static void
test_names_may_be_dotted_and_reserved_words_are_lower_case(void **state)
{
    assert_int_equal(first("a.b.c2 ", BV_OK).text.size, 6);
    assert_int_equal(first("a.2", BV_OK).text.size, 1);
    assert_int_equal(first("a.", BV_OK).text.size, 1);
    assert_int_equal(first("a._x", BV_OK).text.size, 4);
    assert_int_equal(first("and", BV_OK).kind, TOKEN_AND);
    assert_int_equal(first("AND", BV_OK).kind, TOKEN_NAME);
    assert_int_equal(first("android", BV_OK).kind, TOKEN_NAME);
    assert_true(lex_is_name(slice_text("a.b")));
    assert_false(lex_is_name(slice_text("null")));
    assert_false(lex_is_name(slice_text("a b")));
    assert_false(lex_is_name(slice_text("")));
}

static void
test_integers_fit_64_bits_or_are_refused(void **state)
{
    assert_true(first("9223372036854775807", BV_OK).i64 == INT64_MAX);
    assert_int_equal(first("007", BV_OK).i64, 7);
    first("9223372036854775808", BV_INVALID_EXPRESSION);
}

static void
test_floats_have_digits_on_both_sides_or_an_exponent(void **state)
{
    assert_true(first("1.5", BV_OK).f64 == 1.5);
    assert_true(first("1.5e3", BV_OK).f64 == 1500.0);
    assert_true(first("1e-05", BV_OK).f64 == 1e-05);
    assert_true(first("1E+16", BV_OK).f64 == 1e16);
    assert_true(first("007.25", BV_OK).f64 == 7.25);
    assert_true(first("00e1", BV_OK).f64 == 0.0);
    assert_int_equal(first("1.", BV_OK).kind, TOKEN_INT);
    assert_int_equal(first("1e", BV_OK).kind, TOKEN_INT);
    assert_int_equal(first("1e+", BV_OK).kind, TOKEN_INT);
    first("1e999", BV_INVALID_EXPRESSION);
}

static void
test_strings_in_either_quote_decode_python_escapes_to_utf8(void **state)
{
    expect_text("'plain'", "plain", 5);
    expect_text("\"it's\"", "it's", 4);
    expect_text("'a\\'b\\\\c'", "a'b\\c", 5);
    expect_text("'\\\"\\n\\r\\t\\0'", "\"\n\r\t\0", 5);
    expect_text("'\\x41\\xe9'", "A\xC3\xA9", 3);
    expect_text("'\\u20ac'", "\xE2\x82\xAC", 3);
    expect_text("'\\U0001F600'", "\xF0\x9F\x98\x80", 4);
    expect_text("'caf\xC3\xA9'", "caf\xC3\xA9", 5);
    expect_text("'two\nlines'", "two\nlines", 9);
    expect_text("''", "", 0);
}

static void
test_other_backslashes_keep_both_characters(void **state)
{
    expect_text("'\\q'", "\\q", 2);
    expect_text("'\\x4'", "\\x4", 3);
    expect_text("'\\ud800'", "\\ud800", 6);
    expect_text("'\\U00110000'", "\\U00110000", 10);
    expect_text("'\\u00g0'", "\\u00g0", 6);
}

static void
test_an_open_string_is_refused_with_its_column(void **state)
{
    struct lexer lexer = {.text = slice_text("  'abc\\'"), .arena = &arena};
    struct token token;
    struct bv_error err = {0};

    assert_int_equal(lex_next(&token, &lexer, &err), BV_INVALID_EXPRESSION);
    assert_string_equal(err.message, "col 3: string is not closed");
    first("'", BV_INVALID_EXPRESSION);
    first("'\\", BV_INVALID_EXPRESSION);
    first("'a\"", BV_INVALID_EXPRESSION);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators_take_the_longest_match),
        cmocka_unit_test(test_lone_equals_bang_and_strangers_are_refused),
        cmocka_unit_test(test_names_may_be_dotted_and_reserved_words_are_lower_case),
        cmocka_unit_test(test_integers_fit_64_bits_or_are_refused),
        cmocka_unit_test(test_floats_have_digits_on_both_sides_or_an_exponent),
        cmocka_unit_test(test_strings_in_either_quote_decode_python_escapes_to_utf8),
        cmocka_unit_test(test_other_backslashes_keep_both_characters),
        cmocka_unit_test(test_an_open_string_is_refused_with_its_column),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
