/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Memory governance, operators.md 4.2 A and 10.6. */

#define REASON "requires explicit memory bound in v0"

static void
test_ops_without_a_bound_are_refused_by_name_and_parameter(void **state)
{
    static const struct {
        const char *spec, *op, *param;
    } cases[] = {
        {"{'op':'avg','params':{'field':'amount'}}", "`avg`", ""},
        {"{'op':'histogram','params':{'field':'amount'}}", "`histogram`", "`buckets`"},
        {"{'op':'histogram','params':{'field':'amount','buckets':[]}}", "`histogram`", "`buckets`"},
        {"{'op':'first_n','params':{'field':'amount'}}", "`first_n`", "`n`"},
        {"{'op':'first_n','params':{'field':'amount','n':0}}", "`first_n`", "`n`"},
        {"{'op':'last_n','params':{'n':-1}}", "`last_n`", "`n`"},
        {"{'op':'lag','params':{'n':'3'}}", "`lag`", "`n`"},
        {"{'op':'lag','params':{'n':2.0}}", "`lag`", "`n`"},
        {"{'op':'time_since_last_n'}", "`time_since_last_n`", "`n`"},
        {"{'op':'most_recent_n','params':null}", "`most_recent_n`", "`n`"},
        {"{'op':'reservoir_sample','params':{'k':5}}", "`reservoir_sample`", "`samples`"},
        {"{'op':'nobody_knows_me'}", "`nobody_knows_me`", ""},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, NODES(TX "," TABLE("T", "'f':%s")), cases[i].spec);
        world_expect_refusal(&world, payload, "unbounded_op_in_lifetime_mode",
                             "nodes[1].T.ops[0].agg.f", REASON);
        const char *reason = world_text(value_find(&world.reply, "error"), "reason");

        assert_non_null(strstr(reason, cases[i].op));
        assert_non_null(strstr(reason, cases[i].param));
        assert_non_null(strstr(reason, "windowed=\"60s\""));
    }
    world_deinit(&world);
}

static void
test_a_window_string_of_any_kind_is_bound_enough_for_governance(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_refusal(
        &world,
        NODES(TX "," TABLE("T", "'f':{'op':'avg','params':{'field':'amount','window':'1h'}}")),
        "aggregation_unknown_op", "nodes[1].ops[0].agg.f.op", "avg");
    world_expect_refusal(
        &world, NODES(TX "," TABLE("T", "'f':{'op':'lag','params':{'field':'n','window':'x'}}")),
        "aggregation_unknown_field", "nodes[1].ops[0].agg.f.params.n", "`lag`");
    world_expect_refusal(
        &world,
        NODES(TX
              "," TABLE("T", "'f':{'op':'reservoir_sample','params':{'samples':5,'window':60}}")),
        "aggregation_invalid_window", "nodes[1].ops[0].agg.f.params.window", "lifetime");
    world_deinit(&world);
}

static void
test_features_are_judged_in_name_order_and_the_last_of_a_name_counts(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_refusal(&world,
                         NODES(TX "," TABLE("T", "'z':{'op':'avg'},'b':{'op':'avg'},'a':{'op':"
                                                 "'avg'},'a':{'op':'count'}")),
                         "unbounded_op_in_lifetime_mode", "nodes[1].T.ops[0].agg.b", REASON);
    world_expect_refusal(
        &world, NODES("{'kind':'derivation','name':'','ops':[{'agg':{'a':{'op':'avg'}}}]}"),
        "unbounded_op_in_lifetime_mode", "nodes[0].ops[0].agg.a", REASON);
    world_deinit(&world);
}

static void
test_governance_can_be_switched_off(void **state)
{
    struct world world;

    world_init(&world);
    world.flags = REGISTER_NO_MEMORY_GOVERNANCE;
    world_expect_refusal(&world, NODES(TX "," TABLE("T", "'f':{'op':'avg'}")),
                         "aggregation_unknown_op", "nodes[1].ops[0].agg.f.op", "avg");
    world_deinit(&world);
}

static void
test_an_unknown_operator_gets_the_nearest_name_as_a_hint(void **state)
{
    struct world world;

    world_init(&world);
    world_send(&world, NODES(TX "," TABLE("T", "'f':{'op':'avg'}")));
    assert_non_null(strstr(world_text(value_find(&world.reply, "error"), "hint"), "mean"));
    world_send(&world, NODES(TX "," TABLE("T", "'f':{'op':'cout','params':{'window':'1m'}}")));
    assert_non_null(strstr(world_text(value_find(&world.reply, "error"), "hint"), "count"));
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops_without_a_bound_are_refused_by_name_and_parameter),
        cmocka_unit_test(test_a_window_string_of_any_kind_is_bound_enough_for_governance),
        cmocka_unit_test(test_features_are_judged_in_name_order_and_the_last_of_a_name_counts),
        cmocka_unit_test(test_governance_can_be_switched_off),
        cmocka_unit_test(test_an_unknown_operator_gets_the_nearest_name_as_a_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
