/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "os/fault.h"

static void
start(struct fixture *f, struct os_fault *fault)
{
    os_fault_init(fault, os_posix());
    fixture_init(f, &fault->os);
    f->options.policy = BV_POLICY_OS;
    f->options.tick_ms = 1000000;
    f->options.sync_interval_ms = 0;
    assert_int_equal(fixture_open(f), BV_OK);
}

/* A group of a page with one operation, acked: written, not synced. */
static void
ack_one(struct fixture *f)
{
    fixture_log(f, 1, 81);
    wal_publish(f->wal);
    assert_int_equal(wal_wait(f->wal, f->next_lsn - 1, false, &f->error), BV_OK);
}

static void
check_reads_back(struct fixture *f)
{
    uint64_t last_lsn = f->next_lsn - 1;

    fixture_close(f);
    assert_int_equal(fixture_recover(f), BV_OK);
    fixture_check_seen(f);
    assert_int_equal(f->result.last_lsn, last_lsn);
    assert_true(f->result.was_clean_stop);
}

static void
test_groups_are_acked_during_a_sync_and_wait_for_the_next(void **state)
{
    struct os_fault fault;
    struct fixture f;
    uint64_t syncs;

    start(&f, &fault);
    atomic_store(&fault.sync_delay_us, 300000);
    syncs = atomic_load(&fault.calls[OS_CALL_SYNC]);
    ack_one(&f);
    usleep(10000); /* under way */
    ack_one(&f);
    ack_one(&f);
    assert_int_equal(wal_acked_lsn(f.wal), 3);
    assert_int_equal(wal_durable_lsn(f.wal), 0);
    assert_int_equal(atomic_load(&fault.calls[OS_CALL_SYNC]), syncs);
    while (wal_durable_lsn(f.wal) == 0) {
        usleep(100);
    }
    assert_int_equal(wal_durable_lsn(f.wal), 1); /* not what came later, though it may be on disk */
    atomic_store(&fault.sync_delay_us, 0);
    assert_int_equal(wal_wait(f.wal, 3, true, NULL), BV_OK);
    check_reads_back(&f);
    fixture_deinit(&f);
}

static void
test_no_more_than_the_bound_is_ever_at_stake(void **state)
{
    struct os_fault fault;
    struct fixture f;

    os_fault_init(&fault, os_posix());
    fixture_init(&f, &fault.os);
    f.options.policy = BV_POLICY_OS;
    f.options.tick_ms = 1000000;
    f.options.sync_interval_ms = 1000000;
    f.options.sync_bytes = 6 * 4096;
    assert_int_equal(fixture_open(&f), BV_OK);
    atomic_store(&fault.sync_delay_us, 3000);
    for (int i = 0; i < 30; i++) {
        ack_one(&f);
        /* what is written without a sync: two halves of three pages, and the group at hand */
        assert_true(f.next_lsn - 1 - wal_durable_lsn(f.wal) <= 7);
    }
    atomic_store(&fault.sync_delay_us, 0);
    check_reads_back(&f);
    fixture_deinit(&f);
}

static void
test_a_write_that_fails_during_a_sync_takes_its_success_away(void **state)
{
    struct os_fault fault;
    struct fixture f;

    os_fault_init(&fault, os_posix());
    fixture_init(&f, &fault.os);
    f.options.policy = BV_POLICY_OS;
    f.options.tick_ms = 1000000;
    f.options.look_ms = 2;
    assert_int_equal(fixture_open(&f), BV_OK);
    atomic_store(&fault.sync_delay_us, 200000);
    ack_one(&f);
    usleep(10000);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, EIO, 0});
    fixture_log(&f, 1, 81);
    wal_publish(f.wal);
    assert_int_equal(wal_wait(f.wal, 2, false, NULL), BV_WAL_UNAVAILABLE);
    atomic_store(&fault.sync_delay_us, 0);
    while (!wal_can_resume(f.wal)) {
        usleep(100);
    }
    usleep(250000); /* the sync has ended well by now */
    assert_int_equal(wal_durable_lsn(f.wal), 0);
    wal_resume(f.wal, f.next_lsn, f.time_ms, 3);
    while (wal_failed(f.wal)) {
        usleep(100);
    }
    assert_int_equal(wal_durable_lsn(f.wal), 2);
    fixture_commit(&f, 1, 81);
    f.after_lsn = 2;
    check_reads_back(&f);
    fixture_deinit(&f);
}

static void
test_a_failed_sync_beside_the_writes_is_final_for_the_segment(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    os_fault_set_next(&fault, OS_CALL_SYNC, (struct os_fault_rule){1, 1, EIO, 0});
    ack_one(&f);
    while (!wal_failed(f.wal)) {
        usleep(100);
    }
    assert_int_equal(wal_durable_lsn(f.wal), 0);
    assert_non_null(strstr(wal_failure(f.wal)->message, "sync"));
    fixture_deinit(&f);
}

static void
test_rotation_and_closing_wait_for_a_sync_under_way(void **state)
{
    struct os_fault fault;
    struct fixture f;

    os_fault_init(&fault, os_posix());
    fixture_init(&f, &fault.os);
    f.options.policy = BV_POLICY_OS;
    f.options.tick_ms = 1000000;
    f.options.segment_bytes = 4 * 4096;
    assert_int_equal(fixture_open(&f), BV_OK);
    atomic_store(&fault.sync_delay_us, 2000);
    for (int i = 0; i < 16; i++) {
        uint64_t before = f.next_lsn - 1;
        ack_one(&f);
        if (i % 3 == 0 && i > 0) {
            assert_true(wal_durable_lsn(f.wal) >= before); /* a header that says so */
        }
    }
    check_reads_back(&f);
    assert_int_equal(f.result.segments, 6);
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_are_acked_during_a_sync_and_wait_for_the_next),
        cmocka_unit_test(test_no_more_than_the_bound_is_ever_at_stake),
        cmocka_unit_test(test_a_write_that_fails_during_a_sync_takes_its_success_away),
        cmocka_unit_test(test_a_failed_sync_beside_the_writes_is_final_for_the_segment),
        cmocka_unit_test(test_rotation_and_closing_wait_for_a_sync_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
