/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "state/page.h"

#define RESERVE_BYTES (256ull << 20)
#define SLOTS         2000u

struct slot {
    uint32_t ref;
    uint32_t size;
    uint32_t owner;
    uint16_t layout;
    uint8_t mark;
};

static uint64_t random_state;

static uint32_t
random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static struct pages *
open_pages(uint64_t limit_bytes, bool populate)
{
    const struct pages_options options = {
        .reserve_bytes = RESERVE_BYTES, .limit_bytes = limit_bytes, .populate = populate};
    struct pages *pages = NULL;

    assert_int_equal(pages_create(&pages, &options, NULL), BV_OK);
    return pages;
}

static uint8_t *
at(struct pages *pages, uint32_t ref)
{
    return pages_base(pages) + (size_t)ref * PAGE_UNIT_BYTES;
}

static void
slot_fill(struct pages *pages, struct slot *slot)
{
    slot->owner = random_below(3);
    slot->layout = slot->owner == 0 ? 0 : (uint16_t)random_below(2);
    slot->mark = (uint8_t)random_below(256);
    slot->size = 1 + random_below(1u << (2 + random_below(14)));
    if (slot->owner == PAGE_OWNER_SHARED) {
        slot->ref = pages_alloc(pages, slot->size);
    } else {
        slot->size = (slot->size + 15) & ~15u;
        slot->ref = pages_alloc_block(pages, slot->owner, slot->layout, slot->size);
        assert_int_equal(pages_record(pages, slot->ref)->owner, slot->owner);
        assert_int_equal(pages_record(pages, slot->ref)->layout, slot->layout);
    }
    assert_int_not_equal(slot->ref, 0);
    memset(at(pages, slot->ref), slot->mark, slot->size);
}

static void
slot_check_and_release(struct pages *pages, struct slot *slot)
{
    const uint8_t *bytes = at(pages, slot->ref);

    for (uint32_t i = 0; i < slot->size; i++) {
        assert_int_equal(bytes[i], slot->mark);
    }
    if (slot->owner == PAGE_OWNER_SHARED) {
        pages_release(pages, slot->ref, slot->size);
    } else {
        pages_release_block(pages, slot->ref, slot->size);
    }
    slot->ref = 0;
}

static void
test_random_blocks_keep_their_bytes_and_all_pages_come_back(void **state)
{
    static struct slot slots[SLOTS];
    struct pages *pages = open_pages(0, false);

    random_state = 11;
    print_message("seed 11\n");
    for (unsigned step = 0; step < 60000; step++) {
        struct slot *slot = &slots[random_below(SLOTS)];

        if (slot->ref == 0) {
            slot_fill(pages, slot);
        } else {
            slot_check_and_release(pages, slot);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].ref != 0) {
            slot_check_and_release(pages, &slots[i]);
        }
    }
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static unsigned
live_count(const uint64_t map[PAGE_MAP_WORDS])
{
    unsigned count = 0;

    for (unsigned i = 0; i < PAGE_MAP_WORDS; i++) {
        count += (unsigned)__builtin_popcountll(map[i]);
    }
    return count;
}

static void
test_the_live_map_names_exactly_the_blocks_in_use(void **state)
{
    const uint32_t size = 48;
    uint64_t map[PAGE_MAP_WORDS];
    uint32_t refs[PAGE_SIZE_BYTES / 48];
    const unsigned count = sizeof refs / sizeof refs[0];
    struct pages *pages = open_pages(0, false);

    for (unsigned i = 0; i < count / 2; i++) {
        refs[i] = pages_alloc_block(pages, 1, 0, size);
        pages_live_map(map, pages, refs[0] / PAGE_UNITS);
        assert_int_equal(live_count(map), i + 1);
    }
    for (unsigned i = 0; i < count / 2; i += 3) {
        const uint32_t block = refs[i] % PAGE_UNITS / (size / PAGE_UNIT_BYTES);

        pages_release_block(pages, refs[i], size);
        pages_live_map(map, pages, refs[1] / PAGE_UNITS);
        assert_false(map[block / 64] >> (block % 64) & 1);
        assert_int_equal(live_count(map), count / 2 - i / 3 - 1);
    }
    /* Holes are filled before fresh blocks, and the page takes exactly `count`. */
    for (unsigned i = 0; i < count / 2; i += 3) {
        refs[i] = pages_alloc_block(pages, 1, 0, size);
    }
    for (unsigned i = count / 2; i < count; i++) {
        refs[i] = pages_alloc_block(pages, 1, 0, size);
        assert_int_equal(refs[i] / PAGE_UNITS, refs[0] / PAGE_UNITS);
    }
    pages_live_map(map, pages, refs[0] / PAGE_UNITS);
    assert_int_equal(live_count(map), count);
    assert_int_not_equal(pages_alloc_block(pages, 1, 0, size) / PAGE_UNITS, refs[0] / PAGE_UNITS);
    pages_destroy(pages);
}

static void
test_a_large_run_is_one_live_block(void **state)
{
    const uint32_t size = 5 * PAGE_SIZE_BYTES + 16;
    uint64_t map[PAGE_MAP_WORDS];
    struct pages *pages = open_pages(0, false);
    const uint32_t ref = pages_alloc_block(pages, 4, 2, size);
    const uint32_t page = ref / PAGE_UNITS;

    assert_int_equal(ref % PAGE_UNITS, 0);
    assert_int_equal(pages_record(pages, ref)->run_pages, 6);
    assert_int_equal(pages_record_at(pages, page + 5)->owner, 4);
    pages_live_map(map, pages, page);
    assert_int_equal(live_count(map), 1);
    pages_live_map(map, pages, page + 3);
    assert_int_equal(live_count(map), 0);
    pages_release_block(pages, ref, size);
    assert_true(pages_used_bytes(pages) == 0);
    assert_int_equal(pages_alloc_block(pages, 1, 0, 6 * PAGE_SIZE_BYTES), ref);
    pages_destroy(pages);
}

static void
test_blocks_above_a_line_start_on_a_cache_line(void **state)
{
    struct pages *pages = open_pages(0, false);

    for (uint32_t size = 64; size <= 16384; size += 64) {
        for (unsigned i = 0; i < 3; i++) {
            const uint32_t ref = pages_alloc_block(pages, 1, 0, size);

            assert_int_equal((uintptr_t)at(pages, ref) % 64, 0);
        }
    }
    pages_destroy(pages);
}

static void
test_an_owner_leaves_as_a_whole_and_others_stay(void **state)
{
    struct pages *pages = open_pages(0, false);
    uint32_t kept[100];
    uint64_t kept_bytes;

    for (unsigned i = 0; i < 100; i++) {
        kept[i] = pages_alloc_block(pages, 2, 0, 4096);
        memset(at(pages, kept[i]), (int)i, 4096);
    }
    kept_bytes = pages_used_bytes(pages);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_not_equal(pages_alloc_block(pages, 1, (uint16_t)(i % 7), 16 + 16 * (i % 1500)),
                             0);
    }
    pages_release_owner(pages, 1);
    assert_true(pages_used_bytes(pages) == kept_bytes);
    pages_release_owner(pages, 1);
    assert_true(pages_used_bytes(pages) == kept_bytes);
    for (uint32_t i = 0; i < 3000; i++) {
        memset(at(pages, pages_alloc_block(pages, 3, 0, 32)), 0xff, 32);
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(at(pages, kept[i])[0], i);
        assert_int_equal(at(pages, kept[i])[4095], i);
        pages_release_block(pages, kept[i], 4096);
    }
    pages_destroy(pages);
}

static void
test_the_limit_refuses_and_memory_given_back_serves_again(void **state)
{
    const uint64_t limit = 20 * PAGE_SIZE_BYTES;
    struct pages *pages = open_pages(limit, false);
    uint32_t refs[20];

    for (unsigned i = 0; i < 20; i++) {
        refs[i] = pages_alloc(pages, PAGE_SIZE_BYTES);
        assert_int_not_equal(refs[i], 0);
    }
    assert_true(pages_used_bytes(pages) == limit);
    assert_int_equal(pages_alloc(pages, 1), 0);
    assert_int_equal(pages_alloc(pages, 3 * PAGE_SIZE_BYTES), 0);
    assert_int_equal(pages_alloc_block(pages, 1, 0, 32), 0);
    pages_release(pages, refs[3], PAGE_SIZE_BYTES);
    assert_int_not_equal(pages_alloc(pages, 1), 0);
    assert_int_not_equal(pages_alloc(pages, 1), 0);
    assert_int_equal(pages_alloc_block(pages, 1, 0, 32), 0);
    pages_destroy(pages);
}

static void
test_sizes_beyond_64_mib_are_refused(void **state)
{
    struct pages *pages = open_pages(0, false);
    const uint32_t ref = pages_alloc(pages, 64u << 20);

    assert_int_not_equal(ref, 0);
    assert_int_equal(pages_alloc(pages, (64u << 20) + 1), 0);
    assert_int_equal(pages_alloc(pages, UINT32_MAX), 0);
    assert_int_equal(pages_alloc_block(pages, 1, 0, (64u << 20) + 16), 0);
    pages_release(pages, ref, 64u << 20);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_every_refused_page_leaves_pages_as_they_were(void **state)
{
    struct pages *pages = open_pages(0, false);

    for (uint64_t nth = 1; nth < 30; nth++) {
        const uint64_t before = pages_used_bytes(pages);
        uint64_t got = 0;

        pages_fail_from(pages, nth);
        while (pages_alloc(pages, PAGE_SIZE_BYTES) != 0) {
            got++;
        }
        assert_true(got == nth - 1);
        assert_true(pages_used_bytes(pages) == before + got * PAGE_SIZE_BYTES);
        assert_int_equal(pages_alloc(pages, 100 * PAGE_SIZE_BYTES), 0);
        assert_int_equal(pages_alloc_block(pages, 9, (uint16_t)nth, 16), 0);
        pages_fail_from(pages, 0);
        assert_int_not_equal(pages_alloc_block(pages, 9, (uint16_t)nth, 16), 0);
    }
    pages_destroy(pages);
}

static void
test_a_range_that_cannot_be_reserved_is_a_refusal(void **state)
{
    struct bv_error error;
    struct pages *pages = NULL;
    const struct pages_options too_large = {.reserve_bytes = 65ull << 30};

    assert_int_equal(pages_create(&pages, &too_large, &error), BV_CONFIG);
    assert_non_null(strstr(error.message, "64 GiB are the limit"));
    assert_null(pages);
    pages_destroy(NULL);
}

#define LOOKED_AT_BYTES (64u << 20)

static unsigned
resident_count(struct pages *pages)
{
    static unsigned char residency[LOOKED_AT_BYTES / 4096];
    unsigned count = 0;

    assert_int_equal(mincore(pages_base(pages), LOOKED_AT_BYTES, residency), 0);
    for (unsigned i = 0; i < sizeof residency; i++) {
        count += residency[i] & 1;
    }
    return count;
}

static void
test_an_empty_start_stays_small_and_use_is_populated_ahead(void **state)
{
    struct pages *pages = open_pages(0, true);

    assert_int_equal(resident_count(pages), 0);
    assert_true(pages_populated_bytes(pages) == 0);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t ref = pages_alloc_block(pages, 1, 0, 128);

        memset(at(pages, ref), 1, 128);
    }
    while (pages_populated_bytes(pages) < pages_used_bytes(pages) + (16u << 20)) {
        sched_yield();
    }
    assert_true(pages_populated_bytes(pages) <= pages_used_bytes(pages) + (34u << 20));
    pages_destroy(pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_start_stays_small_and_use_is_populated_ahead),
        cmocka_unit_test(test_random_blocks_keep_their_bytes_and_all_pages_come_back),
        cmocka_unit_test(test_the_live_map_names_exactly_the_blocks_in_use),
        cmocka_unit_test(test_a_large_run_is_one_live_block),
        cmocka_unit_test(test_blocks_above_a_line_start_on_a_cache_line),
        cmocka_unit_test(test_an_owner_leaves_as_a_whole_and_others_stay),
        cmocka_unit_test(test_the_limit_refuses_and_memory_given_back_serves_again),
        cmocka_unit_test(test_sizes_beyond_64_mib_are_refused),
        cmocka_unit_test(test_every_refused_page_leaves_pages_as_they_were),
        cmocka_unit_test(test_a_range_that_cannot_be_reserved_is_a_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
