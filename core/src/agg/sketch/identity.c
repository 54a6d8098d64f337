/* SPDX-License-Identifier: Apache-2.0 */
/* The identity of lists and maps, without writing them out.
 *
 * Enters:  a tree as it was pushed.
 * Leaves:  its hash.
 * Owner:   the caller; the tree is borrowed.
 *
 * Invariants
 *   (1) A list's hash depends on the order of its elements, a map's not on that of its members: the
 *       sum of what each member's name and value give.
 *   (2) What JSON cannot write (bytes, NaN, infinities inside of a tree) counts as null, as in the
 *       canonical text of operators.md 4.6.
 */
#include "agg/sketch/identity.h"

#include <math.h>

#include "wire/value_walk.h"

struct level {
    uint64_t sum;
    uint64_t name; /* of the container in its parent, 0 in a list */
};

static uint64_t
join(uint64_t a, uint64_t b)
{
    const uint64_t both[2] = {a, b};

    return XXH3_64bits_withSeed(both, sizeof both, IDENTITY_SEED);
}

static uint64_t
scalar_hash(const struct value *v)
{
    const struct value null = value_null();

    if (v->kind == VALUE_BYTES || (v->kind == VALUE_F64 && !isfinite(v->as.f64))) {
        return identity_hash(&null, false);
    }
    return identity_hash(v, false);
}

/* Adds one child to the container it stands in. */
static void
add(struct level *level, bool is_map, uint64_t name, uint64_t hash)
{
    level->sum = is_map ? level->sum + join(name, hash) : join(level->sum, hash);
}

uint64_t
identity_hash_tree(const struct value *v)
{
    struct value_walk walk;
    struct level levels[VALUE_WALK_DEPTH_MAX + 1] = {{0}};
    enum value_walk_step step;

    value_walk_init(&walk, v);
    while ((step = value_walk_next(&walk)) != VALUE_WALK_DONE) {
        uint64_t name = walk.key == NULL ? 0 : identity_hash(walk.key, false);
        uint64_t hash = 0;

        if (step == VALUE_WALK_OPEN) {
            levels[walk.depth] = (struct level){0, name};
            continue;
        }
        if (step == VALUE_WALK_CLOSE) {
            hash = join(levels[walk.depth + 1].sum, walk.value->kind);
            name = levels[walk.depth + 1].name;
        } else {
            hash = scalar_hash(walk.value);
        }
        if (walk.depth == 0) {
            levels[0].sum = hash;
        } else {
            add(&levels[walk.depth], walk.levels[walk.depth - 1].container->kind == VALUE_MAP, name,
                hash);
        }
    }
    return levels[0].sum;
}
