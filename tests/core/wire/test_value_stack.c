/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/value_stack.h"

static bool
push(struct value_stack *stack, struct value v)
{
    struct value *next = value_stack_next(stack);

    if (next == NULL) {
        return false;
    }
    *next = v;
    value_stack_push(stack);
    return true;
}

static void
test_closing_gathers_the_values_since_opening(void **state)
{
    struct arena arena;
    struct value_stack stack;

    arena_init(&arena, 1024, 0);
    value_stack_init(&stack, &arena);
    value_stack_open(&stack, false, 0);
    assert_true(push(&stack, value_i64(1)));
    value_stack_open(&stack, true, 4);
    assert_int_equal(value_stack_top(&stack)->pending, 4);
    assert_true(value_stack_top(&stack)->is_map);
    assert_true(push(&stack, value_str(slice_text("k"))));
    assert_true(push(&stack, value_i64(2)));
    assert_true(value_stack_close(&stack));
    assert_true(push(&stack, value_i64(3)));
    assert_true(value_stack_close(&stack));
    assert_int_equal(stack.depth, 0);
    assert_int_equal(stack.size, 1);
    const struct value *list = &stack.values[0];

    assert_int_equal(list->kind, VALUE_LIST);
    assert_int_equal(list->length, 3);
    assert_int_equal(list->as.items[1].kind, VALUE_MAP);
    assert_int_equal(list->as.items[1].length, 1);
    assert_int_equal(value_find(&list->as.items[1], "k")->as.i64, 2);
    assert_int_equal(list->as.items[2].as.i64, 3);
    arena_deinit(&arena);
}

static void
test_growth_keeps_values_and_a_spent_arena_refuses(void **state)
{
    struct arena arena;
    struct value_stack stack;
    size_t count = 0;

    arena_init(&arena, 1024, 10000);
    value_stack_init(&stack, &arena);
    while (push(&stack, value_i64((int64_t)count))) {
        count++;
        assert_true(count < 10000);
    }
    assert_true(count > VALUE_STACK_INITIAL);
    assert_int_equal(stack.size, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(stack.values[i].as.i64, i);
    }
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closing_gathers_the_values_since_opening),
        cmocka_unit_test(test_growth_keeps_values_and_a_spent_arena_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
