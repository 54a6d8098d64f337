/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue as JSON.
 *
 * Enters:  every row.
 * Leaves:  one document, of which docs/operators.md and python/beava/operators.py are made.
 * Owner:   the caller's buffer.
 *
 * Invariants
 *   (1) What a row says, the document says: whoever generates from it needs nothing else.
 *   (2) Operators ascend by name, so a regenerated file changes only where a row did.
 */
#include "agg/op.h"
#include "wire/json.h"

static void
write_name(struct buf *buf, const char *name)
{
    json_write_string(buf, slice_text(name));
    buf_byte(buf, ':');
}

/* A text member; null where the row has none. */
static void
write_text(struct buf *buf, const char *name, const char *text)
{
    write_name(buf, name);
    if (text == NULL) {
        buf_text(buf, "null");
    } else {
        json_write_string(buf, slice_text(text));
    }
}

static void
write_flag(struct buf *buf, const char *name, bool is_set)
{
    write_name(buf, name);
    buf_text(buf, is_set ? "true" : "false");
}

/* Whole numbers without a fraction: a count of at most 1024, not 1024.0. */
static void
write_bound(struct buf *buf, const char *name, double bound)
{
    write_name(buf, name);
    if (bound > -1e15 && bound < 1e15 && (double)(int64_t)bound == bound) {
        json_write_i64(buf, (int64_t)bound);
    } else {
        json_write_f64(buf, bound);
    }
}

static void
write_param(struct buf *buf, const struct agg_param *param)
{
    static const char *const types[] = {
        [AGG_PARAM_FIELD] = "field", [AGG_PARAM_DURATION] = "duration", [AGG_PARAM_INT] = "int",
        [AGG_PARAM_FLOAT] = "float", [AGG_PARAM_LIST] = "list",
    };

    buf_byte(buf, '{');
    write_text(buf, "name", param->name);
    buf_byte(buf, ',');
    write_text(buf, "type", types[param->type]);
    buf_byte(buf, ',');
    write_flag(buf, "required", param->is_required);
    if (param->min <= param->max) {
        buf_byte(buf, ',');
        write_bound(buf, "min", param->min);
        buf_byte(buf, ',');
        write_bound(buf, "max", param->max);
    }
    if (param->fallback != NULL) {
        buf_byte(buf, ',');
        write_name(buf, "default");
        buf_text(buf, param->fallback);
    }
    buf_byte(buf, ',');
    write_text(buf, "help", param->help);
    buf_byte(buf, ',');
    write_text(buf, "refusal", bv_status_code(param->refusal));
    buf_byte(buf, '}');
}

/* The columns that an event brings: the parameters that may name each, and the name without them.
 */
static void
write_column(struct buf *buf, const struct agg_column *column)
{
    buf_text(buf, "{\"params\":[");
    for (unsigned i = 0; i < 2 && column->params[i] != NULL; i++) {
        buf_text(buf, i == 0 ? "" : ",");
        json_write_string(buf, slice_text(column->params[i]));
    }
    buf_text(buf, "],");
    write_text(buf, "fallback", column->fallback);
    buf_byte(buf, '}');
}

static void
write_columns(struct buf *buf, const struct agg_op *op)
{
    unsigned field = 0;

    for (unsigned i = 0; i < op->input_count; i++) {
        struct agg_column column = op->columns[i];

        while (column.params[0] == NULL && field < op->param_count) {
            if (op->params[field].type == AGG_PARAM_FIELD) {
                column.params[0] = op->params[field].name;
            }
            field++;
        }
        buf_text(buf, i == 0 ? "" : ",");
        write_column(buf, &column);
    }
}

static void
write_accumulator(struct buf *buf, const struct agg_accumulator *accumulator)
{
    buf_byte(buf, '{');
    write_text(buf, "name", accumulator->name);
    buf_byte(buf, ',');
    write_flag(buf, "approximate", (accumulator->flags & AGG_APPROXIMATE) != 0);
    buf_byte(buf, '}');
}

/* One list per use: the accumulators that may serve it, the preferred one first. */
static void
write_uses(struct buf *buf, const struct agg_op *op)
{
    static const char *const scopes[] = {
        [AGG_MATCHING] = "matching",
        [AGG_EVERY] = "every",
        [AGG_JUDGED] = "judged",
    };

    for (unsigned i = 0; i < op->use_count; i++) {
        const struct agg_use *use = &op->uses[i];

        buf_text(buf, i == 0 ? "{" : ",{");
        write_text(buf, "scope", scopes[use->scope]);
        buf_text(buf, ",\"any_of\":[");
        for (unsigned k = 0; k < sizeof use->any_of / sizeof use->any_of[0]; k++) {
            if (use->any_of[k] == NULL) {
                break;
            }
            buf_text(buf, k == 0 ? "" : ",");
            write_accumulator(buf, use->any_of[k]);
        }
        buf_text(buf, "]}");
    }
}

static void
write_window(struct buf *buf, const struct agg_op *op)
{
    static const char *const windows[] = {
        [AGG_WINDOW_HONOURED] = "optional",
        [AGG_WINDOW_REQUIRED] = "required",
        [AGG_WINDOW_REFUSED] = "refused",
        [AGG_WINDOW_PARAMETER] = "parameter",
    };
    const enum bv_status refusal =
        op->window_refusal == BV_OK ? BV_AGG_INVALID_WINDOW : op->window_refusal;

    write_text(buf, "window", windows[op->window]);
    buf_byte(buf, ',');
    write_text(buf, "window_alias", op->window_alias);
    buf_byte(buf, ',');
    write_text(buf, "window_refusal", bv_status_code(refusal));
}

static void
write_op(struct buf *buf, const struct agg_op *op)
{
    static const char *const outputs[] = {
        [AGG_OUTPUT_I64] = "i64",           [AGG_OUTPUT_F64] = "f64",
        [AGG_OUTPUT_BOOL] = "bool",         [AGG_OUTPUT_STR] = "str",
        [AGG_OUTPUT_DATETIME] = "datetime", [AGG_OUTPUT_JSON] = "json",
        [AGG_OUTPUT_FIELD] = "field",
    };
    const struct {
        const char *name;
        const char *text;
    } texts[] = {
        {"name", op->name},   {"family", agg_op_family(op)}, {"summary", op->summary},
        {"nulls", op->nulls}, {"error", op->error_bound},    {"output", outputs[op->output]},
    };

    buf_byte(buf, '{');
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(buf, texts[i].name, texts[i].text);
        buf_byte(buf, ',');
    }
    write_window(buf, op);
    buf_text(buf, ",\"empty\":");
    buf_text(buf, op->empty);
    buf_text(buf, ",\"params\":[");
    for (unsigned i = 0; i < op->param_count; i++) {
        buf_text(buf, i == 0 ? "" : ",");
        write_param(buf, &op->params[i]);
    }
    buf_text(buf, "],\"inputs\":[");
    write_columns(buf, op);
    buf_text(buf, "],\"uses\":[");
    write_uses(buf, op);
    buf_text(buf, "]}");
}

void
agg_catalog_json(struct buf *out)
{
    bool is_first = true;

    buf_text(out, "{\"operators\":[");
    for (size_t i = 0; i < agg_op_count(); i++) {
        buf_text(out, i == 0 ? "" : ",");
        write_op(out, agg_op_at(i));
    }
    buf_text(out, "],\"aliases\":{");
    for (size_t i = 0; i < agg_alias_count(); i++) {
        const struct agg_op *op = agg_op_find(slice_text(agg_alias_at(i)));

        if (op != NULL) {
            buf_text(out, is_first ? "" : ",");
            write_text(out, agg_alias_at(i), op->name);
            is_first = false;
        }
    }
    buf_text(out, "}}");
}
