/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking between two threads, without a lock.
 *
 * Enters:  a 32-bit word that one thread changes and another watches.
 * Leaves:  the watcher, awake.
 * Owner:   whoever owns the word; there is no state here.
 *
 * A futex rather than an eventfd between apply and the log writer: one call to wake, one to sleep
 * with a deadline, and nothing to drain afterwards. The eventfd is for the reactor, which can only
 * wait for descriptors. */
#include "os/wait.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void
os_wait(const _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                  timeout_ns == OS_WAIT_FOREVER ? NULL : &timeout, NULL, 0);
}

void
os_wake(const _Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int
os_event_open(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void
os_event_signal(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);

    (void)written; /* fails only when the counter is full, and then it is readable anyway */
}

void
os_event_drain(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);

    (void)got;
}

void
os_event_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

uint64_t
os_random(void)
{
    uint64_t value = 0;

    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
        /* only interruption can stop eight bytes */
    }
    return value;
}
