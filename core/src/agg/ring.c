/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of words and values.
 *
 * Enters:  values of events, or times.
 * Leaves:  the same, oldest first.
 * Owner:   the state that the ring is part of; its block and its long texts lie in the entity's
 *          heap.
 *
 * Invariants
 *   (1) Cells [0, next) are written; all of them when the ring is full. No other is looked at.
 *   (2) capacity == slots when the ring is full, so places wrap at `slots` alone.
 *   (3) The tag of a value is its kind, and above three bits the bytes of an inline text; of what
 *       lies outside (RING_TAG_OUTSIDE) the word holds ref and size. So any value takes 9 bytes.
 */
#include "agg/ring.h"

#include "agg/codec.h"
#include "util/assert.h"

#define BLOCK_FIRST_BYTES 32u

/* Doubles the bytes, so that blocks fill the size classes of the heap. */
static uint32_t
larger_capacity(uint32_t capacity, uint32_t slots, uint32_t cell_size)
{
    uint32_t bytes = BLOCK_FIRST_BYTES;

    while (bytes / cell_size <= capacity) {
        bytes *= 2;
    }
    return bytes / cell_size < slots ? bytes / cell_size : slots;
}

bool
ring_grow(struct ring *ring, uint32_t slots, uint32_t cell_size, struct agg_heap *heap)
{
    const uint32_t capacity = larger_capacity(ring->capacity, slots, cell_size);
    const uint32_t ref = heap->alloc(heap, capacity * cell_size);

    if (ref == 0) {
        return false;
    }
    if (ring->capacity != 0) {
        const struct ring_cells old = ring_cells(ring, slots, heap);
        uint64_t *words = (uint64_t *)agg_heap_at(heap, ref);

        memcpy(words, old.words, (size_t)ring->next * 8);
        if (cell_size == RING_VALUES) {
            memcpy(words + capacity, old.tags, ring->next);
        }
        heap->release(heap, ring->ref, ring->capacity * cell_size);
    }
    ring->ref = ref;
    ring->capacity = capacity;
    return true;
}

/* ---- values ---- */

struct stored_value
ring_load(struct ring_cells cells, uint32_t at)
{
    const uint8_t tag = cells.tags[at];
    struct stored_value stored = {.kind = tag & 7u, .size = tag >> 3};

    stored.as.bits = cells.words[at];
    if (stored.size == RING_TAG_OUTSIDE) {
        stored.size = (uint32_t)(stored.as.bits >> 32);
        stored.as.bits &= UINT32_MAX;
    }
    return stored;
}

void
ring_store(struct ring_cells cells, uint32_t at, const struct stored_value *stored)
{
    if (stored->size > STORED_VALUE_INLINE_MAX) {
        cells.words[at] = stored->as.ref | (uint64_t)stored->size << 32;
        cells.tags[at] = (uint8_t)(stored->kind | RING_TAG_OUTSIDE << 3);
    } else {
        cells.words[at] = stored->as.bits;
        cells.tags[at] = (uint8_t)(stored->kind | stored->size << 3);
    }
}

/* Up to eight bytes, zeros above; two overlapping loads instead of a loop. */
static uint64_t
pack_text(const uint8_t *text, uint32_t size)
{
    if (size >= 4) {
        return load_le32(text) | (uint64_t)load_le32(text + size - 4) << (size - 4) * 8;
    }
    if (size >= 2) {
        return load_le16(text) | (uint32_t)load_le16(text + size - 2) << (size - 2) * 8;
    }
    return size == 0 ? 0 : text[0];
}

bool
ring_set_text(struct ring_cells cells, uint32_t at, bool is_first_time, const struct value *v,
              struct agg_heap *heap)
{
    const bool is_outside = !is_first_time && cells.tags[at] >> 3 == RING_TAG_OUTSIDE;
    const bool is_text = v->kind == VALUE_STR || v->kind == VALUE_BYTES;
    struct stored_value stored = {0};

    if (is_text && v->length <= STORED_VALUE_INLINE_MAX && !is_outside) {
        cells.words[at] = pack_text(v->as.bytes, v->length);
        cells.tags[at] = (uint8_t)(v->kind | v->length << 3);
        return true;
    }
    if (is_text && is_outside && cells.words[at] >> 32 == v->length) {
        memcpy(agg_heap_at(heap, (uint32_t)cells.words[at]), v->as.bytes, v->length);
        cells.tags[at] = (uint8_t)(v->kind | RING_TAG_OUTSIDE << 3);
        return true;
    }
    if (is_outside) {
        stored = ring_load(cells, at);
    }
    if (!stored_value_set(&stored, v, heap)) {
        return false;
    }
    ring_store(cells, at, &stored);
    return true;
}

/* Reading casts const away to use one locator; nothing is written through it. */
static struct ring_cells
cells_of(const struct ring *ring, uint32_t slots, const struct agg_heap *heap)
{
    union {
        const struct ring *from;
        struct ring *to;
    } cast = {.from = ring};

    return ring_cells(cast.to, slots, heap);
}

uint64_t
ring_word_at(const struct ring *ring, uint32_t slots, uint32_t i, const struct agg_heap *heap)
{
    return cells_of(ring, slots, heap).words[ring_place(ring, slots, i)];
}

struct stored_value
ring_at(const struct ring *ring, uint32_t slots, uint32_t i, const struct agg_heap *heap)
{
    return ring_load(cells_of(ring, slots, heap), ring_place(ring, slots, i));
}

struct value
ring_read(const struct ring *ring, uint32_t slots, uint32_t i, const struct agg_heap *heap,
          struct arena *arena)
{
    const struct stored_value stored = ring_at(ring, slots, i, heap);

    return stored_value_read(&stored, heap, arena);
}

struct value
ring_read_list(const struct ring *ring, uint32_t slots, uint32_t i, uint32_t count,
               const struct agg_heap *heap, struct arena *arena)
{
    struct value *items = arena_alloc(arena, count * sizeof *items);

    if (items == NULL) {
        return value_null();
    }
    for (uint32_t k = 0; k < count; k++) {
        items[k] = ring_read(ring, slots, i + k, heap, arena);
    }
    return (struct value){.as.items = items, .length = count, .kind = VALUE_LIST};
}

void
ring_encode_values(struct buf *out, const struct ring *ring, uint32_t slots,
                   const struct agg_heap *heap)
{
    const uint32_t count = ring_count(ring, slots);

    for (uint32_t i = 0; i < count; i++) {
        const struct stored_value stored = ring_at(ring, slots, i, heap);

        stored_value_encode(out, &stored, heap);
    }
}

enum bv_status
ring_decode_values(struct ring *ring, uint32_t slots, uint32_t count, struct codec_reader *reader,
                   bool *is_sound, struct agg_heap *heap, struct bv_error *err)
{
    BV_ASSERT(count <= slots);
    for (uint32_t i = 0; i < count; i++) {
        struct stored_value stored;
        const enum bv_status status = stored_value_decode(&stored, reader, is_sound, heap, err);

        if (status != BV_OK) {
            return status;
        }
        if (reader->is_short || !*is_sound) {
            return BV_OK;
        }
        if (stored.kind == VALUE_NULL) {
            *is_sound = false;
            return BV_OK;
        }
        if (!ring_has_room(ring, slots, RING_VALUES, heap)) {
            stored_value_release(&stored, heap);
            return bv_error_set(err, BV_NO_MEMORY, "ring of %u values", count);
        }
        ring_store(ring_cells(ring, slots, heap), ring->next, &stored);
        ring_advance(ring, slots);
    }
    return BV_OK;
}

void
ring_release(struct ring *ring, uint32_t slots, uint32_t cell_size, struct agg_heap *heap)
{
    const uint32_t count = cell_size == RING_VALUES ? ring_count(ring, slots) : 0;

    for (uint32_t i = 0; i < count; i++) {
        struct stored_value stored = ring_load(ring_cells(ring, slots, heap), i);

        stored_value_release(&stored, heap);
    }
    if (slots > RING_INLINE_MAX && ring->capacity != 0) {
        heap->release(heap, ring->ref, ring->capacity * cell_size);
    }
    memset(ring, 0, ring_state_size(slots));
}
