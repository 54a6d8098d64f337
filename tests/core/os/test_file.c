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

static char directory[64];

static int
make_directory(void **state)
{
    (void)snprintf(directory, sizeof directory, "/tmp/beava-os-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int
remove_directory(void **state)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

static void
test_a_replaced_file_is_all_of_the_new_or_all_of_the_old(void **state)
{
    struct bv_error err;
    struct buf text;
    bool exists;
    char path[OS_PATH_MAX];

    buf_init(&text);
    assert_int_equal(os_path(path, directory, "F", &err), BV_OK);
    assert_int_equal(os_read_file(&text, &exists, os_posix(), path, 100, &err), BV_OK);
    assert_false(exists);
    assert_int_equal(os_replace_file(os_posix(), directory, "F", slice_text("old"), &err), BV_OK);
    for (int call = OS_CALL_OPEN; call <= OS_CALL_RENAME; call++) {
        struct os_fault fault;

        if (call != OS_CALL_OPEN && call != OS_CALL_WRITE && call != OS_CALL_SYNC &&
            call != OS_CALL_RENAME) {
            continue;
        }
        os_fault_init(&fault, os_posix());
        os_fault_set(&fault, (enum os_call)call, (struct os_fault_rule){1, 1, EIO, 0});
        assert_int_equal(os_replace_file(&fault.os, directory, "F", slice_text("new"), &err),
                         BV_IO);
        assert_int_equal(err.os_errno, EIO);
        assert_non_null(strstr(err.message, directory));
        buf_clear(&text);
        assert_int_equal(os_read_file(&text, &exists, os_posix(), path, 100, &err), BV_OK);
        assert_true(slice_equal(buf_slice(&text), slice_text("old")));
    }
    buf_deinit(&text);
}

static void
test_writes_and_reads_go_on_after_short_and_interrupted_calls(void **state)
{
    struct os_fault fault;
    struct bv_error err;
    char path[OS_PATH_MAX];
    static uint8_t out[40000];
    static uint8_t in[50000];
    size_t got;
    int fd;

    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = (uint8_t)(i * 31);
    }
    os_fault_init(&fault, os_posix());
    assert_int_equal(os_path(path, directory, "G", &err), BV_OK);
    assert_int_equal(os_open(&fd, &fault.os, path, O_RDWR | O_CREAT, &err), BV_OK);
    os_fault_set(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, 0, 0});
    assert_int_equal(os_write_all(&fault.os, fd, path, out, sizeof out, 10, &err), BV_OK);
    assert_true(fault.calls[OS_CALL_WRITE] == 2);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, EINTR, 0});
    assert_int_equal(os_write_all(&fault.os, fd, path, "0123456789", 10, 0, &err), BV_OK);
    os_fault_set(&fault, OS_CALL_READ, (struct os_fault_rule){1, 1, 0, 0});
    assert_int_equal(os_read_at(&got, &fault.os, fd, path, in, sizeof in, 10, &err), BV_OK);
    assert_int_equal(got, sizeof out);
    assert_memory_equal(in, out, sizeof out);
    os_fault_set_next(&fault, OS_CALL_READ, (struct os_fault_rule){1, 1, EIO, 0});
    assert_int_equal(os_read_at(&got, &fault.os, fd, path, in, sizeof in, 0, &err), BV_IO);
    os_close(&fault.os, &fd);
    assert_int_equal(fd, -1);
}

static void
test_a_full_disk_is_an_error_with_its_reason(void **state)
{
    struct os_fault fault;
    struct bv_error err;
    char path[OS_PATH_MAX];
    int fd;

    os_fault_init(&fault, os_posix());
    assert_int_equal(os_path(path, directory, "H", &err), BV_OK);
    assert_int_equal(os_open(&fd, &fault.os, path, O_RDWR | O_CREAT, &err), BV_OK);
    os_fault_set(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 0, ENOSPC, 0});
    assert_int_equal(os_write_zeros(&fault.os, fd, path, 0, 1 << 20, &err), BV_IO);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_non_null(strstr(err.message, "No space left"));
    os_fault_set(&fault, OS_CALL_WRITE, (struct os_fault_rule){0});
    assert_int_equal(os_write_zeros(&fault.os, fd, path, 0, 1 << 20, &err), BV_OK);
    uint64_t size;
    assert_int_equal(os_file_size(&size, &fault.os, fd, path, &err), BV_OK);
    assert_int_equal(size, 1 << 20);
    os_close(&fault.os, &fd);
}

static void
test_directories_are_made_with_their_parents_and_listed_in_order(void **state)
{
    struct bv_error err;
    struct os_names names;
    char path[OS_PATH_MAX];

    assert_int_equal(os_path(path, directory, "a//b/c/", &err), BV_OK);
    assert_int_equal(os_make_directory(os_posix(), path, &err), BV_OK);
    assert_int_equal(os_make_directory(os_posix(), path, &err), BV_OK);
    assert_int_equal(os_replace_file(os_posix(), path, "2", slice_text(""), &err), BV_OK);
    assert_int_equal(os_replace_file(os_posix(), path, "1", slice_text(""), &err), BV_OK);
    assert_int_equal(os_list(&names, os_posix(), path, &err), BV_OK);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[0], "1");
    assert_string_equal(names.names[1], "2");
    os_names_deinit(&names);
    assert_int_equal(os_unlink(os_posix(), path, "1", &err), BV_OK);
    assert_int_equal(os_unlink(os_posix(), path, "1", &err), BV_IO);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(os_make_directory(os_posix(), "", &err), BV_CONFIG);
    assert_int_equal(os_list(&names, os_posix(), "/nowhere/at/all", &err), BV_IO);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
}

static void
test_a_path_too_long_is_refused(void **state)
{
    struct bv_error err;
    char path[OS_PATH_MAX];
    char name[OS_PATH_MAX];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(os_path(path, directory, name, &err), BV_CONFIG);
}

static void
test_a_lock_is_held_until_its_descriptor_is_closed(void **state)
{
    char holder[OS_HOLDER_SIZE];
    char self[OS_HOLDER_SIZE];
    struct bv_error err;
    int first;
    int second;
    char path[OS_PATH_MAX];

    assert_int_equal(os_lock_directory(&first, os_posix(), directory, &err), BV_OK);
    assert_true(os_lock_is_held(holder, os_posix(), directory));
    (void)snprintf(self, sizeof self, "process %ld", (long)getpid());
    assert_string_equal(holder, self);
    assert_int_equal(os_lock_directory(&second, os_posix(), directory, &err), BV_LOCKED);
    /* closing another descriptor of the file does not let go of it */
    assert_int_equal(os_path(path, directory, "LOCK", &err), BV_OK);
    int other = open(path, O_RDONLY);
    close(other);
    assert_int_equal(os_lock_directory(&second, os_posix(), directory, &err), BV_LOCKED);
    os_close(os_posix(), &first);
    assert_false(os_lock_is_held(holder, os_posix(), directory));
    assert_int_equal(os_lock_directory(&second, os_posix(), directory, &err), BV_OK);
    os_close(os_posix(), &second);
}

static void
test_remote_file_systems_are_told_by_their_magic(void **state)
{
    static const uint32_t magics[] = {0x6969,     0x517b,     0xff534d42,
                                      0xfe534d42, 0x65735546, 0x01021997};
    struct os_fault fault;
    struct bv_error err;

    os_fault_init(&fault, os_posix());
    assert_int_equal(os_check_local(&fault.os, directory, "WAL", &err), BV_OK);
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        os_fault_set(&fault, OS_CALL_FS_TYPE, (struct os_fault_rule){1, 0, 0, magics[i]});
        assert_int_equal(os_check_local(&fault.os, directory, "WAL", &err), BV_CONFIG);
    }
    os_fault_set(&fault, OS_CALL_FS_TYPE, (struct os_fault_rule){1, 0, EIO, 0});
    assert_int_equal(os_check_local(&fault.os, directory, "WAL", &err), BV_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_replaced_file_is_all_of_the_new_or_all_of_the_old),
        cmocka_unit_test(test_writes_and_reads_go_on_after_short_and_interrupted_calls),
        cmocka_unit_test(test_a_full_disk_is_an_error_with_its_reason),
        cmocka_unit_test(test_directories_are_made_with_their_parents_and_listed_in_order),
        cmocka_unit_test(test_a_path_too_long_is_refused),
        cmocka_unit_test(test_a_lock_is_held_until_its_descriptor_is_closed),
        cmocka_unit_test(test_remote_file_systems_are_told_by_their_magic),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
