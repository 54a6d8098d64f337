/* SPDX-License-Identifier: Apache-2.0 */
/* R16: one log, one state. The same events are written to the log in records of 1, 7, 128 and 4096,
 * and each log is replayed: the digests are one. They are also the ones that stand here, so that no
 * compiler, optimisation level or later version gives another. */
#include "world_fixture.h"

#include <gnu/libc-version.h>

#include "durability/recovery.h"
#include "durability/wal.h"

#define BLOCK_EVENTS 4096u /* of one time; no record reaches over its end */
#define BLOCKS       3u
#define RECORD_SEED  20261121u

#define DIGEST_EVENT                                                                               \
    WORLD_SOURCE("Txn",                                                                            \
                 "\"user\":\"str\",\"shop\":\"str\",\"kind\":\"str\",\"amount\":\"f64\","          \
                 "\"lat\":\"f64\",\"lon\":\"f64\",\"declined\":\"i64\"",                           \
                 "")
#define OP(name, op)               "\"" name "\":{\"op\":\"" op "\"}"
#define OP_WITH(name, op, params)  "\"" name "\":{\"op\":\"" op "\",\"params\":{" params "}}"
#define FIELD(field)               "\"field\":\"" field "\""
#define FIELD_FOR(field, duration) "\"field\":\"" field "\",\"window\":\"" duration "\""

/* Everything that needs no more than the four operations and a root. */
static const char *const exact[] = {
    OP("count", "count"),
    OP_WITH("count_1h", "count", "\"window\":\"1h\""),
    OP_WITH("sum", "sum", FIELD("amount")),
    OP_WITH("sum_1h", "sum", FIELD_FOR("amount", "1h")),
    OP_WITH("mean_24h", "mean", FIELD_FOR("amount", "24h")),
    OP_WITH("var", "var", FIELD("amount")),
    OP_WITH("std_24h", "std", FIELD_FOR("amount", "24h")),
    OP_WITH("min", "min", FIELD("shop")),
    OP_WITH("max_1h", "max", FIELD_FOR("amount", "1h")),
    OP_WITH("unique", "n_unique", FIELD("shop")),
    OP_WITH("unique_24h", "n_unique", FIELD_FOR("shop", "24h")),
    OP_WITH("top", "top_k", FIELD("shop") ",\"k\":5"),
    OP_WITH("bloom", "bloom_member", FIELD("shop")),
    OP_WITH("first", "first", FIELD("amount")),
    OP_WITH("last", "last", FIELD("shop")),
    OP_WITH("first_n", "first_n", FIELD("shop") ",\"n\":5"),
    OP_WITH("last_n", "last_n", FIELD("amount") ",\"n\":5"),
    OP_WITH("lag", "lag", FIELD("amount") ",\"n\":1"),
    OP_WITH("recent", "most_recent_n", FIELD("amount") ",\"n\":5"),
    OP_WITH("sample", "reservoir_sample", FIELD("amount") ",\"samples\":50"),
    OP("streak", "streak"),
    OP("max_streak", "max_streak"),
    OP_WITH("negative", "negative_streak", FIELD("declined")),
    OP_WITH("changes", "value_change_count", FIELD_FOR("shop", "5m")),
    OP_WITH("delta", "delta_from_prev", FIELD("amount")),
    OP("first_seen", "first_seen"),
    OP("last_seen", "last_seen"),
    OP_WITH("burst", "burst_count", "\"sub_window\":\"10s\",\"window\":\"5m\""),
    OP_WITH("mix", "event_type_mix", FIELD("kind")),
    OP("hours", "hour_of_day_histogram"),
    OP("weeks", "dow_hour_histogram"),
    OP_WITH("arrivals", "inter_arrival_stats", "\"window\":\"1h\""),
    OP_WITH("rate", "rate_of_change", FIELD_FOR("amount", "5m")),
    OP_WITH("trend", "trend", FIELD_FOR("amount", "5m")),
    OP_WITH("twa", "twa", FIELD_FOR("amount", "5m")),
    OP_WITH("entropy", "entropy", FIELD_FOR("kind", "24h")),
    OP_WITH("outliers", "outlier_count", FIELD_FOR("amount", "5m")),
};

/* And what asks libm, whose last bit is its release's. */
static const char *const inexact[] = {
    OP_WITH("p99", "quantile", FIELD("amount") ",\"q\":0.99"),
    OP_WITH("p50_24h", "quantile", FIELD_FOR("amount", "24h") ",\"q\":0.5"),
    OP_WITH("ewma", "ewma", FIELD("amount") ",\"half_life\":\"1h\""),
    OP_WITH("ewvar", "ewvar", FIELD("amount") ",\"half_life\":\"1h\""),
    OP_WITH("decayed", "decayed_sum", FIELD("amount") ",\"half_life\":\"24h\""),
    OP_WITH("decays", "decayed_count", "\"half_life\":\"24h\""),
    OP_WITH("season", "seasonal_deviation", FIELD("amount")),
    OP_WITH("velocity", "geo_velocity", "\"lat_field\":\"lat\",\"lon_field\":\"lon\""),
    OP_WITH("distance", "geo_distance", "\"lat_field\":\"lat\",\"lon_field\":\"lon\""),
    OP_WITH("spread", "geo_spread", "\"lat_field\":\"lat\",\"lon_field\":\"lon\""),
    OP_WITH("home", "distance_from_home", "\"lat_field\":\"lat\",\"lon_field\":\"lon\""),
};

struct kept_record {
    struct record_header header;
    struct buf body;
};

static enum bv_status
keep_record(const struct record_header *header, struct slice body, void *context,
            struct bv_error *err)
{
    struct kept_record *kept = context;

    kept->header = *header;
    buf_clear(&kept->body);
    buf_append(&kept->body, body.data, body.size);
    return BV_OK;
}

/* The log's record of a registration, as an engine writes it. */
static void
registration_of(struct kept_record *kept, const char *const *features, size_t count)
{
    struct recording_os disk;
    struct world world;
    struct wal_options options = {.dir = "/d/wal", .policy = BV_POLICY_OS};
    struct wal_directory *directory = NULL;
    struct recovery_result result;
    struct buf json;

    buf_init(&json);
    buf_text(&json, "{\"nodes\":[" DIGEST_EVENT ",");
    for (int keys = 0; keys < 2; keys++) {
        const char *key = keys == 0 ? "\"user\"" : "\"shop\",\"kind\"";
        buf_printf(&json,
                   "%s{\"kind\":\"derivation\",\"name\":\"By%d\",\"output_kind\":\"table\","
                   "\"upstreams\":[\"Txn\"],\"table_primary_key\":[%s],\"ops\":[{\"op\":"
                   "\"group_by\",\"keys\":[%s],\"agg\":{",
                   keys == 0 ? "" : ",", keys, key, key);
        for (size_t i = 0; i < count; i++) {
            /* names of features are the process's own */
            buf_printf(&json, "%s\"t%d_%s", i == 0 ? "" : ",", keys, features[i] + 1);
        }
        buf_text(&json, "}}]}");
    }
    buf_text(&json, "]}");
    buf_byte(&json, '\0');
    recording_init(&disk, false);
    world_init(&world, &disk.os, 1);
    assert_int_equal(world_open(&world), BV_OK);
    if (world_request(&world, REQUEST_REGISTER, (const char *)json.data) != BV_OK) {
        fail_msg("%s", world.error.message);
    }
    world_deinit(&world);
    options.os = &disk.os;
    buf_init(&kept->body);
    assert_int_equal(wal_directory_open(&directory, &options, NULL), BV_OK);
    assert_int_equal(recovery_run(&result, directory, 0, keep_record, kept, NULL), BV_OK);
    assert_int_equal(kept->header.type, RECORD_REGISTER);
    wal_directory_close(directory);
    recording_deinit(&disk);
    buf_deinit(&json);
}

static void
append_event(struct buf *frames, struct chance *chance)
{
    static const uint32_t limits[] = {30, 50, 9, 5000, 100, 9, 1000, 9, 1000, 2};
    uint32_t n[sizeof limits / sizeof limits[0]];
    char event[320];

    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) {
        n[i] = chance_below(chance, limits[i]);
    }
    int size = snprintf(event, sizeof event,
                        "{\"event\":\"Txn\",\"body\":{\"user\":\"u%u\",\"shop\":\"shop number "
                        "%u\",\"kind\":\"k%u\","
                        "\"amount\":%u.%02u,\"lat\":4%u.%u,\"lon\":-7%u.%u,\"declined\":%u}}",
                        n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]);

    assert_true(size > 0 && size < (int)sizeof event);
    frame_encode(frames, FRAME_PUSH, ENCODING_JSON, slice_of(event, (size_t)size));
}

static void
log_record(struct wal *wal, const struct record_header *header, struct slice body)
{
    while (!wal_has_room(wal, wal_record_size(body.size))) {
        wal_publish(wal);
        assert_int_equal(wal_wait(wal, header->first_lsn - 1, false, NULL), BV_OK);
    }
    wal_record_begin(wal, header);
    wal_record_append(wal, body.data, body.size);
    wal_record_end(wal, header->count);
    wal_publish(wal);
}

static void
write_log(struct recording_os *disk, const struct kept_record *registration, unsigned batch)
{
    struct wal_options options = {.dir = "/d/wal",
                                  .snapshot_dir = "/d/snapshots",
                                  .policy = BV_POLICY_OS,
                                  .ring_bytes = 8 << 20,
                                  .os = &disk->os};
    struct wal_directory *directory = NULL;
    struct recovery_result result;
    struct record_header header = registration->header;
    struct chance chance = {16};
    struct wal *wal = NULL;
    struct buf frames;

    buf_init(&frames);
    assert_int_equal(wal_directory_open(&directory, &options, NULL), BV_OK);
    assert_int_equal(recovery_run(&result, directory, 0, keep_record, NULL, NULL), BV_OK);
    assert_int_equal(wal_open(&wal, directory, &options, 1, NULL), BV_OK);
    log_record(wal, &header, buf_slice(&registration->body));
    header.type = RECORD_PUSH;
    header.seed = RECORD_SEED;
    header.first_lsn = 2;
    for (uint64_t block = 0; block < BLOCKS; block++) {
        header.time_ms = 1000000000000u + block * block * 40000000u;
        for (unsigned done = 0; done < BLOCK_EVENTS; done += header.count) {
            header.count = BLOCK_EVENTS - done < batch ? BLOCK_EVENTS - done : batch;
            buf_clear(&frames);
            for (unsigned i = 0; i < header.count; i++) {
                append_event(&frames, &chance);
            }
            log_record(wal, &header, buf_slice(&frames));
            header.first_lsn += header.count;
        }
    }
    wal_close(wal);
    wal_directory_close(directory);
    buf_deinit(&frames);
}

static bv_digest
digest_in_batches(const struct kept_record *registration, unsigned batch)
{
    struct recording_os disk;
    struct world world;
    bv_digest digest;

    recording_init(&disk, false);
    write_log(&disk, registration, batch);
    world_init(&world, &disk.os, 1);
    if (world_open(&world) != BV_OK) {
        fail_msg("%s", world.error.message);
    }
    engine_digest(world.engine, &digest);
    world_deinit(&world);
    recording_deinit(&disk);
    return digest;
}

static bv_digest
digest_of(const char *const *features, size_t count, const char *name)
{
    static const unsigned batches[] = {1, 7, 128, 4096};
    struct kept_record registration;
    bv_digest first = {0};

    registration_of(&registration, features, count);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        bv_digest digest = digest_in_batches(&registration, batches[i]);
        if (i == 0) {
            first = digest;
        }
        assert_memory_equal(&digest, &first, sizeof digest);
    }
    print_message("%s: %llu events, %llu entities, digest 0x%016llx 0x%016llx in records of 1, 7, "
                  "128 and 4096\n",
                  name, (unsigned long long)first.last_lsn - 1, (unsigned long long)first.entities,
                  (unsigned long long)first.words[0], (unsigned long long)first.words[1]);
    assert_int_equal(first.last_lsn, 1 + BLOCKS * BLOCK_EVENTS);
    buf_deinit(&registration.body);
    return first;
}

static void
test_a_log_gives_the_same_state_in_any_batches_and_any_build(void **state)
{
    bv_digest digest = digest_of(exact, sizeof exact / sizeof exact[0], "exact");

    (void)state;
    assert_int_equal(digest.words[0], 0x2254ee3eb37bebef);
    assert_int_equal(digest.words[1], 0xefd3c725cb9ab8aa);
}

static void
test_so_do_operators_that_ask_libm(void **state)
{
    bv_digest digest = digest_of(inexact, sizeof inexact / sizeof inexact[0], "with libm");

    (void)state;
    if (strcmp(gnu_get_libc_version(), "2.36") == 0) {
        assert_int_equal(digest.words[0], 0x82e52eb8ad260b65);
        assert_int_equal(digest.words[1], 0xac28105aa4123fd1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_gives_the_same_state_in_any_batches_and_any_build),
        cmocka_unit_test(test_so_do_operators_that_ask_libm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
