/* SPDX-License-Identifier: Apache-2.0 */
#include "net_harness.h"

#include <sys/resource.h>

static void
test_addresses_are_read_and_written_alike(void **state)
{
    static const char *const good[] = {"127.0.0.1:8080", "[::1]:0", "0.0.0.0:65535"};
    static const char *const bad[] = {
        "",     "8080",    ":80",  "1.2.3.4:", "::1:80",        "[::1]",
        "[]:1", "a:65536", "a:-1", "a:1x",     "no such host:1"};
    struct bv_error err;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct net_address address;
        char text[NET_ADDRESS_TEXT_MAX];

        assert_int_equal(net_address_parse(&address, good[i], &err), BV_OK);
        net_address_format(text, &address);
        assert_string_equal(text, good[i]);
        assert_int_equal(net_address_is_loopback(&address), i != 2);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct net_address address;

        assert_int_equal(net_address_parse(&address, bad[i], &err), BV_CONFIG);
    }
}

static void
test_a_taken_port_is_refused(void **state)
{
    struct listener first = {.fd = -1, .reserve_fd = -1};
    struct listener second = {.fd = -1, .reserve_fd = -1};
    struct net_address address;
    struct bv_error err;

    assert_int_equal(net_address_parse(&address, "127.0.0.1:0", &err), BV_OK);
    assert_int_equal(listener_bind(&first, TRANSPORT_TCP, &address, &err), BV_OK);
    assert_int_not_equal(net_address_port(&first.address), 0);
    assert_int_equal(listener_listen(&first, &err), BV_OK);
    assert_int_equal(listener_bind(&second, TRANSPORT_TCP, &first.address, &err), BV_IO);
    assert_string_equal(err.message, "Address already in use");
    listener_close(&first);
    listener_close(&second);
}

static void
test_without_descriptors_a_client_is_turned_away_and_the_server_lives(void **state)
{
    struct world world;
    struct rlimit before;
    struct rlimit tight;
    char reply[512] = "";
    const struct net_address *address;

    world_open(&world);
    address = net_address(world.net, TRANSPORT_HTTP);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)fd + 1; /* this client's was the last descriptor */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    assert_int_equal(connect(fd, &address->at.any, address->size), 0);
    world_receive(&world, fd, reply, sizeof reply - 1);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
    close(fd);
    /* It looks again after a pause, without being asked. */
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &address->at.any, address->size), 0);
    while (net_connection_count(world.net) == 0) {
        net_wait(world.net, -1);
        net_execute(world.net);
        net_release(world.net, &world.marks);
    }
    close(fd);
    world_close(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_and_written_alike),
        cmocka_unit_test(test_a_taken_port_is_refused),
        cmocka_unit_test(test_without_descriptors_a_client_is_turned_away_and_the_server_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
