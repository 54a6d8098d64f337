/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_AGG_STREAMS_H
#define BV_TESTS_AGG_STREAMS_H

/* Streams that sketches are measured on, and panes of one window to cut them into. */

#include <math.h>

#include "agg_fixture.h"

enum stream { STREAM_RANDOM, STREAM_SORTED, STREAM_SKEWED, STREAM_ADVERSARIAL, STREAM_COUNT };

static inline uint64_t
stream_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed ^ *seed >> 29;
}

/* One of `range` values, at position i of n. Adversarial: a few values between many that never come
 * again, and those first that the structure will have forgotten. */
static inline uint64_t
stream_draw(enum stream stream, uint64_t i, uint64_t n, uint64_t range, uint64_t *seed)
{
    const double unit = (double)(stream_random(seed) >> 11) * 0x1p-53;

    switch (stream) {
    case STREAM_RANDOM:
        return (uint64_t)(unit * (double)range);
    case STREAM_SORTED:
        return i * range / n;
    case STREAM_SKEWED:
        return (uint64_t)pow((double)range, unit) - 1;
    default:
        return i % 3 == 0 ? i / 3 % 40 : range + i;
    }
}

#define STREAM_PANES 8

/* One feature over the whole stream, and one per pane. */
struct paned {
    struct test_feature whole;
    struct test_feature panes[STREAM_PANES];
};

static inline void
paned_open(struct paned *self, const char *name, const char *params, struct test_heap *heap)
{
    test_feature_open_with(&self->whole, name, 0, params, heap);
    for (int i = 0; i < STREAM_PANES; i++) {
        test_feature_open_with(&self->panes[i], name, 0, params, heap);
    }
}

static inline void
paned_push(struct paned *self, struct value v, uint64_t i, uint64_t n)
{
    test_feature_push(&self->whole, v, true);
    test_feature_push(&self->panes[i * STREAM_PANES / n], v, true);
}

/* What a window over all panes reads; the fold itself is dropped. */
static inline struct value
paned_read(struct paned *self, struct arena *arena)
{
    uint64_t words[TEST_STATE_WORDS];
    struct agg_reading reading = self->whole.reading;
    struct value v;

    reading.accumulators[0]->init(words, reading.configs[0]);
    for (int i = 0; i < STREAM_PANES; i++) {
        reading.accumulators[0]->merge(words, self->panes[i].states[0], reading.configs[0],
                                       reading.heap, arena);
    }
    reading.states[0] = words;
    self->whole.op->read(&v, &reading, arena);
    return v;
}

static inline void
paned_close(struct paned *self)
{
    test_feature_close(&self->whole);
    for (int i = 0; i < STREAM_PANES; i++) {
        test_feature_close(&self->panes[i]);
    }
}

/* Pushes JSON values, separated by blanks: `1 1.0 "a"`. */
static inline void
push_all(struct test_feature *feature, const char *values, struct arena *arena)
{
    struct buf text;
    struct value list;

    buf_init(&text);
    buf_printf(&text, "[%s]", values);
    assert_int_equal(json_parse(&list, buf_slice(&text), 16, arena, NULL), BV_OK);
    for (uint32_t i = 0; i < list.length; i++) {
        test_feature_push(feature, list.as.items[i], true);
    }
    buf_deinit(&text);
}

static inline void
assert_reads(const struct test_feature *feature, const char *expected, struct arena *arena)
{
    const struct value v = test_feature_read(feature, arena);
    struct buf text;

    buf_init(&text);
    json_write(&text, &v);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    buf_deinit(&text);
}

/* Values in, JSON out. */
static inline void
check_golden(const char *name, const char *params, const char *values, const char *expected)
{
    struct test_heap heap;
    struct test_feature feature;
    struct arena arena;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 1 << 20);
    test_feature_open_with(&feature, name, 0, params, &heap);
    push_all(&feature, values, &arena);
    assert_reads(&feature, expected, &arena);
    test_feature_close(&feature);
    test_heap_close(&heap);
    arena_deinit(&arena);
}

#endif
