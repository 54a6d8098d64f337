/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot covers leaves the log: to history, to be used again, or for good.
 *
 * Enters:  an LSN up to which no reader will ask again.
 * Leaves:  a log that begins later; files in history/; spares for the writer.
 * Owner:   the snapshot writer's thread, beside the log's writer. All it knows it reads from the
 *          directory each time, so what one call could not do the next one tries again.
 *
 * Invariants
 *   (1) A segment goes only when its successor's header says that it begins at lsn + 1 or earlier;
 *       so the newest never goes, and the writer's open file is never touched.
 *   (2) Oldest first, and the first failure ends it: the row of segments never has a hole.
 *   (3) A spare is the writer's from the moment its number stands in `spares`: only this thread
 *       fills a place there, only the writer empties one.
 *   (4) What is in history goes by age; with a keep time of 0 nobody asks for it any more (the
 *       registrations that did are gone), and all of it goes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "durability/wal_internal.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define HISTORY "history"

struct retire {
    struct wal *wal;
    uint64_t keep_history_ms;
    char history[OS_PATH_MAX];
    uint64_t *numbers; /* segments of the log that are still there, ascending, from `first` on */
    size_t first;
    size_t count;
    uint64_t bytes; /* retired */
};

/* ---- spares ---- */

uint64_t
wal_spare_take(struct wal *wal)
{
    for (size_t i = 0; i < WAL_SPARES_MAX; i++) {
        struct wal_spare *spare = &wal->spares[i];
        uint64_t number = atomic_load_explicit(&spare->number, memory_order_acquire);

        if (number != 0) {
            uint64_t size = spare->size; /* before the place is free again */

            atomic_store_explicit(&spare->number, 0, memory_order_release);
            atomic_fetch_sub(&wal->closed_bytes, size);
            return number;
        }
    }
    return 0;
}

static struct wal_spare *
free_place(struct wal *wal)
{
    for (size_t i = 0; i < WAL_SPARES_MAX; i++) {
        if (atomic_load_explicit(&wal->spares[i].number, memory_order_acquire) == 0) {
            return &wal->spares[i];
        }
    }
    return NULL;
}

bool
wal_spare_wanted(const struct wal *wal, uint64_t size)
{
    bool has_place = false;

    for (size_t i = 0; i < WAL_SPARES_MAX; i++) {
        has_place |= atomic_load_explicit(&wal->spares[i].number, memory_order_relaxed) == 0;
    }
    /* Of the usual size, and not where room is what is short. After a failure none: nothing may
     * lean on a file whose write or sync has failed, and the disk has shown what it is. */
    return has_place && atomic_load_explicit(&wal->errors, memory_order_relaxed) == 0 &&
           size >= wal->segment_bytes / 2 && size <= wal->segment_bytes &&
           (wal->wal_max_bytes == 0 || wal_bytes_on_disk(wal) <= wal->wal_max_bytes / 2) &&
           wal_pressure(wal) == WAL_PRESSURE_NONE;
}

void
wal_spare_give(struct wal *wal, uint64_t number, uint64_t size)
{
    struct wal_spare *spare = free_place(wal);

    BV_ASSERT(spare != NULL); /* only this thread fills places */
    spare->size = size;
    atomic_store_explicit(&spare->number, number, memory_order_release);
}

/* ---- what the directory says ---- */

static enum bv_status
read_header(struct segment_header *out, uint64_t *size, struct os *os, const char *directory,
            uint64_t number, struct bv_error *err)
{
    uint8_t page[SEGMENT_PAGE_SIZE];
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];
    size_t got = 0;
    int fd = -1;

    segment_name(name, number);
    enum bv_status status = os_path(path, directory, name, err);
    if (status == BV_OK) {
        status = os_open(&fd, os, path, O_RDONLY, err);
    }
    if (status == BV_OK) {
        status = os_file_size(size, os, fd, path, err);
    }
    if (status == BV_OK) {
        status = os_read_at(&got, os, fd, path, page, sizeof page, 0, err);
    }
    if (status == BV_OK) {
        status = segment_header_decode(out, slice_of(page, got), path, err);
    }
    os_close(os, &fd);
    return status;
}

/* Numbers of the segments in a directory, ascending; a directory that is missing has none. */
static enum bv_status
list_numbers(uint64_t **out, size_t *out_count, struct os *os, const char *path,
             struct bv_error *err)
{
    struct os_names names = {0};
    struct bv_error failure = {0};
    enum bv_status status = os_list(&names, os, path, &failure);

    *out = NULL;
    *out_count = 0;
    if (status != BV_OK) {
        if (failure.os_errno == ENOENT) {
            return BV_OK;
        }
        if (err != NULL) {
            *err = failure;
        }
        return status;
    }
    *out = calloc(names.count + 1, sizeof **out);
    if (*out == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", path);
    }
    /* Names are in byte order, and their digits are as many: the numbers ascend. */
    for (size_t i = 0; status == BV_OK && i < names.count; i++) {
        if (segment_name_parse(&(*out)[*out_count], names.names[i])) {
            (*out_count)++;
        }
    }
    os_names_deinit(&names);
    return status;
}

static bool
is_there(struct os *os, const char *directory, const char *name)
{
    char path[OS_PATH_MAX];
    struct bv_error failure = {0};
    int fd = -1;
    enum bv_status status = os_path(path, directory, name, &failure);

    if (status == BV_OK) {
        status = os_open(&fd, os, path, O_RDONLY, &failure);
    }
    os_close(os, &fd);
    return status == BV_OK || failure.os_errno != ENOENT;
}

/* ---- one segment ---- */

static enum bv_status
to_history(struct retire *retire, const char *name, struct bv_error *err)
{
    struct wal *wal = retire->wal;
    char target[SEGMENT_NAME_SIZE + sizeof HISTORY];
    enum bv_status status = os_make_directory(wal->os, retire->history, err);

    if (status != BV_OK) {
        return status;
    }
    (void)snprintf(target, sizeof target, HISTORY "/%s", name);
    status = os_rename(wal->os, wal->directory, name, target, err);
    return status == BV_OK ? os_sync_directory(wal->os, retire->history, err) : status;
}

static enum bv_status
to_spare(struct retire *retire, uint64_t number, const char *name, uint64_t size,
         struct bv_error *err)
{
    struct wal *wal = retire->wal;
    char spare[SEGMENT_NAME_SIZE];

    segment_spare_name(spare, number);
    enum bv_status status = os_rename(wal->os, wal->directory, name, spare, err);
    if (status == BV_OK) {
        atomic_fetch_add(&wal->closed_bytes, size); /* goes on counting, as a spare */
        wal_spare_give(wal, number, size);
    }
    return status;
}

static enum bv_status
retire_segment(struct retire *retire, uint64_t number, struct bv_error *err)
{
    struct wal *wal = retire->wal;
    struct segment_header header;
    char name[SEGMENT_NAME_SIZE];
    uint64_t size = 0;
    enum bv_status status = read_header(&header, &size, wal->os, wal->directory, number, err);

    segment_name(name, number);
    if (status != BV_OK && status != BV_CORRUPT) {
        return status;
    }
    if (status == BV_OK && retire->keep_history_ms != 0) {
        status = to_history(retire, name, err);
    } else if (status == BV_OK && wal_spare_wanted(wal, size)) {
        status = to_spare(retire, number, name, size, err);
    } else {
        status = os_unlink(wal->os, wal->directory, name, err);
    }
    /* Gone is gone, also when the directory's sync is what failed. */
    if (status == BV_OK || !is_there(wal->os, wal->directory, name)) {
        atomic_fetch_sub(&wal->closed_bytes, size);
        retire->bytes += size;
        retire->first++;
    }
    return status;
}

/* Until the first that holds something above `lsn`. */
static enum bv_status
retire_segments(struct retire *retire, uint64_t lsn, struct bv_error *err)
{
    struct wal *wal = retire->wal;

    while (retire->first + 1 < retire->count) {
        struct segment_header next;
        uint64_t size = 0;
        enum bv_status status = read_header(&next, &size, wal->os, wal->directory,
                                            retire->numbers[retire->first + 1], err);

        if (status != BV_OK || next.first_lsn > lsn + 1) {
            return status;
        }
        status = retire_segment(retire, retire->numbers[retire->first], err);
        if (status != BV_OK) {
            return status;
        }
        CRASH_POINT("retire.mid");
    }
    return BV_OK;
}

/* ---- history ---- */

/* A segment's events are all older than its successor. */
static enum bv_status
is_too_old(bool *out, const struct retire *retire, const uint64_t *numbers, size_t count, size_t i,
           struct bv_error *err)
{
    const struct wal *wal = retire->wal;
    struct segment_header next;
    uint64_t size = 0;
    uint64_t now_ms = clock_wall_ms();

    *out = retire->keep_history_ms == 0;
    if (*out || (i + 1 == count && retire->first == retire->count)) {
        return BV_OK;
    }
    enum bv_status status =
        i + 1 < count ? read_header(&next, &size, wal->os, retire->history, numbers[i + 1], err)
                      : read_header(&next, &size, wal->os, wal->directory,
                                    retire->numbers[retire->first], err);
    *out = status == BV_OK && now_ms > next.created_ms &&
           now_ms - next.created_ms > retire->keep_history_ms;
    return status;
}

static enum bv_status
prune_history(const struct retire *retire, struct bv_error *err)
{
    struct os *os = retire->wal->os;
    uint64_t *numbers = NULL;
    size_t count = 0;
    bool is_old = true;
    enum bv_status status = list_numbers(&numbers, &count, os, retire->history, err);

    for (size_t i = 0; status == BV_OK && is_old && i < count; i++) {
        char name[SEGMENT_NAME_SIZE];

        status = is_too_old(&is_old, retire, numbers, count, i, err);
        if (status == BV_OK && is_old) {
            segment_name(name, numbers[i]);
            status = os_unlink(os, retire->history, name, err);
        }
    }
    free(numbers);
    return status;
}

enum bv_status
wal_retire(struct wal *wal, uint64_t lsn, uint64_t keep_history_ms, struct bv_error *err)
{
    struct retire retire = {.wal = wal, .keep_history_ms = keep_history_ms};
    struct bv_error failure = {0};
    enum bv_status status = os_path(retire.history, wal->directory, HISTORY, &failure);

    if (status == BV_OK) {
        status = list_numbers(&retire.numbers, &retire.count, wal->os, wal->directory, &failure);
    }
    if (status == BV_OK) {
        status = retire_segments(&retire, lsn, &failure);
    }
    if (retire.first != 0) {
        log_line(LOG_INFO, "wal.retired", "beava.wal", "the log begins later",
                 (struct log_field[]){LOG_INT("lsn", lsn), LOG_INT("segments", retire.first),
                                      LOG_INT("bytes", retire.bytes)},
                 3);
        wal_ring_the_bell(wal); /* there may be room again */
    }
    if (status == BV_OK) {
        status = prune_history(&retire, &failure);
    }
    if (status != BV_OK) {
        log_line(LOG_WARN, "wal.retire_failed", "beava.wal",
                 "covered segments stay until the next snapshot",
                 (struct log_field[]){LOG_TEXT("error", failure.message),
                                      LOG_INT("errno", failure.os_errno)},
                 2);
        if (err != NULL) {
            *err = failure;
        }
    }
    free(retire.numbers);
    return status;
}
