/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_ROW_SKIP_H
#define BV_WIRE_ROW_SKIP_H

#include "util/slice.h"

/* Where a value ends, without recursion and without looking into it. */

static inline const uint8_t *
json_skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }
    return p;
}

/* From the opening quote to behind the closing one; `end` when there is none. */
const uint8_t *json_skip_string(const uint8_t *p, const uint8_t *end);
/* From the first byte of a value to behind its last. Says nothing about whether it is well-formed;
 * for a text that json_parse() took, the answer is right. Never passes `end`. */
const uint8_t *json_skip_value(const uint8_t *p, const uint8_t *end);
/* How deep the brackets of any text go. */
size_t json_depth(struct slice text);

/* Size of the MessagePack value at the front, however deep, whatever its texts; 0 if it is cut
 * short or no MessagePack. */
size_t msgpack_skip_value(struct slice data);

#endif
