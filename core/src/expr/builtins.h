/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_BUILTINS_H
#define BV_EXPR_BUILTINS_H

#include "expr/graph.h"

/* The functions of the language (operators.md 5.3): their names, and those that are more than a
 * line at run time. */

struct builtin {
    const char *name;
    unsigned arity;
    enum expr_op op; /* EXPR_CAST_STR stands for every cast: the second argument tells which */
};

/* NULL when there is no such function. */
const struct builtin *builtin_find(struct slice name);

/* "str", "int", "float", "bool" -> the cast's op; false for any other word. */
bool builtin_cast_op(enum expr_op *out, struct slice word);

/* Conversions never fail: what cannot be converted is null. */
struct value builtin_cast_str(const struct value *v, struct arena *arena);
struct value builtin_cast_int(const struct value *v);
struct value builtin_cast_float(const struct value *v);
struct value builtin_cast_bool(const struct value *v);

/* Cell of a point on a grid of 2^zoom x 2^zoom. */
struct value builtin_quadkey(const struct value *lat, const struct value *lon,
                             const struct value *zoom);

#endif
