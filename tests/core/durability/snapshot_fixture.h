/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_SNAPSHOT_FIXTURE_H
#define BV_TEST_SNAPSHOT_FIXTURE_H

/* A snapshot writer over files in memory behind a fault twin (or over a real directory), and bodies
 * that depend on their index alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "durability/snapshot_format.h"
#include "durability/snapshot.h"
#include "memory_os.h"
#include "os/fault.h"
#include "os/wait.h"
#include "util/crc.h"
#include "util/log.h"

#define SNAPSHOT_DIR "/memory/snapshots"

struct snap {
    struct memory_os memory;
    struct os_fault fault;
    struct wal_directory directory;
    struct snapshot_options options;
    struct snapshot_writer *writer;
    struct snapshot_result result;
    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t wanted_lsn;
    _Atomic uint64_t retired_lsn;
    uint64_t last_lsn; /* applied when the last image was taken; 0: no more than is in images */
    _Atomic uint32_t retire_calls;
    _Atomic bool retire_fails;
    /* what reading saw */
    struct snapshot_info info;
    struct bv_error error;
    uint64_t chunks;
    uint64_t bytes;
    size_t body_size; /* of the entities chunks */
};

static inline uint64_t
snap_durable_lsn(void *context)
{
    return atomic_load(&((struct snap *)context)->durable_lsn);
}

static inline void
snap_want_sync(void *context, uint64_t lsn)
{
    atomic_store(&((struct snap *)context)->wanted_lsn, lsn);
}

static inline enum bv_status
snap_retire(void *context, uint64_t lsn, struct bv_error *err)
{
    struct snap *s = context;

    atomic_fetch_add(&s->retire_calls, 1);
    if (atomic_load(&s->retire_fails)) {
        return bv_error_set(err, BV_IO, "the log cannot be retired");
    }
    atomic_store(&s->retired_lsn, lsn);
    return BV_OK;
}

static inline void
snap_open(struct snap *s)
{
    assert_int_equal(snapshot_writer_create(&s->writer, &s->options, NULL), BV_OK);
}

static inline void
snap_init(struct snap *s)
{
    memset(s, 0, sizeof *s);
    memory_os_init(&s->memory);
    os_fault_init(&s->fault, &s->memory.os);
    s->directory.os = &s->fault.os;
    (void)snprintf(s->directory.snapshot_path, sizeof s->directory.snapshot_path, SNAPSHOT_DIR);
    s->body_size = 700;
    atomic_store(&s->durable_lsn, UINT64_MAX);
    s->options = (struct snapshot_options){.directory = &s->directory,
                                           .ring_bytes = 4096,
                                           .durable_lsn = snap_durable_lsn,
                                           .want_sync = snap_want_sync,
                                           .retire = snap_retire,
                                           .context = s,
                                           .event_fd = os_event_open()};
    log_configure(LOG_ERROR + 1, LOG_FORMAT_JSON);
}

static inline void
snap_deinit(struct snap *s)
{
    snapshot_writer_destroy(s->writer);
    os_event_close(s->options.event_fd);
    memory_os_deinit(&s->memory);
}

static inline void
snap_body(uint8_t *out, size_t size, uint64_t index)
{
    const size_t period = 1280;

    for (size_t i = 0; i < size && i < period; i++) {
        out[i] = (uint8_t)((index * 2654435761u >> (i % 5)) + i * 7 + 1);
    }
    for (size_t i = period; i < size; i += period) {
        memcpy(out + i, out, size - i < period ? size - i : period);
    }
}

/* What the chunk with this index looks like: registry, sections, then entities of body_size. */
static inline struct slice
snap_chunk(const struct snap *s, uint8_t *space, uint64_t index, enum snapshot_chunk_type *type)
{
    size_t size = index == 0 ? 90 : index == 1 ? 33 : s->body_size;

    *type = index == 0 ? SNAPSHOT_REGISTRY : index == 1 ? SNAPSHOT_SECTIONS : SNAPSHOT_ENTITIES;
    snap_body(space, size, index);
    return slice_of(space, size);
}

/* Sleeps until the event fd is signalled, at most 100 ms: a lost wake shows as a slow test. */
static inline void
snap_wait_event(struct snap *s)
{
    struct pollfd fd = {.fd = s->options.event_fd, .events = POLLIN};

    (void)poll(&fd, 1, 100);
    os_event_drain(s->options.event_fd);
}

static inline void
snap_sleep_ms(unsigned ms)
{
    struct timespec delay = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&delay, NULL);
}

static inline void
snap_begin(struct snap *s, uint64_t lsn)
{
    struct snapshot_start start = {.start_lsn = lsn,
                                   .time_ms = 1000 + lsn,
                                   .last_event_ms = 500 + lsn,
                                   .entity_count = 77,
                                   .registry_version = 3};

    while (!snapshot_begin(s->writer, &start)) {
        assert_true(snapshot_is_busy(s->writer));
        snap_wait_event(s);
    }
    assert_true(snapshot_is_busy(s->writer));
}

/* False: the snapshot has ended before all were put. */
static inline bool
snap_put_all(struct snap *s, uint64_t lsn, uint64_t chunks)
{
    uint8_t *space = malloc(s->body_size + 100);
    bool is_put = true;

    for (uint64_t i = 0; i < chunks && is_put; i++) {
        enum snapshot_chunk_type type;
        struct slice body = snap_chunk(s, space, i, &type);
        while (!snapshot_put(s->writer, type, lsn + i, body)) {
            if (snapshot_take_result(s->writer, &s->result)) {
                is_put = false;
                break;
            }
            snap_wait_event(s);
        }
    }
    free(space);
    return is_put;
}

static inline void
snap_finish(struct snap *s, uint64_t lsn)
{
    struct snapshot_totals totals = {.entities = 70,
                                     .dedupe_entries = 7,
                                     .time_ms = 2000 + lsn,
                                     .last_event_ms = 1500 + lsn,
                                     .last_lsn = s->last_lsn};

    snapshot_finish(s->writer, &totals);
}

static inline void
snap_take(struct snap *s)
{
    while (!snapshot_take_result(s->writer, &s->result)) {
        assert_true(snapshot_is_busy(s->writer));
        snap_wait_event(s);
    }
    assert_false(snapshot_is_busy(s->writer));
}

/* One whole snapshot; its status. */
static inline enum bv_status
snap_make(struct snap *s, uint64_t lsn, uint64_t chunks)
{
    memset(&s->result, 0, sizeof s->result);
    snap_begin(s, lsn);
    if (snap_put_all(s, lsn, chunks)) {
        snap_finish(s, lsn);
        snap_take(s);
    }
    return s->result.status;
}

/* ---- reading ---- */

static inline enum bv_status
snap_see(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
         struct bv_error *err)
{
    struct snap *s = context;
    enum snapshot_chunk_type expected_type;
    uint8_t *space = malloc(s->body_size + 100);
    struct slice expected = snap_chunk(s, space, s->chunks, &expected_type);

    assert_int_equal(type, expected_type);
    assert_int_equal(image_lsn, s->info.start_lsn + s->chunks);
    assert_true(slice_equal(body, expected));
    free(space);
    s->chunks++;
    s->bytes += body.size;
    return BV_OK;
}

static inline enum bv_status
snap_read_path(struct snap *s, const char *path)
{
    s->chunks = 0;
    s->bytes = 0;
    memset(&s->error, 0, sizeof s->error);
    return snapshot_read(&s->info, s->directory.os, path, snap_see, s, &s->error);
}

static inline enum bv_status
snap_read(struct snap *s, uint64_t lsn)
{
    char name[SNAPSHOT_NAME_SIZE];
    char path[OS_PATH_MAX];

    snapshot_name(name, lsn);
    assert_int_equal(os_path(path, s->directory.snapshot_path, name, NULL), BV_OK);
    return snap_read_path(s, path);
}

/* The directory holds exactly these snapshots (newest first, 0 ends the list), no snapshot.tmp. */
static inline void
snap_expect(struct snap *s, uint64_t first, uint64_t second, uint64_t third)
{
    uint64_t expected[] = {first, second, third};
    uint64_t *lsns;
    size_t count;
    struct os_names names;

    assert_int_equal(snapshot_list(&lsns, &count, s->fault.real, s->directory.snapshot_path, NULL),
                     BV_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(i < count ? lsns[i] : 0, expected[i]);
    }
    free(lsns);
    assert_int_equal(os_list(&names, s->fault.real, s->directory.snapshot_path, NULL), BV_OK);
    for (size_t i = 0; i < names.count; i++) {
        assert_string_not_equal(names.names[i], "snapshot.tmp");
    }
    os_names_deinit(&names);
}

#endif
