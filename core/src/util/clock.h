/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_CLOCK_H
#define BV_UTIL_CLOCK_H

#include <stdint.h>

/* The only places that ask the kernel for the time. */
uint64_t clock_wall_ms(void);      /* UTC epoch milliseconds */
uint64_t clock_wall_us(void);      /* UTC epoch microseconds, for log lines */
uint64_t clock_monotonic_ns(void); /* for durations */

#endif
