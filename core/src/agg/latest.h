/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_LATEST_H
#define BV_AGG_LATEST_H

#include "agg/op.h"

/* The latest number of a stream, alone or with what else is known of it. `x` comes first in each,
 * so that who wants only that can read any of them. */
struct latest_number {
    double x;
};

struct latest_pair {
    double x;
    double previous;
};

struct latest_point {
    double x;
    uint64_t at_ms;
};

extern const struct agg_accumulator latest_number_accumulator;
extern const struct agg_accumulator latest_pair_accumulator;
extern const struct agg_accumulator latest_point_accumulator;

/* False while there is none. */
bool latest_is_set(double x);

#endif
