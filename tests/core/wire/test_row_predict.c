/* SPDX-License-Identifier: Apache-2.0 */
/* The predicted decoders, held to the generic way: fixture_both_ways() asserts that whatever is
 * taken has the generic slots. Each test says in addition what must be taken and what must not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "row_fixture.h"
#include "util/buf.h"
#include "util/bytes.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define SEED        0x6a09e667f3bcc908u
#define ROUNDS      4000
#define EVENT_NAME  "Transaction"
#define SLOT_COUNT  9

static struct arena arena;
static struct row_schema *schema;

/* Names on both sides of what fits a literal, every type, two names without a slot. */
static const struct row_field FIELDS[] = {
    {{(const uint8_t *)"user_id", 7}, FIELD_STR, false},
    {{(const uint8_t *)"amount", 6}, FIELD_F64, false},
    {{(const uint8_t *)"n", 1}, FIELD_I64, true},
    {{(const uint8_t *)"is_online", 9}, FIELD_BOOL, true},
    {{(const uint8_t *)"a_name_that_is_longer_than_a_literal", 36}, FIELD_STR, true},
    {{(const uint8_t *)"exactly_twenty_eight_letters", 28}, FIELD_I64, true},
    {{(const uint8_t *)"blob", 4}, FIELD_BYTES, true},
    {{(const uint8_t *)"extra_json", 10}, FIELD_JSON, true},
    {{(const uint8_t *)"quote\"d", 7}, FIELD_STR, true},
    {{(const uint8_t *)"ignored", 7}, FIELD_STR, true},
    {{(const uint8_t *)"ignored_too", 11}, FIELD_STR, true},
};

#define FIELD_COUNT (sizeof FIELDS / sizeof FIELDS[0])

static int
set_up(void **state)
{
    arena_init(&arena, 4096, 0);
    return row_schema_create(&schema, slice_text(EVENT_NAME), FIELDS, FIELD_COUNT, SLOT_COUNT, 0,
                             NULL) == BV_OK
               ? 0
               : -1;
}

static int
tear_down(void **state)
{
    row_schema_destroy(schema);
    arena_deinit(&arena);
    return 0;
}

static bool
taken(enum encoding encoding, bool is_push, struct slice payload)
{
    bool result = fixture_both_ways(schema, slice_text(EVENT_NAME), SLOT_COUNT, encoding, is_push,
                                    payload, 0, &arena);

    arena_reset(&arena);
    return result;
}

static bool
taken_json(const char *body)
{
    return taken(ENCODING_JSON, false, slice_text(body));
}

/* {"user_id":"u","amount":VALUE} */
static bool
taken_number(const char *number)
{
    char body[512];

    (void)snprintf(body, sizeof body, "{\"user_id\":\"u\",\"amount\":%s}", number);
    return taken_json(body);
}

/* {"user_id":VALUE,"amount":1} in MessagePack. */
static bool
taken_msgpack(struct slice user_id)
{
    struct buf buf;
    bool result = false;

    buf_init(&buf);
    buf_append(&buf, "\x82\xa7user_id", 9);
    buf_append(&buf, user_id.data, user_id.size);
    buf_append(&buf,
               "\xa6"
               "amount\x01",
               8);
    result = taken(ENCODING_MSGPACK, false, buf_slice(&buf));
    buf_deinit(&buf);
    return result;
}

static void
test_plain_pushes_are_taken_in_all_three_styles(void **state)
{
    assert_true(taken(ENCODING_JSON, true,
                      slice_text("{\"event\":\"Transaction\",\"body\":"
                                 "{\"user_id\":\"u1\",\"amount\":12.5,\"n\":7}}")));
    assert_true(taken(ENCODING_JSON, true,
                      slice_text("{\"event\": \"Transaction\", \"body\": "
                                 "{\"user_id\": \"u1\", \"amount\": 12.5, \"n\": 7}}")));
    assert_true(taken(ENCODING_JSON, true,
                      slice_text("{\"event\":\"Transaction\",\"body\":"
                                 "{ \"user_id\" :\t\"u1\" , \"amount\":\n1 } }\n")));
    assert_true(taken(ENCODING_MSGPACK, true,
                      BYTES("\x82\xa5"
                            "event\xabTransaction\xa4"
                            "body\x83\xa7user_id\xa2u1\xa6"
                            "amount\xcb\x40\x29\x00\x00\x00\x00\x00\x00\xa1n\x07")));
}

static void
test_another_events_push_is_not_taken(void **state)
{
    assert_false(taken(ENCODING_JSON, true,
                       slice_text("{\"event\":\"Transactiom\",\"body\":"
                                  "{\"user_id\":\"u1\",\"amount\":12.5}}")));
    assert_false(taken(ENCODING_JSON, true, slice_text("{\"event\":\"Transaction\",\"body\":")));
    assert_false(taken(ENCODING_MSGPACK, true,
                       BYTES("\x82\xa5"
                             "event\xabTransactiom\xa4"
                             "body\x82\xa7user_id\xa2u1\xa6"
                             "amount\x01")));
    assert_false(taken(ENCODING_JSON, true, slice_text("")));
    assert_false(taken(ENCODING_MSGPACK, true, slice_text("")));
    assert_false(taken(ENCODING_JSON, false, slice_text("")));
    assert_false(taken(ENCODING_MSGPACK, false, slice_text("")));
}

static void
test_order_may_change_from_event_to_event(void **state)
{
    assert_true(taken_json("{\"amount\":1,\"user_id\":\"u\"}"));
    assert_true(taken_json("{\"n\":1,\"user_id\":\"u\",\"amount\":1}"));
    assert_true(taken_json("{\"user_id\":\"u\",\"amount\":1}"));
    assert_true(taken_json("{\"a_name_that_is_longer_than_a_literal\":\"x\",\"user_id\":\"u\","
                           "\"exactly_twenty_eight_letters\":5,\"amount\":1}"));
}

static void
test_events_that_do_not_fit_are_left_to_the_generic_way(void **state)
{
    assert_false(taken_json("{\"user_id\":\"u\"}"));
    assert_false(taken_json("{}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"zzz\":1}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"amount\":1}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"n\":1,\"n\":null}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":\"1\"}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":null}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"n\":true}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1}x"));
    assert_false(taken_json("{\"user_id\":\"u\" \"amount\":1}"));
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\" 1}"));
    assert_false(taken_json("[\"user_id\",\"u\",\"amount\",1]"));
    assert_false(taken_json("{,\"user_id\":\"u\",\"amount\":1}"));
    assert_false(taken_msgpack(BYTES("\xa1u\xa1n\x01")));
    assert_false(taken(ENCODING_MSGPACK, false, BYTES("\x81\xa7user_id\xa1u")));
}

static void
test_names_without_a_slot_are_read_and_dropped(void **state)
{
    assert_true(
        taken_json("{\"ignored\":[1,{}],\"user_id\":\"u\",\"ignored_too\":5,\"amount\":1}"));
    assert_false(taken_json("{\"ignored\":1,\"user_id\":\"u\",\"ignored\":5,\"amount\":1}"));
}

static void
test_nul_bytes_never_stand_for_a_name_that_is_not_predicted(void **state)
{
    static const char NULS[] = "{\"user_id\":\"u\",\"amount\":1\0\0\0\0\0\0\"x\"}";

    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"quote\\\"d\":\"x\"}"));
    assert_true(taken_json("{\"user_id\":\"u\",\"amount\":1,"
                           "\"a_name_that_is_longer_than_a_literal\":\"x\"}"));
    assert_false(taken(ENCODING_JSON, false, BYTES(NULS)));
}

static void
test_numbers_are_the_generic_ones(void **state)
{
    static const char *const GOOD[] = {
        "0",
        "7",
        "-7",
        "42",
        "12345678",
        "123456789",
        "1234567890123456",
        "999999999999999999",
        "9223372036854775807",
        "-9223372036854775807",
        "9223372036854775808",
        "0.5",
        "-0.5",
        "0.1",
        "12.34",
        "1.0",
        "100.00",
        "1234567.12345678",
        "0.30000000000000004",
        "9007199254740992.0",
        "9007199254740993.0",
        "123456789012345678901234567890",
        "0.000001",
        "1e5",
        "1E-7",
        "-2.5e+3",
        "1.7976931348623157e308",
        "5e-324",
        "-0",
        "-0.0",
        "0.0",
        "0.00000000",
        "-1.50",
        "3.141592653589793238462643383279",
        "1700000000000",
        "18446744073709551615",
        "18446744073709551617",
        "1.8446744073709551617",
        "18446744073709551616.5",
        "184467440737095516170000000000000000000000001.5",
        "0.12345678",
        "0.1234567890123456789",
        "99999999.99999999",
        "1.12345678",
    };
    static const char *const BAD[] = {
        "",    "-",    "01",    "00",     "-01",   "1.",       ".5",        "+1",    "1.e5",  "1e",
        "1e+", "0x10", "1e400", "-1e400", "NaN",   "Infinity", "-Infinity", "1_000", "1.2.3", "--1",
        "1-2", "tru",  "nul",   "fals",   "007.5", "\"1\"",    "1 2",       "1\"",
    };

    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        assert_true(taken_number(GOOD[i]));
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(taken_number(BAD[i]));
    }
    /* The one int that does not fit the fast path's sign and magnitude: the generic way takes it.
     */
    assert_false(taken_number("-9223372036854775808"));
}

static void
test_a_negative_zero_becomes_a_positive_one(void **state)
{
    static const char *const ZEROS[] = {"-0", "-0.0", "-0.000", "0.0"};

    for (size_t i = 0; i < sizeof ZEROS / sizeof ZEROS[0]; i++) {
        struct value slots[SLOT_COUNT];
        char body[128];
        struct slice copy;

        (void)snprintf(body, sizeof body, "{\"user_id\":\"u\",\"amount\":%s}", ZEROS[i]);
        copy = fixture_copy(slice_text(body), 0);
        assert_true(row_decode_body(slots, schema, ENCODING_JSON, copy, &arena));
        assert_int_equal(slots[1].kind, VALUE_F64);
        assert_int_equal(slots[1].as.bits, 0);
        fixture_free(copy);
    }
}

static void
test_strings_of_every_size_are_the_generic_ones(void **state)
{
    for (size_t size = 0; size <= 300; size++) {
        for (size_t at = 0; at <= size; at += size > 70 ? 37 : 1) {
            char text[320];
            char body[400];
            bool has_place = at < size;
            struct buf buf;

            memset(text, 'x', sizeof text);
            text[size] = '\0';
            (void)snprintf(body, sizeof body, "{\"amount\":1,\"user_id\":\"%s\"}", text);
            assert_true(taken_json(body));
            buf_init(&buf);
            if (size < 32) {
                buf_byte(&buf, (uint8_t)(0xa0 | size));
            } else if (size < 256) {
                buf_append(&buf, (uint8_t[]){0xd9, (uint8_t)size}, 2);
            } else {
                buf_append(&buf, (uint8_t[]){0xda, (uint8_t)(size >> 8), (uint8_t)size}, 3);
            }
            text[at] = has_place ? 0x7f : '\0';
            buf_append(&buf, text, size);
            assert_int_equal(taken_msgpack(buf_slice(&buf)), !has_place);
            buf_deinit(&buf);
            (void)snprintf(body, sizeof body, "{\"amount\":1,\"user_id\":\"%s\"}", text);
            assert_int_equal(taken_json(body), !has_place);
            text[at] = has_place ? 0x01 : '\0';
            (void)snprintf(body, sizeof body, "{\"amount\":1,\"user_id\":\"%s\"}", text);
            assert_int_equal(taken_json(body), !has_place);
        }
    }
}

static void
test_text_beyond_ascii_and_escapes_are_taken_when_well_formed(void **state)
{
    static const char *const GOOD[] = {
        "\xc3\xa4",
        "\xe2\x82\xac 5",
        "\xf0\x9f\x98\x80",
        "a\\n\\t\\\"\\\\\\/",
        "\\u00e4\\ud83d\\ude00",
        "1234567890123456789012345678901\xc3\xa4",
        "123456789012345678901234567890\xc3\xa4\\n",
    };
    static const char *const BAD[] = {
        "\xc3",
        "\xff",
        "\xed\xa0\x80",
        "\\ud800",
        "\\x",
        "\\u12",
        "a\tb",
        "a\nb",
        "\\u0001",
        "\xc2\x85",
        "\\u007f",
        "\\",
        "1234567890123456789012345678901\xc3",
    };

    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        char body[128];

        (void)snprintf(body, sizeof body, "{\"user_id\":\"%s\",\"amount\":1}", GOOD[i]);
        assert_true(taken_json(body));
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char body[128];

        (void)snprintf(body, sizeof body, "{\"user_id\":\"%s\",\"amount\":1}", BAD[i]);
        assert_false(taken_json(body));
    }
    assert_true(taken_msgpack(BYTES("\xa2\xc3\xa4")));
    assert_true(taken_msgpack(BYTES("\xa3\n\t\r")));
    assert_false(taken_msgpack(BYTES("\xa1\xc3")));
    assert_false(taken_msgpack(BYTES("\xa2\xc2\x85")));
}

static void
test_every_msgpack_number_is_the_generic_one(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool is_taken;
    } NUMBERS[] = {
        {"\x00", 1, true},
        {"\x7f", 1, true},
        {"\xe0", 1, true},
        {"\xff", 1, true},
        {"\xcc\xff", 2, true},
        {"\xcd\xff\xfe", 3, true},
        {"\xce\xff\xff\xff\xfe", 5, true},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, true},
        {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9, true},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, true},
        {"\xd0\x80", 2, true},
        {"\xd1\x80\x00", 3, true},
        {"\xd2\x80\x00\x00\x00", 5, true},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, true},
        {"\xca\x3d\xcc\xcc\xcd", 5, true},
        {"\xcb\x80\x00\x00\x00\x00\x00\x00\x00", 9, true},
        {"\xcb\x7f\xef\xff\xff\xff\xff\xff\xff", 9, true},
        {"\xca\x7f\x80\x00\x00", 5, false},
        {"\xca\x7f\xc0\x00\x00", 5, false},
        {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9, false},
        {"\xcb\xff\xf8\x00\x00\x00\x00\x00\x01", 9, false},
        {"\xc0", 1, false},
        {"\xc3", 1, false},
        {"\xc1", 1, false},
        {"\xd4\x01\x02", 3, false},
        {"\xa1"
         "5",
         2, false},
    };

    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        struct buf buf;

        buf_init(&buf);
        buf_append(&buf,
                   "\x82\xa7user_id\xa1u\xa6"
                   "amount",
                   18);
        buf_append(&buf, NUMBERS[i].bytes, NUMBERS[i].size);
        assert_int_equal(taken(ENCODING_MSGPACK, false, buf_slice(&buf)), NUMBERS[i].is_taken);
        buf_deinit(&buf);
    }
}

static void
test_nested_values_are_taken_to_the_depth_limit(void **state)
{
    for (int depth = 124; depth <= 126; depth++) {
        char json[400];
        uint8_t msgpack[200] = "\x83\xa7user_id\xa1u\xa6"
                               "amount\x01\xaa"
                               "extra_json";
        size_t size =
            (size_t)snprintf(json, sizeof json, "{\"user_id\":\"u\",\"amount\":1,\"extra_json\":");

        memset(json + size, '[', (size_t)depth);
        memset(json + size + depth, ']', (size_t)depth);
        json[size + 2 * (size_t)depth] = '}';
        json[size + 2 * (size_t)depth + 1] = '\0';
        assert_int_equal(taken_json(json), depth <= 125);
        memset(msgpack + 30, 0x91, (size_t)depth);
        msgpack[30 + depth - 1] = 0x90;
        assert_int_equal(taken(ENCODING_MSGPACK, false, slice_of(msgpack, 30 + (size_t)depth)),
                         depth <= 125);
    }
    assert_false(taken_json("{\"user_id\":\"u\",\"amount\":1,\"extra_json\":[\"\\u0001\"]}"));
    assert_true(taken_json("{\"user_id\":\"u\",\"amount\":1,\"extra_json\":{\"a\":[1,\"]\"]}}"));
}

static void
test_an_event_of_more_than_fifteen_fields_is_taken(void **state)
{
    static struct row_field fields[40];
    static char names[40][8];
    struct row_schema *wide = NULL;
    struct buf buf;

    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%02zu", i);
        fields[i] = (struct row_field){slice_text(names[i]), FIELD_I64, i >= 20};
    }
    assert_int_equal(row_schema_create(&wide, slice_text("W"), fields, 40, 40, 0, NULL), BV_OK);
    for (size_t count = 15; count <= 40; count++) {
        buf_init(&buf);
        buf_append(&buf, (uint8_t[]){0xde, 0, (uint8_t)count}, 3);
        for (size_t i = 0; i < count; i++) {
            buf_printf(&buf, "\xa3%s", names[i]);
            buf_byte(&buf, (uint8_t)i);
        }
        assert_int_equal(fixture_both_ways(wide, slice_text("W"), 40, ENCODING_MSGPACK, false,
                                           buf_slice(&buf), 0, &arena),
                         count >= 20);
        buf_deinit(&buf);
    }
    row_schema_destroy(wide);
}

static void
test_a_schema_without_fields_agrees_on_the_empty_event(void **state)
{
    struct row_schema *empty = NULL;

    assert_int_equal(row_schema_create(&empty, slice_text("E"), NULL, 0, 0, 0, NULL), BV_OK);
    assert_true(fixture_both_ways(empty, slice_text("E"), 0, ENCODING_MSGPACK, false, BYTES("\x80"),
                                  0, &arena));
    assert_false(fixture_both_ways(empty, slice_text("E"), 0, ENCODING_MSGPACK, false,
                                   BYTES("\x81\xa1"
                                         "a\x01"),
                                   0, &arena));
    assert_false(fixture_both_ways(empty, slice_text("E"), 0, ENCODING_JSON, false,
                                   slice_text("{\"a\":1}"), 0, &arena));
    row_schema_destroy(empty);
}

static void
test_the_switches_hold_for_predicted_events(void **state)
{
    struct row_schema *strict = NULL;
    struct row_schema *loose = NULL;
    struct slice tab = slice_text("{\"user_id\":\"a\\tb\",\"amount\":1}");
    struct slice wrong = slice_text("{\"user_id\":\"a\",\"amount\":1,\"n\":\"x\"}");

    assert_int_equal(row_schema_create(&strict, slice_text(EVENT_NAME), FIELDS, FIELD_COUNT,
                                       SLOT_COUNT, ROW_STRICT_CONTROL_CHARACTERS, NULL),
                     BV_OK);
    assert_int_equal(row_schema_create(&loose, slice_text(EVENT_NAME), FIELDS, FIELD_COUNT,
                                       SLOT_COUNT, ROW_LOOSE_OPTIONAL_FIELDS, NULL),
                     BV_OK);
    assert_true(taken(ENCODING_JSON, false, tab));
    assert_false(fixture_both_ways(strict, slice_text(EVENT_NAME), SLOT_COUNT, ENCODING_JSON, false,
                                   tab, ROW_STRICT_CONTROL_CHARACTERS, &arena));
    assert_false(taken(ENCODING_JSON, false, wrong));
    assert_true(fixture_both_ways(loose, slice_text(EVENT_NAME), SLOT_COUNT, ENCODING_JSON, false,
                                  wrong, ROW_LOOSE_OPTIONAL_FIELDS, &arena));
    row_schema_destroy(strict);
    row_schema_destroy(loose);
}

/* Random events. */

static uint64_t
random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t
random_below(uint64_t *seed, uint64_t bound)
{
    return random_next(seed) % bound;
}

struct writer {
    struct buf buf;
    enum encoding encoding;
    const char *comma; /* with the blanks of this event */
    const char *colon;
};

static void
write_text(struct writer *writer, struct slice text)
{
    if (writer->encoding == ENCODING_JSON) {
        buf_byte(&writer->buf, '"');
        for (size_t i = 0; i < text.size; i++) {
            if (text.data[i] == '"' || text.data[i] == '\\') {
                buf_byte(&writer->buf, '\\');
            }
            buf_byte(&writer->buf, text.data[i]);
        }
        buf_byte(&writer->buf, '"');
        return;
    }
    if (text.size < 32) {
        buf_byte(&writer->buf, (uint8_t)(0xa0 | text.size));
    } else {
        buf_append(&writer->buf, (uint8_t[]){0xd9, (uint8_t)text.size}, 2);
    }
    buf_append(&writer->buf, text.data, text.size);
}

static void
write_random_text(struct writer *writer, uint64_t *seed)
{
    static const char *const PIECES[] = {
        "a",   "Z9", "_-",   "\xc3\xa4", "\xe2\x82\xac", " ", "hello", "0123456789abcdef",
        "\\n", "\"", "\x7f", "\xff"};
    uint64_t count = random_below(seed, 9);
    uint64_t kinds = random_below(seed, 8) == 0 ? 12 : 8; /* seldom the troublesome ones */
    char text[200];
    size_t size = 0;

    for (uint64_t i = 0; i < count; i++) {
        const char *piece = PIECES[random_below(seed, kinds)];

        memcpy(text + size, piece, strlen(piece));
        size += strlen(piece);
    }
    write_text(writer, slice_of(text, size));
}

static void
write_random_number(struct writer *writer, bool is_float, uint64_t *seed)
{
    uint64_t bits = random_next(seed) >> random_below(seed, 64);
    double number = (double)(int64_t)bits / (double)(1 + random_below(seed, 1000));
    uint8_t bytes[9] = {0xcb};

    if (writer->encoding == ENCODING_JSON) {
        static const char *const FORMATS[] = {"%.2f", "%.17g", "%g", "%.6f", "%.1f"};
        char text[400];

        if (is_float) {
            (void)snprintf(text, sizeof text, FORMATS[random_below(seed, 5)], number);
        } else {
            (void)snprintf(text, sizeof text, "%lld", (long long)(int64_t)bits);
        }
        buf_text(&writer->buf, text);
        return;
    }
    if (is_float) {
        memcpy(&bits, &number, sizeof bits);
    } else {
        bytes[0] = random_below(seed, 2) == 0 ? 0xcf : 0xd3;
    }
    store_be64(bytes + 1, bits);
    buf_append(&writer->buf, bytes, sizeof bytes);
}

static void
write_random_value(struct writer *writer, enum field_type type, uint64_t *seed)
{
    bool is_json = writer->encoding == ENCODING_JSON;

    if (random_below(seed, 12) == 0) { /* whatever the type */
        static const char *const JSON[] = {"null", "[1,{\"a\":\"b\"}]", "{}", "true", "-0", "1e3"};
        static const char *const MSGPACK[] = {"\xc0", "\x92\x01\xa1q", "\x80",
                                              "\xc3", "\xc4\x01z",     "\xe1"};
        uint64_t pick = random_below(seed, 6);

        /* 0x80 holds no NUL, so every one of them is a C string. */
        buf_text(&writer->buf, is_json ? JSON[pick] : MSGPACK[pick]);
        return;
    }
    switch (type) {
    case FIELD_STR:
        write_random_text(writer, seed);
        break;
    case FIELD_BOOL:
        buf_text(&writer->buf, is_json ? "false" : "\xc2");
        break;
    case FIELD_I64:
    case FIELD_DATETIME:
        write_random_number(writer, false, seed);
        break;
    default:
        write_random_number(writer, true, seed);
        break;
    }
}

static void
write_begin(struct writer *writer, bool is_push, uint64_t count)
{
    if (writer->encoding == ENCODING_JSON) {
        if (is_push) {
            buf_printf(&writer->buf, "{\"event\"%s\"%s\"%s\"body\"%s", writer->colon, EVENT_NAME,
                       writer->comma, writer->colon);
        }
        buf_byte(&writer->buf, '{');
        return;
    }
    if (is_push) {
        buf_text(&writer->buf, "\x82\xa5"
                               "event\xab" EVENT_NAME "\xa4"
                               "body");
    }
    buf_byte(&writer->buf, (uint8_t)(0x80 | count));
}

/* Most events have their fields in order; some leave out, repeat, swap or invent one. */
static void
write_random_event(struct writer *writer, bool is_push, uint64_t *seed)
{
    static const char *const BLANKS[][2] = {{",", ":"}, {", ", ": "}, {" ,\n", " :\t"}};
    uint64_t style = random_below(seed, 8);
    size_t order[FIELD_COUNT + 2];
    size_t count = 0;

    style = style > 2 ? style % 2 : style;
    writer->comma = BLANKS[style][0];
    writer->colon = BLANKS[style][1];
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (i < 2 || random_below(seed, 3) != 0) {
            order[count++] = i;
        }
    }
    if (random_below(seed, 3) == 0) {
        size_t a = (size_t)random_below(seed, count);
        size_t b = (size_t)random_below(seed, count);
        size_t kept = order[a];

        order[a] = order[b];
        order[b] = kept;
    }
    if (random_below(seed, 10) == 0) {
        order[count++] = (size_t)random_below(seed, FIELD_COUNT + 1); /* repeated or unknown */
    }
    write_begin(writer, is_push, count);
    for (size_t i = 0; i < count; i++) {
        bool is_known = order[i] < FIELD_COUNT;

        if (writer->encoding == ENCODING_JSON && i > 0) {
            buf_text(&writer->buf, writer->comma);
        }
        write_text(writer, is_known ? FIELDS[order[i]].name : slice_text("unknown"));
        if (writer->encoding == ENCODING_JSON) {
            buf_text(&writer->buf, writer->colon);
        }
        write_random_value(writer, is_known ? FIELDS[order[i]].type : FIELD_STR, seed);
    }
    if (writer->encoding == ENCODING_JSON) {
        buf_text(&writer->buf, is_push ? "}}" : "}");
    }
}

static void
run_random_events(enum encoding encoding)
{
    uint64_t seed = SEED + encoding;
    size_t taken_count = 0;

    print_message("seed %#llx\n", (unsigned long long)seed);
    for (int round = 0; round < ROUNDS; round++) {
        struct writer writer = {.encoding = encoding};
        bool is_push = round % 2 == 0;

        buf_init(&writer.buf);
        write_random_event(&writer, is_push, &seed);
        taken_count += taken(encoding, is_push, buf_slice(&writer.buf));
        for (int i = 0; i < 16; i++) { /* damaged in one or two places */
            size_t at = (size_t)random_below(&seed, writer.buf.size);
            uint8_t kept = writer.buf.data[at];
            static const uint8_t CHARACTERS[] = "{}[],:\"\\ 019-.eE\n\x01\x7f\x80\xc2\xff\xc0\xa1";

            writer.buf.data[at] =
                i % 2 == 0 ? (uint8_t)random_next(&seed) : CHARACTERS[random_below(&seed, 24)];
            (void)taken(encoding, is_push, buf_slice(&writer.buf));
            if (i % 4 != 3) {
                writer.buf.data[at] = kept;
            }
        }
        buf_deinit(&writer.buf);
    }
    /* Not vacuous: a good part of the events goes the predicted way. */
    assert_true(taken_count > ROUNDS / 10);
}

static void
test_random_json_events_agree(void **state)
{
    run_random_events(ENCODING_JSON);
}

static void
test_random_msgpack_events_agree(void **state)
{
    run_random_events(ENCODING_MSGPACK);
}

static void
run_truncations(enum encoding encoding)
{
    uint64_t seed = SEED ^ encoding;

    for (int round = 0; round < 40; round++) {
        struct writer writer = {.encoding = encoding};
        bool is_push = round % 2 == 0;

        buf_init(&writer.buf);
        write_random_event(&writer, is_push, &seed);
        for (size_t size = 0; size < writer.buf.size; size++) {
            assert_false(taken(encoding, is_push, slice_of(writer.buf.data, size)));
        }
        buf_byte(&writer.buf, encoding == ENCODING_JSON ? '}' : 0xc0);
        assert_false(taken(encoding, is_push, buf_slice(&writer.buf)));
        buf_deinit(&writer.buf);
    }
}

static void
test_no_truncated_event_is_taken(void **state)
{
    run_truncations(ENCODING_JSON);
    run_truncations(ENCODING_MSGPACK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_pushes_are_taken_in_all_three_styles),
        cmocka_unit_test(test_another_events_push_is_not_taken),
        cmocka_unit_test(test_order_may_change_from_event_to_event),
        cmocka_unit_test(test_events_that_do_not_fit_are_left_to_the_generic_way),
        cmocka_unit_test(test_names_without_a_slot_are_read_and_dropped),
        cmocka_unit_test(test_nul_bytes_never_stand_for_a_name_that_is_not_predicted),
        cmocka_unit_test(test_numbers_are_the_generic_ones),
        cmocka_unit_test(test_a_negative_zero_becomes_a_positive_one),
        cmocka_unit_test(test_strings_of_every_size_are_the_generic_ones),
        cmocka_unit_test(test_text_beyond_ascii_and_escapes_are_taken_when_well_formed),
        cmocka_unit_test(test_every_msgpack_number_is_the_generic_one),
        cmocka_unit_test(test_nested_values_are_taken_to_the_depth_limit),
        cmocka_unit_test(test_an_event_of_more_than_fifteen_fields_is_taken),
        cmocka_unit_test(test_a_schema_without_fields_agrees_on_the_empty_event),
        cmocka_unit_test(test_the_switches_hold_for_predicted_events),
        cmocka_unit_test(test_random_json_events_agree),
        cmocka_unit_test(test_random_msgpack_events_agree),
        cmocka_unit_test(test_no_truncated_event_is_taken),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
