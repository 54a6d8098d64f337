/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot read from front to back, believing nothing.
 *
 * Enters:  a file that may hold anything.
 * Leaves:  each chunk that checks, in order; at last, whether the file is whole.
 * Owner:   the thread that calls: recovery, the snapshot writer that checks its own file, a tool.
 *
 * Invariants
 *   (1) A chunk is handed over only when its length, crc, salt, index and padding check.
 *   (2) BV_OK means: every byte of the file is one the format asks for, `end` included. A flipped
 *       bit or a missing byte is always an error (tests flip and cut each of a small file).
 *   (3) Memory is one window of 1 MiB, or one chunk where that is larger; a length is believed only
 *       as far as the file really goes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "durability/snapshot_format.h"
#include "os/file.h"

#define WINDOW_SIZE (1024u * 1024)

struct reader {
    struct os *os;
    int fd; /* -1: none open */
    bool is_direct;
    const char *path;
    uint64_t file_size;
    uint64_t offset; /* of the chunk at hand */
    uint8_t *window; /* aligned */
    size_t window_capacity;
    size_t window_size;
    uint64_t window_offset;
    struct snapshot_header header;
    uint64_t chunks;
    uint64_t highest_image_lsn;
};

/* Direct reads where the file system takes them and the file has whole pages, as all have that are
 * not damaged: 1.0 GB/s against 0.6, others keep the page cache, and the writer that checks its own
 * file sees what the disk has. */
static enum bv_status
open_file(struct reader *reader, bool is_direct, struct bv_error *err)
{
    os_close(reader->os, &reader->fd);
    reader->is_direct = is_direct;
    enum bv_status status =
        os_open(&reader->fd, reader->os, reader->path, O_RDONLY | (is_direct ? O_DIRECT : 0), err);
    return status == BV_OK
               ? os_file_size(&reader->file_size, reader->os, reader->fd, reader->path, err)
               : status;
}

static bool
is_refusal_of_direct(const struct bv_error *failure)
{
    return failure->os_errno == EINVAL || failure->os_errno == EOPNOTSUPP;
}

static enum bv_status
open_reader(struct reader *reader, struct bv_error *err)
{
    struct bv_error failure = {0};
    enum bv_status status = open_file(reader, true, &failure);

    if (status != BV_OK ? is_refusal_of_direct(&failure) : reader->file_size % OS_ALIGN != 0) {
        status = open_file(reader, false, &failure);
    }
    if (status != BV_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

static void
close_reader(struct reader *reader)
{
    os_close(reader->os, &reader->fd);
    free(reader->window);
    reader->window = NULL;
}

static bool
reserve_window(struct reader *reader, size_t size)
{
    if (size <= reader->window_capacity) {
        return true;
    }
    free(reader->window);
    reader->window = aligned_alloc(OS_ALIGN, size);
    reader->window_size = 0;
    reader->window_capacity = reader->window == NULL ? 0 : size;
    return reader->window != NULL;
}

/* The window over [offset, offset + size) and as much behind it as fits. */
static enum bv_status
move_window(struct reader *reader, uint64_t offset, size_t size, struct bv_error *err)
{
    uint64_t from = offset - offset % OS_ALIGN;
    uint64_t wanted = offset + size - from;
    struct bv_error failure = {0};
    size_t got = 0;

    wanted = wanted < WINDOW_SIZE ? WINDOW_SIZE : (wanted + OS_ALIGN - 1) / OS_ALIGN * OS_ALIGN;
    if (wanted > reader->file_size - from) { /* whole pages still */
        wanted = (reader->file_size - from + OS_ALIGN - 1) / OS_ALIGN * OS_ALIGN;
    }
    if (!reserve_window(reader, (size_t)wanted)) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory to read %" PRIu64 " bytes of %s", wanted,
                            reader->path);
    }
    enum bv_status status = os_read_at(&got, reader->os, reader->fd, reader->path, reader->window,
                                       (size_t)wanted, from, &failure);
    if (status != BV_OK && reader->is_direct && is_refusal_of_direct(&failure)) {
        status = open_file(reader, false, &failure);
        if (status == BV_OK) {
            status = os_read_at(&got, reader->os, reader->fd, reader->path, reader->window,
                                (size_t)wanted, from, &failure);
        }
    }
    if (status != BV_OK && err != NULL) {
        *err = failure;
    }
    reader->window_offset = from;
    reader->window_size = status == BV_OK ? got : 0;
    return status;
}

/* `size` bytes at `offset`, fewer at the end of the file; valid until the next call. */
static enum bv_status
view(struct slice *out, struct reader *reader, uint64_t offset, size_t size, struct bv_error *err)
{
    uint64_t left = offset < reader->file_size ? reader->file_size - offset : 0;

    size = left < size ? (size_t)left : size;
    if (size == 0) {
        *out = slice_of(NULL, 0);
        return BV_OK;
    }
    if (offset < reader->window_offset ||
        offset + size > reader->window_offset + reader->window_size) {
        enum bv_status status = move_window(reader, offset, size, err);
        if (status != BV_OK) {
            return status;
        }
    }
    size_t at = (size_t)(offset - reader->window_offset);
    size_t there = reader->window_size > at ? reader->window_size - at : 0;
    *out = slice_of(reader->window + at, there < size ? there : size);
    return BV_OK;
}

static enum bv_status
corrupt(const struct reader *reader, uint64_t offset, const char *what, struct bv_error *err)
{
    bv_error_set(err, BV_CORRUPT, "%s: offset %" PRIu64 ": %s", reader->path, offset, what);
    bv_error_path(err, "%s", reader->path);
    return BV_CORRUPT;
}

static bool
is_zero(struct slice data)
{
    for (size_t i = 0; i < data.size; i++) {
        if (data.data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Opens the file and believes its header; a name of a snapshot has to say the same LSN. */
static enum bv_status
read_header(struct reader *reader, struct snapshot_info *info, struct bv_error *err)
{
    struct slice page;
    uint64_t named_lsn;
    const char *slash = strrchr(reader->path, '/');
    enum bv_status status = open_reader(reader, err);

    if (status == BV_OK) {
        status = view(&page, reader, 0, SNAPSHOT_PAGE_SIZE, err);
    }
    if (status != BV_OK) {
        return status;
    }
    struct snapshot_header *header = &reader->header;
    status = snapshot_header_decode(header, page, reader->path, err);
    if (status != BV_OK) {
        bv_error_path(err, "%s", reader->path);
        return status;
    }
    if (snapshot_name_parse(&named_lsn, slash == NULL ? reader->path : slash + 1) &&
        named_lsn != header->start_lsn) {
        return corrupt(reader, 24, "the header's LSN is not the one in the name", err);
    }
    reader->offset = SNAPSHOT_PAGE_SIZE;
    reader->highest_image_lsn = header->start_lsn;
    *info = (struct snapshot_info){.start_lsn = header->start_lsn,
                                   .time_ms = header->time_ms,
                                   .last_event_ms = header->last_event_ms,
                                   .entity_count = header->entity_count,
                                   .registry_version = header->registry_version,
                                   .bytes = reader->file_size};
    return BV_OK;
}

/* What stands in the header of a chunk whose crc is right. */
static enum bv_status
check_chunk(const struct reader *reader, const struct snapshot_chunk *chunk, struct bv_error *err)
{
    if (chunk->salt != reader->header.salt) {
        return corrupt(reader, reader->offset, "the chunk belongs to another file", err);
    }
    if (chunk->index != reader->chunks) {
        return corrupt(reader, reader->offset, "the chunk is out of order", err);
    }
    if (chunk->flags != 0 || chunk->type < SNAPSHOT_REGISTRY || chunk->type > SNAPSHOT_END) {
        return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                            "%s: offset %" PRIu64 ": a chunk of type %u with flags %u is of a "
                            "version after %u, which this release reads",
                            reader->path, reader->offset, chunk->type, chunk->flags,
                            SNAPSHOT_FORMAT_VERSION);
    }
    bool is_placed = chunk->index == 0   ? chunk->type == SNAPSHOT_REGISTRY
                     : chunk->index == 1 ? chunk->type == SNAPSHOT_SECTIONS
                                         : chunk->type >= SNAPSHOT_ENTITIES;
    if (!is_placed) {
        return corrupt(reader, reader->offset, "the chunk's type does not belong here", err);
    }
    if (chunk->image_lsn < reader->header.start_lsn) {
        return corrupt(reader, reader->offset, "the image is older than the snapshot", err);
    }
    return BV_OK;
}

/* The chunk at reader->offset, whole and checked; the offset moves behind its padding. */
static enum bv_status
read_chunk(struct reader *reader, struct snapshot_chunk *chunk, struct slice *body,
           struct bv_error *err)
{
    struct slice data;
    enum bv_status status = view(&data, reader, reader->offset, SNAPSHOT_CHUNK_SIZE, err);

    if (status != BV_OK) {
        return status;
    }
    if (data.size < SNAPSHOT_CHUNK_SIZE) {
        return corrupt(reader, reader->offset, "the file ends before its end chunk", err);
    }
    memcpy(chunk, data.data, sizeof *chunk);
    if (chunk->length < SNAPSHOT_CHUNK_SIZE || chunk->length > SNAPSHOT_LENGTH_MAX) {
        return corrupt(reader, reader->offset, "no chunk can have this length", err);
    }
    uint64_t size = snapshot_padded_size(chunk->length);
    if (size > reader->file_size - reader->offset) {
        return corrupt(reader, reader->offset, "the chunk ends behind the file", err);
    }
    status = view(&data, reader, reader->offset, (size_t)size, err);
    if (status != BV_OK) {
        return status;
    }
    *body = slice_of(data.data + SNAPSHOT_CHUNK_SIZE, chunk->length - SNAPSHOT_CHUNK_SIZE);
    struct snapshot_chunk computed = *chunk;
    if (data.size == size) { /* less when the file became shorter meanwhile */
        snapshot_chunk_seal(&computed, *body, slice_of(NULL, 0));
    }
    if (data.size < size || computed.crc != chunk->crc ||
        !is_zero(slice_of(data.data + chunk->length, (size_t)size - chunk->length))) {
        return corrupt(reader, reader->offset, "the chunk's checksum or padding does not fit", err);
    }
    status = check_chunk(reader, chunk, err);
    if (status == BV_OK) {
        reader->offset += size;
        reader->chunks++;
        if (chunk->image_lsn > reader->highest_image_lsn) {
            reader->highest_image_lsn = chunk->image_lsn;
        }
    }
    return status;
}

/* What fn finds wrong with a body gets its place. */
static enum bv_status
hand_over(const struct reader *reader, const struct snapshot_chunk *chunk, struct slice body,
          snapshot_chunk_fn fn, void *context, struct bv_error *err)
{
    struct bv_error failure = {0};
    enum bv_status status =
        fn(context, (enum snapshot_chunk_type)chunk->type, chunk->image_lsn, body, &failure);

    if (status == BV_CORRUPT) {
        return corrupt(reader, reader->offset - snapshot_padded_size(chunk->length),
                       failure.message, err);
    }
    if (status != BV_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

/* The end chunk: it has to agree with what was read, and nothing but padding follows. */
static enum bv_status
read_end(struct reader *reader, struct slice body, struct snapshot_info *info, struct bv_error *err)
{
    uint64_t at = reader->offset - snapshot_padded_size(SNAPSHOT_CHUNK_SIZE + body.size);
    struct snapshot_end end;
    struct slice rest;

    if (body.size != sizeof end) {
        return corrupt(reader, at, "the end chunk has another size", err);
    }
    memcpy(&end, body.data, sizeof end);
    if (end.chunks != reader->chunks - 1 || end.highest_image_lsn != reader->highest_image_lsn) {
        return corrupt(reader, at, "the end chunk does not agree with the file", err);
    }
    uint64_t padding =
        (SNAPSHOT_PAGE_SIZE - reader->offset % SNAPSHOT_PAGE_SIZE) % SNAPSHOT_PAGE_SIZE;
    if (reader->file_size != reader->offset + padding) {
        return corrupt(reader, reader->offset, "the file has another length than its chunks", err);
    }
    enum bv_status status = view(&rest, reader, reader->offset, (size_t)padding, err);
    if (status != BV_OK) {
        return status;
    }
    if (rest.size != padding || !is_zero(rest)) {
        return corrupt(reader, reader->offset, "the file's padding is not zero", err);
    }
    info->highest_image_lsn = end.highest_image_lsn;
    info->time_ms = end.time_ms;
    info->last_event_ms = end.last_event_ms;
    info->entities = end.entities;
    info->dedupe_entries = end.dedupe_entries;
    info->chunks = end.chunks;
    return BV_OK;
}

enum bv_status
snapshot_read(struct snapshot_info *info, struct os *os, const char *path, snapshot_chunk_fn fn,
              void *context, struct bv_error *err)
{
    struct reader reader = {.os = os, .fd = -1, .path = path};
    enum bv_status status = read_header(&reader, info, err);
    while (status == BV_OK) {
        struct snapshot_chunk chunk;
        struct slice body;

        status = read_chunk(&reader, &chunk, &body, err);
        if (status == BV_OK && chunk.type == SNAPSHOT_END) {
            status = read_end(&reader, body, info, err);
            break;
        }
        if (status == BV_OK && fn != NULL) {
            status = hand_over(&reader, &chunk, body, fn, context, err);
        }
    }
    close_reader(&reader);
    return status;
}

enum bv_status
snapshot_read_header(struct snapshot_info *info, struct os *os, const char *path,
                     struct bv_error *err)
{
    struct reader reader = {.os = os, .fd = -1, .path = path};
    enum bv_status status = read_header(&reader, info, err);
    close_reader(&reader);
    return status;
}

static int
compare_newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

enum bv_status
snapshot_list(uint64_t **out_lsns, size_t *out_count, struct os *os, const char *directory,
              struct bv_error *err)
{
    struct os_names names = {0};
    enum bv_status status = os_list(&names, os, directory, err);

    *out_lsns = NULL;
    *out_count = 0;
    if (status != BV_OK) {
        return status;
    }
    uint64_t *lsns = calloc(names.count + 1, sizeof *lsns);
    if (lsns == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", directory);
        goto done;
    }
    size_t count = 0;
    for (size_t i = 0; i < names.count; i++) {
        count += snapshot_name_parse(&lsns[count], names.names[i]) ? 1 : 0;
    }
    if (count > 1) {
        qsort(lsns, count, sizeof *lsns, compare_newest_first);
    }
    *out_lsns = lsns;
    *out_count = count;
done:
    os_names_deinit(&names);
    return status;
}
