/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot writer, the producer's half: chunks into a ring, results out.
 *
 * Enters:  chunks from the apply thread, a slice per tick.
 * Leaves:  entries in the ring for the thread "beava-snapshot" (snapshot_thread.c).
 * Owner:   the apply thread; who owns what in which phase stands in snapshot_internal.h.
 *
 * Invariants
 *   (1) No call here but create and destroy waits, takes a lock or touches a file. A put is one
 *       copy and a few stores; it wakes the thread only when that sleeps.
 *   (2) A body lies in the ring, or, if it could never fit, in memory of its own, one at a time.
 *   (3) The ring is memory only where it was written: a process that never snapshots pays nothing,
 *       and each snapshot begins at the ring's start again. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "durability/snapshot_format.h"
#include "durability/snapshot_internal.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"

#define RING_BYTES_DEFAULT (16ull * 1024 * 1024)
#define RING_BYTES_MIN     4096ull
#define RETAIN_DEFAULT     2u

static void
ring_the_bell(struct snapshot_writer *writer)
{
    (void)atomic_fetch_add(&writer->bell, 1);
    if (atomic_load(&writer->is_asleep)) {
        os_wake(&writer->bell);
    }
}

/* ---- one snapshot ---- */

bool
snapshot_begin(struct snapshot_writer *writer, const struct snapshot_start *start)
{
    if (snapshot_phase_of(writer) != SNAPSHOT_IDLE) {
        return false;
    }
    /* The ring is empty and ours: from its start again, so that small states touch little of it. */
    BV_ASSERT(atomic_load(&writer->head) == atomic_load(&writer->freed));
    atomic_store(&writer->head, 0);
    atomic_store(&writer->freed, 0);
    atomic_store(&writer->room_wanted, 0);
    atomic_store(&writer->is_finished, false);
    writer->freed_seen = 0;
    writer->start = *start;
    writer->began_ns = clock_monotonic_ns();
    atomic_store_explicit(&writer->phase, SNAPSHOT_RUNNING, memory_order_release);
    ring_the_bell(writer);
    return true;
}

static bool
ring_has(struct snapshot_writer *writer, uint64_t head, uint64_t step)
{
    if (head + step - writer->freed_seen <= writer->ring_size) {
        return true;
    }
    writer->freed_seen = atomic_load(&writer->freed);
    return head + step - writer->freed_seen <= writer->ring_size;
}

/* Room for a step; when there is none the thread is asked to signal once there is. */
static bool
reserve(struct snapshot_writer *writer, uint64_t head, uint64_t step, bool is_large)
{
    if (ring_has(writer, head, step) && !(is_large && atomic_load(&writer->has_large))) {
        return true;
    }
    /* Ask, then look again: the thread frees, then looks whether somebody asks. */
    atomic_store(&writer->room_wanted, is_large ? writer->ring_size : step);
    if (ring_has(writer, head, step) && !(is_large && atomic_load(&writer->has_large))) {
        atomic_store(&writer->room_wanted, 0);
        return true;
    }
    return false;
}

static void
ring_write(struct snapshot_writer *writer, uint64_t position, struct slice data)
{
    size_t at = (size_t)(position & (writer->ring_size - 1));
    size_t before_end = (size_t)writer->ring_size - at;
    size_t first = data.size < before_end ? data.size : before_end;

    if (data.size == 0) {
        return;
    }
    memcpy(writer->ring + at, data.data, first);
    memcpy(writer->ring, data.data + first, data.size - first);
}

bool
snapshot_put(struct snapshot_writer *writer, enum snapshot_chunk_type type, uint64_t image_lsn,
             struct slice body)
{
    struct snapshot_entry entry = {.image_lsn = image_lsn, .size = body.size, .type = type};
    uint64_t head = atomic_load_explicit(&writer->head, memory_order_relaxed);
    uint64_t step = snapshot_entry_step(body.size);
    bool is_large = step > writer->ring_size;

    if (snapshot_phase_of(writer) != SNAPSHOT_RUNNING) {
        return false;
    }
    step = is_large ? snapshot_entry_step(0) : step;
    if (!reserve(writer, head, step, is_large)) {
        return false;
    }
    if (is_large) {
        entry.large = malloc(body.size);
        if (entry.large == NULL) {
            return false;
        }
        memcpy(entry.large, body.data, body.size);
        atomic_store(&writer->has_large, true);
    } else {
        ring_write(writer, head + SNAPSHOT_ENTRY_SIZE, body);
    }
    memcpy(writer->ring + (head & (writer->ring_size - 1)), &entry, sizeof entry);
    atomic_store_explicit(&writer->head, head + step, memory_order_release);
    ring_the_bell(writer);
    return true;
}

void
snapshot_finish(struct snapshot_writer *writer, const struct snapshot_totals *totals)
{
    if (snapshot_phase_of(writer) != SNAPSHOT_RUNNING || atomic_load(&writer->is_finished)) {
        return;
    }
    writer->totals = *totals;
    atomic_store_explicit(&writer->is_finished, true, memory_order_release);
    ring_the_bell(writer);
}

void
snapshot_abandon(struct snapshot_writer *writer)
{
    if (snapshot_phase_move(writer, SNAPSHOT_RUNNING, SNAPSHOT_ABANDONED)) {
        ring_the_bell(writer);
    }
}

bool
snapshot_is_busy(const struct snapshot_writer *writer)
{
    return snapshot_phase_of(writer) != SNAPSHOT_IDLE;
}

bool
snapshot_take_result(struct snapshot_writer *writer, struct snapshot_result *out)
{
    if (snapshot_phase_of(writer) != SNAPSHOT_ENDED) {
        return false;
    }
    *out = writer->result;
    snapshot_ring_clear(writer);
    atomic_store_explicit(&writer->phase, SNAPSHOT_IDLE, memory_order_release);
    return true;
}

void
snapshot_ring_clear(struct snapshot_writer *writer)
{
    uint64_t head = atomic_load_explicit(&writer->head, memory_order_acquire);
    uint64_t at = atomic_load(&writer->freed);

    while (at < head) {
        struct snapshot_entry entry;

        memcpy(&entry, writer->ring + (at & (writer->ring_size - 1)), sizeof entry);
        free(entry.large);
        at += snapshot_entry_step(entry.large == NULL ? entry.size : 0);
    }
    atomic_store(&writer->has_large, false);
    atomic_store(&writer->freed, head);
}

/* ---- life ---- */

/* What a process that died left behind. */
static enum bv_status
remove_leftover(const struct snapshot_writer *writer, struct bv_error *err)
{
    struct os_names names = {0};
    enum bv_status status = os_list(&names, writer->os, writer->directory, err);

    for (size_t i = 0; i < names.count && status == BV_OK; i++) {
        if (strcmp(names.names[i], SNAPSHOT_TEMPORARY_NAME) == 0) {
            status = os_unlink(writer->os, writer->directory, SNAPSHOT_TEMPORARY_NAME, err);
        }
    }
    os_names_deinit(&names);
    return status;
}

static enum bv_status
map_ring(struct snapshot_writer *writer, struct bv_error *err)
{
    uint64_t wanted = writer->options.ring_bytes;

    wanted = wanted == 0 ? RING_BYTES_DEFAULT : wanted;
    writer->ring_size = RING_BYTES_MIN;
    while (writer->ring_size < wanted) {
        writer->ring_size *= 2;
    }
    void *ring = mmap(NULL, (size_t)writer->ring_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring == MAP_FAILED) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a snapshot ring of %" PRIu64 " bytes",
                            writer->ring_size);
    }
    writer->ring = ring;
    return BV_OK;
}

/* The thread takes no signals: they are the main thread's. */
static enum bv_status
start_thread(struct snapshot_writer *writer, struct bv_error *err)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&writer->thread, NULL, snapshot_thread_run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        return bv_error_set(err, BV_IO, "cannot start the snapshot writer's thread: error %d",
                            failure);
    }
    return BV_OK;
}

static void
free_writer(struct snapshot_writer *writer)
{
    if (writer->ring != NULL) {
        munmap(writer->ring, (size_t)writer->ring_size);
    }
    free(writer);
}

enum bv_status
snapshot_writer_create(struct snapshot_writer **out, const struct snapshot_options *options,
                       struct bv_error *err)
{
    struct snapshot_writer *writer = aligned_alloc(64, (sizeof *writer + 63) & ~(size_t)63);

    BV_ASSERT(options->directory->snapshot_path[0] != '\0');
    if (writer == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the snapshot writer");
    }
    memset(writer, 0, sizeof *writer);
    writer->options = *options;
    writer->options.retain = options->retain == 0 ? RETAIN_DEFAULT : options->retain;
    writer->os = options->directory->os;
    writer->directory = options->directory->snapshot_path;
    enum bv_status status = remove_leftover(writer, err);
    if (status == BV_OK) {
        status = map_ring(writer, err);
    }
    if (status == BV_OK) {
        status = start_thread(writer, err);
    }
    if (status != BV_OK) {
        free_writer(writer);
        return status;
    }
    *out = writer;
    return BV_OK;
}

void
snapshot_writer_destroy(struct snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    snapshot_abandon(writer);
    atomic_store(&writer->stopping, true);
    ring_the_bell(writer);
    pthread_join(writer->thread, NULL);
    snapshot_ring_clear(writer);
    free_writer(writer);
}
