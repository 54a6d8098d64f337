/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_DIRECTORY_H
#define BV_DURABILITY_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "os/file.h"

/* The log's directory and the snapshots', opened, locked and known to be of our format
 * (docs/formats.md 1). First this, then recovery_run, then wal_open, all on one thread; the
 * directory outlives the log. */
struct wal_options {
    const char *dir;
    const char *snapshot_dir;  /* locked and marked; may be the same path or NULL */
    uint32_t policy;           /* BV_POLICY_ALWAYS or BV_POLICY_OS */
    uint64_t segment_bytes;    /* 0: 128 MiB */
    uint64_t ring_bytes;       /* 0: 8 MiB; rounded up to a power of two */
    uint32_t sync_interval_ms; /* policy os: a sync follows a write after so long ... */
    uint64_t sync_bytes;       /* ... or so many bytes, whichever is first; 0: by time alone */
    uint32_t tick_ms;          /* 0: 20; an idle writer adds a commit mark after so long */
    bool allow_network_fs;
    bool avoid_direct; /* buffered writes and fdatasync even where direct ones work */
    /* Damage after this LSN is accepted: what cannot be read goes to quarantine/. */
    bool accept_data_loss;
    uint64_t accept_data_loss_after;
    uint64_t wal_max_bytes;  /* 0: none; wal_pressure */
    uint64_t min_free_bytes; /* of the log's file system; 0: none */
    uint32_t look_ms; /* 0: 1000; how often free space, and the end of a failure, is looked for */
    struct os *os;    /* NULL: os_posix() */
};

struct wal_directory {
    struct os *os;
    char path[OS_PATH_MAX];
    char snapshot_path[OS_PATH_MAX]; /* "" without */
    int lock_fd;
    int snapshot_lock_fd;
    bool accept_data_loss;
    uint64_t accept_data_loss_after;
    /* Set before recovery_run by whoever loaded a snapshot: its highest image_lsn, which the log
     * has to reach; the two last_ ones to what it says, for a log that holds nothing later. */
    uint64_t image_lsn;
    /* What recovery found, for the segment that follows. */
    bool is_recovered;
    uint64_t next_number;
    uint64_t next_lsn;
    uint64_t last_time_ms;
    uint32_t last_registry_version;
};

/* BV_CONFIG (network file system), BV_LOCKED (names the holder), BV_UNSUPPORTED_FORMAT (nothing in
 * the directory is changed then), BV_IO. Missing directories are created with their parents. */
enum bv_status wal_directory_open(struct wal_directory **out, const struct wal_options *options,
                                  struct bv_error *err);
void wal_directory_close(struct wal_directory *directory); /* accepts NULL; unlocks */

#endif
