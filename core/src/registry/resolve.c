/* SPDX-License-Identifier: Apache-2.0 */
/* From names to nodes.
 *
 * Enters:  descriptors in an order where upstreams come first.
 * Leaves:  one graph per event source, with the tables it feeds.
 * Owner:   the registry: its arena holds all but the graphs.
 *
 * A derived event is nothing but columns and filters over its source's graph, so a table on one is
 * flattened by starting from them (W47). A derivation that no event feeds is walked over a graph of
 * its own, to judge its expressions, and is then forgotten.
 *
 * Invariants
 *   (1) chains[i] is made before any node that has i among its upstreams is looked at.
 *   (2) A shared chain (an event's, or that of a derivation without ops) is never changed.
 */
#include "registry/resolve.h"

#include "registry/chain.h"
#include "registry/feature.h"
#include "registry/list.h"
#include "util/assert.h"

struct resolver {
    struct registry *registry;
    struct report *report;
    bool is_replay;
    struct names index;      /* descriptor names */
    struct chain *chains;    /* one per descriptor: its output columns; a table's before group_by */
    struct chain **extended; /* one per event: with the columns of derived events beside (W46) */
    struct expr_graph *loose; /* of derivations that no event feeds */
};

size_t
resolve_group_index(const struct descriptor *node)
{
    size_t i = 0;

    while (i < node->op_count &&
           !slice_equal(value_slice(value_find(&node->ops[i], "op")), slice_text("group_by"))) {
        i++;
    }
    return i;
}

static bool
is_aggregation(const struct descriptor *node)
{
    return node->kind == DESCRIPTOR_DERIVATION && resolve_group_index(node) < node->op_count;
}

/* What holds rows of its own and cannot be aggregated again. */
static bool
is_table(const struct descriptor *node)
{
    return node->kind == DESCRIPTOR_DERIVATION && (node->is_table || is_aggregation(node));
}

/* ---- sources ---- */

static bool
add_source(struct resolver *resolver, size_t index)
{
    struct registry *registry = resolver->registry;
    const struct descriptor *event = &registry->descriptors[index];
    struct resolved_source *source = &registry->sources[registry->source_count];
    struct chain *chain = &resolver->chains[index];
    struct bv_error err;

    *source = (struct resolved_source){.event = event};
    enum bv_status status =
        expr_graph_create(&source->graph, event->fields, event->slot_count, &err);

    chain_init(chain, &registry->arena, source->graph, registry->source_count);
    if (status == BV_NO_MEMORY) {
        return false;
    }
    registry->source_count++;
    if (status != BV_OK) {
        chain->is_broken = true;
        report_path(resolver->report, "nodes[%zu].schema.fields", index);
        report_error(resolver->report, BV_INVALID_REGISTRATION, "schema_too_large", "%s",
                     err.message);
        return true;
    }
    for (size_t i = 0; i < event->slot_count; i++) {
        struct expr_column column = {.name = event->fields[i].name,
                                     .type = (int)event->fields[i].type,
                                     .is_optional = event->fields[i].is_optional,
                                     .node = (uint32_t)i};

        if (!chain_put(chain, &column, false)) {
            return false;
        }
    }
    return true;
}

/* ---- the input of a derivation ---- */

/* A column that rows never have: null, of this type. Columns that rows do have keep their node and
 * take the type (of several upstreams the later wins). */
static bool
put_absent(struct chain *chain, struct slice name, int type, bool is_optional)
{
    const struct chain_column *found = chain_find(chain, name);
    const struct value null = value_null();
    struct expr_column column = {.name = name, .type = type, .is_optional = is_optional};

    column.node = found != NULL ? found->column.node : expr_graph_literal(chain->graph, &null);
    return column.node != EXPR_NODE_NONE &&
           chain_put(chain, &column, found == NULL || found->is_absent);
}

static bool
put_schema(struct chain *chain, const struct descriptor *node)
{
    for (size_t i = 0; i < node->slot_count; i++) {
        if (!put_absent(chain, node->fields[i].name, (int)node->fields[i].type,
                        node->fields[i].is_optional)) {
            return false;
        }
    }
    return true;
}

static bool
put_chain(struct chain *chain, const struct chain *other)
{
    for (size_t i = 0; i < other->count; i++) {
        const struct chain_column *from = &other->columns[i];

        if (from->is_live &&
            !put_absent(chain, from->column.name, from->column.type, from->column.is_optional)) {
            return false;
        }
    }
    return true;
}

static bool
start_loose(struct resolver *resolver, struct chain *chain)
{
    struct bv_error err;

    if (resolver->loose == NULL && expr_graph_create(&resolver->loose, NULL, 0, &err) != BV_OK) {
        return false;
    }
    chain_init(chain, &resolver->registry->arena, resolver->loose, CHAIN_SOURCE_NONE);
    return true;
}

static size_t
upstream_index(const struct resolver *resolver, const struct descriptor *node, size_t i)
{
    size_t index = names_find(&resolver->index, node->upstreams[i]);

    BV_ASSERT(index < resolver->registry->descriptor_count); /* R3, or checked by the replay */
    return index;
}

/* The merged columns of all upstreams. Only the first one's rows ever arrive. */
static bool
make_input(struct resolver *resolver, struct chain *out, const struct descriptor *node,
           bool is_changed)
{
    const struct descriptor *all = resolver->registry->descriptors;
    size_t first = node->upstream_count == 0 ? 0 : upstream_index(resolver, node, 0);

    if (node->upstream_count == 0) {
        return start_loose(resolver, out) && put_schema(out, node);
    }
    if (is_table(&all[first])) {
        if (!start_loose(resolver, out) || !put_schema(out, &all[first])) {
            return false;
        }
    } else if (!is_changed && node->upstream_count == 1) {
        *out = resolver->chains[first];
    } else if (!chain_copy(out, &resolver->chains[first])) {
        return false;
    }
    for (size_t i = 1; i < node->upstream_count; i++) {
        size_t index = upstream_index(resolver, node, i);

        out->is_broken |= resolver->chains[index].is_broken;
        if (is_table(&all[index]) ? !put_schema(out, &all[index])
                                  : !put_chain(out, &resolver->chains[index])) {
            return false;
        }
    }
    return true;
}

/* R6 for one derivation: its ops up to the group_by. */
static bool
walk(struct resolver *resolver, size_t index)
{
    const struct descriptor *node = &resolver->registry->descriptors[index];
    struct chain *chain = &resolver->chains[index];
    size_t op_count = resolve_group_index(node);

    if (!make_input(resolver, chain, node, op_count > 0)) {
        return false;
    }
    return chain_apply(chain, node->ops, op_count, index, resolver->report);
}

/* ---- tables ---- */

/* A table without ops of its own also knows the columns of the derived events beside it, which its
 * rows never have (W46). Made once per event. */
static bool
extend_event(struct resolver *resolver, size_t event)
{
    const struct registry *registry = resolver->registry;
    struct chain *chain = arena_alloc(&resolver->registry->arena, sizeof *chain);

    if (chain == NULL || !chain_copy(chain, &resolver->chains[event])) {
        return false;
    }
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        const struct descriptor *node = &registry->descriptors[i];
        const struct chain *beside = &resolver->chains[i];

        if (node->kind != DESCRIPTOR_DERIVATION || is_table(node) || node->upstream_count != 1 ||
            upstream_index(resolver, node, 0) != event) {
            continue;
        }
        for (size_t k = 0; k < beside->count; k++) {
            const struct expr_column *column = &beside->columns[k].column;

            if (beside->columns[k].is_live && chain_find(chain, column->name) == NULL &&
                !put_absent(chain, column->name, column->type, column->is_optional)) {
                return false;
            }
        }
    }
    resolver->extended[event] = chain;
    return true;
}

static bool
table_chain(struct resolver *resolver, const struct chain **out, size_t index)
{
    const struct descriptor *node = &resolver->registry->descriptors[index];
    size_t first = upstream_index(resolver, node, 0);

    *out = &resolver->chains[index];
    if (resolve_group_index(node) > 0 || node->upstream_count != 1 ||
        resolver->registry->descriptors[first].kind != DESCRIPTOR_EVENT) {
        return true;
    }
    if (resolver->extended[first] == NULL && !extend_event(resolver, first)) {
        return false;
    }
    *out = resolver->extended[first];
    return true;
}

/* Rows 1 and 2 of operators.md 4.2 C. True when refused. */
static bool
refuse_upstream(struct resolver *resolver, size_t index)
{
    const struct descriptor *node = &resolver->registry->descriptors[index];

    if (node->upstream_count == 0) {
        report_path(resolver->report, "nodes[%zu].upstreams", index);
        report_error(resolver->report, BV_AGG_ON_TABLE, "no_upstream",
                     "an aggregation needs at least one upstream");
        return true;
    }
    size_t first = upstream_index(resolver, node, 0);

    if (!is_table(&resolver->registry->descriptors[first]) &&
        resolver->chains[first].source != CHAIN_SOURCE_NONE) {
        return false;
    }
    report_path(resolver->report, "nodes[%zu].upstreams[0]", index);
    report_hint(resolver->report, "aggregate the event source instead");
    report_error(resolver->report, BV_AGG_ON_TABLE, "on_table",
                 "upstream '%s' is %s: a table aggregates events",
                 bv_error_quote(node->upstreams[0]),
                 is_table(&resolver->registry->descriptors[first]) ? "itself a table"
                                                                   : "fed by no event source");
    return true;
}

/* Rows 3 and 4. False: memory is spent. */
static bool
take_keys(struct resolver *resolver, struct resolved_table *table, const struct chain *chain,
          size_t index, const struct value *keys, struct names *key_names)
{
    size_t op_index = resolve_group_index(table->descriptor);

    names_init(key_names, &resolver->registry->arena);
    table->key_count = keys->length;
    table->keys = list_of(&resolver->registry->arena, keys->length, sizeof *table->keys);
    table->key_names = list_of(&resolver->registry->arena, keys->length, sizeof *table->key_names);
    if (table->keys == NULL || table->key_names == NULL) {
        return false;
    }
    for (uint32_t k = 0; k < keys->length; k++) {
        struct slice name = value_slice(&keys->as.items[k]);
        const struct chain_column *column = chain_find(chain, name);

        table->key_names[k] = name;
        table->keys[k] = column == NULL ? EXPR_NODE_NONE : column->column.node;
        if (!names_put(key_names, name, k)) {
            return false;
        }
        report_path(resolver->report, "nodes[%zu].ops[%zu].group_by[%u]", index, op_index, k);
        if (column == NULL) {
            chain_hint(chain, name, resolver->report);
            report_error(resolver->report, BV_AGG_UNKNOWN_FIELD, "unknown_key",
                         "group key '%s' is not a field", bv_error_quote(name));
        } else if (column->column.type == FIELD_F64) {
            report_hint(resolver->report, "cast it to int or str");
            report_error(resolver->report, BV_AGG_UNKNOWN_FIELD, "float_key",
                         "group key '%s' cannot be float-typed", bv_error_quote(name));
        } else if (column->is_absent) {
            report_warning(resolver->report,
                           "rows of this table never have key column '%s': nothing is counted",
                           bv_error_quote(name));
        }
    }
    return true;
}

static void
warn_primary_key(struct resolver *resolver, const struct resolved_table *table, size_t index)
{
    const struct descriptor *node = table->descriptor;
    bool is_same = node->primary_key_count == table->key_count;

    for (size_t k = 0; is_same && k < table->key_count; k++) {
        is_same = slice_equal(node->primary_key[k], table->key_names[k]);
    }
    if (node->has_primary_key && !is_same) {
        report_path(resolver->report, "nodes[%zu].table_primary_key", index);
        report_warning(resolver->report, "table_primary_key differs from the keys of the group_by, "
                                         "which are the ones in force");
    }
}

static bool
take_features(struct resolver *resolver, struct resolved_table *table,
              const struct feature_site *site, const struct value *agg)
{
    table->features = list_of(site->arena, agg->length, sizeof *table->features);
    if (table->features == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < agg->length; i++) {
        const struct value_member *member = &agg->as.members[i];

        if (!feature_resolve(&table->features[i], site, value_slice(&member->key),
                             &member->value)) {
            return false;
        }
        table->feature_count++;
    }
    return true;
}

/* R7 for one table. */
static bool
take_table(struct resolver *resolver, struct resolved_table *table, size_t index)
{
    const struct descriptor *node = &resolver->registry->descriptors[index];
    size_t group = resolve_group_index(node);
    const struct value *op = &node->ops[group];
    const struct chain *chain;
    struct names key_names;

    *table = (struct resolved_table){.name = node->name, .descriptor = node};
    if (!table_chain(resolver, &chain, index) ||
        !take_keys(resolver, table, chain, index, value_find(op, "keys"), &key_names)) {
        return false;
    }
    warn_primary_key(resolver, table, index);
    table->filters = chain->filters;
    table->filter_count = chain->filter_count;

    struct feature_site site = {.chain = chain,
                                .node_index = index,
                                .op_index = group,
                                .keys = &key_names,
                                .arena = &resolver->registry->arena,
                                .report = resolver->report,
                                .is_replay = resolver->is_replay};

    return take_features(resolver, table, &site, value_find(op, "agg"));
}

/* Tables by source, in registration order: counted first, then made in place. */
static bool
take_tables(struct resolver *resolver)
{
    struct registry *registry = resolver->registry;
    size_t *counts = list_of(&registry->arena, registry->source_count, sizeof *counts);

    if (counts == NULL) {
        return false;
    }
    memset(counts, 0, registry->source_count * sizeof *counts);
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        if (is_aggregation(&registry->descriptors[i]) &&
            resolver->chains[i].source != CHAIN_SOURCE_NONE) {
            counts[resolver->chains[i].source]++;
        }
    }
    for (size_t i = 0; i < registry->source_count; i++) {
        registry->sources[i].tables =
            list_of(&registry->arena, counts[i], sizeof *registry->sources[i].tables);
        if (registry->sources[i].tables == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        if (!is_aggregation(&registry->descriptors[i]) || refuse_upstream(resolver, i)) {
            continue;
        }
        struct resolved_source *source = &registry->sources[resolver->chains[i].source];

        if (!take_table(resolver, &source->tables[source->table_count], i)) {
            return false;
        }
        source->table_count++;
    }
    return true;
}

/* Feature names are unique over all tables: a single-feature read names no table. */
static bool
check_collisions(struct resolver *resolver)
{
    const struct registry *registry = resolver->registry;
    struct names features;

    names_init(&features, &resolver->registry->arena);
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        const struct descriptor *node = &registry->descriptors[i];
        size_t group = node->kind == DESCRIPTOR_EVENT ? 0 : resolve_group_index(node);

        if (!is_aggregation(node)) {
            continue;
        }
        const struct value *agg = value_find(&node->ops[group], "agg");

        for (uint32_t k = 0; k < agg->length; k++) {
            struct slice name = value_slice(&agg->as.members[k].key);
            uint32_t owner = names_find(&features, name);

            if (owner == NAMES_NONE) {
                if (!names_put(&features, name, (uint32_t)i)) {
                    return false;
                }
                continue;
            }
            report_path(resolver->report, "nodes.%.100s.features.%.100s",
                        bv_error_quote(node->name), bv_error_quote(name));
            report_hint(resolver->report, "give one of them another name");
            report_error(resolver->report, BV_AGG_NAME_COLLISION, "feature_duplicate",
                         "feature '%s' of table '%s' is also a feature of table '%s'",
                         bv_error_quote(name), bv_error_quote(node->name),
                         bv_error_quote(registry->descriptors[owner].name));
        }
    }
    return true;
}

static bool
run(struct resolver *resolver)
{
    struct registry *registry = resolver->registry;

    for (size_t i = 0; i < registry->descriptor_count; i++) {
        if (registry->descriptors[i].kind == DESCRIPTOR_EVENT ? !add_source(resolver, i)
                                                              : !walk(resolver, i)) {
            return false;
        }
        if (!names_put(&resolver->index, registry->descriptors[i].name, (uint32_t)i)) {
            return false;
        }
    }
    if (resolver->report->error_count > 0) {
        return true;
    }
    return take_tables(resolver) &&
           (resolver->report->error_count > 0 || resolver->is_replay || check_collisions(resolver));
}

bool
resolve_registry(struct registry *registry, bool is_replay, struct report *report)
{
    struct resolver resolver = {.registry = registry, .report = report, .is_replay = is_replay};
    size_t count = registry->descriptor_count;

    names_init(&resolver.index, &registry->arena);
    registry->sources = list_of(&registry->arena, count, sizeof *registry->sources);
    resolver.chains = list_of(&registry->arena, count, sizeof *resolver.chains);
    resolver.extended = list_of(&registry->arena, count, sizeof *resolver.extended);
    if (registry->sources == NULL || resolver.chains == NULL || resolver.extended == NULL) {
        return false;
    }
    memset(resolver.extended, 0, count * sizeof *resolver.extended);
    bool is_alive = run(&resolver);

    expr_graph_destroy(resolver.loose);
    return is_alive && !report->is_out_of_memory;
}
