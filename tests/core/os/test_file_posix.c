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

#include "os/file.h"

static void
count_entry(void *context, const char *name)
{
    *(int *)context += 1;
}

static void
test_the_bare_calls_do_what_the_kernel_does(void **state)
{
    struct os *os = os_posix();
    char directory[] = "/tmp/beava-posix-XXXXXX";
    char path[64];
    char moved[64];
    char in[8] = {0};
    int entries = 0;
    struct iovec parts[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cd", 2}};

    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/f", directory);
    (void)snprintf(moved, sizeof moved, "%s/g", directory);
    assert_int_equal(os->open(os, path, O_RDWR), -1);
    assert_int_equal(errno, ENOENT);
    int fd = os->open(os, path, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(os->write(os, fd, parts, 2, 3, RWF_DSYNC), 4);
    assert_int_equal(os->size(os, fd), 7);
    assert_int_equal(os->read(os, fd, in, sizeof in, 2), 5);
    assert_memory_equal(in, "\0abcd", 5);
    assert_int_equal(os->truncate(os, fd, 5), 0);
    assert_int_equal(os->size(os, fd), 5);
    assert_int_equal(os->sync(os, fd, true), 0);
    assert_int_equal(os->sync(os, fd, false), 0);
    assert_int_equal(os->lock(os, fd), 0);
    int other = os->open(os, path, O_RDWR);
    assert_int_equal(os->lock(os, other), -1);
    assert_true(errno == EAGAIN || errno == EACCES);
    assert_int_equal(os->close(os, other), 0);
    assert_int_equal(os->rename(os, path, moved), 0);
    assert_int_equal(os->list(os, directory, count_entry, &entries), 0);
    assert_int_equal(entries, 1);
    assert_true(os->fs_type(os, directory) > 0);
    assert_int_equal(os->fs_type(os, path), -1);
    assert_true(os->fs_free(os, directory) > 0);
    assert_int_equal(os->fs_free(os, path), -1);
    assert_int_equal(os->mkdir(os, directory), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(os->unlink(os, moved), 0);
    assert_int_equal(os->close(os, fd), 0);
    assert_int_equal(os->size(os, fd), -1);
    assert_int_equal(os->list(os, moved, count_entry, &entries), -1);
    assert_int_equal(rmdir(directory), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bare_calls_do_what_the_kernel_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
