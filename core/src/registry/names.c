/* SPDX-License-Identifier: Apache-2.0 */
/* Names to indices, and the nearest name for a hint.
 *
 * Enters:  names that live as long as the arena.
 * Leaves:  indices.
 * Owner:   whoever owns the arena; a grown table leaves its old entries there.
 *
 * Invariant: at most three quarters of the places are taken, so every search ends.
 */
#include "registry/names.h"

#include "util/assert.h"

#define NEAREST_LENGTH_MAX 48
#define NEAREST_NAMES_MAX  1024

void
names_init(struct names *names, struct arena *arena)
{
    *names = (struct names){.arena = arena};
}

/* FNV-1a, folded once more: the low bits choose the place. */
static uint32_t
hash_of(struct slice name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ name.data[i]) * UINT64_C(0x100000001b3);
    }
    return (uint32_t)(hash ^ (hash >> 32));
}

static struct names_entry *
place_of(const struct names *names, struct slice name)
{
    uint32_t mask = names->capacity - 1;
    uint32_t at = hash_of(name) & mask;

    while (names->entries[at].index != NAMES_NONE && !slice_equal(names->entries[at].name, name)) {
        at = (at + 1) & mask;
    }
    return &names->entries[at];
}

uint32_t
names_find(const struct names *names, struct slice name)
{
    return names->capacity == 0 ? NAMES_NONE : place_of(names, name)->index;
}

static bool
grow(struct names *names)
{
    struct names bigger = {.arena = names->arena,
                           .capacity = names->capacity == 0 ? 8 : names->capacity * 2,
                           .count = names->count};

    if (bigger.capacity <= names->capacity) {
        return false;
    }
    bigger.entries =
        arena_alloc(names->arena, (size_t)bigger.capacity * sizeof(struct names_entry));
    if (bigger.entries == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < bigger.capacity; i++) {
        bigger.entries[i].index = NAMES_NONE;
    }
    for (uint32_t i = 0; i < names->capacity; i++) {
        if (names->entries[i].index != NAMES_NONE) {
            *place_of(&bigger, names->entries[i].name) = names->entries[i];
        }
    }
    *names = bigger;
    return true;
}

bool
names_put(struct names *names, struct slice name, uint32_t index)
{
    BV_DEBUG_ASSERT(index != NAMES_NONE);
    if (names->count >= names->capacity / 4 * 3 && !grow(names)) {
        return false;
    }
    struct names_entry *place = place_of(names, name);

    if (place->index == NAMES_NONE) {
        place->name = name;
        names->count++;
    }
    place->index = index;
    return true;
}

/* Levenshtein's distance with two rows; both names are at most NEAREST_LENGTH_MAX long. */
static unsigned
distance(struct slice a, struct slice b)
{
    unsigned rows[2][NEAREST_LENGTH_MAX + 1];

    for (unsigned j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a.size; i++) {
        const unsigned *above = rows[(i - 1) & 1];
        unsigned *here = rows[i & 1];

        here[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned best = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);

            best = above[j] + 1 < best ? above[j] + 1 : best;
            here[j] = here[j - 1] + 1 < best ? here[j - 1] + 1 : best;
        }
    }
    return rows[a.size & 1][b.size];
}

bool
names_nearest(struct slice *out, const struct names *names, struct slice wanted)
{
    /* Of short names two changed letters make another name, not a slip. */
    unsigned best = wanted.size >= 5 ? 3 : 2;
    uint32_t seen = 0;
    bool found = false;

    if (wanted.size == 0 || wanted.size > NEAREST_LENGTH_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < names->capacity && seen < NEAREST_NAMES_MAX; i++) {
        const struct names_entry *entry = &names->entries[i];

        if (entry->index == NAMES_NONE || entry->name.size == 0 ||
            entry->name.size > NEAREST_LENGTH_MAX) {
            continue;
        }
        seen++;
        if (entry->name.size > wanted.size + best || wanted.size > entry->name.size + best) {
            continue;
        }
        unsigned d = distance(entry->name, wanted);

        if (d < best || (found && d == best && slice_compare(entry->name, *out) < 0)) {
            best = d;
            *out = entry->name;
            found = true;
        }
    }
    return found;
}
