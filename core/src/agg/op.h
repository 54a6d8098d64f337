/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_OP_H
#define BV_AGG_OP_H

#include "util/arena.h"
#include "util/buf.h"
#include "util/error.h"
#include "wire/row.h"
#include "wire/value.h"

/* The two contracts of the operators: what is kept (an accumulator) and what is asked (an operator,
 * a reader over one or two accumulators). Both are rows of data; a family's rows stand side by side
 * in its file, and adding an operator touches that file and its tests.
 *
 * An accumulator sees one value stream: the events of one entity whose predicate is true (and, for
 * a windowed feature, that fell into one pane). It never sees another entity, a clock or a random
 * source: time and seed come with the event, so a replayed log gives the same bytes of state. */

/* Out-of-line memory of an entity, reached by handle: 16-byte units from a fixed base, 0 = none. */
struct agg_heap {
    uint8_t *base;
    uint32_t (*alloc)(struct agg_heap *heap, uint32_t size); /* 0 when memory is spent */
    void (*release)(struct agg_heap *heap, uint32_t ref, uint32_t size); /* size as asked for */
};

static inline void *
agg_heap_at(const struct agg_heap *heap, uint32_t ref)
{
    return heap->base + (size_t)ref * 16;
}

/* The window an update stands in, for the few accumulators that judge an event against its past
 * (AGG_SEES_WINDOW). fold() makes `into` the fold of this accumulator over the panes active now,
 * the event itself not yet in them; it obeys the rules of merge. */
struct agg_view {
    void (*fold)(const struct agg_view *view, void *into);
    /* When the oldest of these panes leaves: until then the others fold to the same, and only the
     * pane of the update itself changes. NULL: not known, nothing may be kept. */
    uint64_t (*stands_until)(const struct agg_view *view);
};

/* What an update knows beside its values. */
struct agg_moment {
    uint64_t now_ms;
    uint32_t seed; /* of the event's log record */
    bool is_match; /* AGG_JUDGED: whether the predicate is true; otherwise always true */
    uint64_t salt; /* of table and accumulator: sets apart what draws from the same seed */
    struct agg_heap *heap;
    const struct agg_view *view; /* AGG_SEES_WINDOW in a window, else NULL */
    uint64_t *categories_capped; /* counts those that a cap kept out; may be NULL */
};

#define AGG_INPUTS_MAX 2
#define AGG_USES_MAX   2

#define AGG_OWNS_MEMORY 1u /* states hold refs: release must be called */
#define AGG_APPROXIMATE 2u
#define AGG_ORDERED     4u /* merge needs the older state on the left (it always gets it) */
#define AGG_SEES_WINDOW 8u /* update asks moment->view */

struct agg_accumulator {
    const char *name;
    unsigned input_count; /* values per update: 0, 1 or 2 */
    unsigned flags;
    unsigned state_align; /* 8, 4, 2 or 1 */
    unsigned config_size; /* bytes of prepared parameters, 0 for none */
    /* Their size where the parameters decide it (a list of edges); overrides config_size. */
    unsigned (*config_size_of)(const struct value *params);
    /* Prepares the parameters that shape the state. Two uses share one accumulator only when their
     * prepared bytes are equal (and input, predicate and window are). NULL when there is no config.
     */
    enum bv_status (*configure)(void *config, const struct value *params, struct bv_error *err);
    /* Told the types of the input columns, after configure, by those to whom int 1 and float 1.0
     * are one value in a numeric column and two in any other (W1). NULL: types do not matter. */
    void (*configure_types)(void *config, const enum field_type *input_types);
    uint32_t (*state_size)(const void *config, enum field_type input_type);
    void (*init)(void *state, const void *config); /* the empty state; all bytes defined */
    /* inputs[i] is never NULL; a missing field is VALUE_NULL. Must ignore what it cannot take. */
    void (*update)(void *state, const void *config, const struct value *const *inputs,
                   const struct agg_moment *moment);
    /* NULL where no operator that reads it takes a window.
     * into := into, then from; `from` is the younger. For reading a window: `into` may borrow what
     * `from` owns, and may keep in the arena what it has to build (the state then holds a pointer,
     * with a mark of its own to tell it from a ref). It is read, encoded and dropped, never
     * released or stored. */
    void (*merge)(void *into, const void *from, const void *config, const struct agg_heap *heap,
                  struct arena *arena);
    /* Snapshot and digest form: versioned, little-endian, equal for equal states, independent of
     * where out-of-line memory lies. */
    void (*encode)(struct buf *out, const void *state, const void *config,
                   const struct agg_heap *heap);
    /* The inverse; trusts nothing. BV_CORRUPT, BV_NO_MEMORY; *consumed bytes are used. */
    enum bv_status (*decode)(void *state, size_t *consumed, struct slice bytes, const void *config,
                             struct agg_heap *heap, struct bv_error *err);
    /* Frees out-of-line memory; NULL unless AGG_OWNS_MEMORY. The state is undefined afterwards. */
    void (*release)(void *state, const void *config, struct agg_heap *heap);
};

enum agg_param_type {
    AGG_PARAM_FIELD,    /* a column name */
    AGG_PARAM_DURATION, /* "5m" */
    AGG_PARAM_INT,
    AGG_PARAM_FLOAT,
    AGG_PARAM_LIST,
};

struct agg_param {
    const char *name;
    enum agg_param_type type;
    bool is_required;     /* refused without it */
    double min, max;      /* inclusive; min > max: no bounds */
    const char *fallback; /* JSON text of the default, NULL for none */
    const char *help;
    enum bv_status refusal; /* code when missing or out of bounds */
    /* What is wrong with a list ("is not in ascending order"), NULL for nothing. */
    const char *(*objection)(const struct value *v);
};

enum agg_window_rule {
    AGG_WINDOW_HONOURED, /* optional */
    AGG_WINDOW_REQUIRED,
    AGG_WINDOW_REFUSED,   /* lifetime only */
    AGG_WINDOW_PARAMETER, /* required; the state is lifetime and only `read` looks at it */
};

/* Which events an accumulator of an operator sees. */
enum agg_scope {
    AGG_MATCHING, /* those whose where is true */
    AGG_EVERY,    /* all that reach the table */
    AGG_JUDGED,   /* all that reach the table; moment->is_match tells them apart */
};

struct agg_use {
    enum agg_scope scope;
    /* In order of preference, NULL-terminated: one that the table keeps already is taken, else the
     * first is added. All of one list must serve `read`. */
    const struct agg_accumulator *any_of[4];
};

/* What a reader sees: one folded or lifetime state per use. */
struct agg_reading {
    const struct agg_accumulator *accumulators[AGG_USES_MAX];
    const void *states[AGG_USES_MAX];
    const void *configs[AGG_USES_MAX]; /* of the accumulators */
    const struct value *params;        /* of the feature, NULL or a map */
    uint64_t query_ms;
    uint64_t window_ms; /* 0: lifetime */
    const struct agg_heap *heap;
};

/* Result kinds in the catalogue. */
enum agg_output {
    AGG_OUTPUT_I64,
    AGG_OUTPUT_F64,
    AGG_OUTPUT_BOOL,
    AGG_OUTPUT_STR,
    AGG_OUTPUT_DATETIME,
    AGG_OUTPUT_JSON,
    AGG_OUTPUT_FIELD, /* the field's type */
};

/* Which column is an input: the first of `params` that is given names it, else `fallback` does. */
struct agg_column {
    const char *params[2];
    const char *fallback;
};

struct agg_op {
    const char *name;
    const char *summary;            /* one sentence */
    const char *nulls;              /* null, missing, NaN and wrong-typed values: one sentence */
    const char *empty;              /* JSON text read when nothing has contributed */
    bool empty_varies;              /* with the parameters, as a first state of one use shows */
    const char *error_bound;        /* how far off it may read: one sentence; NULL: exact */
    const struct agg_param *params; /* field included; window and where are common to all */
    unsigned param_count;
    unsigned input_count; /* columns: 0, 1 or 2 */
    bool reads_text;      /* makes floats of texts too: no warning about a column that holds some */
    bool reads_numbers;   /* though its result is no float: warns about a column of texts */
    /* Unset: the params of type AGG_PARAM_FIELD, in order. */
    struct agg_column columns[AGG_INPUTS_MAX];
    enum agg_window_rule window;
    const char *window_alias;      /* another name of the parameter, NULL for none */
    enum bv_status window_refusal; /* of AGG_WINDOW_REFUSED; 0: BV_AGG_INVALID_WINDOW */
    enum agg_output output;
    struct agg_use uses[AGG_USES_MAX];
    unsigned use_count;
    /* Never changes state, never fails; lists and maps go to the arena. */
    void (*read)(struct value *out, const struct agg_reading *reading, struct arena *arena);
};

/* ---- the catalogue (catalog.c): every row, by name ---- */

const struct agg_op *agg_op_find(struct slice name); /* aliases included; NULL when unknown */
size_t agg_op_count(void);
const struct agg_op *agg_op_at(size_t index); /* ascending by name, aliases excluded */
/* The nearest operator name, NULL when none is near. */
const char *agg_op_suggest(struct slice name);
const char *agg_op_family(const struct agg_op *op); /* "basic" */
size_t agg_alias_count(void);
const char *agg_alias_at(size_t index); /* agg_op_find knows what it stands for */
size_t agg_accumulator_count(void);
const struct agg_accumulator *agg_accumulator_at(size_t index);
/* The whole catalogue, everything that a row says (catalog_json.c). */
void agg_catalog_json(struct buf *out);

#endif
