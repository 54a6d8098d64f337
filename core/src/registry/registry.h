/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_REGISTRY_H
#define BV_REGISTRY_REGISTRY_H

#include "agg/op.h"
#include "expr/expr.h"
#include "registry/descriptor.h"
#include "util/buf.h"

/* What the user declared: an immutable set of descriptors with a version, swapped as a whole, and
 * its resolved form, in which every name has become a node of an expression graph.
 *
 * Enters:  a registration payload and the registry in force.
 * Leaves:  a reply body, and (when something changes) the next registry with the list of tables
 *          that must start empty, and the JSON that goes into the log.
 * Owner:   whoever created it; const and safe to read from any thread afterwards. */

struct resolved_feature {
    struct slice name;
    const struct agg_op *op;
    const struct value *params; /* map, or NULL */
    unsigned input_count;       /* as the op's */
    /* Nodes; EXPR_NODE_NONE: no such column, reads its empty value. */
    uint32_t inputs[AGG_INPUTS_MAX];
    enum field_type input_types[AGG_INPUTS_MAX];
    uint32_t where;     /* node, EXPR_NODE_NONE: every event */
    uint64_t window_ms; /* 0: lifetime */
};

struct resolved_table {
    struct slice name;
    const struct descriptor *descriptor;
    uint32_t *filters; /* nodes that must all be exactly true, in chain order */
    size_t filter_count;
    uint32_t *keys; /* nodes; none: a global table */
    struct slice *key_names;
    size_t key_count;
    struct resolved_feature *features; /* ascending by name */
    size_t feature_count;
};

/* One event source with all tables it feeds, in registration order. Chains of derived events are
 * flattened into their tables (W47); derived events themselves need no state. */
struct resolved_source {
    const struct descriptor *event;
    struct expr_graph *graph;
    struct resolved_table *tables;
    size_t table_count;
};

struct names;

struct registry {
    uint64_t version;
    struct descriptor *descriptors; /* in registration order */
    size_t descriptor_count;
    struct resolved_source *sources;
    size_t source_count;
    const struct names *index; /* descriptor names, for registry_find */
    struct arena arena;
};

/* Version 0, nothing declared. */
enum bv_status registry_create_empty(struct registry **out, uint64_t version, struct bv_error *err);
void registry_destroy(struct registry *registry); /* accepts NULL */
const struct descriptor *registry_find(const struct registry *registry, struct slice name);

#define REGISTER_NO_MEMORY_GOVERNANCE 1u /* BEAVA_MEMORY_GOV_ENFORCE=0 */

struct registry_rename {
    struct slice from, to;
};

/* The result of one registration. `status` BV_OK covers installed, no-op and dry run. */
struct registration {
    enum bv_status status;
    bool is_dry_run;
    bool installs;         /* next differs from the registry in force */
    struct registry *next; /* owned; also set for a dry run that would be accepted; else NULL */
    struct slice *fresh; /* tables of `next` that start empty although a table of that name exists,
                          * or did not exist; every other table keeps its state by name */
    size_t fresh_count;
    struct registry_rename *renamed; /* exact renames of tables: state moves */
    size_t renamed_count;
    struct slice log_json; /* {"fresh":[..],"nodes":[..],"renamed":[[from,to]..],"version":N} */
    struct bv_error error; /* the first refusal */
    /* Pieces of the reply, private to registration_reply. */
    struct registration_parts *parts;
};

/* Judges a payload (steps 2 to 13 of wire.md 4.4 but the log and the installation). Fails only for
 * want of memory; a refusal is a result. */
enum bv_status registration_prepare(struct registration *out, const struct registry *current,
                                    struct slice payload, unsigned flags, struct bv_error *err);
/* The reply's body. state_json (may be empty) is the "state" array of a dry run (wire.md V40). */
void registration_reply(struct buf *body, const struct registration *registration,
                        struct slice state_json);
void registration_deinit(struct registration *registration);

/* Rebuilds a registry from the JSON of its log record, without judging policy again (server.md
 * D56). fresh and renamed point into the registry's arena. BV_CORRUPT names the node. */
enum bv_status registry_from_log(struct registry **out, struct slice **fresh, size_t *fresh_count,
                                 struct registry_rename **renamed, size_t *renamed_count,
                                 struct slice log_json, struct bv_error *err);

#endif
