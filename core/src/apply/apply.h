/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_APPLY_H
#define BV_APPLY_APPLY_H

#include "agg/op.h"
#include "apply/bounded.h"
#include "apply/engine.h"
#include "apply/snapshot.h"
#include "durability/recovery.h"
#include "durability/wal.h"
#include "plan/plan.h"
#include "registry/registry.h"
#include "state/table.h"
#include "util/arena.h"
#include "util/assert.h"
#include "util/buf.h"

/* The inside of an engine, for the files of this room only.
 *
 * Pushes are staged: decoding, keys and hashes when a request is dispatched, the updates when a
 * chunk is full or anything else has to see them (engine.md 2). */

/* Targets that a chunk holds before it is applied; a table of an event is one target. 128 rows of
 * a dozen slots fit L1/L2, and more gains nothing (engine.md 2). */
#define APPLY_CHUNK_ROWS    128
#define APPLY_CHUNK_TARGETS 512

/* A log record is closed at this size at the latest, so that a group can be written in pieces. */
#define APPLY_RECORD_BYTES (1024u * 1024)

/* Room in the log's ring that is never promised: record headers, wrapping, padding. */
#define JOURNAL_SPARE_BYTES 4096

/* A table as it lives: its entities, and every layout that some block may still have. */
struct live_table {
    char *name_text;
    struct slice name;
    struct table *table;
    struct plan_layout **layouts; /* by layout id; the last one is in force */
    uint32_t layout_count;
    const struct plan_table *plan;
    const struct plan_layout *layout; /* layouts[layout_count - 1] */
    uint64_t cold_after_ms;           /* 0: entities never expire */
    uint64_t expired_before_ms;       /* under an earlier cold_after_ms */
    uint64_t cold_evictions;
    uint64_t idle_evictions;
    uint32_t sweep_page;  /* where idle_sweep_table goes on */
    uint64_t sample_hand; /* where the search for somebody to evict goes on */
};

struct live_source {
    const struct plan_source *plan;
    struct dedupe *dedupe;      /* NULL: no dedupe key */
    struct live_table **tables; /* plan->table_count, in order */
    bool is_program_empty;
};

struct live_feature {
    struct slice name;
    struct live_table *table;
    uint32_t index;
};

/* What a plan needs at run time; replaced as a whole by a registration. */
struct live {
    struct registry *registry;
    struct plan *plan;
    struct live_source *sources; /* ascending by name */
    uint32_t source_count;
    struct live_table **tables; /* ascending by name */
    uint32_t table_count;
    struct live_feature *features; /* ascending by name */
    uint32_t feature_count;
    struct value *rows; /* APPLY_CHUNK_ROWS x row_stride */
    uint32_t row_stride;
};

struct apply_target {
    struct live_table *table;
    const struct value *values;
    struct slice key;
    uint64_t hash;
    uint64_t lsn; /* of the event */
};

struct engine_heap {
    struct agg_heap heap; /* first: the operators' view of the pages */
    struct pages *pages;
};

/* A table's name keeps its id unless a rename takes it away; the generation counts how often it
 * started empty. */
struct table_identity {
    char *name;
    uint32_t generation;
};

struct engine {
    struct engine_options options;
    struct pages *pages;
    struct engine_heap heap;
    struct live live;
    struct live_source *last_source; /* of the last push: the next one's guess */

    struct wal_directory *directory;
    struct wal *wal;
    uint64_t next_lsn;
    uint64_t sync_lsn; /* somebody waits for its sync; 0: nobody since the last tick */
    uint64_t now_ms;
    uint64_t last_event_ms; /* latest push applied: the digest's clock */
    uint64_t seed_state;
    uint32_t seed; /* of the record being written or replayed */

    struct arena arena; /* strings and scratch until the tick ends */
    uint32_t row_count;
    uint32_t target_count;
    struct apply_target targets[APPLY_CHUNK_TARGETS];

    /* The log record being written. Frames that lie back to back are copied in one piece. */
    bool is_record_open;
    bool has_dedupe_events; /* of a source with a dedupe key */
    uint32_t record_count;
    size_t record_bytes;
    struct slice pending;

    struct buf reply;
    struct buf scratch;
    struct table_identity *identities;
    uint32_t identity_count;

    uint64_t recovered_records;
    uint64_t recovered_events;
    uint64_t recovery_ms;
    uint64_t recovery_skipped_bytes;
    uint64_t recovered_from_snapshot_lsn;
    uint64_t replay_ns;          /* of the log; without the snapshot */
    uint64_t recovered_entities; /* read from the snapshot so far */
    uint64_t progress_ns;        /* when recovery last told where it is */
    bool is_over_images;         /* replaying above a snapshot: records ask images (rule 1) */
    bool is_tight;               /* some budget may refuse: budget_look */

    /* Counted since the start, see struct engine_stats. */
    uint64_t panes_dropped;
    uint64_t categories_capped;
    uint64_t events_accepted;
    uint64_t events_refused;
    uint64_t events_replayed;
    uint64_t cold_evictions;
    uint64_t idle_evictions;
    uint64_t dedupe_evictions;
    uint64_t memory_refusals;
    uint64_t table_full_refusals;

    struct snapshot_copy *snapshot; /* NULL: no log, no snapshots */
    struct histogram pauses;
    uint64_t lag_lsn;         /* not durable when it was looked at ... */
    uint64_t lag_since_ns;    /* ... at this time; 0: all was durable */
    uint64_t background_ns;   /* when it was last asked what to do beside the requests */
    uint64_t busy_ns;         /* the last tick with requests */
    uint64_t slice_credit_ns; /* what ticks have earned for slices beside them */
    bool has_sweep_left;
    uint32_t sweep_page;     /* where the round of sweeping goes on; 0: none is under way */
    uint64_t sweep_round_ms; /* recorded clock when it began */
    uint32_t dedupe_count;   /* dedupe tables made so far: their ids */
    uint64_t memory_warned_ms;
};

/* engine.c: tells once a second how far recovery is. */
void engine_report_progress(struct engine *engine);

/* live.c: installing a plan, finding things in it. */
enum bv_status live_install(struct engine *engine, struct registry *take_registry,
                            struct plan *take_plan, const struct slice *fresh, size_t fresh_count,
                            const struct registry_rename *renamed, size_t renamed_count,
                            struct bv_error *err);
void live_deinit(struct engine *engine);
struct live_source *live_find_source(const struct live *live, struct slice name);
struct live_table *live_find_table(const struct live *live, struct slice name);
/* By the id that its pages and the log know it by; NULL when there is none. */
struct live_table *live_table_of_id(const struct live *live, uint32_t id);
const struct live_feature *live_find_feature(const struct live *live, struct slice name);
/* The state bytes of an entity in the layout in force; moves a block that has an older one. */
void *live_state(struct engine *engine, struct live_table *table, uint64_t hash, uint32_t ref);

/* push.c */
void push_dispatch(struct engine *engine, const struct request *request, struct response *out);
void push_batch_dispatch(struct engine *engine, const struct request *request,
                         struct response *out);
/* The key of the entity that a row touches in this table; false when it passes the table by. The
 * source's program has run over the values. */
bool push_entity_key(struct slice *out, const struct resolved_table *table,
                     const struct value *values, struct arena *arena);
/* Applies everything staged. */
void push_flush(struct engine *engine);
/* Replays the frames of one push record; BV_CORRUPT when one does not decode. */
enum bv_status push_replay(struct engine *engine, const struct record_header *header,
                           struct slice frames, struct bv_error *err);

/* journal.c: the engine's side of the log record. */
/* Opens the record that the next push belongs to; its seed holds from here. */
void journal_open(struct engine *engine);
void journal_frame(struct engine *engine, struct slice frame);
void journal_event(struct engine *engine, enum encoding encoding, struct slice event,
                   struct slice body);
bool journal_has_room(const struct engine *engine, size_t bytes);
/* The transport asks for room before it reads, but a batch of small events takes more in the log
 * than in its request. When there is none: applies what is staged (the row being decoded keeps its
 * slots), hands over what has gathered and waits for the writer. False when that does not help. */
bool journal_make_room(struct engine *engine, size_t bytes);
void journal_close(struct engine *engine);
/* One record of another type with a body of its own; takes one LSN and returns it. */
uint64_t journal_record(struct engine *engine, uint16_t type, struct slice body);

/* read.c */
void read_get(struct engine *engine, const struct request *request, struct response *out);
void read_single(struct engine *engine, const struct request *request, struct response *out);
void read_multi(struct engine *engine, const struct request *request, struct response *out);
void read_batch(struct engine *engine, const struct request *request, struct response *out);

/* feature.c: a row of features as a value tree in the engine's arena. */
struct value feature_row(struct engine *engine, struct live_table *table, const void *state,
                         const uint32_t *selection, uint32_t selection_count);
/* What `state` looks like is read from it; one feature. */
struct value feature_value(struct engine *engine, struct live_table *table, const void *state,
                           uint32_t index);

/* register.c */
void register_dispatch(struct engine *engine, const struct request *request, struct response *out);
void reset_dispatch(struct engine *engine, const struct request *request, struct response *out);
enum bv_status register_replay(struct engine *engine, struct slice log_json, struct bv_error *err);
enum bv_status reset_replay(struct engine *engine, uint64_t registry_version, struct bv_error *err);

/* reply.c */
void reply_json(struct engine *engine, struct response *out, uint16_t opcode); /* engine->reply */
void reply_value(struct engine *engine, struct response *out, enum encoding encoding,
                 const struct value *value);
/* {"error":{code, hint?, kind?, message, path?, reason?},"registry_version":N} */
#define REPLY_REASON    1u /* v0 called the text `reason` here: send both */
#define REPLY_MALFORMED 2u /* "kind":"malformed_request" */
void reply_error(struct engine *engine, struct response *out, const struct bv_error *err,
                 unsigned flags);
/* The error object alone: {code, message, path?}. */
void reply_error_object(struct buf *buf, const struct bv_error *err, unsigned flags);

static inline bool
apply_is_true(const struct value *v)
{
    return v->kind == VALUE_BOOL && v->as.bits != 0;
}

#endif
