/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the log may go on growing: its own size against wal_max_bytes, the file system's room
 * against min_free_bytes.
 *
 * Enters:  what the writer has written, what retention.c has taken away, what the kernel says.
 * Leaves:  one word, enum wal_pressure, which pushes look at.
 * Owner:   the log writer's thread (before it runs, whoever opens the log).
 *
 * Invariants
 *   (1) Too little room is no failure: what was accepted is still written and acked, only new
 *       pushes are refused, and that ends by itself.
 *   (2) The kernel is asked once per interval, and whenever what was written since the last answer
 *       could have used up the room: so pushes are refused before a write finds no space.
 *   (3) An idle log asks only while its last answer was bad news. */
#include <fcntl.h>
#include <inttypes.h>

#include "durability/wal_internal.h"
#include "os/wait.h"
#include "util/clock.h"
#include "util/log.h"

uint64_t
wal_space_free(const struct wal *wal)
{
    int64_t bytes = wal->os->fs_free(wal->os, wal->directory);

    return bytes < 0 ? UINT64_MAX : (uint64_t)bytes;
}

static uint64_t
open_size(const struct wal *wal)
{
    const struct segment *segment = &wal->segment;

    if (segment->fd < 0) {
        return 0;
    }
    return segment->prepared > segment->position ? segment->prepared : segment->position;
}

void
wal_space_closed(struct wal *wal)
{
    /* What the file has now is what retiring will find. */
    int64_t size = wal->segment.fd < 0 ? 0 : wal->os->size(wal->os, wal->segment.fd);

    /* Added before it is taken away: a reader may see too much for a moment, never too little. */
    atomic_fetch_add(&wal->closed_bytes, size < 0 ? open_size(wal) : (uint64_t)size);
    atomic_store(&wal->open_bytes, 0);
}

/* ---- pressure ---- */

static void
ask_free(struct wal *wal, uint64_t bytes, uint64_t now_ns)
{
    uint64_t grown = bytes > wal->free_asked_bytes ? bytes - wal->free_asked_bytes : 0;

    if (now_ns < wal->free_ask_at_ns && wal->free_bytes >= wal->min_free_bytes &&
        grown <= wal->free_bytes - wal->min_free_bytes) {
        return;
    }
    wal->free_bytes = wal_space_free(wal);
    wal->free_asked_bytes = bytes;
    wal->free_ask_at_ns = now_ns + wal->look_interval_ns;
}

static enum wal_pressure
judge(const struct wal *wal, uint64_t bytes)
{
    const uint64_t most = wal->wal_max_bytes;

    if ((wal->min_free_bytes != 0 && wal->free_bytes < wal->min_free_bytes) ||
        (most != 0 && bytes >= most - most / 20)) {
        return WAL_PRESSURE_REFUSES;
    }
    return most != 0 && bytes >= most - most / 5 ? WAL_PRESSURE_HIGH : WAL_PRESSURE_NONE;
}

static void
tell(const struct wal *wal, enum wal_pressure was, enum wal_pressure now, uint64_t bytes)
{
    const bool is_worse = now > was;
    const char *message = now == WAL_PRESSURE_REFUSES
                              ? "no room for the log; pushes are refused until there is"
                          : is_worse ? "the log has used 80% of wal_max_bytes"
                                     : "there is room for the log again";
    const int64_t free_bytes = wal->free_bytes > INT64_MAX ? -1 : (int64_t)wal->free_bytes;

    log_line(is_worse ? LOG_WARN : LOG_NOTICE, "wal.space", "beava.wal", message,
             (struct log_field[]){LOG_TEXT("path", wal->directory), LOG_INT("bytes", bytes),
                                  LOG_INT("wal_max_bytes", wal->wal_max_bytes),
                                  LOG_INT("free_bytes", free_bytes),
                                  LOG_INT("min_free_bytes", wal->min_free_bytes)},
             5);
}

void
wal_space_look(struct wal *wal, uint64_t now_ns, uint64_t *deadline_ns)
{
    atomic_store_explicit(&wal->open_bytes, open_size(wal), memory_order_relaxed);
    uint64_t bytes = wal_bytes_on_disk(wal);

    if (wal->min_free_bytes != 0) {
        ask_free(wal, bytes, now_ns);
    }
    enum wal_pressure was = wal_pressure(wal);
    enum wal_pressure now = judge(wal, bytes);
    if (now != was) {
        atomic_store_explicit(&wal->pressure, now, memory_order_relaxed);
        tell(wal, was, now, bytes);
        os_event_signal(wal->event_fd);
    }
    if (wal->min_free_bytes != 0 && wal->free_bytes < wal->min_free_bytes &&
        wal->free_ask_at_ns < *deadline_ns) {
        *deadline_ns = wal->free_ask_at_ns;
    }
}

/* ---- what a former process left ---- */

static enum bv_status
size_of(uint64_t *out, const struct wal *wal, const char *name, struct bv_error *err)
{
    char path[OS_PATH_MAX];
    int fd = -1;
    enum bv_status status = os_path(path, wal->directory, name, err);

    if (status == BV_OK) {
        status = os_open(&fd, wal->os, path, O_RDONLY, err);
    }
    if (status == BV_OK) {
        status = os_file_size(out, wal->os, fd, path, err);
    }
    os_close(wal->os, &fd);
    return status;
}

static enum bv_status
count_file(struct wal *wal, const char *name, bool drop_spares, struct bv_error *err)
{
    uint64_t number = 0;
    uint64_t size = 0;
    bool is_spare = segment_spare_name_parse(&number, name);

    /* A segment above the last that counts is about to be replaced. */
    if (!is_spare && (!segment_name_parse(&number, name) || number > wal->segment_number)) {
        return BV_OK;
    }
    enum bv_status status = size_of(&size, wal, name, err);
    if (status != BV_OK) {
        return status;
    }
    if (is_spare && (drop_spares || !wal_spare_wanted(wal, size))) {
        return os_unlink(wal->os, wal->directory, name, err);
    }
    atomic_fetch_add(&wal->closed_bytes, size);
    if (is_spare) {
        wal_spare_give(wal, number, size);
    }
    return BV_OK;
}

enum bv_status
wal_space_open(struct wal *wal, bool drop_spares, struct bv_error *err)
{
    struct os_names names = {0};
    enum bv_status status = os_list(&names, wal->os, wal->directory, err);

    /* Segments come before spares in byte order, so spares are judged by what they are beside. */
    for (size_t i = 0; status == BV_OK && i < names.count; i++) {
        status = count_file(wal, names.names[i], drop_spares, err);
    }
    os_names_deinit(&names);
    return status;
}
