/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg/op.h"
#include "state/page.h"
#include "util/assert.h"
#include "util/clock.h"
#include "wire/json.h"

/* What one operator costs, without keys, rows and sockets: its accumulators and its reader.
 *
 *   bench_operators NAME PARAMS_JSON f64|str [entities]      default 10000 entities
 *
 * Two regimes. *spread*: events go to random entities, about a hundred each, so states are small
 * and come from the cache's outer levels. *grown*: one entity gets a million events whose values
 * hardly repeat, so sketches are at their largest. One JSON line; times are medians of rounds. */

#define ROUNDS        7u
#define ROUND_EVENTS  200000u
#define GROWN_EVENTS  1000000u
#define WARM_EVENTS   16u
#define VALUE_COUNT   65536u /* a power of two */
#define TEXT_SIZE     16u
#define START_MS      1700000000000u
#define EVENTS_PER_MS 20u
#define WINDOW_MS     3600000u
#define HEAP_UNIT     16u

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint64_t
random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* The engine's own allocator, and how much of it is out. */
struct counting_heap {
    struct agg_heap heap; /* first: the callbacks cast */
    struct pages *pages;
    uint64_t bytes_out;
};

static uint32_t
heap_alloc(struct agg_heap *heap, uint32_t size)
{
    struct counting_heap *self = (struct counting_heap *)heap;
    const uint32_t ref = pages_alloc(self->pages, size);

    if (ref != 0) {
        self->bytes_out += (size + HEAP_UNIT - 1) / HEAP_UNIT * HEAP_UNIT;
    }
    return ref;
}

static void
heap_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    struct counting_heap *self = (struct counting_heap *)heap;

    self->bytes_out -= (size + HEAP_UNIT - 1) / HEAP_UNIT * HEAP_UNIT;
    pages_release(self->pages, ref, size);
}

struct bench {
    const struct agg_op *op;
    struct agg_reading reading;
    struct value params;
    size_t offsets[AGG_USES_MAX]; /* of each use's state in an entity's */
    size_t stride;
    uint8_t *states;
    uint64_t entities;
    struct counting_heap heap;
    struct arena arena;   /* parameters */
    struct arena scratch; /* what a read builds */
    struct value values[2][VALUE_COUNT];
    char texts[VALUE_COUNT][TEXT_SIZE];
    uint64_t event_count;
};

static bool
prepare_uses(struct bench *self, enum field_type type)
{
    for (unsigned i = 0; i < self->op->use_count; i++) {
        const struct agg_accumulator *kept = self->op->uses[i].any_of[0];
        const unsigned size =
            kept->config_size_of != NULL ? kept->config_size_of(&self->params) : kept->config_size;
        void *config = size == 0 ? NULL : arena_alloc(&self->arena, size);
        struct bv_error err = {0};

        if (config != NULL) {
            memset(config, 0, size);
            if (kept->configure(config, &self->params, &err) != BV_OK) {
                fprintf(stderr, "%s: %s\n", kept->name, err.message);
                return false;
            }
        }
        if (kept->configure_types != NULL) {
            kept->configure_types(config, (const enum field_type[AGG_INPUTS_MAX]){type, FIELD_F64});
        }
        self->reading.accumulators[i] = kept;
        self->reading.configs[i] = config;
        self->offsets[i] = self->stride;
        self->stride += ((size_t)kept->state_size(config, type) + 7) / 8 * 8;
    }
    return true;
}

/* A thousand words, or numbers that hardly repeat; the second column is another number. */
static void
make_values(struct bench *self, enum field_type type)
{
    for (unsigned i = 0; i < VALUE_COUNT; i++) {
        const double number = (double)(random_next() >> 12) / (double)(1ull << 52);

        self->values[1][i] = value_f64(13 + number);
        if (type == FIELD_STR) {
            const int size =
                snprintf(self->texts[i], TEXT_SIZE, "s%u", (unsigned)(random_next() % 1000));

            self->values[0][i] = value_str(slice_of(self->texts[i], (size_t)size));
        } else {
            self->values[0][i] =
                value_f64(self->op->input_count == 2 ? 52 + number : 1000 * number);
        }
    }
}

static bool
open_states(struct bench *self, uint64_t entities)
{
    struct bv_error err = {0};

    self->entities = entities;
    self->event_count = 0;
    self->heap = (struct counting_heap){.bytes_out = 0};
    if (pages_create(&self->heap.pages, &(struct pages_options){.populate = true}, &err) != BV_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    self->heap.heap = (struct agg_heap){pages_base(self->heap.pages), heap_alloc, heap_release};
    self->reading.heap = &self->heap.heap;
    self->states = aligned_alloc(64, (entities * self->stride + 127) / 64 * 64);
    if (self->states == NULL) {
        return false;
    }
    for (uint64_t e = 0; e < entities; e++) {
        for (unsigned i = 0; i < self->op->use_count; i++) {
            self->reading.accumulators[i]->init(self->states + e * self->stride + self->offsets[i],
                                                self->reading.configs[i]);
        }
    }
    return true;
}

static void
close_states(struct bench *self)
{
    pages_destroy(self->heap.pages); /* with all memory that states hold */
    free(self->states);
    self->states = NULL;
}

static inline void
push(struct bench *self, uint64_t entity, const struct value *const *inputs)
{
    const struct agg_moment moment = {.now_ms = START_MS + self->event_count / EVENTS_PER_MS,
                                      .seed = (uint32_t)(self->event_count * 2654435761u),
                                      .is_match = true,
                                      .salt = 0x5a17,
                                      .heap = &self->heap.heap};
    uint8_t *state = self->states + entity * self->stride;

    self->event_count++;
    for (unsigned i = 0; i < self->op->use_count; i++) {
        self->reading.accumulators[i]->update(state + self->offsets[i], self->reading.configs[i],
                                              inputs, &moment);
    }
}

/* Nanoseconds per event, drawing entity and value (about 2 ns) included. */
static double
push_random(struct bench *self, uint64_t count)
{
    const uint64_t start_ns = clock_monotonic_ns();

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t draw = random_next();
        const unsigned at = (unsigned)(draw >> 40) & (VALUE_COUNT - 1);
        const struct value *inputs[AGG_INPUTS_MAX] = {&self->values[0][at], &self->values[1][at]};

        push(self, (uint64_t)((uint32_t)draw * self->entities >> 32), inputs);
    }
    return (double)(clock_monotonic_ns() - start_ns) / (double)count;
}

static double
read_all(struct bench *self)
{
    const uint64_t start_ns = clock_monotonic_ns();
    struct value out = value_null();

    self->reading.query_ms = START_MS + self->event_count / EVENTS_PER_MS;
    for (uint64_t e = 0; e < self->entities; e++) {
        for (unsigned i = 0; i < self->op->use_count; i++) {
            self->reading.states[i] = self->states + e * self->stride + self->offsets[i];
        }
        arena_reset(&self->scratch);
        self->op->read(&out, &self->reading, &self->scratch);
    }
    BV_ASSERT(out.kind <= VALUE_MAP);
    return (double)(clock_monotonic_ns() - start_ns) / (double)self->entities;
}

static double
bytes_per_entity(const struct bench *self)
{
    return (double)self->stride + (double)self->heap.bytes_out / (double)self->entities;
}

static int
by_value(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

static double
median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static bool
bench_run(struct bench *self, uint64_t entities)
{
    double update_ns[ROUNDS];
    double read_ns[ROUNDS];
    double grown_ns[ROUNDS];

    if (!open_states(self, entities)) {
        return false;
    }
    push_random(self, entities * WARM_EVENTS);
    const double small_bytes = bytes_per_entity(self);

    for (unsigned i = 0; i < ROUNDS; i++) {
        update_ns[i] = push_random(self, ROUND_EVENTS);
        read_ns[i] = read_all(self);
    }
    close_states(self);
    if (!open_states(self, 1)) {
        return false;
    }
    push_random(self, GROWN_EVENTS / 4);
    for (unsigned i = 0; i < ROUNDS; i++) {
        grown_ns[i] = push_random(self, GROWN_EVENTS / 8);
    }
    printf("{\"op\":\"%s\",\"entities\":%llu,\"update_ns\":%.1f,\"grown_update_ns\":%.1f,"
           "\"read_ns\":%.1f,\"bytes\":%.0f,\"grown_bytes\":%.0f}\n",
           self->op->name, (unsigned long long)entities, median(update_ns, ROUNDS),
           median(grown_ns, ROUNDS), median(read_ns, ROUNDS), small_bytes, bytes_per_entity(self));
    close_states(self);
    return true;
}

int
main(int argc, char **argv)
{
    static struct bench bench;
    const uint64_t entities = argc > 4 ? strtoull(argv[4], NULL, 10) : 10000;
    const bool is_text = argc > 3 && strcmp(argv[3], "str") == 0;
    const enum field_type type = is_text ? FIELD_STR : FIELD_F64;
    bool is_good = false;

    if (argc < 4 || entities == 0) {
        fprintf(stderr, "usage: bench_operators NAME PARAMS_JSON f64|str [entities]\n");
        return 2;
    }
    arena_init(&bench.arena, 65536, 0);
    arena_init(&bench.scratch, 65536, 0);
    bench.op = agg_op_find(slice_text(argv[1]));
    if (bench.op == NULL ||
        json_parse(&bench.params, slice_text(argv[2]), 16, &bench.arena, NULL) != BV_OK) {
        fprintf(stderr, "bench_operators: %s %s is no operator with parameters\n", argv[1],
                argv[2]);
        goto done;
    }
    bench.reading.params = &bench.params;
    bench.reading.window_ms = bench.op->window == AGG_WINDOW_PARAMETER ? WINDOW_MS : 0;
    make_values(&bench, type);
    is_good = prepare_uses(&bench, type) && bench_run(&bench, entities);
done:
    arena_deinit(&bench.scratch);
    arena_deinit(&bench.arena);
    return is_good ? 0 : 1;
}
