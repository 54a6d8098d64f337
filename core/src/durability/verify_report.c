/* SPDX-License-Identifier: Apache-2.0 */
/* A verification, written down: lines for people, one object for programs.
 *
 * Enters:  a report.
 * Leaves:  text.
 * Owner:   whoever asks; there is no state.
 *
 * Invariant: both say the same, in the same order; the object's members are always there. */
#include <inttypes.h>
#include <stdio.h>

#include "durability/segment.h"
#include "durability/verify.h"
#include "wire/json.h"

const char *
verify_kind_name(enum survey_kind kind)
{
    static const char *const names[SURVEY_KIND_COUNT] = {
        [SURVEY_FORMAT] = "format",
        [SURVEY_HEADER] = "header",
        [SURVEY_MISSING_SEGMENT] = "missing_segment",
        [SURVEY_BACKWARDS] = "backwards",
        [SURVEY_GAP] = "gap",
        [SURVEY_UNREADABLE] = "unreadable",
        [SURVEY_REMAINS] = "remains",
        [SURVEY_TORN_TAIL] = "torn_tail",
    };

    return names[kind];
}

static const char *
finding_kind(const struct verify_finding *finding)
{
    return finding->is_snapshot ? "snapshot" : verify_kind_name(finding->found.kind);
}

/* ---- for people ---- */

static void
text_finding(struct buf *buf, const struct verify_finding *finding)
{
    const struct survey_finding *found = &finding->found;

    buf_printf(buf, "%-8s ", finding->is_damage ? "DAMAGE" : "note");
    if (finding->is_snapshot) {
        buf_printf(buf, "%s\n", finding->problem);
        return;
    }
    buf_printf(buf, "%s", finding->file);
    if (found->segment != 0) {
        buf_printf(buf, ": offset %" PRIu64, found->offset);
    }
    buf_printf(buf, ": %s", found->text);
    if (found->bytes != 0) {
        buf_printf(buf, " (%" PRIu64 " bytes)", found->bytes);
    }
    if (found->kind == SURVEY_GAP) {
        buf_printf(buf, ": LSN %" PRIu64 " to %" PRIu64 " cannot be read", found->first_lsn,
                   found->last_lsn);
    } else if (found->first_lsn != 0) {
        buf_printf(buf, ", at LSN %" PRIu64, found->first_lsn);
    }
    buf_text(buf, "\n");
}

static void
text_log(struct buf *buf, const struct verify_report *report)
{
    const struct survey_result *log = &report->log;

    if (report->paths.wal[0] == '\0') {
        return;
    }
    buf_printf(buf, "log      %s\n", report->paths.wal);
    if (log->first_lsn == 0) {
        buf_text(buf, "         empty\n");
    } else {
        buf_printf(buf,
                   "         LSN %" PRIu64 " to %" PRIu64 " in %" PRIu64 " segments: %" PRIu64
                   " records, %" PRIu64 " events, %" PRIu64 " bytes%s\n",
                   log->first_lsn, log->next_lsn - 1, log->segments, log->records, log->events,
                   log->bytes, log->was_clean_stop ? "; stopped in order" : "");
    }
    if (report->spares + report->history + report->quarantined != 0) {
        buf_printf(buf,
                   "         beside it: %" PRIu64 " spare, %" PRIu64 " kept as history, %" PRIu64
                   " in quarantine\n",
                   report->spares, report->history, report->quarantined);
    }
}

static void
text_snapshots(struct buf *buf, const struct verify_report *report)
{
    if (report->paths.snapshots[0] == '\0') {
        return;
    }
    buf_printf(buf, "snapshots %s\n", report->paths.snapshots);
    for (size_t i = 0; i < report->snapshot_count; i++) {
        const struct verify_snapshot *snapshot = &report->snapshots[i];
        if (!snapshot->is_sound) {
            buf_printf(buf, "         LSN %" PRIu64 ": cannot be used\n", snapshot->start_lsn);
            continue;
        }
        buf_printf(buf,
                   "         LSN %" PRIu64 ": sound, %" PRIu64 " entities, %" PRIu64
                   " dedupe entries, %" PRIu64 " bytes\n",
                   snapshot->start_lsn, snapshot->info.entities, snapshot->info.dedupe_entries,
                   snapshot->info.bytes);
    }
    if (report->snapshot_count == 0) {
        buf_text(buf, "         none\n");
    }
}

static void
text_start(struct buf *buf, const struct verify_report *report)
{
    if (!report->is_known) {
        buf_text(buf, "start    not judged: the log or the snapshots were not given\n");
    } else if (!report->is_possible) {
        buf_text(buf,
                 "start    REFUSED: no sound snapshot and log make a whole; see beava salvage\n");
    } else {
        if (report->from_snapshot) {
            buf_printf(buf, "start    possible: the snapshot at LSN %" PRIu64,
                       report->snapshot_lsn);
        } else {
            buf_text(buf, report->log.first_lsn == 0
                              ? "start    possible: empty"
                              : "start    possible: the log from its beginning");
        }
        buf_printf(buf, ", then %" PRIu64 " records", report->replay_records);
        if (report->has_fallback && report->fallback_lsn != 0) {
            buf_printf(buf, "; the one at LSN %" PRIu64 " would do too", report->fallback_lsn);
        } else if (report->has_fallback) {
            buf_text(buf, "; the log alone would do too");
        }
        buf_text(buf, "\n");
    }
}

void
verify_write_text(struct buf *buf, const struct verify_report *report)
{
    if (report->holder[0] != '\0') {
        buf_printf(buf, "in use   by %s: what it writes at this moment looks like a torn tail\n",
                   report->holder);
    }
    text_log(buf, report);
    text_snapshots(buf, report);
    for (size_t i = 0; i < report->finding_count; i++) {
        text_finding(buf, &report->findings[i]);
    }
    if (report->more_findings != 0) {
        buf_printf(buf, "         and %" PRIu64 " more findings\n", report->more_findings);
    }
    text_start(buf, report);
    buf_text(buf, verify_is_sound(report) ? "sound\n" : "DAMAGED\n");
}

/* ---- for programs ---- */

static void
json_member(struct buf *buf, const char *name, uint64_t number)
{
    buf_printf(buf, "\"%s\":%" PRIu64 ",", name, number);
}

static void
json_flag(struct buf *buf, const char *name, bool flag)
{
    buf_printf(buf, "\"%s\":%s,", name, flag ? "true" : "false");
}

/* "" becomes null. */
static void
json_text(struct buf *buf, const char *name, const char *text)
{
    buf_printf(buf, "\"%s\":", name);
    if (text[0] == '\0') {
        buf_text(buf, "null");
    } else {
        json_write_string(buf, slice_text(text));
    }
    buf_text(buf, ",");
}

/* Ends an object or array: the comma behind its last member becomes the bracket. */
static void
json_end(struct buf *buf, uint8_t bracket)
{
    if (buf->size > 0 && buf->data[buf->size - 1] == ',') {
        buf->size--;
    }
    buf_byte(buf, bracket);
    buf_text(buf, ",");
}

static void
json_log(struct buf *buf, const struct verify_report *report)
{
    const struct survey_result *log = &report->log;

    if (report->paths.wal[0] == '\0') {
        buf_text(buf, "\"log\":null,");
        return;
    }
    buf_text(buf, "\"log\":{");
    json_text(buf, "directory", report->paths.wal);
    json_member(buf, "first_lsn", log->first_lsn);
    json_member(buf, "last_lsn", log->first_lsn == 0 ? 0 : log->next_lsn - 1);
    json_member(buf, "segments", log->segments);
    json_member(buf, "records", log->records);
    json_member(buf, "events", log->events);
    json_member(buf, "bytes", log->bytes);
    json_member(buf, "registry_version", log->last_registry_version);
    json_member(buf, "torn_tail_bytes", log->torn_bytes);
    json_flag(buf, "clean_stop", log->was_clean_stop);
    json_member(buf, "spares", report->spares);
    json_member(buf, "history", report->history);
    json_member(buf, "quarantined", report->quarantined);
    json_end(buf, '}');
}

static void
json_snapshots(struct buf *buf, const struct verify_report *report)
{
    buf_text(buf, "\"snapshots\":[");
    for (size_t i = 0; i < report->snapshot_count; i++) {
        const struct verify_snapshot *snapshot = &report->snapshots[i];
        buf_text(buf, "{");
        json_member(buf, "start_lsn", snapshot->start_lsn);
        json_flag(buf, "sound", snapshot->is_sound);
        json_member(buf, "highest_image_lsn", snapshot->info.highest_image_lsn);
        json_member(buf, "entities", snapshot->info.entities);
        json_member(buf, "dedupe_entries", snapshot->info.dedupe_entries);
        json_member(buf, "bytes", snapshot->info.bytes);
        json_member(buf, "registry_version", snapshot->info.registry_version);
        json_end(buf, '}');
    }
    json_end(buf, ']');
}

static void
json_findings(struct buf *buf, const struct verify_report *report)
{
    buf_text(buf, "\"findings\":[");
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct verify_finding *finding = &report->findings[i];
        const struct survey_finding *found = &finding->found;

        buf_text(buf, "{");
        json_flag(buf, "damage", finding->is_damage);
        json_text(buf, "kind", finding_kind(finding));
        json_text(buf, "file", finding->file);
        json_member(buf, "offset", found->offset);
        json_member(buf, "bytes", found->bytes);
        json_member(buf, "first_lsn", found->first_lsn);
        json_member(buf, "last_lsn", found->last_lsn);
        json_text(buf, "text", finding->is_snapshot ? finding->problem : found->text);
        json_end(buf, '}');
    }
    json_end(buf, ']');
    json_member(buf, "more_findings", report->more_findings);
}

static void
json_start(struct buf *buf, const struct verify_report *report)
{
    if (!report->is_known) {
        buf_text(buf, "\"start\":null,");
        return;
    }
    buf_text(buf, "\"start\":{");
    json_flag(buf, "possible", report->is_possible);
    if (report->from_snapshot) {
        json_member(buf, "snapshot_lsn", report->snapshot_lsn);
    } else {
        buf_text(buf, "\"snapshot_lsn\":null,");
    }
    json_member(buf, "replay_records", report->replay_records);
    json_flag(buf, "fallback", report->has_fallback);
    if (report->has_fallback && report->fallback_lsn != 0) {
        json_member(buf, "fallback_lsn", report->fallback_lsn);
    } else {
        buf_text(buf, "\"fallback_lsn\":null,");
    }
    json_end(buf, '}');
}

void
verify_write_json(struct buf *buf, const struct verify_report *report)
{
    buf_text(buf, "{");
    json_flag(buf, "sound", verify_is_sound(report));
    json_text(buf, "in_use_by", report->holder);
    json_log(buf, report);
    json_text(buf, "snapshot_directory", report->paths.snapshots);
    json_snapshots(buf, report);
    json_start(buf, report);
    json_findings(buf, report);
    json_end(buf, '}');
    buf->size -= buf->size > 0 ? 1 : 0; /* no comma behind the whole */
}
