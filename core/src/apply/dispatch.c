/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_one: the one door of the data plane, and the tick around it.
 *
 * Every request, whichever transport it came by, is carried out by engine_dispatch, in order.
 * Pushes are staged; anything else sees them applied, because the stage is flushed before it runs.
 */
#include "apply/apply.h"
#include "util/crash_point.h"
#include "wire/frame.h"
#include "wire/json.h"

#define REPLY_KEPT_MAX (4u << 20)

void
engine_tick_begin(struct engine *engine, uint64_t now_ms)
{
    if (BV_UNLIKELY(engine->reply.capacity > REPLY_KEPT_MAX)) {
        buf_deinit(&engine->reply); /* one huge reply does not pin its memory for ever */
    }
    /* One clock for state, log and reads; it stands still rather than go back (W11). */
    if (now_ms > engine->now_ms) {
        engine->now_ms = now_ms;
    }
    budget_look(engine);
}

static void
ping(struct engine *engine, struct response *out)
{
    buf_clear(&engine->reply);
    buf_text(&engine->reply, "{\"pong\":true,\"registry_version\":");
    json_write_u64(&engine->reply, engine->live.registry->version);
    buf_text(&engine->reply, ",\"server_version\":\"" BEAVA_VERSION "\"}");
    reply_json(engine, out, FRAME_PING);
}

/* The answer comes when the snapshot has ended; the ticket says which one. */
static void
snapshot_dispatch(struct engine *engine, struct response *out)
{
    struct bv_error err;

    if (engine->snapshot == NULL) {
        bv_error_set(&err, BV_SNAPSHOT_UNAVAILABLE, "there are no snapshots without a log");
        reply_error(engine, out, &err, 0);
        return;
    }
    out->kind = RESPONSE_LATER;
    out->lsn = engine_snapshot_request(engine);
}

/* What a read could not find memory for it left out: such an answer is not given. */
static void
refuse_for_memory(struct engine *engine, struct response *out)
{
    struct bv_error err;

    bv_error_set(&err, BV_NO_MEMORY, "there is no memory to answer; ask again, or for less");
    reply_error(engine, out, &err, 0);
}

void
engine_dispatch(struct engine *engine, const struct request *request, struct response *out)
{
    if (BV_LIKELY(request->kind == REQUEST_PUSH)) {
        push_dispatch(engine, request, out);
        return;
    }
    const uint64_t refusals = engine->arena.refusals;

    *out = (struct response){0};
    if (request->kind == REQUEST_PUSH_MANY || request->kind == REQUEST_PUSH_BATCH) {
        push_batch_dispatch(engine, request, out);
        return;
    }
    push_flush(engine);
    switch (request->kind) {
    case REQUEST_PING:
        ping(engine, out);
        break;
    case REQUEST_REGISTER:
        register_dispatch(engine, request, out);
        break;
    case REQUEST_RESET:
        reset_dispatch(engine, request, out);
        break;
    case REQUEST_GET:
        read_get(engine, request, out);
        break;
    case REQUEST_GET_SINGLE:
        read_single(engine, request, out);
        break;
    case REQUEST_MGET:
    case REQUEST_GET_MULTI:
        read_multi(engine, request, out);
        break;
    case REQUEST_BATCH_GET:
        read_batch(engine, request, out);
        break;
    case REQUEST_SNAPSHOT:
        snapshot_dispatch(engine, out);
        break;
    case REQUEST_PUSH:
    case REQUEST_PUSH_MANY:
    case REQUEST_PUSH_BATCH:
        break;
    }
    if (BV_UNLIKELY(engine->arena.refusals != refusals) && out->wait_lsn == 0) {
        refuse_for_memory(engine, out);
    }
}

void
engine_tick_end(struct engine *engine)
{
    push_flush(engine);
    CRASH_POINT("apply.after_update");
    journal_close(engine);
    if (engine->wal != NULL) {
        wal_publish(engine->wal);
        if (BV_UNLIKELY(engine->sync_lsn != 0)) {
            wal_want_sync(engine->wal, engine->sync_lsn);
        }
    }
    engine->sync_lsn = 0;
    arena_reset(&engine->arena);
}
