/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_CLIENT_H
#define BEAVA_LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "pipeline.h"

/* What happens before and after the clock runs: one request, one reply, blocking.
 *
 * Enters:  the options' address.
 * Leaves:  connected sockets; the pipeline installed; what the server counted, by its own reads.
 * Owner:   the caller closes sockets. */

/* A socket with TCP_NODELAY, -1 after a line on stderr. */
int client_connect(const char *host, uint16_t port);
bool client_register(const struct options *options, const struct pipeline *pipeline);

struct client_count {
    uint64_t events;   /* feature cnt, added up over all keys */
    uint64_t entities; /* keys whose cnt is not 0 */
};

/* Reads every key of the cardinality. */
bool client_count_all(struct client_count *out, const struct options *options,
                      const struct pipeline *pipeline);

#endif
