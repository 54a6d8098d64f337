/* SPDX-License-Identifier: Apache-2.0 */
/* entropy (operators.md 4.6).
 *
 * Enters:  one text, number or boolean per matching event.
 * Leaves:  the Shannon entropy of the shares of all categories, in bits.
 * Owner:   the entity's block, or a row of a window; beyond one category, the entity's heap.
 *
 * Invariants
 *   (1) A category is a text: int 1, in decimal, is the same as the string "1"; a float is its
 *       canonical text with '.' or exponent; in a numeric column a whole float is its int (W1).
 *       It is kept as a hash, for nobody asks for the text itself.
 *   (2) At max_categories (W22) new categories are dropped, from the total as well. Folding the
 *       panes of a window adds their counts without a cap.
 *   (3) One category lies inline: `as.hash` and `count` are its own. More are a table.
 *   (4) When memory is spent a new category is dropped and the state stays as it was.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/sketch/block.h"
#include "agg/sketch/hash_table.h"
#include "agg/sketch/identity.h"

#include <math.h>

#include "wire/number.h"

#define VERSION            1
#define WORDS              2
#define CATEGORIES_DEFAULT 1024
#define CATEGORIES_MAX     65536

struct entropy_config {
    uint32_t max_categories;
    uint32_t is_numeric;
};

struct entropy_state {
    union {
        uint64_t hash;  /* of the only category */
        uint64_t where; /* of the table */
    } as;
    uint64_t count; /* of the only category */
    uint32_t categories;
    uint8_t log2; /* of the table, 0: none */
    uint8_t pad[3];
};

static enum bv_status
entropy_configure(void *config, const struct value *params, struct bv_error *err)
{
    const struct value *max = params == NULL ? NULL : value_find(params, "max_categories");

    ((struct entropy_config *)config)->max_categories =
        max != NULL && max->kind == VALUE_I64 && max->as.i64 >= 1 && max->as.i64 <= CATEGORIES_MAX
            ? (uint32_t)max->as.i64
            : CATEGORIES_DEFAULT;
    return BV_OK;
}

static void
entropy_configure_types(void *config, const enum field_type *input_types)
{
    ((struct entropy_config *)config)->is_numeric =
        input_types[0] == FIELD_I64 || input_types[0] == FIELD_F64;
}

static uint32_t
entropy_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct entropy_state);
}

static void
entropy_init(void *state, const void *config)
{
    *(struct entropy_state *)state = (struct entropy_state){0};
}

static uint32_t
table_size(unsigned log2)
{
    return (uint32_t)(hash_table_words(log2, WORDS) * sizeof(uint64_t));
}

/* Room for one more category in a table. */
static bool
grow(struct entropy_state *s, const struct block_source *source)
{
    const unsigned log2 = s->log2 == 0 ? HASH_TABLE_LOG2_MIN : s->log2 + 1u;
    uint64_t where = 0;
    uint64_t *slots = block_take(&where, source, table_size(log2));

    if (slots == NULL) {
        return false;
    }
    memset(slots, 0, table_size(log2));
    if (s->log2 == 0) {
        hash_table_insert(slots, log2, WORDS, s->as.hash, s->count);
    } else {
        hash_table_rehash(slots, log2, block_at(source->heap, s->as.where), s->log2, WORDS);
        block_drop(source, s->as.where, table_size(s->log2));
    }
    s->as.where = where;
    s->count = 0;
    s->log2 = (uint8_t)log2;
    return true;
}

/* Counters stay at their top. */
static inline void
count_up(uint64_t *counter, uint64_t count)
{
    if (__builtin_add_overflow(*counter, count, counter)) {
        *counter = UINT64_MAX;
    }
}

/* Adds to a category, new ones too while there are fewer than `max`. False: memory is spent. */
static bool
add(struct entropy_state *s, uint64_t hash, uint64_t count, uint32_t max, uint64_t *capped,
    const struct block_source *source)
{
    uint64_t *slots = s->log2 == 0 ? NULL : (uint64_t *)block_at(source->heap, s->as.where);

    if (slots != NULL) {
        uint64_t *slot = hash_table_find(slots, s->log2, WORDS, hash);

        if (slot != NULL) {
            count_up(&slot[1], count);
            return true;
        }
    } else if (s->categories == 1 && s->as.hash == hash) {
        count_up(&s->count, count);
        return true;
    }
    if (s->categories >= max) {
        if (capped != NULL) {
            (*capped)++;
        }
        return true;
    }
    if (s->categories == 0) {
        s->as.hash = hash;
        s->count = count;
        s->categories = 1;
        return true;
    }
    if ((slots == NULL || !hash_table_has_room(s->log2, s->categories)) && !grow(s, source)) {
        return false;
    }
    hash_table_insert(block_at(source->heap, s->as.where), s->log2, WORDS, hash, count);
    s->categories++;
    return true;
}

/* The number whose text this is, in a numeric column; the text itself when it is no number's. */
static struct value
number_of_text(const struct value *v)
{
    char text[NUMBER_TEXT_MAX];
    struct value number = value_null();
    size_t size = 0;

    if (number_parse_i64(&number.as.i64, value_slice(v))) {
        number.kind = VALUE_I64;
        size = number_i64(text, number.as.i64);
    } else if (number_parse_f64(&number.as.f64, value_slice(v), true)) {
        number.kind = VALUE_F64;
        size = number_f64(text, number.as.f64);
    }
    /* Only the text that a number would have had: "1e0" and "01" are themselves. */
    return slice_equal(slice_of(text, size), value_slice(v)) ? number : *v;
}

/* A numeric column has ints and floats, and texts only where a chain filled them in: numbers are
 * hashed as they are, which is one to one with their texts and needs none of them. */
static uint64_t
category_of_number(const struct value *v)
{
    struct value category = *v;

    if (v->kind == VALUE_STR) {
        category = number_of_text(v);
        /* A whole float has no text of its own here: it is the int. */
        return identity_hash(
            category.kind == VALUE_F64 && identity_number(category).kind != VALUE_F64 ? v
                                                                                      : &category,
            true);
    }
    if (v->kind == VALUE_F64 && v->as.f64 != v->as.f64) {
        category.as.bits = 0x7ff8000000000000; /* all NaN are the text NaN */
    }
    return identity_hash(&category, true);
}

/* The hash of a value as text; 0 for what is no category. */
static uint64_t
category_of(const struct value *v, bool is_numeric)
{
    char text[NUMBER_TEXT_MAX];
    struct value category = *v;

    switch ((enum value_kind)v->kind) {
    case VALUE_I64:
        category = value_str(slice_of(text, is_numeric ? 0 : number_i64(text, v->as.i64)));
        break;
    case VALUE_F64:
        category = value_str(slice_of(text, is_numeric ? 0 : number_f64(text, v->as.f64)));
        break;
    case VALUE_BOOL:
        category = value_str(slice_text(v->as.bits != 0 ? "true" : "false"));
        return identity_hash(&category, false);
    case VALUE_STR:
        break;
    default:
        return 0;
    }
    return is_numeric ? category_of_number(v) : identity_hash(&category, false);
}

static void
entropy_update(void *state, const void *config, const struct value *const *inputs,
               const struct agg_moment *moment)
{
    const struct entropy_config *c = (const struct entropy_config *)config;
    const uint64_t hash = category_of(inputs[0], c->is_numeric);

    if (hash != 0) {
        (void)add((struct entropy_state *)state, hash, 1, c->max_categories,
                  moment->categories_capped, &(struct block_source){.heap = moment->heap});
    }
}

/* The table moves to the arena before a fold writes to it. */
static bool
own(struct entropy_state *s, const struct block_source *source)
{
    const void *from = NULL;
    void *copy = NULL;

    if (s->log2 == 0 || (s->as.where & BLOCK_IN_ARENA) != 0) {
        return true;
    }
    from = block_at(source->heap, s->as.where);
    copy = block_take(&s->as.where, source, table_size(s->log2));
    if (copy == NULL) {
        *s = (struct entropy_state){0};
        return false;
    }
    memcpy(copy, from, table_size(s->log2));
    return true;
}

static void
entropy_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
              struct arena *arena)
{
    struct entropy_state *s = (struct entropy_state *)into;
    const struct entropy_state *other = (const struct entropy_state *)from;
    struct agg_heap seen = *heap; /* blocks come from the arena */
    const struct block_source source = {&seen, arena};

    if (s->categories == 0 || other->categories == 0) {
        *s = s->categories == 0 ? *other : *s;
        return;
    }
    if (!own(s, &source)) {
        return;
    }
    if (other->log2 == 0) {
        (void)add(s, other->as.hash, other->count, UINT32_MAX, NULL, &source);
        return;
    }

    const uint64_t *slots = block_at(heap, other->as.where);

    for (size_t i = 0; i >> other->log2 == 0; i++) {
        if (slots[i * WORDS] != 0 &&
            !add(s, slots[i * WORDS], slots[i * WORDS + 1], UINT32_MAX, NULL, &source)) {
            return;
        }
    }
}

static void
entropy_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct entropy_state *s = (const struct entropy_state *)reading->states[0];
    const uint64_t *slots = s->log2 == 0 ? NULL : block_at(reading->heap, s->as.where);
    double total = 0;
    double bits = 0;

    for (size_t i = 0; slots != NULL && i >> s->log2 == 0; i++) {
        total += (double)slots[i * WORDS + 1];
    }
    for (size_t i = 0; slots != NULL && i >> s->log2 == 0; i++) {
        if (slots[i * WORDS] != 0) {
            const double share = (double)slots[i * WORDS + 1] / total;

            bits -= share * log2(share);
        }
    }
    *out = value_f64(bits);
}

/* ---- snapshots: u32 categories, then hash and count of each, ascending ---- */

static void
entropy_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct entropy_state *s = (const struct entropy_state *)state;
    uint8_t categories[4];

    buf_byte(out, VERSION);
    store_le32(categories, s->categories);
    buf_append(out, categories, sizeof categories);
    if (s->log2 == 0) {
        if (s->categories == 1) {
            codec_put_u64(out, s->as.hash);
            codec_put_u64(out, s->count);
        }
        return;
    }

    const uint64_t *slots = block_at(heap, s->as.where);
    const size_t start = hash_table_start(slots, s->log2, WORDS);

    for (size_t i = 0; i >> s->log2 == 0; i++) {
        const uint64_t *slot = hash_table_at(slots, s->log2, WORDS, start, i);

        if (slot != NULL) {
            codec_put_u64(out, slot[0]);
            codec_put_u64(out, slot[1]);
        }
    }
}

static void
entropy_release(void *state, const void *config, struct agg_heap *heap)
{
    const struct entropy_state *s = (const struct entropy_state *)state;

    if (s->log2 != 0) {
        heap->release(heap, (uint32_t)s->as.where, table_size(s->log2));
    }
}

static enum bv_status
entropy_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    const struct entropy_config *c = (const struct entropy_config *)config;
    const struct block_source source = {.heap = heap};
    struct entropy_state *s = (struct entropy_state *)state;
    struct codec_reader reader = {.bytes = bytes};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    const uint32_t categories = codec_take_u32(&reader);
    uint64_t before = 0;
    enum bv_status status = BV_OK;

    entropy_init(state, config);
    is_sound = is_sound && categories <= c->max_categories;
    for (uint32_t i = 0; i < categories && is_sound; i++) {
        const uint64_t hash = codec_take_u64(&reader);
        const uint64_t count = codec_take_u64(&reader);

        if (reader.is_short) {
            break;
        }
        is_sound = hash > before && count != 0;
        before = hash;
        if (is_sound && !add(s, hash, count, UINT32_MAX, NULL, &source)) {
            status = bv_error_set(err, BV_NO_MEMORY, "state of entropy");
            goto done;
        }
    }
    status = codec_finish(&reader, consumed, "entropy", is_sound, err);
done:
    if (status != BV_OK) {
        entropy_release(state, config, heap);
    }
    return status;
}

static const struct agg_accumulator entropy_accumulator = {
    .name = "entropy",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct entropy_config),
    .configure = entropy_configure,
    .configure_types = entropy_configure_types,
    .state_size = entropy_state_size,
    .init = entropy_init,
    .update = entropy_update,
    .merge = entropy_merge,
    .encode = entropy_encode,
    .decode = entropy_decode,
    .release = entropy_release,
};

/* ---- the rows ---- */

static const struct agg_param entropy_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The column of categories. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "max_categories",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = CATEGORIES_MAX,
     .fallback = "1024",
     .help = "How many categories are told apart; further ones are not counted at all.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op entropy_ops[] = {
    {.name = "entropy",
     .summary = "Shannon entropy of a field's values in bits: 0.0 when all are the same.",
     .nulls = "Strings, numbers and booleans count as their text; everything else is skipped.",
     .empty = "0.0",
     .params = entropy_params,
     .param_count = sizeof entropy_params / sizeof entropy_params[0],
     .input_count = 1,
     .reads_text = true,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&entropy_accumulator}}},
     .use_count = 1,
     .read = entropy_read},
};

static const struct agg_accumulator *const entropy_accumulators[] = {&entropy_accumulator};

const struct agg_family family_entropy = {
    .ops = entropy_ops,
    .op_count = sizeof entropy_ops / sizeof entropy_ops[0],
    .accumulators = entropy_accumulators,
    .accumulator_count = 1,
};
