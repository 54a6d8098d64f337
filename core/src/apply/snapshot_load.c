/* SPDX-License-Identifier: Apache-2.0 */
/* Images -> entities, at boot.
 *
 * Enters:  the directory of snapshots, an empty engine.
 * Leaves:  an engine with the registry and the entities of the newest snapshot that reads; each
 *          entity in a page that carries its image_lsn, for the replay that follows.
 * Owner:   the thread that opens the engine.
 *
 * Invariants
 *   (1) Nothing in a file is believed: the reader checks bytes (durability), this file what they
 *       say. Raw states alone are taken as they are, under the checksum of their chunk.
 *   (2) A file that fails half way leaves the engine as empty as it found it.
 *   (3) Files are only read here. Those that failed are put aside when recovery went well without
 *       them, so that they do not count among the kept ones. */
#include <stdio.h>
#include <stdlib.h>

#include "apply/sections.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"

#define ENTITY_HEAD_BYTES 16u
#define BATCH_ENTITIES    64u /* looked up together, so that their cache misses overlap */

struct load {
    struct engine *engine;
    const struct snapshot_info *info; /* what its header says */
    struct buf registry_json;
    struct sections sections;
    bool is_restored;
    uint64_t images; /* of the chunks, repeated keys included */
    uint64_t dedupe_images;
};

struct image {
    const struct section *section;
    struct slice key;
    struct slice bytes;
    uint64_t touched_ms;
    uint64_t hash;
};

static enum bv_status
corrupt(struct bv_error *err, const char *what)
{
    return bv_error_set(err, BV_CORRUPT, "entities: %s", what);
}

/* ---- one chunk ---- */

static struct table *
table_of(const struct section *section)
{
    return section->kind == SECTION_TABLE ? section->table->table : dedupe_table(section->dedupe);
}

/* The next image of the body. */
static bool
take_image(struct image *out, struct slice *rest, const struct section *section)
{
    if (rest->size < ENTITY_HEAD_BYTES) {
        return false;
    }
    const uint64_t image_size = load_le32(rest->data);
    const uint64_t key_size = load_le32(rest->data + 4);

    if (key_size > TABLE_KEY_MAX || image_size + key_size > rest->size - ENTITY_HEAD_BYTES) {
        return false;
    }
    *out = (struct image){
        .section = section,
        .key = slice_of(rest->data + ENTITY_HEAD_BYTES, (size_t)key_size),
        .bytes = slice_of(rest->data + ENTITY_HEAD_BYTES + key_size, (size_t)image_size),
        .touched_ms = load_le64(rest->data + 8),
    };
    const size_t size = ENTITY_HEAD_BYTES + (size_t)(key_size + image_size);

    *rest = slice_of(rest->data + size, rest->size - size);
    return out->touched_ms >> 48 == 0;
}

static enum bv_status
fill(struct load *load, const struct image *image, uint32_t ref, enum table_image outcome,
     struct bv_error *err)
{
    struct agg_heap *heap = &load->engine->heap.heap;
    const struct section *section = image->section;
    void *state = table_state(table_of(section), ref);

    if (section->kind == SECTION_DEDUPE) {
        if (image->bytes.size != sizeof(struct dedupe_entry)) {
            return corrupt(err, "a dedupe key of another size");
        }
        memcpy(state, image->bytes.data, sizeof(struct dedupe_entry));
        return BV_OK;
    }
    if (outcome == TABLE_IMAGE_REPLACES) {
        plan_layout_release_state(section->table->layout, state, heap);
        memset(state, 0, section->table->layout->state_size);
    }
    return plan_image_read(&section->image, state, image->bytes, heap, err);
}

static enum bv_status
insert_batch(struct load *load, const struct image *images, uint32_t count, uint64_t image_lsn,
             struct bv_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct image *image = &images[i];
        struct table *table = table_of(image->section);
        enum table_image outcome;
        const uint32_t ref = table_insert_image(table, image->hash, image->key, image->touched_ms,
                                                image_lsn, &outcome);

        if (ref == 0) {
            return bv_error_set(err, BV_NO_MEMORY, "no memory for the entities of a snapshot");
        }
        const enum bv_status status =
            outcome == TABLE_IMAGE_STALE ? BV_OK : fill(load, image, ref, outcome, err);

        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

static enum bv_status
take_entities(struct load *load, uint64_t image_lsn, struct slice body, struct bv_error *err)
{
    struct image batch[BATCH_ENTITIES];
    enum bv_status status = BV_OK;

    if (body.size < 8 || load_le32(body.data) >= load->sections.count || image_lsn == 0) {
        return corrupt(err, "a chunk of no section");
    }
    const struct section *section = &load->sections.list[load_le32(body.data)];
    uint32_t left = load_le32(body.data + 4);
    struct slice rest = slice_of(body.data + 8, body.size - 8);

    if (section->kind == SECTION_GONE) {
        return corrupt(err, "a chunk of a table that is gone");
    }
    uint64_t *images = section->kind == SECTION_TABLE ? &load->images : &load->dedupe_images;

    *images += left;
    load->engine->recovered_entities += left;
    while (status == BV_OK && left != 0) {
        uint32_t count = 0;

        for (; count < BATCH_ENTITIES && left != 0; count++, left--) {
            if (!take_image(&batch[count], &rest, section)) {
                return corrupt(err, "an entity ends behind its chunk");
            }
            batch[count].hash = table_hash(table_of(section), batch[count].key);
            table_prefetch_bucket(table_of(section), batch[count].hash);
        }
        status = insert_batch(load, batch, count, image_lsn, err);
    }
    if (status == BV_OK && rest.size != 0) {
        status = corrupt(err, "a chunk has bytes left over");
    }
    engine_report_progress(load->engine);
    return status;
}

/* One table's index is made as large as it will be, which saves its splits. Of several the header
 * does not say how many entities each has. */
static void
presize(const struct load *load)
{
    const uint64_t most = load->info->bytes / ENTITY_HEAD_BYTES;
    struct table *only = NULL;

    for (uint32_t i = 0; i < load->sections.count; i++) {
        const struct section *section = &load->sections.list[i];

        if (section->kind == SECTION_TABLE) {
            if (only != NULL) {
                return;
            }
            only = section->table->table;
        }
    }
    if (only != NULL) {
        table_presize(only, load->info->entity_count < most ? load->info->entity_count : most);
    }
}

static enum bv_status
take_chunk(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
           struct bv_error *err)
{
    struct load *load = context;

    enum bv_status status;

    switch (type) {
    case SNAPSHOT_REGISTRY:
        buf_append(&load->registry_json, body.data, body.size);
        return load->registry_json.failed
                   ? bv_error_set(err, BV_NO_MEMORY, "the registry of a snapshot")
                   : BV_OK;
    case SNAPSHOT_SECTIONS:
        load->is_restored = true;
        status = sections_restore(&load->sections, load->engine, buf_slice(&load->registry_json),
                                  body, err);
        if (status == BV_OK) {
            presize(load);
        }
        return status;
    case SNAPSHOT_ENTITIES:
        return take_entities(load, image_lsn, body, err);
    case SNAPSHOT_END:
        break;
    }
    return BV_OK;
}

/* ---- one file ---- */

/* As after engine_open, whatever half a file has left. */
static enum bv_status
empty_again(struct engine *engine, struct bv_error *err)
{
    const enum bv_status status = reset_replay(engine, 0, err);

    for (uint32_t i = 0; i < engine->identity_count; i++) {
        free(engine->identities[i].name);
    }
    engine->identity_count = 0;
    engine->recovered_entities = 0;
    return status;
}

/* A log that is cut before the images end would leave effects of operations that are gone. */
static enum bv_status
check_loss(const struct engine *engine, const struct snapshot_info *info, struct bv_error *err)
{
    const struct engine_options *options = &engine->options;

    if (options->accept_data_loss && options->accept_data_loss_after >= info->start_lsn &&
        options->accept_data_loss_after < info->highest_image_lsn) {
        return bv_error_set(err, BV_CORRUPT,
                            "it holds operations up to LSN %llu, and the loss of those after %llu "
                            "is accepted",
                            (unsigned long long)info->highest_image_lsn,
                            (unsigned long long)options->accept_data_loss_after);
    }
    return BV_OK;
}

static enum bv_status
load_file(struct snapshot_info *info, struct engine *engine, const char *path, struct bv_error *err)
{
    struct load load = {.engine = engine, .info = info};
    struct os *os = engine->directory->os;

    buf_init(&load.registry_json);
    enum bv_status status = snapshot_read(info, os, path, take_chunk, &load, err);

    if (status == BV_OK &&
        (load.images != info->entities || load.dedupe_images != info->dedupe_entries)) {
        status = corrupt(err, "the end chunk counts others");
    }
    if (status == BV_OK) {
        status = check_loss(engine, info, err);
    }
    if (load.is_restored) {
        sections_destroy(&load.sections);
    }
    buf_deinit(&load.registry_json);
    return status;
}

/* ---- the directory ---- */

/* What may be read around: damage, and files that cannot be read. Another version, or too little
 * memory, is not: an older snapshot would be no better. */
static bool
is_passed_over(enum bv_status status)
{
    return status == BV_CORRUPT || status == BV_IO;
}

static void
warn(const char *path, uint64_t lsn, enum bv_status status, const struct bv_error *err)
{
    log_line(LOG_WARN,
             status == BV_IO ? "recovery.snapshot_open_failed" : "recovery.snapshot_decode_failed",
             "beava.recovery", "this snapshot does not read; an older one is tried",
             (struct log_field[]){LOG_INT("snapshot_lsn", lsn), LOG_TEXT("path", path),
                                  LOG_TEXT("error", err->message)},
             3);
}

static void
report_loaded(const struct snapshot_loaded *loaded)
{
    log_line(LOG_DEBUG, "recovery.snapshot_loaded", "beava.recovery", "a snapshot was read",
             (struct log_field[]){
                 LOG_INT("snapshot_lsn", loaded->info.start_lsn),
                 LOG_INT("applied_lsn", loaded->info.highest_image_lsn),
                 LOG_INT("registry_version", loaded->info.registry_version),
                 LOG_INT("entities", loaded->info.entities),
                 LOG_INT("bytes", loaded->info.bytes),
                 LOG_INT("ms", loaded->took_ns / 1000000u),
             },
             6);
}

static enum bv_status
load_newest(struct snapshot_loaded *out, struct engine *engine, const uint64_t *lsns, size_t count,
            struct bv_error *err)
{
    const char *directory = engine->directory->snapshot_path;

    for (size_t i = 0; i < count; i++) {
        char name[SNAPSHOT_NAME_SIZE];
        char path[OS_PATH_MAX + SNAPSHOT_NAME_SIZE];
        const uint64_t started_ns = clock_monotonic_ns();

        snapshot_name(name, lsns[i]);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        enum bv_status status = load_file(&out->info, engine, path, err);

        if (status == BV_OK) {
            out->took_ns = clock_monotonic_ns() - started_ns;
            report_loaded(out);
            return BV_OK;
        }
        if (!is_passed_over(status)) {
            return status;
        }
        warn(path, lsns[i], status, err);
        out->failed_lsns[out->failed_count++] = lsns[i];
        out->info = (struct snapshot_info){0};
        status = empty_again(engine, err);
        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

enum bv_status
snapshot_load(struct snapshot_loaded *out, struct engine *engine, struct bv_error *err)
{
    uint64_t *lsns = NULL;
    size_t count = 0;

    *out = (struct snapshot_loaded){0};
    if (engine->directory->snapshot_path[0] == '\0') {
        return BV_OK;
    }
    enum bv_status status =
        snapshot_list(&lsns, &count, engine->directory->os, engine->directory->snapshot_path, err);

    if (status == BV_OK) {
        out->failed_lsns = calloc(count + 1, sizeof *out->failed_lsns);
        status = out->failed_lsns == NULL ? bv_error_set(err, BV_NO_MEMORY, "the list of snapshots")
                                          : load_newest(out, engine, lsns, count, err);
    }
    free(lsns);
    return status;
}

void
snapshot_load_settle(const struct snapshot_loaded *loaded, struct engine *engine)
{
    for (size_t i = 0; i < loaded->failed_count; i++) {
        struct bv_error err;

        if (snapshot_set_aside(engine->directory->os, engine->directory->snapshot_path,
                               loaded->failed_lsns[i], &err) != BV_OK) {
            log_line(LOG_WARN, "recovery.snapshot_set_aside_failed", "beava.recovery",
                     "a snapshot that does not read could not be put aside",
                     (struct log_field[]){LOG_INT("snapshot_lsn", loaded->failed_lsns[i]),
                                          LOG_TEXT("error", err.message)},
                     2);
        }
    }
}

void
snapshot_loaded_deinit(struct snapshot_loaded *loaded)
{
    free(loaded->failed_lsns);
    loaded->failed_lsns = NULL;
}
