/* SPDX-License-Identifier: Apache-2.0 */
/* The engine in the server's seat: configuration in, the calls of apply/engine.h out. Thin on
 * purpose; the wrappers exist because a seat speaks of `void *`. */
#include "apply/engine.h"
#include "server/seat.h"

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

static void
seat_close(void *context)
{
    engine_close(context);
}

static struct engine_options
options_of(const struct config *config)
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
    };

    /* The ring stays small enough for the cache unless one of the published settings is given. */
    if (config_is_set(config, CONFIG_WAL_BUFFERS) ||
        config_is_set(config, CONFIG_WAL_BUFFER_SIZE_MB)) {
        options.ring_bytes = config_number(config, CONFIG_WAL_BUFFERS) *
                                 config_number(config, CONFIG_WAL_BUFFER_SIZE_MB)
                             << 20;
    }
    return options;
}

enum bv_status
seat_open_engine(struct seat *out, const struct config *config, struct seat_report *report,
                 struct bv_error *err)
{
    struct engine_options options = options_of(config);
    struct engine_stats stats;
    struct engine *engine = NULL;
    enum bv_status status = engine_open(&engine, &options, err);

    if (status != BV_OK) {
        return status;
    }
    engine_stats_get(engine, &stats);
    report->recovered_lsn = stats.last_lsn;
    report->recovery_ms = stats.recovery_ms;
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
        .close = seat_close,
    };
    return BV_OK;
}
