/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_NUMBER_H
#define BV_WIRE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* Numbers as text. Buffers are the caller's; sizes returned exclude any NUL (none is written). */

#define NUMBER_TEXT_MAX 352 /* number_f64_plain(DBL_MIN) is the longest */

/* Canonical float text of operators.md 8.1: shortest round trip; plain decimal for -4 <= p <= 16
 * (".0" on integers), otherwise d[.ddd]e+XX; NaN and infinities are "NaN", "inf", "-inf". */
size_t number_f64(char *out, double v);
/* As the expression cast to str wants it (operators.md 5.3): never an exponent, no ".0". */
size_t number_f64_plain(char *out, double v);
size_t number_i64(char *out, int64_t v);
size_t number_u64(char *out, uint64_t v);

/* Correctly rounded; the text is one JSON number (or the wider forms of cast(x, float) when
 * allow_words: "inf", "infinity", "nan" in any case, leading '+'). False: not a number. */
bool number_parse_f64(double *out, struct slice text, bool allow_words);
/* digits * 10^exponent for a decoder that has the digits already. False, rarely: only the whole
 * text decides (number_parse_f64). */
bool number_from_decimal(double *out, bool is_negative, uint64_t digits, int exponent);
/* Optional sign and digits within i64. */
bool number_parse_i64(int64_t *out, struct slice text);
/* Duration grammar of operators.md 3.1 in ms; *is_forever for "forever". */
bool number_parse_duration(uint64_t *out_ms, bool *is_forever, struct slice text);

#endif
