/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_HISTOGRAM_H
#define BEAVA_LOAD_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

/* Counts of nanoseconds with three significant digits, from 1 ns to about 70 s.
 *
 * Values below 2048 have a cell of their own; above, each power of two is cut into 1024 cells, so
 * no value is off by more than a thousandth. Adding touches one cell.
 *
 * Invariants
 *   (1) total is the sum of all cells; a value beyond the range counts in the last cell. */
#define HISTOGRAM_DIGIT_BITS 10u
#define HISTOGRAM_POWERS     26u /* of two above 2048 */
#define HISTOGRAM_CELL_COUNT ((HISTOGRAM_POWERS + 2u) << HISTOGRAM_DIGIT_BITS)

struct histogram {
    uint64_t total;
    uint64_t ns_max;
    uint64_t cells[HISTOGRAM_CELL_COUNT];
};

static inline uint32_t
histogram_cell(uint64_t ns)
{
    uint32_t shift;
    uint64_t cell;

    if (ns < 2u << HISTOGRAM_DIGIT_BITS) {
        return (uint32_t)ns;
    }
    shift = 63u - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_DIGIT_BITS;
    cell = ((uint64_t)shift << HISTOGRAM_DIGIT_BITS) + (ns >> shift);
    return cell < HISTOGRAM_CELL_COUNT ? (uint32_t)cell : HISTOGRAM_CELL_COUNT - 1;
}

static inline void
histogram_add(struct histogram *histogram, uint64_t ns, uint64_t count)
{
    histogram->cells[histogram_cell(ns)] += count;
    histogram->total += count;
    if (ns > histogram->ns_max) {
        histogram->ns_max = ns;
    }
}

/* The smallest value that at least `share` (0..1) of all do not exceed; 0 when empty. */
uint64_t histogram_quantile_ns(const struct histogram *histogram, double share);
/* [[ns, count], ...] of the cells that are not empty; ns is the cell's lower edge. */
void histogram_print_json(const struct histogram *histogram, FILE *out);

#endif
