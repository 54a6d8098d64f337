/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_CONN_H
#define BV_NET_CONN_H

#include <sys/queue.h>

#include "net/net.h"
#include "net/reactor.h"
#include "net/reply.h"
#include "util/arena.h"
#include "wire/http1.h"

/* One connection, and what all connections share. Private to the room.
 *
 *   OPEN --fatal error, Connection: close, peer's EOF, stop--> CLOSING --all sent--> LINGERING
 *     \                                                           \                     |
 *      \--reset, timeout-----------------------------------------> CLOSED <--EOF, 1 s--/
 *
 * OPEN reads and executes. CLOSING owes replies and does neither. LINGERING has sent its FIN and
 * discards what still comes, so that a reset does not overtake the last reply (wire.md V4).
 * A CLOSED struct is reused once the batch of events that may name it is worked off. */
enum conn_state { CONN_OPEN, CONN_CLOSING, CONN_LINGERING, CONN_CLOSED };

#define CONN_TAIL_MAX     (16u * 1024) /* more unfinished bytes than this stay in a buffer */
#define CONN_RECV_MIN     (64u * 1024)
#define CONN_RECV_MAX     (512u * 1024)
#define CONN_OUTPUT_MAX   (8u << 20)   /* of one connection: beyond it no more is executed */
#define CONN_OUTPUT_LOW   (64u * 1024) /* the same once all together exceed the next one */
#define NET_OUTPUT_MAX    (256u << 20)
#define NET_ARENA_SIZE    (4u << 20)
#define NET_ARENA_SLACK   64u  /* decoders may read this far past a request */
#define NET_REQUESTS_MAX  8192 /* of one tick, give or take one read */
#define NET_SCRATCH_SIZE  (256u * 1024)
#define NET_DIRECT_SIZE   (64u * 1024) /* a reply this large is sent from where it is */
#define CONN_LINGER_MS    1000
#define CONN_LINGER_BYTES (64u << 20)

struct conn;
TAILQ_HEAD(conn_list, conn);

/* Connections whose deadline is the same time away: ordered by deadline without sorting. */
struct conn_timers {
    struct conn_list list;
    uint32_t duration_ms; /* 0: never */
};

struct http_state {
    struct http1_head head;
    struct http1_chunked chunked;
    bool has_head;
};

struct conn {
    struct reply_queue replies;
    struct net *net;
    uint64_t generation; /* counts the lives of this struct */
    int fd;
    enum conn_state state;
    enum transport transport;
    unsigned interest;
    uint32_t recv_size;
    bool is_eof;          /* the peer sends no more */
    bool is_blocked;      /* the socket took less than it was given */
    bool has_backlog;     /* complete requests wait for the output to drain */
    bool is_in_flush;     /* on net->flush_list */
    bool is_in_resume;    /* on net->resume_list */
    uint64_t expired_lsn; /* sync waits up to here took too long */
    struct buf input;     /* received, not consumed */
    struct buf retired;   /* consumed, but requests of this tick point into it */
    struct buf unsent;    /* formatted, refused by the socket */
    size_t unsent_head;
    size_t counted_output; /* our part of net->output_size */
    uint64_t lingered_bytes;
    struct http_state http;

    TAILQ_ENTRY(conn) all_link;
    TAILQ_ENTRY(conn) timer_link;
    struct conn_timers *timers; /* the list it is on, NULL: none */
    uint64_t deadline_ms;
    TAILQ_ENTRY(conn) idle_link;
    uint64_t idle_deadline_ms;
    struct conn *next_flush;
    struct conn *next_resume;
    struct conn *next_retired;
    struct conn *next_free;
};

/* Replies up to this LSN wait on the connection: the queues of these are in LSN order, so the
 * log's progress finds its connections without asking the others. */
struct ticket {
    uint64_t lsn;
    uint64_t generation;
    uint64_t deadline_ms; /* of a sync wait */
    struct conn *conn;
};

struct ticket_queue {
    struct ticket *ring;
    size_t head;
    size_t count;
    size_t capacity; /* power of two */
};

#define NET_SPARES_MAX     64
#define NET_SPARE_SIZE_MAX (64u * 1024)
#define NET_EVENTS_MAX     1024

struct net {
    struct net_options options;
    struct net_handler handler;
    struct reactor *reactor;
    struct listener listeners[2]; /* TCP, HTTP */
    uint8_t *arena;               /* NET_ARENA_SIZE + slack: the bytes read in this tick */
    size_t arena_used;
    uint8_t *scratch;   /* replies of one connection on their way out */
    struct arena names; /* percent-decoded path segments of this tick */
    struct ack_template ack_template;
    struct reactor_event events[NET_EVENTS_MAX];
    unsigned event_count;
    unsigned event_next;
    uint32_t request_count; /* of this tick */
    size_t tick_bytes;      /* handed to the protocols in this tick: the log may still have to take
                               them */
    uint64_t now_ms;        /* monotonic, once per wait */
    int watched_fd;
    bool is_listening;
    bool is_stopping;
    bool is_accept_paused; /* descriptors are spent: try again at accept_again_ms */
    uint64_t accept_again_ms;
    uint64_t warned_ms;
    const char *unready_status;
    const char *unready_reason;
    struct reply_marks marks;

    struct conn_list conns;
    uint32_t conn_count;
    uint32_t transport_counts[2];
    struct conn *free_list;
    struct conn *closed_list; /* free after this batch of events */
    struct conn *flush_list;
    struct conn *resume_list;
    struct conn *retired_list;
    struct conn_timers unfinished; /* half a request */
    struct conn_timers closing;    /* a peer that does not take its last replies */
    struct conn_timers lingering;
    struct conn_list idle;
    struct ticket_queue acked_tickets;
    struct ticket_queue synced_tickets;
    struct ticket_queue later_tickets; /* their lsn is what RESPONSE_LATER said */
    size_t output_size;                /* of all connections */
    struct buf spares[NET_SPARES_MAX];
    unsigned spare_count;
};

/* conn.c: life and input */
struct conn *conn_open(struct net *net, int fd, enum transport transport);
void conn_read(struct conn *conn);
/* Executes what is already here and was held back. */
void conn_resume(struct conn *conn);
void conn_close(struct conn *conn);
/* No more requests: closes once everything owed is sent. */
void conn_finish(struct conn *conn);
/* Puts interest, timers and lists in line with the state, after any change. */
void conn_settle(struct conn *conn);
/* (Re)starts the connection's one timer; NULL: none. */
void conn_set_timer(struct conn *conn, struct conn_timers *timers);
/* It has moved: an idle timeout starts again. */
void conn_touch(struct conn *conn);
bool conn_owes(const struct conn *conn);

/* conn_output.c: replies on their way out */
void conn_flush(struct conn *conn);
void conn_queue_flush(struct conn *conn);
/* Bytes it owes, and how many it may owe before it stops reading. */
size_t conn_output_size(const struct conn *conn);
size_t conn_output_limit(const struct conn *conn);
/* With more bytes than this in its reply queue a connection executes nothing. */
size_t conn_output_max(const struct conn *conn);
/* Called for each reply that waits for the log. */
void conn_wait_for(struct conn *conn, uint64_t lsn, bool is_sync);
/* Its next reply is asked for, after each tick, until it is there. */
void conn_wait_later(struct conn *conn, uint64_t ticket);

/* framed.c, http.c: one protocol each. Consume whole requests from data[0 .. *size), return how
 * far; a chunked body is decoded in place, which shortens *size. Never close the connection. */
size_t framed_execute(struct conn *conn, uint8_t *data, size_t size);
size_t http_execute(struct conn *conn, uint8_t *data, size_t *size);

/* An error reply that is put where `count` replies should have been, in the connection's framing.
 */
void framed_encode_error(struct buf *out, enum bv_status status, uint64_t registry_version);
void http_encode_error(struct buf *out, enum bv_status status, uint64_t registry_version,
                       bool keeps);
void http_encode_reply(struct buf *out, const struct response *response, bool keeps);
/* An ack that is the last word on its connection. */
void http_encode_last_ack(struct buf *out, uint64_t lsn, uint64_t registry_version);

/* Buffers that come and go with half-received requests. */
struct buf net_take_spare(struct net *net);
void net_give_spare(struct net *net, struct buf *buf);

#endif
