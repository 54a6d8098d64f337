/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around an event: {"event":..,"body":{..}}, {"event":..,"bodies":[..]}, [{..},..].
 *
 * Enters:  a whole payload in either encoding.
 * Leaves:  the event's name and the bytes of its bodies, for row_parse() to judge.
 * Owner:   nobody; the arena is the caller's.
 *
 * Invariants
 *   (1) A payload is accepted only when all of it is well-formed, members that are ignored included
 *       (wire.md V12). JSON is judged before any member is looked for; in MessagePack, damage
 * inside the body is the event's fault and damage elsewhere the envelope's. (2) The bytes handed
 * out lie inside the payload. (3) Nesting is counted or bounded, never recursed into (V14).
 */
#include "util/bytes.h"
#include "wire/json.h"
#include "wire/msgpack.h"
#include "wire/row.h"
#include "wire/row_skip.h"

enum member { MEMBER_EVENT, MEMBER_BODY, MEMBER_DATA, MEMBER_BODIES, MEMBER_COUNT, MEMBER_OTHER };

/* The members that count: the last of each name wins. */
struct envelope {
    struct value event;
    struct slice bytes[MEMBER_COUNT];
    bool has[MEMBER_COUNT];
};

static enum member
member_of(struct slice name)
{
    static const char *const NAMES[MEMBER_COUNT] = {"event", "body", "data", "bodies"};

    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (slice_equal(name, slice_text(NAMES[i]))) {
            return (enum member)i;
        }
    }
    return MEMBER_OTHER;
}

/* JSON. The text has been parsed as a whole before anything in it is skipped. */

static enum bv_status
json_document(struct value *out, struct slice payload, enum bv_status malformed,
              struct arena *arena, struct bv_error *err)
{
    struct bv_error found;
    enum bv_status status = json_parse(out, payload, JSON_DEPTH_MAX, arena, &found);

    if (status == BV_OK) {
        return BV_OK;
    }
    if (status != BV_MALFORMED_REQUEST) {
        return bv_error_set(err, status, "%s", found.message);
    }
    if (json_depth(payload) > JSON_DEPTH_MAX) {
        return bv_error_set(err, BV_INVALID_EVENT,
                            "arrays and objects are nested more than %d deep; flatten the event",
                            JSON_DEPTH_MAX);
    }
    return bv_error_set(err, malformed, "%s", found.message);
}

static enum bv_status
json_envelope(struct envelope *out, struct slice payload, struct arena *arena, struct bv_error *err)
{
    const uint8_t *end = payload.data + payload.size;
    const uint8_t *p = payload.data;
    struct value root = value_null();
    enum bv_status status = json_document(&root, payload, BV_INVALID_JSON_BODY, arena, err);

    if (status != BV_OK) {
        return status;
    }
    if (root.kind != VALUE_MAP) {
        return bv_error_set(err, BV_MISSING_EVENT_NAME,
                            "the body is not an object; send {\"event\":..,\"body\":{..}}");
    }
    p = json_skip_blanks(p, end) + 1; /* the brace */
    for (uint32_t i = 0; i < root.length; i++) {
        const struct value_member *member = &root.as.members[i];
        enum member which = member_of(value_slice(&member->key));
        const uint8_t *start = NULL;

        p = json_skip_blanks(json_skip_string(json_skip_blanks(p, end), end), end);
        start = json_skip_blanks(p + 1, end); /* behind the colon */
        p = json_skip_value(start, end);
        if (which != MEMBER_OTHER) {
            out->has[which] = true;
            out->bytes[which] = slice_of(start, (size_t)(p - start));
        }
        if (which == MEMBER_EVENT) {
            out->event = member->value;
        }
        p = json_skip_blanks(p, end) + 1; /* the comma, or the closing brace */
    }
    return BV_OK;
}

/* MessagePack. */

/* Reads the header of a map or array; false when there is none. */
static bool
msgpack_header(uint32_t *count, size_t *at, struct slice data, bool is_map)
{
    const uint8_t *p = data.data;

    if (data.size == 0) {
        return false;
    }
    if ((p[0] & 0xf0) == (is_map ? 0x80 : 0x90)) {
        *count = p[0] & 0x0f;
        *at = 1;
        return true;
    }
    if (p[0] == (is_map ? 0xde : 0xdc) && data.size >= 3) {
        *count = load_be16(p + 1);
        *at = 3;
        return true;
    }
    if (p[0] == (is_map ? 0xdf : 0xdd) && data.size >= 5) {
        *count = load_be32(p + 1);
        *at = 5;
        return true;
    }
    return false;
}

/* Parses the value at *at and steps over it. */
static enum bv_status
msgpack_step(struct value *out, size_t *at, struct slice payload, enum bv_status malformed,
             struct arena *arena, struct bv_error *err)
{
    struct slice rest = slice_of(payload.data + *at, payload.size - *at);
    struct bv_error found;
    size_t consumed = 0;
    enum bv_status status =
        msgpack_parse_prefix(out, &consumed, rest, MSGPACK_DEPTH_MAX - 1, arena, &found);

    if (status != BV_OK) {
        return bv_error_set(err, status == BV_MALFORMED_REQUEST ? malformed : status, "%s",
                            found.message);
    }
    *at += consumed;
    return BV_OK;
}

static enum bv_status
msgpack_member(struct envelope *out, size_t *at, struct slice payload, struct arena *arena,
               struct bv_error *err)
{
    struct value key = value_null();
    struct value value = value_null();
    enum member which = MEMBER_OTHER;
    size_t start = 0;
    enum bv_status status = msgpack_step(&key, at, payload, BV_INVALID_JSON_BODY, arena, err);

    if (status != BV_OK) {
        return status;
    }
    if (key.kind != VALUE_STR) {
        return bv_error_set(err, BV_INVALID_JSON_BODY,
                            "a key of the envelope is not a string; send str keys");
    }
    which = member_of(value_slice(&key));
    start = *at;
    if (which == MEMBER_BODIES) {
        /* Its elements are judged one by one, so here only their sizes matter. */
        size_t size = msgpack_skip_value(slice_of(payload.data + start, payload.size - start));

        if (size == 0) {
            return bv_error_set(err, BV_INVALID_JSON_BODY,
                                "\"bodies\" is not complete MessagePack; send whole values");
        }
        *at += size;
    } else {
        bool is_body = which == MEMBER_BODY || which == MEMBER_DATA;

        status = msgpack_step(&value, at, payload,
                              is_body ? BV_INVALID_EVENT : BV_INVALID_JSON_BODY, arena, err);
        if (status != BV_OK) {
            return status;
        }
    }
    if (which != MEMBER_OTHER) {
        out->has[which] = true;
        out->bytes[which] = slice_of(payload.data + start, *at - start);
    }
    if (which == MEMBER_EVENT) {
        out->event = value;
    }
    return BV_OK;
}

static enum bv_status
msgpack_envelope(struct envelope *out, struct slice payload, struct arena *arena,
                 struct bv_error *err)
{
    enum bv_status status = BV_OK;
    uint32_t count = 0;
    size_t at = 0;

    if (!msgpack_header(&count, &at, payload, true)) {
        struct value root = value_null();

        status = msgpack_step(&root, &at, payload, BV_INVALID_JSON_BODY, arena, err);
        if (status != BV_OK) {
            return status;
        }
        return bv_error_set(err, BV_MISSING_EVENT_NAME,
                            "the payload is not a map; send {\"event\":..,\"body\":{..}}");
    }
    for (uint32_t i = 0; i < count && status == BV_OK; i++) {
        status = msgpack_member(out, &at, payload, arena, err);
    }
    if (status == BV_OK && at != payload.size) {
        status = bv_error_set(err, BV_INVALID_JSON_BODY,
                              "%zu bytes follow the envelope; send one value per frame",
                              payload.size - at);
    }
    return status;
}

/* Both. */

static enum bv_status
envelope_decode(struct envelope *out, struct slice *event, enum encoding encoding,
                struct slice payload, struct arena *arena, struct bv_error *err)
{
    enum bv_status status = encoding == ENCODING_JSON ? json_envelope(out, payload, arena, err)
                                                      : msgpack_envelope(out, payload, arena, err);

    if (status != BV_OK) {
        return status;
    }
    if (!out->has[MEMBER_EVENT]) {
        return bv_error_set(err, BV_MISSING_EVENT_NAME,
                            "\"event\" is missing; send the event's name in it");
    }
    if (out->event.kind != VALUE_STR) {
        return bv_error_set(err, BV_MISSING_EVENT_NAME,
                            "\"event\" is not a string; send the event's name in it");
    }
    *event = value_slice(&out->event);
    return BV_OK;
}

enum bv_status
push_envelope_decode(struct push_envelope *out, enum encoding encoding, bool prefer_data,
                     struct slice payload, struct arena *arena, struct bv_error *err)
{
    struct envelope envelope = {.event = value_null()};
    enum member first = prefer_data ? MEMBER_DATA : MEMBER_BODY;
    enum member second = prefer_data ? MEMBER_BODY : MEMBER_DATA;
    enum bv_status status = envelope_decode(&envelope, &out->event, encoding, payload, arena, err);

    if (status == BV_OK) {
        out->body = envelope.bytes[envelope.has[first] ? first : second];
    }
    return status;
}

/* The elements' bytes of an array that has been found well-formed. */
static enum bv_status
split_array(struct slice **bodies, size_t *body_count, enum encoding encoding, struct slice array,
            uint32_t count, size_t at, struct arena *arena, struct bv_error *err)
{
    const uint8_t *end = array.data + array.size;
    const uint8_t *p = array.data + at;
    struct slice *elements = arena_alloc(arena, count * sizeof *elements);

    if (elements == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "a batch of %u events; send smaller ones", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t size = 0;

        if (encoding == ENCODING_JSON) {
            p = json_skip_blanks(p, end);
            size = (size_t)(json_skip_value(p, end) - p);
            elements[i] = slice_of(p, size);
            p = json_skip_blanks(p + size, end) + 1; /* the comma, or the closing bracket */
        } else {
            size = msgpack_skip_value(slice_of(p, (size_t)(end - p)));
            elements[i] = slice_of(p, size);
            p += size;
        }
    }
    *bodies = elements;
    *body_count = count;
    return BV_OK;
}

/* Elements of a JSON array. A comma inside an element does not count, so elements are skipped. */
static uint32_t
json_array_count(struct slice array)
{
    const uint8_t *end = array.data + array.size;
    const uint8_t *p = json_skip_blanks(array.data + 1, end);
    uint32_t count = 0;

    while (p < end && *p != ']') {
        p = json_skip_blanks(json_skip_value(p, end), end);
        count++;
        if (p < end && *p == ',') {
            p = json_skip_blanks(p + 1, end);
        }
    }
    return count;
}

enum bv_status
push_many_decode(struct slice *event, struct slice **bodies, size_t *body_count,
                 enum encoding encoding, struct slice payload, struct arena *arena,
                 struct bv_error *err)
{
    struct envelope envelope = {.event = value_null()};
    struct slice array = slice_of(NULL, 0);
    uint32_t count = 0;
    size_t at = 1;
    bool is_array = false;
    enum bv_status status = envelope_decode(&envelope, event, encoding, payload, arena, err);

    if (status != BV_OK) {
        return status;
    }
    array = envelope.bytes[MEMBER_BODIES];
    if (encoding == ENCODING_JSON) {
        is_array = array.size > 0 && array.data[0] == '[';
        count = is_array ? json_array_count(array) : 0;
    } else {
        is_array = msgpack_header(&count, &at, array, false);
    }
    if (!is_array) {
        return bv_error_set(err, BV_INVALID_EVENT,
                            "\"bodies\" is missing or not an array; send a list of events");
    }
    return split_array(bodies, body_count, encoding, array, count, at, arena, err);
}

enum bv_status
push_array_decode(struct slice **bodies, size_t *body_count, struct slice payload,
                  struct arena *arena, struct bv_error *err)
{
    const uint8_t *end = payload.data + payload.size;
    struct value root = value_null();
    enum bv_status status = json_document(&root, payload, BV_INVALID_EVENT, arena, err);

    if (status != BV_OK) {
        return status;
    }
    if (root.kind != VALUE_LIST) {
        return bv_error_set(err, BV_INVALID_EVENT,
                            "the body is not an array; send a list of events");
    }
    payload.data = json_skip_blanks(payload.data, end);
    payload.size = (size_t)(end - payload.data);
    return split_array(bodies, body_count, ENCODING_JSON, payload, root.length, 1, arena, err);
}
