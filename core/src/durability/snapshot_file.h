/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SNAPSHOT_FILE_H
#define BV_DURABILITY_SNAPSHOT_FILE_H

#include "durability/snapshot_format.h"
#include "os/file.h"

/* One snapshot on its way to a name: snapshot.tmp, filled front to back, then published. One
 * thread, the snapshot writer's. */
#define SNAPSHOT_PIECE_SIZE (1024u * 1024) /* of one write */

struct snapshot_file {
    struct os *os;
    const char *directory; /* borrowed */
    char path[OS_PATH_MAX];
    int fd; /* -1: none open */
    bool is_direct;
    uint8_t *piece; /* what is not written yet; aligned */
    size_t piece_size;
    uint64_t written; /* bytes of the file, whole pieces but for the last */
    uint64_t unsynced;
    uint64_t sync_ns; /* spent in syncs of the file and its directory */
    uint64_t start_lsn;
    uint64_t salt;
    uint64_t chunks;
    uint64_t highest_image_lsn;
};

/* Creates snapshot.tmp (over a leftover); nothing is written before a piece is full. */
enum bv_status snapshot_file_create(struct snapshot_file *file, struct os *os,
                                    const char *directory, const struct snapshot_start *start,
                                    struct bv_error *err);
/* One chunk, its body in two parts (the second may be empty). */
enum bv_status snapshot_file_append(struct snapshot_file *file, enum snapshot_chunk_type type,
                                    uint64_t image_lsn, struct slice first, struct slice second,
                                    struct bv_error *err);
/* The end chunk, the padding, the sync; closes. */
enum bv_status snapshot_file_end(struct snapshot_file *file, const struct snapshot_totals *totals,
                                 struct bv_error *err);
/* Renames the closed file to its name and syncs the directory. */
enum bv_status snapshot_file_publish(struct snapshot_file *file, struct bv_error *err);
/* Closes; removes snapshot.tmp where it is still there. */
void snapshot_file_discard(struct snapshot_file *file);
/* Gives memory back; the file is ended or discarded. */
void snapshot_file_deinit(struct snapshot_file *file);

/* Leaves the `retain` newest up to `newest_lsn` and removes what is older. A file that claims to be
 * later than `newest_lsn`, which is published, belongs to a history that was given up: it is set
 * aside. *oldest_lsn is that of the oldest kept one. */
struct snapshot_kept {
    uint32_t kept;
    uint32_t removed;
    uint64_t oldest_lsn;
};
enum bv_status snapshot_files_retain(struct snapshot_kept *out, struct os *os,
                                     const char *directory, uint64_t newest_lsn, uint32_t retain,
                                     struct bv_error *err);

#endif
