/* SPDX-License-Identifier: Apache-2.0 */
/* The registry in words, for people who look at a running server.
 *
 * Enters:  the registry in force.
 * Leaves:  {"node_count","version","events":[..],"tables":[..],"derivations":[..]}: names, keys,
 *          fields and features, in the order of registration.
 * Owner:   the apply thread.
 *
 * Every registered node stands in exactly one of the three lists. */
#include "apply/apply.h"
#include "wire/json.h"

static void
put_names(struct buf *json, const char *name, const struct slice *names, size_t count)
{
    buf_printf(json, "\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        buf_text(json, i == 0 ? "" : ",");
        json_write_string(json, names[i]);
    }
    buf_text(json, "]");
}

static void
put_name(struct buf *json, struct slice name)
{
    buf_text(json, ",\"name\":");
    json_write_string(json, name);
    buf_text(json, "}");
}

static void
put_event(struct buf *json, const struct registry *registry, const struct descriptor *event)
{
    buf_text(json, "{\"fields\":[");
    for (size_t i = 0; i < event->field_count; i++) {
        buf_text(json, i == 0 ? "" : ",");
        json_write_string(json, event->fields[i].name);
    }
    buf_text(json, "]");
    put_name(json, event->name);
}

static void
put_derivation(struct buf *json, const struct registry *registry, const struct descriptor *node)
{
    buf_text(json, "{");
    put_names(json, "upstreams", node->upstreams, node->upstream_count);
    put_name(json, node->name);
}

static const struct resolved_table *
find_table(const struct registry *registry, const struct descriptor *node)
{
    for (size_t i = 0; i < registry->source_count; i++) {
        const struct resolved_source *source = &registry->sources[i];

        for (size_t k = 0; k < source->table_count; k++) {
            if (source->tables[k].descriptor == node) {
                return &source->tables[k];
            }
        }
    }
    return NULL;
}

static void
put_table(struct buf *json, const struct registry *registry, const struct descriptor *node)
{
    const struct resolved_table *table = find_table(registry, node);

    buf_text(json, "{\"features\":[");
    for (size_t i = 0; table != NULL && i < table->feature_count; i++) {
        buf_text(json, i == 0 ? "" : ",");
        json_write_string(json, table->features[i].name);
    }
    buf_text(json, "],");
    put_names(json, "keys", table == NULL ? NULL : table->key_names,
              table == NULL ? 0 : table->key_count);
    put_name(json, node->name);
}

enum list { LIST_EVENTS, LIST_TABLES, LIST_DERIVATIONS, LIST_COUNT };

static enum list
list_of(const struct descriptor *node)
{
    return node->kind == DESCRIPTOR_EVENT ? LIST_EVENTS
           : node->is_table               ? LIST_TABLES
                                          : LIST_DERIVATIONS;
}

void
engine_describe_registry(const struct engine *engine, struct buf *json)
{
    static const struct {
        const char *name;
        void (*put)(struct buf *json, const struct registry *registry,
                    const struct descriptor *node);
    } lists[LIST_COUNT] = {
        [LIST_EVENTS] = {"events", put_event},
        [LIST_TABLES] = {"tables", put_table},
        [LIST_DERIVATIONS] = {"derivations", put_derivation},
    };
    const struct registry *registry = engine->live.registry;

    buf_printf(json, "{\"node_count\":%zu,\"version\":%llu", registry->descriptor_count,
               (unsigned long long)registry->version);
    for (unsigned list = 0; list < LIST_COUNT; list++) {
        const char *comma = "";

        buf_printf(json, ",\"%s\":[", lists[list].name);
        for (size_t i = 0; i < registry->descriptor_count; i++) {
            const struct descriptor *node = &registry->descriptors[i];

            if (list_of(node) == list) {
                buf_text(json, comma);
                lists[list].put(json, registry, node);
                comma = ",";
            }
        }
        buf_text(json, "]");
    }
    buf_text(json, "}");
}
