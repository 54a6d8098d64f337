/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "durability/quarantine.h"

#define PATH "/d/segment-0000000000000007.log"
#define COPY "/d/quarantine/segment-0000000000000007-0000000000000064.cut"

static void
test_a_tail_is_copied_byte_for_byte_and_never_over_an_older_one(void **state)
{
    struct memory_os memory;
    struct scan scan;
    uint8_t *bytes = malloc(700000);

    for (size_t i = 0; i < 700000; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    memory_os_init(&memory);
    memory_put(&memory, PATH, bytes, 700000);
    assert_int_equal(scan_open(&scan, &memory.os, PATH, NULL), BV_OK);
    scan.header.segment_number = 7;
    assert_int_equal(quarantine_tail(&scan, "/d", 100, 699999, NULL), BV_OK);
    struct memory_file *copy = memory_find(&memory, COPY);
    assert_non_null(copy);
    assert_int_equal(copy->size, 699899);
    assert_memory_equal(copy->data, bytes + 100, copy->size);
    assert_int_equal(quarantine_tail(&scan, "/d", 100, 200, NULL), BV_OK);
    assert_int_equal(copy->size, 699899);
    assert_int_equal(memory_find(&memory, COPY ".2")->size, 100);
    scan_close(&scan);
    free(bytes);
    memory_os_deinit(&memory);
}

static void
test_a_segment_moves_with_all_it_holds(void **state)
{
    struct memory_os memory;

    memory_os_init(&memory);
    memory_put(&memory, PATH, "one", 3);
    assert_int_equal(quarantine_segment(&memory.os, "/d", 7, NULL), BV_OK);
    assert_null(memory_find(&memory, PATH));
    assert_int_equal(memory_find(&memory, "/d/quarantine/segment-0000000000000007.log")->size, 3);
    memory_put(&memory, PATH, "four", 4);
    assert_int_equal(quarantine_segment(&memory.os, "/d", 7, NULL), BV_OK);
    assert_int_equal(memory_find(&memory, "/d/quarantine/segment-0000000000000007.log.2")->size, 4);
    memory_os_deinit(&memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tail_is_copied_byte_for_byte_and_never_over_an_older_one),
        cmocka_unit_test(test_a_segment_moves_with_all_it_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
