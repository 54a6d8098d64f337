/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_SKETCH_SPACE_SAVING_H
#define BV_AGG_SKETCH_SPACE_SAVING_H

#include "agg/op.h"
#include "agg/sketch/block.h"
#include "agg/stored_value.h"

/* The values that came most often, with their counts.
 *
 * A. Metwally, D. Agrawal, A. El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
 * Data Streams", ICDT 2005: 1024 counters; a value that finds none free takes over the least one
 * and counts on from there.
 *
 * Error: none up to 1024 distinct values. Beyond, with N values seen, a count is never too small
 * and too large by at most N / 1024, with certainty; a value that is missing came at most N / 1024
 * times. (Count-Min of 2048 x 4, as published, errs by 2.718 N / 2048 = N / 753 with probability
 * 98 % and takes 64 KiB; this takes 32 KiB and the texts.)
 *
 * Folding panes: a pane that has evicted vouches for its least evicted count, its `floor`, for
 * every value it does not hold. Sums of such estimates err by at most the sum of N_i / 1024, which
 * is N / 1024 again (P. Agarwal et al., "Mergeable Summaries", 2012, without cutting back to 1024,
 * as a fold is read and dropped). */

#define SPACE_SAVING_MAX  1024
#define SPACE_SAVING_LOG2 10

struct space_entry {
    struct stored_value value;
    uint64_t count;
};

struct space_saving {
    uint64_t where;  /* of the entries and their index, 0: none yet; in a fold, of a space_fold */
    uint32_t count;  /* entries */
    uint16_t cursor; /* where the search for the least counter goes on */
    uint8_t log2;    /* of the capacity */
    uint8_t pad;
};

/* A value as it identifies itself, and what it is shown as. */
struct space_item {
    struct value value; /* str, int, float (no -0.0, one NaN) or bool */
    bool is_numeric;    /* int and float are one type */
};

/* False when memory is spent: nothing has changed. */
bool space_saving_add(struct space_saving *s, const struct space_item *item, struct agg_heap *heap);
void space_saving_release(struct space_saving *s, struct agg_heap *heap);
/* s := s, then from; s becomes a fold. */
void space_saving_fold(struct space_saving *s, const struct space_saving *from, bool is_numeric,
                       const struct agg_heap *heap, struct arena *arena);

/* The entries, and what has to be added to each count. */
const struct space_entry *space_saving_entries(const struct space_saving *s, uint64_t *base,
                                               const struct agg_heap *heap);

void space_saving_encode(struct buf *out, const struct space_saving *s,
                         const struct agg_heap *heap);
struct codec_reader;
/* Sets *is_sound to false for what no encoder writes. BV_NO_MEMORY, else BV_OK. */
enum bv_status space_saving_decode(struct space_saving *s, struct codec_reader *reader,
                                   bool *is_sound, bool is_numeric, struct agg_heap *heap,
                                   struct bv_error *err);

#endif
