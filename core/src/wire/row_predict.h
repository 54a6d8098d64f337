/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_ROW_PREDICT_H
#define BV_WIRE_ROW_PREDICT_H

#include <stddef.h>

#include "util/bytes.h"
#include "wire/row_schema.h"

/* The two predicted decoders of an event object; row_predict.c picks one. */

/* `body` is the object and nothing else. */
bool row_msgpack_decode(struct value *slots, struct row_schema *schema, struct slice body,
                        struct arena *arena);
/* `text` begins with the object; the result is its end, NULL for false. */
const uint8_t *row_json_decode(struct value *slots, struct row_schema *schema, struct slice text,
                               struct arena *arena);

/* Two stores of 8 bytes. Assigned as a struct, a slot is put together on the stack and copied from
 * there in one piece, and that load has to wait for both halves (5 ns in an event of 3 fields). */
static inline void
row_slot_set(struct value *slot, uint64_t bits, uint32_t length, enum value_kind kind)
{
    uint8_t *bytes = (uint8_t *)slot;

    store_le64(bytes, bits);
    store_le64(bytes + 8, length | (uint64_t)kind << 32);
}

_Static_assert(offsetof(struct value, length) == 8, "row_slot_set() knows the layout");
_Static_assert(offsetof(struct value, kind) == 12, "row_slot_set() knows the layout");

#endif
