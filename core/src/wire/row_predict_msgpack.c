/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack events, decoded by expectation.
 *
 * Enters:  a push payload or a bare event object.
 * Leaves:  the same slots as the generic way, or "not mine" (false).
 * Owner:   the apply thread: schemas learn the order of fields here.
 *
 * Invariants
 *   (1) Between two fields `p < end`: so a literal, the header behind it and a short string, each
 *       loaded whole, stay within ROW_SLACK of the end.
 *   (2) A value is believed only when it ends at or before `end`; what was put into a slot before
 *       that is thrown away with the whole row.
 *   (3) Whatever is refused here is refused or accepted by the generic way; nothing is reported.
 *
 * A field costs one 32-byte compare of its whole name and a branch on the first byte of its value
 * (engine.md 3). Strings up to 31 bytes are checked with one load; 16 would do for most, but 32
 * costs the same and spares a branch.
 */
#include <math.h>

#include "util/assert.h"
#include "util/bytes.h"
#include "wire/msgpack.h"
#include "wire/row_check.h"
#include "wire/row_predict.h"

#define F64_EXPONENT    0x7ff0000000000000u
#define VALUE_DEPTH_MAX 125

/* What stays the same over one event. */
struct reader {
    const uint8_t *end;
    struct arena *arena;
    unsigned flags;
};

static inline void
set_str(struct value *out, const uint8_t *text, uint32_t size)
{
    row_slot_set(out, (uintptr_t)text, size, VALUE_STR);
}

static inline void
set_i64(struct value *out, int64_t number)
{
    row_slot_set(out, (uint64_t)number, 0, VALUE_I64);
}

/* Behind a string with a length of its own, or one whose bytes are not all plain ASCII. */
static const uint8_t *
read_text(struct value *out, const uint8_t *text, uint32_t size, const struct reader *reader)
{
    bool is_strict = (reader->flags & ROW_STRICT_CONTROL_CHARACTERS) != 0;

    if (text > reader->end || size > (size_t)(reader->end - text) ||
        row_text_check(slice_of(text, size), is_strict) != ROW_TEXT_CLEAN) {
        return NULL;
    }
    set_str(out, text, size);
    return text + size;
}

/* bin, arrays and maps: the general parser and the general check, for this one value. */
static const uint8_t *
read_other(struct value *out, const uint8_t *p, const struct reader *reader)
{
    size_t consumed = 0;
    enum bv_status status =
        msgpack_parse_prefix(out, &consumed, slice_of(p, (size_t)(reader->end - p)),
                             VALUE_DEPTH_MAX, reader->arena, NULL);

    if (status != BV_OK || row_value_check(out, reader->flags) != BV_OK) {
        return NULL;
    }
    return p + consumed;
}

static const uint8_t *
read_f32(struct value *out, const uint8_t *p)
{
    uint32_t bits = load_be32(p);
    float number = 0;

    memcpy(&number, &bits, sizeof number);
    *out = value_f64((double)number);
    return isfinite(number) ? p + 4 : NULL;
}

/* The kinds that are not among the most frequent. */
static __attribute__((noinline)) const uint8_t *
read_value_slowly(struct value *out, const uint8_t *p, const struct reader *reader)
{
    switch (p[0]) {
    case 0xc0:
        *out = value_null();
        return p + 1;
    case 0xca:
        return read_f32(out, p + 1);
    case 0xcc:
        set_i64(out, p[1]);
        return p + 2;
    case 0xcd:
        set_i64(out, load_be16(p + 1));
        return p + 3;
    case 0xd0:
        set_i64(out, (int8_t)p[1]);
        return p + 2;
    case 0xd1:
        set_i64(out, (int16_t)load_be16(p + 1));
        return p + 3;
    case 0xd2:
        set_i64(out, (int32_t)load_be32(p + 1));
        return p + 5;
    case 0xd3:
        set_i64(out, (int64_t)load_be64(p + 1));
        return p + 9;
    case 0xd9:
        return read_text(out, p + 2, p[1], reader);
    case 0xda:
        return read_text(out, p + 3, load_be16(p + 1), reader);
    case 0xdb:
        return read_text(out, p + 5, load_be32(p + 1), reader);
    default:
        break;
    }
    if (p[0] >= 0xe0) {
        set_i64(out, (int8_t)p[0]);
        return p + 1;
    }
    return read_other(out, p, reader);
}

/* The value at p, its end as the result; NULL when it is not plainly well-formed. */
static inline const uint8_t *
read_value(struct value *out, const uint8_t *p, const struct reader *reader)
{
    uint8_t lead = p[0];

    if ((lead & 0xe0) == 0xa0) {
        uint32_t size = lead & 0x1f;
        __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)(p + 1));

        if (BV_UNLIKELY((row_unclean_bytes(text) & ((1u << size) - 1)) != 0)) {
            return read_text(out, p + 1, size, reader);
        }
        set_str(out, p + 1, size);
        return p + 1 + size;
    }
    if (lead == 0xcb) {
        uint64_t bits = load_be64(p + 1);

        row_slot_set(out, bits, 0, VALUE_F64);
        return (bits & F64_EXPONENT) != F64_EXPONENT ? p + 9 : NULL;
    }
    if (lead < 0x80) {
        set_i64(out, lead);
        return p + 1;
    }
    if (lead == 0xcf) {
        uint64_t bits = load_be64(p + 1);

        if (BV_UNLIKELY(bits >> 63 != 0)) {
            *out = value_f64((double)bits);
        } else {
            set_i64(out, (int64_t)bits);
        }
        return p + 9;
    }
    if (lead == 0xce) {
        set_i64(out, load_be32(p + 1));
        return p + 5;
    }
    if ((lead & 0xfe) == 0xc2) {
        row_slot_set(out, lead & 1, 0, VALUE_BOOL);
        return p + 1;
    }
    return read_value_slowly(out, p, reader);
}

/* The name at p is not the expected one: which is it? Its end as the result. */
static __attribute__((noinline)) const uint8_t *
read_name(uint32_t *field, const struct row_schema *schema, const uint8_t *p, const uint8_t *end)
{
    uint32_t size = 0;

    if ((p[0] & 0xe0) == 0xa0) {
        size = p[0] & 0x1f;
        p += 1;
    } else if (p[0] == 0xd9) {
        size = p[1];
        p += 2;
    } else if (p[0] == 0xda) {
        size = load_be16(p + 1);
        p += 3;
    } else {
        return NULL;
    }
    if (p > end || size > (size_t)(end - p)) {
        return NULL;
    }
    *field = row_schema_find(schema, slice_of(p, size));
    return *field == ROW_NO_FIELD ? NULL : p + size;
}

/* `count` pairs of name and value, from p to exactly `end`. */
static bool
read_fields(struct value *slots, struct row_schema *schema, const uint8_t *p, uint32_t count,
            const struct reader *reader)
{
    struct row_guesses *guesses = &schema->guesses[ROW_MSGPACK];
    struct row_guess *fields = guesses->fields;
    uint32_t epoch = row_guesses_begin(guesses, schema->field_count);
    uint32_t slot_count = schema->slot_count;
    uint32_t required_count = 0;
    uint32_t *link = &guesses->first;
    const uint8_t *end = reader->end;
    struct value ignored;

    if (count > schema->field_count) {
        return false; /* unknown or repeated names are among them; no fields, no guesses */
    }
    for (uint32_t i = 0; i < count; i++) {
        struct row_guess *guess = &fields[*link];
        struct value *slot = &ignored;

        if (p >= end) {
            return false;
        }
        if (BV_LIKELY(row_literal_matches(p, guess->literal, guess->mask))) {
            p += guess->size;
        } else {
            uint32_t field = 0;

            p = read_name(&field, schema, p, end);
            if (p == NULL) {
                return false;
            }
            *link = field;
            guess = &fields[field];
        }
        if (p >= end || guess->epoch == epoch) {
            return false;
        }
        guess->epoch = epoch;
        if (BV_LIKELY(guess->index < slot_count)) {
            slot = &slots[guess->index];
        }
        p = read_value(slot, p, reader);
        if (p == NULL || (guess->kinds >> slot->kind & 1) == 0) {
            return false;
        }
        required_count += guess->is_required;
        link = &guess->next;
    }
    return p == end && row_guesses_end(slots, schema, guesses, count, required_count);
}

bool
row_msgpack_decode(struct value *slots, struct row_schema *schema, struct slice body,
                   struct arena *arena)
{
    struct reader reader = {.end = body.data + body.size, .arena = arena, .flags = schema->flags};

    if (body.size == 0) {
        return false;
    }
    if ((body.data[0] & 0xf0) == 0x80) {
        return read_fields(slots, schema, body.data + 1, body.data[0] & 0x0f, &reader);
    }
    if (body.data[0] == 0xde) {
        return read_fields(slots, schema, body.data + 3, load_be16(body.data + 1), &reader);
    }
    return false;
}
