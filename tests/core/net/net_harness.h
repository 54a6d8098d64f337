/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_NET_HARNESS_H
#define BV_TEST_NET_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "wire/frame.h"

/* A net room with an engine of ten lines behind it, driven step by step by the test itself: pushes
 * get ascending LSNs, and the test says how far the "log" has come. */
struct world {
    struct net *net;
    struct reply_marks marks;
    bool has_room;
    uint64_t lsn;
    unsigned dispatched;
    struct request last; /* slices valid until the next step */
    char last_payload[256];
    char last_name[256];
    char last_key[256];
    const char *canned; /* reply to everything but pushes and pings */
    enum bv_status canned_status;
    size_t big_size; /* reply of this many bytes to a get */
    uint8_t *big;
    bool next_is_sync;
    bool next_is_replay;
    uint64_t next_wait;
    uint64_t later_done; /* tickets up to this one have their answer */
    char later_text[64];
};

static inline void
world_copy(char *out, size_t size, struct slice text)
{
    size_t count = text.size < size - 1 ? text.size : size - 1;

    if (count != 0) {
        memcpy(out, text.data, count);
    }
    out[count] = '\0';
}

static inline void
world_dispatch(void *context, const struct request *request, struct response *out)
{
    struct world *world = context;

    world->dispatched++;
    world->last = *request;
    world_copy(world->last_payload, sizeof world->last_payload, request->payload);
    world_copy(world->last_name, sizeof world->last_name, request->name);
    world_copy(world->last_key, sizeof world->last_key, request->key);
    *out = (struct response){.kind = RESPONSE_BODY,
                             .opcode = FRAME_GET_RESPONSE,
                             .content_type = ENCODING_JSON,
                             .wait_lsn = world->next_wait};
    switch (request->kind) {
    case REQUEST_PUSH:
        out->kind = RESPONSE_ACK;
        out->lsn = world->next_is_replay ? 1 : ++world->lsn;
        out->registry_version = 2;
        out->is_sync = request->is_sync || world->next_is_sync;
        out->is_replay = world->next_is_replay;
        break;
    case REQUEST_SNAPSHOT:
        out->kind = RESPONSE_LATER;
        out->lsn = world->dispatched;
        break;
    case REQUEST_PING:
        out->opcode = FRAME_PING;
        out->body = slice_text("{\"pong\":true}");
        break;
    default:
        out->status = world->canned_status;
        out->body = world->big_size != 0 ? slice_of(world->big, world->big_size)
                                         : slice_text(world->canned);
        break;
    }
}

static inline bool
world_has_room(const void *context, size_t bytes)
{
    const struct world *world = context;

    return world->has_room;
}

static inline uint64_t
world_registry_version(const void *context)
{
    return 7;
}

static inline bool
world_later(void *context, uint64_t ticket, struct response *out)
{
    struct world *world = context;

    if (ticket > world->later_done) {
        return false;
    }
    snprintf(world->later_text, sizeof world->later_text, "{\"ticket\":%llu}",
             (unsigned long long)ticket);
    *out = (struct response){.kind = RESPONSE_BODY,
                             .status = world->canned_status,
                             .body = slice_text(world->later_text)};
    return true;
}

static inline struct net_options
world_options(void)
{
    return (struct net_options){.max_frame_bytes = 4194304,
                                .max_body_bytes = 4194304,
                                .connection_max = 1000,
                                .request_timeout_ms = 30000};
}

static inline void
world_open_with(struct world *world, const struct net_options *options)
{
    struct net_handler handler = {world, world_dispatch, world_has_room, world_registry_version,
                                  world_later};
    struct net_address address;
    struct bv_error err = {0};

    memset(world, 0, sizeof *world);
    world->has_room = true;
    world->canned = "{\"c\":2}";
    world->marks.acked_lsn = UINT64_MAX;
    world->marks.synced_lsn = UINT64_MAX;
    assert_int_equal(net_create(&world->net, options, &handler, &err), BV_OK);
    assert_int_equal(net_address_parse(&address, "127.0.0.1:0", &err), BV_OK);
    assert_int_equal(net_bind(world->net, TRANSPORT_TCP, &address, &err), BV_OK);
    assert_int_equal(net_bind(world->net, TRANSPORT_HTTP, &address, &err), BV_OK);
    assert_int_equal(net_listen(world->net, &err), BV_OK);
}

static inline void
world_open(struct world *world)
{
    struct net_options options = world_options();

    world_open_with(world, &options);
}

static inline void
world_close(struct world *world)
{
    net_destroy(world->net);
    free(world->big);
}

/* One tick of what is ready now. */
static inline void
world_step(struct world *world)
{
    enum net_more more;

    net_wait(world->net, 0);
    do {
        more = net_execute(world->net);
        net_release(world->net, &world->marks);
    } while (more == NET_FULL);
    while (more == NET_STARVED && world->has_room) {
        more = net_execute(world->net);
        net_release(world->net, &world->marks);
    }
}

static inline int
world_connect(struct world *world, enum transport transport)
{
    const struct net_address *address = net_address(world->net, transport);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;

    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_int_equal(connect(fd, &address->at.any, address->size), 0);
    world_step(world);
    return fd;
}

/* Sends all of it, letting the server work whenever the socket is full. */
static inline void
world_send(struct world *world, int fd, const void *data, size_t size)
{
    size_t sent = 0;

    while (sent < size) {
        ssize_t count =
            send(fd, (const char *)data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (count > 0) {
            sent += (size_t)count;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        world_step(world);
    }
}

static inline void
world_send_text(struct world *world, int fd, const char *text)
{
    world_send(world, fd, text, strlen(text));
}

/* Steps until `size` bytes are there or the peer has closed or nothing has come for a while (a busy
 * machine delivers late); how many. */
static inline size_t
world_receive(struct world *world, int fd, void *out, size_t size)
{
    size_t got = 0;
    unsigned quiet = 0;

    while (got < size && quiet < 40) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};

        if (quiet > 5) {
            poll(&readable, 1, 5);
        }
        ssize_t count = recv(fd, (char *)out + got, size - got, MSG_DONTWAIT);

        if (count == 0 || (count < 0 && errno != EAGAIN)) {
            break;
        }
        quiet = count > 0 ? 0 : quiet + 1;
        got += count > 0 ? (size_t)count : 0;
        world_step(world);
    }
    return got;
}

static inline void
world_expect(struct world *world, int fd, const void *expected, size_t size)
{
    char *got = malloc(size + 1);
    size_t count = world_receive(world, fd, got, size);

    got[count] = '\0';
    if (count != size || memcmp(got, expected, size) != 0) {
        fail_msg("expected %zu bytes, got %zu: %s", size, count, got);
    }
    free(got);
}

static inline void
world_expect_text(struct world *world, int fd, const char *expected)
{
    world_expect(world, fd, expected, strlen(expected));
}

static inline void
world_expect_silence(struct world *world, int fd)
{
    char byte;

    for (unsigned i = 0; i < 5; i++) {
        world_step(world);
    }
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* The server has said its last word (FIN), not broken the connection. */
static inline void
world_expect_eof(struct world *world, int fd)
{
    char byte;
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    world_step(world);
    world_step(world);
    assert_int_equal(poll(&pollfd, 1, 1000), 1);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* A frame; returns its size. */
static inline size_t
put_frame(uint8_t *out, uint16_t opcode, uint8_t content_type, const char *payload)
{
    size_t size = strlen(payload);
    uint32_t length = (uint32_t)size + 3;

    store_le32(out, __builtin_bswap32(length));
    store_le16(out + 4, __builtin_bswap16(opcode));
    out[6] = content_type;
    memcpy(out + 7, payload, size);
    return size + 7;
}

static inline void
send_frame(struct world *world, int fd, uint16_t opcode, uint8_t content_type, const char *payload)
{
    uint8_t frame[1024];

    world_send(world, fd, frame, put_frame(frame, opcode, content_type, payload));
}

static inline void
expect_frame(struct world *world, int fd, uint16_t opcode, uint8_t content_type,
             const char *payload)
{
    uint8_t frame[1024];
    size_t size = put_frame(frame, opcode, content_type, payload);

    world_expect(world, fd, frame, size);
}

#endif
