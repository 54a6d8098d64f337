/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

static void
expect(const char *op, const struct value *values, size_t count, struct value wanted)
{
    struct test_feature feature;
    struct value got;

    test_feature_open(&feature, op, 0, &heap);
    for (size_t i = 0; i < count; i++) {
        test_feature_push(&feature, values[i], true);
    }
    got = test_feature_read(&feature, &arena);
    assert_int_equal(got.kind, wanted.kind);
    assert_int_equal(got.length, wanted.length);
    if (wanted.kind == VALUE_STR) {
        assert_memory_equal(got.as.str, wanted.as.str, wanted.length);
    } else if (wanted.kind != VALUE_NULL && wanted.kind != VALUE_LIST) {
        assert_true(got.as.bits == wanted.as.bits);
    }
    test_feature_close(&feature);
}

static void
test_first_and_last_of_the_base_sequence(void **state)
{
    const struct value amounts[] = {value_f64(10), value_f64(20), value_f64(5), value_f64(25)};

    expect("first", amounts, 4, value_f64(10.0));
    expect("last", amounts, 4, value_f64(25.0));
    expect("first", amounts, 0, value_null());
    expect("last", amounts, 0, value_null());
}

static void
test_nulls_are_skipped_and_kinds_are_kept(void **state)
{
    struct value list = {
        .as.items = (const struct value[]){value_i64(1)}, .length = 1, .kind = VALUE_LIST};
    const struct value values[] = {value_null(), value_i64(INT64_MIN), value_bool(true), list,
                                   value_null()};

    expect("first", values, 5, value_i64(INT64_MIN));
    expect("last", values, 5, list);
    expect("last", values, 3, value_bool(true));
}

static void
test_texts_of_every_length_come_back(void **state)
{
    char bytes[64];

    memset(bytes, 'q', sizeof bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        const struct value values[] = {value_str(slice_text("before, long enough")),
                                       value_str(slice_of(bytes, size))};

        expect("last", values, 2, values[1]);
        expect("first", values, 2, values[0]);
        expect("first", values + 1, 1, values[1]);
    }
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_last_keeps_the_old_value_when_memory_is_spent(void **state)
{
    struct test_feature feature;
    struct value got;

    test_feature_open(&feature, "last", 0, &heap);
    test_feature_push(&feature, value_str(slice_text("the first long text")), true);
    heap.fail_at = heap.alloc_count + 1;
    test_feature_push(&feature, value_str(slice_text("another, longer long text")), true);
    heap.fail_at = 0;
    got = test_feature_read(&feature, &arena);
    assert_true(slice_equal(value_slice(&got), slice_text("the first long text")));
    test_feature_close(&feature);
}

static void
test_first_and_last_refuse_windows_and_want_a_field(void **state)
{
    static const char *const names[] = {"first", "last"};

    for (size_t i = 0; i < 2; i++) {
        const struct agg_op *op = agg_op_find(slice_text(names[i]));

        assert_int_equal(op->window, AGG_WINDOW_REFUSED);
        assert_true(op->params[0].is_required);
        assert_int_equal(op->params[0].refusal, BV_AGG_UNKNOWN_FIELD);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_and_last_of_the_base_sequence),
        cmocka_unit_test(test_nulls_are_skipped_and_kinds_are_kept),
        cmocka_unit_test(test_texts_of_every_length_come_back),
        cmocka_unit_test(test_last_keeps_the_old_value_when_memory_is_spent),
        cmocka_unit_test(test_first_and_last_refuse_windows_and_want_a_field),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    test_heap_open(&heap, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
