/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_OPTIONS_H
#define BEAVA_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "keys.h"

/* What one run is asked to do. Names and defaults are those of the published tool, except that keys
 * are zipfian by default and that a running server is always somebody else's process. */
enum transport {
    TRANSPORT_TCP,  /* Beava's frames */
    TRANSPORT_HTTP, /* POST /push/EVENT, JSON */
    TRANSPORT_RESP, /* HINCRBY to a Redis, the control */
};

enum body_format {
    BODY_JSON,
    BODY_MSGPACK,
};

struct options {
    const char *pipeline;
    enum transport transport;
    enum body_format format;
    double duration_secs;
    uint64_t total_events; /* 0: as many as fit into the duration */
    uint32_t parallel;
    uint32_t pipeline_depth;
    bool is_continuous; /* false: send depth, read depth */
    enum key_distribution shape;
    enum key_spelling key_shape;
    uint64_t cardinality;
    uint64_t sweep_from; /* shape sweep: so many keys were swept by runs before this one */
    double zipf_alpha;
    uint32_t mixed_event_count;
    uint32_t read_workers;
    uint32_t get_sample_interval_ms; /* 0: no samples */
    uint32_t get_batch_keys;
    uint64_t seed;
    bool has_isolation_report;
    bool has_no_ledger;
    bool is_registering;
    bool is_verifying;    /* read every key afterwards and add up the count feature */
    double rate;          /* events per second, open loop; 0: closed loop */
    uint64_t pool_frames; /* at most so many different frames */
    uint32_t send_batch;  /* frames to collect before a write */
    bool is_busy_polling;
    char host[64];
    uint16_t http_port; /* of RESP too */
    uint16_t tcp_port;
};

/* Fills `out` or says on stderr what is wrong and returns false. */
bool options_parse(struct options *out, int argc, char **argv);
/* The same for a run that meets no server: no address is asked for. */
bool options_parse_local(struct options *out, int argc, char **argv);
const char *options_shape_name(enum key_distribution shape);
const char *options_transport_name(enum transport transport);

#endif
