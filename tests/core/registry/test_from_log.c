/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* The JSON of a log record makes the same registry again; a damaged one says what is wrong. */

static const char pipeline[] = FORCED(
    "{'kind':'event','name':'Tx','schema':{'fields':{'user_id':'str','b':'f64',"
    "'a':'i64'},"
    "'optional_fields':['zz','a']},'dedupe_key':'user_id','cold_after_ms':77,"
    "'keep_events_for_ms':5}," DERIVED(
        "D", "Tx",
        "{'op':'filter','expr':'(a > 1)'},{'op':'map','exprs':{'y':'(x + "
        "1)','x':'(a * 2)'}"
        "}") "," TABLE_ON("T", "D", "'user_id'", "{'op':'fillna','defaults':{'a':0,'b':[1]}},",
                          "'s':{'op':'sum','params':{'field':'y','where':'("
                          "user_id != `é`)','window':"
                          "'1h','unknown':1}},'f':{'op':'last','params':{'"
                          "field':'b'}}") "," TABLE_ON("G", "Tx", "", "", COUNT("g")));

/* Everything a plan reads, as text. */
static void
describe(struct buf *out, const struct registry *registry)
{
    buf_printf(out, "version %llu\n", (unsigned long long)registry->version);
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        const struct descriptor *node = &registry->descriptors[i];

        buf_append(out, node->canonical.data, node->canonical.size);
        buf_printf(out, " since %llu\n", (unsigned long long)node->registered_at_version);
    }
    for (size_t s = 0; s < registry->source_count; s++) {
        const struct resolved_source *source = &registry->sources[s];

        for (size_t i = 0; i < source->event->field_count; i++) {
            buf_append(out, source->event->fields[i].name.data, source->event->fields[i].name.size);
            buf_byte(out, ' ');
        }
        for (size_t t = 0; t < source->table_count; t++) {
            const struct resolved_table *table = &source->tables[t];

            for (size_t i = 0; i < table->filter_count; i++) {
                buf_printf(out, "filter %u ", table->filters[i]);
            }
            for (size_t i = 0; i < table->key_count; i++) {
                buf_printf(out, "key %u ", table->keys[i]);
            }
            for (size_t i = 0; i < table->feature_count; i++) {
                const struct resolved_feature *feature = &table->features[i];

                buf_printf(out, "%s %u %d %llu ", feature->op->name, feature->inputs[0],
                           (int)feature->input_types[0], (unsigned long long)feature->window_ms);
                if (feature->where != EXPR_NODE_NONE) {
                    expr_graph_text(out, source->graph, feature->where);
                }
                if (feature->params != NULL) {
                    json_write(out, feature->params);
                }
            }
        }
        buf_byte(out, '\n');
    }
}

static void
test_a_registry_comes_back_from_its_log_record(void **state)
{
    struct world world;
    struct registry *registry;
    struct registry_rename *renamed;
    struct slice *fresh;
    size_t fresh_count, renamed_count;
    struct buf before, after;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("Tx", "'user_id':'str'") "," TABLE_ON("Global", "Tx", "",
                                                                              "", COUNT("g"))));
    world_expect_ok(&world, pipeline);
    assert_true(world.last.installs);
    assert_int_equal(registry_from_log(&registry, &fresh, &fresh_count, &renamed, &renamed_count,
                                       world.last.log_json, NULL),
                     BV_OK);
    buf_init(&before);
    buf_init(&after);
    describe(&before, world.registry);
    describe(&after, registry);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    assert_int_equal(fresh_count, world.last.fresh_count);
    assert_true(fresh_count >= 1);
    assert_int_equal(renamed_count, world.last.renamed_count);
    for (size_t i = 0; i < fresh_count; i++) {
        assert_true(slice_equal(fresh[i], world.last.fresh[i]));
    }
    buf_deinit(&before);
    buf_deinit(&after);
    registry_destroy(registry);
    world_deinit(&world);
}

static void
test_an_equal_payload_is_a_no_op_after_recovery(void **state)
{
    struct world world;
    struct registry *registry;
    struct registry_rename *renamed;
    struct slice *fresh;
    size_t fresh_count, renamed_count;

    world_init(&world);
    world_expect_ok(&world, pipeline);
    assert_int_equal(registry_from_log(&registry, &fresh, &fresh_count, &renamed, &renamed_count,
                                       world.last.log_json, NULL),
                     BV_OK);
    registry_destroy(world.registry);
    world.registry = registry;
    world_expect_ok(&world, pipeline);
    assert_false(world.last.installs);
    world_deinit(&world);
}

static void
test_policy_is_not_judged_again(void **state)
{
    const char *record =
        "{\"fresh\":[],\"nodes\":[{\"cold_after_ms\":null,\"kind\":\"event\",\"name\":\"a-b\","
        "\"schema\":{\"fields\":{\"\":\"str\"}}},{\"kind\":\"derivation\",\"name\":\"T\","
        "\"ops\":[{\"agg\":{\"\":{\"op\":\"last\",\"params\":{\"window\":\"1h\"}}},\"keys\":[],"
        "\"op\":\"group_by\"}],\"output_kind\":\"table\",\"upstreams\":[\"a-b\"]}],"
        "\"renamed\":[[\"A\",\"B\"]],\"version\":7}";
    struct registry *registry;
    struct registry_rename *renamed;
    struct slice *fresh;
    size_t fresh_count, renamed_count;

    assert_int_equal(registry_from_log(&registry, &fresh, &fresh_count, &renamed, &renamed_count,
                                       slice_text(record), NULL),
                     BV_OK);
    assert_int_equal(registry->version, 7);
    assert_int_equal(renamed_count, 1);
    assert_true(slice_equal(renamed[0].to, slice_text("B")));
    assert_non_null(registry_find(registry, slice_text("a-b")));
    registry_destroy(registry);
}

static void
test_a_damaged_record_is_refused_with_the_node(void **state)
{
#define RECORD(nodes) "{'fresh':[],'nodes':[" nodes "],'renamed':[],'version':1}"
    static const struct {
        const char *record, *fragment;
    } cases[] = {
        {"", "not JSON"},
        {"{'fresh':[]", "not JSON"},
        {"[]", "version"},
        {"{'fresh':[],'nodes':[],'renamed':[],'version':'1'}", "version"},
        {"{'fresh':[],'nodes':[],'renamed':[],'version':-1}", "version"},
        {"{'fresh':[1],'nodes':[],'renamed':[],'version':1}", "fresh"},
        {"{'nodes':[],'renamed':[],'version':1}", "fresh"},
        {"{'fresh':[],'nodes':[],'version':1}", "renamed"},
        {"{'fresh':[],'nodes':[],'renamed':[['a']],'version':1}", "renamed"},
        {"{'fresh':[],'nodes':[],'renamed':[['a',1]],'version':1}", "renamed"},
        {"{'fresh':[],'nodes':{},'renamed':[],'version':1}", "nodes"},
        {RECORD("{'kind':'event'}"), "missing field `name`"},
        {RECORD(EVENT("A", "'a':'str'") "," EVENT("A", "'a':'str'")), "nodes[1].name"},
        {RECORD(DERIVED("D", "Nope", "")), "nodes[0].upstreams[0]"},
        {RECORD(DERIVED("D", "D", "")), "nodes[0]"},
        {RECORD(DERIVED("D", "E", "") "," EVENT("E", "'a':'str'")), "nodes[0].upstreams[0]"},
        {RECORD(EVENT("E", "'a':'str'") "," DERIVED("D", "E", "{'op':'filter','expr':'('}")),
         "nodes[1].ops[0].expr"},
        {RECORD(EVENT("E", "'a':'str'") "," DERIVED("D", "E",
                                                    "{'op':'group_by','keys':[],'agg':{}},{'op':"
                                                    "'drop','fields':[]}")),
         "nodes[1].ops[1]"},
        {RECORD(EVENT("E", "'a':'str'") "," TABLE_ON("T", "E", "'b'", "", COUNT("c"))),
         "nodes[1].ops[0].group_by[0]"},
        {RECORD(EVENT("E", "'a':'str'") "," TABLE_ON("T", "E", "'a'", "", "'c':{'op':'nope'}")),
         "unknown operator 'nope'"},
        {RECORD(EVENT("E", "'a':'str'") "," TABLE_ON("T", "E", "'a'", "",
                                                     "'c':{'op':'count','params':{'window':5}}")),
         "window"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct registry *registry;
        struct registry_rename *renamed;
        struct slice *fresh;
        size_t fresh_count, renamed_count;
        struct bv_error err;
        struct buf text;

        buf_init(&text);
        world_quote(&text, cases[i].record);
        assert_int_equal(registry_from_log(&registry, &fresh, &fresh_count, &renamed,
                                           &renamed_count, buf_slice(&text), &err),
                         BV_CORRUPT);
        if (strstr(err.message, cases[i].fragment) == NULL) {
            fail_msg("%s: %s", cases[i].record, err.message);
        }
        buf_deinit(&text);
    }
}

static void
test_every_failed_allocation_of_a_replay_is_a_clean_end(void **state)
{
    struct world world;
    bool has_succeeded = false;

    world_init(&world);
    world_expect_ok(&world, pipeline);
    for (size_t limit = 1; !has_succeeded && limit < (1u << 22); limit += 96) {
        const struct registration_limits limits = {64, limit};
        struct registry *registry;
        struct registry_rename *renamed;
        struct slice *fresh;
        size_t fresh_count, renamed_count;
        enum bv_status status =
            registry_from_log_within(&registry, &fresh, &fresh_count, &renamed, &renamed_count,
                                     world.last.log_json, &limits, NULL);

        assert_true(status == BV_OK || status == BV_NO_MEMORY);
        if (status == BV_OK) {
            has_succeeded = true;
            registry_destroy(registry);
        }
    }
    assert_true(has_succeeded);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_registry_comes_back_from_its_log_record),
        cmocka_unit_test(test_an_equal_payload_is_a_no_op_after_recovery),
        cmocka_unit_test(test_policy_is_not_judged_again),
        cmocka_unit_test(test_a_damaged_record_is_refused_with_the_node),
        cmocka_unit_test(test_every_failed_allocation_of_a_replay_is_a_clean_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
