/* SPDX-License-Identifier: Apache-2.0 */
/* How much state there may be: a limit on memory, a limit on each table (server.md 8.3), and a log
 * that has no room on its disk (5.7).
 *
 * Enters:  rows about to be accepted; eviction records of the log.
 * Leaves:  a refusal that names the table, or room.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) A push is refused whole, before it is logged and before any of it is applied.
 *   (2) What is evicted here does not follow from recorded times, so it is logged first; replay
 *       repeats it (rule 1 of engine.md 8: what an image took later stays).
 *   (3) While nothing is tight a push pays one branch.
 *   (4) Refusing moves the recorded clock: a record without keys says what time it is, so that what
 *       has expired by now may be freed although nothing is accepted.
 */
#include "apply/apply.h"
#include "util/bytes.h"
#include "util/log.h"

#define WARN_PERCENT    90u
#define WARN_EVERY_MS   60000u
#define CLOCK_EVERY_MS  100u
#define SAMPLE_ENTITIES 16u
/* What a chunk may add between two looks; beyond it is noticed at the next. */
#define CHUNK_BYTES (1u << 20)
#define EVICT_HEAD  8u /* table id, generation */

/* ---- looking ---- */

unsigned
budget_percent(const struct engine *engine)
{
    const uint64_t limit = engine->options.memory_limit_bytes;

    return limit == 0 ? 0 : (unsigned)(pages_used_bytes(engine->pages) * 100 / limit);
}

static void
warn(struct engine *engine)
{
    if (engine->memory_warned_ms != 0 &&
        engine->now_ms - engine->memory_warned_ms < WARN_EVERY_MS) {
        return;
    }
    engine->memory_warned_ms = engine->now_ms;
    log_line(LOG_WARN, "memory.high", "beava.memory",
             "state is near memory_limit_bytes; at the limit new entities are refused",
             (struct log_field[]){
                 LOG_INT("used_bytes", pages_used_bytes(engine->pages)),
                 LOG_INT("limit_bytes", engine->options.memory_limit_bytes),
             },
             2);
}

static bool
log_has_no_disk(const struct engine *engine)
{
    return engine->wal != NULL && wal_pressure(engine->wal) == WAL_PRESSURE_REFUSES;
}

void
budget_look(struct engine *engine)
{
    const uint64_t limit = engine->options.memory_limit_bytes;
    const uint64_t table_max = engine->options.table_max_entities;

    engine->is_tight = log_has_no_disk(engine);
    if (limit != 0) {
        engine->is_tight |= pages_used_bytes(engine->pages) + CHUNK_BYTES >= limit;
        if (BV_UNLIKELY(budget_percent(engine) >= WARN_PERCENT)) {
            warn(engine);
        }
    }
    for (uint32_t i = 0; table_max != 0 && i < engine->live.table_count; i++) {
        const uint64_t count = table_entity_count(engine->live.tables[i]->table);

        engine->is_tight |= count + APPLY_CHUNK_TARGETS >= table_max;
    }
}

/* ---- evicting ---- */

/* Applies what is staged and begins an eviction record in engine->scratch. */
static void
begin_record(struct engine *engine, const struct live_table *table)
{
    const uint32_t id = table_id(table->table);
    uint8_t head[EVICT_HEAD];

    push_flush(engine);
    store_le32(head, id);
    store_le32(head + 4, engine->identities[id].generation);
    buf_clear(&engine->scratch);
    buf_append(&engine->scratch, head, sizeof head);
}

/* False when the log does not take it; nothing may be evicted then. */
static bool
log_record(struct engine *engine)
{
    if (engine->scratch.failed) {
        return false;
    }
    if (engine->wal != NULL &&
        (!journal_make_room(engine, engine->scratch.size) || wal_failed(engine->wal))) {
        return false;
    }
    journal_record(engine, RECORD_EVICT, buf_slice(&engine->scratch));
    engine->last_event_ms = engine->now_ms;
    return true;
}

static void
move_clock(struct engine *engine, const struct live_table *table)
{
    if (engine->now_ms - engine->last_event_ms >= CLOCK_EVERY_MS) {
        begin_record(engine, table);
        log_record(engine);
    }
}

bool
budget_log_clock(struct engine *engine)
{
    if (engine->live.table_count == 0) {
        return false;
    }
    begin_record(engine, engine->live.tables[0]);
    return log_record(engine);
}

/* Of a few entities the one that was touched longest ago. */
static bool
evict_idle(struct engine *engine, struct live_table *table)
{
    uint32_t refs[SAMPLE_ENTITIES];
    const uint32_t count = table_sample(table->table, &table->sample_hand, refs, SAMPLE_ENTITIES);
    uint32_t victim = 0;
    uint8_t size[sizeof(uint32_t)];

    for (uint32_t i = 0; i < count; i++) {
        if (victim == 0 ||
            table_touched_ms(table->table, refs[i]) < table_touched_ms(table->table, victim)) {
            victim = refs[i];
        }
    }
    if (victim == 0) {
        return false;
    }
    const struct slice key = table_key(table->table, victim);

    begin_record(engine, table);
    store_le32(size, (uint32_t)key.size);
    buf_append(&engine->scratch, size, sizeof size);
    buf_append(&engine->scratch, key.data, key.size);
    if (!log_record(engine)) {
        return false;
    }
    idle_remove(engine, table, victim);
    table->idle_evictions++;
    engine->idle_evictions++;
    return true;
}

/* Room for one more entity in a table that is full. */
static bool
make_room(struct engine *engine, struct live_table *table)
{
    if ((table->cold_after_ms | table->expired_before_ms) != 0) {
        move_clock(engine, table);
        if (idle_sweep_table(engine, table)) {
            return true;
        }
    }
    return engine->options.table_full_evicts && evict_idle(engine, table);
}

/* ---- the door ---- */

static bool
refuse_memory(struct engine *engine, const struct live_table *table, bool is_update,
              struct bv_error *err)
{
    engine->memory_refusals++;
    bv_error_set(err, BV_MEMORY_LIMIT, "state takes %llu of memory_limit_bytes %llu: %s",
                 (unsigned long long)pages_used_bytes(engine->pages),
                 (unsigned long long)engine->options.memory_limit_bytes,
                 is_update ? "pushes are refused" : "no new entities, updates go on");
    bv_error_hint(err, "raise memory_limit_bytes, or give the event a cold_after_ms");
    if (table != NULL) {
        bv_error_path(err, "%s", table->name_text);
        move_clock(engine, table);
    }
    return false;
}

static bool
refuse_table(struct engine *engine, const struct live_table *table, struct bv_error *err)
{
    engine->table_full_refusals++;
    bv_error_set(err, BV_MEMORY_LIMIT, "table \"%s\" holds table_max_entities %llu",
                 table->name_text, (unsigned long long)engine->options.table_max_entities);
    bv_error_hint(err, "raise table_max_entities, or set table_full_policy to evict_idle");
    bv_error_path(err, "%s", table->name_text);
    return false;
}

/* Whether the row's entity is there; what is staged may be about to create it. */
static bool
is_there(struct engine *engine, const struct live_table *table, struct slice key)
{
    const uint64_t hash = table_hash(table->table, key);

    if (table_find(table->table, hash, key) != 0) {
        return true;
    }
    if (engine->target_count == 0) {
        return false;
    }
    push_flush(engine);
    return table_find(table->table, hash, key) != 0;
}

bool
budget_admits(struct engine *engine, struct live_source *source, struct value *values,
              struct bv_error *err)
{
    const struct plan_source *plan = source->plan;
    const uint64_t limit = engine->options.memory_limit_bytes;
    const uint64_t table_max = engine->options.table_max_entities;

    if (log_has_no_disk(engine)) {
        bv_error_set(err, BV_WAL_UNAVAILABLE,
                     "the log's disk is full (wal_max_bytes, min_free_bytes); the event was not "
                     "applied, reads go on");
        return false;
    }
    if (limit != 0 && pages_used_bytes(engine->pages) >= limit + limit / 10) {
        return refuse_memory(engine, plan->table_count == 0 ? NULL : source->tables[0], true, err);
    }
    if (!source->is_program_empty) {
        expr_program_run(plan->program, values, &engine->arena);
    }
    for (uint32_t i = 0; i < plan->table_count; i++) {
        struct live_table *table = source->tables[i];
        struct slice key;

        if (!push_entity_key(&key, plan->tables[i].resolved, values, &engine->arena) ||
            is_there(engine, table, key)) {
            continue;
        }
        if (limit != 0 && pages_used_bytes(engine->pages) >= limit) {
            return refuse_memory(engine, table, false, err);
        }
        if (table_max != 0 && table_entity_count(table->table) >= table_max &&
            !make_room(engine, table)) {
            return refuse_table(engine, table, err);
        }
    }
    return true;
}

/* ---- recovery ---- */

static enum bv_status
corrupt(uint64_t lsn, const char *what, struct bv_error *err)
{
    return bv_error_set(err, BV_CORRUPT, "the eviction of LSN %llu %s", (unsigned long long)lsn,
                        what);
}

enum bv_status
budget_replay_evict(struct engine *engine, uint64_t lsn, struct slice body, struct bv_error *err)
{
    if (body.size < EVICT_HEAD) {
        return corrupt(lsn, "is cut short", err);
    }
    const uint32_t id = load_le32(body.data);
    struct live_table *table = live_table_of_id(&engine->live, id);

    if (table == NULL || engine->identities[id].generation != load_le32(body.data + 4)) {
        return corrupt(lsn, "names a table that is not there", err);
    }
    push_flush(engine);
    for (size_t at = EVICT_HEAD; at < body.size;) {
        if (body.size - at < sizeof(uint32_t) ||
            body.size - at - sizeof(uint32_t) < load_le32(body.data + at)) {
            return corrupt(lsn, "is cut short", err);
        }
        const struct slice key =
            slice_of(body.data + at + sizeof(uint32_t), load_le32(body.data + at));
        const uint32_t ref = table_find(table->table, table_hash(table->table, key), key);

        if (ref != 0 && !(engine->is_over_images && table_image_lsn(table->table, ref) >= lsn)) {
            idle_remove(engine, table, ref);
            table->idle_evictions++;
            engine->idle_evictions++;
        }
        at += sizeof(uint32_t) + key.size;
    }
    engine->last_event_ms = engine->now_ms;
    return BV_OK;
}
