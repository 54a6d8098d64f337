/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_REGISTRATION_H
#define BV_REGISTRY_REGISTRATION_H

#include "registry/diff.h"
#include "registry/draft.h"
#include "registry/names.h"
#include "registry/registry.h"

/* What the rooms outside need not see of a registration: how it is judged, and the pieces that its
 * reply is made of. */

/* Memory of one registration (its judging, and apart from that the registry it makes); the
 * expression graphs have their own limit. A payload that needs more is refused. */
#define REGISTRATION_MEMORY_MAX ((size_t)512 << 20)
#define REGISTRATION_BLOCK_SIZE ((size_t)64 << 10)

struct registration_limits {
    size_t block_size;
    size_t memory_max;
};

struct registration_parts {
    struct arena arena;
    struct report report;
    struct draft draft;
    struct diff diff;
    bool has_diff;
    struct names positions;  /* of the nodes in the payload, once something changes */
    bool *is_fresh;          /* per node: its state starts empty, or it has none */
    struct registry *judged; /* the draft as a registry, to compile it once before it is logged */
    struct buf log;
    uint64_t current_version; /* what a refusal names */
    uint64_t reply_version;   /* what a success names */
};

enum bv_status registration_prepare_within(struct registration *out, const struct registry *current,
                                           struct slice payload, unsigned flags,
                                           const struct registration_limits *limits,
                                           struct bv_error *err);

enum bv_status registry_create_within(struct registry **out, uint64_t version,
                                      const struct registration_limits *limits,
                                      struct bv_error *err);
enum bv_status registry_from_log_within(struct registry **out, struct slice **fresh,
                                        size_t *fresh_count, struct registry_rename **renamed,
                                        size_t *renamed_count, struct slice log_json,
                                        const struct registration_limits *limits,
                                        struct bv_error *err);
/* Makes the index that registry_find uses. False: memory is spent. */
bool registry_index(struct registry *registry);

#endif
