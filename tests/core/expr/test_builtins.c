/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "expr/builtins.h"

static struct arena arena;

static struct value
text(const char *s)
{
    return value_str(slice_text(s));
}

static void
expect_str(struct value v, const char *wanted)
{
    struct value got = builtin_cast_str(&v, &arena);

    assert_int_equal(got.kind, VALUE_STR);
    assert_int_equal(got.length, strlen(wanted));
    assert_memory_equal(got.as.str, wanted, got.length);
}

static void
test_cast_to_str_writes_plain_decimals(void **state)
{
    expect_str(text("same"), "same");
    expect_str(value_i64(INT64_MIN), "-9223372036854775808");
    expect_str(value_f64(1.0), "1");
    expect_str(value_f64(1e21), "1000000000000000000000");
    expect_str(value_f64(1e-7), "0.0000001");
    expect_str(value_f64(-0.0), "-0");
    expect_str(value_f64(NAN), "NaN");
    expect_str(value_f64(INFINITY), "inf");
    expect_str(value_f64(-INFINITY), "-inf");
    expect_str(value_bool(true), "true");
    expect_str(value_bool(false), "false");
}

static void
expect_int(struct value v, int64_t wanted)
{
    struct value got = builtin_cast_int(&v);

    assert_int_equal(got.kind, VALUE_I64);
    assert_true(got.as.i64 == wanted);
}

static void
test_cast_to_int_truncates_and_saturates(void **state)
{
    expect_int(value_i64(-3), -3);
    expect_int(value_f64(2.9), 2);
    expect_int(value_f64(-2.9), -2);
    expect_int(value_f64(1e300), INT64_MAX);
    expect_int(value_f64(-1e300), INT64_MIN);
    expect_int(value_f64(9223372036854775808.0), INT64_MAX);
    expect_int(value_f64(-9223372036854775808.0), INT64_MIN);
    expect_int(value_f64(NAN), 0);
    expect_int(value_bool(true), 1);
    expect_int(text("42"), 42);
    expect_int(text("+42"), 42);
    expect_int(text("-9223372036854775808"), INT64_MIN);
}

static void
test_cast_to_float_reads_numbers_and_words(void **state)
{
    struct value inputs[] = {value_i64(3), value_bool(true), text("1.5e3"), text("-Infinity"),
                             text("inf")};
    double wanted[] = {3.0, 1.0, 1500.0, -INFINITY, INFINITY};

    for (size_t i = 0; i < 5; i++) {
        struct value got = builtin_cast_float(&inputs[i]);

        assert_int_equal(got.kind, VALUE_F64);
        assert_true(got.as.f64 == wanted[i]);
    }

    struct value word = text("NaN");

    assert_true(isnan(builtin_cast_float(&word).as.f64));
}

static void
expect_bool(struct value v, bool wanted)
{
    struct value got = builtin_cast_bool(&v);

    assert_int_equal(got.kind, VALUE_BOOL);
    assert_int_equal(got.as.bits, wanted);
}

static void
test_cast_to_bool(void **state)
{
    expect_bool(value_i64(0), false);
    expect_bool(value_i64(-1), true);
    expect_bool(value_f64(0.5), true);
    expect_bool(value_f64(-0.0), false);
    expect_bool(value_f64(NAN), false);
    expect_bool(text("true"), true);
    expect_bool(text("false"), false);
    expect_bool(value_bool(true), true);
}

static void
test_what_does_not_convert_is_null(void **state)
{
    struct value list = {.kind = VALUE_LIST};
    struct value bytes = text("1");
    struct value null = value_null();
    const struct value *strangers[] = {&list, &bytes, &null};
    static const char *const bad_ints[] = {"", "1.0", " 1", "1 ", "abc", "9223372036854775808",
                                           "+"};
    static const char *const bad_floats[] = {"", " 1", "1 ", "abc", "--1", "0x10", "1e", "i nf"};
    static const char *const bad_bools[] = {"", "True", "1", "TRUE", "false "};

    bytes.kind = VALUE_BYTES;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(builtin_cast_str(strangers[i], &arena).kind, VALUE_NULL);
        assert_int_equal(builtin_cast_int(strangers[i]).kind, VALUE_NULL);
        assert_int_equal(builtin_cast_float(strangers[i]).kind, VALUE_NULL);
        assert_int_equal(builtin_cast_bool(strangers[i]).kind, VALUE_NULL);
    }
    for (size_t i = 0; i < sizeof bad_ints / sizeof bad_ints[0]; i++) {
        struct value v = text(bad_ints[i]);

        assert_int_equal(builtin_cast_int(&v).kind, VALUE_NULL);
    }
    for (size_t i = 0; i < sizeof bad_floats / sizeof bad_floats[0]; i++) {
        struct value v = text(bad_floats[i]);

        assert_int_equal(builtin_cast_float(&v).kind, VALUE_NULL);
    }
    for (size_t i = 0; i < sizeof bad_bools / sizeof bad_bools[0]; i++) {
        struct value v = text(bad_bools[i]);

        assert_int_equal(builtin_cast_bool(&v).kind, VALUE_NULL);
    }
}

static struct value
quadkey(double lat, double lon, int64_t zoom)
{
    struct value values[3] = {value_f64(lat), value_f64(lon), value_i64(zoom)};

    return builtin_quadkey(&values[0], &values[1], &values[2]);
}

static void
test_quadkey_of_the_golden_points(void **state)
{
    assert_int_equal(quadkey(40.7128, -74.006, 8).as.i64, 19411);
    assert_int_equal(quadkey(0, 0, 1).as.i64, 3);
    assert_int_equal(quadkey(51.5074, -0.1278, 12).as.i64, 8384066);
}

static void
test_quadkey_is_defined_or_null_everywhere(void **state)
{
    struct value str = text("1");
    struct value one = value_i64(1);
    struct value zoom = value_f64(1.0);

    assert_int_equal(quadkey(0, 0, 0).kind, VALUE_NULL);
    assert_int_equal(quadkey(0, 0, 25).kind, VALUE_NULL);
    assert_int_equal(builtin_quadkey(&str, &one, &one).kind, VALUE_NULL);
    assert_int_equal(builtin_quadkey(&one, &str, &one).kind, VALUE_NULL);
    assert_int_equal(builtin_quadkey(&one, &one, &zoom).kind, VALUE_NULL);
    assert_int_equal(quadkey(NAN, NAN, 3).as.i64, 0);
    assert_int_equal(quadkey(90, 180, 24).kind, VALUE_I64);
    assert_int_equal(quadkey(1e300, 1e300, 24).as.i64, ((int64_t)1 << 62) + 16745943);
    assert_int_equal(quadkey(-INFINITY, -INFINITY, 24).kind, VALUE_I64);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cast_to_str_writes_plain_decimals),
        cmocka_unit_test(test_cast_to_int_truncates_and_saturates),
        cmocka_unit_test(test_cast_to_float_reads_numbers_and_words),
        cmocka_unit_test(test_cast_to_bool),
        cmocka_unit_test(test_what_does_not_convert_is_null),
        cmocka_unit_test(test_quadkey_of_the_golden_points),
        cmocka_unit_test(test_quadkey_is_defined_or_null_everywhere),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
