/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agg/sketch/hash_table.h"

#define LOG2  6
#define SLOTS (1u << LOG2)

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed ^ *seed >> 29;
}

/* Forty hashes, a third of them at the very end of the array so that runs go past it. */
static void
draw_hashes(uint64_t *out, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = next_random(&seed) | 1;
        if (i % 3 == 0) {
            out[i] |= (uint64_t)(SLOTS - 1) << (64 - LOG2);
        }
    }
}

static void
shuffle(uint64_t *hashes, uint32_t count, uint64_t seed)
{
    for (uint32_t i = count - 1; i > 0; i--) {
        const uint32_t k = (uint32_t)(next_random(&seed) % (i + 1));
        const uint64_t held = hashes[i];

        hashes[i] = hashes[k];
        hashes[k] = held;
    }
}

static void
fill(uint64_t *slots, unsigned words, const uint64_t *hashes, uint32_t count)
{
    memset(slots, 0, SLOTS * words * sizeof *slots);
    for (uint32_t i = 0; i < count; i++) {
        assert_null(hash_table_find(slots, LOG2, words, hashes[i]));
        hash_table_insert(slots, LOG2, words, hashes[i], hashes[i] * 3);
    }
}

static void
test_equal_sets_are_equal_arrays_whatever_the_order(void **state)
{
    uint64_t hashes[40];
    uint64_t first[SLOTS * 2];
    uint64_t second[SLOTS * 2];

    for (uint64_t seed = 1; seed <= 200; seed++) {
        for (unsigned words = 1; words <= 2; words++) {
            draw_hashes(hashes, 40, seed);
            fill(first, words, hashes, 40);
            shuffle(hashes, 40, seed);
            fill(second, words, hashes, 40);
            assert_memory_equal(first, second, SLOTS * words * sizeof *first);
        }
    }
}

static void
test_what_was_put_in_is_found_with_its_count_and_nothing_else_is(void **state)
{
    uint64_t hashes[48];
    uint64_t slots[SLOTS * 2];

    for (uint64_t seed = 1; seed <= 200; seed++) {
        draw_hashes(hashes, 48, seed);
        fill(slots, 2, hashes, 48);
        for (uint32_t i = 0; i < 48; i++) {
            const uint64_t *slot = hash_table_find(slots, LOG2, 2, hashes[i]);

            assert_non_null(slot);
            assert_true(slot[1] == hashes[i] * 3);
            assert_null(hash_table_find(slots, LOG2, 2, hashes[i] - 1));
            assert_null(hash_table_find(slots, LOG2, 2, hashes[i] * 3)); /* a count is no hash */
        }
    }
}

static void
test_the_walk_ascends_even_when_runs_go_past_the_end(void **state)
{
    uint64_t hashes[48];
    uint64_t slots[SLOTS];
    uint64_t larger[SLOTS * 2] = {0};
    uint64_t direct[SLOTS * 2] = {0};

    draw_hashes(hashes, 48, 7);
    fill(slots, 1, hashes, 48);

    const size_t start = hash_table_start(slots, LOG2, 1);
    uint64_t before = 0;
    uint32_t count = 0;

    assert_true(start > 0); /* the case is there */
    for (size_t i = 0; i < SLOTS; i++) {
        const uint64_t *slot = hash_table_at(slots, LOG2, 1, start, i);

        if (slot != NULL) {
            assert_true(slot[0] > before);
            before = slot[0];
            count++;
        }
    }
    assert_int_equal(count, 48);
    hash_table_rehash(larger, LOG2 + 1, slots, LOG2, 1);
    for (uint32_t i = 0; i < 48; i++) {
        hash_table_insert(direct, LOG2 + 1, 1, hashes[i], 0);
    }
    assert_memory_equal(larger, direct, sizeof larger);
}

static void
test_the_smallest_table_holds_three(void **state)
{
    uint64_t slots[4] = {0};

    assert_true(hash_table_has_room(HASH_TABLE_LOG2_MIN, 2));
    assert_false(hash_table_has_room(HASH_TABLE_LOG2_MIN, 3));
    for (uint64_t i = 1; i <= 3; i++) {
        hash_table_insert(slots, 2, 1, UINT64_MAX - i, 0);
    }
    for (uint64_t i = 1; i <= 3; i++) {
        assert_non_null(hash_table_find(slots, 2, 1, UINT64_MAX - i));
    }
    assert_null(hash_table_find(slots, 2, 1, UINT64_MAX));
    assert_null(hash_table_find(slots, 2, 1, 5));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_sets_are_equal_arrays_whatever_the_order),
        cmocka_unit_test(test_what_was_put_in_is_found_with_its_count_and_nothing_else_is),
        cmocka_unit_test(test_the_walk_ascends_even_when_runs_go_past_the_end),
        cmocka_unit_test(test_the_smallest_table_holds_three),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
