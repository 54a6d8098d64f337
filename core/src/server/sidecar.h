/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_SIDECAR_H
#define BV_SERVER_SIDECAR_H

#include "admin/admin.h"
#include "net/net.h"
#include "server/publish.h"

/* What the admin listener says, out of what is published. All of it runs on the admin thread. */

#define SIDECAR_STALL_NS 5000000000ull

struct sidecar {
    struct publication *publication;
    struct net *net; /* woken to see whether it still turns; may be NULL */
    /* The watchdog: turns of the loop when it was last woken, and when that was. */
    uint64_t seen_turns;
    uint64_t woken_ns;
};

struct admin_source sidecar_source(struct sidecar *sidecar);

/* Whether the loop has been in one turn for 5 s, or has not answered a wake for as long. */
bool sidecar_is_stalled(struct sidecar *sidecar, uint64_t now_ns);
enum admin_state sidecar_readiness(struct sidecar *sidecar, uint64_t now_ns, struct buf *reasons);
/* The words for the data plane's /ready, static; NULL: ready. *reason may be set without. */
const char *sidecar_unready_status(enum engine_readiness readiness, const char **reason);

/* metrics.c: Prometheus text 0.0.4 */
void sidecar_metrics(struct sidecar *sidecar, struct buf *text);

#endif
