/* SPDX-License-Identifier: Apache-2.0 */
/* One accumulator for all features that can read it, and none lost when features are added. */
#include "plan_fixture.h"

static void
test_features_of_one_field_share(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(
        &f, FEATURE_OF("a", "sum", AMOUNT) "," FEATURE_OF("b", "mean", AMOUNT) "," FEATURE_OF(
                "c", "var",
                AMOUNT) "," FEATURE_OF("d", "std",
                                       AMOUNT) "," FEATURE("e", "count") "," FEATURE("f", "ratio"));
    /* sums for a and b; moments for c and d; one count for e and both uses of f */
    assert_int_equal(fixture_accumulators(&f), 3);
    fixture_deinit(&f);
}

static void
test_mean_reads_the_moments_that_are_there(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f,
                    FEATURE_OF("a_mean", "mean", AMOUNT) "," FEATURE_OF("z_var", "var", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 1);
    fixture_deinit(&f);
}

static void
test_predicates_windows_and_fields_keep_accumulators_apart(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(
        &f,
        FEATURE("a", "count") "," FEATURE_OF("b", "count", "\"where\":\"(n > 1)\"") "," FEATURE_OF("c", "count", "\"where\":\"((n) > 1)\"") "," FEATURE_OF(
            "d", "count",
            "\"window\":\"1h\"") "," FEATURE_OF("e", "count",
                                                "\"window\":\"1h\",\"where\":\"(n > "
                                                "1)\"") "," FEATURE_OF("f", "sum",
                                                                       AMOUNT) "," FEATURE_OF("g",
                                                                                              "sum",
                                                                                              "\"fi"
                                                                                              "eld"
                                                                                              "\":"
                                                                                              "\"n"
                                                                                              "\"") "," FEATURE_OF("h",
                                                                                                                   "count",
                                                                                                                   "\"window\":\"60m\""));
    /* lifetime: count, count where (shared by b and c), two sums; 1h = 60m: count, count where */
    assert_int_equal(fixture_accumulators(&f), 6);
    assert_int_equal(fixture_table(&f)->layout->group_count, 2);
    fixture_deinit(&f);
}

static void
test_ratio_shares_its_counts(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(
        &f, FEATURE("all", "count") "," FEATURE_OF(
                "some", "count", "\"where\":\"(n > 1)\"") "," FEATURE_OF("share", "ratio",
                                                                         "\"where\":\"(n > 1)\""));
    assert_int_equal(fixture_accumulators(&f), 2);
    fixture_deinit(&f);
}

/* A mean that has summed keeps its sums when a variance comes: moments would know no past. */
static void
test_what_was_there_keeps_its_accumulators(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f, FEATURE_OF("avg", "mean", AMOUNT));
    const char *before = fixture_table(&f)->layout->groups[0].steps[0].accumulator->name;

    assert_string_equal(before, "sums");
    fixture_compile(&f, FEATURE_OF("avg", "mean", AMOUNT) "," FEATURE_OF("v", "var", AMOUNT));
    const struct plan_table *table = fixture_table(&f);
    const struct plan_feature *avg = &table->features[0];

    assert_int_equal(fixture_accumulators(&f), 2);
    assert_string_equal(table->layout->groups[avg->group].steps[avg->steps[0]].accumulator->name,
                        "sums");
    fixture_deinit(&f);
}

/* New features start empty, so they share with each other and not with what has a past. */
static void
test_new_features_share_only_with_new_ones(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f, FEATURE_OF("s", "sum", AMOUNT));
    fixture_compile(&f, FEATURE_OF("s", "sum", AMOUNT) "," FEATURE_OF(
                            "t", "sum", AMOUNT) "," FEATURE_OF("u", "mean", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 2);
    const struct plan_table *table = fixture_table(&f);

    assert_int_equal(table->features[1].steps[0], table->features[2].steps[0]);
    assert_int_not_equal(table->features[0].steps[0], table->features[1].steps[0]);
    fixture_compile(
        &f, FEATURE_OF("s", "sum", AMOUNT) "," FEATURE_OF("t", "sum", AMOUNT) "," FEATURE_OF(
                "u", "mean", AMOUNT) "," FEATURE_OF("v", "sum", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 3);
    fixture_deinit(&f);
}

static void
test_a_feature_without_its_column_is_blind(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f, FEATURE("s", "sum") "," FEATURE("c", "count"));
    assert_true(fixture_table(&f)->features[1].is_blind);
    assert_int_equal(fixture_table(&f)->features[1].empty.kind, VALUE_NULL);
    assert_int_equal(fixture_accumulators(&f), 1);
    fixture_deinit(&f);
}

/* A histogram of nothing still has all its cells. */
static void
test_an_empty_value_that_depends_on_parameters_is_read(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f, FEATURE_OF("h", "histogram", "\"buckets\":[10,20]"));
    const struct plan_feature *feature = &fixture_table(&f)->features[0];

    assert_true(feature->is_blind);
    assert_int_equal(feature->empty.kind, VALUE_MAP);
    assert_int_equal(feature->empty.length, 3);
    assert_int_equal(value_find(&feature->empty, "10-20")->as.i64, 0);
    assert_int_equal(value_find(&feature->empty, ">=20")->as.i64, 0);
    assert_int_equal(fixture_accumulators(&f), 0);
    fixture_deinit(&f);
}

/* z_score adds the latest number to what var, std and mean keep, or reads what others keep of it.
 */
static void
test_scores_share_moments_and_the_latest_number(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(
        &f, FEATURE_OF("a", "z_score", AMOUNT) "," FEATURE_OF("b", "var", AMOUNT) "," FEATURE_OF(
                "c", "std", AMOUNT) "," FEATURE_OF("d", "mean", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 2);
    fixture_deinit(&f);
    fixture_init(&f);
    fixture_compile(&f, FEATURE_OF("a", "z_score", AMOUNT) "," FEATURE_OF(
                            "b", "delta_from_prev", AMOUNT) "," FEATURE_OF("c", "std", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 2);
    fixture_deinit(&f);
    fixture_init(&f);
    fixture_compile(&f, FEATURE_OF("a", "trend", AMOUNT) "," FEATURE_OF(
                            "b", "trend_residual", AMOUNT) "," FEATURE_OF("c", "z_score", AMOUNT));
    assert_int_equal(fixture_accumulators(&f), 3);
    fixture_deinit(&f);
    fixture_init(&f);
    fixture_compile(&f,
                    FEATURE("a", "hour_of_day_histogram") "," FEATURE("b", "dow_hour_histogram"));
    assert_int_equal(fixture_accumulators(&f), 1);
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_of_one_field_share),
        cmocka_unit_test(test_mean_reads_the_moments_that_are_there),
        cmocka_unit_test(test_predicates_windows_and_fields_keep_accumulators_apart),
        cmocka_unit_test(test_ratio_shares_its_counts),
        cmocka_unit_test(test_what_was_there_keeps_its_accumulators),
        cmocka_unit_test(test_new_features_share_only_with_new_ones),
        cmocka_unit_test(test_a_feature_without_its_column_is_blind),
        cmocka_unit_test(test_an_empty_value_that_depends_on_parameters_is_read),
        cmocka_unit_test(test_scores_share_moments_and_the_latest_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
