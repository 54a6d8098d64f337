/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling a registry: per event source a decoder, a program and its tables; then layouts.
 *
 * Nothing here touches state: the plan is built beside the one in force and swapped in by apply.
 */
#include <stdlib.h>

#include "plan/share.h"
#include "util/assert.h"

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "plan");
}

static void
add_root(uint32_t *roots, size_t *count, uint32_t node)
{
    if (node != EXPR_NODE_NONE) {
        roots[(*count)++] = node;
    }
}

/* Every node that a table reads: filters, keys, predicates, inputs. */
static enum bv_status
compile_program(struct plan_source *out, struct arena *arena, struct bv_error *err)
{
    const struct resolved_source *source = out->resolved;
    size_t capacity = 1;
    size_t count = 0;

    for (size_t t = 0; t < source->table_count; t++) {
        const struct resolved_table *table = &source->tables[t];

        capacity +=
            table->filter_count + table->key_count + table->feature_count * (AGG_INPUTS_MAX + 1);
    }
    uint32_t *roots = arena_alloc(arena, capacity * sizeof *roots);

    if (roots == NULL) {
        return no_memory(err);
    }
    for (size_t t = 0; t < source->table_count; t++) {
        const struct resolved_table *table = &source->tables[t];

        for (size_t i = 0; i < table->filter_count; i++) {
            add_root(roots, &count, table->filters[i]);
        }
        for (size_t i = 0; i < table->key_count; i++) {
            add_root(roots, &count, table->keys[i]);
        }
        for (size_t i = 0; i < table->feature_count; i++) {
            const struct resolved_feature *feature = &table->features[i];

            add_root(roots, &count, feature->where);
            for (unsigned k = 0; k < feature->input_count; k++) {
                add_root(roots, &count, feature->inputs[k]);
            }
        }
    }
    BV_ASSERT(count < capacity);
    return expr_program_create(&out->program, source->graph, roots, count, err);
}

static bool
contains(const struct slice *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(names[i], name)) {
            return true;
        }
    }
    return false;
}

struct continuity {
    const struct plan *previous;
    const struct plan_former_table *former; /* instead: what a snapshot says */
    size_t former_count;
    bool is_restored;
    const struct slice *fresh;
    size_t fresh_count;
    const struct registry_rename *renamed;
    size_t renamed_count;
};

/* The table as it was, under its former name; NULL when it starts empty. */
static const struct plan_table *
table_before(const struct continuity *past, struct slice name)
{
    if (past->previous == NULL || contains(past->fresh, past->fresh_count, name)) {
        return NULL;
    }
    for (size_t i = 0; i < past->renamed_count; i++) {
        if (slice_equal(past->renamed[i].to, name)) {
            name = past->renamed[i].from;
            break;
        }
    }
    return plan_find_table(past->previous, name);
}

/* What its features read; *out is NULL when it starts empty, `own` the memory for it otherwise. */
static enum bv_status
former_of(const struct plan_former_table **out, struct plan_former_table *own, struct plan *plan,
          const struct continuity *past, struct slice name, struct bv_error *err)
{
    const struct plan_table *before = table_before(past, name);

    *out = NULL;
    for (size_t i = 0; i < past->former_count; i++) {
        if (slice_equal(past->former[i].name, name)) {
            *out = &past->former[i];
        }
    }
    if (*out == NULL && past->is_restored) {
        return bv_error_set(err, BV_CORRUPT, "table %s is not listed", bv_error_quote(name));
    }
    if (before != NULL) {
        *out = own;
        return share_former(own, before, &plan->arena) ? BV_OK : no_memory(err);
    }
    return BV_OK;
}

static enum bv_status
compile_table(struct plan_table *out, struct plan *plan, const struct resolved_source *source,
              const struct resolved_table *table, const struct continuity *past,
              struct bv_error *err)
{
    out->name = table->name;
    out->resolved = table;
    out->layout = calloc(1, sizeof *out->layout);
    if (out->layout == NULL) {
        return no_memory(err);
    }
    arena_init(&out->layout->arena, 4096, 0);
    struct plan_former_table own;
    const struct plan_former_table *before;
    enum bv_status status = former_of(&before, &own, plan, past, table->name, err);

    if (status == BV_OK) {
        status = share_table(out, table, source->graph, before, past->is_restored,
                             plan->registry->version, &plan->arena, err);
    }
    if (status == BV_OK && !plan_layout_place(out->layout)) {
        status = no_memory(err);
    }
    return status;
}

static enum bv_status
compile_source(struct plan_source *out, struct plan *plan, const struct resolved_source *source,
               const struct continuity *past, unsigned row_flags, struct bv_error *err)
{
    const struct descriptor *event = source->event;

    out->name = event->name;
    out->resolved = source;
    out->node_count = expr_graph_node_count(source->graph);
    if (out->node_count > plan->node_count_max) {
        plan->node_count_max = out->node_count;
    }
    enum bv_status status =
        row_schema_create(&out->schema, event->name, event->fields, event->field_count,
                          event->slot_count, row_flags, err);

    if (status == BV_OK) {
        status = compile_program(out, &plan->arena, err);
    }
    if (status != BV_OK) {
        return status;
    }
    out->tables = arena_alloc(&plan->arena, sizeof *out->tables * (source->table_count + 1));
    if (out->tables == NULL) {
        return no_memory(err);
    }
    memset(out->tables, 0, sizeof *out->tables * (source->table_count + 1));
    for (size_t i = 0; status == BV_OK && i < source->table_count; i++) {
        out->table_count++;
        plan->table_count++;
        status = compile_table(&out->tables[i], plan, source, &source->tables[i], past, err);
    }
    return status;
}

static enum bv_status
compile(struct plan **out, struct registry *registry, const struct continuity *past,
        unsigned row_flags, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct plan *plan = calloc(1, sizeof *plan);

    if (plan == NULL) {
        return no_memory(err);
    }
    arena_init(&plan->arena, 16384, 0);
    plan->registry = registry;
    plan->sources = arena_alloc(&plan->arena, sizeof *plan->sources * (registry->source_count + 1));
    if (plan->sources == NULL) {
        status = no_memory(err);
        goto done;
    }
    memset(plan->sources, 0, sizeof *plan->sources * (registry->source_count + 1));
    for (size_t i = 0; status == BV_OK && i < registry->source_count; i++) {
        plan->source_count++;
        status =
            compile_source(&plan->sources[i], plan, &registry->sources[i], past, row_flags, err);
    }
    if (status == BV_OK) {
        *out = plan;
        plan = NULL;
    }
done:
    plan_destroy(plan);
    return status;
}

enum bv_status
plan_compile(struct plan **out, struct registry *registry, const struct plan *previous,
             const struct slice *fresh, size_t fresh_count, const struct registry_rename *renamed,
             size_t renamed_count, unsigned row_flags, struct bv_error *err)
{
    const struct continuity past = {.previous = previous,
                                    .fresh = fresh,
                                    .fresh_count = fresh_count,
                                    .renamed = renamed,
                                    .renamed_count = renamed_count};

    return compile(out, registry, &past, row_flags, err);
}

enum bv_status
plan_compile_restored(struct plan **out, struct registry *registry,
                      const struct plan_former_table *former, size_t former_count,
                      unsigned row_flags, struct bv_error *err)
{
    const struct continuity past = {
        .former = former, .former_count = former_count, .is_restored = true};

    return compile(out, registry, &past, row_flags, err);
}

void
plan_set_row_flags(struct plan *plan, unsigned row_flags)
{
    for (uint32_t i = 0; i < plan->source_count; i++) {
        row_schema_set_flags(plan->sources[i].schema, row_flags);
    }
}

void
plan_destroy(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->source_count; i++) {
        struct plan_source *source = &plan->sources[i];

        for (uint32_t k = 0; k < source->table_count; k++) {
            if (!source->tables[k].is_layout_taken) {
                plan_layout_destroy(source->tables[k].layout);
            }
        }
        row_schema_destroy(source->schema);
        expr_program_destroy(source->program);
    }
    arena_deinit(&plan->arena);
    free(plan);
}

const struct plan_table *
plan_find_table(const struct plan *plan, struct slice name)
{
    for (uint32_t i = 0; i < plan->source_count; i++) {
        for (uint32_t k = 0; k < plan->sources[i].table_count; k++) {
            if (slice_equal(plan->sources[i].tables[k].name, name)) {
                return &plan->sources[i].tables[k];
            }
        }
    }
    return NULL;
}
