/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_VALUE_STACK_H
#define BV_WIRE_VALUE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/arena.h"
#include "wire/value.h"

/* How both parsers build a tree without recursion, private to them: finished values wait on one
 * stack, and closing a list or map moves its values (a map's keys and values alternate, which is
 * what value_member is) to the arena in one piece. The stack starts inside the struct, so a small
 * document takes from the arena only what it returns. */

#define VALUE_STACK_INITIAL   64
#define VALUE_STACK_DEPTH_MAX 128

_Static_assert(sizeof(struct value_member) == 2 * sizeof(struct value), "a member is two values");

struct value_stack_level {
    size_t base;    /* first value of this container */
    size_t pending; /* values still to come, where the encoding says */
    bool is_map;
};

struct value_stack {
    struct arena *arena;
    struct value *values;
    size_t size;
    size_t capacity;
    unsigned depth;
    struct value_stack_level levels[VALUE_STACK_DEPTH_MAX];
    struct value initial[VALUE_STACK_INITIAL];
};

void value_stack_init(struct value_stack *stack, struct arena *arena);
/* The caller has checked the depth. */
void value_stack_open(struct value_stack *stack, bool is_map, size_t pending);
/* Replaces the innermost container's values by the container. False when the arena is spent. */
bool value_stack_close(struct value_stack *stack);

bool value_stack_grow(struct value_stack *stack);

/* Where the next value goes, NULL when the arena is spent. It is written in place (a struct of four
 * fields that is copied right after it was written costs a store-forwarding stall, a third of the
 * time of a small document) and counted by value_stack_push. */
static inline struct value *
value_stack_next(struct value_stack *stack)
{
    if (stack->size == stack->capacity && !value_stack_grow(stack)) {
        return NULL;
    }
    return &stack->values[stack->size];
}

static inline void
value_stack_push(struct value_stack *stack)
{
    stack->size++;
}

static inline struct value_stack_level *
value_stack_top(struct value_stack *stack)
{
    return &stack->levels[stack->depth - 1];
}

#endif
