/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_JSON_H
#define BV_WIRE_JSON_H

#include "util/arena.h"
#include "util/buf.h"
#include "util/error.h"
#include "wire/value.h"

/* JSON, RFC 8259 strict (wire.md 9). Numbers: an integer within i64 is an int, any other number the
 * nearest double, an overflow malformed; -0 becomes 0.0. No recursion: depth is bounded by a stack
 * of fixed size. Strings without escapes point into the text, others into the arena. */

#define JSON_DEPTH_MAX 128

/* Parses exactly one document. Failure: BV_MALFORMED_REQUEST with a message in the published form
 * ("expected value at line 1 column 1"); depth_max <= JSON_DEPTH_MAX counts arrays and objects. */
enum bv_status json_parse(struct value *out, struct slice text, unsigned depth_max,
                          struct arena *arena, struct bv_error *err);

/* Writers append compact JSON. Maps are written in the order they have. NaN, infinities and bytes
 * become null. */
void json_write(struct buf *buf, const struct value *v);
void json_write_string(struct buf *buf, struct slice text);
/* Shortest text that reads back as the same double, always with '.' or exponent (operators.md 8.1).
 */
void json_write_f64(struct buf *buf, double v);
void json_write_i64(struct buf *buf, int64_t v);
void json_write_u64(struct buf *buf, uint64_t v);

#endif
