/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_PARSE_H
#define BV_EXPR_PARSE_H

#include "util/arena.h"
#include "util/error.h"
#include "wire/value.h"

/* Tokens as a syntax tree (operators.md 5.2), written down in postfix order: the terms are an
 * array, operands stand before what they are operands of, and the last term is the whole. */

/* Terms of one expression. A term costs at least two bytes of text; a text with more is refused. */
#define PARSE_TERMS_MAX 65536

enum term_kind {
    TERM_LITERAL,
    TERM_NAME,      /* a field */
    TERM_TYPE_WORD, /* second argument of cast, by name */
    TERM_CALL,      /* name(arguments) */
    TERM_APPLY,     /* op over arguments */
};

struct term {
    uint8_t kind;
    uint8_t op;      /* enum expr_op of TERM_APPLY */
    bool is_needed;  /* set by compile */
    uint32_t column; /* where it begins, for messages */
    uint32_t first;  /* arguments: tree->arguments[first .. first + count) */
    uint32_t count;
    int type;      /* set by check */
    uint32_t node; /* set by check (of a field) and compile */
    struct slice name;
    struct value literal;
};

/* Terms and arguments live in the arena's memory; nothing to free. */
struct tree {
    struct term *terms;
    uint32_t term_count;
    uint32_t term_capacity;
    uint32_t *arguments;
    uint32_t argument_count;
    uint32_t argument_capacity;
    struct arena *arena;
};

/* Names and literals point into the text or the arena. BV_INVALID_EXPRESSION with "col N: ...", or
 * BV_NO_MEMORY. */
enum bv_status parse_expression(struct tree *out, struct slice text, struct arena *arena,
                                struct bv_error *err);

#endif
