/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/chain.h"
#include "registry/world.h"

/* Chain ops over columns: schema propagation and rule R6 (operators.md 6, 10.5). */

static void
test_each_bad_op_names_its_path(void **state)
{
    static const struct {
        const char *ops, *path, *fragment, *detail;
    } cases[] = {
        {"{'op':'filter','expr':'(nope > 1)'}", "nodes[1].ops[0].expr", "nope", "unknown_field"},
        {"{'op':'filter','expr':'n > 1'}", "nodes[1].ops[0].expr", "col ", "expression_parse"},
        {"{'op':'filter','expr':''}", "nodes[1].ops[0].expr", "col ", "expression_parse"},
        {"{'op':'filter','expr':'(n > `x`)'}", "nodes[1].ops[0]", "", "expression_type"},
        {"{'op':'filter','expr':'(frob(n) > 1)'}", "nodes[1].ops[0]", "frob", "expression_type"},
        {"{'op':'select','fields':['n','nope']}", "nodes[1].ops[0].expr", "'nope'",
         "unknown_field"},
        {"{'op':'drop','fields':['nope']}", "nodes[1].ops[0].expr", "'nope'", "unknown_field"},
        {"{'op':'drop','fields':['n']},{'op':'drop','fields':['n']}", "nodes[1].ops[1].expr", "'n'",
         "unknown_field"},
        {"{'op':'rename','mapping':{'nope':'x'}}", "nodes[1].ops[0].expr", "'nope'",
         "unknown_field"},
        {"{'op':'rename','mapping':{'n':'amount'}}", "nodes[1].ops[0].mapping", "'amount'",
         "rename_collision"},
        {"{'op':'rename','mapping':{'n':'x','amount':'x'}}", "nodes[1].ops[0].mapping", "'x'",
         "rename_collision"},
        {"{'op':'rename','mapping':{'n':'x'}},{'op':'filter','expr':'(n > 1)'}",
         "nodes[1].ops[1].expr", "n", "unknown_field"},
        {"{'op':'with_columns','exprs':{'b':'(a * 2)','z_a':'1'}}", "nodes[1].ops[0].expr", "a",
         "unknown_field"},
        {"{'op':'with_columns','exprs':{'a':'(user_id + 1)'}}", "nodes[1].ops[0]", "",
         "expression_type"},
        {"{'op':'cast','type_map':{'nope':'int'}}", "nodes[1].ops[0].expr", "'nope'",
         "unknown_field"},
        {"{'op':'cast','type_map':{'n':'i64'}}", "nodes[1].ops[0]", "'i64'", "cast_target"},
        {"{'op':'cast','type_map':{'raw':'str'}}", "nodes[1].ops[0]", "bytes", "cast_source"},
        {"{'op':'fillna','defaults':{'nope':0}}", "nodes[1].ops[0].expr", "'nope'",
         "unknown_field"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, NODES(TX "," DERIVED("D", "Tx", "%s")),
                       cases[i].ops);
        world_expect_refusal(&world, payload, "invalid_expression", cases[i].path,
                             cases[i].fragment);
        assert_string_equal(world_text(value_find(&world.reply, "error"), "detail"),
                            cases[i].detail);
    }
    world_deinit(&world);
}

static void
test_chains_that_must_register_do(void **state)
{
    static const char *const ops[] = {
        "{'op':'rename','mapping':{'n':'amount','amount':'n'}},{'op':'with_columns','exprs':{'x':"
        "'(amount + 1)'}}",
        "{'op':'rename','mapping':{'n':'n'}}",
        "{'op':'with_columns','exprs':{'a':'(n + 1)','b':'(a * 2)'}},{'op':'filter','expr':"
        "'(b > 3)'}",
        "{'op':'with_columns','exprs':{'a':'null'}},{'op':'filter','expr':'(a == `x`)'}",
        "{'op':'drop','fields':['n','n']},{'op':'with_columns','exprs':{'n':'1'}},{'op':'filter',"
        "'expr':'(n > 0)'}",
        "{'op':'select','fields':['n','n']},{'op':'filter','expr':'(n > 0)'}",
        "{'op':'cast','type_map':{'n':'str','amount':'int','ok':'int','user_id':'float'}},{'op':"
        "'filter','expr':'((n == `1`) and ((amount + ok) > user_id))'}",
        "{'op':'fillna','defaults':{'n':0,'ok':null}}",
        "{'op':'with_columns','exprs':{'c':'quadkey(amount, amount, 7)'}},{'op':'filter','expr':"
        "'(c > 1)'}",
        "{'op':'filter','expr':'(n == null)'}",
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, FORCED(TX "," DERIVED("D", "Tx", "%s")), ops[i]);
        world_expect_ok(&world, payload);
    }
    world_deinit(&world);
}

static void
test_six_hundred_nested_parentheses_are_too_deep(void **state)
{
    struct world world;
    struct buf expr;
    char *payload = malloc(8192);

    world_init(&world);
    buf_init(&expr);
    for (unsigned i = 0; i < 600; i++) {
        buf_byte(&expr, '(');
    }
    buf_text(&expr, "n > 1");
    for (unsigned i = 0; i < 600; i++) {
        buf_byte(&expr, ')');
    }
    buf_byte(&expr, '\0');
    (void)snprintf(payload, 8192, NODES(TX "," DERIVED("D", "Tx", "{'op':'filter','expr':'%s'}")),
                   (const char *)expr.data);
    world_expect_refusal(&world, payload, "invalid_expression", "nodes[1].ops[0].expr", "depth");
    (void)snprintf(payload, 8192,
                   NODES(TX "," TABLE("T", "'c':{'op':'count','params':{'where':'%s'}}")),
                   (const char *)expr.data);
    world_expect_refusal(&world, payload, "aggregation_invalid_where",
                         "nodes[1].ops[0].agg.c.params.where", "depth");
    buf_deinit(&expr);
    free(payload);
    world_deinit(&world);
}

static void
test_a_filter_that_is_no_boolean_is_warned_of(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_warning(&world,
                         NODES(TX "," DERIVED("D", "Tx", "{'op':'filter','expr':'(n + 1)'}")),
                         "nodes[1].ops[0].expr", "lets nothing through");
    assert_int_equal(world.last.status, BV_OK);
    world_deinit(&world);
}

static void
test_a_chain_on_a_broken_chain_is_not_blamed(void **state)
{
    struct world world;

    world_init(&world);
    world_send(
        &world,
        NODES(TX "," DERIVED("A", "Tx", "{'op':'drop','fields':['nope']}") "," DERIVED(
            "B", "A",
            "{'op':'filter','expr':'(n > 1)'}") "," DERIVED("C", "Tx",
                                                            "{'op':'drop','fields':['nada']}")));
    const struct value *errors = value_find(value_find(&world.reply, "error"), "errors");

    assert_int_equal(errors->length, 2);
    assert_string_equal(world_text(&errors->as.items[1], "path"), "nodes[3].ops[0].expr");
    world_deinit(&world);
}

static void
test_the_nearest_column_is_suggested(void **state)
{
    struct world world;

    world_init(&world);
    world_send(&world, NODES(TX "," DERIVED("D", "Tx", "{'op':'drop','fields':['amuont']}")));
    assert_string_equal(world_text(value_find(&world.reply, "error"), "hint"),
                        "did you mean \"amount\"?");
    world_deinit(&world);
}

static void
test_a_copy_of_a_chain_leaves_the_original_alone(void **state)
{
    const struct row_field field = {.name = {(const uint8_t *)"a", 1}, .type = FIELD_I64};
    struct expr_column column = {.name = field.name, .type = FIELD_I64, .node = 0};
    struct expr_graph *graph;
    struct chain chain, copy;
    struct arena arena;
    struct report report;

    arena_init(&arena, 1024, 0);
    report_init(&report, &arena);
    assert_int_equal(expr_graph_create(&graph, &field, 1, NULL), BV_OK);
    chain_init(&chain, &arena, graph, 0);
    assert_true(chain_put(&chain, &column, false));
    assert_true(chain_copy(&copy, &chain));
    column.name = slice_text("b");
    assert_true(chain_put(&copy, &column, true));
    assert_null(chain_find(&chain, slice_text("b")));
    assert_true(chain_find(&copy, slice_text("b"))->is_absent);
    assert_non_null(chain_find(&copy, slice_text("a")));
    expr_graph_destroy(graph);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_bad_op_names_its_path),
        cmocka_unit_test(test_chains_that_must_register_do),
        cmocka_unit_test(test_six_hundred_nested_parentheses_are_too_deep),
        cmocka_unit_test(test_a_filter_that_is_no_boolean_is_warned_of),
        cmocka_unit_test(test_a_chain_on_a_broken_chain_is_not_blamed),
        cmocka_unit_test(test_the_nearest_column_is_suggested),
        cmocka_unit_test(test_a_copy_of_a_chain_leaves_the_original_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
