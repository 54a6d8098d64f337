/* SPDX-License-Identifier: Apache-2.0 */
/* The program around the engine.
 *
 * Enters:  a finished configuration.
 * Leaves:  a running server: listeners, the apply thread, the engine with threads of its own.
 * Owner:   whoever started it; everything behind the sockets belongs to the apply thread.
 *
 * Invariants
 *   (1) Ports are bound before recovery and listen after it: a taken port is found out early, and
 *       nobody connects before somebody answers. The admin listener alone answers at once.
 *   (2) Stopping is starting in reverse: the apply thread drains and ends, then the admin thread,
 *       which reads what is the engine's, then the engine closes, then the sockets' memory goes. */
#include "server/server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "server/sidecar.h"
#include "server/tick.h"
#include "util/assert.h"

#define DESCRIPTORS_OF_OUR_OWN 64
#define CONNECTIONS_MIN        16

struct server {
    struct tick tick;
    struct publication publication;
    struct sidecar sidecar;
    struct admin *admin;
    struct seat_report report;
    pthread_t apply_thread;
    bool has_thread;
    bool has_seat;
    bool was_clean;
    struct net_address addresses[2]; /* as bound */
    bool has_address[2];
};

enum bv_status
server_resolve(struct server_addresses *out, const struct config *config, struct bv_error *err)
{
    const char *host = config_text(config, CONFIG_TCP_HOST);
    bool is_bare_v6 = host[0] != '[' && strchr(host, ':') != NULL;
    struct net_address admin;
    struct bv_error why;
    char text[CONFIG_TEXT_MAX + 16];

    memset(out, 0, sizeof *out);
    if (net_address_parse(&out->http, config_text(config, CONFIG_LISTEN_ADDR), &why) != BV_OK) {
        return bv_error_set(err, BV_CONFIG, "invalid config field `listen_addr`: %.500s",
                            why.message);
    }
    if (net_address_parse(&admin, config_text(config, CONFIG_ADMIN_ADDR), &why) != BV_OK) {
        return bv_error_set(err, BV_CONFIG, "invalid config field `admin_addr`: %.500s",
                            why.message);
    }
    out->has_admin = true;
    out->has_tcp = config_number(config, CONFIG_TCP_ENABLED) != 0;
    if (!out->has_tcp) {
        return BV_OK;
    }
    snprintf(text, sizeof text, is_bare_v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)config_number(config, CONFIG_TCP_PORT));
    if (net_address_parse(&out->tcp, text, &why) != BV_OK) {
        return bv_error_set(err, BV_CONFIG, "invalid config field `tcp.host`: %.500s", why.message);
    }
    return BV_OK;
}

/* The soft limit becomes the hard one: connections are descriptors. */
static uint32_t
connection_limit(const struct config *config)
{
    uint64_t asked = config_number(config, CONFIG_MAX_CONNECTIONS);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return CONNECTIONS_MIN;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (asked != 0) {
        return (uint32_t)asked;
    }
    if (limit.rlim_cur > UINT32_MAX) {
        return UINT32_MAX;
    }
    return limit.rlim_cur > DESCRIPTORS_OF_OUR_OWN + CONNECTIONS_MIN
               ? (uint32_t)limit.rlim_cur - DESCRIPTORS_OF_OUR_OWN
               : CONNECTIONS_MIN;
}

static enum bv_status
create_net(struct server *server, const struct config *config, struct bv_error *err)
{
    struct net_handler handler = tick_handler(&server->tick);
    struct net_options options = {
        .max_frame_bytes = (uint32_t)config_number(config, CONFIG_MAX_FRAME),
        .max_body_bytes = (uint32_t)config_number(config, CONFIG_MAX_BODY),
        .connection_max = connection_limit(config),
        .request_timeout_ms = (uint32_t)config_number(config, CONFIG_REQUEST_TIMEOUT_MS),
        .conn_idle_timeout_ms = (uint32_t)config_number(config, CONFIG_CONN_IDLE_TIMEOUT_MS),
        .busy_poll_us = (uint32_t)config_number(config, CONFIG_BUSY_POLL_US),
    };

    return net_create(&server->tick.net, &options, &handler, err);
}

static enum bv_status
bind_all(struct server *server, const struct config *config,
         const struct server_addresses *addresses, struct bv_error *err)
{
    struct bv_error why;

    if (net_bind(server->tick.net, TRANSPORT_HTTP, &addresses->http, &why) != BV_OK) {
        return bv_error_set(err, BV_IO, "failed to bind %.200s: %.300s",
                            config_text(config, CONFIG_LISTEN_ADDR), why.message);
    }
    if (addresses->has_tcp &&
        net_bind(server->tick.net, TRANSPORT_TCP, &addresses->tcp, &why) != BV_OK) {
        return bv_error_set(err, BV_IO, "failed to bind TCP wire listener on %.200s:%u: %.300s",
                            config_text(config, CONFIG_TCP_HOST),
                            (unsigned)config_number(config, CONFIG_TCP_PORT), why.message);
    }
    return BV_OK;
}

static void *
run_apply(void *context)
{
    struct server *server = context;

    pthread_setname_np(pthread_self(), "beava-apply");
    server->was_clean = tick_run(&server->tick);
    return NULL;
}

static enum bv_status
start_serving(struct server *server, struct bv_error *err)
{
    struct tick *tick = &server->tick;
    enum bv_status status = net_watch(tick->net, tick->seat.event_fd(tick->seat.context), err);

    if (status == BV_OK) {
        status = net_listen(tick->net, err);
    }
    if (status != BV_OK) {
        return status;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct net_address *address = net_address(tick->net, (enum transport)i);

        server->has_address[i] = address != NULL;
        if (address != NULL) {
            server->addresses[i] = *address;
        }
    }
    atomic_store(&server->publication.phase, PUBLISH_SERVING);
    if (pthread_create(&server->apply_thread, NULL, run_apply, server) != 0) {
        return bv_error_set(err, BV_NO_MEMORY, "cannot start the apply thread");
    }
    server->has_thread = true;
    return BV_OK;
}

static enum bv_status
start_admin(struct server *server, const struct config *config, struct bv_error *err)
{
    struct admin_source source;

    server->sidecar = (struct sidecar){
        .publication = &server->publication,
        .net = server->tick.net,
    };
    source = sidecar_source(&server->sidecar);
    return admin_start(&server->admin, config_text(config, CONFIG_ADMIN_ADDR), &source, err);
}

enum bv_status
server_open(struct server **out, const struct config *config,
            const struct server_addresses *addresses, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the server");
    }
    publication_init(&server->publication);
    server->tick.publication = &server->publication;
    server->tick.shutdown_timeout_ms = (uint32_t)config_number(config, CONFIG_SHUTDOWN_TIMEOUT_MS);
    status = create_net(server, config, err);
    if (status == BV_OK) {
        status = bind_all(server, config, addresses, err);
    }
    if (status == BV_OK && addresses->has_admin) {
        status = start_admin(server, config, err);
    }
    if (status == BV_OK) {
        *out = server;
        server = NULL;
    }
    server_stop(server, NULL);
    return status;
}

enum bv_status
server_serve(struct server *server, const struct config *config, bool is_null, struct bv_error *err)
{
    enum bv_status status = is_null ? seat_open_null(&server->tick.seat, err)
                                    : seat_open_engine(&server->tick.seat, config,
                                                       &server->publication, &server->report, err);

    if (status != BV_OK) {
        return status;
    }
    server->has_seat = true;
    return start_serving(server, err);
}

void
server_snapshot(struct server *server)
{
    tick_snapshot(&server->tick);
}

const char *
server_admin_address(const struct server *server)
{
    return server->admin == NULL ? "" : admin_address(server->admin);
}

const struct net_address *
server_address(const struct server *server, enum transport transport)
{
    BV_ASSERT(transport == TRANSPORT_TCP || transport == TRANSPORT_HTTP);
    return server->has_address[transport] ? &server->addresses[transport] : NULL;
}

const struct seat_report *
server_report(const struct server *server)
{
    return &server->report;
}

int
server_stop(struct server *server, uint64_t *last_lsn)
{
    int code = SERVER_EXIT_CLEAN;

    if (server == NULL) {
        return code;
    }
    atomic_store(&server->publication.phase, PUBLISH_STOPPING);
    if (server->has_thread) {
        tick_stop(&server->tick);
        pthread_join(server->apply_thread, NULL);
        code = server->was_clean ? SERVER_EXIT_CLEAN : SERVER_EXIT_CUT;
    }
    admin_stop(server->admin);
    if (server->has_seat) {
        struct seat *seat = &server->tick.seat;

        if (last_lsn != NULL) {
            *last_lsn = seat->acked_lsn(seat->context);
        }
        seat->close(seat->context);
    }
    net_destroy(server->tick.net);
    tick_deinit(&server->tick);
    publication_deinit(&server->publication);
    free(server);
    return code;
}
