/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_WINDOW_H
#define BV_AGG_WINDOW_H

#include "agg/image.h"
#include "agg/op.h"

/* Buckets over time, shared by every windowed feature of one table and one window length.
 *
 * A window of W ms has panes of b = ceil(W / 64) ms aligned to the epoch (operators.md 3.3). Each
 * entity keeps one pane list per window: a 16-byte head in its block and, out of line, a circle of
 * rows; a row holds all accumulators of that window side by side. At most 64 panes are live.
 *
 * A pane is active at Q iff 0 <= Q - start < W. Panes that are no longer active at the time of an
 * update that opens a new one are dropped. */

#define WINDOW_PANES_MAX 64

/* In the block; all zero = no pane. */
struct window_head {
    uint64_t newest_pane; /* number of the newest pane: start / pane_ms */
    uint32_t rows_ref;    /* u32 pane[capacity] (low 32 bits), pad to 8, then row[capacity] */
    uint8_t count;
    uint8_t capacity; /* 0, 1, 2, 4 ... 64 */
    uint8_t first;    /* index of the oldest row in the circle */
    uint8_t flags;
};

_Static_assert(sizeof(struct window_head) == 16, "part of the entity block's layout");

/* One accumulator of a row. */
struct window_column {
    const struct agg_accumulator *accumulator;
    const void *config;
    uint32_t offset; /* in the row */
};

/* Computed by the plan; the same for all entities of a table. */
struct window_shape {
    uint64_t window_ms;
    uint64_t pane_ms;
    uint32_t row_size; /* multiple of 8 */
    const struct window_column *columns;
    uint32_t column_count;
    bool owns_memory; /* some column has AGG_OWNS_MEMORY */
    bool sees_window; /* some column has AGG_SEES_WINDOW */
};

static inline uint64_t
window_pane_ms(uint64_t window_ms)
{
    return window_ms / WINDOW_PANES_MAX + (window_ms % WINDOW_PANES_MAX != 0);
}

/* The row of the pane that now_ms falls into, opened (all columns initialised) when it is not
 * there; NULL when memory is spent. now_ms never goes back for one entity. *dropped grows by the
 * panes discarded. */
void *window_row(struct window_head *head, const struct window_shape *shape, uint64_t now_ms,
                 struct agg_heap *heap, uint64_t *dropped);

/* Fetches the newest row into the cache, ahead of window_row. The head must be near already. */
static inline void
window_prefetch(const struct window_head *head, const struct window_shape *shape,
                const struct agg_heap *heap)
{
    const uint32_t newest = (head->first + head->count - 1u) & (head->capacity - 1u);

    if (head->count != 0) {
        __builtin_prefetch((const uint8_t *)agg_heap_at(heap, head->rows_ref) +
                               (((size_t)head->capacity * 4 + 7) & ~(size_t)7) +
                               (size_t)newest * shape->row_size,
                           1);
    }
}

/* Folds the active panes at query_ms, oldest first, into `into` (row_size bytes, initialised here).
 * Only columns whose bit is set in `wanted` (by index, NULL = all) need be right. */
void window_fold(void *into, const struct window_head *head, const struct window_shape *shape,
                 uint64_t query_ms, const uint64_t *wanted, const struct agg_heap *heap,
                 struct arena *arena);

/* What an update of AGG_SEES_WINDOW is shown: one column of the panes active at now_ms. */
struct window_view {
    struct agg_view view; /* first */
    const struct window_head *head;
    const struct window_shape *shape;
    uint32_t column;
    uint64_t now_ms;
    const struct agg_heap *heap;
    struct arena *arena;
};

void window_view_init(struct window_view *out, const struct window_head *head,
                      const struct window_shape *shape, uint32_t column, uint64_t now_ms,
                      const struct agg_heap *heap, struct arena *arena);

/* Frees every row and all they own. */
void window_release(struct window_head *head, const struct window_shape *shape,
                    struct agg_heap *heap);

/* Rewrites the rows for a new shape of the same window: column i of the new shape takes the bytes
 * of column from[i] of the old one, or the empty state where from[i] is UINT32_MAX. False when
 * memory is spent (the head is then unchanged). Old rows are freed without releasing what moved. */
bool window_reshape(struct window_head *head, const struct window_shape *old_shape,
                    const struct window_shape *new_shape, const uint32_t *from,
                    struct agg_heap *heap);

/* Snapshot and digest form of all panes that are active at now_ms, by pane number ascending. The
 * columns are visited in the order given, so that equal states of different layouts are equal. */
void window_encode(struct buf *out, const struct window_head *head,
                   const struct window_shape *shape, const uint32_t *column_order, uint64_t now_ms,
                   const struct agg_heap *heap);

/* The inverse; trusts nothing. *head must be all zero, and stays so unless BV_OK is returned;
 * BV_CORRUPT, BV_NO_MEMORY. *consumed bytes are used. */
enum bv_status window_decode(struct window_head *head, size_t *consumed, struct slice bytes,
                             const struct window_shape *shape, const uint32_t *column_order,
                             struct agg_heap *heap, struct bv_error *err);

/* The image of the panes active at now_ms (docs/formats.md 5.4): each row is its runs. */
void window_image_write(struct buf *out, const struct window_head *head,
                        const struct window_shape *shape, const struct image_run *runs,
                        uint32_t run_count, uint64_t now_ms, const struct agg_heap *heap);
/* The inverse, under the rules of window_decode. */
enum bv_status window_image_read(struct window_head *head, struct codec_reader *reader,
                                 const struct window_shape *shape, const struct image_run *runs,
                                 uint32_t run_count, struct agg_heap *heap, struct bv_error *err);

#endif
