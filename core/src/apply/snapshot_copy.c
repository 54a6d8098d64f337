/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot from trigger to result, in slices between ticks.
 *
 * Enters:  time that passes, bytes that are logged, requests, a log that could go on.
 * Leaves:  a published snapshot, and a log that resumes where one was needed for that.
 * Owner:   the apply thread; the callbacks at the top run on the snapshot writer's thread.
 *
 *   IDLE --trigger--> MIGRATE --uniform--> BEGIN --S--> HEAD --> PAGES --> WAIT --result--> IDLE
 *                        ^                    registration or reset            |
 *                        +-----------------------------------------------------+
 *
 * Invariants
 *   (1) A slice runs after a tick has ended: nothing is staged, no record is open, and every LSN up
 *       to next_lsn - 1 is in the state.
 *   (2) Attempts are counted when they begin; a ticket is the number of an attempt, and all that
 *       was accepted before it was given is at or below the S of that attempt. A restart goes on
 *       with the same attempt.
 *   (3) While a failed log waits for its snapshot nothing takes an LSN, so all its images have
 *       image_lsn S, and S may be published although the log is not durable up to it: the log goes
 *       on behind it.
 *   (4) Without anything new in the log no snapshot is written; a log that has no room makes it. */
#include <stdlib.h>

#include "apply/images.h"
#include "apply/migrate.h"
#include "util/clock.h"

#define RETRY_NS       5000000000u /* after a failure, where nobody asks */
#define RESUME_NS      1000000000u /* between two tries to resume the log */
#define BUSY_NS        10000000u   /* the writer will say when it goes on; a lost wake costs this */
#define THIN_SLICE_NS  50000u      /* up to here the thread has other work */
#define THIN_BYTES_MAX IMAGES_CHUNK_BYTES

enum phase { PHASE_IDLE, PHASE_MIGRATE, PHASE_BEGIN, PHASE_HEAD, PHASE_PAGES, PHASE_WAIT };

struct snapshot_copy {
    struct engine *engine;
    struct snapshot_writer *writer;
    enum phase phase;
    struct migrate migrate;
    struct images images;
    struct buf registry_json;
    struct buf sections_json;
    unsigned heads_put;

    uint64_t begun; /* attempts */
    uint64_t ended;
    uint64_t wanted; /* attempts up to this one were asked for */
    struct engine_snapshot result;
    bool is_resuming; /* this attempt is for the log's sake */
    uint64_t start_lsn;

    uint64_t good_lsn; /* of the last good one */
    uint64_t good_bytes;
    uint64_t good_duration_ns;
    uint64_t good_sync_ns;
    uint64_t good_finished_ms;
    uint64_t count;
    uint64_t failures;
    uint64_t last_begin_ns;
    uint64_t retry_at_ns;
    uint64_t logged_bytes_at_begin;
    uint64_t replayed_bytes;
    uint32_t retain;
    uint32_t clocks_for_room; /* logged since the log has had no room */

    /* Read by the writer's thread. */
    _Atomic uint64_t resume_lsn; /* durable by decree: (3); 0: none */
    _Atomic uint64_t keep_history_ms;
};

/* ---- on the writer's thread ---- */

static uint64_t
durable_lsn(void *context)
{
    struct snapshot_copy *copy = context;
    const uint64_t resume_lsn = atomic_load(&copy->resume_lsn);

    return resume_lsn != 0 ? resume_lsn : wal_durable_lsn(copy->engine->wal);
}

static void
want_sync(void *context, uint64_t lsn)
{
    struct snapshot_copy *copy = context;

    wal_want_sync(copy->engine->wal, lsn);
}

static enum bv_status
retire(void *context, uint64_t lsn, struct bv_error *err)
{
    struct snapshot_copy *copy = context;

    return wal_retire(copy->engine->wal, lsn, atomic_load(&copy->keep_history_ms), err);
}

/* ---- attempts ---- */

static void
drop_images(struct snapshot_copy *copy)
{
    images_end(&copy->images);
    buf_deinit(&copy->registry_json);
    buf_deinit(&copy->sections_json);
}

static void
end_attempt(struct snapshot_copy *copy, const struct engine_snapshot *result)
{
    drop_images(copy);
    copy->phase = PHASE_IDLE;
    copy->result = *result;
    copy->ended = copy->begun;
    copy->is_resuming = false;
    atomic_store(&copy->resume_lsn, 0);
}

static void
fail_attempt(struct snapshot_copy *copy, uint64_t now_ns, const struct bv_error *why)
{
    struct engine_snapshot result = {.status = BV_SNAPSHOT_UNAVAILABLE};

    bv_error_set(&result.error, BV_SNAPSHOT_UNAVAILABLE, "%s", why->message);
    copy->failures++;
    copy->retry_at_ns = now_ns + (copy->is_resuming ? RESUME_NS : RETRY_NS);
    end_attempt(copy, &result);
}

static void
note_good(struct snapshot_copy *copy, const struct snapshot_result *result)
{
    copy->count++;
    copy->good_lsn = result->start_lsn;
    copy->good_bytes = result->bytes;
    copy->good_duration_ns = result->duration_ns;
    copy->good_sync_ns = result->sync_ns;
    copy->good_finished_ms = result->finished_ms;
}

static void
succeed(struct snapshot_copy *copy, uint64_t now_ns, const struct snapshot_result *result)
{
    struct engine *engine = copy->engine;
    const struct engine_snapshot ended = {
        .status = BV_OK,
        .lsn = result->start_lsn,
        .bytes = result->bytes,
        .duration_ms = result->duration_ns / 1000000u,
    };

    copy->retry_at_ns = 0;
    if (copy->is_resuming) {
        BV_ASSERT(result->start_lsn == engine->next_lsn - 1);
        wal_resume(engine->wal, engine->next_lsn, engine->now_ms,
                   (uint32_t)engine->live.registry->version);
        copy->retry_at_ns = now_ns + RESUME_NS;
    }
    end_attempt(copy, &ended);
}

/* A snapshot has ended: ours, or one that was given up too late to stop it. */
static void
take_result(struct snapshot_copy *copy, uint64_t now_ns)
{
    struct snapshot_result result;

    if (!snapshot_take_result(copy->writer, &result)) {
        return;
    }
    if (result.status == BV_OK) {
        note_good(copy, &result);
    }
    if (copy->phase < PHASE_HEAD) {
        return;
    }
    if (result.status == BV_OK) {
        succeed(copy, now_ns, &result);
    } else {
        fail_attempt(copy, now_ns, &result.error);
    }
}

/* ---- triggers ---- */

static uint64_t
last_lsn(const struct snapshot_copy *copy)
{
    return copy->engine->next_lsn - 1;
}

static uint64_t
logged_bytes(const struct snapshot_copy *copy)
{
    struct wal_counts counts;

    wal_counts_get(copy->engine->wal, &counts);
    return counts.bytes + copy->replayed_bytes;
}

static bool
is_due_by_bytes(const struct snapshot_copy *copy)
{
    const uint64_t most = copy->engine->options.snapshot_wal_bytes;

    return most != 0 && logged_bytes(copy) - copy->logged_bytes_at_begin >= most;
}

/* When one is due by time; ENGINE_IDLE: not before more is logged. */
static uint64_t
due_at_ns(const struct snapshot_copy *copy)
{
    const struct engine_options *options = &copy->engine->options;

    if (options->snapshot_interval_ms == 0 ||
        last_lsn(copy) - copy->good_lsn < options->snapshot_min_records) {
        return ENGINE_IDLE;
    }
    const uint64_t at_ns = copy->last_begin_ns + options->snapshot_interval_ms * 1000000u;

    return at_ns > copy->retry_at_ns ? at_ns : copy->retry_at_ns;
}

/* A request that needs no new file, or can have none. */
static void
answer_requests(struct snapshot_copy *copy, enum bv_status status, const struct bv_error *why)
{
    struct engine_snapshot result = {
        .status = status, .lsn = copy->good_lsn, .bytes = copy->good_bytes};

    if (copy->wanted <= copy->ended) {
        return;
    }
    if (status != BV_OK) {
        bv_error_set(&result.error, status, "%s", why->message);
    }
    copy->begun = copy->wanted;
    end_attempt(copy, &result);
}

/* Of a log that has failed: nothing but a snapshot that lets it go on. */
static bool
begins_for_log(struct snapshot_copy *copy, uint64_t now_ns)
{
    const struct wal *wal = copy->engine->wal;

    if (wal_can_resume(wal) && now_ns >= copy->retry_at_ns) {
        copy->is_resuming = true;
        return true;
    }
    answer_requests(copy, BV_SNAPSHOT_UNAVAILABLE, wal_failure(wal));
    return false;
}

static bool
has_no_room(const struct snapshot_copy *copy)
{
    return BV_UNLIKELY(wal_pressure(copy->engine->wal) == WAL_PRESSURE_REFUSES);
}

/* A log without room gets some only from snapshots, as many as are kept. Pushes are refused
 * meanwhile: where nothing is new the clock is logged, or the log would stay full for ever. */
static bool
begins_for_room(struct snapshot_copy *copy, uint64_t now_ns)
{
    if (!has_no_room(copy)) {
        copy->clocks_for_room = 0;
        return false;
    }
    if (now_ns < copy->retry_at_ns) {
        return false;
    }
    if (last_lsn(copy) == copy->good_lsn) {
        if (copy->clocks_for_room == copy->retain || !budget_log_clock(copy->engine)) {
            return false;
        }
        copy->clocks_for_room++;
        wal_publish(copy->engine->wal);
    } else if (last_lsn(copy) - copy->good_lsn > 1) {
        copy->clocks_for_room = 0; /* more than the clock is new: there was room meanwhile */
    }
    return true;
}

static bool
begins_now(struct snapshot_copy *copy, uint64_t now_ns)
{
    if (BV_UNLIKELY(wal_failed(copy->engine->wal))) {
        return begins_for_log(copy, now_ns);
    }
    if (begins_for_room(copy, now_ns)) {
        return true;
    }
    if (last_lsn(copy) == copy->good_lsn) {
        answer_requests(copy, BV_OK, NULL);
        return false;
    }
    return copy->wanted > copy->ended || now_ns >= due_at_ns(copy) ||
           (now_ns >= copy->retry_at_ns && is_due_by_bytes(copy));
}

static uint64_t
wait_ns(const struct snapshot_copy *copy, uint64_t now_ns)
{
    uint64_t at_ns;

    if (wal_failed(copy->engine->wal)) {
        at_ns = wal_can_resume(copy->engine->wal) ? copy->retry_at_ns : ENGINE_IDLE;
    } else if (last_lsn(copy) == copy->good_lsn) {
        at_ns = ENGINE_IDLE;
    } else {
        at_ns = has_no_room(copy) ? copy->retry_at_ns : due_at_ns(copy);
    }
    if (at_ns == ENGINE_IDLE) {
        return ENGINE_IDLE;
    }
    return at_ns > now_ns ? at_ns - now_ns : 0;
}

/* ---- phases ---- */

static void
migrate(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns)
{
    struct bv_error err;
    bool is_done;

    if (migrate_slice(&copy->migrate, copy->engine, until_ns, &is_done, &err) != BV_OK) {
        fail_attempt(copy, now_ns, &err);
    } else if (is_done) {
        copy->phase = PHASE_BEGIN;
    }
}

static uint64_t
history_ms(const struct registry *registry)
{
    uint64_t most = 0;

    for (size_t i = 0; i < registry->descriptor_count; i++) {
        if (registry->descriptors[i].keep_events_for_ms > most) {
            most = registry->descriptors[i].keep_events_for_ms;
        }
    }
    return most;
}

/* S is taken. The writer may still be busy with one that was given up. */
static void
begin(struct snapshot_copy *copy, uint64_t now_ns)
{
    struct engine *engine = copy->engine;
    struct snapshot_start start = {
        .start_lsn = last_lsn(copy),
        .time_ms = engine->now_ms,
        .last_event_ms = engine->last_event_ms,
        .registry_version = (uint32_t)engine->live.registry->version,
    };
    struct bv_error err = {0};

    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        start.entity_count += table_entity_count(engine->live.tables[i]->table);
    }
    atomic_store(&copy->keep_history_ms, history_ms(engine->live.registry));
    atomic_store(&copy->resume_lsn, copy->is_resuming ? start.start_lsn : 0);
    copy->start_lsn = start.start_lsn;
    if (!snapshot_begin(copy->writer, &start)) {
        return;
    }
    copy->phase = PHASE_HEAD;
    copy->heads_put = 0;
    buf_init(&copy->registry_json);
    buf_init(&copy->sections_json);
    enum bv_status status = images_begin(&copy->images, engine, copy->writer, &err);

    if (status == BV_OK) {
        sections_write_registry(&copy->registry_json, engine->live.registry);
        sections_write(&copy->sections_json, &copy->images.sections, engine);
        if (copy->registry_json.failed || copy->sections_json.failed) {
            status = bv_error_set(&err, BV_NO_MEMORY, "a snapshot's sections");
        }
    }
    if (status != BV_OK) {
        snapshot_abandon(copy->writer);
        fail_attempt(copy, now_ns, &err);
    }
}

/* The first two chunks; false: no room yet. */
static bool
put_heads(struct snapshot_copy *copy)
{
    const struct slice bodies[] = {buf_slice(&copy->registry_json),
                                   buf_slice(&copy->sections_json)};

    for (; copy->heads_put < 2; copy->heads_put++) {
        if (!snapshot_put(copy->writer,
                          copy->heads_put == 0 ? SNAPSHOT_REGISTRY : SNAPSHOT_SECTIONS,
                          copy->start_lsn, bodies[copy->heads_put])) {
            return false;
        }
    }
    copy->phase = PHASE_PAGES;
    return true;
}

/* Returns how long to wait, as engine_background. */
static uint64_t
copy_pages(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns)
{
    const struct engine *engine = copy->engine;
    const uint64_t bytes_max = until_ns - now_ns <= THIN_SLICE_NS ? THIN_BYTES_MAX : UINT64_MAX;
    struct bv_error err;

    switch (images_copy(&copy->images, until_ns, bytes_max)) {
    case IMAGES_MORE:
        return 0;
    case IMAGES_NO_ROOM:
        return BUSY_NS;
    case IMAGES_NO_MEMORY:
        snapshot_abandon(copy->writer);
        bv_error_set(&err, BV_NO_MEMORY, "no memory for a snapshot's images");
        fail_attempt(copy, now_ns, &err);
        return 0;
    case IMAGES_DONE:
        break;
    }
    snapshot_finish(copy->writer, &(struct snapshot_totals){
                                      .entities = copy->images.entities,
                                      .dedupe_entries = copy->images.dedupe_entries,
                                      .time_ms = engine->now_ms,
                                      .last_event_ms = engine->last_event_ms,
                                      .last_lsn = last_lsn(copy),
                                  });
    drop_images(copy);
    copy->phase = PHASE_WAIT;
    return BUSY_NS;
}

static uint64_t
step(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns)
{
    switch (copy->phase) {
    case PHASE_IDLE:
        if (!begins_now(copy, now_ns)) {
            return wait_ns(copy, now_ns);
        }
        copy->begun++;
        copy->last_begin_ns = now_ns;
        copy->logged_bytes_at_begin = logged_bytes(copy);
        migrate_begin(&copy->migrate);
        copy->phase = PHASE_MIGRATE;
        return 0;
    case PHASE_MIGRATE:
        migrate(copy, now_ns, until_ns);
        return 0;
    case PHASE_BEGIN:
        begin(copy, now_ns);
        return copy->phase == PHASE_BEGIN ? BUSY_NS : 0;
    case PHASE_HEAD:
        return put_heads(copy) ? 0 : BUSY_NS;
    case PHASE_PAGES:
        return copy_pages(copy, now_ns, until_ns);
    case PHASE_WAIT:
        break;
    }
    return BUSY_NS;
}

/* The log has failed under a usual snapshot: it could never be published (rule 3 of engine.md 8),
 * and the log may need one of its own. */
static void
give_up_without_log(struct snapshot_copy *copy, uint64_t now_ns)
{
    if (copy->phase == PHASE_IDLE || copy->is_resuming || !wal_failed(copy->engine->wal)) {
        return;
    }
    snapshot_abandon(copy->writer);
    fail_attempt(copy, now_ns, wal_failure(copy->engine->wal));
    copy->retry_at_ns = 0;
}

uint64_t
snapshot_copy_slice(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t wait = 0;

    take_result(copy, now_ns);
    give_up_without_log(copy, now_ns);
    do {
        wait = step(copy, now_ns, until_ns);
    } while (wait == 0 && copy->phase != PHASE_IDLE && copy->phase != PHASE_PAGES &&
             clock_monotonic_ns() < until_ns);
    return wait;
}

/* ---- for others ---- */

void
snapshot_copy_restart(struct snapshot_copy *copy)
{
    if (copy == NULL || copy->phase == PHASE_IDLE) {
        return;
    }
    if (copy->phase >= PHASE_HEAD) {
        snapshot_abandon(copy->writer);
        drop_images(copy);
    }
    migrate_begin(&copy->migrate);
    copy->phase = PHASE_MIGRATE;
}

uint64_t
snapshot_copy_wait(const struct snapshot_copy *copy, uint64_t now_ns)
{
    if (copy->phase != PHASE_IDLE) {
        return copy->phase == PHASE_WAIT ? BUSY_NS : 0;
    }
    return copy->wanted > copy->ended || (now_ns >= copy->retry_at_ns && is_due_by_bytes(copy))
               ? 0
               : wait_ns(copy, now_ns);
}

bool
snapshot_copy_is_running(const struct snapshot_copy *copy)
{
    return copy->phase != PHASE_IDLE && copy->phase != PHASE_WAIT;
}

uint64_t
snapshot_copy_request(struct snapshot_copy *copy)
{
    const bool is_before_s = copy->phase == PHASE_MIGRATE || copy->phase == PHASE_BEGIN;

    const uint64_t ticket = is_before_s ? copy->begun : copy->begun + 1;

    if (ticket > copy->wanted) { /* a restart may have left a later one */
        copy->wanted = ticket;
    }
    return ticket;
}

bool
snapshot_copy_result(const struct snapshot_copy *copy, uint64_t ticket, struct engine_snapshot *out)
{
    if (ticket > copy->ended) {
        return false;
    }
    *out = copy->result;
    return true;
}

uint64_t
snapshot_copy_last_ticket(const struct snapshot_copy *copy)
{
    return copy->wanted;
}

void
snapshot_copy_stats(const struct snapshot_copy *copy, struct engine_stats *out)
{
    out->snapshot_count = copy->count;
    out->snapshot_failures = copy->failures;
    out->snapshot_lsn = copy->good_lsn;
    out->snapshot_bytes = copy->good_bytes;
    out->snapshot_duration_ns = copy->good_duration_ns;
    out->snapshot_sync_ns = copy->good_sync_ns;
    out->snapshot_finished_ms = copy->good_finished_ms;
    out->snapshot_is_running = copy->phase != PHASE_IDLE;
}

enum bv_status
snapshot_copy_create(struct snapshot_copy **out, struct engine *engine,
                     const struct snapshot_copy_options *options, struct bv_error *err)
{
    struct snapshot_copy *copy = calloc(1, sizeof *copy);

    if (copy == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "snapshots");
    }
    copy->engine = engine;
    copy->last_begin_ns = clock_monotonic_ns();
    copy->good_lsn = options->loaded_lsn;
    copy->good_bytes = options->loaded_bytes;
    copy->replayed_bytes = options->replayed_bytes;
    copy->retain = engine->options.snapshot_retain == 0 ? 2 : engine->options.snapshot_retain;
    const struct snapshot_options writer_options = {
        .directory = engine->directory,
        .retain = engine->options.snapshot_retain,
        .durable_lsn = durable_lsn,
        .want_sync = want_sync,
        .retire = retire,
        .context = copy,
        .event_fd = wal_event_fd(engine->wal),
    };
    const enum bv_status status = snapshot_writer_create(&copy->writer, &writer_options, err);

    if (status != BV_OK) {
        free(copy);
        return status;
    }
    *out = copy;
    return BV_OK;
}

void
snapshot_copy_destroy(struct snapshot_copy *copy)
{
    if (copy == NULL) {
        return;
    }
    snapshot_writer_destroy(copy->writer);
    drop_images(copy);
    free(copy);
}
