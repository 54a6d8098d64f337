/* SPDX-License-Identifier: Apache-2.0 */
/* A value tree to MessagePack, packed by msgpack-c: it chooses the smallest form of each header.
 *
 * Enters:  a tree of at most VALUE_WALK_DEPTH_MAX levels.
 * Leaves:  bytes at the end of a buffer; the buffer tells when memory was short.
 * Owner:   the buffer's owner.
 */
#include <math.h>
#include <msgpack.h>

#include "wire/msgpack.h"
#include "wire/value_walk.h"

/* msgpack-c's sink. Always accepts: a short buffer is latched in it. */
static int
append(void *sink, const char *data, size_t size)
{
    buf_append(sink, data, size);
    return 0;
}

static void
pack_text(msgpack_packer *packer, struct slice text)
{
    msgpack_pack_str(packer, text.size);
    msgpack_pack_str_body(packer, text.data, text.size);
}

static void
pack_scalar(msgpack_packer *packer, const struct value *v)
{
    switch (v->kind) {
    case VALUE_BOOL:
        if (v->as.bits != 0) {
            msgpack_pack_true(packer);
        } else {
            msgpack_pack_false(packer);
        }
        break;
    case VALUE_I64:
        msgpack_pack_int64(packer, v->as.i64);
        break;
    case VALUE_F64:
        if (isfinite(v->as.f64)) {
            msgpack_pack_double(packer, v->as.f64);
        } else {
            msgpack_pack_nil(packer);
        }
        break;
    case VALUE_STR:
        pack_text(packer, value_slice(v));
        break;
    default:
        msgpack_pack_nil(packer);
        break;
    }
}

void
msgpack_write(struct buf *buf, const struct value *v)
{
    msgpack_packer packer;
    struct value_walk walk;

    msgpack_packer_init(&packer, buf, append);
    value_walk_init(&walk, v);
    for (enum value_walk_step step; (step = value_walk_next(&walk)) != VALUE_WALK_DONE;) {
        if (step == VALUE_WALK_CLOSE) {
            continue;
        }
        if (walk.key != NULL) {
            pack_text(&packer, value_slice(walk.key));
        }
        if (step == VALUE_WALK_SCALAR) {
            pack_scalar(&packer, walk.value);
        } else if (walk.value->kind == VALUE_MAP) {
            msgpack_pack_map(&packer, walk.value->length);
        } else {
            msgpack_pack_array(&packer, walk.value->length);
        }
    }
}
