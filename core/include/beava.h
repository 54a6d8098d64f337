/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_H
#define BEAVA_H

/* Beava's C interface: an event goes in, the next read knows it.
 *
 * Two seats over the same engine: `bv_engine` lives in the caller's process, `bv_server` listens on
 * sockets. Requests and replies are those of the wire protocol, byte for byte.
 *
 * The interface grows by addition only. Handles are opaque; option structs begin with their own
 * size and are filled by their initialiser. Strings are UTF-8 and need not end in NUL where a size
 * stands beside them. Every call that can fail takes a `bv_error`, which may be NULL. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BV_API __attribute__((visibility("default")))
#else
#define BV_API
#endif

/* Raised by one when something is added. A binding refuses a library older than it was made for. */
#define BV_API_VERSION 3u

BV_API uint32_t bv_api_version(void);
/* The product's version, "0.1.0". */
BV_API const char *bv_version(void);

typedef enum bv_status {
    BV_OK = 0,
    BV_INVALID_JSON_BODY = 10,
    BV_MISSING_EVENT_NAME = 11,
    BV_INVALID_EVENT = 12,
    BV_CONTROL_CHARACTER = 13,
    BV_EVENT_NOT_FOUND = 14,
    BV_UNKNOWN_FIELD_EVENT_TIME = 15,
    BV_UNKNOWN_FIELD = 16,
    BV_UNKNOWN_TABLE = 30,
    BV_KEY_PARSE_FAILURE = 31,
    BV_KEY_NOT_FOUND = 32,
    BV_FEATURE_NOT_FOUND = 33,
    BV_UNSUPPORTED_REQUEST_SHAPE = 34,
    BV_INTERNAL_ERROR = 35,
    BV_MALFORMED_REQUEST = 36,
    BV_INVALID_REGISTRATION = 50,
    BV_NO_JOINS = 51,
    BV_NO_UNIONS = 52,
    BV_TOLERATE_DELAY = 53,
    BV_UNSUPPORTED_NODE_KIND = 54,
    BV_UNBOUNDED_OP = 55,
    BV_INVALID_EXPRESSION = 56,
    BV_AGG_ON_TABLE = 57,
    BV_AGG_UNKNOWN_FIELD = 58,
    BV_AGG_UNKNOWN_OP = 59,
    BV_AGG_INVALID_WHERE = 60,
    BV_AGG_INVALID_WINDOW = 61,
    BV_AGG_KEY_COLLIDES = 62,
    BV_AGG_NAME_COLLISION = 63,
    BV_WINDOW_NOT_SUPPORTED = 64,
    BV_INVALID_PERCENTILE_Q = 65,
    BV_INVALID_TOP_K_K = 66,
    BV_INVALID_BLOOM_FPR = 67,
    BV_FORCE_REQUIRED = 68,
    BV_NOT_FOUND = 80,
    BV_METHOD_NOT_ALLOWED = 81,
    BV_UNSUPPORTED_MEDIA_TYPE = 82,
    BV_FRAME_TOO_LARGE = 83,
    BV_FRAME_ERROR = 84,
    BV_UNKNOWN_OP = 85,
    BV_OP_NOT_IMPLEMENTED = 86,
    BV_UNSUPPORTED_CONTENT_TYPE = 87,
    BV_RESPONSE_TOO_LARGE = 88,
    BV_HTTP_PROTOCOL_ERROR = 89,
    BV_HTTP_HEADERS_TOO_LARGE = 90,
    BV_PAYLOAD_TOO_LARGE = 91,
    BV_RESET_DISABLED = 100,
    BV_WAL_UNAVAILABLE = 101,
    BV_WAL_SYNC_TIMEOUT = 102,
    BV_MEMORY_LIMIT = 103,
    BV_SNAPSHOT_UNAVAILABLE = 104,
    BV_NO_MEMORY = 120,
    BV_IO = 121,
    BV_CORRUPT = 122,
    BV_CONFIG = 123,
    BV_LOCKED = 124,
    BV_UNSUPPORTED_FORMAT = 125,
    BV_MISUSE = 126,
} bv_status;

/* The wire code of a status ("invalid_event"); "" for BV_OK. Never NULL. */
BV_API const char *bv_status_name(bv_status status);

/* Owned by the caller; filled only by a call that fails. */
typedef struct bv_error {
    int32_t status;    /* enum bv_status */
    int32_t os_errno;  /* errno of the failed call, 0 if none */
    char path[256];    /* what is wrong: "nodes[0].ops[1].expr", "data.amount", a file */
    char message[768]; /* one line */
    char hint[256];    /* the fix, where one is likely */
} bv_error;

/* Bytes given to the caller: release them with bv_bytes_free. */
typedef struct bv_bytes {
    uint8_t *data;
    size_t size;
} bv_bytes;

BV_API void bv_bytes_free(bv_bytes *bytes);

/* Every operator as JSON: {"operators": [..ascending by name..], "aliases": {"ema": "ewma"}}. A row
 * says its family, summary, null policy, window rule, result, empty value, parameters (type,
 * bounds, default, help, refusal code), input columns and accumulators. Needs no engine. */
BV_API bv_status bv_catalog_json(bv_bytes *out, bv_error *err);

/* Encodings, with the numbers of the wire's content type byte. */
#define BV_JSON    1u
#define BV_MSGPACK 2u

/* When a push is acknowledged: once synced, once written, or at once with no log at all. */
#define BV_POLICY_ALWAYS 0u
#define BV_POLICY_OS     1u
#define BV_POLICY_MEMORY 2u

/* ---- the engine, in process ---------------------------------------------------------------- */

typedef struct bv_engine bv_engine;

typedef struct bv_engine_options {
    uint32_t struct_size;
    uint32_t policy;      /* BV_POLICY_*; with BV_POLICY_MEMORY data_dir is not used */
    const char *data_dir; /* holds wal/ and snapshots/, as by --data-dir; created when missing */
    /* Milliseconds since the epoch, asked once per call; NULL: the system clock. A clock that goes
     * back stands still for the engine. */
    uint64_t (*clock)(void *clock_arg);
    void *clock_arg;
    uint32_t is_test_mode; /* allows reset */
    uint32_t reserved;
} bv_engine_options;

#define BV_ENGINE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(bv_engine_options), BV_POLICY_ALWAYS, NULL, NULL, NULL, 0, 0                        \
    }

/* One caller at a time. Opening recovers what the directory holds; a second process is refused
 * with BV_LOCKED, damage with BV_CORRUPT. */
BV_API bv_status bv_engine_open(bv_engine **out, const bv_engine_options *options, bv_error *err);
/* Accepts NULL. Everything acknowledged is on disk (policy always) before it returns. */
BV_API void bv_engine_close(bv_engine *engine);

/* Any operation of the wire: opcode and content type of the frame, payload without its header.
 * The reply is the frame's payload; reply_opcode 0xFFFF marks a refusal, which is a successful call
 * with BV_OK. Returns when the reply may leave: a push or a register is durable by then. */
BV_API bv_status bv_engine_request(bv_engine *engine, uint16_t opcode, uint8_t content_type,
                                   const void *payload, size_t payload_size, uint16_t *reply_opcode,
                                   uint8_t *reply_content_type, bv_bytes *reply, bv_error *err);

/* A registration (JSON). BV_OK when installed, unchanged or a dry run; otherwise the refusal's
 * status with err filled. `reply` (may be NULL) gets the reply's body in either case. */
BV_API bv_status bv_engine_register(bv_engine *engine, const char *json, size_t json_size,
                                    bv_bytes *reply, bv_error *err);

/* One event: its body, encoded as JSON or MessagePack. ack_lsn may be NULL. */
BV_API bv_status bv_engine_push(bv_engine *engine, const char *event, size_t event_size,
                                uint8_t encoding, const void *body, size_t body_size,
                                uint64_t *ack_lsn, bv_error *err);

/* A batch of push frames, back to back, as they would arrive on a socket (wire.md 1.1). Frames are
 * taken in order; a refused one stops nothing. `accepted` and `refused` are counts; err holds the
 * first refusal. BV_INVALID_EVENT etc. are not returned, only failures of the whole call are. */
BV_API bv_status bv_engine_push_frames(bv_engine *engine, const void *frames, size_t frames_size,
                                       uint64_t *accepted, uint64_t *refused, uint64_t *last_lsn,
                                       bv_error *err);

/* One row. `request` is {"table","key","features"?}, encoded as `encoding`; so is the row. */
BV_API bv_status bv_engine_get(bv_engine *engine, uint8_t encoding, const void *request,
                               size_t request_size, bv_bytes *reply, bv_error *err);
/* Many rows: {"requests":[..]}; the reply is JSON. */
BV_API bv_status bv_engine_batch_get(bv_engine *engine, uint8_t encoding, const void *request,
                                     size_t request_size, bv_bytes *reply, bv_error *err);

/* Two engines that applied the same log have the same digest: over the registry, every entity of
 * every table and every accumulator, in no order. */
typedef struct bv_digest {
    uint64_t words[2];
    uint64_t entities;
    uint64_t last_lsn;
} bv_digest;

BV_API bv_status bv_engine_digest(bv_engine *engine, bv_digest *out, bv_error *err);

/* What the engine holds, for benchmarks and tests. */
typedef struct bv_engine_stats {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t entities;
    uint64_t state_bytes; /* blocks, out-of-line memory and index, as reserved from the kernel */
    uint64_t last_lsn;
    uint64_t durable_lsn;
    uint64_t recovered_records;
    uint64_t registry_version;
    uint64_t accumulators;                /* physical accumulators of all tables */
    uint64_t recovered_from_snapshot_lsn; /* opening began with it; 0: with the log alone */
} bv_engine_stats;

BV_API bv_status bv_engine_stats_get(bv_engine *engine, bv_engine_stats *out, bv_error *err);

typedef struct bv_snapshot_info {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t lsn;         /* the next opening replays the log from here */
    uint64_t bytes;       /* of the file */
    uint64_t duration_ms; /* 0: nothing was logged since the last one, which is named */
} bv_snapshot_info;

/* Takes a snapshot and returns when the file is in place; out (may be NULL) with struct_size set.
 * Engines with a log also take them by themselves, while they are used: after 30 s or 512 MiB of
 * log. BV_SNAPSHOT_UNAVAILABLE: it failed, or there is no log. */
BV_API bv_status bv_engine_snapshot(bv_engine *engine, bv_snapshot_info *out, bv_error *err);

/* ---- the server ---------------------------------------------------------------------------- */

typedef struct bv_server bv_server;

typedef struct bv_server_options {
    uint32_t struct_size;
    uint32_t setting_count;
    /* "name=value" pairs with the names of the option table: "listen_addr=127.0.0.1:0". */
    const char *const *settings;
    /* Nonzero: answer every push with an ack and do nothing else (control N of the benchmarks). */
    uint32_t is_null;
    uint32_t reserved;
} bv_server_options;

#define BV_SERVER_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(bv_server_options), 0, NULL, 0, 0                                                   \
    }

/* Recovers, binds and serves on threads of its own; returns when requests are answered. */
BV_API bv_status bv_server_start(bv_server **out, const bv_server_options *options, bv_error *err);
/* 0 where a listener is off. */
BV_API uint16_t bv_server_http_port(const bv_server *server);
BV_API uint16_t bv_server_tcp_port(const bv_server *server);
/* Answers what was received, syncs, stops. Accepts NULL. Returns the exit code of a clean stop. */
BV_API int bv_server_stop(bv_server *server);

/* The whole command line of the `beava` program; returns its exit code. */
BV_API int bv_command(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
