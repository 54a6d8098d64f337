/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a payload (wire.md 4.4, step 6): from parsed JSON to descriptors.
 *
 * Enters:  the body of a registration, or the nodes of a log record.
 * Leaves:  descriptors that nobody has judged yet, or one refusal with path <body>.
 * Owner:   the arena of the report holds what the body does not.
 *
 * Invariants
 *   (1) After the first refusal nothing more is read: every function returns false.
 *   (2) A repeated known member is refused, an unknown one becomes a warning; repeated keys of free
 *       objects (fields, agg, mapping ...) keep the last value.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "registry/draft.h"
#include "registry/list.h"
#include "registry/names.h"

bool
shape_refuse(struct shape *shape, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    shape->is_refused = true;
    report_path(shape->report, "<body>");
    if (shape->where[0] == '\0') {
        report_error(shape->report, BV_INVALID_REGISTRATION, "shape", "%s", text);
    } else {
        report_error(shape->report, BV_INVALID_REGISTRATION, "shape", "%s (%s)", text,
                     shape->where);
    }
    return false;
}

static const char *
kind_name(unsigned kind)
{
    static const char *const names[] = {
        [VALUE_NULL] = "null",     [VALUE_BOOL] = "boolean", [VALUE_I64] = "integer",
        [VALUE_F64] = "number",    [VALUE_STR] = "string",   [VALUE_BYTES] = "bytes",
        [VALUE_LIST] = "sequence", [VALUE_MAP] = "map",
    };

    return names[kind];
}

bool
shape_expect(struct shape *shape, const struct value *v, enum value_kind kind, const char *member)
{
    if (v->kind == kind) {
        return true;
    }
    return shape_refuse(shape, "invalid type: %s, expected a %s for `%s`", kind_name(v->kind),
                        kind_name(kind), member);
}

static void
warn_unknown(struct shape *shape, const struct value *key, const struct member *members,
             size_t count)
{
    struct names known;
    struct slice near;

    /* Only the hint is lost when there is no memory for it. */
    names_init(&known, shape->arena);
    for (size_t i = 0; i < count; i++) {
        if (!names_put(&known, slice_text(members[i].name), (uint32_t)i)) {
            break;
        }
    }
    report_path(shape->report, "%s%s%s", shape->where, shape->where[0] == '\0' ? "" : ".",
                bv_error_quote(value_slice(key)));
    if (names_nearest(&near, &known, value_slice(key))) {
        report_warning(shape->report, "unknown member '%s' is ignored; did you mean '%s'?",
                       bv_error_quote(value_slice(key)), bv_error_quote(near));
    } else {
        report_warning(shape->report, "unknown member '%s' is ignored",
                       bv_error_quote(value_slice(key)));
    }
}

bool
shape_members(struct shape *shape, const struct value *object, struct member *members, size_t count)
{
    for (uint32_t i = 0; i < object->length; i++) {
        const struct value_member *member = &object->as.members[i];
        size_t k = 0;

        while (k < count && !slice_equal(value_slice(&member->key), slice_text(members[k].name))) {
            k++;
        }
        if (k == count) {
            if (shape->report->warning_count < REPORT_FINDINGS_MAX) {
                warn_unknown(shape, &member->key, members, count);
            }
            continue;
        }
        if (members[k].value != NULL) {
            return shape_refuse(shape, "duplicate field `%s`", members[k].name);
        }
        members[k].value = &member->value;
    }
    for (size_t k = 0; k < count; k++) {
        if (members[k].is_required && members[k].value == NULL) {
            return shape_refuse(shape, "missing field `%s`", members[k].name);
        }
    }
    return true;
}

bool
shape_strings(struct shape *shape, const struct value *list, const char *member)
{
    if (!shape_expect(shape, list, VALUE_LIST, member)) {
        return false;
    }
    for (uint32_t i = 0; i < list->length; i++) {
        if (!shape_expect(shape, &list->as.items[i], VALUE_STR, member)) {
            return false;
        }
    }
    return true;
}

/* A list of strings as slices. */
static bool
take_strings(struct shape *shape, struct slice **out, size_t *out_count, const struct value *list,
             const char *member)
{
    if (!shape_strings(shape, list, member)) {
        return false;
    }
    struct slice *items = list_of(shape->arena, list->length, sizeof *items);

    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < list->length; i++) {
        items[i] = value_slice(&list->as.items[i]);
    }
    *out = items;
    *out_count = list->length;
    return true;
}

/* An unsigned integer or null. */
static bool
take_u64(struct shape *shape, uint64_t *out, bool *is_given, const struct value *v,
         const char *member)
{
    if (v == NULL || v->kind == VALUE_NULL) {
        return true;
    }
    if (v->kind == VALUE_I64 && v->as.i64 < 0) {
        return shape_refuse(shape, "invalid value: integer `%lld`, expected u64 for `%s`",
                            (long long)v->as.i64, member);
    }
    if (!shape_expect(shape, v, VALUE_I64, member)) {
        return false;
    }
    *out = (uint64_t)v->as.i64;
    *is_given = true;
    return true;
}

/* ---- schemas ---- */

static bool
take_fields(struct shape *shape, struct descriptor *node, struct names *known,
            const struct value *fields, size_t optional_count)
{
    if (!shape_expect(shape, fields, VALUE_MAP, "fields")) {
        return false;
    }
    node->fields = list_of(shape->arena, fields->length + optional_count, sizeof *node->fields);
    if (node->fields == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < fields->length; i++) {
        const struct value_member *member = &fields->as.members[i];
        struct slice name = value_slice(&member->key);
        uint32_t at = names_find(known, name);
        enum field_type type;

        if (!shape_expect(shape, &member->value, VALUE_STR, "fields")) {
            return false;
        }
        if (!field_type_parse(&type, value_slice(&member->value))) {
            return shape_refuse(shape,
                                "unknown variant `%s`, expected one of `str`, `i64`, `f64`, "
                                "`bool`, `bytes`, `datetime`, `json` for field '%s'",
                                bv_error_quote(value_slice(&member->value)), bv_error_quote(name));
        }
        if (at == NAMES_NONE) {
            at = (uint32_t)node->field_count++;
            if (!names_put(known, name, at)) {
                return false;
            }
        }
        node->fields[at] = (struct row_field){.name = name, .type = type};
    }
    node->slot_count = node->field_count;
    return true;
}

static bool
take_optional(struct shape *shape, struct descriptor *node, struct names *known,
              const struct value *names)
{
    for (uint32_t i = 0; i < names->length; i++) {
        struct slice name = value_slice(&names->as.items[i]);
        uint32_t at = names_find(known, name);

        if (at == NAMES_NONE) {
            report_path(shape->report, "%s.schema.optional_fields[%u]", shape->where, i);
            report_warning(shape->report,
                           "optional field '%s' is not in fields: it is accepted on push and "
                           "otherwise unknown",
                           bv_error_quote(name));
            at = (uint32_t)node->field_count++;
            if (!names_put(known, name, at)) {
                return false;
            }
            node->fields[at] = (struct row_field){.name = name, .type = FIELD_JSON};
        }
        node->fields[at].is_optional = true;
    }
    return true;
}

static bool
take_schema(struct shape *shape, struct descriptor *node, const struct value *schema)
{
    struct member members[] = {{"fields", true, NULL}, {"optional_fields", false, NULL}};
    struct names known;

    if (!shape_expect(shape, schema, VALUE_MAP, "schema") ||
        !shape_members(shape, schema, members, 2)) {
        return false;
    }
    const struct value *optional = members[1].value;

    if (optional != NULL && !shape_strings(shape, optional, "optional_fields")) {
        return false;
    }
    names_init(&known, shape->arena);
    return take_fields(shape, node, &known, members[0].value,
                       optional == NULL ? 0 : optional->length) &&
           (optional == NULL || take_optional(shape, node, &known, optional));
}

/* ---- nodes ---- */

static bool
take_event(struct shape *shape, struct descriptor *node, struct draft_facts *facts,
           const struct value *object)
{
    enum { KIND, NAME, SCHEMA, KEY, WINDOW, KEEP, COLD, VERSION };
    struct member members[] = {
        {"kind", true, NULL},
        {"name", true, NULL},
        {"schema", true, NULL},
        {"dedupe_key", false, NULL},
        {"dedupe_window_ms", false, NULL},
        {"keep_events_for_ms", false, NULL},
        {"cold_after_ms", false, NULL},
        {"registered_at_version", false, NULL},
    };
    bool has_version = false;

    if (!shape_members(shape, object, members, sizeof members / sizeof members[0]) ||
        !shape_expect(shape, members[NAME].value, VALUE_STR, "name") ||
        !take_schema(shape, node, members[SCHEMA].value) ||
        !take_u64(shape, &node->dedupe_window_ms, &facts->has_dedupe_window, members[WINDOW].value,
                  "dedupe_window_ms") ||
        !take_u64(shape, &node->keep_events_for_ms, &facts->has_keep_events, members[KEEP].value,
                  "keep_events_for_ms") ||
        !take_u64(shape, &node->cold_after_ms, &facts->has_cold_after, members[COLD].value,
                  "cold_after_ms") ||
        !take_u64(shape, &node->registered_at_version, &has_version, members[VERSION].value,
                  "registered_at_version")) {
        return false;
    }
    const struct value *key = members[KEY].value;

    if (key != NULL && key->kind != VALUE_NULL) {
        if (!shape_expect(shape, key, VALUE_STR, "dedupe_key")) {
            return false;
        }
        facts->has_dedupe_key = true;
        node->dedupe_key = value_slice(key);
        if (!facts->has_dedupe_window) {
            node->dedupe_window_ms = 86400000; /* 24 h (wire.md 4.2) */
        }
    }
    node->name = value_slice(members[NAME].value);
    return true;
}

static bool
take_ops(struct shape *shape, struct descriptor *node, const struct value *ops)
{
    char where[sizeof shape->where];

    if (!shape_expect(shape, ops, VALUE_LIST, "ops")) {
        return false;
    }
    struct value *taken = list_of(shape->arena, ops->length, sizeof *taken);

    if (taken == NULL) {
        return false;
    }
    memcpy(where, shape->where, sizeof where);
    for (uint32_t i = 0; i < ops->length; i++) {
        (void)snprintf(shape->where, sizeof shape->where, "%.64s.ops[%u]", where, i);
        if (!shape_op(&taken[i], shape, &ops->as.items[i])) {
            return false;
        }
    }
    memcpy(shape->where, where, sizeof where);
    node->ops = taken;
    node->op_count = ops->length;
    return true;
}

static bool
take_output_kind(struct shape *shape, struct descriptor *node, const struct value *v)
{
    if (!shape_expect(shape, v, VALUE_STR, "output_kind")) {
        return false;
    }
    node->is_table = slice_equal(value_slice(v), slice_text("table"));
    if (!node->is_table && !slice_equal(value_slice(v), slice_text("event"))) {
        return shape_refuse(shape, "unknown variant `%s`, expected `event` or `table`",
                            bv_error_quote(value_slice(v)));
    }
    return true;
}

static bool
take_derivation(struct shape *shape, struct descriptor *node, const struct value *object)
{
    enum { KIND, NAME, OUTPUT, UPSTREAMS, OPS, SCHEMA, PRIMARY, VERSION };
    struct member members[] = {
        {"kind", true, NULL},
        {"name", true, NULL},
        {"output_kind", true, NULL},
        {"upstreams", true, NULL},
        {"ops", false, NULL},
        {"schema", false, NULL},
        {"table_primary_key", false, NULL},
        {"registered_at_version", false, NULL},
    };
    bool has_version = false;

    if (!shape_members(shape, object, members, sizeof members / sizeof members[0]) ||
        !shape_expect(shape, members[NAME].value, VALUE_STR, "name") ||
        !take_output_kind(shape, node, members[OUTPUT].value) ||
        !take_strings(shape, &node->upstreams, &node->upstream_count, members[UPSTREAMS].value,
                      "upstreams") ||
        (members[OPS].value != NULL && !take_ops(shape, node, members[OPS].value)) ||
        (members[SCHEMA].value != NULL && !take_schema(shape, node, members[SCHEMA].value)) ||
        !take_u64(shape, &node->registered_at_version, &has_version, members[VERSION].value,
                  "registered_at_version")) {
        return false;
    }
    const struct value *primary = members[PRIMARY].value;

    if (primary != NULL && primary->kind != VALUE_NULL) {
        if (!take_strings(shape, &node->primary_key, &node->primary_key_count, primary,
                          "table_primary_key")) {
            return false;
        }
        node->has_primary_key = true;
    }
    node->name = value_slice(members[NAME].value);
    return true;
}

static bool
take_node(struct shape *shape, struct descriptor *node, struct draft_facts *facts,
          const struct value *object)
{
    if (!shape_expect(shape, object, VALUE_MAP, "nodes")) {
        return false;
    }
    const struct value *kind = value_find(object, "kind");

    if (kind == NULL) {
        return shape_refuse(shape, "missing field `kind`");
    }
    if (!shape_expect(shape, kind, VALUE_STR, "kind")) {
        return false;
    }
    if (slice_equal(value_slice(kind), slice_text("event"))) {
        node->kind = DESCRIPTOR_EVENT;
        return take_event(shape, node, facts, object);
    }
    if (slice_equal(value_slice(kind), slice_text("derivation"))) {
        node->kind = DESCRIPTOR_DERIVATION;
        return take_derivation(shape, node, object);
    }
    return shape_refuse(shape, "unknown variant `%s`, expected `event` or `derivation`",
                        bv_error_quote(value_slice(kind)));
}

static bool
take_nodes(struct draft *out, struct shape *shape, const struct value *nodes)
{
    out->node_count = 0;
    out->nodes = list_of(shape->arena, nodes->length, sizeof *out->nodes);
    out->facts = list_of(shape->arena, nodes->length, sizeof *out->facts);
    if (out->nodes == NULL || out->facts == NULL) {
        shape->report->is_out_of_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < nodes->length; i++) {
        (void)snprintf(shape->where, sizeof shape->where, "nodes[%u]", i);
        out->nodes[i] = (struct descriptor){.kind = DESCRIPTOR_EVENT};
        out->facts[i] = (struct draft_facts){.has_dedupe_key = false};
        if (!take_node(shape, &out->nodes[i], &out->facts[i], &nodes->as.items[i])) {
            shape->report->is_out_of_memory |= !shape->is_refused;
            return false;
        }
        out->node_count++;
    }
    shape->where[0] = '\0';
    return true;
}

/* Where a parser that reads on would have missed the member: at the end of the text. */
static void
end_of_text(struct slice text, size_t *line, size_t *column)
{
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL) {
        text.size--;
    }
    *line = 1;
    *column = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool is_end = text.data[i] == '\n';

        *line += is_end;
        *column = is_end ? 0 : *column + 1;
    }
}

const struct value *
payload_nodes(const struct value *body)
{
    const struct value *nodes = value_find(body, "nodes");

    if (nodes == NULL) {
        nodes = value_find(body, "descriptors");
    }
    return nodes != NULL && nodes->kind == VALUE_LIST ? nodes : NULL;
}

static bool
take_switch(struct shape *shape, bool *out, const struct value *v, const char *name)
{
    if (v == NULL || v->kind == VALUE_BOOL) {
        *out = v != NULL && v->as.bits != 0;
        return true;
    }
    shape->is_refused = true;
    report_path(shape->report, "%s", name);
    report_hint(shape->report, "write true or false without quotes");
    report_error(shape->report, BV_INVALID_REGISTRATION, "switch_type",
                 "`%s` must be true or false, got a %s", name, kind_name(v->kind));
    return false;
}

bool
shape_draft(struct draft *out, const struct value *body, struct slice text, struct report *report)
{
    enum { NODES, FORCE, DRY_RUN };
    struct member members[] = {
        {"nodes", false, NULL}, {"force", false, NULL}, {"dry_run", false, NULL}};
    struct shape shape = {.report = report, .arena = report->arena};
    const struct value *alias = value_find(body, "descriptors");
    size_t line, column;

    *out = (struct draft){.force = false};
    end_of_text(text, &line, &column);
    if (body->kind != VALUE_MAP) {
        shape_refuse(&shape, "invalid type: %s, expected a map at line %zu column %zu",
                     kind_name(body->kind), line, column);
        return true;
    }
    /* Unknown members of the body itself are ignored without a word (wire.md 4.1). */
    for (uint32_t i = 0; i < body->length; i++) {
        struct slice key = value_slice(&body->as.members[i].key);

        for (size_t k = 0; k < 3; k++) {
            if (!slice_equal(key, slice_text(members[k].name))) {
                continue;
            }
            if (members[k].value != NULL) {
                shape_refuse(&shape, "duplicate field `%s`", members[k].name);
                return true;
            }
            members[k].value = &body->as.members[i].value;
        }
    }
    const struct value *nodes = members[NODES].value == NULL ? alias : members[NODES].value;

    if (nodes == NULL) {
        shape_refuse(&shape, "missing field `nodes` at line %zu column %zu", line, column);
        return true;
    }
    if (shape_expect(&shape, nodes, VALUE_LIST, "nodes") &&
        take_switch(&shape, &out->force, members[FORCE].value, "force") &&
        take_switch(&shape, &out->dry_run, members[DRY_RUN].value, "dry_run")) {
        (void)take_nodes(out, &shape, nodes);
    }
    return !report->is_out_of_memory;
}

bool
shape_logged(struct draft *out, const struct value *nodes, struct report *report)
{
    struct shape shape = {.report = report, .arena = report->arena};

    *out = (struct draft){.force = false};
    (void)take_nodes(out, &shape, nodes);
    return !report->is_out_of_memory;
}
