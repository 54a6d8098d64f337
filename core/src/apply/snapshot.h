/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_SNAPSHOT_H
#define BV_APPLY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/snapshot.h"
#include "util/histogram.h"

/* State -> images and back (engine.md 8): the apply thread's half of a snapshot. */

struct engine;

/* snapshot_copy.c: the rolling copy. */
struct snapshot_copy;

enum bv_status snapshot_copy_create(struct snapshot_copy **out, struct engine *engine,
                                    struct bv_error *err);
void snapshot_copy_destroy(struct snapshot_copy *copy); /* accepts NULL */
/* Begins when something triggers it (time, bytes, a request, a log that wants to resume); copies a
 * slice of a running one; takes its result. Never waits. Same return as engine_background. */
uint64_t snapshot_copy_slice(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns);
/* A registration or a reset: the running snapshot is given up and begun anew. */
void snapshot_copy_restart(struct snapshot_copy *copy);

/* snapshot_load.c: the newest snapshot that reads, or an empty state. *out_lsn is 0 without one.
 * Falls back to older ones, with a WARN each; leaves the engine as it was when a file fails half
 * way. With before_lsn not 0 only snapshots that begin below it are tried. */
enum bv_status snapshot_load(struct engine *engine, uint64_t before_lsn, uint64_t *out_lsn,
                             struct bv_error *err);

#endif
