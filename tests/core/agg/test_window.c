/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agg/codec.h"
#include "agg/window.h"

/* ---- a heap that counts, fails on command and checks every release ---- */

#define HEAP_UNITS (1u << 20)

struct test_heap {
    struct agg_heap heap;
    uint32_t *size_at;    /* size as asked for, by first unit; 0 = free */
    uint32_t *free_first; /* by units: freed blocks, linked through free_next */
    uint32_t *free_next;
    uint32_t next;
    uint32_t live_count;
    uint32_t fail_after; /* so many more allocations succeed */
};

static uint32_t
test_alloc(struct agg_heap *heap, uint32_t size)
{
    struct test_heap *test = (struct test_heap *)heap;
    const uint32_t units = (size + 15) / 16;
    uint32_t ref = test->free_first[units];

    assert_true(size != 0);
    if (test->fail_after-- == 0) {
        test->fail_after = 0;
        return 0;
    }
    if (ref != 0) {
        test->free_first[units] = test->free_next[ref];
    } else {
        ref = test->next;
        test->next += units;
        assert_true(test->next <= HEAP_UNITS);
    }
    test->size_at[ref] = size;
    test->live_count++;
    memset(agg_heap_at(heap, ref), 0xa5, size);
    return ref;
}

static void
test_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    struct test_heap *test = (struct test_heap *)heap;
    const uint32_t units = (size + 15) / 16;

    assert_true(ref != 0);
    assert_int_equal(test->size_at[ref], size);
    test->size_at[ref] = 0;
    test->live_count--;
    memset(agg_heap_at(heap, ref), 0x5a, size);
    test->free_next[ref] = test->free_first[units];
    test->free_first[units] = ref;
}

static struct test_heap *
heap_open(void)
{
    struct test_heap *test = calloc(1, sizeof *test);

    assert_non_null(test);
    test->heap.base = malloc((size_t)HEAP_UNITS * 16);
    test->heap.alloc = test_alloc;
    test->heap.release = test_release;
    test->size_at = calloc(HEAP_UNITS, sizeof *test->size_at);
    test->free_first = calloc(HEAP_UNITS, sizeof *test->free_first);
    test->free_next = calloc(HEAP_UNITS, sizeof *test->free_next);
    assert_true(test->heap.base != NULL && test->size_at != NULL);
    assert_true(test->free_first != NULL && test->free_next != NULL);
    test->next = 1;
    test->fail_after = UINT32_MAX;
    return test;
}

static void
heap_close(struct test_heap *test)
{
    assert_int_equal(test->live_count, 0);
    free(test->heap.base);
    free(test->size_at);
    free(test->free_first);
    free(test->free_next);
    free(test);
}

/* ---- two accumulators: a counter, and a bag that owns the values it has seen ---- */

static void
counter_init(void *state, const void *config)
{
    memset(state, 0, sizeof(uint64_t));
}

static void
counter_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
              struct arena *arena)
{
    store_le64(into, load_le64(into) + load_le64(from));
}

static void
counter_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    codec_put_u64(out, load_le64(state));
}

static enum bv_status
counter_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    if (bytes.size < 8) {
        return bv_error_set(err, BV_CORRUPT, "counter");
    }
    store_le64(state, load_le64(bytes.data));
    *consumed = 8;
    return BV_OK;
}

static const struct agg_accumulator counter = {
    .name = "counter",
    .init = counter_init,
    .merge = counter_merge,
    .encode = counter_encode,
    .decode = counter_decode,
};

/* order: a hash in which the order of values shows, so that a fold must run oldest first. */
struct bag {
    uint32_t ref;
    uint32_t count;
    uint64_t order;
};

static uint64_t
order_add(uint64_t order, uint64_t value)
{
    return order * 1099511628211u + value;
}

static void
bag_init(void *state, const void *config)
{
    memset(state, 0, sizeof(struct bag));
}

static void
bag_add(struct bag *bag, uint32_t value, struct agg_heap *heap)
{
    const uint32_t ref = heap->alloc(heap, (bag->count + 1) * 4);
    uint8_t *values = agg_heap_at(heap, ref);

    assert_true(ref != 0);
    if (bag->ref != 0) {
        memcpy(values, agg_heap_at(heap, bag->ref), (size_t)bag->count * 4);
        heap->release(heap, bag->ref, bag->count * 4);
    }
    store_le32(values + (size_t)bag->count * 4, value);
    bag->ref = ref;
    bag->count++;
    bag->order = order_add(bag->order, value);
}

static void
bag_merge(void *into, const void *from, const void *config, const struct agg_heap *heap,
          struct arena *arena)
{
    struct bag *left = into;
    const struct bag *right = from;
    const uint8_t *values = agg_heap_at(heap, right->ref);

    for (uint32_t i = 0; i < right->count; i++) {
        left->order = order_add(left->order, load_le32(values + (size_t)i * 4));
    }
    left->count += right->count;
}

static void
bag_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct bag *bag = state;

    codec_put_u64(out, bag->count);
    buf_append(out, agg_heap_at(heap, bag->ref), (size_t)bag->count * 4);
}

static enum bv_status
bag_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
           struct agg_heap *heap, struct bv_error *err)
{
    struct bag *bag = state;
    const uint64_t count = bytes.size < 8 ? UINT64_MAX : load_le64(bytes.data);

    if (count > (bytes.size - 8) / 4) {
        return bv_error_set(err, BV_CORRUPT, "bag");
    }
    if (count != 0) {
        bag->ref = heap->alloc(heap, (uint32_t)count * 4);
        if (bag->ref == 0) {
            return bv_error_set(err, BV_NO_MEMORY, "bag");
        }
        memcpy(agg_heap_at(heap, bag->ref), bytes.data + 8, count * 4);
    }
    for (uint64_t i = 0; i < count; i++) {
        bag->order = order_add(bag->order, load_le32(bytes.data + 8 + i * 4));
    }
    bag->count = (uint32_t)count;
    *consumed = 8 + count * 4;
    return BV_OK;
}

static void
bag_release(void *state, const void *config, struct agg_heap *heap)
{
    const struct bag *bag = state;

    if (bag->ref != 0) {
        heap->release(heap, bag->ref, bag->count * 4);
    }
}

static const struct agg_accumulator bag = {
    .name = "bag",
    .flags = AGG_OWNS_MEMORY | AGG_ORDERED,
    .init = bag_init,
    .merge = bag_merge,
    .encode = bag_encode,
    .decode = bag_decode,
    .release = bag_release,
};

/* ---- shapes: features 0 and 2 are counters, 1 and 3 are bags ---- */

#define FEATURES 4u

struct test_shape {
    struct window_column columns[FEATURES];
    uint32_t feature[FEATURES]; /* of each column */
    uint32_t order[FEATURES];   /* columns by ascending feature */
    uint32_t count;
    uint32_t row_size;
    bool owns_memory;
};

/* Features as a bit set; `turn` changes where the columns lie, `gap` leaves padding. */
static struct test_shape
make_shape(unsigned features, unsigned turn, uint32_t gap)
{
    struct test_shape shape = {0};

    for (uint32_t i = 0; i < FEATURES; i++) {
        const uint32_t feature = (i + turn) % FEATURES;

        if ((features >> feature & 1) == 0) {
            continue;
        }
        shape.columns[shape.count] = (struct window_column){
            .accumulator = feature % 2 == 0 ? &counter : &bag, .offset = shape.row_size};
        shape.feature[shape.count++] = feature;
        shape.row_size += (feature % 2 == 0 ? 8 : (uint32_t)sizeof(struct bag)) + gap;
        shape.owns_memory = shape.owns_memory || feature % 2 == 1;
    }
    for (uint32_t feature = 0, at = 0; feature < FEATURES; feature++) {
        for (uint32_t i = 0; i < shape.count; i++) {
            if (shape.feature[i] == feature) {
                shape.order[at++] = i;
            }
        }
    }
    return shape;
}

static struct window_shape
shape_for(const struct test_shape *test, uint64_t window_ms)
{
    return (struct window_shape){
        .window_ms = window_ms,
        .pane_ms = window_pane_ms(window_ms),
        .row_size = test->row_size,
        .columns = test->columns,
        .column_count = test->count,
        .owns_memory = test->owns_memory,
    };
}

/* ---- one entity, and what it should say ---- */

#define MODEL_PANES 256u /* more than can live: the model keeps no circle */

struct model_pane {
    uint64_t start_ms;
    uint64_t count[FEATURES];
    uint32_t values[FEATURES][400];
};

struct entity {
    struct window_head head;
    struct test_shape test;
    struct window_shape shape;
    struct test_heap *heap;
    uint64_t dropped;
    struct model_pane *panes;
    uint32_t pane_count;
    uint64_t expected_dropped;
};

static struct entity
entity_open(uint64_t window_ms, unsigned features)
{
    struct entity entity = {.test = make_shape(features, 0, 0), .heap = heap_open()};

    entity.shape = shape_for(&entity.test, window_ms);
    entity.panes = calloc(MODEL_PANES, sizeof *entity.panes);
    assert_non_null(entity.panes);
    return entity;
}

/* The shape points into the entity, which moves: call after every copy. */
static void
entity_bind(struct entity *entity)
{
    entity->shape.columns = entity->test.columns;
}

static void
entity_close(struct entity *entity)
{
    window_release(&entity->head, &entity->shape, &entity->heap->heap);
    heap_close(entity->heap);
    free(entity->panes);
}

static struct model_pane *
model_row(struct entity *entity, uint64_t now_ms)
{
    const uint64_t start_ms = now_ms / entity->shape.pane_ms * entity->shape.pane_ms;
    struct model_pane *last = &entity->panes[entity->pane_count - 1];

    if (entity->pane_count != 0 && last->start_ms == start_ms) {
        return last;
    }
    uint32_t kept = 0;

    for (uint32_t i = 0; i < entity->pane_count; i++) {
        if (now_ms - entity->panes[i].start_ms < entity->shape.window_ms) {
            if (kept != i) {
                entity->panes[kept] = entity->panes[i];
            }
            kept++;
        } else {
            entity->expected_dropped++;
        }
    }
    assert_true(kept < WINDOW_PANES_MAX);
    entity->pane_count = kept + 1;
    entity->panes[kept] = (struct model_pane){.start_ms = start_ms};
    return &entity->panes[kept];
}

static void
entity_push(struct entity *entity, uint64_t now_ms, uint32_t value)
{
    struct agg_heap *heap = &entity->heap->heap;
    struct model_pane *pane = model_row(entity, now_ms);
    uint8_t *row;

    window_prefetch(&entity->head, &entity->shape, heap);
    row = window_row(&entity->head, &entity->shape, now_ms, heap, &entity->dropped);
    assert_non_null(row);
    assert_int_equal((uintptr_t)row % 8, 0);
    for (uint32_t i = 0; i < entity->test.count; i++) {
        const uint32_t feature = entity->test.feature[i];
        uint8_t *state = row + entity->test.columns[i].offset;

        if (feature % 2 == 0) {
            store_le64(state, load_le64(state) + 1);
        } else {
            bag_add((struct bag *)(void *)state, value, heap);
        }
        assert_true(pane->count[feature] < 400);
        pane->values[feature][pane->count[feature]++] = value;
    }
    assert_true(entity->dropped == entity->expected_dropped);
    assert_int_equal(entity->head.count, entity->pane_count);
}

static void
check_read(const struct entity *entity, uint64_t query_ms, const uint64_t *wanted)
{
    uint64_t row[16];

    memset(row, 0x77, sizeof row);
    window_fold(row, &entity->head, &entity->shape, query_ms, wanted, &entity->heap->heap, NULL);
    for (uint32_t i = 0; i < entity->test.count; i++) {
        const uint32_t feature = entity->test.feature[i];
        const uint8_t *state = (const uint8_t *)row + entity->test.columns[i].offset;
        uint64_t count = 0;
        uint64_t order = 0;

        if (wanted != NULL && (*wanted >> i & 1) == 0) {
            continue;
        }
        for (uint32_t k = 0; k < entity->pane_count; k++) {
            const struct model_pane *pane = &entity->panes[k];

            if (pane->start_ms > query_ms || query_ms - pane->start_ms >= entity->shape.window_ms) {
                continue;
            }
            count += pane->count[feature];
            for (uint64_t v = 0; v < pane->count[feature]; v++) {
                order = order_add(order, pane->values[feature][v]);
            }
        }
        if (feature % 2 == 0) {
            assert_true(load_le64(state) == count);
        } else {
            struct bag folded;

            memcpy(&folded, state, sizeof folded);
            assert_true(folded.count == count);
            assert_true(folded.order == order);
        }
    }
}

static void
entity_reshape(struct entity *entity, unsigned features, unsigned turn, uint32_t gap)
{
    const struct test_shape test = make_shape(features, turn, gap);
    struct window_shape shape = shape_for(&test, entity->shape.window_ms);
    uint32_t from[FEATURES];

    for (uint32_t i = 0; i < test.count; i++) {
        from[i] = UINT32_MAX;
        for (uint32_t k = 0; k < entity->test.count; k++) {
            if (entity->test.feature[k] == test.feature[i]) {
                from[i] = k;
            }
        }
    }
    for (uint32_t feature = 0; feature < FEATURES; feature++) {
        for (uint32_t k = 0; k < entity->pane_count && (features >> feature & 1) == 0; k++) {
            entity->panes[k].count[feature] = 0;
        }
    }
    /* First without memory: nothing may change. */
    const struct window_head before = entity->head;
    const uint32_t live_count = entity->heap->live_count;

    entity->heap->fail_after = 0;
    if (!window_reshape(&entity->head, &entity->shape, &shape, from, &entity->heap->heap)) {
        assert_memory_equal(&before, &entity->head, sizeof before);
        assert_int_equal(entity->heap->live_count, live_count);
        entity->heap->fail_after = UINT32_MAX;
        assert_true(
            window_reshape(&entity->head, &entity->shape, &shape, from, &entity->heap->heap));
    }
    entity->heap->fail_after = UINT32_MAX;
    entity->test = test;
    entity->shape = shape;
    entity_bind(entity);
}

static uint64_t random_state;

static uint64_t
random_below(uint64_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 16) % bound;
}

static uint64_t
random_advance(uint64_t window_ms)
{
    switch (random_below(6)) {
    case 0:
    case 1:
        return 0;
    case 2:
        return random_below(3);
    case 3:
        return random_below(window_pane_ms(window_ms) * 2 + 1);
    case 4:
        return random_below(window_ms / 8 + 2);
    default:
        return random_below(40) == 0 ? random_below(window_ms * 2) : 1;
    }
}

static const uint64_t windows_ms[] = {1,   2,    63,    64,      65,       100,
                                      999, 1000, 60000, 3600000, 86400000, 30 * 86400000ull};

static void
test_random_streams_agree_with_a_simple_model(void **state)
{
    for (unsigned w = 0; w < sizeof windows_ms / sizeof windows_ms[0]; w++) {
        const uint64_t window_ms = windows_ms[w];
        struct entity entity = entity_open(window_ms, 15);
        uint64_t now_ms = w % 2 == 0 ? 0 : 1700000000000;

        entity_bind(&entity);
        random_state = w + 1;
        print_message("window of %llu ms, seed %u\n", (unsigned long long)window_ms, w + 1);
        for (uint32_t step = 0; step < 4000; step++) {
            const uint64_t wanted = random_below(16);

            now_ms += random_advance(window_ms);
            if (entity.pane_count == 0 || entity.panes[entity.pane_count - 1].count[0] < 300) {
                entity_push(&entity, now_ms, (uint32_t)random_below(UINT32_MAX));
            }
            check_read(&entity, now_ms, NULL);
            check_read(&entity, now_ms + random_below(window_ms * 2), &wanted);
            check_read(&entity, now_ms - (now_ms == 0 ? 0 : random_below(now_ms)), NULL);
            if (random_below(50) == 0) {
                entity_reshape(&entity, 1 + (unsigned)random_below(15), (unsigned)random_below(4),
                               8 * (uint32_t)random_below(2));
                check_read(&entity, now_ms, NULL);
            }
        }
        entity_close(&entity);
    }
}

/* operators.md 10.3, rows 1 to 3. */
static void
test_the_published_examples_hold(void **state)
{
    struct entity entity = entity_open(60000, 1);

    entity_bind(&entity);
    entity_push(&entity, 0, 1);
    entity_push(&entity, 900, 1);
    entity_push(&entity, 938, 1);
    const struct {
        uint64_t query_ms;
        uint64_t count;
    } minute[] = {{59999, 3}, {60000, 1}, {60937, 1}, {60938, 0}};

    for (unsigned i = 0; i < 4; i++) {
        uint64_t count;

        window_fold(&count, &entity.head, &entity.shape, minute[i].query_ms, NULL,
                    &entity.heap->heap, NULL);
        assert_true(count == minute[i].count);
    }
    entity_close(&entity);

    entity = entity_open(64, 1);
    entity_bind(&entity);
    for (uint64_t t = 0; t <= 64; t++) {
        entity_push(&entity, t, 1);
    }
    uint64_t count;

    window_fold(&count, &entity.head, &entity.shape, 64, NULL, &entity.heap->heap, NULL);
    assert_true(count == 64);
    assert_true(entity.dropped == 1);
    entity_close(&entity);

    entity = entity_open(64000, 1);
    entity_bind(&entity);
    entity_push(&entity, 0, 1);
    entity_push(&entity, 64001, 1);
    window_fold(&count, &entity.head, &entity.shape, 64001, NULL, &entity.heap->heap, NULL);
    assert_true(count == 1);
    assert_true(entity.dropped == 1);
    entity_close(&entity);
}

static void
test_time_that_goes_back_lands_in_the_newest_pane(void **state)
{
    struct entity entity = entity_open(60000, 1);
    void *row;
    uint64_t count;

    entity_bind(&entity);
    entity_push(&entity, 30000, 1);
    entity_push(&entity, 50000, 1);
    row = window_row(&entity.head, &entity.shape, 10000, &entity.heap->heap, &entity.dropped);
    store_le64(row, load_le64(row) + 1);
    assert_int_equal(entity.head.count, 2);
    assert_true(entity.dropped == 0);
    window_fold(&count, &entity.head, &entity.shape, 50000, NULL, &entity.heap->heap, NULL);
    assert_true(count == 3);
    entity_close(&entity);
}

static void
test_memory_follows_the_panes_that_have_events(void **state)
{
    struct entity entity = entity_open(64, 1);

    entity_bind(&entity);
    assert_int_equal(entity.heap->live_count, 0);
    for (uint64_t t = 0; t < 64; t++) {
        entity_push(&entity, t, 1);
    }
    assert_int_equal(entity.head.capacity, 64);
    entity_push(&entity, 1000, 1);
    assert_int_equal(entity.head.count, 1);
    assert_int_equal(entity.head.capacity, 1);
    assert_int_equal(entity.heap->live_count, 1);
    entity_close(&entity);
}

static void
test_a_pane_without_memory_is_refused_and_the_rest_stays(void **state)
{
    struct entity entity = entity_open(6400, 15);
    unsigned refusals = 0;

    entity_bind(&entity);
    for (uint64_t t = 0; t < 20000; t += 37) {
        struct agg_heap *heap = &entity.heap->heap;

        entity.heap->fail_after = 0;
        if (window_row(&entity.head, &entity.shape, t, heap, &entity.dropped) == NULL) {
            refusals++;
            entity.heap->fail_after = UINT32_MAX;
            /* The pane was not opened; those that count are all there. */
            const uint64_t expected_dropped = entity.dropped;

            model_row(&entity, t);
            entity.pane_count--;
            assert_true(entity.expected_dropped == expected_dropped);
            check_read(&entity, t, NULL);
        }
        entity.heap->fail_after = UINT32_MAX;
        entity_push(&entity, t, (uint32_t)t);
        check_read(&entity, t, NULL);
    }
    assert_true(refusals >= 7); /* 1, 2, 4 .. 64 */
    entity_close(&entity);
}

static struct buf
encoded(const struct entity *entity, uint64_t now_ms)
{
    struct buf out;

    buf_init(&out);
    window_encode(&out, &entity->head, &entity->shape, entity->test.order, now_ms,
                  &entity->heap->heap);
    assert_false(out.failed);
    return out;
}

static struct entity
entity_with_history(uint64_t *now_ms)
{
    struct entity entity = entity_open(6400, 15);

    entity_bind(&entity);
    *now_ms = 1700000000000;
    for (uint32_t i = 0; i < 90; i++) {
        *now_ms += i % 4 == 0 ? 230 : 31;
        entity_push(&entity, *now_ms, i);
    }
    return entity;
}

static void
test_equal_windows_of_different_layouts_encode_alike(void **state)
{
    uint64_t now_ms;
    struct entity entity = entity_with_history(&now_ms);

    entity_bind(&entity);
    struct buf first = encoded(&entity, now_ms);

    entity_reshape(&entity, 15, 3, 8);
    struct buf second = encoded(&entity, now_ms);

    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    /* Later, when panes have expired but none was dropped, only the active ones are written. */
    struct buf later = encoded(&entity, now_ms + 5000);
    struct buf last = encoded(&entity, now_ms + 6400);

    assert_true(later.size > 1 && later.size < first.size);
    assert_int_equal(last.size, 1);
    assert_int_equal(last.data[0], 0);
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&later);
    buf_deinit(&last);
    entity_close(&entity);
}

static void
test_decoding_gives_the_same_window_and_refuses_every_cut(void **state)
{
    uint64_t now_ms;
    struct entity entity = entity_with_history(&now_ms);

    entity_bind(&entity);
    struct buf bytes = encoded(&entity, now_ms);
    struct agg_heap *heap = &entity.heap->heap;
    const uint32_t live_count = entity.heap->live_count;
    const struct window_head empty = {0};
    size_t consumed = 0;

    for (size_t size = 0; size < bytes.size; size++) {
        struct window_head head = {0};

        assert_int_equal(window_decode(&head, &consumed, slice_of(bytes.data, size), &entity.shape,
                                       entity.test.order, heap, NULL),
                         BV_CORRUPT);
        assert_memory_equal(&head, &empty, sizeof head);
        assert_int_equal(entity.heap->live_count, live_count);
    }
    uint32_t refusals = 0;

    for (uint32_t nth = 0;; nth++) {
        struct window_head head = {0};

        entity.heap->fail_after = nth;
        if (window_decode(&head, &consumed, buf_slice(&bytes), &entity.shape, entity.test.order,
                          heap, NULL) == BV_OK) {
            entity.heap->fail_after = UINT32_MAX;
            window_release(&entity.head, &entity.shape, heap);
            entity.head = head;
            break;
        }
        refusals++;
        assert_memory_equal(&head, &empty, sizeof head);
        assert_int_equal(entity.heap->live_count, live_count);
    }
    assert_true(refusals > 10);
    assert_int_equal(consumed, bytes.size);
    struct buf again = encoded(&entity, now_ms);

    assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
    entity_push(&entity, now_ms + 1, 5);
    buf_deinit(&bytes);
    buf_deinit(&again);
    entity_close(&entity);
}

static void
test_panes_out_of_order_or_reach_are_corrupt(void **state)
{
    struct entity entity = entity_open(6400, 1);
    const uint64_t wrong[][2] = {{5, 5}, {5, 4}, {5, 5 + 64}, {5, UINT64_MAX}, {UINT64_MAX, 0}};
    size_t consumed = 0;

    entity_bind(&entity);
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf bytes;

        buf_init(&bytes);
        buf_byte(&bytes, 2);
        for (unsigned k = 0; k < 2; k++) {
            codec_put_u64(&bytes, wrong[i][k]);
            codec_put_u64(&bytes, 1);
        }
        assert_int_equal(window_decode(&entity.head, &consumed, buf_slice(&bytes), &entity.shape,
                                       entity.test.order, &entity.heap->heap, NULL),
                         BV_CORRUPT);
        buf_deinit(&bytes);
    }
    const uint8_t too_many = WINDOW_PANES_MAX + 1;

    assert_int_equal(window_decode(&entity.head, &consumed, slice_of(&too_many, 1), &entity.shape,
                                   entity.test.order, &entity.heap->heap, NULL),
                     BV_CORRUPT);
    entity_close(&entity);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_streams_agree_with_a_simple_model),
        cmocka_unit_test(test_the_published_examples_hold),
        cmocka_unit_test(test_time_that_goes_back_lands_in_the_newest_pane),
        cmocka_unit_test(test_memory_follows_the_panes_that_have_events),
        cmocka_unit_test(test_a_pane_without_memory_is_refused_and_the_rest_stays),
        cmocka_unit_test(test_equal_windows_of_different_layouts_encode_alike),
        cmocka_unit_test(test_decoding_gives_the_same_window_and_refuses_every_cut),
        cmocka_unit_test(test_panes_out_of_order_or_reach_are_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
