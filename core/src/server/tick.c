/* SPDX-License-Identifier: Apache-2.0 */
/* The tick.
 *
 * Enters:  what net found ready; the log's progress.
 * Leaves:  dispatched requests, in order; replies, once the log covers them.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) The clock is read once per tick and never goes back.
 *   (2) Every tick that began ends before a reply of it is considered, and before its request bytes
 *       are given up.
 *   (3) With nothing to do the thread sleeps in one call, without a timeout. */
#include "server/tick.h"

#include "util/clock.h"

#define STARVED_WAIT_MS 10 /* a lost wake costs at most this */

static void
handle_dispatch(void *context, const struct request *request, struct response *out)
{
    const struct seat *seat = context;

    seat->dispatch(seat->context, request, out);
}

static bool
handle_has_room(const void *context, size_t bytes)
{
    const struct seat *seat = context;

    return seat->has_room(seat->context, bytes);
}

static uint64_t
handle_registry_version(const void *context)
{
    const struct seat *seat = context;

    return seat->registry_version(seat->context);
}

struct net_handler
tick_handler(struct tick *tick)
{
    return (struct net_handler){
        .context = &tick->seat,
        .dispatch = handle_dispatch,
        .has_room = handle_has_room,
        .registry_version = handle_registry_version,
    };
}

static void
read_clock(struct tick *tick)
{
    uint64_t now_ms = clock_wall_ms();

    if (now_ms > tick->now_ms) {
        tick->now_ms = now_ms;
    }
}

static void
tell_readiness(struct tick *tick, bool is_failed)
{
    if (is_failed != tick->was_failed) {
        tick->was_failed = is_failed;
        net_set_unready(tick->net, is_failed ? "read_only" : NULL, "wal_unavailable");
    }
}

static enum net_more
turn(struct tick *tick)
{
    const struct seat *seat = &tick->seat;
    struct reply_marks marks;
    enum net_more more;

    read_clock(tick);
    seat->begin(seat->context, tick->now_ms);
    more = net_execute(tick->net);
    seat->end(seat->context);
    marks.is_failed = seat->is_failed(seat->context);
    marks.synced_lsn = seat->synced_lsn(seat->context);
    marks.acked_lsn = seat->acked_lsn(seat->context);
    tell_readiness(tick, marks.is_failed);
    net_release(tick->net, &marks);
    return more;
}

/* All that is ready now, in as many ticks as it takes. */
static void
turn_all(struct tick *tick)
{
    enum net_more more = turn(tick);

    while (more != NET_DONE) {
        if (more == NET_STARVED) {
            net_wait_for_log(tick->net, STARVED_WAIT_MS);
        }
        more = turn(tick);
    }
}

/* The clean stop (server.md 9.2): one last look at the sockets, then only what is owed. */
static bool
drain(struct tick *tick)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)tick->shutdown_timeout_ms * 1000000;

    net_set_unready(tick->net, "stopping", "stopping");
    tick->was_failed = tick->seat.is_failed(tick->seat.context);
    net_wait(tick->net, 0);
    turn_all(tick);
    net_stop(tick->net);
    while (net_connection_count(tick->net) != 0) {
        uint64_t now_ns = clock_monotonic_ns();

        if (now_ns >= end_ns) {
            return !net_abandon(tick->net);
        }
        net_wait(tick->net, (int)((end_ns - now_ns) / 1000000) + 1);
        turn_all(tick);
    }
    return true;
}

bool
tick_run(struct tick *tick)
{
    while (!atomic_load_explicit(&tick->is_stopping, memory_order_acquire)) {
        net_wait(tick->net, -1);
        turn_all(tick);
    }
    return drain(tick);
}

void
tick_stop(struct tick *tick)
{
    atomic_store_explicit(&tick->is_stopping, true, memory_order_release);
    net_wake(tick->net);
}
