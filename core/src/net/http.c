/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 data plane (wire.md 3).
 *
 * Enters:  received bytes of one connection.
 * Leaves:  one request per message, in order, to the handler; replies, in the same order, to the
 *          connection's queue. /health and /ready are answered here.
 * Owner:   the apply thread. Between calls the connection keeps the head's offsets and the chunk
 *          decoder's place.
 *
 * Invariants
 *   (1) A message is consumed exactly when its reply has been queued.
 *   (2) A message that cannot be framed for certain is the last one read from its connection. */
#include "net/conn.h"

#include <stdio.h>

#include "net/route.h"
#include "util/assert.h"
#include "util/utf8.h"
#include "wire/json.h"
#include "wire/number.h"

/* One message, complete. */
struct message {
    const struct http1_head *head;
    const uint8_t *data; /* its first byte */
    struct slice body;
    struct slice method;
    struct slice target;
    bool is_head; /* answered without body */
    bool keeps;   /* the connection goes on afterwards */
};

static void
put_head(struct buf *out, int status, size_t body_size, bool keeps)
{
    char digits[24];
    size_t digit_count = number_u64(digits, body_size);

    if (status == 200) {
        buf_append(out, "HTTP/1.1 200 OK", 15);
    } else {
        buf_printf(out, "HTTP/1.1 %d %s", status, http1_reason(status));
    }
    buf_text(out, "\r\nContent-Type: application/json\r\nContent-Length: ");
    buf_append(out, digits, digit_count);
    buf_text(out, keeps ? "\r\nX-Runtime: hand-rolled\r\nConnection: keep-alive\r\n"
                        : "\r\nX-Runtime: hand-rolled\r\nConnection: close\r\n");
}

/* Queues a whole reply. `extra` is a header line with its CRLF, or NULL. */
static void
push_reply(struct conn *conn, const struct message *message, int status, struct slice body,
           const char *extra, uint64_t wait_lsn, bool is_sync)
{
    struct buf *bytes = &conn->replies.bytes;
    size_t before = bytes->size;

    put_head(bytes, status, body.size, message->keeps);
    if (extra != NULL) {
        buf_text(bytes, extra);
    }
    buf_append(bytes, "\r\n", 2);
    if (!message->is_head) {
        buf_append(bytes, body.data, body.size);
    }
    reply_push_bytes(&conn->replies, bytes->size - before, wait_lsn, is_sync);
    if (wait_lsn != 0) {
        conn_wait_for(conn, wait_lsn, is_sync);
    }
}

/* Client text inside an error: at most 200 bytes, always valid UTF-8. */
static void
put_quoted(struct buf *out, struct slice text)
{
    uint8_t copy[200];
    size_t size = utf8_cut(text, sizeof copy);

    size = size < sizeof copy ? size : sizeof copy;
    memcpy(copy, text.data, size);
    if (!utf8_is_valid(slice_of(copy, size))) {
        for (size_t i = 0; i < size; i++) {
            copy[i] = copy[i] < 0x80 ? copy[i] : '?';
        }
    }
    json_write_string(out, slice_of(copy, size));
}

static uint64_t
registry_version(const struct net *net)
{
    return net->handler.registry_version(net->handler.context);
}

static void
refuse_route(struct conn *conn, const struct message *message, enum route_result result,
             const struct route *route)
{
    struct buf body;
    bool is_unknown = result == ROUTE_UNKNOWN;
    enum bv_status status = is_unknown ? BV_NOT_FOUND : BV_METHOD_NOT_ALLOWED;
    const char *allow = NULL;

    buf_init(&body);
    buf_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"", bv_status_code(status),
               bv_status_text(status));
    if (!is_unknown) {
        buf_text(&body, ",\"method\":");
        put_quoted(&body, message->method);
        allow = route->is_get ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n";
    }
    buf_text(&body, ",\"path\":");
    put_quoted(&body, message->target);
    buf_printf(&body, "},\"registry_version\":%llu}",
               (unsigned long long)registry_version(conn->net));
    conn->replies.is_failed |= body.failed;
    push_reply(conn, message, bv_status_http(status), buf_slice(&body), allow, 0, false);
    buf_deinit(&body);
}

static void
refuse_media_type(struct conn *conn, const struct message *message)
{
    struct buf body;

    buf_init(&body);
    buf_text(&body, "{\"error\":{\"code\":\"unsupported_media_type\",\"message\":\"expected "
                    "application/json\",\"path\":");
    put_quoted(&body, message->target);
    /* The version is always 0 here: a published client only wants the member present (V24). */
    buf_text(&body, ",\"reason\":\"expected application/json\"},\"registry_version\":0}");
    conn->replies.is_failed |= body.failed;
    push_reply(conn, message, 415, buf_slice(&body), NULL, 0, false);
    buf_deinit(&body);
}

/* The message cannot be framed, or must not be read: answer, and read no more. */
static void
refuse_protocol(struct conn *conn, enum http1_result result, const char *reason)
{
    struct message message = {.keeps = false};
    enum bv_status status = result == HTTP1_HEADERS_TOO_LARGE ? BV_HTTP_HEADERS_TOO_LARGE
                            : result == HTTP1_BODY_TOO_LARGE  ? BV_PAYLOAD_TOO_LARGE
                                                              : BV_HTTP_PROTOCOL_ERROR;
    char body[512];

    snprintf(body, sizeof body, "{\"error\":{\"code\":\"%s\",\"message\":\"",
             bv_status_code(status));
    size_t size = strlen(body);

    /* Our own sentences, one of which quotes: no control characters, nothing longer than this. */
    for (const char *at = reason; *at != '\0' && size < sizeof body - 8; at++) {
        if (*at == '"') {
            body[size++] = '\\';
        }
        body[size++] = *at;
    }
    memcpy(body + size, "\"}}", 3);
    push_reply(conn, &message, bv_status_http(status), slice_of(body, size + 3), NULL, 0, false);
    conn_finish(conn);
}

void
http_encode_error(struct buf *out, enum bv_status status, uint64_t version, bool keeps)
{
    char body[512];

    snprintf(body, sizeof body,
             "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"reason\":\"%s\"},"
             "\"registry_version\":%llu}",
             bv_status_code(status), bv_status_text(status), bv_status_text(status),
             (unsigned long long)version);
    put_head(out, bv_status_http(status), strlen(body), keeps);
    buf_append(out, "\r\n", 2);
    buf_text(out, body);
}

void
http_encode_reply(struct buf *out, const struct response *response, bool keeps)
{
    put_head(out, bv_status_http(response->status), response->body.size, keeps);
    buf_append(out, "\r\n", 2);
    buf_append(out, response->body.data, response->body.size);
}

void
http_encode_last_ack(struct buf *out, uint64_t lsn, uint64_t version)
{
    uint8_t body[128];
    size_t size = ack_format_body(body, lsn, false, version);

    put_head(out, 200, size, false);
    buf_append(out, "\r\n", 2);
    buf_append(out, body, size);
}

static void
answer_health(struct conn *conn, const struct message *message, enum route_action action)
{
    const struct net *net = conn->net;
    char body[256];

    if (action == ROUTE_HEALTH) {
        push_reply(conn, message, 200, slice_text("{\"status\":\"ok\"}"), NULL, 0, false);
        return;
    }
    if (net->unready_status == NULL) {
        push_reply(conn, message, 200, slice_text("{\"status\":\"ready\"}"), NULL, 0, false);
        return;
    }
    snprintf(body, sizeof body, "{\"reasons\":[\"%s\"],\"status\":\"%s\"}", net->unready_reason,
             net->unready_status);
    push_reply(conn, message, 503, slice_text(body), NULL, 0, false);
}

/* Percent-decodes a path segment; what holds no escape stays where it is. */
static bool
decode_segment(struct slice *out, struct net *net, struct slice raw)
{
    uint8_t *copy;

    *out = raw;
    if (raw.size == 0 || memchr(raw.data, '%', raw.size) == NULL) {
        return true;
    }
    copy = arena_alloc(&net->names, raw.size);
    if (copy == NULL) {
        return false;
    }
    *out = slice_of(copy, http1_percent_decode(copy, raw));
    return true;
}

static void
push_response(struct conn *conn, const struct message *message, const struct response *response)
{
    uint8_t ack[128];

    if (response->kind == RESPONSE_LATER) {
        reply_push_later(&conn->replies, response->lsn);
        conn_wait_later(conn, response->lsn);
    } else if (response->kind == RESPONSE_BODY) {
        push_reply(conn, message, bv_status_http(response->status), response->body,
                   response->is_replay ? "X-Beava-Idempotent-Replay: 1\r\n" : NULL,
                   response->wait_lsn, response->is_sync);
    } else if (message->keeps && !response->is_replay) {
        reply_push_ack(&conn->replies, response->lsn, response->registry_version,
                       response->is_sync);
        conn_wait_for(conn, response->lsn, response->is_sync);
    } else { /* a replay repeats the first ack, word for word (V52) */
        size_t size = ack_format_body(ack, response->lsn, false, response->registry_version);

        push_reply(conn, message, 200, slice_of(ack, size),
                   response->is_replay ? "X-Beava-Idempotent-Replay: 1\r\n" : NULL,
                   response->is_replay ? response->wait_lsn : response->lsn, response->is_sync);
    }
}

static void
answer_request(struct conn *conn, const struct message *message, const struct route_match *match)
{
    struct net *net = conn->net;
    struct request request = {
        .kind = match->route->kind,
        .transport = TRANSPORT_HTTP,
        .encoding = ENCODING_JSON,
        .is_sync = match->route->is_sync,
        .has_name = match->route->is_prefix,
        .has_key = match->has_key,
        .payload = message->body,
        .raw_key = match->key,
    };
    struct response response = {0};

    if (!decode_segment(&request.name, net, match->name) ||
        !decode_segment(&request.key, net, match->key)) {
        conn->replies.is_failed = true;
        return;
    }
    net->handler.dispatch(net->handler.context, &request, &response);
    if (response.kind == RESPONSE_BODY && response.status == BV_NOT_FOUND) {
        /* A path that only the engine could judge (a table without its key): no such route. */
        refuse_route(conn, message, ROUTE_UNKNOWN, match->route);
        return;
    }
    push_response(conn, message, &response);
}

static void
answer(struct conn *conn, const struct message *message)
{
    struct route_match match;
    enum route_result result = route_find(&match, message->method, message->target);

    conn->net->request_count++;
    if (result != ROUTE_FOUND) {
        refuse_route(conn, message, result, match.route);
    } else if (match.route->needs_json && !message->head->is_json) {
        refuse_media_type(conn, message);
    } else if (match.route->action != ROUTE_REQUEST) {
        answer_health(conn, message, match.route->action);
    } else {
        answer_request(conn, message, &match);
    }
    if (!message->keeps) {
        conn_finish(conn);
    }
}

static struct message
message_of(const struct conn *conn, const uint8_t *data, struct slice body)
{
    const struct http1_head *head = &conn->http.head;
    struct message message = {
        .head = head,
        .data = data,
        .body = body,
        .method = slice_of(data + head->method_start, head->method_size),
        .target = slice_of(data + head->target_start, head->target_size),
    };

    message.is_head = slice_equal(message.method, slice_text("HEAD"));
    message.keeps =
        !head->wants_close && (!head->is_http10 || head->wants_keep) && !conn->net->is_stopping;
    return message;
}

/* The client waits for a word before it sends the body: invite it, or refuse it right away. */
static void
answer_expectation(struct conn *conn, const uint8_t *data)
{
    static const char invitation[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct message message = message_of(conn, data, slice_of(data, 0));
    struct route_match match;
    enum route_result result = route_find(&match, message.method, message.target);

    if (result == ROUTE_FOUND && (!match.route->needs_json || message.head->is_json)) {
        buf_append(&conn->replies.bytes, invitation, sizeof invitation - 1);
        reply_push_bytes(&conn->replies, sizeof invitation - 1, 0, false);
        return;
    }
    message.keeps = false; /* whether the body comes after all is unknown */
    answer(conn, &message);
}

/* Reads on in the head that begins at data. False: more bytes are needed, or it was refused. */
static bool
take_head(struct conn *conn, const uint8_t *data, size_t size)
{
    struct http1_head *head = &conn->http.head;
    enum http1_result result = http1_head_parse(head, slice_of(data, size));

    if (result == HTTP1_INCOMPLETE) {
        return false;
    }
    if (result == HTTP1_COMPLETE && head->length > conn->net->options.max_body_bytes) {
        result = HTTP1_BODY_TOO_LARGE;
        head->error = "the body exceeds the limit";
    }
    if (result != HTTP1_COMPLETE) {
        refuse_protocol(conn, result, head->error);
        return false;
    }
    conn->http.has_head = true;
    if (head->expects_100 && !head->is_http10 && (head->is_chunked || head->length != 0) &&
        size == head->size) {
        answer_expectation(conn, data);
    }
    return conn->state == CONN_OPEN;
}

/* Looks for the end of the body of the message at data. 0: not all there yet, or refused.
 * Otherwise where the next message begins; *body is set. Shortens *size as it unwraps chunks. */
static size_t
take_body(struct conn *conn, struct slice *body, uint8_t *data, size_t *size)
{
    const struct http1_head *head = &conn->http.head;
    struct http1_chunked *chunked = &conn->http.chunked;
    size_t in = head->size + (size_t)chunked->body_size;
    size_t out = in;
    enum http1_result result;

    if (!head->is_chunked) {
        *body = slice_of(data + head->size, (size_t)head->length);
        return *size - head->size < head->length ? 0 : head->size + (size_t)head->length;
    }
    /* What was decoded in earlier calls lies right behind the head, the new bytes behind that. */
    result =
        http1_chunked_decode(chunked, data, &in, *size, &out, conn->net->options.max_body_bytes);
    *body = slice_of(data + head->size, (size_t)chunked->body_size);
    if (result == HTTP1_COMPLETE) {
        return in;
    }
    if (result != HTTP1_INCOMPLETE) {
        refuse_protocol(conn, result, chunked->error);
    }
    *size = out;
    return 0;
}

size_t
http_execute(struct conn *conn, uint8_t *data, size_t *size)
{
    struct http_state *http = &conn->http;
    size_t output_max = conn_output_max(conn);
    size_t at = 0;

    while (conn->state == CONN_OPEN && at < *size) {
        struct slice body;
        struct message message;
        size_t rest = *size - at;
        size_t end;

        if (conn->replies.size > output_max) {
            conn->has_backlog = true;
            break;
        }
        if (!http->has_head && !take_head(conn, data + at, rest)) {
            break;
        }
        end = take_body(conn, &body, data + at, &rest);
        *size = end == 0 ? at + rest : *size;
        if (end == 0) {
            break;
        }
        message = message_of(conn, data + at, body);
        answer(conn, &message);
        at += end;
        *http = (struct http_state){0};
    }
    if (!http->has_head && !http->head.has_request_line && http->head.line_start == *size - at &&
        conn->state == CONN_OPEN) {
        /* Only empty lines: some clients send one behind a body. It begins no request. */
        http->head = (struct http1_head){0};
        at = *size;
    }
    return at;
}
