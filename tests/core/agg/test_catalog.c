/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that hold for every row, whatever it computes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "agg_fixture.h"
#include "wire/json.h"

#define STATE_MAX 256
#define CANARY    0xA5
#define MEGABYTE  (1024 * 1024)

static struct arena arena;
static char *megabyte;

/* Everything a field or an expression can hand to an update. */
static size_t
hostile_values(struct value *out)
{
    static const struct value items[2] = {{.as.i64 = 1, .kind = VALUE_I64},
                                          {.as.f64 = 0.5, .kind = VALUE_F64}};
    static const struct value_member members[1] = {
        {{.as.str = "a key", .length = 5, .kind = VALUE_STR}, {.as.i64 = 2, .kind = VALUE_I64}}};
    struct value bytes = value_str(slice_text("\xFF\x00longer than eight"));
    struct value values[] = {
        value_null(),
        value_i64(0),
        value_i64(INT64_MIN),
        value_i64(INT64_MAX),
        value_f64(0.0),
        value_f64(-0.0),
        value_f64(NAN),
        value_f64(INFINITY),
        value_f64(-INFINITY),
        value_f64(1.7976931348623157e308),
        value_f64(5e-324),
        value_i64(9007199254740993),
        value_f64(9007199254740992.0),
        value_i64(1),
        value_i64(1),
        value_f64(1.0),
        value_bool(false),
        value_bool(true),
        value_str(slice_text("")),
        value_str(slice_text("12345678")),
        value_str(slice_text("123456789")),
        value_str(slice_text("123456789")),
        value_str(slice_of(megabyte, MEGABYTE)),
        {.as.items = items, .length = 2, .kind = VALUE_LIST},
        {.kind = VALUE_LIST},
        {.as.members = members, .length = 1, .kind = VALUE_MAP},
        bytes,
    };

    values[sizeof values / sizeof values[0] - 1].kind = VALUE_BYTES;
    memcpy(out, values, sizeof values);
    return sizeof values / sizeof values[0];
}

static void
release(const struct agg_accumulator *accumulator, void *state, struct test_heap *heap)
{
    assert_int_equal((accumulator->flags & AGG_OWNS_MEMORY) != 0, accumulator->release != NULL);
    if (accumulator->release != NULL) {
        accumulator->release(state, NULL, &heap->heap);
    }
}

static void
encode(struct buf *out, const struct agg_accumulator *accumulator, const void *state,
       struct test_heap *heap)
{
    buf_init(out);
    accumulator->encode(out, state, NULL, &heap->heap);
    assert_false(out->failed);
    assert_true(out->size > 0);
}

/* decode(encode(s)) has the encoding of s, over a state that holds rubbish. */
static void
check_round_trip(const struct agg_accumulator *accumulator, const void *state,
                 struct test_heap *heap)
{
    uint64_t copy[STATE_MAX / 8];
    struct buf first;
    struct buf second;
    size_t consumed = 0;

    memset(copy, CANARY, sizeof copy);
    encode(&first, accumulator, state, heap);
    buf_byte(&first, 0x77); /* what follows in a snapshot is not touched */
    assert_int_equal(
        accumulator->decode(copy, &consumed, buf_slice(&first), NULL, &heap->heap, NULL), BV_OK);
    assert_int_equal(consumed, first.size - 1);
    encode(&second, accumulator, copy, heap);
    assert_int_equal(second.size, first.size - 1);
    assert_memory_equal(first.data, second.data, second.size);
    release(accumulator, copy, heap);
    buf_deinit(&first);
    buf_deinit(&second);
}

static void
test_rows_are_complete(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);
        struct value empty;

        assert_non_null(op);
        assert_true(strlen(op->summary) > 10);
        assert_true(strlen(op->nulls) > 10);
        assert_int_equal(json_parse(&empty, slice_text(op->empty), 4, &arena, NULL), BV_OK);
        assert_in_range(op->use_count, 1, AGG_USES_MAX);
        assert_in_range(op->input_count, 0, AGG_INPUTS_MAX);
        assert_non_null(op->read);
        for (unsigned k = 0; k < op->param_count; k++) {
            assert_non_null(op->params[k].help);
            assert_int_not_equal(op->params[k].refusal, BV_OK);
        }
        for (unsigned k = 0; k < op->use_count; k++) {
            assert_non_null(op->uses[k].any_of[0]);
            for (unsigned j = 0; j < 4 && op->uses[k].any_of[j] != NULL; j++) {
                assert_int_equal(op->uses[k].any_of[j]->input_count, op->input_count);
            }
        }
        assert_ptr_equal(agg_op_find(slice_text(op->name)), op);
        if (i != 0) {
            assert_true(strcmp(agg_op_at(i - 1)->name, op->name) < 0);
        }
    }
    assert_null(agg_op_at(agg_op_count()));
    assert_null(agg_accumulator_at(agg_accumulator_count()));
}

static void
test_accumulators_have_their_own_names_and_lawful_sizes(void **state)
{
    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        const struct agg_accumulator *accumulator = agg_accumulator_at(i);

        for (int type = FIELD_STR; type <= FIELD_JSON; type++) {
            uint32_t size = accumulator->state_size(NULL, (enum field_type)type);

            assert_in_range(size, 1, STATE_MAX);
            assert_int_equal(size % accumulator->state_align, 0);
        }
        assert_in_range(accumulator->input_count, 0, AGG_INPUTS_MAX);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(accumulator->name, agg_accumulator_at(k)->name);
        }
    }
}

static void
test_an_empty_state_reads_the_documented_value(void **state)
{
    struct test_heap heap;

    test_heap_open(&heap, 4096);
    for (size_t i = 0; i < agg_op_count(); i++) {
        for (unsigned choice = 0; choice < 2; choice++) {
            struct test_feature feature;
            struct buf text;
            struct value v;

            test_feature_open(&feature, agg_op_at(i)->name, choice, &heap);
            v = test_feature_read(&feature, &arena);
            buf_init(&text);
            json_write(&text, &v);
            buf_byte(&text, 0);
            assert_string_equal((const char *)text.data, agg_op_at(i)->empty);
            buf_deinit(&text);
            test_feature_close(&feature);
        }
    }
    test_heap_close(&heap);
}

static void
test_states_stay_inside_their_size_whatever_comes(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        const struct agg_accumulator *accumulator = agg_accumulator_at(i);
        uint64_t words[STATE_MAX / 8 + 8];
        uint8_t *bytes = (uint8_t *)words;
        uint32_t size = accumulator->state_size(NULL, FIELD_JSON);
        struct test_heap heap;

        test_heap_open(&heap, 64 * MEGABYTE);
        memset(bytes, CANARY, sizeof words);
        accumulator->init(bytes, NULL);
        for (size_t k = 0; k < count * 3; k++) {
            agg_push(accumulator, bytes, &values[k * 7 % count], &heap);
            check_round_trip(accumulator, bytes, &heap);
        }
        for (size_t k = size; k < sizeof words; k++) {
            assert_int_equal(bytes[k], CANARY);
        }
        release(accumulator, bytes, &heap);
        test_heap_close(&heap);
    }
}

static void
test_every_reader_survives_every_value(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_op_count(); i++) {
        struct test_feature feature;
        struct test_heap heap;

        test_heap_open(&heap, 64 * MEGABYTE);
        test_feature_open(&feature, agg_op_at(i)->name, 0, &heap);
        for (size_t k = 0; k < count; k++) {
            struct value v;

            test_feature_push(&feature, values[k], true);
            v = test_feature_read(&feature, &arena);
            assert_in_range(v.kind, VALUE_NULL, VALUE_MAP);
            /* Only what keeps values as pushed may hold a number that JSON cannot write. */
            if (feature.op->output == AGG_OUTPUT_F64 && v.kind != VALUE_NULL) {
                assert_int_equal(v.kind, VALUE_F64);
                assert_true(isfinite(v.as.f64));
            }
        }
        test_feature_close(&feature);
        test_heap_close(&heap);
    }
}

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static bool
is_near(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_F64 && b->kind == VALUE_F64) {
        return fabs(a->as.f64 - b->as.f64) <= 1e-9 * fmax(1.0, fabs(a->as.f64));
    }
    if (a->kind == VALUE_STR && b->kind == VALUE_STR) {
        return slice_equal(value_slice(a), value_slice(b));
    }
    return a->kind == b->kind && (a->kind == VALUE_NULL || a->as.bits == b->as.bits);
}

/* One long stream against the same stream cut into pieces that are merged, empty ones included. */
static void
check_merge(const char *name, unsigned choice, uint64_t seed)
{
    struct test_heap heap;
    struct test_feature whole;
    struct test_feature pieces[5];
    struct test_feature folded;

    test_heap_open(&heap, 64 * MEGABYTE);
    test_feature_open(&whole, name, choice, &heap);
    test_feature_open(&folded, name, choice, &heap);
    for (int i = 0; i < 5; i++) {
        test_feature_open(&pieces[i], name, choice, &heap);
        for (uint64_t k = i == 2 ? 0 : next_random(&seed) % 40; k > 0; k--) {
            uint64_t draw = next_random(&seed);
            char text[24];
            struct value v = value_f64((double)(draw % 2000) / 16.0 - 40);
            bool is_matching = draw % 5 != 0;

            if (seed % 3 == 0) {
                int size = snprintf(text, sizeof text, "text %08u", (unsigned)(draw % 100000));

                v = value_str(slice_of(text, (size_t)size));
            } else if (draw % 11 == 0) {
                v = value_null();
            } else if (draw % 3 == 0) {
                v = value_i64((int64_t)(draw % 200) - 100);
            }
            if (v.kind == VALUE_STR && strcmp(name, "first") != 0 && strcmp(name, "last") != 0) {
                v = value_null(); /* mixed kinds have no common order */
            }
            test_feature_push(&whole, v, is_matching);
            test_feature_push(&pieces[i], v, is_matching);
        }
    }
    for (int i = 0; i < 5; i++) {
        struct buf before;
        struct buf after;

        encode(&before, pieces[i].reading.accumulators[0], pieces[i].states[0], &heap);
        test_feature_fold(&folded, &pieces[i]);
        encode(&after, pieces[i].reading.accumulators[0], pieces[i].states[0], &heap);
        assert_int_equal(before.size, after.size);
        assert_memory_equal(before.data, after.data, before.size);
        buf_deinit(&before);
        buf_deinit(&after);
    }

    struct value a = test_feature_read(&whole, &arena);
    struct value b = test_feature_read(&folded, &arena);

    if (!is_near(&a, &b)) {
        fail_msg("%s, choice %u, seed %llu: merged differs", name, choice,
                 (unsigned long long)seed);
    }
    /* The folded state only borrows: it is dropped, and the pieces still own what they own. */
    arena_deinit(&folded.arena);
    test_feature_close(&whole);
    for (int i = 0; i < 5; i++) {
        test_feature_close(&pieces[i]);
    }
    test_heap_close(&heap);
}

static void
test_merge_agrees_with_one_long_stream(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            check_merge(agg_op_at(i)->name, 0, seed);
            check_merge(agg_op_at(i)->name, 1, seed);
            arena_reset(&arena);
        }
    }
}

static void
test_truncated_and_altered_encodings_are_refused_or_read_safely(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        const struct agg_accumulator *accumulator = agg_accumulator_at(i);

        for (size_t k = 0; k < count; k++) {
            uint64_t words[STATE_MAX / 8];
            struct test_heap heap;
            struct buf bytes;
            struct bv_error err;
            size_t consumed = 0;

            if (values[k].length == MEGABYTE) {
                continue;
            }
            test_heap_open(&heap, MEGABYTE);
            accumulator->init(words, NULL);
            agg_push(accumulator, words, &values[k], &heap);
            encode(&bytes, accumulator, words, &heap);
            release(accumulator, words, &heap);
            for (size_t size = 0; size < bytes.size; size++) {
                /* An exact copy, so that a sanitizer sees a read past the end. */
                uint8_t *cut = (uint8_t *)malloc(size + 1);

                memcpy(cut, bytes.data, size);
                assert_int_equal(accumulator->decode(words, &consumed, slice_of(cut, size), NULL,
                                                     &heap.heap, &err),
                                 BV_CORRUPT);
                assert_int_equal(heap.bytes_out, 0);
                free(cut);
            }
            for (size_t at = 0; at < bytes.size; at++) {
                enum bv_status status = BV_OK;

                bytes.data[at] ^= 0x10;
                status = accumulator->decode(words, &consumed, buf_slice(&bytes), NULL, &heap.heap,
                                             &err);
                if (status == BV_OK) {
                    assert_in_range(consumed, 1, bytes.size);
                    release(accumulator, words, &heap);
                } else {
                    assert_true(status == BV_CORRUPT || status == BV_NO_MEMORY);
                }
                assert_int_equal(heap.bytes_out, 0);
                bytes.data[at] ^= 0x10;
            }
            buf_deinit(&bytes);
            test_heap_close(&heap);
        }
    }
}

static void
test_a_failed_allocation_leaves_a_sound_state(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        const struct agg_accumulator *accumulator = agg_accumulator_at(i);

        for (int64_t fail_at = 1; fail_at <= 8; fail_at++) {
            uint64_t words[STATE_MAX / 8];
            struct test_heap heap;

            test_heap_open(&heap, 16 * MEGABYTE);
            heap.fail_at = fail_at;
            accumulator->init(words, NULL);
            for (size_t k = 0; k < count; k++) {
                struct buf bytes;

                agg_push(accumulator, words, &values[k], &heap);
                encode(&bytes, accumulator, words, &heap);
                buf_deinit(&bytes);
            }
            release(accumulator, words, &heap);
            test_heap_close(&heap);
        }
    }
}

static void
test_decode_reports_spent_memory(void **state)
{
    struct value text = value_str(slice_text("longer than eight bytes"));

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        const struct agg_accumulator *accumulator = agg_accumulator_at(i);
        uint64_t words[STATE_MAX / 8];
        struct test_heap heap;
        struct buf bytes;
        size_t consumed = 0;
        bool has_allocated = false;

        test_heap_open(&heap, 4096);
        accumulator->init(words, NULL);
        agg_push(accumulator, words, &text, &heap);
        has_allocated = heap.bytes_out != 0;
        encode(&bytes, accumulator, words, &heap);
        release(accumulator, words, &heap);
        heap.fail_at = heap.alloc_count + 1;
        assert_int_equal(
            accumulator->decode(words, &consumed, buf_slice(&bytes), NULL, &heap.heap, NULL),
            has_allocated ? BV_NO_MEMORY : BV_OK);
        buf_deinit(&bytes);
        test_heap_close(&heap);
    }
}

static void
test_unknown_operators_are_not_found_and_near_ones_suggested(void **state)
{
    static const char *const pairs[][2] = {
        {"cuont", NULL},     {"coun", "count"}, {"avg", "mean"},     {"stddev", "std"},
        {"Sum", "sum"},      {"meen", "mean"},  {"variance", "var"}, {"zzzzzz", NULL},
        {"", NULL},          {"x", NULL},       {"lasst", "last"},   {"nunique", NULL},
        {"ratios", "ratio"},
    };
    char long_name[4096];

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *suggestion = agg_op_suggest(slice_text(pairs[i][0]));

        assert_null(agg_op_find(slice_text(pairs[i][0])));
        if (pairs[i][1] != NULL) {
            assert_non_null(suggestion);
            assert_string_equal(suggestion, pairs[i][1]);
        } else if (suggestion != NULL) {
            assert_non_null(agg_op_find(slice_text(suggestion)));
        }
    }
    memset(long_name, 'a', sizeof long_name);
    assert_null(agg_op_suggest(slice_of(long_name, sizeof long_name)));
    assert_null(agg_op_suggest(slice_text("zzzzzz")));
    assert_ptr_equal(agg_op_find(slice_text("ema")), agg_op_find(slice_text("ewma")));
}

static void
test_the_catalogue_is_json_with_every_operator(void **state)
{
    struct buf text;
    struct value catalogue;
    const struct value *operators = NULL;

    buf_init(&text);
    agg_catalog_json(&text);
    assert_int_equal(json_parse(&catalogue, buf_slice(&text), 16, &arena, NULL), BV_OK);
    operators = value_find(&catalogue, "operators");
    assert_non_null(operators);
    assert_int_equal(operators->length, agg_op_count());
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct value *row = &operators->as.items[i];
        const struct agg_op *op = agg_op_at(i);

        assert_true(slice_equal(value_slice(value_find(row, "name")), slice_text(op->name)));
        assert_int_equal(value_find(row, "params")->length, op->param_count);
        for (unsigned k = 0; k < op->param_count; k++) {
            const struct value *param = &value_find(row, "params")->as.items[k];

            assert_int_equal(value_find(param, "required")->as.bits, op->params[k].is_required);
        }
        assert_non_null(value_find(row, "window"));
        assert_non_null(value_find(row, "output"));
    }
    buf_deinit(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_complete),
        cmocka_unit_test(test_accumulators_have_their_own_names_and_lawful_sizes),
        cmocka_unit_test(test_an_empty_state_reads_the_documented_value),
        cmocka_unit_test(test_states_stay_inside_their_size_whatever_comes),
        cmocka_unit_test(test_every_reader_survives_every_value),
        cmocka_unit_test(test_merge_agrees_with_one_long_stream),
        cmocka_unit_test(test_truncated_and_altered_encodings_are_refused_or_read_safely),
        cmocka_unit_test(test_a_failed_allocation_leaves_a_sound_state),
        cmocka_unit_test(test_decode_reports_spent_memory),
        cmocka_unit_test(test_unknown_operators_are_not_found_and_near_ones_suggested),
        cmocka_unit_test(test_the_catalogue_is_json_with_every_operator),
    };
    int failed = 0;

    megabyte = (char *)malloc(MEGABYTE);
    memset(megabyte, 'm', MEGABYTE);
    arena_init(&arena, 65536, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    free(megabyte);
    return failed;
}
