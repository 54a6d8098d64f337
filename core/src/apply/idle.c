/* SPDX-License-Identifier: Apache-2.0 */
/* The one time to live: entities that nobody touched for cold_after_ms are gone.
 *
 * Enters:  when an entity was last touched, and what time it is.
 * Leaves:  whether it is there; memory, taken back in small portions.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) Whether an entity has expired follows from recorded times: when the last event touched it,
 *       when a push asked, when a registration changed the time to live. Nothing is logged here.
 *   (2) Memory is freed only of what had expired at last_event_ms, which every replay of the log
 *       reaches too: freeing it changes no answer and no digest. While nothing is pushed nothing is
 *       freed, and nothing grows.
 *   (3) What had expired under an earlier cold_after_ms stays gone (expired_before_ms).
 *   (4) A page is looked at once per round, and a round begins only as time passes.
 */
#include "apply/apply.h"
#include "util/clock.h"

/* A round begins when this part of the shortest time to live has passed since the last one. */
#define ROUND_PARTS  16u
#define ROUND_MS_MIN 50u
#define ROUND_MS_MAX 10000u
/* Memory is short from here on: rounds follow each other. */
#define SHORT_PERCENT 90u
/* idle_sweep_table: page records that it passes by, and pages of the table that it reads. */
#define TABLE_RECORDS_MAX 16384u
#define TABLE_PAGES_MAX   64u
/* The clock is asked after so many page records without a page of interest. */
#define RECORDS_PER_LOOK 256u

static uint64_t
cutoff_at(const struct live_table *table, uint64_t clock_ms)
{
    const uint64_t cold_after_ms = table->cold_after_ms;
    uint64_t cutoff_ms = table->expired_before_ms;

    if (cold_after_ms != 0 && clock_ms > cold_after_ms && clock_ms - cold_after_ms > cutoff_ms) {
        cutoff_ms = clock_ms - cold_after_ms;
    }
    return cutoff_ms;
}

uint64_t
idle_cutoff_ms(const struct engine *engine, const struct live_table *table)
{
    return cutoff_at(table, engine->now_ms);
}

uint64_t
idle_recorded_cutoff_ms(const struct engine *engine, const struct live_table *table)
{
    return cutoff_at(table, engine->last_event_ms);
}

bool
idle_has_expired(const struct engine *engine, const struct live_table *table, uint32_t ref)
{
    return table_touched_ms(table->table, ref) < idle_cutoff_ms(engine, table);
}

uint32_t
idle_find(const struct engine *engine, const struct live_table *table, uint64_t hash,
          struct slice key)
{
    const uint32_t ref = table_find(table->table, hash, key);

    if (ref == 0 || (table->cold_after_ms | table->expired_before_ms) == 0 ||
        !idle_has_expired(engine, table, ref)) {
        return ref;
    }
    return 0;
}

static void
count_eviction(struct engine *engine, struct live_table *table)
{
    engine->cold_evictions++;
    table->cold_evictions++;
}

void
idle_begin_afresh(struct engine *engine, struct live_table *table, void *state)
{
    plan_layout_release_state(table->layout, state, &engine->heap.heap);
    memset(state, 0, table->layout->state_size);
    plan_layout_init_state(table->layout, state);
    count_eviction(engine, table);
}

void
idle_change(struct engine *engine, struct live_table *table, uint64_t cold_after_ms)
{
    if (table->cold_after_ms == cold_after_ms) {
        return;
    }
    table->expired_before_ms = idle_cutoff_ms(engine, table);
    table->cold_after_ms = cold_after_ms;
    engine->sweep_round_ms = 0;
}

void
idle_remove(struct engine *engine, struct live_table *table, uint32_t ref)
{
    const struct slice key = table_key(table->table, ref);

    plan_layout_release_state(table->layouts[table_layout_of(table->table, ref)],
                              table_state(table->table, ref), &engine->heap.heap);
    table_remove(table->table, table_hash(table->table, key), key);
}

/* ---- the sweep ---- */

/* Frees what has expired in this page, at most so many; how many it were. */
static uint32_t
sweep_page(struct engine *engine, struct live_table *table, uint32_t page, uint64_t cutoff_ms,
           uint32_t entities_max)
{
    uint64_t map[PAGE_MAP_WORDS];
    const uint32_t units = pages_record_at(engine->pages, page)->block_units;
    uint32_t freed = 0;

    pages_live_map(map, engine->pages, page);
    for (uint32_t word = 0; word < PAGE_MAP_WORDS; word++) {
        for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
            const uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const uint32_t ref = page * PAGE_UNITS + block * units;

            if (table_touched_ms(table->table, ref) >= cutoff_ms) {
                continue;
            }
            if (freed == entities_max) {
                return freed;
            }
            idle_remove(engine, table, ref);
            count_eviction(engine, table);
            freed++;
        }
    }
    return freed;
}

/* The table that a page belongs to and what is to go from it; NULL when there is nothing. */
static struct live_table *
table_of_page(const struct engine *engine, uint32_t page, uint64_t *cutoff_ms)
{
    const struct page_record *record = pages_record_at(engine->pages, page);

    if (record->used == 0 || record->owner == PAGE_OWNER_SHARED) {
        return NULL;
    }
    struct live_table *table = live_table_of_id(&engine->live, record->owner - 1);

    *cutoff_ms = table == NULL ? 0 : idle_recorded_cutoff_ms(engine, table);
    return *cutoff_ms == 0 ? NULL : table;
}

/* Whether recorded time has gone so far that another round is worth its reads. */
static bool
begins_round(const struct engine *engine)
{
    uint64_t pause_ms = ROUND_MS_MAX;
    bool has_expiring = false;

    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        const struct live_table *table = engine->live.tables[i];

        if (idle_recorded_cutoff_ms(engine, table) == 0) {
            continue;
        }
        has_expiring = true;
        if (table->cold_after_ms != 0 && table->cold_after_ms / ROUND_PARTS < pause_ms) {
            pause_ms = table->cold_after_ms / ROUND_PARTS;
        }
    }
    if (pause_ms < ROUND_MS_MIN) {
        pause_ms = ROUND_MS_MIN;
    }
    if (budget_percent(engine) >= SHORT_PERCENT) {
        pause_ms = 1;
    }
    return has_expiring && (engine->sweep_round_ms == 0 ||
                            engine->last_event_ms >= engine->sweep_round_ms + pause_ms);
}

bool
idle_sweep(struct engine *engine, uint32_t entities_max, uint64_t until_ns)
{
    const uint32_t page_count = pages_count(engine->pages);
    uint32_t looked = 0;

    if (engine->sweep_page == 0) {
        if (!begins_round(engine)) {
            return false;
        }
        engine->sweep_page = 1;
        engine->sweep_round_ms = engine->last_event_ms;
    }
    BV_DEBUG_ASSERT(engine->target_count == 0);
    while (engine->sweep_page < page_count) {
        uint64_t cutoff_ms = 0;
        struct live_table *table = table_of_page(engine, engine->sweep_page, &cutoff_ms);

        if (table != NULL) {
            entities_max -= sweep_page(engine, table, engine->sweep_page, cutoff_ms, entities_max);
            if (entities_max == 0) {
                return true; /* the page may hold more */
            }
        }
        engine->sweep_page++;
        looked += table != NULL ? RECORDS_PER_LOOK : 1;
        if (looked >= RECORDS_PER_LOOK) {
            looked = 0;
            if (clock_monotonic_ns() >= until_ns) {
                return true;
            }
        }
    }
    engine->sweep_page = 0;
    return false;
}

bool
idle_sweep_table(struct engine *engine, struct live_table *table)
{
    const uint32_t page_count = pages_count(engine->pages);
    const uint64_t cutoff_ms = idle_recorded_cutoff_ms(engine, table);
    const uint32_t records_max = page_count < TABLE_RECORDS_MAX ? page_count : TABLE_RECORDS_MAX;
    uint32_t freed = 0;
    uint32_t pages_read = 0;

    if (cutoff_ms == 0) {
        return false;
    }
    for (uint32_t i = 0; i < records_max && freed == 0 && pages_read < TABLE_PAGES_MAX; i++) {
        if (++table->sweep_page >= page_count) {
            table->sweep_page = 1;
        }
        const struct page_record *record = pages_record_at(engine->pages, table->sweep_page);

        if (record->owner == table_id(table->table) + 1 && record->used != 0) {
            pages_read++;
            freed = sweep_page(engine, table, table->sweep_page, cutoff_ms, UINT32_MAX);
        }
    }
    return freed != 0;
}
