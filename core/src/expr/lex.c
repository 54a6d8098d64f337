/* SPDX-License-Identifier: Apache-2.0 */
/* Text of an expression, cut into tokens.
 *
 * Enters:  the bytes of one expression.
 * Leaves:  one token per call; the first malformed one ends the expression.
 * Owner:   the parser, which holds the lexer on its stack.
 *
 * Invariants
 *   (1) A token never reads past the end of the text; no byte is assumed to follow it.
 *   (2) String tokens are UTF-8 as written: escapes name code points, never single bytes.
 *
 * We read more than the published server did (W32): what Python's repr() writes, that is
 * double-quoted strings, \n \t \xNN \uNNNN \UNNNNNNNN, and floats such as 1e-05.
 */
#include "expr/lex.h"

#include <math.h>

#include "util/utf8.h"
#include "wire/number.h"

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool
is_name_start(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_name_byte(uint8_t c)
{
    return is_name_start(c) || is_digit(c);
}

/* The byte at an offset from the position, 0 past the end (no token contains a NUL outside of a
 * string, so the two need not be told apart here). */
static uint8_t
peek(const struct lexer *lexer, size_t offset)
{
    size_t at = lexer->position + offset;

    return at < lexer->text.size ? lexer->text.data[at] : 0;
}

static const struct {
    const char *word;
    enum token_kind kind;
} reserved_words[] = {
    {"and", TOKEN_AND},   {"or", TOKEN_OR},       {"not", TOKEN_NOT},
    {"true", TOKEN_TRUE}, {"false", TOKEN_FALSE}, {"null", TOKEN_NULL},
};

static enum token_kind
name_kind(struct slice name)
{
    for (size_t i = 0; i < sizeof reserved_words / sizeof reserved_words[0]; i++) {
        if (slice_equal(name, slice_text(reserved_words[i].word))) {
            return reserved_words[i].kind;
        }
    }
    return TOKEN_NAME;
}

/* Bytes of the dotted name that begins at `from`. */
static size_t
name_size(struct slice text, size_t from)
{
    size_t at = from;

    while (at < text.size) {
        bool is_dot = text.data[at] == '.' && at > from && at + 1 < text.size &&
                      is_name_start(text.data[at + 1]);

        if (!is_dot && !is_name_byte(text.data[at])) {
            break;
        }
        at++;
    }
    return at - from;
}

bool
lex_is_name(struct slice name)
{
    return name.size != 0 && is_name_start(name.data[0]) && name_size(name, 0) == name.size &&
           name_kind(name) == TOKEN_NAME;
}

static void
lex_name(struct token *out, struct lexer *lexer)
{
    size_t size = name_size(lexer->text, lexer->position);

    out->text = slice_of(lexer->text.data + lexer->position, size);
    out->kind = name_kind(out->text);
    lexer->position += size;
}

static enum bv_status
lex_number(struct token *out, struct lexer *lexer, struct bv_error *err)
{
    size_t size = 0;
    bool is_float = false;

    while (is_digit(peek(lexer, size))) {
        size++;
    }
    if (peek(lexer, size) == '.' && is_digit(peek(lexer, size + 1))) {
        is_float = true;
        size++;
        while (is_digit(peek(lexer, size))) {
            size++;
        }
    }
    if (peek(lexer, size) == 'e' || peek(lexer, size) == 'E') {
        uint8_t sign = peek(lexer, size + 1);
        size_t digits = size + (sign == '+' || sign == '-' ? 2 : 1);

        if (is_digit(peek(lexer, digits))) {
            is_float = true;
            size = digits;
            while (is_digit(peek(lexer, size))) {
                size++;
            }
        }
    }
    out->text = slice_of(lexer->text.data + lexer->position, size);
    lexer->position += size;
    if (is_float) {
        /* Leading zeros are fine here and not in JSON, so they are not shown to the reader. */
        struct slice text = out->text;

        while (text.size > 1 && text.data[0] == '0' && is_digit(text.data[1])) {
            text = slice_of(text.data + 1, text.size - 1);
        }
        out->kind = TOKEN_FLOAT;
        if (!number_parse_f64(&out->f64, text, true) || !isfinite(out->f64)) {
            return bv_error_set(err, BV_INVALID_EXPRESSION, "col %u: float \"%s\" is out of range",
                                out->column, bv_error_quote(out->text));
        }
        return BV_OK;
    }
    out->kind = TOKEN_INT;
    if (!number_parse_i64(&out->i64, out->text)) {
        return bv_error_set(err, BV_INVALID_EXPRESSION,
                            "col %u: integer \"%s\" does not fit 64 bits", out->column,
                            bv_error_quote(out->text));
    }
    return BV_OK;
}

/* Up to `count` hexadecimal digits at text[at..]; false when there are fewer. */
static bool
hex_digits(uint32_t *out, struct slice text, size_t at, size_t count)
{
    uint32_t code = 0;

    if (text.size < count || at > text.size - count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t c = text.data[at + i];
        uint32_t digit = 0;

        if (is_digit(c)) {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A' + 10);
        } else {
            return false;
        }
        code = code << 4 | digit;
    }
    *out = code;
    return true;
}

/* Decodes the escape whose backslash is at text[at]. Returns its size in the text; what is no
 * escape keeps the backslash alone, so its second character is read as itself. A surrogate is not
 * a character: it stays as written. Every escape is at least as long as its encoding. */
static size_t
decode_escape(uint8_t *out, size_t *out_size, struct slice text, size_t at)
{
    static const char letters[] = "\\'\"nrt0";
    static const uint8_t meanings[] = "\\'\"\n\r\t\0";
    uint8_t letter = at + 1 < text.size ? text.data[at + 1] : 0;
    const char *known = letter == 0 ? NULL : strchr(letters, letter);
    size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    uint32_t code = 0;

    if (known != NULL) {
        out[0] = meanings[known - letters];
        *out_size = 1;
        return 2;
    }
    if (digits != 0 && hex_digits(&code, text, at + 2, digits) && code <= 0x10FFFF &&
        (code < 0xD800 || code > 0xDFFF)) {
        *out_size = utf8_encode(out, code);
        return 2 + digits;
    }
    out[0] = '\\';
    *out_size = 1;
    return 1;
}

static enum bv_status
lex_string(struct token *out, struct lexer *lexer, struct bv_error *err)
{
    const uint8_t *data = lexer->text.data;
    uint8_t quote = data[lexer->position];
    size_t first = lexer->position + 1;
    size_t end = first;
    bool has_escape = false;

    while (end < lexer->text.size && data[end] != quote) {
        if (data[end] == '\\') {
            has_escape = true;
            end++;
        }
        end++;
    }
    if (end >= lexer->text.size) {
        return bv_error_set(err, BV_INVALID_EXPRESSION, "col %u: string is not closed",
                            out->column);
    }
    out->kind = TOKEN_STR;
    out->text = slice_of(data + first, end - first);
    lexer->position = end + 1;
    if (!has_escape) {
        return BV_OK;
    }

    uint8_t *decoded = (uint8_t *)arena_alloc(lexer->arena, out->text.size);
    size_t size = 0;

    if (decoded == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "string literal of %zu bytes", out->text.size);
    }
    for (size_t i = 0; i < out->text.size;) {
        size_t written = 1;

        if (out->text.data[i] == '\\') {
            i += decode_escape(decoded + size, &written, out->text, i);
        } else {
            decoded[size] = out->text.data[i++];
        }
        size += written;
    }
    out->text = slice_of(decoded, size);
    return BV_OK;
}

/* Punctuation and operators; false when the byte begins none. */
static bool
lex_operator(struct token *out, struct lexer *lexer)
{
    uint8_t next = peek(lexer, 1);
    size_t size = 1;

    switch (peek(lexer, 0)) {
    case '(':
        out->kind = TOKEN_OPEN;
        break;
    case ')':
        out->kind = TOKEN_CLOSE;
        break;
    case ',':
        out->kind = TOKEN_COMMA;
        break;
    case '+':
        out->kind = TOKEN_ADD;
        break;
    case '-':
        out->kind = TOKEN_SUB;
        break;
    case '*':
        out->kind = TOKEN_MUL;
        break;
    case '/':
        out->kind = TOKEN_DIV;
        break;
    case '>':
        out->kind = next == '=' ? TOKEN_GE : TOKEN_GT;
        size = next == '=' ? 2 : 1;
        break;
    case '<':
        out->kind = next == '=' ? TOKEN_LE : TOKEN_LT;
        size = next == '=' ? 2 : 1;
        break;
    case '=':
    case '!':
        if (next != '=') {
            return false;
        }
        out->kind = peek(lexer, 0) == '=' ? TOKEN_EQ : TOKEN_NE;
        size = 2;
        break;
    default:
        return false;
    }
    out->text = slice_of(lexer->text.data + lexer->position, size);
    lexer->position += size;
    return true;
}

enum bv_status
lex_next(struct token *out, struct lexer *lexer, struct bv_error *err)
{
    uint8_t c = peek(lexer, 0);

    while (lexer->position < lexer->text.size &&
           (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
        lexer->position++;
        c = peek(lexer, 0);
    }
    *out = (struct token){.column = (uint32_t)lexer->position + 1};
    if (lexer->position >= lexer->text.size) {
        return BV_OK;
    }
    if (is_name_start(c)) {
        lex_name(out, lexer);
        return BV_OK;
    }
    if (is_digit(c)) {
        return lex_number(out, lexer, err);
    }
    if (c == '\'' || c == '"') {
        return lex_string(out, lexer, err);
    }
    if (lex_operator(out, lexer)) {
        return BV_OK;
    }
    if (c == '=' || c == '!') {
        return bv_error_set(err, BV_INVALID_EXPRESSION,
                            "col %u: lone '%c'; comparisons are '==' and '!='", out->column, c);
    }
    if (c >= 0x20 && c < 0x7F) {
        return bv_error_set(err, BV_INVALID_EXPRESSION, "col %u: unknown character '%c'",
                            out->column, c);
    }
    return bv_error_set(err, BV_INVALID_EXPRESSION, "col %u: unknown character 0x%02x", out->column,
                        c);
}

const char *
lex_describe(const struct token *token)
{
    switch (token->kind) {
    case TOKEN_END:
        return "end of expression";
    case TOKEN_STR:
        return "a string";
    default:
        return bv_error_quote(token->text);
    }
}
