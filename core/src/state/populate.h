/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_POPULATE_H
#define BV_STATE_POPULATE_H

#include <stdint.h>

#include "util/error.h"

/* A thread that touches memory before the apply thread does: the first touch of 2 MiB stops a
 * thread for up to 6 ms (engine.md 5). It starts at `base` and goes as far as it is told to. */

#define POPULATE_STEP_BYTES (2u * 1024 * 1024)

struct populate;

/* limit_bytes: never touch more than this. */
enum bv_status populate_create(struct populate **out, uint8_t *base, uint64_t limit_bytes,
                               struct bv_error *err);
void populate_destroy(struct populate *populate); /* accepts NULL; ends the thread */

/* Asks for all memory below `bytes`; never waits. Goes only up. One caller. */
void populate_ask(struct populate *populate, uint64_t bytes);
/* Memory touched so far; any thread. */
uint64_t populate_done_bytes(const struct populate *populate);

#endif
