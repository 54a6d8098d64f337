/* SPDX-License-Identifier: Apache-2.0 */
/* first_n, last_n, lag, most_recent_n, reservoir_sample (operators.md 4.4, 4.7).
 *
 * Enters:  one value of any kind per matching event.
 * Leaves:  some of those values, as they were pushed.
 * Owner:   the entity's block; more than four values, and long texts, lie in its heap (ring.h).
 *
 * Invariants
 *   (1) Null and missing touch nothing.
 *   (2) When memory is spent, the values that are stored stay and the event leaves no trace.
 *
 * last_n and most_recent_n of one n read one ring. lag needs one value more; where a table keeps
 * its ring, last_n and most_recent_n of the same n read that. None of these stands in a window, so
 * there are no merges.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/ring.h"

#define VERSION         1
#define POINT_N_MAX     1024
#define BUFFER_N_MAX    65536
#define SAMPLES_DEFAULT 10

struct buffer_config {
    uint32_t slots;
};

static uint32_t
slots_of(const void *config)
{
    return ((const struct buffer_config *)config)->slots;
}

/* Registration has checked the bounds; what comes from a log is checked again. */
static enum bv_status
take_slots(void *config, const struct value *v, const char *name, struct bv_error *err)
{
    if (v == NULL || v->kind != VALUE_I64 || v->as.i64 < 1 || v->as.i64 > BUFFER_N_MAX) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "`%s` must be an integer in [1, %d]", name,
                            BUFFER_N_MAX);
    }
    *(struct buffer_config *)config = (struct buffer_config){(uint32_t)v->as.i64};
    return BV_OK;
}

static enum bv_status
ring_configure(void *config, const struct value *params, struct bv_error *err)
{
    return take_slots(config, value_find(params, "n"), "n", err);
}

/* The value n before the latest is the oldest of n + 1. Only lag adds this accumulator, whose n is
 * far below the largest ring; for others it is compared with what is there. */
static enum bv_status
lag_configure(void *config, const struct value *params, struct bv_error *err)
{
    const enum bv_status status = take_slots(config, value_find(params, "n"), "n", err);

    if (status == BV_OK && slots_of(config) < BUFFER_N_MAX) {
        ((struct buffer_config *)config)->slots++;
    }
    return status;
}

/* ---- head: the first n values; ring and lag: the last ---- */

static uint32_t
buffer_state_size(const void *config, enum field_type input_type)
{
    return ring_state_size(slots_of(config));
}

static void
buffer_init(void *state, const void *config)
{
    memset(state, 0, ring_state_size(slots_of(config)));
}

static void
head_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct ring *ring = (struct ring *)state;

    if (!ring->is_full && inputs[0]->kind != VALUE_NULL) {
        ring_push(ring, slots_of(config), inputs[0], moment->heap);
    }
}

static void
ring_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    if (inputs[0]->kind != VALUE_NULL) {
        ring_push((struct ring *)state, slots_of(config), inputs[0], moment->heap);
    }
}

static void
buffer_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct ring *ring = (const struct ring *)state;
    const uint32_t slots = slots_of(config);
    uint8_t count[4];

    buf_byte(out, VERSION);
    store_le32(count, ring_count(ring, slots));
    buf_append(out, count, sizeof count);
    ring_encode_values(out, ring, slots, heap);
}

static enum bv_status
buffer_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const uint32_t slots = slots_of(config);
    const bool is_known = codec_take_u8(&reader) == VERSION;
    const uint32_t count = codec_take_u32(&reader);
    bool is_sound = is_known && count <= slots;
    enum bv_status status = BV_OK;

    buffer_init(state, config);
    if (is_sound) {
        status =
            ring_decode_values((struct ring *)state, slots, count, &reader, &is_sound, heap, err);
    }
    if (status == BV_OK) {
        status = codec_finish(&reader, consumed, "buffer", is_sound, err);
    }
    if (status != BV_OK) {
        ring_release((struct ring *)state, slots, RING_VALUES, heap);
    }
    return status;
}

static void
buffer_release(void *state, const void *config, struct agg_heap *heap)
{
    ring_release((struct ring *)state, slots_of(config), RING_VALUES, heap);
}

static const struct agg_accumulator head_accumulator = {
    .name = "head",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct buffer_config),
    .configure = ring_configure,
    .state_size = buffer_state_size,
    .init = buffer_init,
    .update = head_update,
    .encode = buffer_encode,
    .decode = buffer_decode,
    .release = buffer_release,
};

static const struct agg_accumulator ring_accumulator = {
    .name = "ring",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct buffer_config),
    .configure = ring_configure,
    .state_size = buffer_state_size,
    .init = buffer_init,
    .update = ring_update,
    .encode = buffer_encode,
    .decode = buffer_decode,
    .release = buffer_release,
};

static const struct agg_accumulator lag_accumulator = {
    .name = "lag",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct buffer_config),
    .configure = lag_configure,
    .state_size = buffer_state_size,
    .init = buffer_init,
    .update = ring_update,
    .encode = buffer_encode,
    .decode = buffer_decode,
    .release = buffer_release,
};

/* ---- reservoir ---- */

/* Algorithm R (Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985): the k-th value takes
 * a slot with probability slots / k, any slot alike. Then every value seen has the same chance to
 * be in the sample. The ring is filled and never turns.
 *
 * The draw is a function of the record's seed, of table and accumulator (salt), and of k, because
 * one record may hold many events of an entity. Scaling a 64-bit draw by a multiplication prefers a
 * slot by at most k / 2^64, and needs no division. */
struct reservoir_state {
    uint64_t seen; /* values; the sample has min(seen, slots) */
    struct ring sample;
};

#define RESERVOIR_HEAD 8u /* before the ring, of which only a part may exist */

_Static_assert(offsetof(struct reservoir_state, sample) == RESERVOIR_HEAD, "no padding");

static enum bv_status
reservoir_configure(void *config, const struct value *params, struct bv_error *err)
{
    const struct value fallback = value_i64(SAMPLES_DEFAULT);
    const struct value *samples = params == NULL ? NULL : value_find(params, "samples");

    if (samples == NULL) {
        samples = params == NULL ? NULL : value_find(params, "k");
    }
    return take_slots(config, samples == NULL ? &fallback : samples, "samples", err);
}

static uint32_t
reservoir_state_size(const void *config, enum field_type input_type)
{
    return RESERVOIR_HEAD + ring_state_size(slots_of(config));
}

static void
reservoir_init(void *state, const void *config)
{
    memset(state, 0, reservoir_state_size(config, FIELD_JSON));
}

/* The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t
mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* One of 0 .. limit - 1. */
static uint64_t
draw_below(uint64_t limit, uint64_t key, uint64_t ordinal)
{
    const uint64_t z = mix(key + ordinal * 0x9e3779b97f4a7c15u);

    return (uint64_t)((unsigned __int128)z * limit >> 64);
}

static void
reservoir_update(void *state, const void *config, const struct value *const *inputs,
                 const struct agg_moment *moment)
{
    struct reservoir_state *s = (struct reservoir_state *)state;
    const uint32_t slots = slots_of(config);

    if (inputs[0]->kind == VALUE_NULL) {
        return;
    }
    if (!s->sample.is_full) {
        s->seen += ring_push(&s->sample, slots, inputs[0], moment->heap);
        return;
    }
    s->seen++;
    const uint64_t at = draw_below(s->seen, mix(moment->salt + moment->seed), s->seen);

    if (at < slots) {
        /* Without memory for it the value counts as not chosen: a sample must not lose slots. */
        ring_set(ring_cells(&s->sample, slots, moment->heap), (uint32_t)at, false, inputs[0],
                 moment->heap);
    }
}

static void
reservoir_encode(struct buf *out, const void *state, const void *config,
                 const struct agg_heap *heap)
{
    const struct reservoir_state *s = (const struct reservoir_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->seen);
    ring_encode_values(out, &s->sample, slots_of(config), heap);
}

static enum bv_status
reservoir_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                 struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct reservoir_state *s = (struct reservoir_state *)state;
    const uint32_t slots = slots_of(config);
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    reservoir_init(state, config);
    s->seen = codec_take_u64(&reader);
    if (is_sound) {
        status = ring_decode_values(&s->sample, slots, s->seen < slots ? (uint32_t)s->seen : slots,
                                    &reader, &is_sound, heap, err);
    }
    if (status == BV_OK) {
        status = codec_finish(&reader, consumed, "reservoir", is_sound, err);
    }
    if (status != BV_OK) {
        ring_release(&s->sample, slots, RING_VALUES, heap);
    }
    return status;
}

static void
reservoir_release(void *state, const void *config, struct agg_heap *heap)
{
    ring_release(&((struct reservoir_state *)state)->sample, slots_of(config), RING_VALUES, heap);
}

static const struct agg_accumulator reservoir_accumulator = {
    .name = "reservoir",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct buffer_config),
    .configure = reservoir_configure,
    .state_size = reservoir_state_size,
    .init = reservoir_init,
    .update = reservoir_update,
    .encode = reservoir_encode,
    .decode = reservoir_decode,
    .release = reservoir_release,
};

/* ---- readers ---- */

static void
list_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct ring *ring = (const struct ring *)reading->states[0];
    const uint32_t slots = slots_of(reading->configs[0]);
    const uint32_t count = ring_count(ring, slots);
    /* The ring of lag holds one value more than was asked for. */
    const uint32_t skipped = reading->accumulators[0] == &lag_accumulator && count == slots;

    *out = ring_read_list(ring, slots, skipped, count - skipped, reading->heap, arena);
}

static void
lag_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct ring *ring = (const struct ring *)reading->states[0];

    *out = ring->is_full ? ring_read(ring, slots_of(reading->configs[0]), 0, reading->heap, arena)
                         : value_null();
}

static void
reservoir_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct ring *sample = &((const struct reservoir_state *)reading->states[0])->sample;
    const uint32_t slots = slots_of(reading->configs[0]);

    *out = ring_read_list(sample, slots, 0, ring_count(sample, slots), reading->heap, arena);
}

/* ---- the rows ---- */

#define ANY_VALUE "Null and missing are skipped; every other value is kept as it is."

static const struct agg_param point_n_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .is_required = true,
     .min = 1,
     .max = 0,
     .help = "The column, of any type.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "n",
     .type = AGG_PARAM_INT,
     .is_required = true,
     .min = 1,
     .max = POINT_N_MAX,
     .help = "A positive integer, at most 1024: how many values.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_param lag_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .is_required = true,
     .min = 1,
     .max = 0,
     .help = "The column, of any type.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "n",
     .type = AGG_PARAM_INT,
     .is_required = true,
     .min = 1,
     .max = POINT_N_MAX,
     .help = "A positive integer, at most 1024: how many values back; 1 is the one before the "
             "latest.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_param buffer_n_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The column, of any type. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "n",
     .type = AGG_PARAM_INT,
     .is_required = true,
     .min = 1,
     .max = BUFFER_N_MAX,
     .help = "A positive integer, at most 65536: how many values.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

/* No fallback for samples: registration would write it down, and it would win over k. */
static const struct agg_param reservoir_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The column, of any type. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "samples",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = BUFFER_N_MAX,
     .help = "A positive integer, at most 65536: how many values the sample has; 10 where memory "
             "governance lets it be left out.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "k",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = BUFFER_N_MAX,
     .help = "Another name of samples, for servers without memory governance; samples wins.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op buffer_ops[] = {
    {.name = "first_n",
     .summary = "The first n values of a field, oldest first.",
     .nulls = ANY_VALUE,
     .empty = "[]",
     .params = point_n_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&head_accumulator}}},
     .use_count = 1,
     .read = list_read},
    {.name = "last_n",
     .summary = "The latest n values of a field, oldest first.",
     .nulls = ANY_VALUE,
     .empty = "[]",
     .params = point_n_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&ring_accumulator, &lag_accumulator}}},
     .use_count = 1,
     .read = list_read},
    {.name = "lag",
     .summary = "The value n values before the latest one, null before there are n + 1.",
     .nulls = ANY_VALUE,
     .empty = "null",
     .params = lag_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&lag_accumulator}}},
     .use_count = 1,
     .read = lag_read},
    {.name = "most_recent_n",
     .summary = "The latest n values of a field, oldest first; n may be large.",
     .nulls = ANY_VALUE,
     .empty = "[]",
     .params = buffer_n_params,
     .param_count = 2,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&ring_accumulator, &lag_accumulator}}},
     .use_count = 1,
     .read = list_read},
    {.name = "reservoir_sample",
     .summary = "A random sample of all values of a field, each with the same chance.",
     .nulls = ANY_VALUE,
     .empty = "[]",
     .params = reservoir_params,
     .param_count = 3,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&reservoir_accumulator}}},
     .use_count = 1,
     .read = reservoir_read},
};

static const struct agg_accumulator *const buffer_accumulators[] = {
    &head_accumulator,
    &ring_accumulator,
    &lag_accumulator,
    &reservoir_accumulator,
};

const struct agg_family family_buffer = {
    .ops = buffer_ops,
    .op_count = sizeof buffer_ops / sizeof buffer_ops[0],
    .accumulators = buffer_accumulators,
    .accumulator_count = sizeof buffer_accumulators / sizeof buffer_accumulators[0],
};
