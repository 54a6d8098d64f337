/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* One feature: operators.md 4.2 C rows 5 to 21, and 10.6 for the operators there are. */

#define AT "nodes[1].ops[0].agg.f"

static void
test_each_refusal_has_its_code_and_path(void **state)
{
    static const struct {
        const char *spec, *code, *path, *fragment;
    } cases[] = {
        {"{'op':'avg','params':{'window':'1h'}}", "aggregation_unknown_op", AT ".op", "'avg'"},
        {"{'op':'avg','params':{'window':'1h'}}", "aggregation_unknown_op", AT ".op", "count"},
        {"{'op':'sum','params':{'field':'nope'}}", "aggregation_unknown_field", AT ".params.field",
         "'nope'"},
        {"{'op':'sum','params':{'field':5}}", "aggregation_unknown_field", AT ".params.field",
         "name of a column"},
        {"{'op':'first'}", "aggregation_unknown_field", AT ".params.field", "`field`"},
        {"{'op':'last','params':{'field':null}}", "aggregation_unknown_field", AT ".params.field",
         "required"},
        {"{'op':'first','params':{'field':'nope','window':'1h'}}", "aggregation_unknown_field",
         AT ".params.field", "'nope'"},
        {"{'op':'first','params':{'field':'n','window':'1h'}}", "aggregation_invalid_window",
         AT ".params.window", "lifetime"},
        {"{'op':'last','params':{'field':'n','window':'forever'}}", "aggregation_invalid_window",
         AT ".params.window", "lifetime"},
        {"{'op':'ewma','params':{'field':'n'}}", "invalid_registration", AT ".params.half_life",
         "half_life"},
        {"{'op':'ema','params':{'half_life':'0s','field':'nope'}}", "invalid_registration",
         AT ".params.half_life", "half_life"},
        {"{'op':'decayed_count','params':{'half_life':'forever'}}", "invalid_registration",
         AT ".params.half_life", "half_life"},
        {"{'op':'ewvar','params':{'half_life':'1s','field':'nope'}}", "aggregation_unknown_field",
         AT ".params.field", "'nope'"},
        {"{'op':'geo_velocity','params':{'lat_field':'nope'}}", "aggregation_unknown_field",
         AT ".params.lat_field", "'nope'"},
        {"{'op':'geo_spread','params':{'window':'forever'}}", "aggregation_invalid_window",
         AT ".params.window", "lifetime"},
        {"{'op':'distance_from_home','params':{'samples':65537}}", "aggregation_unknown_field",
         AT ".params.samples", "65536"},
        {"{'op':'distance_from_home','params':{'samples':0}}", "aggregation_unknown_field",
         AT ".params.samples", "65536"},
        {"{'op':'distance_from_home','params':{'samples':2.5}}", "aggregation_unknown_field",
         AT ".params.samples", "integer"},
        {"{'op':'burst_count'}", "invalid_registration", AT ".params.sub_window", "sub_window"},
        {"{'op':'burst_count','params':{'sub_window':'forever'}}", "invalid_registration",
         AT ".params.sub_window", "forever"},
        {"{'op':'burst_count','params':{'sub_window':'0s'}}", "invalid_registration",
         AT ".params.sub_window", "duration"},
        {"{'op':'outlier_count','params':{'field':'n','sigma':'3'}}", "aggregation_unknown_field",
         AT ".params.sigma", "number"},
        {"{'op':'z_score','params':{'field':'n','baseline_window':'x'}}",
         "aggregation_invalid_window", AT ".params.baseline_window", "'x'"},
        {"{'op':'histogram','params':{'field':'n','buckets':[2,1]}}", "aggregation_unknown_field",
         AT ".params.buckets", "ascending"},
        {"{'op':'histogram','params':{'field':'n','buckets':[1,1.0]}}", "aggregation_unknown_field",
         AT ".params.buckets", "ascending"},
        {"{'op':'histogram','params':{'field':'n','buckets':[1,'2']}}", "aggregation_unknown_field",
         AT ".params.buckets", "not a number"},
        {"{'op':'histogram','params':{'field':'n','buckets':5}}", "aggregation_unknown_field",
         AT ".params.buckets", "list"},
        {"{'op':'histogram','params':{'field':'nope','buckets':[1]}}", "aggregation_unknown_field",
         AT ".params.field", "'nope'"},
        {"{'op':'histogram','params':{'field':'n','buckets':[1],'window':'1h'}}",
         "aggregation_invalid_window", AT ".params.window", "lifetime"},
        {"{'op':'event_type_mix','params':{'field':'n','categories':[1.5]}}",
         "aggregation_unknown_field", AT ".params.categories", "no string"},
        {"{'op':'event_type_mix','params':{'field':'n','max_categories':65537}}",
         "aggregation_unknown_field", AT ".params.max_categories", "65536"},
        {"{'op':'dow_hour_histogram','params':{'window':'forever'}}", "aggregation_invalid_window",
         AT ".params.window", "lifetime"},
        {"{'op':'count','params':{'window':'5seconds'}}", "aggregation_invalid_window",
         AT ".params.window", "'5seconds'"},
        {"{'op':'count','params':{'window':'0ms'}}", "aggregation_invalid_window",
         AT ".params.window", "'0ms'"},
        {"{'op':'count','params':{'window':'5'}}", "aggregation_invalid_window",
         AT ".params.window", "'5'"},
        {"{'op':'count','params':{'window':''}}", "aggregation_invalid_window", AT ".params.window",
         "''"},
        {"{'op':'count','params':{'window':'1h30m'}}", "aggregation_invalid_window",
         AT ".params.window", "'1h30m'"},
        {"{'op':'count','params':{'window':60000}}", "aggregation_invalid_window",
         AT ".params.window", "must be a string"},
        {"{'op':'count','params':{'where':true}}", "aggregation_invalid_where", AT ".params.where",
         "must be a string"},
        {"{'op':'count','params':{'where':'amount >>> '}}", "aggregation_invalid_where",
         AT ".params.where", "col "},
        {"{'op':'count','params':{'where':'amount > 5'}}", "aggregation_invalid_where",
         AT ".params.where", "col "},
        {"{'op':'count','params':{'where':''}}", "aggregation_invalid_where", AT ".params.where",
         "col "},
        {"{'op':'count','params':{'where':'(nope > 1)'}}", "aggregation_invalid_where",
         AT ".params.where", "nope"},
        {"{'op':'sum','params':{'field':'nope','window':'x','where':'('}}",
         "aggregation_unknown_field", AT ".params.field", "'nope'"},
        {"{'op':'sum','params':{'field':'n','window':'x','where':'('}}",
         "aggregation_invalid_window", AT ".params.window", "'x'"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, NODES(TX "," TABLE("T", "'f':%s")), cases[i].spec);
        world_expect_refusal(&world, payload, cases[i].code, cases[i].path, cases[i].fragment);
    }
    world_deinit(&world);
}

static void
test_a_feature_named_like_a_group_key_is_refused(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_refusal(&world, NODES(TX "," TABLE("T", COUNT("user_id"))),
                         "aggregation_group_key_collides_with_feature",
                         "nodes[1].ops[0].agg.user_id", "'user_id'");
    world_deinit(&world);
}

static void
test_all_features_are_judged_and_only_the_first_finding_of_each_is_kept(void **state)
{
    struct world world;

    world_init(&world);
    world_send(&world,
               NODES(TX "," TABLE("T", "'z':{'op':'sum','params':{'field':'nope'}},'a':{'op':"
                                       "'count','params':{'window':'x','where':'('}},'m':{'op':"
                                       "'count'}")));
    const struct value *errors = value_find(value_find(&world.reply, "error"), "errors");

    assert_int_equal(errors->length, 2);
    assert_string_equal(world_text(&errors->as.items[0], "path"),
                        "nodes[1].ops[0].agg.a.params.window");
    assert_string_equal(world_text(&errors->as.items[1], "path"),
                        "nodes[1].ops[0].agg.z.params.field");
    world_deinit(&world);
}

static void
test_what_is_let_through_is_warned_of(void **state)
{
    static const struct {
        const char *spec, *path, *fragment;
    } cases[] = {
        {"{'op':'sum','params':{'expr':'(n + 1)'}}", AT, "never has a value"},
        {"{'op':'sum','params':{'field':'user_id'}}", AT ".params.field", "of type str"},
        {"{'op':'mean','params':{'field':'ok'}}", AT ".params.field", "of type bool"},
        {"{'op':'outlier_count','params':{'field':'user_id'}}", AT ".params.field", "of type str"},
        {"{'op':'histogram','params':{'field':'ok','buckets':[1]}}", AT ".params.field",
         "of type bool"},
        {"{'op':'histogram','params':{'buckets':[1]}}", AT, "its empty value"},
        {"{'op':'count','params':{'where':'(frob(n) == 1)'}}", AT ".params.where", "frob"},
        {"{'op':'count','params':{'where':'(ok == 1)'}}", AT ".params.where", ""},
        {"{'op':'geo_spread'}", AT, "'lat'"},
        {"{'op':'geo_spread','params':{'lat':'n'}}", AT, "'lon'"},
        {"{'op':'decayed_sum','params':{'half_life':'1h'}}", AT, "never has a value"},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload, DRY(TX "," TABLE("T", "'f':%s")), cases[i].spec);
        world_expect_warning(&world, payload, cases[i].path, cases[i].fragment);
        assert_int_equal(value_find(&world.reply, "errors")->length, 0);
    }
    world_deinit(&world);
}

static const struct resolved_feature *
resolve(struct world *world, const char *agg)
{
    char payload[1024];

    (void)snprintf(payload, sizeof payload, FORCED(TX "," TABLE("T", "%s")), agg);
    world_expect_ok(world, payload);
    return &world->registry->sources[0].tables[0].features[0];
}

static void
test_a_feature_is_resolved_to_nodes_window_and_predicate(void **state)
{
    struct world world;

    world_init(&world);
    const struct resolved_feature *feature =
        resolve(&world, "'f':{'op':'sum','params':{'field':'n','window':'1h','where':'(ok == "
                        "true)'}}");

    assert_string_equal(feature->op->name, "sum");
    assert_int_equal(feature->input_count, 1);
    assert_int_equal(feature->inputs[0], 2);
    assert_int_equal(feature->input_types[0], FIELD_I64);
    assert_int_equal(feature->window_ms, 3600000);
    assert_int_not_equal(feature->where, EXPR_NODE_NONE);
    assert_non_null(value_find(feature->params, "where"));

    feature = resolve(&world, "'f':{'op':'count','params':{'window':'forever'}}");
    assert_int_equal(feature->window_ms, 0);
    assert_int_equal(feature->where, EXPR_NODE_NONE);
    assert_int_equal(feature->input_count, 0);

    feature = resolve(&world, "'f':{'op':'count'}");
    assert_null(feature->params);

    feature = resolve(&world, "'f':{'op':'sum'}");
    assert_int_equal(feature->inputs[0], EXPR_NODE_NONE);
    world_deinit(&world);
}

/* What the row requires, and what bounds its memory, with values that lie within any bounds. */
static void
write_params(struct buf *out, const struct agg_op *op)
{
    static const char *const samples[] = {"'n'", "'1h'", "3", "0.5", "[10,20]"};

    buf_text(out, "{'ignored':1");
    for (unsigned i = 0; i < op->param_count; i++) {
        const struct agg_param *param = &op->params[i];

        if (param->type == AGG_PARAM_FIELD || param->type == AGG_PARAM_INT ||
            param->type == AGG_PARAM_LIST || param->is_required) {
            buf_printf(out, ",'%s':%s", param->name, samples[param->type]);
        }
    }
    if (op->window == AGG_WINDOW_REQUIRED || op->window == AGG_WINDOW_PARAMETER) {
        buf_text(out, ",'window':'1h'");
    }
    buf_byte(out, '}');
    buf_byte(out, 0);
}

static void
test_every_operator_of_the_catalogue_registers(void **state)
{
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < agg_op_count(); i++) {
        char payload[1024];
        struct buf params;

        buf_init(&params);
        write_params(&params, agg_op_at(i));
        (void)snprintf(payload, sizeof payload,
                       FORCED(TX "," TABLE("T", "'f':{'op':'%s','params':%s}")), agg_op_at(i)->name,
                       (const char *)params.data);
        world_expect_ok(&world, payload);
        buf_deinit(&params);
    }
    assert_true(agg_op_count() >= 10);
    world_deinit(&world);
}

/* Two columns, each under one of two names, or under neither. */
static void
test_coordinates_are_found_under_either_name_or_none(void **state)
{
    static const struct {
        const char *params;
        uint32_t lat, lon;
    } cases[] = {
        {"{}", 0, 1},
        {"{'lat':'x','lon':'y'}", 2, 3},
        {"{'lat_field':'y','lon_field':'x'}", 3, 2},
        {"{'lat_field':'x','lat':'y','lon':'lat'}", 2, 0},
    };
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[1024];

        (void)snprintf(payload, sizeof payload,
                       FORCED("{'kind':'event','name':'Tx','schema':{'fields':{'lat':'f64',"
                              "'lon':'f64','x':'f64','y':'f64','user_id':'str'}}},"
                              "" TABLE("T", "'f':{'op':'geo_distance','params':%s}")),
                       cases[i].params);
        world_expect_ok(&world, payload);
        const struct value *warnings = value_find(&world.reply, "warnings");
        const struct resolved_feature *feature = &world.registry->sources[0].tables[0].features[0];

        assert_true(warnings == NULL || warnings->length == 0);
        assert_int_equal(feature->inputs[0], cases[i].lat);
        assert_int_equal(feature->inputs[1], cases[i].lon);
    }
    world_deinit(&world);
}

static void
test_an_operator_that_makes_floats_of_texts_is_not_warned_about(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, FORCED("{'kind':'event','name':'Tx','schema':{'fields':{"
                                   "'page':'str','user_id':'str'}}}," TABLE(
                                       "T", "'f':{'op':'entropy','params':{'field':'page'}}")));
    const struct value *warnings = value_find(&world.reply, "warnings");

    assert_true(warnings == NULL || warnings->length == 0);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_refusal_has_its_code_and_path),
        cmocka_unit_test(test_a_feature_named_like_a_group_key_is_refused),
        cmocka_unit_test(test_all_features_are_judged_and_only_the_first_finding_of_each_is_kept),
        cmocka_unit_test(test_what_is_let_through_is_warned_of),
        cmocka_unit_test(test_a_feature_is_resolved_to_nodes_window_and_predicate),
        cmocka_unit_test(test_every_operator_of_the_catalogue_registers),
        cmocka_unit_test(test_coordinates_are_found_under_either_name_or_none),
        cmocka_unit_test(test_an_operator_that_makes_floats_of_texts_is_not_warned_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
