/* SPDX-License-Identifier: Apache-2.0 */
/* States side by side, as a snapshot writes and reads them.
 *
 * Enters:  a block or a row, and the runs that say what lies where in it.
 * Leaves:  its image, or the block again.
 * Owner:   whoever owns the block: the apply thread.
 *
 * Invariants
 *   (1) Runs do not overlap, so they can be read in any order.
 *   (2) A raw run is copied as it is: the chunk around it has a checksum, and whoever wrote it had
 *       the same accumulators in the same version. */
#include "agg/image.h"

void
image_run_add(struct image_run *runs, uint32_t *count, const struct agg_accumulator *accumulator,
              const void *config, uint32_t offset, uint32_t size)
{
    struct image_run *last = *count == 0 ? NULL : &runs[*count - 1];
    const bool is_raw = (accumulator->flags & AGG_OWNS_MEMORY) == 0;

    if (is_raw && last != NULL && last->encoded == NULL && last->offset + last->size == offset) {
        last->size += size;
        return;
    }
    runs[(*count)++] = (struct image_run){is_raw ? NULL : accumulator, config, offset, size};
}

void
image_write(struct buf *out, const uint8_t *state, const struct image_run *runs, uint32_t run_count,
            const struct agg_heap *heap)
{
    for (uint32_t i = 0; i < run_count; i++) {
        const struct image_run *run = &runs[i];

        if (run->encoded == NULL) {
            buf_append(out, state + run->offset, run->size);
            continue;
        }
        const size_t at = out->size;

        buf_append(out, "\0\0\0\0", 4);
        run->encoded->encode(out, state + run->offset, run->config, heap);
        if (!out->failed) {
            store_le32(out->data + at, (uint32_t)(out->size - at - 4));
        }
    }
}

static enum bv_status
run_read(uint8_t *state, struct codec_reader *reader, const struct image_run *run,
         struct agg_heap *heap, struct bv_error *err)
{
    const uint32_t size = run->encoded == NULL ? run->size : codec_take_u32(reader);
    const uint8_t *bytes = codec_take(reader, size);
    size_t used = 0;

    if (bytes == NULL) {
        return bv_error_set(err, BV_CORRUPT, "image: ends within a state of %u bytes", size);
    }
    if (run->encoded == NULL) {
        memcpy(state + run->offset, bytes, size);
        return BV_OK;
    }
    run->encoded->init(state + run->offset, run->config);
    enum bv_status status = run->encoded->decode(state + run->offset, &used, slice_of(bytes, size),
                                                 run->config, heap, err);

    if (status == BV_OK && used != size) {
        run->encoded->release(state + run->offset, run->config, heap);
        status = bv_error_set(err, BV_CORRUPT, "image: %s uses %zu of %u bytes", run->encoded->name,
                              used, size);
    }
    return status;
}

enum bv_status
image_read(uint8_t *state, struct codec_reader *reader, const struct image_run *runs,
           uint32_t run_count, struct agg_heap *heap, struct bv_error *err)
{
    for (uint32_t i = 0; i < run_count; i++) {
        const enum bv_status status = run_read(state, reader, &runs[i], heap, err);

        if (status != BV_OK) {
            image_release(state, runs, i, heap);
            return status;
        }
    }
    return BV_OK;
}

void
image_release(uint8_t *state, const struct image_run *runs, uint32_t run_count,
              struct agg_heap *heap)
{
    for (uint32_t i = 0; i < run_count; i++) {
        if (runs[i].encoded != NULL) {
            runs[i].encoded->release(state + runs[i].offset, runs[i].config, heap);
        }
    }
}
