/* SPDX-License-Identifier: Apache-2.0 */
/* Where a value ends.
 *
 * Enters:  bytes in either encoding, well-formed or not.
 * Leaves:  the end of the value at their front.
 * Owner:   nobody, pure functions.
 *
 * Invariants
 *   (1) Nothing at or past the end is read, and no answer lies past it.
 *   (2) Depth is a counter: two million opening brackets cost two million steps and no memory.
 */
#include "wire/row_skip.h"

#include "util/bytes.h"

const uint8_t *
json_skip_string(const uint8_t *p, const uint8_t *end)
{
    p++;
    while (p < end && *p != '"') {
        p += *p == '\\' ? 2 : 1;
    }
    return p < end ? p + 1 : end;
}

const uint8_t *
json_skip_value(const uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;

    do {
        switch (p < end ? *p : 0) {
        case '"':
            p = json_skip_string(p, end);
            break;
        case '{':
        case '[':
            depth++;
            p++;
            break;
        case '}':
        case ']':
            depth--;
            p++;
            break;
        default:
            p++;
            while (p < end && memchr(",]} \t\n\r\":{[", *p, 11) == NULL) {
                p++;
            }
            break;
        }
    } while (depth > 0 && p < end);
    return p < end ? p : end;
}

size_t
json_depth(struct slice text)
{
    const uint8_t *end = text.data + text.size;
    size_t depth = 0;
    size_t deepest = 0;

    for (const uint8_t *p = text.data; p < end;) {
        if (*p == '"') {
            p = json_skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if ((*p == '}' || *p == ']') && depth > 0) {
            depth--;
        }
        p++;
    }
    return deepest;
}

/* What follows the first byte of a MessagePack value: a length of so many bytes that counts so many
 * of something, then bytes whatever the length. */
struct shape {
    uint8_t width;
    uint8_t bytes;    /* for each unit of the length */
    uint8_t children; /* for each unit of the length */
    uint8_t fixed;
};

static const struct shape SHAPES[0x20] = {
    /* c0 nil, c1 unused, c2 and c3 booleans: nothing follows */
    [0x04] = {1, 1, 0, 0}, [0x05] = {2, 1, 0, 0},  [0x06] = {4, 1, 0, 0}, /* bin */
    [0x07] = {1, 1, 0, 1}, [0x08] = {2, 1, 0, 1},  [0x09] = {4, 1, 0, 1}, /* ext, with its type */
    [0x0a] = {0, 0, 0, 4}, [0x0b] = {0, 0, 0, 8},                         /* floats */
    [0x0c] = {0, 0, 0, 1}, [0x0d] = {0, 0, 0, 2},                         /* unsigned */
    [0x0e] = {0, 0, 0, 4}, [0x0f] = {0, 0, 0, 8},  [0x10] = {0, 0, 0, 1}, /* signed */
    [0x11] = {0, 0, 0, 2}, [0x12] = {0, 0, 0, 4},  [0x13] = {0, 0, 0, 8}, /* fixext */
    [0x14] = {0, 0, 0, 2}, [0x15] = {0, 0, 0, 3},  [0x16] = {0, 0, 0, 5},
    [0x17] = {0, 0, 0, 9}, [0x18] = {0, 0, 0, 17}, [0x19] = {1, 1, 0, 0}, /* str */
    [0x1a] = {2, 1, 0, 0}, [0x1b] = {4, 1, 0, 0},  [0x1c] = {2, 0, 1, 0}, /* array */
    [0x1d] = {4, 0, 1, 0}, [0x1e] = {2, 0, 2, 0},  [0x1f] = {4, 0, 2, 0}, /* map */
};

/* The size of one value without its children, and how many those are; false when cut short. */
static bool
msgpack_head(uint64_t *size, uint64_t *children, const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    struct shape shape = {0, 0, 0, 0};
    uint64_t length = 0;

    *size = 1;
    *children = 0;
    if (lead >= 0x80 && lead <= 0x9f) {
        *children = (uint64_t)(lead & 0x0f) * (lead < 0x90 ? 2 : 1);
    } else if (lead >= 0xa0 && lead <= 0xbf) {
        *size += lead & 0x1f;
    } else if (lead == 0xc1) {
        return false;
    } else if (lead >= 0xc0 && lead <= 0xdf) {
        shape = SHAPES[lead - 0xc0];
        if (left < (size_t)1 + shape.width) {
            return false;
        }
        for (uint8_t i = 0; i < shape.width; i++) {
            length = length << 8 | p[1 + i];
        }
        *size += shape.width + shape.fixed + length * shape.bytes;
        *children = length * shape.children;
    }
    return *size <= left;
}

size_t
msgpack_skip_value(struct slice data)
{
    uint64_t pending = 1; /* values still to come: a count stands in for a stack */
    size_t at = 0;

    while (pending > 0) {
        uint64_t size = 0;
        uint64_t children = 0;

        if (at == data.size || !msgpack_head(&size, &children, data.data + at, data.size - at)) {
            return 0;
        }
        at += (size_t)size;
        pending += children - 1;
        if (pending > data.size - at) {
            return 0; /* each takes a byte at least */
        }
    }
    return at;
}
