/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_NUMBER_POWERS_H
#define BV_WIRE_NUMBER_POWERS_H

#include <stdint.h>

/* Powers of ten for number_print.c and number_parse.c, private to them.
 *
 * 10^e = m * 2^(floor(log2(10^e)) - 127) with 2^127 <= m < 2^128, and the table holds m rounded up.
 * It is exact for 0 <= e <= 55, because 5^55 < 2^128; anywhere else m - 1 < true m < m. */
#define NUMBER_POWER_FIRST      (-342)
#define NUMBER_POWER_LAST       324
#define NUMBER_POWER_EXACT_LAST 55

struct number_power {
    uint64_t high;
    uint64_t low;
};

extern const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1];

static inline struct number_power
number_power_of_ten(int exponent)
{
    return number_powers[exponent - NUMBER_POWER_FIRST];
}

/* floor(log2(10^exponent)); 1741647 / 2^19 is log2(10) to 6e-8, right for |exponent| < 1233. */
static inline int
number_log2_of_ten(int exponent)
{
    return (exponent * 1741647) >> 19;
}

#endif
