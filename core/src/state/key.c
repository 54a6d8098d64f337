/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as canonical text: see key.h. Pure functions; what they make lives in the arena. */
#include "state/key.h"

#include "wire/number.h"

#define LEB128_MAX 10

bool
key_text(struct slice *out, const struct value *value, struct arena *arena)
{
    char text[NUMBER_TEXT_MAX];
    size_t size;

    switch (value->kind) {
    case VALUE_STR:
        *out = value_slice(value);
        return true;
    case VALUE_BOOL:
        *out = value->as.bits ? slice_of("true", 4) : slice_of("false", 5);
        return true;
    case VALUE_I64:
        size = number_i64(text, value->as.i64);
        break;
    case VALUE_F64:
        if (value->as.f64 != value->as.f64) {
            return false;
        }
        size = number_f64(text, value->as.f64);
        break;
    default:
        return false;
    }
    *out = slice_of(arena_copy(arena, text, size), size);
    return out->data != NULL;
}

static size_t
put_size(uint8_t *at, size_t size)
{
    size_t count = 0;

    do {
        at[count++] = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
        size >>= 7;
    } while (size != 0);
    return count;
}

bool
key_join(struct slice *out, const struct slice *parts, size_t part_count, struct arena *arena)
{
    size_t bound = 0;

    if (part_count <= 1) {
        *out = part_count == 1 ? parts[0] : slice_of("", 0);
        return true;
    }
    for (size_t i = 0; i < part_count; i++) {
        bound += parts[i].size + LEB128_MAX;
    }
    uint8_t *at = arena_alloc(arena, bound);

    if (at == NULL) {
        return false;
    }
    size_t size = 0;

    for (size_t i = 0; i < part_count; i++) {
        if (i + 1 < part_count) {
            size += put_size(at + size, parts[i].size);
        }
        if (parts[i].size != 0) {
            memcpy(at + size, parts[i].data, parts[i].size);
        }
        size += parts[i].size;
    }
    *out = slice_of(at, size);
    return true;
}
