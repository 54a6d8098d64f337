/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the ops of a derivation over the columns of its input.
 *
 * Enters:  the columns of the upstream and canonical ops.
 * Leaves:  the columns of the output, nodes of one graph, and the filters on the way.
 * Owner:   whoever resolves a registry; names and columns live in its arena.
 *
 * Invariants
 *   (1) A name stands in `names` once; its column is the one at that index, if it is live.
 *   (2) Every live column's node belongs to `graph`; an absent column's is the literal null.
 *   (3) Ops never change a shared chain: chain_copy comes first.
 */
#include "registry/chain.h"

#include "registry/list.h"
#include "util/assert.h"
#include "wire/json.h"

/* One op being applied. */
struct step {
    struct chain *chain;
    struct report *report;
    size_t node_index;
    size_t op_index;
};

void
chain_init(struct chain *chain, struct arena *arena, struct expr_graph *graph, size_t source)
{
    *chain = (struct chain){.arena = arena, .graph = graph, .source = source};
    names_init(&chain->names, arena);
}

const struct chain_column *
chain_find(const struct chain *chain, struct slice name)
{
    uint32_t at = names_find(&chain->names, name);

    return at != NAMES_NONE && chain->columns[at].is_live ? &chain->columns[at] : NULL;
}

bool
chain_put(struct chain *chain, const struct expr_column *column, bool is_absent)
{
    uint32_t at = names_find(&chain->names, column->name);

    if (at == NAMES_NONE) {
        struct chain_column *columns = list_room(chain->arena, chain->columns, chain->count,
                                                 &chain->capacity, sizeof *columns);

        if (columns == NULL || !names_put(&chain->names, column->name, (uint32_t)chain->count)) {
            return false;
        }
        chain->columns = columns;
        at = (uint32_t)chain->count++;
    }
    chain->columns[at] =
        (struct chain_column){.column = *column, .is_live = true, .is_absent = is_absent};
    return true;
}

bool
chain_copy(struct chain *out, const struct chain *chain)
{
    chain_init(out, chain->arena, chain->graph, chain->source);
    out->is_broken = chain->is_broken;
    for (size_t i = 0; i < chain->count; i++) {
        const struct chain_column *column = &chain->columns[i];

        if (column->is_live && !chain_put(out, &column->column, column->is_absent)) {
            return false;
        }
    }
    out->filters = list_of(chain->arena, chain->filter_count, sizeof *out->filters);
    if (out->filters == NULL) {
        return false;
    }
    if (chain->filter_count > 0) {
        memcpy(out->filters, chain->filters, chain->filter_count * sizeof *out->filters);
    }
    out->filter_count = chain->filter_count;
    out->filter_capacity = chain->filter_count;
    return true;
}

/* ---- expressions over a chain ---- */

struct lookup {
    const struct chain *chain;
    size_t *absent_reads;
};

static const struct expr_column *
lookup_find(const struct expr_scope *scope, struct slice name)
{
    const struct lookup *lookup = scope->context;
    const struct chain_column *column = chain_find(lookup->chain, name);

    if (column == NULL) {
        return NULL;
    }
    *lookup->absent_reads += column->is_absent;
    return &column->column;
}

enum bv_status
chain_compile(struct expr_result *out, const struct chain *chain, struct slice text,
              enum expr_mode mode, enum expr_failure *failure, size_t *absent_reads,
              struct buf *warnings, struct bv_error *err)
{
    struct lookup lookup = {.chain = chain, .absent_reads = absent_reads};
    struct expr_scope scope = {.find = lookup_find, .context = &lookup};

    *failure = EXPR_FAILURE_NONE;
    *absent_reads = 0;
    return expr_compile(out, chain->graph, text, &scope, mode, failure, warnings, err);
}

void
chain_hint(const struct chain *chain, struct slice name, struct report *report)
{
    struct slice near;

    if (report_has_room(report) && names_nearest(&near, &chain->names, name) &&
        chain_find(chain, near) != NULL) {
        report_hint(report, "did you mean \"%s\"?", bv_error_quote(near));
    }
}

/* ---- findings ---- */

static bool
refuse_field(struct step *step, struct slice name)
{
    step->chain->is_broken = true;
    report_path(step->report, "nodes[%zu].ops[%zu].expr", step->node_index, step->op_index);
    chain_hint(step->chain, name, step->report);
    report_error(step->report, BV_INVALID_EXPRESSION, "unknown_field",
                 "unknown field '%s' at this step of the chain", bv_error_quote(name));
    return true;
}

static bool
refuse_collision(struct step *step, struct slice name, const char *why)
{
    step->chain->is_broken = true;
    report_path(step->report, "nodes[%zu].ops[%zu].mapping", step->node_index, step->op_index);
    report_error(step->report, BV_INVALID_EXPRESSION, "rename_collision",
                 "rename collision: '%s' %s", bv_error_quote(name), why);
    return true;
}

/* A node could not be added: the graph is full (a refusal), or memory is spent (false). */
static bool
refuse_node(struct step *step)
{
    if (expr_graph_node_count(step->chain->graph) < EXPR_NODES_MAX) {
        return false;
    }
    step->chain->is_broken = true;
    report_path(step->report, "nodes[%zu].ops[%zu]", step->node_index, step->op_index);
    report_error(step->report, BV_INVALID_EXPRESSION, "too_many_expressions",
                 "the expressions of one event source exceed %d nodes", EXPR_NODES_MAX);
    return true;
}

static bool
step_compile(struct step *step, struct expr_result *out, struct slice text)
{
    static const char *const details[] = {"expression", "expression_parse", "unknown_field",
                                          "expression_type"};
    struct bv_error err = {0};
    enum expr_failure failure;
    size_t absent_reads;
    enum bv_status status =
        chain_compile(out, step->chain, text, EXPR_CHAIN, &failure, &absent_reads, NULL, &err);

    if (status == BV_NO_MEMORY) {
        return false;
    }
    bool is_text = failure == EXPR_FAILURE_PARSE || failure == EXPR_FAILURE_FIELD;

    report_path(step->report, "nodes[%zu].ops[%zu]%s", step->node_index, step->op_index,
                status == BV_OK || is_text ? ".expr" : "");
    if (status != BV_OK) {
        step->chain->is_broken = true;
        report_hint(step->report, "%s", err.hint);
        report_error(step->report, BV_INVALID_EXPRESSION, details[failure], "%s", err.message);
    } else if (absent_reads > 0) {
        report_warning(step->report, "the expression reads a column that rows of this source "
                                     "never have: it is null");
    }
    return true;
}

/* ---- the ops; each returns false when memory is spent ---- */

static bool
apply_filter(struct step *step, const struct value *expr)
{
    struct chain *chain = step->chain;
    struct expr_result result;

    if (!step_compile(step, &result, value_slice(expr))) {
        return false;
    }
    if (chain->is_broken) {
        return true;
    }
    if (result.type != FIELD_BOOL) {
        report_path(step->report, "nodes[%zu].ops[%zu].expr", step->node_index, step->op_index);
        report_warning(step->report,
                       "the filter is not a boolean expression: it lets nothing through");
    }
    uint32_t *filters = list_room(chain->arena, chain->filters, chain->filter_count,
                                  &chain->filter_capacity, sizeof *filters);

    if (filters == NULL) {
        return false;
    }
    chain->filters = filters;
    filters[chain->filter_count++] = result.node;
    return true;
}

static bool
apply_select(struct step *step, const struct value *fields)
{
    struct chain selected;

    chain_init(&selected, step->chain->arena, step->chain->graph, step->chain->source);
    for (uint32_t i = 0; i < fields->length; i++) {
        struct slice name = value_slice(&fields->as.items[i]);
        const struct chain_column *column = chain_find(step->chain, name);

        if (column == NULL) {
            return refuse_field(step, name);
        }
        if (!chain_put(&selected, &column->column, column->is_absent)) {
            return false;
        }
    }
    selected.filters = step->chain->filters;
    selected.filter_count = step->chain->filter_count;
    selected.filter_capacity = step->chain->filter_capacity;
    *step->chain = selected;
    return true;
}

static void
remove_column(struct chain *chain, struct slice name)
{
    uint32_t at = names_find(&chain->names, name);

    if (at != NAMES_NONE) {
        chain->columns[at].is_live = false;
    }
}

static bool
apply_drop(struct step *step, const struct value *fields)
{
    for (uint32_t i = 0; i < fields->length; i++) {
        struct slice name = value_slice(&fields->as.items[i]);

        if (chain_find(step->chain, name) == NULL) {
            return refuse_field(step, name);
        }
    }
    for (uint32_t i = 0; i < fields->length; i++) {
        remove_column(step->chain, value_slice(&fields->as.items[i]));
    }
    return true;
}

/* All removals first, then the inserts: names may be swapped. */
static bool
apply_rename(struct step *step, const struct value *mapping)
{
    struct chain *chain = step->chain;
    struct chain_column *moved = list_of(chain->arena, mapping->length, sizeof *moved);

    if (moved == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < mapping->length; i++) {
        struct slice old = value_slice(&mapping->as.members[i].key);
        const struct chain_column *column = chain_find(chain, old);

        if (column == NULL) {
            return refuse_field(step, old);
        }
        moved[i] = *column;
    }
    for (uint32_t i = 0; i < mapping->length; i++) {
        remove_column(chain, moved[i].column.name);
    }
    for (uint32_t i = 0; i < mapping->length; i++) {
        struct slice name = value_slice(&mapping->as.members[i].value);

        /* What is live now was there before or was just inserted: both collide. */
        if (chain_find(chain, name) != NULL) {
            return refuse_collision(step, name,
                                    "is the new name of two columns, or of one that stays");
        }
        moved[i].column.name = name;
        if (!chain_put(chain, &moved[i].column, moved[i].is_absent)) {
            return false;
        }
    }
    return true;
}

static bool
apply_with_columns(struct step *step, const struct value *exprs)
{
    for (uint32_t i = 0; i < exprs->length; i++) {
        const struct value_member *member = &exprs->as.members[i];
        struct expr_result result;

        if (!step_compile(step, &result, value_slice(&member->value))) {
            return false;
        }
        if (step->chain->is_broken) {
            return true;
        }
        struct expr_column column = {
            .name = value_slice(&member->key),
            .type = result.type == EXPR_TYPE_NULL ? FIELD_STR : result.type,
            .node = result.node,
        };

        if (!chain_put(step->chain, &column, false)) {
            return false;
        }
    }
    return true;
}

static bool
cast_target(enum field_type *out, struct slice name)
{
    static const struct {
        const char *name;
        enum field_type type;
    } targets[] = {
        {"str", FIELD_STR}, {"int", FIELD_I64}, {"float", FIELD_F64}, {"bool", FIELD_BOOL}};

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (slice_equal(name, slice_text(targets[i].name))) {
            *out = targets[i].type;
            return true;
        }
    }
    return false;
}

static bool
refuse_cast(struct step *step, struct slice field, struct slice target, bool is_bytes)
{
    step->chain->is_broken = true;
    report_path(step->report, "nodes[%zu].ops[%zu]", step->node_index, step->op_index);
    if (is_bytes) {
        report_error(step->report, BV_INVALID_EXPRESSION, "cast_source",
                     "cast of '%s': a bytes column cannot be cast", bv_error_quote(field));
    } else {
        report_error(step->report, BV_INVALID_EXPRESSION, "cast_target",
                     "cast of '%s': '%s' is not one of str, int, float, bool",
                     bv_error_quote(field), bv_error_quote(target));
    }
    return true;
}

static bool
apply_cast(struct step *step, const struct value *types)
{
    for (uint32_t i = 0; i < types->length; i++) {
        struct slice name = value_slice(&types->as.members[i].key);
        struct slice target = value_slice(&types->as.members[i].value);
        const struct chain_column *found = chain_find(step->chain, name);
        enum field_type type;

        if (found == NULL) {
            return refuse_field(step, name);
        }
        if (!cast_target(&type, target) || found->column.type == FIELD_BYTES) {
            return refuse_cast(step, name, target, found->column.type == FIELD_BYTES);
        }
        struct chain_column column = *found;

        column.column.type = (int)type;
        column.column.node = expr_graph_cast(step->chain->graph, column.column.node, type);
        if (column.column.node == EXPR_NODE_NONE) {
            return refuse_node(step);
        }
        if (!chain_put(step->chain, &column.column, column.is_absent)) {
            return false;
        }
    }
    return true;
}

static bool
apply_fillna(struct step *step, const struct value *defaults)
{
    for (uint32_t i = 0; i < defaults->length; i++) {
        struct slice name = value_slice(&defaults->as.members[i].key);
        const struct value *scalar = &defaults->as.members[i].value;
        const struct chain_column *found = chain_find(step->chain, name);

        if (found == NULL) {
            return refuse_field(step, name);
        }
        struct chain_column column = *found;

        column.column.is_optional = false;
        if (scalar->kind != VALUE_NULL) {
            column.column.node = expr_graph_fill(step->chain->graph, column.column.node, scalar);
            column.is_absent = false;
        }
        if (column.column.node == EXPR_NODE_NONE) {
            return refuse_node(step);
        }
        if (!chain_put(step->chain, &column.column, column.is_absent)) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *op;
    const char *member;
    bool (*apply)(struct step *step, const struct value *body);
} steps[] = {
    {"filter", "expr", apply_filter},
    {"select", "fields", apply_select},
    {"drop", "fields", apply_drop},
    {"rename", "mapping", apply_rename},
    {"with_columns", "exprs", apply_with_columns},
    {"cast", "type_map", apply_cast},
    {"fillna", "defaults", apply_fillna},
};

bool
chain_apply(struct chain *chain, const struct value *ops, size_t op_count, size_t node_index,
            struct report *report)
{
    for (size_t i = 0; i < op_count && !chain->is_broken; i++) {
        struct step step = {
            .chain = chain, .report = report, .node_index = node_index, .op_index = i};
        struct slice name = value_slice(value_find(&ops[i], "op"));
        size_t k = 0;

        while (k < sizeof steps / sizeof steps[0] && !slice_equal(name, slice_text(steps[k].op))) {
            k++;
        }
        BV_ASSERT(k < sizeof steps / sizeof steps[0]); /* shape_op knows no other */
        if (!steps[k].apply(&step, value_find(&ops[i], steps[k].member))) {
            return false;
        }
    }
    return true;
}
