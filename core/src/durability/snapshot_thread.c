/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot writer, the thread's half: entries of the ring into a file, and the file published.
 *
 * Enters:  chunks, through the ring.
 * Leaves:  a published snapshot and what it makes superfluous removed; a result for the producer.
 * Owner:   the thread "beava-snapshot"; it sleeps until there is something to do.
 *
 * Invariants
 *   (1) write -> sync -> read back -> log durable up to every image -> rename -> directory sync ->
 *       older ones removed -> log retired. Each step only after the one before succeeded.
 *   (2) A failure before the rename removes snapshot.tmp and changes nothing else. One of the
 *       directory's sync leaves a whole file whose name may not survive: harmless, because nothing
 *       is dropped on its account.
 *   (3) It may be given up until the rename; from PUBLISHING on it runs to its end. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "durability/snapshot_file.h"
#include "durability/snapshot_internal.h"
#include "os/wait.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define DURABLE_POLL_NS 1000000u

static bool
is_running(const struct snapshot_writer *writer)
{
    return snapshot_phase_of(writer) == SNAPSHOT_RUNNING;
}

static void
signal_event(const struct snapshot_writer *writer)
{
    if (writer->options.event_fd >= 0) {
        os_event_signal(writer->options.event_fd);
    }
}

/* Sleeps unless the bell has moved since `bell` was read. */
static void
sleep_at(struct snapshot_writer *writer, uint32_t bell, uint64_t timeout_ns)
{
    atomic_store(&writer->is_asleep, true);
    os_wait(&writer->bell, bell, timeout_ns);
    atomic_store(&writer->is_asleep, false);
}

/* ---- ring to file ---- */

/* Gives the step back and wakes a producer that waits for room, not before a quarter of the ring is
 * free: a wake per chunk would cost it more than the copy. */
static void
free_step(struct snapshot_writer *writer, uint64_t freed)
{
    atomic_store(&writer->freed, freed);
    uint64_t wanted = atomic_load(&writer->room_wanted);
    if (wanted == 0) {
        return;
    }
    uint64_t room = writer->ring_size - (atomic_load(&writer->head) - freed);
    uint64_t enough = wanted > writer->ring_size / 4 ? wanted : writer->ring_size / 4;
    if (room >= enough && atomic_exchange(&writer->room_wanted, 0) != 0) {
        signal_event(writer);
    }
}

static enum bv_status
write_entry(struct snapshot_writer *writer, struct snapshot_file *file, uint64_t at,
            struct bv_error *err)
{
    struct snapshot_entry entry;
    uint64_t mask = writer->ring_size - 1;

    memcpy(&entry, writer->ring + (at & mask), sizeof entry);
    struct slice first = slice_of(entry.large, (size_t)entry.size);
    struct slice second = slice_of(NULL, 0);
    if (entry.large == NULL) {
        size_t from = (size_t)((at + SNAPSHOT_ENTRY_SIZE) & mask);
        size_t before_end = (size_t)writer->ring_size - from;

        first = slice_of(writer->ring + from, (size_t)entry.size);
        if (entry.size > before_end) {
            first.size = before_end;
            second = slice_of(writer->ring, (size_t)entry.size - before_end);
        }
    }
    enum bv_status status = snapshot_file_append(file, (enum snapshot_chunk_type)entry.type,
                                                 entry.image_lsn, first, second, err);
    CRASH_POINT("snapshot.mid_write");
    if (status == BV_OK) { /* otherwise it is cleared with the rest of the ring */
        free(entry.large);
        if (entry.large != NULL) {
            atomic_store(&writer->has_large, false);
        }
        free_step(writer, at + snapshot_entry_step(entry.large == NULL ? entry.size : 0));
    }
    return status;
}

/* Entries as they come until the last; returns early when it is given up. */
static enum bv_status
write_chunks(struct snapshot_writer *writer, struct snapshot_file *file, struct bv_error *err)
{
    while (is_running(writer)) {
        uint32_t bell = atomic_load(&writer->bell);
        /* In this order: what was put before finish is below the head read after it. */
        bool is_finished = atomic_load_explicit(&writer->is_finished, memory_order_acquire);
        uint64_t head = atomic_load_explicit(&writer->head, memory_order_acquire);
        uint64_t at = atomic_load_explicit(&writer->freed, memory_order_relaxed);

        if (at < head) {
            enum bv_status status = write_entry(writer, file, at, err);
            if (status != BV_OK) {
                return status;
            }
        } else if (is_finished) {
            return BV_OK;
        } else {
            sleep_at(writer, bell, OS_WAIT_FOREVER);
        }
    }
    return BV_OK;
}

/* ---- file to name ---- */

static enum bv_status
go_on_while_running(void *context, enum snapshot_chunk_type type, uint64_t image_lsn,
                    struct slice body, struct bv_error *err)
{
    const struct snapshot_writer *writer = context;

    (void)type;
    (void)image_lsn;
    (void)body;
    return is_running(writer) ? BV_OK
                              : bv_error_set(err, BV_SNAPSHOT_UNAVAILABLE, "it was given up");
}

/* What is on disk is what was written: every chunk checks, and `end` counts the same. */
static enum bv_status
read_back(struct snapshot_writer *writer, const struct snapshot_file *file, struct bv_error *err)
{
    struct snapshot_info info;
    enum bv_status status =
        snapshot_read(&info, writer->os, file->path, go_on_while_running, writer, err);

    if (status == BV_OK && (info.start_lsn != file->start_lsn || info.bytes != file->written ||
                            info.chunks + 1 != file->chunks)) {
        status = bv_error_set(err, BV_CORRUPT, "%s reads back as another file than was written",
                              file->path);
    }
    return status;
}

/* Rule 3: no effect may be published that power loss could still take from the log. */
static void
wait_durable(struct snapshot_writer *writer, uint64_t lsn)
{
    const struct snapshot_options *options = &writer->options;

    if (options->durable_lsn == NULL) {
        return;
    }
    while (is_running(writer)) {
        uint32_t bell = atomic_load(&writer->bell);

        if (options->durable_lsn(options->context) >= lsn) {
            return;
        }
        if (options->want_sync != NULL) {
            options->want_sync(options->context, lsn);
        }
        sleep_at(writer, bell, DURABLE_POLL_NS);
    }
}

/* Everything up to the rename. BV_OK also when it was given up on the way. */
static enum bv_status
write_file(struct snapshot_writer *writer, struct snapshot_file *file, struct bv_error *err)
{
    enum bv_status status =
        snapshot_file_create(file, writer->os, writer->directory, &writer->start, err);

    if (status == BV_OK) {
        status = write_chunks(writer, file, err);
    }
    if (status == BV_OK && is_running(writer)) {
        /* An entity that expired or was evicted while the copy went on is in no image: a log that
         * ended before that would bring back half of it, or nothing. */
        if (writer->totals.last_lsn > file->highest_image_lsn) {
            file->highest_image_lsn = writer->totals.last_lsn;
        }
        if (writer->options.want_sync != NULL) {
            /* asked now, so that it is done while the file is synced and read */
            writer->options.want_sync(writer->options.context, file->highest_image_lsn);
        }
        status = snapshot_file_end(file, &writer->totals, err);
    }
    if (status == BV_OK && is_running(writer)) {
        status = read_back(writer, file, err);
    }
    if (status == BV_OK && is_running(writer)) {
        wait_durable(writer, file->highest_image_lsn);
    }
    return status;
}

static void
warn(const struct snapshot_writer *writer, const char *kind, const char *message,
     const struct bv_error *error)
{
    log_line(LOG_WARN, kind, "beava.snapshot", message,
             (struct log_field[]){LOG_INT("snapshot_lsn", writer->start.start_lsn),
                                  LOG_TEXT("error", error->message)},
             2);
}

/* The snapshot is in place: what it makes superfluous goes. A failure here costs space, nothing
 * else, and the next snapshot tries again. */
static void
drop_covered(struct snapshot_writer *writer, struct snapshot_kept *kept)
{
    const struct snapshot_options *options = &writer->options;
    struct bv_error failure = {0};
    enum bv_status status = snapshot_files_retain(
        kept, writer->os, writer->directory, writer->start.start_lsn, options->retain, &failure);

    CRASH_POINT("after-rename-before-truncate");
    /* With fewer than are to be kept the log alone still has to do for the missing ones. */
    if (status == BV_OK && kept->kept == options->retain && options->retire != NULL) {
        status = options->retire(options->context, kept->oldest_lsn, &failure);
    }
    if (status != BV_OK) {
        warn(writer, "snapshot.cleanup_failed",
             "the snapshot is in place, but what it covers could not be removed", &failure);
    }
}

static void
report_written(const struct snapshot_writer *writer, const struct snapshot_kept *kept)
{
    const struct snapshot_result *result = &writer->result;

    log_line(LOG_INFO, "snapshot.written", "beava.snapshot", "a snapshot is in place",
             (struct log_field[]){
                 LOG_INT("snapshot_lsn", result->start_lsn),
                 LOG_INT("registry_version", writer->start.registry_version),
                 LOG_INT("duration_ms", result->duration_ns / 1000000),
                 LOG_INT("bytes", result->bytes), LOG_INT("fsync_ms", result->sync_ns / 1000000),
                 LOG_INT("retained", kept->kept), LOG_INT("snapshots_removed", kept->removed)},
             7);
}

/* The file is written and published, or gone again. False: it was given up on the way. */
static bool
write_and_publish(struct snapshot_writer *writer)
{
    struct snapshot_result *result = &writer->result;
    struct snapshot_file file;

    memset(result, 0, sizeof *result);
    CRASH_POINT("before-snapshot");
    enum bv_status status = write_file(writer, &file, &result->error);
    bool is_kept =
        status == BV_OK && snapshot_phase_move(writer, SNAPSHOT_RUNNING, SNAPSHOT_PUBLISHING);
    if (is_kept) {
        CRASH_POINT("before-rename");
        status = snapshot_file_publish(&file, &result->error);
        CRASH_POINT("snapshot.after_dirsync");
    }
    result->status = status;
    result->start_lsn = writer->start.start_lsn;
    result->bytes = file.written;
    result->duration_ns = clock_monotonic_ns() - writer->began_ns;
    result->sync_ns = file.sync_ns;
    result->finished_ms = clock_wall_ms();
    if (!is_kept || status != BV_OK) {
        snapshot_file_discard(&file);
    }
    snapshot_file_deinit(&file);
    return is_kept || is_running(writer);
}

/* One snapshot from begin to its result. */
static void
make_snapshot(struct snapshot_writer *writer)
{
    struct snapshot_kept kept;

    if (write_and_publish(writer)) {
        if (writer->result.status == BV_OK) {
            drop_covered(writer, &kept);
            report_written(writer, &kept);
        } else {
            warn(writer, "snapshot.tick_failed", "no snapshot was written; nothing was dropped",
                 &writer->result.error);
        }
    }
    if (!snapshot_phase_move(writer, SNAPSHOT_PUBLISHING, SNAPSHOT_ENDED) &&
        !snapshot_phase_move(writer, SNAPSHOT_RUNNING, SNAPSHOT_ENDED)) {
        snapshot_ring_clear(writer); /* given up: the producer puts nothing until IDLE */
        atomic_store_explicit(&writer->phase, SNAPSHOT_IDLE, memory_order_release);
    }
}

void *
snapshot_thread_run(void *context)
{
    struct snapshot_writer *writer = context;

    pthread_setname_np(pthread_self(), "beava-snapshot");
    for (;;) {
        uint32_t bell = atomic_load(&writer->bell);
        enum snapshot_phase phase = snapshot_phase_of(writer);

        if (phase == SNAPSHOT_RUNNING || phase == SNAPSHOT_ABANDONED) {
            make_snapshot(writer);
            signal_event(writer);
        } else if (atomic_load(&writer->stopping)) {
            return NULL;
        } else {
            sleep_at(writer, bell, OS_WAIT_FOREVER);
        }
    }
}
