/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "util/clock.h"

static void
test_wall_time_is_the_kernels_in_both_units(void **state)
{
    uint64_t before_ms = clock_wall_ms();
    uint64_t us = clock_wall_us();
    uint64_t after_ms = clock_wall_ms();
    time_t seconds = time(NULL);

    /* The clock may be set while we run, but not by an hour. */
    assert_in_range(us / 1000, before_ms - 3600000, after_ms + 3600000);
    assert_in_range(after_ms / 1000, (uint64_t)seconds - 3600, (uint64_t)seconds + 3600);
}

static void
test_monotonic_time_never_goes_back(void **state)
{
    uint64_t last = clock_monotonic_ns();

    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_monotonic_ns();

        assert_true(now >= last);
        last = now;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wall_time_is_the_kernels_in_both_units),
        cmocka_unit_test(test_monotonic_time_never_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
