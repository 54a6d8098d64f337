/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_RUN_H
#define BV_STATE_RUN_H

#include <stdint.h>

#include "state/page.h"
#include "util/error.h"

/* Runs of pages: which pages are free, and which come next. Knows nothing of what lies in them;
 * page.c is its only user. */

#define RUN_CLASSES 23 /* by the logarithm of a free run's length; 2^22 pages are 64 GiB */

struct run_space {
    struct page_record *records; /* one per page, reserved for the whole range */
    uint32_t page_count_max;
    uint32_t next_page; /* pages from here on were never handed out */
    uint64_t used_pages;
    uint64_t limit_pages;
    uint64_t fail_after;   /* for tests: so many more calls succeed */
    uint32_t free_classes; /* bit k: free_first[k] is not empty */
    uint32_t free_first[RUN_CLASSES];
};

/* limit_bytes 0: none. */
enum bv_status run_space_init(struct run_space *space, uint64_t page_count, uint64_t limit_bytes,
                              struct bv_error *err);
void run_space_deinit(struct run_space *space); /* accepts all zero */

/* `count` pages in a row, their records undefined; the first page, 0 when there is no room. */
uint32_t run_take(struct run_space *space, uint32_t count);
void run_release(struct run_space *space, uint32_t page, uint32_t count);

#endif
