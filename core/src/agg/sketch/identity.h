/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_IDENTITY_H
#define BV_AGG_SKETCH_IDENTITY_H

#include <immintrin.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire/value.h"

/* When two values are one (operators.md 4.6, W1), as a 64-bit hash: XXH3 with a fixed seed, for
 * hashes are kept in states and must mean the same after a restart.
 *
 * Identity is (type, value). In a numeric column int and float are one type, compared exactly:
 * 1 and 1.0 are equal, 2^53 + 1 and 2^53 as a float are not. Elsewhere they differ, and floats are
 * told apart by their bits. Lists are equal by their elements, maps whatever the order of their
 * members. Different values share a hash with probability 2^-64 a pair. */

#define IDENTITY_SEED 0x0b5e1ec7u

/* The seed is public: who can choose values can make their hashes collide. That costs the
 * attacker's own entity precision and some time, never memory. */

uint64_t identity_hash_tree(const struct value *v);

_Static_assert(VALUE_I64 + 1 == VALUE_F64, "identity_number turns one kind into the other");

/* A float of a numeric column that has a whole value within i64 becomes that int. Without a branch:
 * prices and counts are whole as often as not. (What does not fit i64 converts to its minimum,
 * which as a float is then another number.) */
static inline struct value
identity_number(struct value v)
{
    if (v.kind == VALUE_F64) {
        const int64_t whole = _mm_cvttsd_si64(_mm_set_sd(v.as.f64));
        const uint64_t mask = 0 - (uint64_t)((double)whole == v.as.f64);

        v.as.bits ^= (v.as.bits ^ (uint64_t)whole) & mask;
        v.kind = (uint8_t)(v.kind - (mask & 1));
    }
    return v;
}

static inline uint64_t
identity_hash_bits(uint64_t bits, uint8_t kind)
{
    return XXH3_64bits_withSeed(&bits, sizeof bits, IDENTITY_SEED + kind);
}

/* Never 0, which marks free slots. */
static inline uint64_t
identity_hash(const struct value *v, bool is_numeric)
{
    uint64_t hash = 0;

    if (v->kind == VALUE_STR || v->kind == VALUE_BYTES) {
        hash = XXH3_64bits_withSeed(v->as.bytes, v->length, IDENTITY_SEED + v->kind);
    } else if (v->kind == VALUE_LIST || v->kind == VALUE_MAP) {
        hash = identity_hash_tree(v);
    } else {
        const struct value number = is_numeric ? identity_number(*v) : *v;

        hash = identity_hash_bits(number.as.bits, number.kind);
    }
    return hash | (hash == 0);
}

#endif
