/* SPDX-License-Identifier: Apache-2.0 */
/* The state digest: equal for engines that applied the same log, whatever order their entities and
 * layouts have.
 *
 * Each entity contributes the 128-bit hash of its table, key and canonical form; contributions are
 * added, so that no order is needed. The clock is that of the latest push, so a pane that expired
 * since does not tell two engines apart, nor an entity or a dedupe key that expired: whether they
 * still lie in memory is no part of the state. The hash is XXH3-128 with its default secret. */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "apply/apply.h"

struct digest {
    struct engine *engine;
    struct live_table *table;
    uint64_t cutoff_ms; /* entities of the table touched before it are gone */
    struct slice event; /* whose dedupe keys are visited */
    struct buf form;
    bv_digest *out;
    uint32_t *old_refs; /* entities in an older layout */
    size_t old_count;
    size_t old_capacity;
};

static void
add(bv_digest *out, struct slice bytes)
{
    const XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.size);

    out->words[0] += hash.low64;
    out->words[1] += hash.high64;
}

static void
begin_form(struct buf *form, struct slice name)
{
    buf_clear(form);
    buf_append(form, name.data, name.size);
    buf_byte(form, 0);
}

static void
add_key(struct buf *form, struct slice key)
{
    buf_printf(form, "%zu:", key.size);
    buf_append(form, key.data, key.size);
}

static void
visit_dedupe(void *context, struct table *table, uint32_t ref)
{
    struct digest *digest = context;
    const struct dedupe_entry *entry = table_state(table, ref);

    if (entry->expires_ms <= digest->engine->last_event_ms) {
        return;
    }
    begin_form(&digest->form, slice_text("dedupe"));
    add_key(&digest->form, digest->event);
    add_key(&digest->form, table_key(table, ref));
    buf_printf(&digest->form, "%llu %llu %u", (unsigned long long)entry->expires_ms,
               (unsigned long long)entry->lsn, entry->registry_version);
    BV_ASSERT(!digest->form.failed);
    add(digest->out, buf_slice(&digest->form));
}

static void
visit_entity(void *context, struct table *table, uint32_t ref)
{
    struct digest *digest = context;

    if (table_touched_ms(table, ref) < digest->cutoff_ms) {
        return;
    }
    begin_form(&digest->form, digest->table->name);
    add_key(&digest->form, table_key(table, ref));
    plan_layout_encode(&digest->form, digest->table->layout, table_state(table, ref),
                       digest->engine->last_event_ms, &digest->engine->heap.heap);
    BV_ASSERT(!digest->form.failed);
    add(digest->out, buf_slice(&digest->form));
    digest->out->entities++;
}

static void
collect_old(void *context, struct table *table, uint32_t ref)
{
    struct digest *digest = context;

    if (table_layout_of(table, ref) == table_current_layout(table)) {
        return;
    }
    if (digest->old_count == digest->old_capacity) {
        digest->old_capacity = digest->old_capacity * 2 + 1024;
        digest->old_refs =
            realloc(digest->old_refs, digest->old_capacity * sizeof *digest->old_refs);
        BV_ASSERT(digest->old_refs != NULL);
    }
    digest->old_refs[digest->old_count++] = ref;
}

/* Blocks of an older layout are moved first, as a touch would: then one form serves all. */
static void
bring_up_to_date(struct digest *digest)
{
    struct table *table = digest->table->table;

    if (digest->table->layout_count == 1) {
        return;
    }
    digest->old_count = 0;
    table_each(table, collect_old, digest);
    for (size_t i = 0; i < digest->old_count; i++) {
        const uint32_t ref = digest->old_refs[i];

        live_state(digest->engine, digest->table, table_hash(table, table_key(table, ref)), ref);
    }
}

void
engine_digest(struct engine *engine, bv_digest *out)
{
    struct digest digest = {.engine = engine, .out = out};

    push_flush(engine);
    *out = (bv_digest){.last_lsn = engine->next_lsn - 1};
    buf_init(&digest.form);
    for (size_t i = 0; i < engine->live.registry->descriptor_count; i++) {
        const struct descriptor *descriptor = &engine->live.registry->descriptors[i];

        begin_form(&digest.form, slice_text("registry"));
        buf_append(&digest.form, descriptor->canonical.data, descriptor->canonical.size);
        add(out, buf_slice(&digest.form));
    }
    begin_form(&digest.form, slice_text("version"));
    buf_printf(&digest.form, "%llu", (unsigned long long)engine->live.registry->version);
    add(out, buf_slice(&digest.form));
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        digest.table = engine->live.tables[i];
        digest.cutoff_ms = idle_recorded_cutoff_ms(engine, digest.table);
        bring_up_to_date(&digest);
        table_each(digest.table->table, visit_entity, &digest);
    }
    for (uint32_t i = 0; i < engine->live.source_count; i++) {
        const struct live_source *source = &engine->live.sources[i];

        if (source->dedupe != NULL) {
            digest.event = source->plan->name;
            table_each(dedupe_table(source->dedupe), visit_dedupe, &digest);
        }
    }
    free(digest.old_refs);
    buf_deinit(&digest.form);
}
