/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_TICK_H
#define BV_SERVER_TICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "server/publish.h"
#include "server/seat.h"
#include "util/buf.h"

/* The loop that turns: wait, read, dispatch, log, reply, and a slice of what there is to do beside
 * requests. One thread runs it. */
struct tick {
    struct net *net;
    struct seat seat;
    struct publication *publication;
    uint32_t shutdown_timeout_ms;
    uint64_t now_ms;        /* wall clock of this tick; never goes back */
    uint64_t now_ns;        /* monotonic, at the end of the last turn */
    uint64_t background_ns; /* how long the background may be left alone; ENGINE_IDLE */
    uint64_t published_ns;  /* when the numbers were published last */
    bool is_unpublished;    /* something may have changed since */
    bool has_dispatched;    /* in this turn */
    bool gives_up;          /* a stop whose time is over: what waits for a snapshot is refused */
    enum engine_readiness told; /* to the data plane's /ready */
    struct buf later;           /* the answer to what was answered later */
    atomic_bool is_stopping;
    atomic_bool wants_snapshot;
};

/* The handler that net_create wants; tick->net is set afterwards. */
struct net_handler tick_handler(struct tick *tick);

/* Serves until tick_stop, then answers what was received, waits for the log, sends, closes, and
 * takes a snapshot if one is due. False: the time for that ran out and replies were lost. */
bool tick_run(struct tick *tick);
/* Any thread. */
void tick_stop(struct tick *tick);
void tick_snapshot(struct tick *tick);
void tick_deinit(struct tick *tick);

#endif
