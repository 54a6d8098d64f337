/* SPDX-License-Identifier: Apache-2.0 */
/* An event, judged step by step: the definition that the predicted decoders are held to.
 *
 * Enters:  the bytes of one event object; later the schema of its source.
 * Leaves:  slots in schema order, or the first refusal in the order of wire.md 5.2, with the field
 *          it is about.
 * Owner:   nobody; the arena is the caller's.
 *
 * Invariants
 *   (1) Within a step the first finding in body order is reported; a type is reported in schema
 *       order, because a missing field has no place in the body.
 *   (2) A refused event leaves nothing but an error behind.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "util/assert.h"
#include "wire/json.h"
#include "wire/msgpack.h"
#include "wire/row_check.h"
#include "wire/row_schema.h"

/* 125 levels inside a field (wire.md 5.8), and the event object around them. */
#define BODY_DEPTH_MAX 126
/* Up to here every pair of names is compared; above, they are sorted. */
#define PAIRWISE_MAX 16

static enum bv_status
refuse_field(struct bv_error *err, enum bv_status status, struct slice name, const char *what)
{
    const char *quoted = bv_error_quote(name);

    status = bv_error_set(err, status, "field \"%s\": %s", quoted, what);
    if (err != NULL) {
        bv_error_path(err, "data.%s", quoted);
    }
    return status;
}

static int
compare_names(const void *a, const void *b)
{
    const struct value_member *const *left = a;
    const struct value_member *const *right = b;

    return slice_compare(value_slice(&(*left)->key), value_slice(&(*right)->key));
}

/* *out: a member whose name another one has too, NULL when there is none. A body can have a million
 * names, so many are sorted instead of compared in pairs. */
static enum bv_status
find_repeated(const struct value_member **out, const struct value *body, struct arena *arena,
              struct bv_error *err)
{
    const struct value_member *members = body->as.members;
    const struct value_member **sorted = NULL;

    *out = NULL;
    if (body->length <= PAIRWISE_MAX) {
        for (uint32_t i = 1; i < body->length; i++) {
            for (uint32_t j = 0; j < i; j++) {
                if (slice_equal(value_slice(&members[i].key), value_slice(&members[j].key))) {
                    *out = &members[i];
                    return BV_OK;
                }
            }
        }
        return BV_OK;
    }
    sorted = arena_alloc(arena, body->length * sizeof(struct value_member *));
    if (sorted == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "an event of %" PRIu32 " fields; send fewer",
                            body->length);
    }
    for (uint32_t i = 0; i < body->length; i++) {
        sorted[i] = &members[i];
    }
    qsort(sorted, body->length, sizeof(struct value_member *), compare_names);
    for (uint32_t i = 1; i < body->length; i++) {
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0) {
            *out = sorted[i];
            return BV_OK;
        }
    }
    return BV_OK;
}

/* NaN anywhere is a finding of step 3, control characters of step 4: so the first NaN is reported,
 * and only without one the first control character. */
static enum bv_status
check_members(const struct value *body, unsigned flags, struct bv_error *err)
{
    const struct value_member *first = NULL;
    bool is_in_name = false;

    for (uint32_t i = 0; i < body->length; i++) {
        const struct value_member *member = &body->as.members[i];
        struct slice name = value_slice(&member->key);
        enum bv_status verdict = row_value_check(&member->value, flags);
        bool is_bad_name = row_text_check(name, true) != ROW_TEXT_CLEAN;

        if (verdict == BV_INVALID_EVENT) {
            return refuse_field(err, BV_INVALID_EVENT, name,
                                "NaN or infinite; send a finite number or null");
        }
        if (first == NULL && (verdict != BV_OK || is_bad_name)) {
            first = member;
            is_in_name = is_bad_name;
        }
    }
    if (first == NULL) {
        return BV_OK;
    }
    return refuse_field(err, BV_CONTROL_CHARACTER, value_slice(&first->key),
                        is_in_name ? "control character in the name; remove it"
                                   : "control character in the value; remove it");
}

enum bv_status
row_parse(struct value *out_body, enum encoding encoding, struct slice body, unsigned flags,
          struct arena *arena, struct bv_error *err)
{
    const struct value_member *repeated = NULL;
    struct bv_error found;
    enum bv_status status = BV_OK;

    if (body.data == NULL) {
        return bv_error_set(err, BV_INVALID_EVENT,
                            "the event is missing; send it in \"body\", {} if it has no fields");
    }
    status = encoding == ENCODING_JSON
                 ? json_parse(out_body, body, BODY_DEPTH_MAX, arena, &found)
                 : msgpack_parse(out_body, body, BODY_DEPTH_MAX, arena, &found);
    if (status != BV_OK) {
        return bv_error_set(err, status == BV_MALFORMED_REQUEST ? BV_INVALID_EVENT : status, "%s",
                            found.message);
    }
    if (out_body->kind != VALUE_MAP) {
        return bv_error_set(err, BV_INVALID_EVENT,
                            "the event is not an object; send one with a member per field");
    }
    status = find_repeated(&repeated, out_body, arena, err);
    if (status != BV_OK) {
        return status;
    }
    if (repeated != NULL) {
        return refuse_field(err, BV_INVALID_EVENT, value_slice(&repeated->key),
                            "sent more than once; send it once");
    }
    return check_members(out_body, flags, err);
}

enum bv_status
row_check_name(struct slice name, struct bv_error *err)
{
    if (row_text_check(name, true) == ROW_TEXT_CLEAN) {
        return BV_OK;
    }
    return bv_error_set(err, BV_CONTROL_CHARACTER,
                        "control character in the event name \"%s\"; remove it",
                        bv_error_quote(name));
}

static const char *
kind_name(uint8_t kind)
{
    static const char *const NAMES[] = {
        [VALUE_NULL] = "null", [VALUE_BOOL] = "bool",   [VALUE_I64] = "i64",   [VALUE_F64] = "f64",
        [VALUE_STR] = "str",   [VALUE_BYTES] = "bytes", [VALUE_LIST] = "list", [VALUE_MAP] = "map",
    };

    BV_ASSERT(kind < sizeof NAMES / sizeof NAMES[0]);
    return NAMES[kind];
}

static enum bv_status
refuse_kind(struct bv_error *err, const struct row_schema_field *field, const struct value *value,
            bool is_missing)
{
    const char *quoted = bv_error_quote(field->name);
    const char *type = field_type_name(field->type);

    if (is_missing) {
        (void)bv_error_set(err, BV_INVALID_EVENT,
                           "field \"%s\": expected %s, got nothing; send it or make it optional",
                           quoted, type);
    } else {
        (void)bv_error_set(err, BV_INVALID_EVENT,
                           "field \"%s\": expected %s, got %s; cast it or change the schema",
                           quoted, type, kind_name(value->kind));
    }
    if (err != NULL) {
        bv_error_path(err, "data.%s", quoted);
    }
    return BV_INVALID_EVENT;
}

static enum bv_status
refuse_unknown(struct bv_error *err, const struct row_schema *schema, struct slice name)
{
    const char *quoted = bv_error_quote(name);
    bool is_time = slice_equal(name, slice_text("event_time")) ||
                   slice_equal(name, slice_text("event_time_ms"));
    enum bv_status status = is_time ? BV_UNKNOWN_FIELD_EVENT_TIME : BV_UNKNOWN_FIELD;

    status = bv_error_set(err, status,
                          "field \"%s\": not in the schema of \"%s\"; leave it out or declare it",
                          quoted, bv_error_quote(schema->event_name));
    if (err != NULL) {
        bv_error_path(err, "data.%s", quoted);
    }
    return status;
}

static bool
has_member(const struct value *body, struct slice name)
{
    for (uint32_t i = 0; i < body->length; i++) {
        if (slice_equal(value_slice(&body->as.members[i].key), name)) {
            return true;
        }
    }
    return false;
}

enum bv_status
row_bind(struct value *slots, const struct row_schema *schema, const struct value *body,
         struct bv_error *err)
{
    BV_ASSERT(body->kind == VALUE_MAP);
    for (uint32_t i = 0; i < schema->slot_count; i++) {
        slots[i] = value_null();
    }
    for (uint32_t i = 0; i < body->length; i++) {
        const struct value_member *member = &body->as.members[i];
        uint32_t field = row_schema_find(schema, value_slice(&member->key));

        if (field == ROW_NO_FIELD) {
            return refuse_unknown(err, schema, value_slice(&member->key));
        }
        if (field < schema->slot_count) {
            slots[field] = member->value;
        }
    }
    for (uint32_t i = 0; i < schema->slot_count; i++) {
        const struct row_schema_field *field = &schema->fields[i];

        if ((field->kinds >> slots[i].kind & 1) == 0) {
            return refuse_kind(err, field, &slots[i], !has_member(body, field->name));
        }
    }
    return BV_OK;
}
