/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/utf8.h"

static void
test_every_code_point_encodes_to_a_valid_sequence(void **state)
{
    for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
        uint8_t bytes[4];

        if (code_point >= 0xd800 && code_point <= 0xdfff) {
            continue;
        }
        size_t size = utf8_encode(bytes, code_point);

        assert_int_equal(utf8_sequence(bytes, size), size);
        assert_int_equal(utf8_sequence(bytes, size - 1), 0);
    }
}

/* The number of well-formed sequences of two and three bytes is known, so counting all that are
 * accepted shows that none too many is. */
static void
test_only_well_formed_sequences_are_accepted(void **state)
{
    unsigned counts[5] = {0};

    for (uint32_t v = 0; v < 1u << 24; v++) {
        const uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        size_t size = utf8_sequence(bytes, 3);

        counts[size] += size == 3 || (v & 0xff) == 0;
    }
    assert_int_equal(counts[1], 128 * 256);
    assert_int_equal(counts[2], 0x800 - 0x80);
    assert_int_equal(counts[3], 0x10000 - 0x800 - 0x800);
    assert_int_equal(counts[4], 0);
    assert_int_equal(utf8_sequence((const uint8_t *)"\xf0\x8f\xbf\xbf", 4), 0);
    assert_int_equal(utf8_sequence((const uint8_t *)"\xf4\x90\x80\x80", 4), 0);
    assert_int_equal(utf8_sequence((const uint8_t *)"\xf5\x80\x80\x80", 4), 0);
    assert_int_equal(utf8_sequence((const uint8_t *)"\xf0\x90\x80\x28", 4), 0);
}

static void
test_a_bad_byte_is_found_wherever_it_stands(void **state)
{
    uint8_t text[64];

    for (size_t i = 0; i < sizeof text; i++) {
        memset(text, 'a', sizeof text);
        assert_true(utf8_is_valid(slice_of(text, sizeof text)));
        text[i] = 0x80;
        assert_false(utf8_is_valid(slice_of(text, sizeof text)));
    }
    assert_true(utf8_is_valid(slice_of(NULL, 0)));
    assert_true(utf8_is_valid(slice_text("sieben Zwerge \xe2\x82\xac \xf0\x9f\x98\x80 abcdefgh")));
    assert_false(utf8_is_valid(slice_text("abcdefgh\xe2\x82")));
}

static void
test_a_cut_never_splits_a_sequence(void **state)
{
    const struct slice text = slice_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        assert_int_equal(utf8_cut(text, i), cuts[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_encodes_to_a_valid_sequence),
        cmocka_unit_test(test_only_well_formed_sequences_are_accepted),
        cmocka_unit_test(test_a_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(test_a_cut_never_splits_a_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
