/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_NAMES_H
#define BV_REGISTRY_NAMES_H

#include "util/arena.h"
#include "util/slice.h"

/* From a name to an index: an open-addressed table in an arena. A payload may hold hundreds of
 * thousands of names, so nothing in this room searches a list for one. Names are borrowed. */
#define NAMES_NONE UINT32_MAX

struct names_entry {
    struct slice name;
    uint32_t index;
};

struct names {
    struct arena *arena;
    struct names_entry *entries; /* an empty place has index NAMES_NONE */
    uint32_t count, capacity;    /* capacity: 0 or a power of two */
};

void names_init(struct names *names, struct arena *arena);
/* The index given for this name, NAMES_NONE when there is none. */
uint32_t names_find(const struct names *names, struct slice name);
/* Adds the name, or gives it a new index. False when memory is spent. */
bool names_put(struct names *names, struct slice name, uint32_t index);
/* The name that a slip of one or two letters turns into `wanted`, if there is one; *out is left
 * alone otherwise. Looks at a bounded number of names. */
bool names_nearest(struct slice *out, const struct names *names, struct slice wanted);

#endif
