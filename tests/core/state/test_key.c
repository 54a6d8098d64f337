/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as canonical text, and composite keys that cannot be mistaken for one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "state/key.h"

static struct slice
text_of(struct value value, struct arena *arena)
{
    struct slice out = {NULL, 0};

    assert_true(key_text(&out, &value, arena));
    return out;
}

static void
test_values_have_one_canonical_text(void **state)
{
    struct arena arena;
    struct slice out;

    (void)state;
    arena_init(&arena, 4096, 0);
    assert_true(slice_equal(text_of(value_i64(-7), &arena), slice_text("-7")));
    assert_true(slice_equal(text_of(value_f64(2.0), &arena), slice_text("2.0")));
    assert_true(slice_equal(text_of(value_f64(1e16), &arena), slice_text("1e+16")));
    assert_true(slice_equal(text_of(value_bool(true), &arena), slice_text("true")));
    assert_true(slice_equal(text_of(value_bool(false), &arena), slice_text("false")));
    assert_true(slice_equal(text_of(value_str(slice_text("")), &arena), slice_text("")));
    const struct value refused[] = {value_null(),
                                    value_f64(0.0 / 0.0),
                                    {.kind = VALUE_BYTES},
                                    {.kind = VALUE_LIST},
                                    {.kind = VALUE_MAP}};

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(key_text(&out, &refused[i], &arena));
    }
    arena_deinit(&arena);
}

static struct slice
join(struct arena *arena, size_t count, const char *a, const char *b, const char *c)
{
    const struct slice parts[3] = {slice_text(a), slice_text(b), slice_text(c)};
    struct slice out;

    assert_true(key_join(&out, parts, count, arena));
    return out;
}

static void
test_composite_keys_are_never_confused(void **state)
{
    struct arena arena;
    char large[300];

    (void)state;
    arena_init(&arena, 4096, 0);
    assert_true(slice_equal(join(&arena, 1, "a|b", "", ""), slice_text("a|b")));
    assert_int_equal(join(&arena, 0, "", "", "").size, 0);
    assert_false(slice_equal(join(&arena, 2, "a|b", "c", ""), join(&arena, 2, "a", "b|c", "")));
    assert_false(slice_equal(join(&arena, 3, "a", "", "bc"), join(&arena, 3, "a", "b", "c")));
    assert_false(slice_equal(join(&arena, 2, "", "a", ""), join(&arena, 2, "a", "", "")));
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    const struct slice joined = join(&arena, 2, large, "y", "");

    assert_int_equal(joined.size, 2 + 299 + 1);
    assert_int_equal(joined.data[0], 0x80 | (299 & 0x7f));
    assert_int_equal(joined.data[1], 299 >> 7);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_have_one_canonical_text),
        cmocka_unit_test(test_composite_keys_are_never_confused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
