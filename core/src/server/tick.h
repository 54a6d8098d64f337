/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_TICK_H
#define BV_SERVER_TICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "server/seat.h"

/* The loop that turns: wait, read, dispatch, log, reply. One thread runs it. */
struct tick {
    struct net *net;
    struct seat seat;
    uint32_t shutdown_timeout_ms;
    uint64_t now_ms; /* wall clock of this tick; never goes back */
    bool was_failed; /* what /ready was told */
    atomic_bool is_stopping;
};

/* The handler that net_create wants; tick->net is set afterwards. */
struct net_handler tick_handler(struct tick *tick);

/* Serves until tick_stop, then answers what was received, waits for the log, sends, closes. False:
 * the time for that ran out and replies were lost. */
bool tick_run(struct tick *tick);
/* Any thread. */
void tick_stop(struct tick *tick);

#endif
