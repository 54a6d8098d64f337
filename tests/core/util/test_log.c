/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

#define READ_SIZE_MAX    (1 << 20)
#define STAMP_SIZE       27 /* 2026-11-21T08:35:49.973794Z */
#define THREADS          4
#define LINES_PER_THREAD 500

/* stdout becomes a pipe between capture_begin and capture_end. */
static int saved_stdout;
static int pipe_ends[2];
static char captured[READ_SIZE_MAX];

static void
capture_begin(void)
{
    fflush(stdout);
    saved_stdout = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    dup2(pipe_ends[1], STDOUT_FILENO);
    close(pipe_ends[1]);
}

/* Empties the pipe without ending the capture. */
static size_t
capture_drain(void)
{
    int flags = fcntl(pipe_ends[0], F_GETFL);
    size_t size = 0;
    ssize_t got;

    fcntl(pipe_ends[0], F_SETFL, flags | O_NONBLOCK);
    while ((got = read(pipe_ends[0], captured + size, sizeof captured - 1 - size)) > 0) {
        size += (size_t)got;
    }
    captured[size] = '\0';
    return size;
}

static void
capture_end(void)
{
    capture_drain();
    dup2(saved_stdout, STDOUT_FILENO);
    close(saved_stdout);
    close(pipe_ends[0]);
}

static unsigned
count_lines(const char *text)
{
    unsigned count = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++) {
        count++;
    }
    return count;
}

static void
assert_stamp(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";

    for (int i = 0; i < STAMP_SIZE; i++) {
        bool is_right = shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i];

        assert_true(is_right);
    }
}

static void
test_a_json_line_has_its_fields_in_the_published_order(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_line(LOG_INFO, "server.http_bound", "beava.server", "HTTP server bound",
             (struct log_field[]){LOG_TEXT("addr", "127.0.0.1:1"), LOG_INT("n", INT64_MIN)}, 2);
    capture_end();
    assert_memory_equal(captured, "{\"timestamp\":\"", 14);
    assert_stamp(captured + 14);
    assert_string_equal(captured + 14 + STAMP_SIZE,
                        "\",\"level\":\"INFO\",\"message\":\"HTTP server bound\","
                        "\"kind\":\"server.http_bound\",\"addr\":\"127.0.0.1:1\","
                        "\"n\":-9223372036854775808,\"target\":\"beava.server\"}\n");
}

static void
test_a_text_line_is_logfmt(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    capture_begin();
    log_line(
        LOG_NOTICE, NULL, NULL, "a \"b\"",
        (struct log_field[]){LOG_TEXT("path", "/tmp/x"), LOG_TEXT("empty", ""), LOG_INT("ms", 7)},
        3);
    capture_end();
    assert_memory_equal(captured, "timestamp=", 10);
    assert_stamp(captured + 10);
    assert_string_equal(captured + 10 + STAMP_SIZE,
                        " level=NOTICE message=\"a \\\"b\\\"\" path=/tmp/x empty=\"\" ms=7\n");
}

static void
test_text_is_escaped_and_made_utf8(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_line(LOG_ERROR, NULL, NULL, "q\" b\\ n\n t\t r\r v\v u\x01 \xff \xc3\xa9", NULL, 0);
    capture_end();
    assert_non_null(strstr(captured, "\"message\":\"q\\\" b\\\\ n\\n t\\t r\\r v\\u000b u\\u0001 ? "
                                     "\xc3\xa9\"}\n"));
}

static void
test_lines_below_the_level_are_silent_unless_forced(void **state)
{
    log_configure(LOG_WARN, LOG_FORMAT_JSON);
    assert_false(log_enabled(LOG_NOTICE));
    assert_true(log_enabled(LOG_WARN));
    capture_begin();
    log_line(LOG_INFO, NULL, NULL, "hidden", NULL, 0);
    log_line_always(LOG_DEBUG, NULL, NULL, "shown", NULL, 0);
    capture_end();
    assert_int_equal(count_lines(captured), 1);
    assert_non_null(strstr(captured, "\"level\":\"DEBUG\",\"message\":\"shown\""));
}

static void
test_an_endless_field_is_left_out_or_cut_but_the_line_stays_whole(void **state)
{
    char *text = malloc(9000);
    struct log_field fields[6];

    assert_non_null(text);
    memset(text, '\x01', 8999); /* six bytes each once escaped */
    text[8999] = '\0';
    for (int i = 0; i < 6; i++) {
        fields[i] = LOG_TEXT("text", i % 2 == 0 ? text : "short");
    }
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_line(LOG_INFO, "k", "beava.test", "m", fields, 6);
    memset(text, 'x', 8999);
    log_line(LOG_INFO, "k", "beava.test", text, fields, 6);
    capture_end();
    assert_int_equal(count_lines(captured), 2);
    assert_non_null(strstr(captured, "\"kind\":\"k\",\"text\":\"short\",\"text\":\"short\","
                                     "\"text\":\"short\",\"target\":\"beava.test\"}\n"));
    assert_true(strchr(captured, '\n') - captured < 4096);
    free(text);
}

static void
test_a_full_pipe_drops_lines_and_the_next_one_counts_them(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    assert_true(fcntl(STDOUT_FILENO, F_SETPIPE_SZ, 16384) >= 16384);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    for (int i = 0; i < 2000; i++) {
        log_line(LOG_INFO, NULL, NULL, "filling a pipe that nobody reads", NULL, 0);
    }
    assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL), flags);
    capture_drain();
    unsigned taken = count_lines(captured);
    char expected[64];

    assert_in_range(taken, 1, 1999);
    log_line(LOG_INFO, NULL, "beava.test", "after", NULL, 0);
    log_line(LOG_INFO, NULL, "beava.test", "later", NULL, 0);
    capture_end();
    snprintf(expected, sizeof expected, "\"target\":\"beava.test\",\"dropped\":%u}\n",
             2000 - taken);
    assert_non_null(strstr(captured, expected));
    assert_null(strstr(strstr(captured, "later"), "dropped"));
}

static void
test_a_line_to_a_reader_that_left_is_counted_not_fatal(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    close(pipe_ends[0]);
    log_line(LOG_INFO, NULL, NULL, "nobody", NULL, 0);
    pipe_ends[0] = open("/dev/null", O_RDONLY);
    capture_end();
    capture_begin();
    log_line(LOG_INFO, NULL, NULL, "somebody", NULL, 0);
    capture_end();
    assert_non_null(strstr(captured, "\"message\":\"somebody\",\"dropped\":1}\n"));
}

static void *
log_many(void *argument)
{
    for (int i = 0; i < LINES_PER_THREAD; i++) {
        log_line(LOG_INFO, NULL, NULL, "one of many", NULL, 0);
    }
    return NULL;
}

static void
test_lines_of_many_threads_stay_whole_and_none_is_uncounted(void **state)
{
    pthread_t threads[THREADS];
    unsigned long dropped = 0;

    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    assert_true(fcntl(STDOUT_FILENO, F_SETPIPE_SZ, READ_SIZE_MAX / 2) > 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_line(LOG_INFO, NULL, NULL, "last", NULL, 0);
    capture_end();
    for (const char *p = captured; *p != '\0'; p = strchr(p, '\n') + 1) {
        const char *end = strchr(p, '\n');
        const char *count = strstr(p, "\"dropped\":");

        assert_memory_equal(p, "{\"timestamp\":\"", 14);
        assert_int_equal(end[-1], '}');
        if (count != NULL && count < end) {
            dropped += strtoul(count + 10, NULL, 10);
        }
    }
    assert_int_equal(count_lines(captured) + dropped, THREADS * LINES_PER_THREAD + 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_json_line_has_its_fields_in_the_published_order),
        cmocka_unit_test(test_a_text_line_is_logfmt),
        cmocka_unit_test(test_text_is_escaped_and_made_utf8),
        cmocka_unit_test(test_lines_below_the_level_are_silent_unless_forced),
        cmocka_unit_test(test_an_endless_field_is_left_out_or_cut_but_the_line_stays_whole),
        cmocka_unit_test(test_a_full_pipe_drops_lines_and_the_next_one_counts_them),
        cmocka_unit_test(test_a_line_to_a_reader_that_left_is_counted_not_fatal),
        cmocka_unit_test(test_lines_of_many_threads_stay_whole_and_none_is_uncounted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
