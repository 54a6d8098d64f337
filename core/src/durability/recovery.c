/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery: the log read back in order, or a refusal that names the place.
 *
 * Enters:  a directory of segments.
 * Leaves:  every record, in LSN order, to the function it is given; what it cut or skipped.
 * Owner:   whoever opens the engine, before there are threads.
 *
 * Invariants
 *   (1) Records are handed over in LSN order without a gap, from the one after the snapshot on.
 *   (2) Only what nothing valid follows is cut, and it is copied to quarantine/ first.
 *   (3) Damage that hides an operation refuses; damage that hides none (a mark, padding) is
 *       reported and stepped over, because the next mark goes on at the very LSN expected. What
 *       the snapshot holds is not missing, wherever the log loses it.
 *   (4) What was handed over is durable when recovery_run returns: acks to come lean on it.
 *
 * The rule is docs/formats.md 4; tests flip every bit of a small log. */
#include "durability/recovery.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durability/quarantine.h"
#include "durability/scan.h"
#include "util/crash_point.h"
#include "util/log.h"

struct walk {
    struct wal_directory *directory;
    struct recovery_result *result;
    recovery_record_fn fn;
    void *context;
    uint64_t *numbers; /* of the segments, ascending */
    size_t number_count;
    size_t first;       /* the one the walk begins in */
    uint64_t after_lsn; /* held by the snapshot, as everything below it */
    uint64_t lsn;       /* the next one expected */
    struct scan scan;
    /* Where the walk stopped: in the segment at hand, or at the end of the one before. */
    uint64_t end_offset;
    bool has_groups; /* the segment at hand has one */
    bool is_cut;     /* a loss was accepted: nothing after this segment is read */
};

/* ---- which segments there are ---- */

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum bv_status
list_segments(struct walk *walk, struct bv_error *err)
{
    struct wal_directory *directory = walk->directory;
    struct os_names names = {0};
    enum bv_status status = os_list(&names, directory->os, directory->path, err);

    if (status != BV_OK) {
        goto done;
    }
    walk->numbers = calloc(names.count + 1, sizeof *walk->numbers);
    if (walk->numbers == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", directory->path);
        goto done;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (segment_name_parse(&walk->numbers[walk->number_count], names.names[i])) {
            walk->number_count++;
        } else if (strcmp(names.names[i], SEGMENT_TEMPORARY_NAME) == 0) {
            status = os_unlink(directory->os, directory->path, SEGMENT_TEMPORARY_NAME, err);
            if (status != BV_OK) {
                goto done;
            }
        }
    }
    if (walk->number_count > 1) {
        qsort(walk->numbers, walk->number_count, sizeof *walk->numbers, compare_numbers);
    }
done:
    os_names_deinit(&names);
    return status;
}

/* An empty file as the last segment stands for none: it is removed. */
static enum bv_status
drop_empty_last(struct walk *walk, struct bv_error *err)
{
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];

    if (walk->number_count == 0) {
        return BV_OK;
    }
    segment_name(name, walk->numbers[walk->number_count - 1]);
    enum bv_status status = os_path(path, walk->directory->path, name, err);
    if (status == BV_OK) {
        status = scan_open(&walk->scan, walk->directory->os, path, err);
    }
    if (status == BV_OK && walk->scan.file_size == 0) {
        status = os_unlink(walk->directory->os, walk->directory->path, name, err);
        walk->number_count--;
    }
    scan_close(&walk->scan);
    return status;
}

/* ---- damage ---- */

/* The last operation that is not lost when nothing more can be read. */
static uint64_t
last_kept(const struct walk *walk)
{
    return walk->lsn > walk->after_lsn ? walk->lsn - 1 : walk->after_lsn;
}

/* A log that goes on with this LSN misses nothing that the snapshot does not hold. */
static bool
goes_on_at(const struct walk *walk, uint64_t first_lsn)
{
    return first_lsn == walk->lsn || (first_lsn > walk->lsn && first_lsn <= walk->after_lsn + 1);
}

/* Images taken after the snapshot's start hold effects of the log up to image_lsn: with a log that
 * ends before it some entities would be ahead of others. */
static enum bv_status
check_reach(const struct walk *walk, struct bv_error *err)
{
    const struct wal_directory *directory = walk->directory;

    if (directory->image_lsn <= walk->after_lsn || directory->image_lsn <= last_kept(walk)) {
        return BV_OK;
    }
    bv_error_set(err, BV_CORRUPT,
                 "%s: the log ends at LSN %" PRIu64 ", but the snapshot at LSN %" PRIu64
                 " holds effects up to LSN %" PRIu64,
                 directory->path, last_kept(walk), walk->after_lsn, directory->image_lsn);
    bv_error_path(err, "%s", directory->path);
    bv_error_hint(err, "restore the log from a copy, or move that snapshot away to start from the "
                       "one before");
    return BV_CORRUPT;
}

/* The first segment begins above what is known: what is before it was in a snapshot, and none that
 * reads was found. Nothing is wrong with the file, so that giving it up is not what to propose. */
static enum bv_status
refuse_late_start(const struct walk *walk, const char *path, struct bv_error *err)
{
    const struct wal_directory *directory = walk->directory;

    bv_error_set(err, BV_CORRUPT,
                 "%s: the log begins at LSN %" PRIu64 ", so that LSN %" PRIu64
                 " cannot be read: what is before it was in a snapshot",
                 path, walk->scan.header.first_lsn, last_kept(walk) + 1);
    bv_error_path(err, "%s", path);
    bv_error_hint(err, "is the snapshot directory %s the right one, and is its volume mounted?",
                  directory->snapshot_path);
    return BV_CORRUPT;
}

/* The log cannot be read at walk->end_offset of the open file, and something after it is known to
 * exist. BV_OK only when the loss has been accepted; the log then ends here. */
static enum bv_status
judge_damage(struct walk *walk, const char *path, const char *what, struct bv_error *err)
{
    const struct wal_directory *directory = walk->directory;
    uint64_t last_good = last_kept(walk);

    if (directory->accept_data_loss && directory->accept_data_loss_after <= last_good) {
        walk->is_cut = true;
        return check_reach(walk, err);
    }
    bv_error_set(err, BV_CORRUPT, "%s: offset %" PRIu64 ": LSN %" PRIu64 " cannot be read: %s",
                 path, walk->end_offset, last_good + 1, what);
    bv_error_path(err, "%s", path);
    bv_error_hint(err,
                  "restore the file from a copy, or start once with --accept-data-loss-after "
                  "%" PRIu64 " to lose everything after that LSN",
                  last_good);
    return BV_CORRUPT;
}

static void
note_found(struct walk *walk, uint64_t offset)
{
    struct recovery_result *result = walk->result;

    if (result->cut_segment == 0) {
        result->cut_segment = walk->scan.header.segment_number;
        result->cut_offset = offset;
    }
}

static void
warn(const struct walk *walk, const char *kind, const char *message, uint64_t offset,
     uint64_t bytes)
{
    log_line(LOG_WARN, kind, "beava.recovery", message,
             (struct log_field[]){LOG_TEXT("path", walk->scan.path), LOG_INT("offset", offset),
                                  LOG_INT("bytes", bytes), LOG_INT("lsn", walk->lsn)},
             4);
}

/* ---- records ---- */

static enum bv_status
deliver(struct walk *walk, const struct record_header *header, struct slice body,
        struct bv_error *err)
{
    struct recovery_result *result = walk->result;
    uint64_t last_lsn = header->first_lsn + header->count - 1;

    if (last_lsn > walk->after_lsn) {
        if (header->first_lsn <= walk->after_lsn) {
            return bv_error_set(err, BV_CORRUPT,
                                "%s: the snapshot's LSN %" PRIu64 " lies inside the record of LSN "
                                "%" PRIu64 " to %" PRIu64,
                                walk->scan.path, walk->after_lsn, header->first_lsn, last_lsn);
        }
        enum bv_status status = walk->fn(header, body, walk->context, err);
        if (status != BV_OK) {
            return status;
        }
        result->records++;
        result->events += header->type == RECORD_PUSH ? header->count : 0;
        result->bytes += header->length;
    }
    walk->lsn = last_lsn + 1;
    if (header->time_ms > result->last_time_ms) {
        result->last_time_ms = header->time_ms;
    }
    if (header->registry_version > result->last_registry_version) {
        result->last_registry_version = header->registry_version;
    }
    result->was_clean_stop = false;
    return BV_OK;
}

/* Bytes from `offset` to the next page boundary (or the end of the file) are zero. */
static enum bv_status
padding_is_zero(bool *is_zero, struct walk *walk, uint64_t offset, struct bv_error *err)
{
    size_t size = (SEGMENT_PAGE_SIZE - (size_t)(offset % SEGMENT_PAGE_SIZE)) % SEGMENT_PAGE_SIZE;
    struct slice data;
    enum bv_status status = scan_view(&data, &walk->scan, offset, size, err);

    *is_zero = true;
    for (size_t i = 0; status == BV_OK && i < data.size; i++) {
        *is_zero = *is_zero && data.data[i] == 0;
    }
    return status;
}

/* The records of one group, whose mark is at *offset. Afterwards *offset is the next page boundary
 * when the group was whole, otherwise the place that cannot be read. */
static enum bv_status
walk_group(struct walk *walk, uint64_t *offset, struct bv_error *err)
{
    *offset += RECORD_MARK_SIZE;
    for (;;) {
        struct record_header header;
        struct slice body;
        enum record_state state;
        enum bv_status status = scan_record(&state, &header, &body, &walk->scan, *offset, err);

        if (status != BV_OK) {
            return status;
        }
        if (state == RECORD_UNKNOWN) {
            return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                                "%s: offset %" PRIu64 ": a record of type %u with flags %u is of "
                                "a later version",
                                walk->scan.path, *offset, header.type, header.flags);
        }
        if (state == RECORD_END || *offset >= walk->scan.file_size) {
            bool is_zero;
            status = padding_is_zero(&is_zero, walk, *offset, err);
            if (status == BV_OK && is_zero) {
                *offset = (*offset + SEGMENT_PAGE_SIZE - 1) & ~(uint64_t)(SEGMENT_PAGE_SIZE - 1);
            }
            return status;
        }
        if (state != RECORD_VALID || header.type == RECORD_MARK || header.first_lsn != walk->lsn) {
            /* On a page boundary it is the next group's business, and anything may stand there. */
            return BV_OK;
        }
        status = deliver(walk, &header, body, err);
        if (status != BV_OK) {
            return status;
        }
        *offset += record_padded_size(header.length);
    }
}

/* ---- one segment ---- */

/* Whether a mark from `offset` on says that the LSN which cannot be read was durable when that mark
 * was written. Under policy os several groups wait for one sync, and the disk may have a later one
 * and not an earlier: then nothing that was promised is missing. */
static enum bv_status
is_covered_behind(bool *is_covered, struct walk *walk, uint64_t offset, struct bv_error *err)
{
    enum bv_status status = BV_OK;

    *is_covered = false;
    for (; status == BV_OK && !*is_covered && offset < walk->scan.file_size;
         offset += SEGMENT_PAGE_SIZE) {
        struct record_mark mark;
        bool has_mark = false;

        status = scan_mark(&has_mark, &mark, &walk->scan, offset, err);
        *is_covered = has_mark && mark.durable_lsn > last_kept(walk);
    }
    return status;
}

/* The walk cannot go on at `offset`. Either a mark further on continues at the very LSN expected
 * (*resume_offset), or this is the segment's end (0), or it is damage. */
static enum bv_status
find_continuation(struct walk *walk, uint64_t offset, uint64_t *resume_offset,
                  struct scan_rest *rest, struct bv_error *err)
{
    *resume_offset = 0;
    walk->end_offset = offset;
    enum bv_status status = scan_rest(rest, &walk->scan, offset, err);
    if (status != BV_OK || !rest->has_mark) {
        return status;
    }
    if (!goes_on_at(walk, rest->mark.header.first_lsn)) {
        bool is_covered = false;
        status = is_covered_behind(&is_covered, walk, rest->mark_offset, err);
        if (status != BV_OK) {
            return status;
        }
        if (!is_covered) {
            rest->has_mark = false;
            rest->nonzero_end = walk->scan.file_size;
            return BV_OK;
        }
        return judge_damage(walk, walk->scan.path,
                            "a later group of this segment was written after it was durable, so "
                            "this is damage and not a torn tail",
                            err);
    }
    uint64_t bytes = rest->mark_offset - offset;
    walk->result->skipped_bytes += bytes;
    note_found(walk, offset);
    warn(walk, "recovery.skipped", "unreadable bytes in the log; no operation is missing", offset,
         bytes);
    *resume_offset = rest->mark_offset;
    return BV_OK;
}

/* All groups of the open segment. `rest` is what stands behind the last. */
static enum bv_status
walk_segment(struct walk *walk, struct scan_rest *rest, struct bv_error *err)
{
    uint64_t offset = SEGMENT_PAGE_SIZE;

    walk->has_groups = false;
    for (;;) {
        struct record_mark mark;
        bool has_mark = false;
        enum bv_status status = BV_OK;

        if (offset % SEGMENT_PAGE_SIZE == 0) {
            status = scan_mark(&has_mark, &mark, &walk->scan, offset, err);
        }
        if (status != BV_OK) {
            return status;
        }
        if (has_mark && goes_on_at(walk, mark.header.first_lsn)) {
            walk->lsn = mark.header.first_lsn;
            walk->has_groups = true;
            walk->result->was_clean_stop = (mark.header.flags & RECORD_FLAG_CLEAN_STOP) != 0;
            status = walk_group(walk, &offset, err);
            if (status != BV_OK) {
                return status;
            }
            continue;
        }
        uint64_t resume_offset = 0;
        status = find_continuation(walk, offset, &resume_offset, rest, err);
        if (status != BV_OK || resume_offset == 0) {
            return status;
        }
        offset = resume_offset;
    }
}

/* Opens segment `index` and believes its header, or says why not. */
static enum bv_status
open_segment(struct walk *walk, size_t index, struct bv_error *err)
{
    struct bv_error failure = {0};
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];
    char previous[OS_PATH_MAX];
    struct slice page;

    /* The place where the log stopped, should this segment show that something is missing. */
    (void)snprintf(previous, sizeof previous, "%s", walk->scan.path);
    scan_close(&walk->scan);
    segment_name(name, walk->numbers[index]);
    enum bv_status status = os_path(path, walk->directory->path, name, err);
    if (status == BV_OK) {
        status = scan_open(&walk->scan, walk->directory->os, path, err);
    }
    if (status != BV_OK) {
        return status;
    }
    status = scan_view(&page, &walk->scan, 0, SEGMENT_PAGE_SIZE, err);
    if (status != BV_OK) {
        return status;
    }
    status = segment_header_decode(&walk->scan.header, page, path, &failure);
    if (status == BV_CORRUPT ||
        (status == BV_OK && walk->scan.header.segment_number != walk->numbers[index])) {
        walk->end_offset = 0;
        return judge_damage(walk, path, "the segment's header page does not check", err);
    }
    if (status != BV_OK) {
        if (err != NULL) {
            *err = failure;
        }
        return status;
    }
    if (index > walk->first && walk->numbers[index] != walk->numbers[index - 1] + 1) {
        return judge_damage(walk, previous, "the segment after this one is missing", err);
    }
    if (!goes_on_at(walk, walk->scan.header.first_lsn)) {
        if (index == walk->first) {
            walk->end_offset = 0;
            if (walk->after_lsn == 0 && !walk->directory->accept_data_loss) {
                return refuse_late_start(walk, path, err);
            }
            return judge_damage(walk, path, "it is the first segment but begins with a later LSN",
                                err);
        }
        return judge_damage(walk, previous, "the next segment begins with another LSN", err);
    }
    walk->lsn = walk->scan.header.first_lsn;
    return BV_OK;
}

/* The last segment that begins at or below the first record wanted: those before it hold only what
 * the snapshot holds, and whether they are whole, or there, is no matter. One whose header does not
 * check is passed over here and judged by the walk. */
static enum bv_status
find_first(struct walk *walk, struct bv_error *err)
{
    for (size_t i = walk->number_count; i > 0 && walk->after_lsn > 0; i--) {
        struct segment_header header;
        struct slice page;
        char name[SEGMENT_NAME_SIZE];
        char path[OS_PATH_MAX];

        segment_name(name, walk->numbers[i - 1]);
        scan_close(&walk->scan);
        enum bv_status status = os_path(path, walk->directory->path, name, err);
        if (status == BV_OK) {
            status = scan_open(&walk->scan, walk->directory->os, path, err);
        }
        if (status == BV_OK) {
            status = scan_view(&page, &walk->scan, 0, SEGMENT_PAGE_SIZE, err);
        }
        if (status != BV_OK) {
            return status;
        }
        if (segment_header_decode(&header, page, path, NULL) == BV_OK &&
            header.segment_number == walk->numbers[i - 1] &&
            header.first_lsn <= walk->after_lsn + 1) {
            walk->first = i - 1;
            break;
        }
    }
    scan_close(&walk->scan);
    return BV_OK;
}

/* The last segment that counts: cut what is behind its last whole record, make the rest durable. */
static enum bv_status
settle_tail(struct walk *walk, const struct scan_rest *rest, struct bv_error *err)
{
    struct scan *scan = &walk->scan;
    uint64_t end = walk->end_offset;
    uint64_t tail_end = walk->is_cut ? scan->file_size : rest->nonzero_end;
    bool is_old_use = (scan->header.flags & SEGMENT_FLAG_RECYCLED) != 0 &&
                      end % SEGMENT_PAGE_SIZE == 0 && !walk->is_cut;

    if (tail_end > end && !is_old_use) {
        enum bv_status status = quarantine_tail(scan, walk->directory->path, end, tail_end, err);
        if (status != BV_OK) {
            return status;
        }
        walk->result->cut_bytes += tail_end - end;
        note_found(walk, end);
        warn(walk, walk->is_cut ? "recovery.loss_accepted" : "recovery.tail_cut",
             walk->is_cut ? "the rest of the segment was moved to quarantine"
                          : "a torn tail was copied to quarantine and cut",
             end, tail_end - end);
    }
    CRASH_POINT("recovery.before_cut");
    if (scan->file_size > end) {
        enum bv_status status = os_truncate(scan->os, scan->fd, scan->path, end, err);
        if (status != BV_OK) {
            return status;
        }
    }
    return os_sync(scan->os, scan->fd, scan->path, err);
}

/* A segment that is not the last: whether the next one continues is seen when that is opened. */
static void
report_rest(struct walk *walk, const struct scan_rest *rest)
{
    uint64_t end = walk->end_offset;
    bool is_old_use = (walk->scan.header.flags & SEGMENT_FLAG_RECYCLED) != 0;

    if (rest->nonzero_end > end && !is_old_use) {
        walk->result->skipped_bytes += rest->nonzero_end - end;
        note_found(walk, end);
        warn(walk, "recovery.skipped", "unreadable bytes at the end of a segment", end,
             rest->nonzero_end - end);
    }
}

/* Whole files are more than a torn tail: said before they go. */
static void
warn_files(const struct walk *walk, size_t index)
{
    char first[SEGMENT_NAME_SIZE];
    char last[SEGMENT_NAME_SIZE];

    segment_name(first, walk->numbers[index]);
    segment_name(last, walk->numbers[walk->number_count - 1]);
    log_line(LOG_WARN, "recovery.loss_accepted", "beava.recovery",
             "whole segments are moved to quarantine",
             (struct log_field[]){LOG_TEXT("path", walk->directory->path),
                                  LOG_TEXT("first_file", first), LOG_TEXT("last_file", last),
                                  LOG_INT("files", walk->number_count - index),
                                  LOG_INT("first_lsn", last_kept(walk) + 1)},
             5);
}

/* An accepted loss: segments from `index` on go to quarantine. */
static enum bv_status
drop_segments_from(struct walk *walk, size_t index, struct bv_error *err)
{
    if (index < walk->number_count) {
        warn_files(walk, index);
    }
    for (size_t i = walk->number_count; i > index; i--) {
        enum bv_status status = quarantine_segment(walk->directory->os, walk->directory->path,
                                                   walk->numbers[i - 1], err);
        if (status != BV_OK) {
            return status;
        }
        walk->result->lost_files++;
    }
    walk->number_count = index;
    return BV_OK;
}

/* The loss was seen only in segment `index`: the log ends with the one before, which is settled. */
static enum bv_status
end_before(struct walk *walk, size_t index, struct bv_error *err)
{
    scan_close(&walk->scan);
    enum bv_status status = drop_segments_from(walk, index, err);
    if (status != BV_OK || index == walk->first) {
        return status;
    }
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];
    segment_name(name, walk->numbers[index - 1]);
    status = os_path(path, walk->directory->path, name, err);
    if (status == BV_OK) {
        status = scan_open(&walk->scan, walk->directory->os, path, err);
    }
    return status == BV_OK ? os_sync(walk->scan.os, walk->scan.fd, path, err) : status;
}

static enum bv_status
walk_all(struct walk *walk, struct bv_error *err)
{
    uint64_t next_number = 1;

    for (size_t i = walk->first; i < walk->number_count; i++) {
        struct scan_rest rest = {0};
        enum bv_status status = open_segment(walk, i, err);

        if (status != BV_OK) {
            return status;
        }
        if (walk->is_cut) {
            status = end_before(walk, i, err);
            if (status != BV_OK) {
                return status;
            }
            break;
        }
        status = walk_segment(walk, &rest, err);
        if (status != BV_OK) {
            return status;
        }
        walk->result->segments++;
        next_number = walk->numbers[i] + (walk->has_groups ? 1 : 0);
        if (walk->is_cut) {
            status = drop_segments_from(walk, i + 1, err);
            if (status != BV_OK) {
                return status;
            }
        }
        if (i + 1 == walk->number_count) {
            status = check_reach(walk, err); /* before anything is cut */
            if (status == BV_OK) {
                status = settle_tail(walk, &rest, err);
            }
            if (status != BV_OK) {
                return status;
            }
        } else {
            report_rest(walk, &rest);
        }
    }
    walk->directory->next_number = next_number;
    return BV_OK;
}

enum bv_status
recovery_run(struct recovery_result *out, struct wal_directory *directory, uint64_t after_lsn,
             recovery_record_fn fn, void *context, struct bv_error *err)
{
    struct walk walk = {.directory = directory,
                        .result = out,
                        .fn = fn,
                        .context = context,
                        .after_lsn = after_lsn,
                        .lsn = 1};

    *out = (struct recovery_result){.last_time_ms = directory->last_time_ms,
                                    .last_registry_version = directory->last_registry_version};
    walk.scan.fd = -1;
    enum bv_status status = list_segments(&walk, err);
    if (status == BV_OK) {
        status = drop_empty_last(&walk, err);
    }
    if (status == BV_OK) {
        status = find_first(&walk, err);
    }
    if (status == BV_OK && walk.number_count == 0) {
        status = check_reach(&walk, err);
    }
    if (status == BV_OK) {
        status = walk_all(&walk, err);
    }
    if (status == BV_OK) {
        /* A log that ends below the snapshot's LSN: the process died after it had published the
         * snapshot that was to let a failed log go on, and before the next segment was there. All
         * up to that LSN is in the snapshot; the next segment begins behind it. */
        out->was_clean_stop = out->was_clean_stop && walk.lsn > after_lsn;
        out->last_lsn = last_kept(&walk);
        directory->is_recovered = true;
        directory->next_lsn = out->last_lsn + 1;
        directory->last_time_ms = out->last_time_ms;
        directory->last_registry_version = out->last_registry_version;
    }
    scan_close(&walk.scan);
    free(walk.numbers);
    return status;
}
