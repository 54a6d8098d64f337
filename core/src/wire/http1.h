/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_HTTP1_H
#define BV_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* HTTP/1.1 on its way in: a strict, incremental head parser and a chunked decoder (wire.md 3.3 and
 * 3.4). Both keep offsets instead of pointers, because the bytes of an unfinished message move
 * between reads, and neither looks at a byte twice however the bytes are cut. No allocation.
 *
 * Whatever two parsers could read differently is refused: two framings, a repeated or odd
 * Content-Length, folded lines, blanks before a colon, a bare CR, an unknown transfer coding. */

#define HTTP1_LINES_MAX     64
#define HTTP1_HEAD_SIZE_MAX (32 * 1024)

enum http1_result {
    HTTP1_COMPLETE,
    HTTP1_INCOMPLETE,
    HTTP1_BAD,               /* 400 */
    HTTP1_HEADERS_TOO_LARGE, /* 431 */
    HTTP1_BODY_TOO_LARGE,    /* 413 */
};

/* Zero before the first call for a message. */
struct http1_head {
    uint32_t line_start; /* of the line being read */
    uint32_t scanned;    /* no line feed before this */
    uint32_t method_start;
    uint32_t method_size;
    uint32_t target_start;
    uint32_t target_size;
    uint32_t size; /* of the whole head, blank line included; set when complete */
    uint16_t line_count;
    bool has_request_line;
    bool is_http10;
    bool has_length;
    bool is_chunked;
    bool is_json;      /* Content-Type is application/json, parameters aside */
    bool has_type;     /* a Content-Type was there */
    bool wants_close;  /* Connection: close */
    bool wants_keep;   /* Connection: keep-alive */
    bool expects_100;  /* Expect: 100-continue */
    uint64_t length;   /* Content-Length */
    const char *error; /* one sentence, static; set by HTTP1_BAD and HTTP1_HEADERS_TOO_LARGE */
};

/* Goes on with the head that begins at data[0]; `data` holds at least what it held before. */
enum http1_result http1_head_parse(struct http1_head *head, struct slice data);

/* Zero before the first call for a body. */
struct http1_chunked {
    uint64_t left;      /* of the chunk being read */
    uint64_t body_size; /* decoded so far */
    uint32_t line_size; /* of the size line or trailer being read */
    uint32_t trailer_size;
    uint16_t trailer_count;
    uint8_t state;
    bool has_digit;
    const char *error;
};

/* Decodes data[*in .. end) and writes the body at data + *out, in place (*out <= *in); moves both.
 * Complete: the last trailer line has been taken and *in is where the next message begins. */
enum http1_result http1_chunked_decode(struct http1_chunked *chunked, uint8_t *data, size_t *in,
                                       size_t end, size_t *out, uint64_t body_max);

/* %XX of a path segment; what is no valid escape stays as it is. `out` has room for text.size. */
size_t http1_percent_decode(uint8_t *out, struct slice text);

/* "Not Found" for 404. */
const char *http1_reason(int status);

#endif
