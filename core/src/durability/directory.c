/* SPDX-License-Identifier: Apache-2.0 */
/* The data directories: ours alone, and of a format we know, before anything in them is read.
 *
 * Enters:  two paths.
 * Leaves:  both locked, with their FORMAT files; or a refusal that changed nothing.
 * Owner:   whoever opened them, for the life of the engine.
 *
 * Invariants
 *   (1) A directory that holds files but no FORMAT is somebody else's (or an older release's): it
 *       is refused before a LOCK is put into it.
 *   (2) FORMAT is on disk before any other file of ours. */
#include "durability/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durability/segment.h"

#define WAL_FORMAT      "beava-wal 1\n"
#define SNAPSHOT_FORMAT "beava-snapshots 1\n"
#define FORMAT_SIZE_MAX 64

/* The first name in the directory that a directory about to become ours may not hold; NULL: none.
 */
static const char *
first_foreign_name(const struct os_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], "LOCK") != 0 && strcmp(names->names[i], "FORMAT.tmp") != 0) {
            return names->names[i];
        }
    }
    return NULL;
}

/* Up to the first line end, for the message. */
static void
first_line(char *out, size_t size, struct slice text)
{
    size_t used = 0;

    while (used < text.size && used + 1 < size && text.data[used] >= 0x20 &&
           text.data[used] < 0x7f) {
        out[used] = (char)text.data[used];
        used++;
    }
    out[used] = '\0';
}

/* *is_new: the directory is empty and wants its FORMAT. */
static enum bv_status
check_format(bool *is_new, struct os *os, const char *path, const char *format,
             struct bv_error *err)
{
    char format_path[OS_PATH_MAX];
    char found[FORMAT_SIZE_MAX];
    struct os_names names = {0};
    struct buf text;
    bool exists = false;

    buf_init(&text);
    enum bv_status status = os_path(format_path, path, "FORMAT", err);
    if (status != BV_OK) {
        goto done;
    }
    status = os_read_file(&text, &exists, os, format_path, FORMAT_SIZE_MAX, err);
    if (status != BV_OK) {
        goto done;
    }
    *is_new = !exists;
    if (exists) {
        if (!slice_equal(buf_slice(&text), slice_text(format))) {
            first_line(found, sizeof found, buf_slice(&text));
            status = bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                                  "%s has format \"%s\"; this release reads \"%.*s\"", path, found,
                                  (int)strlen(format) - 1, format);
            bv_error_hint(err, "start the release that wrote it, or choose an empty directory");
        }
        goto done;
    }
    status = os_list(&names, os, path, err);
    if (status != BV_OK) {
        goto done;
    }
    const char *foreign = first_foreign_name(&names);
    if (foreign != NULL) {
        status = bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                              "%s holds %s but no FORMAT file: it was written by another version "
                              "or program and is left untouched; this release reads \"%.*s\"",
                              path, foreign, (int)strlen(format) - 1, format);
        bv_error_hint(err, "choose an empty directory");
    }
done:
    os_names_deinit(&names);
    buf_deinit(&text);
    return status;
}

/* One of the two directories, from missing to locked. */
static enum bv_status
take_directory(int *out_lock, struct os *os, const char *path, const char *what, const char *format,
               bool allow_network_fs, struct bv_error *err)
{
    bool is_new = false;
    enum bv_status status = os_make_directory(os, path, err);

    if (status != BV_OK) {
        return status;
    }
    if (!allow_network_fs) {
        status = os_check_local(os, path, what, err);
        if (status != BV_OK) {
            return status;
        }
    }
    status = check_format(&is_new, os, path, format, err);
    if (status != BV_OK) {
        return status;
    }
    status = os_lock_directory(out_lock, os, path, err);
    if (status != BV_OK) {
        return status;
    }
    /* Again under the lock: two may have found it empty. */
    status = check_format(&is_new, os, path, format, err);
    if (status == BV_OK && is_new) {
        status = os_replace_file(os, path, "FORMAT", slice_text(format), err);
    }
    return status;
}

enum bv_status
wal_directory_open(struct wal_directory **out, const struct wal_options *options,
                   struct bv_error *err)
{
    struct wal_directory *directory = calloc(1, sizeof *directory);
    enum bv_status status = BV_OK;

    if (directory == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the log's directory");
    }
    directory->os = options->os != NULL ? options->os : os_posix();
    directory->lock_fd = -1;
    directory->snapshot_lock_fd = -1;
    directory->accept_data_loss = options->accept_data_loss;
    directory->accept_data_loss_after = options->accept_data_loss_after;
    int size = snprintf(directory->path, sizeof directory->path, "%s", options->dir);
    if (size <= 0 || size >= (int)sizeof directory->path) {
        status = bv_error_set(err, BV_CONFIG, "the WAL directory's path must have 1 to %d bytes",
                              OS_PATH_MAX - 1);
        goto done;
    }
    status = take_directory(&directory->lock_fd, directory->os, options->dir, "WAL", WAL_FORMAT,
                            options->allow_network_fs, err);
    if (status != BV_OK) {
        goto done;
    }
    if (options->snapshot_dir != NULL) {
        size = snprintf(directory->snapshot_path, sizeof directory->snapshot_path, "%s",
                        options->snapshot_dir);
        if (size <= 0 || size >= (int)sizeof directory->snapshot_path) {
            status = bv_error_set(err, BV_CONFIG,
                                  "the snapshot directory's path must have 1 to %d bytes",
                                  OS_PATH_MAX - 1);
            goto done;
        }
    }
    if (options->snapshot_dir != NULL && strcmp(options->snapshot_dir, options->dir) != 0) {
        status = take_directory(&directory->snapshot_lock_fd, directory->os, options->snapshot_dir,
                                "snapshot", SNAPSHOT_FORMAT, options->allow_network_fs, err);
        if (status != BV_OK) {
            goto done;
        }
    }
    *out = directory;
    directory = NULL; /* handed over */
done:
    wal_directory_close(directory);
    return status;
}

void
wal_directory_close(struct wal_directory *directory)
{
    if (directory == NULL) {
        return;
    }
    os_close(directory->os, &directory->snapshot_lock_fd);
    os_close(directory->os, &directory->lock_fd);
    free(directory);
}
