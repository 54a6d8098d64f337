/* SPDX-License-Identifier: Apache-2.0 */
/* The structural reasons to say no (wire.md 4.5, R1 to R5).
 *
 * Enters:  a draft: the whole pipeline as it will be.
 * Leaves:  findings in the order of the rules, nodes in payload order within a rule.
 *
 * A request describes the complete pipeline, so what is not in it will not be there: "known to the
 * server" of R3 and "existing derivations" of R5 come to the same as "in the payload".
 */
#include "registry/validate.h"

#include <stdio.h>

#include "registry/list.h"
#include "registry/names.h"
#include "registry/resolve.h"

#define NAME_SIZE_MAX 128

static bool
is_reserved(struct slice name)
{
    return name.size >= 7 && memcmp(name.data, "_beava_", 7) == 0;
}

static bool
is_pattern(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!is_letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.size > 0;
}

/* ---- R1 ---- */

static bool
check_duplicates(const struct draft *draft, struct names *index, struct report *report)
{
    for (size_t i = 0; i < draft->node_count; i++) {
        struct slice name = draft->nodes[i].name;
        uint32_t first = names_find(index, name);

        if (first == NAMES_NONE) {
            if (!names_put(index, name, (uint32_t)i)) {
                return false;
            }
            continue;
        }
        report_path(report, "nodes[%zu].name", i);
        report_error(report, BV_INVALID_REGISTRATION, "name_duplicate",
                     "duplicate descriptor name '%s'; first seen at nodes[%u]",
                     bv_error_quote(name), first);
    }
    return true;
}

/* ---- R2 ---- */

static void
check_name(struct slice name, size_t index, struct report *report)
{
    report_path(report, "nodes[%zu].name", index);
    if (name.size == 0) {
        report_error(report, BV_INVALID_REGISTRATION, "name_empty",
                     "descriptor name must not be empty");
    } else if (name.size > NAME_SIZE_MAX) {
        report_error(report, BV_INVALID_REGISTRATION, "name_too_long",
                     "descriptor name is %zu chars; maximum is %d", name.size, NAME_SIZE_MAX);
    } else if (is_reserved(name)) {
        report_error(report, BV_INVALID_REGISTRATION, "name_reserved",
                     "descriptor name '%s' uses reserved prefix '_beava_'", bv_error_quote(name));
    } else if (!is_pattern(name)) {
        report_error(report, BV_INVALID_REGISTRATION, "name_bad_pattern",
                     "descriptor name '%s' must match [A-Za-z_][A-Za-z0-9_]* (no hyphens or "
                     "leading digits)",
                     bv_error_quote(name));
    }
}

/* A field or feature name (V32). The path is set. */
static void
check_column_name(struct slice name, const char *what, struct report *report)
{
    bool has_control = false;

    for (size_t i = 0; i < name.size; i++) {
        has_control |= name.data[i] < 0x20 || name.data[i] == 0x7f;
    }
    if (name.size == 0) {
        report_error(report, BV_INVALID_REGISTRATION, "column_name_empty",
                     "a %s name must not be empty", what);
    } else if (has_control) {
        report_error(report, BV_INVALID_REGISTRATION, "column_name_control",
                     "%s name '%s' holds a control character", what, bv_error_quote(name));
    } else if (!is_pattern(name)) {
        report_warning(report,
                       "%s name '%s' does not match [A-Za-z_][A-Za-z0-9_]*: not every way to "
                       "read it can spell it",
                       what, bv_error_quote(name));
    }
}

static void
check_event(const struct descriptor *node, const struct draft_facts *facts, size_t index,
            struct report *report)
{
    bool has_key_field = false;

    if (node->slot_count == 0) {
        report_path(report, "nodes[%zu].schema.fields", index);
        report_error(report, BV_INVALID_REGISTRATION, "schema_empty",
                     "event schema must have at least one field");
    }
    for (size_t i = 0; i < node->field_count; i++) {
        has_key_field |=
            i < node->slot_count && slice_equal(node->fields[i].name, node->dedupe_key);
        report_path(report, "nodes[%zu].schema.%s.%.100s", index,
                    i < node->slot_count ? "fields" : "optional_fields",
                    bv_error_quote(node->fields[i].name));
        check_column_name(node->fields[i].name, "field", report);
    }
    if (facts->has_dedupe_key && !has_key_field) {
        report_path(report, "nodes[%zu].dedupe_key", index);
        report_error(report, BV_INVALID_REGISTRATION, "dedupe_key_unknown",
                     "dedupe_key '%s' is not a field of the event",
                     bv_error_quote(node->dedupe_key));
    }
    if (facts->has_dedupe_window && node->dedupe_window_ms == 0) {
        report_path(report, "nodes[%zu].dedupe_window_ms", index);
        report_error(report, BV_INVALID_REGISTRATION, "dedupe_window_zero",
                     "dedupe_window_ms must be positive");
    }
    if (facts->has_cold_after && node->cold_after_ms == 0) {
        report_path(report, "nodes[%zu].cold_after_ms", index);
        report_hint(report, "leave it out to keep entities for ever");
        report_error(report, BV_INVALID_REGISTRATION, "cold_after_zero",
                     "cold_after_ms must be positive: 0 would expire an entity on every push");
    }
}

static void
check_derivation(const struct descriptor *node, size_t index, struct report *report)
{
    if (node->op_count == 0 && node->slot_count == 0) {
        report_path(report, "nodes[%zu].schema.fields", index);
        report_error(report, BV_INVALID_REGISTRATION, "schema_empty",
                     "derivation schema must have at least one field");
    }
    if (node->is_table && !node->has_primary_key) {
        report_path(report, "nodes[%zu].table_primary_key", index);
        report_hint(report, "repeat the keys of the group_by; [] for a global table");
        report_error(report, BV_INVALID_REGISTRATION, "primary_key_missing",
                     "output_kind table needs table_primary_key");
    }
    for (size_t j = 0; j < node->op_count; j++) {
        const struct value *agg = value_find(&node->ops[j], "agg");

        for (uint32_t k = 0; agg != NULL && k < agg->length; k++) {
            struct slice name = value_slice(&agg->as.members[k].key);

            report_path(report, "nodes[%zu].ops[%zu].agg.%.100s", index, j, bv_error_quote(name));
            check_column_name(name, "feature", report);
        }
    }
}

/* A group_by is the last op and the only one (W37). */
static void
check_group(const struct descriptor *node, size_t index, struct report *report)
{
    size_t group = resolve_group_index(node);

    if (group + 1 < node->op_count) {
        report_path(report, "nodes[%zu].ops[%zu]", index, group + 1);
        report_hint(report, "put it before the group_by");
        report_error(report, BV_INVALID_REGISTRATION, "op_after_group_by",
                     "a group_by is the last op of a derivation, and the only group_by");
    }
}

static void
check_node(const struct draft *draft, size_t index, struct report *report)
{
    const struct descriptor *node = &draft->nodes[index];

    check_name(node->name, index, report);
    if (node->kind == DESCRIPTOR_EVENT) {
        check_event(node, &draft->facts[index], index, report);
    } else {
        check_derivation(node, index, report);
        check_group(node, index, report);
    }
}

/* ---- R3, R4 ---- */

static void
check_upstreams(const struct draft *draft, const struct names *index, bool is_order,
                struct report *report)
{
    for (size_t i = 0; i < draft->node_count; i++) {
        const struct descriptor *node = &draft->nodes[i];

        for (size_t j = 0; j < node->upstream_count; j++) {
            uint32_t at = names_find(index, node->upstreams[j]);
            struct slice near;

            if (is_order ? at == NAMES_NONE || at <= i : at != NAMES_NONE) {
                continue;
            }
            report_path(report, "nodes[%zu].upstreams[%zu]", i, j);
            if (is_order) {
                report_hint(report, "move it before nodes[%zu]", i);
                report_error(report, BV_INVALID_REGISTRATION, "upstream_later",
                             "upstream '%s' appears later in payload at nodes[%u]",
                             bv_error_quote(node->upstreams[j]), at);
                continue;
            }
            if (report_has_room(report) && names_nearest(&near, index, node->upstreams[j])) {
                report_hint(report, "did you mean \"%s\"?", bv_error_quote(near));
            }
            report_error(report, BV_INVALID_REGISTRATION, "upstream_unknown",
                         "unknown upstream '%s': a registration describes the complete pipeline, "
                         "and no node has this name",
                         bv_error_quote(node->upstreams[j]));
        }
    }
}

/* ---- R5 ---- */

enum colour { WHITE, GREY, BLACK };

/* A node on the way down, and the next upstream to look at. */
struct visit {
    uint32_t node;
    uint32_t next;
};

static void
report_cycle(const struct draft *draft, const struct visit *stack, size_t depth, uint32_t closing,
             struct report *report)
{
    char text[512];
    size_t size = 0, first = depth - 1;

    while (stack[first].node != closing) {
        first--;
    }
    for (size_t i = first; i <= depth && size < sizeof text - 1; i++) {
        uint32_t node = i == depth ? closing : stack[i].node;
        int written = snprintf(text + size, sizeof text - size, "%s%.128s",
                               i == first ? "" : " -> ", bv_error_quote(draft->nodes[node].name));

        size += written > 0 ? (size_t)written : 0;
    }
    report_path(report, "nodes[%u]", closing);
    report_error(report, BV_INVALID_REGISTRATION, "cycle", "cycle detected: %s", text);
}

/* Depth first with a stack of our own; every edge is looked at once. */
static bool
check_cycles(const struct draft *draft, const struct names *index, struct report *report)
{
    uint8_t *colours = list_of(report->arena, draft->node_count, 1);
    struct visit *stack = list_of(report->arena, draft->node_count, sizeof *stack);

    if (colours == NULL || stack == NULL) {
        return false;
    }
    memset(colours, WHITE, draft->node_count);
    for (size_t root = 0; root < draft->node_count; root++) {
        size_t depth = 0;

        if (colours[root] != WHITE) {
            continue;
        }
        stack[depth++] = (struct visit){.node = (uint32_t)root};
        colours[root] = GREY;
        while (depth > 0) {
            struct visit *top = &stack[depth - 1];
            const struct descriptor *node = &draft->nodes[top->node];

            if (top->next == node->upstream_count) {
                colours[top->node] = BLACK;
                depth--;
                continue;
            }
            uint32_t at = names_find(index, node->upstreams[top->next++]);

            if (at == NAMES_NONE || colours[at] == BLACK) {
                continue;
            }
            if (colours[at] == GREY) {
                report_cycle(draft, stack, depth, at, report);
                continue;
            }
            colours[at] = GREY;
            stack[depth++] = (struct visit){.node = at};
        }
    }
    return true;
}

bool
validate_draft(const struct draft *draft, struct report *report)
{
    struct names index;

    names_init(&index, report->arena);
    if (!check_duplicates(draft, &index, report)) {
        return false;
    }
    for (size_t i = 0; i < draft->node_count; i++) {
        check_node(draft, i, report);
    }
    check_upstreams(draft, &index, false, report);
    check_upstreams(draft, &index, true, report);
    return check_cycles(draft, &index, report);
}

bool
validate_structure(const struct draft *draft, struct report *report)
{
    struct names index;

    names_init(&index, report->arena);
    if (!check_duplicates(draft, &index, report)) {
        return false;
    }
    for (size_t i = 0; i < draft->node_count; i++) {
        if (draft->nodes[i].kind == DESCRIPTOR_DERIVATION) {
            check_group(&draft->nodes[i], i, report);
        }
    }
    check_upstreams(draft, &index, false, report);
    check_upstreams(draft, &index, true, report);
    return check_cycles(draft, &index, report);
}
