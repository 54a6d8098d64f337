/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "agg/sketch/hll.h"
#include "agg/sketch/identity.h"

#define THEORY (1.04 / 64) /* 1.04 / sqrt(4096) */

static void
test_nothing_is_estimated_as_nothing_and_one_as_one(void **state)
{
    uint8_t registers[HLL_REGISTERS] = {0};

    assert_true(hll_estimate(registers) == 0);
    hll_add(registers, 0x123456789abcdef);
    assert_int_equal(llround(hll_estimate(registers)), 1);
}

static void
test_ranks_stay_in_their_range_at_both_ends(void **state)
{
    uint8_t registers[HLL_REGISTERS] = {0};

    hll_add(registers, 0);
    assert_int_equal(registers[0], HLL_RANK_MAX);
    hll_add(registers, UINT64_MAX);
    assert_int_equal(registers[HLL_REGISTERS - 1], 1);
    memset(registers, HLL_RANK_MAX, sizeof registers); /* saturated: huge, and no endless loop */
    assert_true(hll_estimate(registers) > 1e18);
}

/* Error over trials that share nothing, at sizes around the old trouble spots: where registers are
 * mostly empty, half full (2.5 m), and long after. */
static void
test_error_is_inside_the_theoretical_band_at_every_size(void **state)
{
    enum { TRIALS = 200, SIZES = 7 };
    static const uint32_t sizes[SIZES] = {1025, 2000, 5000, 10240, 20000, 40000, 80000};
    double sum[SIZES] = {0};
    double squares[SIZES] = {0};

    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        uint8_t registers[HLL_REGISTERS] = {0};
        uint32_t n = 0;

        for (int s = 0; s < SIZES; s++) {
            for (; n < sizes[s]; n++) {
                hll_add(registers, identity_hash_bits(trial << 32 | n, VALUE_I64));
            }

            const double error = hll_estimate(registers) / n - 1;

            assert_true(fabs(error) < 5 * THEORY);
            sum[s] += error;
            squares[s] += error * error;
        }
    }
    for (int s = 0; s < SIZES; s++) {
        /* The estimate of a standard error from 200 trials is itself 5 % off, of a mean 7 % of it.
         */
        assert_true(sqrt(squares[s] / TRIALS) < THEORY * 1.15);
        assert_true(fabs(sum[s] / TRIALS) < THEORY * 0.28);
    }
}

static void
test_the_sketch_of_a_union_is_that_of_the_stream(void **state)
{
    uint8_t whole[HLL_REGISTERS] = {0};
    uint8_t parts[3][HLL_REGISTERS] = {{0}};

    for (uint64_t i = 0; i < 30000; i++) {
        const uint64_t hash = identity_hash_bits(i / 2, VALUE_I64);

        hll_add(whole, hash);
        hll_add(parts[i % 3], hash);
    }
    hll_merge(parts[0], parts[1]);
    hll_merge(parts[0], parts[2]);
    assert_memory_equal(whole, parts[0], sizeof whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_estimated_as_nothing_and_one_as_one),
        cmocka_unit_test(test_ranks_stay_in_their_range_at_both_ends),
        cmocka_unit_test(test_error_is_inside_the_theoretical_band_at_every_size),
        cmocka_unit_test(test_the_sketch_of_a_union_is_that_of_the_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
