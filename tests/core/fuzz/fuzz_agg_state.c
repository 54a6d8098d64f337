/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes are refused or become a state that reads, updates, merges and encodes. The first byte
 * chooses the accumulator; what was decoded encodes to the bytes that were consumed. */
#include <stdlib.h>

#include "agg/op.h"
#include "util/assert.h"

#define HEAP_UNITS 4096
#define STATE_MAX  256

struct bump_heap {
    struct agg_heap heap; /* first: the callbacks cast */
    uint32_t next;
    int64_t bytes_out;
};

static uint8_t memory[HEAP_UNITS * 16];

static uint32_t
bump_alloc(struct agg_heap *heap, uint32_t size)
{
    struct bump_heap *self = (struct bump_heap *)heap;
    uint64_t units = ((uint64_t)size + 15) / 16;
    uint32_t ref = self->next;

    if (HEAP_UNITS - self->next < units) {
        return 0;
    }
    self->next += (uint32_t)units;
    self->bytes_out += size;
    return ref;
}

static void
bump_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    ((struct bump_heap *)heap)->bytes_out -= size;
}

/* Reads the state through every operator that may be given it. */
static void
read_all(const struct agg_accumulator *accumulator, const void *state, struct agg_heap *heap)
{
    struct arena arena;

    arena_init(&arena, 4096, 1 << 20);
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);
        struct agg_reading reading = {.heap = heap};
        bool is_reader = true;
        struct value v;

        for (unsigned k = 0; k < op->use_count; k++) {
            bool is_among = false;

            for (unsigned j = 0; j < 4 && op->uses[k].any_of[j] != NULL; j++) {
                is_among |= op->uses[k].any_of[j] == accumulator;
            }
            is_reader &= is_among;
            reading.accumulators[k] = accumulator;
            reading.states[k] = state;
        }
        if (is_reader) {
            op->read(&v, &reading, &arena);
            BV_ASSERT(v.kind <= VALUE_MAP);
        }
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bump_heap heap = {{memory, bump_alloc, bump_release}, 1, 0};
    struct agg_moment moment = {.now_ms = 1, .heap = &heap.heap};
    const struct value input = value_str(slice_text("a text of more than eight bytes"));
    const struct value *inputs[AGG_INPUTS_MAX] = {&input, &input};
    uint64_t state[STATE_MAX / 8];
    uint64_t folded[STATE_MAX / 8];
    struct buf again;
    size_t consumed = 0;

    if (size == 0) {
        return 0;
    }

    const struct agg_accumulator *accumulator =
        agg_accumulator_at(data[0] % agg_accumulator_count());

    if (accumulator->decode(state, &consumed, slice_of(data + 1, size - 1), NULL, &heap.heap,
                            NULL) != BV_OK) {
        BV_ASSERT(heap.bytes_out == 0);
        return 0;
    }
    BV_ASSERT(consumed <= size - 1);
    buf_init(&again);
    accumulator->encode(&again, state, NULL, &heap.heap);
    BV_ASSERT(slice_equal(buf_slice(&again), slice_of(data + 1, consumed)));
    buf_deinit(&again);
    accumulator->init(folded, NULL);
    accumulator->merge(folded, state, NULL, &heap.heap, NULL);
    read_all(accumulator, folded, &heap.heap);
    accumulator->update(state, NULL, inputs, &moment);
    read_all(accumulator, state, &heap.heap);
    if (accumulator->release != NULL) {
        accumulator->release(state, NULL, &heap.heap);
    }
    BV_ASSERT(heap.bytes_out == 0);
    return 0;
}
