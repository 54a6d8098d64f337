/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_SNAPSHOT_FIXTURE_H
#define BV_TESTS_SNAPSHOT_FIXTURE_H

/* Engines that take snapshots, die and come back. A crash is a copy of the directory while the
 * engine still runs; what the copy becomes is held to the digest of the one that runs on. */
#include <dirent.h>
#include <fcntl.h>

#include "durability/snapshot.h"
#include "place_fixture.h"
#include "util/clock.h"

#define SLICE_NS 50000u /* as under load */

/* Every shape that state comes in: plain, windowed, texts, sketches, lists, a draw by chance. */
#define SNAP_USER_FEATURES                                                                         \
    "\"cnt\":{\"op\":\"count\"},"                                                                  \
    "\"tot\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"                                  \
    "\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}},"                                    \
    "\"cnt_1m\":{\"op\":\"count\",\"params\":{\"window\":\"1m\"}},"                                \
    "\"avg_1m\":{\"op\":\"mean\",\"params\":{\"field\":\"amount\",\"window\":\"1m\"}},"            \
    "\"shops\":{\"op\":\"n_unique\",\"params\":{\"field\":\"shop\",\"window\":\"1h\"}},"           \
    "\"p90\":{\"op\":\"quantile\",\"params\":{\"field\":\"amount\",\"q\":0.9}},"                   \
    "\"late\":{\"op\":\"last_n\",\"params\":{\"field\":\"shop\",\"n\":3}},"                        \
    "\"some\":{\"op\":\"reservoir_sample\",\"params\":{\"field\":\"amount\",\"samples\":4}}"
#define SNAP_MORE_FEATURES                                                                         \
    ",\"avg\":{\"op\":\"mean\",\"params\":{\"field\":\"amount\"}},"                                \
    "\"best\":{\"op\":\"top_k\",\"params\":{\"field\":\"shop\",\"k\":2}},"                         \
    "\"max_1m\":{\"op\":\"max\",\"params\":{\"field\":\"amount\",\"window\":\"1m\"}}"
#define SNAP_USERS(more) FIXTURE_TABLE("Users", "\"user\"", SNAP_USER_FEATURES more)
#define SNAP_PAIRS(name) FIXTURE_TABLE(name, "\"user\",\"shop\"", "\"pair_cnt\":{\"op\":\"count\"}")
#define SNAP_PAY                                                                                   \
    "{\"kind\":\"event\",\"name\":\"Pay\",\"schema\":{\"fields\":{\"id\":\"str\",\"user\":"        \
    "\"str\"}},\"dedupe_key\":\"id\",\"dedupe_window_ms\":600000,\"cold_after_ms\":60000}"
#define SNAP_PAID                                                                                  \
    "{\"kind\":\"derivation\",\"name\":\"Paid\",\"output_kind\":\"table\",\"upstreams\":[\"Pay\"]" \
    ",\"table_primary_key\":[\"user\"],\"ops\":[{\"op\":\"group_by\",\"keys\":[\"user\"],"         \
    "\"agg\":{\"paid\":{\"op\":\"count\"}}}]}"
#define SNAP_NODE_LIST(more, pairs)                                                                \
    "\"nodes\":[" FIXTURE_EVENT                                                                    \
    "," SNAP_USERS(more) "," SNAP_PAIRS(pairs) "," FIXTURE_GLOBAL "," SNAP_PAY "," SNAP_PAID "]}"
#define SNAP_NODES(more, pairs)        "{" SNAP_NODE_LIST(more, pairs)
#define SNAP_NODES_FORCED(more, pairs) "{\"force\":true," SNAP_NODE_LIST(more, pairs)

/* Events `from` to `from + count - 1`, each of one user of `users`, some seconds apart. */
static inline void
snap_feed(struct fixture *f, unsigned from, unsigned count, unsigned users)
{
    char body[200];

    for (unsigned i = from; i < from + count; i++) {
        f->now_ms += 37;
        snprintf(body, sizeof body,
                 "{\"user\":\"user %u\",\"shop\":\"shop number %u\",\"amount\":%u.125}", i % users,
                 i % 7, i);
        fixture_push(f, "Tx", body);
        assert_int_equal(f->response.kind, RESPONSE_ACK);
        if (i % 4 == 0) {
            snprintf(body, sizeof body, "{\"id\":\"pay %u\",\"user\":\"user %u\"}", i, i % users);
            fixture_push(f, "Pay", body);
            assert_int_equal(f->response.kind, RESPONSE_ACK);
        }
    }
}

/* One slice as the server gives it under load. */
static inline uint64_t
snap_slice(struct fixture *f)
{
    const uint64_t now_ns = clock_monotonic_ns();

    return engine_background(f->engine, now_ns, SLICE_NS * 10);
}

/* A whole snapshot; its LSN. */
static inline uint64_t
snap_take(struct fixture *f)
{
    struct engine_snapshot snapshot;
    struct bv_error err = {0};

    engine_snapshot_request(f->engine);
    if (engine_snapshot_wait(f->engine, 20000, &snapshot, &err) != BV_OK) {
        fail_msg("snapshot: %s", err.message);
    }
    return snapshot.lsn;
}

static inline unsigned
snap_count(const struct place *place)
{
    uint64_t *lsns;
    size_t count;

    assert_int_equal(snapshot_list(&lsns, &count, os_posix(), place->snapshots, NULL), BV_OK);
    free(lsns);
    return (unsigned)count;
}

static inline void
snap_path(char out[160], const struct place *place, uint64_t lsn)
{
    char name[SNAPSHOT_NAME_SIZE];

    snapshot_name(name, lsn);
    snprintf(out, 160, "%s/%s", place->snapshots, name);
}

/* Flips one byte. */
static inline void
snap_damage(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    int byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
    byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(byte ^ 0x40, file);
    fclose(file);
}

/* The chunks of a snapshot, read through `fn`. */
static inline void
snap_read(const struct place *place, uint64_t lsn, struct snapshot_info *info, snapshot_chunk_fn fn,
          void *context)
{
    char path[160];
    struct bv_error err;

    snap_path(path, place, lsn);
    if (snapshot_read(info, os_posix(), path, fn, context, &err) != BV_OK) {
        fail_msg("%s", err.message);
    }
}

/* The directory as a crash leaves it at this moment. */
static inline void
snap_crash(struct place *out, const struct place *place)
{
    char command[256];

    place_make(out, place->options.policy);
    snprintf(command, sizeof command, "cp -r %s/wal %s/snapshots %s/", place->root, place->root,
             out->root);
    assert_int_equal(system(command), 0);
    const char *wal = out->wal;
    const char *snapshots = out->snapshots;

    out->options = place->options;
    out->options.wal_dir = wal;
    out->options.snapshot_dir = snapshots;
}

static inline void
snap_assert_same(const bv_digest *wanted, struct fixture *f)
{
    bv_digest digest;

    engine_digest(f->engine, &digest);
    assert_true(digest.last_lsn == wanted->last_lsn);
    assert_true(digest.entities == wanted->entities);
    assert_memory_equal(digest.words, wanted->words, sizeof digest.words);
}

/* Recovers a copy of the place and holds it to the digest of the engine that runs there: from the
 * snapshot of this LSN, or (0) without any. */
static inline void
snap_check_crash(const struct place *place, struct fixture *f, uint64_t from_lsn)
{
    char command[200];
    struct place copy;
    struct fixture other;
    struct engine_stats stats;
    bv_digest digest;

    engine_digest(f->engine, &digest);
    snap_crash(&copy, place);
    if (from_lsn == 0) {
        snprintf(command, sizeof command, "rm -r %s", copy.snapshots);
        assert_int_equal(system(command), 0);
    }
    fixture_open(&other, &copy.options);
    engine_stats_get(other.engine, &stats);
    assert_true(stats.recovered_from_snapshot_lsn == from_lsn);
    snap_assert_same(&digest, &other);
    fixture_close(&other);
    place_remove(&copy);
}

#endif
