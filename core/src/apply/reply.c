/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: one error shape for everything (wire.md V66), rows in the request's encoding. */
#include "apply/apply.h"
#include "wire/frame.h"
#include "wire/json.h"
#include "wire/msgpack.h"

void
reply_json(struct engine *engine, struct response *out, uint16_t opcode)
{
    *out = (struct response){
        .kind = RESPONSE_BODY,
        .status = BV_OK,
        .opcode = opcode,
        .content_type = ENCODING_JSON,
        .body = buf_slice(&engine->reply),
        .wait_lsn = out->wait_lsn,
        .is_sync = out->is_sync,
    };
    if (engine->reply.failed) {
        struct bv_error err;

        bv_error_set(&err, BV_NO_MEMORY, "the reply does not fit memory");
        reply_error(engine, out, &err, 0);
    }
}

void
reply_value(struct engine *engine, struct response *out, enum encoding encoding,
            const struct value *value)
{
    buf_clear(&engine->reply);
    if (encoding == ENCODING_MSGPACK) {
        msgpack_write(&engine->reply, value);
    } else {
        json_write(&engine->reply, value);
    }
    reply_json(engine, out, FRAME_GET_RESPONSE);
    if (out->status == BV_OK) {
        out->content_type = (uint8_t)encoding;
    }
}

static void
member(struct buf *buf, const char *name, const char *text)
{
    buf_printf(buf, ",\"%s\":", name);
    json_write_string(buf, slice_text(text));
}

void
reply_error_object(struct buf *buf, const struct bv_error *err, unsigned flags)
{
    const enum bv_status status = (enum bv_status)err->status;
    const char *text = err->message[0] != '\0' ? err->message : bv_status_text(status);

    buf_text(buf, "{\"code\":");
    json_write_string(buf, slice_text(bv_status_code(status)));
    if (err->hint[0] != '\0') {
        member(buf, "hint", err->hint);
    }
    if (flags & REPLY_MALFORMED) {
        member(buf, "kind", "malformed_request");
    }
    member(buf, "message", text);
    if (err->path[0] != '\0') {
        member(buf, "path", err->path);
    }
    if (flags & REPLY_REASON) {
        member(buf, "reason", text);
    }
    buf_byte(buf, '}');
}

void
reply_error(struct engine *engine, struct response *out, const struct bv_error *err, unsigned flags)
{
    buf_clear(&engine->reply);
    buf_text(&engine->reply, "{\"error\":");
    reply_error_object(&engine->reply, err, flags);
    buf_text(&engine->reply, ",\"registry_version\":");
    json_write_u64(&engine->reply, engine->live.registry->version);
    buf_byte(&engine->reply, '}');
    *out = (struct response){
        .kind = RESPONSE_BODY,
        .status = (enum bv_status)err->status,
        .opcode = FRAME_ERROR,
        .content_type = ENCODING_JSON,
        .body = buf_slice(&engine->reply),
    };
    if (engine->reply.failed) {
        /* Nothing can be said at length: the shortest true answer needs no memory. */
        static const char spent[] =
            "{\"error\":{\"code\":\"memory_limit\",\"message\":\"out of memory\"}}";

        out->status = BV_NO_MEMORY;
        out->body = slice_of(spent, sizeof spent - 1);
    }
}
