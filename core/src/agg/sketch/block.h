/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_BLOCK_H
#define BV_AGG_SKETCH_BLOCK_H

#include "agg/op.h"

/* Out-of-line memory of a state: a ref into the entity's heap, or, in the fold of a window, a
 * pointer into the arena. One word says which, so that the same code grows both. A fold may look at
 * a heap's blocks and never writes or frees them. */

#define BLOCK_IN_ARENA (1ull << 63) /* no address of a process has this bit */

static inline void *
block_at(const struct agg_heap *heap, uint64_t where)
{
    return where & BLOCK_IN_ARENA ? (void *)(uintptr_t)(where & ~BLOCK_IN_ARENA)
                                  : agg_heap_at(heap, (uint32_t)where);
}

/* Where new blocks come from: the arena when there is one, else the heap. */
struct block_source {
    struct agg_heap *heap;
    struct arena *arena;
};

/* NULL when memory is spent. Contents are undefined. */
static inline void *
block_take(uint64_t *where, const struct block_source *source, uint32_t size)
{
    if (source->arena != NULL) {
        void *block = arena_alloc(source->arena, size);

        *where = (uint64_t)(uintptr_t)block | BLOCK_IN_ARENA;
        return block;
    }
    *where = source->heap->alloc(source->heap, size);
    return *where == 0 ? NULL : agg_heap_at(source->heap, (uint32_t)*where);
}

static inline void
block_drop(const struct block_source *source, uint64_t where, uint32_t size)
{
    if (source->arena == NULL) {
        source->heap->release(source->heap, (uint32_t)where, size);
    }
}

#endif
