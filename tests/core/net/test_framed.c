/* SPDX-License-Identifier: Apache-2.0 */
/* The framed protocol, black box: bytes into a socket, bytes out of it. */
#include "net_harness.h"

static const uint8_t ping[] = {0, 0, 0, 3, 0, 0, 1};

static void
test_three_pings_in_one_segment_get_three_replies(void **state)
{
    struct world world;
    uint8_t pings[21];

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    for (unsigned i = 0; i < 3; i++) {
        memcpy(pings + (size_t)7 * i, ping, 7);
    }
    world_send(&world, fd, pings, sizeof pings);
    for (unsigned i = 0; i < 3; i++) {
        expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    }
    assert_int_equal(world.dispatched, 3);
    close(fd);
    world_close(&world);
}

static void
test_a_frame_that_comes_byte_by_byte_is_one_request(void **state)
{
    struct world world;
    uint8_t frame[64];
    size_t size = put_frame(frame, FRAME_GET, 1, "{\"table\":\"T\",\"key\":\"a\"}");

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    for (size_t i = 0; i < size; i++) {
        assert_int_equal(world.dispatched, 0);
        world_send(&world, fd, frame + i, 1);
    }
    world_step(&world);
    assert_string_equal(world.last_payload, "{\"table\":\"T\",\"key\":\"a\"}");
    expect_frame(&world, fd, FRAME_GET_RESPONSE, 1, "{\"c\":2}");
    close(fd);
    world_close(&world);
}

static void
test_refusals_have_the_published_bytes(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    send_frame(&world, fd, 0x1234, 9, "x");
    expect_frame(
        &world, fd, FRAME_ERROR, 1,
        "{\"error\":{\"code\":\"unknown_op\",\"message\":\"opcode 0x1234 is not recognised "
        "by this server\",\"op\":4660}}");
    send_frame(&world, fd, FRAME_PUSH_SYNC, 1, "{}");
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"op_not_implemented\",\"message\":\"opcode 0x0011 "
                 "(push_sync) is not yet implemented\",\"op\":17}}");
    send_frame(&world, fd, FRAME_PUSH, 7, "{}");
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"unsupported_content_type\",\"message\":\"unsupported "
                 "content_type: 0x07\"}}");
    send_frame(&world, fd, FRAME_REGISTER, 2, "\x80");
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"unsupported_content_type\",\"message\":\"unsupported "
                 "content_type for register: 0x02\"}}");
    send_frame(&world, fd, FRAME_GET_RESPONSE, 1, "");
    expect_frame(
        &world, fd, FRAME_ERROR, 1,
        "{\"error\":{\"code\":\"unknown_op\",\"message\":\"opcode 0x0023 is not recognised "
        "by this server\",\"op\":35}}");
    assert_int_equal(world.dispatched, 0);
    send_frame(&world, fd, FRAME_PING, 0xee, "garbage");
    expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    close(fd);
    world_close(&world);
}

static void
test_a_frame_over_the_limit_is_answered_after_the_ones_before_it(void **state)
{
    struct world world;
    uint8_t bytes[32];

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    memcpy(bytes, ping, 7);
    memcpy(bytes + 7, "\x00\x40\x00\x04", 4);
    world_send(&world, fd, bytes, 11);
    expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"frame_too_large\",\"declared\":4194308,\"limit\":4194307,"
                 "\"message\":\"declared frame length 4194308 exceeds limit 4194307\"}}");
    world_expect_eof(&world, fd);
    close(fd);
    world_close(&world);
}

static void
test_a_frame_without_room_for_its_header_is_an_error(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    world_send(&world, fd, "\0\0\0\2\0\0", 6);
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"frame_error\",\"declared\":2,\"message\":\"declared frame "
                 "length 2 is shorter than 3\"}}");
    world_expect_eof(&world, fd);
    close(fd);
    world_close(&world);
}

static void
test_the_largest_frame_is_accepted_and_its_neighbours_too(void **state)
{
    struct world world;
    size_t size = 7 + 4194304;
    uint8_t *frame = calloc(1, size + 7);

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_TCP);

    store_le32(frame, __builtin_bswap32(4194304 + 3));
    frame[6] = 1;
    memcpy(frame + size, ping, 7);
    world_send(&world, fd, frame, size + 7);
    expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    assert_int_equal(world.dispatched, 2);
    close(fd);
    free(frame);
    world_close(&world);
}

static void
test_a_response_over_the_frame_limit_becomes_an_error(void **state)
{
    struct world world;

    world_open(&world);
    world.big_size = 4194305;
    world.big = calloc(1, world.big_size);
    int fd = world_connect(&world, TRANSPORT_TCP);

    send_frame(&world, fd, FRAME_BATCH_GET, 1, "{}");
    expect_frame(&world, fd, FRAME_ERROR, 1,
                 "{\"error\":{\"code\":\"response_too_large\",\"limit\":4194304,\"message\":\"a "
                 "response of 4194305 bytes exceeds limit 4194304\",\"size\":4194305}}");
    close(fd);
    world_close(&world);
}

static void
test_a_large_response_arrives_whole(void **state)
{
    struct world world;
    uint8_t header[7];

    world_open(&world);
    world.big_size = 4000000;
    world.big = malloc(world.big_size);
    for (size_t i = 0; i < world.big_size; i++) {
        world.big[i] = (uint8_t)(i * 31);
    }
    int fd = world_connect(&world, TRANSPORT_TCP);

    send_frame(&world, fd, FRAME_BATCH_GET, 1, "{}");
    send_frame(&world, fd, FRAME_PING, 1, "");
    assert_int_equal(world_receive(&world, fd, header, 7), 7);
    assert_int_equal(load_be32(header), 4000003);
    world_expect(&world, fd, world.big, world.big_size);
    expect_frame(&world, fd, FRAME_PING, 1, "{\"pong\":true}");
    close(fd);
    world_close(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_pings_in_one_segment_get_three_replies),
        cmocka_unit_test(test_a_frame_that_comes_byte_by_byte_is_one_request),
        cmocka_unit_test(test_refusals_have_the_published_bytes),
        cmocka_unit_test(test_a_frame_over_the_limit_is_answered_after_the_ones_before_it),
        cmocka_unit_test(test_a_frame_without_room_for_its_header_is_an_error),
        cmocka_unit_test(test_the_largest_frame_is_accepted_and_its_neighbours_too),
        cmocka_unit_test(test_a_response_over_the_frame_limit_becomes_an_error),
        cmocka_unit_test(test_a_large_response_arrives_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
