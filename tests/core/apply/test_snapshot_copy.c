/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of an engine that goes on: the rules of engine.md 8, one by one. Also images.c,
 * sections.c, migrate.c. */
#include "apply/apply.h"
#include "os/fault.h"
#include "snapshot_fixture.h"

static void
open_place(struct place *place, struct fixture *f, uint32_t policy)
{
    place_make(place, policy);
    fixture_open(f, &place->options);
    fixture_register(f, SNAP_NODES("", "Pairs"));
}

static void
close_place(struct place *place, struct fixture *f)
{
    fixture_close(f);
    place_remove(place);
}

static void
run_there_and_back(uint32_t policy)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    bv_digest digest;

    open_place(&place, &f, policy);
    snap_feed(&f, 0, 600, 50);
    engine_digest(f.engine, &digest);
    assert_true(snap_take(&f) == digest.last_lsn);
    snap_assert_same(&digest, &f);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 1 && stats.snapshot_lsn == digest.last_lsn);
    assert_true(stats.snapshot_bytes > 4096 && stats.snapshot_is_running == 0);
    fixture_close(&f);
    fixture_open(&f, &place.options);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.recovered_from_snapshot_lsn == digest.last_lsn);
    assert_true(stats.recovered_records == 0);
    snap_assert_same(&digest, &f);
    close_place(&place, &f);
}

static void
test_a_snapshot_comes_back_as_it_was(void **state)
{
    (void)state;
    run_there_and_back(BV_POLICY_ALWAYS);
    run_there_and_back(BV_POLICY_OS);
}

/* ---- rules 1 and 2 ---- */

struct seen {
    uint64_t image_lsns;
    uint64_t last_lsn;
    size_t largest;
    uint32_t images;
};

static enum bv_status
see(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
    struct bv_error *err)
{
    struct seen *seen = context;

    (void)err;
    if (type == SNAPSHOT_ENTITIES) {
        seen->image_lsns += image_lsn != seen->last_lsn;
        seen->last_lsn = image_lsn;
        seen->largest = body.size > seen->largest ? body.size : seen->largest;
        assert_true(body.size >= 8);
        seen->images += body.data[4] | (uint32_t)body.data[5] << 8 | (uint32_t)body.data[6] << 16;
    }
    return BV_OK;
}

/* Pushes between the slices of one snapshot; how many there were. */
static unsigned
take_while_pushing(struct fixture *f, unsigned from, unsigned users)
{
    struct engine_snapshot snapshot;
    const uint64_t ticket = engine_snapshot_request(f->engine);
    unsigned pushed = 0;

    while (!engine_snapshot_result(f->engine, ticket, &snapshot)) {
        snap_slice(f);
        if (pushed < 20000) {
            snap_feed(f, from + pushed, 5, users);
            pushed += 5;
        }
    }
    if (snapshot.status != BV_OK) {
        fail_msg("%s", snapshot.error.message);
    }
    return pushed;
}

static void
test_rule_1_replay_passes_by_what_an_image_holds(void **state)
{
    struct place place;
    struct fixture f;
    struct snapshot_info info;
    struct seen seen = {0};
    struct engine_stats stats;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 3000, 1500);
    const unsigned pushed = take_while_pushing(&f, 3000, 1500);

    assert_true(pushed >= 20);
    engine_stats_get(f.engine, &stats);
    snap_read(&place, stats.snapshot_lsn, &info, see, &seen);
    /* Images of many moments, all after S, and whole chunks of one moment. */
    assert_true(seen.image_lsns > 5);
    assert_true(info.highest_image_lsn > info.start_lsn);
    assert_true(seen.images == info.entities + info.dedupe_entries);
    snap_check_crash(&place, &f, stats.snapshot_lsn);
    snap_check_crash(&place, &f, 0);
    snap_feed(&f, 30000, 200, 1700);
    snap_check_crash(&place, &f, stats.snapshot_lsn);
    close_place(&place, &f);
}

#define WIDE_NODES                                                                                 \
    "{\"nodes\":[" FIXTURE_EVENT                                                                   \
    "," FIXTURE_TABLE("Wide", "\"user\"",                                                          \
                      "\"all\":{\"op\":\"last_n\",\"params\":{\"field\":\"shop\",\"n\":200}},"     \
                      "\"cnt\":{\"op\":\"count\"}") "]}"

static void
test_rule_2_an_entity_larger_than_a_chunk_is_copied_whole(void **state)
{
    struct place place;
    struct fixture f;
    struct snapshot_info info;
    struct seen seen = {0};
    char body[2000];

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    fixture_register(&f, WIDE_NODES);
    for (unsigned i = 0; i < 800; i++) {
        snprintf(body, sizeof body, "{\"user\":\"%s %u\",\"shop\":\"%u %0900u\",\"amount\":1}",
                 i % 2 == 0 ? "large" : "small", i % 2 == 0 ? i % 4 : i, i, i);
        fixture_push(&f, "Tx", body);
    }
    struct engine_stats stats;
    const uint64_t lsn = snap_take(&f);

    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_lsn == lsn);
    snap_read(&place, stats.snapshot_lsn, &info, see, &seen);
    assert_true(seen.largest > 64 * 1024);
    snap_check_crash(&place, &f, stats.snapshot_lsn);
    close_place(&place, &f);
}

/* ---- rule 3 ---- */

static void
test_rule_3_nothing_is_published_that_the_log_could_lose(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    struct snapshot_info info;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    place.options.sync_interval_ms = 3600 * 1000; /* nobody else asks for a sync */
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 3000, 1500);
    take_while_pushing(&f, 3000, 1500);
    engine_stats_get(f.engine, &stats);
    snap_read(&place, stats.snapshot_lsn, &info, NULL, NULL);
    assert_true(engine_synced_lsn(f.engine) >= info.highest_image_lsn);
    close_place(&place, &f);
}

/* ---- rules 4, 5, 6 ---- */

/* Entities expire and are born again, keys of pushes come and go while the copy runs. */
static void
test_rules_4_and_5_an_entity_that_expires_and_returns_counts_once(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    struct engine_snapshot snapshot;
    char body[100];

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            f.now_ms += 3;
            snprintf(body, sizeof body, "{\"id\":\"%u %u\",\"user\":\"payer %u\"}", round, i, i);
            fixture_push(&f, "Pay", body);
        }
        const uint64_t ticket = engine_snapshot_request(f.engine);
        unsigned slices = 0;

        while (!engine_snapshot_result(f.engine, ticket, &snapshot)) {
            snap_slice(&f);
            if (++slices < 300) {
                f.now_ms += slices == 3 ? 61000 : 40; /* all that was there has expired */
                snprintf(body, sizeof body, "{\"id\":\"again %u %u\",\"user\":\"payer %u\"}", round,
                         slices, slices * 37 % 2000);
                fixture_push(&f, "Pay", body);
            }
        }
        assert_int_equal(snapshot.status, BV_OK);
        engine_stats_get(f.engine, &stats);
        snap_check_crash(&place, &f, stats.snapshot_lsn);
    }
    assert_true(stats.cold_evictions > 1000);
    close_place(&place, &f);
}

static void
test_rule_6_keys_of_pushes_and_the_clock_are_in_the_snapshot(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    fixture_push(&f, "Pay", "{\"id\":\"one\",\"user\":\"u\"}");
    const uint64_t lsn = f.response.lsn;

    f.now_ms = 500000;
    fixture_push(&f, "Tx", "{\"user\":\"u\",\"shop\":\"s\",\"amount\":2}");
    snap_take(&f);
    place_reopen(&place, &f);
    f.now_ms = 1000; /* the clock stands still where it was */
    fixture_push(&f, "Pay", "{\"id\":\"one\",\"user\":\"u\"}");
    assert_true(f.response.is_replay);
    assert_true(f.response.lsn == lsn);
    f.now_ms = 602000;
    fixture_push(&f, "Pay", "{\"id\":\"one\",\"user\":\"u\"}");
    assert_false(f.response.is_replay);
    close_place(&place, &f);
}

/* ---- schema changes ---- */

/* What was added at version 2 keeps accumulators of its own; ids, generations and the past of a
 * renamed table stay. Old layouts are dropped on the way. */
/* ---- rule 7 ---- */

/* The sample is drawn from the seeds of log records, which the two do not share. */
static size_t
text_before_sample(const struct fixture *f)
{
    const struct slice body = f->response.body;
    const char *sample = memmem(body.data, body.size, "\"some\"", 6);

    assert_non_null(sample);
    return (size_t)(sample - (const char *)body.data);
}

/* Replay passes single entities by: nothing that others went through may have changed them. */
static void
test_rule_7_an_entity_is_the_same_without_the_others(void **state)
{
    struct fixture all;
    struct fixture one;
    char body[200];

    (void)state;
    fixture_open_memory(&all);
    fixture_open_memory(&one);
    fixture_register(&all, SNAP_NODES("", "Pairs"));
    fixture_register(&one, SNAP_NODES("", "Pairs"));
    for (unsigned i = 0; i < 2000; i++) {
        all.now_ms += 37;
        one.now_ms = all.now_ms;
        snprintf(body, sizeof body, "{\"user\":\"user %u\",\"shop\":\"shop %u\",\"amount\":%u.125}",
                 i * 7 % 31, i % 11, i);
        fixture_push(&all, "Tx", body);
        if (i * 7 % 31 == 3) {
            fixture_push(&one, "Tx", body);
        }
    }
    fixture_get(&all, "Users", "\"user 3\"");
    fixture_get(&one, "Users", "\"user 3\"");
    const size_t same = text_before_sample(&all);

    assert_true(same > 100);
    assert_int_equal(text_before_sample(&one), same);
    assert_memory_equal(all.response.body.data, one.response.body.data, same);
    fixture_close(&all);
    fixture_close(&one);
}

static void
test_layouts_change_under_snapshots(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 300, 40);
    snap_take(&f);
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Pairs"));
    snap_feed(&f, 300, 100, 20); /* half of the entities keep the old layout */
    snap_check_crash(&place, &f, 0);
    assert_int_equal(live_find_table(&f.engine->live, slice_text("Users"))->layout_count, 2);
    uint64_t lsn = snap_take(&f);

    assert_int_equal(live_find_table(&f.engine->live, slice_text("Users"))->layout_count, 1);
    snap_check_crash(&place, &f, lsn);
    place_reopen(&place, &f);
    snap_feed(&f, 400, 100, 60);
    fixture_register(&f,
                     "{\"force\":true,\"nodes\":[" FIXTURE_EVENT
                     "," SNAP_USERS(SNAP_MORE_FEATURES) "," FIXTURE_GLOBAL "," SNAP_PAY
                                                        "," SNAP_PAID "]}"); /* Pairs are gone */
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Couples"));
    snap_feed(&f, 500, 100, 60);
    lsn = snap_take(&f);
    snap_check_crash(&place, &f, lsn);
    place_reopen(&place, &f);
    fixture_register(&f, SNAP_NODES_FORCED(SNAP_MORE_FEATURES, "Pairs")); /* a rename */
    snap_feed(&f, 600, 100, 60);
    place_reopen(&place, &f);
    lsn = snap_take(&f);
    snap_check_crash(&place, &f, lsn);
    close_place(&place, &f);
}

static void
test_a_registration_or_reset_begins_the_snapshot_anew(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 2000, 1000);
    uint64_t ticket = engine_snapshot_request(f.engine);

    for (unsigned i = 0; i < 20; i++) {
        snap_slice(&f);
    }
    assert_false(engine_snapshot_result(f.engine, ticket, &snapshot));
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Pairs"));
    const uint64_t registered = (f.engine->next_lsn - 1);

    snap_feed(&f, 2000, 50, 1000);
    assert_int_equal(engine_snapshot_wait(f.engine, 20000, &snapshot, NULL), BV_OK);
    assert_true(snapshot.lsn >= registered);
    assert_true(engine_snapshot_result(f.engine, ticket, &snapshot));
    snap_check_crash(&place, &f, snapshot.lsn);
    snap_feed(&f, 3000, 50, 1000);
    ticket = engine_snapshot_request(f.engine);
    for (unsigned i = 0; i < 20; i++) {
        snap_slice(&f);
    }
    fixture_request(&f, REQUEST_RESET, "{}");
    snap_feed(&f, 0, 0, 1);
    assert_int_equal(engine_snapshot_wait(f.engine, 20000, &snapshot, NULL), BV_OK);
    snap_check_crash(&place, &f, snapshot.lsn);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 50, 1000);
    snap_check_crash(&place, &f, snapshot.lsn);
    close_place(&place, &f);
}

/* ---- shapes ---- */

static void
test_long_keys_and_odd_keys_come_back(void **state)
{
    struct place place;
    struct fixture f;
    char body[5000];

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    for (unsigned i = 0; i < 60; i++) {
        const int size = i < 20 ? 240 + (int)i : 300 + (int)i * 60;

        snprintf(body, sizeof body, "{\"user\":\"%0*u\",\"shop\":\"\\u0000 \\ud83d\\ude00\"%s}",
                 size, i, i % 3 == 0 ? "" : ",\"amount\":2");
        fixture_push(&f, "Tx", body);
    }
    fixture_push(&f, "Tx", "{\"user\":\"\",\"shop\":\"\",\"amount\":1}");
    const uint64_t lsn = snap_take(&f);

    snap_check_crash(&place, &f, lsn);
    place_reopen(&place, &f);
    fixture_get(&f, "Users", "\"\"");
    assert_reply_has(&f, "\"cnt\":1");
    close_place(&place, &f);
}

static void
test_an_empty_engine_takes_and_reads_a_snapshot(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    assert_true(snap_take(&f) == 0); /* nothing was ever logged: there is nothing to write */
    assert_int_equal(snap_count(&place), 0);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    assert_true(snap_take(&f) == 1);
    place_reopen(&place, &f);
    assert_int_equal(engine_registry_version(f.engine), 1);
    snap_feed(&f, 0, 20, 3);
    place_reopen(&place, &f);
    close_place(&place, &f);
}

/* ---- when ---- */

static void
run_slices(struct fixture *f, unsigned ms)
{
    const uint64_t end_ns = clock_monotonic_ns() + ms * 1000000ull;

    while (clock_monotonic_ns() < end_ns) {
        engine_background(f->engine, clock_monotonic_ns(), 0);
    }
}

static void
run_slices_until(struct fixture *f, uint64_t ticket, struct engine_snapshot *out)
{
    for (unsigned ms = 0; !engine_snapshot_result(f->engine, ticket, out); ms += 10) {
        assert_true(ms < 20000);
        run_slices(f, 10);
    }
}

static void
test_time_bytes_and_requests_begin_a_snapshot(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    place.options.snapshot_interval_ms = 60;
    place.options.snapshot_min_records = 10;
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    run_slices(&f, 120);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 0); /* too few records */
    snap_feed(&f, 0, 20, 3);
    run_slices(&f, 120);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 1);
    run_slices(&f, 120);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 1); /* nothing new */
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 0) == ENGINE_IDLE);
    snap_feed(&f, 0, 20, 3);
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 0) <= 60000000u);
    fixture_close(&f);

    place.options.snapshot_interval_ms = 0;
    place.options.snapshot_wal_bytes = 100000;
    fixture_open(&f, &place.options);
    snap_feed(&f, 0, 20, 3);
    run_slices(&f, 40);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 0);
    snap_feed(&f, 0, 1500, 3);
    run_slices(&f, 100);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count >= 1);
    close_place(&place, &f);
}

/* Two snapshots are kept, and the log back to the older: one alone makes no room, and while pushes
 * are refused nothing is new for a second. */
static void
test_a_log_without_room_gets_it_from_snapshots(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    unsigned pushed = 0;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    place.options.segment_bytes = 16384;
    place.options.wal_max_bytes = 100 * 4096;
    place.options.look_ms = 10;
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    for (unsigned round = 0; round < 3; round++) {
        do {
            f.now_ms += 37;
            fixture_push(&f, "Tx", "{\"user\":\"anna\",\"shop\":\"s\",\"amount\":1}");
            engine_wait(f.engine, f.response.wait_lsn, true, NULL);
            assert_true(pushed++ < 10000);
        } while (f.response.kind == RESPONSE_ACK);
        assert_int_equal(engine_readiness(f.engine), ENGINE_NO_SPACE);
        for (unsigned ms = 0; engine_readiness(f.engine) != ENGINE_READY; ms += 10) {
            assert_true(ms < 20000);
            run_slices(&f, 10);
            engine_tick_begin(f.engine, f.now_ms); /* hands over what the log is still owed */
            engine_tick_end(f.engine);
        }
    }
    const uint64_t lsn = snap_take(&f);

    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count >= 4);
    assert_int_equal(snap_count(&place), 2);
    snap_check_crash(&place, &f, lsn);
    close_place(&place, &f);
}

static void
test_a_request_under_way_gets_a_snapshot_that_knows_it(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 2000, 1000);
    const uint64_t first = engine_snapshot_request(f.engine);

    assert_true(engine_snapshot_request(f.engine) == first); /* the same state of affairs */
    for (unsigned i = 0; i < 30; i++) {
        snap_slice(&f);
    }
    snap_feed(&f, 2000, 1, 1000);
    const uint64_t lsn = (f.engine->next_lsn - 1);

    fixture_request(&f, REQUEST_SNAPSHOT, "");
    assert_int_equal(f.response.kind, RESPONSE_LATER);
    assert_true(f.response.lsn == first + 1);
    assert_int_equal(engine_snapshot_wait(f.engine, 20000, &snapshot, NULL), BV_OK);
    assert_true(snapshot.lsn == lsn);
    assert_true(engine_snapshot_result(f.engine, first, &snapshot));
    assert_int_equal(snap_count(&place), 2);
    /* Nothing new: no file is written again. */
    assert_true(snap_take(&f) == lsn);
    assert_int_equal(snap_count(&place), 2);
    close_place(&place, &f);
}

/* A registration takes the attempt back to before its S; what was asked behind that S stays asked.
 */
static void
test_a_request_before_a_restart_is_answered_beside_one_after_it(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 2000, 1000);
    const uint64_t first = engine_snapshot_request(f.engine);

    for (unsigned i = 0; i < 20; i++) {
        snap_slice(&f);
    }
    const uint64_t behind = engine_snapshot_request(f.engine);

    assert_true(behind == first + 1);
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Pairs"));
    assert_true(engine_snapshot_request(f.engine) == first);
    run_slices_until(&f, first, &snapshot);
    assert_int_equal(snapshot.status, BV_OK);
    run_slices_until(&f, behind, &snapshot);
    assert_int_equal(snapshot.status, BV_OK);
    assert_int_equal(snap_count(&place), 1); /* nothing was new */
    close_place(&place, &f);
}

static void
test_without_a_log_there_are_no_snapshots(void **state)
{
    struct fixture f;
    struct engine_snapshot snapshot;
    struct bv_error err;

    (void)state;
    fixture_open_memory(&f);
    fixture_request(&f, REQUEST_SNAPSHOT, "");
    assert_reply_has(&f, "snapshot_unavailable");
    assert_int_equal(engine_snapshot_wait(f.engine, 10, &snapshot, &err), BV_SNAPSHOT_UNAVAILABLE);
    assert_true(engine_background(f.engine, clock_monotonic_ns(), 0) == ENGINE_IDLE);
    fixture_close(&f);
}

/* ---- failures ---- */

static void
test_a_disk_that_refuses_costs_one_snapshot_and_nothing_else(void **state)
{
    struct place place;
    struct fixture f;
    struct os_fault fault;
    struct engine_snapshot snapshot;
    struct engine_stats stats;
    struct bv_error err;

    (void)state;
    os_fault_init(&fault, os_posix());
    place_make(&place, BV_POLICY_OS);
    place.options.os = &fault.os;
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 500, 100);
    const uint64_t first = snap_take(&f);

    snap_feed(&f, 500, 10, 100);
    os_fault_set_next(&fault, OS_CALL_RENAME,
                      (struct os_fault_rule){.at = 1, .times = 1, .error = 28});
    engine_snapshot_request(f.engine);
    assert_int_equal(engine_snapshot_wait(f.engine, 20000, &snapshot, &err),
                     BV_SNAPSHOT_UNAVAILABLE);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_failures == 1 && stats.snapshot_lsn == first);
    assert_int_equal(snap_count(&place), 1);
    snap_feed(&f, 510, 10, 100);
    const uint64_t second = snap_take(&f);

    assert_true(second == first + 10 + 3 + 10 + 2);
    snap_check_crash(&place, &f, second);
    close_place(&place, &f);
}

/* A log that failed goes on behind a snapshot of what is in memory (server.md 5.5). */
static void
test_a_log_that_failed_resumes_behind_a_snapshot(void **state)
{
    struct place place;
    struct fixture f;
    struct os_fault fault;
    struct engine_stats stats;
    char event[128] = "{\"user\":\"lost?\",\"amount\":1}"; /* with slack */

    (void)state;
    os_fault_init(&fault, os_posix());
    place_make(&place, BV_POLICY_ALWAYS);
    place.options.os = &fault.os;
    place.options.look_ms = 20;
    place.options.tick_ms = 60000; /* no commit mark while nothing is pushed: it would fail first */
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 500, 100);
    os_fault_set_next(&fault, OS_CALL_SYNC,
                      (struct os_fault_rule){.at = 1, .times = 2, .error = 5});
    engine_tick_begin(f.engine, f.now_ms);
    const struct request request = {.kind = REQUEST_PUSH,
                                    .transport = TRANSPORT_HTTP,
                                    .encoding = ENCODING_JSON,
                                    .has_name = true,
                                    .name = slice_text("Tx"),
                                    .payload = slice_text(event)};

    engine_dispatch(f.engine, &request, &f.response);
    engine_tick_end(f.engine);
    assert_int_equal(f.response.kind, RESPONSE_ACK);
    assert_int_equal(engine_wait(f.engine, f.response.wait_lsn, false, NULL), BV_WAL_UNAVAILABLE);
    const uint64_t applied = (f.engine->next_lsn - 1);

    assert_int_equal(engine_readiness(f.engine), ENGINE_FAILED);
    for (unsigned ms = 0; engine_failed(f.engine) && ms < 5000; ms += 10) {
        run_slices(&f, 10);
    }
    assert_int_equal(engine_readiness(f.engine), ENGINE_READY);
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_lsn == applied && stats.wal_resumes == 1);
    assert_true(engine_synced_lsn(f.engine) >= applied);
    snap_check_crash(&place, &f, applied);
    snap_feed(&f, 600, 20, 100);
    snap_check_crash(&place, &f, applied);
    close_place(&place, &f);
}

static void
test_memory_that_is_spent_fails_the_snapshot_only(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_snapshot snapshot;
    struct bv_error err;
    bv_digest digest;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 600, 500);
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Pairs"));
    pages_fail_from(f.engine->pages, 3);
    engine_snapshot_request(f.engine);
    assert_int_equal(engine_snapshot_wait(f.engine, 20000, &snapshot, &err),
                     BV_SNAPSHOT_UNAVAILABLE);
    pages_fail_from(f.engine->pages, 0);
    const uint64_t lsn = snap_take(&f);

    snap_check_crash(&place, &f, lsn);
    engine_digest(f.engine, &digest);
    assert_true(digest.entities > 500);
    close_place(&place, &f);
}

static void
test_a_hundred_snapshots_take_no_more_memory_than_one(void **state)
{
    struct place place;
    struct fixture f;
    struct engine_stats stats;
    char more[2000];
    char nodes[6000];
    size_t size = 0;
    uint64_t bytes = 0;

    (void)state;
    open_place(&place, &f, BV_POLICY_OS);
    snap_feed(&f, 0, 500, 100);
    for (unsigned i = 0; i < 100; i++) {
        snap_feed(&f, 499, 1, 100);
        if (i % 10 == 0) { /* layouts come and go */
            size += (size_t)snprintf(more + size, sizeof more - size,
                                     ",\"more%u\":{\"op\":\"count\",\"params\":{\"where\":"
                                     "\"(amount > %u)\"}}",
                                     i, i);
            snprintf(nodes, sizeof nodes, SNAP_NODES("%s", "Pairs"), more);
            fixture_register(&f, nodes);
        }
        snap_take(&f);
        if (i == 20) {
            engine_stats_get(f.engine, &stats);
            bytes = stats.state_bytes;
        }
    }
    engine_stats_get(f.engine, &stats);
    assert_true(stats.snapshot_count == 100);
    /* Eight features of eight bytes more for each of a hundred entities. */
    assert_true(stats.state_bytes <= bytes + 64 * 1024);
    assert_int_equal(live_find_table(&f.engine->live, slice_text("Users"))->layout_count, 1);
    assert_int_equal(snap_count(&place), 2);
    snap_check_crash(&place, &f, stats.snapshot_lsn);
    close_place(&place, &f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_comes_back_as_it_was),
        cmocka_unit_test(test_rule_1_replay_passes_by_what_an_image_holds),
        cmocka_unit_test(test_rule_2_an_entity_larger_than_a_chunk_is_copied_whole),
        cmocka_unit_test(test_rule_3_nothing_is_published_that_the_log_could_lose),
        cmocka_unit_test(test_rules_4_and_5_an_entity_that_expires_and_returns_counts_once),
        cmocka_unit_test(test_rule_6_keys_of_pushes_and_the_clock_are_in_the_snapshot),
        cmocka_unit_test(test_rule_7_an_entity_is_the_same_without_the_others),
        cmocka_unit_test(test_layouts_change_under_snapshots),
        cmocka_unit_test(test_a_registration_or_reset_begins_the_snapshot_anew),
        cmocka_unit_test(test_long_keys_and_odd_keys_come_back),
        cmocka_unit_test(test_an_empty_engine_takes_and_reads_a_snapshot),
        cmocka_unit_test(test_time_bytes_and_requests_begin_a_snapshot),
        cmocka_unit_test(test_a_log_without_room_gets_it_from_snapshots),
        cmocka_unit_test(test_a_request_under_way_gets_a_snapshot_that_knows_it),
        cmocka_unit_test(test_a_request_before_a_restart_is_answered_beside_one_after_it),
        cmocka_unit_test(test_without_a_log_there_are_no_snapshots),
        cmocka_unit_test(test_a_disk_that_refuses_costs_one_snapshot_and_nothing_else),
        cmocka_unit_test(test_a_log_that_failed_resumes_behind_a_snapshot),
        cmocka_unit_test(test_memory_that_is_spent_fails_the_snapshot_only),
        cmocka_unit_test(test_a_hundred_snapshots_take_no_more_memory_than_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
