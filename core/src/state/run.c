/* SPDX-License-Identifier: Apache-2.0 */
/* Free runs of pages, joined with their neighbours when they come back.
 *
 * Enters:  page counts.
 * Leaves:  page numbers.
 * Owner:   struct pages, on the apply thread.
 *
 * Invariants
 *   (1) No two free runs touch: a released run swallows free neighbours.
 *   (2) First and last page of a free run carry PAGE_FREE and its length in run_pages; no page in
 *       use carries PAGE_FREE. A page inside a free run says nothing, but has no live block.
 *   (3) A free run of n pages is in the list of class log2(n): next_page and, backwards, free_ref.
 *   (4) used_pages <= limit_pages.
 *
 * Single pages are asked for most, and a fresh one is behind all others: the free lists come first,
 * so that memory which was touched once is used again. */
#include "state/run.h"

#include <sys/mman.h>

#include "util/assert.h"

#define CLASS_SEARCH_MAX                                                                           \
    8 /* runs of the same class that are looked at, before a larger one is cut */

enum bv_status
run_space_init(struct run_space *space, uint64_t page_count, uint64_t limit_bytes,
               struct bv_error *err)
{
    const uint64_t bytes = page_count * sizeof(struct page_record);
    void *records = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (records == MAP_FAILED) {
        return bv_error_set(err, BV_NO_MEMORY, "state: cannot reserve the records of %llu pages",
                            (unsigned long long)page_count);
    }
    /* One huge page would be the records of 1 GiB: too much for an empty start. */
    madvise(records, bytes, MADV_NOHUGEPAGE);
    *space = (struct run_space){
        .records = records,
        .page_count_max = (uint32_t)page_count,
        .next_page = 1,
        .limit_pages = limit_bytes == 0 ? UINT64_MAX : limit_bytes / PAGE_SIZE_BYTES,
        .fail_after = UINT64_MAX,
    };
    return BV_OK;
}

void
run_space_deinit(struct run_space *space)
{
    if (space->records != NULL) {
        munmap(space->records, (uint64_t)space->page_count_max * sizeof(struct page_record));
    }
}

static unsigned
class_of(uint32_t count)
{
    return 31u - (unsigned)__builtin_clz(count);
}

static void
free_list(struct run_space *space, uint32_t page, uint32_t count)
{
    const unsigned class = class_of(count);
    const uint32_t next = space->free_first[class];

    space->records[page] =
        (struct page_record){.flags = PAGE_FREE, .run_pages = count, .next_page = next};
    if (count > 1) {
        space->records[page + count - 1] =
            (struct page_record){.flags = PAGE_FREE, .run_pages = count};
    }
    if (next != 0) {
        space->records[next].free_ref = page;
    }
    space->free_first[class] = page;
    space->free_classes |= 1u << class;
}

static void
free_unlist(struct run_space *space, uint32_t page)
{
    const struct page_record *record = &space->records[page];
    const unsigned class = class_of(record->run_pages);

    if (record->free_ref == 0) {
        BV_ASSERT(space->free_first[class] == page);
        space->free_first[class] = record->next_page;
        if (record->next_page == 0) {
            space->free_classes &= ~(1u << class);
        }
    } else {
        space->records[record->free_ref].next_page = record->next_page;
    }
    if (record->next_page != 0) {
        space->records[record->next_page].free_ref = record->free_ref;
    }
}

/* A free run of at least `count` pages, still in its list; 0 when there is none. */
static uint32_t
free_find(const struct run_space *space, uint32_t count)
{
    const unsigned class = class_of(count);
    uint32_t page = space->free_first[class];

    for (unsigned i = 0; page != 0 && i < CLASS_SEARCH_MAX; i++) {
        if (space->records[page].run_pages >= count) {
            return page;
        }
        page = space->records[page].next_page;
    }
    const uint32_t larger = space->free_classes & ~((2u << class) - 1);

    return larger == 0 ? 0 : space->free_first[__builtin_ctz(larger)];
}

uint32_t
run_take(struct run_space *space, uint32_t count)
{
    BV_ASSERT(count != 0);
    if (space->fail_after != UINT64_MAX) {
        if (space->fail_after == 0) {
            return 0;
        }
        space->fail_after--;
    }
    if (count > space->limit_pages - space->used_pages) {
        return 0;
    }
    uint32_t page = free_find(space, count);

    if (page != 0) {
        const uint32_t length = space->records[page].run_pages;

        free_unlist(space, page);
        if (length > count) {
            free_list(space, page + count, length - count);
        }
    } else {
        if (count > space->page_count_max - space->next_page) {
            return 0;
        }
        page = space->next_page;
        space->next_page += count;
    }
    space->used_pages += count;
    return page;
}

void
run_release(struct run_space *space, uint32_t page, uint32_t count)
{
    struct page_record *records = space->records;

    BV_ASSERT(page != 0);
    BV_ASSERT(count != 0);
    BV_ASSERT(page + count <= space->next_page);
    BV_ASSERT(space->used_pages >= count);
    space->used_pages -= count;
    for (uint32_t i = 0; i < count; i++) {
        records[page + i] = (struct page_record){.flags = PAGE_FREE};
    }
    if (records[page - 1].flags & PAGE_FREE) {
        const uint32_t before = records[page - 1].run_pages;

        page -= before;
        count += before;
        free_unlist(space, page);
    }
    if (page + count < space->next_page && records[page + count].flags & PAGE_FREE) {
        const uint32_t after = page + count;

        count += records[after].run_pages;
        free_unlist(space, after);
    }
    free_list(space, page, count);
}
