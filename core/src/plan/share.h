/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_PLAN_SHARE_H
#define BV_PLAN_SHARE_H

#include "plan/plan.h"

/* Decides which accumulators a table keeps: fills out->layout (steps and groups, not yet placed)
 * and out->features. `before` is the table as it was, or NULL; `version` the registry's. With
 * is_restored nothing is new: each feature that reads anything is in `before`. Memory comes from
 * `arena` for the features and from the layout's own arena for the rest. */
enum bv_status share_table(struct plan_table *out, const struct resolved_table *table,
                           const struct expr_graph *graph, const struct plan_former_table *before,
                           bool is_restored, uint64_t version, struct arena *arena,
                           struct bv_error *err);
/* What the features of a plan's table read: `before` of the next one. */
bool share_former(struct plan_former_table *out, const struct plan_table *table,
                  struct arena *arena);

#endif
