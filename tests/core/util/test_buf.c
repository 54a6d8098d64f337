/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/buf.h"

static void
test_appended_bytes_come_back_in_order(void **state)
{
    struct buf buf;

    buf_init(&buf);
    for (int i = 0; i < 10000; i++) {
        buf_byte(&buf, (uint8_t)i);
    }
    buf_append(&buf, NULL, 0);
    assert_int_equal(buf.size, 10000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buf.data[i], (uint8_t)i);
    }
    buf_deinit(&buf);
    assert_int_equal(buf.capacity, 0);
}

static void
test_printf_grows_and_leaves_no_nul(void **state)
{
    struct buf buf;

    buf_init(&buf);
    for (int i = 0; i < 300; i++) {
        buf_printf(&buf, "%d,", i);
    }
    buf_printf(&buf, "%s", "");
    buf_text(&buf, "end");
    assert_int_equal(buf.size, 10 * 2 + 90 * 3 + 200 * 4 + 3);
    assert_memory_equal(buf.data, "0,1,2,", 6);
    assert_memory_equal(buf.data + buf.size - 7, "299,end", 7);
    assert_null(memchr(buf.data, '\0', buf.size));
    buf_deinit(&buf);
}

static void
test_a_failed_growth_latches_until_clear(void **state)
{
    struct buf buf;

    buf_init(&buf);
    buf_text(&buf, "kept");
    assert_false(buf_reserve(&buf, SIZE_MAX - 2));
    assert_true(buf.failed);
    buf_text(&buf, "dropped");
    buf_printf(&buf, "%d", 1);
    assert_int_equal(buf.size, 4);
    buf_clear(&buf);
    buf_printf(&buf, "%d", 42);
    assert_false(buf.failed);
    assert_true(slice_equal(buf_slice(&buf), slice_text("42")));
    buf_deinit(&buf);
}

static void
test_reserved_room_is_not_reallocated(void **state)
{
    struct buf buf;

    buf_init(&buf);
    assert_true(buf_reserve(&buf, 5000));
    const uint8_t *data = buf.data;

    for (int i = 0; i < 5000; i++) {
        buf_byte(&buf, 'x');
    }
    assert_ptr_equal(buf.data, data);
    buf_deinit(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appended_bytes_come_back_in_order),
        cmocka_unit_test(test_printf_grows_and_leaves_no_nul),
        cmocka_unit_test(test_a_failed_growth_latches_until_clear),
        cmocka_unit_test(test_reserved_room_is_not_reallocated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
