/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_DRAFT_H
#define BV_REGISTRY_DRAFT_H

#include "registry/descriptor.h"
#include "registry/report.h"

/* A payload on its way to descriptors (wire.md 4.4, steps 2 to 6). */

#define PAYLOAD_DEPTH_MAX 128

/* What a descriptor cannot say: 0 given and nothing given are the same there. */
struct draft_facts {
    bool has_dedupe_key;
    bool has_dedupe_window, has_keep_events, has_cold_after;
};

struct draft {
    bool force, dry_run;
    struct descriptor *nodes;
    struct draft_facts *facts; /* one for each node */
    size_t node_count;
};

/* The "nodes" of a parsed body, or "descriptors" where there are none; NULL if not an array. */
const struct value *payload_nodes(const struct value *body);

/* Steps 2 to 4 over the raw nodes: at most one error. */
void screen_nodes(const struct value *nodes, struct report *report);
/* Step 5, memory governance (operators.md 4.2 A): at most one error. False: memory is spent. */
bool governance_check(const struct value *nodes, struct report *report);
/* Step 6: shape. One error at most, path <body>; what is unknown and ignored becomes a warning.
 * Descriptors point into the body and the report's arena; their ops are canonical: sorted, without
 * repeated or unknown members, defaults filled in. False: memory is spent. */
bool shape_draft(struct draft *out, const struct value *body, struct slice text,
                 struct report *report);
/* The same for the nodes of a log record, where registered_at_version counts. */
bool shape_logged(struct draft *out, const struct value *nodes, struct report *report);

/* One op (any kind) in canonical form (shape_ops.c). False: refused or memory is spent. */
struct shape {
    struct report *report;
    struct arena *arena;
    char where[192]; /* what is being read: "nodes[0].ops[1]" */
    bool is_refused;
};

struct member {
    const char *name;
    bool is_required;
    const struct value *value; /* out: NULL when absent */
};

/* Finds the members of one object; a repeated known one and a missing required one are refused, an
 * unknown one is warned of. False: refused. */
bool shape_members(struct shape *shape, const struct value *object, struct member *members,
                   size_t count);
bool shape_refuse(struct shape *shape, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* False (refused) unless v is of this kind. */
bool shape_expect(struct shape *shape, const struct value *v, enum value_kind kind,
                  const char *member);
bool shape_strings(struct shape *shape, const struct value *list, const char *member);
bool shape_op(struct value *out, struct shape *shape, const struct value *op);

#endif
