/* SPDX-License-Identifier: Apache-2.0 */
/* The file layer's twin that fails on command, so that every error path runs in a test.
 *
 * Enters:  calls through struct os, and a rule per kind of call.
 * Leaves:  the real answer, or the ordered failure.
 * Owner:   the test; counters are atomic because the log writer calls from its own thread. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "os/fault.h"

static struct os_fault *
fault_of(struct os *os)
{
    return (struct os_fault *)os; /* os is its first member */
}

/* True when this call has to fail; errno is set unless the rule says "ok" or "short". */
static bool
fault_strikes(struct os_fault *fault, enum os_call call, struct os_fault_rule *rule)
{
    uint64_t number = atomic_fetch_add(&fault->calls[call], 1) + 1;
    uint64_t at = atomic_load_explicit(&fault->armed_at[call], memory_order_acquire);

    if (at == 0 || number < at) {
        return false;
    }
    pthread_mutex_lock(&fault->lock); /* another thread may be setting the next rule */
    *rule = fault->rules[call];
    pthread_mutex_unlock(&fault->lock);
    if (rule->at == 0 || number < rule->at ||
        (rule->times != 0 && number >= rule->at + rule->times)) {
        return false;
    }
    atomic_fetch_add(&fault->failures, 1);
    if (rule->error != 0) {
        errno = rule->error;
    }
    return true;
}

/* What a struck call without a count answers. */
static int
fault_answer(const struct os_fault_rule *rule)
{
    return rule->error != 0 ? -1 : 0;
}

static int
fault_open(struct os *os, const char *path, int flags)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_OPEN, &rule)) {
        if (rule.error == 0) {
            errno = EIO;
        }
        return -1;
    }
    if (fault->refuse_direct && (flags & O_DIRECT) != 0) {
        errno = EINVAL;
        return -1;
    }
    return fault->real->open(fault->real, path, flags);
}

static int
fault_close(struct os *os, int fd)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;
    bool strikes = fault_strikes(fault, OS_CALL_CLOSE, &rule);
    int result = fault->real->close(fault->real, fd);

    return strikes ? fault_answer(&rule) : result;
}

static ssize_t
fault_read(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_READ, &rule)) {
        if (rule.error != 0) {
            return -1;
        }
        size = size > 1 ? size / 2 : size;
    }
    return fault->real->read(fault->real, fd, data, size, offset);
}

/* Half of the bytes really arrive: what a full disk does. */
static ssize_t
short_write(struct os_fault *fault, int fd, const struct iovec *parts, int part_count,
            uint64_t offset, int flags)
{
    size_t total = 0;

    for (int i = 0; i < part_count; i++) {
        total += parts[i].iov_len;
    }
    size_t half = total / 2 / OS_ALIGN * OS_ALIGN;
    struct iovec part = {parts[0].iov_base, parts[0].iov_len < half ? parts[0].iov_len : half};
    if (part.iov_len == 0) {
        return 0;
    }
    return fault->real->write(fault->real, fd, &part, 1, offset, flags);
}

static void
fault_delay(uint32_t us)
{
    struct timespec delay = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    if (us != 0) {
        (void)nanosleep(&delay, NULL);
    }
}

static ssize_t
fault_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
            int flags)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;
    bool is_synced = (flags & RWF_DSYNC) != 0;

    fault_delay(atomic_load(&fault->write_delay_us));
    if (fault_strikes(fault, OS_CALL_WRITE, &rule)) {
        return rule.error != 0 ? -1 : short_write(fault, fd, parts, part_count, offset, flags);
    }
    if (is_synced) {
        fault_delay(atomic_load(&fault->sync_delay_us));
        if (fault_strikes(fault, OS_CALL_SYNC, &rule)) {
            /* the bytes are written, the flush is what failed (or was never done) */
            ssize_t written =
                fault->real->write(fault->real, fd, parts, part_count, offset, flags & ~RWF_DSYNC);
            if (rule.error != 0) {
                errno = rule.error;
                return -1;
            }
            return written;
        }
    }
    return fault->real->write(fault->real, fd, parts, part_count, offset, flags);
}

static int
fault_sync(struct os *os, int fd, bool data_only)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    fault_delay(atomic_load(&fault->sync_delay_us));
    if (fault_strikes(fault, OS_CALL_SYNC, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->sync(fault->real, fd, data_only);
}

static int
fault_truncate(struct os *os, int fd, uint64_t size)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_TRUNCATE, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->truncate(fault->real, fd, size);
}

static int64_t
fault_size(struct os *os, int fd)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_SIZE, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->size(fault->real, fd);
}

static int
fault_rename(struct os *os, const char *from, const char *to)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_RENAME, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->rename(fault->real, from, to);
}

static int
fault_unlink(struct os *os, const char *path)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_UNLINK, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->unlink(fault->real, path);
}

static int
fault_mkdir(struct os *os, const char *path)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_MKDIR, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->mkdir(fault->real, path);
}

static int
fault_list(struct os *os, const char *path, os_list_entry entry, void *context)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_LIST, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->list(fault->real, path, entry, context);
}

static int
fault_lock(struct os *os, int fd)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_LOCK, &rule)) {
        return fault_answer(&rule);
    }
    return fault->real->lock(fault->real, fd);
}

static int64_t
fault_fs_type(struct os *os, const char *path)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_FS_TYPE, &rule)) {
        return rule.error != 0 ? -1 : (int64_t)rule.result;
    }
    return fault->real->fs_type(fault->real, path);
}

static int64_t
fault_fs_free(struct os *os, const char *path)
{
    struct os_fault *fault = fault_of(os);
    struct os_fault_rule rule;

    if (fault_strikes(fault, OS_CALL_FS_FREE, &rule)) {
        return rule.error != 0 ? -1 : (int64_t)rule.result;
    }
    return fault->real->fs_free(fault->real, path);
}

void
os_fault_set(struct os_fault *fault, enum os_call call, struct os_fault_rule rule)
{
    pthread_mutex_lock(&fault->lock);
    fault->rules[call] = rule;
    pthread_mutex_unlock(&fault->lock);
    atomic_store_explicit(&fault->armed_at[call], rule.at, memory_order_release);
}

void
os_fault_set_next(struct os_fault *fault, enum os_call call, struct os_fault_rule rule)
{
    rule.at += atomic_load(&fault->calls[call]);
    os_fault_set(fault, call, rule);
}

void
os_fault_init(struct os_fault *fault, struct os *real)
{
    memset(fault, 0, sizeof *fault);
    pthread_mutex_init(&fault->lock, NULL);
    fault->real = real;
    fault->os = (struct os){
        .open = fault_open,
        .close = fault_close,
        .read = fault_read,
        .write = fault_write,
        .sync = fault_sync,
        .truncate = fault_truncate,
        .size = fault_size,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .list = fault_list,
        .lock = fault_lock,
        .fs_type = fault_fs_type,
        .fs_free = fault_fs_free,
    };
}
