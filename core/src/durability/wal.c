/* SPDX-License-Identifier: Apache-2.0 */
/* The write-ahead log, the producer's half: records into the ring, groups to the writer.
 *
 * Enters:  records, in apply order.
 * Leaves:  closed groups for the writer; the LSNs it has reached, for whoever holds back acks.
 * Owner:   the apply thread. The writer's half is wal_writer.c.
 *
 * Invariants
 *   (1) LSNs are dense: each record's first is its predecessor's last plus one.
 *   (2) Ring bytes in [freed, handed) are the writer's, all others the producer's.
 *   (3) One group is in flight: the writer is idle exactly when freed == handed.
 *   (4) A group lies in the ring as it will lie in the file: a place for its mark on a page
 *       boundary, records, zeros to the next page boundary. So the writer copies nothing.
 *   (5) No call here touches a file, waits (but wal_wait and wal_close), or takes a lock.
 *
 *   gathering --publish, writer idle--> handed --written (and synced)--> freed
 *             --publish, writer busy--> gathering (the load sets the group's size)
 *             --the log has failed----> dropped   (until wal_resume: then it gathers again)
 *
 * Lost: letting the writer choose where a group ends. It could start without waiting for a tick,
 * but would have to copy each group to a page boundary, and measured no better (engine.md 7). */
#include "durability/wal.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "durability/wal_internal.h"
#include "os/wait.h"
#include "util/assert.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/crc.h"

/* The mark, the padding of this group's end and that of the record. */
#define GROUP_OVERHEAD (RECORD_MARK_SIZE + SEGMENT_PAGE_SIZE + RECORD_HEADER_SIZE_MAX)

/* Copies into the ring at a position, around its end where need be. */
static void
ring_write(struct wal *wal, uint64_t position, const void *data, size_t size)
{
    size_t at = (size_t)(position & (wal->ring_size - 1));
    size_t before_end = (size_t)wal->ring_size - at;

    if (BV_LIKELY(size <= before_end)) {
        memcpy(wal->ring + at, data, size);
        return;
    }
    memcpy(wal->ring + at, data, before_end);
    memcpy(wal->ring, (const uint8_t *)data + before_end, size - before_end);
}

static uint32_t
ring_crc(const struct wal *wal, uint32_t crc, uint64_t position, size_t size)
{
    size_t at = (size_t)(position & (wal->ring_size - 1));
    size_t before_end = (size_t)wal->ring_size - at;

    if (BV_LIKELY(size <= before_end)) {
        return crc32c(crc, wal->ring + at, size);
    }
    crc = crc32c(crc, wal->ring + at, before_end);
    return crc32c(crc, wal->ring, size - before_end);
}

/* Bytes up to `to` are ours to write; asked of the writer's counter only when the last answer does
 * not do, because that line lives in the other thread's cache. */
static bool
ring_reaches(struct wal *wal, uint64_t to)
{
    if (to - wal->freed_seen <= wal->ring_size) {
        return true;
    }
    wal->freed_seen = atomic_load_explicit(&wal->freed, memory_order_acquire);
    return to - wal->freed_seen <= wal->ring_size;
}

/* What gathers goes nowhere: the log has failed, and wal_resume has not been called since. From
 * that call on records are kept; they follow the snapshot in the new segment. (`failed` again at
 * the end: the writer clears it before it takes `resume_wanted` back.) */
static bool
is_given_up(const struct wal *wal)
{
    return BV_UNLIKELY(wal_failed(wal)) && !atomic_load(&wal->resume_wanted) && wal_failed(wal);
}

bool
wal_has_room(const struct wal *wal, size_t bytes)
{
    if (is_given_up(wal)) {
        return true;
    }
    uint64_t freed = atomic_load_explicit(&wal->freed, memory_order_acquire);
    uint64_t taken = wal->head - freed;

    return taken + GROUP_OVERHEAD <= wal->ring_size &&
           bytes <= wal->ring_size - taken - GROUP_OVERHEAD;
}

size_t
wal_body_size_max(const struct wal *wal)
{
    return (size_t)wal->ring_size - GROUP_OVERHEAD - wal_record_size(0);
}

/* After a failure what has gathered goes nowhere; its place is used again. */
static void
drop_gathered(struct wal *wal)
{
    wal->head = wal->gathering.from;
    wal->ended = wal->head;
    wal->is_group_open = false;
}

void
wal_record_begin(struct wal *wal, const struct record_header *header)
{
    BV_ASSERT(!wal->is_record_open);
    BV_ASSERT(header->first_lsn == wal->next_lsn);
    if (BV_UNLIKELY(is_given_up(wal)) && wal->is_group_open) {
        drop_gathered(wal); /* so that the ring never fills */
    }
    if (!wal->is_group_open) {
        BV_DEBUG_ASSERT(wal->head % SEGMENT_PAGE_SIZE == 0);
        wal->is_group_open = true;
        wal->group_records = 0;
        wal->gathering = (struct wal_group){.from = wal->head,
                                            .first_lsn = header->first_lsn,
                                            .first_time_ms = header->time_ms,
                                            .first_registry_version = header->registry_version};
        wal->head += RECORD_MARK_SIZE;
        wal->ended = wal->head;
    }
    wal->is_record_open = true;
    wal->record = *header;
    wal->record_start = wal->head;
    wal->head += record_header_size(header->flags);
    BV_ASSERT(ring_reaches(wal, wal->head));
}

void
wal_record_append(struct wal *wal, const void *data, size_t size)
{
    BV_DEBUG_ASSERT(wal->is_record_open);
    BV_ASSERT(ring_reaches(wal, wal->head + size));
    ring_write(wal, wal->head, data, size);
    wal->head += size;
}

void
wal_record_flag(struct wal *wal, uint16_t flags)
{
    BV_DEBUG_ASSERT(wal->is_record_open);
    wal->record.flags |= flags;
}

void
wal_record_end(struct wal *wal, uint32_t count)
{
    static const uint8_t zeros[RECORD_ALIGN];
    uint8_t encoded[RECORD_HEADER_SIZE_MAX];
    struct record_header *header = &wal->record;

    BV_ASSERT(wal->is_record_open);
    BV_ASSERT(count > 0);
    header->length = (uint32_t)(wal->head - wal->record_start);
    header->count = count;
    size_t header_size = record_header_encode(encoded, header);
    uint32_t crc = crc32c(0, encoded + 8, header_size - 8);
    crc = ring_crc(wal, crc, wal->record_start + header_size, header->length - header_size);
    store_le32(encoded + 4, crc);
    ring_write(wal, wal->record_start, encoded, header_size);
    size_t padding = record_padded_size(header->length) - header->length;
    ring_write(wal, wal->head, zeros, padding);
    wal->head += padding;
    BV_ASSERT(ring_reaches(wal, wal->head));
    wal->ended = wal->head;
    wal->next_lsn += count;
    wal->group_records++;
    wal->gathering.last_lsn = wal->next_lsn - 1;
    wal->gathering.last_time_ms = header->time_ms;
    wal->gathering.last_registry_version = header->registry_version;
    wal->is_record_open = false;
}

void
wal_record_cancel(struct wal *wal)
{
    BV_ASSERT(wal->is_record_open);
    wal->head = wal->record_start;
    wal->is_record_open = false;
}

static bool
writer_is_idle(const struct wal *wal)
{
    return atomic_load_explicit(&wal->freed, memory_order_acquire) ==
           atomic_load_explicit(&wal->handed, memory_order_relaxed);
}

void
wal_ring_the_bell(struct wal *wal)
{
    atomic_fetch_add_explicit(&wal->bell, 1, memory_order_release);
    os_wake(&wal->bell);
}

/* Pads the open group to whole pages and gives it to the (idle) writer. */
static void
hand_over(struct wal *wal)
{
    static const uint8_t zeros[SEGMENT_PAGE_SIZE];
    uint64_t to = (wal->ended + SEGMENT_PAGE_SIZE - 1) & ~(uint64_t)(SEGMENT_PAGE_SIZE - 1);

    BV_ASSERT(ring_reaches(wal, to));
    ring_write(wal, wal->ended, zeros, (size_t)(to - wal->ended));
    wal->gathering.to = to;
    wal->group = wal->gathering;
    wal->head = to;
    wal->ended = to;
    wal->is_group_open = false;
    atomic_store_explicit(&wal->handed, to, memory_order_release);
    wal_ring_the_bell(wal);
}

void
wal_publish(struct wal *wal)
{
    BV_DEBUG_ASSERT(!wal->is_record_open);
    if (!wal->is_group_open || wal->group_records == 0) {
        return;
    }
    if (BV_UNLIKELY(wal_failed(wal))) {
        if (is_given_up(wal)) {
            drop_gathered(wal);
        }
        return;
    }
    if (writer_is_idle(wal)) {
        hand_over(wal);
    }
}

uint64_t
wal_durable_lsn(const struct wal *wal)
{
    return atomic_load_explicit(&wal->durable_lsn, memory_order_acquire);
}

uint64_t
wal_acked_lsn(const struct wal *wal)
{
    return wal->is_always ? wal_durable_lsn(wal)
                          : atomic_load_explicit(&wal->written_lsn, memory_order_acquire);
}

bool
wal_failed(const struct wal *wal)
{
    return atomic_load_explicit(&wal->failed, memory_order_acquire);
}

const struct bv_error *
wal_failure(const struct wal *wal)
{
    return atomic_load_explicit(&wal->failure, memory_order_acquire);
}

void
wal_counts_get(const struct wal *wal, struct wal_counts *out)
{
    out->groups = atomic_load_explicit(&wal->groups, memory_order_relaxed);
    out->bytes = atomic_load_explicit(&wal->bytes, memory_order_relaxed);
    out->syncs = atomic_load_explicit(&wal->syncs, memory_order_relaxed);
    out->marks = atomic_load_explicit(&wal->marks, memory_order_relaxed);
    out->segments = atomic_load_explicit(&wal->segments, memory_order_relaxed);
    out->errors = atomic_load_explicit(&wal->errors, memory_order_relaxed);
    out->resumes = atomic_load_explicit(&wal->resumes, memory_order_relaxed);
}

const struct histogram *
wal_sync_times(const struct wal *wal)
{
    return &wal->sync_times;
}

enum wal_pressure
wal_pressure(const struct wal *wal)
{
    return (enum wal_pressure)atomic_load_explicit(&wal->pressure, memory_order_relaxed);
}

uint64_t
wal_bytes_on_disk(const struct wal *wal)
{
    uint64_t closed = atomic_load_explicit(&wal->closed_bytes, memory_order_relaxed);

    /* A size that could not be asked for may leave the sum a little below zero. */
    return (closed > INT64_MAX ? 0 : closed) +
           atomic_load_explicit(&wal->open_bytes, memory_order_relaxed);
}

bool
wal_can_resume(const struct wal *wal)
{
    /* In this order: the writer takes `can_resume` back before it takes the wish back. */
    return !atomic_load(&wal->resume_wanted) && atomic_load(&wal->can_resume);
}

void
wal_resume(struct wal *wal, uint64_t next_lsn, uint64_t time_ms, uint32_t registry_version)
{
    BV_ASSERT(!wal->is_record_open);
    BV_ASSERT(next_lsn == wal->next_lsn);
    if (atomic_load(&wal->resume_wanted)) {
        return; /* the writer is at it */
    }
    BV_ASSERT(wal_failed(wal));
    if (wal->is_group_open) {
        drop_gathered(wal); /* the snapshot holds it */
    }
    wal->resume_lsn = next_lsn;
    wal->resume_time_ms = time_ms;
    wal->resume_registry_version = registry_version;
    atomic_store(&wal->resume_wanted, true);
    wal_ring_the_bell(wal);
}

int
wal_event_fd(const struct wal *wal)
{
    return wal->event_fd;
}

void
wal_event_wait(struct wal *wal, int timeout_ms)
{
    struct pollfd event = {.fd = wal->event_fd, .events = POLLIN};

    wal_publish(wal);
    poll(&event, 1, timeout_ms);
    os_event_drain(event.fd);
}

bool
wal_event_arm(struct wal *wal, uint64_t acked_lsn_seen)
{
    /* Arm, then look: the writer moves the LSN, then looks at the arm. One of the two sees the
     * other (all four sequentially consistent). */
    atomic_store(&wal->uses_arm, true);
    atomic_store(&wal->is_armed, true);
    uint64_t acked =
        wal->is_always ? atomic_load(&wal->durable_lsn) : atomic_load(&wal->written_lsn);
    if (acked > acked_lsn_seen || atomic_load(&wal->failed)) {
        atomic_store(&wal->is_armed, false);
        return false;
    }
    return true;
}

void
wal_want_sync(struct wal *wal, uint64_t lsn)
{
    uint64_t wanted = atomic_load_explicit(&wal->sync_wanted, memory_order_relaxed);

    /* The producer and the snapshot writer both ask: the later of the two must stand. */
    while (!wal->is_always && lsn > wanted) {
        if (atomic_compare_exchange_weak(&wal->sync_wanted, &wanted, lsn)) {
            wal_ring_the_bell(wal);
            return;
        }
    }
}

enum bv_status
wal_wait(struct wal *wal, uint64_t lsn, bool synced, struct bv_error *err)
{
    enum bv_status status = BV_OK;

    BV_ASSERT(lsn < wal->next_lsn);
    if (synced) {
        wal_want_sync(wal, lsn);
    }
    atomic_store(&wal->is_waiting, true);
    for (;;) {
        uint32_t progress = atomic_load(&wal->progress);

        if ((synced ? wal_durable_lsn(wal) : wal_acked_lsn(wal)) >= lsn) {
            break;
        }
        if (wal_failed(wal)) {
            status = bv_error_set(err, BV_WAL_UNAVAILABLE, "%s", wal_failure(wal)->message);
            break;
        }
        wal_publish(wal);
        os_wait(&wal->progress, progress, OS_WAIT_FOREVER);
    }
    atomic_store(&wal->is_waiting, false);
    return status;
}

static uint64_t
power_of_two_from(uint64_t size)
{
    uint64_t power = WAL_RING_BYTES_MIN;

    while (power < size) {
        power *= 2;
    }
    return power;
}

static void
wal_configure(struct wal *wal, const struct wal_directory *directory,
              const struct wal_options *options, uint64_t next_lsn)
{
    uint64_t ring = options->ring_bytes == 0 ? WAL_RING_BYTES_DEFAULT : options->ring_bytes;

    wal->ring_size = power_of_two_from(ring < WAL_RING_BYTES_MAX ? ring : WAL_RING_BYTES_MAX);
    wal->os = directory->os;
    wal->directory = directory->path;
    wal->segment_bytes =
        options->segment_bytes == 0 ? WAL_SEGMENT_BYTES_DEFAULT : options->segment_bytes;
    if (options->wal_max_bytes != 0 && wal->segment_bytes > options->wal_max_bytes / 4) {
        /* The segment being written is never retired: it must not be all there may be. */
        wal->segment_bytes = options->wal_max_bytes / 4;
    }
    wal->sync_interval_ns = (uint64_t)options->sync_interval_ms * 1000000u;
    wal->sync_bytes = options->sync_bytes;
    wal->look_interval_ns =
        (uint64_t)(options->look_ms == 0 ? WAL_LOOK_MS_DEFAULT : options->look_ms) * 1000000u;
    wal->wal_max_bytes = options->wal_max_bytes;
    wal->min_free_bytes = options->min_free_bytes;
    wal->mark_delay_ns =
        (uint64_t)(options->tick_ms == 0 ? WAL_TICK_MS_DEFAULT : options->tick_ms) * 1000000u;
    wal->is_always = options->policy == BV_POLICY_ALWAYS;
    /* An ack that waits for the write but not for the disk is served best by the page cache: 14-20
     * us against 50-68 for one record, 60-81 against 132 for 53 KB. */
    wal->want_direct = wal->is_always && !options->avoid_direct;
    atomic_store(&wal->failure, &wal->failures[0]);
    wal->next_lsn = next_lsn;
    wal->segment_number = directory->next_number - 1;
    wal->last_lsn = next_lsn - 1;
    wal->last_time_ms = directory->last_time_ms;
    wal->last_registry_version = directory->last_registry_version;
    atomic_store(&wal->written_lsn, next_lsn - 1);
    atomic_store(&wal->durable_lsn, next_lsn - 1);
}

static enum bv_status
wal_allocate(struct wal *wal, struct bv_error *err)
{
    void *ring = mmap(NULL, (size_t)wal->ring_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (ring == MAP_FAILED) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a log ring of %" PRIu64 " bytes",
                            wal->ring_size);
    }
    wal->ring = ring;
    wal->mark_page = aligned_alloc(OS_ALIGN, SEGMENT_PAGE_SIZE);
    if (wal->mark_page == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the log's mark");
    }
    wal->event_fd = os_event_open();
    if (wal->event_fd < 0) {
        return bv_error_set(err, BV_IO, "no eventfd for the log: the descriptor limit is reached");
    }
    return BV_OK;
}

enum bv_status
wal_start_thread(pthread_t *out, void *(*run)(void *), struct wal *wal, struct bv_error *err)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(out, NULL, run, wal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        return bv_error_set(err, BV_IO, "cannot start the log writer's thread: error %d", failure);
    }
    return BV_OK;
}

static void
wal_destroy(struct wal *wal)
{
    if (wal == NULL) {
        return;
    }
    wal_sync_close(wal); /* before its descriptor */
    segment_close(&wal->segment);
    os_event_close(wal->event_fd);
    free(wal->mark_page);
    if (wal->ring != NULL) {
        munmap(wal->ring, (size_t)wal->ring_size);
    }
    free(wal);
}

enum bv_status
wal_open(struct wal **out, struct wal_directory *directory, const struct wal_options *options,
         uint64_t next_lsn, struct bv_error *err)
{
    enum bv_status status = BV_OK;

    BV_ASSERT(directory->is_recovered);
    BV_ASSERT(next_lsn == directory->next_lsn);
    BV_ASSERT(options->policy == BV_POLICY_ALWAYS || options->policy == BV_POLICY_OS);
    struct wal *wal = aligned_alloc(64, (sizeof *wal + 63) & ~(size_t)63);
    if (wal == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the log");
    }
    memset(wal, 0, sizeof *wal);
    wal->event_fd = -1;
    wal->segment.fd = -1;
    wal->segment.os = directory->os;
    wal_configure(wal, directory, options, next_lsn);
    status = wal_allocate(wal, err);
    if (status != BV_OK) {
        goto done;
    }
    /* A loss that is accepted gives LSNs out a second time: no byte of the first use may stay. */
    status = wal_space_open(wal, directory->accept_data_loss, err);
    if (status != BV_OK) {
        goto done;
    }
    status = wal_segment_next(wal, next_lsn, err);
    if (status != BV_OK) {
        goto done;
    }
    uint64_t no_deadline = 0;
    wal_space_look(wal, clock_monotonic_ns(), &no_deadline);
    status = wal_sync_open(wal, err);
    if (status != BV_OK) {
        goto done;
    }
    status = wal_start_thread(&wal->thread, wal_writer_run, wal, err);
    if (status != BV_OK) {
        goto done;
    }
    /* A second wal_open on this directory has to read it anew. */
    directory->is_recovered = false;
    *out = wal;
    wal = NULL; /* handed over */
done:
    wal_destroy(wal);
    return status;
}

void
wal_close(struct wal *wal)
{
    if (wal == NULL) {
        return;
    }
    BV_ASSERT(!wal->is_record_open);
    if (wal->is_group_open && wal->group_records > 0) {
        (void)wal_wait(wal, wal->next_lsn - 1, false, NULL);
    }
    atomic_store_explicit(&wal->stopping, true, memory_order_release);
    wal_ring_the_bell(wal);
    pthread_join(wal->thread, NULL);
    wal_destroy(wal);
}
