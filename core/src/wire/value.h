/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_VALUE_H
#define BV_WIRE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

/* One value of an event, an expression, a parameter or a reply. 16 bytes, so that a row is an array
 * of them. Strings, lists and maps point into a receive buffer or an arena and own nothing. */
enum value_kind {
    VALUE_NULL = 0,
    VALUE_BOOL,
    VALUE_I64,
    VALUE_F64,
    VALUE_STR,
    VALUE_BYTES,
    VALUE_LIST,
    VALUE_MAP,
};

struct value_member;

struct value {
    union {
        uint64_t bits; /* booleans are 0 or 1 in all 64 bits */
        int64_t i64;
        double f64;
        const char *str;
        const uint8_t *bytes;
        const struct value *items;
        const struct value_member *members;
    } as;
    uint32_t length; /* bytes of str and bytes, items of a list, members of a map */
    uint8_t kind;
    uint8_t pad[3];
};

_Static_assert(sizeof(struct value) == 16, "a row is an array of 16-byte slots");

/* Members keep the order of the text; a name may repeat where the contract allows it. */
struct value_member {
    struct value key; /* VALUE_STR */
    struct value value;
};

static inline struct value
value_null(void)
{
    return (struct value){.kind = VALUE_NULL};
}

static inline struct value
value_bool(bool v)
{
    return (struct value){.as.bits = v ? 1 : 0, .kind = VALUE_BOOL};
}

static inline struct value
value_i64(int64_t v)
{
    return (struct value){.as.i64 = v, .kind = VALUE_I64};
}

static inline struct value
value_f64(double v)
{
    return (struct value){.as.f64 = v, .kind = VALUE_F64};
}

static inline struct value
value_str(struct slice text)
{
    return (struct value){
        .as.str = (const char *)text.data, .length = (uint32_t)text.size, .kind = VALUE_STR};
}

static inline struct slice
value_slice(const struct value *v)
{
    return slice_of(v->as.bytes, v->length);
}

/* num(v) of the specification: an int or a float as a double; false for everything else (booleans
 * are not numbers). */
static inline bool
value_number(const struct value *v, double *out)
{
    if (v->kind == VALUE_F64) {
        *out = v->as.f64;
        return true;
    }
    if (v->kind == VALUE_I64) {
        *out = (double)v->as.i64;
        return true;
    }
    return false;
}

/* The last member with this name, NULL when absent or when v is not a map. */
const struct value *value_find(const struct value *v, const char *name);

#endif
