/* SPDX-License-Identifier: Apache-2.0 */
/* A graph as a list of instructions, run once per event.
 *
 * Enters:  an array of values that begins with the decoded row.
 * Leaves:  the values of the roots, and of what they need, at their nodes' places.
 * Owner:   the plan; immutable, any thread.
 *
 * Invariants
 *   (1) Instructions stand in ascending node order: operands are there before they are read.
 *   (2) No branch, no recursion: and/or compute both sides, which is the same, since evaluation has
 *       no effects and an operand that decides early decides whatever the other one is.
 *   (3) A literal is an operand out of the constant pool and costs nothing; only a root that is
 *       itself a literal is copied into the values.
 */
#include "expr/expr.h"

#include <stddef.h>
#include <stdlib.h>

#include "expr/builtins.h"
#include "expr/graph.h"
#include "util/assert.h"
#include "util/bytes.h"

enum { BASE_VALUES, BASE_CONSTANTS, BASE_COUNT };

/* Node numbers fit 16 bits: EXPR_NODES_MAX. */
struct instruction {
    uint8_t op;
    uint8_t bases[EXPR_OPERANDS_MAX];
    uint16_t target;
    uint16_t operands[EXPR_OPERANDS_MAX];
};

_Static_assert(EXPR_NODES_MAX <= UINT16_MAX + 1, "an operand is 16 bits");
_Static_assert(sizeof(struct instruction) == 12, "five to a cache line");

struct expr_program {
    struct instruction *instructions;
    size_t instruction_count;
    struct value *constants;
    uint8_t *text; /* bytes of string constants */
};

/* ---- creation ---- */

/* What creation learns about each node. */
struct survey {
    uint8_t *is_needed;
    uint8_t *is_root;
    uint32_t *constant_of; /* of a literal: its place in the pool */
    size_t instruction_count;
    uint32_t constant_count;
    size_t text_size;
};

static void
survey_nodes(struct survey *survey, const struct expr_graph *graph, const uint32_t *roots,
             size_t root_count)
{
    for (size_t i = 0; i < root_count; i++) {
        BV_ASSERT(roots[i] < graph->node_count);
        survey->is_needed[roots[i]] = 1;
        survey->is_root[roots[i]] = 1;
    }
    for (uint32_t i = graph->node_count; i-- > 0;) {
        const struct expr_node *node = &graph->nodes[i];

        if (!survey->is_needed[i] || node->op == EXPR_FIELD) {
            continue;
        }
        if (node->op == EXPR_LITERAL) {
            survey->constant_of[i] = survey->constant_count++;
            survey->text_size += node->literal.kind == VALUE_STR ? node->literal.length : 0;
            survey->text_size += node->literal.kind == VALUE_BYTES ? node->literal.length : 0;
        }
        survey->instruction_count += node->op != EXPR_LITERAL || survey->is_root[i];
        for (unsigned k = 0; k < graph_op_arity((enum expr_op)node->op); k++) {
            survey->is_needed[node->operands[k]] = 1;
        }
    }
}

static void
add_constant(struct expr_program *program, uint32_t place, const struct value *literal,
             size_t *text_size)
{
    program->constants[place] = *literal;
    if (literal->kind == VALUE_STR || literal->kind == VALUE_BYTES) {
        if (literal->length != 0) {
            memcpy(program->text + *text_size, literal->as.bytes, literal->length);
        }
        program->constants[place].as.bytes = program->text + *text_size;
        *text_size += literal->length;
    }
}

static void
set_operand(struct instruction *instruction, unsigned index, const struct survey *survey,
            const struct expr_graph *graph, uint32_t node)
{
    bool is_literal = graph->nodes[node].op == EXPR_LITERAL;

    instruction->bases[index] = is_literal ? BASE_CONSTANTS : BASE_VALUES;
    instruction->operands[index] = (uint16_t)(is_literal ? survey->constant_of[node] : node);
}

static void
write_program(struct expr_program *program, const struct survey *survey,
              const struct expr_graph *graph)
{
    size_t text_size = 0;

    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct expr_node *node = &graph->nodes[i];
        struct instruction instruction = {.op = node->op, .target = (uint16_t)i};

        if (!survey->is_needed[i] || node->op == EXPR_FIELD) {
            continue;
        }
        if (node->op == EXPR_LITERAL) {
            add_constant(program, survey->constant_of[i], &node->literal, &text_size);
            if (!survey->is_root[i]) {
                continue;
            }
            set_operand(&instruction, 0, survey, graph, i);
        }
        for (unsigned k = 0; k < graph_op_arity((enum expr_op)node->op); k++) {
            set_operand(&instruction, k, survey, graph, node->operands[k]);
        }
        program->instructions[program->instruction_count++] = instruction;
    }
}

enum bv_status
expr_program_create(struct expr_program **out, const struct expr_graph *graph,
                    const uint32_t *roots, size_t root_count, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    size_t node_count = graph->node_count;
    struct expr_program *program = (struct expr_program *)calloc(1, sizeof *program);
    struct survey survey = {
        .is_needed = (uint8_t *)calloc(node_count + 1, 1),
        .is_root = (uint8_t *)calloc(node_count + 1, 1),
        .constant_of = (uint32_t *)calloc(node_count + 1, sizeof(uint32_t)),
    };

    if (program == NULL || survey.is_needed == NULL || survey.is_root == NULL ||
        survey.constant_of == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "expression program of %zu nodes", node_count);
        goto done;
    }
    survey_nodes(&survey, graph, roots, root_count);
    program->instructions =
        (struct instruction *)calloc(survey.instruction_count + 1, sizeof *program->instructions);
    program->constants =
        (struct value *)calloc((size_t)survey.constant_count + 1, sizeof *program->constants);
    program->text = (uint8_t *)malloc(survey.text_size + 1);
    if (program->instructions == NULL || program->constants == NULL || program->text == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "expression program of %zu nodes", node_count);
        goto done;
    }
    write_program(program, &survey, graph);
    BV_ASSERT(program->instruction_count == survey.instruction_count);
    *out = program;
    program = NULL; /* handed over */
done:
    free(survey.constant_of);
    free(survey.is_root);
    free(survey.is_needed);
    expr_program_destroy(program);
    return status;
}

void
expr_program_destroy(struct expr_program *program)
{
    if (program == NULL) {
        return;
    }
    free(program->text);
    free(program->constants);
    free(program->instructions);
    free(program);
}

bool
expr_program_is_empty(const struct expr_program *program)
{
    return program->instruction_count == 0;
}

/* ---- evaluation (operators.md 5.4) ---- */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

_Static_assert(offsetof(struct value, length) == 8, "put() writes the second word whole");
_Static_assert(offsetof(struct value, kind) == 12, "put() writes the second word whole");

/* Results are stored as two words. A struct returned by value is put together byte by byte on the
 * stack and copied as 16 bytes, which waits for the bytes to leave the store buffer: 15 ns a node
 * instead of 2. */
ALWAYS_INLINE void
put(struct value *out, uint64_t bits, enum value_kind kind)
{
    uint64_t tail = (uint64_t)kind << 32;

    out->as.bits = bits;
    memcpy((uint8_t *)out + 8, &tail, sizeof tail);
}

ALWAYS_INLINE void
put_f64(struct value *out, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put(out, bits, VALUE_F64);
}

ALWAYS_INLINE bool
is_bool(const struct value *v, bool wanted)
{
    return v->kind == VALUE_BOOL && (v->as.bits != 0) == wanted;
}

/* and: decisive = false; or: decisive = true. An operand that is neither boolean nor null makes
 * null of the whole, unless the left one has decided already. */
ALWAYS_INLINE void
logic(struct value *out, const struct value *a, const struct value *b, bool decisive)
{
    if (is_bool(a, decisive)) {
        put(out, decisive, VALUE_BOOL);
    } else if (a->kind == VALUE_BOOL && b->kind == VALUE_BOOL) {
        put(out, b->as.bits, VALUE_BOOL);
    } else if (a->kind == VALUE_NULL && is_bool(b, decisive)) {
        put(out, decisive, VALUE_BOOL);
    } else {
        put(out, 0, VALUE_NULL);
    }
}

ALWAYS_INLINE int64_t
saturating(enum expr_op op, int64_t a, int64_t b)
{
    int64_t result = 0;

    switch (op) {
    case EXPR_ADD:
        return __builtin_add_overflow(a, b, &result) ? (a < 0 ? INT64_MIN : INT64_MAX) : result;
    case EXPR_SUB:
        return __builtin_sub_overflow(a, b, &result) ? (a < 0 ? INT64_MIN : INT64_MAX) : result;
    case EXPR_MUL:
        return __builtin_mul_overflow(a, b, &result) ? ((a < 0) != (b < 0) ? INT64_MIN : INT64_MAX)
                                                     : result;
    default:
        /* The one quotient that does not fit, and that the processor traps on (W34). */
        return b == -1 ? (a == INT64_MIN ? INT64_MAX : -a) : a / b;
    }
}

ALWAYS_INLINE void
arithmetic(struct value *out, enum expr_op op, const struct value *a, const struct value *b)
{
    double x = 0;
    double y = 0;

    if (a->kind == VALUE_I64 && b->kind == VALUE_I64) {
        if (op == EXPR_DIV && b->as.i64 == 0) {
            put(out, 0, VALUE_NULL);
        } else {
            put(out, (uint64_t)saturating(op, a->as.i64, b->as.i64), VALUE_I64);
        }
        return;
    }
    if (!value_number(a, &x) || !value_number(b, &y)) {
        put(out, 0, VALUE_NULL);
        return;
    }
    put_f64(out, op == EXPR_ADD ? x + y : op == EXPR_SUB ? x - y : op == EXPR_MUL ? x * y : x / y);
}

#define COMPARE(op, x, y)                                                                          \
    ((op) == EXPR_GT   ? (x) > (y)                                                                 \
     : (op) == EXPR_GE ? (x) >= (y)                                                                \
     : (op) == EXPR_LT ? (x) < (y)                                                                 \
     : (op) == EXPR_LE ? (x) <= (y)                                                                \
     : (op) == EXPR_EQ ? (x) == (y)                                                                \
                       : (x) < (y) || (x) > (y)) /* != is false for NaN too */

/* slice_equal without a call where texts are at most 16 bytes, as codes and states mostly are. */
ALWAYS_INLINE bool
is_same_text(const struct value *a, const struct value *b)
{
    const uint8_t *p = a->as.bytes;
    const uint8_t *q = b->as.bytes;
    uint32_t size = a->length;

    if (size != b->length) {
        return false;
    }
    if (size >= 8 && size <= 16) {
        return load_le64(p) == load_le64(q) && load_le64(p + size - 8) == load_le64(q + size - 8);
    }
    if (size >= 4 && size < 8) {
        return load_le32(p) == load_le32(q) && load_le32(p + size - 4) == load_le32(q + size - 4);
    }
    return size == 0 || memcmp(p, q, size) == 0;
}

ALWAYS_INLINE void
compare(struct value *out, enum expr_op op, const struct value *a, const struct value *b)
{
    double x = 0;
    double y = 0;

    if (a->kind == VALUE_I64 && b->kind == VALUE_I64) {
        put(out, COMPARE(op, a->as.i64, b->as.i64), VALUE_BOOL);
    } else if (value_number(a, &x) && value_number(b, &y)) {
        put(out, COMPARE(op, x, y), VALUE_BOOL);
    } else if (a->kind != b->kind) {
        put(out, 0, VALUE_NULL);
    } else if (a->kind == VALUE_STR || a->kind == VALUE_BYTES) {
        if (op == EXPR_EQ || op == EXPR_NE) {
            put(out, is_same_text(a, b) == (op == EXPR_EQ), VALUE_BOOL);
        } else {
            put(out, COMPARE(op, slice_compare(value_slice(a), value_slice(b)), 0), VALUE_BOOL);
        }
    } else if (a->kind == VALUE_BOOL) {
        put(out, COMPARE(op, a->as.bits, b->as.bits), VALUE_BOOL);
    } else {
        put(out, 0, VALUE_NULL);
    }
}

void
expr_program_run(const struct expr_program *program, struct value *values, struct arena *arena)
{
    const struct value *const bases[BASE_COUNT] = {values, program->constants};
    const struct instruction *end = program->instructions + program->instruction_count;

    for (const struct instruction *i = program->instructions; i != end; i++) {
        const struct value *a = bases[i->bases[0]] + i->operands[0];
        const struct value *b = bases[i->bases[1]] + i->operands[1];
        struct value *out = values + i->target;

        switch ((enum expr_op)i->op) {
        case EXPR_LITERAL:
            *out = *a;
            break;
        case EXPR_NOT:
            put(out, a->kind == VALUE_BOOL && a->as.bits == 0,
                a->kind == VALUE_BOOL ? VALUE_BOOL : VALUE_NULL);
            break;
        case EXPR_AND:
            logic(out, a, b, false);
            break;
        case EXPR_OR:
            logic(out, a, b, true);
            break;
        case EXPR_ADD:
            arithmetic(out, EXPR_ADD, a, b);
            break;
        case EXPR_SUB:
            arithmetic(out, EXPR_SUB, a, b);
            break;
        case EXPR_MUL:
            arithmetic(out, EXPR_MUL, a, b);
            break;
        case EXPR_DIV:
            arithmetic(out, EXPR_DIV, a, b);
            break;
        case EXPR_GT:
            compare(out, EXPR_GT, a, b);
            break;
        case EXPR_GE:
            compare(out, EXPR_GE, a, b);
            break;
        case EXPR_LT:
            compare(out, EXPR_LT, a, b);
            break;
        case EXPR_LE:
            compare(out, EXPR_LE, a, b);
            break;
        case EXPR_EQ:
            compare(out, EXPR_EQ, a, b);
            break;
        case EXPR_NE:
            compare(out, EXPR_NE, a, b);
            break;
        case EXPR_ISNULL:
            put(out, a->kind == VALUE_NULL, VALUE_BOOL);
            break;
        case EXPR_CAST_STR:
            *out = builtin_cast_str(a, arena);
            break;
        case EXPR_CAST_INT:
            *out = builtin_cast_int(a);
            break;
        case EXPR_CAST_FLOAT:
            *out = builtin_cast_float(a);
            break;
        case EXPR_CAST_BOOL:
            *out = builtin_cast_bool(a);
            break;
        case EXPR_QUADKEY:
            *out = builtin_quadkey(a, b, bases[i->bases[2]] + i->operands[2]);
            break;
        case EXPR_FILL:
            *out = a->kind == VALUE_NULL ? *b : *a;
            break;
        case EXPR_FIELD:
        case EXPR_OP_COUNT:
            __builtin_unreachable();
        }
    }
}
