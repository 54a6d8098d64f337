/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/assert.h"

static void
test_a_true_assertion_evaluates_once_and_goes_on(void **state)
{
    int count = 0;

    BV_ASSERT(++count == 1);
    assert_int_equal(count, 1);
}

static void
test_a_broken_assertion_names_itself_and_ends_the_process(void **state)
{
    int ends[2];
    char text[512] = {0};
    int status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        BV_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "assertion failed: 1 + 1 == 3 ("));
    assert_non_null(strstr(text, "test_assert.c:"));
    close(ends[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_true_assertion_evaluates_once_and_goes_on),
        cmocka_unit_test(test_a_broken_assertion_names_itself_and_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
