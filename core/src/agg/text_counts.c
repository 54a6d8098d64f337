/* SPDX-License-Identifier: Apache-2.0 */
/* Counters by text.
 *
 * Enters:  texts, which live in a receive buffer.
 * Leaves:  each text with its count.
 * Owner:   the state that holds them; the table and texts over 8 bytes lie in the entity's heap.
 *
 * Invariants
 *   (1) A slot is free exactly when its count is 0; a text has one slot.
 *   (2) From its home on, a text's slot is reached without passing a free one (linear probing;
 *       nothing is ever taken out).
 *   (3) Where a text stands is no part of the value: what leaves is sorted.
 *   (4) When memory is spent the counters stay as they are.
 *
 * The hash is XXH3 with its public default secret: texts chosen to collide cost their own entity a
 * longer search, bounded by the limit.
 */
#include "agg/text_counts.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "util/utf8.h"

#define INLINE_MAX 8

struct slot {
    uint64_t count;
    uint32_t hash;
    uint32_t size;
    union {
        uint8_t text[INLINE_MAX];
        uint32_t ref; /* size > INLINE_MAX */
    } as;
};

_Static_assert(sizeof(struct slot) == 24, "one category takes two units of a heap");

static uint32_t
table_size(uint8_t log2)
{
    return (uint32_t)sizeof(struct slot) << log2;
}

static struct slot *
slots_of(const struct text_counts *counts, const struct agg_heap *heap)
{
    return (struct slot *)agg_heap_at(heap, counts->ref);
}

static uint32_t
slot_count(const struct text_counts *counts)
{
    return counts->ref == 0 ? 0 : UINT32_C(1) << counts->log2;
}

static struct slice
slot_text(const struct slot *slot, const struct agg_heap *heap)
{
    return slot->size > INLINE_MAX ? slice_of(agg_heap_at(heap, slot->as.ref), slot->size)
                                   : slice_of(slot->as.text, slot->size);
}

/* Tables of one and two slots may be full; larger ones keep a quarter free. */
static bool
has_room(const struct text_counts *counts)
{
    const uint32_t capacity = slot_count(counts);

    return counts->used < capacity - capacity / 4;
}

/* The text's slot, or the free one it belongs into; NULL when a full table does not have it. */
static struct slot *
find(const struct text_counts *counts, struct slice text, uint32_t hash,
     const struct agg_heap *heap)
{
    struct slot *slots = slots_of(counts, heap);
    const uint32_t capacity = slot_count(counts);

    for (uint32_t i = 0; i < capacity; i++) {
        struct slot *slot = &slots[(hash + i) & (capacity - 1)];

        if (slot->count == 0 || (slot->hash == hash && slice_equal(slot_text(slot, heap), text))) {
            return slot;
        }
    }
    return NULL;
}

static bool
grow(struct text_counts *counts, struct agg_heap *heap)
{
    struct text_counts larger = {.used = counts->used,
                                 .log2 = counts->ref == 0 ? 0 : (uint8_t)(counts->log2 + 1)};
    const uint32_t capacity = slot_count(counts);

    larger.ref = heap->alloc(heap, table_size(larger.log2));
    if (larger.ref == 0) {
        return false;
    }
    memset(slots_of(&larger, heap), 0, table_size(larger.log2));
    for (uint32_t i = 0; i < capacity; i++) {
        const struct slot *slot = &slots_of(counts, heap)[i];

        if (slot->count != 0) {
            *find(&larger, slot_text(slot, heap), slot->hash, heap) = *slot;
        }
    }
    if (counts->ref != 0) {
        heap->release(heap, counts->ref, table_size(counts->log2));
    }
    *counts = larger;
    return true;
}

/* A slot of count 0 for a text that has none. */
static struct slot *
insert(struct text_counts *counts, struct slice text, uint32_t hash, struct agg_heap *heap)
{
    struct slot fresh = {.hash = hash, .size = (uint32_t)text.size};

    if (!has_room(counts) && !grow(counts, heap)) {
        return NULL;
    }
    if (text.size > INLINE_MAX) {
        fresh.as.ref = heap->alloc(heap, fresh.size);
        if (fresh.as.ref == 0) {
            return NULL;
        }
        memcpy(agg_heap_at(heap, fresh.as.ref), text.data, text.size);
    } else if (text.size != 0) {
        memcpy(fresh.as.text, text.data, text.size);
    }
    struct slot *slot = find(counts, text, hash, heap);

    *slot = fresh;
    counts->used++;
    return slot;
}

void
text_counts_add(struct text_counts *counts, struct slice text, uint32_t limit,
                struct agg_heap *heap)
{
    const uint32_t hash = (uint32_t)XXH3_64bits(text.data, text.size);
    struct slot *slot = counts->ref == 0 ? NULL : find(counts, text, hash, heap);

    if (slot == NULL || slot->count == 0) {
        slot = counts->used < limit ? insert(counts, text, hash, heap) : NULL;
    }
    if (slot != NULL) {
        slot->count++;
    }
}

static int
compare_counts(const void *a, const void *b)
{
    return slice_compare(((const struct text_count *)a)->text,
                         ((const struct text_count *)b)->text);
}

void
text_counts_list(struct text_count *out, const struct text_counts *counts,
                 const struct agg_heap *heap)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < slot_count(counts); i++) {
        const struct slot *slot = &slots_of(counts, heap)[i];

        if (slot->count != 0) {
            out[used++] = (struct text_count){slot_text(slot, heap), slot->count};
        }
    }
    if (used > 1) {
        qsort(out, used, sizeof *out, compare_counts);
    }
}

void
text_counts_release(struct text_counts *counts, struct agg_heap *heap)
{
    for (uint32_t i = 0; i < slot_count(counts); i++) {
        const struct slot *slot = &slots_of(counts, heap)[i];

        if (slot->size > INLINE_MAX) {
            heap->release(heap, slot->as.ref, slot->size);
        }
    }
    if (counts->ref != 0) {
        heap->release(heap, counts->ref, table_size(counts->log2));
    }
    *counts = (struct text_counts){0};
}

/* ---- snapshot and digest form: u32 number of texts, then each: u32 size, text, u64 count ---- */

static void
put_u32(struct buf *out, uint32_t v)
{
    uint8_t bytes[4];

    store_le32(bytes, v);
    buf_append(out, bytes, sizeof bytes);
}

void
text_counts_encode(struct buf *out, const struct text_counts *counts, const struct agg_heap *heap)
{
    struct text_count *list = malloc((counts->used + 1u) * sizeof *list);

    if (list == NULL) {
        out->failed = true;
        return;
    }
    text_counts_list(list, counts, heap);
    put_u32(out, counts->used);
    for (uint32_t i = 0; i < counts->used; i++) {
        put_u32(out, (uint32_t)list[i].text.size);
        buf_append(out, list[i].text.data, list[i].text.size);
        codec_put_u64(out, list[i].count);
    }
    free(list);
}

/* One text with its count; it must come after `previous`. */
static enum bv_status
decode_one(struct text_counts *counts, struct slice *previous, struct codec_reader *reader,
           bool *is_sound, struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t size = codec_take_u32(reader);
    const struct slice text = slice_of(codec_take(reader, size), size);
    const uint64_t count = codec_take_u64(reader);

    if (reader->is_short) {
        return BV_OK;
    }
    *is_sound = count != 0 && utf8_is_valid(text) &&
                (previous->data == NULL || slice_compare(*previous, text) < 0);
    *previous = text;
    if (!*is_sound) {
        return BV_OK;
    }
    struct slot *slot = insert(counts, text, (uint32_t)XXH3_64bits(text.data, text.size), heap);

    if (slot == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "text of %u bytes", size);
    }
    slot->count = count;
    return BV_OK;
}

enum bv_status
text_counts_decode(struct text_counts *counts, struct codec_reader *reader, bool *is_sound,
                   uint32_t limit, struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t used = codec_take_u32(reader);
    struct slice previous = {NULL, 0};
    enum bv_status status = BV_OK;

    *counts = (struct text_counts){0};
    *is_sound = *is_sound && used <= limit;
    while (counts->used < used && status == BV_OK && *is_sound && !reader->is_short) {
        status = decode_one(counts, &previous, reader, is_sound, heap, err);
    }
    if (status != BV_OK || !*is_sound || reader->is_short) {
        text_counts_release(counts, heap);
    }
    return status;
}
