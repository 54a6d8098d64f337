/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SALVAGE_H
#define BV_DURABILITY_SALVAGE_H

#include "durability/verify.h"

/* What can be read of a damaged data directory, as a directory from which a server starts. */

struct salvage_options {
    struct verify_paths from; /* never changed; `snapshots` may be "" */
    const char *to;           /* gets wal/, snapshots/ and salvage.json; missing or empty before */
    uint64_t until;           /* operations above this LSN are left out; 0: none */
};

/* Whether the lost operations hold a registration or a reset: versions before and behind tell. */
enum salvage_registration {
    SALVAGE_REGISTRATION_NONE,
    SALVAGE_REGISTRATION_LOST,
    SALVAGE_REGISTRATION_UNKNOWN,
};

struct salvage_range {
    uint64_t first_lsn;
    uint64_t last_lsn;
    enum salvage_registration registration;
};

struct salvage_result {
    bool has_snapshot;
    uint64_t snapshot_lsn;
    uint64_t damaged_snapshots; /* newer than that one, or all there are */
    uint64_t records;           /* written, of operations that are there */
    uint64_t events;            /* in them */
    uint64_t last_lsn;          /* that the new directory knows of, lost ones included */
    uint64_t torn_bytes;        /* a torn tail, which nobody was promised */
    uint64_t until;             /* as given; 0: none */
    uint64_t left_out;          /* records above `until` */
    uint64_t lost;              /* operations */
    struct salvage_range *ranges;
    size_t range_count;
};

/* BV_LOCKED while a server uses the source, BV_CONFIG when `to` is not empty. The result needs its
 * deinit in any case. */
enum bv_status salvage_run(struct salvage_result *out, struct os *os,
                           const struct salvage_options *options, struct bv_error *err);
void salvage_result_deinit(struct salvage_result *result);

void salvage_write_text(struct buf *buf, const struct salvage_result *result);
/* One object without a line end. */
void salvage_write_json(struct buf *buf, const struct salvage_result *result);

#endif
