/* SPDX-License-Identifier: Apache-2.0 */
/* One list of panes per entity and window, shared by all features of that window.
 *
 * Enters:  the event's time, for the row it belongs to; a query time, for the fold of what counts.
 * Leaves:  rows; what they own is theirs until a pane is dropped or the window released.
 * Owner:   the apply thread, which owns the entity.
 *
 * Invariants
 *   (1) Panes stand in the circle from oldest (`first`) to newest, numbers strictly ascending.
 *   (2) All numbers lie within WINDOW_PANES_MAX of the newest, so their low 32 bits name them.
 *   (3) capacity is 0 or a power of two <= WINDOW_PANES_MAX; rows_ref is 0 exactly when it is 0.
 *   (4) A pane is dropped only when one is opened: reading never changes anything.
 *   (5) When memory is spent, what is left is a valid window with every active pane in it.
 *
 * Rules: operators.md 3.3 and 3.4, with W8 (expired panes go early) and W11 (time never goes back).
 * A ring of 64 rows from the start would need no growing and 5 KiB instead of 350 bytes for ten
 * columns; running totals drift and cannot serve min or sketches (engine.md 6). */
#include "agg/window.h"

#include <string.h>

#include "agg/codec.h"
#include "util/assert.h"

#define PANE_BYTES sizeof(uint32_t)

/* ---- where things lie ---- */

static size_t
panes_size(uint32_t capacity)
{
    return ((size_t)capacity * PANE_BYTES + 7) & ~(size_t)7;
}

static uint32_t
area_size(const struct window_shape *shape, uint32_t capacity)
{
    return (uint32_t)(panes_size(capacity) + (size_t)capacity * shape->row_size);
}

static uint32_t
slot_of(const struct window_head *head, uint32_t index)
{
    return (head->first + index) & (head->capacity - 1u);
}

static uint8_t *
row_in(uint8_t *area, uint32_t capacity, uint32_t slot, const struct window_shape *shape)
{
    return area + panes_size(capacity) + (size_t)slot * shape->row_size;
}

/* Row `index`, counted from the oldest. */
static uint8_t *
row_at(const struct window_head *head, const struct window_shape *shape,
       const struct agg_heap *heap, uint32_t index)
{
    uint8_t *area = agg_heap_at(heap, head->rows_ref);

    return row_in(area, head->capacity, slot_of(head, index), shape);
}

/* The whole number of pane `index`: invariant 2. */
static uint64_t
pane_at(const struct window_head *head, const struct agg_heap *heap, uint32_t index)
{
    const uint8_t *panes = agg_heap_at(heap, head->rows_ref);
    const uint32_t low = load_le32(panes + slot_of(head, index) * PANE_BYTES);

    return head->newest_pane - (uint32_t)((uint32_t)head->newest_pane - low);
}

static bool
is_active(const struct window_shape *shape, uint64_t pane, uint64_t query_ms)
{
    const uint64_t start_ms = pane * shape->pane_ms;

    return start_ms <= query_ms && query_ms - start_ms < shape->window_ms;
}

static uint32_t
capacity_for(uint32_t count)
{
    uint32_t capacity = 1;

    while (capacity < count) {
        capacity *= 2;
    }
    return capacity;
}

/* ---- rows ---- */

static void
row_init(uint8_t *row, const struct window_shape *shape)
{
    memset(row, 0, shape->row_size); /* gaps between columns too: rows are copied whole */
    for (uint32_t i = 0; i < shape->column_count; i++) {
        const struct window_column *column = &shape->columns[i];

        column->accumulator->init(row + column->offset, column->config);
    }
}

static void
column_release(uint8_t *row, const struct window_column *column, struct agg_heap *heap)
{
    if (column->accumulator->flags & AGG_OWNS_MEMORY) {
        column->accumulator->release(row + column->offset, column->config, heap);
    }
}

static void
row_release(uint8_t *row, const struct window_shape *shape, struct agg_heap *heap)
{
    if (!shape->owns_memory) {
        return;
    }
    for (uint32_t i = 0; i < shape->column_count; i++) {
        column_release(row, &shape->columns[i], heap);
    }
}

static void
area_release(struct window_head *head, const struct window_shape *shape, struct agg_heap *heap)
{
    if (head->capacity != 0) {
        heap->release(heap, head->rows_ref, area_size(shape, head->capacity));
    }
}

/* ---- opening a pane ---- */

static void
drop_oldest(struct window_head *head, const struct window_shape *shape, struct agg_heap *heap,
            uint64_t *dropped)
{
    row_release(row_at(head, shape, heap, 0), shape, heap);
    head->first = (uint8_t)slot_of(head, 1);
    head->count--;
    (*dropped)++;
}

static void
drop_expired(struct window_head *head, const struct window_shape *shape, uint64_t now_ms,
             struct agg_heap *heap, uint64_t *dropped)
{
    while (head->count != 0 && !is_active(shape, pane_at(head, heap, 0), now_ms)) {
        drop_oldest(head, shape, heap, dropped);
    }
}

/* Moves the rows, oldest first, to an area of another capacity. */
static bool
resize(struct window_head *head, const struct window_shape *shape, uint32_t capacity,
       struct agg_heap *heap)
{
    const uint32_t ref = heap->alloc(heap, area_size(shape, capacity));

    if (ref == 0) {
        return false;
    }
    uint8_t *area = agg_heap_at(heap, ref);

    for (uint32_t i = 0; i < head->count; i++) {
        store_le32(area + i * PANE_BYTES, (uint32_t)pane_at(head, heap, i));
        memcpy(row_in(area, capacity, i, shape), row_at(head, shape, heap, i), shape->row_size);
    }
    area_release(head, shape, heap);
    head->rows_ref = ref;
    head->capacity = (uint8_t)capacity;
    head->first = 0;
    return true;
}

/* Room for one more row. The area grows when it must and shrinks when three quarters are idle, so
 * that memory follows the panes that have events; a shrink that finds no memory can wait. */
static bool
make_room(struct window_head *head, const struct window_shape *shape, struct agg_heap *heap,
          uint64_t *dropped)
{
    if (head->count == WINDOW_PANES_MAX) {
        drop_oldest(head, shape, heap, dropped);
    }
    const uint32_t wanted = capacity_for(head->count + 1u);

    if (wanted > head->capacity) {
        return resize(head, shape, wanted, heap);
    }
    if (wanted * 4 <= head->capacity) {
        (void)resize(head, shape, wanted, heap);
    }
    return true;
}

__attribute__((noinline)) static void *
open_pane(struct window_head *head, const struct window_shape *shape, uint64_t now_ms,
          struct agg_heap *heap, uint64_t *dropped)
{
    const uint64_t pane = now_ms / shape->pane_ms;

    if (head->count != 0 && pane <= head->newest_pane) {
        return row_at(head, shape, heap, head->count - 1u); /* W11: time stood still instead */
    }
    drop_expired(head, shape, now_ms, heap, dropped);
    if (!make_room(head, shape, heap, dropped)) {
        return NULL;
    }
    const uint32_t index = head->count;
    uint8_t *row = row_at(head, shape, heap, index);
    uint8_t *panes = agg_heap_at(heap, head->rows_ref);

    row_init(row, shape);
    store_le32(panes + slot_of(head, index) * PANE_BYTES, (uint32_t)pane);
    head->newest_pane = pane;
    head->count++;
    return row;
}

void *
window_row(struct window_head *head, const struct window_shape *shape, uint64_t now_ms,
           struct agg_heap *heap, uint64_t *dropped)
{
    /* In all but one case per pane_ms: no division, one comparison that is always right. A time
     * before the pane wraps around and is sorted out above. */
    const uint64_t since_ms = now_ms - head->newest_pane * shape->pane_ms;

    if (BV_LIKELY(head->count != 0 && since_ms < shape->pane_ms)) {
        return row_at(head, shape, heap, head->count - 1u);
    }
    return open_pane(head, shape, now_ms, heap, dropped);
}

/* ---- reading ---- */

static bool
is_wanted(const uint64_t *wanted, uint32_t column)
{
    return wanted == NULL || (wanted[column / 64] >> (column % 64) & 1) != 0;
}

/* The panes that count at query_ms lie side by side: `first` is the oldest of them. */
static uint32_t
active_range(uint32_t *first, const struct window_head *head, const struct window_shape *shape,
             uint64_t query_ms, const struct agg_heap *heap)
{
    uint32_t count = 0;

    *first = 0;
    for (uint32_t i = 0; i < head->count; i++) {
        if (is_active(shape, pane_at(head, heap, i), query_ms)) {
            *first = count == 0 ? i : *first;
            count++;
        }
    }
    return count;
}

void
window_fold(void *into, const struct window_head *head, const struct window_shape *shape,
            uint64_t query_ms, const uint64_t *wanted, const struct agg_heap *heap,
            struct arena *arena)
{
    uint32_t first;
    const uint32_t count = active_range(&first, head, shape, query_ms, heap);

    if (count == 1) {
        /* Nothing to merge: a borrowed copy reads the same. */
        memcpy(into, row_at(head, shape, heap, first), shape->row_size);
        return;
    }
    /* By column, so that its merge and parameters stay at hand for up to 64 rows. */
    for (uint32_t i = 0; i < shape->column_count; i++) {
        const struct window_column *column = &shape->columns[i];
        uint8_t *state = (uint8_t *)into + column->offset;

        if (!is_wanted(wanted, i)) {
            continue;
        }
        column->accumulator->init(state, column->config);
        for (uint32_t k = first; k < first + count; k++) {
            column->accumulator->merge(state, row_at(head, shape, heap, k) + column->offset,
                                       column->config, heap, arena);
        }
    }
}

static void
view_fold(const struct agg_view *view, void *into)
{
    const struct window_view *self = (const struct window_view *)view;
    const struct window_column *column = &self->shape->columns[self->column];
    uint32_t first;
    const uint32_t count = active_range(&first, self->head, self->shape, self->now_ms, self->heap);

    column->accumulator->init(into, column->config);
    for (uint32_t k = first; k < first + count; k++) {
        column->accumulator->merge(into,
                                   row_at(self->head, self->shape, self->heap, k) + column->offset,
                                   column->config, self->heap, self->arena);
    }
}

static uint64_t
view_stands_until(const struct agg_view *view)
{
    const struct window_view *self = (const struct window_view *)view;
    uint32_t first;

    if (active_range(&first, self->head, self->shape, self->now_ms, self->heap) == 0) {
        return self->now_ms;
    }
    const uint64_t start_ms = pane_at(self->head, self->heap, first) * self->shape->pane_ms;

    return self->shape->window_ms > UINT64_MAX - start_ms ? UINT64_MAX
                                                          : start_ms + self->shape->window_ms;
}

void
window_view_init(struct window_view *out, const struct window_head *head,
                 const struct window_shape *shape, uint32_t column, uint64_t now_ms,
                 const struct agg_heap *heap, struct arena *arena)
{
    *out = (struct window_view){
        {view_fold, view_stands_until}, head, shape, column, now_ms, heap, arena};
}

/* ---- leaving and changing shape ---- */

void
window_release(struct window_head *head, const struct window_shape *shape, struct agg_heap *heap)
{
    for (uint32_t i = 0; i < head->count; i++) {
        row_release(row_at(head, shape, heap, i), shape, heap);
    }
    area_release(head, shape, heap);
    memset(head, 0, sizeof *head);
}

/* From this column to the next: at least its state, perhaps padding too. */
static uint32_t
column_extent(const struct window_shape *shape, uint32_t column)
{
    const uint32_t from = shape->columns[column].offset;
    uint32_t to = shape->row_size;

    for (uint32_t i = 0; i < shape->column_count; i++) {
        const uint32_t offset = shape->columns[i].offset;

        if (offset > from && offset < to) {
            to = offset;
        }
    }
    return to - from;
}

/* Column `column` of every new row: its old bytes, if it has any. Rows stand in order in `area`. */
static void
carry_column(uint8_t *area, uint32_t capacity, const struct window_shape *new_shape,
             uint32_t column, const struct window_head *head, const struct window_shape *old_shape,
             uint32_t old_column, const struct agg_heap *heap)
{
    const uint32_t new_extent = column_extent(new_shape, column);
    const uint32_t old_extent = column_extent(old_shape, old_column);
    /* Both hold the whole state, so the smaller does; the rest of the larger is padding. */
    const uint32_t size = new_extent < old_extent ? new_extent : old_extent;

    for (uint32_t i = 0; i < head->count; i++) {
        memcpy(row_in(area, capacity, i, new_shape) + new_shape->columns[column].offset,
               row_at(head, old_shape, heap, i) + old_shape->columns[old_column].offset, size);
    }
}

/* What no new column took over is freed. */
static void
release_left(const struct window_head *head, const struct window_shape *old_shape,
             const struct window_shape *new_shape, const uint32_t *from, struct agg_heap *heap)
{
    if (!old_shape->owns_memory) {
        return;
    }
    for (uint32_t i = 0; i < old_shape->column_count; i++) {
        bool is_carried = false;

        for (uint32_t k = 0; k < new_shape->column_count; k++) {
            is_carried = is_carried || from[k] == i;
        }
        for (uint32_t k = 0; k < head->count && !is_carried; k++) {
            column_release(row_at(head, old_shape, heap, k), &old_shape->columns[i], heap);
        }
    }
}

bool
window_reshape(struct window_head *head, const struct window_shape *old_shape,
               const struct window_shape *new_shape, const uint32_t *from, struct agg_heap *heap)
{
    BV_ASSERT(old_shape->window_ms == new_shape->window_ms);
    BV_ASSERT(old_shape->pane_ms == new_shape->pane_ms);
    if (head->count == 0) {
        window_release(head, old_shape, heap);
        return true;
    }
    const uint32_t capacity = capacity_for(head->count);
    const uint32_t ref = heap->alloc(heap, area_size(new_shape, capacity));

    if (ref == 0) {
        return false;
    }
    uint8_t *area = agg_heap_at(heap, ref);

    for (uint32_t i = 0; i < head->count; i++) {
        store_le32(area + i * PANE_BYTES, (uint32_t)pane_at(head, heap, i));
        row_init(row_in(area, capacity, i, new_shape), new_shape);
    }
    for (uint32_t i = 0; i < new_shape->column_count; i++) {
        if (from[i] != UINT32_MAX) {
            carry_column(area, capacity, new_shape, i, head, old_shape, from[i], heap);
        }
    }
    release_left(head, old_shape, new_shape, from, heap);
    area_release(head, old_shape, heap);
    head->rows_ref = ref;
    head->capacity = (uint8_t)capacity;
    head->first = 0;
    return true;
}

/* ---- snapshot and digest form: u8 count, then per pane u64 number and its columns ---- */

void
window_encode(struct buf *out, const struct window_head *head, const struct window_shape *shape,
              const uint32_t *column_order, uint64_t now_ms, const struct agg_heap *heap)
{
    uint32_t first;
    const uint32_t count = active_range(&first, head, shape, now_ms, heap);

    buf_byte(out, (uint8_t)count);
    for (uint32_t i = first; i < first + count; i++) {
        const uint8_t *row = row_at(head, shape, heap, i);

        codec_put_u64(out, pane_at(head, heap, i));
        for (uint32_t k = 0; k < shape->column_count; k++) {
            const struct window_column *column = &shape->columns[column_order[k]];

            column->accumulator->encode(out, row + column->offset, column->config, heap);
        }
    }
}

/* One column after the other; what a failed decode left in its state is not released, by contract.
 */
static enum bv_status
row_decode(uint8_t *row, struct codec_reader *reader, const struct window_shape *shape,
           const uint32_t *column_order, struct agg_heap *heap, struct bv_error *err)
{
    row_init(row, shape);
    for (uint32_t i = 0; i < shape->column_count; i++) {
        const struct window_column *column = &shape->columns[column_order[i]];
        const struct slice rest =
            slice_of(reader->bytes.data + reader->position, reader->bytes.size - reader->position);
        size_t used = 0;
        enum bv_status status = column->accumulator->decode(row + column->offset, &used, rest,
                                                            column->config, heap, err);

        if (status != BV_OK) {
            for (uint32_t k = 0; k < i; k++) {
                column_release(row, &shape->columns[column_order[k]], heap);
            }
            return status;
        }
        BV_ASSERT(used <= rest.size);
        reader->position += used;
    }
    return BV_OK;
}

/* Pane numbers must rise within reach of each other: invariants 1 and 2. */
static bool
pane_fits(const struct window_head *head, const struct window_shape *shape, uint64_t oldest,
          uint64_t pane)
{
    if (pane > UINT64_MAX / shape->pane_ms) {
        return false;
    }
    return head->count == 0 || (pane > head->newest_pane && pane - oldest < WINDOW_PANES_MAX);
}

/* Room for so many panes in a window without any. */
static enum bv_status
open_area(struct window_head *head, const struct window_shape *shape, uint32_t count,
          const struct codec_reader *reader, struct agg_heap *heap, struct bv_error *err)
{
    if (reader->is_short || count > WINDOW_PANES_MAX) {
        return bv_error_set(err, BV_CORRUPT, "window: %u panes, %d at most", count,
                            WINDOW_PANES_MAX);
    }
    if (count != 0 && !resize(head, shape, capacity_for(count), heap)) {
        return bv_error_set(err, BV_NO_MEMORY, "window of %u panes", count);
    }
    return BV_OK;
}

/* The number of the next pane, behind those that are there. */
static enum bv_status
take_pane(uint64_t *out, struct codec_reader *reader, const struct window_head *head,
          const struct window_shape *shape, const struct agg_heap *heap, struct bv_error *err)
{
    const uint64_t oldest = head->count == 0 ? 0 : pane_at(head, heap, 0);

    *out = codec_take_u64(reader);
    return reader->is_short || !pane_fits(head, shape, oldest, *out)
               ? bv_error_set(err, BV_CORRUPT, "window: pane %u is out of order", head->count)
               : BV_OK;
}

/* The next row is filled: it counts. */
static void
add_pane(struct window_head *head, uint64_t pane, const struct agg_heap *heap)
{
    store_le32((uint8_t *)agg_heap_at(heap, head->rows_ref) + head->count * PANE_BYTES,
               (uint32_t)pane);
    head->newest_pane = pane;
    head->count++;
}

enum bv_status
window_decode(struct window_head *head, size_t *consumed, struct slice bytes,
              const struct window_shape *shape, const uint32_t *column_order, struct agg_heap *heap,
              struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    const uint32_t count = codec_take_u8(&reader);
    enum bv_status status = open_area(head, shape, count, &reader, heap, err);

    for (uint32_t i = 0; status == BV_OK && i < count; i++) {
        uint64_t pane;

        status = take_pane(&pane, &reader, head, shape, heap, err);
        if (status == BV_OK) {
            status =
                row_decode(row_at(head, shape, heap, i), &reader, shape, column_order, heap, err);
        }
        if (status == BV_OK) {
            add_pane(head, pane, heap);
        }
    }
    if (status != BV_OK) {
        window_release(head, shape, heap);
        return status;
    }
    *consumed = reader.position;
    return BV_OK;
}

/* ---- images ---- */

void
window_image_write(struct buf *out, const struct window_head *head,
                   const struct window_shape *shape, const struct image_run *runs,
                   uint32_t run_count, uint64_t now_ms, const struct agg_heap *heap)
{
    uint32_t first;
    const uint32_t count = active_range(&first, head, shape, now_ms, heap);

    buf_byte(out, (uint8_t)count);
    for (uint32_t i = first; i < first + count; i++) {
        codec_put_u64(out, pane_at(head, heap, i));
        image_write(out, row_at(head, shape, heap, i), runs, run_count, heap);
    }
}

enum bv_status
window_image_read(struct window_head *head, struct codec_reader *reader,
                  const struct window_shape *shape, const struct image_run *runs,
                  uint32_t run_count, struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t count = codec_take_u8(reader);
    enum bv_status status = open_area(head, shape, count, reader, heap, err);

    for (uint32_t i = 0; status == BV_OK && i < count; i++) {
        uint64_t pane;

        status = take_pane(&pane, reader, head, shape, heap, err);
        if (status == BV_OK) {
            uint8_t *row = row_at(head, shape, heap, i);

            memset(row, 0, shape->row_size);
            status = image_read(row, reader, runs, run_count, heap, err);
        }
        if (status == BV_OK) {
            add_pane(head, pane, heap);
        }
    }
    if (status != BV_OK) {
        window_release(head, shape, heap);
    }
    return status;
}
