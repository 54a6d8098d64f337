/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_ARENA_H
#define BV_UTIL_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory for one request or one tick: bump allocation, freed all at once. Blocks are kept over a
 * reset, so a warmed-up arena does not call malloc. 16-byte aligned. Single thread. */
struct arena_block;

struct arena {
    struct arena_block *first;
    struct arena_block *current;
    uint8_t *next;
    uint8_t *end;
    size_t block_size;
    size_t limit; /* bytes in all blocks, 0 = none; past it arena_alloc returns NULL */
    size_t total;
    uint64_t refusals; /* allocations that returned NULL, since arena_init */
};

void arena_init(struct arena *arena, size_t block_size, size_t limit);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena);
void *arena_alloc_slow(struct arena *arena, size_t size);
bool arena_reserve_slow(struct arena *arena, size_t size);

/* NULL when memory or the limit is spent. Contents are undefined. */
static inline void *
arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;

    if (rounded >= size && rounded <= (size_t)(arena->end - arena->next)) {
        void *result = arena->next;

        arena->next += rounded;
        return result;
    }
    return arena_alloc_slow(arena, size);
}

void *arena_copy(struct arena *arena, const void *data, size_t size);
/* The next allocations of together this size will succeed. False: memory or the limit is spent. */
static inline bool
arena_reserve(struct arena *arena, size_t size)
{
    return size <= (size_t)(arena->end - arena->next) || arena_reserve_slow(arena, size);
}

/* A place to go back to: what was allocated behind it is given up, what lies before it stays. */
struct arena_mark {
    struct arena_block *block;
    uint8_t *next;
};

struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

#endif
