/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "wire/msgpack.h"

static void
assert_written(const struct value *v, const void *wanted, size_t size)
{
    struct buf buf;

    buf_init(&buf);
    msgpack_write(&buf, v);
    assert_false(buf.failed);
    assert_int_equal(buf.size, size);
    assert_memory_equal(buf.data, wanted, size);
    buf_deinit(&buf);
}

static void
test_integers_take_the_published_smallest_forms(void **state)
{
    const int64_t numbers[] = {
        0,  127, 128, 255,  256,  65535,  65536,  4294967295,  4294967296, INT64_MAX,
        -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649};
    const uint8_t wanted[] = {
        0xdc, 0x00, 0x13, 0x00, 0x7f, 0xcc, 0x80, 0xcc, 0xff, 0xcd, 0x01, 0x00, 0xcd, 0xff, 0xff,
        0xce, 0x00, 0x01, 0x00, 0x00, 0xce, 0xff, 0xff, 0xff, 0xff, 0xcf, 0x00, 0x00, 0x00, 0x01,
        0x00, 0x00, 0x00, 0x00, 0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe0,
        0xd0, 0xdf, 0xd0, 0x80, 0xd1, 0xff, 0x7f, 0xd1, 0x80, 0x00, 0xd2, 0xff, 0xff, 0x7f, 0xff,
        0xd2, 0x80, 0x00, 0x00, 0x00, 0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    struct value items[19];

    for (int i = 0; i < 19; i++) {
        items[i] = value_i64(numbers[i]);
    }
    const struct value list = {.as.items = items, .length = 19, .kind = VALUE_LIST};

    assert_written(&list, wanted, sizeof wanted);
}

static void
test_a_row_is_written_as_published(void **state)
{
    const struct value_member members[] = {
        {value_str(slice_text("c")), value_i64(2)},
        {value_str(slice_text("s")), value_f64(12.0)},
    };
    const struct value map = {.as.members = members, .length = 2, .kind = VALUE_MAP};

    assert_written(&map, "\x82\xa1\x63\x02\xa1\x73\xcb\x40\x28\0\0\0\0\0\0", 15);
}

static void
test_what_a_reply_cannot_say_is_nil(void **state)
{
    const struct value items[] = {
        value_f64(NAN),    value_f64(-INFINITY),
        value_null(),      {.as.bytes = (const uint8_t *)"x", .length = 1, .kind = VALUE_BYTES},
        value_bool(false), value_bool(true),
    };
    const struct value list = {.as.items = items, .length = 6, .kind = VALUE_LIST};

    assert_written(&list, "\x96\xc0\xc0\xc0\xc0\xc2\xc3", 7);
}

static void
test_headers_are_the_shortest(void **state)
{
    static const struct {
        uint32_t length;
        uint8_t header[5];
        size_t size;
    } texts[] = {{0, {0xa0}, 1},
                 {31, {0xbf}, 1},
                 {32, {0xd9, 32}, 2},
                 {255, {0xd9, 255}, 2},
                 {256, {0xda, 1, 0}, 3},
                 {65535, {0xda, 255, 255}, 3},
                 {65536, {0xdb, 0, 1, 0, 0}, 5}};
    char *text = calloc(1, 65536 + 5);
    uint8_t *wanted = calloc(1, 65536 + 5);

    assert_non_null(text);
    assert_non_null(wanted);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct value v = value_str(slice_of(text, texts[i].length));

        memset(wanted, 0, 65536 + 5);
        memcpy(wanted, texts[i].header, texts[i].size);
        assert_written(&v, wanted, texts[i].size + texts[i].length);
    }
    free(text);
    free(wanted);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_take_the_published_smallest_forms),
        cmocka_unit_test(test_a_row_is_written_as_published),
        cmocka_unit_test(test_what_a_reply_cannot_say_is_nil),
        cmocka_unit_test(test_headers_are_the_shortest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
