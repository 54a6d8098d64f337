/* SPDX-License-Identifier: Apache-2.0 */
/* The engine in the server's seat: configuration in, the calls of apply/engine.h out. Thin on
 * purpose; the wrappers exist because a seat speaks of `void *`. */
#include "apply/engine.h"

#include "server/seat.h"
#include "util/log.h"

/* A clean stop takes a snapshot when the next start would replay for longer than this. */
#define CLOSE_REPLAY_MS 1000

static void
seat_begin(void *context, uint64_t now_ms)
{
    engine_tick_begin(context, now_ms);
}

static void
seat_dispatch(void *context, const struct request *request, struct response *out)
{
    engine_dispatch(context, request, out);
}

static void
seat_end(void *context)
{
    engine_tick_end(context);
}

static bool
seat_has_room(const void *context, size_t bytes)
{
    return engine_has_room(context, bytes);
}

static uint64_t
seat_acked_lsn(const void *context)
{
    return engine_acked_lsn(context);
}

static uint64_t
seat_synced_lsn(const void *context)
{
    return engine_synced_lsn(context);
}

static bool
seat_is_failed(const void *context)
{
    return engine_failed(context);
}

static uint64_t
seat_registry_version(const void *context)
{
    return engine_registry_version(context);
}

static int
seat_event_fd(const void *context)
{
    return engine_event_fd(context);
}

static uint64_t
seat_background(void *context, uint64_t now_ns, uint64_t tick_ns)
{
    return engine_background(context, now_ns, tick_ns);
}

static enum engine_readiness
seat_readiness(const void *context)
{
    return engine_readiness(context);
}

static uint64_t
seat_snapshot_request(void *context)
{
    return engine_snapshot_request(context);
}

static bool
seat_snapshot_result(const void *context, uint64_t ticket, struct engine_snapshot *out)
{
    return engine_snapshot_result(context, ticket, out);
}

static void
seat_close_snapshot(void *context, uint64_t timeout_ms)
{
    uint64_t replay_ms = engine_replay_ms(context);
    struct engine_snapshot snapshot;
    struct bv_error err;

    if (replay_ms <= CLOSE_REPLAY_MS || timeout_ms == 0) {
        return;
    }
    if (engine_snapshot_wait(context, timeout_ms, &snapshot, &err) != BV_OK) {
        log_line(
            LOG_NOTICE, "shutdown.no_snapshot", "beava.shutdown",
            "no closing snapshot: the next start replays",
            (struct log_field[]){LOG_TEXT("error", err.message), LOG_INT("replay_ms", replay_ms)},
            2);
    }
}

static void
seat_stats(const void *context, struct engine_stats *out)
{
    engine_stats_get(context, out);
}

static bool
seat_table_stats(const void *context, uint32_t index, struct engine_table_stats *out)
{
    return engine_table_stats_get(context, index, out);
}

static void
seat_describe(const void *context, struct buf *json)
{
    engine_describe_registry(context, json);
}

static void
note_progress(void *context, const struct engine_progress *progress)
{
    struct publication *publication = context;

    atomic_store_explicit(&publication->recovery_lsn, progress->lsn, memory_order_relaxed);
    atomic_store_explicit(&publication->recovery_records, progress->records, memory_order_relaxed);
    atomic_store_explicit(&publication->recovery_entities, progress->entities,
                          memory_order_relaxed);
}

static void
seat_close(void *context)
{
    engine_close(context);
}

static struct engine_options
options_of(const struct config *config, struct publication *publication)
{
    bool is_memory = config_number(config, CONFIG_MEMORY_ONLY) != 0;
    uint64_t max_frame = config_number(config, CONFIG_MAX_FRAME);
    uint64_t max_body = config_number(config, CONFIG_MAX_BODY);
    struct engine_options options = {
        .policy =
            is_memory ? BV_POLICY_MEMORY : (uint32_t)config_number(config, CONFIG_WAL_SYNC_MODE),
        .wal_dir = config_text(config, CONFIG_WAL_DIR),
        .snapshot_dir = config_text(config, CONFIG_SNAPSHOT_DIR),
        .segment_bytes = config_number(config, CONFIG_WAL_SEGMENT_BYTES),
        .sync_interval_ms = (uint32_t)config_number(config, CONFIG_WAL_FSYNC_INTERVAL_MS),
        .sync_bytes = config_number(config, CONFIG_WAL_FSYNC_BYTES),
        .tick_ms = (uint32_t)config_number(config, CONFIG_WAL_TICK_MS),
        .allow_network_fs = config_number(config, CONFIG_ALLOW_NETWORK_FS) != 0,
        .is_test_mode = config_number(config, CONFIG_TEST_MODE) != 0,
        .is_memory_ungoverned = config_number(config, CONFIG_MEMORY_GOV) == 0,
        .mirror_batch_get = config_number(config, CONFIG_BATCH_GET_MIRROR) != 0,
        .row_flags =
            (config_number(config, CONFIG_STRICT_CONTROL) != 0 ? ROW_STRICT_CONTROL_CHARACTERS
                                                               : 0) |
            (config_number(config, CONFIG_CHECK_OPTIONAL) == 0 ? ROW_LOOSE_OPTIONAL_FIELDS : 0),
        .max_payload = (uint32_t)(max_frame > max_body ? max_frame : max_body),
        .max_reply = (uint32_t)max_frame,
        .populate = true,
        .snapshot_interval_ms = config_number(config, CONFIG_SNAPSHOT_INTERVAL_MS),
        .snapshot_wal_bytes = config_number(config, CONFIG_SNAPSHOT_WAL_BYTES),
        .snapshot_min_records = config_number(config, CONFIG_SNAPSHOT_MIN_EVENTS),
        .snapshot_retain = (uint32_t)config_number(config, CONFIG_SNAPSHOT_RETAIN_COUNT),
        .wal_max_bytes = config_number(config, CONFIG_WAL_MAX_BYTES),
        .min_free_bytes = config_number(config, CONFIG_MIN_FREE_BYTES),
        .memory_limit_bytes = config_memory_limit(config),
        .table_max_entities = config_number(config, CONFIG_TABLE_MAX_ENTITIES),
        .table_full_evicts = config_number(config, CONFIG_TABLE_FULL_POLICY) != 0,
        .dedupe_max_entries = config_number(config, CONFIG_DEDUPE_MAX_ENTRIES),
        .accept_data_loss = config_is_set(config, CONFIG_ACCEPT_DATA_LOSS),
        .accept_data_loss_after = config_number(config, CONFIG_ACCEPT_DATA_LOSS),
        .on_progress = note_progress,
        .progress_context = publication,
    };

    options.ring_bytes = config_ring_bytes(config);
    return options;
}

enum bv_status
seat_open_engine(struct seat *out, const struct config *config, struct publication *publication,
                 struct seat_report *report, struct bv_error *err)
{
    struct engine_options options = options_of(config, publication);
    struct engine_stats stats;
    struct engine *engine = NULL;
    enum bv_status status = engine_open(&engine, &options, err);

    if (status != BV_OK) {
        return status;
    }
    engine_stats_get(engine, &stats);
    report->recovered_lsn = stats.last_lsn;
    report->recovery_ms = stats.recovery_ms;
    atomic_store_explicit(&publication->pauses, engine_pauses(engine), memory_order_release);
    atomic_store_explicit(&publication->sync_times, engine_wal_sync_times(engine),
                          memory_order_release);
    *out = (struct seat){
        .context = engine,
        .begin = seat_begin,
        .dispatch = seat_dispatch,
        .end = seat_end,
        .has_room = seat_has_room,
        .acked_lsn = seat_acked_lsn,
        .synced_lsn = seat_synced_lsn,
        .is_failed = seat_is_failed,
        .registry_version = seat_registry_version,
        .event_fd = seat_event_fd,
        .background = seat_background,
        .readiness = seat_readiness,
        .snapshot_request = seat_snapshot_request,
        .snapshot_result = seat_snapshot_result,
        .close_snapshot = seat_close_snapshot,
        .source = {engine, seat_stats, seat_table_stats, seat_describe},
        .close = seat_close,
    };
    return BV_OK;
}
