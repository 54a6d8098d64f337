/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_FRAME_H
#define BV_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/bytes.h"
#include "util/slice.h"

/* The TCP frame: u32 length (big-endian, = 3 + payload) | u16 opcode | u8 content type | payload.
 */
#define FRAME_HEADER_SIZE 7
#define FRAME_LENGTH_SIZE 4

enum frame_op {
    FRAME_PING = 0x0000,
    FRAME_REGISTER = 0x0001,
    FRAME_PUSH = 0x0010,
    FRAME_PUSH_SYNC = 0x0011,
    FRAME_PUSH_MANY = 0x0012,
    FRAME_GET = 0x0020,
    FRAME_MGET = 0x0021,
    FRAME_GET_MULTI = 0x0022,
    FRAME_GET_RESPONSE = 0x0023,
    FRAME_BATCH_GET = 0x0024,
    FRAME_SET = 0x0030,
    FRAME_MSET = 0x0031,
    FRAME_RESET = 0x0040,
    FRAME_ERROR = 0xffff,
};

enum frame_state { FRAME_COMPLETE, FRAME_INCOMPLETE, FRAME_TOO_SHORT, FRAME_TOO_LARGE };

struct frame {
    uint32_t length; /* as declared */
    uint16_t opcode;
    uint8_t content_type;
    struct slice payload;
    size_t size; /* 4 + length: where the next frame begins */
};

/* Looks at the front of `data`. TOO_SHORT and TOO_LARGE are decided as soon as 4 bytes are there
 * (length is then set); max_payload is the limit on the payload. */
static inline enum frame_state
frame_decode(struct frame *out, struct slice data, uint32_t max_payload)
{
    if (data.size < FRAME_LENGTH_SIZE) {
        return FRAME_INCOMPLETE;
    }
    out->length = load_be32(data.data);
    if (out->length < 3) {
        return FRAME_TOO_SHORT;
    }
    if (out->length - 3 > max_payload) {
        return FRAME_TOO_LARGE;
    }
    out->size = (size_t)out->length + FRAME_LENGTH_SIZE;
    if (data.size < out->size) {
        return FRAME_INCOMPLETE;
    }
    out->opcode = load_be16(data.data + 4);
    out->content_type = data.data[6];
    out->payload = slice_of(data.data + FRAME_HEADER_SIZE, out->length - 3);
    return FRAME_COMPLETE;
}

void frame_encode(struct buf *buf, uint16_t opcode, uint8_t content_type, struct slice payload);

#endif
