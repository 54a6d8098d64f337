/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_KEYS_H
#define BEAVA_LOAD_KEYS_H

#include <stdint.h>

/* Which entity an event belongs to, and how its key is spelt.
 *
 * Enters:  a shape, a number of entities, a seed.
 * Leaves:  indices in [0, cardinality), and their keys of KEY_SIZE characters.
 * Owner:   the pool that is being encoded.
 *
 * Invariants
 *   (1) Same seed, same indices.
 *   (2) Keys of both spellings have the same size and are distinct for distinct indices, so that
 *       two runs differ in what a hash makes of them and in nothing else. */
#define KEY_SIZE        9u
#define CARDINALITY_MAX 100000000u

enum key_distribution {
    KEYS_FIXED,   /* one entity */
    KEYS_UNIFORM, /* any, equally likely */
    KEYS_ZIPFIAN, /* few often, many seldom: Gray et al., SIGMOD 1994 */
    KEYS_MIXED,   /* uniform over 1 000 000, and over several event names */
    KEYS_SWEEP,   /* each exactly once, in scattered order, then again */
};

enum key_spelling {
    KEYS_PADDED,    /* k00000123: what breaks a weak hash */
    KEYS_SCATTERED, /* 9 hex digits */
};

struct key_source {
    enum key_distribution distribution;
    uint64_t cardinality;
    uint64_t random_state;
    uint64_t sequence;
    double alpha;
    double zeta;     /* sum of 1/i^alpha up to the cardinality */
    double zeta_two; /* of the first two terms */
    double eta;
};

void keys_init(struct key_source *keys, enum key_distribution distribution, uint64_t cardinality,
               double alpha, uint64_t seed);
uint64_t keys_next(struct key_source *keys);
/* 64 random bits from the same stream. */
uint64_t keys_random(struct key_source *keys);
void keys_spell(char out[KEY_SIZE], uint64_t index, enum key_spelling spelling);

#endif
