/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

bool
link_open(struct link *out, const struct options *options, const struct pool *pool, uint64_t first,
          uint32_t depth, bool is_read)
{
    uint32_t run_capacity = 1;
    uint16_t port = options->transport == TRANSPORT_TCP ? options->tcp_port : options->http_port;

    while (run_capacity < depth) {
        run_capacity *= 2;
    }
    *out = (struct link){
        .fd = client_connect(options->host, port),
        .depth = depth,
        .quota = UINT64_MAX,
        .pool = pool,
        .cursor = first,
        .runs = malloc(run_capacity * sizeof(struct link_run)),
        .run_mask = run_capacity - 1,
        .carry = malloc(SCAN_CARRY_MAX),
        .scan = {.transport = options->transport, .is_read = is_read},
    };
    if (out->fd < 0 || out->runs == NULL || out->carry == NULL ||
        fcntl(out->fd, F_SETFL, O_NONBLOCK) != 0) {
        link_close(out);
        return false;
    }
    return true;
}

void
link_close(struct link *link)
{
    if (link->fd >= 0) {
        close(link->fd);
    }
    link->fd = -1;
    free(link->runs);
    free(link->carry);
    link->runs = NULL;
    link->carry = NULL;
}

bool
link_flush(struct link *link)
{
    while (link->write_at < link->write_end) {
        ssize_t sent = send(link->fd, link->pool->bytes + link->write_at,
                            link->write_end - link->write_at, MSG_NOSIGNAL);

        if (sent >= 0) {
            link->write_at += (uint32_t)sent;
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR) {
            fprintf(stderr, "send: %s\n", strerror(errno));
            return false;
        }
    }
    return true;
}

static void
run_add(struct link *link, uint32_t count, uint64_t now_ns)
{
    uint32_t tail = (link->run_head + link->run_count) & link->run_mask;

    link->runs[tail] = (struct link_run){.sent_ns = now_ns, .count = count};
    link->run_count++;
    link->in_flight += count;
    link->sent += count;
    link->quota -= count;
}

bool
link_send(struct link *link, uint64_t count, uint64_t now_ns)
{
    while (count > 0 && link->write_at == link->write_end) {
        uint64_t stretch = link->pool->count - link->cursor;

        stretch = stretch < count ? stretch : count;
        link->write_at = link->pool->offsets[link->cursor];
        link->write_end = link->pool->offsets[link->cursor + stretch];
        run_add(link, (uint32_t)stretch, now_ns);
        link->cursor += stretch;
        if (link->cursor == link->pool->count) {
            link->cursor = 0;
        }
        count -= stretch;
        if (!link_flush(link)) {
            return false;
        }
    }
    return true;
}

bool
link_receive(struct link *link, char *space, size_t space_size, uint64_t *replies, bool *is_drained)
{
    char *start = space + SCAN_CARRY_MAX - link->carry_size;
    uint64_t before = link->scan.good + link->scan.bad;
    size_t size;
    size_t used;
    ssize_t received = recv(link->fd, space + SCAN_CARRY_MAX, space_size, 0);

    *replies = 0;
    *is_drained = true;
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (received <= 0) {
        fprintf(stderr, "receive: %s\n", received == 0 ? "closed by the server" : strerror(errno));
        return false;
    }
    *is_drained = (size_t)received < space_size;
    memcpy(start, link->carry, link->carry_size);
    size = link->carry_size + (size_t)received;
    used = scan_replies(&link->scan, start, size);
    if (used == SIZE_MAX || size - used >= SCAN_CARRY_MAX) {
        fprintf(stderr, "the reply cannot be understood: %s\n", link->scan.error);
        return false;
    }
    link->carry_size = (uint32_t)(size - used);
    memcpy(link->carry, start + used, link->carry_size);
    *replies = link->scan.good + link->scan.bad - before;
    return true;
}
