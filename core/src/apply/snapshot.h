/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_SNAPSHOT_H
#define BV_APPLY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/snapshot.h"
#include "util/histogram.h"

/* State -> images and back (engine.md 8): the apply thread's half of a snapshot. */

struct engine;
struct engine_snapshot;
struct engine_stats;

/* snapshot_copy.c: the rolling copy. */
struct snapshot_copy;

struct snapshot_copy_options {
    uint64_t loaded_lsn; /* of the snapshot that recovery began with; 0: none */
    uint64_t loaded_bytes;
    uint64_t replayed_bytes; /* of the log, on top of it */
};

enum bv_status snapshot_copy_create(struct snapshot_copy **out, struct engine *engine,
                                    const struct snapshot_copy_options *options,
                                    struct bv_error *err);
void snapshot_copy_destroy(struct snapshot_copy *copy); /* accepts NULL */
/* Begins when something triggers it (time, bytes, a request, a log that wants to resume); copies a
 * slice of a running one; takes its result. Never waits. Same return as engine_background. */
uint64_t snapshot_copy_slice(struct snapshot_copy *copy, uint64_t now_ns, uint64_t until_ns);
/* A registration or a reset: the running snapshot is given up and begun anew. Accepts NULL. */
void snapshot_copy_restart(struct snapshot_copy *copy);
/* When to come again, without doing anything. */
uint64_t snapshot_copy_wait(const struct snapshot_copy *copy, uint64_t now_ns);
/* Whether the next slice has something to copy. */
bool snapshot_copy_is_running(const struct snapshot_copy *copy);
/* The ticket of the next snapshot that begins, or of the one that is about to. */
uint64_t snapshot_copy_request(struct snapshot_copy *copy);
bool snapshot_copy_result(const struct snapshot_copy *copy, uint64_t ticket,
                          struct engine_snapshot *out);
/* The last ticket given; 0: none. */
uint64_t snapshot_copy_last_ticket(const struct snapshot_copy *copy);
void snapshot_copy_stats(const struct snapshot_copy *copy, struct engine_stats *out);

/* snapshot_load.c: the newest snapshot that reads, or an empty state. Falls back to older ones,
 * with a WARN each; the engine is empty again when a file fails half way. */
struct snapshot_loaded {
    struct snapshot_info info; /* start_lsn 0: none was read */
    uint64_t *failed_lsns;     /* newer ones, which did not read */
    size_t failed_count;
    uint64_t took_ns;
};

enum bv_status snapshot_load(struct snapshot_loaded *out, struct engine *engine,
                             struct bv_error *err);
/* Recovery went well without them: those that did not read are put aside. */
void snapshot_load_settle(const struct snapshot_loaded *loaded, struct engine *engine);
void snapshot_loaded_deinit(struct snapshot_loaded *loaded);

#endif
