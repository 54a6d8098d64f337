/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/names.h"
#include "registry/world.h"

static void
test_thousands_of_names_are_found_again(void **state)
{
    struct arena arena;
    struct names names;

    arena_init(&arena, 4096, 0);
    names_init(&names, &arena);
    assert_int_equal(names_find(&names, slice_text("x")), NAMES_NONE);
    for (uint32_t i = 0; i < 5000; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "n%u", i);
        const void *copy = arena_copy(&arena, text, (size_t)size);

        assert_true(names_put(&names, slice_of(copy, (size_t)size), i));
    }
    assert_true(names_put(&names, slice_text("n7"), 70000));
    assert_int_equal(names.count, 5000);
    assert_int_equal(names_find(&names, slice_text("n7")), 70000);
    assert_int_equal(names_find(&names, slice_text("n4999")), 4999);
    assert_int_equal(names_find(&names, slice_text("n5000")), NAMES_NONE);
    assert_int_equal(names_find(&names, slice_text("")), NAMES_NONE);
    arena_deinit(&arena);
}

static void
test_the_nearest_name_is_a_slip_away_or_none(void **state)
{
    static const struct {
        const char *wanted, *near;
    } cases[] = {
        {"amuont", "amount"}, {"amoun", "amount"}, {"Amount", "amount"}, {"amount_eur", NULL},
        {"usr", "user"},      {"us", NULL},        {"", NULL},           {"zzzzzz", NULL},
    };
    struct arena arena;
    struct names names;

    arena_init(&arena, 4096, 0);
    names_init(&names, &arena);
    assert_true(names_put(&names, slice_text("amount"), 0));
    assert_true(names_put(&names, slice_text("user"), 1));
    assert_true(names_put(&names, slice_text(""), 2));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice near;
        bool is_found = names_nearest(&near, &names, slice_text(cases[i].wanted));

        assert_int_equal(is_found, cases[i].near != NULL);
        assert_true(!is_found || slice_equal(near, slice_text(cases[i].near)));
    }
    arena_deinit(&arena);
}

static void
test_spent_memory_leaves_the_names_as_they_were(void **state)
{
    struct arena arena;
    struct names names;
    char texts[64][4];
    uint32_t count = 0;

    arena_init(&arena, 64, 1024);
    names_init(&names, &arena);
    while (count < 64) {
        int size = snprintf(texts[count], sizeof texts[0], "%u", count);

        if (!names_put(&names, slice_of(texts[count], (size_t)size), count)) {
            break;
        }
        count++;
    }
    assert_in_range(count, 1, 63);
    assert_int_equal(names_find(&names, slice_text("0")), 0);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousands_of_names_are_found_again),
        cmocka_unit_test(test_the_nearest_name_is_a_slip_away_or_none),
        cmocka_unit_test(test_spent_memory_leaves_the_names_as_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
