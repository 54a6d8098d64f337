/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_PLAN_PLAN_H
#define BV_PLAN_PLAN_H

#include "agg/op.h"
#include "agg/window.h"
#include "expr/expr.h"
#include "registry/registry.h"
#include "wire/row.h"

/* Declarations made fast: the registry's resolved form becomes, per event source, one immutable
 * plan: a decoder, one straight-line program of shared expressions, and per table the shared
 * accumulators with their places in the entity block.
 *
 * Enters:  a registry, and the plan in force (so that what exists keeps its accumulators).
 * Leaves:  a plan, installed whole.
 * Invariants
 *   (1) Two features of one table that can read the same accumulator do (share.c).
 *   (2) All features of one table with the same window share one pane list.
 *   (3) A feature that was there before keeps the very accumulators it had.
 *   (4) Layouts are computed from the features and what they read before: same declarations in the
 *       same order, same bytes. */

/* Accumulators of one table under one window; more is refused. */
#define PLAN_STEPS_MAX 4096

/* One accumulator to keep up to date. */
struct plan_step {
    const struct agg_accumulator *accumulator;
    const void *config; /* prepared parameters, in the layout's arena */
    uint32_t config_size;
    uint32_t offset; /* in the block's state bytes, or in the window's row */
    uint32_t size;
    uint32_t inputs[AGG_INPUTS_MAX]; /* nodes */
    uint32_t predicate;              /* node, EXPR_NODE_NONE: every event */
    bool is_judged; /* updated by every event, and told whether the predicate holds */
    bool sees_window;
    uint64_t salt; /* of table and identity; the same in every process */
    enum field_type input_types[AGG_INPUTS_MAX];
    /* What makes it the same accumulator after a schema change: name, inputs, predicate and
     * parameters as canonical text. */
    struct slice identity;
};

/* The accumulators of one window of a table; group 0 is always the lifetime. */
struct plan_group {
    uint64_t window_ms;   /* 0: lifetime, steps lie in the block itself */
    uint32_t head_offset; /* windowed: the window_head in the block */
    struct plan_step *steps;
    uint32_t step_count;
    uint32_t *canonical_order; /* steps by ascending identity */
    struct window_shape shape; /* windowed */
};

/* Where everything of an entity lies. Outlives its plan: blocks of an old layout are moved only
 * when they are touched. Owns its memory. */
struct plan_layout {
    struct arena arena;
    uint32_t state_size;
    struct plan_group *groups;
    uint32_t group_count;
    bool owns_memory; /* some state or window holds out-of-line memory */
};

struct plan_feature {
    struct slice name;
    const struct agg_op *op;
    const struct value *params;
    uint64_t window_ms; /* of the reading; the group's is 0 where the window is a mere parameter */
    uint32_t group;
    uint32_t steps[AGG_USES_MAX]; /* in the group */
    bool is_blind;                /* a column is missing: always reads its empty value */
    struct value empty;           /* blind features: what they read */
};

struct plan_table {
    struct slice name;
    const struct resolved_table *resolved;
    struct plan_layout *layout;
    bool is_layout_taken;          /* the live table owns it since installation */
    struct plan_feature *features; /* ascending by name */
    uint32_t feature_count;
};

struct plan_source {
    struct slice name;
    const struct resolved_source *resolved;
    struct row_schema *schema;
    struct expr_program *program;
    uint32_t node_count;
    struct plan_table *tables;
    uint32_t table_count;
};

struct plan {
    struct arena arena;
    struct registry *registry; /* borrowed: lives as long as the plan */
    struct plan_source *sources;
    uint32_t source_count;
    uint32_t node_count_max;
    uint32_t table_count;
};

/* ---- what was there before: from the plan in force, or from a snapshot ---- */

struct plan_former_feature {
    struct slice name;
    const struct agg_op *op; /* NULL: as it is now */
    uint64_t window_ms;      /* with op */
    uint32_t use_count;
    struct slice identities[AGG_USES_MAX]; /* of the accumulators, by use */
};

struct plan_former_table {
    struct slice name;
    struct plan_former_feature *features;
    uint32_t feature_count;
};

/* `previous` may be NULL; tables named in `fresh` take nothing from it. */
enum bv_status plan_compile(struct plan **out, struct registry *registry,
                            const struct plan *previous, const struct slice *fresh,
                            size_t fresh_count, const struct registry_rename *renamed,
                            size_t renamed_count, unsigned row_flags, struct bv_error *err);
/* The plan of a registry whose entities come from a snapshot: every feature takes the accumulators
 * that the snapshot says it read. BV_CORRUPT when one is not listed. */
enum bv_status plan_compile_restored(struct plan **out, struct registry *registry,
                                     const struct plan_former_table *former, size_t former_count,
                                     unsigned row_flags, struct bv_error *err);
void plan_destroy(struct plan *plan); /* accepts NULL; layouts that were taken over stay */
/* Decodes events with other switches from now on. */
void plan_set_row_flags(struct plan *plan, unsigned row_flags);

const struct plan_table *plan_find_table(const struct plan *plan, struct slice name);

/* layout.c. plan_layout_place gives steps and window heads their offsets and fills the shapes. */
bool plan_layout_place(struct plan_layout *layout);   /* false when memory is spent */
void plan_layout_destroy(struct plan_layout *layout); /* accepts NULL */
bool plan_layout_equal(const struct plan_layout *a, const struct plan_layout *b);
/* Empties a fresh block of this layout. */
void plan_layout_init_state(const struct plan_layout *layout, void *state);
/* Frees everything a block owns. */
void plan_layout_release_state(const struct plan_layout *layout, void *state,
                               struct agg_heap *heap);
/* Carries a block over: what both layouts keep is moved, what only the new one keeps is empty, what
 * only the old one kept is released. False when memory is spent (both blocks then stay valid as
 * they were). */
bool plan_layout_move(const struct plan_layout *to, void *to_state, const struct plan_layout *from,
                      void *from_state, struct agg_heap *heap);
/* Appends the entity's canonical form at now_ms: equal for equal states, whatever order the
 * layout has. */
void plan_layout_encode(struct buf *out, const struct plan_layout *layout, const void *state,
                        uint64_t now_ms, const struct agg_heap *heap);

/* The step and group of `of` that hold the accumulator of `as`; false when there is none. */
bool plan_layout_find(const struct plan_layout *of, uint64_t window_ms, struct slice identity,
                      uint32_t *group, uint32_t *step);

/* ---- image.c: entities of a layout as a snapshot has them (docs/formats.md 5.2, 5.4) ---- */

struct plan_image_group {
    const struct plan_group *group;
    uint32_t *steps; /* of the group, in the order of the image */
    struct image_run *runs;
    uint32_t run_count;
};

/* How images of this layout are written or read. Memory comes from the arena it was made with; the
 * layout is borrowed. */
struct plan_image {
    const struct plan_layout *layout;
    struct plan_image_group *groups;
    uint32_t group_count;
};

/* For writing: in the order in which the states lie. */
enum bv_status plan_image_create(struct plan_image *out, const struct plan_layout *layout,
                                 struct arena *arena, struct bv_error *err);
/* Members "features" and "groups" of the table's section, with a comma between them. */
void plan_image_describe(struct buf *out, const struct plan_image *image,
                         const struct plan_table *table);
/* What the features read, from the section; names and identities point into it. BV_CORRUPT. */
enum bv_status plan_former_read(struct plan_former_table *out, const struct value *section,
                                struct arena *arena, struct bv_error *err);
/* For reading: in the section's order. BV_CORRUPT when it and the layout do not keep the same,
 * BV_UNSUPPORTED_FORMAT when a state was written by a newer accumulator. */
enum bv_status plan_image_read_groups(struct plan_image *out, const struct plan_layout *layout,
                                      const struct value *section, struct arena *arena,
                                      struct bv_error *err);

/* The size of an image that is one piece of the state's bytes, beginning at *offset; 0: it is not.
 */
uint32_t plan_image_plain_size(const struct plan_image *image, uint32_t *offset);
/* Appends the image of an entity, as of now_ms. */
void plan_image_write(struct buf *out, const struct plan_image *image, const void *state,
                      uint64_t now_ms, const struct agg_heap *heap);
/* Fills zeroed state bytes. Trusts nothing but raw states; when it fails, the state is empty. */
enum bv_status plan_image_read(const struct plan_image *image, void *state, struct slice bytes,
                               struct agg_heap *heap, struct bv_error *err);

#endif
