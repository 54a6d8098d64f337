/* SPDX-License-Identifier: Apache-2.0 */
/* Building trees bottom-up with bounded memory on the C stack.
 *
 * Enters:  values in the order of the text, and where containers open and close.
 * Leaves:  contiguous items and members in the arena.
 * Owner:   one parser call; the tree belongs to the arena.
 *
 * Invariants
 *   (1) levels[depth - 1].base <= size <= capacity.
 *   (2) A container is copied exactly once, when it closes; what the stack outgrew stays in the
 *       arena until its reset, less than the final stack in sum.
 */
#include <string.h>

#include "util/assert.h"
#include "wire/value_stack.h"

void
value_stack_init(struct value_stack *stack, struct arena *arena)
{
    stack->arena = arena;
    stack->values = stack->initial;
    stack->size = 0;
    stack->capacity = VALUE_STACK_INITIAL;
    stack->depth = 0;
}

bool
value_stack_grow(struct value_stack *stack)
{
    size_t capacity = stack->capacity * 2;
    struct value *values = arena_alloc(stack->arena, capacity * sizeof *values);

    if (values == NULL) {
        return false;
    }
    memcpy(values, stack->values, stack->size * sizeof *values);
    stack->values = values;
    stack->capacity = capacity;
    return true;
}

void
value_stack_open(struct value_stack *stack, bool is_map, size_t pending)
{
    BV_ASSERT(stack->depth < VALUE_STACK_DEPTH_MAX);
    stack->levels[stack->depth++] =
        (struct value_stack_level){.base = stack->size, .pending = pending, .is_map = is_map};
}

bool
value_stack_close(struct value_stack *stack)
{
    BV_ASSERT(stack->depth > 0);
    struct value_stack_level level = stack->levels[--stack->depth];
    size_t count = stack->size - level.base;
    void *items =
        arena_copy(stack->arena, stack->values + level.base, count * sizeof(struct value));

    if (items == NULL) {
        return false;
    }
    /* Its first value's place is free now; an empty one may need a new place. */
    stack->size = level.base;
    struct value *v = value_stack_next(stack);

    if (v == NULL) {
        return false;
    }
    if (level.is_map) {
        BV_ASSERT(count % 2 == 0);
        *v =
            (struct value){.as.members = items, .length = (uint32_t)(count / 2), .kind = VALUE_MAP};
    } else {
        *v = (struct value){.as.items = items, .length = (uint32_t)count, .kind = VALUE_LIST};
    }
    value_stack_push(stack);
    return true;
}
