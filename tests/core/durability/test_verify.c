/* SPDX-License-Identifier: Apache-2.0 */
#include "tool_fixture.h"

static void
verify(struct verify_report *report, struct memory_os *memory)
{
    struct bv_error err = {0};

    assert_int_equal(verify_run(report, &memory->os, &both_paths, &err), BV_OK);
}

/* What the report says in short: sound, the snapshot a start takes, whether there is another way.
 */
static void
expect(struct memory_os *memory, bool is_sound, bool is_possible, uint64_t snapshot_lsn,
       bool has_fallback)
{
    struct verify_report report;

    verify(&report, memory);
    assert_int_equal(verify_is_sound(&report), is_sound);
    assert_int_equal(report.is_possible, is_possible);
    assert_int_equal(report.snapshot_lsn, snapshot_lsn);
    assert_int_equal(report.from_snapshot, snapshot_lsn != 0);
    assert_int_equal(report.has_fallback, has_fallback);
    verify_report_deinit(&report);
}

static void
test_a_log_alone_is_sound(void **state)
{
    struct memory_os memory;
    struct verify_report report;

    tool_log(&memory);
    expect(&memory, true, true, 0, false);
    verify(&report, &memory);
    assert_int_equal(report.log.next_lsn, 25);
    assert_int_equal(report.replay_records, 6);
    assert_int_equal(report.finding_count, 0);
    assert_string_equal(report.holder, "");
    verify_report_deinit(&report);
    memory_os_deinit(&memory);
}

static void
test_a_start_takes_the_newest_snapshot_and_falls_back_to_the_one_before(void **state)
{
    struct memory_os memory;
    struct verify_report report;

    tool_log(&memory);
    tool_snapshot(&memory, 10, 12);
    expect(&memory, true, true, 10, true);
    tool_snapshot(&memory, 20, 20);
    verify(&report, &memory);
    assert_true(verify_is_sound(&report));
    assert_int_equal(report.snapshot_lsn, 20);
    assert_int_equal(report.fallback_lsn, 10);
    assert_int_equal(report.replay_records, 1);
    assert_int_equal(report.snapshot_count, 2);
    assert_int_equal(report.snapshots[0].info.entities, 7);
    verify_report_deinit(&report);

    tool_flip(&memory, SNAPSHOT("14"), 4200);
    expect(&memory, false, true, 10, true); /* the log goes back to 1 */
    tool_flip(&memory, SNAPSHOT("0a"), 100);
    expect(&memory, false, true, 0, false);
    memory_os_deinit(&memory);
}

static void
test_a_retired_log_needs_the_snapshot_that_covers_it(void **state)
{
    struct memory_os memory;

    tool_log(&memory);
    tool_snapshot(&memory, 10, 10);
    tool_snapshot(&memory, 20, 22);
    memory_find(&memory, SEGMENT_1)->exists = false;
    expect(&memory, true, true, 20, true);
    tool_flip(&memory, SNAPSHOT("14"), 4200);
    expect(&memory, false, true, 10, false);
    memory_find(&memory, SEGMENT_2)->exists = false;
    expect(&memory, false, false, 10, false);
    tool_flip(&memory, SNAPSHOT("14"), 4200);
    expect(&memory, true, true, 20, false);
    memory_find(&memory, SEGMENT_3)->exists = false;
    expect(&memory, false, false, 20, false); /* its image at 22 wants the log up to there */
    tool_flip(&memory, SNAPSHOT("14"), 4200);
    expect(&memory, false, false, 10, false); /* what it held is missing */
    tool_flip(&memory, SNAPSHOT("0a"), 4200);
    expect(&memory, false, false, 0, false); /* not a new directory */
    memory_os_deinit(&memory);
}

static void
test_damage_is_named_with_file_offset_and_lsns(void **state)
{
    struct memory_os memory;
    struct verify_report report;
    struct buf text;

    buf_init(&text);
    tool_log(&memory);
    tool_flip(&memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100);
    verify(&report, &memory);
    assert_false(verify_is_sound(&report));
    assert_false(report.is_possible);
    assert_int_equal(report.finding_count, 1);
    assert_true(report.findings[0].is_damage);
    assert_string_equal(report.findings[0].file, "segment-0000000000000001.log");
    assert_int_equal(report.findings[0].found.first_lsn, 2);
    assert_int_equal(report.findings[0].found.last_lsn, 6);
    verify_write_text(&text, &report);
    buf_byte(&text, 0);
    assert_non_null(strstr((const char *)text.data, "DAMAGE   segment-0000000000000001.log: offset "
                                                    "8264: a record does not check"));
    assert_non_null(strstr((const char *)text.data, "LSN 2 to 6 cannot be read"));
    verify_report_deinit(&report);
    buf_deinit(&text);
    memory_os_deinit(&memory);
}

static void
test_damage_below_the_snapshot_is_damage_but_a_start_does_without(void **state)
{
    struct memory_os memory;

    tool_log(&memory);
    tool_snapshot(&memory, 20, 20);
    tool_flip(&memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100);
    expect(&memory, false, true, 20, false);
    memory_os_deinit(&memory);
}

static void
test_a_torn_tail_is_a_note(void **state)
{
    struct memory_os memory;
    struct verify_report report;

    tool_log(&memory);
    memory_find(&memory, SEGMENT_3)->size = 4096 + RECORD_MARK_SIZE + 60;
    verify(&report, &memory);
    assert_true(verify_is_sound(&report));
    assert_int_equal(report.finding_count, 1);
    assert_int_equal(report.findings[0].found.kind, SURVEY_TORN_TAIL);
    assert_int_equal(report.log.next_lsn, 21);
    assert_int_equal(report.log.torn_bytes, RECORD_MARK_SIZE + 60 - RECORD_MARK_SIZE);
    verify_report_deinit(&report);
    memory_os_deinit(&memory);
}

/* After a full disk the log goes on in a new segment above a snapshot of what was in memory. */
static void
test_a_gap_that_a_snapshot_holds_is_no_damage(void **state)
{
    _Alignas(4096) uint8_t page[SEGMENT_PAGE_SIZE];
    struct memory_os memory;
    const struct segment_header header = {
        .segment_number = 4, .first_lsn = 31, .salt = 5, .registry_version = 3};

    tool_log(&memory);
    segment_header_encode(page, &header);
    memory_put(&memory, WAL "/segment-0000000000000004.log", page, sizeof page);
    expect(&memory, false, false, 0, false);
    tool_snapshot(&memory, 30, 30);
    expect(&memory, true, true, 30, false);
    memory_os_deinit(&memory);
}

static void
test_another_format_is_damage(void **state)
{
    struct memory_os memory;
    struct verify_report report;

    tool_log(&memory);
    memory_put(&memory, WAL "/FORMAT", "beava-wal 9\n", 12);
    verify(&report, &memory);
    assert_int_equal(report.damages, 1);
    assert_string_equal(report.findings[0].file, "FORMAT");
    verify_report_deinit(&report);
    memory_find(&memory, WAL "/FORMAT")->exists = false;
    expect(&memory, false, false, 0, false);
    memory_os_deinit(&memory);
}

static void
test_spares_history_and_quarantine_are_counted_and_not_read(void **state)
{
    struct memory_os memory;
    struct verify_report report;

    tool_log(&memory);
    memory_put(&memory, WAL "/./spare-0000000000000009.log", "rubbish", 7);
    memory_put(&memory, WAL "/history/segment-0000000000000007.log", "rubbish", 7);
    memory_put(&memory, WAL "/quarantine/segment-0000000000000007-0.cut", "rubbish", 7);
    verify(&report, &memory);
    assert_true(verify_is_sound(&report));
    assert_int_equal(report.spares, 1);
    assert_int_equal(report.history, 1);
    assert_int_equal(report.quarantined, 1);
    verify_report_deinit(&report);
    memory_os_deinit(&memory);
}

/* Each bit of every file: no flip passes for sound. */
static void
test_no_flipped_bit_is_called_sound(void **state)
{
    static const char *const files[] = {SEGMENT_2, SNAPSHOT("0a")};
    struct memory_os memory;
    size_t flips = 0;

    tool_log(&memory);
    tool_snapshot(&memory, 10, 10);
    for (size_t f = 0; f < 2; f++) {
        struct memory_file *file = memory_find(&memory, files[f]);
        for (size_t bit = 0; bit < file->size * 8; bit += 41) {
            struct verify_report report;
            file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            verify(&report, &memory);
            file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(verify_is_sound(&report));
            verify_report_deinit(&report);
            flips++;
        }
    }
    print_message("%zu flips, none called sound\n", flips);
    memory_os_deinit(&memory);
}

static void
test_a_directory_is_known_by_what_lies_in_it(void **state)
{
    char root[] = "/tmp/beava-wal-XXXXXX";
    char command[128];
    char inner[64];
    struct verify_paths paths;
    struct bv_error err = {0};

    assert_non_null(mkdtemp(root));
    assert_int_equal(verify_find(&paths, os_posix(), "/tmp/no-such-directory", &err), BV_CONFIG);
    assert_int_equal(verify_find(&paths, os_posix(), root, &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "neither wal/ nor snapshots/"));
    (void)snprintf(command, sizeof command,
                   "mkdir %s/wal && printf 'beava-wal 1\\n' > %s/wal/FORMAT", root, root);
    assert_int_equal(system(command), 0);
    assert_int_equal(verify_find(&paths, os_posix(), root, &err), BV_OK);
    (void)snprintf(inner, sizeof inner, "%s/wal", root);
    assert_string_equal(paths.wal, inner);
    assert_string_equal(paths.snapshots, "");
    assert_int_equal(verify_find(&paths, os_posix(), inner, &err), BV_OK);
    assert_string_equal(paths.wal, inner);
    assert_string_equal(paths.snapshots, "");
    (void)snprintf(command, sizeof command, "mkdir %s/snapshots && rm -r %s/wal", root, root);
    assert_int_equal(system(command), 0);
    assert_int_equal(verify_find(&paths, os_posix(), root, &err), BV_OK);
    assert_string_equal(paths.wal, "");
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_alone_is_sound),
        cmocka_unit_test(test_a_start_takes_the_newest_snapshot_and_falls_back_to_the_one_before),
        cmocka_unit_test(test_a_retired_log_needs_the_snapshot_that_covers_it),
        cmocka_unit_test(test_damage_is_named_with_file_offset_and_lsns),
        cmocka_unit_test(test_damage_below_the_snapshot_is_damage_but_a_start_does_without),
        cmocka_unit_test(test_a_torn_tail_is_a_note),
        cmocka_unit_test(test_a_gap_that_a_snapshot_holds_is_no_damage),
        cmocka_unit_test(test_another_format_is_damage),
        cmocka_unit_test(test_spares_history_and_quarantine_are_counted_and_not_read),
        cmocka_unit_test(test_no_flipped_bit_is_called_sound),
        cmocka_unit_test(test_a_directory_is_known_by_what_lies_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
