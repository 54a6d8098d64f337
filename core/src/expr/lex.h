/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_LEX_H
#define BV_EXPR_LEX_H

#include "util/arena.h"
#include "util/error.h"
#include "util/slice.h"

/* Text of an expression as tokens (operators.md 5.1). */

enum token_kind {
    TOKEN_END,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_NAME,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_STR,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NULL,
    TOKEN_NOT,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_ADD,
    TOKEN_SUB,
    TOKEN_MUL,
    TOKEN_DIV,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_EQ,
    TOKEN_NE,
};

struct token {
    enum token_kind kind;
    uint32_t column;   /* 1-based, in bytes */
    struct slice text; /* the name; of a string its decoded bytes, in the arena or in the text */
    int64_t i64;
    double f64;
};

struct lexer {
    struct slice text;
    size_t position;
    struct arena *arena; /* decoded strings */
};

/* The next token. BV_INVALID_EXPRESSION with "col N: ..." or BV_NO_MEMORY. */
enum bv_status lex_next(struct token *out, struct lexer *lexer, struct bv_error *err);

/* How a token reads in a message. */
const char *lex_describe(const struct token *token);

/* True when a name can stand in an expression as it is. */
bool lex_is_name(struct slice name);

#endif
