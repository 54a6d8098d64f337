/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Ops: what is refused by shape, and what their canonical form is. */

static void
test_an_op_of_the_wrong_shape_is_refused(void **state)
{
    static const struct {
        const char *op, *fragment;
    } cases[] = {
        {"{'op':'explode'}", "unknown variant `explode`"},
        {"{'op':''}", "unknown variant ``"},
        {"{}", "missing field `op`"},
        {"{'op':5}", "`op`"},
        {"'filter'", "`ops`"},
        {"{'op':'filter'}", "missing field `expr`"},
        {"{'op':'filter','expr':5}", "`expr`"},
        {"{'op':'filter','expr':'(n > 1)','expr':'(n > 1)'}", "duplicate field `expr`"},
        {"{'op':'select'}", "missing field `fields`"},
        {"{'op':'select','fields':'a'}", "`fields`"},
        {"{'op':'drop','fields':[1]}", "`fields`"},
        {"{'op':'rename'}", "missing field `mapping`"},
        {"{'op':'rename','mapping':{'a':1}}", "`mapping`"},
        {"{'op':'with_columns'}", "missing field `exprs`"},
        {"{'op':'map','exprs':[]}", "`exprs`"},
        {"{'op':'cast'}", "missing field `type_map`"},
        {"{'op':'fillna'}", "missing field `defaults`"},
        {"{'op':'group_by'}", "missing field `agg`"},
        {"{'op':'group_by','agg':{}}", "missing field `keys`"},
        {"{'op':'group_by','agg':{'f':1},'keys':[]}", "`agg`"},
        {"{'op':'group_by','agg':{'f':{}},'keys':[]}", "missing field `op`"},
        {"{'op':'group_by','agg':{'f':{'op':'count','op':'sum'}},'keys':[]}",
         "duplicate field `op`"},
        {"{'op':'group_by','agg':{'f':{'op':'count','params':3}},'keys':[]}", "`params`"},
        {"{'op':'group_by','agg':{'f':{'op':'count'}},'keys':[1]}", "`keys`"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, NODES(TX "," DERIVED("D", "Tx", "%s")),
                       cases[i].op);
        world_expect_refusal(&world, payload, "invalid_registration", "<body>", cases[i].fragment);
    }
    world_deinit(&world);
}

/* Both register as the same thing. */
static void
expect_same(const char *ops, const char *others)
{
    struct world world;
    char payload[1024];

    world_init(&world);
    (void)snprintf(payload, sizeof payload, NODES(TX "," DERIVED("D", "Tx", "%s")), ops);
    world_expect_ok(&world, payload);
    (void)snprintf(payload, sizeof payload, NODES(TX "," DERIVED("D", "Tx", "%s")), others);
    world_expect_ok(&world, payload);
    if (world.last.installs) {
        fail_msg("%s\nis not the same as\n%s", ops, others);
    }
    world_deinit(&world);
}

static void
test_writing_an_op_differently_does_not_change_it(void **state)
{
    expect_same("{'op':'filter','expr':'(n > 1)'}", "{'zz':1,'expr':'(n > 1)','op':'filter'}");
    expect_same("{'op':'with_columns','exprs':{'a':'(n + 1)','b':'(n + 2)'}}",
                "{'op':'map','exprs':{'b':'(n + 3)','a':'(n + 1)','b':'(n + 2)'}}");
    expect_same("{'op':'fillna','defaults':{'n':[1]}}", "{'op':'fillna','defaults':{'n':null}}");
    expect_same("{'op':'group_by','keys':[],'agg':{'a':{'op':'count'},'b':{'op':'count'}}}",
                "{'agg':{'b':{'op':'count','params':null},'a':{'params':{'window':null,'x':1},"
                "'op':'count'}},'keys':[],'op':'group_by'}");
}

static void
test_defaults_leave_what_is_given(void **state)
{
    /* A default that sorts before them moves what is given. */
    expect_same("{'op':'group_by','keys':[],'agg':{'a':{'op':'bloom_member','params':{'field':"
                "'n','target_fpr':0.5}}}}",
                "{'op':'group_by','keys':[],'agg':{'a':{'op':'bloom_member','params':{'field':"
                "'n','target_fpr':0.5,'expected_n':1024}}}}");
}

static void
test_unknown_parameters_are_ignored_with_a_warning(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_warning(
        &world, NODES(TX "," TABLE("T", "'c':{'op':'count','params':{'expr':'x','field':'n'}}")),
        "nodes[1].ops[0].agg.c.params.expr", "`count` has no parameter 'expr'");
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_op_of_the_wrong_shape_is_refused),
        cmocka_unit_test(test_writing_an_op_differently_does_not_change_it),
        cmocka_unit_test(test_defaults_leave_what_is_given),
        cmocka_unit_test(test_unknown_parameters_are_ignored_with_a_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
