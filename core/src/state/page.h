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

#define PAGE_FREE                                                                                  \
    1u /* flags: first or last page of a free run; owner, layout and blocks mean nothing */

/* One record per page, 32 bytes, in an array of their own. image_lsn is for the rolling snapshot;
 * it is 0 when the page is handed out. */
struct page_record {
    uint32_t owner; /* table id + 1, or PAGE_OWNER_SHARED */
    uint16_t layout;
    uint16_t block_units; /* block size in 16-byte units; 0: part of a large run */
    uint16_t used;        /* live blocks */
    uint16_t flags;
    uint32_t free_ref;  /* first free block of this page, 0 = none */
    uint32_t next_page; /* list of pages with room */
    uint32_t run_pages; /* first page of a large run: its pages; page of blocks: list, backwards */
    uint64_t image_lsn;
};

_Static_assert(sizeof(struct page_record) == 32, "engine.md 5");

enum bv_status pages_create(struct pages **out, const struct pages_options *options,
                            struct bv_error *err);
void pages_destroy(struct pages *pages); /* accepts NULL */
uint8_t *pages_base(const struct pages *pages);
uint64_t pages_used_bytes(const struct pages *pages); /* pages handed out and not free */
struct page_record *pages_record(struct pages *pages, uint32_t ref);
/* HASH_SECRET_BYTES of secret, drawn with these pages; all tables of one process share it, so that
 * one hash of a key serves every table grouped by it. */
const uint8_t *pages_hash_secret(const struct pages *pages);

/* Walking: pages 1 .. pages_count() - 1 have been handed out at least once. */
uint32_t pages_count(const struct pages *pages);
struct page_record *pages_record_at(struct pages *pages, uint32_t page);
/* Bit i: block i of this page is live. A large run is one block, on its first page. */
#define PAGE_MAP_WORDS (PAGE_UNITS / 64)
void pages_live_map(uint64_t map[PAGE_MAP_WORDS], struct pages *pages, uint32_t page);

/* Out-of-line memory of any size up to 64 MiB: size classes inside pages, runs of pages beyond.
 * Contents undefined. 0 when memory is spent. */
uint32_t pages_alloc(struct pages *pages, uint32_t size);
void pages_release(struct pages *pages, uint32_t ref, uint32_t size);

/* Blocks of one owner, layout and size (multiple of 16, <= PAGE_SIZE_BYTES; larger ones take a
 * run). */
uint32_t pages_alloc_block(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size);
void pages_release_block(struct pages *pages, uint32_t ref, uint32_t size);
/* The same from a page whose image_lsn is this one (never 0): the last page of such blocks, or a
 * fresh page. */
uint32_t pages_alloc_image(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size,
                           uint64_t image_lsn);
/* Recovery is over: every image_lsn becomes 0, and pages with room are used again. */
void pages_forget_images(struct pages *pages);
/* No block of this owner has another layout than this one: what was kept for others is dropped. */
void pages_forget_layouts(struct pages *pages, uint32_t owner, uint16_t layout);
/* Frees every block of an owner (not PAGE_OWNER_SHARED) at once. */
void pages_release_owner(struct pages *pages, uint32_t owner);

/* For tests: the nth page asked for from now on (1 = the next) and all after it are refused, as if
 * memory were spent; 0 ends that. */
void pages_fail_from(struct pages *pages, uint64_t nth);
/* For tests and metrics: memory touched ahead by the populate thread, from the base. */
uint64_t pages_populated_bytes(const struct pages *pages);

#endif
