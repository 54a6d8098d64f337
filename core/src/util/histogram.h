/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_HISTOGRAM_H
#define BV_UTIL_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* Durations, counted by powers of two of a microsecond: one thread writes, any thread reads. A
 * reader may see a count that its sum does not hold yet; both only grow. */
#define HISTOGRAM_BUCKETS 25 /* up to 1, 2, 4 ... 2^23 us (8.4 s), and everything above */

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
};

/* One writer: a load and a store, no locked instruction. */
static inline void
histogram_add(struct histogram *histogram, uint64_t ns)
{
    const uint64_t us = (ns + 999) / 1000;
    unsigned bucket = us <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(us - 1);
    _Atomic uint64_t *count = 0;

    if (bucket >= HISTOGRAM_BUCKETS) {
        bucket = HISTOGRAM_BUCKETS - 1;
    }
    count = &histogram->counts[bucket];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&histogram->sum_ns,
                          atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed) + ns,
                          memory_order_relaxed);
    if (ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed)) {
        atomic_store_explicit(&histogram->max_ns, ns, memory_order_relaxed);
    }
}

/* Upper bound of a bucket in microseconds; UINT64_MAX for the last. */
static inline uint64_t
histogram_bound_us(unsigned bucket)
{
    return bucket == HISTOGRAM_BUCKETS - 1 ? UINT64_MAX : 1ull << bucket;
}

#endif
