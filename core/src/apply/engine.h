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

struct engine_options {
    uint32_t policy;           /* BV_POLICY_* */
    const char *wal_dir;       /* not with BV_POLICY_MEMORY */
    const char *snapshot_dir;  /* locked, not yet written */
    uint64_t segment_bytes;    /* 0: default */
    uint64_t ring_bytes;       /* 0: default */
    uint32_t sync_interval_ms; /* policy os */
    uint64_t sync_bytes;       /* policy os */
    uint32_t tick_ms;          /* policy os */
    bool allow_network_fs;
    bool is_test_mode;         /* reset is allowed */
    bool is_memory_ungoverned; /* BEAVA_MEMORY_GOV_ENFORCE=0 */
    bool mirror_batch_get;     /* batch_get answers in the request's encoding (V15) */
    unsigned row_flags;        /* ROW_* */
    uint32_t max_payload;      /* a body that cannot be logged is refused; 0: 4 MiB */
    uint32_t max_reply;        /* what a frame can take; 0: more than a batch is told */
    bool populate;             /* touch memory ahead of need, on a thread of its own */
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

uint64_t engine_registry_version(const struct engine *engine);
void engine_stats_get(const struct engine *engine, struct engine_stats *out);
void engine_digest(struct engine *engine, bv_digest *out);

#endif
