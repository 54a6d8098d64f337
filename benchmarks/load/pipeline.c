/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX (4u << 20)

/* The whole file, NUL-terminated; NULL when it cannot be read. */
static char *
read_file(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        return NULL;
    }
    text = malloc(FILE_SIZE_MAX + 1);
    if (text != NULL) {
        size = fread(text, 1, FILE_SIZE_MAX, file);
        text[size] = '\0';
    }
    fclose(file);
    return text;
}

/* A path, ./configs/NAME.json as the published tool looks it up, or the folder of this source. */
static char *
find_file(const char *name)
{
    static const char *const PATTERNS[] = {
        "%s",
        "configs/%s.json",
        "benchmarks/configs/%s.json",
        BEAVA_LOAD_CONFIGS "/%s.json",
    };
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof PATTERNS / sizeof PATTERNS[0]; i++) {
        const char *hole = strstr(PATTERNS[i], "%s");
        char *text;

        snprintf(path, sizeof path, "%.*s%s%s", (int)(hole - PATTERNS[i]), PATTERNS[i], name,
                 hole + 2);
        text = read_file(path);
        if (text != NULL) {
            return text;
        }
    }
    return NULL;
}

static bool
read_fields(struct pipeline *out, struct json_piece fields)
{
    struct json_walk walk = json_walk_begin(fields);
    struct json_piece name;
    struct json_piece value;

    while (json_walk_next(&walk, &name, &value)) {
        struct json_piece type = json_text(value);
        enum field_kind kind = FIELD_STR;

        if (out->field_count == PIPELINE_FIELD_COUNT_MAX) {
            return false;
        }
        if (json_piece_equals(type, "f64")) {
            kind = FIELD_F64;
        } else if (json_piece_equals(type, "i64")) {
            kind = FIELD_I64;
        } else if (!json_piece_equals(type, "str")) {
            return false;
        }
        out->fields[out->field_count++] = (struct pipeline_field){.name = name, .kind = kind};
    }
    return !walk.is_broken;
}

static bool
read_features(struct pipeline *out, struct json_piece features)
{
    struct json_walk walk = json_walk_begin(features);
    struct json_piece value;

    while (json_walk_next(&walk, NULL, &value)) {
        if (out->feature_count == PIPELINE_FEATURE_COUNT_MAX) {
            return false;
        }
        out->features[out->feature_count++] = json_text(value);
    }
    return !walk.is_broken;
}

bool
pipeline_load(struct pipeline *out, const char *name_or_path)
{
    struct json_piece all;

    *out = (struct pipeline){.text = find_file(name_or_path)};
    if (out->text == NULL) {
        fprintf(stderr, "pipeline \"%s\": no such file, nor one of benchmarks/configs\n",
                name_or_path);
        return false;
    }
    all = (struct json_piece){out->text, strlen(out->text)};
    out->event = json_text(json_member(all, "event"));
    out->key_field = json_text(json_member(all, "key_field"));
    out->table = json_text(json_member(all, "table"));
    out->register_payload = json_member(all, "register");
    if (out->event.size == 0 || out->key_field.size == 0 || out->register_payload.size == 0 ||
        !read_fields(out, json_member(all, "fields")) ||
        !read_features(out, json_member(all, "read_features"))) {
        fprintf(stderr,
                "pipeline \"%s\": needs event, key_field, fields (f64, i64, str), read_features and"
                " register\n",
                name_or_path);
        pipeline_release(out);
        return false;
    }
    return true;
}

void
pipeline_release(struct pipeline *pipeline)
{
    free(pipeline->text);
    pipeline->text = NULL;
}
