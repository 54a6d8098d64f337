/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_ROW_FIXTURE_H
#define BV_TEST_ROW_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "util/assert.h"
#include "wire/row.h"

/* What the row tests and the row fuzzer share. */

#define FIXTURE_SLOTS_MAX 64

/* Slots are the same to whoever reads them: strings may stand elsewhere, everything else is equal
 * bit for bit. Values here are small, so this may recurse. */
static inline bool
fixture_equal(const struct value *a, const struct value *b)
{
    static const uint8_t NO_PAD[sizeof a->pad] = {0};

    if (a->kind != b->kind || a->length != b->length ||
        memcmp(a->pad, NO_PAD, sizeof NO_PAD) != 0 || memcmp(b->pad, NO_PAD, sizeof NO_PAD) != 0) {
        return false;
    }
    switch (a->kind) {
    case VALUE_STR:
    case VALUE_BYTES:
        return slice_equal(value_slice(a), value_slice(b));
    case VALUE_LIST:
        for (uint32_t i = 0; i < a->length; i++) {
            if (!fixture_equal(&a->as.items[i], &b->as.items[i])) {
                return false;
            }
        }
        return true;
    case VALUE_MAP:
        for (uint32_t i = 0; i < a->length; i++) {
            if (!fixture_equal(&a->as.members[i].key, &b->as.members[i].key) ||
                !fixture_equal(&a->as.members[i].value, &b->as.members[i].value)) {
                return false;
            }
        }
        return true;
    default:
        return a->as.bits == b->as.bits;
    }
}

/* A copy of exactly this size and the slack, so that a sanitizer sees every read beyond it. The
 * slack is filled with bytes that would go on with whatever was begun. */
static inline struct slice
fixture_copy(struct slice payload, uint8_t slack)
{
    uint8_t *copy = malloc(payload.size + ROW_SLACK);

    BV_ASSERT(copy != NULL);
    if (payload.size > 0) {
        memcpy(copy, payload.data, payload.size);
    }
    memset(copy + payload.size, slack, ROW_SLACK);
    return slice_of(copy, payload.size);
}

static inline void
fixture_free(struct slice payload)
{
    free((void *)(uintptr_t)payload.data);
}

/* The generic way from payload to slots; *event is left empty for a bare event object. */
static inline enum bv_status
fixture_generic(struct value *slots, struct slice *event, const struct row_schema *schema,
                enum encoding encoding, bool is_push, struct slice payload, unsigned flags,
                struct arena *arena, struct bv_error *err)
{
    struct push_envelope envelope = {.body = payload};
    struct value body = value_null();
    enum bv_status status = BV_OK;

    if (is_push) {
        status = push_envelope_decode(&envelope, encoding, false, payload, arena, err);
    }
    *event = envelope.event;
    if (status == BV_OK && is_push) {
        status = row_check_name(envelope.event, err);
    }
    if (status == BV_OK) {
        status = row_parse(&body, encoding, envelope.body, flags, arena, err);
    }
    if (status == BV_OK) {
        status = row_bind(slots, schema, &body, err);
    }
    return status;
}

/* Decodes both ways and holds the predicted one to the generic one. Twice, because the first time
 * may teach the schema something. The result says whether the predicted way took the event. */
static inline bool
fixture_both_ways(struct row_schema *schema, struct slice event_name, size_t slot_count,
                  enum encoding encoding, bool is_push, struct slice payload, unsigned flags,
                  struct arena *arena)
{
    struct slice copy = fixture_copy(payload, encoding == ENCODING_JSON ? '7' : 0xa1);
    struct value predicted[FIXTURE_SLOTS_MAX];
    struct value generic[FIXTURE_SLOTS_MAX];
    struct bv_error err;
    struct slice event = slice_of(NULL, 0);
    enum bv_status status =
        fixture_generic(generic, &event, schema, encoding, is_push, copy, flags, arena, &err);
    bool is_taken = false;

    BV_ASSERT(slot_count <= FIXTURE_SLOTS_MAX);
    for (int round = 0; round < 2; round++) {
        is_taken = is_push ? row_decode_push(predicted, schema, encoding, copy, arena)
                           : row_decode_body(predicted, schema, encoding, copy, arena);
        if (!is_taken) {
            continue;
        }
        BV_ASSERT(status == BV_OK);
        BV_ASSERT(!is_push || slice_equal(event, event_name));
        for (size_t i = 0; i < slot_count; i++) {
            BV_ASSERT(fixture_equal(&predicted[i], &generic[i]));
        }
    }
    fixture_free(copy);
    return is_taken;
}

#endif
