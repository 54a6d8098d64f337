/* SPDX-License-Identifier: Apache-2.0 */
/* The predicted decoders against the generic way: whatever they take has the same slots.
 *
 * The first byte selects encoding (bit 0), push or bare event (bit 1), schema (bits 2 and 3) and
 * the two switches (bits 4 and 5); the rest is the payload. Schemas are made once and go on
 * learning, as in service. Seeds: corpus/row. */
#include "../wire/row_fixture.h"

#define SCHEMA_COUNT 4
#define FLAG_COUNT   4
#define FIELDS_MAX   12

#define FIELD(text, type, optional)                                                                \
    {                                                                                              \
        {(const uint8_t *)(text), sizeof(text) - 1}, type, optional                                \
    }

static const struct {
    size_t field_count;
    size_t slot_count;
    struct row_field fields[FIELDS_MAX];
} SHAPES[SCHEMA_COUNT] = {
    {3,
     3,
     {FIELD("u", FIELD_STR, false), FIELD("a", FIELD_F64, false), FIELD("n", FIELD_I64, true)}},
    {9,
     7,
     {FIELD("user_id", FIELD_STR, false), FIELD("amount", FIELD_F64, true),
      FIELD("ok", FIELD_BOOL, true), FIELD("blob", FIELD_BYTES, true),
      FIELD("at", FIELD_DATETIME, true), FIELD("j", FIELD_JSON, true),
      FIELD("a_name_that_is_longer_than_a_literal", FIELD_STR, true), FIELD("x1", FIELD_STR, true),
      FIELD("x2", FIELD_STR, true)}},
    {4,
     4,
     {FIELD("", FIELD_I64, true), FIELD("\xc3\xa4", FIELD_STR, true),
      FIELD("q\"\\", FIELD_JSON, true), FIELD("c\001", FIELD_STR, true)}},
    {0, 0, {FIELD("", FIELD_STR, true)}},
};

static struct row_schema *schemas[FLAG_COUNT][SCHEMA_COUNT];
static struct arena arena;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_init(&arena, 65536, 0);
    for (unsigned flags = 0; flags < FLAG_COUNT; flags++) {
        for (size_t i = 0; i < SCHEMA_COUNT; i++) {
            BV_ASSERT(row_schema_create(&schemas[flags][i], slice_of("T", 1), SHAPES[i].fields,
                                        SHAPES[i].field_count, SHAPES[i].slot_count, flags,
                                        NULL) == BV_OK);
        }
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum encoding encoding = (data[0] & 1) != 0 ? ENCODING_MSGPACK : ENCODING_JSON;
    bool is_push = (data[0] & 2) != 0;
    unsigned shape = data[0] >> 2 & 3;
    unsigned flags = data[0] >> 4 & 3; /* the two switches are bits 0 and 1 */
    struct slice payload = slice_of(data + 1, size - 1);
    struct slice event = slice_of(NULL, 0);
    struct slice *bodies = NULL;
    size_t body_count = 0;

    (void)fixture_both_ways(schemas[flags][shape], slice_of("T", 1), SHAPES[shape].slot_count,
                            encoding, is_push, payload, flags, &arena);
    /* The batch forms have no twin: they must only stay inside the payload. */
    if (push_many_decode(&event, &bodies, &body_count, encoding, payload, &arena, NULL) == BV_OK ||
        push_array_decode(&bodies, &body_count, payload, &arena, NULL) == BV_OK) {
        for (size_t i = 0; i < body_count; i++) {
            BV_ASSERT(bodies[i].size > 0 && bodies[i].data >= payload.data);
            BV_ASSERT(bodies[i].data + bodies[i].size <= payload.data + payload.size);
        }
    }
    arena_reset(&arena);
    return 0;
}
