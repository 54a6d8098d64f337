/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "state/run.h"

#define PAGES_MAX 4096u
#define RUNS_MAX  300u

struct fixture {
    struct run_space space;
    uint8_t owner[PAGES_MAX]; /* the model: who holds each page, 0 = nobody */
    struct {
        uint32_t page;
        uint32_t count;
    } run[RUNS_MAX];
    uint64_t random;
};

static uint32_t
random_below(struct fixture *fixture, uint32_t bound)
{
    fixture->random = fixture->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(fixture->random >> 33) % bound;
}

/* What page.c does with a run it took. */
static uint32_t
take(struct run_space *space, uint32_t count)
{
    const uint32_t page = run_take(space, count);

    for (uint32_t i = 0; page != 0 && i < count; i++) {
        space->records[page + i] = (struct page_record){.used = 1};
    }
    return page;
}

static void
test_random_runs_never_overlap_and_neighbours_join(void **state)
{
    static struct fixture fixture = {.random = 7};
    uint32_t used = 0;

    print_message("seed 7\n");
    assert_int_equal(run_space_init(&fixture.space, PAGES_MAX, 0, NULL), BV_OK);
    for (unsigned step = 0; step < 100000; step++) {
        const uint32_t slot = random_below(&fixture, RUNS_MAX);
        const uint32_t page = fixture.run[slot].page;

        if (page != 0) {
            memset(fixture.owner + page, 0, fixture.run[slot].count);
            run_release(&fixture.space, page, fixture.run[slot].count);
            used -= fixture.run[slot].count;
            fixture.run[slot].page = 0;
        } else {
            const uint32_t count = 1 + random_below(&fixture, 1u << random_below(&fixture, 6));
            const uint32_t taken = take(&fixture.space, count);

            if (taken == 0) {
                continue;
            }
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(fixture.owner[taken + i], 0);
                fixture.owner[taken + i] = 1;
            }
            fixture.run[slot].page = taken;
            fixture.run[slot].count = count;
            used += count;
        }
        assert_true(fixture.space.used_pages == used);
    }
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (fixture.run[i].page != 0) {
            run_release(&fixture.space, fixture.run[i].page, fixture.run[i].count);
        }
    }
    /* All joined: one run holds every page that was ever handed out. */
    const uint32_t top = fixture.space.next_page;

    assert_int_equal(take(&fixture.space, top - 1), 1);
    assert_int_equal(fixture.space.free_classes, 0);
    run_space_deinit(&fixture.space);
}

static void
test_the_range_and_the_limit_refuse_and_then_serve_again(void **state)
{
    struct run_space space;

    assert_int_equal(run_space_init(&space, 10, 0, NULL), BV_OK);
    assert_int_equal(take(&space, 10), 0); /* page 0 is nobody's */
    assert_int_equal(take(&space, 9), 1);
    assert_int_equal(take(&space, 1), 0);
    run_release(&space, 1, 9);
    assert_int_equal(take(&space, 4), 1);
    run_space_deinit(&space);

    assert_int_equal(run_space_init(&space, 100, 5 * PAGE_SIZE_BYTES + 1, NULL), BV_OK);
    assert_int_equal(take(&space, 6), 0);
    assert_int_equal(take(&space, 5), 1);
    assert_int_equal(take(&space, 1), 0);
    run_release(&space, 1, 5);
    assert_int_equal(take(&space, 5), 1);
    run_space_deinit(&space);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs_never_overlap_and_neighbours_join),
        cmocka_unit_test(test_the_range_and_the_limit_refuse_and_then_serve_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
