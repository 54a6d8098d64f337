/* SPDX-License-Identifier: Apache-2.0 */
/* SpaceSaving over values of any scalar kind, starting with room for two.
 *
 * Enters:  values.
 * Leaves:  counters.
 * Owner:   the state, of its block and of the texts of its entries.
 *
 * A block is u64 floor, entries[capacity] and, above 8 entries, u32 index[2 * capacity]: the top 21
 * bits of the value's hash, and the entry's number plus one; 0 is free.
 *
 * Invariants
 *   (1) No two entries hold the same value. Entries keep their places.
 *   (2) Once all 1024 are taken: no count is below `floor`, and none before `cursor` is equal to
 *       it. floor is 0 until something was evicted, then the highest count that was.
 *   (3) Linear probing: no free slot lies between an index slot and its home.
 *
 * The least counter is found by walking on from where the last was found. A walk that comes to the
 * end raises floor by one at least, and floor is at most N / 1024: all walks together are at most
 * as many steps as there were values. A bucket list (the paper's) takes 24 bytes more per counter.
 */
#include "agg/sketch/space_saving.h"

#include "agg/codec.h"
#include "agg/sketch/identity.h"
#include "util/assert.h"

#define FIRST_LOG2  1
#define SCANNED_MAX 8 /* entries that need no index */
#define TAG_BITS    21
#define NUMBER_BITS (32 - TAG_BITS)

struct space_block {
    uint64_t floor;
    struct space_entry entries[];
};

/* Values of all panes: entries in arrival order and a u64 index of the same make. */
struct space_fold {
    uint64_t base; /* sum of floors: what is added to each count */
    struct space_entry *entries;
    uint64_t *index;
    uint32_t log2;
};

_Static_assert(SPACE_SAVING_MAX < 1 << NUMBER_BITS, "an entry's number plus one fits its slot");

static bool
is_indexed(unsigned log2)
{
    return 1u << log2 > SCANNED_MAX;
}

static uint32_t
block_size(unsigned log2)
{
    const uint32_t capacity = 1u << log2;

    return (uint32_t)(sizeof(struct space_block) + capacity * sizeof(struct space_entry)) +
           (is_indexed(log2) ? capacity * 2 * (uint32_t)sizeof(uint32_t) : 0);
}

static uint32_t *
index_of(struct space_block *block, unsigned log2)
{
    return (uint32_t *)(void *)(block->entries + (1u << log2));
}

static bool
is_fold(const struct space_saving *s)
{
    return (s->where & BLOCK_IN_ARENA) != 0;
}

/* ---- identity ---- */

static bool
is_same(const struct stored_value *stored, const struct space_item *item,
        const struct agg_heap *heap)
{
    const struct value *v = &item->value;
    struct value kept;

    if (stored->kind != v->kind) {
        if (!item->is_numeric) {
            return false;
        }
        kept = stored_value_view(stored, heap);
        return stored_value_compare(&kept, v) == STORED_EQUAL;
    }
    if (v->kind != VALUE_STR) {
        return stored->as.bits == v->as.bits;
    }
    if (stored->size != v->length) {
        return false;
    }
    return memcmp(stored->size > STORED_VALUE_INLINE_MAX
                      ? (const uint8_t *)agg_heap_at(heap, stored->as.ref)
                      : stored->as.text,
                  v->as.bytes, v->length) == 0;
}

static uint64_t
stored_hash(const struct stored_value *stored, bool is_numeric, const struct agg_heap *heap)
{
    const struct value v = stored_value_view(stored, heap);

    return identity_hash(&v, is_numeric);
}

/* ---- the index of a block ---- */

static uint32_t
home_of(uint32_t slot, unsigned log2)
{
    return slot >> (32 - (log2 + 1));
}

static uint32_t
slot_for(uint64_t hash, uint32_t entry)
{
    return (uint32_t)(hash >> (64 - TAG_BITS)) << NUMBER_BITS | (entry + 1);
}

static void
index_insert(uint32_t *index, unsigned log2, uint32_t slot)
{
    const uint32_t mask = (2u << log2) - 1;
    uint32_t i = home_of(slot, log2);

    while (index[i] != 0) {
        i = (i + 1) & mask;
    }
    index[i] = slot;
}

/* Takes a slot out and moves back those that probing brought past it. */
static void
index_remove(uint32_t *index, unsigned log2, uint32_t slot)
{
    const uint32_t mask = (2u << log2) - 1;
    uint32_t hole = home_of(slot, log2);

    while (index[hole] != slot) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t i = (hole + 1) & mask; index[i] != 0; i = (i + 1) & mask) {
        /* It may move if its home does not lie between the hole and where it is. */
        if (((i - home_of(index[i], log2)) & mask) >= ((i - hole) & mask)) {
            index[hole] = index[i];
            hole = i;
        }
    }
    index[hole] = 0;
}

static struct space_entry *
entry_at(struct space_block *block, uint32_t slot)
{
    return &block->entries[(slot & ((1u << NUMBER_BITS) - 1)) - 1];
}

/* Which of eight slots have the tag: a bit each. At once, so that nothing has to be guessed. */
static uint32_t
match_tags(const uint32_t *slots, uint32_t wanted)
{
    const __m256i tags =
        _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)(const void *)slots), NUMBER_BITS);
    const __m256i found = _mm256_cmpeq_epi32(tags, _mm256_set1_epi32((int)(wanted >> NUMBER_BITS)));
    const uint32_t taken = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(
        _mm256_loadu_si256((const __m256i *)(const void *)slots), _mm256_setzero_si256())));

    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(found)) & taken;
}

static struct space_entry *
find(const struct space_saving *s, struct space_block *block, uint64_t hash,
     const struct space_item *item, const struct agg_heap *heap)
{
    if (!is_indexed(s->log2)) {
        for (uint32_t i = 0; i < s->count; i++) {
            if (is_same(&block->entries[i].value, item, heap)) {
                return &block->entries[i];
            }
        }
        return NULL;
    }

    const uint32_t *index = index_of(block, s->log2);
    const uint32_t mask = (2u << s->log2) - 1;
    const uint32_t wanted = slot_for(hash, 0);
    const uint32_t home = home_of(wanted, s->log2);

    const uint32_t start = home < mask - 7 ? home : mask - 7;
    const uint32_t found = match_tags(index + start, wanted);

    if (__builtin_expect(found != 0, 1)) {
        struct space_entry *entry = entry_at(block, index[start + __builtin_ctz(found)]);

        if (is_same(&entry->value, item, heap)) {
            return entry;
        }
    }
    for (uint32_t i = home; index[i] != 0; i = (i + 1) & mask) {
        if ((index[i] ^ wanted) >> NUMBER_BITS == 0) {
            struct space_entry *entry = entry_at(block, index[i]);

            if (is_same(&entry->value, item, heap)) {
                return entry;
            }
        }
    }
    return NULL;
}

/* ---- adding ---- */

static bool
grow(struct space_saving *s, bool is_numeric, struct agg_heap *heap)
{
    const unsigned log2 = s->where == 0 ? FIRST_LOG2 : s->log2 + 1u;
    const uint32_t ref = heap->alloc(heap, block_size(log2));
    struct space_block *block = ref == 0 ? NULL : agg_heap_at(heap, ref);
    struct space_block *old = s->where == 0 ? NULL : block_at(heap, s->where);

    if (block == NULL) {
        return false;
    }
    block->floor = 0;
    if (s->count != 0) {
        memcpy(block->entries, old->entries, s->count * sizeof block->entries[0]);
    }
    if (is_indexed(log2)) {
        memset(index_of(block, log2), 0, (2u << log2) * sizeof(uint32_t));
        for (uint32_t i = 0; i < s->count; i++) {
            index_insert(index_of(block, log2), log2,
                         slot_for(stored_hash(&block->entries[i].value, is_numeric, heap), i));
        }
    }
    if (s->where != 0) {
        heap->release(heap, (uint32_t)s->where, block_size(s->log2));
    }
    s->where = ref;
    s->log2 = (uint8_t)log2;
    return true;
}

static bool
append(struct space_saving *s, uint64_t hash, const struct space_item *item, uint64_t count,
       struct agg_heap *heap)
{
    struct space_block *block = NULL;
    struct space_entry fresh = {.count = count};

    if ((s->where == 0 || s->count == 1u << s->log2) && !grow(s, item->is_numeric, heap)) {
        return false;
    }
    if (!stored_value_set(&fresh.value, &item->value, heap)) {
        return false;
    }
    block = block_at(heap, s->where);
    block->entries[s->count] = fresh;
    if (is_indexed(s->log2)) {
        index_insert(index_of(block, s->log2), s->log2, slot_for(hash, s->count));
    }
    s->count++;
    return true;
}

/* The place of a least counter; floor becomes its count. */
static uint32_t
find_least(struct space_saving *s, struct space_block *block)
{
    for (;;) {
        for (; s->cursor < SPACE_SAVING_MAX; s->cursor++) {
            if (block->entries[s->cursor].count == block->floor) {
                return s->cursor;
            }
        }
        s->cursor = 0;
        block->floor = UINT64_MAX;
        for (uint32_t i = 0; i < SPACE_SAVING_MAX; i++) {
            const uint64_t count = block->entries[i].count;

            block->floor = count < block->floor ? count : block->floor;
        }
    }
}

static bool
evict(struct space_saving *s, struct space_block *block, uint64_t hash,
      const struct space_item *item, struct agg_heap *heap)
{
    struct space_entry fresh = {.count = 0};
    uint32_t place = 0;
    struct space_entry *least = NULL;

    if (!stored_value_set(&fresh.value, &item->value, heap)) {
        return false;
    }
    place = find_least(s, block);
    least = &block->entries[place];
    index_remove(index_of(block, s->log2), s->log2,
                 slot_for(stored_hash(&least->value, item->is_numeric, heap), place));
    index_insert(index_of(block, s->log2), s->log2, slot_for(hash, place));
    stored_value_release(&least->value, heap);
    least->value = fresh.value;
    least->count += least->count != UINT64_MAX;
    return true;
}

bool
space_saving_add(struct space_saving *s, const struct space_item *item, struct agg_heap *heap)
{
    struct space_block *block = s->where == 0 ? NULL : agg_heap_at(heap, (uint32_t)s->where);
    const uint64_t hash = is_indexed(s->log2) || s->count == SCANNED_MAX
                              ? identity_hash(&item->value, item->is_numeric)
                              : 0;
    struct space_entry *entry = block == NULL ? NULL : find(s, block, hash, item, heap);

    if (entry != NULL) {
        entry->count += entry->count != UINT64_MAX;
        return true;
    }
    return s->count < SPACE_SAVING_MAX ? append(s, hash, item, 1, heap)
                                       : evict(s, block, hash, item, heap);
}

void
space_saving_release(struct space_saving *s, struct agg_heap *heap)
{
    struct space_block *block = s->where == 0 ? NULL : block_at(heap, s->where);

    for (uint32_t i = 0; i < s->count; i++) {
        stored_value_release(&block->entries[i].value, heap);
    }
    if (block != NULL) {
        heap->release(heap, (uint32_t)s->where, block_size(s->log2));
    }
    *s = (struct space_saving){0};
}

/* ---- folding ---- */

#define FOLD_NUMBER_BITS 24 /* 64 panes of 1024 entries, and room */

static bool
fold_reserve(struct space_fold *fold, uint32_t count, struct arena *arena)
{
    const uint32_t log2 = fold->log2 == 0 ? 6 : fold->log2 + 1;
    struct space_entry *entries = NULL;
    uint64_t *index = NULL;

    if (fold->log2 != 0 && count < 1u << fold->log2) {
        return true;
    }
    entries = arena_alloc(arena, sizeof *entries << log2);
    index = arena_alloc(arena, sizeof *index << (log2 + 1));
    if (entries == NULL || index == NULL) {
        return false;
    }
    memset(index, 0, sizeof *index << (log2 + 1));
    if (count != 0) {
        memcpy(entries, fold->entries, count * sizeof *entries);
    }
    for (uint32_t i = 0; fold->log2 != 0 && i >> (fold->log2 + 1) == 0; i++) {
        const uint64_t slot = fold->index[i];

        if (slot != 0) {
            uint32_t at = (uint32_t)(slot >> (64 - (log2 + 1)));

            while (index[at] != 0) {
                at = (at + 1) & ((2u << log2) - 1);
            }
            index[at] = slot;
        }
    }
    fold->entries = entries;
    fold->index = index;
    fold->log2 = log2;
    return true;
}

/* `count` more than the base for a value; new values are borrowed. */
static bool
fold_entry(struct space_saving *s, struct space_fold *fold, const struct space_entry *entry,
           uint64_t count, bool is_numeric, const struct agg_heap *heap, struct arena *arena)
{
    const struct space_item item = {stored_value_view(&entry->value, heap), is_numeric};
    const uint64_t tag = stored_hash(&entry->value, is_numeric, heap) >> FOLD_NUMBER_BITS;
    const uint64_t number_mask = (1u << FOLD_NUMBER_BITS) - 1;
    uint32_t at = 0;

    if (!fold_reserve(fold, s->count, arena)) {
        return false;
    }
    at = (uint32_t)(tag >> (64 - FOLD_NUMBER_BITS - (fold->log2 + 1)));
    for (; fold->index[at] != 0; at = (at + 1) & ((2u << fold->log2) - 1)) {
        if (fold->index[at] >> FOLD_NUMBER_BITS == tag) {
            struct space_entry *kept = &fold->entries[(fold->index[at] & number_mask) - 1];

            if (is_same(&kept->value, &item, heap)) {
                kept->count += count;
                return true;
            }
        }
    }
    fold->entries[s->count] = (struct space_entry){entry->value, count};
    fold->index[at] = tag << FOLD_NUMBER_BITS | (s->count + 1);
    s->count++;
    return true;
}

static void
fold_block(struct space_saving *s, const struct space_saving *from, bool is_numeric,
           const struct agg_heap *heap, struct arena *arena)
{
    struct space_fold *fold = block_at(heap, s->where);
    const struct space_block *block = block_at(heap, from->where);
    bool has_room = true;

    fold->base += block->floor;
    for (uint32_t i = 0; i < from->count && has_room; i++) {
        has_room = fold_entry(s, fold, &block->entries[i], block->entries[i].count - block->floor,
                              is_numeric, heap, arena);
    }
}

void
space_saving_fold(struct space_saving *s, const struct space_saving *from, bool is_numeric,
                  const struct agg_heap *heap, struct arena *arena)
{
    struct space_saving first = *s;

    if (s->count == 0 || from->count == 0) {
        *s = s->count == 0 ? *from : *s;
        return;
    }
    if (!is_fold(s)) {
        const struct block_source source = {.arena = arena};
        struct space_fold *fold = block_take(&s->where, &source, sizeof *fold);

        if (fold == NULL) {
            *s = first;
            return;
        }
        *fold = (struct space_fold){0};
        s->count = 0;
        fold_block(s, &first, is_numeric, heap, arena);
    }
    fold_block(s, from, is_numeric, heap, arena);
}

const struct space_entry *
space_saving_entries(const struct space_saving *s, uint64_t *base, const struct agg_heap *heap)
{
    *base = 0;
    if (s->count == 0) {
        return NULL;
    }
    if (is_fold(s)) {
        const struct space_fold *fold = block_at(heap, s->where);

        *base = fold->base;
        return fold->entries;
    }
    return ((const struct space_block *)block_at(heap, s->where))->entries;
}

/* ---- snapshots: u32 count, u64 floor, u32 cursor, then count and value of each entry ---- */

static void
put_u32(struct buf *out, uint32_t v)
{
    uint8_t bytes[4];

    store_le32(bytes, v);
    buf_append(out, bytes, sizeof bytes);
}

void
space_saving_encode(struct buf *out, const struct space_saving *s, const struct agg_heap *heap)
{
    uint64_t base = 0;
    const struct space_entry *entries = space_saving_entries(s, &base, heap);
    const bool is_block = s->where != 0 && !is_fold(s);

    put_u32(out, s->count);
    codec_put_u64(out,
                  is_block ? ((const struct space_block *)block_at(heap, s->where))->floor : base);
    put_u32(out, s->cursor);
    for (uint32_t i = 0; i < s->count; i++) {
        codec_put_u64(out, entries[i].count + base);
        stored_value_encode(out, &entries[i].value, heap);
    }
}

/* Scalars as an update would hand them in. */
static bool
is_lawful(const struct value *v)
{
    if (v->kind == VALUE_F64) {
        return v->as.f64 != v->as.f64 ? v->as.bits == 0x7ff8000000000000
                                      : v->as.bits != 0x8000000000000000;
    }
    return v->kind == VALUE_STR || v->kind == VALUE_I64 || v->kind == VALUE_BOOL;
}

static enum bv_status
decode_entry(struct space_saving *s, struct codec_reader *reader, bool *is_sound, uint64_t floor,
             bool is_numeric, struct agg_heap *heap, struct bv_error *err)
{
    const uint64_t count = codec_take_u64(reader);
    struct stored_value stored;
    bool is_value = true;
    bool is_appended = false;
    enum bv_status status = stored_value_decode(&stored, reader, &is_value, heap, err);

    if (status != BV_OK || reader->is_short) {
        return status;
    }

    const struct space_item item = {stored_value_view(&stored, heap), is_numeric};

    *is_sound = is_value && is_lawful(&item.value) && count >= floor && count != 0;
    if (*is_sound) {
        const uint64_t hash = identity_hash(&item.value, is_numeric);

        *is_sound = s->count == 0 || find(s, block_at(heap, s->where), hash, &item, heap) == NULL;
        is_appended = *is_sound && append(s, hash, &item, count, heap);
        status = *is_sound && !is_appended ? bv_error_set(err, BV_NO_MEMORY, "an entry of top_k")
                                           : BV_OK;
    }
    stored_value_release(&stored, heap);
    return status;
}

enum bv_status
space_saving_decode(struct space_saving *s, struct codec_reader *reader, bool *is_sound,
                    bool is_numeric, struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t count = codec_take_u32(reader);
    const uint64_t floor = codec_take_u64(reader);
    const uint32_t cursor = codec_take_u32(reader);
    enum bv_status status = BV_OK;

    *s = (struct space_saving){0};
    *is_sound = *is_sound && count <= SPACE_SAVING_MAX && cursor <= SPACE_SAVING_MAX &&
                (count == SPACE_SAVING_MAX || (floor == 0 && cursor == 0));
    for (uint32_t i = 0; i < count && *is_sound && !reader->is_short && status == BV_OK; i++) {
        status = decode_entry(s, reader, is_sound, floor, is_numeric, heap, err);
    }
    if (s->count == SPACE_SAVING_MAX) {
        ((struct space_block *)block_at(heap, s->where))->floor = floor;
        s->cursor = (uint16_t)cursor;
    }
    if (status != BV_OK || !*is_sound || reader->is_short) {
        space_saving_release(s, heap);
    }
    return status;
}
