/* SPDX-License-Identifier: Apache-2.0 */
/* The write-ahead log, the writer's half: groups to disk, one at a time.
 *
 * Enters:  closed groups in the ring.
 * Leaves:  bytes in segments; the written and the durable LSN, each announced after the fact.
 * Owner:   the thread "beava-wal". The producer's half is wal.c.
 *
 * Invariants
 *   (1) The durable LSN is published only after the sync that covers it has returned success.
 *   (2) Each group's mark names the durable LSN before it; when the writer falls idle a mark of its
 *       own follows, so that a torn tail can be told from damage to what was acknowledged.
 *   (3) A segment is synced before the next one is created: a segment's first LSN is a mark too.
 *
 *   (4) After a failed write, short write or failed sync nothing is written to that segment and
 *       the durable LSN stands, until a snapshot has made what is in memory durable (resume.c).
 *   (5) A published LSN lies below a synced byte of this segment, or below its first LSN.
 *
 *   IDLE --handed--> WRITING --ok--> IDLE
 *                       \--failed write, short write, failed sync--> FAILED --wal_resume--> IDLE
 *
 * A failed fsync is not tried again: the kernel may have dropped the pages already, so a second
 * success proves nothing. */
#include <inttypes.h>
#include <string.h>

#include "durability/wal_internal.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

/* Space is prepared in proportion to what the segment holds already, so that a small log stays
 * small: 64 KiB at first, 4 MiB ahead under load. A slice costs the groups behind it its own write
 * and a larger commit: 148 us per 53 KB group with slices of 512 KiB, 190 with 128 KiB, and single
 * stops of 1.5 ms with 4 MiB; the bare disk takes 94. */
#define PREPARE_MIN   (64ull * 1024)
#define PREPARE_MAX   (4ull * 1024 * 1024)
#define PREPARE_SLICE (512ull * 1024)

void
wal_announce(struct wal *wal)
{
    atomic_store(&wal->progress, atomic_load_explicit(&wal->progress, memory_order_relaxed) + 1);
    if (atomic_load(&wal->is_waiting)) {
        os_wake(&wal->progress);
    }
    if (!atomic_load(&wal->uses_arm) || atomic_exchange(&wal->is_armed, false)) {
        os_event_signal(wal->event_fd);
    }
}

void
wal_publish_durable(struct wal *wal, uint64_t lsn)
{
    BV_ASSERT(!wal_failed(wal));
    BV_ASSERT(lsn <= atomic_load_explicit(&wal->written_lsn, memory_order_relaxed));
    BV_ASSERT(lsn >= atomic_load_explicit(&wal->durable_lsn, memory_order_relaxed));
    atomic_store(&wal->durable_lsn, lsn);
}

/* Everything written so far becomes durable, before this returns. */
static enum bv_status
sync_now(struct wal *wal, struct bv_error *err)
{
    enum bv_status status = wal_sync_take(wal, true, err);

    if (status != BV_OK || wal->unsynced_bytes == 0) {
        return status;
    }
    uint64_t from_ns = clock_monotonic_ns();
    status = segment_sync(&wal->segment, err);
    if (status != BV_OK) {
        return status;
    }
    CRASH_POINT("wal.after_sync");
    histogram_add(&wal->sync_times, clock_monotonic_ns() - from_ns);
    wal_count(&wal->syncs, 1);
    wal->unsynced_bytes = 0;
    wal_publish_durable(wal, wal->last_lsn);
    return BV_OK;
}

enum bv_status
wal_segment_next(struct wal *wal, uint64_t first_lsn, struct bv_error *err)
{
    struct segment_header header = {
        .segment_number = wal->segment_number + 1,
        .first_lsn = first_lsn,
        .salt = os_random(),
        .created_ms = clock_wall_ms(),
        .registry_version = wal->last_registry_version,
    };
    uint64_t spare = wal_spare_take(wal);
    bool is_recycled = false;

    wal_space_closed(wal);
    segment_close(&wal->segment);
    if (spare != 0) {
        header.flags = SEGMENT_FLAG_RECYCLED;
        is_recycled = segment_recycle(&wal->segment, wal->os, wal->directory, spare, &header,
                                      wal->want_direct, NULL) == BV_OK;
    }
    if (!is_recycled) {
        /* No spare, or one that was removed or cannot be written: a new file decides. */
        header.flags = 0;
        enum bv_status status =
            segment_create(&wal->segment, wal->os, wal->directory, &header, wal->want_direct, err);
        if (status != BV_OK) {
            return status;
        }
    }
    wal->segment_number = header.segment_number;
    wal->marked_lsn = first_lsn - 1;
    wal->is_disk_full = false;
    wal_count(&wal->segments, 1);
    return BV_OK;
}

static enum bv_status
rotate(struct wal *wal, uint64_t first_lsn, struct bv_error *err)
{
    enum bv_status status = sync_now(wal, err);
    if (status != BV_OK) {
        return status;
    }
    /* The zeros behind the last group are of no use to anybody now. */
    status = os_truncate(wal->os, wal->segment.fd, wal->segment.path, wal->segment.position, err);
    if (status != BV_OK) {
        return status;
    }
    return wal_segment_next(wal, first_lsn, err);
}

/* A new segment when this group would not fit; a group larger than a segment gets one alone. */
static enum bv_status
rotate_if_full(struct wal *wal, uint64_t size, uint64_t first_lsn, struct bv_error *err)
{
    return wal->segment.position + size <= wal->segment_bytes ||
                   wal->segment.position == SEGMENT_PAGE_SIZE
               ? BV_OK
               : rotate(wal, first_lsn, err);
}

/* Writes whole pages that begin with a mark; `page` is where the mark goes. */
static enum bv_status
write_marked(struct wal *wal, uint8_t *page, const struct record_header *header,
             const struct iovec *parts, int part_count, uint64_t size, bool sync,
             struct bv_error *err)
{
    enum bv_status status = rotate_if_full(wal, size, header->first_lsn, err);

    if (status != BV_OK) {
        return status;
    }
    struct record_mark mark = {
        .header = *header,
        .segment_number = wal->segment.number,
        .salt = wal->segment.salt,
        .durable_lsn = atomic_load_explicit(&wal->durable_lsn, memory_order_relaxed),
    };
    record_mark_encode(page, &mark);
    uint64_t from_ns = clock_monotonic_ns();
    CRASH_POINT("wal.before_write");
    status = segment_write(&wal->segment, parts, part_count, size, sync, err);
    if (status != BV_OK) {
        return status;
    }
    if (sync) {
        CRASH_POINT("wal.after_sync");
    } else {
        CRASH_POINT("wal.after_write");
    }
    wal->marked_lsn = mark.durable_lsn;
    wal->last_group_ns = clock_monotonic_ns();
    wal_count(&wal->bytes, size);
    if (sync) {
        histogram_add(&wal->sync_times, wal->last_group_ns - from_ns);
        wal_count(&wal->syncs, 1);
    }
    return BV_OK;
}

/* Nothing that was written waits for a sync. */
static bool
is_synced(const struct wal *wal)
{
    return wal->unsynced_bytes == 0 && !wal_sync_is_under_way(wal);
}

/* A group of one page with nothing but its mark. */
static enum bv_status
write_mark(struct wal *wal, uint16_t flags, struct bv_error *err)
{
    struct record_header header = {
        .first_lsn = wal->last_lsn + 1,
        .time_ms = wal->last_time_ms,
        .flags = flags,
        .registry_version = wal->last_registry_version,
    };
    struct iovec part = {wal->mark_page, SEGMENT_PAGE_SIZE};

    BV_ASSERT(is_synced(wal));
    memset(wal->mark_page, 0, SEGMENT_PAGE_SIZE);
    enum bv_status status =
        write_marked(wal, wal->mark_page, &header, &part, 1, SEGMENT_PAGE_SIZE, true, err);
    if (status == BV_OK) {
        wal_count(&wal->marks, 1);
    }
    return status;
}

static enum bv_status
write_group(struct wal *wal, struct bv_error *err)
{
    const struct wal_group *group = &wal->group;
    uint64_t size = group->to - group->from;
    size_t at = (size_t)(group->from & (wal->ring_size - 1));
    size_t before_end = (size_t)wal->ring_size - at;
    struct iovec parts[2] = {{wal->ring + at, (size_t)size}, {wal->ring, 0}};
    int part_count = 1;

    BV_ASSERT(group->first_lsn == wal->last_lsn + 1);
    BV_ASSERT(group->last_lsn >= group->first_lsn);
    if (size > before_end) {
        parts[0].iov_len = before_end;
        parts[1].iov_len = (size_t)size - before_end;
        part_count = 2;
    }
    struct record_header header = {
        .first_lsn = group->first_lsn,
        .time_ms = group->first_time_ms,
        .registry_version = group->first_registry_version,
    };
    enum bv_status status =
        write_marked(wal, wal->ring + at, &header, parts, part_count, size, wal->is_always, err);
    if (status != BV_OK) {
        return status;
    }
    wal->last_lsn = group->last_lsn;
    wal->last_time_ms = group->last_time_ms;
    wal->last_registry_version = group->last_registry_version;
    wal_count(&wal->groups, 1);
    if (!wal->is_always) {
        if (wal->unsynced_bytes == 0) {
            wal->unsynced_since_ns = wal->last_group_ns;
        }
        wal->unsynced_bytes += size;
    }
    return BV_OK;
}

static void
take_group(struct wal *wal, uint64_t to)
{
    struct bv_error failure = {0};
    bool was_failed = wal_failed(wal);
    enum bv_status status = was_failed ? BV_OK : write_group(wal, &failure);

    /* First the ring's space, so that a producer woken by the LSN finds the writer idle. */
    atomic_store_explicit(&wal->freed, to, memory_order_release);
    if (was_failed) {
        return;
    }
    if (status != BV_OK) {
        wal_fail(wal, &failure);
        return;
    }
    atomic_store(&wal->written_lsn, wal->last_lsn);
    if (wal->is_always) {
        wal_publish_durable(wal, wal->last_lsn);
    }
    wal_announce(wal);
}

/* Half of what may be lost: the other half gathers while this one is synced. */
static bool
half_is_full(const struct wal *wal)
{
    return wal->sync_bytes != 0 && wal->unsynced_bytes >= wal->sync_bytes / 2;
}

static bool
sync_is_due(const struct wal *wal, uint64_t now_ns)
{
    if (wal->unsynced_bytes == 0) {
        return false;
    }
    return half_is_full(wal) || now_ns - wal->unsynced_since_ns >= wal->sync_interval_ns ||
           atomic_load_explicit(&wal->sync_wanted, memory_order_acquire) >
               atomic_load_explicit(&wal->durable_lsn, memory_order_relaxed);
}

/* Bytes that should lie prepared ahead of the position. */
static uint64_t
prepare_target(const struct wal *wal)
{
    uint64_t position = wal->segment.position;
    uint64_t target = position < PREPARE_MIN ? PREPARE_MIN : position;

    target = target < PREPARE_MAX ? target : PREPARE_MAX;
    if (position + target > wal->segment_bytes) {
        target = wal->segment_bytes > position ? wal->segment_bytes - position : 0;
    }
    return target - target % SEGMENT_PAGE_SIZE;
}

/* Zeros ahead when less than half of the target (idle) or a quarter (busy) is left. Nothing is
 * prepared before the first group: a boot does not pay for it. Under policy os nobody waits for a
 * sync, and zeros would only be written twice. */
static enum bv_status
prepare_if_low(struct wal *wal, bool is_idle, bool *has_worked, struct bv_error *err)
{
    uint64_t target = prepare_target(wal);
    uint64_t ahead = wal->segment.prepared > wal->segment.position
                         ? wal->segment.prepared - wal->segment.position
                         : 0;

    if (!wal->is_always || wal->is_disk_full || wal->segment.position == SEGMENT_PAGE_SIZE ||
        ahead >= target / (is_idle ? 2 : 4)) {
        return BV_OK;
    }
    *has_worked = true;
    return segment_prepare(&wal->segment, target, PREPARE_SLICE, &wal->is_disk_full, err);
}

/* Policy os: syncs are ordered in time and taken when done. */
static enum bv_status
keep_synced(struct wal *wal, uint64_t now_ns, uint64_t *deadline_ns, struct bv_error *err)
{
    enum bv_status status = wal_sync_take(wal, false, err);

    if (status != BV_OK || wal->unsynced_bytes == 0) {
        return status;
    }
    if (!sync_is_due(wal, now_ns)) {
        *deadline_ns = wal->unsynced_since_ns + wal->sync_interval_ns;
        return BV_OK;
    }
    if (wal_sync_is_under_way(wal)) {
        if (!half_is_full(wal)) {
            return BV_OK; /* the bell rings when it is done */
        }
        status = wal_sync_take(wal, true, err);
        if (status != BV_OK) {
            return status;
        }
    }
    wal_sync_order(wal);
    return BV_OK;
}

/* What falls due between groups. *deadline_ns: when to look again if nothing is handed over. */
static enum bv_status
do_duties(struct wal *wal, bool is_idle, uint64_t *deadline_ns, struct bv_error *err)
{
    uint64_t now_ns = clock_monotonic_ns();
    bool has_worked = false;

    *deadline_ns = OS_WAIT_FOREVER;
    enum bv_status status = keep_synced(wal, now_ns, deadline_ns, err);
    if (status != BV_OK) {
        return status;
    }
    status = prepare_if_low(wal, is_idle, &has_worked, err);
    wal_space_look(wal, now_ns, deadline_ns);
    if (status != BV_OK || !is_idle) {
        return status;
    }
    if (has_worked) {
        *deadline_ns = 0; /* look for a group first, then go on */
        return BV_OK;
    }
    /* Only closed segments are ever retired: without room there must be nothing in this one. */
    bool wants_new =
        wal_pressure(wal) == WAL_PRESSURE_REFUSES && wal->segment.position != SEGMENT_PAGE_SIZE;
    if (wants_new || (is_synced(wal) && wal->marked_lsn < wal->last_lsn)) {
        uint64_t due_ns = wal->last_group_ns + wal->mark_delay_ns;
        if (now_ns >= due_ns) {
            return wants_new ? rotate(wal, wal->last_lsn + 1, err) : write_mark(wal, 0, err);
        }
        *deadline_ns = due_ns < *deadline_ns ? due_ns : *deadline_ns;
    }
    return BV_OK;
}

/* The last write of a clean stop. */
static void
finish(struct wal *wal)
{
    struct bv_error failure = {0};

    if (wal_failed(wal)) {
        return;
    }
    enum bv_status status = sync_now(wal, &failure);
    if (status == BV_OK) {
        status = write_mark(wal, RECORD_FLAG_CLEAN_STOP, &failure);
    }
    if (status == BV_OK) {
        status = os_truncate(wal->os, wal->segment.fd, wal->segment.path, wal->segment.position,
                             &failure);
    }
    if (status == BV_OK) {
        status = segment_sync(&wal->segment, &failure);
    }
    if (status != BV_OK) {
        wal_fail(wal, &failure);
    }
}

/* Sleeps until the bell has rung since `bell` was read, or the deadline has come. */
static void
sleep_until(struct wal *wal, uint32_t bell, uint64_t deadline_ns)
{
    uint64_t now_ns = deadline_ns == OS_WAIT_FOREVER ? 0 : clock_monotonic_ns();

    if (deadline_ns > now_ns) {
        os_wait(&wal->bell, bell,
                deadline_ns == OS_WAIT_FOREVER ? OS_WAIT_FOREVER : deadline_ns - now_ns);
    }
}

void *
wal_writer_run(void *argument)
{
    struct wal *wal = argument;

    pthread_setname_np(pthread_self(), "beava-wal");
    for (;;) {
        struct bv_error failure = {0};
        uint64_t deadline_ns = OS_WAIT_FOREVER;
        uint32_t bell = atomic_load_explicit(&wal->bell, memory_order_acquire);
        bool is_stopping = atomic_load_explicit(&wal->stopping, memory_order_acquire);
        /* Before `handed`: a group that was handed over before wal_resume is dropped with the rest.
         */
        bool is_resume_wanted = atomic_load(&wal->resume_wanted);
        uint64_t handed = atomic_load_explicit(&wal->handed, memory_order_acquire);
        bool is_idle = handed == atomic_load_explicit(&wal->freed, memory_order_relaxed);

        if (!is_idle) {
            take_group(wal, handed);
        } else if (is_stopping) {
            break;
        }
        if (wal_failed(wal)) {
            wal_stay_failed(wal, is_resume_wanted, &deadline_ns);
        } else if (do_duties(wal, is_idle, &deadline_ns, &failure) != BV_OK) {
            wal_fail(wal, &failure);
            deadline_ns = 0;
        }
        if (is_idle) {
            sleep_until(wal, bell, deadline_ns);
        }
    }
    finish(wal);
    return NULL;
}
