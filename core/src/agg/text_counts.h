/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_TEXT_COUNTS_H
#define BV_AGG_TEXT_COUNTS_H

#include "agg/codec.h"
#include "agg/op.h"

/* How often each of a bounded number of texts came. The texts are kept, because they are read. All
 * bytes zero = none. */
struct text_counts {
    uint32_t ref;  /* a hash table of 2^log2 slots, 0: none */
    uint32_t used; /* texts */
    uint8_t log2;
    uint8_t pad[7];
};

/* One text and its count, for a reader; the text is borrowed. */
struct text_count {
    struct slice text;
    uint64_t count;
};

/* One more of this text. A new one is dropped when there are `limit`, or when memory is spent. */
void text_counts_add(struct text_counts *counts, struct slice text, uint32_t limit,
                     struct agg_heap *heap);
/* All of them, by text, into out[counts->used]. */
void text_counts_list(struct text_count *out, const struct text_counts *counts,
                      const struct agg_heap *heap);
void text_counts_release(struct text_counts *counts, struct agg_heap *heap);

/* Without a version byte of their own. Decoding sets *is_sound to false for what no encoder writes.
 * BV_NO_MEMORY, else BV_OK; nothing to release unless BV_OK and sound. */
void text_counts_encode(struct buf *out, const struct text_counts *counts,
                        const struct agg_heap *heap);
enum bv_status text_counts_decode(struct text_counts *counts, struct codec_reader *reader,
                                  bool *is_sound, uint32_t limit, struct agg_heap *heap,
                                  struct bv_error *err);

#endif
