/* SPDX-License-Identifier: Apache-2.0 */
/* Entity -> features: reading accumulators back.
 *
 * Enters:  the state bytes of one entity in the layout in force, and the query time.
 * Leaves:  a value tree in the engine's arena. State is not changed.
 *
 * A window is folded once per read, whatever the number of features that look at it.
 *
 * Where the arena is spent a value is null; engine_dispatch sees that and refuses the whole read.
 */
#include "apply/apply.h"

/* Per group: the columns that the features asked for read, and their fold once it was made. */
struct folded {
    void **rows;
    uint64_t **wanted; /* a bit per step; NULL where no feature looks at the group */
};

static void *
fold(struct engine *engine, const struct plan_group *group, const uint64_t *wanted,
     const uint8_t *state)
{
    void *row = arena_alloc(&engine->arena, group->shape.row_size);

    if (row == NULL) {
        return NULL;
    }
    window_fold(row, (const struct window_head *)(const void *)(state + group->head_offset),
                &group->shape, engine->now_ms, wanted, &engine->heap.heap, &engine->arena);
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
            folded->rows[feature->group] =
                fold(engine, group, folded->wanted[feature->group], state);
        }
        base = folded->rows[feature->group];
        if (base == NULL) {
            return out;
        }
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

/* Marks the columns that the selected features read (NULL: all of them). False: no memory. */
static bool
begin(struct folded *out, struct engine *engine, const struct live_table *table,
      const uint32_t *selection, uint32_t count)
{
    const struct plan_layout *layout = table->layout;
    const size_t size = layout->group_count * sizeof(void *);
    struct folded folded = {arena_alloc(&engine->arena, size), arena_alloc(&engine->arena, size)};

    if (folded.rows == NULL || folded.wanted == NULL) {
        return false;
    }
    memset(folded.rows, 0, size);
    memset(folded.wanted, 0, size);
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_feature *feature =
            &table->plan->features[selection == NULL ? i : selection[i]];

        if (feature->is_blind || feature->group == 0) {
            continue;
        }
        uint64_t **wanted = &folded.wanted[feature->group];

        if (*wanted == NULL) {
            const size_t words = layout->groups[feature->group].step_count / 64 + 1;

            *wanted = arena_alloc(&engine->arena, words * sizeof **wanted);
            if (*wanted == NULL) {
                return false;
            }
            memset(*wanted, 0, words * sizeof **wanted);
        }
        for (unsigned k = 0; k < feature->op->use_count; k++) {
            (*wanted)[feature->steps[k] / 64] |= 1ull << (feature->steps[k] % 64);
        }
    }
    *out = folded;
    return true;
}

struct value
feature_value(struct engine *engine, struct live_table *table, const void *state, uint32_t index)
{
    struct folded folded;

    if (!begin(&folded, engine, table, &index, 1)) {
        return value_null();
    }
    return read_feature(engine, table, state, &table->plan->features[index], &folded);
}

/* selection: ascending indexes; NULL: every feature. */
struct value
feature_row(struct engine *engine, struct live_table *table, const void *state,
            const uint32_t *selection, uint32_t selection_count)
{
    const uint32_t count = selection == NULL ? table->plan->feature_count : selection_count;
    struct folded folded;
    struct value_member *members = arena_alloc(&engine->arena, (count + 1) * sizeof *members);

    if (members == NULL || !begin(&folded, engine, table, selection, count)) {
        return value_null();
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_feature *feature =
            &table->plan->features[selection == NULL ? i : selection[i]];

        members[i].key = value_str(feature->name);
        members[i].value = read_feature(engine, table, state, feature, &folded);
    }
    return (struct value){.as.members = members, .length = count, .kind = VALUE_MAP};
}
