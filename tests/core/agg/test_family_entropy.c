/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "agg_streams.h"
#include "agg_windowed.h"

static struct arena arena;

static double
entropy_of(struct value v)
{
    assert_int_equal(v.kind, VALUE_F64);
    return v.as.f64;
}

static void
test_golden_vectors(void **state)
{
    check_golden("entropy", "{}", "\"a\",\"b\",\"a\",\"c\"", "1.5");
    check_golden("entropy", "{}", "\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"", "3.0");
    check_golden("entropy", "{}", "\"a\",\"a\",\"a\"", "0.0");
    check_golden("entropy", "{}", "\"a\",\"a\",\"a\",\"a\",\"b\"", "0.7219280948873623");
    check_golden("entropy", "{}", "null,[1],{\"a\":1}", "0.0");
}

static void
test_categories_are_texts(void **state)
{
    check_golden("entropy", "{}", "1,\"1\"", "0.0");
    check_golden("entropy", "{}", "1.5,\"1.5\"", "0.0");
    check_golden("entropy", "{}", "true,\"true\"", "0.0");
    check_golden("entropy", "{}", "1,1.0", "1.0");
    check_golden("entropy", "{}", "1,\"01\"", "1.0");
    check_golden("entropy", "{}", "true,1", "1.0");
}

/* A chain may put texts into a numeric column; the identity is the same without making texts of
 * numbers, but for 1 and 1.0, which are one there (W1). */
static void
test_a_numeric_column_has_the_same_categories(void **state)
{
    test_input_type = FIELD_F64;
    check_golden("entropy", "{}", "1,1.0", "0.0");
    check_golden("entropy", "{}", "1,\"1\"", "0.0");
    check_golden("entropy", "{}", "1.5,\"1.5\"", "0.0");
    check_golden("entropy", "{}", "1.5,\"1.50\"", "1.0");
    check_golden("entropy", "{}", "1.0,\"1.0\"", "1.0"); /* 1.0 is the text 1 here */
    check_golden("entropy", "{}", "-3,\"-3\"", "0.0");
    check_golden("entropy", "{}", "-3,\"+3\"", "1.0");
    check_golden("entropy", "{}", "1e300,\"1e+300\"", "0.0");
    check_golden("entropy", "{}", "7,\"\"", "1.0");
    check_golden("entropy", "{}", "0.0,-0.0,0", "0.0");
    check_golden("entropy", "{}", "false,\"false\"", "0.0");
    test_input_type = FIELD_JSON;
}

static void
test_new_categories_beyond_the_cap_are_not_counted_at_all(void **state)
{
    struct test_heap heap;
    struct test_feature feature;

    check_golden("entropy", "{\"max_categories\":1}", "\"a\",\"b\",\"c\",\"a\"", "0.0");
    check_golden("entropy", "{\"max_categories\":2}", "\"a\",\"b\",\"c\",\"c\",\"d\"", "1.0");
    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, "entropy", 0, "{}", &heap);
    for (int i = 0; i < 2000; i++) {
        test_feature_push(&feature, value_i64(i), true);
        assert_true(fabs(entropy_of(test_feature_read(&feature, &arena)) -
                         log2(i < 1024 ? i + 1 : 1024)) < 1e-9);
    }
    assert_true(heap.bytes_out <= 32768);
    test_feature_close(&feature);
    test_heap_close(&heap);
}

/* Against counts, over whole streams and windows of eight panes, which add up without the cap. */
static void
test_entropy_is_exact_on_every_stream_and_window(void **state)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        for (uint64_t range = 30; range <= 3000; range *= 10) {
            const uint64_t n = range * 5;
            uint32_t *counts = calloc(8 * n, sizeof *counts);
            struct paned paned;
            struct test_heap heap;
            uint64_t seed = range;
            double expected = 0;

            assert_non_null(counts);
            test_heap_open(&heap, 8 << 20);
            paned_open(&paned, "entropy", "{\"max_categories\":65536}", &heap);
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t v = stream_draw((enum stream)stream, i, n, range, &seed);

                paned_push(&paned, value_i64((int64_t)v), i, n);
                counts[v]++;
            }
            for (uint64_t v = 0; v < 8 * n; v++) {
                const double share = (double)counts[v] / (double)n;

                expected -= counts[v] == 0 ? 0 : share * log2(share);
            }
            assert_true(fabs(entropy_of(test_feature_read(&paned.whole, &arena)) - expected) <
                        1e-9);
            assert_true(fabs(entropy_of(paned_read(&paned, &arena)) - expected) < 1e-9);
            paned_close(&paned);
            test_heap_close(&heap);
            free(counts);
            arena_reset(&arena);
        }
    }
}

static void
test_window_golden_vector(void **state)
{
    static struct windowed windowed;
    struct test_heap heap;

    test_heap_open(&heap, 1 << 20);
    windowed_open(&windowed, "entropy", "{}", 64, &heap);
    windowed_push(&windowed, value_str(slice_text("a")), 0);
    windowed_push(&windowed, value_str(slice_text("b")), 10);
    assert_true(entropy_of(windowed_read(&windowed, 20, &arena)) == 1.0);
    assert_true(entropy_of(windowed_read(&windowed, 70, &arena)) == 0.0);
    windowed_reload(&windowed, 20);
    assert_true(entropy_of(windowed_read(&windowed, 20, &arena)) == 1.0);
    assert_true(entropy_of(windowed_read(&windowed, 200, &arena)) == 0.0);
    windowed_close(&windowed);
    test_heap_close(&heap);
}

static void
test_folding_adds_categories_beyond_the_cap(void **state)
{
    struct paned paned;
    struct test_heap heap;

    test_heap_open(&heap, 1 << 20);
    paned_open(&paned, "entropy", "{\"max_categories\":2}", &heap);
    for (int i = 0; i < STREAM_PANES; i++) {
        test_feature_push(&paned.panes[i], value_i64(i), true);
    }
    assert_true(entropy_of(paned_read(&paned, &arena)) == 3.0);
    paned_close(&paned);
    test_heap_close(&heap);
}

static void
test_equal_counts_are_equal_states_whatever_the_order(void **state)
{
    struct test_heap heap;
    struct test_feature upward;
    struct test_feature downward;
    struct buf first;
    struct buf second;

    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&upward, "entropy", 0, "{}", &heap);
    test_feature_open_with(&downward, "entropy", 0, "{}", &heap);
    for (int i = 0; i < 300; i++) {
        test_feature_push(&upward, value_i64(i), true);
        test_feature_push(&downward, value_i64(299 - i), true);
    }

    const struct agg_accumulator *accumulator = upward.reading.accumulators[0];

    buf_init(&first);
    buf_init(&second);
    accumulator->encode(&first, upward.states[0], upward.reading.configs[0], &heap.heap);
    accumulator->encode(&second, downward.states[0], upward.reading.configs[0], &heap.heap);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_deinit(&first);
    buf_deinit(&second);
    test_feature_close(&upward);
    test_feature_close(&downward);
    test_heap_close(&heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_categories_are_texts),
        cmocka_unit_test(test_a_numeric_column_has_the_same_categories),
        cmocka_unit_test(test_new_categories_beyond_the_cap_are_not_counted_at_all),
        cmocka_unit_test(test_entropy_is_exact_on_every_stream_and_window),
        cmocka_unit_test(test_window_golden_vector),
        cmocka_unit_test(test_folding_adds_categories_beyond_the_cap),
        cmocka_unit_test(test_equal_counts_are_equal_states_whatever_the_order),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
