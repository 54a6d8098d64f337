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
number_of(struct value v)
{
    double x = 0;

    assert_true(value_number(&v, &x));
    return x;
}

/* ---- n_unique ---- */

static void
test_distinct_golden_vectors(void **state)
{
    check_golden("n_unique", "{\"field\":\"page\"}", "\"x\",\"y\",\"x\",null", "2");
    check_golden("n_unique", "{\"field\":\"page\"}", "\"a\",\"b\",\"a\",\"c\"", "3");
    check_golden("n_unique", "{\"field\":\"page\"}", "1,1.0,\"1\",true", "4");
    check_golden("n_unique", "{\"field\":\"page\"}", "[1],{\"a\":1},[1],{\"a\":1},[]", "3");
    test_input_type = FIELD_F64;
    check_golden("n_unique", "{\"field\":\"amount\"}", "1,1.0,0,-0.0,1.5", "3");
    test_input_type = FIELD_JSON;
}

static void
test_distinct_counts_are_exact_up_to_1024_and_near_beyond(void **state)
{
    struct test_heap heap;
    struct test_feature feature;

    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, "n_unique", 0, "{}", &heap);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1024; i++) {
            char text[16];

            test_feature_push(&feature,
                              value_str(slice_of(text, (size_t)snprintf(text, 16, "value-%d", i))),
                              true);
            if (round == 0) {
                assert_int_equal(test_feature_read(&feature, &arena).as.i64, i + 1);
            }
        }
    }
    assert_reads(&feature, "1024", &arena);
    assert_true(heap.bytes_out <= 16384);
    for (int i = 0; i < 976; i++) {
        test_feature_push(&feature, value_i64(i), true);
    }
    assert_true(fabs(number_of(test_feature_read(&feature, &arena)) - 2000) < 0.05 * 2000);
    assert_int_equal(heap.bytes_out, 4096);
    test_feature_close(&feature);
    test_heap_close(&heap);
}

/* Over whole streams and over windows of eight panes; both read the very same. */
static void
test_distinct_error_holds_on_every_stream_and_window(void **state)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        for (uint64_t range = 500; range <= 40000; range *= 8) {
            const uint64_t n = range * 2;
            uint8_t *seen = calloc(1, 4 * n);
            struct paned paned;
            struct test_heap heap;
            uint64_t seed = range;
            double distinct = 0;

            assert_non_null(seen);
            test_heap_open(&heap, 4 << 20);
            paned_open(&paned, "n_unique", "{}", &heap);
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t v = stream_draw((enum stream)stream, i, n, range, &seed);

                paned_push(&paned, value_i64((int64_t)v), i, n);
                distinct += seen[v] == 0;
                seen[v] = 1;
            }

            const double whole = number_of(test_feature_read(&paned.whole, &arena));
            const double window = number_of(paned_read(&paned, &arena));

            assert_true(whole == window);
            if (distinct <= 1024) {
                assert_true(whole == distinct);
            } else {
                assert_true(fabs(whole - distinct) < distinct * 4 * 1.04 / 64);
            }
            paned_close(&paned);
            test_heap_close(&heap);
            free(seen);
            arena_reset(&arena);
        }
    }
}

/* ---- top_k ---- */

static void
test_frequent_golden_vectors(void **state)
{
    check_golden("top_k", "{\"k\":2}", "\"a\",\"b\",\"a\",\"c\"",
                 "[{\"count\":2,\"value\":\"a\"},{\"count\":1,\"value\":\"b\"}]");
    check_golden("top_k", "{\"k\":4}", "true,1.0,1,\"1\"",
                 "[{\"count\":1,\"value\":\"1\"},{\"count\":1,\"value\":1},"
                 "{\"count\":1,\"value\":1.0},{\"count\":1,\"value\":true}]");
    check_golden("top_k", "{}", "null,[1],{\"a\":1}", "[]");
    check_golden("top_k", "{}", "0.0,-0.0", "[{\"count\":2,\"value\":0.0}]");
}

static void
test_int_and_float_are_one_value_of_a_numeric_column(void **state)
{
    test_input_type = FIELD_I64;
    check_golden("top_k", "{}", "1,1.0,2.0,2",
                 "[{\"count\":2,\"value\":1},{\"count\":2,\"value\":2.0}]");
    test_input_type = FIELD_JSON;
}

static void
test_every_nan_is_one_value_and_reads_null(void **state)
{
    struct test_heap heap;
    struct test_feature feature;
    struct value other = value_f64(NAN);

    other.as.bits |= 1;
    test_heap_open(&heap, 65536);
    test_feature_open_with(&feature, "top_k", 0, "{\"k\":3}", &heap);
    test_feature_push(&feature, value_f64(NAN), true);
    test_feature_push(&feature, value_f64(-2.5), true);
    test_feature_push(&feature, other, true);
    test_feature_push(&feature, value_f64(-2.5), true);
    assert_reads(&feature, "[{\"count\":2,\"value\":-2.5},{\"count\":2,\"value\":null}]", &arena);
    test_feature_close(&feature);
    test_heap_close(&heap);
}

static void
test_a_winner_among_singletons_is_found(void **state)
{
    struct test_heap heap;
    struct test_feature feature;
    struct value v;

    test_heap_open(&heap, 4 << 20);
    test_feature_open_with(&feature, "top_k", 0, "{\"k\":3}", &heap);
    for (int i = 0; i < 2000; i++) {
        char text[32];

        test_feature_push(&feature, value_str(slice_text("winner")), true);
        if (i < 1500) {
            test_feature_push(
                &feature,
                value_str(slice_of(text, (size_t)snprintf(text, 32, "a singleton, number %d", i))),
                true);
        }
    }
    v = test_feature_read(&feature, &arena);
    assert_int_equal(v.length, 3);
    assert_in_range(value_find(&v.as.items[0], "count")->as.i64, 2000, 2003);
    assert_true(
        slice_equal(value_slice(value_find(&v.as.items[0], "value")), slice_text("winner")));
    test_feature_close(&feature);
    test_heap_close(&heap);
}

/* No count too small, none too large by more than the bound, none missing that comes more often. */
static void
check_counts(struct value list, const uint32_t *counts, size_t range, double slack)
{
    uint64_t least = UINT64_MAX;
    uint8_t *listed = calloc(1, range);

    assert_non_null(listed);
    for (uint32_t i = 0; i < list.length; i++) {
        const uint64_t count = (uint64_t)value_find(&list.as.items[i], "count")->as.i64;
        const uint64_t v = (uint64_t)value_find(&list.as.items[i], "value")->as.i64;

        assert_true(count >= counts[v]);
        assert_true((double)count <= counts[v] + slack);
        assert_true(count <= least); /* descending */
        least = count;
        listed[v] = 1;
    }
    for (size_t v = 0; v < range; v++) {
        assert_true(listed[v] || counts[v] == 0 || counts[v] <= least);
    }
    free(listed);
}

static void
test_frequency_error_holds_on_every_stream_and_window(void **state)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        for (uint64_t range = 100; range <= 20000; range *= 12) {
            const uint64_t n = range * 4;
            uint32_t *counts = calloc(8 * n, sizeof *counts);
            struct paned paned;
            struct test_heap heap;
            uint64_t seed = range;
            size_t distinct = 0;

            assert_non_null(counts);
            test_heap_open(&heap, 64 << 20);
            paned_open(&paned, "top_k", "{\"k\":20}", &heap);
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t v = stream_draw((enum stream)stream, i, n, range, &seed);

                paned_push(&paned, value_i64((int64_t)v), i, n);
                distinct += counts[v] == 0;
                counts[v]++;
            }

            /* The published bound is 2.718 / 2048 of all. */
            const double slack = distinct <= 1024 ? 0 : (double)n / 1024;

            check_counts(test_feature_read(&paned.whole, &arena), counts, 8 * n, slack);
            check_counts(paned_read(&paned, &arena), counts, 8 * n, slack);
            paned_close(&paned);
            test_heap_close(&heap);
            free(counts);
            arena_reset(&arena);
        }
    }
}

/* ---- windows (operators.md 10.3) ---- */

static void
check_window_reads(struct windowed *windowed, uint64_t query_ms, const char *expected)
{
    const struct value v = windowed_read(windowed, query_ms, &arena);
    struct buf text;

    buf_init(&text);
    json_write(&text, &v);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    buf_deinit(&text);
}

static void
test_window_golden_vectors(void **state)
{
    static struct windowed windowed;
    struct test_heap heap;

    test_heap_open(&heap, 1 << 20);
    windowed_open(&windowed, "n_unique", "{}", 64, &heap);
    for (int i = 0; i < 5; i++) {
        windowed_push(&windowed, value_str(slice_of("abcde" + i, 1)), i < 3 ? 0 : 10);
    }
    check_window_reads(&windowed, 20, "5");
    check_window_reads(&windowed, 70, "2");
    check_window_reads(&windowed, 100, "0");
    windowed_close(&windowed);

    windowed_open(&windowed, "top_k", "{\"k\":2}", 64, &heap);
    for (int i = 0; i < 4; i++) {
        windowed_push(&windowed, value_str(slice_text("/home")), i < 3 ? 0 : 10);
    }
    windowed_push(&windowed, value_str(slice_text("/about")), 15);
    check_window_reads(&windowed, 20,
                       "[{\"count\":4,\"value\":\"/home\"},{\"count\":1,\"value\":\"/about\"}]");
    windowed_reload(&windowed, 20);
    check_window_reads(&windowed, 20,
                       "[{\"count\":4,\"value\":\"/home\"},{\"count\":1,\"value\":\"/about\"}]");
    check_window_reads(&windowed, 200, "[]");
    windowed_close(&windowed);
    test_heap_close(&heap);
}

/* ---- bloom_member ---- */

static void
test_membership_is_whether_there_was_any_value(void **state)
{
    check_golden("bloom_member", "{\"expected_n\":1000,\"target_fpr\":0.5}", "\"a\"", "true");
    check_golden("bloom_member", "{}", "false", "true");
    check_golden("bloom_member", "{}", "0.0", "true");
    check_golden("bloom_member", "{}", "null,[1],{\"a\":1}", "false");
}

/* ---- long streams through a snapshot, and memory that runs out ---- */

static void
check_reload(const char *name, int distinct)
{
    struct test_heap heap;
    struct test_feature feature;
    struct test_feature copy;
    struct buf first;
    struct buf second;
    size_t consumed = 0;

    test_heap_open(&heap, 32 << 20);
    test_feature_open_with(&feature, name, 0, "{}", &heap);
    test_feature_open_with(&copy, name, 0, "{}", &heap);
    for (int i = 0; i < distinct * 2; i++) {
        test_feature_push(&feature, value_i64(i * 7 % distinct), true);
    }

    const struct agg_accumulator *accumulator = feature.reading.accumulators[0];
    const void *config = feature.reading.configs[0];

    buf_init(&first);
    buf_init(&second);
    accumulator->encode(&first, feature.states[0], config, &heap.heap);
    assert_int_equal(
        accumulator->decode(copy.states[0], &consumed, buf_slice(&first), config, &heap.heap, NULL),
        BV_OK);
    /* The same future, bit for bit. */
    for (int i = 0; i < 3000; i++) {
        test_feature_push(&feature, value_i64(i * 31 % 5000), true);
        test_feature_push(&copy, value_i64(i * 31 % 5000), true);
    }
    buf_clear(&first);
    accumulator->encode(&first, feature.states[0], config, &heap.heap);
    accumulator->encode(&second, copy.states[0], config, &heap.heap);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_deinit(&first);
    buf_deinit(&second);
    test_feature_close(&feature);
    test_feature_close(&copy);
    test_heap_close(&heap);
}

static void
test_a_reloaded_state_goes_on_as_if_nothing_had_happened(void **state)
{
    static const int sizes[] = {1, 2, 3, 9, 100, 1024, 1025, 3000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_reload("n_unique", sizes[i]);
        check_reload("top_k", sizes[i]);
    }
}

static void
test_spent_memory_drops_new_values_and_keeps_the_old(void **state)
{
    for (int64_t fail_at = 1; fail_at <= 10; fail_at++) {
        struct test_heap heap;
        struct test_feature feature;

        test_heap_open(&heap, 4 << 20);
        heap.fail_at = fail_at;
        test_feature_open_with(&feature, "n_unique", 0, "{}", &heap);
        for (int i = 0; i < 1100; i++) {
            test_feature_push(&feature, value_i64(i), true);
        }
        /* One value at the most was lost: the next attempt found memory. */
        assert_true(number_of(test_feature_read(&feature, &arena)) >= 1099 * 0.94);
        test_feature_close(&feature);
        test_feature_open_with(&feature, "top_k", 0, "{\"k\":1024}", &heap);
        heap.fail_at = heap.alloc_count + fail_at;
        for (int i = 0; i < 700; i++) {
            test_feature_push(&feature, value_i64(i), true);
        }
        assert_in_range(test_feature_read(&feature, &arena).length, 699, 700);
        test_feature_close(&feature);
        test_heap_close(&heap);
        arena_reset(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distinct_golden_vectors),
        cmocka_unit_test(test_distinct_counts_are_exact_up_to_1024_and_near_beyond),
        cmocka_unit_test(test_distinct_error_holds_on_every_stream_and_window),
        cmocka_unit_test(test_frequent_golden_vectors),
        cmocka_unit_test(test_int_and_float_are_one_value_of_a_numeric_column),
        cmocka_unit_test(test_every_nan_is_one_value_and_reads_null),
        cmocka_unit_test(test_a_winner_among_singletons_is_found),
        cmocka_unit_test(test_frequency_error_holds_on_every_stream_and_window),
        cmocka_unit_test(test_window_golden_vectors),
        cmocka_unit_test(test_membership_is_whether_there_was_any_value),
        cmocka_unit_test(test_a_reloaded_state_goes_on_as_if_nothing_had_happened),
        cmocka_unit_test(test_spent_memory_drops_new_values_and_keeps_the_old),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
