/* SPDX-License-Identifier: Apache-2.0 */
/* The machine and this process, as the kernel's own files tell.
 *
 * Enters:  nothing.
 * Leaves:  numbers; 0 where a file is missing or reads unlike what it should.
 * Owner:   nobody: each call opens, reads and closes. Any thread.
 *
 * Invariants
 *   (1) A limit is the tightest on the way from our control group to the root: each of them holds.
 */
#include "os/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TEXT_MAX      4096
#define PATH_TEXT_MAX 1024
#define V1_UNLIMITED  (1ull << 62) /* what v1 says instead of "max" is a little below 2^63 */
#define STAT_VIRTUAL  23           /* fields of /proc/self/stat, the first is 1 */
#define STAT_RESIDENT 24
#define STAT_START    22
#define STAT_COMM_END 2

/* The beginning of a small file as a string; empty when it cannot be read. */
static void
read_text(char *out, size_t size, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);

    out[got > 0 ? got : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

static void
tighten(uint64_t *limit, uint64_t bytes)
{
    if (bytes != 0 && (*limit == 0 || bytes < *limit)) {
        *limit = bytes;
    }
}

/* One control group after the other, up to the root. `group` is cut as it climbs. */
static void
climb(uint64_t *limit, const char *root, const char *mount, char *group, const char *file)
{
    for (;;) {
        char path[PATH_TEXT_MAX * 2];
        char text[64];
        char *slash;

        snprintf(path, sizeof path, "%s%s%s/%s", root, mount, group, file);
        read_text(text, sizeof text, path);
        if (text[0] >= '0' && text[0] <= '9') { /* not "max" */
            uint64_t bytes = strtoull(text, NULL, 10);

            tighten(limit, bytes < V1_UNLIMITED ? bytes : 0);
        }
        slash = strrchr(group, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup is "id:controllers:path"; v2 has id 0 and no controllers. */
static void
tighten_by_group(uint64_t *limit, const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (group == NULL) {
        return;
    }
    *group++ = '\0';
    if (strcmp(line, "0:") == 0) {
        climb(limit, root, "/sys/fs/cgroup", group, "memory.max");
    } else if (strcmp(controllers + 1, "memory") == 0) {
        climb(limit, root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    }
}

uint64_t
machine_memory_limit(const char *root)
{
    uint64_t limit = 0;
    char path[PATH_TEXT_MAX];
    char text[TEXT_MAX];
    char *rest = NULL;
    const char *total;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    read_text(text, sizeof text, path);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strlen(line) < PATH_TEXT_MAX) {
            tighten_by_group(&limit, root, line);
        }
    }
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    read_text(text, sizeof text, path);
    total = strstr(text, "MemTotal:");
    if (total != NULL) {
        tighten(&limit, strtoull(total + strlen("MemTotal:"), NULL, 10) * 1024);
    }
    return limit;
}

static uint64_t
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;
    const struct dirent *entry;

    if (directory == NULL) {
        return 0;
    }
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count - 1; /* the directory's own */
}

/* Field `number` of /proc/self/stat; the name in the second one may hold anything but ends at the
 * last bracket. */
static uint64_t
stat_field(const char *text, int number)
{
    const char *at = strrchr(text, ')');

    for (int i = STAT_COMM_END; i < number && at != NULL; i++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static uint64_t
boot_time_s(void)
{
    char text[64 * 1024]; /* "btime" stands behind a line of counters per interrupt */
    const char *at;

    read_text(text, sizeof text, "/proc/stat");
    at = strstr(text, "\nbtime ");
    return at == NULL ? 0 : strtoull(at + strlen("\nbtime "), NULL, 10);
}

void
machine_process_read(struct machine_process *out)
{
    const uint64_t ticks_per_s = (uint64_t)sysconf(_SC_CLK_TCK);
    struct rusage usage = {0};
    struct rlimit limit = {0};
    char text[TEXT_MAX];

    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    read_text(text, sizeof text, "/proc/self/stat");
    *out = (struct machine_process){
        .cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
        .resident_bytes = stat_field(text, STAT_RESIDENT) * (uint64_t)sysconf(_SC_PAGESIZE),
        .virtual_bytes = stat_field(text, STAT_VIRTUAL),
        .open_fds = count_descriptors(),
        .max_fds = limit.rlim_cur,
        .start_time_ms = boot_time_s() * 1000 + stat_field(text, STAT_START) * 1000 / ticks_per_s,
    };
}
