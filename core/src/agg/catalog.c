/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator and accumulator, by name.
 *
 * Enters:  the rows of the families.
 * Leaves:  lookups and suggestions; catalog_json.c writes it all down.
 * Owner:   nobody; all of it is constant.
 *
 * Invariants
 *   (1) Names are unique over the families (test_catalog.c).
 *
 * Lookups scan: they happen at registration, over some fifty short names.
 */
#include "agg/family.h"

static const struct {
    const char *name; /* its heading in the reference */
    const struct agg_family *rows;
} families[] = {
    {"basic", &family_basic},       {"recency", &family_recency},     {"decay", &family_decay},
    {"velocity", &family_velocity}, {"deviation", &family_deviation}, {"shape", &family_shape},
    {"season", &family_season},     {"buffer", &family_buffer},       {"geo", &family_geo},
    {"distinct", &family_distinct}, {"quantile", &family_quantile},   {"entropy", &family_entropy},
};

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
        for (unsigned i = 0; i < families[f].rows->op_count; i++) {
            if (slice_equal(name, slice_text(families[f].rows->ops[i].name))) {
                return &families[f].rows->ops[i];
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
        count += families[f].rows->op_count;
    }
    return count;
}

/* How many names come before this one. */
static size_t
rank_of(const char *name)
{
    size_t rank = 0;

    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f].rows->op_count; i++) {
            rank += strcmp(families[f].rows->ops[i].name, name) < 0;
        }
    }
    return rank;
}

const struct agg_op *
agg_op_at(size_t index)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f].rows->op_count; i++) {
            if (rank_of(families[f].rows->ops[i].name) == index) {
                return &families[f].rows->ops[i];
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

const char *
agg_op_family(const struct agg_op *op)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        for (unsigned i = 0; i < families[f].rows->op_count; i++) {
            if (&families[f].rows->ops[i] == op) {
                return families[f].name;
            }
        }
    }
    return NULL;
}

size_t
agg_alias_count(void)
{
    return sizeof aliases / sizeof aliases[0];
}

const char *
agg_alias_at(size_t index)
{
    return aliases[index].alias;
}

size_t
agg_accumulator_count(void)
{
    size_t count = 0;

    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        count += families[f].rows->accumulator_count;
    }
    return count;
}

const struct agg_accumulator *
agg_accumulator_at(size_t index)
{
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        if (index < families[f].rows->accumulator_count) {
            return families[f].rows->accumulators[index];
        }
        index -= families[f].rows->accumulator_count;
    }
    return NULL;
}
