/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the HTTP data plane (wire.md 3.1).
 *
 * Enters:  method and request target.
 * Leaves:  the row, and the name and key of the path, not yet percent-decoded.
 * Owner:   nobody: constant data.
 *
 * The query is cut off and all trailing slashes are removed before paths are compared, literally;
 * only the key of a read keeps its slashes (V17). */
#include "net/route.h"

static const struct route routes[] = {
    /* prefixes first: "/push/x" is an event, "/push/" is "/push" */
    {"/push/", true, false, false, false, ROUTE_REQUEST, REQUEST_PUSH},
    {"/push-sync/", true, false, true, false, ROUTE_REQUEST, REQUEST_PUSH},
    {"/push-batch/", true, false, false, false, ROUTE_REQUEST, REQUEST_PUSH_BATCH},
    {"/get/", true, true, false, false, ROUTE_REQUEST, REQUEST_GET_SINGLE},
    {"/push", false, false, false, false, ROUTE_REQUEST, REQUEST_PUSH},
    {"/push-sync", false, false, true, false, ROUTE_REQUEST, REQUEST_PUSH},
    {"/get", false, false, false, false, ROUTE_REQUEST, REQUEST_GET},
    {"/batch_get", false, false, false, false, ROUTE_REQUEST, REQUEST_BATCH_GET},
    {"/register", false, false, false, true, ROUTE_REQUEST, REQUEST_REGISTER},
    {"/ping", false, false, false, false, ROUTE_REQUEST, REQUEST_PING},
    {"/snapshot", false, false, false, false, ROUTE_REQUEST, REQUEST_SNAPSHOT},
    {"/reset", false, false, false, false, ROUTE_REQUEST, REQUEST_RESET},
    {"/health", false, true, false, false, ROUTE_HEALTH, REQUEST_PING},
    {"/ready", false, true, false, false, ROUTE_READY, REQUEST_PING},
};

static bool
matches(const struct route *route, struct slice path)
{
    size_t size = strlen(route->path);

    if (route->is_prefix ? path.size <= size : path.size != size) {
        return false;
    }
    return memcmp(path.data, route->path, size) == 0;
}

static void
split_key(struct route_match *out, struct slice rest)
{
    const uint8_t *slash = memchr(rest.data, '/', rest.size);

    out->name = rest;
    if (slash != NULL) {
        out->name.size = (size_t)(slash - rest.data);
        out->key = slice_of(slash + 1, rest.size - out->name.size - 1);
        out->has_key = out->key.size != 0;
    }
}

enum route_result
route_find(struct route_match *out, struct slice method, struct slice target)
{
    const uint8_t *query = memchr(target.data, '?', target.size);
    struct slice whole = target;
    struct slice path;

    *out = (struct route_match){0};
    if (query != NULL) {
        whole.size = (size_t)(query - target.data);
    }
    path = whole;
    while (path.size != 0 && path.data[path.size - 1] == '/') {
        path.size--;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        bool is_read =
            slice_equal(method, slice_text("GET")) || slice_equal(method, slice_text("HEAD"));

        if (!matches(route, path)) {
            continue;
        }
        out->route = route;
        if (route->is_get ? !is_read : !slice_equal(method, slice_text("POST"))) {
            return ROUTE_WRONG_METHOD;
        }
        if (route->is_prefix) {
            size_t size = strlen(route->path);

            if (route->is_get) {
                split_key(out, slice_of(whole.data + size, whole.size - size));
            } else {
                out->name = slice_of(path.data + size, path.size - size);
            }
        }
        return ROUTE_FOUND;
    }
    return ROUTE_UNKNOWN;
}
