/* SPDX-License-Identifier: Apache-2.0 */
/* HyperLogLog registers, merged and read.
 *
 * Enters:  registers.
 * Leaves:  an estimate.
 * Owner:   the caller.
 *
 * Invariants
 *   (1) A register holds the highest rank seen, 0 .. HLL_RANK_MAX.
 */
#include "agg/sketch/hll.h"

#include <math.h>

#include "util/assert.h"

void
hll_merge(uint8_t *into, const uint8_t *from)
{
    for (unsigned i = 0; i < HLL_REGISTERS; i++) {
        into[i] = into[i] > from[i] ? into[i] : from[i];
    }
}

/* Ertl's sigma: x + sum of 2^k x^(2^(k+1)); what the registers that are still 0 stand for. */
static double
sigma(double x)
{
    double power = x;
    double weight = 1;
    double sum = x;
    double before;

    do {
        power *= power;
        before = sum;
        sum += power * weight;
        weight += weight;
    } while (sum != before);
    return sum;
}

/* Ertl's tau: what the registers that cannot rise any more stand for. */
static double
tau(double x)
{
    double root = x;
    double weight = 1;
    double sum = 1 - x;
    double before;

    if (x == 0 || x == 1) {
        return 0;
    }
    do {
        root = sqrt(root);
        before = sum;
        weight *= 0.5;
        sum -= (1 - root) * (1 - root) * weight;
    } while (sum != before);
    return sum / 3;
}

double
hll_estimate(const uint8_t *registers)
{
    const double m = HLL_REGISTERS;
    uint32_t counts[HLL_RANK_MAX + 1] = {0};

    for (unsigned i = 0; i < HLL_REGISTERS; i++) {
        BV_ASSERT(registers[i] <= HLL_RANK_MAX);
        counts[registers[i]]++;
    }
    if (counts[0] == HLL_REGISTERS) {
        return 0;
    }

    double z = m * tau(1 - counts[HLL_RANK_MAX] / m);

    for (unsigned k = HLL_RANK_MAX - 1; k >= 1; k--) {
        z = 0.5 * (z + counts[k]);
    }
    z += m * sigma(counts[0] / m);
    return m * m / (2 * M_LN2 * z);
}
