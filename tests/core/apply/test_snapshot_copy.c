/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of an engine that goes on: the rules of engine.md 8, one by one. Also images.c,
 * sections.c, migrate.c. */
#include "snapshot_fixture.h"

static void
test_a_snapshot_comes_back_as_it_was(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    bv_digest digest;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 600, 50);
    engine_digest(f.engine, &digest);
    assert_true(snap_take(&f) == digest.last_lsn);
    snap_assert_same(&digest, &f);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 1 && stats.snapshot_lsn == digest.last_lsn);
    fixture_close(&f);
    fixture_open(&f, &place.options);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.recovered_from_snapshot_lsn == digest.last_lsn);
    assert_true(stats.recovered_records == 0);
    snap_assert_same(&digest, &f);
    fixture_close(&f);
    place_remove(&place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_comes_back_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
