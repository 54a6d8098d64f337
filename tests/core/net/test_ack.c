/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/ack.h"

/* The slow and obvious way. */
static size_t
format_plainly(char *out, enum transport transport, uint64_t lsn, uint64_t version)
{
    char body[160];
    int size = snprintf(body, sizeof body,
                        "{\"ack_lsn\":%llu,\"idempotent_replay\":false,\"registry_version\":%llu}",
                        (unsigned long long)lsn, (unsigned long long)version);

    if (transport == TRANSPORT_HTTP) {
        return (size_t)sprintf(out,
                               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: %d\r\nX-Runtime: hand-rolled\r\n"
                               "Connection: keep-alive\r\n\r\n%s",
                               size, body);
    }
    out[0] = 0;
    out[1] = 0;
    out[2] = 0;
    out[3] = (char)(size + 3);
    out[4] = 0;
    out[5] = 0x10;
    out[6] = 1;
    memcpy(out + 7, body, (size_t)size);
    return (size_t)size + 7;
}

static void
check_run(struct ack_template *template, enum transport transport, uint64_t first, uint32_t count,
          uint64_t version)
{
    uint8_t *fast = malloc((size_t)count * ACK_SIZE_MAX + ACK_SLACK);
    size_t size = ack_format(fast, template, transport, first, count, version);
    size_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        char expected[512];
        size_t expected_size = format_plainly(expected, transport, first + i, version);

        assert_true(at + expected_size <= size);
        assert_memory_equal(fast + at, expected, expected_size);
        at += expected_size;
    }
    assert_int_equal(at, size);
    free(fast);
}

static void
test_a_run_equals_its_acks_one_by_one(void **state)
{
    static const uint64_t firsts[] = {
        1, 9, 95, 99, 100, 998, 12345, 9999950, 999999999990ull, UINT64_MAX - 400};
    struct ack_template template = {0};

    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        check_run(&template, TRANSPORT_TCP, firsts[i], 333, 1);
        check_run(&template, TRANSPORT_HTTP, firsts[i], 333, 1);
        check_run(&template, TRANSPORT_TCP, firsts[i], 3, UINT64_MAX);
        check_run(&template, TRANSPORT_TCP, firsts[i], 1, 1);
    }
}

static void
test_a_replay_says_so(void **state)
{
    uint8_t body[128];
    size_t size = ack_format_body(body, 62, true, 3);

    body[size] = '\0';
    assert_string_equal((char *)body,
                        "{\"ack_lsn\":62,\"idempotent_replay\":true,\"registry_version\":3}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_equals_its_acks_one_by_one),
        cmocka_unit_test(test_a_replay_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
