/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/machine.h"

static char root[64];

static int
make_root(void **state)
{
    strcpy(root, "/tmp/beava-test-machine-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int
drop_root(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* A file below the root, directories included. */
static void
put(const char *path, const char *text)
{
    char whole[256];
    FILE *file;

    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = strchr(whole + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(whole, 0700);
        *at = '/';
    }
    file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#define MEMINFO "MemTotal:        1000 kB\nMemFree:          10 kB\n"

static void
test_without_groups_the_machine_is_the_limit(void **state)
{
    assert_int_equal(machine_memory_limit(root), 0);
    put("/proc/meminfo", MEMINFO);
    assert_int_equal(machine_memory_limit(root), 1024000);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(machine_memory_limit(root), 1024000);
}

static void
test_the_tightest_group_on_the_way_up_counts(void **state)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/kube/pod/box\n");
    put("/sys/fs/cgroup/kube/pod/box/memory.max", "900000\n");
    assert_int_equal(machine_memory_limit(root), 900000);
    put("/sys/fs/cgroup/kube/memory.max", "500000\n");
    assert_int_equal(machine_memory_limit(root), 500000);
    put("/sys/fs/cgroup/memory.max", "5000000\n"); /* more than the machine has */
    assert_int_equal(machine_memory_limit(root), 500000);
}

static void
test_the_older_kind_of_groups_is_read_too(void **state)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "9:cpu,cpuacct:/x\n8:memory:/docker/abc\n0::/x\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(machine_memory_limit(root), 1024000);
    put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "400000\n");
    assert_int_equal(machine_memory_limit(root), 400000);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "300000\n");
    assert_int_equal(machine_memory_limit(root), 300000);
}

static void
test_the_machine_of_this_test_has_memory(void **state)
{
    assert_in_range(machine_memory_limit(""), 16ull << 20, 1ull << 50);
}

static void
test_a_process_knows_itself(void **state)
{
    struct machine_process before;
    struct machine_process after;
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    volatile unsigned spin = 0;
    int fd;

    machine_process_read(&before);
    assert_in_range(before.resident_bytes, 100000, before.virtual_bytes);
    assert_in_range(before.start_time_ms, now_ms - 600000, now_ms + 5000);
    assert_in_range(before.open_fds, 3, before.max_fds);
    fd = open("/dev/null", O_RDONLY);
    for (unsigned i = 0; i < 30000000; i++) {
        spin += i;
    }
    machine_process_read(&after);
    close(fd);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    assert_true(after.cpu_us > before.cpu_us);
    assert_int_equal(after.start_time_ms, before.start_time_ms);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_groups_the_machine_is_the_limit, make_root,
                                        drop_root),
        cmocka_unit_test_setup_teardown(test_the_tightest_group_on_the_way_up_counts, make_root,
                                        drop_root),
        cmocka_unit_test_setup_teardown(test_the_older_kind_of_groups_is_read_too, make_root,
                                        drop_root),
        cmocka_unit_test(test_the_machine_of_this_test_has_memory),
        cmocka_unit_test(test_a_process_knows_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
