/* SPDX-License-Identifier: Apache-2.0 */
/* A log that has failed, and its way back.
 *
 * Enters:  the failure of a write or sync; later the word that a snapshot holds what is in memory.
 * Leaves:  nothing acked, nothing written, until a fresh segment takes over.
 * Owner:   the log writer's thread. The producer's half (records are dropped) is in wal.c.
 *
 * Invariants
 *   (1) From the failure on both LSNs stand. They move on to next_lsn - 1 when the new segment has
 *       its name: its header says that everything below is durable, which the snapshot made true.
 *   (2) The failed segment is left as it is. What is in it after the durable LSN may be whole, torn
 *       or missing; no reader gets there that starts from the snapshot.
 *   (3) A group that was handed over before wal_resume is dropped, never written behind the new
 *       header; one begun after it is kept.
 *   (4) `failed` is cleared after the LSNs are in place and before `resume_wanted` is taken back:
 *       the producer can tell at any moment whether what it gathers will be written.
 *
 *   FAILED --probe: a file can be written, synced, there is room--> CAN RESUME
 *   CAN RESUME --probe fails--> FAILED
 *   either --wal_resume--> new segment --ok--> IDLE
 *                                      \--failure--> FAILED
 *
 * Lost: writing the failed groups again to the new segment, without a snapshot. After a failed sync
 * nobody knows which pages of the old segment the kernel has dropped, also of groups acked long
 * ago under policy os; the snapshot does not have to know. */
#include <fcntl.h>

#include "durability/wal_internal.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

/* Failures are rare and matter to everybody: not only those who armed the event are told. */
static void
announce_to_all(struct wal *wal)
{
    wal_announce(wal);
    os_event_signal(wal->event_fd);
}

void
wal_fail(struct wal *wal, const struct bv_error *failure)
{
    struct bv_error *kept = &wal->failures[wal->failure_count++ % WAL_FAILURES_KEPT];

    BV_ASSERT(!wal_failed(wal));
    *kept = *failure;
    kept->status = BV_WAL_UNAVAILABLE;
    wal->probe_at_ns = clock_monotonic_ns() + wal->look_interval_ns;
    wal_count(&wal->errors, 1);
    atomic_store_explicit(&wal->failure, kept, memory_order_release);
    atomic_store(&wal->failed, true);
    announce_to_all(wal);
    log_line(LOG_ERROR, "wal.failed", "beava.wal",
             "the log cannot be written; pushes are refused, reads go on",
             (struct log_field[]){LOG_TEXT("error", failure->message),
                                  LOG_TEXT("path", wal->segment.path),
                                  LOG_INT("errno", failure->os_errno)},
             3);
}

/* Whether a new file takes a page and keeps it. It stays: it is where the next segment begins. */
static bool
can_write(struct wal *wal)
{
    char path[OS_PATH_MAX];
    int fd = -1;

    if (os_path(path, wal->directory, SEGMENT_TEMPORARY_NAME, NULL) != BV_OK ||
        os_open(&fd, wal->os, path, O_RDWR | O_CREAT | O_TRUNC, NULL) != BV_OK) {
        return false;
    }
    bool is_ok = os_write_zeros(wal->os, fd, path, 0, SEGMENT_PAGE_SIZE, NULL) == BV_OK &&
                 os_sync(wal->os, fd, path, NULL) == BV_OK;
    os_close(wal->os, &fd);
    return is_ok;
}

static void
probe(struct wal *wal, uint64_t now_ns)
{
    bool could = atomic_load(&wal->can_resume);
    bool can =
        (wal->min_free_bytes == 0 || wal_space_free(wal) >= wal->min_free_bytes) && can_write(wal);

    wal->probe_at_ns = now_ns + wal->look_interval_ns;
    atomic_store(&wal->can_resume, can);
    if (can && !could) {
        announce_to_all(wal);
    }
}

/* A segment that begins where the snapshot ends; nothing of the old one counts from here on. */
static void
resume(struct wal *wal)
{
    struct bv_error failure = {0};
    uint64_t last_lsn = wal->resume_lsn - 1;
    uint64_t no_deadline = 0;

    BV_ASSERT(last_lsn >= atomic_load(&wal->written_lsn));
    BV_ASSERT(last_lsn >= atomic_load(&wal->durable_lsn));
    atomic_store(&wal->can_resume, false);
    wal_sync_drop(wal); /* it is the old segment's; what it says counts no more */
    wal->last_registry_version = wal->resume_registry_version;
    CRASH_POINT("resume.before_segment");
    if (wal_segment_next(wal, wal->resume_lsn, &failure) != BV_OK) {
        wal->probe_at_ns = clock_monotonic_ns() + wal->look_interval_ns;
        wal_count(&wal->errors, 1);
        atomic_store(&wal->resume_wanted, false);
        announce_to_all(wal);
        log_line(LOG_WARN, "wal.resume_failed", "beava.wal", "the log cannot be resumed yet",
                 (struct log_field[]){LOG_TEXT("error", failure.message),
                                      LOG_INT("errno", failure.os_errno)},
                 2);
        return;
    }
    CRASH_POINT("resume.after_segment");
    wal->last_lsn = last_lsn;
    wal->last_time_ms = wal->resume_time_ms;
    wal->unsynced_bytes = 0;
    wal_space_look(wal, clock_monotonic_ns(), &no_deadline);
    atomic_store(&wal->written_lsn, last_lsn);
    atomic_store(&wal->durable_lsn, last_lsn);
    wal_count(&wal->resumes, 1);
    atomic_store(&wal->failed, false);
    atomic_store(&wal->resume_wanted, false);
    announce_to_all(wal);
    log_line(LOG_NOTICE, "wal.resumed", "beava.wal", "the log is written again",
             (struct log_field[]){LOG_TEXT("path", wal->segment.path),
                                  LOG_INT("next_lsn", last_lsn + 1)},
             2);
}

void
wal_stay_failed(struct wal *wal, bool is_wanted, uint64_t *deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns();

    if (is_wanted) {
        resume(wal);
        *deadline_ns = 0; /* a group may have gathered */
        return;
    }
    if (now_ns >= wal->probe_at_ns) {
        probe(wal, now_ns);
    }
    *deadline_ns = wal->probe_at_ns;
}
