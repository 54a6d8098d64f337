/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol.h"
#include "writer.h"

#define TIME_START      1000000u
#define ENTITY_TEXTS    1000u
#define HTTP_HEAD_SIZE  512u
#define EVENT_NAME_SIZE 160u

/* What all frames of a pool have in common. */
struct encoder {
    const struct options *options;
    const struct pipeline *pipeline;
    struct key_source keys;
    uint64_t sequence;
    size_t frame_size_max;
};

static size_t
frame_size_bound(const struct pipeline *pipeline)
{
    size_t size = HTTP_HEAD_SIZE + EVENT_NAME_SIZE + pipeline->key_field.size + KEY_SIZE;

    for (unsigned i = 0; i < pipeline->field_count; i++) {
        size += pipeline->fields[i].name.size + 32;
    }
    return size;
}

/* The event's name; with the mixed shape one of several, all but the first unknown to the server.
 */
static struct json_piece
event_name(struct encoder *encoder, char space[EVENT_NAME_SIZE])
{
    uint64_t index;

    if (encoder->options->shape != KEYS_MIXED) {
        return encoder->pipeline->event;
    }
    index = keys_random(&encoder->keys) % encoder->options->mixed_event_count;
    if (index == 0) {
        return encoder->pipeline->event;
    }
    snprintf(space, EVENT_NAME_SIZE, "e%u", (unsigned)index);
    return (struct json_piece){space, strlen(space)};
}

static void
quote(struct writer *writer, struct json_piece name)
{
    writer_byte(writer, '"');
    writer_piece(writer, name);
    writer_text(writer, "\":");
}

/* A number of thousandths, so that both encodings carry the same value. */
static void
json_field(struct writer *writer, const struct pipeline_field *field, uint64_t random)
{
    writer_byte(writer, ',');
    quote(writer, field->name);
    if (field->kind == FIELD_STR) {
        writer_text(writer, "\"s");
        writer_decimal(writer, random % ENTITY_TEXTS);
        writer_byte(writer, '"');
        return;
    }
    random %= 1000000;
    if (field->kind == FIELD_I64) {
        writer_decimal(writer, random);
        return;
    }
    writer_decimal(writer, random / 1000);
    writer_byte(writer, '.');
    for (unsigned unit = 100; unit > 0; unit /= 10) {
        writer_byte(writer, '0' + (unsigned)(random / unit % 10));
    }
}

static void
json_body(struct writer *writer, struct encoder *encoder, const char key[KEY_SIZE])
{
    const struct pipeline *pipeline = encoder->pipeline;

    writer_text(writer, "{\"event_time\":");
    writer_decimal(writer, TIME_START + encoder->sequence);
    writer_byte(writer, ',');
    quote(writer, pipeline->key_field);
    writer_byte(writer, '"');
    writer_bytes(writer, key, KEY_SIZE);
    writer_byte(writer, '"');
    for (unsigned i = 0; i < pipeline->field_count; i++) {
        json_field(writer, &pipeline->fields[i], keys_random(&encoder->keys));
    }
    writer_byte(writer, '}');
}

static void
msgpack_text(struct writer *writer, struct json_piece text)
{
    if (text.size < 32) {
        writer_byte(writer, 0xa0 | (unsigned)text.size);
    } else {
        writer_byte(writer, 0xd9);
        writer_byte(writer, (unsigned)text.size);
    }
    writer_piece(writer, text);
}

static void
msgpack_field(struct writer *writer, const struct pipeline_field *field, uint64_t random)
{
    char space[24];
    double real;
    uint64_t bits;

    msgpack_text(writer, field->name);
    if (field->kind == FIELD_STR) {
        snprintf(space, sizeof space, "s%u", (unsigned)(random % ENTITY_TEXTS));
        msgpack_text(writer, (struct json_piece){space, strlen(space)});
        return;
    }
    random %= 1000000;
    if (field->kind == FIELD_F64) {
        real = (double)random / 1000.0;
        memcpy(&bits, &real, sizeof bits);
        writer_byte(writer, 0xcb);
        writer_number(writer, bits, 8);
    } else if (random < 128) {
        writer_byte(writer, (unsigned)random);
    } else if (random < 65536) {
        writer_byte(writer, 0xcd);
        writer_number(writer, random, 2);
    } else {
        writer_byte(writer, 0xce);
        writer_number(writer, random, 4);
    }
}

static void
msgpack_body(struct writer *writer, struct encoder *encoder, const char key[KEY_SIZE])
{
    const struct pipeline *pipeline = encoder->pipeline;
    unsigned count = pipeline->field_count + 2;

    if (count < 16) {
        writer_byte(writer, 0x80 | count);
    } else {
        writer_byte(writer, 0xde);
        writer_number(writer, count, 2);
    }
    msgpack_text(writer, (struct json_piece){"event_time", 10});
    writer_byte(writer, 0xce);
    writer_number(writer, TIME_START + encoder->sequence, 4);
    msgpack_text(writer, pipeline->key_field);
    msgpack_text(writer, (struct json_piece){key, KEY_SIZE});
    for (unsigned i = 0; i < pipeline->field_count; i++) {
        msgpack_field(writer, &pipeline->fields[i], keys_random(&encoder->keys));
    }
}

static void
push_framed(struct writer *writer, struct encoder *encoder, const char key[KEY_SIZE])
{
    char space[EVENT_NAME_SIZE];
    struct json_piece event = event_name(encoder, space);
    bool is_json = encoder->options->format == BODY_JSON;
    char *frame = writer_frame_begin(writer, PROTOCOL_PUSH, is_json ? 1 : 2);

    if (is_json) {
        writer_text(writer, "{\"event\":\"");
        writer_piece(writer, event);
        writer_text(writer, "\",\"body\":");
        json_body(writer, encoder, key);
        writer_byte(writer, '}');
    } else {
        writer_byte(writer, 0x82);
        msgpack_text(writer, (struct json_piece){"event", 5});
        msgpack_text(writer, event);
        msgpack_text(writer, (struct json_piece){"body", 4});
        msgpack_body(writer, encoder, key);
    }
    writer_frame_end(writer, frame);
}

/* `rest` continues the path. */
static void
http_request(struct writer *writer, const char *path, struct json_piece rest, const char *body,
             size_t body_size)
{
    writer_text(writer, "POST ");
    writer_text(writer, path);
    writer_piece(writer, rest);
    writer_text(writer, " HTTP/1.1\r\nHost: beava\r\nContent-Type: application/json\r\n"
                        "Content-Length: ");
    writer_decimal(writer, body_size);
    writer_text(writer, "\r\n\r\n");
    writer_bytes(writer, body, body_size);
}

static void
push_http(struct writer *writer, struct encoder *encoder, const char key[KEY_SIZE], char *scratch)
{
    char space[EVENT_NAME_SIZE];
    struct json_piece event = event_name(encoder, space);
    struct writer body = {scratch};

    json_body(&body, encoder, key);
    http_request(writer, "/push/", event, scratch, (size_t)(body.at - scratch));
}

static void
push_resp(struct writer *writer, const char key[KEY_SIZE])
{
    writer_text(writer, "*4\r\n$7\r\nHINCRBY\r\n$9\r\n");
    writer_bytes(writer, key, KEY_SIZE);
    writer_text(writer, "\r\n$3\r\ncnt\r\n$1\r\n1\r\n");
}

static bool
pool_reserve(struct pool *out, uint64_t count, size_t bytes)
{
    *out = (struct pool){
        .bytes = malloc(bytes),
        .offsets = malloc((count + 1) * sizeof(uint32_t)),
    };
    if (out->bytes == NULL || out->offsets == NULL) {
        fputs("no memory for the pool of frames: lower --pool-frames\n", stderr);
        pool_release(out);
        return false;
    }
    out->offsets[0] = 0;
    return true;
}

static void
pool_close_frame(struct pool *pool, const struct writer *writer)
{
    pool->offsets[++pool->count] = (uint32_t)(writer->at - pool->bytes);
}

bool
pool_encode_pushes(struct pool *out, const struct options *options, const struct pipeline *pipeline,
                   uint64_t count)
{
    struct encoder encoder = {
        .options = options,
        .pipeline = pipeline,
        .frame_size_max = frame_size_bound(pipeline),
    };
    uint64_t bytes = count * encoder.frame_size_max;
    char *scratch = malloc(encoder.frame_size_max);
    struct writer writer;

    if (bytes > POOL_BYTES_MAX) {
        bytes = POOL_BYTES_MAX;
    }
    if (scratch == NULL || !pool_reserve(out, count, bytes)) {
        free(scratch);
        return false;
    }
    keys_init(&encoder.keys, options->shape, options->cardinality, options->zipf_alpha,
              options->seed);
    encoder.keys.sequence = options->sweep_from;
    writer.at = out->bytes;
    while (out->count < count &&
           (size_t)(writer.at - out->bytes) + encoder.frame_size_max <= bytes) {
        char key[KEY_SIZE];

        keys_spell(key, keys_next(&encoder.keys), options->key_shape);
        if (options->transport == TRANSPORT_TCP) {
            push_framed(&writer, &encoder, key);
        } else if (options->transport == TRANSPORT_HTTP) {
            push_http(&writer, &encoder, key, scratch);
        } else {
            push_resp(&writer, key);
        }
        pool_close_frame(out, &writer);
        encoder.sequence++;
    }
    free(scratch);
    return true;
}

/* {"requests":[{"table":T,"key":K,"features":[..]},..]} */
static void
read_body(struct writer *writer, struct key_source *keys, const struct options *options,
          const struct pipeline *pipeline)
{
    writer_text(writer, "{\"requests\":[");
    for (uint32_t i = 0; i < options->get_batch_keys; i++) {
        char key[KEY_SIZE];

        keys_spell(key, keys_next(keys), options->key_shape);
        writer_text(writer, i == 0 ? "{\"table\":\"" : ",{\"table\":\"");
        writer_piece(writer, pipeline->table);
        writer_text(writer, "\",\"key\":\"");
        writer_bytes(writer, key, KEY_SIZE);
        writer_text(writer, "\",\"features\":[");
        for (unsigned f = 0; f < pipeline->feature_count; f++) {
            writer_text(writer, f == 0 ? "\"" : ",\"");
            writer_piece(writer, pipeline->features[f]);
            writer_byte(writer, '"');
        }
        writer_text(writer, "]}");
    }
    writer_text(writer, "]}");
}

bool
pool_encode_reads(struct pool *out, const struct options *options, const struct pipeline *pipeline,
                  uint64_t count)
{
    struct key_source keys;
    size_t row_size = 64 + pipeline->table.size + KEY_SIZE;
    size_t body_size;
    char *scratch;
    struct writer writer;

    for (unsigned f = 0; f < pipeline->feature_count; f++) {
        row_size += pipeline->features[f].size + 3;
    }
    body_size = row_size * options->get_batch_keys + HTTP_HEAD_SIZE;
    if (body_size * count > POOL_BYTES_MAX) {
        count = POOL_BYTES_MAX / body_size;
    }
    scratch = malloc(body_size);
    if (scratch == NULL || !pool_reserve(out, count, count * (body_size + HTTP_HEAD_SIZE))) {
        free(scratch);
        return false;
    }
    /* The pushes' distribution and seed: what is read has been written. */
    keys_init(&keys, options->shape, options->cardinality, options->zipf_alpha, options->seed);
    writer.at = out->bytes;
    while (out->count < count) {
        struct writer body = {scratch};

        read_body(&body, &keys, options, pipeline);
        if (options->transport == TRANSPORT_HTTP) {
            http_request(&writer, "/batch_get", (struct json_piece){scratch, 0}, scratch,
                         (size_t)(body.at - scratch));
        } else {
            char *frame = writer_frame_begin(&writer, PROTOCOL_BATCH_GET, 1);

            writer_bytes(&writer, scratch, (size_t)(body.at - scratch));
            writer_frame_end(&writer, frame);
        }
        pool_close_frame(out, &writer);
    }
    free(scratch);
    return true;
}

void
pool_release(struct pool *pool)
{
    free(pool->bytes);
    free(pool->offsets);
    *pool = (struct pool){.bytes = NULL};
}
