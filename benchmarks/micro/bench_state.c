/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "state/table.h"
#include "util/assert.h"
#include "util/bytes.h"
#include "util/clock.h"

/* What a table costs: one count (8 bytes of state) per 12-character key.
 *
 *   bench_state [entities [rounds]]      default 1000000 entities, 5 rounds of updates
 *
 * Prints, for zero-padded and for scattered keys: inserts (mean, slowest, over 200 us), an update
 * in batches of 128 with prefetch and one by one, and bytes per entity. The reference in the same
 * run is a prefetched increment at a random place of an array of 32-byte cells: the memory's own
 * price. */

#define BATCH       128u
#define KEY_SIZE    12u
#define SLOW_NS     200000u
#define CELL_BYTES  32u
#define STATE_BYTES 8u

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint64_t
random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t
scramble(uint64_t value)
{
    value = (value ^ value >> 31) * 0x7fb5d329728ea185;
    value = (value ^ value >> 27) * 0x81dadef4bc2dd44d;
    return value ^ value >> 33;
}

static void
make_key(char out[KEY_SIZE], uint64_t number, bool padded)
{
    char text[32];

    if (padded) {
        snprintf(text, sizeof text, "u%011" PRIu64, number);
    } else {
        snprintf(text, sizeof text, "%012" PRIx64, scramble(number) >> 16);
    }
    memcpy(out, text, KEY_SIZE);
}

static struct slice
key_at(const char *keys, uint64_t index)
{
    return slice_of(keys + index * KEY_SIZE, KEY_SIZE);
}

static void
bump(struct table *table, uint64_t hash, struct slice key)
{
    bool created;
    const uint32_t ref = table_upsert(table, hash, key, 1, &created);
    uint64_t *count = table_state(table, ref);

    (*count)++;
}

static long
preemptions(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static void
bench_insert(struct table *table, const char *keys, uint64_t entities)
{
    uint64_t slowest_ns = 0;
    uint64_t slow_count = 0;
    uint64_t preempted_count = 0;
    long preempted = preemptions();
    const uint64_t start_ns = clock_monotonic_ns();
    uint64_t before_ns = start_ns;

    for (uint64_t i = 0; i < entities; i++) {
        const struct slice key = key_at(keys, i);

        bump(table, table_hash(table, key), key);
        const uint64_t now_ns = clock_monotonic_ns();

        const uint64_t took_ns = now_ns - before_ns;

        before_ns = now_ns;
        if (BV_UNLIKELY(took_ns > SLOW_NS) && preemptions() != preempted) {
            preempted = preemptions();
            preempted_count++;
            continue;
        }
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
        slow_count += took_ns > SLOW_NS;
    }
    printf("  insert            %7.1f ns  slowest %" PRIu64 " us, %" PRIu64 " above 200 us"
           " (%" PRIu64 " more preempted), %" PRIu64 " splits (%" PRIu64 " early)\n",
           (double)(before_ns - start_ns) / (double)entities, slowest_ns / 1000, slow_count,
           preempted_count, table_split_count(table), table_early_split_count(table));
}

/* The keys of a batch lie side by side, as they do in a tick's arena. */
static double
bench_update(struct table *table, const char *keys, uint64_t entities, uint32_t batch)
{
    char batch_keys[BATCH * KEY_SIZE];
    uint64_t hashes[BATCH];
    uint64_t total_ns = 0;
    const uint64_t rounds = 2000000 / BATCH;

    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            memcpy(batch_keys + (size_t)i * KEY_SIZE, keys + random_next() % entities * KEY_SIZE,
                   KEY_SIZE);
        }
        const uint64_t start_ns = clock_monotonic_ns();

        for (uint32_t from = 0; from < BATCH; from += batch) {
            for (uint32_t i = from; i < from + batch; i++) {
                hashes[i] = table_hash(table, key_at(batch_keys, i));
                table_prefetch_bucket(table, hashes[i]);
            }
            for (uint32_t i = from; batch > 1 && i < from + batch; i++) {
                table_prefetch_block(table, hashes[i]);
            }
            for (uint32_t i = from; i < from + batch; i++) {
                bump(table, hashes[i], key_at(batch_keys, i));
            }
        }
        total_ns += clock_monotonic_ns() - start_ns;
    }
    return (double)total_ns / (double)(rounds * BATCH);
}

static double
bench_cells(uint8_t *cells, uint64_t entities)
{
    uint64_t at[BATCH];
    uint64_t total_ns = 0;
    const uint64_t rounds = 2000000 / BATCH;

    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            at[i] = random_next() % entities * CELL_BYTES;
        }
        const uint64_t start_ns = clock_monotonic_ns();

        for (uint32_t i = 0; i < BATCH; i++) {
            __builtin_prefetch(cells + at[i], 1);
        }
        for (uint32_t i = 0; i < BATCH; i++) {
            store_le64(cells + at[i], load_le64(cells + at[i]) + 1);
        }
        total_ns += clock_monotonic_ns() - start_ns;
    }
    return (double)total_ns / (double)(rounds * BATCH);
}

static int
by_value(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void
print_spread(const char *what, double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    printf("  %-17s %7.1f ns  (%.1f - %.1f)\n", what, values[count / 2], values[0],
           values[count - 1]);
}

#define ROUNDS_MAX 99u

static int
bench_keys(uint64_t entities, unsigned rounds, bool padded)
{
    double batched[ROUNDS_MAX];
    double single[ROUNDS_MAX];
    double cell[ROUNDS_MAX];
    struct pages *pages = NULL;
    struct table *table = NULL;
    struct bv_error error;
    char *keys = malloc(entities * KEY_SIZE);
    uint8_t *cells = calloc(entities, CELL_BYTES);
    int result = 1;

    if (keys == NULL || cells == NULL ||
        pages_create(&pages, &(struct pages_options){.populate = true}, &error) != BV_OK ||
        table_create(&table, pages, 0, STATE_BYTES, &error) != BV_OK) {
        fprintf(stderr, "bench_state: out of memory\n");
        goto done;
    }
    for (uint64_t i = 0; i < entities; i++) {
        make_key(keys + i * KEY_SIZE, i, padded);
    }
    printf("%s keys, %" PRIu64 " entities\n", padded ? "padded" : "scattered", entities);
    bench_insert(table, keys, entities);
    for (unsigned i = 0; i < rounds; i++) {
        cell[i] = bench_cells(cells, entities);
        batched[i] = bench_update(table, keys, entities, BATCH);
        single[i] = bench_update(table, keys, entities, 1);
    }
    print_spread("update, batched", batched, rounds);
    print_spread("update, single", single, rounds);
    print_spread("reference cell", cell, rounds);
    printf("  bytes per entity  %7.1f     index %.1f\n",
           (double)(pages_used_bytes(pages)) / (double)entities,
           (double)table_index_bytes(table) / (double)entities);
    result = 0;
done:
    table_destroy(table);
    pages_destroy(pages);
    free(cells);
    free(keys);
    return result;
}

int
main(int argc, char **argv)
{
    const uint64_t entities = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    const unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5;

    if (entities == 0 || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_state [entities [rounds, at most %u]]\n", ROUNDS_MAX);
        return 2;
    }
    return bench_keys(entities, rounds, true) | bench_keys(entities, rounds, false);
}
