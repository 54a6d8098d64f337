/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "client.h"
#include "drive.h"
#include "options.h"
#include "pipeline.h"
#include "pool.h"
#include "report.h"

/* beava-load: events from one core to a running server.
 *
 * Register if asked to, encode everything, run, count. The exit code is 0 when every push was
 * acknowledged and all counts agree. */
#define READ_FRAME_COUNT 256u

static void
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* With a fixed number of events more frames than that would never be sent. */
static uint64_t
pool_count(const struct options *options)
{
    uint64_t count = options->pool_frames;

    if (options->total_events != 0 && options->total_events < count) {
        count = options->total_events;
    }
    return count;
}

static bool
prepare(const struct options *options, const struct pipeline *pipeline, struct pool *pushes,
        struct pool *reads)
{
    if (options->is_registering && !client_register(options, pipeline)) {
        return false;
    }
    if (!pool_encode_pushes(pushes, options, pipeline, pool_count(options))) {
        return false;
    }
    if (options->transport == TRANSPORT_RESP ||
        (options->read_workers == 0 && options->get_sample_interval_ms == 0)) {
        return true;
    }
    return pool_encode_reads(reads, options, pipeline, READ_FRAME_COUNT);
}

int
main(int argc, char **argv)
{
    bool is_good = false;
    struct options options;
    struct pipeline pipeline = {.text = NULL};
    struct pool pushes = {.bytes = NULL};
    struct pool reads = {.bytes = NULL};
    struct client_count counted = {0};
    struct drive_result *result = malloc(sizeof *result);

    if (!options_parse(&options, argc, argv)) {
        free(result);
        return 2;
    }
    raise_descriptor_limit();
    if (result == NULL || !pipeline_load(&pipeline, options.pipeline) ||
        !prepare(&options, &pipeline, &pushes, &reads)) {
        goto done;
    }
    fputs("driving\n", stderr); /* all is encoded: whoever watches may begin beside us */
    if (!drive_run(result, &options, &pushes, &reads)) {
        goto done;
    }
    if (options.is_verifying && !client_count_all(&counted, &options, &pipeline)) {
        goto done;
    }
    report_print(&options, result, options.is_verifying ? &counted : NULL, pushes.count);
    is_good = result->acked == result->pushed && result->push_errors == 0 &&
              result->pushed == result->requested;
done:
    pool_release(&pushes);
    pool_release(&reads);
    pipeline_release(&pipeline);
    free(result);
    return is_good ? 0 : 1;
}
