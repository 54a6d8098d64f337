/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_HLL_H
#define BV_AGG_SKETCH_HLL_H

#include <stdint.h>

/* How many distinct hashes there were, in 4 KiB.
 *
 * P. Flajolet, E. Fusy, O. Gandouet, F. Meunier, "HyperLogLog" (2007), over 64-bit hashes with
 * 2^12 registers; estimated after O. Ertl, "New cardinality estimation algorithms for HyperLogLog
 * sketches" (arXiv:1702.01284, 2017), section 2.4: unbiased over the whole range without the
 * tables of HLL++, and the same standard error.
 *
 * Error: relative standard error 1.04 / sqrt(4096) = 1.63 %, so 95 % of estimates lie within
 * 3.3 % and practically all within 6.5 %. The sketch of a union is exactly that of the stream. */

#define HLL_BITS      12
#define HLL_REGISTERS (1u << HLL_BITS)
#define HLL_RANK_MAX  (64 - HLL_BITS + 1)

/* `registers` are HLL_REGISTERS bytes, all zero at first. */
static inline void
hll_add(uint8_t *registers, uint64_t hash)
{
    uint8_t *at = registers + (hash >> (64 - HLL_BITS));
    /* The set bit below the hash's own ends the count of zeros at HLL_RANK_MAX. */
    const uint64_t rest = hash << HLL_BITS | 1ull << (HLL_BITS - 1);
    const uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);

    if (rank > *at) {
        *at = rank;
    }
}

void hll_merge(uint8_t *into, const uint8_t *from);
double hll_estimate(const uint8_t *registers);

#endif
