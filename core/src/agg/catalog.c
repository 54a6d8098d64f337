/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator and accumulator, by name.
 *
 * Enters:  the rows of the families.
 * Leaves:  lookups, suggestions, and the catalogue as JSON, of which the Python functions and the
 *          reference page are made.
 * Owner:   nobody; all of it is constant.
 *
 * Invariants
 *   (1) Names are unique over the families (test_catalog.c).
 *
 * Lookups scan: they happen at registration, over some fifty short names.
 */
#include "agg/family.h"

#include "wire/json.h"

static const struct agg_family *const families[] = {&family_basic, &family_recency};

#define FAMILY_COUNT (sizeof families / sizeof families[0])

/* The only alias of the wire (operators.md 4). */
static const struct {
    const char *alias;
    const char *name;
} aliases[] = {{"ema", "ewma"}};

/* What people of other houses write; suggested, never accepted. */
static const struct {
    const char *word;
    const char *name;
} synonyms[] = {
    {"avg", "mean"},         {"average", "mean"},
    {"stddev", "std"},       {"stdev", "std"},
    {"variance", "var"},     {"count_distinct", "n_unique"},
    {"nunique", "n_unique"}, {"percentile", "quantile"},
    {"median", "quantile"},  {"total", "sum"},
    {"minimum", "min"},      {"maximum", "max"},
    {"size", "count"},       {"n", "count"},
};

static const struct agg_op *
find_row(struct slice name)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f]->op_count; i++) {
            if (slice_equal(name, slice_text(families[f]->ops[i].name))) {
                return &families[f]->ops[i];
            }
        }
    }
    return NULL;
}

const struct agg_op *
agg_op_find(struct slice name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (slice_equal(name, slice_text(aliases[i].alias))) {
            return find_row(slice_text(aliases[i].name));
        }
    }
    return find_row(name);
}

size_t
agg_op_count(void)
{
    size_t count = 0;

    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        count += families[f]->op_count;
    }
    return count;
}

/* How many names come before this one. */
static size_t
rank_of(const char *name)
{
    size_t rank = 0;

    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f]->op_count; i++) {
            rank += strcmp(families[f]->ops[i].name, name) < 0;
        }
    }
    return rank;
}

const struct agg_op *
agg_op_at(size_t index)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f]->op_count; i++) {
            if (rank_of(families[f]->ops[i].name) == index) {
                return &families[f]->ops[i];
            }
        }
    }
    return NULL;
}

#define NAME_MAX_COMPARED 40

/* Levenshtein distance, with one row of memory. Both texts are at most NAME_MAX_COMPARED bytes. */
static size_t
edit_distance(struct slice a, struct slice b)
{
    size_t row[NAME_MAX_COMPARED + 1];

    for (size_t k = 0; k <= b.size; k++) {
        row[k] = k;
    }
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 0; k < b.size; k++) {
            size_t change = diagonal + (a.data[i] != b.data[k]);
            size_t insertion = row[k] + 1;
            size_t deletion = row[k + 1] + 1;

            diagonal = row[k + 1];
            row[k + 1] = insertion < deletion ? insertion : deletion;
            if (change < row[k + 1]) {
                row[k + 1] = change;
            }
        }
    }
    return row[b.size];
}

const char *
agg_op_suggest(struct slice name)
{
    const char *best = NULL;
    /* Two slips in a long name, one in a short one. */
    size_t limit = name.size > 5 ? 3 : 2;

    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
        if (slice_equal(name, slice_text(synonyms[i].word))) {
            const struct agg_op *op = find_row(slice_text(synonyms[i].name));

            return op == NULL ? NULL : op->name;
        }
    }
    if (name.size > NAME_MAX_COMPARED) {
        return NULL;
    }
    for (size_t i = 0; i < agg_op_count(); i++) {
        const char *candidate = agg_op_at(i)->name;
        size_t distance = edit_distance(name, slice_text(candidate));

        /* A name that shares nothing with the candidate is no misspelling of it. */
        if (distance < limit && distance < strlen(candidate)) {
            limit = distance;
            best = candidate;
        }
    }
    return best;
}

size_t
agg_accumulator_count(void)
{
    size_t count = 0;

    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        count += families[f]->accumulator_count;
    }
    return count;
}

const struct agg_accumulator *
agg_accumulator_at(size_t index)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        if (index < families[f]->accumulator_count) {
            return families[f]->accumulators[index];
        }
        index -= families[f]->accumulator_count;
    }
    return NULL;
}

/* ---- the catalogue as JSON ---- */

static void
write_member(struct buf *buf, const char *name, const char *text)
{
    json_write_string(buf, slice_text(name));
    buf_byte(buf, ':');
    json_write_string(buf, slice_text(text));
}

static void
write_param(struct buf *buf, const struct agg_param *param)
{
    static const char *const types[] = {
        [AGG_PARAM_FIELD] = "field", [AGG_PARAM_DURATION] = "duration", [AGG_PARAM_INT] = "int",
        [AGG_PARAM_FLOAT] = "float", [AGG_PARAM_LIST] = "list",
    };

    buf_byte(buf, '{');
    write_member(buf, "name", param->name);
    buf_byte(buf, ',');
    write_member(buf, "type", types[param->type]);
    buf_text(buf, param->is_required ? ",\"required\":true" : ",\"required\":false");
    if (param->min <= param->max) {
        buf_text(buf, ",\"min\":");
        json_write_f64(buf, param->min);
        buf_text(buf, ",\"max\":");
        json_write_f64(buf, param->max);
    }
    if (param->fallback != NULL) {
        buf_text(buf, ",\"default\":");
        buf_text(buf, param->fallback);
    }
    buf_byte(buf, ',');
    write_member(buf, "help", param->help);
    buf_byte(buf, ',');
    write_member(buf, "refusal", bv_status_code(param->refusal));
    buf_byte(buf, '}');
}

static void
write_op(struct buf *buf, const struct agg_op *op)
{
    static const char *const windows[] = {
        [AGG_WINDOW_HONOURED] = "optional",
        [AGG_WINDOW_REQUIRED] = "required",
        [AGG_WINDOW_REFUSED] = "refused",
    };
    static const char *const outputs[] = {
        [AGG_OUTPUT_I64] = "i64",           [AGG_OUTPUT_F64] = "f64",
        [AGG_OUTPUT_BOOL] = "bool",         [AGG_OUTPUT_STR] = "str",
        [AGG_OUTPUT_DATETIME] = "datetime", [AGG_OUTPUT_JSON] = "json",
        [AGG_OUTPUT_FIELD] = "field",
    };

    buf_byte(buf, '{');
    write_member(buf, "name", op->name);
    buf_byte(buf, ',');
    write_member(buf, "summary", op->summary);
    buf_byte(buf, ',');
    write_member(buf, "nulls", op->nulls);
    buf_byte(buf, ',');
    write_member(buf, "window", windows[op->window]);
    buf_byte(buf, ',');
    write_member(buf, "output", outputs[op->output]);
    buf_text(buf, ",\"empty\":");
    buf_text(buf, op->empty);
    buf_text(buf, ",\"params\":[");
    for (unsigned i = 0; i < op->param_count; i++) {
        if (i != 0) {
            buf_byte(buf, ',');
        }
        write_param(buf, &op->params[i]);
    }
    buf_text(buf, "]}");
}

void
agg_catalog_json(struct buf *out)
{
    size_t alias_count = 0;

    buf_text(out, "{\"operators\":[");
    for (size_t i = 0; i < agg_op_count(); i++) {
        if (i != 0) {
            buf_byte(out, ',');
        }
        write_op(out, agg_op_at(i));
    }
    buf_text(out, "],\"aliases\":{");
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (find_row(slice_text(aliases[i].name)) == NULL) {
            continue;
        }
        if (alias_count++ != 0) {
            buf_byte(out, ',');
        }
        write_member(out, aliases[i].alias, aliases[i].name);
    }
    buf_text(out, "}}");
}
