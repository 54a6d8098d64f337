/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_TOOL_FIXTURE_H
#define BV_TEST_TOOL_FIXTURE_H

/* A data directory in memory for the tools to look at: a log of three segments (LSN 1..10, 11..20,
 * 21..24; groups of 1, 8 and 1 in the first) and snapshots. */
#include "wal_fixture.h"

#include "durability/segment.h"
#include "durability/snapshot.h"
#include "durability/verify.h"

#define WAL         "/memory/wal"
#define SNAPSHOTS   "/memory/snapshots"
#define SEGMENT_1   WAL "/segment-0000000000000001.log"
#define SEGMENT_2   WAL "/segment-0000000000000002.log"
#define SEGMENT_3   WAL "/segment-0000000000000003.log"
#define SNAPSHOT(n) SNAPSHOTS "/snapshot-00000000000000" n ".bvs"

static const struct verify_paths both_paths = {WAL, SNAPSHOTS, false};

static inline void
tool_log(struct memory_os *memory)
{
    struct fixture f;

    memory_os_init(memory);
    fixture_init(&f, &memory->os);
    f.options.tick_ms = 1000000; /* no idle mark in between */
    f.options.snapshot_dir = SNAPSHOTS;
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 50);
    fixture_log(&f, 5, 333);
    fixture_log(&f, 3, 4000);
    wal_publish(f.wal);
    assert_int_equal(wal_wait(f.wal, 9, true, NULL), BV_OK);
    fixture_commit(&f, 1, 20);
    fixture_close(&f);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 10, 100);
    fixture_close(&f);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 4, 100);
    fixture_deinit(&f);
}

/* A snapshot at `lsn` whose last image was taken at `image_lsn`. */
static inline void
tool_snapshot(struct memory_os *memory, uint64_t lsn, uint64_t image_lsn)
{
    struct wal_directory directory = {.os = &memory->os};
    const struct snapshot_options options = {.directory = &directory, .retain = 10, .event_fd = -1};
    const struct snapshot_start start = {.start_lsn = lsn, .time_ms = 1000, .registry_version = 3};
    const struct snapshot_totals totals = {.entities = 7, .dedupe_entries = 2};
    struct snapshot_writer *writer = NULL;
    struct snapshot_result result = {0};

    (void)snprintf(directory.snapshot_path, sizeof directory.snapshot_path, SNAPSHOTS);
    assert_int_equal(snapshot_writer_create(&writer, &options, NULL), BV_OK);
    assert_true(snapshot_begin(writer, &start));
    assert_true(snapshot_put(writer, SNAPSHOT_REGISTRY, lsn, slice_text("{}")));
    assert_true(snapshot_put(writer, SNAPSHOT_SECTIONS, lsn, slice_text("[]")));
    assert_true(snapshot_put(writer, SNAPSHOT_ENTITIES, image_lsn, slice_text("entities")));
    snapshot_finish(writer, &totals);
    while (!snapshot_take_result(writer, &result)) {
        usleep(200);
    }
    assert_int_equal(result.status, BV_OK);
    snapshot_writer_destroy(writer);
}

static inline void
tool_flip(struct memory_os *memory, const char *path, size_t offset)
{
    struct memory_file *file = memory_find(memory, path);

    assert_non_null(file);
    assert_true(offset < file->size);
    file->data[offset] ^= 4;
}

#endif
