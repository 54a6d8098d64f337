/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_OS_WAIT_H
#define BV_OS_WAIT_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeping until a word changes (futex). The waiter reads the word, looks for work, and sleeps only
 * if the word is still what it read; the waker changes the word first and wakes then. */
#define OS_WAIT_FOREVER UINT64_MAX

/* Returns when woken, when *word != expected, or after timeout_ns. May return early. */
void os_wait(const _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void os_wake(const _Atomic uint32_t *word);

/* A counter that a reactor can poll; -1 when the kernel has none left. */
int os_event_open(void);
void os_event_signal(int fd);
void os_event_drain(int fd);
void os_event_close(int fd);

/* Random bytes of the kernel. */
uint64_t os_random(void);

#endif
