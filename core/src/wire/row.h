/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_ROW_H
#define BV_WIRE_ROW_H

#include "util/arena.h"
#include "util/error.h"
#include "wire/value.h"

/* An event as typed slots in schema order, decoded straight from JSON or MessagePack.
 *
 * Two ways lead to the same row or the same refusal (a fuzz target holds them to it):
 *   generic    push_envelope_decode -> row_parse -> row_bind, one step per row of wire.md 5.2;
 *   predicted  row_decode_push: one pass over the whole payload, guided by what the last event of
 *              the source looked like (engine.md 3). It returns false for whatever is not plainly
 *              well-formed and known, and the generic way then decides.
 *
 * A null and an absent field are the same: VALUE_NULL. An int pushed into an f64 field stays an
 * int. Strings point into the payload or the arena. */

enum encoding { ENCODING_JSON = 1, ENCODING_MSGPACK = 2 }; /* the wire's content type byte */

enum field_type {
    FIELD_STR,
    FIELD_I64,
    FIELD_F64,
    FIELD_BOOL,
    FIELD_BYTES,
    FIELD_DATETIME,
    FIELD_JSON,
};

/* "str", "i64", ...; false when the name is none of the seven. */
bool field_type_parse(enum field_type *out, struct slice name);
const char *field_type_name(enum field_type type);

struct row_field {
    struct slice name;
    enum field_type type;
    bool is_optional;
};

/* Switches of the specification, both off/on by default as there (V48, V50). */
#define ROW_STRICT_CONTROL_CHARACTERS 1u
#define ROW_LOOSE_OPTIONAL_FIELDS     2u

/* An optional name that is not among the fields is accepted on push and then ignored. Such names
 * come as extra fields: `slot_count` of the fields have a slot, the rest (all optional, any type)
 * have none. */
struct row_schema;

enum bv_status row_schema_create(struct row_schema **out, struct slice event_name,
                                 const struct row_field *fields, size_t field_count,
                                 size_t slot_count, unsigned flags, struct bv_error *err);
void row_schema_destroy(struct row_schema *schema); /* accepts NULL */
/* Other switches from the next event on. */
void row_schema_set_flags(struct row_schema *schema, unsigned flags);

/* 1. Generic. */
struct push_envelope {
    struct slice event; /* decoded name */
    struct slice body;  /* bytes of the event object, in the payload's encoding */
};

/* {"event":..,"body":{..}}; `data` stands for `body`, and wins over it when prefer_data (HTTP). An
 * absent body is an empty `body` slice with data == NULL. BV_INVALID_JSON_BODY,
 * BV_MISSING_EVENT_NAME, BV_INVALID_EVENT. */
enum bv_status push_envelope_decode(struct push_envelope *out, enum encoding encoding,
                                    bool prefer_data, struct slice payload, struct arena *arena,
                                    struct bv_error *err);
/* {"event":NAME,"bodies":[OBJ..]}: the elements' bytes, in the arena. An element may be any value;
 * row_parse judges it. */
enum bv_status push_many_decode(struct slice *event, struct slice **bodies, size_t *body_count,
                                enum encoding encoding, struct slice payload, struct arena *arena,
                                struct bv_error *err);
/* A JSON array of event objects (POST /push-batch/<event>): the elements' bytes. */
enum bv_status push_array_decode(struct slice **bodies, size_t *body_count, struct slice payload,
                                 struct arena *arena, struct bv_error *err);
/* Steps 3 and 4: an object with string keys, no repeated name, depth, NaN, control characters. */
enum bv_status row_parse(struct value *out_body, enum encoding encoding, struct slice body,
                         unsigned flags, struct arena *arena, struct bv_error *err);
/* The control-character check of step 4 for an event name. */
enum bv_status row_check_name(struct slice name, struct bv_error *err);
/* Steps 6 and 7. slots has slot_count entries. err->path is "data.<field>". */
enum bv_status row_bind(struct value *slots, const struct row_schema *schema,
                        const struct value *body, struct bv_error *err);

/* 2. Predicted. `payload` is a whole push payload (envelope and body, key `body`), as in a TCP
 * frame. At least ROW_SLACK readable bytes must follow it. Learns: single thread. Returns false,
 * with the slots undefined, when the event is not this source's or anything is unusual. */
#define ROW_SLACK 64

bool row_decode_push(struct value *slots, struct row_schema *schema, enum encoding encoding,
                     struct slice payload, struct arena *arena);
/* The same for a bare event object (HTTP /push/<event>). */
bool row_decode_body(struct value *slots, struct row_schema *schema, enum encoding encoding,
                     struct slice body, struct arena *arena);

#endif
