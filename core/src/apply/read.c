/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: key -> features (wire.md 6). They change nothing a client can see; a block of an older
 * layout is moved on the way.
 *
 * Enters:  get, batch_get, mget, get_multi and single reads, decoded from either encoding.
 * Leaves:  rows, or the refusals of wire.md 6.1 in their order.
 */
#include <stdlib.h>

#include "apply/apply.h"
#include "state/key.h"
#include "util/bytes.h"
#include "wire/frame.h"
#include "wire/json.h"
#include "wire/msgpack.h"

#define READ_CELLS_MAX  10000       /* mget and get_multi: keys x features */
#define REPLY_FRAME_MAX (64u << 20) /* the limit of a frame is never above (server/config.def) */

/* ---- keys ---- */

struct read_key {
    struct slice *parts;
    size_t count;
    bool is_list; /* its parts are meant as they are: a '|' needs no escape (W43) */
};

static enum bv_status
wrong_arity(const struct live_table *table, struct slice shown, struct bv_error *err)
{
    return bv_error_set(err, BV_KEY_PARSE_FAILURE,
                        "key '%s' does not match table '%s' group_keys arity (%zu)",
                        bv_error_quote(shown), table->name_text, table->plan->resolved->key_count);
}

static bool
split(struct read_key *out, struct slice text, size_t wanted, struct arena *arena)
{
    const uint8_t *end = text.data + text.size;
    const uint8_t *from = text.data;

    out->parts = arena_alloc(arena, (wanted + 1) * sizeof *out->parts);
    out->count = 0;
    out->is_list = false;
    if (out->parts == NULL) {
        return false;
    }
    if (wanted == 0) {
        return text.size == 0;
    }
    if (wanted == 1) {
        /* One column: the whole string, so that '|' can be part of it (W42). */
        out->parts[out->count++] = text;
        return true;
    }
    for (;;) {
        const uint8_t *bar = from == end ? NULL : memchr(from, '|', (size_t)(end - from));

        if (out->count == wanted) {
            return false;
        }
        out->parts[out->count++] = slice_of(from, (size_t)((bar == NULL ? end : bar) - from));
        if (bar == NULL) {
            return out->count == wanted;
        }
        from = bar + 1;
    }
}

/* A key as a request has it: text, a scalar, an array of scalars (V59), null for "". */
static enum bv_status
parse_key(struct read_key *out, const struct live_table *table, const struct value *key,
          struct arena *arena, struct bv_error *err)
{
    const size_t wanted = table->plan->resolved->key_count;
    struct slice text = slice_of("", 0);

    if (key->kind == VALUE_LIST) {
        out->parts = arena_alloc(arena, (key->length + 1) * sizeof *out->parts);
        if (out->parts == NULL) {
            return bv_error_set(err, BV_NO_MEMORY, "a key of %u parts", key->length);
        }
        out->count = key->length;
        out->is_list = true;
        for (size_t i = 0; i < key->length; i++) {
            if (!key_text(&out->parts[i], &key->as.items[i], arena)) {
                return bv_error_set(err, BV_MALFORMED_REQUEST,
                                    "part %zu of the key is neither text, number nor bool", i);
            }
        }
        return out->count == wanted ? BV_OK : wrong_arity(table, slice_of("[..]", 4), err);
    }
    if (key->kind != VALUE_NULL && !key_text(&text, key, arena)) {
        return bv_error_set(err, BV_MALFORMED_REQUEST,
                            "\"key\" is neither text, number, bool nor an array of them");
    }
    return split(out, text, wanted, arena) ? BV_OK : wrong_arity(table, text, err);
}

static bool
has_escaped_bar(const struct read_key *key)
{
    for (size_t i = 0; i < key->count; i++) {
        for (size_t k = 0; k + 2 < key->parts[i].size; k++) {
            const uint8_t *at = key->parts[i].data + k;

            if (at[0] == '%' && at[1] == '7' && (at[2] == 'C' || at[2] == 'c')) {
                return true;
            }
        }
    }
    return false;
}

static struct read_key
unescape_bars(const struct read_key *key, struct arena *arena)
{
    struct read_key out = {arena_alloc(arena, (key->count + 1) * sizeof *out.parts), key->count,
                           key->is_list};

    if (out.parts == NULL) {
        return *key;
    }
    for (size_t i = 0; i < key->count; i++) {
        const struct slice from = key->parts[i];
        uint8_t *to = arena_alloc(arena, from.size + 1);
        size_t size = 0;

        if (to == NULL) {
            return *key;
        }
        for (size_t k = 0; k < from.size; k++) {
            if (from.data[k] == '%' && k + 2 < from.size && from.data[k + 1] == '7' &&
                (from.data[k + 2] | 0x20) == 'c') {
                to[size++] = '|';
                k += 2;
            } else {
                to[size++] = from.data[k];
            }
        }
        out.parts[i] = slice_of(to, size);
    }
    return out;
}

/* State bytes of an entity, NULL when it is cold: never seen, or idle for too long. */
static const void *
find_exact(struct engine *engine, struct live_table *table, const struct read_key *key)
{
    struct slice joined;

    if (!key_join(&joined, key->parts, key->count, &engine->arena)) {
        return NULL;
    }
    const uint64_t hash = table_hash(table->table, joined);
    const uint32_t ref = idle_find(engine, table, hash, joined);

    return ref == 0 ? NULL : live_state(engine, table, hash, ref);
}

static const void *
find_entity(struct engine *engine, struct live_table *table, const struct read_key *key)
{
    const void *state = find_exact(engine, table, key);

    if (state == NULL && !key->is_list && has_escaped_bar(key)) {
        const struct read_key plain = unescape_bars(key, &engine->arena);

        state = find_exact(engine, table, &plain);
    }
    return state;
}

/* ---- one row ---- */

struct selection {
    uint32_t *indexes; /* ascending; NULL: all */
    uint32_t count;
};

static int
name_to_feature(const void *name, const void *element)
{
    return slice_compare(*(const struct slice *)name, ((const struct plan_feature *)element)->name);
}

static uint32_t
feature_index(const struct live_table *table, struct slice name)
{
    const struct plan_table *plan = table->plan;
    const struct plan_feature *found = plan->feature_count == 0
                                           ? NULL
                                           : bsearch(&name, plan->features, plan->feature_count,
                                                     sizeof *plan->features, name_to_feature);

    return found == NULL ? UINT32_MAX : (uint32_t)(found - plan->features);
}

/* feature_not_found: missing=["zz","yy"] table=T, in request order. */
static enum bv_status
missing_features(const struct live_table *table, const struct value *names, struct engine *engine,
                 struct bv_error *err)
{
    struct buf *text = &engine->scratch;

    buf_clear(text);
    for (uint32_t i = 0; i < names->length && text->size < 400; i++) {
        const struct slice name = value_slice(&names->as.items[i]);

        if (feature_index(table, name) == UINT32_MAX) {
            buf_text(text, text->size == 0 ? "" : ", ");
            json_write_string(text, slice_text(bv_error_quote(name)));
        }
    }
    buf_byte(text, '\0');
    bv_error_set(err, BV_INTERNAL_ERROR, "feature_not_found: missing=[%s] table=%s",
                 text->failed ? "" : (const char *)text->data, table->name_text);
    bv_error_path(err, "features");
    return BV_INTERNAL_ERROR;
}

static enum bv_status
select_features(struct selection *out, const struct live_table *table, const struct value *names,
                struct engine *engine, struct bv_error *err)
{
    const uint32_t total = table->plan->feature_count;

    *out = (struct selection){0};
    if (names == NULL || names->kind == VALUE_NULL) {
        return BV_OK;
    }
    bool *wanted = arena_alloc(&engine->arena, total + 1);

    out->indexes = arena_alloc(&engine->arena, (total + 1) * sizeof *out->indexes);
    if (wanted == NULL || out->indexes == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "choosing among %u features", total);
    }
    memset(wanted, 0, total + 1);
    for (uint32_t i = 0; i < names->length; i++) {
        const uint32_t index = feature_index(table, value_slice(&names->as.items[i]));

        if (index == UINT32_MAX) {
            return missing_features(table, names, engine, err);
        }
        wanted[index] = true;
    }
    for (uint32_t i = 0; i < total; i++) {
        if (wanted[i]) {
            out->indexes[out->count++] = i;
        }
    }
    return BV_OK;
}

static bool
is_list_of_text(const struct value *v)
{
    if (v == NULL || v->kind != VALUE_LIST) {
        return false;
    }
    for (uint32_t i = 0; i < v->length; i++) {
        if (v->as.items[i].kind != VALUE_STR) {
            return false;
        }
    }
    return true;
}

/* The members of a get, or of an entry of batch_get. */
struct query {
    struct slice table;
    const struct value *key;
    const struct value *features; /* NULL: all */
};

static enum bv_status
malformed(struct bv_error *err, const char *path, const char *message)
{
    bv_error_set(err, BV_MALFORMED_REQUEST, "%s", message);
    bv_error_path(err, "%s", path);
    return BV_MALFORMED_REQUEST;
}

static enum bv_status
parse_query(struct query *out, const struct value *request, struct bv_error *err)
{
    const struct value *members[4] = {NULL};
    static const char *const names[4] = {"table", "key", "features", "entity_id"};

    if (request->kind != VALUE_MAP) {
        return malformed(err, "", "expected an object {\"table\":..,\"key\":..,\"features\":..}");
    }
    for (uint32_t i = 0; i < request->length; i++) {
        for (unsigned k = 0; k < 4; k++) {
            if (!slice_equal(value_slice(&request->as.members[i].key), slice_text(names[k]))) {
                continue;
            }
            if (members[k] != NULL) {
                bv_error_set(err, BV_MALFORMED_REQUEST, "duplicate field `%s`", names[k]);
                return BV_MALFORMED_REQUEST;
            }
            members[k] = &request->as.members[i].value;
        }
    }
    if (members[1] != NULL && members[3] != NULL) {
        return malformed(err, "entity_id", "duplicate field `key`");
    }
    if (members[0] == NULL) {
        return malformed(err, "table", "missing field `table`");
    }
    if (members[0]->kind != VALUE_STR) {
        return malformed(err, "table", "invalid type for `table`, expected a string");
    }
    out->table = value_slice(members[0]);
    out->key = members[1] != NULL ? members[1] : members[3];
    if (out->key == NULL) {
        return malformed(err, "key", "missing field `key`");
    }
    out->features = members[2];
    if (out->features != NULL && out->features->kind != VALUE_NULL &&
        !is_list_of_text(out->features)) {
        return malformed(err, "features",
                         "invalid type for `features`, expected an array of strings");
    }
    return BV_OK;
}

static enum bv_status
unknown_table(struct slice name, struct bv_error *err)
{
    bv_error_set(err, BV_UNKNOWN_TABLE, "table '%s' is not a registered aggregation",
                 bv_error_quote(name));
    return BV_UNKNOWN_TABLE;
}

/* A row, {} for a cold entity, or the refusal; *status tells them apart. */
static enum bv_status
run_query(struct value *out, struct engine *engine, const struct query *query, struct bv_error *err)
{
    struct live_table *table = live_find_table(&engine->live, query->table);
    struct selection selection;
    struct read_key key;

    if (table == NULL) {
        return unknown_table(query->table, err);
    }
    enum bv_status status = select_features(&selection, table, query->features, engine, err);

    if (status == BV_OK) {
        status = parse_key(&key, table, query->key, &engine->arena, err);
    }
    if (status != BV_OK) {
        return status;
    }
    const void *state = find_entity(engine, table, &key);

    *out = state == NULL ? (struct value){.kind = VALUE_MAP}
                         : feature_row(engine, table, state, selection.indexes, selection.count);
    return BV_OK;
}

static enum bv_status
parse_document(struct value *out, struct engine *engine, const struct request *request,
               struct bv_error *err)
{
    return request->encoding == ENCODING_MSGPACK
               ? msgpack_parse(out, request->payload, MSGPACK_DEPTH_MAX, &engine->arena, err)
               : json_parse(out, request->payload, JSON_DEPTH_MAX, &engine->arena, err);
}

/* Malformed reads keep the code `internal_error` and say what kind they are (V25). */
static void
refuse(struct engine *engine, struct response *out, const struct bv_error *err)
{
    unsigned flags = 0;

    if (err->status == BV_MALFORMED_REQUEST) {
        flags = REPLY_REASON | REPLY_MALFORMED;
    } else if (err->status == BV_INTERNAL_ERROR) {
        flags = REPLY_REASON;
    }
    reply_error(engine, out, err, flags);
}

/* Bodies that clients sent before tables were named in a get. */
static bool
is_retired_shape(const struct request *request, const struct value *body)
{
    const struct value *keys = value_find(body, "keys");
    const struct value *features = value_find(body, "features");
    const struct value *key = value_find(body, "key");
    const struct value *feature = value_find(body, "feature");

    if (request->encoding != ENCODING_JSON) {
        return false;
    }
    return (keys != NULL && features != NULL && keys->kind == VALUE_LIST &&
            features->kind == VALUE_LIST) ||
           (key != NULL && feature != NULL && key->kind == VALUE_STR && feature->kind == VALUE_STR);
}

void
read_get(struct engine *engine, const struct request *request, struct response *out)
{
    struct value body;
    struct value row;
    struct query query;
    struct bv_error err;
    enum bv_status status = parse_document(&body, engine, request, &err);

    if (status == BV_OK) {
        status = parse_query(&query, &body, &err);
        if (status != BV_OK && is_retired_shape(request, &body)) {
            status = bv_error_set(&err, BV_UNSUPPORTED_REQUEST_SHAPE,
                                  "%s expects {table, key, features?}; see "
                                  "docs/http-api.md#post-get",
                                  request->transport == TRANSPORT_HTTP ? "POST /get" : "OP_GET");
        }
    }
    if (status == BV_OK) {
        status = run_query(&row, engine, &query, &err);
    }
    if (status != BV_OK) {
        refuse(engine, out, &err);
        return;
    }
    reply_value(engine, out, request->encoding, &row);
}

/* ---- batch_get ---- */

static struct value
entry_error(struct engine *engine, const struct bv_error *err)
{
    struct value_member *object = arena_alloc(&engine->arena, sizeof *object);
    struct value_member *members = arena_alloc(&engine->arena, 2 * sizeof *members);
    const size_t size = strlen(err->message);
    const char *message = arena_copy(&engine->arena, err->message, size);

    if (object == NULL || members == NULL || message == NULL) {
        return value_null();
    }
    members[0].key = value_str(slice_text("code"));
    members[0].value = value_str(slice_text(bv_status_code((enum bv_status)err->status)));
    members[1].key = value_str(slice_text("message"));
    members[1].value = value_str(slice_of(message, size));
    object->key = value_str(slice_text("error"));
    object->value = (struct value){.as.members = members, .length = 2, .kind = VALUE_MAP};
    return (struct value){.as.members = object, .length = 1, .kind = VALUE_MAP};
}

static void
begin_results(struct buf *reply, enum encoding encoding, uint32_t count)
{
    buf_clear(reply);
    if (encoding == ENCODING_MSGPACK) {
        uint8_t head[5] = {(uint8_t)(0x90 | count)}; /* fixarray, array 16, array 32 */
        size_t size = 1;

        if (count > UINT16_MAX) {
            head[0] = 0xdd;
            store_be32(head + 1, count);
            size = 5;
        } else if (count > 15) {
            head[0] = 0xdc;
            store_be16(head + 1, (uint16_t)count);
            size = 3;
        }
        buf_append(reply, "\x81\xa7results", 9);
        buf_append(reply, head, size);
    } else {
        buf_text(reply, "{\"results\":[");
    }
}

static void
write_result(struct buf *reply, enum encoding encoding, uint32_t index, const struct value *row)
{
    if (encoding == ENCODING_MSGPACK) {
        msgpack_write(reply, row);
        return;
    }
    if (index != 0) {
        buf_byte(reply, ',');
    }
    json_write(reply, row);
}

/* Rows become text one by one: as a tree they would take a thousand times the request. */
static enum bv_status
run_batch(struct engine *engine, const struct request *request, enum encoding encoding,
          const struct value *requests, struct bv_error *err)
{
    struct buf *reply = &engine->reply;
    struct query *queries = arena_alloc(&engine->arena, (requests->length + 1) * sizeof *queries);

    if (queries == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "batch_get of %u entries", requests->length);
    }
    /* The shape of every entry is judged before any is read: no partial result. */
    for (uint32_t i = 0; i < requests->length; i++) {
        const enum bv_status status = parse_query(&queries[i], &requests->as.items[i], err);

        if (status != BV_OK) {
            bv_error_path(err, "requests[%u]", i);
            return status;
        }
    }
    begin_results(reply, encoding, requests->length);
    for (uint32_t i = 0; i < requests->length; i++) {
        const struct arena_mark mark = arena_mark(&engine->arena);
        struct value row;
        const enum bv_status status = run_query(&row, engine, &queries[i], err);

        if (status == BV_UNKNOWN_TABLE || status == BV_KEY_PARSE_FAILURE) {
            row = entry_error(engine, err);
        } else if (status != BV_OK) {
            bv_error_path(err, "requests[%u]", i);
            return status;
        }
        if (request->transport != TRANSPORT_TCP || reply->size <= REPLY_FRAME_MAX) {
            write_result(reply, encoding, i, &row);
        } /* else no frame can take it: the transport refuses it by its size */
        arena_rewind(&engine->arena, mark);
    }
    if (encoding != ENCODING_MSGPACK) {
        buf_text(reply, "]}");
    }
    return BV_OK;
}

void
read_batch(struct engine *engine, const struct request *request, struct response *out)
{
    const enum encoding encoding =
        engine->options.mirror_batch_get ? request->encoding : ENCODING_JSON;
    struct value body;
    struct bv_error err;
    enum bv_status status = parse_document(&body, engine, request, &err);

    if (status == BV_OK) {
        const struct value *requests = value_find(&body, "requests");

        if (requests == NULL) {
            status = malformed(&err, "requests", "missing field `requests`");
        } else if (requests->kind != VALUE_LIST) {
            status = malformed(&err, "requests", "invalid type for `requests`, expected an array");
        } else {
            status = run_batch(engine, request, encoding, requests, &err);
        }
    }
    if (status != BV_OK) {
        refuse(engine, out, &err);
        return;
    }
    reply_json(engine, out, FRAME_GET_RESPONSE);
    if (out->status == BV_OK) {
        out->content_type = (uint8_t)encoding;
    }
}

/* ---- by feature name: mget and get_multi ---- */

struct multi {
    const struct live_feature **features; /* ascending by name, distinct */
    uint32_t feature_count;
    struct slice *keys; /* ascending, distinct */
    uint32_t key_count;
};

static int
compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice *
sorted_names(uint32_t *out_count, const struct value *names, struct arena *arena)
{
    struct slice *sorted = arena_alloc(arena, (names->length + 1) * sizeof *sorted);
    uint32_t count = 0;

    *out_count = 0;
    if (sorted == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < names->length; i++) {
        sorted[i] = value_slice(&names->as.items[i]);
    }
    qsort(sorted, names->length, sizeof *sorted, compare_slices);
    for (uint32_t i = 0; i < names->length; i++) {
        if (count == 0 || !slice_equal(sorted[count - 1], sorted[i])) {
            sorted[count++] = sorted[i];
        }
    }
    *out_count = count;
    return sorted;
}

static enum bv_status
resolve_multi(struct multi *out, struct engine *engine, const struct value *features,
              const struct value *keys, struct bv_error *err)
{
    uint32_t name_count = 0;

    if (!is_list_of_text(keys)) {
        return malformed(err, "keys", "missing field `keys`, expected an array of strings");
    }
    const uint64_t cells = (uint64_t)keys->length * features->length;

    if (cells > READ_CELLS_MAX) {
        return bv_error_set(err, BV_INTERNAL_ERROR, "batch_too_large: cells=%llu cap=%u",
                            (unsigned long long)cells, READ_CELLS_MAX);
    }
    struct slice *names = sorted_names(&name_count, features, &engine->arena);

    out->features =
        arena_alloc(&engine->arena, (name_count + 1) * sizeof(const struct live_feature *));
    if (names == NULL || out->features == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "reading %u features", features->length);
    }
    out->feature_count = 0;
    for (uint32_t i = 0; i < name_count; i++) {
        const struct live_feature *feature = live_find_feature(&engine->live, names[i]);

        if (feature == NULL) {
            return bv_error_set(err, BV_INTERNAL_ERROR, "feature_not_found: missing=[\"%s\"]",
                                bv_error_quote(names[i]));
        }
        out->features[out->feature_count++] = feature;
    }
    out->keys = sorted_names(&out->key_count, keys, &engine->arena);
    return BV_OK;
}

static struct value
multi_row(struct engine *engine, const struct multi *multi, struct slice text)
{
    struct value_member *members =
        arena_alloc(&engine->arena, (multi->feature_count + 1) * sizeof *members);
    uint32_t count = 0;

    for (uint32_t i = 0; members != NULL && i < multi->feature_count; i++) {
        const struct live_feature *feature = multi->features[i];
        struct read_key key;

        if (!split(&key, text, feature->table->plan->resolved->key_count, &engine->arena)) {
            continue;
        }
        const void *state = find_entity(engine, feature->table, &key);

        if (state != NULL) {
            members[count].key = value_str(feature->name);
            members[count].value = feature_value(engine, feature->table, state, feature->index);
            count++;
        }
    }
    return (struct value){.as.members = members, .length = count, .kind = VALUE_MAP};
}

void
read_multi(struct engine *engine, const struct request *request, struct response *out)
{
    struct value body;
    struct multi multi;
    struct value one;
    struct bv_error err;
    const struct value *features = NULL;
    enum bv_status status = parse_document(&body, engine, request, &err);

    if (status == BV_OK && request->kind == REQUEST_MGET) {
        const struct value *feature = value_find(&body, "feature");

        if (feature == NULL || feature->kind != VALUE_STR) {
            status = malformed(&err, "feature", "missing field `feature`, expected a string");
        } else {
            one = (struct value){.as.items = feature, .length = 1, .kind = VALUE_LIST};
            features = &one;
        }
    } else if (status == BV_OK) {
        features = value_find(&body, "features");
        if (!is_list_of_text(features)) {
            status = malformed(&err, "features",
                               "missing field `features`, expected an array of strings");
        }
    }
    if (status == BV_OK) {
        status = resolve_multi(&multi, engine, features, value_find(&body, "keys"), &err);
    }
    if (status != BV_OK) {
        refuse(engine, out, &err);
        return;
    }
    struct value_member *rows = arena_alloc(&engine->arena, (multi.key_count + 1) * sizeof *rows);
    uint32_t count = 0;

    for (uint32_t i = 0; rows != NULL && i < multi.key_count; i++) {
        const struct value row = multi_row(engine, &multi, multi.keys[i]);

        if (row.length != 0) {
            rows[count].key = value_str(multi.keys[i]);
            rows[count++].value = row;
        }
    }
    const struct value reply = {.as.members = rows, .length = count, .kind = VALUE_MAP};

    reply_value(engine, out, request->encoding, &reply);
}

/* ---- GET /get/<feature>/<key> ---- */

/* As given, then (a trailing slash belongs to the key, W17) without it, then undecoded (W44). */
static const void *
find_by_path(struct engine *engine, struct live_table *table, const struct request *request,
             struct bv_error *err)
{
    struct slice tries[3] = {request->key, request->key, request->raw_key};
    const void *state = NULL;
    bool fits = false;

    while (tries[1].size != 0 && tries[1].data[tries[1].size - 1] == '/') {
        tries[1].size--;
    }
    for (unsigned i = 0; i < 3 && state == NULL; i++) {
        struct read_key key;

        if (split(&key, tries[i], table->plan->resolved->key_count, &engine->arena)) {
            fits = true;
            state = find_entity(engine, table, &key);
        }
    }
    if (!fits) {
        wrong_arity(table, request->key, err);
    } else if (state == NULL) {
        bv_error_set(err, BV_KEY_NOT_FOUND, "key '%s' has no state in table '%s'",
                     bv_error_quote(request->key), table->name_text);
    }
    return state;
}

void
read_single(struct engine *engine, const struct request *request, struct response *out)
{
    const struct live_feature *feature = live_find_feature(&engine->live, request->name);
    struct live_table *table =
        feature != NULL ? feature->table : live_find_table(&engine->live, request->name);
    struct bv_error err;

    if (table == NULL) {
        bv_error_set(&err, BV_FEATURE_NOT_FOUND, "'%s' is neither a feature nor a table",
                     bv_error_quote(request->name));
        reply_error(engine, out, &err, 0);
        return;
    }
    if (!request->has_key && table->plan->resolved->key_count != 0) {
        /* Only a global table has a row without a key; the transport names the route (V64). */
        bv_error_set(&err, BV_NOT_FOUND, "table '%s' is read with a key", table->name_text);
        reply_error(engine, out, &err, 0);
        return;
    }
    const void *state = find_by_path(engine, table, request, &err);

    if (state == NULL) {
        reply_error(engine, out, &err, 0);
        return;
    }
    if (feature == NULL) {
        const struct value row = feature_row(engine, table, state, NULL, 0);

        reply_value(engine, out, ENCODING_JSON, &row);
        return;
    }
    struct value_member member = {
        .key = value_str(slice_text("value")),
        .value = feature_value(engine, table, state, feature->index),
    };
    const struct value reply = {.as.members = &member, .length = 1, .kind = VALUE_MAP};

    reply_value(engine, out, ENCODING_JSON, &reply);
}
