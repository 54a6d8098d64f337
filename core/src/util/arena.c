/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocation for things that die together.
 *
 * Enters:  sizes.
 * Leaves:  16-byte aligned memory that lives until the next arena_reset() or arena_deinit().
 * Owner:   one thread: a connection, a request, a tick.
 *
 * Invariants
 *   (1) first..current hold live memory; the blocks after current are empty and ready for use.
 *   (2) total is the size of all blocks, headers included, and never exceeds a non-zero limit.
 *   (3) arena_reset keeps at most KEEP_BLOCKS * block_size bytes: one huge request does not pin
 *       its memory for the life of a connection, and a usual one meets no malloc.
 */
#include <stdlib.h>
#include <string.h>

#include "util/arena.h"
#include "util/assert.h"

#define KEEP_BLOCKS 16

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    _Alignas(16) uint8_t data[];
};

_Static_assert(sizeof(struct arena_block) % 16 == 0, "data is 16-byte aligned");

/* Where an empty arena points: room for nothing, yet not NULL, so that arena_alloc(0) succeeds. */
static _Alignas(16) uint8_t nothing[16];

static size_t
block_total(const struct arena_block *block)
{
    return sizeof *block + block->size;
}

static void
use_block(struct arena *arena, struct arena_block *block)
{
    arena->current = block;
    arena->next = block == NULL ? nothing : block->data;
    arena->end = block == NULL ? nothing : block->data + block->size;
}

void
arena_init(struct arena *arena, size_t block_size, size_t limit)
{
    BV_ASSERT(block_size >= 64);
    *arena = (struct arena){.block_size = block_size, .limit = limit};
    use_block(arena, NULL);
}

void
arena_deinit(struct arena *arena)
{
    struct arena_block *block = arena->first;

    while (block != NULL) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
    arena_init(arena, arena->block_size, arena->limit);
}

void
arena_reset(struct arena *arena)
{
    struct arena_block **link = &arena->first;
    size_t kept = 0;

    if (arena->total <= KEEP_BLOCKS * arena->block_size) {
        use_block(arena, arena->first);
        return;
    }
    while (*link != NULL) {
        struct arena_block *block = *link;

        if (kept + block_total(block) <= KEEP_BLOCKS * arena->block_size) {
            kept += block_total(block);
            link = &block->next;
        } else {
            *link = block->next;
            free(block);
        }
    }
    arena->total = kept;
    use_block(arena, arena->first);
}

struct arena_mark
arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->current, arena->next};
}

void
arena_rewind(struct arena *arena, struct arena_mark mark)
{
    if (mark.block == NULL) {
        use_block(arena, arena->first);
        return;
    }
    use_block(arena, mark.block);
    arena->next = mark.next;
}

/* Takes a kept block of at least this size out of those behind `current`, NULL if there is none. */
static struct arena_block *
take_spare(struct arena *arena, size_t size)
{
    struct arena_block **link = arena->current == NULL ? &arena->first : &arena->current->next;

    while (*link != NULL && (*link)->size < size) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return NULL;
    }
    struct arena_block *block = *link;

    *link = block->next;
    return block;
}

static struct arena_block *
create_block(struct arena *arena, size_t size)
{
    size_t wanted = size > arena->block_size ? size : arena->block_size;
    size_t total = wanted + sizeof(struct arena_block);

    if (arena->limit != 0 && (total > arena->limit || arena->total > arena->limit - total)) {
        /* The usual size may not fit under the limit where the wanted one still does. */
        wanted = size;
        total = wanted + sizeof(struct arena_block);
        if (total > arena->limit || arena->total > arena->limit - total) {
            return NULL;
        }
    }
    struct arena_block *block = malloc(total);

    if (block == NULL) {
        return NULL;
    }
    block->size = wanted;
    arena->total += total;
    return block;
}

/* A block with so much room becomes the current one. */
static bool
next_block(struct arena *arena, size_t size)
{
    struct arena_block *block = take_spare(arena, size);

    if (block == NULL) {
        block = create_block(arena, size);
    }
    if (block == NULL) {
        arena->refusals++;
        return false;
    }
    struct arena_block **link = arena->current == NULL ? &arena->first : &arena->current->next;

    block->next = *link;
    *link = block;
    use_block(arena, block);
    return true;
}

void *
arena_alloc_slow(struct arena *arena, size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;

    if (size > SIZE_MAX / 2) {
        arena->refusals++;
        return NULL;
    }
    if (!next_block(arena, rounded)) {
        return NULL;
    }
    void *result = arena->next;

    arena->next += rounded;
    BV_ASSERT(arena->next <= arena->end);
    return result;
}

bool
arena_reserve_slow(struct arena *arena, size_t size)
{
    return size <= SIZE_MAX / 2 && next_block(arena, size);
}

void *
arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);

    if (copy != NULL && size != 0) {
        memcpy(copy, data, size);
    }
    return copy;
}
