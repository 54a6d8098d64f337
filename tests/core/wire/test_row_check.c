/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "wire/row_check.h"

/* The verdict on an exact copy, so that a sanitizer sees a read beyond it. */
static enum row_text
check_bytes(const void *bytes, size_t size, bool is_name)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    enum row_text verdict = ROW_TEXT_CLEAN;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    verdict = row_text_check(slice_of(copy, size), is_name);
    free(copy);
    return verdict;
}

static void
test_ascii_controls_are_found_at_every_place(void **state)
{
    for (size_t size = 1; size <= 70; size++) {
        for (size_t at = 0; at < size; at++) {
            uint8_t text[70];

            memset(text, 'x', sizeof text);
            assert_int_equal(check_bytes(text, size, true), ROW_TEXT_CLEAN);
            text[at] = 0x01;
            assert_int_equal(check_bytes(text, size, false), ROW_TEXT_CONTROL);
            text[at] = 0x7f;
            assert_int_equal(check_bytes(text, size, false), ROW_TEXT_CONTROL);
            text[at] = 0xff;
            assert_int_equal(check_bytes(text, size, false), ROW_TEXT_MALFORMED);
        }
    }
}

static void
test_every_single_byte_has_its_verdict(void **state)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text = (uint8_t)byte;
        bool is_free = byte == '\t' || byte == '\n' || byte == '\r';
        enum row_text name = byte < 0x20 || byte == 0x7f ? ROW_TEXT_CONTROL : ROW_TEXT_CLEAN;

        name = byte >= 0x80 ? ROW_TEXT_MALFORMED : name;
        assert_int_equal(check_bytes(&text, 1, true), name);
        assert_int_equal(check_bytes(&text, 1, false), is_free ? ROW_TEXT_CLEAN : name);
    }
}

static void
test_c1_controls_are_refused_and_their_neighbours_not(void **state)
{
    assert_int_equal(check_bytes("\xc2\x80", 2, false), ROW_TEXT_CONTROL);
    assert_int_equal(check_bytes("ab\xc2\x9f", 4, false), ROW_TEXT_CONTROL);
    assert_int_equal(check_bytes("\xc2\xa0", 2, true), ROW_TEXT_CLEAN);
    assert_int_equal(check_bytes("\xc3\x80", 2, true), ROW_TEXT_CLEAN);
    assert_int_equal(check_bytes("\xf0\x9f\x98\x80", 4, true), ROW_TEXT_CLEAN);
}

static void
test_broken_utf8_outranks_control_characters(void **state)
{
    assert_int_equal(check_bytes("\x01\xc2", 2, false), ROW_TEXT_MALFORMED);
    assert_int_equal(check_bytes("\xed\xa0\x80", 3, false), ROW_TEXT_MALFORMED);
    assert_int_equal(check_bytes("\xc0\x80", 2, false), ROW_TEXT_MALFORMED);
    assert_int_equal(check_bytes("\xf4\x90\x80\x80", 4, false), ROW_TEXT_MALFORMED);
    assert_int_equal(check_bytes("\xe2\x82", 2, false), ROW_TEXT_MALFORMED);
}

static void
test_values_are_searched_at_every_depth(void **state)
{
    struct value leaf[2] = {value_str(slice_text("fine")), value_str(slice_text("a\001"))};
    struct value_member member = {value_str(slice_text("name")), value_null()};
    struct value list = {.as.items = leaf, .length = 2, .kind = VALUE_LIST};
    struct value map = {.as.members = &member, .length = 1, .kind = VALUE_MAP};

    member.value = list;
    assert_int_equal(row_value_check(&map, 0), BV_CONTROL_CHARACTER);
    leaf[1] = value_f64((double)INFINITY);
    assert_int_equal(row_value_check(&map, 0), BV_INVALID_EVENT);
    leaf[1] = value_f64((double)NAN);
    assert_int_equal(row_value_check(&map, 0), BV_INVALID_EVENT);
    leaf[1] = value_f64(1.5);
    assert_int_equal(row_value_check(&map, 0), BV_OK);
    leaf[1] = (struct value){.as.str = "\001\002", .length = 2, .kind = VALUE_BYTES};
    assert_int_equal(row_value_check(&map, 0), BV_OK);
}

static void
test_nan_outranks_an_earlier_control_character(void **state)
{
    struct value items[2] = {value_str(slice_text("\001")), value_f64((double)NAN)};
    struct value list = {.as.items = items, .length = 2, .kind = VALUE_LIST};

    assert_int_equal(row_value_check(&list, 0), BV_INVALID_EVENT);
    items[1] = value_f64(0);
    assert_int_equal(row_value_check(&list, 0), BV_CONTROL_CHARACTER);
}

static void
test_tab_is_free_in_values_and_refused_in_names(void **state)
{
    struct value text = value_str(slice_text("a\tb\r\n"));
    struct value_member member = {value_str(slice_text("k")), text};
    struct value map = {.as.members = &member, .length = 1, .kind = VALUE_MAP};

    assert_int_equal(row_value_check(&text, 0), BV_OK);
    assert_int_equal(row_value_check(&text, ROW_STRICT_CONTROL_CHARACTERS), BV_CONTROL_CHARACTER);
    assert_int_equal(row_value_check(&map, 0), BV_OK);
    member.key = text;
    assert_int_equal(row_value_check(&map, 0), BV_CONTROL_CHARACTER);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii_controls_are_found_at_every_place),
        cmocka_unit_test(test_every_single_byte_has_its_verdict),
        cmocka_unit_test(test_c1_controls_are_refused_and_their_neighbours_not),
        cmocka_unit_test(test_broken_utf8_outranks_control_characters),
        cmocka_unit_test(test_values_are_searched_at_every_depth),
        cmocka_unit_test(test_nan_outranks_an_earlier_control_character),
        cmocka_unit_test(test_tab_is_free_in_values_and_refused_in_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
