/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_PIPELINE_H
#define BEAVA_LOAD_PIPELINE_H

#include <stdbool.h>

#include "json_scan.h"

/* One file of benchmarks/configs: what to register, and how the driven event looks.
 *
 * Enters:  a name or a path.
 * Leaves:  the names and types of the event's fields, in order; the payload to register.
 * Owner:   the pipeline owns the file's text, everything else points into it. */
#define PIPELINE_FIELD_COUNT_MAX   64u
#define PIPELINE_FEATURE_COUNT_MAX 64u

enum field_kind {
    FIELD_F64,
    FIELD_I64,
    FIELD_STR,
};

struct pipeline_field {
    struct json_piece name;
    enum field_kind kind;
};

struct pipeline {
    char *text;
    struct json_piece event;
    struct json_piece key_field;
    struct json_piece table;
    struct json_piece register_payload;
    struct pipeline_field fields[PIPELINE_FIELD_COUNT_MAX]; /* beside time and key */
    unsigned field_count;
    struct json_piece features[PIPELINE_FEATURE_COUNT_MAX]; /* those that sampled reads ask for */
    unsigned feature_count;
};

/* Says on stderr what is wrong and returns false. */
bool pipeline_load(struct pipeline *out, const char *name_or_path);
void pipeline_release(struct pipeline *pipeline);

#endif
