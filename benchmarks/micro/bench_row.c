/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs to decode one event into slots.
 *
 * Enters:  nothing; payloads are made here, 4096 different ones per case, so that branches are
 *          learned as they are in service and not by heart.
 * Leaves:  one line per case: bytes, predicted and generic ns per event (median of the rounds), and
 *          the spread of the predicted ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/assert.h"
#include "util/buf.h"
#include "util/clock.h"
#include "wire/row.h"

#define EVENT_COUNT 4096
#define TICK_EVENTS 128 /* the arena is emptied once per tick, as in service */
#define ROUNDS      31
#define FIELDS_MAX  32

struct bench_case {
    const char *name;
    enum encoding encoding;
    size_t field_count;
    const char *separator; /* JSON: behind commas and colons */
};

struct events {
    struct buf bytes;
    size_t begin[EVENT_COUNT];
    size_t size[EVENT_COUNT];
};

static uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The three fields of engine.md 3, then sixteen more of the kinds a fraud pipeline sends. */
static const struct row_field FIELDS[] = {
    {{(const uint8_t *)"user_id", 7}, FIELD_STR, false},
    {{(const uint8_t *)"amount", 6}, FIELD_F64, false},
    {{(const uint8_t *)"ts", 2}, FIELD_I64, false},
    {{(const uint8_t *)"merchant_id", 11}, FIELD_STR, false},
    {{(const uint8_t *)"card_id", 7}, FIELD_STR, false},
    {{(const uint8_t *)"device_id", 9}, FIELD_STR, false},
    {{(const uint8_t *)"country", 7}, FIELD_STR, false},
    {{(const uint8_t *)"currency", 8}, FIELD_STR, false},
    {{(const uint8_t *)"lat", 3}, FIELD_F64, false},
    {{(const uint8_t *)"lon", 3}, FIELD_F64, false},
    {{(const uint8_t *)"is_online", 9}, FIELD_BOOL, false},
    {{(const uint8_t *)"mcc", 3}, FIELD_I64, false},
    {{(const uint8_t *)"channel", 7}, FIELD_STR, false},
    {{(const uint8_t *)"ip", 2}, FIELD_STR, false},
    {{(const uint8_t *)"attempts", 8}, FIELD_I64, false},
    {{(const uint8_t *)"status", 6}, FIELD_STR, false},
    {{(const uint8_t *)"fee", 3}, FIELD_F64, false},
    {{(const uint8_t *)"is_retry", 8}, FIELD_BOOL, false},
    {{(const uint8_t *)"session", 7}, FIELD_STR, false},
};

static void
msgpack_text(struct buf *buf, struct slice text)
{
    buf_byte(buf, (uint8_t)(0xa0 | text.size));
    buf_append(buf, text.data, text.size);
}

static void
write_json(struct buf *buf, const struct row_field *field, uint64_t random)
{
    switch (field->type) {
    case FIELD_STR:
        buf_printf(buf, "\"u%011" PRIu64 "\"", random % 1000000);
        break;
    case FIELD_F64:
        buf_printf(buf, "%" PRIu64 ".%02" PRIu64, random % 1000, random / 1000 % 100);
        break;
    case FIELD_BOOL:
        buf_text(buf, random % 2 == 0 ? "true" : "false");
        break;
    default:
        buf_printf(buf, "%" PRIu64,
                   field->name.size == 2 ? 1700000000000 + random % 100000000 : random % 10000);
        break;
    }
}

static void
write_msgpack(struct buf *buf, const struct row_field *field, uint64_t random)
{
    uint8_t bytes[9] = {0};
    double number = (double)(random % 100000) / 100;
    uint64_t bits = 0;
    char text[32];

    switch (field->type) {
    case FIELD_STR:
        (void)snprintf(text, sizeof text, "u%011" PRIu64, random % 1000000);
        msgpack_text(buf, slice_text(text));
        return;
    case FIELD_F64:
        memcpy(&bits, &number, sizeof bits);
        bytes[0] = 0xcb;
        break;
    case FIELD_BOOL:
        buf_byte(buf, random % 2 == 0 ? 0xc2 : 0xc3);
        return;
    default:
        bits = field->name.size == 2 ? 1700000000000 + random % 100000000 : random % 10000;
        bytes[0] = 0xcf;
        if (field->name.size != 2) {
            buf_append(buf, (uint8_t[]){0xcd, (uint8_t)(bits >> 8), (uint8_t)bits}, 3);
            return;
        }
        break;
    }
    for (int i = 0; i < 8; i++) {
        bytes[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    buf_append(buf, bytes, sizeof bytes);
}

static void
write_event(struct buf *buf, const struct bench_case *bench, uint64_t *random)
{
    const char *gap = bench->separator;

    if (bench->encoding == ENCODING_MSGPACK) {
        buf_byte(buf, 0x82);
        msgpack_text(buf, slice_text("event"));
        msgpack_text(buf, slice_text("Transaction"));
        msgpack_text(buf, slice_text("body"));
        if (bench->field_count > 15) {
            buf_append(buf, (uint8_t[]){0xde, 0, (uint8_t)bench->field_count}, 3);
        } else {
            buf_byte(buf, (uint8_t)(0x80 | bench->field_count));
        }
    } else {
        buf_printf(buf, "{\"event\":%s\"Transaction\",%s\"body\":%s{", gap, gap, gap);
    }
    for (size_t i = 0; i < bench->field_count; i++) {
        const struct row_field *field = &FIELDS[i];

        if (bench->encoding == ENCODING_MSGPACK) {
            msgpack_text(buf, field->name);
            write_msgpack(buf, field, random_next(random));
        } else {
            buf_printf(buf, "%s%s\"%.*s\":%s", i == 0 ? "" : ",", i == 0 ? "" : gap,
                       (int)field->name.size, (const char *)field->name.data, gap);
            write_json(buf, field, random_next(random));
        }
    }
    if (bench->encoding == ENCODING_JSON) {
        buf_text(buf, "}}");
    }
}

static void
events_init(struct events *events, const struct bench_case *bench)
{
    uint64_t random = 0x9e3779b97f4a7c15u;

    buf_init(&events->bytes);
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        events->begin[i] = events->bytes.size;
        write_event(&events->bytes, bench, &random);
        events->size[i] = events->bytes.size - events->begin[i];
    }
    BV_ASSERT(buf_reserve(&events->bytes, ROW_SLACK));
    memset(events->bytes.data + events->bytes.size, 0, ROW_SLACK);
}

static bool
decode_generic(struct value *slots, struct row_schema *schema, enum encoding encoding,
               struct slice payload, struct arena *arena)
{
    struct push_envelope envelope;
    struct value body;
    struct bv_error err;

    return push_envelope_decode(&envelope, encoding, false, payload, arena, &err) == BV_OK &&
           row_parse(&body, encoding, envelope.body, 0, arena, &err) == BV_OK &&
           row_bind(slots, schema, &body, &err) == BV_OK;
}

typedef bool decode_function(struct value *slots, struct row_schema *schema, enum encoding encoding,
                             struct slice payload, struct arena *arena);

static int
compare_doubles(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;

    return (*left > *right) - (*left < *right);
}

/* Sorted ns per event of each round. */
static void
measure(double *ns, const struct bench_case *bench, const struct events *events,
        struct row_schema *schema, decode_function *decode)
{
    struct value slots[FIELDS_MAX];
    struct arena arena;
    uint64_t sum = 0;

    arena_init(&arena, 65536, 0);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_monotonic_ns();

        for (size_t i = 0; i < EVENT_COUNT; i++) {
            struct slice payload = slice_of(events->bytes.data + events->begin[i], events->size[i]);

            BV_ASSERT(decode(slots, schema, bench->encoding, payload, &arena));
            sum += slots[1].as.bits;
            if (i % TICK_EVENTS == 0) {
                arena_reset(&arena);
            }
        }
        ns[round] = (double)(clock_monotonic_ns() - start) / EVENT_COUNT;
    }
    arena_deinit(&arena);
    BV_ASSERT(sum != 0); /* the slots are wanted */
    qsort(ns, ROUNDS, sizeof ns[0], compare_doubles);
}

static void
run(const struct bench_case *bench)
{
    static struct events events;
    double predicted[ROUNDS];
    double generic[ROUNDS];
    struct row_schema *schema = NULL;

    BV_ASSERT(row_schema_create(&schema, slice_text("Transaction"), FIELDS, bench->field_count,
                                bench->field_count, 0, NULL) == BV_OK);
    events_init(&events, bench);
    measure(predicted, bench, &events, schema, row_decode_push);
    measure(generic, bench, &events, schema, decode_generic);
    printf("%-28s %4zu B  predicted %6.1f ns (%.1f to %.1f)  generic %7.1f ns  ratio %.1f\n",
           bench->name, events.bytes.size / EVENT_COUNT, predicted[ROUNDS / 2], predicted[0],
           predicted[ROUNDS - 1], generic[ROUNDS / 2], generic[ROUNDS / 2] / predicted[ROUNDS / 2]);
    buf_deinit(&events.bytes);
    row_schema_destroy(schema);
}

int
main(int argc, char **argv)
{
    /* bench_row [TEXT]: only the cases whose name has TEXT in it. */
    static const struct bench_case CASES[] = {
        {"MessagePack, 3 fields", ENCODING_MSGPACK, 3, ""},
        {"JSON, 3 fields", ENCODING_JSON, 3, ""},
        {"JSON with blanks, 3 fields", ENCODING_JSON, 3, " "},
        {"MessagePack, 19 fields", ENCODING_MSGPACK, 19, ""},
        {"JSON, 19 fields", ENCODING_JSON, 19, ""},
        {"JSON with blanks, 19 fields", ENCODING_JSON, 19, " "},
    };

    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        if (argc < 2 || strstr(CASES[i].name, argv[1]) != NULL) {
            run(&CASES[i]);
        }
    }
    return 0;
}
