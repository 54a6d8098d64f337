/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack to a value tree.
 *
 * Enters:  a slice that begins with one value.
 * Leaves:  the tree, in the arena and pointing into the slice; or the first error with its byte.
 * Owner:   the caller of msgpack_parse(), for as long as both slice and arena live.
 *
 * Invariants
 *   (1) A declared count or size is believed only as far as bytes are there to pay for it: every
 *       element takes at least one.
 *   (2) Strings and map keys in the tree are valid UTF-8; keys are VALUE_STR.
 *   (3) No recursion: open containers are levels of a bounded stack, each with the number of values
 *       it still waits for.
 */
#include "util/assert.h"
#include "util/bytes.h"
#include "util/utf8.h"
#include "wire/msgpack.h"
#include "wire/value_stack.h"

_Static_assert(MSGPACK_DEPTH_MAX <= VALUE_STACK_DEPTH_MAX, "the stack holds every allowed depth");

struct reader {
    const uint8_t *begin;
    const uint8_t *p;
    const uint8_t *end;
    unsigned depth_max;
    struct bv_error *err;
    struct value_stack stack;
};

static enum bv_status
fail(struct reader *r, const uint8_t *at, const char *what)
{
    return bv_error_set(r->err, BV_MALFORMED_REQUEST, "%s at byte %zu", what,
                        (size_t)(at - r->begin));
}

static enum bv_status
fail_memory(struct reader *r)
{
    return bv_error_set(r->err, BV_NO_MEMORY, "no memory to parse %zu bytes of MessagePack",
                        (size_t)(r->end - r->begin));
}

/* The next 1, 2, 4 or 8 bytes as a big-endian number; false when they are not there. */
static bool
take_number(struct reader *r, unsigned size, uint64_t *out)
{
    if ((size_t)(r->end - r->p) < size) {
        return false;
    }
    switch (size) {
    case 1:
        *out = r->p[0];
        break;
    case 2:
        *out = load_be16(r->p);
        break;
    case 4:
        *out = load_be32(r->p);
        break;
    default:
        *out = load_be64(r->p);
        break;
    }
    r->p += size;
    return true;
}

static bool
take_bytes(struct reader *r, uint64_t size, struct slice *out)
{
    if ((uint64_t)(r->end - r->p) < size) {
        return false;
    }
    *out = slice_of(r->p, size);
    r->p += size;
    return true;
}

/* What stands in one tag: a scalar, already in its place, or a container of `count`. */
struct item {
    struct value *value;
    bool is_container;
    bool is_map;
    uint64_t count; /* elements or pairs */
};

/* c4..c6 and d9..db, and fixstr with its size in the tag. */
static enum bv_status
read_text(struct reader *r, struct item *out, const uint8_t *at, uint64_t size, bool is_text)
{
    struct slice text;

    if (!take_bytes(r, size, &text)) {
        return fail(r, at, is_text ? "truncated str" : "truncated bin");
    }
    if (is_text && !utf8_is_valid(text)) {
        return fail(r, at, "str is not valid UTF-8");
    }
    *out->value = (struct value){.as.bytes = text.data,
                                 .length = (uint32_t)text.size,
                                 .kind = is_text ? VALUE_STR : VALUE_BYTES};
    return BV_OK;
}

static void
set_unsigned(struct item *out, uint64_t v)
{
    *out->value = v > INT64_MAX ? value_f64((double)v) : value_i64((int64_t)v);
}

static void
set_float(struct item *out, unsigned size, uint64_t bits)
{
    if (size == 4) {
        uint32_t narrow = (uint32_t)bits;
        float v;

        memcpy(&v, &narrow, sizeof v);
        *out->value = value_f64((double)v);
    } else {
        *out->value = (struct value){.as.bits = bits, .kind = VALUE_F64};
    }
}

/* Tags c0 to df: the two low bits of most families give the width of what follows. */
static enum bv_status
read_tagged(struct reader *r, struct item *out, const uint8_t *at)
{
    uint8_t tag = *at;
    unsigned width;
    uint64_t v = 0;

    if (tag == 0xc0) {
        *out->value = value_null();
        return BV_OK;
    }
    if (tag == 0xc2 || tag == 0xc3) {
        *out->value = value_bool(tag == 0xc3);
        return BV_OK;
    }
    if (tag >= 0xc4 && tag <= 0xc6) {
        width = 1u << (tag - 0xc4);
    } else if (tag >= 0xca && tag <= 0xcb) {
        width = 4u << (tag - 0xca);
    } else if (tag >= 0xcc && tag <= 0xd3) {
        width = 1u << (tag & 3);
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        width = 1u << (tag - 0xd9);
    } else if (tag >= 0xdc) {
        width = 2u << (tag & 1);
    } else {
        return fail(r, at, tag == 0xc1 ? "reserved tag 0xc1" : "ext is not supported");
    }
    if (!take_number(r, width, &v)) {
        return fail(r, at, "unexpected end of data");
    }
    if (tag <= 0xc6 || (tag >= 0xd9 && tag <= 0xdb)) {
        return read_text(r, out, at, v, tag >= 0xd9);
    }
    if (tag >= 0xdc) {
        out->is_container = true;
        out->is_map = tag >= 0xde;
        out->count = v;
    } else if (tag <= 0xcb) {
        set_float(out, width, v);
    } else if (tag <= 0xcf) {
        set_unsigned(out, v);
    } else {
        unsigned unused_bits = 64 - 8 * width;

        *out->value = value_i64((int64_t)(v << unused_bits) >> unused_bits);
    }
    return BV_OK;
}

static enum bv_status
read_item(struct reader *r, struct item *out)
{
    const uint8_t *at = r->p;

    if (r->p == r->end) {
        return fail(r, at, "unexpected end of data");
    }
    uint8_t tag = *r->p++;

    if (tag <= 0x7f || tag >= 0xe0) {
        *out->value = value_i64((int8_t)tag);
    } else if (tag <= 0x9f) {
        out->is_container = true;
        out->is_map = tag <= 0x8f;
        out->count = tag & 0x0f;
    } else if (tag <= 0xbf) {
        return read_text(r, out, at, tag & 0x1f, true);
    } else {
        return read_tagged(r, out, at);
    }
    return BV_OK;
}

static enum bv_status
check_key(struct reader *r, struct item *item, const uint8_t *at)
{
    if (!item->is_container && item->value->kind == VALUE_BYTES &&
        utf8_is_valid(value_slice(item->value))) {
        item->value->kind = VALUE_STR;
    }
    if (item->is_container || item->value->kind != VALUE_STR) {
        return fail(r, at, "map key is not a str");
    }
    return BV_OK;
}

static enum bv_status
open_container(struct reader *r, const struct item *item, const uint8_t *at)
{
    uint64_t values = item->is_map ? item->count * 2 : item->count;

    if (values > (uint64_t)(r->end - r->p)) {
        return fail(r, at, item->is_map ? "truncated map" : "truncated array");
    }
    if (r->stack.depth == r->depth_max) {
        return fail(r, at, "recursion limit exceeded");
    }
    value_stack_open(&r->stack, item->is_map, values);
    return BV_OK;
}

/* One item, placed; containers that it completes are closed. */
static enum bv_status
step(struct reader *r)
{
    const uint8_t *at = r->p;
    struct value_stack *stack = &r->stack;
    struct item item = {.value = value_stack_next(stack)};

    if (item.value == NULL) {
        return fail_memory(r);
    }
    enum bv_status status = read_item(r, &item);

    if (status == BV_OK && stack->depth > 0) {
        struct value_stack_level *level = value_stack_top(stack);

        if (level->is_map && level->pending % 2 == 0) {
            status = check_key(r, &item, at);
        }
        level->pending--;
    }
    if (status != BV_OK) {
        return status;
    }
    if (item.is_container) {
        status = open_container(r, &item, at);
    } else {
        value_stack_push(stack);
    }
    while (status == BV_OK && stack->depth > 0 && value_stack_top(stack)->pending == 0) {
        if (!value_stack_close(stack)) {
            status = fail_memory(r);
        }
    }
    return status;
}

enum bv_status
msgpack_parse_prefix(struct value *out, size_t *consumed, struct slice data, unsigned depth_max,
                     struct arena *arena, struct bv_error *err)
{
    struct reader r; /* not zeroed: most of it is the stack */
    enum bv_status status;

    BV_ASSERT(depth_max <= MSGPACK_DEPTH_MAX);
    if (data.size > UINT32_MAX) {
        return bv_error_set(err, BV_MALFORMED_REQUEST,
                            "%zu bytes of MessagePack exceed the limit of 4 GiB", data.size);
    }
    r.begin = r.p = data.data;
    r.end = data.data + data.size;
    r.depth_max = depth_max;
    r.err = err;
    value_stack_init(&r.stack, arena);
    do {
        status = step(&r);
    } while (status == BV_OK && r.stack.depth > 0);
    if (status != BV_OK) {
        return status;
    }
    BV_ASSERT(r.stack.size == 1);
    *out = r.stack.values[0];
    *consumed = (size_t)(r.p - r.begin);
    return BV_OK;
}

enum bv_status
msgpack_parse(struct value *out, struct slice data, unsigned depth_max, struct arena *arena,
              struct bv_error *err)
{
    size_t consumed = 0;
    enum bv_status status = msgpack_parse_prefix(out, &consumed, data, depth_max, arena, err);

    if (status == BV_OK && consumed != data.size) {
        status = bv_error_set(err, BV_MALFORMED_REQUEST, "trailing bytes at byte %zu", consumed);
    }
    return status;
}
