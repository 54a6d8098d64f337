/* SPDX-License-Identifier: Apache-2.0 */
/* Does the expression mean anything?
 *
 * Enters:  a tree in postfix order, and what names mean at this step of a chain.
 * Leaves:  the same tree with types, nodes of fields and resolved functions; or the first refusal.
 * Owner:   expr_compile.
 *
 * Invariants
 *   (1) One pass over the terms in order: operands are typed before what uses them.
 *   (2) Fields are looked up first, in a pass of their own, so that an unknown field is reported
 *       even where a type error stands before it.
 */
#include "expr/check.h"

#include "expr/builtins.h"

struct checker {
    struct tree *tree;
    enum expr_mode mode;
    struct buf *warnings;
    struct bv_error *err;
};

/* A type as the sort of operand that ops ask for. */
enum sort { SORT_ANY, SORT_NULL, SORT_NUMBER, SORT_OTHER };

static enum sort
sort_of(int type)
{
    if (type == CHECK_TYPE_UNKNOWN) {
        return SORT_ANY;
    }
    if (type == EXPR_TYPE_NULL) {
        return SORT_NULL;
    }
    return type == FIELD_I64 || type == FIELD_F64 ? SORT_NUMBER : SORT_OTHER;
}

static bool
is_open(int type)
{
    return sort_of(type) == SORT_ANY || sort_of(type) == SORT_NULL;
}

static const char *
type_word(int type)
{
    return type == EXPR_TYPE_NULL       ? "null"
           : type == CHECK_TYPE_UNKNOWN ? "unknown"
                                        : field_type_name((enum field_type)type);
}

static const struct term *
argument(const struct checker *checker, const struct term *term, uint32_t index)
{
    return &checker->tree->terms[checker->tree->arguments[term->first + index]];
}

/* A finding: a refusal in a chain, a line of warning in a where. True when checking goes on. */
static bool
complain(struct checker *checker, const char *format, uint32_t column, const char *what,
         const char *left, const char *right)
{
    if (checker->mode == EXPR_CHAIN) {
        bv_error_set(checker->err, BV_INVALID_EXPRESSION, format, column, what, left, right);
        return false;
    }
    if (checker->warnings != NULL) {
        if (checker->warnings->size != 0) {
            buf_byte(checker->warnings, '\n');
        }
        buf_printf(checker->warnings, format, column, what, left, right);
    }
    return true;
}

static void
make_null(struct term *term)
{
    term->kind = TERM_LITERAL;
    term->count = 0;
    term->literal = value_null();
    term->type = EXPR_TYPE_NULL;
}

static int
literal_type(const struct value *literal)
{
    switch ((enum value_kind)literal->kind) {
    case VALUE_BOOL:
        return FIELD_BOOL;
    case VALUE_I64:
        return FIELD_I64;
    case VALUE_F64:
        return FIELD_F64;
    case VALUE_STR:
        return FIELD_STR;
    default:
        return EXPR_TYPE_NULL;
    }
}

/* Fields of these types hold values of any kind at run time (operators.md 1). */
static bool
is_loose(int type)
{
    return type == FIELD_JSON || type == FIELD_BYTES || type == FIELD_DATETIME;
}

static bool
check_logic(struct checker *checker, struct term *term)
{
    term->type = FIELD_BOOL;
    for (uint32_t i = 0; i < term->count; i++) {
        int type = argument(checker, term, i)->type;

        if (!is_open(type) && type != FIELD_BOOL &&
            !complain(checker, "col %u: '%s' takes bool, got %s%s", term->column,
                      graph_op_word((enum expr_op)term->op), type_word(type), "")) {
            return false;
        }
    }
    return true;
}

static bool
check_comparison(struct checker *checker, struct term *term)
{
    int left = argument(checker, term, 0)->type;
    int right = argument(checker, term, 1)->type;
    bool is_fine = is_open(left) || is_open(right) || left == right ||
                   (sort_of(left) == SORT_NUMBER && sort_of(right) == SORT_NUMBER);

    term->type = FIELD_BOOL;
    return is_fine ||
           complain(checker, "col %u: '%s' cannot compare %s with %s", term->column,
                    graph_op_word((enum expr_op)term->op), type_word(left), type_word(right));
}

static bool
check_arithmetic(struct checker *checker, struct term *term)
{
    int left = argument(checker, term, 0)->type;
    int right = argument(checker, term, 1)->type;

    if (sort_of(left) == SORT_OTHER || sort_of(right) == SORT_OTHER) {
        term->type = CHECK_TYPE_UNKNOWN;
        return complain(checker, "col %u: '%s' takes numbers, got %s and %s", term->column,
                        graph_op_word((enum expr_op)term->op), type_word(left), type_word(right));
    }
    if (sort_of(left) == SORT_ANY || sort_of(right) == SORT_ANY) {
        term->type = CHECK_TYPE_UNKNOWN;
    } else if (left == EXPR_TYPE_NULL || right == EXPR_TYPE_NULL) {
        term->type = left == EXPR_TYPE_NULL ? right : left;
    } else {
        term->type = left == FIELD_F64 || right == FIELD_F64 ? FIELD_F64 : FIELD_I64;
    }
    return true;
}

static bool
check_apply(struct checker *checker, struct term *term)
{
    switch ((enum expr_op)term->op) {
    case EXPR_NOT:
    case EXPR_AND:
    case EXPR_OR:
        return check_logic(checker, term);
    case EXPR_ADD:
    case EXPR_SUB:
    case EXPR_MUL:
    case EXPR_DIV:
        return check_arithmetic(checker, term);
    case EXPR_ISNULL:
        term->type = FIELD_BOOL;
        return true;
    default:
        return check_comparison(checker, term);
    }
}

/* cast's second argument: a type word or a string literal that is one. */
static bool
check_cast(struct checker *checker, struct term *term)
{
    static const int types[] = {FIELD_STR, FIELD_I64, FIELD_F64, FIELD_BOOL};
    const struct term *target = argument(checker, term, 1);
    struct slice word = target->name;
    enum expr_op op = EXPR_CAST_STR;

    if (target->kind == TERM_LITERAL && target->literal.kind == VALUE_STR) {
        word = value_slice(&target->literal);
    } else if (target->kind != TERM_TYPE_WORD) {
        word = slice_text("");
    }
    if (!builtin_cast_op(&op, word)) {
        make_null(term);
        return complain(checker, "col %u: %s to \"%s\": the type is one of str, int, float, bool%s",
                        term->column, "cast", bv_error_quote(word), "");
    }
    term->kind = TERM_APPLY;
    term->op = (uint8_t)op;
    term->count = 1;
    term->type = types[op - EXPR_CAST_STR];
    return true;
}

static bool
check_quadkey(struct checker *checker, struct term *term)
{
    int zoom = argument(checker, term, 2)->type;

    term->kind = TERM_APPLY;
    term->op = EXPR_QUADKEY;
    term->type = FIELD_I64;
    for (uint32_t i = 0; i < 2; i++) {
        int type = argument(checker, term, i)->type;

        if (sort_of(type) == SORT_OTHER &&
            !complain(checker, "col %u: %s takes a number as its %s, got %s", term->column,
                      "quadkey", i == 0 ? "latitude" : "longitude", type_word(type))) {
            return false;
        }
    }
    return is_open(zoom) || zoom == FIELD_I64 ||
           complain(checker, "col %u: %s takes an integer zoom, got %s%s", term->column, "quadkey",
                    type_word(zoom), "");
}

static bool
check_call(struct checker *checker, struct term *term)
{
    const struct builtin *builtin = builtin_find(term->name);

    if (builtin == NULL) {
        make_null(term);
        return complain(checker, "col %u: unknown function \"%s\"; there are %s%s", term->column,
                        bv_error_quote(term->name), "cast, isnull, quadkey", "");
    }
    if (term->count != builtin->arity) {
        static const char *const arities[] = {"0", "1", "2", "3"};

        make_null(term);
        return complain(checker, "col %u: %s takes %s argument(s)%s", term->column, builtin->name,
                        arities[builtin->arity], "");
    }
    if (builtin->op == EXPR_CAST_STR) {
        return check_cast(checker, term);
    }
    if (builtin->op == EXPR_QUADKEY) {
        return check_quadkey(checker, term);
    }
    term->kind = TERM_APPLY;
    term->op = (uint8_t)builtin->op;
    term->type = FIELD_BOOL;
    return true;
}

static enum bv_status
resolve_fields(struct checker *checker, const struct expr_scope *scope)
{
    for (uint32_t i = 0; i < checker->tree->term_count; i++) {
        struct term *term = &checker->tree->terms[i];

        if (term->kind != TERM_NAME) {
            continue;
        }

        const struct expr_column *column = scope->find(scope, term->name);

        if (column == NULL) {
            return bv_error_set(checker->err, BV_INVALID_EXPRESSION,
                                "unknown field \"%s\" at col %u", bv_error_quote(term->name),
                                term->column);
        }
        term->node = column->node;
        term->type = column->type;
        if (checker->mode == EXPR_WHERE && is_loose(column->type)) {
            term->type = CHECK_TYPE_UNKNOWN;
        }
    }
    return BV_OK;
}

enum bv_status
check_tree(struct tree *tree, const struct expr_scope *scope, enum expr_mode mode,
           enum expr_failure *failure, struct buf *warnings, struct bv_error *err)
{
    struct checker checker = {.tree = tree, .mode = mode, .warnings = warnings, .err = err};
    enum bv_status status = resolve_fields(&checker, scope);

    if (status != BV_OK) {
        *failure = EXPR_FAILURE_FIELD;
        return status;
    }
    for (uint32_t i = 0; i < tree->term_count; i++) {
        struct term *term = &tree->terms[i];
        bool is_fine = true;

        switch ((enum term_kind)term->kind) {
        case TERM_LITERAL:
            term->type = literal_type(&term->literal);
            break;
        case TERM_APPLY:
            is_fine = check_apply(&checker, term);
            break;
        case TERM_CALL:
            is_fine = check_call(&checker, term);
            break;
        case TERM_NAME:
        case TERM_TYPE_WORD:
            break;
        }
        if (!is_fine) {
            *failure = EXPR_FAILURE_TYPE;
            return BV_INVALID_EXPRESSION;
        }
    }
    return BV_OK;
}
