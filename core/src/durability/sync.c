/* SPDX-License-Identifier: Apache-2.0 */
/* Policy os: the sync runs beside the writes, on a thread of its own.
 *
 * Enters:  an order: sync the open segment, which holds everything up to an LSN.
 * Leaves:  done, or an error; the writer takes it and moves the durable LSN.
 * Owner:   the thread "beava-walsync" from ORDERED to DONE, the writer's the rest of the time.
 *
 * Invariants
 *   (1) The LSN of an order was written before the sync began; groups written meanwhile wait for
 *       the next order, even if this sync happens to cover them.
 *   (2) One order at a time, given when half of wal_fsync_bytes has been written. The writer waits
 *       when the other half is full and the order still under way: so no more than wal_fsync_bytes,
 *       and the last group, is ever at stake.
 *   (3) The descriptor stays open until the order is done: rotation, resuming and closing wait.
 *
 *   IDLE --order--> ORDERED --sync--> DONE --take--> IDLE
 *
 * Under policy always there is no such thread: nothing could be acked meanwhile. Lost, in groups of
 * 53 KB per second on one disk (6500 to 12000 this way): syncing on the writer's thread, so that
 * acks wait out syncs they do not need (3000 to 6300); direct writes and seldom a sync (4000 to
 * 6800, and 48 us for a lone group instead of 10). */
#include "durability/wal_internal.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/crash_point.h"

static uint32_t
state_of(const struct wal_sync *sync)
{
    return atomic_load_explicit(&sync->state, memory_order_acquire);
}

static void
carry_out(struct wal *wal)
{
    struct wal_sync *sync = &wal->sync;
    uint64_t from_ns = clock_monotonic_ns();

    sync->status = segment_sync(&sync->segment, &sync->failure);
    CRASH_POINT("wal.after_sync");
    sync->took_ns = clock_monotonic_ns() - from_ns;
    atomic_store_explicit(&sync->state, WAL_SYNC_DONE, memory_order_release);
    os_wake(&sync->state);
    wal_ring_the_bell(wal);
}

static void *
run(void *argument)
{
    struct wal *wal = argument;
    struct wal_sync *sync = &wal->sync;

    pthread_setname_np(pthread_self(), "beava-walsync");
    for (;;) {
        uint32_t bell = atomic_load_explicit(&sync->bell, memory_order_acquire);

        if (state_of(sync) == WAL_SYNC_ORDERED) {
            carry_out(wal);
        } else if (atomic_load_explicit(&sync->stopping, memory_order_acquire)) {
            return NULL;
        } else {
            os_wait(&sync->bell, bell, OS_WAIT_FOREVER);
        }
    }
}

static void
ring(struct wal_sync *sync)
{
    atomic_fetch_add_explicit(&sync->bell, 1, memory_order_release);
    os_wake(&sync->bell);
}

enum bv_status
wal_sync_open(struct wal *wal, struct bv_error *err)
{
    if (wal->is_always) {
        return BV_OK;
    }
    enum bv_status status = wal_start_thread(&wal->sync.thread, run, wal, err);
    wal->sync.has_thread = status == BV_OK;
    return status;
}

void
wal_sync_close(struct wal *wal)
{
    struct wal_sync *sync = &wal->sync;

    if (sync->has_thread) {
        atomic_store_explicit(&sync->stopping, true, memory_order_release);
        ring(sync);
        pthread_join(sync->thread, NULL);
        sync->has_thread = false;
    }
}

bool
wal_sync_is_under_way(const struct wal *wal)
{
    return state_of(&wal->sync) != WAL_SYNC_IDLE;
}

void
wal_sync_order(struct wal *wal)
{
    struct wal_sync *sync = &wal->sync;

    BV_ASSERT(state_of(sync) == WAL_SYNC_IDLE);
    sync->segment = wal->segment; /* the writer's own goes on moving */
    sync->lsn = wal->last_lsn;
    wal->unsynced_bytes = 0;
    atomic_store_explicit(&sync->state, WAL_SYNC_ORDERED, memory_order_release);
    ring(sync);
}

static void
wait_done(struct wal_sync *sync)
{
    while (state_of(sync) == WAL_SYNC_ORDERED) {
        os_wait(&sync->state, WAL_SYNC_ORDERED, OS_WAIT_FOREVER);
    }
}

enum bv_status
wal_sync_take(struct wal *wal, bool waits, struct bv_error *err)
{
    struct wal_sync *sync = &wal->sync;

    if (waits) {
        wait_done(sync);
    }
    if (state_of(sync) != WAL_SYNC_DONE) {
        return BV_OK;
    }
    enum bv_status status = sync->status;
    if (status == BV_OK) {
        histogram_add(&wal->sync_times, sync->took_ns);
        wal_count(&wal->syncs, 1);
        wal_publish_durable(wal, sync->lsn);
        wal_announce(wal);
    } else {
        *err = sync->failure;
    }
    atomic_store_explicit(&sync->state, WAL_SYNC_IDLE, memory_order_relaxed);
    return status;
}

void
wal_sync_drop(struct wal *wal)
{
    wait_done(&wal->sync);
    atomic_store_explicit(&wal->sync.state, WAL_SYNC_IDLE, memory_order_relaxed);
}
