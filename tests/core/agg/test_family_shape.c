/* SPDX-License-Identifier: Apache-2.0 */
/* histogram, event_type_mix and, of the season family, the operators over hours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

static void
assert_reads(const struct test_feature *feature, const char *wanted)
{
    const struct value got = test_feature_read(feature, &arena);
    struct buf text;

    buf_init(&text);
    json_write(&text, &got);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, wanted);
    buf_deinit(&text);
}

static void
push_json(struct test_feature *feature, const char *values)
{
    struct value list;

    assert_int_equal(json_parse(&list, slice_text(values), 8, &arena, NULL), BV_OK);
    for (uint32_t i = 0; i < list.length; i++) {
        const struct value *inputs[AGG_INPUTS_MAX] = {&list.as.items[i], &list.as.items[i]};

        test_feature_push_at(feature, inputs, true, i * 1000, i);
    }
}

static void
expect(const char *op, const char *params, const char *values, const char *wanted)
{
    struct test_feature feature;

    test_feature_open_with(&feature, op, 0, params, &heap);
    push_json(&feature, values);
    assert_reads(&feature, wanted);
    test_feature_close(&feature);
    assert_int_equal(heap.bytes_out, 0);
}

/* ---- histogram ---- */

static void
test_histogram_of_the_golden_vectors(void **state)
{
    expect("histogram", "{\"buckets\":[10,20]}", "[10.0,20.0,5.0,25.0]",
           "{\"10-20\":1,\"<10\":1,\">=20\":2}");
    expect("histogram", "{\"buckets\":[10,20,50]}", "[5,9.99,10,15,19.99,20,35,49.99,50,100]",
           "{\"10-20\":3,\"20-50\":3,\"<10\":2,\">=50\":2}");
    expect("histogram", "{\"buckets\":[10,50,100,500]}", "[]",
           "{\"10-50\":0,\"100-500\":0,\"50-100\":0,\"<10\":0,\">=500\":0}");
}

static void
test_histogram_labels(void **state)
{
    expect("histogram", "{\"buckets\":[10.0,10.5]}", "[]",
           "{\"10-10.5\":0,\"<10\":0,\">=10.5\":0}");
    expect("histogram", "{\"buckets\":[1e-7]}", "[]", "{\"<0.0000001\":0,\">=0.0000001\":0}");
    expect("histogram", "{\"buckets\":[-10,-5]}", "[]", "{\"-10--5\":0,\"<-10\":0,\">=-5\":0}");
    expect("histogram", "{\"buckets\":[-0.0]}", "[0,-0.0,-1]", "{\"<0\":1,\">=0\":2}");
    expect("histogram", "{\"buckets\":[1e20]}", "[1e20]",
           "{\"<100000000000000000000\":0,\">=100000000000000000000\":1}");
    expect("histogram", "{}", "[1,2,\"x\",null]", "{\"all\":2}");
    expect("histogram", "{\"buckets\":[]}", "[1]", "{\"all\":1}");
}

static void
test_histogram_takes_numbers_only_and_nan_last(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "histogram", 0, "{\"buckets\":[0,10]}", &heap);
    push_json(&feature, "[null,true,\"5\",[5],5,-1,9223372036854775807]");
    test_feature_push(&feature, value_f64(NAN), true);
    test_feature_push(&feature, value_f64(-INFINITY), true);
    assert_reads(&feature, "{\"0-10\":1,\"<0\":2,\">=10\":2}");
    test_feature_close(&feature);
}

/* Every number of edges, every place between them. */
static void
test_histogram_finds_the_cell_as_the_definition_does(void **state)
{
    for (unsigned edges = 1; edges <= 20; edges++) {
        struct test_feature feature;
        char params[200] = "{\"buckets\":[";
        size_t size = strlen(params);

        for (unsigned i = 0; i < edges; i++) {
            size += (size_t)snprintf(params + size, sizeof params - size, "%s%u", i == 0 ? "" : ",",
                                     i + 1);
        }
        (void)snprintf(params + size, sizeof params - size, "]}");
        for (unsigned half = 0; half <= 2 * edges + 2; half++) {
            const double x = half / 2.0;
            unsigned cell = 0;

            while (cell < edges && !(x < cell + 1)) {
                cell++;
            }
            test_feature_open_with(&feature, "histogram", 0, params, &heap);
            test_feature_push(&feature, value_f64(x), true);
            const struct value got = test_feature_read(&feature, &arena);
            char label[32];

            (void)snprintf(label, sizeof label, "%u-%u", cell, cell + 1);
            if (cell == 0 || cell == edges) {
                (void)snprintf(label, sizeof label, cell == 0 ? "<%u" : ">=%u",
                               cell == 0 ? 1 : edges);
            }
            assert_int_equal(got.length, edges + 1);
            assert_int_equal(value_find(&got, label)->as.i64, 1);
            test_feature_close(&feature);
        }
    }
}

static const struct agg_param *
param_of(const char *op, const char *name)
{
    const struct agg_op *row = agg_op_find(slice_text(op));

    for (unsigned i = 0; i < row->param_count; i++) {
        if (strcmp(row->params[i].name, name) == 0) {
            return &row->params[i];
        }
    }
    fail_msg("%s has no %s", op, name);
    return NULL;
}

static void
test_edges_must_be_ascending_numbers(void **state)
{
    static const char *const refused[] = {"[2,1]",     "[1,1]",
                                          "[1,\"2\"]", "[1,null,2]",
                                          "[true]",    "[9007199254740992,9007199254740993]"};
    static const char *const taken[] = {"[]", "[1]", "[-1e308,0,1e308]", "[1,1.5,2]"};
    const struct agg_param *buckets = param_of("histogram", "buckets");
    struct value list;

    assert_int_equal(buckets->refusal, BV_AGG_UNKNOWN_FIELD);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(json_parse(&list, slice_text(refused[i]), 4, &arena, NULL), BV_OK);
        assert_non_null(buckets->objection(&list));
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        assert_int_equal(json_parse(&list, slice_text(taken[i]), 4, &arena, NULL), BV_OK);
        assert_null(buckets->objection(&list));
    }
    struct value *many = arena_alloc(&arena, 65537 * sizeof *many);

    for (int i = 0; i < 65537; i++) {
        many[i] = value_i64(i);
    }
    list = (struct value){.as.items = many, .length = 65536, .kind = VALUE_LIST};
    assert_null(buckets->objection(&list));
    list.length = 65537;
    assert_non_null(buckets->objection(&list));
}

/* ---- event_type_mix ---- */

#define PAGES "[\"a\",\"b\",\"a\",\"c\"]"

static void
test_mix_of_the_golden_vectors(void **state)
{
    expect("event_type_mix", "{}", PAGES, "{\"a\":0.5,\"b\":0.25,\"c\":0.25}");
    expect("event_type_mix", "{\"categories\":[\"a\",\"z\"]}", PAGES, "{\"a\":0.5}");
    expect("event_type_mix", "{\"max_categories\":1}", PAGES, "{\"a\":0.5}");
}

static void
test_mix_goes_by_text(void **state)
{
    static const char *const values =
        "[1,\"1\",true,\"true\",false,1.0,null,[1],{},\"\",\"longer than eight bytes\"]";
    static const char *const shares =
        "{\"\":0.14285714285714285,\"1\":0.2857142857142857,\"false\":0.14285714285714285,"
        "\"longer than eight bytes\":0.14285714285714285,\"true\":0.2857142857142857}";

    expect("event_type_mix", "{}", values, shares);
    expect("event_type_mix",
           "{\"categories\":[true,\"longer than eight bytes\",\"\",1,false,\"1\",\"true\"]}",
           values, shares);
    expect("event_type_mix", "{\"categories\":[-9223372036854775808]}", "[-9223372036854775808]",
           "{\"-9223372036854775808\":1.0}");
    expect("event_type_mix", "{\"categories\":[]}", values, "{}");
    expect("event_type_mix", "{\"max_categories\":0}", values, "{}");
    expect("event_type_mix", "{}", "[1.5,null]", "{}");
}

static void
test_lists_of_the_same_categories_are_one_accumulator(void **state)
{
    static const char *const params[] = {"{\"categories\":[\"b\",\"a\",7]}",
                                         "{\"categories\":[7,\"b\",\"a\"],\"max_categories\":3}"};
    struct test_feature features[2];
    const struct agg_accumulator *mix =
        agg_op_find(slice_text("event_type_mix"))->uses[0].any_of[0];

    for (size_t i = 0; i < 2; i++) {
        test_feature_open_with(&features[i], "event_type_mix", 0, params[i], &heap);
    }
    assert_memory_equal(features[0].reading.configs[0], features[1].reading.configs[0],
                        mix->config_size_of(&features[0].params));
    test_feature_close(&features[0]);
    test_feature_close(&features[1]);
}

static void
test_mix_of_many_categories_keeps_to_its_limit(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "event_type_mix", 0, "{}", &heap);
    for (int i = 0; i < 4000; i++) {
        char text[40];
        const int size =
            snprintf(text, sizeof text, i % 2 == 0 ? "%d" : "a category of number %d", i % 1000);

        test_feature_push(&feature, value_str(slice_of(text, (size_t)size)), true);
    }
    const struct value got = test_feature_read(&feature, &arena);

    assert_int_equal(got.length, 256);
    for (uint32_t i = 0; i < got.length; i++) {
        assert_true(got.as.members[i].value.as.f64 == 4.0 / 4000);
        assert_true(i == 0 || slice_compare(value_slice(&got.as.members[i - 1].key),
                                            value_slice(&got.as.members[i].key)) < 0);
    }
    test_feature_close(&feature);
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_a_category_that_finds_no_memory_stays_in_the_total(void **state)
{
    for (int64_t fail_at = 1; fail_at <= 3; fail_at++) {
        struct test_feature feature;
        const struct value text = value_str(slice_text("longer than eight bytes"));

        test_feature_open_with(&feature, "event_type_mix", 0, "{}", &heap);
        test_feature_push(&feature, value_i64(1), true);
        heap.fail_at = heap.alloc_count + fail_at;
        test_feature_push(&feature, text, true);
        heap.fail_at = 0;
        assert_reads(&feature,
                     fail_at <= 2 ? "{\"1\":0.5}" : "{\"1\":0.5,\"longer than eight bytes\":0.5}");
        test_feature_close(&feature);
        assert_int_equal(heap.bytes_out, 0);
    }
}

static void
test_a_mix_comes_back_from_its_encoding(void **state)
{
    static const char *const params[] = {"{}", "{\"categories\":[\"a\",\"b\",3]}"};

    for (size_t i = 0; i < 2; i++) {
        struct test_feature feature;
        struct test_feature copy;
        struct buf bytes;
        size_t consumed = 0;

        test_feature_open_with(&feature, "event_type_mix", 0, params[i], &heap);
        test_feature_open_with(&copy, "event_type_mix", 0, params[i], &heap);
        push_json(&feature, "[\"a\",3,\"a\",\"another one, quite long\",true,\"b\",\"b\",\"c\"]");
        const struct agg_accumulator *mix = feature.reading.accumulators[0];
        const struct value wanted = test_feature_read(&feature, &arena);
        struct buf text;

        buf_init(&bytes);
        buf_init(&text);
        mix->encode(&bytes, feature.states[0], feature.reading.configs[0], &heap.heap);
        assert_int_equal(mix->decode(copy.states[0], &consumed, buf_slice(&bytes),
                                     copy.reading.configs[0], &heap.heap, NULL),
                         BV_OK);
        json_write(&text, &wanted);
        buf_byte(&text, 0);
        assert_reads(&copy, (const char *)text.data);
        /* Counts without a total are no state. */
        memset(bytes.data + 1, 0, 8);
        test_feature_close(&copy);
        test_feature_open_with(&copy, "event_type_mix", 0, params[i], &heap);
        assert_int_equal(mix->decode(copy.states[0], &consumed, buf_slice(&bytes),
                                     copy.reading.configs[0], &heap.heap, NULL),
                         BV_CORRUPT);
        arena_deinit(&copy.arena);
        buf_deinit(&bytes);
        buf_deinit(&text);
        test_feature_close(&feature);
        assert_int_equal(heap.bytes_out, 0);
    }
}

static void
test_categories_must_be_texts_ints_or_booleans(void **state)
{
    const struct agg_param *categories = param_of("event_type_mix", "categories");
    const struct agg_param *limit = param_of("event_type_mix", "max_categories");
    struct value list;

    assert_int_equal(json_parse(&list, slice_text("[\"a\",1,true]"), 4, &arena, NULL), BV_OK);
    assert_null(categories->objection(&list));
    assert_int_equal(json_parse(&list, slice_text("[\"a\",1.5]"), 4, &arena, NULL), BV_OK);
    assert_non_null(categories->objection(&list));
    assert_int_equal(json_parse(&list, slice_text("[null]"), 4, &arena, NULL), BV_OK);
    assert_non_null(categories->objection(&list));
    assert_true(limit->min == 0 && limit->max == 65536);
    assert_int_equal(limit->refusal, BV_AGG_UNKNOWN_FIELD);
}

/* ---- hours ---- */

static void
push_at(struct test_feature *feature, double x, uint64_t now_ms)
{
    const struct value v = value_f64(x);
    const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};

    test_feature_push_at(feature, inputs, true, now_ms, 0);
}

static void
test_hours_of_the_golden_vectors(void **state)
{
    for (unsigned choice = 0; choice < 2; choice++) {
        struct test_feature hours;

        test_feature_open_with(&hours, "hour_of_day_histogram", choice, "{}", &heap);
        push_json(&hours, PAGES);
        assert_reads(&hours, "[4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]");
        push_at(&hours, 0, 1700000000000);
        assert_reads(&hours, "[4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0]");
        push_at(&hours, 0, 1700000000000 + 2 * 86400000ull);
        assert_reads(&hours, "[4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2,0]");
        test_feature_close(&hours);
    }
}

static void
test_the_week_has_168_labels_in_byte_order(void **state)
{
    struct test_feature week;
    int64_t total = 0;

    test_feature_open_with(&week, "dow_hour_histogram", 0, "{}", &heap);
    push_json(&week, PAGES);
    assert_int_equal(heap.bytes_out, 0); /* one cell lies in the block */
    push_at(&week, 0, 1700000000000);
    const struct value got = test_feature_read(&week, &arena);

    assert_int_equal(got.length, 168);
    assert_true(slice_equal(value_slice(&got.as.members[0].key), slice_text("Fri-00")));
    assert_true(slice_equal(value_slice(&got.as.members[167].key), slice_text("Wed-23")));
    for (uint32_t i = 0; i < got.length; i++) {
        total += got.as.members[i].value.as.i64;
        assert_true(i == 0 || slice_compare(value_slice(&got.as.members[i - 1].key),
                                            value_slice(&got.as.members[i].key)) < 0);
    }
    assert_int_equal(total, 5);
    assert_int_equal(value_find(&got, "Thu-00")->as.i64, 4);
    assert_int_equal(value_find(&got, "Tue-22")->as.i64, 1);
    test_feature_close(&week);
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_every_hour_of_a_week_has_its_own_label(void **state)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

    for (uint32_t hour = 0; hour < 2 * 168; hour++) {
        struct test_feature week;
        char label[16];

        test_feature_open_with(&week, "dow_hour_histogram", 0, "{}", &heap);
        push_at(&week, 0, (hour + 1) * 3600000ull - 1);
        (void)snprintf(label, sizeof label, "%s-%02u", days[hour / 24 % 7], hour % 24);
        const struct value got = test_feature_read(&week, &arena);

        assert_int_equal(value_find(&got, label)->as.i64, 1);
        test_feature_close(&week);
    }
}

static void
test_seasonal_deviation_of_the_golden_vector(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "seasonal_deviation", 0, "{}", &heap);
    push_json(&feature, "[10.0,20.0,5.0,25.0]");
    assert_true(fabs(test_feature_read(&feature, &arena).as.f64 - 1.0954451150103321) < 1e-12);
    test_feature_close(&feature);
}

/* Against two passes over the values of the hour, which have a large mean (W24). */
static void
test_seasonal_deviation_looks_at_one_hour(void **state)
{
    static double values[24][400];
    static int counts[24];
    struct test_feature feature;
    uint64_t seed = 9;

    test_feature_open_with(&feature, "seasonal_deviation", 0, "{}", &heap);
    for (int i = 0; i < 4000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const uint64_t now_ms = 1700000000000 + (uint64_t)i * 7777777;
        const unsigned hour = (unsigned)(now_ms / 3600000 % 24);
        const double x = 1e9 + (double)(seed >> 54) / 16;
        double mean = 0;
        double squares = 0;

        push_at(&feature, x, now_ms);
        values[hour][counts[hour]++] = x;
        for (int k = 0; k < counts[hour]; k++) {
            mean += values[hour][k] / counts[hour];
        }
        for (int k = 0; k < counts[hour]; k++) {
            squares += (values[hour][k] - mean) * (values[hour][k] - mean);
        }
        const struct value got = test_feature_read(&feature, &arena);

        if (counts[hour] < 2) {
            assert_int_equal(got.kind, VALUE_NULL);
        } else {
            assert_int_equal(got.kind, VALUE_F64);
            assert_true(fabs(got.as.f64 - (x - mean) / sqrt(squares / (counts[hour] - 1))) < 1e-5);
        }
    }
    assert_int_equal(heap.bytes_out, 24 * 24);
    test_feature_close(&feature);
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_seasonal_deviation_of_equal_and_infinite_values(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "seasonal_deviation", 0, "{}", &heap);
    push_json(&feature, "[5,5,5,\"x\",null]");
    assert_reads(&feature, "null");
    push_at(&feature, INFINITY, 0);
    assert_reads(&feature, "null");
    push_at(&feature, 1, 3600000);
    push_at(&feature, 3, 3600000);
    assert_true(test_feature_read(&feature, &arena).kind == VALUE_F64); /* another hour */
    test_feature_close(&feature);
}

static void
test_these_operators_refuse_windows(void **state)
{
    static const char *const names[] = {"histogram", "event_type_mix", "hour_of_day_histogram",
                                        "dow_hour_histogram", "seasonal_deviation"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(agg_op_find(slice_text(names[i]))->window, AGG_WINDOW_REFUSED);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_of_the_golden_vectors),
        cmocka_unit_test(test_histogram_labels),
        cmocka_unit_test(test_histogram_takes_numbers_only_and_nan_last),
        cmocka_unit_test(test_histogram_finds_the_cell_as_the_definition_does),
        cmocka_unit_test(test_edges_must_be_ascending_numbers),
        cmocka_unit_test(test_mix_of_the_golden_vectors),
        cmocka_unit_test(test_mix_goes_by_text),
        cmocka_unit_test(test_lists_of_the_same_categories_are_one_accumulator),
        cmocka_unit_test(test_mix_of_many_categories_keeps_to_its_limit),
        cmocka_unit_test(test_a_category_that_finds_no_memory_stays_in_the_total),
        cmocka_unit_test(test_a_mix_comes_back_from_its_encoding),
        cmocka_unit_test(test_categories_must_be_texts_ints_or_booleans),
        cmocka_unit_test(test_hours_of_the_golden_vectors),
        cmocka_unit_test(test_the_week_has_168_labels_in_byte_order),
        cmocka_unit_test(test_every_hour_of_a_week_has_its_own_label),
        cmocka_unit_test(test_seasonal_deviation_of_the_golden_vector),
        cmocka_unit_test(test_seasonal_deviation_looks_at_one_hour),
        cmocka_unit_test(test_seasonal_deviation_of_equal_and_infinite_values),
        cmocka_unit_test(test_these_operators_refuse_windows),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 16 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
