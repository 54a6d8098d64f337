/* SPDX-License-Identifier: Apache-2.0 */
/* Entities by key: an index in front of blocks that carry their keys.
 *
 * Enters:  keys, with their hashes.
 * Leaves:  refs of blocks; the caller fills in their state bytes.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) Each live entity has one entry in the index and one block; between table_move and
 *       table_free_block a second block, of the same key, that no entry leads to.
 *   (2) A block's size follows from its layout and key_length alone, so freeing needs no table.
 *   (3) foreign_blocks counts blocks of layouts other than the current one. While it is 0, no
 *       lookup reads a page record.
 *   (4) A long key is owned by the block that the index leads to.
 *   (5) A failed call leaves index, blocks and counts as they were.
 *   (6) Layouts are counted from the oldest that is kept; a page's record has the number plus
 *       layout_base, so that dropping old ones touches no page.
 *
 *   block   state | u48 touched_ms | u8 key_length | u8 flags | key | zeros to the block's size
 *   long    key = first 14 bytes | u32 size | u32 ref; at ref: the whole key, zeros to 8, u64 hash
 *
 * The hash stands behind a long key because a split needs it, and hashing a thousand keys of
 * megabytes would stop the apply thread. It is of this process: snapshots leave it out. */
#include "state/table.h"

#include <stdlib.h>
#include <string.h>

#include "state/hash.h"
#include "state/index.h"
#include "util/assert.h"
#include "util/bytes.h"

#define FIELD_TOUCHED   0u /* from the end of the state bytes */
#define FIELD_HEAD      6u /* u8 key_length, u8 flags */
#define FIELD_KEY       8u
#define FLAG_LONG_KEY   1u
#define SHORT_KEY_MAX   255u
#define LONG_KEY_PREFIX 14u
#define LONG_KEY_FIELD  22u
#define HEAD_LONG_KEY   (LONG_KEY_FIELD | FLAG_LONG_KEY << 8)
#define LINE_BYTES      64u
#define LADDER_BYTES    512u /* up to here sizes go by cache lines */
#define STATE_SIZE_MAX  (32u * 1024 * 1024)
#define LAYOUTS_MAX     UINT16_MAX

struct table {
    struct table_prefix prefix; /* first: table.h reads it */
    uint32_t state_size;        /* of the current layout */
    uint64_t foreign_blocks;
    struct index index;
    const uint8_t *secret;
    struct pages *pages;
    struct table_layout *layouts;
    uint32_t layout_count;
    uint32_t layout_capacity;
    uint16_t layout_base; /* what a page calls layout 0; it goes round */
    uint64_t block_count;
    uint64_t block_bytes;
    uint64_t long_key_count;
    uint32_t id;
};

_Static_assert(offsetof(struct table, prefix) == 0, "table_state casts");

/* ---- blocks ---- */

static uint8_t *
block_at(const struct table *table, uint32_t ref)
{
    return table->prefix.base + (size_t)ref * PAGE_UNIT_BYTES;
}

static uint16_t
layout_of(const struct table *table, uint32_t ref)
{
    if (BV_LIKELY(table->foreign_blocks == 0)) {
        return (uint16_t)(table->layout_count - 1);
    }
    return (uint16_t)(pages_record(table->pages, ref)->layout - table->layout_base);
}

static uint32_t
state_size_of(const struct table *table, uint32_t ref)
{
    if (BV_LIKELY(table->foreign_blocks == 0)) {
        return table->state_size;
    }
    return table->layouts[layout_of(table, ref)].state_size;
}

/* What stands behind the state bytes. */
static uint8_t *
tail_at(const struct table *table, uint32_t ref)
{
    return block_at(table, ref) + state_size_of(table, ref);
}

static void
touched_store(uint8_t *tail, uint64_t ms)
{
    store_le32(tail + FIELD_TOUCHED, (uint32_t)ms);
    store_le16(tail + FIELD_TOUCHED + 4, (uint16_t)(ms >> 32));
}

static uint32_t
block_size(uint32_t state_size, uint32_t key_length)
{
    const uint32_t need = state_size + FIELD_KEY + key_length;

    if (need <= LINE_BYTES) {
        return (need + PAGE_UNIT_BYTES - 1) & ~(PAGE_UNIT_BYTES - 1);
    }
    const uint32_t lines = (need + LINE_BYTES - 1) & ~(LINE_BYTES - 1);

    if (lines <= LADDER_BYTES || lines > PAGE_SIZE_BYTES) {
        return lines;
    }
    /* The largest size of which a page holds as many: few sizes, nothing wasted. */
    return PAGE_SIZE_BYTES / (PAGE_SIZE_BYTES / lines) & ~(LINE_BYTES - 1);
}

static bool
is_long(const uint8_t *tail)
{
    return (tail[FIELD_HEAD + 1] & FLAG_LONG_KEY) != 0;
}

/* ---- long keys ---- */

static uint32_t
long_key_bytes(uint32_t size)
{
    return ((size + 7) & ~7u) + (uint32_t)sizeof(uint64_t);
}

static struct slice
long_key(const struct table *table, const uint8_t *tail)
{
    const uint8_t *field = tail + FIELD_KEY;

    return slice_of(block_at(table, load_le32(field + LONG_KEY_PREFIX + 4)),
                    load_le32(field + LONG_KEY_PREFIX));
}

static uint64_t
long_key_hash(struct slice key)
{
    return load_le64(key.data + long_key_bytes((uint32_t)key.size) - sizeof(uint64_t));
}

static uint32_t
long_key_store(struct table *table, uint64_t hash, struct slice key)
{
    const uint32_t bytes = long_key_bytes((uint32_t)key.size);
    const uint32_t ref = pages_alloc(table->pages, bytes);

    if (ref != 0) {
        uint8_t *at = block_at(table, ref);

        memset(at + bytes - 2 * sizeof hash, 0, sizeof hash);
        memcpy(at, key.data, key.size);
        store_le64(at + bytes - sizeof hash, hash);
        table->long_key_count++;
    }
    return ref;
}

static void
long_key_release(struct table *table, const uint8_t *tail)
{
    const uint8_t *field = tail + FIELD_KEY;

    pages_release(table->pages, load_le32(field + LONG_KEY_PREFIX + 4),
                  long_key_bytes(load_le32(field + LONG_KEY_PREFIX)));
    table->long_key_count--;
}

/* ---- comparing ---- */

/* Equal sizes are known. Two loads that overlap cover 8 to 16 bytes, and 4 to 7, without a call. */
static inline bool
bytes_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    if (BV_LIKELY(size - 8 <= 8)) {
        return ((load_le64(a) ^ load_le64(b)) |
                (load_le64(a + size - 8) ^ load_le64(b + size - 8))) == 0;
    }
    if (size > 16) {
        return memcmp(a, b, size) == 0;
    }
    if (size >= 4) {
        return ((load_le32(a) ^ load_le32(b)) |
                (load_le32(a + size - 4) ^ load_le32(b + size - 4))) == 0;
    }
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

__attribute__((noinline)) static bool
long_key_matches(const struct table *table, const uint8_t *tail, uint64_t hash, struct slice key)
{
    if (load_le32(tail + FIELD_KEY + LONG_KEY_PREFIX) != key.size ||
        !bytes_equal(tail + FIELD_KEY, key.data, LONG_KEY_PREFIX)) {
        return false;
    }
    const struct slice stored = long_key(table, tail);

    return long_key_hash(stored) == hash && memcmp(stored.data, key.data, key.size) == 0;
}

static inline bool
key_matches(const struct table *table, uint32_t ref, uint64_t hash, struct slice key)
{
    const uint8_t *tail = tail_at(table, ref);
    const uint16_t head = load_le16(tail + FIELD_HEAD);

    if (BV_LIKELY(key.size <= SHORT_KEY_MAX)) {
        return head == key.size && bytes_equal(tail + FIELD_KEY, key.data, key.size);
    }
    return head == HEAD_LONG_KEY && long_key_matches(table, tail, hash, key);
}

/* The index asks for it when it splits a segment. */
static uint64_t
hash_of_block(const void *owner, uint32_t ref)
{
    const struct table *table = owner;
    const uint8_t *tail = tail_at(table, ref);

    if (is_long(tail)) {
        return long_key_hash(long_key(table, tail));
    }
    return hash_key(table->secret, slice_of(tail + FIELD_KEY, tail[FIELD_HEAD]));
}

/* ---- lookup ---- */

uint64_t
table_hash(const struct table *table, struct slice key)
{
    return hash_key(table->secret, key);
}

void
table_prefetch_bucket(const struct table *table, uint64_t hash)
{
    const struct index_bucket *segment = index_segment(&table->index, hash);

    __builtin_prefetch(&segment[hash & (INDEX_BUCKETS - 1)]);
}

void
table_prefetch_block(const struct table *table, uint64_t hash)
{
    struct index_probe probe;

    index_probe_begin(&probe, &table->index, hash);
    const uint32_t ref = index_probe_next(&probe);

    if (ref != 0) {
        const uint8_t *block = block_at(table, ref);
        const uint32_t key_at = table->state_size + FIELD_KEY;

        __builtin_prefetch(block, 1);
        if (key_at >= PAGE_UNIT_BYTES) {
            __builtin_prefetch(block + key_at, 1); /* often the same line */
        }
    }
}

__attribute__((always_inline)) static inline uint32_t
find(const struct table *table, uint64_t hash, struct slice key)
{
    struct index_probe probe;

    index_probe_begin(&probe, &table->index, hash);
    for (;;) {
        const uint32_t ref = index_probe_next(&probe);

        if (ref == 0 || key_matches(table, ref, hash, key)) {
            return ref;
        }
    }
}

uint32_t
table_find(const struct table *table, uint64_t hash, struct slice key)
{
    return find(table, hash, key);
}

/* ---- changes ---- */

/* As a page's record has it. */
static uint16_t
page_layout(const struct table *table)
{
    return (uint16_t)(table->layout_base + table->layout_count - 1);
}

/* A block of the current layout with zeroed state; the key field is left to the caller. image_lsn
 * is 0 for all but those that an image brings. */
static uint32_t
block_create(struct table *table, uint32_t key_length, uint16_t head, uint64_t touched_ms,
             uint64_t image_lsn)
{
    const uint32_t size = block_size(table->state_size, key_length);
    const uint32_t ref =
        BV_LIKELY(image_lsn == 0)
            ? pages_alloc_block(table->pages, table->id + 1, page_layout(table), size)
            : pages_alloc_image(table->pages, table->id + 1, page_layout(table), size, image_lsn);

    if (ref != 0) {
        uint8_t *block = block_at(table, ref);
        uint8_t *tail = block + table->state_size;

        memset(block, 0, size);
        touched_store(tail, touched_ms);
        store_le16(tail + FIELD_HEAD, head);
        table->block_count++;
        table->block_bytes += size;
    }
    return ref;
}

static void
block_release(struct table *table, uint32_t ref)
{
    const uint32_t state_size = state_size_of(table, ref);
    const uint8_t *tail = block_at(table, ref) + state_size;

    if (layout_of(table, ref) != table->layout_count - 1) {
        table->foreign_blocks--;
    }
    const uint32_t size = block_size(state_size, tail[FIELD_HEAD]);

    table->block_count--;
    table->block_bytes -= size;
    pages_release_block(table->pages, ref, size);
}

static uint32_t
block_create_short(struct table *table, struct slice key, uint64_t now_ms, uint64_t image_lsn)
{
    const uint32_t length = (uint32_t)key.size;
    const uint32_t ref = block_create(table, length, (uint16_t)length, now_ms, image_lsn);

    if (ref != 0 && length != 0) {
        memcpy(block_at(table, ref) + table->state_size + FIELD_KEY, key.data, length);
    }
    return ref;
}

static uint32_t
block_create_long(struct table *table, uint64_t hash, struct slice key, uint64_t now_ms,
                  uint64_t image_lsn)
{
    if (key.size > TABLE_KEY_MAX) {
        return 0;
    }
    const uint32_t ref = block_create(table, LONG_KEY_FIELD, HEAD_LONG_KEY, now_ms, image_lsn);

    if (ref == 0) {
        return 0;
    }
    const uint32_t key_ref = long_key_store(table, hash, key);
    uint8_t *field = block_at(table, ref) + table->state_size + FIELD_KEY;

    if (key_ref == 0) {
        block_release(table, ref);
        return 0;
    }
    memcpy(field, key.data, LONG_KEY_PREFIX);
    store_le32(field + LONG_KEY_PREFIX, (uint32_t)key.size);
    store_le32(field + LONG_KEY_PREFIX + 4, key_ref);
    return ref;
}

/* Kept out of line: upsert's frequent case is a hit and saves its registers. */
__attribute__((noinline)) static uint32_t
insert(struct table *table, uint64_t hash, struct slice key, uint64_t now_ms, uint64_t image_lsn)
{
    const uint32_t ref = key.size <= SHORT_KEY_MAX
                             ? block_create_short(table, key, now_ms, image_lsn)
                             : block_create_long(table, hash, key, now_ms, image_lsn);

    if (ref != 0 && !index_insert(&table->index, hash, ref)) {
        if (key.size > SHORT_KEY_MAX) {
            long_key_release(table, tail_at(table, ref));
        }
        block_release(table, ref);
        return 0;
    }
    return ref;
}

uint32_t
table_upsert(struct table *table, uint64_t hash, struct slice key, uint64_t now_ms, bool *created)
{
    const uint32_t ref = find(table, hash, key);

    *created = false;
    if (BV_LIKELY(ref != 0)) {
        return ref;
    }
    const uint32_t fresh = insert(table, hash, key, now_ms, 0);

    *created = fresh != 0;
    return fresh;
}

void
table_remove(struct table *table, uint64_t hash, struct slice key)
{
    const uint32_t ref = find(table, hash, key);

    if (ref == 0) {
        return;
    }
    index_remove(&table->index, hash, ref);
    if (key.size > SHORT_KEY_MAX) {
        long_key_release(table, tail_at(table, ref));
    }
    block_release(table, ref);
}

/* A second block of the same key, which the index leads to from now on. */
static uint32_t
move_block(struct table *table, uint64_t hash, uint32_t old_ref, uint64_t touched_ms,
           uint64_t image_lsn)
{
    const uint8_t *old_tail = tail_at(table, old_ref);
    const uint32_t key_length = old_tail[FIELD_HEAD];
    const uint32_t ref =
        block_create(table, key_length, load_le16(old_tail + FIELD_HEAD), touched_ms, image_lsn);

    if (ref != 0) {
        memcpy(block_at(table, ref) + table->state_size + FIELD_KEY, old_tail + FIELD_KEY,
               key_length);
        index_replace(&table->index, hash, old_ref, ref);
    }
    return ref;
}

uint32_t
table_insert_image(struct table *table, uint64_t hash, struct slice key, uint64_t touched_ms,
                   uint64_t image_lsn, enum table_image *outcome)
{
    const uint32_t old_ref = find(table, hash, key);

    *outcome = TABLE_IMAGE_NEW;
    if (BV_LIKELY(old_ref == 0)) {
        return insert(table, hash, key, touched_ms, image_lsn);
    }
    if (table_image_lsn(table, old_ref) >= image_lsn) {
        *outcome = TABLE_IMAGE_STALE;
        return old_ref;
    }
    const uint32_t ref = move_block(table, hash, old_ref, touched_ms, image_lsn);

    if (ref == 0) {
        return 0;
    }
    /* Images are of the current layout: both blocks are. */
    *outcome = TABLE_IMAGE_REPLACES;
    memcpy(block_at(table, ref), block_at(table, old_ref), table->state_size);
    block_release(table, old_ref);
    return ref;
}

void
table_presize(struct table *table, uint64_t count)
{
    (void)index_presize(&table->index, count);
}

uint32_t
table_move(struct table *table, uint64_t hash, uint32_t old_ref)
{
    return move_block(table, hash, old_ref, table_touched_ms(table, old_ref), 0);
}

void
table_move_back(struct table *table, uint64_t hash, uint32_t old_ref, uint32_t ref)
{
    index_replace(&table->index, hash, ref, old_ref);
    block_release(table, ref);
}

void
table_free_block(struct table *table, uint32_t ref)
{
    block_release(table, ref);
}

/* ---- looking at one block ---- */

uint16_t
table_layout_of(const struct table *table, uint32_t ref)
{
    return layout_of(table, ref);
}

bool
table_is_plain(const struct table *table, uint32_t *state_size)
{
    *state_size = table->state_size;
    return table->foreign_blocks == 0 && table->long_key_count == 0;
}

struct slice
table_key(const struct table *table, uint32_t ref)
{
    const uint8_t *tail = tail_at(table, ref);

    if (is_long(tail)) {
        return long_key(table, tail);
    }
    return slice_of(tail + FIELD_KEY, tail[FIELD_HEAD]);
}

uint64_t
table_touched_ms(const struct table *table, uint32_t ref)
{
    const uint8_t *tail = tail_at(table, ref);

    return load_le32(tail + FIELD_TOUCHED) | (uint64_t)load_le16(tail + FIELD_TOUCHED + 4) << 32;
}

void
table_touch(struct table *table, uint32_t ref, uint64_t now_ms)
{
    touched_store(tail_at(table, ref), now_ms);
}

uint64_t
table_image_lsn(const struct table *table, uint32_t ref)
{
    return pages_record(table->pages, ref)->image_lsn;
}

void
table_each(struct table *table, table_visit visit, void *context)
{
    const uint32_t page_count = pages_count(table->pages);
    uint64_t map[PAGE_MAP_WORDS];

    for (uint32_t page = 1; page < page_count; page++) {
        const struct page_record *record = pages_record_at(table->pages, page);

        if (record->owner != table->id + 1 || record->used == 0) {
            continue;
        }
        const uint32_t units = record->block_units; /* 0 for a run, whose one block is number 0 */

        pages_live_map(map, table->pages, page);
        for (uint32_t word = 0; word < PAGE_MAP_WORDS; word++) {
            for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
                const uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(bits);

                visit(context, table, page * PAGE_UNITS + block * units);
            }
        }
    }
}

/* The hand is a hash: its top bits name a segment, its lowest a bucket. */
uint32_t
table_sample(const struct table *table, uint64_t *hand, uint32_t *refs, uint32_t refs_max)
{
    const uint64_t bucket_count = (uint64_t)INDEX_BUCKETS << table->index.depth;
    uint32_t count = 0;

    for (uint64_t i = 0; i < bucket_count && count + INDEX_PLACES <= refs_max; i++) {
        const struct index_bucket *bucket =
            &index_segment(&table->index, *hand)[*hand & (INDEX_BUCKETS - 1)];

        for (uint32_t place = 0; place < bucket->fill; place++) {
            if (bucket->ref[place] != 0) {
                refs[count++] = bucket->ref[place];
            }
        }
        if ((++*hand & (INDEX_BUCKETS - 1)) == 0) {
            /* The next segment; past the last one the sum wraps to the first. */
            *hand -= INDEX_BUCKETS;
            *hand = table->index.depth == 0
                        ? 0
                        : ((*hand >> (64 - table->index.depth)) + 1) << (64 - table->index.depth);
        }
    }
    return count;
}

/* ---- the table ---- */

static enum bv_status
layouts_grow(struct table *table, struct bv_error *err)
{
    const uint32_t capacity = table->layout_capacity == 0 ? 4 : table->layout_capacity * 2;
    struct table_layout *grown = realloc(table->layouts, capacity * sizeof *grown);

    if (grown == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "layouts of table %u", table->id);
    }
    table->layouts = grown;
    table->layout_capacity = capacity;
    return BV_OK;
}

enum bv_status
table_reserve_layout(struct table *table, uint32_t state_size, struct bv_error *err)
{
    if (state_size > STATE_SIZE_MAX) {
        return bv_error_set(err, BV_MEMORY_LIMIT, "a row of table %u takes %u bytes, %u at most",
                            table->id, state_size, STATE_SIZE_MAX);
    }
    if (table->layout_count == LAYOUTS_MAX) {
        return bv_error_set(err, BV_MEMORY_LIMIT, "table %u has had %u layouts; register it anew",
                            table->id, LAYOUTS_MAX);
    }
    return table->layout_count == table->layout_capacity ? layouts_grow(table, err) : BV_OK;
}

enum bv_status
table_add_layout(struct table *table, uint32_t state_size, uint16_t *out_layout_id,
                 struct bv_error *err)
{
    const enum bv_status status = table_reserve_layout(table, state_size, err);

    if (status != BV_OK) {
        return status;
    }
    /* touched_ms is read as it lies: keep it aligned. */
    table->state_size = (state_size + 3) & ~3u;
    table->index.key_offset = table->state_size + FIELD_KEY;
    table->layouts[table->layout_count] =
        (struct table_layout){(uint16_t)table->layout_count, table->state_size};
    *out_layout_id = (uint16_t)table->layout_count;
    table->layout_count++;
    table->foreign_blocks = table->block_count;
    return BV_OK;
}

enum bv_status
table_create(struct table **out, struct pages *pages, uint32_t table_id, uint32_t state_size,
             struct bv_error *err)
{
    enum bv_status status = BV_OK;
    uint16_t layout;
    struct table *table = calloc(1, sizeof *table);

    if (table == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "table %u", table_id);
        goto done;
    }
    table->prefix.base = pages_base(pages);
    table->pages = pages;
    table->secret = pages_hash_secret(pages);
    table->id = table_id;
    status = index_init(&table->index, pages, hash_of_block, table, err);
    if (status != BV_OK) {
        goto done;
    }
    status = table_add_layout(table, state_size, &layout, err);
    if (status != BV_OK) {
        goto done;
    }
    *out = table;
    table = NULL; /* handed over */
done:
    table_destroy(table);
    return status;
}

static void
release_long_key_of(void *context, struct table *table, uint32_t ref)
{
    (void)context;
    const uint8_t *tail = tail_at(table, ref);

    if (is_long(tail)) {
        long_key_release(table, tail);
    }
}

void
table_destroy(struct table *table)
{
    if (table == NULL) {
        return;
    }
    if (table->long_key_count != 0) {
        table_each(table, release_long_key_of, NULL);
    }
    if (table->block_count != 0) {
        pages_release_owner(table->pages, table->id + 1);
    }
    index_deinit(&table->index);
    free(table->layouts);
    free(table);
}

void
table_drop_layouts(struct table *table)
{
    BV_ASSERT(table->foreign_blocks == 0);
    table->layouts[0] = table->layouts[table->layout_count - 1];
    table->layouts[0].id = 0;
    table->layout_base = page_layout(table);
    table->layout_count = 1;
    pages_forget_layouts(table->pages, table->id + 1, table->layout_base);
}

bool
table_is_uniform(const struct table *table)
{
    return table->foreign_blocks == 0;
}

uint16_t
table_current_layout(const struct table *table)
{
    return (uint16_t)(table->layout_count - 1);
}

uint64_t
table_entity_count(const struct table *table)
{
    return table->index.count;
}

uint64_t
table_index_bytes(const struct table *table)
{
    return index_bytes(&table->index);
}

uint64_t
table_block_bytes(const struct table *table)
{
    return table->block_bytes;
}

uint64_t
table_split_count(const struct table *table)
{
    return table->index.split_count;
}

uint64_t
table_early_split_count(const struct table *table)
{
    return table->index.early_split_count;
}

uint32_t
table_id(const struct table *table)
{
    return table->id;
}
