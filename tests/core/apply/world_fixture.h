/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_WORLD_FIXTURE_H
#define BV_TESTS_WORLD_FIXTURE_H

/* The workload of the tests of durability: an engine over any struct os, ticks of events drawn from
 * a seed, registrations and resets between them, and the digest after each tick by LSN: the oracle
 * that a recovered engine has to agree with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/engine.h"
#include "durability/power_loss.h"
#include "util/clock.h"
#include "util/log.h"
#include "wire/frame.h"

#define WORLD_SOURCE(name, fields, more)                                                           \
    "{\"kind\":\"event\",\"name\":\"" name "\",\"schema\":{\"fields\":{" fields "}}" more "}"
#define WORLD_TABLE(name, source, keys, agg)                                                       \
    "{\"kind\":\"derivation\",\"name\":\"" name                                                    \
    "\",\"output_kind\":\"table\",\"upstreams\":[\"" source "\"],\"table_primary_key\":[" keys     \
    "],\"ops\":[{\"op\":\"group_by\",\"keys\":[" keys "],\"agg\":{" agg "}}]}"

/* Every shape that state comes in: plain, windowed, text, sketches, lists, a draw by chance. */
#define WORLD_USER_FEATURES                                                                        \
    "\"cnt\":{\"op\":\"count\"},"                                                                  \
    "\"tot\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"                                  \
    "\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}},"                                    \
    "\"cnt_1m\":{\"op\":\"count\",\"params\":{\"window\":\"1m\"}},"                                \
    "\"shops\":{\"op\":\"n_unique\",\"params\":{\"field\":\"shop\",\"window\":\"1h\"}},"           \
    "\"p90\":{\"op\":\"quantile\",\"params\":{\"field\":\"amount\",\"q\":0.9}},"                   \
    "\"late\":{\"op\":\"last_n\",\"params\":{\"field\":\"shop\",\"n\":3}},"                        \
    "\"some\":{\"op\":\"reservoir_sample\",\"params\":{\"field\":\"amount\",\"samples\":4}}"
#define WORLD_MORE_FEATURES                                                                        \
    ",\"spread\":{\"op\":\"std\",\"params\":{\"field\":\"amount\"}},"                              \
    "\"best\":{\"op\":\"top_k\",\"params\":{\"field\":\"shop\",\"k\":2}}"
#define WORLD_NODES_WITH(more)                                                                                                                                                                                                                                        \
    "{\"force\":true,\"nodes\":[" WORLD_SOURCE("Tx", "\"user\":\"str\",\"shop\":\"str\",\"amount\":\"f64\"", "") "," WORLD_SOURCE("Pay", "\"id\":\"str\",\"user\":\"str\",\"amount\":\"f64\"", ",\"dedupe_key\":\"id\",\"dedupe_window_ms\":20000") "," WORLD_SOURCE( \
        "Visit", "\"user\":\"str\"",                                                                                                                                                                                                                                  \
        ",\"cold_after_ms\":15000") "," WORLD_TABLE("Users", "Tx", "\"user\"",                                                                                                                                                                                        \
                                                    WORLD_USER_FEATURES                                                                                                                                                                                               \
                                                        more) "," WORLD_TABLE("Pairs", "Tx",                                                                                                                                                                          \
                                                                              "\"user\",\"shop\"",                                                                                                                                                                    \
                                                                              "\"pair\":{\"op\":"                                                                                                                                                                     \
                                                                              "\"count\"}") "," WORLD_TABLE("Paid",                                                                                                                                                   \
                                                                                                            "Pay",                                                                                                                                                    \
                                                                                                            "\"user\"",                                                                                                                                               \
                                                                                                            "\"paid\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}}") "," WORLD_TABLE("Visits",                                                                  \
                                                                                                                                                                                           "Visit",                                                                   \
                                                                                                                                                                                           "\"user\"",                                                                \
                                                                                                                                                                                           "\"visits\":{\"op\":\"count\"}") "]}"
#define WORLD_NODES      WORLD_NODES_WITH("")
#define WORLD_NODES_MORE WORLD_NODES_WITH(WORLD_MORE_FEATURES)

struct world_oracle {
    bv_digest *digests; /* by LSN; all zero where none was taken */
    size_t count;
};

struct world {
    struct engine *engine;
    struct engine_options options;
    struct chance chance;
    struct world_oracle oracle;
    struct buf input;
    uint64_t now_ms;
    uint64_t last_lsn; /* accepted */
    uint64_t refused;
    struct bv_error error; /* of the last refusal or failed call */
    bool has_more;         /* which schema is in force */
};

static inline void
world_init(struct world *world, struct os *os, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->chance.state = seed;
    world->now_ms = 1000000;
    world->options = (struct engine_options){.policy = BV_POLICY_ALWAYS,
                                             .wal_dir = "/d/wal",
                                             .snapshot_dir = "/d/snapshots",
                                             .segment_bytes = 64 << 10,
                                             .ring_bytes = 64 << 10,
                                             .max_payload = 16 << 10,
                                             .tick_ms = 1,
                                             .is_test_mode = true,
                                             .os = os};
    buf_init(&world->input);
    assert_true(buf_reserve(&world->input, 256 << 10));
    log_configure(LOG_ERROR + 1, LOG_FORMAT_JSON);
}

static inline void
world_deinit(struct world *world)
{
    engine_close(world->engine);
    free(world->oracle.digests);
    buf_deinit(&world->input);
}

/* What the state is now, for whoever recovers this LSN later. */
static inline void
world_remember(struct world *world)
{
    bv_digest digest;

    engine_digest(world->engine, &digest);
    if (digest.last_lsn >= world->oracle.count) {
        size_t count = (size_t)digest.last_lsn * 2 + 64;
        world->oracle.digests =
            realloc(world->oracle.digests, count * sizeof *world->oracle.digests);
        memset(world->oracle.digests + world->oracle.count, 0,
               (count - world->oracle.count) * sizeof *world->oracle.digests);
        world->oracle.count = count;
    }
    world->oracle.digests[digest.last_lsn] = digest;
}

static inline enum bv_status
world_open(struct world *world)
{
    memset(&world->error, 0, sizeof world->error);
    enum bv_status status = engine_open(&world->engine, &world->options, &world->error);

    if (status == BV_OK) {
        struct engine_stats stats;
        engine_stats_get(world->engine, &stats);
        world->last_lsn = stats.last_lsn;
    }
    return status;
}

static inline void
world_close(struct world *world)
{
    engine_close(world->engine);
    world->engine = NULL;
}

/* For an engine that begins anew. */
static inline void
world_forget(struct world *world)
{
    free(world->oracle.digests);
    world->oracle = (struct world_oracle){0};
    world->has_more = false;
}

/* NULL: no tick ended there. */
static inline const bv_digest *
world_remembered(const struct world *world, uint64_t lsn)
{
    if (lsn >= world->oracle.count || world->oracle.digests[lsn].words[0] == 0) {
        return NULL;
    }
    return &world->oracle.digests[lsn];
}

static inline void
world_take(struct world *world, const struct response *response)
{
    if (response->status == BV_OK) {
        world->last_lsn =
            response->wait_lsn > world->last_lsn ? response->wait_lsn : world->last_lsn;
    } else {
        world->refused++;
        world->error.status = (int32_t)response->status;
        (void)snprintf(world->error.message, sizeof world->error.message, "%.*s",
                       (int)response->body.size, (const char *)response->body.data);
    }
}

/* One request in a tick of its own; the refusal's status. */
static inline enum bv_status
world_request(struct world *world, enum request_kind kind, const char *json)
{
    struct request request = {.kind = kind, .encoding = ENCODING_JSON};
    struct response response;
    size_t size = strlen(json);

    buf_clear(&world->input);
    assert_true(buf_reserve(&world->input, size + ROW_SLACK));
    memset(world->input.data, 0, size + ROW_SLACK);
    memcpy(world->input.data, json, size);
    request.payload = slice_of(world->input.data, size);
    engine_tick_begin(world->engine, world->now_ms);
    engine_dispatch(world->engine, &request, &response);
    world_take(world, &response);
    engine_tick_end(world->engine);
    return response.status;
}

static inline size_t
world_event(char *out, size_t size, struct chance *chance)
{
    unsigned user = chance_below(chance, 40);

    switch (chance_below(chance, 4)) {
    case 0:
        return (size_t)snprintf(
            out, size,
            "{\"event\":\"Pay\",\"body\":{\"id\":\"p%u\",\"user\":\"u%u\",\"amount\":%u.5}}",
            chance_below(chance, 60), user, chance_below(chance, 1000));
    case 1:
        return (size_t)snprintf(out, size, "{\"event\":\"Visit\",\"body\":{\"user\":\"v%u\"}}",
                                chance_below(chance, 200));
    default:
        return (size_t)snprintf(out, size,
                                "{\"event\":\"Tx\",\"body\":{\"user\":\"u%u\",\"shop\":\"shop "
                                "number %u\",\"amount\":%u.25}}",
                                user, chance_below(chance, 12), chance_below(chance, 5000));
    }
}

/* So many events, as frames of one read, in one tick. */
static inline void
world_push(struct world *world, unsigned count)
{
    char event[256];

    buf_clear(&world->input);
    for (unsigned i = 0; i < count; i++) {
        size_t size = world_event(event, sizeof event, &world->chance);
        frame_encode(&world->input, FRAME_PUSH, ENCODING_JSON, slice_of(event, size));
    }
    assert_true(buf_reserve(&world->input, ROW_SLACK));
    memset(world->input.data + world->input.size, 0, ROW_SLACK);
    engine_tick_begin(world->engine, world->now_ms);
    for (size_t at = 0; at < world->input.size;) {
        struct frame frame = {0};
        struct response response;

        assert_int_equal(
            frame_decode(&frame, slice_of(world->input.data + at, world->input.size - at), 1 << 20),
            FRAME_COMPLETE);
        const struct request request = {.kind = REQUEST_PUSH,
                                        .encoding = ENCODING_JSON,
                                        .frame = slice_of(world->input.data + at, frame.size),
                                        .payload = frame.payload};
        engine_dispatch(world->engine, &request, &response);
        world_take(world, &response);
        at += frame.size;
    }
    engine_tick_end(world->engine);
}

/* A tick of whatever comes: mostly events, sometimes another schema, seldom a reset. The state
 * afterwards is remembered. */
static inline void
world_tick(struct world *world)
{
    uint32_t what = chance_below(&world->chance, 100);

    world->now_ms += chance_below(&world->chance, 3) * chance_below(&world->chance, 4000);
    if (what == 0) {
        (void)world_request(world, REQUEST_RESET, "{}");
        world_remember(world);
        (void)world_request(world, REQUEST_REGISTER, WORLD_NODES);
        world->has_more = false;
    } else if (what < 4) {
        world->has_more = !world->has_more;
        (void)world_request(world, REQUEST_REGISTER,
                            world->has_more ? WORLD_NODES_MORE : WORLD_NODES);
    } else {
        world_push(world, 1 + chance_below(&world->chance, what < 20 ? 60 : 8));
    }
    world_remember(world);
}

#endif
