/* SPDX-License-Identifier: Apache-2.0 */
/* Replies on their way out.
 *
 * Enters:  a connection's reply queue and how far the log has come.
 * Leaves:  bytes on the socket: one send per connection and tick, unless there is very much to say.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) Nothing leaves before the log covers it, and nothing overtakes.
 *   (2) Acks are numbers until the socket has room for them: only what it refuses in the middle of
 *       a send is copied, into `unsent`.
 *   (3) When the log has failed, what waits for it is answered with a refusal, never with an ack.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "util/assert.h"

#define TCP_ACK_SIZE_MAX 112
#define SYNC_WAIT_MS     5000

size_t
conn_output_size(const struct conn *conn)
{
    return conn->replies.size + conn->unsent.size - conn->unsent_head;
}

size_t
conn_output_limit(const struct conn *conn)
{
    return conn->net->output_size > NET_OUTPUT_MAX ? CONN_OUTPUT_LOW : CONN_OUTPUT_MAX;
}

size_t
conn_output_max(const struct conn *conn)
{
    size_t limit = conn_output_limit(conn);
    size_t unsent = conn->unsent.size - conn->unsent_head;

    return limit > unsent ? limit - unsent : 0;
}

void
conn_queue_flush(struct conn *conn)
{
    if (!conn->is_in_flush) {
        conn->is_in_flush = true;
        conn->next_flush = conn->net->flush_list;
        conn->net->flush_list = conn;
    }
}

static bool
ticket_push(struct ticket_queue *queue, const struct ticket *ticket)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 256 : queue->capacity * 2;
        struct ticket *ring = malloc(capacity * sizeof *ring);

        if (ring == NULL) {
            return false;
        }
        for (size_t i = 0; i < queue->count; i++) {
            ring[i] = queue->ring[(queue->head + i) & (queue->capacity - 1)];
        }
        free(queue->ring);
        queue->ring = ring;
        queue->head = 0;
        queue->capacity = capacity;
    }
    queue->ring[(queue->head + queue->count) & (queue->capacity - 1)] = *ticket;
    queue->count++;
    return true;
}

void
conn_wait_for(struct conn *conn, uint64_t lsn, bool is_sync)
{
    struct net *net = conn->net;
    struct ticket_queue *queue = is_sync ? &net->synced_tickets : &net->acked_tickets;
    struct ticket ticket = {lsn, conn->generation, net->now_ms + SYNC_WAIT_MS, conn};

    if (queue->count != 0) {
        const struct ticket *last =
            &queue->ring[(queue->head + queue->count - 1) & (queue->capacity - 1)];

        if (last->conn == conn && last->generation == conn->generation && last->lsn >= lsn) {
            return;
        }
        /* A repeated event waits for an old record: in order, it is not later than its turn. */
        ticket.lsn = lsn > last->lsn ? lsn : last->lsn;
    }
    if (!ticket_push(queue, &ticket)) {
        conn->replies.is_failed = true;
    }
}

void
conn_wait_later(struct conn *conn, uint64_t ticket)
{
    const struct ticket waiting = {ticket, conn->generation, 0, conn};

    if (!ticket_push(&conn->net->later_tickets, &waiting)) {
        conn->replies.is_failed = true;
    }
}

/* The status that a reply becomes that will never be released; BV_OK: it goes on waiting. */
static enum bv_status
lost_status(const struct conn *conn, const struct reply *reply)
{
    if (conn->net->marks.is_failed) {
        return BV_WAL_UNAVAILABLE;
    }
    return reply->is_sync && reply->lsn <= conn->expired_lsn ? BV_WAL_SYNC_TIMEOUT : BV_OK;
}

/* Puts these bytes in place of the reply in front. Returns their size, 0 if there is no room. */
static size_t
put_instead(struct conn *conn, uint8_t *out, size_t room, const struct buf *text)
{
    conn->replies.is_failed |= text->failed;
    if (text->size > room || text->failed) {
        return 0;
    }
    memcpy(out, text->data, text->size);
    reply_take(&conn->replies, 1);
    return text->size;
}

static size_t
put_lost(struct conn *conn, uint8_t *out, size_t room, enum bv_status status)
{
    struct net *net = conn->net;
    uint64_t version = net->handler.registry_version(net->handler.context);
    struct buf text;
    size_t size;

    buf_init(&text);
    if (conn->transport == TRANSPORT_HTTP) {
        http_encode_error(&text, status, version, conn->state == CONN_OPEN);
    } else {
        framed_encode_error(&text, status, version);
    }
    size = put_instead(conn, out, room, &text);
    buf_deinit(&text);
    return size;
}

/* 0: its answer is not there yet. Only HTTP has requests that are answered later. */
static size_t
put_later(struct conn *conn, uint8_t *out, size_t room, uint64_t ticket)
{
    struct net *net = conn->net;
    struct response response = {0};
    struct buf text;
    size_t size;

    if (!net->handler.later(net->handler.context, ticket, &response)) {
        return 0;
    }
    buf_init(&text);
    http_encode_reply(&text, &response, conn->state == CONN_OPEN);
    size = put_instead(conn, out, room, &text);
    buf_deinit(&text);
    return size;
}

static size_t
put_acks(struct conn *conn, uint8_t *out, size_t room, uint32_t ready)
{
    struct net *net = conn->net;
    struct reply_queue *replies = &conn->replies;
    const struct reply *first = reply_first(replies);
    bool is_http = conn->transport == TRANSPORT_HTTP;
    size_t count_max = room / (is_http ? ACK_SIZE_MAX : TCP_ACK_SIZE_MAX);
    uint32_t count = ready < count_max ? ready : (uint32_t)count_max;
    uint64_t first_lsn = first->lsn;
    uint64_t version = first->extent;
    bool is_last = is_http && conn->state == CONN_CLOSING && replies->count == 1 &&
                   count == first->count && count != 0;
    size_t size = ack_format(out, &net->ack_template, conn->transport, first_lsn,
                             count - (is_last ? 1 : 0), version);

    if (is_last) { /* an orderly stop: say so on the last one */
        struct buf text;

        buf_init(&text);
        http_encode_last_ack(&text, first_lsn + count - 1, version);
        replies->is_failed |= text.failed;
        memcpy(out + size, text.data, text.size);
        size += text.size;
        buf_deinit(&text);
    }
    reply_take(replies, count);
    return size;
}

/* Moves what may leave into the scratch buffer; stops at a reply that is sent from its place. */
static size_t
fill(struct conn *conn)
{
    struct net *net = conn->net;
    struct reply_queue *replies = &conn->replies;
    size_t size = 0;

    for (;;) {
        const struct reply *first = reply_first(replies);
        size_t room = NET_SCRATCH_SIZE - size;
        uint32_t ready;
        size_t added;

        if (first == NULL) {
            return size;
        }
        ready = reply_ready_count(first, &net->marks);
        if (first->is_later) {
            added = put_later(conn, net->scratch + size, room, first->lsn);
        } else if (ready == 0) {
            enum bv_status status = lost_status(conn, first);

            added = status == BV_OK ? 0 : put_lost(conn, net->scratch + size, room, status);
        } else if (first->count != 0) {
            added = room < ACK_SIZE_MAX ? 0 : put_acks(conn, net->scratch + size, room, ready);
        } else if (first->extent >= NET_DIRECT_SIZE || first->extent > room) {
            added = 0;
        } else {
            added = (size_t)first->extent;
            memcpy(net->scratch + size, reply_bytes(replies), added);
            reply_take(replies, 1);
        }
        if (added == 0) {
            return size;
        }
        size += added;
    }
}

/* How many bytes the socket took; less than size: it is blocked (or the connection is lost). */
static size_t
send_some(struct conn *conn, const uint8_t *data, size_t size)
{
    ssize_t sent = send(conn->fd, data, size, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            conn_close(conn);
            return 0;
        }
        sent = 0;
    }
    conn->is_blocked = (size_t)sent < size;
    return (size_t)sent;
}

/* True when everything refused earlier has left. */
static bool
send_unsent(struct conn *conn)
{
    struct buf *unsent = &conn->unsent;
    size_t size = unsent->size - conn->unsent_head;

    if (size == 0) {
        return true;
    }
    conn->unsent_head += send_some(conn, unsent->data + conn->unsent_head, size);
    if (conn->state == CONN_CLOSED || conn->is_blocked) {
        return false;
    }
    net_give_spare(conn->net, unsent);
    conn->unsent_head = 0;
    return true;
}

/* A large reply in front goes out from where it lies. True when all of it has left. */
static bool
send_direct(struct conn *conn)
{
    const struct reply *first = reply_first(&conn->replies);
    size_t size = (size_t)first->extent;
    size_t sent = send_some(conn, reply_bytes(&conn->replies), size);

    if (conn->state == CONN_CLOSED) {
        return false;
    }
    if (sent == size) {
        reply_take(&conn->replies, 1);
        return true;
    }
    if (sent != 0) {
        reply_take_bytes(&conn->replies, sent);
    }
    return false;
}

/* True: everything put into the scratch buffer has left. */
static bool
send_scratch(struct conn *conn, size_t size)
{
    struct net *net = conn->net;
    size_t sent = send_some(conn, net->scratch, size);

    if (sent == size || conn->state == CONN_CLOSED) {
        return conn->state != CONN_CLOSED;
    }
    conn->unsent = net_take_spare(net);
    conn->unsent_head = 0;
    buf_append(&conn->unsent, net->scratch + sent, size - sent);
    return false;
}

void
conn_flush(struct conn *conn)
{
    bool goes_on = conn->state != CONN_CLOSED && conn->state != CONN_LINGERING && send_unsent(conn);

    while (goes_on) {
        const struct reply *first = reply_first(&conn->replies);

        if (first != NULL && first->count == 0 && first->extent >= NET_DIRECT_SIZE &&
            reply_ready_count(first, &conn->net->marks) != 0) {
            goes_on = send_direct(conn);
        } else {
            size_t size = fill(conn);

            goes_on = size != 0 && send_scratch(conn, size);
        }
    }
    conn_settle(conn);
}
