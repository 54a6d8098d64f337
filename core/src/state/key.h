/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_KEY_H
#define BV_STATE_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "util/arena.h"
#include "util/slice.h"
#include "wire/value.h"

/* Entity keys (operators.md 7): each part is the canonical text of its value, so int 7 and "7" are
 * one entity. One part is stored as it is; of several, every part but the last is preceded by its
 * size (LEB128), which keeps ("a|b","c") and ("a","b|c") apart. No part: the empty key of a global
 * table. */

/* False when the value can be no key: null, NaN, bytes, list, map (or the arena is spent). */
bool key_text(struct slice *out, const struct value *value, struct arena *arena);
/* False when the arena is spent. */
bool key_join(struct slice *out, const struct slice *parts, size_t part_count, struct arena *arena);

#endif
