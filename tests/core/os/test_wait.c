/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "os/wait.h"
#include "util/clock.h"

static _Atomic uint32_t word;
static _Atomic uint32_t answer;

/* Answers each change of the word with the same number. */
static void *
echo(void *argument)
{
    for (uint32_t turn = 0; turn < 2000; turn++) {
        while (atomic_load(&word) == turn) {
            os_wait(&word, turn, OS_WAIT_FOREVER);
        }
        atomic_store(&answer, turn + 1);
        os_wake(&answer);
    }
    return NULL;
}

static void
test_no_wake_is_lost_between_two_threads(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, echo, NULL), 0);
    for (uint32_t turn = 0; turn < 2000; turn++) {
        atomic_store(&word, turn + 1);
        os_wake(&word);
        while (atomic_load(&answer) == turn) {
            os_wait(&answer, turn, OS_WAIT_FOREVER);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&answer), 2000);
}

static void
test_a_wait_ends_with_its_time_or_at_once_when_the_word_has_changed(void **state)
{
    _Atomic uint32_t mine = 5;
    uint64_t start_ns = clock_monotonic_ns();

    os_wait(&mine, 4, OS_WAIT_FOREVER);
    while (clock_monotonic_ns() - start_ns < 2000000) {
        os_wait(&mine, 5, 500000);
    }
    assert_true(clock_monotonic_ns() - start_ns >= 2000000);
}

static void
test_an_event_is_readable_from_signal_to_drain(void **state)
{
    int fd = os_event_open();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    os_event_signal(fd);
    os_event_signal(fd);
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    os_event_drain(fd);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    os_event_drain(fd); /* does not block */
    os_event_close(fd);
    os_event_close(-1);
}

static void
test_random_words_differ(void **state)
{
    assert_int_not_equal(os_random(), os_random());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_wake_is_lost_between_two_threads),
        cmocka_unit_test(test_a_wait_ends_with_its_time_or_at_once_when_the_word_has_changed),
        cmocka_unit_test(test_an_event_is_readable_from_signal_to_drain),
        cmocka_unit_test(test_random_words_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
