/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_VALIDATE_H
#define BV_REGISTRY_VALIDATE_H

#include "registry/draft.h"

/* Rules R1 to R5 of wire.md 4.5 over a draft that is the complete pipeline to be: what it needs
 * must be in it (V45). False: memory is spent. */
bool validate_draft(const struct draft *draft, struct report *report);
/* The rules without which nothing can be resolved (R1, R3 to R5, and where a group_by may stand);
 * all that is asked of a log record. */
bool validate_structure(const struct draft *draft, struct report *report);

#endif
