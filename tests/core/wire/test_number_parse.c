/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/number.h"

#define SEED 0x2545f4914f6cdd1du

static uint64_t
random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void
assert_as_strtod(const char *text)
{
    double ours = 0;
    double wanted = strtod(text, NULL);

    assert_true(number_parse_f64(&ours, slice_text(text), false));
    if (memcmp(&ours, &wanted, sizeof ours) != 0) {
        fail_msg("%.60s read as %.17g, not %.17g", text, ours, wanted);
    }
}

static void
test_random_decimals_of_all_lengths_agree_with_strtod(void **state)
{
    uint64_t seed = SEED;
    char text[64];

    for (int i = 0; i < 200000; i++) {
        uint64_t digits = random_next(&seed) >> random_next(&seed) % 64;
        int exponent = (int)(random_next(&seed) % 700) - 360;

        snprintf(text, sizeof text, "%s%llue%d", i % 3 == 0 ? "-" : "", (unsigned long long)digits,
                 i % 2 == 0 ? exponent : exponent / 20);
        assert_as_strtod(text);
        snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)(digits >> 40),
                 (unsigned long long)random_next(&seed));
        assert_as_strtod(text);
    }
}

static void
test_halfway_cases_round_to_even_and_a_crumb_decides(void **state)
{
    const char *texts[] = {
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999999999999999999999999999999",
        "9007199254740995",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e23",
        "8.5e22",
        "0.500000000000000166533453693773481063544750213623046875",
        "3.518437208883201171875e13",
        "62.5364939768271845828",
        "1090544144181609348671888949248",
        "0.1",
        "0.10",
        "100e-3",
        "-0",
        "-0.0e5",
        "0e999999999999999999999",
        "123456789012345678901234567890e-10",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_as_strtod(texts[i]);
    }
}

/* v + half a unit in the last place, exactly, has up to 767 digits; printf writes them all. */
static void
test_exact_ties_of_random_doubles_agree_with_strtod(void **state)
{
    uint64_t seed = SEED + 1;
    static char text[2000];

    for (int i = 0; i < 2000; i++) {
        uint64_t bits = random_next(&seed) & 0x7fffffffffffffffu;
        double v;

        bits = (bits & 0x000fffffffffffffu) | (uint64_t)(1023 - 60 + i % 120) << 52;
        memcpy(&v, &bits, sizeof v);
        long double tie = ((long double)v + (long double)nextafter(v, INFINITY)) / 2;

        snprintf(text, sizeof text, "%.120Lf", tie);
        assert_as_strtod(text);
        strcat(text, "1");
        assert_as_strtod(text);
    }
}

static void
test_texts_of_thousands_of_digits_are_read_exactly(void **state)
{
    char *text = malloc(20000);

    assert_non_null(text);
    memset(text, '0', 20000);
    strcpy(text + 10000, "123e-10000");
    text[0] = '0';
    double v = 0;

    assert_false(number_parse_f64(&v, slice_text(text), false)); /* leading zeros */
    assert_true(number_parse_f64(&v, slice_text(text), true));
    assert_true(v == 0.0);
    text[1] = '.'; /* 0.000(9998)123 */
    strcpy(text + 10000, "123e10000");
    assert_as_strtod(text);
    memset(text, '7', 5000);
    strcpy(text + 5000, "e-4900");
    assert_as_strtod(text);
    memset(text, '0', 5000);
    memcpy(text, "9007199254740993.", 17);
    strcpy(text + 5000, "1");
    assert_as_strtod(text);
    free(text);
}

static void
test_overflow_is_infinite_and_underflow_is_zero(void **state)
{
    double v = 0;

    assert_true(number_parse_f64(&v, slice_text("1e400"), false));
    assert_true(isinf(v) && v > 0);
    assert_true(number_parse_f64(&v, slice_text("-1e99999999999999999999"), false));
    assert_true(isinf(v) && v < 0);
    assert_true(number_parse_f64(&v, slice_text("1e-400"), false));
    assert_true(v == 0.0);
}

static void
test_only_json_numbers_pass_unless_words_are_allowed(void **state)
{
    const char *never[] = {"",      "-",    "+",  ".",   "e5",  "1e",  "1e+",
                           "1.5.",  "0x10", "1 ", " 1",  "1,0", "--1", "infin",
                           "nanan", "1e5x", "in", "+-1", "1_0"};
    const char *wide[] = {"+1",   "01",        "1.",  ".5",  "-.5", "inf",
                          "-inf", "+Infinity", "NaN", "INF", "1.e5"};
    const char *always[] = {"0", "-0", "1", "-1.5", "1e5", "1E+5", "0.5e-05", "10"};
    double v = 0;

    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        assert_false(number_parse_f64(&v, slice_text(never[i]), false));
        assert_false(number_parse_f64(&v, slice_text(never[i]), true));
    }
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        assert_false(number_parse_f64(&v, slice_text(wide[i]), false));
        assert_true(number_parse_f64(&v, slice_text(wide[i]), true));
    }
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        assert_true(number_parse_f64(&v, slice_text(always[i]), false));
        assert_true(number_parse_f64(&v, slice_text(always[i]), true));
    }
    assert_true(number_parse_f64(&v, slice_text("-.5"), true) && v == -0.5);
    assert_true(number_parse_f64(&v, slice_text("-infinity"), true) && v == -INFINITY);
    assert_true(number_parse_f64(&v, slice_text("nan"), true) && isnan(v));
}

static void
test_integers_are_taken_up_to_the_ends_of_i64(void **state)
{
    int64_t v = 0;

    assert_true(number_parse_i64(&v, slice_text("9223372036854775807")) && v == INT64_MAX);
    assert_true(number_parse_i64(&v, slice_text("-9223372036854775808")) && v == INT64_MIN);
    assert_true(number_parse_i64(&v, slice_text("+007")) && v == 7);
    assert_true(number_parse_i64(&v, slice_text("-0")) && v == 0);
    assert_false(number_parse_i64(&v, slice_text("9223372036854775808")));
    assert_false(number_parse_i64(&v, slice_text("-9223372036854775809")));
    assert_false(number_parse_i64(&v, slice_text("18446744073709551617")));
    assert_false(number_parse_i64(&v, slice_text("99999999999999999999999")));
    assert_false(number_parse_i64(&v, slice_text("")));
    assert_false(number_parse_i64(&v, slice_text("-")));
    assert_false(number_parse_i64(&v, slice_text("1.0")));
    assert_false(number_parse_i64(&v, slice_text(" 1")));
}

static void
test_durations_follow_the_grammar(void **state)
{
    const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1ms", 1},
                {"5s", 5000},
                {"05m", 300000},
                {"2h", 7200000},
                {"7d", 604800000u},
                {"forever", 0},
                {"18446744073709551615ms", UINT64_MAX}};
    const char *bad[] = {"",
                         "0s",
                         "0000ms",
                         "5",
                         "s",
                         "5 s",
                         " 5s",
                         "5S",
                         "-5s",
                         "+5s",
                         "1.5s",
                         "1h30m",
                         "5seconds",
                         "5w",
                         "Forever",
                         "forever ",
                         "18446744073709551616ms",
                         "18446744073709551615s",
                         "213503982335d"};
    uint64_t ms = 1;
    bool is_forever = false;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(number_parse_duration(&ms, &is_forever, slice_text(good[i].text)));
        assert_true(ms == good[i].ms);
        assert_int_equal(is_forever, good[i].ms == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(number_parse_duration(&ms, &is_forever, slice_text(bad[i])));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_decimals_of_all_lengths_agree_with_strtod),
        cmocka_unit_test(test_halfway_cases_round_to_even_and_a_crumb_decides),
        cmocka_unit_test(test_exact_ties_of_random_doubles_agree_with_strtod),
        cmocka_unit_test(test_texts_of_thousands_of_digits_are_read_exactly),
        cmocka_unit_test(test_overflow_is_infinite_and_underflow_is_zero),
        cmocka_unit_test(test_only_json_numbers_pass_unless_words_are_allowed),
        cmocka_unit_test(test_integers_are_taken_up_to_the_ends_of_i64),
        cmocka_unit_test(test_durations_follow_the_grammar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
