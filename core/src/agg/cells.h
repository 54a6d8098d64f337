/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_CELLS_H
#define BV_AGG_CELLS_H

#include "agg/codec.h"
#include "agg/op.h"
#include "util/arena.h"

/* Counters of a fixed number of cells, as large as what they hold: nothing or one cell lies inline,
 * few cells as a sorted list, many as an array of the narrowest integers that fit. All bytes zero =
 * nothing counted. Which form it has is no part of its value. */

#define CELLS_MAX       131072u                   /* the number of a cell fits an entry */
#define CELLS_COUNT_MAX ((UINT64_C(1) << 47) - 1) /* then a counter stays */

struct cells_state {
    uint64_t only; /* one cell: its entry, count above number */
    uint32_t ref;
    uint16_t used; /* entries of a list */
    uint8_t form;
    uint8_t log2; /* capacity of a list; bytes of a counter in an array */
};

_Static_assert(sizeof(struct cells_state) == 16, "part of the entity block's layout");

/* Nothing was counted. */
static inline bool
cells_are_empty(const struct cells_state *cells)
{
    return cells->only == 0 && cells->ref == 0;
}

/* One more in `cell`, of `cell_count` cells. When memory is spent it is not counted. */
void cells_add(struct cells_state *cells, uint32_t cell_count, uint32_t cell,
               struct agg_heap *heap);
/* All counters, cell_count of them, in the arena; NULL when that is spent. */
uint64_t *cells_read(const struct cells_state *cells, uint32_t cell_count,
                     const struct agg_heap *heap, struct arena *arena);
void cells_release(struct cells_state *cells, uint32_t cell_count, struct agg_heap *heap);

/* Without a version byte of their own. Decoding sets *is_sound to false for what no encoder writes.
 * BV_NO_MEMORY, else BV_OK; nothing to release unless BV_OK and sound. */
void cells_encode(struct buf *out, const struct cells_state *cells, uint32_t cell_count,
                  const struct agg_heap *heap);
enum bv_status cells_decode(struct cells_state *cells, struct codec_reader *reader, bool *is_sound,
                            uint32_t cell_count, struct agg_heap *heap, struct bv_error *err);

/* ---- for accumulators that are nothing else ---- */

uint32_t cells_state_size(const void *config, enum field_type input_type);
void cells_init(void *state, const void *config);
void cells_encode_state(struct buf *out, const void *state, uint32_t cell_count,
                        const struct agg_heap *heap);
enum bv_status cells_decode_state(void *state, size_t *consumed, struct slice bytes,
                                  uint32_t cell_count, const char *what, struct agg_heap *heap,
                                  struct bv_error *err);

#endif
