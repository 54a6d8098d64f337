/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, recovering and closing an engine.
 *
 * Enters:  options; whatever the directories hold.
 * Leaves:  an engine whose state is that of the log, and a log that goes on where it ended.
 *
 * Recovery loads the newest snapshot that reads and hands each record after it to replay_record(),
 * which goes through the same staging as a push, with the record's time and seed: the state comes
 * out bit for bit (a digest shows it).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "apply/apply.h"
#include "durability/segment.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/log.h"

#define ARENA_BLOCK_BYTES (256u * 1024)
#define PROGRESS_NS       1000000000u

static uint32_t
heap_alloc(struct agg_heap *heap, uint32_t size)
{
    const uint32_t ref = pages_alloc(((struct engine_heap *)heap)->pages, size);

    /* The accumulator would do without, and the replay of its event perhaps not (README, 6). */
    BV_ASSERT(ref != 0);
    return ref;
}

static void
heap_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    pages_release(((struct engine_heap *)heap)->pages, ref, size);
}

/* ---- recovery ---- */

void
engine_report_progress(struct engine *engine)
{
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - engine->progress_ns < PROGRESS_NS) {
        return;
    }
    engine->progress_ns = now_ns;
    const struct engine_progress progress = {
        .lsn = engine->next_lsn - 1,
        .records = engine->recovered_records,
        .entities = engine->recovered_entities,
    };

    log_line(LOG_NOTICE, "recovery.progress", "beava.recovery",
             progress.records == 0 ? "reading a snapshot" : "replaying the log",
             (struct log_field[]){
                 LOG_INT("lsn", progress.lsn),
                 LOG_INT("records", progress.records),
                 LOG_INT("events", engine->recovered_events),
                 LOG_INT("entities", progress.entities),
             },
             4);
    if (engine->options.on_progress != NULL) {
        engine->options.on_progress(engine->options.progress_context, &progress);
    }
}

static enum bv_status
replay_record(const struct record_header *header, struct slice body, void *context,
              struct bv_error *err)
{
    struct engine *engine = context;
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
    engine_report_progress(engine);
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

/* A log keeps its last segment for ever: beside a snapshot a directory without any is another one
 * than the log was in, or a volume that is not mounted, and what was acknowledged behind the
 * snapshot is not there. */
static enum bv_status
check_log_is_there(const struct engine *engine, uint64_t start_lsn, struct bv_error *err)
{
    const struct engine_options *options = &engine->options;
    const struct wal_directory *directory = engine->directory;
    struct os_names names = {0};
    bool is_there = false;
    enum bv_status status = os_list(&names, directory->os, directory->path, err);

    for (size_t i = 0; i < names.count && !is_there; i++) {
        uint64_t number;
        is_there = segment_name_parse(&number, names.names[i]);
    }
    os_names_deinit(&names);
    if (status != BV_OK || is_there) {
        return status;
    }
    if (options->accept_data_loss && options->accept_data_loss_after <= start_lsn) {
        log_line(LOG_WARN, "recovery.loss_accepted", "beava.recovery",
                 "the log is missing: what was behind the snapshot is given up",
                 (struct log_field[]){LOG_TEXT("path", directory->path), LOG_INT("lsn", start_lsn)},
                 2);
        return BV_OK;
    }
    bv_error_set(err, BV_CORRUPT,
                 "%s: the log is missing: there is a snapshot at LSN %llu and no segment",
                 directory->path, (unsigned long long)start_lsn);
    bv_error_path(err, "%s", directory->path);
    bv_error_hint(err,
                  "is this the right directory, and is its volume mounted? Restore the log, or "
                  "start once with --accept-data-loss-after %llu",
                  (unsigned long long)start_lsn);
    return BV_CORRUPT;
}

/* The log after the snapshot: what its images hold already is passed by. */
static enum bv_status
replay(struct engine *engine, const struct snapshot_info *snapshot, struct recovery_result *result,
       struct bv_error *err)
{
    const uint64_t start_lsn = snapshot->start_lsn;

    engine->next_lsn = start_lsn + 1;
    engine->is_over_images = start_lsn != 0;
    enum bv_status status = start_lsn == 0 ? BV_OK : check_log_is_there(engine, start_lsn, err);

    if (status == BV_OK) {
        status = recovery_run(result, engine->directory, start_lsn, replay_record, engine, err);
    }
    engine->is_over_images = false;
    if (status != BV_OK) {
        return status;
    }
    /* A log that failed and was to be resumed may end before the snapshot that it waited for. */
    engine->next_lsn = (result->last_lsn > start_lsn ? result->last_lsn : start_lsn) + 1;
    if (start_lsn == 0) {
        return BV_OK;
    }
    if (engine->next_lsn <= snapshot->highest_image_lsn) {
        bv_error_set(err, BV_CORRUPT,
                     "%s: the log ends at LSN %llu, but the snapshot of LSN %llu was published "
                     "when it held LSN %llu",
                     engine->options.wal_dir, (unsigned long long)engine->next_lsn - 1,
                     (unsigned long long)start_lsn,
                     (unsigned long long)snapshot->highest_image_lsn);
        bv_error_hint(err, "--accept-data-loss-after %llu",
                      (unsigned long long)engine->next_lsn - 1);
        return BV_CORRUPT;
    }
    pages_forget_images(engine->pages);
    return dedupe_rebuild(engine, err);
}

/* The clock goes on where it was, and the digest's. */
static void
restore_clocks(struct engine *engine, const struct snapshot_info *snapshot,
               const struct recovery_result *result)
{
    const uint64_t floor_ms =
        snapshot->time_ms > result->last_time_ms ? snapshot->time_ms : result->last_time_ms;

    if (snapshot->last_event_ms > engine->last_event_ms) {
        engine->last_event_ms = snapshot->last_event_ms;
    }
    engine_tick_begin(engine, floor_ms);
}

/* A snapshot that did not read may have held what the log does not, or not any more. */
static enum bv_status
check_failed(const struct engine *engine, const struct snapshot_loaded *loaded,
             struct bv_error *err)
{
    const struct engine_options *options = &engine->options;
    const uint64_t last_lsn = engine->next_lsn - 1;

    if (loaded->failed_count == 0 || loaded->failed_lsns[0] <= last_lsn ||
        (options->accept_data_loss && options->accept_data_loss_after <= last_lsn)) {
        return BV_OK;
    }
    bv_error_set(err, BV_CORRUPT, "what can be read ends at LSN %llu, before this snapshot",
                 (unsigned long long)last_lsn);
    bv_error_hint(err, "--accept-data-loss-after %llu", (unsigned long long)last_lsn);
    return BV_CORRUPT;
}

/* Without the snapshots that did not read the log did not do: they are what is missing. */
static void
name_failed(struct bv_error *err, const struct engine *engine, const struct snapshot_loaded *loaded)
{
    char name[SNAPSHOT_NAME_SIZE];

    if (err == NULL || err->status != BV_CORRUPT || loaded->failed_count == 0) {
        return;
    }
    const struct bv_error why = *err;

    snapshot_name(name, loaded->failed_lsns[0]);
    bv_error_set(err, BV_CORRUPT, "%s/%s does not read%s, and the log alone does not do: %.500s",
                 engine->directory->snapshot_path, name,
                 loaded->failed_count > 1 ? ", nor do older snapshots" : "", why.message);
    if (why.hint[0] != '\0') {
        bv_error_hint(err, "%s", why.hint);
    }
}

static void
report_complete(const struct engine *engine, const struct recovery_result *result)
{
    if (engine->recovered_records == 0 && engine->recovered_from_snapshot_lsn == 0) {
        return;
    }
    log_line(LOG_NOTICE, "recovery.complete", "beava.recovery",
             engine->recovered_from_snapshot_lsn == 0 ? "the log was replayed"
                                                      : "a snapshot was read, the log replayed",
             (struct log_field[]){
                 LOG_INT("snapshot_lsn", engine->recovered_from_snapshot_lsn),
                 LOG_INT("records", engine->recovered_records),
                 LOG_INT("skipped", result->skipped_bytes),
                 LOG_INT("last_lsn", engine->next_lsn - 1),
                 LOG_INT("ms", engine->recovery_ms),
             },
             5);
}

/* The log goes on, and snapshots with it. */
static enum bv_status
go_on(struct engine *engine, const struct wal_options *options,
      const struct snapshot_loaded *loaded, const struct recovery_result *result,
      struct bv_error *err)
{
    const struct snapshot_copy_options copy_options = {
        .loaded_lsn = loaded->info.start_lsn,
        .loaded_bytes = loaded->info.bytes,
        .replayed_bytes = result->bytes,
    };
    enum bv_status status =
        wal_open(&engine->wal, engine->directory, options, engine->next_lsn, err);

    if (status == BV_OK && engine->directory->snapshot_path[0] != '\0') {
        snapshot_load_settle(loaded, engine);
        status = snapshot_copy_create(&engine->snapshot, engine, &copy_options, err);
    }
    return status;
}

static enum bv_status
recover(struct engine *engine, const struct wal_options *options, struct bv_error *err)
{
    const uint64_t started_ns = clock_monotonic_ns();
    const unsigned row_flags = engine->options.row_flags;
    struct snapshot_loaded loaded = {0};
    struct recovery_result result = {0};
    enum bv_status status = wal_directory_open(&engine->directory, options, err);

    /* What is in the log was accepted, maybe under looser switches than those of today. */
    engine->options.row_flags = ROW_LOOSE_OPTIONAL_FIELDS;
    engine->progress_ns = started_ns;
    if (status == BV_OK) {
        status = snapshot_load(&loaded, engine, err);
    }
    const uint64_t replay_ns = clock_monotonic_ns();

    if (status == BV_OK) {
        status = replay(engine, &loaded.info, &result, err);
    }
    if (status == BV_OK) {
        status = check_failed(engine, &loaded, err);
    }
    engine->options.row_flags = row_flags;
    if (status != BV_OK) {
        name_failed(err, engine, &loaded);
        goto done;
    }
    plan_set_row_flags(engine->live.plan, row_flags);
    restore_clocks(engine, &loaded.info, &result);
    engine->recovered_from_snapshot_lsn = loaded.info.start_lsn;
    engine->recovery_skipped_bytes = result.skipped_bytes;
    engine->replay_ns = clock_monotonic_ns() - replay_ns;
    engine->recovery_ms = (clock_monotonic_ns() - started_ns) / 1000000u;
    status = go_on(engine, options, &loaded, &result, err);
    if (status == BV_OK) {
        report_complete(engine, &result);
    }
done:
    snapshot_loaded_deinit(&loaded);
    return status;
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

/* A start writes one segment; the message names the file, and this what to do. */
static void
hint_at_space(const struct engine_options *options, struct bv_error *err)
{
    const char *snapshots = options->snapshot_dir == NULL ? "" : options->snapshot_dir;

    if (err == NULL || (err->os_errno != ENOSPC && err->os_errno != EDQUOT) ||
        err->hint[0] != '\0') {
        return;
    }
    const bool is_snapshot = snapshots[0] != '\0' && strstr(err->message, snapshots) != NULL;

    bv_error_hint(err, "free space on the file system of %s",
                  is_snapshot ? snapshots : options->wal_dir);
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
            .look_ms = options->look_ms,
            .allow_network_fs = options->allow_network_fs,
            .accept_data_loss = options->accept_data_loss,
            .accept_data_loss_after = options->accept_data_loss_after,
            .wal_max_bytes = options->wal_max_bytes,
            .min_free_bytes = options->min_free_bytes,
            .os = options->os,
        };

        status = recover(engine, &wal_options, err);
        if (status != BV_OK) {
            hint_at_space(options, err);
        }
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
    snapshot_copy_destroy(engine->snapshot);
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
