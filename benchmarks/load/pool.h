/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_POOL_H
#define BEAVA_LOAD_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "pipeline.h"

/* Requests in the order of sending, encoded before the clock starts.
 *
 * Enters:  the pipeline's event and the options' shapes.
 * Leaves:  one run of bytes; frame i is [offsets[i], offsets[i + 1]), so any stretch of frames is
 *          one write.
 * Owner:   the run; connections read different parts of it.
 *
 * Invariants
 *   (1) Same options, same bytes.
 *   (2) The pool holds enough different keys not to fit a cache that the entities would not. */
#define POOL_BYTES_MAX (UINT64_C(2) << 30)

struct pool {
    char *bytes;
    uint32_t *offsets;
    uint64_t count;
};

/* Pushes: `count` frames, fewer when POOL_BYTES_MAX is reached. */
bool pool_encode_pushes(struct pool *out, const struct options *options,
                        const struct pipeline *pipeline, uint64_t count);
/* Batch reads of options->get_batch_keys keys that the pushes use too. */
bool pool_encode_reads(struct pool *out, const struct options *options,
                       const struct pipeline *pipeline, uint64_t count);
void pool_release(struct pool *pool);

#endif
