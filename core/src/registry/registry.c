/* SPDX-License-Identifier: Apache-2.0 */
/* The registry as an object: made empty, looked up, destroyed.
 *
 * Enters:  a version; descriptors come from log.c.
 * Leaves:  descriptors by name.
 * Owner:   whoever created it. Const from then on, and safe to read from any thread.
 */
#include "registry/registry.h"

#include <stdlib.h>

#include "registry/names.h"
#include "registry/registration.h"

enum bv_status
registry_create_within(struct registry **out, uint64_t version,
                       const struct registration_limits *limits, struct bv_error *err)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (registry == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a registry");
    }
    registry->version = version;
    arena_init(&registry->arena, limits->block_size, limits->memory_max);
    *out = registry;
    return BV_OK;
}

enum bv_status
registry_create_empty(struct registry **out, uint64_t version, struct bv_error *err)
{
    const struct registration_limits limits = {REGISTRATION_BLOCK_SIZE, REGISTRATION_MEMORY_MAX};

    return registry_create_within(out, version, &limits, err);
}

void
registry_destroy(struct registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (size_t i = 0; i < registry->source_count; i++) {
        expr_graph_destroy(registry->sources[i].graph);
    }
    arena_deinit(&registry->arena);
    free(registry);
}

bool
registry_index(struct registry *registry)
{
    struct names *index = arena_alloc(&registry->arena, sizeof *index);

    if (index == NULL) {
        return false;
    }
    names_init(index, &registry->arena);
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        if (!names_put(index, registry->descriptors[i].name, (uint32_t)i)) {
            return false;
        }
    }
    registry->index = index;
    return true;
}

const struct descriptor *
registry_find(const struct registry *registry, struct slice name)
{
    uint32_t at = registry->index == NULL ? NAMES_NONE : names_find(registry->index, name);

    return at == NAMES_NONE ? NULL : &registry->descriptors[at];
}
