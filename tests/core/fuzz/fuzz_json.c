/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: what the parser accepts must come back the same after writing and parsing it,
 * and writing that again must give the same text. */
#include <stdlib.h>

#include "util/assert.h"
#include "util/utf8.h"
#include "wire/json.h"

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

    arena_init(&arena, 4096, ARENA_LIMIT);
    buf_init(&first);
    buf_init(&second);
    if (json_parse(&v, slice_of(data, size), JSON_DEPTH_MAX, &arena, &err) == BV_OK) {
        json_write(&first, &v);
        BV_ASSERT(utf8_is_valid(buf_slice(&first)));
        BV_ASSERT(json_parse(&again, buf_slice(&first), JSON_DEPTH_MAX, &arena, &err) == BV_OK);
        json_write(&second, &again);
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
