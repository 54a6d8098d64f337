/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_UDD_H
#define BV_AGG_SKETCH_UDD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Quantiles of any number of values, each within a relative error, in at most 32 KiB.
 *
 * I. Epicoco, C. Melle, M. Cafaro, M. Pulimeno, G. Morleo, "UDDSketch: Accurate Tracking of
 * Quantiles in Data Streams", IEEE Access 8 (2020); after C. Masson, J. Rim, H. Lee, "DDSketch",
 * PVLDB 12 (2019). Buckets grow by the factor gamma = (1 + a) / (1 - a) with a = 0.01; each value
 * is one count in one bucket, read back as 2 lo hi / (lo + hi), the point whose relative error to
 * both ends is equal and least. When more than 2048 buckets are taken, each pair of neighbours
 * becomes one.
 *
 * Error: a value read at a rank lies within 1 % of the true value at that rank as long as no more
 * than 2048 buckets are taken, which holds for whatever spans 17 decades, and however much some
 * outliers span. After c collapses it is tanh(2^c atanh(0.01)): 2 %, 4 %, 8 % ...
 * A merged sketch is exactly that of the whole stream: counts do not depend on order, and the
 * number of collapses is the least that fits.
 *
 * The logarithm is the cubic interpolation between powers of two that DDSketch describes (2.2):
 * no call into libm, so every machine finds the same bucket; it asks for 1 % more buckets. */

#define UDD_BUCKETS_MAX  2048
#define UDD_LOG2_MAX     6 /* 32 KiB */
#define UDD_HEADER_SLOTS 6

struct udd {
    uint64_t n; /* all values */
    uint64_t zeros;
    double min, max;
    uint32_t used;     /* taken slots: buckets */
    uint32_t capacity; /* slots */
    uint32_t log2;     /* bytes are 512 << log2 */
    uint32_t level;    /* how often buckets were joined */
    /* bucket << 44 | count; 0 is free. Linear probing from a multiplicative hash: neighbouring
     * buckets scatter evenly, and a cluster of negative values does not run into its mirror. */
    uint64_t slots[];
};

#define UDD_COUNT_BITS 44
#define UDD_COUNT_MAX  ((1ull << UDD_COUNT_BITS) - 1)

static inline uint32_t
udd_size(unsigned log2)
{
    return 512u << log2;
}

/* Buckets are numbered so that they ascend as their values do: negative ones downward from the
 * middle, positive ones upward. */
#define UDD_MIDDLE (1u << 17)

/* 0.7 / ln(gamma): the interpolation is steepest, 10/7 per power of e, at powers of two. */
#define UDD_BUCKETS_PER_UNIT 34.99883330222059

/* The index of a magnitude > 0, finite: 35 per power of two, ascending, from 0 to 73 534. */
static inline uint32_t
udd_index(double magnitude)
{
    uint64_t bits;
    double mantissa;
    int32_t exponent = 54; /* so that it is positive below the normal numbers as well */

    memcpy(&bits, &magnitude, sizeof bits);
    if (bits >> 52 == 0) {
        magnitude *= 0x1p54;
        memcpy(&bits, &magnitude, sizeof bits);
        exponent = 0;
    }
    exponent += (int32_t)(bits >> 52);
    bits = (bits & ((1ull << 52) - 1)) | 1023ull << 52;
    memcpy(&mantissa, &bits, sizeof mantissa);
    mantissa -= 1;
    return (
        uint32_t)((exponent + ((6.0 / 35 * mantissa - 3.0 / 5) * mantissa + 10.0 / 7) * mantissa) *
                  UDD_BUCKETS_PER_UNIT);
}

static inline uint32_t
udd_bucket(double v, uint32_t level)
{
    return v > 0 ? UDD_MIDDLE + (udd_index(v) >> level) : UDD_MIDDLE - 1 - (udd_index(-v) >> level);
}

/* The slot of a bucket, or the free slot where it would stand. */
static inline uint64_t *
udd_slot(struct udd *sketch, uint32_t bucket)
{
    uint32_t i = (uint32_t)((uint64_t)(bucket * 0x9E3779B9u) * sketch->capacity >> 32);

    while (sketch->slots[i] != 0 && sketch->slots[i] >> UDD_COUNT_BITS != bucket) {
        i = i + 1 == sketch->capacity ? 0 : i + 1;
    }
    return &sketch->slots[i];
}

/* An empty sketch in udd_size(log2) bytes. */
void udd_init(struct udd *sketch, unsigned log2);
/* False, and nothing has changed, when a larger table is needed first. */
bool udd_put(struct udd *sketch, uint32_t bucket, uint64_t count);
/* All of a smaller one, into an empty larger one. */
void udd_copy(struct udd *into, const struct udd *from);
/* Buckets of the coarser of both, at least. */
void udd_coarsen(struct udd *sketch, uint32_t level);

/* One value that is finite. False: as udd_put. */
static inline bool
udd_add(struct udd *sketch, double v)
{
    if (v == 0) {
        sketch->zeros++;
    } else {
        const uint32_t bucket = udd_bucket(v, sketch->level);
        uint64_t *slot = udd_slot(sketch, bucket);

        if (__builtin_expect(*slot != 0 && (*slot & UDD_COUNT_MAX) != UDD_COUNT_MAX, 1)) {
            ++*slot;
        } else if (!udd_put(sketch, bucket, 1)) {
            return false;
        }
    }
    sketch->n++;
    sketch->min = v < sketch->min ? v : sketch->min;
    sketch->max = v > sketch->max ? v : sketch->max;
    return true;
}

/* The value at q in [0, 1] of a sketch that is not empty, between the two nearest ranks. */
double udd_quantile(const struct udd *sketch, double q);
/* The largest relative error of what udd_quantile reads. */
double udd_error(const struct udd *sketch);

#endif
