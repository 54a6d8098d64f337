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

/* Pushes values[i] at times[i], or every second where times is NULL; compares the reading's JSON,
 * floats to 1e-9. */
static void
expect(const char *op, const char *params, const char *values, const uint64_t *times,
       const char *wanted)
{
    struct test_feature feature;
    struct value list;
    struct value right;

    test_feature_open_with(&feature, op, 0, params, &heap);
    assert_int_equal(json_parse(&list, slice_text(values), 8, &arena, NULL), BV_OK);
    assert_int_equal(json_parse(&right, slice_text(wanted), 8, &arena, NULL), BV_OK);
    for (uint32_t i = 0; i < list.length; i++) {
        const struct value *inputs[AGG_INPUTS_MAX] = {&list.as.items[i], &list.as.items[i]};

        test_feature_push_at(&feature, inputs, true, times == NULL ? i * 1000 : times[i], i);
    }
    const struct value got = test_feature_read(&feature, &arena);

    assert_int_equal(got.kind, right.kind);
    if (got.kind == VALUE_F64) {
        assert_true(fabs(got.as.f64 - right.as.f64) <= 1e-9 * fmax(1, fabs(right.as.f64)));
    } else if (got.kind != VALUE_NULL) {
        assert_true(got.as.bits == right.as.bits);
    }
    test_feature_close(&feature);
}

#define AMOUNTS "[10.0,20.0,5.0,25.0]"

static void
test_the_base_sequence(void **state)
{
    expect("rate_of_change", "{}", AMOUNTS, base_times, "0.01");
    expect("inter_arrival_stats", "{}", AMOUNTS, base_times, "1333.3333333333333");
    expect("burst_count", "{\"sub_window\":\"2s\"}", AMOUNTS, base_times, "2");
    expect("burst_count", "{\"sub_window\":\"10s\"}", AMOUNTS, base_times, "4");
    expect("delta_from_prev", "{}", AMOUNTS, base_times, "20.0");
    expect("value_change_count", "{}", "[\"a\",\"b\",\"a\",\"c\"]", base_times, "3");
    expect("value_change_count", "{}", "[\"ok\",\"bad\",\"ok\",\"ok\"]", base_times, "2");
}

static void
test_single_operator_sequences(void **state)
{
    static const uint64_t same[] = {0, 0};
    static const uint64_t even[] = {0, 100, 200, 300, 400};
    static const uint64_t bursts[] = {0, 30, 60, 100, 200, 220, 240, 260, 280};

    expect("rate_of_change", "{}", "[10,20]", NULL, "0.01");
    expect("rate_of_change", "{}", "[10]", NULL, "null");
    expect("rate_of_change", "{}", "[10,20]", same, "null");
    expect("inter_arrival_stats", "{}", "[1,1,1,1,1]", even, "100.0");
    expect("inter_arrival_stats", "{}", "[1]", NULL, "null");
    expect("inter_arrival_stats", "{}", "[1,2]", same, "0.0");
    expect("burst_count", "{\"sub_window\":\"100ms\"}", "[0,0,0,0,0,0,0,0,0]", bursts, "5");
    expect("delta_from_prev", "{}", "[10,25]", NULL, "15.0");
    expect("delta_from_prev", "{}", "[10,\"x\",null,true]", NULL, "null");
    expect("value_change_count", "{}", "[1,1,2,2,3]", NULL, "2");
    expect("value_change_count", "{}", "[\"A\",\"B\",\"A\"]", NULL, "2");
}

static void
test_an_old_rate_stays_while_time_stands_still(void **state)
{
    static const uint64_t times[] = {0, 1000, 1000, 3000};

    expect("rate_of_change", "{}", "[10,20,50]", times, "0.01");
    expect("rate_of_change", "{}", "[10,20,50,40]", times, "-0.005");
}

static void
test_ints_and_floats_are_one_value_in_numeric_columns_only(void **state)
{
    expect("value_change_count", "{}", "[1,1.0]", NULL, "1");
    expect("value_change_count", "{}", "[9007199254740993,9007199254740992.0]", NULL, "1");
    test_input_type = FIELD_F64;
    expect("value_change_count", "{}", "[1,1.0]", NULL, "0");
    expect("value_change_count", "{}", "[1,1.5,1]", NULL, "2");
    expect("value_change_count", "{}", "[9007199254740993,9007199254740992.0]", NULL, "1");
    test_input_type = FIELD_I64;
    expect("value_change_count", "{}", "[-0.0,0]", NULL, "0");
    test_input_type = FIELD_JSON;
}

static void
test_changes_of_any_kind(void **state)
{
    expect("value_change_count", "{}", "[null,\"x\",null,\"x\"]", NULL, "0");
    expect("value_change_count", "{}", "[true,\"true\",true,false]", NULL, "3");
    expect("value_change_count", "{}",
           "[\"a text of more than eight bytes\",\"a text of more than eight bytes\",\"a text of "
           "more than eight bites\",\"\"]",
           NULL, "2");
    expect("value_change_count", "{}",
           "[{\"a\":1,\"b\":[1]},{\"b\":[1],\"a\":1},{\"b\":[1.0],\"a\":1},[[]],[],[]]", NULL, "3");
}

static void
test_nan_differs_from_itself_and_leaves_no_rate(void **state)
{
    struct test_feature changes;
    struct test_feature delta;
    struct test_feature rate;
    const struct value values[] = {value_f64(1), value_f64(NAN), value_f64(NAN), value_f64(2),
                                   value_f64(5)};

    test_feature_open_with(&changes, "value_change_count", 0, "{}", &heap);
    test_feature_open_with(&delta, "delta_from_prev", 0, "{}", &heap);
    test_feature_open_with(&rate, "rate_of_change", 0, "{}", &heap);
    for (size_t i = 0; i < 5; i++) {
        const struct value *inputs[AGG_INPUTS_MAX] = {&values[i], &values[i]};

        test_feature_push_at(&changes, inputs, true, i, 0);
        test_feature_push_at(&delta, inputs, true, i, 0);
        test_feature_push_at(&rate, inputs, true, i, 0);
        assert_int_equal(test_feature_read(&changes, &arena).as.i64, i);
        assert_int_equal(test_feature_read(&delta, &arena).kind, i == 4 ? VALUE_F64 : VALUE_NULL);
        assert_int_equal(test_feature_read(&rate, &arena).kind, i == 4 ? VALUE_F64 : VALUE_NULL);
    }
    assert_true(test_feature_read(&delta, &arena).as.f64 == 3);
    assert_true(test_feature_read(&rate, &arena).as.f64 == 3);
    test_feature_close(&changes);
    test_feature_close(&delta);
    test_feature_close(&rate);
}

static void
test_a_change_that_finds_no_memory_leaves_no_trace(void **state)
{
    static const char *const params[] = {"{}", "{\"window\":\"1h\"}"};

    for (size_t i = 0; i < 2; i++) {
        struct test_feature feature;
        const struct value first = value_str(slice_text("the first long text"));
        const struct value other = value_str(slice_text("another, longer long text"));

        test_feature_open_with(&feature, "value_change_count", 0, params[i], &heap);
        test_feature_push(&feature, first, true);
        heap.fail_at = heap.alloc_count + 1;
        test_feature_push(&feature, other, true);
        heap.fail_at = 0;
        assert_int_equal(test_feature_read(&feature, &arena).as.i64, 0);
        test_feature_push(&feature, first, true);
        assert_int_equal(test_feature_read(&feature, &arena).as.i64, 0);
        test_feature_push(&feature, other, true);
        assert_int_equal(test_feature_read(&feature, &arena).as.i64, 1);
        test_feature_close(&feature);
    }
    assert_int_equal(heap.bytes_out, 0);
}

/* ---- windows ---- */

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static struct value
draw_value(uint64_t *seed)
{
    static char texts[3][24] = {"short", "a text out of line", "another out of line"};
    const uint64_t draw = next_random(seed);

    switch (draw % 8) {
    case 0:
        return value_null();
    case 1:
        return value_str(slice_text(texts[draw / 8 % 3]));
    case 2:
    case 3:
        return value_i64((int64_t)(draw / 8 % 5) - 2);
    default:
        return value_f64((double)(draw / 8 % 40) / 8);
    }
}

static void
check_windowed(const char *op, const char *params, const char *lifetime_params, uint64_t window_ms,
               uint64_t start_seed)
{
    static struct windowed windowed;
    uint64_t seed = start_seed;
    uint64_t now_ms = 1700000000000 + start_seed * 77;

    windowed_open(&windowed, op, params, window_ms, &heap);
    for (int i = 0; i < 400; i++) {
        windowed_push(&windowed, draw_value(&seed), now_ms);
        now_ms += next_random(&seed) % 3 == 0 ? next_random(&seed) % (window_ms / 12 + 2) : 0;
        if (i % 50 == 49) {
            windowed_reload(&windowed, now_ms);
        }
        if (i % 7 != 0) {
            continue;
        }
        const uint64_t query_ms = now_ms + (i % 3 == 0 ? next_random(&seed) % window_ms : 0);
        const struct value got = windowed_read(&windowed, query_ms, &arena);
        const struct value right = windowed_model(&windowed, lifetime_params, query_ms, &arena);

        if (got.kind != right.kind ||
            (got.kind == VALUE_F64 &&
             fabs(got.as.f64 - right.as.f64) > 1e-9 * fmax(1, fabs(right.as.f64))) ||
            (got.kind == VALUE_I64 && got.as.i64 != right.as.i64)) {
            fail_msg("%s %s, window %llu, seed %llu, event %d: %g, not %g", op, params,
                     (unsigned long long)window_ms, (unsigned long long)start_seed, i,
                     got.kind == VALUE_I64 ? (double)got.as.i64 : got.as.f64,
                     right.kind == VALUE_I64 ? (double)right.as.i64 : right.as.f64);
        }
    }
    windowed_close(&windowed);
    arena_reset(&arena);
    assert_int_equal(heap.bytes_out, 0);
    heap.next = 1;
}

static void
test_a_window_reads_what_its_events_alone_would_give(void **state)
{
    static const uint64_t windows[] = {64, 1000, 6400, 60000, 3};
    static const char *const subs[] = {"1ms", "7ms", "100ms", "1s", "50s"};

    for (uint64_t seed = 1; seed <= 12; seed++) {
        for (size_t i = 0; i < 5; i++) {
            char windowed[80];
            char lifetime[80];

            check_windowed("rate_of_change", "{\"window\":\"1s\"}", "{}", windows[i], seed);
            check_windowed("inter_arrival_stats", "{\"window\":\"1s\"}", "{}", windows[i], seed);
            check_windowed("delta_from_prev", "{\"window\":\"1s\"}", "{}", windows[i], seed);
            test_input_type = seed % 2 == 0 ? FIELD_F64 : FIELD_JSON;
            check_windowed("value_change_count", "{\"window\":\"1s\"}", "{}", windows[i], seed);
            test_input_type = FIELD_JSON;
            (void)snprintf(windowed, sizeof windowed, "{\"sub_window\":\"%s\",\"window\":\"1s\"}",
                           subs[seed % 5]);
            (void)snprintf(lifetime, sizeof lifetime, "{\"sub_window\":\"%s\"}", subs[seed % 5]);
            check_windowed("burst_count", windowed, lifetime, windows[i], seed);
        }
    }
}

static void
test_sub_window_is_required_and_forever_is_no_length(void **state)
{
    const struct agg_op *op = agg_op_find(slice_text("burst_count"));

    assert_true(op->params[0].is_required);
    assert_int_equal(op->params[0].type, AGG_PARAM_DURATION);
    assert_int_equal(op->params[0].refusal, BV_INVALID_REGISTRATION);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_base_sequence),
        cmocka_unit_test(test_single_operator_sequences),
        cmocka_unit_test(test_an_old_rate_stays_while_time_stands_still),
        cmocka_unit_test(test_ints_and_floats_are_one_value_in_numeric_columns_only),
        cmocka_unit_test(test_changes_of_any_kind),
        cmocka_unit_test(test_nan_differs_from_itself_and_leaves_no_rate),
        cmocka_unit_test(test_a_change_that_finds_no_memory_leaves_no_trace),
        cmocka_unit_test(test_a_window_reads_what_its_events_alone_would_give),
        cmocka_unit_test(test_sub_window_is_required_and_forever_is_no_length),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 64 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
