/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical text of a node: the name by which an accumulator's input is known again after the
 * schema has changed.
 *
 * Enters:  a node of any graph.
 * Leaves:  text, the same for the same sub-expression of another graph.
 * Owner:   the caller's buffer.
 *
 * Invariants
 *   (1) Prefix form, `(> amount 100)`. Fields stand as they are where the language could name them,
 *       otherwise between backticks, doubled inside; strings are JSON strings; a float always has a
 *       '.', an exponent or stands as (f64 "NaN"): no two different leaves look alike.
 *   (2) Compound parts are numbered in the order in which they open; a second use is `#n`. So the
 *       text is as long as the graph, and not as the tree: fifty doublings in with_columns make
 *       fifty parts, not 2^50.
 *   (3) This form does not change between releases.
 */
#include "expr/graph.h"

#include <math.h>
#include <stdlib.h>

#include "expr/lex.h"
#include "wire/json.h"

static void
write_field(struct buf *out, struct slice name)
{
    if (lex_is_name(name)) {
        buf_append(out, name.data, name.size);
        return;
    }
    buf_byte(out, '`');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '`') {
            buf_byte(out, '`');
        }
        buf_byte(out, name.data[i]);
    }
    buf_byte(out, '`');
}

static void
write_literal(struct buf *out, const struct value *literal)
{
    switch ((enum value_kind)literal->kind) {
    case VALUE_BOOL:
        buf_text(out, literal->as.bits != 0 ? "true" : "false");
        break;
    case VALUE_I64:
        json_write_i64(out, literal->as.i64);
        break;
    case VALUE_F64:
        if (isfinite(literal->as.f64)) {
            json_write_f64(out, literal->as.f64);
        } else {
            buf_printf(out, "(f64 \"%016llx\")", (unsigned long long)literal->as.bits);
        }
        break;
    case VALUE_STR:
        json_write_string(out, value_slice(literal));
        break;
    case VALUE_BYTES:
        buf_text(out, "(bytes \"");
        for (uint32_t i = 0; i < literal->length; i++) {
            buf_printf(out, "%02x", literal->as.bytes[i]);
        }
        buf_text(out, "\")");
        break;
    default:
        buf_text(out, "null");
        break;
    }
}

struct visit {
    uint32_t node; /* EXPR_NODE_NONE closes a parenthesis */
};

struct writer {
    struct buf *out;
    const struct expr_graph *graph;
    uint32_t *numbers; /* by node: 1 + its number, 0 = not yet written */
    uint32_t number_count;
    struct visit *stack;
    size_t visit_count;
};

static void
write_node(struct writer *writer, uint32_t index)
{
    const struct expr_node *node = &writer->graph->nodes[index];
    unsigned arity = graph_op_arity((enum expr_op)node->op);

    if (node->op == EXPR_FIELD) {
        write_field(writer->out, node->name);
        return;
    }
    if (node->op == EXPR_LITERAL) {
        write_literal(writer->out, &node->literal);
        return;
    }
    if (writer->numbers[index] != 0) {
        buf_printf(writer->out, "#%u", writer->numbers[index] - 1);
        return;
    }
    writer->numbers[index] = ++writer->number_count;
    buf_byte(writer->out, '(');
    buf_text(writer->out, graph_op_word((enum expr_op)node->op));
    writer->stack[writer->visit_count++].node = EXPR_NODE_NONE;
    for (unsigned i = arity; i-- > 0;) {
        writer->stack[writer->visit_count++].node = node->operands[i];
    }
}

void
expr_graph_text(struct buf *out, const struct expr_graph *graph, uint32_t node)
{
    /* Each compound is opened once and pushes its operands and its end; all are at or below node.
     */
    size_t stack_size = ((size_t)node + 1) * (EXPR_OPERANDS_MAX + 1) + 1;
    struct writer writer = {.out = out, .graph = graph};

    if (graph->nodes[node].op == EXPR_FIELD || graph->nodes[node].op == EXPR_LITERAL) {
        write_node(&writer, node);
        return;
    }
    writer.numbers = (uint32_t *)calloc((size_t)node + 1, sizeof *writer.numbers);
    writer.stack = (struct visit *)malloc(stack_size * sizeof *writer.stack);
    if (writer.numbers == NULL || writer.stack == NULL) {
        out->failed = true;
        goto done;
    }
    write_node(&writer, node);
    while (writer.visit_count != 0) {
        uint32_t next = writer.stack[--writer.visit_count].node;

        if (next == EXPR_NODE_NONE) {
            buf_byte(out, ')');
        } else {
            buf_byte(out, ' ');
            write_node(&writer, next);
        }
    }
done:
    free(writer.stack);
    free(writer.numbers);
}
