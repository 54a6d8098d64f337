/* SPDX-License-Identifier: Apache-2.0 */
/* Places in the block, and blocks that change layouts without losing or leaking anything. */
#include "plan_fixture.h"

/* A heap of 16-byte units that counts what is out. */
struct counting_heap {
    struct agg_heap heap;
    uint8_t *memory;
    uint32_t next;
    int64_t live;
    int64_t fail_after; /* allocations until one fails; < 0: never */
};

#define HEAP_UNITS 65536

static uint32_t
counting_alloc(struct agg_heap *heap, uint32_t size)
{
    struct counting_heap *counting = (struct counting_heap *)heap;
    const uint32_t units = (size + 15) / 16;

    if (counting->fail_after == 0) {
        return 0;
    }
    counting->fail_after--;
    assert_true(counting->next + units < HEAP_UNITS);
    const uint32_t ref = counting->next;

    counting->next += units;
    counting->live++;
    return ref;
}

static void
counting_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    struct counting_heap *counting = (struct counting_heap *)heap;

    memset(agg_heap_at(heap, ref), 0xdd, size);
    counting->live--;
}

static void
heap_init(struct counting_heap *heap)
{
    *heap = (struct counting_heap){.next = 1, .fail_after = -1};
    heap->memory = calloc(HEAP_UNITS, 16);
    heap->heap = (struct agg_heap){heap->memory, counting_alloc, counting_release};
}

static void
test_nothing_overlaps_and_everything_is_aligned(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(
        &f,
        FEATURE("a", "count") "," FEATURE_OF("b", "min", AMOUNT) "," FEATURE_OF("c", "max", "\"field\":\"page\"") "," FEATURE_OF(
            "d", "var",
            AMOUNT) "," FEATURE_OF("e", "sum",
                                   AMOUNT
                                   ",\"window\":\"5m\"") "," FEATURE_OF("f", "max",
                                                                        AMOUNT
                                                                        ",\"window\":\"5m\"") "," FEATURE_OF("g",
                                                                                                             "count",
                                                                                                             "\"window\":\"1h\""));
    const struct plan_layout *layout = fixture_table(&f)->layout;
    uint8_t *used = calloc(1, layout->state_size);

    for (uint32_t i = 0; i < layout->group_count; i++) {
        const struct plan_group *group = &layout->groups[i];
        uint8_t *row = i == 0 ? used : calloc(1, group->shape.row_size);
        const uint32_t limit = i == 0 ? layout->state_size : group->shape.row_size;

        for (uint32_t k = 0; k < group->step_count; k++) {
            const struct plan_step *step = &group->steps[k];

            assert_int_equal(step->offset % step->accumulator->state_align, 0);
            assert_true(step->offset + step->size <= limit);
            for (uint32_t b = 0; b < step->size; b++) {
                assert_int_equal(row[step->offset + b]++, 0);
            }
        }
        if (i != 0) {
            assert_int_equal(group->head_offset % 8, 0);
            for (uint32_t b = 0; b < sizeof(struct window_head); b++) {
                assert_int_equal(used[group->head_offset + b]++, 0);
            }
            free(row);
        }
    }
    free(used);
    fixture_deinit(&f);
}

static void
test_one_count_is_eight_bytes_of_state(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_compile(&f, FEATURE("c", "count"));
    assert_int_equal(fixture_table(&f)->layout->state_size, 8);
    fixture_deinit(&f);
}

/* Feeds one event (amount, page) to every step of a block, as push.c does. */
static void
update(const struct plan_layout *layout, uint8_t *block, double amount, const char *page,
       uint64_t now_ms, struct agg_heap *heap)
{
    const struct value values[4] = {value_str(slice_text("u")), value_f64(amount), value_i64(1),
                                    value_str(slice_text(page))};
    const struct agg_moment moment = {.now_ms = now_ms, .is_match = true, .heap = heap};
    uint64_t dropped = 0;

    for (uint32_t i = 0; i < layout->group_count; i++) {
        const struct plan_group *group = &layout->groups[i];
        uint8_t *base = block;

        if (i != 0) {
            base = window_row((struct window_head *)(void *)(block + group->head_offset),
                              &group->shape, now_ms, heap, &dropped);
            assert_non_null(base);
        }
        for (uint32_t k = 0; k < group->step_count; k++) {
            const struct plan_step *step = &group->steps[k];
            const struct value *inputs[AGG_INPUTS_MAX] = {
                &values[step->inputs[0] == EXPR_NODE_NONE ? 0 : step->inputs[0]], &values[0]};

            step->accumulator->update(base + step->offset, step->config, inputs, &moment);
        }
    }
}

#define FEW                                                                                        \
    FEATURE("a", "count")                                                                          \
    "," FEATURE_OF("c", "max", "\"field\":\"page\"") "," FEATURE_OF(                               \
        "e", "max", "\"field\":\"page\",\"window\":\"5m\"")
#define MORE                                                                                       \
    FEW "," FEATURE_OF("b", "min", AMOUNT) "," FEATURE_OF(                                         \
        "d", "std",                                                                                \
        AMOUNT                                                                                     \
        ",\"window\":\"5m\"") "," FEATURE_OF("f", "min", "\"field\":\"page\",\"window\":\"1h\"")

static void
test_a_block_moves_to_the_next_layout(void **state)
{
    struct fixture f;
    struct counting_heap heap;
    struct buf kept;
    struct buf again;

    (void)state;
    fixture_init(&f);
    heap_init(&heap);
    buf_init(&kept);
    buf_init(&again);
    fixture_compile(&f, FEW);
    uint8_t *block = calloc(1, fixture_table(&f)->layout->state_size);

    plan_layout_init_state(fixture_table(&f)->layout, block);
    for (unsigned i = 0; i < 40; i++) {
        update(fixture_table(&f)->layout, block, i, "a page name that does not fit inline",
               1000 + i * 5000, &heap.heap);
    }
    fixture_compile(&f, MORE);
    const struct plan_layout *from = plan_find_table(f.former, slice_text("T"))->layout;
    const struct plan_layout *to = fixture_table(&f)->layout;
    uint8_t *moved = calloc(1, to->state_size);

    assert_true(plan_layout_move(to, moved, from, block, &heap.heap));
    update(to, moved, 7.0, "another page name, longer than inline", 250000, &heap.heap);
    plan_layout_encode(&kept, to, moved, 250000, &heap.heap);
    plan_layout_encode(&again, to, moved, 250000, &heap.heap);
    assert_true(slice_equal(buf_slice(&kept), buf_slice(&again)));
    uint32_t group;
    uint32_t step;

    assert_true(plan_layout_find(to, 0, from->groups[0].steps[0].identity, &group, &step));
    assert_int_equal(group, 0);
    plan_layout_release_state(to, moved, &heap.heap);
    assert_int_equal(heap.live, 0);
    free(block);
    free(moved);
    free(heap.memory);
    buf_deinit(&kept);
    buf_deinit(&again);
    fixture_deinit(&f);
}

static void
test_a_move_without_memory_leaves_the_block_usable(void **state)
{
    (void)state;
    for (int64_t fail_after = 0; fail_after < 6; fail_after++) {
        struct fixture f;
        struct counting_heap heap;

        fixture_init(&f);
        heap_init(&heap);
        fixture_compile(&f, FEW);
        uint8_t *block = calloc(1, fixture_table(&f)->layout->state_size);

        plan_layout_init_state(fixture_table(&f)->layout, block);
        update(fixture_table(&f)->layout, block, 1, "a page name that does not fit inline", 1000,
               &heap.heap);
        fixture_compile(&f, MORE);
        const struct plan_layout *from = plan_find_table(f.former, slice_text("T"))->layout;
        const struct plan_layout *to = fixture_table(&f)->layout;
        uint8_t *moved = calloc(1, to->state_size);

        heap.fail_after = fail_after;
        const bool is_moved = plan_layout_move(to, moved, from, block, &heap.heap);

        heap.fail_after = -1;
        plan_layout_release_state(is_moved ? to : from, is_moved ? moved : block, &heap.heap);
        assert_int_equal(heap.live, 0);
        free(block);
        free(moved);
        free(heap.memory);
        fixture_deinit(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_overlaps_and_everything_is_aligned),
        cmocka_unit_test(test_one_count_is_eight_bytes_of_state),
        cmocka_unit_test(test_a_block_moves_to_the_next_layout),
        cmocka_unit_test(test_a_move_without_memory_leaves_the_block_usable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
