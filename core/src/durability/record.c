/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the log, to bytes and back.
 *
 * Enters:  headers to write, bytes to read.
 * Leaves:  bytes; or a header and body that checked, or what is wrong with them.
 * Owner:   any thread; there is no state.
 *
 * Invariants
 *   (1) A record is believed only when its checksum is right, its padding is zero and its type and
 *       flags are known.
 *   (2) The checksum covers all but the length and itself. A wrong length is found because the
 *       checksum is then taken over other bytes. */
#include "durability/record.h"

#include "util/assert.h"
#include "util/bytes.h"
#include "util/crc.h"

size_t
record_header_encode(uint8_t out[RECORD_HEADER_SIZE_MAX], const struct record_header *header)
{
    uint8_t *word = out + RECORD_HEADER_SIZE;

    memcpy(out, header, RECORD_HEADER_SIZE);
    if ((header->flags & RECORD_FLAG_EVENT_TIME) != 0) {
        store_le64(word, header->event_time_ms);
        word += 8;
    }
    if ((header->flags & RECORD_FLAG_SOURCE) != 0) {
        store_le64(word, header->source);
        store_le64(word + 8, header->source_offset);
        word += 16;
    }
    BV_DEBUG_ASSERT((size_t)(word - out) == record_header_size(header->flags));
    return (size_t)(word - out);
}

/* Zero bytes between the record and the next multiple of RECORD_ALIGN. */
static bool
padding_is_zero(struct slice data, size_t length)
{
    for (size_t i = length; i < record_padded_size(length); i++) {
        if (data.data[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool
record_is_known(const struct record_header *header)
{
    if ((header->flags & ~RECORD_FLAGS_KNOWN) != 0) {
        return false;
    }
    return header->type >= RECORD_MARK && header->type <= RECORD_LOST;
}

/* Type, count and flags that no writer puts together. */
static bool
record_is_sound(const struct record_header *header)
{
    if (header->length < record_header_size(header->flags)) {
        return false;
    }
    if (header->type == RECORD_MARK) {
        return header->count == 0;
    }
    if ((header->flags & RECORD_FLAG_CLEAN_STOP) != 0) {
        return false;
    }
    if (header->type == RECORD_LOST) {
        return header->count > 0 && header->length == record_header_size(header->flags);
    }
    return header->type == RECORD_PUSH ? header->count > 0 : header->count == 1;
}

enum record_state
record_decode(struct record_header *header, struct slice *body, struct slice data)
{
    *body = slice_of(data.data, 0);
    if (data.size < RECORD_HEADER_SIZE) {
        header->length = RECORD_HEADER_SIZE;
        if (data.size >= 4 && load_le32(data.data) == 0) {
            return RECORD_END;
        }
        return RECORD_INCOMPLETE;
    }
    memcpy(header, data.data, RECORD_HEADER_SIZE);
    header->event_time_ms = 0;
    header->source = 0;
    header->source_offset = 0;
    if (header->length == 0) {
        return RECORD_END;
    }
    if (header->length < RECORD_HEADER_SIZE || header->length > RECORD_LENGTH_MAX) {
        return RECORD_INVALID;
    }
    if (data.size < record_padded_size(header->length)) {
        return RECORD_INCOMPLETE;
    }
    if (crc32c(0, data.data + 8, header->length - 8) != header->crc ||
        !padding_is_zero(data, header->length)) {
        return RECORD_INVALID;
    }
    if (!record_is_known(header)) {
        return RECORD_UNKNOWN;
    }
    if (!record_is_sound(header)) {
        return RECORD_INVALID;
    }
    const uint8_t *word = data.data + RECORD_HEADER_SIZE;
    if ((header->flags & RECORD_FLAG_EVENT_TIME) != 0) {
        header->event_time_ms = load_le64(word);
        word += 8;
    }
    if ((header->flags & RECORD_FLAG_SOURCE) != 0) {
        header->source = load_le64(word);
        header->source_offset = load_le64(word + 8);
        word += 16;
    }
    *body = slice_of(word, header->length - record_header_size(header->flags));
    return RECORD_VALID;
}

void
record_mark_encode(uint8_t out[RECORD_MARK_SIZE], const struct record_mark *mark)
{
    struct record_header header = mark->header;

    header.length = RECORD_MARK_SIZE;
    header.crc = 0;
    header.type = RECORD_MARK;
    header.count = 0;
    header.flags &= RECORD_FLAG_CLEAN_STOP;
    header.seed = 0;
    memcpy(out, &header, RECORD_HEADER_SIZE);
    store_le64(out + 40, mark->segment_number);
    store_le64(out + 48, mark->salt);
    store_le64(out + 56, mark->durable_lsn);
    store_le64(out + 64, 0);
    store_le32(out + 4, crc32c(0, out + 8, RECORD_MARK_SIZE - 8));
}

bool
record_mark_decode(struct record_mark *out, struct slice data, uint64_t segment_number,
                   uint64_t salt)
{
    struct slice body;

    /* The cheap look first: recovery asks this of every page behind the end. */
    if (data.size < RECORD_MARK_SIZE || load_le32(data.data) != RECORD_MARK_SIZE) {
        return false;
    }
    data.size = RECORD_MARK_SIZE;
    if (record_decode(&out->header, &body, data) != RECORD_VALID ||
        out->header.type != RECORD_MARK || body.size != 32) {
        return false;
    }
    out->segment_number = load_le64(body.data);
    out->salt = load_le64(body.data + 8);
    out->durable_lsn = load_le64(body.data + 16);
    return out->segment_number == segment_number && out->salt == salt &&
           load_le64(body.data + 24) == 0;
}
