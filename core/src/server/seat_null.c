/* SPDX-License-Identifier: Apache-2.0 */
/* The null server's seat: what the network costs, and nothing else.
 *
 * Enters:  requests.
 * Leaves:  an ack for each push, with the next LSN; pong; `unknown_table` for every read.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) Nothing is looked at: a push is acknowledged whatever it holds. */
#include <stdio.h>
#include <stdlib.h>

#include "server/seat.h"
#include "wire/frame.h"

struct null_engine {
    uint64_t lsn;
    int pong_size;
    char pong[128];
};

static void
null_begin(void *context, uint64_t now_ms)
{
}

static void
null_dispatch(void *context, const struct request *request, struct response *out)
{
    static const char unknown[] = "{\"error\":{\"code\":\"unknown_table\",\"message\":\"the null "
                                  "server has no tables\"},\"registry_version\":0}";
    struct null_engine *null = context;

    switch (request->kind) {
    case REQUEST_PUSH:
        *out = (struct response){.kind = RESPONSE_ACK, .lsn = ++null->lsn};
        break;
    case REQUEST_PING:
        *out = (struct response){.kind = RESPONSE_BODY,
                                 .opcode = FRAME_PING,
                                 .content_type = ENCODING_JSON,
                                 .body = slice_of(null->pong, (size_t)null->pong_size)};
        break;
    default:
        *out = (struct response){.kind = RESPONSE_BODY,
                                 .status = BV_UNKNOWN_TABLE,
                                 .opcode = FRAME_ERROR,
                                 .content_type = ENCODING_JSON,
                                 .body = slice_of(unknown, sizeof unknown - 1)};
        break;
    }
}

static void
null_end(void *context)
{
}

static bool
null_has_room(const void *context, size_t bytes)
{
    return true;
}

static uint64_t
null_lsn(const void *context)
{
    const struct null_engine *null = context;

    return null->lsn;
}

static bool
null_is_failed(const void *context)
{
    return false;
}

static uint64_t
null_registry_version(const void *context)
{
    return 0;
}

static int
null_event_fd(const void *context)
{
    return -1;
}

static uint64_t
null_background(void *context, uint64_t now_ns, uint64_t tick_ns)
{
    return ENGINE_IDLE;
}

static enum engine_readiness
null_readiness(const void *context)
{
    return ENGINE_READY;
}

static uint64_t
null_snapshot_request(void *context)
{
    return 1;
}

static bool
null_snapshot_result(const void *context, uint64_t ticket, struct engine_snapshot *out)
{
    *out = (struct engine_snapshot){.status = BV_SNAPSHOT_UNAVAILABLE};
    bv_error_set(&out->error, out->status, "the null server has no state");
    return true;
}

static void
null_close_snapshot(void *context, uint64_t timeout_ms)
{
}

enum bv_status
seat_open_null(struct seat *out, struct bv_error *err)
{
    struct null_engine *null = calloc(1, sizeof *null);

    if (null == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the null server");
    }
    null->pong_size =
        snprintf(null->pong, sizeof null->pong,
                 "{\"pong\":true,\"registry_version\":0,\"server_version\":\"%s\"}", BEAVA_VERSION);
    *out = (struct seat){
        .context = null,
        .begin = null_begin,
        .dispatch = null_dispatch,
        .end = null_end,
        .has_room = null_has_room,
        .acked_lsn = null_lsn,
        .synced_lsn = null_lsn,
        .is_failed = null_is_failed,
        .registry_version = null_registry_version,
        .event_fd = null_event_fd,
        .background = null_background,
        .readiness = null_readiness,
        .snapshot_request = null_snapshot_request,
        .snapshot_result = null_snapshot_result,
        .close_snapshot = null_close_snapshot,
        .close = free,
    };
    return BV_OK;
}
