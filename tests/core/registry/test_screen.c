/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* What is refused by name, steps 2 to 4 of wire.md 4.4. */

struct refusal {
    const char *payload, *code, *path, *fragment;
};

static void
test_each_screen_names_code_path_and_reason(void **state)
{
    static const struct refusal cases[] = {
        {NODES(TX ",{'kind':'derivation','name':'J','output_kind':'event','upstreams':['Tx'],"
                  "'ops':[{'op':'join'}]}"),
         "feature_removed_no_joins_v0", "nodes[1].J.ops[0]", "join"},
        {NODES(TX ",{'kind':'derivation','name':'J','ops':[{'op':'filter'},{'op':'union'},{'op':"
                  "'join'}]}"),
         "feature_removed_no_unions_v0", "nodes[1].J.ops[1]", "union"},
        {NODES("{'kind':'derivation','ops':[{'op':'join'}]}"), "feature_removed_no_joins_v0",
         "nodes[0].ops[0]", "join"},
        {NODES("{'kind':'derivation','name':7,'ops':[3,{'op':'join'}]}"),
         "feature_removed_no_joins_v0", "nodes[0].ops[1]", "join"},
        {NODES("{'kind':'event','name':'E','event_time_field':'t','schema':{'fields':{'t':'i64'}}"
               "}"),
         "unknown_field_event_time_v0", "nodes[0].E.event_time_field", "event_time_field"},
        {NODES("{'kind':'event','name':'E','event_time_field':null}"),
         "unknown_field_event_time_v0", "nodes[0].E.event_time_field", ""},
        {NODES("{'name':'E','tolerate_delay_ms':5}"), "unknown_field_tolerate_delay_v0",
         "nodes[0].E.tolerate_delay_ms", "tolerate_delay_ms"},
        {NODES("{'kind':'table','name':'X'}"), "unsupported_node_kind", "nodes[0].X.kind",
         "not supported in v0"},
        {NODES("{'kind':'table'}"), "unsupported_node_kind", "nodes[0].kind", "events-only"},
        {"{'descriptors':[{'kind':'table','name':'X'}]}", "unsupported_node_kind",
         "nodes[0].X.kind", "table"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_expect_refusal(&world, cases[i].payload, cases[i].code, cases[i].path,
                             cases[i].fragment);
    }
    world_deinit(&world);
}

static void
test_the_reason_for_a_node_kind_does_not_speak_of_removed_features(void **state)
{
    struct world world;

    world_init(&world);
    const char *body = world_send(&world, NODES("{'kind':'table','name':'X'}"));

    assert_null(strstr(body, "feature removed"));
    assert_null(strstr(body, "feature_removed_no_tables_v0"));
    world_deinit(&world);
}

static void
test_an_event_may_have_ops_that_nobody_reads(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_warning(&world,
                         NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'ops':"
                               "[{'op':'join'}]}"),
                         "nodes[0].ops", "unknown member 'ops'");
    assert_int_equal(world.last.status, BV_OK);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_screen_names_code_path_and_reason),
        cmocka_unit_test(test_the_reason_for_a_node_kind_does_not_speak_of_removed_features),
        cmocka_unit_test(test_an_event_may_have_ops_that_nobody_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
