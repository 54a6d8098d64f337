/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SNAPSHOT_H
#define BV_DURABILITY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/directory.h"
#include "util/error.h"
#include "util/slice.h"

/* Snapshots as files (docs/formats.md 5): chunks in, a published file out. What the chunks say is
 * the business of whoever makes them (apply).
 *
 * Enters:  chunks from the apply thread, through a ring; it never waits and makes no file call.
 * Leaves:  snapshot-<lsn>.bvs, whole or not at all; what it covers is retired.
 * Owner:   the thread "beava-snapshot" owns every file; the apply thread owns the calls marked (A).
 *
 * Invariants
 *   (1) The file gets its name only after: all chunks written, `end` written, file synced, the log
 *       durable up to the highest image_lsn in it and to the LSN at its end (rule 3), the file
 *       read back and checked.
 *   (2) After the rename: directory sync, then all but the newest `retain` are removed, then what
 *       the oldest kept one covers of the log is retired. A failure anywhere removes nothing.
 *   (3) Memory: the ring (16 MiB), and one chunk where that is larger. */

enum snapshot_chunk_type {
    SNAPSHOT_REGISTRY = 1,
    SNAPSHOT_SECTIONS = 2,
    SNAPSHOT_ENTITIES = 3,
    SNAPSHOT_END = 4, /* written by this file */
};

struct snapshot_start {
    uint64_t start_lsn;
    uint64_t time_ms;       /* clock of the tick that began it */
    uint64_t last_event_ms; /* latest push applied at start_lsn: the digest's clock */
    uint64_t entity_count;  /* about */
    uint32_t registry_version;
};

struct snapshot_totals {
    uint64_t entities;
    uint64_t dedupe_entries;
    uint64_t time_ms;       /* clock at the last image: the floor after recovery */
    uint64_t last_event_ms; /* at the last image */
    uint64_t last_lsn;      /* applied then: what no image holds any more may have gone by it */
};

struct snapshot_result {
    uint64_t start_lsn;
    uint64_t bytes;
    uint64_t duration_ns; /* from begin to the directory's sync */
    uint64_t sync_ns;     /* file and directory */
    uint64_t finished_ms; /* wall clock */
    enum bv_status status;
    struct bv_error error; /* when status is not BV_OK */
};

struct snapshot_options {
    struct wal_directory *directory; /* both directories are open and locked; borrowed */
    uint64_t ring_bytes;             /* 0: 16 MiB */
    uint32_t retain;                 /* 0: 2 */
    /* Highest LSN that is synced; any thread. NULL: everything (tests). */
    uint64_t (*durable_lsn)(void *context);
    /* Asks for its sync; any thread. May be NULL. */
    void (*want_sync)(void *context, uint64_t lsn);
    /* The log below `lsn` is covered by the oldest kept snapshot; called on the writer's thread
     * after (2). A failure is logged and tried again with the next snapshot. May be NULL. */
    enum bv_status (*retire)(void *context, uint64_t lsn, struct bv_error *err);
    void *context;
    int event_fd; /* signalled (os_event_signal) when room comes back or a snapshot ended; -1 */
};

struct snapshot_writer;

/* Starts the thread, which sleeps until there is something to do. Removes snapshot.tmp. */
enum bv_status snapshot_writer_create(struct snapshot_writer **out,
                                      const struct snapshot_options *options, struct bv_error *err);
/* Abandons a running snapshot, joins the thread. Accepts NULL. */
void snapshot_writer_destroy(struct snapshot_writer *writer);

/* (A) Begins a file. False: the one before has not ended yet. */
bool snapshot_begin(struct snapshot_writer *writer, const struct snapshot_start *start);
/* (A) One chunk, copied. False: no room in the ring now, try again later (event_fd). A body that
 * could never fit the ring is handed over in memory of its own (false also when there is none). */
bool snapshot_put(struct snapshot_writer *writer, enum snapshot_chunk_type type, uint64_t image_lsn,
                  struct slice body);
/* (A) No chunk follows. The thread finishes, syncs, checks, publishes. */
void snapshot_finish(struct snapshot_writer *writer, const struct snapshot_totals *totals);
/* (A) Gives up the running snapshot, finished or not, unless it is published already. */
void snapshot_abandon(struct snapshot_writer *writer);
/* (A) True from snapshot_begin until the result has been taken. */
bool snapshot_is_busy(const struct snapshot_writer *writer);
/* (A) True once per snapshot that has ended (published or failed; not when abandoned). A running
 * snapshot that has failed ends here too: the caller stops copying. */
bool snapshot_take_result(struct snapshot_writer *writer, struct snapshot_result *out);

/* ---- reading ---- */

/* What the header and the end chunk say. */
struct snapshot_info {
    uint64_t start_lsn;
    uint64_t highest_image_lsn;
    uint64_t time_ms;       /* of the end: the clock floor */
    uint64_t last_event_ms; /* of the end */
    uint64_t entity_count;  /* of the header */
    uint64_t entities;      /* of the end */
    uint64_t dedupe_entries;
    uint64_t chunks;
    uint64_t bytes;
    uint32_t registry_version;
};

/* One checked chunk; body valid during the call. A status other than BV_OK ends the reading. */
typedef enum bv_status (*snapshot_chunk_fn)(void *context, enum snapshot_chunk_type type,
                                            uint64_t image_lsn, struct slice body,
                                            struct bv_error *err);

/* Reads a file front to back, streaming, and hands over every chunk but `end`. fn may be NULL: only
 * checks. BV_CORRUPT names file and offset; BV_UNSUPPORTED_FORMAT both versions. info is whole only
 * with BV_OK; the header's part of it is set before the first chunk. */
enum bv_status snapshot_read(struct snapshot_info *info, struct os *os, const char *path,
                             snapshot_chunk_fn fn, void *context, struct bv_error *err);

/* Start LSNs of the snapshots in a directory, newest first; free() it. */
enum bv_status snapshot_list(uint64_t **out_lsns, size_t *out_count, struct os *os,
                             const char *directory, struct bv_error *err);
#define SNAPSHOT_NAME_SIZE 32
void snapshot_name(char out[SNAPSHOT_NAME_SIZE], uint64_t start_lsn);
/* Moves a snapshot that does not read, or that belongs to a history that was given up, to
 * <directory>/quarantine/, so that it does not count among the kept ones. Not while a snapshot
 * writer runs on the directory. */
enum bv_status snapshot_set_aside(struct os *os, const char *directory, uint64_t start_lsn,
                                  struct bv_error *err);
/* Header alone: enough to know S before the log is read. */
enum bv_status snapshot_read_header(struct snapshot_info *info, struct os *os, const char *path,
                                    struct bv_error *err);

#endif
