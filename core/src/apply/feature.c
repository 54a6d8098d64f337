/* SPDX-License-Identifier: Apache-2.0 */
/* Entity -> features: reading accumulators back.
 *
 * Enters:  the state bytes of one entity in the layout in force, and the query time.
 * Leaves:  a value tree in the engine's arena. State is not changed.
 *
 * A window is folded once per read, whatever the number of features that look at it.
 */
#include "apply/apply.h"

/* Folded rows of the groups that were needed so far. */
struct folded {
    void **rows; /* per group; NULL until folded */
};

static void *
fold(struct engine *engine, const struct plan_group *group, const uint8_t *state)
{
    void *row = arena_alloc(&engine->arena, group->shape.row_size);

    BV_ASSERT(row != NULL);
    window_fold(row, (const struct window_head *)(const void *)(state + group->head_offset),
                &group->shape, engine->now_ms, NULL, &engine->heap.heap);
    return row;
}

static struct value
read_feature(struct engine *engine, const struct live_table *table, const uint8_t *state,
             const struct plan_feature *feature, struct folded *folded)
{
    const struct plan_group *group = &table->layout->groups[feature->group];
    const uint8_t *base = state;
    struct value out = value_null();

    if (feature->is_blind) {
        return feature->empty;
    }
    if (group->window_ms != 0) {
        if (folded->rows[feature->group] == NULL) {
            folded->rows[feature->group] = fold(engine, group, state);
        }
        base = folded->rows[feature->group];
    }
    struct agg_reading reading = {
        .params = feature->params,
        .query_ms = engine->now_ms,
        .window_ms = feature->window_ms,
        .heap = &engine->heap.heap,
    };

    for (unsigned i = 0; i < feature->op->use_count; i++) {
        const struct plan_step *step = &group->steps[feature->steps[i]];

        reading.accumulators[i] = step->accumulator;
        reading.states[i] = base + step->offset;
        reading.configs[i] = step->config;
    }
    feature->op->read(&out, &reading, &engine->arena);
    return out;
}

static struct folded
begin(struct engine *engine, const struct live_table *table)
{
    const size_t size = (table->layout->group_count + 1) * sizeof(void *);
    struct folded folded = {arena_alloc(&engine->arena, size)};

    BV_ASSERT(folded.rows != NULL);
    memset(folded.rows, 0, size);
    return folded;
}

struct value
feature_value(struct engine *engine, struct live_table *table, const void *state, uint32_t index)
{
    struct folded folded = begin(engine, table);

    return read_feature(engine, table, state, &table->plan->features[index], &folded);
}

/* selection: ascending indexes; NULL: every feature. */
struct value
feature_row(struct engine *engine, struct live_table *table, const void *state,
            const uint32_t *selection, uint32_t selection_count)
{
    struct folded folded = begin(engine, table);
    const uint32_t count = selection == NULL ? table->plan->feature_count : selection_count;
    struct value_member *members = arena_alloc(&engine->arena, (count + 1) * sizeof *members);

    BV_ASSERT(members != NULL);
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_feature *feature =
            &table->plan->features[selection == NULL ? i : selection[i]];

        members[i].key = value_str(feature->name);
        members[i].value = read_feature(engine, table, state, feature, &folded);
    }
    return (struct value){.as.members = members, .length = count, .kind = VALUE_MAP};
}
