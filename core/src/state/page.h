/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_PAGE_H
#define BV_STATE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/* Pages of blocks: one reserved range of addresses, handed out in 16 KiB pages, each holding blocks
 * of one owner and one size. A ref is a u32 in units of 16 bytes from the range's base (64 GiB);
 * 0 is never a block. Everything an entity owns lies here and is reached by ref, never by pointer.
 *
 * First touch must not fall on the apply thread: a populate thread touches memory ahead of the
 * allocation point (engine.md 5). All other calls: apply thread only. */

#define PAGE_SIZE_BYTES   16384u
#define PAGE_UNIT_BYTES   16u
#define PAGE_UNITS        (PAGE_SIZE_BYTES / PAGE_UNIT_BYTES)
#define PAGE_OWNER_SHARED 0u /* out-of-line memory of any table */

struct pages;

struct pages_options {
    uint64_t reserve_bytes; /* 0: 64 GiB of addresses */
    uint64_t limit_bytes;   /* 0: none; past it allocation returns 0 */
    bool populate;          /* start the populate thread */
};

/* One record per page, 32 bytes, in an array of their own. image_lsn is for the rolling snapshot. */
struct page_record {
    uint32_t owner; /* table id + 1, or PAGE_OWNER_SHARED */
    uint16_t layout;
    uint16_t block_units; /* block size in 16-byte units; 0: part of a large run */
    uint16_t used;
    uint16_t flags;
    uint32_t free_ref;  /* first free block of this page, 0 = none */
    uint32_t next_page; /* list of pages with room */
    uint32_t run_pages; /* first page of a large run: its pages */
    uint64_t image_lsn;
};

_Static_assert(sizeof(struct page_record) == 32, "engine.md 5");

enum bv_status pages_create(struct pages **out, const struct pages_options *options,
                            struct bv_error *err);
void pages_destroy(struct pages *pages); /* accepts NULL */
uint8_t *pages_base(const struct pages *pages);
uint64_t pages_used_bytes(const struct pages *pages); /* pages handed out and not free */
struct page_record *pages_record(struct pages *pages, uint32_t ref);

/* Out-of-line memory of any size up to 64 MiB: size classes inside pages, runs of pages beyond.
 * Contents undefined. 0 when memory is spent. */
uint32_t pages_alloc(struct pages *pages, uint32_t size);
void pages_release(struct pages *pages, uint32_t ref, uint32_t size);

/* Blocks of one owner, layout and size (multiple of 16, <= PAGE_SIZE_BYTES; larger ones take a run). */
uint32_t pages_alloc_block(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size);
void pages_release_block(struct pages *pages, uint32_t ref, uint32_t size);

#endif
