/* SPDX-License-Identifier: Apache-2.0 */
/* One file of the log: born whole, filled group by group, never rewritten.
 *
 * Enters:  a header; groups of whole pages.
 * Leaves:  bytes in the file, synced where that was asked.
 * Owner:   the log writer's thread (or, before it runs, whoever opens the log).
 *
 * Invariants
 *   (1) A name stands for a whole, synced header: the file gets its name only after that.
 *   (2) Groups go to rising positions; a page that was written is not written again.
 *   (3) The position moves only over bytes that were written in full.
 *
 * Space is prepared with written zeros, not fallocate: an unwritten extent would be converted at
 * the first write to it, which is a journal commit per group (176-195 us against 91-114 measured).
 */
#include "durability/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/assert.h"
#include "util/bytes.h"
#include "util/crash_point.h"
#include "util/crc.h"

void
segment_header_encode(uint8_t out[SEGMENT_PAGE_SIZE], const struct segment_header *header)
{
    struct segment_header copy = *header;

    copy.length = SEGMENT_PAGE_SIZE;
    copy.format_version = SEGMENT_FORMAT_VERSION;
    copy.reserved = 0;
    memcpy(copy.magic, SEGMENT_MAGIC, sizeof copy.magic);
    memset(out, 0, SEGMENT_PAGE_SIZE);
    memcpy(out, &copy, sizeof copy);
    store_le32(out + 4, crc32c(0, out + 8, SEGMENT_PAGE_SIZE - 8));
}

enum bv_status
segment_header_decode(struct segment_header *out, struct slice page, const char *path,
                      struct bv_error *err)
{
    if (page.size < SEGMENT_PAGE_SIZE) {
        return bv_error_set(err, BV_CORRUPT, "%s: offset 0: the header page is incomplete", path);
    }
    memcpy(out, page.data, sizeof *out);
    if (memcmp(out->magic, SEGMENT_MAGIC, sizeof out->magic) != 0 ||
        out->length != SEGMENT_PAGE_SIZE ||
        out->crc != crc32c(0, page.data + 8, SEGMENT_PAGE_SIZE - 8)) {
        return bv_error_set(err, BV_CORRUPT, "%s: offset 0: the header page does not check", path);
    }
    if (out->format_version != SEGMENT_FORMAT_VERSION ||
        (out->flags & ~SEGMENT_FLAG_RECYCLED) != 0) {
        return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                            "%s has format version %" PRIu32 " (flags %" PRIu32
                            "); this release reads version %u",
                            path, out->format_version, out->flags, SEGMENT_FORMAT_VERSION);
    }
    return BV_OK;
}

void
segment_name(char out[SEGMENT_NAME_SIZE], uint64_t number)
{
    (void)snprintf(out, SEGMENT_NAME_SIZE, "segment-%016" PRIx64 ".log", number);
}

void
segment_spare_name(char out[SEGMENT_NAME_SIZE], uint64_t number)
{
    (void)snprintf(out, SEGMENT_NAME_SIZE, "spare-%016" PRIx64 ".log", number);
}

/* "<prefix><16 digits>.log" */
static bool
numbered_name_parse(uint64_t *out_number, const char *name, const char *prefix)
{
    const size_t from = strlen(prefix);
    uint64_t number = 0;

    if (strlen(name) != from + 16 + 4 || strncmp(name, prefix, from) != 0 ||
        strcmp(name + from + 16, ".log") != 0) {
        return false;
    }
    for (size_t i = from; i < from + 16; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        number = number << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *out_number = number;
    return true;
}

bool
segment_name_parse(uint64_t *out_number, const char *name)
{
    return numbered_name_parse(out_number, name, "segment-");
}

bool
segment_spare_name_parse(uint64_t *out_number, const char *name)
{
    return numbered_name_parse(out_number, name, "spare-");
}

static enum bv_status
segment_failure(const struct segment *segment, struct bv_error *err, const char *verb, int number)
{
    char reason[128];

    bv_error_set(err, BV_IO, "cannot %s %s at offset %" PRIu64 ": %s", verb, segment->path,
                 segment->position, strerror_r(number, reason, sizeof reason));
    if (err != NULL) {
        err->os_errno = number;
    }
    return BV_IO;
}

/* Opens segment.tmp and writes its header page, synced. BV_IO with EINVAL or EOPNOTSUPP means: not
 * direct, please. */
static enum bv_status
segment_write_header(struct segment *segment, int flags, const uint8_t *page, struct bv_error *err)
{
    struct iovec part = {(void *)(uintptr_t)page, SEGMENT_PAGE_SIZE};
    enum bv_status status = os_open(&segment->fd, segment->os, segment->path,
                                    flags | O_RDWR | (segment->is_direct ? O_DIRECT : 0), err);

    if (status != BV_OK) {
        return status;
    }
    segment->position = 0;
    status = segment_write(segment, &part, 1, SEGMENT_PAGE_SIZE, true, err);
    if (status != BV_OK) {
        return status;
    }
    /* RWF_DSYNC covers the data and the size; the name comes with the rename. */
    return segment_sync(segment, err);
}

/* From segment.tmp (created, or found, as `flags` say) to a segment with a name. */
static enum bv_status
segment_bear(struct segment *out, struct os *os, const char *directory, int flags,
             const struct segment_header *header, bool want_direct, struct bv_error *err)
{
    _Alignas(OS_ALIGN) uint8_t page[SEGMENT_PAGE_SIZE];
    struct bv_error failure = {0};
    char name[SEGMENT_NAME_SIZE];

    *out = (struct segment){.os = os, .fd = -1, .is_direct = want_direct};
    segment_header_encode(page, header);
    segment_name(name, header->segment_number);
    enum bv_status status = os_path(out->path, directory, SEGMENT_TEMPORARY_NAME, err);
    if (status != BV_OK) {
        goto done;
    }
    status = segment_write_header(out, flags, page, &failure);
    if (status == BV_IO && out->is_direct &&
        (failure.os_errno == EINVAL || failure.os_errno == EOPNOTSUPP)) {
        os_close(os, &out->fd);
        out->is_direct = false;
        status = segment_write_header(out, flags, page, &failure);
    }
    if (status != BV_OK) {
        if (err != NULL) {
            *err = failure;
        }
        goto done;
    }
    CRASH_POINT("wal.segment.before_rename");
    status = os_rename(os, directory, SEGMENT_TEMPORARY_NAME, name, err);
    if (status != BV_OK) {
        goto done;
    }
    CRASH_POINT("wal.segment.after_rename");
    status = os_path(out->path, directory, name, err);
    if (status != BV_OK) {
        goto done;
    }
    out->number = header->segment_number;
    out->salt = header->salt;
    out->prepared = out->position;
done:
    if (status != BV_OK) {
        segment_close(out);
    }
    return status;
}

enum bv_status
segment_create(struct segment *out, struct os *os, const char *directory,
               const struct segment_header *header, bool want_direct, struct bv_error *err)
{
    return segment_bear(out, os, directory, O_CREAT | O_TRUNC, header, want_direct, err);
}

enum bv_status
segment_recycle(struct segment *out, struct os *os, const char *directory, uint64_t spare,
                const struct segment_header *header, bool want_direct, struct bv_error *err)
{
    char name[SEGMENT_NAME_SIZE];
    uint64_t size = 0;

    *out = (struct segment){.os = os, .fd = -1};
    BV_ASSERT((header->flags & SEGMENT_FLAG_RECYCLED) != 0);
    segment_spare_name(name, spare);
    enum bv_status status = os_rename(os, directory, name, SEGMENT_TEMPORARY_NAME, err);
    if (status == BV_OK) {
        status = segment_bear(out, os, directory, 0, header, want_direct, err);
    }
    if (status == BV_OK) {
        status = os_file_size(&size, os, out->fd, out->path, err);
    }
    if (status == BV_OK && size > out->prepared) {
        out->prepared = size - size % SEGMENT_PAGE_SIZE;
    }
    if (status != BV_OK) {
        segment_close(out);
    }
    return status;
}

enum bv_status
segment_write(struct segment *segment, const struct iovec *parts, int part_count, uint64_t size,
              bool sync, struct bv_error *err)
{
    int flags = sync && segment->is_direct ? RWF_DSYNC : 0;
    ssize_t written;

    BV_ASSERT(size % SEGMENT_PAGE_SIZE == 0);
    BV_ASSERT(segment->position % SEGMENT_PAGE_SIZE == 0);
    do {
        written = segment->os->write(segment->os, segment->fd, parts, part_count, segment->position,
                                     flags);
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
        return segment_failure(segment, err, "write", errno);
    }
    if ((uint64_t)written != size) {
        /* A regular file takes less only when something is wrong, most often no space. */
        return segment_failure(segment, err, "write all of a group to", ENOSPC);
    }
    if (sync && !segment->is_direct) {
        CRASH_POINT("wal.after_write");
        enum bv_status status = segment_sync(segment, err);
        if (status != BV_OK) {
            return status;
        }
    }
    segment->position += size;
    return BV_OK;
}

enum bv_status
segment_sync(struct segment *segment, struct bv_error *err)
{
    if (segment->os->sync(segment->os, segment->fd, true) != 0) {
        return segment_failure(segment, err, "sync", errno);
    }
    return BV_OK;
}

enum bv_status
segment_prepare(struct segment *segment, uint64_t ahead, uint64_t max_bytes, bool *full,
                struct bv_error *err)
{
    struct bv_error failure = {0};

    *full = false;
    if (segment->prepared < segment->position) {
        segment->prepared = segment->position;
    }
    uint64_t wanted = segment->position + ahead;
    if (wanted <= segment->prepared) {
        return BV_OK;
    }
    uint64_t size = wanted - segment->prepared < max_bytes ? wanted - segment->prepared : max_bytes;
    size -= size % SEGMENT_PAGE_SIZE;
    enum bv_status status =
        os_write_zeros(segment->os, segment->fd, segment->path, segment->prepared, size, &failure);
    if (status != BV_OK && (failure.os_errno == ENOSPC || failure.os_errno == EDQUOT)) {
        *full = true;
        return BV_OK;
    }
    if (status != BV_OK) {
        if (err != NULL) {
            *err = failure;
        }
        return status;
    }
    segment->prepared += size;
    return BV_OK;
}

void
segment_close(struct segment *segment)
{
    os_close(segment->os, &segment->fd);
}
