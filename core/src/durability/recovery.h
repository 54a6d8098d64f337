/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_RECOVERY_H
#define BV_DURABILITY_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/directory.h"
#include "durability/record.h"
#include "util/error.h"
#include "util/slice.h"

/* Reads the log in order and hands each record to whoever re-executes it. Streaming: memory is one
 * window of 1 MiB, or one record where that is larger.
 *
 * A torn tail is copied to quarantine/ and cut; damage before the end refuses with BV_CORRUPT and a
 * message that names file, offset, LSN and the option that accepts the loss (docs/formats.md 4). */

/* One record but marks: header, body (valid during the call, ROW_SLACK readable bytes behind it). A
 * status other than BV_OK ends the recovery with it. */
typedef enum bv_status (*recovery_record_fn)(const struct record_header *header, struct slice body,
                                             void *context, struct bv_error *err);

struct recovery_result {
    uint64_t last_lsn; /* 0: an empty log and no snapshot; after_lsn at least */
    uint64_t last_time_ms;
    uint32_t last_registry_version;
    uint64_t records;  /* handed over */
    uint64_t events;   /* counts of the push records among them */
    uint64_t bytes;    /* of these records */
    uint64_t segments; /* read */
    bool was_clean_stop;
    /* What was found beside whole records. */
    uint64_t cut_bytes;     /* torn tail, now in quarantine/ */
    uint64_t skipped_bytes; /* unreadable, but no operation is missing */
    uint64_t lost_files;    /* segments moved to quarantine/ because the loss was accepted */
    uint64_t cut_segment;   /* number of the segment the first of these was found in, 0: none */
    uint64_t cut_offset;
};

/* Everything handed over is durable when it returns BV_OK. Once per wal_directory_open (again after
 * a status other than BV_OK that fn gave).
 *
 * after_lsn: state up to here came from a snapshot; 0: from the beginning. Segments that hold only
 * such records are not read at all (they may be damaged or gone), and records that end at or below
 * it are not handed over; none straddles it. BV_CORRUPT when the log begins above after_lsn + 1 or
 * ends below directory->image_lsn. A log that ends below after_lsn, or is empty, is none the worse
 * for it when image_lsn is not above after_lsn: it goes on behind the snapshot (next_lsn). */
enum bv_status recovery_run(struct recovery_result *out, struct wal_directory *directory,
                            uint64_t after_lsn, recovery_record_fn fn, void *context,
                            struct bv_error *err);

#endif
