/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_SERVER_H
#define BV_SERVER_SERVER_H

#include <stdbool.h>

#include "net/listener.h"
#include "server/config.h"
#include "server/seat.h"

/* Builds the rooms, starts the threads, stops in reverse order. */
struct server;

#define SERVER_EXIT_CLEAN 0
#define SERVER_EXIT_CUT   3 /* shutdown_timeout_ms cut something off */

struct server_addresses {
    struct net_address http;
    struct net_address tcp;
    bool has_tcp;
    bool has_admin;
};

/* Names resolved, once, before anything is printed. */
enum bv_status server_resolve(struct server_addresses *out, const struct config *config,
                              struct bv_error *err);

/* Binds everything and starts the admin listener, which answers from here on. */
enum bv_status server_open(struct server **out, const struct config *config,
                           const struct server_addresses *addresses, struct bv_error *err);
/* Opens the engine (which recovers), listens, starts `beava-apply`. When it returns, requests are
 * answered. On failure the server still wants its server_stop. */
enum bv_status server_serve(struct server *server, const struct config *config, bool is_null,
                            struct bv_error *err);
/* Asks for a snapshot; any thread, while it serves. */
void server_snapshot(struct server *server);
/* As bound, NULL where a listener is off. */
const struct net_address *server_address(const struct server *server, enum transport transport);
/* "" without one. */
const char *server_admin_address(const struct server *server);
const struct seat_report *server_report(const struct server *server);
/* Returns SERVER_EXIT_*; *last_lsn (may be NULL) is the last record. Accepts NULL. */
int server_stop(struct server *server, uint64_t *last_lsn);

#endif
