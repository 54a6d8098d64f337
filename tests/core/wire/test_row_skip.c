/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "util/buf.h"
#include "wire/msgpack.h"
#include "wire/row_skip.h"

static size_t
json_size(const char *text)
{
    struct slice slice = slice_text(text);

    return (size_t)(json_skip_value(slice.data, slice.data + slice.size) - slice.data);
}

static void
test_json_values_end_where_they_end(void **state)
{
    assert_int_equal(json_size("12,3"), 2);
    assert_int_equal(json_size("true}"), 4);
    assert_int_equal(json_size("-1.5e3 ,"), 6);
    assert_int_equal(json_size("\"a\\\"]}\" "), 7);
    assert_int_equal(json_size("{\"a\":[1,{\"b\":\"}\"}],\"c\":{}},1"), 26);
    assert_int_equal(json_size("[[1,2],[\"]\"]]]"), 13);
    assert_int_equal(json_size("[]"), 2);
}

static void
test_unfinished_json_ends_at_the_end(void **state)
{
    assert_int_equal(json_size("{\"a\":["), 6);
    assert_int_equal(json_size("\"abc\\"), 5);
    assert_int_equal(json_size("\"abc\\\""), 6);
    assert_int_equal(json_size("["), 1);
}

static void
test_json_depth_counts_brackets_outside_strings(void **state)
{
    assert_int_equal(json_depth(slice_text("")), 0);
    assert_int_equal(json_depth(slice_text("{\"[[[\":[1,[2]],\"b\":{}}")), 3);
    assert_int_equal(json_depth(slice_text("]]]][")), 1);
}

static size_t
skip_exactly(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    size_t result = 0;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    result = msgpack_skip_value(slice_of(copy, size));
    free(copy);
    return result;
}

static void
test_every_form_of_msgpack_has_its_size(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } FORMS[] = {
        {"\x05", 1},
        {"\xff", 1},
        {"\xc0", 1},
        {"\xc2", 1},
        {"\xa3"
         "abc",
         4},
        {"\xc4\x02.."
         "",
         4},
        {"\xc5\x00\x02..", 5},
        {"\xc6\x00\x00\x00\x02..", 7},
        {"\xc7\x02t..", 5},
        {"\xc8\x00\x02t..", 6},
        {"\xc9\x00\x00\x00\x02t..", 8},
        {"\xca....", 5},
        {"\xcb........", 9},
        {"\xcc.", 2},
        {"\xcd..", 3},
        {"\xce....", 5},
        {"\xcf........", 9},
        {"\xd0.", 2},
        {"\xd1..", 3},
        {"\xd2....", 5},
        {"\xd3........", 9},
        {"\xd4t.", 3},
        {"\xd5t..", 4},
        {"\xd6t....", 6},
        {"\xd7t........", 10},
        {"\xd8t................", 18},
        {"\xd9\x02..", 4},
        {"\xda\x00\x02..", 5},
        {"\xdb\x00\x00\x00\x02..", 7},
        {"\x92\x01\x02", 3},
        {"\xdc\x00\x02\x01\x02", 5},
        {"\xdd\x00\x00\x00\x02\x01\x02", 7},
        {"\x81\x01\x02", 3},
        {"\xde\x00\x01\x01\x02", 5},
        {"\xdf\x00\x00\x00\x01\x01\x02", 7},
        {"\x82\xa1q\x92\x01\x90\xa1r\x81\x01\x80", 11},
    };

    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        assert_int_equal(skip_exactly(FORMS[i].bytes, FORMS[i].size), FORMS[i].size);
        for (size_t size = 0; size < FORMS[i].size; size++) {
            assert_int_equal(skip_exactly(FORMS[i].bytes, size), 0);
        }
    }
    assert_int_equal(skip_exactly("\xc1", 1), 0);
    assert_int_equal(skip_exactly("\x91\xc1", 2), 0);
}

static void
test_declared_counts_beyond_the_bytes_are_refused_at_once(void **state)
{
    assert_int_equal(skip_exactly("\xdd\xff\xff\xff\xff\x01", 6), 0);
    assert_int_equal(skip_exactly("\xdf\xff\xff\xff\xff\x01", 6), 0);
    assert_int_equal(skip_exactly("\xdb\xff\xff\xff\xff\x01", 6), 0);
}

static void
test_two_million_open_arrays_are_skipped_or_refused(void **state)
{
    size_t depth = 2000000;
    uint8_t *bytes = malloc(depth + 1);

    assert_non_null(bytes);
    memset(bytes, 0x91, depth);
    bytes[depth] = 0x01;
    assert_int_equal(msgpack_skip_value(slice_of(bytes, depth)), 0);
    assert_int_equal(msgpack_skip_value(slice_of(bytes, depth + 1)), depth + 1);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_values_end_where_they_end),
        cmocka_unit_test(test_unfinished_json_ends_at_the_end),
        cmocka_unit_test(test_json_depth_counts_brackets_outside_strings),
        cmocka_unit_test(test_every_form_of_msgpack_has_its_size),
        cmocka_unit_test(test_declared_counts_beyond_the_bytes_are_refused_at_once),
        cmocka_unit_test(test_two_million_open_arrays_are_skipped_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
