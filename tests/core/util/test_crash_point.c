/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/crash_point.h"

/* How often a child comes by "here" before it dies; -1 when it lives through ten. */
static int
passes_before_death(const char *wanted)
{
    int pipe_fds[2];
    int status = 0;
    int passes = 0;
    char byte = 0;

    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (wanted != NULL) {
            (void)setenv("BEAVA_CRASH_AT", wanted, 1);
        }
        for (int i = 0; i < 10; i++) {
            crash_point_pass("elsewhere");
            crash_point_pass("here");
            (void)!write(pipe_fds[1], &byte, 1);
        }
        _exit(0);
    }
    (void)close(pipe_fds[1]);
    while (read(pipe_fds[0], &byte, 1) == 1) {
        passes++;
    }
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return passes;
    }
    assert_int_equal(passes, 10);
    return -1;
}

static void
test_the_process_dies_at_the_nth_pass_of_the_named_place(void **state)
{
    (void)state;
    assert_int_equal(passes_before_death("here"), 0);
    assert_int_equal(passes_before_death("here:1"), 0);
    assert_int_equal(passes_before_death("here:7"), 6);
}

static void
test_nothing_happens_without_the_variable_or_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(passes_before_death(NULL), -1);
    assert_int_equal(passes_before_death("there"), -1);
    assert_int_equal(passes_before_death("here:11"), -1);
    assert_int_equal(passes_before_death("here:0"), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_process_dies_at_the_nth_pass_of_the_named_place),
        cmocka_unit_test(test_nothing_happens_without_the_variable_or_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
