/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to a syntax tree, by operator precedence over an explicit stack.
 *
 * Enters:  the text of one expression.
 * Leaves:  its terms in postfix order, null comparisons already rewritten to isnull.
 * Owner:   the caller's arena.
 *
 * Invariants
 *   (1) No recursion: what is open (a parenthesis, a call, a waiting operator) is an entry of one
 *       stack, whose depth is bounded by EXPR_DEPTH_MAX levels of at most five operators each.
 *   (2) `operands` holds the indices of terms that nothing has consumed yet.
 *   (3) Operators are legal only while at least one grouping parenthesis is open; a call's own
 *       parentheses do not count (5.2).
 *
 *   OPERAND --atom--> OPERATOR --binary operator or comma--> OPERAND
 *      ^ \_( or name( _/   \__) _/
 */
#include "expr/parse.h"

#include "expr/graph.h"
#include "expr/lex.h"

/* Per level: one operator of each of the five precedences, and what opened the next level. */
#define PENDING_MAX (EXPR_DEPTH_MAX * 6)

enum pending_kind { PENDING_OPERATOR, PENDING_GROUP, PENDING_NOT_GROUP, PENDING_CALL };

struct pending {
    uint8_t kind;
    uint8_t op;         /* PENDING_OPERATOR */
    uint8_t precedence; /* PENDING_OPERATOR */
    uint32_t column;
    uint32_t operand_base; /* operands below belong to what encloses this */
    struct slice name;     /* PENDING_CALL */
};

struct parser {
    struct lexer lexer;
    struct token token; /* the one being looked at */
    struct tree *tree;
    struct pending pending[PENDING_MAX];
    unsigned pending_count;
    unsigned depth; /* 1 at the top level */
    unsigned group_count;
    uint32_t *operands;
    uint32_t operand_count;
    uint32_t operand_capacity;
    struct bv_error *err;
};

enum { PRECEDENCE_OR = 1, PRECEDENCE_AND, PRECEDENCE_COMPARE, PRECEDENCE_ADD, PRECEDENCE_MUL };

/* Grows an array in the arena by doubling; the old copy stays behind until the arena is dropped. */
static void *
grow(struct arena *arena, const void *old, uint32_t count, uint32_t *capacity, size_t item_size)
{
    uint32_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *items = arena_alloc(arena, wanted * item_size);

    if (items != NULL) {
        if (count != 0) {
            memcpy(items, old, count * item_size);
        }
        *capacity = wanted;
    }
    return items;
}

static enum bv_status
no_memory(struct parser *parser)
{
    return bv_error_set(parser->err, BV_NO_MEMORY, "expression of %zu bytes",
                        parser->lexer.text.size);
}

static enum bv_status
unexpected(struct parser *parser, const char *wanted)
{
    return bv_error_set(parser->err, BV_INVALID_EXPRESSION, "col %u: unexpected %s, expected %s",
                        parser->token.column, lex_describe(&parser->token), wanted);
}

static enum bv_status
push_operand(struct parser *parser, uint32_t term)
{
    if (parser->operand_count == parser->operand_capacity) {
        uint32_t *operands =
            (uint32_t *)grow(parser->tree->arena, parser->operands, parser->operand_count,
                             &parser->operand_capacity, sizeof *operands);

        if (operands == NULL) {
            return no_memory(parser);
        }
        parser->operands = operands;
    }
    parser->operands[parser->operand_count++] = term;
    return BV_OK;
}

/* Adds a term over the last `count` operands, which it replaces. */
static enum bv_status
add_term(struct parser *parser, struct term term, uint32_t count)
{
    struct tree *tree = parser->tree;

    if (tree->term_count == PARSE_TERMS_MAX) {
        return bv_error_set(parser->err, BV_INVALID_EXPRESSION,
                            "col %u: expression has more than %d terms", term.column,
                            PARSE_TERMS_MAX);
    }
    if (tree->term_count == tree->term_capacity) {
        struct term *terms = (struct term *)grow(tree->arena, tree->terms, tree->term_count,
                                                 &tree->term_capacity, sizeof *terms);

        if (terms == NULL) {
            return no_memory(parser);
        }
        tree->terms = terms;
    }
    while (tree->argument_capacity - tree->argument_count < count) {
        uint32_t *arguments = (uint32_t *)grow(tree->arena, tree->arguments, tree->argument_count,
                                               &tree->argument_capacity, sizeof *arguments);

        if (arguments == NULL) {
            return no_memory(parser);
        }
        tree->arguments = arguments;
    }
    term.first = tree->argument_count;
    term.count = count;
    parser->operand_count -= count;
    if (count != 0) {
        memcpy(tree->arguments + tree->argument_count, parser->operands + parser->operand_count,
               count * sizeof *parser->operands);
    }
    tree->argument_count += count;
    tree->terms[tree->term_count++] = term;
    return push_operand(parser, tree->term_count - 1);
}

static enum bv_status
add_apply(struct parser *parser, enum expr_op op, uint32_t column, uint32_t count)
{
    struct term term = {.kind = TERM_APPLY, .op = (uint8_t)op, .column = column};

    return add_term(parser, term, count);
}

static bool
is_null_literal(const struct parser *parser, uint32_t operand)
{
    const struct term *term = &parser->tree->terms[operand];

    return term->kind == TERM_LITERAL && term->literal.kind == VALUE_NULL;
}

/* Applies a binary operator to the two operands on top. A comparison with null asks isnull. */
static enum bv_status
reduce(struct parser *parser, const struct pending *operator)
{
    uint32_t *top = parser->operands + parser->operand_count - 2;
    bool is_equality = operator->op == EXPR_EQ || operator->op == EXPR_NE;
    enum bv_status status = BV_OK;

    if (!is_equality || (!is_null_literal(parser, top[0]) && !is_null_literal(parser, top[1]))) {
        return add_apply(parser, (enum expr_op) operator->op, operator->column, 2);
    }
    if (is_null_literal(parser, top[0])) {
        top[0] = top[1];
    }
    parser->operand_count--;
    status = add_apply(parser, EXPR_ISNULL, operator->column, 1);
    if (status == BV_OK && operator->op == EXPR_NE) {
        status = add_apply(parser, EXPR_NOT, operator->column, 1);
    }
    return status;
}

/* Applies waiting operators that bind at least as tightly, down to the enclosing parenthesis. */
static enum bv_status
reduce_while(struct parser *parser, unsigned precedence)
{
    while (parser->pending_count != 0) {
        struct pending top = parser->pending[parser->pending_count - 1];
        enum bv_status status = BV_OK;

        if (top.kind != PENDING_OPERATOR || top.precedence < precedence) {
            break;
        }
        parser->pending_count--;
        status = reduce(parser, &top);
        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

static enum bv_status
advance(struct parser *parser)
{
    return lex_next(&parser->token, &parser->lexer, parser->err);
}

static void
push_pending(struct parser *parser, struct pending pending)
{
    parser->pending[parser->pending_count] = pending;
    parser->pending[parser->pending_count].operand_base = parser->operand_count;
    parser->pending_count++;
}

static enum bv_status
deepen(struct parser *parser, uint32_t column)
{
    if (parser->depth == EXPR_DEPTH_MAX) {
        return bv_error_set(parser->err, BV_INVALID_EXPRESSION,
                            "col %u: expression depth exceeds the limit of %d", column,
                            EXPR_DEPTH_MAX);
    }
    parser->depth++;
    return BV_OK;
}

/* "(" seen where an operand is due; `not` may follow at once. */
static enum bv_status
open_group(struct parser *parser)
{
    struct pending group = {.kind = PENDING_GROUP, .column = parser->token.column};
    enum bv_status status = deepen(parser, group.column);

    if (status == BV_OK) {
        status = advance(parser);
    }
    if (status == BV_OK && parser->token.kind == TOKEN_NOT) {
        group.kind = PENDING_NOT_GROUP;
        status = advance(parser);
    }
    if (status == BV_OK) {
        parser->group_count++;
        push_pending(parser, group);
    }
    return status;
}

static enum bv_status close_call(struct parser *parser);

/* A name: a field, or with "(" behind it a call. */
static enum bv_status
parse_name(struct parser *parser, bool *has_operand)
{
    struct token name = parser->token;
    enum bv_status status = advance(parser);

    if (status != BV_OK) {
        return status;
    }
    if (parser->token.kind != TOKEN_OPEN) {
        struct term term = {.kind = TERM_NAME, .column = name.column, .name = name.text};

        *has_operand = true;
        return add_term(parser, term, 0);
    }
    push_pending(parser,
                 (struct pending){.kind = PENDING_CALL, .column = name.column, .name = name.text});
    status = advance(parser);
    if (status == BV_OK && parser->token.kind == TOKEN_CLOSE) {
        parser->depth++; /* arguments add depth and there are none: close_call takes it back */
        *has_operand = true;
        return close_call(parser);
    }
    return status == BV_OK ? deepen(parser, name.column) : status;
}

static enum bv_status
parse_literal(struct parser *parser)
{
    const struct token *token = &parser->token;
    struct term term = {.kind = TERM_LITERAL, .column = token->column};
    bool is_negative = token->kind == TOKEN_SUB;
    enum bv_status status = BV_OK;

    if (is_negative) {
        status = advance(parser);
        if (status != BV_OK) {
            return status;
        }
        if (token->kind != TOKEN_INT && token->kind != TOKEN_FLOAT) {
            return unexpected(parser, "a number after '-'");
        }
    }
    switch (token->kind) {
    case TOKEN_INT:
        term.literal = value_i64(is_negative ? -token->i64 : token->i64);
        break;
    case TOKEN_FLOAT:
        term.literal = value_f64(is_negative ? -token->f64 : token->f64);
        break;
    case TOKEN_STR:
        term.literal = value_str(token->text);
        break;
    case TOKEN_TRUE:
    case TOKEN_FALSE:
        term.literal = value_bool(token->kind == TOKEN_TRUE);
        break;
    case TOKEN_NULL:
        term.literal = value_null();
        break;
    case TOKEN_NOT:
        return bv_error_set(parser->err, BV_INVALID_EXPRESSION,
                            "col %u: 'not' is legal only right after '(': write (not x)",
                            token->column);
    default:
        return unexpected(parser, "a value");
    }
    status = add_term(parser, term, 0);
    return status == BV_OK ? advance(parser) : status;
}

/* *has_operand: one is complete, an operator or an end may follow. */
static enum bv_status
parse_operand(struct parser *parser, bool *has_operand)
{
    switch (parser->token.kind) {
    case TOKEN_OPEN:
        return open_group(parser);
    case TOKEN_NAME:
        return parse_name(parser, has_operand);
    default:
        *has_operand = true;
        return parse_literal(parser);
    }
}

static bool
operator_of(struct pending *out, enum token_kind kind)
{
    static const struct {
        uint8_t op;
        uint8_t precedence;
    } operators[] = {
        [TOKEN_AND] = {EXPR_AND, PRECEDENCE_AND},   [TOKEN_OR] = {EXPR_OR, PRECEDENCE_OR},
        [TOKEN_ADD] = {EXPR_ADD, PRECEDENCE_ADD},   [TOKEN_SUB] = {EXPR_SUB, PRECEDENCE_ADD},
        [TOKEN_MUL] = {EXPR_MUL, PRECEDENCE_MUL},   [TOKEN_DIV] = {EXPR_DIV, PRECEDENCE_MUL},
        [TOKEN_GT] = {EXPR_GT, PRECEDENCE_COMPARE}, [TOKEN_GE] = {EXPR_GE, PRECEDENCE_COMPARE},
        [TOKEN_LT] = {EXPR_LT, PRECEDENCE_COMPARE}, [TOKEN_LE] = {EXPR_LE, PRECEDENCE_COMPARE},
        [TOKEN_EQ] = {EXPR_EQ, PRECEDENCE_COMPARE}, [TOKEN_NE] = {EXPR_NE, PRECEDENCE_COMPARE},
    };

    if ((unsigned)kind < TOKEN_AND || (unsigned)kind > TOKEN_NE) {
        return false;
    }
    out->kind = PENDING_OPERATOR;
    out->op = operators[kind].op;
    out->precedence = operators[kind].precedence;
    return true;
}

static enum bv_status
parse_operator(struct parser *parser, struct pending operator)
{
    enum bv_status status = BV_OK;

    operator.column = parser->token.column;
    if (parser->group_count == 0) {
        return bv_error_set(
            parser->err, BV_INVALID_EXPRESSION,
            "col %u: unexpected %s; operators stand inside parentheses: (a %s b)", operator.column,
            lex_describe(&parser->token), lex_describe(&parser->token));
    }
    /* Comparisons do not chain, so a waiting one is not reduced by another but refused. */
    status =
        reduce_while(parser, operator.precedence == PRECEDENCE_COMPARE ? PRECEDENCE_COMPARE + 1u :
                                                                       operator.precedence);
    if (status != BV_OK) {
        return status;
    }
    if (operator.precedence == PRECEDENCE_COMPARE) {
        const struct pending *top = &parser->pending[parser->pending_count - 1];

        if (top->kind == PENDING_OPERATOR && top->precedence == PRECEDENCE_COMPARE) {
            return bv_error_set(
                parser->err, BV_INVALID_EXPRESSION,
                "col %u: comparisons cannot be chained; write (a %s b) and (b %s c)",
                operator.column, "<", "<");
        }
    }
    push_pending(parser, operator);
    return advance(parser);
}

/* ")" of a call, its arguments being the operands above its base. */
static enum bv_status
close_call(struct parser *parser)
{
    struct pending call = parser->pending[--parser->pending_count];
    uint32_t count = parser->operand_count - call.operand_base;
    struct term term = {.kind = TERM_CALL, .column = call.column, .name = call.name};
    enum bv_status status = BV_OK;

    if (count == 2 && slice_equal(call.name, slice_text("cast"))) {
        struct term *target = &parser->tree->terms[parser->operands[parser->operand_count - 1]];

        if (target->kind == TERM_NAME) {
            target->kind = TERM_TYPE_WORD;
        }
    }
    parser->depth--;
    status = add_term(parser, term, count);
    return status == BV_OK ? advance(parser) : status;
}

/* ")" after an operand. */
static enum bv_status
close_parenthesis(struct parser *parser)
{
    enum bv_status status = reduce_while(parser, 0);

    if (status != BV_OK) {
        return status;
    }
    if (parser->pending_count == 0) {
        return unexpected(parser, "the end of the expression");
    }

    struct pending top = parser->pending[parser->pending_count - 1];

    if (top.kind == PENDING_CALL) {
        return close_call(parser);
    }
    parser->pending_count--;
    parser->depth--;
    parser->group_count--;
    if (top.kind == PENDING_NOT_GROUP) {
        status = add_apply(parser, EXPR_NOT, top.column, 1);
    }
    return status == BV_OK ? advance(parser) : status;
}

/* What follows a complete operand. */
static enum bv_status
parse_continuation(struct parser *parser, bool *has_operand)
{
    struct pending operator= {0};

    if (operator_of(&operator, parser->token.kind)) {
        *has_operand = false;
        return parse_operator(parser, operator);
    }
    if (parser->token.kind == TOKEN_CLOSE) {
        return close_parenthesis(parser);
    }
    if (parser->token.kind == TOKEN_COMMA) {
        enum bv_status status = reduce_while(parser, 0);

        if (status != BV_OK) {
            return status;
        }
        if (parser->pending_count != 0 &&
            parser->pending[parser->pending_count - 1].kind == PENDING_CALL) {
            *has_operand = false;
            return advance(parser);
        }
    }
    return unexpected(parser, parser->pending_count == 0 ? "the end of the expression"
                                                         : "an operator or ')'");
}

enum bv_status
parse_expression(struct tree *out, struct slice text, struct arena *arena, struct bv_error *err)
{
    bool has_operand = false;
    enum bv_status status = BV_OK;
    struct parser *parser = (struct parser *)arena_alloc(arena, sizeof *parser);

    *out = (struct tree){.arena = arena};
    if (parser == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "expression of %zu bytes", text.size);
    }
    parser->lexer = (struct lexer){.text = text, .arena = arena};
    parser->tree = out;
    parser->pending_count = 0;
    parser->depth = 1;
    parser->group_count = 0;
    parser->operands = NULL;
    parser->operand_count = 0;
    parser->operand_capacity = 0;
    parser->err = err;
    status = advance(parser);
    while (status == BV_OK) {
        if (!has_operand) {
            status = parse_operand(parser, &has_operand);
        } else if (parser->token.kind == TOKEN_END && parser->pending_count == 0) {
            break;
        } else {
            status = parse_continuation(parser, &has_operand);
        }
    }
    return status;
}
