/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_TABLE_H
#define BV_STATE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "state/page.h"
#include "util/error.h"
#include "util/slice.h"

/* entity -> block: an extendible hash over fixed segments (engine.md 4) in front of blocks in pages
 * (engine.md 5).
 *
 * block: state bytes of its layout | u48 touched_ms | u8 key_length | u8 flags | key | pad to 16.
 *
 * A block has one of the table's layouts; the page it lies in says which. An additive change of the
 * table adds a layout and makes it current: new blocks get it, old ones are moved when they are
 * next touched (by the caller, with table_move). Apply thread only.
 *
 * Lookup in stages, so that a batch hides its cache misses:
 *   hash = table_hash(table, key);  table_prefetch_bucket(table, hash);        stage A
 *   table_prefetch_block(table, hash);                                         stage B
 *   ref = table_find(table, hash, key)  or  table_insert(table, hash, key)     stage C        */

struct table;

/* What the inline functions below see of a table. */
struct table_prefix {
    uint8_t *base; /* of the pages */
};

#define TABLE_KEY_MAX (16u * 1024 * 1024)

struct table_layout {
    uint16_t id; /* chosen by the table: 0, 1, 2 ... */
    uint32_t state_size;
};

enum bv_status table_create(struct table **out, struct pages *pages, uint32_t table_id,
                            uint32_t state_size, struct bv_error *err);
/* Frees all blocks and the index; out-of-line memory must have been released (table_each). */
void table_destroy(struct table *table); /* accepts NULL */

/* Whether table_add_layout of this size will succeed: what may fail of it is done here. */
enum bv_status table_reserve_layout(struct table *table, uint32_t state_size, struct bv_error *err);
/* Adds a layout and makes it current. */
enum bv_status table_add_layout(struct table *table, uint32_t state_size, uint16_t *out_layout_id,
                                struct bv_error *err);
uint16_t table_current_layout(const struct table *table);
/* Whether every block has the current layout. Then the others can be dropped: the current one has
 * the number 0 afterwards. */
bool table_is_uniform(const struct table *table);
void table_drop_layouts(struct table *table);
uint64_t table_entity_count(const struct table *table);
uint64_t table_index_bytes(const struct table *table);
uint64_t table_block_bytes(const struct table *table); /* without what blocks own out of line */
/* Splits of an index segment, and those that came while it was half empty: the second grows only
 * when somebody has found keys that collide (engine.md 4). */
uint64_t table_split_count(const struct table *table);
uint64_t table_early_split_count(const struct table *table);
uint32_t table_id(const struct table *table);

uint64_t table_hash(const struct table *table, struct slice key);
void table_prefetch_bucket(const struct table *table, uint64_t hash);
void table_prefetch_block(const struct table *table, uint64_t hash);
/* 0 when there is none. */
uint32_t table_find(const struct table *table, uint64_t hash, struct slice key);
/* The block of this key; a new one has zeroed state bytes, the current layout, was touched at
 * now_ms, and *created is set; one that is there is left as it is. 0 when memory is spent (or the
 * key is longer than TABLE_KEY_MAX): the table is as it was. */
uint32_t table_upsert(struct table *table, uint64_t hash, struct slice key, uint64_t now_ms,
                      bool *created);
void table_remove(struct table *table, uint64_t hash, struct slice key);

/* State bytes of a block: 8-byte aligned, never moved while the entity lives in this block. */
static inline void *
table_state(const struct table *table, uint32_t ref)
{
    const struct table_prefix *prefix = (const struct table_prefix *)(const void *)table;

    return prefix->base + (size_t)ref * PAGE_UNIT_BYTES;
}
uint16_t table_layout_of(const struct table *table, uint32_t ref);
/* The block's key, where it lies: valid as long as the entity lives. */
struct slice table_key(const struct table *table, uint32_t ref);
/* Where to find everything in every block of the table, for who walks all of them. All have the
 * current layout and a short key; behind the state stand u48 touched_ms, u8 key_length, u8 flags
 * and the key. False when some block is otherwise. */
bool table_is_plain(const struct table *table, uint32_t *state_size);
/* When the entity was last touched: 48 bits of milliseconds. */
uint64_t table_touched_ms(const struct table *table, uint32_t ref);
void table_touch(struct table *table, uint32_t ref, uint64_t now_ms);

/* ---- recovery: entities that come from images (docs/formats.md 5.3) ----
 *
 * A page that holds them carries their image_lsn, and no block is ever put into it that did not
 * come with the same one: replay asks the page. Blocks that replay creates lie in pages with 0. */

/* As table_upsert for an entity of an image: a new block in a page of this image_lsn. When the key
 * is there already, the one with the higher image_lsn wins: *outcome says what happened, and with
 * TABLE_IMAGE_REPLACES the caller releases what the old state owns (table_state(ref) still is the
 * old state, to be overwritten) and fills it anew. */
enum table_image { TABLE_IMAGE_NEW, TABLE_IMAGE_REPLACES, TABLE_IMAGE_STALE };
uint32_t table_insert_image(struct table *table, uint64_t hash, struct slice key,
                            uint64_t touched_ms, uint64_t image_lsn, enum table_image *outcome);
/* Room in the index for about so many, in a table that never had an entity; when memory does not
 * suffice it grows as usual. */
void table_presize(struct table *table, uint64_t count);
/* The image_lsn of the entity's block: 0 when no image brought it. */
uint64_t table_image_lsn(const struct table *table, uint32_t ref);

/* Gives the entity a fresh block of the current layout (state zeroed, key and touched copied) and
 * returns its ref; the old block stays readable until table_free_block. 0 when memory is spent. */
uint32_t table_move(struct table *table, uint64_t hash, uint32_t old_ref);
void table_free_block(struct table *table, uint32_t ref);
/* Instead of table_free_block: the entity is in its old block again, the fresh one is freed. */
void table_move_back(struct table *table, uint64_t hash, uint32_t old_ref, uint32_t ref);

/* Up to so many (16 or more) entities from the hand on, which moves behind them: at least one when
 * the table has any. Every entity comes by as the hand goes round. */
uint32_t table_sample(const struct table *table, uint64_t *hand, uint32_t *refs, uint32_t refs_max);

/* Every live entity, in page order (between table_move and table_free_block: old and new block).
 * The callback must not insert or remove. */
typedef void (*table_visit)(void *context, struct table *table, uint32_t ref);
void table_each(struct table *table, table_visit visit, void *context);

#endif
