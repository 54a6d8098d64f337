/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_HASH_TABLE_H
#define BV_AGG_SKETCH_HASH_TABLE_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of 64-bit hashes, or a map from them to a count: linear probing in an array that depends on
 * nothing but what is in it. Error: none, but for values that share a hash.
 *
 * O. Amble, D. E. Knuth, "Ordered hash tables", The Computer Journal 17 (1974): where probing
 * places the smaller key first, every order of insertions gives the same array. So equal states are
 * equal bytes, and walking the slots yields the hashes in ascending order without a sort.
 *
 * A slot is `words` words, the hash first; 0 is free. The home of a hash is its top log2 bits.
 * Callers keep at least one slot in four free: a search ends at a free slot. */

#define HASH_TABLE_LOG2_MIN 2

static inline size_t
hash_table_words(unsigned log2, unsigned words)
{
    return ((size_t)1 << log2) * words;
}

/* Whether one more than `count` still leaves a quarter free. */
static inline bool
hash_table_has_room(unsigned log2, uint32_t count)
{
    return (count + 1) * 4 <= 3u << log2;
}

/* Which of 32 bytes of slots begin with this hash: bits by word. */
static inline unsigned
hash_table_match(const uint64_t *at, unsigned words, uint64_t hash)
{
    const __m256i found = _mm256_cmpeq_epi64(_mm256_loadu_si256((const __m256i *)(const void *)at),
                                             _mm256_set1_epi64x((long long)hash));

    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(found)) & (words == 1 ? 15u : 5u);
}

/* The slot of a hash, NULL when it is not there. The four slots from home on (or the last four of
 * the array) are looked at at once: how many of them a search passes would be a guess of the
 * processor's, and often wrong. */
static inline uint64_t *
hash_table_find(uint64_t *slots, unsigned log2, unsigned words, uint64_t hash)
{
    const size_t mask = ((size_t)1 << log2) - 1;
    const size_t home = hash >> (64 - log2);
    uint64_t *at = slots + (home < mask - 3 ? home : mask - 3) * words;
    unsigned found = words == 1
                         ? hash_table_match(at, 1, hash)
                         : hash_table_match(at, 2, hash) | hash_table_match(at + 4, 2, hash) << 4;

    if (__builtin_expect(found != 0, 1)) {
        return at + __builtin_ctz(found);
    }
    for (size_t i = home;; i = (i + 1) & mask) {
        uint64_t *slot = slots + i * words;

        if (slot[0] == hash) {
            return slot;
        }
        if (slot[0] == 0) {
            return NULL;
        }
    }
}

/* Places a hash that is not there; the caller has seen to it that there is room. */
void hash_table_insert(uint64_t *slots, unsigned log2, unsigned words, uint64_t hash,
                       uint64_t count);
/* Into a larger table, all zero. */
void hash_table_rehash(uint64_t *into, unsigned into_log2, const uint64_t *from, unsigned from_log2,
                       unsigned words);

/* Ascending walk: position runs over 0 .. 2^log2 - 1; NULL where that slot is free. */
size_t hash_table_start(const uint64_t *slots, unsigned log2, unsigned words);
static inline const uint64_t *
hash_table_at(const uint64_t *slots, unsigned log2, unsigned words, size_t start, size_t position)
{
    const size_t mask = ((size_t)1 << log2) - 1;
    const uint64_t *slot = slots + ((start + position) & mask) * words;

    return slot[0] == 0 ? NULL : slot;
}

#endif
