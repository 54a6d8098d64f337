/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations in force: what keeps its state and what does not, and reset. live.c behind them. */
#include "os/fault.h"
#include "place_fixture.h"

#define MORE_USERS                                                                                 \
    FIXTURE_TABLE(                                                                                 \
        "Users", "\"user\"",                                                                       \
        "\"avg\":{\"op\":\"mean\",\"params\":{\"field\":\"amount\"}},"                             \
        "\"cnt\":{\"op\":\"count\"},"                                                              \
        "\"tot\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"                              \
        "\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}},"                                \
        "\"sd_1m\":{\"op\":\"std\",\"params\":{\"field\":\"amount\",\"window\":\"1m\"}},"          \
        "\"cnt_1m\":{\"op\":\"count\",\"params\":{\"window\":\"1m\"}}")

static void
test_an_additive_change_keeps_all_state(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"a long shop name\",\"amount\":1.5}");
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"shop\":\"another long name\",\"amount\":8}");
    fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," MORE_USERS "," FIXTURE_PAIRS
                         "," FIXTURE_GLOBAL "]}");
    assert_reply_has(&f, "\"added\":[\"Users\"]");
    assert_reply_has(&f, "\"registry_version\":2");
    /* New features start empty, although a sum of the same field is there; the rest is kept. */
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"avg\":null,\"cnt\":1,\"cnt_1m\":1,\"low\":\"a long shop name\","
                     "\"sd_1m\":null,\"tot\":1.5}");
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"amount\":10}");
    fixture_push(&f, "Tx", "{\"user\":\"b\",\"amount\":10}");
    fixture_get(&f, "Users", "\"b\"");
    assert_reply_has(&f, "\"cnt\":3,\"cnt_1m\":3,\"low\":\"another long name\",\"sd_1m\":0.0");
    fixture_close(&f);
}

static void
test_what_is_kept_and_what_is_new_has_the_same_digest_either_way(void **state)
{
    struct fixture touched;
    struct fixture untouched;
    bv_digest left;
    bv_digest right;
    static const char more[] =
        "{\"nodes\":[" FIXTURE_EVENT "," MORE_USERS "," FIXTURE_PAIRS "," FIXTURE_GLOBAL "]}";

    (void)state;
    fixture_open_memory(&touched);
    fixture_open_memory(&untouched);
    fixture_register(&touched, FIXTURE_NODES);
    fixture_register(&untouched, FIXTURE_NODES);
    for (unsigned i = 0; i < 300; i++) {
        char body[128];

        snprintf(body, sizeof body, "{\"user\":\"u%u\",\"shop\":\"shop number %u\",\"amount\":%u}",
                 i % 50, i % 7, i);
        fixture_push(&touched, "Tx", body);
        fixture_push(&untouched, "Tx", body);
    }
    fixture_register(&touched, more);
    fixture_register(&untouched, more);
    for (unsigned i = 0; i < 50; i += 2) {
        char key[16];

        snprintf(key, sizeof key, "\"u%u\"", i);
        fixture_get(&touched, "Users", key);
    }
    engine_digest(touched.engine, &left);
    engine_digest(untouched.engine, &right);
    assert_memory_equal(&left, &right, sizeof left);
    fixture_close(&touched);
    fixture_close(&untouched);
}

static void
test_a_destructive_change_needs_force_and_drops_only_its_table(void **state)
{
    struct fixture f;
    static const char changed[] = "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_TABLE(
        "Users", "\"user\"",
        "\"cnt\":{\"op\":\"count\",\"params\":{\"where\":\"(amount > 1)\"}}") "," FIXTURE_PAIRS
                                                                              "," FIXTURE_GLOBAL
                                                                              "],\"force\":false}";
    static const char forced[] = "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_TABLE(
        "Users", "\"user\"",
        "\"cnt\":{\"op\":\"count\",\"params\":{\"where\":\"(amount > 1)\"}}") "," FIXTURE_PAIRS
                                                                              "," FIXTURE_GLOBAL
                                                                              "],\"force\":true}";

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"s\",\"amount\":0.5}");
    fixture_request(&f, REQUEST_REGISTER, changed);
    assert_int_equal(f.response.status, BV_FORCE_REQUIRED);
    assert_int_equal(f.response.opcode, FRAME_ERROR);
    fixture_get(&f, "Users", "\"a\"");
    assert_reply_has(&f, "\"cnt\":1");
    fixture_register(&f, forced);
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{}");
    fixture_get(&f, "Pairs", "\"a|s\"");
    assert_reply(&f, "{\"pair_cnt\":1}");
    fixture_close(&f);
}

static void
test_a_dry_run_changes_nothing_and_tells_the_cost(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_GLOBAL "],\"dry_run\":true}");
    assert_reply_has(&f, "\"would_apply\":false");
    assert_reply_has(&f,
                     "\"state\":[{\"bytes_per_entity\":32,\"state\":\"new\",\"table\":\"All\"}]");
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    assert_reply_has(&f, "event_not_found");
    assert_reply_has(&f, "\"registry_version\":0");
    fixture_close(&f);
}

/* Pages carry the id of their table: a renamed one and the next of its old name must differ. */
static void
test_a_renamed_table_and_a_new_one_of_its_old_name_are_two(void **state)
{
#define KIN(name, feature) FIXTURE_TABLE(name, "\"user\"", "\"" feature "\":{\"op\":\"count\"}")
    struct fixture f;
    struct engine_stats stats;
    bv_digest digest;

    (void)state;
    fixture_open_memory(&f);
    for (unsigned round = 0; round < 2; round++) { /* the second time both names have had ids */
        fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," KIN("A", "a") "],\"force\":true}");
        for (unsigned i = 0; i < 300; i++) {
            char body[64];

            snprintf(body, sizeof body, "{\"user\":\"u%u\",\"amount\":1}", i);
            fixture_push(&f, "Tx", body);
        }
        fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," KIN("B", "a") "],\"force\":true}");
        fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," KIN("B", "a") "," KIN("A", "b") "]}");
        fixture_push(&f, "Tx", "{\"user\":\"u7\",\"amount\":1}");
        engine_digest(f.engine, &digest);
        assert_int_equal(digest.entities, 301);
        fixture_register(&f, "{\"nodes\":[" FIXTURE_EVENT "," KIN("B", "a") "],\"force\":true}");
        for (unsigned i = 0; i < 300; i++) {
            char body[64];

            snprintf(body, sizeof body, "{\"user\":\"v%u\",\"amount\":1}", i);
            fixture_push(&f, "Tx", body);
        }
        fixture_get(&f, "B", "\"u7\"");
        assert_reply(&f, "{\"a\":2}");
        fixture_get(&f, "B", "\"u299\"");
        assert_reply(&f, "{\"a\":1}");
        engine_digest(f.engine, &digest);
        engine_stats_get(f.engine, &stats);
        assert_int_equal(digest.entities, 600);
        assert_int_equal(stats.entities, 600);
        fixture_request(&f, REQUEST_RESET, "");
    }
    fixture_close(&f);
#undef KIN
}

static void
test_reset_forgets_everything_and_raises_the_version(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    fixture_request(&f, REQUEST_RESET, "garbage");
    assert_reply(&f, "{\"registry_version\":2,\"reset\":true}");
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    assert_reply_has(&f, "event_not_found");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply_has(&f, "unknown_table");
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    assert_reply(&f, "ack 5");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply_has(&f, "\"cnt\":1");
    fixture_close(&f);
}

static void
test_reset_is_refused_outside_test_mode(void **state)
{
    struct fixture f;
    const struct engine_options options = {.policy = BV_POLICY_MEMORY};

    (void)state;
    fixture_open(&f, &options);
    fixture_request(&f, REQUEST_RESET, "{}");
    assert_int_equal(f.response.status, BV_RESET_DISABLED);
    assert_reply_has(&f, "BEAVA_TEST_MODE");
    assert_reply_has(&f, "test_mode");
    fixture_close(&f);
}

static void
test_a_disk_without_room_refuses_declarations_and_events_until_there_is_some(void **state)
{
    static struct os_fault fault;
    struct place place;
    struct fixture f;

    os_fault_init(&fault, os_posix());
    place_make(&place, BV_POLICY_ALWAYS);
    place.options.os = &fault.os;
    place.options.min_free_bytes = 1000;
    place.options.look_ms = 2;
    os_fault_set(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, 0, 999});
    fixture_open(&f, &place.options);
    fixture_request(&f, REQUEST_REGISTER, FIXTURE_NODES);
    assert_int_equal(f.response.status, BV_WAL_UNAVAILABLE);
    assert_non_null(strstr(f.reply, "min_free_bytes"));
    assert_int_equal(engine_registry_version(f.engine), 0);
    assert_int_equal(engine_readiness(f.engine), ENGINE_NO_SPACE);
    assert_false(engine_failed(f.engine));

    os_fault_set(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, 0, 1000});
    while (engine_readiness(f.engine) != ENGINE_READY) {
        usleep(1000);
    }
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"u\",\"shop\":\"s\",\"amount\":1.5}");
    assert_int_equal(f.response.kind, RESPONSE_ACK);
    place_reopen(&place, &f);
    fixture_close(&f);
    place_remove(&place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_additive_change_keeps_all_state),
        cmocka_unit_test(test_what_is_kept_and_what_is_new_has_the_same_digest_either_way),
        cmocka_unit_test(test_a_destructive_change_needs_force_and_drops_only_its_table),
        cmocka_unit_test(test_a_dry_run_changes_nothing_and_tells_the_cost),
        cmocka_unit_test(test_a_renamed_table_and_a_new_one_of_its_old_name_are_two),
        cmocka_unit_test(test_reset_forgets_everything_and_raises_the_version),
        cmocka_unit_test(test_reset_is_refused_outside_test_mode),
        cmocka_unit_test(
            test_a_disk_without_room_refuses_declarations_and_events_until_there_is_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
