/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <inttypes.h>
#include <math.h>

static uint64_t
cell_start_ns(uint32_t cell)
{
    uint32_t shift;

    if (cell < 2u << HISTOGRAM_DIGIT_BITS) {
        return cell;
    }
    shift = (cell >> HISTOGRAM_DIGIT_BITS) - 1;
    return (uint64_t)(cell - (shift << HISTOGRAM_DIGIT_BITS)) << shift;
}

uint64_t
histogram_quantile_ns(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->total);
    uint64_t seen = 0;

    if (wanted == 0) {
        wanted = 1;
    }
    for (uint32_t i = 0; i < HISTOGRAM_CELL_COUNT; i++) {
        seen += histogram->cells[i];
        if (seen >= wanted) {
            return cell_start_ns(i);
        }
    }
    return histogram->ns_max;
}

void
histogram_print_json(const struct histogram *histogram, FILE *out)
{
    const char *separator = "";

    fputc('[', out);
    for (uint32_t i = 0; i < HISTOGRAM_CELL_COUNT; i++) {
        if (histogram->cells[i] != 0) {
            fprintf(out, "%s[%" PRIu64 ",%" PRIu64 "]", separator, cell_start_ns(i),
                    histogram->cells[i]);
            separator = ",";
        }
    }
    fputc(']', out);
}
