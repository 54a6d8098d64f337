/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "wire/frame.h"

#define LIMIT 4194304u

static enum frame_state
decode_bytes(struct frame *out, const void *bytes, size_t size)
{
    /* An exact copy, so that a sanitizer sees a read beyond it. */
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    enum frame_state state = FRAME_COMPLETE;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    state = frame_decode(out, slice_of(copy, size), LIMIT);
    free(copy);
    return state;
}

static void
test_smallest_frame_has_an_empty_payload(void **state)
{
    struct frame frame = {0};

    assert_int_equal(decode_bytes(&frame, "\x00\x00\x00\x03\x00\x10\x01", 7), FRAME_COMPLETE);
    assert_int_equal(frame.opcode, FRAME_PUSH);
    assert_int_equal(frame.content_type, 1);
    assert_int_equal(frame.payload.size, 0);
    assert_int_equal(frame.size, 7);
}

static void
test_frame_is_incomplete_at_every_shorter_size(void **state)
{
    static const uint8_t BYTES[] = {0, 0, 0, 5, 0, 0, 1, 0x7b, 0x7d};
    struct frame frame = {0};

    for (size_t size = 0; size < sizeof BYTES; size++) {
        assert_int_equal(decode_bytes(&frame, BYTES, size), FRAME_INCOMPLETE);
    }
    assert_int_equal(decode_bytes(&frame, BYTES, sizeof BYTES), FRAME_COMPLETE);
    assert_int_equal(frame.payload.size, 2);
}

static void
test_bad_length_is_known_after_four_bytes(void **state)
{
    struct frame frame = {0};

    assert_int_equal(decode_bytes(&frame, "\x00\x00\x00\x02", 4), FRAME_TOO_SHORT);
    assert_int_equal(frame.length, 2);
    assert_int_equal(decode_bytes(&frame, "\x00\x00\x00\x00", 4), FRAME_TOO_SHORT);
    assert_int_equal(decode_bytes(&frame, "\x00\x40\x00\x04", 4), FRAME_TOO_LARGE);
    assert_int_equal(frame.length, LIMIT + 4);
    assert_int_equal(decode_bytes(&frame, "GET ", 4), FRAME_TOO_LARGE);
    assert_int_equal(frame.length, 1195725856);
}

static void
test_limit_is_one_of_the_payload(void **state)
{
    struct frame frame = {0};

    assert_int_equal(decode_bytes(&frame, "\x00\x40\x00\x03", 4), FRAME_INCOMPLETE);
    assert_int_equal(frame.length, LIMIT + 3);
    assert_int_equal(decode_bytes(&frame, "\xff\xff\xff\xff", 4), FRAME_TOO_LARGE);
}

static void
test_next_frame_begins_where_this_one_ends(void **state)
{
    static const uint8_t TWO[] = {0, 0, 0, 4, 0, 0x20, 2, 0x80, 0, 0, 0, 3, 0xff, 0xff, 1};
    struct frame frame = {0};

    assert_int_equal(frame_decode(&frame, slice_of(TWO, sizeof TWO), LIMIT), FRAME_COMPLETE);
    assert_int_equal(frame.opcode, FRAME_GET);
    assert_int_equal(frame.content_type, 2);
    assert_int_equal(frame.size, 8);
    assert_int_equal(
        frame_decode(&frame, slice_of(TWO + frame.size, sizeof TWO - frame.size), LIMIT),
        FRAME_COMPLETE);
    assert_int_equal(frame.opcode, FRAME_ERROR);
}

static void
test_encoded_frame_is_the_published_bytes(void **state)
{
    static const uint8_t EXPECTED[] = {0,    0,    0,    0x17, 0,    0x20, 1,    0x7b, 0x22,
                                       0x74, 0x61, 0x62, 0x6c, 0x65, 0x22, 0x3a, 0x22, 0x54,
                                       0x22, 0x2c, 0x22, 0x6b, 0x22, 0x3a, 0x31, 0x7d, 0x20};
    struct buf buf;

    buf_init(&buf);
    frame_encode(&buf, FRAME_GET, 1, slice_text("{\"table\":\"T\",\"k\":1} "));
    assert_int_equal(buf.size, sizeof EXPECTED);
    assert_memory_equal(buf.data, EXPECTED, sizeof EXPECTED);
    buf_deinit(&buf);
}

static void
test_encoded_frames_decode_to_what_they_were(void **state)
{
    static const uint8_t PAYLOAD[300] = {1, 2, 3};
    static const size_t SIZES[] = {0, 1, 252, 253, 300};
    struct buf buf;

    buf_init(&buf);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        struct frame frame = {0};

        buf_clear(&buf);
        frame_encode(&buf, FRAME_BATCH_GET, 2, slice_of(PAYLOAD, SIZES[i]));
        assert_int_equal(frame_decode(&frame, buf_slice(&buf), LIMIT), FRAME_COMPLETE);
        assert_int_equal(frame.opcode, FRAME_BATCH_GET);
        assert_int_equal(frame.content_type, 2);
        assert_int_equal(frame.size, buf.size);
        assert_true(slice_equal(frame.payload, slice_of(PAYLOAD, SIZES[i])));
    }
    buf_deinit(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smallest_frame_has_an_empty_payload),
        cmocka_unit_test(test_frame_is_incomplete_at_every_shorter_size),
        cmocka_unit_test(test_bad_length_is_known_after_four_bytes),
        cmocka_unit_test(test_limit_is_one_of_the_payload),
        cmocka_unit_test(test_next_frame_begins_where_this_one_ends),
        cmocka_unit_test(test_encoded_frame_is_the_published_bytes),
        cmocka_unit_test(test_encoded_frames_decode_to_what_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
