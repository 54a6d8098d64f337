/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include "durability/segment.h"
#include "util/bytes.h"

#define SEGMENT_1 "/memory/wal/segment-0000000000000001.log"
#define SEGMENT_2 "/memory/wal/segment-0000000000000002.log"
#define SEGMENT_3 "/memory/wal/segment-0000000000000003.log"

/* Groups of 1, 2 and 1 records: LSN 1, 2..6, 7..9, 10. */
static void
write_small_log(struct fixture *f)
{
    fixture_commit(f, 1, 50);
    fixture_log(f, 5, 333);
    fixture_log(f, 3, 4000);
    wal_publish(f->wal);
    assert_int_equal(wal_wait(f->wal, f->next_lsn - 1, true, NULL), BV_OK);
    fixture_commit(f, 1, 20);
}

/* The files of a log that was closed in order, or as a kill would leave it (no last mark). */
static void
make_base(struct memory_os *memory, struct fixture *f, bool is_clean)
{
    memory_os_init(memory);
    fixture_init(f, &memory->os);
    f->options.tick_ms = 1000000; /* no idle mark in between */
    assert_int_equal(fixture_open(f), BV_OK);
    write_small_log(f);
    fixture_close(f);
    struct memory_file *file = memory_find(memory, SEGMENT_1);
    assert_int_equal(file->size, 4096 * 6);
    if (!is_clean) {
        file->size -= 4096;
    }
}

/* Puts the files back as they were and reads them, without a lock. */
static enum bv_status
recover_bytes(struct fixture *f, struct memory_os *memory, const uint8_t *bytes, size_t size)
{
    struct wal_directory directory = {.os = &memory->os};

    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        memory->files[i].exists = false;
    }
    memory_put(memory, SEGMENT_1, bytes, size);
    (void)snprintf(directory.path, sizeof directory.path, "%s", f->path);
    f->seen_count = 0;
    memset(&f->error, 0, sizeof f->error);
    return recovery_run(&f->result, &directory, 0, fixture_see, f, &f->error);
}

static uint8_t *
copy_base(struct memory_os *memory, size_t *size)
{
    struct memory_file *file = memory_find(memory, SEGMENT_1);
    uint8_t *bytes = malloc(file->size);

    *size = file->size;
    memcpy(bytes, file->data, file->size);
    return bytes;
}

static void
test_a_closed_log_reads_back_whole(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_base(&memory, &f, true);
    assert_int_equal(fixture_recover(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 10);
    assert_int_equal(f.result.records, 4);
    assert_int_equal(f.result.events, 10);
    assert_int_equal(f.result.last_registry_version, 3);
    assert_int_equal(f.result.last_time_ms, 1003);
    assert_true(f.result.was_clean_stop);
    assert_int_equal(f.result.cut_bytes, 0);
    assert_int_equal(f.result.skipped_bytes, 0);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

/* Every bit; a sanitizer, which is ten times slower, looks at one bit of each byte, another one
 * from byte to byte. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BIT_STEP 9
#else
#define BIT_STEP 1
#endif

static void
test_no_flipped_bit_of_a_closed_log_is_silent_or_loses_anything(void **state)
{
    struct memory_os memory;
    struct fixture f;
    size_t size;
    size_t refused = 0;
    size_t reported = 0;

    make_base(&memory, &f, true);
    uint8_t *bytes = copy_base(&memory, &size);
    for (size_t bit = 0; bit < size * 8; bit += BIT_STEP) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum bv_status status = recover_bytes(&f, &memory, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (status == BV_CORRUPT) {
            assert_non_null(strstr(f.error.message, SEGMENT_1));
            assert_non_null(strstr(f.error.message, "offset "));
            assert_non_null(strstr(f.error.message, "LSN "));
            assert_non_null(strstr(f.error.hint, "--accept-data-loss-after "));
            refused++;
            continue;
        }
        assert_int_equal(status, BV_OK);
        fixture_check_seen(&f);
        assert_int_equal(f.result.last_lsn, 10);
        assert_true(f.result.cut_bytes + f.result.skipped_bytes > 0);
        reported++;
    }
    print_message("%zu bits: %zu refused, %zu reported without loss, 0 silent\n",
                  size * 8 / BIT_STEP, refused, reported);
    assert_int_equal(refused + reported, (size * 8 + BIT_STEP - 1) / BIT_STEP);
    free(bytes);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_no_flipped_bit_of_a_killed_log_is_silent_or_takes_the_middle_for_a_tail(void **state)
{
    struct memory_os memory;
    struct fixture f;
    size_t size;

    make_base(&memory, &f, false);
    uint8_t *bytes = copy_base(&memory, &size);
    for (size_t bit = 0; bit < size * 8; bit += BIT_STEP) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum bv_status status = recover_bytes(&f, &memory, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (status == BV_CORRUPT) {
            continue;
        }
        assert_int_equal(status, BV_OK);
        fixture_check_seen(&f);
        assert_true(f.result.cut_bytes + f.result.skipped_bytes > 0);
        /* only the last group, LSN 10, can be taken for a torn tail */
        assert_true(f.result.last_lsn == 10 || (f.result.last_lsn == 9 && bit / 8 >= 4 * 4096));
    }
    free(bytes);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_every_truncation_keeps_all_whole_records(void **state)
{
    struct memory_os memory;
    struct fixture f;
    size_t size;

    make_base(&memory, &f, true);
    uint8_t *bytes = copy_base(&memory, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        /* where the records end: mark 72, header 40, body */
        uint64_t expected = cut >= 4 * 4096 + 72 + 40 + 20      ? 10
                            : cut >= 2 * 4096 + 72 + 376 + 4040 ? 9
                            : cut >= 2 * 4096 + 72 + 376        ? 6
                            : cut >= 4096 + 72 + 40 + 50        ? 1
                                                                : 0;
        enum bv_status status = recover_bytes(&f, &memory, bytes, cut);

        if (cut > 0 && cut < 4096) {
            assert_int_equal(status, BV_CORRUPT); /* a name stands for a whole header page */
            continue;
        }
        assert_int_equal(status, BV_OK);
        fixture_check_seen(&f);
        /* the zeros that pad a record are part of it */
        assert_true(f.result.last_lsn == expected ||
                    (f.result.last_lsn < expected && f.result.cut_bytes > 0));
        if (cut % 8 == 0) {
            assert_int_equal(f.result.last_lsn, expected);
        }
    }
    free(bytes);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_torn_tail_is_copied_to_quarantine_and_cut_and_the_log_goes_on(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_base(&memory, &f, false);
    struct memory_file *file = memory_find(&memory, SEGMENT_1);
    file->data[4 * 4096 + 100] ^= 1; /* the last group's record */
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 9);
    assert_int_equal(f.result.cut_segment, 1);
    assert_int_equal(f.result.cut_offset, 4 * 4096 + 72);
    file = memory_find(&memory, SEGMENT_1);
    assert_int_equal(file->size, 4 * 4096 + 72);
    struct memory_file *kept = memory_find(
        &memory, "/memory/wal/quarantine/segment-0000000000000001-0000000000004048.cut");
    assert_non_null(kept);
    assert_int_equal(kept->size, 60);
    fixture_commit(&f, 2, 100);
    fixture_close(&f);
    assert_int_equal(fixture_recover(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 11);
    assert_int_equal(f.result.segments, 2);
    assert_int_equal(f.result.cut_bytes, 0);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_what_an_earlier_use_of_a_segment_left_behind_is_never_replayed(void **state)
{
    struct memory_os memory;
    struct fixture f;
    size_t old_size;
    struct segment_header header = {
        .segment_number = 1, .first_lsn = 1, .salt = 77, .flags = SEGMENT_FLAG_RECYCLED};

    make_base(&memory, &f, true);
    uint8_t *old = copy_base(&memory, &old_size);
    /* the same bytes, same number, same LSNs, but another salt in the header */
    segment_header_encode(old, &header);
    assert_int_equal(recover_bytes(&f, &memory, old, old_size), BV_OK);
    assert_int_equal(f.seen_count, 0);
    assert_int_equal(f.result.last_lsn, 0);
    /* and a group of our own in front of them */
    uint8_t page[4096] = {0};
    struct record_mark mark = {
        .header = {.first_lsn = 1}, .segment_number = 1, .salt = 77, .durable_lsn = 0};
    record_mark_encode(page, &mark);
    memcpy(old + 4096, page, sizeof page);
    assert_int_equal(recover_bytes(&f, &memory, old, old_size), BV_OK);
    assert_int_equal(f.seen_count, 0);
    free(old);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

/* Three boots, a segment each: LSN 1..10, 11..12, 13. */
static void
make_three_segments(struct memory_os *memory, struct fixture *f)
{
    make_base(memory, f, true);
    assert_int_equal(fixture_open(f), BV_OK);
    fixture_commit(f, 2, 64);
    fixture_close(f);
    assert_int_equal(fixture_open(f), BV_OK);
    fixture_commit(f, 1, 64);
    fixture_close(f);
}

static void
test_damage_in_an_earlier_segment_refuses_and_names_the_place(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_2)->data[4096 + 72 + 50] ^= 4;
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, SEGMENT_2 ": offset 4168: LSN 11 cannot be read"));
    assert_string_equal(f.error.path, SEGMENT_2);
    assert_non_null(strstr(f.error.hint, "--accept-data-loss-after 10 "));
    /* nothing was touched: the same bit back, and all is there */
    memory_find(&memory, SEGMENT_2)->data[4096 + 72 + 50] ^= 4;
    assert_int_equal(fixture_recover(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 13);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_missing_segment_refuses(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_2)->exists = false;
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "LSN 11 cannot be read"));
    assert_non_null(strstr(f.error.message, "missing"));
    memory_find(&memory, SEGMENT_1)->exists = false;
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "LSN 1 cannot be read"));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_cut_off_end_of_an_earlier_segment_refuses(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_1)->size = 4 * 4096;
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, SEGMENT_1 ": offset 16384: LSN 10 cannot be read"));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_an_accepted_loss_moves_the_rest_to_quarantine_and_starts(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_1)->data[2 * 4096 + 72 + 376 + 60] ^= 1; /* LSN 7..9 */
    f.options.accept_data_loss = true;
    f.options.accept_data_loss_after = 7; /* more than what is readable: not accepted */
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    f.options.accept_data_loss_after = 6;
    assert_int_equal(fixture_open(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 6);
    assert_int_equal(f.result.lost_files, 2);
    assert_non_null(memory_find(&memory, "/memory/wal/quarantine/segment-0000000000000002.log"));
    assert_non_null(memory_find(&memory, "/memory/wal/quarantine/segment-0000000000000003.log"));
    fixture_commit(&f, 1, 10);
    fixture_close(&f);
    f.options.accept_data_loss = false;
    assert_int_equal(fixture_recover(&f), BV_OK);
    fixture_check_seen(&f);
    assert_int_equal(f.result.last_lsn, 7);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_an_accepted_loss_of_a_whole_segment_ends_before_it(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_2)->data[30] ^= 1; /* its header page */
    assert_int_equal(fixture_recover(&f), BV_CORRUPT);
    f.options.accept_data_loss = true;
    f.options.accept_data_loss_after = 10;
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 10);
    fixture_commit(&f, 1, 10);
    fixture_close(&f);
    f.options.accept_data_loss = false;
    assert_int_equal(fixture_recover(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 11);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_empty_and_header_only_last_segments_are_used_again(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_base(&memory, &f, true);
    memory_put(&memory, SEGMENT_2, "", 0);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 10);
    fixture_close(&f);
    memory_find(&memory, SEGMENT_2)->size = 4096; /* killed before its first group */
    memory_put(&memory, "/memory/wal/segment.tmp", "half a header", 13);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_null(memory_find(&memory, "/memory/wal/segment.tmp"));
    fixture_commit(&f, 1, 10);
    fixture_close(&f);
    assert_int_equal(fixture_recover(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 11);
    assert_int_equal(f.result.segments, 2);
    assert_null(memory_find(&memory, SEGMENT_3));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

/* ---- beside a snapshot ---- */

/* Reads what comes after the snapshot's LSN; its images reach to image_lsn. */
static enum bv_status
recover_after(struct fixture *f, uint64_t after_lsn, uint64_t image_lsn)
{
    fixture_close(f);
    f->seen_count = 0;
    memset(&f->error, 0, sizeof f->error);
    assert_int_equal(wal_directory_open(&f->directory, &f->options, &f->error), BV_OK);
    f->directory->image_lsn = image_lsn;
    enum bv_status status =
        recovery_run(&f->result, f->directory, after_lsn, fixture_see, f, &f->error);
    f->next_lsn = f->result.last_lsn + 1;
    return status;
}

/* Exactly the records from first_lsn to last_lsn were handed over. */
static void
check_seen_from(const struct fixture *f, uint64_t first_lsn, uint64_t last_lsn)
{
    uint64_t lsn = first_lsn;

    for (size_t i = 0; i < f->seen_count; i++) {
        assert_int_equal(f->seen[i].header.first_lsn, lsn);
        assert_int_equal(f->seen[i].header.seed, (uint32_t)lsn * 17);
        lsn += f->seen[i].header.count;
    }
    assert_int_equal(lsn, last_lsn + 1);
    assert_int_equal(f->result.records, f->seen_count);
    assert_int_equal(f->result.last_lsn, last_lsn);
    assert_int_equal(f->directory->next_lsn, last_lsn + 1);
}

static void
test_what_the_snapshot_holds_is_not_handed_over(void **state)
{
    static const struct {
        uint64_t after_lsn;
        uint64_t segments;
    } cases[] = {{0, 3}, {1, 3}, {6, 3}, {9, 3}, {10, 2}, {12, 1}, {13, 1}};
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(recover_after(&f, cases[i].after_lsn, 13), BV_OK);
        check_seen_from(&f, cases[i].after_lsn + 1, 13);
        assert_int_equal(f.result.segments, cases[i].segments);
        assert_int_equal(f.result.last_time_ms, 1005);
        assert_int_equal(f.result.last_registry_version, 3);
        assert_true(f.result.was_clean_stop);
    }
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_snapshot_that_ends_inside_a_record_is_refused(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    assert_int_equal(recover_after(&f, 4, 4), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, SEGMENT_1 ": the snapshot's LSN 4 lies inside"));
    assert_int_equal(recover_after(&f, 11, 11), BV_CORRUPT);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_segments_below_the_snapshot_may_be_damaged_or_gone(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_2)->data[30] ^= 1; /* its header page */
    memory_find(&memory, SEGMENT_1)->data[2 * 4096 + 72 + 50] ^= 1;
    assert_int_equal(recover_after(&f, 12, 12), BV_OK);
    check_seen_from(&f, 13, 13);
    assert_int_equal(recover_after(&f, 10, 10), BV_CORRUPT); /* it needs the second */
    memory_find(&memory, SEGMENT_2)->data[30] ^= 1;
    memory_find(&memory, SEGMENT_1)->exists = false;
    assert_int_equal(recover_after(&f, 10, 10), BV_OK);
    check_seen_from(&f, 11, 13);
    assert_int_equal(recover_after(&f, 9, 9), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, SEGMENT_2 ": offset 0: LSN 10 cannot be read"));
    assert_non_null(strstr(f.error.hint, "--accept-data-loss-after 9 "));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_damage_to_what_the_snapshot_holds_is_stepped_over(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_1)->data[2 * 4096 + 72 + 376 + 60] ^= 1; /* LSN 7..9 */
    assert_int_equal(recover_after(&f, 9, 9), BV_OK);
    check_seen_from(&f, 10, 13);
    assert_true(f.result.skipped_bytes > 0);
    assert_int_equal(f.result.cut_offset, 2 * 4096 + 72 + 376);
    assert_int_equal(recover_after(&f, 6, 6), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "LSN 7 cannot be read"));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_no_flipped_bit_beside_a_snapshot_is_silent_or_loses_anything(void **state)
{
    struct memory_os memory;
    struct fixture f;
    size_t size;
    size_t refused = 0;

    make_base(&memory, &f, true);
    uint8_t *bytes = copy_base(&memory, &size);
    struct wal_directory directory = {.os = &memory.os};
    (void)snprintf(directory.path, sizeof directory.path, "%s", f.path);
    for (size_t bit = 0; bit < size * 8; bit += BIT_STEP * 7) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        for (int i = 0; i < MEMORY_FILES_MAX; i++) {
            memory.files[i].exists = false;
        }
        memory_put(&memory, SEGMENT_1, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        f.seen_count = 0;
        f.directory = &directory;
        enum bv_status status = recovery_run(&f.result, &directory, 9, fixture_see, &f, &f.error);
        if (status == BV_OK) {
            check_seen_from(&f, 10, 10);
            assert_true(f.result.cut_bytes + f.result.skipped_bytes > 0);
        } else {
            assert_int_equal(status, BV_CORRUPT);
            refused++;
        }
    }
    /* the header page, and LSN 10: everything else the snapshot holds, or it is space */
    assert_true(refused * BIT_STEP * 7 <= (4096 + 72 + 64) * 8 + 2 * BIT_STEP * 7);
    assert_true(refused > 0);
    f.directory = NULL;
    free(bytes);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_log_that_ends_below_the_snapshot_goes_on_behind_it(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    memory_find(&memory, SEGMENT_3)->data[4096 + 72 + 50] ^= 1; /* and its end is torn: LSN 13 */
    memory_find(&memory, SEGMENT_3)->size = 2 * 4096;
    assert_int_equal(recover_after(&f, 20, 20), BV_OK);
    check_seen_from(&f, 21, 20);
    assert_false(f.result.was_clean_stop);
    assert_int_equal(f.directory->next_number, 4);
    assert_int_equal(wal_open(&f.wal, f.directory, &f.options, 21, &f.error), BV_OK);
    fixture_commit(&f, 2, 64);
    assert_int_equal(recover_after(&f, 20, 20), BV_OK);
    check_seen_from(&f, 21, 22);
    assert_int_equal(f.result.segments, 1);
    /* the snapshot before sees the gap */
    assert_int_equal(recover_after(&f, 12, 12), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "LSN 13 cannot be read: the next segment begins with"));
    assert_int_equal(recover_after(&f, 0, 0), BV_CORRUPT);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_no_log_beside_a_snapshot_begins_behind_it(void **state)
{
    struct memory_os memory;
    struct fixture f;

    memory_os_init(&memory);
    fixture_init(&f, &memory.os);
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    f.directory->last_time_ms = 77; /* what the snapshot says */
    f.directory->last_registry_version = 5;
    assert_int_equal(recovery_run(&f.result, f.directory, 7, fixture_see, &f, &f.error), BV_OK);
    check_seen_from(&f, 8, 7);
    assert_int_equal(f.result.last_time_ms, 77);
    assert_int_equal(f.result.last_registry_version, 5);
    f.next_lsn = 8;
    assert_int_equal(wal_open(&f.wal, f.directory, &f.options, 8, &f.error), BV_OK);
    fixture_commit(&f, 1, 30);
    assert_int_equal(recover_after(&f, 7, 8), BV_OK);
    check_seen_from(&f, 8, 8);
    assert_int_equal(recover_after(&f, 0, 0), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "LSN 1 cannot be read"));
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_a_log_that_ends_below_an_image_is_refused_and_left_alone(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_three_segments(&memory, &f);
    struct memory_file *last = memory_find(&memory, SEGMENT_3);
    last->data[4096 + 72 + 50] ^= 1;
    last->size = 2 * 4096;
    assert_int_equal(recover_after(&f, 12, 13), BV_CORRUPT);
    assert_non_null(strstr(f.error.message, "the log ends at LSN 12, but the snapshot at LSN 12 "
                                            "holds effects up to LSN 13"));
    assert_int_equal(last->size, 2 * 4096);
    assert_int_equal(recover_after(&f, 20, 21), BV_CORRUPT);
    /* nor can a loss be accepted that would leave the images as they are */
    last->size = 3 * 4096;
    f.options.accept_data_loss = true;
    f.options.accept_data_loss_after = 12;
    assert_int_equal(recover_after(&f, 12, 13), BV_CORRUPT);
    assert_int_equal(recover_after(&f, 12, 12), BV_OK);
    check_seen_from(&f, 13, 12);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static enum bv_status
refuse_second(const struct record_header *header, struct slice body, void *context,
              struct bv_error *err)
{
    return header->first_lsn == 1 ? BV_OK : bv_error_set(err, BV_CORRUPT, "body is not ours");
}

static void
test_the_record_function_can_end_the_recovery(void **state)
{
    struct memory_os memory;
    struct fixture f;

    make_base(&memory, &f, true);
    assert_int_equal(wal_directory_open(&f.directory, &f.options, &f.error), BV_OK);
    assert_int_equal(recovery_run(&f.result, f.directory, 0, refuse_second, NULL, &f.error),
                     BV_CORRUPT);
    assert_string_equal(f.error.message, "body is not ours");
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_an_empty_directory_is_an_empty_log(void **state)
{
    struct fixture f;

    fixture_init(&f, NULL);
    assert_int_equal(fixture_recover(&f), BV_OK);
    assert_int_equal(f.result.last_lsn, 0);
    assert_int_equal(f.directory->next_number, 1);
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_closed_log_reads_back_whole),
        cmocka_unit_test(test_no_flipped_bit_of_a_closed_log_is_silent_or_loses_anything),
        cmocka_unit_test(
            test_no_flipped_bit_of_a_killed_log_is_silent_or_takes_the_middle_for_a_tail),
        cmocka_unit_test(test_every_truncation_keeps_all_whole_records),
        cmocka_unit_test(test_a_torn_tail_is_copied_to_quarantine_and_cut_and_the_log_goes_on),
        cmocka_unit_test(test_what_an_earlier_use_of_a_segment_left_behind_is_never_replayed),
        cmocka_unit_test(test_damage_in_an_earlier_segment_refuses_and_names_the_place),
        cmocka_unit_test(test_a_missing_segment_refuses),
        cmocka_unit_test(test_a_cut_off_end_of_an_earlier_segment_refuses),
        cmocka_unit_test(test_an_accepted_loss_moves_the_rest_to_quarantine_and_starts),
        cmocka_unit_test(test_an_accepted_loss_of_a_whole_segment_ends_before_it),
        cmocka_unit_test(test_empty_and_header_only_last_segments_are_used_again),
        cmocka_unit_test(test_what_the_snapshot_holds_is_not_handed_over),
        cmocka_unit_test(test_a_snapshot_that_ends_inside_a_record_is_refused),
        cmocka_unit_test(test_segments_below_the_snapshot_may_be_damaged_or_gone),
        cmocka_unit_test(test_damage_to_what_the_snapshot_holds_is_stepped_over),
        cmocka_unit_test(test_no_flipped_bit_beside_a_snapshot_is_silent_or_loses_anything),
        cmocka_unit_test(test_a_log_that_ends_below_the_snapshot_goes_on_behind_it),
        cmocka_unit_test(test_no_log_beside_a_snapshot_begins_behind_it),
        cmocka_unit_test(test_a_log_that_ends_below_an_image_is_refused_and_left_alone),
        cmocka_unit_test(test_the_record_function_can_end_the_recovery),
        cmocka_unit_test(test_an_empty_directory_is_an_empty_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
