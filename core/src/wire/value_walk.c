/* SPDX-License-Identifier: Apache-2.0 */
/* One way through a tree for all who write one.
 *
 * Enters:  a root.
 * Leaves:  one step per call: a scalar, or the opening and the closing of a list or map.
 * Owner:   the writer; the tree is borrowed.
 */
#include <stddef.h>

#include "util/assert.h"
#include "wire/value_walk.h"

void
value_walk_init(struct value_walk *walk, const struct value *root)
{
    walk->depth = 0;
    walk->root = root;
}

static enum value_walk_step
visit(struct value_walk *walk, const struct value *v)
{
    walk->value = v;
    if (v->kind != VALUE_LIST && v->kind != VALUE_MAP) {
        return VALUE_WALK_SCALAR;
    }
    /* Trees come from parsers and operators, both bounded: deeper is a bug, not an input. */
    BV_ASSERT(walk->depth < VALUE_WALK_DEPTH_MAX);
    walk->levels[walk->depth].container = v;
    walk->levels[walk->depth].index = 0;
    walk->depth++;
    return VALUE_WALK_OPEN;
}

enum value_walk_step
value_walk_next(struct value_walk *walk)
{
    walk->key = NULL;
    walk->index = 0;
    if (walk->depth == 0) {
        const struct value *root = walk->root;

        walk->root = NULL;
        return root == NULL ? VALUE_WALK_DONE : visit(walk, root);
    }
    const struct value *container = walk->levels[walk->depth - 1].container;
    uint32_t index = walk->levels[walk->depth - 1].index++;

    if (index == container->length) {
        walk->depth--;
        walk->value = container;
        return VALUE_WALK_CLOSE;
    }
    walk->index = index;
    if (container->kind == VALUE_MAP) {
        walk->key = &container->as.members[index].key;
        return visit(walk, &container->as.members[index].value);
    }
    return visit(walk, &container->as.items[index]);
}
