/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "util/crc.h"

typedef uint32_t crc_function(uint32_t crc, const void *data, size_t size);

static crc_function *const twins[] = {crc32c, crc32c_software};

static void
test_both_twins_give_the_vectors_of_rfc_3720(void **state)
{
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
        0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};
    uint8_t bytes[32];

    for (int i = 0; i < 2; i++) {
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(twins[i](0, bytes, 32), 0x8a9136aa);
        memset(bytes, 0xff, sizeof bytes);
        assert_int_equal(twins[i](0, bytes, 32), 0x62a8ab43);
        for (int k = 0; k < 32; k++) {
            bytes[k] = (uint8_t)k;
        }
        assert_int_equal(twins[i](0, bytes, 32), 0x46dd794e);
        for (int k = 0; k < 32; k++) {
            bytes[k] = (uint8_t)(31 - k);
        }
        assert_int_equal(twins[i](0, bytes, 32), 0x113fdb5c);
        assert_int_equal(twins[i](0, read_command, 48), 0xd9963a56);
        assert_int_equal(twins[i](0, "123456789", 9), 0xe3069283);
        assert_int_equal(twins[i](0x12345678, NULL, 0), 0x12345678);
    }
}

static void
test_twins_agree_at_every_size_and_alignment(void **state)
{
    const size_t size_max = 3 * 2048 * 2 + 3 * 256 + 3 * 64 + 100;
    uint8_t *data = malloc(size_max + 8);
    uint32_t random = 12345;

    assert_non_null(data);
    for (size_t i = 0; i < size_max + 8; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = (uint8_t)(random >> 24);
    }
    for (size_t size = 0; size <= size_max; size += size < 1000 ? 1 : 37) {
        size_t offset = size % 8;

        assert_int_equal(crc32c(random, data + offset, size),
                         crc32c_software(random, data + offset, size));
    }
    free(data);
}

static void
test_a_crc_continues_from_the_one_before(void **state)
{
    uint8_t data[9000];

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 31 + i / 256);
    }
    uint32_t whole = crc32c(0, data, sizeof data);

    for (size_t cut = 0; cut <= sizeof data; cut += 97) {
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut), whole);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_twins_give_the_vectors_of_rfc_3720),
        cmocka_unit_test(test_twins_agree_at_every_size_and_alignment),
        cmocka_unit_test(test_a_crc_continues_from_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
