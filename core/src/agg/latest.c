/* SPDX-License-Identifier: Apache-2.0 */
/* The latest number, the latest two, the latest with its time.
 *
 * Enters:  values; what is no number touches nothing.
 * Leaves:  doubles, for readers in the families velocity and deviation.
 * Owner:   the entity's block, or a row of a window.
 *
 * Invariants
 *   (1) What was never set holds the bits of NOTHING, a NaN that no update stores: NaNs are stored
 *       as one and the same. So no state needs a count beside its numbers.
 *   (2) A previous number is there only with a latest one; the time of no number is 0.
 */
#include "agg/latest.h"

#include "agg/codec.h"

#include <math.h>

#define VERSION 1
#define NOTHING UINT64_C(0x7ff80000626c616e)

static double
nothing(void)
{
    const uint64_t bits = NOTHING;
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

bool
latest_is_set(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits != NOTHING;
}

/* Invariant 1. */
static inline double
storable(double x)
{
    return x != x ? (double)NAN : x;
}

/* ---- one number ---- */

static uint32_t
number_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct latest_number);
}

static void
number_init(void *state, const void *config)
{
    *(struct latest_number *)state = (struct latest_number){nothing()};
}

static void
number_update(void *state, const void *config, const struct value *const *inputs,
              const struct agg_moment *moment)
{
    double x = 0;

    if (value_number(inputs[0], &x)) {
        ((struct latest_number *)state)->x = storable(x);
    }
}

static void
number_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
             struct arena *arena)
{
    if (latest_is_set(((const struct latest_number *)from)->x)) {
        *(struct latest_number *)into = *(const struct latest_number *)from;
    }
}

static void
number_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    codec_put_f64(out, ((const struct latest_number *)state)->x);
}

static enum bv_status
number_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const bool is_known = codec_take_u8(&reader) == VERSION;

    ((struct latest_number *)state)->x = codec_take_f64(&reader);
    return codec_finish(&reader, consumed, "latest_number", is_known, err);
}

const struct agg_accumulator latest_number_accumulator = {
    .name = "latest_number",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = number_state_size,
    .init = number_init,
    .update = number_update,
    .merge = number_merge,
    .encode = number_encode,
    .decode = number_decode,
};

/* ---- two numbers ---- */

static uint32_t
pair_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct latest_pair);
}

static void
pair_init(void *state, const void *config)
{
    *(struct latest_pair *)state = (struct latest_pair){nothing(), nothing()};
}

static void
pair_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct latest_pair *s = (struct latest_pair *)state;
    double x = 0;

    if (value_number(inputs[0], &x)) {
        s->previous = s->x;
        s->x = storable(x);
    }
}

/* The latest two of two runs one after the other: the younger run's, or one of each. */
static void
pair_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    struct latest_pair *a = (struct latest_pair *)into;
    const struct latest_pair *b = (const struct latest_pair *)from;

    if (latest_is_set(b->x)) {
        a->previous = latest_is_set(b->previous) ? b->previous : a->x;
        a->x = b->x;
    }
}

static void
pair_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct latest_pair *s = (const struct latest_pair *)state;

    buf_byte(out, VERSION);
    codec_put_f64(out, s->x);
    codec_put_f64(out, s->previous);
}

static enum bv_status
pair_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct latest_pair *s = (struct latest_pair *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->x = codec_take_f64(&reader);
    s->previous = codec_take_f64(&reader);
    return codec_finish(&reader, consumed, "latest_pair",
                        is_known && (latest_is_set(s->x) || !latest_is_set(s->previous)), err);
}

const struct agg_accumulator latest_pair_accumulator = {
    .name = "latest_pair",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = pair_state_size,
    .init = pair_init,
    .update = pair_update,
    .merge = pair_merge,
    .encode = pair_encode,
    .decode = pair_decode,
};

/* ---- a number and its time ---- */

static uint32_t
point_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct latest_point);
}

static void
point_init(void *state, const void *config)
{
    *(struct latest_point *)state = (struct latest_point){.x = nothing()};
}

static void
point_update(void *state, const void *config, const struct value *const *inputs,
             const struct agg_moment *moment)
{
    struct latest_point *s = (struct latest_point *)state;
    double x = 0;

    if (value_number(inputs[0], &x)) {
        s->x = storable(x);
        s->at_ms = moment->now_ms;
    }
}

static void
point_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
            struct arena *arena)
{
    if (latest_is_set(((const struct latest_point *)from)->x)) {
        *(struct latest_point *)into = *(const struct latest_point *)from;
    }
}

static void
point_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct latest_point *s = (const struct latest_point *)state;

    buf_byte(out, VERSION);
    codec_put_f64(out, s->x);
    codec_put_u64(out, s->at_ms);
}

static enum bv_status
point_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
             struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct latest_point *s = (struct latest_point *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->x = codec_take_f64(&reader);
    s->at_ms = codec_take_u64(&reader);
    return codec_finish(&reader, consumed, "latest_point",
                        is_known && (latest_is_set(s->x) || s->at_ms == 0), err);
}

const struct agg_accumulator latest_point_accumulator = {
    .name = "latest_point",
    .input_count = 1,
    .flags = AGG_ORDERED,
    .state_align = 8,
    .state_size = point_state_size,
    .init = point_init,
    .update = point_update,
    .merge = point_merge,
    .encode = point_encode,
    .decode = point_decode,
};
