/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer for whoever composes bytes: replies, records, messages.
 *
 * Enters:  bytes and text to append.
 * Leaves:  one contiguous run of bytes; buf_slice() borrows it until the next append.
 * Owner:   whoever called buf_init().
 *
 * Invariants
 *   (1) size <= capacity; data is NULL only while capacity is 0.
 *   (2) Once `failed`, nothing is appended until buf_clear(): a reply is whole or is not sent.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/assert.h"
#include "util/buf.h"

#define CAPACITY_MIN 256

void
buf_init(struct buf *buf)
{
    *buf = (struct buf){0};
}

void
buf_deinit(struct buf *buf)
{
    free(buf->data);
    buf_init(buf);
}

bool
buf_reserve_slow(struct buf *buf, size_t extra)
{
    if (buf->failed || extra > SIZE_MAX / 2 - buf->size) {
        buf->failed = true;
        return false;
    }
    size_t wanted = buf->size + extra;
    size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;

    while (capacity < wanted) {
        capacity *= 2; /* wanted <= SIZE_MAX / 2, so this ends before it wraps */
    }
    uint8_t *data = realloc(buf->data, capacity);

    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void
buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    size_t room = buf->failed ? 0 : buf->capacity - buf->size;
    char *end = buf->data == NULL ? NULL : (char *)buf->data + buf->size;

    va_start(arguments, format);
    int wanted = vsnprintf(room == 0 ? NULL : end, room, format, arguments);

    va_end(arguments);
    if (wanted < 0) {
        buf->failed = true;
        return;
    }
    if ((size_t)wanted >= room) {
        /* One byte more than we keep: vsnprintf insists on its NUL. */
        if (!buf_reserve(buf, (size_t)wanted + 1)) {
            return;
        }
        va_start(arguments, format);
        vsnprintf((char *)buf->data + buf->size, (size_t)wanted + 1, format, arguments);
        va_end(arguments);
    }
    buf->size += (size_t)wanted;
    BV_ASSERT(buf->size <= buf->capacity);
}
