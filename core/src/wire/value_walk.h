/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_VALUE_WALK_H
#define BV_WIRE_VALUE_WALK_H

#include "wire/value.h"

/* Visits a tree in the order of its text, without recursion. A parsed tree has at most 128 levels
 * and replies wrap one in a few more (row, results). */
#define VALUE_WALK_DEPTH_MAX 160

enum value_walk_step { VALUE_WALK_SCALAR, VALUE_WALK_OPEN, VALUE_WALK_CLOSE, VALUE_WALK_DONE };

struct value_walk {
    const struct value *value; /* what the step is about */
    const struct value *key;   /* its name inside a map, else NULL */
    uint32_t index;            /* its position in its container, 0 at the root */
    unsigned depth;
    const struct value *root; /* NULL once visited */
    struct {
        const struct value *container;
        uint32_t index;
    } levels[VALUE_WALK_DEPTH_MAX];
};

void value_walk_init(struct value_walk *walk, const struct value *root);
enum value_walk_step value_walk_next(struct value_walk *walk);

#endif
