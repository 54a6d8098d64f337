/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_WAL_H
#define BV_DURABILITY_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "durability/directory.h"
#include "durability/record.h"
#include "util/histogram.h"
#include "util/error.h"

/* The log as the apply thread sees it: a ring to copy records into, and an LSN up to which they
 * are on disk.
 *
 *   each tick:  wal_has_room -> { wal_record_begin, _append.., _end } per run -> wal_publish
 *
 * Between begin and end nothing else of the log is called. The producer's calls (all but those
 * marked "any thread") belong to one thread and never touch a file. One group is in flight at a
 * time: wal_publish hands over what has gathered if the writer is idle, otherwise it goes on
 * gathering. So wal_publish is called at the end of every tick, also of one that logged nothing,
 * and in particular of the tick that the event fd woke. */
struct wal;

#define WAL_RING_BYTES_DEFAULT    (8ull * 1024 * 1024)
#define WAL_RING_BYTES_MIN        (64ull * 1024)
#define WAL_RING_BYTES_MAX        (8ull * 1024 * 1024 * 1024)
#define WAL_SEGMENT_BYTES_DEFAULT (128ull * 1024 * 1024)
#define WAL_TICK_MS_DEFAULT       20u
#define WAL_LOOK_MS_DEFAULT       1000u

/* After recovery_run on the same directory; next_lsn is one above the last recovered. Creates a new
 * segment (the old one is never appended to) and starts the thread "beava-wal". The directory is
 * borrowed until wal_close. */
enum bv_status wal_open(struct wal **out, struct wal_directory *directory,
                        const struct wal_options *options, uint64_t next_lsn, struct bv_error *err);
/* Hands over what was published or not, drains, syncs, adds the clean stop mark, joins the thread.
 * Accepts NULL. After a failure it only joins. */
void wal_close(struct wal *wal);

/* What a record with this body takes at most, the group's mark and padding aside. */
static inline size_t
wal_record_size(size_t body_size)
{
    return body_size + RECORD_HEADER_SIZE_MAX + RECORD_ALIGN;
}
/* Whether records of `bytes` in all (sum of wal_record_size) fit now. Never waits. True after a
 * failure: nothing is kept then. */
bool wal_has_room(const struct wal *wal, size_t bytes);
/* The largest body that can ever fit; larger ones are refused before they are logged. */
size_t wal_body_size_max(const struct wal *wal);

/* Takes type, flags, first_lsn, time_ms, seed, registry_version and the optional words; first_lsn
 * must follow the last record's. The room must have been asked for: it is an assertion here. */
void wal_record_begin(struct wal *wal, const struct record_header *header);
void wal_record_append(struct wal *wal, const void *data, size_t size);
/* More flags (of those without a word) for the open record. */
void wal_record_flag(struct wal *wal, uint16_t flags);
void wal_record_end(struct wal *wal, uint32_t count);
/* Instead of end: the record was never begun. */
void wal_record_cancel(struct wal *wal);
void wal_publish(struct wal *wal);

/* Any thread. */
uint64_t wal_durable_lsn(const struct wal *wal); /* synced up to here */
uint64_t wal_acked_lsn(const struct wal *wal); /* acks up to here may leave (policy os: written) */
/* A write or sync failed: neither LSN moves until wal_resume has done its work. */
bool wal_failed(const struct wal *wal);
/* What failed (last); valid once wal_failed is true. The text stays as it is for many failures to
 * come, each a snapshot apart. */
const struct bv_error *wal_failure(const struct wal *wal);

/* Counts of the writer, for metrics; any thread. */
struct wal_counts {
    uint64_t groups, bytes, syncs, marks, segments, errors, resumes;
};
void wal_counts_get(const struct wal *wal, struct wal_counts *out);

/* How long its syncs (or direct writes) took. */
const struct histogram *wal_sync_times(const struct wal *wal);

/* Readable after each move of either LSN and after a failure (os_event_drain empties it). */
int wal_event_fd(const struct wal *wal);
/* For a producer without a reactor: hands over what has gathered, sleeps until the event fd is
 * readable or so long, and empties it. */
void wal_event_wait(struct wal *wal, int timeout_ms);
/* To save wakes: from the first call on, the event fd is signalled for LSNs only while armed, and
 * once. Call it before going to sleep, with the acked LSN last seen; false: it has moved on already
 * (or the log failed), do not sleep. */
bool wal_event_arm(struct wal *wal, uint64_t acked_lsn_seen);
/* Policy os: have this LSN synced as soon as the writer is free, not when the interval is over. */
void wal_want_sync(struct wal *wal, uint64_t lsn);

/* ---- space (server.md 5.7) ---- */

enum wal_pressure {
    WAL_PRESSURE_NONE,
    WAL_PRESSURE_HIGH,    /* 80% of wal_max_bytes */
    WAL_PRESSURE_REFUSES, /* 95%, or less than min_free_bytes free: pushes are refused */
};
/* Any thread; found out by the writer at rotations, after retiring, and once a second. */
enum wal_pressure wal_pressure(const struct wal *wal);
/* Bytes of all segments and spares, without history; any thread. */
uint64_t wal_bytes_on_disk(const struct wal *wal);

/* Retires the segments that hold nothing above `lsn` (docs/formats.md 1): to history/ when
 * keep_history_ms is not 0, else a few become spares for the writer to use again, the rest is
 * unlinked. History older than keep_history_ms goes. Thread of the snapshot writer; may run beside
 * the log's writer. BV_IO: what was done stays done, call again later. */
enum bv_status wal_retire(struct wal *wal, uint64_t lsn, uint64_t keep_history_ms,
                          struct bv_error *err);

/* ---- coming back (server.md 5.5) ----
 *
 * After a failure the writer looks, once a second, whether a new file can be written and synced.
 * When it can, the log is ready to resume: the owner takes a snapshot of all that is in memory and
 * then calls wal_resume; the log goes on in a fresh segment. What was published after the durable
 * LSN is not written again: the snapshot holds it. */
/* Any thread; event_fd is signalled when it turns true. Not while a wal_resume is under way. */
bool wal_can_resume(const struct wal *wal);
/* Producer. The snapshot up to next_lsn - 1, the last LSN given to a record, is published. Returns
 * at once; the writer opens a segment whose first LSN is next_lsn and only then is wal_failed false
 * and both LSNs are next_lsn - 1 (event_fd). If that fails, the log stays failed and the looking
 * goes on. Records begun since the call are kept, and follow in the new segment. */
void wal_resume(struct wal *wal, uint64_t next_lsn, uint64_t time_ms, uint32_t registry_version);

/* The producer's thread sleeps until the LSN is acked (or synced). BV_WAL_UNAVAILABLE after a
 * failure. What has gathered is handed over, published or not. */
enum bv_status wal_wait(struct wal *wal, uint64_t lsn, bool synced, struct bv_error *err);

#endif
