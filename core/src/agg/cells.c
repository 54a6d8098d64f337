/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of many cells of which few are used, or all.
 *
 * Enters:  numbers of cells, one per event.
 * Leaves:  all counters, for a reader.
 * Owner:   the state that holds them; lists and arrays lie in the entity's heap.
 *
 * Invariants
 *   (1) A list is sorted by cell and has no zero counter; its capacity is a power of two.
 *   (2) A list is never as large as the array would be; an array never shrinks.
 *   (3) When memory is spent the counters stay as they are.
 */
#include "agg/cells.h"

#define CELL_BITS     17
#define CELL_MASK     (CELLS_MAX - 1)
#define LIST_LOG2_MIN 2

enum cells_form { CELLS_ONE, CELLS_LIST, CELLS_ARRAY };

static uint32_t
cell_of(uint64_t entry)
{
    return (uint32_t)(entry & CELL_MASK);
}

static uint64_t
count_of(uint64_t entry)
{
    return entry >> CELL_BITS;
}

static uint64_t
entry_of(uint32_t cell, uint64_t count)
{
    return count << CELL_BITS | cell;
}

static uint32_t
list_size(uint8_t log2)
{
    return (uint32_t)sizeof(uint64_t) << log2;
}

static uint64_t *
list_at(const struct cells_state *cells, const struct agg_heap *heap)
{
    return (uint64_t *)agg_heap_at(heap, cells->ref);
}

/* ---- arrays: counters of 1, 2, 4 or 8 bytes ---- */

static uint64_t
counter_max(uint8_t width)
{
    return width == 8 ? CELLS_COUNT_MAX : (UINT64_C(1) << (width * 8)) - 1;
}

static uint8_t
width_for(uint64_t count)
{
    uint8_t width = 1;

    while (count > counter_max(width)) {
        width = (uint8_t)(width * 2);
    }
    return width;
}

static uint64_t
counter_get(const uint8_t *array, uint8_t width, uint32_t cell)
{
    switch (width) {
    case 1:
        return array[cell];
    case 2:
        return ((const uint16_t *)(const void *)array)[cell];
    case 4:
        return ((const uint32_t *)(const void *)array)[cell];
    default:
        return ((const uint64_t *)(const void *)array)[cell];
    }
}

static void
counter_set(uint8_t *array, uint8_t width, uint32_t cell, uint64_t count)
{
    switch (width) {
    case 1:
        array[cell] = (uint8_t)count;
        break;
    case 2:
        ((uint16_t *)(void *)array)[cell] = (uint16_t)count;
        break;
    case 4:
        ((uint32_t *)(void *)array)[cell] = (uint32_t)count;
        break;
    default:
        ((uint64_t *)(void *)array)[cell] = count;
    }
}

static uint64_t
cells_get(const struct cells_state *cells, uint32_t cell, const struct agg_heap *heap)
{
    return counter_get((const uint8_t *)agg_heap_at(heap, cells->ref), cells->log2, cell);
}

/* An array of all zeros in place of what `cells` had, which the caller still holds and frees. */
static bool
array_begin(struct cells_state *out, uint32_t cell_count, uint8_t width, struct agg_heap *heap)
{
    *out = (struct cells_state){.form = CELLS_ARRAY, .log2 = width};
    out->ref = heap->alloc(heap, cell_count * width);
    if (out->ref == 0) {
        return false;
    }
    memset(agg_heap_at(heap, out->ref), 0, (size_t)cell_count * width);
    return true;
}

static uint64_t
sum_of(uint64_t count, uint64_t more)
{
    return more < CELLS_COUNT_MAX - count ? count + more : CELLS_COUNT_MAX;
}

static bool
array_widen(struct cells_state *cells, uint32_t cell_count, uint8_t width, struct agg_heap *heap)
{
    struct cells_state wider;

    if (!array_begin(&wider, cell_count, width, heap)) {
        return false;
    }
    uint8_t *array = (uint8_t *)agg_heap_at(heap, wider.ref);

    for (uint32_t i = 0; i < cell_count; i++) {
        counter_set(array, width, i, cells_get(cells, i, heap));
    }
    cells_release(cells, cell_count, heap);
    *cells = wider;
    return true;
}

static bool
array_add(struct cells_state *cells, uint32_t cell_count, uint32_t cell, uint64_t more,
          struct agg_heap *heap)
{
    const uint64_t count = sum_of(cells_get(cells, cell, heap), more);

    if (count > counter_max(cells->log2) &&
        !array_widen(cells, cell_count, width_for(count), heap)) {
        return false;
    }
    counter_set((uint8_t *)agg_heap_at(heap, cells->ref), cells->log2, cell, count);
    return true;
}

/* ---- lists ---- */

/* The first entry whose cell is not below. */
static uint32_t
list_search(const uint64_t *list, uint32_t used, uint32_t cell)
{
    uint32_t first = 0;

    while (used > 0) {
        const uint32_t half = used / 2;
        const bool is_below = cell_of(list[first + half]) < cell;

        first = is_below ? first + half + 1 : first;
        used = is_below ? used - half - 1 : half;
    }
    return first;
}

static enum cells_form
form_for(uint8_t *log2, uint32_t used, uint64_t largest, uint32_t cell_count)
{
    const uint8_t width = width_for(largest);

    *log2 = LIST_LOG2_MIN;
    while (UINT32_C(1) << *log2 < used) {
        (*log2)++;
    }
    if (list_size(*log2) < cell_count * width) {
        return CELLS_LIST;
    }
    *log2 = width;
    return CELLS_ARRAY;
}

/* The entries and a new one, which belongs before the one at `at`, in a larger form. */
static bool
grow(struct cells_state *cells, uint32_t cell_count, const uint64_t *entries, uint32_t used,
     uint32_t at, uint64_t entry, struct agg_heap *heap)
{
    struct cells_state larger;
    uint64_t largest = count_of(entry);
    uint8_t log2;

    for (uint32_t i = 0; i < used; i++) {
        largest = count_of(entries[i]) > largest ? count_of(entries[i]) : largest;
    }
    if (form_for(&log2, used + 1, largest, cell_count) == CELLS_ARRAY) {
        if (!array_begin(&larger, cell_count, log2, heap)) {
            return false;
        }
        uint8_t *array = (uint8_t *)agg_heap_at(heap, larger.ref);

        for (uint32_t i = 0; i < used; i++) {
            counter_set(array, log2, cell_of(entries[i]), count_of(entries[i]));
        }
        counter_set(array, log2, cell_of(entry), count_of(entry));
    } else {
        larger =
            (struct cells_state){.form = CELLS_LIST, .log2 = log2, .used = (uint16_t)(used + 1)};
        larger.ref = heap->alloc(heap, list_size(log2));
        if (larger.ref == 0) {
            return false;
        }
        uint64_t *list = list_at(&larger, heap);

        memcpy(list, entries, at * sizeof *list);
        list[at] = entry;
        memcpy(list + at + 1, entries + at, (used - at) * sizeof *list);
    }
    cells_release(cells, cell_count, heap);
    *cells = larger;
    return true;
}

static bool
list_add(struct cells_state *cells, uint32_t cell_count, uint32_t cell, uint64_t more,
         struct agg_heap *heap)
{
    uint64_t *list = list_at(cells, heap);
    const uint32_t at = list_search(list, cells->used, cell);

    if (at < cells->used && cell_of(list[at]) == cell) {
        list[at] = entry_of(cell, sum_of(count_of(list[at]), more));
        return true;
    }
    if (cells->used == 1u << cells->log2) {
        return grow(cells, cell_count, list, cells->used, at, entry_of(cell, more), heap);
    }
    memmove(list + at + 1, list + at, (cells->used - at) * sizeof *list);
    list[at] = entry_of(cell, more);
    cells->used++;
    return true;
}

/* ---- any form ---- */

static inline bool
add(struct cells_state *cells, uint32_t cell_count, uint32_t cell, uint64_t more,
    struct agg_heap *heap)
{
    if (cells->form == CELLS_ARRAY) {
        return array_add(cells, cell_count, cell, more, heap);
    }
    if (cells->form == CELLS_LIST) {
        return list_add(cells, cell_count, cell, more, heap);
    }
    if (cells->only != 0 && cell_of(cells->only) != cell) {
        const uint64_t only = cells->only;

        return grow(cells, cell_count, &only, 1, cell_of(only) < cell, entry_of(cell, more), heap);
    }
    cells->only = entry_of(cell, sum_of(count_of(cells->only), more));
    return true;
}

void
cells_add(struct cells_state *cells, uint32_t cell_count, uint32_t cell, struct agg_heap *heap)
{
    add(cells, cell_count, cell, 1, heap);
}

uint64_t *
cells_read(const struct cells_state *cells, uint32_t cell_count, const struct agg_heap *heap,
           struct arena *arena)
{
    uint64_t *out = (uint64_t *)arena_alloc(arena, (cell_count + 1u) * sizeof *out);

    if (out == NULL) {
        return NULL;
    }
    if (cells->form == CELLS_ARRAY) {
        for (uint32_t i = 0; i < cell_count; i++) {
            out[i] = cells_get(cells, i, heap);
        }
        return out;
    }
    const uint64_t *list = cells->form == CELLS_LIST ? list_at(cells, heap) : &cells->only;
    const uint32_t used = cells->form == CELLS_LIST ? cells->used : cells->only != 0;

    memset(out, 0, cell_count * sizeof *out);
    for (uint32_t i = 0; i < used; i++) {
        out[cell_of(list[i])] = count_of(list[i]);
    }
    return out;
}

void
cells_release(struct cells_state *cells, uint32_t cell_count, struct agg_heap *heap)
{
    if (cells->form == CELLS_ARRAY) {
        heap->release(heap, cells->ref, cell_count * cells->log2);
    } else if (cells->form == CELLS_LIST) {
        heap->release(heap, cells->ref, list_size(cells->log2));
    }
    *cells = (struct cells_state){0};
}

/* ---- snapshot and digest form: u32 number of entries, then the entries by cell ---- */

static void
put_u32(struct buf *out, uint32_t v)
{
    uint8_t bytes[4];

    store_le32(bytes, v);
    buf_append(out, bytes, sizeof bytes);
}

void
cells_encode(struct buf *out, const struct cells_state *cells, uint32_t cell_count,
             const struct agg_heap *heap)
{
    uint32_t used = 0;

    if (cells->form == CELLS_ONE) {
        put_u32(out, cells->only != 0);
        if (cells->only != 0) {
            codec_put_u64(out, cells->only);
        }
        return;
    }
    if (cells->form == CELLS_LIST) {
        put_u32(out, cells->used);
        for (uint32_t i = 0; i < cells->used; i++) {
            codec_put_u64(out, list_at(cells, heap)[i]);
        }
        return;
    }
    for (uint32_t i = 0; i < cell_count; i++) {
        used += cells_get(cells, i, heap) != 0;
    }
    put_u32(out, used);
    for (uint32_t i = 0; i < cell_count; i++) {
        if (cells_get(cells, i, heap) != 0) {
            codec_put_u64(out, entry_of(i, cells_get(cells, i, heap)));
        }
    }
}

enum bv_status
cells_decode(struct cells_state *cells, struct codec_reader *reader, bool *is_sound,
             uint32_t cell_count, struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t used = codec_take_u32(reader);
    enum bv_status status = BV_OK;
    uint32_t next = 0;

    *cells = (struct cells_state){0};
    for (uint32_t i = 0; i < used && *is_sound && !reader->is_short && status == BV_OK; i++) {
        const uint64_t entry = codec_take_u64(reader);
        const uint32_t cell = cell_of(entry);

        *is_sound = reader->is_short || (cell >= next && cell < cell_count && count_of(entry) != 0);
        next = cell + 1;
        if (*is_sound && !reader->is_short &&
            !add(cells, cell_count, cell, count_of(entry), heap)) {
            status = bv_error_set(err, BV_NO_MEMORY, "counters of %u cells", used);
        }
    }
    if (status != BV_OK || reader->is_short || !*is_sound) {
        cells_release(cells, cell_count, heap);
    }
    return status;
}

/* ---- for accumulators that are nothing else ---- */

#define VERSION 1

uint32_t
cells_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct cells_state);
}

void
cells_init(void *state, const void *config)
{
    *(struct cells_state *)state = (struct cells_state){0};
}

void
cells_encode_state(struct buf *out, const void *state, uint32_t cell_count,
                   const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    cells_encode(out, (const struct cells_state *)state, cell_count, heap);
}

enum bv_status
cells_decode_state(void *state, size_t *consumed, struct slice bytes, uint32_t cell_count,
                   const char *what, struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    const enum bv_status status =
        cells_decode((struct cells_state *)state, &reader, &is_sound, cell_count, heap, err);

    return status == BV_OK ? codec_finish(&reader, consumed, what, is_sound, err) : status;
}
