/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "state/table.h"

#define MODEL_KEYS 6000u

/* What a table should hold: per key, whether it lives and what its state bytes say. */
struct model_key {
    uint8_t *bytes;
    size_t size;
    bool lives;
    uint16_t layout;
    uint64_t touched_ms;
    uint64_t value;
};

static struct model_key model[MODEL_KEYS];
static const uint32_t layout_sizes[] = {8, 24, 90, 16, 700, 20000};
#define LAYOUTS (sizeof layout_sizes / sizeof layout_sizes[0])

static uint64_t random_state;

static uint32_t
random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static struct pages *
open_pages(uint64_t limit_bytes)
{
    const struct pages_options options = {.reserve_bytes = 512ull << 20,
                                          .limit_bytes = limit_bytes};
    struct pages *pages = NULL;

    assert_int_equal(pages_create(&pages, &options, NULL), BV_OK);
    return pages;
}

static struct table *
open_table(struct pages *pages, uint32_t id, uint32_t state_size)
{
    struct table *table = NULL;

    assert_int_equal(table_create(&table, pages, id, state_size, NULL), BV_OK);
    return table;
}

/* Lengths 0 to 1000; contents that differ in one byte at the end, in the middle or at the start,
 * all zeros of each length, and prefixes of each other. Each is made different by its number. */
static void
make_model(void)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        struct model_key *key = &model[i];
        const uint32_t shape = i % 5;

        *key = (struct model_key){.size = i < 1001 ? i : 4 + random_below(i % 3 ? 20 : 500)};
        key->bytes = malloc(key->size + 1);
        assert_non_null(key->bytes);
        memset(key->bytes, i < 1001 ? 0 : 'k', key->size);
        if (i >= 1001) {
            char text[8];
            const size_t last = key->size - 4;
            const size_t where = shape == 0 ? 0 : shape == 1 ? last / 2 : last;

            snprintf(text, sizeof text, "%04x", i);
            memcpy(key->bytes + where, text, 4);
        }
    }
    /* Where two came out equal, only the first is used. */
    for (uint32_t i = 1001; i < MODEL_KEYS; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (model[k].size == model[i].size &&
                memcmp(model[k].bytes, model[i].bytes, model[i].size) == 0) {
                model[i].size = 0;
                break;
            }
        }
    }
}

static void
free_model(void)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        free(model[i].bytes);
    }
}

static struct slice
key_of(const struct model_key *key)
{
    return slice_of(key->bytes, key->size);
}

static void
check_key(struct table *table, const struct model_key *key)
{
    const struct slice bytes = key_of(key);
    const uint32_t ref = table_find(table, table_hash(table, bytes), bytes);
    uint64_t value;

    assert_int_equal(ref != 0, key->lives);
    if (ref == 0) {
        return;
    }
    assert_int_equal(table_layout_of(table, ref), key->layout);
    assert_int_equal(table_touched_ms(table, ref), key->touched_ms);
    assert_true(slice_equal(table_key(table, ref), bytes));
    memcpy(&value, table_state(table, ref), sizeof value);
    assert_true(value == key->value);
    assert_int_equal((uintptr_t)table_state(table, ref) % 8, 0);
}

static void
step_upsert(struct table *table, struct model_key *key, uint64_t now_ms)
{
    const struct slice bytes = key_of(key);
    const uint64_t hash = table_hash(table, bytes);
    bool created = !key->lives;
    uint32_t ref;

    table_prefetch_bucket(table, hash);
    table_prefetch_block(table, hash);
    ref = table_upsert(table, hash, bytes, now_ms, &created);
    table_touch(table, ref, now_ms);
    assert_int_not_equal(ref, 0);
    assert_int_equal(created, !key->lives);
    if (created) {
        const uint8_t *state = table_state(table, ref);

        for (uint32_t i = 0; i < layout_sizes[table_current_layout(table)]; i++) {
            assert_int_equal(state[i], 0);
        }
        key->layout = table_current_layout(table);
        key->lives = true;
    }
    key->value = (uint64_t)random_below(UINT32_MAX) << 20;
    key->touched_ms = now_ms;
    memcpy(table_state(table, ref), &key->value, sizeof key->value);
    memset((uint8_t *)table_state(table, ref) + 8, 0xee, layout_sizes[key->layout] - 8);
}

static void
step_remove(struct table *table, struct model_key *key)
{
    const struct slice bytes = key_of(key);

    table_remove(table, table_hash(table, bytes), bytes);
    key->lives = false;
}

static void
step_move(struct table *table, struct model_key *key)
{
    const struct slice bytes = key_of(key);
    const uint64_t hash = table_hash(table, bytes);
    const uint32_t old_ref = table_find(table, hash, bytes);

    if (old_ref == 0) {
        return;
    }
    const uint32_t ref = table_move(table, hash, old_ref);

    assert_int_not_equal(ref, 0);
    assert_int_not_equal(ref, old_ref);
    assert_int_equal(table_find(table, hash, bytes), ref);
    memcpy(table_state(table, ref), table_state(table, old_ref), sizeof(uint64_t));
    table_free_block(table, old_ref);
    key->layout = table_current_layout(table);
}

struct census {
    uint64_t count;
    uint64_t value_sum;
    uint64_t key_bytes;
    uint32_t last_ref;
};

static void
take_census(void *context, struct table *table, uint32_t ref)
{
    struct census *census = context;
    uint64_t value;

    memcpy(&value, table_state(table, ref), sizeof value);
    census->count++;
    census->value_sum += value;
    census->key_bytes += table_key(table, ref).size;
    assert_true(ref > census->last_ref);
    census->last_ref = ref;
}

static void
check_census(struct table *table)
{
    struct census expected = {0};
    struct census seen = {0};

    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        if (model[i].lives) {
            expected.count++;
            expected.value_sum += model[i].value;
            expected.key_bytes += model[i].size;
        }
    }
    table_each(table, take_census, &seen);
    assert_true(seen.count == expected.count);
    assert_true(seen.value_sum == expected.value_sum);
    assert_true(seen.key_bytes == expected.key_bytes);
    assert_true(table_entity_count(table) == expected.count);
}

static void
test_random_steps_agree_with_a_simple_model_over_many_layouts(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 3, layout_sizes[0]);

    random_state = 23;
    print_message("seed 23\n");
    make_model();
    for (uint32_t layout = 0; layout < LAYOUTS; layout++) {
        if (layout > 0) {
            uint16_t id = 0;

            assert_int_equal(table_add_layout(table, layout_sizes[layout], &id, NULL), BV_OK);
            assert_int_equal(id, layout);
        }
        for (uint32_t step = 0; step < 30000; step++) {
            struct model_key *key = &model[random_below(MODEL_KEYS)];
            const uint32_t dice = random_below(10);

            if (key->size == 0 && key != &model[0]) {
                continue;
            }
            if (dice < 4) {
                step_upsert(table, key, step);
            } else if (dice < 6) {
                step_remove(table, key);
            } else if (dice < 8) {
                step_move(table, key);
            }
            check_key(table, key);
        }
        check_census(table);
    }
    /* Everything moves to the last layout, then everything goes. */
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        step_move(table, &model[i]);
        check_key(table, &model[i]);
    }
    check_census(table);
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        step_remove(table, &model[i]);
    }
    check_census(table);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
    free_model();
}

static struct slice
number_key(char text[16], uint32_t number)
{
    return slice_of(text, (size_t)snprintf(text, 16, "u%011u", number));
}

static bool
put_number(struct table *table, uint32_t number, uint64_t value)
{
    char text[16];
    const struct slice key = number_key(text, number);
    bool created;
    const uint32_t ref = table_upsert(table, table_hash(table, key), key, 1, &created);

    if (ref != 0) {
        memcpy(table_state(table, ref), &value, sizeof value);
    }
    return ref != 0;
}

static uint64_t
get_number(const struct table *table, uint32_t number)
{
    char text[16];
    const struct slice key = number_key(text, number);
    const uint32_t ref = table_find(table, table_hash(table, key), key);
    uint64_t value = UINT64_MAX;

    if (ref != 0) {
        memcpy(&value, table_state(table, ref), sizeof value);
    }
    return value;
}

static void
test_one_count_with_a_short_key_takes_at_most_45_bytes(void **state)
{
    const uint32_t entities = 1000000;
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);

    for (uint32_t i = 0; i < entities; i++) {
        assert_true(put_number(table, i, i));
    }
    for (uint32_t i = 0; i < entities; i++) {
        assert_true(get_number(table, i) == i);
    }
    assert_true(get_number(table, entities) == UINT64_MAX);
    assert_true(table_early_split_count(table) == 0);
    assert_in_range(pages_used_bytes(pages) * 10 / entities, 400, 454);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_two_tables_share_pages_and_a_hash_but_no_entity(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *one = open_table(pages, 0, 8);
    struct table *two = open_table(pages, 1, 8);
    char text[16];

    assert_true(table_hash(one, number_key(text, 7)) == table_hash(two, number_key(text, 7)));
    for (uint32_t i = 0; i < 30000; i++) {
        assert_true(put_number(one, i, i));
        assert_true(put_number(two, i + 15000, i * 3));
    }
    table_destroy(one);
    assert_true(get_number(two, 0) == UINT64_MAX);
    one = open_table(pages, 2, 8);
    for (uint32_t i = 0; i < 30000; i++) {
        assert_true(put_number(one, i, i));
        assert_true(get_number(two, i + 15000) == i * 3);
    }
    assert_int_equal(table_id(one), 2);
    assert_true(table_entity_count(two) == 30000);
    table_destroy(one);
    table_destroy(two);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
    table_destroy(NULL);
}

/* Long keys that agree in the first 14 bytes and in length; the longest there is; one too long. */
static void
test_long_keys_differ_in_their_last_byte_only(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    uint8_t *bytes = calloc(1, TABLE_KEY_MAX + 1);
    const size_t sizes[] = {256, 257, 263, 264, 5000, TABLE_KEY_MAX};
    bool created;

    assert_non_null(bytes);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct slice key = slice_of(bytes, sizes[i]);
        uint64_t hash = table_hash(table, key);
        const uint32_t ref = table_upsert(table, hash, key, 9, &created);

        assert_true(created);
        assert_int_equal(table_find(table, hash, key), ref);
        assert_true(slice_equal(table_key(table, ref), key));
        bytes[sizes[i] - 1] = 1;
        /* Even with the hash of the other key, its bytes decide. */
        assert_int_equal(table_find(table, hash, key), 0);
        hash = table_hash(table, key);
        assert_int_not_equal(table_upsert(table, hash, key, 9, &created), ref);
        assert_true(created);
        table_remove(table, hash, key);
        assert_int_equal(table_find(table, hash, key), 0);
        bytes[sizes[i] - 1] = 0;
    }
    const struct slice too_long = slice_of(bytes, TABLE_KEY_MAX + 1);

    assert_int_equal(table_upsert(table, table_hash(table, too_long), too_long, 9, &created), 0);
    assert_false(created);
    assert_true(table_entity_count(table) == sizeof sizes / sizeof sizes[0]);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
    free(bytes);
}

static void
test_a_spent_limit_refuses_new_entities_and_keeps_the_old(void **state)
{
    struct pages *pages = open_pages(1u << 20);
    struct table *table = open_table(pages, 0, 8);
    uint32_t stored = 0;

    while (put_number(table, stored, stored)) {
        stored++;
    }
    assert_in_range(stored, 20000, 27000);
    assert_true(table_entity_count(table) == stored);
    for (uint32_t i = 0; i < stored; i++) {
        assert_true(put_number(table, i, i + 1)); /* known entities are still updated */
        assert_true(get_number(table, i) == i + 1);
    }
    assert_true(get_number(table, stored) == UINT64_MAX);
    /* What goes makes room. */
    for (uint32_t i = 0; i < 1000; i++) {
        char text[16];
        const struct slice key = number_key(text, i);

        table_remove(table, table_hash(table, key), key);
    }
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(put_number(table, i, i));
    }
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

/* Every key, short and long, first meets a refusal of each page it needs in turn. */
static void
test_each_refused_page_leaves_the_table_intact(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    uint8_t bytes[600] = {0};
    unsigned refusals = 0;

    for (uint32_t i = 0; i < 6000; i++) {
        const struct slice key = slice_of(bytes, i % 3 == 0 ? 600 : 12);
        uint32_t ref = 0;
        bool created;

        memcpy(bytes, &i, sizeof i);
        const uint64_t hash = table_hash(table, key);

        for (uint64_t nth = 1; ref == 0; nth++) {
            const uint64_t used_bytes = pages_used_bytes(pages);

            assert_true(nth < 10);
            pages_fail_from(pages, nth);
            ref = table_upsert(table, hash, key, 1, &created);
            pages_fail_from(pages, 0);
            if (ref == 0) {
                refusals++;
                assert_false(created);
                assert_true(table_entity_count(table) == i);
                assert_int_equal(table_find(table, hash, key), 0);
                assert_true(pages_used_bytes(pages) == used_bytes);
            }
        }
        assert_true(created);
    }
    assert_true(refusals > 50);
    /* A move that finds no memory leaves the old block in place. */
    uint16_t layout;
    const uint32_t last = 5999;

    memcpy(bytes, &last, sizeof last);
    const struct slice key = slice_of(bytes, 12);
    const uint64_t hash = table_hash(table, key);
    const uint32_t ref = table_find(table, hash, key);

    assert_int_not_equal(ref, 0);
    assert_int_equal(table_add_layout(table, 16, &layout, NULL), BV_OK);
    pages_fail_from(pages, 1);
    assert_int_equal(table_move(table, hash, ref), 0);
    pages_fail_from(pages, 0);
    assert_int_equal(table_find(table, hash, key), ref);
    assert_int_equal(table_layout_of(table, ref), 0);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_a_row_too_large_for_a_block_is_refused_by_name(void **state)
{
    struct bv_error error;
    struct pages *pages = open_pages(0);
    struct table *table = NULL;

    assert_int_equal(table_create(&table, pages, 5, UINT32_MAX, &error), BV_MEMORY_LIMIT);
    assert_non_null(strstr(error.message, "table 5"));
    assert_null(table);
    pages_destroy(pages);
}

/* Whoever installs a plan asks before it changes anything (apply/live.c). */
static void
test_a_layout_too_many_is_refused_before_it_is_added(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    struct bv_error err;
    uint16_t id = 0;

    (void)state;
    assert_int_equal(table_reserve_layout(table, 33u << 20, &err), BV_MEMORY_LIMIT);
    for (unsigned i = 1; i < UINT16_MAX; i++) {
        assert_int_equal(table_reserve_layout(table, 8 + i % 2 * 8, &err), BV_OK);
        assert_int_equal(table_add_layout(table, 8 + i % 2 * 8, &id, &err), BV_OK);
        assert_int_equal(id, i);
    }
    assert_int_equal(table_reserve_layout(table, 8, &err), BV_MEMORY_LIMIT);
    assert_int_equal(table_add_layout(table, 8, &id, &err), BV_MEMORY_LIMIT);
    assert_int_equal(table_current_layout(table), UINT16_MAX - 1);
    table_destroy(table);
    pages_destroy(pages);
}

static uint32_t
insert_image(struct table *table, const char *key, uint64_t touched_ms, uint64_t image_lsn,
             enum table_image *outcome)
{
    return table_insert_image(table, table_hash(table, slice_text(key)), slice_text(key),
                              touched_ms, image_lsn, outcome);
}

static void
test_of_two_images_of_a_key_the_higher_counts(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 3, 24);
    char long_key[600];
    enum table_image outcome;

    (void)state;
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = 0;
    for (unsigned i = 0; i < 2; i++) {
        const char *key = i == 0 ? "short" : long_key;
        uint32_t ref = insert_image(table, key, 1ull << 40, 7, &outcome);

        assert_int_equal(outcome, TABLE_IMAGE_NEW);
        assert_true(table_image_lsn(table, ref) == 7);
        assert_true(table_touched_ms(table, ref) == 1ull << 40);
        memset(table_state(table, ref), 'o', 24);
        ref = insert_image(table, key, 5, 7, &outcome);
        assert_int_equal(outcome, TABLE_IMAGE_STALE);
        ref = insert_image(table, key, 6, 9, &outcome);
        assert_int_equal(outcome, TABLE_IMAGE_REPLACES);
        assert_memory_equal(table_state(table, ref), "oooooooooooooooooooooooo", 24);
        assert_true(table_image_lsn(table, ref) == 9);
        assert_true(table_touched_ms(table, ref) == 6);
        assert_true(slice_equal(table_key(table, ref), slice_text(key)));
        assert_int_equal(table_find(table, table_hash(table, slice_text(key)), slice_text(key)),
                         ref);
    }
    assert_true(table_entity_count(table) == 2);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

/* Rule 4 of engine.md 8: replay never gets a place in a page of images, not even a freed one. */
static void
test_replay_never_gets_a_place_among_images(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    char key[16];
    bool created;
    enum table_image outcome;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "i%u", i);
        const uint32_t ref = insert_image(table, key, 1, 10 + i / 1000, &outcome);

        assert_true(table_image_lsn(table, ref) == 10 + i / 1000);
    }
    for (unsigned i = 0; i < 3000; i += 2) {
        snprintf(key, sizeof key, "i%u", i);
        table_remove(table, table_hash(table, slice_text(key)), slice_text(key));
    }
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "r%u", i);
        const uint32_t ref =
            table_upsert(table, table_hash(table, slice_text(key)), slice_text(key), 2, &created);

        assert_true(created);
        assert_true(table_image_lsn(table, ref) == 0);
    }
    const uint64_t bytes = pages_used_bytes(pages);

    pages_forget_images(pages);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "n%u", i);
        const uint32_t ref =
            table_upsert(table, table_hash(table, slice_text(key)), slice_text(key), 2, &created);

        assert_true(table_image_lsn(table, ref) == 0);
    }
    /* The places of the 1500 that went are used again. */
    assert_true(pages_used_bytes(pages) <= bytes + 2 * PAGE_SIZE_BYTES);
    for (unsigned i = 1; i < 3000; i += 2) {
        snprintf(key, sizeof key, "i%u", i);
        table_remove(table, table_hash(table, slice_text(key)), slice_text(key));
    }
    assert_true(table_entity_count(table) == 4000);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_a_page_of_images_that_empties_serves_anybody(void **state)
{
    struct pages *pages = open_pages(0);
    const uint32_t image = pages_alloc_image(pages, 1, 0, 64, 5);
    const uint32_t large = pages_alloc_image(pages, 1, 0, 40000 / 16 * 16, 5);

    (void)state;
    assert_true(pages_record(pages, large)->image_lsn == 5);
    pages_release_block(pages, image, 64);
    const uint32_t plain = pages_alloc_block(pages, 1, 0, 64);

    assert_int_equal(plain / PAGE_UNITS, image / PAGE_UNITS);
    assert_true(pages_record(pages, plain)->image_lsn == 0);
    const uint32_t other = pages_alloc_image(pages, 1, 0, 64, 5);

    assert_int_not_equal(other / PAGE_UNITS, plain / PAGE_UNITS);
    pages_release_block(pages, large, 40000 / 16 * 16);
    pages_forget_images(pages);
    assert_true(pages_record(pages, other)->image_lsn == 0);
    pages_release_block(pages, other, 64);
    pages_release_block(pages, plain, 64);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_an_image_that_finds_no_memory_changes_nothing(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    enum table_image outcome;
    const uint32_t ref = insert_image(table, "k", 1, 4, &outcome);

    (void)state;
    for (uint64_t nth = 1; nth < 3; nth++) {
        pages_fail_from(pages, nth);
        const uint32_t other = insert_image(table, nth == 1 ? "k" : "other", 1, 4 + nth, &outcome);

        pages_fail_from(pages, 0);
        assert_true(nth != 1 || other == 0);
    }
    assert_int_equal(table_find(table, table_hash(table, slice_text("k")), slice_text("k")), ref);
    assert_true(table_image_lsn(table, ref) == 4);
    table_destroy(table);
    pages_destroy(pages);
}

/* Numbers of layouts go round: more changes than a page's record has numbers for. */
static void
test_dropped_layouts_leave_nothing_behind(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    const uint64_t hash = table_hash(table, slice_text("k"));
    bool created;
    uint32_t ref = table_upsert(table, hash, slice_text("k"), 1ull << 41, &created);
    uint16_t id = 0;

    (void)state;
    memcpy(table_state(table, ref), "constant", 8);
    for (unsigned i = 0; i < 70000; i++) {
        const uint32_t size = 8 + i % 3 * 56;

        assert_int_equal(table_add_layout(table, size, &id, NULL), BV_OK);
        assert_int_equal(id, 1);
        assert_false(table_is_uniform(table));
        assert_int_equal(table_layout_of(table, ref), 0);
        const uint32_t moved = table_move(table, hash, ref);

        memcpy(table_state(table, moved), table_state(table, ref), 8);
        table_free_block(table, ref);
        ref = moved;
        assert_true(table_is_uniform(table));
        table_drop_layouts(table);
        assert_int_equal(table_current_layout(table), 0);
        assert_int_equal(table_layout_of(table, ref), 0);
    }
    assert_int_equal(table_find(table, hash, slice_text("k")), ref);
    assert_memory_equal(table_state(table, ref), "constant", 8);
    assert_true(table_touched_ms(table, ref) == 1ull << 41);
    assert_true(pages_used_bytes(pages) <= 2 * PAGE_SIZE_BYTES);
    table_destroy(table);
    assert_true(pages_used_bytes(pages) == 0);
    pages_destroy(pages);
}

static void
test_a_move_taken_back_leaves_the_old_block(void **state)
{
    struct pages *pages = open_pages(0);
    struct table *table = open_table(pages, 0, 8);
    const uint64_t hash = table_hash(table, slice_text("k"));
    bool created;
    const uint32_t ref = table_upsert(table, hash, slice_text("k"), 9, &created);
    const uint64_t bytes = table_block_bytes(table);
    uint16_t id = 0;

    (void)state;
    memcpy(table_state(table, ref), "constant", 8);
    assert_int_equal(table_add_layout(table, 80, &id, NULL), BV_OK);
    const uint32_t moved = table_move(table, hash, ref);

    assert_int_not_equal(moved, 0);
    table_move_back(table, hash, ref, moved);
    assert_int_equal(table_find(table, hash, slice_text("k")), ref);
    assert_memory_equal(table_state(table, ref), "constant", 8);
    assert_true(table_block_bytes(table) == bytes);
    assert_false(table_is_uniform(table));
    table_destroy(table);
    pages_destroy(pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_steps_agree_with_a_simple_model_over_many_layouts),
        cmocka_unit_test(test_one_count_with_a_short_key_takes_at_most_45_bytes),
        cmocka_unit_test(test_two_tables_share_pages_and_a_hash_but_no_entity),
        cmocka_unit_test(test_long_keys_differ_in_their_last_byte_only),
        cmocka_unit_test(test_a_spent_limit_refuses_new_entities_and_keeps_the_old),
        cmocka_unit_test(test_each_refused_page_leaves_the_table_intact),
        cmocka_unit_test(test_a_row_too_large_for_a_block_is_refused_by_name),
        cmocka_unit_test(test_a_layout_too_many_is_refused_before_it_is_added),
        cmocka_unit_test(test_of_two_images_of_a_key_the_higher_counts),
        cmocka_unit_test(test_replay_never_gets_a_place_among_images),
        cmocka_unit_test(test_a_page_of_images_that_empties_serves_anybody),
        cmocka_unit_test(test_an_image_that_finds_no_memory_changes_nothing),
        cmocka_unit_test(test_dropped_layouts_leave_nothing_behind),
        cmocka_unit_test(test_a_move_taken_back_leaves_the_old_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
