/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Tables: where their rows come from, their keys, and names across tables. */

static const struct resolved_table *
table_of(const struct world *world, const char *name, size_t *source)
{
    for (size_t s = 0; s < world->registry->source_count; s++) {
        for (size_t t = 0; t < world->registry->sources[s].table_count; t++) {
            const struct resolved_table *table = &world->registry->sources[s].tables[t];

            if (slice_equal(table->name, slice_text(name))) {
                *source = s;
                return table;
            }
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

/* The canonical text of a node. */
static void
expect_node(const struct world *world, size_t source, uint32_t node, const char *fragment)
{
    struct buf text;

    buf_init(&text);
    expr_graph_text(&text, world->registry->sources[source].graph, node);
    buf_byte(&text, '\0');
    assert_non_null(strstr((const char *)text.data, fragment));
    buf_deinit(&text);
}

static void
test_a_table_on_a_derived_event_is_fed_by_its_source(void **state)
{
    struct world world;
    size_t source;

    world_init(&world);
    world_expect_ok(
        &world,
        NODES(EVENT(
            "Other",
            "'a':'str'") "," TX
                         "," DERIVED("A", "Tx", "{'op':'filter','expr':'(n > 1)'}") "," DERIVED(
                             "B", "A",
                             "{'op':'with_columns','exprs':{'twice':'(n * "
                             "2)'}},{'op':'rename','mapping':"
                             "{'user_id':'who'}}") "," TABLE_ON("T", "B", "'who'",
                                                                "{'op':'filter','expr':'(twice < "
                                                                "100)'},",
                                                                "'s':{'op':'sum','params':{'field':"
                                                                "'twice'}}")));
    const struct resolved_table *table = table_of(&world, "T", &source);

    assert_int_equal(source, 1);
    assert_int_equal(table->filter_count, 2);
    assert_int_equal(table->key_count, 1);
    assert_int_equal(table->keys[0], 0);
    assert_true(slice_equal(table->key_names[0], slice_text("who")));
    expect_node(&world, source, table->features[0].inputs[0], "n");
    assert_int_equal(table->features[0].input_types[0], FIELD_I64);
    expect_node(&world, source, table->filters[0], "n");
    world_deinit(&world);
}

static void
test_inlined_and_derived_chains_resolve_to_the_same_nodes(void **state)
{
    struct world world;
    size_t source;

    world_init(&world);
    world_expect_ok(
        &world,
        NODES(TX "," DERIVED(
            "A", "Tx",
            "{'op':'filter','expr':'(n > 1)'},{'op':'cast','type_map':{"
            "'n':'str'}}") "," TABLE_ON("T", "A", "'n'", "",
                                        COUNT(
                                            "a")) "," TABLE_ON("U", "Tx", "'n'",
                                                               "{'op':'filter','expr':'(n > "
                                                               "1)'},{'op':'cast','type_map':{'n':"
                                                               "'str'}},",
                                                               COUNT("b"))));
    const struct resolved_table *left = table_of(&world, "T", &source);
    const struct resolved_table *right = table_of(&world, "U", &source);

    assert_int_equal(left->filters[0], right->filters[0]);
    assert_int_equal(left->keys[0], right->keys[0]);
    world_deinit(&world);
}

static void
test_each_bad_table_names_code_and_path(void **state)
{
    static const struct {
        const char *nodes, *code, *path, *fragment;
    } cases[] = {
        {"{'kind':'derivation','name':'T','output_kind':'table','upstreams':[],'ops':[{'op':"
         "'group_by','keys':[],'agg':{}}],'table_primary_key':[]}",
         "aggregation_on_table_not_supported", "nodes[1].upstreams", "upstream"},
        {TABLE("A", COUNT("a")) "," TABLE_ON("T", "A", "'user_id'", "", COUNT("c")),
         "aggregation_on_table_not_supported", "nodes[2].upstreams[0]", "'A'"},
        {"{'kind':'derivation','name':'A','output_kind':'table','upstreams':['Tx'],'ops':[{'op':"
         "'filter','expr':'(n > 1)'}],'table_primary_key':['user_id'],'schema':{'fields':{"
         "'user_id':'str'}}}," TABLE_ON("T", "A", "'user_id'", "", COUNT("c")),
         "aggregation_on_table_not_supported", "nodes[2].upstreams[0]", "'A'"},
        {"{'kind':'derivation','name':'A','output_kind':'event','upstreams':[],'schema':{'fields':"
         "{'u':'str'}}}," TABLE_ON("T", "A", "'u'", "", COUNT("c")),
         "aggregation_on_table_not_supported", "nodes[2].upstreams[0]", "no event source"},
        {TABLE_ON("T", "Tx", "'user_id','nope'", "", COUNT("c")), "aggregation_unknown_field",
         "nodes[1].ops[0].group_by[1]", "'nope'"},
        {TABLE_ON("T", "Tx", "'amount'", "", COUNT("c")), "aggregation_unknown_field",
         "nodes[1].ops[0].group_by[0]", "cannot be float-typed"},
        {TABLE_ON("T", "Tx", "'x'", "{'op':'with_columns','exprs':{'x':'(n / 2.0)'}},", COUNT("c")),
         "aggregation_unknown_field", "nodes[1].ops[1].group_by[0]", "cannot be float-typed"},
        {TABLE_ON("T", "Tx", "'user_id'", "{'op':'select','fields':['user_id','n']},",
                  "'s':{'op':'sum','params':{'field':'amount'}}"),
         "aggregation_unknown_field", "nodes[1].ops[1].agg.s.params.field", "'amount'"},
        {TABLE_ON("T", "Tx", "'user_id'", "{'op':'rename','mapping':{'amount':'value'}},",
                  "'s':{'op':'sum','params':{'field':'amount'}}"),
         "aggregation_unknown_field", "nodes[1].ops[1].agg.s.params.field", "'amount'"},
        {TABLE("A", COUNT("cnt")) "," TABLE("B", COUNT("cnt")),
         "aggregation_feature_name_collision_across_aggregations", "nodes.B.features.cnt", "'cnt'"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[2048];

        (void)snprintf(payload, sizeof payload, NODES(TX ",%s"), cases[i].nodes);
        world_expect_refusal(&world, payload, cases[i].code, cases[i].path, cases[i].fragment);
    }
    world_deinit(&world);
}

static void
test_columns_of_a_derived_event_beside_a_table_are_known_and_null(void **state)
{
    struct world world;
    size_t source;
    const char *nodes = NODES(TX "," TABLE(
        "T", "'s':{'op':'sum','params':{'field':'twice'}},'w':{'op':'count',"
             "'params':{'where':'(twice > 1)'}}") "," DERIVED("A", "Tx",
                                                              "{'op':'with_columns','exprs':{'"
                                                              "twice':'(n * 2)'}}"));

    world_init(&world);
    world_expect_warning(&world, nodes, "nodes[1].ops[0].agg.s.params.field", "'twice'");
    const struct resolved_table *table = table_of(&world, "T", &source);

    assert_int_equal(table->features[0].inputs[0], EXPR_NODE_NONE);
    assert_int_not_equal(table->features[1].where, EXPR_NODE_NONE);
    world_expect_warning(&world, nodes, "nodes[1].ops[0].agg.w.params.where", "never have");
    /* With ops of its own a table sees only its own columns. */
    world_expect_refusal(
        &world,
        FORCED(TX "," TABLE_ON(
            "T", "Tx", "'user_id'", "{'op':'drop','fields':[]},",
            "'s':{'op':'sum','params':{'field':'twice'}}") "," DERIVED("A", "Tx",
                                                                       "{'op':'with_columns','"
                                                                       "exprs':{'twice':'(n * "
                                                                       "2)'}}")),
        "aggregation_unknown_field", "nodes[1].ops[1].agg.s.params.field", "'twice'");
    world_deinit(&world);
}

static void
test_only_the_first_of_several_upstreams_feeds(void **state)
{
    struct world world;
    size_t source;

    world_init(&world);
    world_expect_ok(&world,
                    NODES(EVENT("A", "'u':'str','x':'i64'") "," EVENT(
                        "B", "'u':'str','y':'i64'") ","
                                                    "{'kind':'derivation','name':'T','output_kind':"
                                                    "'table','upstreams':['A','B'],'ops':["
                                                    "{'op':'group_by','keys':['u'],'agg':{'s':{'op'"
                                                    ":'sum','params':{'field':'x'}},'t':{"
                                                    "'op':'sum','params':{'field':'y'}}}}],'table_"
                                                    "primary_key':['u']}"));
    const struct resolved_table *table = table_of(&world, "T", &source);

    assert_int_equal(source, 0);
    assert_int_equal(world.registry->source_count, 2);
    assert_int_equal(table->features[0].inputs[0], 1);
    assert_int_equal(table->features[1].inputs[0], EXPR_NODE_NONE);
    world_deinit(&world);
}

static void
test_global_and_composite_tables_have_their_keys(void **state)
{
    struct world world;
    size_t source;

    world_init(&world);
    world_expect_ok(&world, NODES(TX "," TABLE_ON("G", "Tx", "", "", COUNT("g")) "," TABLE_ON(
                                "C", "Tx", "'user_id','n'", "",
                                COUNT("c")) "," TABLE_ON("B", "Tx", "'ok'", "", COUNT("b"))));
    assert_int_equal(table_of(&world, "G", &source)->key_count, 0);
    assert_int_equal(table_of(&world, "C", &source)->key_count, 2);
    assert_int_equal(table_of(&world, "C", &source)->keys[1], 2);
    assert_int_equal(world.registry->sources[0].table_count, 3);
    assert_true(slice_equal(world.registry->sources[0].tables[0].name, slice_text("G")));
    world_deinit(&world);
}

static void
test_a_primary_key_that_is_not_the_group_key_is_warned_of(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_warning(
        &world,
        NODES(TX ",{'kind':'derivation','name':'T','output_kind':'table','upstreams':['Tx'],'ops':"
                 "[{'op':'group_by','keys':['user_id'],'agg':{}}],'table_primary_key':['n']}"),
        "nodes[1].table_primary_key", "differs");
    world_deinit(&world);
}

static void
test_a_group_by_makes_a_table_whatever_the_output_kind(void **state)
{
    struct world world;
    size_t source;

    world_init(&world);
    world_expect_ok(&world,
                    NODES(TX "," DERIVED(
                        "T", "Tx", "{'op':'group_by','keys':['user_id'],'agg':{" COUNT("c") "}}")));
    assert_int_equal(table_of(&world, "T", &source)->feature_count, 1);
    world_deinit(&world);
}

static void
test_a_derivation_of_a_table_sees_the_schema_that_was_sent(void **state)
{
    struct world world;
    const char *nodes =
        NODES(TX ",{'kind':'derivation','name':'T','output_kind':'table','upstreams':['Tx'],'ops':"
                 "[{'op':'group_by','keys':['user_id'],'agg':{'c':{'op':'count'}}}],"
                 "'table_primary_key':['user_id'],'schema':{'fields':{'user_id':'str','c':'i64'}}"
                 "}," DERIVED("D", "T", "{'op':'filter','expr':'(%s > 1)'}"));
    char payload[1024];

    world_init(&world);
    (void)snprintf(payload, sizeof payload, nodes, "c");
    world_expect_ok(&world, payload);
    (void)snprintf(payload, sizeof payload, nodes, "amount");
    world_send(&world, payload);
    assert_int_equal(world.last.status, BV_FORCE_REQUIRED);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_on_a_derived_event_is_fed_by_its_source),
        cmocka_unit_test(test_inlined_and_derived_chains_resolve_to_the_same_nodes),
        cmocka_unit_test(test_each_bad_table_names_code_and_path),
        cmocka_unit_test(test_columns_of_a_derived_event_beside_a_table_are_known_and_null),
        cmocka_unit_test(test_only_the_first_of_several_upstreams_feeds),
        cmocka_unit_test(test_global_and_composite_tables_have_their_keys),
        cmocka_unit_test(test_a_primary_key_that_is_not_the_group_key_is_warned_of),
        cmocka_unit_test(test_a_group_by_makes_a_table_whatever_the_output_kind),
        cmocka_unit_test(test_a_derivation_of_a_table_sees_the_schema_that_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
