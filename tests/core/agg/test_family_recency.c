/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

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

/* ---- times ---- */

/* Events at `times` ("." for a match, "x" for none, in order), then a read. */
static void
expect_times(const char *op, const char *params, const uint64_t *times, const char *matches,
             uint64_t query_ms, uint64_t window_ms, const char *wanted)
{
    struct test_feature feature;
    struct buf text;

    test_feature_open_with(&feature, op, 0, params, &heap);
    for (size_t i = 0; matches[i] != 0; i++) {
        test_feature_push_at(&feature, NULL, matches[i] == '.', times[i], 7);
    }
    feature.reading.query_ms = query_ms;
    feature.reading.window_ms = window_ms;
    const struct value got = test_feature_read(&feature, &arena);

    buf_init(&text);
    json_write(&text, &got);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, wanted);
    buf_deinit(&text);
    test_feature_close(&feature);
}

static const uint64_t base_times[] = {0, 1000, 2000, 4000};

static void
expect_base(const char *op, const char *params, const char *matches, const char *wanted)
{
    expect_times(op, params, base_times, matches, 5000, 0, wanted);
}

static void
test_times_of_the_base_sequence(void **state)
{
    expect_base("first_seen", NULL, "....", "0");
    expect_base("last_seen", NULL, "....", "4000");
    expect_base("age", NULL, "....", "5000");
    expect_base("time_since", NULL, "....", "1000");
    expect_base("time_since", NULL, "x.xx", "4000");
    expect_base("has_seen", NULL, "x.xx", "true");
    expect_base("has_seen", NULL, "xxxx", "false");
    expect_base("time_since_last_n", "{\"n\":2}", "....", "3000");
    expect_base("time_since_last_n", "{\"n\":5}", "....", "null");
    expect_base("time_since_last_n", "{\"n\":1}", "..xx", "4000");
    expect_times("time_since_last_n", "{\"n\":3}", (const uint64_t[]){100, 200, 300}, "...", 1000,
                 0, "900");
}

static void
test_nothing_seen_reads_empty(void **state)
{
    static const char *const rows[][2] = {
        {"first_seen", "null"},        {"last_seen", "null"}, {"age", "null"},
        {"time_since", "null"},        {"has_seen", "false"}, {"first_seen_in_window", "false"},
        {"time_since_last_n", "null"}, {"streak", "0"},       {"max_streak", "0"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_base(rows[i][0], NULL, "", rows[i][1]);
        expect_base(rows[i][0], NULL, "xxxx", rows[i][1]);
    }
}

static void
test_first_seen_in_window_asks_for_the_latest_event(void **state)
{
    static const char *const op = "first_seen_in_window";

    expect_times(op, NULL, base_times, "....", 5000, 1000, "false");
    expect_times(op, NULL, base_times, "....", 5000, 2000, "true");
    expect_times(op, NULL, base_times, "....", 4000, 1, "true");
    expect_times(op, NULL, base_times, "....", 3999, 1000, "false"); /* not yet */
    /* Forever (W6). */
    expect_times(op, NULL, base_times, ".xxx", 99999999, 0, "true");
    expect_times(op, NULL, base_times, "xxxx", 99999999, 0, "false");
    assert_int_equal(agg_op_find(slice_text(op))->window, AGG_WINDOW_PARAMETER);
}

static void
test_a_clock_that_stands_still_or_steps_back_gives_no_negative_age(void **state)
{
    static const uint64_t times[] = {5000, 5000, 3000};

    expect_times("age", NULL, times, "...", 4000, 0, "0");
    expect_times("time_since", NULL, times, "..", 4000, 0, "0");
    expect_times("last_seen", NULL, times, "...", 4000, 0, "3000");
    expect_times("time_since_last_n", "{\"n\":2}", times, "..", 4000, 0, "0");
    expect_times("time_since_last_n", "{\"n\":3}", times, "...", 5000, 0, "0");
}

static void
test_the_last_n_times_at_every_n(void **state)
{
    static uint64_t times[3000];
    static char matches[3001];
    char params[32];
    char wanted[32];

    for (size_t i = 0; i < 3000; i++) {
        times[i] = i * i;
        matches[i] = '.';
    }
    for (unsigned n = 1; n <= 1024; n = n < 10 ? n + 1 : n * 2) {
        for (size_t count = n - 1; count <= n + 2; count++) {
            matches[count] = 0;
            (void)snprintf(params, sizeof params, "{\"n\":%u}", n);
            (void)snprintf(wanted, sizeof wanted, "%llu",
                           count < n ? 0ull : 10000000ull - (unsigned long long)times[count - n]);
            expect_times("time_since_last_n", params, times, matches, 10000000, 0,
                         count < n ? "null" : wanted);
            matches[count] = '.';
        }
    }
    assert_int_equal(heap.bytes_out, 0);
}

/* ---- streaks ---- */

static void
expect_streaks(const char *matches, int streak, int max_streak, int negative_streak)
{
    const struct {
        const char *op;
        int wanted;
    } rows[] = {
        {"streak", streak}, {"max_streak", max_streak}, {"negative_streak", negative_streak}};
    static const uint64_t times[16];

    for (size_t i = 0; i < 3; i++) {
        char wanted[16];

        (void)snprintf(wanted, sizeof wanted, "%d", rows[i].wanted);
        expect_times(rows[i].op, NULL, times, matches, 0, 0, wanted);
    }
}

static void
test_streaks_of_the_golden_vectors(void **state)
{
    expect_streaks(".x..", 2, 2, 0);   /* where (ok == true) */
    expect_streaks("x.xx", 0, 1, 2);   /* where (status == 'bad') */
    expect_streaks("...x..", 2, 3, 0); /* T T T F T T */
    expect_streaks("xxx", 0, 0, 3);
    expect_streaks("xxx.", 1, 1, 0);
    expect_streaks("....", 4, 4, 0); /* no where */
    expect_streaks("", 0, 0, 0);
}

static void
test_streaks_agree_with_a_count_of_each_run(void **state)
{
    uint64_t seed = 5;
    struct test_feature features[3];
    static const char *const names[] = {"streak", "max_streak", "negative_streak"};
    int64_t wanted[3] = {0, 0, 0};

    for (int f = 0; f < 3; f++) {
        test_feature_open(&features[f], names[f], 0, &heap);
    }
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const bool is_match = seed >> 40 & (i % 3 == 0 ? 1 : 7);

        wanted[0] = is_match ? wanted[0] + 1 : 0;
        wanted[1] = wanted[0] > wanted[1] ? wanted[0] : wanted[1];
        wanted[2] = is_match ? 0 : wanted[2] + 1;
        for (int f = 0; f < 3; f++) {
            test_feature_push_at(&features[f], NULL, is_match, 0, 0);
            assert_int_equal(test_feature_read(&features[f], &arena).as.i64, wanted[f]);
        }
    }
    assert_true(wanted[1] > 10);
    for (int f = 0; f < 3; f++) {
        test_feature_close(&features[f]);
    }
}

/* ---- states ---- */

static void
test_states_come_back_from_their_encoding(void **state)
{
    static const char *const names[] = {"age", "time_since_last_n", "max_streak"};

    for (size_t i = 0; i < 3; i++) {
        for (unsigned n = 1; n <= 12; n++) {
            struct test_feature feature;
            char params[32];
            struct buf bytes[2];
            size_t consumed = 0;

            (void)snprintf(params, sizeof params, "{\"n\":%u}", n);
            test_feature_open_with(&feature, names[i], 0, params, &heap);
            const struct agg_accumulator *accumulator = feature.reading.accumulators[0];
            const void *config = feature.reading.configs[0];

            for (unsigned k = 0; k < 3 * n; k++) {
                buf_init(&bytes[0]);
                buf_init(&bytes[1]);
                accumulator->encode(&bytes[0], feature.states[0], config, &heap.heap);
                if (accumulator->release != NULL) {
                    accumulator->release(feature.states[0], config, &heap.heap);
                }
                memset(feature.states[0], 0xA5, sizeof feature.states[0]);
                assert_int_equal(accumulator->decode(feature.states[0], &consumed,
                                                     buf_slice(&bytes[0]), config, &heap.heap,
                                                     NULL),
                                 BV_OK);
                accumulator->encode(&bytes[1], feature.states[0], config, &heap.heap);
                assert_true(slice_equal(buf_slice(&bytes[0]), buf_slice(&bytes[1])));
                buf_deinit(&bytes[0]);
                buf_deinit(&bytes[1]);
                test_feature_push_at(&feature, NULL, k % 3 != 0, 1000 * k, 7);
            }
            test_feature_close(&feature);
        }
    }
}

static void
test_time_since_last_n_survives_spent_memory(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "time_since_last_n", 0, "{\"n\":5}", &heap);
    for (uint64_t i = 0; i < 6; i++) {
        heap.fail_at = i == 2 || i == 4 ? heap.alloc_count + 1 : 0;
        test_feature_push_at(&feature, NULL, true, 100 * i, 7);
    }
    /* The fifth found no larger block and was not counted: 0, 100, 200, 300, 500 are kept. */
    feature.reading.query_ms = 1000;
    assert_int_equal(test_feature_read(&feature, &arena).as.i64, 1000);
    test_feature_close(&feature);
    heap.fail_at = 0;
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_the_rows_share_and_scope_as_they_should(void **state)
{
    static const char *const of_seen[] = {"first_seen", "last_seen",  "age",
                                          "has_seen",   "time_since", "first_seen_in_window"};
    static const char *const of_streaks[] = {"streak", "max_streak", "negative_streak"};

    for (size_t i = 0; i < 6; i++) {
        const struct agg_use *use = &agg_op_find(slice_text(of_seen[i]))->uses[0];

        assert_ptr_equal(use->any_of[0], agg_op_find(slice_text("age"))->uses[0].any_of[0]);
        assert_int_equal(use->scope, AGG_MATCHING);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct agg_op *op = agg_op_find(slice_text(of_streaks[i]));

        assert_ptr_equal(op->uses[0].any_of[0],
                         agg_op_find(slice_text("streak"))->uses[0].any_of[0]);
        assert_int_equal(op->uses[0].scope, AGG_JUDGED);
        assert_int_equal(op->window, AGG_WINDOW_REFUSED);
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
        cmocka_unit_test(test_times_of_the_base_sequence),
        cmocka_unit_test(test_nothing_seen_reads_empty),
        cmocka_unit_test(test_first_seen_in_window_asks_for_the_latest_event),
        cmocka_unit_test(test_a_clock_that_stands_still_or_steps_back_gives_no_negative_age),
        cmocka_unit_test(test_the_last_n_times_at_every_n),
        cmocka_unit_test(test_streaks_of_the_golden_vectors),
        cmocka_unit_test(test_streaks_agree_with_a_count_of_each_run),
        cmocka_unit_test(test_states_come_back_from_their_encoding),
        cmocka_unit_test(test_time_since_last_n_survives_spent_memory),
        cmocka_unit_test(test_the_rows_share_and_scope_as_they_should),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    test_heap_open(&heap, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
