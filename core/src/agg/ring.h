/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_RING_H
#define BV_AGG_RING_H

#include "agg/stored_value.h"

/* The last few words or values of an entity: a ring of `slots` cells, 1 to 65 536, in which the
 * newest replaces the oldest. A word cell is 8 bytes; a value cell has a tag byte beside them.
 *
 * Up to RING_INLINE_MAX slots the cells lie in the state; more lie out of line, in a block that
 * grows from 32 bytes by doubling: words[capacity], then tags[capacity]. All zero = empty. */

#define RING_INLINE_MAX 4u
#define RING_WORDS      8u /* cell sizes */
#define RING_VALUES     9u

/* ring_state_size() bytes of it exist. */
struct ring {
    uint16_t next; /* the cell that is written next */
    uint8_t is_full;
    uint8_t pad;
    union {
        uint8_t tags[RING_INLINE_MAX]; /* inline */
        uint32_t capacity;             /* out of line; `slots` when full */
    };
    union {
        uint64_t words[RING_INLINE_MAX]; /* inline */
        uint32_t ref;                    /* out of line; 0: capacity 0 */
    };
};

struct ring_cells {
    uint64_t *words;
    uint8_t *tags; /* of values */
};

static inline uint32_t
ring_state_size(uint32_t slots)
{
    return 8 + 8 * (slots <= RING_INLINE_MAX ? slots : 1);
}

static inline uint32_t
ring_count(const struct ring *ring, uint32_t slots)
{
    return ring->is_full ? slots : ring->next;
}

/* Where the i-th oldest lies, i < ring_count(). */
static inline uint32_t
ring_place(const struct ring *ring, uint32_t slots, uint32_t i)
{
    const uint32_t at = ring->is_full ? ring->next + i : i;

    return at < slots ? at : at - slots;
}

static inline struct ring_cells
ring_cells(struct ring *ring, uint32_t slots, const struct agg_heap *heap)
{
    if (slots <= RING_INLINE_MAX) {
        return (struct ring_cells){ring->words, ring->tags};
    }
    uint64_t *words = (uint64_t *)agg_heap_at(heap, ring->ref);

    return (struct ring_cells){words, (uint8_t *)(words + ring->capacity)};
}

bool ring_grow(struct ring *ring, uint32_t slots, uint32_t cell_size, struct agg_heap *heap);

/* Makes sure that the next cell exists. False when memory is spent. */
static inline bool
ring_has_room(struct ring *ring, uint32_t slots, uint32_t cell_size, struct agg_heap *heap)
{
    return slots <= RING_INLINE_MAX || ring->is_full || ring->next < ring->capacity ||
           ring_grow(ring, slots, cell_size, heap);
}

/* The next cell was written. */
static inline void
ring_advance(struct ring *ring, uint32_t slots)
{
    const uint32_t next = ring->next + 1u;
    const bool is_last = next == slots;

    ring->next = (uint16_t)(is_last ? 0 : next);
    ring->is_full |= is_last;
}

/* ---- values ---- */

/* A cell as a stored value and back. */
struct stored_value ring_load(struct ring_cells cells, uint32_t at);
void ring_store(struct ring_cells cells, uint32_t at, const struct stored_value *stored);

/* What the cell held before is replaced, or, in a cell that is written for the first time, ignored.
 * False when memory is spent: the cell is then as it was. */
bool ring_set_text(struct ring_cells cells, uint32_t at, bool is_first_time, const struct value *v,
                   struct agg_heap *heap);

#define RING_TAG_OUTSIDE 9u /* bits 3 and up: bytes of an inline text, or this */

static inline bool
ring_set(struct ring_cells cells, uint32_t at, bool is_first_time, const struct value *v,
         struct agg_heap *heap)
{
    if (v->kind <= VALUE_F64 && (is_first_time || cells.tags[at] >> 3 != RING_TAG_OUTSIDE)) {
        cells.words[at] = v->as.bits;
        cells.tags[at] = v->kind;
        return true;
    }
    return ring_set_text(cells, at, is_first_time, v, heap);
}

/* False when memory is spent: nothing has changed then. */
static inline bool
ring_push(struct ring *ring, uint32_t slots, const struct value *v, struct agg_heap *heap)
{
    if (!ring_has_room(ring, slots, RING_VALUES, heap) ||
        !ring_set(ring_cells(ring, slots, heap), ring->next, !ring->is_full, v, heap)) {
        return false;
    }
    ring_advance(ring, slots);
    return true;
}

/* The i-th oldest. */
struct stored_value ring_at(const struct ring *ring, uint32_t slots, uint32_t i,
                            const struct agg_heap *heap);
/* The same for a reply (stored_value_read). */
struct value ring_read(const struct ring *ring, uint32_t slots, uint32_t i,
                       const struct agg_heap *heap, struct arena *arena);
/* `count` values from the i-th oldest on; null when the arena is spent. */
struct value ring_read_list(const struct ring *ring, uint32_t slots, uint32_t i, uint32_t count,
                            const struct agg_heap *heap, struct arena *arena);

/* All cells, oldest first, without their number. */
void ring_encode_values(struct buf *out, const struct ring *ring, uint32_t slots,
                        const struct agg_heap *heap);

struct codec_reader;

/* `count` <= slots values into an empty ring. Sets *is_sound to false for what no encoder writes;
 * the ring is to be released in any case. BV_NO_MEMORY, else BV_OK. */
enum bv_status ring_decode_values(struct ring *ring, uint32_t slots, uint32_t count,
                                  struct codec_reader *reader, bool *is_sound,
                                  struct agg_heap *heap, struct bv_error *err);

/* ---- both kinds ---- */

/* The i-th oldest word. */
uint64_t ring_word_at(const struct ring *ring, uint32_t slots, uint32_t i,
                      const struct agg_heap *heap);

/* Frees what the ring and its values own; the ring is then empty. */
void ring_release(struct ring *ring, uint32_t slots, uint32_t cell_size, struct agg_heap *heap);

#endif
