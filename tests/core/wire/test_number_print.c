/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/number.h"

#define SEED           0x9e3779b97f4a7c15u
#define ROUND_TRIPS    1200000
#define SHORTEST_TRIES 40000

static uint64_t
random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double
from_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void
assert_text(double v, const char *canonical, const char *plain)
{
    char out[NUMBER_TEXT_MAX + 1];

    out[number_f64(out, v)] = '\0';
    assert_string_equal(out, canonical);
    out[number_f64_plain(out, v)] = '\0';
    assert_string_equal(out, plain);
}

static void
test_canonical_and_plain_text_are_as_specified(void **state)
{
    assert_text(0.1 + 0.2, "0.30000000000000004", "0.30000000000000004");
    assert_text(1e15, "1000000000000000.0", "1000000000000000");
    assert_text(1e16, "1e+16", "10000000000000000");
    assert_text(1e-5, "0.00001", "0.00001");
    assert_text(1e-6, "1e-6", "0.000001");
    assert_text(0.0, "0.0", "0");
    assert_text(-0.0, "-0.0", "-0");
    assert_text(5, "5.0", "5");
    assert_text(1e21, "1e+21", "1000000000000000000000");
    assert_text(1.5e25, "1.5e+25", "15000000000000000000000000");
    assert_text(-123.456, "-123.456", "-123.456");
    assert_text(9007199254740991.0, "9007199254740991.0", "9007199254740991");
    assert_text(9007199254740992.0, "9007199254740992.0", "9007199254740992");
    assert_text(12345678901234567.0, "1.2345678901234568e+16", "12345678901234568");
    assert_text(0.000012345678901234567, "0.000012345678901234568", "0.000012345678901234568");
    assert_text(NAN, "NaN", "NaN");
    assert_text(INFINITY, "inf", "inf");
    assert_text(-INFINITY, "-inf", "-inf");
    assert_text(1e23, "1e+23", "100000000000000000000000");
    assert_text(9.5367431640625e-7, "9.5367431640625e-7", "0.00000095367431640625");
}

static void
test_the_ends_of_the_range_print_within_the_limit(void **state)
{
    const double ends[] = {DBL_MIN, DBL_MAX, 5e-324, -5e-324, 2.225073858507201e-308, -DBL_MAX};
    const char *texts[] = {
        "2.2250738585072014e-308", "1.7976931348623157e+308", "5e-324", "-5e-324",
        "2.225073858507201e-308",  "-1.7976931348623157e+308"};
    char out[NUMBER_TEXT_MAX + 1];

    for (int i = 0; i < 6; i++) {
        out[number_f64(out, ends[i])] = '\0';
        assert_string_equal(out, texts[i]);
        size_t size = number_f64_plain(out, ends[i]);

        assert_true(size <= NUMBER_TEXT_MAX);
        out[size] = '\0';
        assert_true(strtod(out, NULL) == ends[i]);
        assert_null(strchr(out, 'e'));
    }
}

static void
assert_round_trip(double v)
{
    char out[NUMBER_TEXT_MAX + 1];
    size_t size = number_f64(out, v);
    double back = 0;

    assert_true(number_parse_f64(&back, slice_of(out, size), false));
    if (memcmp(&back, &v, sizeof v) != 0) {
        fail_msg("%.17g printed as %.*s read back as %.17g", v, (int)size, out, back);
    }
}

static void
test_a_million_random_doubles_read_back_bit_for_bit(void **state)
{
    uint64_t seed = SEED;

    for (int i = 0; i < ROUND_TRIPS; i++) {
        double v = from_bits(random_next(&seed));

        if (isfinite(v)) {
            assert_round_trip(v);
        }
    }
}

static void
test_powers_of_two_and_ten_and_their_neighbours_read_back(void **state)
{
    for (int e = -1074; e <= 1023; e++) {
        double v = ldexp(1.0, e);

        assert_round_trip(v);
        assert_round_trip(nextafter(v, INFINITY));
        assert_round_trip(nextafter(v, 0));
    }
    for (int e = -323; e <= 308; e++) {
        char text[16];

        snprintf(text, sizeof text, "1e%d", e);
        double v = strtod(text, NULL);

        assert_round_trip(v);
        assert_round_trip(nextafter(v, INFINITY));
        assert_round_trip(nextafter(v, 0));
    }
}

/* The oracle: the smallest precision of printf that reads back. Its digits are the nearest of that
 * length, so ours must be the same number, or an equally short one that reads back too. */
static void
test_no_shorter_text_reads_back_and_none_as_short_is_nearer(void **state)
{
    uint64_t seed = SEED + 1;

    for (int i = 0; i < SHORTEST_TRIES; i++) {
        uint64_t bits = random_next(&seed);
        double v = i % 2 == 0 ? from_bits(bits) : (double)(int64_t)(bits >> 20) / 1000.0;
        char wanted[40];
        char ours[NUMBER_TEXT_MAX + 1];
        int precision = 1;

        if (!isfinite(v)) {
            continue;
        }
        do {
            snprintf(wanted, sizeof wanted, "%.*e", precision - 1, v);
        } while (strtod(wanted, NULL) != v && ++precision <= 17);
        ours[number_f64(ours, v)] = '\0';
        /* Compare as exact decimals: both printed with the precision of the shortest one. */
        long double a = strtold(ours, NULL);
        long double b = strtold(wanted, NULL);
        int digits = 0;
        bool is_leading = true;

        for (const char *p = ours; *p != '\0' && *p != 'e'; p++) {
            is_leading = is_leading && (*p == '0' || *p == '.' || *p == '-');
            digits += *p >= '0' && *p <= '9' && !is_leading;
        }
        if (strchr(ours, 'e') == NULL && v == floor(v)) {
            continue; /* an integer shows all its digits and ".0" */
        }
        assert_true(digits <= precision);
        assert_true(a == b || fabsl(a - (long double)v) <= fabsl(b - (long double)v));
    }
}

static void
test_integers_print_in_full(void **state)
{
    char out[NUMBER_TEXT_MAX];
    char wanted[40];
    uint64_t seed = SEED + 2;

    for (int i = 0; i < 200000; i++) {
        uint64_t v = random_next(&seed) >> i % 64;
        size_t size = number_u64(out, v);

        assert_int_equal(size, snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)v));
        assert_memory_equal(out, wanted, size);
        size = number_i64(out, (int64_t)v);
        assert_int_equal(size, snprintf(wanted, sizeof wanted, "%lld", (long long)v));
        assert_memory_equal(out, wanted, size);
    }
    assert_int_equal(number_i64(out, INT64_MIN), 20);
    assert_memory_equal(out, "-9223372036854775808", 20);
    assert_int_equal(number_u64(out, UINT64_MAX), 20);
    assert_memory_equal(out, "18446744073709551615", 20);
    for (uint64_t power = 1; power < 10000000000000000000u; power *= 10) {
        assert_int_equal(number_u64(out, power),
                         number_u64(out, power - (power > 1)) + (power > 1));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_and_plain_text_are_as_specified),
        cmocka_unit_test(test_the_ends_of_the_range_print_within_the_limit),
        cmocka_unit_test(test_a_million_random_doubles_read_back_bit_for_bit),
        cmocka_unit_test(test_powers_of_two_and_ten_and_their_neighbours_read_back),
        cmocka_unit_test(test_no_shorter_text_reads_back_and_none_as_short_is_nearer),
        cmocka_unit_test(test_integers_print_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
