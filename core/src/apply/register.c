/* SPDX-License-Identifier: Apache-2.0 */
/* Declaration -> plan: register and reset.
 *
 * Enters:  a registration payload; at recovery, the JSON that its record holds.
 * Leaves:  a new registry and plan in force, and the record that brings them back.
 *
 * What was pushed before is applied before; what was acknowledged with version R was applied to the
 * plan of version R. The reply leaves when the record is durable; the thread does not wait for it.
 */
#include "apply/apply.h"
#include "wire/frame.h"
#include "wire/json.h"

/* Bytes of one entity with a 12-byte key: state, trailer (6 + 1 + 1), key, in units of 16. */
static uint64_t
bytes_per_entity(const struct plan_layout *layout)
{
    return ((uint64_t)layout->state_size + 8 + 12 + 15) / 16 * 16;
}

static void
write_state(struct buf *out, const char *state, struct slice table, uint64_t bytes)
{
    buf_text(out, out->size == 1 ? "{\"bytes_per_entity\":" : ",{\"bytes_per_entity\":");
    json_write_u64(out, bytes);
    buf_printf(out, ",\"state\":\"%s\",\"table\":", state);
    json_write_string(out, table);
    buf_byte(out, '}');
}

static bool
is_fresh(const struct registration *registration, struct slice name)
{
    for (size_t i = 0; i < registration->fresh_count; i++) {
        if (slice_equal(registration->fresh[i], name)) {
            return true;
        }
    }
    return false;
}

static bool
moves_away(const struct registration *registration, struct slice name)
{
    for (size_t i = 0; i < registration->renamed_count; i++) {
        if (slice_equal(registration->renamed[i].from, name)) {
            return true;
        }
    }
    return false;
}

/* The "state" array of a dry run: what each table would cost and what would become of it. */
static void
describe_state(struct buf *out, const struct engine *engine,
               const struct registration *registration, const struct plan *plan)
{
    buf_byte(out, '[');
    for (uint32_t i = 0; i < plan->source_count; i++) {
        for (uint32_t k = 0; k < plan->sources[i].table_count; k++) {
            const struct plan_table *table = &plan->sources[i].tables[k];

            write_state(out, is_fresh(registration, table->name) ? "new" : "kept", table->name,
                        bytes_per_entity(table->layout));
        }
    }
    for (uint32_t i = 0; i < engine->live.table_count; i++) {
        const struct live_table *table = engine->live.tables[i];

        if ((plan_find_table(plan, table->name) == NULL || is_fresh(registration, table->name)) &&
            !moves_away(registration, table->name)) {
            write_state(out, "dropped", table->name, bytes_per_entity(table->layout));
        }
    }
    buf_byte(out, ']');
}

/* Compiles the next registry; installs and logs it, or (dry run) only describes it. */
static enum bv_status
carry_out(struct engine *engine, struct registration *registration, struct buf *state_json,
          uint64_t *lsn, struct bv_error *err)
{
    struct plan *plan = NULL;
    enum bv_status status =
        plan_compile(&plan, registration->next, engine->live.plan, registration->fresh,
                     registration->fresh_count, registration->renamed, registration->renamed_count,
                     engine->options.row_flags, err);

    if (status != BV_OK) {
        return status;
    }
    if (registration->is_dry_run) {
        describe_state(state_json, engine, registration, plan);
        plan_destroy(plan);
        return BV_OK;
    }
    status = live_install(engine, registration->next, plan, registration->fresh,
                          registration->fresh_count, registration->renamed,
                          registration->renamed_count, err);
    if (status != BV_OK) {
        plan_destroy(plan);
        return status;
    }
    registration->next = NULL; /* in force now */
    *lsn = journal_record(engine, RECORD_REGISTER, registration->log_json);
    return BV_OK;
}

static bool
log_refuses(struct engine *engine, size_t bytes, struct bv_error *err)
{
    /* Room first: a log that has failed has room for everything, and may fail at any time. */
    if (engine->wal == NULL) {
        return false;
    }
    const bool has_room = journal_make_room(engine, bytes);

    if (!wal_failed(engine->wal) && wal_pressure(engine->wal) == WAL_PRESSURE_REFUSES) {
        bv_error_set(err, BV_WAL_UNAVAILABLE,
                     "the log's disk is full (wal_max_bytes, min_free_bytes); registry not "
                     "mutated");
        bv_error_hint(err, "free space, or raise the limit; it goes on by itself");
        return true;
    }
    if (has_room && !wal_failed(engine->wal)) {
        return false;
    }
    bv_error_set(err, BV_WAL_UNAVAILABLE,
                 "WAL append for registry bump failed; registry not mutated");
    return true;
}

void
register_dispatch(struct engine *engine, const struct request *request, struct response *out)
{
    struct registration registration = {0};
    struct bv_error err;
    struct buf state_json;
    uint64_t lsn = 0;
    unsigned flags = engine->options.is_memory_ungoverned ? REGISTER_NO_MEMORY_GOVERNANCE : 0;
    enum bv_status status;

    buf_init(&state_json);
    status =
        registration_prepare(&registration, engine->live.registry, request->payload, flags, &err);
    if (status == BV_OK && registration.status == BV_OK && registration.next != NULL) {
        if (!registration.is_dry_run &&
            log_refuses(engine, registration.log_json.size + 4096, &err)) {
            status = BV_WAL_UNAVAILABLE;
        } else {
            journal_close(engine);
            status = carry_out(engine, &registration, &state_json, &lsn, &err);
        }
    }
    if (status != BV_OK) {
        reply_error(engine, out, &err, REPLY_REASON);
        goto done;
    }
    buf_clear(&engine->reply);
    registration_reply(&engine->reply, &registration, buf_slice(&state_json));
    out->wait_lsn = lsn;
    reply_json(engine, out, registration.status == BV_OK ? FRAME_REGISTER : FRAME_ERROR);
    if (out->status == BV_OK) {
        out->status = registration.status;
    }
done:
    buf_deinit(&state_json);
    registration_deinit(&registration);
}

enum bv_status
register_replay(struct engine *engine, struct slice log_json, struct bv_error *err)
{
    struct registry *registry = NULL;
    struct plan *plan = NULL;
    struct slice *fresh = NULL;
    struct registry_rename *renamed = NULL;
    size_t fresh_count = 0;
    size_t renamed_count = 0;
    enum bv_status status =
        registry_from_log(&registry, &fresh, &fresh_count, &renamed, &renamed_count, log_json, err);

    if (status == BV_OK) {
        status = plan_compile(&plan, registry, engine->live.plan, fresh, fresh_count, renamed,
                              renamed_count, engine->options.row_flags, err);
    }
    if (status == BV_OK) {
        status =
            live_install(engine, registry, plan, fresh, fresh_count, renamed, renamed_count, err);
    }
    if (status != BV_OK) {
        plan_destroy(plan);
        registry_destroy(registry);
    }
    return status;
}

/* ---- reset ---- */

enum bv_status
reset_replay(struct engine *engine, uint64_t registry_version, struct bv_error *err)
{
    struct registry *registry = NULL;
    struct plan *plan = NULL;
    enum bv_status status = registry_create_empty(&registry, registry_version, err);

    if (status == BV_OK) {
        status = plan_compile(&plan, registry, NULL, NULL, 0, NULL, 0, 0, err);
    }
    if (status == BV_OK) {
        status = live_install(engine, registry, plan, NULL, 0, NULL, 0, err);
    }
    if (status != BV_OK) {
        plan_destroy(plan);
        registry_destroy(registry);
    }
    return status;
}

void
reset_dispatch(struct engine *engine, const struct request *request, struct response *out)
{
    struct bv_error err;

    (void)request;
    if (!engine->options.is_test_mode) {
        bv_error_set(&err, BV_RESET_DISABLED,
                     "reset is disabled; start the server with BEAVA_TEST_MODE=1 or --test-mode "
                     "(test_mode)");
        reply_error(engine, out, &err, REPLY_REASON);
        return;
    }
    if (log_refuses(engine, 4096, &err)) {
        reply_error(engine, out, &err, REPLY_REASON);
        return;
    }
    journal_close(engine);
    if (reset_replay(engine, engine->live.registry->version + 1, &err) != BV_OK) {
        reply_error(engine, out, &err, REPLY_REASON);
        return;
    }
    out->wait_lsn = journal_record(engine, RECORD_RESET, slice_of("", 0));
    buf_clear(&engine->reply);
    buf_text(&engine->reply, "{\"registry_version\":");
    json_write_u64(&engine->reply, engine->live.registry->version);
    buf_text(&engine->reply, ",\"reset\":true}");
    reply_json(engine, out, FRAME_GET_RESPONSE);
}
