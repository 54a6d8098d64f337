/* SPDX-License-Identifier: Apache-2.0 */
/* Ordered hash tables: one array for one set, however it came about.
 *
 * Enters:  hashes, each once, with a count where slots have two words.
 * Leaves:  slots.
 * Owner:   the caller, of all memory.
 *
 * Invariants
 *   (1) In each run of taken slots, those that lie farther from home come first, and of equally
 *       far ones the smaller hash. As the home is the top bits, a run is ascending; only hashes
 *       that went past the end of the array stand at its beginning, before smaller ones.
 *   (2) At least one slot is free.
 */
#include "agg/sketch/hash_table.h"

#include <string.h>

static size_t
distance(uint64_t hash, size_t slot, unsigned log2)
{
    return (slot - (size_t)(hash >> (64 - log2))) & (((size_t)1 << log2) - 1);
}

void
hash_table_insert(uint64_t *slots, unsigned log2, unsigned words, uint64_t hash, uint64_t count)
{
    const size_t mask = ((size_t)1 << log2) - 1;
    uint64_t carried[2] = {hash, count};

    for (size_t i = hash >> (64 - log2);; i = (i + 1) & mask) {
        uint64_t *slot = slots + i * words;

        if (slot[0] == 0) {
            memcpy(slot, carried, words * sizeof *slot);
            return;
        }

        const size_t mine = distance(carried[0], i, log2);
        const size_t theirs = distance(slot[0], i, log2);

        if (mine > theirs || (mine == theirs && carried[0] < slot[0])) {
            uint64_t displaced[2] = {0};

            memcpy(displaced, slot, words * sizeof *slot);
            memcpy(slot, carried, words * sizeof *slot);
            memcpy(carried, displaced, sizeof carried);
        }
    }
}

size_t
hash_table_start(const uint64_t *slots, unsigned log2, unsigned words)
{
    size_t i = 0;

    while (slots[i * words] != 0 && (size_t)(slots[i * words] >> (64 - log2)) > i) {
        i++;
    }
    return i;
}

void
hash_table_rehash(uint64_t *into, unsigned into_log2, const uint64_t *from, unsigned from_log2,
                  unsigned words)
{
    const size_t start = hash_table_start(from, from_log2, words);

    for (size_t i = 0; i >> from_log2 == 0; i++) {
        const uint64_t *slot = hash_table_at(from, from_log2, words, start, i);

        if (slot != NULL) {
            hash_table_insert(into, into_log2, words, slot[0], words == 2 ? slot[1] : 0);
        }
    }
}
