/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "durability/segment.h"
#include "durability/survey.h"
#include "util/bytes.h"

#define SEGMENT_1 "/memory/wal/segment-0000000000000001.log"
#define SEGMENT_2 "/memory/wal/segment-0000000000000002.log"

/* What a survey told, checked to be dense as it is told. */
struct told {
    struct survey_result result;
    struct bv_error error;
    uint64_t next_lsn;
    uint64_t lost;
    struct survey_range range; /* the last one */
    size_t ranges;
    size_t findings;
    unsigned kinds[SURVEY_KIND_COUNT];
    struct survey_finding finding; /* the last one that is not a torn tail */
};

static enum bv_status
see_record(void *context, const struct record_header *header, struct slice body,
           struct bv_error *err)
{
    struct told *told = context;

    assert_true(told->next_lsn == 0 || header->first_lsn == told->next_lsn);
    told->next_lsn = header->first_lsn + header->count;
    return BV_OK;
}

static enum bv_status
see_range(void *context, const struct survey_range *range, struct bv_error *err)
{
    struct told *told = context;

    assert_true(told->next_lsn == 0 || range->first_lsn == told->next_lsn);
    assert_true(range->last_lsn >= range->first_lsn);
    told->next_lsn = range->last_lsn + 1;
    told->lost += range->last_lsn - range->first_lsn + 1;
    told->range = *range;
    told->ranges++;
    return BV_OK;
}

static enum bv_status
see_finding(void *context, const struct survey_finding *finding, struct bv_error *err)
{
    struct told *told = context;

    told->findings++;
    told->kinds[finding->kind]++;
    if (finding->kind != SURVEY_TORN_TAIL) {
        told->finding = *finding;
    }
    return BV_OK;
}

static void
look(struct told *told, struct memory_os *memory)
{
    const struct survey_sink sink = {see_record, see_range, see_finding, told};

    memset(told, 0, sizeof *told);
    assert_int_equal(survey_log(&told->result, &memory->os, "/memory/wal", 0, &sink, &told->error),
                     BV_OK);
    assert_true(told->next_lsn == 0 || told->next_lsn == told->result.next_lsn);
}

/* Two segments. The first: LSN 1; 2..6 and 7..9 in one group; 10; a clean stop. The second: 11..20.
 */
static void
make_log(struct memory_os *memory)
{
    struct fixture f;

    memory_os_init(memory);
    fixture_init(&f, &memory->os);
    f.options.tick_ms = 1000000; /* no idle mark in between */
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 1, 50);
    fixture_log(&f, 5, 333);
    fixture_log(&f, 3, 4000);
    wal_publish(f.wal);
    assert_int_equal(wal_wait(f.wal, 9, true, NULL), BV_OK);
    fixture_commit(&f, 1, 20);
    fixture_close(&f);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 10, 100);
    fixture_deinit(&f);
}

static void
flip(struct memory_os *memory, const char *path, size_t offset)
{
    struct memory_file *file = memory_find(memory, path);

    assert_true(offset < file->size);
    file->data[offset] ^= 4;
}

static void
test_a_sound_log_gives_its_records_and_nothing_else(void **state)
{
    struct memory_os memory;
    struct told told;

    make_log(&memory);
    look(&told, &memory);
    assert_int_equal(told.findings, 0);
    assert_int_equal(told.ranges, 0);
    assert_int_equal(told.result.first_lsn, 1);
    assert_int_equal(told.result.next_lsn, 21);
    assert_int_equal(told.result.records, 5);
    assert_int_equal(told.result.events, 20);
    assert_int_equal(told.result.segments, 2);
    assert_true(told.result.was_clean_stop);
    memory_os_deinit(&memory);
}

static void
test_an_empty_directory_is_an_empty_log(void **state)
{
    struct memory_os memory;
    struct told told;

    memory_os_init(&memory);
    look(&told, &memory);
    assert_int_equal(told.result.first_lsn, 0);
    assert_int_equal(told.result.next_lsn, 0);
    memory_put(&memory, SEGMENT_1, "", 0); /* stands for none */
    look(&told, &memory);
    assert_int_equal(told.result.segments, 0);
    assert_int_equal(told.findings, 0);
    memory_os_deinit(&memory);
}

static void
test_one_bad_record_costs_its_own_operations_and_no_more(void **state)
{
    struct memory_os memory;
    struct told told;
    /* the second group: mark at 8192, LSN 2..6 behind it */
    const size_t record = 8192 + RECORD_MARK_SIZE;

    make_log(&memory);
    flip(&memory, SEGMENT_1, record + 100);
    look(&told, &memory);
    assert_int_equal(told.ranges, 1);
    assert_int_equal(told.range.first_lsn, 2);
    assert_int_equal(told.range.last_lsn, 6);
    assert_int_equal(told.range.version_before, 3);
    assert_int_equal(told.range.version_after, 3);
    assert_int_equal(told.kinds[SURVEY_GAP], 1);
    assert_int_equal(told.finding.segment, 1);
    assert_int_equal(told.finding.offset, record);
    assert_int_equal(told.result.records, 4);
    assert_int_equal(told.result.next_lsn, 21);
    memory_os_deinit(&memory);
}

static void
test_the_last_record_of_a_group_is_missed_by_the_next_mark(void **state)
{
    struct memory_os memory;
    struct told told;

    make_log(&memory);
    flip(&memory, SEGMENT_1, 8192 + 3000); /* in LSN 7..9 */
    look(&told, &memory);
    assert_int_equal(told.ranges, 1);
    assert_int_equal(told.range.first_lsn, 7);
    assert_int_equal(told.range.last_lsn, 9);
    assert_false(told.finding.is_at_boundary);
    memory_os_deinit(&memory);
}

static void
test_a_bad_mark_hides_its_group_and_a_bad_header_hides_nothing(void **state)
{
    struct memory_os memory;
    struct told told;

    make_log(&memory);
    flip(&memory, SEGMENT_1, 8192 + 60);
    look(&told, &memory);
    assert_int_equal(told.lost, 8);
    assert_int_equal(told.range.first_lsn, 2);
    flip(&memory, SEGMENT_1, 8192 + 60);
    for (size_t offset = 0; offset < 4096; offset += 37) {
        flip(&memory, SEGMENT_1, offset);
        look(&told, &memory);
        assert_int_equal(told.lost, 0);
        assert_int_equal(told.result.records, 5);
        assert_int_equal(told.kinds[SURVEY_HEADER], 1);
        flip(&memory, SEGMENT_1, offset);
    }
    memory_os_deinit(&memory);
}

static void
test_a_missing_segment_is_a_gap_between_two_versions(void **state)
{
    struct memory_os memory;
    struct told told;
    struct fixture f;

    make_log(&memory);
    fixture_init(&f, &memory.os);
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_commit(&f, 4, 100); /* 21..24, in segment 3 */
    fixture_deinit(&f);
    memory_find(&memory, SEGMENT_2)->exists = false;
    look(&told, &memory);
    assert_int_equal(told.kinds[SURVEY_MISSING_SEGMENT], 1);
    assert_int_equal(told.kinds[SURVEY_GAP], 1);
    assert_int_equal(told.range.first_lsn, 11);
    assert_int_equal(told.range.last_lsn, 20);
    assert_false(told.finding.is_at_boundary);
    assert_int_equal(told.result.next_lsn, 25);
    memory_os_deinit(&memory);
}

static void
test_a_log_that_came_back_in_a_new_segment_has_its_gap_at_the_boundary(void **state)
{
    _Alignas(4096) uint8_t page[SEGMENT_PAGE_SIZE];
    struct memory_os memory;
    struct told told;
    const struct segment_header header = {
        .segment_number = 3, .first_lsn = 31, .salt = 5, .registry_version = 3};

    make_log(&memory);
    segment_header_encode(page, &header);
    memory_put(&memory, "/memory/wal/segment-0000000000000003.log", page, sizeof page);
    look(&told, &memory);
    assert_int_equal(told.findings, 1);
    assert_int_equal(told.finding.kind, SURVEY_GAP);
    assert_true(told.finding.is_at_boundary);
    assert_int_equal(told.range.first_lsn, 21);
    assert_int_equal(told.range.last_lsn, 30);
    assert_int_equal(told.range.version_after, 0);
    memory_os_deinit(&memory);
}

static void
test_a_tail_that_nothing_follows_is_torn_wherever_it_is_cut(void **state)
{
    struct memory_os memory;
    struct told told;

    make_log(&memory);
    struct memory_file *file = memory_find(&memory, SEGMENT_2);
    file->size -= 4096; /* the clean stop */
    for (size_t size = file->size; size > 4096; size -= 13) {
        file->size = size;
        look(&told, &memory);
        assert_int_equal(told.findings, told.kinds[SURVEY_TORN_TAIL]);
        assert_int_equal(told.ranges, 0);
        assert_true(told.result.next_lsn == 11 || told.result.next_lsn == 21);
        if (size - 4096 < 13) {
            break;
        }
    }
    memory_os_deinit(&memory);
}

/* All of them take a second; a sanitizer is ten times slower. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BIT_STEP 53
#else
#define BIT_STEP 3
#endif

/* The promise of the header: wherever a bit flips, records and ranges stay dense (see_record and
 * see_range), the flip is noticed, and at most one group is lost. */
static void
test_no_flipped_bit_is_silent_and_none_costs_more_than_its_group(void **state)
{
    struct memory_os memory;
    struct told told;
    uint64_t worst = 0;
    size_t flips = 0;

    make_log(&memory);
    struct memory_file *file = memory_find(&memory, SEGMENT_1);
    for (size_t bit = 0; bit < file->size * 8; bit += BIT_STEP) {
        file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        look(&told, &memory);
        file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(told.findings > 0);
        assert_int_equal(told.kinds[SURVEY_TORN_TAIL], 0);
        assert_int_equal(told.result.next_lsn, 21);
        worst = told.lost > worst ? told.lost : worst;
        flips++;
    }
    print_message("%zu flips: each noticed, at most %llu operations lost\n", flips,
                  (unsigned long long)worst);
    assert_int_equal(worst, 8);
    memory_os_deinit(&memory);
}

static void
test_a_payload_that_looks_like_a_record_is_never_believed(void **state)
{
    uint8_t fake[64] = {0};
    struct record_header header = {.length = RECORD_HEADER_SIZE,
                                   .first_lsn = 9,
                                   .count = 1,
                                   .type = RECORD_RESET,
                                   .registry_version = 3};
    struct memory_os memory;
    struct told told;

    make_log(&memory);
    struct memory_file *file = memory_find(&memory, SEGMENT_1);
    (void)record_header_encode(fake, &header);
    store_le32(fake + 4, crc32c(0, fake + 8, RECORD_HEADER_SIZE - 8));
    /* into the body of LSN 7..9, aligned; that record does not check any more */
    memcpy(file->data + 8192 + 2048, fake, RECORD_HEADER_SIZE);
    look(&told, &memory);
    assert_int_equal(told.range.first_lsn, 7);
    assert_int_equal(told.range.last_lsn, 9);
    memory_os_deinit(&memory);
}

static void
test_what_a_later_version_wrote_is_refused_as_such(void **state)
{
    const struct survey_sink sink = {0};
    struct survey_result result;
    struct bv_error err = {0};
    struct memory_os memory;

    make_log(&memory);
    struct memory_file *file = memory_find(&memory, SEGMENT_1);
    uint8_t *record = file->data + 4096 + RECORD_MARK_SIZE;
    store_le16(record + 28, 99);
    store_le32(record + 4, crc32c(0, record + 8, load_le32(record) - 8));
    assert_int_equal(survey_log(&result, &memory.os, "/memory/wal", 0, &sink, &err),
                     BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(err.message, "type 99"));
    memory_os_deinit(&memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_log_gives_its_records_and_nothing_else),
        cmocka_unit_test(test_an_empty_directory_is_an_empty_log),
        cmocka_unit_test(test_one_bad_record_costs_its_own_operations_and_no_more),
        cmocka_unit_test(test_the_last_record_of_a_group_is_missed_by_the_next_mark),
        cmocka_unit_test(test_a_bad_mark_hides_its_group_and_a_bad_header_hides_nothing),
        cmocka_unit_test(test_a_missing_segment_is_a_gap_between_two_versions),
        cmocka_unit_test(test_a_log_that_came_back_in_a_new_segment_has_its_gap_at_the_boundary),
        cmocka_unit_test(test_a_tail_that_nothing_follows_is_torn_wherever_it_is_cut),
        cmocka_unit_test(test_no_flipped_bit_is_silent_and_none_costs_more_than_its_group),
        cmocka_unit_test(test_a_payload_that_looks_like_a_record_is_never_believed),
        cmocka_unit_test(test_what_a_later_version_wrote_is_refused_as_such),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
