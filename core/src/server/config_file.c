/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: one YAML document, a mapping of options and of two sections of options.
 *
 * Enters:  the file of --config, read by libyaml event by event: no tree, no recursion.
 * Leaves:  values for config_store(), or the line and the key that is wrong.
 * Owner:   boot. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "server/config.h"

#define SUGGEST_DISTANCE_MAX 3
#define SUGGEST_TEXT_MAX     64

struct reading {
    struct config *config;
    const char *path;
    char section[SUGGEST_TEXT_MAX]; /* "tcp", "durability", "" at the top */
    char key[SUGGEST_TEXT_MAX];
    bool has_key;
    unsigned depth;
    bool has_document;
    bool is_seen[CONFIG_OPTION_COUNT];
};

/* Edit distance, for names; long ones are not near anything. */
static unsigned
distance(const char *a, const char *b)
{
    unsigned row[SUGGEST_TEXT_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);

    if (a_size > SUGGEST_TEXT_MAX || b_size > SUGGEST_TEXT_MAX) {
        return SUGGEST_DISTANCE_MAX + 1;
    }
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[b_size];
}

static const char *
suggest(const char *text, bool is_variable)
{
    const char *best = NULL;
    unsigned best_distance = SUGGEST_DISTANCE_MAX + 1;

    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const char *name = is_variable ? config_rows[i].variable : config_rows[i].name;
        unsigned found = name[0] == '\0' ? best_distance : distance(text, name);

        if (found < best_distance) {
            best = name;
            best_distance = found;
        }
    }
    return best;
}

const char *
config_suggest_key(const char *text)
{
    return suggest(text, false);
}

const char *
config_suggest_variable(const char *text)
{
    return suggest(text, true);
}

static bool
is_in_section(const char *name, const char *section)
{
    size_t size = strlen(section);

    return size == 0 ? strchr(name, '.') == NULL
                     : strncmp(name, section, size) == 0 && name[size] == '.';
}

static bool
is_section(const char *key)
{
    return strcmp(key, "tcp") == 0 || strcmp(key, "durability") == 0;
}

/* "tcp.port" of key "port" in section "tcp". */
static void
full_name(char *out, size_t size, const struct reading *reading)
{
    snprintf(out, size, "%s%s%s", reading->section, reading->section[0] == '\0' ? "" : ".",
             reading->key);
}

static enum bv_status
refuse_unknown(const struct reading *reading, struct bv_error *err)
{
    char name[128];
    char accepted[512];
    size_t size = 0;
    const char *near;

    full_name(name, sizeof name, reading);
    near = config_suggest_key(name);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT && size < sizeof accepted; i++) {
        const struct config_row *row = &config_rows[i];

        if ((row->traits & CONFIG_NO_KEY) == 0 && is_in_section(row->name, reading->section)) {
            const char *dot = strchr(row->name, '.');

            size += (size_t)snprintf(accepted + size, sizeof accepted - size, "%s`%s`",
                                     size == 0 ? "" : ", ", dot == NULL ? row->name : dot + 1);
        }
    }
    if (reading->section[0] == '\0' && size < sizeof accepted) {
        snprintf(accepted + size, sizeof accepted - size, ", `tcp`, `durability`");
    }
    bv_error_set(err, BV_CONFIG,
                 "failed to parse YAML config %.128s: unknown field `%s`, expected one of %s",
                 reading->path, name, accepted);
    if (near != NULL) {
        bv_error_hint(err, "did you mean `%s`?", near);
    }
    return BV_CONFIG;
}

static enum bv_status
refuse_shape(const struct reading *reading, const char *what, struct bv_error *err)
{
    char name[128];

    full_name(name, sizeof name, reading);
    return bv_error_set(err, BV_CONFIG, "failed to parse YAML config %.200s: %s%s%s%s",
                        reading->path, reading->has_key ? "`" : "", reading->has_key ? name : "",
                        reading->has_key ? "`: " : "", what);
}

static enum bv_status
take_value(struct reading *reading, const char *text, bool is_plain, struct bv_error *err)
{
    char name[128];

    full_name(name, sizeof name, reading);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        bool is_text = row->type != CONFIG_TYPE_NUMBER && row->type != CONFIG_TYPE_BOOL;
        bool is_size = row->type == CONFIG_TYPE_NUMBER && row->unit != CONFIG_UNIT_NONE;

        if ((row->traits & CONFIG_NO_KEY) != 0 || strcmp(row->name, name) != 0) {
            continue;
        }
        if (reading->is_seen[i]) {
            return refuse_shape(reading, "duplicate field", err);
        }
        reading->is_seen[i] = true;
        if (is_plain && (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) {
            return refuse_shape(reading, "invalid type: null", err);
        }
        if (!is_plain && !is_text && !is_size) {
            return refuse_shape(reading, "invalid type: string", err);
        }
        reading->has_key = false;
        return config_store(reading->config, (enum config_option)i, CONFIG_FROM_FILE, reading->path,
                            text, err);
    }
    return refuse_unknown(reading, err);
}

static enum bv_status
take_scalar(struct reading *reading, const yaml_event_t *event, struct bv_error *err)
{
    const char *text = (const char *)event->data.scalar.value;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (strlen(text) != event->data.scalar.length) {
        return refuse_shape(reading, "a text holds a NUL byte", err);
    }
    if (reading->depth == 0) {
        /* A document that is nothing but null is an empty one. */
        return is_plain && (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)
                   ? BV_OK
                   : refuse_shape(reading, "expected a mapping of options", err);
    }
    if (reading->has_key) {
        if (reading->section[0] == '\0' && is_section(reading->key)) {
            return refuse_shape(reading, "invalid type: expected a mapping", err);
        }
        return take_value(reading, text, is_plain, err);
    }
    snprintf(reading->key, sizeof reading->key, "%s", text);
    reading->has_key = true;
    return BV_OK;
}

static enum bv_status
take_mapping(struct reading *reading, struct bv_error *err)
{
    if (reading->depth == 0) {
        reading->depth = 1;
        return BV_OK;
    }
    if (!reading->has_key) {
        return refuse_shape(reading, "a key is not a text", err);
    }
    if (reading->depth == 1 && is_section(reading->key)) {
        snprintf(reading->section, sizeof reading->section, "%s", reading->key);
        reading->has_key = false;
        reading->depth = 2;
        return BV_OK;
    }
    return refuse_shape(reading, "invalid type: a mapping", err);
}

/* One event; *is_done after the last. */
static enum bv_status
take_event(struct reading *reading, const yaml_event_t *event, bool *is_done, struct bv_error *err)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(reading, event, err);
    case YAML_MAPPING_START_EVENT:
        return take_mapping(reading, err);
    case YAML_MAPPING_END_EVENT:
        reading->depth--;
        reading->section[0] = '\0';
        return BV_OK;
    case YAML_SEQUENCE_START_EVENT:
        return refuse_shape(reading, "invalid type: a sequence", err);
    case YAML_ALIAS_EVENT:
        return refuse_shape(reading, "aliases are not supported", err);
    case YAML_DOCUMENT_START_EVENT:
        if (reading->has_document) {
            return refuse_shape(reading, "more than one document", err);
        }
        reading->has_document = true;
        return BV_OK;
    case YAML_STREAM_END_EVENT:
        *is_done = true;
        return BV_OK;
    default:
        return BV_OK;
    }
}

enum bv_status
config_read_file(struct config *config, const char *path, struct bv_error *err)
{
    struct reading reading = {.config = config, .path = path};
    enum bv_status status = BV_OK;
    bool is_done = false;
    bool has_parser = false;
    yaml_parser_t parser;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        status = errno == ENOENT
                     ? bv_error_set(err, BV_CONFIG, "config file not found: %.400s", path)
                     : bv_error_set(err, BV_CONFIG, "cannot read config file %.400s: %s", path,
                                    strerror(errno));
        goto done;
    }
    has_parser = yaml_parser_initialize(&parser) != 0;
    if (!has_parser) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory for the YAML parser");
        goto done;
    }
    yaml_parser_set_input_file(&parser, file);
    while (status == BV_OK && !is_done) {
        yaml_event_t event;

        if (yaml_parser_parse(&parser, &event) == 0) {
            status =
                bv_error_set(err, BV_CONFIG, "failed to parse YAML config %.400s: %s at line %zu",
                             path, parser.problem == NULL ? "unreadable" : parser.problem,
                             parser.problem_mark.line + 1);
            goto done;
        }
        status = take_event(&reading, &event, &is_done, err);
        yaml_event_delete(&event);
    }
done:
    if (has_parser) {
        yaml_parser_delete(&parser);
    }
    if (file != NULL) {
        fclose(file);
    }
    return status;
}
