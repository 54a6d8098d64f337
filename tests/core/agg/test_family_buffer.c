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
push_json(struct test_feature *feature, const char *json, uint32_t seed)
{
    struct value list;

    assert_int_equal(json_parse(&list, slice_text(json), 8, &arena, NULL), BV_OK);
    for (uint32_t i = 0; i < list.length; i++) {
        const struct value *inputs[AGG_INPUTS_MAX] = {&list.as.items[i], &list.as.items[i]};

        test_feature_push_at(feature, inputs, true, 1000 + i, seed + i);
    }
}

static void
assert_reads(const struct test_feature *feature, const char *json)
{
    const struct value got = test_feature_read(feature, &arena);
    struct buf text;

    buf_init(&text);
    json_write(&text, &got);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, json);
    buf_deinit(&text);
}

static void
expect(const char *op, const char *params, const char *values, const char *wanted)
{
    for (unsigned choice = 0; choice < 2; choice++) {
        struct test_feature feature;

        test_feature_open_with(&feature, op, choice, params, &heap);
        push_json(&feature, values, 1);
        assert_reads(&feature, wanted);
        test_feature_close(&feature);
    }
}

static void
test_the_golden_vectors(void **state)
{
    static const char *const amounts = "[10.0,20.0,5.0,25.0]";

    expect("first_n", "{\"n\":2}", amounts, "[10.0,20.0]");
    expect("last_n", "{\"n\":2}", amounts, "[5.0,25.0]");
    expect("lag", "{\"n\":1}", amounts, "5.0");
    expect("lag", "{\"n\":3}", amounts, "10.0");
    expect("lag", "{\"n\":4}", amounts, "null");
    expect("most_recent_n", "{\"n\":3}", "[\"a\",\"b\",\"a\",\"c\"]", "[\"b\",\"a\",\"c\"]");
    expect("reservoir_sample", "{\"samples\":10}", amounts, "[10.0,20.0,5.0,25.0]");
    expect("lag", "{\"n\":1}", "[10.0]", "null");
    expect("lag", "{\"n\":1}", "[10.0,20.0]", "10.0");
    expect("lag", "{\"n\":1}", "[10.0,20.0,30.0]", "20.0");
}

static void
test_nulls_are_skipped_and_kinds_are_kept(void **state)
{
    static const char *const values =
        "[null,9223372036854775807,5,5.0,true,\"\",\"8 bytes!\",\"9 bytes..\",null,[1,[2]],{\"a\":"
        "null}]";
    static const char *const kept =
        "[9223372036854775807,5,5.0,true,\"\",\"8 bytes!\",\"9 bytes..\",[1,[2]],{\"a\":null}]";

    expect("first_n", "{\"n\":9}", values, kept);
    expect("last_n", "{\"n\":9}", values, kept);
    expect("most_recent_n", "{\"n\":65536}", values, kept);
    expect("reservoir_sample", "{\"samples\":9}", values, kept);
    expect("lag", "{\"n\":8}", values, "9223372036854775807");
    expect("last_n", "{\"n\":2}", values, "[[1,[2]],{\"a\":null}]");
    expect("first_n", "{\"n\":2}", "[null,null]", "[]");
}

/* ---- against a model that keeps everything ---- */

#define HISTORY 400

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* A value of any kind as JSON text, of any length. */
static void
draw_json(char *out, size_t size, uint64_t *seed)
{
    const uint64_t draw = next_random(seed);
    int length = (int)(draw / 16 % 40);

    switch (draw % 6) {
    case 0:
        (void)snprintf(out, size, "%lld", (long long)(draw % 1000) - 500);
        break;
    case 1:
        (void)snprintf(out, size, "%d.5", (int)(draw % 1000));
        break;
    case 2:
        (void)snprintf(out, size, "%s", draw % 4 < 2 ? "true" : "false");
        break;
    case 3:
        (void)snprintf(out, size, "[%d,\"%0*d\"]", (int)(draw % 7), length, 3);
        break;
    default:
        (void)snprintf(out, size, "\"%.*s\"", length,
                       "the quick brown fox jumps over the lazy dog");
    }
}

static void
append_range(char *out, size_t size, char history[][64], size_t from, size_t to)
{
    size_t at = 0;

    at += (size_t)snprintf(out, size, "[");
    for (size_t i = from; i < to; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s%s", i == from ? "" : ",", history[i]);
    }
    (void)snprintf(out + at, size - at, "]");
}

/* Encodes, decodes into a fresh state and goes on with that. */
static void
through_a_snapshot(struct test_feature *feature)
{
    const struct agg_accumulator *accumulator = feature->reading.accumulators[0];
    const void *config = feature->reading.configs[0];
    struct buf before;
    struct buf after;
    size_t consumed = 0;

    buf_init(&before);
    buf_init(&after);
    accumulator->encode(&before, feature->states[0], config, &heap.heap);
    accumulator->release(feature->states[0], config, &heap.heap);
    memset(feature->states[0], 0xA5, sizeof feature->states[0]);
    assert_int_equal(accumulator->decode(feature->states[0], &consumed, buf_slice(&before), config,
                                         &heap.heap, NULL),
                     BV_OK);
    assert_int_equal(consumed, before.size);
    accumulator->encode(&after, feature->states[0], config, &heap.heap);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    buf_deinit(&before);
    buf_deinit(&after);
}

static size_t
later(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static void
check_history(unsigned n, unsigned choice, uint64_t seed)
{
    static char history[HISTORY][64];
    static char wanted[HISTORY * 64];
    static const char *const names[] = {"first_n", "last_n", "lag", "most_recent_n"};
    struct test_feature features[4];
    char params[32];

    (void)snprintf(params, sizeof params, "{\"n\":%u}", n);
    for (int f = 0; f < 4; f++) {
        test_feature_open_with(&features[f], names[f], choice, params, &heap);
    }
    for (size_t count = 0; count < HISTORY; count++) {
        char one[80];

        draw_json(history[count], sizeof history[count], &seed);
        (void)snprintf(one, sizeof one, "[%s]", history[count]);
        for (int f = 0; f < 4; f++) {
            push_json(&features[f], one, 0);
            if (next_random(&seed) % 16 == 0) {
                through_a_snapshot(&features[f]);
            }
        }
        if (count > 2 * n + 4 && count % 37 != 0) {
            continue;
        }
        append_range(wanted, sizeof wanted, history, 0, n < count + 1 ? n : count + 1);
        assert_reads(&features[0], wanted);
        append_range(wanted, sizeof wanted, history, later(count + 1, n), count + 1);
        assert_reads(&features[1], wanted);
        assert_reads(&features[3], wanted);
        assert_reads(&features[2], count < n ? "null" : history[count - n]);
        arena_reset(&arena);
    }
    for (int f = 0; f < 4; f++) {
        test_feature_close(&features[f]);
    }
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_buffers_agree_with_the_whole_history(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 28, 29, 100, 1024};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_history(sizes[i], 0, 17 + i);
        check_history(sizes[i], 1, 99 + i);
        heap.next = 1; /* nothing is out: the region is used again */
    }
}

static void
test_memory_grows_with_the_values_and_not_with_n(void **state)
{
    static const char *const params[] = {"{\"n\":65536}", "{\"samples\":65536}"};
    static const char *const names[] = {"most_recent_n", "reservoir_sample"};

    for (int f = 0; f < 2; f++) {
        struct test_feature feature;

        test_feature_open_with(&feature, names[f], 0, params[f], &heap);
        assert_true(feature.reading.accumulators[0]->state_size(feature.reading.configs[0],
                                                                FIELD_F64) <= 24);
        assert_int_equal(heap.bytes_out, 0);
        for (int i = 1; i <= 70000; i++) {
            test_feature_push(&feature, value_i64(i), true);
            assert_true(heap.bytes_out <= 9 * 65536 && heap.bytes_out <= 32 + 18 * (int64_t)i);
            if (i == 1) {
                assert_in_range(heap.bytes_out, 9, 32);
            }
        }
        const struct value all = test_feature_read(&feature, &arena);

        assert_int_equal(all.length, 65536);
        if (f == 0) {
            assert_int_equal(all.as.items[0].as.i64, 70000 - 65535);
            assert_int_equal(all.as.items[65535].as.i64, 70000);
        }
        through_a_snapshot(&feature);
        test_feature_close(&feature);
        arena_reset(&arena);
        heap.next = 1;
    }
}

static void
test_up_to_four_values_need_no_memory_of_their_own(void **state)
{
    static const struct {
        const char *op, *params;
        uint32_t size;
    } rows[] = {
        {"lag", "{\"n\":1}", 24},           {"lag", "{\"n\":3}", 40},
        {"lag", "{\"n\":4}", 16},           {"last_n", "{\"n\":1}", 16},
        {"last_n", "{\"n\":4}", 40},        {"first_n", "{\"n\":5}", 16},
        {"most_recent_n", "{\"n\":3}", 32}, {"reservoir_sample", "{\"samples\":4}", 48},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_feature feature;

        test_feature_open_with(&feature, rows[i].op, 0, rows[i].params, &heap);
        push_json(&feature, "[1,2.5,true,\"8 bytes!\",5,6,7]", 1);
        assert_int_equal(
            feature.reading.accumulators[0]->state_size(feature.reading.configs[0], FIELD_F64),
            rows[i].size);
        assert_int_equal(heap.bytes_out != 0,
                         rows[i].size == 16 && strcmp(rows[i].params, "{\"n\":1}") != 0);
        test_feature_close(&feature);
    }
}

static void
test_a_value_that_finds_no_memory_leaves_no_trace(void **state)
{
    static const char *const long_texts =
        "[\"the first long text\",\"the second long text\",\"the third long text, longer\"]";
    struct test_feature feature;

    /* The long text itself, in a full inline ring. */
    test_feature_open_with(&feature, "last_n", 0, "{\"n\":3}", &heap);
    push_json(&feature, long_texts, 1);
    heap.fail_at = heap.alloc_count + 1;
    push_json(&feature, "[\"a fourth, of another length than all\"]", 1);
    assert_reads(&feature, long_texts);
    heap.fail_at = 0;
    push_json(&feature, "[4]", 1);
    assert_reads(&feature, "[\"the second long text\",\"the third long text, longer\",4]");
    test_feature_close(&feature);

    /* The block of the ring, when it has to grow. */
    test_feature_open_with(&feature, "most_recent_n", 0, "{\"n\":100}", &heap);
    push_json(&feature, "[1,2,3]", 1);
    heap.fail_at = heap.alloc_count + 1;
    push_json(&feature, "[4]", 1);
    assert_reads(&feature, "[1,2,3]");
    push_json(&feature, "[5]", 1);
    assert_reads(&feature, "[1,2,3,5]");
    test_feature_close(&feature);

    /* The very first block. */
    test_feature_open_with(&feature, "reservoir_sample", 0, "{\"samples\":100}", &heap);
    heap.fail_at = heap.alloc_count + 1;
    push_json(&feature, "[1]", 1);
    assert_reads(&feature, "[]");
    push_json(&feature, "[2,3]", 1);
    assert_reads(&feature, "[2,3]");
    test_feature_close(&feature);
    heap.fail_at = 0;
}

static void
test_a_decoder_that_finds_no_memory_gives_all_of_it_back(void **state)
{
    struct test_feature feature;
    struct buf bytes;
    uint64_t words[8];
    size_t consumed = 0;

    test_feature_open_with(&feature, "first_n", 0, "{\"n\":40}", &heap);
    push_json(&feature, "[1,\"a text that lies outside\",3,4,5,6,7,8,\"another one, outside\"]", 1);
    const struct agg_accumulator *accumulator = feature.reading.accumulators[0];
    uint32_t slots = 40; /* all of the config */

    buf_init(&bytes);
    accumulator->encode(&bytes, feature.states[0], &slots, &heap.heap);
    test_feature_close(&feature);
    for (int64_t nth = 1; nth <= 5; nth++) {
        heap.fail_at = heap.alloc_count + nth;
        assert_int_equal(
            accumulator->decode(words, &consumed, buf_slice(&bytes), &slots, &heap.heap, NULL),
            BV_NO_MEMORY);
        assert_int_equal(heap.bytes_out, 0);
    }
    heap.fail_at = 0;
    /* More values than the ring has slots. */
    slots = 8;
    assert_int_equal(
        accumulator->decode(words, &consumed, buf_slice(&bytes), &slots, &heap.heap, NULL),
        BV_CORRUPT);
    /* A null inside. */
    assert_int_equal(accumulator->decode(words, &consumed,
                                         slice_of((const uint8_t *)"\1\1\0\0\0\0", 6), &slots,
                                         &heap.heap, NULL),
                     BV_CORRUPT);
    assert_int_equal(heap.bytes_out, 0);
    buf_deinit(&bytes);
}

/* ---- the sample ---- */

static void
push_count(struct test_feature *feature, int64_t count, uint32_t (*seed_of)(int64_t i))
{
    for (int64_t i = 0; i < count; i++) {
        const struct value v = value_i64(i);
        const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};

        test_feature_push_at(feature, inputs, true, 1000, seed_of(i));
    }
}

static uint32_t trial;

static uint32_t
seed_of_a_record_each(int64_t i)
{
    return (trial * 1000 + (uint32_t)i) * 2654435761u;
}

static uint32_t
seed_of_one_record(int64_t i)
{
    return trial * 2654435761u;
}

static void
check_fairness(unsigned samples, uint32_t (*seed_of)(int64_t i))
{
    enum { VALUES = 40, TRIALS = 4000 };
    int64_t chosen[VALUES] = {0};
    char params[32];
    double distance = 0;

    (void)snprintf(params, sizeof params, "{\"samples\":%u}", samples);
    for (trial = 0; trial < TRIALS; trial++) {
        struct test_feature feature;
        uint64_t seen = 0;

        test_feature_open_with(&feature, "reservoir_sample", 0, params, &heap);
        push_count(&feature, VALUES, seed_of);
        const struct value got = test_feature_read(&feature, &arena);

        assert_int_equal(got.length, samples);
        for (unsigned i = 0; i < samples; i++) {
            const int64_t v = got.as.items[i].as.i64;

            assert_in_range(v, 0, VALUES - 1);
            assert_int_equal(seen >> v & 1, 0); /* no value twice */
            seen |= 1ull << v;
            chosen[v]++;
        }
        test_feature_close(&feature);
        arena_reset(&arena);
        heap.next = 1;
    }
    for (int i = 0; i < VALUES; i++) {
        const double expected = (double)TRIALS * samples / VALUES;

        distance += ((double)chosen[i] - expected) * ((double)chosen[i] - expected) / expected;
    }
    /* Chi-square, 39 degrees of freedom: 76 is passed once in 3000 fair runs; this one is fixed. */
    assert_true(distance < 76.0);
}

static void
test_every_value_has_the_same_chance_to_be_sampled(void **state)
{
    check_fairness(3, seed_of_a_record_each);
    check_fairness(10, seed_of_a_record_each);
    /* All events of an entity in one record: one seed for all of them. */
    check_fairness(3, seed_of_one_record);
    check_fairness(10, seed_of_one_record);
}

static void
test_the_same_log_gives_the_same_sample_and_another_feature_another(void **state)
{
    struct test_feature features[2];
    struct value got[2];
    const struct agg_moment moments[2] = {{.now_ms = 1, .seed = 9, .salt = 1, .heap = &heap.heap},
                                          {.now_ms = 1, .seed = 9, .salt = 2, .heap = &heap.heap}};
    int differences = 0;

    for (int round = 0; round < 2; round++) {
        for (int f = 0; f < 2; f++) {
            test_feature_open_with(&features[f], "reservoir_sample", 0, "{\"samples\":20}", &heap);
            for (int64_t i = 0; i < 1000; i++) {
                const struct value v = value_i64(i);
                const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};

                features[f].reading.accumulators[0]->update(features[f].states[0],
                                                            features[f].reading.configs[0], inputs,
                                                            &moments[round == 0 ? 0 : f]);
            }
            got[f] = test_feature_read(&features[f], &arena);
        }
        differences = 0;
        for (int i = 0; i < 20; i++) {
            differences += got[0].as.items[i].as.i64 != got[1].as.items[i].as.i64;
        }
        assert_in_range(differences, round == 0 ? 0 : 15, round == 0 ? 0 : 20);
        test_feature_close(&features[0]);
        test_feature_close(&features[1]);
    }
}

static void
test_the_size_of_a_sample_is_samples_or_k_or_ten(void **state)
{
    static const struct {
        const char *params;
        uint32_t size;
    } rows[] = {
        {"{}", 10}, {"{\"k\":3}", 3}, {"{\"k\":3,\"samples\":5}", 5}, {"{\"samples\":1}", 1}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_feature feature;

        test_feature_open_with(&feature, "reservoir_sample", 0, rows[i].params, &heap);
        trial = 1;
        push_count(&feature, 100, seed_of_a_record_each);
        assert_int_equal(test_feature_read(&feature, &arena).length, rows[i].size);
        test_feature_close(&feature);
    }
}

static void
test_bounds_are_refused_with_their_codes(void **state)
{
    static const struct {
        const char *op, *param;
        double max;
        bool field_required;
    } rows[] = {{"first_n", "n", 1024, true},
                {"last_n", "n", 1024, true},
                {"lag", "n", 1024, true},
                {"most_recent_n", "n", 65536, false},
                {"reservoir_sample", "samples", 65536, false},
                {"reservoir_sample", "k", 65536, false}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct agg_op *op = agg_op_find(slice_text(rows[i].op));
        bool is_found = false;

        assert_int_equal(op->window, AGG_WINDOW_REFUSED);
        assert_int_equal(op->params[0].is_required, rows[i].field_required);
        for (unsigned k = 1; k < op->param_count; k++) {
            if (strcmp(op->params[k].name, rows[i].param) == 0) {
                is_found = true;
                assert_true(op->params[k].min == 1 && op->params[k].max == rows[i].max);
                assert_int_equal(op->params[k].refusal, BV_AGG_UNKNOWN_FIELD);
                /* A default that is written down would overrule the other name of samples. */
                assert_null(op->params[k].fallback);
            }
        }
        assert_true(is_found);
    }
}

static void
test_damaged_parameters_of_a_log_are_refused(void **state)
{
    static const char *const texts[] = {"{}",
                                        "{\"n\":0,\"samples\":0}",
                                        "{\"n\":-1,\"samples\":-1}",
                                        "{\"n\":\"3\",\"samples\":\"3\"}",
                                        "{\"n\":65537,\"samples\":65537}",
                                        "{\"n\":[1],\"samples\":[1]}"};
    static const char *const names[] = {"first_n", "last_n", "lag", "most_recent_n",
                                        "reservoir_sample"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct value params;

        assert_int_equal(json_parse(&params, slice_text(texts[i]), 4, &arena, NULL), BV_OK);
        for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
            const struct agg_accumulator *accumulator =
                agg_op_find(slice_text(names[f]))->uses[0].any_of[0];
            uint64_t config = 0;
            struct bv_error err;

            assert_int_equal(accumulator->configure(&config, &params, &err),
                             i == 0 && f == 4 ? BV_OK : BV_AGG_UNKNOWN_FIELD);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_golden_vectors),
        cmocka_unit_test(test_nulls_are_skipped_and_kinds_are_kept),
        cmocka_unit_test(test_buffers_agree_with_the_whole_history),
        cmocka_unit_test(test_memory_grows_with_the_values_and_not_with_n),
        cmocka_unit_test(test_up_to_four_values_need_no_memory_of_their_own),
        cmocka_unit_test(test_a_value_that_finds_no_memory_leaves_no_trace),
        cmocka_unit_test(test_a_decoder_that_finds_no_memory_gives_all_of_it_back),
        cmocka_unit_test(test_every_value_has_the_same_chance_to_be_sampled),
        cmocka_unit_test(test_the_same_log_gives_the_same_sample_and_another_feature_another),
        cmocka_unit_test(test_the_size_of_a_sample_is_samples_or_k_or_ten),
        cmocka_unit_test(test_bounds_are_refused_with_their_codes),
        cmocka_unit_test(test_damaged_parameters_of_a_log_are_refused),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 64 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
