/* SPDX-License-Identifier: Apache-2.0 */
/* Restarts: the state of the log is the state of the engine, bit for bit. journal.c, digest.c. */
#include "apply_fixture.h"
#include "place_fixture.h"

#include <errno.h>

#include "os/fault.h"

/* Pushes over several entry points and both encodings, windows and a schema change included. */
static void
feed(struct fixture *f, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char body[160];

        f->now_ms += i % 5 * 700;
        snprintf(body, sizeof body,
                 "{\"user\":\"u%u\",\"shop\":\"shop number %u\",\"amount\":%u.125}", i % 23, i % 5,
                 i);
        if (i % 3 == 0) {
            fixture_push(f, "Tx", body);
        } else if (i % 3 == 1) {
            char many[400];

            snprintf(many, sizeof many, "{\"event\":\"Tx\",\"bodies\":[%s,{},%s]}", body, body);
            fixture_request(f, REQUEST_PUSH_MANY, many);
        } else {
            char envelope[240];

            snprintf(envelope, sizeof envelope, "{\"body\":%s,\"event\":\"Tx\",\"more\":[1]}",
                     body);
            fixture_request(f, REQUEST_PUSH, envelope);
            assert_int_equal(f->response.kind, RESPONSE_ACK);
        }
    }
}

static void
run_restart(uint32_t policy)
{
    struct place place;
    struct fixture f;
    bv_digest before;
    bv_digest after;
    uint64_t now_ms;

    place_make(&place, policy);
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    feed(&f, 0, 200);
    fixture_register(
        &f, "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_TABLE(
                "Users", "\"user\"",
                "\"cnt\":{\"op\":\"count\"},"
                "\"tot\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"
                "\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}},"
                "\"var\":{\"op\":\"var\",\"params\":{\"field\":\"amount\"}},"
                "\"hi_1m\":{\"op\":\"max\",\"params\":{\"field\":\"shop\",\"window\":"
                "\"1m\"}},"
                "\"cnt_1m\":{\"op\":\"count\",\"params\":{\"window\":\"1m\"}}") "," FIXTURE_PAIRS
                                                                                "," FIXTURE_GLOBAL
                                                                                "]}");
    feed(&f, 200, 200);
    engine_digest(f.engine, &before);
    now_ms = f.now_ms;
    fixture_close(&f);
    for (unsigned restart = 0; restart < 2; restart++) {
        fixture_open(&f, &place.options);
        engine_digest(f.engine, &after);
        assert_memory_equal(&before, &after, sizeof before);
        assert_int_equal(engine_registry_version(f.engine), 2);
        fixture_close(&f);
    }
    /* And it goes on: LSNs and the clock continue. */
    fixture_open(&f, &place.options);
    f.now_ms = now_ms / 2; /* a clock that was set back */
    fixture_push(&f, "Tx", "{\"user\":\"u0\",\"amount\":1}");
    assert_int_equal(f.response.lsn, before.last_lsn + 1);
    fixture_get(&f, "Users", "\"u0\"");
    assert_reply_has(&f, "\"cnt_1m\":");
    fixture_close(&f);
    place_remove(&place);
}

static void
test_state_after_a_restart_is_bit_identical(void **state)
{
    (void)state;
    run_restart(BV_POLICY_ALWAYS);
}

static void
test_state_after_a_restart_is_bit_identical_under_policy_os(void **state)
{
    (void)state;
    run_restart(BV_POLICY_OS);
}

static void
test_reset_survives_a_restart(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    feed(&f, 0, 10);
    fixture_request(&f, REQUEST_RESET, "{}");
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"z\",\"amount\":1}");
    fixture_close(&f);
    fixture_open(&f, &place.options);
    assert_int_equal(engine_registry_version(f.engine), 3);
    fixture_get(&f, "All", "\"\"");
    assert_reply(&f, "{\"all_cnt\":1}");
    fixture_close(&f);
    place_remove(&place);
}

static void
test_a_second_engine_on_the_directory_is_refused(void **state)
{
    struct place place;
    struct fixture f;
    struct engine *second = NULL;
    struct bv_error err;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    fixture_open(&f, &place.options);
    assert_int_equal(engine_open(&second, &place.options, &err), BV_LOCKED);
    assert_null(second);
    fixture_close(&f);
    place_remove(&place);
}

static void
test_events_taken_under_looser_switches_are_replayed(void **state)
{
    struct place place;
    struct fixture f;
    bv_digest before;
    bv_digest after;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    place.options.row_flags = ROW_LOOSE_OPTIONAL_FIELDS;
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1,\"n\":\"no number\"}");
    assert_reply(&f, "ack 2");
    fixture_push(&f, "Tx", "{\"user\":\"a\\tb\",\"amount\":1}");
    assert_reply(&f, "ack 3");
    engine_digest(f.engine, &before);
    fixture_close(&f);

    place.options.row_flags = ROW_STRICT_CONTROL_CHARACTERS;
    fixture_open(&f, &place.options);
    engine_digest(f.engine, &after);
    assert_memory_equal(&before, &after, sizeof before);
    /* New events meet the switches of today, whichever way they are decoded. */
    for (unsigned i = 0; i < 3; i++) {
        fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1,\"n\":\"no number\"}");
        assert_reply_has(&f, "invalid_event");
        fixture_push(&f, "Tx", "{\"user\":\"a\\tb\",\"amount\":1}");
        assert_reply_has(&f, "control_character_in_string");
        fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
        assert_int_equal(f.response.kind, RESPONSE_ACK);
    }
    fixture_close(&f);
    place_remove(&place);
}

static uint32_t
draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

/* Some of four names, each with a choice of features, whose names wander: tables come, go, change,
 * and are renamed. */
static void
register_anything(struct fixture *f, uint32_t *seed)
{
    static const char *const aggs[] = {
        "{\"op\":\"count\"}",
        "{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}}",
        "{\"op\":\"min\",\"params\":{\"field\":\"shop\"}}",
        "{\"op\":\"count\",\"params\":{\"window\":\"1m\"}}",
        "{\"op\":\"max\",\"params\":{\"field\":\"shop\",\"window\":\"1m\"}}",
        "{\"op\":\"mean\",\"params\":{\"field\":\"amount\",\"window\":\"1h\"}}",
        "{\"op\":\"var\",\"params\":{\"field\":\"amount\"}}",
    };
    static const uint32_t choices[] = {0x01, 0x0b, 0x5d, 0x7f};
    const unsigned shift = draw(seed, 2);
    char json[8192];
    size_t size = (size_t)snprintf(json, sizeof json, "{\"force\":true,\"nodes\":[" FIXTURE_EVENT);

    for (unsigned name = 0; name < 4; name++) {
        const char *keys = draw(seed, 4) == 0 ? "\"user\",\"shop\"" : "\"user\"";
        const char *comma = "";
        const uint32_t chosen = choices[draw(seed, 4)];
        const unsigned prefix = (name + shift) % 4;

        if (draw(seed, 3) == 0) {
            continue;
        }
        size += (size_t)snprintf(json + size, sizeof json - size,
                                 ",{\"kind\":\"derivation\",\"name\":\"T%u\",\"output_kind\":"
                                 "\"table\",\"upstreams\":[\"Tx\"],\"table_primary_key\":[%s],"
                                 "\"ops\":[{\"op\":\"group_by\",\"keys\":[%s],\"agg\":{",
                                 name, keys, keys);
        for (unsigned i = 0; i < 7; i++) {
            if ((chosen >> i & 1) != 0) {
                size += (size_t)snprintf(json + size, sizeof json - size, "%s\"t%u_f%u\":%s", comma,
                                         prefix, i, aggs[i]);
                comma = ",";
            }
        }
        size += (size_t)snprintf(json + size, sizeof json - size, "}}]}");
    }
    snprintf(json + size, sizeof json - size, "]}");
    fixture_register(f, json);
}

/* Which blocks were moved to a new layout, and when, depends on reads, and a replay has none. */
static void
test_any_history_of_schemas_is_replayed_bit_for_bit(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        uint32_t random = seed;
        struct place place;
        struct fixture f;
        bv_digest before;
        bv_digest after;

        place_make(&place, BV_POLICY_OS);
        place.options.sync_interval_ms = 3600000;
        fixture_open(&f, &place.options);
        for (unsigned step = 0; step < 60; step++) {
            register_anything(&f, &random);
            for (unsigned i = 0; i < 20; i++) {
                char text[200];

                f.now_ms += draw(&random, 4000);
                snprintf(text, sizeof text,
                         "{\"user\":\"u%u\",\"shop\":\"a shop with number %u\",\"amount\":%u}",
                         draw(&random, 40), draw(&random, 3), draw(&random, 100));
                fixture_push(&f, "Tx", text);
                snprintf(text, sizeof text, "\"u%u\"", draw(&random, 40));
                fixture_get(&f, draw(&random, 2) == 0 ? "T0" : "T1", text);
            }
        }
        engine_digest(f.engine, &before);
        fixture_close(&f);
        fixture_open(&f, &place.options);
        engine_digest(f.engine, &after);
        assert_memory_equal(&before, &after, sizeof before);
        fixture_close(&f);
        place_remove(&place);
    }
}

static void
test_a_ring_is_never_asked_for_more_than_it_holds(void **state)
{
    struct place place;
    struct fixture f;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    fixture_open(&f, &place.options);
    assert_true(engine_has_room(f.engine, 1u << 30));
    fixture_close(&f);
    place_remove(&place);
}

static void
test_the_largest_payload_fits_whatever_ring_was_asked_for(void **state)
{
    static const char head[] = "{\"amount\":1,\"user\":\"";
    const size_t size = 12u << 20;
    char *body = malloc(size + sizeof head + 2);
    struct place place;
    struct fixture f;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    place.options.ring_bytes = 1u << 20;
    place.options.max_payload = 16u << 20;
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    memcpy(body, head, sizeof head - 1);
    memset(body + sizeof head - 1, 'x', size);
    strcpy(body + sizeof head - 1 + size, "\"}");
    fixture_push(&f, "Tx", body);
    assert_reply(&f, "ack 2");
    fixture_close(&f);
    place_remove(&place);
    free(body);
}

static void
test_a_batch_larger_than_the_ring_is_accepted_whole(void **state)
{
    const unsigned count = 400000;
    static const char element[] = "{\"user\":\"a\",\"amount\":1},";
    struct place place;
    struct fixture f;
    bv_digest before;
    bv_digest after;
    struct buf text;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    buf_init(&text);
    buf_text(&text, "{\"event\":\"Tx\",\"bodies\":[");
    for (unsigned i = 0; i < count; i++) {
        buf_append(&text, element, sizeof element - 1);
    }
    buf_text(&text, "{\"user\":7}]}");
    fixture_send(&f, (struct request){.kind = REQUEST_PUSH_MANY, .payload = buf_slice(&text)});
    assert_reply_has(&f, "{\"accepted\":400000,\"ack_lsn\":400001,");
    assert_reply_has(&f, "\"index\":400000}],\"registry_version\"");
    engine_digest(f.engine, &before);
    fixture_close(&f);
    fixture_open(&f, &place.options);
    engine_digest(f.engine, &after);
    assert_memory_equal(&before, &after, sizeof before);
    fixture_close(&f);
    buf_deinit(&text);
    place_remove(&place);
}

static void
test_push_sync_does_not_wait_for_the_interval(void **state)
{
    struct place place;
    struct fixture f;
    struct request request = {.kind = REQUEST_PUSH,
                              .transport = TRANSPORT_HTTP,
                              .has_name = true,
                              .is_sync = true,
                              .name = slice_text("Tx"),
                              .payload = slice_text("{\"user\":\"a\",\"amount\":1}")};

    (void)state;
    place_make(&place, BV_POLICY_OS);
    place.options.sync_interval_ms = 3600000;
    fixture_open(&f, &place.options);
    fixture_register(&f, FIXTURE_NODES);
    fixture_send(&f, request);
    assert_true(f.response.is_sync);
    for (unsigned i = 0; i < 5000 && engine_synced_lsn(f.engine) < f.response.lsn; i++) {
        usleep(1000);
    }
    assert_true(engine_synced_lsn(f.engine) >= f.response.lsn);
    fixture_close(&f);
    place_remove(&place);
}

static void
test_policy_memory_touches_no_file(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    assert_int_equal(engine_event_fd(f.engine), -1);
    assert_true(engine_acked_lsn(f.engine) == UINT64_MAX);
    assert_true(engine_has_room(f.engine, 1u << 30));
    assert_false(engine_failed(f.engine));
    fixture_request(&f, REQUEST_PING, "garbage");
    assert_reply(&f,
                 "{\"pong\":true,\"registry_version\":0,\"server_version\":\"" BEAVA_VERSION "\"}");
    fixture_close(&f);
}

static void
test_a_start_on_a_full_disk_says_where_to_free_space(void **state)
{
    struct place place;
    struct engine *engine = NULL;
    struct bv_error err = {0};
    struct os_fault fault;

    (void)state;
    place_make(&place, BV_POLICY_ALWAYS);
    os_fault_init(&fault, os_posix());
    os_fault_set(&fault, OS_CALL_WRITE, (struct os_fault_rule){.at = 1, .error = ENOSPC});
    place.options.os = &fault.os;
    assert_int_equal(engine_open(&engine, &place.options, &err), BV_IO);
    assert_non_null(strstr(err.hint, "free space on the file system of "));
    assert_non_null(strstr(err.hint, place.options.wal_dir));
    place.options.os = NULL;
    assert_int_equal(engine_open(&engine, &place.options, &err), BV_OK);
    engine_close(engine);
    place_remove(&place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_after_a_restart_is_bit_identical),
        cmocka_unit_test(test_state_after_a_restart_is_bit_identical_under_policy_os),
        cmocka_unit_test(test_reset_survives_a_restart),
        cmocka_unit_test(test_a_second_engine_on_the_directory_is_refused),
        cmocka_unit_test(test_events_taken_under_looser_switches_are_replayed),
        cmocka_unit_test(test_any_history_of_schemas_is_replayed_bit_for_bit),
        cmocka_unit_test(test_a_ring_is_never_asked_for_more_than_it_holds),
        cmocka_unit_test(test_the_largest_payload_fits_whatever_ring_was_asked_for),
        cmocka_unit_test(test_a_batch_larger_than_the_ring_is_accepted_whole),
        cmocka_unit_test(test_push_sync_does_not_wait_for_the_interval),
        cmocka_unit_test(test_policy_memory_touches_no_file),
        cmocka_unit_test(test_a_start_on_a_full_disk_says_where_to_free_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
