/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_LIST_H
#define BV_REGISTRY_LIST_H

#include "util/arena.h"

#include <string.h>

/* Growing arrays in an arena: what was outgrown stays there until the arena dies, at most as much
 * again as the array itself. Returns the array with room for one more item, NULL when memory is
 * spent. */
static inline void *
list_room(struct arena *arena, void *items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity) {
        return items;
    }
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;

    if (wanted > SIZE_MAX / item_size) {
        return NULL;
    }
    void *bigger = arena_alloc(arena, wanted * item_size);

    if (bigger == NULL) {
        return NULL;
    }
    if (count != 0) {
        memcpy(bigger, items, count * item_size);
    }
    *capacity = wanted;
    return bigger;
}

/* `count` items of this size, NULL when memory is spent; never NULL for none. */
static inline void *
list_of(struct arena *arena, size_t count, size_t item_size)
{
    return count > SIZE_MAX / item_size ? NULL : arena_alloc(arena, count * item_size);
}

#endif
