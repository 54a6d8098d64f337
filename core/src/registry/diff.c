/* SPDX-License-Identifier: Apache-2.0 */
/* The difference between a payload and the registry in force: names first, then definitions.
 *
 * Enters:  descriptors with their canonical text.
 * Leaves:  sorted entries, and the fate of every node.
 *
 * Invariants
 *   (1) Equal canonical text, equal definition: such a node has no entry.
 *   (2) Every difference has an entry; a destructive one makes the node DIFF_IS_REPLACED (V36).
 *   (3) The result does not depend on any order but that of names (V39).
 */
#include "registry/diff.h"

#include <stdio.h>
#include <stdlib.h>

#include "registry/canonical.h"
#include "registry/diff_node.h"
#include "registry/list.h"
#include "registry/names.h"
#include "util/assert.h"
#include "wire/json.h"

/* A chain of derived events that were all renamed is paired one step a pass. */
#define RENAME_PASSES_MAX 16

struct comparison {
    struct diff *diff;
    const struct registry *current;
    const struct descriptor *nodes;
    size_t node_count;
    struct arena *arena;
    struct names old_names, new_names;
    bool *is_taken;             /* per old descriptor: it is in the payload, or was renamed */
    struct slice *new_names_of; /* per old descriptor: its name from now on */
};

/* Row of a kind: its name and those of its values. */
static const struct {
    const char *kind;
    const char *values[DIFF_VALUES_MAX];
} rows[] = {
    [DIFF_RENAME] = {"rename", {"from", "to", NULL}},
    [DIFF_TYPE_CHANGE] = {"type_change", {"field", "from", "to"}},
    [DIFF_OP_REMOVAL] = {"op_removal", {"table", "agg", NULL}},
    [DIFF_AGG_REMOVAL] = {"agg_removal", {"table", "agg", NULL}},
    [DIFF_WINDOW_CHANGE] = {"window_change", {"agg", "from", "to"}},
    [DIFF_KEY_COLS_CHANGE] = {"key_cols_change", {"table", NULL, NULL}},
    [DIFF_DEFINITION_CHANGE] = {"definition_change", {"table", "agg", NULL}},
    [DIFF_NEW_DESCRIPTOR] = {"new_descriptor", {"descriptor_kind", "name", NULL}},
    [DIFF_NEW_AGG] = {"new_agg", {"table", "agg", "source"}},
    [DIFF_NEW_FIELD] = {"new_field", {"event", "field", "type"}},
    [DIFF_SETTING_CHANGE] = {"setting_change", {"table", "agg", NULL}},
};

static bool
add_entry(struct comparison *comparison, const struct diff_entry *entry)
{
    struct diff_list *list = entry->kind < DIFF_NEW_DESCRIPTOR ? &comparison->diff->destructive
                                                               : &comparison->diff->additive;

    return diff_list_add(list, entry, comparison->arena);
}

bool
diff_list_add(struct diff_list *list, const struct diff_entry *entry, struct arena *arena)
{
    struct diff_entry *entries =
        list_room(arena, list->entries, list->count, &list->capacity, sizeof *entries);

    if (entries == NULL) {
        return false;
    }
    list->entries = entries;
    entries[list->count++] = *entry;
    return true;
}

/* ---- names ---- */

static int
compare_slices(const void *a, const void *b)
{
    const struct slice *left = a;
    const struct slice *right = b;

    return slice_compare(*left, *right);
}

static bool
match_names(struct comparison *comparison)
{
    const struct registry *current = comparison->current;

    for (size_t i = 0; i < current->descriptor_count; i++) {
        comparison->new_names_of[i] = current->descriptors[i].name;
        if (!names_put(&comparison->old_names, current->descriptors[i].name, (uint32_t)i)) {
            return false;
        }
    }
    for (size_t i = 0; i < comparison->node_count; i++) {
        uint32_t old = names_find(&comparison->old_names, comparison->nodes[i].name);

        comparison->diff->olds[i] = old;
        comparison->diff->fates[i] = DIFF_IS_NEW;
        if (old != NAMES_NONE) {
            comparison->is_taken[old] = true;
        }
        if (!names_put(&comparison->new_names, comparison->nodes[i].name, (uint32_t)i)) {
            return false;
        }
    }
    return true;
}

/* ---- renames: equal but for the name ---- */

/* The definition without its name; upstreams under the names they have from now on. */
static bool
nameless_text(struct slice *out, const struct descriptor *node, const struct comparison *comparison,
              bool is_old)
{
    struct descriptor copy = *node;
    struct slice *upstreams = list_of(comparison->arena, node->upstream_count, sizeof *upstreams);

    if (upstreams == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->upstream_count; i++) {
        uint32_t at = names_find(&comparison->old_names, node->upstreams[i]);

        upstreams[i] =
            is_old && at != NAMES_NONE ? comparison->new_names_of[at] : node->upstreams[i];
    }
    copy.name = slice_of("", 0);
    copy.upstreams = upstreams;
    if (!canonical_set(&copy, 1, comparison->arena)) {
        return false;
    }
    *out = copy.canonical;
    return true;
}

struct candidate {
    struct slice name;
    uint32_t index;
    uint32_t next; /* with the same text, ascending by name */
};

static int
compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;

    return slice_compare(left->name, right->name);
}

/* Unpaired names, ascending: new nodes, or old descriptors. NULL: memory is spent. */
static struct candidate *
unpaired(const struct comparison *comparison, bool is_old, size_t *count)
{
    size_t total = is_old ? comparison->current->descriptor_count : comparison->node_count;
    struct candidate *list = list_of(comparison->arena, total, sizeof *list);

    *count = 0;
    for (size_t i = 0; list != NULL && i < total; i++) {
        bool is_free = is_old
                           ? !comparison->is_taken[i]
                           : comparison->diff->olds[i] == NAMES_NONE &&
                                 names_find(&comparison->new_names, comparison->nodes[i].name) == i;

        if (is_free) {
            list[(*count)++] = (struct candidate){
                .name =
                    is_old ? comparison->current->descriptors[i].name : comparison->nodes[i].name,
                .index = (uint32_t)i,
                .next = NAMES_NONE,
            };
        }
    }
    if (list != NULL) {
        qsort(list, *count, sizeof *list, compare_candidates);
    }
    return list;
}

static bool
pair(struct comparison *comparison, uint32_t old, uint32_t node)
{
    const struct descriptor *from = &comparison->current->descriptors[old];
    struct diff_entry entry = {.kind = DIFF_RENAME,
                               .values = {from->name, comparison->nodes[node].name}};

    comparison->is_taken[old] = true;
    comparison->new_names_of[old] = comparison->nodes[node].name;
    comparison->diff->olds[node] = old;
    comparison->diff->fates[node] = DIFF_IS_RENAMED;
    comparison->diff->removed_count++;
    return add_entry(comparison, &entry);
}

/* One pass: pairs what is equal under the names known so far. */
static bool
pass(struct comparison *comparison, bool *has_paired)
{
    size_t old_count, new_count;
    struct candidate *olds = unpaired(comparison, true, &old_count);
    struct candidate *news = unpaired(comparison, false, &new_count);
    struct names texts;
    struct slice text;

    *has_paired = false;
    names_init(&texts, comparison->arena);
    if (olds == NULL || news == NULL) {
        return false;
    }
    if (old_count == 0) {
        return true;
    }
    /* From the back, so that each text's list starts with its smallest name. */
    for (size_t i = new_count; i-- > 0;) {
        if (!nameless_text(&text, &comparison->nodes[news[i].index], comparison, false)) {
            return false;
        }
        news[i].next = names_find(&texts, text);
        if (!names_put(&texts, text, (uint32_t)i)) {
            return false;
        }
    }
    for (size_t i = 0; i < old_count; i++) {
        const struct descriptor *old = &comparison->current->descriptors[olds[i].index];

        if (!nameless_text(&text, old, comparison, true)) {
            return false;
        }
        uint32_t at = names_find(&texts, text);

        if (at == NAMES_NONE || comparison->diff->olds[news[at].index] != NAMES_NONE) {
            continue; /* nothing, or the last of this text is taken */
        }
        if (!pair(comparison, olds[i].index, news[at].index) ||
            (news[at].next != NAMES_NONE && !names_put(&texts, text, news[at].next))) {
            return false;
        }
        *has_paired = true;
    }
    return true;
}

static bool
find_renames(struct comparison *comparison)
{
    bool has_paired = true;

    for (unsigned i = 0; has_paired && i < RENAME_PASSES_MAX; i++) {
        if (!pass(comparison, &has_paired)) {
            return false;
        }
    }
    return true;
}

/* ---- all entries ---- */

static bool
add_removals(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->current->descriptor_count; i++) {
        struct diff_entry entry = {
            .kind = DIFF_AGG_REMOVAL,
            .values = {comparison->current->descriptors[i].name, slice_text("")},
            .is_descriptor = true,
        };

        if (comparison->is_taken[i]) {
            continue;
        }
        comparison->diff->removed_count++;
        if (!add_entry(comparison, &entry)) {
            return false;
        }
    }
    return true;
}

static bool
compare_node(struct comparison *comparison, size_t index)
{
    struct diff *diff = comparison->diff;
    const struct descriptor *node = &comparison->nodes[index];
    struct diff_entry entry = {
        .kind = DIFF_NEW_DESCRIPTOR,
        .values = {slice_text(node->kind == DESCRIPTOR_EVENT ? "event" : "derivation"),
                   node->name}};
    size_t destructive = diff->destructive.count, additive = diff->additive.count;

    if (diff->fates[index] == DIFF_IS_RENAMED) {
        return true;
    }
    if (diff->olds[index] == NAMES_NONE) {
        return add_entry(comparison, &entry);
    }
    struct descriptor old = comparison->current->descriptors[diff->olds[index]];

    if (!slice_equal(old.canonical, node->canonical)) {
        struct slice *upstreams = list_of(comparison->arena, old.upstream_count, sizeof *upstreams);

        if (upstreams == NULL) {
            return false;
        }
        for (size_t i = 0; i < old.upstream_count; i++) {
            uint32_t at = names_find(&comparison->old_names, old.upstreams[i]);

            upstreams[i] = at == NAMES_NONE ? old.upstreams[i] : comparison->new_names_of[at];
        }
        old.upstreams = upstreams;
        if (!diff_node(diff, &old, node, comparison->arena)) {
            return false;
        }
    }
    diff->fates[index] = diff->destructive.count > destructive ? DIFF_IS_REPLACED
                         : diff->additive.count > additive     ? DIFF_IS_EXTENDED
                                                               : DIFF_IS_SAME;
    if (diff->fates[index] == DIFF_IS_SAME) {
        diff->already_present[diff->already_present_count++] = node->name;
    }
    return true;
}

static int
compare_entries(const void *a, const void *b)
{
    const struct diff_entry *left = a;
    const struct diff_entry *right = b;
    int order = (int)left->kind - (int)right->kind;

    for (size_t i = 0; order == 0 && i < DIFF_VALUES_MAX; i++) {
        order = slice_compare(left->values[i], right->values[i]);
    }
    for (size_t i = 0; order == 0 && i < left->from_count && i < right->from_count; i++) {
        order = slice_compare(left->from[i], right->from[i]);
    }
    for (size_t i = 0; order == 0 && i < left->to_count && i < right->to_count; i++) {
        order = slice_compare(left->to[i], right->to[i]);
    }
    return order;
}

bool
diff_compute(struct diff *out, const struct registry *current, const struct descriptor *nodes,
             size_t node_count, struct arena *arena)
{
    struct comparison comparison = {
        .diff = out,
        .current = current,
        .nodes = nodes,
        .node_count = node_count,
        .arena = arena,
        .is_taken = list_of(arena, current->descriptor_count, sizeof(bool)),
        .new_names_of = list_of(arena, current->descriptor_count, sizeof(struct slice)),
    };

    *out = (struct diff){
        .already_present = list_of(arena, node_count, sizeof(struct slice)),
        .fates = list_of(arena, node_count, sizeof(enum diff_fate)),
        .olds = list_of(arena, node_count, sizeof(uint32_t)),
    };
    names_init(&comparison.old_names, arena);
    names_init(&comparison.new_names, arena);
    if (out->already_present == NULL || out->fates == NULL || out->olds == NULL ||
        comparison.is_taken == NULL || comparison.new_names_of == NULL) {
        return false;
    }
    memset(comparison.is_taken, 0, current->descriptor_count * sizeof(bool));
    if (!match_names(&comparison) || !find_renames(&comparison) || !add_removals(&comparison)) {
        return false;
    }
    for (size_t i = 0; i < node_count; i++) {
        if (!compare_node(&comparison, i)) {
            return false;
        }
    }
    if (out->destructive.count > 0) {
        qsort(out->destructive.entries, out->destructive.count, sizeof(struct diff_entry),
              compare_entries);
    }
    if (out->additive.count > 0) {
        qsort(out->additive.entries, out->additive.count, sizeof(struct diff_entry),
              compare_entries);
    }
    qsort(out->already_present, out->already_present_count, sizeof(struct slice), compare_slices);
    return true;
}

/* ---- on the wire ---- */

struct text_member {
    const char *name;
    struct slice text;
};

static void
write_entry(struct buf *out, const struct diff_entry *entry)
{
    struct text_member members[DIFF_VALUES_MAX + 1];
    size_t count = 0;

    members[count++] = (struct text_member){"kind", slice_text(rows[entry->kind].kind)};
    for (size_t i = 0; i < DIFF_VALUES_MAX && rows[entry->kind].values[i] != NULL; i++) {
        struct text_member member = {rows[entry->kind].values[i], entry->values[i]};
        size_t at = count++;

        while (at > 0 && strcmp(members[at - 1].name, member.name) > 0) {
            members[at] = members[at - 1];
            at--;
        }
        members[at] = member;
    }
    buf_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        /* "descriptor" and the lists of a key change stand where sorting puts them. */
        if (entry->kind == DIFF_KEY_COLS_CHANGE && i == 0) {
            buf_text(out, "\"from\":");
            canonical_write_names(out, entry->from, entry->from_count);
            buf_byte(out, ',');
        }
        buf_printf(out, "%s\"%s\":", i > 0 ? "," : "", members[i].name);
        json_write_string(out, members[i].text);
        if (entry->is_descriptor && i == 0) {
            buf_text(out, ",\"descriptor\":true");
        }
    }
    if (entry->kind == DIFF_KEY_COLS_CHANGE) {
        buf_text(out, ",\"to\":");
        canonical_write_names(out, entry->to, entry->to_count);
    }
    buf_byte(out, '}');
}

static void
write_list(struct buf *out, const struct diff_list *list)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        write_entry(out, &list->entries[i]);
    }
    buf_byte(out, ']');
}

void
diff_write(struct buf *out, const struct diff *diff)
{
    buf_text(out, "{\"additive\":");
    write_list(out, &diff->additive);
    buf_text(out, ",\"already_present\":");
    canonical_write_names(out, diff->already_present, diff->already_present_count);
    buf_text(out, ",\"destructive\":");
    write_list(out, &diff->destructive);
    buf_byte(out, '}');
}
