/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads and chunked bodies, read strictly.
 *
 * Enters:  the bytes of one message, in pieces of any size.
 * Leaves:  where method and target lie, how the body is framed, what the client wants of the
 *          connection; or one sentence that says what is wrong.
 * Owner:   the connection that keeps the two small structs between reads.
 *
 * Invariants
 *   (1) Everything kept is an offset from the start of the message.
 *   (2) A line is judged once, when its line feed is there; a partial line is only searched.
 *   (3) Sizes are checked before they are used: a chunk size cannot overflow, a body cannot pass
 *       its limit.
 *
 * A head may end its lines with a bare LF, as published clients were always allowed to; chunk
 * framing may not, because proxies disagree about it and that is how requests are smuggled. */
#include "wire/http1.h"

#include <strings.h>

#include "util/assert.h"

static const uint8_t token_bytes[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
    ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
    ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
    ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

#define METHOD_SIZE_MAX 32

static bool
text_is(struct slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static struct slice
trim(struct slice text)
{
    while (text.size != 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size != 0 &&
           (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static enum http1_result
bad(struct http1_head *head, const char *error)
{
    head->error = error;
    return HTTP1_BAD;
}

/* METHOD SP TARGET SP HTTP/1.x, single blanks only. */
static enum http1_result
parse_request_line(struct http1_head *head, const uint8_t *line, size_t size)
{
    size_t method_size = 0;
    size_t target_end;
    struct slice version;

    while (method_size < size && token_bytes[line[method_size]] != 0) {
        method_size++;
    }
    if (method_size == 0 || method_size > METHOD_SIZE_MAX || method_size == size ||
        line[method_size] != ' ') {
        return bad(head, "the request line does not begin with a method and one blank");
    }
    target_end = method_size + 1;
    while (target_end < size && line[target_end] > ' ' && line[target_end] != 0x7f) {
        target_end++;
    }
    if (target_end == method_size + 1 || target_end == size || line[target_end] != ' ') {
        return bad(head, "the request line has no target followed by one blank");
    }
    version = slice_of(line + target_end + 1, size - target_end - 1);
    if (slice_equal(version, slice_text("HTTP/1.0"))) {
        head->is_http10 = true;
    } else if (!slice_equal(version, slice_text("HTTP/1.1"))) {
        return bad(head, "the version is neither HTTP/1.0 nor HTTP/1.1");
    }
    head->method_start = head->line_start;
    head->method_size = (uint32_t)method_size;
    head->target_start = head->line_start + (uint32_t)method_size + 1;
    head->target_size = (uint32_t)(target_end - method_size - 1);
    head->has_request_line = true;
    return HTTP1_COMPLETE;
}

static enum http1_result
parse_length(struct http1_head *head, struct slice value)
{
    uint64_t length = 0;

    if (head->has_length) {
        return bad(head, "Content-Length is there twice");
    }
    if (value.size == 0) {
        return bad(head, "Content-Length is not a decimal number");
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return bad(head, "Content-Length is not a decimal number");
        }
        /* Beyond any limit already: stay there instead of wrapping round. */
        if (length < UINT64_MAX / 16) {
            length = length * 10 + (uint64_t)(value.data[i] - '0');
        }
    }
    head->has_length = true;
    head->length = length;
    return HTTP1_COMPLETE;
}

static void
parse_connection(struct http1_head *head, struct slice value)
{
    while (value.size != 0) {
        const uint8_t *comma = memchr(value.data, ',', value.size);
        size_t size = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct slice token = trim(slice_of(value.data, size));

        if (text_is(token, "close")) {
            head->wants_close = true;
        } else if (text_is(token, "keep-alive")) {
            head->wants_keep = true;
        }
        size += comma != NULL;
        value = slice_of(value.data + size, value.size - size);
    }
}

static enum http1_result
parse_field(struct http1_head *head, struct slice name, struct slice value)
{
    switch (name.size) {
    case 6:
        if (text_is(name, "expect")) {
            head->expects_100 = text_is(value, "100-continue");
        }
        break;
    case 10:
        if (text_is(name, "connection")) {
            parse_connection(head, value);
        }
        break;
    case 12:
        if (text_is(name, "content-type")) {
            const uint8_t *end = memchr(value.data, ';', value.size);
            size_t size = end == NULL ? value.size : (size_t)(end - value.data);

            head->has_type = true;
            head->is_json = text_is(trim(slice_of(value.data, size)), "application/json");
        }
        break;
    case 14:
        if (text_is(name, "content-length")) {
            return parse_length(head, value);
        }
        break;
    case 17:
        if (text_is(name, "transfer-encoding")) {
            if (head->is_chunked || !text_is(value, "chunked")) {
                return bad(head, "Transfer-Encoding is not exactly \"chunked\"");
            }
            head->is_chunked = true;
        }
        break;
    default:
        break;
    }
    return HTTP1_COMPLETE;
}

static enum http1_result
parse_header_line(struct http1_head *head, const uint8_t *line, size_t size)
{
    size_t name_size = 0;

    if (++head->line_count > HTTP1_LINES_MAX) {
        head->error = "more than 64 header lines";
        return HTTP1_HEADERS_TOO_LARGE;
    }
    while (name_size < size && token_bytes[line[name_size]] != 0) {
        name_size++;
    }
    if (name_size == 0 || name_size == size || line[name_size] != ':') {
        return bad(head, "a header line is not a name, a colon and a value");
    }
    for (size_t i = name_size + 1; i < size; i++) {
        if ((line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f) {
            return bad(head, "a header value holds a control character");
        }
    }
    return parse_field(head, slice_of(line, name_size),
                       trim(slice_of(line + name_size + 1, size - name_size - 1)));
}

/* The blank line has been read: does it all fit together? */
static enum http1_result
finish_head(struct http1_head *head)
{
    if (head->is_chunked && head->has_length) {
        return bad(head, "both Content-Length and Transfer-Encoding");
    }
    if (head->is_chunked && head->is_http10) {
        return bad(head, "Transfer-Encoding in an HTTP/1.0 request");
    }
    head->size = head->line_start;
    return HTTP1_COMPLETE;
}

enum http1_result
http1_head_parse(struct http1_head *head, struct slice data)
{
    size_t end = data.size < HTTP1_HEAD_SIZE_MAX ? data.size : HTTP1_HEAD_SIZE_MAX;

    BV_ASSERT(head->line_start <= head->scanned);
    for (;;) {
        const uint8_t *line = data.data + head->line_start;
        const uint8_t *feed = NULL;
        enum http1_result result = HTTP1_COMPLETE;
        size_t size;

        if (head->scanned < end) {
            feed = memchr(data.data + head->scanned, '\n', end - head->scanned);
        }
        if (feed == NULL) {
            head->scanned = (uint32_t)end;
            if (end == HTTP1_HEAD_SIZE_MAX) {
                head->error = "the request head exceeds 32768 bytes";
                return HTTP1_HEADERS_TOO_LARGE;
            }
            return HTTP1_INCOMPLETE;
        }
        size = (size_t)(feed - line);
        if (size != 0 && line[size - 1] == '\r') {
            size--;
        }
        if (!head->has_request_line) {
            if (size != 0) { /* empty lines before it are skipped */
                result = parse_request_line(head, line, size);
            }
        } else if (size == 0) {
            head->line_start = (uint32_t)(feed - data.data) + 1;
            return finish_head(head);
        } else {
            result = parse_header_line(head, line, size);
        }
        if (result != HTTP1_COMPLETE) {
            return result;
        }
        head->line_start = (uint32_t)(feed - data.data) + 1;
        head->scanned = head->line_start;
    }
}

/* SIZE --;--> EXTENSION --CR--> SIZE_FEED --LF--> DATA ----> DATA_CR -> DATA_LF -> SIZE
 *                                  \--size 0--> TRAILER_START <--LF-- TRAILER_FEED <--CR-- TRAILER
 *                                                    \--CR--> END_FEED --LF--> DONE              */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_FEED,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START,
    CHUNK_TRAILER,
    CHUNK_TRAILER_FEED,
    CHUNK_END_FEED,
    CHUNK_DONE,
};

#define CHUNK_LINE_MAX 1024 /* a size line with its extensions */

static enum http1_result
bad_chunk(struct http1_chunked *chunked, const char *error)
{
    chunked->error = error;
    return HTTP1_BAD;
}

static int
hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* One byte of a size line. */
static enum http1_result
take_size_byte(struct http1_chunked *chunked, uint8_t byte)
{
    int digit = hex_digit(byte);

    if (++chunked->line_size > CHUNK_LINE_MAX) {
        return bad_chunk(chunked, "a chunk size line exceeds 1024 bytes");
    }
    if (digit >= 0) {
        if (chunked->left > UINT64_MAX / 32) {
            chunked->error = "a chunk is larger than the body may be";
            return HTTP1_BODY_TOO_LARGE;
        }
        chunked->left = chunked->left * 16 + (uint64_t)digit;
        chunked->has_digit = true;
        return HTTP1_INCOMPLETE;
    }
    if (!chunked->has_digit) {
        return bad_chunk(chunked, "a chunk size is not a hexadecimal number");
    }
    if (byte == '\r') {
        chunked->state = CHUNK_SIZE_FEED;
    } else if (byte == ';' || byte == ' ' || byte == '\t') {
        chunked->state = CHUNK_EXTENSION;
    } else {
        return bad_chunk(chunked, "a chunk size is not a hexadecimal number");
    }
    return HTTP1_INCOMPLETE;
}

/* One byte of an extension or a trailer: both are read and forgotten, within limits. */
static enum http1_result
take_ignored_byte(struct http1_chunked *chunked, uint8_t byte, enum chunk_state after_cr)
{
    if (byte == '\r') {
        chunked->state = (uint8_t)after_cr;
        return HTTP1_INCOMPLETE;
    }
    if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
        return bad_chunk(chunked, "a control character in chunk framing");
    }
    if (after_cr == CHUNK_SIZE_FEED) {
        if (++chunked->line_size > CHUNK_LINE_MAX) {
            return bad_chunk(chunked, "a chunk size line exceeds 1024 bytes");
        }
    } else if (++chunked->trailer_size > HTTP1_HEAD_SIZE_MAX) {
        chunked->error = "the trailers exceed 32768 bytes";
        return HTTP1_HEADERS_TOO_LARGE;
    }
    return HTTP1_INCOMPLETE;
}

static enum http1_result
take_size_feed(struct http1_chunked *chunked, uint64_t body_max)
{
    if (chunked->left > body_max || chunked->body_size > body_max - chunked->left) {
        chunked->error = "the chunks exceed the body limit";
        return HTTP1_BODY_TOO_LARGE;
    }
    chunked->state = chunked->left == 0 ? CHUNK_TRAILER_START : CHUNK_DATA;
    chunked->line_size = 0;
    chunked->has_digit = false;
    return HTTP1_INCOMPLETE;
}

static enum http1_result
take_trailer_start(struct http1_chunked *chunked, uint8_t byte)
{
    if (byte == '\r') {
        chunked->state = CHUNK_END_FEED;
        return HTTP1_INCOMPLETE;
    }
    if (token_bytes[byte] == 0) {
        return bad_chunk(chunked, "a trailer line does not begin with a name");
    }
    if (++chunked->trailer_count > HTTP1_LINES_MAX) {
        chunked->error = "more than 64 trailer lines";
        return HTTP1_HEADERS_TOO_LARGE;
    }
    chunked->state = CHUNK_TRAILER;
    return take_ignored_byte(chunked, byte, CHUNK_TRAILER_FEED);
}

static enum http1_result
take_byte(struct http1_chunked *chunked, uint8_t byte, uint64_t body_max)
{
    switch ((enum chunk_state)chunked->state) {
    case CHUNK_SIZE:
        return take_size_byte(chunked, byte);
    case CHUNK_EXTENSION:
        return take_ignored_byte(chunked, byte, CHUNK_SIZE_FEED);
    case CHUNK_TRAILER_START:
        return take_trailer_start(chunked, byte);
    case CHUNK_TRAILER:
        return take_ignored_byte(chunked, byte, CHUNK_TRAILER_FEED);
    case CHUNK_DATA_CR:
        if (byte != '\r') {
            return bad_chunk(chunked, "a chunk is longer than its size says");
        }
        chunked->state = CHUNK_DATA_LF;
        return HTTP1_INCOMPLETE;
    case CHUNK_SIZE_FEED:
    case CHUNK_DATA_LF:
    case CHUNK_TRAILER_FEED:
    case CHUNK_END_FEED:
        if (byte != '\n') {
            return bad_chunk(chunked, "a CR without LF in chunk framing");
        }
        if (chunked->state == CHUNK_SIZE_FEED) {
            return take_size_feed(chunked, body_max);
        }
        if (chunked->state == CHUNK_END_FEED) {
            chunked->state = CHUNK_DONE;
            return HTTP1_COMPLETE;
        }
        chunked->state = chunked->state == CHUNK_DATA_LF ? CHUNK_SIZE : CHUNK_TRAILER_START;
        return HTTP1_INCOMPLETE;
    case CHUNK_DATA:
    case CHUNK_DONE:
        break;
    }
    BV_ASSERT(!"chunk state");
    return HTTP1_BAD;
}

enum http1_result
http1_chunked_decode(struct http1_chunked *chunked, uint8_t *data, size_t *in, size_t end,
                     size_t *out, uint64_t body_max)
{
    BV_ASSERT(*out <= *in);
    BV_ASSERT(*in <= end);
    while (*in < end) {
        enum http1_result result;

        if (chunked->state == CHUNK_DATA) {
            size_t size = end - *in < chunked->left ? end - *in : (size_t)chunked->left;

            memmove(data + *out, data + *in, size);
            *in += size;
            *out += size;
            chunked->body_size += size;
            chunked->left -= size;
            if (chunked->left == 0) {
                chunked->state = CHUNK_DATA_CR;
            }
            continue;
        }
        result = take_byte(chunked, data[*in], body_max);
        (*in)++;
        if (result != HTTP1_INCOMPLETE) {
            return result;
        }
    }
    return HTTP1_INCOMPLETE;
}

size_t
http1_percent_decode(uint8_t *out, struct slice text)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte == '%' && text.size - i > 2) {
            int high = hex_digit(text.data[i + 1]);
            int low = hex_digit(text.data[i + 2]);

            if (high >= 0 && low >= 0) {
                byte = (uint8_t)(high * 16 + low);
                i += 2;
            }
        }
        out[size++] = byte;
    }
    return size;
}

const char *
http1_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Payload Too Large";
    case 415:
        return "Unsupported Media Type";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}
