/* SPDX-License-Identifier: Apache-2.0 */
/* UDDSketch over a sparse table: outliers cost a bucket each, not the resolution of all.
 *
 * Enters:  buckets and counts.
 * Leaves:  quantiles.
 * Owner:   the caller, of all memory.
 *
 * Invariants
 *   (1) Each bucket stands in one slot; at most three slots in four are taken.
 *   (2) used <= UDD_BUCKETS_MAX; level is the least that makes it so.
 *   (3) n = zeros + all counts, but for counts that were clipped at UDD_COUNT_MAX.
 */
#include "agg/sketch/udd.h"

#include <math.h>

#include "util/assert.h"

void
udd_init(struct udd *sketch, unsigned log2)
{
    memset(sketch, 0, udd_size(log2));
    sketch->min = INFINITY;
    sketch->max = -INFINITY;
    sketch->log2 = log2;
    sketch->capacity = udd_size(log2) / 8 - UDD_HEADER_SLOTS;
}

_Static_assert(sizeof(struct udd) == UDD_HEADER_SLOTS * 8, "slots fill the rest of the block");

/* The bucket that takes two neighbours in. */
static uint32_t
coarser(uint32_t bucket)
{
    return bucket >= UDD_MIDDLE ? UDD_MIDDLE + ((bucket - UDD_MIDDLE) >> 1)
                                : UDD_MIDDLE - 1 - ((UDD_MIDDLE - 1 - bucket) >> 1);
}

static void
place(struct udd *sketch, uint32_t bucket, uint64_t count)
{
    uint64_t *slot = udd_slot(sketch, bucket);
    const uint64_t total = (*slot & UDD_COUNT_MAX) + count;

    sketch->used += *slot == 0;
    *slot = (uint64_t)bucket << UDD_COUNT_BITS | (total > UDD_COUNT_MAX ? UDD_COUNT_MAX : total);
}

static void
collapse(struct udd *sketch)
{
    uint64_t kept[UDD_BUCKETS_MAX + 1];
    uint32_t count = 0;

    for (uint32_t i = 0; i < sketch->capacity; i++) {
        if (sketch->slots[i] != 0) {
            kept[count++] = sketch->slots[i];
            sketch->slots[i] = 0;
        }
    }
    BV_ASSERT(count == sketch->used);
    sketch->used = 0;
    sketch->level++;
    for (uint32_t i = 0; i < count; i++) {
        place(sketch, coarser((uint32_t)(kept[i] >> UDD_COUNT_BITS)), kept[i] & UDD_COUNT_MAX);
    }
}

void
udd_coarsen(struct udd *sketch, uint32_t level)
{
    while (sketch->level < level) {
        collapse(sketch);
    }
}

bool
udd_put(struct udd *sketch, uint32_t bucket, uint64_t count)
{
    if (*udd_slot(sketch, bucket) == 0 && sketch->log2 < UDD_LOG2_MAX &&
        (sketch->used + 1) * 4 > sketch->capacity * 3) {
        return false;
    }
    place(sketch, bucket, count);
    while (sketch->used > UDD_BUCKETS_MAX) {
        collapse(sketch);
    }
    return true;
}

void
udd_copy(struct udd *into, const struct udd *from)
{
    into->n = from->n;
    into->zeros = from->zeros;
    into->min = from->min;
    into->max = from->max;
    into->level = from->level;
    for (uint32_t i = 0; i < from->capacity; i++) {
        if (from->slots[i] != 0) {
            place(into, (uint32_t)(from->slots[i] >> UDD_COUNT_BITS),
                  from->slots[i] & UDD_COUNT_MAX);
        }
    }
}

/* ---- reading ---- */

/* The least magnitude of an index, the inverse of udd_index, over 2^exponent_base (in the scale of
 * udd_index, where 2^0 has 1077): near 1 for neighbours, whatever their size. Infinite when it is
 * far above. */
static double
magnitude_of(uint64_t index, int exponent_base)
{
    const double t = (double)index / UDD_BUCKETS_PER_UNIT;
    const double whole = floor(t);
    double s = t - whole;

    /* Newton on a cubic that rises everywhere: from here it settles within six steps. */
    for (int i = 0; i < 8; i++) {
        const double f = ((6.0 / 35 * s - 3.0 / 5) * s + 10.0 / 7) * s - (t - whole);

        s -= f / ((18.0 / 35 * s - 6.0 / 5) * s + 10.0 / 7);
    }
    return ldexp(1 + s, (int)whole - exponent_base);
}

static double
value_of(const struct udd *sketch, uint32_t bucket)
{
    const bool is_negative = bucket < UDD_MIDDLE;
    const uint64_t index = is_negative ? UDD_MIDDLE - 1 - bucket : bucket - UDD_MIDDLE;
    const uint64_t from = index << sketch->level;
    const int base = (int)((double)from / UDD_BUCKETS_PER_UNIT);
    const double low = magnitude_of(from, base);
    const double high = magnitude_of((index + 1) << sketch->level, base);
    /* 2 lo hi / (lo + hi), rounded once: below the normal numbers that is what keeps it close. */
    const double middle = ldexp(2 * low / (1 + low / high), base - 54 - 1023);
    const double v = is_negative ? -middle : middle;

    /* No value lay outside: at the ends this is exact. */
    return v < sketch->min ? sketch->min : v > sketch->max ? sketch->max : v;
}

#define COARSE_SHIFT 9
#define COARSE_COUNT (UDD_MIDDLE * 2 >> COARSE_SHIFT)

/* The bucket of the value at `rank` of all but the zeros, in two passes over the slots: which 512
 * buckets, then which of them. UDD_MIDDLE * 2 when there is none. */
static uint32_t
bucket_at(const struct udd *sketch, uint64_t rank)
{
    uint64_t coarse[COARSE_COUNT] = {0};
    uint64_t fine[1 << COARSE_SHIFT] = {0};
    uint32_t part = 0;

    for (uint32_t i = 0; i < sketch->capacity; i++) {
        coarse[sketch->slots[i] >> (UDD_COUNT_BITS + COARSE_SHIFT)] +=
            sketch->slots[i] & UDD_COUNT_MAX;
    }
    while (part < COARSE_COUNT && rank >= coarse[part]) {
        rank -= coarse[part++];
    }
    for (uint32_t i = 0; i < sketch->capacity; i++) {
        const uint64_t slot = sketch->slots[i];

        if (slot >> (UDD_COUNT_BITS + COARSE_SHIFT) == part) {
            fine[(slot >> UDD_COUNT_BITS) & ((1u << COARSE_SHIFT) - 1)] += slot & UDD_COUNT_MAX;
        }
    }
    for (uint32_t i = 0; part < COARSE_COUNT && i < 1u << COARSE_SHIFT; i++) {
        if (rank < fine[i]) {
            return part << COARSE_SHIFT | i;
        }
        rank -= fine[i];
    }
    return UDD_MIDDLE * 2;
}

/* The value at a rank of all, zeros between the negative and the positive. */
static double
value_at(const struct udd *sketch, uint64_t rank)
{
    uint64_t negative = 0;
    uint32_t bucket = UDD_MIDDLE * 2;

    if (rank == 0 || rank + 1 >= sketch->n) {
        return rank == 0 ? sketch->min : sketch->max;
    }
    for (uint32_t i = 0; sketch->min < 0 && i < sketch->capacity; i++) {
        const bool is_negative = sketch->slots[i] >> UDD_COUNT_BITS < UDD_MIDDLE;

        negative += is_negative ? sketch->slots[i] & UDD_COUNT_MAX : 0;
    }
    if (rank >= negative && rank - negative < sketch->zeros) {
        return 0;
    }
    bucket = bucket_at(sketch, rank < negative ? rank : rank - sketch->zeros);
    return bucket == UDD_MIDDLE * 2 ? sketch->max : value_of(sketch, bucket);
}

double
udd_quantile(const struct udd *sketch, double q)
{
    const double position = q * (double)(sketch->n - 1);
    const uint64_t rank = (uint64_t)position;
    const double part = position - (double)rank;
    const double low = value_at(sketch, rank);

    if (part == 0) {
        return low;
    }

    const double high = value_at(sketch, rank + 1);

    /* Opposite signs cannot cancel; equal ones cannot overflow. */
    return low < 0 && high > 0 ? low * (1 - part) + high * part : low + (high - low) * part;
}

double
udd_error(const struct udd *sketch)
{
    return tanh(ldexp(atanh(0.01), (int)sketch->level));
}
