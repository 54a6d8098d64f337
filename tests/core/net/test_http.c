/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP data plane, black box: bytes into a socket, bytes out of it. */
#include "net_harness.h"

#define HEAD(status, length, connection)                                                           \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nContent-Length: " length             \
    "\r\nX-Runtime: hand-rolled\r\nConnection: " connection "\r\n"
#define PONG HEAD("200 OK", "13", "keep-alive") "\r\n{\"pong\":true}"
#define OK   HEAD("200 OK", "15", "keep-alive") "\r\n{\"status\":\"ok\"}"

/* Sends, expects, and expects nothing more. */
static void
exchange(const char *request, const char *reply)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, request);
    world_expect_text(&world, fd, reply);
    world_expect_silence(&world, fd);
    close(fd);
    world_close(&world);
}

/* The last thing said on the connection; only its beginning is compared. */
static void
exchange_last(const char *request, const char *reply_start)
{
    struct world world;
    char reply[4096] = "";

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, request);
    world_receive(&world, fd, reply, sizeof reply - 1);
    if (strncmp(reply, reply_start, strlen(reply_start)) != 0) {
        fail_msg("%s\ngot: %s", request, reply);
    }
    world_expect_eof(&world, fd);
    close(fd);
    world_close(&world);
}

static void
test_pipelined_requests_are_answered_in_order(void **state)
{
    exchange("POST /ping HTTP/1.1\r\n\r\nGET /health?x=1 HTTP/1.1\r\n\r\nPOST /nope/?a HTTP/1.1\r\n"
             "\r\n",
             PONG OK HEAD("404 Not Found", "95",
                          "keep-alive") "\r\n{\"error\":{\"code\":\"not_found\",\"message\":\"no "
                                        "such route\",\"path\":\"/nope/"
                                        "?a\"},\"registry_version\":7}");
}

static void
test_a_push_is_acked_with_the_published_head(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, "POST /push HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
    world_expect_text(&world, fd,
                      HEAD("200 OK", "60", "keep-alive") "\r\n{\"ack_lsn\":1,\"idempotent_replay\":"
                                                         "false,\"registry_version\":2}");
    assert_int_equal(world.last.kind, REQUEST_PUSH);
    assert_false(world.last.has_name);
    world.next_is_replay = true;
    world_send_text(&world, fd, "POST /push/E%20x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
    world_expect_text(
        &world, fd,
        HEAD("200 OK", "60", "keep-alive") "X-Beava-Idempotent-Replay: "
                                           "1\r\n\r\n{\"ack_lsn\":1,\"idempotent_replay\":"
                                           "false,\"registry_version\":2}");
    assert_string_equal(world.last_name, "E x");
    assert_string_equal(world.last_payload, "{}");
    close(fd);
    world_close(&world);
}

static void
test_a_lost_push_is_a_503(void **state)
{
    struct world world;
    char reply[512] = "";

    world_open(&world);
    world.marks = (struct reply_marks){0, 0, true};
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, "POST /push/E HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
    world_receive(&world, fd, reply, sizeof reply - 1);
    assert_non_null(strstr(reply, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(reply, "\"code\":\"wal_unavailable\""));
    close(fd);
    world_close(&world);
}

static void
test_a_key_keeps_its_slashes_and_loses_its_escapes(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, "GET /get/f%31/a%2Fb/c/?q HTTP/1.1\r\n\r\n");
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
    assert_int_equal(world.last.kind, REQUEST_GET_SINGLE);
    assert_string_equal(world.last_name, "f1");
    assert_string_equal(world.last_key, "a/b/c/");
    assert_true(world.last.has_key);
    world_send_text(&world, fd, "GET /get/f/ HTTP/1.1\r\n\r\n");
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
    assert_false(world.last.has_key);
    world_send_text(&world, fd, "HEAD /get/f/100%zz HTTP/1.1\r\n\r\nPOST /ping HTTP/1.1\r\n\r\n");
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n" PONG);
    assert_int_equal(world.dispatched, 4);
    close(fd);
    world_close(&world);
}

static void
test_a_wrong_method_names_the_right_ones(void **state)
{
    exchange("GET /push HTTP/1.1\r\n\r\n",
             HEAD("405 Method Not Allowed", "138",
                  "keep-alive") "Allow: "
                                "POST\r\n\r\n{\"error\":{\"code\":\"method_not_allowed\","
                                "\"message\":\"the "
                                "route does not take this "
                                "method\",\"method\":\"GET\",\"path\":\"/push\"},"
                                "\"registry_version\":7}");
    exchange("HEAD /push HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
             HEAD("405 Method Not Allowed", "139", "keep-alive") "Allow: POST\r\n\r\n" OK);
    exchange("DELETE /ready HTTP/1.1\r\n\r\n",
             HEAD("405 Method Not Allowed", "142",
                  "keep-alive") "Allow: GET, "
                                "HEAD\r\n\r\n{\"error\":{\"code\":\"method_not_allowed\","
                                "\"message\":\"the "
                                "route does not take this "
                                "method\",\"method\":\"DELETE\",\"path\":\"/ready\"},"
                                "\"registry_version\":7}");
}

static void
test_register_wants_json_by_name(void **state)
{
    exchange("POST /register HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
             HEAD("415 Unsupported Media Type", "158",
                  "keep-alive") "\r\n{\"error\":{\"code\":\"unsupported_media_type\",\"message\":"
                                "\"expected "
                                "application/json\",\"path\":\"/register\",\"reason\":\"expected "
                                "application/json\"},"
                                "\"registry_version\":0}");
    exchange("POST /register HTTP/1.1\r\ncontent-type:  Application/JSON ; charset=utf-8\r\n"
             "Content-Length: 2\r\n\r\n{}",
             HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
}

static void
test_a_chunked_body_arrives_in_any_pieces(void **state)
{
    static const char request[] = "POST /get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "4;ext=\"1\"\r\n{\"ta\r\n00A\r\nble\":\"T\",\"\r\n3\r\nk\":\r\n"
                                  "4\r\n\"a\"}\r\n0\r\nX-Trailer: 1\r\n\r\n"
                                  "POST /ping HTTP/1.1\r\n\r\n";
    struct world world;

    world_open(&world);
    for (size_t piece = 1; piece < sizeof request; piece += 3) {
        int fd = world_connect(&world, TRANSPORT_HTTP);

        world.dispatched = 0;
        for (size_t at = 0; at < sizeof request - 1; at += piece) {
            size_t left = sizeof request - 1 - at;

            world_send(&world, fd, request + at, left < piece ? left : piece);
            if (world.dispatched == 1) {
                assert_string_equal(world.last_payload, "{\"table\":\"T\",\"k\":\"a\"}");
            }
        }
        world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}" PONG);
        assert_int_equal(world.dispatched, 2);
        close(fd);
    }
    world_close(&world);
}

static void
test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(void **state)
{
    struct world world;
    char head[128];
    size_t size = 4194304;
    char *body = malloc(size);

    memset(body, 'x', size);
    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    snprintf(head, sizeof head, "POST /get HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", size);
    world_send_text(&world, fd, head);
    world_send(&world, fd, body, size);
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
    snprintf(head, sizeof head, "POST /get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
             size);
    world_send_text(&world, fd, head);
    world_send(&world, fd, body, size);
    world_send_text(&world, fd, "\r\n0\r\n\r\n");
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
    close(fd);
    free(body);
    world_close(&world);
    exchange_last("POST /push HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n",
                  "HTTP/1.1 413 Payload Too Large\r\n");
    exchange_last("POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n",
                  "HTTP/1.1 413 Payload Too Large\r\n");
    exchange_last("POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                  "HTTP/1.1 413 Payload Too Large\r\n");
}

static void
test_what_cannot_be_framed_is_answered_and_closed(void **state)
{
    static const char *const requests[] = {
        "garbage\r\n\r\n",
        "POST  /ping HTTP/1.1\r\n\r\n",
        "POST /ping HTTP/2.0\r\n\r\n",
        "POST /ping HTTP/1.1 \r\n\r\n",
        "POST /push HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /push HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nContent-Length:\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nContent-Length : 2\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nA: b\r\n folded\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nA: b\rc\r\n\r\n{}",
        "POST /push HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /push HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
        "POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "POST /push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\n",
    };

    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        exchange_last(requests[i], "HTTP/1.1 400 Bad Request\r\n");
    }
    exchange_last(
        "GET /health HTTP/1.1\r\n\r\ngarbage\r\n\r\n",
        OK HEAD("400 Bad Request", "112", "close") "\r\n{\"error\":{\"code\":\"http_protocol");
}

static void
test_header_limits_answer_431(void **state)
{
    char request[40000] = "GET /health HTTP/1.1\r\n";

    for (unsigned i = 0; i < 64; i++) {
        strcat(request, "A: b\r\n");
    }
    strcat(request, "\r\n");
    exchange(request, OK);
    strcpy(request + strlen(request) - 2, "A: b\r\n\r\n");
    exchange_last(request, "HTTP/1.1 431 ");
    memset(request, 'a', sizeof request - 1);
    memcpy(request, "GET /health HTTP/1.1\r\nA: ", 25);
    request[sizeof request - 1] = '\0';
    exchange_last(request, "HTTP/1.1 431 ");
}

static void
test_a_client_that_wants_the_connection_closed_gets_it_closed(void **state)
{
    exchange_last("GET /health HTTP/1.1\r\nConnection: foo, Close\r\n\r\nGET /health HTTP/1.1\r\n"
                  "\r\n",
                  HEAD("200 OK", "15", "close") "\r\n{\"status\":\"ok\"}");
    exchange_last("GET /health HTTP/1.0\r\n\r\n",
                  HEAD("200 OK", "15", "close") "\r\n{\"status\":\"ok\"}");
    exchange("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK);
}

static void
test_a_client_that_waits_is_invited(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd,
                    "POST /get HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    world_expect_text(&world, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    world_send_text(&world, fd, "{}");
    world_expect_text(&world, fd, HEAD("200 OK", "7", "keep-alive") "\r\n{\"c\":2}");
    close(fd);
    world_close(&world);
    exchange_last("POST /nope HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
                  "HTTP/1.1 404 Not Found\r\n");
}

static void
test_ready_tells_why_not(void **state)
{
    struct world world;

    world_open(&world);
    net_set_unready(world.net, "read_only", "wal_unavailable");
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, "GET /ready HTTP/1.1\r\n\r\n");
    world_expect_text(
        &world, fd,
        HEAD("503 Service Unavailable", "52",
             "keep-alive") "\r\n{\"reasons\":[\"wal_unavailable\"],\"status\":\"read_only\"}");
    close(fd);
    world_close(&world);
}

static void
test_client_text_in_errors_is_cut_and_stays_utf8(void **state)
{
    struct world world;
    char request[600] = "GET /\xff";
    char reply[1024] = "";

    memset(request + 6, 'y', 400);
    strcpy(request + 406, " HTTP/1.1\r\n\r\n");
    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, fd, request);
    world_receive(&world, fd, reply, sizeof reply - 1);
    assert_non_null(strstr(reply, "\"path\":\"/?yyyy"));
    assert_true(strlen(reply) < 500);
    close(fd);
    world_close(&world);
}

#define SNAPSHOT "POST /snapshot HTTP/1.1\r\n\r\n"

static void
test_what_is_answered_later_holds_up_what_comes_behind_it(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);
    int other = world_connect(&world, TRANSPORT_HTTP);

    assert_int_equal(net_transport_count(world.net, TRANSPORT_HTTP), 2);
    assert_int_equal(net_transport_count(world.net, TRANSPORT_TCP), 0);
    world_send_text(&world, fd,
                    "GET /health HTTP/1.1\r\n\r\n" SNAPSHOT "POST /ping HTTP/1.1\r\n\r\n" SNAPSHOT
                    "POST /push HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
    world_expect_text(&world, fd, OK);
    world_expect_silence(&world, fd);
    world_send_text(&world, other, "POST /ping HTTP/1.1\r\n\r\n");
    world_expect_text(&world, other, PONG);
    world.later_done = 1;
    world_expect_text(&world, fd, HEAD("200 OK", "12", "keep-alive") "\r\n{\"ticket\":1}" PONG);
    world_expect_silence(&world, fd);
    world.later_done = 3;
    world_expect_text(&world, fd,
                      HEAD("200 OK", "12", "keep-alive") "\r\n{\"ticket\":3}" HEAD(
                          "200 OK", "60", "keep-alive") "\r\n{\"ack_lsn\":1,\"idempotent_replay\":"
                                                        "false,\"registry_version\":2}");
    world_expect_silence(&world, fd);
    close(fd);
    close(other);
    world_close(&world);
}

static void
test_a_late_answer_may_be_a_refusal_and_waits_behind_the_log(void **state)
{
    struct world world;

    world_open(&world);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world.marks.acked_lsn = 0;
    world.canned_status = BV_SNAPSHOT_UNAVAILABLE;
    world.later_done = 9;
    world_send_text(&world, fd, "POST /push HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" SNAPSHOT);
    world_expect_silence(&world, fd);
    world.marks.acked_lsn = 1;
    world_expect_text(&world, fd,
                      HEAD("200 OK", "60", "keep-alive") "\r\n{\"ack_lsn\":1,\"idempotent_replay\":"
                                                         "false,\"registry_version\":2}" HEAD(
                                                             "503 Service Unavailable", "12",
                                                             "keep-alive") "\r\n{\"ticket\":2}");
    close(fd);
    world_close(&world);
}

static void
test_a_connection_may_go_while_its_answer_is_due_and_a_stop_waits_for_it(void **state)
{
    struct world world;
    char reply[1024] = "";

    world_open(&world);
    int gone = world_connect(&world, TRANSPORT_HTTP);
    int fd = world_connect(&world, TRANSPORT_HTTP);

    world_send_text(&world, gone, SNAPSHOT);
    world_expect_silence(&world, gone);
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(gone);
    world_send_text(&world, fd, SNAPSHOT);
    net_stop(world.net);
    world_expect_silence(&world, fd);
    assert_int_equal(net_pending_count(world.net), 1);
    world.later_done = 2;
    world_receive(&world, fd, reply, sizeof reply - 1);
    assert_non_null(strstr(reply, "Connection: close\r\n\r\n{\"ticket\":2}"));
    world_expect_eof(&world, fd);
    close(fd);
    world_close(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_a_push_is_acked_with_the_published_head),
        cmocka_unit_test(test_a_lost_push_is_a_503),
        cmocka_unit_test(test_a_key_keeps_its_slashes_and_loses_its_escapes),
        cmocka_unit_test(test_a_wrong_method_names_the_right_ones),
        cmocka_unit_test(test_register_wants_json_by_name),
        cmocka_unit_test(test_a_chunked_body_arrives_in_any_pieces),
        cmocka_unit_test(test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(test_what_cannot_be_framed_is_answered_and_closed),
        cmocka_unit_test(test_header_limits_answer_431),
        cmocka_unit_test(test_a_client_that_wants_the_connection_closed_gets_it_closed),
        cmocka_unit_test(test_a_client_that_waits_is_invited),
        cmocka_unit_test(test_ready_tells_why_not),
        cmocka_unit_test(test_what_is_answered_later_holds_up_what_comes_behind_it),
        cmocka_unit_test(test_a_late_answer_may_be_a_refusal_and_waits_behind_the_log),
        cmocka_unit_test(test_a_connection_may_go_while_its_answer_is_due_and_a_stop_waits_for_it),
        cmocka_unit_test(test_client_text_in_errors_is_cut_and_stays_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
