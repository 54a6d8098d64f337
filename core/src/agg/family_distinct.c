/* SPDX-License-Identifier: Apache-2.0 */
/* n_unique, top_k, bloom_member (operators.md 4.6).
 *
 * Enters:  one value per matching event: any for n_unique; text, number or boolean for the others.
 * Leaves:  how many different values there were, the most frequent ones, or whether there was any.
 * Owner:   the entity's block, or a row of a window; what outgrows it, the entity's heap.
 *
 * Invariants
 *   (1) n_unique keeps hashes: two inline, then a table of up to 1024, exact so far; with one more,
 *       registers (sketch/hll.h), which are then fed by all hashes seen.
 *   (2) top_k does not depend on k: features with different k share one state.
 *   (3) bloom_member keeps a flag, for no membership question can be asked (W21); its parameters
 *       are checked and then make no difference.
 *   (4) When memory is spent a new value is dropped and the state stays as it was.
 *   (5) Folding the panes of a window gives what one stream gives: for n_unique exactly, for a set,
 *       its size and a register's maximum do not depend on order; for top_k exactly while no pane
 *       has seen more than 1024 different values, else within its error.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/sketch/block.h"
#include "agg/sketch/hash_table.h"
#include "agg/sketch/hll.h"
#include "agg/sketch/identity.h"
#include "agg/sketch/space_saving.h"

#include <math.h>

#define VERSION 1

/* What n_unique and top_k are prepared with. */
struct typed_config {
    uint32_t is_numeric;
};

static enum bv_status
typed_configure(void *config, const struct value *params, struct bv_error *err)
{
    return BV_OK;
}

static void
typed_configure_types(void *config, const enum field_type *input_types)
{
    ((struct typed_config *)config)->is_numeric =
        input_types[0] == FIELD_I64 || input_types[0] == FIELD_F64;
}

static bool
is_numeric(const void *config)
{
    return ((const struct typed_config *)config)->is_numeric != 0;
}

/* ---- n_unique ---- */

#define INLINE_MAX 2
#define EXACT_MAX  1024
#define TABLE_LOG2 3 /* the first table */

enum distinct_form { FORM_INLINE, FORM_TABLE, FORM_REGISTERS };

struct distinct_state {
    union {
        uint64_t hashes[INLINE_MAX];
        uint64_t where;
    } as;
    uint32_t count; /* hashes; 0 with registers */
    uint8_t form;
    uint8_t log2; /* of the table */
    uint8_t pad[2];
};

static uint32_t
distinct_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct distinct_state);
}

static void
distinct_init(void *state, const void *config)
{
    *(struct distinct_state *)state = (struct distinct_state){0};
}

static uint32_t
table_size(unsigned log2)
{
    return (uint32_t)(hash_table_words(log2, 1) * sizeof(uint64_t));
}

static uint32_t
outside_size(const struct distinct_state *s)
{
    return s->form == FORM_TABLE ? table_size(s->log2) : HLL_REGISTERS;
}

/* A hash of a state without registers, NULL where a table has none at this position. */
static const uint64_t *
hash_at(const struct distinct_state *s, const uint64_t *slots, size_t start, size_t position)
{
    return s->form == FORM_INLINE ? &s->as.hashes[position]
                                  : hash_table_at(slots, s->log2, 1, start, position);
}

static size_t
position_count(const struct distinct_state *s)
{
    return s->form == FORM_INLINE ? s->count : (size_t)1 << s->log2;
}

static bool
grow_table(struct distinct_state *s, const struct block_source *source)
{
    const unsigned log2 = s->form == FORM_INLINE ? TABLE_LOG2 : s->log2 + 1u;
    uint64_t where = 0;
    uint64_t *slots = block_take(&where, source, table_size(log2));

    if (slots == NULL) {
        return false;
    }
    memset(slots, 0, table_size(log2));
    if (s->form == FORM_INLINE) {
        for (uint32_t i = 0; i < s->count; i++) {
            hash_table_insert(slots, log2, 1, s->as.hashes[i], 0);
        }
    } else {
        hash_table_rehash(slots, log2, block_at(source->heap, s->as.where), s->log2, 1);
        block_drop(source, s->as.where, table_size(s->log2));
    }
    s->as.where = where;
    s->form = FORM_TABLE;
    s->log2 = (uint8_t)log2;
    return true;
}

/* From hashes to registers. */
static bool
promote(struct distinct_state *s, const struct block_source *source)
{
    uint64_t where = 0;
    uint8_t *registers = block_take(&where, source, HLL_REGISTERS);
    const uint64_t *slots =
        s->form == FORM_TABLE ? (const uint64_t *)block_at(source->heap, s->as.where) : NULL;

    if (registers == NULL) {
        return false;
    }
    memset(registers, 0, HLL_REGISTERS);
    for (size_t i = 0; i < position_count(s); i++) {
        const uint64_t *hash = hash_at(s, slots, 0, i);

        if (hash != NULL) {
            hll_add(registers, *hash);
        }
    }
    if (s->form == FORM_TABLE) {
        block_drop(source, s->as.where, table_size(s->log2));
    }
    *s = (struct distinct_state){.as.where = where, .form = FORM_REGISTERS};
    return true;
}

static bool
is_inside(const struct distinct_state *s, uint64_t hash)
{
    return (s->count > 0 && s->as.hashes[0] == hash) || (s->count > 1 && s->as.hashes[1] == hash);
}

/* A hash that a table does not hold, or any hash in another form. */
__attribute__((noinline)) static void
distinct_add(struct distinct_state *s, uint64_t hash, const struct block_source *source)
{
    if (s->form == FORM_INLINE && s->count < INLINE_MAX) {
        /* Ascending, so that equal sets are equal states. */
        const bool is_first = s->count == 1 && hash < s->as.hashes[0];

        s->as.hashes[s->count] = is_first ? s->as.hashes[0] : hash;
        s->as.hashes[0] = is_first || s->count == 0 ? hash : s->as.hashes[0];
        s->count++;
        return;
    }
    if (s->form != FORM_REGISTERS && s->count == EXACT_MAX && !promote(s, source)) {
        return;
    }
    if (s->form == FORM_REGISTERS) {
        hll_add(block_at(source->heap, s->as.where), hash);
        return;
    }
    if ((s->form == FORM_INLINE || !hash_table_has_room(s->log2, s->count)) &&
        !grow_table(s, source)) {
        return;
    }
    hash_table_insert(block_at(source->heap, s->as.where), s->log2, 1, hash, 0);
    s->count++;
}

static inline bool
distinct_holds(const struct distinct_state *s, uint64_t hash, const struct agg_heap *heap)
{
    return s->form == FORM_INLINE
               ? is_inside(s, hash)
               : hash_table_find(block_at(heap, s->as.where), s->log2, 1, hash) != NULL;
}

static void
distinct_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct distinct_state *s = (struct distinct_state *)state;

    if (inputs[0]->kind == VALUE_NULL) {
        return;
    }

    const uint64_t hash = identity_hash(inputs[0], is_numeric(config));

    if (s->form == FORM_REGISTERS) {
        hll_add(agg_heap_at(moment->heap, (uint32_t)s->as.where), hash);
    } else if (!distinct_holds(s, hash, moment->heap)) {
        distinct_add(s, hash, &(struct block_source){.heap = moment->heap});
    }
}

/* What a fold writes to lies in the arena. */
static bool
own(struct distinct_state *s, const struct block_source *source)
{
    const void *from = NULL;
    void *copy = NULL;

    if (s->form == FORM_INLINE || (s->as.where & BLOCK_IN_ARENA) != 0) {
        return true;
    }
    from = block_at(source->heap, s->as.where);
    copy = block_take(&s->as.where, source, outside_size(s));
    if (copy == NULL) {
        *s = (struct distinct_state){0};
        return false;
    }
    memcpy(copy, from, outside_size(s));
    return true;
}

static void
distinct_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
               struct arena *arena)
{
    struct distinct_state *s = (struct distinct_state *)into;
    const struct distinct_state *other = (const struct distinct_state *)from;
    struct agg_heap seen = *heap; /* blocks come from the arena */
    const struct block_source source = {&seen, arena};
    const uint64_t *slots = NULL;

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
    if (other->form == FORM_REGISTERS) {
        if (s->form == FORM_REGISTERS || promote(s, &source)) {
            hll_merge(block_at(heap, s->as.where), block_at(heap, other->as.where));
        }
        return;
    }
    slots = other->form == FORM_TABLE ? (const uint64_t *)block_at(heap, other->as.where) : NULL;
    for (size_t i = 0; i < position_count(other); i++) {
        const uint64_t *hash = hash_at(other, slots, 0, i);

        if (hash != NULL && (s->form == FORM_REGISTERS || !distinct_holds(s, *hash, heap))) {
            distinct_add(s, *hash, &source);
        }
    }
}

static void
distinct_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct distinct_state *s = (const struct distinct_state *)reading->states[0];

    *out = value_i64(s->form == FORM_REGISTERS
                         ? llround(hll_estimate(block_at(reading->heap, s->as.where)))
                         : (int64_t)s->count);
}

/* u8 whether registers follow; else u16 count and the hashes, ascending. */
static void
distinct_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct distinct_state *s = (const struct distinct_state *)state;
    const void *outside = s->form == FORM_INLINE ? NULL : block_at(heap, s->as.where);
    size_t start = 0;
    uint8_t count[2];

    buf_byte(out, VERSION);
    buf_byte(out, s->form == FORM_REGISTERS);
    if (s->form == FORM_REGISTERS) {
        buf_append(out, outside, HLL_REGISTERS);
        return;
    }
    store_le16(count, (uint16_t)s->count);
    buf_append(out, count, sizeof count);
    start = s->form == FORM_TABLE ? hash_table_start(outside, s->log2, 1) : 0;
    for (size_t i = 0; i < position_count(s); i++) {
        const uint64_t *hash = hash_at(s, outside, start, i);

        if (hash != NULL) {
            codec_put_u64(out, *hash);
        }
    }
}

static void
distinct_release(void *state, const void *config, struct agg_heap *heap)
{
    const struct distinct_state *s = (const struct distinct_state *)state;

    if (s->form != FORM_INLINE) {
        heap->release(heap, (uint32_t)s->as.where, outside_size(s));
    }
}

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "state of n_unique");
}

static enum bv_status
decode_registers(struct distinct_state *s, struct codec_reader *reader, bool *is_sound,
                 const struct block_source *source, struct bv_error *err)
{
    const uint8_t *registers = codec_take(reader, HLL_REGISTERS);
    void *copy = NULL;

    for (unsigned i = 0; registers != NULL && i < HLL_REGISTERS; i++) {
        *is_sound = *is_sound && registers[i] <= HLL_RANK_MAX;
    }
    if (registers == NULL || !*is_sound) {
        return BV_OK;
    }
    copy = block_take(&s->as.where, source, HLL_REGISTERS);
    if (copy == NULL) {
        return no_memory(err);
    }
    s->form = FORM_REGISTERS;
    memcpy(copy, registers, HLL_REGISTERS);
    return BV_OK;
}

static enum bv_status
decode_hashes(struct distinct_state *s, struct codec_reader *reader, bool *is_sound,
              const struct block_source *source, struct bv_error *err)
{
    const uint8_t *size = codec_take(reader, 2);
    const uint32_t count = size == NULL ? 0 : load_le16(size);
    uint64_t before = 0;

    *is_sound = *is_sound && count <= EXACT_MAX;
    for (uint32_t i = 0; i < count && *is_sound && !reader->is_short; i++) {
        const uint64_t hash = codec_take_u64(reader);

        *is_sound = reader->is_short || hash > before;
        before = hash;
        if (*is_sound && !reader->is_short) {
            distinct_add(s, hash, source);
            if (s->count != i + 1) {
                return no_memory(err);
            }
        }
    }
    return BV_OK;
}

static enum bv_status
distinct_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const struct block_source source = {.heap = heap};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    const uint8_t form = codec_take_u8(&reader);
    enum bv_status status = BV_OK;

    distinct_init(state, config);
    is_sound = is_sound && form <= 1;
    if (is_sound) {
        status = (form == 1 ? decode_registers : decode_hashes)((struct distinct_state *)state,
                                                                &reader, &is_sound, &source, err);
    }
    status = status == BV_OK ? codec_finish(&reader, consumed, "n_unique", is_sound, err) : status;
    if (status != BV_OK) {
        distinct_release(state, config, heap);
    }
    return status;
}

static const struct agg_accumulator distinct_accumulator = {
    .name = "distinct",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_APPROXIMATE,
    .state_align = 8,
    .config_size = sizeof(struct typed_config),
    .configure = typed_configure,
    .configure_types = typed_configure_types,
    .state_size = distinct_state_size,
    .init = distinct_init,
    .update = distinct_update,
    .merge = distinct_merge,
    .encode = distinct_encode,
    .decode = distinct_decode,
    .release = distinct_release,
};

/* ---- top_k ---- */

static uint32_t
frequent_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct space_saving);
}

static void
frequent_init(void *state, const void *config)
{
    *(struct space_saving *)state = (struct space_saving){0};
}

static void
frequent_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct space_item item = {*inputs[0], is_numeric(config)};

    switch ((enum value_kind)item.value.kind) {
    case VALUE_F64:
        /* -0.0 is 0.0, and a NaN any other. */
        item.value.as.f64 += 0.0;
        if (item.value.as.f64 != item.value.as.f64) {
            item.value.as.bits = 0x7ff8000000000000;
        }
        break;
    case VALUE_STR:
    case VALUE_I64:
    case VALUE_BOOL:
        break;
    default:
        return;
    }
    (void)space_saving_add((struct space_saving *)state, &item, moment->heap);
}

static void
frequent_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
               struct arena *arena)
{
    space_saving_fold((struct space_saving *)into, (const struct space_saving *)from,
                      is_numeric(config), heap, arena);
}

static void
frequent_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    space_saving_encode(out, (const struct space_saving *)state, heap);
}

static enum bv_status
frequent_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct space_saving *s = (struct space_saving *)state;
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status =
        space_saving_decode(s, &reader, &is_sound, is_numeric(config), heap, err);

    return status == BV_OK ? codec_finish(&reader, consumed, "top_k", is_sound, err) : status;
}

static void
frequent_release(void *state, const void *config, struct agg_heap *heap)
{
    space_saving_release((struct space_saving *)state, heap);
}

static const struct agg_accumulator frequent_accumulator = {
    .name = "frequent",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY | AGG_APPROXIMATE | AGG_ORDERED, /* 1 or 1.0: what came first */
    .state_align = 8,
    .config_size = sizeof(struct typed_config),
    .configure = typed_configure,
    .configure_types = typed_configure_types,
    .state_size = frequent_state_size,
    .init = frequent_init,
    .update = frequent_update,
    .merge = frequent_merge,
    .encode = frequent_encode,
    .decode = frequent_decode,
    .release = frequent_release,
};

#define K_MAX     1024
#define K_DEFAULT 10

/* Types in the order of the result: str, int, float, bool. */
static int
rank_of_kind(uint8_t kind)
{
    return kind == VALUE_STR ? 0 : kind == VALUE_I64 ? 1 : kind == VALUE_F64 ? 2 : 3;
}

/* NaN stands after all other floats. */
static int
compare_values(const struct stored_value *a, const struct stored_value *b,
               const struct agg_heap *heap)
{
    const struct value left = stored_value_view(a, heap);
    const struct value right = stored_value_view(b, heap);
    enum stored_order order;

    if (left.kind != right.kind) {
        return rank_of_kind(left.kind) - rank_of_kind(right.kind);
    }
    order = stored_value_compare(&left, &right);
    if (order == STORED_UNORDERED) {
        return (left.as.f64 != left.as.f64) - (right.as.f64 != right.as.f64);
    }
    return order == STORED_LESS ? -1 : order == STORED_GREATER;
}

/* Whether a stands before b in the result. */
static bool
goes_first(const struct space_entry *a, const struct space_entry *b, const struct agg_heap *heap)
{
    return a->count != b->count ? a->count > b->count
                                : compare_values(&a->value, &b->value, heap) < 0;
}

/* Restores a heap with the last of the result on top, from the hole at `hole` on. */
static void
sift_down(const struct space_entry **chosen, uint32_t count, uint32_t hole,
          const struct space_entry *moved, const struct agg_heap *heap)
{
    for (uint32_t child = hole * 2 + 1; child < count; child = hole * 2 + 1) {
        if (child + 1 < count && goes_first(chosen[child], chosen[child + 1], heap)) {
            child++;
        }
        if (!goes_first(moved, chosen[child], heap)) {
            break;
        }
        chosen[hole] = chosen[child];
        hole = child;
    }
    chosen[hole] = moved;
}

/* The first k of the result, in order: a bounded heap, then sorted by taking it apart. */
static void
choose(const struct space_entry **chosen, uint32_t k, const struct space_entry *entries,
       uint32_t count, const struct agg_heap *heap)
{
    for (uint32_t i = 0; i < k; i++) {
        chosen[i] = &entries[i];
    }
    for (uint32_t i = k / 2; i-- > 0;) {
        sift_down(chosen, k, i, chosen[i], heap);
    }
    for (uint32_t i = k; i < count; i++) {
        if (goes_first(&entries[i], chosen[0], heap)) {
            sift_down(chosen, k, 0, &entries[i], heap);
        }
    }
    for (uint32_t end = k; end-- > 1;) {
        const struct space_entry *moved = chosen[end];

        chosen[end] = chosen[0];
        sift_down(chosen, end, 0, moved, heap);
    }
}

/* {"count": .., "value": ..} */
static bool
build_item(struct value *out, const struct space_entry *entry, uint64_t base,
           const struct agg_reading *reading, struct arena *arena)
{
    struct value_member *members = arena_alloc(arena, 2 * sizeof *members);
    const uint64_t count = entry->count + base;

    if (members == NULL) {
        return false;
    }
    members[0] = (struct value_member){value_str(slice_text("count")),
                                       value_i64(count > INT64_MAX ? INT64_MAX : (int64_t)count)};
    members[1] = (struct value_member){value_str(slice_text("value")),
                                       stored_value_read(&entry->value, reading->heap, arena)};
    *out = (struct value){.as.members = members, .length = 2, .kind = VALUE_MAP};
    return true;
}

static void
frequent_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct space_saving *s = (const struct space_saving *)reading->states[0];
    const struct value *param = reading->params == NULL ? NULL : value_find(reading->params, "k");
    uint64_t base = 0;
    const struct space_entry *entries = space_saving_entries(s, &base, reading->heap);
    uint32_t k =
        param != NULL && param->kind == VALUE_I64 && param->as.i64 >= 1 && param->as.i64 <= K_MAX
            ? (uint32_t)param->as.i64
            : K_DEFAULT;
    const struct space_entry **chosen = NULL;
    struct value *items = NULL;

    *out = (struct value){.kind = VALUE_LIST};
    k = k < s->count ? k : s->count;
    if (k == 0) {
        return;
    }
    chosen = arena_alloc(arena, k * sizeof *chosen);
    items = arena_alloc(arena, k * sizeof *items);
    if (chosen == NULL || items == NULL) {
        return;
    }
    choose(chosen, k, entries, s->count, reading->heap);
    for (uint32_t i = 0; i < k; i++) {
        if (!build_item(&items[i], chosen[i], base, reading, arena)) {
            return;
        }
    }
    out->as.items = items;
    out->length = k;
}

/* ---- bloom_member ---- */

static uint32_t
seen_state_size(const void *config, enum field_type input_type)
{
    return 1;
}

static void
seen_init(void *state, const void *config)
{
    *(uint8_t *)state = 0;
}

static void
seen_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    const uint8_t kind = inputs[0]->kind;

    *(uint8_t *)state |=
        kind == VALUE_STR || kind == VALUE_I64 || kind == VALUE_F64 || kind == VALUE_BOOL;
}

static void
seen_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
           struct arena *arena)
{
    *(uint8_t *)into |= *(const uint8_t *)from;
}

static void
seen_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    buf_byte(out, *(const uint8_t *)state);
}

static enum bv_status
seen_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const bool is_known = codec_take_u8(&reader) == VERSION;

    *(uint8_t *)state = codec_take_u8(&reader);
    return codec_finish(&reader, consumed, "bloom_member", is_known && *(const uint8_t *)state <= 1,
                        err);
}

static const struct agg_accumulator seen_accumulator = {
    .name = "seen_value",
    .input_count = 1,
    .state_align = 1,
    .state_size = seen_state_size,
    .init = seen_init,
    .update = seen_update,
    .merge = seen_merge,
    .encode = seen_encode,
    .decode = seen_decode,
};

static void
seen_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = value_bool(*(const uint8_t *)reading->states[0] != 0);
}

/* ---- the rows ---- */

#define COLUMN                                                                                     \
    {                                                                                              \
        .name = "field", .type = AGG_PARAM_FIELD, .min = 1, .max = 0,                              \
        .help = "The column. Without it the feature reads its empty value.",                       \
        .refusal = BV_AGG_UNKNOWN_FIELD                                                            \
    }

static const struct agg_param distinct_params[] = {COLUMN};

static const struct agg_param frequent_params[] = {
    COLUMN,
    {.name = "k",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = K_MAX,
     .fallback = "10",
     .help = "How many values, from 1 to 1024.",
     .refusal = BV_INVALID_TOP_K_K},
};

#define SIZE_HELP                                                                                  \
    "How many values are expected; checked, and without effect as only a flag is kept."
#define RATE_HELP                                                                                  \
    "The share of false answers, between 0 and 1 but neither of them; checked, and without "       \
    "effect."

static const struct agg_param bloom_params[] = {
    COLUMN,
    {.name = "expected_n",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = 65536,
     .fallback = "1024",
     .help = SIZE_HELP,
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "capacity",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = 65536,
     .help = SIZE_HELP " An older name of expected_n.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "target_fpr",
     .type = AGG_PARAM_FLOAT,
     .min = 0x1p-1074,
     .max = 1 - 0x1p-53,
     .fallback = "0.01",
     .help = RATE_HELP,
     .refusal = BV_INVALID_BLOOM_FPR},
    {.name = "fpr",
     .type = AGG_PARAM_FLOAT,
     .min = 0x1p-1074,
     .max = 1 - 0x1p-53,
     .help = RATE_HELP " An older name of target_fpr.",
     .refusal = BV_INVALID_BLOOM_FPR},
};

#define SCALARS_ONLY "Strings, numbers and booleans count; everything else is skipped."

static const struct agg_op distinct_ops[] = {
    {.name = "n_unique",
     .summary = "Number of different values of a field.",
     .nulls = "Null and missing are skipped; every other value counts, NaN and lists as well.",
     .empty = "0",
     .error_bound = "exact up to 1024 different values, beyond with a standard error of 1.63 %",
     .params = distinct_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&distinct_accumulator}}},
     .use_count = 1,
     .read = distinct_read},
    {.name = "top_k",
     .summary = "The k most frequent values with their counts, most frequent first.",
     .nulls = SCALARS_ONLY,
     .empty = "[]",
     .error_bound = "exact up to 1024 different values; beyond, a count is never too low and too "
                    "high by 1/1024 of all values at most",
     .params = frequent_params,
     .param_count = sizeof frequent_params / sizeof frequent_params[0],
     .input_count = 1,
     .window = AGG_WINDOW_HONOURED,
     .output = AGG_OUTPUT_JSON,
     .uses = {{AGG_MATCHING, {&frequent_accumulator}}},
     .use_count = 1,
     .read = frequent_read},
    {.name = "bloom_member",
     .summary = "Whether the field ever held a value.",
     .nulls = SCALARS_ONLY,
     .empty = "false",
     .params = bloom_params,
     .param_count = sizeof bloom_params / sizeof bloom_params[0],
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .window_refusal = BV_WINDOW_NOT_SUPPORTED,
     .output = AGG_OUTPUT_BOOL,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = seen_read},
};

static const struct agg_accumulator *const distinct_accumulators[] = {
    &distinct_accumulator, &frequent_accumulator, &seen_accumulator};

const struct agg_family family_distinct = {
    .ops = distinct_ops,
    .op_count = sizeof distinct_ops / sizeof distinct_ops[0],
    .accumulators = distinct_accumulators,
    .accumulator_count = sizeof distinct_accumulators / sizeof distinct_accumulators[0],
};
