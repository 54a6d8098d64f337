/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static double
quantile_us(const struct histogram *histogram, double share)
{
    return (double)histogram_quantile_ns(histogram, share) / 1e3;
}

static double
events_per_second(const struct drive_result *result)
{
    return result->elapsed_ns == 0 ? 0.0 : (double)result->acked * 1e9 / (double)result->elapsed_ns;
}

static void
print_latency(const char *name, const struct histogram *histogram)
{
    fprintf(stderr, "%s p50=%.0f p95=%.0f p99=%.0f p99.9=%.0f max=%.0f\n", name,
            quantile_us(histogram, 0.5), quantile_us(histogram, 0.95), quantile_us(histogram, 0.99),
            quantile_us(histogram, 0.999), (double)histogram->ns_max / 1e3);
}

static void
print_lines(const struct options *options, const struct drive_result *result,
            const struct client_count *counted)
{
    double wall_ms = (double)result->elapsed_ns / 1e6;
    double send_ms = (double)result->send_drain_ns / 1e6;
    bool is_sustained =
        options->total_events == 0 && (double)result->elapsed_ns >= options->duration_secs * 0.95e9;

    fprintf(stderr, "%s: %.0f\n", is_sustained ? "sustained_eps" : "burst_eps",
            events_per_second(result));
    print_latency("push_latency_us", &result->push);
    fprintf(stderr, "push_errors: %" PRIu64 "%s%s\n", result->push_errors,
            result->push_errors > 0 ? " first=" : "", result->push_errors > 0 ? result->error : "");
    if (result->reads + result->read_errors > 0) {
        print_latency("read_latency_us", &result->read);
        fprintf(stderr, "reads: %" PRIu64 " read_errors: %" PRIu64 "\n", result->reads,
                result->read_errors);
    }
    if (options->rate > 0.0) {
        fprintf(stderr, "open_loop rate=%.0f latest_send_us=%.0f\n", options->rate,
                (double)result->late_ns_max / 1e3);
    }
    if (counted != NULL) {
        fprintf(stderr, "verified events=%" PRIu64 " entities=%" PRIu64 "\n", counted->events,
                counted->entities);
    }
    if (options->has_isolation_report) {
        fprintf(stderr, "isolation_mode wall_clock_ms=%.1f send_drain_ms=%.1f ack_lag_ms=%.1f\n",
                wall_ms, send_ms, wall_ms - send_ms);
    }
    fprintf(stderr,
            "beava-bench: invariant_tuple requested=%" PRIu64 " pushed=%" PRIu64 " acked=%" PRIu64
            "\n",
            result->requested, result->pushed, result->acked);
}

static void
print_histogram(const char *name, const struct histogram *histogram)
{
    printf(",\"%s\":{\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name,
           quantile_us(histogram, 0.5), quantile_us(histogram, 0.95), quantile_us(histogram, 0.99),
           quantile_us(histogram, 0.999), (double)histogram->ns_max / 1e3);
    printf(",\"%s_histogram_ns\":", name);
    histogram_print_json(histogram, stdout);
}

static void
print_parameters(const struct options *options, uint64_t pool_frames)
{
    printf("\"pipeline\":\"%s\",\"transport\":\"%s\",\"wire_format\":\"%s\"", options->pipeline,
           options_transport_name(options->transport),
           options->format == BODY_JSON ? "json" : "msgpack");
    printf(",\"duration_secs\":%g,\"total_events\":%" PRIu64 ",\"parallel\":%u"
           ",\"pipeline_depth\":%u,\"continuous_pipeline\":%s,\"rate\":%g",
           options->duration_secs, options->total_events, options->parallel,
           options->pipeline_depth, options->is_continuous ? "true" : "false", options->rate);
    printf(",\"blast_shape\":\"%s\",\"key_shape\":\"%s\",\"cardinality\":%" PRIu64
           ",\"sweep_from\":%" PRIu64 ",\"zipf_alpha\":%g,\"mixed_event_count\":%u",
           options_shape_name(options->shape),
           options->key_shape == KEYS_PADDED ? "padded" : "scattered", options->cardinality,
           options->sweep_from, options->zipf_alpha, options->mixed_event_count);
    printf(",\"read_workers\":%u,\"get_sample_interval_ms\":%u,\"get_batch_keys\":%u"
           ",\"seed\":%" PRIu64 ",\"pool_frames\":%" PRIu64 ",\"send_batch\":%u,\"busy_poll\":%s",
           options->read_workers, options->get_sample_interval_ms, options->get_batch_keys,
           options->seed, pool_frames, options->send_batch,
           options->is_busy_polling ? "true" : "false");
}

static void
print_ledger(const struct options *options, const struct drive_result *result,
             const struct client_count *counted, uint64_t pool_frames)
{
    struct utsname host = {.sysname = ""};
    char when[32];
    time_t now = time(NULL);
    struct tm utc;

    uname(&host);
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    printf("{");
    print_parameters(options, pool_frames);
    printf(",\"host\":\"%s %s %s, %ld CPUs\",\"timestamp_utc\":\"%s\"", host.sysname, host.release,
           host.machine, sysconf(_SC_NPROCESSORS_ONLN), when);
    printf(",\"requested\":%" PRIu64 ",\"pushed\":%" PRIu64 ",\"acked\":%" PRIu64
           ",\"push_errors\":%" PRIu64 ",\"reads\":%" PRIu64 ",\"read_errors\":%" PRIu64,
           result->requested, result->pushed, result->acked, result->push_errors, result->reads,
           result->read_errors);
    printf(",\"lsn_first\":%" PRIu64 ",\"lsn_last\":%" PRIu64, result->lsn_first, result->lsn_last);
    if (counted != NULL) {
        printf(",\"verified_events\":%" PRIu64 ",\"verified_entities\":%" PRIu64, counted->events,
               counted->entities);
    }
    printf(",\"elapsed_secs\":%.6f,\"events_per_sec\":%.1f,\"cpu_secs\":%.3f"
           ",\"late_us_max\":%.3f",
           (double)result->elapsed_ns / 1e9, events_per_second(result),
           (double)result->cpu_ns / 1e9, (double)result->late_ns_max / 1e3);
    print_histogram("push_us", &result->push);
    print_histogram("read_us", &result->read);
    printf("}\n");
}

void
report_print(const struct options *options, const struct drive_result *result,
             const struct client_count *counted, uint64_t pool_frames)
{
    if (!options->has_no_ledger) {
        print_ledger(options, result, counted, pool_frames);
        fflush(stdout);
    }
    print_lines(options, result, counted);
}
