/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of wire.md 4.9, with what V29, V34, V40, V44 and V66 add to them.
 *
 * Enters:  a registration that was prepared (apply may have set a later failure, of the log).
 * Leaves:  compact JSON with sorted members, byte-identical on both transports.
 */
#include "registry/canonical.h"
#include "registry/registration.h"
#include "wire/json.h"

static void
write_member(struct buf *out, const char *name, struct slice text, bool is_first)
{
    buf_printf(out, "%s\"%s\":", is_first ? "" : ",", name);
    json_write_string(out, text);
}

/* One entry of "errors" or "warnings". */
static void
write_finding(struct buf *out, const struct finding *finding)
{
    bool is_error = finding->status != BV_OK;

    buf_byte(out, '{');
    if (is_error) {
        write_member(out, "code", slice_text(bv_status_code(finding->status)), true);
        if (finding->detail != NULL) {
            write_member(out, "detail", slice_text(finding->detail), false);
        }
        if (finding->hint.size > 0) {
            write_member(out, "hint", finding->hint, false);
        }
    }
    write_member(out, "message", finding->message, !is_error);
    write_member(out, "path", finding->path, false);
    if (is_error) {
        write_member(out, "reason", finding->message, false);
    }
    buf_byte(out, '}');
}

static void
write_findings(struct buf *out, const struct finding *findings, size_t count)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        write_finding(out, &findings[i]);
    }
    buf_byte(out, ']');
}

static void
write_warnings(struct buf *out, const struct registration_parts *parts)
{
    if (parts->report.warning_count > 0) {
        buf_text(out, ",\"warnings\":");
        write_findings(out, parts->report.warnings, parts->report.warning_count);
    }
}

static void
write_error(struct buf *out, const struct registration *registration)
{
    const struct registration_parts *parts = registration->parts;
    const struct bv_error *error = &registration->error;
    const struct report *report = &parts->report;
    /* A later failure, set by whoever installs, has only its own text. */
    bool is_refusal =
        report->error_count > 0 && report->errors[0].status == (enum bv_status)error->status;

    buf_text(out, "{\"error\":{");
    write_member(out, "code", slice_text(bv_status_code(registration->status)), true);
    if (is_refusal && report->errors[0].detail != NULL) {
        write_member(out, "detail", slice_text(report->errors[0].detail), false);
    }
    if (registration->status == BV_FORCE_REQUIRED && parts->has_diff) {
        buf_text(out, ",\"diff\":");
        diff_write(out, &parts->diff);
    }
    if (is_refusal) {
        buf_text(out, ",\"errors\":");
        write_findings(out, report->errors, report->error_count);
    }
    if (error->hint[0] != '\0') {
        write_member(out, "hint", slice_text(error->hint), false);
    }
    write_member(out, "message", slice_text(error->message), false);
    if (error->path[0] != '\0') {
        write_member(out, "path", slice_text(error->path), false);
    }
    write_member(out, "reason", slice_text(error->message), false);
    buf_text(out, "},\"registry_version\":");
    json_write_u64(out, parts->current_version);
    buf_byte(out, '}');
}

static void
write_dry_run(struct buf *out, const struct registration *registration, struct slice state_json)
{
    const struct registration_parts *parts = registration->parts;

    buf_text(out, "{\"diff\":");
    diff_write(out, &parts->diff);
    buf_text(out, ",\"errors\":");
    write_findings(out, parts->report.errors, parts->report.error_count);
    if (state_json.size > 0) {
        buf_text(out, ",\"state\":");
        buf_append(out, state_json.data, state_json.size);
    }
    write_warnings(out, parts);
    buf_text(out, ",\"would_apply\":false}");
}

/* Is the node among those that this call installed, anew or changed (V44)? */
static bool
is_added(const struct registration *registration, size_t index)
{
    const struct registration_parts *parts = registration->parts;

    return registration->installs &&
           (parts->diff.fates[index] != DIFF_IS_SAME || parts->is_fresh[index]);
}

static void
write_success(struct buf *out, const struct registration *registration)
{
    const struct registration_parts *parts = registration->parts;
    const struct draft *draft = &parts->draft;
    bool is_first = true;

    buf_text(out, "{\"added\":[");
    for (size_t i = 0; i < draft->node_count; i++) {
        if (is_added(registration, i)) {
            buf_text(out, is_first ? "" : ",");
            is_first = false;
            json_write_string(out, draft->nodes[i].name);
        }
    }
    buf_text(out, "],\"already_present\":[");
    is_first = true;
    for (size_t i = 0; i < parts->diff.already_present_count; i++) {
        struct slice name = parts->diff.already_present[i];

        if (!registration->installs ||
            !is_added(registration, names_find(&parts->positions, name))) {
            buf_text(out, is_first ? "" : ",");
            is_first = false;
            json_write_string(out, name);
        }
    }
    buf_text(out, "],\"registered_descriptors\":[");
    for (size_t i = 0; i < draft->node_count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        json_write_string(out, draft->nodes[i].name);
    }
    buf_text(out, "],\"registry_version\":");
    json_write_u64(out, parts->reply_version);
    buf_text(out, ",\"status\":\"ok\"");
    write_warnings(out, parts);
    buf_byte(out, '}');
}

void
registration_reply(struct buf *body, const struct registration *registration,
                   struct slice state_json)
{
    if (registration->status != BV_OK) {
        write_error(body, registration);
    } else if (registration->is_dry_run) {
        write_dry_run(body, registration, state_json);
    } else {
        write_success(body, registration);
    }
}
