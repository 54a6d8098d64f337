/* SPDX-License-Identifier: Apache-2.0 */
/* The ops of a derivation in canonical form: members sorted, of repeated keys the last, unknown
 * members and parameters left out (with a warning), defaults filled in. Two ops mean the same to
 * the server exactly when their canonical JSON is the same text; what is not known today cannot
 * change its meaning when a later release learns it.
 *
 * Enters:  op objects of any shape.
 * Leaves:  op objects with exactly the members of operators.md 6, or a refusal.
 * Owner:   the arena of the report.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "agg/op.h"
#include "registry/draft.h"
#include "registry/list.h"
#include "wire/json.h"

enum body_kind { BODY_TEXT, BODY_NAMES, BODY_TEXTS, BODY_ANY, BODY_GROUP };

/* One kind of op: its body's member and what stands in it. */
static const struct {
    const char *op;
    const char *canonical; /* older clients say map for with_columns */
    const char *member;
    enum body_kind body;
} op_shapes[] = {
    {"filter", "filter", "expr", BODY_TEXT},
    {"select", "select", "fields", BODY_NAMES},
    {"drop", "drop", "fields", BODY_NAMES},
    {"rename", "rename", "mapping", BODY_TEXTS},
    {"with_columns", "with_columns", "exprs", BODY_TEXTS},
    {"map", "with_columns", "exprs", BODY_TEXTS},
    {"cast", "cast", "type_map", BODY_TEXTS},
    {"fillna", "fillna", "defaults", BODY_ANY},
    {"group_by", "group_by", "agg", BODY_GROUP},
};

#define OP_SHAPE_COUNT (sizeof op_shapes / sizeof op_shapes[0])

static int
compare_members(const void *a, const void *b)
{
    const struct value_member *const *left = a;
    const struct value_member *const *right = b;
    int order = slice_compare(value_slice(&(*left)->key), value_slice(&(*right)->key));

    return order != 0 ? order : (*left > *right) - (*left < *right);
}

static struct value
map_of(const struct value_member *members, size_t count)
{
    return (struct value){.as.members = members, .length = (uint32_t)count, .kind = VALUE_MAP};
}

static struct value_member
member_of(const char *name, struct value v)
{
    return (struct value_member){.key = value_str(slice_text(name)), .value = v};
}

/* The members in ascending order, the last of each name. `spare` more places are left behind them.
 * False: memory is spent. */
static bool
sort_members(struct value_member **out, size_t *out_count, struct shape *shape,
             const struct value *object, size_t spare)
{
    const struct value_member **order = list_of(shape->arena, object->length, sizeof *order);
    struct value_member *sorted = list_of(shape->arena, object->length + spare, sizeof *sorted);
    size_t count = 0;

    if (order == NULL || sorted == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < object->length; i++) {
        order[i] = &object->as.members[i];
    }
    qsort(order, object->length, sizeof order[0], compare_members);
    for (uint32_t i = 0; i < object->length; i++) {
        if (count > 0 &&
            slice_equal(value_slice(&sorted[count - 1].key), value_slice(&order[i]->key))) {
            count--;
        }
        sorted[count++] = *order[i];
    }
    *out = sorted;
    *out_count = count;
    return true;
}

/* ---- feature specs ---- */

static const struct agg_param *
param_of(const struct agg_op *op, struct slice name)
{
    for (unsigned i = 0; i < op->param_count; i++) {
        if (slice_equal(name, slice_text(op->params[i].name))) {
            return &op->params[i];
        }
    }
    return NULL;
}

static bool
is_known_param(const struct agg_op *op, struct slice name)
{
    return slice_equal(name, slice_text("window")) || slice_equal(name, slice_text("where")) ||
           (op->window_alias != NULL && slice_equal(name, slice_text(op->window_alias))) ||
           param_of(op, name) != NULL;
}

static bool
has_member(const struct value_member *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(value_slice(&members[i].key), slice_text(name))) {
            return true;
        }
    }
    return false;
}

/* Appends the defaults of parameters that are absent, then sorts them in. */
static bool
add_defaults(struct shape *shape, const struct agg_op *op, struct value_member *members,
             size_t *count)
{
    for (unsigned i = 0; i < op->param_count; i++) {
        struct value fallback;

        if (op->params[i].fallback == NULL || has_member(members, *count, op->params[i].name)) {
            continue;
        }
        if (json_parse(&fallback, slice_text(op->params[i].fallback), JSON_DEPTH_MAX, shape->arena,
                       NULL) != BV_OK) {
            return false;
        }
        struct value_member added = member_of(op->params[i].name, fallback);
        size_t at = (*count)++;

        while (at > 0 &&
               slice_compare(value_slice(&members[at - 1].key), value_slice(&added.key)) > 0) {
            members[at] = members[at - 1];
            at--;
        }
        members[at] = added;
    }
    return true;
}

/* Known parameters that are not null, with defaults. An unknown operator keeps all of them: it will
 * be refused, and nothing can be said about its parameters. */
static bool
take_params(struct value *out, struct shape *shape, const struct agg_op *op,
            const struct value *params)
{
    const struct value none = map_of(NULL, 0);
    struct value_member *members;
    size_t count, kept = 0;

    if (params == NULL || params->kind == VALUE_NULL) {
        params = &none;
    }
    if (!shape_expect(shape, params, VALUE_MAP, "params") ||
        !sort_members(&members, &count, shape, params, op == NULL ? 0 : op->param_count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct slice name = value_slice(&members[i].key);

        if (op != NULL && !is_known_param(op, name)) {
            report_path(shape->report, "%s.params.%s", shape->where, bv_error_quote(name));
            report_warning(shape->report, "`%s` has no parameter '%s': it is ignored", op->name,
                           bv_error_quote(name));
        } else if (members[i].value.kind != VALUE_NULL) {
            members[kept++] = members[i];
        }
    }
    if (op != NULL && !add_defaults(shape, op, members, &kept)) {
        return false;
    }
    *out = map_of(members, kept);
    return true;
}

static bool
take_feature(struct value *out, struct shape *shape, const struct value *spec)
{
    struct member members[] = {{"op", true, NULL}, {"params", false, NULL}};
    struct value params;

    if (!shape_expect(shape, spec, VALUE_MAP, "agg") || !shape_members(shape, spec, members, 2) ||
        !shape_expect(shape, members[0].value, VALUE_STR, "op")) {
        return false;
    }
    struct slice name = value_slice(members[0].value);
    const struct agg_op *op = agg_op_find(name);

    if (!take_params(&params, shape, op, members[1].value)) {
        return false;
    }
    struct value_member *taken = list_of(shape->arena, 2, sizeof *taken);

    if (taken == NULL) {
        return false;
    }
    taken[0] = member_of("op", value_str(op == NULL ? name : slice_text(op->name)));
    taken[1] = member_of("params", params);
    *out = map_of(taken, 2);
    return true;
}

static bool
take_group(struct value *out, struct shape *shape, const struct value *agg,
           const struct value *keys)
{
    char where[sizeof shape->where];
    struct value_member *features;
    size_t count;

    if (!shape_strings(shape, keys, "keys") || !shape_expect(shape, agg, VALUE_MAP, "agg") ||
        !sort_members(&features, &count, shape, agg, 0)) {
        return false;
    }
    memcpy(where, shape->where, sizeof where);
    for (size_t i = 0; i < count; i++) {
        struct value spec = features[i].value;

        (void)snprintf(shape->where, sizeof shape->where, "%.64s.agg.%.100s", where,
                       bv_error_quote(value_slice(&features[i].key)));
        if (!take_feature(&features[i].value, shape, &spec)) {
            return false;
        }
    }
    memcpy(shape->where, where, sizeof where);
    struct value_member *members = list_of(shape->arena, 3, sizeof *members);

    if (members == NULL) {
        return false;
    }
    members[0] = member_of("agg", map_of(features, count));
    members[1] = member_of("keys", *keys);
    members[2] = member_of("op", value_str(slice_text("group_by")));
    *out = map_of(members, 3);
    return true;
}

/* ---- chain ops ---- */

/* A map of texts (rename, with_columns, cast) or of scalars (fillna: a list or an object stands
 * for null). */
static bool
take_map(struct value *out, struct shape *shape, const struct value *map, const char *member,
         bool is_text)
{
    struct value_member *members;
    size_t count;

    if (!shape_expect(shape, map, VALUE_MAP, member) ||
        !sort_members(&members, &count, shape, map, 0)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct value *v = &members[i].value;

        if (is_text && !shape_expect(shape, v, VALUE_STR, member)) {
            return false;
        }
        if (v->kind == VALUE_LIST || v->kind == VALUE_MAP) {
            *v = value_null();
        }
    }
    *out = map_of(members, count);
    return true;
}

static bool
take_body(struct value *out, struct shape *shape, const struct value *body, size_t kind)
{
    const char *member = op_shapes[kind].member;

    switch (op_shapes[kind].body) {
    case BODY_TEXT:
        *out = *body;
        return shape_expect(shape, body, VALUE_STR, member);
    case BODY_NAMES:
        *out = *body;
        return shape_strings(shape, body, member);
    default:
        return take_map(out, shape, body, member, op_shapes[kind].body == BODY_TEXTS);
    }
}

static bool
find_shape(size_t *out, struct shape *shape, const struct value *op)
{
    if (!shape_expect(shape, op, VALUE_MAP, "ops")) {
        return false;
    }
    const struct value *name = value_find(op, "op");

    if (name == NULL) {
        return shape_refuse(shape, "missing field `op`");
    }
    if (!shape_expect(shape, name, VALUE_STR, "op")) {
        return false;
    }
    for (size_t i = 0; i < OP_SHAPE_COUNT; i++) {
        if (slice_equal(value_slice(name), slice_text(op_shapes[i].op))) {
            *out = i;
            return true;
        }
    }
    return shape_refuse(shape,
                        "unknown variant `%s`, expected one of `filter`, `select`, `drop`, "
                        "`rename`, `with_columns`, `map`, `cast`, `fillna`, `group_by`",
                        bv_error_quote(value_slice(name)));
}

bool
shape_op(struct value *out, struct shape *shape, const struct value *op)
{
    size_t kind = 0;

    if (!find_shape(&kind, shape, op)) {
        return false;
    }
    bool is_group = op_shapes[kind].body == BODY_GROUP;
    struct member members[] = {
        {"op", true, NULL}, {op_shapes[kind].member, true, NULL}, {"keys", true, NULL}};

    if (!shape_members(shape, op, members, is_group ? 3 : 2)) {
        return false;
    }
    if (is_group) {
        return take_group(out, shape, members[1].value, members[2].value);
    }
    struct value_member *taken = list_of(shape->arena, 2, sizeof *taken);
    struct value body;

    if (taken == NULL || !take_body(&body, shape, members[1].value, kind)) {
        return false;
    }
    struct value_member name = member_of("op", value_str(slice_text(op_shapes[kind].canonical)));
    bool is_name_last = strcmp(op_shapes[kind].member, "op") < 0;

    taken[is_name_last ? 1 : 0] = name;
    taken[is_name_last ? 0 : 1] = member_of(op_shapes[kind].member, body);
    *out = map_of(taken, 2);
    return true;
}
