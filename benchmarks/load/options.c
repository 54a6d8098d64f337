/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTION_COUNT_MAX 60000u
#define DEPTH_MAX            65536u

enum option_id {
    OPT_PIPELINE = 256,
    OPT_TRANSPORT,
    OPT_FORMAT,
    OPT_DURATION,
    OPT_TOTAL,
    OPT_PARALLEL,
    OPT_DEPTH,
    OPT_CONTINUOUS,
    OPT_SHAPE,
    OPT_KEY_SHAPE,
    OPT_CARDINALITY,
    OPT_SWEEP_FROM,
    OPT_ALPHA,
    OPT_MIXED,
    OPT_READ_WORKERS,
    OPT_SAMPLE_INTERVAL,
    OPT_BATCH_KEYS,
    OPT_REMOTE,
    OPT_SEED,
    OPT_ISOLATION,
    OPT_NO_LEDGER,
    OPT_REGISTER,
    OPT_VERIFY,
    OPT_RATE,
    OPT_POOL,
    OPT_SEND_BATCH,
    OPT_BUSY_POLL,
    OPT_HELP,
};

static const struct option LONG_OPTIONS[] = {
    {"pipeline", required_argument, NULL, OPT_PIPELINE},
    {"transport", required_argument, NULL, OPT_TRANSPORT},
    {"wire-format", required_argument, NULL, OPT_FORMAT},
    {"duration-secs", required_argument, NULL, OPT_DURATION},
    {"total-events", required_argument, NULL, OPT_TOTAL},
    {"parallel", required_argument, NULL, OPT_PARALLEL},
    {"pipeline-depth", required_argument, NULL, OPT_DEPTH},
    {"continuous-pipeline", required_argument, NULL, OPT_CONTINUOUS},
    {"blast-shape", required_argument, NULL, OPT_SHAPE},
    {"key-shape", required_argument, NULL, OPT_KEY_SHAPE},
    {"cardinality", required_argument, NULL, OPT_CARDINALITY},
    {"sweep-from", required_argument, NULL, OPT_SWEEP_FROM},
    {"zipf-alpha", required_argument, NULL, OPT_ALPHA},
    {"mixed-event-count", required_argument, NULL, OPT_MIXED},
    {"read-workers", required_argument, NULL, OPT_READ_WORKERS},
    {"get-sample-interval-ms", required_argument, NULL, OPT_SAMPLE_INTERVAL},
    {"get-batch-keys", required_argument, NULL, OPT_BATCH_KEYS},
    {"remote-addr", required_argument, NULL, OPT_REMOTE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"isolation-mode", no_argument, NULL, OPT_ISOLATION},
    {"no-ledger", no_argument, NULL, OPT_NO_LEDGER},
    {"register", no_argument, NULL, OPT_REGISTER},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"rate", required_argument, NULL, OPT_RATE},
    {"pool-frames", required_argument, NULL, OPT_POOL},
    {"send-batch", required_argument, NULL, OPT_SEND_BATCH},
    {"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char USAGE[] =
    "beava-load --remote-addr 127.0.0.1:8080,127.0.0.1:8081 --register --parallel 16 "
    "--pipeline-depth 1024\n\n"
    "  --remote-addr HOST:HTTP,HOST:TCP   a running server; with resp: HOST:PORT of a Redis\n"
    "  --pipeline NAME|PATH       small        benchmarks/configs/NAME.json\n"
    "  --transport tcp|http|resp  tcp          http is JSON; resp sends HINCRBY\n"
    "  --wire-format json|msgpack json         of TCP bodies\n"
    "  --duration-secs N          60           with --total-events only a limit, at least 1 h\n"
    "  --total-events N           none         over all connections\n"
    "  --parallel N               min(8,CPUs)  connections\n"
    "  --pipeline-depth N         1            requests in flight per connection\n"
    "  --continuous-pipeline B    true         false: send N, read N\n"
    "  --rate R                   none         open loop, R events/s over all connections; "
    "latency\n"
    "                                          counts from the intended send time\n"
    "  --blast-shape S            zipfian      fixed uniform zipfian mixed sweep\n"
    "  --key-shape S              padded       padded (k00000123) or scattered (hex)\n"
    "  --cardinality K            1000000\n"
    "  --sweep-from N             0            sweep: go on after the first N keys\n"
    "  --zipf-alpha A             1.0\n"
    "  --mixed-event-count N      3\n"
    "  --read-workers N           0            connections that read batches back to back\n"
    "  --get-sample-interval-ms N 1000         one sampled batch read; 0: none\n"
    "  --get-batch-keys N         100\n"
    "  --seed N                   3405691582\n"
    "  --pool-frames N            4194304      different frames that are encoded beforehand\n"
    "  --send-batch N             1            frames to collect before a write\n"
    "  --busy-poll                             do not sleep while waiting (open loop never does)\n"
    "  --register                              install the pipeline first\n"
    "  --verify                                read all keys afterwards, add up feature cnt\n"
    "  --isolation-mode                        print wall_clock_ms, send_drain_ms, ack_lag_ms\n"
    "  --no-ledger                             no JSON line on stdout\n";

static bool
complain(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "--%s %s: expected %s\n", option, value, expected);
    return false;
}

static bool
parse_count(uint64_t *out, const char *option, const char *value, uint64_t lowest, uint64_t highest)
{
    char *end = NULL;

    errno = 0;
    *out = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || *value == '-' || *out < lowest ||
        *out > highest) {
        fprintf(stderr, "--%s %s: expected a number from %llu to %llu\n", option, value,
                (unsigned long long)lowest, (unsigned long long)highest);
        return false;
    }
    return true;
}

static bool
parse_count32(uint32_t *out, const char *option, const char *value, uint32_t lowest,
              uint32_t highest)
{
    uint64_t wide = 0;

    if (!parse_count(&wide, option, value, lowest, highest)) {
        return false;
    }
    *out = (uint32_t)wide;
    return true;
}

static bool
parse_real(double *out, const char *option, const char *value)
{
    char *end = NULL;

    *out = strtod(value, &end);
    if (end == value || *end != '\0' || !(*out > 0.0 && *out < 1e12)) {
        return complain(option, value, "a number above 0");
    }
    return true;
}

/* The index of a word in a list that ends with NULL. */
static bool
parse_word(uint32_t *out, const char *option, const char *value, const char *const *words)
{
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], value) == 0) {
            *out = i;
            return true;
        }
    }
    fprintf(stderr, "--%s %s: expected one of", option, value);
    for (uint32_t i = 0; words[i] != NULL; i++) {
        fprintf(stderr, " %s", words[i]);
    }
    fputc('\n', stderr);
    return false;
}

static const char *const TRANSPORTS[] = {"tcp", "http", "resp", NULL};
static const char *const FORMATS[] = {"json", "msgpack", NULL};
static const char *const SHAPES[] = {"fixed", "uniform", "zipfian", "mixed", "sweep", NULL};
static const char *const KEY_SHAPES[] = {"padded", "scattered", NULL};
static const char *const BOOLEANS[] = {"false", "true", NULL};

const char *
options_shape_name(enum key_distribution shape)
{
    return SHAPES[shape];
}

const char *
options_transport_name(enum transport transport)
{
    return TRANSPORTS[transport];
}

/* HOST:PORT, and the port of the second one after a comma. */
static bool
parse_remote(struct options *out, const char *value)
{
    unsigned http = 0;
    unsigned tcp = 0;
    int seen = sscanf(value, "%63[^:]:%u,%*63[^:]:%u", out->host, &http, &tcp);

    if (seen < 2 || http > 65535 || tcp > 65535) {
        return complain("remote-addr", value, "HOST:HTTP,HOST:TCP");
    }
    out->http_port = (uint16_t)http;
    out->tcp_port = (uint16_t)tcp;
    return true;
}

static bool
apply_choice(struct options *out, int id, const char *name, const char *value)
{
    uint32_t index = 0;
    bool is_good = false;

    switch (id) {
    case OPT_TRANSPORT:
        is_good = parse_word(&index, name, value, TRANSPORTS);
        out->transport = (enum transport)index;
        break;
    case OPT_FORMAT:
        is_good = parse_word(&index, name, value, FORMATS);
        out->format = (enum body_format)index;
        break;
    case OPT_SHAPE:
        is_good = parse_word(&index, name, value, SHAPES);
        out->shape = (enum key_distribution)index;
        break;
    case OPT_KEY_SHAPE:
        is_good = parse_word(&index, name, value, KEY_SHAPES);
        out->key_shape = (enum key_spelling)index;
        break;
    case OPT_CONTINUOUS:
        is_good = parse_word(&index, name, value, BOOLEANS);
        out->is_continuous = index == 1;
        break;
    default:
        break;
    }
    return is_good;
}

static bool
apply_switch(struct options *out, int id)
{
    switch (id) {
    case OPT_ISOLATION:
        out->has_isolation_report = true;
        return true;
    case OPT_NO_LEDGER:
        out->has_no_ledger = true;
        return true;
    case OPT_REGISTER:
        out->is_registering = true;
        return true;
    case OPT_VERIFY:
        out->is_verifying = true;
        return true;
    case OPT_BUSY_POLL:
        out->is_busy_polling = true;
        return true;
    default:
        break;
    }
    fputs(USAGE, stderr);
    return false;
}

static bool
apply(struct options *out, int id, const char *name, const char *value)
{
    switch (id) {
    case OPT_PIPELINE:
        out->pipeline = value;
        return true;
    case OPT_REMOTE:
        return parse_remote(out, value);
    case OPT_DURATION:
        return parse_real(&out->duration_secs, name, value);
    case OPT_ALPHA:
        return parse_real(&out->zipf_alpha, name, value);
    case OPT_RATE:
        return parse_real(&out->rate, name, value);
    case OPT_TOTAL:
        return parse_count(&out->total_events, name, value, 1, UINT64_MAX / 2);
    case OPT_CARDINALITY:
        return parse_count(&out->cardinality, name, value, 1, CARDINALITY_MAX);
    case OPT_SWEEP_FROM:
        return parse_count(&out->sweep_from, name, value, 0, CARDINALITY_MAX);
    case OPT_SEED:
        return parse_count(&out->seed, name, value, 0, UINT64_MAX);
    case OPT_POOL:
        return parse_count(&out->pool_frames, name, value, 1, UINT32_MAX);
    case OPT_PARALLEL:
        return parse_count32(&out->parallel, name, value, 1, CONNECTION_COUNT_MAX);
    case OPT_DEPTH:
        return parse_count32(&out->pipeline_depth, name, value, 1, DEPTH_MAX);
    case OPT_MIXED:
        return parse_count32(&out->mixed_event_count, name, value, 1, 1000);
    case OPT_READ_WORKERS:
        return parse_count32(&out->read_workers, name, value, 0, CONNECTION_COUNT_MAX);
    case OPT_SAMPLE_INTERVAL:
        return parse_count32(&out->get_sample_interval_ms, name, value, 0, 3600000);
    case OPT_BATCH_KEYS:
        return parse_count32(&out->get_batch_keys, name, value, 1, 10000);
    case OPT_SEND_BATCH:
        return parse_count32(&out->send_batch, name, value, 1, DEPTH_MAX);
    default:
        break;
    }
    return value != NULL ? apply_choice(out, id, name, value) : apply_switch(out, id);
}

static bool
check(const struct options *options)
{
    if (options->http_port == 0) {
        fputs("--remote-addr is needed: this tool starts no server\n", stderr);
        return false;
    }
    if (options->transport == TRANSPORT_TCP && options->tcp_port == 0) {
        fputs("--transport tcp needs the second address: --remote-addr HOST:HTTP,HOST:TCP\n",
              stderr);
        return false;
    }
    if (options->tcp_port == 0 && (options->is_registering || options->is_verifying)) {
        fputs("--register and --verify go over TCP: name its address too\n", stderr);
        return false;
    }
    return true;
}

bool
options_parse_local(struct options *out, int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int index = 0;

    *out = (struct options){
        .pipeline = "small",
        .duration_secs = 60.0,
        .parallel = processors > 0 && processors < 8 ? (uint32_t)processors : 8,
        .pipeline_depth = 1,
        .is_continuous = true,
        .shape = KEYS_ZIPFIAN,
        .cardinality = 1000000,
        .zipf_alpha = 1.0,
        .mixed_event_count = 3,
        .get_sample_interval_ms = 1000,
        .get_batch_keys = 100,
        .seed = 0xCAFEBABE,
        .pool_frames = 4194304,
        .send_batch = 1,
    };
    for (;;) {
        int id = getopt_long(argc, argv, "", LONG_OPTIONS, &index);

        if (id == -1) {
            break;
        }
        if (id == '?' || !apply(out, id, LONG_OPTIONS[index].name, optarg)) {
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "unexpected argument %s\n", argv[optind]);
        return false;
    }
    if (out->transport == TRANSPORT_HTTP) {
        out->format = BODY_JSON;
    }
    return true;
}

bool
options_parse(struct options *out, int argc, char **argv)
{
    return options_parse_local(out, argc, argv) && check(out);
}
