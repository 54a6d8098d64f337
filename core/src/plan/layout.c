/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of an entity block: where every accumulator lies, and how a block changes layouts.
 *
 * In a block: 8-byte aligned accumulators, window heads, then the narrower ones, so that nothing is
 * padded but the end. In a row of a window: the same without heads. Within one alignment the order
 * is the order of the features, and that is the order of their names.
 */
#include <stdlib.h>

#include "plan/plan.h"
#include "util/assert.h"

static uint32_t
round_up(uint32_t value, uint32_t to)
{
    return (value + to - 1) / to * to;
}

/* Gives offsets to the steps of one alignment, from `offset` on. */
static uint32_t
place_aligned(struct plan_group *group, unsigned align, uint32_t offset)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        struct plan_step *step = &group->steps[i];

        if (step->accumulator->state_align == align) {
            step->offset = round_up(offset, align);
            offset = step->offset + step->size;
        }
    }
    return offset;
}

/* Identities are distinct within a group: an insertion sort of a few dozen texts. */
static void
order_canonically(struct plan_group *group)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        uint32_t at = i;

        while (at > 0 && slice_compare(group->steps[group->canonical_order[at - 1]].identity,
                                       group->steps[i].identity) > 0) {
            group->canonical_order[at] = group->canonical_order[at - 1];
            at--;
        }
        group->canonical_order[at] = i;
    }
}

static bool
place_window(struct plan_layout *layout, struct plan_group *group)
{
    uint32_t offset = 0;
    struct window_column *columns =
        arena_alloc(&layout->arena, (group->step_count + 1) * sizeof *columns);

    if (columns == NULL) {
        return false;
    }

    for (unsigned align = 8; align != 0; align /= 2) {
        offset = place_aligned(group, align, offset);
    }
    group->shape = (struct window_shape){
        .window_ms = group->window_ms,
        .pane_ms = window_pane_ms(group->window_ms),
        .row_size = round_up(offset == 0 ? 1 : offset, 8),
        .columns = columns,
        .column_count = group->step_count,
    };
    for (uint32_t i = 0; i < group->step_count; i++) {
        const struct plan_step *step = &group->steps[i];

        columns[i] = (struct window_column){step->accumulator, step->config, step->offset};
        group->shape.owns_memory |= (step->accumulator->flags & AGG_OWNS_MEMORY) != 0;
        group->shape.sees_window |= step->sees_window;
    }
    /* Rows lie out of line, so the block owns memory whatever the columns do. */
    layout->owns_memory = true;
    return true;
}

bool
plan_layout_place(struct plan_layout *layout)
{
    uint32_t offset = 0;
    struct plan_group *lifetime = &layout->groups[0];

    BV_ASSERT(layout->group_count != 0);
    BV_ASSERT(lifetime->window_ms == 0);
    offset = place_aligned(lifetime, 8, offset);
    for (uint32_t i = 1; i < layout->group_count; i++) {
        offset = round_up(offset, 8);
        layout->groups[i].head_offset = offset;
        offset += (uint32_t)sizeof(struct window_head);
    }
    for (unsigned align = 4; align != 0; align /= 2) {
        offset = place_aligned(lifetime, align, offset);
    }
    layout->state_size = round_up(offset, 8);
    for (uint32_t i = 0; i < layout->group_count; i++) {
        struct plan_group *group = &layout->groups[i];

        group->canonical_order =
            arena_alloc(&layout->arena, (group->step_count + 1) * sizeof(uint32_t));
        if (group->canonical_order == NULL) {
            return false;
        }
        order_canonically(group);
        if (i != 0 && !place_window(layout, group)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < lifetime->step_count; i++) {
        layout->owns_memory |= (lifetime->steps[i].accumulator->flags & AGG_OWNS_MEMORY) != 0;
    }
    return true;
}

void
plan_layout_destroy(struct plan_layout *layout)
{
    if (layout != NULL) {
        arena_deinit(&layout->arena);
        free(layout);
    }
}

bool
plan_layout_equal(const struct plan_layout *a, const struct plan_layout *b)
{
    if (a->state_size != b->state_size || a->group_count != b->group_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->group_count; i++) {
        const struct plan_group *left = &a->groups[i];
        const struct plan_group *right = &b->groups[i];

        if (left->window_ms != right->window_ms || left->step_count != right->step_count ||
            left->head_offset != right->head_offset) {
            return false;
        }
        for (uint32_t k = 0; k < left->step_count; k++) {
            if (left->steps[k].offset != right->steps[k].offset ||
                !slice_equal(left->steps[k].identity, right->steps[k].identity)) {
                return false;
            }
        }
    }
    return true;
}

static struct window_head *
head_of(const struct plan_group *group, void *state)
{
    return (struct window_head *)(void *)((uint8_t *)state + group->head_offset);
}

void
plan_layout_init_state(const struct plan_layout *layout, void *state)
{
    const struct plan_group *lifetime = &layout->groups[0];

    memset(state, 0, layout->state_size);
    for (uint32_t i = 0; i < lifetime->step_count; i++) {
        const struct plan_step *step = &lifetime->steps[i];

        step->accumulator->init((uint8_t *)state + step->offset, step->config);
    }
}

static void
release_step(const struct plan_step *step, void *state, struct agg_heap *heap)
{
    if (step->accumulator->flags & AGG_OWNS_MEMORY) {
        step->accumulator->release((uint8_t *)state + step->offset, step->config, heap);
    }
}

void
plan_layout_release_state(const struct plan_layout *layout, void *state, struct agg_heap *heap)
{
    if (!layout->owns_memory) {
        return;
    }
    for (uint32_t i = 0; i < layout->groups[0].step_count; i++) {
        release_step(&layout->groups[0].steps[i], state, heap);
    }
    for (uint32_t i = 1; i < layout->group_count; i++) {
        window_release(head_of(&layout->groups[i], state), &layout->groups[i].shape, heap);
    }
}

static uint32_t
find_group(const struct plan_layout *layout, uint64_t window_ms)
{
    for (uint32_t i = 0; i < layout->group_count; i++) {
        if (layout->groups[i].window_ms == window_ms) {
            return i;
        }
    }
    return UINT32_MAX;
}

static uint32_t
find_step(const struct plan_group *group, struct slice identity)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        if (slice_equal(group->steps[i].identity, identity)) {
            return i;
        }
    }
    return UINT32_MAX;
}

bool
plan_layout_find(const struct plan_layout *of, uint64_t window_ms, struct slice identity,
                 uint32_t *group, uint32_t *step)
{
    *group = find_group(of, window_ms);
    *step = *group == UINT32_MAX ? UINT32_MAX : find_step(&of->groups[*group], identity);
    return *step != UINT32_MAX;
}

/* Windows of both layouts: the rows take the new shape in place. share.c refuses more than
 * PLAN_STEPS_MAX columns, so the map fits the stack. */
static bool
move_window(const struct plan_group *to, void *to_state, const struct plan_group *from,
            void *from_state, struct agg_heap *heap)
{
    uint32_t map[PLAN_STEPS_MAX];
    struct window_head *head = head_of(from, from_state);

    for (uint32_t i = 0; i < to->step_count; i++) {
        map[i] = find_step(from, to->steps[i].identity);
    }
    if (!window_reshape(head, &from->shape, &to->shape, map, heap)) {
        return false;
    }
    *head_of(to, to_state) = *head;
    memset(head, 0, sizeof *head);
    return true;
}

bool
plan_layout_move(const struct plan_layout *to, void *to_state, const struct plan_layout *from,
                 void *from_state, struct agg_heap *heap)
{
    const struct plan_group *old = &from->groups[0];

    plan_layout_init_state(to, to_state);
    /* Windows first: only they can fail. A window that was moved before another failed is put
     * back, because its shape in the old block is the old one. */
    for (uint32_t i = 1; i < to->group_count; i++) {
        uint32_t at = find_group(from, to->groups[i].window_ms);

        if (at != UINT32_MAX &&
            !move_window(&to->groups[i], to_state, &from->groups[at], from_state, heap)) {
            for (uint32_t k = 1; k < i; k++) {
                uint32_t back = find_group(from, to->groups[k].window_ms);

                if (back != UINT32_MAX &&
                    !move_window(&from->groups[back], from_state, &to->groups[k], to_state, heap)) {
                    /* No memory to go back either: the window's past is given up, not leaked. */
                    window_release(head_of(&to->groups[k], to_state), &to->groups[k].shape, heap);
                }
            }
            return false;
        }
    }
    for (uint32_t i = 0; i < to->groups[0].step_count; i++) {
        const struct plan_step *step = &to->groups[0].steps[i];
        uint32_t at = find_step(old, step->identity);

        if (at != UINT32_MAX) {
            memcpy((uint8_t *)to_state + step->offset,
                   (const uint8_t *)from_state + old->steps[at].offset, step->size);
        }
    }
    for (uint32_t i = 0; i < old->step_count; i++) {
        if (find_step(&to->groups[0], old->steps[i].identity) == UINT32_MAX) {
            release_step(&old->steps[i], from_state, heap);
        }
    }
    for (uint32_t i = 1; i < from->group_count; i++) {
        if (find_group(to, from->groups[i].window_ms) == UINT32_MAX) {
            window_release(head_of(&from->groups[i], from_state), &from->groups[i].shape, heap);
        }
    }
    return true;
}

void
plan_layout_encode(struct buf *out, const struct plan_layout *layout, const void *state,
                   uint64_t now_ms, const struct agg_heap *heap)
{
    const uint8_t *bytes = state;

    for (uint32_t i = 0; i < layout->groups[0].step_count; i++) {
        const struct plan_group *group = &layout->groups[0];
        const struct plan_step *step = &group->steps[group->canonical_order[i]];

        step->accumulator->encode(out, bytes + step->offset, step->config, heap);
    }
    /* Groups lie in the order in which features first named their windows: visit by length. */
    for (uint64_t last_ms = 0;;) {
        const struct plan_group *next = NULL;

        for (uint32_t i = 1; i < layout->group_count; i++) {
            const struct plan_group *group = &layout->groups[i];

            if (group->window_ms > last_ms &&
                (next == NULL || group->window_ms < next->window_ms)) {
                next = group;
            }
        }
        if (next == NULL) {
            return;
        }
        last_ms = next->window_ms;
        window_encode(out, (const struct window_head *)(const void *)(bytes + next->head_offset),
                      &next->shape, next->canonical_order, now_ms, heap);
    }
}
