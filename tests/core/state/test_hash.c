/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "state/hash.h"

static void
test_two_secrets_differ_and_give_different_hashes(void **state)
{
    uint8_t one[HASH_SECRET_BYTES];
    uint8_t two[HASH_SECRET_BYTES];
    const struct slice key = slice_text("u0000000001");

    assert_int_equal(hash_secret_draw(one, NULL), BV_OK);
    assert_int_equal(hash_secret_draw(two, NULL), BV_OK);
    assert_memory_not_equal(one, two, sizeof one);
    assert_true(hash_key(one, key) == hash_key(one, key));
    assert_true(hash_key(one, key) != hash_key(two, key));
    assert_true(hash_key(one, slice_of(NULL, 0)) == hash_key(one, slice_of("", 0)));
}

/* 2^16 padded counters into 128 buckets: chance gives 512 +- 23 each; 6 sigma fails once in 10^6
 * runs over all buckets and bit fields. */
static void
test_padded_counters_spread_over_every_field_of_the_hash(void **state)
{
    uint8_t secret[HASH_SECRET_BYTES];
    static uint32_t low[128];
    static uint32_t tag[128];
    static uint32_t high[128];

    assert_int_equal(hash_secret_draw(secret, NULL), BV_OK);
    for (unsigned i = 0; i < 65536; i++) {
        char key[16];
        const int size = snprintf(key, sizeof key, "u%011u", i);
        const uint64_t hash = hash_key(secret, slice_of(key, (size_t)size));

        low[hash & 127]++;
        tag[hash >> 16 & 127]++;
        high[hash >> 57]++;
    }
    for (unsigned i = 0; i < 128; i++) {
        assert_in_range(low[i], 512 - 140, 512 + 140);
        assert_in_range(tag[i], 512 - 140, 512 + 140);
        assert_in_range(high[i], 512 - 140, 512 + 140);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_secrets_differ_and_give_different_hashes),
        cmocka_unit_test(test_padded_counters_spread_over_every_field_of_the_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
