/* SPDX-License-Identifier: Apache-2.0 */
/* The tick.
 *
 * Enters:  what net found ready; the log's progress.
 * Leaves:  dispatched requests, in order; replies, once the log covers them; the numbers that the
 *          admin listener shows.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) The clock is read once per tick and never goes back.
 *   (2) Every tick that began ends before a reply of it is considered, and before its request bytes
 *       are given up.
 *   (3) With nothing to do the thread sleeps in one call, without a timeout but the one that the
 *       background asks for.
 *   (4) Numbers are published every 10 ms at most, and once more before a long sleep. */
#include "server/tick.h"

#include "server/sidecar.h"
#include "util/clock.h"
#include "wire/json.h"

#define STARVED_WAIT_MS 10 /* a lost wake costs at most this */
#define PUBLISH_NS      10000000u
#define NS_PER_MS       1000000u
#define GIVE_UP_NS      200000000u /* before the end of a stop: time to send refusals */

static void
handle_dispatch(void *context, const struct request *request, struct response *out)
{
    struct tick *tick = context;

    tick->has_dispatched = true;
    tick->seat.dispatch(tick->seat.context, request, out);
    if (out->kind != RESPONSE_LATER) {
        publication_count(tick->publication, request,
                          out->kind == RESPONSE_ACK ? BV_OK : out->status);
    }
}

static bool
handle_has_room(const void *context, size_t bytes)
{
    const struct tick *tick = context;

    return tick->seat.has_room(tick->seat.context, bytes);
}

static uint64_t
handle_registry_version(const void *context)
{
    const struct tick *tick = context;

    return tick->seat.registry_version(tick->seat.context);
}

static void
write_snapshot(struct buf *out, const struct engine_snapshot *snapshot, uint64_t registry_version)
{
    buf_clear(out);
    if (snapshot->status == BV_OK) {
        buf_printf(out, "{\"bytes\":%llu,\"duration_ms\":%llu,\"snapshot_lsn\":%llu}",
                   (unsigned long long)snapshot->bytes, (unsigned long long)snapshot->duration_ms,
                   (unsigned long long)snapshot->lsn);
        return;
    }
    buf_printf(out,
               "{\"error\":{\"code\":\"%s\",\"message\":", bv_status_code(BV_SNAPSHOT_UNAVAILABLE));
    json_write_string(out, slice_text(snapshot->error.message));
    buf_printf(out, "},\"registry_version\":%llu}", (unsigned long long)registry_version);
}

/* Only snapshots are answered later. */
static bool
handle_later(void *context, uint64_t ticket, struct response *out)
{
    struct tick *tick = context;
    struct engine_snapshot snapshot;

    if (!tick->seat.snapshot_result(tick->seat.context, ticket, &snapshot)) {
        if (!tick->gives_up) {
            return false;
        }
        snapshot.status = bv_error_set(&snapshot.error, BV_SNAPSHOT_UNAVAILABLE,
                                       "the server stops before the snapshot is there");
    }
    write_snapshot(&tick->later, &snapshot, handle_registry_version(tick));
    *out = (struct response){
        .kind = RESPONSE_BODY,
        .status = snapshot.status == BV_OK ? BV_OK : BV_SNAPSHOT_UNAVAILABLE,
        .body = buf_slice(&tick->later),
    };
    return true;
}

struct net_handler
tick_handler(struct tick *tick)
{
    return (struct net_handler){
        .context = tick,
        .dispatch = handle_dispatch,
        .has_room = handle_has_room,
        .registry_version = handle_registry_version,
        .later = handle_later,
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

static enum engine_readiness
tell_readiness(struct tick *tick)
{
    enum engine_readiness readiness = tick->seat.readiness(tick->seat.context);
    const char *reason;
    const char *status = sidecar_unready_status(readiness, &reason);

    if (readiness != tick->told &&
        !atomic_load_explicit(&tick->is_stopping, memory_order_relaxed)) {
        tick->told = readiness;
        net_set_unready(tick->net, status, reason);
    }
    return readiness;
}

static void
publish(struct tick *tick, enum engine_readiness readiness)
{
    const uint64_t connections[2] = {
        net_transport_count(tick->net, TRANSPORT_TCP),
        net_transport_count(tick->net, TRANSPORT_HTTP),
    };

    if (tick->now_ns - tick->published_ns < PUBLISH_NS) {
        tick->is_unpublished = true;
        return;
    }
    tick->is_unpublished = false;
    tick->published_ns = tick->now_ns;
    if (tick->seat.source.stats != NULL) {
        publication_write(tick->publication, &tick->seat.source, readiness, connections);
    }
}

/* What is not a request: the slice beside them, and what the admin listener is shown. */
static void
turn_aside(struct tick *tick, uint64_t start_ns)
{
    const struct seat *seat = &tick->seat;
    struct publication *publication = tick->publication;
    uint64_t took_ns;

    tick->now_ns = clock_monotonic_ns();
    took_ns = tick->has_dispatched ? tick->now_ns - start_ns : 0;
    if (tick->has_dispatched) {
        histogram_add(&publication->apply_times, took_ns);
    }
    if (atomic_load_explicit(&tick->wants_snapshot, memory_order_relaxed) &&
        atomic_exchange(&tick->wants_snapshot, false)) {
        seat->snapshot_request(seat->context);
    }
    tick->background_ns = seat->background(seat->context, tick->now_ns, took_ns);
    net_release_later(tick->net); /* the slice may have ended a snapshot */
    publish(tick, tell_readiness(tick));
}

static enum net_more
turn(struct tick *tick)
{
    const struct seat *seat = &tick->seat;
    struct publication *publication = tick->publication;
    uint64_t start_ns = clock_monotonic_ns();
    struct reply_marks marks;
    enum net_more more;

    atomic_store_explicit(&publication->busy_since_ns, start_ns, memory_order_relaxed);
    tick->has_dispatched = false;
    read_clock(tick);
    seat->begin(seat->context, tick->now_ms);
    more = net_execute(tick->net);
    seat->end(seat->context);
    marks.is_failed = seat->is_failed(seat->context);
    marks.synced_lsn = seat->synced_lsn(seat->context);
    marks.acked_lsn = seat->acked_lsn(seat->context);
    net_release(tick->net, &marks);
    turn_aside(tick, start_ns);
    atomic_store_explicit(&publication->turns,
                          atomic_load_explicit(&publication->turns, memory_order_relaxed) + 1,
                          memory_order_relaxed);
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

/* Until there is something to do, `longest_ns` at most (ENGINE_IDLE: for ever). */
static void
sleep_until_ready(struct tick *tick, uint64_t longest_ns)
{
    uint64_t sleep_ns = tick->background_ns < longest_ns ? tick->background_ns : longest_ns;

    if (tick->is_unpublished && sleep_ns > PUBLISH_NS) {
        sleep_ns = PUBLISH_NS;
    }
    atomic_store_explicit(&tick->publication->busy_since_ns, 0, memory_order_relaxed);
    if (sleep_ns > (uint64_t)INT32_MAX * NS_PER_MS) {
        net_wait(tick->net, -1);
    } else {
        net_wait(tick->net, (int)((sleep_ns + NS_PER_MS - 1) / NS_PER_MS));
    }
}

/* The clean stop (server.md 9.2): one last look at the sockets, then only what is owed. */
static bool
drain(struct tick *tick, uint64_t end_ns)
{
    net_set_unready(tick->net, "stopping", "stopping");
    net_wait(tick->net, 0);
    turn_all(tick);
    net_stop(tick->net);
    while (net_connection_count(tick->net) != 0) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ns;

        if (now_ns >= end_ns) {
            return !net_abandon(tick->net);
        }
        left_ns = end_ns - now_ns;
        tick->gives_up = left_ns <= GIVE_UP_NS;
        sleep_until_ready(tick, tick->gives_up ? left_ns : left_ns - GIVE_UP_NS);
        turn_all(tick);
    }
    return true;
}

bool
tick_run(struct tick *tick)
{
    bool is_clean;
    uint64_t end_ns;
    uint64_t now_ns;

    while (!atomic_load_explicit(&tick->is_stopping, memory_order_acquire)) {
        sleep_until_ready(tick, ENGINE_IDLE);
        turn_all(tick);
    }
    end_ns = clock_monotonic_ns() + (uint64_t)tick->shutdown_timeout_ms * NS_PER_MS;
    is_clean = drain(tick, end_ns);
    now_ns = clock_monotonic_ns();
    tick->seat.close_snapshot(tick->seat.context,
                              now_ns < end_ns ? (end_ns - now_ns) / NS_PER_MS : 0);
    return is_clean;
}

void
tick_stop(struct tick *tick)
{
    atomic_store_explicit(&tick->is_stopping, true, memory_order_release);
    net_wake(tick->net);
}

void
tick_snapshot(struct tick *tick)
{
    atomic_store(&tick->wants_snapshot, true);
    net_wake(tick->net);
}

void
tick_deinit(struct tick *tick)
{
    buf_deinit(&tick->later);
}
