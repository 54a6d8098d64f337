/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "agg/sketch/udd.h"

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed ^ *seed >> 29;
}

static double
unit(uint64_t *seed)
{
    return (double)(next_random(seed) >> 11) * 0x1p-53;
}

static int
compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct udd *
sketch_of(const double *values, size_t count)
{
    struct udd *sketch = malloc(udd_size(UDD_LOG2_MAX));

    assert_non_null(sketch);
    udd_init(sketch, UDD_LOG2_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(udd_add(sketch, values[i]));
    }
    return sketch;
}

/* Reads ranks exactly, so that there is one true value to compare with. */
static void
check_error(double *values, size_t count, double bound)
{
    struct udd *sketch = sketch_of(values, count);

    assert_true(udd_error(sketch) <= bound);
    qsort(values, count, sizeof *values, compare_doubles);
    for (size_t rank = 0; rank < count; rank += 1 + count / 500) {
        const double q = (double)rank / (double)(count - 1);
        const double read = udd_quantile(sketch, q);
        const double position = q * (double)(count - 1);
        const size_t low = (size_t)position;
        const double least = values[low];
        const double most = values[low + 1 < count ? low + 1 : low];
        /* What lies between two values may come from either; below the normal numbers one unit of
         * the last place is all there is. */
        const double slack = bound * fmax(fabs(least), fabs(most)) * (1 + 1e-9) + 5e-324;

        if (read < least - slack || read > most + slack) {
            fail_msg("rank %zu of %zu: %.17g, true %.17g", rank, count, read, least);
        }
    }
    free(sketch);
}

#define COUNT 20000

static double values[COUNT];

static void
test_each_magnitude_has_one_bucket_and_buckets_ascend(void **state)
{
    uint64_t seed = 5;
    double before = 5e-324;

    assert_true(udd_index(5e-324) < udd_index(DBL_MIN));
    assert_true(udd_index(DBL_MAX) <= 73535);
    for (double v = 5e-324; v < DBL_MAX / 1.01; v = v * (1 + 0.003 * unit(&seed)) + 5e-324) {
        assert_true(udd_index(v) >= udd_index(before));
        before = v;
    }
}

static void
test_random_streams_are_read_within_one_percent(void **state)
{
    uint64_t seed = 1;

    for (int i = 0; i < COUNT; i++) {
        values[i] = unit(&seed) * 1000;
    }
    check_error(values, COUNT, 0.01);
    for (int i = 0; i < COUNT; i++) { /* both signs, and zeros */
        values[i] = i % 10 == 0 ? 0 : unit(&seed) * 200 - 100;
    }
    check_error(values, COUNT, 0.01);
}

static void
test_sorted_streams_are_read_within_one_percent(void **state)
{
    for (int i = 0; i < COUNT; i++) {
        values[i] = i + 1;
    }
    check_error(values, COUNT, 0.01);
    for (int i = 0; i < COUNT; i++) {
        values[i] = COUNT / 2 - i;
    }
    check_error(values, COUNT, 0.01);
}

static void
test_skewed_streams_are_read_within_one_percent(void **state)
{
    uint64_t seed = 3;

    for (int i = 0; i < COUNT; i++) { /* log-uniform over twelve decades */
        values[i] = pow(10, unit(&seed) * 12 - 3);
    }
    check_error(values, COUNT, 0.01);
    for (int i = 0; i < COUNT; i++) { /* Pareto, its tail without variance */
        values[i] = pow(1 - unit(&seed), -1 / 1.1);
    }
    check_error(values, COUNT, 0.01);
}

/* Values at the edges of buckets, some hundred outliers over all magnitudes, both signs. */
static void
test_outliers_do_not_take_the_resolution_away(void **state)
{
    uint64_t seed = 4;

    for (int i = 0; i < COUNT; i++) {
        values[i] = 100 * pow(1.01 / 0.99, (double)(i % 300));
        if (i % 100 == 0) {
            values[i] = ldexp(1 + unit(&seed), (int)(next_random(&seed) % 2000) - 1000);
            values[i] = i % 200 == 0 ? -values[i] : values[i];
        }
    }
    values[0] = DBL_MAX;
    values[1] = -DBL_MAX;
    values[2] = 5e-324;
    values[3] = -3e-320;
    check_error(values, COUNT, 0.01);
}

static void
test_more_buckets_than_fit_cost_resolution_as_stated(void **state)
{
    uint64_t seed = 6;

    for (int i = 0; i < COUNT; i++) {
        values[i] = ldexp(1 + unit(&seed), (int)(next_random(&seed) % 2000) - 1000);
        values[i] = i % 2 == 0 ? -values[i] : values[i];
    }

    struct udd *sketch = sketch_of(values, COUNT);

    assert_in_range(sketch->level, 1, 8);
    assert_in_range(sketch->used, 1, UDD_BUCKETS_MAX);

    const double error = udd_error(sketch);

    free(sketch);
    check_error(values, COUNT, error);
}

static void
test_the_error_after_collapses_is_that_of_the_paper(void **state)
{
    struct udd *sketch = sketch_of(values, 0);
    double a = 0.01;

    for (uint32_t level = 0; level < 6; level++) {
        udd_coarsen(sketch, level);
        assert_true(fabs(udd_error(sketch) - a) < 1e-12);
        a = 2 * a / (1 + a * a);
    }
    free(sketch);
}

static void
test_a_small_table_says_when_it_must_grow_and_loses_nothing(void **state)
{
    uint64_t buffer[64];
    struct udd *small = (struct udd *)buffer;
    struct udd *large = NULL;
    uint32_t added = 0;

    udd_init(small, 0);
    while (udd_add(small, pow(2, added))) {
        added++;
    }
    assert_int_equal(small->n, added);
    assert_int_equal(small->used, added);
    assert_true(udd_add(small, 1)); /* a bucket that is there takes more */
    large = sketch_of(values, 0);
    udd_copy(large, small);
    assert_int_equal(large->n, added + 1);
    assert_true(udd_quantile(large, 0.5) == udd_quantile(small, 0.5));
    free(large);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_magnitude_has_one_bucket_and_buckets_ascend),
        cmocka_unit_test(test_random_streams_are_read_within_one_percent),
        cmocka_unit_test(test_sorted_streams_are_read_within_one_percent),
        cmocka_unit_test(test_skewed_streams_are_read_within_one_percent),
        cmocka_unit_test(test_outliers_do_not_take_the_resolution_away),
        cmocka_unit_test(test_more_buckets_than_fit_cost_resolution_as_stated),
        cmocka_unit_test(test_the_error_after_collapses_is_that_of_the_paper),
        cmocka_unit_test(test_a_small_table_says_when_it_must_grow_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
