/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "agg/sketch/identity.h"
#include "wire/json.h"

static struct arena arena;

static uint64_t
hash_json(const char *text)
{
    struct value v;

    assert_int_equal(json_parse(&v, slice_text(text), 32, &arena, NULL), BV_OK);
    return identity_hash(&v, false);
}

static uint64_t
hash_of(struct value v, bool is_numeric)
{
    return identity_hash(&v, is_numeric);
}

static void
test_int_and_float_are_one_in_a_numeric_column_only(void **state)
{
    assert_true(hash_of(value_i64(1), true) == hash_of(value_f64(1.0), true));
    assert_true(hash_of(value_i64(0), true) == hash_of(value_f64(-0.0), true));
    assert_true(hash_of(value_i64(INT64_MIN), true) == hash_of(value_f64(-0x1p63), true));
    assert_true(hash_of(value_i64(1), false) != hash_of(value_f64(1.0), false));
    assert_true(hash_of(value_f64(0.0), false) != hash_of(value_f64(-0.0), false));
}

static void
test_comparison_is_exact_where_a_float_would_round(void **state)
{
    assert_true(hash_of(value_i64(9007199254740993), true) !=
                hash_of(value_f64(9007199254740992.0), true));
    assert_true(hash_of(value_i64(INT64_MAX), true) != hash_of(value_f64(0x1p63), true));
    assert_true(hash_of(value_i64(INT64_MIN), true) != hash_of(value_f64(0x1p63), true));
    assert_true(hash_of(value_i64(INT64_MIN), true) != hash_of(value_f64(INFINITY), true));
    assert_true(hash_of(value_i64(INT64_MIN), true) != hash_of(value_f64(NAN), true));
    assert_true(hash_of(value_i64(1), true) != hash_of(value_f64(1.5), true));
}

static void
test_types_are_told_apart(void **state)
{
    const uint64_t hashes[] = {
        hash_json("1"),    hash_json("1.0"),   hash_json("\"1\""),     hash_json("true"),
        hash_json("null"), hash_json("[]"),    hash_json("{}"),        hash_json("\"\""),
        hash_json("[1]"),  hash_json("[[1]]"), hash_json("{\"a\":1}"), hash_json("[null]"),
    };

    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        assert_true(hashes[i] != 0);
        for (size_t k = 0; k < i; k++) {
            assert_true(hashes[i] != hashes[k]);
        }
    }
}

static void
test_maps_have_no_order_and_lists_do(void **state)
{
    assert_true(hash_json("{\"a\":1,\"b\":[1,2]}") == hash_json("{ \"b\": [1, 2], \"a\": 1 }"));
    assert_true(hash_json("{\"a\":1,\"b\":2}") != hash_json("{\"a\":2,\"b\":1}"));
    assert_true(hash_json("[1,2]") != hash_json("[2,1]"));
    assert_true(hash_json("[[1],[2]]") != hash_json("[[1,2]]"));
    assert_true(hash_json("{\"a\":{\"b\":1}}") != hash_json("{\"b\":{\"a\":1}}"));
    assert_true(hash_json("{\"a\":[],\"b\":{}}") != hash_json("{\"a\":{},\"b\":[]}"));
    assert_true(hash_json("[\"a\",1]") == hash_json("[\"a\",1]"));
}

static void
test_what_json_cannot_write_counts_as_null_inside_a_tree(void **state)
{
    const struct value items[2] = {value_f64(NAN), value_f64(INFINITY)};
    const struct value list = {.as.items = items, .length = 2, .kind = VALUE_LIST};

    assert_true(identity_hash(&list, false) == hash_json("[null,null]"));
}

static void
test_the_deepest_tree_that_can_be_parsed_is_hashed(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 1] = {0};
    struct value v;

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_parse(&v, slice_text(text), JSON_DEPTH_MAX, &arena, NULL), BV_OK);
    assert_true(identity_hash(&v, false) != hash_json("[]"));
}

/* Hashes are kept in snapshots: these must never change. */
static void
test_hashes_are_the_same_in_every_process(void **state)
{
    assert_true(hash_json("\"beava\"") == 0x4e3c37d2ee759e2dull);
    assert_true(hash_json("42") == 0x7e9dcf8aed6fd96bull);
    assert_true(hash_json("{\"a\":[1,2.5]}") == 0x1c9e3572c952e2a4ull);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int_and_float_are_one_in_a_numeric_column_only),
        cmocka_unit_test(test_comparison_is_exact_where_a_float_would_round),
        cmocka_unit_test(test_types_are_told_apart),
        cmocka_unit_test(test_maps_have_no_order_and_lists_do),
        cmocka_unit_test(test_what_json_cannot_write_counts_as_null_inside_a_tree),
        cmocka_unit_test(test_the_deepest_tree_that_can_be_parsed_is_hashed),
        cmocka_unit_test(test_hashes_are_the_same_in_every_process),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
