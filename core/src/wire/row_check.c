/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and numbers that may not stand in an event.
 *
 * Enters:  strings and values, as parsed.
 * Leaves:  a verdict; nothing is changed or kept.
 * Owner:   nobody, pure functions.
 *
 * Invariants
 *   (1) No byte outside the text is read.
 *   (2) Nesting costs a place in a stack of fixed size, never a call.
 */
#include "wire/row_check.h"

#include <math.h>

#include "util/assert.h"
#include "util/utf8.h"
#include "wire/json.h"
#include "wire/row_schema.h"

static bool
is_control(const uint8_t *data, size_t length, bool is_name)
{
    if (length == 2) {
        return data[0] == 0xc2 && data[1] <= 0x9f; /* U+0080-U+009F */
    }
    if (length != 1 || (data[0] >= 0x20 && data[0] != 0x7f)) {
        return false;
    }
    return is_name || (data[0] != '\t' && data[0] != '\n' && data[0] != '\r');
}

/* From the first byte that is not plain ASCII: characters, one by one. A malformed text stays
 * malformed whatever controls it has, because the parse comes first. */
static enum row_text
check_slowly(struct slice text, bool is_name)
{
    enum row_text found = ROW_TEXT_CLEAN;
    size_t at = 0;

    while (at < text.size) {
        size_t length = utf8_sequence(text.data + at, text.size - at);

        if (length == 0) {
            return ROW_TEXT_MALFORMED;
        }
        if (is_control(text.data + at, length, is_name)) {
            found = ROW_TEXT_CONTROL;
        }
        at += length;
    }
    return found;
}

enum row_text
row_text_check(struct slice text, bool is_name)
{
    size_t at = 0;

    for (; text.size - at >= 32; at += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(text.data + at));

        if (row_unclean_bytes(bytes) != 0) {
            return check_slowly(slice_of(text.data + at, text.size - at), is_name);
        }
    }
    for (; at < text.size; at++) {
        if (text.data[at] < 0x20 || text.data[at] > 0x7e) {
            return check_slowly(slice_of(text.data + at, text.size - at), is_name);
        }
    }
    return ROW_TEXT_CLEAN;
}

/* The verdict on a value itself, without what it holds. */
static enum bv_status
check_scalar(const struct value *value, bool is_name)
{
    if (value->kind == VALUE_F64 && !isfinite(value->as.f64)) {
        return BV_INVALID_EVENT;
    }
    if (value->kind == VALUE_STR) {
        switch (row_text_check(value_slice(value), is_name)) {
        case ROW_TEXT_CLEAN:
            return BV_OK;
        case ROW_TEXT_CONTROL:
            return BV_CONTROL_CHARACTER;
        case ROW_TEXT_MALFORMED:
            return BV_INVALID_EVENT;
        }
    }
    return BV_OK;
}

/* A list or map that is being walked; a map is a list of keys and values in turn. */
struct level {
    const struct value *values;
    uint32_t next;
    uint32_t count;
    bool is_map;
};

_Static_assert(sizeof(struct value_member) == 2 * sizeof(struct value),
               "a map's members are walked as a list of keys and values");

static struct level
level_of(const struct value *value)
{
    bool is_map = value->kind == VALUE_MAP;

    return (struct level){
        .values = is_map ? &value->as.members[0].key : value->as.items,
        .next = 0,
        .count = is_map ? value->length * 2 : value->length,
        .is_map = is_map,
    };
}

static bool
is_container(const struct value *value)
{
    return (value->kind == VALUE_LIST || value->kind == VALUE_MAP) && value->length > 0;
}

enum bv_status
row_value_check(const struct value *value, unsigned flags)
{
    struct level levels[JSON_DEPTH_MAX];
    size_t depth = 0;
    bool is_strict = (flags & ROW_STRICT_CONTROL_CHARACTERS) != 0;
    enum bv_status found = check_scalar(value, is_strict);

    if (found == BV_OK && is_container(value)) {
        levels[depth++] = level_of(value);
    }
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        const struct value *item = NULL;
        enum bv_status verdict = BV_OK;

        if (level->next == level->count) {
            depth--;
            continue;
        }
        item = &level->values[level->next];
        verdict = check_scalar(item, is_strict || (level->is_map && level->next % 2 == 0));
        level->next++;
        if (verdict == BV_INVALID_EVENT) {
            return verdict;
        }
        if (verdict != BV_OK) {
            found = verdict;
        }
        if (is_container(item)) {
            BV_ASSERT(depth < JSON_DEPTH_MAX);
            levels[depth++] = level_of(item);
        }
    }
    return found;
}
