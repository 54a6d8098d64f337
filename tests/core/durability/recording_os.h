/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_RECORDING_OS_H
#define BV_TEST_RECORDING_OS_H

/* The recording twin of os_posix(): a file system in memory that writes down every call that
 * changes it, bytes included, in the order in which the calls returned. power_loss.h makes from
 * that what a disk might hold had the power failed at any of them.
 *
 * Any thread. Directories always exist. A file lives as long as the recording, whatever becomes of
 * its name, so that the journal can speak of it by number. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "util/assert.h"

#define RECORDING_PATH_SIZE 160

enum recorded_kind {
    RECORDED_CREATE, /* `from` is the name of `file` */
    RECORDED_WRITE,
    RECORDED_TRUNCATE, /* to `offset` */
    RECORDED_SYNC,
    RECORDED_RENAME,
    RECORDED_UNLINK,
    RECORDED_SYNC_DIRECTORY, /* `from` */
    RECORDED_NOTE,           /* `offset` is what the test wants to remember at this instant */
    RECORDED_NOTHING,        /* a call that a test has crossed out */
};

struct recorded_call {
    enum recorded_kind kind;
    uint32_t file;
    bool is_synced; /* a write with RWF_DSYNC */
    uint64_t offset;
    size_t size;
    uint8_t *data;
    char *from;
    char *to;
};

struct recording_file {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct recording_name {
    char path[RECORDING_PATH_SIZE];
    uint32_t file;
};

struct recording_fd {
    bool is_open;
    bool is_directory;
    bool is_direct;
    uint32_t file;
    char path[RECORDING_PATH_SIZE]; /* of a directory */
};

#define RECORDING_FDS 64

struct recording_os {
    struct os os; /* first: a struct os * is a struct recording_os * */
    pthread_mutex_t lock;
    struct recording_file *files;
    uint32_t file_count;
    struct recording_name *names;
    size_t name_count;
    struct recording_fd fds[RECORDING_FDS];
    struct recorded_call *calls;
    size_t call_count;
    size_t call_capacity;
    bool is_recording;
    bool refuse_direct;
    _Atomic int64_t free_bytes;
};

static inline struct recording_os *
recording_lock(struct os *os)
{
    struct recording_os *recording = (struct recording_os *)os;

    (void)pthread_mutex_lock(&recording->lock);
    return recording;
}

static inline void
recording_unlock(struct recording_os *recording)
{
    int number = errno;

    (void)pthread_mutex_unlock(&recording->lock);
    errno = number;
}

static inline char *
recording_copy(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

static inline struct recorded_call *
recording_add(struct recording_os *recording, enum recorded_kind kind, uint32_t file,
              const char *from, const char *to)
{
    static struct recorded_call nowhere;

    if (!recording->is_recording) {
        return &nowhere;
    }
    if (recording->call_count == recording->call_capacity) {
        recording->call_capacity = recording->call_capacity * 2 + 256;
        recording->calls =
            realloc(recording->calls, recording->call_capacity * sizeof *recording->calls);
    }
    struct recorded_call *call = &recording->calls[recording->call_count++];
    *call = (struct recorded_call){
        .kind = kind, .file = file, .from = recording_copy(from), .to = recording_copy(to)};
    return call;
}

static inline struct recording_name *
recording_find(struct recording_os *recording, const char *path)
{
    for (size_t i = 0; i < recording->name_count; i++) {
        if (strcmp(recording->names[i].path, path) == 0) {
            return &recording->names[i];
        }
    }
    return NULL;
}

static inline void
recording_forget(struct recording_os *recording, struct recording_name *name)
{
    *name = recording->names[--recording->name_count];
}

static inline void
recording_resize(struct recording_file *file, size_t size)
{
    if (size > file->capacity) {
        file->capacity = size + size / 2 + 4096;
        file->data = realloc(file->data, file->capacity);
    }
    if (size > file->size) {
        memset(file->data + file->size, 0, size - file->size);
    }
    file->size = size;
}

/* A new file under a name; also how a test puts bytes there before anything runs. */
static inline uint32_t
recording_create(struct recording_os *recording, const char *path, size_t size)
{
    recording->files =
        realloc(recording->files, (recording->file_count + 1) * sizeof *recording->files);
    recording->names =
        realloc(recording->names, (recording->name_count + 1) * sizeof *recording->names);
    BV_ASSERT(strlen(path) < RECORDING_PATH_SIZE);
    struct recording_name *name = &recording->names[recording->name_count++];
    strcpy(name->path, path);
    name->file = recording->file_count++;
    recording->files[name->file] = (struct recording_file){0};
    recording_resize(&recording->files[name->file], size);
    return name->file;
}

static inline int
recording_open(struct os *os, const char *path, int flags)
{
    struct recording_os *recording = recording_lock(os);
    int fd = 0;
    int result = -1;

    while (fd < RECORDING_FDS && recording->fds[fd].is_open) {
        fd++;
    }
    struct recording_name *name = recording_find(recording, path);
    if (fd == RECORDING_FDS) {
        errno = EMFILE;
    } else if ((flags & O_DIRECTORY) != 0) {
        recording->fds[fd] = (struct recording_fd){.is_open = true, .is_directory = true};
        (void)snprintf(recording->fds[fd].path, RECORDING_PATH_SIZE, "%s", path);
        result = fd;
    } else if ((flags & O_DIRECT) != 0 && recording->refuse_direct) {
        errno = EINVAL;
    } else if (name != NULL && (flags & O_EXCL) != 0) {
        errno = EEXIST;
    } else if (name == NULL && (flags & O_CREAT) == 0) {
        errno = ENOENT;
    } else {
        uint32_t file = name != NULL ? name->file : recording_create(recording, path, 0);

        if (name == NULL) {
            (void)recording_add(recording, RECORDED_CREATE, file, path, NULL);
        } else if ((flags & O_TRUNC) != 0) {
            (void)recording_add(recording, RECORDED_TRUNCATE, file, NULL, NULL);
            recording_resize(&recording->files[file], 0);
        }
        recording->fds[fd] = (struct recording_fd){
            .is_open = true, .is_direct = (flags & O_DIRECT) != 0, .file = file};
        result = fd;
    }
    recording_unlock(recording);
    return result;
}

static inline int
recording_close(struct os *os, int fd)
{
    struct recording_os *recording = recording_lock(os);

    BV_ASSERT(recording->fds[fd].is_open);
    recording->fds[fd].is_open = false;
    recording_unlock(recording);
    return 0;
}

static inline ssize_t
recording_read(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct recording_os *recording = recording_lock(os);
    const struct recording_file *file = &recording->files[recording->fds[fd].file];
    size_t left = offset < file->size ? file->size - (size_t)offset : 0;

    BV_ASSERT(recording->fds[fd].is_open);
    size = size < left ? size : left;
    if (size > 0) {
        memcpy(data, file->data + offset, size);
    }
    recording_unlock(recording);
    return (ssize_t)size;
}

/* What a descriptor opened with O_DIRECT insists on. */
static inline bool
recording_is_aligned(const struct iovec *parts, int part_count, uint64_t offset)
{
    for (int i = 0; i < part_count; i++) {
        if ((uintptr_t)parts[i].iov_base % 512 != 0 || parts[i].iov_len % 512 != 0) {
            return false;
        }
    }
    return offset % 512 == 0;
}

static inline ssize_t
recording_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
                int flags)
{
    struct recording_os *recording = recording_lock(os);
    ssize_t result = -1;
    size_t total = 0;

    BV_ASSERT(recording->fds[fd].is_open);
    for (int i = 0; i < part_count; i++) {
        total += parts[i].iov_len;
    }
    if (recording->fds[fd].is_direct && !recording_is_aligned(parts, part_count, offset)) {
        errno = EINVAL;
    } else {
        struct recording_file *file = &recording->files[recording->fds[fd].file];
        size_t at = (size_t)offset;

        recording_resize(file, at + total > file->size ? at + total : file->size);
        for (int i = 0; i < part_count; i++) {
            if (parts[i].iov_len > 0) {
                memcpy(file->data + at, parts[i].iov_base, parts[i].iov_len);
            }
            at += parts[i].iov_len;
        }
        if (recording->is_recording) {
            struct recorded_call *call =
                recording_add(recording, RECORDED_WRITE, recording->fds[fd].file, NULL, NULL);
            call->is_synced = (flags & RWF_DSYNC) != 0;
            call->offset = offset;
            call->size = total;
            call->data = malloc(total + 1);
            memcpy(call->data, file->data + offset, total);
        }
        result = (ssize_t)total;
    }
    recording_unlock(recording);
    return result;
}

static inline int
recording_sync(struct os *os, int fd, bool data_only)
{
    struct recording_os *recording = recording_lock(os);
    const struct recording_fd *open = &recording->fds[fd];

    BV_ASSERT(open->is_open);
    if (open->is_directory) {
        (void)recording_add(recording, RECORDED_SYNC_DIRECTORY, 0, open->path, NULL);
    } else {
        (void)recording_add(recording, RECORDED_SYNC, open->file, NULL, NULL);
    }
    recording_unlock(recording);
    return 0;
}

static inline int
recording_truncate(struct os *os, int fd, uint64_t size)
{
    struct recording_os *recording = recording_lock(os);
    uint32_t file = recording->fds[fd].file;

    BV_ASSERT(recording->fds[fd].is_open);
    if (recording->is_recording) {
        recording_add(recording, RECORDED_TRUNCATE, file, NULL, NULL)->offset = size;
    }
    recording_resize(&recording->files[file], (size_t)size);
    recording_unlock(recording);
    return 0;
}

static inline int64_t
recording_size(struct os *os, int fd)
{
    struct recording_os *recording = recording_lock(os);
    int64_t size = (int64_t)recording->files[recording->fds[fd].file].size;

    recording_unlock(recording);
    return size;
}

static inline int
recording_rename(struct os *os, const char *from, const char *to)
{
    struct recording_os *recording = recording_lock(os);
    struct recording_name *source = recording_find(recording, from);
    int result = -1;

    if (source == NULL) {
        errno = ENOENT;
    } else {
        uint32_t file = source->file;
        struct recording_name *target = recording_find(recording, to);

        if (target != NULL) {
            recording_forget(recording, target);
            source = recording_find(recording, from);
        }
        strcpy(source->path, to);
        (void)recording_add(recording, RECORDED_RENAME, file, from, to);
        result = 0;
    }
    recording_unlock(recording);
    return result;
}

static inline int
recording_unlink(struct os *os, const char *path)
{
    struct recording_os *recording = recording_lock(os);
    struct recording_name *name = recording_find(recording, path);
    int result = -1;

    if (name == NULL) {
        errno = ENOENT;
    } else {
        (void)recording_add(recording, RECORDED_UNLINK, name->file, path, NULL);
        recording_forget(recording, name);
        result = 0;
    }
    recording_unlock(recording);
    return result;
}

static inline int
recording_mkdir(struct os *os, const char *path)
{
    return 0;
}

static inline int
recording_list(struct os *os, const char *path, os_list_entry entry, void *context)
{
    struct recording_os *recording = recording_lock(os);
    size_t size = strlen(path);

    for (size_t i = 0; i < recording->name_count; i++) {
        const char *name = recording->names[i].path;
        if (strncmp(name, path, size) == 0 && name[size] == '/' &&
            strchr(name + size + 1, '/') == NULL) {
            entry(context, name + size + 1);
        }
    }
    recording_unlock(recording);
    return 0;
}

static inline int
recording_lock_file(struct os *os, int fd)
{
    return 0;
}

static inline int64_t
recording_fs_type(struct os *os, const char *path)
{
    return 0xef53;
}

static inline int64_t
recording_fs_free(struct os *os, const char *path)
{
    return atomic_load(&((struct recording_os *)os)->free_bytes);
}

/* Empty, and recording when told so. */
static inline void
recording_init(struct recording_os *recording, bool is_recording)
{
    memset(recording, 0, sizeof *recording);
    (void)pthread_mutex_init(&recording->lock, NULL);
    recording->is_recording = is_recording;
    atomic_store(&recording->free_bytes, INT64_MAX);
    recording->os = (struct os){
        .open = recording_open,
        .close = recording_close,
        .read = recording_read,
        .write = recording_write,
        .sync = recording_sync,
        .truncate = recording_truncate,
        .size = recording_size,
        .rename = recording_rename,
        .unlink = recording_unlink,
        .mkdir = recording_mkdir,
        .list = recording_list,
        .lock = recording_lock_file,
        .fs_type = recording_fs_type,
        .fs_free = recording_fs_free,
    };
}

static inline void
recording_deinit(struct recording_os *recording)
{
    for (uint32_t i = 0; i < recording->file_count; i++) {
        free(recording->files[i].data);
    }
    for (size_t i = 0; i < recording->call_count; i++) {
        free(recording->calls[i].data);
        free(recording->calls[i].from);
        free(recording->calls[i].to);
    }
    free(recording->files);
    free(recording->names);
    free(recording->calls);
    (void)pthread_mutex_destroy(&recording->lock);
}

/* The journal is whole and stays as it is; calls go on working. */
static inline void
recording_stop(struct recording_os *recording)
{
    (void)recording_lock(&recording->os);
    recording->is_recording = false;
    recording_unlock(recording);
}

/* At this instant, after the calls that have returned and before those that have not. */
static inline void
recording_note(struct recording_os *recording, uint64_t what)
{
    (void)recording_lock(&recording->os);
    recording_add(recording, RECORDED_NOTE, 0, NULL, NULL)->offset = what;
    recording_unlock(recording);
}

#endif
