/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: when replies leave, what limits hold, how they end. */
#include "net_harness.h"

#define ACK(lsn) "{\"ack_lsn\":" #lsn ",\"idempotent_replay\":false,\"registry_version\":2}"
#define LOST                                                                                       \
    "{\"error\":{\"code\":\"wal_unavailable\",\"message\":\"the log cannot be written\","          \
    "\"reason\":\"the log cannot be written\"},\"registry_version\":7}"

static const char get[] = "{}";

static void
push(struct world *world, int fd)
{
    send_frame(world, fd, FRAME_PUSH, 2, "\x80");
}

static void
test_an_ack_waits_for_the_log_and_nothing_overtakes_it(void **state)
{
    struct world world;

    world_open(&world);
    world.marks = (struct reply_marks){0, 0, false};
    int fd = world_connect(&world, TRANSPORT_TCP);

    push(&world, fd);
    push(&world, fd);
    send_frame(&world, fd, FRAME_GET, 1, get);
    push(&world, fd);
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 1;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 2;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(2));
    expect_frame(&world, fd, FRAME_GET_RESPONSE, 1, "{\"c\":2}");
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 9;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(3));
    close(fd);
    world_close(&world);
}

static void
test_held_acks_become_errors_when_the_log_fails(void **state)
{
    struct world world;

    world_open(&world);
    world.marks = (struct reply_marks){0, 0, false};
    int fd = world_connect(&world, TRANSPORT_TCP);

    push(&world, fd);
    push(&world, fd);
    world.next_wait = 2;
    send_frame(&world, fd, FRAME_REGISTER, 1, "{}");
    world.next_wait = 0;
    send_frame(&world, fd, FRAME_GET, 1, get);
    world_expect_silence(&world, fd);
    world.marks = (struct reply_marks){1, 1, true};
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    expect_frame(&world, fd, FRAME_ERROR, 1, LOST);
    expect_frame(&world, fd, FRAME_ERROR, 1, LOST);
    expect_frame(&world, fd, FRAME_GET_RESPONSE, 1, "{\"c\":2}");
    close(fd);
    world_close(&world);
}

static void
test_a_sync_wait_outlives_the_ack_mark_but_not_its_deadline(void **state)
{
    struct world world;

    world_open(&world);
    world.marks = (struct reply_marks){5, 0, false};
    world.next_is_sync = true;
    int fd = world_connect(&world, TRANSPORT_TCP);

    push(&world, fd);
    world_expect_silence(&world, fd);
    world.marks.synced_lsn = 1;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    push(&world, fd);
    world_expect_silence(&world, fd);
    world.net->synced_tickets.ring[world.net->synced_tickets.head].deadline_ms = 0;
    expect_frame(
        &world, fd, FRAME_ERROR, 1,
        "{\"error\":{\"code\":\"wal_sync_timeout\",\"message\":\"the log was not synced in "
        "time\",\"reason\":\"the log was not synced in time\"},\"registry_version\":7}");
    close(fd);
    world_close(&world);
}

static void
test_a_half_closed_connection_is_answered_then_closed(void **state)
{
    struct world world;

    world_open(&world);
    world.marks = (struct reply_marks){0, 0, false};
    int fd = world_connect(&world, TRANSPORT_TCP);

    push(&world, fd);
    world_send(&world, fd, "\0\0\0\7\0", 5); /* an unfinished frame is nobody's request */
    shutdown(fd, SHUT_WR);
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 1;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    world_expect_eof(&world, fd);
    assert_int_equal(net_connection_count(world.net), 0);
    close(fd);
    world_close(&world);
}

static void
test_a_client_that_does_not_read_is_not_executed_without_end(void **state)
{
    enum { COUNT = 400 };
    struct world world;
    uint8_t frame[16];
    size_t size = put_frame(frame, FRAME_GET, 1, "{}");
    uint8_t *received;

    world_open(&world);
    world.big_size = 100000;
    world.big = calloc(1, world.big_size);
    int fd = world_connect(&world, TRANSPORT_TCP);

    for (unsigned i = 0; i < COUNT; i++) {
        world_send(&world, fd, frame, size);
    }
    /* 8 MiB of ours, and what the kernel's two buffers take */
    assert_in_range(world.dispatched, 80, COUNT - 1);
    assert_true(world.net->output_size <= CONN_OUTPUT_MAX + 2 * (world.big_size + 7));
    received = malloc((world.big_size + 7) * COUNT);
    assert_int_equal(world_receive(&world, fd, received, (world.big_size + 7) * COUNT),
                     (world.big_size + 7) * COUNT);
    assert_int_equal(world.dispatched, COUNT);
    assert_int_equal(world.net->output_size, 0);
    free(received);
    close(fd);
    world_close(&world);
}

static void
test_an_unfinished_request_without_progress_is_dropped(void **state)
{
    struct net_options options = world_options();
    struct world world;

    options.request_timeout_ms = 20;
    world_open_with(&world, &options);
    int fd = world_connect(&world, TRANSPORT_TCP);
    int idle_fd = world_connect(&world, TRANSPORT_TCP);

    world_send(&world, fd, "\0\0\0\7\0", 5);
    while (net_connection_count(world.net) == 2) {
        net_wait(world.net, -1);
        net_execute(world.net);
        net_release(world.net, &world.marks);
    }
    world_expect_eof(&world, fd);
    send_frame(&world, idle_fd, FRAME_PING, 1, "");
    expect_frame(&world, idle_fd, FRAME_PING, 1, "{\"pong\":true}");
    close(fd);
    close(idle_fd);
    world_close(&world);
}

static void
test_an_idle_connection_is_dropped_when_that_is_asked_for(void **state)
{
    struct net_options options = world_options();
    struct world world;

    options.conn_idle_timeout_ms = 20;
    world_open_with(&world, &options);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    while (net_connection_count(world.net) != 0) {
        net_wait(world.net, -1);
        net_execute(world.net);
        net_release(world.net, &world.marks);
    }
    world_expect_eof(&world, fd);
    close(fd);
    world_close(&world);
}

static void
test_no_socket_is_read_while_the_log_has_no_room(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    world.has_room = false;
    push(&world, fd); /* steps until starved: the event stays in hand */
    assert_int_equal(net_execute(world.net), NET_STARVED);
    net_release(world.net, &world.marks);
    assert_int_equal(world.dispatched, 0);
    world.has_room = true;
    assert_int_equal(net_execute(world.net), NET_DONE);
    net_release(world.net, &world.marks);
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    close(fd);
    world_close(&world);
}

static void
test_a_stop_answers_what_was_received_and_closes(void **state)
{
    struct world world;

    world_open(&world);
    world.marks = (struct reply_marks){0, 0, false};
    int fd = world_connect(&world, TRANSPORT_TCP);
    int idle_fd = world_connect(&world, TRANSPORT_TCP);

    push(&world, fd);
    world_step(&world);
    net_stop(world.net);
    assert_int_equal(net_pending_count(world.net), 1);
    world_expect_eof(&world, idle_fd);
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 1;
    expect_frame(&world, fd, FRAME_PUSH, 1, ACK(1));
    world_expect_eof(&world, fd);
    close(fd);
    world_step(&world);
    assert_int_equal(net_connection_count(world.net), 0);
    assert_false(net_abandon(world.net));
    close(idle_fd);
    world_close(&world);
}

static void
test_a_connection_over_the_limit_is_turned_away(void **state)
{
    struct net_options options = world_options();
    struct world world;
    char reply[512] = "";

    options.connection_max = 1;
    world_open_with(&world, &options);
    int fd = world_connect(&world, TRANSPORT_HTTP);
    int second = world_connect(&world, TRANSPORT_HTTP);

    world_receive(&world, second, reply, sizeof reply - 1);
    assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
    assert_int_equal(net_connection_count(world.net), 1);
    close(fd);
    close(second);
    world_close(&world);
}

static void
test_many_pipelined_pushes_are_acked_in_order_over_many_ticks(void **state)
{
    enum { COUNT = 50000 };
    struct world world;
    uint8_t frame[16];
    size_t size = put_frame(frame, FRAME_PUSH, 2, "\x80");
    uint8_t *all = malloc(size * COUNT);
    uint8_t *acks = malloc((size_t)COUNT * 80);
    size_t got;
    size_t at = 0;

    for (size_t i = 0; i < COUNT; i++) {
        memcpy(all + i * size, frame, size);
    }
    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    world_send(&world, fd, all, size * COUNT);
    got = world_receive(&world, fd, acks, (size_t)COUNT * 80);
    for (unsigned lsn = 1; lsn <= COUNT; lsn++) {
        char body[128];
        uint8_t expected[160];
        size_t expected_size;

        snprintf(body, sizeof body,
                 "{\"ack_lsn\":%u,\"idempotent_replay\":false,\"registry_version\":2}", lsn);
        expected_size = put_frame(expected, FRAME_PUSH, 1, body);
        assert_true(at + expected_size <= got);
        assert_memory_equal(acks + at, expected, expected_size);
        at += expected_size;
    }
    assert_int_equal(at, got);
    free(all);
    free(acks);
    close(fd);
    world_close(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ack_waits_for_the_log_and_nothing_overtakes_it),
        cmocka_unit_test(test_held_acks_become_errors_when_the_log_fails),
        cmocka_unit_test(test_a_sync_wait_outlives_the_ack_mark_but_not_its_deadline),
        cmocka_unit_test(test_a_half_closed_connection_is_answered_then_closed),
        cmocka_unit_test(test_a_client_that_does_not_read_is_not_executed_without_end),
        cmocka_unit_test(test_an_unfinished_request_without_progress_is_dropped),
        cmocka_unit_test(test_an_idle_connection_is_dropped_when_that_is_asked_for),
        cmocka_unit_test(test_no_socket_is_read_while_the_log_has_no_room),
        cmocka_unit_test(test_a_stop_answers_what_was_received_and_closes),
        cmocka_unit_test(test_a_connection_over_the_limit_is_turned_away),
        cmocka_unit_test(test_many_pipelined_pushes_are_acked_in_order_over_many_ticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
