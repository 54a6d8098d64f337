/* SPDX-License-Identifier: Apache-2.0 */
/* trend, trend_residual, outlier_count, z_score (operators.md 4.9 with W7 and W30).
 *
 * Enters:  one number per matching event, and its time.
 * Leaves:  a float, null where it is not defined; outlier_count a count.
 * Owner:   the entity's block, or a row of a window.
 *
 * Invariants
 *   (1) What is no number touches nothing. NaN and infinities enter: from then on results are not
 *       finite and read null, and nothing is an outlier, until they leave the window.
 *   (2) An update never reads what another accumulator keeps, so any subset may be kept.
 *
 * z_score reads the moments of var, std and mean; it adds the latest number. So do trend and
 * trend_residual share one regression.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/latest.h"
#include "agg/moments.h"
#include "agg/params.h"

#include <math.h>

#define VERSION 1

static struct value
finite_or_null(double v)
{
    return isfinite(v) ? value_f64(v) : value_null();
}

/* ---- regression ---- */

/* Least squares through (time, x), by centred sums: Welford's update and the pairwise merge of
 * Chan, Golub and LeVeque, for the spread of time and for its covariance with x (P. Pebay, SANDIA
 * report SAND2008-6212, 2008). Times count from the first one, as integers (W30): slope and
 * residual do not depend on where they count from, and panes are joined by an exact shift. */
struct regression_state {
    uint64_t n;
    uint64_t first_ms;
    double mean_t; /* since first_ms */
    double mean_x;
    double tt; /* sum of squared distances of the times from their mean */
    double tx; /* sum of products of the distances */
};

static uint32_t
regression_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct regression_state);
}

static void
regression_init(void *state, const void *config)
{
    *(struct regression_state *)state = (struct regression_state){0};
}

static double
since(const struct regression_state *s, uint64_t ms)
{
    return ms > s->first_ms ? (double)(ms - s->first_ms) : 0;
}

static void
regression_update(void *state, const void *config, const struct value *const *inputs,
                  const struct agg_moment *moment)
{
    struct regression_state *s = (struct regression_state *)state;
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (s->n == 0) {
        *s = (struct regression_state){.n = 1, .first_ms = moment->now_ms, .mean_x = x};
        return;
    }
    const double share = 1 / (double)++s->n;
    const double t = since(s, moment->now_ms);
    const double from_t = t - s->mean_t;
    const double from_x = x - s->mean_x;

    s->mean_t += from_t * share;
    s->mean_x += from_x * share;
    s->tt += from_t * (t - s->mean_t);
    s->tx += from_x * (t - s->mean_t);
}

static void
regression_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
                 struct arena *arena)
{
    struct regression_state *a = (struct regression_state *)into;
    const struct regression_state *b = (const struct regression_state *)from;

    if (b->n == 0) {
        return;
    }
    if (a->n == 0) {
        *a = *b;
        return;
    }
    const double na = (double)a->n;
    const double nb = (double)b->n;
    const double n = na + nb;
    const double from_t = since(a, b->first_ms) + (b->mean_t - a->mean_t);
    const double from_x = b->mean_x - a->mean_x;

    a->tt += b->tt + from_t * from_t * (na * nb / n);
    a->tx += b->tx + from_t * from_x * (na * nb / n);
    a->mean_t += from_t * (nb / n);
    a->mean_x += from_x * (nb / n);
    a->n += b->n;
}

static void
regression_encode(struct buf *out, const void *state, const void *config,
                  const struct agg_heap *heap)
{
    const struct regression_state *s = (const struct regression_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->n);
    codec_put_u64(out, s->first_ms);
    codec_put_f64(out, s->mean_t);
    codec_put_f64(out, s->mean_x);
    codec_put_f64(out, s->tt);
    codec_put_f64(out, s->tx);
}

static enum bv_status
regression_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                  struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct regression_state *s = (struct regression_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->n = codec_take_u64(&reader);
    s->first_ms = codec_take_u64(&reader);
    s->mean_t = codec_take_f64(&reader);
    s->mean_x = codec_take_f64(&reader);
    s->tt = codec_take_f64(&reader);
    s->tx = codec_take_f64(&reader);
    return codec_finish(&reader, consumed, "regression", is_known, err);
}

static const struct agg_accumulator regression_accumulator = {
    .name = "regression",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = regression_state_size,
    .init = regression_init,
    .update = regression_update,
    .merge = regression_merge,
    .encode = regression_encode,
    .decode = regression_decode,
};

/* ---- outliers ---- */

struct outliers_config {
    double sigma;
    double surely_inside; /* squared distance, in variances; negative: never sure */
    uint64_t is_pane;
};

struct outliers_state {
    struct moments_state moments;
    uint64_t count;
};

/* In a window every event is judged by all panes active when it comes. The older panes cannot
 * change any more: from the second event of a pane on, their fold is kept at hand. It is found
 * again whenever it is missing, with the very same bits, and so it is no part of the encoding. */
struct outliers_pane {
    struct outliers_state state; /* first */
    uint32_t past_ref;           /* 0: none */
    uint32_t pad;
};

struct outliers_past {
    struct moments_state moments;
    uint64_t until_ms; /* then the oldest of its panes leaves */
};

#define SIGMA_DEFAULT 3.0

static enum bv_status
outliers_configure(void *config, const struct value *params, struct bv_error *err)
{
    struct outliers_config *c = (struct outliers_config *)config;
    const struct value *sigma = params_find(params, "sigma");

    c->sigma = SIGMA_DEFAULT;
    if (sigma != NULL && !value_number(sigma, &c->sigma)) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "`sigma` must be a number");
    }
    /* A hundredth less than the limit itself, which leaves rounding far behind. */
    c->surely_inside = c->sigma > 1e-3 && c->sigma < 1e3 ? 0.99 * c->sigma * c->sigma : -1;
    c->is_pane = params_have_window(params);
    return BV_OK;
}

static bool
outliers_in_pane(const void *config)
{
    return ((const struct outliers_config *)config)->is_pane != 0;
}

static uint32_t
outliers_state_size(const void *config, enum field_type input_type)
{
    return outliers_in_pane(config) ? sizeof(struct outliers_pane) : sizeof(struct outliers_state);
}

static void
outliers_init(void *state, const void *config)
{
    memset(state, 0, outliers_state_size(config, FIELD_F64));
}

#define OUTLIERS_N_MIN 5

/* Most events lie well inside, and need neither the division nor the root. What lies near the
 * limit, or where squares might leave the range of a double, is asked as the definition says. */
static inline bool
is_outlier(const struct moments_state *past, const struct outliers_config *c, double x)
{
    const double distance = x - past->mean;

    if (past->n < OUTLIERS_N_MIN) {
        return false;
    }
    if (distance * distance * (double)(past->n - 1) <= c->surely_inside * past->m2 &&
        past->m2 > 1e-250 && past->m2 < 1e250) {
        return false;
    }
    const double variance = moments_variance(past);

    return variance > 0 && fabs(distance) > c->sigma * sqrt(variance);
}

/* The fold of the other panes, kept for the next event if memory allows. */
static struct moments_state
outliers_fold_past(struct outliers_pane *s, const struct agg_moment *moment)
{
    const struct moments_state own = s->state.moments;
    struct outliers_pane folded;

    s->state.moments = (struct moments_state){0};
    moment->view->fold(moment->view, &folded);
    s->state.moments = own;
    if (own.n == 0 || moment->view->stands_until == NULL) {
        return folded.state.moments;
    }
    if (s->past_ref == 0) {
        s->past_ref = moment->heap->alloc(moment->heap, sizeof(struct outliers_past));
    }
    if (s->past_ref != 0) {
        *(struct outliers_past *)agg_heap_at(moment->heap, s->past_ref) =
            (struct outliers_past){folded.state.moments, moment->view->stands_until(moment->view)};
    }
    return folded.state.moments;
}

/* Other panes first, then this one: the order in which a window is read. */
static struct moments_state
outliers_seen(struct outliers_pane *s, const struct agg_moment *moment)
{
    struct moments_state seen;

    if (s->past_ref != 0) {
        const struct outliers_past *past =
            (const struct outliers_past *)agg_heap_at(moment->heap, s->past_ref);

        if (moment->now_ms < past->until_ms) {
            seen = past->moments;
            moments_join(&seen, &s->state.moments);
            return seen;
        }
    }
    seen = outliers_fold_past(s, moment);
    moments_join(&seen, &s->state.moments);
    return seen;
}

static void
outliers_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct outliers_state *s = (struct outliers_state *)state;
    const struct outliers_config *c = (const struct outliers_config *)config;
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (c->is_pane && moment->view != NULL) {
        const struct moments_state seen = outliers_seen((struct outliers_pane *)state, moment);

        s->count += is_outlier(&seen, c, x);
    } else {
        s->count += is_outlier(&s->moments, c, x);
    }
    moments_add(&s->moments, x);
}

static void
outliers_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
               struct arena *arena)
{
    struct outliers_state *a = (struct outliers_state *)into;
    const struct outliers_state *b = (const struct outliers_state *)from;

    moments_join(&a->moments, &b->moments);
    a->count += b->count;
}

static void
outliers_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct outliers_state *s = (const struct outliers_state *)state;

    buf_byte(out, VERSION);
    moments_put(out, &s->moments);
    codec_put_u64(out, s->count);
}

static enum bv_status
outliers_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct outliers_state *s = (struct outliers_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    outliers_init(state, config);
    moments_take(&s->moments, &reader);
    s->count = codec_take_u64(&reader);
    return codec_finish(&reader, consumed, "outliers", is_known, err);
}

static void
outliers_release(void *state, const void *config, struct agg_heap *heap)
{
    if (outliers_in_pane(config) && ((struct outliers_pane *)state)->past_ref != 0) {
        heap->release(heap, ((struct outliers_pane *)state)->past_ref,
                      sizeof(struct outliers_past));
    }
}

static const struct agg_accumulator outliers_accumulator = {
    .name = "outliers",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_SEES_WINDOW,
    .state_align = 8,
    .config_size = sizeof(struct outliers_config),
    .configure = outliers_configure,
    .state_size = outliers_state_size,
    .init = outliers_init,
    .update = outliers_update,
    .merge = outliers_merge,
    .encode = outliers_encode,
    .decode = outliers_decode,
    .release = outliers_release,
};

/* ---- readers ---- */

/* False when all times are one, or there is only one. */
static bool
take_slope(double *slope, const struct regression_state *s)
{
    *slope = s->tx / s->tt;
    return s->n >= 2 && s->tt != 0;
}

static void
trend_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    double slope;

    *out = take_slope(&slope, (const struct regression_state *)reading->states[0])
               ? finite_or_null(slope)
               : value_null();
}

static void
residual_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct regression_state *s = (const struct regression_state *)reading->states[0];
    const struct latest_point *last = (const struct latest_point *)reading->states[1];
    double slope;

    /* The line passes through the means: its intercept, far away, is not needed. */
    *out = take_slope(&slope, s)
               ? finite_or_null((last->x - s->mean_x) - slope * (since(s, last->at_ms) - s->mean_t))
               : value_null();
}

static void
outliers_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const uint64_t n = ((const struct outliers_state *)reading->states[0])->count;

    *out = value_i64(n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static void
z_score_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct moments_state *m = (const struct moments_state *)reading->states[0];
    const struct latest_number *last = (const struct latest_number *)reading->states[1];
    const double variance = m->n < 2 ? 0 : moments_variance(m);

    *out = variance > 0 ? finite_or_null((last->x - m->mean) / sqrt(variance)) : value_null();
}

/* ---- the rows ---- */

#define NUMBERS_ONLY                                                                               \
    "Null, missing and everything that is no int or float is skipped; NaN and infinities make "    \
    "the result null."

#define FIELD_PARAM                                                                                \
    {                                                                                              \
        .name = "field", .type = AGG_PARAM_FIELD, .min = 1, .max = 0,                              \
        .help = "The numeric column. Without it the feature reads its empty value.",               \
        .refusal = BV_AGG_UNKNOWN_FIELD                                                            \
    }

static const struct agg_param number_params[] = {FIELD_PARAM};

static const struct agg_param outlier_params[] = {
    FIELD_PARAM,
    {.name = "sigma",
     .type = AGG_PARAM_FLOAT,
     .min = 1,
     .max = 0,
     .fallback = "3.0",
     .help = "How many standard deviations from the mean make an outlier.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op deviation_ops[] = {
    {.name = "trend",
     .summary = "Least-squares slope of a numeric field over time, per millisecond.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&regression_accumulator}}},
     .use_count = 1,
     .read = trend_read},
    {.name = "trend_residual",
     .summary = "Distance of the latest value from the least-squares line through all values.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&regression_accumulator}},
              {AGG_MATCHING, {&latest_point_accumulator}}},
     .use_count = 2,
     .read = residual_read},
    {.name = "outlier_count",
     .summary = "Values more than sigma standard deviations from the mean of those before them, "
                "from the sixth value on.",
     .nulls = "Null, missing and everything that is no int or float is skipped; an infinity is an "
              "outlier, and after NaN or an infinity nothing is.",
     .empty = "0",
     .params = outlier_params,
     .param_count = 2,
     .input_count = 1,
     .reads_numbers = true,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&outliers_accumulator}}},
     .use_count = 1,
     .read = outliers_read},
    {.name = "z_score",
     .summary = "Standard deviations between the latest value and the mean, the latest included; "
                "null while all values are equal.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .window_alias = "baseline_window",
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&moments_accumulator}},
              {AGG_MATCHING,
               {&latest_number_accumulator, &latest_pair_accumulator, &latest_point_accumulator}}},
     .use_count = 2,
     .read = z_score_read},
};

static const struct agg_accumulator *const deviation_accumulators[] = {
    &regression_accumulator,
    &outliers_accumulator,
    &latest_number_accumulator,
    &latest_point_accumulator,
};

const struct agg_family family_deviation = {
    .ops = deviation_ops,
    .op_count = sizeof deviation_ops / sizeof deviation_ops[0],
    .accumulators = deviation_accumulators,
    .accumulator_count = sizeof deviation_accumulators / sizeof deviation_accumulators[0],
};
