/* SPDX-License-Identifier: Apache-2.0 */
/* What is done beside the requests: how much at once, and when to come again. Also stats.c. */
#include "apply/apply.h"
#include "snapshot_fixture.h"

static void
open_filled(struct place *place, struct fixture *f, unsigned users)
{
    place_make(place, BV_POLICY_OS);
    fixture_open(f, &place->options);
    fixture_register(f, SNAP_NODES("", "Pairs"));
    snap_feed(f, 0, users, users);
}

/* A tick of a microsecond earns a tenth of one: a snapshot comes about all the same, in slices that
 * are worth it. */
static void
test_short_ticks_save_up_for_a_slice(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;
    unsigned calls = 0;

    (void)state;
    open_filled(&place, &f, 3000);
    const uint64_t ticket = engine_snapshot_request(f.engine);

    for (; calls < 199; calls++) {
        engine_background(f.engine, clock_monotonic_ns(), 1000);
    }
    assert_false(snapshot_copy_is_running(f.engine->snapshot));
    engine_background(f.engine, clock_monotonic_ns(), 1000);
    assert_true(snapshot_copy_is_running(f.engine->snapshot));
    while (!engine_snapshot_result(f.engine, ticket, &snapshot) && calls < 100000000) {
        engine_background(f.engine, clock_monotonic_ns(), 1000);
        calls++;
    }
    assert_int_equal(snapshot.status, BV_OK);
    assert_true(calls > 1000);
    fixture_close(&f);
    place_remove(&place);
}

static uint64_t
pause_count(const struct histogram *pauses)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += pauses->counts[i];
    }
    return count;
}

static void
test_slices_are_counted_and_thin(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;

    (void)state;
    open_filled(&place, &f, 20000);
    const struct histogram *pauses = engine_pauses(f.engine);

    engine_background(f.engine, clock_monotonic_ns(), 0);
    const uint64_t before = pause_count(pauses);
    const uint64_t ticket = engine_snapshot_request(f.engine);

    while (!engine_snapshot_result(f.engine, ticket, &snapshot)) {
        snap_slice(&f);
    }
    const uint64_t count = pause_count(pauses) - before;

    assert_true(count > 20);
    /* Half of the slices at least stay near what they are given, whatever else the machine does. */
    uint64_t thin = 0;

    for (unsigned i = 0; histogram_bound_us(i) <= 256; i++) {
        thin += pauses->counts[i];
    }
    assert_true(thin * 2 > count);
    fixture_close(&f);
    place_remove(&place);
}

static void
test_nothing_to_do_says_so(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    open_filled(&place, &f, 10);
    snap_take(&f);
    for (unsigned i = 0; i < 1000 && engine_background(f.engine, clock_monotonic_ns(), 0) == 0;
         i++) {
    }
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 0) == ENGINE_IDLE);
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 100) == ENGINE_IDLE);
    snap_feed(&f, 10, 1, 10);
    engine_snapshot_request(f.engine);
    /* Whatever the ticks have earned: come again at once. */
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 100) == 0);
    fixture_close(&f);
    place_remove(&place);
}

/* Events of one user, each of another shop. */
static void
snap_feed_one(struct fixture *f, unsigned count)
{
    char body[100];

    for (unsigned i = 0; i < count; i++) {
        snprintf(body, sizeof body, "{\"user\":\"u\",\"shop\":\"s%u\",\"amount\":1}", i);
        fixture_push(f, "Tx", body);
    }
}

static void
test_stats_tell_how_things_are(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    struct engine_table_stats table;
    uint64_t bytes = 0;
    uint64_t entities = 0;

    (void)state;
    open_filled(&place, &f, 1000);
    engine_stats_get(f.engine, &stats);
    for (uint32_t i = 0; engine_table_stats_get(f.engine, i, &table); i++) {
        bytes += table.bytes;
        entities += table.entities;
    }
    assert_true(entities == stats.entities);
    assert_true(bytes > 0 && bytes < stats.state_bytes);
    assert_true(stats.bytes_per_entity_p99 > stats.state_bytes / entities / 2);
    assert_true(stats.bytes_per_entity_p99 < 20 * stats.state_bytes / entities);
    assert_true(stats.wal_bytes > 0 && stats.wal_bytes_on_disk > 0);
    assert_true(stats.wal_appended_lsn == stats.last_lsn);
    assert_int_equal(engine_readiness(f.engine), ENGINE_READY);
    assert_non_null(engine_wal_sync_times(f.engine));
    const uint64_t before_ms = engine_replay_ms(f.engine);

    snap_take(&f);
    assert_true(engine_replay_ms(f.engine) <= before_ms);
    assert_true(engine_replay_ms(f.engine) == 0);
    fixture_close(&f);
    fixture_open_memory(&f);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.entities == 0 && stats.bytes_per_entity_p99 == 0);
    fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_TABLE(
                             "Mix", "\"user\"",
                             "\"mix\":{\"op\":\"entropy\",\"params\":{\"field\":\"shop\","
                             "\"max_categories\":2}}") "]}");
    snap_feed_one(&f, 6);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.categories_capped == 4);
    assert_true(engine_replay_ms(f.engine) == 0);
    assert_null(engine_wal_sync_times(f.engine));
    fixture_close(&f);
    place_remove(&place);
}

struct progress {
    unsigned calls;
    struct engine_progress last;
};

static void
note_progress(void *context, const struct engine_progress *progress)
{
    struct progress *seen = context;

    seen->calls++;
    seen->last = *progress;
}

static void
test_recovery_tells_how_far_it_is(void **state)
{
    struct fixture f;
    struct progress seen = {0};

    (void)state;
    fixture_open_memory(&f);
    f.engine->options.on_progress = note_progress;
    f.engine->options.progress_context = &seen;
    f.engine->progress_ns = clock_monotonic_ns();
    engine_report_progress(f.engine);
    assert_int_equal(seen.calls, 0); /* not yet a second */
    f.engine->progress_ns -= 2000000000u;
    f.engine->recovered_entities = 77;
    f.engine->next_lsn = 12;
    engine_report_progress(f.engine);
    engine_report_progress(f.engine);
    assert_int_equal(seen.calls, 1);
    assert_true(seen.last.entities == 77 && seen.last.lsn == 11);
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_ticks_save_up_for_a_slice),
        cmocka_unit_test(test_slices_are_counted_and_thin),
        cmocka_unit_test(test_nothing_to_do_says_so),
        cmocka_unit_test(test_stats_tell_how_things_are),
        cmocka_unit_test(test_recovery_tells_how_far_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
