/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include <poll.h>
#include <sys/stat.h>

#include "durability/segment.h"
#include "os/fault.h"
#include "os/wait.h"

#define LOOK_MS 2

static void
start(struct fixture *f, struct os_fault *fault)
{
    os_fault_init(fault, os_posix());
    fixture_init(f, &fault->os);
    f->options.tick_ms = 1000000;
    f->options.look_ms = LOOK_MS;
    f->options.segment_bytes = 4 * 4096;
    f->options.policy = BV_POLICY_OS; /* no zeros ahead: sizes are what was written */
    f->options.sync_interval_ms = 1000000;
}

static void
answer_free(struct os_fault *fault, uint64_t bytes)
{
    os_fault_set(fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, 0, bytes});
}

/* Ends by the test's time limit if it never comes; the event fd must have told. */
static void
await_pressure(struct fixture *f, enum wal_pressure wanted)
{
    while (wal_pressure(f->wal) != wanted) {
        struct pollfd watched = {.fd = wal_event_fd(f->wal), .events = POLLIN};
        assert_int_equal(poll(&watched, 1, 30000), 1);
        os_event_drain(watched.fd);
    }
}

static void
test_too_little_free_space_refuses_at_once_and_ends_by_itself(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.min_free_bytes = 1 << 20;
    answer_free(&fault, (1 << 20) - 1);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_int_equal(wal_pressure(f.wal), WAL_PRESSURE_REFUSES);
    assert_false(wal_failed(f.wal));
    fixture_commit(&f, 1, 81); /* what was accepted is still written */
    answer_free(&fault, 1 << 30);
    await_pressure(&f, WAL_PRESSURE_NONE);
    fixture_commit(&f, 1, 81);
    answer_free(&fault, 1000);
    usleep(2 * LOOK_MS * 1000);
    fixture_commit(&f, 1, 81); /* the first to come by finds out */
    await_pressure(&f, WAL_PRESSURE_REFUSES);
    assert_false(wal_failed(f.wal));
    fixture_deinit(&f);
}

static unsigned
segments_on_disk(const struct fixture *f)
{
    struct os_names names = {0};
    unsigned count = 0;

    assert_int_equal(os_list(&names, os_posix(), f->path, NULL), BV_OK);
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        count += segment_name_parse(&number, names.names[i]);
    }
    os_names_deinit(&names);
    return count;
}

static void
test_without_room_the_segment_is_closed_so_that_it_can_be_retired(void **state)
{
    struct os_fault fault;
    struct fixture f;

    (void)state;
    start(&f, &fault);
    f.options.tick_ms = 1;
    f.options.segment_bytes = 1 << 20;
    f.options.min_free_bytes = 1000000;
    answer_free(&fault, 2000000);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 81);
    assert_int_equal(segments_on_disk(&f), 1);
    answer_free(&fault, 999999);
    usleep(2 * LOOK_MS * 1000);
    fixture_commit(&f, 1, 81);
    await_pressure(&f, WAL_PRESSURE_REFUSES);
    /* The second commit may have found the first one's segment closed already. */
    for (int i = 0; i < 10000 && segments_on_disk(&f) < 2; i++) {
        usleep(1000);
    }
    usleep(50000);
    const unsigned count = segments_on_disk(&f);

    assert_in_range(count, 2, 3);
    usleep(50000);
    assert_int_equal(segments_on_disk(&f), count); /* and not one after the other */
    assert_int_equal(wal_retire(f.wal, 2, 0, NULL), BV_OK);
    assert_int_equal(segments_on_disk(&f), 1);
    fixture_deinit(&f);
}

static void
test_free_space_is_asked_again_before_it_can_be_used_up(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.min_free_bytes = 1 << 20;
    f.options.look_ms = 1000000;
    f.options.segment_bytes = 1 << 20;
    answer_free(&fault, (1 << 20) + 10 * 4096);
    assert_int_equal(fixture_open(&f), BV_OK);
    uint64_t asked = atomic_load(&fault.calls[OS_CALL_FS_FREE]);
    answer_free(&fault, 1 << 20); /* ten pages later */
    for (int i = 0; i < 9; i++) {
        fixture_log(&f, 1, 81);
        wal_publish(f.wal);
        assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, false, NULL), BV_OK);
    }
    assert_int_equal(atomic_load(&fault.calls[OS_CALL_FS_FREE]), asked);
    assert_int_equal(wal_pressure(f.wal), WAL_PRESSURE_NONE);
    answer_free(&fault, (1 << 20) - 4096);
    for (int i = 0; i < 3; i++) {
        fixture_log(&f, 1, 81);
        wal_publish(f.wal);
        assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, false, NULL), BV_OK);
    }
    await_pressure(&f, WAL_PRESSURE_REFUSES);
    fixture_deinit(&f);
}

static void
test_a_file_system_that_does_not_say_has_room(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.min_free_bytes = 1 << 20;
    os_fault_set(&fault, OS_CALL_FS_FREE, (struct os_fault_rule){1, 0, ENOSYS, 0});
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 81);
    usleep(2 * LOOK_MS * 1000);
    fixture_commit(&f, 1, 81);
    assert_int_equal(wal_pressure(f.wal), WAL_PRESSURE_NONE);
    fixture_deinit(&f);
}

static void
test_the_log_warns_at_80_percent_and_refuses_at_95_of_its_most(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.wal_max_bytes = 100 * 4096;
    assert_int_equal(fixture_open(&f), BV_OK);
    /* Segments of 4 pages: a header and three groups. */
    while (wal_bytes_on_disk(f.wal) < 79 * 4096) {
        assert_int_equal(wal_pressure(f.wal), WAL_PRESSURE_NONE);
        fixture_commit(&f, 1, 81);
    }
    fixture_commit(&f, 1, 81);
    fixture_commit(&f, 1, 81);
    await_pressure(&f, WAL_PRESSURE_HIGH);
    while (wal_bytes_on_disk(f.wal) < 94 * 4096) {
        assert_int_equal(wal_pressure(f.wal), WAL_PRESSURE_HIGH);
        fixture_commit(&f, 1, 81);
    }
    fixture_commit(&f, 1, 81);
    fixture_commit(&f, 1, 81);
    await_pressure(&f, WAL_PRESSURE_REFUSES);
    fixture_check_bytes(&f);
    /* A snapshot covers the first half. */
    assert_int_equal(wal_retire(f.wal, f.next_lsn / 2, 0, NULL), BV_OK);
    await_pressure(&f, WAL_PRESSURE_NONE);
    fixture_check_bytes(&f);
    fixture_deinit(&f);
}

static void
test_a_boot_counts_what_is_there(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    for (int boot = 0; boot < 3; boot++) {
        f.options.wal_max_bytes = boot == 2 ? 20 * 4096 : 0;
        assert_int_equal(fixture_open(&f), BV_OK);
        for (int i = 0; i < 8 && boot < 2; i++) {
            fixture_commit(&f, 1, 81);
        }
        fixture_check_bytes(&f);
        assert_int_equal(wal_pressure(f.wal), boot == 2 ? WAL_PRESSURE_REFUSES : WAL_PRESSURE_NONE);
        fixture_close(&f);
    }
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_little_free_space_refuses_at_once_and_ends_by_itself),
        cmocka_unit_test(test_without_room_the_segment_is_closed_so_that_it_can_be_retired),
        cmocka_unit_test(test_free_space_is_asked_again_before_it_can_be_used_up),
        cmocka_unit_test(test_a_file_system_that_does_not_say_has_room),
        cmocka_unit_test(test_the_log_warns_at_80_percent_and_refuses_at_95_of_its_most),
        cmocka_unit_test(test_a_boot_counts_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
