/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "os/wait.h"

static void
reread(struct fixture *f)
{
    fixture_close(f);
    assert_int_equal(fixture_recover(f), BV_OK);
    fixture_check_seen(f);
    assert_int_equal(f->result.cut_bytes + f->result.skipped_bytes, 0);
}

static void
test_records_survive_a_close_and_go_on_in_a_new_segment(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    for (int boot = 0; boot < 3; boot++) {
        assert_int_equal(fixture_open(&f), BV_OK);
        assert_int_equal(f.result.last_lsn, boot * 3);
        fixture_commit(&f, 1, 81);
        fixture_commit(&f, 2, 0);
        assert_int_equal(wal_durable_lsn(f.wal), f.next_lsn - 1);
        fixture_close(&f);
    }
    assert_int_equal(fixture_recover(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.segments, 3);
    assert_true(f.result.was_clean_stop);
    fixture_deinit(&f);
}

static void
test_close_writes_what_was_never_published(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_log(&f, 4, 100);
    reread(&f);
    assert_int_equal(f.result.last_lsn, 4);
    fixture_deinit(&f);
}

static void
test_a_cancelled_record_was_never_begun(void **state)
{
    struct fixture f;
    struct record_header header = {.type = RECORD_PUSH, .first_lsn = 1};

    fixture_init(&f, NULL);
    assert_int_equal(fixture_open(&f), BV_OK);
    wal_record_begin(f.wal, &header);
    wal_record_append(f.wal, "refused", 7);
    wal_record_cancel(f.wal);
    wal_publish(f.wal);
    fixture_commit(&f, 1, 30);
    header.first_lsn = 2;
    wal_record_begin(f.wal, &header);
    wal_record_cancel(f.wal);
    reread(&f);
    assert_int_equal(f.result.records, 1);
    fixture_deinit(&f);
}

static void
test_optional_words_and_types_come_back(void **state)
{
    struct fixture f;
    struct record_header header = {.type = RECORD_REGISTER,
                                   .flags = RECORD_FLAG_EVENT_TIME | RECORD_FLAG_SOURCE,
                                   .first_lsn = 1,
                                   .event_time_ms = 11,
                                   .source = 12,
                                   .source_offset = 13};

    fixture_init(&f, NULL);
    assert_int_equal(fixture_open(&f), BV_OK);
    wal_record_begin(f.wal, &header);
    wal_record_append(f.wal, "{}", 2);
    wal_record_end(f.wal, 1);
    fixture_close(&f);
    assert_int_equal(fixture_recover(&f), BV_OK);
    assert_int_equal(f.seen_count, 1);
    assert_int_equal(f.seen[0].header.type, RECORD_REGISTER);
    assert_int_equal(f.seen[0].header.event_time_ms, 11);
    assert_int_equal(f.seen[0].header.source, 12);
    assert_int_equal(f.seen[0].header.source_offset, 13);
    assert_int_equal(f.seen[0].body_size, 2);
    fixture_deinit(&f);
}

struct watcher {
    struct wal *wal;
    _Atomic bool stop;
    uint64_t moves;
};

/* Another thread: the LSN only ever rises. */
static void *
watch(void *argument)
{
    struct watcher *watcher = argument;
    uint64_t last = 0;

    while (!atomic_load(&watcher->stop)) {
        uint64_t durable = wal_durable_lsn(watcher->wal);
        if (durable < last) {
            return watcher;
        }
        watcher->moves += durable > last;
        last = durable;
        sched_yield();
    }
    return NULL;
}

/* A small ring, many ticks of all sizes: it wraps thousands of times and is full most of the time.
 */
static void
run_through_ring(uint32_t policy, bool avoid_direct)
{
    struct fixture f;
    struct watcher watcher = {0};
    pthread_t thread;
    void *failure = NULL;
    uint32_t random = 12345;
    uint64_t full = 0;

    fixture_init(&f, NULL);
    f.options.policy = policy;
    f.options.avoid_direct = avoid_direct;
    f.options.ring_bytes = 1; /* the minimum, 64 KiB */
    f.options.segment_bytes = 1024 * 1024;
    f.options.sync_interval_ms = 5;
    f.options.sync_bytes = 300000;
    assert_int_equal(fixture_open(&f), BV_OK);
    watcher.wal = f.wal;
    assert_int_equal(pthread_create(&thread, NULL, watch, &watcher), 0);
    for (int tick = 0; tick < 1500; tick++) {
        random = random * 1664525 + 1013904223;
        uint32_t records = random >> 28;
        for (uint32_t i = 0; i < records; i++) {
            random = random * 1664525 + 1013904223;
            size_t size = (random >> 16) % (i == 3 ? 30000 : 900);
            if (!wal_has_room(f.wal, wal_record_size(size))) {
                full++;
                assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, false, NULL), BV_OK);
                assert_true(wal_has_room(f.wal, wal_record_size(size)));
            }
            fixture_log(&f, 1 + random % 5, size);
        }
        wal_publish(f.wal);
        assert_true(wal_acked_lsn(f.wal) < f.next_lsn);
        assert_true(wal_durable_lsn(f.wal) <= wal_acked_lsn(f.wal));
    }
    assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, true, NULL), BV_OK);
    assert_int_equal(wal_durable_lsn(f.wal), f.next_lsn - 1);
    atomic_store(&watcher.stop, true);
    pthread_join(thread, &failure);
    assert_null(failure);
    assert_true(watcher.moves > 1);
    assert_true(full > 10);
    uint64_t last = f.next_lsn - 1;
    reread(&f);
    assert_int_equal(f.result.last_lsn, last);
    assert_true(f.result.segments > 5);
    fixture_deinit(&f);
}

static void
test_the_ring_wraps_and_fills_without_losing_order(void **state)
{
    run_through_ring(BV_POLICY_ALWAYS, false);
}

static void
test_the_same_holds_for_buffered_writes(void **state)
{
    run_through_ring(BV_POLICY_ALWAYS, true);
}

static void
test_the_same_holds_when_acks_do_not_wait_for_the_sync(void **state)
{
    run_through_ring(BV_POLICY_OS, false);
}

static void
test_the_largest_body_fits_and_is_known(void **state)
{
    struct fixture f;
    struct record_header header = {.type = RECORD_PUSH, .first_lsn = 1};

    fixture_init(&f, NULL);
    f.options.ring_bytes = 1;
    f.options.segment_bytes = 32768; /* a group larger than a segment gets one alone */
    assert_int_equal(fixture_open(&f), BV_OK);
    size_t size = wal_body_size_max(f.wal);
    uint8_t *body = calloc(1, size);
    for (uint64_t lsn = 1; lsn <= 3; lsn++) {
        header.first_lsn = lsn;
        assert_true(wal_has_room(f.wal, wal_record_size(size)));
        assert_false(wal_has_room(f.wal, wal_record_size(size) + 1));
        wal_record_begin(f.wal, &header);
        wal_record_append(f.wal, body, size);
        wal_record_end(f.wal, 1);
        wal_publish(f.wal);
        assert_int_equal(wal_wait(f.wal, lsn, true, NULL), BV_OK);
    }
    free(body);
    fixture_close(&f);
    assert_int_equal(fixture_recover(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 3);
    assert_int_equal(f.result.bytes, 3 * (size + 40));
    fixture_deinit(&f);
}

static bool
is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void
test_the_event_fd_wakes_a_reactor_when_acks_may_leave(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_false(is_readable(wal_event_fd(f.wal), 0));
    fixture_log(&f, 1, 81);
    wal_publish(f.wal);
    assert_true(is_readable(wal_event_fd(f.wal), 10000));
    assert_int_equal(wal_acked_lsn(f.wal), 1);
    os_event_drain(wal_event_fd(f.wal));
    assert_false(is_readable(wal_event_fd(f.wal), 0));
    fixture_deinit(&f);
}

static void
test_an_unarmed_event_fd_stays_quiet_and_an_armed_one_wakes(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_true(wal_event_arm(f.wal, 0));
    fixture_log(&f, 1, 81);
    wal_publish(f.wal);
    assert_true(is_readable(wal_event_fd(f.wal), 10000));
    os_event_drain(wal_event_fd(f.wal));
    fixture_commit(&f, 1, 81); /* not armed any more */
    assert_false(is_readable(wal_event_fd(f.wal), 0));
    assert_false(wal_event_arm(f.wal, 1)); /* it has moved to 2: do not sleep */
    assert_true(wal_event_arm(f.wal, 2));
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_survive_a_close_and_go_on_in_a_new_segment),
        cmocka_unit_test(test_close_writes_what_was_never_published),
        cmocka_unit_test(test_a_cancelled_record_was_never_begun),
        cmocka_unit_test(test_optional_words_and_types_come_back),
        cmocka_unit_test(test_the_ring_wraps_and_fills_without_losing_order),
        cmocka_unit_test(test_the_same_holds_for_buffered_writes),
        cmocka_unit_test(test_the_same_holds_when_acks_do_not_wait_for_the_sync),
        cmocka_unit_test(test_the_largest_body_fits_and_is_known),
        cmocka_unit_test(test_the_event_fd_wakes_a_reactor_when_acks_may_leave),
        cmocka_unit_test(test_an_unarmed_event_fd_stays_quiet_and_an_armed_one_wakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
