/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that asks the kernel for the time.
 *
 * Enters:  nothing.
 * Leaves:  wall time for records and logs, monotonic time for durations.
 * Owner:   any thread. Operators never call this: the tick's time is passed down to them.
 */
#include <time.h>

#include "util/assert.h"
#include "util/clock.h"

static struct timespec
read_clock(clockid_t id)
{
    struct timespec now = {0};
    int result = clock_gettime(id, &now);

    BV_ASSERT(result == 0); /* both clocks exist on every kernel that runs us */
    return now;
}

uint64_t
clock_wall_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);

    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t
clock_wall_us(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);

    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
clock_monotonic_ns(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);

    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
