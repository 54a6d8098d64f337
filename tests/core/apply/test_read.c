/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: keys in every form, selections, refusals in the contract's order; feature.c behind them.
 */
#include "apply_fixture.h"
#include "wire/msgpack.h"

static int
setup(void **state)
{
    static struct fixture f;

    fixture_open_memory(&f);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"shop\":\"s|1\",\"amount\":1.5}");
    fixture_push(&f, "Tx", "{\"user\":\"x|y\",\"shop\":\"s\",\"amount\":4}");
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

static void
test_keys_come_as_text_scalars_and_arrays(void **state)
{
    struct fixture *f = *state;

    fixture_get(f, "Users", "\"x|y\"");
    assert_reply_has(f, "\"cnt\":1");
    fixture_get(f, "Users", "[\"a\"]");
    assert_reply_has(f, "\"cnt\":1");
    fixture_get(f, "Users", "7");
    assert_reply(f, "{}");
    fixture_get(f, "All", "null");
    assert_reply(f, "{\"all_cnt\":2}");
    fixture_get(f, "Pairs", "[\"a\",\"s|1\"]");
    assert_reply(f, "{\"pair_cnt\":1}");
    fixture_get(f, "Pairs", "\"a|s%7C1\"");
    assert_reply(f, "{\"pair_cnt\":1}");
    fixture_get(f, "Pairs", "\"a|s|1\"");
    assert_reply_has(f, "key_parse_failure");
    fixture_get(f, "Pairs", "\"a\"");
    assert_reply_has(f, "key 'a' does not match table 'Pairs' group_keys arity (2)");
    fixture_get(f, "All", "\"x\"");
    assert_reply_has(f, "key_parse_failure");
    fixture_get(f, "Users", "{\"a\":1}");
    assert_reply_has(f, "malformed_request");
}

static void
test_features_select_and_order_does_not_matter(void **state)
{
    struct fixture *f = *state;

    fixture_request(f, REQUEST_GET,
                    "{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"tot\",\"cnt\",\"tot\"]}");
    assert_reply(f, "{\"cnt\":1,\"tot\":1.5}");
    fixture_request(f, REQUEST_GET, "{\"table\":\"Users\",\"key\":\"a\",\"features\":[]}");
    assert_reply(f, "{}");
    fixture_request(f, REQUEST_GET, "{\"table\":\"Users\",\"entity_id\":\"a\",\"features\":null}");
    assert_reply_has(f, "\"cnt\":1");
    fixture_request(f, REQUEST_GET,
                    "{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"zz\",\"cnt\",\"yy\"]}");
    assert_int_equal(f->response.status, BV_INTERNAL_ERROR);
    assert_reply_has(f, "feature_not_found: missing=[\\\"zz\\\", \\\"yy\\\"] table=Users");
    assert_reply_has(f, "\"reason\":");
}

static void
test_malformed_reads_say_so(void **state)
{
    struct fixture *f = *state;

    fixture_request(f, REQUEST_GET, "{\"table\":\"Nope\",\"key\":\"a\"}");
    assert_reply_has(f, "unknown_table");
    fixture_request(f, REQUEST_GET, "{\"table\":\"Tx\",\"key\":\"a\"}");
    assert_reply_has(f, "unknown_table");
    fixture_request(f, REQUEST_GET, "{\"table\":\"Users\"}");
    assert_int_equal(f->response.status, BV_MALFORMED_REQUEST);
    assert_reply_has(f, "missing field `key`");
    fixture_request(f, REQUEST_GET, "[\"Users\",\"a\"]");
    assert_reply_has(f, "malformed_request");
    fixture_request(f, REQUEST_GET, "{\"table\":\"Users\",\"key\":\"a\",\"key\":\"b\"}");
    assert_reply_has(f, "duplicate field `key`");
    fixture_request(f, REQUEST_GET, "{\"keys\":[\"a\"],\"features\":[\"cnt\"]}");
    assert_int_equal(f->response.status, BV_UNSUPPORTED_REQUEST_SHAPE);
    fixture_request(f, REQUEST_GET, "");
    assert_reply_has(f, "EOF while parsing a value at line 1 column 0");
}

static void
test_batch_get_keeps_order_and_separates_failures(void **state)
{
    struct fixture *f = *state;

    fixture_request(f, REQUEST_BATCH_GET,
                    "{\"requests\":[{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"cnt\"]},"
                    "{\"table\":\"Users\",\"key\":\"no\"},{\"table\":\"X\",\"key\":\"q\"},"
                    "{\"table\":\"Pairs\",\"key\":\"a\"},{\"table\":\"All\",\"entity_id\":\"\"}]}");
    assert_reply(f,
                 "{\"results\":[{\"cnt\":1},{},{\"error\":{\"code\":\"unknown_table\",\"message\":"
                 "\"table 'X' is not a registered aggregation\"}},{\"error\":{\"code\":"
                 "\"key_parse_failure\",\"message\":\"key 'a' does not match table 'Pairs' "
                 "group_keys arity (2)\"}},{\"all_cnt\":2}]}");
    fixture_request(f, REQUEST_BATCH_GET, "{\"requests\":[]}");
    assert_reply(f, "{\"results\":[]}");
    fixture_request(f, REQUEST_BATCH_GET,
                    "{\"requests\":[{\"table\":\"Users\",\"key\":\"a\",\"features\":[\"zz\"]}]}");
    assert_int_equal(f->response.status, BV_INTERNAL_ERROR);
    fixture_request(f, REQUEST_BATCH_GET, "{\"requests\":[{\"table\":\"Users\"}]}");
    assert_reply_has(f, "requests[0]");
}

static void
test_reads_by_feature_name_omit_what_is_cold(void **state)
{
    struct fixture *f = *state;

    fixture_request(f, REQUEST_MGET, "{\"feature\":\"cnt\",\"keys\":[\"no\",\"a\"]}");
    assert_reply(f, "{\"a\":{\"cnt\":1}}");
    fixture_request(f, REQUEST_GET_MULTI,
                    "{\"keys\":[\"x|y\",\"a\"],\"features\":[\"tot\",\"cnt\",\"pair_cnt\"]}");
    assert_reply(f, "{\"a\":{\"cnt\":1,\"tot\":1.5},\"x|y\":{\"cnt\":1,\"tot\":4.0}}");
    fixture_request(f, REQUEST_MGET, "{\"feature\":\"Users\",\"keys\":[]}");
    assert_reply_has(f, "feature_not_found: missing=[\\\"Users\\\"]");
    fixture_request(f, REQUEST_MGET, "{\"keys\":[]}");
    assert_reply_has(f, "malformed_request");
}

static void
test_a_single_read_finds_features_then_tables(void **state)
{
    struct fixture *f = *state;
    struct request request = {.kind = REQUEST_GET_SINGLE,
                              .transport = TRANSPORT_HTTP,
                              .has_name = true,
                              .has_key = true,
                              .name = slice_text("cnt"),
                              .key = slice_text("a"),
                              .raw_key = slice_text("a")};

    fixture_send(f, request);
    assert_reply(f, "{\"value\":1}");
    request.key = slice_text("a/");
    fixture_send(f, request);
    assert_reply(f, "{\"value\":1}");
    request.key = slice_text("nobody");
    request.raw_key = request.key;
    fixture_send(f, request);
    assert_int_equal(f->response.status, BV_KEY_NOT_FOUND);
    request.name = slice_text("All");
    request.key = slice_text("");
    fixture_send(f, request);
    assert_reply(f, "{\"all_cnt\":2}");
    request.name = slice_text("nope");
    fixture_send(f, request);
    assert_int_equal(f->response.status, BV_FEATURE_NOT_FOUND);
}

static void
test_messagepack_requests_are_answered_in_kind(void **state)
{
    struct fixture *f = *state;
    static const uint8_t get[] = "\x83\xa5table\xa5Users\xa3key\xa1"
                                 "a\xa8"
                                 "features\x91\xa3"
                                 "cnt";

    fixture_send(f, (struct request){.kind = REQUEST_GET,
                                     .encoding = ENCODING_MSGPACK,
                                     .payload = slice_of(get, sizeof get - 1)});
    assert_int_equal(f->response.content_type, ENCODING_MSGPACK);
    assert_memory_equal(f->response.body.data,
                        "\x81\xa3"
                        "cnt\x01",
                        6);
}

static void
test_a_mirrored_batch_get_has_a_result_per_entry(void **state)
{
    static const uint32_t counts[] = {0, 3, 15, 16, 65535, 65536};
    const struct engine_options options = {.policy = BV_POLICY_MEMORY, .mirror_batch_get = true};
    struct fixture f;

    (void)state;
    fixture_open(&f, &options);
    fixture_register(&f, FIXTURE_NODES);
    fixture_push(&f, "Tx", "{\"user\":\"a\",\"amount\":1}");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct arena arena;
        struct value reply;
        struct buf text;

        buf_init(&text);
        buf_append(&text, "\x81\xa8requests\xdd", 11);
        for (int shift = 24; shift >= 0; shift -= 8) {
            buf_byte(&text, (uint8_t)(counts[i] >> shift));
        }
        for (uint32_t k = 0; k < counts[i]; k++) {
            buf_append(&text,
                       "\x82\xa5table\xa3"
                       "All\xa3key\xa0",
                       16);
        }
        fixture_send(&f, (struct request){.kind = REQUEST_BATCH_GET,
                                          .encoding = ENCODING_MSGPACK,
                                          .payload = buf_slice(&text)});
        assert_int_equal(f.response.content_type, ENCODING_MSGPACK);
        arena_init(&arena, 65536, 0);
        assert_int_equal(msgpack_parse(&reply, f.response.body, 8, &arena, NULL), BV_OK);
        const struct value *results = value_find(&reply, "results");

        assert_non_null(results);
        assert_int_equal(results->length, counts[i]);
        for (uint32_t k = 0; k < counts[i]; k++) {
            assert_int_equal(value_find(&results->as.items[k], "all_cnt")->as.i64, 1);
        }
        arena_deinit(&arena);
        buf_deinit(&text);
    }
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys_come_as_text_scalars_and_arrays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_features_select_and_order_does_not_matter, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_malformed_reads_say_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_get_keeps_order_and_separates_failures, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_reads_by_feature_name_omit_what_is_cold, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_single_read_finds_features_then_tables, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_messagepack_requests_are_answered_in_kind, setup,
                                        teardown),
        cmocka_unit_test(test_a_mirrored_batch_get_has_a_result_per_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
