/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "durability/quarantine.h"
#include "durability/scan.h"
#include "os/fault.h"
#include "util/bytes.h"

#define PATH "/d/segment-0000000000000001.log"

static void
test_a_view_is_what_is_there_and_never_more(void **state)
{
    struct memory_os memory;
    struct scan scan;
    struct slice view;
    uint8_t *bytes = malloc(3 * SCAN_WINDOW_SIZE);

    for (size_t i = 0; i < 3 * SCAN_WINDOW_SIZE; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    memory_os_init(&memory);
    memory_put(&memory, PATH, bytes, 3 * SCAN_WINDOW_SIZE - 5);
    assert_int_equal(scan_open(&scan, &memory.os, PATH, NULL), BV_OK);
    for (uint64_t offset = 0; offset < 3 * SCAN_WINDOW_SIZE; offset += 100003) {
        size_t left = 3 * SCAN_WINDOW_SIZE - 5 - (size_t)offset;
        size_t wanted = offset % 3 == 0 ? 2 * SCAN_WINDOW_SIZE : 1000;
        assert_int_equal(scan_view(&view, &scan, offset, wanted, NULL), BV_OK);
        assert_int_equal(view.size, wanted < left ? wanted : left);
        assert_memory_equal(view.data, bytes + offset, view.size);
    }
    assert_int_equal(scan_view(&view, &scan, 1ull << 60, 10, NULL), BV_OK);
    assert_int_equal(view.size, 0);
    scan_close(&scan);
    scan_close(&scan);
    free(bytes);
    memory_os_deinit(&memory);
}

static void
test_a_length_beyond_the_file_reads_no_further_than_the_file(void **state)
{
    struct memory_os memory;
    struct scan scan;
    struct record_header header;
    struct slice body;
    enum record_state result;
    uint8_t bytes[100] = {0};

    store_le32(bytes, RECORD_LENGTH_MAX);
    memory_os_init(&memory);
    memory_put(&memory, PATH, bytes, sizeof bytes);
    assert_int_equal(scan_open(&scan, &memory.os, PATH, NULL), BV_OK);
    assert_int_equal(scan_record(&result, &header, &body, &scan, 0, NULL), BV_OK);
    assert_int_equal(result, RECORD_INCOMPLETE);
    assert_true(scan.window.capacity < 1 << 21);
    scan_close(&scan);
    memory_os_deinit(&memory);
}

static void
test_the_rest_is_searched_for_marks_of_this_segment_only(void **state)
{
    struct memory_os memory;
    struct scan scan;
    struct scan_rest rest;
    static uint8_t bytes[8 * 4096];
    struct record_mark mark = {.header = {.first_lsn = 9}, .segment_number = 1, .salt = 5};

    memset(bytes, 0, sizeof bytes);
    bytes[4096 + 17] = 1;
    mark.salt = 6;
    record_mark_encode(bytes + 2 * 4096, &mark);
    mark.salt = 5;
    record_mark_encode(bytes + 3 * 4096 + 8, &mark); /* not on a page boundary */
    memory_os_init(&memory);
    memory_put(&memory, PATH, bytes, sizeof bytes);
    assert_int_equal(scan_open(&scan, &memory.os, PATH, NULL), BV_OK);
    scan.header.segment_number = 1;
    scan.header.salt = 5;
    assert_int_equal(scan_rest(&rest, &scan, 100, NULL), BV_OK);
    assert_false(rest.has_mark);
    assert_in_range(rest.nonzero_end, 3 * 4096 + 8, 3 * 4096 + 80);
    assert_int_equal(scan_rest(&rest, &scan, 4 * 4096, NULL), BV_OK);
    assert_int_equal(rest.nonzero_end, 0);
    scan_close(&scan);
    record_mark_encode(bytes + 6 * 4096, &mark);
    memory_put(&memory, PATH, bytes, sizeof bytes);
    assert_int_equal(scan_open(&scan, &memory.os, PATH, NULL), BV_OK);
    scan.header.segment_number = 1;
    scan.header.salt = 5;
    assert_int_equal(scan_rest(&rest, &scan, 100, NULL), BV_OK);
    assert_true(rest.has_mark);
    assert_int_equal(rest.mark_offset, 6 * 4096);
    assert_int_equal(rest.mark.header.first_lsn, 9);
    scan_close(&scan);
    memory_os_deinit(&memory);
}

static void
test_a_read_error_is_an_error_and_not_an_end(void **state)
{
    struct memory_os memory;
    struct os_fault fault;
    struct scan scan;
    struct scan_rest rest;
    struct bv_error err;
    static uint8_t bytes[4096];

    memory_os_init(&memory);
    memory_put(&memory, PATH, bytes, sizeof bytes);
    os_fault_init(&fault, &memory.os);
    assert_int_equal(scan_open(&scan, &fault.os, PATH, NULL), BV_OK);
    os_fault_set(&fault, OS_CALL_READ, (struct os_fault_rule){1, 0, EIO, 0});
    assert_int_equal(scan_rest(&rest, &scan, 0, &err), BV_IO);
    assert_non_null(strstr(err.message, PATH));
    scan_close(&scan);
    memory_os_deinit(&memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_view_is_what_is_there_and_never_more),
        cmocka_unit_test(test_a_length_beyond_the_file_reads_no_further_than_the_file),
        cmocka_unit_test(test_the_rest_is_searched_for_marks_of_this_segment_only),
        cmocka_unit_test(test_a_read_error_is_an_error_and_not_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
