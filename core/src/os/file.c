/* SPDX-License-Identifier: Apache-2.0 */
/* Whole file operations over the bare calls: all or an error that names the file.
 *
 * Enters:  paths, bytes, descriptors.
 * Leaves:  a status; the message says which call failed on which path and why.
 * Owner:   any thread; there is no state.
 *
 * Invariants
 *   (1) A name that a call here created, changed or removed is synced with its directory before the
 *       call returns (a directory sync that fails is a failure).
 *   (2) A sync that failed is never tried again: the kernel may have dropped the pages, so a second
 *       success would prove nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "util/assert.h"

#define ZEROS_SIZE (256u * 1024)

static enum bv_status
os_failure(struct bv_error *err, const char *verb, const char *path)
{
    int number = errno;
    char reason[128];

    bv_error_set(err, BV_IO, "cannot %s %s: %s", verb, path,
                 strerror_r(number, reason, sizeof reason));
    if (err != NULL) {
        err->os_errno = number;
    }
    return BV_IO;
}

enum bv_status
os_path(char out[OS_PATH_MAX], const char *directory, const char *name, struct bv_error *err)
{
    int size = snprintf(out, OS_PATH_MAX, "%s/%s", directory, name);

    if (size < 0 || size >= OS_PATH_MAX) {
        return bv_error_set(err, BV_CONFIG, "the path of %s is longer than %d bytes", name,
                            OS_PATH_MAX - 1);
    }
    return BV_OK;
}

enum bv_status
os_open(int *out, struct os *os, const char *path, int flags, struct bv_error *err)
{
    do {
        *out = os->open(os, path, flags);
    } while (*out < 0 && errno == EINTR);
    return *out < 0 ? os_failure(err, "open", path) : BV_OK;
}

void
os_close(struct os *os, int *fd)
{
    if (*fd >= 0) {
        (void)os->close(os, *fd); /* what matters was synced, and that was checked */
        *fd = -1;
    }
}

enum bv_status
os_write_all(struct os *os, int fd, const char *path, const void *data, size_t size,
             uint64_t offset, struct bv_error *err)
{
    const uint8_t *from = data;

    while (size > 0) {
        struct iovec part = {(void *)(uintptr_t)from, size};
        ssize_t written = os->write(os, fd, &part, 1, offset, 0);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return os_failure(err, "write", path);
        }
        from += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
    return BV_OK;
}

enum bv_status
os_read_at(size_t *out_size, struct os *os, int fd, const char *path, void *data, size_t size,
           uint64_t offset, struct bv_error *err)
{
    uint8_t *to = data;

    *out_size = 0;
    while (*out_size < size) {
        ssize_t got = os->read(os, fd, to + *out_size, size - *out_size, offset + *out_size);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return os_failure(err, "read", path);
        }
        if (got == 0) {
            break;
        }
        *out_size += (size_t)got;
    }
    return BV_OK;
}

enum bv_status
os_file_size(uint64_t *out, struct os *os, int fd, const char *path, struct bv_error *err)
{
    int64_t size = os->size(os, fd);

    if (size < 0) {
        return os_failure(err, "look at", path);
    }
    *out = (uint64_t)size;
    return BV_OK;
}

enum bv_status
os_sync(struct os *os, int fd, const char *path, struct bv_error *err)
{
    return os->sync(os, fd, true) != 0 ? os_failure(err, "sync", path) : BV_OK;
}

enum bv_status
os_truncate(struct os *os, int fd, const char *path, uint64_t size, struct bv_error *err)
{
    return os->truncate(os, fd, size) != 0 ? os_failure(err, "truncate", path) : BV_OK;
}

enum bv_status
os_write_zeros(struct os *os, int fd, const char *path, uint64_t offset, uint64_t size,
               struct bv_error *err)
{
    static const _Alignas(OS_ALIGN) uint8_t zeros[ZEROS_SIZE];

    BV_ASSERT(offset % OS_ALIGN == 0);
    BV_ASSERT(size % OS_ALIGN == 0);
    while (size > 0) {
        size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;
        enum bv_status status = os_write_all(os, fd, path, zeros, part, offset, err);

        if (status != BV_OK) {
            return status;
        }
        offset += part;
        size -= part;
    }
    return BV_OK;
}

enum bv_status
os_read_file(struct buf *out, bool *exists, struct os *os, const char *path, size_t limit,
             struct bv_error *err)
{
    size_t got = 0;
    int fd = os->open(os, path, O_RDONLY);

    *exists = fd >= 0;
    if (fd < 0) {
        return errno == ENOENT ? BV_OK : os_failure(err, "open", path);
    }
    enum bv_status status = BV_OK;
    if (!buf_reserve(out, limit)) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory to read %s", path);
        goto done;
    }
    status = os_read_at(&got, os, fd, path, out->data + out->size, limit, 0, err);
    out->size += got;
done:
    os_close(os, &fd);
    return status;
}

enum bv_status
os_replace_file(struct os *os, const char *directory, const char *name, struct slice data,
                struct bv_error *err)
{
    char temporary[256];
    char path[OS_PATH_MAX];
    int fd = -1;

    (void)snprintf(temporary, sizeof temporary, "%s.tmp", name);
    enum bv_status status = os_path(path, directory, temporary, err);
    if (status != BV_OK) {
        goto done;
    }
    status = os_open(&fd, os, path, O_WRONLY | O_CREAT | O_TRUNC, err);
    if (status != BV_OK) {
        goto done;
    }
    status = os_write_all(os, fd, path, data.data, data.size, 0, err);
    if (status != BV_OK) {
        goto done;
    }
    status = os_sync(os, fd, path, err);
    if (status != BV_OK) {
        goto done;
    }
    status = os_rename(os, directory, temporary, name, err);
done:
    os_close(os, &fd);
    return status;
}

enum bv_status
os_rename(struct os *os, const char *directory, const char *from, const char *to,
          struct bv_error *err)
{
    char from_path[OS_PATH_MAX];
    char to_path[OS_PATH_MAX];
    enum bv_status status = os_path(from_path, directory, from, err);

    if (status == BV_OK) {
        status = os_path(to_path, directory, to, err);
    }
    if (status != BV_OK) {
        return status;
    }
    if (os->rename(os, from_path, to_path) != 0) {
        return os_failure(err, "rename", from_path);
    }
    return os_sync_directory(os, directory, err);
}

enum bv_status
os_unlink(struct os *os, const char *directory, const char *name, struct bv_error *err)
{
    char path[OS_PATH_MAX];
    enum bv_status status = os_path(path, directory, name, err);

    if (status != BV_OK) {
        return status;
    }
    if (os->unlink(os, path) != 0) {
        return os_failure(err, "remove", path);
    }
    return os_sync_directory(os, directory, err);
}

enum bv_status
os_sync_directory(struct os *os, const char *path, struct bv_error *err)
{
    int fd = -1;
    enum bv_status status = os_open(&fd, os, path, O_RDONLY | O_DIRECTORY, err);

    if (status != BV_OK) {
        return status;
    }
    if (os->sync(os, fd, false) != 0) {
        status = os_failure(err, "sync directory", path);
    }
    os_close(os, &fd);
    return status;
}

/* Creates the last part of `path`; its parent is there. */
static enum bv_status
make_one_directory(struct os *os, const char *path, struct bv_error *err)
{
    char parent[OS_PATH_MAX];

    if (os->mkdir(os, path) != 0) {
        return errno == EEXIST ? BV_OK : os_failure(err, "create directory", path);
    }
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return os_sync_directory(os, ".", err);
    }
    slash[slash == parent ? 1 : 0] = '\0';
    return os_sync_directory(os, parent, err);
}

enum bv_status
os_make_directory(struct os *os, const char *path, struct bv_error *err)
{
    char part[OS_PATH_MAX];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof part) {
        return bv_error_set(err, BV_CONFIG, "a directory path must have 1 to %d bytes",
                            OS_PATH_MAX - 1);
    }
    memcpy(part, path, size + 1);
    while (size > 1 && part[size - 1] == '/') {
        part[--size] = '\0';
    }
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        char kept = part[i];
        part[i] = '\0';
        enum bv_status status = part[i - 1] == '/' ? BV_OK : make_one_directory(os, part, err);
        part[i] = kept;
        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

static void
names_add(void *context, const char *name)
{
    struct os_names *names = context;

    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 16 : names->capacity * 2;
        char **grown = realloc(names->names, capacity * sizeof *grown);
        if (grown == NULL) {
            names->failed = true;
            return;
        }
        names->names = grown;
        names->capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        names->failed = true;
        return;
    }
    names->names[names->count++] = copy;
}

static int
names_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum bv_status
os_list(struct os_names *out, struct os *os, const char *path, struct bv_error *err)
{
    *out = (struct os_names){0};
    if (os->list(os, path, names_add, out) != 0) {
        enum bv_status status = os_failure(err, "list", path);
        os_names_deinit(out);
        return status;
    }
    if (out->failed) {
        os_names_deinit(out);
        return bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", path);
    }
    if (out->count > 1) {
        qsort(out->names, out->count, sizeof *out->names, names_compare);
    }
    return BV_OK;
}

void
os_names_deinit(struct os_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
    *names = (struct os_names){0};
}

enum bv_status
os_check_local(struct os *os, const char *path, const char *what, struct bv_error *err)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } remote[] = {
        {0x6969, "NFS"},        {0x517b, "SMB"},        {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"},   {0x65735546, "FUSE"},   {0x01021997, "9p"},
        {0x00c36400, "Ceph"},   {0x0bd00bd0, "Lustre"}, {0x6a656a63, "fakeowner"},
        {0x5346414f, "AFS"},    {0x6b414653, "AFS"},    {0x73757245, "Coda"},
        {0x7461636f, "OCFS2"},  {0x01161970, "GFS2"},   {0x47504653, "GPFS"},
        {0x19830326, "BeeGFS"}, {0xaad7aaea, "PanFS"},  {0x564c, "NCP"},
        {0x013111a8, "IBRIX"},  {0x7c7c6673, "prl_fs"}, {0x786f4256, "vboxsf"},
        {0xbacbacbc, "vmhgfs"}, {0x61636673, "ACFS"},
    };
    int64_t type = os->fs_type(os, path);

    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        if (type == (int64_t)remote[i].magic) {
            bv_error_set(err, BV_CONFIG,
                         "%s directory %s is on a network filesystem (NFS/SMB/FUSE); local block "
                         "storage required (found %s)",
                         what, path, remote[i].name);
            bv_error_hint(err, "move it to a local disk, or pass --allow-network-fs");
            return BV_CONFIG;
        }
    }
    return BV_OK;
}

/* "another process" or "process <pid>", from the text in the lock file. */
static void
lock_holder(char *out, size_t size, struct os *os, int fd, const char *path)
{
    char text[24] = {0};
    size_t got = 0;
    unsigned long pid = 0;

    if (os_read_at(&got, os, fd, path, text, sizeof text - 1, 0, NULL) == BV_OK) {
        pid = strtoul(text, NULL, 10);
    }
    if (pid != 0) {
        (void)snprintf(out, size, "process %lu", pid);
    } else {
        (void)snprintf(out, size, "another process");
    }
}

enum bv_status
os_lock_directory(int *out_fd, struct os *os, const char *directory, struct bv_error *err)
{
    char path[OS_PATH_MAX];
    char text[24];
    int fd = -1;
    enum bv_status status = os_path(path, directory, "LOCK", err);

    *out_fd = -1;
    if (status != BV_OK) {
        goto done;
    }
    status = os_open(&fd, os, path, O_RDWR | O_CREAT, err);
    if (status != BV_OK) {
        goto done;
    }
    if (os->lock(os, fd) != 0) {
        if (errno != EAGAIN && errno != EACCES) {
            status = os_failure(err, "lock", path);
            goto done;
        }
        char holder[OS_HOLDER_SIZE];
        lock_holder(holder, sizeof holder, os, fd, path);
        status = bv_error_set(err, BV_LOCKED, "%s is in use by %s", directory, holder);
        bv_error_hint(err, "stop it, or give this one a directory of its own");
        goto done;
    }
    (void)snprintf(text, sizeof text, "%ld\n", (long)getpid());
    status = os_truncate(os, fd, path, 0, err);
    if (status == BV_OK) {
        status = os_write_all(os, fd, path, text, strlen(text), 0, err);
    }
    if (status != BV_OK) {
        goto done;
    }
    *out_fd = fd;
    fd = -1; /* handed over */
done:
    os_close(os, &fd);
    return status;
}

bool
os_lock_is_held(char holder[OS_HOLDER_SIZE], struct os *os, const char *directory)
{
    char path[OS_PATH_MAX];
    int fd = -1;
    bool is_held = false;

    holder[0] = '\0';
    if (os_path(path, directory, "LOCK", NULL) != BV_OK ||
        os_open(&fd, os, path, O_RDWR, NULL) != BV_OK) {
        return false;
    }
    if (os->lock(os, fd) != 0) {
        is_held = errno == EAGAIN || errno == EACCES;
        lock_holder(holder, OS_HOLDER_SIZE, os, fd, path);
    }
    os_close(os, &fd);
    return is_held;
}
