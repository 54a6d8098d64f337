/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "durability/segment.h"
#include "os/fault.h"
#include "util/bytes.h"

static void
test_a_header_page_lies_where_the_format_says_and_reads_back(void **state)
{
    uint8_t page[SEGMENT_PAGE_SIZE];
    struct segment_header read;
    struct bv_error err;
    struct segment_header header = {.segment_number = 5,
                                    .first_lsn = 77,
                                    .salt = 0xabcdef,
                                    .created_ms = 1700000000000,
                                    .registry_version = 9};

    segment_header_encode(page, &header);
    assert_int_equal(load_le32(page), 4096);
    assert_memory_equal(page + 8, "beavaLOG", 8);
    assert_int_equal(load_le32(page + 16), 1);
    assert_int_equal(load_le64(page + 24), 5);
    assert_int_equal(load_le64(page + 32), 77);
    assert_int_equal(load_le64(page + 40), 0xabcdef);
    assert_int_equal(load_le32(page + 56), 9);
    assert_int_equal(segment_header_decode(&read, slice_of(page, sizeof page), "f", &err), BV_OK);
    assert_int_equal(read.first_lsn, 77);
    for (size_t bit = 0; bit < sizeof page * 8; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(segment_header_decode(&read, slice_of(page, sizeof page), "f", &err),
                         BV_CORRUPT);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(segment_header_decode(&read, slice_of(page, 4095), "f", &err), BV_CORRUPT);
}

static void
test_a_header_of_another_version_is_refused_by_its_number(void **state)
{
    uint8_t page[SEGMENT_PAGE_SIZE];
    struct segment_header read;
    struct bv_error err;
    struct segment_header header = {.segment_number = 5, .first_lsn = 77};

    segment_header_encode(page, &header);
    store_le32(page + 16, 2);
    store_le32(page + 4, crc32c(0, page + 8, sizeof page - 8));
    assert_int_equal(segment_header_decode(&read, slice_of(page, sizeof page), "file", &err),
                     BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(err.message, "file has format version 2"));
}

static void
test_names_are_sixteen_hexadecimal_digits(void **state)
{
    char name[SEGMENT_NAME_SIZE];
    uint64_t number;

    segment_name(name, 0x1f);
    assert_string_equal(name, "segment-000000000000001f.log");
    assert_true(segment_name_parse(&number, name));
    assert_int_equal(number, 0x1f);
    assert_false(segment_name_parse(&number, "segment-000000000000001F.log"));
    assert_false(segment_name_parse(&number, "segment-00000000000001f.log"));
    assert_false(segment_name_parse(&number, "segment-000000000000001g.log"));
    assert_false(segment_name_parse(&number, "segment.tmp"));
}

static void
create(struct segment *segment, struct memory_os *memory)
{
    struct segment_header header = {.segment_number = 1, .first_lsn = 1};

    memory_os_init(memory);
    assert_int_equal(segment_create(segment, &memory->os, "/d", &header, true, NULL), BV_OK);
}

static void
test_a_segment_has_its_name_only_when_its_header_is_whole(void **state)
{
    struct segment_header header = {.segment_number = 1, .first_lsn = 1};

    for (int call = 0; call < OS_CALL_COUNT; call++) {
        struct memory_os memory;
        struct os_fault fault;
        struct segment segment;

        memory_os_init(&memory);
        os_fault_init(&fault, &memory.os);
        os_fault_set(&fault, (enum os_call)call, (struct os_fault_rule){1, 1, EIO, 0});
        enum bv_status status = segment_create(&segment, &fault.os, "/d", &header, true, NULL);
        struct memory_file *file = memory_find(&memory, "/d/segment-0000000000000001.log");
        if (status == BV_OK) {
            assert_non_null(file);
            segment_close(&segment);
        }
        assert_int_equal(segment.fd, -1);
        if (file != NULL) {
            assert_int_equal(file->size, SEGMENT_PAGE_SIZE);
        }
        memory_os_deinit(&memory);
    }
}

static void
test_the_position_moves_only_over_whole_writes(void **state)
{
    static _Alignas(4096) uint8_t pages[2 * 4096];
    struct memory_os memory;
    struct os_fault fault;
    struct segment segment;
    struct bv_error err;
    struct iovec part = {pages, sizeof pages};

    create(&segment, &memory);
    os_fault_init(&fault, &memory.os);
    segment.os = &fault.os;
    assert_int_equal(segment_write(&segment, &part, 1, sizeof pages, true, &err), BV_OK);
    assert_int_equal(segment.position, 3 * 4096);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, 0, 0});
    assert_int_equal(segment_write(&segment, &part, 1, sizeof pages, true, &err), BV_IO);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_non_null(strstr(err.message, "offset 12288"));
    assert_int_equal(segment.position, 3 * 4096);
    segment_close(&segment);
    memory_os_deinit(&memory);
}

static void
test_zeros_are_prepared_in_slices_and_a_full_disk_is_told(void **state)
{
    struct memory_os memory;
    struct os_fault fault;
    struct segment segment;
    bool full;

    create(&segment, &memory);
    os_fault_init(&fault, &memory.os);
    segment.os = &fault.os;
    assert_int_equal(segment_prepare(&segment, 65536, 16384, &full, NULL), BV_OK);
    assert_int_equal(segment.prepared, 4096 + 16384);
    assert_int_equal(segment_prepare(&segment, 65536, 1 << 20, &full, NULL), BV_OK);
    assert_int_equal(segment.prepared, 4096 + 65536);
    assert_int_equal(segment_prepare(&segment, 65536, 1 << 20, &full, NULL), BV_OK);
    assert_false(full);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, ENOSPC, 0});
    assert_int_equal(segment_prepare(&segment, 131072, 1 << 20, &full, NULL), BV_OK);
    assert_true(full);
    os_fault_set_next(&fault, OS_CALL_WRITE, (struct os_fault_rule){1, 1, EIO, 0});
    assert_int_equal(segment_prepare(&segment, 131072, 1 << 20, &full, NULL), BV_IO);
    segment_close(&segment);
    memory_os_deinit(&memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_header_page_lies_where_the_format_says_and_reads_back),
        cmocka_unit_test(test_a_header_of_another_version_is_refused_by_its_number),
        cmocka_unit_test(test_names_are_sixteen_hexadecimal_digits),
        cmocka_unit_test(test_a_segment_has_its_name_only_when_its_header_is_whole),
        cmocka_unit_test(test_the_position_moves_only_over_whole_writes),
        cmocka_unit_test(test_zeros_are_prepared_in_slices_and_a_full_disk_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
