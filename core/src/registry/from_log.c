/* SPDX-License-Identifier: Apache-2.0 */
/* From the JSON of a log record back to a registry.
 *
 * Enters:  {"fresh":[..],"nodes":[..],"renamed":[[from,to]..],"version":N}
 * Leaves:  the registry that was in force after that record.
 * Owner:   the caller; names of fresh and renamed live in the registry's arena.
 *
 * Every registration goes through here, at once and again at recovery: what is in force is always
 * what the log says. Policy (bounds, names, governance) was judged before the record was written
 * and is not judged again, so that a stricter release still reads an older log (server.md D56).
 */
#include <stdlib.h>

#include "registry/canonical.h"
#include "registry/registration.h"
#include "registry/resolve.h"
#include "registry/validate.h"
#include "wire/json.h"

static enum bv_status
corrupt(struct bv_error *err, const char *what)
{
    return bv_error_set(err, BV_CORRUPT, "registration record: %s", what);
}

static bool
is_names(const struct value *list)
{
    for (uint32_t i = 0; i < list->length; i++) {
        if (list->as.items[i].kind != VALUE_STR) {
            return false;
        }
    }
    return true;
}

static enum bv_status
take_fresh(struct slice **out, size_t *count, struct registry *registry, const struct value *list,
           struct bv_error *err)
{
    if (list == NULL || list->kind != VALUE_LIST || !is_names(list)) {
        return corrupt(err, "\"fresh\" is not a list of names");
    }
    *out = arena_alloc(&registry->arena, list->length * sizeof **out);
    if (*out == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a registration");
    }
    for (uint32_t i = 0; i < list->length; i++) {
        (*out)[i] = value_slice(&list->as.items[i]);
    }
    *count = list->length;
    return BV_OK;
}

static enum bv_status
take_renamed(struct registry_rename **out, size_t *count, struct registry *registry,
             const struct value *list, struct bv_error *err)
{
    if (list == NULL || list->kind != VALUE_LIST) {
        return corrupt(err, "\"renamed\" is not a list");
    }
    *out = arena_alloc(&registry->arena, list->length * sizeof **out);
    if (*out == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a registration");
    }
    for (uint32_t i = 0; i < list->length; i++) {
        const struct value *names = &list->as.items[i];

        if (names->kind != VALUE_LIST || names->length != 2 || !is_names(names)) {
            return corrupt(err, "\"renamed\" does not hold pairs of names");
        }
        (*out)[i] = (struct registry_rename){value_slice(&names->as.items[0]),
                                             value_slice(&names->as.items[1])};
    }
    *count = list->length;
    return BV_OK;
}

/* What the judges found while rebuilding: the first finding names the node. */
static enum bv_status
finish(const struct report *report, bool is_alive, struct bv_error *err)
{
    struct bv_error first;

    if (!is_alive || report->is_out_of_memory) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a registration");
    }
    if (report->error_count == 0) {
        return BV_OK;
    }
    report_first(report, &first);
    bv_error_set(err, BV_CORRUPT, "registration record: %s: %s", first.path, first.message);
    bv_error_path(err, "%s", first.path);
    return BV_CORRUPT;
}

static enum bv_status
take_nodes(struct registry *registry, const struct value *nodes, struct bv_error *err)
{
    struct report report;
    struct draft draft;

    if (nodes == NULL || nodes->kind != VALUE_LIST) {
        return corrupt(err, "\"nodes\" is not a list");
    }
    report_init(&report, &registry->arena);
    bool is_alive = shape_logged(&draft, nodes, &report);

    if (is_alive && report.error_count == 0) {
        is_alive = validate_structure(&draft, &report);
    }
    if (is_alive && report.error_count == 0) {
        registry->descriptors = draft.nodes;
        registry->descriptor_count = draft.node_count;
        is_alive = canonical_set(draft.nodes, draft.node_count, &registry->arena) &&
                   registry_index(registry) && resolve_registry(registry, true, &report);
    }
    return finish(&report, is_alive, err);
}

enum bv_status
registry_from_log_within(struct registry **out, struct slice **fresh, size_t *fresh_count,
                         struct registry_rename **renamed, size_t *renamed_count,
                         struct slice log_json, const struct registration_limits *limits,
                         struct bv_error *err)
{
    struct registry *registry = NULL;
    struct value record;
    enum bv_status status = registry_create_within(&registry, 0, limits, err);

    if (status != BV_OK) {
        goto done;
    }
    const void *copy = arena_copy(&registry->arena, log_json.data, log_json.size);

    if (copy == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory for a registration");
        goto done;
    }
    status =
        json_parse(&record, slice_of(copy, log_json.size), JSON_DEPTH_MAX, &registry->arena, err);
    if (status != BV_OK) {
        status = status == BV_NO_MEMORY ? status : corrupt(err, "it is not JSON");
        goto done;
    }
    const struct value *version = value_find(&record, "version");

    if (version == NULL || version->kind != VALUE_I64 || version->as.i64 < 0) {
        status = corrupt(err, "\"version\" is not a number");
        goto done;
    }
    registry->version = (uint64_t)version->as.i64;
    status = take_fresh(fresh, fresh_count, registry, value_find(&record, "fresh"), err);
    if (status == BV_OK) {
        status =
            take_renamed(renamed, renamed_count, registry, value_find(&record, "renamed"), err);
    }
    if (status == BV_OK) {
        status = take_nodes(registry, value_find(&record, "nodes"), err);
    }
    if (status != BV_OK) {
        goto done;
    }
    *out = registry;
    registry = NULL; /* handed over */
done:
    registry_destroy(registry);
    return status;
}

enum bv_status
registry_from_log(struct registry **out, struct slice **fresh, size_t *fresh_count,
                  struct registry_rename **renamed, size_t *renamed_count, struct slice log_json,
                  struct bv_error *err)
{
    /* A record that was written once must be readable for ever: no limit here. */
    const struct registration_limits limits = {REGISTRATION_BLOCK_SIZE, 0};

    return registry_from_log_within(out, fresh, fresh_count, renamed, renamed_count, log_json,
                                    &limits, err);
}
