/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/number_powers.h"

typedef unsigned __int128 u128;

static u128
power_bits(int exponent)
{
    struct number_power power = number_power_of_ten(exponent);

    return (u128)power.high << 64 | power.low;
}

static void
test_small_powers_are_exact(void **state)
{
    u128 five = 1;

    for (int e = 0; e <= NUMBER_POWER_EXACT_LAST; e++) {
        u128 bits = five;

        while (bits >> 127 == 0) {
            bits <<= 1;
        }
        assert_true(power_bits(e) == bits);
        five *= 5;
    }
}

/* With both rounded up by less than one, ten times an entry and the next one differ by less than
 * ten units at the entry's scale, and the binary exponent moves as log2 says. */
static void
test_every_power_is_ten_times_the_one_before(void **state)
{
    for (int e = NUMBER_POWER_FIRST; e < NUMBER_POWER_LAST; e++) {
        int shift = number_log2_of_ten(e + 1) - number_log2_of_ten(e); /* 3 or 4 */
        u128 now = power_bits(e);
        u128 next = power_bits(e + 1);
        /* 10 * now = next * 2^shift: compare without the high bits that overflow 128. */
        __int128 difference = (__int128)(next << shift) - (__int128)(now * 10);

        assert_in_range(shift, 3, 4);
        assert_int_equal(next >> 127, 1);
        assert_true(difference > -10 && difference < 16);
        assert_true(((next >> (128 - shift)) == (u128)(((now >> 64) * 10) >> 64)) ||
                    ((next >> (128 - shift)) == (u128)(((now >> 64) * 10 + 10) >> 64)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_powers_are_exact),
        cmocka_unit_test(test_every_power_is_ten_times_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
