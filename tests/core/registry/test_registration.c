/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* The order of the steps (wire.md 4.4), the verdicts, and what becomes of state (4.7). */

#define CONFORMANCE                                                                                \
    "{'nodes':[{'kind':'event','name':'Tx','schema':{'fields':{'user_id':'str','amount':'f64',"    \
    "'n':'i64','ok':'bool'},'optional_fields':['ok']}},{'kind':'event','name':'Dd','schema':{"     \
    "'fields':{'k':'str','id':'str'}},'dedupe_key':'id','dedupe_window_ms':60000},"                \
    "{'kind':'derivation','name':'T','output_kind':'table','upstreams':['Tx'],'ops':[{'op':"       \
    "'group_by','keys':['user_id'],'agg':{'cnt':{'op':'count'},'tot':{'op':'sum','params':"        \
    "{'field':'amount'}},'lastn':{'op':'last','params':{'field':'n'}}}}],'table_primary_key':"     \
    "['user_id']},{'kind':'derivation','name':'G','output_kind':'table','upstreams':['Tx'],"       \
    "'ops':[{'op':'group_by','keys':[],'agg':{'gcnt':{'op':'count'}}}],'table_primary_key':[]},"   \
    "{'kind':'derivation','name':'C2','output_kind':'table','upstreams':['Tx'],'ops':[{'op':"      \
    "'group_by','keys':['user_id','n'],'agg':{'c2':{'op':'count'}}}],'table_primary_key':"         \
    "['user_id','n']},{'kind':'derivation','name':'D','output_kind':'table','upstreams':['Dd'],"   \
    "'ops':[{'op':'group_by','keys':['k'],'agg':{'dcnt':{'op':'count'}}}],'table_primary_key':"    \
    "['k']}]}"
#define CONFORMANCE_TX(n)                                                                          \
    "{'kind':'event','name':'Tx','schema':{'fields':{'user_id':'str','amount':'f64','n':'" n       \
    "','ok':'bool'},'optional_fields':['ok']}}"

static bool
holds(const struct slice *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(names[i], slice_text(name))) {
            return true;
        }
    }
    return false;
}

static bool
is_fresh(const struct world *world, const char *table)
{
    return holds(world->last.fresh, world->last.fresh_count, table);
}

static void
test_the_conformance_pipeline_registers_once_and_is_then_a_no_op(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(&world, CONFORMANCE,
                 "{'added':['Tx','Dd','T','G','C2','D'],'already_present':[],"
                 "'registered_descriptors':['Tx','Dd','T','G','C2','D'],'registry_version':1,"
                 "'status':'ok'}");
    assert_int_equal(world.last.fresh_count, 4);
    world_expect(&world, CONFORMANCE,
                 "{'added':[],'already_present':['C2','D','Dd','G','T','Tx'],"
                 "'registered_descriptors':['Tx','Dd','T','G','C2','D'],'registry_version':1,"
                 "'status':'ok'}");
    assert_false(world.last.installs);
    assert_null(world.last.next);
    world_deinit(&world);
}

static void
test_a_dry_run_lists_type_changes_before_removals(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, CONFORMANCE);
    world_expect(
        &world, DRY(CONFORMANCE_TX("str")),
        "{'diff':{'additive':[],'already_present':[],'destructive':[{'field':'Tx.n','from':'i64',"
        "'kind':'type_change','to':'str'},{'agg':'','descriptor':true,'kind':'agg_removal',"
        "'table':'C2'},{'agg':'','descriptor':true,'kind':'agg_removal','table':'D'},{'agg':'',"
        "'descriptor':true,'kind':'agg_removal','table':'Dd'},{'agg':'','descriptor':true,'kind':"
        "'agg_removal','table':'G'},{'agg':'','descriptor':true,'kind':'agg_removal','table':'T'}"
        "]},'errors':[],'would_apply':false}");
    assert_true(world.last.is_dry_run);
    assert_false(world.last.installs);
    assert_non_null(world.last.next);
    assert_int_equal(world.registry->version, 1);
    world_deinit(&world);
}

static void
test_an_empty_payload_needs_force_to_remove_a_pipeline(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, CONFORMANCE);
    world_send(&world, "{'nodes':[]}");
    assert_int_equal(world.last.status, BV_FORCE_REQUIRED);
    const struct value *error = value_find(&world.reply, "error");

    assert_string_equal(world_text(error, "code"), "force_required");
    assert_string_equal(world_text(error, "reason"),
                        "Destructive registry change requires force=true. See diff for details.");
    assert_int_equal(value_find(value_find(error, "diff"), "destructive")->length, 6);
    assert_null(value_find(error, "errors"));
    world_deinit(&world);
}

static void
test_a_forced_removal_keeps_what_is_sent_and_readding_starts_empty(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, CONFORMANCE);
    world_expect(&world, FORCED(CONFORMANCE_TX("i64")),
                 "{'added':[],'already_present':['Tx'],'registered_descriptors':['Tx'],"
                 "'registry_version':2,'status':'ok'}");
    assert_null(registry_find(world.registry, slice_text("T")));
    world_expect(&world, CONFORMANCE,
                 "{'added':['Dd','T','G','C2','D'],'already_present':['Tx'],"
                 "'registered_descriptors':['Tx','Dd','T','G','C2','D'],'registry_version':3,"
                 "'status':'ok'}");
    assert_true(is_fresh(&world, "T"));
    assert_int_equal(registry_find(world.registry, slice_text("Tx"))->registered_at_version, 1);
    assert_int_equal(registry_find(world.registry, slice_text("T"))->registered_at_version, 3);
    world_deinit(&world);
}

static void
test_a_forced_payload_that_needs_what_it_removes_is_refused(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(TX "," TABLE("T", COUNT("c"))));
    world_expect_refusal(&world, FORCED(TABLE("T", COUNT("c"))), "invalid_registration",
                         "nodes[0].upstreams[0]", "'Tx'");
    assert_non_null(registry_find(world.registry, slice_text("Tx")));
    assert_int_equal(world.registry->version, 1);
    world_deinit(&world);
}

static void
test_force_with_no_nodes_removes_everything(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(&world, "{'nodes':[]}",
                 "{'added':[],'already_present':[],'registered_descriptors':[],"
                 "'registry_version':0,'status':'ok'}");
    world_expect_ok(&world, NODES(TX "," TABLE("T", COUNT("c"))));
    world_expect(&world, "{'nodes':[],'force':true}",
                 "{'added':[],'already_present':[],'registered_descriptors':[],"
                 "'registry_version':2,'status':'ok'}");
    assert_int_equal(world.registry->descriptor_count, 0);
    world_deinit(&world);
}

static void
test_additive_changes_apply_without_force_and_keep_state(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world,
                    NODES(EVENT("E", "'u':'str'") "," TABLE_ON("T", "E", "'u'", "", COUNT("c"))));
    world_expect(&world,
                 NODES(EVENT("E", "'u':'str','v':'f64'") "," TABLE_ON(
                     "T", "E", "'u'", "", COUNT("c") ",'s':{'op':'sum','params':{'field':'v'}}")),
                 "{'added':['E','T'],'already_present':[],'registered_descriptors':['E','T'],"
                 "'registry_version':2,'status':'ok'}");
    assert_int_equal(world.last.fresh_count, 0);
    assert_int_equal(world.registry->sources[0].tables[0].feature_count, 2);
    world_deinit(&world);
}

static void
test_a_replaced_event_replaces_all_that_is_built_on_it(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(
        &world,
        NODES(EVENT("E", "'u':'str','n':'i64'") "," EVENT("F", "'u':'str'") "," DERIVED(
            "D", "E",
            "{'op':'filter','expr':'(n > 1)'}") "," TABLE_ON("T", "D", "'u'", "",
                                                             COUNT("c")) "," TABLE_ON("U", "F",
                                                                                      "'u'", "",
                                                                                      COUNT("d"))));
    world_expect(
        &world,
        FORCED(EVENT("E", "'u':'str','n':'f64'") "," EVENT("F", "'u':'str'") "," DERIVED(
            "D", "E",
            "{'op':'filter','expr':'(n > 1)'}") "," TABLE_ON("T", "D", "'u'", "",
                                                             COUNT("c")) "," TABLE_ON("U", "F",
                                                                                      "'u'", "",
                                                                                      COUNT("d"))),
        "{'added':['E','D','T'],'already_present':['F','U'],'registered_descriptors':['E','F','D',"
        "'T','U'],'registry_version':2,'status':'ok'}");
    assert_true(is_fresh(&world, "T"));
    assert_false(is_fresh(&world, "U"));
    world_deinit(&world);
}

static void
test_a_feature_moves_between_tables_in_one_forced_call(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world,
                    NODES(TX "," TABLE("A", COUNT("x") "," COUNT("y")) "," TABLE("B", COUNT("z"))));
    world_expect_ok(
        &world, FORCED(TX "," TABLE("A", COUNT("x")) "," TABLE("B", COUNT("y") "," COUNT("z"))));
    assert_true(is_fresh(&world, "A"));
    assert_false(is_fresh(&world, "B"));
    world_deinit(&world);
}

static void
test_an_exact_rename_keeps_state_with_force(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(
        &world, NODES(EVENT("E", "'u':'str'") "," DERIVED(
                    "D", "E", "{'op':'filter','expr':'(u == `a`)'}") "," TABLE_ON("T", "D", "'u'",
                                                                                  "", COUNT("c"))));
    const char *renamed = FORCED(EVENT("E2", "'u':'str'") "," DERIVED(
        "D2", "E2", "{'op':'filter','expr':'(u == `a`)'}") "," TABLE_ON("T2", "D2", "'u'", "",
                                                                        COUNT("c")));

    world_expect_ok(&world, renamed);
    assert_int_equal(world.last.fresh_count, 0);
    assert_int_equal(world.last.renamed_count, 1);
    assert_true(slice_equal(world.last.renamed[0].from, slice_text("T")));
    assert_true(slice_equal(world.last.renamed[0].to, slice_text("T2")));
    assert_non_null(registry_find(world.registry, slice_text("E2")));
    assert_null(registry_find(world.registry, slice_text("E")));
    world_deinit(&world);
}

static void
test_a_table_stays_when_its_event_is_renamed(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world,
                    NODES(EVENT("E", "'u':'str'") "," TABLE_ON("T", "E", "'u'", "", COUNT("c"))));
    world_expect(&world,
                 FORCED(EVENT("F", "'u':'str'") "," TABLE_ON("T", "F", "'u'", "", COUNT("c"))),
                 "{'added':['F'],'already_present':['T'],'registered_descriptors':['F','T'],"
                 "'registry_version':2,'status':'ok'}");
    assert_int_equal(world.last.fresh_count, 0);
    assert_true(slice_equal(world.registry->sources[0].event->name, slice_text("F")));
    assert_int_equal(world.registry->sources[0].table_count, 1);
    world_deinit(&world);
}

static void
test_force_is_asked_for_before_validity_and_validity_after_it(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(TX "," TABLE("T", COUNT("c"))));
    world_send(&world, NODES(EVENT("a-b", "'u':'str'")));
    assert_int_equal(world.last.status, BV_FORCE_REQUIRED);
    world_expect_refusal(&world, FORCED(EVENT("a-b", "'u':'str'")), "invalid_registration",
                         "nodes[0].name", "a-b");
    world_deinit(&world);
}

static void
test_a_dry_run_tells_the_errors_that_a_call_would_get(void **state)
{
    struct world world;

    world_init(&world);
    world_send(&world, DRY(TX "," TABLE("T", "'s':{'op':'sum','params':{'field':'nope'}}")));
    assert_int_equal(world.last.status, BV_OK);
    assert_null(world.last.next);
    const struct value *errors = value_find(&world.reply, "errors");

    assert_int_equal(errors->length, 1);
    assert_string_equal(world_text(&errors->as.items[0], "code"), "aggregation_unknown_field");
    assert_string_equal(world_text(&errors->as.items[0], "path"),
                        "nodes[1].ops[0].agg.s.params.field");
    world_send(&world, DRY(EVENT("E", "'a':'str'")));
    assert_int_equal(value_find(&world.reply, "errors")->length, 0);
    assert_non_null(world.last.next);
    world_deinit(&world);
}

static void
test_earlier_steps_hide_later_ones(void **state)
{
    static const struct {
        const char *payload, *code;
    } cases[] = {
        {"{'nodes':[{'kind':'table'},{'kind':'derivation','ops':[{'op':'join'}]}]}",
         "feature_removed_no_joins_v0"},
        {"{'nodes':[{'kind':'table'},{'event_time_field':null}]}", "unknown_field_event_time_v0"},
        {"{'nodes':[{'kind':'table'},{'kind':'derivation','ops':[{'agg':{'a':{'op':'avg'}}}]}]}",
         "unsupported_node_kind"},
        {"{'nodes':[{},{'kind':'derivation','ops':[{'agg':{'a':{'op':'avg'}}}]}]}",
         "unbounded_op_in_lifetime_mode"},
        {"{'nodes':[{},{'kind':'derivation','ops':[{'op':'join'}]}],}", "invalid_registration"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_send(&world, cases[i].payload);
        assert_string_equal(world_text(value_find(&world.reply, "error"), "code"), cases[i].code);
    }
    world_deinit(&world);
}

/* The "register" member of a benchmark's pipeline. */
static void
send_pipeline(struct world *world, const char *name)
{
    char path[512];
    struct arena arena;
    struct value config;
    struct buf text;
    uint8_t chunk[4096];
    size_t size;

    (void)snprintf(path, sizeof path, "%s/benchmarks/configs/%s.json", BEAVA_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    buf_init(&text);
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buf_append(&text, chunk, size);
    }
    (void)fclose(file);
    arena_init(&arena, 4096, 0);
    assert_int_equal(json_parse(&config, buf_slice(&text), JSON_DEPTH_MAX, &arena, NULL), BV_OK);
    struct buf payload;

    buf_init(&payload);
    json_write(&payload, value_find(&config, "register"));
    world_send_raw(world, buf_slice(&payload));
    buf_deinit(&payload);
    buf_deinit(&text);
    arena_deinit(&arena);
}

static void
test_the_benchmark_pipelines_of_this_release_register(void **state)
{
    static const char *const names[] = {"small", "medium", "large"};
    static const size_t features[] = {1, 5, 15};

    for (size_t i = 0; i < 3; i++) {
        struct world world;

        world_init(&world);
        send_pipeline(&world, names[i]);
        assert_int_equal(world.last.status, BV_OK);
        assert_int_equal(world.registry->sources[0].tables[0].feature_count, features[i]);
        world_deinit(&world);
    }
}

/* server.md 12.3: five events, nine tables, 111 features; what it sends in vain is warned about. */
static void
test_the_fraud_pipeline_registers_whole(void **state)
{
    struct world world;
    size_t feature_count = 0;

    world_init(&world);
    send_pipeline(&world, "fraud-team");
    assert_int_equal(world.last.status, BV_OK);
    assert_int_equal(world.registry->source_count, 5);
    assert_int_equal(world.registry->descriptor_count, 14);
    for (size_t i = 0; i < world.registry->source_count; i++) {
        for (size_t k = 0; k < world.registry->sources[i].table_count; k++) {
            feature_count += world.registry->sources[i].tables[k].feature_count;
        }
    }
    assert_int_equal(feature_count, 111);
    assert_non_null(value_find(&world.reply, "warnings"));
    world_deinit(&world);
}

static void
test_every_failed_allocation_is_a_clean_end(void **state)
{
    struct world world;
    struct buf text;
    bool has_succeeded = false;
    size_t failures = 0;

    world_init(&world);
    world_expect_ok(&world, NODES(TX "," TABLE("Old", COUNT("o"))));
    buf_init(&text);
    world_quote(&text,
                FORCED(EVENT("E", "'u':'str','v':'f64','w':'i64'") "," DERIVED(
                    "D", "E",
                    "{'op':'filter','expr':'(v > 1.5)'},{'op':'with_columns','exprs':{'x':'(w + "
                    "1)'}},{'op':'rename','mapping':{'w':'ww'}},{'op':'fillna','defaults':{'v':"
                    "0}}") "," TABLE_ON("T", "D", "'u'", "{'op':'cast','type_map':{'x':'str'}},",
                                        COUNT("c") ",'m':{'op':'mean','params':{'field':'v','"
                                                   "window':"
                                                   "'1h','where':'(nope == x)'}}")));
    for (size_t limit = 0; !has_succeeded && limit < (1u << 22); limit += 96) {
        const struct registration_limits limits = {64, limit == 0 ? 1 : limit};
        struct registration registration;
        struct bv_error err;
        struct buf body;
        enum bv_status status = registration_prepare_within(&registration, world.registry,
                                                            buf_slice(&text), 0, &limits, &err);

        if (status == BV_NO_MEMORY) {
            failures++;
            assert_int_equal(err.status, BV_NO_MEMORY);
            continue;
        }
        assert_int_equal(status, BV_OK);
        buf_init(&body);
        registration_reply(&body, &registration, slice_of(NULL, 0));
        has_succeeded = true;
        assert_int_equal(registration.status, BV_AGG_INVALID_WHERE); /* nope is not a column */
        buf_deinit(&body);
        registration_deinit(&registration);
    }
    assert_true(has_succeeded);
    assert_true(failures > 20);
    buf_deinit(&text);
    world_deinit(&world);
}

static void
test_every_failed_allocation_of_an_installation_is_a_clean_end(void **state)
{
    struct world world;
    struct buf text;
    bool has_succeeded = false;

    world_init(&world);
    world_expect_ok(&world, NODES(TX "," TABLE("Old", COUNT("o"))));
    buf_init(&text);
    world_quote(&text, FORCED(TX "," TABLE("New", COUNT("o")) "," TABLE("More", COUNT("p"))));
    for (size_t limit = 1; !has_succeeded && limit < (1u << 22); limit += 96) {
        const struct registration_limits limits = {64, limit};
        struct registration registration;
        enum bv_status status = registration_prepare_within(&registration, world.registry,
                                                            buf_slice(&text), 0, &limits, NULL);

        if (status == BV_OK) {
            has_succeeded = true;
            assert_true(registration.installs);
            assert_int_equal(registration.renamed_count, 1);
            registration_deinit(&registration);
        }
    }
    assert_true(has_succeeded);
    buf_deinit(&text);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_conformance_pipeline_registers_once_and_is_then_a_no_op),
        cmocka_unit_test(test_a_dry_run_lists_type_changes_before_removals),
        cmocka_unit_test(test_an_empty_payload_needs_force_to_remove_a_pipeline),
        cmocka_unit_test(test_a_forced_removal_keeps_what_is_sent_and_readding_starts_empty),
        cmocka_unit_test(test_a_forced_payload_that_needs_what_it_removes_is_refused),
        cmocka_unit_test(test_force_with_no_nodes_removes_everything),
        cmocka_unit_test(test_additive_changes_apply_without_force_and_keep_state),
        cmocka_unit_test(test_a_replaced_event_replaces_all_that_is_built_on_it),
        cmocka_unit_test(test_a_feature_moves_between_tables_in_one_forced_call),
        cmocka_unit_test(test_an_exact_rename_keeps_state_with_force),
        cmocka_unit_test(test_a_table_stays_when_its_event_is_renamed),
        cmocka_unit_test(test_force_is_asked_for_before_validity_and_validity_after_it),
        cmocka_unit_test(test_a_dry_run_tells_the_errors_that_a_call_would_get),
        cmocka_unit_test(test_earlier_steps_hide_later_ones),
        cmocka_unit_test(test_the_benchmark_pipelines_of_this_release_register),
        cmocka_unit_test(test_the_fraud_pipeline_registers_whole),
        cmocka_unit_test(test_every_failed_allocation_is_a_clean_end),
        cmocka_unit_test(test_every_failed_allocation_of_an_installation_is_a_clean_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
