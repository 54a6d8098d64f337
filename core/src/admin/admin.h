/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_ADMIN_ADMIN_H
#define BV_ADMIN_ADMIN_H

#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

/* The admin sidecar: a second HTTP listener, on a library (libmicrohttpd) and a thread of its own
 * (law 5). It only looks: whoever starts it hands over functions that write what is published.
 *
 * Enters:  GET and HEAD on /health /ready /registry /metrics /version.
 * Leaves:  what the source says; 404 and 405 otherwise (server.md 3).
 * Owner:   the thread "beava-admin". The functions are called on it and must be safe there. */

enum admin_state { ADMIN_READY, ADMIN_RECOVERING, ADMIN_READ_ONLY, ADMIN_STOPPING, ADMIN_STALLED };

struct admin_source {
    void *context;
    /* Appends JSON strings, with commas between them, that say why it is not ready. */
    enum admin_state (*readiness)(void *context, struct buf *reasons);
    void (*registry)(void *context, struct buf *json);
    void (*metrics)(void *context, struct buf *text); /* Prometheus text 0.0.4 */
};

struct admin;

/* Binds and serves at once. BV_IO: "failed to bind ADDR: ...". */
enum bv_status admin_start(struct admin **out, const char *address,
                           const struct admin_source *source, struct bv_error *err);
/* As bound: "127.0.0.1:41234". */
const char *admin_address(const struct admin *admin);
void admin_stop(struct admin *admin); /* accepts NULL */

#endif
