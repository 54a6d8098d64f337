/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes are refused or become a state that reads, updates, merges and encodes. The first byte
 * chooses the accumulator, with sample parameters; what was decoded encodes to the bytes that were
 * consumed. */
#include <stdlib.h>

#include "agg/op.h"
#include "util/assert.h"
#include "wire/json.h"

#define HEAP_UNITS  16384
#define STATE_WORDS 1024

struct bump_heap {
    struct agg_heap heap; /* first: the callbacks cast */
    uint32_t next;
    int64_t bytes_out;
};

static uint8_t memory[HEAP_UNITS * 16];

static uint32_t
bump_alloc(struct agg_heap *heap, uint32_t size)
{
    struct bump_heap *self = (struct bump_heap *)heap;
    uint64_t units = ((uint64_t)size + 15) / 16;
    uint32_t ref = self->next;

    if (HEAP_UNITS - self->next < units) {
        return 0;
    }
    self->next += (uint32_t)units;
    self->bytes_out += size;
    return ref;
}

static void
bump_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    ((struct bump_heap *)heap)->bytes_out -= size;
}

/* The rows by name and what they require, looked up once: agg_op_at ranks all names each time. */
static struct arena rows_arena;
static const struct agg_op **rows;
static struct value *rows_params;
static size_t row_count;

/* What the operator's row requires, with harmless values. */
static struct value
make_params(const struct agg_op *op)
{
    static const char *const samples[] = {"\"amount\"", "\"1s\"", "3", "0.5", "[10,20]"};
    struct buf json;
    struct value params;
    const char *separator = "{";

    buf_init(&json);
    for (unsigned i = 0; i < op->param_count; i++) {
        if (op->params[i].is_required) {
            buf_printf(&json, "%s\"%s\":%s", separator, op->params[i].name,
                       samples[op->params[i].type]);
            separator = ",";
        }
    }
    buf_text(&json, json.size == 0 ? "{}" : "}");
    const struct slice text = slice_of(arena_copy(&rows_arena, json.data, json.size), json.size);

    buf_deinit(&json);
    BV_ASSERT(json_parse(&params, text, 8, &rows_arena, NULL) == BV_OK);
    return params;
}

static void
prepare_rows(void)
{
    arena_init(&rows_arena, 65536, 0);
    row_count = agg_op_count();
    rows = arena_alloc(&rows_arena, row_count * sizeof *rows);
    rows_params = arena_alloc(&rows_arena, row_count * sizeof *rows_params);
    for (size_t i = 0; i < row_count; i++) {
        rows[i] = agg_op_at(i);
        rows_params[i] = make_params(rows[i]);
    }
}

static unsigned
config_size(const struct agg_accumulator *accumulator, const struct value *params)
{
    return accumulator->config_size_of != NULL ? accumulator->config_size_of(params)
                                               : accumulator->config_size;
}

static void *
configure(const struct agg_accumulator *accumulator, const struct value *params,
          struct arena *arena)
{
    const unsigned size = config_size(accumulator, params);
    void *config = size == 0 ? NULL : arena_alloc(arena, size);

    if (config != NULL) {
        memset(config, 0, size);
        BV_ASSERT(accumulator->configure(config, params, NULL) == BV_OK);
        if (accumulator->configure_types != NULL) {
            const enum field_type types[AGG_INPUTS_MAX] = {FIELD_JSON, FIELD_JSON};

            accumulator->configure_types(config, types);
        }
    }
    return config;
}

static bool
is_among(const struct agg_accumulator *accumulator, const struct agg_use *use)
{
    bool found = false;

    for (unsigned j = 0; j < 4 && use->any_of[j] != NULL; j++) {
        found |= use->any_of[j] == accumulator;
    }
    return found;
}

/* The operator whose sample parameters shape the states of an accumulator. */
static size_t
first_reader(const struct agg_accumulator *accumulator)
{
    for (size_t i = 0; i < row_count; i++) {
        for (unsigned k = 0; k < rows[i]->use_count; k++) {
            if (is_among(accumulator, &rows[i]->uses[k])) {
                return i;
            }
        }
    }
    BV_ASSERT(!"an accumulator that nothing reads");
    return 0;
}

struct subject {
    const struct agg_accumulator *accumulator;
    const void *config;
    unsigned config_size;
    struct bump_heap heap;
    struct arena arena;
};

/* Reads the state through every operator that may be given it. */
static void
read_all(struct subject *self, const void *state, uint64_t query_ms)
{
    for (size_t i = 0; i < row_count; i++) {
        const struct agg_op *op = rows[i];
        const struct value *params = &rows_params[i];
        struct agg_reading reading = {
            .heap = &self->heap.heap, .params = params, .query_ms = query_ms, .window_ms = 60000};
        bool is_reader = true;
        struct value v;

        for (unsigned k = 0; k < op->use_count; k++) {
            is_reader = is_reader && is_among(self->accumulator, &op->uses[k]) &&
                        config_size(self->accumulator, params) == self->config_size;
            reading.accumulators[k] = self->accumulator;
            reading.states[k] = state;
            reading.configs[k] = self->config;
        }
        if (is_reader &&
            (self->config_size == 0 || memcmp(configure(self->accumulator, params, &self->arena),
                                              self->config, self->config_size) == 0)) {
            op->read(&v, &reading, &self->arena);
            BV_ASSERT(v.kind <= VALUE_MAP);
        }
    }
}

/* The state itself: encodes as it came, reads, merges, takes two more events. */
static void
use_state(struct subject *self, uint64_t *state, struct slice encoded)
{
    static uint64_t folded[STATE_WORDS];
    const struct value inputs[] = {value_str(slice_text("a text of more than eight bytes")),
                                   value_f64(48.5), value_i64(7)};
    struct buf again;

    buf_init(&again);
    self->accumulator->encode(&again, state, self->config, &self->heap.heap);
    BV_ASSERT(slice_equal(buf_slice(&again), encoded));
    buf_deinit(&again);
    if (self->accumulator->merge != NULL) {
        self->accumulator->init(folded, self->config);
        for (int i = 0; i < 2; i++) {
            self->accumulator->merge(folded, state, self->config, &self->heap.heap, &self->arena);
        }
        read_all(self, folded, 1700000000000);
    }
    for (unsigned i = 0; i < 3; i++) {
        const struct value *both[AGG_INPUTS_MAX] = {&inputs[i], &inputs[i]};
        const struct agg_moment moment = {
            .now_ms = 1 + i * 1700000000000, .is_match = i != 2, .heap = &self->heap.heap};

        self->accumulator->update(state, self->config, both, &moment);
        read_all(self, state, moment.now_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t state[STATE_WORDS];
    struct subject subject = {.heap = {{memory, bump_alloc, bump_release}, 1, 0}};
    size_t consumed = 0;

    if (size == 0) {
        return 0;
    }
    if (rows == NULL) {
        prepare_rows();
    }
    arena_init(&subject.arena, 65536, 64 << 20);
    subject.accumulator = agg_accumulator_at(data[0] % agg_accumulator_count());

    const struct value *params = &rows_params[first_reader(subject.accumulator)];

    subject.config = configure(subject.accumulator, params, &subject.arena);
    subject.config_size = config_size(subject.accumulator, params);
    BV_ASSERT(subject.accumulator->state_size(subject.config, FIELD_JSON) <= sizeof state);
    if (subject.accumulator->decode(state, &consumed, slice_of(data + 1, size - 1), subject.config,
                                    &subject.heap.heap, NULL) == BV_OK) {
        BV_ASSERT(consumed <= size - 1);
        use_state(&subject, state, slice_of(data + 1, consumed));
        if (subject.accumulator->release != NULL) {
            subject.accumulator->release(state, subject.config, &subject.heap.heap);
        }
    }
    BV_ASSERT(subject.heap.bytes_out == 0);
    arena_deinit(&subject.arena);
    return 0;
}
