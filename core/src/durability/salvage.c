/* SPDX-License-Identifier: Apache-2.0 */
/* A new data directory out of a damaged one.
 *
 * Enters:  a log and snapshots, read only.
 * Leaves:  the newest sound snapshot, copied; a new log with every record behind it that can be
 *          read, each under its LSN; records of type `lost` for the LSNs in between.
 * Owner:   the program `beava salvage`; one thread. The new directory is locked meanwhile.
 *
 * Invariants
 *   (1) The source is opened for reading only.
 *   (2) The new log is dense, so that it starts like any other; what is missing is in `ranges` and,
 *       as `lost` records, in the log itself: every LSN up to last_lsn is in exactly one of the
 *       snapshot, a record, a range.
 *   (3) Each group is synced before the next is written. */
#include "durability/salvage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durability/directory.h"
#include "durability/segment.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/crc.h"

#define GROUP_SIZE   (1024u * 1024)
#define SEGMENT_SIZE (128ull * 1024 * 1024)
#define COPY_SIZE    (1024u * 1024)

struct salvage {
    const struct salvage_options *options;
    struct salvage_result *result;
    struct os *os;
    struct wal_directory *directory; /* the new one */
    struct segment segment;          /* fd -1: none yet */
    uint64_t segment_number;
    struct buf group; /* mark and records gathered */
    uint64_t next_lsn;
    uint64_t durable_lsn;
    uint64_t time_ms;
    uint32_t registry_version;
    bool is_over; /* above `until` */
};

/* ---- writing the new log ---- */

static enum bv_status
open_segment(struct salvage *salvage, struct bv_error *err)
{
    const struct segment_header header = {
        .segment_number = ++salvage->segment_number,
        .first_lsn = salvage->next_lsn,
        .salt = os_random(),
        .created_ms = clock_wall_ms(),
        .registry_version = salvage->registry_version,
    };

    segment_close(&salvage->segment);
    return segment_create(&salvage->segment, salvage->os, salvage->directory->path, &header, false,
                          err);
}

static enum bv_status
begin_group(struct salvage *salvage, struct bv_error *err)
{
    uint8_t bytes[RECORD_MARK_SIZE];
    enum bv_status status = BV_OK;

    if (salvage->segment.fd < 0 || salvage->segment.position >= SEGMENT_SIZE) {
        status = open_segment(salvage, err);
    }
    const struct record_mark mark = {
        .header = {.first_lsn = salvage->next_lsn,
                   .time_ms = salvage->time_ms,
                   .registry_version = salvage->registry_version},
        .segment_number = salvage->segment.number,
        .salt = salvage->segment.salt,
        .durable_lsn = salvage->durable_lsn,
    };
    record_mark_encode(bytes, &mark);
    buf_clear(&salvage->group);
    buf_append(&salvage->group, bytes, sizeof bytes);
    return status;
}

static void
append_zeros(struct buf *buf, size_t multiple)
{
    static const uint8_t zeros[SEGMENT_PAGE_SIZE];
    size_t over = buf->size % multiple;

    buf_append(buf, zeros, over == 0 ? 0 : multiple - over);
}

static enum bv_status
end_group(struct salvage *salvage, struct bv_error *err)
{
    struct buf *group = &salvage->group;

    if (group->size == 0) {
        return BV_OK;
    }
    append_zeros(group, SEGMENT_PAGE_SIZE);
    if (group->failed) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a group of the new log");
    }
    struct iovec part = {group->data, group->size};
    enum bv_status status = segment_write(&salvage->segment, &part, 1, group->size, true, err);
    buf_clear(group);
    salvage->durable_lsn = salvage->next_lsn - 1;
    return status;
}

static enum bv_status
write_record(struct salvage *salvage, const struct record_header *header, struct slice body,
             struct bv_error *err)
{
    uint8_t bytes[RECORD_HEADER_SIZE_MAX];
    enum bv_status status = BV_OK;

    BV_ASSERT(header->first_lsn == salvage->next_lsn);
    if (salvage->group.size == 0) {
        status = begin_group(salvage, err);
    }
    buf_append(&salvage->group, bytes, record_header_encode(bytes, header));
    buf_append(&salvage->group, body.data, body.size);
    append_zeros(&salvage->group, RECORD_ALIGN);
    salvage->next_lsn += header->count;
    salvage->time_ms = header->time_ms;
    salvage->registry_version = header->registry_version;
    if (status == BV_OK && salvage->group.size >= GROUP_SIZE) {
        status = end_group(salvage, err);
    }
    return status;
}

/* ---- what is lost ---- */

static enum salvage_registration
judge_registration(uint32_t before, uint32_t after)
{
    if (after == 0) {
        return SALVAGE_REGISTRATION_UNKNOWN;
    }
    return before == after ? SALVAGE_REGISTRATION_NONE : SALVAGE_REGISTRATION_LOST;
}

static enum bv_status
lose(struct salvage *salvage, uint64_t last_lsn, uint32_t version_after, struct bv_error *err)
{
    struct salvage_result *result = salvage->result;
    struct salvage_range *grown =
        realloc(result->ranges, (result->range_count + 1) * sizeof *result->ranges);
    enum bv_status status = BV_OK;

    if (grown == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for another lost range");
    }
    result->ranges = grown;
    result->ranges[result->range_count++] = (struct salvage_range){
        salvage->next_lsn, last_lsn, judge_registration(salvage->registry_version, version_after)};
    result->lost += last_lsn - salvage->next_lsn + 1;
    while (status == BV_OK && salvage->next_lsn <= last_lsn) {
        uint64_t left = last_lsn - salvage->next_lsn + 1;
        struct record_header header = {
            .length = RECORD_HEADER_SIZE,
            .first_lsn = salvage->next_lsn,
            .time_ms = salvage->time_ms,
            .count = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left,
            .type = RECORD_LOST,
            .registry_version = version_after != 0 ? version_after : salvage->registry_version,
        };
        uint8_t bytes[RECORD_HEADER_SIZE_MAX];
        record_header_encode(bytes, &header);
        header.crc = crc32c(0, bytes + 8, RECORD_HEADER_SIZE - 8);
        status = write_record(salvage, &header, slice_of(NULL, 0), err);
    }
    return status;
}

/* ---- reading the old one ---- */

static enum bv_status
on_range(void *context, const struct survey_range *range, struct bv_error *err)
{
    struct salvage *salvage = context;
    uint64_t until = salvage->options->until;
    uint64_t last = until != 0 && range->last_lsn > until ? until : range->last_lsn;

    if (salvage->is_over || last < salvage->next_lsn) {
        return BV_OK;
    }
    return lose(salvage, last, last == range->last_lsn ? range->version_after : 0, err);
}

static enum bv_status
on_record(void *context, const struct record_header *header, struct slice body,
          struct bv_error *err)
{
    struct salvage *salvage = context;
    struct salvage_result *result = salvage->result;
    uint64_t last = header->first_lsn + header->count - 1;
    uint64_t until = salvage->options->until;
    bool raises = header->type == RECORD_REGISTER || header->type == RECORD_RESET;
    enum bv_status status = BV_OK;

    if (salvage->is_over || (until != 0 && last > until)) {
        salvage->is_over = true;
        result->left_out++;
        return BV_OK;
    }
    if (last < salvage->next_lsn) {
        return BV_OK; /* the snapshot has it */
    }
    if (header->first_lsn < salvage->next_lsn) {
        return lose(salvage, last, 0, err); /* no snapshot ends inside a record; believe neither */
    }
    if (header->first_lsn > salvage->next_lsn) {
        status =
            lose(salvage, header->first_lsn - 1, header->registry_version - (raises ? 1 : 0), err);
    }
    if (status == BV_OK) {
        status = write_record(salvage, header, body, err);
        result->records++;
        result->events += header->type == RECORD_PUSH ? header->count : 0;
    }
    return status;
}

/* ---- the snapshot ---- */

static enum bv_status
copy_file(struct os *os, const char *from, const char *to, struct bv_error *err)
{
    int in = -1;
    int out = -1;
    uint64_t offset = 0;
    size_t got = 0;
    uint8_t *part = malloc(COPY_SIZE);
    enum bv_status status =
        part == NULL ? bv_error_set(err, BV_NO_MEMORY, "no memory to copy %s", from) : BV_OK;

    if (status == BV_OK) {
        status = os_open(&in, os, from, O_RDONLY, err);
    }
    if (status == BV_OK) {
        status = os_open(&out, os, to, O_WRONLY | O_CREAT | O_TRUNC, err);
    }
    do {
        if (status == BV_OK) {
            status = os_read_at(&got, os, in, from, part, COPY_SIZE, offset, err);
        }
        if (status == BV_OK && got > 0) {
            status = os_write_all(os, out, to, part, got, offset, err);
        }
        offset += got;
    } while (status == BV_OK && got == COPY_SIZE);
    if (status == BV_OK) {
        status = os_sync(os, out, to, err);
    }
    os_close(os, &in);
    os_close(os, &out);
    free(part);
    return status;
}

/* Copied under a passing name, read again there, then named. */
static enum bv_status
take_snapshot(struct salvage *salvage, const char *path, const char *name, struct bv_error *err)
{
    char copy[OS_PATH_MAX];
    struct snapshot_info info;
    const char *directory = salvage->directory->snapshot_path;
    enum bv_status status = os_path(copy, directory, "snapshot.tmp", err);

    if (status == BV_OK) {
        status = copy_file(salvage->os, path, copy, err);
    }
    if (status == BV_OK) {
        status = snapshot_read(&info, salvage->os, copy, NULL, NULL, err);
    }
    if (status == BV_OK) {
        status = os_rename(salvage->os, directory, "snapshot.tmp", name, err);
    }
    return status;
}

/* *highest_lsn: of which the snapshots, damaged ones too, know that it was given out. */
static enum bv_status
find_snapshot(struct salvage *salvage, uint64_t *highest_lsn, struct bv_error *err)
{
    const char *directory = salvage->options->from.snapshots;
    struct salvage_result *result = salvage->result;
    uint64_t *lsns = NULL;
    size_t count = 0;
    enum bv_status status =
        directory[0] == '\0' ? BV_OK : snapshot_list(&lsns, &count, salvage->os, directory, err);

    for (size_t i = 0; status == BV_OK && i < count && !result->has_snapshot; i++) {
        char name[SNAPSHOT_NAME_SIZE];
        char path[OS_PATH_MAX];
        struct snapshot_info info;

        snapshot_name(name, lsns[i]);
        status = os_path(path, directory, name, err);
        if (status != BV_OK || snapshot_read(&info, salvage->os, path, NULL, NULL, NULL) != BV_OK) {
            result->damaged_snapshots++;
            if (salvage->options->until == 0 && lsns[i] > *highest_lsn) {
                *highest_lsn = lsns[i]; /* LSNs that were given out up to here */
            }
            continue;
        }
        if (salvage->options->until != 0 && info.highest_image_lsn > salvage->options->until) {
            continue;
        }
        result->has_snapshot = true;
        result->snapshot_lsn = info.start_lsn;
        salvage->next_lsn = info.start_lsn + 1;
        salvage->durable_lsn = info.start_lsn;
        salvage->registry_version = info.registry_version;
        salvage->time_ms = info.time_ms;
        if (info.highest_image_lsn > *highest_lsn) {
            *highest_lsn = info.highest_image_lsn;
        }
        status = take_snapshot(salvage, path, name, err);
    }
    free(lsns);
    return status;
}

/* ---- the whole ---- */

static enum bv_status
check_target(struct os *os, const char *to, struct bv_error *err)
{
    struct os_names names = {0};
    enum bv_status status = os_make_directory(os, to, err);

    if (status == BV_OK) {
        status = os_list(&names, os, to, err);
    }
    if (status == BV_OK && names.count != 0) {
        status = bv_error_set(err, BV_CONFIG, "%s is not empty: it holds %s", to, names.names[0]);
        bv_error_hint(err, "name a directory that does not exist yet");
    }
    os_names_deinit(&names);
    return status;
}

static enum bv_status
check_source(struct os *os, const struct verify_paths *from, struct bv_error *err)
{
    const char *paths[] = {from->wal, from->snapshots};

    for (int i = 0; i < 2; i++) {
        char holder[OS_HOLDER_SIZE];
        if (paths[i][0] != '\0' && os_lock_is_held(holder, os, paths[i])) {
            bv_error_set(err, BV_LOCKED, "%s is in use by %s", paths[i], holder);
            bv_error_hint(err, "stop the server first");
            return BV_LOCKED;
        }
    }
    return BV_OK;
}

static enum bv_status
salvage_log(struct salvage *salvage, uint64_t highest_lsn, struct bv_error *err)
{
    const struct survey_sink sink = {on_record, on_range, NULL, salvage};
    struct survey_result log = {0};
    const char *from = salvage->options->from.wal;
    enum bv_status status =
        from[0] == '\0' ? BV_OK
                        : survey_log(&log, salvage->os, from, salvage->next_lsn - 1, &sink, err);

    salvage->result->torn_bytes = log.torn_bytes;
    if (status == BV_OK && salvage->next_lsn <= highest_lsn) {
        status = lose(salvage, highest_lsn, 0, err);
    }
    if (status == BV_OK) {
        status = end_group(salvage, err);
    }
    /* A last mark: whoever damages the last group now is found out. Beside a snapshot there is
     * always a segment, or the log would be called missing. */
    if (status == BV_OK && (salvage->segment.fd >= 0 || salvage->result->has_snapshot)) {
        status = begin_group(salvage, err);
        if (status == BV_OK) {
            status = end_group(salvage, err);
        }
    }
    return status;
}

static enum bv_status
write_report(const struct salvage *salvage, struct bv_error *err)
{
    struct buf text;
    enum bv_status status;

    buf_init(&text);
    salvage_write_json(&text, salvage->result);
    buf_text(&text, "\n");
    status = text.failed ? bv_error_set(err, BV_NO_MEMORY, "no memory for the report")
                         : os_replace_file(salvage->os, salvage->options->to, "salvage.json",
                                           buf_slice(&text), err);
    buf_deinit(&text);
    return status;
}

enum bv_status
salvage_run(struct salvage_result *out, struct os *os, const struct salvage_options *options,
            struct bv_error *err)
{
    struct salvage salvage = {.options = options, .result = out, .os = os, .next_lsn = 1};
    char wal[OS_PATH_MAX];
    char snapshots[OS_PATH_MAX];
    uint64_t highest_lsn = 0;

    memset(out, 0, sizeof *out);
    out->until = options->until;
    salvage.segment.fd = -1;
    salvage.segment.os = os;
    buf_init(&salvage.group);
    enum bv_status status = check_source(os, &options->from, err);
    if (status == BV_OK) {
        status = check_target(os, options->to, err);
    }
    if (status == BV_OK) {
        status = os_path(wal, options->to, "wal", err);
    }
    if (status == BV_OK) {
        status = os_path(snapshots, options->to, "snapshots", err);
    }
    if (status == BV_OK) {
        const struct wal_options target = {
            .dir = wal, .snapshot_dir = snapshots, .allow_network_fs = true, .os = os};
        status = wal_directory_open(&salvage.directory, &target, err);
    }
    if (status == BV_OK) {
        status = find_snapshot(&salvage, &highest_lsn, err);
    }
    if (status == BV_OK) {
        status = salvage_log(&salvage, highest_lsn, err);
    }
    if (status == BV_OK) {
        out->last_lsn = salvage.next_lsn - 1;
        status = write_report(&salvage, err);
    }
    segment_close(&salvage.segment);
    buf_deinit(&salvage.group);
    wal_directory_close(salvage.directory);
    return status;
}

void
salvage_result_deinit(struct salvage_result *result)
{
    free(result->ranges);
    memset(result, 0, sizeof *result);
}

/* ---- reports ---- */

static const char *
registration_name(enum salvage_registration registration)
{
    static const char *const names[] = {"none", "lost", "unknown"};

    return names[registration];
}

void
salvage_write_text(struct buf *buf, const struct salvage_result *result)
{
    static const char *const remarks[] = {
        "events, and no registration",
        "a registration or a reset is among them: later events may not fit",
        "a registration may be among them",
    };

    if (result->has_snapshot) {
        buf_printf(buf, "kept     the snapshot at LSN %" PRIu64 "\n", result->snapshot_lsn);
    }
    if (result->damaged_snapshots != 0) {
        buf_printf(buf, "dropped  %" PRIu64 " snapshots that do not check\n",
                   result->damaged_snapshots);
    }
    buf_printf(buf, "kept     %" PRIu64 " records with %" PRIu64 " events, up to LSN %" PRIu64 "\n",
               result->records, result->events, result->last_lsn);
    if (result->torn_bytes != 0) {
        buf_printf(buf, "dropped  a torn tail of %" PRIu64 " bytes, which no ack had promised\n",
                   result->torn_bytes);
    }
    if (result->until != 0) {
        buf_printf(buf,
                   "left out everything after LSN %" PRIu64 " was left out: %" PRIu64
                   " records that can be read\n",
                   result->until, result->left_out);
    }
    for (size_t i = 0; i < result->range_count; i++) {
        const struct salvage_range *range = &result->ranges[i];
        buf_printf(buf, "LOST     LSN %" PRIu64 " to %" PRIu64 ": %s\n", range->first_lsn,
                   range->last_lsn, remarks[range->registration]);
    }
    if (result->until != 0) {
        buf_printf(buf, "%" PRIu64 " operations are lost up to LSN %" PRIu64 "\n", result->lost,
                   result->until);
    } else {
        buf_printf(buf, "%" PRIu64 " operations are lost\n", result->lost);
    }
}

void
salvage_write_json(struct buf *buf, const struct salvage_result *result)
{
    buf_text(buf, "{\"snapshot_lsn\":");
    if (result->has_snapshot) {
        buf_printf(buf, "%" PRIu64, result->snapshot_lsn);
    } else {
        buf_text(buf, "null");
    }
    buf_printf(buf,
               ",\"damaged_snapshots\":%" PRIu64 ",\"records\":%" PRIu64 ",\"events\":%" PRIu64
               ",\"last_lsn\":%" PRIu64 ",\"torn_tail_bytes\":%" PRIu64 ",\"left_out\":%" PRIu64
               ",\"until\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"ranges\":[",
               result->damaged_snapshots, result->records, result->events, result->last_lsn,
               result->torn_bytes, result->left_out, result->until, result->lost);
    for (size_t i = 0; i < result->range_count; i++) {
        const struct salvage_range *range = &result->ranges[i];
        buf_printf(buf,
                   "%s{\"first_lsn\":%" PRIu64 ",\"last_lsn\":%" PRIu64 ",\"registration\":\"%s\"}",
                   i == 0 ? "" : ",", range->first_lsn, range->last_lsn,
                   registration_name(range->registration));
    }
    buf_text(buf, "]}");
}
