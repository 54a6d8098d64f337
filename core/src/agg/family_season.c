/* SPDX-License-Identifier: Apache-2.0 */
/* hour_of_day_histogram, dow_hour_histogram, seasonal_deviation (operators.md 4.7 with W24).
 *
 * Enters:  the time of each matching event; one number for seasonal_deviation.
 * Leaves:  counts by hour, in UTC; a float for seasonal_deviation, null where it is not defined.
 * Owner:   the entity's block; more than one cell, and moments, lie in its heap.
 *
 * Invariants
 *   (1) A state is as large as the hours that had events make it: one event in a histogram over the
 *       168 hours of a week takes 16 bytes.
 *   (2) When memory is spent, what is counted stays and the event leaves no trace.
 *
 * None of these stands in a window, so there are no merges. Hours of the day can be read from hours
 * of the week, where a table keeps those.
 */
#include "agg/cells.h"
#include "agg/codec.h"
#include "agg/family.h"
#include "agg/moments.h"

#include <math.h>

#define VERSION 1

/* ---- hours of the day and of the week, in UTC ---- */

#define HOUR_MS    3600000u
#define DAY_HOURS  24u
#define WEEK_HOURS 168u

static void
hours_update(void *state, const void *config, const struct value *const *inputs,
             const struct agg_moment *moment)
{
    cells_add((struct cells_state *)state, DAY_HOURS,
              (uint32_t)(moment->now_ms / HOUR_MS % DAY_HOURS), moment->heap);
}

static void
hours_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    cells_encode_state(out, state, DAY_HOURS, heap);
}

static enum bv_status
hours_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
             struct agg_heap *heap, struct bv_error *err)
{
    return cells_decode_state(state, consumed, bytes, DAY_HOURS, "hours", heap, err);
}

static void
hours_release(void *state, const void *config, struct agg_heap *heap)
{
    cells_release((struct cells_state *)state, DAY_HOURS, heap);
}

static const struct agg_accumulator hours_accumulator = {
    .name = "hours",
    .input_count = 0,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .state_size = cells_state_size,
    .init = cells_init,
    .update = hours_update,
    .encode = hours_encode,
    .decode = hours_decode,
    .release = hours_release,
};

/* Cell = day * 24 + hour, Monday first; the epoch began on a Thursday. */
static void
week_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    cells_add((struct cells_state *)state, WEEK_HOURS,
              (uint32_t)((moment->now_ms / HOUR_MS + 3 * DAY_HOURS) % WEEK_HOURS), moment->heap);
}

static void
week_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    cells_encode_state(out, state, WEEK_HOURS, heap);
}

static enum bv_status
week_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    return cells_decode_state(state, consumed, bytes, WEEK_HOURS, "week_hours", heap, err);
}

static void
week_release(void *state, const void *config, struct agg_heap *heap)
{
    cells_release((struct cells_state *)state, WEEK_HOURS, heap);
}

static const struct agg_accumulator week_accumulator = {
    .name = "week_hours",
    .input_count = 0,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .state_size = cells_state_size,
    .init = cells_init,
    .update = week_update,
    .encode = week_encode,
    .decode = week_decode,
    .release = week_release,
};

/* From the hours of the week, where the table keeps those. */
static void
hours_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const bool is_week = reading->accumulators[0] == &week_accumulator;
    const uint32_t cell_count = is_week ? WEEK_HOURS : DAY_HOURS;
    const uint64_t *counts = cells_read((const struct cells_state *)reading->states[0], cell_count,
                                        reading->heap, arena);
    struct value *items = arena_alloc(arena, DAY_HOURS * sizeof *items);

    if (counts == NULL || items == NULL) {
        *out = value_null();
        return;
    }
    for (uint32_t i = 0; i < DAY_HOURS; i++) {
        items[i] = value_i64(0);
    }
    for (uint32_t i = 0; i < cell_count; i++) {
        items[i % DAY_HOURS].as.i64 += (int64_t)counts[i];
    }
    *out = (struct value){.as.items = items, .length = DAY_HOURS, .kind = VALUE_LIST};
}

#define DAY_LABELS(day)                                                                            \
    day "-00" day "-01" day "-02" day "-03" day "-04" day "-05" day "-06" day "-07" day "-08" day  \
        "-09" day "-10" day "-11" day "-12" day "-13" day "-14" day "-15" day "-16" day "-17" day  \
        "-18" day "-19" day "-20" day "-21" day "-22" day "-23"

#define LABEL_SIZE 6u

static void
week_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    /* In byte order, and the day each of them is. */
    static const char labels[] = DAY_LABELS("Fri") DAY_LABELS("Mon") DAY_LABELS("Sat")
        DAY_LABELS("Sun") DAY_LABELS("Thu") DAY_LABELS("Tue") DAY_LABELS("Wed");
    static const uint8_t days[] = {4, 0, 5, 6, 3, 1, 2};
    const uint64_t *counts = cells_read((const struct cells_state *)reading->states[0], WEEK_HOURS,
                                        reading->heap, arena);
    struct value_member *members = arena_alloc(arena, WEEK_HOURS * sizeof *members);

    if (counts == NULL || members == NULL) {
        *out = value_null();
        return;
    }
    for (uint32_t i = 0; i < WEEK_HOURS; i++) {
        const uint32_t cell = days[i / DAY_HOURS] * DAY_HOURS + i % DAY_HOURS;

        members[i] = (struct value_member){value_str(slice_of(labels + i * LABEL_SIZE, LABEL_SIZE)),
                                           value_i64((int64_t)counts[cell])};
    }
    *out = (struct value){.as.members = members, .length = WEEK_HOURS, .kind = VALUE_MAP};
}

/* ---- seasonal ---- */

/* Moments of the hours that had events, by hour, in memory for 1, 2, 4, 8, 16 or 24 of them. */
struct seasonal_state {
    double latest;
    uint32_t hours : 24;      /* bit h: hour h has moments */
    uint32_t latest_hour : 8; /* of the latest number */
    uint32_t ref;
};

_Static_assert(sizeof(struct seasonal_state) == 16, "part of the entity block's layout");

static uint32_t
seasonal_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct seasonal_state);
}

static void
seasonal_init(void *state, const void *config)
{
    *(struct seasonal_state *)state = (struct seasonal_state){0};
}

static uint32_t
seasonal_used(uint32_t hours)
{
    return (uint32_t)__builtin_popcount(hours);
}

static uint32_t
seasonal_size(uint32_t used)
{
    uint32_t capacity = 1;

    while (capacity < used) {
        capacity *= 2;
    }
    return (uint32_t)sizeof(struct moments_state) * (capacity > DAY_HOURS ? DAY_HOURS : capacity);
}

static struct moments_state *
seasonal_moments(const struct seasonal_state *s, const struct agg_heap *heap)
{
    return (struct moments_state *)agg_heap_at(heap, s->ref);
}

/* How many hours with moments come before this one. */
static uint32_t
seasonal_rank(const struct seasonal_state *s, uint32_t hour)
{
    return seasonal_used(s->hours & ((UINT32_C(1) << hour) - 1));
}

/* Empty moments for an hour that has none. */
static bool
seasonal_open(struct seasonal_state *s, uint32_t hour, struct agg_heap *heap)
{
    const uint32_t used = seasonal_used(s->hours);
    const uint32_t at = seasonal_rank(s, hour);
    const uint32_t size = used == 0 ? 0 : seasonal_size(used);

    if (seasonal_size(used + 1) != size) {
        const uint32_t ref = heap->alloc(heap, seasonal_size(used + 1));

        if (ref == 0) {
            return false;
        }
        if (used != 0) {
            memcpy(agg_heap_at(heap, ref), seasonal_moments(s, heap),
                   used * sizeof(struct moments_state));
            heap->release(heap, s->ref, size);
        }
        s->ref = ref;
    }
    struct moments_state *moments = seasonal_moments(s, heap);

    memmove(moments + at + 1, moments + at, (used - at) * sizeof *moments);
    moments[at] = (struct moments_state){0};
    s->hours |= UINT32_C(1) << hour;
    return true;
}

static void
seasonal_update(void *state, const void *config, const struct value *const *inputs,
                const struct agg_moment *moment)
{
    struct seasonal_state *s = (struct seasonal_state *)state;
    const uint32_t hour = (uint32_t)(moment->now_ms / HOUR_MS % DAY_HOURS);
    double x = 0;

    if (!value_number(inputs[0], &x)) {
        return;
    }
    if ((s->hours >> hour & 1) == 0 && !seasonal_open(s, hour, moment->heap)) {
        return;
    }
    moments_add(&seasonal_moments(s, moment->heap)[seasonal_rank(s, hour)], x);
    s->latest = x;
    if (s->latest_hour != hour) {
        s->latest_hour = (uint8_t)hour; /* else the next load of both fields waits for this store */
    }
}

static void
seasonal_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct seasonal_state *s = (const struct seasonal_state *)state;
    const uint32_t used = seasonal_used(s->hours);
    uint8_t hours[4];

    buf_byte(out, VERSION);
    store_le32(hours, s->hours | (uint32_t)s->latest_hour << DAY_HOURS);
    buf_append(out, hours, sizeof hours);
    codec_put_f64(out, s->latest);
    for (uint32_t i = 0; i < used; i++) {
        moments_put(out, &seasonal_moments(s, heap)[i]);
    }
}

static void
seasonal_release(void *state, const void *config, struct agg_heap *heap)
{
    struct seasonal_state *s = (struct seasonal_state *)state;

    if (s->hours != 0) {
        heap->release(heap, s->ref, seasonal_size(seasonal_used(s->hours)));
    }
    *s = (struct seasonal_state){0};
}

static enum bv_status
seasonal_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct seasonal_state *s = (struct seasonal_state *)state;
    bool is_sound = codec_take_u8(&reader) == VERSION;
    const uint32_t word = codec_take_u32(&reader);
    const uint32_t hours = word & ((UINT32_C(1) << DAY_HOURS) - 1);
    const uint32_t latest_hour = word >> DAY_HOURS;
    const double latest = codec_take_f64(&reader);

    *s = (struct seasonal_state){.latest = latest, .latest_hour = (uint8_t)latest_hour};
    is_sound = is_sound && (word == 0 || (latest_hour < DAY_HOURS && hours >> latest_hour & 1));
    for (uint32_t hour = 0; hour < DAY_HOURS && is_sound && !reader.is_short; hour++) {
        if ((hours >> hour & 1) == 0) {
            continue;
        }
        if (!seasonal_open(s, hour, heap)) {
            seasonal_release(state, config, heap);
            return bv_error_set(err, BV_NO_MEMORY, "moments of an hour");
        }
        moments_take(&seasonal_moments(s, heap)[seasonal_rank(s, hour)], &reader);
    }
    const enum bv_status status = codec_finish(&reader, consumed, "seasonal", is_sound, err);

    if (status != BV_OK) {
        seasonal_release(state, config, heap);
    }
    return status;
}

static const struct agg_accumulator seasonal_accumulator = {
    .name = "seasonal",
    .input_count = 1,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 8,
    .state_size = seasonal_state_size,
    .init = seasonal_init,
    .update = seasonal_update,
    .encode = seasonal_encode,
    .decode = seasonal_decode,
    .release = seasonal_release,
};

static void
seasonal_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct seasonal_state *s = (const struct seasonal_state *)reading->states[0];

    *out = value_null();
    if (s->hours == 0) {
        return;
    }
    const struct moments_state *m =
        &seasonal_moments(s, reading->heap)[seasonal_rank(s, s->latest_hour)];
    const double variance = m->n < 2 ? 0 : moments_variance(m);
    const double score = (s->latest - m->mean) / sqrt(variance);

    if (variance > 0 && isfinite(score)) {
        *out = value_f64(score);
    }
}

/* ---- the rows ---- */

#define EVERY_ROW "Every matching event counts, whatever its fields hold."

#define DAY_ZEROS(d)                                                                               \
    "\"" d "-00\":0,\"" d "-01\":0,\"" d "-02\":0,\"" d "-03\":0,\"" d "-04\":0,\"" d              \
    "-05\":0,\"" d "-06\":0,\"" d "-07\":0,\"" d "-08\":0,\"" d "-09\":0,\"" d "-10\":0,\"" d      \
    "-11\":0,\"" d "-12\":0,\"" d "-13\":0,\"" d "-14\":0,\"" d "-15\":0,\"" d "-16\":0,\"" d      \
    "-17\":0,\"" d "-18\":0,\"" d "-19\":0,\"" d "-20\":0,\"" d "-21\":0,\"" d "-22\":0,\"" d      \
    "-23\":0"

static const struct agg_param seasonal_params[] = {
    {.name = "field",
     .type = AGG_PARAM_FIELD,
     .min = 1,
     .max = 0,
     .help = "The numeric column. Without it the feature reads its empty value.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op season_ops[] = {
    {.name = "hour_of_day_histogram",
     .summary = "Number of events in each hour of the day (UTC), a list of 24.",
     .nulls = EVERY_ROW,
     .empty = "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&hours_accumulator, &week_accumulator}}},
     .use_count = 1,
     .read = hours_read},
    {.name = "dow_hour_histogram",
     .summary = "Number of events in each hour of the week (UTC), an object of 168 like Tue-07.",
     .nulls = EVERY_ROW,
     .empty = "{" DAY_ZEROS("Fri") "," DAY_ZEROS("Mon") "," DAY_ZEROS("Sat") "," DAY_ZEROS(
         "Sun") "," DAY_ZEROS("Thu") "," DAY_ZEROS("Tue") "," DAY_ZEROS("Wed") "}",
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_STR,
     .uses = {{AGG_MATCHING, {&week_accumulator}}},
     .use_count = 1,
     .read = week_read},
    {.name = "seasonal_deviation",
     .summary = "Standard deviations between the latest value and the mean of its hour of the day "
                "(UTC), the latest included; null while an hour has one value or equal ones.",
     .nulls = "Null, missing and everything that is no int or float is skipped; NaN and infinities "
              "make the result of their hour null.",
     .empty = "null",
     .params = seasonal_params,
     .param_count = 1,
     .input_count = 1,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&seasonal_accumulator}}},
     .use_count = 1,
     .read = seasonal_read},
};

static const struct agg_accumulator *const season_accumulators[] = {
    &hours_accumulator, &week_accumulator, &seasonal_accumulator};

const struct agg_family family_season = {
    .ops = season_ops,
    .op_count = sizeof season_ops / sizeof season_ops[0],
    .accumulators = season_accumulators,
    .accumulator_count = sizeof season_accumulators / sizeof season_accumulators[0],
};
