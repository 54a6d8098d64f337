/* SPDX-License-Identifier: Apache-2.0 */
/* Repeated events: what a source has accepted lately, by its dedupe key (wire.md 5.5).
 *
 * Enters:  rows about to be accepted; the clock.
 * Leaves:  the first ack of a row that was accepted before.
 * Owner:   the apply thread; one table per source with a dedupe key, in the engine's pages.
 *
 * Invariants
 *   (1) What is remembered is a function of the log: a push is remembered at its record's time with
 *       the window then in force, and forgotten when a younger one is one too many.
 *   (2) Every entry stands once in its source's list, oldest acceptance first; but while a log is
 *       replayed over images, entries come in no order and stand in none (dedupe_rebuild).
 *   (3) An entry that has expired counts for nothing. Its memory is freed by the recorded clock,
 * from the old end of the list only. (4) A key keeps its type: 5, 5.0 and "5" are three keys. Null
 * is none.
 */
#include <stdlib.h>

#include "apply/apply.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "wire/value_walk.h"

#define ENTRIES_DEFAULT  10000000u
#define ENTRIES_PER_LOOK 64u /* freed between two looks at the clock */

/* Types of keys (docs/formats.md 5.3). */
enum { KEY_STR = 1, KEY_I64, KEY_F64, KEY_BOOL, KEY_BYTES, KEY_TREE };

/* The state bytes of a block. Images keep the entry alone. */
struct dedupe_block {
    struct dedupe_entry entry;
    uint32_t older; /* ref; 0: none */
    uint32_t newer;
};

struct dedupe {
    struct table *table;
    uint64_t window_ms;
    uint64_t listed; /* entries in the list */
    uint32_t slot;   /* of the key in a row */
    uint32_t oldest;
    uint32_t newest;
};

static struct dedupe_block *
block_at(const struct dedupe *dedupe, uint32_t ref)
{
    return table_state(dedupe->table, ref);
}

struct table *
dedupe_table(const struct dedupe *dedupe)
{
    return dedupe->table;
}

/* ---- keys ---- */

/* Lists and maps, value by value, so that types and bytes stay apart. Counts when `to` is NULL. */
static size_t
tree_write(uint8_t *to, const struct value *root)
{
    struct value_walk walk;
    enum value_walk_step step;
    size_t size = 1;

    if (to != NULL) {
        to[0] = KEY_TREE;
    }
    value_walk_init(&walk, root);
    while ((step = value_walk_next(&walk)) != VALUE_WALK_DONE) {
        const struct value *parts[] = {walk.key, walk.value};

        for (unsigned i = 0; i < 2 && step != VALUE_WALK_CLOSE; i++) {
            const struct value *part = parts[i];

            if (part == NULL) {
                continue;
            }
            const bool is_text = part->kind == VALUE_STR || part->kind == VALUE_BYTES;
            const bool is_scalar = !is_text && step == VALUE_WALK_SCALAR;

            if (to != NULL) {
                to[size] = part->kind;
                store_le64(to + size + 1, is_scalar ? part->as.bits : part->length);
                if (is_text && part->length != 0) {
                    memcpy(to + size + 9, part->as.bytes, part->length);
                }
            }
            size += 9 + (is_text ? part->length : 0);
        }
    }
    return size;
}

static bool
tree_key(struct slice *out, const struct value *value, struct arena *arena)
{
    const size_t size = tree_write(NULL, value);
    uint8_t *bytes = arena_alloc(arena, size);

    if (bytes == NULL) {
        return false;
    }
    tree_write(bytes, value);
    *out = slice_of(bytes, size);
    return true;
}

/* The key of a row; false when the arena is spent. A row without one has an empty slice. */
static bool
key_of(struct slice *out, const struct dedupe *dedupe, const struct value *values,
       struct arena *arena)
{
    const struct value *value = &values[dedupe->slot];
    const bool is_text = value->kind == VALUE_STR || value->kind == VALUE_BYTES;
    const size_t size = is_text ? value->length : sizeof(uint64_t);
    uint8_t *bytes;

    *out = slice_of(NULL, 0);
    if (value->kind == VALUE_NULL) {
        return true;
    }
    if (value->kind == VALUE_LIST || value->kind == VALUE_MAP) {
        return tree_key(out, value, arena);
    }
    bytes = arena_alloc(arena, 1 + size);
    if (bytes == NULL) {
        return false;
    }
    *out = slice_of(bytes, 1 + size);
    if (is_text) {
        bytes[0] = value->kind == VALUE_STR ? KEY_STR : KEY_BYTES;
        memcpy(bytes + 1, value->as.bytes, size);
        return true;
    }
    store_le64(bytes + 1, value->as.bits);
    if (value->kind == VALUE_BOOL) {
        bytes[0] = KEY_BOOL;
        bytes[1] = value->as.bits != 0;
        *out = slice_of(bytes, 2);
    } else if (value->kind == VALUE_I64) {
        bytes[0] = KEY_I64;
    } else {
        bytes[0] = KEY_F64;
        if (value->as.f64 == 0) {
            store_le64(bytes + 1, 0); /* -0.0 is 0.0 */
        }
    }
    return true;
}

/* ---- the list ---- */

static void
list_append(struct dedupe *dedupe, uint32_t ref)
{
    struct dedupe_block *block = block_at(dedupe, ref);

    block->older = dedupe->newest;
    block->newer = 0;
    if (dedupe->newest != 0) {
        block_at(dedupe, dedupe->newest)->newer = ref;
    } else {
        dedupe->oldest = ref;
    }
    dedupe->newest = ref;
    dedupe->listed++;
}

static void
list_take(struct dedupe *dedupe, uint32_t ref)
{
    const struct dedupe_block *block = block_at(dedupe, ref);

    if (block->older != 0) {
        block_at(dedupe, block->older)->newer = block->newer;
    } else {
        dedupe->oldest = block->newer;
    }
    if (block->newer != 0) {
        block_at(dedupe, block->newer)->older = block->older;
    } else {
        dedupe->newest = block->older;
    }
    dedupe->listed--;
}

static void
forget_oldest(struct dedupe *dedupe)
{
    const uint32_t ref = dedupe->oldest;
    const struct slice key = table_key(dedupe->table, ref);

    list_take(dedupe, ref);
    table_remove(dedupe->table, table_hash(dedupe->table, key), key);
}

/* Oldest first out. */
static void
forget_surplus(struct engine *engine, struct dedupe *dedupe)
{
    const uint64_t given = engine->options.dedupe_max_entries;
    const uint64_t most = given == 0 ? ENTRIES_DEFAULT : given;

    while (dedupe->listed > most) {
        if (block_at(dedupe, dedupe->oldest)->entry.expires_ms > engine->now_ms) {
            engine->dedupe_evictions++;
        }
        forget_oldest(dedupe);
    }
}

/* ---- one source ---- */

enum bv_status
dedupe_create(struct dedupe **out, struct engine *engine, const struct plan_source *plan,
              struct bv_error *err)
{
    enum bv_status status;
    struct dedupe *dedupe = calloc(1, sizeof *dedupe);

    if (dedupe == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "dedupe keys");
    }
    status = table_create(&dedupe->table, engine->pages, DEDUPE_TABLE_BIT | engine->dedupe_count++,
                          sizeof(struct dedupe_block), err);
    if (status != BV_OK) {
        free(dedupe);
        return status;
    }
    dedupe_adopt(dedupe, plan);
    *out = dedupe;
    return BV_OK;
}

void
dedupe_destroy(struct engine *engine, struct dedupe *dedupe)
{
    (void)engine;
    if (dedupe == NULL) {
        return;
    }
    table_destroy(dedupe->table);
    free(dedupe);
}

static const struct row_field *
find_field(const struct descriptor *event, struct slice name)
{
    for (size_t i = 0; i < event->slot_count; i++) {
        if (slice_equal(event->fields[i].name, name)) {
            return &event->fields[i];
        }
    }
    return NULL;
}

bool
dedupe_fits(const struct descriptor *old, const struct descriptor *next)
{
    if (!slice_equal(old->dedupe_key, next->dedupe_key)) {
        return false;
    }
    /* What the diff calls destructive for an event; a replay has no diff, only both sides. */
    for (size_t i = 0; i < old->slot_count; i++) {
        const struct row_field *field = find_field(next, old->fields[i].name);

        if (field == NULL || field->type != old->fields[i].type ||
            (old->fields[i].is_optional && !field->is_optional)) {
            return false;
        }
    }
    return true;
}

void
dedupe_adopt(struct dedupe *dedupe, const struct plan_source *plan)
{
    const struct descriptor *event = plan->resolved->event;
    const struct row_field *field = find_field(event, event->dedupe_key);

    BV_ASSERT(field != NULL); /* validate.c has seen to it */
    dedupe->slot = (uint32_t)(field - event->fields);
    dedupe->window_ms = event->dedupe_window_ms;
}

bool
dedupe_find(const struct dedupe_entry **out, struct engine *engine, const struct dedupe *dedupe,
            const struct value *values)
{
    struct slice key;

    *out = NULL;
    if (!key_of(&key, dedupe, values, &engine->arena)) {
        return false;
    }
    const uint32_t ref =
        key.size == 0 ? 0 : table_find(dedupe->table, table_hash(dedupe->table, key), key);

    if (ref != 0 && block_at(dedupe, ref)->entry.expires_ms > engine->now_ms) {
        *out = &block_at(dedupe, ref)->entry;
    }
    return true;
}

bool
dedupe_remember(struct engine *engine, struct dedupe *dedupe, const struct value *values,
                uint64_t lsn)
{
    struct slice key;
    bool created = false;

    if (!key_of(&key, dedupe, values, &engine->arena)) {
        return false;
    }
    if (key.size == 0) {
        return true;
    }
    const uint32_t ref =
        table_upsert(dedupe->table, table_hash(dedupe->table, key), key, engine->now_ms, &created);

    if (ref == 0) {
        return false;
    }
    if (!created) {
        if (engine->is_over_images && table_image_lsn(dedupe->table, ref) >= lsn) {
            return true;
        }
        if (!engine->is_over_images) {
            list_take(dedupe, ref); /* it has expired, and is accepted again */
        }
        table_touch(dedupe->table, ref, engine->now_ms);
    }
    block_at(dedupe, ref)->entry = (struct dedupe_entry){
        .expires_ms = dedupe->window_ms < UINT64_MAX - engine->now_ms
                          ? engine->now_ms + dedupe->window_ms
                          : UINT64_MAX,
        .lsn = lsn,
        .registry_version = (uint32_t)engine->live.registry->version,
    };
    if (!engine->is_over_images) {
        list_append(dedupe, ref);
        forget_surplus(engine, dedupe);
    }
    return true;
}

/* ---- all sources ---- */

bool
dedupe_sweep(struct engine *engine, uint32_t entries_max, uint64_t until_ns)
{
    uint32_t freed = 0;

    for (uint32_t i = 0; i < engine->live.source_count; i++) {
        struct dedupe *dedupe = engine->live.sources[i].dedupe;

        while (dedupe != NULL && dedupe->oldest != 0 &&
               block_at(dedupe, dedupe->oldest)->entry.expires_ms <= engine->last_event_ms) {
            if (freed == entries_max || (freed % ENTRIES_PER_LOOK == ENTRIES_PER_LOOK - 1 &&
                                         clock_monotonic_ns() >= until_ns)) {
                return true;
            }
            forget_oldest(dedupe);
            freed++;
        }
    }
    return false;
}

struct ordered {
    uint64_t lsn;
    uint32_t ref;
};

struct ordering {
    struct dedupe *dedupe;
    struct ordered *entries;
    size_t count;
};

static void
collect(void *context, struct table *table, uint32_t ref)
{
    struct ordering *ordering = context;

    (void)table;
    ordering->entries[ordering->count++] =
        (struct ordered){block_at(ordering->dedupe, ref)->entry.lsn, ref};
}

static int
by_lsn(const void *a, const void *b)
{
    const uint64_t left = ((const struct ordered *)a)->lsn;
    const uint64_t right = ((const struct ordered *)b)->lsn;

    return left < right ? -1 : left > right;
}

enum bv_status
dedupe_rebuild(struct engine *engine, struct bv_error *err)
{
    for (uint32_t i = 0; i < engine->live.source_count; i++) {
        struct dedupe *dedupe = engine->live.sources[i].dedupe;
        const uint64_t count = dedupe == NULL ? 0 : table_entity_count(dedupe->table);

        if (dedupe == NULL || dedupe->listed == count) {
            continue; /* an unbroken log has listed them in order */
        }
        struct ordering ordering = {dedupe, calloc(count, sizeof *ordering.entries), 0};

        if (ordering.entries == NULL) {
            return bv_error_set(err, BV_NO_MEMORY, "ordering %llu dedupe keys",
                                (unsigned long long)count);
        }
        table_each(dedupe->table, collect, &ordering);
        BV_ASSERT(ordering.count == count);
        qsort(ordering.entries, count, sizeof *ordering.entries, by_lsn);
        dedupe->listed = 0;
        dedupe->oldest = 0;
        dedupe->newest = 0;
        for (size_t k = 0; k < count; k++) {
            list_append(dedupe, ordering.entries[k].ref);
        }
        free(ordering.entries);
        forget_surplus(engine, dedupe);
    }
    return BV_OK;
}

uint64_t
dedupe_entry_count(const struct engine *engine)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < engine->live.source_count; i++) {
        const struct dedupe *dedupe = engine->live.sources[i].dedupe;

        count += dedupe == NULL ? 0 : table_entity_count(dedupe->table);
    }
    return count;
}
