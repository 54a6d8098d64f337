/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "durability/segment.h"
#include "os/fault.h"
#include "util/bytes.h"

#define KEEP_LONG_MS 100000000u
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FLIP_STEP 29
#else
#define FLIP_STEP 3
#endif

/* Segments of four pages: a header and three groups of a page. */
static void
start(struct fixture *f, struct os_fault *fault)
{
    os_fault_init(fault, os_posix());
    fixture_init(f, &fault->os);
    f->options.tick_ms = 1000000;
    f->options.segment_bytes = 4 * 4096;
}

static void
log_pages(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        fixture_commit(f, 1, 81);
    }
}

/* Names in a directory that begin with `prefix`. */
static int
count_names(const struct fixture *f, const char *below, const char *prefix)
{
    struct os_names names = {0};
    char path[512];
    int count = 0;

    (void)snprintf(path, sizeof path, "%s%s", f->path, below);
    if (os_list(&names, os_posix(), path, NULL) == BV_OK) {
        for (size_t i = 0; i < names.count; i++) {
            count += strncmp(names.names[i], prefix, strlen(prefix)) == 0;
        }
        os_names_deinit(&names);
    }
    return count;
}

static void
check_reads_from(struct fixture *f, uint64_t after_lsn)
{
    uint64_t last_lsn = f->next_lsn - 1;

    fixture_close(f);
    f->after_lsn = after_lsn;
    assert_int_equal(fixture_recover(f), BV_OK);
    fixture_check_seen(f);
    assert_int_equal(f->result.last_lsn, last_lsn);
    assert_int_equal(f->result.cut_bytes + f->result.skipped_bytes, 0);
}

static void
test_covered_segments_become_two_spares_and_the_rest_goes(void **state)
{
    struct os_fault fault;
    struct fixture f;
    struct bv_error err = {0};

    start(&f, &fault);
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 17); /* 1-3, 4-6, 7-9, 10-12, 13-15, 16-17 */
    assert_int_equal(wal_retire(f.wal, 2, 0, &err), BV_OK);
    assert_int_equal(count_names(&f, "", "segment-"), 6);
    assert_int_equal(wal_retire(f.wal, 12, 0, &err), BV_OK);
    assert_int_equal(count_names(&f, "", "segment-"), 2);
    assert_int_equal(count_names(&f, "", "spare-"), 2);
    fixture_check_bytes(&f);
    /* 18, then two segments out of spares, then a new one */
    log_pages(&f, 8);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    assert_int_equal(count_names(&f, "", "segment-"), 5);
    fixture_check_bytes(&f);
    check_reads_from(&f, 12);
    fixture_deinit(&f);
}

static void
test_the_newest_segment_stays_whatever_is_covered(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_int_equal(wal_retire(f.wal, 1000, 0, NULL), BV_OK);
    log_pages(&f, 5);
    assert_int_equal(wal_retire(f.wal, 1000, 0, NULL), BV_OK);
    assert_int_equal(count_names(&f, "", "segment-"), 1);
    log_pages(&f, 2);
    check_reads_from(&f, 3);
    fixture_deinit(&f);
}

static void
test_small_segments_and_those_of_another_size_are_not_kept_as_spares(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.segment_bytes = 64 * 4096;
    for (int boot = 0; boot < 3; boot++) {
        assert_int_equal(fixture_open(&f), BV_OK);
        log_pages(&f, 1);
        if (boot < 2) {
            fixture_close(&f);
        }
    }
    assert_int_equal(wal_retire(f.wal, 2, 0, NULL), BV_OK);
    assert_int_equal(count_names(&f, "", "segment-"), 1);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    fixture_deinit(&f);
}

static void
test_a_boot_finds_the_spares_and_keeps_two(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.segment_bytes = 6 * 4096;
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 4);
    fixture_close(&f);
    for (int i = 0; i < 4; i++) {
        static char old[6 * 4096];
        char path[512];
        memset(old, 'x', sizeof old);
        (void)snprintf(path, sizeof path, "%s/spare-%016x.log", f.path, i + 3);
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        assert_int_equal(write(fd, old, sizeof old), sizeof old);
        close(fd);
    }
    assert_int_equal(fixture_open(&f), BV_OK); /* the new segment takes one */
    assert_int_equal(count_names(&f, "", "spare-"), 1);
    fixture_check_bytes(&f);
    log_pages(&f, 12);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    check_reads_from(&f, 0);
    fixture_deinit(&f);
}

static void
test_spares_go_when_a_loss_is_accepted(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 10);
    assert_int_equal(wal_retire(f.wal, 9, 0, NULL), BV_OK);
    assert_int_equal(count_names(&f, "", "spare-"), 2);
    fixture_close(&f);
    f.after_lsn = 9;
    f.options.accept_data_loss = true;
    f.options.accept_data_loss_after = 10;
    assert_int_equal(fixture_open(&f), BV_OK);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    fixture_check_bytes(&f);
    fixture_deinit(&f);
}

static void
test_a_spare_that_is_gone_or_cannot_be_used_is_done_without(void **state)
{
    struct os_fault fault;
    struct fixture f;
    char path[512];

    start(&f, &fault);
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 9);
    assert_int_equal(wal_retire(f.wal, 6, 0, NULL), BV_OK);
    (void)snprintf(path, sizeof path, "%s/spare-0000000000000001.log", f.path);
    assert_int_equal(unlink(path), 0);
    log_pages(&f, 3);
    os_fault_set_next(&fault, OS_CALL_SYNC, (struct os_fault_rule){3, 1, EIO, 0});
    log_pages(&f, 3); /* the directory's sync, on the way to the second */
    assert_int_equal(atomic_load(&fault.failures), 1);
    assert_false(wal_failed(f.wal));
    check_reads_from(&f, 6);
    fixture_deinit(&f);
}

static void
test_what_cannot_be_removed_is_tried_again_and_leaves_no_hole(void **state)
{
    static const struct {
        enum os_call call;
        uint64_t at;
        int left; /* after the failure */
    } cases[] = {
        {OS_CALL_UNLINK, 1, 4}, /* two spares, then a failure */
        {OS_CALL_UNLINK, 2, 3}, {OS_CALL_RENAME, 1, 6}, {OS_CALL_RENAME, 2, 5},
        {OS_CALL_SYNC, 3, 3}, /* the directory's: it is gone, but not for sure */
        {OS_CALL_READ, 3, 5},   {OS_CALL_LIST, 1, 6},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct os_fault fault;
        struct fixture f;
        struct bv_error err = {0};

        start(&f, &fault);
        assert_int_equal(fixture_open(&f), BV_OK);
        log_pages(&f, 17);
        usleep(2000); /* the writer prepares its zeros */
        os_fault_set_next(&fault, cases[i].call, (struct os_fault_rule){cases[i].at, 1, EIO, 0});
        assert_int_equal(wal_retire(f.wal, 15, 0, &err), BV_IO);
        assert_int_equal(err.os_errno, EIO);
        assert_int_equal(count_names(&f, "", "segment-"), cases[i].left);
        fixture_check_bytes(&f);
        assert_int_equal(wal_retire(f.wal, 15, 0, &err), BV_OK);
        assert_int_equal(count_names(&f, "", "segment-"), 1);
        fixture_check_bytes(&f);
        log_pages(&f, 5);
        check_reads_from(&f, 15);
        fixture_deinit(&f);
    }
}

/* As if this segment had been created longer ago than history is kept. */
static void
make_old(const struct fixture *f, const char *name)
{
    uint8_t page[SEGMENT_PAGE_SIZE];
    struct segment_header header;
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, page, sizeof page, 0), sizeof page);
    assert_int_equal(segment_header_decode(&header, slice_of(page, sizeof page), path, NULL),
                     BV_OK);
    header.created_ms -= KEEP_LONG_MS + 10000;
    segment_header_encode(page, &header);
    assert_int_equal(pwrite(fd, page, sizeof page, 0), sizeof page);
    close(fd);
}

static void
test_history_is_kept_by_age_and_goes_when_nobody_asks(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.avoid_direct = true; /* the test writes to the open segment, too */
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 7);
    assert_int_equal(wal_retire(f.wal, 6, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "", "segment-"), 1);
    assert_int_equal(count_names(&f, "/history", "segment-"), 2);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    fixture_check_bytes(&f); /* history is not the log's size */
    log_pages(&f, 3);
    assert_int_equal(wal_retire(f.wal, 9, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 3);
    /* a segment's last event is as old as its successor */
    make_old(&f, "history/segment-0000000000000001.log");
    assert_int_equal(wal_retire(f.wal, 9, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 3);
    make_old(&f, "history/segment-0000000000000002.log");
    make_old(&f, "history/segment-0000000000000003.log");
    os_fault_set_next(&fault, OS_CALL_UNLINK, (struct os_fault_rule){2, 1, EACCES, 0});
    assert_int_equal(wal_retire(f.wal, 9, KEEP_LONG_MS, NULL), BV_IO);
    assert_int_equal(count_names(&f, "/history", "segment-"), 2);
    assert_int_equal(wal_retire(f.wal, 9, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 1);
    make_old(&f, "segment-0000000000000004.log");
    assert_int_equal(wal_retire(f.wal, 9, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 0);
    log_pages(&f, 3);
    assert_int_equal(wal_retire(f.wal, 12, KEEP_LONG_MS, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 1);
    assert_int_equal(wal_retire(f.wal, 12, 0, NULL), BV_OK);
    assert_int_equal(count_names(&f, "/history", "segment-"), 0);
    check_reads_from(&f, 12);
    fixture_deinit(&f);
}

static void
test_no_spares_are_kept_where_room_is_short(void **state)
{
    struct os_fault fault;
    struct fixture f;

    start(&f, &fault);
    f.options.wal_max_bytes = 40 * 4096;
    assert_int_equal(fixture_open(&f), BV_OK);
    log_pages(&f, 24); /* 8 segments of 4 pages: 80% */
    while (wal_pressure(f.wal) == WAL_PRESSURE_NONE) {
        log_pages(&f, 1);
    }
    uint64_t next_lsn = f.next_lsn;
    assert_int_equal(wal_retire(f.wal, 9, 0, NULL), BV_OK);
    assert_int_equal(count_names(&f, "", "spare-"), 0);
    while (wal_pressure(f.wal) != WAL_PRESSURE_NONE) {
        usleep(100);
    }
    assert_int_equal(wal_retire(f.wal, next_lsn - 1, 0, NULL), BV_OK);
    assert_true(count_names(&f, "", "spare-") > 0);
    fixture_check_bytes(&f);
    fixture_deinit(&f);
}

struct retirer {
    struct wal *wal;
    _Atomic uint64_t lsn;
    _Atomic bool stop;
    uint64_t calls;
};

static void *
retire_on_and_on(void *argument)
{
    struct retirer *retirer = argument;

    while (!atomic_load(&retirer->stop)) {
        uint64_t lsn = wal_durable_lsn(retirer->wal);
        uint64_t keep_ms = retirer->calls % 7 == 6 ? 1 : 0;
        assert_int_equal(wal_retire(retirer->wal, lsn, keep_ms, NULL), BV_OK);
        assert_int_equal(wal_pressure(retirer->wal), WAL_PRESSURE_NONE);
        atomic_store(&retirer->lsn, lsn);
        retirer->calls++;
    }
    return NULL;
}

static void
test_retiring_runs_beside_the_writer(void **state)
{
    struct os_fault fault;
    struct fixture f;
    pthread_t thread;

    start(&f, &fault);
    f.options.policy = BV_POLICY_OS;
    f.options.sync_interval_ms = 1;
    assert_int_equal(fixture_open(&f), BV_OK);
    struct retirer retirer = {.wal = f.wal};
    assert_int_equal(pthread_create(&thread, NULL, retire_on_and_on, &retirer), 0);
    for (int i = 0; i < 300; i++) {
        fixture_log(&f, 1, 81);
        wal_publish(f.wal);
        assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, false, NULL), BV_OK);
    }
    assert_int_equal(wal_wait(f.wal, f.next_lsn - 1, true, NULL), BV_OK);
    atomic_store(&retirer.stop, true);
    pthread_join(thread, NULL);
    assert_true(retirer.calls > 1);
    fixture_check_bytes(&f);
    assert_true(count_names(&f, "", "segment-") + count_names(&f, "", "spare-") <= 101);
    check_reads_from(&f, atomic_load(&retirer.lsn));
    fixture_deinit(&f);
}

/* ---- reading a segment that was used before ---- */

#define SEGMENT_1 "/memory/wal/segment-0000000000000001.log"

struct used_twice {
    uint8_t *bytes;
    size_t size;     /* with what the first use left */
    size_t new_size; /* of the second use */
    struct seen_record *records;
    size_t record_count;
};

static size_t
write_use(struct memory_os *memory, struct fixture *f, size_t pages, size_t body, bool is_clean)
{
    memory_os_init(memory);
    fixture_init(f, &memory->os);
    f->options.tick_ms = 1000000;
    f->options.policy = BV_POLICY_OS; /* nothing is prepared: the file is what was written */
    f->options.sync_interval_ms = 1000000;
    assert_int_equal(fixture_open(f), BV_OK);
    for (size_t i = 0; i < pages; i++) {
        fixture_log(f, 1, body);
        fixture_commit(f, 2, body / 2);
    }
    fixture_close(f);
    struct memory_file *file = memory_find(memory, SEGMENT_1);
    return file->size - (is_clean ? 0 : 4096);
}

/* The first use wrote the very LSNs that the second one does, in groups of other sizes: worse than
 * a log could do to itself. The second was killed, without a last mark. */
static void
use_twice(struct used_twice *out, struct memory_os *memory, struct fixture *f)
{
    size_t old_size = write_use(memory, f, 7, 3000, true);
    uint8_t *old = malloc(old_size);
    memcpy(old, memory_find(memory, SEGMENT_1)->data, old_size);
    fixture_deinit(f);
    memory_os_deinit(memory);

    out->new_size = write_use(memory, f, 3, 700, false);
    assert_true(out->new_size < old_size);
    out->size = old_size;
    out->bytes = old;
    memcpy(out->bytes, memory_find(memory, SEGMENT_1)->data, out->new_size);
    store_le32(out->bytes + 20, SEGMENT_FLAG_RECYCLED);
    store_le32(out->bytes + 4, crc32c(0, out->bytes + 8, 4096 - 8));
}

static enum bv_status
read_twice_used(struct fixture *f, struct memory_os *memory, const struct used_twice *used,
                size_t size)
{
    struct wal_directory directory = {.os = &memory->os};

    for (int i = 0; i < MEMORY_FILES_MAX; i++) {
        memory->files[i].exists = false;
    }
    memory_put(memory, SEGMENT_1, used->bytes, size);
    (void)snprintf(directory.path, sizeof directory.path, "%s", f->path);
    f->seen_count = 0;
    return recovery_run(&f->result, &directory, 0, fixture_see, f, &f->error);
}

/* What was read is what the second use wrote, from its beginning. */
static void
check_prefix(const struct fixture *f, const struct used_twice *used)
{
    assert_true(f->seen_count <= used->record_count);
    for (size_t i = 0; i < f->seen_count; i++) {
        assert_int_equal(f->seen[i].header.crc, used->records[i].header.crc);
        assert_int_equal(f->seen[i].body_crc, used->records[i].body_crc);
    }
}

static void
learn_records(struct fixture *f, struct memory_os *memory, struct used_twice *used)
{
    assert_int_equal(read_twice_used(f, memory, used, used->size), BV_OK);
    fixture_check_seen(f);
    assert_int_equal(f->result.last_lsn, 9);
    assert_int_equal(f->result.cut_bytes + f->result.skipped_bytes, 0);
    assert_int_equal(memory_find(memory, SEGMENT_1)->size, used->new_size);
    used->record_count = f->seen_count;
    used->records = malloc(f->seen_count * sizeof *used->records);
    memcpy(used->records, f->seen, f->seen_count * sizeof *used->records);
}

static void
test_no_flipped_bit_lets_a_former_use_back_in(void **state)
{
    struct memory_os memory;
    struct fixture f;
    struct used_twice used;

    use_twice(&used, &memory, &f);
    learn_records(&f, &memory, &used);
    size_t last_group = used.new_size - 4096;
    for (size_t at = 0; at < used.size; at += at < used.new_size ? FLIP_STEP : 61) {
        uint8_t bit = (uint8_t)(1u << (at * 5 + at / 8) % 8);
        used.bytes[at] ^= bit;
        enum bv_status status = read_twice_used(&f, &memory, &used, used.size);
        used.bytes[at] ^= bit;
        check_prefix(&f, &used);
        if (at < 4096) {
            assert_true(status == BV_CORRUPT || status == BV_UNSUPPORTED_FORMAT);
        } else if (at < last_group) {
            /* a mark or padding, or damage: nothing acknowledged is missing without a word */
            assert_true(status == BV_CORRUPT || f.seen_count == used.record_count);
        } else {
            assert_int_equal(status, BV_OK);
            assert_true(at < used.new_size || f.seen_count == used.record_count);
        }
    }
    free(used.bytes);
    free(used.records);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

static void
test_no_torn_write_lets_a_former_use_back_in(void **state)
{
    struct memory_os memory;
    struct fixture f;
    struct used_twice used;
    struct used_twice torn;

    use_twice(&used, &memory, &f);
    learn_records(&f, &memory, &used);
    torn = used;
    torn.bytes = malloc(used.size);
    /* cut off at any size */
    for (size_t size = 4096; size < used.size; size += 128) {
        enum bv_status status = read_twice_used(&f, &memory, &used, size);
        assert_int_equal(status, BV_OK);
        check_prefix(&f, &used);
        assert_true(size < used.new_size || f.seen_count == used.record_count);
    }
    /* The last group is there to some sector, and behind it stand the bytes of the first use. */
    struct memory_os old_memory;
    struct fixture old;
    size_t old_size = write_use(&old_memory, &old, 7, 3000, true);
    assert_int_equal(old_size, used.size);
    const uint8_t *old_bytes = memory_find(&old_memory, SEGMENT_1)->data;
    for (size_t at = used.new_size - 4096; at < used.new_size; at += 512) {
        memcpy(torn.bytes, used.bytes, used.size);
        memcpy(torn.bytes + at, old_bytes + at, used.new_size - at);
        assert_int_equal(read_twice_used(&f, &memory, &torn, torn.size), BV_OK);
        check_prefix(&f, &used);
        assert_true(f.seen_count >= used.record_count - 2);
    }
    fixture_deinit(&old);
    memory_os_deinit(&old_memory);
    free(torn.bytes);
    free(used.bytes);
    free(used.records);
    fixture_deinit(&f);
    memory_os_deinit(&memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covered_segments_become_two_spares_and_the_rest_goes),
        cmocka_unit_test(test_the_newest_segment_stays_whatever_is_covered),
        cmocka_unit_test(test_small_segments_and_those_of_another_size_are_not_kept_as_spares),
        cmocka_unit_test(test_a_boot_finds_the_spares_and_keeps_two),
        cmocka_unit_test(test_spares_go_when_a_loss_is_accepted),
        cmocka_unit_test(test_a_spare_that_is_gone_or_cannot_be_used_is_done_without),
        cmocka_unit_test(test_what_cannot_be_removed_is_tried_again_and_leaves_no_hole),
        cmocka_unit_test(test_history_is_kept_by_age_and_goes_when_nobody_asks),
        cmocka_unit_test(test_no_spares_are_kept_where_room_is_short),
        cmocka_unit_test(test_retiring_runs_beside_the_writer),
        cmocka_unit_test(test_no_flipped_bit_lets_a_former_use_back_in),
        cmocka_unit_test(test_no_torn_write_lets_a_former_use_back_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
