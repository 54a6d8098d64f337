/* SPDX-License-Identifier: Apache-2.0 */
/* Events into entities: what is accepted, what is refused, and that batching changes nothing. */
#include "apply_fixture.h"

static void
test_the_next_read_knows_the_event(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"s1\",\"amount\":1.5}");
    assert_reply(&f, "ack 2");
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"s0\",\"amount\":2}");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{\"cnt\":2,\"cnt_1m\":2,\"low\":\"s0\",\"tot\":3.5}");
    fixture_get(&f, "Pairs", "\"a|s1\"");
    assert_reply(&f, "{\"pair_cnt\":1}");
    fixture_get(&f, "All", "\"\"");
    assert_reply(&f, "{\"all_cnt\":2}");
    fixture_get(&f, "Users", "\"b\"");
    assert_reply(&f, "{}");
    fixture_close(&f);
}

static void
test_a_refused_push_changes_nothing_and_takes_no_lsn(void **state)
{
    static const struct {
        const char *event, *body, *code, *path;
    } rows[] = {
        {"Tx", "{\"user\":\"a\",\"amount\":1,\"zzz\":1}", "unknown_field_v0", "data.zzz"},
        {"Tx", "{\"user\":\"a\",\"amount\":\"1\"}", "invalid_event", "data.amount"},
        {"Tx", "{\"user\":\"a\"}", "invalid_event", "data.amount"},
        {"Tx", "{\"user\":\"a\",\"amount\":null}", "invalid_event", "data.amount"},
        {"Tx", "{\"user\":\"a\\u0001\",\"amount\":1}", "control_character_in_string", "user"},
        {"Tx", "[1]", "invalid_event", ""},
        {"Tx", "{\"user\":", "invalid_event", ""},
        {"Nope", "{}", "event_not_found", "event"},
        {"Users", "{}", "event_not_found", "event"},
    };
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_push(&f, rows[i].event, rows[i].body);
        assert_int_equal(f.response.kind, RESPONSE_BODY);
        assert_reply_has(&f, rows[i].code);
        assert_reply_has(&f, rows[i].path);
        assert_reply_has(&f, "\"registry_version\":1");
    }
    fixture_get(&f, "Users", "\"a\"");
    assert_reply(&f, "{}");
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    assert_reply(&f, "ack 2");
    fixture_close(&f);
}

/* More pushes in one tick than a chunk holds, over few and many entities. */
static void
test_a_batch_applies_like_single_pushes(void **state)
{
    struct fixture one;
    struct fixture many;
    bv_digest left;
    bv_digest right;
    static char bodies[1000][128];

    (void)state;
    fixture_open_memory(&one);
    fixture_open_memory(&many);
    fixture_register(&one, FIXTURE_NODES);
    fixture_register(&many, FIXTURE_NODES);
    engine_tick_begin(many.engine, many.now_ms);
    for (unsigned i = 0; i < 1000; i++) {
        struct response response;
        const int size = snprintf(bodies[i], sizeof bodies[i],
                                  "{\"user\":\"u%u\",\"amount\":%u.25,\"shop\":\"long shop %u\"}",
                                  i * i % 37, i, i % 11);
        const struct request request = {.kind = REQUEST_PUSH,
                                        .transport = TRANSPORT_HTTP,
                                        .encoding = ENCODING_JSON,
                                        .has_name = true,
                                        .name = slice_text("Tx"),
                                        .payload = slice_of(bodies[i], (size_t)size)};

        engine_dispatch(many.engine, &request, &response);
        assert_int_equal(response.kind, RESPONSE_ACK);
        assert_int_equal(response.lsn, i + 2);
        fixture_push(&one, "Tx", bodies[i]);
    }
    engine_tick_end(many.engine);
    engine_digest(one.engine, &left);
    engine_digest(many.engine, &right);
    assert_memory_equal(&left, &right, sizeof left);
    assert_int_equal(left.entities, 19 + 1 + 19 * 11);
    fixture_close(&one);
    fixture_close(&many);
}

static void
test_elements_of_a_batch_are_pushes_of_their_own(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_request(&f, REQUEST_PUSH_MANY,
                    "{\"event\":\"Tx\",\"bodies\":[{\"user\":\"a\",\"amount\":1},{\"user\":5},"
                    "{\"user\":\"a\",\"amount\":2}]}");
    assert_int_equal(f.response.opcode, FRAME_PUSH_MANY);
    assert_reply_has(&f, "\"accepted\":2,\"ack_lsn\":3,");
    assert_reply_has(&f, "\"index\":1}");
    fixture_get(&f, "Users", "\"a\"");
    assert_reply_has(&f, "\"cnt\":2");
    fixture_request(&f, REQUEST_PUSH_MANY, "{\"event\":\"No\",\"bodies\":[]}");
    assert_reply_has(&f, "event_not_found");
    fixture_send(&f, (struct request){.kind = REQUEST_PUSH_BATCH,
                                      .transport = TRANSPORT_HTTP,
                                      .has_name = true,
                                      .name = slice_text("Tx"),
                                      .payload = slice_text("[{\"user\":\"a\",\"amount\":1}]")});
    assert_reply_has(&f, "\"accepted\":1,\"ack_lsn\":4,");
    fixture_send(&f, (struct request){.kind = REQUEST_PUSH_BATCH,
                                      .transport = TRANSPORT_HTTP,
                                      .has_name = true,
                                      .name = slice_text("Tx"),
                                      .payload = slice_text("{\"user\":\"a\",\"amount\":1}")});
    assert_reply(&f, "ack 5");
    fixture_close(&f);
}

static void
test_an_event_without_a_key_skips_that_table_only(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    assert_reply(&f, "ack 2");
    fixture_get(&f, "All", "\"\"");
    assert_reply(&f, "{\"all_cnt\":1}");
    struct engine_stats stats;

    engine_stats_get(f.engine, &stats);
    assert_int_equal(stats.entities, 2);
    fixture_close(&f);
}

static void
test_a_key_too_long_to_store_passes_the_table_by(void **state)
{
    static const char nodes[] =
        "{\"nodes\":[{\"kind\":\"event\",\"name\":\"E\",\"schema\":{\"fields\":{\"a\":\"str\"},"
        "\"optional_fields\":[]}},{\"kind\":\"derivation\",\"name\":\"Five\",\"output_kind\":"
        "\"table\",\"upstreams\":[\"E\"],\"table_primary_key\":[\"a\",\"b\",\"c\",\"d\",\"e\"],"
        "\"ops\":[{\"op\":\"with_columns\",\"exprs\":{\"b\":\"a\",\"c\":\"a\",\"d\":\"a\",\"e\":"
        "\"a\"}},{\"op\":\"group_by\",\"keys\":[\"a\",\"b\",\"c\",\"d\",\"e\"],\"agg\":{\"five\":"
        "{\"op\":\"count\"}}}]},{\"kind\":\"derivation\",\"name\":\"One\",\"output_kind\":"
        "\"table\","
        "\"upstreams\":[\"E\"],\"table_primary_key\":[],\"ops\":[{\"op\":\"group_by\",\"keys\":[],"
        "\"agg\":{\"one\":{\"op\":\"count\"}}}]}]}";
    const size_t size = 4000000; /* five of them are more than TABLE_KEY_MAX */
    char *body = malloc(size + 16);
    struct engine_stats stats;
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, nodes);
    strcpy(body, "{\"a\":\"");
    memset(body + 6, 'x', size);
    strcpy(body + 6 + size, "\"}");
    fixture_push(&f, "E", body);
    assert_reply(&f, "ack 2");
    fixture_get(&f, "One", "\"\"");
    assert_reply(&f, "{\"one\":1}");
    engine_stats_get(f.engine, &stats);
    assert_int_equal(stats.entities, 1);
    fixture_close(&f);
    free(body);
}

static void
test_a_batch_of_wrong_elements_is_answered_with_a_bounded_list(void **state)
{
    struct fixture f;
    struct buf text;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    buf_init(&text);
    buf_text(&text, "{\"event\":\"Tx\",\"bodies\":[");
    for (unsigned i = 0; i < 100000; i++) {
        buf_text(&text, "1,");
    }
    buf_text(&text, "{\"user\":\"a\",\"amount\":1}]}");
    fixture_send(&f, (struct request){.kind = REQUEST_PUSH_MANY, .payload = buf_slice(&text)});
    assert_reply_has(&f, "{\"accepted\":1,\"ack_lsn\":2,\"refused\":[{\"error\":");
    assert_reply_has(&f, "\"index\":0},");
    assert_reply_has(&f, "],\"refused_unlisted\":");
    assert_true(f.response.body.size < 2u << 20);
    buf_deinit(&text);
    fixture_close(&f);
}

static void
test_the_clock_of_the_engine_stands_still_rather_than_go_back(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    f.now_ms = 50000;
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    f.now_ms = 10000;
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    f.now_ms = 70500;
    fixture_get(&f, "Users", "\"a\"");
    assert_reply_has(&f, "\"cnt_1m\":2");
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_read_knows_the_event),
        cmocka_unit_test(test_a_refused_push_changes_nothing_and_takes_no_lsn),
        cmocka_unit_test(test_a_batch_applies_like_single_pushes),
        cmocka_unit_test(test_elements_of_a_batch_are_pushes_of_their_own),
        cmocka_unit_test(test_an_event_without_a_key_skips_that_table_only),
        cmocka_unit_test(test_a_key_too_long_to_store_passes_the_table_by),
        cmocka_unit_test(test_a_batch_of_wrong_elements_is_answered_with_a_bounded_list),
        cmocka_unit_test(test_the_clock_of_the_engine_stands_still_rather_than_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
