/* SPDX-License-Identifier: Apache-2.0 */
/* The plan in force and the tables that live under it.
 *
 * Enters:  a registry and its plan, compiled beside the ones in force.
 * Leaves:  everything a request looks up by name.
 *
 * Invariants
 *   (1) A table that is not fresh keeps its entities; when its layout changed, the new one is added
 *       and each block is moved when it is next touched.
 *   (2) Layouts belong to the live table, steps of the one in force name nodes of the plan in
 * force. (3) An installation either happens as a whole or leaves everything as it was: what may
 * fail is done first.
 */
#include <stdlib.h>

#include "apply/apply.h"

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "installing a plan");
}

/* ---- lookups: a plan has few names, a binary search beats a hash of a short string ---- */

static int
name_to_source(const void *name, const void *element)
{
    return slice_compare(*(const struct slice *)name,
                         ((const struct live_source *)element)->plan->name);
}

struct live_source *
live_find_source(const struct live *live, struct slice name)
{
    return live->source_count == 0 ? NULL
                                   : bsearch(&name, live->sources, live->source_count,
                                             sizeof *live->sources, name_to_source);
}

static int
name_to_table(const void *name, const void *element)
{
    return slice_compare(*(const struct slice *)name, (*(struct live_table *const *)element)->name);
}

struct live_table *
live_find_table(const struct live *live, struct slice name)
{
    struct live_table **found = live->table_count == 0
                                    ? NULL
                                    : bsearch(&name, live->tables, live->table_count,
                                              sizeof(struct live_table *), name_to_table);

    return found == NULL ? NULL : *found;
}

struct live_table *
live_table_of_id(const struct live *live, uint32_t id)
{
    for (uint32_t i = 0; i < live->table_count; i++) {
        if (table_id(live->tables[i]->table) == id) {
            return live->tables[i];
        }
    }
    return NULL;
}

static int
name_to_feature(const void *name, const void *element)
{
    return slice_compare(*(const struct slice *)name, ((const struct live_feature *)element)->name);
}

const struct live_feature *
live_find_feature(const struct live *live, struct slice name)
{
    return live->feature_count == 0 ? NULL
                                    : bsearch(&name, live->features, live->feature_count,
                                              sizeof *live->features, name_to_feature);
}

static int
compare_sources(const void *a, const void *b)
{
    return slice_compare(((const struct live_source *)a)->plan->name,
                         ((const struct live_source *)b)->plan->name);
}

static int
compare_tables(const void *a, const void *b)
{
    return slice_compare((*(struct live_table *const *)a)->name,
                         (*(struct live_table *const *)b)->name);
}

static int
compare_features(const void *a, const void *b)
{
    return slice_compare(((const struct live_feature *)a)->name,
                         ((const struct live_feature *)b)->name);
}

/* ---- one table ---- */

struct release_context {
    struct engine *engine;
    const struct live_table *table;
};

static void
release_entity(void *context, struct table *table, uint32_t ref)
{
    const struct release_context *release = context;

    plan_layout_release_state(release->table->layouts[table_layout_of(table, ref)],
                              table_state(table, ref), &release->engine->heap.heap);
}

static void
live_table_destroy(struct engine *engine, struct live_table *table)
{
    if (table == NULL) {
        return;
    }
    struct release_context context = {engine, table};

    if (table->table != NULL) {
        table_each(table->table, release_entity, &context);
        table_destroy(table->table);
    }
    for (uint32_t i = 0; i < table->layout_count; i++) {
        plan_layout_destroy(table->layouts[i]);
    }
    free(table->layouts);
    free(table->name_text);
    free(table);
}

/* The id of a name: given once, in order of appearance, and never to two live tables
 * (docs/formats.md 2.4). */
static bool
identity_of(uint32_t *out_id, struct engine *engine, struct slice name)
{
    for (uint32_t i = 0; i < engine->identity_count; i++) {
        if (slice_equal(slice_text(engine->identities[i].name), name)) {
            engine->identities[i].generation++;
            *out_id = i;
            return true;
        }
    }
    struct table_identity *larger =
        realloc(engine->identities, (engine->identity_count + 1) * sizeof *larger);

    if (larger == NULL) {
        return false;
    }
    engine->identities = larger;
    larger[engine->identity_count].generation = 0;
    larger[engine->identity_count].name = strndup((const char *)name.data, name.size);
    if (larger[engine->identity_count].name == NULL) {
        return false;
    }
    *out_id = engine->identity_count++;
    return true;
}

static enum bv_status
live_table_create(struct live_table **out, struct engine *engine, const struct plan_table *plan,
                  struct bv_error *err)
{
    uint32_t id = 0;
    enum bv_status status = BV_OK;
    struct live_table *table = calloc(1, sizeof *table);

    if (table == NULL) {
        return no_memory(err);
    }
    table->name_text = strndup((const char *)plan->name.data, plan->name.size);
    table->layouts = calloc(1, sizeof *table->layouts);
    if (table->name_text == NULL || table->layouts == NULL ||
        !identity_of(&id, engine, plan->name)) {
        status = no_memory(err);
        goto done;
    }
    table->name = slice_of(table->name_text, plan->name.size);
    status = table_create(&table->table, engine->pages, id, plan->layout->state_size, err);
    if (status != BV_OK) {
        goto done;
    }
    *out = table;
    table = NULL; /* handed over */
done:
    live_table_destroy(engine, table);
    return status;
}

/* Room for one more layout: what may fail for a table that stays. */
static enum bv_status
live_table_reserve(struct live_table *table, const struct plan_layout *layout, struct bv_error *err)
{
    struct plan_layout **layouts =
        realloc(table->layouts, (table->layout_count + 1) * sizeof(struct plan_layout *));

    if (layouts == NULL) {
        return no_memory(err);
    }
    table->layouts = layouts;
    return plan_layout_equal(table->layout, layout)
               ? BV_OK
               : table_reserve_layout(table->table, layout->state_size, err);
}

/* Makes the plan's layout the one in force. */
static void
live_table_adopt(struct live_table *table, struct plan_table *plan)
{
    uint16_t id = 0;

    if (table->layout_count != 0 && plan_layout_equal(table->layout, plan->layout)) {
        /* Same bytes, but the new one names the nodes of the new plan. */
        plan_layout_destroy(table->layouts[table->layout_count - 1]);
        table->layouts[table->layout_count - 1] = plan->layout;
    } else {
        if (table->layout_count != 0) {
            const enum bv_status status =
                table_add_layout(table->table, plan->layout->state_size, &id, NULL);

            BV_ASSERT(status == BV_OK); /* live_table_reserve has seen to it */
        }
        BV_ASSERT(id == table->layout_count);
        table->layouts[table->layout_count++] = plan->layout;
    }
    plan->is_layout_taken = true;
    table->plan = plan;
    table->layout = plan->layout;
}

void *
live_state(struct engine *engine, struct live_table *table, uint64_t hash, uint32_t ref)
{
    if (BV_LIKELY(table->layout_count == 1)) {
        return table_state(table->table, ref);
    }
    const uint16_t layout_id = table_layout_of(table->table, ref);

    if (layout_id == table_current_layout(table->table)) {
        return table_state(table->table, ref);
    }
    const uint32_t moved = table_move(table->table, hash, ref);

    /* The event is in the log already: half an update is no answer, so memory that is spent here
     * stops the process, and recovery applies the event whole. */
    BV_ASSERT(moved != 0);
    void *state = table_state(table->table, moved);
    const bool is_moved = plan_layout_move(table->layout, state, table->layouts[layout_id],
                                           table_state(table->table, ref), &engine->heap.heap);

    BV_ASSERT(is_moved);
    table_free_block(table->table, ref);
    return state;
}

/* ---- the whole ---- */

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

static struct live_table *
former_table(const struct live *live, struct slice name, const struct slice *fresh,
             size_t fresh_count, const struct registry_rename *renamed, size_t renamed_count)
{
    if (contains(fresh, fresh_count, name)) {
        return NULL;
    }
    for (size_t i = 0; i < renamed_count; i++) {
        if (slice_equal(renamed[i].to, name)) {
            return live_find_table(live, renamed[i].from);
        }
    }
    return live_find_table(live, name);
}

static bool
keeps(const struct live *live, const struct live_table *table)
{
    for (uint32_t i = 0; i < live->table_count; i++) {
        if (live->tables[i] == table) {
            return true;
        }
    }
    return false;
}

/* The same for what a source remembers. */
static bool
keeps_dedupe(const struct live *live, const struct dedupe *dedupe)
{
    for (uint32_t i = 0; i < live->source_count; i++) {
        if (live->sources[i].dedupe == dedupe) {
            return true;
        }
    }
    return false;
}

static enum bv_status
take_dedupe(struct engine *engine, struct live_source *source, struct bv_error *err)
{
    const struct descriptor *event = source->plan->resolved->event;
    const struct live_source *former = live_find_source(&engine->live, source->plan->name);

    if (event->dedupe_key.size == 0) {
        return BV_OK;
    }
    if (former != NULL && former->dedupe != NULL &&
        dedupe_fits(former->plan->resolved->event, event)) {
        source->dedupe = former->dedupe;
        return BV_OK;
    }
    return dedupe_create(&source->dedupe, engine, source->plan, err);
}

static void
destroy_dedupes(struct engine *engine, const struct live *live, const struct live *other)
{
    for (uint32_t i = 0; i < live->source_count; i++) {
        if (live->sources[i].dedupe != NULL && !keeps_dedupe(other, live->sources[i].dedupe)) {
            dedupe_destroy(engine, live->sources[i].dedupe);
        }
    }
}

static void
free_arrays(struct live *live)
{
    for (uint32_t i = 0; i < live->source_count; i++) {
        free(live->sources[i].tables);
    }
    free(live->sources);
    free(live->tables);
    free(live->features);
    free(live->rows);
}

static bool
allocate_arrays(struct live *live, const struct plan *plan)
{
    uint32_t feature_count = 0;

    live->sources = calloc(plan->source_count + 1, sizeof *live->sources);
    live->tables = calloc(plan->table_count + 1, sizeof(struct live_table *));
    live->row_stride = plan->node_count_max + 1;
    live->rows = calloc((size_t)APPLY_CHUNK_ROWS * live->row_stride, sizeof *live->rows);
    if (live->sources == NULL || live->tables == NULL || live->rows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct plan_source *source = &plan->sources[i];

        live->sources[i].plan = source;
        live->sources[i].is_program_empty = expr_program_is_empty(source->program);
        live->sources[i].tables = calloc(source->table_count + 1, sizeof(struct live_table *));
        live->source_count++;
        if (live->sources[i].tables == NULL) {
            return false;
        }
        for (uint32_t k = 0; k < source->table_count; k++) {
            feature_count += source->tables[k].feature_count;
        }
    }
    live->features = calloc(feature_count + 1, sizeof *live->features);
    return live->features != NULL;
}

static void
index_features(struct live *live)
{
    for (uint32_t i = 0; i < live->table_count; i++) {
        struct live_table *table = live->tables[i];

        for (uint32_t k = 0; k < table->plan->feature_count; k++) {
            live->features[live->feature_count++] =
                (struct live_feature){table->plan->features[k].name, table, k};
        }
    }
    qsort(live->features, live->feature_count, sizeof *live->features, compare_features);
    qsort(live->tables, live->table_count, sizeof(struct live_table *), compare_tables);
    qsort(live->sources, live->source_count, sizeof *live->sources, compare_sources);
}

/* A kept table may have gone by another name. It takes its id along, because its pages carry it:
 * the name that it leaves gets another, the one that the new name had before if there is one. */
static void
rename_table(struct engine *engine, struct live_table *table, struct slice name)
{
    if (slice_equal(table->name, name)) {
        return;
    }
    struct table_identity *own = &engine->identities[table_id(table->table)];
    char *text = strndup((const char *)name.data, name.size);
    char *own_text = strndup((const char *)name.data, name.size);

    BV_ASSERT(text != NULL && own_text != NULL);
    for (uint32_t i = 0; i < engine->identity_count; i++) {
        if (slice_equal(slice_text(engine->identities[i].name), name)) {
            free(own_text);
            own_text = engine->identities[i].name;
            engine->identities[i].name = own->name;
            own->name = NULL;
            break;
        }
    }
    free(own->name);
    own->name = own_text;
    free(table->name_text);
    table->name_text = text;
    table->name = slice_of(text, name.size);
}

enum bv_status
live_install(struct engine *engine, struct registry *take_registry, struct plan *take_plan,
             const struct slice *fresh, size_t fresh_count, const struct registry_rename *renamed,
             size_t renamed_count, struct bv_error *err)
{
    struct live *old = &engine->live;
    struct live next = {.registry = take_registry, .plan = take_plan};
    enum bv_status status = BV_OK;

    BV_ASSERT(engine->row_count == 0);
    if (!allocate_arrays(&next, take_plan)) {
        status = no_memory(err);
        goto fail;
    }
    for (uint32_t i = 0; i < next.source_count; i++) {
        const struct plan_source *source = next.sources[i].plan;

        status = take_dedupe(engine, &next.sources[i], err);
        if (status != BV_OK) {
            goto fail;
        }
        for (uint32_t k = 0; k < source->table_count; k++) {
            const struct plan_table *plan = &source->tables[k];
            struct live_table *table =
                former_table(old, plan->name, fresh, fresh_count, renamed, renamed_count);

            if (table == NULL) {
                status = live_table_create(&table, engine, plan, err);
            } else {
                status = live_table_reserve(table, plan->layout, err);
            }
            if (status != BV_OK) {
                goto fail;
            }
            next.sources[i].tables[k] = table;
            next.tables[next.table_count++] = table;
        }
    }
    /* Nothing fails from here on. */
    for (uint32_t i = 0; i < next.source_count; i++) {
        struct plan_source *source = &take_plan->sources[i];

        for (uint32_t k = 0; k < source->table_count; k++) {
            rename_table(engine, next.sources[i].tables[k], source->tables[k].name);
            live_table_adopt(next.sources[i].tables[k], &source->tables[k]);
            idle_change(engine, next.sources[i].tables[k], source->resolved->event->cold_after_ms);
        }
        if (next.sources[i].dedupe != NULL) {
            dedupe_adopt(next.sources[i].dedupe, source);
        }
    }
    index_features(&next);
    for (uint32_t i = 0; i < old->table_count; i++) {
        if (!keeps(&next, old->tables[i])) {
            live_table_destroy(engine, old->tables[i]);
        }
    }
    destroy_dedupes(engine, old, &next);
    free_arrays(old);
    plan_destroy(old->plan);
    registry_destroy(old->registry);
    engine->live = next;
    snapshot_copy_restart(engine->snapshot);
    engine->last_source = NULL;
    return BV_OK;
fail:
    for (uint32_t i = 0; i < next.table_count; i++) {
        if (!keeps(old, next.tables[i])) {
            live_table_destroy(engine, next.tables[i]);
        }
    }
    destroy_dedupes(engine, &next, old);
    free_arrays(&next);
    return status;
}

void
live_deinit(struct engine *engine)
{
    struct live *live = &engine->live;

    for (uint32_t i = 0; i < live->table_count; i++) {
        live_table_destroy(engine, live->tables[i]);
    }
    for (uint32_t i = 0; i < live->source_count; i++) {
        dedupe_destroy(engine, live->sources[i].dedupe);
    }
    free_arrays(live);
    plan_destroy(live->plan);
    registry_destroy(live->registry);
    for (uint32_t i = 0; i < engine->identity_count; i++) {
        free(engine->identities[i].name);
    }
    free(engine->identities);
    *live = (struct live){0};
}
