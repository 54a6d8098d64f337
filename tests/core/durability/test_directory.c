/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "os/fault.h"

static void
put_file(const struct fixture *f, const char *name, const char *text)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static size_t
name_count(const struct fixture *f)
{
    struct os_names names;

    assert_int_equal(os_list(&names, os_posix(), f->path, NULL), BV_OK);
    size_t count = names.count;
    os_names_deinit(&names);
    return count;
}

static void
test_a_second_opener_is_refused_and_told_who_holds_it(void **state)
{
    struct fixture f;
    struct wal_directory *second = NULL;
    char pid[32];

    fixture_init(&f, NULL);
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    assert_int_equal(wal_directory_open(&second, &f.options, &f.error), BV_LOCKED);
    (void)snprintf(pid, sizeof pid, "in use by process %ld", (long)getpid());
    assert_non_null(strstr(f.error.message, pid));
    assert_non_null(strstr(f.error.message, f.path));
    wal_directory_close(f.directory);
    f.directory = NULL;
    assert_int_equal(wal_directory_open(&second, &f.options, &f.error), BV_OK);
    wal_directory_close(second);
    fixture_deinit(&f);
}

static void
test_the_snapshot_directory_is_locked_and_marked_too(void **state)
{
    struct fixture f;
    struct wal_directory *second = NULL;
    char snapshots[128];
    char wal[128];

    fixture_init(&f, NULL);
    (void)snprintf(wal, sizeof wal, "%s/data/deep/wal", f.path);
    (void)snprintf(snapshots, sizeof snapshots, "%s/data/deep/snapshots/", f.path);
    f.options.dir = wal;
    f.options.snapshot_dir = snapshots;
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    assert_string_equal(f.directory->snapshot_path, snapshots);
    struct wal_options other = {.dir = f.path, .snapshot_dir = snapshots};
    (void)snprintf(wal, sizeof wal, "%s/other", f.path);
    other.dir = wal;
    assert_int_equal(wal_directory_open(&second, &other, &f.error), BV_LOCKED);
    assert_non_null(strstr(f.error.message, "snapshots"));
    fixture_deinit(&f);
}

static void
test_a_directory_of_another_version_is_refused_untouched(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    put_file(&f, "FORMAT", "beava-wal 2\n");
    put_file(&f, "segment-0000000000000001.log", "future");
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(f.error.message, "\"beava-wal 2\""));
    assert_non_null(strstr(f.error.message, "\"beava-wal 1\""));
    assert_int_equal(name_count(&f), 2);
    fixture_deinit(&f);
}

static void
test_a_directory_of_the_published_release_is_refused_untouched(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    put_file(&f, "wal-0000000000000000.wal", "old events");
    put_file(&f, "wal-0000000000000001.log", "old registry");
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(f.error.message, "wal-0000000000000000.wal"));
    assert_int_equal(name_count(&f), 2); /* not even a LOCK */
    fixture_deinit(&f);
}

static void
test_snapshots_of_the_published_release_are_refused_untouched(void **state)
{
    struct fixture f;
    char wal[128];

    fixture_init(&f, NULL);
    put_file(&f, "snapshot-0000000000000010.bvs", "BEAVASNP");
    (void)snprintf(wal, sizeof wal, "%s-wal", f.path);
    f.options.dir = wal;
    f.options.snapshot_dir = f.path;
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(f.error.message, "snapshot-0000000000000010.bvs"));
    assert_non_null(strstr(f.error.message, "\"beava-snapshots 1\""));
    assert_int_equal(name_count(&f), 1);
    (void)snprintf(wal, sizeof wal, "rm -r %s-wal", f.path);
    assert_int_equal(system(wal), 0);
    fixture_deinit(&f);
}

static void
test_one_directory_may_hold_both(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    f.options.snapshot_dir = f.path;
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    assert_string_equal(f.directory->snapshot_path, f.path);
    wal_directory_close(f.directory);
    f.options.snapshot_dir = NULL;
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    assert_string_equal(f.directory->snapshot_path, "");
    fixture_deinit(&f);
}

static void
test_a_network_file_system_is_refused_unless_allowed(void **state)
{
    struct os_fault fault;
    struct fixture f;

    os_fault_init(&fault, os_posix());
    fixture_init(&f, &fault.os);
    os_fault_set(&fault, OS_CALL_FS_TYPE, (struct os_fault_rule){1, 0, 0, 0x6969});
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_CONFIG);
    assert_non_null(strstr(f.error.message, "WAL directory"));
    assert_non_null(strstr(f.error.message, "is on a network filesystem (NFS/SMB/FUSE); local "
                                            "block storage required"));
    assert_non_null(strstr(f.error.hint, "--allow-network-fs"));
    assert_int_equal(name_count(&f), 0);
    f.options.allow_network_fs = true;
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    fixture_deinit(&f);
}

static void
test_every_failing_call_is_an_error_and_leaks_nothing(void **state)
{
    size_t failures = 0;

    for (int call = 0; call < OS_CALL_COUNT; call++) {
        for (uint64_t at = 1; at <= 30; at++) {
            struct os_fault fault;
            struct fixture f;

            if (call == OS_CALL_CLOSE || call == OS_CALL_FS_TYPE) {
                continue; /* neither decides anything */
            }
            os_fault_init(&fault, os_posix());
            fixture_init(&f, &fault.os);
            os_fault_set(&fault, (enum os_call)call, (struct os_fault_rule){at, 1, EIO, 0});
            enum bv_status status = fixture_open(&f);
            if (atomic_load(&fault.failures) > 0 && status != BV_OK) {
                assert_true(status == BV_IO);
                assert_int_equal(f.error.os_errno, EIO);
                failures++;
            } else if (f.wal != NULL) {
                fixture_close(&f);
            }
            os_fault_set(&fault, (enum os_call)call, (struct os_fault_rule){0});
            assert_true(status != BV_OK || atomic_load(&fault.failures) <= 1);
            if (f.directory != NULL) {
                wal_directory_close(f.directory);
                f.directory = NULL;
            }
            assert_int_equal(fixture_open(&f), BV_OK); /* and the next start is fine */
            bool is_spent = atomic_load(&fault.failures) == 0;
            fixture_deinit(&f);
            if (is_spent) {
                break;
            }
        }
    }
    assert_true(failures > 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_opener_is_refused_and_told_who_holds_it),
        cmocka_unit_test(test_the_snapshot_directory_is_locked_and_marked_too),
        cmocka_unit_test(test_a_directory_of_another_version_is_refused_untouched),
        cmocka_unit_test(test_a_directory_of_the_published_release_is_refused_untouched),
        cmocka_unit_test(test_snapshots_of_the_published_release_are_refused_untouched),
        cmocka_unit_test(test_one_directory_may_hold_both),
        cmocka_unit_test(test_a_network_file_system_is_refused_unless_allowed),
        cmocka_unit_test(test_every_failing_call_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
