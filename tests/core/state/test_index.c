/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "state/index.h"

/* Refs are numbers 1 .. ENTRIES, and their hashes stand in an array: no blocks are needed. */
#define ENTRIES 200000u

struct hashes {
    uint64_t of[ENTRIES + 1];
};

static uint64_t
hash_of(const void *owner, uint32_t ref)
{
    return ((const struct hashes *)owner)->of[ref];
}

static uint64_t
scramble(uint64_t value)
{
    value = (value ^ value >> 31) * 0x7fb5d329728ea185;
    value = (value ^ value >> 27) * 0x81dadef4bc2dd44d;
    return value ^ value >> 33;
}

static bool
has(const struct index *index, uint64_t hash, uint32_t wanted)
{
    struct index_probe probe;

    index_probe_begin(&probe, index, hash);
    for (;;) {
        const uint32_t ref = index_probe_next(&probe);

        if (ref == 0 || ref == wanted) {
            return ref == wanted;
        }
    }
}

static struct hashes hashes;

static struct pages *
open_index(struct index *index)
{
    const struct pages_options options = {.reserve_bytes = 64u << 20};
    struct pages *pages = NULL;

    assert_int_equal(pages_create(&pages, &options, NULL), BV_OK);
    assert_int_equal(index_init(index, pages, hash_of, &hashes, NULL), BV_OK);
    return pages;
}

static void
close_index(struct index *index, struct pages *pages)
{
    index_deinit(index);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_an_empty_index_finds_nothing_and_owns_nothing(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);

    assert_false(has(&index, 0, 1));
    assert_false(has(&index, UINT64_MAX, 1));
    assert_true(pages_used_bytes(pages) == 0);
    close_index(&index, pages);
}

static void
test_every_entry_is_found_while_the_index_grows_and_shrinks(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);

    for (uint32_t i = 1; i <= ENTRIES; i++) {
        hashes.of[i] = scramble(i);
        assert_true(index_insert(&index, hashes.of[i], i));
        assert_true(has(&index, hashes.of[i], i));
        if (i % 9973 == 0) {
            for (uint32_t k = 1; k <= i; k++) {
                assert_true(has(&index, hashes.of[k], k));
            }
        }
    }
    assert_true(index.count == ENTRIES);
    assert_true(index.early_split_count == 0);
    /* engine.md 4: 8.1 to 13.3 bytes each. */
    assert_in_range(index_bytes(&index) * 10 / ENTRIES, 80, 135);
    for (uint32_t i = 1; i <= ENTRIES; i += 2) {
        index_remove(&index, hashes.of[i], i);
        assert_false(has(&index, hashes.of[i], i));
    }
    const uint64_t segments = index.segment_count;

    for (uint32_t i = 1; i <= ENTRIES; i++) {
        assert_int_equal(has(&index, hashes.of[i], i), i % 2 == 0);
    }
    for (uint32_t i = 1; i <= ENTRIES; i += 2) {
        hashes.of[i] = scramble(i + ENTRIES);
        assert_true(index_insert(&index, hashes.of[i], i));
    }
    for (uint32_t i = 1; i <= ENTRIES; i++) {
        assert_true(has(&index, hashes.of[i], i));
    }
    /* Tombstones were used again: about as many segments as before. */
    assert_true(index.segment_count <= segments + segments / 4);
    close_index(&index, pages);
}

static void
test_a_ref_can_be_replaced(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);

    for (uint32_t i = 1; i <= 1000; i++) {
        hashes.of[i] = scramble(i);
        assert_true(index_insert(&index, hashes.of[i], i));
    }
    hashes.of[5000] = hashes.of[500];
    index_replace(&index, hashes.of[500], 500, 5000);
    assert_false(has(&index, hashes.of[500], 500));
    assert_true(has(&index, hashes.of[500], 5000));
    close_index(&index, pages);
}

/* Hashes whose low bits agree fill one bucket after the other: the probe bound is met early. */
static void
test_colliding_buckets_split_early_and_are_counted(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);

    for (uint32_t i = 1; i <= 2000; i++) {
        hashes.of[i] = scramble(i) & ~(uint64_t)(INDEX_BUCKETS - 1);
        assert_true(index_insert(&index, hashes.of[i], i));
    }
    for (uint32_t i = 1; i <= 2000; i++) {
        assert_true(has(&index, hashes.of[i], i));
    }
    assert_true(index.early_split_count > 0);
    close_index(&index, pages);
}

/* Equal hashes cannot be split apart: 160 fit, then the index refuses and nothing is lost. */
static void
test_equal_hashes_are_refused_at_the_bound_and_nothing_is_lost(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);
    const uint32_t fit = INDEX_PROBE_MAX * INDEX_PLACES;
    const uint64_t same = 0x123456789abcdef0;

    for (uint32_t i = 1; i <= fit; i++) {
        hashes.of[i] = same;
        assert_true(index_insert(&index, same, i));
    }
    hashes.of[fit + 1] = same;
    assert_false(index_insert(&index, same, fit + 1));
    assert_true(index.count == fit);
    for (uint32_t i = 1; i <= fit; i++) {
        assert_true(has(&index, same, i));
    }
    assert_false(has(&index, same, fit + 1));
    index_remove(&index, same, 77);
    assert_true(index_insert(&index, same, fit + 1));
    close_index(&index, pages);
}

/* A row of full buckets that runs over the segment's end, and an entry pushed behind it. Dealt out
 * from bucket 0 the entry would come first, take a place the row needs, and leave one over. */
static void
test_a_full_row_over_the_end_survives_a_split(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);
    const uint32_t row = INDEX_PROBE_MAX * INDEX_PLACES;

    for (uint32_t i = 1; i <= row; i++) {
        hashes.of[i] = 120 | (uint64_t)i << 16;
        assert_true(index_insert(&index, hashes.of[i], i));
    }
    hashes.of[row + 1] = 0 | (uint64_t)(row + 1) << 16;
    assert_true(index_insert(&index, hashes.of[row + 1], row + 1));
    /* One more, of the other half: the row must be dealt out again to let it in. */
    hashes.of[row + 2] = 120 | 1ull << 63;
    assert_true(index_insert(&index, hashes.of[row + 2], row + 2));
    assert_true(index.split_count == 1);
    for (uint32_t i = 1; i <= row + 2; i++) {
        assert_true(has(&index, hashes.of[i], i));
    }
    close_index(&index, pages);
}

static void
test_tombstones_are_swept_out(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);
    const struct index_bucket *segment;
    unsigned tombstones = 0;

    for (uint32_t i = 1; i <= 900; i++) {
        hashes.of[i] = scramble(i);
        assert_true(index_insert(&index, hashes.of[i], i));
    }
    assert_true(index.split_count == 0);
    for (uint32_t i = 1; i <= 900; i++) {
        index_remove(&index, hashes.of[i], i);
        assert_false(has(&index, hashes.of[i], i));
    }
    segment = index_segment(&index, 0);
    for (unsigned i = 0; i < INDEX_BUCKETS; i++) {
        tombstones += segment[i].tombstones;
    }
    assert_true(tombstones < 100);
    close_index(&index, pages);
}

static void
test_each_refused_page_leaves_the_index_whole(void **state)
{
    struct index index = {0};
    struct pages *pages = open_index(&index);
    uint32_t stored = 0;
    unsigned refusals = 0;

    pages_fail_from(pages, 1);
    for (uint32_t i = 1; i <= 50000; i++) {
        hashes.of[i] = scramble(i);
        if (!index_insert(&index, hashes.of[i], i)) {
            refusals++;
            assert_false(has(&index, hashes.of[i], i));
            for (uint32_t k = 1; k <= stored; k++) {
                assert_true(has(&index, hashes.of[k], k));
            }
            pages_fail_from(pages, 0);
            assert_true(index_insert(&index, hashes.of[i], i));
            pages_fail_from(pages, 1);
        }
        stored = i;
        assert_true(index.count == stored);
    }
    assert_true(refusals > 10);
    close_index(&index, pages);
}

static void
test_an_index_made_for_its_entries_hardly_splits(void **state)
{
    struct index index;
    struct pages *pages = open_index(&index);

    (void)state;
    for (uint32_t ref = 1; ref <= ENTRIES; ref++) {
        hashes.of[ref] = scramble(ref);
    }
    pages_fail_from(pages, 3);
    assert_false(index_presize(&index, ENTRIES));
    assert_int_equal(index.segment_count, 0);
    pages_fail_from(pages, 0);
    assert_true(index_presize(&index, ENTRIES));
    const uint64_t made = index.segment_count;

    for (uint32_t ref = 1; ref <= ENTRIES; ref++) {
        assert_true(index_insert(&index, hashes.of[ref], ref));
    }
    assert_true(index.split_count < made / 10);
    for (uint32_t ref = 1; ref <= ENTRIES; ref++) {
        assert_true(has(&index, hashes.of[ref], ref));
    }
    assert_true(index_presize(&index, 1)); /* one that has entries is left as it is */
    assert_true(index.segment_count >= made);
    index_deinit(&index);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_index_finds_nothing_and_owns_nothing),
        cmocka_unit_test(test_every_entry_is_found_while_the_index_grows_and_shrinks),
        cmocka_unit_test(test_a_ref_can_be_replaced),
        cmocka_unit_test(test_colliding_buckets_split_early_and_are_counted),
        cmocka_unit_test(test_equal_hashes_are_refused_at_the_bound_and_nothing_is_lost),
        cmocka_unit_test(test_a_full_row_over_the_end_survives_a_split),
        cmocka_unit_test(test_tombstones_are_swept_out),
        cmocka_unit_test(test_each_refused_page_leaves_the_index_whole),
        cmocka_unit_test(test_an_index_made_for_its_entries_hardly_splits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
