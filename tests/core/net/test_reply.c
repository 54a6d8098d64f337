/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/reply.h"

static void
push_text(struct reply_queue *queue, const char *text, uint64_t wait_lsn)
{
    buf_text(&queue->bytes, text);
    reply_push_bytes(queue, strlen(text), wait_lsn, false);
}

static void
test_consecutive_acks_are_one_entry(void **state)
{
    struct reply_queue queue;
    struct reply_marks marks = {1003, 1000, false};

    reply_queue_init(&queue, 70);
    for (uint64_t lsn = 1000; lsn < 1010; lsn++) {
        reply_push_ack(&queue, lsn, 1, false);
    }
    assert_int_equal(queue.count, 1);
    assert_int_equal(reply_first(&queue)->count, 10);
    assert_int_equal(reply_ready_count(reply_first(&queue), &marks), 4);
    reply_take(&queue, 4);
    assert_int_equal(reply_first(&queue)->lsn, 1004);
    assert_int_equal(reply_ready_count(reply_first(&queue), &marks), 0);
    marks.acked_lsn = UINT64_MAX;
    assert_int_equal(reply_ready_count(reply_first(&queue), &marks), 6);
    assert_int_equal(queue.size, 6 * 70);
    reply_queue_deinit(&queue);
}

static void
test_a_gap_a_version_or_a_sync_begins_a_new_run(void **state)
{
    struct reply_queue queue;

    reply_queue_init(&queue, 70);
    reply_push_ack(&queue, 1, 1, false);
    reply_push_ack(&queue, 3, 1, false);
    reply_push_ack(&queue, 4, 2, false);
    reply_push_ack(&queue, 5, 2, true);
    reply_push_ack(&queue, 6, 2, true);
    assert_int_equal(queue.count, 4);
    for (unsigned i = 0; i < 3; i++) {
        reply_take(&queue, 1);
    }
    assert_true(reply_first(&queue)->is_sync);
    assert_int_equal(reply_first(&queue)->count, 2);
    reply_queue_deinit(&queue);
}

static void
test_bytes_come_out_as_they_went_in_however_they_are_taken(void **state)
{
    struct reply_queue queue;
    struct reply_marks marks = {4, 4, false};

    reply_queue_init(&queue, 70);
    push_text(&queue, "ab", 0);
    push_text(&queue, "cd", 0);
    push_text(&queue, "ef", 5);
    assert_int_equal(queue.count, 2); /* what need not wait is one entry */
    assert_int_equal(reply_first(&queue)->extent, 4);
    reply_take_bytes(&queue, 1);
    assert_memory_equal(reply_bytes(&queue), "bcd", 3);
    assert_true(reply_first(&queue)->is_started);
    reply_take(&queue, 1);
    assert_int_equal(reply_ready_count(reply_first(&queue), &marks), 0);
    marks.acked_lsn = 5;
    assert_int_equal(reply_ready_count(reply_first(&queue), &marks), 1);
    assert_memory_equal(reply_bytes(&queue), "ef", 2);
    reply_take(&queue, 1);
    assert_null(reply_first(&queue));
    assert_int_equal(queue.size, 0);
    reply_queue_deinit(&queue);
}

static void
test_an_empty_queue_owns_next_to_nothing(void **state)
{
    struct reply_queue queue;

    reply_queue_init(&queue, 70);
    for (uint64_t lsn = 2; lsn < 4000; lsn += 2) {
        reply_push_ack(&queue, lsn, 1, false);
        push_text(&queue, "0123456789", 0);
    }
    while (reply_first(&queue) != NULL) {
        reply_take(&queue, 1);
    }
    assert_ptr_equal(queue.ring, queue.first);
    assert_true(queue.bytes.capacity <= 512);
    assert_int_equal(queue.size, 0);
    reply_queue_deinit(&queue);
}

static void
test_a_queue_that_never_runs_empty_does_not_grow(void **state)
{
    struct reply_queue queue;

    reply_queue_init(&queue, 70);
    push_text(&queue, "x", 1);
    for (unsigned i = 0; i < 100000; i++) {
        push_text(&queue, "0123456789", 1);
        reply_take(&queue, 1);
    }
    assert_true(queue.bytes.capacity < 64 * 1024);
    reply_queue_deinit(&queue);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consecutive_acks_are_one_entry),
        cmocka_unit_test(test_a_gap_a_version_or_a_sync_begins_a_new_run),
        cmocka_unit_test(test_bytes_come_out_as_they_went_in_however_they_are_taken),
        cmocka_unit_test(test_an_empty_queue_owns_next_to_nothing),
        cmocka_unit_test(test_a_queue_that_never_runs_empty_does_not_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
