/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"

static int
arena_setup(void **state)
{
    static struct arena arena;

    arena_init(&arena, 4096, 0);
    *state = &arena;
    return 0;
}

static int
arena_teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static struct value
parse(void **state, struct slice text)
{
    struct value v = value_null();
    struct bv_error err = {0};

    if (json_parse(&v, text, JSON_DEPTH_MAX, *state, &err) != BV_OK) {
        fail_msg("%.*s: %s", (int)text.size, (const char *)text.data, err.message);
    }
    return v;
}

static void
assert_refused(void **state, struct slice text, const char *message)
{
    struct value v;
    struct bv_error err = {0};

    assert_int_equal(json_parse(&v, text, JSON_DEPTH_MAX, *state, &err), BV_MALFORMED_REQUEST);
    assert_string_equal(err.message, message);
    assert_int_equal(err.status, BV_MALFORMED_REQUEST);
}

static void
assert_int(void **state, const char *text, int64_t wanted)
{
    struct value v = parse(state, slice_text(text));

    assert_int_equal(v.kind, VALUE_I64);
    assert_true(v.as.i64 == wanted);
}

static void
assert_float(void **state, const char *text, double wanted)
{
    struct value v = parse(state, slice_text(text));

    assert_int_equal(v.kind, VALUE_F64);
    assert_memory_equal(&v.as.f64, &wanted, sizeof wanted);
}

static void
assert_str(void **state, const char *text, const char *wanted, size_t size)
{
    struct value v = parse(state, slice_text(text));

    assert_int_equal(v.kind, VALUE_STR);
    assert_int_equal(v.length, size);
    assert_memory_equal(v.as.str, wanted, size);
}

static void
test_integers_within_i64_stay_integers(void **state)
{
    assert_int(state, "0", 0);
    assert_int(state, "-1", -1);
    assert_int(state, " \t\r\n42 \n", 42);
    assert_int(state, "9223372036854775807", INT64_MAX);
    assert_int(state, "-9223372036854775808", INT64_MIN);
}

static void
test_all_other_numbers_are_the_nearest_double(void **state)
{
    assert_float(state, "9223372036854775808", 9223372036854775808.0);
    assert_float(state, "-9223372036854775809", -9223372036854775808.0);
    assert_float(state, "18446744073709551616", 18446744073709551616.0);
    assert_float(state, "5.0", 5.0);
    assert_float(state, "5e0", 5.0);
    assert_float(state, "1E-2", 0.01);
    assert_float(state, "0.1", 0.1);
    assert_float(state, "1e-400", 0.0);
}

static void
test_minus_zero_becomes_zero(void **state)
{
    assert_float(state, "-0", 0.0);
    assert_float(state, "-0.0", 0.0);
    assert_float(state, "-0e7", 0.0);
    assert_float(state, "-1e-400", 0.0);
}

static void
test_strings_are_decoded(void **state)
{
    assert_str(state, "\"\"", "", 0);
    assert_str(state, "\"abc\"", "abc", 3);
    assert_str(state, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    assert_str(state, "\"a\\u0000b\"", "a\0b", 3);
    assert_str(state, "\"\\u00e9\\u20AC\\uD83D\\ude00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
               9);
    assert_str(state, "\"\xf0\x9f\x98\x80\x7f\"", "\xf0\x9f\x98\x80\x7f", 5);
    assert_str(state, "\"x\\\\\"", "x\\", 2);
}

static void
test_plain_strings_point_into_the_text(void **state)
{
    struct slice text = slice_text("[\"plain\"]");
    struct value v = parse(state, text);

    assert_ptr_equal(v.as.items[0].as.str, text.data + 2);
}

static void
test_containers_keep_order_and_repeated_names(void **state)
{
    struct value v =
        parse(state, slice_text("{\"b\":[1,[],{}, [2 , 3]],\"a\":null,\"b\":true,\"\":false}"));

    assert_int_equal(v.kind, VALUE_MAP);
    assert_int_equal(v.length, 4);
    assert_true(slice_equal(value_slice(&v.as.members[0].key), slice_text("b")));
    const struct value *list = &v.as.members[0].value;

    assert_int_equal(list->kind, VALUE_LIST);
    assert_int_equal(list->length, 4);
    assert_int_equal(list->as.items[1].kind, VALUE_LIST);
    assert_int_equal(list->as.items[1].length, 0);
    assert_int_equal(list->as.items[2].kind, VALUE_MAP);
    assert_int_equal(list->as.items[3].as.items[1].as.i64, 3);
    assert_int_equal(v.as.members[1].value.kind, VALUE_NULL);
    assert_int_equal(value_find(&v, "b")->kind, VALUE_BOOL);
    assert_int_equal(value_find(&v, "")->as.bits, 0);
}

static void
test_a_long_list_outgrows_the_first_stack(void **state)
{
    char *text = malloc(100002);

    assert_non_null(text);
    for (size_t i = 0; i < 50000; i++) {
        text[1 + 2 * i] = (char)('0' + i % 10);
        text[2 + 2 * i] = ',';
    }
    text[0] = '[';
    text[100000] = ']';
    struct value v = parse(state, slice_of(text, 100001));

    assert_int_equal(v.length, 50000);
    for (size_t i = 0; i < 50000; i++) {
        assert_int_equal(v.as.items[i].as.i64, i % 10);
    }
    free(text);
}

/* Texts and places as the published server gives them, wherever it parses the whole text. */
static void
test_refusals_have_the_published_form(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "EOF while parsing a value at line 1 column 0"},
        {" ", "EOF while parsing a value at line 1 column 1"},
        {"{", "EOF while parsing an object at line 1 column 1"},
        {"{ ", "EOF while parsing an object at line 1 column 2"},
        {"[", "EOF while parsing a list at line 1 column 1"},
        {"{\"", "EOF while parsing a string at line 1 column 2"},
        {"{\"a\"", "EOF while parsing an object at line 1 column 4"},
        {"{\"a\":", "EOF while parsing a value at line 1 column 5"},
        {"{\"a\":1", "EOF while parsing an object at line 1 column 6"},
        {"{\"a\":1,", "EOF while parsing a value at line 1 column 7"},
        {"[\"a\"", "EOF while parsing a list at line 1 column 4"},
        {"[\"a\",", "EOF while parsing a value at line 1 column 5"},
        {"{\"a\":1,}", "trailing comma at line 1 column 8"},
        {"[\"a\",]", "trailing comma at line 1 column 6"},
        {"{,}", "key must be a string at line 1 column 2"},
        {"{1:2}", "key must be a string at line 1 column 2"},
        {"{\"a\":1,2:3}", "key must be a string at line 1 column 8"},
        {"{\"a\" 1}", "expected `:` at line 1 column 6"},
        {"{\"a\":1 \"b\"}", "expected `,` or `}` at line 1 column 8"},
        {"{\"a\":1]", "expected `,` or `}` at line 1 column 7"},
        {"{\"a\":[1 2]}", "expected `,` or `]` at line 1 column 9"},
        {"[1}", "expected `,` or `]` at line 1 column 3"},
        {"[,]", "expected value at line 1 column 2"},
        {"{\"a\":[}", "expected value at line 1 column 7"},
        {"x", "expected value at line 1 column 1"},
        {"\xef\xbb\xbf{}", "expected value at line 1 column 1"},
        {"{\"\xc3\xa9\":x}", "expected value at line 1 column 7"},
        {"\n\n{\"a\":\n  x}", "expected value at line 4 column 3"},
        {"{\"a\":.5}", "expected value at line 1 column 6"},
        {"{\"a\":+1}", "expected value at line 1 column 6"},
        {"{\"a\":NaN}", "expected value at line 1 column 6"},
        {"tru", "EOF while parsing a value at line 1 column 3"},
        {"trux", "expected ident at line 1 column 4"},
        {"{\"a\":tru}", "expected ident at line 1 column 9"},
        {"{\"a\":01}", "invalid number at line 1 column 7"},
        {"{\"a\":-01}", "invalid number at line 1 column 8"},
        {"{\"a\":-}", "invalid number at line 1 column 7"},
        {"{\"a\":1.}", "invalid number at line 1 column 8"},
        {"{\"a\":1e+}", "invalid number at line 1 column 9"},
        {"-", "EOF while parsing a value at line 1 column 1"},
        {"{\"key\":1.", "EOF while parsing a value at line 1 column 9"},
        {"{\"key\":1e400}", "number out of range at line 1 column 12"},
        {"-1e400", "number out of range at line 1 column 6"},
        {"{\"a\":1}x", "trailing characters at line 1 column 8"},
        {"{\"a\":1}\n\n y", "trailing characters at line 3 column 2"},
        {"{\"key\":\"\xff\"", "invalid unicode code point at line 1 column 10"},
        {"[\"\xed\xa0\x80\"]", "invalid unicode code point at line 1 column 6"},
        {"{\"a\":\"\\x\"}", "invalid escape at line 1 column 8"},
        {"{\"key\":\"\\u12g4\"", "invalid escape at line 1 column 14"},
        {"{\"key\":\"\\u12\"", "EOF while parsing a string at line 1 column 13"},
        {"{\"key\":\"\\ud800\"", "unexpected end of hex escape at line 1 column 15"},
        {"{\"key\":\"\\ud800x\"", "unexpected end of hex escape at line 1 column 15"},
        {"{\"key\":\"\\ud800\\n\"", "unexpected end of hex escape at line 1 column 16"},
        {"{\"key\":\"\\ud800\\u0041\"", "lone leading surrogate in hex escape at line 1 column 20"},
        {"{\"key\":\"\\udc00\"", "lone leading surrogate in hex escape at line 1 column 14"},
        {"{\"key\":\"\\ud800", "EOF while parsing a string at line 1 column 14"},
        {"{\"key\":\"\\ud800\\u", "EOF while parsing a string at line 1 column 16"},
        {"{\"a\":\"abc\\", "EOF while parsing a string at line 1 column 10"},
        {"{\"a\x01\":1}", "control character (\\u0000-\\u001F) found while parsing a string at "
                          "line 1 column 4"},
        {"{\"key\":\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at "
                              "line 2 column 0"},
        {"\"\\n\n\"", "control character (\\u0000-\\u001F) found while parsing a string at "
                      "line 2 column 0"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_refused(state, slice_text(cases[i].text), cases[i].message);
    }
    assert_refused(state, slice_of("[1]\0", 4), "trailing characters at line 1 column 4");
}

static void
test_depth_is_bounded_by_the_callers_limit(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct value v;
    struct bv_error err;

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    v = parse(state, slice_of(text, 2 * JSON_DEPTH_MAX));
    assert_int_equal(v.kind, VALUE_LIST);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    assert_refused(state, slice_of(text, JSON_DEPTH_MAX + 1),
                   "recursion limit exceeded at line 1 column 129");
    assert_int_equal(json_parse(&v, slice_text("[[1]]"), 2, *state, &err), BV_OK);
    assert_int_equal(json_parse(&v, slice_text("[{\"a\":[]}]"), 2, *state, &err),
                     BV_MALFORMED_REQUEST);
    assert_string_equal(err.message, "recursion limit exceeded at line 1 column 7");
    assert_int_equal(json_parse(&v, slice_text("7"), 0, *state, &err), BV_OK);
}

static void
test_every_prefix_of_a_document_is_refused(void **state)
{
    struct slice text = slice_text("{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\",true,null,{}]}");
    struct value v;
    struct bv_error err;

    for (size_t size = 0; size < text.size; size++) {
        /* A copy of exactly this size, so that the sanitizer sees a read past it. */
        uint8_t *copy = malloc(size + (size == 0));

        assert_non_null(copy);
        memcpy(copy, text.data, size);
        assert_int_equal(json_parse(&v, slice_of(copy, size), 128, *state, &err),
                         BV_MALFORMED_REQUEST);
        free(copy);
    }
}

static void
test_a_spent_arena_is_reported_at_every_allocation(void **state)
{
    struct slice text = slice_text("[{\"a\":\"x\\ny\"},[1,2,3],[[[]]],\"\\u0041\\u0042\"]");
    enum bv_status status = BV_NO_MEMORY;

    for (size_t limit = 64; status != BV_OK; limit += 16) {
        struct arena arena;
        struct value v;
        struct bv_error err;

        assert_true(limit < 4096);
        arena_init(&arena, 64, limit);
        status = json_parse(&v, text, 128, &arena, &err);
        assert_true(status == BV_OK || status == BV_NO_MEMORY);
        if (status != BV_OK) {
            char wanted[64];

            snprintf(wanted, sizeof wanted, "no memory to parse %zu bytes of JSON", text.size);
            assert_string_equal(err.message, wanted);
        }
        arena_deinit(&arena);
    }
}

#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_integers_within_i64_stay_integers),
        ARENA_TEST(test_all_other_numbers_are_the_nearest_double),
        ARENA_TEST(test_minus_zero_becomes_zero),
        ARENA_TEST(test_strings_are_decoded),
        ARENA_TEST(test_plain_strings_point_into_the_text),
        ARENA_TEST(test_containers_keep_order_and_repeated_names),
        ARENA_TEST(test_a_long_list_outgrows_the_first_stack),
        ARENA_TEST(test_refusals_have_the_published_form),
        ARENA_TEST(test_depth_is_bounded_by_the_callers_limit),
        ARENA_TEST(test_every_prefix_of_a_document_is_refused),
        ARENA_TEST(test_a_spent_arena_is_reported_at_every_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
