/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_LISTENER_H
#define BV_NET_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"
#include "wire/request.h"

/* Where connections come from. Binding and listening are two steps: the port is taken while the
 * engine still recovers, and nobody connects before somebody answers. */

#define LISTENER_BACKLOG 4096

struct net_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t size;
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0"; names are looked up once, the first result counts.
 * BV_CONFIG when the text is no address or the name is unknown. */
enum bv_status net_address_parse(struct net_address *out, const char *text, struct bv_error *err);
/* The reverse, numeric; out has room for NET_ADDRESS_TEXT_MAX. */
#define NET_ADDRESS_TEXT_MAX 64
void net_address_format(char *out, const struct net_address *address);
bool net_address_is_loopback(const struct net_address *address);
uint16_t net_address_port(const struct net_address *address);

struct listener {
    int fd;         /* -1: none */
    int reserve_fd; /* given up to refuse politely when descriptors are spent; -1: none */
    enum transport transport;
    struct net_address address; /* as bound: the real port */
};

enum listener_result {
    LISTENER_ACCEPTED,
    LISTENER_EMPTY,     /* nobody waits */
    LISTENER_EXHAUSTED, /* no descriptor left; the client was turned away if we had a reserve */
};

/* Fails with BV_IO; err->message says why ("Address already in use"). */
enum bv_status listener_bind(struct listener *listener, enum transport transport,
                             const struct net_address *address, struct bv_error *err);
enum bv_status listener_listen(struct listener *listener, struct bv_error *err);
/* On LISTENER_ACCEPTED *fd is a non-blocking socket with TCP_NODELAY. */
enum listener_result listener_accept(struct listener *listener, int *fd);
/* Says 503 to an HTTP client, nothing to a TCP one, and closes. */
void listener_refuse(const struct listener *listener, int fd);
void listener_close(struct listener *listener);

#endif
