/* SPDX-License-Identifier: Apache-2.0 */
/* A value tree to compact JSON.
 *
 * Enters:  a tree of at most VALUE_WALK_DEPTH_MAX levels; strings are valid UTF-8.
 * Leaves:  text at the end of a buffer; the buffer tells when memory was short.
 * Owner:   the buffer's owner.
 */
#include <math.h>

#include "util/assert.h"
#include "wire/json.h"
#include "wire/number.h"
#include "wire/value_walk.h"

#define INTEGER_TEXT_MAX 20
#define FLOAT_TEXT_MAX   32 /* canonical form: at most 24 */

static void
write_escape(struct buf *buf, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    size_t size = 2;

    switch (byte) {
    case '"':
    case '\\':
        escape[1] = (char)byte;
        break;
    case '\b':
        escape[1] = 'b';
        break;
    case '\t':
        escape[1] = 't';
        break;
    case '\n':
        escape[1] = 'n';
        break;
    case '\f':
        escape[1] = 'f';
        break;
    case '\r':
        escape[1] = 'r';
        break;
    default:
        size = sizeof escape;
        break;
    }
    buf_append(buf, escape, size);
}

void
json_write_string(struct buf *buf, struct slice text)
{
    size_t begin = 0;

    if (!buf_reserve(buf, text.size + 2)) {
        return;
    }
    buf_byte(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte < 0x20 || byte == '"' || byte == '\\') {
            buf_append(buf, text.data + begin, i - begin);
            write_escape(buf, byte);
            begin = i + 1;
        }
    }
    buf_append(buf, text.data + begin, text.size - begin);
    buf_byte(buf, '"');
}

void
json_write_f64(struct buf *buf, double v)
{
    if (!isfinite(v)) {
        buf_append(buf, "null", 4);
    } else if (buf_reserve(buf, FLOAT_TEXT_MAX)) {
        buf->size += number_f64((char *)buf->data + buf->size, v);
    }
}

void
json_write_i64(struct buf *buf, int64_t v)
{
    if (buf_reserve(buf, INTEGER_TEXT_MAX)) {
        buf->size += number_i64((char *)buf->data + buf->size, v);
    }
}

void
json_write_u64(struct buf *buf, uint64_t v)
{
    if (buf_reserve(buf, INTEGER_TEXT_MAX)) {
        buf->size += number_u64((char *)buf->data + buf->size, v);
    }
}

static void
write_scalar(struct buf *buf, const struct value *v)
{
    switch (v->kind) {
    case VALUE_BOOL:
        buf_text(buf, v->as.bits != 0 ? "true" : "false");
        break;
    case VALUE_I64:
        json_write_i64(buf, v->as.i64);
        break;
    case VALUE_F64:
        json_write_f64(buf, v->as.f64);
        break;
    case VALUE_STR:
        json_write_string(buf, value_slice(v));
        break;
    default:
        buf_append(buf, "null", 4);
        break;
    }
}

void
json_write(struct buf *buf, const struct value *v)
{
    struct value_walk walk;

    value_walk_init(&walk, v);
    for (enum value_walk_step step; (step = value_walk_next(&walk)) != VALUE_WALK_DONE;) {
        if (step == VALUE_WALK_CLOSE) {
            buf_byte(buf, walk.value->kind == VALUE_MAP ? '}' : ']');
            continue;
        }
        if (walk.index > 0) {
            buf_byte(buf, ',');
        }
        if (walk.key != NULL) {
            json_write_string(buf, value_slice(walk.key));
            buf_byte(buf, ':');
        }
        if (step == VALUE_WALK_OPEN) {
            buf_byte(buf, walk.value->kind == VALUE_MAP ? '{' : '[');
        } else {
            write_scalar(buf, walk.value);
        }
    }
}
