/* SPDX-License-Identifier: Apache-2.0 */
/* From older layouts to the one in force, ahead of a snapshot.
 *
 * Enters:  tables with blocks of several layouts; some microseconds.
 * Leaves:  tables whose blocks all have one layout, and no other layout kept.
 * Owner:   the apply thread, between ticks.
 *
 * Invariants
 *   (1) Otherwise a block that is touched moves to another page, and a copy that goes by pages
 *       could miss it or see it twice. Once a table is uniform, no block moves.
 *   (2) Nothing is lost when memory is spent: the block that found no place stays where it is. */
#include "apply/migrate.h"

#include "util/clock.h"

#define BLOCKS_PER_LOOK 8u
#define PAGES_PER_LOOK  4096u

void
migrate_begin(struct migrate *migrate)
{
    migrate->page = 1;
}

/* The table that a page of older blocks belongs to, NULL for all other pages. */
static struct live_table *
table_of_page(const struct engine *engine, uint32_t page)
{
    const struct page_record *record = pages_record_at(engine->pages, page);

    if (record->used == 0 || record->owner == PAGE_OWNER_SHARED) {
        return NULL;
    }
    struct live_table *table = live_table_of_id(&engine->live, record->owner - 1);

    return table == NULL || table_is_uniform(table->table) ||
                   table_layout_of(table->table, page * PAGE_UNITS) ==
                       table_current_layout(table->table)
               ? NULL
               : table;
}

static enum bv_status
move_block(struct engine *engine, struct live_table *live, uint32_t ref, struct bv_error *err)
{
    struct table *table = live->table;
    const uint64_t hash = table_hash(table, table_key(table, ref));
    const uint16_t layout = table_layout_of(table, ref);
    const uint32_t moved = table_move(table, hash, ref);

    if (moved != 0 &&
        plan_layout_move(live->layout, table_state(table, moved), live->layouts[layout],
                         table_state(table, ref), &engine->heap.heap)) {
        table_free_block(table, ref);
        return BV_OK;
    }
    if (moved != 0) {
        table_move_back(table, hash, ref, moved);
    }
    return bv_error_set(err, BV_NO_MEMORY, "table %s: no memory to move to the new layout",
                        bv_error_quote(live->name));
}

/* Every block of the page, as far as the time goes; *is_done when none is left. */
static enum bv_status
move_page(struct engine *engine, struct live_table *table, uint32_t page, uint64_t until_ns,
          bool *is_done, struct bv_error *err)
{
    uint64_t map[PAGE_MAP_WORDS];
    const uint32_t units = pages_record_at(engine->pages, page)->block_units;
    uint32_t moved = 0;

    pages_live_map(map, engine->pages, page);
    *is_done = false;
    for (uint32_t word = 0; word < PAGE_MAP_WORDS; word++) {
        for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
            const uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const enum bv_status status =
                move_block(engine, table, page * PAGE_UNITS + block * units, err);

            if (status != BV_OK) {
                return status;
            }
            if (++moved % BLOCKS_PER_LOOK == 0 && clock_monotonic_ns() >= until_ns) {
                return BV_OK;
            }
        }
    }
    *is_done = true;
    return BV_OK;
}

/* All blocks have the layout in force: it is the only one from here on. */
static void
drop_layouts(struct live_table *table)
{
    if (table->layout_count == 1) {
        return;
    }
    for (uint32_t i = 0; i + 1 < table->layout_count; i++) {
        plan_layout_destroy(table->layouts[i]);
    }
    table->layouts[0] = table->layouts[table->layout_count - 1];
    table->layout_count = 1;
    table_drop_layouts(table->table);
}

static bool
drop_all(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        if (!table_is_uniform(engine->live.tables[i]->table)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        drop_layouts(engine->live.tables[i]);
    }
    return true;
}

enum bv_status
migrate_slice(struct migrate *migrate, struct engine *engine, uint64_t until_ns, bool *is_done,
              struct bv_error *err)
{
    *is_done = drop_all(engine);
    for (uint32_t looked = 1; !*is_done && migrate->page < pages_count(engine->pages); looked++) {
        struct live_table *table = table_of_page(engine, migrate->page);
        bool is_page_done = true;

        if (table != NULL) {
            const enum bv_status status =
                move_page(engine, table, migrate->page, until_ns, &is_page_done, err);

            if (status != BV_OK) {
                return status;
            }
        }
        migrate->page += is_page_done ? 1 : 0;
        if (!is_page_done || (looked % PAGES_PER_LOOK == 0 && clock_monotonic_ns() >= until_ns)) {
            return BV_OK;
        }
    }
    if (!*is_done) {
        *is_done = drop_all(engine);
        BV_ASSERT(*is_done); /* older blocks only become fewer */
    }
    return BV_OK;
}
