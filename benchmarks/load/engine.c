/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beava.h"
#include "options.h"
#include "pipeline.h"
#include "pool.h"

/* The engine in process, without a socket and without a log: what an event costs by itself, and
 * what an entity takes by the engine's own books.
 *
 *   beava-load-engine [--pipeline P] [--cardinality K] [--total-events N] [--key-shape S] ...
 *
 * Options are those of beava-load (an address is not needed). First every entity is created once,
 * then N events (default 10 times the pool) are pushed in batches. One JSON line. */
#define BATCH_FRAMES 1024u

static uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Pushes `count` frames of the pool, round and round. Returns nanoseconds, 0 when one is refused.
 */
static uint64_t
push_all(bv_engine *engine, const struct pool *pool, uint64_t count)
{
    uint64_t start_ns = clock_ns();
    uint64_t at = 0;
    bv_error error = {.status = 0};

    while (count > 0) {
        uint64_t frames = pool->count - at < BATCH_FRAMES ? pool->count - at : BATCH_FRAMES;
        uint64_t accepted = 0;
        uint64_t refused = 0;

        frames = frames < count ? frames : count;
        if (bv_engine_push_frames(engine, pool->bytes + pool->offsets[at],
                                  pool->offsets[at + frames] - pool->offsets[at], &accepted,
                                  &refused, NULL, &error) != BV_OK ||
            accepted != frames) {
            fprintf(stderr, "push: %s %s\n", bv_status_name((bv_status)error.status),
                    error.message);
            return 0;
        }
        count -= frames;
        at = (at + frames) % pool->count;
    }
    return clock_ns() - start_ns;
}

static bool
measure(bv_engine *engine, struct options *options, const struct pipeline *pipeline)
{
    struct pool pool = {.bytes = NULL};
    enum key_distribution shape = options->shape;
    bv_engine_stats before = {.struct_size = sizeof before};
    bv_engine_stats after = {.struct_size = sizeof after};
    uint64_t insert_ns = 0;
    uint64_t update_ns = 0;
    uint64_t total = options->total_events;

    options->shape = KEYS_SWEEP;
    bv_engine_stats_get(engine, &before, NULL);
    if (pool_encode_pushes(&pool, options, pipeline, options->cardinality)) {
        insert_ns = push_all(engine, &pool, options->cardinality);
    }
    pool_release(&pool);
    bv_engine_stats_get(engine, &after, NULL);
    options->shape = shape;
    if (insert_ns != 0 && pool_encode_pushes(&pool, options, pipeline, options->pool_frames)) {
        total = total != 0 ? total : pool.count * 10;
        update_ns = push_all(engine, &pool, total);
    }
    pool_release(&pool);
    if (update_ns == 0 || after.entities == before.entities) {
        return false;
    }
    printf("{\"pipeline\":\"%s\",\"key_shape\":\"%s\",\"blast_shape\":\"%s\",\"entities\":%" PRIu64
           ",\"state_bytes\":%" PRIu64 ",\"bytes_per_entity\":%.2f,\"insert_ns\":%.1f"
           ",\"events\":%" PRIu64 ",\"push_ns\":%.1f,\"events_per_sec\":%.0f}\n",
           options->pipeline, options->key_shape == KEYS_PADDED ? "padded" : "scattered",
           options_shape_name(shape), after.entities, after.state_bytes,
           (double)(after.state_bytes - before.state_bytes) /
               (double)(after.entities - before.entities),
           (double)insert_ns / (double)options->cardinality, total,
           (double)update_ns / (double)total, (double)total * 1e9 / (double)update_ns);
    return true;
}

int
main(int argc, char **argv)
{
    bool is_good = false;
    struct options options;
    struct pipeline pipeline = {.text = NULL};
    bv_engine_options engine_options = BV_ENGINE_OPTIONS_INIT;
    bv_engine *engine = NULL;
    bv_error error = {.status = 0};

    if (!options_parse_local(&options, argc, argv)) {
        return 2;
    }
    engine_options.policy = BV_POLICY_MEMORY;
    if (!pipeline_load(&pipeline, options.pipeline)) {
        goto done;
    }
    if (bv_engine_open(&engine, &engine_options, &error) != BV_OK ||
        bv_engine_register(engine, pipeline.register_payload.start, pipeline.register_payload.size,
                           NULL, &error) != BV_OK) {
        fprintf(stderr, "engine: %s %s\n", error.path, error.message);
        goto done;
    }
    is_good = measure(engine, &options, &pipeline);
done:
    bv_engine_close(engine);
    pipeline_release(&pipeline);
    return is_good ? 0 : 1;
}
