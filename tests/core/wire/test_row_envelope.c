/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "util/buf.h"
#include "wire/row.h"

static struct arena arena;
static struct bv_error err;

static int
set_up(void **state)
{
    arena_init(&arena, 4096, 0);
    return 0;
}

static int
tear_down(void **state)
{
    arena_deinit(&arena);
    return 0;
}

static enum bv_status
decode(struct push_envelope *out, enum encoding encoding, struct slice payload)
{
    *out = (struct push_envelope){.body = payload};
    return push_envelope_decode(out, encoding, false, payload, &arena, &err);
}

static void
assert_json(const char *payload, const char *event, const char *body)
{
    struct push_envelope envelope;

    assert_int_equal(decode(&envelope, ENCODING_JSON, slice_text(payload)), BV_OK);
    assert_true(slice_equal(envelope.event, slice_text(event)));
    if (body == NULL) {
        assert_null(envelope.body.data);
        assert_int_equal(envelope.body.size, 0);
    } else {
        assert_true(slice_equal(envelope.body, slice_text(body)));
    }
}

static void
assert_json_refused(const char *payload, enum bv_status status)
{
    struct push_envelope envelope;

    assert_int_equal(decode(&envelope, ENCODING_JSON, slice_text(payload)), status);
    assert_int_equal(err.status, status);
    assert_true(err.message[0] != '\0');
}

/* String literals of MessagePack, NUL bytes included. */
#define BYTES(text) slice_of(text, sizeof(text) - 1)

static void
assert_msgpack(struct slice payload, const char *event, struct slice body)
{
    struct push_envelope envelope;

    assert_int_equal(decode(&envelope, ENCODING_MSGPACK, payload), BV_OK);
    assert_true(slice_equal(envelope.event, slice_text(event)));
    assert_true(slice_equal(envelope.body, body));
}

static void
assert_msgpack_refused(struct slice payload, enum bv_status status)
{
    struct push_envelope envelope;

    assert_int_equal(decode(&envelope, ENCODING_MSGPACK, payload), status);
    assert_int_equal(err.status, status);
}

static void
test_json_members_come_in_any_order_with_any_blanks(void **state)
{
    assert_json("{\"event\":\"Tx\",\"body\":{\"u\":\"a\"}}", "Tx", "{\"u\":\"a\"}");
    assert_json(" { \"body\" : {\"a\": [1, \"}\"]} ,\n\t\"event\" : \"Tx\" }\r\n", "Tx",
                "{\"a\": [1, \"}\"]}");
    assert_json("{\"x\":[{\"event\":1}],\"event\":\"Tx\",\"body\":5}", "Tx", "5");
}

static void
test_escapes_are_decoded_in_names_and_in_the_event(void **state)
{
    assert_json("{\"\\u0065vent\":\"T\\u0078\",\"bod\\u0079\":{}}", "Tx", "{}");
}

static void
test_the_last_of_repeated_members_wins(void **state)
{
    assert_json("{\"event\":\"A\",\"body\":1,\"event\":\"B\",\"body\":2}", "B", "2");
}

static void
test_body_wins_on_tcp_and_data_on_http(void **state)
{
    struct push_envelope envelope;
    struct slice both = slice_text("{\"data\":1,\"event\":\"A\",\"body\":2}");

    assert_int_equal(push_envelope_decode(&envelope, ENCODING_JSON, false, both, &arena, &err),
                     BV_OK);
    assert_true(slice_equal(envelope.body, slice_text("2")));
    assert_int_equal(push_envelope_decode(&envelope, ENCODING_JSON, true, both, &arena, &err),
                     BV_OK);
    assert_true(slice_equal(envelope.body, slice_text("1")));
    assert_json("{\"event\":\"A\",\"data\":{}}", "A", "{}");
    both = slice_text("{\"event\":\"A\",\"body\":{}}");
    assert_int_equal(push_envelope_decode(&envelope, ENCODING_JSON, true, both, &arena, &err),
                     BV_OK);
    assert_true(slice_equal(envelope.body, slice_text("{}")));
}

static void
test_absent_body_has_no_data(void **state)
{
    assert_json("{\"event\":\"A\"}", "A", NULL);
    assert_msgpack(BYTES("\x81\xa5"
                         "event\xa1"
                         "A"),
                   "A", slice_of(NULL, 0));
}

static void
test_json_that_is_not_json_is_refused_before_anything_else(void **state)
{
    assert_json_refused("", BV_INVALID_JSON_BODY);
    assert_json_refused("{oops", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"event\":\"A\",\"body\":{},}", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"event\":\"A\",\"body\":{}}x", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"event\":\"A\",\"body\":{}", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"event\":5,\"body\":{oops}}", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"event\":\"A\",\"body\":{\"n\":1e400}}", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"x\":\"\xff\",\"event\":\"A\",\"body\":{}}", BV_INVALID_JSON_BODY);
    assert_json_refused("{\"x\":tru,\"event\":\"A\",\"body\":{}}", BV_INVALID_JSON_BODY);
}

static void
test_a_missing_event_name_is_said(void **state)
{
    assert_json_refused("{\"body\":{}}", BV_MISSING_EVENT_NAME);
    assert_string_equal(err.message, "\"event\" is missing; send the event's name in it");
    assert_json_refused("{\"event\":5,\"body\":{}}", BV_MISSING_EVENT_NAME);
    assert_string_equal(err.message, "\"event\" is not a string; send the event's name in it");
    assert_json_refused("{\"event\":null,\"body\":{}}", BV_MISSING_EVENT_NAME);
    assert_json_refused("[1,2]", BV_MISSING_EVENT_NAME);
    assert_string_equal(err.message,
                        "the body is not an object; send {\"event\":..,\"body\":{..}}");
    assert_msgpack_refused(BYTES("\x81\xa4"
                                 "body\x80"),
                           BV_MISSING_EVENT_NAME);
    assert_msgpack_refused(BYTES("\x05"), BV_MISSING_EVENT_NAME);
    assert_string_equal(err.message, "the payload is not a map; send {\"event\":..,\"body\":{..}}");
}

static void
test_msgpack_envelopes_may_have_more_entries_and_any_header(void **state)
{
    assert_msgpack(BYTES("\x82\xa5"
                         "event\xa2Tx\xa4"
                         "body\x81\xa1n\x07"),
                   "Tx", BYTES("\x81\xa1n\x07"));
    assert_msgpack(BYTES("\xde\x00\x03\xa1x\x91\xc0\xa4"
                         "body\x80\xa5"
                         "event\xd9\x02Tx"),
                   "Tx", BYTES("\x80"));
    assert_msgpack(BYTES("\xdf\x00\x00\x00\x02\xa5"
                         "event\xa1T\xa4"
                         "data\x05"),
                   "T", BYTES("\x05"));
}

static void
test_damage_in_the_msgpack_envelope_is_the_envelopes(void **state)
{
    assert_msgpack_refused(BYTES(""), BV_INVALID_JSON_BODY);
    assert_msgpack_refused(BYTES("\x82\xa5"
                                 "event\xa1T"),
                           BV_INVALID_JSON_BODY);
    assert_msgpack_refused(BYTES("\x82\xa5"
                                 "event\xa1T\xa4"
                                 "body\x80\xc0"),
                           BV_INVALID_JSON_BODY);
    assert_string_equal(err.message, "1 bytes follow the envelope; send one value per frame");
    assert_msgpack_refused(BYTES("\x82\xc4\x05"
                                 "event\xa1T\xa4"
                                 "body\x80"),
                           BV_INVALID_JSON_BODY);
    assert_string_equal(err.message, "a key of the envelope is not a string; send str keys");
    assert_msgpack_refused(BYTES("\x83\xa1x\xc1\xa5"
                                 "event\xa1T\xa4"
                                 "body\x80"),
                           BV_INVALID_JSON_BODY);
    assert_msgpack_refused(BYTES("\x82\xa5"
                                 "event\xc4\x01T\xa4"
                                 "body\x80"),
                           BV_MISSING_EVENT_NAME);
}

static void
test_damage_in_a_msgpack_body_is_the_events(void **state)
{
    assert_msgpack_refused(BYTES("\x82\xa5"
                                 "event\xa1T\xa4"
                                 "body\x81\xa1x\xd4\x01\x02"),
                           BV_INVALID_EVENT);
    assert_msgpack_refused(BYTES("\x82\xa5"
                                 "event\xa1T\xa4"
                                 "body\x81\xa1x"),
                           BV_INVALID_EVENT);
}

static void
test_two_million_open_arrays_are_an_invalid_event(void **state)
{
    struct push_envelope envelope;
    struct buf buf;

    buf_init(&buf);
    buf_append(&buf,
               "\x82\xa5"
               "event\xa1T\xa4"
               "body",
               14);
    for (int i = 0; i < 2000000; i++) {
        buf_byte(&buf, 0x91);
    }
    assert_int_equal(decode(&envelope, ENCODING_MSGPACK, buf_slice(&buf)), BV_INVALID_EVENT);
    buf_clear(&buf);
    buf_text(&buf, "{\"event\":\"T\",\"body\":{\"x\":");
    for (int i = 0; i < 2000000; i++) {
        buf_byte(&buf, '[');
    }
    assert_int_equal(decode(&envelope, ENCODING_JSON, buf_slice(&buf)), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "arrays and objects are nested more than 128 deep; flatten the event");
    buf_deinit(&buf);
}

static void
test_truncation_anywhere_is_refused(void **state)
{
    static const char JSON[] = "{\"event\":\"Tx\",\"x\":[1,{\"y\":2}],\"body\":{\"u\":\"a\\n\"}}";
    static const char MSGPACK[] = "\x83\xa5"
                                  "event\xa2Tx\xa1x\x92\x01\x81\xa1y\x02\xa4"
                                  "body\x81\xa1u\xa1z";

    for (size_t size = 0; size < sizeof JSON; size++) {
        struct push_envelope envelope;
        uint8_t *copy = malloc(size + 1);
        enum bv_status status = BV_OK;

        assert_non_null(copy);
        memcpy(copy, JSON, size);
        status = decode(&envelope, ENCODING_JSON, slice_of(copy, size));
        free(copy);
        assert_int_equal(status, size == sizeof JSON - 1 ? BV_OK : BV_INVALID_JSON_BODY);
    }
    for (size_t size = 0; size < sizeof MSGPACK; size++) {
        struct push_envelope envelope;
        uint8_t *copy = malloc(size + 1);
        enum bv_status status = BV_OK;

        assert_non_null(copy);
        memcpy(copy, MSGPACK, size);
        status = decode(&envelope, ENCODING_MSGPACK, slice_of(copy, size));
        free(copy);
        assert_int_equal(status == BV_OK, size == sizeof MSGPACK - 1);
    }
}

static void
test_push_many_hands_out_each_element(void **state)
{
    struct slice event = slice_of(NULL, 0);
    struct slice *bodies = NULL;
    size_t count = 0;
    struct slice json =
        slice_text("{\"event\":\"T\",\"bodies\": [ {\"a\":[1,2]} ,5,\"],\" , []\n]}");
    struct slice msgpack = BYTES("\x82\xa5"
                                 "event\xa1T\xa6"
                                 "bodies\x94\x81\xa1"
                                 "a\x05\xc0\xd4\x01\x02\x90");

    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_JSON, json, &arena, &err),
                     BV_OK);
    assert_true(slice_equal(event, slice_text("T")));
    assert_int_equal(count, 4);
    assert_true(slice_equal(bodies[0], slice_text("{\"a\":[1,2]}")));
    assert_true(slice_equal(bodies[1], slice_text("5")));
    assert_true(slice_equal(bodies[2], slice_text("\"],\"")));
    assert_true(slice_equal(bodies[3], slice_text("[]")));
    assert_int_equal(
        push_many_decode(&event, &bodies, &count, ENCODING_MSGPACK, msgpack, &arena, &err), BV_OK);
    assert_int_equal(count, 4);
    assert_true(slice_equal(bodies[0], BYTES("\x81\xa1"
                                             "a\x05")));
    assert_true(slice_equal(bodies[1], BYTES("\xc0")));
    /* An element that is no event is the element's affair. */
    assert_true(slice_equal(bodies[2], BYTES("\xd4\x01\x02")));
    assert_true(slice_equal(bodies[3], BYTES("\x90")));
}

static void
test_push_many_without_a_list_is_refused(void **state)
{
    struct slice event = slice_of(NULL, 0);
    struct slice *bodies = NULL;
    size_t count = 0;

    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_JSON,
                                      slice_text("{\"event\":\"T\"}"), &arena, &err),
                     BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "\"bodies\" is missing or not an array; send a list of events");
    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_JSON,
                                      slice_text("{\"event\":\"T\",\"bodies\":{}}"), &arena, &err),
                     BV_INVALID_EVENT);
    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_JSON,
                                      slice_text("{\"bodies\":[]}"), &arena, &err),
                     BV_MISSING_EVENT_NAME);
    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_JSON,
                                      slice_text("{\"event\":\"T\",\"bodies\":[1,]}"), &arena,
                                      &err),
                     BV_INVALID_JSON_BODY);
    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_MSGPACK,
                                      BYTES("\x82\xa5"
                                            "event\xa1T\xa6"
                                            "bodies\xdd\xff\xff\xff\xff\x01"),
                                      &arena, &err),
                     BV_INVALID_JSON_BODY);
    assert_int_equal(push_many_decode(&event, &bodies, &count, ENCODING_MSGPACK,
                                      BYTES("\x82\xa5"
                                            "event\xa1T\xa6"
                                            "bodies\x80"),
                                      &arena, &err),
                     BV_INVALID_EVENT);
}

static void
test_an_array_of_events_is_split(void **state)
{
    struct slice *bodies = NULL;
    size_t count = 0;

    assert_int_equal(
        push_array_decode(&bodies, &count, slice_text(" [{\"a\":1},\t[2,3] ]\n"), &arena, &err),
        BV_OK);
    assert_int_equal(count, 2);
    assert_true(slice_equal(bodies[0], slice_text("{\"a\":1}")));
    assert_true(slice_equal(bodies[1], slice_text("[2,3]")));
    assert_int_equal(push_array_decode(&bodies, &count, slice_text("[]"), &arena, &err), BV_OK);
    assert_int_equal(count, 0);
    assert_int_equal(push_array_decode(&bodies, &count, slice_text("{}"), &arena, &err),
                     BV_INVALID_EVENT);
    assert_string_equal(err.message, "the body is not an array; send a list of events");
    assert_int_equal(push_array_decode(&bodies, &count, slice_text("[1,"), &arena, &err),
                     BV_INVALID_EVENT);
}

static void
test_a_spent_arena_is_no_memory(void **state)
{
    struct arena small;
    struct slice *bodies = NULL;
    size_t count = 0;
    struct buf buf;

    buf_init(&buf);
    buf_byte(&buf, '[');
    for (int i = 0; i < 1000; i++) {
        buf_text(&buf, i == 0 ? "1" : ",1");
    }
    buf_byte(&buf, ']');
    arena_init(&small, 1024, 4096);
    assert_int_equal(push_array_decode(&bodies, &count, buf_slice(&buf), &small, &err),
                     BV_NO_MEMORY);
    arena_deinit(&small);
    buf_deinit(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_members_come_in_any_order_with_any_blanks),
        cmocka_unit_test(test_escapes_are_decoded_in_names_and_in_the_event),
        cmocka_unit_test(test_the_last_of_repeated_members_wins),
        cmocka_unit_test(test_body_wins_on_tcp_and_data_on_http),
        cmocka_unit_test(test_absent_body_has_no_data),
        cmocka_unit_test(test_json_that_is_not_json_is_refused_before_anything_else),
        cmocka_unit_test(test_a_missing_event_name_is_said),
        cmocka_unit_test(test_msgpack_envelopes_may_have_more_entries_and_any_header),
        cmocka_unit_test(test_damage_in_the_msgpack_envelope_is_the_envelopes),
        cmocka_unit_test(test_damage_in_a_msgpack_body_is_the_events),
        cmocka_unit_test(test_two_million_open_arrays_are_an_invalid_event),
        cmocka_unit_test(test_truncation_anywhere_is_refused),
        cmocka_unit_test(test_push_many_hands_out_each_element),
        cmocka_unit_test(test_push_many_without_a_list_is_refused),
        cmocka_unit_test(test_an_array_of_events_is_split),
        cmocka_unit_test(test_a_spent_arena_is_no_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
