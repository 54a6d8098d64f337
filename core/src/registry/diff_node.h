/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_DIFF_NODE_H
#define BV_REGISTRY_DIFF_NODE_H

#include "registry/diff.h"

bool diff_list_add(struct diff_list *list, const struct diff_entry *entry, struct arena *arena);
/* Adds the entries of one descriptor that stands on both sides with different canonical text; the
 * old one's upstreams carry their new names. None means: nothing that counts differs. False: memory
 * is spent. */
bool diff_node(struct diff *diff, const struct descriptor *old, const struct descriptor *node,
               struct arena *arena);

#endif
