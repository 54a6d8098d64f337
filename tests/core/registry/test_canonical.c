/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/canonical.h"
#include "registry/world.h"

static void
expect_canonical(const struct world *world, const char *name, const char *expected)
{
    const struct descriptor *node = registry_find(world->registry, slice_text(name));
    struct buf text;

    assert_non_null(node);
    buf_init(&text);
    world_quote(&text, expected);
    assert_int_equal(node->canonical.size, text.size);
    assert_memory_equal(node->canonical.data, text.data, text.size);
    buf_deinit(&text);
}

static void
test_canonical_text_has_every_member_sorted_and_defaults_filled_in(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(
        &world,
        NODES("{'schema':{'optional_fields':['z','b','q'],'fields':{'z':'str','b':'f64'}},'name':"
              "'E','kind':'event','dedupe_key':'z'},{'upstreams':['E'],'schema':{'fields':{'x':"
              "'str'}},'output_kind':'table','ops':[{'keys':['z'],'op':'group_by','agg':{'s':{"
              "'params':{'where':'(b > 1)','field':'b'},'op':'sum'},'c':{'op':'count'}}}],"
              "'table_primary_key':['z'],'name':'T','kind':'derivation'}"));
    expect_canonical(&world, "E",
                     "{'cold_after_ms':null,'dedupe_key':'z','dedupe_window_ms':86400000,"
                     "'keep_events_for_ms':null,'kind':'event','name':'E','schema':{'fields':{'b':"
                     "'f64','z':'str'},'optional_fields':['b','z','q']}}");
    expect_canonical(&world, "T",
                     "{'kind':'derivation','name':'T','ops':[{'agg':{'c':{'op':'count','params':{}"
                     "},'s':{'op':'sum','params':{'field':'b','where':'(b > 1)'}}},'keys':['z'],"
                     "'op':'group_by'}],'output_kind':'table','table_primary_key':['z'],"
                     "'upstreams':['E']}");
    world_deinit(&world);
}

static void
test_the_log_keeps_field_order_versions_and_sent_schemas(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(
        &world,
        NODES(EVENT("E",
                    "'z':'str','b':'f64'") ",{'kind':'derivation','name':'D','output_kind':'event',"
                                           "'upstreams':['E'],'schema':{'fields':{'y':'str'}}}"));
    struct buf expected;

    buf_init(&expected);
    world_quote(&expected,
                "{'fresh':[],'nodes':[{'cold_after_ms':null,'dedupe_key':null,'dedupe_window_ms':"
                "null,'keep_events_for_ms':null,'kind':'event','name':'E','registered_at_version':"
                "1,'schema':{'fields':{'z':'str','b':'f64'},'optional_fields':[]}},{'kind':"
                "'derivation','name':'D','ops':[],'output_kind':'event','registered_at_version':1,"
                "'schema':{'fields':{'y':'str'},'optional_fields':[]},'table_primary_key':null,"
                "'upstreams':['E']}],'renamed':[],'version':1}");
    assert_int_equal(world.last.log_json.size, expected.size);
    assert_memory_equal(world.last.log_json.data, expected.data, expected.size);
    buf_deinit(&expected);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_text_has_every_member_sorted_and_defaults_filled_in),
        cmocka_unit_test(test_the_log_keeps_field_order_versions_and_sent_schemas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
