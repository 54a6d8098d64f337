/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Step 6: the shape of bodies and nodes. */

static void
test_shape_errors_read_like_the_published_ones(void **state)
{
    static const struct {
        const char *payload, *fragment;
    } cases[] = {
        {"{'not_nodes':[]}", "missing field `nodes` at line 1 column 16"},
        {"{}", "missing field `nodes` at line 1 column 2"},
        {"{\n }\n", "missing field `nodes` at line 2 column 2"},
        {"[]", "invalid type: sequence"},
        {"5", "invalid type: integer"},
        {"{'nodes':{}}", "invalid type: map, expected a sequence for `nodes`"},
        {"{'nodes':null}", "`nodes`"},
        {"{'nodes':[],'nodes':[]}", "duplicate field `nodes`"},
        {NODES("5"), "invalid type: integer"},
        {NODES("{'name':'E'}"), "missing field `kind`"},
        {NODES("{'kind':''}"), "unknown variant ``"},
        {NODES("{'kind':1}"), "`kind`"},
        {NODES("{'kind':'event','schema':{'fields':{}}}"), "missing field `name`"},
        {NODES("{'kind':'event','name':'E'}"), "missing field `schema`"},
        {NODES("{'kind':'event','name':'E','schema':{}}"), "missing field `fields`"},
        {NODES("{'kind':'event','name':'E','schema':null}"), "`schema`"},
        {NODES("{'kind':'event','name':'E','name':'E','schema':{'fields':{}}}"),
         "duplicate field `name`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'string'}}}"),
         "unknown variant `string`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'STR'}}}"),
         "unknown variant `STR`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':1}}}"), "`fields`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{},'optional_fields':null}}"),
         "`optional_fields`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{},'optional_fields':[1]}}"),
         "`optional_fields`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':1}"),
         "`dedupe_key`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'cold_after_ms':-1}"),
         "integer `-1`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'cold_after_ms':1.5}"),
         "`cold_after_ms`"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},"
               "'registered_at_version':'x'}"),
         "`registered_at_version`"},
        {NODES("{'kind':'derivation','name':'D','upstreams':[]}"), "missing field `output_kind`"},
        {NODES("{'kind':'derivation','name':'D','output_kind':'event'}"),
         "missing field `upstreams`"},
        {NODES("{'kind':'derivation','name':'D','output_kind':'stream','upstreams':[]}"),
         "unknown variant `stream`"},
        {NODES("{'kind':'derivation','name':'D','output_kind':'event','upstreams':[],'ops':null}"),
         "`ops`"},
        {NODES("{'kind':'derivation','name':'D','output_kind':'event','upstreams':[7]}"),
         "`upstreams`"},
        {NODES("{'kind':'derivation','name':'D','output_kind':'event','upstreams':[],"
               "'table_primary_key':'u'}"),
         "`table_primary_key`"},
        {"{'nodes':[", "line 1 column"},
        {"", "line 1 column 0"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_expect_refusal(&world, cases[i].payload, "invalid_registration", "<body>",
                             cases[i].fragment);
    }
    world_deinit(&world);
}

static void
test_a_switch_that_is_no_boolean_is_refused(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_refusal(&world, "{'nodes':[],'force':'true'}", "invalid_registration", "force",
                         "`force` must be true or false");
    world_expect_refusal(&world, "{'nodes':[],'dry_run':1}", "invalid_registration", "dry_run",
                         "`dry_run`");
    world_expect_refusal(&world, "{'nodes':[],'force':null}", "invalid_registration", "force",
                         "null");
    world_deinit(&world);
}

static void
test_nesting_has_a_limit(void **state)
{
    struct world world;
    struct buf text;

    world_init(&world);
    buf_init(&text);
    buf_text(&text, "{\"x\":");
    for (unsigned i = 0; i < 100000; i++) {
        buf_byte(&text, '[');
    }
    world_send_raw(&world, buf_slice(&text));
    assert_int_equal(world.last.status, BV_INVALID_REGISTRATION);
    assert_string_equal(world.last.error.path, "<body>");
    buf_deinit(&text);
    world_deinit(&world);
}

static void
test_unknown_members_become_warnings_with_the_nearest_name(void **state)
{
    static const struct {
        const char *payload, *path, *fragment;
    } cases[] = {
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_keys':'a'}"),
         "nodes[0].dedupe_keys", "did you mean 'dedupe_key'?"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'},'optional_field':[]}}"),
         "nodes[0].optional_field", "did you mean 'optional_fields'?"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'zzz':1}"),
         "nodes[0].zzz", "unknown member 'zzz' is ignored"},
        {NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'},'optional_fields':['b']"
               "}}"),
         "nodes[0].schema.optional_fields[0]", "'b' is not in fields"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_expect_warning(&world, cases[i].payload, cases[i].path, cases[i].fragment);
    }
    world_deinit(&world);
}

static void
test_descriptors_is_an_alias_of_nodes_that_nodes_beats(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, "{'descriptors':[" TX "]}");
    assert_int_equal(world.registry->descriptor_count, 1);
    world_expect(&world, "{'descriptors':[],'nodes':[" TX "]}",
                 "{'added':[],'already_present':['Tx'],'registered_descriptors':['Tx'],"
                 "'registry_version':1,'status':'ok'}");
    world_deinit(&world);
}

static void
test_a_repeated_field_keeps_its_last_type_and_its_first_place(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("E", "'b':'str','a':'i64','b':'f64'")));
    const struct descriptor *event = registry_find(world.registry, slice_text("E"));

    assert_int_equal(event->slot_count, 2);
    assert_true(slice_equal(event->fields[0].name, slice_text("b")));
    assert_int_equal(event->fields[0].type, FIELD_F64);
    world_deinit(&world);
}

static void
test_a_name_that_is_optional_only_has_no_slot(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'},"
                                  "'optional_fields':['z','a','z']}}"));
    const struct descriptor *event = registry_find(world.registry, slice_text("E"));

    assert_int_equal(event->slot_count, 1);
    assert_int_equal(event->field_count, 2);
    assert_true(event->fields[0].is_optional);
    assert_true(event->fields[1].is_optional);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_errors_read_like_the_published_ones),
        cmocka_unit_test(test_a_switch_that_is_no_boolean_is_refused),
        cmocka_unit_test(test_nesting_has_a_limit),
        cmocka_unit_test(test_unknown_members_become_warnings_with_the_nearest_name),
        cmocka_unit_test(test_descriptors_is_an_alias_of_nodes_that_nodes_beats),
        cmocka_unit_test(test_a_repeated_field_keeps_its_last_type_and_its_first_place),
        cmocka_unit_test(test_a_name_that_is_optional_only_has_no_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
