/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_AGG_FIXTURE_H
#define BV_TESTS_AGG_FIXTURE_H

/* A heap that hands out memory from one region, counts what is out, and fails when told to; and an
 * operator with its states, as a plan without windows would keep them. */

#include <stdlib.h>
#include <string.h>

#include "agg/op.h"
#include "agg/stored_value.h"

struct test_heap {
    struct agg_heap heap; /* first: the callbacks cast */
    uint32_t next;        /* unit */
    uint32_t units;
    int64_t bytes_out;
    int64_t alloc_count;
    int64_t fail_at; /* the n-th allocation fails, 0 = none */
};

static inline uint32_t
test_heap_alloc(struct agg_heap *heap, uint32_t size)
{
    struct test_heap *self = (struct test_heap *)heap;
    uint32_t units = (size + 15) / 16;
    uint32_t ref = self->next;

    self->alloc_count++;
    if (self->alloc_count == self->fail_at || self->units - self->next < units) {
        return 0;
    }
    self->next += units;
    self->bytes_out += size;
    return ref;
}

static inline void
test_heap_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    assert_true(ref != 0);
    ((struct test_heap *)heap)->bytes_out -= size;
    /* Whoever still looks at it reads rubbish. */
    memset(agg_heap_at(heap, ref), 0xDD, size);
}

static inline void
test_heap_open(struct test_heap *self, size_t size)
{
    *self = (struct test_heap){.next = 1, .units = (uint32_t)(size / 16)};
    self->heap = (struct agg_heap){(uint8_t *)malloc(size), test_heap_alloc, test_heap_release};
    assert_non_null(self->heap.base);
}

static inline void
test_heap_close(struct test_heap *self)
{
    assert_int_equal(self->bytes_out, 0);
    free(self->heap.base);
}

static inline void
agg_push(const struct agg_accumulator *accumulator, void *state, const struct value *input,
         struct test_heap *heap)
{
    struct agg_moment moment = {.now_ms = 1000, .seed = 7, .heap = &heap->heap};
    const struct value *inputs[AGG_INPUTS_MAX] = {input, input};

    accumulator->update(state, NULL, inputs, &moment);
}

/* Feature = operator with one state per use, of the choice-th accumulator where there is one. */
struct test_feature {
    const struct agg_op *op;
    struct agg_reading reading;
    uint64_t states[AGG_USES_MAX][8];
    struct test_heap *heap;
};

static inline void
test_feature_open(struct test_feature *self, const char *name, unsigned choice,
                  struct test_heap *heap)
{
    memset(self, 0, sizeof *self);
    self->op = agg_op_find(slice_text(name));
    self->heap = heap;
    self->reading.heap = &heap->heap;
    assert_non_null(self->op);
    for (unsigned i = 0; i < self->op->use_count; i++) {
        const struct agg_use *use = &self->op->uses[i];
        const struct agg_accumulator *accumulator =
            use->any_of[choice] != NULL ? use->any_of[choice] : use->any_of[0];

        assert_true(accumulator->state_size(NULL, FIELD_F64) <= sizeof self->states[i]);
        accumulator->init(self->states[i], NULL);
        self->reading.accumulators[i] = accumulator;
        self->reading.states[i] = self->states[i];
    }
}

static inline void
test_feature_push(struct test_feature *self, struct value v, bool is_matching)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        if (is_matching || self->op->uses[i].scope == AGG_EVERY) {
            agg_push(self->reading.accumulators[i], self->states[i], &v, self->heap);
        }
    }
}

static inline struct value
test_feature_read(const struct test_feature *self, struct arena *arena)
{
    struct value v;

    self->op->read(&v, &self->reading, arena);
    return v;
}

/* self := self, then other, as reading a window does it. */
static inline void
test_feature_fold(struct test_feature *self, const struct test_feature *other)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        self->reading.accumulators[i]->merge(self->states[i], other->states[i], NULL,
                                             &self->heap->heap);
    }
}

static inline void
test_feature_close(struct test_feature *self)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        if (self->reading.accumulators[i]->release != NULL) {
            self->reading.accumulators[i]->release(self->states[i], NULL, &self->heap->heap);
        }
    }
}

#endif
