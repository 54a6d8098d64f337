/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_PLACE_FIXTURE_H
#define BV_TESTS_PLACE_FIXTURE_H

/* Directories of an engine that comes and goes. */
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply_fixture.h"
#include "util/clock.h"

struct place {
    char root[64];
    char wal[80];
    char snapshots[80];
    struct engine_options options;
};

static inline void
place_make(struct place *place, uint32_t policy)
{
    strcpy(place->root, "/tmp/beava-engine-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->wal, sizeof place->wal, "%s/wal", place->root);
    snprintf(place->snapshots, sizeof place->snapshots, "%s/snapshots", place->root);
    place->options = (struct engine_options){.policy = policy,
                                             .wal_dir = place->wal,
                                             .snapshot_dir = place->snapshots,
                                             .is_test_mode = true,
                                             .segment_bytes = 1 << 20};
}

static inline int
place_remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void
place_remove(struct place *place)
{
    nftw(place->root, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What a server does between ticks, with a snapshot now and then: its images are of many LSNs. */
static inline void
place_go_on_beside(struct fixture *f, unsigned i)
{
    if (i % 40 == 17) {
        engine_snapshot_request(f->engine);
    }
    engine_background(f->engine, clock_monotonic_ns(), 100000);
}

/* The next opening begins from here. */
static inline void
place_snapshot(struct fixture *f)
{
    struct engine_snapshot snapshot;
    struct bv_error err;

    engine_snapshot_request(f->engine);
    assert_int_equal(engine_snapshot_wait(f->engine, 60000, &snapshot, &err), BV_OK);
}

/* Opens the engine again and holds it to the state that it had. */
static inline void
place_reopen(struct place *place, struct fixture *f)
{
    const uint64_t now_ms = f->now_ms;
    bv_digest before;
    bv_digest after;

    engine_digest(f->engine, &before);
    fixture_close(f);
    fixture_open(f, &place->options);
    f->now_ms = now_ms;
    engine_digest(f->engine, &after);
    assert_memory_equal(&before, &after, sizeof before);
}

#endif
