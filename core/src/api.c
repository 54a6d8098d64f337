/* SPDX-License-Identifier: Apache-2.0 */
/* The wall: beava.h's engine in thin wrappers. The server's half stands in server/server.c and
 * server/command.c.
 *
 * The engine is driven with ticks of one request (or one batch): begin, dispatch, end, wait until
 * the reply may leave. Request bytes are copied once, because the decoders read past their end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agg/op.h"
#include "apply/engine.h"
#include "util/assert.h"
#include "util/clock.h"
#include "wire/frame.h"
#include "wire/json.h"

/* Frames of a batch that are applied and waited for together. */
#define API_BATCH_BYTES (1024u * 1024)
#define API_PAYLOAD_MAX (64u * 1024 * 1024)

#define API_SNAPSHOT_INTERVAL_MS 30000u
#define API_SNAPSHOT_WAL_BYTES   (512ull * 1024 * 1024)
#define API_SNAPSHOT_WAIT_MS     (10u * 60 * 1000)
/* A call is about as busy as a tick that earns a slice of 50 us (engine_background). */
#define API_TICK_NS 500000u

struct bv_engine {
    struct engine *engine;
    uint64_t (*clock)(void *clock_arg);
    void *clock_arg;
    struct buf input; /* a request and the slack behind it */
    char *wal_dir;
    char *snapshot_dir;
};

uint32_t
bv_api_version(void)
{
    return BV_API_VERSION;
}

const char *
bv_version(void)
{
    return BEAVA_VERSION;
}

const char *
bv_status_name(bv_status status)
{
    return bv_status_code(status);
}

void
bv_bytes_free(bv_bytes *bytes)
{
    if (bytes != NULL) {
        free(bytes->data);
        *bytes = (bv_bytes){NULL, 0};
    }
}

static bv_status
give_bytes(bv_bytes *out, struct slice from, bv_error *err)
{
    if (out == NULL) {
        return BV_OK;
    }
    out->size = from.size;
    out->data = malloc(from.size + 1);
    if (out->data == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "a reply of %zu bytes", from.size);
    }
    if (from.size != 0) {
        memcpy(out->data, from.data, from.size);
    }
    out->data[from.size] = '\0';
    return BV_OK;
}

bv_status
bv_catalog_json(bv_bytes *out, bv_error *err)
{
    struct buf json;
    bv_status status;

    if (out == NULL) {
        return bv_error_set(err, BV_MISUSE, "bv_catalog_json: out must be given");
    }
    buf_init(&json);
    agg_catalog_json(&json);
    status = json.failed ? bv_error_set(err, BV_NO_MEMORY, "the catalogue")
                         : give_bytes(out, buf_slice(&json), err);
    buf_deinit(&json);
    return status;
}

static char *
join_path(const char *dir, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

bv_status
bv_engine_open(bv_engine **out, const bv_engine_options *options, bv_error *err)
{
    bv_engine_options known = BV_ENGINE_OPTIONS_INIT;
    bv_status status = BV_OK;
    bv_engine *engine = NULL;

    if (out == NULL || options == NULL || options->struct_size < sizeof(uint32_t)) {
        return bv_error_set(err, BV_MISUSE, "bv_engine_open: out and options must be given");
    }
    /* An older caller's struct is shorter: what it does not know keeps its default. */
    memcpy(&known, options,
           options->struct_size < sizeof known ? options->struct_size : sizeof known);
    if (known.policy > BV_POLICY_MEMORY ||
        (known.policy != BV_POLICY_MEMORY && known.data_dir == NULL)) {
        return bv_error_set(err, BV_MISUSE,
                            "bv_engine_open: a policy with a log needs data_dir; "
                            "use BV_POLICY_MEMORY to do without");
    }
    engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "engine");
    }
    engine->clock = known.clock;
    engine->clock_arg = known.clock_arg;
    buf_init(&engine->input);
    struct engine_options inner = {
        .policy = known.policy,
        .is_test_mode = known.is_test_mode != 0,
        .snapshot_interval_ms = API_SNAPSHOT_INTERVAL_MS,
        .snapshot_wal_bytes = API_SNAPSHOT_WAL_BYTES,
    };

    if (known.policy != BV_POLICY_MEMORY) {
        engine->wal_dir = join_path(known.data_dir, "wal");
        engine->snapshot_dir = join_path(known.data_dir, "snapshots");
        inner.wal_dir = engine->wal_dir;
        inner.snapshot_dir = engine->snapshot_dir;
        if (engine->wal_dir == NULL || engine->snapshot_dir == NULL) {
            status = bv_error_set(err, BV_NO_MEMORY, "engine");
            goto done;
        }
    }
    status = engine_open(&engine->engine, &inner, err);
    if (status == BV_OK) {
        *out = engine;
        engine = NULL;
    }
done:
    bv_engine_close(engine);
    return status;
}

void
bv_engine_close(bv_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    engine_close(engine->engine);
    buf_deinit(&engine->input);
    free(engine->wal_dir);
    free(engine->snapshot_dir);
    free(engine);
}

static uint64_t
now_ms(const bv_engine *engine)
{
    return engine->clock != NULL ? engine->clock(engine->clock_arg) : clock_wall_ms();
}

/* The caller's bytes with readable slack behind them. */
static bv_status
take_input(struct slice *out, bv_engine *engine, const void *data, size_t size, bv_error *err)
{
    if (size > API_PAYLOAD_MAX || (data == NULL && size != 0)) {
        return bv_error_set(err, BV_PAYLOAD_TOO_LARGE, "%zu bytes exceed the limit of %u", size,
                            API_PAYLOAD_MAX);
    }
    buf_clear(&engine->input);
    if (!buf_reserve(&engine->input, size + ROW_SLACK)) {
        return bv_error_set(err, BV_NO_MEMORY, "a request of %zu bytes", size);
    }
    buf_append(&engine->input, data, size);
    memset(engine->input.data + size, 0, ROW_SLACK);
    *out = buf_slice(&engine->input);
    return BV_OK;
}

/* Ends the tick, waits until its replies may leave, and does a little of what waits besides. */
static bv_status
end_tick(bv_engine *engine, uint64_t lsn, bool is_sync, bv_error *err)
{
    engine_tick_end(engine->engine);
    const bv_status status = engine_wait(engine->engine, lsn, is_sync, err);

    engine_background(engine->engine, clock_monotonic_ns(), API_TICK_NS);
    return status;
}

/* One request as a tick of its own. The response's body stays valid until the next call. */
static bv_status
run(struct response *out, bv_engine *engine, const struct request *request, bv_error *err)
{
    engine_tick_begin(engine->engine, now_ms(engine));
    engine_dispatch(engine->engine, request, out);
    return end_tick(engine, out->wait_lsn, out->is_sync, err);
}

/* opcode -> kind; false: the opcode is not a request we know. */
static bool
kind_of(enum request_kind *out, uint16_t opcode)
{
    static const struct {
        uint16_t opcode;
        enum request_kind kind;
    } rows[] = {
        {FRAME_PING, REQUEST_PING},
        {FRAME_REGISTER, REQUEST_REGISTER},
        {FRAME_PUSH, REQUEST_PUSH},
        {FRAME_PUSH_MANY, REQUEST_PUSH_MANY},
        {FRAME_GET, REQUEST_GET},
        {FRAME_MGET, REQUEST_MGET},
        {FRAME_GET_MULTI, REQUEST_GET_MULTI},
        {FRAME_BATCH_GET, REQUEST_BATCH_GET},
        {FRAME_RESET, REQUEST_RESET},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].opcode == opcode) {
            *out = rows[i].kind;
            return true;
        }
    }
    return false;
}

static bv_status
give_response(const struct response *response, uint16_t *reply_opcode, uint8_t *reply_content_type,
              bv_bytes *reply, bv_error *err)
{
    char ack[128];
    struct slice body = response->body;

    if (response->kind == RESPONSE_ACK) {
        const int size =
            snprintf(ack, sizeof ack,
                     "{\"ack_lsn\":%llu,\"idempotent_replay\":%s,\"registry_version\":%llu}",
                     (unsigned long long)response->lsn, response->is_replay ? "true" : "false",
                     (unsigned long long)response->registry_version);

        body = slice_of(ack, (size_t)size);
    }
    if (reply_opcode != NULL) {
        *reply_opcode = response->kind == RESPONSE_ACK ? FRAME_PUSH : response->opcode;
    }
    if (reply_content_type != NULL) {
        *reply_content_type =
            response->kind == RESPONSE_ACK ? ENCODING_JSON : response->content_type;
    }
    return give_bytes(reply, body, err);
}

bv_status
bv_engine_request(bv_engine *engine, uint16_t opcode, uint8_t content_type, const void *payload,
                  size_t payload_size, uint16_t *reply_opcode, uint8_t *reply_content_type,
                  bv_bytes *reply, bv_error *err)
{
    struct request request = {.transport = TRANSPORT_ENGINE};
    struct response response;
    bv_status status;

    if (!kind_of(&request.kind, opcode)) {
        return bv_error_set(err, BV_UNKNOWN_OP, "opcode 0x%04x is not a request", opcode);
    }
    if (content_type != BV_JSON &&
        (content_type != BV_MSGPACK || request.kind == REQUEST_REGISTER)) {
        return bv_error_set(err, BV_UNSUPPORTED_CONTENT_TYPE, "unsupported content_type: 0x%02x",
                            content_type);
    }
    request.encoding = (enum encoding)content_type;
    status = take_input(&request.payload, engine, payload, payload_size, err);
    if (status == BV_OK) {
        status = run(&response, engine, &request, err);
    }
    return status == BV_OK ? give_response(&response, reply_opcode, reply_content_type, reply, err)
                           : status;
}

/* The refusal that a response carries, as status and error of a call. */
static bv_status
refusal(const struct response *response, bv_error *err)
{
    struct arena arena;
    struct value body;
    bv_status status = response->status;

    if (status == BV_OK || err == NULL) {
        return status;
    }
    bv_error_set(err, status, "%s", bv_status_text(status));
    arena_init(&arena, 4096, 0);
    if (json_parse(&body, response->body, JSON_DEPTH_MAX, &arena, NULL) == BV_OK) {
        const struct value *error = value_find(&body, "error");
        const struct value *message = error == NULL ? NULL : value_find(error, "message");
        const struct value *path = error == NULL ? NULL : value_find(error, "path");
        const struct value *hint = error == NULL ? NULL : value_find(error, "hint");

        if (message != NULL && message->kind == VALUE_STR) {
            bv_error_set(err, status, "%.*s", (int)message->length, message->as.str);
        }
        if (path != NULL && path->kind == VALUE_STR) {
            bv_error_path(err, "%.*s", (int)path->length, path->as.str);
        }
        if (hint != NULL && hint->kind == VALUE_STR) {
            bv_error_hint(err, "%.*s", (int)hint->length, hint->as.str);
        }
    }
    arena_deinit(&arena);
    return status;
}

static bv_status
call(bv_engine *engine, struct request *request, const void *payload, size_t payload_size,
     struct response *response, bv_error *err)
{
    bv_status status = take_input(&request->payload, engine, payload, payload_size, err);

    request->transport = TRANSPORT_ENGINE;
    return status == BV_OK ? run(response, engine, request, err) : status;
}

bv_status
bv_engine_register(bv_engine *engine, const char *json, size_t json_size, bv_bytes *reply,
                   bv_error *err)
{
    struct request request = {.kind = REQUEST_REGISTER, .encoding = ENCODING_JSON};
    struct response response;
    bv_status status = call(engine, &request, json, json_size, &response, err);

    if (status == BV_OK) {
        status = give_bytes(reply, response.body, err);
    }
    return status == BV_OK ? refusal(&response, err) : status;
}

bv_status
bv_engine_push(bv_engine *engine, const char *event, size_t event_size, uint8_t encoding,
               const void *body, size_t body_size, uint64_t *ack_lsn, bv_error *err)
{
    struct request request = {
        .kind = REQUEST_PUSH,
        .encoding = (enum encoding)encoding,
        .has_name = true,
        .name = slice_of(event, event_size),
    };
    struct response response;

    if (encoding != BV_JSON && encoding != BV_MSGPACK) {
        return bv_error_set(err, BV_UNSUPPORTED_CONTENT_TYPE, "unsupported content_type: 0x%02x",
                            encoding);
    }
    bv_status status = call(engine, &request, body, body_size, &response, err);

    if (status == BV_OK && response.kind == RESPONSE_BODY) {
        return refusal(&response, err);
    }
    if (status == BV_OK && ack_lsn != NULL) {
        *ack_lsn = response.lsn;
    }
    return status;
}

struct frame_batch {
    uint64_t accepted;
    uint64_t refused;
    uint64_t last_lsn;
    bool has_refusal;
};

static void
dispatch_frame(struct frame_batch *batch, bv_engine *engine, const struct frame *frame,
               struct slice bytes, bv_error *err)
{
    const struct request request = {
        .kind = REQUEST_PUSH,
        .transport = TRANSPORT_ENGINE,
        .encoding = (enum encoding)frame->content_type,
        .frame = bytes,
        .payload = frame->payload,
    };
    struct response response;

    engine_dispatch(engine->engine, &request, &response);
    if (response.kind == RESPONSE_ACK) {
        batch->accepted++;
        if (response.lsn > batch->last_lsn) { /* a replay names an earlier one */
            batch->last_lsn = response.lsn;
        }
        return;
    }
    batch->refused++;
    if (!batch->has_refusal) {
        batch->has_refusal = true;
        refusal(&response, err);
    }
}

/* As many whole frames as fit one batch: their bytes, 0 when the front is malformed. */
static size_t
batch_bytes(struct slice frames)
{
    size_t size = 0;
    struct frame frame;

    while (size < frames.size &&
           frame_decode(&frame, slice_of(frames.data + size, frames.size - size),
                        API_PAYLOAD_MAX) == FRAME_COMPLETE &&
           frame.opcode == FRAME_PUSH &&
           (frame.content_type == BV_JSON || frame.content_type == BV_MSGPACK) &&
           (size == 0 || size + frame.size <= API_BATCH_BYTES)) {
        size += frame.size;
    }
    return size;
}

bv_status
bv_engine_push_frames(bv_engine *engine, const void *frames, size_t frames_size, uint64_t *accepted,
                      uint64_t *refused, uint64_t *last_lsn, bv_error *err)
{
    struct frame_batch batch = {0};
    struct slice rest = slice_of(frames, frames_size);
    bv_status status = BV_OK;

    while (status == BV_OK && rest.size != 0) {
        const size_t size = batch_bytes(rest);
        struct slice input;

        if (size == 0) {
            status = bv_error_set(err, BV_FRAME_ERROR, "byte %zu begins no push frame",
                                  frames_size - rest.size);
            break;
        }
        status = take_input(&input, engine, rest.data, size, err);
        if (status != BV_OK) {
            break;
        }
        engine_tick_begin(engine->engine, now_ms(engine));
        for (size_t at = 0; at < size;) {
            struct frame frame;
            const enum frame_state state =
                frame_decode(&frame, slice_of(input.data + at, size - at), API_PAYLOAD_MAX);

            BV_ASSERT(state == FRAME_COMPLETE);
            dispatch_frame(&batch, engine, &frame, slice_of(input.data + at, frame.size), err);
            at += frame.size;
        }
        status = end_tick(engine, batch.last_lsn, false, err);
        rest = slice_of(rest.data + size, rest.size - size);
    }
    if (accepted != NULL) {
        *accepted = batch.accepted;
    }
    if (refused != NULL) {
        *refused = batch.refused;
    }
    if (last_lsn != NULL) {
        *last_lsn = batch.last_lsn;
    }
    return status;
}

static bv_status
read_call(bv_engine *engine, enum request_kind kind, uint8_t encoding, const void *payload,
          size_t payload_size, bv_bytes *reply, bv_error *err)
{
    struct request request = {.kind = kind, .encoding = (enum encoding)encoding};
    struct response response;

    if (encoding != BV_JSON && encoding != BV_MSGPACK) {
        return bv_error_set(err, BV_UNSUPPORTED_CONTENT_TYPE, "unsupported content_type: 0x%02x",
                            encoding);
    }
    bv_status status = call(engine, &request, payload, payload_size, &response, err);

    if (status == BV_OK) {
        status = give_bytes(reply, response.body, err);
    }
    return status == BV_OK ? refusal(&response, err) : status;
}

bv_status
bv_engine_get(bv_engine *engine, uint8_t encoding, const void *request, size_t request_size,
              bv_bytes *reply, bv_error *err)
{
    return read_call(engine, REQUEST_GET, encoding, request, request_size, reply, err);
}

bv_status
bv_engine_batch_get(bv_engine *engine, uint8_t encoding, const void *request, size_t request_size,
                    bv_bytes *reply, bv_error *err)
{
    return read_call(engine, REQUEST_BATCH_GET, encoding, request, request_size, reply, err);
}

bv_status
bv_engine_digest(bv_engine *engine, bv_digest *out, bv_error *err)
{
    if (engine == NULL || out == NULL) {
        return bv_error_set(err, BV_MISUSE, "bv_engine_digest: engine and out must be given");
    }
    engine_digest(engine->engine, out);
    return BV_OK;
}

bv_status
bv_engine_stats_get(bv_engine *engine, bv_engine_stats *out, bv_error *err)
{
    struct engine_stats stats;
    bv_engine_stats full = {.struct_size = sizeof full};

    if (engine == NULL || out == NULL || out->struct_size < sizeof(uint32_t) ||
        out->struct_size > sizeof full) {
        return bv_error_set(err, BV_MISUSE, "bv_engine_stats_get: set out->struct_size");
    }
    engine_stats_get(engine->engine, &stats);
    full.entities = stats.entities;
    full.state_bytes = stats.state_bytes;
    full.last_lsn = stats.last_lsn;
    full.durable_lsn = engine_synced_lsn(engine->engine);
    full.recovered_records = stats.recovered_records;
    full.registry_version = stats.registry_version;
    full.accumulators = stats.accumulators;
    full.recovered_from_snapshot_lsn = stats.recovered_from_snapshot_lsn;
    full.struct_size = out->struct_size;
    memcpy(out, &full, out->struct_size);
    return BV_OK;
}

bv_status
bv_engine_snapshot(bv_engine *engine, bv_snapshot_info *out, bv_error *err)
{
    struct engine_snapshot snapshot;
    bv_snapshot_info full = {.struct_size = sizeof full};

    if (engine == NULL ||
        (out != NULL && (out->struct_size < sizeof(uint32_t) || out->struct_size > sizeof full))) {
        return bv_error_set(err, BV_MISUSE, "bv_engine_snapshot: set out->struct_size");
    }
    engine_tick_begin(engine->engine, now_ms(engine));
    engine_tick_end(engine->engine);
    engine_snapshot_request(engine->engine);
    const bv_status status =
        engine_snapshot_wait(engine->engine, API_SNAPSHOT_WAIT_MS, &snapshot, err);

    if (status == BV_OK && out != NULL) {
        full.lsn = snapshot.lsn;
        full.bytes = snapshot.bytes;
        full.duration_ms = snapshot.duration_ms;
        full.struct_size = out->struct_size;
        memcpy(out, &full, out->struct_size);
    }
    return status;
}
