/* SPDX-License-Identifier: Apache-2.0 */
#include "tool_fixture.h"

#include "durability/salvage.h"

#define OUT "/memory/new"

struct rescue {
    struct memory_os memory;
    struct salvage_options options;
    struct salvage_result result;
    struct bv_error error;
    /* what the new log gives to a recovery, from the snapshot on */
    struct recovery_result recovered;
    uint64_t next_lsn;
    uint64_t lost;
    uint64_t checked; /* records whose body is the one that was logged */
};

static enum bv_status
see(const struct record_header *header, struct slice body, void *context, struct bv_error *err)
{
    struct rescue *rescue = context;
    uint8_t wanted[65536];

    assert_true(rescue->next_lsn == 0 || header->first_lsn == rescue->next_lsn);
    rescue->next_lsn = header->first_lsn + header->count;
    if (header->type == RECORD_LOST) {
        rescue->lost += header->count;
        return BV_OK;
    }
    fixture_body(wanted, body.size, header->first_lsn);
    assert_memory_equal(body.data, wanted, body.size);
    rescue->checked++;
    return BV_OK;
}

static void
rescue_init(struct rescue *rescue)
{
    memset(rescue, 0, sizeof *rescue);
    tool_log(&rescue->memory);
    rescue->options.from = both_paths;
    rescue->options.to = OUT;
}

/* Salvages; then what was written has to be sound, start without a word, and add up. */
static void
rescue_run(struct rescue *rescue)
{
    static const struct verify_paths written = {OUT "/wal", OUT "/snapshots", false};
    struct os *os = &rescue->memory.os;
    struct verify_report report;
    struct wal_directory *directory = NULL;
    const struct wal_options options = {
        .dir = OUT "/wal", .snapshot_dir = OUT "/snapshots", .os = os};

    assert_int_equal(salvage_run(&rescue->result, os, &rescue->options, &rescue->error), BV_OK);
    assert_int_equal(verify_run(&report, os, &written, NULL), BV_OK);
    assert_true(verify_is_sound(&report));
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.log.first_lsn == 0 ? 0 : report.log.next_lsn - 1,
                     report.log.first_lsn == 0 ? 0 : rescue->result.last_lsn);
    verify_report_deinit(&report);
    assert_int_equal(wal_directory_open(&directory, &options, NULL), BV_OK);
    assert_int_equal(recovery_run(&rescue->recovered, directory, rescue->result.snapshot_lsn, see,
                                  rescue, &rescue->error),
                     BV_OK);
    wal_directory_close(directory);
    assert_int_equal(rescue->lost, rescue->result.lost);
    assert_int_equal(rescue->checked, rescue->result.records);
    uint64_t in_ranges = 0;
    for (size_t i = 0; i < rescue->result.range_count; i++) {
        in_ranges += rescue->result.ranges[i].last_lsn - rescue->result.ranges[i].first_lsn + 1;
    }
    assert_int_equal(in_ranges, rescue->result.lost);
    assert_non_null(memory_find(&rescue->memory, OUT "/salvage.json"));
}

static void
rescue_deinit(struct rescue *rescue)
{
    salvage_result_deinit(&rescue->result);
    memory_os_deinit(&rescue->memory);
}

static void
expect_range(const struct rescue *rescue, size_t index, uint64_t first, uint64_t last,
             enum salvage_registration registration)
{
    assert_true(index < rescue->result.range_count);
    assert_int_equal(rescue->result.ranges[index].first_lsn, first);
    assert_int_equal(rescue->result.ranges[index].last_lsn, last);
    assert_int_equal(rescue->result.ranges[index].registration, registration);
}

static void
test_a_sound_log_is_copied_whole(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    rescue_run(&rescue);
    assert_int_equal(rescue.result.lost, 0);
    assert_int_equal(rescue.result.records, 6);
    assert_int_equal(rescue.result.events, 24);
    assert_int_equal(rescue.result.last_lsn, 24);
    rescue_deinit(&rescue);
}

static void
test_what_is_behind_damage_is_kept_under_its_lsn(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    tool_flip(&rescue.memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100);
    tool_flip(&rescue.memory, SEGMENT_2, 4096 + RECORD_MARK_SIZE + 50);
    rescue_run(&rescue);
    assert_int_equal(rescue.result.range_count, 2);
    expect_range(&rescue, 0, 2, 6, SALVAGE_REGISTRATION_NONE);
    expect_range(&rescue, 1, 11, 20, SALVAGE_REGISTRATION_NONE);
    assert_int_equal(rescue.result.records, 4);
    assert_int_equal(rescue.recovered.last_lsn, 24);
    rescue_deinit(&rescue);
}

static void
test_the_newest_sound_snapshot_stands_for_the_log_below_it(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    tool_snapshot(&rescue.memory, 10, 11);
    tool_snapshot(&rescue.memory, 20, 20);
    tool_flip(&rescue.memory, SNAPSHOT("14"), 4200);
    tool_flip(&rescue.memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100); /* below 10 */
    rescue_run(&rescue);
    assert_true(rescue.result.has_snapshot);
    assert_int_equal(rescue.result.snapshot_lsn, 10);
    assert_int_equal(rescue.result.damaged_snapshots, 1);
    assert_int_equal(rescue.result.lost, 0);
    assert_int_equal(rescue.result.records, 2);
    assert_non_null(memory_find(&rescue.memory, OUT "/snapshots/snapshot-000000000000000a.bvs"));
    rescue_deinit(&rescue);
}

static void
test_a_log_that_begins_too_late_has_lost_its_beginning(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    memory_find(&rescue.memory, SEGMENT_1)->exists = false;
    rescue_run(&rescue);
    assert_int_equal(rescue.result.range_count, 1);
    expect_range(&rescue, 0, 1, 10, SALVAGE_REGISTRATION_LOST);
    assert_int_equal(rescue.result.records, 2);
    rescue_deinit(&rescue);
}

static void
test_images_above_the_end_of_the_log_are_listed_as_lost(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    tool_snapshot(&rescue.memory, 20, 23);
    memory_find(&rescue.memory, SEGMENT_3)->exists = false;
    rescue_run(&rescue);
    assert_int_equal(rescue.result.range_count, 1);
    expect_range(&rescue, 0, 21, 23, SALVAGE_REGISTRATION_UNKNOWN);
    assert_int_equal(rescue.result.last_lsn, 23);
    rescue_deinit(&rescue);
}

static void
test_a_damaged_snapshot_above_the_end_of_the_log_tells_what_is_lost(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    tool_snapshot(&rescue.memory, 30, 30);
    tool_flip(&rescue.memory, SNAPSHOT("1e"), 4200);
    rescue_run(&rescue);
    assert_int_equal(rescue.result.range_count, 1);
    expect_range(&rescue, 0, 25, 30, SALVAGE_REGISTRATION_UNKNOWN);
    assert_int_equal(rescue.result.records, 6);
    rescue_deinit(&rescue);
}

static void
test_until_ends_the_new_log(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    tool_snapshot(&rescue.memory, 10, 11);
    rescue.options.until = 10;
    rescue_run(&rescue);
    assert_false(rescue.result.has_snapshot); /* it holds an image at 11 */
    assert_int_equal(rescue.result.last_lsn, 10);
    assert_int_equal(rescue.result.left_out, 2);
    assert_int_equal(rescue.result.lost, 0);
    rescue_deinit(&rescue);

    rescue_init(&rescue);
    tool_flip(&rescue.memory, SEGMENT_2, 4096 + RECORD_MARK_SIZE + 50);
    rescue.options.until = 13; /* inside what is lost */
    rescue_run(&rescue);
    expect_range(&rescue, 0, 11, 13, SALVAGE_REGISTRATION_UNKNOWN);
    assert_int_equal(rescue.result.last_lsn, 13);
    rescue_deinit(&rescue);
}

static void
test_a_torn_tail_is_left_behind_and_not_called_lost(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    memory_find(&rescue.memory, SEGMENT_3)->size = 4096 + RECORD_MARK_SIZE + 60;
    rescue_run(&rescue);
    assert_int_equal(rescue.result.lost, 0);
    assert_int_equal(rescue.result.torn_bytes, 60);
    assert_int_equal(rescue.result.last_lsn, 20);
    rescue_deinit(&rescue);
}

static void
test_the_target_has_to_be_empty(void **state)
{
    struct rescue rescue;

    rescue_init(&rescue);
    memory_put(&rescue.memory, OUT "/something", "x", 1);
    assert_int_equal(salvage_run(&rescue.result, &rescue.memory.os, &rescue.options, &rescue.error),
                     BV_CONFIG);
    assert_non_null(strstr(rescue.error.message, "/memory/new is not empty: it holds something"));
    rescue_deinit(&rescue);
}

/* Wherever a bit flips, what is written starts and adds up (rescue_run), and the source stays as it
 * was. */
static void
test_any_flip_is_salvaged_without_touching_the_source(void **state)
{
    uint64_t worst = 0;
    size_t flips = 0;

    for (size_t at = 0; at < 4096 * 6; at += 97) {
        struct rescue rescue;
        rescue_init(&rescue);
        struct memory_file *file = memory_find(&rescue.memory, SEGMENT_1);
        tool_flip(&rescue.memory, SEGMENT_1, at);
        uint8_t *kept = malloc(file->size);
        memcpy(kept, file->data, file->size);
        size_t size = file->size;
        rescue_run(&rescue);
        file = memory_find(&rescue.memory, SEGMENT_1);
        assert_int_equal(file->size, size);
        assert_memory_equal(file->data, kept, size);
        assert_int_equal(rescue.result.last_lsn, 24);
        worst = rescue.result.lost > worst ? rescue.result.lost : worst;
        free(kept);
        rescue_deinit(&rescue);
        flips++;
    }
    print_message("%zu flips salvaged, at most %llu operations lost\n", flips,
                  (unsigned long long)worst);
    assert_int_equal(worst, 8);
}

static void
test_the_report_is_text_and_one_object(void **state)
{
    struct rescue rescue;
    struct buf text;

    buf_init(&text);
    rescue_init(&rescue);
    tool_flip(&rescue.memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100);
    rescue_run(&rescue);
    salvage_write_json(&text, &rescue.result);
    assert_true(slice_equal(
        buf_slice(&text),
        slice_text("{\"snapshot_lsn\":null,\"damaged_snapshots\":0,\"records\":5,\"events\":19,"
                   "\"last_lsn\":24,\"torn_tail_bytes\":0,\"left_out\":0,\"until\":0,\"lost\":5,"
                   "\"ranges\":[{"
                   "\"first_lsn\":2,\"last_lsn\":6,\"registration\":\"none\"}]}")));
    buf_clear(&text);
    salvage_write_text(&text, &rescue.result);
    buf_byte(&text, 0);
    assert_non_null(strstr((const char *)text.data, "LOST     LSN 2 to 6: events, and no reg"));
    rescue_deinit(&rescue);
    buf_deinit(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_log_is_copied_whole),
        cmocka_unit_test(test_what_is_behind_damage_is_kept_under_its_lsn),
        cmocka_unit_test(test_the_newest_sound_snapshot_stands_for_the_log_below_it),
        cmocka_unit_test(test_a_log_that_begins_too_late_has_lost_its_beginning),
        cmocka_unit_test(test_images_above_the_end_of_the_log_are_listed_as_lost),
        cmocka_unit_test(test_a_damaged_snapshot_above_the_end_of_the_log_tells_what_is_lost),
        cmocka_unit_test(test_until_ends_the_new_log),
        cmocka_unit_test(test_a_torn_tail_is_left_behind_and_not_called_lost),
        cmocka_unit_test(test_the_target_has_to_be_empty),
        cmocka_unit_test(test_any_flip_is_salvaged_without_touching_the_source),
        cmocka_unit_test(test_the_report_is_text_and_one_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
