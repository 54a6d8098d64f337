/* SPDX-License-Identifier: Apache-2.0 */
/* One value of any kind, kept for as long as its entity.
 *
 * Enters:  values of an event; their texts live in a receive buffer.
 * Leaves:  the same value, int as int, float as float, for replies and snapshots.
 * Owner:   the state that holds it; texts over 8 bytes are allocated from the entity's heap.
 *
 * Invariants
 *   (1) size > STORED_VALUE_INLINE_MAX exactly when `ref` names out-of-line memory of that size.
 *   (2) Inline texts are padded with zeros, so equal values are equal bytes.
 *   (3) Lists and maps are the compact JSON text of what was pushed. Bytes inside of them become
 *       null there, as they would in the reply.
 */
#include "agg/stored_value.h"

#include "agg/codec.h"
#include "util/assert.h"
#include "util/utf8.h"
#include "wire/json.h"

static bool
is_text_kind(uint8_t kind)
{
    return kind == VALUE_STR || kind == VALUE_BYTES || kind == VALUE_LIST || kind == VALUE_MAP;
}

static bool
is_outside(const struct stored_value *stored)
{
    return stored->size > STORED_VALUE_INLINE_MAX;
}

static bool
set_text(struct stored_value *stored, uint8_t kind, struct slice text, struct agg_heap *heap)
{
    struct stored_value fresh = {.size = (uint32_t)text.size, .kind = kind};

    if (text.size > STORED_VALUE_INLINE_MAX) {
        /* The same size again is common (codes, ids) and needs no new memory. */
        bool is_reused = stored->size == text.size;

        fresh.as.ref = is_reused ? stored->as.ref : heap->alloc(heap, (uint32_t)text.size);
        if (fresh.as.ref == 0) {
            return false;
        }
        memmove(agg_heap_at(heap, fresh.as.ref), text.data, text.size);
        if (is_reused) {
            *stored = fresh;
            return true;
        }
    } else if (text.size != 0) {
        memcpy(fresh.as.text, text.data, text.size);
    }
    stored_value_release(stored, heap);
    *stored = fresh;
    return true;
}

static bool
set_json(struct stored_value *stored, const struct value *v, struct agg_heap *heap)
{
    struct buf text;
    bool is_set = false;

    buf_init(&text);
    json_write(&text, v);
    is_set = !text.failed && text.size <= UINT32_MAX &&
             set_text(stored, v->kind, buf_slice(&text), heap);
    buf_deinit(&text);
    return is_set;
}

bool
stored_value_set(struct stored_value *stored, const struct value *v, struct agg_heap *heap)
{
    switch ((enum value_kind)v->kind) {
    case VALUE_STR:
    case VALUE_BYTES:
        return set_text(stored, v->kind, value_slice(v), heap);
    case VALUE_LIST:
    case VALUE_MAP:
        return set_json(stored, v, heap);
    default:
        if (is_outside(stored)) {
            stored_value_release(stored, heap);
        }
        /* Field by field: the next update reads them, and would wait for a 16-byte copy. */
        stored->as.bits = v->as.bits;
        stored->size = 0;
        stored->kind = v->kind;
        return true;
    }
}

void
stored_value_release(struct stored_value *stored, struct agg_heap *heap)
{
    if (is_outside(stored)) {
        heap->release(heap, stored->as.ref, stored->size);
    }
    *stored = (struct stored_value){0};
}

struct value
stored_value_view(const struct stored_value *stored, const struct agg_heap *heap)
{
    struct value v = {.as.bits = stored->as.bits, .length = stored->size, .kind = stored->kind};

    if (is_outside(stored)) {
        v.as.bytes = (const uint8_t *)agg_heap_at(heap, stored->as.ref);
    } else if (is_text_kind(stored->kind)) {
        v.as.bytes = stored->as.text;
    }
    return v;
}

struct value
stored_value_read(const struct stored_value *stored, const struct agg_heap *heap,
                  struct arena *arena)
{
    struct value v = stored_value_view(stored, heap);

    if (!is_text_kind(stored->kind)) {
        return v;
    }
    if (!is_outside(stored)) {
        /* The state may be a folded copy on the reader's stack. */
        v.as.bytes = (const uint8_t *)arena_copy(arena, v.as.bytes, v.length);
        if (v.as.bytes == NULL) {
            return value_null();
        }
    }
    if (stored->kind == VALUE_LIST || stored->kind == VALUE_MAP) {
        struct value parsed;

        return json_parse(&parsed, value_slice(&v), JSON_DEPTH_MAX, arena, NULL) == BV_OK
                   ? parsed
                   : value_null();
    }
    return v;
}

static enum stored_order
order_of(int sign)
{
    return sign < 0 ? STORED_LESS : sign > 0 ? STORED_GREATER : STORED_EQUAL;
}

/* Without rounding the int to a double, which would call 2^53 and 2^53 + 1 equal. */
static enum stored_order
compare_int_float(int64_t a, double b)
{
    if (b != b) {
        return STORED_UNORDERED;
    }
    if (b >= 0x1p63) {
        return STORED_LESS;
    }
    if (b < -0x1p63) {
        return STORED_GREATER;
    }

    int64_t whole = (int64_t)b;
    double rest = b - (double)whole;

    if (a != whole) {
        return a < whole ? STORED_LESS : STORED_GREATER;
    }
    return rest > 0 ? STORED_LESS : rest < 0 ? STORED_GREATER : STORED_EQUAL;
}

static enum stored_order
reverse(enum stored_order order)
{
    return order == STORED_LESS ? STORED_GREATER : order == STORED_GREATER ? STORED_LESS : order;
}

enum stored_order
stored_value_compare(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind) {
        if (a->kind == VALUE_I64 && b->kind == VALUE_F64) {
            return compare_int_float(a->as.i64, b->as.f64);
        }
        if (a->kind == VALUE_F64 && b->kind == VALUE_I64) {
            return reverse(compare_int_float(b->as.i64, a->as.f64));
        }
        return STORED_UNORDERED;
    }
    switch ((enum value_kind)a->kind) {
    case VALUE_I64:
        return order_of((a->as.i64 > b->as.i64) - (a->as.i64 < b->as.i64));
    case VALUE_F64:
        return a->as.f64 != a->as.f64 || b->as.f64 != b->as.f64
                   ? STORED_UNORDERED
                   : order_of((a->as.f64 > b->as.f64) - (a->as.f64 < b->as.f64));
    case VALUE_STR:
        return order_of(slice_compare(value_slice(a), value_slice(b)));
    case VALUE_BOOL:
        return order_of((a->as.bits > b->as.bits) - (a->as.bits < b->as.bits));
    default:
        return STORED_UNORDERED;
    }
}

void
stored_value_encode(struct buf *out, const struct stored_value *stored, const struct agg_heap *heap)
{
    struct value v = stored_value_view(stored, heap);

    buf_byte(out, stored->kind);
    if (is_text_kind(stored->kind)) {
        uint8_t size[4];

        store_le32(size, stored->size);
        buf_append(out, size, sizeof size);
        buf_append(out, v.as.bytes, stored->size);
    } else if (stored->kind != VALUE_NULL) {
        codec_put_u64(out, stored->as.bits);
    }
}

/* A text must be what it claims to be: a reply is made of it. */
static bool
is_sound_text(uint8_t kind, struct slice text)
{
    struct arena arena;
    struct value parsed;
    bool is_sound = false;

    if (kind == VALUE_BYTES) {
        return true;
    }
    if (kind == VALUE_STR) {
        return utf8_is_valid(text);
    }
    arena_init(&arena, 4096, 0);
    is_sound =
        json_parse(&parsed, text, JSON_DEPTH_MAX, &arena, NULL) == BV_OK && parsed.kind == kind;
    arena_deinit(&arena);
    return is_sound;
}

enum bv_status
stored_value_decode(struct stored_value *stored, struct codec_reader *reader, bool *is_sound,
                    struct agg_heap *heap, struct bv_error *err)
{
    uint8_t kind = codec_take_u8(reader);

    *stored = (struct stored_value){0};
    if (kind > VALUE_MAP) {
        *is_sound = false;
        return BV_OK;
    }
    if (is_text_kind(kind)) {
        uint32_t size = codec_take_u32(reader);
        struct slice text = slice_of(codec_take(reader, size), size);

        if (reader->is_short) {
            return BV_OK;
        }
        if (!is_sound_text(kind, text)) {
            *is_sound = false;
            return BV_OK;
        }
        return set_text(stored, kind, text, heap)
                   ? BV_OK
                   : bv_error_set(err, BV_NO_MEMORY, "stored value of %u bytes", size);
    }

    uint64_t bits = kind == VALUE_NULL ? 0 : codec_take_u64(reader);

    if (!reader->is_short) {
        *is_sound = kind != VALUE_BOOL || bits <= 1;
        stored->as.bits = bits;
        stored->kind = kind;
    }
    return BV_OK;
}
