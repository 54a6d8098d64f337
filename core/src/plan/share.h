/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_PLAN_SHARE_H
#define BV_PLAN_SHARE_H

#include "plan/plan.h"

/* Decides which accumulators a table keeps: fills out->layout (steps and groups, not yet placed)
 * and out->features. `before` is the table as it was, or NULL; `version` the registry's. Memory
 * comes from `arena` for the features and from the layout's own arena for the rest. */
enum bv_status share_table(struct plan_table *out, const struct resolved_table *table,
                           const struct expr_graph *graph, const struct plan_table *before,
                           uint64_t version, struct arena *arena, struct bv_error *err);

#endif
