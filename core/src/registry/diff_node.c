/* SPDX-License-Identifier: Apache-2.0 */
/* One descriptor, then and now (wire.md 4.6, step 4, with V36).
 *
 * Enters:  two descriptors of one name whose canonical texts differ.
 * Leaves:  an entry for every difference. What no other kind names is a definition_change, so that
 *          an edit can never be answered "already present" while the old definition stays.
 *
 * Derivations know no additive change but new features: what a filter or a column means is part of
 * every value already counted.
 */
#include "registry/diff_node.h"

#include <stdio.h>

#include "registry/canonical.h"
#include "util/assert.h"
#include "wire/json.h"

struct pair {
    struct diff *diff;
    const struct descriptor *old, *node;
    struct arena *arena;
};

static bool
add(struct pair *pair, enum diff_kind kind, struct slice a, struct slice b, struct slice c)
{
    struct diff_entry entry = {.kind = kind, .values = {a, b, c}};

    return diff_list_add(kind < DIFF_NEW_DESCRIPTOR ? &pair->diff->destructive
                                                    : &pair->diff->additive,
                         &entry, pair->arena);
}

static bool
add_change(struct pair *pair, const char *part)
{
    return add(pair, DIFF_DEFINITION_CHANGE, pair->node->name, slice_text(part), slice_text(""));
}

static bool
add_setting(struct pair *pair, const char *part)
{
    return add(pair, DIFF_SETTING_CHANGE, pair->node->name, slice_text(part), slice_text(""));
}

/* "<a>.<b>" in the arena. False: memory is spent. */
static bool
dotted(struct slice *out, struct arena *arena, struct slice a, struct slice b)
{
    uint8_t *text = arena_alloc(arena, a.size + 1 + b.size);

    if (text == NULL) {
        return false;
    }
    if (a.size > 0) {
        memcpy(text, a.data, a.size);
    }
    text[a.size] = '.';
    if (b.size > 0) {
        memcpy(text + a.size + 1, b.data, b.size);
    }
    *out = slice_of(text, a.size + 1 + b.size);
    return true;
}

/* ---- events ---- */

static bool
compare_types(struct pair *pair, const struct row_field *old, const struct row_field *field)
{
    struct slice path;

    if (!dotted(&path, pair->arena, pair->node->name, old->name)) {
        return false;
    }
    return add(pair, DIFF_TYPE_CHANGE, path, slice_text(field_type_name(old->type)),
               slice_text(field == NULL ? "<absent>" : field_type_name(field->type)));
}

/* Merges two sorted field lists. Optional names without a field come second on either side and are
 * compared apart from the fields. */
static bool
compare_schema(struct pair *pair, const struct row_field *old, const struct row_field *node)
{
    size_t i = 0, k = 0;
    bool is_relaxed = false, is_tightened = false;

    while (i < pair->old->slot_count || k < pair->node->slot_count) {
        int order = i == pair->old->slot_count    ? 1
                    : k == pair->node->slot_count ? -1
                                                  : slice_compare(old[i].name, node[k].name);

        if (order > 0) {
            if (!add(pair, DIFF_NEW_FIELD, pair->node->name, node[k].name,
                     slice_text(field_type_name(node[k].type)))) {
                return false;
            }
            k++;
            continue;
        }
        if ((order < 0 || old[i].type != node[k].type) &&
            !compare_types(pair, &old[i], order < 0 ? NULL : &node[k])) {
            return false;
        }
        is_relaxed |= order == 0 && !old[i].is_optional && node[k].is_optional;
        is_tightened |= order == 0 && old[i].is_optional && !node[k].is_optional;
        i++;
        k += order == 0;
    }
    for (i = pair->old->slot_count, k = pair->node->slot_count;
         i < pair->old->field_count || k < pair->node->field_count;) {
        int order = i == pair->old->field_count    ? 1
                    : k == pair->node->field_count ? -1
                                                   : slice_compare(old[i].name, node[k].name);

        is_relaxed |= order > 0;
        is_tightened |= order < 0;
        i += order <= 0;
        k += order >= 0;
    }
    if (is_tightened) {
        return add_change(pair, "optional_fields");
    }
    return !is_relaxed || add_setting(pair, "optional_fields");
}

static bool
compare_events(struct pair *pair)
{
    const struct descriptor *old = pair->old;
    const struct descriptor *node = pair->node;
    const struct row_field *old_fields = canonical_sort_fields(old, pair->arena);
    const struct row_field *node_fields = canonical_sort_fields(node, pair->arena);

    return old_fields != NULL && node_fields != NULL &&
           compare_schema(pair, old_fields, node_fields) &&
           (slice_equal(old->dedupe_key, node->dedupe_key) || add_change(pair, "dedupe_key")) &&
           (old->dedupe_window_ms == node->dedupe_window_ms ||
            add_setting(pair, "dedupe_window_ms")) &&
           (old->keep_events_for_ms == node->keep_events_for_ms ||
            add_setting(pair, "keep_events_for_ms")) &&
           (old->cold_after_ms == node->cold_after_ms || add_setting(pair, "cold_after_ms"));
}

/* ---- derivations ---- */

static struct slice
op_name(const struct value *op)
{
    return value_slice(value_find(op, "op"));
}

static bool
is_group(const struct value *op)
{
    return slice_equal(op_name(op), slice_text("group_by"));
}

/* 1 equal, 0 different, -1 memory is spent. Values are canonical: equal text, equal meaning. */
static int
same_text(const struct value *a, const struct value *b)
{
    struct buf left, right;

    buf_init(&left);
    buf_init(&right);
    json_write(&left, a);
    json_write(&right, b);
    int same = left.failed || right.failed ? -1 : slice_equal(buf_slice(&left), buf_slice(&right));

    buf_deinit(&left);
    buf_deinit(&right);
    return same;
}

static bool
compare_names(const struct slice *a, size_t a_count, const struct slice *b, size_t b_count)
{
    bool is_same = a_count == b_count;

    for (size_t i = 0; is_same && i < a_count; i++) {
        is_same = slice_equal(a[i], b[i]);
    }
    return is_same;
}

static bool
add_key_change(struct pair *pair, const struct slice *from, size_t from_count,
               const struct slice *to, size_t to_count)
{
    struct diff_entry entry = {.kind = DIFF_KEY_COLS_CHANGE,
                               .values = {pair->node->name},
                               .from = from,
                               .from_count = from_count,
                               .to = to,
                               .to_count = to_count};

    return diff_list_add(&pair->diff->destructive, &entry, pair->arena);
}

static struct slice
window_of(const struct value *params)
{
    const struct value *window = value_find(params, "window");

    return window != NULL && window->kind == VALUE_STR ? value_slice(window) : slice_text("");
}

/* Parameters but the window. Both lists are sorted. */
static int
same_params(const struct value *a, const struct value *b)
{
    struct value_member none = {.key = value_str(slice_text("")), .value = value_null()};
    uint32_t i = 0, k = 0;

    while (i < a->length || k < b->length) {
        const struct value_member *left = i < a->length ? &a->as.members[i] : &none;
        const struct value_member *right = k < b->length ? &b->as.members[k] : &none;

        if (i < a->length && slice_equal(value_slice(&left->key), slice_text("window"))) {
            i++;
            continue;
        }
        if (k < b->length && slice_equal(value_slice(&right->key), slice_text("window"))) {
            k++;
            continue;
        }
        if (i == a->length || k == b->length ||
            !slice_equal(value_slice(&left->key), value_slice(&right->key))) {
            return 0;
        }
        int same = same_text(&left->value, &right->value);

        if (same != 1) {
            return same;
        }
        i++;
        k++;
    }
    return 1;
}

static bool
compare_feature(struct pair *pair, struct slice name, const struct value *old,
                const struct value *spec)
{
    const struct value *old_params = value_find(old, "params");
    const struct value *params = value_find(spec, "params");
    struct slice from = window_of(old_params), to = window_of(params), path;

    if (!slice_equal(from, to) && (!dotted(&path, pair->arena, pair->node->name, name) ||
                                   !add(pair, DIFF_WINDOW_CHANGE, path, from, to))) {
        return false;
    }
    if (!slice_equal(op_name(old), op_name(spec))) {
        return add(pair, DIFF_AGG_REMOVAL, pair->node->name, name, slice_text("")) &&
               add(pair, DIFF_NEW_AGG, pair->node->name, name, op_name(spec));
    }
    int same = same_params(old_params, params);

    return same == 1 ||
           (same == 0 && add(pair, DIFF_DEFINITION_CHANGE, pair->node->name, name, slice_text("")));
}

/* Merges two sorted feature lists. */
static bool
compare_features(struct pair *pair, const struct value *old, const struct value *node)
{
    uint32_t i = 0, k = 0;

    while (i < old->length || k < node->length) {
        const struct value_member *left = i < old->length ? &old->as.members[i] : NULL;
        const struct value_member *right = k < node->length ? &node->as.members[k] : NULL;
        int order = left == NULL ? 1
                    : right == NULL
                        ? -1
                        : slice_compare(value_slice(&left->key), value_slice(&right->key));
        bool is_added = order < 0   ? add(pair, DIFF_AGG_REMOVAL, pair->node->name,
                                          value_slice(&left->key), slice_text(""))
                        : order > 0 ? add(pair, DIFF_NEW_AGG, pair->node->name,
                                          value_slice(&right->key), op_name(&right->value))
                                    : compare_feature(pair, value_slice(&left->key), &left->value,
                                                      &right->value);

        if (!is_added) {
            return false;
        }
        i += order <= 0;
        k += order >= 0;
    }
    return true;
}

static bool
take_names(struct slice **out, struct arena *arena, const struct value *list)
{
    *out = arena_alloc(arena, list->length * sizeof **out);
    for (uint32_t i = 0; *out != NULL && i < list->length; i++) {
        (*out)[i] = value_slice(&list->as.items[i]);
    }
    return *out != NULL;
}

static bool
compare_groups(struct pair *pair, const struct value *old, const struct value *node)
{
    const struct value *old_keys = value_find(old, "keys");
    const struct value *keys = value_find(node, "keys");
    struct slice *from, *to;

    if (!take_names(&from, pair->arena, old_keys) || !take_names(&to, pair->arena, keys)) {
        return false;
    }
    if (!compare_names(from, old_keys->length, to, keys->length) &&
        !add_key_change(pair, from, old_keys->length, to, keys->length)) {
        return false;
    }
    return compare_features(pair, value_find(old, "agg"), value_find(node, "agg"));
}

/* "ops[3]", or "group_by[3]" for an op that is gone. */
static bool
indexed(struct slice *out, struct arena *arena, struct slice name, size_t index)
{
    char text[48];
    int size =
        snprintf(text, sizeof text, "%.*s[%zu]", (int)name.size, (const char *)name.data, index);
    const void *copy = arena_copy(arena, text, (size_t)size);

    *out = slice_of(copy, (size_t)size);
    return copy != NULL;
}

static bool
compare_op(struct pair *pair, size_t index)
{
    const struct value *old = index < pair->old->op_count ? &pair->old->ops[index] : NULL;
    const struct value *node = index < pair->node->op_count ? &pair->node->ops[index] : NULL;
    struct slice part;

    if (node == NULL) {
        return indexed(&part, pair->arena, op_name(old), index) &&
               add(pair, DIFF_OP_REMOVAL, pair->node->name, part, slice_text(""));
    }
    if (old != NULL && is_group(old) && is_group(node)) {
        return compare_groups(pair, old, node);
    }
    int same = old == NULL ? 0 : same_text(old, node);

    return same == 1 || (same == 0 && indexed(&part, pair->arena, slice_text("ops"), index) &&
                         add(pair, DIFF_DEFINITION_CHANGE, pair->node->name, part, slice_text("")));
}

static bool
compare_derivations(struct pair *pair)
{
    const struct descriptor *old = pair->old;
    const struct descriptor *node = pair->node;
    bool is_key_same = old->has_primary_key == node->has_primary_key &&
                       compare_names(old->primary_key, old->primary_key_count, node->primary_key,
                                     node->primary_key_count);

    for (size_t i = 0; i < old->op_count || i < node->op_count; i++) {
        if (!compare_op(pair, i)) {
            return false;
        }
    }
    if (!compare_names(old->upstreams, old->upstream_count, node->upstreams,
                       node->upstream_count) &&
        !add_change(pair, "upstreams")) {
        return false;
    }
    if (old->is_table != node->is_table && !add_change(pair, "output_kind")) {
        return false;
    }
    if (is_key_same) {
        return true;
    }
    return old->is_table || node->is_table
               ? add_key_change(pair, old->primary_key, old->primary_key_count, node->primary_key,
                                node->primary_key_count)
               : add_change(pair, "table_primary_key");
}

bool
diff_node(struct diff *diff, const struct descriptor *old, const struct descriptor *node,
          struct arena *arena)
{
    struct pair pair = {.diff = diff, .old = old, .node = node, .arena = arena};

    BV_DEBUG_ASSERT(slice_equal(old->name, node->name));
    if (old->kind != node->kind) {
        return add_change(&pair, "kind");
    }
    return old->kind == DESCRIPTOR_EVENT ? compare_events(&pair) : compare_derivations(&pair);
}
