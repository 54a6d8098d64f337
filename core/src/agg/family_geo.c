/* SPDX-License-Identifier: Apache-2.0 */
/* geo_velocity, geo_distance, geo_spread, distance_from_home (operators.md 4.10 with W31).
 *
 * Enters:  a latitude and a longitude in degrees per matching event, and its time.
 * Leaves:  kilometres, or kilometres per hour.
 * Owner:   the entity's block; the points of distance_from_home lie in its heap.
 *
 * Invariants
 *   (1) An event without two numbers touches nothing. NaN and infinities are numbers: sums and
 * means that they entered are no longer finite and read null; a maximum passes over them. (2) These
 * are lifetime operators: no state is ever merged. (3) Only IEEE operations and fma: the same bits
 * on every machine, so a log can be replayed on another one. libm promises less, and is slower. (4)
 * When memory is spent a point is ignored, and the points that are kept stay as they were.
 *
 * Longitudes go around. Differences are taken the short way; means and variances (W31) are taken
 * twice, with the circle cut open at 180 degrees (longitudes as they were pushed) and at 0
 * (negative ones plus 360), and the cut with the smaller variance is read: any set of points within
 * half a circle is whole on one of them, and no order of events changes the result. A running mean
 * with wrapped differences would need less state and depend on the order.
 */
#include "agg/codec.h"
#include "agg/family.h"
#include "util/assert.h"

#include <math.h>

#define VERSION             1
#define NEVER               UINT64_MAX
#define EARTH_RADIUS_KM     6371.0
#define KM_PER_DEGREE       111.32
#define MS_PER_HOUR         3600000.0
#define SAMPLES_MAX         65536 /* W14 */
#define SAMPLES_FALLBACK    100
#define POINTS_FIRST        2u
#define CLEARLY_SMALLER(x)  ((x) * (1 - 1e-9)) /* no rounding decides between equal cuts */
#define ASIN_ARGUMENT_LIMIT 0.04

static struct value
finite_or_null(double v)
{
    return isfinite(v) ? value_f64(v) : value_null();
}

/* ---- the sphere ---- */

/* sin of x degrees, |x| <= 90, by its Taylor series of 11 terms: what is cut off is less than
 * (pi/2)^22 / 23! < 1e-18 of the result. The terms sum to at most sinh(pi/2) / sin(pi/2) < 2.4
 * times the result in magnitude, so rounding adds a few units of 1.1e-16. */
static inline double
sin_degrees(double x)
{
    const double y = x * x;
    const double z = y * y;
    double even = 2.350070050244973e-57;
    double odd = -3.240226451244978e-51;

    even = fma(even, z, 3.637866301611077e-45);
    odd = fma(odd, z, -3.248335681954942e-39);
    even = fma(even, z, 2.2393679707751967e-33);
    odd = fma(odd, z, -1.1468201775379016e-27);
    even = fma(even, z, 4.1412674172573206e-22);
    odd = fma(odd, z, -9.788384861617728e-17);
    even = fma(even, z, 1.349601623163255e-11);
    odd = fma(odd, z, -8.86096155701298e-07);
    even = fma(even, z, 0.017453292519943295);
    return x * fma(odd, y, even);
}

static inline double
cos_degrees(double x)
{
    double magnitude = fabs(x);

    if (BV_UNLIKELY(!(magnitude <= 180))) {
        magnitude = fabs(remainder(x, 360));
    }
    return sin_degrees(90 - magnitude);
}

/* sin^2 of half the angle between two coordinates. */
static inline double
haversine(double from, double to)
{
    double angle = to - from;

    if (BV_UNLIKELY(!(fabs(angle) <= 180))) {
        /* The short way, and exact for points close by on either side of the antimeridian. */
        angle = (to - copysign(180, to)) - (from - copysign(180, from));
        if (!(fabs(angle) <= 180)) {
            angle = remainder(remainder(to, 360) - remainder(from, 360), 360);
        }
    }
    const double sine = sin_degrees(angle / 2);

    return sine * sine;
}

/* asin(sqrt(a)), a in [0, 1]. Halving the angle, at most three times, brings the argument under
 * 0.04, where the 11 terms of the series leave out less than 0.0074 * 0.04^11 / 0.96 < 4e-18. */
static inline double
asin_sqrt(double a)
{
    double scale = 1;

    while (a > ASIN_ARGUMENT_LIMIT) {
        a = a / (2 * (1 + sqrt(1 - a)));
        scale *= 2;
    }
    const double b = a * a;
    double even = 0.008390335809616815;
    double odd = 0.009761609529194078;

    even = fma(even, b, 0.011551800896139705);
    odd = fma(odd, b, 0.01396484375);
    even = fma(even, b, 0.017352764423076924);
    odd = fma(odd, b, 0.022372159090909092);
    even = fma(even, b, 0.030381944444444444);
    odd = fma(odd, b, 0.044642857142857144);
    even = fma(even, b, 0.075);
    odd = fma(odd, b, 0.16666666666666666);
    even = fma(even, b, 1.0);
    return scale * sqrt(a) * fma(odd, a, even);
}

struct point {
    double lat;
    double lon;
};

static inline double
distance_km(struct point from, double from_cos, struct point to, double to_cos)
{
    double a = fma(haversine(from.lon, to.lon), from_cos * to_cos, haversine(from.lat, to.lat));

    a = a > 1 ? 1 : a; /* W31: antipodes, rounded */
    a = a < 0 ? 0 : a; /* latitudes beyond a pole */
    return 2 * EARTH_RADIUS_KM * asin_sqrt(a);
}

static inline bool
take_point(struct point *out, const struct value *const *inputs)
{
    return value_number(inputs[0], &out->lat) && value_number(inputs[1], &out->lon);
}

/* ---- geo_path: what geo_velocity and geo_distance read ---- */

/* One accumulator for both: a distance is the dear part, and whoever asks for one of them mostly
 * asks for the other. */
struct path_state {
    uint64_t last_ms; /* NEVER: no point yet */
    struct point last;
    double last_cos;
    double km;
    double top_speed; /* km/h */
};

static uint32_t
path_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct path_state);
}

static void
path_init(void *state, const void *config)
{
    *(struct path_state *)state = (struct path_state){.last_ms = NEVER};
}

static void
path_update(void *state, const void *config, const struct value *const *inputs,
            const struct agg_moment *moment)
{
    struct path_state *s = (struct path_state *)state;
    const uint64_t now_ms = moment->now_ms == NEVER ? NEVER - 1 : moment->now_ms;
    struct point point;

    if (!take_point(&point, inputs)) {
        return;
    }
    const double point_cos = cos_degrees(point.lat);

    if (s->last_ms != NEVER) {
        const double km = distance_km(s->last, s->last_cos, point, point_cos);
        const double elapsed = now_ms > s->last_ms ? (double)(now_ms - s->last_ms) : 0;

        s->km += km;
        if (km * MS_PER_HOUR > s->top_speed * elapsed && elapsed > 0) {
            s->top_speed = km * MS_PER_HOUR / elapsed;
        }
    }
    s->last_ms = now_ms;
    s->last = point;
    s->last_cos = point_cos;
}

/* last_cos follows from the latitude: it is not part of the snapshot. */
static void
path_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct path_state *s = (const struct path_state *)state;

    buf_byte(out, VERSION);
    codec_put_u64(out, s->last_ms);
    codec_put_f64(out, s->last.lat);
    codec_put_f64(out, s->last.lon);
    codec_put_f64(out, s->km);
    codec_put_f64(out, s->top_speed);
}

static enum bv_status
path_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
            struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct path_state *s = (struct path_state *)state;
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->last_ms = codec_take_u64(&reader);
    s->last.lat = codec_take_f64(&reader);
    s->last.lon = codec_take_f64(&reader);
    s->km = codec_take_f64(&reader);
    s->top_speed = codec_take_f64(&reader);
    s->last_cos = s->last_ms == NEVER ? 0 : cos_degrees(s->last.lat);
    return codec_finish(&reader, consumed, "geo_path", is_known, err);
}

static const struct agg_accumulator path_accumulator = {
    .name = "geo_path",
    .input_count = 2,
    .state_align = 8,
    .state_size = path_state_size,
    .init = path_init,
    .update = path_update,
    .encode = path_encode,
    .decode = path_decode,
};

/* ---- geo_spread ---- */

struct axis {
    double mean;
    double m2; /* sum of squared distances from the mean */
};

struct spread_state {
    uint64_t n;
    struct axis lat;
    struct axis lon;  /* as pushed */
    struct axis east; /* negative ones plus 360 */
};

static inline double
east_of(double lon)
{
    return lon < 0 ? lon + 360 : lon;
}

/* Welford's update. */
static inline void
axis_add(struct axis *axis, double x, double share)
{
    const double distance = x - axis->mean;

    axis->mean += distance * share;
    axis->m2 += distance * (x - axis->mean);
}

static uint32_t
spread_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct spread_state);
}

static void
spread_init(void *state, const void *config)
{
    *(struct spread_state *)state = (struct spread_state){0};
}

static void
spread_update(void *state, const void *config, const struct value *const *inputs,
              const struct agg_moment *moment)
{
    struct spread_state *s = (struct spread_state *)state;
    struct point point;

    if (!take_point(&point, inputs)) {
        return;
    }
    const double share = 1 / (double)++s->n;

    axis_add(&s->lat, point.lat, share);
    axis_add(&s->lon, point.lon, share);
    axis_add(&s->east, east_of(point.lon), share);
}

static void
spread_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct spread_state *s = (const struct spread_state *)state;
    const struct axis axes[] = {s->lat, s->lon, s->east};

    buf_byte(out, VERSION);
    codec_put_u64(out, s->n);
    for (size_t i = 0; i < 3; i++) {
        codec_put_f64(out, axes[i].mean);
        codec_put_f64(out, axes[i].m2);
    }
}

static enum bv_status
spread_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct spread_state *s = (struct spread_state *)state;
    struct axis *const axes[] = {&s->lat, &s->lon, &s->east};
    const bool is_known = codec_take_u8(&reader) == VERSION;

    s->n = codec_take_u64(&reader);
    for (size_t i = 0; i < 3; i++) {
        axes[i]->mean = codec_take_f64(&reader);
        axes[i]->m2 = codec_take_f64(&reader);
    }
    return codec_finish(&reader, consumed, "geo_spread", is_known, err);
}

static const struct agg_accumulator spread_accumulator = {
    .name = "geo_spread",
    .input_count = 2,
    .state_align = 8,
    .state_size = spread_state_size,
    .init = spread_init,
    .update = spread_update,
    .encode = spread_encode,
    .decode = spread_decode,
};

/* ---- geo_points: the ring that distance_from_home reads ---- */

struct points_config {
    uint64_t samples;
};

/* The ring turns once it holds `samples` points; until then `next` is `count`. */
struct points_state {
    uint32_t ref; /* struct point[capacity], 0 while capacity is 0 */
    uint32_t capacity;
    uint32_t count;
    uint32_t next;
};

static enum bv_status
points_configure(void *config, const struct value *params, struct bv_error *err)
{
    const struct value *samples = params == NULL ? NULL : value_find(params, "samples");
    int64_t n = samples != NULL && samples->kind == VALUE_I64 ? samples->as.i64 : SAMPLES_FALLBACK;

    if (n < 1 || n > SAMPLES_MAX) {
        return bv_error_set(err, BV_AGG_UNKNOWN_FIELD, "samples must lie in [1, %d]", SAMPLES_MAX);
    }
    ((struct points_config *)config)->samples = (uint64_t)n;
    return BV_OK;
}

static uint32_t
points_limit(const void *config)
{
    return (uint32_t)((const struct points_config *)config)->samples;
}

static struct point *
points_of(const struct points_state *s, const struct agg_heap *heap)
{
    return (struct point *)agg_heap_at(heap, s->ref);
}

static uint32_t
points_state_size(const void *config, enum field_type input_type)
{
    return sizeof(struct points_state);
}

static void
points_init(void *state, const void *config)
{
    *(struct points_state *)state = (struct points_state){0};
}

static uint32_t
points_size(uint32_t capacity)
{
    return capacity * (uint32_t)sizeof(struct point);
}

/* Room for `wanted` points at least. The ring has not turned yet: its points stand in order. */
static bool
points_reserve(struct points_state *s, uint32_t wanted, uint32_t limit, struct agg_heap *heap)
{
    uint32_t capacity = POINTS_FIRST;

    while (capacity < wanted) {
        capacity *= 2;
    }
    capacity = capacity < limit ? capacity : limit;

    const uint32_t ref = heap->alloc(heap, points_size(capacity));

    if (ref == 0) {
        return false;
    }
    if (s->capacity != 0) {
        memcpy(agg_heap_at(heap, ref), points_of(s, heap), points_size(s->count));
        heap->release(heap, s->ref, points_size(s->capacity));
    }
    s->ref = ref;
    s->capacity = capacity;
    return true;
}

static void
points_update(void *state, const void *config, const struct value *const *inputs,
              const struct agg_moment *moment)
{
    struct points_state *s = (struct points_state *)state;
    const uint32_t limit = points_limit(config);
    struct point point;

    if (!take_point(&point, inputs)) {
        return;
    }
    if (s->next == s->capacity && !points_reserve(s, s->next + 1, limit, moment->heap)) {
        return;
    }
    points_of(s, moment->heap)[s->next] = point;
    s->count += s->count < limit;
    s->next = s->next + 1 == limit ? 0 : s->next + 1;
}

/* Where the oldest point stands. */
static uint32_t
points_first(const struct points_state *s, uint32_t limit)
{
    return s->count == limit ? s->next : 0;
}

/* Oldest first, so that the place where the ring began does not show. */
static void
points_encode(struct buf *out, const void *state, const void *config, const struct agg_heap *heap)
{
    const struct points_state *s = (const struct points_state *)state;
    const uint32_t first = points_first(s, points_limit(config));

    buf_byte(out, VERSION);
    codec_put_u64(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        const uint32_t at = first + i < s->count ? first + i : first + i - s->count;
        const struct point *point = &points_of(s, heap)[at];

        codec_put_f64(out, point->lat);
        codec_put_f64(out, point->lon);
    }
}

static enum bv_status
points_decode(void *state, size_t *consumed, struct slice bytes, const void *config,
              struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    struct points_state *s = (struct points_state *)state;
    const uint32_t limit = points_limit(config);
    const bool is_known = codec_take_u8(&reader) == VERSION;
    const uint64_t count = codec_take_u64(&reader);
    const bool is_sound = is_known && count <= limit;

    *s = (struct points_state){0};
    /* Nothing is allocated for points that are not there. */
    reader.is_short |= is_sound && (bytes.size - reader.position) / sizeof(struct point) < count;
    if (reader.is_short || !is_sound || count == 0) {
        return codec_finish(&reader, consumed, "geo_points", is_sound, err);
    }
    if (!points_reserve(s, (uint32_t)count, limit, heap)) {
        return bv_error_set(err, BV_NO_MEMORY, "state of geo_points");
    }
    s->count = (uint32_t)count;
    s->next = s->count == limit ? 0 : s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        struct point *point = &points_of(s, heap)[i];

        point->lat = codec_take_f64(&reader);
        point->lon = codec_take_f64(&reader);
    }
    return codec_finish(&reader, consumed, "geo_points", true, err);
}

static void
points_release(void *state, const void *config, struct agg_heap *heap)
{
    struct points_state *s = (struct points_state *)state;

    if (s->capacity != 0) {
        heap->release(heap, s->ref, points_size(s->capacity));
    }
}

static const struct agg_accumulator points_accumulator = {
    .name = "geo_points",
    .input_count = 2,
    .flags = AGG_OWNS_MEMORY,
    .state_align = 4,
    .config_size = sizeof(struct points_config),
    .configure = points_configure,
    .state_size = points_state_size,
    .init = points_init,
    .update = points_update,
    .encode = points_encode,
    .decode = points_decode,
    .release = points_release,
};

/* ---- readers ---- */

static void
velocity_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct path_state *s = (const struct path_state *)reading->states[0];

    *out = s->last_ms == NEVER ? value_null() : finite_or_null(s->top_speed);
}

static void
distance_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    *out = finite_or_null(((const struct path_state *)reading->states[0])->km);
}

static void
spread_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct spread_state *s = (const struct spread_state *)reading->states[0];

    if (s->n < 2) {
        *out = value_null();
        return;
    }
    const double n = (double)s->n;
    const double lon_m2 = s->east.m2 < CLEARLY_SMALLER(s->lon.m2) ? s->east.m2 : s->lon.m2;
    const double km_per_degree = KM_PER_DEGREE * cos_degrees(s->lat.mean);
    const double lat_km2 = s->lat.m2 / n * (KM_PER_DEGREE * KM_PER_DEGREE);
    const double lon_km2 = lon_m2 / n * (km_per_degree * km_per_degree);

    *out = finite_or_null(sqrt(lat_km2 + lon_km2));
}

/* The mean of the points. Offsets from one of them, so that equal points have it as their mean. */
static struct point
mean_of(const struct point *points, uint32_t count, struct point origin)
{
    const double origin_east = east_of(origin.lon);
    double lat = 0;
    double lon = 0;
    double east = 0;
    double lon_squares = 0;
    double east_squares = 0;

    for (uint32_t i = 0; i < count; i++) {
        const double lon_offset = points[i].lon - origin.lon;
        const double east_offset = east_of(points[i].lon) - origin_east;

        lat += points[i].lat - origin.lat;
        lon += lon_offset;
        east += east_offset;
        lon_squares += lon_offset * lon_offset;
        east_squares += east_offset * east_offset;
    }
    const double n = (double)count;
    const double lon_m2 = lon_squares - lon * lon / n;
    const double east_m2 = east_squares - east * east / n;
    const bool is_east = east_m2 < CLEARLY_SMALLER(lon_m2);

    return (struct point){origin.lat + lat / n,
                          is_east ? origin_east + east / n : origin.lon + lon / n};
}

static void
home_read(struct value *out, const struct agg_reading *reading, struct arena *arena)
{
    const struct points_state *s = (const struct points_state *)reading->states[0];

    if (s->count == 0) {
        *out = value_null();
        return;
    }
    const struct point *points = points_of(s, reading->heap);
    const struct point latest = points[(s->next == 0 ? s->count : s->next) - 1];
    const struct point home = mean_of(points, s->count, latest);

    *out =
        finite_or_null(distance_km(latest, cos_degrees(latest.lat), home, cos_degrees(home.lat)));
}

/* ---- the rows ---- */

#define BOTH_NUMBERS                                                                               \
    "An event counts when both coordinates are int or float, of any size; NaN and infinities "     \
    "make "
#define NULL_RESULT BOTH_NUMBERS "the result null."

/* clang-format off */
#define COORDINATE(param_name, param_help)                                                         \
    {.name = param_name, .type = AGG_PARAM_FIELD, .min = 1, .max = 0, .help = param_help,          \
     .refusal = BV_AGG_UNKNOWN_FIELD}
#define COORDINATES                                                                                \
    COORDINATE("lat_field", "The column of the latitude in degrees, \"lat\" without it."),         \
    COORDINATE("lon_field", "The column of the longitude in degrees, \"lon\" without it."),        \
    COORDINATE("lat", "Another name of lat_field, which wins."),                                   \
    COORDINATE("lon", "Another name of lon_field, which wins.")
#define COLUMNS {{{"lat_field", "lat"}, "lat"}, {{"lon_field", "lon"}, "lon"}}
/* clang-format on */

static const struct agg_param geo_params[] = {COORDINATES};

static const struct agg_param home_params[] = {
    COORDINATES,
    {.name = "samples",
     .type = AGG_PARAM_INT,
     .min = 1,
     .max = SAMPLES_MAX,
     .fallback = "100",
     .help = "How many of the latest points home is the mean of, 1 to 65536.",
     .refusal = BV_AGG_UNKNOWN_FIELD},
};

static const struct agg_op geo_ops[] = {
    {.name = "geo_velocity",
     .summary = "Highest speed between consecutive points, in km/h; 0.0 after one point.",
     .nulls = BOTH_NUMBERS "no speed.",
     .empty = "null",
     .params = geo_params,
     .param_count = 4,
     .input_count = 2,
     .columns = COLUMNS,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&path_accumulator}}},
     .use_count = 1,
     .read = velocity_read},
    {.name = "geo_distance",
     .summary = "Sum of the distances between consecutive points, in km.",
     .nulls = NULL_RESULT,
     .empty = "0.0",
     .params = geo_params,
     .param_count = 4,
     .input_count = 2,
     .columns = COLUMNS,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&path_accumulator}}},
     .use_count = 1,
     .read = distance_read},
    {.name = "geo_spread",
     .summary = "Standard distance of the points from their mean, in km; null below two points.",
     .nulls = NULL_RESULT,
     .empty = "null",
     .params = geo_params,
     .param_count = 4,
     .input_count = 2,
     .columns = COLUMNS,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&spread_accumulator}}},
     .use_count = 1,
     .read = spread_read},
    {.name = "distance_from_home",
     .summary = "Distance of the latest point from the mean of the latest points, in km.",
     .nulls = NULL_RESULT,
     .empty = "null",
     .params = home_params,
     .param_count = 5,
     .input_count = 2,
     .columns = COLUMNS,
     .window = AGG_WINDOW_REFUSED,
     .output = AGG_OUTPUT_F64,
     .uses = {{AGG_MATCHING, {&points_accumulator}}},
     .use_count = 1,
     .read = home_read},
};

static const struct agg_accumulator *const geo_accumulators[] = {
    &path_accumulator,
    &spread_accumulator,
    &points_accumulator,
};

const struct agg_family family_geo = {
    .ops = geo_ops,
    .op_count = sizeof geo_ops / sizeof geo_ops[0],
    .accumulators = geo_accumulators,
    .accumulator_count = sizeof geo_accumulators / sizeof geo_accumulators[0],
};
