/* SPDX-License-Identifier: Apache-2.0 */
/* Text to a node: parse, check, then add what is new to the graph.
 *
 * Enters:  the text of a filter, a where or a column, and the columns in force.
 * Leaves:  the node that holds its value, and its static type.
 * Owner:   the registration; what is temporary lives in an arena that ends with the call.
 *
 * Invariants
 *   (1) The graph is not touched before the expression is known to be right.
 *   (2) Only needed terms become nodes: type words, the null of `x == null` and the arguments of
 *       functions that do not exist have no value.
 */
#include "expr/check.h"
#include "expr/graph.h"

/* Marks what the last term needs. Operands precede their users, so one pass from the back does. */
static void
mark_needed(struct tree *tree)
{
    tree->terms[tree->term_count - 1].is_needed = true;
    for (uint32_t i = tree->term_count; i-- > 0;) {
        const struct term *term = &tree->terms[i];

        for (uint32_t k = 0; term->is_needed && k < term->count; k++) {
            tree->terms[tree->arguments[term->first + k]].is_needed = true;
        }
    }
}

static uint32_t
emit_term(struct expr_graph *graph, const struct tree *tree, const struct term *term)
{
    uint32_t operands[EXPR_OPERANDS_MAX];

    if (term->kind == TERM_NAME) {
        return term->node;
    }
    if (term->kind == TERM_LITERAL) {
        return expr_graph_literal(graph, &term->literal);
    }
    for (uint32_t i = 0; i < term->count; i++) {
        operands[i] = tree->terms[tree->arguments[term->first + i]].node;
    }
    return graph_apply(graph, (enum expr_op)term->op, operands, term->count);
}

static enum bv_status
emit(struct expr_result *out, struct expr_graph *graph, struct tree *tree, struct bv_error *err)
{
    struct term *last = &tree->terms[tree->term_count - 1];

    mark_needed(tree);
    for (uint32_t i = 0; i < tree->term_count; i++) {
        struct term *term = &tree->terms[i];

        if (!term->is_needed) {
            continue;
        }
        term->node = emit_term(graph, tree, term);
        if (term->node == EXPR_NODE_NONE) {
            return graph->node_count == EXPR_NODES_MAX
                       ? bv_error_set(err, BV_INVALID_EXPRESSION,
                                      "the expressions of this source have more than %d distinct "
                                      "parts",
                                      EXPR_NODES_MAX)
                       : bv_error_set(err, BV_NO_MEMORY, "expression graph");
        }
    }
    out->node = last->node;
    out->type = last->type == CHECK_TYPE_UNKNOWN ? EXPR_TYPE_NULL : last->type;
    return BV_OK;
}

enum bv_status
expr_compile(struct expr_result *out, struct expr_graph *graph, struct slice text,
             const struct expr_scope *scope, enum expr_mode mode, enum expr_failure *failure,
             struct buf *warnings, struct bv_error *err)
{
    enum expr_failure ignored = EXPR_FAILURE_NONE;
    enum expr_failure *reason = failure == NULL ? &ignored : failure;
    struct arena arena;
    struct tree tree;
    enum bv_status status = BV_OK;

    arena_init(&arena, 65536, 0);
    *reason = EXPR_FAILURE_PARSE;
    status = parse_expression(&tree, text, &arena, err);
    if (status != BV_OK) {
        goto done;
    }
    status = check_tree(&tree, scope, mode, reason, warnings, err);
    if (status != BV_OK) {
        goto done;
    }
    status = emit(out, graph, &tree, err);
    if (status == BV_OK) {
        *reason = EXPR_FAILURE_NONE;
    }
done:
    arena_deinit(&arena);
    return status;
}
