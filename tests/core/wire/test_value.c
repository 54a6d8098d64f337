/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/value.h"

static void
test_the_last_member_of_a_name_is_found(void **state)
{
    const struct value_member members[] = {
        {value_str(slice_text("a")), value_i64(1)},
        {value_str(slice_text("b")), value_i64(2)},
        {value_str(slice_text("a")), value_i64(3)},
        {value_str(slice_text("ab")), value_i64(4)},
    };
    const struct value map = {.as.members = members, .length = 4, .kind = VALUE_MAP};

    assert_ptr_equal(value_find(&map, "a"), &members[2].value);
    assert_ptr_equal(value_find(&map, "b"), &members[1].value);
    assert_ptr_equal(value_find(&map, "ab"), &members[3].value);
    assert_null(value_find(&map, "c"));
    assert_null(value_find(&map, ""));
}

static void
test_nothing_is_found_in_what_is_no_map(void **state)
{
    const struct value list = {.as.items = NULL, .length = 0, .kind = VALUE_LIST};
    const struct value null = value_null();

    assert_null(value_find(&list, "a"));
    assert_null(value_find(&null, "a"));
}

static void
test_only_ints_and_floats_are_numbers(void **state)
{
    const struct value whole = value_i64(-5);
    const struct value fraction = value_f64(2.5);
    const struct value boolean = value_bool(true);
    const struct value text = value_str(slice_text("5"));
    double v = 0;

    assert_true(value_number(&whole, &v) && v == -5.0);
    assert_true(value_number(&fraction, &v) && v == 2.5);
    assert_false(value_number(&boolean, &v));
    assert_false(value_number(&text, &v));
    assert_true(boolean.as.bits == 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_member_of_a_name_is_found),
        cmocka_unit_test(test_nothing_is_found_in_what_is_no_map),
        cmocka_unit_test(test_only_ints_and_floats_are_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
