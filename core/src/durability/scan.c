/* SPDX-License-Identifier: Apache-2.0 */
/* One segment, read from front to back through a window.
 *
 * Enters:  a file that may hold anything.
 * Leaves:  records, marks, and what stands behind a place that cannot be read.
 * Owner:   recovery.
 *
 * Invariants
 *   (1) Nothing is read or allocated beyond the file's real size, whatever a length claims.
 *   (2) A view is valid until the next view. */
#include "durability/scan.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "util/assert.h"
#include "wire/row.h"

static enum bv_status
open_with(struct scan *scan, struct os *os, const char *path, int flags, struct bv_error *err)
{
    memset(scan, 0, sizeof *scan);
    scan->os = os;
    scan->fd = -1;
    buf_init(&scan->window);
    (void)snprintf(scan->path, sizeof scan->path, "%s", path);
    enum bv_status status = os_open(&scan->fd, os, path, flags, err);
    if (status != BV_OK) {
        return status;
    }
    return os_file_size(&scan->file_size, os, scan->fd, path, err);
}

enum bv_status
scan_open(struct scan *scan, struct os *os, const char *path, struct bv_error *err)
{
    return open_with(scan, os, path, O_RDWR, err);
}

enum bv_status
scan_open_read_only(struct scan *scan, struct os *os, const char *path, struct bv_error *err)
{
    return open_with(scan, os, path, O_RDONLY, err);
}

void
scan_close(struct scan *scan)
{
    if (scan->os != NULL) {
        os_close(scan->os, &scan->fd);
        buf_deinit(&scan->window);
        scan->os = NULL;
    }
}

enum bv_status
scan_view(struct slice *out, struct scan *scan, uint64_t offset, size_t size, struct bv_error *err)
{
    uint64_t left = offset < scan->file_size ? scan->file_size - offset : 0;
    uint64_t window_end = scan->window_offset + scan->window.size;

    size = left < size ? (size_t)left : size;
    if (offset < scan->window_offset || offset + size > window_end) {
        size_t wanted = size > SCAN_WINDOW_SIZE ? size : SCAN_WINDOW_SIZE;
        size_t got = 0;

        wanted = left < wanted ? (size_t)left : wanted;
        buf_clear(&scan->window);
        /* Rows are decoded where they lie, and the decoder reads a little past their end. */
        if (!buf_reserve(&scan->window, wanted + ROW_SLACK)) {
            return bv_error_set(err, BV_NO_MEMORY, "no memory to read %zu bytes of %s", wanted,
                                scan->path);
        }
        enum bv_status status = os_read_at(&got, scan->os, scan->fd, scan->path, scan->window.data,
                                           wanted, offset, err);
        if (status != BV_OK) {
            return status;
        }
        scan->window.size = got;
        scan->window_offset = offset;
        size = got < size ? got : size;
    }
    *out = slice_of(scan->window.data + (offset - scan->window_offset), size);
    return BV_OK;
}

enum bv_status
scan_record(enum record_state *state, struct record_header *header, struct slice *body,
            struct scan *scan, uint64_t offset, struct bv_error *err)
{
    struct slice data;
    enum bv_status status = scan_view(&data, scan, offset, RECORD_HEADER_SIZE, err);

    if (status != BV_OK) {
        return status;
    }
    *state = record_decode(header, body, data);
    if (*state == RECORD_INCOMPLETE && data.size == RECORD_HEADER_SIZE) {
        size_t size = record_padded_size(header->length);
        status = scan_view(&data, scan, offset, size, err);
        if (status != BV_OK) {
            return status;
        }
        *state = record_decode(header, body, data);
    }
    return BV_OK;
}

enum bv_status
scan_mark(bool *found, struct record_mark *mark, struct scan *scan, uint64_t offset,
          struct bv_error *err)
{
    struct slice data;
    enum bv_status status = scan_view(&data, scan, offset, RECORD_MARK_SIZE, err);

    BV_ASSERT(offset % SEGMENT_PAGE_SIZE == 0);
    *found = status == BV_OK &&
             record_mark_decode(mark, data, scan->header.segment_number, scan->header.salt);
    return status;
}

/* Behind the last nonzero byte, 0 when there is none. */
static size_t
nonzero_size(struct slice data)
{
    size_t size = data.size;

    while (size > 0 && data.data[size - 1] == 0) {
        size--;
    }
    return size;
}

enum bv_status
scan_rest(struct scan_rest *out, struct scan *scan, uint64_t offset, struct bv_error *err)
{
    memset(out, 0, sizeof *out);
    while (offset < scan->file_size) {
        struct slice data;

        if (offset % SEGMENT_PAGE_SIZE == 0) {
            enum bv_status status = scan_mark(&out->has_mark, &out->mark, scan, offset, err);
            if (status != BV_OK || out->has_mark) {
                out->mark_offset = offset;
                return status;
            }
        }
        size_t to_boundary = SEGMENT_PAGE_SIZE - (size_t)(offset % SEGMENT_PAGE_SIZE);
        enum bv_status status = scan_view(&data, scan, offset, to_boundary, err);
        if (status != BV_OK) {
            return status;
        }
        if (data.size == 0) {
            break; /* the file became shorter while it was read */
        }
        size_t size = nonzero_size(data);
        if (size > 0) {
            out->nonzero_end = offset + size;
        }
        offset += data.size;
    }
    return BV_OK;
}
