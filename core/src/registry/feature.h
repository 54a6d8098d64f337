/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_FEATURE_H
#define BV_REGISTRY_FEATURE_H

#include "registry/chain.h"
#include "registry/registry.h"

/* The group_by of one table while its features are judged and resolved. */
struct feature_site {
    const struct chain *chain; /* the columns it sees */
    size_t node_index, op_index;
    const struct names *keys; /* group keys */
    struct arena *arena;
    struct report *report;
    bool is_replay; /* from the log: compile only, policy was judged before */
};

/* Judges one feature (operators.md 4.2 C, rows 5 to 21, in that order; the first finding ends it)
 * and resolves it. `spec` is canonical. False: memory is spent. */
bool feature_resolve(struct resolved_feature *out, const struct feature_site *site,
                     struct slice name, const struct value *spec);

#endif
