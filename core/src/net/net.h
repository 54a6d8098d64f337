/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_NET_H
#define BV_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "net/listener.h"
#include "net/reply.h"
#include "util/error.h"
#include "wire/request.h"
#include "wire/response.h"

/* The room's face: sockets on one side, requests and responses on the other.
 *
 * A tick of the thread that owns it:
 *     net_wait      until something is ready
 *     net_execute   reads ready connections and hands each complete request to the handler
 *     (the handler's tick ends: what was staged is applied and logged)
 *     net_release   sends what the log's progress allows; request bytes are given up
 * Request bytes stay where they are from dispatch until net_release. */
struct net;

struct net_handler {
    void *context;
    void (*dispatch)(void *context, const struct request *request, struct response *out);
    /* False: read no sockets this tick, `bytes` more would not fit the log. */
    bool (*has_room)(const void *context, size_t bytes);
    /* For the errors that the transport finds by itself. */
    uint64_t (*registry_version)(const void *context);
    /* The answer to what was answered RESPONSE_LATER, once it is there: asked for after each tick
     * and when its turn has come. `out` is a body, valid until the next call. */
    bool (*later)(void *context, uint64_t ticket, struct response *out);
};

struct net_options {
    uint32_t max_frame_bytes; /* payload of a TCP frame */
    uint32_t max_body_bytes;  /* HTTP */
    uint32_t connection_max;
    uint32_t request_timeout_ms;   /* an unfinished request without progress; 0: never */
    uint32_t conn_idle_timeout_ms; /* 0: never */
    uint32_t busy_poll_us;         /* polls this long before it sleeps */
};

enum net_more {
    NET_DONE,    /* everything ready has been read */
    NET_FULL,    /* the tick is full: end it and call net_execute again */
    NET_STARVED, /* the log has no room: end the tick, wait for the log */
};

enum bv_status net_create(struct net **out, const struct net_options *options,
                          const struct net_handler *handler, struct bv_error *err);
void net_destroy(struct net *net); /* accepts NULL; closes what is open */

/* Binds; nobody can connect yet. */
enum bv_status net_bind(struct net *net, enum transport transport,
                        const struct net_address *address, struct bv_error *err);
/* Listens on everything that was bound. */
enum bv_status net_listen(struct net *net, struct bv_error *err);
/* As bound, NULL when that transport is off. */
const struct net_address *net_address(const struct net *net, enum transport transport);

/* Makes net_wait return when the eventfd is readable, and reads it; -1 is ignored. */
enum bv_status net_watch(struct net *net, int event_fd, struct bv_error *err);

/* timeout_ms -1: until something happens; deadlines of connections shorten it. */
void net_wait(struct net *net, int timeout_ms);
/* For NET_STARVED: until the watched descriptor or a wake, at most timeout_ms. */
void net_wait_for_log(struct net *net, int timeout_ms);
enum net_more net_execute(struct net *net);
void net_release(struct net *net, const struct reply_marks *marks);
/* Between ticks: asks for the answers that were put off. */
void net_release_later(struct net *net);

/* Makes a wait return. Any thread. */
void net_wake(struct net *net);

/* GET /ready answers 503 with these words; NULL: 200. Both are static strings. */
void net_set_unready(struct net *net, const char *status, const char *reason);

/* No more accepting. Each connection is closed after its last reply. */
void net_stop(struct net *net);
/* Gives up on peers that do not read; true if replies were lost. */
bool net_abandon(struct net *net);
/* Connections that still owe replies, after net_stop. */
uint32_t net_pending_count(const struct net *net);
uint32_t net_connection_count(const struct net *net);
uint32_t net_transport_count(const struct net *net, enum transport transport);

#endif
