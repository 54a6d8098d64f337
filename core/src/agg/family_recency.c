/* SPDX-License-Identifier: Apache-2.0 */
/* first and last (operators.md 4.4).
 *
 * Enters:  one value of any kind per matching event.
 * Leaves:  the value that came first, or latest, as it was pushed.
 * Owner:   the entity's block; long texts lie in its heap.
 *
 * Invariants
 *   (1) Null and missing touch nothing.
 *   (2) When memory is spent, the value that is stored stays.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/stored_value.h"

#define VERSION 1

static uint32_t
point_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct stored_value);
}

static void
point_init(void *state, const void *config)
{
    *(struct stored_value *)state = (struct stored_value){0};
}

static void
first_update(void *state, const void *config, const struct value *const *inputs,
             const struct agg_moment *moment)
{
    struct stored_value *stored = (struct stored_value *)state;

    if (stored->kind == VALUE_NULL && inputs[0]->kind != VALUE_NULL) {
        stored_value_set(stored, inputs[0], moment->heap);
    }
}

static void
first_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
            struct arena *arena)
{
    if (((struct stored_value *)into)->kind == VALUE_NULL) {
        *(struct stored_value *)into = *(const struct stored_value *)from;
    }
}

static void
last_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    if (inputs[0]->kind != VALUE_NULL) {
        stored_value_set((struct stored_value *)state, inputs[0], moment->heap);
    }
}

static void
last_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    if (((const struct stored_value *)from)->kind != VALUE_NULL) {
        *(struct stored_value *)into = *(const struct stored_value *)from;
    }
}

static void
point_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    stored_value_encode(out, (const struct stored_value *)state, heap);
}

static enum bv_status
point_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
             struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    *(struct stored_value *)state = (struct stored_value){0};
    if (is_sound) {
        status = stored_value_decode((struct stored_value *)state, &reader, &is_sound, heap, err);
    }
    return status == BV_OK ? codec_finish(&reader, consumed, "point", is_sound, err) : status;
}

static void
point_release(void *state, const void *config, struct agg_heap *heap)
{
    stored_value_release((struct stored_value *)state, heap);
}

static const struct agg_accumulator first_accumulator = {
    .name = "first",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED,
    .state_align = 8,
    .state_size = point_state_size,
    .init = point_init,
    .update = first_update,
    .merge = first_merge,
    .encode = point_encode,
    .decode = point_decode,
    .release = point_release,
};

static const struct agg_accumulator last_accumulator = {
    .name = "last",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED,
    .state_align = 8,
    .state_size = point_state_size,
    .init = point_init,
    .update = last_update,
    .merge = last_merge,
    .encode = point_encode,
    .decode = point_decode,
    .release = point_release,
};

static void
point_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = stored_value_read((const struct stored_value *)reading->states[0], reading->heap, arena);
}

static const struct agg_param point_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .is_required = true,
     .min = 1,
     .max = 0,
     .help = "The column, of any type.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op recency_ops[] = {
    {.name = "first",
     .summary = "The first value of a field, as it was pushed.",
     .nulls = "Null and missing are skipped; every other value is kept as it is.",
     .empty = "null",
     .params = point_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&first_accumulator}}},
     .use_count = 1,
     .read = point_read},
    {.name = "last",
     .summary = "The latest value of a field, as it was pushed.",
     .nulls = "Null and missing are skipped; every other value is kept as it is.",
     .empty = "null",
     .params = point_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&last_accumulator}}},
     .use_count = 1,
     .read = point_read},
};

static const struct agg_accumulator *const recency_accumulators[] = {&first_accumulator,
                                                                     &last_accumulator};

const struct agg_family family_recency = {
    .ops = recency_ops,
    .op_count = sizeof recency_ops / sizeof recency_ops[0],
    .accumulators = recency_accumulators,
    .accumulator_count = sizeof recency_accumulators / sizeof recency_accumulators[0],
};
