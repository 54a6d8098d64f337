/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_JSON_SCAN_H
#define BEAVA_LOAD_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Walks one level of a JSON object or array and hands out its parts as they stand in the text.
 *
 * Enters:  a pipeline file, which we wrote ourselves and which names plain ASCII things.
 * Leaves:  borrowed pieces of it; the payload to register leaves without having been understood.
 * Owner:   the caller owns the text.
 *
 * Invariants
 *   (1) Nothing outside of the text is read; a malformed file ends the walk with is_broken. */
struct json_piece {
    const char *start;
    size_t size;
};

struct json_walk {
    const char *at;
    const char *end;
    bool is_object;
    bool is_broken;
};

struct json_walk json_walk_begin(struct json_piece container);
/* False at the end. `name` (may be NULL) is the member's name without quotes, empty in an array. */
bool json_walk_next(struct json_walk *walk, struct json_piece *name, struct json_piece *value);
/* The member of an object; size 0 when it is missing. */
struct json_piece json_member(struct json_piece object, const char *name);
/* A string without its quotes; other values as they stand. Escapes are not decoded. */
struct json_piece json_text(struct json_piece value);
bool json_piece_equals(struct json_piece piece, const char *text);

#endif
