/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_CANONICAL_H
#define BV_REGISTRY_CANONICAL_H

#include "registry/descriptor.h"
#include "util/buf.h"

enum canonical_form {
    /* What the definition means: fields sorted; without what has no effect (the version and the
     * informative schema of a derivation). */
    CANONICAL_IDENTITY,
    /* What the log keeps: everything, fields in the order that was sent. */
    CANONICAL_LOG,
};

/* Appends the node as compact JSON with sorted members. */
void canonical_write(struct buf *out, const struct descriptor *node, enum canonical_form form);
/* Sets node->canonical (identity form) for each node, in the arena. False: memory is spent. */
bool canonical_set(struct descriptor *nodes, size_t count, struct arena *arena);
/* A list of names as a JSON array. */
void canonical_write_names(struct buf *out, const struct slice *names, size_t count);
/* Event fields by name, for comparing: an array in the arena, NULL when memory is spent. */
struct row_field *canonical_sort_fields(const struct descriptor *node, struct arena *arena);

#endif
