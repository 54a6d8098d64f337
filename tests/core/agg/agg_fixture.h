/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_AGG_FIXTURE_H
#define BV_TESTS_AGG_FIXTURE_H

/* A heap that hands out memory from one region, counts what is out, and fails when told to; and an
 * operator with its states, as a plan without windows would keep them. */

#include <stdlib.h>
#include <string.h>

#include "agg/op.h"
#include "agg/stored_value.h"
#include "wire/json.h"

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

/* The declared type of the input columns: numeric ones call int 1 and float 1.0 equal (W1). */
static enum field_type test_input_type = FIELD_JSON;

/* Prepared parameters of an accumulator, in the arena; NULL when it has none. */
static inline void *
agg_configure(const struct agg_accumulator *accumulator, const struct value *params,
              struct arena *arena)
{
    const unsigned size = accumulator->config_size_of != NULL ? accumulator->config_size_of(params)
                                                              : accumulator->config_size;
    void *config = size == 0 ? NULL : arena_alloc(arena, size);
    struct bv_error err = {0};

    if (config != NULL) {
        memset(config, 0, size);
        if (accumulator->configure(config, params, &err) != BV_OK) {
            fail_msg("%s: %s", accumulator->name, err.message);
        }
        if (accumulator->configure_types != NULL) {
            const enum field_type types[AGG_INPUTS_MAX] = {test_input_type, test_input_type};

            accumulator->configure_types(config, types);
        }
    }
    return config;
}

/* Parameters that any operator takes: what its rows require, with harmless values; and a window,
 * where it may have one and `is_windowed`. */
static inline struct value
agg_sample_params(const struct agg_op *op, bool is_windowed, struct arena *arena)
{
    struct buf json;
    struct value params;
    bool is_first = true;

    buf_init(&json);
    buf_byte(&json, '{');
    for (unsigned i = 0; i < op->param_count; i++) {
        static const char *const samples[] = {"\"amount\"", "\"1s\"", "3", "0.5", "[10,20]"};

        if (op->params[i].is_required) {
            buf_printf(&json, "%s\"%s\":%s", is_first ? "" : ",", op->params[i].name,
                       samples[op->params[i].type]);
            is_first = false;
        }
    }
    if (is_windowed && op->window == AGG_WINDOW_HONOURED) {
        buf_printf(&json, "%s\"window\":\"1h\"", is_first ? "" : ",");
    }
    buf_byte(&json, '}');
    const struct slice text = slice_of(arena_copy(arena, json.data, json.size), json.size);

    buf_deinit(&json);
    assert_int_equal(json_parse(&params, text, 8, arena, NULL), BV_OK);
    return params;
}

/* Prepared sample parameters of an accumulator: those of the first operator that may be given it.
 */
static inline void *
agg_sample_config(const struct agg_accumulator *accumulator, struct arena *arena)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);

        for (unsigned k = 0; k < op->use_count; k++) {
            for (unsigned j = 0; j < 4 && op->uses[k].any_of[j] != NULL; j++) {
                if (op->uses[k].any_of[j] == accumulator) {
                    const struct value params = agg_sample_params(op, false, arena);

                    return agg_configure(accumulator, &params, arena);
                }
            }
        }
    }
    fail_msg("%s: no operator reads it", accumulator->name);
    return NULL;
}

static inline void
agg_push_config(const struct agg_accumulator *accumulator, const void *config, void *state,
                const struct value *input, struct test_heap *heap)
{
    struct agg_moment moment = {.now_ms = 1000, .seed = 7, .is_match = true, .heap = &heap->heap};
    const struct value *inputs[AGG_INPUTS_MAX] = {input, input};

    accumulator->update(state, config, inputs, &moment);
}

static inline void
agg_push(const struct agg_accumulator *accumulator, void *state, const struct value *input,
         struct test_heap *heap)
{
    agg_push_config(accumulator, NULL, state, input, heap);
}

#define TEST_STATE_WORDS 1024

/* Feature = operator with one state per use, of the choice-th accumulator where there is one. */
struct test_feature {
    const struct agg_op *op;
    struct agg_reading reading;
    struct value params;
    uint64_t states[AGG_USES_MAX][TEST_STATE_WORDS];
    const struct agg_view *views[AGG_USES_MAX]; /* what AGG_SEES_WINDOW is shown; NULL: lifetime */
    struct test_heap *heap;
    struct arena arena; /* parameters, and what merges build */
};

/* params_json NULL: sample parameters, of a window where the operator may have one. */
static inline void
test_feature_open_with(struct test_feature *self, const char *name, unsigned choice,
                       const char *params_json, struct test_heap *heap)
{
    memset(self, 0, sizeof *self);
    self->op = agg_op_find(slice_text(name));
    self->heap = heap;
    self->reading.heap = &heap->heap;
    assert_non_null(self->op);
    arena_init(&self->arena, 65536, 0);
    if (params_json == NULL) {
        self->params = agg_sample_params(self->op, true, &self->arena);
    } else {
        assert_int_equal(json_parse(&self->params, slice_text(params_json), 16, &self->arena, NULL),
                         BV_OK);
    }
    self->reading.params = &self->params;
    for (unsigned i = 0; i < self->op->use_count; i++) {
        const struct agg_use *use = &self->op->uses[i];
        const struct agg_accumulator *accumulator =
            use->any_of[choice] != NULL ? use->any_of[choice] : use->any_of[0];
        const void *config = agg_configure(accumulator, &self->params, &self->arena);

        assert_true(accumulator->state_size(config, FIELD_F64) <= sizeof self->states[i]);
        accumulator->init(self->states[i], config);
        self->reading.accumulators[i] = accumulator;
        self->reading.states[i] = self->states[i];
        self->reading.configs[i] = config;
    }
}

static inline void
test_feature_open(struct test_feature *self, const char *name, unsigned choice,
                  struct test_heap *heap)
{
    test_feature_open_with(self, name, choice, NULL, heap);
}

/* One event: its input columns, whether the predicate holds, its time and seed. */
static inline void
test_feature_push_at(struct test_feature *self, const struct value *const *inputs, bool is_matching,
                     uint64_t now_ms, uint32_t seed)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        const struct agg_moment moment = {.now_ms = now_ms,
                                          .seed = seed,
                                          .is_match = is_matching,
                                          .salt = 0x5a17,
                                          .heap = &self->heap->heap,
                                          .view = self->views[i]};

        if (is_matching || self->op->uses[i].scope != AGG_MATCHING) {
            self->reading.accumulators[i]->update(self->states[i], self->reading.configs[i], inputs,
                                                  &moment);
        }
    }
}

static inline void
test_feature_push(struct test_feature *self, struct value v, bool is_matching)
{
    const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};

    test_feature_push_at(self, inputs, is_matching, 1000, 7);
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
        self->reading.accumulators[i]->merge(self->states[i], other->states[i],
                                             self->reading.configs[i], &self->heap->heap,
                                             &self->arena);
    }
}

static inline void
test_feature_close(struct test_feature *self)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        if (self->reading.accumulators[i]->release != NULL) {
            self->reading.accumulators[i]->release(self->states[i], self->reading.configs[i],
                                                   &self->heap->heap);
        }
    }
    arena_deinit(&self->arena);
}

#endif
