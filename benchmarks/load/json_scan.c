/* SPDX-License-Identifier: Apache-2.0 */
#include "json_scan.h"

#include <string.h>

static const char *
skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r' || *at == ',')) {
        at++;
    }
    return at;
}

/* Past the closing quote; `end` when there is none. */
static const char *
skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at < end ? at + 1 : end;
}

/* Past one value of any kind: brackets are counted, strings are jumped over. */
static const char *
skip_value(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        char here = *at;

        if (here == '"') {
            at = skip_string(at, end);
        } else if (here == '{' || here == '[') {
            depth++;
            at++;
        } else if (here == '}' || here == ']') {
            if (depth == 0) {
                return at;
            }
            depth--;
            at++;
        } else if (depth == 0 && (here == ',' || here == ' ' || here == '\n')) {
            return at;
        } else {
            at++;
            continue;
        }
        if (depth == 0) {
            return at;
        }
    }
    return at;
}

struct json_walk
json_walk_begin(struct json_piece container)
{
    const char *end = container.start + container.size;
    struct json_walk walk = {.at = skip_blanks(container.start, end), .end = end};

    if (walk.at >= end || (*walk.at != '{' && *walk.at != '[')) {
        walk.is_broken = true;
        return walk;
    }
    walk.is_object = *walk.at == '{';
    walk.at++;
    return walk;
}

bool
json_walk_next(struct json_walk *walk, struct json_piece *name, struct json_piece *value)
{
    const char *start;

    if (walk->is_broken) {
        return false;
    }
    walk->at = skip_blanks(walk->at, walk->end);
    if (walk->at >= walk->end || *walk->at == '}' || *walk->at == ']') {
        walk->is_broken = walk->at >= walk->end;
        return false;
    }
    if (walk->is_object) {
        start = walk->at;
        walk->at = skip_string(walk->at, walk->end);
        if (name != NULL) {
            *name = json_text((struct json_piece){start, (size_t)(walk->at - start)});
        }
        walk->at = skip_blanks(walk->at, walk->end);
        if (walk->at >= walk->end || *walk->at != ':') {
            walk->is_broken = true;
            return false;
        }
        walk->at = skip_blanks(walk->at + 1, walk->end);
    } else if (name != NULL) {
        *name = (struct json_piece){walk->at, 0};
    }
    start = walk->at;
    walk->at = skip_value(walk->at, walk->end);
    walk->is_broken = walk->at == start;
    *value = (struct json_piece){start, (size_t)(walk->at - start)};
    return !walk->is_broken;
}

struct json_piece
json_member(struct json_piece object, const char *name)
{
    struct json_walk walk = json_walk_begin(object);
    struct json_piece member;
    struct json_piece value;

    while (json_walk_next(&walk, &member, &value)) {
        if (json_piece_equals(member, name)) {
            return value;
        }
    }
    return (struct json_piece){object.start, 0};
}

struct json_piece
json_text(struct json_piece value)
{
    if (value.size >= 2 && value.start[0] == '"') {
        return (struct json_piece){value.start + 1, value.size - 2};
    }
    return value;
}

bool
json_piece_equals(struct json_piece piece, const char *text)
{
    return piece.size == strlen(text) && memcmp(piece.start, text, piece.size) == 0;
}
