/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's file, from snapshot.tmp to its name.
 *
 * Enters:  chunks, in order.
 * Leaves:  snapshot-<lsn>.bvs, whole and synced; or no trace.
 * Owner:   the snapshot writer's thread.
 *
 * Invariants
 *   (1) Bytes go to the file front to back, in aligned pieces of 1 MiB; only the last is shorter.
 *       A page is never written twice.
 *   (2) The name is given after the sync. Whoever publishes has seen to the rest (snapshot.h).
 *   (3) After a failure no snapshot.tmp is left, if the disk lets us remove it.
 *
 * Direct writes where the file system takes them: they leave the page cache to others, the final
 * sync has little to do, and reading back reads the disk. 2.0 GB/s against 0.95 buffered. */
#include "durability/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durability/quarantine.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/log.h"

/* Buffered: a sync after so many bytes, so that the last one is short and dirty pages few. */
#define SYNC_BYTES (32u * 1024 * 1024)

static bool
is_refusal_of_direct(const struct bv_error *failure)
{
    return failure->os_errno == EINVAL || failure->os_errno == EOPNOTSUPP;
}

static enum bv_status
open_file(struct snapshot_file *file, struct bv_error *err)
{
    int flags = O_RDWR | O_CREAT | O_TRUNC;
    struct bv_error failure = {0};
    enum bv_status status = BV_OK;

    if (file->is_direct) {
        status = os_open(&file->fd, file->os, file->path, flags | O_DIRECT, &failure);
        if (status == BV_OK || !is_refusal_of_direct(&failure)) {
            goto done;
        }
        file->is_direct = false;
    }
    status = os_open(&file->fd, file->os, file->path, flags, &failure);
done:
    if (status != BV_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

enum bv_status
snapshot_file_create(struct snapshot_file *file, struct os *os, const char *directory,
                     const struct snapshot_start *start, struct bv_error *err)
{
    struct snapshot_header header = {.start_lsn = start->start_lsn,
                                     .salt = os_random(),
                                     .time_ms = start->time_ms,
                                     .registry_version = start->registry_version,
                                     .entity_count = start->entity_count,
                                     .last_event_ms = start->last_event_ms};

    memset(file, 0, sizeof *file);
    file->os = os;
    file->directory = directory;
    file->fd = -1;
    file->is_direct = true;
    file->start_lsn = start->start_lsn;
    file->highest_image_lsn = start->start_lsn;
    file->salt = header.salt;
    enum bv_status status = os_path(file->path, directory, SNAPSHOT_TEMPORARY_NAME, err);
    if (status != BV_OK) {
        return status;
    }
    file->piece = aligned_alloc(OS_ALIGN, SNAPSHOT_PIECE_SIZE);
    if (file->piece == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory to write %s", file->path);
    }
    snapshot_header_encode(file->piece, &header);
    file->piece_size = SNAPSHOT_PAGE_SIZE;
    return open_file(file, err);
}

static enum bv_status
sync_file(struct snapshot_file *file, struct bv_error *err)
{
    uint64_t before = clock_monotonic_ns();
    enum bv_status status = os_sync(file->os, file->fd, file->path, err);

    file->sync_ns += clock_monotonic_ns() - before;
    file->unsynced = 0;
    return status;
}

static enum bv_status
write_piece(struct snapshot_file *file, struct bv_error *err)
{
    struct bv_error failure = {0};
    enum bv_status status = os_write_all(file->os, file->fd, file->path, file->piece,
                                         file->piece_size, file->written, &failure);

    if (status != BV_OK && file->is_direct && file->written == 0 &&
        is_refusal_of_direct(&failure)) {
        file->is_direct = false;
        os_close(file->os, &file->fd);
        status = open_file(file, &failure);
        if (status == BV_OK) {
            status = os_write_all(file->os, file->fd, file->path, file->piece, file->piece_size, 0,
                                  &failure);
        }
    }
    if (status != BV_OK) {
        if (err != NULL) {
            *err = failure;
        }
        return status;
    }
    file->written += file->piece_size;
    file->unsynced += file->piece_size;
    file->piece_size = 0;
    return !file->is_direct && file->unsynced >= SYNC_BYTES ? sync_file(file, err) : BV_OK;
}

static enum bv_status
append_bytes(struct snapshot_file *file, struct slice data, struct bv_error *err)
{
    while (data.size > 0) {
        size_t room = SNAPSHOT_PIECE_SIZE - file->piece_size;
        size_t size = data.size < room ? data.size : room;

        memcpy(file->piece + file->piece_size, data.data, size);
        file->piece_size += size;
        data = slice_of(data.data + size, data.size - size);
        if (file->piece_size == SNAPSHOT_PIECE_SIZE) {
            enum bv_status status = write_piece(file, err);
            if (status != BV_OK) {
                return status;
            }
        }
    }
    return BV_OK;
}

/* Zeros up to a multiple of `align`, a divisor of the piece's size. */
static enum bv_status
append_padding(struct snapshot_file *file, size_t align, struct bv_error *err)
{
    static const uint8_t zeros[SNAPSHOT_PAGE_SIZE];

    return append_bytes(file, slice_of(zeros, (align - file->piece_size % align) % align), err);
}

enum bv_status
snapshot_file_append(struct snapshot_file *file, enum snapshot_chunk_type type, uint64_t image_lsn,
                     struct slice first, struct slice second, struct bv_error *err)
{
    struct snapshot_chunk chunk = {.salt = file->salt,
                                   .image_lsn = image_lsn,
                                   .index = (uint32_t)file->chunks,
                                   .type = (uint16_t)type};

    if (first.size + second.size > SNAPSHOT_LENGTH_MAX - sizeof chunk) {
        return bv_error_set(err, BV_SNAPSHOT_UNAVAILABLE,
                            "a chunk of %zu bytes is larger than a snapshot can hold (%u)",
                            first.size + second.size, SNAPSHOT_LENGTH_MAX);
    }
    if (file->chunks == UINT32_MAX) {
        return bv_error_set(err, BV_SNAPSHOT_UNAVAILABLE, "a snapshot holds at most %u chunks",
                            UINT32_MAX);
    }
    snapshot_chunk_seal(&chunk, first, second);
    enum bv_status status = append_bytes(file, slice_of(&chunk, sizeof chunk), err);
    if (status == BV_OK) {
        status = append_bytes(file, first, err);
    }
    if (status == BV_OK) {
        status = append_bytes(file, second, err);
    }
    if (status == BV_OK) {
        status = append_padding(file, SNAPSHOT_ALIGN, err);
    }
    file->chunks++;
    if (image_lsn > file->highest_image_lsn) {
        file->highest_image_lsn = image_lsn;
    }
    return status;
}

enum bv_status
snapshot_file_end(struct snapshot_file *file, const struct snapshot_totals *totals,
                  struct bv_error *err)
{
    struct snapshot_end end = {.chunks = file->chunks,
                               .highest_image_lsn = file->highest_image_lsn,
                               .entities = totals->entities,
                               .dedupe_entries = totals->dedupe_entries,
                               .time_ms = totals->time_ms,
                               .last_event_ms = totals->last_event_ms};
    enum bv_status status =
        snapshot_file_append(file, SNAPSHOT_END, file->highest_image_lsn,
                             slice_of(&end, sizeof end), slice_of(NULL, 0), err);

    if (status == BV_OK) {
        status = append_padding(file, SNAPSHOT_PAGE_SIZE, err);
    }
    if (status == BV_OK && file->piece_size > 0) {
        status = write_piece(file, err);
    }
    if (status == BV_OK) {
        status = sync_file(file, err);
    }
    os_close(file->os, &file->fd);
    return status;
}

enum bv_status
snapshot_file_publish(struct snapshot_file *file, struct bv_error *err)
{
    char name[SNAPSHOT_NAME_SIZE];
    uint64_t before = clock_monotonic_ns();

    snapshot_name(name, file->start_lsn);
    enum bv_status status =
        os_rename(file->os, file->directory, SNAPSHOT_TEMPORARY_NAME, name, err);
    file->sync_ns += clock_monotonic_ns() - before;
    return status;
}

void
snapshot_file_discard(struct snapshot_file *file)
{
    os_close(file->os, &file->fd);
    /* Not there when it could not be created or has its name; the next start removes the rest. */
    (void)os_unlink(file->os, file->directory, SNAPSHOT_TEMPORARY_NAME, NULL);
}

void
snapshot_file_deinit(struct snapshot_file *file)
{
    BV_ASSERT(file->fd < 0);
    free(file->piece);
    file->piece = NULL;
}

/* ---- those that are there ---- */

enum bv_status
snapshot_set_aside(struct os *os, const char *directory, uint64_t start_lsn, struct bv_error *err)
{
    char name[SNAPSHOT_NAME_SIZE];

    snapshot_name(name, start_lsn);
    return quarantine_file(os, directory, name, err);
}

static enum bv_status
set_aside_later(struct os *os, const char *directory, uint64_t start_lsn, struct bv_error *err)
{
    enum bv_status status = snapshot_set_aside(os, directory, start_lsn, err);

    if (status == BV_OK) {
        log_line(
            LOG_WARN, "snapshot.set_aside", "beava.snapshot",
            "a snapshot later than the log was moved to quarantine",
            (struct log_field[]){LOG_TEXT("path", directory), LOG_INT("snapshot_lsn", start_lsn)},
            2);
    }
    return status;
}

enum bv_status
snapshot_files_retain(struct snapshot_kept *out, struct os *os, const char *directory,
                      uint64_t newest_lsn, uint32_t retain, struct bv_error *err)
{
    uint64_t *lsns = NULL;
    size_t count = 0;

    memset(out, 0, sizeof *out);
    enum bv_status status = snapshot_list(&lsns, &count, os, directory, err);
    for (size_t i = 0; i < count && status == BV_OK; i++) {
        char name[SNAPSHOT_NAME_SIZE];

        if (lsns[i] > newest_lsn) {
            status = set_aside_later(os, directory, lsns[i], err);
        } else if (out->kept < retain) {
            out->kept++;
            out->oldest_lsn = lsns[i];
        } else {
            snapshot_name(name, lsns[i]);
            status = os_unlink(os, directory, name, err);
            out->removed += status == BV_OK ? 1 : 0;
        }
    }
    free(lsns);
    return status;
}
