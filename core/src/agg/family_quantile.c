/* SPDX-License-Identifier: Apache-2.0 */
/* quantile (operators.md 4.6).
 *
 * Enters:  one number per matching event; what is not finite is skipped.
 * Leaves:  the value at q: between the two nearest ranks of the values themselves while they are
 *          256 at most, else of a sketch that keeps each within 1 %.
 * Owner:   the entity's block, or a row of a window; beyond two values, the entity's heap.
 *
 * Invariants
 *   (1) The state does not depend on q: all quantiles of one field, predicate and window share it.
 *   (2) INLINE holds at most 2 values, LIST at most 256 in order of arrival; SKETCH has seen more.
 *   (3) When memory is spent the value is dropped and the state stays as it was.
 *   (4) Folding the panes of a window gives the list, or the sketch, that one stream would have:
 *       a list is the values, a sketch's buckets are counts, and when either changes its form or
 *       its resolution depends on how many there are and not on their order.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/sketch/block.h"
#include "agg/sketch/udd.h"

#include <math.h>

#include "util/assert.h"

#define VERSION     1
#define INLINE_MAX  2
#define LIST_MAX    256
#define LIST_LOG2   8
#define SKETCH_LOG2 3 /* a new sketch: room for 379 buckets */
#define QUANTILE_HELP                                                                              \
    "Which share of the values lies below the result, between 0 and 1 but neither of them."

enum quantile_form { FORM_INLINE, FORM_LIST, FORM_SKETCH };

struct quantile_state {
    union {
        double values[INLINE_MAX];
        uint64_t where; /* of the list or the sketch */
    } as;
    uint32_t count; /* of values; a sketch counts its own */
    uint8_t form;
    uint8_t log2; /* of the list's capacity */
    uint8_t pad[2];
};

static uint32_t
quantile_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct quantile_state);
}

static void
quantile_init(void *state, const void *config)
{
    *(struct quantile_state *)state = (struct quantile_state){0};
}

static uint32_t
list_size(unsigned log2)
{
    return (uint32_t)sizeof(double) << log2;
}

static const double *
list_of(const struct quantile_state *s, const struct agg_heap *heap)
{
    return s->form == FORM_INLINE ? s->as.values : (const double *)block_at(heap, s->as.where);
}

/* ---- growing ---- */

static bool
grow_list(struct quantile_state *s, const struct block_source *source)
{
    const unsigned log2 = s->form == FORM_INLINE ? 2 : s->log2 + 1u;
    uint64_t where = 0;
    double *list = block_take(&where, source, list_size(log2));

    if (list == NULL) {
        return false;
    }
    memcpy(list, list_of(s, source->heap), s->count * sizeof *list);
    if (s->form == FORM_LIST) {
        block_drop(source, s->as.where, list_size(s->log2));
    }
    s->as.where = where;
    s->form = FORM_LIST;
    s->log2 = (uint8_t)log2;
    return true;
}

/* A copy of the sketch, twice as large. */
static bool
grow_sketch(struct quantile_state *s, const struct block_source *source)
{
    const struct udd *old = block_at(source->heap, s->as.where);
    uint64_t where = 0;
    struct udd *sketch = block_take(&where, source, udd_size(old->log2 + 1));

    if (sketch == NULL) {
        return false;
    }
    udd_init(sketch, old->log2 + 1);
    udd_copy(sketch, old);
    block_drop(source, s->as.where, udd_size(old->log2));
    s->as.where = where;
    return true;
}

static bool add_to_sketch(struct quantile_state *s, double v, const struct block_source *source);

/* The list becomes a sketch; nothing has changed when memory is spent on the way. */
static bool
sketch_list(struct quantile_state *s, const struct block_source *source)
{
    struct quantile_state fresh = {.form = FORM_SKETCH};
    struct udd *sketch = block_take(&fresh.as.where, source, udd_size(SKETCH_LOG2));
    const double *list = list_of(s, source->heap);

    if (sketch == NULL) {
        return false;
    }
    udd_init(sketch, SKETCH_LOG2);
    for (uint32_t i = 0; i < s->count; i++) {
        if (!add_to_sketch(&fresh, list[i], source)) {
            sketch = block_at(source->heap, fresh.as.where);
            block_drop(source, fresh.as.where, udd_size(sketch->log2));
            return false;
        }
    }
    if (s->form == FORM_LIST) {
        block_drop(source, s->as.where, list_size(s->log2));
    }
    *s = fresh;
    return true;
}

static bool
add_to_sketch(struct quantile_state *s, double v, const struct block_source *source)
{
    while (!udd_add(block_at(source->heap, s->as.where), v)) {
        if (!grow_sketch(s, source)) {
            return false;
        }
    }
    return true;
}

/* ---- updates ---- */

__attribute__((noinline)) static void
add(struct quantile_state *s, double v, const struct block_source *source)
{
    if (s->form != FORM_SKETCH && s->count == LIST_MAX && !sketch_list(s, source)) {
        return;
    }
    if (s->form == FORM_SKETCH) {
        (void)add_to_sketch(s, v, source);
        return;
    }
    if (s->count == (s->form == FORM_INLINE ? INLINE_MAX : 1u << s->log2) &&
        !grow_list(s, source)) {
        return;
    }

    double *list =
        s->form == FORM_INLINE ? s->as.values : (double *)block_at(source->heap, s->as.where);

    list[s->count++] = v;
}

static void
quantile_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct quantile_state *s = (struct quantile_state *)state;
    double v = 0;

    if (!value_number(inputs[0], &v) || !isfinite(v)) {
        return;
    }
    v += 0.0; /* -0.0 is 0.0 */
    if (s->form == FORM_SKETCH && udd_add(agg_heap_at(moment->heap, (uint32_t)s->as.where), v)) {
        return;
    }
    add(s, v, &(struct block_source){.heap = moment->heap});
}

/* ---- folding ---- */

static bool
is_borrowed(const struct quantile_state *s)
{
    return s->form != FORM_INLINE && (s->as.where & BLOCK_IN_ARENA) == 0;
}

/* A list or sketch of the arena with the same content. */
static bool
own(struct quantile_state *s, const struct block_source *source)
{
    const void *from = NULL;
    uint32_t size = 0;
    void *copy = NULL;

    if (!is_borrowed(s)) {
        return true;
    }
    from = block_at(source->heap, s->as.where);
    size = s->form == FORM_LIST ? list_size(s->log2) : udd_size(((const struct udd *)from)->log2);
    copy = block_take(&s->as.where, source, size);
    if (copy == NULL) {
        *s = (struct quantile_state){0};
        return false;
    }
    memcpy(copy, from, s->form == FORM_LIST ? s->count * sizeof(double) : size);
    return true;
}

static bool
merge_bucket(struct quantile_state *s, const struct udd *from, uint64_t slot,
             const struct block_source *source)
{
    struct udd *into = block_at(source->heap, s->as.where);
    uint32_t bucket = (uint32_t)(slot >> UDD_COUNT_BITS);

    /* Each bucket may have made it coarser than `from` still is. */
    for (;;) {
        const uint32_t steps = into->level - from->level;
        const uint32_t joined = bucket >= UDD_MIDDLE
                                    ? UDD_MIDDLE + ((bucket - UDD_MIDDLE) >> steps)
                                    : UDD_MIDDLE - 1 - ((UDD_MIDDLE - 1 - bucket) >> steps);

        if (udd_put(into, joined, slot & UDD_COUNT_MAX)) {
            return true;
        }
        if (!grow_sketch(s, source)) {
            return false;
        }
        into = block_at(source->heap, s->as.where);
    }
}

static void
merge_sketch(struct quantile_state *s, const struct udd *from, const struct block_source *source)
{
    struct udd *into = NULL;

    if (s->form != FORM_SKETCH && !sketch_list(s, source)) {
        return;
    }
    udd_coarsen(block_at(source->heap, s->as.where), from->level);
    for (uint32_t i = 0; i < from->capacity; i++) {
        if (from->slots[i] != 0 && !merge_bucket(s, from, from->slots[i], source)) {
            return;
        }
    }
    into = block_at(source->heap, s->as.where);
    into->n += from->n;
    into->zeros += from->zeros;
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
}

static void
quantile_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
               struct arena *arena)
{
    struct quantile_state *s = (struct quantile_state *)into;
    const struct quantile_state *other = (const struct quantile_state *)from;
    /* Blocks come from the arena: the heap is only looked at. */
    struct agg_heap seen = *heap;
    const struct block_source source = {&seen, arena};

    if (other->form == FORM_INLINE && other->count == 0) {
        return;
    }
    if (s->form == FORM_INLINE && s->count == 0) {
        *s = *other;
        return;
    }
    if (!own(s, &source)) {
        return;
    }
    if (other->form == FORM_SKETCH) {
        merge_sketch(s, block_at(heap, other->as.where), &source);
        return;
    }

    const double *list = list_of(other, heap);

    for (uint32_t i = 0; i < other->count; i++) {
        add(s, list[i], &source);
    }
}

/* ---- reading ---- */

/* The k-th smallest of n values, which are moved about so that those before it are not larger and
 * those after it not smaller (Hoare's selection; n is at most 256). */
static double
select_rank(double *v, uint32_t n, uint32_t k)
{
    uint32_t low = 0;
    uint32_t high = n - 1;

    while (low < high) {
        const double pivot = v[low + (high - low) / 2];
        uint32_t i = low;
        uint32_t j = high;

        for (;;) {
            while (v[i] < pivot) {
                i++;
            }
            while (v[j] > pivot) {
                j--;
            }
            if (i >= j) {
                break;
            }
            const double held = v[i];

            v[i++] = v[j];
            v[j--] = held;
        }
        /* v[low..j] <= pivot <= v[j+1..high] */
        if (k <= j) {
            high = j;
        } else {
            low = j + 1;
        }
    }
    return v[k];
}

static double
list_quantile(const double *values, uint32_t count, double q)
{
    double sorted[LIST_MAX];
    const double position = q * (count - 1);
    const uint32_t rank = (uint32_t)position;
    const double part = position - rank;
    double low = 0;
    double high = 0;

    memcpy(sorted, values, count * sizeof *sorted);
    low = select_rank(sorted, count, rank);
    if (part == 0) {
        return low;
    }
    high = sorted[rank + 1];
    for (uint32_t i = rank + 2; i < count; i++) {
        high = sorted[i] < high ? sorted[i] : high;
    }
    /* Opposite signs could overflow in the difference. */
    return low < 0 && high > 0 ? low * (1 - part) + high * part : low + (high - low) * part;
}

static double
q_of(const struct value *params)
{
    const struct value *v = params == NULL ? NULL : value_find(params, "q");
    double q = 0.5;

    return v != NULL && value_number(v, &q) && q >= 0 && q <= 1 ? q : 0.5;
}

static void
quantile_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct quantile_state *s = (const struct quantile_state *)reading->states[0];
    const double q = q_of(reading->params);

    if (s->form == FORM_SKETCH) {
        *out = value_f64(udd_quantile(block_at(reading->heap, s->as.where), q));
    } else {
        *out = s->count == 0 ? value_null()
                             : value_f64(list_quantile(list_of(s, reading->heap), s->count, q));
    }
}

/* ---- snapshots ---- */

/* Ascending, in place, without recursion: a heap sort. */
static void
sort_words(uint8_t *bytes, uint32_t count)
{
    for (uint32_t end = count, start = count / 2; end > 1;) {
        uint64_t moved;
        uint32_t hole;

        if (start > 0) {
            start--;
            moved = load_le64(bytes + start * 8);
        } else {
            end--;
            moved = load_le64(bytes + end * 8);
            store_le64(bytes + end * 8, load_le64(bytes));
        }
        hole = start;
        for (uint32_t child = hole * 2 + 1; child < end; child = hole * 2 + 1) {
            child += child + 1 < end &&
                     load_le64(bytes + child * 8) < load_le64(bytes + (child + 1) * 8);
            if (load_le64(bytes + child * 8) <= moved) {
                break;
            }
            store_le64(bytes + hole * 8, load_le64(bytes + child * 8));
            hole = child;
        }
        store_le64(bytes + hole * 8, moved);
    }
}

static void
encode_sketch(struct buf *out, const struct udd *sketch)
{
    size_t start = 0;

    codec_put_u64(out, sketch->level);
    codec_put_u64(out, sketch->n);
    codec_put_u64(out, sketch->zeros);
    codec_put_f64(out, sketch->min);
    codec_put_f64(out, sketch->max);
    codec_put_u64(out, sketch->used);
    start = out->size;
    for (uint32_t i = 0; i < sketch->capacity; i++) {
        if (sketch->slots[i] != 0) {
            codec_put_u64(out, sketch->slots[i]);
        }
    }
    if (!out->failed) {
        sort_words(out->data + start, sketch->used);
    }
}

static void
quantile_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct quantile_state *s = (const struct quantile_state *)state;
    const double *list = NULL;

    buf_byte(out, VERSION);
    buf_byte(out, s->form == FORM_SKETCH);
    if (s->form == FORM_SKETCH) {
        encode_sketch(out, block_at(heap, s->as.where));
        return;
    }
    list = list_of(s, heap);
    codec_put_u64(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        codec_put_f64(out, list[i]);
    }
}

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "state of quantile");
}

static enum bv_status
decode_list(struct quantile_state *s, struct codec_reader *reader, bool *is_sound,
            const struct block_source *source, struct bv_error *err)
{
    const uint64_t count = codec_take_u64(reader);

    *is_sound = *is_sound && count <= LIST_MAX;
    for (uint64_t i = 0; i < count && *is_sound && !reader->is_short; i++) {
        const double v = codec_take_f64(reader);

        *is_sound = reader->is_short || (isfinite(v) && !(v == 0 && signbit(v)));
        if (*is_sound && !reader->is_short) {
            add(s, v, source);
            if (s->count != i + 1) {
                return no_memory(err);
            }
        }
    }
    return BV_OK;
}

/* What no encoder writes: buckets out of order or range, counts that do not make up the total. */
static bool
is_sound_sketch(struct slice slots, const struct udd *head)
{
    const uint64_t last = UDD_MIDDLE + 73535;
    uint64_t total = head->zeros;
    uint64_t before = 0;

    for (size_t i = 0; i < slots.size / 8; i++) {
        const uint64_t slot = load_le64(slots.data + i * 8);
        const uint64_t bucket = slot >> UDD_COUNT_BITS;

        if ((slot & UDD_COUNT_MAX) == 0 || (i != 0 && bucket <= before) || bucket > last ||
            bucket < UDD_MIDDLE * 2 - 1 - last) {
            return false;
        }
        before = bucket;
        total += slot & UDD_COUNT_MAX;
    }
    return head->level <= 16 && head->zeros <= head->n && total <= head->n && head->n > LIST_MAX &&
           isfinite(head->min) && isfinite(head->max) && head->min <= head->max;
}

static enum bv_status
decode_sketch(struct quantile_state *s, struct codec_reader *reader, bool *is_sound,
              const struct block_source *source, struct bv_error *err)
{
    struct udd head = {.level = 0};
    const uint64_t level = codec_take_u64(reader);
    unsigned log2 = SKETCH_LOG2;
    struct udd *sketch = NULL;

    head.n = codec_take_u64(reader);
    head.zeros = codec_take_u64(reader);
    head.min = codec_take_f64(reader);
    head.max = codec_take_f64(reader);

    const uint64_t used = codec_take_u64(reader);
    const struct slice slots =
        slice_of(used <= UDD_BUCKETS_MAX ? codec_take(reader, used * 8) : NULL, used * 8);

    head.level = level <= 16 ? (uint32_t)level : 17;
    *is_sound =
        *is_sound && used <= UDD_BUCKETS_MAX && !reader->is_short && is_sound_sketch(slots, &head);
    if (!*is_sound) {
        return BV_OK;
    }
    while (log2 < UDD_LOG2_MAX && used * 4 > (udd_size(log2) / 8 - UDD_HEADER_SLOTS) * 3) {
        log2++;
    }
    sketch = block_take(&s->as.where, source, udd_size(log2));
    if (sketch == NULL) {
        return no_memory(err);
    }
    udd_init(sketch, log2);
    s->form = FORM_SKETCH;
    sketch->level = head.level;
    sketch->n = head.n;
    sketch->zeros = head.zeros;
    sketch->min = head.min;
    sketch->max = head.max;
    for (uint64_t i = 0; i < used; i++) {
        const uint64_t slot = load_le64(slots.data + i * 8);
        const bool is_placed =
            udd_put(sketch, (uint32_t)(slot >> UDD_COUNT_BITS), slot & UDD_COUNT_MAX);

        BV_ASSERT(is_placed);
    }
    return BV_OK;
}

static void
quantile_release(void *state, const void *config, struct agg_heap *heap)
{
    const struct quantile_state *s = (const struct quantile_state *)state;

    if (s->form == FORM_LIST) {
        heap->release(heap, (uint32_t)s->as.where, list_size(s->log2));
    } else if (s->form == FORM_SKETCH) {
        const struct udd *sketch = block_at(heap, s->as.where);

        heap->release(heap, (uint32_t)s->as.where, udd_size(sketch->log2));
    }
}

static enum bv_status
quantile_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const struct block_source source = {.heap = heap};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    const uint8_t form = codec_take_u8(&reader);
    enum bv_status status = BV_OK;

    quantile_init(state, config);
    is_sound = is_sound && form <= 1;
    if (is_sound) {
        status = (form == 1 ? decode_sketch : decode_list)((struct quantile_state *)state, &reader,
                                                           &is_sound, &source, err);
    }
    status = status == BV_OK ? codec_finish(&reader, consumed, "quantile", is_sound, err) : status;
    if (status != BV_OK) {
        quantile_release(state, config, heap);
    }
    return status;
}

static const struct agg_accumulator quantile_accumulator = {
    .name = "quantile",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_APPROXIMATE,
    .state_align = 8,
    .state_size = quantile_state_size,
    .init = quantile_init,
    .update = quantile_update,
    .merge = quantile_merge,
    .encode = quantile_encode,
    .decode = quantile_decode,
    .release = quantile_release,
};

/* ---- the rows ---- */

static const struct agg_param quantile_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The numeric column. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "q",
     .type = AGG_PARAM_FLOAT,
     .min = 0x1p-1074,
     .max = 1 - 0x1p-53,
     .fallback = "0.5",
     .help = QUANTILE_HELP,
     .refusal = BV_INVALID_PERCENTILE_Q},
};

static const struct agg_op quantile_ops[] = {
    {.name = "quantile",
     .summary = "The value below which a share q of the values lies, interpolated between ranks.",
     .nulls = "Null, missing, NaN, infinities and everything that is no int or float is skipped.",
     .empty = "null",
     .error_bound = "exact up to 256 values; beyond, within 1 % of the value at that rank while "
                    "the values take no more than 2048 buckets (17 decades, or any outliers)",
     .params = quantile_params,
     .param_count = sizeof quantile_params / sizeof quantile_params[0],
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&quantile_accumulator}}},
     .use_count = 1,
     .read = quantile_read},
};

static const struct agg_accumulator *const quantile_accumulators[] = {&quantile_accumulator};

const struct agg_family family_quantile = {
    .ops = quantile_ops,
    .op_count = sizeof quantile_ops / sizeof quantile_ops[0],
    .accumulators = quantile_accumulators,
    .accumulator_count = 1,
};
