/* SPDX-License-Identifier: Apache-2.0 */
/* rate_of_change, inter_arrival_stats, burst_count, delta_from_prev, value_change_count
 * (operators.md 4.9 with W1 and W7).
 *
 * Enters:  one number per matching event (any value for value_change_count, none for
 *          inter_arrival_stats and burst_count), and its time.
 * Leaves:  a float or a count; null where nothing has contributed to a float.
 * Owner:   the entity's block, or a row of a window; long texts lie in its heap.
 *
 * Invariants
 *   (1) What an operator does not read touches nothing. Numbers that are not finite enter; a result
 *       that is not finite reads null, and is gone with the next pair of finite numbers.
 *   (2) Times never go back (W11): the latest is the largest.
 *   (3) When memory is spent, the value that is stored stays and the event leaves no trace.
 *
 * All of these look at neighbours. A pane therefore keeps, beside what happened inside of it, what
 * stands at its borders: joining two panes adds the one pair (or sub-window) that spans them.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/latest.h"
#include "agg/params.h"
#include "agg/sketch/identity.h"
#include "agg/stored_value.h"

#include <math.h>

#define VERSION 1

static struct value
finite_or_null(double v)
{
    return isfinite(v) ? value_f64(v) : value_null();
}

static struct value
counter_value(uint64_t n)
{
    return value_i64(n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

/* ---- rate ---- */

/* A run without a rate has all its events in one millisecond. The first of them may still form a
 * pair with what came before the run, later ones cannot; and once there is a rate, the first does
 * not matter any more. So both share a slot. */
struct rate_state {
    double last;
    double rate; /* per ms; while !has_rate, the first value */
    uint64_t last_ms : 62;
    uint64_t has_value : 1;
    uint64_t has_rate : 1;
};

#define TIME_MASK (UINT64_MAX >> 2)

static uint32_t
rate_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct rate_state);
}

static void
rate_init(void *state, const void *config)
{
    *(struct rate_state *)state = (struct rate_state){0};
}

/* x at now_ms follows what s has seen, which is not nothing. */
static inline void
rate_follow(struct rate_state *s, double x, uint64_t now_ms)
{
    if (now_ms > s->last_ms) {
        s->rate = (x - s->last) / (double)(int64_t)(now_ms - s->last_ms);
        s->last_ms = now_ms & TIME_MASK;
        s->has_rate = 1;
    }
    s->last = x;
}

static void
rate_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct rate_state *s = (struct rate_state *)state;
    const uint64_t now_ms = moment->now_ms & TIME_MASK;
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if (s->has_value) {
        rate_follow(s, x, now_ms);
        return;
    }
    *s = (struct rate_state){.last = x, .rate = x, .last_ms = now_ms, .has_value = 1};
}

static void
rate_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    struct rate_state *a = (struct rate_state *)into;
    const struct rate_state *b = (const struct rate_state *)from;

    if (!b->has_value) {
        return;
    }
    if (!a->has_value || b->has_rate) {
        *a = *b;
        return;
    }
    rate_follow(a, b->rate, b->last_ms); /* the first of b */
    a->last = b->last;
}

static void
rate_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct rate_state *s = (const struct rate_state *)state;

    buf_byte(out, VERSION);
    buf_byte(out, (uint8_t)(s->has_value + s->has_rate));
    codec_put_f64(out, s->last);
    codec_put_f64(out, s->rate);
    codec_put_u64(out, s->last_ms);
}

static enum bv_status
rate_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const bool is_known = codec_take_u8(&reader) == VERSION;
    const uint8_t level = codec_take_u8(&reader);
    const double last = codec_take_f64(&reader);
    const double rate = codec_take_f64(&reader);
    const uint64_t last_ms = codec_take_u64(&reader);

    *(struct rate_state *)state = (struct rate_state){.last = last,
                                                      .rate = rate,
                                                      .last_ms = last_ms & TIME_MASK,
                                                      .has_value = level > 0,
                                                      .has_rate = level > 1};
    return codec_finish(&reader, consumed, "rate", is_known && level <= 2 && last_ms <= TIME_MASK,
                        err);
}

static const struct agg_accumulator rate_accumulator = {
    .name = "rate",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = rate_state_size,
    .init = rate_init,
    .update = rate_update,
    .merge = rate_merge,
    .encode = rate_encode,
    .decode = rate_decode,
};

/* ---- arrivals ---- */

/* The gaps add up to the time between the first and the latest: nothing is rounded. */
struct arrivals_state {
    uint64_t n;
    uint64_t first_ms;
    uint64_t last_ms;
};

static uint32_t
arrivals_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct arrivals_state);
}

static void
arrivals_init(void *state, const void *config)
{
    *(struct arrivals_state *)state = (struct arrivals_state){0};
}

static void
arrivals_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct arrivals_state *s = (struct arrivals_state *)state;

    if (s->n++ == 0) {
        s->first_ms = moment->now_ms;
    }
    s->last_ms = moment->now_ms > s->last_ms ? moment->now_ms : s->last_ms;
}

static void
arrivals_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
               struct arena *arena)
{
    struct arrivals_state *a = (struct arrivals_state *)into;
    const struct arrivals_state *b = (const struct arrivals_state *)from;

    if (b->n == 0) {
        return;
    }
    a->first_ms = a->n == 0 ? b->first_ms : a->first_ms;
    a->last_ms = b->last_ms;
    a->n += b->n;
}

static void
arrivals_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct arrivals_state *s = (const struct arrivals_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->n);
    codec_put_u64(out, s->first_ms);
    codec_put_u64(out, s->last_ms);
}

static enum bv_status
arrivals_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct arrivals_state *s = (struct arrivals_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->n = codec_take_u64(&reader);
    s->first_ms = codec_take_u64(&reader);
    s->last_ms = codec_take_u64(&reader);
    return codec_finish(&reader, consumed, "arrivals", is_known && s->first_ms <= s->last_ms, err);
}

static const struct agg_accumulator arrivals_accumulator = {
    .name = "arrivals",
    .input_count = 0,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = arrivals_state_size,
    .init = arrivals_init,
    .update = arrivals_update,
    .merge = arrivals_merge,
    .encode = arrivals_encode,
    .decode = arrivals_decode,
};

/* ---- bursts ---- */

/* Tumbling sub-windows. Time never goes back, so of all but the current one only the largest count
 * is worth keeping; in a pane the first one too, which may have begun in the pane before. */
struct burst_run {
    uint64_t start_ms;
    uint64_t n; /* 0: there is none */
};

struct bursts_state {
    struct burst_run current;
    uint64_t best;
};

struct bursts_pane {
    struct bursts_state state; /* first */
    struct burst_run first;    /* n = 0: it is still the current one */
};

struct bursts_config {
    uint64_t sub_ms;
    uint64_t is_pane;
};

static enum bv_status
bursts_configure(void *config, const struct value *params, struct bv_error *err)
{
    struct bursts_config *c = (struct bursts_config *)config;
    const struct value *sub = params_find(params, "sub_window");
    bool is_forever = false;

    if (sub == NULL || sub->kind != VALUE_STR ||
        !number_parse_duration(&c->sub_ms, &is_forever, value_slice(sub)) || is_forever) {
        return bv_error_set(err, BV_INVALID_REGISTRATION,
                            "`sub_window` must be a duration like \"10s\"");
    }
    c->is_pane = params_have_window(params);
    return BV_OK;
}

static bool
bursts_in_pane(const void *config)
{
    return ((const struct bursts_config *)config)->is_pane != 0;
}

static uint32_t
bursts_state_size(const void *config, enum field_type input_type)
{
    return bursts_in_pane(config) ? sizeof(struct bursts_pane) : sizeof(struct bursts_state);
}

static void
bursts_init(void *state, const void *config)
{
    memset(state, 0, bursts_state_size(config, FIELD_JSON));
}

/* `run` comes after all that s has seen, or goes on with its current sub-window. */
static inline void
bursts_follow(struct bursts_state *s, bool is_pane, struct burst_run run)
{
    struct bursts_pane *pane = (struct bursts_pane *)(void *)s;

    if (run.start_ms == s->current.start_ms) {
        s->current.n += run.n;
    } else {
        if (is_pane && pane->first.n == 0) {
            pane->first = s->current;
        }
        s->current = run;
    }
    s->best = s->current.n > s->best ? s->current.n : s->best;
}

static void
bursts_update(void *state, const void *config, const struct value *const *inputs,
              const struct agg_moment *moment)
{
    struct bursts_state *s = (struct bursts_state *)state;
    const struct bursts_config *c = (const struct bursts_config *)config;
    const uint64_t now_ms = moment->now_ms;

    /* No division while the sub-window lasts. A time before it stands still (W11). */
    if (s->current.n != 0 &&
        (now_ms < s->current.start_ms || now_ms - s->current.start_ms < c->sub_ms)) {
        s->current.n++;
        s->best = s->current.n > s->best ? s->current.n : s->best;
        return;
    }
    bursts_follow(s, c->is_pane != 0, (struct burst_run){now_ms - now_ms % c->sub_ms, 1});
}

static void
bursts_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
             struct arena *arena)
{
    struct bursts_pane *a = (struct bursts_pane *)into;
    const struct bursts_pane *b = (const struct bursts_pane *)from;

    if (!bursts_in_pane(config) || b->state.current.n == 0) {
        return;
    }
    if (a->state.current.n == 0) {
        *a = *b;
        return;
    }
    bursts_follow(&a->state, true, b->first.n != 0 ? b->first : b->state.current);
    if (b->first.n != 0) {
        bursts_follow(&a->state, true, b->state.current);
    }
    a->state.best = b->state.best > a->state.best ? b->state.best : a->state.best;
}

static void
bursts_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct bursts_pane *s = (const struct bursts_pane *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->state.current.start_ms);
    codec_put_u64(out, s->state.current.n);
    codec_put_u64(out, s->state.best);
    if (bursts_in_pane(config)) {
        codec_put_u64(out, s->first.start_ms);
        codec_put_u64(out, s->first.n);
    }
}

static enum bv_status
bursts_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct bursts_pane *s = (struct bursts_pane *)state;
    bool is_sound = codec_take_u8(&reader) == VERSION;

    s->state.current.start_ms = codec_take_u64(&reader);
    s->state.current.n = codec_take_u64(&reader);
    s->state.best = codec_take_u64(&reader);
    is_sound = is_sound && s->state.current.n <= s->state.best;
    if (bursts_in_pane(config)) {
        s->first.start_ms = codec_take_u64(&reader);
        s->first.n = codec_take_u64(&reader);
        is_sound = is_sound && s->first.n <= s->state.best;
    }
    return codec_finish(&reader, consumed, "bursts", is_sound, err);
}

static const struct agg_accumulator bursts_accumulator = {
    .name = "bursts",
    .input_count = 0,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct bursts_config),
    .configure = bursts_configure,
    .state_size = bursts_state_size,
    .init = bursts_init,
    .update = bursts_update,
    .merge = bursts_merge,
    .encode = bursts_encode,
    .decode = bursts_decode,
};

/* ---- changes ---- */

/* Lists and maps are kept as the hash of their identity, in the form of 8 bytes inline. */
struct changes_state {
    struct stored_value last;
    uint64_t n;
};

struct changes_pane {
    struct changes_state state; /* first */
    struct stored_value first;  /* null while n = 0: it is still the last */
};

struct changes_config {
    uint32_t is_numeric; /* int 1 and float 1.0 are one value (W1) */
    uint32_t is_pane;
};

static enum bv_status
changes_configure(void *config, const struct value *params, struct bv_error *err)
{
    ((struct changes_config *)config)->is_pane = params_have_window(params);
    return BV_OK;
}

static void
changes_configure_types(void *config, const enum field_type *input_types)
{
    ((struct changes_config *)config)->is_numeric =
        input_types[0] == FIELD_I64 || input_types[0] == FIELD_F64;
}

static bool
changes_in_pane(const void *config)
{
    return ((const struct changes_config *)config)->is_pane != 0;
}

static uint32_t
changes_state_size(const void *config, enum field_type input_type)
{
    return changes_in_pane(config) ? sizeof(struct changes_pane) : sizeof(struct changes_state);
}

static void
changes_init(void *state, const void *config)
{
    memset(state, 0, changes_state_size(config, FIELD_JSON));
}

/* Same type and same value; NaN is never the same, not even as itself. */
static inline bool
is_same(const struct value *a, const struct value *b, const struct changes_config *config)
{
    if (a->kind != b->kind) {
        return config->is_numeric && stored_value_compare(a, b) == STORED_EQUAL;
    }
    if (a->kind == VALUE_F64) {
        return a->as.f64 == b->as.f64;
    }
    if (a->kind == VALUE_STR || a->kind == VALUE_BYTES) {
        return slice_equal(value_slice(a), value_slice(b));
    }
    return a->as.bits == b->as.bits;
}

/* What of a value is kept. */
static struct value
changes_key(const struct value *v, uint64_t *hash)
{
    if (v->kind != VALUE_LIST && v->kind != VALUE_MAP) {
        return *v;
    }
    *hash = identity_hash(v, false);
    return (struct value){
        .as.bytes = (const uint8_t *)hash, .length = sizeof *hash, .kind = VALUE_BYTES};
}

static bool
is_changes_key(const struct stored_value *stored)
{
    return stored->kind != VALUE_LIST && stored->kind != VALUE_MAP;
}

static bool
is_scalar(uint8_t kind)
{
    return kind == VALUE_I64 || kind == VALUE_F64 || kind == VALUE_BOOL;
}

static void
changes_update(void *state, const void *config, const struct value *const *inputs,
               const struct agg_moment *moment)
{
    struct changes_pane *s = (struct changes_pane *)state;
    struct stored_value *last = &s->state.last;
    uint64_t hash = 0;

    if (inputs[0]->kind == VALUE_NULL) {
        return;
    }
    /* A scalar after one of its kind takes its place; the first change of a pane goes below. */
    if (last->kind == inputs[0]->kind && is_scalar(last->kind) &&
        (s->state.n != 0 || !changes_in_pane(config))) {
        s->state.n += last->kind == VALUE_F64 ? last->as.f64 != inputs[0]->as.f64
                                              : last->as.bits != inputs[0]->as.bits;
        last->as.bits = inputs[0]->as.bits;
        return;
    }
    const struct value v = changes_key(inputs[0], &hash);

    if (last->kind == VALUE_NULL) {
        stored_value_set(last, &v, moment->heap);
        return;
    }
    const struct value before = stored_value_view(last, moment->heap);

    if (is_same(&v, &before, (const struct changes_config *)config)) {
        return;
    }
    if (changes_in_pane(config) && s->state.n == 0) {
        struct stored_value fresh = {0};

        if (stored_value_set(&fresh, &v, moment->heap)) {
            s->first = *last; /* and owns what it owned */
            *last = fresh;
            s->state.n++;
        }
        return;
    }
    s->state.n += stored_value_set(last, &v, moment->heap);
}

static const struct stored_value *
changes_first(const struct changes_pane *s)
{
    return s->state.n == 0 ? &s->state.last : &s->first;
}

/* The changes of both, and one more where the border lies between different values. Borrows. */
static void
changes_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
              struct arena *arena)
{
    struct changes_pane *a = (struct changes_pane *)into;
    const struct changes_pane *b = (const struct changes_pane *)from;

    if (!changes_in_pane(config) || b->state.last.kind == VALUE_NULL) {
        return;
    }
    if (a->state.last.kind == VALUE_NULL) {
        *a = *b;
        return;
    }
    const struct value before = stored_value_view(&a->state.last, heap);
    const struct value after = stored_value_view(changes_first(b), heap);
    const uint64_t n =
        a->state.n + b->state.n + !is_same(&after, &before, (const struct changes_config *)config);

    if (n != 0) {
        a->first = *changes_first(a);
    }
    /* Of equal values the older is kept, as an update does. */
    a->state.last = n == a->state.n ? a->state.last : b->state.last;
    a->state.n = n;
}

static void
changes_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct changes_pane *s = (const struct changes_pane *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->state.n);
    stored_value_encode(out, &s->state.last, heap);
    if (changes_in_pane(config)) {
        stored_value_encode(out, &s->first, heap);
    }
}

static void
changes_release(void *state, const void *config, struct agg_heap *heap)
{
    struct changes_pane *s = (struct changes_pane *)state;

    stored_value_release(&s->state.last, heap);
    if (changes_in_pane(config)) {
        stored_value_release(&s->first, heap);
    }
}

static enum bv_status
changes_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct changes_pane *s = (struct changes_pane *)state;
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    changes_init(state, config);
    s->state.n = codec_take_u64(&reader);
    if (is_sound) {
        status = stored_value_decode(&s->state.last, &reader, &is_sound, heap, err);
    }
    if (status == BV_OK && is_sound && changes_in_pane(config)) {
        status = stored_value_decode(&s->first, &reader, &is_sound, heap, err);
        is_sound = is_sound && is_changes_key(&s->first) &&
                   (s->first.kind == VALUE_NULL) == (s->state.n == 0);
    }
    if (status == BV_OK) {
        is_sound = is_sound && is_changes_key(&s->state.last);
        is_sound = is_sound && (s->state.n == 0 || s->state.last.kind != VALUE_NULL);
        status = codec_finish(&reader, consumed, "changes", is_sound, err);
    }
    if (status != BV_OK) {
        changes_release(state, config, heap);
    }
    return status;
}

static const struct agg_accumulator changes_accumulator = {
    .name = "changes",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED,
    .state_align = 8,
    .config_size = sizeof(struct changes_config),
    .configure = changes_configure,
    .configure_types = changes_configure_types,
    .state_size = changes_state_size,
    .init = changes_init,
    .update = changes_update,
    .merge = changes_merge,
    .encode = changes_encode,
    .decode = changes_decode,
    .release = changes_release,
};

/* ---- readers ---- */

static void
rate_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct rate_state *s = (const struct rate_state *)reading->states[0];

    *out = s->has_rate ? finite_or_null(s->rate) : value_null();
}

static void
arrivals_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct arrivals_state *s = (const struct arrivals_state *)reading->states[0];

    *out = s->n < 2 ? value_null()
                    : value_f64((double)(s->last_ms - s->first_ms) / (double)(s->n - 1));
}

static void
bursts_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = counter_value(((const struct bursts_state *)reading->states[0])->best);
}

static void
delta_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct latest_pair *s = (const struct latest_pair *)reading->states[0];

    *out = latest_is_set(s->previous) ? finite_or_null(s->x - s->previous) : value_null();
}

static void
changes_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = counter_value(((const struct changes_state *)reading->states[0])->n);
}

/* ---- the rows ---- */

#define NUMBERS_ONLY                                                                               \
    "Null, missing and everything that is no int or float is skipped; while NaN or an infinity "   \
    "is one of the two values the result is null."

static const struct agg_param number_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The numeric column. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_param value_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The column, of any type. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_param burst_params[] = {
    {.name = "sub_window",
     .type = AGG_PARAM_DURATION,
     .is_required = true,
     .min = 1,
     .max = 0,
     .help = "Length of the sub-windows in which events are counted, a duration like \"10s\".",
     .refusal = BV_INVALID_REGISTRATION},
};

static const struct agg_op velocity_ops[] = {
    {.name = "rate_of_change",
     .summary = "Change per millisecond between the latest two values that came at different "
                "times.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&rate_accumulator}}},
     .use_count = 1,
     .read = rate_read},
    {.name = "inter_arrival_stats",
     .summary = "Mean time between consecutive events in milliseconds, null below two events.",
     .nulls = "Every matching event counts, whatever its fields hold.",
     .empty = "null",
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&arrivals_accumulator}}},
     .use_count = 1,
     .read = arrivals_read},
    {.name = "burst_count",
     .summary = "Most events in any one sub-window; sub-windows follow each other, aligned to "
                "the epoch.",
     .nulls = "Every matching event counts, whatever its fields hold.",
     .empty = "0",
     .params = burst_params,
     .param_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&bursts_accumulator}}},
     .use_count = 1,
     .read = bursts_read},
    {.name = "delta_from_prev",
     .summary = "Latest value minus the one before it, always a float.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&latest_pair_accumulator}}},
     .use_count = 1,
     .read = delta_read},
    {.name = "value_change_count",
     .summary = "How often a value differed from the one before it.",
     .nulls = "Null and missing are skipped; int and float compare by value in numeric columns and "
              "differ in others; NaN differs from itself; members of an object have no order.",
     .empty = "0",
     .params = value_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&changes_accumulator}}},
     .use_count = 1,
     .read = changes_read},
};

static const struct agg_accumulator *const velocity_accumulators[] = {
    &rate_accumulator,        &arrivals_accumulator, &bursts_accumulator,
    &latest_pair_accumulator, &changes_accumulator,
};

const struct agg_family family_velocity = {
    .ops = velocity_ops,
    .op_count = sizeof velocity_ops / sizeof velocity_ops[0],
    .accumulators = velocity_accumulators,
    .accumulator_count = sizeof velocity_accumulators / sizeof velocity_accumulators[0],
};
