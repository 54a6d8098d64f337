/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "state/populate.h"

#define RANGE_BYTES (16u * 1024 * 1024)

static uint8_t *
map_range(void)
{
    uint8_t *range = mmap(NULL, RANGE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(range != MAP_FAILED);
    return range;
}

static unsigned
resident_pages(uint8_t *range)
{
    static unsigned char residency[RANGE_BYTES / 4096];
    unsigned count = 0;

    assert_int_equal(mincore(range, RANGE_BYTES, residency), 0);
    for (unsigned i = 0; i < sizeof residency; i++) {
        count += residency[i] & 1;
    }
    return count;
}

static void
test_nothing_is_touched_before_it_is_asked_for(void **state)
{
    uint8_t *range = map_range();
    struct populate *populate = NULL;

    assert_int_equal(populate_create(&populate, range, RANGE_BYTES, NULL), BV_OK);
    assert_true(populate_done_bytes(populate) == 0);
    assert_int_equal(resident_pages(range), 0);
    populate_destroy(populate);
    munmap(range, RANGE_BYTES);
}

/* The apply thread writes the same memory meanwhile; under TSan this is the test of the room. */
static void
test_memory_is_touched_as_far_as_asked_and_keeps_its_bytes(void **state)
{
    uint8_t *range = map_range();
    struct populate *populate = NULL;

    assert_int_equal(populate_create(&populate, range, RANGE_BYTES, NULL), BV_OK);
    for (uint64_t asked = POPULATE_STEP_BYTES; asked <= RANGE_BYTES / 2;
         asked += POPULATE_STEP_BYTES) {
        populate_ask(populate, asked);
        memset(range + asked - POPULATE_STEP_BYTES, 0x5a, POPULATE_STEP_BYTES / 2);
    }
    while (populate_done_bytes(populate) < RANGE_BYTES / 2) {
        sched_yield();
    }
    assert_true(resident_pages(range) >= RANGE_BYTES / 2 / 4096);
    for (size_t i = 0; i < RANGE_BYTES / 2; i++) {
        assert_int_equal(range[i], i % POPULATE_STEP_BYTES < POPULATE_STEP_BYTES / 2 ? 0x5a : 0);
    }
    populate_destroy(populate);
    munmap(range, RANGE_BYTES);
}

static void
test_the_limit_is_never_passed(void **state)
{
    uint8_t *range = map_range();
    struct populate *populate = NULL;
    const uint64_t limit = POPULATE_STEP_BYTES + 3 * 4096;

    assert_int_equal(populate_create(&populate, range, limit, NULL), BV_OK);
    populate_ask(populate, RANGE_BYTES);
    while (populate_done_bytes(populate) < limit) {
        sched_yield();
    }
    populate_destroy(populate);
    assert_int_equal(resident_pages(range), limit / 4096);
    munmap(range, RANGE_BYTES);
}

static void
test_a_range_that_cannot_be_touched_ends_the_thread_quietly(void **state)
{
    uint8_t *range = map_range();
    struct populate *populate = NULL;

    munmap(range, RANGE_BYTES);
    assert_int_equal(populate_create(&populate, range, RANGE_BYTES, NULL), BV_OK);
    populate_ask(populate, RANGE_BYTES);
    populate_ask(populate, RANGE_BYTES);
    populate_destroy(populate);
    populate_destroy(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_touched_before_it_is_asked_for),
        cmocka_unit_test(test_memory_is_touched_as_far_as_asked_and_keeps_its_bytes),
        cmocka_unit_test(test_the_limit_is_never_passed),
        cmocka_unit_test(test_a_range_that_cannot_be_touched_ends_the_thread_quietly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
