/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "durability/segment.h"
#include "os/fault.h"
#include "os/wait.h"

#define LOOK_MS 2

/* A log that looks often, with one durable record and room that is prepared. */
static void
start(struct fixture *f, struct os_fault *fault)
{
    os_fault_init(fault, os_posix());
    fixture_init(f, &fault->os);
    f->options.tick_ms = 1000000;
    f->options.look_ms = LOOK_MS;
    f->options.ring_bytes = 1;
}

static void
start_open(struct fixture *f, struct os_fault *fault)
{
    start(f, fault);
    assert_int_equal(fixture_open(f), BV_OK);
    fixture_commit(f, 1, 81);
    usleep(1000); /* zeros are prepared behind it */
}

/* Ends by the test's time limit if it never comes true. */
static void
await(struct fixture *f, bool (*is_true)(const struct wal *))
{
    while (!is_true(f->wal)) {
        struct pollfd watched = {.fd = wal_event_fd(f->wal), .events = POLLIN};
        assert_int_equal(poll(&watched, 1, 30000), 1); /* told, not guessed */
        os_event_drain(watched.fd);
    }
}

static bool
is_running(const struct wal *wal)
{
    return !wal_failed(wal);
}

/* Records that the failure swallows: each is refused, and the ring never fills. */
static void
log_refused(struct fixture *f, int count)
{
    uint64_t durable = wal_durable_lsn(f->wal);
    uint64_t acked = wal_acked_lsn(f->wal); /* policy os: may have been written before */

    for (int i = 0; i < count; i++) {
        assert_true(wal_has_room(f->wal, wal_record_size(2000)));
        fixture_log(f, 1, 2000);
        wal_publish(f->wal);
        assert_int_equal(wal_wait(f->wal, f->next_lsn - 1, false, NULL), BV_WAL_UNAVAILABLE);
    }
    assert_int_equal(wal_durable_lsn(f->wal), durable);
    assert_int_equal(wal_acked_lsn(f->wal), acked);
}

static void
resume(struct fixture *f)
{
    await(f, wal_can_resume);
    wal_resume(f->wal, f->next_lsn, f->time_ms, 3);
    await(f, is_running);
    assert_false(wal_can_resume(f->wal));
    assert_int_equal(wal_durable_lsn(f->wal), f->next_lsn - 1);
    assert_int_equal(wal_acked_lsn(f->wal), f->next_lsn - 1);
}

/* What a snapshot at after_lsn plus the log gives: the records from there on, and no other. */
static void
check_log_from(struct fixture *f, uint64_t after_lsn)
{
    uint64_t last_lsn = f->next_lsn - 1;

    f->after_lsn = after_lsn;
    assert_int_equal(fixture_recover(f), BV_OK);
    fixture_check_seen(f);
    assert_int_equal(f->result.last_lsn, last_lsn);
}

static void
check_comes_back(enum os_call call, struct os_fault_rule rule, uint32_t policy, bool avoid_direct)
{
    struct os_fault fault;
    struct fixture f;
    struct wal_counts counts;

    start(&f, &fault);
    f.options.policy = policy;
    f.options.avoid_direct = avoid_direct;
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 81);
    usleep(1000);

    rule.at = 1;
    rule.times = 0; /* until told otherwise */
    os_fault_set_next(&fault, call, rule);
    fixture_log(&f, 3, 81);
    wal_publish(f.wal);
    assert_int_equal(wal_wait(f.wal, 4, true, NULL), BV_WAL_UNAVAILABLE);
    assert_true(wal_failed(f.wal));
    log_refused(&f, 40);
    uint64_t tried = atomic_load(&fault.failures);
    while (atomic_load(&fault.failures) < tried + 3) { /* it keeps looking */
        usleep(100);
    }
    assert_false(wal_can_resume(f.wal));
    assert_int_equal(wal_durable_lsn(f.wal), 1);

    os_fault_set(&fault, call, (struct os_fault_rule){0});
    uint64_t snapshot_lsn = f.next_lsn - 1;
    resume(&f);
    for (int i = 0; i < 5; i++) {
        fixture_commit(&f, 2, 500);
        assert_int_equal(wal_durable_lsn(f.wal), f.next_lsn - 1);
    }
    wal_counts_get(f.wal, &counts);
    assert_int_equal(counts.errors, 1);
    assert_int_equal(counts.resumes, 1);
    fixture_close(&f);
    check_log_from(&f, snapshot_lsn);
    fixture_deinit(&f);
}

static void
test_a_log_comes_back_after_a_failed_write(void **state)
{
    check_comes_back(OS_CALL_WRITE, (struct os_fault_rule){.error = EIO}, BV_POLICY_ALWAYS, false);
    check_comes_back(OS_CALL_WRITE, (struct os_fault_rule){.error = ENOSPC}, BV_POLICY_ALWAYS,
                     true);
    check_comes_back(OS_CALL_WRITE, (struct os_fault_rule){.error = EDQUOT}, BV_POLICY_OS, false);
}

static void
test_a_log_comes_back_after_a_short_write(void **state)
{
    check_comes_back(OS_CALL_WRITE, (struct os_fault_rule){.error = 0}, BV_POLICY_ALWAYS, false);
}

static void
test_a_log_comes_back_after_a_failed_sync(void **state)
{
    check_comes_back(OS_CALL_SYNC, (struct os_fault_rule){.error = EIO}, BV_POLICY_ALWAYS, false);
    check_comes_back(OS_CALL_SYNC, (struct os_fault_rule){.error = EIO}, BV_POLICY_ALWAYS, true);
    check_comes_back(OS_CALL_SYNC, (struct os_fault_rule){.error = EIO}, BV_POLICY_OS, false);
}

/* One failure of a write; the cause is gone at once. */
static void
fail_once(struct fixture *f, struct os_fault *fault)
{
    uint64_t lsn = f->next_lsn;

    os_fault_set_next(fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, EIO, 0});
    fixture_log(f, 1, 81);
    wal_publish(f->wal);
    assert_int_equal(wal_wait(f->wal, lsn, true, &f->error), BV_WAL_UNAVAILABLE);
    assert_non_null(strstr(f->error.message, f->path));
}

static void
test_a_resume_that_fails_leaves_the_log_failed_and_can_be_tried_again(void **state)
{
    static const enum os_call calls[] = {OS_CALL_RENAME, OS_CALL_OPEN, OS_CALL_SYNC};

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct os_fault fault;
        struct fixture f;
        struct wal_counts counts;

        start_open(&f, &fault);
        fail_once(&f, &fault);
        await(&f, wal_can_resume);
        os_fault_set_next(&fault, calls[i], (struct os_fault_rule){1, 0, EIO, 0});
        wal_resume(f.wal, f.next_lsn, f.time_ms, 3);
        do {
            usleep(100);
            wal_counts_get(f.wal, &counts);
        } while (counts.errors < 2);
        assert_true(wal_failed(f.wal));
        assert_int_equal(wal_durable_lsn(f.wal), 1);
        log_refused(&f, 3);
        os_fault_set(&fault, calls[i], (struct os_fault_rule){0});
        uint64_t snapshot_lsn = f.next_lsn - 1;
        resume(&f);
        fixture_commit(&f, 1, 81);
        fixture_close(&f);
        check_log_from(&f, snapshot_lsn);
        fixture_deinit(&f);
    }
}

static void
test_what_arrives_while_the_new_segment_is_made_is_kept(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start_open(&f, &fault);
    fail_once(&f, &fault);
    await(&f, wal_can_resume);
    atomic_store(&fault.sync_delay_us, 20000);
    uint64_t snapshot_lsn = f.next_lsn - 1;
    wal_resume(f.wal, f.next_lsn, f.time_ms, 3);
    for (int i = 0; i < 5; i++) {
        assert_true(wal_has_room(f.wal, wal_record_size(81)));
        fixture_log(&f, 1, 81);
        wal_publish(f.wal);
        wal_resume(f.wal, f.next_lsn, f.time_ms, 3); /* once is enough */
        assert_int_equal(wal_durable_lsn(f.wal), 1);
    }
    /* now the room counts: what is kept has to lie somewhere */
    assert_false(wal_has_room(f.wal, 64 * 1024));
    await(&f, is_running);
    atomic_store(&fault.sync_delay_us, 0);
    wal_publish(f.wal);
    assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, true, NULL), BV_OK);
    fixture_close(&f);
    check_log_from(&f, snapshot_lsn);
    assert_int_equal(f.seen_count, 5);
    fixture_deinit(&f);
}

/* A slow look at the disk is still going on when the log is told to resume: nobody may take its
 * answer for leave to begin a second time. */
static void
test_a_log_that_is_told_to_resume_does_not_ask_for_it_again(void **state)
{
    struct os_fault fault;
    struct fixture f;

    (void)state;
    start_open(&f, &fault);
    fail_once(&f, &fault);
    await(&f, wal_can_resume);
    atomic_store(&fault.sync_delay_us, 50000);
    usleep(20000); /* the writer is in its next look */
    wal_resume(f.wal, f.next_lsn, f.time_ms, 3);
    while (wal_failed(f.wal)) {
        assert_false(wal_can_resume(f.wal));
    }
    assert_false(wal_can_resume(f.wal));
    atomic_store(&fault.sync_delay_us, 0);
    fixture_commit(&f, 1, 81);
    fixture_deinit(&f);
}

static void
test_no_room_on_the_disk_keeps_a_failed_log_failed(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.min_free_bytes = 1000;
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 81);
    usleep(1000);
    os_fault_set(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, 0, 999});
    fail_once(&f, &fault);
    uint64_t asked = atomic_load(&fault.calls[OS_CALL_FS_FREE]);
    while (atomic_load(&fault.calls[OS_CALL_FS_FREE]) < asked + 3) {
        usleep(100);
    }
    assert_false(wal_can_resume(f.wal));
    os_fault_set(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, 0, 1000000000});
    resume(&f);
    fixture_commit(&f, 1, 81);
    fixture_deinit(&f);
}

static void
test_a_log_that_could_resume_and_then_cannot_says_so(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start_open(&f, &fault);
    fail_once(&f, &fault);
    await(&f, wal_can_resume);
    os_fault_set_next(&fault, OS_CALL_SYNC, (struct os_fault_rule){1, 0, EIO, 0});
    while (wal_can_resume(f.wal)) {
        usleep(100);
    }
    fixture_close(&f); /* a failed log only ends */
    assert_int_equal(f.next_lsn, 3);
    fixture_deinit(&f);
}

struct reader {
    struct wal *wal;
    _Atomic bool stop;
    uint64_t failures_seen;
};

/* Another thread reads the text while the log fails and comes back. */
static void *
read_failures(void *argument)
{
    struct reader *reader = argument;
    uint64_t last = 0;

    while (!atomic_load(&reader->stop)) {
        uint64_t durable = wal_durable_lsn(reader->wal);

        assert_true(durable >= last);
        last = durable;
        if (wal_failed(reader->wal)) {
            assert_non_null(strstr(wal_failure(reader->wal)->message, "segment-"));
            reader->failures_seen++;
        }
    }
    return NULL;
}

static void
test_the_text_of_a_failure_can_be_read_by_any_thread_at_any_time(void **state)
{
    struct os_fault fault;
    struct fixture f;
    pthread_t thread;
    struct wal_counts counts;

    start_open(&f, &fault);
    struct reader reader = {.wal = f.wal};
    assert_int_equal(pthread_create(&thread, NULL, read_failures, &reader), 0);
    for (int i = 0; i < 5; i++) {
        fail_once(&f, &fault);
        resume(&f);
        fixture_commit(&f, 1, 81);
    }
    atomic_store(&reader.stop, true);
    pthread_join(thread, NULL);
    assert_true(reader.failures_seen > 0);
    wal_counts_get(f.wal, &counts);
    assert_int_equal(counts.errors, 5);
    assert_int_equal(counts.resumes, 5);
    uint64_t after_lsn = f.next_lsn - 2;
    fixture_close(&f);
    check_log_from(&f, after_lsn);
    fixture_deinit(&f);
}

static void
test_a_group_handed_over_before_the_failure_was_seen_is_not_written_later(void **state)
{
    struct os_fault fault;
    struct fixture f;

    for (int round = 0; round < 20; round++) {
        start_open(&f, &fault);
        os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, EIO, 0});
        /* without waiting: some of these meet the failure on their way */
        for (int i = 0; i < 20; i++) {
            if (wal_has_room(f.wal, wal_record_size(81))) {
                fixture_log(&f, 1, 81);
            }
            wal_publish(f.wal);
        }
        uint64_t snapshot_lsn = f.next_lsn - 1;
        resume(&f);
        fixture_commit(&f, 1, 81);
        fixture_close(&f);
        check_log_from(&f, snapshot_lsn);
        assert_int_equal(f.seen_count, 1);
        fixture_deinit(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_comes_back_after_a_failed_write),
        cmocka_unit_test(test_a_log_comes_back_after_a_short_write),
        cmocka_unit_test(test_a_log_comes_back_after_a_failed_sync),
        cmocka_unit_test(test_a_resume_that_fails_leaves_the_log_failed_and_can_be_tried_again),
        cmocka_unit_test(test_what_arrives_while_the_new_segment_is_made_is_kept),
        cmocka_unit_test(test_a_log_that_is_told_to_resume_does_not_ask_for_it_again),
        cmocka_unit_test(test_no_room_on_the_disk_keeps_a_failed_log_failed),
        cmocka_unit_test(test_a_log_that_could_resume_and_then_cannot_says_so),
        cmocka_unit_test(test_the_text_of_a_failure_can_be_read_by_any_thread_at_any_time),
        cmocka_unit_test(test_a_group_handed_over_before_the_failure_was_seen_is_not_written_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
