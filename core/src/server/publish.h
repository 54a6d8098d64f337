/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_PUBLISH_H
#define BV_SERVER_PUBLISH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "apply/engine.h"
#include "util/histogram.h"
#include "wire/request.h"
#include "wire/response.h"

/* What the apply thread shows to whoever looks: numbers and a description of the registry.
 *
 * Enters:  the engine's numbers, every 10 ms at most; each answered request.
 * Leaves:  copies of them.
 * Owner:   the apply thread writes, the admin thread reads; there is one of each, and no lock. */

/* Every member is one word: they are copied one by one. */
struct published {
    struct engine_stats engine;
    uint64_t readiness;      /* enum engine_readiness */
    uint64_t connections[2]; /* by enum transport */
};

/* The registry in force, in words, and the tables' numbers. Never changed but for the numbers. */
struct published_table {
    char *name;
    _Atomic uint64_t entities;
    _Atomic uint64_t bytes;
    _Atomic uint64_t cold_evictions;
    _Atomic uint64_t idle_evictions;
};

struct description {
    char *json;
    size_t json_size;
    uint32_t table_count;
    struct published_table *tables;
};

enum publish_phase { PUBLISH_RECOVERING, PUBLISH_SERVING, PUBLISH_STOPPING };

#define PUBLISHED_WORDS      (sizeof(struct published) / sizeof(uint64_t))
#define PUBLISHED_KIND_COUNT (REQUEST_SNAPSHOT + 1)
#define PUBLISHED_CODE_COUNT 128 /* of enum bv_status */

struct publication {
    _Atomic int phase;              /* enum publish_phase */
    _Atomic uint64_t turns;         /* of the loop */
    _Atomic uint64_t busy_since_ns; /* when the turn that is going on began; 0: asleep */
    _Atomic uint64_t sequence;      /* odd: words are being written */
    _Atomic uint64_t words[PUBLISHED_WORDS];
    _Atomic uint64_t requests[2][PUBLISHED_KIND_COUNT][PUBLISHED_CODE_COUNT];
    struct histogram apply_times;    /* ticks that carried something out */
    struct histogram snapshot_times; /* good ones */
    /* The engine's own, while there is one; NULL: none. */
    const struct histogram *_Atomic pauses;
    const struct histogram *_Atomic sync_times;
    _Atomic uint64_t recovery_lsn;
    _Atomic uint64_t recovery_records;
    _Atomic uint64_t recovery_entities;

    /* Taken out while it is read and put back; whoever finds it replaced frees it. NULL: being
     * read, or none yet. */
    struct description *_Atomic description;

    /* The apply thread's own. */
    struct description *current; /* the one published last, wherever it is now */
    uint64_t described_version;
    uint64_t snapshot_count;
};

/* Where the numbers come from. */
struct publish_source {
    const void *context;
    void (*stats)(const void *context, struct engine_stats *out);
    bool (*table_stats)(const void *context, uint32_t index, struct engine_table_stats *out);
    void (*describe)(const void *context, struct buf *json);
};

void publication_init(struct publication *publication);
/* When nobody reads any more. */
void publication_deinit(struct publication *publication);

/* The apply thread: what is true now; a new description when the registry's version is another one.
 */
void publication_write(struct publication *publication, const struct publish_source *source,
                       enum engine_readiness readiness, const uint64_t connections[2]);
/* One answered request. */
static inline void
publication_count(struct publication *publication, const struct request *request,
                  enum bv_status status)
{
    _Atomic uint64_t *count =
        &publication
             ->requests[request->transport][request->kind][(unsigned)status % PUBLISHED_CODE_COUNT];

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* The admin thread. */
void publication_read(struct publication *publication, struct published *out);
/* NULL: none yet. What was taken is given back before the next is taken. */
struct description *publication_take(struct publication *publication);
void publication_give(struct publication *publication, struct description *taken);

#endif
