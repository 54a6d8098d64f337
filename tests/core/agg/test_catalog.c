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

#define STATE_MAX (TEST_STATE_WORDS * 8)
#define CANARY    0xA5
#define MEGABYTE  (1024 * 1024)

/* A merge need only be what reading a window asks for. */
#define MERGES_NEVER(op)                                                                           \
    ((op)->window == AGG_WINDOW_REFUSED || (op)->window == AGG_WINDOW_PARAMETER)

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

/* An accumulator with sample parameters, and a clock that stands still for one event in three. */
struct subject {
    const struct agg_accumulator *accumulator;
    const void *config;
    struct test_heap heap;
    uint64_t now_ms;
    uint64_t push_count;
};

static void
subject_open(struct subject *self, const struct agg_accumulator *accumulator, size_t heap_size)
{
    *self = (struct subject){.accumulator = accumulator, .now_ms = 1700000000000};
    self->config = agg_sample_config(accumulator, &arena);
    test_heap_open(&self->heap, heap_size);
    assert_int_equal((accumulator->flags & AGG_OWNS_MEMORY) != 0, accumulator->release != NULL);
}

static void
subject_close(struct subject *self)
{
    test_heap_close(&self->heap);
}

static void
init(const struct subject *self, void *state)
{
    self->accumulator->init(state, self->config);
}

static void
push(struct subject *self, void *state, const struct value *first, const struct value *second)
{
    const struct value *inputs[AGG_INPUTS_MAX] = {first, second};
    const struct agg_moment moment = {.now_ms = self->now_ms,
                                      .seed = (uint32_t)self->push_count * 7,
                                      .is_match = self->push_count % 4 != 3,
                                      .salt = 0x5a17,
                                      .heap = &self->heap.heap};

    self->accumulator->update(state, self->config, inputs, &moment);
    self->push_count++;
    self->now_ms += self->push_count % 3 * 450;
}

static void
release(struct subject *self, void *state)
{
    if (self->accumulator->release != NULL) {
        self->accumulator->release(state, self->config, &self->heap.heap);
    }
}

static enum bv_status
decode(struct subject *self, void *state, size_t *consumed, struct slice bytes)
{
    struct bv_error err;

    return self->accumulator->decode(state, consumed, bytes, self->config, &self->heap.heap, &err);
}

static void
encode_with(struct buf *out, const struct agg_accumulator *accumulator, const void *config,
            const void *state, const struct test_heap *heap)
{
    buf_init(out);
    accumulator->encode(out, state, config, &heap->heap);
    assert_false(out->failed);
    assert_true(out->size > 0);
}

static void
encode(struct buf *out, const struct subject *self, const void *state)
{
    encode_with(out, self->accumulator, self->config, state, &self->heap);
}

/* decode(encode(s)) has the encoding of s, over a state that holds rubbish. */
static void
check_round_trip(struct subject *self, const void *state)
{
    uint64_t copy[TEST_STATE_WORDS];
    struct buf first;
    struct buf second;
    size_t consumed = 0;
    const struct test_heap before = self->heap;

    memset(copy, CANARY, sizeof copy);
    encode(&first, self, state);
    buf_byte(&first, 0x77); /* what follows in a snapshot is not touched */
    assert_int_equal(decode(self, copy, &consumed, buf_slice(&first)), BV_OK);
    assert_int_equal(consumed, first.size - 1);
    encode(&second, self, copy);
    assert_int_equal(second.size, first.size - 1);
    assert_memory_equal(first.data, second.data, second.size);
    release(self, copy);
    assert_int_equal(self->heap.bytes_out, before.bytes_out);
    self->heap.next = before.next; /* all since then was given back */
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
        for (unsigned k = 0; k < op->use_count && !MERGES_NEVER(op); k++) {
            assert_non_null(op->uses[k].any_of[0]->merge);
        }
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
        const void *config = agg_sample_config(accumulator, &arena);

        for (int type = FIELD_STR; type <= FIELD_JSON; type++) {
            uint32_t size = accumulator->state_size(config, (enum field_type)type);

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
        uint64_t words[TEST_STATE_WORDS + 8];
        uint8_t *bytes = (uint8_t *)words;
        struct subject subject;

        subject_open(&subject, agg_accumulator_at(i), 128 * MEGABYTE);
        memset(bytes, CANARY, sizeof words);
        init(&subject, bytes);
        check_round_trip(&subject, bytes);
        for (size_t k = 0; k < count * 3; k++) {
            /* The megabyte comes in the last round: states that keep it are slow to copy. */
            if (k < count * 2 && (values[k * 7 % count].length == MEGABYTE ||
                                  values[k * 11 % count].length == MEGABYTE)) {
                continue;
            }
            push(&subject, bytes, &values[k * 7 % count], &values[k * 11 % count]);
            check_round_trip(&subject, bytes);
        }
        for (size_t k = subject.accumulator->state_size(subject.config, FIELD_JSON);
             k < sizeof words; k++) {
            assert_int_equal(bytes[k], CANARY);
        }
        release(&subject, bytes);
        subject_close(&subject);
        arena_reset(&arena);
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
        feature.reading.window_ms = 60000;
        for (size_t k = 0; k < count * 2; k++) {
            /* The second round meets time standing still, and then a read from before it. */
            const uint64_t now_ms = 1000 + 50 * (k < count ? k : count);
            const struct value *inputs[AGG_INPUTS_MAX] = {&values[k % count],
                                                          &values[k * 7 % count]};
            struct value v;

            test_feature_push_at(&feature, inputs, k % 5 != 4, now_ms, (uint32_t)k);
            feature.reading.query_ms = k % 2 == 0 ? now_ms + 77 : 0;
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
    bool near = a->kind == b->kind && a->length == b->length;

    if (a->kind == VALUE_F64 && near) {
        return a->as.bits == b->as.bits ||
               fabs(a->as.f64 - b->as.f64) <= 1e-9 * fmax(1.0, fabs(a->as.f64));
    }
    if (a->kind == VALUE_STR || a->kind == VALUE_BYTES) {
        return near && slice_equal(value_slice(a), value_slice(b));
    }
    /* The results of operators are two deep at most. */
    for (uint32_t i = 0; near && a->kind == VALUE_LIST && i < a->length; i++) {
        near = is_near(&a->as.items[i], &b->as.items[i]);
    }
    for (uint32_t i = 0; near && a->kind == VALUE_MAP && i < a->length; i++) {
        near = is_near(&a->as.members[i].key, &b->as.members[i].key) &&
               is_near(&a->as.members[i].value, &b->as.members[i].value);
    }
    if (a->kind == VALUE_NULL || a->kind == VALUE_LIST || a->kind == VALUE_MAP) {
        return near;
    }
    return near && a->as.bits == b->as.bits;
}

#define PIECES 5

/* Pieces of a stream, and the view an update of AGG_SEES_WINDOW has of those so far. */
struct piece_view {
    struct agg_view view; /* first: the callback casts */
    struct test_feature *pieces;
    int opened;
    unsigned use;
};

static void
pieces_fold(const struct agg_view *view, void *into)
{
    const struct piece_view *self = (const struct piece_view *)view;
    const struct agg_reading *reading = &self->pieces[0].reading;
    const struct agg_accumulator *accumulator = reading->accumulators[self->use];

    accumulator->init(into, reading->configs[self->use]);
    for (int i = 0; i < self->opened; i++) {
        accumulator->merge(into, self->pieces[i].states[self->use], reading->configs[self->use],
                           reading->heap, &arena);
    }
}

enum stream_kind { STREAM_NUMBERS, STREAM_TEXTS, STREAM_MIXED, STREAM_KINDS };

/* A value of a stream that repeats itself now and then; `text` holds what it points to. */
static struct value
draw_value(enum stream_kind kind, uint64_t draw, char text[24])
{
    const bool is_text = kind == STREAM_TEXTS || (kind == STREAM_MIXED && draw % 2 == 0);

    if (draw % 11 == 0) {
        return value_null();
    }
    if (is_text) {
        const int size = snprintf(text, 24, "text %08u", (unsigned)(draw / 11 % 50));

        return value_str(slice_of(text, (size_t)size));
    }
    if (kind == STREAM_MIXED && draw % 7 == 0) {
        return value_bool(draw / 7 % 2 == 0);
    }
    return draw % 3 == 0 ? value_i64((int64_t)(draw % 200) - 100)
                         : value_f64((double)(draw % 2000) / 16.0 - 40);
}

/* One long stream against the same stream cut into pieces that are merged, empty ones included. */
static void
check_merge(const struct agg_op *op, unsigned choice, uint64_t start_seed)
{
    const enum stream_kind kind = (enum stream_kind)(start_seed % STREAM_KINDS);
    uint64_t seed = start_seed;
    uint64_t now_ms = 1700000000000;
    struct test_heap heap;
    struct test_feature whole;
    struct test_feature pieces[PIECES];
    struct test_feature folded;
    struct piece_view views[AGG_USES_MAX];

    test_heap_open(&heap, MEGABYTE);
    test_feature_open(&whole, op->name, choice, &heap);
    test_feature_open(&folded, op->name, choice, &heap);
    for (int i = 0; i < PIECES; i++) {
        test_feature_open(&pieces[i], op->name, choice, &heap);
        for (unsigned u = 0; u < op->use_count; u++) {
            views[u] = (struct piece_view){{.fold = pieces_fold}, pieces, i + 1, u};
            pieces[i].views[u] = &views[u].view;
        }
        for (uint64_t k = i == 2 ? 0 : next_random(&seed) % 40; k > 0; k--) {
            const uint64_t draw = next_random(&seed);
            char texts[2][24];
            const struct value first = draw_value(kind, draw, texts[0]);
            const struct value second = draw_value(kind, next_random(&seed), texts[1]);
            const struct value *inputs[AGG_INPUTS_MAX] = {&first, &second};

            test_feature_push_at(&whole, inputs, draw % 5 != 0, now_ms, (uint32_t)draw);
            test_feature_push_at(&pieces[i], inputs, draw % 5 != 0, now_ms, (uint32_t)draw);
            now_ms += draw % 4 * 250;
        }
    }
    for (int i = 0; i < PIECES; i++) {
        const struct agg_reading *reading = &pieces[i].reading;
        struct buf before;
        struct buf after;

        encode_with(&before, reading->accumulators[0], reading->configs[0], pieces[i].states[0],
                    &heap);
        test_feature_fold(&folded, &pieces[i]);
        encode_with(&after, reading->accumulators[0], reading->configs[0], pieces[i].states[0],
                    &heap);
        assert_int_equal(before.size, after.size);
        assert_memory_equal(before.data, after.data, before.size);
        buf_deinit(&before);
        buf_deinit(&after);
    }
    whole.reading.query_ms = now_ms;
    folded.reading.query_ms = now_ms;

    const struct value a = test_feature_read(&whole, &arena);
    const struct value b = test_feature_read(&folded, &arena);

    if (!is_near(&a, &b)) {
        struct buf text;

        buf_init(&text);
        json_write(&text, &a);
        buf_text(&text, " in one stream, merged ");
        json_write(&text, &b);
        buf_byte(&text, 0);
        fail_msg("%s, choice %u, seed %llu: %s", op->name, choice, (unsigned long long)start_seed,
                 (const char *)text.data);
    }
    /* The folded state only borrows: it is dropped, and the pieces still own what they own. */
    arena_deinit(&folded.arena);
    test_feature_close(&whole);
    for (int i = 0; i < PIECES; i++) {
        test_feature_close(&pieces[i]);
    }
    test_heap_close(&heap);
}

/* Texts and numbers have no common order: which extreme stays depends on what came between. */
static bool
wants_one_kind(const struct agg_op *op)
{
    return strcmp(op->name, "min") == 0 || strcmp(op->name, "max") == 0;
}

static void
test_merge_agrees_with_one_long_stream(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);

        for (uint64_t seed = 1; seed <= 48 && !MERGES_NEVER(op); seed++) {
            if (wants_one_kind(op) && seed % STREAM_KINDS == STREAM_MIXED) {
                continue;
            }
            check_merge(op, 0, seed);
            check_merge(op, 1, seed);
            arena_reset(&arena);
        }
    }
}

/* Every prefix of a short encoding, some two hundred of a long one. */
static void
check_truncations(struct subject *self, struct slice bytes)
{
    uint64_t words[TEST_STATE_WORDS];
    size_t consumed = 0;

    for (size_t size = 0; size < bytes.size; size += 1 + bytes.size / 200) {
        /* An exact copy, so that a sanitizer sees a read past the end. */
        uint8_t *cut = (uint8_t *)malloc(size + 1);

        memcpy(cut, bytes.data, size);
        self->heap.next = 1;
        assert_int_equal(decode(self, words, &consumed, slice_of(cut, size)), BV_CORRUPT);
        assert_int_equal(self->heap.bytes_out, 0);
        free(cut);
    }
}

/* A flipped bit is refused, or gives a state that encodes to the very bytes that were read. */
static void
check_alterations(struct subject *self, struct buf *bytes)
{
    uint64_t words[TEST_STATE_WORDS];
    struct buf again;
    size_t consumed = 0;

    for (size_t at = 0; at < bytes->size; at += 1 + bytes->size / 400) {
        enum bv_status status = BV_OK;

        bytes->data[at] ^= 0x10;
        self->heap.next = 1;
        status = decode(self, words, &consumed, buf_slice(bytes));
        if (status == BV_OK) {
            assert_in_range(consumed, 1, bytes->size);
            encode(&again, self, words);
            assert_true(slice_equal(buf_slice(&again), slice_of(bytes->data, consumed)));
            buf_deinit(&again);
            release(self, words);
        } else {
            assert_true(status == BV_CORRUPT || status == BV_NO_MEMORY);
        }
        assert_int_equal(self->heap.bytes_out, 0);
        bytes->data[at] ^= 0x10;
    }
}

static void
test_truncated_and_altered_encodings_are_refused_or_read_safely(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        /* Each value alone, then a state that has seen them all. */
        for (size_t k = 0; k <= count; k++) {
            uint64_t words[TEST_STATE_WORDS];
            struct subject subject;
            struct buf bytes;

            if (k < count && values[k].length == MEGABYTE) {
                continue;
            }
            subject_open(&subject, agg_accumulator_at(i), MEGABYTE);
            init(&subject, words);
            for (size_t j = k < count ? k : 0; j < count && (j == k || k == count); j++) {
                if (values[j].length != MEGABYTE) {
                    push(&subject, words, &values[j], &values[j]);
                }
            }
            encode(&bytes, &subject, words);
            release(&subject, words);
            check_truncations(&subject, buf_slice(&bytes));
            check_alterations(&subject, &bytes);
            buf_deinit(&bytes);
            subject_close(&subject);
            arena_reset(&arena);
        }
    }
}

static void
test_a_failed_allocation_leaves_a_sound_state(void **state)
{
    struct value values[64];
    size_t count = hostile_values(values);

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        for (int64_t fail_at = 1; fail_at <= 12; fail_at++) {
            uint64_t words[TEST_STATE_WORDS];
            struct subject subject;

            subject_open(&subject, agg_accumulator_at(i), 2 * MEGABYTE);
            subject.heap.fail_at = fail_at;
            init(&subject, words);
            for (size_t k = 0; k < count + 100; k++) {
                const struct value v = k < count ? values[k] : value_f64((double)k / 3);
                struct buf bytes;

                if (v.length == MEGABYTE) {
                    continue;
                }
                push(&subject, words, &v, &v);
                encode(&bytes, &subject, words);
                buf_deinit(&bytes);
            }
            release(&subject, words);
            subject_close(&subject);
            arena_reset(&arena);
        }
    }
}

static void
test_decode_reports_spent_memory(void **state)
{
    struct value text = value_str(slice_text("longer than eight bytes"));

    for (size_t i = 0; i < agg_accumulator_count(); i++) {
        uint64_t words[TEST_STATE_WORDS];
        struct subject subject;
        struct buf bytes;
        size_t consumed = 0;
        bool has_allocated = false;

        subject_open(&subject, agg_accumulator_at(i), 65536);
        init(&subject, words);
        push(&subject, words, &text, &text);
        has_allocated = subject.heap.bytes_out != 0;
        encode(&bytes, &subject, words);
        release(&subject, words);
        subject.heap.fail_at = subject.heap.alloc_count + 1;
        assert_int_equal(decode(&subject, words, &consumed, buf_slice(&bytes)),
                         has_allocated ? BV_NO_MEMORY : BV_OK);
        if (!has_allocated) {
            release(&subject, words);
        }
        assert_int_equal(subject.heap.bytes_out, 0);
        buf_deinit(&bytes);
        subject_close(&subject);
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
