/* SPDX-License-Identifier: Apache-2.0 */
/* All connections together: what is ready, in which order it is served, how long to sleep.
 *
 * Enters:  events of the reactor; the log's progress.
 * Leaves:  reads, flushes and deadlines of single connections.
 * Owner:   the apply thread; net_wake alone is for everybody.
 *
 * Invariants
 *   (1) An event batch is worked off completely before the next wait, even if a full tick has to
 *       end in between; a struct that the batch may name is not reused before.
 *   (2) Without work and without deadlines nothing is polled: an idle server makes no calls.
 *   (3) Tickets are in LSN order, so the log's progress costs only the connections it frees. */
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"
#include "util/assert.h"
#include "util/clock.h"
#include "util/log.h"

#define ACCEPT_BATCH_MAX 256
#define ACCEPT_PAUSE_MS  100
#define WARN_PAUSE_MS    1000
#define CLOSING_MS       30000

enum bv_status
net_create(struct net **out, const struct net_options *options, const struct net_handler *handler,
           struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct net *net = calloc(1, sizeof *net);

    if (net == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the network room");
    }
    net->options = *options;
    net->handler = *handler;
    net->watched_fd = -1;
    TAILQ_INIT(&net->conns);
    TAILQ_INIT(&net->idle);
    TAILQ_INIT(&net->unfinished.list);
    TAILQ_INIT(&net->closing.list);
    TAILQ_INIT(&net->lingering.list);
    net->unfinished.duration_ms = options->request_timeout_ms;
    net->closing.duration_ms = CLOSING_MS;
    net->lingering.duration_ms = CONN_LINGER_MS;
    for (unsigned i = 0; i < 2; i++) {
        net->listeners[i] = (struct listener){.fd = -1, .reserve_fd = -1};
    }
    arena_init(&net->names, 16 * 1024, NET_ARENA_SIZE);
    net->arena = malloc(NET_ARENA_SIZE + NET_ARENA_SLACK);
    net->scratch = malloc(NET_SCRATCH_SIZE + ACK_SLACK);
    if (net->arena == NULL || net->scratch == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory for the receive arena");
        goto done;
    }
    status = reactor_create(&net->reactor, err);
    if (status != BV_OK) {
        goto done;
    }
    net->now_ms = clock_monotonic_ns() / 1000000;
    *out = net;
    net = NULL;
done:
    net_destroy(net);
    return status;
}

static void
free_list(struct conn *conn)
{
    while (conn != NULL) {
        struct conn *next = conn->next_free;

        buf_deinit(&conn->retired);
        free(conn);
        conn = next;
    }
}

void
net_destroy(struct net *net)
{
    struct conn *conn;

    if (net == NULL) {
        return;
    }
    while ((conn = TAILQ_FIRST(&net->conns)) != NULL) {
        conn_close(conn);
    }
    free_list(net->closed_list);
    free_list(net->free_list);
    listener_close(&net->listeners[0]);
    listener_close(&net->listeners[1]);
    while (net->spare_count != 0) {
        buf_deinit(&net->spares[--net->spare_count]);
    }
    reactor_destroy(net->reactor);
    arena_deinit(&net->names);
    free(net->acked_tickets.ring);
    free(net->synced_tickets.ring);
    free(net->later_tickets.ring);
    free(net->arena);
    free(net->scratch);
    free(net);
}

struct buf
net_take_spare(struct net *net)
{
    struct buf buf;

    if (net->spare_count != 0) {
        return net->spares[--net->spare_count];
    }
    buf_init(&buf);
    return buf;
}

void
net_give_spare(struct net *net, struct buf *buf)
{
    if (buf->data != NULL && net->spare_count < NET_SPARES_MAX &&
        buf->capacity <= NET_SPARE_SIZE_MAX) {
        buf_clear(buf);
        net->spares[net->spare_count++] = *buf;
        buf_init(buf);
        return;
    }
    buf_deinit(buf);
}

enum bv_status
net_bind(struct net *net, enum transport transport, const struct net_address *address,
         struct bv_error *err)
{
    BV_ASSERT(transport == TRANSPORT_TCP || transport == TRANSPORT_HTTP);
    return listener_bind(&net->listeners[transport], transport, address, err);
}

enum bv_status
net_listen(struct net *net, struct bv_error *err)
{
    for (unsigned i = 0; i < 2; i++) {
        struct listener *listener = &net->listeners[i];
        enum bv_status status;

        if (listener->fd < 0) {
            continue;
        }
        status = listener_listen(listener, err);
        if (status == BV_OK) {
            status = reactor_add(net->reactor, listener->fd, REACTOR_READ, listener, err);
        }
        if (status != BV_OK) {
            return status;
        }
    }
    net->is_listening = true;
    return BV_OK;
}

const struct net_address *
net_address(const struct net *net, enum transport transport)
{
    return net->listeners[transport].fd < 0 ? NULL : &net->listeners[transport].address;
}

enum bv_status
net_watch(struct net *net, int event_fd, struct bv_error *err)
{
    if (event_fd < 0) {
        return BV_OK;
    }
    net->watched_fd = event_fd;
    return reactor_add(net->reactor, event_fd, REACTOR_READ, &net->watched_fd, err);
}

static void
earlier(uint64_t *deadline_ms, const struct conn *conn, uint64_t conn_deadline_ms)
{
    if (conn != NULL && conn_deadline_ms < *deadline_ms) {
        *deadline_ms = conn_deadline_ms;
    }
}

/* When something is due without any event; UINT64_MAX: never. */
static uint64_t
next_deadline(const struct net *net)
{
    const struct conn_timers *timers[] = {&net->unfinished, &net->closing, &net->lingering};
    const struct ticket_queue *syncs = &net->synced_tickets;
    const struct conn *idle = TAILQ_FIRST(&net->idle);
    uint64_t deadline_ms = net->is_accept_paused ? net->accept_again_ms : UINT64_MAX;

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        const struct conn *first = TAILQ_FIRST(&timers[i]->list);

        earlier(&deadline_ms, first, first == NULL ? 0 : first->deadline_ms);
    }
    earlier(&deadline_ms, idle, idle == NULL ? 0 : idle->idle_deadline_ms);
    if (syncs->count != 0 && syncs->ring[syncs->head].deadline_ms < deadline_ms) {
        deadline_ms = syncs->ring[syncs->head].deadline_ms;
    }
    return deadline_ms;
}

static int
shorten(const struct net *net, int timeout_ms)
{
    uint64_t deadline_ms = next_deadline(net);
    uint64_t left_ms;

    if (net->resume_list != NULL) {
        return 0;
    }
    if (deadline_ms == UINT64_MAX) {
        return timeout_ms;
    }
    left_ms = deadline_ms > net->now_ms ? deadline_ms - net->now_ms : 0;
    if (timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms) {
        return timeout_ms;
    }
    return left_ms > 60000 ? 60000 : (int)left_ms + 1; /* the clock was read a moment ago */
}

/* Structs of closed connections: nothing in hand names them any more. */
static void
recycle_closed(struct net *net)
{
    struct conn *conn = net->closed_list;

    BV_ASSERT(net->flush_list == NULL);
    net->closed_list = NULL;
    while (conn != NULL) {
        struct conn *next = conn->next_free;
        struct conn **list = conn->is_in_resume ? &net->closed_list : &net->free_list;

        conn->next_free = *list;
        *list = conn;
        conn = next;
    }
}

void
net_wait(struct net *net, int timeout_ms)
{
    BV_ASSERT(net->event_next == net->event_count);
    recycle_closed(net);
    net->event_next = 0;
    net->event_count = 0;
    timeout_ms = shorten(net, timeout_ms);
    if (net->options.busy_poll_us != 0 && timeout_ms != 0) {
        uint64_t end_ns = clock_monotonic_ns() + (uint64_t)net->options.busy_poll_us * 1000;

        do {
            net->event_count = reactor_wait(net->reactor, net->events, NET_EVENTS_MAX, 0);
        } while (net->event_count == 0 && !reactor_take_wake(net->reactor) &&
                 clock_monotonic_ns() < end_ns);
    }
    if (net->event_count == 0) {
        net->event_count = reactor_wait(net->reactor, net->events, NET_EVENTS_MAX, timeout_ms);
    }
    net->now_ms = clock_monotonic_ns() / 1000000;
}

static void
take_watched(struct net *net)
{
    uint64_t count;
    ssize_t taken = read(net->watched_fd, &count, sizeof count);

    (void)taken; /* net_release asks how far the log is, in any case */
}

void
net_wait_for_log(struct net *net, int timeout_ms)
{
    struct pollfd fds[2] = {
        {.fd = net->watched_fd, .events = POLLIN},
        {.fd = reactor_wake_fd(net->reactor), .events = POLLIN},
    };

    if (poll(fds, 2, timeout_ms) > 0 && (fds[0].revents & POLLIN) != 0) {
        take_watched(net);
    }
    net->now_ms = clock_monotonic_ns() / 1000000;
}

static void
set_accepting(struct net *net, bool accepts)
{
    for (unsigned i = 0; i < 2; i++) {
        if (net->listeners[i].fd >= 0 && net->is_listening) {
            reactor_change(net->reactor, net->listeners[i].fd, accepts ? REACTOR_READ : 0,
                           &net->listeners[i]);
        }
    }
    net->is_accept_paused = !accepts;
    net->accept_again_ms = net->now_ms + ACCEPT_PAUSE_MS;
}

static void
warn_refused(struct net *net, const char *why)
{
    if (net->warned_ms != 0 && net->now_ms - net->warned_ms < WARN_PAUSE_MS) {
        return;
    }
    net->warned_ms = net->now_ms;
    log_line(LOG_WARN, "server.connection_refused", "beava.net", "connection refused",
             (struct log_field[]){LOG_TEXT("reason", why), LOG_INT("connections", net->conn_count)},
             2);
}

static void
accept_ready(struct net *net, struct listener *listener)
{
    for (unsigned i = 0; i < ACCEPT_BATCH_MAX; i++) {
        int fd = -1;
        enum listener_result result = listener_accept(listener, &fd);

        if (result == LISTENER_EMPTY) {
            return;
        }
        if (result == LISTENER_EXHAUSTED) {
            warn_refused(net, "no file descriptors left");
            set_accepting(net, false);
            return;
        }
        if (net->conn_count >= net->options.connection_max) {
            warn_refused(net, "max_connections reached");
            listener_refuse(listener, fd);
        } else if (conn_open(net, fd, listener->transport) == NULL) {
            warn_refused(net, "out of memory");
            listener_refuse(listener, fd);
        }
    }
}

static void
handle_conn_event(struct conn *conn, unsigned ready)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if ((ready & REACTOR_WRITE) != 0) {
        conn_queue_flush(conn);
    }
    if ((ready & REACTOR_READ) != 0 && (conn->interest & REACTOR_READ) != 0) {
        conn_read(conn);
    } else if ((ready & REACTOR_HANGUP) != 0) {
        conn_close(conn); /* nobody is there to take what we owe */
    }
}

/* Closes what has been due since before now; requests half received, replies not taken. */
static void
expire_timers(struct net *net, struct conn_timers *timers)
{
    struct conn *conn;

    while ((conn = TAILQ_FIRST(&timers->list)) != NULL && conn->deadline_ms <= net->now_ms) {
        if (timers == &net->closing && !conn->is_blocked) {
            conn_set_timer(conn, timers); /* it is the log that we wait for, not the peer */
            continue;
        }
        conn_close(conn);
    }
}

static void
expire_idle(struct net *net)
{
    struct conn *conn;

    while ((conn = TAILQ_FIRST(&net->idle)) != NULL && conn->idle_deadline_ms <= net->now_ms) {
        if (conn_owes(conn) || conn->has_backlog) {
            conn_touch(conn);
            continue;
        }
        conn_close(conn);
    }
}

static void
drop_ticket(struct ticket_queue *queue)
{
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
}

/* Sync waits that took too long are answered as such; the event stays applied. */
static void
expire_syncs(struct net *net)
{
    struct ticket_queue *queue = &net->synced_tickets;

    while (queue->count != 0 && queue->ring[queue->head].deadline_ms <= net->now_ms) {
        const struct ticket *ticket = &queue->ring[queue->head];

        if (ticket->generation == ticket->conn->generation) {
            ticket->conn->expired_lsn = ticket->lsn;
            conn_queue_flush(ticket->conn);
        }
        drop_ticket(queue);
    }
}

static void
expire(struct net *net)
{
    expire_timers(net, &net->unfinished);
    expire_timers(net, &net->closing);
    expire_timers(net, &net->lingering);
    expire_idle(net);
    expire_syncs(net);
    if (net->is_accept_paused && net->accept_again_ms <= net->now_ms) {
        set_accepting(net, true);
    }
}

/* May this connection be read now? Its request bytes need room in the arena and in the log. */
static enum net_more
ask_room(const struct net *net, const struct conn *conn)
{
    size_t recv_size = conn->recv_size;

    if (net->request_count >= NET_REQUESTS_MAX ||
        net->arena_used + CONN_TAIL_MAX + recv_size > NET_ARENA_SIZE) {
        return NET_FULL;
    }
    /* What this tick has taken may not be in the log's ring yet, so it is counted as if none of it
     * were; when that is too much, the tick ends first and the log is asked again. */
    if (net->handler.has_room(net->handler.context,
                              net->tick_bytes + conn->input.size + recv_size)) {
        return NET_DONE;
    }
    return net->tick_bytes != 0 ? NET_FULL : NET_STARVED;
}

static enum net_more
resume_waiting(struct net *net)
{
    while (net->resume_list != NULL) {
        struct conn *conn = net->resume_list;
        enum net_more more = ask_room(net, conn);

        if (more != NET_DONE) {
            return more;
        }
        net->resume_list = conn->next_resume;
        conn->is_in_resume = false;
        conn_resume(conn);
    }
    return NET_DONE;
}

enum net_more
net_execute(struct net *net)
{
    enum net_more more = resume_waiting(net);

    while (more == NET_DONE && net->event_next < net->event_count) {
        const struct reactor_event *event = &net->events[net->event_next];

        if (event->data == &net->watched_fd) {
            take_watched(net);
        } else if (event->data == &net->listeners[0] || event->data == &net->listeners[1]) {
            if (net->is_listening) {
                accept_ready(net, event->data);
            }
        } else {
            struct conn *conn = event->data;

            if (conn->state == CONN_OPEN && (event->ready & REACTOR_READ) != 0) {
                more = ask_room(net, conn);
                if (more != NET_DONE) {
                    break;
                }
            }
            handle_conn_event(conn, event->ready);
        }
        net->event_next++;
    }
    if (more == NET_DONE) {
        expire(net);
    }
    return more;
}

static void
release_tickets(struct ticket_queue *queue, uint64_t mark, bool is_failed)
{
    while (queue->count != 0 && (is_failed || queue->ring[queue->head].lsn <= mark)) {
        const struct ticket *ticket = &queue->ring[queue->head];

        if (ticket->generation == ticket->conn->generation) {
            conn_queue_flush(ticket->conn);
        }
        drop_ticket(queue);
    }
}

static void
flush_all(struct net *net)
{
    while (net->flush_list != NULL) {
        struct conn *conn = net->flush_list;

        net->flush_list = conn->next_flush;
        conn->is_in_flush = false;
        conn_flush(conn);
    }
}

/* There are few of them and mostly none. */
static void
release_later(struct net *net)
{
    struct ticket_queue *queue = &net->later_tickets;

    for (size_t left = queue->count; left != 0; left--) {
        const struct ticket ticket = queue->ring[queue->head];
        struct response response;

        drop_ticket(queue);
        if (ticket.generation != ticket.conn->generation) {
            continue;
        }
        if (net->handler.later(net->handler.context, ticket.lsn, &response)) {
            conn_queue_flush(ticket.conn);
        } else { /* there is room: it was there a moment ago */
            queue->ring[(queue->head + queue->count++) & (queue->capacity - 1)] = ticket;
        }
    }
}

void
net_release(struct net *net, const struct reply_marks *marks)
{
    net->marks = *marks;
    release_later(net);
    release_tickets(&net->acked_tickets, marks->acked_lsn, marks->is_failed);
    release_tickets(&net->synced_tickets, marks->synced_lsn, marks->is_failed);
    while (net->retired_list != NULL) {
        struct conn *conn = net->retired_list;

        net->retired_list = conn->next_retired;
        net_give_spare(net, &conn->retired);
    }
    flush_all(net);
    arena_reset(&net->names);
    net->arena_used = 0;
    net->request_count = 0;
    net->tick_bytes = 0;
}

void
net_release_later(struct net *net)
{
    if (net->later_tickets.count != 0) {
        release_later(net);
        flush_all(net);
    }
}

void
net_wake(struct net *net)
{
    reactor_wake(net->reactor);
}

void
net_set_unready(struct net *net, const char *status, const char *reason)
{
    net->unready_status = status;
    net->unready_reason = reason;
}

void
net_stop(struct net *net)
{
    struct conn *conn = TAILQ_FIRST(&net->conns);

    net->is_stopping = true;
    net->is_accept_paused = false;
    for (unsigned i = 0; i < 2; i++) {
        if (net->listeners[i].fd >= 0 && net->is_listening) {
            reactor_remove(net->reactor, net->listeners[i].fd);
        }
        listener_close(&net->listeners[i]);
    }
    net->is_listening = false;
    net->closing.duration_ms = CONN_LINGER_MS; /* a peer that does not read gets this long */
    while (conn != NULL) {
        struct conn *next = TAILQ_NEXT(conn, all_link);

        if (conn->state == CONN_OPEN && !conn_owes(conn) && !conn->has_backlog) {
            conn_close(conn);
        } else {
            conn_settle(conn);
        }
        conn = next;
    }
}

bool
net_abandon(struct net *net)
{
    bool is_lossy = false;
    struct conn *conn;

    while ((conn = TAILQ_FIRST(&net->conns)) != NULL) {
        is_lossy |= conn_owes(conn) || conn->has_backlog;
        conn_close(conn);
    }
    return is_lossy;
}

uint32_t
net_pending_count(const struct net *net)
{
    const struct conn *conn;
    uint32_t count = 0;

    TAILQ_FOREACH(conn, &net->conns, all_link)
    {
        count += conn_owes(conn) || conn->has_backlog ? 1 : 0;
    }
    return count;
}

uint32_t
net_connection_count(const struct net *net)
{
    return net->conn_count;
}

uint32_t
net_transport_count(const struct net *net, enum transport transport)
{
    return net->transport_counts[transport];
}
