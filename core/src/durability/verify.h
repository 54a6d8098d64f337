/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_VERIFY_H
#define BV_DURABILITY_VERIFY_H

#include "durability/snapshot.h"
#include "durability/survey.h"

/* Every checksum and chain below a data directory, and what a start would make of it. Reads only;
 * may look beside a running server, which may then change what is looked at: such a directory is
 * read again before damage is believed. */

/* Either directory may be "": not looked at. */
struct verify_paths {
    char wal[OS_PATH_MAX];
    char snapshots[OS_PATH_MAX];
    bool is_part; /* one of the two was named by itself: the other may be elsewhere */
};
/* What a directory given by a user is: one that holds wal/ and snapshots/, or one of these two.
 * BV_CONFIG when it is none of them. */
enum bv_status verify_find(struct verify_paths *out, struct os *os, const char *directory,
                           struct bv_error *err);

/* A finding, with its file; `is_damage` is false for what no start minds. */
struct verify_finding {
    struct survey_finding found;
    bool is_damage;
    bool
        is_snapshot; /* found holds text alone; the file and its problem are in `file`, `problem` */
    char file[64];
    char problem[256];
};
#define VERIFY_FINDINGS_MAX 1000

struct verify_snapshot {
    uint64_t start_lsn;
    bool is_sound;
    struct snapshot_info info; /* when sound */
};

struct verify_report {
    struct verify_paths paths;
    char holder[OS_HOLDER_SIZE]; /* of a lock, "" when there is none */
    struct survey_result log;
    uint64_t spares, history, quarantined; /* files */
    struct verify_snapshot *snapshots;     /* newest first */
    size_t snapshot_count;
    struct verify_finding *findings;
    size_t finding_count;
    uint64_t more_findings; /* beyond VERIFY_FINDINGS_MAX */
    uint64_t damages;
    struct survey_range *ranges; /* LSNs that no record holds */
    size_t range_count;
    uint64_t blocked_before; /* no start can pass through segments below this number */
    bool is_log_missing;     /* beside a snapshot: no segment at all */
    /* What a start would do. Not known when only one of the two directories was named, unless that
     * is a log that goes back to LSN 1. */
    bool is_known, is_possible;
    bool from_snapshot;      /* otherwise from the log alone */
    uint64_t snapshot_lsn;   /* the snapshot it starts from */
    uint64_t replay_records; /* behind that */
    bool has_fallback;       /* the next older snapshot, or the log alone, would do as well */
    uint64_t fallback_lsn;   /* 0: the log alone */
};

/* True with BV_OK: nothing is damaged and a start is possible. */
static inline bool
verify_is_sound(const struct verify_report *report)
{
    return report->damages == 0 && (!report->is_known || report->is_possible);
}

/* Deinit in any case. */
enum bv_status verify_run(struct verify_report *out, struct os *os,
                          const struct verify_paths *paths, struct bv_error *err);
void verify_report_deinit(struct verify_report *report);

/* For people, several lines; for programs, one JSON object without a line end. */
void verify_write_text(struct buf *buf, const struct verify_report *report);
void verify_write_json(struct buf *buf, const struct verify_report *report);
const char *verify_kind_name(enum survey_kind kind);

#endif
