/* SPDX-License-Identifier: Apache-2.0 */
/* Memory governance (operators.md 4.2, step A): an operator that keeps a number of values must say
 * how many, and an operator that nobody knows cannot promise anything.
 *
 * Enters:  the raw nodes, whose shape nobody has looked at yet.
 * Leaves:  at most one error.
 *
 * A feature with any window string is passed over: its panes bound what it keeps.
 */
#include <stdlib.h>

#include "agg/op.h"
#include "registry/draft.h"
#include "registry/list.h"

/* The parameter that bounds an operator's memory. By name, because the rule also speaks of
 * operators that this build does not have. */
static const struct {
    const char *op;
    const char *param;
} bounds[] = {
    {"first_n", "n"},           {"last_n", "n"},        {"lag", "n"},
    {"time_since_last_n", "n"}, {"most_recent_n", "n"}, {"reservoir_sample", "samples"},
    {"histogram", "buckets"},
};

static int
compare_members(const void *a, const void *b)
{
    const struct value_member *const *left = a;
    const struct value_member *const *right = b;
    int order = slice_compare(value_slice(&(*left)->key), value_slice(&(*right)->key));

    /* Of a repeated name the last counts; both lie in one array. */
    return order != 0 ? order : (*left > *right) - (*left < *right);
}

static const char *
bound_of(struct slice op)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (slice_equal(op, slice_text(bounds[i].op))) {
            return bounds[i].param;
        }
    }
    return NULL;
}

static bool
is_bound(const struct value *v)
{
    return v != NULL &&
           ((v->kind == VALUE_I64 && v->as.i64 > 0) || (v->kind == VALUE_LIST && v->length > 0));
}

/* One group_by while its features are looked at. */
struct site {
    const struct value *node, *op;
    uint32_t node_index, op_index;
};

/* Only for a refusal: a node may have any number of members to search for its name. */
static void
path_of_feature(struct report *report, const struct site *site, struct slice feature)
{
    const struct value *name = value_find(site->node, "name");

    report_path(report, "nodes[%u].", site->node_index);
    if (name != NULL && name->kind == VALUE_STR && name->length > 0) {
        report_path_append(report, "%s.", bv_error_quote(value_slice(name)));
    }
    report_path_append(report, "ops[%u].agg.%s", site->op_index, bv_error_quote(feature));
}

/* The check of one feature: false when it is refused. */
static bool
check_feature(const struct site *site, struct slice feature, const struct value *spec,
              struct report *report)
{
    const struct value *name = value_find(spec, "op");
    const struct value *params = value_find(spec, "params");
    const struct value *window = params == NULL ? NULL : value_find(params, "window");

    if (name == NULL || name->kind != VALUE_STR || (window != NULL && window->kind == VALUE_STR)) {
        return true;
    }
    struct slice op = value_slice(name);
    const char *param = bound_of(op);

    if (param != NULL && (params == NULL || !is_bound(value_find(params, param)))) {
        path_of_feature(report, site, feature);
        report_hint(report, "give \"%s\", or windowed=\"60s\"", param);
        report_error(report, BV_UNBOUNDED_OP, "unbounded",
                     "`%s` requires explicit memory bound in v0: give `%s`, or a window "
                     "(windowed=\"60s\")",
                     bv_error_quote(op), param);
        return false;
    }
    if (agg_op_find(op) == NULL) {
        const char *near = agg_op_suggest(op);

        path_of_feature(report, site, feature);
        if (near != NULL) {
            report_hint(report, "did you mean \"%s\"?", near);
        }
        report_error(report, BV_UNBOUNDED_OP, "unknown_op",
                     "`%s` requires explicit memory bound in v0: it is no operator of this server, "
                     "so neither `%s` nor anything else (windowed=\"60s\") is known to bound it",
                     bv_error_quote(op), param == NULL ? "n" : param);
        return false;
    }
    return true;
}

/* Features in ascending order. False when one is refused or memory is spent. */
static bool
check_op(const struct site *site, struct report *report)
{
    const struct value *agg = value_find(site->op, "agg");

    if (agg == NULL || agg->kind != VALUE_MAP) {
        return true;
    }
    const struct value_member **sorted = list_of(report->arena, agg->length, sizeof(void *));

    if (sorted == NULL) {
        report->is_out_of_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < agg->length; i++) {
        sorted[i] = &agg->as.members[i];
    }
    qsort(sorted, agg->length, sizeof sorted[0], compare_members);
    for (uint32_t i = 0; i < agg->length; i++) {
        struct slice name = value_slice(&sorted[i]->key);

        if (i + 1 < agg->length && slice_equal(name, value_slice(&sorted[i + 1]->key))) {
            continue;
        }
        if (!check_feature(site, name, &sorted[i]->value, report)) {
            return false;
        }
    }
    return true;
}

bool
governance_check(const struct value *nodes, struct report *report)
{
    for (uint32_t i = 0; i < nodes->length; i++) {
        const struct value *node = &nodes->as.items[i];
        const struct value *kind = value_find(node, "kind");
        const struct value *ops = value_find(node, "ops");

        if (kind == NULL || kind->kind != VALUE_STR || ops == NULL || ops->kind != VALUE_LIST ||
            !slice_equal(value_slice(kind), slice_text("derivation"))) {
            continue;
        }
        for (uint32_t j = 0; j < ops->length; j++) {
            const struct site site = {
                .node = node, .op = &ops->as.items[j], .node_index = i, .op_index = j};

            if (!check_op(&site, report)) {
                return !report->is_out_of_memory;
            }
        }
    }
    return true;
}
