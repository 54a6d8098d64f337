/* SPDX-License-Identifier: Apache-2.0 */
/* Any payload gets a reply that is JSON, from an empty registry and from a populated one. What
 * installs comes back from its log record, and installs only once: the same payload again is a
 * no-op. */
#include <string.h>

#include "registry/registration.h"
#include "util/assert.h"
#include "wire/json.h"

static const struct registration_limits limits = {(size_t)16 << 10, (size_t)64 << 20};

static const char populated[] =
    "{\"nodes\":[{\"kind\":\"event\",\"name\":\"E\",\"schema\":{\"fields\":{\"u\":\"str\",\"n\":"
    "\"i64\",\"x\":\"f64\"},\"optional_fields\":[\"n\"]}},{\"kind\":\"derivation\",\"name\":\"D\","
    "\"output_kind\":\"event\",\"upstreams\":[\"E\"],\"ops\":[{\"op\":\"filter\",\"expr\":\"(n > "
    "1)\"}]},{\"kind\":\"derivation\",\"name\":\"T\",\"output_kind\":\"table\",\"upstreams\":["
    "\"D\"],\"ops\":[{\"op\":\"group_by\",\"keys\":[\"u\"],\"agg\":{\"c\":{\"op\":\"count\"},"
    "\"s\":{\"op\":\"sum\",\"params\":{\"field\":\"x\",\"window\":\"1h\"}}}}],"
    "\"table_primary_key\":[\"u\"]}]}";

static void
check_reply(const struct registration *registration)
{
    struct arena arena;
    struct value reply;
    struct buf body;

    buf_init(&body);
    arena_init(&arena, 4096, 0);
    registration_reply(&body, registration, slice_of(NULL, 0));
    BV_ASSERT(!body.failed);
    BV_ASSERT(json_parse(&reply, buf_slice(&body), JSON_DEPTH_MAX, &arena, NULL) == BV_OK);
    BV_ASSERT(registration->status == BV_OK || value_find(&reply, "error") != NULL);
    arena_deinit(&arena);
    buf_deinit(&body);
}

/* Sends the payload; returns the registry in force afterwards (owned by the caller, NULL when it is
 * still `current`). */
static struct registry *
send(const struct registry *current, struct slice payload, unsigned flags)
{
    struct registration registration;

    if (registration_prepare_within(&registration, current, payload, flags, &limits, NULL) !=
        BV_OK) {
        return NULL;
    }
    check_reply(&registration);
    struct registry *next = registration.installs ? registration.next : NULL;

    if (next != NULL) {
        registration.next = NULL;
    }
    registration_deinit(&registration);
    return next;
}

static void
try_payload(const struct registry *current, struct slice payload, unsigned flags)
{
    struct registry *next = send(current, payload, flags);

    if (next != NULL) {
        BV_ASSERT(next->version == current->version + 1);
        BV_ASSERT(send(next, payload, flags) == NULL);
    }
    registry_destroy(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct registry *empty;
    static struct registry *full;
    unsigned flags = size > 0 && data[size - 1] == ' ' ? REGISTER_NO_MEMORY_GOVERNANCE : 0;

    if (empty == NULL) {
        BV_ASSERT(registry_create_empty(&empty, 0, NULL) == BV_OK);
        full = send(empty, slice_text(populated), 0);
        BV_ASSERT(full != NULL);
    }
    try_payload(empty, slice_of(data, size), flags);
    try_payload(full, slice_of(data, size), flags);
    return 0;
}
