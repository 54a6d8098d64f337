/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_RECORD_H
#define BV_DURABILITY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* The unit of the log (docs/formats.md 2.2): a header, up to three optional words, a body. A run of
 * pushes, a registration, a reset is one record each. */
enum record_type {
    RECORD_MARK = 1, /* begins a group; written by the log itself */
    RECORD_PUSH = 2, /* count push frames, length prefixes included */
    RECORD_REGISTER = 3,
    RECORD_RESET = 4,
    RECORD_EVICT = 6, /* 5 is not used */
    RECORD_LOST = 7,  /* `count` operations that could not be salvaged; no body */
};

#define RECORD_FLAG_EVENT_TIME 1u /* event_time_ms is there */
#define RECORD_FLAG_SOURCE     2u /* source and source_offset are there */
#define RECORD_FLAG_DEDUPE     4u /* the run has events with a dedupe key */
#define RECORD_FLAG_CLEAN_STOP 8u /* marks only */
#define RECORD_FLAGS_KNOWN     15u

/* The first RECORD_HEADER_SIZE bytes lie in a file as they lie here. */
struct record_header {
    uint32_t length; /* header, words and body */
    uint32_t crc;    /* of bytes 8 .. length-1 */
    uint64_t first_lsn;
    uint64_t time_ms;
    uint32_t count;
    uint16_t type;
    uint16_t flags;
    uint32_t registry_version;
    uint32_t seed;
    uint64_t event_time_ms; /* stored only when flagged, as the next two */
    uint64_t source;
    uint64_t source_offset;
};

#define RECORD_HEADER_SIZE     40u
#define RECORD_HEADER_SIZE_MAX 64u
#define RECORD_ALIGN           8u
#define RECORD_LENGTH_MAX      (1024u * 1024 * 1024)

_Static_assert(offsetof(struct record_header, length) == 0, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, crc) == 4, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, first_lsn) == 8, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, time_ms) == 16, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, count) == 24, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, type) == 28, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, flags) == 30, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, registry_version) == 32, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, seed) == 36, "formats.md 2.2");
_Static_assert(offsetof(struct record_header, event_time_ms) == RECORD_HEADER_SIZE, "2.2");
_Static_assert(sizeof(struct record_header) == RECORD_HEADER_SIZE_MAX, "formats.md 2.2");

/* Header and words of a record with these flags. */
static inline size_t
record_header_size(uint16_t flags)
{
    return RECORD_HEADER_SIZE + ((flags & RECORD_FLAG_EVENT_TIME) != 0 ? 8u : 0u) +
           ((flags & RECORD_FLAG_SOURCE) != 0 ? 16u : 0u);
}

/* Bytes a record takes in a group. */
static inline size_t
record_padded_size(size_t length)
{
    return (length + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

/* Writes header and words as they stand (length and crc included); returns their size. */
size_t record_header_encode(uint8_t out[RECORD_HEADER_SIZE_MAX],
                            const struct record_header *header);

enum record_state {
    RECORD_VALID,
    RECORD_END,        /* a length of 0: no record here */
    RECORD_INCOMPLETE, /* `data` ends before the record does; header.length says how long it is */
    RECORD_INVALID,    /* length, checksum or padding do not fit */
    RECORD_UNKNOWN,    /* checks, but has a type or flag of another version */
};

/* Looks at the front of `data`, which should hold record_padded_size(length) bytes. header and body
 * are set when VALID or UNKNOWN; only header->length when INCOMPLETE. Trusts nothing. */
enum record_state record_decode(struct record_header *header, struct slice *body,
                                struct slice data);

/* The mark (formats.md 2.5). */
struct record_mark {
    struct record_header header;
    uint64_t segment_number;
    uint64_t salt;
    uint64_t durable_lsn; /* everything up to here was durable before the group was written */
};

#define RECORD_MARK_SIZE 72u

_Static_assert(RECORD_MARK_SIZE % RECORD_ALIGN == 0, "records follow the mark without padding");

/* Fills length, crc, type and count; takes first_lsn, time_ms, flags, registry_version. */
void record_mark_encode(uint8_t out[RECORD_MARK_SIZE], const struct record_mark *mark);
/* True only for a whole, checked mark of this segment and salt. */
bool record_mark_decode(struct record_mark *out, struct slice data, uint64_t segment_number,
                        uint64_t salt);

#endif
