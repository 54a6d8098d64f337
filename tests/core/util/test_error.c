/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/error.h"
#include "util/utf8.h"

static void
test_set_fills_status_and_message_and_clears_the_rest(void **state)
{
    struct bv_error err;

    memset(&err, 'x', sizeof err);
    assert_int_equal(bv_error_set(&err, BV_INVALID_EVENT, "field %s: limit %d", "a", 7),
                     BV_INVALID_EVENT);
    assert_int_equal(err.status, BV_INVALID_EVENT);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.message, "field a: limit 7");
    assert_string_equal(err.path, "");
    assert_string_equal(err.hint, "");
}

static void
test_path_and_hint_stand_beside_the_message(void **state)
{
    struct bv_error err;

    bv_error_set(&err, BV_CONFIG, "no");
    bv_error_path(&err, "nodes[%d].name", 3);
    bv_error_hint(&err, "did you mean %s", "Tx");
    assert_string_equal(err.message, "no");
    assert_string_equal(err.path, "nodes[3].name");
    assert_string_equal(err.hint, "did you mean Tx");
}

static void
test_a_caller_may_pass_no_error(void **state)
{
    assert_int_equal(bv_error_set(NULL, BV_IO, "%d", 1), BV_IO);
    bv_error_path(NULL, "x");
    bv_error_hint(NULL, "x");
}

static void
test_a_long_message_is_cut_between_characters(void **state)
{
    struct bv_error err;
    char text[1200] = "x";

    for (size_t i = 1; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 3);
    }
    bv_error_set(&err, BV_IO, "%s", text);
    assert_true(utf8_is_valid(slice_text(err.message)));
    assert_in_range(strlen(err.message), sizeof err.message - 2, sizeof err.message - 1);
    bv_error_path(&err, "%s", text);
    assert_true(utf8_is_valid(slice_text(err.path)));
    assert_in_range(strlen(err.path), sizeof err.path - 2, sizeof err.path - 1);
}

static void
test_quoted_text_is_one_line_of_utf8_within_200_bytes(void **state)
{
    char text[400];

    memset(text, 'a', sizeof text);
    memcpy(text + 199, "\xe2\x82\xac", 3);
    assert_int_equal(strlen(bv_error_quote(slice_of(text, sizeof text))), 199);
    assert_string_equal(bv_error_quote(slice_of("a\0b\nc\xff\xc3\xa9", 8)), "a?b?c?\xc3\xa9");
    assert_string_equal(bv_error_quote(slice_of(NULL, 0)), "");
}

static void
test_four_quotes_live_at_once(void **state)
{
    const char *a = bv_error_quote(slice_text("a"));
    const char *b = bv_error_quote(slice_text("b"));
    const char *c = bv_error_quote(slice_text("c"));
    const char *d = bv_error_quote(slice_text("d"));

    assert_string_equal(a, "a");
    assert_string_equal(b, "b");
    assert_string_equal(c, "c");
    assert_string_equal(d, "d");
}

static void
test_status_tables_answer_for_every_status(void **state)
{
#define BV_STATUS(NAME, number, http, code, sentence)                                              \
    assert_int_equal(bv_status_http(BV_##NAME), http);                                             \
    assert_string_equal(bv_status_code(BV_##NAME), code);                                          \
    assert_string_equal(bv_status_text(BV_##NAME), sentence);
#include "util/status.def"
#undef BV_STATUS
    assert_int_equal(bv_status_http((enum bv_status)9999), 500);
    assert_string_equal(bv_status_code((enum bv_status)9999), "");
    assert_string_equal(bv_status_text((enum bv_status)9999), "unknown status");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_status_and_message_and_clears_the_rest),
        cmocka_unit_test(test_path_and_hint_stand_beside_the_message),
        cmocka_unit_test(test_a_caller_may_pass_no_error),
        cmocka_unit_test(test_a_long_message_is_cut_between_characters),
        cmocka_unit_test(test_quoted_text_is_one_line_of_utf8_within_200_bytes),
        cmocka_unit_test(test_four_quotes_live_at_once),
        cmocka_unit_test(test_status_tables_answer_for_every_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
