/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and words from the apply thread to the admin thread, without a lock.
 *
 * Enters:  what the engine says of itself.
 * Leaves:  the same, on another thread.
 * Owner:   see publish.h.
 *
 * Invariants
 *   (1) The writer never waits and never looks whether somebody reads.
 *   (2) A reader's numbers belong together: it reads again when the sequence moved under it. All
 *       words are atomics, so even a torn copy is no data race.
 *   (3) A description has one owner at any time: the slot, the reader that took it out, or nobody
 *       but the one who is about to free it. The apply thread goes on updating the tables' numbers
 *       of the last one it put in: a reader frees one only when a later one has replaced it. */
#include "server/publish.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct published) % sizeof(uint64_t) == 0, "words only");
_Static_assert(BV_MISUSE < PUBLISHED_CODE_COUNT, "every status has its count");

void
publication_init(struct publication *publication)
{
    memset(publication, 0, sizeof *publication);
}

static void
free_description(struct description *description)
{
    if (description == NULL) {
        return;
    }
    for (uint32_t i = 0; i < description->table_count; i++) {
        free(description->tables[i].name);
    }
    free(description->tables);
    free(description->json);
    free(description);
}

void
publication_deinit(struct publication *publication)
{
    free_description(atomic_exchange(&publication->description, NULL));
    publication->current = NULL;
}

static bool
copy_tables(struct description *out, const struct publish_source *source)
{
    struct engine_table_stats stats;
    uint32_t count = 0;

    while (source->table_stats(source->context, count, &stats)) {
        count++;
    }
    out->tables = calloc(count == 0 ? 1 : count, sizeof *out->tables);
    if (out->tables == NULL) {
        return false;
    }
    for (; out->table_count < count; out->table_count++) {
        char **name = &out->tables[out->table_count].name;

        source->table_stats(source->context, out->table_count, &stats);
        *name = strndup((const char *)stats.name.data, stats.name.size);
        if (*name == NULL) {
            return false;
        }
    }
    return true;
}

static struct description *
describe(const struct publish_source *source)
{
    struct description *description = calloc(1, sizeof *description);
    bool is_done = false;
    struct buf json;

    buf_init(&json);
    source->describe(source->context, &json);
    if (description != NULL && !json.failed) {
        description->json = (char *)json.data;
        description->json_size = json.size;
        buf_init(&json);
        is_done = copy_tables(description, source);
    }
    buf_deinit(&json);
    if (!is_done) {
        free_description(description);
        description = NULL;
    }
    return description;
}

static void
update_tables(const struct description *description, const struct publish_source *source)
{
    for (uint32_t i = 0; i < description->table_count; i++) {
        struct published_table *table = &description->tables[i];
        struct engine_table_stats stats;

        if (!source->table_stats(source->context, i, &stats)) {
            return;
        }
        atomic_store_explicit(&table->entities, stats.entities, memory_order_relaxed);
        atomic_store_explicit(&table->bytes, stats.bytes, memory_order_relaxed);
        atomic_store_explicit(&table->cold_evictions, stats.cold_evictions, memory_order_relaxed);
        atomic_store_explicit(&table->idle_evictions, stats.idle_evictions, memory_order_relaxed);
    }
}

/* Words may not be seen before the odd sequence, nor the even one before the words: each store
 * releases what came before it. On x86 that is a plain store. */
static void
write_words(struct publication *publication, const struct published *numbers)
{
    uint64_t words[PUBLISHED_WORDS];
    uint64_t sequence = atomic_load_explicit(&publication->sequence, memory_order_relaxed);

    memcpy(words, numbers, sizeof words);
    atomic_store_explicit(&publication->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < PUBLISHED_WORDS; i++) {
        atomic_store_explicit(&publication->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&publication->sequence, sequence + 2, memory_order_release);
}

void
publication_write(struct publication *publication, const struct publish_source *source,
                  enum engine_readiness readiness, const uint64_t connections[2])
{
    struct published numbers = {
        .readiness = readiness,
        .connections = {connections[0], connections[1]},
    };

    source->stats(source->context, &numbers.engine);
    if (numbers.engine.snapshot_count != publication->snapshot_count) {
        publication->snapshot_count = numbers.engine.snapshot_count;
        histogram_add(&publication->snapshot_times, numbers.engine.snapshot_duration_ns);
    }
    if (publication->current == NULL ||
        publication->described_version != numbers.engine.registry_version) {
        struct description *fresh = describe(source);

        if (fresh != NULL) { /* without memory the old one stays, and this is tried again */
            publication->current = fresh;
            publication->described_version = numbers.engine.registry_version;
            free_description(atomic_exchange(&publication->description, fresh));
        }
    }
    if (publication->current != NULL &&
        publication->described_version == numbers.engine.registry_version) {
        update_tables(publication->current, source);
    }
    write_words(publication, &numbers);
}

void
publication_read(struct publication *publication, struct published *out)
{
    uint64_t words[PUBLISHED_WORDS];
    uint64_t before;
    uint64_t after;

    do {
        before = atomic_load_explicit(&publication->sequence, memory_order_acquire);
        for (size_t i = 0; i < PUBLISHED_WORDS; i++) {
            words[i] = atomic_load_explicit(&publication->words[i], memory_order_acquire);
        }
        after = atomic_load_explicit(&publication->sequence, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    memcpy(out, words, sizeof words);
}

struct description *
publication_take(struct publication *publication)
{
    return atomic_exchange(&publication->description, NULL);
}

void
publication_give(struct publication *publication, struct description *taken)
{
    struct description *none = NULL;

    if (taken != NULL && !atomic_compare_exchange_strong(&publication->description, &none, taken)) {
        free_description(taken); /* a later one is there */
    }
}
