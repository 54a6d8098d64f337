/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_APPLY_FIXTURE_H
#define BV_TESTS_APPLY_FIXTURE_H

/* An engine without sockets, fed with JSON text and a clock that tests move by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/engine.h"
#include "wire/frame.h"

struct fixture {
    struct engine *engine;
    uint64_t now_ms;
    struct response response;
    char *reply; /* of the last request, NUL-terminated; an ack as the wire has it */
    struct buf input;
};

static inline void
fixture_open(struct fixture *f, const struct engine_options *options)
{
    struct bv_error err;
    enum bv_status status;

    memset(f, 0, sizeof *f);
    f->now_ms = 1000;
    buf_init(&f->input);
    status = engine_open(&f->engine, options, &err);
    if (status != BV_OK) {
        fail_msg("engine_open: %s", err.message);
    }
}

static inline void
fixture_open_memory(struct fixture *f)
{
    const struct engine_options options = {.policy = BV_POLICY_MEMORY, .is_test_mode = true};

    fixture_open(f, &options);
}

static inline void
fixture_close(struct fixture *f)
{
    engine_close(f->engine);
    free(f->reply);
    buf_deinit(&f->input);
}

static inline const char *
fixture_send(struct fixture *f, struct request request)
{
    buf_clear(&f->input);
    assert_true(buf_reserve(&f->input, request.payload.size + ROW_SLACK));
    memset(f->input.data, 0, request.payload.size + ROW_SLACK);
    if (request.payload.size != 0) {
        memcpy(f->input.data, request.payload.data, request.payload.size);
    }
    request.payload.data = f->input.data;
    if (request.encoding == 0) {
        request.encoding = ENCODING_JSON;
    }
    engine_tick_begin(f->engine, f->now_ms);
    engine_dispatch(f->engine, &request, &f->response);
    free(f->reply);
    if (f->response.kind == RESPONSE_ACK) {
        f->reply = malloc(160);
        snprintf(f->reply, 160, "ack %llu", (unsigned long long)f->response.lsn);
    } else {
        f->reply = malloc(f->response.body.size + 1);
        if (f->response.body.size != 0) {
            memcpy(f->reply, f->response.body.data, f->response.body.size);
        }
        f->reply[f->response.body.size] = '\0';
    }
    engine_tick_end(f->engine);
    assert_int_equal(engine_wait(f->engine, f->response.wait_lsn, false, NULL), BV_OK);
    return f->reply;
}

static inline const char *
fixture_request(struct fixture *f, enum request_kind kind, const char *json)
{
    return fixture_send(f, (struct request){.kind = kind, .payload = slice_text(json)});
}

/* The bare event object, as POST /push/<event> brings it. */
static inline const char *
fixture_push(struct fixture *f, const char *event, const char *body)
{
    return fixture_send(f, (struct request){.kind = REQUEST_PUSH,
                                            .transport = TRANSPORT_HTTP,
                                            .has_name = true,
                                            .name = slice_text(event),
                                            .payload = slice_text(body)});
}

static inline const char *
fixture_get(struct fixture *f, const char *table, const char *key)
{
    char json[512];

    snprintf(json, sizeof json, "{\"table\":\"%s\",\"key\":%s}", table, key);
    return fixture_request(f, REQUEST_GET, json);
}

static inline void
fixture_register(struct fixture *f, const char *json)
{
    const char *reply = fixture_request(f, REQUEST_REGISTER, json);

    if (f->response.status != BV_OK) {
        fail_msg("register: %s", reply);
    }
}

#define assert_reply(f, wanted) assert_string_equal((f)->reply, wanted)
#define assert_reply_has(f, part)                                                                  \
    do {                                                                                           \
        if (strstr((f)->reply, part) == NULL) {                                                    \
            fail_msg("%s is not in %s", part, (f)->reply);                                         \
        }                                                                                          \
    } while (0)

/* One source with a table by user, one by user and shop, and a global one. */
#define FIXTURE_EVENT                                                                              \
    "{\"kind\":\"event\",\"name\":\"Tx\",\"schema\":{\"fields\":{\"user\":\"str\",\"shop\":"       \
    "\"str\","                                                                                     \
    "\"amount\":\"f64\",\"n\":\"i64\",\"ok\":\"bool\"},\"optional_fields\":[\"ok\",\"n\","         \
    "\"shop\"]}}"
#define FIXTURE_TABLE(name, keys, agg)                                                             \
    "{\"kind\":\"derivation\",\"name\":\"" name                                                    \
    "\",\"output_kind\":\"table\",\"upstreams\":[\"Tx\"],\"table_primary_key\":[" keys             \
    "],\"ops\":[{\"op\":\"group_by\",\"keys\":[" keys "],\"agg\":{" agg "}}]}"
#define FIXTURE_USERS                                                                              \
    FIXTURE_TABLE("Users", "\"user\"",                                                             \
                  "\"cnt\":{\"op\":\"count\"},"                                                    \
                  "\"tot\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"                    \
                  "\"low\":{\"op\":\"min\",\"params\":{\"field\":\"shop\"}},"                      \
                  "\"cnt_1m\":{\"op\":\"count\",\"params\":{\"window\":\"1m\"}}")
#define FIXTURE_PAIRS  FIXTURE_TABLE("Pairs", "\"user\",\"shop\"", "\"pair_cnt\":{\"op\":\"count\"}")
#define FIXTURE_GLOBAL FIXTURE_TABLE("All", "", "\"all_cnt\":{\"op\":\"count\"}")
#define FIXTURE_NODES                                                                              \
    "{\"nodes\":[" FIXTURE_EVENT "," FIXTURE_USERS "," FIXTURE_PAIRS "," FIXTURE_GLOBAL "]}"

#endif
