/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: filled in place by whoever fails, read by whoever answers.
 *
 * Enters:  a status, a format and its arguments; client text through bv_error_quote().
 * Leaves:  one-line texts inside the caller's struct bv_error.
 * Owner:   the caller. Nothing here allocates, locks or fails.
 *
 * Invariants
 *   (1) Every text ends in NUL and is cut on a UTF-8 boundary, so a reply made from it is UTF-8.
 *   (2) status.def and the public enum of beava.h name the same numbers (asserted below).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/assert.h"
#include "util/error.h"
#include "util/utf8.h"

#define BV_STATUS(NAME, number, http, code, sentence)                                              \
    _Static_assert((BV_##NAME) == (number), "beava.h and status.def disagree on " #NAME);
#include "util/status.def"
#undef BV_STATUS

#define QUOTE_SIZE_MAX 200
#define QUOTE_COUNT    4

static void
format_text(char *out, size_t out_size, const char *format, va_list arguments)
{
    int wanted = vsnprintf(out, out_size, format, arguments);

    if (wanted < 0) {
        out[0] = '\0';
    } else if ((size_t)wanted >= out_size) {
        out[utf8_cut(slice_of(out, out_size - 1), out_size - 1)] = '\0';
    }
}

enum bv_status
bv_error_set(struct bv_error *err, enum bv_status status, const char *format, ...)
{
    va_list arguments;

    BV_ASSERT(status != BV_OK);
    if (err == NULL) {
        return status;
    }
    err->status = status;
    err->os_errno = 0;
    err->path[0] = '\0';
    err->hint[0] = '\0';
    va_start(arguments, format);
    format_text(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return status;
}

void
bv_error_path(struct bv_error *err, const char *format, ...)
{
    va_list arguments;

    if (err == NULL) {
        return;
    }
    va_start(arguments, format);
    format_text(err->path, sizeof err->path, format, arguments);
    va_end(arguments);
}

void
bv_error_hint(struct bv_error *err, const char *format, ...)
{
    va_list arguments;

    if (err == NULL) {
        return;
    }
    va_start(arguments, format);
    format_text(err->hint, sizeof err->hint, format, arguments);
    va_end(arguments);
}

/* Control characters and stray bytes become '?', so that a message stays one line of UTF-8 and a
 * NUL inside a name does not end the message early. */
const char *
bv_error_quote(struct slice text)
{
    static _Thread_local char quotes[QUOTE_COUNT][QUOTE_SIZE_MAX + 1];
    static _Thread_local unsigned next;
    char *quote = quotes[next++ % QUOTE_COUNT];
    size_t size = utf8_cut(text, QUOTE_SIZE_MAX);
    size_t i = 0;

    while (i < size) {
        size_t sequence = utf8_sequence(text.data + i, size - i);

        if (sequence == 0 || text.data[i] < 0x20 || text.data[i] == 0x7f) {
            quote[i++] = '?';
        } else {
            memcpy(quote + i, text.data + i, sequence);
            i += sequence;
        }
    }
    quote[size] = '\0';
    return quote;
}

int
bv_status_http(enum bv_status status)
{
    switch (status) {
#define BV_STATUS(NAME, number, http, code, sentence)                                              \
    case BV_##NAME:                                                                                \
        return http;
#include "util/status.def"
#undef BV_STATUS
    }
    return 500; /* a number from a newer library */
}

const char *
bv_status_code(enum bv_status status)
{
    switch (status) {
#define BV_STATUS(NAME, number, http, code, sentence)                                              \
    case BV_##NAME:                                                                                \
        return code;
#include "util/status.def"
#undef BV_STATUS
    }
    return "";
}

const char *
bv_status_text(enum bv_status status)
{
    switch (status) {
#define BV_STATUS(NAME, number, http, code, sentence)                                              \
    case BV_##NAME:                                                                                \
        return sentence;
#include "util/status.def"
#undef BV_STATUS
    }
    return "unknown status";
}
