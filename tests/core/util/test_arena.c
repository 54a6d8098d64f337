/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "util/arena.h"

#define BLOCK_SIZE 1024

static void
test_allocations_are_aligned_and_do_not_overlap(void **state)
{
    struct arena arena;
    uint8_t *all[200];

    arena_init(&arena, BLOCK_SIZE, 0);
    for (size_t i = 0; i < 200; i++) {
        all[i] = arena_alloc(&arena, i);
        assert_non_null(all[i]);
        assert_int_equal((uintptr_t)all[i] % 16, 0);
        memset(all[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(all[i][k], (uint8_t)i);
        }
    }
    arena_deinit(&arena);
}

static void
test_zero_bytes_can_be_had_from_an_empty_arena(void **state)
{
    struct arena arena;

    arena_init(&arena, BLOCK_SIZE, 0);
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_copy(&arena, NULL, 0));
    assert_int_equal(arena.total, 0);
    arena_deinit(&arena);
}

static void
test_a_warm_arena_asks_for_no_more_memory(void **state)
{
    struct arena arena;
    size_t warm = 0;

    arena_init(&arena, BLOCK_SIZE, 0);
    for (int round = 0; round < 50; round++) {
        arena_reset(&arena);
        /* Other orders of sizes every round; the blocks kept must do for all of them. */
        for (int i = 0; i < 6; i++) {
            assert_non_null(arena_alloc(&arena, (i + round) % 6 == 0 ? 3000 : 700));
        }
        if (round == 8) {
            warm = arena.total;
        }
    }
    assert_int_equal(arena.total, warm);
    arena_deinit(&arena);
}

static void
test_reset_gives_back_what_a_huge_request_took(void **state)
{
    struct arena arena;

    arena_init(&arena, BLOCK_SIZE, 0);
    assert_non_null(arena_alloc(&arena, 100));
    assert_non_null(arena_alloc(&arena, 1 << 20));
    assert_true(arena.total > 1 << 20);
    arena_reset(&arena);
    assert_true(arena.total <= 16 * BLOCK_SIZE);
    assert_non_null(arena_alloc(&arena, 100));
    arena_deinit(&arena);
}

static void
test_the_limit_refuses_and_leaves_the_arena_usable(void **state)
{
    struct arena arena;

    arena_init(&arena, BLOCK_SIZE, 3000);
    assert_null(arena_alloc(&arena, 3001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 20));
    assert_non_null(arena_alloc(&arena, 1000));
    assert_non_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 1000));
    /* Less than a block fits under the limit; what is asked for does. */
    assert_non_null(arena_alloc(&arena, 500));
    assert_true(arena.total <= 3000);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 1000));
    arena_deinit(&arena);
}

static void
test_copy_holds_the_same_bytes(void **state)
{
    struct arena arena;
    char text[] = "u1|m1";

    arena_init(&arena, BLOCK_SIZE, 0);
    char *copy = arena_copy(&arena, text, sizeof text);

    text[0] = 'x';
    assert_string_equal(copy, "u1|m1");
    arena_deinit(&arena);
    assert_int_equal(arena.total, 0);
}

static void
test_rewinding_gives_up_only_what_came_later(void **state)
{
    struct arena arena;
    struct arena_mark empty;
    struct arena_mark mark;

    (void)state;
    arena_init(&arena, 256, 0);
    empty = arena_mark(&arena);
    char *kept = arena_copy(&arena, "kept", 5);
    size_t total = 0;

    mark = arena_mark(&arena);
    for (unsigned i = 0; i < 100; i++) {
        void *huge = arena_alloc(&arena, 5000);

        assert_non_null(huge);
        memset(huge, 'x', 5000);
        memset(arena_alloc(&arena, 100), 'y', 100);
        arena_rewind(&arena, mark);
        total = i == 0 ? arena.total : total;
        assert_int_equal(arena.total, total); /* the same memory serves each time */
    }
    assert_string_equal(kept, "kept");
    arena_rewind(&arena, empty);
    assert_ptr_equal(arena_alloc(&arena, 5), kept);
    arena_deinit(&arena);
}

static void
test_what_is_reserved_does_not_fail(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 64, 4096);
    assert_true(arena_reserve(&arena, 1024));
    arena.limit = 1; /* nothing more can be had */
    for (int i = 0; i < 64; i++) {
        assert_non_null(arena_alloc(&arena, 16));
    }
    assert_int_equal(arena.refusals, 0);
    assert_null(arena_alloc(&arena, 16));
    assert_false(arena_reserve(&arena, 16));
    assert_false(arena_reserve(&arena, SIZE_MAX));
    assert_true(arena.refusals >= 2);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(test_zero_bytes_can_be_had_from_an_empty_arena),
        cmocka_unit_test(test_a_warm_arena_asks_for_no_more_memory),
        cmocka_unit_test(test_reset_gives_back_what_a_huge_request_took),
        cmocka_unit_test(test_the_limit_refuses_and_leaves_the_arena_usable),
        cmocka_unit_test(test_what_is_reserved_does_not_fail),
        cmocka_unit_test(test_copy_holds_the_same_bytes),
        cmocka_unit_test(test_rewinding_gives_up_only_what_came_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
