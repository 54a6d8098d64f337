/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_ENGINE_H
#define BV_APPLY_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "beava.h"
#include "util/buf.h"
#include "util/error.h"
#include "wire/request.h"
#include "wire/response.h"

/* One engine: registry, plan, entities and log, without sockets. The server drives it from its
 * tick; bv_engine drives it with ticks of one request.
 *
 * Enters:  requests, in order, and the time of the tick.
 * Leaves:  responses, each with the LSN it has to wait for.
 * Owner:   the apply thread: whoever calls engine_tick_begin. engine_acked_lsn, engine_synced_lsn
 *          and engine_failed may be called from any thread.
 *
 * A tick:  engine_tick_begin, engine_dispatch for each request, engine_tick_end. Request bytes stay
 * where they are until engine_tick_end returns: pushes are staged and applied in batches. */

struct engine;
struct os;
struct histogram;

struct engine_progress {
    uint64_t lsn; /* applied up to here */
    uint64_t records;
    uint64_t entities; /* read from the snapshot so far */
};

struct engine_options {
    uint32_t policy;     /* BV_POLICY_* */
    const char *wal_dir; /* not with BV_POLICY_MEMORY */
    const char *snapshot_dir;
    uint64_t segment_bytes;    /* 0: default */
    uint64_t ring_bytes;       /* 0: default */
    uint32_t sync_interval_ms; /* policy os */
    uint64_t sync_bytes;       /* policy os */
    uint32_t tick_ms;          /* policy os */
    uint32_t look_ms;          /* 0: 1000; looks so often for space, and for a failure's end */
    bool allow_network_fs;
    bool is_test_mode;         /* reset is allowed */
    bool is_memory_ungoverned; /* BEAVA_MEMORY_GOV_ENFORCE=0 */
    bool mirror_batch_get;     /* batch_get answers in the request's encoding (V15) */
    unsigned row_flags;        /* ROW_* */
    uint32_t max_payload;      /* a body that cannot be logged is refused; 0: 4 MiB */
    uint32_t max_reply;        /* what a frame can take; 0: more than a batch is told */
    bool populate;             /* touch memory ahead of need, on a thread of its own */

    /* Snapshots (server.md 6.1). */
    uint64_t snapshot_interval_ms; /* 0: not by time */
    uint64_t snapshot_wal_bytes;   /* 0: not by bytes logged */
    uint64_t snapshot_min_records; /* by time: only after so many */
    uint32_t snapshot_retain;      /* 0: 2 */

    /* Bounds (server.md 5.7, 8). 0: none. */
    uint64_t wal_max_bytes;
    uint64_t min_free_bytes;
    uint64_t memory_limit_bytes; /* of state: pages handed out */
    uint64_t table_max_entities;
    bool table_full_evicts;      /* evict_idle instead of refuse */
    uint64_t dedupe_max_entries; /* per source; 0: 10 million */

    bool accept_data_loss;
    uint64_t accept_data_loss_after;

    /* Called while recovery goes on, about once a second, on the opening thread. May be NULL. */
    void (*on_progress)(void *context, const struct engine_progress *progress);
    void *progress_context;
    struct os *os; /* NULL: os_posix() */
};

enum engine_readiness {
    ENGINE_READY,
    ENGINE_FAILED,   /* the log cannot be written: reads only */
    ENGINE_NO_SPACE, /* wal_max_bytes or min_free_bytes: pushes are refused, the log is sound */
};

/* The end of a snapshot that was asked for. */
struct engine_snapshot {
    enum bv_status status; /* BV_OK, or why there is none: BV_SNAPSHOT_UNAVAILABLE */
    uint64_t lsn;
    uint64_t bytes;
    uint64_t duration_ms;
    struct bv_error error;
};

struct engine_stats {
    uint64_t entities;
    uint64_t state_bytes;
    uint64_t last_lsn;
    uint64_t recovered_records;
    uint64_t recovered_events;
    uint64_t recovery_ms;
    uint64_t registry_version;
    uint64_t node_count; /* descriptors */
    uint64_t accumulators;

    /* Counted since the process started. */
    uint64_t events_accepted;
    uint64_t events_refused;
    uint64_t events_replayed; /* deduplicated */
    uint64_t cold_evictions;
    uint64_t idle_evictions;   /* table_full_policy evict_idle */
    uint64_t dedupe_evictions; /* over dedupe_max_entries */
    uint64_t memory_refusals;
    uint64_t table_full_refusals;
    uint64_t panes_dropped;
    uint64_t categories_capped;

    /* As of now. */
    uint64_t dedupe_entries;
    uint64_t memory_limit_bytes;
    uint64_t bytes_per_entity_p99;

    uint64_t wal_policy; /* BV_POLICY_* */
    uint64_t wal_appended_lsn;
    uint64_t wal_durable_lsn;
    uint64_t wal_bytes; /* written since the start */
    uint64_t wal_groups;
    uint64_t wal_syncs;
    uint64_t wal_errors;
    uint64_t wal_resumes;
    uint64_t wal_bytes_on_disk;
    uint64_t wal_pressure;       /* enum wal_pressure */
    uint64_t wal_durable_lag_ms; /* age of the oldest record not yet durable; 0: none */

    uint64_t snapshot_count;
    uint64_t snapshot_failures;
    uint64_t snapshot_lsn; /* of the last good one, loaded or written */
    uint64_t snapshot_bytes;
    uint64_t snapshot_duration_ns;
    uint64_t snapshot_sync_ns;
    uint64_t snapshot_finished_ms;
    uint64_t snapshot_is_running;
    uint64_t recovered_from_snapshot_lsn; /* 0: none was read */
    uint64_t recovery_skipped_bytes;
};

/* Per table, for metrics; names live until the next registration. */
struct engine_table_stats {
    struct slice name;
    uint64_t entities;
    uint64_t bytes; /* blocks; out-of-line memory is shared among tables and not in it */
    uint64_t cold_evictions;
    uint64_t idle_evictions;
};

/* Locks the directories, recovers, starts the log writer. */
enum bv_status engine_open(struct engine **out, const struct engine_options *options,
                           struct bv_error *err);
/* Waits until everything dispatched is durable. Accepts NULL. */
void engine_close(struct engine *engine);

/* The clock of the tick; a time before the last one stands still. */
void engine_tick_begin(struct engine *engine, uint64_t now_ms);
/* dispatch_one: the one door of the data plane. */
void engine_dispatch(struct engine *engine, const struct request *request, struct response *out);
/* Applies what is staged, closes the log record, publishes it to the writer. */
void engine_tick_end(struct engine *engine);
/* False: the log ring cannot take this many more request bytes now; read no sockets this tick. */
bool engine_has_room(const struct engine *engine, size_t bytes);

uint64_t engine_acked_lsn(const struct engine *engine);  /* acks up to here may leave */
uint64_t engine_synced_lsn(const struct engine *engine); /* synced acks up to here may leave */
int engine_event_fd(const struct engine *engine);        /* readable when either moved; -1: none */
bool engine_failed(const struct engine *engine);         /* the log cannot be written */
/* Before going to sleep: false when the acked LSN has moved past what was seen (do not sleep). From
 * the first call on the event fd is signalled only while armed. */
bool engine_event_arm(struct engine *engine, uint64_t acked_lsn_seen);
/* A synced ack waits for this LSN: do not leave it to the interval of policy os. */
void engine_want_sync(struct engine *engine, uint64_t lsn);
/* Blocks until the LSN is acked (or synced); for callers without a reactor. */
enum bv_status engine_wait(struct engine *engine, uint64_t lsn, bool synced, struct bv_error *err);

/* ---- beside the requests: snapshots, sweeps, coming back after a failure ---- */

#define ENGINE_IDLE UINT64_MAX
/* One thin slice of what there is to do, between ticks; now_ns is the monotonic clock, tick_ns what
 * the tick before it took: the slice takes about a tenth of that, 50 us at most, when there was
 * work, and up to 200 us when there was none. Returns how long to wait until the next call at the
 * latest, in ns: 0 = there is more to do, ENGINE_IDLE = until the event fd or a request. */
uint64_t engine_background(struct engine *engine, uint64_t now_ns, uint64_t tick_ns);
/* How long these slices held the thread; any thread. */
const struct histogram *engine_pauses(const struct engine *engine);
const struct histogram *engine_wal_sync_times(const struct engine *engine); /* NULL: no log */

/* Asks for a snapshot of the state as it is now or a little later; the ticket (never 0) is good
 * until the next one is asked for with the same state of affairs. Never waits. */
uint64_t engine_snapshot_request(struct engine *engine);
/* Whether the snapshot of this ticket has ended. */
bool engine_snapshot_result(const struct engine *engine, uint64_t ticket,
                            struct engine_snapshot *out);
/* Runs background slices until the snapshot that was asked for last has ended (where all have ended
 * it asks for another) or timeout_ms passed (BV_SNAPSHOT_UNAVAILABLE); for callers without a
 * reactor, and for the last one of a clean stop. */
enum bv_status engine_snapshot_wait(struct engine *engine, uint64_t timeout_ms,
                                    struct engine_snapshot *out, struct bv_error *err);
/* About how long a recovery would replay, from the records since the last snapshot. */
uint64_t engine_replay_ms(const struct engine *engine);

enum engine_readiness engine_readiness(const struct engine *engine);
/* Of ENGINE_FAILED: what failed. */
const struct bv_error *engine_failure(const struct engine *engine);

uint64_t engine_registry_version(const struct engine *engine);
/* {"node_count":N,"version":V,"events":[..],"tables":[..],"derivations":[..]} */
void engine_describe_registry(const struct engine *engine, struct buf *json);
/* Tables ascending by name; false past the last. */
bool engine_table_stats_get(const struct engine *engine, uint32_t index,
                            struct engine_table_stats *out);
void engine_stats_get(const struct engine *engine, struct engine_stats *out);
void engine_digest(struct engine *engine, bv_digest *out);

#endif
