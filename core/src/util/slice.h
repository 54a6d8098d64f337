/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_SLICE_H
#define BV_UTIL_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed view of bytes. It never outlives the buffer it points into. */
struct slice {
    const uint8_t *data;
    size_t size;
};

static inline struct slice
slice_of(const void *data, size_t size)
{
    return (struct slice){(const uint8_t *)data, size};
}

static inline struct slice
slice_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first on a common prefix: the order of names on the wire. */
static inline int
slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

#endif
