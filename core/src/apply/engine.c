/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, recovering and closing an engine.
 *
 * Enters:  options; whatever the directories hold.
 * Leaves:  an engine whose state is that of the log, and a log that goes on where it ended.
 *
 * Recovery hands each record to replay(), which goes through the same staging as a push, with the
 * record's time and seed: the state comes out bit for bit (a digest shows it).
 */
#include <stdlib.h>
#include <sys/random.h>

#include "apply/apply.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define ARENA_BLOCK_BYTES (256u * 1024)

static uint32_t
heap_alloc(struct agg_heap *heap, uint32_t size)
{
    return pages_alloc(((struct engine_heap *)heap)->pages, size);
}

static void
heap_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    pages_release(((struct engine_heap *)heap)->pages, ref, size);
}

/* ---- recovery ---- */

struct replay {
    struct engine *engine;
    uint64_t last_progress_ns;
};

static void
report_progress(struct replay *replay)
{
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - replay->last_progress_ns < 1000000000u) {
        return;
    }
    replay->last_progress_ns = now_ns;
    log_line(LOG_NOTICE, "recovery.progress", "beava.recovery", "replaying the log",
             (struct log_field[]){
                 LOG_INT("lsn", replay->engine->next_lsn - 1),
                 LOG_INT("records", replay->engine->recovered_records),
                 LOG_INT("events", replay->engine->recovered_events),
             },
             3);
}

static enum bv_status
replay_record(const struct record_header *header, struct slice body, void *context,
              struct bv_error *err)
{
    struct replay *replay = context;
    struct engine *engine = replay->engine;
    enum bv_status status = BV_OK;

    engine_tick_begin(engine, header->time_ms);
    engine->next_lsn = header->first_lsn;
    switch (header->type) {
    case RECORD_PUSH:
        status = push_replay(engine, header, body, err);
        engine->recovered_events += header->count;
        break;
    case RECORD_REGISTER:
        status = register_replay(engine, body, err);
        break;
    case RECORD_RESET:
        status = reset_replay(engine, header->registry_version, err);
        break;
    case RECORD_EVICT:
        status = budget_replay_evict(engine, header->first_lsn, body, err);
        break;
    case RECORD_LOST:
        log_line(LOG_WARN, "recovery.lost", "beava.recovery",
                 "operations are missing: the log was salvaged without them",
                 (struct log_field[]){LOG_INT("first_lsn", header->first_lsn),
                                      LOG_INT("count", header->count)},
                 2);
        break;
    default:
        status = bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                              "LSN %llu is a record of type %u, which this version does not write",
                              (unsigned long long)header->first_lsn, header->type);
        break;
    }
    engine->next_lsn = header->first_lsn + header->count;
    engine->recovered_records++;
    CRASH_POINT("recovery.mid");
    report_progress(replay);
    return status;
}

/* The ring holds the largest request, what its transport reads with it, and its wrapping. */
static uint64_t
ring_bytes(const struct engine_options *options)
{
    const uint64_t request =
        (options->max_payload == 0 ? 4u << 20 : options->max_payload) + (1u << 20);
    const uint64_t least = request + request / 4 + (64u << 10);
    const uint64_t given = options->ring_bytes == 0 ? WAL_RING_BYTES_DEFAULT : options->ring_bytes;

    return given > least ? given : least;
}

static enum bv_status
recover(struct engine *engine, const struct wal_options *options, struct bv_error *err)
{
    const uint64_t started_ns = clock_monotonic_ns();
    struct replay replay = {engine, started_ns};
    struct recovery_result result;
    const unsigned row_flags = engine->options.row_flags;
    enum bv_status status = wal_directory_open(&engine->directory, options, err);

    /* What is in the log was accepted, maybe under looser switches than those of today. */
    engine->options.row_flags = ROW_LOOSE_OPTIONAL_FIELDS;
    if (status == BV_OK) {
        status = recovery_run(&result, engine->directory, 0, replay_record, &replay, err);
    }
    engine->options.row_flags = row_flags;
    if (status == BV_OK) {
        plan_set_row_flags(engine->live.plan, row_flags);
        engine_tick_begin(engine, result.last_time_ms);
        engine->next_lsn = result.last_lsn + 1;
        status = wal_open(&engine->wal, engine->directory, options, engine->next_lsn, err);
    }
    if (status != BV_OK) {
        return status;
    }
    engine->recovery_ms = (clock_monotonic_ns() - started_ns) / 1000000u;
    if (engine->recovered_records != 0) {
        log_line(LOG_NOTICE, "recovery.complete", "beava.recovery", "the log was replayed",
                 (struct log_field[]){
                     LOG_INT("snapshot_lsn", 0),
                     LOG_INT("records", engine->recovered_records),
                     LOG_INT("skipped", 0),
                     LOG_INT("last_lsn", result.last_lsn),
                     LOG_INT("ms", engine->recovery_ms),
                 },
                 5);
    }
    return BV_OK;
}

/* ---- life ---- */

static enum bv_status
open_state(struct engine *engine, struct bv_error *err)
{
    const struct pages_options pages_options = {.populate = engine->options.populate};
    enum bv_status status = pages_create(&engine->pages, &pages_options, err);

    if (status != BV_OK) {
        return status;
    }
    engine->heap = (struct engine_heap){
        .heap = {pages_base(engine->pages), heap_alloc, heap_release},
        .pages = engine->pages,
    };
    if (getrandom(&engine->seed_state, sizeof engine->seed_state, 0) !=
        (ssize_t)sizeof engine->seed_state) {
        return bv_error_set(err, BV_IO, "no random numbers from the kernel");
    }
    return reset_replay(engine, 0, err);
}

enum bv_status
engine_open(struct engine **out, const struct engine_options *options, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct engine *engine = calloc(1, sizeof *engine);

    if (engine == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "engine");
    }
    engine->options = *options;
    engine->next_lsn = 1;
    arena_init(&engine->arena, ARENA_BLOCK_BYTES, 0);
    buf_init(&engine->reply);
    buf_init(&engine->scratch);
    status = open_state(engine, err);
    if (status == BV_OK && options->policy != BV_POLICY_MEMORY) {
        const struct wal_options wal_options = {
            .dir = options->wal_dir,
            .snapshot_dir = options->snapshot_dir,
            .policy = options->policy,
            .segment_bytes = options->segment_bytes,
            .ring_bytes = ring_bytes(options),
            .sync_interval_ms = options->sync_interval_ms,
            .sync_bytes = options->sync_bytes,
            .tick_ms = options->tick_ms,
            .allow_network_fs = options->allow_network_fs,
            .os = options->os,
        };

        status = recover(engine, &wal_options, err);
    }
    if (status == BV_OK) {
        *out = engine;
        engine = NULL;
    }
    engine_close(engine);
    return status;
}

void
engine_close(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    wal_close(engine->wal);
    wal_directory_close(engine->directory);
    live_deinit(engine);
    pages_destroy(engine->pages);
    buf_deinit(&engine->reply);
    buf_deinit(&engine->scratch);
    arena_deinit(&engine->arena);
    free(engine);
}

/* ---- what the tick asks ---- */

bool
engine_has_room(const struct engine *engine, size_t bytes)
{
    /* An HTTP push is wrapped as a frame: its request line is longer than the wrapping. */
    const size_t wanted = engine->pending.size + bytes + bytes / 4;

    if (engine->wal == NULL) {
        return true;
    }
    /* An empty ring is all there will ever be: asking for more would wait for ever. */
    const size_t most = wal_body_size_max(engine->wal) - JOURNAL_SPARE_BYTES;

    return journal_has_room(engine, wanted < most ? wanted : most);
}

uint64_t
engine_acked_lsn(const struct engine *engine)
{
    return engine->wal == NULL ? UINT64_MAX : wal_acked_lsn(engine->wal);
}

uint64_t
engine_synced_lsn(const struct engine *engine)
{
    return engine->wal == NULL ? UINT64_MAX : wal_durable_lsn(engine->wal);
}

int
engine_event_fd(const struct engine *engine)
{
    return engine->wal == NULL ? -1 : wal_event_fd(engine->wal);
}

bool
engine_failed(const struct engine *engine)
{
    return engine->wal != NULL && wal_failed(engine->wal);
}

bool
engine_event_arm(struct engine *engine, uint64_t acked_lsn_seen)
{
    return engine->wal == NULL || wal_event_arm(engine->wal, acked_lsn_seen);
}

void
engine_want_sync(struct engine *engine, uint64_t lsn)
{
    if (engine->wal != NULL) {
        wal_want_sync(engine->wal, lsn);
    }
}

enum bv_status
engine_wait(struct engine *engine, uint64_t lsn, bool synced, struct bv_error *err)
{
    return engine->wal == NULL || lsn == 0 ? BV_OK : wal_wait(engine->wal, lsn, synced, err);
}

uint64_t
engine_registry_version(const struct engine *engine)
{
    return engine->live.registry->version;
}

void
engine_stats_get(const struct engine *engine, struct engine_stats *out)
{
    *out = (struct engine_stats){
        .state_bytes = pages_used_bytes(engine->pages),
        .last_lsn = engine->next_lsn - 1,
        .recovered_records = engine->recovered_records,
        .recovered_events = engine->recovered_events,
        .recovery_ms = engine->recovery_ms,
        .registry_version = engine->live.registry->version,
        .node_count = engine->live.registry->descriptor_count,
    };
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        const struct live_table *table = engine->live.tables[i];

        /* The index lies in pages too, and is counted with them. */
        out->entities += table_entity_count(table->table);
        for (uint32_t k = 0; k < table->layout->group_count; k++) {
            out->accumulators += table->layout->groups[k].step_count;
        }
    }
}
