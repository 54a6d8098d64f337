/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SNAPSHOT_FORMAT_H
#define BV_DURABILITY_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "durability/snapshot.h"

/* The bytes of a snapshot file (docs/formats.md 5.1 and 5.5), for its writer and its reader. */
#define SNAPSHOT_PAGE_SIZE      4096u
#define SNAPSHOT_ALIGN          16u /* of chunks */
#define SNAPSHOT_FORMAT_VERSION 1u
#define SNAPSHOT_MAGIC          "beavaSNP"
#define SNAPSHOT_MAGIC_0_0_6    "BEAVASNP"
#define SNAPSHOT_TEMPORARY_NAME "snapshot.tmp"
#define SNAPSHOT_LENGTH_MAX     (1024u * 1024 * 1024) /* of a chunk, with its header */
#define SNAPSHOT_END_BODY_SIZE  48u

struct snapshot_header {
    uint32_t length;
    uint32_t crc;
    char magic[8];
    uint32_t format_version;
    uint32_t flags;
    uint64_t start_lsn;
    uint64_t salt;
    uint64_t time_ms;
    uint32_t registry_version;
    uint32_t reserved;
    uint64_t entity_count;
    uint64_t last_event_ms;
};

_Static_assert(sizeof(struct snapshot_header) == 72, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_header, magic) == 8, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_header, start_lsn) == 24, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_header, registry_version) == 48, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_header, entity_count) == 56, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_header, last_event_ms) == 64, "formats.md 5.1");

struct snapshot_chunk {
    uint32_t length;
    uint32_t crc;
    uint64_t salt;
    uint64_t image_lsn;
    uint32_t index;
    uint16_t type;
    uint16_t flags;
};

#define SNAPSHOT_CHUNK_SIZE 32u

_Static_assert(sizeof(struct snapshot_chunk) == SNAPSHOT_CHUNK_SIZE, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_chunk, salt) == 8, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_chunk, index) == 24, "formats.md 5.1");
_Static_assert(offsetof(struct snapshot_chunk, type) == 28, "formats.md 5.1");

/* The `end` chunk's body. */
struct snapshot_end {
    uint64_t chunks; /* before it */
    uint64_t highest_image_lsn;
    uint64_t entities;
    uint64_t dedupe_entries;
    uint64_t time_ms;
    uint64_t last_event_ms;
};

_Static_assert(sizeof(struct snapshot_end) == SNAPSHOT_END_BODY_SIZE, "formats.md 5.5");

static inline uint64_t
snapshot_padded_size(uint64_t length)
{
    return (length + SNAPSHOT_ALIGN - 1) & ~(uint64_t)(SNAPSHOT_ALIGN - 1);
}

/* Takes start_lsn, salt, time_ms, registry_version, entity_count, last_event_ms. */
void snapshot_header_encode(uint8_t out[SNAPSHOT_PAGE_SIZE], const struct snapshot_header *header);
/* BV_CORRUPT, or BV_UNSUPPORTED_FORMAT for what another version wrote; the message begins with the
 * path and names the offset. */
enum bv_status snapshot_header_decode(struct snapshot_header *out, struct slice page,
                                      const char *path, struct bv_error *err);
/* Fills length and crc from a body that may lie in two parts (the second may be empty). */
void snapshot_chunk_seal(struct snapshot_chunk *chunk, struct slice first, struct slice second);

/* False when the name is not a snapshot's. */
bool snapshot_name_parse(uint64_t *out_lsn, const char *name);

#endif
