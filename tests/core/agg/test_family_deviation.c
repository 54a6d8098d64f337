/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "agg_windowed.h"

static struct arena arena;
static struct test_heap heap;

static const uint64_t base_times[] = {0, 1000, 2000, 4000};

static bool
is_near(const struct value *got, const struct value *right, double tolerance)
{
    if (got->kind != right->kind) {
        return false;
    }
    if (got->kind == VALUE_F64) {
        return fabs(got->as.f64 - right->as.f64) <= tolerance * fmax(1, fabs(right->as.f64));
    }
    return got->kind == VALUE_NULL || got->as.bits == right->as.bits;
}

/* Pushes values[i] at times[i], or every second where times is NULL; with every accumulator that
 * may serve. */
static void
expect(const char *op, const char *params, const char *values, const uint64_t *times,
       const char *wanted)
{
    struct value list;
    struct value right;

    assert_int_equal(json_parse(&list, slice_text(values), 8, &arena, NULL), BV_OK);
    assert_int_equal(json_parse(&right, slice_text(wanted), 8, &arena, NULL), BV_OK);
    for (unsigned choice = 0; choice < 3; choice++) {
        struct test_feature feature;

        test_feature_open_with(&feature, op, choice, params, &heap);
        for (uint32_t i = 0; i < list.length; i++) {
            const struct value *inputs[AGG_INPUTS_MAX] = {&list.as.items[i], &list.as.items[i]};

            test_feature_push_at(&feature, inputs, true, times == NULL ? i * 1000 : times[i], i);
        }
        const struct value got = test_feature_read(&feature, &arena);

        assert_true(is_near(&got, &right, 1e-9));
        test_feature_close(&feature);
    }
}

#define AMOUNTS "[10.0,20.0,5.0,25.0]"

static void
test_the_base_sequence(void **state)
{
    expect("trend", "{}", AMOUNTS, base_times, "0.002857142857142857");
    expect("trend_residual", "{}", AMOUNTS, base_times, "3.5714285714285694");
    expect("z_score", "{}", AMOUNTS, base_times, "1.0954451150103321");
    expect("outlier_count", "{}", AMOUNTS, base_times, "0");
}

static void
test_single_operator_sequences(void **state)
{
    static const uint64_t even[] = {0, 100, 200, 300, 400};
    static const uint64_t still[] = {500, 500, 500};

    expect("trend", "{}", "[0,1,2,3,4]", even, "0.01");
    expect("trend_residual", "{}", "[0,1,2,3,4]", even, "0.0");
    expect("trend", "{}", "[7,7,7]", even, "0.0");
    expect("trend", "{}", "[7]", even, "null");
    expect("trend_residual", "{}", "[7]", even, "null");
    expect("trend", "{}", "[1,2,3]", still, "null");
    expect("outlier_count", "{\"sigma\":3}", "[10,11,9,10,12,50,10,9,-40]", NULL, "2");
    expect("outlier_count", "{\"sigma\":3.0}", "[5,5,5,5,5,100]", NULL, "0");
    expect("z_score", "{}", "[1,2,3,4,5]", NULL, "1.2649110640673518");
    expect("z_score", "{}", "[5,5,5,5,5]", NULL, "null");
    expect("z_score", "{}", "[5]", NULL, "null");
    expect("z_score", "{}", "[1,2,3,4,5,null,\"x\",true]", NULL, "1.2649110640673518");
}

/* The slope of a line through real epoch times: W30. */
static void
test_trend_at_epoch_milliseconds(void **state)
{
    static const uint64_t times[] = {1700000000000, 1700000000001, 1700000000002, 1700000000003};

    expect("trend", "{}", "[0,1,2,3]", times, "1.0");
    expect("trend", "{}", "[1000000000.5,1000000001.0,1000000001.5,1000000002.0]", times, "0.5");
    expect("trend_residual", "{}", "[0,1,2,4]", times, "0.3");
}

static void
test_sigma_of_any_sign_and_size(void **state)
{
    static const char *const values = "[10,11,9,10,12,50,10,9,-40]";

    expect("outlier_count", "{\"sigma\":0}", values, NULL, "4");
    expect("outlier_count", "{\"sigma\":-1}", values, NULL, "4");
    expect("outlier_count", "{\"sigma\":1e300}", values, NULL, "0");
    expect("outlier_count", "{\"sigma\":1e-300}", values, NULL, "4");
}

static void
test_outliers_of_huge_and_tiny_numbers(void **state)
{
    expect("outlier_count", "{}", "[1e200,2e200,1e200,2e200,1e200,1e203,1e200]", NULL, "0");
    expect("outlier_count", "{}", "[1e120,2e120,1e120,2e120,1e120,1e125,1e120]", NULL, "1");
    expect("outlier_count", "{}", "[1e-140,2e-140,1e-140,2e-140,1e-140,1e-130,1e-140]", NULL, "1");
    expect("outlier_count", "{}", "[1,2,1,2,1,1e300,1]", NULL, "1");
}

static void
test_what_is_not_finite_reads_null_and_ends_judging(void **state)
{
    static const char *const names[] = {"trend", "trend_residual", "z_score"};
    const struct value values[] = {value_i64(1), value_i64(2), value_f64(INFINITY), value_i64(3)};

    for (size_t i = 0; i < 3; i++) {
        struct test_feature feature;

        test_feature_open_with(&feature, names[i], 0, "{}", &heap);
        for (size_t k = 0; k < 4; k++) {
            const struct value *inputs[AGG_INPUTS_MAX] = {&values[k], &values[k]};

            test_feature_push_at(&feature, inputs, true, 1000 + k, 0);
            assert_int_equal(test_feature_read(&feature, &arena).kind,
                             k == 1 ? VALUE_F64 : VALUE_NULL);
        }
        test_feature_close(&feature);
    }
    struct test_feature outliers;

    test_feature_open_with(&outliers, "outlier_count", 0, "{}", &heap);
    for (int k = 0; k < 20; k++) {
        test_feature_push(&outliers, k == 10 ? value_f64(-INFINITY) : value_i64(k % 3), true);
    }
    test_feature_push(&outliers, value_i64(1000000), true);
    assert_int_equal(test_feature_read(&outliers, &arena).as.i64, 1);
    test_feature_close(&outliers);
}

/* ---- windows ---- */

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static struct value
draw_number(uint64_t *seed)
{
    const uint64_t draw = next_random(seed);

    switch (draw % 16) {
    case 0:
        return value_null();
    case 1:
        return value_f64(1e6 * (double)(draw / 16 % 7));
    case 2:
        return value_i64((int64_t)(draw / 16 % 100));
    default:
        return value_f64(1000 + (double)(draw / 16 % 1000) / 64);
    }
}

static void
check_windowed(const char *op, uint64_t window_ms, uint64_t start_seed)
{
    static struct windowed windowed;
    uint64_t seed = start_seed;
    uint64_t now_ms = 1700000000000 + start_seed * 77;

    windowed_open(&windowed, op, "{\"window\":\"1s\"}", window_ms, &heap);
    for (int i = 0; i < 400; i++) {
        windowed_push(&windowed, draw_number(&seed), now_ms);
        now_ms += next_random(&seed) % 3 == 0 ? next_random(&seed) % (window_ms / 12 + 2) : 0;
        if (i % 50 == 49) {
            windowed_reload(&windowed, now_ms);
        }
        if (i % 7 != 0) {
            continue;
        }
        const uint64_t query_ms = now_ms + (i % 3 == 0 ? next_random(&seed) % window_ms : 0);
        const struct value got = windowed_read(&windowed, query_ms, &arena);
        const struct value right = windowed_model(&windowed, "{}", query_ms, &arena);

        if (!is_near(&got, &right, 1e-9)) {
            fail_msg("%s, window %llu, seed %llu, event %d: %.17g, not %.17g", op,
                     (unsigned long long)window_ms, (unsigned long long)start_seed, i, got.as.f64,
                     right.as.f64);
        }
    }
    windowed_close(&windowed);
    arena_reset(&arena);
    heap.next = 1;
}

static const uint64_t windows[] = {64, 1000, 6400, 60000, 3};

static void
test_a_window_reads_what_its_events_alone_would_give(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        for (size_t i = 0; i < 5; i++) {
            check_windowed("trend", windows[i], seed);
            check_windowed("trend_residual", windows[i], seed);
            check_windowed("z_score", windows[i], seed);
        }
    }
}

/* Whether the last event is an outlier among the active ones before it, by two passes; *margin is
 * how far the decision is from the other one. */
static bool
judge(const struct windowed *windowed, double *margin)
{
    const struct windowed_event *last = &windowed->events[windowed->event_count - 1];
    double sum = 0;
    double squares = 0;
    double x = 0;
    double n = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i + 1 < windowed->event_count; i++) {
            if (windowed_is_active(windowed, &windowed->events[i], last->now_ms) &&
                value_number(&windowed->events[i].v, &x)) {
                sum += pass == 0 ? x : 0;
                n += pass == 0;
                squares += pass == 1 ? (x - sum / n) * (x - sum / n) : 0;
            }
        }
    }
    *margin = 1;
    if (!value_number(&last->v, &x) || n < 5) {
        return false;
    }
    const double std = sqrt(squares / (n - 1));

    *margin = fabs(fabs(x - sum / n) - 2 * std) / fmax(std, 1e-9);
    return fabs(x - sum / n) > 2 * std;
}

/* Each event is judged once, when it comes, by the panes active then. */
static void
check_outliers(uint64_t window_ms, uint64_t start_seed)
{
    static struct windowed windowed;
    static bool verdicts[WINDOWED_EVENTS_MAX];
    uint64_t seed = start_seed;
    uint64_t now_ms = 1700000000000 + start_seed * 77;
    int64_t total = 0;

    windowed_open(&windowed, "outlier_count", "{\"sigma\":2,\"window\":\"1s\"}", window_ms, &heap);
    for (int i = 0; i < 1000; i++) {
        int64_t wanted = 0;
        double margin = 0;

        /* A pane must be had; the fold may find no memory now and then. */
        if (i % 10 == 3 && now_ms / windowed.shape.pane_ms == windowed.head.newest_pane) {
            heap.fail_at = heap.alloc_count + 1;
        }
        windowed_push(&windowed, draw_number(&seed), now_ms);
        heap.fail_at = 0;
        verdicts[i] = judge(&windowed, &margin);
        total += verdicts[i];
        assert_true(margin > 1e-9);
        for (int k = 0; k <= i; k++) {
            wanted += verdicts[k] && windowed_is_active(&windowed, &windowed.events[k], now_ms);
        }
        assert_int_equal(windowed_read(&windowed, now_ms, &arena).as.i64, wanted);
        now_ms += next_random(&seed) % 4 == 0 ? next_random(&seed) % (window_ms / 20 + 2) : 0;
        if (i % 97 == 96) {
            windowed_reload(&windowed, now_ms);
        }
    }
    assert_true(total > 0);
    windowed_close(&windowed);
    arena_reset(&arena);
    assert_int_equal(heap.bytes_out, 0);
    heap.next = 1;
}

static void
test_outliers_are_judged_on_arrival_by_the_window_of_that_time(void **state)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        for (size_t i = 1; i < 4; i++) {
            check_outliers(windows[i], seed);
        }
    }
}

/* A reload forgets the fold that was kept: the states must not tell. */
static void
test_the_fold_that_is_kept_leaves_no_trace_in_the_state(void **state)
{
    static struct windowed kept;
    static struct windowed fresh;
    static const uint32_t order[] = {0};
    uint64_t seed = 5;
    uint64_t now_ms = 1700000000000;
    struct buf a;
    struct buf b;

    windowed_open(&kept, "outlier_count", "{\"window\":\"1s\"}", 1000, &heap);
    windowed_open(&fresh, "outlier_count", "{\"window\":\"1s\"}", 1000, &heap);
    buf_init(&a);
    buf_init(&b);
    for (int i = 0; i < 500; i++) {
        const struct value v = draw_number(&seed);

        windowed_push(&kept, v, now_ms);
        windowed_push(&fresh, v, now_ms);
        windowed_reload(&fresh, now_ms);
        buf_clear(&a);
        buf_clear(&b);
        window_encode(&a, &kept.head, &kept.shape, order, now_ms, &heap.heap);
        window_encode(&b, &fresh.head, &fresh.shape, order, now_ms, &heap.heap);
        assert_true(slice_equal(buf_slice(&a), buf_slice(&b)));
        now_ms += next_random(&seed) % 7;
    }
    buf_deinit(&a);
    buf_deinit(&b);
    windowed_close(&kept);
    windowed_close(&fresh);
}

/* ---- sharing ---- */

static void
test_z_score_shares_what_var_and_others_keep(void **state)
{
    const struct agg_op *z_score = agg_op_find(slice_text("z_score"));
    const struct agg_op *var = agg_op_find(slice_text("var"));
    const struct agg_op *delta = agg_op_find(slice_text("delta_from_prev"));
    const struct agg_op *residual = agg_op_find(slice_text("trend_residual"));
    const struct agg_op *trend = agg_op_find(slice_text("trend"));

    assert_string_equal(z_score->window_alias, "baseline_window");
    assert_ptr_equal(z_score->uses[0].any_of[0], var->uses[0].any_of[0]);
    assert_ptr_equal(z_score->uses[1].any_of[1], delta->uses[0].any_of[0]);
    assert_ptr_equal(z_score->uses[1].any_of[2], residual->uses[1].any_of[0]);
    assert_ptr_equal(residual->uses[0].any_of[0], trend->uses[0].any_of[0]);
    assert_int_equal(z_score->uses[1].any_of[0]->state_size(NULL, FIELD_F64), 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_base_sequence),
        cmocka_unit_test(test_single_operator_sequences),
        cmocka_unit_test(test_trend_at_epoch_milliseconds),
        cmocka_unit_test(test_sigma_of_any_sign_and_size),
        cmocka_unit_test(test_outliers_of_huge_and_tiny_numbers),
        cmocka_unit_test(test_what_is_not_finite_reads_null_and_ends_judging),
        cmocka_unit_test(test_a_window_reads_what_its_events_alone_would_give),
        cmocka_unit_test(test_outliers_are_judged_on_arrival_by_the_window_of_that_time),
        cmocka_unit_test(test_the_fold_that_is_kept_leaves_no_trace_in_the_state),
        cmocka_unit_test(test_z_score_shares_what_var_and_others_keep),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 64 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
