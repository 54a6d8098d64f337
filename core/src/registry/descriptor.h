/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_DESCRIPTOR_H
#define BV_REGISTRY_DESCRIPTOR_H

#include "util/arena.h"
#include "util/error.h"
#include "wire/row.h"
#include "wire/value.h"

/* One declaration as it came over the wire (wire.md 4.2), parsed but not yet judged. Everything
 * points into the arena of the registry (or of the request) that holds it. */
enum descriptor_kind { DESCRIPTOR_EVENT, DESCRIPTOR_DERIVATION };

struct descriptor {
    enum descriptor_kind kind;
    struct slice name;
    uint64_t registered_at_version;

    /* event: fields in payload order; the first slot_count have a slot, the rest are optional names
     * that stand in no schema. derivation: the schema the client sent, informative. */
    struct row_field *fields;
    size_t field_count;
    size_t slot_count;

    /* event; 0 / empty = absent */
    struct slice dedupe_key;
    uint64_t dedupe_window_ms;
    uint64_t keep_events_for_ms;
    uint64_t cold_after_ms;

    /* derivation */
    bool is_table; /* output_kind "table" */
    struct slice *upstreams;
    size_t upstream_count;
    const struct value *ops; /* the op objects, in order */
    size_t op_count;
    bool has_primary_key;
    struct slice *primary_key;
    size_t primary_key_count;

    struct slice canonical; /* the node as canonical JSON: equal text, equal definition */
};

#endif
