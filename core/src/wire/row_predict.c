/* SPDX-License-Identifier: Apache-2.0 */
/* The door to the predicted decoders: the envelope is compared, never parsed.
 *
 * Enters:  a push payload or an event object, in either encoding.
 * Leaves:  slots, or false.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) What follows the event object is blanks and, in a push, the envelope's brace: nothing else.
 */
#include "wire/row_predict.h"

#include "wire/row_skip.h"

static bool
is_at_end(const uint8_t *p, const uint8_t *end)
{
    return p == end || json_skip_blanks(p, end) == end;
}

/* The style whose envelope the payload begins with: the last event's, or the other one. */
static bool
find_json_style(struct row_schema *schema, struct slice payload)
{
    enum row_style other =
        schema->json_style == ROW_JSON_COMPACT ? ROW_JSON_SPACED : ROW_JSON_COMPACT;

    if (row_prefix_matches(&schema->guesses[schema->json_style], payload)) {
        return true;
    }
    if (row_prefix_matches(&schema->guesses[other], payload)) {
        schema->json_style = other;
        return true;
    }
    return false;
}

static struct slice
behind(struct slice payload, uint32_t size)
{
    return slice_of(payload.data + size, payload.size - size);
}

bool
row_decode_push(struct value *slots, struct row_schema *schema, enum encoding encoding,
                struct slice payload, struct arena *arena)
{
    const uint8_t *end = payload.data + payload.size;
    const uint8_t *p = NULL;

    if (encoding == ENCODING_MSGPACK) {
        const struct row_guesses *guesses = &schema->guesses[ROW_MSGPACK];

        return row_prefix_matches(guesses, payload) &&
               row_msgpack_decode(slots, schema, behind(payload, guesses->prefix_size), arena);
    }
    if (!find_json_style(schema, payload)) {
        return false;
    }
    p = row_json_decode(slots, schema,
                        behind(payload, schema->guesses[schema->json_style].prefix_size), arena);
    if (p == NULL) {
        return false;
    }
    p = json_skip_blanks(p, end);
    return p < end && *p == '}' && is_at_end(p + 1, end);
}

bool
row_decode_body(struct value *slots, struct row_schema *schema, enum encoding encoding,
                struct slice body, struct arena *arena)
{
    const uint8_t *end = body.data + body.size;
    const uint8_t *p = NULL;

    if (encoding == ENCODING_MSGPACK) {
        return row_msgpack_decode(slots, schema, body, arena);
    }
    p = row_json_decode(slots, schema, body, arena);
    return p != NULL && is_at_end(p, end);
}
