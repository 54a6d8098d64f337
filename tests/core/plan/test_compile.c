/* SPDX-License-Identifier: Apache-2.0 */
/* Registries into plans: the same declarations give the same plan, and a plan frees all it owns. */
#include "plan_fixture.h"

static void
test_the_same_declarations_give_the_same_layout(void **state)
{
    struct fixture one;
    struct fixture two;
    static const char agg[] = FEATURE("a", "count") "," FEATURE_OF(
        "b", "mean", AMOUNT ",\"window\":\"1h\"") "," FEATURE_OF("c", "var",
                                                                 AMOUNT ",\"where\":\"(n > 3)\"");

    (void)state;
    fixture_init(&one);
    fixture_init(&two);
    fixture_compile(&one, agg);
    fixture_compile(&two, agg);
    assert_true(plan_layout_equal(fixture_table(&one)->layout, fixture_table(&two)->layout));
    assert_int_equal(one.plan->source_count, 1);
    assert_int_equal(one.plan->table_count, 1);
    fixture_compile(
        &two,
        FEATURE("0", "count") "," FEATURE_OF("b2", "sum", AMOUNT) "," FEATURE(
            "a",
            "count") "," FEATURE_OF("b", "mean",
                                    AMOUNT
                                    ",\"window\":\"1h\"") "," FEATURE_OF("c", "var",
                                                                         AMOUNT
                                                                         ",\"where\":\"(n > 3)\""));
    assert_false(plan_layout_equal(fixture_table(&one)->layout, fixture_table(&two)->layout));
    fixture_deinit(&one);
    fixture_deinit(&two);
}

static void
test_an_empty_registry_has_an_empty_plan(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    assert_int_equal(plan_compile(&f.plan, f.registry, NULL, NULL, 0, NULL, 0, 0, NULL), BV_OK);
    assert_int_equal(f.plan->source_count, 0);
    assert_null(plan_find_table(f.plan, slice_text("T")));
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_declarations_give_the_same_layout),
        cmocka_unit_test(test_an_empty_registry_has_an_empty_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
