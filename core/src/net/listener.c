/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets.
 *
 * Enters:  an address; later, clients.
 * Leaves:  one non-blocking descriptor per client.
 * Owner:   the apply thread, once the server runs.
 *
 * Invariants
 *   (1) A client that cannot be served is closed, never left hanging in the backlog: one descriptor
 *       is kept in reserve for exactly that. */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_SIZE_MAX 256

/* Splits "host:port" and "[v6]:port". */
static bool
split_address(char *host, const char **port, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t size;

    if (colon == NULL || colon == text || colon[1] == '\0') {
        return false;
    }
    size = (size_t)(colon - text);
    if (text[0] == '[') {
        if (size < 3 || text[size - 1] != ']') {
            return false;
        }
        text++;
        size -= 2;
    } else if (memchr(text, ':', size) != NULL) {
        return false; /* an IPv6 literal needs its brackets */
    }
    if (size >= HOST_SIZE_MAX) {
        return false;
    }
    memcpy(host, text, size);
    host[size] = '\0';
    *port = colon + 1;
    return true;
}

static bool
port_is_valid(const char *port)
{
    unsigned value = 0;

    for (const char *digit = port; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(*digit - '0');
        if (value > UINT16_MAX) {
            return false;
        }
    }
    return true;
}

enum bv_status
net_address_parse(struct net_address *out, const char *text, struct bv_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[HOST_SIZE_MAX];
    const char *port;

    if (!split_address(host, &port, text) || !port_is_valid(port)) {
        return bv_error_set(err, BV_CONFIG, "expected ip:port, got \"%s\"", text);
    }
    int failed = getaddrinfo(host, port, &hints, &found);

    if (failed != 0) {
        return bv_error_set(err, BV_CONFIG, "cannot resolve \"%s\": %s", host,
                            gai_strerror(failed));
    }
    memset(out, 0, sizeof *out);
    memcpy(&out->at, found->ai_addr,
           found->ai_addrlen < sizeof out->at ? found->ai_addrlen : sizeof out->at);
    out->size = found->ai_addrlen;
    freeaddrinfo(found);
    return BV_OK;
}

void
net_address_format(char *out, const struct net_address *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = address->at.any.sa_family == AF_INET6;
    const void *bytes =
        is_v6 ? (const void *)&address->at.v6.sin6_addr : (const void *)&address->at.v4.sin_addr;

    inet_ntop(address->at.any.sa_family, bytes, host, sizeof host);
    snprintf(out, NET_ADDRESS_TEXT_MAX, is_v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)net_address_port(address));
}

bool
net_address_is_loopback(const struct net_address *address)
{
    if (address->at.any.sa_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&address->at.v6.sin6_addr);
    }
    return (ntohl(address->at.v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

uint16_t
net_address_port(const struct net_address *address)
{
    return ntohs(address->at.any.sa_family == AF_INET6 ? address->at.v6.sin6_port
                                                       : address->at.v4.sin_port);
}

enum bv_status
listener_bind(struct listener *listener, enum transport transport,
              const struct net_address *address, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    int one = 1;
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof listener->address.at;

    /* SO_REUSEADDR lets a restart pass the TIME_WAIT of its predecessor; a port that somebody
     * listens on stays refused. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, &address->at.any, address->size) != 0 ||
        getsockname(fd, &listener->address.at.any, &size) != 0) {
        status = bv_error_set(err, BV_IO, "%s", strerror(errno));
        goto done;
    }
    listener->address.size = size;
    listener->transport = transport;
    listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listener->fd = fd;
    fd = -1;
done:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

enum bv_status
listener_listen(struct listener *listener, struct bv_error *err)
{
    if (listen(listener->fd, LISTENER_BACKLOG) != 0) {
        return bv_error_set(err, BV_IO, "%s", strerror(errno));
    }
    return BV_OK;
}

enum listener_result
listener_accept(struct listener *listener, int *fd)
{
    int one = 1;
    int client;

    do {
        client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        /* A client that is gone again, or a network error of its own, is not ours to report. */
    } while (client < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (client >= 0) {
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        *fd = client;
        return LISTENER_ACCEPTED;
    }
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) {
        return LISTENER_EMPTY;
    }
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            listener_refuse(listener, client);
        }
        listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return LISTENER_EXHAUSTED;
}

void
listener_refuse(const struct listener *listener, int fd)
{
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Content-Length: 70\r\nX-Runtime: hand-rolled\r\nConnection: close\r\n\r\n"
        "{\"error\":{\"code\":\"too_many_connections\",\"message\":\"connection limit\"}}";

    if (listener->transport == TRANSPORT_HTTP) {
        ssize_t sent = send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

        (void)sent; /* a courtesy */
    }
    shutdown(fd, SHUT_WR);
    close(fd);
}

void
listener_close(struct listener *listener)
{
    if (listener->fd >= 0) {
        close(listener->fd);
        listener->fd = -1;
    }
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        listener->reserve_fd = -1;
    }
}
