/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/fault.h"
#include "util/clock.h"

static struct os_fault fault;
static char path[] = "/tmp/beava-fault-XXXXXX";
static int fd;

static int
open_file(void **state)
{
    int made = mkstemp(path);

    close(made);
    os_fault_init(&fault, os_posix());
    fd = fault.os.open(&fault.os, path, O_RDWR);
    return fd < 0;
}

static int
close_file(void **state)
{
    fault.os.close(&fault.os, fd);
    return unlink(path);
}

static ssize_t
write_pages(int count, int flags)
{
    static _Alignas(4096) uint8_t pages[8 * 4096];
    struct iovec part = {pages, (size_t)count * 4096};

    return fault.os.write(&fault.os, fd, &part, 1, 0, flags);
}

static void
test_only_the_ordered_calls_fail(void **state)
{
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){3, 2, ENOSPC, 0});
    assert_int_equal(write_pages(1, 0), 4096);
    assert_int_equal(write_pages(1, 0), 4096);
    errno = 0;
    assert_int_equal(write_pages(1, 0), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(write_pages(1, 0), -1);
    assert_int_equal(write_pages(1, 0), 4096);
    os_fault_set(&fault, OS_CALL_WRITE, (struct os_fault_rule){0});
}

static void
test_a_short_write_leaves_half_of_the_pages(void **state)
{
    assert_int_equal(fault.os.truncate(&fault.os, fd, 0), 0);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, 0, 0});
    assert_int_equal(write_pages(4, 0), 8192);
    assert_int_equal(fault.os.size(&fault.os, fd), 8192);
}

static void
test_a_synced_write_counts_as_a_sync_too(void **state)
{
    os_fault_set_next(&fault, OS_CALL_SYNC, (struct os_fault_rule){2, 1, EIO, 0});
    assert_int_equal(fault.os.sync(&fault.os, fd, true), 0);
    errno = 0;
    assert_int_equal(write_pages(1, RWF_DSYNC), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(write_pages(1, RWF_DSYNC), 4096);
}

static void
test_a_call_can_say_ok_without_doing_it(void **state)
{
    os_fault_set_next(&fault, OS_CALL_TRUNCATE, (struct os_fault_rule){1, 1, 0, 0});
    assert_int_equal(write_pages(2, 0), 8192);
    assert_int_equal(fault.os.truncate(&fault.os, fd, 0), 0);
    assert_true(fault.os.size(&fault.os, fd) >= 8192);
}

static void
test_writes_can_be_slow_and_free_space_made_up(void **state)
{
    atomic_store(&fault.write_delay_us, 2000);
    uint64_t from_ns = clock_monotonic_ns();
    assert_int_equal(write_pages(1, 0), 4096);
    assert_true(clock_monotonic_ns() - from_ns >= 2000000);
    atomic_store(&fault.write_delay_us, 0);

    assert_true(fault.os.fs_free(&fault.os, path) > 0);
    os_fault_set_next(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 1, 0, 12345});
    assert_int_equal(fault.os.fs_free(&fault.os, path), 12345);
    os_fault_set_next(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 1, EIO, 0});
    assert_int_equal(fault.os.fs_free(&fault.os, path), -1);
    assert_true(fault.os.fs_free(&fault.os, path) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_ordered_calls_fail),
        cmocka_unit_test(test_a_short_write_leaves_half_of_the_pages),
        cmocka_unit_test(test_a_synced_write_counts_as_a_sync_too),
        cmocka_unit_test(test_a_call_can_say_ok_without_doing_it),
        cmocka_unit_test(test_writes_can_be_slow_and_free_space_made_up),
    };

    return cmocka_run_group_tests(tests, open_file, close_file);
}
