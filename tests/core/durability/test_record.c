/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "durability/record.h"
#include "util/bytes.h"
#include "util/crc.h"

/* A whole record in `out`; returns its padded size. */
static size_t
make_record(uint8_t *out, struct record_header *header, const char *body)
{
    size_t body_size = strlen(body);

    header->length = (uint32_t)(record_header_size(header->flags) + body_size);
    header->crc = 0;
    size_t at = record_header_encode(out, header);
    memcpy(out + at, body, body_size);
    memset(out + header->length, 0, 8);
    header->crc = crc32c(0, out + 8, header->length - 8);
    store_le32(out + 4, header->crc);
    return record_padded_size(header->length);
}

static void
test_a_record_reads_back_as_it_was_written(void **state)
{
    static const uint16_t flags[] = {0, RECORD_FLAG_EVENT_TIME, RECORD_FLAG_SOURCE,
                                     RECORD_FLAG_EVENT_TIME | RECORD_FLAG_SOURCE |
                                         RECORD_FLAG_DEDUPE};

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        uint8_t bytes[256];
        struct record_header read;
        struct slice body;
        bool has_time = (flags[i] & RECORD_FLAG_EVENT_TIME) != 0;
        bool has_source = (flags[i] & RECORD_FLAG_SOURCE) != 0;
        struct record_header header = {.type = RECORD_PUSH,
                                       .flags = flags[i],
                                       .first_lsn = 1ull << 40,
                                       .time_ms = 1700000000000,
                                       .count = 7,
                                       .registry_version = 9,
                                       .seed = 0xdeadbeef,
                                       .event_time_ms = has_time ? 5 : 0,
                                       .source = has_source ? 6 : 0,
                                       .source_offset = has_source ? 7 : 0};
        size_t size = make_record(bytes, &header, "thirteen char");

        assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_VALID);
        assert_memory_equal(&read, &header, sizeof read);
        assert_true(slice_equal(body, slice_text("thirteen char")));
    }
}

static void
test_the_header_lies_where_the_format_says(void **state)
{
    uint8_t bytes[RECORD_HEADER_SIZE_MAX];
    struct record_header header = {.length = 0x01020304,
                                   .crc = 0x11121314,
                                   .first_lsn = 0x2122232425262728,
                                   .time_ms = 0x3132333435363738,
                                   .count = 0x41424344,
                                   .type = 0x5152,
                                   .flags = RECORD_FLAG_SOURCE,
                                   .registry_version = 0x61626364,
                                   .seed = 0x71727374,
                                   .source = 0x8182838485868788,
                                   .source_offset = 0x9192939495969798};

    assert_int_equal(record_header_encode(bytes, &header), 56);
    assert_int_equal(load_le32(bytes), 0x01020304);
    assert_int_equal(load_le32(bytes + 4), 0x11121314);
    assert_int_equal(load_le64(bytes + 8), 0x2122232425262728);
    assert_int_equal(load_le64(bytes + 16), 0x3132333435363738);
    assert_int_equal(load_le32(bytes + 24), 0x41424344);
    assert_int_equal(load_le16(bytes + 28), 0x5152);
    assert_int_equal(load_le16(bytes + 30), 2);
    assert_int_equal(load_le32(bytes + 32), 0x61626364);
    assert_int_equal(load_le32(bytes + 36), 0x71727374);
    assert_int_equal(load_le64(bytes + 40), 0x8182838485868788);
    assert_int_equal(load_le64(bytes + 48), 0x9192939495969798);
}

static void
test_no_flipped_bit_and_no_truncation_is_believed(void **state)
{
    uint8_t bytes[256];
    struct record_header header = {.type = RECORD_REGISTER, .first_lsn = 3, .count = 1};
    struct record_header read;
    struct slice body;
    size_t size = make_record(bytes, &header, "{\"version\":1}");

    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_VALID);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1); /* exact size: a sanitizer sees an overread */
        memcpy(copy, bytes, cut);
        assert_int_equal(record_decode(&read, &body, slice_of(copy, cut)), RECORD_INCOMPLETE);
        free(copy);
    }
    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_VALID);
}

static void
test_a_type_or_flag_of_a_later_version_is_told_apart(void **state)
{
    uint8_t bytes[256];
    struct record_header header = {.type = 99, .first_lsn = 3, .count = 1};
    struct record_header read;
    struct slice body;
    size_t size = make_record(bytes, &header, "x");

    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_UNKNOWN);
    header = (struct record_header){.type = RECORD_RESET, .flags = 0x4000, .count = 1};
    size = make_record(bytes, &header, "");
    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_UNKNOWN);
    header = (struct record_header){.type = RECORD_PUSH, .count = 0};
    size = make_record(bytes, &header, "");
    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_INVALID);
}

static void
test_a_length_of_zero_ends_the_group(void **state)
{
    static const uint8_t zeros[RECORD_HEADER_SIZE];
    struct record_header read;
    struct slice body;

    assert_int_equal(record_decode(&read, &body, slice_of(zeros, sizeof zeros)), RECORD_END);
    assert_int_equal(record_decode(&read, &body, slice_of(zeros, 8)), RECORD_END);
}

static void
test_a_mark_counts_only_under_its_own_segment_and_salt(void **state)
{
    uint8_t bytes[RECORD_MARK_SIZE] = {0};
    struct record_mark mark = {.header = {.first_lsn = 12, .time_ms = 5, .flags = 8},
                               .segment_number = 4,
                               .salt = 0x1234,
                               .durable_lsn = 11};
    struct record_mark read;
    struct slice data = slice_of(bytes, sizeof bytes);

    record_mark_encode(bytes, &mark);
    assert_true(record_mark_decode(&read, data, 4, 0x1234));
    assert_int_equal(read.header.first_lsn, 12);
    assert_int_equal(read.header.flags, RECORD_FLAG_CLEAN_STOP);
    assert_int_equal(read.durable_lsn, 11);
    assert_false(record_mark_decode(&read, data, 5, 0x1234));
    assert_false(record_mark_decode(&read, data, 4, 0x1235));
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(record_mark_decode(&read, data, 4, 0x1234));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void
test_lost_operations_are_counted_and_have_no_body(void **state)
{
    struct record_header header = {.type = RECORD_LOST, .first_lsn = 3, .count = 70000};
    struct record_header read;
    uint8_t bytes[256];
    struct slice body;
    size_t size = make_record(bytes, &header, "");

    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_VALID);
    assert_int_equal(read.count, 70000);
    assert_int_equal(body.size, 0);
    header = (struct record_header){.type = RECORD_LOST, .first_lsn = 3, .count = 0};
    size = make_record(bytes, &header, "");
    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_INVALID);
    header = (struct record_header){.type = RECORD_LOST, .first_lsn = 3, .count = 1};
    size = make_record(bytes, &header, "x");
    assert_int_equal(record_decode(&read, &body, slice_of(bytes, size)), RECORD_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_reads_back_as_it_was_written),
        cmocka_unit_test(test_the_header_lies_where_the_format_says),
        cmocka_unit_test(test_no_flipped_bit_and_no_truncation_is_believed),
        cmocka_unit_test(test_a_type_or_flag_of_a_later_version_is_told_apart),
        cmocka_unit_test(test_lost_operations_are_counted_and_have_no_body),
        cmocka_unit_test(test_a_length_of_zero_ends_the_group),
        cmocka_unit_test(test_a_mark_counts_only_under_its_own_segment_and_salt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
