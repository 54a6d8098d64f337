/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_RESOLVE_H
#define BV_REGISTRY_RESOLVE_H

#include "registry/registry.h"
#include "registry/report.h"

/* Turns the descriptors of a registry into its resolved form: rules R6 and R7 of wire.md 4.5. A
 * graph is made for each event, the ops of every derivation are walked, tables become features.
 * Findings go to the report; when it has errors the sources are half made and only good for
 * registry_destroy. Upstreams must come before their users (R1 to R5). False: memory is spent. */
bool resolve_registry(struct registry *registry, bool is_replay, struct report *report);

/* The group_by of a derivation: its index, op_count when it has none. */
size_t resolve_group_index(const struct descriptor *node);

#endif
