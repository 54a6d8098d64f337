/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol.h"
#include "writer.h"

#define REPLY_SIZE_MAX (4u << 20)
#define COUNT_BATCH    1000u
#define COUNT_ROW_SIZE 160u

int
client_connect(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    int fd = -1;

    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &address.sin_addr) != 1) {
        fprintf(stderr, "%s: expected an IPv4 address\n", host);
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fprintf(stderr, "connect to %s:%u: %s\n", host, port, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool
send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR) {
            return false;
        }
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
    return true;
}

static bool
receive_all(int fd, char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t received = recv(fd, bytes, size, 0);

        if (received == 0 || (received < 0 && errno != EINTR)) {
            return false;
        }
        if (received > 0) {
            bytes += received;
            size -= (size_t)received;
        }
    }
    return true;
}

/* Sends a whole frame; `reply` gets the payload and a NUL. Returns its opcode, -1 when the
 * connection broke. */
static int
exchange(int fd, const char *frame, size_t frame_size, char *reply)
{
    unsigned char head[7];
    uint32_t size;

    if (!send_all(fd, frame, frame_size) || !receive_all(fd, (char *)head, sizeof head)) {
        return -1;
    }
    size = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (size < 3 || size - 3 >= REPLY_SIZE_MAX || !receive_all(fd, reply, size - 3)) {
        return -1;
    }
    reply[size - 3] = '\0';
    return head[4] << 8 | head[5];
}

bool
client_register(const struct options *options, const struct pipeline *pipeline)
{
    bool is_done = false;
    struct writer writer = {malloc(pipeline->register_payload.size + 64)};
    char *frame = writer.at;
    char *reply = malloc(REPLY_SIZE_MAX);
    int fd = client_connect(options->host, options->tcp_port);

    if (frame == NULL || reply == NULL || fd < 0) {
        goto done;
    }
    writer_frame_begin(&writer, PROTOCOL_REGISTER, 1);
    writer_piece(&writer, pipeline->register_payload);
    writer_frame_end(&writer, frame);
    is_done = exchange(fd, frame, (size_t)(writer.at - frame), reply) == PROTOCOL_REGISTER;
    if (!is_done) {
        fprintf(stderr, "the server refused the pipeline: %.20000s\n", reply);
    }
done:
    if (fd >= 0) {
        close(fd);
    }
    free(frame);
    free(reply);
    return is_done;
}

/* Adds up every "cnt":N of a batch reply. */
static void
add_counts(struct client_count *out, const char *reply)
{
    static const char name[] = "\"cnt\":";

    for (const char *at = strstr(reply, name); at != NULL; at = strstr(at, name)) {
        uint64_t value;

        at += sizeof name - 1;
        value = strtoull(at, NULL, 10);
        out->events += value;
        out->entities += value != 0;
    }
}

static void
write_count_request(struct writer *writer, const struct options *options,
                    const struct pipeline *pipeline, uint64_t begin, uint64_t end)
{
    char *frame = writer_frame_begin(writer, PROTOCOL_BATCH_GET, 1);

    writer_text(writer, "{\"requests\":[");
    for (uint64_t index = begin; index < end; index++) {
        char key[KEY_SIZE];

        keys_spell(key, index, options->key_shape);
        writer_text(writer, index == begin ? "{\"table\":\"" : ",{\"table\":\"");
        writer_piece(writer, pipeline->table);
        writer_text(writer, "\",\"key\":\"");
        writer_bytes(writer, key, KEY_SIZE);
        writer_text(writer, "\",\"features\":[\"cnt\"]}");
    }
    writer_text(writer, "]}");
    writer_frame_end(writer, frame);
}

bool
client_count_all(struct client_count *out, const struct options *options,
                 const struct pipeline *pipeline)
{
    bool is_done = false;
    char *frame = malloc(COUNT_BATCH * (COUNT_ROW_SIZE + pipeline->table.size));
    char *reply = malloc(REPLY_SIZE_MAX);
    int fd = client_connect(options->host, options->tcp_port);

    *out = (struct client_count){0};
    if (frame == NULL || reply == NULL || fd < 0) {
        goto done;
    }
    for (uint64_t begin = 0; begin < options->cardinality; begin += COUNT_BATCH) {
        struct writer writer = {frame};
        uint64_t end = begin + COUNT_BATCH;

        end = end < options->cardinality ? end : options->cardinality;
        write_count_request(&writer, options, pipeline, begin, end);
        if (exchange(fd, frame, (size_t)(writer.at - frame), reply) != PROTOCOL_READ) {
            fprintf(stderr, "--verify: the server refused a batch read: %.300s\n", reply);
            goto done;
        }
        add_counts(out, reply);
    }
    is_done = true;
done:
    if (fd >= 0) {
        close(fd);
    }
    free(frame);
    free(reply);
    return is_done;
}
