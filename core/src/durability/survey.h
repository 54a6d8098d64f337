/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SURVEY_H
#define BV_DURABILITY_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/record.h"
#include "os/file.h"
#include "util/error.h"

/* The log as it lies there: every sound record in order, and whatever is wrong in between. Where
 * recovery refuses, a survey tells and goes on; it changes nothing. */

enum survey_kind {
    SURVEY_FORMAT,          /* FORMAT is missing or another one */
    SURVEY_HEADER,          /* a segment's header page does not check, or is another segment's */
    SURVEY_MISSING_SEGMENT, /* a number is left out */
    SURVEY_BACKWARDS,       /* an LSN that was there before */
    SURVEY_GAP,             /* operations are missing */
    SURVEY_UNREADABLE,      /* bytes that do not check, but no operation is missing */
    SURVEY_REMAINS,         /* of a write that failed, before the log went on in a new segment */
    SURVEY_TORN_TAIL,       /* nothing valid follows: what a killed process leaves */
};
#define SURVEY_KIND_COUNT (SURVEY_TORN_TAIL + 1)

struct survey_finding {
    enum survey_kind kind;
    uint64_t segment;    /* 0: the directory */
    uint64_t offset;     /* where in it */
    uint64_t bytes;      /* that cannot be read; 0 where that says nothing */
    uint64_t first_lsn;  /* a gap: the LSNs that are missing */
    uint64_t last_lsn;   /* otherwise both are the next one expected (0: not known) */
    bool is_at_boundary; /* a gap between the last whole group of a segment and a whole header:
                            what coming back from a full disk looks like too */
    const char *text;    /* a constant */
};

/* LSNs that no record holds. A registry version of 0 is not known. */
struct survey_range {
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint32_t version_before; /* in force after the record before it */
    uint32_t version_after;  /* in force before the record behind it */
};

/* Each may be NULL. Any status but BV_OK ends the survey with it. A range comes directly before
 * the record behind it, or last of all. */
struct survey_sink {
    enum bv_status (*record)(void *context, const struct record_header *header, struct slice body,
                             struct bv_error *err);
    enum bv_status (*range)(void *context, const struct survey_range *range, struct bv_error *err);
    enum bv_status (*finding)(void *context, const struct survey_finding *finding,
                              struct bv_error *err);
    void *context;
};

struct survey_result {
    uint64_t first_lsn; /* 0: no log */
    uint64_t next_lsn;  /* one above the last that is there; 0: no log */
    uint64_t last_time_ms;
    uint32_t last_registry_version;
    uint64_t segments;
    uint64_t records;
    uint64_t events;
    uint64_t bytes;
    uint64_t torn_bytes;
    bool was_clean_stop;
};

/* after_lsn: a snapshot holds everything up to it (0: there is none), so that what is missing below
 * is no reason to stop; the records below it are told all the same.
 *
 * BV_IO when a file cannot be read at all, BV_UNSUPPORTED_FORMAT for what a later version wrote;
 * damage is not a failure of the survey. */
enum bv_status survey_log(struct survey_result *out, struct os *os, const char *directory,
                          uint64_t after_lsn, const struct survey_sink *sink, struct bv_error *err);

#endif
