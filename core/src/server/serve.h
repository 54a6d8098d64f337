/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_SERVE_H
#define BV_SERVER_SERVE_H

#include "server/config.h"

/* The file of --config, then the environment, then the rules between options. */
enum bv_status serve_configure(struct config *config, struct bv_error *err);

/* The verb `serve`: reads the rest of the configuration, runs the server in the foreground until a
 * signal ends it. Returns the exit code: 0 fine, 1 failed, 3 a stop was cut off. */
int serve_run(struct config *config);

#endif
