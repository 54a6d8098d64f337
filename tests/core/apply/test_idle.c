/* SPDX-License-Identifier: Apache-2.0 */
/* The time to live: who has expired, for whom, and what becomes of the memory. */
#include "apply_fixture.h"
#include "place_fixture.h"

#include "apply/apply.h"

#define COLD_MS 100

#define VISITS(cold, more)                                                                         \
    "{\"kind\":\"event\",\"name\":\"Visit\",\"schema\":{\"fields\":{\"user\":\"str\",\"shop\":"    \
    "\"str\"" more "}}" cold "}"
#define COLD(ms) ",\"cold_after_ms\":" #ms
#define VISIT_TABLE(name, keys, agg)                                                               \
    "{\"kind\":\"derivation\",\"name\":\"" name                                                    \
    "\",\"output_kind\":\"table\",\"upstreams\":[\"Visit\"],\"table_primary_key\":[" keys          \
    "],\"ops\":[{\"op\":\"group_by\",\"keys\":[" keys "],\"agg\":{" agg "}}]}"
/* The second feature owns memory out of line. */
#define BY_USER                                                                                    \
    VISIT_TABLE("Users", "\"user\"",                                                               \
                "\"cnt\":{\"op\":\"count\"},\"shops\":{\"op\":\"last_n\",\"params\":{\"field\":"   \
                "\"shop\",\"n\":3}}")
#define BY_PAIR     VISIT_TABLE("Pairs", "\"user\",\"shop\"", "\"pair_cnt\":{\"op\":\"count\"}")
#define NODES(cold) "{\"nodes\":[" VISITS(cold, "") "," BY_USER "," BY_PAIR "]}"

#define ENDLESS_NS UINT64_MAX

static void
visit(struct fixture *f, const char *user, const char *shop)
{
    char body[512];

    snprintf(body, sizeof body, "{\"user\":\"%s\",\"shop\":\"%s\"}", user, shop);
    fixture_push(f, "Visit", body);
    assert_int_equal(f->response.kind, RESPONSE_ACK);
}

static void
assert_count(struct fixture *f, const char *user, unsigned wanted)
{
    char key[64];
    char reply[64];

    snprintf(key, sizeof key, "\"%s\"", user);
    fixture_get(f, "Users", key);
    if (wanted == 0) {
        assert_reply(f, "{}");
    } else {
        snprintf(reply, sizeof reply, "{\"cnt\":%u,", wanted);
        assert_reply_has(f, reply);
    }
}

static struct live_table *
table_named(const struct fixture *f, const char *name)
{
    return live_find_table(&f->engine->live, slice_text(name));
}

static void
test_an_entity_is_gone_for_every_reader_after_more_than_its_time(void **state)
{
    static const struct {
        enum request_kind kind;
        const char *json;
        const char *there, *gone;
    } rows[] = {
        {REQUEST_GET, "{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"cnt\"]}", "{\"cnt\":1}",
         "{}"},
        {REQUEST_MGET, "{\"feature\":\"cnt\",\"keys\":[\"a\"]}", "{\"a\":{\"cnt\":1}}", "{}"},
        {REQUEST_GET_MULTI, "{\"keys\":[\"a\"],\"features\":[\"cnt\"]}", "{\"a\":{\"cnt\":1}}",
         "{}"},
        {REQUEST_BATCH_GET,
         "{\"requests\":[{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"cnt\"]}]}",
         "{\"results\":[{\"cnt\":1}]}", "{\"results\":[{}]}"},
    };
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    f.now_ms += COLD_MS;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_request(&f, rows[i].kind, rows[i].json);
        assert_reply(&f, rows[i].there);
    }
    f.now_ms += 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_request(&f, rows[i].kind, rows[i].json);
        assert_reply(&f, rows[i].gone);
    }
    fixture_close(&f);
}

static void
test_a_push_begins_an_expired_entity_afresh_in_each_of_its_tables(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    visit(&f, "a", "y");
    f.now_ms += 60;
    visit(&f, "b", "x");
    visit(&f, "a", "y");
    f.now_ms += 41;
    visit(&f, "a", "x"); /* the user was seen 41 ms ago, the pair 101 ms ago */
    assert_count(&f, "a", 4);
    assert_count(&f, "b", 1);
    fixture_get(&f, "Pairs", "\"a|x\"");
    assert_reply(&f, "{\"pair_cnt\":1}");
    fixture_get(&f, "Pairs", "\"a|y\"");
    assert_reply(&f, "{\"pair_cnt\":2}");
    assert_int_equal(f.engine->cold_evictions, 1);
    f.now_ms += 101;
    visit(&f, "a", "x");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":1,\"shops\":[\"x\"]}");
    assert_int_equal(f.engine->cold_evictions, 3);
    assert_int_equal(table_named(&f, "Users")->cold_evictions, 1);
    assert_int_equal(table_named(&f, "Pairs")->cold_evictions, 2);
    fixture_close(&f);
}

static void
test_reads_do_not_keep_an_entity_warm(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    for (unsigned i = 0; i < 10; i++) {
        f.now_ms += 10;
        assert_count(&f, "a", 1);
    }
    f.now_ms += 1;
    assert_count(&f, "a", 0);
    fixture_close(&f);
}

static void
test_another_time_to_live_brings_nobody_back(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    f.now_ms += 60;
    visit(&f, "b", "x");
    f.now_ms += 41;
    fixture_register(&f, NODES(COLD(1000000)));
    assert_count(&f, "a", 0);
    assert_count(&f, "b", 1);
    fixture_register(&f, NODES(""));
    f.now_ms += 100000000;
    assert_count(&f, "a", 0);
    assert_count(&f, "b", 1);
    visit(&f, "a", "x");
    assert_count(&f, "a", 1);
    fixture_register(&f, NODES(COLD(50)));
    assert_count(&f, "a", 1);
    assert_count(&f, "b", 0);
    fixture_close(&f);
}

static void
test_the_sweep_frees_memory_and_changes_nothing_else(void **state)
{
    struct fixture f;
    bv_digest before;
    bv_digest after;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    const uint64_t empty_bytes = pages_used_bytes(f.engine->pages);

    for (unsigned i = 0; i < 2000; i++) {
        char user[300];

        snprintf(user, sizeof user, "%0*u", i % 3 == 0 ? 280 : 8, i);
        visit(&f, user, "x");
    }
    f.now_ms += 50;
    visit(&f, "b", "x");
    f.now_ms += 60;
    visit(&f, "c", "x");
    engine_digest(f.engine, &before);
    assert_int_equal(before.entities, 4);
    assert_true(idle_sweep(f.engine, 256, ENDLESS_NS));
    assert_int_equal(f.engine->cold_evictions, 256);
    while (idle_sweep(f.engine, 256, ENDLESS_NS)) {
        assert_true(f.engine->cold_evictions <= 4000);
    }
    assert_int_equal(f.engine->cold_evictions, 4000);
    assert_int_equal(table_entity_count(table_named(&f, "Users")->table), 2);
    engine_digest(f.engine, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_false(idle_sweep(f.engine, 256, ENDLESS_NS)); /* no time has passed */
    assert_count(&f, "b", 1);
    /* What stays are the two entities, their lists and the index of 4000. */
    assert_true(pages_used_bytes(f.engine->pages) < empty_bytes + 40 * PAGE_SIZE_BYTES);
    fixture_close(&f);
}

static void
test_a_slice_ends_when_its_time_is_over(void **state)
{
    struct fixture f;
    unsigned slices = 0;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    for (unsigned i = 0; i < 1000; i++) {
        char user[16];

        snprintf(user, sizeof user, "u%u", i);
        visit(&f, user, "x");
    }
    f.now_ms += 101;
    visit(&f, "b", "x");
    while (idle_sweep(f.engine, UINT32_MAX, 0)) {
        slices++;
    }
    assert_true(slices >= 4); /* a page each */
    assert_int_equal(f.engine->cold_evictions, 2000);
    fixture_close(&f);
}

/* Whether it is still in memory must follow from the log alone. */
static void
test_nothing_is_freed_that_the_log_does_not_know_to_have_expired(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    f.now_ms += 1000;
    assert_count(&f, "a", 0);
    assert_false(idle_sweep(f.engine, 256, ENDLESS_NS));
    place_reopen(&place, &f);
    assert_count(&f, "a", 0);
    visit(&f, "b", "x");
    while (idle_sweep(f.engine, 256, ENDLESS_NS)) {
        assert_true(f.engine->sweep_page != 0);
    }
    assert_int_equal(table_entity_count(table_named(&f, "Users")->table), 1);
    place_reopen(&place, &f);
    assert_count(&f, "a", 0);
    fixture_close(&f);
    place_remove(&place);
}

static void
test_an_expired_entity_of_an_older_layout_is_released_as_it_lies(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    visit(&f, "a", "x");
    visit(&f, "b", "x");
    visit(&f, "c", "x");
    fixture_register(
        &f,
        "{\"nodes\":[" VISITS(COLD(100), "") "," VISIT_TABLE(
            "Users", "\"user\"",
            "\"cnt\":{\"op\":\"count\"},\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}"
            "},\"shops\":{\"op\":\"last_n\",\"params\":{\"field\":\"shop\",\"n\":3}}") "," BY_PAIR
                                                                                       "]}");
    f.now_ms += 101;
    visit(&f, "a", "y"); /* in place */
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":1,\"low\":\"y\",\"shops\":[\"y\"]}");
    assert_count(&f, "b", 0);
    while (idle_sweep(f.engine, 256, ENDLESS_NS)) {
        assert_true(f.engine->sweep_page != 0);
    }
    assert_int_equal(table_entity_count(table_named(&f, "Users")->table), 1);
    visit(&f, "b", "z");
    assert_count(&f, "b", 1);
    fixture_close(&f);
}

/* Rule 1 of engine.md 8 and expiry at once. */
static void
test_a_record_below_an_image_neither_touches_nor_expires_its_entity(void **state)
{
    struct fixture f;
    enum table_image outcome;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, NODES(COLD(100)));
    struct live_table *users = table_named(&f, "Users");
    const struct slice key = slice_text("a");
    const uint64_t hash = table_hash(users->table, key);
    const uint32_t ref = table_insert_image(users->table, hash, key, 1000, 50, &outcome);

    assert_int_not_equal(ref, 0);
    plan_layout_init_state(users->layout, table_state(users->table, ref));
    f.engine->is_over_images = true;
    f.engine->next_lsn = 40;
    f.now_ms = 5000;
    visit(&f, "a", "x"); /* LSN 40: the image was taken later, and holds it */
    assert_int_equal(table_touched_ms(users->table, ref), 1000);
    assert_int_equal(users->cold_evictions, 0);
    f.engine->next_lsn = 51;
    visit(&f, "a", "x");
    assert_int_equal(table_touched_ms(users->table, ref), 5000);
    assert_int_equal(users->cold_evictions, 1);
    visit(&f, "a", "x");
    assert_count(&f, "a", 2);
    fixture_close(&f);
}

/* Entities come and go, sweeps come when they like, registrations change the time to live. */
static void
test_replay_repeats_every_expiry(void **state)
{
    static const char *const registrations[] = {NODES(COLD(100)), NODES(COLD(30)), NODES(""),
                                                NODES(COLD(400))};
    struct place place;
    struct fixture f;
    uint32_t chance = 7;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    fixture_register(&f, registrations[0]);
    for (unsigned i = 0; i < 600; i++) {
        char user[16];
        char shop[16];

        chance = chance * 1664525u + 1013904223u;
        snprintf(user, sizeof user, "u%u", chance >> 8 & 15);
        snprintf(shop, sizeof shop, "s%u", chance >> 12 & 3);
        visit(&f, user, shop);
        f.now_ms += chance >> 16 & 31;
        if (i % 7 == 0) {
            idle_sweep(f.engine, chance >> 20 & 7, ENDLESS_NS);
        }
        if (i % 90 == 89) {
            fixture_register(&f, registrations[chance >> 24 & 3]);
        }
        place_go_on_beside(&f, i);
        if (i == 540) {
            place_snapshot(&f);
        }
        if (i % 150 == 149) {
            place_reopen(&place, &f);
        }
    }
    assert_true(f.engine->recovered_from_snapshot_lsn != 0);
    fixture_close(&f);
    place_remove(&place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entity_is_gone_for_every_reader_after_more_than_its_time),
        cmocka_unit_test(test_a_push_begins_an_expired_entity_afresh_in_each_of_its_tables),
        cmocka_unit_test(test_reads_do_not_keep_an_entity_warm),
        cmocka_unit_test(test_another_time_to_live_brings_nobody_back),
        cmocka_unit_test(test_the_sweep_frees_memory_and_changes_nothing_else),
        cmocka_unit_test(test_a_slice_ends_when_its_time_is_over),
        cmocka_unit_test(test_nothing_is_freed_that_the_log_does_not_know_to_have_expired),
        cmocka_unit_test(test_an_expired_entity_of_an_older_layout_is_released_as_it_lies),
        cmocka_unit_test(test_a_record_below_an_image_neither_touches_nor_expires_its_entity),
        cmocka_unit_test(test_replay_repeats_every_expiry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
