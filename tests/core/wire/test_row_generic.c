/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/buf.h"
#include "wire/row.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static struct arena arena;
static struct bv_error err;
static struct value body;
static struct value slots[8];

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
parse_json(const char *text)
{
    return row_parse(&body, ENCODING_JSON, slice_text(text), 0, &arena, &err);
}

static enum bv_status
parse_msgpack(struct slice bytes)
{
    return row_parse(&body, ENCODING_MSGPACK, bytes, 0, &arena, &err);
}

static struct row_field
field_of(const char *name, enum field_type type, bool is_optional)
{
    return (struct row_field){slice_text(name), type, is_optional};
}

/* user_id str, amount f64, ok bool?, n i64?, j json, extra (accepted, no slot). */
static struct row_schema *
create_schema(unsigned flags)
{
    struct row_field fields[] = {
        field_of("user_id", FIELD_STR, false), field_of("amount", FIELD_F64, false),
        field_of("ok", FIELD_BOOL, true),      field_of("n", FIELD_I64, true),
        field_of("j", FIELD_JSON, true),       field_of("extra", FIELD_STR, true),
    };
    struct row_schema *schema = NULL;

    assert_int_equal(row_schema_create(&schema, slice_text("Tx"), fields, 6, 5, flags, NULL),
                     BV_OK);
    return schema;
}

static enum bv_status
bind_json(unsigned flags, const char *text)
{
    struct row_schema *schema = create_schema(flags);
    enum bv_status status = BV_OK;

    assert_int_equal(row_parse(&body, ENCODING_JSON, slice_text(text), flags, &arena, &err), BV_OK);
    status = row_bind(slots, schema, &body, &err);
    row_schema_destroy(schema);
    return status;
}

static void
test_a_body_that_is_no_object_is_an_invalid_event(void **state)
{
    assert_int_equal(parse_json("[1,2,3]"), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "the event is not an object; send one with a member per field");
    assert_int_equal(parse_json("{oops"), BV_INVALID_EVENT);
    assert_int_equal(parse_json(""), BV_INVALID_EVENT);
    assert_int_equal(parse_msgpack(BYTES("\x05")), BV_INVALID_EVENT);
    assert_int_equal(parse_msgpack(BYTES("\x81\x05\x05")), BV_INVALID_EVENT);
    assert_int_equal(parse_msgpack(BYTES("\x81\xa1x\xd4\x01\x02")), BV_INVALID_EVENT);
    assert_int_equal(parse_msgpack(BYTES("\x81\xa1x\xa1\xff")), BV_INVALID_EVENT);
}

static void
test_an_absent_body_is_an_invalid_event(void **state)
{
    assert_int_equal(row_parse(&body, ENCODING_MSGPACK, slice_of(NULL, 0), 0, &arena, &err),
                     BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "the event is missing; send it in \"body\", {} if it has no fields");
    assert_int_equal(row_parse(&body, ENCODING_JSON, slice_of(NULL, 0), 0, &arena, NULL),
                     BV_INVALID_EVENT);
}

static void
test_repeated_names_are_refused_with_their_path(void **state)
{
    struct buf buf;

    assert_int_equal(parse_json("{\"a\":1,\"b\":2,\"a\":1}"), BV_INVALID_EVENT);
    assert_string_equal(err.message, "field \"a\": sent more than once; send it once");
    assert_string_equal(err.path, "data.a");
    assert_int_equal(parse_json("{\"a\":1,\"\\u0061\":1}"), BV_INVALID_EVENT);
    /* Inside a value they are the value's affair. */
    assert_int_equal(parse_json("{\"a\":{\"b\":1,\"b\":2}}"), BV_OK);
    buf_init(&buf);
    buf_byte(&buf, '{');
    for (int i = 0; i < 5000; i++) {
        buf_printf(&buf, "%s\"f%d\":1", i == 0 ? "" : ",", i == 4999 ? 17 : i);
    }
    buf_text(&buf, "}");
    buf_byte(&buf, 0);
    assert_int_equal(parse_json((const char *)buf.data), BV_INVALID_EVENT);
    assert_string_equal(err.path, "data.f17");
    buf_deinit(&buf);
}

static void
test_nan_and_infinity_are_refused_however_deep(void **state)
{
    static const char NAN64[] = "\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00";
    static const char INF32[] = "\x81\xa1y\x91\x81\xa1z\xca\xff\x80\x00\x00";

    assert_int_equal(parse_msgpack(BYTES(NAN64)), BV_INVALID_EVENT);
    assert_string_equal(err.message, "field \"x\": NaN or infinite; send a finite number or null");
    assert_string_equal(err.path, "data.x");
    assert_int_equal(parse_msgpack(BYTES(INF32)), BV_INVALID_EVENT);
    assert_string_equal(err.path, "data.y");
}

static void
test_control_characters_are_refused_in_names_and_values(void **state)
{
    assert_int_equal(parse_json("{\"a\":1,\"u\":\"x\\u0001\"}"), BV_CONTROL_CHARACTER);
    assert_string_equal(err.message, "field \"u\": control character in the value; remove it");
    assert_string_equal(err.path, "data.u");
    assert_int_equal(parse_json("{\"u\\u0007\":1}"), BV_CONTROL_CHARACTER);
    assert_int_equal(parse_json("{\"u\\n\":1}"), BV_CONTROL_CHARACTER);
    assert_int_equal(parse_json("{\"u\":[{\"k\\u007f\":1}]}"), BV_CONTROL_CHARACTER);
    assert_int_equal(parse_json("{\"u\":[{\"k\":\"\\u0085\"}]}"), BV_CONTROL_CHARACTER);
}

static void
test_tab_and_line_ends_are_free_unless_the_switch_is_on(void **state)
{
    struct slice text = slice_text("{\"u\":\"a\\tb\\r\\n\"}");

    assert_int_equal(row_parse(&body, ENCODING_JSON, text, 0, &arena, &err), BV_OK);
    assert_int_equal(
        row_parse(&body, ENCODING_JSON, text, ROW_STRICT_CONTROL_CHARACTERS, &arena, &err),
        BV_CONTROL_CHARACTER);
}

static void
test_malformed_outranks_control_and_nan_outranks_control(void **state)
{
    static const char BOTH[] = "\x82\xa1u\xa1\x01\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00";

    assert_int_equal(parse_json("{\"u\":\"\\u0001\",\"v\":oops}"), BV_INVALID_EVENT);
    assert_int_equal(parse_json("{\"u\":\"\\u0001\",\"u\":1}"), BV_INVALID_EVENT);
    assert_int_equal(parse_msgpack(BYTES(BOTH)), BV_INVALID_EVENT);
}

static void
test_a_field_may_nest_125_levels_and_no_more(void **state)
{
    for (int depth = 125; depth <= 126; depth++) {
        enum bv_status expected = depth == 125 ? BV_OK : BV_INVALID_EVENT;
        char json[300] = "{\"x\":";
        uint8_t msgpack[140] = {0x81, 0xa1, 'x'};
        size_t size = 5;

        memset(json + size, '[', (size_t)depth);
        memset(json + size + depth, ']', (size_t)depth);
        json[size + 2 * (size_t)depth] = '}';
        assert_int_equal(parse_json(json), expected);
        memset(msgpack + 3, 0x91, (size_t)depth);
        msgpack[3 + depth - 1] = 0x90;
        assert_int_equal(parse_msgpack(slice_of(msgpack, 3 + (size_t)depth)), expected);
    }
}

static void
test_an_event_name_with_a_control_character_is_refused(void **state)
{
    assert_int_equal(row_check_name(slice_text("Tx"), &err), BV_OK);
    assert_int_equal(row_check_name(slice_text("No such"), &err), BV_OK);
    assert_int_equal(row_check_name(slice_text("T\t"), &err), BV_CONTROL_CHARACTER);
    assert_int_equal(err.status, BV_CONTROL_CHARACTER);
    assert_int_equal(row_check_name(slice_text("T\x7f"), NULL), BV_CONTROL_CHARACTER);
}

static void
test_slots_come_in_schema_order_and_keep_their_kind(void **state)
{
    assert_int_equal(
        bind_json(0, "{\"n\":1.5,\"extra\":{\"a\":1},\"amount\":5,\"user_id\":\"a\",\"j\":[1]}"),
        BV_OK);
    assert_int_equal(slots[0].kind, VALUE_STR);
    assert_true(slice_equal(value_slice(&slots[0]), slice_text("a")));
    assert_int_equal(slots[1].kind, VALUE_I64);
    assert_int_equal(slots[1].as.i64, 5);
    assert_int_equal(slots[2].kind, VALUE_NULL);
    assert_int_equal(slots[3].kind, VALUE_F64);
    assert_true(slots[3].as.f64 == 1.5);
    assert_int_equal(slots[4].kind, VALUE_LIST);
}

static void
test_the_first_unknown_field_is_reported_before_missing_ones(void **state)
{
    assert_int_equal(bind_json(0, "{\"zzz\":1,\"event_time\":1}"), BV_UNKNOWN_FIELD);
    assert_string_equal(err.message,
                        "field \"zzz\": not in the schema of \"Tx\"; leave it out or declare it");
    assert_string_equal(err.path, "data.zzz");
    assert_int_equal(bind_json(0, "{\"event_time\":1,\"zzz\":1}"), BV_UNKNOWN_FIELD_EVENT_TIME);
    assert_string_equal(err.path, "data.event_time");
    assert_int_equal(bind_json(0, "{\"event_time_ms\":1}"), BV_UNKNOWN_FIELD_EVENT_TIME);
}

static void
test_an_event_may_declare_event_time(void **state)
{
    struct row_field field = field_of("event_time", FIELD_I64, false);
    struct row_schema *schema = NULL;

    assert_int_equal(row_schema_create(&schema, slice_text("E"), &field, 1, 1, 0, NULL), BV_OK);
    assert_int_equal(parse_json("{\"event_time\":7}"), BV_OK);
    assert_int_equal(row_bind(slots, schema, &body, &err), BV_OK);
    assert_int_equal(slots[0].as.i64, 7);
    row_schema_destroy(schema);
}

static void
test_missing_null_and_wrong_kinds_are_told_apart(void **state)
{
    assert_int_equal(bind_json(0, "{\"user_id\":\"a\"}"), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "field \"amount\": expected f64, got nothing; send it or make it optional");
    assert_string_equal(err.path, "data.amount");
    assert_int_equal(bind_json(0, "{\"user_id\":\"a\",\"amount\":null}"), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "field \"amount\": expected f64, got null; cast it or change the schema");
    assert_int_equal(bind_json(0, "{\"user_id\":\"a\",\"amount\":\"5\"}"), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "field \"amount\": expected f64, got str; cast it or change the schema");
    assert_int_equal(bind_json(0, "{\"user_id\":5,\"amount\":1}"), BV_INVALID_EVENT);
    assert_string_equal(err.message,
                        "field \"user_id\": expected str, got i64; cast it or change the schema");
    assert_int_equal(bind_json(0, "{\"user_id\":\"a\",\"amount\":true}"), BV_INVALID_EVENT);
}

static void
test_optional_fields_are_checked_unless_loose(void **state)
{
    const char *wrong = "{\"user_id\":\"a\",\"amount\":1,\"ok\":1}";

    assert_int_equal(bind_json(0, wrong), BV_INVALID_EVENT);
    assert_string_equal(err.path, "data.ok");
    assert_int_equal(bind_json(ROW_LOOSE_OPTIONAL_FIELDS, wrong), BV_OK);
    assert_int_equal(slots[2].kind, VALUE_I64);
    assert_int_equal(bind_json(0, "{\"user_id\":\"a\",\"amount\":1,\"ok\":null}"), BV_OK);
    assert_int_equal(bind_json(ROW_LOOSE_OPTIONAL_FIELDS, "{\"user_id\":\"a\",\"amount\":\"1\"}"),
                     BV_INVALID_EVENT);
}

static void
test_untyped_fields_take_anything_but_null(void **state)
{
    static const enum field_type TYPES[] = {FIELD_BYTES, FIELD_DATETIME, FIELD_JSON};
    static const char *const VALUES[] = {"1", "1.5", "\"s\"", "true", "[1]", "{}"};

    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        struct row_field field = field_of("x", TYPES[i], false);
        struct row_schema *schema = NULL;

        assert_int_equal(row_schema_create(&schema, slice_text("E"), &field, 1, 1, 0, NULL), BV_OK);
        for (size_t j = 0; j < sizeof VALUES / sizeof VALUES[0]; j++) {
            struct buf buf;

            buf_init(&buf);
            buf_printf(&buf, "{\"x\":%s}", VALUES[j]);
            assert_int_equal(row_parse(&body, ENCODING_JSON, buf_slice(&buf), 0, &arena, &err),
                             BV_OK);
            assert_int_equal(row_bind(slots, schema, &body, &err), BV_OK);
            buf_deinit(&buf);
        }
        assert_int_equal(parse_msgpack(BYTES("\x81\xa1x\xc4\x01z")), BV_OK);
        assert_int_equal(row_bind(slots, schema, &body, &err), BV_OK);
        assert_int_equal(slots[0].kind, VALUE_BYTES);
        assert_int_equal(parse_json("{\"x\":null}"), BV_OK);
        assert_int_equal(row_bind(slots, schema, &body, &err), BV_INVALID_EVENT);
        row_schema_destroy(schema);
    }
}

static void
test_long_names_are_cut_in_messages(void **state)
{
    char text[1000] = "{\"";

    memset(text + 2, 'n', 900);
    memcpy(text + 902, "\":1}", 5);
    assert_int_equal(bind_json(0, text), BV_UNKNOWN_FIELD);
    assert_true(strlen(err.path) <= 5 + 203);
    assert_non_null(strstr(err.message, "not in the schema of \"Tx\""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_that_is_no_object_is_an_invalid_event),
        cmocka_unit_test(test_an_absent_body_is_an_invalid_event),
        cmocka_unit_test(test_repeated_names_are_refused_with_their_path),
        cmocka_unit_test(test_nan_and_infinity_are_refused_however_deep),
        cmocka_unit_test(test_control_characters_are_refused_in_names_and_values),
        cmocka_unit_test(test_tab_and_line_ends_are_free_unless_the_switch_is_on),
        cmocka_unit_test(test_malformed_outranks_control_and_nan_outranks_control),
        cmocka_unit_test(test_a_field_may_nest_125_levels_and_no_more),
        cmocka_unit_test(test_an_event_name_with_a_control_character_is_refused),
        cmocka_unit_test(test_slots_come_in_schema_order_and_keep_their_kind),
        cmocka_unit_test(test_the_first_unknown_field_is_reported_before_missing_ones),
        cmocka_unit_test(test_an_event_may_declare_event_time),
        cmocka_unit_test(test_missing_null_and_wrong_kinds_are_told_apart),
        cmocka_unit_test(test_optional_fields_are_checked_unless_loose),
        cmocka_unit_test(test_untyped_fields_take_anything_but_null),
        cmocka_unit_test(test_long_names_are_cut_in_messages),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
