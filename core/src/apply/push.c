/* SPDX-License-Identifier: Apache-2.0 */
/* Event -> accumulators: the path that everything else stands aside for.
 *
 * Enters:  push requests, one at a time; frames of the log at recovery.
 * Leaves:  an LSN each; changed entities.
 *
 * A push is decoded, checked and hashed when it is dispatched (stage A), and takes its LSN there:
 * from then on it is accepted. Its updates run when the chunk is full or the tick ends (stages B
 * and C), so that the cache misses of many entities overlap (engine.md 2).
 *
 * Invariants
 *   (1) apply_event is called by dispatch (push_flush) and by recovery (push_replay, through the
 *       same staging), and by nothing else.
 *   (2) Targets of one entity stand in event order; an update depends on its block, its event, the
 *       plan and the record's time and seed.
 *   (3) A refused push changes nothing and is not logged.
 */
#include "apply/apply.h"
#include "state/key.h"
#include "util/bytes.h"
#include "wire/frame.h"
#include "wire/json.h"

/* ---- stages B and C ---- */

static inline void
run_steps(const struct plan_group *group, uint8_t *state, const struct value *values,
          struct agg_moment *moment, struct window_view *view)
{
    const struct plan_step *step = group->steps;
    const struct plan_step *end = step + group->step_count;

    for (; step < end; step++) {
        const struct value *inputs[AGG_INPUTS_MAX];

        moment->is_match =
            step->predicate == EXPR_NODE_NONE || apply_is_true(&values[step->predicate]);
        if (!moment->is_match && !step->is_judged) {
            continue;
        }
        inputs[0] = &values[step->inputs[0] == EXPR_NODE_NONE ? 0 : step->inputs[0]];
        inputs[1] = &values[step->inputs[1] == EXPR_NODE_NONE ? 0 : step->inputs[1]];
        moment->salt = step->salt;
        moment->view = step->sees_window ? &view->view : NULL;
        if (BV_UNLIKELY(step->sees_window)) {
            view->column = (uint32_t)(step - group->steps);
        }
        step->accumulator->update(state + step->offset, step->config, inputs, moment);
    }
}

/* A pane is opened only for an event that some accumulator of the window takes (W4). */
static inline bool
window_is_touched(const struct plan_group *group, const struct value *values)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        const struct plan_step *step = &group->steps[i];

        if (step->predicate == EXPR_NODE_NONE || step->is_judged ||
            apply_is_true(&values[step->predicate])) {
            return true;
        }
    }
    return false;
}

/* One event into one entity. */
static void
apply_event(struct engine *engine, const struct apply_target *target, struct agg_moment *moment)
{
    struct live_table *live = target->table;
    bool created = false;
    const uint32_t ref =
        table_upsert(live->table, target->hash, target->key, engine->now_ms, &created);

    /* The event has its LSN and may be on disk: it is applied whole or the process stops. */
    BV_ASSERT(ref != 0);
    if (BV_UNLIKELY(engine->is_over_images) && !created &&
        table_image_lsn(live->table, ref) >= target->lsn) {
        return; /* rule 1 of engine.md 8: the image holds this event already */
    }
    const struct plan_layout *layout = live->layout;
    const bool is_cold = BV_UNLIKELY((live->cold_after_ms | live->expired_before_ms) != 0) &&
                         !created && idle_has_expired(engine, live, ref);
    uint8_t *state;

    table_touch(live->table, ref, engine->now_ms);
    if (created) {
        state = table_state(live->table, ref);
        plan_layout_init_state(layout, state);
    } else {
        state = live_state(engine, live, target->hash, ref);
        if (BV_UNLIKELY(is_cold)) {
            idle_begin_afresh(engine, live, state);
        }
    }
    run_steps(&layout->groups[0], state, target->values, moment, NULL);
    for (uint32_t i = 1; i < layout->group_count; i++) {
        const struct plan_group *group = &layout->groups[i];

        if (window_is_touched(group, target->values)) {
            struct window_head *head = (struct window_head *)(void *)(state + group->head_offset);
            uint8_t *row = window_row(head, &group->shape, engine->now_ms, moment->heap,
                                      &engine->panes_dropped);

            BV_ASSERT(row != NULL);
            struct window_view view;

            if (BV_UNLIKELY(group->shape.sees_window)) {
                window_view_init(&view, head, &group->shape, 0, engine->now_ms, moment->heap,
                                 &engine->arena);
            }
            run_steps(group, row, target->values, moment, &view);
        }
    }
}

void
push_flush(struct engine *engine)
{
    struct agg_moment moment = {.now_ms = engine->now_ms,
                                .seed = engine->seed,
                                .heap = &engine->heap.heap,
                                .categories_capped = &engine->categories_capped};

    for (uint32_t i = 0; i < engine->target_count; i++) {
        table_prefetch_block(engine->targets[i].table->table, engine->targets[i].hash);
    }
    for (uint32_t i = 0; i < engine->target_count; i++) {
        apply_event(engine, &engine->targets[i], &moment);
    }
    engine->target_count = 0;
    engine->row_count = 0;
    budget_look(engine);
}

/* ---- stage A ---- */

static bool
passes(const struct resolved_table *table, const struct value *values)
{
    for (size_t i = 0; i < table->filter_count; i++) {
        if (!apply_is_true(&values[table->filters[i]])) {
            return false;
        }
    }
    return true;
}

#define KEY_PARTS_INLINE 16
/* Sizes of parts, texts of numbers, alignment: what a key may take beside the event's own bytes. */
#define SCRATCH_PER_KEY 1024

__attribute__((always_inline)) static inline bool
build_key(struct slice *out, const struct resolved_table *table, const struct value *values,
          struct arena *arena)
{
    struct slice inline_parts[KEY_PARTS_INLINE];
    struct slice *parts = inline_parts;

    if (table->key_count == 1) {
        return key_text(out, &values[table->keys[0]], arena);
    }
    if (table->key_count > KEY_PARTS_INLINE) {
        parts = arena_alloc(arena, table->key_count * sizeof *parts);
        BV_ASSERT(parts != NULL);
    }
    for (size_t i = 0; i < table->key_count; i++) {
        if (!key_text(&parts[i], &values[table->keys[i]], arena)) {
            return false;
        }
    }
    return key_join(out, parts, table->key_count, arena);
}

bool
push_entity_key(struct slice *out, const struct resolved_table *table, const struct value *values,
                struct arena *arena)
{
    return passes(table, values) && build_key(out, table, values, arena) &&
           out->size <= TABLE_KEY_MAX;
}

static void
stage(struct engine *engine, const struct live_source *source, struct value *values)
{
    const struct plan_source *plan = source->plan;
    const uint64_t refusals = engine->arena.refusals;

    if (!source->is_program_empty) {
        expr_program_run(plan->program, values, &engine->arena);
    }
    for (uint32_t i = 0; i < plan->table_count; i++) {
        const struct resolved_table *resolved = plan->tables[i].resolved;
        struct apply_target *target;

        if (!passes(resolved, values)) {
            continue;
        }
        if (engine->target_count == APPLY_CHUNK_TARGETS) {
            /* The row being staged keeps its slots: push_flush only forgets rows. */
            push_flush(engine);
        }
        target = &engine->targets[engine->target_count];
        if (!build_key(&target->key, resolved, values, &engine->arena) ||
            BV_UNLIKELY(target->key.size > TABLE_KEY_MAX)) {
            continue; /* an event without a key that can be stored passes the table by */
        }
        target->table = source->tables[i];
        target->values = values;
        target->lsn = engine->next_lsn;
        target->hash = table_hash(target->table->table, target->key);
        table_prefetch_bucket(target->table->table, target->hash);
        engine->target_count++;
    }
    /* Without memory for a key or a text the event would pass a table by, now or at replay only. */
    BV_ASSERT(engine->arena.refusals == refusals);
}

/* Scratch memory for the keys of one event: they are made when it has its LSN already, or when its
 * dedupe key is looked up. False: there is none, the event has to be refused. */
static inline bool
has_scratch(struct engine *engine, const struct live_source *source, size_t bytes,
            struct bv_error *err)
{
    const size_t per_key = bytes + SCRATCH_PER_KEY;

    if (BV_LIKELY(arena_reserve(&engine->arena, per_key * (source->plan->table_count + 1)))) {
        return true;
    }
    bv_error_set(err, BV_NO_MEMORY, "there is no memory for the event's keys");
    return false;
}

static struct value *
next_row(struct engine *engine)
{
    if (engine->row_count == APPLY_CHUNK_ROWS) {
        push_flush(engine);
    }
    return engine->live.rows + (size_t)engine->row_count * engine->live.row_stride;
}

/* After a flush in the middle of stage(), the staged row may lie anywhere in the pool: continue
 * behind it, so that its slots stay until its own targets have run. */
static void
keep_row(struct engine *engine, const struct value *values)
{
    engine->row_count =
        (uint32_t)((size_t)(values - engine->live.rows) / engine->live.row_stride) + 1;
}

/* ---- decoding: the predicted way, then the generic one ---- */

/* The event's name, when the envelope begins in the usual order; enough to pick a decoder. */
static bool
peek_event(struct slice *out, enum encoding encoding, struct slice payload)
{
    static const char json[] = "{\"event\":\"";
    static const uint8_t msgpack[] = {0x82, 0xa5, 'e', 'v', 'e', 'n', 't'};

    if (encoding == ENCODING_JSON) {
        const size_t prefix = sizeof json - 1;

        if (payload.size <= prefix || memcmp(payload.data, json, prefix) != 0) {
            return false;
        }
        const uint8_t *end = memchr(payload.data + prefix, '"', payload.size - prefix);

        if (end == NULL) {
            return false;
        }
        *out = slice_of(payload.data + prefix, (size_t)(end - payload.data) - prefix);
        return true;
    }
    if (payload.size <= sizeof msgpack || memcmp(payload.data, msgpack, sizeof msgpack) != 0) {
        return false;
    }
    const uint8_t header = payload.data[sizeof msgpack];
    const size_t size = header & 0x1f;

    if ((header & 0xe0) != 0xa0 || payload.size - sizeof msgpack - 1 < size) {
        return false;
    }
    *out = slice_of(payload.data + sizeof msgpack + 1, size);
    return true;
}

static struct live_source *
decode_predicted(struct engine *engine, const struct request *request, struct value *values)
{
    struct live_source *source = engine->last_source;
    struct slice name;

    if (request->has_name) {
        if (source == NULL || !slice_equal(source->plan->name, request->name)) {
            source = live_find_source(&engine->live, request->name);
        }
        return source != NULL && row_decode_body(values, source->plan->schema, request->encoding,
                                                 request->payload, &engine->arena)
                   ? source
                   : NULL;
    }
    if (source != NULL && row_decode_push(values, source->plan->schema, request->encoding,
                                          request->payload, &engine->arena)) {
        return source;
    }
    if (!peek_event(&name, request->encoding, request->payload)) {
        return NULL;
    }
    if (source != NULL && slice_equal(source->plan->name, name)) {
        return NULL;
    }
    source = live_find_source(&engine->live, name);
    return source != NULL && row_decode_push(values, source->plan->schema, request->encoding,
                                             request->payload, &engine->arena)
               ? source
               : NULL;
}

static enum bv_status
event_not_found(struct slice name, struct bv_error *err)
{
    enum bv_status status = bv_error_set(
        err, BV_EVENT_NOT_FOUND, "event \"%s\" is not registered; register its source first",
        bv_error_quote(name));

    bv_error_path(err, "event");
    return status;
}

/* Steps 3 to 7 of wire.md 5.2 for a body whose event is known by name. */
static enum bv_status
decode_body(struct live_source **out, struct engine *engine, enum encoding encoding,
            struct slice name, struct slice body, struct value *values, struct bv_error *err)
{
    struct value tree;
    enum bv_status status =
        row_parse(&tree, encoding, body, engine->options.row_flags, &engine->arena, err);

    if (status == BV_OK) {
        status = row_check_name(name, err);
    }
    if (status != BV_OK) {
        return status;
    }
    *out = live_find_source(&engine->live, name);
    if (*out == NULL) {
        return event_not_found(name, err);
    }
    return row_bind(values, (*out)->plan->schema, &tree, err);
}

struct decoded {
    struct live_source *source;
    struct slice event;
    struct slice body; /* bytes of the event object; unset when it came by a frame */
};

static enum bv_status
decode_generic(struct decoded *out, struct engine *engine, const struct request *request,
               struct value *values, struct bv_error *err)
{
    struct push_envelope envelope = {request->name, request->payload};
    enum bv_status status = BV_OK;

    if (!request->has_name) {
        status =
            push_envelope_decode(&envelope, request->encoding, request->transport == TRANSPORT_HTTP,
                                 request->payload, &engine->arena, err);
        if (status != BV_OK) {
            return status;
        }
        if (envelope.body.data == NULL) {
            if (request->transport != TRANSPORT_HTTP) {
                return bv_error_set(err, BV_INVALID_EVENT,
                                    "\"body\" is missing; send {\"event\":..,\"body\":{..}}");
            }
            envelope.body =
                request->encoding == ENCODING_JSON ? slice_of("{}", 2) : slice_of("\x80", 1);
        }
    }
    out->event = envelope.event;
    out->body = envelope.body;
    return decode_body(&out->source, engine, request->encoding, envelope.event, envelope.body,
                       values, err);
}

/* The log's door: false with err set when the log cannot take a push. */
static bool
log_takes(struct engine *engine, size_t bytes, struct bv_error *err)
{
    if (engine->wal == NULL) {
        return true;
    }
    /* Room first: a log that has failed has room for everything, and may fail at any time. */
    const bool has_room = journal_make_room(engine, bytes);

    if (BV_UNLIKELY(wal_failed(engine->wal))) {
        bv_error_set(err, BV_WAL_UNAVAILABLE,
                     "the log cannot be written; the event was not applied, reads go on");
        return false;
    }
    if (BV_UNLIKELY(!has_room)) {
        bv_error_set(err, BV_WAL_UNAVAILABLE,
                     "the log's buffer is full; send the event again in a moment");
        return false;
    }
    return true;
}

/* What becomes of a valid event. */
enum verdict {
    VERDICT_NEW,      /* it has to be accepted next */
    VERDICT_REPEATED, /* *entry is what it was answered */
    VERDICT_REFUSED,  /* err says why */
};

__attribute__((noinline)) static enum verdict
judge_closely(struct engine *engine, struct live_source *source, struct value *values, size_t bytes,
              const struct dedupe_entry **entry, struct bv_error *err)
{
    if (source->dedupe != NULL) {
        if (!dedupe_find(entry, engine, source->dedupe, values)) {
            bv_error_set(err, BV_NO_MEMORY, "there is no memory for the event's dedupe key");
            return VERDICT_REFUSED;
        }
        if (*entry != NULL) {
            engine->events_replayed++;
            return VERDICT_REPEATED;
        }
    }
    if (!log_takes(engine, bytes, err)) {
        return VERDICT_REFUSED;
    }
    if (engine->is_tight) {
        /* Evictions take room in the log too. */
        if (!budget_admits(engine, source, values, err) || !log_takes(engine, bytes, err)) {
            return VERDICT_REFUSED;
        }
    }
    if (source->dedupe != NULL) {
        if (!dedupe_remember(engine, source->dedupe, values, engine->next_lsn)) {
            bv_error_set(err, BV_MEMORY_LIMIT,
                         "there is no memory to remember the event's dedupe key");
            bv_error_hint(err, "give the event a shorter dedupe_window_ms, or lower "
                               "dedupe_max_entries");
            return VERDICT_REFUSED;
        }
        engine->has_dedupe_events = true;
    }
    return VERDICT_NEW;
}

/* The door of every valid event: repeats, the log, the budgets, room to remember its key. */
static inline enum verdict
judge(struct engine *engine, struct live_source *source, struct value *values, size_t bytes,
      const struct dedupe_entry **entry, struct bv_error *err)
{
    if (BV_UNLIKELY(!has_scratch(engine, source, bytes, err))) {
        return VERDICT_REFUSED;
    }
    if (BV_LIKELY(source->dedupe == NULL && !engine->is_tight)) {
        return BV_LIKELY(log_takes(engine, bytes, err)) ? VERDICT_NEW : VERDICT_REFUSED;
    }
    return judge_closely(engine, source, values, bytes, entry, err);
}

static void
accept(struct engine *engine, struct live_source *source, struct value *values,
       struct response *out)
{
    out->lsn = engine->next_lsn;
    engine->last_source = source;
    engine->last_event_ms = engine->now_ms;
    stage(engine, source, values);
    keep_row(engine, values);
}

/* An event that was accepted before is answered as it was then, once that is durable. */
static void
answer_repeated(struct engine *engine, const struct dedupe_entry *entry,
                const struct request *request, struct response *out)
{
    *out = (struct response){
        .kind = RESPONSE_ACK,
        .status = BV_OK,
        .is_replay = true,
        .is_sync = request->is_sync,
        .lsn = entry->lsn,
        .wait_lsn = entry->lsn,
        /* HTTP repeats the first ack's body, the others say what is in force (wire.md 5.5). */
        .registry_version = request->transport == TRANSPORT_HTTP ? entry->registry_version
                                                                 : engine->live.registry->version,
    };
    if (request->is_sync && entry->lsn > engine->sync_lsn) {
        engine->sync_lsn = entry->lsn;
    }
}

void
push_dispatch(struct engine *engine, const struct request *request, struct response *out)
{
    struct value *values = next_row(engine);
    struct decoded decoded = {.event = request->name, .body = request->payload};
    const struct dedupe_entry *entry = NULL;
    struct bv_error err;

    decoded.source = decode_predicted(engine, request, values);
    if (BV_UNLIKELY(decoded.source == NULL)) {
        if (decode_generic(&decoded, engine, request, values, &err) != BV_OK) {
            engine->events_refused++;
            reply_error(engine, out, &err, 0);
            return;
        }
    }
    const enum verdict verdict = judge(engine, decoded.source, values,
                                       request->payload.size + FRAME_HEADER_SIZE, &entry, &err);

    if (BV_UNLIKELY(verdict != VERDICT_NEW)) {
        if (verdict == VERDICT_REPEATED) {
            answer_repeated(engine, entry, request, out);
        } else {
            engine->events_refused++;
            reply_error(engine, out, &err, err.status == BV_WAL_UNAVAILABLE ? REPLY_REASON : 0);
        }
        return;
    }
    out->kind = RESPONSE_ACK;
    out->status = BV_OK;
    out->is_replay = false;
    out->is_sync = request->is_sync;
    out->registry_version = engine->live.registry->version;
    journal_open(engine);
    accept(engine, decoded.source, values, out);
    out->wait_lsn = out->lsn;
    if (BV_UNLIKELY(request->is_sync)) {
        engine->sync_lsn = out->lsn;
    }
    if (request->frame.size != 0) {
        journal_frame(engine, request->frame);
    } else {
        if (!request->has_name && decoded.body.data == request->payload.data) {
            /* Predicted from an envelope that did not come in a frame. */
            struct push_envelope envelope;
            const enum bv_status status = push_envelope_decode(
                &envelope, request->encoding, request->transport == TRANSPORT_HTTP,
                request->payload, &engine->arena, NULL);

            BV_ASSERT(status == BV_OK);
            decoded.body = envelope.body;
        }
        journal_event(engine, request->encoding, decoded.source->plan->name, decoded.body);
    }
}

/* ---- many events in one request ---- */

struct batch {
    struct engine *engine;
    enum encoding encoding;
    struct slice event;
    uint64_t accepted;
    uint64_t last_lsn;
    uint64_t wait_lsn;   /* of what was accepted or replayed */
    struct buf replayed; /* I,.. */
    struct buf refused;  /* {"error":{..},"index":I},.. */
    uint64_t unlisted;   /* refused once that was full */
};

/* A frame of small wrong elements would be answered with fifty times its size, and the ack would
 * give way to response_too_large: beyond half of what a reply may be, refusals are only counted. */
#define REFUSED_BYTES_MAX (1u << 20)

static void
refuse_element(struct batch *batch, const struct bv_error *err, size_t index)
{
    const uint32_t half = batch->engine->options.max_reply / 2;
    const size_t most = half != 0 && half < REFUSED_BYTES_MAX ? half : REFUSED_BYTES_MAX;
    const size_t before = batch->refused.size;

    batch->engine->events_refused++;
    if (batch->unlisted == 0) {
        buf_text(&batch->refused, before == 0 ? "{\"error\":" : ",{\"error\":");
        reply_error_object(&batch->refused, err, 0);
        buf_printf(&batch->refused, ",\"index\":%zu}", index);
    }
    if (batch->unlisted != 0 || batch->refused.size > most) {
        batch->refused.size = before;
        batch->unlisted++;
    }
}

static void
replay_element(struct batch *batch, const struct dedupe_entry *entry, size_t index)
{
    buf_printf(&batch->replayed, batch->replayed.size == 0 ? "%zu" : ",%zu", index);
    if (entry->lsn > batch->wait_lsn) {
        batch->wait_lsn = entry->lsn;
    }
}

static void
batch_element(struct batch *batch, struct slice body, size_t index)
{
    struct engine *engine = batch->engine;
    struct value *values = next_row(engine);
    struct live_source *source = live_find_source(&engine->live, batch->event);
    const struct dedupe_entry *entry = NULL;
    struct response ack;
    struct bv_error err;
    enum bv_status status = BV_OK;

    if (source == NULL ||
        !row_decode_body(values, source->plan->schema, batch->encoding, body, &engine->arena)) {
        status = decode_body(&source, engine, batch->encoding, batch->event, body, values, &err);
    }
    enum verdict verdict = VERDICT_REFUSED;

    if (status == BV_OK) {
        verdict = judge(engine, source, values, body.size + 512, &entry, &err);
    }
    if (verdict != VERDICT_NEW) {
        if (verdict == VERDICT_REPEATED) {
            replay_element(batch, entry, index);
        } else {
            refuse_element(batch, &err, index);
        }
        return;
    }
    journal_open(engine);
    accept(engine, source, values, &ack);
    batch->last_lsn = ack.lsn;
    batch->wait_lsn = ack.lsn;
    batch->accepted++;
    journal_event(engine, batch->encoding, source->plan->name, body);
}

static void
batch_reply(struct batch *batch, bool is_sync, struct response *out)
{
    struct engine *engine = batch->engine;
    struct buf *reply = &engine->reply;

    buf_clear(reply);
    buf_printf(reply, "{\"accepted\":%llu,\"ack_lsn\":", (unsigned long long)batch->accepted);
    if (batch->accepted == 0) {
        buf_text(reply, "null");
    } else {
        json_write_u64(reply, batch->last_lsn);
    }
    buf_text(reply, ",\"refused\":[");
    buf_append(reply, batch->refused.data, batch->refused.size);
    buf_text(reply, "],");
    if (batch->unlisted != 0) {
        buf_printf(reply, "\"refused_unlisted\":%llu,", (unsigned long long)batch->unlisted);
    }
    buf_text(reply, "\"registry_version\":");
    json_write_u64(reply, engine->live.registry->version);
    buf_text(reply, ",\"replayed\":[");
    buf_append(reply, batch->replayed.data, batch->replayed.size);
    buf_text(reply, "]}");
    reply->failed |= batch->refused.failed | batch->replayed.failed;
    out->wait_lsn = batch->wait_lsn;
    out->is_sync = is_sync;
    reply_json(engine, out, FRAME_PUSH_MANY);
}

void
push_batch_dispatch(struct engine *engine, const struct request *request, struct response *out)
{
    struct batch batch = {.engine = engine, .encoding = request->encoding, .event = request->name};
    struct slice *bodies = NULL;
    size_t count = 0;
    struct bv_error err;
    enum bv_status status;

    if (request->kind == REQUEST_PUSH_MANY) {
        status = push_many_decode(&batch.event, &bodies, &count, request->encoding,
                                  request->payload, &engine->arena, &err);
    } else {
        status = push_array_decode(&bodies, &count, request->payload, &engine->arena, &err);
        if (status != BV_OK) {
            /* A plain object keeps the single ack; anything else gets its refusal. */
            push_dispatch(engine, request, out);
            return;
        }
    }
    if (status == BV_OK) {
        status = row_check_name(batch.event, &err);
    }
    if (status == BV_OK && live_find_source(&engine->live, batch.event) == NULL) {
        status = event_not_found(batch.event, &err);
    }
    if (status != BV_OK) {
        reply_error(engine, out, &err, 0);
        return;
    }
    buf_init(&batch.refused);
    buf_init(&batch.replayed);
    for (size_t i = 0; i < count; i++) {
        batch_element(&batch, bodies[i], i);
    }
    batch_reply(&batch, request->is_sync, out);
    buf_deinit(&batch.refused);
    buf_deinit(&batch.replayed);
}

/* ---- recovery ---- */

static enum bv_status
replay_frame(struct engine *engine, const struct frame *frame, struct bv_error *err)
{
    const struct request request = {
        .kind = REQUEST_PUSH,
        .transport = TRANSPORT_TCP,
        .encoding = (enum encoding)frame->content_type,
        .payload = frame->payload,
    };
    struct value *values = next_row(engine);
    struct decoded decoded = {0};
    struct response ack;

    decoded.source = decode_predicted(engine, &request, values);
    if (decoded.source == NULL) {
        enum bv_status status = decode_generic(&decoded, engine, &request, values, err);

        if (status != BV_OK) {
            return status;
        }
    }
    if (!has_scratch(engine, decoded.source, frame->payload.size, err)) {
        return BV_NO_MEMORY;
    }
    if (decoded.source->dedupe != NULL &&
        !dedupe_remember(engine, decoded.source->dedupe, values, engine->next_lsn)) {
        return bv_error_set(err, BV_NO_MEMORY, "dedupe keys");
    }
    accept(engine, decoded.source, values, &ack);
    engine->next_lsn++;
    return BV_OK;
}

enum bv_status
push_replay(struct engine *engine, const struct record_header *header, struct slice frames,
            struct bv_error *err)
{
    uint32_t count = 0;

    engine->seed = header->seed;
    while (frames.size != 0) {
        struct frame frame;
        enum bv_status status = BV_CORRUPT;

        if (frame_decode(&frame, frames, UINT32_MAX - 3) == FRAME_COMPLETE &&
            frame.opcode == FRAME_PUSH) {
            status = replay_frame(engine, &frame, err);
        }
        if (status != BV_OK) {
            char why[sizeof err->message];

            if (status == BV_NO_MEMORY) {
                return status;
            }
            memcpy(why, err->message, sizeof why);
            return bv_error_set(err, BV_CORRUPT,
                                "logged event %u of LSN %llu does not apply: %.300s", count,
                                (unsigned long long)header->first_lsn, why);
        }
        count++;
        frames = slice_of(frames.data + frame.size, frames.size - frame.size);
    }
    push_flush(engine);
    arena_reset(&engine->arena);
    if (count != header->count) {
        return bv_error_set(err, BV_CORRUPT, "the record of LSN %llu holds %u events, not %u",
                            (unsigned long long)header->first_lsn, count, header->count);
    }
    return BV_OK;
}
