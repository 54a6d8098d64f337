/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness, and the watchdog behind it.
 *
 * Enters:  the publication.
 * Leaves:  a state and its reasons; the registry's description.
 * Owner:   the admin thread.
 *
 * The states exclude each other in the order of the process's life: recovering, then stopping, then
 * whatever is wrong while it serves. A loop that hangs shows by itself when it hangs in a turn;
 * when it hangs in its sleep, it misses a wake. */
#include "server/sidecar.h"

#include "util/clock.h"

bool
sidecar_is_stalled(struct sidecar *sidecar, uint64_t now_ns)
{
    struct publication *publication = sidecar->publication;
    uint64_t turns = atomic_load_explicit(&publication->turns, memory_order_relaxed);
    uint64_t busy_since = atomic_load_explicit(&publication->busy_since_ns, memory_order_relaxed);

    if (busy_since != 0) {
        sidecar->woken_ns = 0;
        return now_ns > busy_since && now_ns - busy_since > SIDECAR_STALL_NS;
    }
    if (sidecar->woken_ns == 0 || turns != sidecar->seen_turns) {
        sidecar->seen_turns = turns;
        sidecar->woken_ns = now_ns;
    }
    if (sidecar->net != NULL) {
        net_wake(sidecar->net);
    }
    return now_ns - sidecar->woken_ns > SIDECAR_STALL_NS;
}

const char *
sidecar_unready_status(enum engine_readiness readiness, const char **reason)
{
    *reason = readiness == ENGINE_NO_SPACE ? "no_space" : "wal_unavailable";
    return readiness == ENGINE_READY ? NULL : "read_only";
}

static void
put_progress(const struct publication *publication, struct buf *reasons)
{
    buf_printf(
        reasons, "\"recovery: lsn %llu, %llu records, %llu entities so far\"",
        (unsigned long long)atomic_load_explicit(&publication->recovery_lsn, memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&publication->recovery_records,
                                                 memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&publication->recovery_entities,
                                                 memory_order_relaxed));
}

enum admin_state
sidecar_readiness(struct sidecar *sidecar, uint64_t now_ns, struct buf *reasons)
{
    struct publication *publication = sidecar->publication;
    int phase = atomic_load_explicit(&publication->phase, memory_order_acquire);
    struct published numbers;
    const char *reason;

    if (phase == PUBLISH_RECOVERING) {
        put_progress(publication, reasons);
        return ADMIN_RECOVERING;
    }
    if (phase == PUBLISH_STOPPING) {
        buf_text(reasons, "\"stopping\"");
        return ADMIN_STOPPING;
    }
    if (sidecar_is_stalled(sidecar, now_ns)) {
        buf_text(reasons, "\"the apply thread has not moved for 5 s\"");
        return ADMIN_STALLED;
    }
    publication_read(publication, &numbers);
    if (sidecar_unready_status((enum engine_readiness)numbers.readiness, &reason) == NULL) {
        return ADMIN_READY;
    }
    buf_printf(reasons, "\"%s\"", reason);
    return ADMIN_READ_ONLY;
}

static enum admin_state
say_readiness(void *context, struct buf *reasons)
{
    return sidecar_readiness(context, clock_monotonic_ns(), reasons);
}

static void
say_registry(void *context, struct buf *json)
{
    struct sidecar *sidecar = context;
    struct description *description = publication_take(sidecar->publication);

    if (description == NULL) { /* before the end of recovery */
        buf_text(json, "{\"node_count\":0,\"version\":0,\"events\":[],\"tables\":[],"
                       "\"derivations\":[]}");
    } else {
        buf_append(json, description->json, description->json_size);
    }
    publication_give(sidecar->publication, description);
}

static void
say_metrics(void *context, struct buf *text)
{
    sidecar_metrics(context, text);
}

struct admin_source
sidecar_source(struct sidecar *sidecar)
{
    return (struct admin_source){sidecar, say_readiness, say_registry, say_metrics};
}
