/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "wire/json.h"

static void
assert_written(const struct buf *buf, const char *wanted)
{
    assert_int_equal(buf->size, strlen(wanted));
    assert_memory_equal(buf->data, wanted, buf->size);
}

static void
test_strings_escape_only_what_they_must(void **state)
{
    struct buf buf;

    buf_init(&buf);
    json_write_string(&buf, slice_of("a\"\\/\b\t\n\f\r\0\x1f\x7f\xc3\xa9\xe2\x80\xa8z", 18));
    assert_written(&buf, "\"a\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\xc3\xa9\xe2\x80\xa8z\"");
    buf_clear(&buf);
    json_write_string(&buf, slice_of(NULL, 0));
    assert_written(&buf, "\"\"");
    buf_deinit(&buf);
}

static void
test_numbers_are_exact_and_floats_look_like_floats(void **state)
{
    struct buf buf;

    buf_init(&buf);
    json_write_i64(&buf, INT64_MIN);
    buf_byte(&buf, ' ');
    json_write_u64(&buf, UINT64_MAX);
    buf_byte(&buf, ' ');
    json_write_f64(&buf, 5);
    buf_byte(&buf, ' ');
    json_write_f64(&buf, -0.0);
    buf_byte(&buf, ' ');
    json_write_f64(&buf, 1e16);
    assert_written(&buf, "-9223372036854775808 18446744073709551615 5.0 -0.0 1e+16");
    buf_deinit(&buf);
}

static void
test_what_json_cannot_say_is_null(void **state)
{
    const struct value items[] = {
        value_f64(NAN),       value_f64(INFINITY),
        value_f64(-INFINITY), {.as.bytes = (const uint8_t *)"x", .length = 1, .kind = VALUE_BYTES},
        value_null(),
    };
    const struct value list = {.as.items = items, .length = 5, .kind = VALUE_LIST};
    struct buf buf;

    buf_init(&buf);
    json_write(&buf, &list);
    assert_written(&buf, "[null,null,null,null,null]");
    buf_deinit(&buf);
}

static void
test_a_parsed_document_is_written_compactly_in_its_order(void **state)
{
    struct slice text =
        slice_text(" { \"b\" : [ 1 , [ ] , { } , { \"x\" : 2.50 } ] , \"a\" : true ,"
                   " \"b\" : \"\\u0041\\n\" } ");
    struct arena arena;
    struct buf buf;
    struct value v;

    arena_init(&arena, 1024, 0);
    buf_init(&buf);
    assert_int_equal(json_parse(&v, text, 128, &arena, NULL), BV_OK);
    json_write(&buf, &v);
    assert_written(&buf, "{\"b\":[1,[],{},{\"x\":2.5}],\"a\":true,\"b\":\"A\\n\"}");
    buf_deinit(&buf);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_escape_only_what_they_must),
        cmocka_unit_test(test_numbers_are_exact_and_floats_look_like_floats),
        cmocka_unit_test(test_what_json_cannot_say_is_null),
        cmocka_unit_test(test_a_parsed_document_is_written_compactly_in_its_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
