/* SPDX-License-Identifier: Apache-2.0 */
/* The real file calls: what the kernel gives, one function each.
 *
 * Enters:  calls through struct os.
 * Leaves:  the kernel's answer, -1 and errno for a refusal.
 * Owner:   any thread; there is no state. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/file.h"

static int
posix_open(struct os *os, const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC, 0666);
}

static int
posix_close(struct os *os, int fd)
{
    return close(fd);
}

static ssize_t
posix_read(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    return pread(fd, data, size, (off_t)offset);
}

static ssize_t
posix_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
            int flags)
{
    return pwritev2(fd, parts, part_count, (off_t)offset, flags);
}

static int
posix_sync(struct os *os, int fd, bool data_only)
{
    return data_only ? fdatasync(fd) : fsync(fd);
}

static int
posix_truncate(struct os *os, int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size);
}

static int64_t
posix_size(struct os *os, int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 ? (int64_t)stat.st_size : -1;
}

static int
posix_rename(struct os *os, const char *from, const char *to)
{
    return rename(from, to);
}

static int
posix_unlink(struct os *os, const char *path)
{
    return unlink(path);
}

static int
posix_mkdir(struct os *os, const char *path)
{
    return mkdir(path, 0777);
}

static int
posix_list(struct os *os, const char *path, os_list_entry entry, void *context)
{
    DIR *directory = opendir(path);
    int failure = 0;

    if (directory == NULL) {
        return -1;
    }
    for (;;) {
        errno = 0;
        struct dirent *item = readdir(directory);
        if (item == NULL) {
            failure = errno;
            break;
        }
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0) {
            entry(context, item->d_name);
        }
    }
    closedir(directory);
    errno = failure;
    return failure == 0 ? 0 : -1;
}

/* An open-file-description lock: it belongs to the descriptor, so closing another descriptor of the
 * same file does not release it, as a process-owned lock would. */
static int
posix_lock(struct os *os, int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

static int64_t
posix_fs_type(struct os *os, const char *path)
{
    struct statfs fs;

    /* 32 bits: the magics of SMB and CIFS have the top bit set and are sign-extended otherwise */
    return statfs(path, &fs) == 0 ? (int64_t)(uint32_t)fs.f_type : -1;
}

static int64_t
posix_fs_free(struct os *os, const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 ? (int64_t)((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize) : -1;
}

struct os *
os_posix(void)
{
    static struct os os = {
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .truncate = posix_truncate,
        .size = posix_size,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .list = posix_list,
        .lock = posix_lock,
        .fs_type = posix_fs_type,
        .fs_free = posix_fs_free,
    };

    return &os;
}
