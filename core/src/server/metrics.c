/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of /metrics (server.md 3.2, conventions.md).
 *
 * Enters:  the publication, and what the kernel says of this process.
 * Leaves:  Prometheus text 0.0.4: HELP, TYPE, samples.
 * Owner:   the admin thread.
 *
 * A plain number is one row of `rows`; what has labels or buckets has a function. The names of the
 * published server stand first and keep their types. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "os/machine.h"
#include "server/sidecar.h"

#define NS_PER_S 1e9
#define MS_PER_S 1e3

static const char *const kinds[PUBLISHED_KIND_COUNT] = {
    [REQUEST_PING] = "ping",
    [REQUEST_REGISTER] = "register",
    [REQUEST_PUSH] = "push",
    [REQUEST_PUSH_BATCH] = "push_batch",
    [REQUEST_PUSH_MANY] = "push_many",
    [REQUEST_GET] = "get",
    [REQUEST_GET_SINGLE] = "get_single",
    [REQUEST_MGET] = "mget",
    [REQUEST_GET_MULTI] = "get_multi",
    [REQUEST_BATCH_GET] = "batch_get",
    [REQUEST_RESET] = "reset",
    [REQUEST_SNAPSHOT] = "snapshot",
};
static const char *const transports[2] = {
    [TRANSPORT_TCP] = "tcp",
    [TRANSPORT_HTTP] = "http",
};

/* One unlabelled series: an integer of struct published over `divisor` (0: as it is). */
struct row {
    const char *name;
    const char *type;
    const char *help;
    size_t offset;
    double divisor;
};

#define AT(member) offsetof(struct published, engine.member)
#define COUNTER    "counter"
#define GAUGE      "gauge"

static const struct row rows[] = {
    {"beava_registry_version", GAUGE, "Version of the registry.", AT(registry_version), 0},
    {"beava_node_count", GAUGE, "Registered nodes: events, tables, derivations.", AT(node_count),
     0},
    {"beava_entropy_categories_capped_total", COUNTER,
     "New categories dropped by the entropy operator's cap.", AT(categories_capped), 0},
    {"beava_lifetime_op_cap_hit_total", COUNTER, "Cap hits of lifetime operators.",
     AT(categories_capped), 0},
    {"beava_cold_entity_evictions_total", COUNTER,
     "Entities reset because they were idle for longer than cold_after.", AT(cold_evictions), 0},
    {"beava_entity_count_resident", GAUGE, "Entities held, over all tables.", AT(entities), 0},
    {"beava_bucket_reclaim_total", COUNTER, "Buckets dropped from windows.", AT(panes_dropped), 0},
    {"beava_bytes_per_entity_p99", GAUGE, "Bytes of an entity, 99th percentile, measured.",
     AT(bytes_per_entity_p99), 0},
    {"beava_snapshot_last_duration_seconds", GAUGE, "Time that the last good snapshot took.",
     AT(snapshot_duration_ns), NS_PER_S},
    {"beava_snapshot_last_bytes", GAUGE, "Size of the last good snapshot.", AT(snapshot_bytes), 0},
    {"beava_snapshot_last_fsync_seconds", GAUGE, "Time its file and directory took to sync.",
     AT(snapshot_sync_ns), NS_PER_S},

    {"beava_wal_appended_lsn", GAUGE, "Last LSN handed to the log.", AT(wal_appended_lsn), 0},
    {"beava_wal_durable_lsn", GAUGE, "Last LSN known to be on disk.", AT(wal_durable_lsn), 0},
    {"beava_wal_errors_total", COUNTER, "Failed writes and syncs of the log.", AT(wal_errors), 0},
    {"beava_wal_resumes_total", COUNTER, "Times the log came back after a failure.",
     AT(wal_resumes), 0},
    {"beava_wal_bytes_total", COUNTER, "Bytes written to the log.", AT(wal_bytes), 0},
    {"beava_wal_groups_total", COUNTER, "Groups of records written to the log.", AT(wal_groups), 0},
    {"beava_wal_syncs_total", COUNTER, "Syncs of the log.", AT(wal_syncs), 0},
    {"beava_wal_disk_bytes", GAUGE, "Bytes of log files on disk.", AT(wal_bytes_on_disk), 0},
    {"beava_wal_pressure", GAUGE, "Space for the log: 0 enough, 1 getting low, 2 refusing pushes.",
     AT(wal_pressure), 0},
    {"beava_wal_durable_lag_seconds", GAUGE, "Age of the oldest record not yet durable.",
     AT(wal_durable_lag_ms), MS_PER_S},

    {"beava_snapshots_total", COUNTER, "Good snapshots.", AT(snapshot_count), 0},
    {"beava_snapshot_failures_total", COUNTER, "Snapshots that failed.", AT(snapshot_failures), 0},
    {"beava_snapshot_lsn", GAUGE, "LSN of the last good snapshot, written or read.",
     AT(snapshot_lsn), 0},
    {"beava_snapshot_running", GAUGE, "1 while a snapshot is being written.",
     AT(snapshot_is_running), 0},
    {"beava_snapshot_last_success_timestamp_seconds", GAUGE, "When the last good snapshot ended.",
     AT(snapshot_finished_ms), MS_PER_S},

    {"beava_dedupe_entries", GAUGE, "Deduplication keys remembered.", AT(dedupe_entries), 0},
    {"beava_dedupe_evictions_total", COUNTER, "Keys forgotten because of dedupe_max_entries.",
     AT(dedupe_evictions), 0},
    {"beava_memory_limit_bytes", GAUGE, "Bound of the state's memory, 0: none.",
     AT(memory_limit_bytes), 0},
    {"beava_memory_bytes", GAUGE, "State's memory, indexes included.", AT(state_bytes), 0},
    {"beava_accumulators", GAUGE, "Accumulators of an entity, over all tables.", AT(accumulators),
     0},
    {"beava_recovery_skipped_total", COUNTER, "Bytes of a damaged log given up at the start.",
     AT(recovery_skipped_bytes), 0},
    {"beava_recovery_snapshot_lsn", GAUGE, "LSN of the snapshot the start was from, 0: none.",
     AT(recovered_from_snapshot_lsn), 0},
    {"beava_recovery_duration_seconds", GAUGE, "Time that recovery took.", AT(recovery_ms),
     MS_PER_S},
};

static void
put_head(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_row(struct buf *text, const struct row *row, const struct published *numbers)
{
    uint64_t value;

    memcpy(&value, (const char *)numbers + row->offset, sizeof value);
    put_head(text, row->name, row->type, row->help);
    if (row->divisor == 0) {
        buf_printf(text, "%s %llu\n", row->name, (unsigned long long)value);
    } else {
        buf_printf(text, "%s %.6f\n", row->name, (double)value / row->divisor);
    }
}

static void
put_label_text(struct buf *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"') {
            buf_byte(text, '\\');
        }
        if (*value == '\n') {
            buf_text(text, "\\n");
        } else {
            buf_byte(text, (uint8_t)*value);
        }
    }
}

static uint64_t
word(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void
put_histogram(struct buf *text, const char *name, const char *help,
              const struct histogram *histogram)
{
    uint64_t count = 0;

    if (histogram == NULL) {
        return;
    }
    put_head(text, name, "histogram", help);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += word(&histogram->counts[i]);
        if (i == HISTOGRAM_BUCKETS - 1) {
            buf_printf(text, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
        } else {
            buf_printf(text, "%s_bucket{le=\"%.6f\"} %llu\n", name,
                       (double)histogram_bound_us(i) / 1e6, (unsigned long long)count);
        }
    }
    buf_printf(text, "%s_sum %.9f\n%s_count %llu\n", name,
               (double)word(&histogram->sum_ns) / NS_PER_S, name, (unsigned long long)count);
}

/* Buckets are powers of two: a bound of 300 us wants the exact one. */
static void
put_longest_pause(struct buf *text, const struct publication *publication)
{
    const struct histogram *pauses =
        atomic_load_explicit(&publication->pauses, memory_order_acquire);

    if (pauses != NULL) {
        put_head(text, "beava_apply_pause_max_seconds", GAUGE,
                 "Longest of the pauses since the start.");
        buf_printf(text, "beava_apply_pause_max_seconds %.9f\n",
                   (double)word(&pauses->max_ns) / NS_PER_S);
    }
}

/* ---- series with labels ---- */

static void
put_constants(struct buf *text, const struct published *numbers)
{
    static const char *const policies[] = {
        [BV_POLICY_ALWAYS] = "always",
        [BV_POLICY_OS] = "os",
        [BV_POLICY_MEMORY] = "memory",
    };
    const uint64_t policy = numbers->engine.wal_policy;

    put_head(text, "beava_runtime_kind", GAUGE, "Which runtime serves the data plane.");
    buf_text(text, "beava_runtime_kind{runtime=\"mio\"} 1\n");
    put_head(text, "beava_build_info", GAUGE, "Version of this program.");
    buf_text(text, "beava_build_info{version=\"" BEAVA_VERSION "\"} 1\n");
    put_head(text, "beava_wal_policy", GAUGE, "When a push is acknowledged.");
    buf_printf(text, "beava_wal_policy{policy=\"%s\"} 1\n",
               policy < sizeof policies / sizeof policies[0] ? policies[policy] : "");
}

static void
put_events(struct buf *text, const struct published *numbers)
{
    const struct engine_stats *stats = &numbers->engine;

    put_head(text, "beava_events_total", COUNTER, "Events pushed, by what became of them.");
    buf_printf(text,
               "beava_events_total{outcome=\"accepted\"} %llu\n"
               "beava_events_total{outcome=\"refused\"} %llu\n"
               "beava_events_total{outcome=\"repeated\"} %llu\n",
               (unsigned long long)stats->events_accepted,
               (unsigned long long)stats->events_refused,
               (unsigned long long)stats->events_replayed);
    put_head(text, "beava_refusals_total", COUNTER, "Events refused for want of room.");
    buf_printf(text,
               "beava_refusals_total{reason=\"memory_limit\"} %llu\n"
               "beava_refusals_total{reason=\"table_full\"} %llu\n",
               (unsigned long long)stats->memory_refusals,
               (unsigned long long)stats->table_full_refusals);
}

static void
put_connections(struct buf *text, const struct published *numbers)
{
    put_head(text, "beava_connections", GAUGE, "Open connections of the data plane.");
    for (unsigned i = 0; i < 2; i++) {
        buf_printf(text, "beava_connections{transport=\"%s\"} %llu\n", transports[i],
                   (unsigned long long)numbers->connections[i]);
    }
}

static const char *
code_of(unsigned status)
{
    return status == BV_OK ? "ok" : bv_status_code((enum bv_status)status);
}

/* Several statuses may share a code: their counts are one series, of the first of them. */
static uint64_t
count_of_code(const _Atomic uint64_t *counts, unsigned status)
{
    const char *code = code_of(status);
    uint64_t sum = 0;

    for (unsigned i = 0; i < PUBLISHED_CODE_COUNT; i++) {
        if (strcmp(code_of(i), code) == 0) {
            if (i < status) {
                return 0;
            }
            sum += word(&counts[i]);
        }
    }
    return sum;
}

static bool
has_any(const _Atomic uint64_t *counts)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < PUBLISHED_CODE_COUNT; i++) {
        any |= word(&counts[i]);
    }
    return any != 0;
}

static void
put_requests(struct buf *text, const struct publication *publication)
{
    put_head(text, "beava_requests_total", COUNTER, "Requests answered.");
    for (unsigned transport = 0; transport < 2; transport++) {
        for (unsigned kind = 0; kind < PUBLISHED_KIND_COUNT; kind++) {
            const _Atomic uint64_t *counts = publication->requests[transport][kind];

            for (unsigned status = 0; has_any(counts) && status < PUBLISHED_CODE_COUNT; status++) {
                uint64_t count = code_of(status)[0] == '\0' ? 0 : count_of_code(counts, status);

                if (count != 0) {
                    buf_printf(text,
                               "beava_requests_total{op=\"%s\",transport=\"%s\",code=\"%s\"} "
                               "%llu\n",
                               kinds[kind], transports[transport], code_of(status),
                               (unsigned long long)count);
                }
            }
        }
    }
}

static void
put_table_series(struct buf *text, const struct description *description, const char *name,
                 const char *more, size_t offset)
{
    for (uint32_t i = 0; i < description->table_count; i++) {
        const char *table = (const char *)&description->tables[i];

        buf_printf(text, "%s{table=\"", name);
        put_label_text(text, description->tables[i].name);
        buf_printf(
            text, "\"%s} %llu\n", more,
            (unsigned long long)word((const _Atomic uint64_t *)(const void *)(table + offset)));
    }
}

static void
put_tables(struct buf *text, struct publication *publication)
{
    struct description *description = publication_take(publication);

    if (description != NULL) {
        put_head(text, "beava_entities", GAUGE, "Entities of a table.");
        put_table_series(text, description, "beava_entities", "",
                         offsetof(struct published_table, entities));
        put_head(text, "beava_state_bytes", GAUGE, "Bytes of a table's entities.");
        put_table_series(text, description, "beava_state_bytes", "",
                         offsetof(struct published_table, bytes));
        put_head(text, "beava_evictions_total", COUNTER, "Entities removed from a table.");
        put_table_series(text, description, "beava_evictions_total", ",reason=\"cold\"",
                         offsetof(struct published_table, cold_evictions));
        put_table_series(text, description, "beava_evictions_total", ",reason=\"table_full\"",
                         offsetof(struct published_table, idle_evictions));
    }
    publication_give(publication, description);
}

static void
put_process(struct buf *text)
{
    struct machine_process process;

    machine_process_read(&process);
    put_head(text, "process_cpu_seconds_total", COUNTER, "CPU time, user and system.");
    buf_printf(text, "process_cpu_seconds_total %.6f\n", (double)process.cpu_us / 1e6);
    put_head(text, "process_resident_memory_bytes", GAUGE, "Memory in use.");
    buf_printf(text, "process_resident_memory_bytes %llu\n",
               (unsigned long long)process.resident_bytes);
    put_head(text, "process_virtual_memory_bytes", GAUGE, "Address space.");
    buf_printf(text, "process_virtual_memory_bytes %llu\n",
               (unsigned long long)process.virtual_bytes);
    put_head(text, "process_open_fds", GAUGE, "Open file descriptors.");
    buf_printf(text, "process_open_fds %llu\n", (unsigned long long)process.open_fds);
    put_head(text, "process_max_fds", GAUGE, "Limit of file descriptors.");
    buf_printf(text, "process_max_fds %llu\n", (unsigned long long)process.max_fds);
    put_head(text, "process_start_time_seconds", GAUGE, "When the process began.");
    buf_printf(text, "process_start_time_seconds %.3f\n", (double)process.start_time_ms / MS_PER_S);
}

/* While it goes on the progress is the number. */
static void
put_recovery(struct buf *text, const struct publication *publication,
             const struct published *numbers)
{
    bool is_over = numbers->engine.recovered_records != 0;

    put_head(text, "beava_recovery_records_total", COUNTER, "Log records replayed at the start.");
    buf_printf(text, "beava_recovery_records_total %llu\n",
               (unsigned long long)(is_over ? numbers->engine.recovered_records
                                            : word(&publication->recovery_records)));
}

void
sidecar_metrics(struct sidecar *sidecar, struct buf *text)
{
    struct publication *publication = sidecar->publication;
    struct published numbers;

    publication_read(publication, &numbers);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_row(text, &rows[i], &numbers);
    }
    put_constants(text, &numbers);
    put_recovery(text, publication, &numbers);
    put_events(text, &numbers);
    put_requests(text, publication);
    put_connections(text, &numbers);
    put_tables(text, publication);
    put_histogram(text, "beava_apply_duration_seconds",
                  "Time of a tick that carried something out.", &publication->apply_times);
    put_histogram(text, "beava_apply_pause_seconds",
                  "Time the apply thread spent beside requests: snapshots, sweeps.",
                  atomic_load_explicit(&publication->pauses, memory_order_acquire));
    put_longest_pause(text, publication);
    put_histogram(text, "beava_snapshot_duration_seconds", "Time of good snapshots.",
                  &publication->snapshot_times);
    put_histogram(text, "beava_wal_sync_duration_seconds", "Time of syncs of the log.",
                  atomic_load_explicit(&publication->sync_times, memory_order_acquire));
    put_process(text);
}
