/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of acks.
 *
 * Enters:  a run: first LSN, count, registry version, transport.
 * Leaves:  the replies, back to back.
 * Owner:   stateless but for the caller's template.
 *
 * Invariants
 *   (1) prefix + two digits + tail is one whole ack; the length fields in the prefix hold for all
 *       hundred LSNs, because LSNs of three digits and more do not change length within a hundred.
 *
 * Two fixed-size copies and two digits take 2.4 ns per ack; counting up ASCII digits in memory
 * takes 8.8, because a one-byte store followed by a wide load stalls (engine.md 9). */
#include "net/ack.h"

#include <string.h>

#include "util/assert.h"
#include "wire/frame.h"
#include "wire/number.h"

#define TCP_PREFIX_COPY  64
#define HTTP_PREFIX_COPY 192
#define TAIL_COPY        96

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                  "31323334353637383940414243444546474849505152535455565758596061"
                                  "62636465666768697071727374757677787980818283848586878889909192"
                                  "93949596979899";

static const char http_head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "Content-Length: ";
static const char http_head_end[] = "\r\nX-Runtime: hand-rolled\r\nConnection: keep-alive\r\n\r\n";

static uint8_t *
put_text(uint8_t *out, const char *text)
{
    size_t size = strlen(text);

    memcpy(out, text, size);
    return out + size;
}

size_t
ack_format_body(uint8_t *out, uint64_t lsn, bool is_replay, uint64_t registry_version)
{
    uint8_t *at = put_text(out, "{\"ack_lsn\":");

    at += number_u64((char *)at, lsn);
    at = put_text(at, is_replay ? ",\"idempotent_replay\":true,\"registry_version\":"
                                : ",\"idempotent_replay\":false,\"registry_version\":");
    at += number_u64((char *)at, registry_version);
    *at++ = '}';
    return (size_t)(at - out);
}

/* Frame header or HTTP head of an ack whose body has this size. */
static uint8_t *
put_envelope(uint8_t *out, enum transport transport, size_t body_size)
{
    uint8_t *at = out;

    if (transport == TRANSPORT_HTTP) {
        at = put_text(at, http_head);
        at += number_u64((char *)at, body_size);
        return put_text(at, http_head_end);
    }
    store_le32(at, __builtin_bswap32((uint32_t)body_size + 3));
    store_le16(at + 4, __builtin_bswap16(FRAME_PUSH));
    at[6] = 0x01;
    return at + FRAME_HEADER_SIZE;
}

static size_t
put_one(uint8_t *out, enum transport transport, uint64_t lsn, uint64_t registry_version)
{
    uint8_t body[128];
    size_t body_size = ack_format_body(body, lsn, false, registry_version);
    uint8_t *at = put_envelope(out, transport, body_size);

    memcpy(at, body, body_size);
    return (size_t)(at - out) + body_size;
}

static void
make_template(struct ack_template *template, enum transport transport, uint64_t hundred,
              uint64_t registry_version)
{
    uint8_t body[128];
    size_t body_size = ack_format_body(body, hundred * 100, false, registry_version);
    uint8_t *at = put_envelope(template->prefix, transport, body_size);
    const uint8_t *digits = body + strlen("{\"ack_lsn\":");
    size_t stem_size = strlen("{\"ack_lsn\":");

    while (*digits >= '0' && *digits <= '9') {
        digits++;
        stem_size++;
    }
    stem_size -= 2;
    memcpy(at, body, stem_size);
    template->prefix_size = (uint32_t)((size_t)(at - template->prefix) + stem_size);
    template->tail_size = (uint32_t)(body_size - stem_size - 2);
    memcpy(template->tail, body + stem_size + 2, template->tail_size);
    template->hundred = hundred;
    template->registry_version = registry_version;
    template->transport = transport;
    BV_ASSERT(template->tail_size <= TAIL_COPY);
    BV_ASSERT(template->prefix_size <=
              (transport == TRANSPORT_HTTP ? HTTP_PREFIX_COPY : TCP_PREFIX_COPY));
}

static uint8_t *
put_hundred(uint8_t *out, const struct ack_template *template, uint32_t first, uint32_t end)
{
    size_t prefix_size = template->prefix_size;
    size_t tail_size = template->tail_size;

    if (template->transport == TRANSPORT_HTTP) {
        for (uint32_t i = first; i < end; i++) {
            memcpy(out, template->prefix, HTTP_PREFIX_COPY);
            memcpy(out + prefix_size, digit_pairs + (size_t)2 * i, 2);
            memcpy(out + prefix_size + 2, template->tail, TAIL_COPY);
            out += prefix_size + 2 + tail_size;
        }
        return out;
    }
    for (uint32_t i = first; i < end; i++) {
        memcpy(out, template->prefix, TCP_PREFIX_COPY);
        memcpy(out + prefix_size, digit_pairs + (size_t)2 * i, 2);
        memcpy(out + prefix_size + 2, template->tail, TAIL_COPY);
        out += prefix_size + 2 + tail_size;
    }
    return out;
}

size_t
ack_format(uint8_t *out, struct ack_template *template, enum transport transport,
           uint64_t first_lsn, uint32_t count, uint64_t registry_version)
{
    uint8_t *at = out;
    uint64_t lsn = first_lsn;
    uint64_t end = first_lsn + count;

    while (lsn < end && lsn < 100) { /* their length changes at 10: one by one */
        at += put_one(at, transport, lsn, registry_version);
        lsn++;
    }
    while (lsn < end) {
        uint64_t hundred = lsn / 100;
        uint64_t stop = (hundred + 1) * 100 < end ? (hundred + 1) * 100 : end;

        if (template->prefix_size == 0 || template->hundred != hundred ||
            template->registry_version != registry_version || template->transport != transport) {
            make_template(template, transport, hundred, registry_version);
        }
        at = put_hundred(at, template, (uint32_t)(lsn % 100), (uint32_t)(stop - hundred * 100));
        lsn = stop;
    }
    return (size_t)(at - out);
}
