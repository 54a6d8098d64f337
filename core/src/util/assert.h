/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_ASSERT_H
#define BV_UTIL_ASSERT_H

/* An assertion states what only a bug can break; input is never asserted on. A broken one ends the
 * process (fail stop): the supervisor restarts it and recovery takes over. */

_Noreturn void bv_assert_failed(const char *expression, const char *file, int line);

#define BV_LIKELY(x)   __builtin_expect(!!(x), 1)
#define BV_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define BV_ASSERT(x) (BV_LIKELY(x) ? (void)0 : bv_assert_failed(#x, __FILE__, __LINE__))

#ifdef NDEBUG
#define BV_DEBUG_ASSERT(x) ((void)0)
#else
#define BV_DEBUG_ASSERT(x) BV_ASSERT(x)
#endif

#endif
