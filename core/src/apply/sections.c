/* SPDX-License-Identifier: Apache-2.0 */
/* The registry and the sections of a snapshot, there and back.
 *
 * Enters:  the plan in force; or the first two chunks of a snapshot.
 * Leaves:  their JSON; or an engine with that registry and its tables, all empty.
 * Owner:   the apply thread.
 *
 * Invariants
 *   (1) Section number i of a table is its id: an owner leads to its section without a search.
 *   (2) An id that was given once is listed for ever, so that none is given twice (formats.md 2.4).
 *   (3) What is read back has to fit the registry exactly: its tables, features, accumulators and
 *       dedupe keys, no more and no less. */
#include "apply/sections.h"

#include <stdlib.h>

#include "registry/canonical.h"
#include "wire/json.h"

#define SECTIONS_MAX (1u << 24) /* more ids than a history of tables could give */

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "sections of a snapshot");
}

static enum bv_status
corrupt(struct bv_error *err, const char *what)
{
    return bv_error_set(err, BV_CORRUPT, "sections: %s", what);
}

/* ---- written ---- */

void
sections_write_registry(struct buf *out, const struct registry *registry)
{
    buf_text(out, "{\"fresh\":[],\"nodes\":[");
    for (size_t i = 0; i < registry->descriptor_count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        canonical_write(out, &registry->descriptors[i], CANONICAL_LOG);
    }
    buf_text(out, "],\"renamed\":[],\"version\":");
    json_write_u64(out, registry->version);
    buf_byte(out, '}');
}

enum bv_status
sections_create(struct sections *out, struct engine *engine, struct bv_error *err)
{
    struct live *live = &engine->live;
    const uint32_t capacity = engine->identity_count + live->source_count + 1;

    *out = (struct sections){0};
    arena_init(&out->arena, 16384, 0);
    out->list = arena_alloc(&out->arena, capacity * sizeof *out->list);
    if (out->list == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < engine->identity_count; i++) {
        out->list[out->count++] = (struct section){.kind = SECTION_GONE, .id = i};
    }
    for (uint32_t i = 0; i < live->table_count; i++) {
        struct section *section = &out->list[table_id(live->tables[i]->table)];

        BV_ASSERT(table_is_uniform(live->tables[i]->table));
        section->kind = SECTION_TABLE;
        section->table = live->tables[i];
        if (plan_image_create(&section->image, section->table->layout, &out->arena, err) != BV_OK) {
            return BV_NO_MEMORY;
        }
    }
    for (uint32_t i = 0; i < live->source_count; i++) {
        if (live->sources[i].dedupe != NULL) {
            out->list[out->count++] =
                (struct section){.kind = SECTION_DEDUPE, .dedupe = live->sources[i].dedupe};
        }
    }
    return BV_OK;
}

void
sections_destroy(struct sections *sections)
{
    if (sections->arena.block_size != 0) {
        arena_deinit(&sections->arena);
    }
    *sections = (struct sections){0};
}

const struct section *
sections_of_owner(const struct sections *sections, uint32_t owner)
{
    const uint32_t id = owner - 1;

    if (owner == PAGE_OWNER_SHARED) {
        return NULL;
    }
    if ((id & DEDUPE_TABLE_BIT) == 0) {
        return id < sections->count && sections->list[id].kind == SECTION_TABLE
                   ? &sections->list[id]
                   : NULL;
    }
    /* As many as there are sources with a key: a few, behind the tables. */
    for (uint32_t i = sections->count; i > 0; i--) {
        const struct section *section = &sections->list[i - 1];

        if (section->kind != SECTION_DEDUPE) {
            break;
        }
        if (table_id(dedupe_table(section->dedupe)) == id) {
            return section;
        }
    }
    return NULL;
}

static void
write_dedupe(struct buf *out, const struct section *section, const struct live *live)
{
    for (uint32_t i = 0; i < live->source_count; i++) {
        const struct live_source *source = &live->sources[i];

        if (source->dedupe == section->dedupe) {
            const struct descriptor *event = source->plan->resolved->event;

            buf_text(out, "{\"kind\":\"dedupe\",\"event\":");
            json_write_string(out, event->name);
            buf_text(out, ",\"dedupe_key\":");
            json_write_string(out, event->dedupe_key);
            buf_text(out, ",\"dedupe_window_ms\":");
            json_write_u64(out, event->dedupe_window_ms);
            buf_byte(out, '}');
        }
    }
}

void
sections_write(struct buf *out, const struct sections *sections, const struct engine *engine)
{
    buf_byte(out, '[');
    for (uint32_t i = 0; i < sections->count; i++) {
        const struct section *section = &sections->list[i];

        buf_text(out, i == 0 ? "" : ",");
        if (section->kind == SECTION_DEDUPE) {
            write_dedupe(out, section, &engine->live);
            continue;
        }
        const struct table_identity *identity = &engine->identities[section->id];

        buf_printf(out, "{\"kind\":\"%s\",\"id\":%u,\"generation\":%u,\"name\":",
                   section->kind == SECTION_TABLE ? "table" : "gone", section->id,
                   identity->generation);
        json_write_string(out, slice_text(identity->name));
        if (section->kind == SECTION_TABLE) {
            buf_text(out, ",\"expired_before_ms\":");
            json_write_u64(out, section->table->expired_before_ms);
            buf_byte(out, ',');
            plan_image_describe(out, &section->image, section->table->plan);
        }
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

/* ---- read ---- */

struct restore {
    struct engine *engine;
    struct sections *out;
    const struct value *list;
    struct registry *registry;
    struct plan *plan;
    struct plan_former_table *former;
    size_t former_count;
};

static bool
take_text(struct slice *out, const struct value *map, const char *name)
{
    const struct value *text = value_find(map, name);

    if (text == NULL || text->kind != VALUE_STR) {
        return false;
    }
    *out = value_slice(text);
    return memchr(out->data, 0, out->size) == NULL;
}

static bool
take_number(uint64_t *out, const struct value *map, const char *name, uint64_t max)
{
    const struct value *number = value_find(map, name);

    if (number == NULL || number->kind != VALUE_I64 || number->as.i64 < 0 ||
        (uint64_t)number->as.i64 > max) {
        return false;
    }
    *out = (uint64_t)number->as.i64;
    return true;
}

/* Kinds, and that ids stand at their places. */
static enum bv_status
take_kinds(struct restore *restore, struct bv_error *err)
{
    const struct value *list = restore->list;
    struct sections *out = restore->out;

    if (list->kind != VALUE_LIST || list->length > SECTIONS_MAX) {
        return corrupt(err, "not a list");
    }
    out->list = arena_alloc(&out->arena, (list->length + 1) * sizeof *out->list);
    if (out->list == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < list->length; i++) {
        struct section section = {0};
        struct slice kind;
        uint64_t id = 0;

        if (list->as.items[i].kind != VALUE_MAP || !take_text(&kind, &list->as.items[i], "kind")) {
            return corrupt(err, "one has no kind");
        }
        if (slice_equal(kind, slice_text("dedupe"))) {
            section.kind = SECTION_DEDUPE;
        } else if (slice_equal(kind, slice_text("table")) ||
                   slice_equal(kind, slice_text("gone"))) {
            section.kind = kind.data[0] == 't' ? SECTION_TABLE : SECTION_GONE;
            if (!take_number(&id, &list->as.items[i], "id", SECTIONS_MAX) || id != i ||
                (i != 0 && out->list[i - 1].kind == SECTION_DEDUPE)) {
                return corrupt(err, "ids are not dense");
            }
        } else {
            return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                                "sections: \"%s\" is of a version after this one",
                                bv_error_quote(kind));
        }
        section.id = (uint32_t)id;
        out->list[out->count++] = section;
    }
    return BV_OK;
}

static enum bv_status
take_former(struct restore *restore, struct bv_error *err)
{
    struct sections *out = restore->out;

    restore->former = arena_alloc(&out->arena, (out->count + 1) * sizeof *restore->former);
    if (restore->former == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        if (out->list[i].kind == SECTION_TABLE) {
            const enum bv_status status =
                plan_former_read(&restore->former[restore->former_count++],
                                 &restore->list->as.items[i], &out->arena, err);

            if (status != BV_OK) {
                return status;
            }
        }
    }
    return BV_OK;
}

/* The names of all ids, before tables take theirs by name. */
static enum bv_status
restore_identities(struct restore *restore, struct bv_error *err)
{
    struct engine *engine = restore->engine;
    const struct sections *out = restore->out;

    BV_ASSERT(engine->identity_count == 0);
    free(engine->identities);
    engine->identities = calloc(out->count + 1, sizeof *engine->identities);
    if (engine->identities == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < out->count && out->list[i].kind != SECTION_DEDUPE; i++) {
        struct slice name;
        struct table_identity *identity = &engine->identities[i];

        if (!take_text(&name, &restore->list->as.items[i], "name")) {
            return corrupt(err, "one has no name");
        }
        identity->name = strndup((const char *)name.data, name.size);
        if (identity->name == NULL) {
            return no_memory(err);
        }
        engine->identity_count++;
    }
    return BV_OK;
}

static enum bv_status
install(struct restore *restore, struct slice registry_json, struct bv_error *err)
{
    struct slice *fresh;
    struct registry_rename *renamed;
    size_t fresh_count;
    size_t renamed_count;
    enum bv_status status = registry_from_log(&restore->registry, &fresh, &fresh_count, &renamed,
                                              &renamed_count, registry_json, err);

    if (status == BV_OK) {
        status =
            plan_compile_restored(&restore->plan, restore->registry, restore->former,
                                  restore->former_count, restore->engine->options.row_flags, err);
    }
    if (status == BV_OK && restore->plan->table_count != restore->former_count) {
        status = corrupt(err, "tables that the registry does not have");
    }
    if (status == BV_OK) {
        status =
            live_install(restore->engine, restore->registry, restore->plan, NULL, 0, NULL, 0, err);
    }
    if (status == BV_OK) {
        restore->registry = NULL; /* in force */
        restore->plan = NULL;
    }
    return status;
}

static enum bv_status
restore_table(struct restore *restore, struct section *section, const struct value *listed,
              struct bv_error *err)
{
    struct slice name;
    uint64_t generation;
    uint64_t expired_before_ms = 0;

    if (!take_text(&name, listed, "name") ||
        !take_number(&generation, listed, "generation", UINT32_MAX)) {
        return corrupt(err, "a table without name or generation");
    }
    restore->engine->identities[section->id].generation = (uint32_t)generation;
    if (section->kind == SECTION_GONE) {
        return BV_OK;
    }
    section->table = live_find_table(&restore->engine->live, name);
    if (section->table == NULL || table_id(section->table->table) != section->id ||
        !take_number(&expired_before_ms, listed, "expired_before_ms", INT64_MAX)) {
        return corrupt(err, "a table is listed twice, or not whole");
    }
    section->table->expired_before_ms = expired_before_ms;
    return plan_image_read_groups(&section->image, section->table->layout, listed,
                                  &restore->out->arena, err);
}

static enum bv_status
restore_dedupe(struct restore *restore, struct section *section, const struct value *listed,
               struct bv_error *err)
{
    struct slice event;
    struct slice key;
    uint64_t window_ms;

    if (!take_text(&event, listed, "event") || !take_text(&key, listed, "dedupe_key") ||
        !take_number(&window_ms, listed, "dedupe_window_ms", INT64_MAX)) {
        return corrupt(err, "dedupe keys of no event");
    }
    const struct live_source *source = live_find_source(&restore->engine->live, event);

    if (source == NULL || source->dedupe == NULL ||
        !slice_equal(source->plan->resolved->event->dedupe_key, key) ||
        source->plan->resolved->event->dedupe_window_ms != window_ms) {
        return corrupt(err, "dedupe keys that the registry does not have");
    }
    section->dedupe = source->dedupe;
    return BV_OK;
}

static enum bv_status
restore_all(struct restore *restore, struct slice registry_json, struct bv_error *err)
{
    struct sections *out = restore->out;
    enum bv_status status = take_kinds(restore, err);

    if (status == BV_OK) {
        status = take_former(restore, err);
    }
    if (status == BV_OK) {
        status = restore_identities(restore, err);
    }
    if (status == BV_OK) {
        status = install(restore, registry_json, err);
    }
    for (uint32_t i = 0; status == BV_OK && i < out->count; i++) {
        const struct value *listed = &restore->list->as.items[i];

        status = out->list[i].kind == SECTION_DEDUPE
                     ? restore_dedupe(restore, &out->list[i], listed, err)
                     : restore_table(restore, &out->list[i], listed, err);
    }
    return status;
}

enum bv_status
sections_restore(struct sections *out, struct engine *engine, struct slice registry_json,
                 struct slice sections_json, struct bv_error *err)
{
    struct value list;
    struct restore restore = {.engine = engine, .out = out, .list = &list};
    enum bv_status status = BV_OK;

    *out = (struct sections){0};
    arena_init(&out->arena, 16384, 0);
    /* A copy: texts of the JSON live as long as the sections. */
    const void *copy = arena_copy(&out->arena, sections_json.data, sections_json.size);

    if (copy == NULL) {
        return no_memory(err);
    }
    status = json_parse(&list, slice_of(copy, sections_json.size), 16, &out->arena, err);
    if (status != BV_OK) {
        return status == BV_NO_MEMORY ? status : corrupt(err, "not JSON");
    }
    status = restore_all(&restore, registry_json, err);
    plan_destroy(restore.plan);
    registry_destroy(restore.registry);
    return status;
}
