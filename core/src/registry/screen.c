/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused by name before anything else is looked at: joins, unions, event time, node kinds
 * of older protocols (wire.md 4.4, steps 2 to 4).
 *
 * Enters:  the raw nodes of a body that is valid JSON, of any shape.
 * Leaves:  at most one error, with the path of the node by index and name.
 *
 * These passes run before the shape is known, so whatever does not look like what they look for is
 * passed over in silence: step 6 will name it.
 */
#include "registry/draft.h"

static bool
is_text(const struct value *v, const char *text)
{
    return v != NULL && v->kind == VALUE_STR && slice_equal(value_slice(v), slice_text(text));
}

/* nodes[I].NAME. or nodes[I]. */
static void
path_of_node(struct report *report, size_t index, const struct value *node)
{
    const struct value *name = value_find(node, "name");

    report_path(report, "nodes[%zu].", index);
    if (name != NULL && name->kind == VALUE_STR && name->length > 0) {
        report_path_append(report, "%s.", bv_error_quote(value_slice(name)));
    }
}

/* Joins and unions of one derivation: the first op in order decides. */
static bool
screen_ops(const struct value *node, size_t index, struct report *report)
{
    const struct value *ops = value_find(node, "ops");

    if (!is_text(value_find(node, "kind"), "derivation") || ops == NULL ||
        ops->kind != VALUE_LIST) {
        return true;
    }
    for (uint32_t j = 0; j < ops->length; j++) {
        const struct value *op = value_find(&ops->as.items[j], "op");
        bool is_join = is_text(op, "join");

        if (!is_join && !is_text(op, "union")) {
            continue;
        }
        path_of_node(report, index, node);
        report_path_append(report, "ops[%u]", j);
        report_hint(report, "push both kinds of events to one source");
        report_error(report, is_join ? BV_NO_JOINS : BV_NO_UNIONS, is_join ? "join" : "union",
                     "op \"%s\" is not supported: a table is fed by one event source",
                     is_join ? "join" : "union");
        return false;
    }
    return true;
}

static bool
screen_member(const struct value *node, size_t index, const char *member, enum bv_status status,
              struct report *report)
{
    if (value_find(node, member) == NULL) {
        return true;
    }
    path_of_node(report, index, node);
    report_path_append(report, "%s", member);
    report_hint(report, "remove \"%s\"", member);
    report_error(report, status, member,
                 "\"%s\" is not supported: time is the server's clock when the event arrives",
                 member);
    return false;
}

static bool
screen_kind(const struct value *node, size_t index, struct report *report)
{
    const struct value *kind = value_find(node, "kind");

    if (kind == NULL || kind->kind != VALUE_STR || kind->length == 0 || is_text(kind, "event") ||
        is_text(kind, "derivation")) {
        return true;
    }
    path_of_node(report, index, node);
    report_path_append(report, "kind");
    report_hint(report, "declare a table as a \"derivation\" with a group_by");
    report_error(report, BV_UNSUPPORTED_NODE_KIND, "node_kind",
                 "node kind '%s' is not supported in v0: the pipeline is events-only, a node is "
                 "an \"event\" or a \"derivation\"",
                 bv_error_quote(value_slice(kind)));
    return false;
}

void
screen_nodes(const struct value *nodes, struct report *report)
{
    const struct value *items = nodes->as.items;

    for (uint32_t i = 0; i < nodes->length; i++) {
        if (!screen_ops(&items[i], i, report)) {
            return;
        }
    }
    for (uint32_t i = 0; i < nodes->length; i++) {
        if (!screen_member(&items[i], i, "event_time_field", BV_UNKNOWN_FIELD_EVENT_TIME, report) ||
            !screen_member(&items[i], i, "tolerate_delay_ms", BV_TOLERATE_DELAY, report)) {
            return;
        }
    }
    for (uint32_t i = 0; i < nodes->length; i++) {
        if (!screen_kind(&items[i], i, report)) {
            return;
        }
    }
}
