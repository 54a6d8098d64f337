/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/value_walk.h"

static void
test_a_walk_visits_in_text_order_with_names_and_positions(void **state)
{
    const struct value items[] = {value_i64(1), value_i64(2)};
    const struct value_member members[] = {
        {value_str(slice_text("a")), {.as.items = items, .length = 2, .kind = VALUE_LIST}},
        {value_str(slice_text("b")), value_null()},
    };
    const struct value root = {.as.members = members, .length = 2, .kind = VALUE_MAP};
    const struct {
        enum value_walk_step step;
        const struct value *value;
        const struct value *key;
        uint32_t index;
    } wanted[] = {
        {VALUE_WALK_OPEN, &root, NULL, 0},
        {VALUE_WALK_OPEN, &members[0].value, &members[0].key, 0},
        {VALUE_WALK_SCALAR, &items[0], NULL, 0},
        {VALUE_WALK_SCALAR, &items[1], NULL, 1},
        {VALUE_WALK_CLOSE, &members[0].value, NULL, 0},
        {VALUE_WALK_SCALAR, &members[1].value, &members[1].key, 1},
        {VALUE_WALK_CLOSE, &root, NULL, 0},
    };
    struct value_walk walk;

    value_walk_init(&walk, &root);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_int_equal(value_walk_next(&walk), wanted[i].step);
        assert_ptr_equal(walk.value, wanted[i].value);
        assert_ptr_equal(walk.key, wanted[i].key);
        assert_int_equal(walk.index, wanted[i].index);
    }
    assert_int_equal(value_walk_next(&walk), VALUE_WALK_DONE);
    assert_int_equal(value_walk_next(&walk), VALUE_WALK_DONE);
}

static void
test_the_deepest_allowed_tree_is_walked(void **state)
{
    struct value levels[VALUE_WALK_DEPTH_MAX];
    struct value_walk walk;
    unsigned opened = 0;
    unsigned closed = 0;

    for (int i = 0; i < VALUE_WALK_DEPTH_MAX; i++) {
        bool is_last = i + 1 == VALUE_WALK_DEPTH_MAX;

        levels[i] = (struct value){
            .as.items = is_last ? NULL : &levels[i + 1], .length = !is_last, .kind = VALUE_LIST};
    }
    value_walk_init(&walk, levels);
    for (enum value_walk_step step; (step = value_walk_next(&walk)) != VALUE_WALK_DONE;) {
        opened += step == VALUE_WALK_OPEN;
        closed += step == VALUE_WALK_CLOSE;
    }
    assert_int_equal(opened, VALUE_WALK_DEPTH_MAX);
    assert_int_equal(closed, VALUE_WALK_DEPTH_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_walk_visits_in_text_order_with_names_and_positions),
        cmocka_unit_test(test_the_deepest_allowed_tree_is_walked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
