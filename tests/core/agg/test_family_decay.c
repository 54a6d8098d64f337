/* SPDX-License-Identifier: Apache-2.0 */
/* The decay family: the specification's vectors, a model in long double, and panes against streams.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

struct sample {
    uint64_t at_ms;
    double x;
};

static const struct sample base[] = {{0, 10}, {1000, 20}, {2000, 5}, {4000, 25}};

static void
push(struct test_feature *feature, uint64_t at_ms, struct value v)
{
    const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};

    test_feature_push_at(feature, inputs, true, at_ms, 7);
}

static struct value
read_at(struct test_feature *feature, uint64_t query_ms)
{
    feature->reading.query_ms = query_ms;
    return test_feature_read(feature, &arena);
}

static struct value
value_of(const char *op, const char *params, const struct sample *samples, size_t count,
         uint64_t query_ms)
{
    struct test_feature feature;

    test_feature_open_with(&feature, op, 0, params, &heap);
    for (size_t i = 0; i < count; i++) {
        push(&feature, samples[i].at_ms, value_f64(samples[i].x));
    }
    const struct value v = read_at(&feature, query_ms);

    test_feature_close(&feature);
    return v;
}

static void
assert_near(struct value got, double wanted)
{
    assert_int_equal(got.kind, VALUE_F64);
    if (!(fabs(got.as.f64 - wanted) <= 1e-9 * fabs(wanted))) {
        fail_msg("%.17g instead of %.17g", got.as.f64, wanted);
    }
}

static void
test_values_of_the_base_sequence(void **state)
{
    static const char *const forms[] = {
        "{\"half_life\":\"1s\"}",
        "{\"half_life\":\"1s\",\"window\":\"forever\"}",
        "{\"half_life\":\"1s\",\"window\":\"1h\"}",
    };

    for (size_t i = 0; i < 3; i++) {
        assert_near(value_of("ewma", forms[i], base, 4, 5000), 21.25);
        assert_near(value_of("ema", forms[i], base, 4, 5000), 21.25);
        assert_near(value_of("ewvar", forms[i], base, 4, 5000), 51.5625);
        assert_near(value_of("ew_zscore", forms[i], base, 4, 5000), 0.5222329678670935);
        assert_near(value_of("decayed_sum", forms[i], base, 4, 5000), 14.6875);
        assert_near(value_of("decayed_sum", forms[i], base, 4, 4000), 29.375);
        assert_near(value_of("decayed_count", forms[i], base, 4, 5000), 0.71875);
        assert_near(value_of("decayed_count", forms[i], base, 4, 4000), 1.4375);
    }
    assert_near(value_of("twa", "{}", base, 4, 5000), 13.0);
    assert_near(value_of("twa", "{}", base, 4, 4000), 10.0);
}

static void
test_values_of_the_single_sequences(void **state)
{
    static const char second[] = "{\"half_life\":\"1s\"}";
    const struct sample step[] = {{0, 0}, {1000, 100}};
    const struct sample still[] = {{0, 10}, {0, 20}};
    const struct sample equal[] = {{0, 0.1}, {7, 0.1}, {7, 0.1}, {1234, 0.1}, {999999, 0.1}};
    const struct sample sums[] = {{0, 100}, {1000, 50}};
    const struct sample steps[] = {{0, 10}, {100, 20}, {300, 30}};
    const struct sample five[] = {{70, 5}};

    assert_near(value_of("ewma", second, step, 2, 1000), 50.0);
    assert_near(value_of("ewma", second, still, 2, 0), 10.006929070095474);
    for (size_t i = 0; i < 2; i++) {
        const char *params = i == 0 ? second : "{\"half_life\":\"1s\",\"window\":\"1h\"}";
        const struct value mean = value_of("ewma", params, equal, 5, 999999);
        const struct value variance = value_of("ewvar", params, equal, 5, 999999);

        assert_true(mean.kind == VALUE_F64 && mean.as.f64 == 0.1);
        assert_true(variance.kind == VALUE_F64 && variance.as.f64 == 0.0);
        assert_int_equal(value_of("ew_zscore", params, equal, 5, 999999).kind, VALUE_NULL);
        assert_true(value_of("ewvar", params, five, 1, 70).as.f64 == 0.0);
        assert_int_equal(value_of("ew_zscore", params, five, 1, 70).kind, VALUE_NULL);
    }
    assert_near(value_of("decayed_sum", second, sums, 2, 1000), 100.0);
    assert_near(value_of("decayed_count", second, sums, 2, 1000), 1.5);
    assert_near(value_of("twa", "{}", steps, 3, 300), 16.666666666666668);
    assert_near(value_of("twa", "{}", five, 1, 70), 5.0);
    assert_near(value_of("twa", "{}", five, 1, 5000), 5.0);
}

/* ---- one step, against long double ---- */

static const uint64_t lengths[] = {1,
                                   2,
                                   3,
                                   7,
                                   49,
                                   1000,
                                   1001,
                                   60000,
                                   86400000,
                                   2592000000,
                                   31536000000,
                                   1700000000000,
                                   UINT64_C(1) << 60};

/* The bound that the C states. */
static void
assert_exact(double got, long double wanted, uint64_t half_life, uint64_t elapsed)
{
    if (!(fabsl((long double)got - wanted) <= 1e-15L * fabsl(wanted))) {
        fail_msg("%.17g instead of %.21Lg, half-life %llu, elapsed %llu", got, wanted,
                 (unsigned long long)half_life, (unsigned long long)elapsed);
    }
}

static void
check_step(uint64_t half_life, uint64_t elapsed)
{
    const long double power = (long double)elapsed / (long double)half_life;
    const struct sample samples[] = {{0, 0}, {elapsed, 1}};
    const struct sample one[] = {{0, 1}};
    char params[64];

    (void)snprintf(params, sizeof params, "{\"half_life\":\"%llums\"}",
                   (unsigned long long)half_life);
    const double kept = value_of("decayed_sum", params, one, 1, elapsed).as.f64;
    const double lost = value_of("ewma", params, samples, 2, elapsed).as.f64;

    if (power < 1020) {
        assert_exact(kept, exp2l(-power), half_life, elapsed);
    } else {
        assert_in_range(kept * 0x1p+1020, 0, 1);
    }
    assert_exact(lost, -expm1l(-power * logl(2)), half_life, elapsed);
}

static void
test_a_decay_is_right_to_1e_15_over_any_time(void **state)
{
    const size_t count = sizeof lengths / sizeof lengths[0];
    uint64_t seed = 5;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            check_step(lengths[i], lengths[k]);
        }
        for (int k = 0; k < 400; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            check_step(lengths[i], 1 + (seed >> 20) % (lengths[i] * 6));
        }
    }
    check_step(UINT64_MAX, 1000);
    check_step(1000, UINT64_C(1) << 61);
}

static void
test_a_half_life_keeps_exactly_one_half(void **state)
{
    for (uint64_t half_life = 1; half_life < 3000; half_life++) {
        const struct sample one[] = {{5, 1}};
        char params[64];

        (void)snprintf(params, sizeof params, "{\"half_life\":\"%llums\"}",
                       (unsigned long long)half_life);
        assert_true(value_of("decayed_sum", params, one, 1, 5 + half_life).as.f64 == 0.5);
        assert_true(value_of("decayed_sum", params, one, 1, 5 + 3 * half_life).as.f64 == 0.125);
    }
}

/* ---- panes against one stream, and both against a model ---- */

/* operators.md 4.8 with W27, W28 and W29, as it is written there. */
struct model {
    long double half_life;
    long double mean, variance, deviation, total, count;
    long double area, span, value;
    uint64_t last;
    bool is_open;
};

static void
model_push(struct model *m, uint64_t at_ms, double x)
{
    if (!m->is_open) {
        *m = (struct model){.half_life = m->half_life,
                            .mean = x,
                            .total = x,
                            .count = 1,
                            .value = x,
                            .last = at_ms,
                            .is_open = true};
        return;
    }
    const long double elapsed = (long double)(at_ms - m->last);
    const long double power = (elapsed < 1 ? 1 : elapsed) / m->half_life;
    const long double kept = exp2l(-power);
    const long double lost = -expm1l(-power * logl(2));
    const long double distance = (long double)x - m->mean;

    m->variance = kept * (m->variance + lost * distance * distance);
    m->deviation = kept * distance;
    m->mean = power < 0.5L ? m->mean + lost * distance : (long double)x - kept * distance;
    m->total = m->total * exp2l(-elapsed / m->half_life) + (long double)x;
    m->count = m->count * exp2l(-elapsed / m->half_life) + 1;
    m->area += m->value * elapsed;
    m->span += elapsed;
    m->value = x;
    m->last = at_ms;
}

static long double
model_read(const struct model *m, const char *op, uint64_t query_ms)
{
    const long double silence = (long double)(query_ms - m->last);
    const long double kept = exp2l(-silence / m->half_life);

    if (strcmp(op, "ewma") == 0) {
        return m->mean;
    }
    if (strcmp(op, "ewvar") == 0) {
        return m->variance;
    }
    if (strcmp(op, "ew_zscore") == 0) {
        return m->deviation / sqrtl(m->variance);
    }
    if (strcmp(op, "decayed_sum") == 0) {
        return m->total * kept;
    }
    if (strcmp(op, "decayed_count") == 0) {
        return m->count * kept;
    }
    return m->span + silence == 0 ? m->value : (m->area + m->value * silence) / (m->span + silence);
}

static const char *const names[] = {"ewma",        "ewvar",         "ew_zscore",
                                    "decayed_sum", "decayed_count", "twa"};

enum { OPS = 6, PIECES = 6 };

static uint64_t
draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Mostly moderate, now and then an outlier, so that a pane may begin with one. */
static double
draw_value(uint64_t *seed)
{
    const uint64_t kind = draw(seed) % 16;
    const double x = (double)(int64_t)(draw(seed) % 20001) / 100 - 90;

    return kind == 0 ? x * 1e6 : kind == 1 ? x * 1e-6 : x;
}

static uint64_t
draw_gap(uint64_t *seed, uint64_t pane_ms)
{
    switch (draw(seed) % 4) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return draw(seed) % 50;
    default:
        return draw(seed) % (pane_ms / 8 + 1);
    }
}

static void
assert_agrees(const char *op, const char *what, struct value got, long double wanted,
              long double scale, uint64_t seed)
{
    if (got.kind != VALUE_F64 ||
        !(fabsl((long double)got.as.f64 - wanted) <= 1e-11L * scale + 1e-300L)) {
        fail_msg("%s, seed %llu, %s: %.17g (kind %d) instead of %.17Lg", op,
                 (unsigned long long)seed, what, got.as.f64, got.kind, wanted);
    }
}

/* A stream of PIECES panes, some empty, pushed to a lifetime state, to panes and to the model. */
static void
check_stream(const char *op, uint64_t start_seed)
{
    static const uint64_t half_lives[] = {1, 20, 1000, 3600000, 2592000000};
    uint64_t seed = start_seed * 977;
    const uint64_t half_life = half_lives[draw(&seed) % 5];
    const uint64_t pane_ms = (uint64_t)1 << draw(&seed) % 28;
    struct test_feature whole;
    struct test_feature folded;
    struct model model = {.half_life = (long double)half_life};
    uint64_t now_ms = 1700000000000;
    double largest = 0;
    char params[80];

    (void)snprintf(params, sizeof params, "{\"half_life\":\"%llums\"}",
                   (unsigned long long)half_life);
    test_feature_open_with(&whole, op, 0, params, &heap);
    (void)snprintf(params, sizeof params, "{\"half_life\":\"%llums\",\"window\":\"1h\"}",
                   (unsigned long long)half_life);
    test_feature_open_with(&folded, op, 0, params, &heap);
    for (int i = 0; i < PIECES; i++) {
        struct test_feature piece;

        test_feature_open_with(&piece, op, 0, params, &heap);
        for (uint64_t k = i == 2 ? 0 : draw(&seed) % 12; k > 0; k--) {
            const double x = draw_value(&seed);

            largest = fmax(largest, fabs(x));
            push(&whole, now_ms, value_f64(x));
            push(&piece, now_ms, value_f64(x));
            model_push(&model, now_ms, x);
            now_ms += draw_gap(&seed, pane_ms);
        }
        test_feature_fold(&folded, &piece);
        test_feature_close(&piece);
    }
    if (model.is_open && (strcmp(op, "ew_zscore") != 0 || model.variance > 1e-300L)) {
        const long double wanted = model_read(&model, op, now_ms);
        const bool is_signed = strcmp(op, "ewvar") != 0 && strcmp(op, "decayed_count") != 0;
        /* Sums of mixed signs are as exact as their terms are large; and a variance is as exact as
         * the values let its distances be. */
        long double scale = is_signed ? fabsl(wanted) + largest * 1e-3L : fabsl(wanted);

        if (strcmp(op, "ewvar") == 0) {
            scale += 1e-4L * sqrtl(wanted) * largest;
        } else if (strcmp(op, "ew_zscore") == 0) {
            scale = 1e2L * (1 + fabsl(wanted)) * (1 + largest / sqrtl(model.variance) * 1e-4L);
        }
        assert_agrees(op, "one stream", read_at(&whole, now_ms), wanted, scale, start_seed);
        assert_agrees(op, "panes", read_at(&folded, now_ms), wanted, scale, start_seed);
    }
    test_feature_close(&whole);
    test_feature_close(&folded);
}

static void
test_panes_read_what_one_stream_reads(void **state)
{
    for (size_t i = 0; i < OPS; i++) {
        for (uint64_t seed = 1; seed <= 1500; seed++) {
            check_stream(names[i], seed);
        }
    }
}

/* The first event of a pane is an outlier that the gap before the pane hardly lets in. */
static void
test_an_outlier_at_the_head_of_a_pane_keeps_its_small_weight(void **state)
{
    static const char params[] = "{\"half_life\":\"30d\",\"window\":\"30d\"}";
    const uint64_t pane_ms = 40500000;
    struct test_feature older;
    struct test_feature younger;
    struct model model = {.half_life = 2592000000.0L};
    const struct sample samples[] = {
        {0, 1.0}, {pane_ms - 1, 2.0}, {pane_ms, 1e9}, {pane_ms + 1, 1.5}, {2 * pane_ms - 1, 1.25}};

    for (size_t i = 0; i < 3; i++) {
        test_feature_open_with(&older, names[i], 0, params, &heap);
        test_feature_open_with(&younger, names[i], 0, params, &heap);
        model.is_open = false;
        for (size_t k = 0; k < 5; k++) {
            push(k < 2 ? &older : &younger, samples[k].at_ms, value_f64(samples[k].x));
            model_push(&model, samples[k].at_ms, samples[k].x);
        }
        test_feature_fold(&older, &younger);

        const long double wanted = model_read(&model, names[i], 2 * pane_ms);

        assert_agrees(names[i], "panes", read_at(&older, 2 * pane_ms), wanted, fabsl(wanted) / 10,
                      0);
        test_feature_close(&older);
        test_feature_close(&younger);
    }
}

/* ---- care ---- */

static void
test_the_last_deviation_survives_a_long_silence(void **state)
{
    const struct sample samples[] = {{0, 3}, {1000, 7}, {101000, 1000.1}};
    /* kept = 2^-100 of a distance of nearly 995: z = sqrt(kept) * d / sqrt(M + d * d). */
    const struct value z = value_of("ew_zscore", "{\"half_life\":\"1s\"}", samples, 3, 101000);
    const struct value windowed =
        value_of("ew_zscore", "{\"half_life\":\"1s\",\"window\":\"1h\"}", samples, 3, 101000);

    assert_near(z, sqrt(0x1p-100 * 995.1 * 995.1 / (4 + 995.1 * 995.1)));
    assert_near(windowed, z.as.f64);
}

static void
test_a_silent_entity_decays_to_nothing(void **state)
{
    const struct sample one[] = {{0, 1e308}};
    const struct value late =
        value_of("decayed_sum", "{\"half_life\":\"1ms\"}", one, 1, UINT64_MAX);

    assert_true(late.kind == VALUE_F64 && late.as.f64 == 0.0);
    /* A read that is older than the latest event does not grow it. */
    assert_true(
        value_of("decayed_sum", "{\"half_life\":\"1s\"}", &(struct sample){9000, 8}, 1, 0).as.f64 ==
        8.0);
}

static void
test_huge_values_do_not_overflow_on_the_way(void **state)
{
    const struct sample samples[] = {{0, 1.7e308}, {1000, -1.7e308}, {2000, 1.7e308}};

    assert_near(value_of("ewma", "{\"half_life\":\"1s\"}", samples, 2, 2000), 0.0);
    assert_near(value_of("ewma", "{\"half_life\":\"1s\"}", samples, 3, 2000), 0.85e308);
    assert_near(value_of("twa", "{}", samples, 3, UINT64_C(1) << 60), 1.7e308);
    assert_int_equal(value_of("ewvar", "{\"half_life\":\"1s\"}", samples, 3, 2000).kind,
                     VALUE_NULL);
    assert_int_equal(value_of("ew_zscore", "{\"half_life\":\"1s\"}", samples, 3, 2000).kind,
                     VALUE_NULL);
}

static void
test_what_is_not_finite_reads_null_from_then_on(void **state)
{
    static const double strange[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    static const char *const forms[] = {"{\"half_life\":\"1s\"}",
                                        "{\"half_life\":\"1s\",\"window\":\"1h\"}"};

    for (size_t i = 0; i < OPS * 2; i++) {
        const bool counts = strcmp(names[i / 2], "decayed_count") == 0;

        for (size_t k = 0; k < 3; k++) {
            const struct sample samples[] = {{0, 1}, {10, strange[k]}, {20, 3}, {90000000, 4}};
            const struct value v = value_of(names[i / 2], forms[i % 2], samples, 4, 90000001);

            assert_int_equal(v.kind, counts ? VALUE_F64 : VALUE_NULL);
        }
    }
}

static void
test_a_value_that_never_stood_has_no_weight(void **state)
{
    const struct sample samples[] = {{100, (double)NAN}, {100, 6}, {200, 2}};

    assert_near(value_of("twa", "{}", samples, 3, 300), 4.0);
}

static void
test_what_is_no_number_touches_nothing(void **state)
{
    for (size_t i = 0; i < OPS; i++) {
        struct test_feature feature;

        test_feature_open(&feature, names[i], 0, &heap);
        push(&feature, 1000, value_null());
        push(&feature, 1000, value_bool(true));
        push(&feature, 1000, value_str(slice_text("12")));
        assert_int_equal(read_at(&feature, 1000).kind,
                         strcmp(names[i], "decayed_count") == 0 ? VALUE_F64 : VALUE_NULL);
        push(&feature, 2000, value_i64(INT64_MAX));
        push(&feature, 5000, value_null());
        if (i != 2) {
            assert_int_equal(read_at(&feature, 5000).kind, VALUE_F64);
        }
        test_feature_close(&feature);
    }
}

static void
test_time_never_goes_back(void **state)
{
    const struct sample samples[] = {{5000, 10}, {4000, 20}, {UINT64_MAX, 30}, {0, 40}};

    for (size_t i = 0; i < OPS; i++) {
        const struct value v =
            value_of(names[i], "{\"half_life\":\"1s\",\"window\":\"1h\"}", samples, 4, UINT64_MAX);

        assert_int_equal(v.kind, VALUE_F64);
        assert_true(isfinite(v.as.f64));
    }
    assert_near(value_of("ewma", "{\"half_life\":\"1s\"}", samples, 2, 5000), 10.006929070095474);
    assert_near(value_of("decayed_sum", "{\"half_life\":\"1s\"}", samples, 2, 5000), 30);
}

/* ---- rows, sharing, snapshots ---- */

static void
test_ewma_reads_the_same_from_either_accumulator(void **state)
{
    uint64_t seed = 3;
    uint64_t now_ms = 0;
    struct test_feature alone;
    struct test_feature shared;

    test_feature_open_with(&alone, "ewma", 0, "{\"half_life\":\"3s\"}", &heap);
    test_feature_open_with(&shared, "ewma", 1, "{\"half_life\":\"3s\"}", &heap);
    assert_string_equal(shared.reading.accumulators[0]->name, "ew_moments");
    for (int i = 0; i < 1000; i++) {
        const double x = draw_value(&seed);

        push(&alone, now_ms, value_f64(x));
        push(&shared, now_ms, value_f64(x));
        now_ms += draw_gap(&seed, 40000);
        assert_true(read_at(&alone, now_ms).as.bits == read_at(&shared, now_ms).as.bits);
    }
    test_feature_close(&alone);
    test_feature_close(&shared);
}

static void
test_lifetime_states_are_small(void **state)
{
    static const unsigned sizes[OPS] = {16, 32, 32, 16, 16, 32};

    for (size_t i = 0; i < OPS; i++) {
        struct test_feature feature;

        test_feature_open_with(&feature, names[i], 0, "{\"half_life\":\"1s\"}", &heap);
        assert_int_equal(
            feature.reading.accumulators[0]->state_size(feature.reading.configs[0], FIELD_F64),
            sizes[i]);
        test_feature_close(&feature);
    }
}

static void
test_half_life_is_a_required_duration(void **state)
{
    static const char *const wrong[] = {"{}", "{\"half_life\":\"forever\"}",
                                        "{\"half_life\":\"0s\"}", "{\"half_life\":5}"};

    for (size_t i = 0; i < 5; i++) {
        const struct agg_op *op = agg_op_find(slice_text(names[i]));
        const struct agg_param *param = &op->params[op->param_count - 1];
        const struct agg_accumulator *accumulator = op->uses[0].any_of[0];

        assert_string_equal(param->name, "half_life");
        assert_int_equal(param->type, AGG_PARAM_DURATION);
        assert_true(param->is_required);
        assert_int_equal(param->refusal, BV_INVALID_REGISTRATION);
        assert_int_equal(op->window, AGG_WINDOW_HONOURED);
        for (size_t k = 0; k < 4; k++) {
            uint64_t config[8] = {0};
            struct value params;

            assert_int_equal(json_parse(&params, slice_text(wrong[k]), 4, &arena, NULL), BV_OK);
            assert_int_equal(accumulator->configure(config, &params, NULL),
                             BV_INVALID_REGISTRATION);
            assert_int_equal(accumulator->configure(config, NULL, NULL), BV_INVALID_REGISTRATION);
        }
    }
}

static void
test_a_pane_goes_through_a_snapshot(void **state)
{
    for (size_t i = 0; i < OPS; i++) {
        struct test_feature feature;
        struct test_feature copy;
        struct buf bytes;
        size_t consumed = 0;

        test_feature_open(&feature, names[i], 0, &heap);
        test_feature_open(&copy, names[i], 0, &heap);
        for (size_t k = 0; k < 4; k++) {
            push(&feature, base[k].at_ms, value_f64(base[k].x));
        }
        buf_init(&bytes);
        feature.reading.accumulators[0]->encode(&bytes, feature.states[0],
                                                feature.reading.configs[0], &heap.heap);
        assert_int_equal(
            copy.reading.accumulators[0]->decode(copy.states[0], &consumed, buf_slice(&bytes),
                                                 copy.reading.configs[0], &heap.heap, NULL),
            BV_OK);
        assert_int_equal(consumed, bytes.size);
        push(&feature, 6000, value_f64(3));
        push(&copy, 6000, value_f64(3));
        assert_true(read_at(&feature, 7000).as.bits == read_at(&copy, 7000).as.bits);
        bytes.data[0]++;
        assert_int_equal(
            copy.reading.accumulators[0]->decode(copy.states[0], &consumed, buf_slice(&bytes),
                                                 copy.reading.configs[0], &heap.heap, NULL),
            BV_CORRUPT);
        buf_deinit(&bytes);
        test_feature_close(&feature);
        test_feature_close(&copy);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_the_base_sequence),
        cmocka_unit_test(test_values_of_the_single_sequences),
        cmocka_unit_test(test_a_decay_is_right_to_1e_15_over_any_time),
        cmocka_unit_test(test_a_half_life_keeps_exactly_one_half),
        cmocka_unit_test(test_panes_read_what_one_stream_reads),
        cmocka_unit_test(test_an_outlier_at_the_head_of_a_pane_keeps_its_small_weight),
        cmocka_unit_test(test_the_last_deviation_survives_a_long_silence),
        cmocka_unit_test(test_a_silent_entity_decays_to_nothing),
        cmocka_unit_test(test_huge_values_do_not_overflow_on_the_way),
        cmocka_unit_test(test_what_is_not_finite_reads_null_from_then_on),
        cmocka_unit_test(test_a_value_that_never_stood_has_no_weight),
        cmocka_unit_test(test_what_is_no_number_touches_nothing),
        cmocka_unit_test(test_time_never_goes_back),
        cmocka_unit_test(test_ewma_reads_the_same_from_either_accumulator),
        cmocka_unit_test(test_lifetime_states_are_small),
        cmocka_unit_test(test_half_life_is_a_required_duration),
        cmocka_unit_test(test_a_pane_goes_through_a_snapshot),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
