/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_MSGPACK_H
#define BV_WIRE_MSGPACK_H

#include "util/arena.h"
#include "util/buf.h"
#include "util/error.h"
#include "wire/value.h"

/* MessagePack (wire.md 9). The reader is ours, iterative and bounded in depth, because msgpack-c's
 * unpacker stops at a nesting of 32 and allocates from declared lengths; the writer is msgpack-c's
 * packer. ext, timestamps and 0xc1 are malformed; uint64 above 2^63-1 is the nearest double; map
 * keys are str or UTF-8 bin; str must be UTF-8. */

#define MSGPACK_DEPTH_MAX 128

/* Parses one value that fills `data`; bytes after it are malformed. */
enum bv_status msgpack_parse(struct value *out, struct slice data, unsigned depth_max,
                             struct arena *arena, struct bv_error *err);
/* The same, but reports where the value ends. */
enum bv_status msgpack_parse_prefix(struct value *out, size_t *consumed, struct slice data,
                                    unsigned depth_max, struct arena *arena, struct bv_error *err);

/* Appends v: smallest ints, doubles as cb, nil for NaN, infinities and bytes. */
void msgpack_write(struct buf *buf, const struct value *v);

#endif
