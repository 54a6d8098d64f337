/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors as canonical JSON: for comparing definitions, and for the log.
 *
 * Enters:  descriptors whose ops are canonical already (shape_ops.c).
 * Leaves:  text with sorted members and every default written out.
 *
 * The log's form must be readable by every later release: members are added, never changed.
 */
#include "registry/canonical.h"

#include <stdlib.h>

#include "registry/list.h"
#include "wire/json.h"

void
canonical_write_names(struct buf *out, const struct slice *names, size_t count)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        json_write_string(out, names[i]);
    }
    buf_byte(out, ']');
}

static void
write_setting(struct buf *out, const char *name, uint64_t v)
{
    buf_printf(out, "\"%s\":", name);
    if (v == 0) {
        buf_text(out, "null");
    } else {
        json_write_u64(out, v);
    }
    buf_byte(out, ',');
}

static int
compare_fields(const void *a, const void *b)
{
    const struct row_field *left = a;
    const struct row_field *right = b;

    return slice_compare(left->name, right->name);
}

struct row_field *
canonical_sort_fields(const struct descriptor *node, struct arena *arena)
{
    struct row_field *sorted = list_of(arena, node->field_count, sizeof *sorted);

    if (sorted != NULL && node->field_count != 0) {
        memcpy(sorted, node->fields, node->field_count * sizeof *sorted);
        qsort(sorted, node->slot_count, sizeof *sorted, compare_fields);
        qsort(sorted + node->slot_count, node->field_count - node->slot_count, sizeof *sorted,
              compare_fields);
    }
    return sorted;
}

static void
write_schema(struct buf *out, const struct row_field *fields, size_t slot_count, size_t field_count)
{
    bool is_first = true;

    buf_text(out, "\"schema\":{\"fields\":{");
    for (size_t i = 0; i < slot_count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        json_write_string(out, fields[i].name);
        buf_printf(out, ":\"%s\"", field_type_name(fields[i].type));
    }
    buf_text(out, "},\"optional_fields\":[");
    for (size_t i = 0; i < field_count; i++) {
        if (!fields[i].is_optional) {
            continue;
        }
        if (!is_first) {
            buf_byte(out, ',');
        }
        is_first = false;
        json_write_string(out, fields[i].name);
    }
    buf_text(out, "]}");
}

static void
write_version(struct buf *out, const struct descriptor *node, enum canonical_form form)
{
    if (form == CANONICAL_LOG) {
        buf_text(out, ",\"registered_at_version\":");
        json_write_u64(out, node->registered_at_version);
    }
}

static void
write_event(struct buf *out, const struct descriptor *node, const struct row_field *fields,
            enum canonical_form form)
{
    buf_byte(out, '{');
    write_setting(out, "cold_after_ms", node->cold_after_ms);
    buf_text(out, "\"dedupe_key\":");
    if (node->dedupe_key.size == 0) {
        buf_text(out, "null");
    } else {
        json_write_string(out, node->dedupe_key);
    }
    buf_byte(out, ',');
    write_setting(out, "dedupe_window_ms", node->dedupe_window_ms);
    write_setting(out, "keep_events_for_ms", node->keep_events_for_ms);
    buf_text(out, "\"kind\":\"event\",\"name\":");
    json_write_string(out, node->name);
    write_version(out, node, form);
    buf_byte(out, ',');
    write_schema(out, fields, node->slot_count, node->field_count);
    buf_byte(out, '}');
}

static void
write_derivation(struct buf *out, const struct descriptor *node, enum canonical_form form)
{
    buf_text(out, "{\"kind\":\"derivation\",\"name\":");
    json_write_string(out, node->name);
    buf_text(out, ",\"ops\":[");
    for (size_t i = 0; i < node->op_count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        json_write(out, &node->ops[i]);
    }
    buf_printf(out, "],\"output_kind\":\"%s\"", node->is_table ? "table" : "event");
    write_version(out, node, form);
    if (form == CANONICAL_LOG && node->field_count > 0) {
        buf_byte(out, ',');
        write_schema(out, node->fields, node->slot_count, node->field_count);
    }
    buf_text(out, ",\"table_primary_key\":");
    if (node->has_primary_key) {
        canonical_write_names(out, node->primary_key, node->primary_key_count);
    } else {
        buf_text(out, "null");
    }
    buf_text(out, ",\"upstreams\":");
    canonical_write_names(out, node->upstreams, node->upstream_count);
    buf_byte(out, '}');
}

void
canonical_write(struct buf *out, const struct descriptor *node, enum canonical_form form)
{
    if (node->kind == DESCRIPTOR_EVENT) {
        write_event(out, node, node->fields, form);
    } else {
        write_derivation(out, node, form);
    }
}

bool
canonical_set(struct descriptor *nodes, size_t count, struct arena *arena)
{
    struct buf text;
    bool is_set = false;

    buf_init(&text);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&text);
        if (nodes[i].kind == DESCRIPTOR_EVENT) {
            const struct row_field *sorted = canonical_sort_fields(&nodes[i], arena);

            if (sorted == NULL) {
                goto done;
            }
            write_event(&text, &nodes[i], sorted, CANONICAL_IDENTITY);
        } else {
            write_derivation(&text, &nodes[i], CANONICAL_IDENTITY);
        }
        const void *copy = text.failed ? NULL : arena_copy(arena, text.data, text.size);

        if (copy == NULL) {
            goto done;
        }
        nodes[i].canonical = slice_of(copy, text.size);
    }
    is_set = true;
done:
    buf_deinit(&text);
    return is_set;
}
