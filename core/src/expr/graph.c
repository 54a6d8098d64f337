/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of an event source: every distinct sub-expression of all its tables, once.
 *
 * Enters:  fields at creation; nodes through expr_compile and the chain steps.
 * Leaves:  node numbers, equal for equal sub-expressions.
 * Owner:   whoever compiles the source; immutable once the plan is made.
 *
 * Invariants
 *   (1) Operands have smaller numbers than the node, so ascending order is an evaluation order.
 *   (2) No two nodes are equal: op, operands and literal (by kind and bits) identify a node.
 *   (3) Nothing is ever removed. A refused expression adds nothing (check runs before emission).
 */
#include "expr/graph.h"

#include <stdlib.h>

static const struct {
    const char *word;
    unsigned arity;
} ops[EXPR_OP_COUNT] = {
    [EXPR_FIELD] = {"field", 0},
    [EXPR_LITERAL] = {"literal", 0},
    [EXPR_NOT] = {"not", 1},
    [EXPR_AND] = {"and", 2},
    [EXPR_OR] = {"or", 2},
    [EXPR_ADD] = {"+", 2},
    [EXPR_SUB] = {"-", 2},
    [EXPR_MUL] = {"*", 2},
    [EXPR_DIV] = {"/", 2},
    [EXPR_GT] = {">", 2},
    [EXPR_GE] = {">=", 2},
    [EXPR_LT] = {"<", 2},
    [EXPR_LE] = {"<=", 2},
    [EXPR_EQ] = {"==", 2},
    [EXPR_NE] = {"!=", 2},
    [EXPR_ISNULL] = {"isnull", 1},
    [EXPR_CAST_STR] = {"str", 1},
    [EXPR_CAST_INT] = {"int", 1},
    [EXPR_CAST_FLOAT] = {"float", 1},
    [EXPR_CAST_BOOL] = {"bool", 1},
    [EXPR_QUADKEY] = {"quadkey", 3},
    [EXPR_FILL] = {"fill", 2},
};

unsigned
graph_op_arity(enum expr_op op)
{
    return ops[op].arity;
}

const char *
graph_op_word(enum expr_op op)
{
    return ops[op].word;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static bool
is_text(const struct value *v)
{
    return v->kind == VALUE_STR || v->kind == VALUE_BYTES;
}

static uint64_t
node_hash(const struct expr_node *node)
{
    uint64_t h = mix(0x2545F4914F6CDD1Du, node->op);

    for (unsigned i = 0; i < EXPR_OPERANDS_MAX; i++) {
        h = mix(h, node->operands[i]);
    }
    if (node->op != EXPR_LITERAL) {
        return h;
    }
    h = mix(h, node->literal.kind);
    if (!is_text(&node->literal)) {
        return mix(h, node->literal.as.bits);
    }
    for (uint32_t i = 0; i < node->literal.length; i++) {
        h = mix(h, node->literal.as.bytes[i]);
    }
    return h;
}

static bool
node_equal(const struct expr_node *a, const struct expr_node *b)
{
    if (a->op != b->op || memcmp(a->operands, b->operands, sizeof a->operands) != 0) {
        return false;
    }
    if (a->op != EXPR_LITERAL) {
        return true;
    }
    if (a->literal.kind != b->literal.kind) {
        return false;
    }
    return is_text(&a->literal) ? slice_equal(value_slice(&a->literal), value_slice(&b->literal))
                                : a->literal.as.bits == b->literal.as.bits;
}

/* Where the node is, or the free slot where it belongs. */
static uint32_t *
find_slot(const struct expr_graph *graph, const struct expr_node *node)
{
    uint32_t mask = graph->slot_count - 1;
    uint32_t at = (uint32_t)node_hash(node) & mask;

    while (graph->slots[at] != 0 && !node_equal(&graph->nodes[graph->slots[at] - 1], node)) {
        at = (at + 1) & mask;
    }
    return &graph->slots[at];
}

/* Room for one more node, in the array and (at most half full) in the table. */
static bool
make_room(struct expr_graph *graph)
{
    if (graph->node_count == graph->node_capacity) {
        uint32_t capacity = graph->node_capacity == 0 ? 64 : graph->node_capacity * 2;
        struct expr_node *nodes =
            (struct expr_node *)realloc(graph->nodes, capacity * sizeof *nodes);

        if (nodes == NULL) {
            return false;
        }
        graph->nodes = nodes;
        graph->node_capacity = capacity;
    }
    if (graph->slot_count < graph->node_count * 2 + 2) {
        uint32_t count = graph->slot_count == 0 ? 128 : graph->slot_count * 2;
        uint32_t *slots = (uint32_t *)calloc(count, sizeof *slots);

        if (slots == NULL) {
            return false;
        }
        free(graph->slots);
        graph->slots = slots;
        graph->slot_count = count;
        for (uint32_t i = 0; i < graph->node_count; i++) {
            if (graph->nodes[i].op != EXPR_FIELD) {
                *find_slot(graph, &graph->nodes[i]) = i + 1;
            }
        }
    }
    return true;
}

static uint32_t
intern(struct expr_graph *graph, struct expr_node node)
{
    if (graph->slots != NULL) {
        uint32_t known = *find_slot(graph, &node);

        if (known != 0) {
            return known - 1;
        }
    }
    if (graph->node_count == EXPR_NODES_MAX || !make_room(graph)) {
        return EXPR_NODE_NONE;
    }
    if (node.op == EXPR_LITERAL && is_text(&node.literal)) {
        node.literal.as.bytes = (const uint8_t *)arena_copy(
            &graph->arena, node.literal.length == 0 ? "" : node.literal.as.str,
            node.literal.length);
        if (node.literal.as.bytes == NULL) {
            return EXPR_NODE_NONE;
        }
    }
    *find_slot(graph, &node) = graph->node_count + 1;
    graph->nodes[graph->node_count] = node;
    return graph->node_count++;
}

uint32_t
graph_apply(struct expr_graph *graph, enum expr_op op, const uint32_t *operands,
            unsigned operand_count)
{
    struct expr_node node = {.op = (uint8_t)op};

    for (unsigned i = 0; i < EXPR_OPERANDS_MAX; i++) {
        node.operands[i] = i < operand_count ? operands[i] : EXPR_NODE_NONE;
    }
    return intern(graph, node);
}

enum bv_status
expr_graph_create(struct expr_graph **out, const struct row_field *fields, size_t field_count,
                  struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct expr_graph *graph = (struct expr_graph *)calloc(1, sizeof *graph);

    if (graph == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "expression graph");
        goto done;
    }
    arena_init(&graph->arena, 4096, 0);
    if (field_count > EXPR_NODES_MAX) {
        status = bv_error_set(err, BV_INVALID_EXPRESSION, "more than %d fields", EXPR_NODES_MAX);
        goto done;
    }
    for (size_t i = 0; i < field_count; i++) {
        struct expr_node node = {.op = EXPR_FIELD,
                                 .operands = {EXPR_NODE_NONE, EXPR_NODE_NONE, EXPR_NODE_NONE}};
        const void *name = arena_copy(
            &graph->arena, fields[i].name.size == 0 ? (const void *)"" : fields[i].name.data,
            fields[i].name.size);

        if (name == NULL || !make_room(graph)) {
            status = bv_error_set(err, BV_NO_MEMORY, "expression graph of %zu fields", field_count);
            goto done;
        }
        node.name = slice_of(name, fields[i].name.size);
        graph->nodes[graph->node_count++] = node;
    }
    *out = graph;
    graph = NULL; /* handed over */
done:
    expr_graph_destroy(graph);
    return status;
}

void
expr_graph_destroy(struct expr_graph *graph)
{
    if (graph == NULL) {
        return;
    }
    arena_deinit(&graph->arena);
    free(graph->slots);
    free(graph->nodes);
    free(graph);
}

uint32_t
expr_graph_node_count(const struct expr_graph *graph)
{
    return graph->node_count;
}

uint32_t
expr_graph_literal(struct expr_graph *graph, const struct value *scalar)
{
    struct expr_node node = {.op = EXPR_LITERAL,
                             .operands = {EXPR_NODE_NONE, EXPR_NODE_NONE, EXPR_NODE_NONE},
                             .literal = *scalar};

    /* Lists and maps are no scalars: a literal of one is null (operators.md 6, fillna). */
    if (scalar->kind == VALUE_LIST || scalar->kind == VALUE_MAP || scalar->kind == VALUE_NULL) {
        node.literal = value_null();
    }
    return intern(graph, node);
}

uint32_t
expr_graph_cast(struct expr_graph *graph, uint32_t node, enum field_type target)
{
    enum expr_op op = target == FIELD_STR   ? EXPR_CAST_STR
                      : target == FIELD_I64 ? EXPR_CAST_INT
                      : target == FIELD_F64 ? EXPR_CAST_FLOAT
                                            : EXPR_CAST_BOOL;

    return graph_apply(graph, op, &node, 1);
}

uint32_t
expr_graph_fill(struct expr_graph *graph, uint32_t node, const struct value *scalar)
{
    uint32_t operands[2] = {node, expr_graph_literal(graph, scalar)};

    return operands[1] == EXPR_NODE_NONE ? EXPR_NODE_NONE
                                         : graph_apply(graph, EXPR_FILL, operands, 2);
}
