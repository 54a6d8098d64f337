/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_BOOT_H
#define BV_SERVER_BOOT_H

#include "server/config.h"
#include "server/server.h"

/* What a boot and a stop print; launchers and people parse it (server.md 2.2). */

/* `beava starting` and the plain block; configures the log first. */
void boot_announce(const struct config *config);
/* Warnings about the configuration and the addresses. */
void boot_warn(const struct config *config, const struct server_addresses *addresses);
/* `server.admin_bound`, as soon as it answers. */
void boot_admin(const struct server *server);
/* The bound records and `server.ready`, printed whatever the log level. */
void boot_ready(const struct server *server);
/* `server.boot_failed` on stdout, the error and its fix on stderr. */
void boot_failed(const struct bv_error *err, const char *what);
void boot_stopping(const char *signal_name);
void boot_stopped(uint64_t last_lsn, uint64_t ms);

#endif
