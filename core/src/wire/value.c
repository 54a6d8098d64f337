/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into a value.
 *
 * Enters:  a tree made by a parser.
 * Leaves:  a pointer into it.
 * Owner:   whoever owns the tree; nothing here keeps or frees.
 */
#include "wire/value.h"

const struct value *
value_find(const struct value *v, const char *name)
{
    struct slice wanted = slice_text(name);

    if (v->kind != VALUE_MAP) {
        return NULL;
    }
    for (uint32_t i = v->length; i > 0; i--) {
        const struct value_member *member = &v->as.members[i - 1];

        if (slice_equal(value_slice(&member->key), wanted)) {
            return &member->value;
        }
    }
    return NULL;
}
