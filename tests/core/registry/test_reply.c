/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Bodies byte for byte (wire.md 4.9). */

static void
test_a_refusal_carries_everything_a_client_may_want(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(
        &world,
        NODES(TX "," TABLE("T", "'s':{'op':'sum','params':{'field':'amuont'}},'t':{'op':'count',"
                                "'params':{'window':'x'}}")),
        "{'error':{'code':'aggregation_unknown_field','detail':'unknown_field','errors':[{'code':"
        "'aggregation_unknown_field','detail':'unknown_field','hint':'did you mean \\'amount\\'?',"
        "'message':'~sum~ reads unknown field `amuont`','path':"
        "'nodes[1].ops[0].agg.s.params.field','reason':'~sum~ reads unknown field `amuont`'},{"
        "'code':'aggregation_invalid_window','detail':'window_text','hint':'digits and one of ms, "
        "s, m, h, d, or \\'forever\\'','message':'invalid window `x`','path':"
        "'nodes[1].ops[0].agg.t.params.window','reason':'invalid window `x`'}],'hint':'did you "
        "mean \\'amount\\'?','message':'~sum~ reads unknown field `amuont`','path':"
        "'nodes[1].ops[0].agg.s.params.field','reason':'~sum~ reads unknown field `amuont`'},"
        "'registry_version':0}");
    world_deinit(&world);
}

static void
test_force_required_carries_the_diff(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("E", "'a':'str'")));
    world_expect(&world, "{'nodes':[]}",
                 "{'error':{'code':'force_required','diff':{'additive':[],'already_present':[],"
                 "'destructive':[{'agg':'','descriptor':true,'kind':'agg_removal','table':'E'}]},"
                 "'hint':'dry_run shows what would be lost','message':'Destructive registry change "
                 "requires force=true. See diff for details.','reason':'Destructive registry "
                 "change requires force=true. See diff for details.'},'registry_version':1}");
    world_deinit(&world);
}

static void
test_the_published_example_of_a_dry_run_has_its_members(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(&world, DRY(EVENT("E", "'a':'str'")),
                 "{'diff':{'additive':[{'descriptor_kind':'event','kind':'new_descriptor','name':"
                 "'E'}],'already_present':[],'destructive':[]},'errors':[],'would_apply':false}");
    world_deinit(&world);
}

static void
test_a_dry_run_takes_the_state_of_the_tables(void **state)
{
    struct world world;
    struct buf body;

    world_init(&world);
    world_send(&world, DRY(EVENT("E", "'a b':'str'")));
    buf_init(&body);
    registration_reply(&body, &world.last, slice_text("[{\"table\":\"T\"}]"));
    buf_byte(&body, '\0');
    assert_non_null(strstr((const char *)body.data,
                           ",\"errors\":[],\"state\":[{\"table\":\"T\"}],\"warnings\":[{"));
    buf_deinit(&body);
    world_deinit(&world);
}

static void
test_a_failure_of_the_log_takes_the_place_of_success(void **state)
{
    struct world world;
    struct buf body;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("E", "'a':'str'")));
    registration_deinit(&world.last);
    const char payload[] = "{\"nodes\":[{\"kind\":\"event\",\"name\":\"E\",\"schema\":{\"fields\":"
                           "{\"a\":\"str\",\"b\":\"str\"}}}]}";

    assert_int_equal(
        registration_prepare(&world.last, world.registry, slice_text(payload), 0, NULL), BV_OK);
    assert_true(world.last.installs);
    world.last.status = bv_error_set(&world.last.error, BV_WAL_UNAVAILABLE,
                                     "WAL append for registry bump failed; registry not mutated");
    buf_init(&body);
    registration_reply(&body, &world.last, slice_of(NULL, 0));
    buf_byte(&body, '\0');
    assert_string_equal(
        (const char *)body.data,
        "{\"error\":{\"code\":\"wal_unavailable\",\"message\":\"WAL append for registry bump "
        "failed; registry not mutated\",\"reason\":\"WAL append for registry bump failed; "
        "registry not mutated\"},\"registry_version\":1}");
    buf_deinit(&body);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refusal_carries_everything_a_client_may_want),
        cmocka_unit_test(test_force_required_carries_the_diff),
        cmocka_unit_test(test_the_published_example_of_a_dry_run_has_its_members),
        cmocka_unit_test(test_a_dry_run_takes_the_state_of_the_tables),
        cmocka_unit_test(test_a_failure_of_the_log_takes_the_place_of_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
