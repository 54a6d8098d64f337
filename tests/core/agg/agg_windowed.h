/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_AGG_WINDOWED_H
#define BV_TESTS_AGG_WINDOWED_H

/* One operator in a real window, beside the list of all its events; and what the lifetime operator
 * reads when only the events of the active panes are pushed (operators.md W7). */

#include "agg/window.h"
#include "agg_fixture.h"

#define WINDOWED_EVENTS_MAX 4096

struct windowed_event {
    struct value v;
    uint64_t now_ms;
};

struct windowed {
    struct test_feature feature; /* its states take the fold */
    struct window_head head;
    struct window_shape shape;
    struct window_column columns[AGG_USES_MAX];
    struct windowed_event events[WINDOWED_EVENTS_MAX];
    size_t event_count;
    uint64_t row[AGG_USES_MAX * TEST_STATE_WORDS];
    uint64_t dropped;
};

static inline void
windowed_open(struct windowed *self, const char *name, const char *params, uint64_t window_ms,
              struct test_heap *heap)
{
    memset(self, 0, sizeof *self);
    test_feature_open_with(&self->feature, name, 0, params, heap);
    self->shape = (struct window_shape){.window_ms = window_ms,
                                        .pane_ms = window_pane_ms(window_ms),
                                        .columns = self->columns,
                                        .column_count = self->feature.op->use_count};
    for (unsigned i = 0; i < self->feature.op->use_count; i++) {
        const struct agg_accumulator *accumulator = self->feature.reading.accumulators[i];
        const void *config = self->feature.reading.configs[i];

        self->columns[i] = (struct window_column){accumulator, config, self->shape.row_size};
        self->shape.row_size += (accumulator->state_size(config, test_input_type) + 7) & ~7u;
        self->shape.owns_memory |= (accumulator->flags & AGG_OWNS_MEMORY) != 0;
    }
}

static inline void
windowed_push(struct windowed *self, struct value v, uint64_t now_ms)
{
    struct agg_heap *heap = &self->feature.heap->heap;
    const struct value *inputs[AGG_INPUTS_MAX] = {&v, &v};
    uint8_t *row = window_row(&self->head, &self->shape, now_ms, heap, &self->dropped);

    assert_non_null(row);
    for (unsigned i = 0; i < self->shape.column_count; i++) {
        const struct window_column *column = &self->columns[i];
        struct window_view view;
        struct agg_moment moment = {
            .now_ms = now_ms, .seed = 7, .is_match = true, .salt = 1, .heap = heap};

        if (column->accumulator->flags & AGG_SEES_WINDOW) {
            window_view_init(&view, &self->head, &self->shape, i, now_ms, heap,
                             &self->feature.arena);
            moment.view = &view.view;
        }
        column->accumulator->update(row + column->offset, column->config, inputs, &moment);
    }
    assert_true(self->event_count < WINDOWED_EVENTS_MAX);
    self->events[self->event_count++] = (struct windowed_event){v, now_ms};
}

static inline struct value
windowed_read(struct windowed *self, uint64_t query_ms, struct arena *arena)
{
    struct agg_reading reading = self->feature.reading;
    struct value out;

    window_fold(self->row, &self->head, &self->shape, query_ms, NULL, reading.heap, arena);
    for (unsigned i = 0; i < self->shape.column_count; i++) {
        reading.states[i] = (const uint8_t *)self->row + self->columns[i].offset;
    }
    reading.query_ms = query_ms;
    reading.window_ms = self->shape.window_ms;
    self->feature.op->read(&out, &reading, arena);
    return out;
}

static inline bool
windowed_is_active(const struct windowed *self, const struct windowed_event *event,
                   uint64_t query_ms)
{
    const uint64_t start_ms = event->now_ms - event->now_ms % self->shape.pane_ms;

    return start_ms <= query_ms && query_ms - start_ms < self->shape.window_ms;
}

/* The window's rows as a snapshot would bring them back. */
static inline void
windowed_reload(struct windowed *self, uint64_t now_ms)
{
    static const uint32_t order[AGG_USES_MAX] = {0, 1};
    struct agg_heap *heap = &self->feature.heap->heap;
    struct buf bytes;
    size_t consumed = 0;

    buf_init(&bytes);
    window_encode(&bytes, &self->head, &self->shape, order, now_ms, heap);
    window_release(&self->head, &self->shape, heap);
    assert_int_equal(
        window_decode(&self->head, &consumed, buf_slice(&bytes), &self->shape, order, heap, NULL),
        BV_OK);
    assert_int_equal(consumed, bytes.size);
    buf_deinit(&bytes);
}

/* What the lifetime operator, with the parameters given, reads of the active events. */
static inline struct value
windowed_model(const struct windowed *self, const char *lifetime_params, uint64_t query_ms,
               struct arena *arena)
{
    struct test_feature model;

    test_feature_open_with(&model, self->feature.op->name, 0, lifetime_params, self->feature.heap);
    for (size_t i = 0; i < self->event_count; i++) {
        const struct windowed_event *event = &self->events[i];
        const struct value *inputs[AGG_INPUTS_MAX] = {&event->v, &event->v};

        if (windowed_is_active(self, event, query_ms)) {
            test_feature_push_at(&model, inputs, true, event->now_ms, 7);
        }
    }
    model.reading.query_ms = query_ms;
    const struct value out = test_feature_read(&model, arena);

    test_feature_close(&model);
    return out;
}

static inline void
windowed_close(struct windowed *self)
{
    window_release(&self->head, &self->shape, &self->feature.heap->heap);
    arena_deinit(&self->feature.arena);
}

#endif
