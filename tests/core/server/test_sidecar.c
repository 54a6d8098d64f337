/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin listener says, without one: readiness, the watchdog, the numbers. metrics.c too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/sidecar.h"

#define SECOND 1000000000ull

static struct publication publication;
static struct sidecar sidecar;

static int
reset(void **state)
{
    publication_init(&publication);
    publication.phase = PUBLISH_SERVING;
    sidecar = (struct sidecar){.publication = &publication};
    return 0;
}

static int
drop(void **state)
{
    publication_deinit(&publication);
    return 0;
}

static void
say_stats(const void *context, struct engine_stats *out)
{
    *out = *(const struct engine_stats *)context;
}

static bool
say_table(const void *context, uint32_t index, struct engine_table_stats *out)
{
    *out = (struct engine_table_stats){slice_text("odd\"\\\nname"), 5, 600, 7, 8};
    return index == 0;
}

static void
say_registry(const void *context, struct buf *json)
{
    buf_text(json, "{}");
}

static void
publish(const struct engine_stats *stats, enum engine_readiness readiness)
{
    const struct publish_source source = {stats, say_stats, say_table, say_registry};

    publication_write(&publication, &source, readiness, (const uint64_t[]){3, 4});
}

static void
expect_readiness(enum admin_state wanted, const char *reasons, uint64_t now_ns)
{
    struct buf text;

    buf_init(&text);
    assert_int_equal(sidecar_readiness(&sidecar, now_ns, &text), wanted);
    buf_byte(&text, 0);
    assert_string_equal((const char *)text.data, reasons);
    buf_deinit(&text);
}

static void
test_readiness_follows_the_life_of_the_process(void **state)
{
    const struct engine_stats stats = {0};

    publication.phase = PUBLISH_RECOVERING;
    publication.recovery_lsn = 12;
    publication.recovery_records = 3;
    expect_readiness(ADMIN_RECOVERING, "\"recovery: lsn 12, 3 records, 0 entities so far\"", 1);
    publication.phase = PUBLISH_SERVING;
    expect_readiness(ADMIN_READY, "", 1);
    publish(&stats, ENGINE_FAILED);
    expect_readiness(ADMIN_READ_ONLY, "\"wal_unavailable\"", 1);
    publish(&stats, ENGINE_NO_SPACE);
    expect_readiness(ADMIN_READ_ONLY, "\"no_space\"", 1);
    publish(&stats, ENGINE_READY);
    expect_readiness(ADMIN_READY, "", 1);
    publication.phase = PUBLISH_STOPPING;
    publication.busy_since_ns = 1; /* a stop may take its time */
    expect_readiness(ADMIN_STOPPING, "\"stopping\"", 100 * SECOND);
}

static void
test_a_loop_that_hangs_in_a_turn_is_stalled_after_5_s(void **state)
{
    publication.busy_since_ns = 100 * SECOND;
    assert_false(sidecar_is_stalled(&sidecar, 100 * SECOND));
    assert_false(sidecar_is_stalled(&sidecar, 105 * SECOND));
    assert_true(sidecar_is_stalled(&sidecar, 105 * SECOND + 1));
    expect_readiness(ADMIN_STALLED, "\"the apply thread has not moved for 5 s\"", 106 * SECOND);
    publication.busy_since_ns = 106 * SECOND; /* it moves again */
    assert_false(sidecar_is_stalled(&sidecar, 107 * SECOND));
}

static void
test_a_loop_that_misses_a_wake_is_stalled_after_5_s(void **state)
{
    publication.turns = 9;
    assert_false(sidecar_is_stalled(&sidecar, 50 * SECOND)); /* woken */
    assert_false(sidecar_is_stalled(&sidecar, 55 * SECOND));
    assert_true(sidecar_is_stalled(&sidecar, 56 * SECOND));
    publication.turns = 10;
    assert_false(sidecar_is_stalled(&sidecar, 90 * SECOND));
    publication.turns = 11; /* it answered, and sleeps: an idle server is ready */
    assert_false(sidecar_is_stalled(&sidecar, 99 * SECOND));
}

static char *
metrics(void)
{
    struct buf text;

    buf_init(&text);
    sidecar_metrics(&sidecar, &text);
    buf_byte(&text, 0);
    assert_false(text.failed);
    return (char *)text.data;
}

static void
assert_line(const char *text, const char *line)
{
    char wanted[256];

    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (strstr(text, wanted) == NULL) {
        fail_msg("no line \"%s\" in:\n%s", line, text);
    }
}

static void
test_numbers_of_all_kinds_are_written_as_prometheus_reads_them(void **state)
{
    const struct request push = {.kind = REQUEST_PUSH, .transport = TRANSPORT_TCP};
    const struct request get = {.kind = REQUEST_GET, .transport = TRANSPORT_HTTP};
    const struct engine_stats stats = {
        .registry_version = 3,
        .node_count = 2,
        .entities = 5,
        .events_refused = 6,
        .wal_policy = BV_POLICY_OS,
        .wal_durable_lag_ms = 1500,
        .snapshot_duration_ns = 2500000,
        .snapshot_finished_ms = 1700000000123,
        .recovered_records = 77,
        .recovery_ms = 250,
    };
    static struct histogram pauses;
    char *text;

    histogram_add(&pauses, 900);
    histogram_add(&pauses, 3000);
    publication.pauses = &pauses;
    publish(&stats, ENGINE_READY);
    publication_count(&publication, &push, BV_OK);
    publication_count(&publication, &get, BV_MALFORMED_REQUEST);
    publication_count(&publication, &get, BV_INTERNAL_ERROR); /* the same code on the wire */
    text = metrics();
    assert_line(text, "beava_node_count 2");
    assert_line(text, "# TYPE beava_node_count gauge");
    assert_line(text, "beava_entity_count_resident 5");
    assert_line(text, "beava_runtime_kind{runtime=\"mio\"} 1");
    assert_line(text, "beava_build_info{version=\"" BEAVA_VERSION "\"} 1");
    assert_line(text, "beava_wal_policy{policy=\"os\"} 1");
    assert_line(text, "beava_wal_durable_lag_seconds 1.500000");
    assert_line(text, "beava_snapshot_last_duration_seconds 0.002500");
    assert_line(text, "beava_snapshot_last_success_timestamp_seconds 1700000000.123000");
    assert_line(text, "beava_recovery_records_total 77");
    assert_line(text, "beava_recovery_duration_seconds 0.250000");
    assert_line(text, "beava_events_total{outcome=\"refused\"} 6");
    assert_line(text, "beava_connections{transport=\"tcp\"} 3");
    assert_line(text, "beava_connections{transport=\"http\"} 4");
    assert_line(text, "beava_requests_total{op=\"push\",transport=\"tcp\",code=\"ok\"} 1");
    assert_line(text,
                "beava_requests_total{op=\"get\",transport=\"http\",code=\"internal_error\"} 2");
    assert_line(text, "beava_entities{table=\"odd\\\"\\\\\\nname\"} 5");
    assert_line(text, "beava_state_bytes{table=\"odd\\\"\\\\\\nname\"} 600");
    assert_line(text, "beava_evictions_total{table=\"odd\\\"\\\\\\nname\",reason=\"cold\"} 7");
    assert_line(text,
                "beava_evictions_total{table=\"odd\\\"\\\\\\nname\",reason=\"table_full\"} 8");
    assert_line(text, "beava_apply_pause_seconds_bucket{le=\"0.000001\"} 1");
    assert_line(text, "beava_apply_pause_seconds_bucket{le=\"0.000004\"} 2");
    assert_line(text, "beava_apply_pause_seconds_bucket{le=\"+Inf\"} 2");
    assert_line(text, "beava_apply_pause_seconds_sum 0.000003900");
    assert_line(text, "beava_apply_pause_seconds_count 2");
    assert_line(text, "beava_apply_pause_max_seconds 0.000003000");
    assert_null(strstr(text, "beava_wal_sync_duration_seconds")); /* no log, no syncs */
    free(text);
}

static void
test_while_it_recovers_the_progress_is_the_number(void **state)
{
    char *text;

    publication.phase = PUBLISH_RECOVERING;
    publication.recovery_records = 1234;
    text = metrics();
    assert_line(text, "beava_recovery_records_total 1234");
    assert_line(text, "beava_node_count 0");
    assert_null(strstr(text, "beava_entities{"));
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readiness_follows_the_life_of_the_process, reset,
                                        drop),
        cmocka_unit_test_setup_teardown(test_a_loop_that_hangs_in_a_turn_is_stalled_after_5_s,
                                        reset, drop),
        cmocka_unit_test_setup_teardown(test_a_loop_that_misses_a_wake_is_stalled_after_5_s, reset,
                                        drop),
        cmocka_unit_test_setup_teardown(
            test_numbers_of_all_kinds_are_written_as_prometheus_reads_them, reset, drop),
        cmocka_unit_test_setup_teardown(test_while_it_recovers_the_progress_is_the_number, reset,
                                        drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
