/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_CHAIN_H
#define BV_REGISTRY_CHAIN_H

#include "expr/expr.h"
#include "registry/names.h"
#include "registry/report.h"

/* The columns in force at one step of a chain of stateless ops (operators.md 6), each a node of its
 * source's graph. A chain costs nothing at run time but its own arithmetic: rename and select only
 * change what names mean here. */

#define CHAIN_SOURCE_NONE SIZE_MAX

struct chain_column {
    struct expr_column column;
    bool is_live;   /* dropped columns keep their place */
    bool is_absent; /* known to the schema, never in a row: reads null (W46) */
};

struct chain {
    struct arena *arena;
    struct expr_graph *graph;
    size_t source; /* index of the event source at the root, CHAIN_SOURCE_NONE if there is none */
    struct chain_column *columns;
    size_t count, capacity;
    struct names names;
    uint32_t *filters; /* nodes that must all be true */
    size_t filter_count, filter_capacity;
    bool is_broken; /* refused: nothing that builds on it is looked at */
};

void chain_init(struct chain *chain, struct arena *arena, struct expr_graph *graph, size_t source);
/* The live column of this name, NULL when there is none. */
const struct chain_column *chain_find(const struct chain *chain, struct slice name);
/* Adds or replaces a column. False: memory is spent. */
bool chain_put(struct chain *chain, const struct expr_column *column, bool is_absent);
/* A copy that may change while the original stays. False: memory is spent. */
bool chain_copy(struct chain *out, const struct chain *chain);
/* Applies the ops before any group_by of one derivation. The first finding breaks the chain.
 * False: memory is spent. */
bool chain_apply(struct chain *chain, const struct value *ops, size_t op_count, size_t node_index,
                 struct report *report);
/* Names the column nearest to this one as the next error's hint. */
void chain_hint(const struct chain *chain, struct slice name, struct report *report);
/* Compiles a where= against the columns; same results as expr_compile. Absent columns that it reads
 * are counted in *absent_reads. */
enum bv_status chain_compile(struct expr_result *out, const struct chain *chain, struct slice text,
                             enum expr_mode mode, enum expr_failure *failure, size_t *absent_reads,
                             struct buf *warnings, struct bv_error *err);

#endif
