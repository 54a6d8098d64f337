/* SPDX-License-Identifier: Apache-2.0 */
/* cast and quadkey.
 *
 * Enters:  values of any kind.
 * Leaves:  a value, null for whatever the tables of operators.md 5.3 do not name.
 * Owner:   nobody; text that a cast makes lives in the caller's arena.
 *
 * Invariants
 *   (1) Null goes in, null comes out. Bytes, lists and maps convert to nothing.
 */
#include "expr/builtins.h"

#include <math.h>

#include "wire/number.h"

static const struct builtin builtins[] = {
    {"cast", 2, EXPR_CAST_STR},
    {"isnull", 1, EXPR_ISNULL},
    {"quadkey", 3, EXPR_QUADKEY},
};

const struct builtin *
builtin_find(struct slice name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        if (slice_equal(name, slice_text(builtins[i].name))) {
            return &builtins[i];
        }
    }
    return NULL;
}

bool
builtin_cast_op(enum expr_op *out, struct slice word)
{
    static const struct {
        const char *word;
        enum expr_op op;
    } targets[] = {
        {"str", EXPR_CAST_STR},
        {"int", EXPR_CAST_INT},
        {"float", EXPR_CAST_FLOAT},
        {"bool", EXPR_CAST_BOOL},
    };

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (slice_equal(word, slice_text(targets[i].word))) {
            *out = targets[i].op;
            return true;
        }
    }
    return false;
}

struct value
builtin_cast_str(const struct value *v, struct arena *arena)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = 0;

    switch ((enum value_kind)v->kind) {
    case VALUE_STR:
        return *v;
    case VALUE_BOOL:
        return value_str(slice_text(v->as.bits != 0 ? "true" : "false"));
    case VALUE_I64:
        size = number_i64(text, v->as.i64);
        break;
    case VALUE_F64:
        size = number_f64_plain(text, v->as.f64);
        break;
    default:
        return value_null();
    }

    const void *copy = arena_copy(arena, text, size);

    return copy == NULL ? value_null() : value_str(slice_of(copy, size));
}

struct value
builtin_cast_int(const struct value *v)
{
    int64_t parsed = 0;

    switch ((enum value_kind)v->kind) {
    case VALUE_I64:
        return *v;
    case VALUE_BOOL:
        return value_i64(v->as.bits != 0);
    case VALUE_STR:
        return number_parse_i64(&parsed, value_slice(v)) ? value_i64(parsed) : value_null();
    case VALUE_F64:
        if (isnan(v->as.f64)) {
            return value_i64(0);
        }
        /* 2^63 is a double and INT64_MAX is not: the nearest double above it is the bound. */
        if (v->as.f64 >= 0x1p63) {
            return value_i64(INT64_MAX);
        }
        return value_i64(v->as.f64 < -0x1p63 ? INT64_MIN : (int64_t)v->as.f64);
    default:
        return value_null();
    }
}

struct value
builtin_cast_float(const struct value *v)
{
    double parsed = 0;

    switch ((enum value_kind)v->kind) {
    case VALUE_F64:
        return *v;
    case VALUE_I64:
        return value_f64((double)v->as.i64);
    case VALUE_BOOL:
        return value_f64(v->as.bits != 0 ? 1.0 : 0.0);
    case VALUE_STR:
        return number_parse_f64(&parsed, value_slice(v), true) ? value_f64(parsed) : value_null();
    default:
        return value_null();
    }
}

struct value
builtin_cast_bool(const struct value *v)
{
    switch ((enum value_kind)v->kind) {
    case VALUE_BOOL:
        return *v;
    case VALUE_I64:
        return value_bool(v->as.i64 != 0);
    case VALUE_F64:
        return value_bool(v->as.f64 != 0 && !isnan(v->as.f64));
    case VALUE_STR:
        if (slice_equal(value_slice(v), slice_text("true"))) {
            return value_bool(true);
        }
        return slice_equal(value_slice(v), slice_text("false")) ? value_bool(false) : value_null();
    default:
        return value_null();
    }
}

/* floor(x) within 0..limit; NaN is 0, as a saturating conversion has it. */
static int64_t
grid_index(double x, int64_t limit)
{
    double cell = floor(x);

    if (!(cell > 0)) {
        return 0;
    }
    return cell >= (double)limit ? limit : (int64_t)cell;
}

struct value
builtin_quadkey(const struct value *lat, const struct value *lon, const struct value *zoom)
{
    static const double lat_limit = 85.05112878; /* where the square Mercator map ends */
    static const double degree = 3.14159265358979323846 / 180.0;
    double latitude = 0;
    double longitude = 0;

    if (!value_number(lat, &latitude) || !value_number(lon, &longitude) ||
        zoom->kind != VALUE_I64 || zoom->as.i64 < 1 || zoom->as.i64 > 24) {
        return value_null();
    }

    int64_t n = (int64_t)1 << zoom->as.i64;
    double clamped = latitude > lat_limit    ? lat_limit
                     : latitude < -lat_limit ? -lat_limit
                                             : latitude;
    int64_t row = grid_index((sin(clamped * degree) + 1) / 2 * (double)n, n - 1);
    /* The specification clamps the row only. A longitude far outside of the globe must still give
     * a defined number, so the column saturates where the product could no longer be held. */
    double column = floor((longitude + 180) / 360 * (double)n);
    int64_t column_index = 0;

    if (column >= 0x1p38) {
        column_index = (int64_t)1 << 38;
    } else if (column <= -0x1p38) {
        column_index = -((int64_t)1 << 38);
    } else if (!isnan(column)) {
        column_index = (int64_t)column;
    }
    return value_i64(column_index * n + row);
}
