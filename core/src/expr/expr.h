/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_EXPR_H
#define BV_EXPR_EXPR_H

#include "util/arena.h"
#include "util/buf.h"
#include "util/error.h"
#include "wire/row.h"
#include "wire/value.h"

/* The expression language (operators.md 5): text -> nodes of one graph per event source -> values.
 *
 * A graph is hash-consed: a sub-expression that is written twice, in whatever table of the source,
 * is one node and is evaluated at most once per event. Nodes 0..field_count-1 are the event's
 * fields, so the values of a graph are an array that begins with the decoded row:
 * values[node] is the value of that node. Chain steps become nodes too (a cast, a fillna), which is
 * why a chain costs nothing at run time but its own arithmetic.
 *
 * Nodes are numbered children before parents. Evaluation has no side effects and never fails: what
 * cannot be computed is null. No recursion; depth is limited to EXPR_DEPTH_MAX at parse time. */

#define EXPR_DEPTH_MAX 512
#define EXPR_NODE_NONE UINT32_MAX
/* Nodes of one source; more is refused with BV_INVALID_EXPRESSION. */
#define EXPR_NODES_MAX 65536

/* Static types of chain expressions: the seven field types, or the null literal. */
#define EXPR_TYPE_NULL (-1)

struct expr_graph;
struct expr_program;

/* What a name means at one step of a chain. */
struct expr_column {
    struct slice name;
    int type; /* enum field_type or EXPR_TYPE_NULL */
    bool is_optional;
    uint32_t node;
};

/* The columns in force. Linear or hashed is the owner's business. */
struct expr_scope {
    const struct expr_column *(*find)(const struct expr_scope *scope, struct slice name);
    const void *context;
};

enum expr_mode {
    EXPR_WHERE, /* lenient: types and functions are not checked, mismatches are null (5.5) */
    EXPR_CHAIN, /* strict: static types, known functions, arity */
};

struct expr_result {
    uint32_t node;
    int type; /* EXPR_CHAIN: static type of the result; EXPR_WHERE: best knowledge or EXPR_TYPE_NULL
               */
};

/* Why an expression was refused; the caller chooses code and path. */
enum expr_failure { EXPR_FAILURE_NONE, EXPR_FAILURE_PARSE, EXPR_FAILURE_FIELD, EXPR_FAILURE_TYPE };

/* Fields become nodes 0..field_count-1. Names are copied. */
enum bv_status expr_graph_create(struct expr_graph **out, const struct row_field *fields,
                                 size_t field_count, struct bv_error *err);
void expr_graph_destroy(struct expr_graph *graph); /* accepts NULL */
uint32_t expr_graph_node_count(const struct expr_graph *graph);

/* Parses, resolves names through scope, checks per mode, adds the nodes. On failure
 * BV_INVALID_EXPRESSION, err->message begins with "col N: " for parse errors and names the field
 * for unknown fields; *failure says which. `warnings` (may be NULL) gets one line of text per
 * finding that EXPR_WHERE lets pass (W35: unknown function, arity, types that never match),
 * separated by '\n'. */
enum bv_status expr_compile(struct expr_result *out, struct expr_graph *graph, struct slice text,
                            const struct expr_scope *scope, enum expr_mode mode,
                            enum expr_failure *failure, struct buf *warnings, struct bv_error *err);

/* Chain steps as nodes. Each returns EXPR_NODE_NONE when memory or EXPR_NODES_MAX is spent. */
uint32_t expr_graph_literal(struct expr_graph *graph, const struct value *scalar);
uint32_t expr_graph_cast(struct expr_graph *graph, uint32_t node, enum field_type target);
/* node, or the literal where node is null */
uint32_t expr_graph_fill(struct expr_graph *graph, uint32_t node, const struct value *scalar);

/* Canonical text of a node: equal for equal sub-expressions, whatever graph they stand in, and
 * different for different ones. Fields stand by name. The identity of accumulators over schema
 * changes, so its form must not change between releases. */
void expr_graph_text(struct buf *out, const struct expr_graph *graph, uint32_t node);

/* The straight-line program that computes `roots` and what they need, fields excepted. */
enum bv_status expr_program_create(struct expr_program **out, const struct expr_graph *graph,
                                   const uint32_t *roots, size_t root_count, struct bv_error *err);
void expr_program_destroy(struct expr_program *program); /* accepts NULL */
bool expr_program_is_empty(const struct expr_program *program);
/* values: node_count slots, the fields filled in. Strings made on the way live in the arena; when
 * that is spent the value is null. String literals live as long as the program. Only roots and what
 * they need is written; of that, literals only where they are roots themselves. */
void expr_program_run(const struct expr_program *program, struct value *values,
                      struct arena *arena);

#endif
