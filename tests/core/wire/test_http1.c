/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http1.h"

/* Feeds the head in pieces of `piece` bytes, moving the bytes to a new place each time. */
static enum http1_result
parse_in_pieces(struct http1_head *head, const char *text, size_t piece)
{
    size_t size = strlen(text);
    enum http1_result result = HTTP1_INCOMPLETE;

    *head = (struct http1_head){0};
    for (size_t end = piece < size ? piece : size; result == HTTP1_INCOMPLETE; end += piece) {
        uint8_t *copy;

        end = end < size ? end : size;
        copy = malloc(end + 1);
        memcpy(copy, text, end);
        result = http1_head_parse(head, slice_of(copy, end));
        free(copy);
        if (end == size) {
            break;
        }
    }
    return result;
}

static void
check_bad(const char *text, enum http1_result expected)
{
    for (size_t piece = 1; piece < 80; piece += 13) {
        struct http1_head head;
        enum http1_result result = parse_in_pieces(&head, text, piece);

        if (result != expected) {
            fail_msg("%d instead of %d: %s", (int)result, (int)expected, text);
        }
        assert_non_null(head.error);
    }
}

static void
test_a_head_reads_the_same_in_any_pieces(void **state)
{
    static const char text[] = "\r\n\nPOST /push/E?x HTTP/1.1\r\nHost: h\ncontent-LENGTH: 12\r\n"
                               "Content-Type: application/json;charset=utf-8\r\n"
                               "Connection: Keep-Alive , x\r\nExpect: 100-continue\r\nEmpty:\r\n"
                               "\r\nBODY";

    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct http1_head head;

        assert_int_equal(parse_in_pieces(&head, text, piece), HTTP1_COMPLETE);
        assert_memory_equal(text + head.method_start, "POST", head.method_size);
        assert_int_equal(head.target_size, 9);
        assert_memory_equal(text + head.target_start, "/push/E?x", 9);
        assert_int_equal(head.size, sizeof text - 1 - 4);
        assert_int_equal(head.length, 12);
        assert_true(head.has_length);
        assert_true(head.is_json);
        assert_true(head.wants_keep);
        assert_false(head.wants_close);
        assert_true(head.expects_100);
        assert_false(head.is_http10);
        assert_int_equal(head.line_count, 6);
    }
}

static void
test_what_two_readers_could_read_differently_is_refused(void **state)
{
    check_bad("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
              HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
              HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nA : b\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\n: b\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nA\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\nA: \x01\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.1\r\r\nA: b\r\n\r\n", HTTP1_BAD);
    check_bad("GET /\tx HTTP/1.1\r\n\r\n", HTTP1_BAD);
    check_bad("GET  / HTTP/1.1\r\n\r\n", HTTP1_BAD);
    check_bad("GET /\r\n\r\n", HTTP1_BAD);
    check_bad("G(T / HTTP/1.1\r\n\r\n", HTTP1_BAD);
    check_bad(" GET / HTTP/1.1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / http/1.1\r\n\r\n", HTTP1_BAD);
    check_bad("GET / HTTP/1.12\r\n\r\n", HTTP1_BAD);
}

static void
test_a_length_beyond_any_limit_does_not_wrap_round(void **state)
{
    struct http1_head head;

    assert_int_equal(
        parse_in_pieces(&head, "GET / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n", 9),
        HTTP1_COMPLETE);
    assert_true(head.length > UINT64_MAX / 32);
}

static void
test_heads_have_a_largest_size_however_they_arrive(void **state)
{
    char *text = malloc(HTTP1_HEAD_SIZE_MAX + 64);

    memset(text, 'a', HTTP1_HEAD_SIZE_MAX + 63);
    text[HTTP1_HEAD_SIZE_MAX + 63] = '\0';
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    for (size_t piece = 999; piece < 40000; piece += 13000) {
        struct http1_head head;

        assert_int_equal(parse_in_pieces(&head, text, piece), HTTP1_HEADERS_TOO_LARGE);
    }
    memcpy(text + HTTP1_HEAD_SIZE_MAX - 4, "\r\n\r\n", 5);
    struct http1_head head;

    assert_int_equal(parse_in_pieces(&head, text, 1000), HTTP1_COMPLETE);
    free(text);
}

struct decoded {
    enum http1_result result;
    size_t body_size;
    size_t consumed;
    char body[256];
};

/* Decodes in place as a connection does: what was decoded before, then the next piece. */
static struct decoded
decode_in_pieces(const char *text, size_t piece, uint64_t body_max)
{
    struct http1_chunked chunked = {0};
    struct decoded decoded = {.result = HTTP1_INCOMPLETE};
    uint8_t data[512];
    size_t filled = 0;
    size_t size = strlen(text);

    for (size_t at = 0; at < size && decoded.result == HTTP1_INCOMPLETE; at += piece) {
        size_t count = size - at < piece ? size - at : piece;
        size_t in = filled;
        size_t out = filled;

        memcpy(data + filled, text + at, count);
        decoded.result = http1_chunked_decode(&chunked, data, &in, filled + count, &out, body_max);
        decoded.consumed = at + (in - filled);
        filled = out;
    }
    decoded.body_size = (size_t)chunked.body_size;
    memcpy(decoded.body, data, filled);
    decoded.body[filled] = '\0';
    return decoded;
}

static void
test_chunks_read_the_same_in_any_pieces(void **state)
{
    static const char text[] =
        "5\r\nhello\r\n000001;a=b\r\n,\r\n6 \r\n world\r\n0\r\nT: 1\r\nU: 2\r\n"
        "\r\n";
    static const char next[] = "NEXT";
    char both[sizeof text + sizeof next];

    snprintf(both, sizeof both, "%s%s", text, next);
    for (size_t piece = 1; piece < sizeof both; piece++) {
        struct decoded decoded = decode_in_pieces(both, piece, 100);

        assert_int_equal(decoded.result, HTTP1_COMPLETE);
        assert_string_equal(decoded.body, "hello, world");
        assert_int_equal(decoded.consumed, sizeof text - 1);
    }
}

static void
test_bad_chunks_are_refused(void **state)
{
    static const char *const texts[] = {
        "\r\n",  "g\r\n",     "-1\r\n",        " 5\r\nhello\r\n", "5\nhello\r\n",     "5\r\nhellox",
        ";\r\n", "5\rxhello", "5\r\nhello\rx", "0\r\n T: 1\r\n",  "0\r\nT: \x01\r\n", "0x5\r\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t piece = 1; piece < 9; piece += 7) {
            if (decode_in_pieces(texts[i], piece, 100).result != HTTP1_BAD) {
                fail_msg("accepted: %s", texts[i]);
            }
        }
    }
}

static void
test_the_body_limit_holds_over_all_chunks(void **state)
{
    assert_int_equal(decode_in_pieces("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", 3, 10).result,
                     HTTP1_COMPLETE);
    assert_int_equal(decode_in_pieces("5\r\nhello\r\n6\r\n", 3, 10).result, HTTP1_BODY_TOO_LARGE);
    assert_int_equal(decode_in_pieces("ffffffffffffffff\r\n", 3, 10).result, HTTP1_BODY_TOO_LARGE);
    assert_int_equal(decode_in_pieces("5\r\nhello\r\nfffffffffffffffb\r\n", 3, 10).result,
                     HTTP1_BODY_TOO_LARGE);
    assert_int_equal(decode_in_pieces("10000000000000000000000\r\n", 3, 10).result,
                     HTTP1_BODY_TOO_LARGE);
}

static void
test_percent_escapes_are_decoded_where_they_are_valid(void **state)
{
    static const char *const pairs[][2] = {
        {"a%20b", "a b"}, {"%41%5a%5A", "AZZ"}, {"%", "%"},     {"%4", "%4"},
        {"%zz", "%zz"},   {"%%41", "%A"},       {"x%2f", "x/"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint8_t out[32];
        size_t size = http1_percent_decode(out, slice_text(pairs[i][0]));

        out[size] = '\0';
        assert_string_equal((char *)out, pairs[i][1]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_reads_the_same_in_any_pieces),
        cmocka_unit_test(test_what_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(test_a_length_beyond_any_limit_does_not_wrap_round),
        cmocka_unit_test(test_heads_have_a_largest_size_however_they_arrive),
        cmocka_unit_test(test_chunks_read_the_same_in_any_pieces),
        cmocka_unit_test(test_bad_chunks_are_refused),
        cmocka_unit_test(test_the_body_limit_holds_over_all_chunks),
        cmocka_unit_test(test_percent_escapes_are_decoded_where_they_are_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
