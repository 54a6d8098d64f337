/* SPDX-License-Identifier: Apache-2.0 */
/* Sharing: one accumulator for all features of a table that can read it.
 *
 * Enters:  a resolved table and, after an additive change, the plan it had.
 * Leaves:  the groups and steps of its layout, and for each feature where it reads.
 *
 * Three rounds over the features decide, and their order matters:
 *   1. what was there before takes the accumulators it had: another choice would lose its past;
 *   2. features with one possible accumulator per use;
 *   3. features with a choice (mean reads sums or moments) take what is there by now.
 *
 * An accumulator's identity is text: name, inputs with their types, predicate, parameters, and,
 * when it was added to a table that was there already, the registry version that added it: a new
 * feature starts empty (wire.md V37), so it shares only with what is as new as itself. Identities
 * are compared within a table and over schema changes, so they must not mention a node's number.
 */
#include "plan/share.h"

#include "util/assert.h"
#include "wire/json.h"

/* Features of one table; a resolved table never has more (wire.md bounds payloads at 4 MiB). */
struct share {
    const struct resolved_table *table;
    const struct expr_graph *graph;
    struct plan_layout *layout;
    uint64_t since; /* version that adds to a table that was there; 0: the table is new */
    bool is_restored;
    uint32_t group_capacity;
    uint32_t *step_capacities; /* per group */
    struct buf text;
    struct bv_error *err;
};

static enum bv_status
no_memory(struct share *share)
{
    return bv_error_set(share->err, BV_NO_MEMORY, "plan of a table");
}

/* A larger copy in the arena; what it held before stays behind until the layout dies. */
static void *
grow(struct arena *arena, const void *old, size_t old_count, size_t new_count, size_t size)
{
    void *bytes = arena_alloc(arena, new_count * size);

    if (bytes != NULL && old_count != 0) {
        memcpy(bytes, old, old_count * size);
    }
    return bytes;
}

static enum bv_status
group_for(uint32_t *out, struct share *share, uint64_t window_ms)
{
    struct plan_layout *layout = share->layout;

    for (uint32_t i = 0; i < layout->group_count; i++) {
        if (layout->groups[i].window_ms == window_ms) {
            *out = i;
            return BV_OK;
        }
    }
    if (layout->group_count == share->group_capacity) {
        uint32_t capacity = share->group_capacity == 0 ? 4 : share->group_capacity * 2;
        struct plan_group *groups =
            grow(&layout->arena, layout->groups, layout->group_count, capacity, sizeof *groups);
        uint32_t *capacities = grow(&layout->arena, share->step_capacities, layout->group_count,
                                    capacity, sizeof *capacities);

        if (groups == NULL || capacities == NULL) {
            return no_memory(share);
        }
        layout->groups = groups;
        share->step_capacities = capacities;
        share->group_capacity = capacity;
    }
    layout->groups[layout->group_count] = (struct plan_group){.window_ms = window_ms};
    share->step_capacities[layout->group_count] = 0;
    *out = layout->group_count++;
    return BV_OK;
}

/* The parameters that shape the state, in the layout's arena. */
static enum bv_status
prepare_config(struct plan_step *out, struct share *share, const struct resolved_feature *feature)
{
    const struct agg_accumulator *accumulator = out->accumulator;

    out->config_size = accumulator->config_size_of != NULL
                           ? accumulator->config_size_of(feature->params)
                           : accumulator->config_size;
    if (out->config_size == 0) {
        return BV_OK;
    }
    void *config = arena_alloc(&share->layout->arena, out->config_size);

    if (config == NULL) {
        return no_memory(share);
    }
    memset(config, 0, out->config_size);
    const enum bv_status status = accumulator->configure(config, feature->params, share->err);

    if (status == BV_OK && accumulator->configure_types != NULL) {
        accumulator->configure_types(config, out->input_types);
    }
    out->config = config;
    return status;
}

/* The step as it would be added: identity in share->text, config in the layout's arena. */
static enum bv_status
describe(struct plan_step *out, struct share *share, const struct resolved_feature *feature,
         const struct agg_use *use, const struct agg_accumulator *accumulator)
{
    *out = (struct plan_step){.accumulator = accumulator};
    out->predicate = use->scope == AGG_EVERY ? EXPR_NODE_NONE : feature->where;
    out->is_judged = use->scope == AGG_JUDGED;
    out->sees_window = (accumulator->flags & AGG_SEES_WINDOW) != 0 && feature->window_ms != 0;
    buf_clear(&share->text);
    buf_text(&share->text, accumulator->name);
    for (unsigned i = 0; i < AGG_INPUTS_MAX; i++) {
        out->inputs[i] = EXPR_NODE_NONE;
        if (i < accumulator->input_count) {
            out->inputs[i] = feature->inputs[i];
            out->input_types[i] = feature->input_types[i];
            buf_byte(&share->text, i == 0 ? '(' : ',');
            expr_graph_text(&share->text, share->graph, feature->inputs[i]);
            buf_printf(&share->text, ":%s", field_type_name(feature->input_types[i]));
        }
    }
    if (accumulator->input_count != 0) {
        buf_byte(&share->text, ')');
    }
    if (out->predicate != EXPR_NODE_NONE) {
        buf_text(&share->text, out->is_judged ? " judged " : " where ");
        expr_graph_text(&share->text, share->graph, out->predicate);
    }
    enum bv_status status = prepare_config(out, share, feature);

    if (status != BV_OK) {
        return status;
    }
    if (out->config_size != 0) {
        const uint8_t *config = out->config;

        buf_text(&share->text, " with ");
        for (unsigned i = 0; i < out->config_size; i++) {
            buf_printf(&share->text, "%02x", config[i]);
        }
    }
    if (share->since != 0) {
        buf_printf(&share->text, " since %llu", (unsigned long long)share->since);
    }
    out->identity = buf_slice(&share->text);
    return share->text.failed ? no_memory(share) : BV_OK;
}

static uint32_t
find_step(const struct plan_group *group, struct slice identity)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        if (slice_equal(group->steps[i].identity, identity)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* FNV-1a (Fowler, Noll, Vo): what draws from a record's seed is told apart by it, and it has to be
 * the same after a restart. */
static uint64_t
salt_of(struct slice table, struct slice identity)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < table.size + identity.size; i++) {
        hash ^= i < table.size ? table.data[i] : identity.data[i - table.size];
        hash *= 0x100000001b3u;
    }
    return hash;
}

static enum bv_status
add_step(uint32_t *out, struct share *share, uint32_t group_index, struct plan_step *step)
{
    struct plan_group *group = &share->layout->groups[group_index];
    struct arena *arena = &share->layout->arena;
    uint32_t *capacity = &share->step_capacities[group_index];

    if (group->step_count == PLAN_STEPS_MAX) {
        return bv_error_set(share->err, BV_INVALID_REGISTRATION,
                            "a table keeps more than %u accumulators; split it", PLAN_STEPS_MAX);
    }
    if (group->step_count == *capacity) {
        uint32_t larger = *capacity == 0 ? 4 : *capacity * 2;
        struct plan_step *steps =
            grow(arena, group->steps, group->step_count, larger, sizeof *steps);

        if (steps == NULL) {
            return no_memory(share);
        }
        group->steps = steps;
        *capacity = larger;
    }
    step->identity.data = arena_copy(arena, step->identity.data, step->identity.size);
    if (step->identity.data == NULL) {
        return no_memory(share);
    }
    step->size = step->accumulator->state_size(step->config, step->input_types[0]);
    step->salt = salt_of(share->table->name, step->identity);
    group->steps[group->step_count] = *step;
    *out = group->step_count++;
    return BV_OK;
}

bool
share_former(struct plan_former_table *out, const struct plan_table *table, struct arena *arena)
{
    *out = (struct plan_former_table){.name = table->name};
    out->features = arena_alloc(arena, (table->feature_count + 1) * sizeof *out->features);
    if (out->features == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < table->feature_count; i++) {
        const struct plan_feature *feature = &table->features[i];
        struct plan_former_feature *former = &out->features[out->feature_count];

        if (feature->is_blind) {
            continue; /* it read nothing */
        }
        *former = (struct plan_former_feature){
            feature->name, feature->op, feature->window_ms, feature->op->use_count, {{NULL, 0}}};
        for (unsigned k = 0; k < feature->op->use_count; k++) {
            former->identities[k] =
                table->layout->groups[feature->group].steps[feature->steps[k]].identity;
        }
        out->feature_count++;
    }
    return true;
}

/* What the feature read before the change, NULL when it is new. */
static const struct plan_former_feature *
former_feature(const struct plan_former_table *before, const struct resolved_feature *feature)
{
    if (before == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < before->feature_count; i++) {
        const struct plan_former_feature *old = &before->features[i];

        if (slice_equal(old->name, feature->name) && old->use_count == feature->op->use_count &&
            (old->op == NULL || (old->op == feature->op && old->window_ms == feature->window_ms))) {
            return old;
        }
    }
    return NULL;
}

/* The accumulator that an identity begins with; NULL when it is none that serves this use. */
static const struct agg_accumulator *
accumulator_of(const struct agg_use *use, struct slice identity)
{
    for (size_t i = 0; i < 4 && use->any_of[i] != NULL; i++) {
        const struct slice name = slice_text(use->any_of[i]->name);

        if (identity.size >= name.size && memcmp(identity.data, name.data, name.size) == 0 &&
            (identity.size == name.size || identity.data[name.size] == '(' ||
             identity.data[name.size] == ' ')) {
            return use->any_of[i];
        }
    }
    return NULL;
}

/* What was there keeps its accumulator, under the identity it had. */
static enum bv_status
place_former(struct plan_feature *out, struct share *share, const struct resolved_feature *feature,
             struct slice identity, unsigned use_index)
{
    struct plan_step step;
    const struct agg_use *use = &feature->op->uses[use_index];
    const struct agg_accumulator *accumulator = accumulator_of(use, identity);

    if (accumulator == NULL) {
        return bv_error_set(share->err, BV_CORRUPT, "feature %s cannot read \"%s\"",
                            bv_error_quote(feature->name), bv_error_quote(identity));
    }
    enum bv_status status = describe(&step, share, feature, use, accumulator);

    if (status != BV_OK) {
        return status;
    }
    step.identity = identity;
    out->steps[use_index] = find_step(&share->layout->groups[out->group], step.identity);
    return out->steps[use_index] != UINT32_MAX
               ? BV_OK
               : add_step(&out->steps[use_index], share, out->group, &step);
}

static enum bv_status
place_use(struct plan_feature *out, struct share *share, const struct resolved_feature *feature,
          const struct plan_former_feature *former, unsigned use_index)
{
    const struct agg_use *use = &feature->op->uses[use_index];
    struct plan_step step;
    enum bv_status status = BV_OK;

    if (former != NULL) {
        return place_former(out, share, feature, former->identities[use_index], use_index);
    }
    for (size_t i = 0; i < 4 && use->any_of[i] != NULL; i++) {
        status = describe(&step, share, feature, use, use->any_of[i]);
        if (status != BV_OK) {
            return status;
        }
        out->steps[use_index] = find_step(&share->layout->groups[out->group], step.identity);
        if (out->steps[use_index] != UINT32_MAX) {
            return BV_OK;
        }
    }
    status = describe(&step, share, feature, use, use->any_of[0]);
    return status == BV_OK ? add_step(&out->steps[use_index], share, out->group, &step) : status;
}

static enum bv_status
place_feature(struct plan_feature *out, struct share *share, const struct resolved_feature *feature,
              const struct plan_former_table *before)
{
    const struct plan_former_feature *former = former_feature(before, feature);
    const bool is_lifetime = feature->op->window == AGG_WINDOW_PARAMETER;
    enum bv_status status = group_for(&out->group, share, is_lifetime ? 0 : feature->window_ms);

    if (former == NULL && share->is_restored) {
        return bv_error_set(share->err, BV_CORRUPT, "table %s: feature %s is not listed",
                            bv_error_quote(share->table->name), bv_error_quote(feature->name));
    }

    for (unsigned i = 0; status == BV_OK && i < feature->op->use_count; i++) {
        status = place_use(out, share, feature, former, i);
    }
    return status;
}

static bool
has_choice(const struct agg_op *op)
{
    for (unsigned i = 0; i < op->use_count; i++) {
        if (op->uses[i].any_of[1] != NULL) {
            return true;
        }
    }
    return false;
}

static unsigned
round_of(const struct plan_former_table *before, const struct resolved_feature *feature)
{
    if (former_feature(before, feature) != NULL) {
        return 0;
    }
    return has_choice(feature->op) ? 2 : 1;
}

/* What a feature without its column reads: the row's documented empty value. */
static struct value
empty_value(const char *text, struct arena *arena)
{
    struct value value;

    return json_parse(&value, slice_text(text), 4, arena, NULL) == BV_OK ? value : value_null();
}

/* The same where it depends on the parameters: what the operator reads of a state that has seen
 * nothing. */
static enum bv_status
initial_value(struct value *out, struct share *share, const struct resolved_feature *feature,
              struct arena *arena)
{
    struct agg_reading reading = {.params = feature->params, .window_ms = feature->window_ms};
    struct plan_step step = {.accumulator = feature->op->uses[0].any_of[0]};
    const enum bv_status status = prepare_config(&step, share, feature);

    if (status != BV_OK) {
        return status;
    }
    void *state =
        arena_alloc(arena, step.accumulator->state_size(step.config, step.input_types[0]));

    if (state == NULL) {
        return no_memory(share);
    }
    step.accumulator->init(state, step.config);
    reading.accumulators[0] = step.accumulator;
    reading.states[0] = state;
    reading.configs[0] = step.config;
    feature->op->read(out, &reading, arena);
    return BV_OK;
}

enum bv_status
share_table(struct plan_table *out, const struct resolved_table *table,
            const struct expr_graph *graph, const struct plan_former_table *before,
            bool is_restored, uint64_t version, struct arena *arena, struct bv_error *err)
{
    struct share share = {.table = table,
                          .graph = graph,
                          .layout = out->layout,
                          .since = before == NULL ? 0 : version,
                          .is_restored = is_restored,
                          .err = err};
    uint32_t lifetime;
    enum bv_status status = BV_OK;

    buf_init(&share.text);
    out->feature_count = (uint32_t)table->feature_count;
    out->features = arena_alloc(arena, sizeof *out->features * (table->feature_count + 1));
    if (out->features == NULL) {
        status = no_memory(&share);
        goto done;
    }
    status = group_for(&lifetime, &share, 0);
    for (uint32_t i = 0; status == BV_OK && i < out->feature_count; i++) {
        const struct resolved_feature *feature = &table->features[i];

        out->features[i] = (struct plan_feature){.name = feature->name,
                                                 .op = feature->op,
                                                 .params = feature->params,
                                                 .window_ms = feature->window_ms};
        for (unsigned k = 0; k < feature->input_count; k++) {
            out->features[i].is_blind |= feature->inputs[k] == EXPR_NODE_NONE;
        }
        if (out->features[i].is_blind && feature->op->empty_varies) {
            status = initial_value(&out->features[i].empty, &share, feature, arena);
        } else if (out->features[i].is_blind) {
            out->features[i].empty = empty_value(feature->op->empty, arena);
        }
    }
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; status == BV_OK && i < out->feature_count; i++) {
            if (!out->features[i].is_blind && round_of(before, &table->features[i]) == round) {
                status = place_feature(&out->features[i], &share, &table->features[i], before);
            }
        }
    }
done:
    buf_deinit(&share.text);
    return status;
}
