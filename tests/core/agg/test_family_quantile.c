/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>

#include "agg_streams.h"
#include "agg_windowed.h"

static struct arena arena;

static double
quantile_of(const struct test_feature *feature, double q)
{
    const struct value_member member = {value_str(slice_text("q")), value_f64(q)};
    const struct value params = {.as.members = &member, .length = 1, .kind = VALUE_MAP};
    struct agg_reading reading = feature->reading;
    struct value v;

    reading.params = &params;
    feature->op->read(&v, &reading, &arena);
    assert_int_equal(v.kind, VALUE_F64);
    return v.as.f64;
}

static void
test_golden_vectors(void **state)
{
    static const char *const amounts = "10,20,5,25";

    check_golden("quantile", "{\"q\":0.5}", amounts, "15.0");
    check_golden("quantile", "{\"q\":0.25}", amounts, "8.75");
    check_golden("quantile", "{\"q\":0.9}", amounts, "23.5");
    check_golden("quantile", "{\"q\":0.95}", amounts, "24.25");
    check_golden("quantile", "{}", amounts, "15.0");
    check_golden("quantile", "{}", "7", "7.0");
    check_golden("quantile", "{}", "null,\"7\",true,[7]", "null");
    check_golden("quantile", "{}", "-0.0", "0.0");
}

static void
test_golden_vectors_of_sketches(void **state)
{
    struct test_heap heap;
    struct test_feature feature;

    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
    for (int i = 1; i <= 300; i++) {
        test_feature_push(&feature, value_f64(i), true);
    }
    assert_true(fabs(quantile_of(&feature, 0.5) - 150.5) < 1.5);
    assert_true(fabs(quantile_of(&feature, 0.9) - 270) < 2.7);
    assert_true(fabs(quantile_of(&feature, 0.99) - 297) < 3);
    test_feature_close(&feature);

    test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
    for (int i = -150; i <= 150; i++) {
        test_feature_push(&feature, value_i64(i), true);
    }
    assert_true(fabs(quantile_of(&feature, 0.1) + 120) < 1.2);
    assert_true(quantile_of(&feature, 0.5) == 0);
    assert_true(fabs(quantile_of(&feature, 0.9) - 120) < 1.2);
    test_feature_close(&feature);
    test_heap_close(&heap);
}

static void
test_what_is_not_finite_is_skipped_and_extremes_are_held(void **state)
{
    struct test_heap heap;
    struct test_feature feature;

    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
    test_feature_push(&feature, value_f64(NAN), true);
    test_feature_push(&feature, value_f64(INFINITY), true);
    test_feature_push(&feature, value_f64(-INFINITY), true);
    assert_reads(&feature, "null", &arena);
    for (int i = 0; i < 400; i++) { /* as a list, then as a sketch */
        test_feature_push(&feature, value_f64(i % 2 == 0 ? DBL_MAX : -DBL_MAX), true);
        test_feature_push(&feature, value_f64(NAN), true);
        for (double q = 0.01; q < 1; q += 0.09) {
            assert_true(isfinite(quantile_of(&feature, q)));
        }
    }
    test_feature_push(&feature, value_i64(INT64_MIN), true);
    assert_true(quantile_of(&feature, 0.1) <= -DBL_MAX * 0.99);
    test_feature_close(&feature);
    test_heap_close(&heap);
}

static int
compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* numpy's default, which the exact list must equal. */
static double
true_quantile(const double *sorted, size_t count, double q)
{
    const double position = q * (double)(count - 1);
    const size_t low = (size_t)position;
    const size_t high = low + 1 < count ? low + 1 : low;

    return sorted[low] + (sorted[high] - sorted[low]) * (position - (double)low);
}

/* No jump where the list becomes a sketch (W18): both interpolate between ranks. */
static void
test_the_list_is_exact_and_the_sketch_goes_on_from_it(void **state)
{
    static double values[1000];
    struct test_heap heap;
    struct test_feature feature;
    uint64_t seed = 9;

    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
    for (size_t count = 1; count <= 600; count++) {
        const double fresh = (double)(stream_random(&seed) % 100000) / 64 - 300;
        size_t place = count - 1;

        test_feature_push(&feature, value_f64(fresh), true);
        for (; place > 0 && values[place - 1] > fresh; place--) {
            values[place] = values[place - 1];
        }
        values[place] = fresh;
        for (double q = 0.005; q < 1; q += 0.045) {
            const double expected = true_quantile(values, count, q);
            const size_t low = (size_t)(q * (double)(count - 1));
            const double size =
                fmax(fabs(values[low]), fabs(values[low + 1 < count ? low + 1 : low]));
            const double slack = count <= 256 ? 1e-9 : 0.01 * size;

            assert_true(fabs(quantile_of(&feature, q) - expected) <= slack * (1 + 1e-9));
        }
    }
    test_feature_close(&feature);
    test_heap_close(&heap);
}

/* Over whole streams and windows of eight panes; both read the very same. */
static void
test_error_holds_on_every_stream_and_window(void **state)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        for (uint64_t n = 200; n <= 20000; n *= 10) {
            double *values = calloc(n, sizeof *values);
            struct paned paned;
            struct test_heap heap;
            uint64_t seed = n;

            assert_non_null(values);
            test_heap_open(&heap, 4 << 20);
            paned_open(&paned, "quantile", "{\"q\":0.37}", &heap);
            for (uint64_t i = 0; i < n; i++) {
                values[i] =
                    (double)stream_draw((enum stream)stream, i, n, 1000000, &seed) / 7 - 10000;
                paned_push(&paned, value_f64(values[i]), i, n);
            }
            qsort(values, n, sizeof *values, compare_doubles);

            const struct value whole = test_feature_read(&paned.whole, &arena);
            const struct value window = paned_read(&paned, &arena);
            const double expected = true_quantile(values, n, 0.37);

            assert_true(whole.as.f64 == window.as.f64);
            assert_true(fabs(whole.as.f64 - expected) <=
                        (n <= 256 ? 1e-9 : 0.0101 * fabs(expected)));
            paned_close(&paned);
            test_heap_close(&heap);
            free(values);
            arena_reset(&arena);
        }
    }
}

/* Panes of any make: empty, a few, a list, a sketch, a coarse sketch, in every order. */
static void
test_panes_of_every_form_fold_into_what_one_stream_gives(void **state)
{
    static const int sizes[] = {0, 1, 2, 3, 200, 256, 257, 5000};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };

    for (int first = 0; first < COUNT; first++) {
        for (int second = 0; second < COUNT; second++) {
            struct paned paned;
            struct test_heap heap;
            uint64_t seed = (uint64_t)(first * COUNT + second);
            const int total = sizes[first] + sizes[second];

            test_heap_open(&heap, 4 << 20);
            paned_open(&paned, "quantile", "{\"q\":0.6}", &heap);
            for (int i = 0; i < total; i++) {
                /* The largest panes hold magnitudes that do not fit 2048 buckets. */
                const double unit = (double)(stream_random(&seed) % 100000) / 100000;
                const double v = total > 4000 ? ldexp(1 + unit, (int)(unit * 1e6) % 2000 - 1000)
                                              : unit * 50 - 20;
                const bool is_first = i < sizes[first];

                test_feature_push(&paned.whole, value_f64(v), true);
                test_feature_push(&paned.panes[is_first ? 1 : 5], value_f64(v), true);
            }

            const struct value whole = test_feature_read(&paned.whole, &arena);
            const struct value window = paned_read(&paned, &arena);

            assert_int_equal(whole.kind, window.kind);
            assert_true(whole.as.bits == window.as.bits);
            paned_close(&paned);
            test_heap_close(&heap);
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
    windowed_open(&windowed, "quantile", "{\"q\":0.5}", 64, &heap);
    for (int i = 1; i <= 3; i++) {
        windowed_push(&windowed, value_f64(i), 0);
    }
    for (int i = 0; i < 3; i++) {
        windowed_push(&windowed, value_i64(100), 10);
    }
    assert_true(windowed_read(&windowed, 20, &arena).as.f64 == 51.5);
    windowed_reload(&windowed, 20);
    assert_true(windowed_read(&windowed, 20, &arena).as.f64 == 51.5);
    assert_int_equal(windowed_read(&windowed, 200, &arena).kind, VALUE_NULL);
    windowed_close(&windowed);
    test_heap_close(&heap);
}

static void
test_all_quantiles_of_one_field_share_a_state(void **state)
{
    const struct agg_op *op = agg_op_find(slice_text("quantile"));

    assert_int_equal(op->use_count, 1);
    assert_int_equal(op->uses[0].any_of[0]->config_size, 0);
    assert_null(op->uses[0].any_of[0]->configure);
}

static void
test_a_reloaded_state_goes_on_as_if_nothing_had_happened(void **state)
{
    static const int sizes[] = {1, 2, 3, 255, 256, 257, 20000};

    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct test_heap heap;
        struct test_feature feature;
        struct test_feature copy;
        struct buf first;
        struct buf second;
        size_t consumed = 0;
        uint64_t seed = k;

        test_heap_open(&heap, 4 << 20);
        test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
        test_feature_open_with(&copy, "quantile", 0, "{}", &heap);
        for (int i = 0; i < sizes[k]; i++) {
            const double v = ldexp((double)(stream_random(&seed) % 999), i % 1500 - 700);

            test_feature_push(&feature, value_f64(i % 3 == 0 ? -v : v), true);
        }

        const struct agg_accumulator *accumulator = feature.reading.accumulators[0];

        buf_init(&first);
        buf_init(&second);
        accumulator->encode(&first, feature.states[0], NULL, &heap.heap);
        assert_int_equal(accumulator->decode(copy.states[0], &consumed, buf_slice(&first), NULL,
                                             &heap.heap, NULL),
                         BV_OK);
        for (int i = 0; i < 500; i++) {
            test_feature_push(&feature, value_f64(i * 1.5), true);
            test_feature_push(&copy, value_f64(i * 1.5), true);
        }
        buf_clear(&first);
        accumulator->encode(&first, feature.states[0], NULL, &heap.heap);
        accumulator->encode(&second, copy.states[0], NULL, &heap.heap);
        assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
        buf_deinit(&first);
        buf_deinit(&second);
        test_feature_close(&feature);
        test_feature_close(&copy);
        test_heap_close(&heap);
    }
}

static void
test_damaged_sketches_are_refused(void **state)
{
    struct test_heap heap;
    struct test_feature feature;
    struct test_feature copy;
    struct buf bytes;

    test_heap_open(&heap, 32 << 20);
    test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
    test_feature_open_with(&copy, "quantile", 0, "{}", &heap);
    for (int i = 0; i < 400; i++) {
        test_feature_push(&feature, value_f64(i * i - 400), true);
    }

    const struct agg_accumulator *accumulator = feature.reading.accumulators[0];
    const int64_t bytes_out = heap.bytes_out;

    buf_init(&bytes);
    accumulator->encode(&bytes, feature.states[0], NULL, &heap.heap);
    for (size_t at = 0; at < bytes.size; at++) {
        for (int bit = 0; bit < 8; bit += 3) {
            size_t consumed = 0;

            bytes.data[at] ^= (uint8_t)(1 << bit);
            if (accumulator->decode(copy.states[0], &consumed, buf_slice(&bytes), NULL, &heap.heap,
                                    NULL) == BV_OK) {
                const struct value v = test_feature_read(&copy, &arena);

                assert_true(v.kind == VALUE_NULL || isfinite(v.as.f64));
                accumulator->release(copy.states[0], NULL, &heap.heap);
            }
            assert_int_equal(heap.bytes_out, bytes_out);
            bytes.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    accumulator->init(copy.states[0], NULL);
    buf_deinit(&bytes);
    test_feature_close(&feature);
    test_feature_close(&copy);
    test_heap_close(&heap);
}

static void
test_spent_memory_drops_values_and_keeps_the_old(void **state)
{
    for (int64_t fail_at = 1; fail_at <= 12; fail_at++) {
        struct test_heap heap;
        struct test_feature feature;

        test_heap_open(&heap, 1 << 20);
        heap.fail_at = fail_at;
        test_feature_open_with(&feature, "quantile", 0, "{}", &heap);
        for (int i = 0; i < 1001; i++) {
            test_feature_push(&feature, value_f64(pow(1.02, i)), true);
        }
        /* One value was lost at the most: the next attempt found memory. */
        assert_true(fabs(quantile_of(&feature, 0.5) / pow(1.02, 500) - 1) < 0.04);
        test_feature_close(&feature);
        test_heap_close(&heap);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_golden_vectors_of_sketches),
        cmocka_unit_test(test_what_is_not_finite_is_skipped_and_extremes_are_held),
        cmocka_unit_test(test_the_list_is_exact_and_the_sketch_goes_on_from_it),
        cmocka_unit_test(test_error_holds_on_every_stream_and_window),
        cmocka_unit_test(test_panes_of_every_form_fold_into_what_one_stream_gives),
        cmocka_unit_test(test_window_golden_vector),
        cmocka_unit_test(test_all_quantiles_of_one_field_share_a_state),
        cmocka_unit_test(test_a_reloaded_state_goes_on_as_if_nothing_had_happened),
        cmocka_unit_test(test_damaged_sketches_are_refused),
        cmocka_unit_test(test_spent_memory_drops_values_and_keeps_the_old),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
