/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_BOUNDED_H
#define BV_APPLY_BOUNDED_H

#include <stdbool.h>
#include <stdint.h>

#include "state/table.h"
#include "util/error.h"
#include "wire/row.h"

/* What keeps the state bounded: idle entities expire (idle.c), repeated events are known for a
 * while (dedupe.c), and there is only so much memory (budget.c). Server.md 8, wire.md 5.5.
 *
 * All of it is a function of the log: whether an entity has expired follows from recorded times,
 * so replay repeats it without a record; when the sweep frees its memory is not part of the state.
 * Evictions that do not follow from recorded times are records (RECORD_EVICT). */

struct descriptor;
struct engine;
struct live;
struct live_source;
struct live_table;
struct plan_source;
struct slice;

/* ---- idle.c: the one time to live ----
 *
 * An entity has expired for whoever asks now (reads, the next push) by the clock of the tick. Its
 * memory is freed, and a digest or an image leaves it out, by the recorded clock: last_event_ms.
 * Otherwise two engines of one log would differ by when they were asked. */

/* Entities of this table that were last touched before this time are gone (0: none are):
 * max(expired_before_ms, now - cold_after_ms). */
uint64_t idle_cutoff_ms(const struct engine *engine, const struct live_table *table);
/* The same by the recorded clock, for sweeps, digests and images. */
uint64_t idle_recorded_cutoff_ms(const struct engine *engine, const struct live_table *table);
/* table_find for whoever reads: 0 also for an expired entity. */
uint32_t idle_find(const struct engine *engine, const struct live_table *table, uint64_t hash,
                   struct slice key);
/* Whether a push finds this entity expired. */
bool idle_has_expired(const struct engine *engine, const struct live_table *table, uint32_t ref);
/* Releases what the state (of the layout in force) owns and begins it again. */
void idle_begin_afresh(struct engine *engine, struct live_table *table, void *state);
/* A registration gives the table another cold_after_ms: what had expired under the old one stays
 * gone. Called while the plan is installed, at the record's time. */
void idle_change(struct engine *engine, struct live_table *table, uint64_t cold_after_ms);
/* Takes the entity and all it owns out of the table. */
void idle_remove(struct engine *engine, struct live_table *table, uint32_t ref);
/* Frees at most so many expired entities, going round all tables; true while a round is under way.
 * Rounds begin as recorded time passes, without a break while memory is short. */
bool idle_sweep(struct engine *engine, uint32_t entities_max, uint64_t until_ns);
/* Looks at a few pages of one table, going on where it left off; true when something was freed. */
bool idle_sweep_table(struct engine *engine, struct live_table *table);

/* ---- dedupe.c ----
 *
 * Per source with a dedupe key one table: type-tagged key -> struct dedupe_entry, in the same
 * pages as everything else; snapshots copy it like any table. Oldest first out: a list in the
 * order of acceptance through the blocks, made anew after recovery. */

struct dedupe_entry {
    uint64_t expires_ms;
    uint64_t lsn; /* of the push that was accepted */
    uint32_t registry_version;
    uint32_t reserved; /* zero */
};

_Static_assert(sizeof(struct dedupe_entry) == 24, "formats.md 5.3");

/* Table ids of dedupe tables have this bit, to tell their pages from entities'. */
#define DEDUPE_TABLE_BIT 0x40000000u

struct dedupe;

/* Empty, for a source with a dedupe key. */
enum bv_status dedupe_create(struct dedupe **out, struct engine *engine,
                             const struct plan_source *plan, struct bv_error *err);
void dedupe_destroy(struct engine *engine, struct dedupe *dedupe); /* accepts NULL */
/* Whether what a source remembers still holds for its next declaration: the same dedupe key, and no
 * destructive change of the event. */
bool dedupe_fits(const struct descriptor *old, const struct descriptor *next);
/* The source goes on under this plan; entries keep the time they were given. */
void dedupe_adopt(struct dedupe *dedupe, const struct plan_source *plan);
/* Its blocks begin with a struct dedupe_entry. */
struct table *dedupe_table(const struct dedupe *dedupe);
/* Whether this row repeats an accepted event; the entry is valid until the next change. Expired
 * entries do not count. *out is NULL also when the row has no key (missing or null). False when
 * memory is spent. */
bool dedupe_find(const struct dedupe_entry **out, struct engine *engine,
                 const struct dedupe *dedupe, const struct value *values);
/* The row is about to be accepted as `lsn`: remembers it, and forgets the oldest where there are
 * too many. At replay, nothing happens when an image holds it already (rule 1). False when memory
 * is spent: nothing has changed. */
bool dedupe_remember(struct engine *engine, struct dedupe *dedupe, const struct value *values,
                     uint64_t lsn);
/* Forgets what has expired by the recorded clock, oldest first, at most so many; true when there
 * may be more. */
bool dedupe_sweep(struct engine *engine, uint32_t entries_max, uint64_t until_ns);
/* After recovery over images: makes the lists from what the tables hold, and forgets the oldest
 * where there are too many. */
enum bv_status dedupe_rebuild(struct engine *engine, struct bv_error *err);
uint64_t dedupe_entry_count(const struct engine *engine);

/* ---- budget.c ---- */

/* Whether anything may refuse from here on (is_tight): looked at once per tick and chunk. */
void budget_look(struct engine *engine);
/* How much of the memory limit is in use; 0 without one. */
unsigned budget_percent(const struct engine *engine);
/* The door: false with err (BV_MEMORY_LIMIT, path = the table) when this row would create an
 * entity for which there is no room. Called only while engine->is_tight. May apply what is staged
 * and log evictions. */
bool budget_admits(struct engine *engine, struct live_source *source, struct value *values,
                   struct bv_error *err);
/* Logs what time it is, and nothing else, so that there is something new for a snapshot; false
 * without a table, or when the log does not take it. */
bool budget_log_clock(struct engine *engine);
/* Replays a RECORD_EVICT. */
enum bv_status budget_replay_evict(struct engine *engine, uint64_t lsn, struct slice body,
                                   struct bv_error *err);

#endif
