/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_GRAPH_H
#define BV_EXPR_GRAPH_H

#include "expr/expr.h"

/* The graph from inside the room. */

enum expr_op {
    EXPR_FIELD,
    EXPR_LITERAL,
    EXPR_NOT,
    EXPR_AND,
    EXPR_OR,
    EXPR_ADD,
    EXPR_SUB,
    EXPR_MUL,
    EXPR_DIV,
    EXPR_GT,
    EXPR_GE,
    EXPR_LT,
    EXPR_LE,
    EXPR_EQ,
    EXPR_NE,
    EXPR_ISNULL,
    EXPR_CAST_STR,
    EXPR_CAST_INT,
    EXPR_CAST_FLOAT,
    EXPR_CAST_BOOL,
    EXPR_QUADKEY,
    EXPR_FILL, /* operand 0, or operand 1 where that is null */
    EXPR_OP_COUNT,
};

#define EXPR_OPERANDS_MAX 3

struct expr_node {
    uint8_t op;
    uint32_t operands[EXPR_OPERANDS_MAX]; /* EXPR_NODE_NONE where there is none */
    struct slice name;                    /* EXPR_FIELD */
    struct value literal;                 /* EXPR_LITERAL */
};

struct expr_graph {
    struct expr_node *nodes;
    uint32_t node_count;
    uint32_t node_capacity;
    uint32_t *slots; /* open addressing: node + 1, 0 = free */
    uint32_t slot_count;
    struct arena arena; /* names and string literals */
};

unsigned graph_op_arity(enum expr_op op);
/* The word that stands for an op in canonical text. Part of accumulator identity: never changes. */
const char *graph_op_word(enum expr_op op);

/* The node that applies op to these operands, found or added. EXPR_NODE_NONE: see expr.h. */
uint32_t graph_apply(struct expr_graph *graph, enum expr_op op, const uint32_t *operands,
                     unsigned operand_count);

#endif
