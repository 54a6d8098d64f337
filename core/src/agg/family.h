/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_FAMILY_H
#define BV_AGG_FAMILY_H

#include "agg/op.h"

/* The rows of one file. The catalogue is the list of these and knows no operator by name. */
struct agg_family {
    const struct agg_op *ops;
    unsigned op_count;
    const struct agg_accumulator *const *accumulators;
    unsigned accumulator_count;
};

extern const struct agg_family family_basic;
extern const struct agg_family family_recency;
extern const struct agg_family family_decay;
extern const struct agg_family family_velocity;
extern const struct agg_family family_deviation;
extern const struct agg_family family_shape;
extern const struct agg_family family_season;
extern const struct agg_family family_buffer;
extern const struct agg_family family_geo;
extern const struct agg_family family_distinct;
extern const struct agg_family family_quantile;
extern const struct agg_family family_entropy;

#endif
