/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_MEMORY_OS_H
#define BV_TEST_MEMORY_OS_H

/* A file system of a few small files in memory, so that a test can recover a log a hundred thousand
 * times. Directories always exist. One thread at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"

#define MEMORY_FILES_MAX    32
#define MEMORY_DIRECTORY_FD 1000

struct memory_file {
    char path[256];
    uint8_t *data;
    size_t size;
    bool exists;
};

struct memory_os {
    struct os os;
    struct memory_file files[MEMORY_FILES_MAX];
};

static inline struct memory_file *
memory_find(struct memory_os *memory, const char *path)
{
    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        if (memory->files[i].exists && strcmp(memory->files[i].path, path) == 0) {
            return &memory->files[i];
        }
    }
    return NULL;
}

static inline void
memory_resize(struct memory_file *file, size_t size)
{
    if (size > file->size) {
        file->data = realloc(file->data, size);
        memset(file->data + file->size, 0, size - file->size);
    }
    file->size = size;
}

static inline struct memory_file *
memory_create(struct memory_os *memory, const char *path)
{
    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        struct memory_file *file = &memory->files[i];
        if (!file->exists) {
            (void)snprintf(file->path, sizeof file->path, "%.255s", path);
            file->exists = true;
            file->size = 0;
            return file;
        }
    }
    return NULL;
}

static inline void
memory_put(struct memory_os *memory, const char *path, const void *data, size_t size)
{
    struct memory_file *file = memory_find(memory, path);

    file = file == NULL ? memory_create(memory, path) : file;
    memory_resize(file, size);
    if (size > 0) {
        memcpy(file->data, data, size);
    }
}

static inline int
memory_open(struct os *os, const char *path, int flags)
{
    struct memory_os *memory = (struct memory_os *)os;
    struct memory_file *file = memory_find(memory, path);

    if ((flags & O_DIRECTORY) != 0) {
        return MEMORY_DIRECTORY_FD;
    }
    if (file != NULL && (flags & O_EXCL) != 0) {
        errno = EEXIST;
        return -1;
    }
    if (file == NULL && (flags & O_CREAT) == 0) {
        errno = ENOENT;
        return -1;
    }
    file = file == NULL ? memory_create(memory, path) : file;
    if (file == NULL) {
        errno = ENOSPC;
        return -1;
    }
    if ((flags & O_TRUNC) != 0) {
        file->size = 0;
    }
    return (int)(file - memory->files);
}

static inline int
memory_close(struct os *os, int fd)
{
    return 0;
}

static inline ssize_t
memory_read(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct memory_file *file = &((struct memory_os *)os)->files[fd];
    size_t left = offset < file->size ? file->size - (size_t)offset : 0;

    size = size < left ? size : left;
    if (size > 0) {
        memcpy(data, file->data + offset, size);
    }
    return (ssize_t)size;
}

static inline ssize_t
memory_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
             int flags)
{
    struct memory_file *file = &((struct memory_os *)os)->files[fd];
    size_t total = 0;

    for (int i = 0; i < part_count; i++) {
        size_t end = (size_t)offset + total + parts[i].iov_len;
        if (parts[i].iov_len == 0) {
            continue;
        }
        if (end > file->size) {
            memory_resize(file, end);
        }
        memcpy(file->data + offset + total, parts[i].iov_base, parts[i].iov_len);
        total += parts[i].iov_len;
    }
    return (ssize_t)total;
}

static inline int
memory_sync(struct os *os, int fd, bool data_only)
{
    return 0;
}

static inline int
memory_truncate(struct os *os, int fd, uint64_t size)
{
    memory_resize(&((struct memory_os *)os)->files[fd], (size_t)size);
    return 0;
}

static inline int64_t
memory_size(struct os *os, int fd)
{
    return (int64_t)((struct memory_os *)os)->files[fd].size;
}

static inline int
memory_rename(struct os *os, const char *from, const char *to)
{
    struct memory_os *memory = (struct memory_os *)os;
    struct memory_file *source = memory_find(memory, from);
    struct memory_file *target = memory_find(memory, to);

    if (source == NULL) {
        errno = ENOENT;
        return -1;
    }
    if (target != NULL) {
        target->exists = false;
    }
    (void)snprintf(source->path, sizeof source->path, "%.255s", to);
    return 0;
}

static inline int
memory_unlink(struct os *os, const char *path)
{
    struct memory_file *file = memory_find((struct memory_os *)os, path);

    if (file == NULL) {
        errno = ENOENT;
        return -1;
    }
    file->exists = false;
    return 0;
}

static inline int
memory_mkdir(struct os *os, const char *path)
{
    return 0;
}

static inline int
memory_list(struct os *os, const char *path, os_list_entry entry, void *context)
{
    struct memory_os *memory = (struct memory_os *)os;
    size_t size = strlen(path);

    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        const struct memory_file *file = &memory->files[i];
        if (file->exists && strncmp(file->path, path, size) == 0 && file->path[size] == '/' &&
            strchr(file->path + size + 1, '/') == NULL) {
            entry(context, file->path + size + 1);
        }
    }
    return 0;
}

static inline int
memory_lock(struct os *os, int fd)
{
    return 0;
}

static inline int64_t
memory_fs_type(struct os *os, const char *path)
{
    return 0xef53;
}

static inline int64_t
memory_fs_free(struct os *os, const char *path)
{
    return INT64_MAX;
}

static inline void
memory_os_init(struct memory_os *memory)
{
    memset(memory, 0, sizeof *memory);
    memory->os = (struct os){
        .open = memory_open,
        .close = memory_close,
        .read = memory_read,
        .write = memory_write,
        .sync = memory_sync,
        .truncate = memory_truncate,
        .size = memory_size,
        .rename = memory_rename,
        .unlink = memory_unlink,
        .mkdir = memory_mkdir,
        .list = memory_list,
        .lock = memory_lock,
        .fs_type = memory_fs_type,
        .fs_free = memory_fs_free,
    };
}

static inline void
memory_os_deinit(struct memory_os *memory)
{
    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        free(memory->files[i].data);
    }
}

#endif
