/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets: what is refused, what goes on, and what makes room. */
#include "apply_fixture.h"
#include "place_fixture.h"

#include "apply/apply.h"
#include "util/bytes.h"

#define COLD_EVENT                                                                                 \
    "{\"kind\":\"event\",\"name\":\"Tx\",\"schema\":{\"fields\":{\"user\":\"str\",\"shop\":"       \
    "\"str\"},\"optional_fields\":[\"shop\"]},\"cold_after_ms\":100}"
#define COUNT(name) "\"" name "\":{\"op\":\"count\"}"
#define BY_USER     FIXTURE_TABLE("Users", "\"user\"", COUNT("cnt"))
#define BY_SHOP     FIXTURE_TABLE("Shops", "\"shop\"", COUNT("shop_cnt"))
#define EVENT                                                                                      \
    "{\"kind\":\"event\",\"name\":\"Tx\",\"schema\":{\"fields\":{\"user\":\"str\",\"shop\":"       \
    "\"str\"},\"optional_fields\":[\"shop\"]}}"
#define NODES      "{\"nodes\":[" EVENT "," BY_USER "," BY_SHOP "]}"
#define COLD_NODES "{\"nodes\":[" COLD_EVENT "," BY_USER "," BY_SHOP "]}"

static void
push_user(struct fixture *f, const char *user)
{
    char body[64];

    snprintf(body, sizeof body, "{\"user\":\"%s\"}", user);
    fixture_push(f, "Tx", body);
}

static void
assert_accepted(struct fixture *f, const char *user)
{
    push_user(f, user);
    if (f->response.kind != RESPONSE_ACK) {
        fail_msg("%s: %s", user, f->reply);
    }
}

static void
assert_refused(struct fixture *f, const char *user, const char *why)
{
    const uint64_t lsn = f->engine->next_lsn;

    push_user(f, user);
    assert_int_equal(f->response.status, BV_MEMORY_LIMIT);
    assert_reply_has(f, "\"code\":\"memory_limit\"");
    assert_reply_has(f, "\"path\":\"Users\"");
    assert_reply_has(f, why);
    assert_int_equal(f->engine->next_lsn, lsn);
}

static uint64_t
entities_of(const struct fixture *f, const char *table)
{
    return table_entity_count(live_find_table(&f->engine->live, slice_text(table))->table);
}

static void
open_world(struct fixture *f, uint64_t table_max, bool evicts, const char *nodes)
{
    const struct engine_options options = {.policy = BV_POLICY_MEMORY,
                                           .is_test_mode = true,
                                           .table_max_entities = table_max,
                                           .table_full_evicts = evicts};

    fixture_open(f, &options);
    fixture_register(f, nodes);
}

static void
test_a_full_table_takes_updates_and_no_new_entities(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 2, false, NODES);
    assert_accepted(&f, "a");
    assert_accepted(&f, "b");
    assert_refused(&f, "c", "table_max_entities 2");
    assert_reply_has(&f, "\"hint\":\"raise table_max_entities");
    assert_accepted(&f, "a");
    assert_int_equal(entities_of(&f, "Users"), 2);
    assert_int_equal(f.engine->table_full_refusals, 1);
    assert_int_equal(f.engine->events_refused, 1);
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":2}");
    fixture_close(&f);
}

static void
test_a_push_is_refused_whole_when_one_of_its_tables_is_full(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 2, false, NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"x\"}");
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"shop\":\"x\"}");
    fixture_push(&f, "Tx", "{\"user\":\"c\",\"shop\":\"y\"}");
    assert_reply_has(&f, "\"path\":\"Users\"");
    fixture_get(&f, "Shops", "\"y\"");
    assert_reply(&f, "{}");
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"shop\":\"y\"}");
    assert_int_equal(f.response.kind, RESPONSE_ACK);
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"shop\":\"z\"}");
    assert_reply_has(&f, "\"path\":\"Shops\"");
    fixture_get(&f, "Users", "\"b\"");
    assert_reply(&f, "{\"cnt\":2}");
    fixture_close(&f);
}

/* What is staged counts: the first new entity of a batch takes the last place. */
static void
test_elements_of_a_batch_are_refused_alone(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 2, false, NODES);
    fixture_request(&f, REQUEST_PUSH_MANY,
                    "{\"event\":\"Tx\",\"bodies\":[{\"user\":\"a\"},{\"user\":\"b\"},{\"user\":"
                    "\"c\"},{\"user\":\"a\"},{\"user\":\"d\"}]}");
    assert_reply_has(&f, "\"accepted\":3,");
    assert_reply_has(&f, "\"index\":2}");
    assert_reply_has(&f, "\"index\":4}");
    assert_int_equal(entities_of(&f, "Users"), 2);
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":2}");
    fixture_close(&f);
}

static void
test_at_the_memory_limit_updates_go_on_until_a_tenth_above(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0, false, NODES);
    assert_accepted(&f, "a");
    const uint64_t used = pages_used_bytes(f.engine->pages);

    f.engine->options.memory_limit_bytes = used * 2;
    assert_accepted(&f, "b");
    assert_int_equal(budget_percent(f.engine), 50);
    assert_int_equal(f.engine->memory_warned_ms, 0);
    f.engine->options.memory_limit_bytes = used;
    assert_refused(&f, "c", "no new entities, updates go on");
    assert_reply_has(&f, "\"hint\":\"raise memory_limit_bytes");
    assert_int_equal(f.engine->memory_warned_ms, f.now_ms);
    assert_accepted(&f, "a");
    fixture_register(&f, "{\"force\":true,\"nodes\":[" EVENT "," BY_USER "]}");
    assert_accepted(&f, "b");
    f.engine->options.memory_limit_bytes = used / 2;
    assert_refused(&f, "a", "pushes are refused");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":2}");
    assert_int_equal(f.engine->memory_refusals, 2);
    f.engine->options.memory_limit_bytes = 0;
    assert_accepted(&f, "c");
    fixture_close(&f);
}

static void
test_a_warning_comes_once_a_minute(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0, false, NODES);
    assert_accepted(&f, "a");
    f.engine->options.memory_limit_bytes = pages_used_bytes(f.engine->pages) * 100 / 95;
    push_user(&f, "a");
    const uint64_t first_ms = f.engine->memory_warned_ms;

    assert_int_equal(first_ms, f.now_ms);
    f.now_ms += 59999;
    push_user(&f, "a");
    assert_int_equal(f.engine->memory_warned_ms, first_ms);
    f.now_ms += 1;
    push_user(&f, "a");
    assert_int_equal(f.engine->memory_warned_ms, f.now_ms);
    fixture_close(&f);
}

static void
test_the_entity_idle_longest_makes_room(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 3, true, NODES);
    assert_accepted(&f, "a");
    f.now_ms++;
    assert_accepted(&f, "b");
    f.now_ms++;
    assert_accepted(&f, "c");
    f.now_ms++;
    assert_accepted(&f, "a");
    f.now_ms++;
    const uint64_t lsn = f.engine->next_lsn;

    assert_accepted(&f, "d");
    assert_int_equal(f.response.lsn, lsn + 1); /* the eviction is logged first */
    fixture_get(&f, "Users", "\"b\"");
    assert_reply(&f, "{}");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":2}");
    assert_int_equal(entities_of(&f, "Users"), 3);
    assert_int_equal(f.engine->idle_evictions, 1);
    fixture_close(&f);
}

static void
test_what_has_expired_makes_room_under_either_policy(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 2, false, COLD_NODES);
    assert_accepted(&f, "a");
    f.now_ms += 60;
    assert_accepted(&f, "b");
    f.now_ms += 60; /* a has expired, but nothing recorded says so yet */
    assert_refused(&f, "c", "table_max_entities");
    f.now_ms += 60;
    assert_accepted(&f, "c");
    assert_int_equal(f.engine->cold_evictions, 2);
    assert_int_equal(f.engine->idle_evictions, 0);
    fixture_close(&f);
}

/* Nothing is accepted, so nothing would ever say that time has passed. */
static void
test_refusals_move_the_recorded_clock(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0, false, COLD_NODES);
    assert_accepted(&f, "a");
    f.engine->options.memory_limit_bytes = pages_used_bytes(f.engine->pages);
    f.now_ms += 99;
    assert_refused(&f, "c", "no new entities");
    f.now_ms += 2;
    const uint64_t lsn = f.engine->next_lsn;

    push_user(&f, "c");
    assert_int_equal(f.response.status, BV_MEMORY_LIMIT);
    assert_int_equal(f.engine->next_lsn, lsn + 1);
    assert_int_equal(f.engine->last_event_ms, f.now_ms);
    assert_int_equal(entities_of(&f, "Users"), 1);
    idle_sweep(f.engine, 256, UINT64_MAX);
    assert_int_equal(entities_of(&f, "Users"), 0);
    fixture_close(&f);
}

static void
test_replay_repeats_evictions(void **state)
{
    struct place place;
    struct fixture f;
    uint32_t chance = 5;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    place.options.table_max_entities = 20;
    place.options.table_full_evicts = true;
    fixture_open(&f, &place.options);
    fixture_register(&f, NODES);
    for (unsigned i = 0; i < 900; i++) {
        char body[96];
        uint64_t lsn = f.engine->next_lsn;

        chance = chance * 1664525u + 1013904223u;
        snprintf(body, sizeof body, "{\"user\":\"u%u\",\"shop\":\"%0*u\"}", chance >> 20 & 63,
                 i % 4 == 0 ? 40 : 3, chance >> 8 & 31);
        fixture_push(&f, "Tx", body);
        assert_int_equal(f.response.kind, RESPONSE_ACK);
        assert_true(f.response.lsn >= lsn && f.response.lsn <= lsn + 2);
        f.now_ms += chance >> 16 & 7;
        place_go_on_beside(&f, i);
        if (i == 800) {
            place_snapshot(&f);
        }
        if (i == 450) {
            place_reopen(&place, &f);
            fixture_register(&f, "{\"force\":true,\"nodes\":[" EVENT "," BY_USER "]}");
            fixture_register(&f, NODES); /* another generation of the table by shop */
        }
    }
    assert_true(f.engine->idle_evictions > 200);
    assert_int_equal(entities_of(&f, "Users"), 20);
    place_reopen(&place, &f);
    assert_true(f.engine->recovered_from_snapshot_lsn != 0);
    fixture_close(&f);
    place_remove(&place);
}

static enum bv_status
replay(struct fixture *f, uint64_t lsn, uint32_t id, uint32_t generation, const void *entities,
       size_t size)
{
    uint8_t body[64];
    struct bv_error err;

    store_le32(body, id);
    store_le32(body + 4, generation);
    memcpy(body + 8, entities, size);
    return budget_replay_evict(f->engine, lsn, slice_of(body, 8 + size), &err);
}

static void
test_an_image_that_is_younger_than_an_eviction_stays(void **state)
{
    static const uint8_t keys[] = {1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b', 1, 0, 0, 0, 'c'};
    struct fixture f;
    enum table_image outcome;

    (void)state;
    open_world(&f, 0, false, NODES);
    struct live_table *users = live_find_table(&f.engine->live, slice_text("Users"));

    for (unsigned i = 0; i < 2; i++) {
        const struct slice key = slice_of(i == 0 ? "a" : "b", 1);
        const uint32_t ref = table_insert_image(users->table, table_hash(users->table, key), key,
                                                1000, 50 + i * 50, &outcome);

        plan_layout_init_state(users->layout, table_state(users->table, ref));
    }
    assert_accepted(&f, "c"); /* made by replay: no image holds it */
    f.engine->is_over_images = true;
    assert_int_equal(replay(&f, 70, table_id(users->table), 0, keys, sizeof keys), BV_OK);
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{}");
    fixture_get(&f, "Users", "\"b\"");
    assert_reply(&f, "{\"cnt\":0}");
    fixture_get(&f, "Users", "\"c\"");
    assert_reply(&f, "{}");
    fixture_close(&f);
}

static void
test_an_eviction_that_does_not_fit_is_corrupt(void **state)
{
    static const uint8_t cut[] = {2, 0, 0, 0, 'a'};
    static const uint8_t odd[] = {1, 0, 0, 0, 'a', 0};
    struct fixture f;
    struct bv_error err;

    (void)state;
    open_world(&f, 0, false, NODES);
    const uint32_t id = table_id(live_find_table(&f.engine->live, slice_text("Users"))->table);

    assert_int_equal(replay(&f, 5, id, 0, "", 0), BV_OK);
    assert_int_equal(replay(&f, 5, id, 1, "", 0), BV_CORRUPT);
    assert_int_equal(replay(&f, 5, 77, 0, "", 0), BV_CORRUPT);
    assert_int_equal(replay(&f, 5, id, 0, cut, sizeof cut), BV_CORRUPT);
    assert_int_equal(replay(&f, 5, id, 0, odd, sizeof odd), BV_CORRUPT);
    assert_int_equal(budget_replay_evict(f.engine, 5, slice_of("1234567", 7), &err), BV_CORRUPT);
    fixture_close(&f);
}

static void
count_visit(void *context, struct table *table, uint32_t ref)
{
    (void)table;
    (void)ref;
    ++*(unsigned *)context;
}

static void
test_a_hand_going_round_meets_every_entity(void **state)
{
    static bool was_met[1u << 22];
    struct fixture f;
    uint64_t hand = 0;
    unsigned met = 0;
    unsigned all = 0;

    (void)state;
    open_world(&f, 0, false, NODES);
    for (unsigned i = 0; i < 3000; i++) {
        char user[16];

        snprintf(user, sizeof user, "u%u", i);
        assert_accepted(&f, user);
    }
    struct table *table = live_find_table(&f.engine->live, slice_text("Users"))->table;

    table_each(table, count_visit, &all);
    for (unsigned i = 0; i < 6000 && met < all; i++) {
        uint32_t refs[16];
        const uint32_t count = table_sample(table, &hand, refs, 16);

        assert_true(count != 0 && count <= 16);
        for (uint32_t k = 0; k < count; k++) {
            met += !was_met[refs[k]];
            was_met[refs[k]] = true;
        }
    }
    assert_int_equal(met, 3000);
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_table_takes_updates_and_no_new_entities),
        cmocka_unit_test(test_a_push_is_refused_whole_when_one_of_its_tables_is_full),
        cmocka_unit_test(test_elements_of_a_batch_are_refused_alone),
        cmocka_unit_test(test_at_the_memory_limit_updates_go_on_until_a_tenth_above),
        cmocka_unit_test(test_a_warning_comes_once_a_minute),
        cmocka_unit_test(test_the_entity_idle_longest_makes_room),
        cmocka_unit_test(test_what_has_expired_makes_room_under_either_policy),
        cmocka_unit_test(test_refusals_move_the_recorded_clock),
        cmocka_unit_test(test_replay_repeats_evictions),
        cmocka_unit_test(test_an_image_that_is_younger_than_an_eviction_stays),
        cmocka_unit_test(test_an_eviction_that_does_not_fit_is_corrupt),
        cmocka_unit_test(test_a_hand_going_round_meets_every_entity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
