/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_OS_FILE_H
#define BV_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/buf.h"
#include "util/error.h"

/* The thin layer under every file call of the process. Two floors:
 *
 *   struct os   the calls themselves, one function pointer each, with the kernel's manners (-1 and
 *               errno). os_posix() is the real one; os/fault.h makes a twin that fails on command.
 *   os_*        what the rooms above use: whole operations that name their file in the error.
 *
 * Any thread; a file descriptor belongs to one thread at a time. */

#define OS_PATH_MAX 4096
#define OS_ALIGN    4096u /* of memory, offset and size for direct writes */

typedef void (*os_list_entry)(void *context, const char *name);

struct os {
    int (*open)(struct os *os, const char *path, int flags);
    int (*close)(struct os *os, int fd);
    ssize_t (*read)(struct os *os, int fd, void *data, size_t size, uint64_t offset);
    ssize_t (*write)(struct os *os, int fd, const struct iovec *parts, int part_count,
                     uint64_t offset, int flags);
    int (*sync)(struct os *os, int fd, bool data_only);
    int (*truncate)(struct os *os, int fd, uint64_t size);
    int64_t (*size)(struct os *os, int fd);
    int (*rename)(struct os *os, const char *from, const char *to);
    int (*unlink)(struct os *os, const char *path);
    int (*mkdir)(struct os *os, const char *path);
    int (*list)(struct os *os, const char *path, os_list_entry entry, void *context);
    int (*lock)(struct os *os, int fd); /* exclusive, open file description, does not wait */
    int64_t (*fs_type)(struct os *os, const char *path); /* magic of statfs */
    int64_t (*fs_free)(struct os *os, const char *path); /* bytes we may still write */
};

struct os *os_posix(void);

/* BV_IO with the errno, "<verb> <path>: <reason>"; BV_OK otherwise. */
enum bv_status os_open(int *out, struct os *os, const char *path, int flags, struct bv_error *err);
void os_close(struct os *os, int *fd); /* accepts -1 behind it; sets it to -1 */
/* All of it, or an error; interrupted calls are repeated. */
enum bv_status os_write_all(struct os *os, int fd, const char *path, const void *data, size_t size,
                            uint64_t offset, struct bv_error *err);
/* As much as there is up to `size`; *out_size is less only at the end of the file. */
enum bv_status os_read_at(size_t *out_size, struct os *os, int fd, const char *path, void *data,
                          size_t size, uint64_t offset, struct bv_error *err);
enum bv_status os_file_size(uint64_t *out, struct os *os, int fd, const char *path,
                            struct bv_error *err);
enum bv_status os_sync(struct os *os, int fd, const char *path, struct bv_error *err);
enum bv_status os_truncate(struct os *os, int fd, const char *path, uint64_t size,
                           struct bv_error *err);
/* Zeros in [offset, offset + size), both multiples of OS_ALIGN; not synced. */
enum bv_status os_write_zeros(struct os *os, int fd, const char *path, uint64_t offset,
                              uint64_t size, struct bv_error *err);

/* Whole files. Appends at most `limit` bytes; *exists is false (and BV_OK) when there is none. */
enum bv_status os_read_file(struct buf *out, bool *exists, struct os *os, const char *path,
                            size_t limit, struct bv_error *err);
/* Temporary file beside it, sync, rename, directory sync: all of it or nothing. */
enum bv_status os_replace_file(struct os *os, const char *directory, const char *name,
                               struct slice data, struct bv_error *err);

/* Names. Each change of a directory is synced before the call returns. */
enum bv_status os_rename(struct os *os, const char *directory, const char *from, const char *to,
                         struct bv_error *err);
enum bv_status os_unlink(struct os *os, const char *directory, const char *name,
                         struct bv_error *err);
enum bv_status os_sync_directory(struct os *os, const char *path, struct bv_error *err);
/* With its parents; nothing happens when it is there. */
enum bv_status os_make_directory(struct os *os, const char *path, struct bv_error *err);

/* Names in a directory but "." and "..", in byte order. */
struct os_names {
    char **names;
    size_t count;
    size_t capacity;
    bool failed;
};
enum bv_status os_list(struct os_names *out, struct os *os, const char *path, struct bv_error *err);
void os_names_deinit(struct os_names *names);

/* BV_CONFIG when the path lies on a network or user-space file system (server.md 2.5), where a sync
 * does not mean what it says. A file system that cannot be asked passes. */
enum bv_status os_check_local(struct os *os, const char *path, const char *what,
                              struct bv_error *err);

/* <directory>/LOCK, held until the descriptor is closed, with our pid in it. BV_LOCKED names the
 * holder's pid. */
enum bv_status os_lock_directory(int *out_fd, struct os *os, const char *directory,
                                 struct bv_error *err);

#define OS_HOLDER_SIZE 40
/* Whether somebody holds <directory>/LOCK, and who ("process 17"). Changes no file; where there is
 * no LOCK, or it may not be opened, nobody does. For a moment it takes the lock itself. */
bool os_lock_is_held(char holder[OS_HOLDER_SIZE], struct os *os, const char *directory);

/* "<directory>/<name>" into out; BV_CONFIG when it is longer than OS_PATH_MAX. */
enum bv_status os_path(char out[OS_PATH_MAX], const char *directory, const char *name,
                       struct bv_error *err);

#endif
