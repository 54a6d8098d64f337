/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "agg_fixture.h"
#include "agg/codec.h"
#include "wire/json.h"

static struct arena arena;
static struct test_heap heap;

static void
expect_json(const char *json)
{
    struct stored_value stored = {0};
    struct value v;
    struct value back;
    struct buf text;

    assert_int_equal(json_parse(&v, slice_text(json), 16, &arena, NULL), BV_OK);
    assert_true(stored_value_set(&stored, &v, &heap.heap));
    back = stored_value_read(&stored, &heap.heap, &arena);
    assert_int_equal(back.kind, v.kind);
    buf_init(&text);
    json_write(&text, &back);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, json);
    buf_deinit(&text);
    stored_value_release(&stored, &heap.heap);
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_any_value_comes_back_as_it_was(void **state)
{
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "-9223372036854775808",
        "9223372036854775807",
        "1.5",
        "1e-7",
        "\"\"",
        "\"short\"",
        "\"12345678\"",
        "\"123456789\"",
        "[]",
        "{}",
        "[1,2.0,\"three\",null]",
        "{\"b\":1,\"a\":[true,{\"c\":\"a longer text in here\"}]}",
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        expect_json(values[i]);
    }
}

static void
test_inline_texts_take_no_memory_and_longer_ones_do(void **state)
{
    struct stored_value stored = {0};
    struct value eight = value_str(slice_text("12345678"));
    struct value nine = value_str(slice_text("123456789"));
    struct value other = value_str(slice_text("987654321"));
    struct value number = value_i64(1);

    assert_true(stored_value_set(&stored, &eight, &heap.heap));
    assert_int_equal(heap.bytes_out, 0);
    assert_true(stored_value_set(&stored, &nine, &heap.heap));
    assert_int_equal(heap.bytes_out, 9);

    int64_t alloc_count = heap.alloc_count;

    assert_true(stored_value_set(&stored, &other, &heap.heap));
    assert_int_equal(heap.alloc_count, alloc_count);
    assert_true(stored_value_set(&stored, &number, &heap.heap));
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_numbers_are_ordered_by_value_exactly(void **state)
{
    struct value small = value_i64(9007199254740992);
    struct value large = value_i64(9007199254740993);
    struct value same = value_f64(9007199254740992.0);
    struct value nan = value_f64(NAN);
    struct value huge = value_f64(1e300);
    struct value text = value_str(slice_text("1"));

    assert_int_equal(stored_value_compare(&small, &same), STORED_EQUAL);
    assert_int_equal(stored_value_compare(&large, &same), STORED_GREATER);
    assert_int_equal(stored_value_compare(&same, &large), STORED_LESS);
    assert_int_equal(stored_value_compare(&large, &huge), STORED_LESS);
    assert_int_equal(stored_value_compare(&huge, &large), STORED_GREATER);
    assert_int_equal(stored_value_compare(&nan, &large), STORED_UNORDERED);
    assert_int_equal(stored_value_compare(&large, &nan), STORED_UNORDERED);
    assert_int_equal(stored_value_compare(&nan, &nan), STORED_UNORDERED);
    assert_int_equal(stored_value_compare(&large, &text), STORED_UNORDERED);
}

static void
test_decode_refuses_text_that_is_not_what_it_claims(void **state)
{
    static const struct {
        uint8_t kind;
        const char *text;
    } rows[] = {
        {VALUE_STR, "\xFF\xFE"}, {VALUE_LIST, "{}"}, {VALUE_MAP, "[]"},
        {VALUE_LIST, "[1,"},     {VALUE_MAP, ""},    {VALUE_MAP + 1, "x"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[16] = {rows[i].kind, (uint8_t)strlen(rows[i].text)};
        struct codec_reader reader = {.bytes = slice_of(bytes, 5 + strlen(rows[i].text))};
        struct stored_value stored;
        bool is_sound = true;

        memcpy(bytes + 5, rows[i].text, strlen(rows[i].text));
        assert_int_equal(stored_value_decode(&stored, &reader, &is_sound, &heap.heap, NULL), BV_OK);
        assert_false(is_sound);
        assert_int_equal(stored.kind, VALUE_NULL);
    }
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_a_spent_arena_reads_null(void **state)
{
    struct stored_value stored = {0};
    struct value eight = value_str(slice_text("12345678"));
    struct arena spent;

    arena_init(&spent, 64, 1);
    assert_true(stored_value_set(&stored, &eight, &heap.heap));
    assert_int_equal(stored_value_read(&stored, &heap.heap, &spent).kind, VALUE_NULL);
    arena_deinit(&spent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_value_comes_back_as_it_was),
        cmocka_unit_test(test_inline_texts_take_no_memory_and_longer_ones_do),
        cmocka_unit_test(test_numbers_are_ordered_by_value_exactly),
        cmocka_unit_test(test_decode_refuses_text_that_is_not_what_it_claims),
        cmocka_unit_test(test_a_spent_arena_reads_null),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    test_heap_open(&heap, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
