/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_BUF_H
#define BV_UTIL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* An owned, growing byte buffer. A failed growth latches `failed` and drops what is appended
 * afterwards, so writers check once at the end. */
struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

void buf_init(struct buf *buf);
void buf_deinit(struct buf *buf);
static inline void
buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}
/* Room for `extra` more bytes; false (and latched) when memory is spent. */
bool buf_reserve_slow(struct buf *buf, size_t extra);
static inline bool
buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->capacity - buf->size >= extra && !buf->failed) {
        return true;
    }
    return buf_reserve_slow(buf, extra);
}
static inline void
buf_append(struct buf *buf, const void *data, size_t size)
{
    if (size != 0 && buf_reserve(buf, size)) {
        memcpy(buf->data + buf->size, data, size);
        buf->size += size;
    }
}
static inline void
buf_byte(struct buf *buf, uint8_t byte)
{
    buf_append(buf, &byte, 1);
}
void buf_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct slice
buf_slice(const struct buf *buf)
{
    return slice_of(buf->data, buf->size);
}

#endif
