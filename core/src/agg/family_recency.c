/* SPDX-License-Identifier: Apache-2.0 */
/* What came first, what came latest, how long ago, how often in a row (operators.md 4.4, 4.5).
 *
 * Enters:  one value of any kind per matching event (first, last); else the event's time, and for
 *          the streaks whether it matched.
 * Leaves:  the value as it was pushed; times and ages in milliseconds; run lengths.
 * Owner:   the entity's block; long texts and more than four times lie in its heap.
 *
 * Invariants
 *   (1) Null and missing touch nothing; an operator without a field counts every event.
 *   (2) When memory is spent, what is stored stays.
 *
 * None of these stands in a window, so there are no merges: first_seen_in_window looks at the state
 * of a lifetime and compares at the read.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/ring.h"

#define VERSION    1
#define LAST_N_MAX 1024
#define NEVER      UINT64_MAX /* a time */

/* ---- first and last ---- */

static uint32_t
point_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct stored_value);
}

static void
point_init(void *state, const void *config)
{
    *(struct stored_value *)state = (struct stored_value){0};
}

static void
first_update(void *state, const void *config, const struct value *const *inputs,
             const struct agg_moment *moment)
{
    struct stored_value *stored = (struct stored_value *)state;

    if (stored->kind == VALUE_NULL && inputs[0]->kind != VALUE_NULL) {
        stored_value_set(stored, inputs[0], moment->heap);
    }
}

static void
last_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    if (inputs[0]->kind != VALUE_NULL) {
        stored_value_set((struct stored_value *)state, inputs[0], moment->heap);
    }
}

static void
point_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    buf_byte(out, VERSION);
    stored_value_encode(out, (const struct stored_value *)state, heap);
}

static enum bv_status
point_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
             struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    bool is_sound = codec_take_u8(&reader) == VERSION;
    enum bv_status status = BV_OK;

    *(struct stored_value *)state = (struct stored_value){0};
    if (is_sound) {
        status = stored_value_decode((struct stored_value *)state, &reader, &is_sound, heap, err);
    }
    return status == BV_OK ? codec_finish(&reader, consumed, "point", is_sound, err) : status;
}

static void
point_release(void *state, const void *config, struct agg_heap *heap)
{
    stored_value_release((struct stored_value *)state, heap);
}

static const struct agg_accumulator first_accumulator = {
    .name = "first",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .state_size = point_state_size,
    .init = point_init,
    .update = first_update,
    .encode = point_encode,
    .decode = point_decode,
    .release = point_release,
};

static const struct agg_accumulator last_accumulator = {
    .name = "last",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .state_size = point_state_size,
    .init = point_init,
    .update = last_update,
    .encode = point_encode,
    .decode = point_decode,
    .release = point_release,
};

/* ---- seen: the times of the first and the latest event ---- */

struct seen_state {
    uint64_t first_ms; /* NEVER before the first event */
    uint64_t last_ms;
};

static uint32_t
seen_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct seen_state);
}

static void
seen_init(void *state, const void *config)
{
    *(struct seen_state *)state = (struct seen_state){.first_ms = NEVER};
}

static void
seen_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct seen_state *s = (struct seen_state *)state;

    s->first_ms = s->first_ms == NEVER ? moment->now_ms : s->first_ms;
    s->last_ms = moment->now_ms;
}

static void
seen_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct seen_state *s = (const struct seen_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->first_ms);
    codec_put_u64(out, s->last_ms);
}

static enum bv_status
seen_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct seen_state *s = (struct seen_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->first_ms = codec_take_u64(&reader);
    s->last_ms = codec_take_u64(&reader);
    return codec_finish(&reader, consumed, "seen", is_known, err);
}

static const struct agg_accumulator seen_accumulator = {
    .name = "seen",
    .input_count = 0,
    .state_align = 8,
    .state_size = seen_state_size,
    .init = seen_init,
    .update = seen_update,
    .encode = seen_encode,
    .decode = seen_decode,
};

/* ---- recent: the times of the last n events ---- */

struct recent_config {
    uint32_t slots;
};

static uint32_t
slots_of(const void *config)
{
    return ((const struct recent_config *)config)->slots;
}

/* Registration has checked the bounds; what comes from a log is checked again. */
static enum bv_status
recent_configure(void *config, const struct value *params, struct bv_error *err)
{
    const struct value *n = value_find(params, "n");

    if (n == NULL || n->kind != VALUE_I64 || n->as.i64 < 1 || n->as.i64 > LAST_N_MAX) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "`n` must be an integer in [1, %d]",
                            LAST_N_MAX);
    }
    *(struct recent_config *)config = (struct recent_config){(uint32_t)n->as.i64};
    return BV_OK;
}

static uint32_t
recent_state_size(const void *config, enum field_type input_type)
{
    return ring_state_size(slots_of(config));
}

static void
recent_init(void *state, const void *config)
{
    memset(state, 0, ring_state_size(slots_of(config)));
}

static bool
push_time(struct ring *ring, uint32_t slots, uint64_t now_ms, struct agg_heap *heap)
{
    if (!ring_has_room(ring, slots, RING_WORDS, heap)) {
        return false;
    }
    ring_cells(ring, slots, heap).words[ring->next] = now_ms;
    ring_advance(ring, slots);
    return true;
}

static void
recent_update(void *state, const void *config, const struct value *const *inputs,
              const struct agg_moment *moment)
{
    push_time((struct ring *)state, slots_of(config), moment->now_ms, moment->heap);
}

static void
recent_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct ring *ring = (const struct ring *)state;
    const uint32_t slots = slots_of(config);
    const uint32_t count = ring_count(ring, slots);
    uint8_t head[4];

    buf_byte(out, VERSION);
    store_le32(head, count);
    buf_append(out, head, sizeof head);
    for (uint32_t i = 0; i < count; i++) {
        codec_put_u64(out, ring_word_at(ring, slots, i, heap));
    }
}

static enum bv_status
recent_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct ring *ring = (struct ring *)state;
    const uint32_t slots = slots_of(config);
    const bool is_known = codec_take_u8(&reader) == VERSION;
    const uint32_t count = codec_take_u32(&reader);
    const bool is_sound = is_known && count <= slots;
    enum bv_status status = BV_OK;

    recent_init(state, config);
    for (uint32_t i = 0; is_sound && i < count && status == BV_OK && !reader.is_short; i++) {
        const uint64_t at = codec_take_u64(&reader);

        if (!reader.is_short && !push_time(ring, slots, at, heap)) {
            status = bv_error_set(err, BV_NO_MEMORY, "%u times", count);
        }
    }
    if (status == BV_OK) {
        status = codec_finish(&reader, consumed, "recent", is_sound, err);
    }
    if (status != BV_OK) {
        ring_release(ring, slots, RING_WORDS, heap);
    }
    return status;
}

static void
recent_release(void *state, const void *config, struct agg_heap *heap)
{
    ring_release((struct ring *)state, slots_of(config), RING_WORDS, heap);
}

static const struct agg_accumulator recent_accumulator = {
    .name = "recent",
    .input_count = 0,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .config_size = sizeof(struct recent_config),
    .configure = recent_configure,
    .state_size = recent_state_size,
    .init = recent_init,
    .update = recent_update,
    .encode = recent_encode,
    .decode = recent_decode,
    .release = recent_release,
};

/* ---- streaks ---- */

struct streaks_state {
    int64_t run;  /* events alike up to now: matching ones above zero, others below */
    int64_t best; /* the longest run of matching ones */
};

static uint32_t
streaks_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct streaks_state);
}

static void
streaks_init(void *state, const void *config)
{
    *(struct streaks_state *)state = (struct streaks_state){0};
}

static void
streaks_update(void *state, const void *config, const struct value *const *inputs,
               const struct agg_moment *moment)
{
    struct streaks_state *s = (struct streaks_state *)state;
    const int64_t up = s->run > 0 ? s->run : 0;
    const int64_t down = s->run < 0 ? s->run : 0;

    s->run = moment->is_match ? up + 1 : down - 1;
    s->best = s->run > s->best ? s->run : s->best;
}

static void
streaks_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct streaks_state *s = (const struct streaks_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, (uint64_t)s->run);
    codec_put_u64(out, (uint64_t)s->best);
}

static enum bv_status
streaks_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
               struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct streaks_state *s = (struct streaks_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->run = (int64_t)codec_take_u64(&reader);
    s->best = (int64_t)codec_take_u64(&reader);
    /* Far from both ends, so that counting on cannot overflow. */
    return codec_finish(&reader, consumed, "streaks",
                        is_known && s->best >= 0 && s->run <= s->best && s->best <= INT64_MAX / 2 &&
                            s->run >= INT64_MIN / 2,
                        err);
}

static const struct agg_accumulator streaks_accumulator = {
    .name = "streaks",
    .input_count = 0,
    .state_align = 8,
    .state_size = streaks_state_size,
    .init = streaks_init,
    .update = streaks_update,
    .encode = streaks_encode,
    .decode = streaks_decode,
};

/* ---- readers ---- */

static void
point_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = stored_value_read((const struct stored_value *)reading->states[0], reading->heap, arena);
}

static struct value
milliseconds(uint64_t ms)
{
    return value_i64(ms > INT64_MAX ? INT64_MAX : (int64_t)ms);
}

static uint64_t
ms_since(const struct agg_reading *reading, uint64_t then_ms)
{
    return reading->query_ms > then_ms ? reading->query_ms - then_ms : 0;
}

static const struct seen_state *
seen_of(const struct agg_reading *reading)
{
    return (const struct seen_state *)reading->states[0];
}

static void
first_seen_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seen_state *s = seen_of(reading);

    *out = s->first_ms == NEVER ? value_null() : milliseconds(s->first_ms);
}

static void
last_seen_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seen_state *s = seen_of(reading);

    *out = s->first_ms == NEVER ? value_null() : milliseconds(s->last_ms);
}

static void
age_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seen_state *s = seen_of(reading);

    *out = s->first_ms == NEVER ? value_null() : milliseconds(ms_since(reading, s->first_ms));
}

static void
time_since_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seen_state *s = seen_of(reading);

    *out = s->first_ms == NEVER ? value_null() : milliseconds(ms_since(reading, s->last_ms));
}

static void
has_seen_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = value_bool(seen_of(reading)->first_ms != NEVER);
}

/* Without a length ("forever") it is has_seen (W6). */
static void
seen_in_window_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seen_state *s = seen_of(reading);
    const bool is_within =
        reading->window_ms == 0 ||
        (reading->query_ms >= s->last_ms && reading->query_ms - s->last_ms < reading->window_ms);

    *out = value_bool(s->first_ms != NEVER && is_within);
}

static void
time_since_last_n_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct ring *ring = (const struct ring *)reading->states[0];
    const uint32_t slots = slots_of(reading->configs[0]);

    *out = ring->is_full
               ? milliseconds(ms_since(reading, ring_word_at(ring, slots, 0, reading->heap)))
               : value_null();
}

static const struct streaks_state *
streaks_of(const struct agg_reading *reading)
{
    return (const struct streaks_state *)reading->states[0];
}

static void
streak_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const int64_t run = streaks_of(reading)->run;

    *out = value_i64(run > 0 ? run : 0);
}

static void
max_streak_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = value_i64(streaks_of(reading)->best);
}

static void
negative_streak_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const int64_t run = streaks_of(reading)->run;

    *out = value_i64(run < 0 ? -run : 0);
}

/* ---- the rows ---- */

#define EVERY_ROW "Every matching event counts, whatever its fields hold."
#define JUDGED_ROW                                                                                 \
    "Every event that reaches the table counts, as a match or as none; a where that is null is "   \
    "none."

static const struct agg_param point_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .is_required = true,
     .min = 1,
     .max = 0,
     .help = "The column, of any type.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_param last_n_params[] = {
    {.name = "n",
     .type = AGG_PARAM_INT,
     .is_required = true,
     .min = 1,
     .max = LAST_N_MAX,
     .help = "A positive integer, at most 1024: which of the latest events, 1 is the latest.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op recency_ops[] = {
    {.name = "first",
     .summary = "The first value of a field, as it was pushed.",
     .nulls = "Null and missing are skipped; every other value is kept as it is.",
     .empty = "null",
     .params = point_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&first_accumulator}}},
     .use_count = 1,
     .read = point_read},
    {.name = "last",
     .summary = "The latest value of a field, as it was pushed.",
     .nulls = "Null and missing are skipped; every other value is kept as it is.",
     .empty = "null",
     .params = point_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_FIELD,
     .uses = {{AGG_MATCHING, {&last_accumulator}}},
     .use_count = 1,
     .read = point_read},
    {.name = "first_seen",
     .summary = "Time of the first event, in epoch milliseconds.",
     .nulls = EVERY_ROW,
     .empty = "null",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_DATETIME,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = first_seen_read},
    {.name = "last_seen",
     .summary = "Time of the latest event, in epoch milliseconds.",
     .nulls = EVERY_ROW,
     .empty = "null",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_DATETIME,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = last_seen_read},
    {.name = "age",
     .summary = "Milliseconds since the first event.",
     .nulls = EVERY_ROW,
     .empty = "null",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = age_read},
    {.name = "has_seen",
     .summary = "Whether there was any event.",
     .nulls = EVERY_ROW,
     .empty = "false",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_BOOL,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = has_seen_read},
    {.name = "time_since",
     .summary = "Milliseconds since the latest event.",
     .nulls = EVERY_ROW,
     .empty = "null",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = time_since_read},
    {.name = "time_since_last_n",
     .summary = "Milliseconds since the n-th latest event, null before there are n.",
     .nulls = EVERY_ROW,
     .empty = "null",
     .params = last_n_params,
     .param_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_MATCHING, {&recent_accumulator}}},
     .use_count = 1,
     .read = time_since_last_n_read},
    {.name = "first_seen_in_window",
     .summary =
         "Whether the latest event is younger than the window; forever: whether there was any.",
     .nulls = EVERY_ROW,
     .empty = "false",
     .window = AGG_WINDOW_PARAMETER,
     .output = AGG_OUTPUT_BOOL,
     .uses = {{AGG_MATCHING, {&seen_accumulator}}},
     .use_count = 1,
     .read = seen_in_window_read},
    {.name = "streak",
     .summary = "Matching events in a row, up to now.",
     .nulls = JUDGED_ROW,
     .empty = "0",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_JUDGED, {&streaks_accumulator}}},
     .use_count = 1,
     .read = streak_read},
    {.name = "max_streak",
     .summary = "The most matching events in a row there ever were.",
     .nulls = JUDGED_ROW,
     .empty = "0",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_JUDGED, {&streaks_accumulator}}},
     .use_count = 1,
     .read = max_streak_read},
    {.name = "negative_streak",
     .summary = "Events in a row that do not match, up to now; 0 without a where.",
     .nulls = JUDGED_ROW,
     .empty = "0",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_I64,
     .uses = {{AGG_JUDGED, {&streaks_accumulator}}},
     .use_count = 1,
     .read = negative_streak_read},
};

static const struct agg_accumulator *const recency_accumulators[] = {
    &first_accumulator,  &last_accumulator,    &seen_accumulator,
    &recent_accumulator, &streaks_accumulator,
};

const struct agg_family family_recency = {
    .ops = recency_ops,
    .op_count = sizeof recency_ops / sizeof recency_ops[0],
    .accumulators = recency_accumulators,
    .accumulator_count = sizeof recency_accumulators / sizeof recency_accumulators[0],
};
