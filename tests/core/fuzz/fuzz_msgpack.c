/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as MessagePack: what the parser accepts must come back the same after writing and
 * parsing it, and writing that again must give the same bytes. */
#include <stdlib.h>

#include "util/assert.h"
#include "wire/msgpack.h"

#define ARENA_LIMIT (64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buf first;
    struct buf second;
    struct value v;
    struct value again;
    struct bv_error err;
    size_t consumed = 0;

    arena_init(&arena, 4096, ARENA_LIMIT);
    buf_init(&first);
    buf_init(&second);
    if (msgpack_parse_prefix(&v, &consumed, slice_of(data, size), MSGPACK_DEPTH_MAX, &arena,
                             &err) == BV_OK) {
        BV_ASSERT(consumed >= 1 && consumed <= size);
        msgpack_write(&first, &v);
        BV_ASSERT(msgpack_parse(&again, buf_slice(&first), MSGPACK_DEPTH_MAX, &arena, &err) ==
                  BV_OK);
        msgpack_write(&second, &again);
        BV_ASSERT(slice_equal(buf_slice(&first), buf_slice(&second)));
    } else {
        BV_ASSERT(err.status == BV_MALFORMED_REQUEST || err.status == BV_NO_MEMORY);
        BV_ASSERT(err.message[0] != '\0');
    }
    buf_deinit(&first);
    buf_deinit(&second);
    arena_deinit(&arena);
    return 0;
}
