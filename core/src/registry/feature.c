/* SPDX-License-Identifier: Apache-2.0 */
/* One feature: every reason to refuse it, then its place in the graph.
 *
 * Enters:  a canonical spec, the columns of its table, the operator's row.
 * Leaves:  a resolved feature, or one finding with the path of the parameter.
 *
 * All checks read the operator's row (agg/op.h): this file names no operator. The order is that of
 * the specification: durations, then columns, then counts, the window's rule, then the operator's
 * own parameters, the window's text, and the predicate last.
 */
#include "registry/feature.h"

#include <stdio.h>

#include "wire/number.h"

struct judge {
    const struct feature_site *site;
    struct slice name;
    const struct agg_op *op;
    const struct value *params; /* map */
};

/* nodes[I].ops[J].agg.FEATURE<suffix> */
static void
path_of(const struct judge *judge, const char *suffix, const char *param)
{
    const struct feature_site *site = judge->site;

    report_path(site->report, "nodes[%zu].ops[%zu].agg.%.80s%s%s", site->node_index, site->op_index,
                bv_error_quote(judge->name), suffix, param);
}

static const char *
type_name(const struct value *v)
{
    static const char *const names[] = {"null",     "a boolean", "an integer", "a number",
                                        "a string", "bytes",     "a list",     "an object"};

    return names[v->kind];
}

/* ---- parameters of the row; each check returns true when it refused ---- */

static bool
refuse_param(const struct judge *judge, const struct agg_param *param, const char *why)
{
    path_of(judge, ".params.", param->name);
    report_error(judge->site->report, param->refusal, "parameter", "`%s` parameter `%s` %s: %s",
                 judge->op->name, param->name, why, param->help);
    return true;
}

static bool
is_missing(const struct judge *judge, const struct agg_param *param, const struct value *v)
{
    return v == NULL && param->is_required && refuse_param(judge, param, "is required");
}

static bool
check_duration(const struct judge *judge, const struct agg_param *param)
{
    const struct value *v = value_find(judge->params, param->name);
    uint64_t ms;
    bool is_forever;

    if (v == NULL) {
        return is_missing(judge, param, v);
    }
    if (v->kind != VALUE_STR || !number_parse_duration(&ms, &is_forever, value_slice(v))) {
        return refuse_param(judge, param, "is not a duration like \"5m\"");
    }
    return is_forever && refuse_param(judge, param, "cannot be \"forever\"");
}

/* The column that this parameter names, where another name or a fallback may name it too. */
static const struct agg_column *
column_of(const struct judge *judge, const struct agg_param *param)
{
    for (unsigned i = 0; i < judge->op->input_count; i++) {
        const struct agg_column *column = &judge->op->columns[i];

        for (unsigned k = 0; k < 2 && column->params[k] != NULL; k++) {
            if (strcmp(column->params[k], param->name) == 0) {
                return column;
            }
        }
    }
    return NULL;
}

/* What a feature reads to which nothing contributes, as far as the row can say. */
static const char *
empty_text(const struct agg_op *op)
{
    return op->empty_varies ? "its empty value" : op->empty;
}

/* A column that is named some other way, or by its fallback, is fine; for each column the first of
 * its names speaks. */
static void
warn_unnamed(const struct judge *judge, const struct agg_param *param)
{
    const struct agg_column *column = column_of(judge, param);
    struct report *report = judge->site->report;

    if (column == NULL) {
        path_of(judge, "", "");
        report_warning(report, "`%s` without `%s` never has a value: it always reads %s",
                       judge->op->name, param->name, empty_text(judge->op));
        return;
    }
    if (strcmp(column->params[0], param->name) != 0 ||
        (column->params[1] != NULL && value_find(judge->params, column->params[1]) != NULL)) {
        return;
    }
    const struct chain_column *fallback =
        column->fallback == NULL ? NULL
                                 : chain_find(judge->site->chain, slice_text(column->fallback));

    if (fallback == NULL || fallback->is_absent) {
        path_of(judge, "", "");
        report_warning(report,
                       "`%s` without `%s` reads column '%s', which rows of this table never have: "
                       "it always reads %s",
                       judge->op->name, param->name,
                       column->fallback == NULL ? param->name : column->fallback, judge->op->empty);
    }
}

static bool
check_column(const struct judge *judge, const struct agg_param *param)
{
    const struct feature_site *site = judge->site;
    const struct value *v = value_find(judge->params, param->name);

    if (v == NULL) {
        if (is_missing(judge, param, v)) {
            return true;
        }
        warn_unnamed(judge, param);
        return false;
    }
    if (v->kind != VALUE_STR) {
        return refuse_param(judge, param, "must be the name of a column");
    }
    const struct chain_column *column = chain_find(site->chain, value_slice(v));

    path_of(judge, ".params.", param->name);
    if (column == NULL) {
        chain_hint(site->chain, value_slice(v), site->report);
        report_error(site->report, BV_AGG_UNKNOWN_FIELD, "unknown_field",
                     "`%s` reads unknown field '%s'", judge->op->name,
                     bv_error_quote(value_slice(v)));
        return true;
    }
    if (column->is_absent) {
        report_warning(site->report, "rows of this table never have column '%s': it reads as null",
                       bv_error_quote(value_slice(v)));
    } else if (((judge->op->output == AGG_OUTPUT_F64 && judge->op->input_count == 1 &&
                 !judge->op->reads_text) ||
                judge->op->reads_numbers) &&
               (column->column.type == FIELD_STR || column->column.type == FIELD_BOOL ||
                column->column.type == FIELD_BYTES)) {
        /* An operator of one column whose result is a float reads numbers, or its row says so. */
        report_warning(
            site->report, "`%s` reads numbers, column '%s' is of type %s: it always reads %s",
            judge->op->name, bv_error_quote(value_slice(v)),
            field_type_name((enum field_type)column->column.type), empty_text(judge->op));
    }
    return false;
}

static bool
check_bounded(const struct judge *judge, const struct agg_param *param)
{
    const struct value *v = value_find(judge->params, param->name);
    char why[160];
    double number;

    if (v == NULL) {
        return is_missing(judge, param, v);
    }
    if (param->type == AGG_PARAM_LIST) {
        if (v->kind != VALUE_LIST) {
            return refuse_param(judge, param, "must be a list");
        }
        const char *objection = param->objection == NULL ? NULL : param->objection(v);

        return objection != NULL && refuse_param(judge, param, objection);
    }
    if (param->type == AGG_PARAM_INT && v->kind != VALUE_I64) {
        return refuse_param(judge, param, "must be an integer");
    }
    if (!value_number(v, &number)) {
        return refuse_param(judge, param, "must be a number");
    }
    if (param->min > param->max || (number >= param->min && number <= param->max)) {
        return false;
    }
    (void)snprintf(why, sizeof why, "is %.17g and must lie in [%.17g, %.17g]", number, param->min,
                   param->max);
    return refuse_param(judge, param, why);
}

/* The parameters of one group of rows, in the order of the operator's row. */
enum group { GROUP_DURATION, GROUP_COLUMN, GROUP_COUNT, GROUP_OWN };

static enum group
group_of(const struct agg_param *param)
{
    switch (param->type) {
    case AGG_PARAM_DURATION:
        return GROUP_DURATION;
    case AGG_PARAM_FIELD:
        return GROUP_COLUMN;
    default:
        return param->refusal == BV_AGG_UNKNOWN_FIELD ? GROUP_COUNT : GROUP_OWN;
    }
}

static bool
check_group(const struct judge *judge, enum group group)
{
    for (unsigned i = 0; i < judge->op->param_count; i++) {
        const struct agg_param *param = &judge->op->params[i];

        if (group_of(param) != group) {
            continue;
        }
        if (group == GROUP_DURATION ? check_duration(judge, param)
            : group == GROUP_COLUMN ? check_column(judge, param)
                                    : check_bounded(judge, param)) {
            return true;
        }
    }
    return false;
}

/* The window of a feature, under the name it was given. */
static const struct value *
find_window(const struct judge *judge, const char **name)
{
    const struct value *window = value_find(judge->params, "window");

    *name = "window";
    if (window == NULL && judge->op->window_alias != NULL) {
        window = value_find(judge->params, judge->op->window_alias);
        *name = window == NULL ? *name : judge->op->window_alias;
    }
    return window;
}

static bool
check_window_rule(const struct judge *judge)
{
    const char *name;
    const struct value *window = find_window(judge, &name);

    path_of(judge, ".params.", name);
    if (judge->op->window == AGG_WINDOW_REFUSED && window != NULL) {
        report_hint(judge->site->report, "remove \"window\"");
        report_error(
            judge->site->report,
            judge->op->window_refusal == 0 ? BV_AGG_INVALID_WINDOW : judge->op->window_refusal,
            "window_refused", "`%s` is a lifetime operator: it takes no window", judge->op->name);
        return true;
    }
    if ((judge->op->window == AGG_WINDOW_REQUIRED || judge->op->window == AGG_WINDOW_PARAMETER) &&
        window == NULL) {
        report_error(judge->site->report, BV_AGG_INVALID_WINDOW, "window_required",
                     "`%s` requires a window like \"5m\"", judge->op->name);
        return true;
    }
    return false;
}

/* Row 6 to 18: what a replayed registration has passed before. */
static bool
is_refused(const struct judge *judge)
{
    if (names_find(judge->site->keys, judge->name) != NAMES_NONE) {
        path_of(judge, "", "");
        report_error(judge->site->report, BV_AGG_KEY_COLLIDES, "key_collision",
                     "feature '%s' has the name of a group key", bv_error_quote(judge->name));
        return true;
    }
    return check_group(judge, GROUP_DURATION) || check_group(judge, GROUP_COLUMN) ||
           check_group(judge, GROUP_COUNT) || check_window_rule(judge) ||
           check_group(judge, GROUP_OWN);
}

/* ---- window, predicate, inputs ---- */

/* True when refused. */
static bool
take_window(struct resolved_feature *out, const struct judge *judge)
{
    const char *name;
    const struct value *window = find_window(judge, &name);
    bool is_forever;

    out->window_ms = 0;
    if (window == NULL) {
        return false;
    }
    path_of(judge, ".params.", name);
    if (window->kind != VALUE_STR) {
        report_hint(judge->site->report, "write a duration like \"60s\"");
        report_error(judge->site->report, BV_AGG_INVALID_WINDOW, "window_type",
                     "window must be a string, got %s", type_name(window));
        return true;
    }
    if (!number_parse_duration(&out->window_ms, &is_forever, value_slice(window))) {
        report_hint(judge->site->report, "digits and one of ms, s, m, h, d, or \"forever\"");
        report_error(judge->site->report, BV_AGG_INVALID_WINDOW, "window_text",
                     "invalid window '%s'", bv_error_quote(value_slice(window)));
        return true;
    }
    out->window_ms = is_forever ? 0 : out->window_ms;
    return false;
}

static void
warn_lines(const struct judge *judge, const struct buf *lines)
{
    size_t start = 0;

    for (size_t i = 0; i <= lines->size; i++) {
        if (i < lines->size && lines->data[i] != '\n') {
            continue;
        }
        if (i > start) {
            path_of(judge, ".params.", "where");
            report_warning(judge->site->report, "%.*s", (int)(i - start),
                           (const char *)lines->data + start);
        }
        start = i + 1;
    }
}

/* False: memory is spent. */
static bool
compile_where(struct resolved_feature *out, bool *refused, const struct judge *judge,
              struct slice text)
{
    const struct feature_site *site = judge->site;
    struct bv_error err = {0};
    struct expr_result result;
    enum expr_failure failure;
    size_t absent_reads;
    struct buf lines;

    buf_init(&lines);
    enum bv_status status = chain_compile(&result, site->chain, text, EXPR_WHERE, &failure,
                                          &absent_reads, &lines, &err);

    if (status == BV_OK) {
        out->where = result.node;
        warn_lines(judge, &lines);
        if (absent_reads > 0) {
            path_of(judge, ".params.", "where");
            report_warning(site->report,
                           "where reads a column that rows of this table never have: it is null");
        }
    } else if (status != BV_NO_MEMORY) {
        static const char *const details[] = {"expression", "expression_parse", "unknown_field",
                                              "expression_type"};

        *refused = true;
        path_of(judge, ".params.", "where");
        report_hint(site->report, "%s", err.hint);
        report_error(site->report, BV_AGG_INVALID_WHERE, details[failure], "%s", err.message);
    }
    bool is_alive = status != BV_NO_MEMORY && !lines.failed;

    buf_deinit(&lines);
    return is_alive;
}

static bool
take_where(struct resolved_feature *out, bool *refused, const struct judge *judge)
{
    const struct value *where = value_find(judge->params, "where");

    out->where = EXPR_NODE_NONE;
    if (where == NULL) {
        return true;
    }
    if (where->kind != VALUE_STR) {
        *refused = true;
        path_of(judge, ".params.", "where");
        report_hint(judge->site->report, "write an expression like \"(amount > 100)\"");
        report_error(judge->site->report, BV_AGG_INVALID_WHERE, "where_type",
                     "where must be a string, got %s", type_name(where));
        return true;
    }
    return compile_where(out, refused, judge, value_slice(where));
}

/* The column's name as the spec gives it, or the row's fallback; false: none is named. */
static bool
name_input(struct slice *out, const struct judge *judge, unsigned input)
{
    const struct agg_column *column = &judge->op->columns[input];
    const struct value *v = NULL;
    unsigned rank = 0;

    if (column->params[0] != NULL) {
        for (unsigned i = 0; i < 2 && v == NULL && column->params[i] != NULL; i++) {
            v = value_find(judge->params, column->params[i]);
        }
    } else {
        for (unsigned i = 0; i < judge->op->param_count && v == NULL; i++) {
            if (judge->op->params[i].type == AGG_PARAM_FIELD && rank++ == input) {
                v = value_find(judge->params, judge->op->params[i].name);
            }
        }
    }
    if (v != NULL && v->kind == VALUE_STR) {
        *out = value_slice(v);
        return true;
    }
    if (v == NULL && column->fallback != NULL) {
        *out = slice_text(column->fallback);
        return true;
    }
    return false;
}

/* A column that was judged away reads as absent. */
static void
take_inputs(struct resolved_feature *out, const struct judge *judge)
{
    out->input_count = judge->op->input_count;
    for (unsigned i = 0; i < AGG_INPUTS_MAX; i++) {
        struct slice name;

        out->inputs[i] = EXPR_NODE_NONE;
        out->input_types[i] = FIELD_JSON;
        if (i >= out->input_count || !name_input(&name, judge, i)) {
            continue;
        }
        const struct chain_column *column = chain_find(judge->site->chain, name);

        if (column != NULL && !column->is_absent) {
            out->inputs[i] = column->column.node;
            out->input_types[i] = (enum field_type)column->column.type;
        }
    }
}

static void
refuse_op(const struct judge *judge, struct slice op)
{
    char list[512] = "";
    size_t size = 0;
    const char *near = agg_op_suggest(op);

    for (size_t i = 0; i < agg_op_count() && size < sizeof list - 1; i++) {
        int written = snprintf(list + size, sizeof list - size, "%s%s", i == 0 ? "" : ", ",
                               agg_op_at(i)->name);

        size += written > 0 ? (size_t)written : 0;
    }
    path_of(judge, ".op", "");
    if (near != NULL) {
        report_hint(judge->site->report, "did you mean \"%s\"?", near);
    }
    report_error(judge->site->report, BV_AGG_UNKNOWN_OP, "unknown_op",
                 "unknown operator '%s'; valid operators: %s", bv_error_quote(op), list);
}

bool
feature_resolve(struct resolved_feature *out, const struct feature_site *site, struct slice name,
                const struct value *spec)
{
    struct slice op = value_slice(value_find(spec, "op"));
    struct judge judge = {
        .site = site, .name = name, .op = agg_op_find(op), .params = value_find(spec, "params")};
    bool refused = false; /* then *out is not used: the report has an error */

    *out = (struct resolved_feature){.name = name, .op = judge.op};
    if (judge.op == NULL) {
        refuse_op(&judge, op);
        return true;
    }
    if (!site->is_replay && is_refused(&judge)) {
        return true;
    }
    if (take_window(out, &judge)) {
        return true;
    }
    if (!take_where(out, &refused, &judge)) {
        return false;
    }
    out->params = judge.params->length == 0 ? NULL : judge.params;
    take_inputs(out, &judge);
    return true;
}
