/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_SEAT_H
#define BV_SERVER_SEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/engine.h"
#include "server/config.h"
#include "server/publish.h"
#include "util/error.h"
#include "wire/request.h"
#include "wire/response.h"

/* What sits behind the tick: the engine, or nothing at all (control N of the benchmarks, which has
 * to be the same reactor, framing, reply queue and tick). The calls are those of apply/engine.h. */
struct seat {
    void *context;
    void (*begin)(void *context, uint64_t now_ms);
    void (*dispatch)(void *context, const struct request *request, struct response *out);
    void (*end)(void *context);
    bool (*has_room)(const void *context, size_t bytes);
    uint64_t (*acked_lsn)(const void *context);
    uint64_t (*synced_lsn)(const void *context);
    bool (*is_failed)(const void *context);
    uint64_t (*registry_version)(const void *context);
    int (*event_fd)(const void *context);
    uint64_t (*background)(void *context, uint64_t now_ns, uint64_t tick_ns);
    enum engine_readiness (*readiness)(const void *context);
    uint64_t (*snapshot_request)(void *context);
    bool (*snapshot_result)(const void *context, uint64_t ticket, struct engine_snapshot *out);
    /* The snapshot of a clean stop, if it is worth one; at most this long. */
    void (*close_snapshot)(void *context, uint64_t timeout_ms);
    /* What is published; NULL functions: nothing is. */
    struct publish_source source;
    void (*close)(void *context); /* waits until everything dispatched is durable */
};

struct seat_report {
    uint64_t recovered_lsn;
    uint64_t recovery_ms;
};

/* The engine that the configuration asks for; recovers before it returns, and meanwhile says in the
 * publication how far it is. */
enum bv_status seat_open_engine(struct seat *out, const struct config *config,
                                struct publication *publication, struct seat_report *report,
                                struct bv_error *err);
/* Acknowledges every push, answers ping, and knows nothing. */
enum bv_status seat_open_null(struct seat *out, struct bv_error *err);

#endif
