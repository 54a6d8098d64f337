/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agg/cells.h"
#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

static void
check(const struct cells_state *cells, const uint64_t *wanted, uint32_t cell_count)
{
    const uint64_t *got = cells_read(cells, cell_count, &heap.heap, &arena);

    assert_non_null(got);
    assert_memory_equal(got, wanted, cell_count * sizeof *got);
}

/* Decoded, it counts the same and encodes to the same bytes, whatever its form. */
static void
check_round_trip(const struct cells_state *cells, const uint64_t *wanted, uint32_t cell_count)
{
    struct cells_state copy;
    struct buf first;
    struct buf second;
    size_t consumed = 0;
    const int64_t before = heap.bytes_out;

    buf_init(&first);
    buf_init(&second);
    cells_encode_state(&first, cells, cell_count, &heap.heap);
    assert_int_equal(cells_decode_state(&copy, &consumed, buf_slice(&first), cell_count, "cells",
                                        &heap.heap, NULL),
                     BV_OK);
    assert_int_equal(consumed, first.size);
    check(&copy, wanted, cell_count);
    cells_encode_state(&second, &copy, cell_count, &heap.heap);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    cells_release(&copy, cell_count, &heap.heap);
    assert_int_equal(heap.bytes_out, before);
    buf_deinit(&first);
    buf_deinit(&second);
}

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void
check_stream(uint32_t cell_count, uint32_t used, int events, uint64_t seed)
{
    static uint64_t wanted[CELLS_MAX];
    struct cells_state cells = {0};

    memset(wanted, 0, cell_count * sizeof *wanted);
    for (int i = 0; i < events; i++) {
        const uint32_t cell = (uint32_t)(next_random(&seed) % 3 == 0 ? seed >> 40 : seed >> 60) %
                              used * (cell_count / used);

        cells_add(&cells, cell_count, cell, &heap.heap);
        wanted[cell]++;
        if ((i & (i - 1)) == 0) {
            check(&cells, wanted, cell_count);
            check_round_trip(&cells, wanted, cell_count);
        }
    }
    check(&cells, wanted, cell_count);
    check_round_trip(&cells, wanted, cell_count);
    cells_release(&cells, cell_count, &heap.heap);
    assert_int_equal(heap.bytes_out, 0);
    heap.next = 1;
    arena_reset(&arena);
}

static void
test_counters_agree_with_an_array_in_every_form(void **state)
{
    check_stream(1, 1, 1000, 1);
    check_stream(3, 3, 70000, 2);
    check_stream(24, 24, 3000, 3);
    check_stream(168, 5, 3000, 4);
    check_stream(168, 168, 70000, 5);
    check_stream(65537, 40, 2000, 6);
    check_stream(65537, 20000, 30000, 7);
}

static void
test_memory_follows_what_is_used(void **state)
{
    struct cells_state cells = {0};

    for (int i = 0; i < 1000; i++) {
        cells_add(&cells, 168, 77, &heap.heap);
    }
    assert_int_equal(heap.bytes_out, 0);
    cells_add(&cells, 168, 3, &heap.heap);
    assert_int_equal(heap.bytes_out, 32);
    for (uint32_t cell = 0; cell < 16; cell++) {
        cells_add(&cells, 168, cell * 2 + 41, &heap.heap);
    }
    assert_in_range(heap.bytes_out, 33, 256);
    for (uint32_t cell = 0; cell < 168; cell++) {
        cells_add(&cells, 168, cell, &heap.heap);
    }
    assert_in_range(heap.bytes_out, 168, 336);
    cells_release(&cells, 168, &heap.heap);
    assert_int_equal(heap.bytes_out, 0);
}

static void
test_counters_stay_at_their_largest_value(void **state)
{
    uint8_t bytes[13] = {1, 1};
    struct cells_state cells;
    size_t consumed = 0;
    const uint64_t wanted[3] = {0, CELLS_COUNT_MAX, 1};

    store_le64(bytes + 5, CELLS_COUNT_MAX << 17 | 1);
    assert_int_equal(cells_decode_state(&cells, &consumed, slice_of(bytes, sizeof bytes), 3,
                                        "cells", &heap.heap, NULL),
                     BV_OK);
    cells_add(&cells, 3, 1, &heap.heap);
    cells_add(&cells, 3, 2, &heap.heap);
    cells_add(&cells, 3, 1, &heap.heap);
    check(&cells, wanted, 3);
    check_round_trip(&cells, wanted, 3);
    cells_release(&cells, 3, &heap.heap);
}

static void
test_spent_memory_loses_only_what_had_no_place(void **state)
{
    for (int64_t fail_at = 1; fail_at <= 6; fail_at++) {
        struct cells_state cells = {0};
        uint64_t wanted[168] = {0};
        const int64_t before = heap.alloc_count;

        heap.fail_at = before + fail_at;
        for (uint32_t i = 0; i < 3000; i++) {
            const uint32_t cell = i * i % 168;
            const uint64_t *was = cells_read(&cells, 168, &heap.heap, &arena);
            const int64_t tried = heap.alloc_count;

            memcpy(wanted, was, sizeof wanted);
            cells_add(&cells, 168, cell, &heap.heap);
            wanted[cell] += heap.alloc_count == tried || heap.alloc_count != heap.fail_at;
            check(&cells, wanted, 168);
        }
        heap.fail_at = 0;
        cells_release(&cells, 168, &heap.heap);
        assert_int_equal(heap.bytes_out, 0);
        arena_reset(&arena);
    }
}

static void
test_entries_out_of_order_or_bounds_are_refused(void **state)
{
    static const struct {
        uint64_t entries[2];
    } cases[] = {
        {{1 << 17 | 2, 1 << 17 | 1}}, /* descending */
        {{1 << 17 | 2, 1 << 17 | 2}}, /* twice */
        {{1 << 17 | 2, 1 << 17 | 5}}, /* no such cell */
        {{1 << 17 | 2, 3}},           /* counts nothing */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[21] = {1, 2};
        struct cells_state cells;
        size_t consumed = 0;

        store_le64(bytes + 5, cases[i].entries[0]);
        store_le64(bytes + 13, cases[i].entries[1]);
        assert_int_equal(cells_decode_state(&cells, &consumed, slice_of(bytes, sizeof bytes), 5,
                                            "cells", &heap.heap, NULL),
                         BV_CORRUPT);
        assert_int_equal(heap.bytes_out, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_agree_with_an_array_in_every_form),
        cmocka_unit_test(test_memory_follows_what_is_used),
        cmocka_unit_test(test_counters_stay_at_their_largest_value),
        cmocka_unit_test(test_spent_memory_loses_only_what_had_no_place),
        cmocka_unit_test(test_entries_out_of_order_or_bounds_are_refused),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 16 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
