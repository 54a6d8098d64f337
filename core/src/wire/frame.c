/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP frame, outgoing side; the incoming one is inline in frame.h.
 *
 * Enters:  opcode, content type, payload.
 * Leaves:  the frame's bytes at the end of a buffer: whole, or not at all when memory is spent.
 * Owner:   the buffer's owner.
 */
#include "util/assert.h"
#include "wire/frame.h"

void
frame_encode(struct buf *buf, uint16_t opcode, uint8_t content_type, struct slice payload)
{
    BV_ASSERT(payload.size <= UINT32_MAX - 3);
    if (!buf_reserve(buf, FRAME_HEADER_SIZE + payload.size)) {
        return;
    }
    uint8_t *header = buf->data + buf->size;

    store_be32(header, (uint32_t)payload.size + 3);
    store_be16(header + 4, opcode);
    header[6] = content_type;
    buf->size += FRAME_HEADER_SIZE;
    buf_append(buf, payload.data, payload.size);
}
