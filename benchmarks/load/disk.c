/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

/* Control D: what the disk asks for one durable write, with no server around it.
 *
 *   beava-load-disk DIRECTORY [size [seconds]]     default 4096 bytes, 2 s for each way
 *
 * Writes blocks one after the other into a file that was filled beforehand, in two ways: pwrite and
 * fdatasync, and O_DIRECT with RWF_DSYNC. One JSON line for each, times in microseconds. */
#define FILE_SIZE  (64u << 20)
#define ALIGNMENT  4096u
#define FILL_BYTES (1u << 20)

static uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool
fill(const char *path)
{
    bool is_filled = true;
    char *zeros = calloc(1, FILL_BYTES);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    for (size_t size = 0; is_filled && size < FILE_SIZE; size += FILL_BYTES) {
        is_filled = zeros != NULL && fd >= 0 && write(fd, zeros, FILL_BYTES) == FILL_BYTES;
    }
    is_filled = is_filled && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    free(zeros);
    return is_filled;
}

static bool
write_once(int fd, const void *block, size_t size, off_t offset, bool is_direct)
{
    if (is_direct) {
        struct iovec vector = {.iov_base = (void *)(uintptr_t)block, .iov_len = size};

        return pwritev2(fd, &vector, 1, offset, RWF_DSYNC) == (ssize_t)size;
    }
    return pwrite(fd, block, size, offset) == (ssize_t)size && fdatasync(fd) == 0;
}

static bool
measure(const char *path, size_t size, double seconds, bool is_direct)
{
    bool is_good = false;
    struct histogram *histogram = calloc(1, sizeof *histogram);
    char *block = aligned_alloc(ALIGNMENT, size);
    int fd = open(path, O_WRONLY | (is_direct ? O_DIRECT : 0));
    uint64_t end_ns = clock_ns() + (uint64_t)(seconds * 1e9);
    off_t offset = 0;

    if (histogram == NULL || block == NULL || fd < 0) {
        goto done;
    }
    memset(block, 'b', size);
    for (uint64_t start_ns = clock_ns(); start_ns < end_ns;) {
        uint64_t now_ns;

        if (!write_once(fd, block, size, offset, is_direct)) {
            goto done;
        }
        now_ns = clock_ns();
        histogram_add(histogram, now_ns - start_ns, 1);
        start_ns = now_ns;
        offset = (offset + (off_t)size) % (off_t)FILE_SIZE;
        offset = offset + (off_t)size > (off_t)FILE_SIZE ? 0 : offset;
    }
    printf("{\"way\":\"%s\",\"size\":%zu,\"writes\":%" PRIu64
           ",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}\n",
           is_direct ? "direct" : "fdatasync", size, histogram->total,
           (double)histogram_quantile_ns(histogram, 0.5) / 1e3,
           (double)histogram_quantile_ns(histogram, 0.99) / 1e3,
           (double)histogram_quantile_ns(histogram, 0.999) / 1e3);
    is_good = true;
done:
    if (!is_good) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    free(block);
    free(histogram);
    return is_good;
}

int
main(int argc, char **argv)
{
    char path[4096];
    size_t size = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : ALIGNMENT;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2.0;
    bool is_good;

    if (argc < 2 || size == 0 || size % ALIGNMENT != 0 || size > FILE_SIZE / 2) {
        fputs("beava-load-disk DIRECTORY [size, a multiple of 4096 [seconds]]\n", stderr);
        return 2;
    }
    snprintf(path, sizeof path, "%s/beava-load-disk.%ld", argv[1], (long)getpid());
    is_good =
        fill(path) && measure(path, size, seconds, false) && measure(path, size, seconds, true);
    unlink(path);
    return is_good ? 0 : 1;
}
