/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Names that come, go or change; the order of the lists. */

static void
expect_diff(const char *before, const char *after, const char *additive, const char *present,
            const char *destructive)
{
    struct world world;
    char expected[2048];

    world_init(&world);
    world_expect_ok(&world, before);
    (void)snprintf(expected, sizeof expected,
                   "{'diff':{'additive':[%s],'already_present':[%s],'destructive':[%s]},'errors':"
                   "[],'would_apply':false}",
                   additive, present, destructive);
    world_expect(&world, after, expected);
    world_deinit(&world);
}

static void
test_derivations_come_before_events_in_the_list_of_new_names(void **state)
{
    expect_diff(NODES(""),
                DRY(EVENT("Z", "'a':'str'") "," EVENT("B", "'a':'str'") "," TABLE_ON(
                    "T", "Z", "'a'", "", COUNT("c"))),
                "{'descriptor_kind':'derivation','kind':'new_descriptor','name':'T'},"
                "{'descriptor_kind':'event','kind':'new_descriptor','name':'B'},"
                "{'descriptor_kind':'event','kind':'new_descriptor','name':'Z'}",
                "", "");
}

static void
test_a_rename_is_seen_only_when_all_else_is_equal(void **state)
{
    expect_diff(NODES(EVENT("A", "'a':'str'")), DRY(EVENT("B", "'a':'str'")), "", "",
                "{'from':'A','kind':'rename','to':'B'}");
    expect_diff(NODES(EVENT("A", "'a':'str'")), DRY(EVENT("B", "'a':'i64'")),
                "{'descriptor_kind':'event','kind':'new_descriptor','name':'B'}", "",
                "{'agg':'','descriptor':true,'kind':'agg_removal','table':'A'}");
}

static void
test_renames_pair_by_name_order_whatever_the_payload_order(void **state)
{
    expect_diff(
        NODES(EVENT("B", "'a':'str'") "," EVENT("A", "'a':'str'")),
        DRY(EVENT("Y", "'a':'str'") "," EVENT("Z", "'a':'str'") "," EVENT("X", "'a':'str'")),
        "{'descriptor_kind':'event','kind':'new_descriptor','name':'Z'}", "",
        "{'from':'A','kind':'rename','to':'X'},{'from':'B','kind':'rename','to':'Y'}");
}

static void
test_renames_are_followed_along_upstreams(void **state)
{
    expect_diff(
        NODES(
            EVENT("E", "'a':'str'") "," DERIVED("Z", "E", "{'op':'drop','fields':[]}") "," DERIVED(
                "A", "Z", "{'op':'drop','fields':['a']}")),
        DRY(EVENT("F", "'a':'str'") "," DERIVED("Y", "F", "{'op':'drop','fields':[]}") "," DERIVED(
            "B", "Y", "{'op':'drop','fields':['a']}")),
        "", "",
        "{'from':'A','kind':'rename','to':'B'},{'from':'E','kind':'rename','to':'F'},"
        "{'from':'Z','kind':'rename','to':'Y'}");
}

static void
test_destructive_entries_are_sorted_by_kind_then_value(void **state)
{
    expect_diff(NODES(EVENT("E", "'u':'str','n':'i64'") "," EVENT("R", "'x':'str'") "," TABLE_ON(
                    "T", "E", "'u'", "", COUNT("a") "," COUNT("b")) "," TABLE_ON("V", "E", "'u'",
                                                                                 "", COUNT("v"))),
                DRY(EVENT("E", "'u':'str','n':'f64'") "," EVENT("S", "'x':'str'") "," TABLE_ON(
                    "T", "E", "'u'", "", "'a':{'op':'count','params':{'window':'1h'}}")),
                "", "",
                "{'from':'R','kind':'rename','to':'S'},"
                "{'field':'E.n','from':'i64','kind':'type_change','to':'f64'},"
                "{'agg':'b','kind':'agg_removal','table':'T'},"
                "{'agg':'','descriptor':true,'kind':'agg_removal','table':'V'},"
                "{'agg':'T.a','from':'','kind':'window_change','to':'1h'}");
}

static void
test_a_name_sent_twice_is_listed_twice(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("E", "'a':'str'")));
    world_send(&world, DRY(EVENT("E", "'a':'str'") "," EVENT("E", "'a':'str'")));
    assert_int_equal(value_find(value_find(&world.reply, "diff"), "already_present")->length, 2);
    assert_int_equal(value_find(&world.reply, "errors")->length, 1);
    world_deinit(&world);
}

static void
test_the_order_of_nodes_is_no_change(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("A", "'a':'str'") "," EVENT("B", "'a':'str'")));
    world_expect_ok(&world, NODES(EVENT("B", "'a':'str'") "," EVENT("A", "'a':'str'")));
    assert_false(world.last.installs);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derivations_come_before_events_in_the_list_of_new_names),
        cmocka_unit_test(test_a_rename_is_seen_only_when_all_else_is_equal),
        cmocka_unit_test(test_renames_pair_by_name_order_whatever_the_payload_order),
        cmocka_unit_test(test_renames_are_followed_along_upstreams),
        cmocka_unit_test(test_destructive_entries_are_sorted_by_kind_then_value),
        cmocka_unit_test(test_a_name_sent_twice_is_listed_twice),
        cmocka_unit_test(test_the_order_of_nodes_is_no_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
