/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_REGISTRY_WORLD_H
#define BV_TESTS_REGISTRY_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/registration.h"
#include "wire/json.h"

/* A server's registry without the server: payloads go in, reply bodies come out, and what installs
 * is installed. Payloads are written with ' for ", ` for ' and ~ for `, to be readable in C. */
struct world {
    struct registry *registry;
    struct registration last;
    unsigned flags;
    struct buf body;
    struct arena arena; /* of the parsed body */
    struct value reply;
};

static inline void
world_quote(struct buf *out, const char *text)
{
    static const char stands_for[][2] = {{'\'', '"'}, {'`', '\''}, {'~', '`'}};

    for (; *text != '\0'; text++) {
        char c = *text;

        for (size_t i = 0; i < 3; i++) {
            if (*text == stands_for[i][0]) {
                c = stands_for[i][1];
            }
        }
        buf_byte(out, (uint8_t)c);
    }
}

static inline void
world_init(struct world *world)
{
    *world = (struct world){.flags = 0};
    buf_init(&world->body);
    arena_init(&world->arena, 4096, 0);
    assert_int_equal(registry_create_empty(&world->registry, 0, NULL), BV_OK);
}

static inline void
world_deinit(struct world *world)
{
    registration_deinit(&world->last);
    registry_destroy(world->registry);
    buf_deinit(&world->body);
    arena_deinit(&world->arena);
}

/* Sends the exact bytes. The body stays valid until the next call. */
static inline const char *
world_send_raw(struct world *world, struct slice payload)
{
    registration_deinit(&world->last);
    assert_int_equal(
        registration_prepare(&world->last, world->registry, payload, world->flags, NULL), BV_OK);
    buf_clear(&world->body);
    registration_reply(&world->body, &world->last, slice_of(NULL, 0));
    buf_byte(&world->body, '\0');
    assert_false(world->body.failed);
    arena_reset(&world->arena);
    assert_int_equal(json_parse(&world->reply, slice_of(world->body.data, world->body.size - 1),
                                128, &world->arena, NULL),
                     BV_OK);
    if (world->last.installs) {
        assert_non_null(world->last.next);
        registry_destroy(world->registry);
        world->registry = world->last.next;
        world->last.next = NULL;
    }
    return (const char *)world->body.data;
}

static inline const char *
world_send(struct world *world, const char *payload)
{
    struct buf text;
    const char *body;

    buf_init(&text);
    world_quote(&text, payload);
    body = world_send_raw(world, buf_slice(&text));
    buf_deinit(&text);
    return body;
}

/* The last body, byte for byte. */
static inline void
world_expect(struct world *world, const char *payload, const char *expected)
{
    struct buf text;

    buf_init(&text);
    world_quote(&text, expected);
    buf_byte(&text, '\0');
    assert_string_equal(world_send(world, payload), (const char *)text.data);
    buf_deinit(&text);
}

static inline const char *
world_text(const struct value *object, const char *member)
{
    static char texts[4][1024];
    static unsigned next;
    const struct value *v = value_find(object, member);
    char *text = texts[next++ % 4];

    assert_non_null(v);
    assert_int_equal(v->kind, VALUE_STR);
    (void)snprintf(text, sizeof texts[0], "%.*s", (int)v->length, v->as.str);
    return text;
}

/* Refused with this code and path, and a reason that holds the fragment. */
static inline void
world_expect_refusal(struct world *world, const char *payload, const char *code, const char *path,
                     const char *fragment)
{
    const char *body = world_send(world, payload);
    const struct value *error = value_find(&world->reply, "error");

    if (error == NULL || strcmp(world_text(error, "code"), code) != 0 ||
        strcmp(world_text(error, "path"), path) != 0 ||
        strstr(world_text(error, "reason"), fragment) == NULL) {
        fail_msg("%s\nexpected %s at %s: %s\ngot %s", payload, code, path, fragment, body);
    }
    assert_string_equal(world_text(error, "reason"), world_text(error, "message"));
    assert_non_null(value_find(&world->reply, "registry_version"));
    assert_int_equal(world->last.status, world->last.error.status);
    assert_null(world->last.next);
}

static inline void
world_expect_ok(struct world *world, const char *payload)
{
    const char *body = world_send(world, payload);

    if (world->last.status != BV_OK) {
        fail_msg("%s\nexpected success, got %s", payload, body);
    }
}

/* Some warning has this path and holds the fragment. */
static inline void
world_expect_warning(struct world *world, const char *payload, const char *path,
                     const char *fragment)
{
    const char *body = world_send(world, payload);
    const struct value *warnings = value_find(&world->reply, "warnings");

    for (uint32_t i = 0; warnings != NULL && i < warnings->length; i++) {
        const struct value *warning = &warnings->as.items[i];

        if (strcmp(world_text(warning, "path"), path) == 0 &&
            strstr(world_text(warning, "message"), fragment) != NULL) {
            return;
        }
    }
    fail_msg("%s\nexpected a warning at %s: %s\ngot %s", payload, path, fragment, body);
}

/* ---- pieces of payloads ---- */

#define EVENT(name, fields) "{'kind':'event','name':'" name "','schema':{'fields':{" fields "}}}"
#define TX                                                                                         \
    "{'kind':'event','name':'Tx','schema':{'fields':{'user_id':'str','amount':'f64','n':'i64',"    \
    "'ok':'bool','raw':'bytes','extra':'json'},'optional_fields':['ok']}}"
#define TABLE_ON(name, upstream, keys, before, agg)                                                \
    "{'kind':'derivation','name':'" name "','output_kind':'table','upstreams':['" upstream         \
    "'],'ops':[" before "{'op':'group_by','keys':[" keys "],'agg':{" agg                           \
    "}}],'table_primary_key':[" keys "]}"
#define TABLE(name, agg) TABLE_ON(name, "Tx", "'user_id'", "", agg)
#define DERIVED(name, upstream, ops)                                                               \
    "{'kind':'derivation','name':'" name "','output_kind':'event','upstreams':['" upstream         \
    "'],'ops':[" ops "]}"
#define NODES(nodes)  "{'nodes':[" nodes "]}"
#define FORCED(nodes) "{'nodes':[" nodes "],'force':true}"
#define DRY(nodes)    "{'nodes':[" nodes "],'dry_run':true}"
#define COUNT(name)   "'" name "':{'op':'count'}"

#endif
