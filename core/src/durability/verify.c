/* SPDX-License-Identifier: Apache-2.0 */
/* Could a server start from these files, and is every byte of them what was written?
 *
 * Enters:  the paths of a log and of snapshots, one of which may be left out.
 * Leaves:  a report.
 * Owner:   the program `beava verify`; one thread, no lock, nothing is written.
 *
 * Invariants
 *   (1) Each byte that a checksum or "zero" in docs/formats.md covers has been read.
 *   (2) A start is called possible only if recovery would go through: a sound snapshot (or none),
 *       and a log without a gap from there to the highest image in it and on to the end.
 *   (3) Memory: one window of the log, one chunk of a snapshot, 1000 findings. */
#include "durability/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durability/segment.h"

#define FORMAT_SIZE_MAX 64
#define LIVE_ATTEMPTS   3

struct verification {
    struct verify_report *report;
    struct os *os;
    uint64_t replay_after; /* records above it are replayed */
};

/* ---- what there is ---- */

static bool
begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool
ends(const char *text, const char *suffix)
{
    size_t size = strlen(text);
    size_t tail = strlen(suffix);

    return size >= tail && strcmp(text + size - tail, suffix) == 0;
}

/* Whether the directory can be listed; its names of the log and of snapshots counted. */
static bool
look_into(struct os *os, const char *path, unsigned *logs, unsigned *snapshots)
{
    struct os_names names = {0};

    *logs = 0;
    *snapshots = 0;
    if (os_list(&names, os, path, NULL) != BV_OK) {
        return false;
    }
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        *logs += segment_name_parse(&number, names.names[i]) ? 1 : 0;
        *snapshots += begins(names.names[i], "snapshot-") && ends(names.names[i], ".bvs") ? 1 : 0;
    }
    os_names_deinit(&names);
    return true;
}

/* FORMAT's text, "" without one. */
static enum bv_status
read_format(char out[FORMAT_SIZE_MAX], struct os *os, const char *directory, struct bv_error *err)
{
    char path[OS_PATH_MAX];
    struct buf text;
    bool exists = false;

    buf_init(&text);
    enum bv_status status = os_path(path, directory, "FORMAT", err);
    if (status == BV_OK) {
        status = os_read_file(&text, &exists, os, path, FORMAT_SIZE_MAX - 1, err);
    }
    memcpy(out, text.size == 0 ? (const uint8_t *)"" : text.data, text.size);
    out[text.size] = '\0';
    buf_deinit(&text);
    return status;
}

enum bv_status
verify_find(struct verify_paths *out, struct os *os, const char *directory, struct bv_error *err)
{
    char format[FORMAT_SIZE_MAX];
    char inner[OS_PATH_MAX];
    unsigned logs;
    unsigned snapshots;
    unsigned ignored;

    memset(out, 0, sizeof *out);
    if (strlen(directory) + sizeof "/snapshots" >= OS_PATH_MAX) {
        return bv_error_set(err, BV_CONFIG, "the directory's path is too long");
    }
    if (!look_into(os, directory, &logs, &snapshots)) {
        return bv_error_set(err, BV_CONFIG, "%s is not a directory that can be read", directory);
    }
    enum bv_status status = read_format(format, os, directory, err);
    if (status != BV_OK) {
        return status;
    }
    if (logs != 0 || begins(format, "beava-wal")) {
        (void)snprintf(out->wal, sizeof out->wal, "%s", directory);
    }
    if (snapshots != 0 || begins(format, "beava-snapshots")) {
        (void)snprintf(out->snapshots, sizeof out->snapshots, "%s", directory);
    }
    out->is_part = (out->wal[0] == '\0') != (out->snapshots[0] == '\0');
    if (out->wal[0] == '\0' && out->snapshots[0] == '\0') {
        (void)snprintf(inner, sizeof inner, "%s/wal", directory);
        if (look_into(os, inner, &ignored, &ignored)) {
            (void)snprintf(out->wal, sizeof out->wal, "%s", inner);
        }
        (void)snprintf(inner, sizeof inner, "%s/snapshots", directory);
        if (look_into(os, inner, &ignored, &ignored)) {
            (void)snprintf(out->snapshots, sizeof out->snapshots, "%s", inner);
        }
    }
    if (out->wal[0] == '\0' && out->snapshots[0] == '\0') {
        bv_error_set(err, BV_CONFIG, "%s holds neither wal/ nor snapshots/, and is neither",
                     directory);
        bv_error_hint(err, "name the directory that --data-dir names");
        return BV_CONFIG;
    }
    return BV_OK;
}

/* ---- findings ---- */

static struct verify_finding *
add_finding(struct verify_report *report, bool is_damage)
{
    report->damages += is_damage ? 1 : 0;
    if (report->finding_count == VERIFY_FINDINGS_MAX) {
        report->more_findings++;
        return NULL;
    }
    if (report->findings == NULL) {
        report->findings = calloc(VERIFY_FINDINGS_MAX, sizeof *report->findings);
        if (report->findings == NULL) {
            report->more_findings++;
            return NULL;
        }
    }
    struct verify_finding *finding = &report->findings[report->finding_count++];
    finding->is_damage = is_damage;
    return finding;
}

static const struct verify_snapshot *
newest_sound(const struct verify_report *report)
{
    for (size_t i = 0; i < report->snapshot_count; i++) {
        if (report->snapshots[i].is_sound) {
            return &report->snapshots[i];
        }
    }
    return NULL;
}

static bool
has_snapshot_at(const struct verify_report *report, uint64_t lsn)
{
    for (size_t i = 0; i < report->snapshot_count; i++) {
        if (report->snapshots[i].is_sound && report->snapshots[i].start_lsn == lsn) {
            return true;
        }
    }
    return false;
}

/* Not damage: a torn tail, which the next start cuts; and what a log leaves that failed and came
 * back, which it does in a new segment that begins just above a snapshot of all that was in memory.
 * The two stay until both are retired. */
static bool
is_damage(const struct verify_report *report, const struct survey_finding *found)
{
    switch (found->kind) {
    case SURVEY_TORN_TAIL:
        return false;
    case SURVEY_REMAINS:
        return !has_snapshot_at(report, found->first_lsn - 1);
    case SURVEY_GAP:
        return !found->is_at_boundary || !has_snapshot_at(report, found->last_lsn);
    default:
        return true;
    }
}

static enum bv_status
on_finding(void *context, const struct survey_finding *found, struct bv_error *err)
{
    struct verify_report *report = ((struct verification *)context)->report;
    struct verify_finding *finding = add_finding(report, is_damage(report, found));

    if (found->kind == SURVEY_HEADER || found->kind == SURVEY_BACKWARDS) {
        report->blocked_before = found->segment + 1;
    } else if (found->kind == SURVEY_MISSING_SEGMENT) {
        report->blocked_before = found->segment;
    }

    if (finding != NULL) {
        finding->found = *found;
        if (found->segment != 0) {
            segment_name(finding->file, found->segment);
        }
    }
    return BV_OK;
}

static enum bv_status
on_range(void *context, const struct survey_range *range, struct bv_error *err)
{
    struct verify_report *report = ((struct verification *)context)->report;
    struct survey_range *grown =
        realloc(report->ranges, (report->range_count + 1) * sizeof *report->ranges);

    if (grown == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for another missing range");
    }
    report->ranges = grown;
    report->ranges[report->range_count++] = *range;
    return BV_OK;
}

static enum bv_status
on_record(void *context, const struct record_header *header, struct slice body,
          struct bv_error *err)
{
    struct verification *verification = context;
    struct verify_report *report = verification->report;

    if (header->first_lsn + header->count > verification->replay_after + 1) {
        report->replay_records++;
        if (header->first_lsn <= verification->replay_after) {
            report->blocked_before = UINT64_MAX; /* the snapshot ends inside a record */
        }
    }
    return BV_OK;
}

/* ---- the parts ---- */

/* Nothing in it but what a start leaves before FORMAT: the next one makes it its own. */
static bool
is_empty(struct os *os, const char *path)
{
    struct os_names names = {0};
    bool found = os_list(&names, os, path, NULL) == BV_OK;

    for (size_t i = 0; i < names.count && found; i++) {
        found = strcmp(names.names[i], "LOCK") == 0 || strcmp(names.names[i], "FORMAT.tmp") == 0;
    }
    os_names_deinit(&names);
    return found;
}

static void
check_format(struct verification *verification, const char *directory, const char *wanted)
{
    char found[FORMAT_SIZE_MAX] = "";
    struct verify_finding *finding;

    if (read_format(found, verification->os, directory, NULL) == BV_OK &&
        (strcmp(found, wanted) == 0 ||
         (found[0] == '\0' && is_empty(verification->os, directory)))) {
        return;
    }
    verification->report->blocked_before = UINT64_MAX;
    finding = add_finding(verification->report, true);
    if (finding != NULL) {
        finding->found = (struct survey_finding){
            .kind = SURVEY_FORMAT,
            .text = found[0] == '\0' ? "FORMAT is missing, so that no server would start"
                                     : "FORMAT is not the one this release reads"};
        (void)snprintf(finding->file, sizeof finding->file, "FORMAT");
    }
}

static enum bv_status
read_snapshots(struct verification *verification, struct bv_error *err)
{
    struct verify_report *report = verification->report;
    const char *directory = report->paths.snapshots;
    uint64_t *lsns = NULL;
    enum bv_status status =
        snapshot_list(&lsns, &report->snapshot_count, verification->os, directory, err);

    if (status == BV_OK && report->snapshot_count != 0) {
        report->snapshots = calloc(report->snapshot_count, sizeof *report->snapshots);
        if (report->snapshots == NULL) {
            report->snapshot_count = 0;
            status = bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", directory);
        }
    }
    for (size_t i = 0; status == BV_OK && i < report->snapshot_count; i++) {
        struct verify_snapshot *snapshot = &report->snapshots[i];
        struct bv_error failure = {0};
        char name[SNAPSHOT_NAME_SIZE];
        char path[OS_PATH_MAX];

        snapshot->start_lsn = lsns[i];
        snapshot_name(name, lsns[i]);
        status = os_path(path, directory, name, err);
        if (status != BV_OK) {
            break;
        }
        snapshot->is_sound =
            snapshot_read(&snapshot->info, verification->os, path, NULL, NULL, &failure) == BV_OK;
        if (!snapshot->is_sound) {
            struct verify_finding *finding = add_finding(report, true);
            if (finding != NULL) {
                finding->is_snapshot = true;
                (void)snprintf(finding->file, sizeof finding->file, "%s", name);
                (void)snprintf(finding->problem, sizeof finding->problem, "%.250s",
                               failure.message);
            }
        }
    }
    free(lsns);
    return status;
}

static uint64_t
count_names(struct os *os, const char *directory, const char *inner, const char *prefix)
{
    char path[OS_PATH_MAX];
    struct os_names names = {0};
    uint64_t count = 0;

    if (os_path(path, directory, inner, NULL) == BV_OK &&
        os_list(&names, os, path, NULL) == BV_OK) {
        for (size_t i = 0; i < names.count; i++) {
            count += begins(names.names[i], prefix) ? 1 : 0;
        }
        os_names_deinit(&names);
    }
    return count;
}

/* ---- what a start would do ---- */

/* Whether a walk that begins behind `lsn` begins behind what no walk can pass: it starts in the
 * last segment that begins no later than lsn + 1. */
static bool
begins_behind(const struct verification *verification, uint64_t lsn)
{
    const struct verify_report *report = verification->report;
    struct os_names names = {0};
    bool found = report->blocked_before == 0;

    if (found || lsn == 0 || os_list(&names, verification->os, report->paths.wal, NULL) != BV_OK) {
        return found;
    }
    for (size_t i = 0; i < names.count && !found; i++) {
        struct segment_header header;
        uint64_t number;
        char path[OS_PATH_MAX];
        struct buf page;
        bool exists = false;

        if (!segment_name_parse(&number, names.names[i]) || number < report->blocked_before ||
            os_path(path, report->paths.wal, names.names[i], NULL) != BV_OK) {
            continue;
        }
        buf_init(&page);
        found = os_read_file(&page, &exists, verification->os, path, SEGMENT_PAGE_SIZE, NULL) ==
                    BV_OK &&
                segment_header_decode(&header, buf_slice(&page), path, NULL) == BV_OK &&
                header.segment_number == number && header.first_lsn <= lsn + 1;
        buf_deinit(&page);
    }
    os_names_deinit(&names);
    return found;
}

/* Whether the log goes on behind `lsn` without a gap, and reaches `highest`. It may end below
 * `lsn`: then the snapshot there is all there is. */
static bool
log_continues(const struct verification *verification, uint64_t lsn, uint64_t highest)
{
    const struct verify_report *report = verification->report;
    const struct survey_result *log = &report->log;

    for (size_t i = 0; i < report->range_count; i++) {
        if (report->ranges[i].last_lsn > lsn) {
            return false;
        }
    }
    return log->first_lsn <= lsn + 1 && (highest <= lsn || log->next_lsn > highest) &&
           begins_behind(verification, lsn);
}

/* The newest snapshot of all does not read, and the rest ends before it: what was between is gone.
 */
static bool
ends_too_early(const struct verify_report *report, uint64_t lsn)
{
    uint64_t last = report->log.next_lsn > lsn ? report->log.next_lsn - 1 : lsn;

    return report->snapshot_count != 0 && report->snapshots[0].start_lsn > last;
}

static bool
log_suffices(const struct verification *verification)
{
    return !ends_too_early(verification->report, 0) && log_continues(verification, 0, 0);
}

static bool
snapshot_suffices(const struct verification *verification, const struct verify_snapshot *snapshot)
{
    return !ends_too_early(verification->report, snapshot->start_lsn) &&
           log_continues(verification, snapshot->start_lsn, snapshot->info.highest_image_lsn);
}

/* A start takes the newest snapshot that reads and gives up if the log does not fit it: that it
 * would fit an older one may mean that it is an older copy. */
static void
judge(struct verification *verification)
{
    struct verify_report *report = verification->report;
    const struct verify_snapshot *newest = newest_sound(report);

    report->is_log_missing =
        newest != NULL && report->log.segments == 0 && report->log.first_lsn == 0;
    report->is_known = !report->paths.is_part ||
                       (report->paths.wal[0] != '\0' && report->paths.snapshots[0] != '\0') ||
                       (report->paths.wal[0] != '\0' && report->log.first_lsn <= 1);
    if (newest == NULL) {
        report->is_possible = log_suffices(verification);
        if (report->is_known && report->log.first_lsn > 1) {
            struct verify_finding *finding = add_finding(report, true);
            if (finding != NULL) {
                finding->found = (struct survey_finding){
                    .kind = SURVEY_GAP,
                    .first_lsn = 1,
                    .last_lsn = report->log.first_lsn - 1,
                    .text = "what is before the log was in a snapshot, and there is none"};
                (void)snprintf(finding->file, sizeof finding->file, "snapshots");
            }
        }
        return;
    }
    report->from_snapshot = true;
    report->snapshot_lsn = newest->start_lsn;
    report->is_possible = !report->is_log_missing && snapshot_suffices(verification, newest);
    if (report->is_known && report->is_log_missing) {
        struct verify_finding *finding = add_finding(report, true);
        if (finding != NULL) {
            finding->found = (struct survey_finding){
                .kind = SURVEY_MISSING_SEGMENT,
                .text = "the log is missing: there is a snapshot and no segment"};
            (void)snprintf(finding->file, sizeof finding->file, "wal");
        }
    }
    for (size_t i = 0; i < report->snapshot_count; i++) {
        const struct verify_snapshot *other = &report->snapshots[i];
        if (other->is_sound && other != newest) {
            report->has_fallback = snapshot_suffices(verification, other);
            report->fallback_lsn = other->start_lsn;
            return;
        }
    }
    report->has_fallback = report->log.first_lsn == 1 && log_continues(verification, 0, 0);
}

static enum bv_status
verify_once(struct verify_report *report, struct os *os, struct bv_error *err)
{
    struct verification verification = {.report = report, .os = os};
    const struct survey_sink sink = {on_record, on_range, on_finding, &verification};
    const char *wal = report->paths.wal;
    const char *snapshots = report->paths.snapshots;
    enum bv_status status = BV_OK;

    if (wal[0] != '\0') {
        (void)os_lock_is_held(report->holder, os, wal);
        check_format(&verification, wal, "beava-wal 1\n");
    }
    if (snapshots[0] != '\0' && strcmp(wal, snapshots) != 0) {
        if (report->holder[0] == '\0') {
            (void)os_lock_is_held(report->holder, os, snapshots);
        }
        check_format(&verification, snapshots, "beava-snapshots 1\n");
    }
    if (snapshots[0] != '\0') {
        status = read_snapshots(&verification, err);
    }
    if (status == BV_OK && wal[0] != '\0') {
        const struct verify_snapshot *newest = newest_sound(report);
        verification.replay_after = newest == NULL ? 0 : newest->start_lsn;
        status = survey_log(&report->log, os, wal, verification.replay_after, &sink, err);
        report->spares = count_names(os, wal, ".", "spare-");
        report->history = count_names(os, wal, "history", "segment-");
        report->quarantined = count_names(os, wal, "quarantine", "segment-");
    }
    if (status == BV_OK) {
        judge(&verification);
    }
    return status;
}

enum bv_status
verify_run(struct verify_report *out, struct os *os, const struct verify_paths *paths,
           struct bv_error *err)
{
    enum bv_status status = BV_OK;

    memset(out, 0, sizeof *out);
    for (int attempt = 1; attempt <= LIVE_ATTEMPTS; attempt++) {
        verify_report_deinit(out);
        out->paths = *paths;
        status = verify_once(out, os, err);
        /* Beside a server a segment may have been given to another use while it was read. */
        if (out->holder[0] == '\0' || (status == BV_OK && verify_is_sound(out))) {
            break;
        }
    }
    return status;
}

void
verify_report_deinit(struct verify_report *report)
{
    free(report->snapshots);
    free(report->findings);
    free(report->ranges);
    memset(report, 0, sizeof *report);
}
