/* SPDX-License-Identifier: Apache-2.0 */
/* A source's schema, made ready for its decoders.
 *
 * Enters:  the event's name and fields, once per registration, through row_schema_create().
 * Leaves:  names to field numbers, and per style of writing the bytes that are expected in front of
 *          every value.
 * Owner:   the apply thread; the guesses learn from every event that is not like the last.
 *
 * Invariants
 *   (1) A schema owns copies of all names: nothing points into the caller's memory.
 *   (2) A name that no event may use (control characters) is neither predicted nor found.
 *   (3) Literals are padded, so that comparing 32 bytes of one never leaves its memory.
 */
#include "wire/row_schema.h"

#include <stdlib.h>

#include "util/assert.h"
#include "util/bytes.h"
#include "wire/row_check.h"

#define SCHEMA_ARENA_BLOCK 4096

#define KIND_BIT(kind) (1u << (kind))

static const char *const TYPE_NAMES[] = {
    [FIELD_STR] = "str",   [FIELD_I64] = "i64",     [FIELD_F64] = "f64",
    [FIELD_BOOL] = "bool", [FIELD_BYTES] = "bytes", [FIELD_DATETIME] = "datetime",
    [FIELD_JSON] = "json",
};

#define TYPE_COUNT (sizeof TYPE_NAMES / sizeof TYPE_NAMES[0])

bool
field_type_parse(enum field_type *out, struct slice name)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (slice_equal(name, slice_text(TYPE_NAMES[i]))) {
            *out = (enum field_type)i;
            return true;
        }
    }
    return false;
}

const char *
field_type_name(enum field_type type)
{
    BV_ASSERT((size_t)type < TYPE_COUNT);
    return TYPE_NAMES[type];
}

/* The kinds a field takes (wire.md 5.3): numbers either way round, no other coercion. */
static uint8_t
accepted_kinds(const struct row_schema_field *field, bool has_slot, unsigned flags)
{
    unsigned kinds = 0xff;

    switch (field->type) {
    case FIELD_STR:
        kinds = KIND_BIT(VALUE_STR);
        break;
    case FIELD_I64:
    case FIELD_F64:
        kinds = KIND_BIT(VALUE_I64) | KIND_BIT(VALUE_F64);
        break;
    case FIELD_BOOL:
        kinds = KIND_BIT(VALUE_BOOL);
        break;
    case FIELD_BYTES:
    case FIELD_DATETIME:
    case FIELD_JSON:
        kinds &= ~KIND_BIT(VALUE_NULL);
        break;
    }
    if (field->is_optional) {
        kinds |= KIND_BIT(VALUE_NULL);
    }
    if (!has_slot || (field->is_optional && (flags & ROW_LOOSE_OPTIONAL_FIELDS) != 0)) {
        kinds = 0xff;
    }
    return (uint8_t)kinds;
}

static uint64_t
name_hash(struct slice name)
{
    const uint64_t multiplier = 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio, odd */
    uint64_t hash = name.size * multiplier;
    const uint8_t *data = name.data;
    size_t left = name.size;

    while (left >= 8) {
        hash = (hash ^ load_le64(data)) * multiplier;
        hash ^= hash >> 32;
        data += 8;
        left -= 8;
    }
    if (left > 0) {
        uint64_t tail = 0;

        memcpy(&tail, data, left);
        hash = (hash ^ tail) * multiplier;
        hash ^= hash >> 32;
    }
    return hash;
}

uint32_t
row_schema_find(const struct row_schema *schema, struct slice name)
{
    uint32_t at = (uint32_t)name_hash(name) & schema->index_mask;

    /* At most half full, so there is always a free place to stop at. */
    while (schema->index[at] != 0) {
        uint32_t field = schema->index[at] - 1;

        if (slice_equal(schema->fields[field].name, name)) {
            return field;
        }
        at = (at + 1) & schema->index_mask;
    }
    return ROW_NO_FIELD;
}

static void
index_insert(struct row_schema *schema, uint32_t field)
{
    uint32_t at = (uint32_t)name_hash(schema->fields[field].name) & schema->index_mask;

    while (schema->index[at] != 0) {
        at = (at + 1) & schema->index_mask;
    }
    schema->index[at] = field + 1;
}

static void *
arena_zeroed(struct arena *arena, size_t size)
{
    void *result = arena_alloc(arena, size);

    if (result != NULL) {
        memset(result, 0, size);
    }
    return result;
}

static bool
copy_name(struct slice *out, struct arena *arena, struct slice name)
{
    *out = slice_of(arena_copy(arena, name.data, name.size), name.size);
    return out->data != NULL;
}

static enum bv_status
copy_fields(struct row_schema *schema, const struct row_field *fields, struct bv_error *err)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        struct row_schema_field *field = &schema->fields[i];

        field->type = fields[i].type;
        field->is_optional = fields[i].is_optional;
        field->kinds = accepted_kinds(field, i < schema->slot_count, schema->flags);
        if (i < schema->slot_count && !fields[i].is_optional) {
            schema->required_count++;
        }
        if (!copy_name(&field->name, &schema->arena, fields[i].name)) {
            return bv_error_set(err, BV_NO_MEMORY, "schema of event \"%s\"",
                                bv_error_quote(schema->event_name));
        }
        if (row_text_check(field->name, true) != ROW_TEXT_CLEAN) {
            continue; /* invariant (2) */
        }
        if (row_schema_find(schema, field->name) != ROW_NO_FIELD) {
            return bv_error_set(err, BV_INVALID_REGISTRATION,
                                "field \"%s\" is declared twice; rename one of them",
                                bv_error_quote(field->name));
        }
        index_insert(schema, i);
    }
    return BV_OK;
}

/* True when the name stands in JSON as it is. */
static bool
is_json_plain(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\') {
            return false;
        }
    }
    return row_text_check(name, true) == ROW_TEXT_CLEAN;
}

/* A literal is put together here and cut to its size by the caller. */
struct literal {
    uint8_t *data;
    uint32_t size;
};

static void
literal_add(struct literal *literal, struct slice bytes)
{
    if (bytes.size > 0) {
        memcpy(literal->data + literal->size, bytes.data, bytes.size);
        literal->size += (uint32_t)bytes.size;
    }
}

static void
literal_add_msgpack_string(struct literal *literal, struct slice text)
{
    BV_ASSERT(text.size <= UINT8_MAX);
    if (text.size > 31) {
        literal_add(literal, slice_of((uint8_t[]){0xd9, (uint8_t)text.size}, 2));
    } else {
        literal_add(literal, slice_of((uint8_t[]){(uint8_t)(0xa0 | text.size)}, 1));
    }
    literal_add(literal, text);
}

static void
guess_init(struct row_guess *guess, const struct row_schema_field *field, enum row_style style)
{
    struct literal literal = {.data = guess->literal, .size = 0};
    const char *before = style == ROW_JSON_SPACED ? ", \"" : ",\"";
    const char *after = style == ROW_JSON_SPACED ? "\": " : "\":";
    size_t around = style == ROW_MSGPACK ? 1 : strlen(before) + strlen(after);
    bool is_plain = style == ROW_MSGPACK ? row_text_check(field->name, true) == ROW_TEXT_CLEAN
                                         : is_json_plain(field->name);

    if (!is_plain || field->name.size + around > ROW_LITERAL_SIZE) {
        guess->mask = ROW_NEVER;
        return;
    }
    if (style == ROW_MSGPACK) {
        literal_add_msgpack_string(&literal, field->name);
    } else {
        literal_add(&literal, slice_text(before));
        literal_add(&literal, field->name);
        literal_add(&literal, slice_text(after));
    }
    guess->size = literal.size;
    guess->mask = (UINT64_C(1) << literal.size) - 1;
}

/* {"event":NAME,"body": as the style writes it. */
static bool
prefix_init(struct row_guesses *guesses, struct row_schema *schema, enum row_style style)
{
    struct slice name = schema->event_name;
    struct literal literal = {
        .data = arena_zeroed(&schema->arena, name.size + (size_t)3 * ROW_LITERAL_SIZE),
        .size = 0,
    };

    if (literal.data == NULL) {
        return false;
    }
    guesses->prefix = literal.data;
    if (name.size > UINT8_MAX || !is_json_plain(name)) {
        return true; /* prefix_size stays 0: always the generic way */
    }
    switch (style) {
    case ROW_JSON_COMPACT:
        literal_add(&literal, slice_text("{\"event\":\""));
        literal_add(&literal, name);
        literal_add(&literal, slice_text("\",\"body\":"));
        break;
    case ROW_JSON_SPACED:
        literal_add(&literal, slice_text("{\"event\": \""));
        literal_add(&literal, name);
        literal_add(&literal, slice_text("\", \"body\": "));
        break;
    default:
        literal_add(&literal, slice_text("\x82\xa5"
                                         "event"));
        literal_add_msgpack_string(&literal, name);
        literal_add(&literal, slice_text("\xa4"
                                         "body"));
        break;
    }
    guesses->prefix_size = literal.size;
    return true;
}

static bool
guesses_init(struct row_schema *schema, enum row_style style)
{
    struct row_guesses *guesses = &schema->guesses[style];
    uintptr_t lines = (uintptr_t)arena_zeroed(&schema->arena, ((size_t)schema->field_count + 1) *
                                                                  sizeof(struct row_guess));

    if (lines == 0 || !prefix_init(guesses, schema, style)) {
        return false;
    }
    guesses->fields = (struct row_guess *)((lines + 63) & ~(uintptr_t)63);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        struct row_guess *guess = &guesses->fields[i];

        guess->index = i;
        guess->next = i + 1 < schema->field_count ? i + 1 : 0;
        guess->kinds = schema->fields[i].kinds;
        guess->is_required = i < schema->slot_count && !schema->fields[i].is_optional;
        guess_init(guess, &schema->fields[i], style);
    }
    return true;
}

static enum bv_status
schema_fill(struct row_schema *schema, struct slice event_name, const struct row_field *fields,
            struct bv_error *err)
{
    enum bv_status status = BV_OK;
    uint32_t places = 8;

    while (places < schema->field_count * 2) {
        places *= 2;
    }
    schema->index_mask = places - 1;
    schema->index = arena_zeroed(&schema->arena, places * sizeof schema->index[0]);
    schema->fields =
        arena_zeroed(&schema->arena, (schema->field_count + 1) * sizeof schema->fields[0]);
    if (schema->index == NULL || schema->fields == NULL ||
        !copy_name(&schema->event_name, &schema->arena, event_name)) {
        return bv_error_set(err, BV_NO_MEMORY, "schema of event \"%s\"",
                            bv_error_quote(event_name));
    }
    status = copy_fields(schema, fields, err);
    for (int style = 0; status == BV_OK && style < ROW_STYLE_COUNT; style++) {
        if (!guesses_init(schema, (enum row_style)style)) {
            status = bv_error_set(err, BV_NO_MEMORY, "schema of event \"%s\"",
                                  bv_error_quote(event_name));
        }
    }
    return status;
}

enum bv_status
row_schema_create(struct row_schema **out, struct slice event_name, const struct row_field *fields,
                  size_t field_count, size_t slot_count, unsigned flags, struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct row_schema *schema = NULL;

    BV_ASSERT(slot_count <= field_count);
    BV_ASSERT(field_count < ROW_NO_FIELD / 4);
    schema = calloc(1, sizeof *schema);
    if (schema == NULL) {
        status =
            bv_error_set(err, BV_NO_MEMORY, "schema of event \"%s\"", bv_error_quote(event_name));
        goto done;
    }
    arena_init(&schema->arena, SCHEMA_ARENA_BLOCK, 0);
    schema->field_count = (uint32_t)field_count;
    schema->slot_count = (uint32_t)slot_count;
    schema->flags = flags;
    schema->json_style = ROW_JSON_COMPACT;
    status = schema_fill(schema, event_name, fields, err);
    if (status != BV_OK) {
        goto done;
    }
    *out = schema;
    schema = NULL; /* handed over */
done:
    row_schema_destroy(schema);
    return status;
}

void
row_schema_destroy(struct row_schema *schema)
{
    if (schema != NULL) {
        arena_deinit(&schema->arena);
        free(schema);
    }
}

void
row_schema_set_flags(struct row_schema *schema, unsigned flags)
{
    schema->flags = flags;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        struct row_schema_field *field = &schema->fields[i];

        field->kinds = accepted_kinds(field, i < schema->slot_count, flags);
        for (int style = 0; style < ROW_STYLE_COUNT; style++) {
            schema->guesses[style].fields[i].kinds = field->kinds;
        }
    }
}

uint32_t
row_guesses_begin(struct row_guesses *guesses, uint32_t field_count)
{
    guesses->epoch++;
    if (BV_UNLIKELY(guesses->epoch == 0)) {
        /* After 2^32 events old epochs would look like this one's. */
        for (uint32_t i = 0; i < field_count; i++) {
            guesses->fields[i].epoch = 0;
        }
        guesses->epoch = 1;
    }
    return guesses->epoch;
}

bool
row_guesses_end(struct value *slots, const struct row_schema *schema,
                const struct row_guesses *guesses, uint32_t seen_count, uint32_t required_count)
{
    BV_DEBUG_ASSERT(required_count <= schema->required_count);
    if (required_count != schema->required_count) {
        return false;
    }
    if (seen_count == schema->field_count) {
        return true;
    }
    for (uint32_t i = 0; i < schema->slot_count; i++) {
        if (guesses->fields[i].epoch != guesses->epoch) {
            slots[i] = value_null();
        }
    }
    return true;
}
