/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine can say about itself, for metrics, readiness and tests.
 *
 * Enters:  counters that others keep, and what the tables and pages say as of now.
 * Leaves:  numbers.
 * Owner:   the apply thread.
 *
 * None of it may cost a tick: what would need a walk over all entities is estimated from a sample
 * of pages. */
#include "apply/apply.h"
#include "util/clock.h"

#define SAMPLE_PAGES_MAX  512u
#define SIZE_UNITS_MAX    (PAGE_UNITS + 1) /* block sizes in units; the last: larger than a page */
#define REPLAY_NS_GUESSED 250u             /* per event, until one was measured */
#define REPLAY_EVENTS_MIN 100000u

static uint64_t
block_bytes(const struct engine *engine)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        bytes += table_block_bytes(engine->live.tables[i]->table);
    }
    return bytes;
}

static uint64_t
entity_count(const struct engine *engine)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        count += table_entity_count(engine->live.tables[i]->table);
    }
    return count;
}

/* Blocks by size, in every nth page. */
static uint64_t
count_sizes(uint64_t counts[SIZE_UNITS_MAX], const struct engine *engine)
{
    const uint32_t pages = pages_count(engine->pages);
    const uint32_t step = pages / SAMPLE_PAGES_MAX + 1;
    uint64_t total = 0;

    for (uint32_t page = 1; page < pages; page += step) {
        const struct page_record *record = pages_record_at(engine->pages, page);
        const bool is_entity =
            record->owner != PAGE_OWNER_SHARED && ((record->owner - 1) & DEDUPE_TABLE_BIT) == 0;

        if (record->used != 0 && is_entity) {
            counts[record->block_units == 0 ? SIZE_UNITS_MAX - 1 : record->block_units] +=
                record->used;
            total += record->used;
        }
    }
    return total;
}

/* 99 of 100 entities take at most so much: their block, and an even share of what lies out of line
 * or indexes them. */
static uint64_t
bytes_per_entity_p99(const struct engine *engine)
{
    uint64_t counts[SIZE_UNITS_MAX] = {0};
    const uint64_t entities = entity_count(engine);
    const uint64_t total = count_sizes(counts, engine);
    const uint64_t blocks = block_bytes(engine);
    const uint64_t used = pages_used_bytes(engine->pages);
    uint64_t seen = 0;
    uint64_t size = 0;

    if (entities == 0 || total == 0) {
        return 0;
    }
    for (uint32_t units = 0; units < SIZE_UNITS_MAX && seen * 100 < total * 99; units++) {
        seen += counts[units];
        size = (uint64_t)units * PAGE_UNIT_BYTES;
    }
    return size + (used > blocks ? (used - blocks) / entities : 0);
}

static void
wal_stats(struct engine_stats *out, const struct engine *engine)
{
    struct wal_counts counts;

    out->wal_policy = engine->options.policy;
    if (engine->wal == NULL) {
        return;
    }
    wal_counts_get(engine->wal, &counts);
    out->wal_appended_lsn = engine->next_lsn - 1;
    out->wal_durable_lsn = wal_durable_lsn(engine->wal);
    out->wal_bytes = counts.bytes;
    out->wal_groups = counts.groups;
    out->wal_syncs = counts.syncs;
    out->wal_errors = counts.errors;
    out->wal_resumes = counts.resumes;
    out->wal_bytes_on_disk = wal_bytes_on_disk(engine->wal);
    out->wal_pressure = wal_pressure(engine->wal);
    out->wal_durable_lag_ms =
        engine->lag_since_ns == 0 ? 0 : (clock_monotonic_ns() - engine->lag_since_ns) / 1000000u;
}

void
engine_stats_get(const struct engine *engine, struct engine_stats *out)
{
    *out = (struct engine_stats){
        .entities = entity_count(engine),
        .state_bytes = pages_used_bytes(engine->pages),
        .last_lsn = engine->next_lsn - 1,
        .recovered_records = engine->recovered_records,
        .recovered_events = engine->recovered_events,
        .recovery_ms = engine->recovery_ms,
        .registry_version = engine->live.registry->version,
        .node_count = engine->live.registry->descriptor_count,
        .events_accepted = engine->events_accepted,
        .events_refused = engine->events_refused,
        .events_replayed = engine->events_replayed,
        .cold_evictions = engine->cold_evictions,
        .idle_evictions = engine->idle_evictions,
        .dedupe_evictions = engine->dedupe_evictions,
        .memory_refusals = engine->memory_refusals,
        .table_full_refusals = engine->table_full_refusals,
        .panes_dropped = engine->panes_dropped,
        .categories_capped = engine->categories_capped,
        .dedupe_entries = dedupe_entry_count(engine),
        .memory_limit_bytes = engine->options.memory_limit_bytes,
        .bytes_per_entity_p99 = bytes_per_entity_p99(engine),
        .recovered_from_snapshot_lsn = engine->recovered_from_snapshot_lsn,
        .recovery_skipped_bytes = engine->recovery_skipped_bytes,
    };
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        const struct plan_layout *layout = engine->live.tables[i]->layout;

        for (uint32_t k = 0; k < layout->group_count; k++) {
            out->accumulators += layout->groups[k].step_count;
        }
    }
    wal_stats(out, engine);
    if (engine->snapshot != NULL) {
        snapshot_copy_stats(engine->snapshot, out);
    }
}

bool
engine_table_stats_get(const struct engine *engine, uint32_t index, struct engine_table_stats *out)
{
    if (index >= engine->live.table_count) {
        return false;
    }
    const struct live_table *table = engine->live.tables[index];

    *out = (struct engine_table_stats){
        .name = table->name,
        .entities = table_entity_count(table->table),
        .bytes = table_block_bytes(table->table),
        .cold_evictions = table->cold_evictions,
        .idle_evictions = table->idle_evictions,
    };
    return true;
}

uint64_t
engine_registry_version(const struct engine *engine)
{
    return engine->live.registry->version;
}

const struct histogram *
engine_wal_sync_times(const struct engine *engine)
{
    return engine->wal == NULL ? NULL : wal_sync_times(engine->wal);
}

enum engine_readiness
engine_readiness(const struct engine *engine)
{
    if (engine->wal == NULL) {
        return ENGINE_READY;
    }
    if (wal_failed(engine->wal)) {
        return ENGINE_FAILED;
    }
    return wal_pressure(engine->wal) == WAL_PRESSURE_REFUSES ? ENGINE_NO_SPACE : ENGINE_READY;
}

const struct bv_error *
engine_failure(const struct engine *engine)
{
    return wal_failure(engine->wal);
}

uint64_t
engine_replay_ms(const struct engine *engine)
{
    struct engine_stats snapshots = {0};
    uint64_t ns = REPLAY_NS_GUESSED;

    if (engine->snapshot == NULL) {
        return 0;
    }
    snapshot_copy_stats(engine->snapshot, &snapshots);
    if (engine->recovered_events >= REPLAY_EVENTS_MIN) {
        ns = engine->replay_ns / engine->recovered_events + 1;
    }
    return (engine->next_lsn - 1 - snapshots.snapshot_lsn) * ns / 1000000u;
}
