/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_IMAGE_H
#define BV_AGG_IMAGE_H

#include "agg/codec.h"
#include "agg/op.h"

/* States as a snapshot has them (docs/formats.md 5.4): bytes as they are where nothing is owned,
 * the encoded form where something lies out of line. */

/* The version of every accumulator's bytes in an image, raw or encoded: formats.md 5.2. An
 * accumulator whose bytes change gets a number of its own. */
#define AGG_STATE_VERSION 1u

/* A piece of a block or of a window's row. Neighbours that are raw make one piece. */
struct image_run {
    const struct agg_accumulator *encoded; /* NULL: raw */
    const void *config;
    uint32_t offset;
    uint32_t size;
};

/* Adds a state to a list of runs with room for it. */
void image_run_add(struct image_run *runs, uint32_t *count,
                   const struct agg_accumulator *accumulator, const void *config, uint32_t offset,
                   uint32_t size);
void image_write(struct buf *out, const uint8_t *state, const struct image_run *runs,
                 uint32_t run_count, const struct agg_heap *heap);
/* The inverse; trusts nothing but raw bytes. When it fails, nothing that it read is owned. */
enum bv_status image_read(uint8_t *state, struct codec_reader *reader, const struct image_run *runs,
                          uint32_t run_count, struct agg_heap *heap, struct bv_error *err);
void image_release(uint8_t *state, const struct image_run *runs, uint32_t run_count,
                   struct agg_heap *heap);

#endif
