/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_WRITER_H
#define BEAVA_LOAD_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "json_scan.h"

/* Appends to a buffer that the caller made large enough. */
struct writer {
    char *at;
};

static inline void
writer_bytes(struct writer *writer, const void *bytes, size_t size)
{
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

static inline void
writer_text(struct writer *writer, const char *text)
{
    writer_bytes(writer, text, strlen(text));
}

static inline void
writer_piece(struct writer *writer, struct json_piece piece)
{
    writer_bytes(writer, piece.start, piece.size);
}

static inline void
writer_byte(struct writer *writer, unsigned byte)
{
    *writer->at++ = (char)byte;
}

/* Big-endian. */
static inline void
writer_number(struct writer *writer, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        writer_byte(writer, (unsigned)(value >> (8 * i)) & 0xff);
    }
}

static inline void
writer_decimal(struct writer *writer, uint64_t value)
{
    char digits[20];
    unsigned size = 0;

    do {
        digits[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (size > 0) {
        *writer->at++ = digits[--size];
    }
}

/* The seven bytes before a payload; the length is filled in by writer_frame_end. */
static inline char *
writer_frame_begin(struct writer *writer, unsigned opcode, unsigned content_type)
{
    char *frame = writer->at;

    writer->at += 4;
    writer_number(writer, opcode, 2);
    writer_byte(writer, content_type);
    return frame;
}

static inline void
writer_frame_end(struct writer *writer, char *frame)
{
    struct writer length = {frame};

    writer_number(&length, (uint64_t)(writer->at - frame) - 4, 4);
}

#endif
