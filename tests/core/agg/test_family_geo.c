/* SPDX-License-Identifier: Apache-2.0 */
/* The geo family: the specification's vectors, its formula in long double, and a ring that turns.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "agg_fixture.h"

static struct arena arena;
static struct test_heap heap;

struct place {
    uint64_t at_ms;
    double lat;
    double lon;
};

static const struct place base[] = {{0, 0, 0}, {1000, 0, 1}, {2000, 1, 1}, {4000, 1, 0}};

static const char *const names[] = {"geo_velocity", "geo_distance", "geo_spread",
                                    "distance_from_home"};

static void
push(struct test_feature *feature, uint64_t at_ms, struct value lat, struct value lon)
{
    const struct value *inputs[AGG_INPUTS_MAX] = {&lat, &lon};

    test_feature_push_at(feature, inputs, true, at_ms, 7);
}

static struct value
value_of(const char *op, const char *params, const struct place *places, size_t count)
{
    struct test_feature feature;

    test_feature_open_with(&feature, op, 0, params, &heap);
    for (size_t i = 0; i < count; i++) {
        push(&feature, places[i].at_ms, value_f64(places[i].lat), value_f64(places[i].lon));
    }
    const struct value v = test_feature_read(&feature, &arena);

    test_feature_close(&feature);
    return v;
}

static void
assert_near(struct value got, double wanted)
{
    assert_int_equal(got.kind, VALUE_F64);
    if (!(fabs(got.as.f64 - wanted) <= 1e-9 * fabs(wanted))) {
        fail_msg("%.17g instead of %.17g", got.as.f64, wanted);
    }
}

static void
test_values_of_the_base_sequence(void **state)
{
    assert_near(value_of("geo_distance", "{}", base, 4), 333.56784397794394);
    assert_near(value_of("geo_velocity", "{}", base, 4), 400301.7359204114);
    assert_near(value_of("geo_spread", "{}", base, 4), 78.7136282805349);
    assert_near(value_of("distance_from_home", "{\"samples\":100}", base, 4), 78.62319385157603);
    assert_near(value_of("distance_from_home", "{}", base, 4), 78.62319385157603);
    assert_near(value_of("distance_from_home", "{\"samples\":2}", base, 4), 55.58899550559681);
}

static void
test_values_of_the_single_sequences(void **state)
{
    const struct place north[] = {{0, 40.7128, -74.0060}, {3600000, 41.7128, -74.0060}};
    const struct place london[] = {{0, 40.7128, -74.0060}, {0, 51.5074, -0.1278}};
    const struct place town[] = {{0, 38.898556, -77.037852}, {0, 38.897147, -77.043934}};

    assert_near(value_of("geo_velocity", "{}", north, 2), 111.19492664455873);
    assert_near(value_of("geo_distance", "{}", london, 2), 5570.222179737958);
    assert_near(value_of("geo_distance", "{}", town, 2), 0.5491557912038084);
    assert_int_equal(value_of("geo_spread", "{}", base, 1).kind, VALUE_NULL);
    assert_near(value_of("geo_distance", "{}", base, 1), 0.0);
    assert_near(value_of("geo_distance", "{}", base, 0), 0.0);
    assert_near(value_of("geo_velocity", "{}", base, 1), 0.0);
    assert_int_equal(value_of("geo_velocity", "{}", base, 0).kind, VALUE_NULL);
    assert_near(value_of("distance_from_home", "{}", base, 1), 0.0);
    assert_int_equal(value_of("distance_from_home", "{}", base, 0).kind, VALUE_NULL);
    /* No time between two points: no speed. */
    assert_near(value_of("geo_velocity", "{}", london, 2), 0.0);
}

/* ---- distances against the formula of operators.md 4.10 in long double ---- */

#define PI_L 3.14159265358979323846264338327950288L

static long double
formula_km(struct place from, struct place to)
{
    const long double lat1 = (long double)from.lat * PI_L / 180;
    const long double lat2 = (long double)to.lat * PI_L / 180;
    const long double dlat = ((long double)to.lat - (long double)from.lat) * PI_L / 360;
    const long double dlon = ((long double)to.lon - (long double)from.lon) * PI_L / 360;
    const long double a =
        sinl(dlat) * sinl(dlat) + sinl(dlon) * sinl(dlon) * cosl(lat1) * cosl(lat2);
    const long double clamped = a < 0 ? 0 : a > 1 ? 1 : a;

    return 2 * 6371.0L * atan2l(sqrtl(clamped), sqrtl(1 - clamped));
}

/* Relative, less so where a coordinate goes around more than once; and 1 mm near the antipode,
 * where a double cannot hold the chord any closer. */
static void
check_distance(struct place from, struct place to)
{
    const struct place both[] = {from, to};
    const long double wanted = formula_km(from, to);
    const double got = value_of("geo_distance", "{}", both, 2).as.f64;
    const bool is_usual = fabs(to.lat) <= 90 && fabs(to.lon) <= 180;
    const long double near =
        wanted > 19000 ? 1e-3L : (is_usual ? 2e-14L : 1e-11L) * wanted + 1e-15L;

    if (!(fabsl((long double)got - wanted) <= near)) {
        fail_msg("(%.17g, %.17g) to (%.17g, %.17g): %.17g instead of %.17Lg", from.lat, from.lon,
                 to.lat, to.lon, got, wanted);
    }
}

static double
draw(uint64_t *seed, double from, double to)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return from + (to - from) * ((double)(*seed >> 11) * 0x1p-53);
}

static void
test_distances_agree_with_the_formula(void **state)
{
    uint64_t seed = 11;

    for (int i = 0; i < 20000; i++) {
        const struct place from = {0, draw(&seed, -90, 90), draw(&seed, -180, 180)};
        const double reach = pow(10, draw(&seed, -7, 2));
        const struct place far = {0, draw(&seed, -90, 90), draw(&seed, -180, 180)};
        const struct place near = {0, from.lat + draw(&seed, -reach, reach),
                                   from.lon + draw(&seed, -reach, reach)};

        check_distance(from, far);
        check_distance(from, near);
        check_distance(from, (struct place){0, -from.lat, from.lon + 180});
        check_distance(from, (struct place){0, draw(&seed, -900, 900), draw(&seed, -900, 900)});
    }
}

static void
test_the_antimeridian_is_no_barrier(void **state)
{
    const struct place across[] = {{0, 0, 179.999995}, {3600000, 0, -179.999995}};
    const double km = 1e-5 * 111.19492664455873;

    /* To the precision that the coordinates themselves have. */
    assert_true(fabs(value_of("geo_distance", "{}", across, 2).as.f64 - km) < 1e-8 * km);
    assert_true(fabs(value_of("geo_velocity", "{}", across, 2).as.f64 - km) < 1e-8 * km);
}

static void
test_antipodes_and_poles_are_half_a_circle_apart(void **state)
{
    const double half = 3.14159265358979323846 * 6371.0;

    for (int lat = -90; lat <= 90; lat++) {
        for (int lon = 0; lon < 180; lon += 5) {
            const struct place both[] = {{0, lat / 1.0, lon / 1.0}, {0, -lat / 1.0, lon - 180.0}};
            const struct value v = value_of("geo_distance", "{}", both, 2);

            assert_int_equal(v.kind, VALUE_F64);
            assert_true(fabs(v.as.f64 - half) < 1e-3);
        }
    }
}

/* ---- W31: means around the circle ---- */

static void
test_a_cluster_reads_the_same_wherever_it_is(void **state)
{
    static const double offsets[][2] = {{0, 0}, {0.5, 1.5}, {-1, 20}, {2, -30}, {0.25, 3}};
    struct place places[5];
    double spread = 0;
    double home = 0;

    for (int shift = 0; shift < 360; shift += 15) {
        for (size_t i = 0; i < 5; i++) {
            const double lon = offsets[i][1] + shift;

            places[i] = (struct place){i, offsets[i][0], lon > 180 ? lon - 360 : lon};
        }
        const struct value s = value_of("geo_spread", "{}", places, 5);
        const struct value h = value_of("distance_from_home", "{}", places, 5);

        if (shift == 0) {
            spread = s.as.f64;
            home = h.as.f64;
        }
        assert_near(s, spread);
        assert_near(h, home);
    }
}

static void
test_equal_cuts_read_the_longitudes_as_pushed(void **state)
{
    const struct place opposite[] = {{0, 0, -90}, {1, 0, 90}};

    assert_near(value_of("distance_from_home", "{}", opposite, 2), 6371.0 * 1.5707963267948966);
    assert_near(value_of("geo_spread", "{}", opposite, 2), 90 * 111.32);
}

static void
test_a_spread_far_from_zero_keeps_its_digits(void **state)
{
    const struct place places[] = {{0, 60 + 0x1p-30, 100 + 0x1p-30},
                                   {1, 60 - 0x1p-30, 100 - 0x1p-30}};
    const double wanted = 0x1p-30 * 111.32 * sqrt(1 + 0.25);
    const struct value v = value_of("geo_spread", "{}", places, 2);

    assert_true(fabs(v.as.f64 - wanted) < 1e-6 * wanted);
}

/* ---- hostile values ---- */

static void
test_a_row_without_two_numbers_is_ignored(void **state)
{
    const struct value wrong[] = {value_null(), value_bool(true), value_str(slice_text("1.0"))};

    for (size_t i = 0; i < 4; i++) {
        struct test_feature feature;
        struct value before;

        test_feature_open(&feature, names[i], 0, &heap);
        for (size_t k = 0; k < 2; k++) {
            push(&feature, base[k].at_ms, value_i64((int64_t)base[k].lat), value_f64(base[k].lon));
        }
        before = test_feature_read(&feature, &arena);
        assert_int_equal(before.kind, VALUE_F64);
        for (size_t k = 0; k < 3; k++) {
            push(&feature, 3000, wrong[k], value_f64(50));
            push(&feature, 3000, value_f64(50), wrong[k]);
        }
        assert_true(test_feature_read(&feature, &arena).as.bits == before.as.bits);
        test_feature_close(&feature);
    }
}

static void
test_what_is_not_finite_never_shows(void **state)
{
    static const double strange[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};

    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 3; k++) {
            const struct place places[] = {{0, 0, 0},
                                           {1000, 0, 1},
                                           {2000, strange[k], 1},
                                           {3000, 1, strange[k]},
                                           {4000, 1, 0}};
            const struct value v = value_of(names[i], "{}", places, 5);

            if (i == 0) {
                assert_near(v, 111.19492664455873 * 3600);
            } else {
                assert_int_equal(v.kind, VALUE_NULL);
            }
        }
    }
}

static void
test_coordinates_of_any_size_stay_on_the_sphere(void **state)
{
    uint64_t seed = 23;

    for (int i = 0; i < 2000; i++) {
        const double huge = pow(10, draw(&seed, 0, 300));
        const struct place places[] = {{0, draw(&seed, -huge, huge), draw(&seed, -huge, huge)},
                                       {1, draw(&seed, -huge, huge), draw(&seed, -90, 90)},
                                       {UINT64_MAX, draw(&seed, -90, 90), 1e300}};
        const struct value v = value_of("geo_distance", "{}", places, 3);

        assert_int_equal(v.kind, VALUE_F64);
        assert_true(v.as.f64 >= 0 && v.as.f64 <= 2 * 20015.1);
        for (size_t k = 0; k < 4; k++) {
            const struct value other = value_of(names[k], "{}", places, 3);

            assert_true(other.kind == VALUE_NULL || isfinite(other.as.f64));
        }
    }
}

static void
test_opposite_ends_of_the_range_are_some_distance_apart(void **state)
{
    const struct place places[] = {
        {0, 0, 1.7e308}, {0, 0, -1.7e308}, {0, 1.7e308, 0}, {0, -1.7e308, 0}};
    const struct value v = value_of("geo_distance", "{}", places, 4);

    assert_int_equal(v.kind, VALUE_F64);
    assert_true(v.as.f64 > 0 && v.as.f64 < 3 * 20015.1);
}

static void
test_time_that_goes_back_makes_no_speed(void **state)
{
    const struct place places[] = {{5000, 0, 0}, {4000, 0, 1}, {4000, 0, 2}};

    assert_near(value_of("geo_velocity", "{}", places, 3), 0.0);
}

/* ---- the ring ---- */

/* Home over the last `samples` points, from a list of them. */
static double
home_model(const struct place *places, size_t count, size_t samples)
{
    const size_t first = count > samples ? count - samples : 0;
    struct place home = {0, 0, 0};

    for (size_t i = first; i < count; i++) {
        home.lat += places[i].lat / (double)(count - first);
        home.lon += places[i].lon / (double)(count - first);
    }
    return (double)formula_km(places[count - 1], home);
}

static void
test_home_is_the_mean_of_the_last_samples(void **state)
{
    static const size_t samples[] = {1, 2, 3, 5, 8, 16, 17, 64};
    struct place places[100];
    uint64_t seed = 29;

    for (size_t i = 0; i < 100; i++) {
        places[i] = (struct place){i, draw(&seed, 40, 50), draw(&seed, 5, 20)};
    }
    for (size_t k = 0; k < sizeof samples / sizeof samples[0]; k++) {
        struct test_feature feature;
        char params[32];

        (void)snprintf(params, sizeof params, "{\"samples\":%zu}", samples[k]);
        test_feature_open_with(&feature, "distance_from_home", 0, params, &heap);
        for (size_t i = 0; i < 100; i++) {
            push(&feature, i, value_f64(places[i].lat), value_f64(places[i].lon));
            const struct value v = test_feature_read(&feature, &arena);
            const double wanted = home_model(places, i + 1, samples[k]);

            assert_true(fabs(v.as.f64 - wanted) <= 1e-9 * (1 + wanted));
            assert_true(heap.bytes_out <= (int64_t)samples[k] * 16);
        }
        test_feature_close(&feature);
        assert_int_equal(heap.bytes_out, 0);
    }
}

static void
test_equal_points_are_exactly_at_home(void **state)
{
    struct place places[37];

    for (size_t i = 0; i < 37; i++) {
        places[i] = (struct place){i, 48.13743, 11.57549};
    }
    const struct value v = value_of("distance_from_home", "{\"samples\":33}", places, 37);

    assert_true(v.kind == VALUE_F64 && v.as.f64 == 0.0);
}

static void
test_a_ring_starts_small_and_goes_through_a_snapshot(void **state)
{
    struct test_feature feature;
    struct test_feature copy;

    test_feature_open_with(&feature, "distance_from_home", 0, "{\"samples\":7}", &heap);
    test_feature_open_with(&copy, "distance_from_home", 0, "{\"samples\":7}", &heap);
    push(&feature, 0, value_f64(1), value_f64(2));
    assert_int_equal(heap.bytes_out, 32);
    for (int i = 0; i < 24; i++) {
        struct buf bytes;
        struct buf again;
        size_t consumed = 0;

        push(&feature, 0, value_f64(i), value_f64(2 * i));
        buf_init(&bytes);
        buf_init(&again);
        feature.reading.accumulators[0]->encode(&bytes, feature.states[0],
                                                feature.reading.configs[0], &heap.heap);
        copy.reading.accumulators[0]->release(copy.states[0], copy.reading.configs[0], &heap.heap);
        assert_int_equal(
            copy.reading.accumulators[0]->decode(copy.states[0], &consumed, buf_slice(&bytes),
                                                 copy.reading.configs[0], &heap.heap, NULL),
            BV_OK);
        /* The copy's ring begins elsewhere, and nobody can tell. */
        push(&copy, 0, value_f64(3), value_f64(4));
        push(&feature, 0, value_f64(3), value_f64(4));
        buf_clear(&bytes);
        feature.reading.accumulators[0]->encode(&bytes, feature.states[0],
                                                feature.reading.configs[0], &heap.heap);
        copy.reading.accumulators[0]->encode(&again, copy.states[0], copy.reading.configs[0],
                                             &heap.heap);
        assert_int_equal(bytes.size, again.size);
        assert_memory_equal(bytes.data, again.data, bytes.size);
        assert_true(test_feature_read(&copy, &arena).as.bits ==
                    test_feature_read(&feature, &arena).as.bits);
        buf_deinit(&bytes);
        buf_deinit(&again);
    }
    test_feature_close(&feature);
    test_feature_close(&copy);
}

static void
test_more_points_than_samples_are_no_snapshot(void **state)
{
    struct test_feature feature;
    struct buf bytes;
    size_t consumed = 0;

    test_feature_open_with(&feature, "distance_from_home", 0, "{\"samples\":2}", &heap);
    buf_init(&bytes);
    buf_byte(&bytes, 1);
    for (uint64_t i = 0; i < 7; i++) {
        const uint64_t word = i == 0 ? 3 : 0;

        buf_append(&bytes, &word, 8);
    }
    assert_int_equal(
        feature.reading.accumulators[0]->decode(feature.states[0], &consumed, buf_slice(&bytes),
                                                feature.reading.configs[0], &heap.heap, NULL),
        BV_CORRUPT);
    /* A count that no memory could hold is refused before any is asked for. */
    memset(bytes.data + 1, 0xFF, 8);
    assert_int_equal(
        feature.reading.accumulators[0]->decode(feature.states[0], &consumed, buf_slice(&bytes),
                                                feature.reading.configs[0], &heap.heap, NULL),
        BV_CORRUPT);
    assert_int_equal(heap.bytes_out, 0);
    buf_deinit(&bytes);
    test_feature_close(&feature);
}

static void
test_spent_memory_ignores_a_point(void **state)
{
    struct test_feature feature;

    test_feature_open_with(&feature, "distance_from_home", 0, "{\"samples\":100}", &heap);
    push(&feature, 0, value_f64(1), value_f64(1));
    push(&feature, 0, value_f64(1), value_f64(3));
    const struct value before = test_feature_read(&feature, &arena);

    heap.fail_at = heap.alloc_count + 1;
    push(&feature, 0, value_f64(1), value_f64(80));
    heap.fail_at = 0;
    assert_true(test_feature_read(&feature, &arena).as.bits == before.as.bits);
    push(&feature, 0, value_f64(1), value_f64(5));
    assert_near(test_feature_read(&feature, &arena),
                (double)formula_km((struct place){0, 1, 5}, (struct place){0, 1, 3}));
    test_feature_close(&feature);
}

/* ---- rows ---- */

static void
test_rows_take_columns_under_both_names_and_no_window(void **state)
{
    for (size_t i = 0; i < 4; i++) {
        const struct agg_op *op = agg_op_find(slice_text(names[i]));

        assert_int_equal(op->window, AGG_WINDOW_REFUSED);
        assert_int_equal(op->input_count, 2);
        assert_string_equal(op->columns[0].params[0], "lat_field");
        assert_string_equal(op->columns[0].params[1], "lat");
        assert_string_equal(op->columns[0].fallback, "lat");
        assert_string_equal(op->columns[1].params[0], "lon_field");
        assert_string_equal(op->columns[1].params[1], "lon");
        assert_string_equal(op->columns[1].fallback, "lon");
        for (unsigned k = 0; k < op->param_count; k++) {
            assert_false(op->params[k].is_required);
            assert_int_equal(op->params[k].refusal, BV_AGG_UNKNOWN_FIELD);
        }
    }
    const struct agg_op *home = agg_op_find(slice_text("distance_from_home"));

    assert_string_equal(home->params[4].name, "samples");
    assert_true(home->params[4].min == 1 && home->params[4].max == 65536);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_the_base_sequence),
        cmocka_unit_test(test_values_of_the_single_sequences),
        cmocka_unit_test(test_distances_agree_with_the_formula),
        cmocka_unit_test(test_the_antimeridian_is_no_barrier),
        cmocka_unit_test(test_antipodes_and_poles_are_half_a_circle_apart),
        cmocka_unit_test(test_a_cluster_reads_the_same_wherever_it_is),
        cmocka_unit_test(test_equal_cuts_read_the_longitudes_as_pushed),
        cmocka_unit_test(test_a_spread_far_from_zero_keeps_its_digits),
        cmocka_unit_test(test_a_row_without_two_numbers_is_ignored),
        cmocka_unit_test(test_what_is_not_finite_never_shows),
        cmocka_unit_test(test_coordinates_of_any_size_stay_on_the_sphere),
        cmocka_unit_test(test_opposite_ends_of_the_range_are_some_distance_apart),
        cmocka_unit_test(test_time_that_goes_back_makes_no_speed),
        cmocka_unit_test(test_home_is_the_mean_of_the_last_samples),
        cmocka_unit_test(test_equal_points_are_exactly_at_home),
        cmocka_unit_test(test_a_ring_starts_small_and_goes_through_a_snapshot),
        cmocka_unit_test(test_more_points_than_samples_are_no_snapshot),
        cmocka_unit_test(test_spent_memory_ignores_a_point),
        cmocka_unit_test(test_rows_take_columns_under_both_names_and_no_window),
    };
    int failed = 0;

    arena_init(&arena, 65536, 0);
    test_heap_open(&heap, 1 << 22);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_heap_close(&heap);
    arena_deinit(&arena);
    return failed;
}
