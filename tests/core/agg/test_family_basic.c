/* SPDX-License-Identifier: Apache-2.0 */
/* Golden vectors of operators.md 10.1 and 10.2 for this family. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

struct step {
    struct value v;
    bool is_matching;
};

static struct value
text(const char *s)
{
    return value_str(slice_text(s));
}

static void
expect_choice(const char *op, unsigned choice, const struct step *steps, size_t count,
              struct value wanted)
{
    struct test_feature feature;
    struct value got;

    test_feature_open(&feature, op, choice, &heap);
    for (size_t i = 0; i < count; i++) {
        test_feature_push(&feature, steps[i].v, steps[i].is_matching);
    }
    got = test_feature_read(&feature, &arena);
    if (got.kind != wanted.kind) {
        fail_msg("%s: kind %d, expected %d", op, got.kind, wanted.kind);
    }
    if (wanted.kind == VALUE_F64) {
        if (got.as.f64 != wanted.as.f64 &&
            !(fabs(got.as.f64 - wanted.as.f64) <= 1e-9 * fmax(1e-300, fabs(wanted.as.f64)))) {
            fail_msg("%s: %.17g, expected %.17g", op, got.as.f64, wanted.as.f64);
        }
    } else if (wanted.kind == VALUE_STR) {
        assert_true(slice_equal(value_slice(&got), value_slice(&wanted)));
    } else if (wanted.kind != VALUE_NULL) {
        assert_true(got.as.bits == wanted.as.bits);
    }
    test_feature_close(&feature);
}

static void
expect(const char *op, const struct step *steps, size_t count, struct value wanted)
{
    expect_choice(op, 0, steps, count, wanted);
    expect_choice(op, 1, steps, count, wanted);
}

#define COUNT(steps) (sizeof(steps) / sizeof((steps)[0]))

static void
test_base_sequence(void **state)
{
    const struct step all[] = {
        {value_f64(10), true}, {value_f64(20), true}, {value_f64(5), true}, {value_f64(25), true}};
    const struct step ok[] = {
        {value_f64(10), true}, {value_f64(20), false}, {value_f64(5), true}, {value_f64(25), true}};
    const struct step above_8[] = {
        {value_f64(10), true}, {value_f64(20), true}, {value_f64(5), false}, {value_f64(25), true}};
    const struct step never[] = {{value_f64(10), false}, {value_f64(20), false}};
    const struct step pages[] = {
        {text("a"), true}, {text("b"), true}, {text("a"), true}, {text("c"), true}};

    expect("count", all, 4, value_i64(4));
    expect("count", ok, 4, value_i64(3));
    expect("count", never, 2, value_i64(0));
    expect("sum", all, 4, value_f64(60.0));
    expect("sum", above_8, 4, value_f64(55.0));
    expect("mean", all, 4, value_f64(15.0));
    expect("min", all, 4, value_f64(5.0));
    expect("max", all, 4, value_f64(25.0));
    expect("min", pages, 4, text("a"));
    expect("max", pages, 4, text("c"));
    expect("var", all, 4, value_f64(83.33333333333333));
    expect("std", all, 4, value_f64(9.128709291752768));
    expect("ratio", ok, 4, value_f64(0.75));
    expect("ratio", all, 4, value_f64(1.0));
    expect("sum", never, 2, value_null());
    expect("mean", never, 2, value_null());
    expect("min", never, 2, value_null());
    expect("max", never, 2, value_null());
    expect("var", never, 2, value_null());
    expect("ratio", never, 2, value_f64(0.0));
}

static void
test_single_operator_sequences(void **state)
{
    const double eight[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct step steps[8];
    const struct step one[] = {{value_f64(3), true}};
    const struct step twins[] = {{value_f64(3), true}, {value_f64(3), true}};
    const struct step mixed[] = {
        {value_i64(1), true}, {value_f64(1.5), true}, {value_f64(2.5), true}};
    const struct step bools[] = {{value_bool(true), true}, {value_bool(true), true}};
    const struct step ints[] = {{value_i64(3), true}, {value_i64(1), true}, {value_i64(5), true}};
    const struct step int_float[] = {{value_i64(10), true}, {value_f64(9.5), true}};

    for (size_t i = 0; i < 8; i++) {
        steps[i] = (struct step){value_f64(eight[i]), true};
    }
    expect("var", steps, 8, value_f64(4.571428571428571));
    expect("std", steps, 8, value_f64(2.138089935299395));
    expect("var", one, 1, value_null());
    expect("std", one, 1, value_null());
    expect("var", twins, 2, value_f64(0.0));
    expect("sum", mixed, 3, value_f64(5.0));
    expect("sum", bools, 2, value_null());
    expect("mean", bools, 2, value_null());
    expect("min", ints, 3, value_i64(1));
    expect("max", ints, 3, value_i64(5));
    expect("min", int_float, 2, value_f64(9.5));
    expect("max", int_float, 2, value_i64(10));
}

static void
test_eight_core_operators_over_an_hour(void **state)
{
    const double amounts[] = {10, 20, 30, 40, 50, 99};
    struct step steps[6];
    struct step ok[6];

    for (size_t i = 0; i < 6; i++) {
        steps[i] = (struct step){value_f64(amounts[i]), true};
        ok[i] = (struct step){value_f64(amounts[i]), i != 5};
    }
    expect("count", steps, 6, value_i64(6));
    expect("sum", steps, 6, value_f64(249.0));
    expect("mean", steps, 6, value_f64(41.5));
    expect("min", steps, 6, value_f64(10.0));
    expect("max", steps, 6, value_f64(99.0));
    expect("var", steps, 6, value_f64(993.5));
    expect("std", steps, 6, value_f64(31.51983502494897));
    expect("ratio", ok, 6, value_f64(0.8333333333333334));
}

static void
test_sum_keeps_the_low_bits(void **state)
{
    const struct step steps[] = {{value_f64(1e16), true},
                                 {value_f64(1.0), true},
                                 {value_f64(1.0), true},
                                 {value_f64(-1e16), true}};
    struct step tenths[1000];

    for (size_t i = 0; i < 1000; i++) {
        tenths[i] = (struct step){value_f64(0.1), true};
    }
    expect_choice("sum", 0, steps, 4, value_f64(2.0));

    struct test_feature feature;

    test_feature_open(&feature, "sum", 0, &heap);
    for (size_t i = 0; i < 1000; i++) {
        test_feature_push(&feature, tenths[i].v, true);
    }
    assert_true(test_feature_read(&feature, &arena).as.f64 == 100.0);
    test_feature_close(&feature);
}

static void
test_overflow_and_what_is_not_finite_read_null(void **state)
{
    const struct step overflow[] = {{value_f64(1.7e308), true}, {value_f64(1.7e308), true}};
    const struct step nan[] = {{value_f64(1), true}, {value_f64(NAN), true}, {value_f64(2), true}};
    const struct step infinity[] = {{value_f64(INFINITY), true}, {value_f64(1), true}};

    expect("sum", overflow, 2, value_null());
    expect("sum", nan, 3, value_null());
    expect("sum", infinity, 2, value_null());
    expect("mean", nan, 3, value_null());
    expect("mean", infinity, 2, value_null());
    expect("var", nan, 3, value_null());
    expect("std", infinity, 2, value_null());
}

static void
test_extremes_compare_int_and_float_exactly(void **state)
{
    const struct step above[] = {{value_f64(9007199254740992.0), true},
                                 {value_i64(9007199254740993), true}};
    const struct step limits[] = {{value_i64(INT64_MAX), true},
                                  {value_f64(9223372036854775808.0), true},
                                  {value_i64(INT64_MIN), true},
                                  {value_f64(-9223372036854775808.0), true},
                                  {value_f64(-INFINITY), true}};
    const struct step fraction[] = {{value_i64(-3), true}, {value_f64(-3.5), true}};
    const struct step fraction_up[] = {{value_f64(3.5), true}, {value_i64(3), true}};

    expect("max", above, 2, value_i64(9007199254740993));
    expect("min", above, 2, value_f64(9007199254740992.0));
    expect("max", limits, 5, value_f64(9223372036854775808.0));
    expect("min", limits, 4, value_i64(INT64_MIN));
    expect("min", limits, 5, value_f64(-INFINITY));
    expect("max", limits, 1, value_i64(INT64_MAX));
    expect("min", fraction, 2, value_f64(-3.5));
    expect("max", fraction, 2, value_i64(-3));
    expect("min", fraction_up, 2, value_i64(3));
    expect("max", fraction_up, 2, value_f64(3.5));
}

static void
test_extremes_order_booleans_and_keep_the_first_of_ties_and_strangers(void **state)
{
    const struct step bools[] = {{value_bool(true), true}, {value_bool(false), true}};
    const struct step ties[] = {{value_i64(1), true}, {value_f64(1.0), true}};
    const struct step strangers[] = {{text("a"), true}, {value_i64(1), true}, {text("b"), true}};
    const struct step nan_first[] = {{value_f64(NAN), true}, {value_f64(1), true}};
    const struct step nan_later[] = {{value_f64(1), true}, {value_f64(NAN), true}};
    struct test_feature feature;

    expect("min", bools, 2, value_bool(false));
    expect("max", bools, 2, value_bool(true));
    expect("min", ties, 2, value_i64(1));
    expect("max", ties, 2, value_i64(1));
    expect("min", strangers, 3, text("a"));
    expect("max", strangers, 3, text("b"));
    expect("min", nan_later, 2, value_f64(1));
    expect("max", nan_later, 2, value_f64(1));
    test_feature_open(&feature, "min", 0, &heap);
    test_feature_push(&feature, nan_first[0].v, true);
    test_feature_push(&feature, nan_first[1].v, true);
    assert_true(isnan(test_feature_read(&feature, &arena).as.f64));
    test_feature_close(&feature);
}

static void
test_extremes_of_long_text_live_out_of_line_and_are_freed(void **state)
{
    const struct step steps[] = {{text("mmmmmmmmmmmmmmmm"), true},
                                 {text("zzzzzzzzzzzzzzzz"), true},
                                 {text("aaaaaaaa"), true},
                                 {text("aaaaaaaaaaaaaaaaaaaaaaaaaa"), true}};

    expect("min", steps, 4, text("aaaaaaaa"));
    expect("max", steps, 4, text("zzzzzzzzzzzzzzzz"));
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_states_are_small(void **state)
{
    static const struct {
        const char *name;
        uint32_t size;
    } sizes[] = {{"count", 8}, {"sum", 24}, {"var", 24}, {"min", 16}, {"max", 16}};

    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct agg_op *op = agg_op_find(slice_text(sizes[i].name));

        assert_int_equal(op->uses[0].any_of[0]->state_size(NULL, FIELD_F64), sizes[i].size);
    }
}

static void
test_operators_share_accumulators(void **state)
{
    const struct agg_op *mean = agg_op_find(slice_text("mean"));
    const struct agg_op *ratio = agg_op_find(slice_text("ratio"));

    assert_ptr_equal(mean->uses[0].any_of[0], agg_op_find(slice_text("sum"))->uses[0].any_of[0]);
    assert_ptr_equal(mean->uses[0].any_of[1], agg_op_find(slice_text("std"))->uses[0].any_of[0]);
    assert_ptr_equal(ratio->uses[0].any_of[0], agg_op_find(slice_text("count"))->uses[0].any_of[0]);
    assert_int_equal(ratio->uses[0].scope, AGG_MATCHING);
    assert_int_equal(ratio->uses[1].scope, AGG_EVERY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_sequence),
        cmocka_unit_test(test_single_operator_sequences),
        cmocka_unit_test(test_eight_core_operators_over_an_hour),
        cmocka_unit_test(test_sum_keeps_the_low_bits),
        cmocka_unit_test(test_overflow_and_what_is_not_finite_read_null),
        cmocka_unit_test(test_extremes_compare_int_and_float_exactly),
        cmocka_unit_test(test_extremes_order_booleans_and_keep_the_first_of_ties_and_strangers),
        cmocka_unit_test(test_extremes_of_long_text_live_out_of_line_and_are_freed),
        cmocka_unit_test(test_states_are_small),
        cmocka_unit_test(test_operators_share_accumulators),
    };
    int failed = 0;

    arena_init(&arena, 4096, 0);
    test_heap_open(&heap, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
