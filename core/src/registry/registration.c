/* SPDX-License-Identifier: Apache-2.0 */
/* One registration, from payload to verdict (wire.md 4.4, steps 2 to 11).
 *
 * Enters:  a payload and the registry in force, which is only read.
 * Leaves:  a verdict; when something changes, the next registry and the JSON for the log.
 * Owner:   the caller. Runs on any thread, beside the apply thread (V35).
 *
 *   SCREENED --shaped--> COMPARED --dry run--------------> JUDGED --> answered, nothing changes
 *                            |----destructive, no force---> force_required
 *                            |----nothing differs, valid--> no-op
 *                            \----valid-------------------> NEXT (made from the log's JSON)
 *
 * Invariants
 *   (1) The pipeline to be is exactly the payload's nodes, so it is judged alone (V45, V46).
 *   (2) `next` is what registry_from_log makes of log_json: recovery cannot come out different.
 *   (3) A table keeps its state by name unless it is in `fresh`.
 */
#include "registry/registration.h"

#include <stdlib.h>

#include "registry/canonical.h"
#include "registry/list.h"
#include "registry/resolve.h"
#include "registry/validate.h"
#include "util/assert.h"
#include "wire/json.h"

#define BODY_PATH "<body>"

static const struct registration_limits limits_default = {REGISTRATION_BLOCK_SIZE,
                                                          REGISTRATION_MEMORY_MAX};

/* Steps 2 to 6. False: memory is spent. */
static bool
read_payload(struct registration_parts *parts, struct slice payload, unsigned flags)
{
    struct report *report = &parts->report;
    struct value body;
    struct bv_error err;
    const void *copy = arena_copy(&parts->arena, payload.data, payload.size);

    if (copy == NULL) {
        return false;
    }
    payload.data = copy;
    enum bv_status status = json_parse(&body, payload, PAYLOAD_DEPTH_MAX, &parts->arena, &err);

    if (status == BV_NO_MEMORY) {
        return false;
    }
    if (status != BV_OK) {
        report_path(report, BODY_PATH);
        report_error(report, BV_INVALID_REGISTRATION, "json", "%s", err.message);
        return true;
    }
    const struct value *nodes = payload_nodes(&body);

    if (nodes != NULL) {
        screen_nodes(nodes, report);
        if (report->error_count == 0 && (flags & REGISTER_NO_MEMORY_GOVERNANCE) == 0 &&
            !governance_check(nodes, report)) {
            return false;
        }
    }
    return report->error_count > 0 || shape_draft(&parts->draft, &body, payload, report);
}

/* Step 10 over the pipeline to be. False: memory is spent. */
static bool
judge(struct registration_parts *parts, const struct registration_limits *limits)
{
    struct draft *draft = &parts->draft;

    if (!validate_draft(draft, &parts->report)) {
        return false;
    }
    if (parts->report.error_count > 0) {
        return !parts->report.is_out_of_memory;
    }
    if (registry_create_within(&parts->judged, 0, limits, NULL) != BV_OK) {
        return false;
    }
    parts->judged->descriptors = draft->nodes;
    parts->judged->descriptor_count = draft->node_count;
    return resolve_registry(parts->judged, false, &parts->report);
}

/* Which nodes start without state: new ones, replaced ones, and all that is built on them (4.7).
 * Upstreams come first, so one pass suffices. */
static bool
mark_fresh(struct registration_parts *parts)
{
    const struct draft *draft = &parts->draft;
    struct names *index = &parts->positions;

    names_init(index, &parts->arena);
    parts->is_fresh = list_of(&parts->arena, draft->node_count, sizeof(bool));
    if (parts->is_fresh == NULL) {
        return false;
    }
    for (size_t i = 0; i < draft->node_count; i++) {
        const struct descriptor *node = &draft->nodes[i];
        enum diff_fate fate = parts->diff.fates[i];
        bool is_fresh = fate == DIFF_IS_NEW || fate == DIFF_IS_REPLACED;

        for (size_t j = 0; j < node->upstream_count; j++) {
            uint32_t at = names_find(index, node->upstreams[j]);

            is_fresh |= at != NAMES_NONE && parts->is_fresh[at];
        }
        parts->is_fresh[i] = is_fresh;
        if (!names_put(index, node->name, (uint32_t)i)) {
            return false;
        }
    }
    return true;
}

static bool
is_table(const struct descriptor *node)
{
    return node->kind == DESCRIPTOR_DERIVATION && resolve_group_index(node) < node->op_count;
}

static void
separate(struct buf *out, bool *is_first)
{
    if (!*is_first) {
        buf_byte(out, ',');
    }
    *is_first = false;
}

/* The log's JSON. */
static void
write_log(struct registration_parts *parts, const struct registry *current, uint64_t version)
{
    struct buf *out = &parts->log;
    struct draft *draft = &parts->draft;
    bool is_first = true;

    buf_text(out, "{\"fresh\":[");
    for (size_t i = 0; i < draft->node_count; i++) {
        if (is_table(&draft->nodes[i]) && parts->is_fresh[i]) {
            separate(out, &is_first);
            json_write_string(out, draft->nodes[i].name);
        }
    }
    buf_text(out, "],\"nodes\":[");
    is_first = true;
    for (size_t i = 0; i < draft->node_count; i++) {
        struct descriptor *node = &draft->nodes[i];
        enum diff_fate fate = parts->diff.fates[i];
        bool is_old = !parts->is_fresh[i] && (fate == DIFF_IS_SAME || fate == DIFF_IS_RENAMED);

        node->registered_at_version =
            is_old ? current->descriptors[parts->diff.olds[i]].registered_at_version : version;
        separate(out, &is_first);
        canonical_write(out, node, CANONICAL_LOG);
    }
    buf_text(out, "],\"renamed\":[");
    is_first = true;
    for (size_t i = 0; i < draft->node_count; i++) {
        if (is_table(&draft->nodes[i]) && !parts->is_fresh[i] &&
            parts->diff.fates[i] == DIFF_IS_RENAMED) {
            separate(out, &is_first);
            buf_byte(out, '[');
            json_write_string(out, current->descriptors[parts->diff.olds[i]].name);
            buf_byte(out, ',');
            json_write_string(out, draft->nodes[i].name);
            buf_byte(out, ']');
        }
    }
    buf_text(out, "],\"version\":");
    json_write_u64(out, version);
    buf_byte(out, '}');
}

/* Makes `next` from what will stand in the log. */
static enum bv_status
make_next(struct registration *out, const struct registry *current,
          const struct registration_limits *limits, struct bv_error *err)
{
    struct registration_parts *parts = out->parts;

    if (!mark_fresh(parts)) {
        return BV_NO_MEMORY;
    }
    write_log(parts, current, current->version + 1);
    if (parts->log.failed) {
        return BV_NO_MEMORY;
    }
    registry_destroy(parts->judged);
    parts->judged = NULL; /* its work is done; two graphs need not be held at once */
    enum bv_status status =
        registry_from_log_within(&out->next, &out->fresh, &out->fresh_count, &out->renamed,
                                 &out->renamed_count, buf_slice(&parts->log), limits, err);

    /* What was judged and then cannot be read back is a bug here, not the client's. */
    BV_ASSERT(status != BV_CORRUPT);
    return status;
}

static bool
is_unchanged(const struct registration_parts *parts)
{
    bool is_same = parts->diff.removed_count == 0;

    for (size_t i = 0; is_same && i < parts->draft.node_count; i++) {
        is_same = parts->diff.fates[i] == DIFF_IS_SAME;
    }
    return is_same;
}

static void
refuse(struct registration *out)
{
    report_first(&out->parts->report, &out->error);
    out->status = (enum bv_status)out->error.status;
}

/* Steps 7 to 11 and the making of `next`. */
static enum bv_status
decide(struct registration *out, const struct registry *current,
       const struct registration_limits *limits, struct bv_error *err)
{
    struct registration_parts *parts = out->parts;
    const struct draft *draft = &parts->draft;

    if (!canonical_set(draft->nodes, draft->node_count, &parts->arena) ||
        !diff_compute(&parts->diff, current, draft->nodes, draft->node_count, &parts->arena)) {
        return BV_NO_MEMORY;
    }
    parts->has_diff = true;
    out->is_dry_run = draft->dry_run;
    if (!out->is_dry_run && parts->diff.destructive.count > 0 && !draft->force) {
        out->status =
            bv_error_set(&out->error, BV_FORCE_REQUIRED, "%s", bv_status_text(BV_FORCE_REQUIRED));
        bv_error_hint(&out->error, "dry_run shows what would be lost");
        return BV_OK;
    }
    if (!judge(parts, limits) || parts->report.is_out_of_memory) {
        return BV_NO_MEMORY;
    }
    if (parts->report.error_count > 0) {
        if (!out->is_dry_run) {
            refuse(out);
        }
        return BV_OK;
    }
    bool is_same = is_unchanged(parts);

    if (is_same && !out->is_dry_run) {
        return BV_OK;
    }
    enum bv_status status = make_next(out, current, limits, err);

    if (status == BV_OK && !out->is_dry_run) {
        out->installs = true;
        out->log_json = buf_slice(&parts->log);
        parts->reply_version = out->next->version;
    }
    return status;
}

enum bv_status
registration_prepare_within(struct registration *out, const struct registry *current,
                            struct slice payload, unsigned flags,
                            const struct registration_limits *limits, struct bv_error *err)
{
    enum bv_status status = BV_NO_MEMORY;

    *out = (struct registration){.status = BV_OK};
    struct registration_parts *parts = calloc(1, sizeof *parts);

    if (parts == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for a registration");
    }
    out->parts = parts;
    arena_init(&parts->arena, limits->block_size, limits->memory_max);
    report_init(&parts->report, &parts->arena);
    buf_init(&parts->log);
    parts->current_version = current->version;
    parts->reply_version = current->version;
    if (!read_payload(parts, payload, flags) || parts->report.is_out_of_memory) {
        goto done;
    }
    if (parts->report.error_count > 0) {
        refuse(out);
        status = BV_OK;
        goto done;
    }
    status = decide(out, current, limits, err);
done:
    if (status != BV_OK) {
        bv_error_set(err, BV_NO_MEMORY, "the registration needs more than %zu bytes of memory",
                     limits->memory_max);
        registration_deinit(out);
    }
    return status;
}

enum bv_status
registration_prepare(struct registration *out, const struct registry *current, struct slice payload,
                     unsigned flags, struct bv_error *err)
{
    return registration_prepare_within(out, current, payload, flags, &limits_default, err);
}

void
registration_deinit(struct registration *registration)
{
    struct registration_parts *parts = registration->parts;

    registry_destroy(registration->next);
    if (parts != NULL) {
        registry_destroy(parts->judged);
        buf_deinit(&parts->log);
        arena_deinit(&parts->arena);
        free(parts);
    }
    *registration = (struct registration){.status = BV_OK};
}
