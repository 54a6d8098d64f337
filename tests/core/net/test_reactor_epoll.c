/* SPDX-License-Identifier: Apache-2.0 */
/* The reactor's contract: what is ready is reported with its pointer until it is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/reactor.h"

struct pipes {
    struct reactor *reactor;
    int ends[2];
};

static int
setup(void **state)
{
    static struct pipes pipes;

    assert_int_equal(reactor_create(&pipes.reactor, NULL), BV_OK);
    assert_int_equal(pipe(pipes.ends), 0);
    *state = &pipes;
    return 0;
}

static int
teardown(void **state)
{
    struct pipes *pipes = *state;

    close(pipes->ends[0]);
    close(pipes->ends[1]);
    reactor_destroy(pipes->reactor);
    return 0;
}

static void
test_what_is_not_taken_is_reported_again(void **state)
{
    struct pipes *pipes = *state;
    struct reactor_event events[4];
    int mark = 0;
    char byte;

    assert_int_equal(reactor_add(pipes->reactor, pipes->ends[0], REACTOR_READ, &mark, NULL), BV_OK);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 0), 0);
    assert_int_equal(write(pipes->ends[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reactor_wait(pipes->reactor, events, 4, 1000), 1);
        assert_ptr_equal(events[0].data, &mark);
        assert_int_equal(events[0].ready & REACTOR_READ, REACTOR_READ);
    }
    assert_int_equal(read(pipes->ends[0], &byte, 1), 1);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 0), 0);
}

static void
test_interest_can_be_changed_and_withdrawn(void **state)
{
    struct pipes *pipes = *state;
    struct reactor_event events[4];
    int mark = 0;

    assert_int_equal(reactor_add(pipes->reactor, pipes->ends[1], 0, &mark, NULL), BV_OK);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 0), 0);
    reactor_change(pipes->reactor, pipes->ends[1], REACTOR_WRITE, &mark);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 1000), 1);
    assert_int_equal(events[0].ready & REACTOR_WRITE, REACTOR_WRITE);
    reactor_remove(pipes->reactor, pipes->ends[1]);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 0), 0);
}

static void
test_a_closed_peer_is_a_hangup(void **state)
{
    struct pipes *pipes = *state;
    struct reactor_event events[4];
    int mark = 0;

    assert_int_equal(reactor_add(pipes->reactor, pipes->ends[0], REACTOR_READ, &mark, NULL), BV_OK);
    close(pipes->ends[1]);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 1000), 1);
    assert_int_equal(events[0].ready & REACTOR_HANGUP, REACTOR_HANGUP);
    pipes->ends[1] = dup(pipes->ends[0]);
}

static void
test_a_wake_ends_one_wait_and_is_seen_once(void **state)
{
    struct pipes *pipes = *state;
    struct reactor_event events[4];

    assert_false(reactor_take_wake(pipes->reactor));
    reactor_wake(pipes->reactor);
    reactor_wake(pipes->reactor);
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 1000), 0);
    assert_true(reactor_take_wake(pipes->reactor));
    assert_false(reactor_take_wake(pipes->reactor));
    assert_int_equal(reactor_wait(pipes->reactor, events, 4, 0), 0);
    assert_false(reactor_take_wake(pipes->reactor));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_not_taken_is_reported_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interest_can_be_changed_and_withdrawn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_closed_peer_is_a_hangup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wake_ends_one_wait_and_is_seen_once, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
