/* SPDX-License-Identifier: Apache-2.0 */
/* bv_server through beava.h alone, with the null seat: threads, ports, the stop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "beava.h"

static bv_server *
start_null(void)
{
    static const char *const settings[] = {"listen_addr=127.0.0.1:0", "tcp.port=0"};
    bv_server_options options = BV_SERVER_OPTIONS_INIT;
    bv_server *server = NULL;
    bv_error err;

    options.settings = settings;
    options.setting_count = 2;
    options.is_null = 1;
    assert_int_equal(bv_server_start(&server, &options, &err), BV_OK);
    return server;
}

static int
connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void
send_all(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Until `size` bytes or the end; how many. */
static size_t
receive(int fd, void *out, size_t size)
{
    size_t got = 0;

    while (got < size) {
        ssize_t count = recv(fd, (char *)out + got, size - got, 0);

        if (count <= 0) {
            break;
        }
        got += (size_t)count;
    }
    return got;
}

static void
test_both_ports_answer_until_the_stop(void **state)
{
    static const uint8_t push[] = {0, 0, 0, 4, 0, 0x10, 2, 0x80};
    static const char health[] = "GET /health HTTP/1.1\r\n\r\n";
    static const char ack[] = "{\"ack_lsn\":1,\"idempotent_replay\":false,\"registry_version\":0}";
    char reply[256] = "";
    bv_server *server = start_null();
    int tcp = connect_to(bv_server_tcp_port(server));
    int http = connect_to(bv_server_http_port(server));

    send_all(tcp, push, sizeof push);
    assert_int_equal(receive(tcp, reply, 7 + sizeof ack - 1), 7 + sizeof ack - 1);
    assert_memory_equal(reply + 7, ack, sizeof ack - 1);
    send_all(http, health, sizeof health - 1);
    assert_int_equal(receive(http, reply, 15), 15);
    assert_memory_equal(reply, "HTTP/1.1 200 OK", 15);
    assert_int_equal(bv_server_stop(server), 0);
    assert_int_equal(receive(tcp, reply, 1), 0);
    close(tcp);
    close(http);
}

static void *
push_many(void *context)
{
    enum { COUNT = 20000 };
    static const uint8_t push[] = {0, 0, 0, 4, 0, 0x10, 2, 0x80};
    uint8_t *frames = malloc(sizeof push * COUNT);
    int fd = connect_to(*(const uint16_t *)context);
    size_t acks = 0;

    for (size_t i = 0; i < COUNT; i++) {
        memcpy(frames + i * sizeof push, push, sizeof push);
    }
    send_all(fd, frames, sizeof push * COUNT);
    while (acks < COUNT) {
        uint8_t header[7];
        char body[128];
        size_t size;

        assert_int_equal(receive(fd, header, 7), 7);
        size = (size_t)header[3] - 3;
        assert_int_equal(receive(fd, body, size), size);
        acks++;
    }
    close(fd);
    free(frames);
    return NULL;
}

static void
test_several_clients_at_once_get_every_ack(void **state)
{
    bv_server *server = start_null();
    uint16_t port = bv_server_tcp_port(server);
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &port), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(bv_server_stop(server), 0);
}

static void
test_a_listener_that_is_off_has_no_port(void **state)
{
    static const char *const settings[] = {"listen_addr=127.0.0.1:0", "tcp.enabled=false"};
    bv_server_options options = BV_SERVER_OPTIONS_INIT;
    bv_server *server = NULL;

    options.settings = settings;
    options.setting_count = 2;
    options.is_null = 1;
    assert_int_equal(bv_server_start(&server, &options, NULL), BV_OK);
    assert_int_equal(bv_server_tcp_port(server), 0);
    assert_int_not_equal(bv_server_http_port(server), 0);
    assert_int_equal(bv_server_stop(server), 0);
    assert_int_equal(bv_server_stop(NULL), 0);
}

static void
test_a_bad_start_says_why(void **state)
{
    static const char *const unknown[] = {"tcp.prot=1"};
    static const char *const shapeless[] = {"tcp.port"};
    bv_server *first = start_null();
    char address[64];
    const char *const taken[] = {address, "tcp.enabled=false"};
    bv_server_options options = BV_SERVER_OPTIONS_INIT;
    bv_server *server = NULL;
    bv_error err;

    options.is_null = 1;
    options.setting_count = 1;
    options.settings = unknown;
    assert_int_equal(bv_server_start(&server, &options, &err), BV_CONFIG);
    assert_string_equal(err.hint, "did you mean \"tcp.port\"?");
    options.settings = shapeless;
    assert_int_equal(bv_server_start(&server, &options, &err), BV_CONFIG);
    snprintf(address, sizeof address, "listen_addr=127.0.0.1:%u",
             (unsigned)bv_server_http_port(first));
    options.settings = taken;
    options.setting_count = 2;
    assert_int_equal(bv_server_start(&server, &options, &err), BV_IO);
    assert_non_null(strstr(err.message, "failed to bind 127.0.0.1:"));
    assert_non_null(strstr(err.message, "Address already in use"));
    options.struct_size = 4;
    assert_int_equal(bv_server_start(&server, &options, &err), BV_MISUSE);
    assert_null(server);
    bv_server_stop(first);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ports_answer_until_the_stop),
        cmocka_unit_test(test_several_clients_at_once_get_every_ack),
        cmocka_unit_test(test_a_listener_that_is_off_has_no_port),
        cmocka_unit_test(test_a_bad_start_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
