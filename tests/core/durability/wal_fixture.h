/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_WAL_FIXTURE_H
#define BV_TEST_WAL_FIXTURE_H

/* A log in a directory of its own: open, log, close, read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durability/recovery.h"
#include "durability/segment.h"
#include "durability/wal.h"
#include "memory_os.h"
#include "util/crc.h"
#include "util/log.h"

struct seen_record {
    struct record_header header;
    uint32_t body_crc;
    size_t body_size;
};

struct fixture {
    struct wal_options options;
    struct wal_directory *directory;
    struct wal *wal;
    struct recovery_result result;
    struct bv_error error;
    struct seen_record *seen;
    size_t seen_count;
    size_t seen_capacity;
    uint64_t next_lsn;
    uint64_t time_ms;
    uint64_t after_lsn; /* as if a snapshot at this LSN had been loaded */
    char path[64];
};

static inline enum bv_status
fixture_see(const struct record_header *header, struct slice body, void *context,
            struct bv_error *err)
{
    struct fixture *f = context;

    if (f->seen_count == f->seen_capacity) {
        f->seen_capacity = f->seen_capacity == 0 ? 64 : f->seen_capacity * 2;
        f->seen = realloc(f->seen, f->seen_capacity * sizeof *f->seen);
    }
    f->seen[f->seen_count++] =
        (struct seen_record){*header, crc32c(0, body.data, body.size), body.size};
    return BV_OK;
}

/* `os` NULL: a real directory under /tmp. */
static inline void
fixture_init(struct fixture *f, struct os *os)
{
    memset(f, 0, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "/memory/wal");
    if (os == NULL || os->open != memory_open) {
        (void)snprintf(f->path, sizeof f->path, "/tmp/beava-wal-XXXXXX");
        assert_non_null(mkdtemp(f->path));
    }
    f->options = (struct wal_options){.dir = f->path, .policy = BV_POLICY_ALWAYS, .os = os};
    f->time_ms = 1000;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_JSON);
}

/* Locks and reads; f->seen holds the records. */
static inline enum bv_status
fixture_recover(struct fixture *f)
{
    f->seen_count = 0;
    memset(&f->error, 0, sizeof f->error);
    enum bv_status status = wal_directory_open(&f->directory, &f->options, &f->error);
    if (status != BV_OK) {
        return status;
    }
    status = recovery_run(&f->result, f->directory, f->after_lsn, fixture_see, f, &f->error);
    f->next_lsn = f->result.last_lsn + 1;
    if (status != BV_OK) {
        wal_directory_close(f->directory);
        f->directory = NULL;
    }
    return status;
}

static inline enum bv_status
fixture_open(struct fixture *f)
{
    enum bv_status status = fixture_recover(f);

    if (status != BV_OK) {
        return status;
    }
    return wal_open(&f->wal, f->directory, &f->options, f->next_lsn, &f->error);
}

static inline void
fixture_close(struct fixture *f)
{
    wal_close(f->wal);
    f->wal = NULL;
    wal_directory_close(f->directory);
    f->directory = NULL;
}

static inline void
fixture_deinit(struct fixture *f)
{
    char command[128];

    fixture_close(f);
    free(f->seen);
    if (strncmp(f->path, "/tmp/beava-wal-", 15) == 0) {
        (void)snprintf(command, sizeof command, "rm -r %s", f->path);
        assert_int_equal(system(command), 0);
    }
}

/* A body that depends on its LSN and size alone. */
static inline void
fixture_body(uint8_t *out, size_t size, uint64_t lsn)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)((lsn * 2654435761u >> (i % 5)) + i * 7 + 1);
    }
}

/* One push record of `count` operations with a body of `size` bytes; not published. */
static inline void
fixture_log(struct fixture *f, uint32_t count, size_t size)
{
    uint8_t body[65536];
    struct record_header header = {.type = RECORD_PUSH,
                                   .first_lsn = f->next_lsn,
                                   .time_ms = f->time_ms,
                                   .registry_version = 3,
                                   .seed = (uint32_t)f->next_lsn * 17};

    assert_true(size <= sizeof body);
    fixture_body(body, size, f->next_lsn);
    wal_record_begin(f->wal, &header);
    wal_record_append(f->wal, body, size / 3);
    wal_record_append(f->wal, body + size / 3, size - size / 3);
    wal_record_end(f->wal, count);
    f->next_lsn += count;
    f->time_ms++;
}

static inline void
fixture_commit(struct fixture *f, uint32_t count, size_t size)
{
    fixture_log(f, count, size);
    wal_publish(f->wal);
    assert_int_equal(wal_wait(f->wal, f->next_lsn - 1, true, &f->error), BV_OK);
}

/* Every record seen is one that fixture_log wrote, in order from after_lsn + 1. */
/* Bytes of all segments and spares. */
static inline uint64_t
fixture_size_on_disk(const struct fixture *f)
{
    struct os_names names = {0};
    uint64_t sum = 0;

    assert_int_equal(os_list(&names, os_posix(), f->path, NULL), BV_OK);
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        char path[512];
        struct stat now;
        if (segment_name_parse(&number, names.names[i]) ||
            segment_spare_name_parse(&number, names.names[i])) {
            (void)snprintf(path, sizeof path, "%s/%s", f->path, names.names[i]);
            assert_int_equal(stat(path, &now), 0);
            sum += (uint64_t)now.st_size;
        }
    }
    os_names_deinit(&names);
    return sum;
}

/* The writer counts what it has written after it has said so. */
static inline void
fixture_check_bytes(const struct fixture *f)
{
    for (int i = 0; i < 1000 && wal_bytes_on_disk(f->wal) != fixture_size_on_disk(f); i++) {
        usleep(1000);
    }
    assert_int_equal(wal_bytes_on_disk(f->wal), fixture_size_on_disk(f));
}

static inline void
fixture_check_seen(const struct fixture *f)
{
    uint8_t body[65536];
    uint64_t lsn = f->after_lsn + 1;

    for (size_t i = 0; i < f->seen_count; i++) {
        const struct seen_record *seen = &f->seen[i];
        assert_int_equal(seen->header.first_lsn, lsn);
        assert_int_equal(seen->header.seed, (uint32_t)lsn * 17);
        fixture_body(body, seen->body_size, lsn);
        assert_int_equal(seen->body_crc, crc32c(0, body, seen->body_size));
        lsn += seen->header.count;
    }
    assert_int_equal(f->result.last_lsn, lsn - 1);
}

#endif
