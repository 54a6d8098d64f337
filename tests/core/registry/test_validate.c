/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* Rules R1 to R5 of wire.md 4.5: code invalid_registration, path, reason, detail. */

#define NAME_128                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aa"                                                                                           \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void
test_each_rule_names_path_reason_and_cause(void **state)
{
    static const struct {
        const char *nodes, *path, *reason, *detail;
    } cases[] = {
        {TX "," EVENT("A", "'a':'str'") "," TX, "nodes[2].name",
         "duplicate descriptor name 'Tx'; first seen at nodes[0]", "name_duplicate"},
        {EVENT("", "'a':'str'"), "nodes[0].name", "descriptor name must not be empty",
         "name_empty"},
        {EVENT(NAME_128 "b", "'a':'str'"), "nodes[0].name",
         "descriptor name is 129 chars; maximum is 128", "name_too_long"},
        {EVENT("_beava_x", "'a':'str'"), "nodes[0].name",
         "descriptor name '_beava_x' uses reserved prefix '_beava_'", "name_reserved"},
        {EVENT("a-b", "'a':'str'"), "nodes[0].name",
         "descriptor name 'a-b' must match [A-Za-z_][A-Za-z0-9_]* (no hyphens or leading digits)",
         "name_bad_pattern"},
        {EVENT("1a", "'a':'str'"), "nodes[0].name", "'1a' must match", "name_bad_pattern"},
        {EVENT("E", ""), "nodes[0].schema.fields", "event schema must have at least one field",
         "schema_empty"},
        {EVENT("E", "'':'str'"), "nodes[0].schema.fields.", "must not be empty",
         "column_name_empty"},
        {EVENT("E", "'a\\u0001':'str'"), "nodes[0].schema.fields.a?", "control character",
         "column_name_control"},
        {"{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':'b'}",
         "nodes[0].dedupe_key", "'b'", "dedupe_key_unknown"},
        {"{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':''}",
         "nodes[0].dedupe_key", "''", "dedupe_key_unknown"},
        {"{'kind':'event','name':'E','schema':{'fields':{'a':'str'},'optional_fields':['b']},"
         "'dedupe_key':'b'}",
         "nodes[0].dedupe_key", "'b'", "dedupe_key_unknown"},
        {"{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_window_ms':0}",
         "nodes[0].dedupe_window_ms", "must be positive", "dedupe_window_zero"},
        {"{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'cold_after_ms':0}",
         "nodes[0].cold_after_ms", "must be positive", "cold_after_zero"},
        {TX ",{'kind':'derivation','name':'D','output_kind':'event','upstreams':['Tx']}",
         "nodes[1].schema.fields", "derivation schema must have at least one field",
         "schema_empty"},
        {TX ",{'kind':'derivation','name':'D','output_kind':'table','upstreams':['Tx'],'ops':[{"
            "'op':'group_by','keys':[],'agg':{}}]}",
         "nodes[1].table_primary_key", "table_primary_key", "primary_key_missing"},
        {TX "," TABLE("T", "'':{'op':'count'}"), "nodes[1].ops[0].agg.", "must not be empty",
         "column_name_empty"},
        {TX "," TABLE("T", "'a\\n':{'op':'count'}"), "nodes[1].ops[0].agg.a?", "control character",
         "column_name_control"},
        {TX
         "," TABLE_ON("T", "Tx", "'user_id'", "{'op':'group_by','keys':[],'agg':{}},", COUNT("c")),
         "nodes[1].ops[1]", "last op", "op_after_group_by"},
        {TX "," DERIVED("D", "Tx",
                        "{'op':'group_by','keys':[],'agg':{}},{'op':'filter','expr':'(n > 1)'}"),
         "nodes[1].ops[1]", "last op", "op_after_group_by"},
        {DERIVED("D", "Nope", "{'op':'drop','fields':[]}"), "nodes[0].upstreams[0]", "'Nope'",
         "upstream_unknown"},
        {DERIVED("D", "Tx", "{'op':'drop','fields':[]}") "," TX, "nodes[0].upstreams[0]",
         "upstream 'Tx' appears later in payload at nodes[1]", "upstream_later"},
        {DERIVED("D", "D", "{'op':'drop','fields':[]}"), "nodes[0]", "cycle detected: D -> D",
         "cycle"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[2048];

        (void)snprintf(payload, sizeof payload, NODES("%s"), cases[i].nodes);
        world_expect_refusal(&world, payload, "invalid_registration", cases[i].path,
                             cases[i].reason);
        assert_string_equal(world_text(value_find(&world.reply, "error"), "detail"),
                            cases[i].detail);
    }
    world_deinit(&world);
}

static void
test_a_name_of_the_longest_size_is_accepted(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT(NAME_128, "'a':'str'")));
    world_deinit(&world);
}

static void
test_all_errors_are_listed_in_the_order_of_the_rules(void **state)
{
    static const char *const paths[] = {
        "nodes[1].name", /* R1 */
        "nodes[0].name", /* R2 */
        "nodes[1].name",
        "nodes[3].upstreams[0]", /* R3 */
        "nodes[2].upstreams[0]", /* R4 */
        "nodes[2]",              /* R5 */
    };
    struct world world;

    world_init(&world);
    world_send(
        &world,
        NODES(EVENT("1a", "'a':'str'") "," EVENT("1a", "'a':'str'") "," DERIVED(
            "A", "B",
            "{'op':'drop','fields':['nope']}") ","
                                               "{'kind':'derivation','name':'B','output_kind':'"
                                               "event','upstreams':["
                                               "'Zz','A'],'ops':[{'op':'drop','fields':[]}]}"));
    const struct value *error = value_find(&world.reply, "error");
    const struct value *errors = value_find(error, "errors");

    assert_int_equal(errors->length, sizeof paths / sizeof paths[0]);
    for (uint32_t i = 0; i < errors->length; i++) {
        assert_string_equal(world_text(&errors->as.items[i], "path"), paths[i]);
        assert_string_equal(world_text(&errors->as.items[i], "code"), "invalid_registration");
    }
    assert_string_equal(world_text(error, "path"), paths[0]);
    assert_string_equal(world_text(&errors->as.items[5], "reason"), "cycle detected: A -> B -> A");
    world_deinit(&world);
}

static void
test_at_most_a_hundred_errors_are_sent(void **state)
{
    struct world world;
    struct buf text;

    world_init(&world);
    buf_init(&text);
    buf_text(&text, "{\"nodes\":[");
    for (unsigned i = 0; i < 150; i++) {
        buf_printf(&text, "%s{\"kind\":\"event\",\"name\":\"%u\",\"schema\":{\"fields\":{}}}",
                   i == 0 ? "" : ",", i);
    }
    buf_text(&text, "]}");
    world_send_raw(&world, buf_slice(&text));
    assert_int_equal(value_find(value_find(&world.reply, "error"), "errors")->length, 100);
    buf_deinit(&text);
    world_deinit(&world);
}

static void
test_odd_names_are_warned_of(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_warning(&world, DRY(EVENT("E", "'a b':'str'")), "nodes[0].schema.fields.a b",
                         "'a b' does not match");
    world_expect_warning(&world, DRY(TX "," TABLE("T", "'a/b':{'op':'count'}")),
                         "nodes[1].ops[0].agg.a/b", "'a/b' does not match");
    world_deinit(&world);
}

/* Any number of milliseconds is a time to live; times saturate where they are used. */
static void
test_bounds_of_state_are_taken_as_given_and_without_a_warning(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(&world,
                 NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':"
                       "'a','dedupe_window_ms':9223372036854775807,'keep_events_for_ms':1,"
                       "'cold_after_ms':9223372036854775807}"),
                 "{'added':['E'],'already_present':[],'registered_descriptors':['E'],"
                 "'registry_version':1,'status':'ok'}");
    assert_true(registry_find(world.registry, slice_text("E"))->cold_after_ms == INT64_MAX);
    assert_true(registry_find(world.registry, slice_text("E"))->dedupe_window_ms == INT64_MAX);
    world_deinit(&world);
}

static void
test_null_settings_are_no_settings(void **state)
{
    struct world world;

    world_init(&world);
    world_expect(&world,
                 NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':"
                       "null,'dedupe_window_ms':null,'keep_events_for_ms':null,'cold_after_ms':"
                       "null,'registered_at_version':9}"),
                 "{'added':['E'],'already_present':[],'registered_descriptors':['E'],"
                 "'registry_version':1,'status':'ok'}");
    assert_int_equal(registry_find(world.registry, slice_text("E"))->registered_at_version, 1);
    world_deinit(&world);
}

static void
test_a_dedupe_key_without_a_window_is_remembered_for_a_day(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world,
                    NODES("{'kind':'event','name':'E','schema':{'fields':{'a':'str'}},'dedupe_key':"
                          "'a'}"));
    assert_int_equal(registry_find(world.registry, slice_text("E"))->dedupe_window_ms, 86400000);
    world_deinit(&world);
}

static void
test_the_nearest_upstream_is_suggested_and_long_names_are_cut(void **state)
{
    struct world world;
    struct buf text;

    world_init(&world);
    world_send(&world, NODES(EVENT("Clicks", "'a':'str'") "," DERIVED(
                           "D", "Click", "{'op':'drop','fields':[]}")));
    assert_string_equal(world_text(value_find(&world.reply, "error"), "hint"),
                        "did you mean \"Clicks\"?");
    buf_init(&text);
    buf_text(&text, "{\"nodes\":[{\"kind\":\"event\",\"name\":\"");
    for (unsigned i = 0; i < 1000000; i++) {
        buf_text(&text, "\xc3\xa9");
    }
    buf_text(&text, "\",\"schema\":{\"fields\":{\"a\":\"str\"}}}]}");
    world_send_raw(&world, buf_slice(&text));
    assert_int_equal(world.last.status, BV_INVALID_REGISTRATION);
    assert_true(world.body.size < 4096);
    buf_deinit(&text);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_names_path_reason_and_cause),
        cmocka_unit_test(test_a_name_of_the_longest_size_is_accepted),
        cmocka_unit_test(test_all_errors_are_listed_in_the_order_of_the_rules),
        cmocka_unit_test(test_at_most_a_hundred_errors_are_sent),
        cmocka_unit_test(test_odd_names_are_warned_of),
        cmocka_unit_test(test_bounds_of_state_are_taken_as_given_and_without_a_warning),
        cmocka_unit_test(test_null_settings_are_no_settings),
        cmocka_unit_test(test_a_dedupe_key_without_a_window_is_remembered_for_a_day),
        cmocka_unit_test(test_the_nearest_upstream_is_suggested_and_long_names_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
