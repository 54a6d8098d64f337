/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's side of the log: accepted pushes become the frames of one record per tick.
 *
 * Enters:  frames as they came (TCP), or a name and a body (HTTP, batches, in process), which are
 *          wrapped as a frame first.
 * Leaves:  bytes in the log's ring. No file call is made here.
 *
 * Invariants
 *   (1) LSNs are dense: every push that was accepted, and nothing else, takes one.
 *   (2) `pending` points into request bytes, which stay until the tick ends; it is copied before
 *       the record is closed.
 *   (3) Policy memory keeps counting LSNs and writes nothing.
 */
#include "apply/apply.h"
#include "util/bytes.h"
#include "wire/frame.h"

/* Frame header, envelope around name and body in either encoding. */
#define JOURNAL_WRAP_BYTES 64

void
journal_open(struct engine *engine)
{
    if (engine->is_record_open) {
        return;
    }
    /* SplitMix64 from a seed drawn at open: one step per record, kept in the record. */
    engine->seed_state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = engine->seed_state;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    engine->seed = (uint32_t)(mixed >> 32);
    engine->is_record_open = true;
    engine->record_count = 0;
    engine->record_bytes = 0;
    if (engine->wal != NULL) {
        const struct record_header header = {
            .first_lsn = engine->next_lsn,
            .time_ms = engine->now_ms,
            .type = RECORD_PUSH,
            .registry_version = (uint32_t)engine->live.registry->version,
            .seed = engine->seed,
        };

        wal_record_begin(engine->wal, &header);
    }
}

static void
flush_pending(struct engine *engine)
{
    if (engine->pending.size != 0) {
        wal_record_append(engine->wal, engine->pending.data, engine->pending.size);
        engine->pending = slice_of(NULL, 0);
    }
}

static void
count_event(struct engine *engine, size_t bytes)
{
    engine->next_lsn++;
    engine->record_count++;
    engine->record_bytes += bytes;
    if (engine->record_bytes >= APPLY_RECORD_BYTES) {
        /* What is staged belongs to the seed of this record. */
        push_flush(engine);
        journal_close(engine);
    }
}

void
journal_frame(struct engine *engine, struct slice frame)
{
    BV_DEBUG_ASSERT(engine->is_record_open);
    if (engine->wal != NULL) {
        if (engine->pending.data + engine->pending.size == frame.data) {
            engine->pending.size += frame.size;
        } else {
            flush_pending(engine);
            engine->pending = frame;
        }
    }
    count_event(engine, frame.size);
}

void
journal_event(struct engine *engine, enum encoding encoding, struct slice event, struct slice body)
{
    BV_DEBUG_ASSERT(engine->is_record_open);
    if (engine->wal != NULL) {
        struct buf *wrap = &engine->scratch;

        /* A registered name needs no escapes in JSON, and fits a str8. */
        buf_clear(wrap);
        if (encoding == ENCODING_JSON) {
            buf_append(wrap, "{\"event\":\"", 10);
            buf_append(wrap, event.data, event.size);
            buf_append(wrap, "\",\"body\":", 9);
        } else {
            buf_append(wrap,
                       "\x82\xa5"
                       "event\xd9",
                       8);
            buf_byte(wrap, (uint8_t)event.size);
            buf_append(wrap, event.data, event.size);
            buf_append(wrap,
                       "\xa4"
                       "body",
                       5);
        }
        BV_ASSERT(!wrap->failed);
        const size_t tail = encoding == ENCODING_JSON ? 1 : 0;
        uint8_t header[FRAME_HEADER_SIZE];

        store_be32(header, (uint32_t)(3 + wrap->size + body.size + tail));
        store_be16(header + 4, FRAME_PUSH);
        header[6] = (uint8_t)encoding;
        flush_pending(engine);
        wal_record_append(engine->wal, header, sizeof header);
        wal_record_append(engine->wal, wrap->data, wrap->size);
        wal_record_append(engine->wal, body.data, body.size);
        wal_record_append(engine->wal, "}", tail);
    }
    count_event(engine, body.size + JOURNAL_WRAP_BYTES);
}

bool
journal_has_room(const struct engine *engine, size_t bytes)
{
    return engine->wal == NULL || wal_has_room(engine->wal, bytes + JOURNAL_SPARE_BYTES);
}

bool
journal_make_room(struct engine *engine, size_t bytes)
{
    if (BV_LIKELY(journal_has_room(engine, bytes + engine->pending.size))) {
        return true;
    }
    push_flush(engine);
    journal_close(engine);
    return wal_wait(engine->wal, engine->next_lsn - 1, false, NULL) == BV_OK &&
           journal_has_room(engine, bytes);
}

void
journal_close(struct engine *engine)
{
    if (!engine->is_record_open) {
        return;
    }
    BV_ASSERT(engine->record_count != 0);
    BV_ASSERT(engine->row_count == 0);
    if (engine->wal != NULL) {
        flush_pending(engine);
        if (engine->has_dedupe_events) {
            wal_record_flag(engine->wal, RECORD_FLAG_DEDUPE);
        }
        wal_record_end(engine->wal, engine->record_count);
    }
    engine->events_accepted += engine->record_count;
    engine->has_dedupe_events = false;
    engine->is_record_open = false;
}

uint64_t
journal_record(struct engine *engine, uint16_t type, struct slice body)
{
    const uint64_t lsn = engine->next_lsn++;

    journal_close(engine);
    if (engine->wal != NULL) {
        const struct record_header header = {
            .first_lsn = lsn,
            .time_ms = engine->now_ms,
            .type = type,
            .registry_version = (uint32_t)engine->live.registry->version,
        };

        wal_record_begin(engine->wal, &header);
        wal_record_append(engine->wal, body.data, body.size);
        wal_record_end(engine->wal, 1);
    }
    return lsn;
}
