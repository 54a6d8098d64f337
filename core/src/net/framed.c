/* SPDX-License-Identifier: Apache-2.0 */
/* The framed TCP protocol (wire.md 1).
 *
 * Enters:  received bytes of one connection.
 * Leaves:  one request per whole frame, in order, to the handler; one reply per frame to the
 *          connection's queue, in the same order.
 * Owner:   the apply thread; nothing is kept here between calls.
 *
 * Invariants
 *   (1) A frame is consumed exactly when its reply has been queued.
 *   (2) After a frame error nothing is consumed as a request any more. */
#include "net/conn.h"

#include <stdio.h>

#include "util/assert.h"
#include "wire/frame.h"

/* What an opcode stands for. Opcodes that are not here are unknown. */
struct framed_op {
    uint16_t opcode;
    enum request_kind kind;
    bool takes_json;
    bool takes_msgpack;
    bool takes_any;       /* the content type does not matter */
    const char *reserved; /* name of an operation that we do not have */
};

static const struct framed_op ops[] = {
    {FRAME_PUSH, REQUEST_PUSH, true, true, false, NULL},
    {FRAME_GET, REQUEST_GET, true, true, false, NULL},
    {FRAME_BATCH_GET, REQUEST_BATCH_GET, true, true, false, NULL},
    {FRAME_PING, REQUEST_PING, true, true, true, NULL},
    {FRAME_PUSH_MANY, REQUEST_PUSH_MANY, true, true, false, NULL},
    {FRAME_MGET, REQUEST_MGET, true, true, false, NULL},
    {FRAME_GET_MULTI, REQUEST_GET_MULTI, true, true, false, NULL},
    {FRAME_REGISTER, REQUEST_REGISTER, true, false, false, NULL},
    {FRAME_RESET, REQUEST_RESET, true, true, false, NULL},
    {FRAME_PUSH_SYNC, REQUEST_PING, false, false, true, "push_sync"},
    {FRAME_SET, REQUEST_PING, false, false, true, "set"},
    {FRAME_MSET, REQUEST_PING, false, false, true, "mset"},
};

static const struct framed_op *
find_op(uint16_t opcode)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (ops[i].opcode == opcode) {
            return &ops[i];
        }
    }
    return NULL;
}

/* An error frame of which everything behind the header is printed. */
#define ERROR_SIZE_MAX 512

static void
push_error(struct conn *conn, const char *text)
{
    struct buf *bytes = &conn->replies.bytes;

    frame_encode(bytes, FRAME_ERROR, ENCODING_JSON, slice_text(text));
    reply_push_bytes(&conn->replies, FRAME_HEADER_SIZE + strlen(text), 0, false);
}

static void
refuse_unknown(struct conn *conn, uint16_t opcode)
{
    char text[ERROR_SIZE_MAX];

    snprintf(text, sizeof text,
             "{\"error\":{\"code\":\"unknown_op\",\"message\":\"opcode 0x%04x is not recognised by "
             "this server\",\"op\":%u}}",
             opcode, opcode);
    push_error(conn, text);
}

static void
refuse_reserved(struct conn *conn, const struct framed_op *op)
{
    char text[ERROR_SIZE_MAX];

    snprintf(text, sizeof text,
             "{\"error\":{\"code\":\"op_not_implemented\",\"message\":\"opcode 0x%04x (%s) is not "
             "yet implemented\",\"op\":%u}}",
             op->opcode, op->reserved, op->opcode);
    push_error(conn, text);
}

static void
refuse_content_type(struct conn *conn, const struct framed_op *op, uint8_t content_type)
{
    char text[ERROR_SIZE_MAX];

    snprintf(text, sizeof text,
             "{\"error\":{\"code\":\"unsupported_content_type\",\"message\":\"unsupported "
             "content_type%s: 0x%02x\"}}",
             op->kind == REQUEST_REGISTER ? " for register" : "", content_type);
    push_error(conn, text);
}

static void
refuse_frame(struct conn *conn, enum frame_state state, uint32_t declared)
{
    uint64_t limit = (uint64_t)conn->net->options.max_frame_bytes + 3;
    char text[ERROR_SIZE_MAX];

    if (state == FRAME_TOO_SHORT) {
        snprintf(text, sizeof text,
                 "{\"error\":{\"code\":\"frame_error\",\"declared\":%u,\"message\":\"declared "
                 "frame length %u is shorter than 3\"}}",
                 declared, declared);
    } else {
        snprintf(text, sizeof text,
                 "{\"error\":{\"code\":\"frame_too_large\",\"declared\":%u,\"limit\":%llu,"
                 "\"message\":\"declared frame length %u exceeds limit %llu\"}}",
                 declared, (unsigned long long)limit, declared, (unsigned long long)limit);
    }
    push_error(conn, text);
    conn_finish(conn);
}

void
framed_encode_error(struct buf *out, enum bv_status status, uint64_t registry_version)
{
    char text[ERROR_SIZE_MAX];

    snprintf(text, sizeof text,
             "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"reason\":\"%s\"},"
             "\"registry_version\":%llu}",
             bv_status_code(status), bv_status_text(status), bv_status_text(status),
             (unsigned long long)registry_version);
    frame_encode(out, FRAME_ERROR, ENCODING_JSON, slice_text(text));
}

/* A reply that is not a plain ack. */
static void
push_response(struct conn *conn, const struct response *response)
{
    struct reply_queue *replies = &conn->replies;
    uint32_t limit = conn->net->options.max_frame_bytes;
    uint8_t ack[128];
    struct slice body = response->body;
    uint16_t opcode = response->opcode;
    uint8_t content_type = response->content_type;

    if (response->kind == RESPONSE_ACK && !response->is_replay) {
        reply_push_ack(replies, response->lsn, response->registry_version, response->is_sync);
        conn_wait_for(conn, response->lsn, response->is_sync);
        return;
    }
    if (response->kind == RESPONSE_ACK) {
        body = slice_of(ack, ack_format_body(ack, response->lsn, response->is_replay,
                                             response->registry_version));
        opcode = FRAME_PUSH;
        content_type = ENCODING_JSON;
    } else if (body.size > limit) {
        char text[ERROR_SIZE_MAX];

        snprintf(
            text, sizeof text,
            "{\"error\":{\"code\":\"response_too_large\",\"limit\":%u,\"message\":\"a response "
            "of %zu bytes exceeds limit %u\",\"size\":%zu}}",
            limit, body.size, limit, body.size);
        push_error(conn, text);
        return;
    }
    frame_encode(&replies->bytes, opcode, content_type, body);
    reply_push_bytes(replies, FRAME_HEADER_SIZE + body.size, response->wait_lsn, response->is_sync);
    if (response->wait_lsn != 0) {
        conn_wait_for(conn, response->wait_lsn, response->is_sync);
    }
}

/* True if the request may go to the handler; otherwise it has been answered. */
static bool
prepare(struct conn *conn, struct request *request, const struct frame *frame)
{
    const struct framed_op *op = find_op(frame->opcode);

    if (op == NULL) {
        refuse_unknown(conn, frame->opcode);
        return false;
    }
    if (op->reserved != NULL) {
        refuse_reserved(conn, op);
        return false;
    }
    if (!op->takes_any && !(op->takes_json && frame->content_type == ENCODING_JSON) &&
        !(op->takes_msgpack && frame->content_type == ENCODING_MSGPACK)) {
        refuse_content_type(conn, op, frame->content_type);
        return false;
    }
    request->kind = op->kind;
    return true;
}

size_t
framed_execute(struct conn *conn, uint8_t *data, size_t size)
{
    struct net *net = conn->net;
    struct reply_queue *replies = &conn->replies;
    struct request request = {.transport = TRANSPORT_TCP};
    struct response response = {0};
    uint32_t max_frame_bytes = net->options.max_frame_bytes;
    size_t output_max = conn_output_max(conn);
    size_t at = 0;
    uint64_t last_lsn = 0;

    while (conn->state == CONN_OPEN) {
        struct frame frame;
        enum frame_state state;

        if (BV_UNLIKELY(replies->size > output_max)) {
            conn->has_backlog = at < size;
            break;
        }
        state = frame_decode(&frame, slice_of(data + at, size - at), max_frame_bytes);
        if (BV_UNLIKELY(state != FRAME_COMPLETE)) {
            if (state != FRAME_INCOMPLETE) {
                refuse_frame(conn, state, frame.length);
            }
            break;
        }
        request.kind = REQUEST_PUSH;
        request.encoding = (enum encoding)frame.content_type;
        request.frame = slice_of(data + at, frame.size);
        request.payload = frame.payload;
        at += frame.size;
        net->request_count++;
        /* Pushes are what the loop is made for; everything else asks the table. */
        if (BV_UNLIKELY(frame.opcode != FRAME_PUSH || frame.content_type - 1u > 1u) &&
            !prepare(conn, &request, &frame)) {
            continue;
        }
        net->handler.dispatch(net->handler.context, &request, &response);
        if (BV_LIKELY(response.kind == RESPONSE_ACK) && !response.is_replay && !response.is_sync) {
            reply_push_ack(replies, response.lsn, response.registry_version, false);
            last_lsn = response.lsn;
        } else {
            push_response(conn, &response);
        }
    }
    if (last_lsn != 0) {
        conn_wait_for(conn, last_lsn, false);
    }
    return at;
}
