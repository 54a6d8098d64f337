/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_UTF8_H
#define BV_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */

/* Bytes of the well-formed sequence at p (1 to 4), 0 if there is none within size bytes. */
size_t utf8_sequence(const uint8_t *p, size_t size);
bool utf8_is_valid(struct slice text);
/* The largest size <= size_max at which text may be cut without splitting a sequence. */
size_t utf8_cut(struct slice text, size_t size_max);
/* Writes the code point (not a surrogate, <= U+10FFFF) and returns its size, at most 4. */
size_t utf8_encode(uint8_t *out, uint32_t code_point);

#endif
