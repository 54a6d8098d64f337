/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks inside pages.
 *
 * Enters:  sizes, from tables (blocks) and accumulators (out-of-line memory).
 * Leaves:  refs; 0 when the limit, the range or the machine has no more.
 * Owner:   the apply thread. The populate thread only faults pages in.
 *
 * Invariants
 *   (1) Page 0 is never handed out, so ref 0 is no block, and its bytes are always zero.
 *   (2) A page of blocks belongs to one pool: one owner, layout and size. It is in the pool's list
 *       exactly while it has a free block, and goes back to the free runs with its last live one.
 *   (3) Free blocks form a list through their first words. The last may say LINK_FRESH: it and all
 *       blocks behind it were never used. So opening a page writes one word, not a thousand.
 *   (4) A failed call changes nothing.
 *   (5) A page that was made for an image (image_lsn not 0) is in no pool's list. Only an image of
 *       the same LSN gets a block in it, and only while it is the last such page of its pool; a
 *       block that is freed in it stays free until pages_forget_images.
 *
 * A pool is found by hashing (owner, layout, size) at each call: pages keep no pool number, because
 * their record is full and a snapshot wants it at 32 bytes. */
#include "state/page.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "state/hash.h"
#include "state/populate.h"
#include "state/run.h"
#include "util/assert.h"

#define LINK_FRESH             UINT32_MAX
#define RESERVE_DEFAULT_BYTES  (64ull << 30)
#define RESERVE_SMALLEST_BYTES (1ull << 30)
#define ALIGN_BYTES            (2ull << 20) /* a huge page */
#define AHEAD_BYTES_MIN        (4ull << 20)
#define AHEAD_BYTES_MAX        (32ull << 20)
#define ALLOC_SIZE_MAX         (64u << 20)
#define POOLS_FIRST_CAPACITY   64u

struct pool {
    uint64_t key;        /* pool_key(); 0 = empty place */
    uint32_t first_page; /* with room; 0 = none */
};

struct pages {
    uint8_t *base;
    uint8_t *reserved; /* what mmap returned, before alignment */
    uint64_t reserved_bytes;
    uint64_t asked_bytes; /* of the populate thread */
    struct populate *populate;
    struct run_space space;
    struct pool *pools; /* open addressing, linear, at most half full */
    uint32_t pool_capacity;
    uint32_t pool_count;
    uint8_t secret[HASH_SECRET_BYTES];
};

/* ---- pools ---- */

static uint64_t
pool_key(uint32_t owner, uint16_t layout, uint32_t units)
{
    return (uint64_t)owner << 32 | (uint64_t)layout << 16 | units;
}

/* The pool that remembers the last page made for images; never more than one page. Units need 11
 * bits of the 16. */
#define POOL_OF_IMAGES 0x8000u

static bool
is_pool_of(const struct pool *pool, uint32_t owner)
{
    return pool->key != 0 && pool->key >> 32 == owner;
}

static uint32_t
pool_home(const struct pages *pages, uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 40) & (pages->pool_capacity - 1);
}

/* The place of this key, or the empty one where it would stand. */
static struct pool *
pool_place(const struct pages *pages, uint64_t key)
{
    uint32_t at = pool_home(pages, key);

    while (pages->pools[at].key != key && pages->pools[at].key != 0) {
        at = (at + 1) & (pages->pool_capacity - 1);
    }
    return &pages->pools[at];
}

static bool
pools_grow(struct pages *pages)
{
    struct pool *old = pages->pools;
    const uint32_t old_capacity = pages->pool_capacity;
    const uint32_t capacity = old_capacity == 0 ? POOLS_FIRST_CAPACITY : old_capacity * 2;
    struct pool *grown = calloc(capacity, sizeof *grown);

    if (grown == NULL) {
        return false;
    }
    pages->pools = grown;
    pages->pool_capacity = capacity;
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].key != 0) {
            *pool_place(pages, old[i].key) = old[i];
        }
    }
    free(old);
    return true;
}

static struct pool *
pool_open(struct pages *pages, uint64_t key)
{
    if (pages->pool_count * 2 >= pages->pool_capacity && !pools_grow(pages)) {
        return NULL;
    }
    struct pool *pool = pool_place(pages, key);

    if (pool->key == 0) {
        pool->key = key;
        pool->first_page = 0;
        pages->pool_count++;
    }
    return pool;
}

/* Empties the place and moves up what had to pass it. */
static void
pool_remove(struct pages *pages, uint32_t at)
{
    const uint32_t mask = pages->pool_capacity - 1;

    pages->pool_count--;
    for (uint32_t next = (at + 1) & mask; pages->pools[next].key != 0; next = (next + 1) & mask) {
        const uint32_t home = pool_home(pages, pages->pools[next].key);

        if (((next - home) & mask) >= ((next - at) & mask)) {
            pages->pools[at] = pages->pools[next];
            at = next;
        }
    }
    pages->pools[at] = (struct pool){0};
}

static void
pool_list(struct pages *pages, struct pool *pool, uint32_t page)
{
    struct page_record *records = pages->space.records;

    records[page].next_page = pool->first_page;
    records[page].run_pages = 0;
    if (pool->first_page != 0) {
        records[pool->first_page].run_pages = page;
    }
    pool->first_page = page;
}

static void
pool_unlist(struct pages *pages, struct pool *pool, uint32_t page)
{
    struct page_record *records = pages->space.records;
    const uint32_t next = records[page].next_page;
    const uint32_t previous = records[page].run_pages;

    if (previous == 0) {
        BV_ASSERT(pool->first_page == page);
        pool->first_page = next;
    } else {
        records[previous].next_page = next;
    }
    if (next != 0) {
        records[next].run_pages = previous;
    }
    records[page].next_page = 0;
    records[page].run_pages = 0;
}

static struct pool *
pool_of_page(const struct pages *pages, const struct page_record *record)
{
    struct pool *pool =
        pool_place(pages, pool_key(record->owner, record->layout, record->block_units));

    BV_ASSERT(pool->key != 0);
    return pool;
}

/* ---- pages ---- */

static uint8_t *
unit_at(const struct pages *pages, uint32_t ref)
{
    return pages->base + (size_t)ref * PAGE_UNIT_BYTES;
}

static uint32_t
link_load(const struct pages *pages, uint32_t ref)
{
    uint32_t link;

    memcpy(&link, unit_at(pages, ref), sizeof link);
    return link;
}

static void
link_store(struct pages *pages, uint32_t ref, uint32_t link)
{
    memcpy(unit_at(pages, ref), &link, sizeof link);
}

/* Tells the populate thread how far to be. What lies ahead grows with what is in use, so that a
 * small state stays small. */
static void
ask_ahead(struct pages *pages)
{
    const uint64_t top = (uint64_t)pages->space.next_page * PAGE_SIZE_BYTES;
    uint64_t ahead = 2 * top;

    if (pages->populate == NULL) {
        return;
    }
    ahead = ahead < AHEAD_BYTES_MIN ? AHEAD_BYTES_MIN : ahead;
    ahead = ahead > AHEAD_BYTES_MAX ? AHEAD_BYTES_MAX : ahead;
    const uint64_t wanted = (top + ahead) / POPULATE_STEP_BYTES * POPULATE_STEP_BYTES;

    if (wanted > pages->asked_bytes) {
        pages->asked_bytes = wanted;
        populate_ask(pages->populate, wanted);
    }
}

static uint32_t
pages_take(struct pages *pages, uint32_t count)
{
    const uint32_t top = pages->space.next_page;
    const uint32_t page = run_take(&pages->space, count);

    if (pages->space.next_page != top) {
        ask_ahead(pages);
    }
    return page;
}

static uint32_t
alloc_run(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size)
{
    const uint32_t count = (size + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
    const uint32_t page = pages_take(pages, count);

    if (page == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        pages->space.records[page + i] = (struct page_record){.owner = owner, .layout = layout};
    }
    pages->space.records[page].run_pages = count;
    pages->space.records[page].used = 1;
    return page * PAGE_UNITS;
}

/* A page of fresh blocks, in no list; 0 when memory is spent. */
static uint32_t
page_of_blocks(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t units)
{
    const uint32_t page = pages_take(pages, 1);

    if (page == 0) {
        return 0;
    }
    pages->space.records[page] = (struct page_record){
        .owner = owner,
        .layout = layout,
        .block_units = (uint16_t)units,
        .free_ref = page * PAGE_UNITS,
    };
    link_store(pages, page * PAGE_UNITS, LINK_FRESH);
    return page;
}

/* Takes the first free block of a page that has one. */
static uint32_t
page_take_block(struct pages *pages, struct page_record *record)
{
    const uint32_t ref = record->free_ref;
    const uint32_t units = record->block_units;
    uint32_t next = link_load(pages, ref);

    if (next == LINK_FRESH) {
        next = ref % PAGE_UNITS + 2 * units <= PAGE_UNITS ? ref + units : 0;
        if (next != 0) {
            link_store(pages, next, LINK_FRESH);
        }
    }
    record->free_ref = next;
    record->used++;
    return ref;
}

uint32_t
pages_alloc_block(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size)
{
    BV_ASSERT(size != 0 && size % PAGE_UNIT_BYTES == 0);
    if (size > PAGE_SIZE_BYTES) {
        return size > ALLOC_SIZE_MAX ? 0 : alloc_run(pages, owner, layout, size);
    }
    const uint32_t units = size / PAGE_UNIT_BYTES;
    struct pool *pool = pool_open(pages, pool_key(owner, layout, units));

    if (pool == NULL) {
        return 0;
    }
    if (pool->first_page == 0) {
        const uint32_t page = page_of_blocks(pages, owner, layout, units);

        if (page == 0) {
            return 0;
        }
        pool_list(pages, pool, page);
    }
    struct page_record *record = &pages->space.records[pool->first_page];
    const uint32_t ref = page_take_block(pages, record);

    if (record->free_ref == 0) {
        pool_unlist(pages, pool, pool->first_page);
    }
    return ref;
}

uint32_t
pages_alloc_image(struct pages *pages, uint32_t owner, uint16_t layout, uint32_t size,
                  uint64_t image_lsn)
{
    BV_ASSERT(size != 0 && size % PAGE_UNIT_BYTES == 0);
    BV_ASSERT(image_lsn != 0);
    if (size > PAGE_SIZE_BYTES) {
        const uint32_t run = size > ALLOC_SIZE_MAX ? 0 : alloc_run(pages, owner, layout, size);

        if (run != 0) {
            pages_record(pages, run)->image_lsn = image_lsn;
        }
        return run;
    }
    const uint32_t units = size / PAGE_UNIT_BYTES;
    const uint64_t key = pool_key(owner, layout, units);

    /* The usual pool too: pages_forget_images lists the page there and must not fail. */
    if (pool_open(pages, key) == NULL) {
        return 0;
    }
    struct pool *pool = pool_open(pages, key | POOL_OF_IMAGES);

    if (pool == NULL) {
        return 0;
    }
    struct page_record *record = &pages->space.records[pool->first_page];

    if (pool->first_page == 0 || record->image_lsn != image_lsn || record->free_ref == 0) {
        const uint32_t page = page_of_blocks(pages, owner, layout, units);

        if (page == 0) {
            return 0;
        }
        pool->first_page = page;
        record = &pages->space.records[page];
        record->image_lsn = image_lsn;
    }
    return page_take_block(pages, record);
}

/* A block of an image is freed: its place is for nobody, the whole page for anybody. */
static void
release_image_block(struct pages *pages, uint32_t page)
{
    const struct page_record *record = &pages->space.records[page];

    if (record->used == 0) {
        struct pool *pool = pool_place(
            pages, pool_key(record->owner, record->layout, record->block_units) | POOL_OF_IMAGES);

        if (pool->key != 0 && pool->first_page == page) {
            pool->first_page = 0;
        }
        run_release(&pages->space, page, 1);
    }
}

void
pages_forget_images(struct pages *pages)
{
    for (uint32_t page = 1; page < pages->space.next_page; page++) {
        struct page_record *record = &pages->space.records[page];

        if (record->image_lsn == 0) {
            continue;
        }
        record->image_lsn = 0;
        if (record->block_units != 0 && record->free_ref != 0) {
            pool_list(pages, pool_of_page(pages, record), page);
        }
    }
    for (uint32_t i = 0; i < pages->pool_capacity;) {
        if (pages->pools[i].key & POOL_OF_IMAGES) {
            pool_remove(pages, i); /* may have moved another here: look again */
        } else {
            i++;
        }
    }
}

void
pages_release_block(struct pages *pages, uint32_t ref, uint32_t size)
{
    const uint32_t page = ref / PAGE_UNITS;
    struct page_record *record = &pages->space.records[page];

    BV_ASSERT(ref != 0);
    BV_ASSERT(record->used != 0);
    if (size > PAGE_SIZE_BYTES) {
        const uint32_t count = (size + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;

        BV_ASSERT(record->run_pages == count && record->block_units == 0);
        run_release(&pages->space, page, count);
        return;
    }
    BV_ASSERT(record->block_units * PAGE_UNIT_BYTES == size);
    const bool was_full = record->free_ref == 0;

    record->used--;
    if (BV_UNLIKELY(record->image_lsn != 0)) {
        link_store(pages, ref, record->free_ref);
        record->free_ref = ref;
        release_image_block(pages, page);
        return;
    }
    if (record->used == 0) {
        if (!was_full) {
            pool_unlist(pages, pool_of_page(pages, record), page);
        }
        run_release(&pages->space, page, 1);
        return;
    }
    link_store(pages, ref, record->free_ref);
    record->free_ref = ref;
    if (was_full) {
        pool_list(pages, pool_of_page(pages, record), page);
    }
}

void
pages_release_owner(struct pages *pages, uint32_t owner)
{
    BV_ASSERT(owner != PAGE_OWNER_SHARED);
    for (uint32_t page = 1; page < pages->space.next_page; page++) {
        const struct page_record *record = &pages->space.records[page];

        if (record->owner == owner && record->used != 0) {
            run_release(&pages->space, page, record->block_units != 0 ? 1 : record->run_pages);
        }
    }
    for (uint32_t i = 0; i < pages->pool_capacity;) {
        if (is_pool_of(&pages->pools[i], owner)) {
            pool_remove(pages, i); /* may have moved another here: look again */
        } else {
            i++;
        }
    }
}

void
pages_forget_layouts(struct pages *pages, uint32_t owner, uint16_t layout)
{
    for (uint32_t i = 0; i < pages->pool_capacity;) {
        const struct pool *pool = &pages->pools[i];

        if (is_pool_of(pool, owner) && (uint16_t)(pool->key >> 16) != layout &&
            pool->first_page == 0) {
            pool_remove(pages, i);
        } else {
            i++;
        }
    }
}

/* ---- out-of-line memory ---- */

/* Classes: by 16 up to 128, by 32 up to 512, then the largest size of which a page holds k. */
static uint32_t
shared_size(uint32_t size)
{
    if (size <= 128) {
        return size <= 16 ? 16 : (size + 15) & ~15u;
    }
    if (size <= 512) {
        return (size + 31) & ~31u;
    }
    if (size <= PAGE_SIZE_BYTES) {
        const uint32_t units = (size + 15) / 16;

        return PAGE_UNITS / (PAGE_UNITS / units) * PAGE_UNIT_BYTES;
    }
    return (size + 15) & ~15u;
}

uint32_t
pages_alloc(struct pages *pages, uint32_t size)
{
    if (size > ALLOC_SIZE_MAX) {
        return 0;
    }
    return pages_alloc_block(pages, PAGE_OWNER_SHARED, 0, shared_size(size));
}

void
pages_release(struct pages *pages, uint32_t ref, uint32_t size)
{
    pages_release_block(pages, ref, shared_size(size));
}

/* ---- looking ---- */

uint8_t *
pages_base(const struct pages *pages)
{
    return pages->base;
}

uint64_t
pages_used_bytes(const struct pages *pages)
{
    return pages->space.used_pages * PAGE_SIZE_BYTES;
}

const uint8_t *
pages_hash_secret(const struct pages *pages)
{
    return pages->secret;
}

struct page_record *
pages_record(struct pages *pages, uint32_t ref)
{
    return &pages->space.records[ref / PAGE_UNITS];
}

uint32_t
pages_count(const struct pages *pages)
{
    return pages->space.next_page;
}

struct page_record *
pages_record_at(struct pages *pages, uint32_t page)
{
    BV_ASSERT(page < pages->space.next_page);
    return &pages->space.records[page];
}

void
pages_live_map(uint64_t map[PAGE_MAP_WORDS], struct pages *pages, uint32_t page)
{
    const struct page_record *record = pages_record_at(pages, page);

    memset(map, 0, PAGE_MAP_WORDS * sizeof map[0]);
    if (record->used == 0) {
        return; /* free, or inside a run */
    }
    uint32_t live = record->block_units == 0 ? 1 : PAGE_UNITS / record->block_units;

    memset(map, 0xff, live / 64 * sizeof map[0]);
    if (live % 64 != 0) {
        map[live / 64] = (1ull << (live % 64)) - 1;
    }
    for (uint32_t ref = record->free_ref; ref != 0;) {
        const uint32_t block = ref % PAGE_UNITS / record->block_units;
        const uint32_t link = link_load(pages, ref);
        const uint32_t end = link == LINK_FRESH ? live : block + 1;

        for (uint32_t i = block; i < end; i++) {
            map[i / 64] &= ~(1ull << (i % 64));
        }
        ref = link == LINK_FRESH ? 0 : link;
    }
}

void
pages_fail_from(struct pages *pages, uint64_t nth)
{
    pages->space.fail_after = nth == 0 ? UINT64_MAX : nth - 1;
}

uint64_t
pages_populated_bytes(const struct pages *pages)
{
    return pages->populate == NULL ? 0 : populate_done_bytes(pages->populate);
}

/* ---- life ---- */

/* Addresses without memory behind them; NULL when the kernel refuses. */
static void *
reserve(uint64_t bytes)
{
    void *range = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return range == MAP_FAILED ? NULL : range;
}

/* The default shrinks where addresses are rationed (ulimit -v, strict overcommit). */
static enum bv_status
reserve_range(struct pages *pages, uint64_t asked, struct bv_error *err)
{
    uint64_t bytes = asked == 0 ? RESERVE_DEFAULT_BYTES : asked;

    pages->reserved = reserve(bytes + ALIGN_BYTES);
    while (pages->reserved == NULL && asked == 0 && bytes > RESERVE_SMALLEST_BYTES) {
        bytes /= 2;
        pages->reserved = reserve(bytes + ALIGN_BYTES);
    }
    if (pages->reserved == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "state: cannot reserve %llu bytes of addresses",
                            (unsigned long long)bytes);
    }
    pages->reserved_bytes = bytes + ALIGN_BYTES;
    pages->base = pages->reserved + (-(uintptr_t)pages->reserved & (uintptr_t)(ALIGN_BYTES - 1));
    return BV_OK;
}

/* Huge pages only where another thread takes their faults: one costs up to 6 ms. The first step
 * stays in small pages, so that a small state is small in memory too. */
static void
advise(const struct pages *pages, uint64_t bytes, bool populate)
{
    const uint64_t small = !populate || bytes < POPULATE_STEP_BYTES ? bytes : POPULATE_STEP_BYTES;

    madvise(pages->base, small, MADV_NOHUGEPAGE);
    if (small < bytes) {
        madvise(pages->base + small, bytes - small, MADV_HUGEPAGE);
    }
}

enum bv_status
pages_create(struct pages **out, const struct pages_options *options, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct pages *pages = calloc(1, sizeof *pages);
    uint64_t bytes;

    if (pages == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "state pages");
        goto done;
    }
    if (options->reserve_bytes > RESERVE_DEFAULT_BYTES) {
        status = bv_error_set(err, BV_CONFIG, "state: %llu bytes asked for, 64 GiB are the limit",
                              (unsigned long long)options->reserve_bytes);
        goto done;
    }
    status = hash_secret_draw(pages->secret, err);
    if (status != BV_OK) {
        goto done;
    }
    status = reserve_range(pages, options->reserve_bytes, err);
    if (status != BV_OK) {
        goto done;
    }
    bytes = (pages->reserved_bytes - ALIGN_BYTES) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
    status = run_space_init(&pages->space, bytes / PAGE_SIZE_BYTES, options->limit_bytes, err);
    if (status != BV_OK) {
        goto done;
    }
    advise(pages, bytes, options->populate);
    if (options->populate) {
        status = populate_create(&pages->populate, pages->base, bytes, err);
        if (status != BV_OK) {
            goto done;
        }
    }
    *out = pages;
    pages = NULL; /* handed over */
done:
    pages_destroy(pages);
    return status;
}

void
pages_destroy(struct pages *pages)
{
    if (pages == NULL) {
        return;
    }
    populate_destroy(pages->populate);
    run_space_deinit(&pages->space);
    if (pages->reserved != NULL) {
        munmap(pages->reserved, pages->reserved_bytes);
    }
    free(pages->pools);
    free(pages);
}
