/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_ROUTE_H
#define BV_NET_ROUTE_H

#include <stdbool.h>

#include "util/slice.h"
#include "wire/request.h"

/* HTTP paths and what they mean, in one table: a new route is one row. */
enum route_action { ROUTE_REQUEST, ROUTE_HEALTH, ROUTE_READY };

enum route_result { ROUTE_FOUND, ROUTE_UNKNOWN, ROUTE_WRONG_METHOD };

struct route {
    const char *path;
    bool is_prefix; /* a name follows, for GET also a key */
    bool is_get;    /* else POST */
    bool is_sync;
    bool needs_json; /* the Content-Type must be application/json */
    enum route_action action;
    enum request_kind kind;
};

struct route_match {
    const struct route *route;
    struct slice name; /* as it came; empty if the route has none */
    struct slice key;
    bool has_key;
};

/* `target` as received, query included. With ROUTE_WRONG_METHOD the route is set. */
enum route_result route_find(struct route_match *out, struct slice method, struct slice target);

#endif
