/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot_fixture.h"

#include "util/clock.h"

#define TEMPORARY SNAPSHOT_DIR "/snapshot.tmp"

static void
test_what_was_put_reads_back(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 40), BV_OK);
    assert_int_equal(s.result.start_lsn, 10);
    assert_int_equal(s.result.bytes % 4096, 0);
    assert_true(s.result.duration_ns >= s.result.sync_ns);
    assert_true(s.result.finished_ms > 0);
    snap_expect(&s, 10, 0, 0);
    assert_int_equal(snap_read(&s, 10), BV_OK);
    assert_int_equal(s.chunks, 40);
    assert_int_equal(s.info.chunks, 40);
    assert_int_equal(s.info.bytes, s.result.bytes);
    assert_int_equal(s.info.start_lsn, 10);
    assert_int_equal(s.info.highest_image_lsn, 10 + 39);
    assert_int_equal(s.info.time_ms, 2010);
    assert_int_equal(s.info.last_event_ms, 1510);
    assert_int_equal(s.info.entity_count, 77);
    assert_int_equal(s.info.entities, 70);
    assert_int_equal(s.info.dedupe_entries, 7);
    assert_int_equal(s.info.registry_version, 3);
    assert_int_equal(atomic_load(&s.wanted_lsn), 10 + 39);
    snap_deinit(&s);
}

/* 4096 bytes of ring: bodies that wrap, that fill it to the byte, that never fit. */
static void
test_bodies_of_every_size_pass_the_ring(void **state)
{
    static const size_t sizes[] = {0, 1, 31, 32, 33, 2000, 4063, 4064, 4065, 40000, 3000000};
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        s.body_size = sizes[i];
        assert_int_equal(snap_make(&s, 100 + i, 9), BV_OK);
        assert_int_equal(snap_read(&s, 100 + i), BV_OK);
        assert_int_equal(s.chunks, 9);
        assert_int_equal(s.bytes, 90 + 33 + 7 * sizes[i]);
    }
    snap_deinit(&s);
}

static void
test_a_real_directory_direct_or_not(void **state)
{
    char path[] = "/tmp/beava-snap-XXXXXX";
    char command[64];
    struct snap s;

    snap_init(&s);
    assert_non_null(mkdtemp(path));
    os_fault_init(&s.fault, os_posix());
    (void)snprintf(s.directory.snapshot_path, sizeof s.directory.snapshot_path, "%s", path);
    s.options.ring_bytes = 0;
    s.body_size = 65000;
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 60), BV_OK);
    assert_int_equal(snap_read(&s, 10), BV_OK);
    assert_int_equal(s.chunks, 60);
    s.fault.refuse_direct = true;
    assert_int_equal(snap_make(&s, 20, 60), BV_OK);
    s.fault.refuse_direct = false;
    /* refused at the first write instead of the open */
    os_fault_set_next(&s.fault, OS_CALL_WRITE,
                      (struct os_fault_rule){.at = 1, .times = 1, .error = EINVAL});
    assert_int_equal(snap_make(&s, 30, 60), BV_OK);
    assert_int_equal(snap_read(&s, 20), BV_OK);
    assert_int_equal(snap_read(&s, 30), BV_OK);
    assert_int_equal(s.chunks, 60);
    snap_expect(&s, 30, 20, 0);
    snap_deinit(&s);
    (void)snprintf(command, sizeof command, "rm -r %s", path);
    assert_int_equal(system(command), 0);
}

static void
test_two_are_kept_and_the_log_back_to_the_older(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    assert_int_equal(atomic_load(&s.retire_calls), 0); /* the log is the second copy still */
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    snap_expect(&s, 20, 10, 0);
    assert_int_equal(atomic_load(&s.retired_lsn), 10);
    assert_int_equal(snap_make(&s, 30, 5), BV_OK);
    snap_expect(&s, 30, 20, 0);
    assert_int_equal(atomic_load(&s.retired_lsn), 20);
    /* one at the same LSN takes the place of the other */
    s.body_size = 44;
    assert_int_equal(snap_make(&s, 30, 4), BV_OK);
    snap_expect(&s, 30, 20, 0);
    assert_int_equal(snap_read(&s, 30), BV_OK);
    assert_int_equal(s.chunks, 4);
    snap_deinit(&s);
}

static void
test_keeping_one_retires_the_log_up_to_it(void **state)
{
    struct snap s;

    snap_init(&s);
    s.options.retain = 1;
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    assert_int_equal(atomic_load(&s.retired_lsn), 10);
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    snap_expect(&s, 20, 0, 0);
    assert_int_equal(atomic_load(&s.retired_lsn), 20);
    snap_deinit(&s);
}

static void
test_a_log_that_cannot_be_retired_fails_no_snapshot(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    atomic_store(&s.retire_fails, true);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    assert_int_equal(atomic_load(&s.retire_calls), 1);
    atomic_store(&s.retire_fails, false);
    assert_int_equal(snap_make(&s, 30, 5), BV_OK);
    assert_int_equal(atomic_load(&s.retired_lsn), 20);
    snap_deinit(&s);
}

static void
test_an_older_one_that_cannot_be_removed_keeps_the_log(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    os_fault_set_next(&s.fault, OS_CALL_UNLINK,
                      (struct os_fault_rule){.at = 1, .times = 1, .error = EIO});
    assert_int_equal(snap_make(&s, 30, 5), BV_OK);
    snap_expect(&s, 30, 20, 10);
    assert_int_equal(atomic_load(&s.retired_lsn), 10);
    assert_int_equal(snap_make(&s, 40, 5), BV_OK);
    snap_expect(&s, 40, 30, 0);
    assert_int_equal(atomic_load(&s.retired_lsn), 30);
    snap_deinit(&s);
}

static void
test_one_later_than_the_log_is_set_aside_not_kept(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    memory_put(&s.memory, SNAPSHOT_DIR "/snapshot-00000000000000ff.bvs", "x", 1);
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    snap_expect(&s, 20, 10, 0);
    assert_non_null(
        memory_find(&s.memory, SNAPSHOT_DIR "/quarantine/snapshot-00000000000000ff.bvs"));
    snap_deinit(&s);
}

static void
test_it_has_no_name_before_the_log_is_durable(void **state)
{
    struct snap s;

    snap_init(&s);
    atomic_store(&s.durable_lsn, 10 + 38); /* the highest image is at 10 + 39 */
    snap_open(&s);
    snap_begin(&s, 10);
    assert_true(snap_put_all(&s, 10, 40));
    snap_finish(&s, 10);
    while (atomic_load(&s.wanted_lsn) != 10 + 39) {
        snap_sleep_ms(1);
    }
    snap_sleep_ms(20);
    assert_false(snapshot_take_result(s.writer, &s.result));
    assert_int_equal(atomic_load(&s.fault.calls[OS_CALL_RENAME]), 0);
    atomic_store(&s.durable_lsn, 10 + 39);
    snap_take(&s);
    assert_int_equal(s.result.status, BV_OK);
    assert_int_equal(snap_read(&s, 10), BV_OK);
    snap_deinit(&s);
}

/* What the copy has left out, because it was gone by then, is as much in the file as an image. */
static void
test_it_has_no_name_before_its_end_is_durable(void **state)
{
    struct snap s;

    (void)state;
    snap_init(&s);
    s.last_lsn = 10 + 60;
    atomic_store(&s.durable_lsn, 10 + 59);
    snap_open(&s);
    snap_begin(&s, 10);
    assert_true(snap_put_all(&s, 10, 40));
    snap_finish(&s, 10);
    while (atomic_load(&s.wanted_lsn) != 10 + 60) {
        snap_sleep_ms(1);
    }
    snap_sleep_ms(20);
    assert_false(snapshot_take_result(s.writer, &s.result));
    atomic_store(&s.durable_lsn, 10 + 60);
    snap_take(&s);
    assert_int_equal(s.result.status, BV_OK);
    assert_int_equal(snap_read(&s, 10), BV_OK);
    assert_int_equal(s.info.highest_image_lsn, 10 + 60);
    snap_deinit(&s);
}

static void
test_it_can_be_given_up_at_every_stage(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    snapshot_abandon(s.writer); /* nothing runs */
    assert_false(snapshot_is_busy(s.writer));
    for (uint64_t put = 0; put <= 30; put++) {
        bool is_finished = put > 25;

        s.body_size = put % 7 == 6 ? 9000 : 700;
        atomic_store(&s.durable_lsn, 20); /* so that it cannot be published */
        snap_begin(&s, 20);
        assert_true(snap_put_all(&s, 20, put < 25 ? put : 25));
        if (is_finished) {
            snap_finish(&s, 20);
            snap_sleep_ms(put % 2 == 0 ? 0 : 2);
        }
        snapshot_abandon(s.writer);
        assert_false(snapshot_put(s.writer, SNAPSHOT_ENTITIES, 99, slice_text("late")));
        snap_finish(&s, 20);
        while (snapshot_is_busy(s.writer)) {
            snap_wait_event(&s);
        }
        assert_false(snapshot_take_result(s.writer, &s.result));
        snap_expect(&s, 10, 0, 0);
    }
    s.body_size = 700;
    atomic_store(&s.durable_lsn, UINT64_MAX);
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    snap_expect(&s, 20, 10, 0);
    snap_deinit(&s);
}

static void
test_giving_up_races_with_publishing(void **state)
{
    struct snap s;
    unsigned published = 0;

    snap_init(&s);
    snap_open(&s);
    for (uint64_t i = 0; i < 300; i++) {
        snap_begin(&s, 10 + i);
        assert_true(snap_put_all(&s, 10 + i, 3));
        snap_finish(&s, 10 + i);
        for (volatile uint64_t spin = 0; spin < i * 200; spin++) {
        }
        snapshot_abandon(s.writer);
        bool has_result = false;
        while (snapshot_is_busy(s.writer)) {
            has_result = snapshot_take_result(s.writer, &s.result);
        }
        char name[SNAPSHOT_NAME_SIZE];
        char path[OS_PATH_MAX];
        snapshot_name(name, 10 + i);
        assert_int_equal(os_path(path, SNAPSHOT_DIR, name, NULL), BV_OK);
        assert_int_equal(memory_find(&s.memory, path) != NULL, has_result);
        published += has_result ? 1 : 0;
    }
    print_message("300 given up, %u of them too late\n", published);
    snap_deinit(&s);
}

static void
test_destroying_gives_up_what_runs(void **state)
{
    struct snap s;

    for (unsigned i = 0; i < 4; i++) {
        snap_init(&s);
        atomic_store(&s.durable_lsn, 0);
        snap_open(&s);
        snap_begin(&s, 10);
        assert_true(snap_put_all(&s, 10, i * 5));
        if (i == 3) {
            snap_finish(&s, 10);
            snap_sleep_ms(3);
        }
        snapshot_writer_destroy(s.writer);
        s.writer = NULL;
        snap_expect(&s, 0, 0, 0);
        snap_deinit(&s);
    }
    snapshot_writer_destroy(NULL);
}

static void
test_a_leftover_of_a_process_that_died_is_removed(void **state)
{
    struct snap s;

    snap_init(&s);
    memory_put(&s.memory, TEMPORARY, "half", 4);
    snap_open(&s);
    assert_null(memory_find(&s.memory, TEMPORARY));
    snap_deinit(&s);
}

/* The n-th call of a kind fails, for every n that a snapshot reaches. Two good snapshots are there;
 * the failed one changes nothing and the next one works. */
static unsigned
fail_each_call(enum os_call call, int error)
{
    unsigned failed = 0;

    for (uint64_t at = 1;; at++) {
        struct snap s;
        uint64_t before;

        snap_init(&s);
        snap_open(&s);
        s.body_size = 800000; /* several pieces */
        assert_int_equal(snap_make(&s, 10, 4), BV_OK);
        assert_int_equal(snap_make(&s, 20, 4), BV_OK);
        before = atomic_load(&s.fault.failures);
        os_fault_set_next(&s.fault, call,
                          (struct os_fault_rule){.at = at, .times = 1, .error = error});
        enum bv_status status = snap_make(&s, 30, 5);
        bool has_struck = atomic_load(&s.fault.failures) != before;
        os_fault_set(&s.fault, call, (struct os_fault_rule){0});
        if (status == BV_OK) {
            /* not reached, or it was only the removal of what is covered */
            snap_deinit(&s);
            if (!has_struck) {
                return failed;
            }
            continue;
        }
        failed++;
        assert_true(has_struck);
        assert_true(s.result.error.message[0] != '\0');
        assert_int_equal(s.result.error.os_errno, error);
        assert_int_equal(atomic_load(&s.retired_lsn), 10);
        assert_null(memory_find(&s.memory, TEMPORARY));
        assert_int_equal(snap_read(&s, 10), BV_OK);
        assert_int_equal(snap_read(&s, 20), BV_OK);
        assert_int_equal(s.chunks, 4);
        assert_int_equal(snap_make(&s, 30, 5), BV_OK);
        snap_expect(&s, 30, 20, 0);
        assert_int_equal(snap_read(&s, 30), BV_OK);
        assert_int_equal(atomic_load(&s.retired_lsn), 20);
        snap_deinit(&s);
    }
}

static void
test_whatever_call_fails_the_snapshot_fails_and_nothing_else(void **state)
{
    unsigned opens = fail_each_call(OS_CALL_OPEN, EMFILE);
    unsigned writes = fail_each_call(OS_CALL_WRITE, ENOSPC);
    unsigned syncs = fail_each_call(OS_CALL_SYNC, EIO);
    unsigned renames = fail_each_call(OS_CALL_RENAME, EIO);
    unsigned reads = fail_each_call(OS_CALL_READ, EIO);
    unsigned sizes = fail_each_call(OS_CALL_SIZE, EIO);

    print_message("failed: %u opens, %u writes, %u syncs, %u renames, %u reads, %u sizes\n", opens,
                  writes, syncs, renames, reads, sizes);
    /* file, reading back, directory; file, directory; */
    assert_int_equal(opens, 3);
    assert_true(writes >= 3);
    assert_int_equal(syncs, 2);
    assert_int_equal(renames, 1);
    assert_true(reads >= 3);
    assert_int_equal(sizes, 1);
}

/* A disk that says ok and does something else: the at-th write is lost, or one bit of it flips. */
struct lying_os {
    struct memory_os memory; /* first */
    unsigned lies_at;        /* counted from 1, 0: never */
    bool is_lost;
    unsigned writes;
};

static ssize_t
lying_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
            int flags)
{
    struct lying_os *lying = (struct lying_os *)os;
    struct iovec zeros = parts[0];

    lying->writes++;
    if (lying->writes != lying->lies_at) {
        return memory_write(os, fd, parts, part_count, offset, flags);
    }
    if (lying->is_lost) {
        zeros.iov_base = calloc(1, zeros.iov_len);
        ssize_t written = memory_write(os, fd, &zeros, 1, offset, flags);
        free(zeros.iov_base);
        return written;
    }
    ssize_t written = memory_write(os, fd, parts, part_count, offset, flags);
    lying->memory.files[fd].data[offset + parts[0].iov_len / 2] ^= 16;
    return written;
}

static void
test_a_disk_that_lies_is_found_out_before_the_rename(void **state)
{
    struct lying_os lying = {0};
    struct snap s;
    unsigned found = 0;

    memory_os_init(&lying.memory);
    lying.memory.os.write = lying_write;
    snap_init(&s);
    os_fault_init(&s.fault, &lying.memory.os);
    s.body_size = 1000000;
    snap_open(&s);
    assert_int_equal(snap_make(&s, 10, 5), BV_OK);
    unsigned writes = lying.writes;
    for (unsigned at = 1; at <= writes * 2; at++) {
        lying.is_lost = at > writes;
        lying.lies_at = lying.writes + (at - 1) % writes + 1;
        assert_int_equal(snap_make(&s, 20, 5), BV_CORRUPT);
        assert_non_null(strstr(s.result.error.message, TEMPORARY ": offset "));
        snap_expect(&s, 10, 0, 0);
        found++;
    }
    lying.lies_at = 0;
    assert_int_equal(snap_make(&s, 20, 5), BV_OK);
    assert_int_equal(snap_read(&s, 20), BV_OK);
    print_message("%u lies, %u found out\n", writes * 2, found);
    snap_deinit(&s);
    memory_os_deinit(&lying.memory);
}

static void
test_a_failure_half_way_ends_the_copying(void **state)
{
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    s.body_size = 900000; /* each in memory of its own */
    os_fault_set_next(&s.fault, OS_CALL_WRITE,
                      (struct os_fault_rule){.at = 1, .times = 1, .error = ENOSPC});
    snap_begin(&s, 10);
    assert_false(snap_put_all(&s, 10, 1000));
    assert_int_equal(s.result.status, BV_IO);
    assert_int_equal(s.result.error.os_errno, ENOSPC);
    assert_false(snapshot_is_busy(s.writer));
    snap_expect(&s, 0, 0, 0);
    assert_int_equal(snap_make(&s, 10, 4), BV_OK);
    assert_int_equal(snap_read(&s, 10), BV_OK);
    snap_deinit(&s);
}

static void
test_a_second_one_does_not_begin_before_the_first_is_taken(void **state)
{
    struct snapshot_start start = {.start_lsn = 11};
    struct snap s;

    snap_init(&s);
    snap_open(&s);
    snap_begin(&s, 10);
    assert_false(snapshot_begin(s.writer, &start));
    assert_true(snap_put_all(&s, 10, 2));
    snap_finish(&s, 10);
    snap_wait_event(&s);
    assert_false(snapshot_begin(s.writer, &start));
    snap_take(&s);
    assert_false(snapshot_take_result(s.writer, &s.result));
    assert_int_equal(snap_make(&s, 11, 2), BV_OK);
    snap_deinit(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_reads_back),
        cmocka_unit_test(test_bodies_of_every_size_pass_the_ring),
        cmocka_unit_test(test_a_real_directory_direct_or_not),
        cmocka_unit_test(test_two_are_kept_and_the_log_back_to_the_older),
        cmocka_unit_test(test_keeping_one_retires_the_log_up_to_it),
        cmocka_unit_test(test_a_log_that_cannot_be_retired_fails_no_snapshot),
        cmocka_unit_test(test_an_older_one_that_cannot_be_removed_keeps_the_log),
        cmocka_unit_test(test_one_later_than_the_log_is_set_aside_not_kept),
        cmocka_unit_test(test_it_has_no_name_before_the_log_is_durable),
        cmocka_unit_test(test_it_has_no_name_before_its_end_is_durable),
        cmocka_unit_test(test_it_can_be_given_up_at_every_stage),
        cmocka_unit_test(test_giving_up_races_with_publishing),
        cmocka_unit_test(test_destroying_gives_up_what_runs),
        cmocka_unit_test(test_a_leftover_of_a_process_that_died_is_removed),
        cmocka_unit_test(test_whatever_call_fails_the_snapshot_fails_and_nothing_else),
        cmocka_unit_test(test_a_disk_that_lies_is_found_out_before_the_rename),
        cmocka_unit_test(test_a_failure_half_way_ends_the_copying),
        cmocka_unit_test(test_a_second_one_does_not_begin_before_the_first_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
