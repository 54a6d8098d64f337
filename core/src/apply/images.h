/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_IMAGES_H
#define BV_APPLY_IMAGES_H

#include "apply/sections.h"

/* Entities -> chunks of a snapshot, page after page (docs/formats.md 5.3). */

#define IMAGES_CHUNK_BYTES (64u * 1024)

struct images {
    struct engine *engine;
    struct snapshot_writer *writer;
    struct sections sections;
    struct buf chunk;
    const struct section *section; /* of the chunk; NULL: it is empty */
    uint32_t chunk_count;
    uint64_t chunk_lsn;
    bool is_sealed; /* to be handed over before anything else */
    uint32_t page;  /* where the copy is ... */
    uint32_t block;
    uint32_t page_end; /* ... and where it ends: pages made later hold what replay makes again */
    uint64_t entities;
    uint64_t dedupe_entries;
};

enum images_progress {
    IMAGES_MORE,
    IMAGES_NO_ROOM, /* the ring is full */
    IMAGES_DONE,
    IMAGES_NO_MEMORY,
};

/* At LSN S: nothing is staged, every table is uniform. */
enum bv_status images_begin(struct images *images, struct engine *engine,
                            struct snapshot_writer *writer, struct bv_error *err);
/* Copies until the time has come, or so many bytes. Nothing is staged. */
enum images_progress images_copy(struct images *images, uint64_t until_ns, uint64_t bytes_max);
void images_end(struct images *images); /* accepts all zero */

#endif
