/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: the only text that enters or leaves.
 *
 * Enters:  bytes.
 * Leaves:  a verdict, the size of a sequence, a place to cut.
 * Owner:   nobody; pure functions.
 *
 * Well-formedness follows table 3-7 of the Unicode standard: only the second byte has a range that
 * depends on the first one; all others are 80..BF.
 */
#include "util/bytes.h"
#include "util/utf8.h"

#define HIGH_BITS 0x8080808080808080u

size_t
utf8_sequence(const uint8_t *p, size_t size)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t length;

    if (size == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        length = 2;
    } else if ((p[0] & 0xf0) == 0xe0) {
        length = 3;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        high = p[0] == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        length = 4;
        low = p[0] == 0xf0 ? 0x90 : 0x80;  /* overlong */
        high = p[0] == 0xf4 ? 0x8f : 0xbf; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (size < length || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool
utf8_is_valid(struct slice text)
{
    size_t i = 0;

    while (i < text.size) {
        /* Names and most values are ASCII: eight bytes at a time, then one. */
        while (text.size - i >= 8 && (load_le64(text.data + i) & HIGH_BITS) == 0) {
            i += 8;
        }
        while (i < text.size && text.data[i] < 0x80) {
            i++;
        }
        if (i == text.size) {
            break;
        }
        size_t sequence = utf8_sequence(text.data + i, text.size - i);

        if (sequence == 0) {
            return false;
        }
        i += sequence;
    }
    return true;
}

size_t
utf8_cut(struct slice text, size_t size_max)
{
    size_t size = text.size < size_max ? text.size : size_max;
    size_t start = size;

    /* Step back over the continuation bytes of the last sequence, at most three; if it is complete
     * (or not UTF-8 at all) nothing is cut. */
    while (start > 0 && size - start < 3 && (text.data[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && text.data[start - 1] >= 0xc0) {
        start--;
        if (utf8_sequence(text.data + start, size - start) == 0) {
            return start;
        }
    }
    return size;
}

size_t
utf8_encode(uint8_t *out, uint32_t code_point)
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}
