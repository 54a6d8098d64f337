/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_DIFF_H
#define BV_REGISTRY_DIFF_H

#include "registry/registry.h"

/* What a payload would change (wire.md 4.6). Kinds in the order of the lists. */
enum diff_kind {
    /* destructive */
    DIFF_RENAME,
    DIFF_TYPE_CHANGE,
    DIFF_OP_REMOVAL,
    DIFF_AGG_REMOVAL,
    DIFF_WINDOW_CHANGE,
    DIFF_KEY_COLS_CHANGE,
    DIFF_DEFINITION_CHANGE,
    /* additive */
    DIFF_NEW_DESCRIPTOR,
    DIFF_NEW_AGG,
    DIFF_NEW_FIELD,
    DIFF_SETTING_CHANGE,
};

#define DIFF_VALUES_MAX 3

struct diff_entry {
    enum diff_kind kind;
    struct slice
        values[DIFF_VALUES_MAX];   /* in the order of the kind's row, which is that of sorting */
    bool is_descriptor;            /* an agg_removal that removes all of it (V41) */
    const struct slice *from, *to; /* DIFF_KEY_COLS_CHANGE */
    size_t from_count, to_count;
};

struct diff_list {
    struct diff_entry *entries;
    size_t count, capacity;
};

/* What becomes of one node of the payload. */
enum diff_fate {
    DIFF_IS_NEW,
    DIFF_IS_SAME,
    DIFF_IS_EXTENDED, /* changed, and all state fits */
    DIFF_IS_REPLACED, /* changed, and its state does not fit */
    DIFF_IS_RENAMED,  /* equal to a removed one but for its name: the state moves */
};

struct diff {
    struct diff_list destructive, additive; /* sorted */
    struct slice *already_present;          /* sorted */
    size_t already_present_count;
    enum diff_fate *fates; /* one per node */
    uint32_t *olds;        /* one per node: the descriptor it is or was, UINT32_MAX if new */
    size_t removed_count;  /* descriptors that go, renamed ones included */
};

/* Compares the nodes of a payload (their `canonical` set) with the registry in force. Everything
 * lives in the arena or in what is compared. False: memory is spent. */
bool diff_compute(struct diff *out, const struct registry *current, const struct descriptor *nodes,
                  size_t node_count, struct arena *arena);
/* {"additive":[..],"already_present":[..],"destructive":[..]} */
void diff_write(struct buf *out, const struct diff *diff);

#endif
