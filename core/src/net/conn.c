/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life and its input; conn.h has the states.
 *
 * Enters:  what the socket delivers.
 * Leaves:  complete requests, through framed.c or http.c.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) An idle connection owns no buffer: an unfinished request is copied out of the tick's arena
 *       and back in front of what comes next. Only one that has outgrown CONN_TAIL_MAX keeps a
 *       buffer, which grows with the bytes that really arrive, never with a declared length.
 *   (2) Bytes that a request of this tick points into are neither moved nor freed before
 *       net_release: they lie in the arena or in `retired`.
 *   (3) At most one recv per connection and tick, so that nobody is starved by a busy neighbour. */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/assert.h"

struct conn *
conn_open(struct net *net, int fd, enum transport transport)
{
    struct conn *conn = net->free_list;
    uint64_t generation;

    if (conn != NULL) {
        net->free_list = conn->next_free;
    } else {
        conn = calloc(1, sizeof *conn);
        if (conn == NULL) {
            return NULL;
        }
    }
    generation = conn->generation;
    *conn = (struct conn){
        .net = net,
        .generation = generation + 1,
        .fd = fd,
        .transport = transport,
        .state = CONN_OPEN,
        .interest = REACTOR_READ,
        .recv_size = CONN_RECV_MIN,
    };
    reply_queue_init(&conn->replies,
                     transport == TRANSPORT_HTTP ? ACK_SIZE_GUESS_HTTP : ACK_SIZE_GUESS_TCP);
    if (reactor_add(net->reactor, fd, conn->interest, conn, NULL) != BV_OK) {
        conn->state = CONN_CLOSED;
        conn->next_free = net->free_list;
        net->free_list = conn;
        return NULL;
    }
    TAILQ_INSERT_TAIL(&net->conns, conn, all_link);
    net->conn_count++;
    net->transport_counts[transport]++;
    if (net->options.conn_idle_timeout_ms != 0) {
        conn->idle_deadline_ms = net->now_ms + net->options.conn_idle_timeout_ms;
        TAILQ_INSERT_TAIL(&net->idle, conn, idle_link);
    }
    return conn;
}

void
conn_set_timer(struct conn *conn, struct conn_timers *timers)
{
    if (conn->timers != NULL) {
        TAILQ_REMOVE(&conn->timers->list, conn, timer_link);
    }
    conn->timers = NULL;
    if (timers != NULL && timers->duration_ms != 0) {
        conn->timers = timers;
        conn->deadline_ms = conn->net->now_ms + timers->duration_ms;
        TAILQ_INSERT_TAIL(&timers->list, conn, timer_link);
    }
}

void
conn_touch(struct conn *conn)
{
    struct net *net = conn->net;

    if (net->options.conn_idle_timeout_ms != 0) {
        TAILQ_REMOVE(&net->idle, conn, idle_link);
        conn->idle_deadline_ms = net->now_ms + net->options.conn_idle_timeout_ms;
        TAILQ_INSERT_TAIL(&net->idle, conn, idle_link);
    }
}

bool
conn_owes(const struct conn *conn)
{
    return conn->replies.count != 0 || conn->unsent.size != 0;
}

void
conn_close(struct conn *conn)
{
    struct net *net = conn->net;

    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn_set_timer(conn, NULL);
    if (net->options.conn_idle_timeout_ms != 0) {
        TAILQ_REMOVE(&net->idle, conn, idle_link);
    }
    reactor_remove(net->reactor, conn->fd);
    close(conn->fd);
    conn->fd = -1;
    conn->state = CONN_CLOSED;
    conn->has_backlog = false;
    conn->generation++; /* tickets of this life are void */
    reply_queue_deinit(&conn->replies);
    net_give_spare(net, &conn->input);
    net_give_spare(net, &conn->unsent);
    net->output_size -= conn->counted_output;
    conn->counted_output = 0;
    TAILQ_REMOVE(&net->conns, conn, all_link);
    net->conn_count--;
    net->transport_counts[conn->transport]--;
    conn->next_free = net->closed_list;
    net->closed_list = conn;
}

void
conn_finish(struct conn *conn)
{
    if (conn->state == CONN_OPEN) {
        conn->state = CONN_CLOSING;
        conn->has_backlog = false;
        conn_set_timer(conn, &conn->net->closing);
    }
}

/* All is said: FIN, then listen a little, so that no reset overtakes the last reply. */
static void
start_linger(struct conn *conn)
{
    shutdown(conn->fd, SHUT_WR);
    conn->state = CONN_LINGERING;
    conn->is_blocked = false;
    net_give_spare(conn->net, &conn->input);
    conn_set_timer(conn, &conn->net->lingering);
}

static void
settle_interest(struct conn *conn)
{
    struct net *net = conn->net;
    unsigned interest = conn->is_blocked ? REACTOR_WRITE : 0;
    bool reads = conn->state == CONN_OPEN && !conn->is_eof && !conn->has_backlog &&
                 !net->is_stopping && conn_output_size(conn) <= conn_output_limit(conn);

    if (reads || conn->state == CONN_LINGERING) {
        interest |= REACTOR_READ;
    }
    if (interest != conn->interest) {
        conn->interest = interest;
        reactor_change(net->reactor, conn->fd, interest, conn);
    }
    if (net->is_stopping) {
        /* Requests that are held back because the peer does not take replies: it gets as long as
         * one that owes nothing but its reading. */
        if (conn->state == CONN_OPEN && conn->has_backlog && conn->timers == NULL) {
            conn_set_timer(conn, &net->closing);
        }
        return;
    }
    /* A request that we do not read on is not the peer's delay. */
    if (conn->state == CONN_OPEN && conn->timers != NULL && (!reads || conn->input.size == 0)) {
        conn_set_timer(conn, NULL);
    }
}

void
conn_settle(struct conn *conn)
{
    struct net *net = conn->net;
    size_t output = conn_output_size(conn);

    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (conn->replies.is_failed || conn->input.failed || conn->unsent.failed) {
        conn_close(conn);
        return;
    }
    net->output_size += output - conn->counted_output;
    conn->counted_output = output;
    if ((conn->is_eof || net->is_stopping) && !conn->has_backlog) {
        conn_finish(conn);
    }
    if (conn->state == CONN_CLOSING && !conn_owes(conn)) {
        if (conn->is_eof) {
            conn_close(conn);
            return;
        }
        start_linger(conn);
    }
    if (conn->has_backlog && !conn->is_in_resume && output <= conn_output_limit(conn) / 2) {
        conn->is_in_resume = true;
        conn->next_resume = net->resume_list;
        net->resume_list = conn;
    }
    settle_interest(conn);
}

/* Keeps what has not been consumed for the next read. */
static void
keep(struct conn *conn, const uint8_t *data, size_t size)
{
    if (size == 0 || conn->state != CONN_OPEN) {
        return;
    }
    conn->input = net_take_spare(conn->net);
    buf_append(&conn->input, data, size);
    buf_reserve(&conn->input, NET_ARENA_SLACK);
}

static size_t
execute(struct conn *conn, uint8_t *data, size_t *size)
{
    conn_queue_flush(conn);
    conn->net->tick_bytes += *size;
    return conn->transport == TRANSPORT_HTTP ? http_execute(conn, data, size)
                                             : framed_execute(conn, data, *size);
}

/* Executes from the connection's own buffer. */
static void
execute_input(struct conn *conn)
{
    struct net *net = conn->net;
    struct buf *input = &conn->input;
    size_t consumed = execute(conn, input->data, &input->size);

    if (consumed != 0) {
        conn->retired = *input;
        buf_init(input);
        conn->next_retired = net->retired_list;
        net->retired_list = conn;
        keep(conn, conn->retired.data + consumed, conn->retired.size - consumed);
    }
}

/* What recv said, unless it brought bytes. */
static void
take_no_bytes(struct conn *conn, ssize_t received)
{
    if (received == 0) {
        conn->is_eof = true;
        conn_queue_flush(conn); /* settles */
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_close(conn);
    }
}

/* Full reads ask for more at once next time, thin ones for less. */
static void
adapt_recv_size(struct conn *conn, size_t received)
{
    if (received == conn->recv_size && conn->recv_size < CONN_RECV_MAX) {
        conn->recv_size *= 2;
    } else if (received < conn->recv_size / 8 && conn->recv_size > CONN_RECV_MIN) {
        conn->recv_size /= 2;
    }
}

static void
note_progress(struct conn *conn)
{
    if (conn->state == CONN_OPEN) {
        conn_set_timer(conn, conn->input.size != 0 ? &conn->net->unfinished : NULL);
    }
    conn_touch(conn);
}

static void
read_into_arena(struct conn *conn)
{
    struct net *net = conn->net;
    uint8_t *data = net->arena + net->arena_used;
    size_t size = conn->input.size;
    size_t consumed;
    ssize_t received;

    BV_ASSERT(net->arena_used + size + conn->recv_size <= NET_ARENA_SIZE);
    if (size != 0) {
        memcpy(data, conn->input.data, size);
    }
    received = recv(conn->fd, data + size, conn->recv_size, 0);
    if (received <= 0) {
        take_no_bytes(conn, received);
        return;
    }
    adapt_recv_size(conn, (size_t)received);
    net_give_spare(net, &conn->input);
    size += (size_t)received;
    net->arena_used += size;
    consumed = execute(conn, data, &size);
    keep(conn, data + consumed, size - consumed);
}

static void
read_into_input(struct conn *conn)
{
    struct buf *input = &conn->input;
    ssize_t received;

    if (!buf_reserve(input, conn->recv_size + NET_ARENA_SLACK)) {
        conn_close(conn);
        return;
    }
    received = recv(conn->fd, input->data + input->size, conn->recv_size, 0);
    if (received <= 0) {
        take_no_bytes(conn, received);
        return;
    }
    adapt_recv_size(conn, (size_t)received);
    input->size += (size_t)received;
    execute_input(conn);
}

static void
discard(struct conn *conn)
{
    ssize_t received = recv(conn->fd, conn->net->scratch, NET_SCRATCH_SIZE, 0);

    if (received > 0) {
        conn->lingered_bytes += (uint64_t)received;
    }
    if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR) ||
        conn->lingered_bytes > CONN_LINGER_BYTES) {
        conn_close(conn);
    }
}

void
conn_read(struct conn *conn)
{
    if (conn->state == CONN_LINGERING) {
        discard(conn);
        return;
    }
    if ((conn->interest & REACTOR_READ) == 0 || conn->has_backlog || conn->is_eof ||
        conn->retired.data != NULL) {
        return; /* an old event, or bytes of this tick are in the way: next tick */
    }
    if (conn->input.size > CONN_TAIL_MAX) {
        read_into_input(conn);
    } else {
        read_into_arena(conn);
    }
    if (conn->state != CONN_CLOSED) {
        note_progress(conn);
    }
}

void
conn_resume(struct conn *conn)
{
    if (conn->state == CONN_OPEN && conn->has_backlog && conn->retired.data == NULL) {
        conn->has_backlog = false;
        execute_input(conn);
    }
}
