/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agg/ring.h"
#include "agg_fixture.h"

static struct test_heap heap;

/* State of the size that the plan would give it, so that a sanitizer sees a step beyond. */
static struct ring *
open_ring(uint32_t slots)
{
    /* Exactly its bytes, so that a sanitizer sees one more; the compiler need not know how many. */
    volatile size_t size = ring_state_size(slots);

    return (struct ring *)calloc(1, size);
}

static void
close_ring(struct ring *ring, uint32_t slots, uint32_t cell_size)
{
    ring_release(ring, slots, cell_size, &heap.heap);
    assert_int_equal(ring_count(ring, slots), 0);
    assert_int_equal(heap.bytes_out, 0);
    free(ring);
}

static void
test_words_come_back_oldest_first_at_every_size(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 1024, 65535, 65536};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const uint32_t slots = sizes[s];
        struct ring *ring = open_ring(slots);

        for (uint32_t i = 0; i < 2 * slots + 3; i++) {
            assert_true(ring_has_room(ring, slots, RING_WORDS, &heap.heap));
            ring_cells(ring, slots, &heap.heap).words[ring->next] = i;
            ring_advance(ring, slots);

            const uint32_t count = i + 1 < slots ? i + 1 : slots;

            assert_int_equal(ring_count(ring, slots), count);
            assert_int_equal(ring_word_at(ring, slots, 0, &heap.heap), i + 1 - count);
            assert_int_equal(ring_word_at(ring, slots, count - 1, &heap.heap), i);
        }
        close_ring(ring, slots, RING_WORDS);
        heap.next = 1;
    }
}

static void
test_a_block_fills_the_size_classes_and_stops_at_the_slots(void **state)
{
    static const struct {
        uint32_t slots, cell_size, capacities[6];
    } rows[] = {
        {100, RING_VALUES, {3, 7, 14, 28, 56, 100}},
        {100, RING_WORDS, {4, 8, 16, 32, 64, 100}},
        {5, RING_VALUES, {3, 5, 5, 5, 5, 5}},
        {5, RING_WORDS, {4, 5, 5, 5, 5, 5}},
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const uint32_t slots = rows[r].slots;
        struct ring *ring = open_ring(slots);
        unsigned step = 0;

        for (uint32_t i = 0; i < 2 * slots; i++) {
            const struct value v = value_i64(i);

            if (rows[r].cell_size == RING_VALUES) {
                assert_true(ring_push(ring, slots, &v, &heap.heap));
            } else {
                assert_true(ring_has_room(ring, slots, RING_WORDS, &heap.heap));
                ring_cells(ring, slots, &heap.heap).words[ring->next] = i;
                ring_advance(ring, slots);
            }
            step += i + 1 > rows[r].capacities[step] && step < 5 && i < slots;
            assert_int_equal(ring->capacity, rows[r].capacities[step]);
            assert_int_equal(heap.bytes_out, ring->capacity * rows[r].cell_size);
        }
        close_ring(ring, slots, rows[r].cell_size);
    }
}

static void
test_a_text_may_follow_a_number_and_a_number_a_text(void **state)
{
    char bytes[32];

    memset(bytes, 'z', sizeof bytes);
    for (uint32_t slots = 1; slots <= 6; slots++) {
        struct ring *ring = open_ring(slots);

        for (uint32_t size = 0; size <= sizeof bytes; size++) {
            const struct value text = value_str(slice_of(bytes, size));
            const struct value number = value_f64(size);

            assert_true(ring_push(ring, slots, &text, &heap.heap));
            struct stored_value got = ring_at(ring, slots, ring_count(ring, slots) - 1, &heap.heap);
            const struct value view = stored_value_view(&got, &heap.heap);

            assert_true(slice_equal(value_slice(&view), slice_of(bytes, size)));
            assert_true(ring_push(ring, slots, &number, &heap.heap));
            got = ring_at(ring, slots, ring_count(ring, slots) - 1, &heap.heap);
            assert_int_equal(got.kind, VALUE_F64);
            assert_int_equal(got.size, 0);
            assert_true(got.as.f64 == size);
        }
        close_ring(ring, slots, RING_VALUES);
    }
}

static void
test_what_a_fresh_cell_held_before_does_not_matter(void **state)
{
    const struct value first = value_str(slice_text("a text that lies outside"));
    const struct value second = value_i64(2);
    struct ring *ring = open_ring(50);

    memset(heap.heap.base + (size_t)heap.next * 16, 0xFF, 4096);
    assert_true(ring_push(ring, 50, &first, &heap.heap));
    assert_true(ring_push(ring, 50, &second, &heap.heap));
    assert_int_equal(ring_at(ring, 50, 1, &heap.heap).as.i64, 2);
    close_ring(ring, 50, RING_VALUES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_come_back_oldest_first_at_every_size),
        cmocka_unit_test(test_a_block_fills_the_size_classes_and_stops_at_the_slots),
        cmocka_unit_test(test_a_text_may_follow_a_number_and_a_number_a_text),
        cmocka_unit_test(test_what_a_fresh_cell_held_before_does_not_matter),
    };
    int failed = 0;

    test_heap_open(&heap, 4 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    return failed;
}
