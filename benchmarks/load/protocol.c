/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FRAME_HEAD_SIZE 7u
#define FRAME_BODY_MAX  (64u << 20)
#define ACK_HEAD        "{\"ack_lsn\":"
#define ACK_HEAD_SIZE   (sizeof ACK_HEAD - 1)

static uint32_t
load_big32(const char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return ntohl(value);
}

static uint64_t
load64(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t
parse_lsn(const char *ack_body)
{
    return strtoull(ack_body + ACK_HEAD_SIZE, NULL, 10);
}

static void
keep_error(struct scan *scan, const char *bytes, size_t size)
{
    if (scan->error[0] == '\0') {
        snprintf(scan->error, sizeof scan->error, "%.*s", (int)(size < 250 ? size : 250), bytes);
    }
}

static void
count_reply(struct scan *scan, bool is_good, const char *body, size_t size)
{
    if (is_good) {
        scan->good++;
    } else {
        scan->bad++;
        keep_error(scan, body, size);
    }
}

/* The reply is judged by its beginning, its end is still on the way. */
static void
begin_skip(struct scan *scan, bool is_good, uint64_t missing)
{
    scan->skip_size = missing;
    scan->is_skipped_good = is_good;
}

static size_t
continue_skip(struct scan *scan, size_t size)
{
    if (size < scan->skip_size) {
        scan->skip_size -= size;
        return size;
    }
    size = (size_t)scan->skip_size;
    scan->skip_size = 0;
    count_reply(scan, scan->is_skipped_good, "a long reply", 12);
    return size;
}

static bool
is_good_frame(const struct scan *scan, const char *frame, size_t size)
{
    unsigned opcode = (unsigned)(unsigned char)frame[4] << 8 | (unsigned char)frame[5];

    if (scan->is_read) {
        return opcode == PROTOCOL_READ;
    }
    return opcode == PROTOCOL_PUSH && size > FRAME_HEAD_SIZE + ACK_HEAD_SIZE &&
           memcmp(frame + FRAME_HEAD_SIZE, ACK_HEAD, ACK_HEAD_SIZE) == 0;
}

/* Acks in a row: a length to step over, and two compares. Stops at anything else. */
static const char *
scan_acks(struct scan *scan, const char *at, const char *end)
{
    static const char WANTED[8] = {0x00, 0x10, 0x01, '{', '"', 'a', 'c', 'k'};
    const uint64_t wanted = load64(WANTED);
    const char *first = NULL;
    const char *last = NULL;
    uint64_t good = 0;

    while (end - at > (ptrdiff_t)(FRAME_HEAD_SIZE + ACK_HEAD_SIZE)) {
        uint64_t size = 4 + (uint64_t)load_big32(at);

        if (load64(at + 4) != wanted || load64(at + FRAME_HEAD_SIZE + 2) != load64(ACK_HEAD + 2) ||
            size <= FRAME_HEAD_SIZE + ACK_HEAD_SIZE || size > (uint64_t)(end - at)) {
            break;
        }
        first = first == NULL ? at : first;
        last = at;
        good++;
        at += size;
    }
    if (last != NULL) {
        if (scan->good == 0) {
            scan->lsn_first = parse_lsn(first + FRAME_HEAD_SIZE);
        }
        scan->lsn_last = parse_lsn(last + FRAME_HEAD_SIZE);
        scan->good += good;
    }
    return at;
}

static size_t
scan_frames(struct scan *scan, const char *bytes, size_t size)
{
    const char *at = bytes;
    const char *end = bytes + size;

    for (;;) {
        uint64_t frame_size;
        size_t left;

        if (!scan->is_read) {
            at = scan_acks(scan, at, end);
        }
        left = (size_t)(end - at);
        if (left < FRAME_HEAD_SIZE) {
            break;
        }
        frame_size = 4 + (uint64_t)load_big32(at);
        if (frame_size < FRAME_HEAD_SIZE || frame_size > FRAME_BODY_MAX) {
            keep_error(scan, "not a frame", 11);
            return SIZE_MAX;
        }
        if (frame_size <= left) {
            count_reply(scan, is_good_frame(scan, at, (size_t)frame_size), at + FRAME_HEAD_SIZE,
                        (size_t)frame_size - FRAME_HEAD_SIZE);
            at += frame_size;
        } else if (frame_size < SCAN_CARRY_MAX) {
            break;
        } else {
            begin_skip(scan, is_good_frame(scan, at, left), frame_size - left);
            at = end;
        }
    }
    return (size_t)(at - bytes);
}

/* The body's size as the head declares it, SIZE_MAX when it does not. */
static size_t
http_body_size(const char *head, const char *head_end)
{
    static const char name[] = "\ncontent-length:";
    const size_t name_size = sizeof name - 1;

    for (const char *at = head; at + name_size < head_end; at++) {
        at = memchr(at, '\n', (size_t)(head_end - at));
        if (at == NULL || at + name_size >= head_end) {
            break;
        }
        if (strncasecmp(at, name, name_size) == 0) {
            return (size_t)strtoull(at + name_size, NULL, 10);
        }
    }
    return SIZE_MAX;
}

static size_t
scan_http(struct scan *scan, const char *bytes, size_t size)
{
    const char *at = bytes;
    const char *end = bytes + size;

    for (;;) {
        size_t left = (size_t)(end - at);
        const char *head_end = memmem(at, left, "\r\n\r\n", 4);
        const char *body;
        size_t body_size;
        bool is_good;

        if (head_end == NULL) {
            if (left >= SCAN_CARRY_MAX) {
                return SIZE_MAX;
            }
            break;
        }
        body = head_end + 4;
        body_size = http_body_size(at, head_end + 2);
        if (left < 13 || memcmp(at, "HTTP/1.1 ", 9) != 0 || body_size > FRAME_BODY_MAX) {
            keep_error(scan, at, left);
            return SIZE_MAX;
        }
        is_good = memcmp(at + 9, "200", 3) == 0;
        left = (size_t)(end - body);
        if (left < body_size && (size_t)(body - at) + body_size < SCAN_CARRY_MAX) {
            break;
        }
        if (!scan->is_read && is_good) {
            is_good = left > ACK_HEAD_SIZE && memcmp(body, ACK_HEAD, ACK_HEAD_SIZE) == 0;
        }
        if (left < body_size) {
            begin_skip(scan, is_good, body_size - left);
            at = end;
            break;
        }
        if (!scan->is_read && is_good) {
            scan->lsn_last = parse_lsn(body);
            scan->lsn_first = scan->good == 0 ? scan->lsn_last : scan->lsn_first;
        }
        count_reply(scan, is_good, body, body_size);
        at = body + body_size;
    }
    return (size_t)(at - bytes);
}

/* HINCRBY answers with one line: an integer, or an error. */
static size_t
scan_resp(struct scan *scan, const char *bytes, size_t size)
{
    const char *at = bytes;
    const char *end = bytes + size;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if (line_end == NULL) {
            break;
        }
        count_reply(scan, *at == ':', at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    return (size_t)(at - bytes);
}

size_t
scan_replies(struct scan *scan, const char *bytes, size_t size)
{
    size_t skipped = 0;
    size_t used;

    if (scan->skip_size > 0) {
        skipped = continue_skip(scan, size);
        bytes += skipped;
        size -= skipped;
    }
    switch (scan->transport) {
    case TRANSPORT_TCP:
        used = scan_frames(scan, bytes, size);
        break;
    case TRANSPORT_HTTP:
        used = scan_http(scan, bytes, size);
        break;
    case TRANSPORT_RESP:
    default:
        used = scan_resp(scan, bytes, size);
        break;
    }
    return used == SIZE_MAX ? SIZE_MAX : skipped + used;
}
