/* SPDX-License-Identifier: Apache-2.0 */
/* What is cut from the log, or not believed, is kept beside it, until somebody decides otherwise.
 *
 * Enters:  a range of a segment, or a whole file.
 * Leaves:  a synced file in <directory>/quarantine/.
 * Owner:   recovery; the snapshot writer, for snapshots.
 *
 * Invariant: the copy is durable before the original is touched. */
#include "durability/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define QUARANTINE     "quarantine"
#define COPIES_MAX     1000u
#define COPY_PART_SIZE (256u * 1024)

/* The path of quarantine/, created where it is missing. */
static enum bv_status
quarantine_open(char path[OS_PATH_MAX], struct os *os, const char *directory, struct bv_error *err)
{
    enum bv_status status = os_path(path, directory, QUARANTINE, err);

    return status == BV_OK ? os_make_directory(os, path, err) : status;
}

/* A new file there: "<stem>", or "<stem>.2" and so on where that is taken. */
static enum bv_status
create_copy(int *fd, char path[OS_PATH_MAX], struct os *os, const char *quarantine,
            const char *stem, struct bv_error *err)
{
    for (unsigned copy = 1; copy <= COPIES_MAX; copy++) {
        struct bv_error failure = {0};
        char name[96];

        (void)snprintf(name, sizeof name, copy == 1 ? "%s" : "%s.%u", stem, copy);
        enum bv_status status = os_path(path, quarantine, name, err);
        if (status != BV_OK) {
            return status;
        }
        status = os_open(fd, os, path, O_WRONLY | O_CREAT | O_EXCL, &failure);
        if (status == BV_OK || failure.os_errno != EEXIST) {
            if (status != BV_OK && err != NULL) {
                *err = failure;
            }
            return status;
        }
    }
    return bv_error_set(err, BV_IO, "%s holds more than %u copies of %s; remove old ones",
                        quarantine, COPIES_MAX, stem);
}

enum bv_status
quarantine_tail(struct scan *scan, const char *directory, uint64_t from, uint64_t to,
                struct bv_error *err)
{
    char quarantine[OS_PATH_MAX];
    char path[OS_PATH_MAX];
    char stem[64];
    int fd = -1;
    enum bv_status status = quarantine_open(quarantine, scan->os, directory, err);

    if (status != BV_OK) {
        goto done;
    }
    (void)snprintf(stem, sizeof stem, "segment-%016" PRIx64 "-%016" PRIx64 ".cut",
                   scan->header.segment_number, from);
    status = create_copy(&fd, path, scan->os, quarantine, stem, err);
    if (status != BV_OK) {
        goto done;
    }
    for (uint64_t offset = from; offset < to;) {
        struct slice part;
        uint64_t left = to - offset;
        status = scan_view(&part, scan, offset,
                           left < COPY_PART_SIZE ? (size_t)left : COPY_PART_SIZE, err);
        if (status != BV_OK || part.size == 0) {
            break;
        }
        status = os_write_all(scan->os, fd, path, part.data, part.size, offset - from, err);
        if (status != BV_OK) {
            break;
        }
        offset += part.size;
    }
    if (status == BV_OK) {
        status = os_sync(scan->os, fd, path, err);
    }
    if (status == BV_OK) {
        status = os_sync_directory(scan->os, quarantine, err);
    }
done:
    os_close(scan->os, &fd);
    return status;
}

enum bv_status
quarantine_file(struct os *os, const char *directory, const char *name, struct bv_error *err)
{
    char quarantine[OS_PATH_MAX];
    char path[OS_PATH_MAX];
    int fd = -1;
    enum bv_status status = quarantine_open(quarantine, os, directory, err);

    if (status != BV_OK) {
        return status;
    }
    status = create_copy(&fd, path, os, quarantine, name, err);
    os_close(os, &fd);
    if (status != BV_OK) {
        return status;
    }
    /* The empty file only held the name; it is replaced by the one that moves. */
    status = os_rename(os, directory, name, path + strlen(directory) + 1, err);
    return status == BV_OK ? os_sync_directory(os, quarantine, err) : status;
}

enum bv_status
quarantine_segment(struct os *os, const char *directory, uint64_t number, struct bv_error *err)
{
    char name[SEGMENT_NAME_SIZE];

    segment_name(name, number);
    return quarantine_file(os, directory, name, err);
}
