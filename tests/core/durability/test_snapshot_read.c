/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot_fixture.h"

#include "util/bytes.h"

#define NAME SNAPSHOT_DIR "/snapshot-000000000000000a.bvs" /* LSN 10 */

/* A small snapshot: 6 chunks and `end`, two pages and the header's. */
static uint8_t *
make_small(struct snap *s, size_t *size)
{
    snap_init(s);
    snap_open(s);
    s->body_size = 1000;
    assert_int_equal(snap_make(s, 10, 6), BV_OK);
    struct memory_file *file = memory_find(&s->memory, NAME);
    uint8_t *bytes = malloc(file->size);
    memcpy(bytes, file->data, file->size);
    *size = file->size;
    assert_int_equal(*size, 3 * 4096);
    return bytes;
}

static enum bv_status
read_bytes(struct snap *s, const uint8_t *bytes, size_t size)
{
    memory_put(&s->memory, NAME, bytes, size);
    s->directory.os = &s->memory.os;
    return snap_read_path(s, NAME);
}

/* A sanitizer looks at one bit of each byte, another one from byte to byte. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BIT_STEP 9
#else
#define BIT_STEP 1
#endif

static void
test_no_flipped_bit_is_silent(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    size_t refused = 0;

    assert_int_equal(read_bytes(&s, bytes, size), BV_OK);
    for (size_t bit = 0; bit < size * 8; bit += BIT_STEP) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum bv_status status = read_bytes(&s, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* what was handed over before the place was whole: snap_see has compared it */
        assert_int_equal(status, BV_CORRUPT);
        assert_non_null(strstr(s.error.message, NAME ": offset "));
        assert_string_equal(s.error.path, NAME);
        refused++;
    }
    print_message("snapshot: %zu bits flipped, %zu refused, %zu silent\n",
                  (size * 8 + BIT_STEP - 1) / BIT_STEP, refused,
                  (size * 8 + BIT_STEP - 1) / BIT_STEP - refused);
    free(bytes);
    snap_deinit(&s);
}

static void
test_no_truncation_is_silent(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    size_t refused = 0;

    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(read_bytes(&s, bytes, cut), BV_CORRUPT);
        assert_non_null(strstr(s.error.message, NAME ": offset "));
        refused++;
    }
    /* nor are bytes that were added */
    uint8_t *longer = calloc(1, size + 4096);
    memcpy(longer, bytes, size);
    assert_int_equal(read_bytes(&s, longer, size + 1), BV_CORRUPT);
    assert_int_equal(read_bytes(&s, longer, size + 4096), BV_CORRUPT);
    print_message("snapshot: %zu truncations, %zu refused\n", size, refused);
    free(longer);
    free(bytes);
    snap_deinit(&s);
}

/* The header's crc made right again. */
static void
seal_header(uint8_t *bytes)
{
    store_le32(bytes + 4, crc32c(0, bytes + 8, SNAPSHOT_PAGE_SIZE - 8));
}

/* The offset of the index-th chunk. */
static size_t
find_chunk(const uint8_t *bytes, unsigned index)
{
    size_t at = SNAPSHOT_PAGE_SIZE;

    for (unsigned i = 0; i < index; i++) {
        at += snapshot_padded_size(load_le32(bytes + at));
    }
    return at;
}

static void
seal_chunk(uint8_t *bytes, size_t at)
{
    store_le32(bytes + at + 4, crc32c(0, bytes + at + 8, load_le32(bytes + at) - 8));
}

static void
test_another_version_is_told_from_damage(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);

    store_le32(bytes + 16, 2); /* format_version */
    seal_header(bytes);
    assert_int_equal(read_bytes(&s, bytes, size), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(s.error.message, "format version 2"));
    assert_non_null(strstr(s.error.message, "reads version 1"));
    assert_string_equal(s.error.path, NAME);
    store_le32(bytes + 16, 1);
    store_le32(bytes + 20, 4); /* flags */
    seal_header(bytes);
    assert_int_equal(read_bytes(&s, bytes, size), BV_UNSUPPORTED_FORMAT);
    store_le32(bytes + 20, 0);
    seal_header(bytes);
    size_t at = find_chunk(bytes, 3);
    store_le16(bytes + at + 28, 5); /* type */
    seal_chunk(bytes, at);
    assert_int_equal(read_bytes(&s, bytes, size), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(s.error.message, "type 5"));
    store_le16(bytes + at + 28, SNAPSHOT_ENTITIES);
    store_le16(bytes + at + 30, 1); /* flags */
    seal_chunk(bytes, at);
    assert_int_equal(read_bytes(&s, bytes, size), BV_UNSUPPORTED_FORMAT);
    store_le16(bytes + at + 30, 0);
    seal_chunk(bytes, at);
    assert_int_equal(read_bytes(&s, bytes, size), BV_OK);
    memcpy(bytes, "BEAVASNP\1", 9); /* release 0.0.6 */
    assert_int_equal(read_bytes(&s, bytes, size), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(s.error.message, "0.0.6"));
    assert_int_equal(read_bytes(&s, bytes, 52), BV_UNSUPPORTED_FORMAT);
    free(bytes);
    snap_deinit(&s);
}

/* Right checksums around wrong contents: a writer with a bug, or files put together by hand. */
static void
test_chunks_that_check_but_do_not_fit_are_damage(void **state)
{
    static const struct {
        unsigned chunk;
        unsigned offset; /* in the chunk */
        uint32_t value;
        const char *message;
    } cases[] = {
        {3, 8, 1, "another file"},       /* salt */
        {3, 24, 7, "out of order"},      /* index */
        {3, 16, 9, "image is older"},    /* image_lsn below 10 */
        {0, 28, 2, "does not belong"},   /* sections first */
        {0, 28, 4, "does not belong"},   /* end first */
        {1, 28, 3, "does not belong"},   /* no sections */
        {4, 28, 1, "does not belong"},   /* a second registry */
        {6, 32, 9, "does not agree"},    /* end: chunks */
        {6, 40, 99, "does not agree"},   /* end: highest image */
        {5, 16, 4000, "does not agree"}, /* an image higher than end says */
        {5, 28, 4, "another size"},      /* end too early */
    };
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    uint8_t *copy = malloc(size);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(copy, bytes, size);
        size_t at = find_chunk(copy, cases[i].chunk);
        uint32_t rest = load_le32(copy + at + cases[i].offset);
        bool is_half = cases[i].offset == 28; /* type: 16 bits */
        store_le32(copy + at + cases[i].offset,
                   is_half ? (rest & 0xffff0000u) | cases[i].value : cases[i].value);
        seal_chunk(copy, at);
        memory_put(&s.memory, NAME, copy, size);
        assert_int_equal(snapshot_read(&s.info, &s.memory.os, NAME, NULL, NULL, &s.error),
                         BV_CORRUPT);
        assert_non_null(strstr(s.error.message, cases[i].message));
    }
    free(copy);
    free(bytes);
    snap_deinit(&s);
}

static void
test_a_length_is_believed_only_as_far_as_the_file_goes(void **state)
{
    static const uint32_t lengths[] = {0, 1, 31, 1u << 20, 1u << 30, (1u << 30) + 1, UINT32_MAX};
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    size_t at = find_chunk(bytes, 2);

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        store_le32(bytes + at, lengths[i]);
        assert_int_equal(read_bytes(&s, bytes, size), BV_CORRUPT);
        assert_int_equal(s.chunks, 2);
    }
    free(bytes);
    snap_deinit(&s);
}

static void
test_a_name_of_another_lsn_is_damage(void **state)
{
    static const char other[] = SNAPSHOT_DIR "/snapshot-000000000000000b.bvs";
    static const char free_name[] = SNAPSHOT_DIR "/copy-of-it";
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);

    memory_put(&s.memory, other, bytes, size);
    assert_int_equal(snap_read_path(&s, other), BV_CORRUPT);
    assert_non_null(strstr(s.error.message, "not the one in the name"));
    memory_put(&s.memory, free_name, bytes, size);
    assert_int_equal(snap_read_path(&s, free_name), BV_OK);
    assert_int_equal(snap_read_path(&s, SNAPSHOT_DIR "/none"), BV_IO);
    free(bytes);
    snap_deinit(&s);
}

static void
test_the_header_alone_says_where_the_log_begins(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    struct snapshot_info info;

    memory_put(&s.memory, NAME, bytes, 5000); /* the rest does not matter */
    assert_int_equal(snapshot_read_header(&info, &s.memory.os, NAME, &s.error), BV_OK);
    assert_int_equal(info.start_lsn, 10);
    assert_int_equal(info.registry_version, 3);
    assert_int_equal(info.time_ms, 1010);
    assert_int_equal(info.last_event_ms, 510);
    assert_int_equal(info.entity_count, 77);
    bytes[100] ^= 1;
    memory_put(&s.memory, NAME, bytes, size);
    assert_int_equal(snapshot_read_header(&info, &s.memory.os, NAME, &s.error), BV_CORRUPT);
    free(bytes);
    snap_deinit(&s);
}

static enum bv_status
refuse_third(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
             struct bv_error *err)
{
    unsigned *seen = context;

    (*seen)++;
    return *seen < 3 ? BV_OK : bv_error_set(err, BV_CORRUPT, "an image is too short");
}

static void
test_the_chunk_function_can_end_the_reading(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);
    unsigned seen = 0;
    char expected[128];

    assert_int_equal(snapshot_read(&s.info, &s.memory.os, NAME, refuse_third, &seen, &s.error),
                     BV_CORRUPT);
    assert_int_equal(seen, 3);
    (void)snprintf(expected, sizeof expected, NAME ": offset %zu: an image is too short",
                   find_chunk(bytes, 2));
    assert_string_equal(s.error.message, expected);
    assert_string_equal(s.error.path, NAME);
    free(bytes);
    snap_deinit(&s);
}

static void
test_a_disk_that_cannot_be_read_is_not_damage(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);

    s.directory.os = &s.fault.os;
    os_fault_set_next(&s.fault, OS_CALL_READ, (struct os_fault_rule){.at = 1, .error = EIO});
    assert_int_equal(snap_read_path(&s, NAME), BV_IO);
    os_fault_set(&s.fault, OS_CALL_READ, (struct os_fault_rule){0});
    os_fault_set_next(&s.fault, OS_CALL_READ, (struct os_fault_rule){.at = 1, .times = 3});
    assert_int_equal(snap_read_path(&s, NAME), BV_OK); /* short counts are gone on from */
    assert_int_equal(s.chunks, 6);
    free(bytes);
    snap_deinit(&s);
}

static void
test_the_list_is_newest_first_and_knows_its_names(void **state)
{
    static const char *const others[] = {"snapshot-1.bvs",
                                         "snapshot-000000000000000G.bvs",
                                         "snapshot-000000000000000A.bvs",
                                         "snapshot-0000000000000001.bvs.tmp",
                                         "snapshot.tmp",
                                         "FORMAT",
                                         "wal-1.wal"};
    struct memory_os memory;
    uint64_t *lsns;
    size_t count;
    uint64_t lsn;
    char name[SNAPSHOT_NAME_SIZE];
    char path[OS_PATH_MAX];

    memory_os_init(&memory);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(os_path(path, SNAPSHOT_DIR, others[i], NULL), BV_OK);
        memory_put(&memory, path, "x", 1);
        assert_false(snapshot_name_parse(&lsn, others[i]));
    }
    assert_int_equal(snapshot_list(&lsns, &count, &memory.os, SNAPSHOT_DIR, NULL), BV_OK);
    assert_int_equal(count, 0);
    free(lsns);
    const uint64_t wanted[] = {UINT64_MAX, 0xabc, 7};
    for (size_t i = 0; i < 3; i++) {
        snapshot_name(name, wanted[(i + 1) % 3]);
        assert_int_equal(os_path(path, SNAPSHOT_DIR, name, NULL), BV_OK);
        memory_put(&memory, path, "x", 1);
    }
    assert_int_equal(snapshot_list(&lsns, &count, &memory.os, SNAPSHOT_DIR, NULL), BV_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(lsns, wanted, sizeof wanted);
    free(lsns);
    memory_os_deinit(&memory);
}

static void
test_one_that_does_not_read_can_be_set_aside(void **state)
{
    struct snap s;
    size_t size;
    uint8_t *bytes = make_small(&s, &size);

    assert_int_equal(snapshot_set_aside(&s.memory.os, SNAPSHOT_DIR, 10, &s.error), BV_OK);
    assert_null(memory_find(&s.memory, NAME));
    assert_non_null(
        memory_find(&s.memory, SNAPSHOT_DIR "/quarantine/snapshot-000000000000000a.bvs"));
    memory_put(&s.memory, NAME, bytes, size);
    assert_int_equal(snapshot_set_aside(&s.memory.os, SNAPSHOT_DIR, 10, &s.error), BV_OK);
    assert_non_null(
        memory_find(&s.memory, SNAPSHOT_DIR "/quarantine/snapshot-000000000000000a.bvs.2"));
    assert_int_equal(snapshot_set_aside(&s.memory.os, SNAPSHOT_DIR, 11, &s.error), BV_IO);
    free(bytes);
    snap_deinit(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_flipped_bit_is_silent),
        cmocka_unit_test(test_no_truncation_is_silent),
        cmocka_unit_test(test_another_version_is_told_from_damage),
        cmocka_unit_test(test_chunks_that_check_but_do_not_fit_are_damage),
        cmocka_unit_test(test_a_length_is_believed_only_as_far_as_the_file_goes),
        cmocka_unit_test(test_a_name_of_another_lsn_is_damage),
        cmocka_unit_test(test_the_header_alone_says_where_the_log_begins),
        cmocka_unit_test(test_the_chunk_function_can_end_the_reading),
        cmocka_unit_test(test_a_disk_that_cannot_be_read_is_not_damage),
        cmocka_unit_test(test_the_list_is_newest_first_and_knows_its_names),
        cmocka_unit_test(test_one_that_does_not_read_can_be_set_aside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
