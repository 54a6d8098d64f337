/* SPDX-License-Identifier: Apache-2.0 */
/* count, sum, mean, min, max, var, std, ratio (operators.md 4.3).
 *
 * Enters:  one number per matching event (any value for min and max, none for count and ratio).
 * Leaves:  one number, or null where nothing has contributed.
 * Owner:   the entity's block, or a row of a window.
 *
 * Invariants
 *   (1) What is no number touches nothing. NaN and infinities, which an expression can make, are
 *       numbers: they enter, and a result that is not finite reads null until they leave the
 *       window. min and max never take a NaN over a value, nor a value over a NaN (the published
 *       rule).
 *   (2) An update never reads what another accumulator keeps, so any subset may be kept.
 *
 * Sums carry the error of each addition beside the total (W17). Neumaier's test of which operand is
 * larger mispredicts on mixed data; Knuth's TwoSum gives the same error term in six additions
 * without a branch. Variance is in moments.h.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/moments.h"
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

/* ---- count ---- */

struct count_state {
    uint64_t n;
};

static uint32_t
count_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct count_state);
}

static void
count_init(void *state, const void *config)
{
    *(struct count_state *)state = (struct count_state){0};
}

static void
count_update(void *state, const void *config, const struct value *const *inputs,
             const struct agg_moment *moment)
{
    ((struct count_state *)state)->n++;
}

static void
count_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
            struct arena *arena)
{
    ((struct count_state *)into)->n += ((const struct count_state *)from)->n;
}

static void
count_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    codec_put_u64(out, ((const struct count_state *)state)->n);
}

static enum bv_status
count_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
             struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_known = codec_take_u8(&reader) == VERSION;

    *(struct count_state *)state = (struct count_state){codec_take_u64(&reader)};
    return codec_finish(&reader, consumed, "count", is_known, err);
}

static const struct agg_accumulator count_accumulator = {
    .name = "count",
    .input_count = 0,
    .state_align = 8,
    .state_size = count_state_size,
    .init = count_init,
    .update = count_update,
    .merge = count_merge,
    .encode = count_encode,
    .decode = count_decode,
};

/* ---- sums ---- */

struct sums_state {
    double sum;
    double compensation;
    uint64_t n;
};

static uint32_t
sums_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct sums_state);
}

static void
sums_init(void *state, const void *config)
{
    *(struct sums_state *)state = (struct sums_state){0};
}

static inline void
sums_add(struct sums_state *s, double x)
{
    double total = s->sum + x;
    double part = total - s->sum;

    s->compensation += (s->sum - (total - part)) + (x - part);
    s->sum = total;
}

static void
sums_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct sums_state *s = (struct sums_state *)state;
    double x = 0;

    if (value_number(inputs[0], &x)) {
        sums_add(s, x);
        s->n++;
    }
}

static void
sums_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    struct sums_state *s = (struct sums_state *)into;
    const struct sums_state *other = (const struct sums_state *)from;

    sums_add(s, other->sum);
    s->compensation += other->compensation;
    s->n += other->n;
}

static void
sums_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct sums_state *s = (const struct sums_state *)state;

    buf_byte(out, VERSION);
    codec_put_f64(out, s->sum);
    codec_put_f64(out, s->compensation);
    codec_put_u64(out, s->n);
}

static enum bv_status
sums_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct sums_state *s = (struct sums_state *)state;
    bool is_known = codec_take_u8(&reader) == VERSION;

    s->sum = codec_take_f64(&reader);
    s->compensation = codec_take_f64(&reader);
    s->n = codec_take_u64(&reader);
    return codec_finish(&reader, consumed, "sums", is_known, err);
}

static const struct agg_accumulator sums_accumulator = {
    .name = "sums",
    .input_count = 1,
    .state_align = 8,
    .state_size = sums_state_size,
    .init = sums_init,
    .update = sums_update,
    .merge = sums_merge,
    .encode = sums_encode,
    .decode = sums_decode,
};

/* ---- moments ---- */

static uint32_t
moments_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct moments_state);
}

static void
moments_init(void *state, const void *config)
{
    *(struct moments_state *)state = (struct moments_state){0};
}

static void
moments_update(void *state, const void *config, const struct value *const *inputs,
               const struct agg_moment *moment)
{
    double x = 0;

    if (value_number(inputs[0], &x)) {
        moments_add((struct moments_state *)state, x);
    }
}

static void
moments_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
              struct arena *arena)
{
    moments_join((struct moments_state *)into, (const struct moments_state *)from);
}

static void
moments_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    moments_put(out, (const struct moments_state *)state);
}

static enum bv_status
moments_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_known = codec_take_u8(&reader) == VERSION;

    moments_take((struct moments_state *)state, &reader);
    return codec_finish(&reader, consumed, "moments", is_known, err);
}

const struct agg_accumulator moments_accumulator = {
    .name = "moments",
    .input_count = 1,
    .state_align = 8,
    .state_size = moments_state_size,
    .init = moments_init,
    .update = moments_update,
    .merge = moments_merge,
    .encode = moments_encode,
    .decode = moments_decode,
};

/* ---- min and max ---- */

/* One form for every field type. A form of 9 bytes for numeric fields was left out: init and update
 * are not told the type, and a chain can put text into a numeric column (fillna). */
static uint32_t
extreme_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct stored_value);
}

static void
extreme_init(void *state, const void *config)
{
    *(struct stored_value *)state = (struct stored_value){0};
}

static inline void
extreme_update(struct stored_value *stored, const struct value *v, struct agg_heap *heap,
               enum stored_order wanted)
{
    if (stored->kind == VALUE_I64 && v->kind == VALUE_I64) {
        if (wanted == STORED_LESS ? v->as.i64 < stored->as.i64 : v->as.i64 > stored->as.i64) {
            stored->as.i64 = v->as.i64;
        }
        return;
    }
    if (stored->kind == VALUE_F64 && v->kind == VALUE_F64) {
        if (wanted == STORED_LESS ? v->as.f64 < stored->as.f64 : v->as.f64 > stored->as.f64) {
            stored->as.f64 = v->as.f64;
        }
        return;
    }
    if (v->kind == VALUE_NULL) {
        return;
    }
    if (stored->kind != VALUE_NULL) {
        struct value kept = stored_value_view(stored, heap);

        if (stored_value_compare(v, &kept) != wanted) {
            return;
        }
    }
    /* When memory is spent the old extreme stays. */
    stored_value_set(stored, v, heap);
}

/* Borrows: the copied 16 bytes may name memory of `from`. */
static inline void
extreme_merge(struct stored_value *into, const struct stored_value *from,
              const struct agg_heap *heap, enum stored_order wanted)
{
    struct value other = stored_value_view(from, heap);
    struct value kept = stored_value_view(into, heap);

    if (from->kind != VALUE_NULL &&
        (into->kind == VALUE_NULL || stored_value_compare(&other, &kept) == wanted)) {
        *into = *from;
    }
}

static void
min_update(void *state, const void *config, const struct value *const *inputs,
           const struct agg_moment *moment)
{
    extreme_update((struct stored_value *)state, inputs[0], moment->heap, STORED_LESS);
}

static void
min_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
          struct arena *arena)
{
    extreme_merge((struct stored_value *)into, (const struct stored_value *)from, heap,
                  STORED_LESS);
}

static void
max_update(void *state, const void *config, const struct value *const *inputs,
           const struct agg_moment *moment)
{
    extreme_update((struct stored_value *)state, inputs[0], moment->heap, STORED_GREATER);
}

static void
max_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
          struct arena *arena)
{
    extreme_merge((struct stored_value *)into, (const struct stored_value *)from, heap,
                  STORED_GREATER);
}

static void
extreme_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    stored_value_encode(out, (const struct stored_value *)state, heap);
}

static enum bv_status
extreme_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    *(struct stored_value *)state = (struct stored_value){0};
    if (is_sound) {
        status = stored_value_decode((struct stored_value *)state, &reader, &is_sound, heap, err);
    }
    return status == BV_OK ? codec_finish(&reader, consumed, "extreme", is_sound, err) : status;
}

static void
extreme_release(void *state, const void *config, struct agg_heap *heap)
{
    stored_value_release((struct stored_value *)state, heap);
}

static const struct agg_accumulator min_accumulator = {
    .name = "min",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED, /* of equal values the first is kept */
    .state_align = 8,
    .state_size = extreme_state_size,
    .init = extreme_init,
    .update = min_update,
    .merge = min_merge,
    .encode = extreme_encode,
    .decode = extreme_decode,
    .release = extreme_release,
};

static const struct agg_accumulator max_accumulator = {
    .name = "max",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED,
    .state_align = 8,
    .state_size = extreme_state_size,
    .init = extreme_init,
    .update = max_update,
    .merge = max_merge,
    .encode = extreme_encode,
    .decode = extreme_decode,
    .release = extreme_release,
};

/* ---- readers ---- */

static void
count_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = counter_value(((const struct count_state *)reading->states[0])->n);
}

static void
ratio_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    uint64_t matching = ((const struct count_state *)reading->states[0])->n;
    uint64_t total = ((const struct count_state *)reading->states[1])->n;

    *out = total == 0 ? value_null() : value_f64((double)matching / (double)total);
}

static void
sum_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct sums_state *s = (const struct sums_state *)reading->states[0];

    *out = s->n == 0 ? value_null() : finite_or_null(s->sum + s->compensation);
}

static void
mean_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    if (reading->accumulators[0] == &moments_accumulator) {
        const struct moments_state *m = (const struct moments_state *)reading->states[0];

        *out = m->n == 0 ? value_null() : finite_or_null(m->mean);
        return;
    }

    const struct sums_state *s = (const struct sums_state *)reading->states[0];

    *out = s->n == 0 ? value_null() : finite_or_null((s->sum + s->compensation) / (double)s->n);
}

static void
var_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct moments_state *m = (const struct moments_state *)reading->states[0];

    *out = m->n < 2 ? value_null() : finite_or_null(moments_variance(m));
}

static void
std_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    var_read(out, reading, arena);
    if (out->kind == VALUE_F64) {
        out->as.f64 = sqrt(out->as.f64);
    }
}

static void
extreme_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = stored_value_read((const struct stored_value *)reading->states[0], reading->heap, arena);
}

/* ---- the rows ---- */

#define NUMBERS_ONLY                                                                               \
    "Null, missing and everything that is no int or float is skipped; NaN and infinities make "    \
    "the "                                                                                         \
    "result null."
#define ANY_VALUE                                                                                  \
    "Null and missing are skipped; int and float compare by value, strings by byte, false before " \
    "true; other kinds and NaN keep the value that came first."
#define EVERY_ROW "Every matching event counts, whatever its fields hold."

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
     .help = "The column. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op basic_ops[] = {
    {.name = "count",
     .summary = "Number of events.",
     .nulls = EVERY_ROW,
     .empty = "0",
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&count_accumulator}}},
     .use_count = 1,
     .read = count_read},
    {.name = "sum",
     .summary = "Sum of a numeric field, always a float.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&sums_accumulator}}},
     .use_count = 1,
     .read = sum_read},
    {.name = "mean",
     .summary = "Arithmetic mean of a numeric field.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&sums_accumulator, &moments_accumulator}}},
     .use_count = 1,
     .read = mean_read},
    {.name = "min",
     .summary = "Smallest value of a field, as it was pushed.",
     .nulls = ANY_VALUE,
     .empty = "null",
     .params = value_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&min_accumulator}}},
     .use_count = 1,
     .read = extreme_read},
    {.name = "max",
     .summary = "Largest value of a field, as it was pushed.",
     .nulls = ANY_VALUE,
     .empty = "null",
     .params = value_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&max_accumulator}}},
     .use_count = 1,
     .read = extreme_read},
    {.name = "var",
     .summary = "Sample variance (n - 1) of a numeric field, null below two values.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&moments_accumulator}}},
     .use_count = 1,
     .read = var_read},
    {.name = "std",
     .summary = "Sample standard deviation of a numeric field, null below two values.",
     .nulls = NUMBERS_ONLY,
     .empty = "null",
     .params = number_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&moments_accumulator}}},
     .use_count = 1,
     .read = std_read},
    {.name = "ratio",
     .summary = "Share of the events whose where is true; 1.0 without a where.",
     .nulls = "Every event counts below the line, those whose where is true above it.",
     .empty = "null",
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&count_accumulator}}, {AGG_EVERY, {&count_accumulator}}},
     .use_count = 2,
     .read = ratio_read},
};

static const struct agg_accumulator *const basic_accumulators[] = {
    &count_accumulator, &sums_accumulator, &moments_accumulator, &min_accumulator, &max_accumulator,
};

const struct agg_family family_basic = {
    .ops = basic_ops,
    .op_count = sizeof basic_ops / sizeof basic_ops[0],
    .accumulators = basic_accumulators,
    .accumulator_count = sizeof basic_accumulators / sizeof basic_accumulators[0],
};
