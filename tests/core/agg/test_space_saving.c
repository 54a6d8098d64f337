/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agg/codec.h"
#include "agg/sketch/space_saving.h"
#include "agg_streams.h"

static struct arena arena;

static void
add(struct space_saving *s, int64_t v, struct test_heap *heap)
{
    const struct space_item item = {value_i64(v), false};

    assert_true(space_saving_add(s, &item, &heap->heap));
}

static uint64_t
sum_of(const struct space_saving *s, const struct test_heap *heap)
{
    uint64_t base = 0;
    const struct space_entry *entries = space_saving_entries(s, &base, &heap->heap);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        sum += entries[i].count + base;
    }
    return sum;
}

/* The counters of SpaceSaving add up to the length of the stream, whatever was evicted. */
static void
test_counters_add_up_to_the_stream(void **state)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        struct test_heap heap;
        struct space_saving s = {0};
        uint64_t seed = 11;

        test_heap_open(&heap, 1 << 20);
        for (uint64_t i = 0; i < 20000; i++) {
            add(&s, (int64_t)stream_draw((enum stream)stream, i, 20000, 5000, &seed), &heap);
            if (i % 997 == 0) {
                assert_true(sum_of(&s, &heap) == i + 1);
            }
        }
        assert_int_equal(s.count, SPACE_SAVING_MAX);
        space_saving_release(&s, &heap.heap);
        test_heap_close(&heap);
    }
}

/* The index survives evictions: what is held is found again, so nothing is evicted for it. */
static void
test_held_values_are_found_after_many_evictions(void **state)
{
    struct test_heap heap;
    struct space_saving s = {0};
    uint64_t base = 0;
    static int64_t held[SPACE_SAVING_MAX];

    test_heap_open(&heap, 1 << 20);
    for (int64_t i = 0; i < 50000; i++) {
        add(&s, i * 2654435761, &heap);
    }
    for (uint32_t i = 0; i < s.count; i++) {
        held[i] = space_saving_entries(&s, &base, &heap.heap)[i].value.as.i64;
    }
    for (uint32_t i = 0; i < SPACE_SAVING_MAX; i++) {
        add(&s, held[i], &heap);
    }
    for (uint32_t i = 0; i < s.count; i++) {
        assert_true(space_saving_entries(&s, &base, &heap.heap)[i].value.as.i64 == held[i]);
    }
    space_saving_release(&s, &heap.heap);
    test_heap_close(&heap);
}

static void
test_an_entry_of_a_known_value_costs_no_memory(void **state)
{
    struct test_heap heap;
    struct space_saving s = {0};

    test_heap_open(&heap, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        add(&s, i % 2, &heap);
    }
    assert_int_equal(heap.alloc_count, 1);
    assert_true(heap.bytes_out <= 64);
    space_saving_release(&s, &heap.heap);
    test_heap_close(&heap);
}

static void
test_folds_vouch_for_what_was_evicted(void **state)
{
    struct test_heap heap;
    struct space_saving panes[3] = {{0}};
    struct space_saving fold = {0};
    uint64_t base = 0;
    bool is_found = false;

    test_heap_open(&heap, 1 << 20);
    for (int64_t i = 0; i < 5000; i++) { /* evicts: nothing is known to come less than 3 times */
        add(&panes[0], i, &heap);
    }
    for (int i = 0; i < 100; i++) {
        add(&panes[1], 1, &heap); /* came once in the first pane, and was forgotten */
    }
    for (int i = 0; i < 3; i++) {
        space_saving_fold(&fold, &panes[i], false, &heap.heap, &arena);
    }

    const struct space_entry *entries = space_saving_entries(&fold, &base, &heap.heap);

    for (uint32_t i = 0; i < fold.count; i++) {
        if (entries[i].value.as.i64 == 1) {
            is_found = true;
            assert_in_range(entries[i].count + base, 101, 100 + 5000 / 1024);
        }
    }
    assert_true(is_found);
    for (int i = 0; i < 3; i++) {
        space_saving_release(&panes[i], &heap.heap);
    }
    test_heap_close(&heap);
}

static void
test_full_states_with_a_repeated_value_are_refused(void **state)
{
    struct test_heap heap;
    struct space_saving s = {0};
    struct space_saving copy;
    struct buf bytes;
    struct codec_reader reader = {0};
    bool is_sound = true;

    test_heap_open(&heap, 1 << 20);
    for (int64_t i = 0; i < 2000; i++) {
        add(&s, i, &heap);
    }
    buf_init(&bytes);
    space_saving_encode(&bytes, &s, &heap.heap);
    reader.bytes = buf_slice(&bytes);
    assert_int_equal(space_saving_decode(&copy, &reader, &is_sound, false, &heap.heap, NULL),
                     BV_OK);
    assert_true(is_sound);
    assert_int_equal(copy.cursor, s.cursor);
    space_saving_release(&copy, &heap.heap);
    /* Two entries of the same value: the last takes the bits of the one before. */
    memcpy(bytes.data + bytes.size - 8, bytes.data + bytes.size - 8 - 17, 8);
    reader = (struct codec_reader){.bytes = buf_slice(&bytes)};
    assert_int_equal(space_saving_decode(&copy, &reader, &is_sound, false, &heap.heap, NULL),
                     BV_OK);
    assert_false(is_sound);
    buf_deinit(&bytes);
    space_saving_release(&s, &heap.heap);
    test_heap_close(&heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_add_up_to_the_stream),
        cmocka_unit_test(test_held_values_are_found_after_many_evictions),
        cmocka_unit_test(test_an_entry_of_a_known_value_costs_no_memory),
        cmocka_unit_test(test_folds_vouch_for_what_was_evicted),
        cmocka_unit_test(test_full_states_with_a_repeated_value_are_refused),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
