/* SPDX-License-Identifier: Apache-2.0 */
/* histogram and event_type_mix (operators.md 4.7 with W14, W23, W25).
 *
 * Enters:  one number, or one text, int or bool, per matching event.
 * Leaves:  counts by label, shares by category.
 * Owner:   the entity's block; more than one cell, and categories, lie in its heap.
 *
 * Invariants
 *   (1) What an operator does not read touches nothing.
 *   (2) A state is as large as the cells and categories that were used make it.
 *   (3) When memory is spent, what is counted stays. The event leaves no trace, but for the total
 *       of event_type_mix, in which what was dropped stays too (W25).
 *
 * None of these stands in a window, so there are no merges.
 */
#include "agg/cells.h"
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/params.h"
#include "agg/text_counts.h"

#include <math.h>
#include <stdlib.h>

#define VERSION        1
#define EDGES_MAX      65536
#define CATEGORIES_MAX 65536
#define LIMIT_DEFAULT  256

/* ---- histogram ---- */

struct histogram_config {
    uint64_t edge_count;
    double edges[]; /* ascending */
};

static uint32_t
edges_in(const struct value *params)
{
    const struct value *buckets = params_find(params, "buckets");

    return buckets != NULL && buckets->kind == VALUE_LIST ? buckets->length : 0;
}

static const char *
edges_objection(const struct value *v)
{
    double before = 0;
    double edge = 0;

    if (v->length > EDGES_MAX) {
        return "has more than 65536 edges";
    }
    for (uint32_t i = 0; i < v->length; i++) {
        if (!value_number(&v->as.items[i], &edge) || !isfinite(edge)) {
            return "has an edge that is not a number";
        }
        if (i != 0 && edge <= before) {
            return "is not in ascending order, each edge once";
        }
        before = edge;
    }
    return NULL;
}

static unsigned
histogram_config_size(const struct value *params)
{
    return (unsigned)(sizeof(struct histogram_config) + edges_in(params) * sizeof(double));
}

static enum bv_status
histogram_configure(void *config, const struct value *params, struct bv_error *err)
{
    struct histogram_config *c = (struct histogram_config *)config;
    const struct value *buckets = params_find(params, "buckets");
    const char *objection = NULL;

    c->edge_count = edges_in(params);
    if (c->edge_count != 0) {
        objection = edges_objection(buckets);
    }
    if (objection != NULL) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "`buckets` %s", objection);
    }
    for (uint32_t i = 0; i < c->edge_count; i++) {
        value_number(&buckets->as.items[i], &c->edges[i]);
        c->edges[i] += 0.0; /* no -0.0: it has no label of its own */
    }
    return BV_OK;
}

static uint32_t
histogram_cells(const void *config)
{
    return (uint32_t)((const struct histogram_config *)config)->edge_count + 1;
}

/* The first edge with x below it; NaN is below none. Without a branch that depends on x. */
static uint32_t
histogram_cell(const struct histogram_config *c, double x)
{
    const double *base = c->edges;
    uint64_t left = c->edge_count;

    while (left > 0) {
        const uint64_t half = (left + 1) / 2;

        base = x < base[half - 1] ? base : base + half;
        left -= half;
    }
    return (uint32_t)(base - c->edges);
}

static void
histogram_update(void *state, const void *config, const struct value *const *inputs,
                 const struct agg_moment *moment)
{
    const struct histogram_config *c = (const struct histogram_config *)config;
    double x = 0;

    if (value_number(inputs[0], &x)) {
        cells_add((struct cells_state *)state, histogram_cells(config), histogram_cell(c, x),
                  moment->heap);
    }
}

static void
histogram_encode(struct buf *out, const void *state, const void *config,
                 const struct agg_heap *heap)
{
    cells_encode_state(out, state, histogram_cells(config), heap);
}

static enum bv_status
histogram_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                 struct agg_heap *heap, struct bv_error *err)
{
    return cells_decode_state(state, consumed, bytes, histogram_cells(config), "histogram", heap,
                              err);
}

static void
histogram_release(void *state, const void *config, struct agg_heap *heap)
{
    cells_release((struct cells_state *)state, histogram_cells(config), heap);
}

static const struct agg_accumulator histogram_accumulator = {
    .name = "histogram",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size_of = histogram_config_size,
    .configure = histogram_configure,
    .state_size = cells_state_size,
    .init = cells_init,
    .update = histogram_update,
    .encode = histogram_encode,
    .decode = histogram_decode,
    .release = histogram_release,
};

/* "<B0", "B0-B1" ... ">=Bn"; the single cell without edges is "all". */
static struct slice
histogram_label(const struct histogram_config *c, uint32_t cell, struct arena *arena)
{
    char text[2 * NUMBER_TEXT_MAX + 2] = "all";
    size_t size = c->edge_count == 0 ? 3 : 0;

    if (c->edge_count != 0 && cell == 0) {
        text[size++] = '<';
        size += number_f64_plain(text + size, c->edges[0]);
    } else if (c->edge_count != 0 && cell == c->edge_count) {
        text[size++] = '>';
        text[size++] = '=';
        size += number_f64_plain(text + size, c->edges[cell - 1]);
    } else if (c->edge_count != 0) {
        size += number_f64_plain(text, c->edges[cell - 1]);
        text[size++] = '-';
        size += number_f64_plain(text + size, c->edges[cell]);
    }
    return slice_of(arena_copy(arena, text, size), size);
}

static int
compare_members(const void *a, const void *b)
{
    return slice_compare(value_slice(&((const struct value_member *)a)->key),
                         value_slice(&((const struct value_member *)b)->key));
}

static void
histogram_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct histogram_config *c = (const struct histogram_config *)reading->configs[0];
    const uint32_t cell_count = histogram_cells(c);
    const uint64_t *counts = cells_read((const struct cells_state *)reading->states[0], cell_count,
                                        reading->heap, arena);
    struct value_member *members = arena_alloc(arena, cell_count * sizeof *members);

    *out = value_null();
    if (counts == NULL || members == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cell_count; i++) {
        const struct slice label = histogram_label(c, i, arena);

        if (label.data == NULL) {
            return;
        }
        members[i] = (struct value_member){value_str(label), value_i64((int64_t)counts[i])};
    }
    qsort(members, cell_count, sizeof *members, compare_members);
    *out = (struct value){.as.members = members, .length = cell_count, .kind = VALUE_MAP};
}

/* ---- mix ---- */

#define ANY_CATEGORY UINT32_MAX

/* With a list: its texts, sorted, each once. Text i ends at ends[i] of the bytes behind them. */
struct mix_config {
    uint32_t limit;  /* categories without a list */
    uint32_t listed; /* ANY_CATEGORY: there is no list */
    uint32_t ends[];
};

struct mix_state {
    uint64_t total;
    union {
        struct cells_state listed; /* by place in the list */
        struct text_counts found;
    } as;
};

_Static_assert(sizeof(struct mix_state) == 24, "both forms are of one size");

/* The category of a value: false for what has none. `digits` may hold the text. */
static inline bool
category_of(struct slice *out, const struct value *v, char digits[NUMBER_TEXT_MAX])
{
    switch ((enum value_kind)v->kind) {
    case VALUE_STR:
        *out = value_slice(v);
        return true;
    case VALUE_I64:
        *out = slice_of(digits, number_i64(digits, v->as.i64));
        return true;
    case VALUE_BOOL:
        *out = v->as.bits != 0 ? slice_of("true", 4) : slice_of("false", 5);
        return true;
    default:
        return false;
    }
}

static const struct value *
categories_in(const struct value *params)
{
    const struct value *categories = params_find(params, "categories");

    return categories != NULL && categories->kind == VALUE_LIST ? categories : NULL;
}

static const char *
categories_objection(const struct value *v)
{
    char digits[NUMBER_TEXT_MAX];
    struct slice text;

    if (v->length > CATEGORIES_MAX) {
        return "has more than 65536 categories";
    }
    for (uint32_t i = 0; i < v->length; i++) {
        if (!category_of(&text, &v->as.items[i], digits)) {
            return "has a category that is no string, integer or boolean";
        }
    }
    return NULL;
}

static unsigned
mix_config_size(const struct value *params)
{
    const struct value *categories = categories_in(params);
    size_t size = sizeof(struct mix_config);
    char digits[NUMBER_TEXT_MAX];
    struct slice text = {NULL, 0};

    for (uint32_t i = 0; categories != NULL && i < categories->length; i++) {
        size += sizeof(uint32_t);
        size += category_of(&text, &categories->as.items[i], digits) ? text.size : 0;
    }
    return (unsigned)size;
}

static struct slice
listed_text(const struct mix_config *c, uint32_t place)
{
    const uint8_t *bytes = (const uint8_t *)(c->ends + c->listed);
    const uint32_t start = place == 0 ? 0 : c->ends[place - 1];

    return slice_of(bytes + start, c->ends[place] - start);
}

static int
compare_texts(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The texts, sorted, each once; NULL when memory is spent. The digits of ints lie behind them. */
static struct slice *
sort_categories(uint32_t *count, const struct value *categories)
{
    const uint32_t length = categories->length;
    struct slice *texts = malloc((length + 1u) * (sizeof *texts + 24));
    uint32_t used = 0;

    if (texts == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < length; i++) {
        char digits[NUMBER_TEXT_MAX];
        char *kept = (char *)(texts + length) + (size_t)i * 24;

        category_of(&texts[i], &categories->as.items[i], digits);
        if (categories->as.items[i].kind == VALUE_I64) {
            memcpy(kept, digits, texts[i].size);
            texts[i].data = (const uint8_t *)kept;
        }
    }
    qsort(texts, length, sizeof *texts, compare_texts);
    for (uint32_t i = 0; i < length; i++) {
        if (used == 0 || !slice_equal(texts[used - 1], texts[i])) {
            texts[used++] = texts[i];
        }
    }
    *count = used;
    return texts;
}

static enum bv_status
configure_list(struct mix_config *c, const struct value *categories, struct bv_error *err)
{
    const char *objection = categories_objection(categories);
    uint32_t end = 0;

    if (objection != NULL) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "`categories` %s", objection);
    }
    struct slice *texts = sort_categories(&c->listed, categories);

    if (texts == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "%u categories", categories->length);
    }
    uint8_t *bytes = (uint8_t *)(c->ends + c->listed);

    for (uint32_t i = 0; i < c->listed; i++) {
        if (texts[i].size != 0) {
            memcpy(bytes + end, texts[i].data, texts[i].size);
        }
        end += (uint32_t)texts[i].size;
        c->ends[i] = end;
    }
    free(texts);
    return BV_OK;
}

static enum bv_status
mix_configure(void *config, const struct value *params, struct bv_error *err)
{
    struct mix_config *c = (struct mix_config *)config;
    const struct value *limit = params_find(params, "max_categories");

    *c = (struct mix_config){.limit = LIMIT_DEFAULT, .listed = ANY_CATEGORY};
    if (categories_in(params) != NULL) {
        c->limit = 0; /* a list has no cap: what is given beside it makes no other accumulator */
        return configure_list(c, categories_in(params), err);
    }
    if (limit != NULL &&
        (limit->kind != VALUE_I64 || limit->as.i64 < 0 || limit->as.i64 > CATEGORIES_MAX)) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD,
                            "`max_categories` must be an integer in [0, %d]", CATEGORIES_MAX);
    }
    c->limit = limit == NULL ? LIMIT_DEFAULT : (uint32_t)limit->as.i64;
    return BV_OK;
}

static bool
is_listed(const void *config)
{
    return ((const struct mix_config *)config)->listed != ANY_CATEGORY;
}

static uint32_t
mix_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct mix_state);
}

static void
mix_init(void *state, const void *config)
{
    memset(state, 0, sizeof(struct mix_state));
}

/* The place of a text in the list; false when it is not there. */
static bool
find_listed(uint32_t *place, const struct mix_config *c, struct slice text)
{
    uint32_t first = 0;
    uint32_t count = c->listed;

    while (count > 0) {
        const uint32_t half = count / 2;
        const int order = slice_compare(listed_text(c, first + half), text);

        if (order == 0) {
            *place = first + half;
            return true;
        }
        first = order < 0 ? first + half + 1 : first;
        count = order < 0 ? count - half - 1 : half;
    }
    return false;
}

static void
mix_update(void *state, const void *config, const struct value *const *inputs,
           const struct agg_moment *moment)
{
    struct mix_state *s = (struct mix_state *)state;
    const struct mix_config *c = (const struct mix_config *)config;
    char digits[NUMBER_TEXT_MAX];
    struct slice text;
    uint32_t place;

    if (!category_of(&text, inputs[0], digits)) {
        return;
    }
    s->total++;
    if (!is_listed(c)) {
        text_counts_add(&s->as.found, text, c->limit, moment->heap);
    } else if (find_listed(&place, c, text)) {
        cells_add(&s->as.listed, c->listed, place, moment->heap);
    }
}

static void
mix_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct mix_state *s = (const struct mix_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->total);
    if (is_listed(config)) {
        cells_encode(out, &s->as.listed, ((const struct mix_config *)config)->listed, heap);
    } else {
        text_counts_encode(out, &s->as.found, heap);
    }
}

static void
mix_release(void *state, const void *config, struct agg_heap *heap)
{
    struct mix_state *s = (struct mix_state *)state;

    if (is_listed(config)) {
        cells_release(&s->as.listed, ((const struct mix_config *)config)->listed, heap);
    } else {
        text_counts_release(&s->as.found, heap);
    }
}

static bool
mix_is_empty(const struct mix_state *s, const void *config)
{
    return is_listed(config) ? cells_are_empty(&s->as.listed) : s->as.found.used == 0;
}

static enum bv_status
mix_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
           struct agg_heap *heap, struct bv_error *err)
{
    const struct mix_config *c = (const struct mix_config *)config;
    struct codec_reader reader = {.bytes = bytes};
    struct mix_state *s = (struct mix_state *)state;
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    mix_init(state, config);
    s->total = codec_take_u64(&reader);
    if (is_listed(c)) {
        status = cells_decode(&s->as.listed, &reader, &is_sound, c->listed, heap, err);
    } else {
        status = text_counts_decode(&s->as.found, &reader, &is_sound, c->limit, heap, err);
    }
    if (status != BV_OK) {
        return status;
    }
    if (is_sound && !reader.is_short && s->total == 0 && !mix_is_empty(s, config)) {
        mix_release(state, config, heap);
        is_sound = false;
    }
    return codec_finish(&reader, consumed, "mix", is_sound, err);
}

static const struct agg_accumulator mix_accumulator = {
    .name = "mix",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size_of = mix_config_size,
    .configure = mix_configure,
    .state_size = mix_state_size,
    .init = mix_init,
    .update = mix_update,
    .encode = mix_encode,
    .decode = mix_decode,
    .release = mix_release,
};

/* Counts by text, of those that came; NULL when the arena is spent. */
static const struct text_count *
mix_counts(uint32_t *used, const struct mix_state *s, const struct mix_config *c,
           const struct agg_heap *heap, struct arena *arena)
{
    const uint32_t room = is_listed(c) ? c->listed : s->as.found.used;
    struct text_count *list = arena_alloc(arena, (room + 1u) * sizeof *list);
    const uint64_t *counts = NULL;

    *used = room;
    if (list != NULL && !is_listed(c)) {
        text_counts_list(list, &s->as.found, heap);
    } else if (list != NULL) {
        counts = cells_read(&s->as.listed, room, heap, arena);
        *used = 0;
        for (uint32_t i = 0; counts != NULL && i < room; i++) {
            if (counts[i] != 0) {
                list[(*used)++] = (struct text_count){listed_text(c, i), counts[i]};
            }
        }
    }
    return is_listed(c) && counts == NULL ? NULL : list;
}

static void
mix_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct mix_state *s = (const struct mix_state *)reading->states[0];
    uint32_t used;
    const struct text_count *list =
        mix_counts(&used, s, (const struct mix_config *)reading->configs[0], reading->heap, arena);
    struct value_member *members =
        list == NULL ? NULL : arena_alloc(arena, (used + 1u) * sizeof *members);

    *out = value_null();
    if (members == NULL) {
        return;
    }
    for (uint32_t i = 0; i < used; i++) {
        members[i] = (struct value_member){value_str(list[i].text),
                                           value_f64((double)list[i].count / (double)s->total)};
    }
    *out = (struct value){.as.members = members, .length = used, .kind = VALUE_MAP};
}

/* ---- the rows ---- */

static const struct agg_param histogram_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The numeric column. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "buckets",
     .type = AGG_PARAM_LIST,
     .min = 1,
     .max = 0,
     .help = "Edges in ascending order, at most 65536 numbers: [10, 20] makes <10, 10-20 and "
             ">=20.",
     .refusal = BV_AGG_UNKNOWN_FIELD,
     .objection = edges_objection},
};

static const struct agg_param mix_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The column of strings, integers or booleans. Without it the feature reads its empty "
             "value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
    {.name = "categories",
     .type = AGG_PARAM_LIST,
     .min = 1,
     .max = 0,
     .help = "The only categories to count, at most 65536. Without it all that come, up to "
             "max_categories.",
     .refusal = BV_AGG_UNKNOWN_FIELD,
     .objection = categories_objection},
    {.name = "max_categories",
     .type = AGG_PARAM_INT,
     .min = 0,
     .max = CATEGORIES_MAX,
     .fallback = "256",
     .help = "How many categories are counted; those that come later stay in the denominator.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op shape_ops[] = {
    {.name = "histogram",
     .summary = "Counts of a numeric field between given edges, an object by label.",
     .nulls = "Null, missing and everything that is no int or float is skipped; NaN is below no "
              "edge and counts in the last cell.",
     .empty = "{\"all\":0}",
     .empty_varies = true,
     .params = histogram_params,
     .param_count = 2,
     .input_count = 1,
     .reads_numbers = true,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&histogram_accumulator}}},
     .use_count = 1,
     .read = histogram_read},
    {.name = "event_type_mix",
     .summary = "Share of each category among all values, an object by category.",
     .nulls = "Strings, ints and bools count by their text; null, missing, floats and everything "
              "else is skipped.",
     .empty = "{}",
     .params = mix_params,
     .param_count = 3,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&mix_accumulator}}},
     .use_count = 1,
     .read = mix_read},
};

static const struct agg_accumulator *const shape_accumulators[] = {&histogram_accumulator,
                                                                   &mix_accumulator};

const struct agg_family family_shape = {
    .ops = shape_ops,
    .op_count = sizeof shape_ops / sizeof shape_ops[0],
    .accumulators = shape_accumulators,
    .accumulator_count = sizeof shape_accumulators / sizeof shape_accumulators[0],
};
