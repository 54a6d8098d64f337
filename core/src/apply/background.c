/* SPDX-License-Identifier: Apache-2.0 */
/* What is done beside the requests: snapshots and sweeps, in slices that a tick does not notice.
 *
 * Enters:  the time; how long the tick before took.
 * Leaves:  a little less to do; when to come again.
 * Owner:   the apply thread, between ticks.
 *
 * Under load a slice may take a tenth of the ticks before it. Ticks can be as short as the slice is
 * worth, so the tenths are saved up until they make a slice; with nothing else to do it is longer.
 */
#include "apply/apply.h"
#include "util/clock.h"

#define LOAD_SHARE      10u /* one part in so many */
#define LOAD_SLICE_NS   50000u
#define LOAD_LEAST_NS   20000u /* less is not worth a beginning */
#define IDLE_SLICE_NS   200000u
#define QUIET_NS        2000000u /* no request for so long: nothing else to do */
#define GAP_SHARE       4u       /* of the time between loaded ticks */
#define SWEEP_COUNT_MAX 4096u
#define WAIT_POLL_MS    10

static uint64_t
budget_ns(struct engine *engine, uint64_t now_ns, uint64_t tick_ns)
{
    const uint64_t since_ns = now_ns - engine->background_ns;

    engine->background_ns = now_ns;
    if (tick_ns != 0) {
        engine->busy_ns = now_ns;
        engine->slice_credit_ns += tick_ns / LOAD_SHARE;
    } else if (now_ns - engine->busy_ns >= QUIET_NS) {
        engine->slice_credit_ns = 0;
        return IDLE_SLICE_NS;
    } else {
        /* No idleness: acks wait for the disk, and the next requests come with them. They would
         * find a long slice in their way. */
        engine->slice_credit_ns += since_ns / GAP_SHARE;
    }
    if (engine->slice_credit_ns < LOAD_LEAST_NS) {
        return 0;
    }
    const uint64_t budget =
        engine->slice_credit_ns < LOAD_SLICE_NS ? engine->slice_credit_ns : LOAD_SLICE_NS;

    /* What is above stays, up to one more slice: a long tick does not buy a row of slices. */
    engine->slice_credit_ns -= budget;
    if (engine->slice_credit_ns > LOAD_SLICE_NS) {
        engine->slice_credit_ns = LOAD_SLICE_NS;
    }
    return budget;
}

/* Since when something waits to become durable, as of the ticks that were seen. */
static void
look_at_lag(struct engine *engine, uint64_t now_ns)
{
    const uint64_t durable_lsn = wal_durable_lsn(engine->wal);

    if (engine->lag_since_ns != 0 && durable_lsn < engine->lag_lsn) {
        return;
    }
    engine->lag_lsn = engine->next_lsn - 1;
    engine->lag_since_ns = durable_lsn < engine->lag_lsn ? now_ns : 0;
}

uint64_t
engine_background(struct engine *engine, uint64_t now_ns, uint64_t tick_ns)
{
    const uint64_t budget = budget_ns(engine, now_ns, tick_ns);
    const uint64_t until_ns = now_ns + budget;
    const bool is_copying = engine->snapshot != NULL && snapshot_copy_is_running(engine->snapshot);
    uint64_t wait = ENGINE_IDLE;

    if (engine->wal != NULL) {
        look_at_lag(engine, now_ns);
    }
    if (budget == 0 && tick_ns == 0 && (is_copying || engine->has_sweep_left)) {
        return (LOAD_LEAST_NS - engine->slice_credit_ns) * GAP_SHARE; /* no spinning meanwhile */
    }
    if (budget == 0) {
        return engine->has_sweep_left     ? 0
               : engine->snapshot == NULL ? ENGINE_IDLE
                                          : snapshot_copy_wait(engine->snapshot, now_ns);
    }
    /* Sweeps leave half of the time to a copy that is under way. */
    const uint64_t sweep_until_ns = is_copying ? now_ns + budget / 2 : until_ns;
    const bool has_dedupe = dedupe_sweep(engine, SWEEP_COUNT_MAX, sweep_until_ns);
    const bool has_idle = idle_sweep(engine, SWEEP_COUNT_MAX, sweep_until_ns);

    if (engine->snapshot != NULL) {
        wait = snapshot_copy_slice(engine->snapshot, now_ns, until_ns);
    }
    if (is_copying || has_dedupe || has_idle) {
        histogram_add(&engine->pauses, clock_monotonic_ns() - now_ns);
    }
    engine->has_sweep_left = has_dedupe || has_idle;
    return engine->has_sweep_left ? 0 : wait;
}

const struct histogram *
engine_pauses(const struct engine *engine)
{
    return &engine->pauses;
}

/* ---- snapshots on request ---- */

#define TICKET_WITHOUT_SNAPSHOTS 1u

uint64_t
engine_snapshot_request(struct engine *engine)
{
    return engine->snapshot == NULL ? TICKET_WITHOUT_SNAPSHOTS
                                    : snapshot_copy_request(engine->snapshot);
}

bool
engine_snapshot_result(const struct engine *engine, uint64_t ticket, struct engine_snapshot *out)
{
    if (engine->snapshot != NULL) {
        return snapshot_copy_result(engine->snapshot, ticket, out);
    }
    *out = (struct engine_snapshot){.status = BV_SNAPSHOT_UNAVAILABLE};
    bv_error_set(&out->error, BV_SNAPSHOT_UNAVAILABLE, "there are no snapshots without a log");
    return true;
}

enum bv_status
engine_snapshot_wait(struct engine *engine, uint64_t timeout_ms, struct engine_snapshot *out,
                     struct bv_error *err)
{
    const uint64_t end_ns = clock_monotonic_ns() + timeout_ms * 1000000u;
    uint64_t ticket = engine->snapshot == NULL ? 0 : snapshot_copy_last_ticket(engine->snapshot);

    if (ticket == 0 || engine_snapshot_result(engine, ticket, out)) {
        ticket = engine_snapshot_request(engine);
    }
    while (!engine_snapshot_result(engine, ticket, out)) {
        const uint64_t now_ns = clock_monotonic_ns();

        if (now_ns >= end_ns) {
            return bv_error_set(err, BV_SNAPSHOT_UNAVAILABLE,
                                "no snapshot after %llu ms; it goes on",
                                (unsigned long long)timeout_ms);
        }
        if (engine_background(engine, now_ns, 0) != 0) {
            wal_event_wait(engine->wal, WAIT_POLL_MS);
        }
    }
    if (out->status != BV_OK && err != NULL) {
        *err = out->error;
    }
    return out->status;
}
