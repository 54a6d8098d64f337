/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_MIGRATE_H
#define BV_APPLY_MIGRATE_H

#include "apply/apply.h"

/* Moves all blocks of older layouts, a slice at a time, and forgets those layouts. */
struct migrate {
    uint32_t page; /* the next one to look at */
};

void migrate_begin(struct migrate *migrate);
/* *is_done when every table is uniform; BV_NO_MEMORY when a block finds no place (it stays). */
enum bv_status migrate_slice(struct migrate *migrate, struct engine *engine, uint64_t until_ns,
                             bool *is_done, struct bv_error *err);

#endif
