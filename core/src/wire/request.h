/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_REQUEST_H
#define BV_WIRE_REQUEST_H

#include <stdbool.h>

#include "util/error.h"
#include "util/slice.h"
#include "wire/row.h"

/* One request, whichever way it travelled. What the transport alone decides (routes, media types,
 * opcodes, framing) has been decided before one of these exists. */
enum request_kind {
    REQUEST_PING,
    REQUEST_REGISTER,
    REQUEST_PUSH,       /* payload = envelope; or, with has_name, the bare event object */
    REQUEST_PUSH_BATCH, /* HTTP /push-batch/<event>: name; payload = object or array of objects */
    REQUEST_PUSH_MANY,  /* payload = {"event","bodies"} */
    REQUEST_GET,
    REQUEST_GET_SINGLE, /* HTTP GET /get/<name>[/<key>] */
    REQUEST_MGET,
    REQUEST_GET_MULTI,
    REQUEST_BATCH_GET,
    REQUEST_RESET,
    REQUEST_SNAPSHOT, /* HTTP POST /snapshot */
};

enum transport { TRANSPORT_TCP, TRANSPORT_HTTP, TRANSPORT_ENGINE };

struct request {
    enum request_kind kind;
    enum transport transport;
    enum encoding encoding;
    bool is_sync;         /* /push-sync: the ack waits for the sync whatever the policy */
    bool has_name;        /* name is set */
    bool has_key;         /* key is set (GET /get/<feature>/<key>) */
    struct slice frame;   /* a TCP frame as it came, length prefix included; else empty */
    struct slice payload; /* ROW_SLACK readable bytes follow it */
    struct slice name;    /* event or feature of an HTTP path, percent-decoded */
    struct slice key;     /* key of an HTTP path, percent-decoded ... */
    struct slice raw_key; /* ... and as it came */
};

#endif
