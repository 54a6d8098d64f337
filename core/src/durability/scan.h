/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SCAN_H
#define BV_DURABILITY_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "durability/record.h"
#include "durability/segment.h"

/* Reading one segment from front to back: a window over the file, and what stands behind a place
 * where the walk could not go on. One thread. */
#define SCAN_WINDOW_SIZE (1024u * 1024)

struct scan {
    struct os *os;
    int fd; /* -1: none open */
    char path[OS_PATH_MAX];
    uint64_t file_size;
    struct segment_header header;
    struct buf window;
    uint64_t window_offset;
};

/* Opens without looking at the header; read-write, because a tail may have to be cut. */
enum bv_status scan_open(struct scan *scan, struct os *os, const char *path, struct bv_error *err);
/* For those who only look. */
enum bv_status scan_open_read_only(struct scan *scan, struct os *os, const char *path,
                                   struct bv_error *err);
void scan_close(struct scan *scan);
/* `size` bytes at `offset`, fewer at the end of the file; valid until the next call. */
enum bv_status scan_view(struct slice *out, struct scan *scan, uint64_t offset, size_t size,
                         struct bv_error *err);
/* The record at `offset`, whole; what record_decode says about it. */
enum bv_status scan_record(enum record_state *state, struct record_header *header,
                           struct slice *body, struct scan *scan, uint64_t offset,
                           struct bv_error *err);
/* Whether a valid mark of this segment begins at `offset`, a multiple of the page size. */
enum bv_status scan_mark(bool *found, struct record_mark *mark, struct scan *scan, uint64_t offset,
                         struct bv_error *err);

/* What stands from `offset` on. */
struct scan_rest {
    bool has_mark; /* a valid mark of this segment */
    uint64_t mark_offset;
    struct record_mark mark;
    uint64_t nonzero_end; /* behind the last nonzero byte before that mark; 0: all zero */
};
enum bv_status scan_rest(struct scan_rest *out, struct scan *scan, uint64_t offset,
                         struct bv_error *err);

#endif
