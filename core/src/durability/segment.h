/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SEGMENT_H
#define BV_DURABILITY_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "os/file.h"

/* One file of the log (docs/formats.md 2): its header page, its name, and the writer's end of it.
 */
#define SEGMENT_PAGE_SIZE      4096u
#define SEGMENT_FORMAT_VERSION 1u
#define SEGMENT_MAGIC          "beavaLOG"
#define SEGMENT_TEMPORARY_NAME "segment.tmp"
#define SEGMENT_NAME_SIZE      32

#define SEGMENT_FLAG_RECYCLED 1u /* old bytes, not zeros, may follow the last group */

struct segment_header {
    uint32_t length;
    uint32_t crc;
    char magic[8];
    uint32_t format_version;
    uint32_t flags;
    uint64_t segment_number;
    uint64_t first_lsn;
    uint64_t salt;
    uint64_t created_ms;
    uint32_t registry_version;
    uint32_t reserved;
};

_Static_assert(sizeof(struct segment_header) == 64, "formats.md 2.1");
_Static_assert(offsetof(struct segment_header, magic) == 8, "formats.md 2.1");
_Static_assert(offsetof(struct segment_header, segment_number) == 24, "formats.md 2.1");
_Static_assert(offsetof(struct segment_header, salt) == 40, "formats.md 2.1");
_Static_assert(offsetof(struct segment_header, registry_version) == 56, "formats.md 2.1");

/* Takes segment_number, first_lsn, salt, created_ms, registry_version, flags. */
void segment_header_encode(uint8_t out[SEGMENT_PAGE_SIZE], const struct segment_header *header);
/* BV_CORRUPT, or BV_UNSUPPORTED_FORMAT for a header that checks but is of another version. */
enum bv_status segment_header_decode(struct segment_header *out, struct slice page,
                                     const char *path, struct bv_error *err);

void segment_name(char out[SEGMENT_NAME_SIZE], uint64_t number);
/* False when the name is not a segment's. */
bool segment_name_parse(uint64_t *out_number, const char *name);
/* The same for a covered segment that waits to be used again. */
void segment_spare_name(char out[SEGMENT_NAME_SIZE], uint64_t number);
bool segment_spare_name_parse(uint64_t *out_number, const char *name);

/* The writer's end. */
struct segment {
    struct os *os;
    int fd; /* -1: none open */
    char path[OS_PATH_MAX];
    uint64_t number;
    uint64_t salt;
    uint64_t position; /* where the next group goes, a multiple of the page size */
    uint64_t prepared; /* zeros (or a former use's bytes) are written up to here */
    bool is_direct;    /* O_DIRECT and RWF_DSYNC work here */
};

/* Writes `segment.tmp`, syncs it, renames it to its name, syncs the directory. A file that has the
 * name already is replaced. Direct writes are tried first when wanted. */
enum bv_status segment_create(struct segment *out, struct os *os, const char *directory,
                              const struct segment_header *header, bool want_direct,
                              struct bv_error *err);
/* The same from a spare, whose bytes behind the header stay (and count as prepared). The header's
 * flags say so. On a failure the spare is gone. */
enum bv_status segment_recycle(struct segment *out, struct os *os, const char *directory,
                               uint64_t spare, const struct segment_header *header,
                               bool want_direct, struct bv_error *err);
/* One group, whole pages, at the position; with `sync` it is durable when this returns BV_OK. A
 * short write is a failure: nothing in this file is to be relied on afterwards. */
enum bv_status segment_write(struct segment *segment, const struct iovec *parts, int part_count,
                             uint64_t size, bool sync, struct bv_error *err);
enum bv_status segment_sync(struct segment *segment, struct bv_error *err);
/* Writes zeros ahead of the position, at most max_bytes, until `ahead` bytes are prepared. Not
 * synced: the next group's sync carries the new blocks as well. *full is set (and BV_OK returned)
 * when the disk has no room for them: groups may still fit. */
enum bv_status segment_prepare(struct segment *segment, uint64_t ahead, uint64_t max_bytes,
                               bool *full, struct bv_error *err);
void segment_close(struct segment *segment);

#endif
