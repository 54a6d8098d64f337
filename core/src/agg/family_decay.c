/* SPDX-License-Identifier: Apache-2.0 */
/* ewma, ewvar, ew_zscore, decayed_sum, decayed_count, twa (operators.md 4.8 with W7, W27, W28,
 * W29).
 *
 * Enters:  one number per matching event (none for decayed_count), and its time.
 * Leaves:  a float, or null where nothing has contributed.
 * Owner:   the entity's block, or a row of a window.
 *
 * Invariants
 *   (1) A state whose last_ms (twa: first_ms) is NEVER has seen nothing.
 *   (2) What is no number touches nothing. NaN and infinities enter; from then on the result is not
 *       finite and reads null, until they leave the window.
 *   (3) last_ms never goes back, and no time lies beyond TIME_MAX_MS: no difference or sum wraps.
 *   (4) Equal values give exactly that value as mean and exactly zero as variance.
 *   (5) Only IEEE operations and fma: the same bits on every machine, so a log can be replayed on
 *       another one. libm promises less.
 *
 * What a pane keeps. An exponentially weighted mean and variance are those of a distribution of
 * mass 1. An event x, `dt` after the one before, keeps p = 2^(-dt / half-life) of what was there
 * and puts mass a = 1 - p on x; the very first event puts all of it on x. A run of events is thus a
 * map D  ->  P * p * D  +  P * a * [first]  +  rest, P being what the later events of the run keep,
 * 2^(-elapsed / half-life), and p, a those of the gap before the run. So a pane keeps first,
 * elapsed and the rest (mass 1 - P, with mean and spread), and panes are composed as maps are.
 * Every mass is positive: nothing is ever taken away that was added before, as it would be if the
 * mass that the first event has too much in a pane of its own were corrected afterwards.
 *
 * Means and spreads of parts are joined by the weighted pairwise rule of Chan, Golub and LeVeque;
 * the update of a state of mass 1 is the case West (1979) gives.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "util/assert.h"
#include "wire/number.h"

#include <math.h>

#define VERSION     1
#define NEVER       UINT64_MAX
#define TIME_MAX_MS (UINT64_C(1) << 61) /* 73 million years */

static uint64_t
time_of(uint64_t ms)
{
    return ms < TIME_MAX_MS ? ms : TIME_MAX_MS;
}

static uint64_t
elapsed_since(uint64_t last_ms, uint64_t now_ms)
{
    return now_ms > last_ms ? now_ms - last_ms : 0;
}

static struct value
finite_or_null(double v)
{
    return isfinite(v) ? value_f64(v) : value_null();
}

/* ---- what is left after a while ---- */

struct decay_config {
    double rate; /* 1 / half-life */
    int64_t half_life_ms;
    uint64_t is_pane; /* the state stands in a window */
};

struct decay {
    double kept; /* 2^(-elapsed / half-life) */
    double lost; /* 1 - kept, itself to full precision */
};

/* 2^-f - 1 for |f| <= 1/2, by its Taylor series in z = -f ln 2, |z| < 0.347, of 13 terms: what is
 * cut off is less than |z|^13 / 14! * 1.1 < 2e-17 of the result. The terms sum to at most
 * e^|z| < 1.42 times the result in magnitude, so rounding (half a unit per coefficient and per fma,
 * one for the last product) adds less than 4 units of 1.1e-16. */
static inline double
exp2_minus_one(double f)
{
    const double f2 = f * f;
    const double f4 = f2 * f2;
    const double c12 = fma(0.24022650695910072, f, -0.6931471805599453);
    const double c34 = fma(0.009618129107628477, f, -0.05550410866482158);
    const double c56 = fma(0.0001540353039338161, f, -0.0013333558146428443);
    const double c78 = fma(1.321548679014431e-06, f, -1.5252733804059841e-05);
    const double c9a = fma(7.054911620801123e-09, f, -1.01780860092397e-07);
    const double cbc = fma(2.5678435993488206e-11, f, -4.4455382718708116e-10);
    const double low = fma(fma(c78, f2, c56), f4, fma(c34, f2, c12));
    const double high = fma(-1.3691488853904128e-12, f4, fma(cbc, f2, c9a));

    return f * fma(high, f4 * f4, low);
}

/* Whole half-lives are taken off in integers, so the fraction is right for any elapsed time and a
 * half-life gives exactly one half. Both results are within 1e-15 of the truth: the fraction brings
 * two units more than exp2_minus_one has. Below 2^-1022 nothing is kept. */
static inline struct decay
decay_over(const struct decay_config *config, uint64_t elapsed_ms)
{
    const int64_t elapsed = (int64_t)time_of(elapsed_ms);
    const double half_lives = (double)elapsed * config->rate;

    if (BV_UNLIKELY(half_lives >= 1022)) {
        return (struct decay){0, 1};
    }
    const int64_t whole = (int64_t)(half_lives + 0.5);
    const double rest = (double)(elapsed - whole * config->half_life_ms) * config->rate;
    const double change = exp2_minus_one(rest);
    const uint64_t bits = (uint64_t)(1023 - whole) << 52;
    double scale; /* 2^-whole */

    memcpy(&scale, &bits, sizeof scale);
    return (struct decay){fma(scale, change, scale), fma(-scale, change, 1 - scale)};
}

static enum bv_status
decay_configure(void *config, const struct value *params, struct bv_error *err)
{
    struct decay_config *c = (struct decay_config *)config;
    const struct value *half_life = params == NULL ? NULL : value_find(params, "half_life");
    const struct value *window = params == NULL ? NULL : value_find(params, "window");
    uint64_t ms = 0;
    bool is_forever = false;

    if (half_life == NULL || half_life->kind != VALUE_STR ||
        !number_parse_duration(&ms, &is_forever, value_slice(half_life)) || is_forever) {
        return bv_error_set(err, BV_INVALID_REGISTRATION, "half_life is not a duration");
    }
    c->rate = 1 / (double)ms;
    /* Only multiplied when a whole half-life has passed, so never where this cuts. */
    c->half_life_ms = (int64_t)(ms < TIME_MAX_MS * 2 ? ms : TIME_MAX_MS * 2);
    c->is_pane = window != NULL && window->kind == VALUE_STR &&
                 number_parse_duration(&ms, &is_forever, value_slice(window)) && !is_forever;
    return BV_OK;
}

/* old_share * old + new_share * young, the shares adding up to 1, without ever leaving the interval
 * by more than rounding, and exact for equal values. */
static inline double
blend(double old, double young, double old_share, double young_share)
{
    const double distance = young - old;

    if (BV_UNLIKELY(!isfinite(distance))) {
        return old_share * old + young_share * young; /* finite, if both are */
    }
    return young_share < 0.5 ? old + young_share * distance : young - old_share * distance;
}

/* ---- states are words ---- */

static void
words_encode(struct buf *out, const void *state, size_t size)
{
    buf_byte(out, VERSION);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word;

        memcpy(&word, (const uint8_t *)state + i, 8);
        codec_put_u64(out, word);
    }
}

static enum bv_status
words_decode(void *state, size_t size, size_t *consumed, struct slice bytes, const char *what,
             struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const bool is_known = codec_take_u8(&reader) == VERSION;

    for (size_t i = 0; i < size; i += 8) {
        const uint64_t word = codec_take_u64(&reader);

        memcpy((uint8_t *)state + i, &word, 8);
    }
    return codec_finish(&reader, consumed, what, is_known, err);
}

/* ---- a pane of weighted values: see the file's story ---- */

/* Part of a distribution. Two that are joined have together at least the mass that a millisecond
 * loses: far from where 1 / mass would overflow. */
struct ew_part {
    double mass;
    double mean;
    double spread;    /* mass times variance */
    double deviation; /* the latest value's distance from the mean */
};

struct ew_pane {
    uint64_t last_ms;
    double first_value;
    uint64_t first_ms;
    uint64_t elapsed_ms; /* sum of the steps, each at least 1 ms (W28) */
    struct ew_part rest; /* all but the first event */
};

static inline void
part_join(struct ew_part *part, const struct ew_part *younger)
{
    if (younger->mass == 0) {
        return;
    }
    const double mass = part->mass + younger->mass;
    const double inverse = 1 / mass;
    const double old_share = part->mass * inverse;
    const double young_share = younger->mass * inverse;
    const double distance = younger->mean - part->mean;

    part->spread += younger->spread + part->mass * young_share * distance * distance;
    part->deviation = younger->deviation + old_share * distance;
    part->mean = blend(part->mean, younger->mean, old_share, young_share);
    part->mass = mass;
}

static inline void
part_decay(struct ew_part *part, double kept)
{
    part->mass *= kept;
    part->spread *= kept;
}

static void
pane_update(struct ew_pane *s, const struct decay_config *config, double x, uint64_t now_ms)
{
    if (s->last_ms == NEVER) {
        s->first_value = x;
        s->first_ms = now_ms;
        s->last_ms = now_ms;
        return;
    }
    const uint64_t elapsed = elapsed_since(s->last_ms, now_ms);
    const uint64_t step = elapsed == 0 ? 1 : elapsed;
    const struct decay decay = decay_over(config, step);

    part_decay(&s->rest, decay.kept);
    part_join(&s->rest, &(struct ew_part){.mass = decay.lost, .mean = x});
    s->elapsed_ms += step;
    s->last_ms += elapsed;
}

static void
pane_merge(struct ew_pane *a, const struct ew_pane *b, const struct decay_config *config)
{
    if (b->last_ms == NEVER) {
        return;
    }
    if (a->last_ms == NEVER) {
        *a = *b;
        return;
    }
    const uint64_t elapsed = elapsed_since(a->last_ms, b->first_ms);
    const uint64_t gap = elapsed == 0 ? 1 : elapsed;
    const struct decay before = decay_over(config, gap);
    const struct decay within = decay_over(config, b->elapsed_ms);

    part_decay(&a->rest, before.kept);
    part_join(&a->rest, &(struct ew_part){.mass = before.lost, .mean = b->first_value});
    part_decay(&a->rest, within.kept);
    part_join(&a->rest, &b->rest);
    a->elapsed_ms += gap + b->elapsed_ms;
    a->last_ms = b->last_ms;
}

/* The whole distribution, when nothing came before the pane. */
static struct ew_part
pane_whole(const struct ew_pane *s, const struct decay_config *config)
{
    struct ew_part whole = {.mass = decay_over(config, s->elapsed_ms).kept, .mean = s->first_value};

    part_join(&whole, &s->rest);
    return whole;
}

/* ---- ew_moments: mean, variance and latest deviation; ewma: the mean alone ---- */

struct ewma_state {
    uint64_t last_ms;
    double mean;
};

struct ew_state {
    uint64_t last_ms;
    double mean;
    double variance;
    double deviation; /* as in struct ew_part: kept, because what is left of it after a long
                       * silence is lost in the difference of value and mean */
};

static bool
is_pane(const void *config)
{
    return ((const struct decay_config *)config)->is_pane != 0;
}

static uint32_t
ewma_state_size(const void *config, enum field_type input_type)
{
    return is_pane(config) ? sizeof(struct ew_pane) : sizeof(struct ewma_state);
}

static uint32_t
ew_state_size(const void *config, enum field_type input_type)
{
    return is_pane(config) ? sizeof(struct ew_pane) : sizeof(struct ew_state);
}

static void
ewma_init(void *state, const void *config)
{
    memset(state, 0, ewma_state_size(config, FIELD_F64));
    *(uint64_t *)state = NEVER; /* last_ms is the first word of each form */
}

static void
ew_init(void *state, const void *config)
{
    memset(state, 0, ew_state_size(config, FIELD_F64));
    *(uint64_t *)state = NEVER;
}

static void
ewma_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    const struct decay_config *c = (const struct decay_config *)config;
    struct ewma_state *s = (struct ewma_state *)state;
    const uint64_t now_ms = time_of(moment->now_ms);
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (c->is_pane) {
        pane_update((struct ew_pane *)state, c, x, now_ms);
        return;
    }
    if (s->last_ms == NEVER) {
        *s = (struct ewma_state){now_ms, x};
        return;
    }
    const uint64_t elapsed = elapsed_since(s->last_ms, now_ms);
    const struct decay decay = decay_over(c, elapsed == 0 ? 1 : elapsed);

    s->mean = blend(s->mean, x, decay.kept, decay.lost);
    s->last_ms += elapsed;
}

static void
ew_update(void *state, const void *config, const struct value *const *inputs,
          const struct agg_moment *moment)
{
    const struct decay_config *c = (const struct decay_config *)config;
    struct ew_state *s = (struct ew_state *)state;
    const uint64_t now_ms = time_of(moment->now_ms);
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (c->is_pane) {
        pane_update((struct ew_pane *)state, c, x, now_ms);
        return;
    }
    if (s->last_ms == NEVER) {
        *s = (struct ew_state){.last_ms = now_ms, .mean = x};
        return;
    }
    const uint64_t elapsed = elapsed_since(s->last_ms, now_ms);
    const struct decay decay = decay_over(c, elapsed == 0 ? 1 : elapsed);
    const double distance = x - s->mean;

    s->variance = decay.kept * (s->variance + decay.lost * distance * distance);
    s->deviation = decay.kept * distance;
    s->mean = blend(s->mean, x, decay.kept, decay.lost);
    s->last_ms += elapsed;
}

/* Only panes are ever merged; a lifetime state has nothing younger beside it but what replaces it.
 */
static void
ewma_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    if (is_pane(config)) {
        pane_merge((struct ew_pane *)into, (const struct ew_pane *)from,
                   (const struct decay_config *)config);
    } else if (((const struct ewma_state *)from)->last_ms != NEVER) {
        *(struct ewma_state *)into = *(const struct ewma_state *)from;
    }
}

static void
ew_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
         struct arena *arena)
{
    if (is_pane(config)) {
        pane_merge((struct ew_pane *)into, (const struct ew_pane *)from,
                   (const struct decay_config *)config);
    } else if (((const struct ew_state *)from)->last_ms != NEVER) {
        *(struct ew_state *)into = *(const struct ew_state *)from;
    }
}

static void
ewma_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    words_encode(out, state, ewma_state_size(config, FIELD_F64));
}

static void
ew_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    words_encode(out, state, ew_state_size(config, FIELD_F64));
}

static enum bv_status
ewma_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    return words_decode(state, ewma_state_size(config, FIELD_F64), consumed, bytes, "ewma", err);
}

static enum bv_status
ew_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
          struct agg_heap *heap, struct bv_error *err)
{
    return words_decode(state, ew_state_size(config, FIELD_F64), consumed, bytes, "ew_moments",
                        err);
}

static const struct agg_accumulator ewma_accumulator = {
    .name = "ewma",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct decay_config),
    .configure = decay_configure,
    .state_size = ewma_state_size,
    .init = ewma_init,
    .update = ewma_update,
    .merge = ewma_merge,
    .encode = ewma_encode,
    .decode = ewma_decode,
};

static const struct agg_accumulator ew_accumulator = {
    .name = "ew_moments",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct decay_config),
    .configure = decay_configure,
    .state_size = ew_state_size,
    .init = ew_init,
    .update = ew_update,
    .merge = ew_merge,
    .encode = ew_encode,
    .decode = ew_decode,
};

/* ---- decayed_sum and decayed_count ---- */

/* Linear, so two states need only stand at the same time to be added. */
struct decayed_state {
    uint64_t last_ms;
    double total; /* as of last_ms */
};

static uint32_t
decayed_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct decayed_state);
}

static void
decayed_init(void *state, const void *config)
{
    *(struct decayed_state *)state = (struct decayed_state){.last_ms = NEVER};
}

static inline void
decayed_add(struct decayed_state *s, const struct decay_config *config, double x, uint64_t now_ms)
{
    if (s->last_ms == NEVER) {
        *s = (struct decayed_state){now_ms, x};
        return;
    }
    const uint64_t elapsed = elapsed_since(s->last_ms, now_ms);

    s->total = s->total * decay_over(config, elapsed).kept + x;
    s->last_ms += elapsed;
}

static void
decayed_sum_update(void *state, const void *config, const struct value *const *inputs,
                   const struct agg_moment *moment)
{
    double x = 0;

    if (value_number(inputs[0], &x)) {
        decayed_add((struct decayed_state *)state, (const struct decay_config *)config, x,
                    time_of(moment->now_ms));
    }
}

static void
decayed_count_update(void *state, const void *config, const struct value *const *inputs,
                     const struct agg_moment *moment)
{
    decayed_add((struct decayed_state *)state, (const struct decay_config *)config, 1,
                time_of(moment->now_ms));
}

static void
decayed_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
              struct arena *arena)
{
    const struct decayed_state *other = (const struct decayed_state *)from;

    if (other->last_ms != NEVER) {
        decayed_add((struct decayed_state *)into, (const struct decay_config *)config, other->total,
                    other->last_ms);
    }
}

static void
decayed_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    words_encode(out, state, sizeof(struct decayed_state));
}

static enum bv_status
decayed_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    return words_decode(state, sizeof(struct decayed_state), consumed, bytes, "decayed", err);
}

static const struct agg_accumulator decayed_sum_accumulator = {
    .name = "decayed_sum",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct decay_config),
    .configure = decay_configure,
    .state_size = decayed_state_size,
    .init = decayed_init,
    .update = decayed_sum_update,
    .merge = decayed_merge,
    .encode = decayed_encode,
    .decode = decayed_decode,
};

static const struct agg_accumulator decayed_count_accumulator = {
    .name = "decayed_count",
    .input_count = 0,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct decay_config),
    .configure = decay_configure,
    .state_size = decayed_state_size,
    .init = decayed_init,
    .update = decayed_count_update,
    .merge = decayed_merge,
    .encode = decayed_encode,
    .decode = decayed_decode,
};

/* ---- twa ---- */

/* A value counts for as long as it stands. The mean of that time is kept and not its integral,
 * which a large value would overflow. */
struct twa_state {
    uint64_t first_ms;
    uint64_t last_ms;
    double mean;  /* of first_ms to last_ms; undefined while they are equal */
    double value; /* standing since last_ms */
};

static uint32_t
twa_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct twa_state);
}

static void
twa_init(void *state, const void *config)
{
    *(struct twa_state *)state = (struct twa_state){.first_ms = NEVER};
}

/* The mean so far, and another one that follows it until `until_ms`. */
static inline void
twa_extend(struct twa_state *s, double next, uint64_t until_ms)
{
    if (until_ms <= s->last_ms) {
        return;
    }
    if (s->last_ms == s->first_ms) {
        s->mean = next;
    } else {
        const double span = (double)(until_ms - s->first_ms);
        const double young_share = (double)(until_ms - s->last_ms) / span;
        const double old_share = (double)(s->last_ms - s->first_ms) / span;

        s->mean = blend(s->mean, next, old_share, young_share);
    }
    s->last_ms = until_ms;
}

static void
twa_update(void *state, const void *config, const struct value *const *inputs,
           const struct agg_moment *moment)
{
    struct twa_state *s = (struct twa_state *)state;
    const uint64_t now_ms = time_of(moment->now_ms);
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (s->first_ms == NEVER) {
        *s = (struct twa_state){.first_ms = now_ms, .last_ms = now_ms};
    }
    twa_extend(s, s->value, now_ms);
    s->value = x;
}

static void
twa_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
          struct arena *arena)
{
    struct twa_state *s = (struct twa_state *)into;
    const struct twa_state *other = (const struct twa_state *)from;

    if (other->first_ms == NEVER) {
        return;
    }
    if (s->first_ms == NEVER) {
        *s = *other;
        return;
    }
    twa_extend(s, s->value, other->first_ms);
    twa_extend(s, other->mean, other->last_ms);
    s->value = other->value;
}

static void
twa_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    words_encode(out, state, sizeof(struct twa_state));
}

static enum bv_status
twa_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
           struct agg_heap *heap, struct bv_error *err)
{
    return words_decode(state, sizeof(struct twa_state), consumed, bytes, "twa", err);
}

static const struct agg_accumulator twa_accumulator = {
    .name = "twa",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = twa_state_size,
    .init = twa_init,
    .update = twa_update,
    .merge = twa_merge,
    .encode = twa_encode,
    .decode = twa_decode,
};

/* ---- readers ---- */

/* False: nothing has contributed. */
static bool
ew_whole(struct ew_part *out, const struct agg_reading *reading)
{
    const struct ew_state *s = (const struct ew_state *)reading->states[0];

    if (s->last_ms == NEVER) {
        return false;
    }
    if (is_pane(reading->configs[0])) {
        *out = pane_whole((const struct ew_pane *)reading->states[0],
                          (const struct decay_config *)reading->configs[0]);
    } else if (reading->accumulators[0] == &ewma_accumulator) {
        *out = (struct ew_part){.mass = 1, .mean = s->mean};
    } else {
        *out = (struct ew_part){1, s->mean, s->variance, s->deviation};
    }
    return true;
}

static void
ewma_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    struct ew_part whole;

    *out = ew_whole(&whole, reading) ? finite_or_null(whole.mean) : value_null();
}

static void
ewvar_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    struct ew_part whole;

    *out = ew_whole(&whole, reading) ? finite_or_null(whole.spread / whole.mass) : value_null();
}

static void
ew_zscore_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    struct ew_part whole;

    /* A variance that overflowed would make any deviation look small. */
    *out = ew_whole(&whole, reading) && whole.spread > 0 && isfinite(whole.spread)
               ? finite_or_null(whole.deviation / sqrt(whole.spread / whole.mass))
               : value_null();
}

static void
decayed_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct decayed_state *s = (const struct decayed_state *)reading->states[0];
    const struct decay_config *config = (const struct decay_config *)reading->configs[0];

    if (s->last_ms == NEVER) {
        *out = value_null();
        return;
    }
    const uint64_t silence = elapsed_since(s->last_ms, time_of(reading->query_ms));

    *out = finite_or_null(s->total * decay_over(config, silence).kept);
}

static void
twa_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    struct twa_state s = *(const struct twa_state *)reading->states[0];

    if (s.first_ms == NEVER) {
        *out = value_null();
        return;
    }
    twa_extend(&s, s.value, time_of(reading->query_ms));
    *out = finite_or_null(s.last_ms == s.first_ms ? s.value : s.mean);
}

/* ---- the rows ---- */

#define NUMBERS_ONLY                                                                               \
    "Null, missing and everything that is no int or float is skipped; NaN and infinities make "    \
    "the result null."

/* clang-format off */
#define FIELD_PARAM                                                                                \
    {.name = "field", .type = AGG_PARAM_FIELD, .min = 1, .max = 0,                                 \
     .help = "The numeric column. Without it the feature reads its empty value.",                  \
     .refusal = BV_AGG_UNKNOWN_FIELD}
#define HALF_LIFE_PARAM                                                                            \
    {.name = "half_life", .type = AGG_PARAM_DURATION, .is_required = true, .min = 1, .max = 0,     \
     .help = "The time after which an event counts half, a duration like \"5m\".",                 \
     .refusal = BV_INVALID_REGISTRATION}
/* clang-format on */

static const struct agg_param decay_params[] = {FIELD_PARAM, HALF_LIFE_PARAM};
static const struct agg_param count_params[] = {HALF_LIFE_PARAM};
static const struct agg_param twa_params[] = {FIELD_PARAM};

static const struct agg_op decay_ops[] = {
    {.name = "ewma",
     .summary = "Exponentially weighted moving average of a numeric field.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = decay_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&ewma_accumulator, &ew_accumulator}}},
     .use_count = 1,
     .read = ewma_read},
    {.name = "ewvar",
     .summary = "Exponentially weighted variance of a numeric field, 0.0 after one value.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = decay_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&ew_accumulator}}},
     .use_count = 1,
     .read = ewvar_read},
    {.name = "ew_zscore",
     .summary =
         "Distance of the latest value from the exponentially weighted mean, in its standard "
         "deviations; null while the variance is zero.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = decay_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&ew_accumulator}}},
     .use_count = 1,
     .read = ew_zscore_read},
    {.name = "decayed_sum",
     .summary = "Sum of a numeric field in which a value counts half after each half-life, up to "
                "the time of the read.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = decay_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&decayed_sum_accumulator}}},
     .use_count = 1,
     .read = decayed_read},
    {.name = "decayed_count",
     .summary = "Number of events in which an event counts half after each half-life, up to the "
                "time of the read.",
     .nulls = "Every matching event counts, whatever its fields hold.",
     .empty = "null",
     .params = count_params,
     .param_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&decayed_count_accumulator}}},
     .use_count = 1,
     .read = decayed_read},
    {.name = "twa",
     .summary = "Time-weighted average: each value counts for as long as it stands, the latest up "
                "to the time of the read.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = twa_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&twa_accumulator}}},
     .use_count = 1,
     .read = twa_read},
};

static const struct agg_accumulator *const decay_accumulators[] = {
    &ewma_accumulator,          &ew_accumulator,  &decayed_sum_accumulator,
    &decayed_count_accumulator, &twa_accumulator,
};

const struct agg_family family_decay = {
    .ops = decay_ops,
    .op_count = sizeof decay_ops / sizeof decay_ops[0],
    .accumulators = decay_accumulators,
    .accumulator_count = sizeof decay_accumulators / sizeof decay_accumulators[0],
};
