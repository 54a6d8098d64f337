/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text to a value tree, strict and in one pass.
 *
 * Enters:  a slice with one document.
 * Leaves:  the tree, in the arena and pointing into the text; or the first error with its place.
 * Owner:   the caller of json_parse(), for as long as both text and arena live.
 *
 * Invariants
 *   (1) Every byte is looked at a bounded number of times, and nothing is reserved that the text
 *       has not paid for; the C stack is the same for every text.
 *   (2) Strings in the tree are valid UTF-8, and ints are what the text said.
 *   (3) A place is where the published parser puts it: line and column of the byte that is wrong,
 *       counted from 1 in bytes; at the end of the text, of its last byte.
 *
 *   VALUE --scalar--> AFTER --,--> VALUE or MEMBER       AFTER --] or }--> AFTER
 *   VALUE --[--> VALUE          VALUE --{--> MEMBER --"name":--> VALUE
 */
#include <math.h>

#include "util/assert.h"
#include "util/utf8.h"
#include "wire/json.h"
#include "wire/number.h"
#include "wire/value_stack.h"

_Static_assert(JSON_DEPTH_MAX <= VALUE_STACK_DEPTH_MAX, "the stack holds every allowed depth");

enum step { STEP_VALUE, STEP_MEMBER, STEP_AFTER, STEP_DONE };

struct reader {
    const uint8_t *begin;
    const uint8_t *p;
    const uint8_t *end;
    struct arena *arena;
    unsigned depth_max;
    struct bv_error *err;
    struct value_stack stack;
};

/* `at` is the wrong byte, or the end of the text. */
static enum bv_status
fail(struct reader *r, const uint8_t *at, const char *what)
{
    const uint8_t *stop = at < r->end ? at + 1 : r->end;
    size_t line = 1;
    size_t column = 0;

    for (const uint8_t *p = r->begin; p != stop; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 0;
        }
    }
    return bv_error_set(r->err, BV_MALFORMED_REQUEST, "%s at line %zu column %zu", what, line,
                        column);
}

static enum bv_status
fail_memory(struct reader *r)
{
    return bv_error_set(r->err, BV_NO_MEMORY, "no memory to parse %zu bytes of JSON",
                        (size_t)(r->end - r->begin));
}

static void
skip_space(struct reader *r)
{
    while (r->p != r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) {
        r->p++;
    }
}

static enum bv_status
read_word(struct reader *r, const char *word)
{
    for (; *word != '\0'; word++, r->p++) {
        if (r->p == r->end) {
            return fail(r, r->p, "EOF while parsing a value");
        }
        if (*r->p != (uint8_t)*word) {
            return fail(r, r->p, "expected ident");
        }
    }
    return BV_OK;
}

/* Steps over digits, of which there must be one. */
static enum bv_status
skip_digits(struct reader *r)
{
    if (r->p == r->end) {
        return fail(r, r->p, "EOF while parsing a value");
    }
    if (*r->p < '0' || *r->p > '9') {
        return fail(r, r->p, "invalid number");
    }
    while (r->p != r->end && *r->p >= '0' && *r->p <= '9') {
        r->p++;
    }
    return BV_OK;
}

static enum bv_status
skip_fraction_and_exponent(struct reader *r)
{
    enum bv_status status = BV_OK;

    if (r->p != r->end && *r->p == '.') {
        r->p++;
        status = skip_digits(r);
    }
    if (status == BV_OK && r->p != r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p != r->end && (*r->p == '+' || *r->p == '-')) {
            r->p++;
        }
        status = skip_digits(r);
    }
    return status;
}

static enum bv_status
read_number(struct reader *r, struct value *out)
{
    const uint8_t *begin = r->p;
    int64_t whole;
    double v;

    if (*r->p == '-') {
        r->p++;
    }
    const uint8_t *digits = r->p;
    enum bv_status status = skip_digits(r);

    if (status != BV_OK) {
        return status;
    }
    if (*digits == '0' && r->p - digits > 1) {
        return fail(r, digits + 1, "invalid number");
    }
    const uint8_t *whole_end = r->p;

    status = skip_fraction_and_exponent(r);
    if (status != BV_OK) {
        return status;
    }
    struct slice text = slice_of(begin, (size_t)(r->p - begin));

    /* -0 is the double 0.0, which is the only int text that does not become an int within i64. */
    if (r->p == whole_end && !(*begin == '-' && *digits == '0') && number_parse_i64(&whole, text)) {
        *out = value_i64(whole);
        return BV_OK;
    }
    bool is_number = number_parse_f64(&v, text, false);

    BV_ASSERT(is_number);
    if (isinf(v)) {
        return fail(r, r->p - 1, "number out of range");
    }
    *out = value_f64(v == 0.0 ? 0.0 : v);
    return BV_OK;
}

/* Four digits after \u. */
static enum bv_status
read_hex(struct reader *r, const uint8_t **at, uint32_t *out)
{
    uint32_t v = 0;
    bool is_hex = true;

    if (r->end - *at < 4) {
        return fail(r, r->end, "EOF while parsing a string");
    }
    for (int i = 0; i < 4; i++) {
        uint8_t byte = (*at)[i];
        uint8_t letter = byte | 0x20;

        if (byte >= '0' && byte <= '9') {
            v = v << 4 | (uint32_t)(byte - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            v = v << 4 | (uint32_t)(letter - 'a' + 10);
        } else {
            is_hex = false;
        }
    }
    *at += 4;
    if (!is_hex) {
        return fail(r, *at - 1, "invalid escape");
    }
    *out = v;
    return BV_OK;
}

/* `at` is behind the u of the first half. */
static enum bv_status
read_code_point(struct reader *r, const uint8_t **at, uint32_t *out)
{
    uint32_t low;
    enum bv_status status = read_hex(r, at, out);

    if (status != BV_OK || *out < 0xd800 || *out > 0xdfff) {
        return status;
    }
    if (*out >= 0xdc00) {
        return fail(r, *at - 1, "lone leading surrogate in hex escape");
    }
    for (const char *want = "\\u"; *want != '\0'; want++, (*at)++) {
        if (*at == r->end) {
            return fail(r, *at, "EOF while parsing a string");
        }
        if (**at != (uint8_t)*want) {
            return fail(r, *at, "unexpected end of hex escape");
        }
    }
    status = read_hex(r, at, &low);
    if (status != BV_OK) {
        return status;
    }
    if (low < 0xdc00 || low > 0xdfff) {
        return fail(r, *at - 1, "lone leading surrogate in hex escape");
    }
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return BV_OK;
}

/* One escape; `at` is behind the backslash. Writes at most as many bytes as it reads. */
static enum bv_status
read_escape(struct reader *r, const uint8_t **at, uint8_t **out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";

    if (*at == r->end) {
        return fail(r, *at, "EOF while parsing a string");
    }
    uint8_t byte = *(*at)++;

    if (byte == 'u') {
        uint32_t code_point = 0;
        enum bv_status status = read_code_point(r, at, &code_point);

        if (status == BV_OK) {
            *out += utf8_encode(*out, code_point);
        }
        return status;
    }
    for (size_t i = 0; names[i] != '\0'; i++) {
        if (byte == (uint8_t)names[i]) {
            *(*out)++ = (uint8_t)bytes[i];
            return BV_OK;
        }
    }
    return fail(r, *at - 1, "invalid escape");
}

/* The first byte from p on that is a quote, a backslash or a control character. */
static const uint8_t *
find_special(const uint8_t *p, const uint8_t *end)
{
    while (p != end && *p != '"' && *p != '\\' && *p >= 0x20) {
        p++;
    }
    return p;
}

/* How many bytes until the closing quote or whatever ends the string otherwise. */
static size_t
measure_string(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *begin = p;

    for (;;) {
        p = find_special(p, end);
        if (p == end || *p != '\\') {
            return (size_t)(p - begin);
        }
        p += end - p >= 2 ? 2 : 1;
    }
}

/* A string with escapes, from its opening quote on; r->p ends at the closing quote. */
static enum bv_status
read_escaped(struct reader *r, struct slice *out)
{
    const uint8_t *p = r->p;
    uint8_t *text = arena_alloc(r->arena, measure_string(p, r->end));
    uint8_t *next = text;

    if (text == NULL) {
        return fail_memory(r);
    }
    for (;;) {
        const uint8_t *special = find_special(p, r->end);

        memcpy(next, p, (size_t)(special - p));
        next += special - p;
        p = special;
        if (p == r->end || *p != '\\') {
            break;
        }
        p++;
        enum bv_status status = read_escape(r, &p, &next);

        if (status != BV_OK) {
            return status;
        }
    }
    r->p = p;
    *out = slice_of(text, (size_t)(next - text));
    return BV_OK;
}

static enum bv_status
read_string(struct reader *r, struct value *out)
{
    BV_ASSERT(*r->p == '"');
    const uint8_t *begin = ++r->p;
    const uint8_t *special = find_special(begin, r->end);
    struct slice text = slice_of(begin, (size_t)(special - begin));

    if (special != r->end && *special == '\\') {
        enum bv_status status = read_escaped(r, &text);

        if (status != BV_OK) {
            return status;
        }
    } else {
        r->p = special;
    }
    if (r->p == r->end) {
        return fail(r, r->p, "EOF while parsing a string");
    }
    if (*r->p != '"') {
        return fail(r, r->p, "control character (\\u0000-\\u001F) found while parsing a string");
    }
    if (!utf8_is_valid(text)) {
        return fail(r, r->p, "invalid unicode code point");
    }
    r->p++;
    *out = value_str(text);
    return BV_OK;
}

static enum bv_status
read_scalar(struct reader *r, struct value *out)
{
    switch (*r->p) {
    case '"':
        return read_string(r, out);
    case 't':
        *out = value_bool(true);
        return read_word(r, "true");
    case 'f':
        *out = value_bool(false);
        return read_word(r, "false");
    case 'n':
        *out = value_null();
        return read_word(r, "null");
    default:
        if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')) {
            return read_number(r, out);
        }
        return fail(r, r->p, "expected value");
    }
}

static enum bv_status
close_container(struct reader *r, enum step *next)
{
    r->p++;
    *next = STEP_AFTER;
    return value_stack_close(&r->stack) ? BV_OK : fail_memory(r);
}

static enum bv_status
step_value(struct reader *r, enum step *next)
{
    skip_space(r);
    if (r->p == r->end) {
        return fail(r, r->p, "EOF while parsing a value");
    }
    if (*r->p == '[' || *r->p == '{') {
        bool is_map = *r->p == '{';

        if (r->stack.depth == r->depth_max) {
            return fail(r, r->p, "recursion limit exceeded");
        }
        value_stack_open(&r->stack, is_map, 0);
        r->p++;
        skip_space(r);
        if (r->p == r->end) {
            return fail(r, r->p,
                        is_map ? "EOF while parsing an object" : "EOF while parsing a list");
        }
        if (*r->p == (is_map ? '}' : ']')) {
            return close_container(r, next);
        }
        *next = is_map ? STEP_MEMBER : STEP_VALUE;
        return BV_OK;
    }
    struct value *v = value_stack_next(&r->stack);

    if (v == NULL) {
        return fail_memory(r);
    }
    value_stack_push(&r->stack);
    *next = STEP_AFTER;
    return read_scalar(r, v);
}

/* The space before a name has been skipped and there is a byte. */
static enum bv_status
step_member(struct reader *r, enum step *next)
{
    struct value *key = value_stack_next(&r->stack);

    if (key == NULL) {
        return fail_memory(r);
    }
    if (*r->p != '"') {
        return fail(r, r->p, "key must be a string");
    }
    enum bv_status status = read_string(r, key);

    if (status != BV_OK) {
        return status;
    }
    value_stack_push(&r->stack);
    skip_space(r);
    if (r->p == r->end) {
        return fail(r, r->p, "EOF while parsing an object");
    }
    if (*r->p != ':') {
        return fail(r, r->p, "expected `:`");
    }
    r->p++;
    *next = STEP_VALUE;
    return BV_OK;
}

static enum bv_status
step_after(struct reader *r, enum step *next)
{
    if (r->stack.depth == 0) {
        *next = STEP_DONE;
        return BV_OK;
    }
    bool is_map = value_stack_top(&r->stack)->is_map;
    uint8_t closing = is_map ? '}' : ']';

    skip_space(r);
    if (r->p == r->end) {
        return fail(r, r->p, is_map ? "EOF while parsing an object" : "EOF while parsing a list");
    }
    if (*r->p == closing) {
        return close_container(r, next);
    }
    if (*r->p != ',') {
        return fail(r, r->p, is_map ? "expected `,` or `}`" : "expected `,` or `]`");
    }
    r->p++;
    skip_space(r);
    if (r->p == r->end) {
        return fail(r, r->p, "EOF while parsing a value");
    }
    if (*r->p == closing) {
        return fail(r, r->p, "trailing comma");
    }
    *next = is_map ? STEP_MEMBER : STEP_VALUE;
    return BV_OK;
}

enum bv_status
json_parse(struct value *out, struct slice text, unsigned depth_max, struct arena *arena,
           struct bv_error *err)
{
    struct reader r; /* not zeroed: most of it is the stack */
    enum step next = STEP_VALUE;
    enum bv_status status = BV_OK;

    BV_ASSERT(depth_max <= JSON_DEPTH_MAX);
    if (text.size > UINT32_MAX) {
        return bv_error_set(err, BV_MALFORMED_REQUEST,
                            "%zu bytes of JSON exceed the limit of 4 GiB", text.size);
    }
    r.begin = r.p = text.data;
    r.end = text.data + text.size;
    r.arena = arena;
    r.depth_max = depth_max;
    r.err = err;
    value_stack_init(&r.stack, arena);
    while (status == BV_OK && next != STEP_DONE) {
        switch (next) {
        case STEP_VALUE:
            status = step_value(&r, &next);
            break;
        case STEP_MEMBER:
            status = step_member(&r, &next);
            break;
        default:
            status = step_after(&r, &next);
            break;
        }
    }
    if (status != BV_OK) {
        return status;
    }
    skip_space(&r);
    if (r.p != r.end) {
        return fail(&r, r.p, "trailing characters");
    }
    BV_ASSERT(r.stack.size == 1);
    *out = r.stack.values[0];
    return BV_OK;
}
