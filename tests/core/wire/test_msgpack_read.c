/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/utf8.h"
#include "wire/msgpack.h"

#define SEED          42
#define RANDOM_INPUTS 60000
#define ORACLE_DEPTH  24 /* msgpack-c gives up at 32 */

static int
arena_setup(void **state)
{
    static struct arena arena;

    arena_init(&arena, 4096, 0);
    *state = &arena;
    return 0;
}

static int
arena_teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static struct value
parse(void **state, const void *data, size_t size)
{
    struct value v = value_null();
    struct bv_error err = {0};

    if (msgpack_parse(&v, slice_of(data, size), MSGPACK_DEPTH_MAX, *state, &err) != BV_OK) {
        fail_msg("%s", err.message);
    }
    return v;
}

static void
assert_refused(void **state, const void *data, size_t size, const char *message)
{
    struct value v;
    struct bv_error err = {0};

    assert_int_equal(msgpack_parse(&v, slice_of(data, size), MSGPACK_DEPTH_MAX, *state, &err),
                     BV_MALFORMED_REQUEST);
    assert_string_equal(err.message, message);
}

static void
test_every_width_of_integer_is_read(void **state)
{
    const struct {
        const char *data;
        size_t size;
        int64_t wanted;
    } cases[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\xff", 1, -1},
        {"\xe0", 1, -32},
        {"\xcc\xff", 2, 255},
        {"\xcd\xff\xfe", 3, 65534},
        {"\xce\xff\xff\xff\xff", 5, 4294967295},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX},
        {"\xd0\x80", 2, -128},
        {"\xd1\x80\x00", 3, -32768},
        {"\xd2\x80\x00\x00\x00", 5, INT32_MIN},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, INT64_MIN},
        {"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9, 5},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct value v = parse(state, cases[i].data, cases[i].size);

        assert_int_equal(v.kind, VALUE_I64);
        assert_true(v.as.i64 == cases[i].wanted);
    }
}

static void
test_floats_and_integers_above_i64_are_doubles(void **state)
{
    struct value v = parse(state, "\xca\x3d\xcc\xcc\xcd", 5);

    assert_int_equal(v.kind, VALUE_F64);
    assert_true(v.as.f64 == 0.10000000149011612);
    v = parse(state, "\xcb\x40\x28\0\0\0\0\0\0", 9);
    assert_true(v.kind == VALUE_F64 && v.as.f64 == 12.0);
    v = parse(state, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_true(v.kind == VALUE_F64 && v.as.f64 == 18446744073709551616.0);
    v = parse(state, "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9);
    assert_true(v.kind == VALUE_F64 && v.as.f64 == 9223372036854775808.0);
}

static void
test_texts_bytes_and_containers_are_read(void **state)
{
    /* {"a": [nil, true, bin(1), "e'"], bin "k": {}} with the second key as bin */
    const char data[] = "\x82\xa1"
                        "a\x94\xc0\xc3\xc4\x01\xff\xd9\x02\xc3\xa9\xc4\x01k\x80";
    struct value v = parse(state, data, sizeof data - 1);

    assert_int_equal(v.kind, VALUE_MAP);
    assert_int_equal(v.length, 2);
    const struct value *list = value_find(&v, "a");

    assert_int_equal(list->kind, VALUE_LIST);
    assert_int_equal(list->as.items[0].kind, VALUE_NULL);
    assert_int_equal(list->as.items[1].kind, VALUE_BOOL);
    assert_int_equal(list->as.items[2].kind, VALUE_BYTES);
    assert_int_equal(list->as.items[2].as.bytes[0], 0xff);
    assert_int_equal(list->as.items[3].kind, VALUE_STR);
    assert_ptr_equal(list->as.items[3].as.str, data + 11);
    assert_int_equal(v.as.members[1].key.kind, VALUE_STR);
    assert_int_equal(value_find(&v, "k")->kind, VALUE_MAP);
}

static void
test_refusals_name_the_fault_and_its_byte(void **state)
{
    assert_refused(state, "", 0, "unexpected end of data at byte 0");
    assert_refused(state, "\xc1", 1, "reserved tag 0xc1 at byte 0");
    assert_refused(state, "\x91\xc1", 2, "reserved tag 0xc1 at byte 1");
    assert_refused(state, "\xd4\x01\x02", 3, "ext is not supported at byte 0");
    assert_refused(state, "\xc7\x01\x02\x03", 4, "ext is not supported at byte 0");
    assert_refused(state, "\xd6\xff\x00\x00\x00\x00", 6, "ext is not supported at byte 0");
    assert_refused(state, "\xd8\x01", 2, "ext is not supported at byte 0");
    assert_refused(state, "\xcd\x01", 2, "unexpected end of data at byte 0");
    assert_refused(state, "\xa2\x61", 2, "truncated str at byte 0");
    assert_refused(state, "\xdb\xff\xff\xff\xff\x61", 6, "truncated str at byte 0");
    assert_refused(state, "\xc6\xff\xff\xff\xff\x61", 6, "truncated bin at byte 0");
    assert_refused(state, "\xa1\xff", 2, "str is not valid UTF-8 at byte 0");
    assert_refused(state, "\xdd\xff\xff\xff\xff\x01", 6, "truncated array at byte 0");
    assert_refused(state, "\xdf\xff\xff\xff\xff\x01", 6, "truncated map at byte 0");
    assert_refused(state, "\x81\x01\x01", 3, "map key is not a str at byte 1");
    assert_refused(state, "\x81\x80\x01", 3, "map key is not a str at byte 1");
    assert_refused(state, "\x81\xc4\x01\xff\x01", 5, "map key is not a str at byte 1");
    assert_refused(state, "\x01\x01", 2, "trailing bytes at byte 1");
}

static void
test_a_prefix_reports_where_the_value_ends(void **state)
{
    struct value v;
    size_t consumed = 0;
    struct slice data = slice_of("\x92\x01\x80\xc1", 4);

    assert_int_equal(msgpack_parse_prefix(&v, &consumed, data, 128, *state, NULL), BV_OK);
    assert_int_equal(consumed, 3);
    assert_int_equal(v.length, 2);
}

static void
test_depth_is_bounded_by_the_callers_limit(void **state)
{
    uint8_t data[MSGPACK_DEPTH_MAX + 2];
    struct value v;
    struct bv_error err;

    memset(data, 0x91, sizeof data);
    data[MSGPACK_DEPTH_MAX] = 0x01;
    parse(state, data, MSGPACK_DEPTH_MAX + 1);
    memset(data, 0x91, sizeof data);
    assert_refused(state, data, sizeof data, "recursion limit exceeded at byte 128");
    assert_int_equal(msgpack_parse(&v, slice_of("\x91\x91\x90", 3), 2, *state, &err),
                     BV_MALFORMED_REQUEST);
    assert_string_equal(err.message, "recursion limit exceeded at byte 2");
}

static void
test_every_prefix_of_a_value_is_refused(void **state)
{
    const char data[] =
        "\x82\xa1"
        "a\x94\xc0\xc3\xc4\x01\xff\xd9\x02\xc3\xa9\xc4\x01k\x81\xa1x\xcb\0\0\0\0\0\0\0\0";
    struct value v;

    parse(state, data, sizeof data - 1);
    for (size_t size = 0; size < sizeof data - 1; size++) {
        uint8_t *copy = malloc(size + (size == 0));

        assert_non_null(copy);
        memcpy(copy, data, size);
        assert_int_equal(msgpack_parse(&v, slice_of(copy, size), 128, *state, NULL),
                         BV_MALFORMED_REQUEST);
        free(copy);
    }
}

static void
test_a_spent_arena_is_reported(void **state)
{
    uint8_t data[203] = {0xdc, 0, 200};
    struct arena arena;
    struct value v;
    struct bv_error err;

    arena_init(&arena, 64, 1000);
    assert_int_equal(msgpack_parse(&v, slice_of(data, sizeof data), 128, &arena, &err),
                     BV_NO_MEMORY);
    assert_string_equal(err.message, "no memory to parse 203 bytes of MessagePack");
    arena_deinit(&arena);
}

/* What msgpack-c says about the same bytes: equal trees, and refusals only for our own rules. */
static bool
is_equal(const struct value *ours, const msgpack_object *theirs)
{
    double number = 0;

    switch (theirs->type) {
    case MSGPACK_OBJECT_NIL:
        return ours->kind == VALUE_NULL;
    case MSGPACK_OBJECT_BOOLEAN:
        return ours->kind == VALUE_BOOL && (ours->as.bits != 0) == theirs->via.boolean;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (theirs->via.u64 > INT64_MAX) {
            return ours->kind == VALUE_F64 && ours->as.f64 == (double)theirs->via.u64;
        }
        return ours->kind == VALUE_I64 && (uint64_t)ours->as.i64 == theirs->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return ours->kind == VALUE_I64 && ours->as.i64 == theirs->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        number = theirs->via.f64;
        return ours->kind == VALUE_F64 &&
               (ours->as.f64 == number || (ours->as.f64 != ours->as.f64 && number != number));
    case MSGPACK_OBJECT_STR:
        return ours->kind == VALUE_STR &&
               slice_equal(value_slice(ours), slice_of(theirs->via.str.ptr, theirs->via.str.size));
    case MSGPACK_OBJECT_BIN:
        return (ours->kind == VALUE_BYTES || ours->kind == VALUE_STR) &&
               slice_equal(value_slice(ours), slice_of(theirs->via.bin.ptr, theirs->via.bin.size));
    case MSGPACK_OBJECT_ARRAY:
        if (ours->kind != VALUE_LIST || ours->length != theirs->via.array.size) {
            return false;
        }
        for (uint32_t i = 0; i < ours->length; i++) {
            if (!is_equal(&ours->as.items[i], &theirs->via.array.ptr[i])) {
                return false;
            }
        }
        return true;
    case MSGPACK_OBJECT_MAP:
        if (ours->kind != VALUE_MAP || ours->length != theirs->via.map.size) {
            return false;
        }
        for (uint32_t i = 0; i < ours->length; i++) {
            if (!is_equal(&ours->as.members[i].key, &theirs->via.map.ptr[i].key) ||
                !is_equal(&ours->as.members[i].value, &theirs->via.map.ptr[i].val)) {
                return false;
            }
        }
        return true;
    default:
        return false;
    }
}

/* What our rules add to the format: no ext, UTF-8 texts, text keys. */
static bool
is_within_rules(const msgpack_object *v)
{
    switch (v->type) {
    case MSGPACK_OBJECT_EXT:
        return false;
    case MSGPACK_OBJECT_STR:
        return utf8_is_valid(slice_of(v->via.str.ptr, v->via.str.size));
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < v->via.array.size; i++) {
            if (!is_within_rules(&v->via.array.ptr[i])) {
                return false;
            }
        }
        return true;
    case MSGPACK_OBJECT_MAP:
        for (uint32_t i = 0; i < v->via.map.size; i++) {
            const msgpack_object *key = &v->via.map.ptr[i].key;
            bool is_text = key->type == MSGPACK_OBJECT_STR || key->type == MSGPACK_OBJECT_BIN;

            if (!is_text || !utf8_is_valid(slice_of(key->via.str.ptr, key->via.str.size)) ||
                !is_within_rules(&v->via.map.ptr[i].val)) {
                return false;
            }
        }
        return true;
    default:
        return true;
    }
}

/* Random bytes with a taste for tags: containers with few elements, short texts, everything else.
 */
static size_t
random_input(uint8_t *data, size_t size_max, unsigned *seed)
{
    size_t size = 1 + (size_t)rand_r(seed) % size_max;

    for (size_t i = 0; i < size; i++) {
        switch (rand_r(seed) % 6) {
        case 0:
            data[i] = (uint8_t)(0x80 | rand_r(seed) % 4);
            break;
        case 1:
            data[i] = (uint8_t)(0x90 | rand_r(seed) % 4);
            break;
        case 2:
            data[i] = (uint8_t)(0xa0 | rand_r(seed) % 3);
            break;
        case 3:
            data[i] = (uint8_t)(0xc0 | rand_r(seed) % 32);
            break;
        default:
            data[i] = (uint8_t)(rand_r(seed) % 3 == 0 ? rand_r(seed) : 'a');
            break;
        }
        data[i] = data[i] == 0xdd || data[i] == 0xdf ? 'a' : data[i];
    }
    return size;
}

static void
test_random_bytes_are_judged_as_by_msgpack_c(void **state)
{
    unsigned seed = SEED;
    unsigned accepted = 0;

    for (int i = 0; i < RANDOM_INPUTS; i++) {
        uint8_t data[ORACLE_DEPTH];
        size_t size = random_input(data, sizeof data, &seed);
        size_t consumed = 0;
        size_t offset = 0;
        struct value ours;
        msgpack_unpacked theirs;

        arena_reset(*state);
        msgpack_unpacked_init(&theirs);
        enum bv_status status =
            msgpack_parse_prefix(&ours, &consumed, slice_of(data, size), 128, *state, NULL);
        msgpack_unpack_return result =
            msgpack_unpack_next(&theirs, (const char *)data, size, &offset);
        bool is_theirs = result == MSGPACK_UNPACK_SUCCESS || result == MSGPACK_UNPACK_EXTRA_BYTES;

        assert_int_equal(status == BV_OK, is_theirs && is_within_rules(&theirs.data));
        if (status == BV_OK) {
            assert_int_equal(consumed, offset);
            assert_true(is_equal(&ours, &theirs.data));
            accepted++;
        }
        msgpack_unpacked_destroy(&theirs);
    }
    assert_in_range(accepted, RANDOM_INPUTS / 10, RANDOM_INPUTS - 1000);
}

#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_every_width_of_integer_is_read),
        ARENA_TEST(test_floats_and_integers_above_i64_are_doubles),
        ARENA_TEST(test_texts_bytes_and_containers_are_read),
        ARENA_TEST(test_refusals_name_the_fault_and_its_byte),
        ARENA_TEST(test_a_prefix_reports_where_the_value_ends),
        ARENA_TEST(test_depth_is_bounded_by_the_callers_limit),
        ARENA_TEST(test_every_prefix_of_a_value_is_refused),
        ARENA_TEST(test_a_spent_arena_is_reported),
        ARENA_TEST(test_random_bytes_are_judged_as_by_msgpack_c),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
